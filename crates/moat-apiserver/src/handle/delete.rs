//! Deletes objects: at once, gracefully, or when their finalizers are gone.

use super::body::read;
use super::list::selection;
use super::options::dry_run;
use super::update::TRIES;
use super::{Call, refused, send};
use crate::admission::{self, Request};
use crate::api::{Api, Reply};
use crate::kinds::Kind;
use crate::object::{
    child_mut, decode, encode, finalizers, is_deleting, list, meta, meta_mut, number,
};
use crate::stamp::{after_seconds, now};
use crate::status::{About, Cause, Status};
use crate::strategy::{self, Dependents};
use moat_store::{Expect, List, Object, WriteError};
use serde_json::{Map, Value, json};

/// How a deletion is meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletion {
    pub(super) dry_run: bool,
    grace_seconds: Option<i64>,
    propagation: Option<String>,
    uid: Option<String>,
    /// Of which version, if only of that one.
    pub(super) version: Option<String>,
}

/// Namespaces that every cluster has (upstream's `NamespaceLifecycle`).
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
const PROPAGATIONS: &[&str] = &["Background", "Foreground", "Orphan"];

impl Deletion {
    /// From the body, or from the query where there is no body, as upstream has it.
    fn of_call(call: &Call<'_>, bytes: &[u8]) -> Result<Self, Status> {
        let query = &call.query;
        if call.verb == "delete" {
            query.only(&[
                "dryRun",
                "gracePeriodSeconds",
                "orphanDependents",
                "propagationPolicy",
                "pretty",
                "timeout",
                "ignoreStoreReadErrorWithClusterBreakingPotential",
            ])?;
        }
        if !bytes.is_empty() {
            let body = read(call, bytes, "meta.k8s.io/v1", "DeleteOptions")?.value;
            let kind = body["kind"].as_str().unwrap_or("DeleteOptions");
            if kind != "DeleteOptions" {
                return Err(Status::bad_request(format!(
                    "decoded object cannot be converted to DeleteOptions: {kind}"
                )));
            }
            return Self::of(&body);
        }
        let mut options = Self {
            dry_run: dry_run(query.all("dryRun"), "DeleteOptions")?,
            grace_seconds: query.number("gracePeriodSeconds")?,
            propagation: query.text("propagationPolicy").map(str::to_owned),
            ..Self::default()
        };
        if let Some(orphan) = query.switch("orphanDependents")? {
            options.orphan(orphan)?;
        }
        options.check()?;
        Ok(options)
    }

    /// From a `DeleteOptions` object; null says nothing.
    pub(super) fn of(body: &Value) -> Result<Self, Status> {
        let all = list(body, "/dryRun").iter().filter_map(Value::as_str);
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let mut options = Self {
            dry_run: dry_run(all, "DeleteOptions")?,
            grace_seconds: body["gracePeriodSeconds"].as_i64(),
            propagation: text("/propagationPolicy"),
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
        };
        if let Some(orphan) = body["orphanDependents"].as_bool() {
            options.orphan(orphan)?;
        }
        options.check()?;
        Ok(options)
    }

    /// The old way to say how dependents are treated.
    fn orphan(&mut self, orphan: bool) -> Result<(), Status> {
        if self.propagation.is_some() {
            return Err(invalid(&[Cause::invalid(
                "propagationPolicy",
                &json!(self.propagation),
                "orphanDependents and deletionPropagation cannot be both set",
            )]));
        }
        self.propagation = Some(if orphan { "Orphan" } else { "Background" }.to_owned());
        Ok(())
    }

    fn check(&self) -> Result<(), Status> {
        match &self.propagation {
            Some(other) if !PROPAGATIONS.contains(&other.as_str()) => {
                Err(invalid(&[Cause::not_supported(
                    "propagationPolicy",
                    &json!(other),
                    &["Background", "Foreground", "Orphan", "nil"],
                )]))
            }
            _ => Ok(()),
        }
    }

    /// Whether the object is the one that is meant.
    pub(super) fn allow(&self, call: &Call<'_>, name: &str, object: &Value) -> Result<(), Status> {
        let about = call.kind().about();
        let (uid, version) = (meta(object, "uid"), meta(object, "resourceVersion"));
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(about, name, &why));
        }
        if let Some(wanted) = self.version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            );
            return Err(Status::conflict(about, name, &why));
        }
        Ok(())
    }

    /// What becomes of what belongs to the object: what the client says, else what the object waits for, else its kind's way.
    fn propagation(&self, kind: &Kind, object: &Value) -> Option<&str> {
        let waits =
            finalizers(object).iter().any(|one| matches!(*one, "orphan" | "foregroundDeletion"));
        let stay = !waits && matches!(strategy::of(kind).dependents, Dependents::Stay { .. });
        self.propagation.as_deref().or(stay.then_some("Orphan"))
    }

    /// What a client that says nothing of dependents may not know.
    fn warning(&self, kind: &Kind) -> Option<&'static str> {
        match strategy::of(kind).dependents {
            Dependents::Stay { warning } if self.propagation.is_none() => warning,
            _ => None,
        }
    }
}

fn invalid(causes: &[Cause]) -> Status {
    Status::invalid(About { group: "meta.k8s.io", resource: "DeleteOptions" }, "", causes)
}

/// What became of an object.
enum Deleted {
    /// It is gone; this is what it was.
    Gone(Value),
    /// It is marked, and goes when those who hold it let it.
    Marked(Value),
}

