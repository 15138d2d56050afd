//! What a run met.

/// What a run met; a simulation that never meets a fault proves nothing about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) n_committed: usize,
    pub(super) n_refused: usize,
    pub(super) n_failed: usize,
    pub(super) n_reopened: usize,
    pub(super) n_torn: usize,
    pub(super) n_resurrected: usize,
    pub(super) n_snapshots: usize,
    pub(super) n_events: usize,
    pub(super) n_expired: usize,
    pub(super) n_past_lists: usize,
}

impl Counts {
    fn all(&mut self) -> [&mut usize; 10] {
        [
            &mut self.n_committed,
            &mut self.n_refused,
            &mut self.n_failed,
            &mut self.n_reopened,
            &mut self.n_torn,
            &mut self.n_resurrected,
            &mut self.n_snapshots,
            &mut self.n_events,
            &mut self.n_expired,
            &mut self.n_past_lists,
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (own, other) in self.all().into_iter().zip(other.all()) {
            *own += *other;
        }
    }

    pub(super) fn least(mut self) -> usize {
        self.all().into_iter().map(|count| *count).min().unwrap_or(0)
    }
}
