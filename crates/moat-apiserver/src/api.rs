//! One request: who asks, what for, whether they may, and who answers.

use crate::advice::Advice;
use crate::authn::{Authenticator, Peer, impersonate};
use crate::authorize::{Attributes, Authorize, Decision, User};
use crate::discovery;
use crate::encode::encoded;
use crate::handle::{self, Call, Component, Forms};
use crate::joining;
use crate::kinds::{Kind, Kinds, Served, absent};
use crate::lookup::Lookup;
use crate::negotiate::{Form, Offer, choose};
use crate::observe::Seen;
use crate::observe::audit::{Audit, note, noting};
use crate::observe::metrics::Metrics;
use crate::query::Query;
use crate::route::{Route, route};
use crate::schema;
use crate::service_range::ServiceRange;
use crate::status::{About, Status};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use hyper::{HeaderMap, Request, Response};
use moat_store::{InvalidKey, Store};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};

pub(crate) use crate::reply::{Body, Reply};

/// Bytes of a body, as upstream has it.
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;
/// How long a client may take for its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) lookup: Lookup,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Arc<dyn Authorize>,
    pub(crate) advice: Advice,
    pub(crate) services: ServiceRange,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) components: Vec<Component>,
    pub(crate) audit: Audit,
    pub(crate) bookmark_interval: Duration,
    pub(crate) closed: watch::Receiver<bool>,
    pub(crate) address: SocketAddr,
    /// Held while addresses and ports of Services are chosen and written.
    pub(crate) allocation: Mutex<()>,
    /// Held from the count of what a namespace uses to the write that adds to it.
    pub(crate) counting: Mutex<()>,
    /// Events that watches were told of last.
    pub(crate) forms: Arc<Forms>,
}

/// What whoever starts a server decides of it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) advice: Advice,
    pub(crate) services: ServiceRange,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) components: Vec<Component>,
    pub(crate) audit: Audit,
    pub(crate) bookmark_interval: Duration,
}

impl Api {
    pub(crate) fn new(
        store: Store,
        authenticator: Authenticator,
        authorizer: Arc<dyn Authorize>,
        settings: Settings,
        closed: watch::Receiver<bool>,
        address: SocketAddr,
    ) -> Result<Self, InvalidKey> {
        let Settings { advice, services, metrics, components, audit, bookmark_interval } = settings;
        let (kinds, allocation, counting) =
            (Arc::new(Kinds::built_in()?), Mutex::default(), Mutex::default());
        Ok(Self {
            lookup: Lookup::new(store.clone()),
            store,
            kinds,
            authenticator,
            authorizer,
            advice,
            services,
            metrics,
            components,
            audit,
            bookmark_interval,
            closed,
            address,
            allocation,
            counting,
            forms: Arc::default(),
        })
    }

