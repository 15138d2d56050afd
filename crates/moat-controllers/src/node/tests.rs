use super::health::{Health, State, is_without_agent, lost, no_execute, spacing, state, zone};
use super::stay::{Stay, stay};
use super::taints::taints;
use serde_json::{Value, json};
use std::time::Duration;

fn node(conditions: &[(&str, &str)], unschedulable: bool, taints: Value) -> Value {
    let all: Vec<Value> =
        conditions.iter().map(|(kind, status)| json!({ "type": kind, "status": status })).collect();
    json!({ "spec": { "unschedulable": unschedulable, "taints": taints }, "status": { "conditions": all } })
}

fn keys(node: &Value) -> Option<Vec<String>> {
    let short = |taint: &Value| {
        taint["key"].as_str().unwrap().trim_start_matches("node.kubernetes.io/").to_owned()
    };
    taints(node).map(|all| all.iter().map(short).collect())
}

#[test]
fn taints_are_as_conditions_say() {
    let of = |conditions: &[(&str, &str)], unschedulable| {
        keys(&node(conditions, unschedulable, json!([]))).unwrap_or_default()
    };
    assert_eq!(of(&[], false), ["not-ready"]);
    assert_eq!(of(&[("Ready", "False")], false), ["not-ready"]);
    assert_eq!(of(&[("Ready", "Unknown")], true), ["unreachable", "unschedulable"]);
    assert_eq!(
        of(&[("Ready", "True"), ("DiskPressure", "True"), ("PIDPressure", "False")], false),
        ["disk-pressure"]
    );
    assert!(of(&[("Ready", "True")], false).is_empty());
}

#[test]
fn others_taints_stay_and_what_is_right_is_left_alone() {
    let other = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoExecute" });
    let own = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
    let both = json!([other, own]);
    assert_eq!(taints(&node(&[("Ready", "False")], false, both.clone())), None);
    assert_eq!(taints(&node(&[("Ready", "True")], false, both)), Some(vec![other]));
}

#[test]
fn a_node_is_silent_since_its_last_sign_of_life() {
    let second = Duration::from_secs(1);
    let mut health = Health::default();
    assert_eq!(health.silent("n", "a", second * 10), Duration::ZERO);
    assert_eq!(health.silent("n", "a", second * 60), second * 50);
    assert_eq!(health.silent("n", "b", second * 61), Duration::ZERO);
    // Who was not heard because nobody was there to hear is not blamed.
    health.forgive(second * 100);
    assert_eq!(health.silent("n", "b", second * 101), second);
    health.retain(|name| name != "n");
    assert_eq!(health.silent("n", "b", second * 300), Duration::ZERO);
}

