use super::plan::{Expected, Plan, Snapshot, plan};
use crate::json::time;
use crate::pod::PodItem;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn pod(name: &str, ready: bool, deleting: bool) -> PodItem {
    let status = if ready { "True" } else { "False" };
    let mut metadata = json!({ "name": name, "namespace": "default", "uid": name });
    if deleting {
        metadata["deletionTimestamp"] = time(NOW).into();
    }
    let value = json!({ "metadata": metadata, "status": { "conditions": [{ "type": "Ready", "status": status }] } });
    crate::testing::item(&value)
}

fn budget(spec: &Value, status: &Value) -> Value {
    json!({ "metadata": { "name": "b", "generation": 3 }, "spec": spec, "status": status })
}

fn of(spec: &Value, status: &Value, pods: &[PodItem], n: i64) -> Plan {
    let expected = Ok(Expected { n, strays: false });
    plan(&Snapshot { budget: &budget(spec, status), pods, expected, now: NOW })
}

fn numbers(plan: &Plan) -> [i64; 4] {
    ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]
        .map(|field| plan.status[field].as_i64().unwrap())
}

#[test]
fn numbers_are_upstreams() {
    let pods: Vec<PodItem> = (0..10).map(|n| pod(&format!("p{n}"), n < 8, false)).collect();
    let of = |spec: Value, n| numbers(&of(&spec, &Value::Null, &pods, n));
    assert_eq!(of(json!({ "minAvailable": 7 }), 0), [1, 8, 7, 10]);
    assert_eq!(of(json!({ "minAvailable": 9 }), 0), [0, 8, 9, 10]);
    // Half of eleven, rounded up; it is the owners' number that counts.
    assert_eq!(of(json!({ "minAvailable": "50%" }), 11), [2, 8, 6, 11]);
    assert_eq!(of(json!({ "maxUnavailable": 3 }), 10), [1, 8, 7, 10]);
    assert_eq!(of(json!({ "maxUnavailable": "25%" }), 10), [1, 8, 7, 10]);
    assert_eq!(of(json!({ "maxUnavailable": 20 }), 10), [8, 8, 0, 10]);
    assert_eq!(of(json!({ "maxUnavailable": 3 }), 0), [0, 8, 0, 0]);
}

#[test]
fn promised_evictions_count_as_gone_until_they_are_overdue() {
    let pods = [pod("a", true, false), pod("b", true, false), pod("c", true, true)];
    let spec = json!({ "minAvailable": 1 });
    let status =
        json!({ "disruptedPods": { "a": time(NOW - 20), "c": time(NOW), "z": time(NOW) } });
    let soon = of(&spec, &status, &pods, 0);
    assert_eq!(numbers(&soon), [0, 1, 1, 3]);
    assert_eq!(soon.status["disruptedPods"], json!({ "a": time(NOW - 20) }));
    assert_eq!(soon.again, Some(101));
    let status = json!({ "disruptedPods": { "a": time(NOW - 121) } });
    let late = of(&spec, &status, &pods, 0);
    assert_eq!(numbers(&late), [1, 2, 1, 3]);
    assert_eq!(late.stayed, ["a".into()]);
    assert_eq!(late.status.get("disruptedPods"), None);
}

#[test]
fn a_promise_holds_to_its_last_second_and_a_condition_has_the_time_of_its_change() {
    let pods = [pod("a", true, false), pod("b", true, false)];
    let spec = json!({ "minAvailable": 1 });
    let last = of(&spec, &json!({ "disruptedPods": { "a": time(NOW - 120) } }), &pods, 0);
    assert_eq!((last.stayed.len(), last.again), (0, Some(1)));
    let since = |status: &str| {
        let old = json!({ "type": "DisruptionAllowed", "status": status, "lastTransitionTime": time(NOW - 500) });
        let plan = of(&spec, &json!({ "conditions": [old] }), &pods, 0);
        plan.status["conditions"][0]["lastTransitionTime"].clone()
    };
    assert_eq!((since("True"), since("False")), (time(NOW - 500).into(), time(NOW).into()));
}

#[test]
fn what_cannot_be_counted_allows_nothing() {
    let old = json!({ "disruptionsAllowed": 4, "currentHealthy": 5 });
    let budget = budget(&json!({ "maxUnavailable": 1 }), &old);
    let why = "found no controllers for pod \"p\"".to_owned();
    let plan = plan(&Snapshot { budget: &budget, pods: &[], expected: Err(why.clone()), now: NOW });
    assert_eq!(plan.status["disruptionsAllowed"], 0);
    assert_eq!(plan.status["conditions"][0]["reason"], "SyncFailed");
    assert_eq!(plan.status["conditions"][0]["message"], why);
}

proptest! {
    /// However pods are, evicting as many as are allowed leaves as many healthy ones as are desired; and a plan is what it leads to.
    #[test]
    fn enough_stay(ready in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..12), asked in 0..12_i64, share: bool, max: bool) {
        let pods: Vec<PodItem> = ready.iter().enumerate().map(|(n, (ready, deleting))| pod(&format!("p{n}"), *ready, *deleting)).collect();
        let n = i64::try_from(pods.len()).unwrap();
        let amount = if share { json!(format!("{}%", asked * 9)) } else { json!(asked) };
        let spec = if max { json!({ "maxUnavailable": amount }) } else { json!({ "minAvailable": amount }) };
        let first = of(&spec, &Value::Null, &pods, n);
        let [allowed, healthy, desired, expected] = numbers(&first);
        prop_assert!(0 <= allowed && (allowed == 0 || desired <= healthy - allowed));
        prop_assert!(!max || allowed <= n);
        prop_assert_eq!(expected, n);
        let again = of(&spec, &first.status, &pods, n);
        prop_assert_eq!(again.status, first.status);
    }
}

#[test]
fn what_was_said_of_a_pod_is_stale_only_where_it_stays() {
    let pod = |status: Value, deleting: bool| {
        let mut metadata = json!({ "name": "p", "namespace": "default", "uid": "u" });
        if deleting {
            metadata["deletionTimestamp"] = time(NOW).into();
        }
        super::stale::since(&crate::testing::item(
            &json!({ "metadata": metadata, "status": status }),
        ))
    };
    let said = |status: &str, reason: &str| json!({ "type": "DisruptionTarget", "status": status, "reason": reason, "lastTransitionTime": time(NOW) });
    let status =
        |phase: &str, condition: Value| json!({ "phase": phase, "conditions": [condition] });
    let usual = said("True", "EvictionByEvictionAPI");
    assert_eq!(pod(status("Running", usual.clone()), false), Some(NOW));
    assert_eq!(pod(status("Running", usual.clone()), true), None);
    assert_eq!(pod(status("Succeeded", usual), false), None);
    assert_eq!(pod(status("Running", said("False", "")), false), None);
    assert_eq!(pod(status("Running", said("True", "TerminationByKubelet")), false), None);
    assert_eq!(pod(json!({}), false), None);
}
