//! Commands that send real packets, as a user without privilege runs them.
//!
//! Where the kernel refuses namespaces these tests fail, and the output says what is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::{Dir, demo};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Exit code, standard output, standard error.
fn run(dir: &Dir, args: &[&str]) -> (i32, String, String) {
    let output = common::run(&dir.0, args, "", Some("100"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_demo_sends_packets_and_cuts_a_connection() {
    let dir = Dir::new("packets-demo", &[]);
    let (code, text, errors) = run(&dir, &["demo"]);
    assert_eq!(code, 0, "{errors}");
    // Seven questions in five steps: each allowed one is answered, each denied one is not.
    let rows = |verdict: &str, seen: &str| {
        text.lines().filter(|line| line.contains(&format!(" {verdict}  {seen}"))).count()
    };
    assert_eq!((rows("allowed", "answered"), rows("denied ", "no answer")), (21, 14), "{text}");
    let pulses: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("open connection ")).collect();
    let is = |at: usize, what: &str| pulses.get(at).is_some_and(|line| line.contains(what));
    assert!(is(0, ": answers") && is(1, ": answers"), "{pulses:?}");
    assert!(is(2, ": cut in both directions") && is(3, ": answers again"), "{pulses:?}");
    assert!(is(4, ": cut in both directions"), "{pulses:?}");
    let logged = |verdict: &str| {
        text.lines().any(|line| {
            line.contains(verdict)
                && line.contains("web1/other -> web2/nginx2:80/TCP")
                && line.contains("ingress: isolated by netpol web2/allow-from-web1")
        })
    };
    assert!(logged("DENIED"), "{text}");
}

#[test]
fn verify_agrees_and_records_what_flows_reads() {
    let dir = demo("packets-verify");
    let (code, text, errors) =
        run(&dir, &["verify", "-f", "k8s", "-o", "json", "--record", "flows.jsonl"]);
    assert_eq!(code, 0, "{errors}\n{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["agrees"], true, "{text}");
    assert_eq!(report["schema"], "moat.dev/verify/v1");
    assert!(report["probes"].as_u64().unwrap() > 300, "{text}");
    assert_eq!(report["log"]["lost"], 0, "{text}");
    let (code, denied, errors) =
        run(&dir, &["flows", "flows.jsonl", "--verdict", "denied", "--to", "web2/nginx2:80"]);
    assert_eq!(code, 0, "{errors}");
    assert!(!denied.is_empty() && denied.lines().all(|line| line.contains("DENIED")), "{denied}");
    // Against the same policies nothing changes; without them what was denied passes.
    let (code, same, _) = run(&dir, &["flows", "flows.jsonl", "--replay", "-f", "k8s"]);
    assert_eq!(code, 0, "{same}");
    let (code, open, _) =
        run(&dir, &["flows", "flows.jsonl", "--replay", "-f", "k8s/00-world.yaml"]);
    assert_eq!(code, 1, "{open}");
    assert!(open.contains("NOW ALLOWED"), "{open}");
}

#[test]
fn tests_are_proven_live() {
    let dir = demo("packets-test");
    let tests = "tests:\n- name: only web1 reaches nginx2\n  only: {from: [web1/*], to: web2/nginx2, port: 80}\n";
    std::fs::write(dir.0.join("tests.yaml"), tests).unwrap();
    let (code, text, errors) = run(&dir, &["test", "tests.yaml", "-f", "k8s", "--live"]);
    assert_eq!(code, 0, "{errors}\n{text}");
    assert!(text.contains("live: what the tests ask, as real packets"), "{text}");
    assert!(text.contains("agree\n") && !text.contains("disagree"), "{text}");
}

#[test]
fn nothing_to_verify_is_said() {
    let dir = Dir::new(
        "packets-none",
        &[(
            "np.yaml",
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}}\n",
        )],
    );
    let (code, _, errors) = run(&dir, &["verify", "-f", "np.yaml"]);
    assert_eq!(code, 2);
    assert!(errors.contains("nothing to verify: no pod or workload"), "{errors}");
}

/// A command that runs until it is killed, and the lines that it prints.
struct Running {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Running {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_moat"))
            .args(args)
            .current_dir(dir)
            .env("COLUMNS", "200")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in output {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let input = child.stdin.take().unwrap();
        Self { child, input, lines }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The lines up to one that holds a text; it must come.
    fn until(&self, text: &str) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(60);
        let mut seen = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = line.contains(text);
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(error) => panic!("`{text}` did not come ({error}) after\n{}", seen.join("\n")),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const KEPT: &str = "\
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 5432}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}}
";
/// Comes first by its name, so that it would take the address of another if what was chosen did not stay.
const ANOTHER: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: admin, namespace: shop, labels: {app: ROLE}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 22}]}]}}
";

