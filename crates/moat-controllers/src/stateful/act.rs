//! Carries a plan out, and tells of it.

use super::claims::{self, Write};
use super::plan::{Plan, ordinal_of};
use super::{INDEX, MAKER, POD_NAME, pod};
use crate::context::{CLAIMS, Context, PODS, reach};
use crate::event::{Event, Recorder, about};
use crate::history::Revision;
use crate::json::{list, revision, set};
use crate::pod::PodItem;
use moat_apiserver::{DeleteOptions, PatchType, Status};
use moat_informer::Item;
use serde_json::{Value, json};
use std::sync::Arc;

/// The words of what was done, or not.
#[derive(Clone, Copy)]
struct Verb {
    done: &'static str,
    failed: &'static str,
    verb: &'static str,
}

const CREATE: Verb = Verb { done: "SuccessfulCreate", failed: "FailedCreate", verb: "Create" };
const DELETE: Verb = Verb { done: "SuccessfulDelete", failed: "FailedDelete", verb: "Delete" };
const UPDATE: Verb = Verb { done: "SuccessfulUpdate", failed: "FailedUpdate", verb: "Update" };

/// Tells of one set.
#[derive(Clone)]
struct Teller {
    recorder: Recorder,
    about: Value,
    name: Box<str>,
}

impl Teller {
    fn of(context: &Context, item: &Item<Value>) -> Self {
        Self {
            recorder: context.recorder.clone(),
            about: about(MAKER.api_version, MAKER.kind, &item.meta),
            name: item.meta.name.clone(),
        }
    }

    fn tell(&self, warning: bool, reason: &'static str, message: String) {
        let (about, component) = (self.about.clone(), MAKER.component);
        self.recorder.record(Event { about, component, warning, reason, message });
    }

    fn pod(&self, verb: Verb, pod: &str, error: Option<&str>) {
        let what = format!("{} Pod {pod} in StatefulSet {}", verb.verb, self.name);
        match error {
            None => self.tell(false, verb.done, format!("{what} successful")),
            Some(error) => self.tell(true, verb.failed, format!("{what} failed error: {error}")),
        }
    }

    fn claim(&self, claim: &str, pod: &str, error: Option<&str>) {
        let set = &self.name;
        match error {
            None => {
                let message =
                    format!("Create Claim {claim} Pod {pod} in StatefulSet {set} success");
                self.tell(false, CREATE.done, message);
            }
            Some(error) => {
                let message = format!(
                    "Create Claim {claim} for Pod {pod} in StatefulSet {set} failed error: {error}"
                );
                self.tell(true, CREATE.failed, message);
            }
        }
    }
}

/// Does what is planned. Revisions are the current one and the newest.
pub(super) async fn carry_out(
    context: &Context,
    item: &Arc<Item<Value>>,
    plan: Plan,
    revisions: [&Revision; 2],
) -> Result<(), Status> {
    let teller = Teller::of(context, item);
    for write in plan.claims {
        claim(context, &teller, write).await?;
    }
    for pod in &plan.repair {
        let repaired = repair(context, item, pod).await;
        let error = repaired.as_ref().err().map(|status| status.message.as_str());
        teller.pod(UPDATE, &pod.meta.name, error);
        repaired?;
    }
    let pods: Vec<Value> = plan
        .create
        .iter()
        .map(|new| pod(item, revisions[usize::from(new.updated)], new.ordinal))
        .collect();
    let (cluster, telling) = (Arc::clone(&context.cluster), teller.clone());
    let namespace = item.meta.namespace.clone();
    let created = context.each(&context.pods, pods, move |pod| {
        let (cluster, teller) = (Arc::clone(&cluster), telling.clone());
        let (namespace, name) =
            (namespace.clone(), crate::json::text(&pod, "/metadata/name").to_owned());
        async move {
            let made = cluster.create(PODS.at(&namespace, ""), pod).await;
            match &made {
                // Another pod has the name. When it goes, it tells nobody here.
                Err(status) if status.reason == "AlreadyExists" => {}
                made => {
                    let error = made.as_ref().err().map(|status| status.message.as_str());
                    teller.pod(CREATE, &name, error);
                }
            }
            made.map(|pod| revision(&pod))
        }
    });
    created.await?;
    delete(context, &teller, plan.delete).await?;
    if let Some((ordinal, why)) = plan.refused {
        teller.pod(CREATE, &format!("{}-{ordinal}", item.meta.name), Some(&why));
        return Err(Status::internal(&why));
    }
    Ok(())
}

async fn delete(context: &Context, teller: &Teller, pods: Vec<PodItem>) -> Result<(), Status> {
    let (cluster, teller) = (Arc::clone(&context.cluster), teller.clone());
    let deleted = context.each(&context.pods, pods, move |pod| {
        let (cluster, teller) = (Arc::clone(&cluster), teller.clone());
        async move {
            let options =
                DeleteOptions { uid: Some(pod.meta.uid.to_string()), ..DeleteOptions::default() };
            let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
            match cluster.delete(at, &options).await {
                Ok(gone) => {
                    teller.pod(DELETE, &pod.meta.name, None);
                    Ok(revision(&gone))
                }
                Err(status) if status.code == 404 => Ok(0),
                Err(status) => {
                    teller.pod(DELETE, &pod.meta.name, Some(&status.message));
                    Err(status)
                }
            }
        }
    });
    deleted.await
}

async fn claim(context: &Context, teller: &Teller, write: Write) -> Result<(), Status> {
    let namespace = teller.about["namespace"].as_str().unwrap_or_default();
    let written = match write {
        Write::Make { pod, claim } => {
            let name = crate::json::text(&claim, "/metadata/name").to_owned();
            let made = context.cluster.create(CLAIMS.at(namespace, ""), claim).await;
            if made.as_ref().is_err_and(|status| status.reason == "AlreadyExists") {
                // Somebody else was faster, and it is in the cache soon.
                return made.map(drop);
            }
            let error = made.as_ref().err().map(|status| status.message.as_str());
            teller.claim(&name, &pod, error);
            made?
        }
        Write::Own { claim, owners, conflict } => {
            let name = &claim.meta.name;
            if conflict {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim"
                );
                teller.tell(true, "ConflictingController", message);
            }
            let patch = json!({ "metadata": {
                "uid": claim.meta.uid, "resourceVersion": claim.meta.resource_version, "ownerReferences": owners,
            } });
            context.cluster.patch(CLAIMS.at(namespace, name), PatchType::Merge, &patch).await?
        }
    };
    reach(&context.claims, revision(&written)).await;
    Ok(())
}

/// Gives a pod its name's labels and its claims back; the server says no where that cannot be.
async fn repair(context: &Context, item: &Item<Value>, lost: &PodItem) -> Result<(), Status> {
    let at = PODS.at(&lost.meta.namespace, &lost.meta.name);
    let mut pod = context.cluster.get(at).await?;
    let ordinal = ordinal_of(&lost.meta.name).unwrap_or_default();
    set(&mut pod, &["metadata", "labels", POD_NAME], (*lost.meta.name).into());
    set(&mut pod, &["metadata", "labels", INDEX], ordinal.to_string().into());
    if !claims::has_volumes(&item.value, ordinal, lost) {
        let volumes = claims::volumes(&item.value, ordinal, list(&pod, "/spec/volumes"));
        set(&mut pod, &["spec", "volumes"], volumes.into());
    }
    let written = context.cluster.update(at, pod).await?;
    reach(&context.pods, revision(&written)).await;
    Ok(())
}
