use super::plan::{Snapshot, plan};
use crate::pod::{Condition, Pod, PodItem};
use moat_informer::{Item, Meta};
use moat_store::Path;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn pod(at: usize, phase: &str, ready: bool, node: &str, deleting: bool) -> PodItem {
    let mut value = Pod::default();
    value.status.phase = phase.into();
    value.spec.node_name = node.into();
    if ready {
        value.status.conditions.push(Condition {
            kind: "Ready".into(),
            reason: Box::default(),
            status: "True".into(),
            last_transition_time: Some("1970-01-01T00:00:10Z".into()),
        });
    }
    let mut meta = Meta { name: format!("p{at}").into(), ..Meta::default() };
    if deleting {
        meta.deletion_timestamp = Some("1970-01-01T00:00:20Z".into());
    }
    Arc::new(Item { path: Path::new(Some("n"), &meta.name).unwrap(), revision: 1, meta, value })
}

proptest! {
    /// After a plan there are as many pods as are wanted, as far as one burst goes; and no pod goes while a less useful one stays.
    #[test]
    fn a_plan_leads_to_what_is_wanted(
        wanted in 0_usize..20,
        pods in proptest::collection::vec((0_usize..4, any::<bool>(), 0_usize..3, any::<bool>()), 0..30),
    ) {
        let phases = ["Pending", "Running", "Succeeded", "Failed"];
        let nodes = ["", "a", "b"];
        let pods: Vec<PodItem> = pods.iter().enumerate().map(|(at, (phase, ready, node, deleting))| {
            pod(at, phases[*phase], *ready && *phase == 1, nodes[*node], *deleting)
        }).collect();
        let set = json!({ "spec": { "replicas": wanted }, "status": { "replicas": 0 } });
        let plan = plan(&Snapshot { set: &set, is_deleting: false, pods: &pods, now: 100 });
        let active: Vec<&PodItem> =
            pods.iter().filter(|pod| !pod.meta.is_deleting() && !pod.value.is_over()).collect();
        prop_assert_eq!(active.len() + plan.create - plan.delete.len(), wanted);
        prop_assert!(plan.create == 0 || plan.delete.is_empty());
        let gone = |pod: &&&PodItem| plan.delete.iter().any(|one| one.path == pod.path);
        let bound = |pod: &&&PodItem| !pod.value.spec.node_name.is_empty();
        if active.iter().filter(gone).any(|pod| bound(&pod)) {
            prop_assert!(active.iter().filter(|pod| !gone(pod)).all(|pod| bound(&pod)));
        }
        let status = plan.status.unwrap_or_else(|| set["status"].clone());
        prop_assert_eq!(status["replicas"].as_u64(), Some(active.len() as u64));
        let ready = active.iter().filter(|pod| pod.value.is_ready()).count() as u64;
        prop_assert_eq!(status["readyReplicas"].as_u64().unwrap_or(0), ready);
    }
}

#[test]
fn a_pod_is_available_when_it_was_ready_long_enough() {
    let pods = [pod(0, "Running", true, "a", false)];
    let set =
        json!({ "spec": { "replicas": 1, "minReadySeconds": 30 }, "status": { "replicas": 0 } });
    let at = |now| plan(&Snapshot { set: &set, is_deleting: false, pods: &pods, now });
    let early = at(25);
    assert_eq!((early.again, early.status.unwrap().get("availableReplicas")), (Some(15), None));
    let late = at(40);
    assert_eq!((late.again, late.status.unwrap()["availableReplicas"].clone()), (None, json!(1)));
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let pods = [pod(0, "Running", true, "a", false)];
    let mut set =
        json!({ "metadata": { "generation": 3 }, "spec": { "replicas": 1 }, "status": {} });
    let first = plan(&Snapshot { set: &set, is_deleting: false, pods: &pods, now: 40 });
    set["status"] = first.status.unwrap();
    let second = plan(&Snapshot { set: &set, is_deleting: false, pods: &pods, now: 40 });
    assert!(second.status.is_none() && second.create == 0 && second.delete.is_empty());
}
