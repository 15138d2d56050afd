//! Kinds that are served in several versions: which of them is stored, and how the others follow from it.

use super::Kind;
use super::event;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How the form in which a kind is served follows from the one in which it is stored, and back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conversion {
    /// It is served as it is stored.
    None,
    /// Events of `events.k8s.io`, stored as those of the core.
    Event,
    /// Autoscalers of `autoscaling/v1`, stored as those of `autoscaling/v2`.
    Autoscaler,
    /// Versions of a definition: the name of the version differs, and what its schema has.
    Custom,
}

/// The kind as which objects of a kind of the table are stored.
pub(super) fn stored_as(all: &[Arc<Kind>], kind: &Arc<Kind>) -> (Arc<Kind>, Conversion) {
    let (group, version, conversion) = match (kind.api_version().as_str(), kind.kind.as_str()) {
        ("events.k8s.io/v1", "Event") => ("", "v1", Conversion::Event),
        ("autoscaling/v1", "HorizontalPodAutoscaler") => {
            ("autoscaling", "v2", Conversion::Autoscaler)
        }
        _ => return (Arc::clone(kind), Conversion::None),
    };
    let stored = all.iter().find(|other| other.is(group, &kind.kind) && other.version == version);
    match stored {
        Some(stored) => (Arc::clone(stored), conversion),
        None => (Arc::clone(kind), Conversion::None),
    }
}

/// A form beside the stored one in which a kind of the table is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherForm {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    show: fn(&mut Value),
}

impl OtherForm {
    /// The form of a kind that is stored in another one, if it has one.
    pub(crate) fn of(stored: &Kind) -> Option<Self> {
        match (stored.api_version().as_str(), stored.kind.as_str()) {
            ("v1", "Event") => {
                Some(Self { group: "events.k8s.io", version: "v1", show: event::to_events })
            }
            ("autoscaling/v2", "HorizontalPodAutoscaler") => {
                Some(Self { group: "autoscaling", version: "v1", show: autoscaler_to_v1 })
            }
            _ => None,
        }
    }

    /// A stored value in this form.
    pub(crate) fn shown(self, stored: &Value) -> Value {
        let mut value = stored.clone();
        (self.show)(&mut value);
        value
    }
}

impl Conversion {
    pub(super) fn to_served(self, kind: &Kind, value: &mut Value) {
        match self {
            Self::None => return,
            Self::Event => event::to_events(value),
            Self::Autoscaler => {
                autoscaler_to_v1(value);
                if let Some(plan) = crate::wire::Plan::of(&kind.api_version(), &kind.kind) {
                    plan.fill(value);
                }
            }
            Self::Custom => {
                if let Some(custom) = &kind.custom {
                    custom.fill(value);
                }
            }
        }
        say(kind, value);
    }

    pub(super) fn to_stored(self, kind: &Kind, value: &mut Value) {
        match self {
            Self::None => return,
            Self::Event => event::to_core(value),
            Self::Autoscaler => autoscaler_to_v2(value),
            Self::Custom => {}
        }
        say(kind, value);
    }
}

/// Makes a value say which kind and version it is of, in front.
fn say(kind: &Kind, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let rest = std::mem::take(map);
    map.insert("kind".to_owned(), kind.kind.as_str().into());
    map.insert("apiVersion".to_owned(), kind.api_version().into());
    map.extend(rest.into_iter().filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion")));
}

/// Where `autoscaling/v1` keeps what it has no fields for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The average use of the processor is the one metric that v1 has a field for.
fn is_cpu(metric: &Value, side: &str) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && !metric["resource"][side]["averageUtilization"].is_null()
}

fn autoscaler_to_v1(value: &mut Value) {
    let mut notes = Map::new();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        let mut metrics = take_list(spec, "metrics");
        if let Some(at) = metrics.iter().position(|one| is_cpu(one, "target")) {
            let cpu = metrics.remove(at);
            let percent = cpu["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percent);
        }
        note(&mut notes, METRICS, metrics.into());
        note(&mut notes, BEHAVIOR, spec.shift_remove("behavior").unwrap_or_default());
    }
    if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
        let mut metrics = take_list(status, "currentMetrics");
        if let Some(at) = metrics.iter().position(|one| is_cpu(one, "current")) {
            let cpu = metrics.remove(at);
            let percent = cpu["resource"]["current"]["averageUtilization"].clone();
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent);
        }
        note(&mut notes, CURRENT, metrics.into());
        note(&mut notes, CONDITIONS, take_list(status, "conditions").into());
    }
    if !notes.is_empty() {
        let metadata = crate::object::meta_mut(value);
        crate::object::map_mut(metadata, "annotations").extend(notes);
    }
}

fn autoscaler_to_v2(value: &mut Value) {
    let metadata = crate::object::meta_mut(value);
    let mut read = |key: &str| {
        let all = metadata.get_mut("annotations").and_then(Value::as_object_mut)?;
        // A note that nobody can read is left where it is, as any other annotation.
        let found = serde_json::from_str::<Value>(all.get(key)?.as_str()?).ok()?;
        all.shift_remove(key);
        Some(found)
    };
    let (metrics, behavior) = (read(METRICS), read(BEHAVIOR));
    let (current, conditions) = (read(CURRENT), read(CONDITIONS));
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        let mut all = metrics.and_then(|all| all.as_array().cloned()).unwrap_or_default();
        if let Some(percent) = spec.shift_remove("targetCPUUtilizationPercentage") {
            let target = json!({ "type": "Utilization", "averageUtilization": percent });
            all.insert(
                0,
                json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } }),
            );
        }
        put(spec, "metrics", all.into());
        put(spec, "behavior", behavior.unwrap_or_default());
    }
    if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
        let mut all = current.and_then(|all| all.as_array().cloned()).unwrap_or_default();
        if let Some(percent) = status.shift_remove("currentCPUUtilizationPercentage") {
            let current = json!({ "averageUtilization": percent, "averageValue": "0" });
            all.insert(
                0,
                json!({ "type": "Resource", "resource": { "name": "cpu", "current": current } }),
            );
        }
        put(status, "currentMetrics", all.into());
        put(status, "conditions", conditions.unwrap_or_default());
    }
    crate::object::drop_empty_metadata(value);
}

fn take_list(map: &mut Map<String, Value>, field: &str) -> Vec<Value> {
    match map.shift_remove(field) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn note(notes: &mut Map<String, Value>, key: &str, value: Value) {
    if !is_empty(&value) {
        notes.insert(key.to_owned(), value.to_string().into());
    }
}

fn put(map: &mut Map<String, Value>, field: &str, value: Value) {
    if !is_empty(&value) {
        map.insert(field.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_that_went_through_v1_is_what_it_was() {
        let metrics = json!([
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
        ]);
        let v2 = json!({
            "metadata": {"name": "a"},
            "spec": {"maxReplicas": 3, "metrics": metrics, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 1}}},
            "status": {"desiredReplicas": 1, "conditions": [{"type": "AbleToScale", "status": "True"}]},
        });
        let mut value = v2.clone();
        autoscaler_to_v1(&mut value);
        assert_eq!(value["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80}));
        assert_eq!(value["status"], json!({"desiredReplicas": 1}));
        assert_eq!(value["metadata"]["annotations"].as_object().unwrap().len(), 3);
        autoscaler_to_v2(&mut value);
        assert_eq!(value, v2);
    }
}
