use super::taints;
use serde_json::{Value, json};

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
