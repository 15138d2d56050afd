//! A server and clients for tests.
#![allow(dead_code, reason = "each test uses some of it")]

use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Request};
use kube::Client;
use kube::client::Body;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use moat_apiserver::{Options, Running, Server};
use serde_json::Value;

pub async fn server() -> Running {
    Server::start(Options::default()).await.unwrap()
}

pub async fn config(kubeconfig: &str) -> Config {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let parsed = Kubeconfig::from_yaml(kubeconfig).unwrap();
    Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.unwrap()
}

pub async fn client(kubeconfig: &str) -> Client {
    Client::try_from(config(kubeconfig).await).unwrap()
}

/// One answer: code, headers, body.
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }
}

/// Sends one request as it is.
pub async fn send(
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

pub async fn answer(client: &Client, request: Request<Body>) -> Answer {
    let response = client.send(request).await.unwrap();
    let (code, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { code, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub async fn get(client: &Client, path: &str) -> Answer {
    send(client, "GET", path, "", Vec::new()).await
}

pub async fn post(client: &Client, path: &str, body: &Value) -> Answer {
    send(client, "POST", path, "application/json", body.to_string()).await
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
