//! What quotas say is used in their namespaces. The API server counts for itself what it admits; this is for who reads it.

use crate::context::{Context, QUOTAS, reach, work};
use crate::garbage::Graph;
use crate::json::{revision, set};
use moat_apiserver::{Selection, ServedKind, Status, quota_counts, quota_used};
use moat_informer::{Done, Queue};
use moat_store::Path;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Many changes of a namespace are counted once.
const SOON: Duration = Duration::from_millis(100);
/// Kinds that came later tell nobody of their objects; they are counted from time to time (`--resource-quota-sync-period`).
const ANEW: Duration = Duration::from_secs(300);

pub(crate) fn start(context: &Arc<Context>, graph: &Graph, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("resource_quota_controller_resource_changes");
    let into = queue.clone();
    context.quotas.on_change(move |delta| {
        if let Some(quota) = &delta.new {
            into.add(quota.path.clone());
        }
    });
    for kind in context.cluster.kinds().iter().filter(|kind| kind.namespaced) {
        let Some(cache) = graph.cache(&kind.gvr) else { continue };
        let (into, quotas) = (queue.clone(), context.quotas.clone());
        cache.on_change(move |delta| {
            let Some(object) = delta.last() else { return };
            for quota in quotas.in_namespace(&object.meta.namespace) {
                into.add_after(quota.path.clone(), SOON);
            }
        });
    }
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.quotas.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let kinds = context.cluster.kinds();
    let mut objects: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for resource in quota_counts(&item.value) {
        let found = match kinds.iter().find(|kind| name_of(kind) == resource) {
            Some(kind) => {
                context
                    .cluster
                    .list(kind.gvr.at(namespace, ""), &Selection::default())
                    .await?
                    .objects
            }
            None => Vec::new(),
        };
        let values = found.iter().filter_map(|one| serde_json::from_slice(&one.value).ok());
        objects.insert(resource, values.collect());
    }
    let used =
        quota_used(&item.value, |resource| objects.get(resource).cloned().unwrap_or_default());
    let status = json!({ "hard": item.value["spec"]["hard"], "used": used });
    if status != item.value["status"] {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], status);
        let at = QUOTAS.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(&context.quotas, revision(&written)).await;
    }
    Ok(Done::After(ANEW))
}

/// The name under which quotas count a kind.
fn name_of(kind: &ServedKind) -> String {
    let (group, plural) = (&kind.gvr.group, &kind.gvr.plural);
    if group.is_empty() { plural.to_string() } else { format!("{group}/{plural}") }
}
