//! What a Job needs: pods more or fewer, pods counted, and its end.

use super::indexes::Indexes;
use super::per_index::{Failures, PerIndex};
use super::policy::{self, Failure};
use super::status::JobStatus;
use super::{FINALIZER, back_off};
use crate::json::{list, number, seconds, text, time};
use crate::pod::{PodItem, is_terminating};
use crate::pods::rank;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the decision is made by.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    pub(super) job: &'a Value,
    pub(super) is_deleting: bool,
    /// Pods that it manages.
    pub(super) pods: &'a [PodItem],
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) status: JobStatus,
    /// What is told: whether it is a warning, the reason, the message.
    pub(super) tell: Option<(bool, &'static str, String)>,
    /// Pods whose finalizer goes once the status is written.
    pub(super) release: Vec<PodItem>,
    pub(super) delete: Vec<PodItem>,
    /// Pods to make: `Some` index each, or `None`.
    pub(super) create: Vec<Option<i64>>,
    /// How often the indexes of those pods failed, where each has a limit of its own.
    pub(super) failures: BTreeMap<i64, Failures>,
    /// In how many seconds time alone changes something.
    pub(super) again: Option<i64>,
    /// Whether the Job itself goes: its time after its end is over.
    pub(super) expired: bool,
}

/// Pods that one plan makes or deletes, and pods that are uncounted at once; upstream's limits.
const BURST: usize = 500;

/// What is read of a Job's spec.
pub(super) struct Wanted {
    parallelism: i64,
    completions: Option<i64>,
    backoff_limit: i64,
    /// How many failures of one index are too many, and how many failed indexes.
    per_index: Option<i64>,
    max_failed: Option<i64>,
    indexed: bool,
    suspended: bool,
    /// Whether a pod that is being deleted counts as failed, and is replaced, before it ended.
    replaces_terminating: bool,
    /// How many restarts of containers are too many, where containers restart.
    restarts: Option<i64>,
}

impl Wanted {
    fn of(job: &Value) -> Self {
        let indexed = text(job, "/spec/completionMode") == "Indexed";
        let per_index = number(job, "/spec/backoffLimitPerIndex").filter(|_| indexed);
        let default = if per_index.is_some() { i64::from(i32::MAX) } else { 6 };
        let backoff_limit = number(job, "/spec/backoffLimit").unwrap_or(default);
        let explains = !list(job, "/spec/podFailurePolicy/rules").is_empty();
        Self {
            parallelism: number(job, "/spec/parallelism").unwrap_or(1).max(0),
            completions: number(job, "/spec/completions"),
            backoff_limit,
            per_index,
            max_failed: number(job, "/spec/maxFailedIndexes"),
            indexed,
            suspended: job["spec"]["suspend"] == true,
            replaces_terminating: text(job, "/spec/podReplacementPolicy") != "Failed" && !explains,
            restarts: (text(job, "/spec/template/spec/restartPolicy") == "OnFailure")
                .then_some(backoff_limit.max(1)),
        }
    }

    pub(super) fn has_failed(&self, pod: &PodItem) -> bool {
        let phase = &*pod.value.status.phase;
        phase == "Failed"
            || self.replaces_terminating && pod.meta.is_deleting() && phase != "Succeeded"
    }

    /// The index of a pod; nothing where it has none that is valid.
    pub(super) fn index(&self, pod: &PodItem) -> Option<i64> {
        let index = pod.value.metadata.annotations.completion_index.as_deref()?.parse().ok()?;
        (0..self.completions.unwrap_or(0)).contains(&index).then_some(index)
    }
}

