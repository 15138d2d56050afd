use super::plan::{PER_SLICE, arrange, desired};
use crate::pod::{Condition, Container, Pod, PodItem, Port};
use moat_informer::{Item, Meta};
use moat_store::Path;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn pod(at: usize, ready: bool, port: i64, deleting: bool) -> PodItem {
    let mut value = Pod::default();
    value.status.phase = "Running".into();
    value.status.pod_ip = format!("10.0.{}.{}", at / 250, at % 250 + 1).into();
    value.spec.node_name = "n".into();
    let own = Port { name: "web".into(), container_port: port, protocol: "TCP".into() };
    value.spec.containers = vec![Container { ports: vec![own] }];
    if ready {
        value.status.conditions = vec![Condition {
            kind: "Ready".into(),
            reason: Box::default(),
            status: "True".into(),
            last_transition_time: None,
        }];
    }
    let name: Box<str> = format!("p{at}").into();
    let deletion_timestamp = deleting.then(|| "2026-01-01T00:00:00Z".into());
    let meta = Meta {
        uid: format!("u{at}").into(),
        name: name.clone(),
        deletion_timestamp,
        ..Meta::default()
    };
    Arc::new(Item { path: Path::new(Some("d"), &name).unwrap(), revision: 1, meta, value })
}

fn service() -> Value {
    json!({
        "metadata": { "name": "s" },
        "spec": { "ipFamilies": ["IPv4"], "ports": [{ "port": 80, "protocol": "TCP", "targetPort": "web" }] },
    })
}

#[test]
fn endpoints_say_what_their_pods_are() {
    let pods = [pod(0, true, 8080, false), pod(1, false, 8080, false), pod(2, true, 8080, true)];
    let found = desired(&service(), &pods);
    let (ports, endpoints) = found.values().next().unwrap();
    assert_eq!(ports, &[json!({ "name": "", "port": 8080, "protocol": "TCP" })]);
    let conditions: Vec<String> =
        endpoints.values().map(|one| one["conditions"].to_string()).collect();
    assert_eq!(
        conditions,
        [
            r#"{"ready":true,"serving":true,"terminating":false}"#,
            r#"{"ready":false,"serving":false,"terminating":false}"#,
            r#"{"ready":false,"serving":true,"terminating":true}"#,
        ]
    );
    let old = super::plan::subsets(&service(), &found);
    assert_eq!(old[0]["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(old[0]["notReadyAddresses"].as_array().unwrap().len(), 1);
}

proptest! {
    /// Whatever slices there were: afterwards each endpoint is in one slice of its ports, no slice is too long, and a second look changes nothing.
    #[test]
    fn slices_end_as_they_should_and_stay(
        before in proptest::collection::vec((0_usize..400, 0_i64..2), 0..300),
        after in proptest::collection::vec((0_usize..400, any::<bool>(), 0_i64..2), 0..300),
    ) {
        let mut slices: Vec<Value> = Vec::new();
        let mut apply = |pods: &[PodItem]| {
            let values: Vec<&Value> = slices.iter().collect();
            let changes = arrange(desired(&service(), pods), &values);
            let quiet = changes == super::plan::Changes::default();
            for (at, endpoints) in changes.update {
                slices[at]["endpoints"] = endpoints.into();
            }
            for at in changes.delete.into_iter().rev() {
                slices.remove(at);
            }
            for (family, ports, endpoints) in changes.create {
                slices.push(json!({ "addressType": family, "ports": ports, "endpoints": endpoints }));
            }
            (quiet, slices.clone())
        };
        let unique = |all: Vec<PodItem>| {
            let mut seen = BTreeSet::new();
            all.into_iter().filter(|pod| seen.insert(pod.meta.uid.clone())).collect::<Vec<_>>()
        };
        apply(&unique(before.into_iter().map(|(at, port)| pod(at, true, port, false)).collect()));
        let pods = unique(after.into_iter().map(|(at, ready, port)| pod(at, ready, port, false)).collect());
        let (_, found) = apply(&pods);
        let mut seen = BTreeSet::new();
        for slice in &found {
            let endpoints = slice["endpoints"].as_array().unwrap();
            prop_assert!(!endpoints.is_empty() && endpoints.len() <= PER_SLICE);
            for endpoint in endpoints {
                prop_assert!(seen.insert(endpoint["targetRef"]["uid"].as_str().unwrap().to_owned()));
                let uid = endpoint["targetRef"]["uid"].as_str().unwrap();
                let own = pods.iter().find(|pod| *pod.meta.uid == *uid).unwrap();
                prop_assert_eq!(slice["ports"][0]["port"].as_i64(), Some(own.value.spec.containers[0].ports[0].container_port));
                prop_assert_eq!(endpoint["conditions"]["ready"].as_bool(), Some(own.value.is_ready()));
            }
        }
        prop_assert_eq!(seen.len(), pods.len());
        prop_assert!(apply(&pods).0, "a second look changes something");
    }
}
