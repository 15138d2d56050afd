//! What Go's types make of an object that only passes through them.
//!
//! Upstream's server reads every object into structures and writes it out of them, so that empty lists and zeros go where their tags omit them,
//! amounts and times are written in one way, and structures are always there. Objects here are JSON all the way, and this does the same by the
//! table of messages: clients compare what they sent with what they get.

use super::decode::decode;
use super::special::is_empty;
use super::table::{self, Field, Label, Message, Special, Type};
use jiff::Timestamp;
use moat_model::Quantity;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// What is done to the fields of a message.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    fields: FxHashMap<&'static str, &'static Field>,
    /// What Go writes though nobody said it.
    always: Map<String, Value>,
    /// Fields below which there is such a thing.
    deep: Vec<(&'static Field, usize)>,
}

static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let all = table::all();
    let mut plans: Vec<Plan> = all
        .iter()
        .map(|message| {
            let mut plan = Plan {
                // A message of no bytes is one that nobody filled.
                always: decode(message, &[], 0).unwrap_or_default(),
                ..Plan::default()
            };
            flatten(message, &mut plan.fields);
            plan
        })
        .collect();
    let below = |field: &Field| match field.kind {
        Type::Message(at) => Some(at),
        _ => None,
    };
    // Types contain each other, so it is found step by step.
    let mut writes: Vec<bool> = plans.iter().map(|plan| !plan.always.is_empty()).collect();
    loop {
        let next: Vec<bool> = plans
            .iter()
            .zip(&writes)
            .map(|(plan, own)| {
                let has = |at| writes.get(at) == Some(&true);
                *own || plan.fields.values().filter_map(|field| below(field)).any(has)
            })
            .collect();
        if next == writes {
            break;
        }
        writes = next;
    }
    for plan in &mut plans {
        let deep = plan.fields.values().filter_map(|field| Some((*field, below(field)?)));
        plan.deep = deep.filter(|(_, at)| writes.get(*at) == Some(&true)).collect();
    }
    plans
});

/// The fields of a message, with those of the messages that are written among its own.
fn flatten(message: &'static Message, fields: &mut FxHashMap<&'static str, &'static Field>) {
    for field in &message.fields {
        match field.kind {
            Type::Message(at) if field.inline => {
                if let Some(below) = table::message(at) {
                    flatten(below, fields);
                }
            }
            _ => {
                fields.insert(field.json, field);
            }
        }
    }
}

impl Plan {
    /// The plan of a kind of the server's own.
    pub(crate) fn of(api_version: &str, kind: &str) -> Option<&'static Self> {
        PLANS.get(table::index(&format!("{api_version}.{kind}"))?)
    }

    /// Takes out what Go omits, and writes amounts and times as Go does. Returns whether something is empty that is not omitted: see
    /// [`Plan::hollow`].
    pub(crate) fn tidy(&self, object: &mut Value) -> bool {
        object.as_object_mut().is_some_and(|map| message(self, map))
    }

    /// Adds what Go writes of every structure, whoever filled it.
    pub(crate) fn fill(&self, object: &mut Value) {
        if let Value::Object(map) = object {
            add(self, map);
        }
    }

    /// Makes empty lists and maps that are not omitted null, as they come back from upstream's store, which cannot tell them apart.
    pub(crate) fn hollow(&self, object: &mut Value) {
        if let Value::Object(map) = object {
            forget(self, map);
        }
    }
}

/// Does something to the structures that a field has: one, a list of them, or a map.
fn each(field: &Field, value: &mut Value, mut what: impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(all) if field.label == Label::Map => {
            all.values_mut().filter_map(Value::as_object_mut).for_each(what);
        }
        Value::Object(map) => what(map),
        Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(what),
        _ => {}
    }
}

