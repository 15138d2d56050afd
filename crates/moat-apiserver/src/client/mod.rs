//! A client in the server's own process: the same authorization, admission, rules and patches as over HTTP, without TLS, HTTP and most bytes.
//!
//! Controllers and the scheduler are written against it. What a remote client can do, this one can, as the user that it is bound to; what a
//! remote client is refused, this one is.

mod names;
mod read;

use crate::api::{Api, Reply, attributes, call};
use crate::authorize::User;
use crate::handle::{self, Call, Local};
use crate::kinds::Served;
use crate::query::Query;
use crate::route::Route;
use crate::status::Status;
use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

pub use names::{At, Gvr, ServedKind};
pub use read::{Change, ChangeKind, Listed, Selection, Watching};

/// A user's way into the server. Copies are cheap.
#[derive(Clone, Debug)]
pub struct Client {
    api: Arc<Api>,
    user: Arc<User>,
    manager: Arc<str>,
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// What happens to the objects that an object owns when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They go later.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    fn name(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// How a deletion is meant. The default leaves everything to the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds that the object gets; 0 is at once.
    pub grace_seconds: Option<i64>,
    /// What happens to dependents.
    pub propagation: Option<Propagation>,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only this version of the object.
    pub resource_version: Option<String>,
    /// Nothing is deleted; only what would be said is said.
    pub dry_run: bool,
}

impl DeleteOptions {
    fn to_bytes(&self) -> Bytes {
        let mut body = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
        if let Some(seconds) = self.grace_seconds {
            body["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(propagation) = self.propagation {
            body["propagationPolicy"] = propagation.name().into();
        }
        if let Some(uid) = &self.uid {
            body["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            body["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        if self.dry_run {
            body["dryRun"] = json!(["All"]);
        }
        body.to_string().into()
    }
}

/// What a request carries.
enum Input {
    Nothing,
    Bytes(&'static str, Bytes),
    Object(Value),
}

impl Client {
    pub(crate) fn new(api: Arc<Api>, user: User) -> Self {
        let manager = user.name.rsplit(':').next().unwrap_or_default().into();
        Self { api, user: Arc::new(user), manager }
    }

    /// Who asks.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The same server for somebody else.
    #[must_use]
    pub fn as_user(&self, user: User) -> Self {
        Self::new(Arc::clone(&self.api), user)
    }

    /// The same client under another field manager's name; it is the last part of the user's name otherwise.
    #[must_use]
    pub fn with_manager(&self, manager: &str) -> Self {
        Self { manager: manager.into(), ..self.clone() }
    }

    /// Kinds whose objects are stored, each once, in the version in which they are, as they are now.
    pub fn kinds(&self) -> Vec<ServedKind> {
        self.api
            .kinds
            .now()
            .all()
            .filter(|served| is_own(served))
            .map(|one| ServedKind::of(one))
            .collect()
    }

    /// The kind that an `apiVersion` and a `kind` name, whatever the version, in the one in which it is stored.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<ServedKind> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kinds = self.api.kinds.now();
        let mut same = kinds.all().filter(|served| is_own(served) && served.kind.is(group, kind));
        same.next().map(|served| ServedKind::of(served))
    }

    /// Reads an object, or its `scale`.
    pub async fn get(&self, at: At<'_>) -> Result<Value, Status> {
        self.value("get", at, Vec::new(), Input::Nothing).await
    }

    /// Creates an object; `at` names its namespace and, for a subresource such as `eviction` or `binding`, the object it is about.
    pub async fn create(&self, at: At<'_>, object: Value) -> Result<Value, Status> {
        let input = if at.subresource.is_empty() { Input::Object(object) } else { json(&object) };
        self.value("create", at, self.managed(), input).await
    }

    /// Replaces an object, or the part of it that `at` names.
    pub async fn update(&self, at: At<'_>, object: Value) -> Result<Value, Status> {
        let whole = matches!(at.subresource, "" | "status" | "finalize");
        let input = if whole { Input::Object(object) } else { json(&object) };
        self.value("update", at, self.managed(), input).await
    }

    /// Patches an object, or the part of it that `at` names.
    pub async fn patch(&self, at: At<'_>, kind: PatchType, patch: &Value) -> Result<Value, Status> {
        let mut query = self.managed();
        if kind == PatchType::Apply {
            query.push(("force".to_owned(), "true".to_owned()));
        }
        let input = Input::Bytes(kind.content_type(), patch.to_string().into());
        self.value("patch", at, query, input).await
    }

    /// Deletes an object. Returns it where it goes on to exist, and where its kind says so; else a `Status`.
    pub async fn delete(&self, at: At<'_>, options: &DeleteOptions) -> Result<Value, Status> {
        let input = Input::Bytes("application/json", options.to_bytes());
        self.value("delete", at, Vec::new(), input).await
    }

    /// Deletes the selected objects of a kind, in a namespace if `at` names one.
    pub async fn delete_all(
        &self,
        at: At<'_>,
        selection: &Selection,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let input = Input::Bytes("application/json", options.to_bytes());
        self.request("deletecollection", at, selection.query(), input).await.map(|_| ())
    }

    fn managed(&self) -> Vec<(String, String)> {
        vec![("fieldManager".to_owned(), self.manager.to_string())]
    }

    async fn value(
        &self,
        verb: &'static str,
        at: At<'_>,
        query: Vec<(String, String)>,
        input: Input,
    ) -> Result<Value, Status> {
        let reply = self.request(verb, at, query, input).await?;
        if let Some(value) = reply.value {
            return Ok(value);
        }
        match reply.body.whole() {
            Ok(bytes) if !bytes.is_empty() => serde_json::from_slice(&bytes)
                .map_err(|error| Status::internal(&format!("an answer that is no JSON: {error}"))),
            Ok(_) | Err(_) => Ok(Value::Null),
        }
    }

    async fn request(
        &self,
        verb: &'static str,
        at: At<'_>,
        query: Vec<(String, String)>,
        input: Input,
    ) -> Result<Reply, Status> {
        let mut call = self.call(verb, at, query)?;
        let bytes = match input {
            Input::Nothing => Bytes::new(),
            Input::Bytes(content_type, bytes) => {
                content_type.clone_into(&mut call.content_type);
                bytes
            }
            Input::Object(object) => {
                call.local = Some(Local { object: Some(object) });
                Bytes::new()
            }
        };
        handle::dispatch(&self.api, call, bytes).await
    }

    /// The call that a request is, if this user may ask it.
    fn call(
        &self,
        verb: &'static str,
        at: At<'_>,
        query: Vec<(String, String)>,
    ) -> Result<Call<'_>, Status> {
        let route = Route {
            group: at.gvr.group.to_string(),
            version: at.gvr.version.to_string(),
            // Upstream's attributes of a namespace name it as its own namespace.
            namespace: if at.gvr.is_namespaces() { at.name } else { at.namespace }.to_owned(),
            resource: at.gvr.plural.to_string(),
            name: at.name.to_owned(),
            subresource: at.subresource.to_owned(),
        };
        let query = Query::of(query);
        self.api.may(&self.user, &attributes(verb, &route, &query))?;
        let served = self.api.kinds.find(&route.group, &route.version, &route.resource);
        let served = served.ok_or_else(Status::no_such_path)?;
        let mut call = call(served, route, query, verb, &self.user, &HeaderMap::new())?;
        call.local = Some(Local::default());
        Ok(call)
    }
}

fn is_own(served: &Served) -> bool {
    served.kind.is_stored() && served.is_as_stored()
}

fn json(object: &Value) -> Input {
    Input::Bytes("application/json", object.to_string().into())
}
