//! The templates that a DaemonSet or a StatefulSet had, as ControllerRevisions: what `kubectl rollout history` and `undo` read.

use crate::context::{Context, OF, ORPHANS, REVISIONS, may_adopt, reach};
use crate::json::{number, owners_but, revision, set};
use crate::pods::{Maker, reference};
use crate::selector::selects;
use moat_apiserver::{DeleteOptions, PatchType, Status};
use moat_informer::Item;
use serde_json::{Value, json};
use std::sync::Arc;

/// Names that were taken one after the other before one gives up.
const COLLISIONS: i64 = 20;

/// A revision in a cache.
pub(crate) type Revision = Arc<Item<Value>>;

pub(crate) fn number_of(one: &Item<Value>) -> i64 {
    number(&one.value, "/revision").unwrap_or(0)
}

/// The template of a revision.
pub(crate) fn template(revision: &Item<Value>) -> Value {
    let mut template = revision.value["data"]["spec"]["template"].clone();
    if let Some(map) = template.as_object_mut() {
        map.shift_remove("$patch");
    }
    template
}

/// Takes in revisions that a set of the same name left behind, as `kubectl delete --cascade=orphan` does.
async fn adopt(context: &Context, maker: &Maker, item: &Item<Value>) -> Result<(), Status> {
    let prefix = format!("{}-", item.meta.name);
    let mut orphans = context.revisions.by(ORPHANS, &item.meta.namespace);
    orphans.retain(|one| {
        one.meta.name.starts_with(&prefix)
            && !one.meta.is_deleting()
            && selects(&item.value["spec"]["selector"], &one.meta.labels)
    });
    if orphans.is_empty() || !may_adopt(context, maker.gvr, item).await? {
        return Ok(());
    }
    for one in orphans {
        let mut owners = owners_but(&one.meta, &item.meta.uid);
        owners.push(reference(maker, &item.meta));
        let patch = json!({ "metadata": {
            "uid": one.meta.uid, "resourceVersion": one.meta.resource_version, "ownerReferences": owners,
        } });
        let at = REVISIONS.at(&one.meta.namespace, &one.meta.name);
        let written = context.cluster.patch(at, PatchType::Merge, &patch).await?;
        reach(&context.revisions, revision(&written)).await;
    }
    Ok(())
}

/// Sees to it that the template is the newest revision. Returns that, and how many names were taken by others so far. The revision has the
/// hash of the template as a label of the name `label`.
pub(crate) async fn newest(
    context: &Context,
    maker: &Maker,
    item: &Item<Value>,
    label: &str,
) -> Result<(Revision, i64), Status> {
    adopt(context, maker, item).await?;
    let template = &item.value["spec"]["template"];
    let mut data = json!({ "spec": { "template": template } });
    set(&mut data, &["spec", "template", "$patch"], "replace".into());
    let had = number(&item.value, "/status/collisionCount").unwrap_or(0);
    let mut collisions = had;
    let all = context.revisions.by(OF, &item.meta.uid);
    let last = all.iter().map(|one| number_of(one)).max().unwrap_or(0);
    let same = all.iter().filter(|one| one.value["data"] == data);
    let written = if let Some(found) = same.max_by_key(|one| number_of(one)) {
        if number_of(found) == last {
            return Ok((Arc::clone(found), collisions));
        }
        let at = REVISIONS.at(&item.meta.namespace, &found.meta.name);
        context.cluster.patch(at, PatchType::Merge, &json!({ "revision": last + 1 })).await?
    } else {
        loop {
            let hash = crate::deployment::hash(template, collisions);
            let mut labels =
                template["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
            set(&mut labels, &[label], hash.as_str().into());
            let annotations = item.value["metadata"].get("annotations").cloned();
            let object = json!({
                "metadata": {
                    "name": format!("{}-{hash}", item.meta.name), "labels": labels,
                    "annotations": annotations.unwrap_or_else(|| json!({})),
                    "ownerReferences": [reference(maker, &item.meta)],
                },
                "data": data, "revision": last + 1,
            });
            match context.cluster.create(REVISIONS.at(&item.meta.namespace, ""), object).await {
                // Another template, or another set, has this name; the next hash differs.
                Err(status)
                    if status.reason == "AlreadyExists" && collisions < had + COLLISIONS =>
                {
                    collisions += 1;
                }
                made => break made?,
            }
        }
    };
    reach(&context.revisions, revision(&written)).await;
    let name = crate::json::text(&written, "/metadata/name");
    match context.revisions.get(&item.meta.namespace, name) {
        Some(newest) => Ok((newest, collisions)),
        None => Err(Status::internal("a revision was deleted as soon as it was made")),
    }
}

/// Deletes the oldest revisions that are of no use any more, beyond as many as are to be kept.
pub(crate) async fn forget(
    context: &Context,
    item: &Item<Value>,
    lives: impl Fn(&Item<Value>) -> bool,
) -> Result<(), Status> {
    let limit = number(&item.value, "/spec/revisionHistoryLimit").unwrap_or(10);
    let mut unused = context.revisions.by(OF, &item.meta.uid);
    unused.retain(|one| !lives(one));
    unused.sort_by_key(|one| number_of(one));
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
