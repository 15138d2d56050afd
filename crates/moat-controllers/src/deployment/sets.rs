//! The ReplicaSets of a Deployment: taken in, made, numbered, resized.

use super::plan::{self, DESIRED, HASH, REVISION, SetItem, Wanted};
use crate::context::{Context, DEPLOYMENTS, OF, ORPHANS, REPLICA_SETS, may_adopt, reach};
use crate::event::{Event, about};
use crate::json::{annotation, number, owners_but, revision, set, text};
use crate::selector::selects;
use moat_apiserver::{PatchType, Status};
use moat_informer::Item;
use serde_json::{Map, Value, json};

const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Annotations that a set does not take over from its Deployment.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

fn reference(item: &Item<Value>) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "name": item.meta.name, "uid": item.meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The sets that it manages, after it took in those that match and that nobody manages.
pub(super) async fn claim(context: &Context, item: &Item<Value>) -> Result<Vec<SetItem>, Status> {
    let mut written = 0;
    if !item.meta.is_deleting() {
        let mut orphans = context.replica_sets.by(ORPHANS, &item.meta.namespace);
        let selector = &item.value["spec"]["selector"];
        orphans.retain(|set| !set.meta.is_deleting() && selects(selector, &set.meta.labels));
        if !orphans.is_empty() && !may_adopt(context, &DEPLOYMENTS, item).await? {
            orphans.clear();
        }
        for set in orphans {
            let mut owners = owners_but(&set.meta, &item.meta.uid);
            owners.push(reference(item));
            let patch = json!({ "metadata": {
                "uid": set.meta.uid, "resourceVersion": set.meta.resource_version, "ownerReferences": owners,
            } });
            let at = REPLICA_SETS.at(&set.meta.namespace, &set.meta.name);
            written = revision(&context.cluster.patch(at, PatchType::Merge, &patch).await?);
        }
    }
    reach(&context.replica_sets, written).await;
    Ok(context.replica_sets.by(OF, &item.meta.uid))
}

/// What became of a new set.
pub(super) enum Made {
    Set,
    /// Its name is another template's; the next hash has to differ.
    Collision(i64),
}

fn told(context: &Context, item: &Item<Value>, message: String) {
    context.tell(Event {
        about: about("apps/v1", "Deployment", &item.meta),
        component: "deployment-controller",
        warning: false,
        reason: "ScalingReplicaSet",
        message,
    });
}

/// Makes the set of the Deployment's template.
pub(super) async fn make(
    context: &Context,
    item: &Item<Value>,
    sets: &[SetItem],
    wanted: Wanted,
    recreate: bool,
) -> Result<Made, Status> {
    let deployment = &item.value;
    let collisions = number(deployment, "/status/collisionCount").unwrap_or(0);
    let template = &deployment["spec"]["template"];
    let hash = plan::hash(template, collisions);
    let total: i64 = sets.iter().map(|set| plan::Size::of(&set.value).replicas).sum();
    let replicas = if recreate {
        wanted.replicas
    } else {
        (wanted.replicas + wanted.max_surge - total).clamp(0, wanted.replicas)
    };
    let newest = sets.iter().map(|set| plan::number_of(&set.value)).max().unwrap_or(0);
    let name = format!("{}-{hash}", item.meta.name);
    let mut own = template.clone();
    set(&mut own, &["metadata", "labels", HASH], hash.as_str().into());
    let mut selector = deployment["spec"]["selector"].clone();
    set(&mut selector, &["matchLabels", HASH], hash.as_str().into());
    let mut annotations = taken_over(deployment);
    annotations.insert(REVISION.to_owned(), (newest + 1).to_string().into());
    annotations.insert(DESIRED.to_owned(), wanted.replicas.to_string().into());
    annotations.insert(MAX.to_owned(), (wanted.replicas + wanted.max_surge).to_string().into());
    let mut object = json!({
        "metadata": {
            "name": name, "labels": own["metadata"]["labels"], "annotations": annotations, "ownerReferences": [reference(item)],
        },
        "spec": { "replicas": replicas, "selector": selector, "template": own },
    });
    if let Some(seconds) = number(deployment, "/spec/minReadySeconds") {
        set(&mut object, &["spec", "minReadySeconds"], seconds.into());
    }
    let at = REPLICA_SETS.at(&item.meta.namespace, "");
    match context.cluster.create(at, object).await {
        Ok(made) => {
            reach(&context.replica_sets, revision(&made)).await;
            if 0 < replicas {
                told(context, item, format!("Scaled up replica set {name} from 0 to {replicas}"));
            }
            Ok(Made::Set)
        }
        Err(status) if status.reason == "AlreadyExists" => {
            let found = context.cluster.get(REPLICA_SETS.at(&item.meta.namespace, &name)).await?;
            let owners = crate::json::list(&found, "/metadata/ownerReferences");
            let mine = owners
                .iter()
                .any(|owner| owner["uid"] == *item.meta.uid && owner["controller"] == true);
            if mine && plan::is_of_template(&found, template) {
                // The cache did not have it yet.
                reach(&context.replica_sets, revision(&found)).await;
                return Ok(Made::Set);
            }
            Ok(Made::Collision(collisions + 1))
        }
        Err(status) => Err(status),
    }
}