pub(super) fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let (job, now) = (snapshot.job, snapshot.now);
    let status = JobStatus::deserialize(&job["status"]).unwrap_or_default();
    let held: Vec<&PodItem> =
        snapshot.pods.iter().filter(|pod| pod.meta.has_finalizer(FINALIZER)).collect();
    let mut plan = Plan { status, ..Plan::default() };
    if let Some(end) = plan.status.finished() {
        plan.release = held.into_iter().cloned().collect();
        let since = end.last_transition_time.as_deref().and_then(seconds).unwrap_or(now);
        if let Some(ttl) = number(job, "/spec/ttlSecondsAfterFinished")
            && !snapshot.is_deleting
        {
            let left = since.saturating_add(ttl) - now;
            plan.expired = left <= 0;
            plan.again = (0 < left).then_some(left);
        }
        return plan;
    }
    let wanted = Wanted::of(job);
    if plan.status.start_time.is_none() && !wanted.suspended {
        plan.status.start_time = Some(time(now));
    }
    let live: Vec<&PodItem> = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.meta.is_deleting() && !pod.value.is_over())
        .collect();
    let indexes = count(&mut plan, snapshot, &wanted, [&held, &live]);
    let uncounted = &plan.status.uncounted_terminated_pods;
    let kept = indexes.last.values();
    let kept = kept.filter(|pod| policy::failure(job, pod) != Failure::Ignored).count();
    let failed = plan.status.failed + length(&uncounted.failed) + i64::try_from(kept).unwrap_or(0);
    let succeeded = plan.status.succeeded + length(&uncounted.succeeded);
    if !snapshot.is_deleting {
        decide(&mut plan, snapshot, &wanted, failed, &indexes.failed);
    }
    let failing = plan.status.holds("FailureTarget").is_some();
    if failing || plan.status.holds("SuccessCriteriaMet").is_some() {
        plan.delete = live.iter().copied().cloned().collect();
        if failing {
            // Whoever still runs failed with the Job; what one status can name now, the next names later.
            count_failed(&mut plan, snapshot, &wanted, &held, |_| true);
        } else {
            // They are not needed any more; that is no failure.
            release_all(&mut plan, &held);
        }
    } else if !snapshot.is_deleting {
        manage(&mut plan, snapshot, &wanted, &live, succeeded, &indexes);
        let complete = wanted.completions.map_or(0 < succeeded, |wanted| wanted <= succeeded);
        if complete && live.is_empty() {
            let message = "Reached expected number of succeeded pods";
            plan.status.condition("SuccessCriteriaMet", true, "CompletionsReached", message, now);
        } else {
            suspend(&mut plan, &wanted, now);
        }
    }
    let terminating = snapshot.pods.iter().filter(|pod| is_terminating(pod)).count();
    plan.status.active = length(&live);
    plan.status.ready = length(&live.iter().filter(|pod| pod.value.is_ready()).collect::<Vec<_>>());
    plan.status.terminating = i64::try_from(terminating).unwrap_or(i64::MAX);
    if live.is_empty() && terminating == 0 {
        end(&mut plan, now);
    }
    plan
}

fn release_all(plan: &mut Plan, held: &[&PodItem]) {
    for pod in held {
        if plan.release.iter().all(|one| one.meta.uid != pod.meta.uid) {
            plan.release.push((*pod).clone());
        }
    }
}

fn length<T>(of: &[T]) -> i64 {
    i64::try_from(of.len()).unwrap_or(i64::MAX)
}

/// Counts pods whose finalizer is gone by now, and names those whose finalizer may go. Returns what is known of indexes that failed.
fn count(
    plan: &mut Plan,
    snapshot: &Snapshot<'_>,
    wanted: &Wanted,
    [held, live]: [&[&PodItem]; 2],
) -> PerIndex {
    let uids: BTreeSet<&str> = held.iter().map(|pod| &*pod.meta.uid).collect();
    let status = &mut plan.status;
    let uncounted = &mut status.uncounted_terminated_pods;
    let had = (length(&uncounted.succeeded), length(&uncounted.failed));
    uncounted.succeeded.retain(|uid| uids.contains(uid.as_str()));
    uncounted.failed.retain(|uid| uids.contains(uid.as_str()));
    status.succeeded += had.0 - length(&uncounted.succeeded);
    status.failed += had.1 - length(&uncounted.failed);
    let ended = |pod: &&&PodItem| &*pod.value.status.phase == "Succeeded";
    let mut indexes = PerIndex::default();
    if wanted.indexed {
        let completions = wanted.completions.unwrap_or(0);
        let done = Indexes::parse(&status.completed_indexes, completions);
        let now_done = held.iter().filter(ended).filter_map(|pod| wanted.index(pod));
        let done = done.with(now_done);
        (status.succeeded, status.completed_indexes) = (done.len(), done.to_string());
        plan.release.extend(held.iter().filter(ended).map(|pod| (*pod).clone()));
        if let Some(limit) = wanted.per_index {
            let had = status.failed_indexes.as_deref().unwrap_or_default();
            let failed = Indexes::parse(had, completions);
            let pods = [held, live];
            indexes = PerIndex::of(snapshot.job, wanted, limit, pods, [&failed, &done]);
            status.failed_indexes = Some(indexes.failed.to_string());
        }
    } else {
        for pod in held.iter().filter(ended) {
            let uncounted = &mut plan.status.uncounted_terminated_pods;
            let known = uncounted.succeeded.iter().any(|uid| **uid == *pod.meta.uid);
            if known || uncounted.succeeded.len() < BURST {
                if !known {
                    uncounted.succeeded.push(pod.meta.uid.to_string());
                }
                plan.release.push((*pod).clone());
            }
        }
    }
    count_failed(plan, snapshot, wanted, held, |pod| wanted.has_failed(pod) && !indexes.keeps(pod));
    if snapshot.is_deleting {
        release_all(plan, held);
    }
    indexes
}

