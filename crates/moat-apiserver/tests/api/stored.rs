//! What becomes of objects: the same that a kube-apiserver made of them, field by field.
//!
//! `data/stored.jsonl` holds objects of every kind and what kube-apiserver 1.36 answered when they were created (without its controllers, with
//! the plug-ins NodeRestriction and the default ones); identifiers, times, addresses and the like are words there. `data/stored.differs.txt`
//! is what this server does otherwise.

use crate::common::{client, send, server};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::fmt::Write as _;

#[tokio::test]
async fn objects_become_what_upstream_makes_of_them() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let namespace = json!({ "metadata": { "name": "shop" } }).to_string();
    let made = send(&client, "POST", "/api/v1/namespaces", "application/json", namespace).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let (mut same, mut told) = (0, String::new());
    for line in include_str!("data/stored.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (path, object) = (case["path"].as_str().unwrap(), &case["object"]);
        let answer = send(&client, "POST", path, "application/json", object.to_string()).await;
        let mut differences = Vec::new();
        if answer.code == 201 {
            let name = answer.json()["metadata"]["name"].as_str().unwrap().to_owned();
            // The same object comes again in another version.
            let now = json!({ "gracePeriodSeconds": 0, "propagationPolicy": "Background" });
            let at = format!("{path}/{name}");
            send(&client, "DELETE", &at, "application/json", now.to_string()).await;
            compare(&plain(&case["stored"]), &plain(&answer.json()), "", &mut differences);
        } else {
            differences.push(format!("{} {}", answer.code, answer.json()["message"]));
        }
        if differences.is_empty() {
            same += 1;
            continue;
        }
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let version = object["apiVersion"].as_str().unwrap();
        let (kind, name) = (kind.as_str().unwrap(), name.as_str().unwrap());
        writeln!(told, "\n{version} {kind} {name}").unwrap();
        for difference in differences {
            writeln!(told, "  {difference}").unwrap();
        }
    }
    expect_file!["data/stored.differs.txt"].assert_eq(&format!("{same} are the same\n{told}"));
}

/// Words for what is another thing each time.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let field = |(key, inner): (&String, &Value)| {
                let word = match key.as_str() {
                    "resourceVersion" => Some("REVISION"),
                    "manager" => Some("WRITER"),
                    _ => None,
                };
                (key.clone(), word.map_or_else(|| plain(inner), Value::from))
            };
            map.iter().map(field).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::String(text) => word(text).into(),
        Value::Number(number) if matches!(number.as_i64(), Some(30000..=32767)) => {
            "NODEPORT".into()
        }
        other => other.clone(),
    }
}

fn word(text: &str) -> &str {
    let shape: String = text.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    let is_time =
        text.starts_with("20") && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    match shape.as_str() {
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" => "UID",
        _ if is_time => "TIME",
        _ if text.starts_with("10.96.") => "ADDRESS",
        _ if text.starts_with("kube-api-access-") => "kube-api-access-RANDOM",
        _ if text.starts_with("X509SHA256=") => "X509SHA256=HASH",
        _ => text,
    }
}

/// Differences as lines, by path.
fn compare(theirs: &Value, ours: &Value, path: &str, told: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, theirs) in a {
                let path = format!("{path}.{key}");
                match b.get(key) {
                    Some(ours) => compare(theirs, ours, &path, told),
                    None => told.push(format!("lacks {path} = {theirs}")),
                }
            }
            for (key, ours) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                told.push(format!("has {path}.{key} = {ours}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (theirs, ours)) in a.iter().zip(b).enumerate() {
                compare(theirs, ours, &format!("{path}[{at}]"), told);
            }
        }
        (theirs, ours) if theirs == ours => {}
        (theirs, ours) => told.push(format!("{path} is {ours}, not {theirs}")),
    }
}
