//! What is neither node nor pod and still has a say: namespaces, services, controllers, volumes, disruption budgets.

use crate::labels::{Labels, NodeSelector, Requirement, Selector};
use crate::pod::{Owner, Pod};
use crate::read::{Problems, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Objects by namespace and name.
type Named<T> = BTreeMap<(Box<str>, Box<str>), T>;

/// Objects beside nodes and pods, by kind.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    namespaces: BTreeMap<Box<str>, Labels>,
    services: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<Requirement>>>,
    controllers: BTreeMap<Box<str>, Named<Selector>>,
    budgets: Named<Budget>,
    claims: Named<Claim>,
    volumes: BTreeMap<Box<str>, Volume>,
    storage: BTreeMap<Box<str>, bool>,
    nothing: Labels,
}

/// How many pods may be evicted at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) namespace: Box<str>,
    pub(crate) selector: Selector,
    pub(crate) allowed: i64,
    /// Pods whose eviction is already counted.
    pub(crate) disrupted: BTreeSet<Box<str>>,
}

/// A claim to storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The volume it is bound to, or empty.
    pub(crate) volume: Box<str>,
    pub(crate) bound: bool,
    pub(crate) lost: bool,
    pub(crate) terminating: bool,
    pub(crate) storage: Box<str>,
}

/// A volume, and the nodes that can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) nodes: Option<NodeSelector>,
}

impl Surroundings {
    /// An object appeared or changed. Kinds that have no say are left out.
    pub fn set(&mut self, kind: &str, object: &Value) {
        let meta = &object["metadata"];
        let (namespace, name) = (text(meta, "namespace"), text(meta, "name"));
        let key = || (Box::from(namespace), Box::from(name));
        let spec = &object["spec"];
        let selector = |value: &Value| Selector::read(value).unwrap_or_default();
        match kind {
            "Namespace" => {
                self.namespaces.insert(name.into(), Labels::read(&meta["labels"]));
            }
            "Service" => {
                let of_namespace = self.services.entry(namespace.into()).or_default();
                if spec["selector"].is_object() {
                    of_namespace.insert(name.into(), Selector::of_map(&spec["selector"]));
                } else {
                    of_namespace.remove(name);
                }
            }
            "ReplicaSet" | "StatefulSet" => {
                let of_kind = self.controllers.entry(kind.into()).or_default();
                of_kind.insert(key(), selector(&spec["selector"]));
            }
            "ReplicationController" => {
                let of_kind = self.controllers.entry(kind.into()).or_default();
                of_kind.insert(key(), Selector::All(Selector::of_map(&spec["selector"])));
            }
            "PodDisruptionBudget" => {
                let status = &object["status"];
                let disrupted = status["disruptedPods"].as_object().into_iter().flatten();
                let budget = Budget {
                    namespace: namespace.into(),
                    selector: selector(&spec["selector"]),
                    allowed: status["disruptionsAllowed"].as_i64().unwrap_or(0),
                    disrupted: disrupted.map(|(name, _)| name.as_str().into()).collect(),
                };
                self.budgets.insert(key(), budget);
            }
            "PersistentVolumeClaim" => {
                let phase = text(&object["status"], "phase");
                let volume = text(spec, "volumeName");
                let claim = Claim {
                    volume: volume.into(),
                    bound: !volume.is_empty()
                        && meta["annotations"]["pv.kubernetes.io/bind-completed"].is_string()
                        || phase == "Bound",
                    lost: phase == "Lost",
                    terminating: meta["deletionTimestamp"].is_string(),
                    storage: text(spec, "storageClassName").into(),
                };
                self.claims.insert(key(), claim);
            }
            "PersistentVolume" => {
                let required = &spec["nodeAffinity"]["required"];
                let nodes = (!required.is_null())
                    .then(|| Problems::default().or_default("", NodeSelector::read(required)));
                self.volumes.insert(name.into(), Volume { nodes });
            }
            "StorageClass" => {
                let waits = text(object, "volumeBindingMode") == "WaitForFirstConsumer";
                self.storage.insert(name.into(), waits);
            }
            _ => {}
        }
    }