/// Names pods that failed, and that are not named yet; one of an index that is not wanted is let go and not counted.
fn count_failed(
    plan: &mut Plan,
    snapshot: &Snapshot<'_>,
    wanted: &Wanted,
    held: &[&PodItem],
    failed: impl Fn(&PodItem) -> bool,
) {
    for pod in held {
        if &*pod.value.status.phase == "Succeeded" || !failed(pod) {
            continue;
        }
        let named = &mut plan.status.uncounted_terminated_pods.failed;
        let counts = (!wanted.indexed || wanted.index(pod).is_some())
            && policy::failure(snapshot.job, pod) != Failure::Ignored;
        if counts && named.iter().all(|uid| **uid != *pod.meta.uid) {
            if BURST <= named.len() {
                continue;
            }
            named.push(pod.meta.uid.to_string());
        }
        if plan.release.iter().all(|one| one.meta.uid != pod.meta.uid) {
            plan.release.push((*pod).clone());
        }
    }
}

/// Decides whether the Job fails, or has succeeded before all is done.
fn decide(
    plan: &mut Plan,
    snapshot: &Snapshot<'_>,
    wanted: &Wanted,
    failed: i64,
    failed_indexes: &Indexes,
) {
    let decided = ["FailureTarget", "SuccessCriteriaMet"];
    if decided.iter().any(|kind| plan.status.holds(kind).is_some()) {
        return;
    }
    let restarts: i64 = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.value.is_over())
        .flat_map(|pod| {
            let status = &pod.value.status;
            status.container_statuses.iter().chain(&status.init_container_statuses)
        })
        .map(|container| container.restart_count)
        .sum();
    let now = snapshot.now;
    let deadline =
        number(snapshot.job, "/spec/activeDeadlineSeconds").filter(|_| !wanted.suspended);
    let left = deadline.and_then(|deadline| {
        let start = plan.status.start_time.as_deref().and_then(seconds)?;
        Some(start.saturating_add(deadline) - now)
    });
    let mut ended = snapshot.pods.iter().filter(|pod| wanted.has_failed(pod));
    let said = ended.find_map(|pod| match policy::failure(snapshot.job, pod) {
        Failure::Job(why) => Some(why),
        _ => None,
    });
    if let Some(why) = said {
        plan.status.condition("FailureTarget", true, "PodFailurePolicy", &why, now);
        return;
    }
    let completions = wanted.completions.unwrap_or(0);
    let n_failed = failed_indexes.len();
    let (reason, message) = if wanted.backoff_limit < failed
        || wanted.restarts.is_some_and(|limit| limit <= restarts)
    {
        ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    } else if left.is_some_and(|left| left <= 0) {
        ("DeadlineExceeded", "Job was active longer than specified deadline")
    } else if wanted.max_failed.is_some_and(|max| max < n_failed) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        ("MaxFailedIndexesExceeded", message)
    } else if 0 < n_failed && completions <= n_failed + plan.status.succeeded {
        ("FailedIndexes", "Job has failed indexes")
    } else {
        plan.again = left;
        if wanted.indexed {
            let done = Indexes::parse(&plan.status.completed_indexes, completions);
            if let Some(why) = policy::success(snapshot.job, &done, completions) {
                plan.status.condition("SuccessCriteriaMet", true, "SuccessPolicy", &why, now);
            }
        }
        return;
    };
    plan.status.condition("FailureTarget", true, reason, message, now);
}

