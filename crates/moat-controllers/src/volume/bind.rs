//! Which volume a claim gets, and what claims and volumes are.

use crate::event::Told;
use crate::json::{annotation, list, text};
use crate::selector::selects;
use moat_apiserver::Quantity;
use moat_informer::Item;
use moat_scheduler::{Labels, NodeSelector};
use serde_json::Value;
use std::sync::Arc;

/// A claim, a volume, or a class in a cache.
pub(super) type Object = Arc<Item<Value>>;

pub(super) const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
pub(super) const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT: &[&str] = &[
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// The storage class that a claim or a volume names; nothing where it names none.
fn named_class(object: &Value) -> Option<&str> {
    annotation(object, CLASS).or_else(|| object["spec"]["storageClassName"].as_str())
}

fn class_of(object: &Value) -> &str {
    named_class(object).unwrap_or_default()
}

fn quantity(value: &Value) -> Quantity {
    Quantity::read(value).unwrap_or_default()
}

fn size(volume: &Value) -> Quantity {
    quantity(&volume["spec"]["capacity"]["storage"])
}

pub(super) fn requested(claim: &Value) -> Quantity {
    quantity(&claim["spec"]["resources"]["requests"]["storage"])
}

fn mode(object: &Value) -> &str {
    object["spec"]["volumeMode"].as_str().unwrap_or("Filesystem")
}

fn has_modes(volume: &Value, claim: &Value) -> bool {
    let has = list(volume, "/spec/accessModes");
    list(claim, "/spec/accessModes").iter().all(|mode| has.contains(mode))
}

/// Whether a volume is kept for this claim: by its name, and by its identity where that is said.
fn is_for(volume: &Value, claim: &Item<Value>) -> bool {
    let reference = &volume["spec"]["claimRef"];
    let uid = text(reference, "/uid");
    text(reference, "/name") == &*claim.meta.name
        && text(reference, "/namespace") == &*claim.meta.namespace
        && (uid.is_empty() || uid == &*claim.meta.uid)
}

fn is_free(volume: &Value) -> bool {
    volume["spec"].get("claimRef").is_none_or(Value::is_null)
}

/// A node as volumes see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a Value,
}

/// Whether a volume is in reach of a node.
fn reaches(volume: &Value, place: Place<'_>) -> bool {
    let required = &volume["spec"]["nodeAffinity"]["required"];
    required.is_null()
        || NodeSelector::read(required)
            .is_ok_and(|nodes| nodes.matches(place.name, &Labels::read(place.labels)))
}

/// The volume for a claim: one that is kept for it, else the one with the fewest access modes beyond its own, and of those the smallest.
pub(super) fn best<'a>(
    claim: &Item<Value>,
    volumes: &'a [Object],
    place: Option<Place<'_>>,
    waits: bool,
) -> Option<&'a Object> {
    let wanted = requested(&claim.value);
    let fits = |volume: &&Object| {
        !volume.meta.is_deleting()
            && has_modes(&volume.value, &claim.value)
            && mode(&volume.value) == mode(&claim.value)
            && wanted <= size(&volume.value)
    };
    let kept = volumes.iter().filter(fits);
    let kept =
        kept.filter(|volume| !is_free(&volume.value) && is_for(&volume.value, claim)).min_by_key(
            |volume| (list(&volume.value, "/spec/accessModes").len(), volume.meta.name.clone()),
        );
    if kept.is_some() || waits {
        return kept;
    }
    let free = volumes.iter().filter(fits).filter(|volume| {
        is_free(&volume.value)
            && text(&volume.value, "/status/phase") == "Available"
            && class_of(&volume.value) == class_of(&claim.value)
            && place.is_none_or(|place| reaches(&volume.value, place))
            && match claim.value["spec"].get("selector") {
                None | Some(Value::Null) => true,
                Some(selector) => selects(selector, &volume.meta.labels),
            }
    });
    free.min_by_key(|volume| {
        let n_modes = list(&volume.value, "/spec/accessModes").len();
        (n_modes, size(&volume.value), volume.meta.name.clone())
    })
}

/// Everything that is decided by for a claim.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) volumes: &'a [Object],
    pub(super) classes: &'a [Object],
    /// Names of pods that want the claim and are on no node yet.
    pub(super) waiting: &'a [&'a str],
    /// The node of a pod that wants it.
    pub(super) place: Option<Place<'a>>,
    /// Who makes volumes here.
    pub(super) provisioner: &'a str,
}