    /// Answers, whatever comes.
    pub(crate) async fn serve(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        from: Option<SocketAddr>,
    ) -> Response<Body> {
        let began = Instant::now();
        let mut seen = Seen::of(&request, from);
        let (reply, notes) = noting(self.answer(request, peer, &mut seen)).await;
        let reply = reply.unwrap_or_else(|status| refused(&mut seen, &status));
        self.metrics.answered(&seen, reply.code, began.elapsed());
        self.audit.tell(&seen, reply.code, notes).await;
        let mut response = Response::new(reply.body);
        *response.status_mut() = hyper::StatusCode::from_u16(reply.code).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        let mut insert = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        insert("audit-id", &seen.id);
        if reply.content_type.starts_with("text/plain") {
            insert("x-content-type-options", "nosniff");
        }
        for warning in reply.warnings {
            insert("warning", &format!("299 - {}", Value::from(warning)));
        }
        if let Some(etag) = reply.etag {
            insert("etag", &etag);
        }
        if let Some(seconds) = reply.retry_after {
            insert("retry-after", &seconds.to_string());
        }
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        seen: &mut Seen,
    ) -> Result<Reply, Status> {
        let (head, body) = request.into_parts();
        let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
        let reads = matches!(method.as_str(), "GET" | "HEAD");
        let user = self.authenticator.user(peer, &head.headers)?;
        seen.user.clone_from(&user);
        if reads && let Some(reply) = self.public(&path, head.uri.query().unwrap_or_default()) {
            return Ok(reply);
        }
        // The one object that a stranger may ask for: a machine that joins has no name yet. Upstream's `anonymous.conditions` are such a list of
        // paths; roles and bindings have to allow it, too.
        let stranger = || (reads && path == joining::INFO_PATH).then(User::anonymous);
        let own = user.or_else(stranger).ok_or_else(Status::unauthorized)?;
        if seen.user.is_none() {
            seen.user = Some(own.clone());
        }
        let other = impersonate(&head.headers, |what| self.may(&own, what))?;
        seen.acts_as.clone_from(&other);
        let user = other.as_ref().unwrap_or(&own);
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let Some(route) = route(&path) else {
            let what = Attributes {
                verb: method.to_lowercase(),
                path: path.clone(),
                ..Attributes::default()
            };
            self.noted(user, &what)?;
            if !reads {
                return Err(Status::method_not_allowed_path());
            }
            return self.document(&path, &head.headers);
        };
        seen.route = Some(route.clone());
        let verb = verb(&method, &route, &query)?;
        seen.verb = verb;
        let _flight = self.metrics.enter(verb);
        self.noted(user, &attributes(verb, &route, &query))?;
        let served = self.kinds.find(&route.group, &route.version, &route.resource);
        let served = served.ok_or_else(|| absent(&route.group, &route.resource))?;
        seen.served = Some(Arc::clone(&served));
        let deprecated = served.kind.deprecation();
        let call = call(served, route, query, verb, user, &head.headers)?;
        let encoding = call.wanted()?.encoding;
        let watch = call.verb == "watch";
        let reply = match read(body).await {
            Ok(bytes) => handle::dispatch(self, call, bytes).await,
            Err(status) => Err(status),
        };
        let reply = reply.unwrap_or_else(|status| refused(seen, &status));
        Ok(encoded(reply.warn(deprecated), encoding, watch))
    }

    /// What a stranger may see: that the server lives, and its version.
    fn public(&self, path: &str, query: &str) -> Option<Reply> {
        if path == "/version" || path == "/version/" {
            return Some(Reply::json(200, &discovery::version()));
        }
        let (endpoint, check) = match path.strip_prefix('/')?.split_once('/') {
            Some((endpoint, check)) => (endpoint, check),
            None => (path.strip_prefix('/')?, ""),
        };
        if !matches!(endpoint, "healthz" | "livez" | "readyz")
            || !matches!(check, "" | "ping" | "store")
        {
            return None;
        }
        let trouble = self.store.stats().trouble;
        let closing = endpoint == "readyz" && *self.closed.borrow();
        let ok = trouble.is_none() && !closing;
        let verbose = Query::parse(query).get("verbose").is_some();
        let mark = |ok: bool, name: &str| {
            if ok {
                format!("[+]{name} ok\n")
            } else {
                format!("[-]{name} failed: reason withheld\n")
            }
        };
        let mut text = mark(true, "ping") + &mark(trouble.is_none(), "store");
        if endpoint == "readyz" {
            text += &mark(!closing, "shutdown");
        }
        text += &format!("{endpoint} check {}\n", if ok { "passed" } else { "failed" });
        if ok && !verbose {
            "ok".clone_into(&mut text);
        }
        Some(Reply::bytes(if ok { 200 } else { 500 }, "text/plain; charset=utf-8", text))
    }

    /// Whether a user may; if not, the refusal in upstream's words.
    pub(crate) fn may(&self, user: &User, what: &Attributes) -> Result<(), Status> {
        Self::refusal(user, what, &self.authorizer.authorize(user, what))
    }

