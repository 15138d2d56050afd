//! What is used does not go: claims stay while a placed pod wants them, volumes while they are bound.

use super::bind::Object;
use super::finalizers;
use crate::context::{CLAIMED, CLAIMS, Context, VOLUMES, reach};
use crate::json::text;
use crate::pod::Pod;
use moat_apiserver::Status;
use moat_informer::Item;
use serde_json::Value;

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

/// The index of pods by the claims that they want, each as `namespace/name`.
pub(crate) fn claimed(item: &Item<Pod>, words: &mut Vec<Box<str>>) {
    let (namespace, pod) = (&item.meta.namespace, &item.meta.name);
    for volume in &item.value.spec.volumes {
        let word = match &volume.persistent_volume_claim {
            Some(claim) => format!("{namespace}/{}", claim.claim_name),
            None => format!("{namespace}/{pod}-{}", volume.name),
        };
        words.push(word.into());
    }
}

/// What becomes of the finalizer of something that is, or is not, used; nothing where it stays as it is.
pub(super) fn wanted(item: &Item<Value>, name: &'static str, is_used: bool) -> Option<bool> {
    let has = item.meta.has_finalizer(name);
    let wants = !item.meta.is_deleting() || has && is_used;
    (has != wants).then_some(wants)
}

fn with<'a>(item: &'a Item<Value>, name: &'a str, wants: bool) -> Vec<&'a str> {
    let others = item.meta.finalizers.iter().map(|one| &**one).filter(|one| *one != name);
    others.chain(wants.then_some(name)).collect()
}

/// Sees to a claim's finalizer. Whether it was changed, or the claim goes, so that there is nothing more to do for now.
pub(super) async fn claim(context: &Context, item: &Object) -> Result<bool, Status> {
    let word = format!("{}/{}", item.meta.namespace, item.meta.name);
    let pods = context.pods.by(CLAIMED, &word);
    let is_used = pods.iter().any(|pod| !pod.value.spec.node_name.is_empty());
    let Some(wants) = wanted(item, CLAIM, is_used) else { return Ok(item.meta.is_deleting()) };
    let written = finalizers(context, &CLAIMS, item, with(item, CLAIM, wants)).await?;
    reach(&context.claims, written).await;
    Ok(true)
}

/// The same for a volume; one that goes is still released.
pub(super) async fn volume(context: &Context, item: &Object) -> Result<bool, Status> {
    let is_used = text(&item.value, "/status/phase") == "Bound";
    let Some(wants) = wanted(item, VOLUME, is_used) else { return Ok(false) };
    let written = finalizers(context, &VOLUMES, item, with(item, VOLUME, wants)).await?;
    reach(&context.volumes, written).await;
    Ok(true)
}
