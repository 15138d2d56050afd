//! Sets of completion indexes, as a Job's status has them: `0-2,5`.

use std::fmt;

/// Indexes as ordered intervals that do not touch: a Job may have a thousand million of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(i64, i64)>);

impl Indexes {
    /// Reads a status; what is no interval, or not below `completions`, is left out.
    pub(super) fn parse(text: &str, completions: i64) -> Self {
        let intervals = text.split(',').filter_map(|one| {
            let (first, last) = one.split_once('-').unwrap_or((one, one));
            let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
            let last = last.min(completions - 1);
            (0 <= first && first <= last).then_some((first, last))
        });
        Self::of(intervals.collect())
    }

    fn of(mut intervals: Vec<(i64, i64)>) -> Self {
        intervals.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (first, last) in intervals {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = last.max(before.1);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// These and more.
    pub(super) fn with(&self, more: impl IntoIterator<Item = i64>) -> Self {
        let singles = more.into_iter().map(|index| (index, index));
        Self::of(self.0.iter().copied().chain(singles).collect())
    }

    pub(super) fn len(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn has(&self, index: i64) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&index))
    }

    /// How many indexes are in both.
    pub(super) fn overlap(&self, other: &Self) -> i64 {
        let (mut here, mut there) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut n = 0;
        while let (Some(one), Some(two)) = (here.peek(), there.peek()) {
            n += (one.1.min(two.1) - one.0.max(two.0) + 1).max(0);
            if one.1 < two.1 {
                here.next();
            } else {
                there.next();
            }
        }
        n
    }

    /// These and those.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied().collect())
    }

    /// The first `n` indexes below `completions` that are not here.
    pub(super) fn missing(&self, n: usize, completions: i64) -> Vec<i64> {
        let ends = self.0.iter().copied().chain([(completions, completions)]);
        let mut next = 0;
        let mut missing = Vec::new();
        for (first, last) in ends {
            let gap = next..first.min(completions);
            missing.extend(gap.take(n - missing.len()));
            next = last.saturating_add(1);
        }
        missing
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}
