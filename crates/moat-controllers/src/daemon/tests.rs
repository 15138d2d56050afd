use super::plan::{Fit, HASH, Plan, Snapshot, fit, plan};
use super::{pod as pod_for, template};
use crate::json::time;
use crate::pod::{Pod, PodItem};
use moat_informer::{Item, Meta};
use moat_store::Path;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

fn node(name: &str, labels: Value, taints: Value) -> Arc<Item<Value>> {
    let meta = Meta { name: name.into(), ..Meta::default() };
    let value =
        json!({ "metadata": { "name": name, "labels": labels }, "spec": { "taints": taints } });
    Arc::new(Item { path: Path::new(None, name).unwrap(), revision: 1, meta, value })
}

fn pod(name: &str, node: &str, hash: &str, phase: &str, ready: bool) -> PodItem {
    let item = item(json!({}));
    let mut value = pod_for(&item, node, hash);
    value["status"] = json!({ "phase": phase });
    if ready {
        value["status"]["conditions"] =
            json!([{ "type": "Ready", "status": "True", "lastTransitionTime": time(10) }]);
    }
    let meta = Meta {
        name: name.into(),
        creation_timestamp: time(0).into(),
        labels: [(HASH.into(), hash.into())].into_iter().collect(),
        ..Meta::default()
    };
    let path = Path::new(Some("n"), name).unwrap();
    Arc::new(Item { path, revision: 1, meta, value: Pod::deserialize(value).unwrap() })
}

fn item(spec: Value) -> Item<Value> {
    let meta = Meta { name: "d".into(), ..Meta::default() };
    let value = json!({ "metadata": { "name": "d" }, "spec": spec });
    Item { path: Path::new(Some("n"), "d").unwrap(), revision: 1, meta, value }
}

fn daemon(max_unavailable: Value) -> Value {
    json!({ "spec": { "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": max_unavailable } } } })
}

fn at(daemon: &Value, nodes: &[Arc<Item<Value>>], pods: &[PodItem]) -> Plan {
    plan(&Snapshot { daemon, is_deleting: false, nodes, pods, hash: "new", now: 100 })
}

#[test]
fn a_pod_is_for_one_node_and_stays_there() {
    let pod = pod("p", "a", "new", "Running", true);
    assert_eq!(pod.value.target(), Some("a"));
    let made = pod_for(&item(json!({ "template": { "spec": { "hostNetwork": true } } })), "a", "h");
    let keys: Vec<&str> = made["spec"]["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["key"].as_str().unwrap().trim_start_matches("node.kubernetes.io/"))
        .collect();
    let wanted = [
        "not-ready",
        "unreachable",
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
        "network-unavailable",
    ];
    assert_eq!(keys, wanted);
}

#[test]
fn nodes_are_for_it_by_name_labels_and_taints() {
    let taint = |key: &str, effect: &str| json!([{ "key": key, "effect": effect }]);
    let of = |spec: Value, labels: Value, taints: Value| {
        let template = template(&json!({ "spec": { "template": { "spec": spec } } }));
        fit(&template, &moat_scheduler::Pod::read(&template), &node("a", labels, taints).value)
    };
    let none = || json!({});
    assert_eq!(of(none(), none(), json!([])), Fit::Runs);
    assert_eq!(of(json!({ "nodeName": "b" }), none(), json!([])), Fit::Never);
    let linux = json!({ "nodeSelector": { "os": "linux" } });
    assert_eq!(of(linux.clone(), json!({ "os": "linux" }), json!([])), Fit::Runs);
    assert_eq!(of(linux, none(), json!([])), Fit::Never);
    assert_eq!(of(none(), none(), taint("x", "NoSchedule")), Fit::Keeps);
    assert_eq!(of(none(), none(), taint("x", "NoExecute")), Fit::Never);
    assert_eq!(of(none(), none(), taint("x", "PreferNoSchedule")), Fit::Runs);
    let lost = taint("node.kubernetes.io/unreachable", "NoExecute");
    assert_eq!(of(none(), none(), lost), Fit::Runs);
    let new = taint("node.kubernetes.io/not-ready", "NoSchedule");
    assert_eq!(of(none(), none(), new), Fit::Keeps);
    let tolerant = json!({ "tolerations": [{ "operator": "Exists" }] });
    assert_eq!(of(tolerant, none(), taint("x", "NoExecute")), Fit::Runs);
}

#[test]
fn what_is_too_much_or_ended_goes() {
    let nodes = [node("a", json!({}), json!([])), node("b", json!({}), json!([]))];
    let pods = [
        pod("a1", "a", "new", "Running", true),
        pod("a2", "a", "new", "Running", true),
        pod("b1", "b", "new", "Failed", false),
        pod("c1", "c", "new", "Pending", false),
    ];
    let plan = at(&daemon(json!(1)), &nodes, &pods);
    let gone: Vec<&str> = plan.delete.iter().map(|pod| &*pod.meta.name).collect();
    assert_eq!((gone, plan.ended.len(), plan.create.len()), (vec!["a2", "b1", "c1"], 1, 0));
    let snapshot = Snapshot {
        daemon: &daemon(json!(1)),
        is_deleting: false,
        nodes: &nodes,
        pods: &pods,
        hash: "new",
        now: 4,
    };
    // It ended four seconds after it was made: another one so soon would end as soon.
    assert_eq!(
        (super::plan::plan(&snapshot).ended.len(), super::plan::plan(&snapshot).again),
        (0, Some(6))
    );
}

proptest! {
    /// A rollout never leaves more nodes without an available pod than it may, beyond those that are without anyway, and it ends.
    #[test]
    fn a_rollout_keeps_its_promise(
        n_nodes in 1_usize..10,
        max in 1_i64..4,
        steps in proptest::collection::vec((any::<bool>(), 0_usize..10), 0..40),
    ) {
        let nodes: Vec<_> = (0..n_nodes).map(|n| node(&format!("n{n}"), json!({}), json!([]))).collect();
        let mut pods: Vec<PodItem> =
            (0..n_nodes).map(|n| pod(&format!("old{n}"), &format!("n{n}"), "old", "Running", true)).collect();
        let daemon = daemon(json!(max));
        let mut n_made = 0;
        let rest = (0..10 * n_nodes).flat_map(|n| [(true, 0), (false, n)]);
        for (syncs, which) in steps.into_iter().chain(rest) {
            if syncs {
                let plan = at(&daemon, &nodes, &pods);
                pods.retain(|pod| plan.delete.iter().all(|gone| gone.path != pod.path));
                for node in plan.create {
                    n_made += 1;
                    pods.push(pod(&format!("new{n_made}"), &node, "new", "Pending", false));
                }
            } else if !pods.is_empty() {
                let which = which % pods.len();
                let (name, node) = (pods[which].meta.name.clone(), pods[which].value.target().unwrap().to_owned());
                let hash = pods[which].meta.label(HASH).unwrap().to_owned();
                pods[which] = pod(&name, &node, &hash, "Running", true);
            }
            let available = pods.iter().filter(|pod| pod.value.is_ready()).count();
            prop_assert!(n_nodes.saturating_sub(usize::try_from(max).unwrap()) <= available);
            prop_assert!(pods.len() <= n_nodes);
        }
        prop_assert!(pods.len() == n_nodes && pods.iter().all(|pod| pod.meta.label(HASH) == Some("new")));
        let status = at(&daemon, &nodes, &pods).status;
        prop_assert_eq!(status["updatedNumberScheduled"].as_u64(), Some(n_nodes as u64));
        prop_assert_eq!(status.get("numberUnavailable"), None);
    }
}
