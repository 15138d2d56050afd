//! The engine against a naive account: who owns which key of a flat map and which item of a set.

use super::*;
use crate::kinds::built_in;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn kind(name: &str) -> Arc<Kind> {
    built_in().into_iter().find(|kind| kind.kind == name).unwrap()
}

fn writer<'a>(kind: &'a Kind, manager: &str) -> Write<'a> {
    Write::new(kind, "", manager, "")
}

/// Managers and their fields, a line each.
fn account(object: &Value) -> String {
    let mut text = String::new();
    for entry in entries::stored(object) {
        text += &format!("{} {:?} {}\n", entry.who.manager, entry.who.operation, entry.fields);
    }
    text
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    values: BTreeMap<String, String>,
    owners: BTreeMap<(String, bool), BTreeSet<String>>,
}

impl Naive {
    fn take(&mut self, keys: &BTreeSet<String>) {
        for owned in self.owners.values_mut() {
            *owned = owned.difference(keys).cloned().collect();
        }
    }

    fn update(&mut self, manager: &str, values: BTreeMap<String, String>) {
        let changed: BTreeSet<String> = values
            .iter()
            .filter(|(key, value)| self.values.get(*key) != Some(value))
            .map(|(key, _)| key.clone())
            .collect();
        let removed: BTreeSet<String> =
            self.values.keys().filter(|key| !values.contains_key(*key)).cloned().collect();
        self.take(&changed);
        self.take(&removed);
        self.owners.entry((manager.to_owned(), false)).or_default().extend(changed);
        self.values = values;
    }

    /// How many conflicts there are; none means that it was applied.
    fn apply(&mut self, manager: &str, config: &BTreeMap<String, String>, force: bool) -> usize {
        let own = (manager.to_owned(), true);
        let changed: BTreeSet<String> = config
            .iter()
            .filter(|(key, value)| self.values.get(*key) != Some(value))
            .map(|(key, _)| key.clone())
            .collect();
        let conflicts: usize = self
            .owners
            .iter()
            .filter(|(who, _)| **who != own)
            .map(|(_, owned)| owned.intersection(&changed).count())
            .sum();
        if 0 < conflicts && !force {
            return conflicts;
        }
        let last = self.owners.remove(&own).unwrap_or_default();
        self.take(&changed);
        let others: BTreeSet<String> = self.owners.values().flatten().cloned().collect();
        for key in last {
            if !config.contains_key(&key) && !others.contains(&key) {
                self.values.remove(&key);
            }
        }
        self.values.extend(config.clone());
        self.owners.insert(own, config.keys().cloned().collect());
        0
    }

    fn without_empty(mut self) -> Self {
        self.owners.retain(|_, owned| !owned.is_empty());
        self
    }
}

/// What the engine's object says, in the same form. `set` reads finalizers instead of data.
fn seen(object: &Value, set: bool) -> Naive {
    let mut naive = Naive::default();
    if set {
        for item in object["metadata"]["finalizers"].as_array().into_iter().flatten() {
            naive.values.insert(item.as_str().unwrap().to_owned(), String::new());
        }
    } else {
        for (key, value) in object["data"].as_object().into_iter().flatten() {
            naive.values.insert(key.clone(), value.as_str().unwrap().to_owned());
        }
    }
    for entry in entries::stored(object) {
        let fields =
            if set { &entry.fields["f:metadata"]["f:finalizers"] } else { &entry.fields["f:data"] };
        let keys: BTreeSet<String> = fields
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != ".")
            .map(|(key, _)| key[2..].trim_matches('"').to_owned())
            .collect();
        naive
            .owners
            .insert((entry.who.manager.clone(), entry.who.operation == Operation::Apply), keys);
    }
    naive.without_empty()
}

fn object(values: &BTreeMap<String, String>, set: bool) -> Value {
    let mut object =
        json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } });
    if set {
        if !values.is_empty() {
            object["metadata"]["finalizers"] = values.keys().cloned().collect();
        }
    } else if !values.is_empty() {
        object["data"] =
            values.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    }
    object
}

