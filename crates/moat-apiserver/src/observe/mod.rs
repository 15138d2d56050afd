//! What others see of requests: numbers for Prometheus, and who did what for the audit log.

pub(crate) mod audit;
pub(crate) mod metrics;
mod process;

use crate::authorize::User;
use crate::kinds::Served;
use crate::query::Query;
use crate::route::Route;
use crate::status::Status;
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Request};
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes of an identity that a client gave to its request.
const AUDIT_ID_MAX: usize = 64;

/// What is known of a request so far, and of how it went.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: String,
    method: String,
    uri: String,
    agent: String,
    from: Option<SocketAddr>,
    received: jiff::Timestamp,
    pub(crate) verb: &'static str,
    pub(crate) route: Option<Route>,
    /// The kind, where the path is that of one that is served.
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) user: Option<User>,
    pub(crate) acts_as: Option<User>,
    dry_run: bool,
    applies: bool,
    failure: Option<(&'static str, String)>,
}

impl Seen {
    pub(crate) fn of<B>(request: &Request<B>, from: Option<SocketAddr>) -> Self {
        let text = |headers: &HeaderMap, name: &str| {
            let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let headers = request.headers();
        let given = text(headers, "audit-id");
        let fits = !given.is_empty()
            && given.len() <= AUDIT_ID_MAX
            && given.bytes().all(|byte| byte.is_ascii_graphic());
        let query = Query::parse(request.uri().query().unwrap_or_default());
        Self {
            id: if fits { given } else { crate::stamp::uid() },
            method: request.method().as_str().to_owned(),
            uri: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            agent: text(headers, USER_AGENT.as_str()),
            from,
            received: jiff::Timestamp::now(),
            verb: "",
            route: None,
            served: None,
            user: None,
            acts_as: None,
            dry_run: query.text("dryRun") == Some("All"),
            applies: text(headers, "content-type").starts_with("application/apply-patch"),
            failure: None,
        }
    }

    /// Remembers why a request failed.
    pub(crate) fn failed(&mut self, status: &Status) {
        self.failure = Some((status.reason, status.message.clone()));
    }
}