/// What is to be done with a claim.
#[derive(Debug, PartialEq)]
pub(super) enum Claim {
    /// It and a volume become each other's.
    Bind(Object),
    /// It is in this phase, and this is told.
    Phase(&'static str, Option<Told>),
    /// It gets the default class.
    Class(String),
    /// A volume is made for it.
    Provision(Object),
}

fn pending(warning: bool, reason: &'static str, message: impl Into<String>) -> Claim {
    Claim::Phase("Pending", Some((warning, reason, message.into())))
}

pub(super) fn claim(claim: &Item<Value>, around: &Around<'_>) -> Claim {
    let named = text(&claim.value, "/spec/volumeName");
    let volume = around.volumes.iter().find(|volume| &*volume.meta.name == named);
    if annotation(&claim.value, COMPLETED).is_some() {
        return bound(claim, named, volume);
    }
    if named.is_empty() {
        return unbound(claim, around);
    }
    let Some(volume) = volume else { return Claim::Phase("Pending", None) };
    if is_free(&volume.value) {
        return match mismatch(claim, volume) {
            Some(why) => {
                let message = format!("Cannot bind to requested volume {named:?}: {why}");
                pending(true, "VolumeMismatch", message)
            }
            None => Claim::Bind(volume.clone()),
        };
    }
    if is_for(&volume.value, claim) {
        return Claim::Bind(volume.clone());
    }
    pending(true, "FailedBinding", format!("volume {named:?} already bound to a different claim."))
}

fn mismatch(claim: &Item<Value>, volume: &Object) -> Option<String> {
    let why = if volume.meta.is_deleting() {
        return Some(format!("the volume is marked for deletion {:?}", volume.meta.name));
    } else if size(&volume.value) < requested(&claim.value) {
        "requested PV is too small"
    } else if class_of(&volume.value) != class_of(&claim.value) {
        "storageClassName does not match"
    } else if mode(&volume.value) != mode(&claim.value) {
        "incompatible volumeMode"
    } else if !has_modes(&volume.value, &claim.value) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(why.to_owned())
}

fn bound(claim: &Item<Value>, named: &str, volume: Option<&Object>) -> Claim {
    let lost = |reason: &'static str, message: &str| {
        let is_new = text(&claim.value, "/status/phase") != "Lost";
        Claim::Phase("Lost", is_new.then(|| (true, reason, message.to_owned())))
    };
    let Some(volume) = volume else {
        let what =
            if named.is_empty() { "reference to PersistentVolume" } else { "its PersistentVolume" };
        return lost(
            "ClaimLost",
            &format!("Bound claim has lost {what}. Data on the volume is lost!"),
        );
    };
    if is_free(&volume.value) || is_for(&volume.value, claim) {
        return Claim::Bind(volume.clone());
    }
    let why = "Two claims are bound to the same volume, this one is bound incorrectly";
    lost("ClaimMisbound", why)
}

fn unbound(claim: &Item<Value>, around: &Around<'_>) -> Claim {
    let name = class_of(&claim.value);
    let class = around.classes.iter().find(|class| &*class.meta.name == name);
    let waits =
        class.is_some_and(|class| class.value["volumeBindingMode"] == "WaitForFirstConsumer");
    let place = around.place.filter(|_| waits);
    let waits = waits && place.is_none();
    if let Some(volume) = best(claim, around.volumes, place, waits) {
        return Claim::Bind(volume.clone());
    }
    if named_class(&claim.value).is_none()
        && let Some(default) = default_class(around.classes)
    {
        return Claim::Class(default.meta.name.to_string());
    }
    if waits {
        return match around.waiting {
            [] => {
                let message = "waiting for first consumer to be created before binding";
                pending(false, "WaitForFirstConsumer", message)
            }
            [pod] => {
                let message = format!("waiting for pod {pod} to be scheduled");
                pending(false, "WaitForPodScheduled", message)
            }
            pods => {
                let message = format!("waiting for pods {} to be scheduled", pods.join(","));
                pending(false, "WaitForPodScheduled", message)
            }
        };
    }
    if name.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        return pending(false, "FailedBinding", message);
    }
    let Some(class) = class else {
        let message = format!("storageclass.storage.k8s.io {name:?} not found");
        return pending(true, "ProvisioningFailed", message);
    };
    let by = text(&class.value, "/provisioner");
    if by == around.provisioner && !by.is_empty() {
        return match refused(claim, class) {
            Some(why) => pending(true, "ProvisioningFailed", why),
            None => Claim::Provision(class.clone()),
        };
    }
    if by == "kubernetes.io/no-provisioner" {
        let message = format!("no volume plugin matched name: {by}");
        return pending(true, "ProvisioningFailed", message);
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{by}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    pending(false, "ExternalProvisioning", message)
}

/// What the provisioner here does not do.
fn refused(claim: &Item<Value>, class: &Object) -> Option<String> {
    let by = text(&class.value, "/provisioner");
    let has = |object: &Value, field: &str| match object.get(field) {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        _ => false,
    };
    let what = if mode(&claim.value) != "Filesystem" {
        "makes no block volumes"
    } else if has(&claim.value["spec"], "selector") {
        "makes no volumes for claims with a selector"
    } else if has(&claim.value["spec"], "dataSource") || has(&claim.value["spec"], "dataSourceRef")
    {
        "makes no volumes from other data"
    } else if has(&class.value, "parameters") {
        "has no parameters"
    } else if has(&class.value, "allowedTopologies") {
        "knows no topologies"
    } else {
        return None;
    };
    Some(format!("{by} {what}"))
}

/// The newest class that is marked as default.
fn default_class(classes: &[Object]) -> Option<&Object> {
    let marked = classes
        .iter()
        .filter(|class| DEFAULT.iter().any(|mark| annotation(&class.value, mark) == Some("true")));
    marked.max_by_key(|class| {
        (class.meta.creation_timestamp.clone(), std::cmp::Reverse(class.meta.name.clone()))
    })
}

/// What is to be done with a volume.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Volume {
    Phase(&'static str),
    /// Nobody has it any more.
    Released,
    /// Its claim has another volume.
    Unbind,
    /// Its claim has to be looked at first.
    Wait,
}

/// Decides about a volume by the claim that has the name it is kept for, if there is one.
pub(super) fn volume(volume: &Item<Value>, claim: Option<&Object>) -> Volume {
    let uid = text(&volume.value, "/spec/claimRef/uid");
    if is_free(&volume.value) || uid.is_empty() {
        return Volume::Phase("Available");
    }
    let Some(claim) = claim.filter(|claim| &*claim.meta.uid == uid) else {
        return Volume::Released;
    };
    let named = text(&claim.value, "/spec/volumeName");
    if named.is_empty() {
        Volume::Wait
    } else if named == &*volume.meta.name {
        Volume::Phase("Bound")
    } else if annotation(&volume.value, PROVISIONED_BY).is_some()
        && volume.value["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    {
        Volume::Released
    } else {
        Volume::Unbind
    }
}
