//! Claims and volumes: bound to each other, made where a class says so, released, removed, and held while somebody uses them.

mod bind;
mod disk;
mod hold;
#[cfg(test)]
mod tests;

pub(crate) use hold::claimed;

use crate::context::{CLAIMED, CLAIMS, Context, VOLUMES, path, reach};
use crate::event::{Event, Told, about};
use crate::json::{annotation, list, revision, set, text};
use bind::{
    Around, BY_CONTROLLER, COMPLETED, Claim, Object, PROVISIONED_BY, Place, SELECTED_NODE, Volume,
};
use disk::{Disk, make, remove};
use moat_apiserver::{DeleteOptions, Gvr, PatchType, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Who makes volumes on this machine's disk, as storage classes name it.
pub const PROVISIONER: &str = "moat.dev/host-path";

/// Claims have a namespace and volumes none, so one queue serves both; one worker, because two claims may want the same volume.
pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("claims");
    let (into, claims) = (queue.clone(), context.claims.clone());
    context.volumes.on_change(move |delta| {
        for volume in [&delta.old, &delta.new].into_iter().flatten() {
            into.add(volume.path.clone());
            let of = &volume.value["spec"]["claimRef"];
            if let Some(path) = path(text(of, "/namespace"), text(of, "/name")) {
                into.add(path);
            } else {
                // A free volume is for whoever waits for one.
                for claim in claims.all() {
                    if text(&claim.value, "/status/phase") != "Bound" {
                        into.add(claim.path.clone());
                    }
                }
            }
        }
    });
    let into = queue.clone();
    context.claims.on_change(move |delta| {
        for claim in [&delta.old, &delta.new].into_iter().flatten() {
            into.add(claim.path.clone());
            if let Ok(path) = Path::new(None, text(&claim.value, "/spec/volumeName")) {
                into.add(path);
            }
        }
    });
    let (into, claims) = (queue.clone(), context.claims.clone());
    context.classes.on_change(move |_| {
        for claim in claims.all() {
            if text(&claim.value, "/status/phase") != "Bound" {
                into.add(claim.path.clone());
            }
        }
    });
    let into = queue.clone();
    context.pods.on_change(move |delta| {
        let mut words = Vec::new();
        for pod in [&delta.old, &delta.new].into_iter().flatten() {
            hold::claimed(pod, &mut words);
        }
        for word in words {
            if let Some(path) = word.split_once('/').and_then(|(of, name)| path(of, name)) {
                into.add(path);
            }
        }
    });
    let (context, queue) = (Arc::clone(context), queue.clone());
    tasks.spawn(async move {
        context.synced().await;
        let work = move |path: Path| {
            let context = Arc::clone(&context);
            async move { crate::context::settle(sync(&context, &path).await) }
        };
        queue.work(1, work).await;
    });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    match path.namespace() {
        Some(namespace) => {
            let Some(claim) = context.claims.get(namespace, path.name()) else {
                return Ok(Done::Ok);
            };
            if hold::claim(context, &claim).await? {
                return Ok(Done::Ok);
            }
            sync_claim(context, &claim).await
        }
        None => {
            let Some(volume) = context.volumes.get("", path.name()) else { return Ok(Done::Ok) };
            if hold::volume(context, &volume).await? {
                return Ok(Done::Ok);
            }
            sync_volume(context, &volume).await
        }
    }
}

fn tell(context: &Context, kind: &str, item: &Item<Value>, (warning, reason, message): Told) {
    let about = about("v1", kind, &item.meta);
    let component = "persistentvolume-controller";
    context.tell(Event { about, component, warning, reason, message });
}

async fn sync_claim(context: &Context, item: &Object) -> Result<Done, Status> {
    let word = format!("{}/{}", item.meta.namespace, item.meta.name);
    let pods = context.pods.by(CLAIMED, &word);
    let waiting: Vec<&str> = pods
        .iter()
        .filter(|pod| pod.value.spec.node_name.is_empty() && !pod.value.is_over())
        .map(|pod| &*pod.meta.name)
        .collect();
    let placed = pods.iter().find(|pod| !pod.value.spec.node_name.is_empty());
    let node = annotation(&item.value, SELECTED_NODE)
        .or_else(|| placed.map(|pod| &*pod.value.spec.node_name))
        .and_then(|name| context.nodes.get("", name));
    let place = node
        .as_ref()
        .map(|node| Place { name: &node.meta.name, labels: &node.value["metadata"]["labels"] });
    let (volumes, classes) = (context.volumes.all(), context.classes.all());
    let provisioner = context.options.volumes.as_ref().map_or("", |_| PROVISIONER);
    let around =
        Around { volumes: &volumes, classes: &classes, waiting: &waiting, place, provisioner };
    match bind::claim(item, &around) {
        Claim::Bind(volume) => bind(context, item, &volume).await?,
        Claim::Class(name) => {
            let patch = json!({
                "metadata": { "resourceVersion": item.meta.resource_version },
                "spec": { "storageClassName": name },
            });
            let at = CLAIMS.at(&item.meta.namespace, &item.meta.name);
            let written = context.cluster.patch(at, PatchType::Merge, &patch).await?;
            reach(&context.claims, revision(&written)).await;
        }
        Claim::Provision(class) => provision(context, item, &class).await?,
        Claim::Phase(phase, told) => {
            if let Some(told) = told {
                tell(context, "PersistentVolumeClaim", item, told);
            }
            if text(&item.value, "/status/phase") != phase {
                write_claim_status(context, item, json!({ "phase": phase })).await?;
            }
        }
    }
    Ok(Done::Ok)
}

