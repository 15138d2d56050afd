//! kube-rs, as controllers use it: typed objects, pages, watches, reflectors, forms; over HTTP/1.1 and HTTP/2.

use crate::common::{CONFIG_MAPS, answer, client, get, post, send, server};
use futures::{StreamExt as _, TryStreamExt as _};
use hyper::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::client::Body;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use std::time::Duration;

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(
        json!({"metadata": {"name": name, "labels": {"v": value}}, "data": {"v": value}}),
    )
    .unwrap()
}

#[tokio::test]
async fn objects_go_there_and_back() {
    let server = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server.kubeconfig()).await);
    let made = api.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(
        made.uid().is_some()
            && made.resource_version().is_some()
            && made.creation_timestamp().is_some()
    );
    let patch = json!({"data": {"w": "2"}});
    let patched = api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(patched.data.unwrap().into_values().collect::<Vec<_>>(), ["1", "2"]);
    // What changes nothing is no write.
    let again = api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(again.metadata.resource_version, patched.metadata.resource_version);
    let generated: ConfigMap =
        serde_json::from_value(json!({"metadata": {"generateName": "g-"}})).unwrap();
    let name = api.create(&PostParams::default(), &generated).await.unwrap().name_any();
    assert!(name.len() == 7 && name.starts_with("g-"), "{name}");
    assert!(api.delete("a", &DeleteParams::default()).await.unwrap().right().unwrap().is_success());
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn dry_runs_leave_nothing_behind() {
    let server = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server.kubeconfig()).await);
    let before = server.store().revision();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    assert!(api.create(&params, &config_map("a", "1")).await.unwrap().uid().is_some());
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert_eq!(server.store().revision(), before);
}