fn taken_over(deployment: &Value) -> Map<String, Value> {
    let all = deployment["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    all.into_iter().filter(|(key, _)| !OWN.contains(&key.as_str())).collect()
}

/// Gives the new set the newest number, as a rollback does, and the Deployment's annotations. Whether anything was written.
pub(super) async fn renumber(
    context: &Context,
    item: &Item<Value>,
    new: &SetItem,
    old: &[&SetItem],
) -> Result<bool, Status> {
    let newest = old.iter().map(|set| plan::number_of(&set.value)).max().unwrap_or(0) + 1;
    let mut annotations = taken_over(&item.value);
    let had = plan::number_of(&new.value);
    if had < newest {
        annotations.insert(REVISION.to_owned(), newest.to_string().into());
        if 0 < had {
            let history = annotation(&new.value, HISTORY).filter(|text| !text.is_empty());
            let history = history.map_or_else(|| had.to_string(), |text| format!("{text},{had}"));
            annotations.insert(HISTORY.to_owned(), history.into());
        }
    }
    let min_ready = number(&item.value, "/spec/minReadySeconds");
    let same_min =
        min_ready.unwrap_or(0) == number(&new.value, "/spec/minReadySeconds").unwrap_or(0);
    let same = |(key, value): (&String, &Value)| annotation(&new.value, key) == value.as_str();
    if same_min && annotations.iter().all(same) {
        return Ok(false);
    }
    let mut patch = json!({ "metadata": { "annotations": annotations } });
    if !same_min {
        set(&mut patch, &["spec", "minReadySeconds"], min_ready.unwrap_or(0).into());
    }
    let at = REPLICA_SETS.at(&new.meta.namespace, &new.meta.name);
    let written = context.cluster.patch(at, PatchType::Merge, &patch).await?;
    reach(&context.replica_sets, revision(&written)).await;
    Ok(true)
}

/// Gives a set a size, and says for which size of the Deployment. Whether it changed.
pub(super) async fn size(
    context: &Context,
    item: &Item<Value>,
    one: &SetItem,
    replicas: i64,
    wanted: Wanted,
) -> Result<bool, Status> {
    let had = plan::Size::of(&one.value).replicas;
    let desired = wanted.replicas.to_string();
    let max = (wanted.replicas + wanted.max_surge).to_string();
    let told_size = annotation(&one.value, DESIRED) == Some(&desired)
        && annotation(&one.value, MAX) == Some(&max);
    // A set of no pods is not told of every change of its Deployment.
    if had == replicas && (told_size || replicas == 0) {
        return Ok(false);
    }
    let mut patch = json!({ "metadata": {
        "resourceVersion": one.meta.resource_version, "annotations": { DESIRED: desired, MAX: max },
    } });
    if had != replicas {
        set(&mut patch, &["spec", "replicas"], replicas.into());
    }
    let at = REPLICA_SETS.at(&one.meta.namespace, &one.meta.name);
    let written = context.cluster.patch(at, PatchType::Merge, &patch).await?;
    reach(&context.replica_sets, revision(&written)).await;
    if had != replicas {
        let way = if had < replicas { "up" } else { "down" };
        let name = text(&written, "/metadata/name");
        told(context, item, format!("Scaled {way} replica set {name} from {had} to {replicas}"));
    }
    Ok(had != replicas)
}

/// Resizes sets after the Deployment's size changed, or while it is paused. Whether anything changed.
pub(super) async fn resize(
    context: &Context,
    item: &Item<Value>,
    sets: &[SetItem],
    wanted: Wanted,
) -> Result<bool, Status> {
    let active: Vec<&SetItem> =
        sets.iter().filter(|set| 0 < plan::Size::of(&set.value).replicas).collect();
    let new = plan::find_new(sets, &item.value);
    let available = |set: &SetItem| plan::Size::of(&set.value).available;
    let saturated = new.is_some_and(|new| {
        plan::Size::of(&new.value).replicas == wanted.replicas && available(new) == wanted.replicas
    });
    let sizes: Vec<i64> = match active.as_slice() {
        [_] => vec![wanted.replicas],
        [] => match new.or(sets.last()) {
            Some(newest) => return size(context, item, newest, wanted.replicas, wanted).await,
            None => return Ok(false),
        },
        _ if saturated => active
            .iter()
            .map(|set| {
                if new.is_some_and(|new| new.meta.uid == set.meta.uid) {
                    wanted.replicas
                } else {
                    0
                }
            })
            .collect(),
        _ => plan::scale(
            wanted,
            &active.iter().map(|set| plan::Size::of(&set.value).replicas).collect::<Vec<_>>(),
        ),
    };
    let mut changed = false;
    for (set, replicas) in active.iter().zip(sizes) {
        let before = set.revision;
        changed |= size(context, item, set, replicas, wanted).await?;
        let after = context.replica_sets.get(&set.meta.namespace, &set.meta.name);
        changed |= after.is_some_and(|after| after.revision != before);
    }
    Ok(changed)
}
