//! Many watchers of the same writes, who want them in different forms: what is made for one is shared with those alone who want the same.

use crate::common::{client, post, send, server};
use expect_test::expect;
use http_body_util::BodyExt as _;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;

const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Everything until the object is gone.
async fn watched(client: &Client, query: &str, accept: &str) -> JoinHandle<Vec<u8>> {
    let path = format!("{PODS}?watch=1&{query}");
    let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    let mut body = response.into_body();
    tokio::spawn(async move {
        let mut all = Vec::new();
        while !all.windows(7).any(|seven| seven == b"DELETED") || !ended(&all) {
            let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await;
            all.extend(frame.unwrap().unwrap().unwrap().into_data().unwrap());
        }
        all
    })
}

/// Whether there is no part of an event at the end.
fn ended(all: &[u8]) -> bool {
    if all.first() == Some(&b'{') {
        return all.ends_with(b"\n");
    }
    let mut rest = all;
    while let Some(length) = rest.first_chunk() {
        match rest.get(4 + u32::from_be_bytes(*length) as usize..) {
            Some(more) => rest = more,
            None => return false,
        }
    }
    rest.is_empty()
}

/// A line for each event: its type, what it carries, the `app` label that the object has in it, and the row's object.
fn summary(all: &[u8]) -> String {
    if all.first() != Some(&b'{') {
        let has = |word: &[u8]| all.windows(word.len()).filter(|part| *part == word).count();
        return format!(
            "frames: {} ADDED, {} MODIFIED, {} DELETED; {} envelopes, {} of Pod, {} of PartialObjectMetadata\n",
            has(b"ADDED"),
            has(b"MODIFIED"),
            has(b"DELETED"),
            has(b"k8s\0"),
            has(b"\x12\x03Pod"),
            has(b"\x12\x15PartialObjectMetadata"),
        );
    }
    let line = |line: &[u8]| {
        let event: Value = serde_json::from_slice(line).unwrap();
        let object = &event["object"];
        let row = &object["rows"][0];
        let inner = if row.is_null() { object } else { &row["object"] };
        let row = if row.is_null() {
            String::new()
        } else {
            format!(" of {} {}", row["cells"][0], row["object"]["kind"])
        };
        format!(
            "{} {}{row} app={} {}\n",
            event["type"].as_str().unwrap(),
            object["kind"].as_str().unwrap(),
            inner["metadata"]["labels"]["app"],
            if inner["spec"].is_null() { "" } else { "whole" }
        )
    };
    all.split(|byte| *byte == b'\n').filter(|part| !part.is_empty()).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_watchers_gets_every_event_in_its_own_form() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let wants = [
        ("", JSON),
        ("labelSelector=app%3Da", JSON),
        ("fieldSelector=spec.schedulerName%3Dnobody", JSON),
        ("labelSelector=app%3Db", JSON),
        ("", TABLE),
        ("includeObject=Object", TABLE),
        ("includeObject=None", TABLE),
        ("labelSelector=app%3Da", TABLE),
        ("", PARTIAL),
        ("", PROTOBUF),
        ("labelSelector=app%3Da", PROTOBUF),
    ];
    let revision = server.store().revision();
    let mut watchers = Vec::new();
    for (query, accept) in wants {
        for _ in 0..3 {
            let query = format!("{query}&resourceVersion={revision}");
            watchers.push(watched(&client, &query, accept).await);
        }
    }
    // So large that the bytes as they are stored are shared, too.
    let pod = json!({
        "metadata": {"name": "p", "labels": {"app": "a"}, "annotations": {"note": "x".repeat(9000)}},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]},
    });
    assert_eq!(post(&client, PODS, &pod).await.code, 201);
    let patch = json!({"metadata": {"labels": {"app": "b"}}}).to_string();
    let patched =
        send(&client, "PATCH", &format!("{PODS}/p"), "application/merge-patch+json", patch).await;
    assert_eq!(patched.code, 200);
    assert_eq!(send(&client, "DELETE", &format!("{PODS}/p"), "", Vec::new()).await.code, 200);
    let mut told = String::new();
    for ((query, accept), group) in wants.iter().zip(watchers.chunks_mut(3)) {
        let mut all = Vec::new();
        for watcher in group {
            all.push(watcher.await.unwrap());
        }
        assert_eq!(all[0], all[1], "{query} {accept}");
        assert_eq!(all[0], all[2], "{query} {accept}");
        told += &format!("== {query} {accept}\n{}", summary(&all[0]));
    }
    expect![[r#"
        ==  application/json
        ADDED Pod app="a" whole
        MODIFIED Pod app="b" whole
        DELETED Pod app="b" whole
        == labelSelector=app%3Da application/json
        ADDED Pod app="a" whole
        DELETED Pod app="a" whole
        == fieldSelector=spec.schedulerName%3Dnobody application/json
        ADDED Pod app="a" whole
        MODIFIED Pod app="b" whole
        DELETED Pod app="b" whole
        == labelSelector=app%3Db application/json
        ADDED Pod app="b" whole
        DELETED Pod app="b" whole
        ==  application/json;as=Table;v=v1;g=meta.k8s.io
        ADDED Table of "p" "PartialObjectMetadata" app="a" 
        MODIFIED Table of "p" "PartialObjectMetadata" app="b" 
        DELETED Table of "p" "PartialObjectMetadata" app="b" 
        == includeObject=Object application/json;as=Table;v=v1;g=meta.k8s.io
        ADDED Table of "p" "Pod" app="a" whole
        MODIFIED Table of "p" "Pod" app="b" whole
        DELETED Table of "p" "Pod" app="b" whole
        == includeObject=None application/json;as=Table;v=v1;g=meta.k8s.io
        ADDED Table of "p" null app=null 
        MODIFIED Table of "p" null app=null 
        DELETED Table of "p" null app=null 
        == labelSelector=app%3Da application/json;as=Table;v=v1;g=meta.k8s.io
        ADDED Table of "p" "PartialObjectMetadata" app="a" 
        DELETED Table of "p" "PartialObjectMetadata" app="a" 
        ==  application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io
        ADDED PartialObjectMetadata app="a" 
        MODIFIED PartialObjectMetadata app="b" 
        DELETED PartialObjectMetadata app="b" 
        ==  application/vnd.kubernetes.protobuf
        frames: 1 ADDED, 1 MODIFIED, 1 DELETED; 3 envelopes, 3 of Pod, 0 of PartialObjectMetadata
        == labelSelector=app%3Da application/vnd.kubernetes.protobuf
        frames: 1 ADDED, 0 MODIFIED, 1 DELETED; 2 envelopes, 2 of Pod, 0 of PartialObjectMetadata
    "#]]
    .assert_eq(&told);
}