/// Forgets the history of ConfigMaps. The server's own watches sleep, and have to move on first.
async fn forget(server: &moat_apiserver::Running) {
    let (store, config_maps) = (server.store(), moat_store::Resource::new("configmaps").unwrap());
    let now = store.revision();
    let forgotten = async {
        while store.oldest(&config_maps) < now {
            store.compact(now);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), forgotten).await.unwrap();
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    for n in 0..7 {
        api.create(&PostParams::default(), &config_map(&format!("a{n}"), "1")).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(3)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (3, Some(4)));
    api.delete("a5", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &config_map("a9", "1")).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let rest = api.list(&ListParams::default().limit(9).continue_token(&token)).await.unwrap();
    let names: Vec<String> = rest.items.iter().map(kube::ResourceExt::name_any).collect();
    assert_eq!(names, ["a3", "a4", "a5", "a6"]);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    // Once history is forgotten, a token says so, and how to go on all the same.
    forget(&server).await;
    let gone = get(&client, &format!("{CONFIG_MAPS}?limit=9&continue={token}")).await;
    assert_eq!((gone.code, &gone.json()["reason"]), (410, &json!("Expired")));
    let next = gone.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = get(&client, &format!("{CONFIG_MAPS}?limit=9&continue={next}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 4);
}

/// Lines of a watch that ends by itself.
async fn watched(client: &Client, query: &str) -> Vec<Value> {
    let text = get(client, &format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1&{query}")).await.text;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn summary(events: &[Value]) -> Vec<String> {
    let word = |event: &Value| {
        let metadata = &event["object"]["metadata"];
        format!("{} {}", event["type"].as_str().unwrap(), metadata["name"].as_str().unwrap_or("-"))
    };
    events.iter().map(word).collect()
}

#[tokio::test]
async fn watches_begin_where_they_are_told() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let start = server.store().revision();
    api.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    api.create(&PostParams::default(), &config_map("b", "2")).await.unwrap();
    let label = |v: &str| Patch::Merge(json!({"metadata": {"labels": {"v": v}}}));
    api.patch("a", &PatchParams::default(), &label("2")).await.unwrap();
    api.patch("b", &PatchParams::default(), &label("1")).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let at = format!("resourceVersion={start}");
    let all = summary(&watched(&client, &at).await);
    assert_eq!(all, ["ADDED a", "ADDED b", "MODIFIED a", "MODIFIED b", "DELETED a"]);
    // What comes into a selector's view is added, what leaves it is deleted.
    let one = summary(&watched(&client, &format!("{at}&labelSelector=v%3D1")).await);
    assert_eq!(one, ["ADDED a", "DELETED a", "ADDED b"]);
    let named = summary(&watched(&client, &format!("{at}&fieldSelector=metadata.name%3Db")).await);
    assert_eq!(named, ["ADDED b", "MODIFIED b"]);
    for query in ["resourceVersion=0", "x=", ""].map(|query| query.replace("x=", "")) {
        assert_eq!(summary(&watched(&client, &query).await), ["ADDED b"], "{query}");
    }
    let initial =
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let events = watched(&client, initial).await;
    assert_eq!(summary(&events), ["ADDED b", "BOOKMARK -"]);
    let metadata = &events[1]["object"]["metadata"];
    assert_eq!(metadata["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(metadata["resourceVersion"], server.store().revision().to_string());
    forget(&server).await;
    let old = watched(&client, &at).await;
    assert_eq!(
        (&old[0]["type"], &old[0]["object"]["code"], &old[0]["object"]["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    let future = get(&client, &format!("{CONFIG_MAPS}?watch=1&resourceVersion=99999")).await;
    assert_eq!(future.code, 504);
}

#[tokio::test]
async fn bookmarks_come_to_those_who_ask() {
    let options = moat_apiserver::Options {
        bookmark_interval: Duration::from_millis(50),
        ..Default::default()
    };
    let server = moat_apiserver::Server::start(options).await.unwrap();
    let api: Api<Pod> = Api::all(client(&server.kubeconfig()).await);
    let params = WatchParams::default().timeout(5);
    let revision = server.store().revision().to_string();
    let mut events = api.watch(&params, &revision).await.unwrap().boxed();
    let first = events.try_next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Bookmark(_)), "{first:?}");
    let silent = WatchParams { bookmarks: false, ..params };
    let mut events = api.watch(&silent, &revision).await.unwrap().boxed();
    assert!(tokio::time::timeout(Duration::from_millis(300), events.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reflector_ends_with_what_the_store_has() {
    for streaming in [false, true] {
        let server = server().await;
        let api: Api<ConfigMap> = Api::all(client(&server.kubeconfig()).await);
        let own: Api<ConfigMap> = Api::default_namespaced(api.clone().into_client());
        own.create(&PostParams::default(), &config_map("before", "1")).await.unwrap();
        let config = if streaming {
            watcher::Config::default().streaming_lists()
        } else {
            watcher::Config::default()
        };
        let (reader, writer) = reflector::store();
        let stream = reflector(writer, watcher(api, config))
            .applied_objects()
            .for_each(|_| std::future::ready(()));
        let task = tokio::spawn(stream);
        reader.wait_until_ready().await.unwrap();
        assert_eq!(reader.state().len(), 1, "streaming: {streaming}");
        for n in 0..50 {
            own.create(&PostParams::default(), &config_map(&format!("a{n}"), "1")).await.unwrap();
        }
        for n in 0..25 {
            own.delete(&format!("a{n}"), &DeleteParams::default()).await.unwrap();
        }
        let began = std::time::Instant::now();
        while reader.state().len() != 26 && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(reader.state().len(), 26, "streaming: {streaming}");
        task.abort();
    }
}

#[tokio::test]
async fn parts_of_objects_are_written_apart() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let body = json!({
        "metadata": {"name": "web"}, "status": {"replicas": 9},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}},
    });
    let made =
        api.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap();
    assert_eq!((made.metadata.generation, made.status.unwrap().replicas), (Some(1), None));
    let status = json!({"status": {"replicas": 1}, "spec": {"replicas": 5}});
    let changed =
        api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!((changed.spec.replicas, changed.status.unwrap().replicas), (Some(1), Some(1)));
    assert_eq!(changed.metadata.generation, Some(1));
    let scale = api
        .patch_scale(
            "web",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": 3}})),
        )
        .await
        .unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(3));
    let scale = get(&client, "/apis/apps/v1/namespaces/default/deployments/web/scale").await.json();
    assert_eq!(
        (&scale["kind"], &scale["status"]),
        (&json!("Scale"), &json!({"replicas": 1, "selector": "a=b"}))
    );
    let main = json!({"status": {"replicas": 7}, "spec": {"replicas": 4}});
    let changed = api.patch("web", &PatchParams::default(), &Patch::Merge(&main)).await.unwrap();
    assert_eq!((changed.status.unwrap().replicas, changed.metadata.generation), (Some(1), Some(3)));
}

#[tokio::test]
async fn what_is_held_is_marked_and_goes_when_it_is_let_go() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let mut held = config_map("a", "1");
    held.metadata.finalizers = Some(vec!["x.io/hold".to_owned()]);
    api.create(&PostParams::default(), &held).await.unwrap();
    let marked = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    let more = json!({"metadata": {"finalizers": ["x.io/hold", "x.io/more"]}}).to_string();
    let refused =
        send(&client, "PATCH", &format!("{CONFIG_MAPS}/a"), "application/merge-patch+json", more)
            .await;
    assert_eq!(refused.code, 422);
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("a", &PatchParams::default(), &free).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
    let spaces: Api<Namespace> = Api::all(client.clone());
    let made: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    spaces.create(&PostParams::default(), &made).await.unwrap();
    spaces.delete("n", &DeleteParams::default()).await.unwrap();
    let mut ending = get(&client, "/api/v1/namespaces/n").await.json();
    assert_eq!(ending["status"]["phase"], "Terminating");
    ending["spec"]["finalizers"] = json!([]);
    let done = send(
        &client,
        "PUT",
        "/api/v1/namespaces/n/finalize",
        "application/json",
        ending.to_string(),
    )
    .await;
    assert_eq!(done.code, 200);
    assert_eq!(get(&client, "/api/v1/namespaces/n").await.code, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_never_share_an_address() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let path = "/api/v1/namespaces/default/services";
    let body = |n: usize| json!({"metadata": {"name": format!("s{n}")}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let made = futures::future::join_all((0..40).map(|n| {
        let client = client.clone();
        async move { post(&client, path, &body(n)).await.json() }
    }))
    .await;
    let distinct = |pointer: &str| {
        let all: std::collections::BTreeSet<String> =
            made.iter().map(|one| one.pointer(pointer).unwrap().to_string()).collect();
        all.len()
    };
    assert_eq!((distinct("/spec/clusterIP"), distinct("/spec/ports/0/nodePort")), (40, 40));
    let mut taken = body(99);
    taken["spec"]["clusterIP"] = made[0]["spec"]["clusterIP"].clone();
    assert_eq!(post(&client, path, &taken).await.code, 422);
    taken["spec"]["clusterIP"] = json!("10.97.0.1");
    assert_eq!(post(&client, path, &taken).await.code, 422);
}

#[tokio::test]
async fn forms_are_what_accept_asks_for() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let ask = |path: &str, accept: &str| {
        let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
        let client = client.clone();
        async move { answer(&client, request).await }
    };
    let table = ask("/api/v1/namespaces?limit=2", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .await
        .json();
    assert_eq!(
        (&table["kind"], &table["metadata"]["remainingItemCount"]),
        (&json!("Table"), &json!(2))
    );
    assert_eq!(table["rows"][0]["cells"][0], "default");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let partial = ask(
        "/api/v1/namespaces",
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    )
    .await
    .json();
    assert_eq!(
        (&partial["kind"], partial["items"][0].get("spec")),
        (&json!("PartialObjectMetadataList"), None)
    );
    let none = ask("/api/v1/namespaces", "text/html").await;
    assert_eq!(none.code, 406);
    let discovery =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let apis = ask("/apis", discovery).await;
    assert_eq!(
        apis.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    assert_eq!(apis.headers["cache-control"], "no-cache, private");
    assert_eq!(ask("/apis", "application/json").await.json()["kind"], "APIGroupList");
    assert!(get(&client, "/openapi/v3").await.json()["paths"]["apis/apps/v1"].is_object());
}
