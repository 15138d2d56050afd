//! The client in the server's process, held against the same server over TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use moat_apiserver::{
    ChangeKind, Client, DeleteOptions, Gvr, Options, PatchType, Propagation, Running, Selection,
    Server, User,
};
use serde_json::{Value, json};

static CONFIG_MAPS: Gvr = Gvr::new("", "v1", "configmaps");
static PODS: Gvr = Gvr::new("", "v1", "pods");
static DEPLOYMENTS: Gvr = Gvr::new("apps", "v1", "deployments");

async fn started() -> (Running, Client) {
    let server = Server::start(Options::default()).await.unwrap();
    let client = server.client(User::authenticated("me", ["system:masters".to_owned()]));
    (server, client)
}

fn config(name: &str, value: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "v": value } }, "data": { "k": value } })
}

#[tokio::test]
async fn an_object_is_made_changed_and_deleted() {
    let (server, client) = started().await;
    let at = CONFIG_MAPS.at("default", "a");
    let made = client.create(CONFIG_MAPS.at("default", ""), config("a", "1")).await.unwrap();
    assert_eq!(made, client.get(at).await.unwrap());
    assert!(made["metadata"]["uid"].is_string());
    assert_eq!(
        client.create(CONFIG_MAPS.at("default", ""), config("a", "1")).await.unwrap_err().message,
        "configmaps \"a\" already exists"
    );

    let mut stale = made.clone();
    stale["data"]["k"] = "2".into();
    let second = client.update(at, stale.clone()).await.unwrap();
    assert_eq!(second["data"]["k"], "2");
    assert_eq!(client.update(at, stale).await.unwrap_err().reason, "Conflict");

    let patch = json!({ "data": { "k": null, "j": "3" } });
    for kind in [PatchType::Merge, PatchType::Strategic] {
        let third = client.patch(at, kind, &patch).await.unwrap();
        assert_eq!(third["data"], json!({ "j": "3" }));
    }
    let operations = json!([{ "op": "replace", "path": "/data/j", "value": "4" }]);
    let fourth = client.patch(at, PatchType::Json, &operations).await.unwrap();
    assert_eq!(fourth["data"]["j"], "4");

    let other = DeleteOptions { uid: Some("somebody-else".to_owned()), ..DeleteOptions::default() };
    assert_eq!(client.delete(at, &other).await.unwrap_err().reason, "Conflict");
    let gone = client.delete(at, &DeleteOptions::default()).await.unwrap();
    assert_eq!(gone["status"], "Success");
    assert_eq!(client.get(at).await.unwrap_err().code, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn defaults_rules_and_subresources_are_those_of_http() {
    let (server, client) = started().await;
    let pod = json!({
        "metadata": { "generateName": "web-" },
        "spec": { "containers": [{ "name": "c", "image": "nginx" }], "bogus": 1 },
    });
    let made = client.create(PODS.at("default", ""), pod).await.unwrap();
    assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert!(made["spec"].get("bogus").is_none(), "{made}");
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-"));
    let mut ready = made.clone();
    ready["status"] = json!({ "phase": "Running" });
    ready["spec"] = json!({});
    let ready = client.update(PODS.at("default", name).part("status"), ready).await.unwrap();
    assert_eq!(ready["status"]["phase"], "Running");
    assert_eq!(ready["spec"], made["spec"]);

    let wrong = json!({ "metadata": { "name": "A" }, "spec": { "containers": [] } });
    let status = client.create(PODS.at("default", ""), wrong).await.unwrap_err();
    assert_eq!((status.code, status.reason), (422, "Invalid"));
    let status = client.create(PODS.at("nowhere", ""), json!({})).await.unwrap_err();
    assert_eq!((status.code, status.reason), (404, "NotFound"));

    let labels = json!({ "app": "a" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let deployment = json!({ "metadata": { "name": "d" }, "spec": { "selector": { "matchLabels": labels }, "template": template } });
    client.create(DEPLOYMENTS.at("default", ""), deployment).await.unwrap();
    let at = DEPLOYMENTS.at("default", "d");
    let mut scale = client.get(at.part("scale")).await.unwrap();
    scale["spec"]["replicas"] = 7.into();
    client.update(at.part("scale"), scale).await.unwrap();
    assert_eq!(client.get(at).await.unwrap()["spec"]["replicas"], 7);
    let options =
        DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    let marked = client.delete(at, &options).await.unwrap();
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    server.shutdown().await;
}

#[tokio::test]
async fn lists_and_watches_select() {
    let (server, client) = started().await;
    let at = CONFIG_MAPS.at("default", "");
    for (name, value) in [("a", "1"), ("b", "2")] {
        client.create(at, config(name, value)).await.unwrap();
    }
    let selection = Selection { labels: "v=1".to_owned(), fields: String::new() };
    let listed = client.list(CONFIG_MAPS.at("", ""), &selection).unwrap();
    assert_eq!(listed.objects.len(), 1);
    let mut watching = client.watch(at, &selection, listed.revision).unwrap();
    for (name, value) in [("a", "2"), ("b", "1")] {
        let patch = json!({ "metadata": { "labels": { "v": value } } });
        client.patch(CONFIG_MAPS.at("default", name), PatchType::Merge, &patch).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        for change in watching.next().await.unwrap() {
            let value = change.value();
            seen.push((change.kind, value["metadata"]["name"].as_str().unwrap().to_owned()));
            // What left is shown as it was.
            assert_eq!(value["metadata"]["labels"]["v"], "1");
        }
    }
    assert_eq!(seen, [(ChangeKind::Deleted, "a".to_owned()), (ChangeKind::Added, "b".to_owned())]);
    client.delete_all(at, &selection, &DeleteOptions::default()).await.unwrap();
    let left = client.list(at, &Selection::default()).unwrap().objects;
    assert_eq!(left.iter().map(|one| one.path.name()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(client.watch(at, &selection, listed.revision + 1000).unwrap_err().reason, "Timeout");
    let ends = tokio::spawn(async move {
        loop {
            if let Err(status) = watching.next().await {
                return status;
            }
        }
    });
    server.shutdown().await;
    assert_eq!(ends.await.unwrap().code, 503);
}

#[tokio::test]
async fn a_user_may_no_more_than_over_http() {
    let (server, client) = started().await;
    let nobody = client.as_user(User::authenticated("nobody", []));
    let refused = [
        nobody.get(PODS.at("default", "a")).await.unwrap_err(),
        nobody.create(PODS.at("default", ""), json!({})).await.unwrap_err(),
        nobody.list(PODS.at("", ""), &Selection::default()).unwrap_err(),
        nobody.watch(PODS.at("", ""), &Selection::default(), 0).unwrap_err(),
        nobody.delete(PODS.at("default", "a"), &DeleteOptions::default()).await.unwrap_err(),
    ];
    for status in refused {
        assert_eq!((status.code, status.reason), (403, "Forbidden"), "{}", status.message);
    }
    let made_up = Gvr::new("", "v1", "gadgets");
    assert_eq!(client.get(made_up.at("", "a")).await.unwrap_err().code, 404);
    let pods = client.kind("v1", "Pod").unwrap();
    assert!(pods.namespaced && pods.gvr == PODS);
    assert!(client.kind("authorization.k8s.io/v1", "SubjectAccessReview").is_none());
    assert!(client.kinds().iter().any(|kind| kind.kind == "Deployment"));
    server.shutdown().await;
}
