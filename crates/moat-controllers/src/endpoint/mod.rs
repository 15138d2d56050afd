//! Endpoints of Services that select pods: EndpointSlices, and the old Endpoints; and slices of Endpoints that somebody wrote by hand.

mod mirror;
mod plan;
#[cfg(test)]
mod tests;

use crate::context::{Context, ENDPOINTS, SLICES, path, reach, work};
use crate::json::{list, revision, set, text};
use crate::pod::PodItem;
use crate::selector::has_all;
use moat_apiserver::{DeleteOptions, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Where a Service's slices are in their cache.
const OF_SERVICE: usize = 0;
/// Pods come in crowds; a Service waits so long for the rest of one.
const GATHER: Duration = Duration::from_millis(5);

fn selector(service: &Value) -> Option<&Map<String, Value>> {
    service["spec"]["selector"].as_object().filter(|selector| !selector.is_empty())
}

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    mirror::start(context, tasks);
    let queue: Queue<Path> = context.queue("endpoint_slice");
    let into = queue.clone();
    context.services.on_change(move |delta| {
        into.add(
            delta
                .last()
                .map_or_else(|| unreachable!("a change of nothing"), |one| one.path.clone()),
        );
    });
    let (into, services) = (queue.clone(), context.services.clone());
    context.pods.on_change(move |delta| {
        for pod in [&delta.old, &delta.new].into_iter().flatten() {
            for service in services.in_namespace(&pod.meta.namespace) {
                if selector(&service.value).is_some()
                    && has_all(&service.value["spec"]["selector"], &pod.meta.labels)
                {
                    into.add_after(service.path.clone(), GATHER);
                }
            }
        }
    });
    let into = queue.clone();
    context.slices.on_change(move |delta| {
        let Some(last) = delta.last().filter(|last| last.meta.label(MANAGED_BY) == Some(MANAGER))
        else {
            return;
        };
        if let Some(path) = last.meta.label(NAME).and_then(|name| path(&last.meta.namespace, name))
        {
            into.add_after(path, GATHER);
        }
    });
    let into = queue.clone();
    context.endpoints.on_change(move |delta| {
        if let Some(last) = delta.last() {
            into.add_after(last.path.clone(), GATHER);
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.services.get(namespace, path.name()) else {
        return old_gone(context, namespace, path.name()).await;
    };
    // Without a selector somebody else says what stands behind it.
    if item.meta.is_deleting()
        || selector(&item.value).is_none()
        || item.value["spec"]["type"] == "ExternalName"
    {
        return Ok(Done::Ok);
    }
    let wanted = &item.value["spec"]["selector"];
    let mut pods: Vec<PodItem> = context.pods.in_namespace(namespace);
    pods.retain(|pod| has_all(wanted, &pod.meta.labels));
    let desired = plan::desired(&item.value, &pods);
    let subsets = plan::subsets(&item.value, &desired);
    slices(context, &item, desired).await?;
    endpoints(context, &item, subsets).await?;
    Ok(Done::Ok)
}

fn labels(item: &Item<Value>) -> Value {
    let mut labels = item.value["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
    if item.value["spec"]["clusterIP"] == "None" {
        set(&mut labels, &["service.kubernetes.io/headless"], "".into());
    }
    labels
}

async fn slices(
    context: &Context,
    item: &Item<Value>,
    desired: plan::Desired,
) -> Result<(), Status> {
    let namespace = &*item.meta.namespace;
    let mut all = context.slices.by(OF_SERVICE, &format!("{namespace}/{}", item.meta.name));
    all.retain(|slice| slice.meta.label(MANAGED_BY) == Some(MANAGER) && !slice.meta.is_deleting());
    let values: Vec<&Value> = all.iter().map(|slice| &slice.value).collect();
    let changes = plan::arrange(desired, &values);
    let mut written = 0;
    for (at, endpoints) in changes.update {
        let Some(slice) = all.get(at) else { continue };
        let mut changed = slice.value.clone();
        set(&mut changed, &["endpoints"], endpoints.into());
        let result =
            context.cluster.update(SLICES.at(namespace, &slice.meta.name), changed).await?;
        written = written.max(revision(&result));
    }
    for (family, ports, endpoints) in changes.create {
        let mut own = labels(item);
        set(&mut own, &[NAME], (*item.meta.name).into());
        set(&mut own, &[MANAGED_BY], MANAGER.into());
        let slice = json!({
            "metadata": {
                "generateName": format!("{}-", item.meta.name), "labels": own,
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Service", "name": item.meta.name, "uid": item.meta.uid,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "addressType": family, "endpoints": endpoints, "ports": ports,
        });
        let result = context.cluster.create(SLICES.at(namespace, ""), slice).await?;
        written = written.max(revision(&result));
    }
    for at in changes.delete {
        let Some(slice) = all.get(at) else { continue };
        match context
            .cluster
            .delete(SLICES.at(namespace, &slice.meta.name), &DeleteOptions::default())
            .await
        {
            Ok(_) => {}
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    reach(&context.slices, written).await;
    Ok(())
}

async fn endpoints(
    context: &Context,
    item: &Item<Value>,
    subsets: Vec<Value>,
) -> Result<(), Status> {
    let (namespace, name) = (&*item.meta.namespace, &*item.meta.name);
    let mut own = labels(item);
    set(&mut own, &["endpoints.kubernetes.io/managed-by"], "endpoint-controller".into());
    let at = ENDPOINTS.at(namespace, name);
    let written = match context.endpoints.get(namespace, name) {
        Some(found) => {
            if list(&found.value, "/subsets") == subsets.as_slice()
                && found.value["metadata"]["labels"] == own
            {
                return Ok(());
            }
            let mut changed = found.value.clone();
            set(&mut changed, &["subsets"], subsets.into());
            set(&mut changed, &["metadata", "labels"], own);
            context.cluster.update(at, changed).await?
        }
        None => {
            let object = json!({ "metadata": { "name": name, "labels": own }, "subsets": subsets });
            context.cluster.create(ENDPOINTS.at(namespace, ""), object).await?
        }
    };
    reach(&context.endpoints, revision(&written)).await;
    Ok(())
}

/// The old Endpoints go with their Service; slices do by their owner.
async fn old_gone(context: &Context, namespace: &str, name: &str) -> Result<Done, Status> {
    let Some(found) = context.endpoints.get(namespace, name) else { return Ok(Done::Ok) };
    // Others make Endpoints without a Service for their own ends.
    if found.meta.label("endpoints.kubernetes.io/managed-by") != Some("endpoint-controller") {
        return Ok(Done::Ok);
    }
    let uid = text(&found.value, "/metadata/uid").to_owned();
    let options = DeleteOptions { uid: Some(uid), ..DeleteOptions::default() };
    match context.cluster.delete(ENDPOINTS.at(namespace, name), &options).await {
        Ok(_) => Ok(Done::Ok),
        Err(status) if status.code == 404 => Ok(Done::Ok),
        Err(status) => Err(status),
    }
}
