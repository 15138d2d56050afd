//! Requests for certificates: asked for, approved, signed, and used.

use crate::common::{answer, client, config, get, post, send, server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use kube::config::AuthInfo;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// The cells of the one request that there is.
async fn row(client: &Client) -> Vec<Value> {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let request = Request::builder().uri(REQUESTS).header("accept", table);
    let table = answer(client, request.body(Body::empty()).unwrap()).await.json();
    let mut cells = table["rows"][0]["cells"].as_array().unwrap().clone();
    cells.remove(1);
    cells
}

#[tokio::test]
async fn who_is_signed_is_who_was_asked_for() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "jane");
    params.distinguished_name.push(DnType::OrganizationName, "dev");
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let ask = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": { "name": "jane" },
        "spec": {
            "request": STANDARD.encode(&pem), "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"],
            "expirationSeconds": 86400, "username": "somebody-else",
        },
    });
    let made = post(&admin, REQUESTS, &ask).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let signer = "kubernetes.io/kube-apiserver-client";
    assert_eq!(row(&admin).await, ["jane", signer, "kubernetes-admin", "24h", "Pending"]);

    let path = format!("{REQUESTS}/jane");
    let mut approved = get(&admin, &path).await.json();
    approved["status"]["conditions"] = json!([{ "type": "Approved", "status": "True" }]);
    let put =
        send(&admin, "PUT", &format!("{path}/approval"), "application/json", approved.to_string())
            .await;
    assert_eq!(put.code, 200, "{}", put.text);
    assert_eq!(row(&admin).await[4], "Approved");
    let certificate = server.signer().sign(&pem, &["client auth"], 86400).unwrap();
    let mut signed = put.json();
    signed["status"]["certificate"] = STANDARD.encode(&certificate).into();
    let put =
        send(&admin, "PUT", &format!("{path}/status"), "application/json", signed.to_string())
            .await;
    assert_eq!(put.code, 200, "{}", put.text);
    assert_eq!(row(&admin).await[4], "Approved,Issued");
    // What was signed stays.
    let mut other = put.json();
    other["status"]["certificate"] = "bm9uZQ==".into();
    let put =
        send(&admin, "PUT", &format!("{path}/status"), "application/json", other.to_string()).await;
    assert_eq!(put.code, 422, "{}", put.text);

    let mut own = config(&server.kubeconfig()).await;
    own.auth_info = AuthInfo {
        client_certificate_data: Some(STANDARD.encode(&certificate)),
        client_key_data: Some(STANDARD.encode(key.serialize_pem()).into()),
        ..AuthInfo::default()
    };
    let jane = Client::try_from(own).unwrap();
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let who =
        post(&jane, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await.json();
    let info = &who["status"]["userInfo"];
    assert_eq!(info["username"], "jane", "{who}");
    assert_eq!(info["groups"], json!(["dev", "system:authenticated"]));
}

#[tokio::test]
async fn requests_without_sense_are_refused() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let ask = |spec: Value| json!({ "metadata": { "name": "x" }, "spec": spec });
    let refused = post(&admin, REQUESTS, &ask(json!({ "request": "bm9uZQ==", "signerName": "x", "usages": ["walk"], "expirationSeconds": 5 }))).await;
    assert_eq!(refused.code, 422, "{}", refused.text);
    let causes = refused.json()["details"]["causes"].clone();
    let fields: Vec<&str> =
        causes.as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        ["spec.request", "spec.usages[0]", "spec.signerName", "spec.expirationSeconds"]
    );
    assert_eq!(
        causes[0]["message"],
        "Invalid value: \"bm9uZQ==\": PEM block type must be CERTIFICATE REQUEST"
    );
}
