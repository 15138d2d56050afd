//! A machine joins a cluster by a bootstrap token: it finds out whether it speaks to the right cluster, asks for a certificate, and registers a node.
//!
//! The way is kubeadm's: `cluster-info` is read from whoever answers, and believed only if the token signed it and the authority in it has a
//! pinned key; then it is read again from a server which that authority vouches for, and from then on nobody else is spoken to.

mod http;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Host, Server, Trust};
use moat_apiserver::joining;
use moat_load::{Input, load};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const NODES: &str = "/api/v1/nodes";
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
/// How long a certificate, or the signature of a token that was just made, may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// Why the node is not ready, on the node itself.
const NO_AGENT: &str =
    "this machine has joined, and runs no pods: this version of moat has no node agent";

/// What a machine was told of the cluster that it joins.
#[derive(Clone, Debug)]
pub struct Wanted {
    host: Host,
    id: String,
    secret: String,
    pins: Vec<String>,
    node: String,
}

impl Wanted {
    /// Reads what a machine was told.
    ///
    /// Errors: something is not of its form, in words for who typed it.
    pub fn new(server: &str, token: &str, pins: &[String], node: &str) -> Result<Self, String> {
        let host = Host::parse(server).ok_or_else(|| {
            format!("{server:?} is no server: write HOST:PORT, such as 10.0.0.1:6443")
        })?;
        let (id, secret) = joining::token_parts(token).ok_or_else(|| {
            // What was typed is a secret, if a misspelt one.
            "the token is none: six letters, a dot and sixteen letters".to_owned()
        })?;
        let hex =
            |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        for pin in pins {
            if !pin.strip_prefix("sha256:").is_some_and(hex) {
                return Err(format!("{pin:?} is no hash: write sha256: and 64 hexadecimal digits"));
            }
        }
        if pins.is_empty() {
            return Err("without a hash of the authority anybody could be the cluster".to_owned());
        }
        let (id, secret, node) = (id.to_owned(), secret.to_owned(), node.to_owned());
        let pins = pins.iter().map(|pin| pin.to_ascii_lowercase()).collect();
        Ok(Self { host, id, secret, pins, node })
    }

