//! What stands between a body and the store: metadata, the namespace's life, the kind's own defaults and rules.

use super::Call;
use crate::api::Api;
use crate::kinds::{Kind, Served, Subresource};
use crate::managed::Write;
use crate::names;
use crate::object::{drop_empty_metadata, is_deleting, keep_meta, keep_said, meta, meta_mut, text};
use crate::part::field;
use crate::stamp::{now, suffix, uid};
use crate::status::{Cause, Status};
use crate::strategy::{self, Generation, Strategy};
use crate::wire::Plan;
use serde_json::Value;

/// Bytes of a generated name before the letters, so that the whole is a label.
const PREFIX_MAX: usize = 58;

/// Settles name and namespace of a new object.
pub(super) fn name(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    namespace(call, object)?;
    let metadata = meta_mut(object);
    let own = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    let prefix = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default();
    if own.is_empty() && prefix.is_empty() && strategy::is_named_by_server(call.kind()) {
        metadata.insert("name".to_owned(), uid().into());
        return Ok(());
    }
    if own.is_empty() && !prefix.is_empty() {
        let prefix: String = prefix.chars().take(PREFIX_MAX).collect();
        let name = format!("{prefix}{}", suffix());
        metadata.insert("name".to_owned(), name.into());
    }
    Ok(())
}

/// The namespace of an object is the path's, and it may say so itself.
pub(super) fn namespace(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    let own = meta(object, "namespace").to_owned();
    let path = call.namespace.as_deref().unwrap_or_default();
    if call.kind().namespaced && !own.is_empty() && own != path {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let metadata = meta_mut(object);
    if call.kind().namespaced {
        metadata.insert("namespace".to_owned(), path.into());
    } else {
        metadata.shift_remove("namespace");
    }
    Ok(())
}

/// Nothing is made in a namespace that is not there, or that goes (upstream's `NamespaceLifecycle`).
pub(super) fn lives(api: &Api, call: &Call<'_>, name: &str) -> Result<(), Status> {
    let Some(namespace) = &call.namespace else { return Ok(()) };
    let Some(served) = api.kinds.of("", "Namespace") else { return Ok(()) };
    let key = served.key(None, namespace).map_err(|error| super::bad_key(&error))?;
    let found = api.store.get(&key);
    let found = found.ok_or_else(|| Status::not_found(served.kind.about(), namespace))?;
    let metadata = field(&found.value, "metadata").unwrap_or_default();
    if field(metadata, "deletionTimestamp").is_some() {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut status = Status::forbidden(call.kind().about(), name, &why);
        let cause = serde_json::json!([{
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace",
        }]);
        status.details.get_or_insert_default().insert("causes".to_owned(), cause);
        return Err(status);
    }
    Ok(())
}

/// Who keeps account of a write's fields.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account<'a> {
    /// Nobody: an object of the server's own.
    Nobody,
    /// The writer that changed something.
    Of(&'a Write<'a>),
    /// The object has its account already: it was applied.
    Done,
}

/// Fills in what the server says of a new object.
pub(super) fn prepare_new(kind: &Kind, object: &mut Value, account: Account<'_>) {
    let strategy = strategy::of(kind);
    let metadata = meta_mut(object);
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"]
    {
        metadata.shift_remove(field);
    }
    metadata.insert("uid".to_owned(), uid().into());
    metadata.insert("creationTimestamp".to_owned(), now().into());
    metadata.shift_remove("generation");
    if strategy.generation != Generation::None {
        metadata.insert("generation".to_owned(), 1.into());
    }
    if kind.subresources.contains(&Subresource::Status)
        && !strategy.status_at_create
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    let plan = plan(kind);
    let hollow = plan.filter(|plan| plan.tidy(object));
    (strategy.default)(object);
    if let Some(plan) = plan {
        plan.fill(object);
    }
    match account {
        Account::Nobody => {
            meta_mut(object).shift_remove("managedFields");
        }
        Account::Of(write) => write.created(object),
        Account::Done => {}
    }
    (strategy.create)(object);
    drop_empty_metadata(object);
    if let Some(plan) = hollow {
        plan.hollow(object);
    }
}

