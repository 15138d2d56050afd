//! Strangers, forgers, and clients that take too much or too long.

use crate::common::{CONFIG_MAPS, bearer, client, config, get, post, send, server};
use hyper::Request;
use kube::Client;
use kube::client::Body;
use moat_apiserver::{Options, Server};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_stranger_sees_that_the_server_lives_and_nothing_else() {
    let server = server().await;
    let mut config = config(&server.kubeconfig()).await;
    config.auth_info = kube::config::AuthInfo::default();
    let stranger = Client::try_from(config).unwrap();
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping"] {
        let answer = get(&stranger, path).await;
        assert_eq!((answer.code, answer.text.as_str()), (200, "ok"), "{path}");
    }
    assert_eq!(get(&stranger, "/version").await.json()["minor"], "36");
    let want = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
    for path in [
        "/api",
        "/apis",
        "/",
        "/openapi/v3",
        "/api/v1/pods",
        CONFIG_MAPS,
        "/none",
        "/api/v1/namespaces/default/../../../version",
    ] {
        let answer = get(&stranger, path).await;
        assert_eq!((answer.code, answer.json()), (401, want.clone()), "{path}");
    }
    assert_eq!(post(&stranger, CONFIG_MAPS, &json!({"metadata": {"name": "a"}})).await.code, 401);
    assert_eq!(post(&stranger, "/version", &json!({})).await.code, 401);
}

#[tokio::test]
async fn a_stranger_reads_where_the_cluster_is_once_a_role_lets_it() {
    let server = server().await;
    let (admin, stranger) = (client(&server.kubeconfig()).await, bearer(&server, None).await);
    let maps = "/api/v1/namespaces/kube-public/configmaps";
    let info = format!("{maps}/cluster-info");
    for name in ["cluster-info", "other"] {
        let made = json!({"metadata": {"name": name}, "data": {"kubeconfig": "x"}});
        assert_eq!(post(&admin, maps, &made).await.code, 201);
    }
    let refused = get(&stranger, &info).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.json()["message"],
        "configmaps \"cluster-info\" is forbidden: User \"system:anonymous\" cannot get resource \"configmaps\" in API group \"\" in the namespace \"kube-public\""
    );
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public";
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]);
    let role = json!({"metadata": {"name": "all"}, "rules": rules});
    let binding = json!({
        "metadata": {"name": "all"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous"}],
    });
    assert_eq!(post(&admin, &format!("{rbac}/roles"), &role).await.code, 201);
    assert_eq!(post(&admin, &format!("{rbac}/rolebindings"), &binding).await.code, 201);
    let read = get(&stranger, &info).await;
    assert_eq!((read.code, &read.json()["data"]["kubeconfig"]), (200, &json!("x")));
    // Whatever roles say, nothing else is for strangers, and nothing is for them to write.
    for path in [maps.to_owned(), format!("{maps}/other"), format!("{info}/"), format!("{info}/x")]
    {
        assert_eq!(get(&stranger, &path).await.code, 401, "{path}");
    }
    for method in ["DELETE", "PUT", "PATCH", "POST"] {
        let kind = "application/merge-patch+json";
        assert_eq!(send(&stranger, method, &info, kind, "{}").await.code, 401, "{method}");
    }
    // Who shows a token that is none is no stranger.
    let foreign = bearer(&server, Some("abcdef.0123456789abcdef")).await;
    assert_eq!(get(&foreign, &info).await.code, 401);
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_refused() {
    let (ours, theirs) = (server().await, server().await);
    let forger = {
        let mut config = config(&ours.kubeconfig()).await;
        config.auth_info = crate::common::config(&theirs.kubeconfig()).await.auth_info;
        Client::try_from(config).unwrap()
    };
    for path in ["/api/v1/pods", "/version", "/readyz"] {
        let answer = get(&forger, path).await;
        assert_eq!(
            (answer.code, &answer.json()["message"]),
            (401, &json!("Unauthorized")),
            "{path}"
        );
    }
    let trusting = client(&ours.kubeconfig()).await;
    assert_eq!(get(&trusting, "/api/v1/pods").await.code, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_upstreams_words() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let body = vec![b' '; (3 << 20) + 1];
    let answer = send(&client, "POST", CONFIG_MAPS, "application/json", body).await;
    assert_eq!(answer.code, 413);
    assert_eq!(answer.json()["message"], "Request entity is too large: limit is 3145728");
    assert_eq!(answer.json()["reason"], "RequestEntityTooLarge");
}

#[tokio::test]
async fn paths_do_not_lead_out_of_their_place() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    for path in ["%2e%2e", "a%2fb", "a%25"] {
        let answer = get(&client, &format!("{CONFIG_MAPS}/{path}")).await;
        assert_eq!((answer.code, &answer.json()["reason"]), (400, &json!("BadRequest")), "{path}");
    }
}

#[tokio::test]
async fn who_does_not_speak_is_hung_up_on() {
    let options = Options { head_timeout: Duration::from_millis(200), ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let began = Instant::now();
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    silent.write_all(b"\x16\x03").await.unwrap();
    let mut rest = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut rest)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // The same once TLS stands: half a head, then nothing.
    let mut tls = tls(&server).await;
    tls.write_all(b"GET /version HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), tls.read_to_end(&mut rest)).await.unwrap();
    let client = client(&server.kubeconfig()).await;
    assert_eq!(get(&client, "/version").await.code, 200);
}

#[tokio::test]
async fn a_flood_of_headers_is_refused_and_hurts_nobody() {
    let server = server().await;
    let flood = "X-Again: 1\r\n".repeat(200);
    let endless = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    for headers in [flood, endless] {
        let mut tls = tls(&server).await;
        let head = format!("GET /version HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        // The server may hang up before it has read everything.
        let _ = tls.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tls.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(5), read).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let stranger = crate::common::bearer(&server, Some(&"a".repeat(20_000))).await;
    assert_eq!(get(&stranger, "/api/v1/pods").await.code, 401);
    let client = client(&server.kubeconfig()).await;
    assert_eq!(get(&client, "/version").await.code, 200);
}

async fn tls(server: &moat_apiserver::Running) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(server.ca().as_bytes()).unwrap())
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(server.address()).await.unwrap();
    connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_watches_cost_little_and_disturb_nobody() {
    // Both ends of each are descriptors of this process, of which it has 20 000 at most on many machines.
    let full = std::env::var("MOAT_SOAK").is_ok_and(|size| size == "full");
    let many: u32 = if full { 9000 } else { 1000 };
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let before = resident();
    let mut watches = Vec::new();
    for _ in 0..many {
        let request =
            Request::get("/api/v1/pods?watch=1&resourceVersion=1").body(Body::empty()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "headers come before any event");
        watches.push(response);
    }
    let each = resident().saturating_sub(before) / u64::from(many);
    // Both ends of each connection, TLS included, are in this process.
    assert!(each < 160 << 10, "{each} bytes for a watch and its client");
    let began = Instant::now();
    assert_eq!(post(&client, CONFIG_MAPS, &json!({"metadata": {"name": "a"}})).await.code, 201);
    assert!(began.elapsed() < Duration::from_secs(1));
    eprintln!(
        "{many} idle watches: {each} bytes each, both ends; a write beside them: {:?}",
        began.elapsed()
    );
    drop(watches);
    let began = Instant::now();
    server.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_ends_ends_its_watches() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let request = Request::get("/api/v1/pods?watch=1").body(Body::empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let began = Instant::now();
    server.shutdown().await;
    let rest = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    assert!(rest.to_bytes().is_empty());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