    fn token(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

/// A machine that has joined: what its agent needs to speak to the cluster as its node.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The node's name.
    pub node: String,
    /// `https://127.0.0.1:6443`.
    pub server: String,
    /// The authority's certificate, PEM.
    pub authority: String,
    /// The node's certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
}

/// Joins. When this returns, the node is registered, and says that it is not ready.
///
/// Errors: the cluster is not the right one, does not know the token, refuses, or has a node of that name.
pub async fn join(wanted: &Wanted) -> Result<Joined, String> {
    let (host, authority) = discover(wanted).await?;
    let known = Server::new(&host, &Trust::Authority(&authority), Some(&wanted.token()))?;
    let node = &wanted.node;
    let path = format!("{NODES}/{node}");
    match known.ask("GET", &path, None).await? {
        (404, _) => {}
        (200, _) => {
            return Err(format!("the cluster has a node {node:?} already: choose another name"));
        }
        (code, status) => return Err(refusal("the token", code, &status)),
    }
    let (key, certificate) = certify(&known, node).await?;
    let server = Server::new(&host, &Trust::Mutual(&authority, &certificate, &key), None)?;
    register(&server, node).await?;
    let node = node.clone();
    Ok(Joined { node, server: host.url(), authority, certificate, key })
}

/// Where the cluster is and what its authority's certificate is, as the token and the hash vouch for.
async fn discover(wanted: &Wanted) -> Result<(Host, String), String> {
    let stranger = Server::new(&wanted.host, &Trust::Anybody, None)?;
    let (kubeconfig, signature) = info(&stranger, wanted).await?;
    let own = moat_controllers::detached_signature(&kubeconfig, &wanted.id, &wanted.secret);
    if own != signature {
        return Err(
            "what answers there knows a token of that name, and not this one's secret".to_owned()
        );
    }
    let (url, authority) = read(&kubeconfig)?;
    let pin = moat_apiserver::authority_pin(&authority)?;
    if !wanted.pins.contains(&pin) {
        return Err(format!("the cluster's authority is another one: its hash is {pin}"));
    }
    let host =
        Host::parse(&url).ok_or_else(|| format!("the cluster says that it is at {url:?}"))?;
    // Whoever could show a signed text may still not be the one who signed it.
    let server = Server::new(&wanted.host, &Trust::Authority(&authority), None)?;
    let (code, again) = server.ask("GET", joining::INFO_PATH, None).await?;
    if code != 200 || again["data"]["kubeconfig"] != *kubeconfig {
        return Err(
            "the cluster said one thing to a stranger and another to who knows it".to_owned()
        );
    }
    Ok((host, authority))
}

/// The text of `cluster-info`, and the token's signature of it. The signature of a token that was just made comes a moment later.
async fn info(server: &Server, wanted: &Wanted) -> Result<(String, String), String> {
    let end = Instant::now() + PATIENCE.min(Duration::from_secs(5));
    loop {
        let (code, answer) = server.ask("GET", joining::INFO_PATH, None).await?;
        if !matches!(code, 200 | 401 | 403 | 404) {
            return Err(refusal(joining::INFO, code, &answer));
        }
        let signature = &answer["data"][format!("{}{}", joining::SIGNATURE_PREFIX, wanted.id)];
        if let (Some(text), Some(signature)) =
            (answer["data"]["kubeconfig"].as_str(), signature.as_str())
        {
            return Ok((text.to_owned(), signature.to_owned()));
        }
        if end <= Instant::now() {
            return Err(format!(
                "the cluster knows no token {}: it may have ended; `moat token create --print-join-command` makes another",
                wanted.id
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The server and the authority of the one cluster in a kubeconfig.
fn read(kubeconfig: &str) -> Result<(String, String), String> {
    let text = kubeconfig.to_owned();
    let loaded = load(&[Input::Text { name: "cluster-info".to_owned(), text }]);
    let config = loaded.documents.first().map(|document| Value::from(&document.value));
    let cluster = config.as_ref().map(|config| &config["clusters"][0]["cluster"]);
    let field = |name: &str| cluster.and_then(|cluster| cluster[name].as_str());
    let authority = field("certificate-authority-data").and_then(|text| STANDARD.decode(text).ok());
    let authority = authority.and_then(|bytes| String::from_utf8(bytes).ok());
    match (field("server"), authority) {
        (Some(server), Some(authority)) => Ok((server.to_owned(), authority)),
        _ => Err("cluster-info names no server and authority".to_owned()),
    }
}

/// A key, and the certificate of a node that the cluster signs for it.
async fn certify(server: &Server, node: &str) -> Result<(String, String), String> {
    let (key, request) =
        moat_apiserver::request_for(&format!("system:node:{node}"), "system:nodes")?;
    let ask = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "generateName": "node-csr-" },
        "spec": {
            "request": STANDARD.encode(request), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    });
    let (code, made) = server.ask("POST", REQUESTS, Some((JSON, &ask))).await?;
    let Some(name) = made["metadata"]["name"].as_str().filter(|_| code == 201) else {
        return Err(refusal("the request for a certificate", code, &made));
    };
    let (path, end) = (format!("{REQUESTS}/{name}"), Instant::now() + PATIENCE);
    loop {
        let (code, found) = server.ask("GET", &path, None).await?;
        if code != 200 {
            return Err(refusal("the request for a certificate", code, &found));
        }
        let certificate = found["status"]["certificate"].as_str().unwrap_or_default();
        let bytes = STANDARD.decode(certificate).ok().filter(|bytes| !bytes.is_empty());
        if let Some(certificate) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            return Ok((key, certificate));
        }
        let conditions = found["status"]["conditions"].as_array().into_iter().flatten();
        let mut against =
            conditions.filter(|one| one["type"] == "Denied" || one["type"] == "Failed");
        if let Some(condition) = against.next() {
            let why = condition["message"].as_str().unwrap_or_default();
            return Err(format!("the request for a certificate, {name}, is refused: {why}"));
        }
        if end <= Instant::now() {
            return Err(format!("nobody signs the request for a certificate, {name}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Registers the node, which says that it is not ready.
async fn register(server: &Server, node: &str) -> Result<(), String> {
    let object = crate::nodes::object::joined(node);
    let (code, made) = server.ask("POST", NODES, Some((JSON, &object))).await?;
    if code != 201 {
        return Err(refusal("the node", code, &made));
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = json!({ "status": { "conditions": [{
        "type": "Ready", "status": "False", "reason": "NoNodeAgent", "message": NO_AGENT,
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }] } });
    let path = format!("{NODES}/{node}/status");
    match server.ask("PATCH", &path, Some((MERGE, &status))).await? {
        (200, _) => Ok(()),
        (code, status) => Err(refusal("the node's status", code, &status)),
    }
}

fn refusal(what: &str, code: u16, status: &Value) -> String {
    let why = status["message"].as_str().unwrap_or("no reason is given");
    format!("the cluster refuses {what}: {why} ({code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_said_before_anything_is_sent() {
        let pin = format!("sha256:{}", "0a".repeat(32));
        let (server, token) = ("127.0.0.1:6443", "abcdef.0123456789abcdef");
        let why = |server: &str, token: &str, pins: &[&str]| {
            let pins: Vec<String> = pins.iter().map(|pin| (*pin).to_owned()).collect();
            Wanted::new(server, token, &pins, "n").err().unwrap_or_default()
        };
        assert_eq!(why(server, token, &[&pin]), "");
        assert!(why("127.0.0.1", token, &[&pin]).contains("HOST:PORT"));
        assert!(why(server, "abcdef.0123456789ABCDEF", &[&pin]).contains("six letters"));
        assert!(!why(server, "abcdef.0123456789ABCDEF", &[&pin]).contains("ABCDEF"));
        assert!(why(server, token, &[]).contains("anybody"));
        assert!(why(server, token, &["sha256:00"]).contains("64"));
        assert!(why(server, token, &[&pin.replace("sha256", "md5")]).contains("sha256"));
    }

    #[test]
    fn the_text_that_tokens_sign_is_read_again() {
        let place =
            crate::token::Place { url: "https://x:1".to_owned(), authority: "pem".to_owned() };
        assert_eq!(read(&place.kubeconfig()), Ok(("https://x:1".to_owned(), "pem".to_owned())));
        assert!(read("clusters: []").is_err());
        assert!(read("{").is_err());
    }
}