/// What Go's types make of objects of the server's own kinds.
fn plan(kind: &Kind) -> Option<&'static Plan> {
    if kind.custom.is_some() { None } else { Plan::of(&kind.api_version(), &kind.kind) }
}

/// Takes over from the old object what a writer cannot change, and counts generations. Returns the plan if something is left to be made null
/// when the account of fields was kept.
pub(super) fn prepare_changed(
    kind: &Kind,
    sub: Option<Subresource>,
    old: &Value,
    new: &mut Value,
) -> Option<&'static Plan> {
    let strategy = strategy::of(kind);
    let fields = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    ];
    for field in fields {
        keep_meta(new, old, field);
    }
    meta_mut(new).shift_remove("selfLink");
    if let Some(sub) = sub.filter(|sub| sub.is_part()) {
        (strategy.update_part)(sub, new, old);
        keep_said(new, old);
    }
    let is_status = matches!(sub, Some(Subresource::Status | Subresource::Approval));
    let part = if is_status { Part::Status } else { Part::Rest };
    keep(kind, part, old, new);
    if is_status {
        (strategy.update_status)(new, old);
    }
    let plan = plan(kind);
    let hollow = plan.filter(|plan| plan.tidy(new));
    (strategy.default)(new);
    if sub.is_none() {
        (strategy.update)(new, old);
    }
    if let Some(plan) = plan {
        plan.fill(new);
    }
    drop_empty_metadata(new);
    let generation = old["metadata"]["generation"].as_i64();
    let changed = match strategy.generation {
        Generation::None => false,
        Generation::Spec => old["spec"] != new["spec"],
        Generation::SpecAndAnnotations => {
            let others = old["metadata"]["annotations"] != new["metadata"]["annotations"];
            old["spec"] != new["spec"] || !is_status && others
        }
        Generation::All => differs(kind, old, new),
    };
    if let Some(generation) = generation.filter(|_| changed) {
        meta_mut(new).insert("generation".to_owned(), (generation + 1).into());
    }
    hollow
}

/// Whether objects differ in more than metadata and a status with a path of its own.
fn differs(kind: &Kind, old: &Value, new: &Value) -> bool {
    let has_status = kind.subresources.contains(&Subresource::Status);
    let rest = |object: &Value| {
        let mut rest = object.as_object().cloned().unwrap_or_default();
        rest.retain(|key, _| {
            !(matches!(key.as_str(), "kind" | "apiVersion" | "metadata")
                || has_status && key == "status")
        });
        rest
    };
    rest(old) != rest(new)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Status,
    Rest,
}

/// A write of the status leaves the rest alone, and the other way round.
fn keep(kind: &Kind, part: Part, old: &Value, new: &mut Value) {
    if !kind.subresources.contains(&Subresource::Status) {
        return;
    }
    let Some(map) = new.as_object_mut() else { return };
    if part == Part::Rest {
        match old.get("status") {
            Some(status) => map.insert("status".to_owned(), status.clone()),
            None => map.shift_remove("status"),
        };
        return;
    }
    map.retain(|key, _| matches!(key.as_str(), "kind" | "apiVersion" | "metadata" | "status"));
    for (key, value) in old.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata" | "status") {
            map.insert(key.clone(), value.clone());
        }
    }
}

/// Rules for every object and those of its kind.
pub(super) fn validate(
    served: &Served,
    sub: Option<Subresource>,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), Status> {
    let kind = &served.stored;
    let strategy = strategy::of(kind);
    let mut causes = Vec::new();
    metadata(&strategy, old, new, has_known_finalizers(kind), &mut causes);
    if let Some(custom) = &served.kind.custom {
        let old = old.filter(|_| custom.has_rules()).map(|old| served.shown(old.clone()));
        custom.check(old.as_ref(), &served.shown(new.clone()), &mut causes);
    }
    (strategy.validate)(new, &mut causes);
    match (sub, old) {
        (_, None) => (strategy.validate_new)(new, &mut causes),
        (Some(sub), Some(old)) if sub.is_part() => {
            (strategy.validate_part)(sub, new, old, &mut causes);
        }
        (_, Some(old)) => (strategy.validate_update)(new, old, &mut causes),
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(kind.about_kind(), meta(new, "name"), &causes))
    }
}