async fn write_claim_status(
    context: &Context,
    item: &Item<Value>,
    status: Value,
) -> Result<(), Status> {
    let mut changed = item.value.clone();
    set(&mut changed, &["status"], status);
    let at = CLAIMS.at(&item.meta.namespace, &item.meta.name).part("status");
    let written = context.cluster.update(at, changed).await?;
    reach(&context.claims, revision(&written)).await;
    Ok(())
}

/// Makes a claim and a volume each other's: the volume first, so that nobody else takes it.
async fn bind(context: &Context, claim: &Object, volume: &Object) -> Result<(), Status> {
    let name = &volume.meta.name;
    let reference = &volume.value["spec"]["claimRef"];
    let mut bound = volume.value.clone();
    if text(reference, "/uid") != &*claim.meta.uid {
        if reference.is_null() {
            set(&mut bound, &["metadata", "annotations", BY_CONTROLLER], "yes".into());
        }
        let reference = json!({
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim.meta.namespace,
            "name": claim.meta.name, "uid": claim.meta.uid, "resourceVersion": claim.meta.resource_version,
        });
        set(&mut bound, &["spec", "claimRef"], reference);
        bound = context.cluster.update(VOLUMES.at("", name), bound).await?;
        reach(&context.volumes, revision(&bound)).await;
    }
    if text(&bound, "/status/phase") != "Bound" {
        bound = volume_phase(context, bound, "Bound", "").await?;
    }
    let mut own = claim.value.clone();
    if text(&own, "/spec/volumeName") != &**name {
        set(&mut own, &["spec", "volumeName"], (**name).into());
        set(&mut own, &["metadata", "annotations", BY_CONTROLLER], "yes".into());
    }
    set(&mut own, &["metadata", "annotations", COMPLETED], "yes".into());
    let at = CLAIMS.at(&claim.meta.namespace, &claim.meta.name);
    if own != claim.value {
        own = context.cluster.update(at, own).await?;
        reach(&context.claims, revision(&own)).await;
    }
    let mut status = own["status"].clone();
    set(&mut status, &["phase"], "Bound".into());
    set(&mut status, &["accessModes"], bound["spec"]["accessModes"].clone());
    set(&mut status, &["capacity"], bound["spec"]["capacity"].clone());
    if status != own["status"] {
        set(&mut own, &["status"], status);
        let written = context.cluster.update(at.part("status"), own).await?;
        reach(&context.claims, revision(&written)).await;
    }
    Ok(())
}

async fn volume_phase(
    context: &Context,
    mut volume: Value,
    phase: &str,
    message: &str,
) -> Result<Value, Status> {
    let name = text(&volume, "/metadata/name").to_owned();
    let mut status = json!({ "phase": phase });
    if !message.is_empty() {
        status["message"] = message.into();
    }
    set(&mut volume, &["status"], status);
    let written = context.cluster.update(VOLUMES.at("", &name).part("status"), volume).await?;
    reach(&context.volumes, revision(&written)).await;
    Ok(written)
}

/// Makes a volume for a claim; the claim is bound to it when it is there.
async fn provision(context: &Context, claim: &Object, class: &Object) -> Result<(), Status> {
    let name = format!("pvc-{}", claim.meta.uid);
    let fail = |why: String| {
        let message =
            format!("failed to provision volume with StorageClass {:?}: {why}", class.meta.name);
        tell(context, "PersistentVolumeClaim", claim, (true, "ProvisioningFailed", message));
    };
    let disk = context.options.volumes.clone().map(Disk::new);
    let Some(at) = disk.and_then(|disk| disk.at(&name)) else { return Ok(()) };
    if let Err(error) = make(&at).await {
        let why = format!("{}: {error}", at.display());
        fail(why.clone());
        return Err(Status::internal(&why));
    }
    let spec = &claim.value["spec"];
    let policy = class.value["reclaimPolicy"].as_str().unwrap_or("Delete");
    let mut volume = json!({
        "metadata": { "name": name, "annotations": { PROVISIONED_BY: PROVISIONER } },
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": { "storage": spec["resources"]["requests"]["storage"] },
            "claimRef": {
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim.meta.namespace,
                "name": claim.meta.name, "uid": claim.meta.uid, "resourceVersion": claim.meta.resource_version,
            },
            "hostPath": { "path": at.to_string_lossy(), "type": "DirectoryOrCreate" },
            "persistentVolumeReclaimPolicy": policy, "storageClassName": class.meta.name,
            "volumeMode": "Filesystem",
        },
    });
    let options = list(&class.value, "/mountOptions");
    if !options.is_empty() {
        set(&mut volume, &["spec", "mountOptions"], options.to_vec().into());
    }
    match context.cluster.create(VOLUMES.at("", ""), volume).await {
        Ok(made) => {
            reach(&context.volumes, revision(&made)).await;
            let message = format!("Successfully provisioned volume {name}");
            tell(
                context,
                "PersistentVolumeClaim",
                claim,
                (false, "ProvisioningSucceeded", message),
            );
            Ok(())
        }
        // It was made before, by one that stopped then.
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        Err(status) => {
            fail(status.message.clone());
            Err(status)
        }
    }
}

