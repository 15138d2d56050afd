//! How long a Job waits after pods failed: ten seconds, twice as long after each failure without success, at most ten minutes.

use crate::json::seconds;
use crate::pod::{Pod, PodItem};

const FIRST: i64 = 10;
const MAX: i64 = 600;

/// Seconds until pods may be made. The failures are read off the pods that are there, so a controller that starts anew knows them too;
/// a pod that somebody deletes is none.
pub(super) fn left(pods: &[PodItem], now: i64) -> i64 {
    let success = pods
        .iter()
        .filter(|pod| &*pod.value.status.phase == "Succeeded")
        .filter_map(finished)
        .max()
        .unwrap_or(i64::MIN);
    let failures: Vec<i64> = pods
        .iter()
        .filter(|pod| &*pod.value.status.phase == "Failed" && !pod.meta.is_deleting())
        .filter_map(finished)
        .filter(|then| success < *then)
        .collect();
    let Some(last) = failures.iter().max() else { return 0 };
    of(i64::try_from(failures.len()).unwrap_or(i64::MAX), *last, now)
}

/// Seconds until pods may be made after so many failures, the last of them at a time.
pub(super) fn of(n_failures: i64, last: i64, now: i64) -> i64 {
    let doublings = (n_failures - 1).clamp(0, 6);
    let pause = (FIRST << doublings).min(MAX);
    (last + pause - now).clamp(0, MAX)
}

/// When a pod ended: by its containers, else when it was no longer ready, else when it was made.
pub(super) fn finished(pod: &PodItem) -> Option<i64> {
    by_containers(&pod.value)
        .or_else(|| pod.value.unready_since())
        .or_else(|| seconds(&pod.meta.creation_timestamp))
}

fn by_containers(pod: &Pod) -> Option<i64> {
    let mut last = None;
    for container in &pod.status.container_statuses {
        let then = seconds(container.state.terminated.as_ref()?.finished_at.as_deref()?)?;
        last = last.max(Some(then));
    }
    last
}
