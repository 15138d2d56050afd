//! The templates that a DaemonSet had, as ControllerRevisions: what `kubectl rollout history` and `undo` read.

use super::plan::HASH;
use crate::context::{Context, OF, REVISIONS, reach};
use crate::json::{number, revision, set};
use crate::pod::PodItem;
use crate::pods::{Maker, reference};
use moat_apiserver::{DeleteOptions, PatchType, Status};
use moat_informer::Item;
use serde_json::{Value, json};
use std::sync::Arc;

/// Sees to it that the template is the newest revision, and returns its label.
pub(super) async fn newest(
    context: &Context,
    maker: &Maker,
    item: &Item<Value>,
) -> Result<String, Status> {
    let template = &item.value["spec"]["template"];
    let mut data = json!({ "spec": { "template": template } });
    set(&mut data, &["spec", "template", "$patch"], "replace".into());
    let all = context.revisions.by(OF, &item.meta.uid);
    let of = |one: &Arc<Item<Value>>| number(&one.value, "/revision").unwrap_or(0);
    let last = all.iter().map(of).max().unwrap_or(0);
    if let Some(found) = all.iter().find(|one| one.value["data"] == data) {
        if of(found) < last {
            let at = REVISIONS.at(&item.meta.namespace, &found.meta.name);
            let patch = json!({ "revision": last + 1 });
            let written = context.cluster.patch(at, PatchType::Merge, &patch).await?;
            reach(&context.revisions, revision(&written)).await;
        }
        return Ok(found.meta.label(HASH).unwrap_or_default().to_owned());
    }
    let collisions = number(&item.value, "/status/collisionCount").unwrap_or(0);
    let hash = crate::deployment::hash(template, collisions);
    let mut labels = template["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
    set(&mut labels, &[HASH], hash.as_str().into());
    let object = json!({
        "metadata": {
            "name": format!("{}-{hash}", item.meta.name), "labels": labels,
            "annotations": item.value["metadata"].get("annotations").cloned().unwrap_or_else(|| json!({})),
            "ownerReferences": [reference(maker, &item.meta)],
        },
        "data": data, "revision": last + 1,
    });
    let name = crate::json::text(&object, "/metadata/name").to_owned();
    let at = REVISIONS.at(&item.meta.namespace, &name);
    let owners = object["metadata"]["ownerReferences"].clone();
    let made = match context.cluster.create(REVISIONS.at(&item.meta.namespace, ""), object).await {
        Err(status) if status.reason == "AlreadyExists" => {
            // A set of the same name left it behind; another template's is not taken.
            let left = context.cluster.get(at).await?;
            if left["data"] != data || left["metadata"].get("ownerReferences").is_some() {
                return Err(status);
            }
            let patch = json!({
                "metadata": { "uid": left["metadata"]["uid"], "ownerReferences": owners }, "revision": last + 1,
            });
            context.cluster.patch(at, PatchType::Merge, &patch).await?
        }
        made => made?,
    };
    reach(&context.revisions, revision(&made)).await;
    Ok(hash)
}

/// Deletes the oldest revisions that no pod is of, beyond as many as are to be kept.
pub(super) async fn forget(
    context: &Context,
    item: &Item<Value>,
    pods: &[PodItem],
    newest: &str,
) -> Result<(), Status> {
    let limit = number(&item.value, "/spec/revisionHistoryLimit").unwrap_or(10);
    let mut unused = context.revisions.by(OF, &item.meta.uid);
    unused.retain(|one| {
        let hash = one.meta.label(HASH);
        hash != Some(newest) && pods.iter().all(|pod| pod.meta.label(HASH) != hash)
    });
    unused.sort_by_key(|one| number(&one.value, "/revision"));
    let surplus = unused.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for one in unused.into_iter().take(surplus) {
        let options =
            DeleteOptions { uid: Some(one.meta.uid.to_string()), ..DeleteOptions::default() };
        let at = REVISIONS.at(&one.meta.namespace, &one.meta.name);
        match context.cluster.delete(at, &options).await {
            Ok(gone) => reach(&context.revisions, revision(&gone)).await,
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}