#[test]
fn a_kept_world_follows_its_files_and_is_watched() {
    let dir = Dir::new("packets-keep", &[]);
    let files = dir.0.join("k8s");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("world.yaml"), KEPT).unwrap();
    let record = ["--record", "flows.jsonl"];
    let args = [&["verify", "-f", "k8s", "--keep", "--timeout", "200"][..], &record].concat();
    let mut world = Running::start(&dir.0, &args);
    world.until("The world stays up");
    let denied =
        ["flows", "flows.jsonl", "--follow", "--verdict", "denied", "--from", "shop/admin"];
    let denied = Running::start(&dir.0, &denied);
    let allowed = ["flows", "flows.jsonl", "--follow", "-o", "jsonl", "--from", "shop/admin"];
    let allowed = Running::start(
        &dir.0,
        &[
            &allowed[..],
            &["--direction", "ingress", "--to", "shop/db:5432", "--verdict", "allowed"],
        ]
        .concat(),
    );

    // A pod comes, which the policy does not let in.
    std::fs::write(files.join("admin.yaml"), ANOTHER.replace("ROLE", "admin")).unwrap();
    world.until("pod shop/admin came");
    world.until("agree");
    world.type_line("shop/admin shop/db:5432");
    world.until("no answer");
    let line = denied.until("shop/admin -> shop/db:5432/TCP");
    assert!(line.last().unwrap().contains("isolated by netpol shop/db"), "{line:?}");
    world.type_line("shop/web shop/db:5432");
    world.until("answered");

    // Its label changes, and it is let in; nothing but elements of sets changes.
    std::fs::write(files.join("admin.yaml"), ANOTHER.replace("ROLE", "web")).unwrap();
    let steps = world.until("agree");
    let changes: Vec<&String> =
        steps.iter().filter(|line| line.contains(" element ") || line.contains(" rule ")).collect();
    assert!(
        !changes.is_empty() && changes.iter().all(|line| line.contains(" element ")),
        "{steps:?}"
    );
    world.type_line("shop/admin shop/db:5432");
    world.until("answered");
    let line = allowed.until("\"allowed\"").pop().unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["rules"][0]["place"], "k8s/world.yaml:7", "{line}");

    // It goes, and nothing of it is left.
    std::fs::remove_file(files.join("admin.yaml")).unwrap();
    world.until("pod shop/admin went");
    world.until("agree");
    world.type_line("shop/admin shop/db:5432");
    world.until("shop/admin");
    // What cannot be read changes nothing; nodes cannot come.
    std::fs::write(files.join("bad.yaml"), "{").unwrap();
    world.until("error");
    let node = "{apiVersion: v1, kind: Node, metadata: {name: new}}";
    std::fs::write(files.join("bad.yaml"), node).unwrap();
    world.until("nodes came or went");
    std::fs::remove_file(files.join("bad.yaml")).unwrap();
    world.until("makes no difference");
    world.type_line("shop/web shop/db:5432");
    world.until("answered");
}
