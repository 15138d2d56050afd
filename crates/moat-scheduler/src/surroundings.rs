//! What is neither node nor pod and still has a say: namespaces, services, controllers, volumes, disruption budgets.

use crate::labels::{Labels, Requirement, Selector};
use crate::pod::{Owner, Pod};
use crate::read::text;
use crate::storage::{Claim, Class, Volume};
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
    storage: BTreeMap<Box<str>, Class>,
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
            "PersistentVolumeClaim" => drop(self.claims.insert(key(), Claim::read(object))),
            "PersistentVolume" => drop(self.volumes.insert(name.into(), Volume::read(object))),
            "StorageClass" => drop(self.storage.insert(name.into(), Class::read(object))),
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

    pub(crate) fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.values()
    }

    /// A storage class.
    pub(crate) fn storage(&self, name: &str) -> Option<&Class> {
        self.storage.get(name)
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
