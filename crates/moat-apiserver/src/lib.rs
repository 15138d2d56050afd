//! The embedded cluster's API server: what kubectl, client-go and kube-rs speak to, over a [`moat_store::Store`].
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use moat_apiserver::{Options, Server};
//!
//! let server = Server::start(Options::default()).await?;
//! std::fs::write("kubeconfig", server.kubeconfig())?; // kubectl --kubeconfig kubeconfig get namespaces
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A request goes through `listen` (TLS) to `api` (who asks: `authn`; what for, whether they may) and `handle` (one function a verb, the same for all
//! kinds). What differs between kinds is data or a small function: the table (`kinds`), types (`schema`), defaults and rules (`strategy`),
//! columns (`table`).
//!
//! What it does not do: aggregation, webhooks, parameters of admission policies, and what needs a node agent (logs, exec, port-forward). Who
//! asks for them gets an explicit error. It runs no controllers: `moat-controllers` empties a namespace that is deleted, and makes pods.

mod admission;
mod advice;
mod api;
mod authn;
mod authorize;
mod bootstrap;
mod certificate_request;
mod chunks;
mod client;
mod crd;
mod cron;
#[cfg(test)]
mod decoders;
mod discovery;
mod encode;
mod handle;
pub mod joining;
mod json;
mod keys;
mod kinds;
mod kubeconfig;
mod lines;
mod listen;
mod lookup;
mod managed;
mod names;
mod negotiate;
mod node;
mod object;
mod observe;
mod part;
mod patch;
mod pki;
mod query;
mod rbac;
mod reply;
mod route;
mod schema;
mod selector;
mod server;
mod service_range;
mod signer;
mod stamp;
mod status;
mod strategy;
mod table;
mod wire;
mod yaml;

pub use admission::{quota_counts, quota_used};
pub use advice::Advice;
pub use authorize::{Attributes, Authorize, Decision, Rules, User};
pub use certificate_request::Requested;
pub use client::{
    At, Change, ChangeKind, Client, DeleteOptions, Gvr, Listed, PatchType, Propagation, Selection,
    ServedKind, Watching,
};
pub use cron::{Schedule, time_zone};
pub use discovery::GIT_VERSION;
pub use handle::Component;
pub use keys::Keys;
pub use kinds::{Kind, Subresource, Verbs, api_version, built_in};
pub use moat_model::Quantity;
pub use observe::audit::AuditLog;
pub use observe::metrics::MoreMetrics;
pub use part::{Keep, field, fields, pick};
pub use pki::{Identity, authority_pin, request_for};
pub use server::{Options, Running, Server, StartError};
pub use service_range::ServiceRange;
pub use signer::Signer;
pub use status::{About, Cause, Status};
pub use strategy::certificate::pem as request_pem;
pub use yaml::json_of_document;
