//! Pods are bound to nodes once, by whoever may create their `binding`.

use moat_apiserver::{Client, Gvr, Options, Running, Server, User};
use serde_json::{Value, json};

static PODS: Gvr = Gvr::new("", "v1", "pods");

async fn started() -> (Running, Client) {
    let server = Server::start(Options::default()).await.unwrap();
    let client = server.client(User::authenticated("me", ["system:masters".to_owned()]));
    (server, client)
}

async fn make(client: &Client, name: &str, gates: Value) {
    let spec = json!({"containers": [{"name": "c", "image": "i"}], "schedulingGates": gates});
    let pod = json!({"metadata": {"name": name}, "spec": spec});
    client.create(PODS.at("default", ""), pod).await.unwrap();
}

fn binding(name: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}})
}

async fn bind(client: &Client, name: &str, body: Value) -> Result<Value, (u16, String)> {
    let at = PODS.at("default", name).part("binding");
    client.create(at, body).await.map_err(|status| (status.code, status.message))
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let (server, client) = started().await;
    make(&client, "a", json!([])).await;
    let mut first = binding("a", "n1");
    first["metadata"]["annotations"] = json!({"by": "me"});
    assert_eq!(
        bind(&client, "a", first).await.unwrap(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
    );
    let pod = client.get(PODS.at("default", "a")).await.unwrap();
    assert_eq!(pod["spec"]["nodeName"], "n1");
    assert_eq!(pod["metadata"]["annotations"]["by"], "me");
    let scheduled = &pod["status"]["conditions"][0];
    assert_eq!(
        (&scheduled["type"], &scheduled["status"]),
        (&json!("PodScheduled"), &json!("True"))
    );
    let again = "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n1\"";
    assert_eq!(bind(&client, "a", binding("a", "n2")).await, Err((409, again.to_owned())));
    server.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_bound_is_refused_with_a_reason() {
    let (server, client) = started().await;
    make(&client, "a", json!([{"name": "x.io/y"}])).await;
    make(&client, "b", json!([])).await;
    let mut stale = binding("b", "n");
    stale["metadata"]["uid"] = "other".into();
    let mut pods = binding("b", "n");
    pods["target"]["kind"] = "Pod".into();
    let cases = [
        ("a", binding("a", "n"), 409, "pod a has non-empty .spec.schedulingGates"),
        ("none", binding("none", "n"), 404, "pods \"none\" not found"),
        ("b", binding("a", "n"), 400, "name in URL does not match name in Binding object"),
        ("b", stale, 409, "Precondition failed: UID in precondition: other, UID in object meta: "),
        ("b", pods, 422, "target.kind: Unsupported value: \"Pod\""),
        ("b", binding("b", ""), 422, "target.name: Required value"),
        ("b", json!({"kind": "Pod", "metadata": {"name": "b"}}), 400, "not a Binding object"),
    ];
    for (name, body, code, message) in cases {
        let (got, text) = bind(&client, name, body).await.unwrap_err();
        assert!(got == code && text.contains(message), "{got} {text}");
    }
    let pod = client.get(PODS.at("default", "b")).await.unwrap();
    assert_eq!(pod["spec"]["nodeName"], Value::Null);
    server.shutdown().await;
}