#[test]
fn random_writers_own_what_a_naive_account_says() {
    let mut seed = 7_u64;
    let mut roll = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let kind = &*kind("ConfigMap");
    let (mut conflicts, mut applied) = (0, 0);
    for round in 0..600 {
        let set = round % 2 == 1;
        let mut naive = Naive::default();
        let mut live: Option<Value> = None;
        for _ in 0..14 {
            let manager = ["a", "b", "c"][usize::try_from(roll(3)).unwrap()];
            let mut values = BTreeMap::new();
            for key in ["k1", "k2", "k3", "k4"] {
                if roll(2) == 0 {
                    let value = if set { String::new() } else { roll(2).to_string() };
                    values.insert(key.to_owned(), value);
                }
            }
            let write = writer(kind, manager);
            let applies = roll(3) < 2;
            if applies {
                let force = roll(3) == 0;
                let want = naive.apply(manager, &values, force);
                match write.applied(live.as_ref(), &object(&values, set), force) {
                    Ok(new) => {
                        assert_eq!(want, 0, "{live:?} {values:?}");
                        applied += 1;
                        live = Some(new);
                    }
                    Err(status) => {
                        conflicts += 1;
                        assert_eq!(status.code, 409, "{}", status.message);
                        let causes = status.details.unwrap()["causes"].as_array().unwrap().len();
                        assert_eq!(causes, want, "{live:?} {values:?}");
                    }
                }
            } else {
                let mut new = object(&values, set);
                match &live {
                    None => write.created(&mut new),
                    Some(old) => write.updated(old, &mut new),
                }
                naive.update(manager, values);
                live = Some(new);
            }
            let Some(live) = &live else { continue };
            // Who is left with nothing is forgotten, and then nobody is counted any more.
            if entries::stored(live).is_empty() {
                break;
            }
            assert_eq!(seen(live, set), naive.clone().without_empty(), "{live}");
        }
    }
    assert!(300 < conflicts && 1500 < applied, "{conflicts} {applied}");
}

