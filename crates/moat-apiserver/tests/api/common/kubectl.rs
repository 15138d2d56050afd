//! The real kubectl against a server of its own.
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test of a program runs it")]

use super::server;
use expect_test::Expect;
use moat_apiserver::Running;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

pub(crate) const WORLD: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: 'nginx:1.25', ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {a: '1'}
";

/// A server, and a kubectl with a home of its own.
pub(crate) struct Kubectl {
    program: String,
    pub(crate) dir: PathBuf,
    _server: Running,
}

impl Kubectl {
    /// A server and a home of its own, or nothing where there is no kubectl.
    pub(crate) async fn new(name: &str) -> Option<Self> {
        Self::with("kubectl", name).await
    }

    /// The same with another kubectl than that on the PATH.
    pub(crate) async fn with(program: &str, name: &str) -> Option<Self> {
        let found = Command::new(program).args(["version", "--client"]).output().await;
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("NOT EXERCISED: no {program} on the PATH, so nothing of `{name}` was tested");
            return None;
        }
        let server = server().await;
        let dir = std::env::temp_dir().join(format!("moat-kubectl-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("kubeconfig"), server.kubeconfig()).unwrap();
        std::fs::write(dir.join("jane"), server.kubeconfig_of("jane", None).unwrap()).unwrap();
        std::fs::write(dir.join("world.yaml"), WORLD).unwrap();
        Some(Self { program: program.to_owned(), dir, _server: server })
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("HOME", &self.dir)
            .env("KUBECONFIG", self.dir.join("kubeconfig"))
            .current_dir(&self.dir);
        command.args(words(line)).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What a command prints, its errors after `!`, with the exit code where it is not 0.
    pub(crate) async fn run(&self, line: &str) -> String {
        let output = tokio::time::timeout(Duration::from_secs(30), self.command(line).output());
        let output =
            output.await.unwrap_or_else(|_| panic!("`kubectl {line}` does not end")).unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        for line in String::from_utf8(output.stderr).unwrap().lines() {
            text += &format!("! {line}\n");
        }
        if !output.status.success() {
            text += &format!("exit {}\n", output.status.code().unwrap());
        }
        settle(&text, &self.dir)
    }

    pub(crate) async fn check(&self, lines: &[&str], want: Expect) {
        let mut text = String::new();
        for line in lines {
            text += &format!("$ kubectl {line}\n{}", self.run(line).await);
        }
        want.assert_eq(&text);
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Words of a line; what is in single quotes is one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Replaces what changes from run to run.
pub(crate) fn settle(text: &str, dir: &Path) -> String {
    let text = text.replace(dir.to_str().unwrap(), "DIR");
    let mut settled = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        for (name, mark) in [
            ("uid: ", "UID"),
            ("creationTimestamp: ", "TIME"),
            ("CreationTimestamp: ", "TIME"),
            ("resourceVersion: ", "RV"),
            ("Created on: ", "TIME"),
        ] {
            if let Some(at) = line.find(name) {
                line.truncate(at + name.len());
                line += mark;
            }
        }
        // What a patch made is shown whole, with its times and its identity.
        if let (Some(at), Some(end)) = (line.find("patch: Invalid value: \""), line.rfind("}\": "))
        {
            line = format!("{}OBJECT{}", &line[..at + 23], &line[end + 1..]);
        }
        let words: Vec<String> = line.split(' ').map(settled_word).collect();
        let line = words.join(" ");
        settled += &if line.starts_with(' ') { line.trim_end().to_owned() } else { narrow(&line) };
        settled.push('\n');
    }
    settled
}

/// Columns three spaces apart: how wide they are follows from what was replaced.
fn narrow(line: &str) -> String {
    let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    cells.collect::<Vec<_>>().join("   ")
}

/// The port of nodes in `80:30080/TCP`, or `30080/TCP`.
fn node_port(word: &str) -> Option<&str> {
    let before = word.split('/').next()?;
    let port = before.rsplit(':').next()?;
    let is_port =
        port.len() == 5 && port.starts_with('3') && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_port && word.contains('/')).then_some(port)
}

fn settled_word(word: &str) -> String {
    let age = word
        .strip_suffix('s')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
    // The five letters of a volume's name are new in every pod.
    if let Some(rest) = word.strip_prefix("kube-api-access-").and_then(|rest| rest.get(5..)) {
        return format!("kube-api-access-NAME{rest}");
    }
    if word.contains('/') && word.split(',').any(|part| node_port(part).is_some()) {
        let part = |part: &str| {
            node_port(part).map_or(part.to_owned(), |port| part.replace(port, "NODEPORT"))
        };
        return word.split(',').map(part).collect::<Vec<_>>().join(",");
    }
    if let Some(at) = word.find("https://127.0.0.1:") {
        return format!("{}https://SERVER", &word[..at]);
    }
    if word.starts_with("eyJ") && word.matches('.').count() == 2 {
        return "TOKEN".to_owned();
    }
    let address = word.starts_with("10.96.") && word != "10.96.0.1";
    if age && word != "300s" {
        "AGE".to_owned()
    } else if address {
        "ADDRESS".to_owned()
    } else if word.starts_with("[X509SHA256=") {
        "[X509SHA256=HASH]".to_owned()
    } else {
        word.to_owned()
    }
}
