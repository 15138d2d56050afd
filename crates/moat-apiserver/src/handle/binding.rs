//! The `binding` of pods: a scheduler says on which node a pod is to run. Said once, it stays.

use super::Call;
use super::adjust::{Place, adjust, set_condition};
use super::body::read;
use super::options::WriteOptions;
use crate::api::{Api, Reply};
use crate::object::{child_mut, is_deleting, list, map_mut, meta, meta_mut, text};
use crate::status::{About, Cause, Status};
use serde_json::{Value, json};

/// What errors about bindings name.
const BINDING: About<'_> = About { group: "", resource: "pods/binding" };
const POD: About<'_> = About { group: "", resource: "pods" };

/// `POST` of `pods/NAME/binding`, or of `bindings`, where the body names the pod.
pub(super) async fn create(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let binding = read(call, bytes, "v1", "Binding")?.value;
    let kind = text(&binding, "/kind");
    if !matches!(kind, "" | "Binding") {
        return Err(Status::bad_request(format!("not a Binding object: its kind is {kind:?}")));
    }
    let name = meta(&binding, "name");
    if !call.name.is_empty() && call.name != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    check(&binding, name)?;
    let pods = api.kinds.of("", "Pod").ok_or_else(Status::no_such_path)?;
    let place = Place { served: &pods, namespace: call.namespace.as_deref(), name };
    adjust(api, place, options.dry_run, |pod| bind(pod, &binding, name)).await?;
    let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Reply::json(201, &done))
}

fn check(binding: &Value, name: &str) -> Result<(), Status> {
    let target = &binding["target"];
    let mut causes = Vec::new();
    if !matches!(text(target, "/kind"), "" | "Node") {
        causes.push(Cause::not_supported("target.kind", &target["kind"], &["Node", "<empty>"]));
    }
    if text(target, "/name").is_empty() {
        causes.push(Cause::required("target.name", ""));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(About { group: "", resource: "Binding" }, name, &causes))
}

/// Binds a pod, if it still waits for a node.
fn bind(pod: &mut Value, binding: &Value, name: &str) -> Result<(), Status> {
    for field in ["uid", "resourceVersion"] {
        let (wanted, has) = (meta(binding, field), meta(pod, field));
        if !wanted.is_empty() && wanted != has {
            let word = if field == "uid" { "UID" } else { "ResourceVersion" };
            let why = format!(
                "Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {has}"
            );
            return Err(Status::conflict(POD, name, &why));
        }
    }
    let refuse = |why: String| Err(Status::conflict(BINDING, name, &why));
    if is_deleting(pod) {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = text(pod, "/spec/nodeName");
    if !node.is_empty() {
        return refuse(format!("pod {name} is already assigned to node \"{node}\""));
    }
    if !list(pod, "/spec/schedulingGates").is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    child_mut(pod, "spec").insert("nodeName".to_owned(), binding["target"]["name"].clone());
    for field in ["annotations", "labels"] {
        if let Some(more) = binding["metadata"][field].as_object().filter(|more| !more.is_empty()) {
            map_mut(meta_mut(pod), field).extend(more.clone());
        }
    }
    child_mut(pod, "status").shift_remove("nominatedNodeName");
    let scheduled = [("status".to_owned(), "True".into())].into_iter().collect();
    set_condition(pod, "PodScheduled", scheduled);
    Ok(())
}
