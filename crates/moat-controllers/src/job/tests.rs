use super::indexes::Indexes;
use super::per_index::Failures;
use super::plan::{Plan, Snapshot, plan};
use super::{FINALIZER, pod as pod_of};
use crate::json::time;
use crate::pod::{Pod, PodItem};
use moat_informer::{Item, Meta};
use moat_store::Path;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn job(spec: Value) -> Value {
    json!({ "metadata": { "name": "j" }, "spec": spec, "status": {} })
}

fn pod(n: usize, phase: &str, index: Option<i64>) -> PodItem {
    let index = index.map(|index| index.to_string());
    let value = Pod::deserialize(json!({
        "metadata": { "annotations": { super::INDEX: index } }, "status": { "phase": phase },
    }));
    let meta = Meta {
        name: format!("p{n}").into(),
        uid: format!("u{n}").into(),
        creation_timestamp: time(0).into(),
        finalizers: vec![FINALIZER.into()],
        ..Meta::default()
    };
    let path = Path::new(Some("n"), &meta.name).unwrap();
    Arc::new(Item { path, revision: 1, meta, value: value.unwrap() })
}

fn copy(pod: &PodItem) -> Item<Pod> {
    let (path, meta, value) = (pod.path.clone(), pod.meta.clone(), pod.value.clone());
    Item { path, revision: pod.revision, meta, value }
}

fn at(job: &Value, pods: &[PodItem], now: i64) -> Plan {
    plan(&Snapshot { job, is_deleting: false, pods, now })
}

/// A Job and its pods; plans are carried out as far as the test wants, as if the controller stopped there.
struct World {
    job: Value,
    pods: Vec<PodItem>,
    n_made: usize,
    now: i64,
    /// Pods that ended by themselves, by uid.
    succeeded: BTreeSet<String>,
    failed: BTreeSet<String>,
    indexes: BTreeSet<i64>,
}

impl World {
    fn new(job: Value) -> Self {
        let none = || BTreeSet::new();
        let (pods, indexes) = (Vec::new(), BTreeSet::new());
        Self { job, pods, n_made: 0, now: 1000, succeeded: none(), failed: none(), indexes }
    }

    fn change(&mut self, uid: &str, change: impl Fn(&mut Item<Pod>)) {
        for pod in &mut self.pods {
            if *pod.meta.uid == *uid {
                let mut item = copy(pod);
                change(&mut item);
                *pod = Arc::new(item);
            }
        }
    }

    /// What is deleted goes when nothing holds it.
    fn sweep(&mut self) {
        self.pods.retain(|pod| !pod.meta.is_deleting() || pod.meta.has_finalizer(FINALIZER));
    }

    fn step(&mut self, how_far: u8) -> Plan {
        let plan = at(&self.job, &self.pods, self.now);
        self.job["status"] = serde_json::to_value(&plan.status).unwrap();
        if 1 <= how_far {
            for pod in &plan.release {
                self.change(&pod.meta.uid, |pod| pod.meta.finalizers.clear());
            }
            self.sweep();
        }
        if 2 <= how_far {
            for pod in &plan.delete {
                let now = time(self.now);
                self.change(&pod.meta.uid, |pod| {
                    pod.meta.deletion_timestamp = Some(now.as_str().into());
                });
            }
            self.sweep();
        }
        if 3 <= how_far {
            for index in &plan.create {
                self.n_made += 1;
                self.pods.push(pod(self.n_made, "Running", *index));
                let Some(failures) = index.and_then(|index| plan.failures.get(&index)) else {
                    continue;
                };
                self.change(&format!("u{}", self.n_made), |pod| {
                    let annotations = &mut pod.value.metadata.annotations;
                    annotations.failures = Some(failures.counted.to_string().into());
                    annotations.ignored_failures = Some(failures.ignored.to_string().into());
                });
            }
        }
        plan
    }

    /// A running pod ends.
    fn end(&mut self, which: usize, well: bool) {
        let running: Vec<PodItem> =
            self.pods.iter().filter(|pod| !pod.value.is_over()).cloned().collect();
        if running.is_empty() {
            return;
        }
        let pod = &running[which % running.len()];
        let uid = pod.meta.uid.to_string();
        self.change(&uid, |pod| {
            pod.value.status.phase = if well { "Succeeded" } else { "Failed" }.into();
        });
        if pod.meta.has_finalizer(FINALIZER) {
            if well { &mut self.succeeded } else { &mut self.failed }.insert(uid);
            if well {
                let index = pod.value.metadata.annotations.completion_index.as_deref();
                self.indexes.extend(index.and_then(|index| index.parse::<i64>().ok()));
            }
        }
    }