fn message(plan: &Plan, map: &mut Map<String, Value>) -> bool {
    let mut hollow = false;
    map.retain(|key, value| {
        let Some(field) = plan.fields.get(key.as_str()) else { return true };
        match (field.label, &mut *value) {
            (Label::List, Value::Array(items)) => {
                items.iter_mut().for_each(|item| hollow |= one(field.kind, item));
            }
            (Label::Map, Value::Object(all)) => {
                all.values_mut().for_each(|item| hollow |= one(field.kind, item));
            }
            (Label::List | Label::Map, _) => {}
            (_, value) => hollow |= one(field.kind, value),
        }
        if is_omitted(field, value) {
            return false;
        }
        hollow |= matches!(field.label, Label::List | Label::Map) && is_unfilled(value);
        true
    });
    hollow
}

/// Whether Go writes nothing of a field of this value.
fn is_omitted(field: &Field, value: &Value) -> bool {
    match (field.label, field.kind) {
        (Label::Pointer, _) => field.omit_empty && value.is_null(),
        (Label::Value, Type::Message(_)) => field.omit_zero && is_empty(value),
        (Label::Value, Type::Special(Special::Strings)) => field.omit_empty && is_empty(value),
        (Label::Value, Type::Special(_)) => field.omit_zero && value.is_null(),
        _ => field.omit_empty && is_empty(value),
    }
}

/// An empty list or map that is not null.
fn is_unfilled(value: &Value) -> bool {
    !value.is_null() && is_empty(value)
}

fn one(kind: Type, value: &mut Value) -> bool {
    match (kind, &mut *value) {
        (Type::Message(at), Value::Object(map)) => {
            return PLANS.get(at).is_some_and(|plan| message(plan, map));
        }
        (Type::Special(Special::Quantity), Value::String(text)) => {
            if let Some(other) = amount(text) {
                *text = other;
            }
        }
        (Type::Special(Special::Quantity), Value::Number(number)) => {
            let text = number.to_string();
            *value = amount(&text).unwrap_or(text).into();
        }
        (Type::Special(Special::Time), Value::String(text)) if !is_plain(text, 20) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            }
        }
        (Type::Special(Special::MicroTime), Value::String(text)) if !is_plain(text, 27) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            }
        }
        _ => {}
    }
    false
}

/// Whether a time is written as it should be, as far as one sees without reading it.
fn is_plain(text: &str, length: usize) -> bool {
    text.len() == length && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}

/// An amount as Go writes it, if that is another text.
fn amount(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at_checked(digits)?;
    // Nearly all are written like this: digits that no larger suffix could shorten.
    let short = !number.is_empty() && number.len() < 16 && !number.starts_with('0');
    let ends = match suffix {
        "" | "m" | "k" | "M" | "G" => !number.ends_with("000"),
        "Ki" | "Mi" | "Gi" => number.len() < 4,
        _ => false,
    };
    if short && ends {
        return None;
    }
    let other = Quantity::canonical(text)?;
    (other != text).then_some(other)
}

fn add(plan: &Plan, map: &mut Map<String, Value>) {
    for (name, zero) in &plan.always {
        let slot = map.entry(name.as_str()).or_insert(Value::Null);
        if slot.is_null() {
            *slot = zero.clone();
        }
    }
    for (field, at) in &plan.deep {
        if let (Some(value), Some(below)) = (map.get_mut(field.json), PLANS.get(*at)) {
            each(field, value, |map| add(below, map));
        }
    }
}

