//! Claims, volumes and classes as far as the place of a pod depends on them.

use crate::labels::{Labels, NodeSelector, Selector};
use crate::read::{Problems, list, text};
use moat_apiserver::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

/// A claim to storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The volume it is bound to, or empty.
    pub(crate) volume: Box<str>,
    pub(crate) bound: bool,
    pub(crate) lost: bool,
    pub(crate) terminating: bool,
    pub(crate) storage: Box<str>,
    wants: Kept,
    /// Which volumes it takes, by their labels; nothing means any.
    selector: Option<Selector>,
    own: (Box<str>, Box<str>),
}

/// A volume, and the nodes that can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) nodes: Option<NodeSelector>,
    name: Box<str>,
    has: Kept,
    labels: Labels,
    storage: Box<str>,
    available: bool,
    terminating: bool,
    /// The claim that it is kept for.
    kept_for: Option<(Box<str>, Box<str>)>,
}

/// What a claim asks for and a volume has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    size: Quantity,
    modes: BTreeSet<Box<str>>,
    block: bool,
}

/// What is known of a storage class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Class {
    /// Whether its claims are bound only once a pod wants them.
    pub(crate) waits: bool,
    /// Whether somebody makes volumes for it.
    pub(crate) makes: bool,
    /// Where they are made, if that is said: one of the terms must hold of the node's labels.
    topologies: Vec<Selector>,
}

fn kept(spec: &Value, size: &Value) -> Kept {
    Kept {
        size: Quantity::read(size).unwrap_or_default(),
        modes: list(spec, "accessModes").iter().filter_map(Value::as_str).map(Into::into).collect(),
        block: text(spec, "volumeMode") == "Block",
    }
}

impl Claim {
    pub(crate) fn read(object: &Value) -> Self {
        let (meta, spec) = (&object["metadata"], &object["spec"]);
        let phase = text(&object["status"], "phase");
        let volume = text(spec, "volumeName");
        Self {
            volume: volume.into(),
            bound: !volume.is_empty()
                && meta["annotations"]["pv.kubernetes.io/bind-completed"].is_string()
                || phase == "Bound",
            lost: phase == "Lost",
            terminating: meta["deletionTimestamp"].is_string(),
            storage: text(spec, "storageClassName").into(),
            wants: kept(spec, &spec["resources"]["requests"]["storage"]),
            selector: (!spec["selector"].is_null())
                .then(|| Selector::read(&spec["selector"]).unwrap_or_default()),
            own: (text(meta, "namespace").into(), text(meta, "name").into()),
        }
    }

    /// The volume that it would be bound to on a node: the one that is kept for it, else the smallest that is large enough.
    pub(crate) fn best<'a>(
        &self,
        volumes: impl Iterator<Item = &'a Volume>,
        taken: &[&str],
        node: &str,
        labels: &Labels,
    ) -> Option<&'a Volume> {
        let fits = |volume: &&Volume| {
            !volume.terminating
                && volume.has.block == self.wants.block
                && self.wants.modes.is_subset(&volume.has.modes)
                && self.wants.size <= volume.has.size
                && !taken.contains(&&*volume.name)
                && volume.nodes.as_ref().is_none_or(|nodes| nodes.matches(node, labels))
        };
        let mut free: Option<&Volume> = None;
        for volume in volumes.filter(fits) {
            match &volume.kept_for {
                Some(own) if *own == self.own => return Some(volume),
                Some(_) => continue,
                None => {}
            }
            let chosen = volume.available
                && volume.storage == self.storage
                && self.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels));
            let smaller = free
                .is_none_or(|best| (volume.has.size, &volume.name) < (best.has.size, &best.name));
            if chosen && smaller {
                free = Some(volume);
            }
        }
        free
    }

    /// How much it asks for: the small ones are served first.
    pub(crate) fn size(&self) -> Quantity {
        self.wants.size
    }
}