async fn sync_volume(context: &Context, item: &Object) -> Result<Done, Status> {
    let of = &item.value["spec"]["claimRef"];
    let claim = context.claims.get(text(of, "/namespace"), text(of, "/name"));
    let phase = text(&item.value, "/status/phase");
    match bind::volume(item, claim.as_ref()) {
        Volume::Phase(wanted) => {
            if phase != wanted {
                volume_phase(context, item.value.clone(), wanted, "").await?;
            }
        }
        Volume::Released => {
            let mut volume = item.value.clone();
            if !["Released", "Failed"].contains(&phase) {
                volume = volume_phase(context, volume, "Released", "").await?;
            }
            reclaim(context, item, volume).await?;
        }
        Volume::Unbind => {
            let mut volume = item.value.clone();
            if annotation(&volume, BY_CONTROLLER).is_some() {
                if let Some(spec) = volume["spec"].as_object_mut() {
                    spec.shift_remove("claimRef");
                }
                if let Some(all) = volume["metadata"]["annotations"].as_object_mut() {
                    all.shift_remove(BY_CONTROLLER);
                }
            } else if let Some(of) = volume["spec"]["claimRef"].as_object_mut() {
                of.shift_remove("uid");
            }
            let written = context.cluster.update(VOLUMES.at("", &item.meta.name), volume).await?;
            reach(&context.volumes, revision(&written)).await;
        }
        Volume::Wait => {}
    }
    Ok(Done::Ok)
}

/// Does with a volume what its policy says once nobody has it.
async fn reclaim(context: &Context, item: &Object, volume: Value) -> Result<(), Status> {
    let failed = async |reason: &'static str, message: String| -> Result<(), Status> {
        if text(&volume, "/status/phase") == "Failed" {
            return Ok(());
        }
        volume_phase(context, volume.clone(), "Failed", &message).await?;
        tell(context, "PersistentVolume", item, (true, reason, message));
        Ok(())
    };
    let name = &item.meta.name;
    match text(&volume, "/spec/persistentVolumeReclaimPolicy") {
        "Retain" | "" => Ok(()),
        "Delete" => {
            // Only what was made here is removed here: a volume may name any directory.
            let disk = context.options.volumes.clone().map(Disk::new);
            let own = disk.and_then(|disk| disk.at(name)).filter(|at| {
                annotation(&volume, PROVISIONED_BY) == Some(PROVISIONER)
                    && text(&volume, "/spec/hostPath/path") == at.to_string_lossy()
            });
            let Some(at) = own else {
                if annotation(&volume, PROVISIONED_BY).is_some_and(|by| by != PROVISIONER) {
                    // Whoever made it removes it.
                    return Ok(());
                }
                let message = format!(
                    "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
                );
                return failed("VolumeFailedDelete", message).await;
            };
            if let Err(error) = remove(&at).await {
                return failed("VolumeFailedDelete", format!("{}: {error}", at.display())).await;
            }
            let options =
                DeleteOptions { uid: Some(item.meta.uid.to_string()), ..DeleteOptions::default() };
            match context.cluster.delete(VOLUMES.at("", name), &options).await {
                Ok(gone) => reach(&context.volumes, revision(&gone)).await,
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
            Ok(())
        }
        "Recycle" => {
            failed("VolumeFailedRecycle", "No recycler plugin found for the volume!".to_owned())
                .await
        }
        _ => {
            let message = "Volume has unrecognized PersistentVolumeReclaimPolicy";
            failed("VolumeUnknownReclaimPolicy", message.to_owned()).await
        }
    }
}

/// Patches the finalizers of a claim or a volume.
async fn finalizers(
    context: &Context,
    gvr: &Gvr,
    item: &Item<Value>,
    all: Vec<&str>,
) -> Result<u64, Status> {
    let patch = json!({ "metadata": {
        "uid": item.meta.uid, "resourceVersion": item.meta.resource_version, "finalizers": all,
    } });
    let at = gvr.at(&item.meta.namespace, &item.meta.name);
    context.cluster.patch(at, PatchType::Merge, &patch).await.map(|written| revision(&written))
}