fn forget(plan: &Plan, map: &mut Map<String, Value>) {
    for (key, value) in map.iter_mut() {
        let Some(field) = plan.fields.get(key.as_str()) else { continue };
        if matches!(field.label, Label::List | Label::Map) && is_unfilled(value) {
            *value = Value::Null;
            continue;
        }
        let Type::Message(at) = field.kind else { continue };
        if let Some(below) = PLANS.get(at) {
            each(field, value, |map| forget(below, map));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(api_version: &str, kind: &str) -> &'static Plan {
        Plan::of(api_version, kind).unwrap()
    }

    fn tidied(api_version: &str, kind: &str, mut object: Value) -> Value {
        plan(api_version, kind).tidy(&mut object);
        object
    }

    #[test]
    fn what_is_empty_goes_where_go_omits_it_and_stays_behind_a_pointer() {
        let deployment = json!({
            "metadata": {"name": "a", "labels": {}, "creationTimestamp": null},
            "spec": {
                "replicas": 0, "minReadySeconds": 0, "paused": false,
                "template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"name": "c", "args": [], "env": [{"name": "e", "value": ""}], "command": null}]}},
            },
        });
        let want = json!({
            "metadata": {"name": "a"},
            "spec": {
                "replicas": 0,
                "template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"name": "c", "env": [{"name": "e"}]}]}},
            },
        });
        assert_eq!(tidied("apps/v1", "Deployment", deployment), want);
        let map = json!({"data": {"a": "", "b": "c"}, "binaryData": {}});
        assert_eq!(tidied("v1", "ConfigMap", map), json!({"data": {"a": "", "b": "c"}}));
    }

    #[test]
    fn amounts_and_times_are_written_in_one_way() {
        let mut pod = json!({
            "metadata": {"deletionTimestamp": "2026-01-01T02:00:00+02:00"},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi", "a/b": "1000m", "c/d": 3}}}]},
        });
        plan("v1", "Pod").tidy(&mut pod);
        let limits = &pod["spec"]["containers"][0]["resources"]["limits"];
        let want = json!({"cpu": "500m", "memory": "1Gi", "a/b": "1", "c/d": "3"});
        assert_eq!(
            (limits, &pod["metadata"]["deletionTimestamp"]),
            (&want, &json!("2026-01-01T00:00:00Z"))
        );
        let lease = json!({"spec": {"renewTime": "2026-01-01T00:00:00Z"}});
        let want = json!({"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}});
        assert_eq!(tidied("coordination.k8s.io/v1", "Lease", lease), want);
    }

    /// The quick look at an amount says the same as reading it.
    #[test]
    fn no_amount_is_passed_over_that_go_writes_otherwise() {
        for number in [
            "1", "10", "100", "999", "1000", "1023", "1024", "1500", "2048", "0", "007", "1000000",
            "0.5", "1.", "-3", "123456",
        ] {
            for suffix in [
                "", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "E6", "e-3",
                "e2",
            ] {
                let text = format!("{number}{suffix}");
                let canonical = Quantity::canonical(&text).unwrap();
                assert_eq!(amount(&text).unwrap_or_else(|| text.clone()), canonical, "{text}");
            }
        }
        assert_eq!(amount("nonsense"), None);
    }

    #[test]
    fn structures_are_always_there() {
        let mut node = json!({"status": {"conditions": [{"type": "Ready"}]}});
        plan("v1", "Node").fill(&mut node);
        assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "");
        assert_eq!(node["status"]["daemonEndpoints"], json!({"kubeletEndpoint": {"Port": 0}}));
        assert_eq!(
            node["status"]["conditions"][0],
            json!({"type": "Ready", "status": "", "lastHeartbeatTime": null, "lastTransitionTime": null})
        );
        let mut role = json!({});
        plan("rbac.authorization.k8s.io/v1", "Role").fill(&mut role);
        assert_eq!(role["rules"], Value::Null);
        assert!(role.as_object().unwrap().contains_key("rules"));
    }

    #[test]
    fn what_is_written_though_empty_is_nothing_in_the_store() {
        let mut slice = json!({"endpoints": [], "ports": [{"port": 80}]});
        assert!(plan("discovery.k8s.io/v1", "EndpointSlice").tidy(&mut slice));
        plan("discovery.k8s.io/v1", "EndpointSlice").hollow(&mut slice);
        assert_eq!(slice, json!({"endpoints": null, "ports": [{"port": 80}]}));
        assert!(!plan("discovery.k8s.io/v1", "EndpointSlice").tidy(&mut slice));
    }

    /// A second pass finds nothing to do, for every kind, whatever is in it.
    #[test]
    fn whatever_was_tidied_and_filled_stays_as_it_is() {
        for at in table::all() {
            let Some((version, kind)) = at.name.rsplit_once('.') else { continue };
            let mut object = json!({});
            plan(version, kind).fill(&mut object);
            let once = object.clone();
            plan(version, kind).tidy(&mut object);
            plan(version, kind).fill(&mut object);
            assert_eq!(object, once, "{}", at.name);
        }
    }
}
