//! A server and clients for tests.

pub(crate) mod kubectl;

use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Request};
use kube::Client;
use kube::client::Body;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use moat_apiserver::{Options, Running, Server};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

pub(crate) async fn server() -> Running {
    // Clients and servers are in one process, with all tests that run at once; the soft limit is 1024 on most machines.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    Server::start(Options::default()).await.unwrap()
}

pub(crate) async fn config(kubeconfig: &str) -> Config {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let parsed = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let mut config =
        Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.unwrap();
    // An answer is what the test is about, not what comes after some more tries.
    config.default_retry = false;
    config
}

/// A client without a certificate, with a bearer token if there is one.
pub(crate) async fn bearer(server: &Running, token: Option<&str>) -> Client {
    let mut config = config(&server.kubeconfig()).await;
    config.auth_info = kube::config::AuthInfo {
        token: token.map(|token| token.to_owned().into()),
        ..kube::config::AuthInfo::default()
    };
    Client::try_from(config).unwrap()
}

pub(crate) async fn client(kubeconfig: &str) -> Client {
    Client::try_from(config(kubeconfig).await).unwrap()
}

/// One answer: code, headers, body.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }
}

/// Sends one request as it is.
pub(crate) async fn send(
    client: &Client,
    method: &str,
    path: &str,
    kind: &str,
    body: impl Into<Vec<u8>>,
) -> Answer {
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(Body::from(body.into())).unwrap();
    answer(client, request).await
}

pub(crate) async fn answer(client: &Client, request: Request<Body>) -> Answer {
    let response = client.send(request).await.unwrap();
    let (code, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { code, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub(crate) async fn get(client: &Client, path: &str) -> Answer {
    send(client, "GET", path, "", Vec::new()).await
}

pub(crate) async fn post(client: &Client, path: &str, body: &Value) -> Answer {
    send(client, "POST", path, "application/json", body.to_string()).await
}

pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