/// Decides which pods are made or deleted.
fn manage(
    plan: &mut Plan,
    snapshot: &Snapshot<'_>,
    wanted: &Wanted,
    live: &[&PodItem],
    succeeded: i64,
    indexes: &PerIndex,
) {
    let n_live = length(live);
    let n = match wanted.completions {
        _ if wanted.suspended => 0,
        None if 0 < succeeded => n_live,
        None => wanted.parallelism,
        Some(completions) => (completions - succeeded).clamp(0, wanted.parallelism),
    };
    let (kept, mut gone) = distinct(wanted, live);
    let surplus = usize::try_from(n_live - n).unwrap_or(0).saturating_sub(gone.len());
    gone.extend(rank(&kept).into_iter().take(surplus));
    if !gone.is_empty() {
        plan.delete = gone.into_iter().take(BURST).cloned().collect();
        // They are not wanted, they did not fail: what goes without the finalizer is not counted.
        plan.release
            .extend(plan.delete.iter().filter(|pod| pod.meta.has_finalizer(FINALIZER)).cloned());
        return;
    }
    let terminating: Vec<&PodItem> = snapshot
        .pods
        .iter()
        .filter(|pod| !wanted.replaces_terminating && is_terminating(pod))
        .collect();
    let missing = usize::try_from(n - n_live - length(&terminating)).unwrap_or(0).min(BURST);
    if missing == 0 {
        return;
    }
    let wait = |plan: &mut Plan, left: i64| {
        plan.again = Some(plan.again.map_or(left, |again| again.min(left)));
    };
    if wanted.per_index.is_none() {
        let left = back_off::left(snapshot.pods, snapshot.now);
        if 0 < left {
            return wait(plan, left);
        }
    }
    plan.create = if wanted.indexed {
        let completions = wanted.completions.unwrap_or(0);
        let taken = live.iter().chain(&terminating).filter_map(|pod| wanted.index(pod));
        let mut waiting = Vec::new();
        for index in indexes.last.keys() {
            let left = indexes.left(*index, snapshot.now);
            if 0 < left {
                waiting.push(*index);
                wait(plan, left);
            }
        }
        let taken = Indexes::parse(&plan.status.completed_indexes, completions)
            .union(&indexes.failed)
            .with(taken.chain(waiting));
        if wanted.per_index.is_some() {
            let all = taken.missing(missing, completions).into_iter();
            plan.failures =
                all.map(|index| (index, indexes.failures(snapshot.job, index))).collect();
        }
        taken.missing(missing, completions).into_iter().map(Some).collect()
    } else {
        vec![None; missing]
    };
}

/// Live pods to keep, one of each index, and those that are too many or have no index where there have to be some.
fn distinct<'a>(wanted: &Wanted, live: &[&'a PodItem]) -> (Vec<&'a PodItem>, Vec<&'a PodItem>) {
    if !wanted.indexed {
        return (live.to_vec(), Vec::new());
    }
    let mut seen = BTreeSet::new();
    // The most useful pod of an index stays.
    rank(live)
        .into_iter()
        .rev()
        .partition(|pod| wanted.index(pod).is_some_and(|index| seen.insert(index)))
}

/// Says whether it is suspended, and starts its time anew when it no longer is.
fn suspend(plan: &mut Plan, wanted: &Wanted, now: i64) {
    let (reason, message, event) = if wanted.suspended {
        ("JobSuspended", "Job suspended", "Suspended")
    } else {
        ("JobResumed", "Job resumed", "Resumed")
    };
    if plan.status.condition("Suspended", wanted.suspended, reason, message, now) {
        plan.tell = Some((false, event, message.to_owned()));
        plan.status.start_time = (!wanted.suspended).then(|| time(now));
    }
}

/// Ends a Job whose pods have all ended and are all counted.
fn end(plan: &mut Plan, now: i64) {
    let uncounted = &plan.status.uncounted_terminated_pods;
    if !uncounted.succeeded.is_empty() || !uncounted.failed.is_empty() {
        return;
    }
    if let Some(why) = plan.status.holds("SuccessCriteriaMet").cloned() {
        plan.status.completion_time = Some(time(now));
        plan.status.condition("Complete", true, &why.reason, &why.message, now);
        plan.tell = Some((false, "Completed", "Job completed".to_owned()));
    } else if let Some(why) = plan.status.holds("FailureTarget").cloned() {
        plan.status.condition("Failed", true, &why.reason, &why.message, now);
        let known =
            ["DeadlineExceeded", "PodFailurePolicy", "MaxFailedIndexesExceeded", "FailedIndexes"];
        let reason = known.into_iter().find(|known| *known == why.reason);
        let reason = reason.unwrap_or("BackoffLimitExceeded");
        plan.tell = Some((true, reason, why.message));
    }
}