pub(super) async fn delete(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = Deletion::of_call(call, bytes)?;
    let form = call.form()?;
    let kind = call.kind();
    let reply = match one(api, call, &call.name, call.namespace.as_deref(), &options).await? {
        Deleted::Marked(object) => send::value(call, form, 200, object),
        Deleted::Gone(object) if strategy::of(kind).returns_deleted => {
            send::value(call, form, 200, object)
        }
        Deleted::Gone(object) => {
            let mut details = Map::new();
            let fields = [
                ("name", call.name.as_str()),
                ("group", kind.group.as_str()),
                ("kind", kind.plural.as_str()),
                ("uid", meta(&object, "uid")),
            ];
            for (key, value) in fields {
                if !value.is_empty() {
                    details.insert(key.to_owned(), value.into());
                }
            }
            let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details });
            Ok(Reply::json(200, &body))
        }
    };
    let warnings = options.warning(kind).map(str::to_owned);
    Ok(reply?.warn(warnings.into_iter().collect()))
}

pub(super) async fn delete_collection(
    api: &Api,
    call: &Call<'_>,
    bytes: &[u8],
) -> Result<Reply, Status> {
    let options = Deletion::of_call(call, bytes)?;
    let form = call.form()?;
    let (selector, scope) = selection(call)?;
    let page = api.store.list(&List::new(&call.served.resource, scope));
    let page = page.map_err(|error| Status::unavailable(&error.to_string()))?;
    let chosen: Vec<Object> =
        page.objects.into_iter().filter(|object| call.served.selects(&selector, object)).collect();
    for object in &chosen {
        match one(api, call, object.path.name(), object.path.namespace(), &options).await {
            Ok(_) => {}
            // Somebody else was faster: it is gone, as was wanted.
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), api.store.revision().to_string().into());
    send::list(call, form, chosen, metadata)
}

/// Deletes the object of a call, for a part of the server that answers in its own words.
pub(super) async fn remove(api: &Api, call: &Call<'_>, options: &Deletion) -> Result<(), Status> {
    one(api, call, &call.name, call.namespace.as_deref(), options).await.map(|_| ())
}

async fn one(
    api: &Api,
    call: &Call<'_>,
    name: &str,
    namespace: Option<&str>,
    options: &Deletion,
) -> Result<Deleted, Status> {
    let kind = &*call.served.stored;
    let key = call.served.key(namespace, name).map_err(|error| super::bad_key(&error))?;
    let mut tries = TRIES;
    loop {
        let stored = api.store.get(&key).ok_or_else(|| Status::not_found(kind.about(), name))?;
        let mut object = decode(&stored);
        options.allow(call, name, &object)?;
        if kind.is("", "Namespace") && IMMORTAL.contains(&name) {
            let why = "this namespace may not be deleted";
            return Err(Status::forbidden(kind.about(), name, why));
        }
        let request = Request { name, ..call.request(api) };
        admission::node_restriction(request, Some(&object), None)?;
        admission::policies(request, admission::Operation::Delete, Some(&object), None)?;
        let grace = strategy::of(kind).grace.map(|grace| grace(&object, options.grace_seconds));
        let propagation = options.propagation(kind, &object);
        let gone = mark(kind, &mut object, grace, propagation);
        if options.dry_run {
            return Ok(if gone { Deleted::Gone(object) } else { Deleted::Marked(object) });
        }
        let expect = Expect::Revision(stored.revision);
        let written = if gone {
            api.store.delete(key.clone(), Some(encode(kind, &object)), expect).await
        } else if crate::object::same(&decode(&stored), &object) {
            return Ok(Deleted::Marked(object));
        } else {
            api.store.update(key.clone(), encode(kind, &object), expect).await
        };
        tries -= 1;
        match written {
            Ok(object) => {
                super::written(api, kind);
                let object = decode(&object);
                return Ok(if gone { Deleted::Gone(object) } else { Deleted::Marked(object) });
            }
            Err(WriteError::Conflict { .. }) if 0 < tries => {}
            Err(error) => return Err(refused(call, &error)),
        }
    }
}

/// Marks an object as one that goes; returns whether nothing holds it, so that it goes now.
fn mark(kind: &Kind, object: &mut Value, grace: Option<i64>, propagation: Option<&str>) -> bool {
    let is_namespace = kind.is("", "Namespace");
    let mut holders: Vec<String> = finalizers(object).into_iter().map(str::to_owned).collect();
    let wanted = match propagation {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        _ => None,
    };
    if propagation.is_some() {
        holders.retain(|one| !matches!(one.as_str(), "foregroundDeletion" | "orphan"));
        holders.extend(wanted.map(str::to_owned));
    }
    let held = !holders.is_empty() || is_namespace && !list(object, "/spec/finalizers").is_empty();
    let was_deleting = is_deleting(object);
    if !held && !was_deleting && grace.is_none() {
        // It goes as it is: only what takes its time says since when it goes.
        return true;
    }
    let grace = grace.unwrap_or(0);
    let before = number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
    let metadata = meta_mut(object);
    if holders.is_empty() {
        metadata.shift_remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), holders.into());
    }
    if !was_deleting {
        let when = if 0 < grace { after_seconds(grace) } else { now() };
        metadata.insert("deletionTimestamp".to_owned(), when.into());
        metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    } else if grace < before {
        // A second request may only make it shorter.
        metadata.insert("deletionTimestamp".to_owned(), after_seconds(grace).into());
        metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    }
    if is_namespace {
        child_mut(object, "status").insert("phase".to_owned(), "Terminating".into());
    }
    let left = number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
    !held && left == 0
}