    /// An object is gone.
    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        let key = (Box::from(namespace), Box::from(name));
        match kind {
            "Namespace" => drop(self.namespaces.remove(name)),
            "Service" => {
                if let Some(of_namespace) = self.services.get_mut(namespace) {
                    of_namespace.remove(name);
                }
            }
            "PodDisruptionBudget" => drop(self.budgets.remove(&key)),
            "PersistentVolumeClaim" => drop(self.claims.remove(&key)),
            "PersistentVolume" => drop(self.volumes.remove(name)),
            "StorageClass" => drop(self.storage.remove(name)),
            _ => {
                if let Some(of_kind) = self.controllers.get_mut(kind) {
                    of_kind.remove(&key);
                }
            }
        }
    }

    pub(crate) fn namespace(&self, name: &str) -> &Labels {
        self.namespaces.get(name).unwrap_or(&self.nothing)
    }

    pub(crate) fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.values()
    }

    pub(crate) fn claim(&self, namespace: &str, name: &str) -> Option<&Claim> {
        self.claims.get(&(Box::from(namespace), Box::from(name)))
    }

    pub(crate) fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.get(name)
    }

    /// Whether claims of a storage class are bound only once a pod wants them.
    pub(crate) fn waits_for_consumer(&self, storage: &str) -> bool {
        self.storage.get(storage).copied().unwrap_or(false)
    }

    /// The pods that default spreading spreads a pod with: those of its services and of its controller.
    pub(crate) fn default_selector(&self, pod: &Pod) -> Selector {
        let mut all: BTreeMap<&str, &Requirement> = BTreeMap::new();
        for service in self.services.get(pod.namespace()).into_iter().flat_map(BTreeMap::values) {
            if service.iter().all(|one| one.holds(pod.labels.get(&one.key))) {
                // Of two services that ask for one key the later counts, but both hold of the pod, so they agree.
                all.extend(service.iter().map(|one| (&*one.key, one)));
            }
        }
        let mut selector = Selector::All(vec![]);
        selector.and(all.into_values().cloned());
        if let Some(Selector::All(more)) =
            pod.owner.as_ref().and_then(|owner| self.selector_of(pod, owner))
        {
            selector.and(more.iter().cloned());
        }
        selector
    }

    fn selector_of(&self, pod: &Pod, owner: &Owner) -> Option<&Selector> {
        let known = matches!(
            (&*owner.api_version, &*owner.kind),
            ("v1", "ReplicationController") | ("apps/v1", "ReplicaSet" | "StatefulSet")
        );
        let of_kind = self.controllers.get(&*owner.kind).filter(|_| known)?;
        of_kind.get(&(pod.namespace().into(), owner.name.clone()))
    }

    pub(crate) fn canonical(&self) -> String {
        let services = self.services.iter().filter(|(_, all)| !all.is_empty());
        let controllers = self.controllers.iter().filter(|(_, all)| !all.is_empty());
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.namespaces,
            services.collect::<Vec<_>>(),
            controllers.collect::<Vec<_>>(),
            self.budgets,
            self.claims,
            self.volumes,
            self.storage
        )
    }
}

/// Kinds of objects that have a say beside nodes and pods.
pub const KINDS: &[&str] = &[
    "Namespace",
    "Service",
    "ReplicationController",
    "ReplicaSet",
    "StatefulSet",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn default_spreading_follows_services_and_controllers() {
        let mut all = Surroundings::default();
        all.set("Service", &json!({"metadata": {"namespace": "d", "name": "s"}, "spec": {"selector": {"app": "web"}}}));
        all.set("Service", &json!({"metadata": {"namespace": "d", "name": "x"}, "spec": {"selector": {"app": "db"}}}));
        all.set(
            "ReplicaSet",
            &json!({"metadata": {"namespace": "d", "name": "r"},
            "spec": {"selector": {"matchLabels": {"hash": "1"}}}}),
        );
        let pod = |owners: Value| {
            Pod::read(
                &json!({"metadata": {"namespace": "d", "name": "p", "labels": {"app": "web", "hash": "1"},
                "ownerReferences": owners}}),
            )
        };
        let requirements = |pod: &Pod| match all.default_selector(pod) {
            Selector::All(all) => all.iter().map(|one| one.key.to_string()).collect::<Vec<_>>(),
            Selector::Nothing => vec![],
        };
        assert_eq!(requirements(&pod(json!([]))), ["app"]);
        let owner = |version: &str| json!([{"apiVersion": version, "kind": "ReplicaSet", "name": "r", "controller": true}]);
        assert_eq!(requirements(&pod(owner("apps/v1"))), ["app", "hash"]);
        assert_eq!(requirements(&pod(owner("other/v1"))), ["app"]);
    }
}