    fn number(&self, field: &str) -> usize {
        usize::try_from(self.job["status"][field].as_u64().unwrap_or(0)).unwrap()
    }

    fn conditions(&self) -> Vec<String> {
        let all = crate::json::list(&self.job, "/status/conditions").iter();
        all.map(|one| format!("{}={}", one["type"], one["status"]).replace('"', "")).collect()
    }
}

proptest! {
    /// Wherever the controller stops between its writes: no pod is counted twice, none is lost, never do more run than may, and the Job ends.
    #[test]
    fn a_job_counts_each_pod_once_and_ends(
        completions in 1_usize..8,
        parallelism in 1_usize..5,
        indexed in any::<bool>(),
        steps in proptest::collection::vec((0_u8..5, 0_u8..4, 0_usize..8), 0..60),
    ) {
        let mut world = World::new(job(json!({
            "completions": completions, "parallelism": parallelism, "backoffLimit": 1000,
            "completionMode": if indexed { "Indexed" } else { "NonIndexed" },
        })));
        let rest = (0..200_usize).flat_map(|n| [(0, 3, n), (1, 3, n)]);
        for (what, how_far, which) in steps.into_iter().chain(rest) {
            match what {
                0 => { world.step(how_far); }
                1 => world.end(which, true),
                2 => world.end(which, false),
                _ => world.now += 700,
            }
            let live = world.pods.iter().filter(|pod| !pod.value.is_over()).count();
            prop_assert!(live <= parallelism);
            prop_assert!(world.number("succeeded") <= completions.min(world.succeeded.len()));
            prop_assert!(world.number("failed") <= world.failed.len());
            world.now += 1;
        }
        prop_assert_eq!(world.conditions(), ["SuccessCriteriaMet=True", "Complete=True"]);
        prop_assert_eq!(world.number("succeeded"), completions);
        prop_assert_eq!(world.number("failed"), world.failed.len());
        if indexed {
            prop_assert_eq!(world.indexes.len(), completions);
            let all: Vec<i64> = world.indexes.iter().copied().collect();
            let said = world.job["status"]["completedIndexes"].as_str().unwrap().to_owned();
            prop_assert_eq!(said, Indexes::default().with(all).to_string());
        }
        prop_assert!(world.pods.iter().all(|pod| !pod.meta.has_finalizer(FINALIZER)));
        // An ended Job is left alone.
        let before = world.job.clone();
        prop_assert_eq!(world.step(3).create.len(), 0);
        prop_assert_eq!(before, world.job);
    }

    /// Where each index has a limit: it fails when that is passed and not before, is then left alone, others go on, and the Job ends as it must.
    #[test]
    fn indexes_fail_one_by_one(
        completions in 1_usize..6,
        parallelism in 1_usize..4,
        limit in 0_i64..3,
        steps in proptest::collection::vec((0_u8..5, 0_u8..4, 0_usize..8), 0..60),
    ) {
        let mut world = World::new(job(json!({
            "completions": completions, "parallelism": parallelism, "backoffLimitPerIndex": limit, "completionMode": "Indexed",
        })));
        let mut failures: std::collections::BTreeMap<i64, i64> = std::collections::BTreeMap::new();
        let rest = (0..200_usize).flat_map(|n| [(0, 3, n), (1, 3, n)]);
        for (what, how_far, which) in steps.into_iter().chain(rest) {
            let before = world.failed.clone();
            match what {
                0 => { world.step(how_far); }
                1 => world.end(which, true),
                2 => world.end(which, false),
                _ => world.now += 700,
            }
            for uid in world.failed.difference(&before) {
                let pod = world.pods.iter().find(|pod| *pod.meta.uid == **uid).unwrap();
                let index = pod.value.metadata.annotations.completion_index.as_deref().unwrap();
                *failures.entry(index.parse().unwrap()).or_default() += 1;
            }
            prop_assert!(failures.values().all(|n| *n <= limit + 1));
            world.now += 1;
        }
        let over: Vec<i64> = failures.iter().filter(|(_, n)| limit < **n).map(|(index, _)| *index).collect();
        let (succeeded, failed) = (world.indexes.clone(), Indexes::default().with(over.iter().copied()));
        prop_assert_eq!(&world.job["status"]["failedIndexes"], &json!(failed.to_string()));
        prop_assert_eq!(succeeded.len() + over.len(), completions);
        prop_assert!(over.iter().all(|index| !succeeded.contains(index)));
        let end = if over.is_empty() { ["SuccessCriteriaMet=True", "Complete=True"] } else { ["FailureTarget=True", "Failed=True"] };
        prop_assert_eq!(world.conditions(), end);
        prop_assert_eq!(world.number("failed"), world.failed.len());
        prop_assert!(world.pods.iter().all(|pod| !pod.meta.has_finalizer(FINALIZER)));
    }

    #[test]
    fn indexes_are_as_they_are_written(all in proptest::collection::btree_set(0_i64..40, 0..40), n in 0_usize..40) {
        let indexes = Indexes::default().with(all.iter().copied());
        prop_assert_eq!(Indexes::parse(&indexes.to_string(), 40), indexes.clone());
        prop_assert_eq!(indexes.len(), i64::try_from(all.len()).unwrap());
        let half = Indexes::default().with(10..25);
        let both = all.iter().filter(|index| (10..25).contains(*index)).count();
        prop_assert_eq!(indexes.overlap(&half), i64::try_from(both).unwrap());
        prop_assert_eq!(indexes.union(&half).len(), indexes.len() + 15 - indexes.overlap(&half));
        prop_assert!((0..40).all(|index| indexes.has(index) == all.contains(&index)));
        let missing: Vec<i64> = (0..40).filter(|index| !all.contains(index)).take(n).collect();
        prop_assert_eq!(indexes.missing(n, 40), missing);
    }
}

