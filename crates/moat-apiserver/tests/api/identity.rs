//! Who somebody is: certificates, tokens of ServiceAccounts, bootstrap tokens, the administrator's token, impersonation.

use crate::common::{answer, bearer, client, get, post, send, server};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use expect_test::{Expect, expect};
use hyper::Request;
use kube::Client;
use kube::client::Body;
use kube::config::AuthInfo;
use moat_apiserver::{Keys, Options, Running, Server};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::path::PathBuf;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A directory for keys that goes when the test ends.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("moat-identity-{}-{name}", std::process::id())))
    }

    async fn serve(&self) -> Running {
        let keys = Some(Keys::open(&self.0).unwrap());
        Server::start(Options { keys, ..Options::default() }).await.unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// A token as only who has the cluster's key can make it.
    fn sign(&self, claims: &Value) -> String {
        let key = rcgen::KeyPair::from_pem(&self.read("sa.key")).unwrap();
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.serialize_der(),
            &random,
        );
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
        let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = pair.unwrap().sign(&random, text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What cannot be the same twice gets a name.
fn settle(text: &str, unsettled: &[(&str, &str)]) -> String {
    unsettled.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

async fn account(admin: &Client, name: &str) -> String {
    let made = post(admin, ACCOUNTS, &json!({"metadata": {"name": name}})).await;
    assert_eq!(made.code, 201, "{}", made.text);
    made.json()["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn token(admin: &Client, name: &str, spec: Value) -> Value {
    post(admin, &format!("{ACCOUNTS}/{name}/token"), &json!({"spec": spec})).await.json()
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn who(client: &Client) -> Value {
    let answer = post(client, WHO, &json!({})).await;
    if answer.code == 201 {
        answer.json()["status"]["userInfo"].clone()
    } else {
        json!(answer.code)
    }
}

#[tokio::test]
async fn an_account_is_who_its_token_says() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let uid = account(&admin, "web").await;
    let made = token(&admin, "web", json!({"expirationSeconds": 1200})).await;
    assert_eq!(
        (&made["kind"], &made["spec"]["audiences"]),
        (&json!("TokenRequest"), &json!([ISSUER]))
    );
    let text = made["status"]["token"].as_str().unwrap();
    let own = claims(text);
    assert_eq!(own["exp"].as_i64().unwrap() - own["iat"].as_i64().unwrap(), 1200);
    let until: jiff::Timestamp =
        made["status"]["expirationTimestamp"].as_str().unwrap().parse().unwrap();
    assert!((until.as_second() - own["exp"].as_i64().unwrap()).abs() <= 1);
    let known = [(uid.as_str(), "UID"), (own["jti"].as_str().unwrap(), "JTI")];
    let bare: Vec<String> =
        ["exp", "iat", "nbf"].iter().map(|field| own[*field].to_string()).collect();
    let mut shown = settle(&own.to_string(), &known);
    for number in &bare {
        shown = shown.replace(number.as_str(), "TIME");
    }
    expect![[r#"{"aud":["https://kubernetes.default.svc.cluster.local"],"exp":TIME,"iat":TIME,"iss":"https://kubernetes.default.svc.cluster.local","jti":"JTI","kubernetes.io":{"namespace":"default","serviceaccount":{"name":"web","uid":"UID"}},"nbf":TIME,"sub":"system:serviceaccount:default:web"}"#]].assert_eq(&shown);
    let web = bearer(&server, Some(text)).await;
    expect![[r#"{"username":"system:serviceaccount:default:web","uid":"UID","groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=JTI"]}}"#]]
        .assert_eq(&settle(&who(&web).await.to_string(), &known));
}

#[tokio::test]
async fn a_token_is_void_when_its_account_goes() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    account(&admin, "web").await;
    let made = token(&admin, "web", json!({})).await;
    let text = made["status"]["token"].as_str().unwrap();
    let web = bearer(&server, Some(text)).await;
    assert_eq!(who(&web).await["username"], "system:serviceaccount:default:web");
    assert_eq!(send(&admin, "DELETE", &format!("{ACCOUNTS}/web"), "", "").await.code, 200);
    assert_eq!(who(&web).await, 401);
    // One of the same name is another account.
    account(&admin, "web").await;
    assert_eq!(who(&web).await, 401);
}

#[tokio::test]
async fn a_token_is_void_when_its_pod_goes() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    account(&admin, "web").await;
    account(&admin, "other").await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "web", "nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}});
    let made = post(&admin, pods, &pod).await.json();
    let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}});
    let text = token(&admin, "web", bound.clone()).await["status"]["token"].clone();
    let web = bearer(&server, text.as_str()).await;
    let extra = who(&web).await["extra"].clone();
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert_eq!(extra["authentication.kubernetes.io/pod-uid"], json!([made["metadata"]["uid"]]));
    assert_eq!(extra["authentication.kubernetes.io/node-name"], json!(["n1"]));
    assert_eq!(
        token(&admin, "other", bound).await["message"],
        "cannot bind token for serviceaccount \"other\" to pod running with different serviceaccount name."
    );
    let gone = send(&admin, "DELETE", &format!("{pods}/p?gracePeriodSeconds=0"), "", "").await;
    assert_eq!(gone.code, 200, "{}", gone.text);
    assert_eq!(who(&web).await, 401);
    post(&admin, pods, &pod).await;
    assert_eq!(who(&web).await, 401);
}

#[tokio::test]
async fn requests_for_tokens_are_checked() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let uid = account(&admin, "web").await;
    let check = async |spec: Value, want: Expect| {
        let answer = token(&admin, "web", spec).await;
        want.assert_eq(&settle(answer["message"].as_str().unwrap(), &[(uid.as_str(), "UID")]));
    };
    check(json!({"expirationSeconds": 599}), expect![[r#"TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"#]]).await;
    check(json!({"expirationSeconds": 4_294_967_297_i64}), expect![[r#"TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"#]]).await;
    check(
        json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}),
        expect![[r#"pods "p" not found"#]],
    )
    .await;
    check(
        json!({"boundObjectRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "p"}}),
        expect!["cannot bind token to object of type apps/v1, Kind=Deployment"],
    )
    .await;
    let path = format!("{ACCOUNTS}/web/token");
    let other = post(&admin, &path, &json!({"metadata": {"name": "x"}})).await.json();
    expect![[r#"TokenRequest.authentication.k8s.io "web" is invalid: metadata.name: Invalid value: "x": must match the service account name if specified"#]].assert_eq(other["message"].as_str().unwrap());
    let other = post(&admin, &path, &json!({"metadata": {"uid": "x"}})).await.json();
    expect![[r#"Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "web": the UID in the token request (x) does not match the UID of the service account (UID)"#]].assert_eq(&settle(other["message"].as_str().unwrap(), &[(uid.as_str(), "UID")]));
    assert_eq!(post(&admin, &format!("{ACCOUNTS}/none/token"), &json!({})).await.code, 404);
}

#[tokio::test]
async fn tokens_are_reviewed_with_the_reason_of_a_refusal() {
    let dir = Dir::new("review");
    let server = dir.serve().await;
    let admin = client(&server.kubeconfig()).await;
    let uid = account(&admin, "web").await;
    let now = jiff::Timestamp::now().as_second();
    let good = json!({
        "iss": ISSUER, "sub": "system:serviceaccount:default:web", "aud": [ISSUER], "exp": now + 600, "iat": now, "nbf": now,
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "web", "uid": uid}},
    });
    let with = |pointer: &str, value: Value| {
        let mut claims = good.clone();
        *claims.pointer_mut(pointer).unwrap() = value;
        dir.sign(&claims)
    };
    let mut lines = String::new();
    let foreign = {
        let other = crate::common::server().await;
        let admin = client(&other.kubeconfig()).await;
        account(&admin, "web").await;
        token(&admin, "web", json!({})).await["status"]["token"].as_str().unwrap().to_owned()
    };
    let mut secret = good.clone();
    secret["kubernetes.io"]["secret"] = json!({"name": "s", "uid": "1"});
    for (what, token) in [
        ("good", dir.sign(&good)),
        ("expired", with("/exp", json!(now - 61))),
        ("without an end", with("/exp", Value::Null)),
        ("not yet", with("/nbf", json!(now + 120))),
        ("from the future", with("/iat", json!(now + 120))),
        ("another issuer", with("/iss", json!("https://example.com"))),
        ("another audience", with("/aud", json!(["vault"]))),
        ("another account", with("/sub", json!("system:serviceaccount:kube-system:root"))),
        ("no such account", with("/kubernetes.io/namespace", json!("kube-system"))),
        ("another uid", with("/kubernetes.io/serviceaccount/uid", json!("1"))),
        ("a Secret that is gone", dir.sign(&secret)),
        ("another cluster's", foreign),
        ("no token", "nonsense".to_owned()),
    ] {
        let answer = post(&admin, REVIEWS, &json!({"spec": {"token": token}})).await.json();
        let status = &answer["status"];
        let shown = if status["authenticated"] == true {
            status["user"]["username"].to_string()
        } else {
            status["error"].as_str().unwrap().to_owned()
        };
        // What a review says is what happens.
        let code = get(&bearer(&server, Some(&token)).await, "/api").await.code;
        assert_eq!(code == 401, status["authenticated"] != true, "{what}: {code}");
        lines += &format!("{what}: {}\n", settle(&shown, &[(uid.as_str(), "UID")]));
    }
    expect![[r#"
        good: "system:serviceaccount:default:web"
        expired: [invalid bearer token, service account token has expired]
        without an end: [invalid bearer token, service account token has expired]
        not yet: [invalid bearer token, service account token is not valid yet]
        from the future: [invalid bearer token, service account token is issued in the future]
        another issuer: [invalid bearer token, issuer is not known]
        another audience: [invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["https://kubernetes.default.svc.cluster.local"]]
        another account: [invalid bearer token, service account token claims could not be validated]
        no such account: [invalid bearer token, service account token claims could not be validated]
        another uid: [invalid bearer token, service account UID (UID) does not match claim (1)]
        a Secret that is gone: [invalid bearer token, service account token has been invalidated]
        another cluster's: invalid bearer token
        no token: invalid bearer token
    "#]]
    .assert_eq(&lines);
    let vault = with("/aud", json!(["vault"]));
    let spec = json!({"spec": {"token": vault, "audiences": ["vault", "other"]}});
    assert_eq!(post(&admin, REVIEWS, &spec).await.json()["status"]["audiences"], json!(["vault"]));
    assert_eq!(post(&admin, REVIEWS, &json!({"spec": {}})).await.code, 400);
}

#[tokio::test]
async fn keys_outlive_the_server() {
    let dir = Dir::new("outlive");
    let first = dir.serve().await;
    let admin = client(&first.kubeconfig()).await;
    account(&admin, "web").await;
    let text = token(&admin, "web", json!({})).await["status"]["token"].clone();
    let (ca, store) = (first.ca(), first.store().clone());
    let own = crate::common::config(&first.kubeconfig()).await;
    first.shutdown().await;
    let keys = Some(Keys::open(&dir.0).unwrap());
    let options = Options { keys, store: Some(store), ..Options::default() };
    let second = Server::start(options).await.unwrap();
    assert_eq!(second.ca(), ca);
    let web = bearer(&second, text.as_str()).await;
    assert_eq!(who(&web).await["username"], "system:serviceaccount:default:web");
    // The administrator's old kubeconfig works, but for the port.
    let mut old = crate::common::config(&second.kubeconfig()).await;
    old.auth_info = own.auth_info;
    assert_eq!(get(&Client::try_from(old).unwrap(), "/api/v1/pods").await.code, 200);
}

#[tokio::test]
async fn certificates_that_have_ended_are_refused() {
    let dir = Dir::new("ended");
    let server = dir.serve().await;
    let key = rcgen::KeyPair::from_pem(&dir.read("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&dir.read("ca.crt"), key).unwrap();
    let with = async |from: i32, to: i32, usage: rcgen::ExtendedKeyUsagePurpose| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "root");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:masters");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.extended_key_usages = vec![usage];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut config = crate::common::config(&server.kubeconfig()).await;
        config.auth_info = AuthInfo {
            client_certificate_data: Some(STANDARD.encode(certificate.pem())),
            client_key_data: Some(STANDARD.encode(key.serialize_pem()).into()),
            ..AuthInfo::default()
        };
        let client = Client::try_from(config).unwrap();
        get(&client, "/api/v1/pods").await.code
    };
    assert_eq!(with(2020, 2090, ClientAuth).await, 200);
    assert_eq!(with(2020, 2021, ClientAuth).await, 401);
    assert_eq!(with(2080, 2090, ClientAuth).await, 401);
    assert_eq!(with(2020, 2090, ServerAuth).await, 401);
}

#[tokio::test]
async fn bootstrap_tokens_are_secrets_that_end() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let make = async |id: &str, more: Value| {
        let mut data = json!({
            "token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        });
        for (key, value) in more.as_object().unwrap() {
            data[key] = value.clone();
        }
        let secret = json!({"metadata": {"name": format!("bootstrap-token-{id}")}, "type": "bootstrap.kubernetes.io/token", "stringData": data});
        assert_eq!(post(&admin, secrets, &secret).await.code, 201);
        let token = format!("{id}.0123456789abcdef");
        who(&bearer(&server, Some(&token)).await).await
    };
    let known = make("aaaaaa", json!({"expiration": "2090-01-01T00:00:00Z"})).await;
    assert_eq!(
        known,
        json!({"username": "system:bootstrap:aaaaaa", "groups": ["system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", "system:authenticated"]})
    );
    assert_eq!(make("bbbbbb", json!({"expiration": "2020-01-01T00:00:00Z"})).await, 401);
    assert_eq!(make("cccccc", json!({"expiration": "soon"})).await, 401);
    assert_eq!(make("dddddd", json!({"usage-bootstrap-authentication": "false"})).await, 401);
    assert_eq!(make("eeeeee", json!({"auth-extra-groups": "system:masters"})).await, 401);
    assert_eq!(make("ffffff", json!({"token-secret": "0123456789abcdeg"})).await, 401);
    assert_eq!(make("gggggg", json!({"token-id": "aaaaaa"})).await, 401);
    let gone = send(&admin, "DELETE", &format!("{secrets}/bootstrap-token-aaaaaa"), "", "").await;
    assert_eq!(gone.code, 200);
    assert_eq!(who(&bearer(&server, Some("aaaaaa.0123456789abcdef")).await).await, 401);
}

#[tokio::test]
async fn the_administrator_may_have_a_token() {
    let options = Options { admin_token: Some("s3cret".to_owned()), ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let admin = bearer(&server, Some("s3cret")).await;
    assert_eq!(get(&admin, "/api/v1/pods").await.code, 200);
    for token in [Some("s3cre"), Some("s3crets"), Some(""), None] {
        assert_eq!(get(&bearer(&server, token).await, "/api/v1/pods").await.code, 401, "{token:?}");
    }
    // Without a token there is none, not an empty one.
    let server = crate::common::server().await;
    assert_eq!(get(&bearer(&server, Some(" ")).await, "/api/v1/pods").await.code, 401);
}

#[tokio::test]
async fn masters_act_as_others_and_others_do_not() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let jane = client(&server.kubeconfig_of("jane", None).unwrap()).await;
    let ask = async |client: &Client, headers: &[(&str, &str)]| {
        let mut request = Request::post(WHO).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(client, request.body(Body::from(b"{}".to_vec())).unwrap()).await.json()
    };
    let seen = ask(
        &admin,
        &[
            ("Impersonate-User", "bob"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Extra-Team", "a"),
        ],
    )
    .await;
    assert_eq!(
        seen["status"]["userInfo"],
        json!({"username": "bob", "groups": ["dev", "system:authenticated"], "extra": {"team": ["a"]}})
    );
    let seen = ask(&jane, &[("Impersonate-User", "bob")]).await;
    assert_eq!(
        (&seen["code"], &seen["message"]),
        (
            &json!(403),
            &json!(
                "users \"bob\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
            )
        )
    );
    let seen = ask(&admin, &[("Impersonate-Group", "dev")]).await;
    assert_eq!(
        (&seen["code"], &seen["message"]),
        (&json!(400), &json!("requested [{Group  dev    }] without impersonating a user"))
    );
    // What the other may not do is not done, though the first one may.
    let request = Request::get("/api/v1/pods").header("impersonate-user", "bob");
    let seen = answer(&admin, request.body(Body::empty()).unwrap()).await;
    assert_eq!(seen.code, 403, "{}", seen.text);
}

#[tokio::test]
async fn others_can_verify_tokens_by_the_published_key() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    account(&admin, "web").await;
    let made = token(&admin, "web", json!({"audiences": ["vault"]})).await;
    let (text, signature) = made["status"]["token"].as_str().unwrap().rsplit_once('.').unwrap();
    let keys = get(&admin, "/openid/v1/jwks").await;
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    let key = keys.json()["keys"][0].clone();
    let mut point = vec![4];
    for field in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(key[field].as_str().unwrap()).unwrap());
    }
    let public =
        ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(public.verify(text.as_bytes(), &signature).is_ok());
    let about = get(&admin, "/.well-known/openid-configuration").await.json();
    assert_eq!(
        (&about["issuer"], &about["id_token_signing_alg_values_supported"]),
        (&json!(ISSUER), &json!(["ES256"]))
    );
}