    /// The same, for the request itself, of whose decision the audit log tells.
    fn noted(&self, user: &User, what: &Attributes) -> Result<(), Status> {
        let decision = self.authorizer.authorize(user, what);
        let (word, why) = match &decision {
            Decision::Allow(why) => ("allow", why),
            Decision::Deny(why) => ("forbid", why),
        };
        note("authorization.k8s.io/decision", word);
        note("authorization.k8s.io/reason", why.as_str());
        Self::refusal(user, what, &decision)
    }

    fn refusal(user: &User, what: &Attributes, decision: &Decision) -> Result<(), Status> {
        let Decision::Deny(why) = decision else { return Ok(()) };
        let why = reason(what, user, why);
        if what.resource.is_empty() {
            return Err(Status::forbidden_path(&why));
        }
        let about = About { group: &what.group, resource: &what.resource };
        Err(Status::forbidden(about, &what.name, &why))
    }

    /// Discovery and OpenAPI.
    fn document(&self, path: &str, headers: &HeaderMap) -> Result<Reply, Status> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let accept = text(ACCEPT).unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let kinds = self.kinds.now();
        let found = match parts.as_slice() {
            [""] => Some(discovery::paths(&kinds)),
            ["metrics"] => return Ok(self.metrics.reply(&self.store, &self.kinds)),
            ["api" | "apis"] if choose(accept, DOCUMENTS)?.form == Form::Discovery => {
                let body = discovery::aggregated(&kinds, parts == ["api"]).to_string();
                return Ok(Reply::bytes(
                    200,
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                    body,
                ));
            }
            ["api"] => Some(discovery::core_versions(&self.address.to_string())),
            ["api", version] => discovery::resource_list(&kinds, "", version),
            ["apis"] => Some(discovery::group_list(&kinds)),
            ["apis", group] => discovery::group(&kinds, group),
            ["apis", group, version] => discovery::resource_list(&kinds, group, version),
            [".well-known", "openid-configuration"] => {
                Some(discovery::openid(&self.address.to_string()))
            }
            ["openid", "v1", "jwks"] => {
                let keys = self.authenticator.key.jwks().to_string();
                return Ok(Reply::bytes(200, "application/jwk-set+json", keys));
            }
            ["openapi", "v3"] => Some(schema::index(&kinds)),
            ["openapi", "v3", ..] => {
                // Protobuf documents are not made; who takes nothing else is told.
                choose(accept, Offer { forms: &[], ..DOCUMENTS })?;
                let (body, hash) = schema::document(&kinds, &parts[2..].join("/"))
                    .ok_or_else(Status::no_such_path)?;
                let etag = format!("\"{hash}\"");
                if text(IF_NONE_MATCH) == Some(&etag) {
                    let mut reply = Reply::bytes(304, "application/json", Bytes::new());
                    reply.etag = Some(etag);
                    return Ok(reply);
                }
                let mut reply = Reply::json(200, &body);
                reply.etag = Some(etag);
                return Ok(reply);
            }
            ["openapi", "v2"] => {
                let known = text(IF_NONE_MATCH).unwrap_or_default();
                return schema::reply_v2(&kinds, accept, known);
            }
            _ => None,
        };
        // Upstream's router answers in Go's words where no part of the server has the path.
        let none = || Reply::bytes(404, "text/plain; charset=utf-8", "404 page not found\n");
        Ok(found.map_or_else(none, |body| Reply::json(200, &body)))
    }
}

/// The answer to a request that failed.
fn refused(seen: &mut Seen, status: &Status) -> Reply {
    seen.failed(status);
    Reply::refusal(status)
}

/// What discovery answers with.
const DOCUMENTS: Offer<'_> = Offer { forms: &[Form::Discovery], protobuf: false, watch: false };

