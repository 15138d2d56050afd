//! What each kind refuses, word for word.

use crate::common::{client, send, server};
use expect_test::expect_file;
use std::fmt::Write as _;

#[tokio::test]
async fn each_kind_refuses_what_upstream_refuses_and_in_its_words() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let mut told = String::new();
    let mut accepted = Vec::new();
    for line in include_str!("data/refused.txt").lines() {
        let Some(request) = line.strip_prefix("POST ") else {
            if line.is_empty() || line.starts_with('#') {
                writeln!(told, "{line}").unwrap();
            }
            continue;
        };
        let (path, body) = request.split_once(' ').unwrap();
        let answer = send(&client, "POST", path, "application/json", body).await;
        let json = answer.json();
        let message = json["message"].as_str().unwrap_or("taken");
        writeln!(told, "{line}\n{} {}", answer.code, message.replace('\n', "\\n")).unwrap();
        if answer.code == 201 {
            accepted.push(line);
            let name = json["metadata"]["name"].as_str().unwrap();
            let at = format!("{path}/{name}");
            assert_eq!(send(&client, "DELETE", &at, "", "").await.code / 100, 2, "{at}");
        }
    }
    expect_file!["data/refused.txt"].assert_eq(&told);
    assert!(accepted.is_empty(), "{accepted:#?}");
}