#[test]
fn a_pods_fields_are_written_as_upstream_writes_them() {
    let kind = &*kind("Pod");
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": { "name": "p", "namespace": "n", "uid": "u", "labels": { "a": "b" } },
        "spec": {
            "containers": [{ "name": "c", "image": "i", "ports": [{ "containerPort": 80, "protocol": "TCP" }], "resources": {},
                "livenessProbe": { "httpGet": { "path": "/", "port": 80 } } }],
            "nodeSelector": { "x/y": "z" },
            "tolerations": [{ "key": "k" }],
            "securityContext": {},
        },
    });
    writer(kind, "m").created(&mut pod);
    let fields = &pod["metadata"]["managedFields"][0]["fieldsV1"];
    expect_test::expect![[r#"
        {
          "f:metadata": {
            "f:labels": {
              ".": {},
              "f:a": {}
            }
          },
          "f:spec": {
            "f:containers": {
              "k:{\"name\":\"c\"}": {
                ".": {},
                "f:image": {},
                "f:livenessProbe": {
                  ".": {},
                  "f:httpGet": {
                    ".": {},
                    "f:path": {},
                    "f:port": {}
                  }
                },
                "f:name": {},
                "f:ports": {
                  ".": {},
                  "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                    ".": {},
                    "f:containerPort": {},
                    "f:protocol": {}
                  }
                },
                "f:resources": {}
              }
            },
            "f:nodeSelector": {},
            "f:securityContext": {},
            "f:tolerations": {}
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(fields).unwrap());
}

#[test]
fn conflicts_are_told_in_upstreams_words() {
    let kind = &*kind("Deployment");
    let config = |image: &str, replicas: i64| {
        json!({
            "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "d" },
            "spec": { "replicas": replicas, "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } },
        })
    };
    let live = writer(kind, "one").applied(None, &config("a", 1), false).unwrap();
    let single = writer(kind, "two").applied(Some(&live), &config("b", 1), false).unwrap_err();
    assert_eq!(
        single.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.template.spec.containers[name=\"c\"].image"
    );
    assert_eq!(
        single.to_json()["details"],
        json!({ "causes": [{
            "reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".spec.template.spec.containers[name=\"c\"].image",
        }] })
    );
    let mut updated = live.clone();
    updated["spec"]["replicas"] = 5.into();
    Write::new(kind, "scale", "hand", "").updated(&live, &mut updated);
    let both = writer(kind, "two").applied(Some(&updated), &config("b", 2), false).unwrap_err();
    assert_eq!(
        both.message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.template.spec.containers[name=\"c\"].image\n\
         conflicts with \"hand\" with subresource \"scale\" using apps/v1:\n- .spec.replicas"
    );
    let forced = writer(kind, "two").applied(Some(&updated), &config("b", 2), true).unwrap();
    assert_eq!(forced["spec"]["replicas"], 2);
    assert!(account(&forced).starts_with("one Apply "), "{}", account(&forced));
    assert!(!account(&forced).contains("hand"), "{}", account(&forced));
}

#[test]
fn what_is_applied_no_more_goes_unless_another_owns_it() {
    let kind = &*kind("Deployment");
    let container = |name: &str| json!({ "name": name, "image": "i" });
    let config = |containers: &[&str]| {
        let containers: Vec<Value> = containers.iter().map(|name| container(name)).collect();
        json!({
            "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "d" },
            "spec": { "template": { "spec": { "containers": containers } } },
        })
    };
    let names = |object: &Value| -> Vec<String> {
        let all = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = writer(kind, "one").applied(None, &config(&["a", "b", "c"]), false).unwrap();
    let second = writer(kind, "two").applied(Some(&first), &config(&["d", "b"]), false).unwrap();
    assert_eq!(names(&second), ["a", "d", "b", "c"]);
    let third = writer(kind, "one").applied(Some(&second), &config(&["a"]), false).unwrap();
    assert_eq!(names(&third), ["a", "d", "b"]);
    let twice = config(&["a", "a"]);
    let status = writer(kind, "one").applied(Some(&third), &twice, false).unwrap_err();
    assert!(
        status.message.contains("duplicate entries for key [name=\"a\"]"),
        "{}",
        status.message
    );
}

#[test]
fn kubectls_own_apply_hands_over_to_the_server() {
    let kind = &*kind("ConfigMap");
    let last = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"}}"#;
    let mut live = json!({
        "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a", "uid": "u", "annotations": { LAST_APPLIED: last } }, "data": { "k": "1" },
    });
    writer(kind, "kubectl-client-side-apply").created(&mut live);
    let config = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" }, "data": { "k": "2" } });
    assert_eq!(writer(kind, "other").applied(Some(&live), &config, false).unwrap_err().code, 409);
    let new = writer(kind, "kubectl").applied(Some(&live), &config, false).unwrap();
    assert_eq!(new["data"]["k"], "2");
    assert!(new["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap().contains(r#""k":"2""#));
}

#[test]
fn the_account_can_be_forgotten_and_does_not_grow_without_end() {
    let kind = &*kind("ConfigMap");
    let mut live = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } });
    writer(kind, "first").created(&mut live);
    for turn in 0..30 {
        let mut new = live.clone();
        new["data"][format!("k{turn}")] = "x".into();
        writer(kind, &format!("m{turn:02}")).updated(&live, &mut new);
        if turn == 0 {
            writer(kind, "m00").created(&mut new);
        }
        live = new;
    }
    let entries = entries::stored(&live);
    assert_eq!(entries.len(), UPDATERS_MAX);
    assert!(
        entries.iter().any(|entry| entry.who.manager == "ancient-changes"),
        "{}",
        account(&live)
    );
    let mut reset = live.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    writer(kind, "m").updated(&live, &mut reset);
    assert!(reset["metadata"].get("managedFields").is_none());
    // Before the first apply, nobody knows who wrote what is there.
    let config = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" }, "data": { "k1": "y" } });
    let status = writer(kind, "m").applied(Some(&reset), &config, false).unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.k1"
    );
}
