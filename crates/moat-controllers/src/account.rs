//! What every namespace has: the ServiceAccount `default`, and the authority's certificate for its pods.

use crate::context::{Context, path, work};
use crate::garbage::Graph;
use moat_apiserver::{Gvr, Status};
use moat_informer::Done;
use moat_store::Path;
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

static ACCOUNTS: Gvr = Gvr::new("", "v1", "serviceaccounts");
static CONFIG_MAPS: Gvr = Gvr::new("", "v1", "configmaps");
const ROOT_CA: &str = "kube-root-ca.crt";

pub(crate) fn start(context: &Arc<Context>, graph: &Graph, tasks: &mut JoinSet<()>) {
    let queue = context.queue("serviceaccount");
    let into = queue.clone();
    context.namespaces.on_change(move |delta| {
        if let Some(new) = delta.new.as_ref().filter(|new| !new.meta.is_deleting()) {
            into.add(new.path.clone());
        }
    });
    for (gvr, name) in [(&ACCOUNTS, "default"), (&CONFIG_MAPS, ROOT_CA)] {
        let into = queue.clone();
        let Some(cache) = graph.cache(gvr) else { continue };
        cache.on_change(move |delta| {
            let (Some(old), namespace) = (&delta.old, delta.last().map(|one| &one.meta.namespace))
            else {
                return;
            };
            let mine = &*old.meta.name == name;
            if let Some(path) = namespace.filter(|_| mine).and_then(|own| path("", own)) {
                into.add(path);
            }
        });
    }
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.name();
    match context.namespaces.get("", namespace) {
        Some(item) if !item.meta.is_deleting() => {}
        _ => return Ok(Done::Ok),
    }
    let account = json!({ "metadata": { "name": "default" } });
    made(context.cluster.create(ACCOUNTS.at(namespace, ""), account).await)?;
    let Some(certificate) = &context.options.root_ca else { return Ok(Done::Ok) };
    let about = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
    let data = json!({ "ca.crt": certificate });
    let wanted = json!({
        "metadata": { "name": ROOT_CA, "annotations": { "kubernetes.io/description": about } }, "data": data,
    });
    if made(context.cluster.create(CONFIG_MAPS.at(namespace, ""), wanted).await)? {
        return Ok(Done::Ok);
    }
    let at = CONFIG_MAPS.at(namespace, ROOT_CA);
    let mut found = context.cluster.get(at).await?;
    if found["data"] != data {
        crate::json::set(&mut found, &["data"], data);
        context.cluster.update(at, found).await?;
    }
    Ok(Done::Ok)
}

/// Whether it was made now; no failure if it was there, or if its namespace goes.
fn made(result: Result<serde_json::Value, Status>) -> Result<bool, Status> {
    match result {
        Ok(_) => Ok(true),
        Err(status) if status.reason == "AlreadyExists" => Ok(false),
        Err(status) if matches!(status.code, 403 | 404) && terminating(&status) => Ok(true),
        Err(status) => Err(status),
    }
}

fn terminating(status: &Status) -> bool {
    status.code == 404 || status.message.contains("because it is being terminated")
}