#[test]
fn intervals_are_short() {
    let of = |all: &[i64]| Indexes::default().with(all.iter().copied()).to_string();
    assert_eq!(
        [of(&[]), of(&[3]), of(&[2, 1]), of(&[0, 1, 2, 5, 7, 8])],
        ["", "3", "1,2", "0-2,5,7,8"]
    );
    assert_eq!(Indexes::parse("0-999999999,x,7-3,-4", 1_000_000_000).len(), 1_000_000_000);
}

#[test]
fn a_job_fails_with_too_many_failures() {
    let mut world =
        World::new(job(json!({ "completions": 3, "parallelism": 2, "backoffLimit": 1 })));
    world.step(3);
    world.end(0, false);
    world.step(3);
    world.step(3);
    assert_eq!((world.number("failed"), world.conditions().len()), (1, 0));
    world.end(0, false);
    let plan = world.step(3);
    assert_eq!(plan.status.holds("FailureTarget").unwrap().reason, "BackoffLimitExceeded");
    while world.job["status"]["conditions"].as_array().unwrap().len() < 2 {
        world.step(3);
    }
    assert_eq!(world.conditions(), ["FailureTarget=True", "Failed=True"]);
    // Two failed by themselves, and the one that still ran failed with the Job.
    assert_eq!((world.number("failed"), world.number("succeeded")), (3, 0));
}

#[test]
fn failures_are_waited_for_longer_and_longer() {
    let job = job(json!({ "completions": 1, "backoffLimit": 20 }));
    for (n, pause) in [(1, 10), (2, 20), (3, 40), (7, 600), (15, 600)] {
        let pods: Vec<PodItem> = (0..n).map(|n| pod(n, "Failed", None)).collect();
        let early = at(&job, &pods, pause - 1);
        assert_eq!((early.create.len(), early.again), (0, Some(1)), "{n}");
        assert_eq!(at(&job, &pods, pause).create.len(), 1, "{n}");
    }
}

#[test]
fn a_deadline_ends_a_job_and_all_that_runs() {
    let mut world = World::new(job(json!({
        "completions": 3, "parallelism": 3, "activeDeadlineSeconds": 30,
    })));
    assert_eq!(world.step(3).again, Some(30));
    world.end(0, true);
    world.now += 29;
    assert_eq!(world.step(3).again, Some(1));
    world.now += 1;
    assert_eq!(world.step(3).delete.len(), 2);
    world.step(3);
    assert_eq!(world.conditions(), ["FailureTarget=True", "Failed=True"]);
    assert_eq!((world.number("failed"), world.number("succeeded")), (2, 1));
}