fn metadata(
    strategy: &Strategy,
    old: Option<&Value>,
    new: &Value,
    known_finalizers: bool,
    causes: &mut Vec<Cause>,
) {
    let (name, prefix) = (meta(new, "name"), meta(new, "generateName"));
    if old.is_none() {
        if name.is_empty() {
            causes.push(Cause::required("metadata.name", "name or generateName is required"));
        } else {
            for why in names::check(strategy.names, name, false) {
                causes.push(Cause::invalid("metadata.name", &name.into(), &why));
            }
        }
        if !prefix.is_empty() {
            for why in names::check(strategy.names, prefix, true) {
                causes.push(Cause::invalid("metadata.generateName", &prefix.into(), &why));
            }
        }
    }
    names::check_maps(&new["metadata"], causes);
    for owner in crate::object::list(new, "/metadata/ownerReferences") {
        let empty = "must not be empty";
        let fields = [
            ("apiVersion", "version must not be empty"),
            ("kind", empty),
            ("name", empty),
            ("uid", empty),
        ];
        // Upstream does not say which reference it is.
        for (field, why) in fields {
            if text(owner, &format!("/{field}")).is_empty() {
                let path = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(path, &"".into(), why));
            }
        }
    }
    one_controller(new, causes);
    finalizer_names(new, known_finalizers, causes);
    let Some(old) = old.filter(|old| is_deleting(old)) else { return };
    let had = crate::object::finalizers(old);
    let added: Vec<String> = crate::object::finalizers(new)
        .into_iter()
        .filter(|one| !had.contains(one))
        .map(|one| format!("{one:?}"))
        .collect();
    if !added.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
}

/// An object has one controller.
fn one_controller(object: &Value, causes: &mut Vec<Cause>) {
    let owners = crate::object::list(object, "/metadata/ownerReferences");
    let named = |owner: &Value| format!("{}/{}", text(owner, "/kind"), text(owner, "/name"));
    let mut controllers = owners.iter().filter(|owner| owner["controller"] == true);
    if let (Some(first), Some(second)) = (controllers.next(), controllers.next()) {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            named(first),
            named(second)
        );
        let value = &object["metadata"]["ownerReferences"];
        causes.push(Cause::invalid("metadata.ownerReferences", value, &why));
    }
}

/// Whether finalizers of `kind` without a domain must be ones that Kubernetes knows.
///
/// Upstream asks this of the kinds whose rules were written beside those of the core group. Kinds that clients define,
/// and those of the groups here, may have any word; definitions themselves wait for one without a domain.
fn has_known_finalizers(kind: &Kind) -> bool {
    const ANY_WORD: [&str; 5] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "coordination.k8s.io",
        "node.k8s.io",
    ];
    kind.custom.is_none() && !ANY_WORD.contains(&kind.group.as_ref())
}

/// Finalizers are qualified names, and where `known` says so those without a domain are ones that Kubernetes knows.
fn finalizer_names(object: &Value, known: bool, causes: &mut Vec<Cause>) {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let all = crate::object::finalizers(object);
    for name in &all {
        for why in names::qualified(name) {
            causes.push(Cause::invalid("metadata.finalizers", &(*name).into(), &why));
        }
    }
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        let value = &object["metadata"]["finalizers"];
        causes.push(Cause::invalid("metadata.finalizers", value, why));
    }
    for (at, name) in all.iter().enumerate() {
        if known && !name.contains('/') && !STANDARD.contains(name) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(format!("metadata.finalizers[{at}]"), &(*name).into(), why));
        }
    }
}
