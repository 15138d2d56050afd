//! Random worlds, small enough that everything happens often: few labels, few values, little room.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn set(object: &mut Value, field: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[field] = value.into();
    }
}

fn labels() -> impl Strategy<Value = Value> {
    (0..3_u8, weighted(0.3, 0..2_u8)).prop_map(|(app, tier)| {
        let mut labels = json!({"app": format!("a{app}")});
        if let Some(tier) = tier {
            labels["tier"] = format!("t{tier}").into();
        }
        labels
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("kubernetes.io/hostname"), Just("zone"), Just("rack")]
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (0..3_u8).prop_map(|app| json!({"matchLabels": {"app": format!("a{app}")}})),
        2 => (0..2_u8).prop_map(|tier| json!({"matchLabels": {"tier": format!("t{tier}")}})),
        1 => Just(json!({})),
    ]
}

/// A node: zone and rack may be missing, there is room for a few pods.
pub(crate) fn node(at: usize) -> impl Strategy<Value = Value> {
    let taint = prop_oneof![Just("NoSchedule"), Just("NoExecute"), Just("PreferNoSchedule")];
    (
        weighted(0.8, 0..3_u8),
        weighted(0.5, 0..2_u8),
        1..6_i64,
        2..8_i64,
        1..5_i64,
        weighted(0.25, (0..2_u8, taint)),
        prop::bool::weighted(0.1),
    )
        .prop_map(move |(zone, rack, cpu, memory, pods, taint, cordoned)| {
            let mut labels = Map::new();
            labels.insert("kubernetes.io/hostname".into(), format!("n{at}").into());
            zone.map(|zone| labels.insert("zone".into(), format!("z{zone}").into()));
            rack.map(|rack| labels.insert("rack".into(), format!("r{rack}").into()));
            let taints: Vec<Value> = taint
                .map(|(key, effect)| json!({"key": format!("k{key}"), "value": "v", "effect": effect}))
                .into_iter()
                .collect();
            json!({"metadata": {"name": format!("n{at}"), "labels": labels},
                "spec": {"taints": taints, "unschedulable": cordoned},
                "status": {"allocatable": {"cpu": cpu.to_string(), "memory": (memory << 28).to_string(), "pods": pods.to_string()}}})
        })
}

pub(crate) fn nodes() -> impl Strategy<Value = Vec<Value>> {
    (1..7_usize).prop_flat_map(|count| (0..count).map(node).collect::<Vec<_>>())
}

fn term() -> impl Strategy<Value = Value> {
    let scope = prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)];
    (key(), selector(), scope).prop_map(|(key, selector, scope)| {
        let mut term = json!({"topologyKey": key, "labelSelector": selector});
        match scope {
            1 => term["namespaceSelector"] = json!({}),
            2 => term["namespaces"] = json!(["other"]),
            _ => {}
        }
        term
    })
}

fn wishes() -> impl Strategy<Value = Value> {
    vec((1..100_i64, term()), 0..2).prop_map(|all| {
        all.into_iter()
            .map(|(weight, term)| json!({"weight": weight, "podAffinityTerm": term}))
            .collect()
    })
}

fn affinity() -> impl Strategy<Value = Value> {
    let side = || (vec(term(), 0..2), wishes());
    (weighted(0.4, side()), weighted(0.4, side()), weighted(0.3, (0..3_u8, 1..100_i64))).prop_map(|(near, far, zone)| {
        let part = |side: Option<(Vec<Value>, Value)>| {
            side.map_or(Value::Null, |(must, may)| {
                json!({"requiredDuringSchedulingIgnoredDuringExecution": must,
                    "preferredDuringSchedulingIgnoredDuringExecution": may})
            })
        };
        let wish = zone.map_or(Value::Null, |(zone, weight)| {
            let expression = json!({"key": "zone", "operator": "NotIn", "values": [format!("z{zone}")]});
            json!({"preferredDuringSchedulingIgnoredDuringExecution":
                [{"weight": weight, "preference": {"matchExpressions": [expression]}}]})
        });
        let mut all = json!({"podAffinity": part(near), "podAntiAffinity": part(far), "nodeAffinity": wish});
        if let Value::Object(all) = &mut all {
            all.retain(|_, value| !value.is_null());
        }
        all
    })
}

fn spread() -> impl Strategy<Value = Value> {
    let when = prop_oneof![Just("DoNotSchedule"), Just("ScheduleAnyway")];
    let policy = || weighted(0.3, prop_oneof![Just("Honor"), Just("Ignore")]);
    let one = (key(), selector(), when, 1..3_i64, weighted(0.3, 1..4_i64), policy(), policy()).prop_map(
        |(key, selector, when, skew, domains, affinity, taints)| {
            let mut one = json!({"topologyKey": key, "labelSelector": selector, "whenUnsatisfiable": when, "maxSkew": skew});
            if let Some(domains) = domains.filter(|_| when == "DoNotSchedule") {
                one["minDomains"] = domains.into();
            }
            set(&mut one, "nodeAffinityPolicy", affinity);
            set(&mut one, "nodeTaintsPolicy", taints);
            one
        },
    );
    vec(one, 0..3).prop_map(Value::Array)
}

/// A pod that is nowhere yet.
pub(crate) fn pod(at: usize) -> impl Strategy<Value = Value> {
    let small = (weighted(0.7, 0..3_i64), weighted(0.5, 0..3_i64), weighted(0.15, 80..82_i64));
    (
        labels(),
        prop::bool::weighted(0.15),
        small,
        weighted(0.5, affinity()),
        weighted(0.4, spread()),
        weighted(0.2, 0..3_u8),
        weighted(0.3, (0..2_u8, any::<bool>())),
        0..4_i64,
        weighted(0.8, 0..50_u8),
    )
        .prop_map(move |(labels, other, (cpu, memory, port), affinity, spread, zone, tolerated, priority, started)| {
            let mut requests = json!({});
            set(&mut requests, "cpu", cpu.map(|cpu| cpu.to_string()));
            set(&mut requests, "memory", memory.map(|memory| (memory << 28).to_string()));
            let ports: Vec<Value> = port.map(|port| json!({"hostPort": port})).into_iter().collect();
            let mut spec = json!({"containers": [{"resources": {"requests": requests}, "ports": ports}],
                "priority": priority});
            set(&mut spec, "affinity", affinity);
            set(&mut spec, "topologySpreadConstraints", spread);
            set(&mut spec, "nodeSelector", zone.map(|zone| json!({"zone": format!("z{zone}")})));
            if let Some((key, exists)) = tolerated {
                let mut one = json!({"key": format!("k{key}"), "value": "v"});
                if exists {
                    one = json!({"operator": "Exists"});
                }
                spec["tolerations"] = json!([one]);
            }
            let mut status = json!({});
            set(&mut status, "startTime", started.map(|second| format!("2026-01-01T00:00:{second:02}Z")));
            let namespace = if other { "other" } else { "default" };
            json!({"metadata": {"namespace": namespace, "name": format!("p{at}"), "uid": format!("u{at}"), "labels": labels},
                "spec": spec, "status": status})
        })
}

pub(crate) fn pods(max: usize) -> impl Strategy<Value = Vec<Value>> {
    (1..=max).prop_flat_map(|count| (0..count).map(pod).collect::<Vec<_>>())
}
