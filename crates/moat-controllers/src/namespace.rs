//! Namespaces that are deleted: their content goes, pods first, then they do.

use crate::context::{Context, work};
use crate::json::{list, time};
use moat_apiserver::{DeleteOptions, Selection, ServedKind, Status};
use moat_informer::Done;
use moat_store::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How soon a namespace is looked at again whose content did not go at once.
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue = context.queue("namespace");
    let into = queue.clone();
    context.namespaces.on_change(move |delta| {
        if let Some(new) = delta.new.as_ref().filter(|new| new.meta.is_deleting()) {
            into.add(new.path.clone());
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

/// What is still there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    kinds: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let name = path.name();
    let Some(item) = context.namespaces.get("", name) else { return Ok(Done::Ok) };
    let held = list(&item.value, "/spec/finalizers").iter().any(|one| one == "kubernetes");
    if !item.meta.is_deleting() || !held {
        return Ok(Done::Ok);
    }
    let mut kinds: Vec<ServedKind> = context.cluster.kinds();
    kinds.retain(|kind| kind.namespaced);
    // Pods first: what they use must not go before them.
    kinds.sort_by_key(|kind| kind.kind != "Pod");
    let mut left = Left::default();
    for kind in kinds {
        empty(context, &kind, name, &mut left).await?;
    }
    let at = item.meta.name.to_string();
    if left == Left::default() {
        let mut done = item.value.clone();
        let rest: Vec<Value> = list(&done, "/spec/finalizers")
            .iter()
            .filter(|one| *one != "kubernetes")
            .cloned()
            .collect();
        crate::json::set(&mut done, &["spec", "finalizers"], rest.into());
        context.cluster.update(item_at(&at).part("finalize"), done).await?;
        return Ok(Done::Ok);
    }
    let now = jiff::Timestamp::now().as_second();
    let conditions = conditions(&left, list(&item.value, "/status/conditions"), now);
    if list(&item.value, "/status/conditions") != conditions {
        let mut changed = item.value.clone();
        crate::json::set(&mut changed, &["status", "conditions"], conditions.into());
        context.cluster.update(item_at(&at).part("status"), changed).await?;
    }
    Ok(Done::After(AGAIN))
}

fn item_at(name: &str) -> moat_apiserver::At<'_> {
    crate::context::NAMESPACES.at("", name)
}

/// Deletes the objects of a kind, and notes those that stay.
async fn empty(
    context: &Context,
    kind: &ServedKind,
    namespace: &str,
    left: &mut Left,
) -> Result<(), Status> {
    #[derive(Deserialize)]
    struct Envelope {
        metadata: moat_informer::Meta,
    }
    let everything = Selection::default();
    let listed = context.cluster.list(kind.gvr.at(namespace, ""), &everything).await?;
    let mut going = Vec::new();
    for object in &listed.objects {
        let Ok(Envelope { metadata }) = serde_json::from_slice(&object.value) else { continue };
        if !metadata.is_deleting() {
            going.push(metadata.name.to_string());
        }
    }
    let (cluster, gvr, owner) =
        (Arc::clone(&context.cluster), kind.gvr.clone(), namespace.to_owned());
    let deleted = context.each(&context.namespaces, going, move |name| {
        let (cluster, gvr, owner) = (Arc::clone(&cluster), gvr.clone(), owner.clone());
        async move {
            match cluster.delete(gvr.at(&owner, &name), &DeleteOptions::default()).await {
                Ok(_) => Ok(0),
                Err(status) if status.code == 404 => Ok(0),
                Err(status) => Err(status),
            }
        }
    });
    deleted.await?;
    if listed.objects.is_empty() {
        return Ok(());
    }
    let listed = context.cluster.list(kind.gvr.at(namespace, ""), &everything).await?;
    for object in &listed.objects {
        *left.kinds.entry(full_name(kind)).or_default() += 1;
        let Ok(Envelope { metadata }) = serde_json::from_slice(&object.value) else { continue };
        for finalizer in metadata.finalizers {
            *left.finalizers.entry(finalizer.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

/// `pods.` in the core group, as upstream's message has it.
fn full_name(kind: &ServedKind) -> String {
    format!("{}.{}", kind.gvr.plural, kind.gvr.group)
}

/// Upstream's five conditions.
fn conditions(left: &Left, old: &[Value], now: i64) -> Vec<Value> {
    let count = |what: &BTreeMap<String, usize>, middle: &str| {
        let mut text = String::new();
        for (at, (name, n)) in what.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}{name} {middle} {n} resource instances");
        }
        text
    };
    let remain = format!("Some resources are remaining: {}", count(&left.kinds, "has"));
    let held = format!(
        "Some content in the namespace has finalizers remaining: {}",
        count(&left.finalizers, "in")
    );
    let all = [
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        if left.kinds.is_empty() {
            (
                "NamespaceContentRemaining",
                false,
                "ContentRemoved",
                "All content successfully removed",
            )
        } else {
            ("NamespaceContentRemaining", true, "SomeResourcesRemain", &*remain)
        },
        if left.finalizers.is_empty() {
            (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            )
        } else {
            ("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", &*held)
        },
    ];
    all.into_iter()
        .map(|(kind, is, reason, message)| {
            let status = if is { "True" } else { "False" };
            let same = |one: &&Value| one["type"] == kind && one["status"] == status;
            let since = old.iter().find(same).and_then(|one| one["lastTransitionTime"].as_str());
            let since = since.map_or_else(|| time(now), str::to_owned);
            json!({ "type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message })
        })
        .collect()
}
