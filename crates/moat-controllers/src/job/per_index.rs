//! Jobs that limit the failures of each index on its own.
//!
//! The last pod of an index that failed keeps its finalizer until the next one is there: it says how often the index has failed.

use super::indexes::Indexes;
use super::plan::Wanted;
use super::policy::{Failure, failure};
use super::{FINALIZER, back_off};
use crate::pod::PodItem;
use serde_json::Value;
use std::collections::BTreeMap;

/// How often an index failed: failures that count, and those that are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) counted: i64,
    pub(super) ignored: i64,
}

impl Failures {
    /// Those before a pod.
    fn before(pod: &PodItem) -> Self {
        let annotations = &pod.value.metadata.annotations;
        let read = |text: &Option<Box<str>>| {
            let n: Option<i64> = text.as_deref().and_then(|text| text.parse().ok());
            n.unwrap_or(0).clamp(0, i64::from(i32::MAX))
        };
        Self { counted: read(&annotations.failures), ignored: read(&annotations.ignored_failures) }
    }

    /// Those with a pod that failed.
    fn with(pod: &PodItem, job: &Value) -> Self {
        let before = Self::before(pod);
        if failure(job, pod) == Failure::Ignored {
            Self { ignored: before.ignored + 1, ..before }
        } else {
            Self { counted: before.counted + 1, ..before }
        }
    }

    fn all(self) -> i64 {
        self.counted + self.ignored
    }
}

/// What is known of the indexes of a Job.
#[derive(Debug, Default)]
pub(super) struct PerIndex {
    /// Indexes that are not tried again.
    pub(super) failed: Indexes,
    /// The last failed pod of each index that is tried again.
    pub(super) last: BTreeMap<i64, PodItem>,
}

impl PerIndex {
    pub(super) fn of(
        job: &Value,
        wanted: &Wanted,
        limit: i64,
        [held, live]: [&[&PodItem]; 2],
        [failed, done]: [&Indexes; 2],
    ) -> Self {
        let over = |pod: &PodItem| match failure(job, pod) {
            Failure::Index => true,
            Failure::Ignored => false,
            Failure::Counts | Failure::Job(_) => limit <= Failures::before(pod).counted,
        };
        let ended = || held.iter().copied().filter(|pod| wanted.has_failed(pod));
        let failed =
            failed.with(ended().filter(|pod| over(pod)).filter_map(|pod| wanted.index(pod)));
        let live: Vec<i64> = live.iter().filter_map(|pod| wanted.index(pod)).collect();
        let mut last: BTreeMap<i64, PodItem> = BTreeMap::new();
        for pod in ended().filter(|pod| pod.meta.has_finalizer(FINALIZER)) {
            let Some(index) = wanted.index(pod) else { continue };
            if done.has(index) || failed.has(index) || live.contains(&index) {
                continue;
            }
            let key = |pod: &PodItem| (Failures::before(pod).all(), back_off::finished(pod));
            let is_older = |other: &PodItem| key(pod) < key(other);
            if !last.get(&index).is_some_and(is_older) {
                last.insert(index, pod.clone());
            }
        }
        Self { failed, last }
    }

    /// The failures that the next pod of an index is told of.
    pub(super) fn failures(&self, job: &Value, index: i64) -> Failures {
        self.last.get(&index).map(|pod| Failures::with(pod, job)).unwrap_or_default()
    }

    /// Seconds until an index may be tried again.
    pub(super) fn left(&self, index: i64, now: i64) -> i64 {
        self.last.get(&index).map_or(0, |pod| {
            let n = Failures::before(pod).all() + 1;
            back_off::of(n, back_off::finished(pod).unwrap_or(now), now)
        })
    }

    /// Whether a pod has to stay to be counted by the next.
    pub(super) fn keeps(&self, pod: &PodItem) -> bool {
        self.last.values().any(|last| last.meta.uid == pod.meta.uid)
    }
}