#[test]
fn a_suspended_job_has_no_pods_and_loses_nothing() {
    let mut world = World::new(job(json!({ "completions": 4, "parallelism": 2 })));
    world.step(3);
    world.end(0, true);
    world.step(3);
    world.job["spec"]["suspend"] = true.into();
    assert_eq!(world.step(3).tell.unwrap().1, "Suspended");
    world.step(3);
    world.step(3);
    world.step(3);
    assert_eq!(
        (world.number("active"), world.number("failed"), world.number("succeeded")),
        (0, 0, 1)
    );
    assert_eq!(world.job["status"].get("startTime"), None);
    world.job["spec"]["suspend"] = false.into();
    let plan = world.step(3);
    assert_eq!((plan.create.len(), plan.tell.unwrap().1), (2, "Resumed"));
    assert_eq!(world.conditions(), ["Suspended=False"]);
}

#[test]
fn restarts_count_where_pods_restart() {
    let mut one = copy(&pod(0, "Running", None));
    one.value.status.container_statuses.resize_with(1, Default::default);
    one.value.status.container_statuses[0].restart_count = 2;
    let pods = [Arc::new(one)];
    for (policy, limit, fails) in
        [("OnFailure", 2, true), ("OnFailure", 3, false), ("Never", 0, false)]
    {
        let template = json!({ "spec": { "restartPolicy": policy } });
        let job = job(json!({ "completions": 1, "backoffLimit": limit, "template": template }));
        let plan = at(&job, &pods, 5);
        assert_eq!(plan.status.holds("FailureTarget").is_some(), fails, "{policy} {limit}");
    }
}

#[test]
fn a_job_goes_when_its_time_is_over() {
    let mut job = job(json!({ "ttlSecondsAfterFinished": 60 }));
    job["status"]["conditions"] =
        json!([{ "type": "Complete", "status": "True", "lastTransitionTime": time(1000) }]);
    let early = at(&job, &[], 1059);
    assert_eq!((early.expired, early.again), (false, Some(1)));
    assert!(at(&job, &[], 1060).expired);
}

#[test]
fn a_job_that_is_deleted_lets_go_of_all_pods() {
    let pods = [pod(0, "Running", None), pod(1, "Failed", None), pod(2, "Succeeded", None)];
    let job = job(json!({ "completions": 3 }));
    let plan = plan(&Snapshot { job: &job, is_deleting: true, pods: &pods, now: 5 });
    assert_eq!((plan.release.len(), plan.create.len(), plan.delete.len()), (3, 0, 0));
}

