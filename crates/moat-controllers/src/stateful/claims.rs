//! The claims of a StatefulSet's pods: one of each template for each ordinal, and whose they are.

use super::plan::{Range, ordinal_of};
use crate::json::{list, owner, set, text};
use crate::pod::PodItem;
use moat_informer::{Item, Owner};
use serde_json::{Value, json};
use std::sync::Arc;

/// A claim in a cache.
pub(super) type ClaimItem = Arc<Item<Value>>;

/// Finds a claim by its name.
pub(super) type Find<'a> = &'a dyn Fn(&str) -> Option<ClaimItem>;

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    /// A claim is made for a pod of this name.
    Make { pod: String, claim: Value },
    /// A claim gets these owners; whether another controller has it, so that the policy does not count.
    Own { claim: ClaimItem, owners: Vec<Value>, conflict: bool },
}

/// The name of a claim of a template for an ordinal.
pub(super) fn name(template: &Value, set: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", text(template, "/metadata/name"), text(set, "/metadata/name"))
}

fn templates(set: &Value) -> &[Value] {
    list(set, "/spec/volumeClaimTemplates")
}

/// The volumes of a pod of an ordinal: its claims, and those of the template that no claim hides.
pub(super) fn volumes(set: &Value, ordinal: i64, others: &[Value]) -> Vec<Value> {
    let of = |template: &Value| {
        json!({
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": { "claimName": name(template, set, ordinal) },
        })
    };
    let hidden = |volume: &Value| {
        templates(set).iter().any(|template| template["metadata"]["name"] == volume["name"])
    };
    let others = others.iter().filter(|volume| !hidden(volume)).cloned();
    templates(set).iter().map(of).chain(others).collect()
}

/// Whether a pod has the volumes of its claims.
pub(super) fn has_volumes(set: &Value, ordinal: i64, pod: &PodItem) -> bool {
    templates(set).iter().all(|template| {
        let volume = text(template, "/metadata/name");
        let claim = pod.value.spec.volumes.iter().find(|one| *one.name == *volume);
        let claim = claim.and_then(|one| one.persistent_volume_claim.as_ref());
        claim.is_some_and(|claim| *claim.claim_name == *name(template, set, ordinal))
    })
}

/// Makes what is missing for an ordinal.
///
/// Errors, in words: a claim is there but goes.
pub(super) fn missing(
    item: &Item<Value>,
    ordinal: i64,
    find: Find<'_>,
) -> Result<Vec<Write>, String> {
    let mut writes = Vec::new();
    for template in templates(&item.value) {
        let name = name(template, &item.value, ordinal);
        match find(&name) {
            Some(found) if found.meta.is_deleting() => {
                return Err(format!("pvc {name} is being deleted"));
            }
            Some(_) => {}
            None => {
                let pod = format!("{}-{ordinal}", item.meta.name);
                writes.push(Write::Make { pod, claim: claim(item, template, &name, ordinal) });
            }
        }
    }
    Ok(writes)
}

fn claim(item: &Item<Value>, template: &Value, name: &str, ordinal: i64) -> Value {
    let mut claim = json!({
        "metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    });
    set(&mut claim, &["metadata", "name"], name.into());
    let labels = item.value["spec"]["selector"]["matchLabels"].as_object();
    for (key, value) in labels.into_iter().flatten() {
        set(&mut claim, &["metadata", "labels", key], value.clone());
    }
    if Policy::of(&item.value).of_set(&item.value, ordinal) {
        set(&mut claim, &["metadata", "ownerReferences"], json!([of_set(item)]));
    }
    claim
}

/// Whether a claim still belongs to a pod of the name that is gone; it goes too, and a new pod must not take it.
pub(super) fn is_stale(item: &Item<Value>, ordinal: i64, find: Find<'_>) -> bool {
    let pod = format!("{}-{ordinal}", item.meta.name);
    Policy::of(&item.value).scaled
        && templates(&item.value).iter().any(|template| {
            find(&name(template, &item.value, ordinal))
                .is_some_and(|claim| claim.meta.owner_references.iter().any(|it| is_pod(it, &pod)))
        })
}

/// What becomes of claims: whether they go with the set, and whether they go with a pod that is too many.
#[derive(Clone, Copy)]
struct Policy {
    deleted: bool,
    scaled: bool,
}

impl Policy {
    fn of(set: &Value) -> Self {
        let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
        Self {
            deleted: policy["whenDeleted"] == "Delete",
            scaled: policy["whenScaled"] == "Delete",
        }
    }

    fn of_pod(self, set: &Value, ordinal: i64) -> bool {
        self.scaled && !Range::of(set).contains(ordinal)
    }

    fn of_set(self, set: &Value, ordinal: i64) -> bool {
        self.deleted && !self.of_pod(set, ordinal)
    }
}

fn of_set(item: &Item<Value>) -> Value {
    crate::pods::reference(&super::MAKER, &item.meta)
}

fn is_set(owner: &Owner, item: &Item<Value>) -> bool {
    *owner.api_version == *super::MAKER.api_version
        && *owner.kind == *super::MAKER.kind
        && owner.name == item.meta.name
}

fn is_pod(owner: &Owner, name: &str) -> bool {
    &*owner.api_version == "v1" && &*owner.kind == "Pod" && &*owner.name == name
}

/// Gives the claims of a pod the owners that the policy wants.
pub(super) fn owners(item: &Item<Value>, pod: &PodItem, find: Find<'_>) -> Vec<Write> {
    let Some(ordinal) = ordinal_of(&pod.meta.name) else { return Vec::new() };
    let names = templates(&item.value).iter().map(|one| name(one, &item.value, ordinal));
    names.filter_map(|name| own(item, pod, ordinal, find(&name)?)).collect()
}

fn own(item: &Item<Value>, pod: &PodItem, ordinal: i64, claim: ClaimItem) -> Option<Write> {
    let policy = Policy::of(&item.value);
    let owners = &claim.meta.owner_references;
    let ours = |owner: &Owner| is_set(owner, item) || is_pod(owner, &pod.meta.name);
    let live = |owner: &Owner| owner.uid == item.meta.uid || owner.uid == pod.meta.uid;
    if owners.iter().any(|owner| ours(owner) && !live(owner)) {
        // It belongs to one of the name that is gone, and goes with it.
        return None;
    }
    let others = owners.iter().filter(|owner| !ours(owner));
    let conflict = (policy.deleted || policy.scaled) && others.clone().any(|one| one.controller);
    let wants_set = !conflict && policy.of_set(&item.value, ordinal);
    let wants_pod = !conflict && policy.of_pod(&item.value, ordinal);
    let has = |uid: &str| owners.iter().any(|owner| *owner.uid == *uid);
    let manages = owners.iter().filter(|one| live(one)).all(|one| one.controller);
    if has(&item.meta.uid) == wants_set && has(&pod.meta.uid) == wants_pod && manages {
        return None;
    }
    let mut wanted: Vec<Value> = others.map(owner).collect();
    wanted.extend(wants_set.then(|| of_set(item)));
    wanted.extend(wants_pod.then(|| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "name": pod.meta.name, "uid": pod.meta.uid,
            "controller": true, "blockOwnerDeletion": true,
        })
    }));
    Some(Write::Own { claim, owners: wanted, conflict })
}