#[test]
fn conditions_of_a_lost_node_are_unknown() {
    let silent = json!({
        "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
        "status": { "conditions": [
            { "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "2026-01-01T00:00:01Z", "lastTransitionTime": "2026-01-01T00:00:01Z" },
            { "type": "NetworkUnavailable", "status": "False" },
            { "type": "DiskPressure", "status": "Unknown", "reason": "Other" },
        ] },
    });
    let conditions = lost(&silent, "2026-01-01T00:01:00Z").unwrap();
    let shown: Vec<String> = conditions
        .iter()
        .map(|one| {
            let of = |field: &str| one[field].as_str().unwrap_or("-").to_owned();
            [of("type"), of("status"), of("reason"), of("lastTransitionTime")].join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "Ready Unknown NodeStatusUnknown 2026-01-01T00:01:00Z",
            "NetworkUnavailable False - -",
            "DiskPressure Unknown Other -",
            "MemoryPressure Unknown NodeStatusNeverUpdated 2026-01-01T00:01:00Z",
            "PIDPressure Unknown NodeStatusNeverUpdated 2026-01-01T00:01:00Z",
        ]
    );
    let known = json!({ "status": { "conditions": conditions } });
    assert_eq!(lost(&known, "2026-01-01T00:02:00Z"), None);
}

#[test]
fn zones_slow_down_where_many_are_lost() {
    let every = Duration::from_secs(10);
    assert_eq!(
        [state(3, 0), state(9, 2), state(0, 1)],
        [State::Normal, State::Normal, State::Full]
    );
    assert_eq!(
        [state(2, 3), state(3, 3), state(1, 2)],
        [State::Partial, State::Normal, State::Normal]
    );
    assert_eq!(spacing(State::Normal, 5, every), Some(every));
    assert_eq!(spacing(State::Partial, 50, every), None);
    assert_eq!(spacing(State::Partial, 51, every), Some(every * 10));
    let node = json!({ "metadata": { "labels": { "topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r" } } });
    assert_eq!((zone(&node), zone(&json!({}))), ("r:z".to_owned(), ":".to_owned()));
}

#[test]
fn evicting_taints_follow_readiness() {
    let own = |key: &str| json!({ "key": format!("node.kubernetes.io/{key}"), "effect": "NoExecute", "timeAdded": "then" });
    let other = json!({ "key": "mine", "effect": "NoExecute" });
    let ready = |status: &str, taints: Value| node(&[("Ready", status)], false, taints);
    let of = |node: &Value, may_add| no_execute(node, may_add, "now");
    assert_eq!(of(&ready("True", json!([other])), true), None);
    assert_eq!(
        of(&ready("True", json!([own("not-ready"), other])), false),
        Some(vec![other.clone()])
    );
    assert_eq!(of(&ready("False", json!([])), false), None);
    let added =
        json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "now" });
    assert_eq!(of(&ready("False", json!([])), true), Some(vec![added]));
    assert_eq!(of(&ready("Unknown", json!([own("unreachable")])), true), None);
    // It is tainted already: what the taint is called may change at once.
    let changed = json!({ "key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "then" });
    assert_eq!(of(&ready("Unknown", json!([own("not-ready")])), false), Some(vec![changed]));
}

#[test]
fn a_pod_stays_as_long_as_it_tolerates_all_taints() {
    let taint = |key: &str, since: i64| {
        (
            moat_scheduler::Taint {
                key: key.into(),
                value: "".into(),
                effect: moat_scheduler::Effect::NoExecute,
            },
            since,
        )
    };
    let spec = |tolerations: Value| json!({ "tolerations": tolerations });
    let of = |taints: &[(&str, i64)], tolerations: Value| {
        let taints: Vec<_> = taints.iter().map(|(key, since)| taint(key, *since)).collect();
        stay(&taints, &spec(tolerations))
    };
    let both = json!([
        { "key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
        { "key": "b", "operator": "Exists", "tolerationSeconds": 20 },
    ]);
    assert_eq!(of(&[("a", 1000)], both.clone()), Stay::Until(1300));
    assert_eq!(of(&[("a", 1000), ("b", 1100)], both.clone()), Stay::Until(1120));
    assert_eq!(of(&[("a", 1000), ("c", 1100)], both), Stay::Not);
    assert_eq!(of(&[("a", 1000)], json!([{ "operator": "Exists" }])), Stay::Forever);
    assert_eq!(
        of(&[("a", 1000)], json!([{ "key": "a", "operator": "Exists", "effect": "NoSchedule" }])),
        Stay::Not
    );
    // Of two that fit, the one with less time counts, as upstream has it.
    let twice = json!([{ "operator": "Exists" }, { "key": "a", "operator": "Exists", "tolerationSeconds": -5 }]);
    assert_eq!(of(&[("a", 1000)], twice), Stay::Until(1000));
    assert_eq!(of(&[], json!([])), Stay::Forever);
}

#[test]
fn a_node_without_an_agent_is_not_lost() {
    let of = |status: &str, reason: &str| {
        is_without_agent(
            &json!({ "status": { "conditions": [{ "type": "Ready", "status": status, "reason": reason }] } }),
        )
    };
    assert!(of("False", "NoNodeAgent"));
    assert!(
        !of("True", "NoNodeAgent")
            && !of("False", "KubeletNotReady")
            && !of("Unknown", "NoNodeAgent")
    );
    assert!(!is_without_agent(&json!({})));
}