#[test]
fn a_pod_knows_its_index() {
    let mut value = job(json!({ "template": { "spec": { "containers": [{ "name": "c" }] } } }));
    value["metadata"]["uid"] = "u".into();
    let meta = Meta { name: "j".into(), uid: "u".into(), ..Meta::default() };
    let item = Item { path: Path::new(Some("n"), "j").unwrap(), revision: 1, meta, value };
    let pod = pod_of(&item, Some(4), Some(Failures { counted: 2, ignored: 1 }));
    let said = |of: &str| {
        pod["metadata"]["annotations"][format!("batch.kubernetes.io/job-index-{of}failure-count")]
            .clone()
    };
    assert_eq!((said(""), said("ignored-")), (json!("2"), json!("1")));
    assert_eq!(pod["metadata"]["generateName"], "j-4-");
    assert_eq!(pod["spec"]["hostname"], "j-4");
    assert_eq!(pod["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(
        pod["spec"]["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
        "metadata.labels['batch.kubernetes.io/job-completion-index']"
    );
}

fn ended_with(n: usize, index: Option<i64>, status: Value) -> PodItem {
    let mut one = copy(&pod(n, "Failed", index));
    let mut value =
        json!({ "metadata": { "annotations": { super::INDEX: index.map(|it| it.to_string()) } } });
    value["status"] = status;
    value["status"]["phase"] = "Failed".into();
    one.meta.namespace = "n".into();
    one.value = Pod::deserialize(value).unwrap();
    Arc::new(one)
}

fn exited(n: usize, index: Option<i64>, code: i64) -> PodItem {
    let state = json!({ "terminated": { "exitCode": code, "finishedAt": time(0) } });
    ended_with(n, index, json!({ "containerStatuses": [{ "name": "c", "state": state }] }))
}

#[test]
fn failures_are_what_the_policy_says() {
    let policy = json!({ "rules": [
        { "action": "FailJob", "onExitCodes": { "containerName": "c", "operator": "In", "values": [42] } },
        { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
        { "action": "Count", "onExitCodes": { "operator": "NotIn", "values": [1, 2] } },
        { "action": "FailIndex", "onExitCodes": { "operator": "In", "values": [1] } },
    ] });
    let spec = json!({
        "completions": 3, "parallelism": 3, "backoffLimit": 0, "podFailurePolicy": policy,
        "podReplacementPolicy": "Failed",
    });
    let disrupted = json!({ "conditions": [{ "type": "DisruptionTarget", "status": "True" }] });
    // What is ignored is not counted, and what goes has not failed before it ended.
    let mut goes = copy(&pod(9, "Running", None));
    goes.meta.deletion_timestamp = Some(time(0).into());
    let pods = [ended_with(1, None, disrupted), Arc::new(goes)];
    let plan = at(&job(spec.clone()), &pods, 1000);
    assert_eq!((plan.status.uncounted_terminated_pods.failed.len(), plan.release.len()), (0, 1));
    assert!(plan.status.holds("FailureTarget").is_none());
    let plan = at(&job(spec.clone()), &[exited(1, None, 42)], 1000);
    let target = plan.status.holds("FailureTarget").unwrap();
    assert_eq!(
        (target.reason.as_str(), target.message.as_str()),
        (
            "PodFailurePolicy",
            "Container c for pod n/p1 failed with exit code 42 matching FailJob rule at index 0",
        )
    );
    let plan = at(&job(spec), &[exited(1, None, 7)], 1000);
    assert_eq!(plan.status.holds("FailureTarget").unwrap().reason, "BackoffLimitExceeded");
    let spec = json!({
        "completions": 3, "parallelism": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 5, "maxFailedIndexes": 1,
        "podFailurePolicy": policy,
    });
    let plan = at(&job(spec.clone()), &[exited(1, Some(1), 1)], 1000);
    assert_eq!((plan.status.failed_indexes.as_deref(), plan.create), (Some("1"), vec![Some(0)]));
    let both = [exited(1, Some(1), 1), exited(2, Some(2), 1)];
    let plan = at(&job(spec), &both, 1000);
    assert_eq!(plan.status.holds("FailureTarget").unwrap().reason, "MaxFailedIndexesExceeded");
}

#[test]
fn success_can_come_before_all_is_done() {
    for (rules, done, met) in [
        (json!([{ "succeededCount": 2 }]), vec![0, 3], Some(0)),
        (json!([{ "succeededCount": 2 }]), vec![3], None),
        (json!([{ "succeededCount": 9 }, { "succeededIndexes": "1,3-4" }]), vec![1, 3, 4], Some(1)),
        (json!([{ "succeededIndexes": "1,3-4" }]), vec![0, 1, 3], None),
        (json!([{ "succeededIndexes": "1,3-4", "succeededCount": 1 }]), vec![0, 4], Some(0)),
        (json!([{ "succeededIndexes": "1,3-4", "succeededCount": 1 }]), vec![0, 2], None),
    ] {
        let mut world = World::new(job(json!({
            "completions": 6, "parallelism": 6, "completionMode": "Indexed", "successPolicy": { "rules": rules },
        })));
        world.step(3);
        for index in done {
            let pod = &world.pods[usize::try_from(index).unwrap()];
            let uid = pod.meta.uid.to_string();
            world.change(&uid, |pod| pod.value.status.phase = "Succeeded".into());
        }
        let plan = world.step(3);
        let said = plan.status.holds("SuccessCriteriaMet").map(|one| one.message.clone());
        assert_eq!(said, met.map(|at| format!("Matched rules at index {at}")), "{rules}");
        if met.is_some() {
            // Those that still ran go, and are no failures.
            world.step(3);
            assert_eq!(world.conditions(), ["SuccessCriteriaMet=True", "Complete=True"]);
            assert_eq!(world.number("failed"), 0);
        }
    }
}
