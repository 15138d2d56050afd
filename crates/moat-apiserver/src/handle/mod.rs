//! One function a verb, the same for every kind.

mod adjust;
mod admit;
mod apply;
mod binding;
mod body;
mod component;
mod create;
mod delete;
mod eviction;
mod forms;
mod list;
mod options;
mod review;
mod scale;
mod send;
mod token;
mod update;
mod watch;

use crate::admission::Request;
use crate::api::{Api, Reply};
use crate::authorize::User;
use crate::kinds::{Kind, Served, Subresource, Verbs};
use crate::negotiate::{Form, Offer, Wanted, choose};
use crate::object::decode;
use crate::query::Query;
use crate::status::Status;
use bytes::Bytes;
use moat_store::{InvalidKey, Key, Object, WriteError};
use serde_json::Value;
use std::sync::Arc;

pub use component::Component;
pub(crate) use create::{create_all_as_server, create_as_server};
pub(crate) use forms::Forms;
pub(crate) use list::{gather, selection};
pub(crate) use options::ListOptions;
pub(crate) use send::{partial, put_partial};
pub(crate) use watch::seen;

/// A request for a kind.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) served: Arc<Served>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) subresource: Option<Subresource>,
    pub(crate) query: Query,
    pub(crate) verb: &'static str,
    pub(crate) user: &'a User,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    /// What the client calls itself: the manager of what it writes, unless it names another.
    pub(crate) user_agent: String,
    /// Set for callers in this process: their object, if the call has one, and their wish to be answered with a value.
    pub(crate) local: Option<Local>,
}

/// What a caller in this process gives instead of bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Local {
    pub(crate) object: Option<Value>,
}

impl Call<'_> {
    /// The kind in the version of the path.
    fn kind(&self) -> &Kind {
        &self.served.kind
    }

    /// The key of the object that is asked for.
    fn key(&self) -> Result<Key, Status> {
        self.served.key(self.namespace.as_deref(), &self.name).map_err(|error| bad_key(&error))
    }

    /// What admission decides by.
    fn request<'a>(&'a self, api: &'a Api) -> Request<'a> {
        Request {
            user: self.user,
            kind: &self.served.stored,
            subresource: self.subresource,
            namespace: self.namespace.as_deref().unwrap_or_default(),
            name: &self.name,
            authorizer: api.authorizer.as_ref(),
            lookup: &api.lookup,
            advice: &api.advice,
        }
    }

    fn not_found(&self) -> Status {
        Status::not_found(self.kind().about(), &self.name)
    }

    /// What the client wants of this path.
    pub(crate) fn wanted(&self) -> Result<Wanted, Status> {
        let kind = self.kind();
        let plain = kind.verbs == Verbs::Create || self.subresource == Some(Subresource::Scale);
        let forms: &[Form] = if plain { &[] } else { &[Form::Table, Form::Partial] };
        let protobuf = crate::wire::has_message(&kind.api_version(), &kind.kind);
        choose(&self.accept, Offer { forms, protobuf, watch: self.verb == "watch" })
    }

    /// The form of an answer.
    fn form(&self) -> Result<Form, Status> {
        self.wanted().map(|wanted| wanted.form)
    }
}

fn bad_key(error: &InvalidKey) -> Status {
    Status::bad_request(error.to_string())
}

/// Why a write did not happen, where the writer has no better word for it.
fn refused(call: &Call<'_>, error: &WriteError) -> Status {
    let about = call.kind().about();
    match error {
        WriteError::Exists { .. } => Status::already_exists(about, &call.name),
        WriteError::NotFound => call.not_found(),
        WriteError::Conflict { .. } => Status::modified(about, &call.name),
        WriteError::TooLarge { max, .. } => Status::too_large(*max),
        WriteError::Busy | WriteError::Unavailable(_) | WriteError::Closed => {
            Status::unavailable(&error.to_string())
        }
    }
}

/// Follows a write that other parts of the server depend on.
fn written(api: &Api, kind: &Kind) {
    if crate::crd::is_definition(kind) {
        crate::crd::changed(api);
    }
}

/// Answers a call.
pub(crate) async fn dispatch(api: &Api, call: Call<'_>, body: Bytes) -> Result<Reply, Status> {
    if call.kind().is("", "Binding") {
        return binding::create(api, &call, &body).await;
    }
    if call.kind().is("", "ComponentStatus") {
        return component::answer(api, &call);
    }
    if !call.kind().is_stored() {
        return review::review(api, &call, &body);
    }
    match (call.verb, call.subresource) {
        ("get", Some(Subresource::Scale)) => scale::get(api, &call),
        ("update" | "patch", Some(Subresource::Scale)) => scale::write(api, &call, &body).await,
        ("get", _) => get(api, &call),
        ("list", _) => list::list(api, &call),
        ("watch", _) => watch::watch(api, &call),
        ("create", Some(Subresource::Token)) => token::create(api, &call, &body),
        ("create", Some(Subresource::Binding)) => binding::create(api, &call, &body).await,
        ("create", Some(Subresource::Eviction)) => eviction::create(api, &call, &body).await,
        ("create", _) => create::create(api, &call, &body).await,
        ("update" | "patch", _) => update::write(api, &call, &body).await,
        ("delete", _) => delete::delete(api, &call, &body).await,
        ("deletecollection", _) => delete::delete_collection(api, &call, &body).await,
        _ => Err(Status::method_not_allowed(call.kind().about(), call.verb)),
    }
}

/// Reads one object as it is.
fn get(api: &Api, call: &Call<'_>) -> Result<Reply, Status> {
    call.query.only(&["resourceVersion", "includeObject", "pretty", "timeout"])?;
    let form = call.form()?;
    if let Some(text) = call.query.text("resourceVersion") {
        let wanted = options::revision(text)?;
        let current = api.store.revision();
        if current < wanted {
            return Err(Status::future_revision(wanted, current));
        }
    }
    let found = find(api, call)?;
    send::stored(call, form, 200, &found)
}

/// The object of a call.
fn find(api: &Api, call: &Call<'_>) -> Result<Object, Status> {
    api.store.get(&call.key()?).ok_or_else(|| call.not_found())
}

/// The object of a call as a value.
fn find_value(api: &Api, call: &Call<'_>) -> Result<(Object, Value), Status> {
    let found = find(api, call)?;
    let value = decode(&found);
    Ok((found, value))
}