impl Volume {
    pub(crate) fn read(object: &Value) -> Self {
        let (meta, spec) = (&object["metadata"], &object["spec"]);
        let required = &spec["nodeAffinity"]["required"];
        let of = &spec["claimRef"];
        Self {
            nodes: (!required.is_null())
                .then(|| Problems::default().or_default("", NodeSelector::read(required))),
            name: text(meta, "name").into(),
            has: kept(spec, &spec["capacity"]["storage"]),
            labels: Labels::read(&meta["labels"]),
            storage: text(spec, "storageClassName").into(),
            available: text(&object["status"], "phase") == "Available",
            terminating: meta["deletionTimestamp"].is_string(),
            kept_for: (!of.is_null())
                .then(|| (text(of, "namespace").into(), text(of, "name").into())),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Class {
    pub(crate) fn read(object: &Value) -> Self {
        let term = |term: &Value| {
            let all = list(term, "matchLabelExpressions").iter().map(|one| {
                serde_json::json!({ "key": one["key"], "operator": "In", "values": one["values"] })
            });
            let all: Vec<Value> = all.collect();
            Selector::read(&serde_json::json!({ "matchExpressions": all })).unwrap_or_default()
        };
        Self {
            waits: text(object, "volumeBindingMode") == "WaitForFirstConsumer",
            makes: !matches!(text(object, "provisioner"), "" | "kubernetes.io/no-provisioner"),
            topologies: list(object, "allowedTopologies").iter().map(term).collect(),
        }
    }

    /// Whether a volume can be made for a node.
    pub(crate) fn makes_for(&self, labels: &Labels) -> bool {
        let here = || self.topologies.iter().any(|one| one.matches(labels));
        self.makes && (self.topologies.is_empty() || here())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(name: &str, size: &str, more: &Value) -> Volume {
        let mut object = json!({
            "metadata": {"name": name, "labels": {"disk": name}},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local"},
            "status": {"phase": "Available"},
        });
        for (key, value) in more.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        Volume::read(&object)
    }

    fn claim(spec: Value) -> Claim {
        let mut object = json!({
            "metadata": {"name": "c", "namespace": "d"},
            "spec": {"resources": {"requests": {"storage": "2Gi"}}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local"},
        });
        if let Value::Object(spec) = spec {
            object["spec"].as_object_mut().unwrap().extend(spec);
        }
        Claim::read(&object)
    }

    fn chosen(claim: &Claim, volumes: &[Volume], taken: &[&str]) -> String {
        let labels = Labels::read(&json!({"kubernetes.io/hostname": "n1"}));
        let best = claim.best(volumes.iter(), taken, "n1", &labels);
        best.map_or_else(String::new, |volume| volume.name().to_owned())
    }

    #[test]
    fn the_smallest_volume_that_suffices_is_taken() {
        let on = |host: &str| {
            json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]}}})
        };
        let all = [
            volume("tiny", "1Gi", &json!({})),
            volume("large", "9Gi", &json!({})),
            volume("small", "3Gi", &json!({})),
            volume("far", "2Gi", &on("n2")),
            volume("many", "2Gi", &json!({"accessModes": ["ReadOnlyMany"]})),
            volume("other", "2Gi", &json!({"storageClassName": "x"})),
            volume("raw", "2Gi", &json!({"volumeMode": "Block"})),
            volume("used", "2Gi", &json!({"claimRef": {"namespace": "d", "name": "other"}})),
        ];
        let plain = claim(json!({}));
        assert_eq!(chosen(&plain, &all, &[]), "small");
        assert_eq!(chosen(&plain, &all, &["small"]), "large");
        assert_eq!(chosen(&plain, &all, &["small", "large"]), "");
        let labelled = claim(json!({"selector": {"matchLabels": {"disk": "large"}}}));
        assert_eq!(chosen(&labelled, &all, &[]), "large");
        let mut kept = all.to_vec();
        kept.push(volume("kept", "8Gi", &json!({"claimRef": {"namespace": "d", "name": "c"}})));
        assert_eq!(chosen(&plain, &kept, &[]), "kept");
        assert_eq!(chosen(&claim(json!({"volumeMode": "Block"})), &all, &[]), "raw");
        assert_eq!(chosen(&plain, &[volume("here", "2Gi", &on("n1"))], &[]), "here");
    }

    #[test]
    fn volumes_are_made_where_their_class_says() {
        let labels = Labels::read(&json!({"zone": "a"}));
        let class = |more: Value| {
            let mut object = json!({"provisioner": "x.io/p"});
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Class::read(&object).makes_for(&labels)
        };
        let zone = |zone: &str| json!({"allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": [zone]}]}]});
        assert!(class(json!({})) && class(zone("a")) && !class(zone("b")));
        assert!(!class(json!({"provisioner": "kubernetes.io/no-provisioner"})));
        assert!(!class(json!({"provisioner": ""})));
    }
}