/// The call that a route means, if the kind has such a thing.
pub(crate) fn call<'a>(
    served: Arc<Served>,
    route: Route,
    query: Query,
    verb: &'static str,
    user: &'a User,
    headers: &HeaderMap,
) -> Result<Call<'a>, Status> {
    let kind = &served.kind;
    for part in [&route.name, &route.namespace] {
        if let Some(why) = crate::names::path_segment(part) {
            return Err(Status::bad_request(format!("Name parameter invalid: {part:?}: {why}")));
        }
    }
    let in_namespace = !route.namespace.is_empty() && route.resource != "namespaces";
    if !kind.namespaced && in_namespace {
        return Err(Status::no_such_path());
    }
    if kind.namespaced && !in_namespace && !matches!(verb, "list" | "watch") {
        return Err(Status::method_not_allowed_path());
    }
    let subresource = match route.subresource.as_str() {
        "" => None,
        name => Some(kind.subresource(name).ok_or_else(|| no_part(kind, name))?),
    };
    let verbs = subresource.map_or(kind.verbs.words(), |sub| sub.verbs());
    if !verbs.contains(&verb) {
        return Err(Status::method_not_allowed(kind.about(), verb));
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(Call {
        served,
        namespace: in_namespace.then_some(route.namespace),
        name: route.name,
        subresource,
        query,
        verb,
        user,
        accept: text(ACCEPT).unwrap_or_default().to_owned(),
        content_type: text(CONTENT_TYPE).unwrap_or_default().to_owned(),
        user_agent: text(USER_AGENT).unwrap_or_default().to_owned(),
        local: None,
    })
}

/// What a route wants, as authorizers see it.
pub(crate) fn attributes(verb: &str, route: &Route, query: &Query) -> Attributes {
    let lists = matches!(verb, "list" | "watch" | "deletecollection");
    let selector = query.text("fieldSelector").filter(|_| lists).unwrap_or_default();
    let fields: Vec<(String, String)> = selector
        .split(',')
        .filter(|one| !one.contains("!="))
        .filter_map(|one| one.split_once("==").or(one.split_once('=')))
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect();
    // A list of one object by its name is asked for as that object.
    let named = fields.iter().find(|(field, _)| field == "metadata.name");
    Attributes {
        verb: verb.to_owned(),
        group: route.group.clone(),
        resource: route.resource.clone(),
        subresource: route.subresource.clone(),
        namespace: route.namespace.clone(),
        name: named.map_or_else(|| route.name.clone(), |(_, name)| name.clone()),
        path: String::new(),
        fields,
    }
}

pub(crate) fn reason(what: &Attributes, user: &User, why: &str) -> String {
    let refusal = what.refusal(user);
    if why.is_empty() { refusal } else { format!("{refusal}: {why}") }
}

/// Upstream's verbs for methods; `watch` is a list that says so.
fn verb(method: &str, route: &Route, query: &Query) -> Result<&'static str, Status> {
    let named = !route.name.is_empty();
    Ok(match method {
        "GET" | "HEAD" if named => "get",
        "GET" | "HEAD" if query.switch("watch")? == Some(true) => "watch",
        "GET" | "HEAD" => "list",
        "POST" if !named || !route.subresource.is_empty() => "create",
        "PUT" if named => "update",
        "PATCH" if named => "patch",
        "DELETE" if named => "delete",
        "DELETE" => "deletecollection",
        _ => return Err(Status::method_not_allowed_path()),
    })
}

/// The whole body, if it is not too long and comes in time.
async fn read(body: Incoming) -> Result<Bytes, Status> {
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Status::too_large(BODY_BYTES_MAX)),
        Ok(Err(error)) => Err(Status::bad_request(format!("cannot read the body: {error}"))),
        Err(_) => Err(Status::bad_request("the body did not come in time")),
    }
}

/// A part that a kind does not have. Those of running containers are said in words: users would take a bare 404 for a wrong address.
fn no_part(kind: &Kind, name: &str) -> Status {
    if kind.is("", "Pod") && matches!(name, "attach" | "exec" | "log" | "portforward" | "proxy") {
        return Status::not_implemented(&format!("pods/{name}, which needs a running container,"));
    }
    Status::no_such_path()
}
