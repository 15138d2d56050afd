//! Commands that send real packets, as a user without privilege runs them.
//!
//! Where the kernel refuses namespaces these tests fail, and the output says what is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[allow(dead_code, reason = "other tests use more of it")]
mod common;

use common::Dir;
use serde_json::Value;

/// Exit code, standard output, standard error.
fn run(dir: &Dir, args: &[&str]) -> (i32, String, String) {
    let output = common::run(&dir.0, args, "", Some("100"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The demo's manifests in a directory.
fn demo(name: &str) -> Dir {
    let dir = Dir::new(name, &[]);
    let (code, _, errors) = run(&dir, &["demo", "--write", "k8s"]);
    assert_eq!(code, 0, "{errors}");
    dir
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
