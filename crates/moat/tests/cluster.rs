//! `moat up` and its company, as a user runs them; kubectl where there is one.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::panic,
    reason = "a test that cannot go on has failed, and one that cannot begin says so"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A home of its own, and the clusters in it; they end with the test.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("moat-up-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn run(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", &self.0).current_dir(&self.0);
        command.env_remove("KUBECONFIG").env_remove("XDG_STATE_HOME").env_remove("XDG_CACHE_HOME");
        command.output().unwrap()
    }

    fn moat(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(env!("CARGO_BIN_EXE_moat"), arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// What a command that has to succeed prints.
    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.moat(arguments);
        assert_eq!(code, 0, "moat {arguments:?}: {out}{err}");
        out
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.run("kubectl", arguments);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {out}{err}");
        out
    }

    fn config(&self) -> PathBuf {
        self.0.join(".kube/config")
    }

    /// Text with what differs from run to run named instead.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(self.0.to_str().unwrap(), "HOME");
        let mut out = String::new();
        for word in text.split_inclusive([' ', '\n']) {
            let bare = word.trim_end();
            let rest = &word[bare.len()..];
            let (bare, comma) = match bare.strip_suffix(',') {
                Some(bare) => (bare, ","),
                None => (bare, ""),
            };
            if bare.starts_with("https://127.0.0.1:") {
                out.push_str("URL");
            } else if !bare.is_empty() && bare.chars().all(|char| char.is_ascii_digit()) {
                out.push('N');
            } else {
                out.push_str(bare);
            }
            out.push_str(comma);
            out.push_str(rest);
        }
        out
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for name in ["moat", "other"] {
            let _ = self.moat(&["down", "--name", name]);
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn kubectl_is_there() -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).output().is_ok();
    if !found {
        eprintln!("NOT EXERCISED: kubectl is not on this machine");
    }
    found
}

#[test]
fn a_cluster_comes_and_goes() {
    let home = Home::new("comes");
    std::fs::create_dir(home.0.join(".kube")).unwrap();
    let others = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nusers: []\n";
    std::fs::write(home.config(), others).unwrap();
    assert_eq!(
        home.moat(&["status"]),
        (1, "no cluster is up; `moat up` starts one\n".into(), String::new())
    );

    let up = ["up", "--detach", "--address", "127.0.0.1:0", "--fake-nodes", "2"];
    expect_test::expect![[r#"
        The cluster "moat" is up: URL, after N ms
          nodes    N fake: pods get the status of running ones, and no container runs
          objects  in memory: gone when the cluster ends
          kubectl  context "moat" in HOME/.kube/config is the current one
        `moat down` ends it.
    "#]]
    .assert_eq(&home.plain(&home.ok(&up)));
    expect_test::expect![[r#"
        moat is up
          API        URL, for N s, process N
          nodes      N of N ready, all fake: no container runs on them
          pods       none
          objects    N, revision N, in memory: gone when it ends
          memory     N MiB
          kubeconfig HOME/.local/state/moat/moat/kubeconfig
    "#]]
    .assert_eq(&home.plain(&home.ok(&["status"])));
    let (code, _, err) = home.moat(&up);
    assert_eq!(code, 3);
    expect_test::expect![[r#"
        error: a cluster "moat" is up already; `moat down` ends it, --name starts another
    "#]]
    .assert_eq(&err);

    if kubectl_is_there() {
        let nodes = home.kubectl(&[
            "get",
            "nodes",
            "-o",
            "custom-columns=N:.metadata.name,K:.status.nodeInfo.osImage",
        ]);
        expect_test::expect![[r#"
            N        K
            fake-1   none: a fake node, no container runs
            fake-2   none: a fake node, no container runs
        "#]]
        .assert_eq(&nodes);
        home.kubectl(&["create", "deployment", "web", "--image=nginx", "--replicas=5"]);
        home.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        home.kubectl(&["delete", "deployment", "web", "--cascade=foreground", "--timeout=60s"]);
        home.kubectl(&["create", "namespace", "gone"]);
        home.kubectl(&["delete", "namespace", "gone", "--timeout=60s"]);
    }

    let token = home.ok(&["token", "create", "--ttl", "2h", "--description", "a test"]);
    let list = home.ok(&["token", "list"]);
    assert!(list.contains(token.trim()), "{list}");
    let known = home.ok(&["token", "create", "-o", "json"]);
    assert!(known.contains("\"caCertHash\": \"sha256:"), "{known}");
    home.ok(&["token", "delete", token.trim()]);
    assert!(!home.ok(&["token", "list"]).contains(token.trim()));
    assert_eq!(home.moat(&["token", "delete", "abcdef"]).0, 2);

    assert_eq!(home.ok(&["down"]), "the cluster \"moat\" is down\n");
    assert_eq!(std::fs::read_to_string(home.config()).unwrap(), others);
    assert_eq!(home.ok(&["down"]), "no cluster \"moat\" was up\n");
}

#[test]
fn what_is_kept_on_disk_is_there_after_a_crash_until_it_is_reset() {
    let home = Home::new("kept");
    let up = ["up", "-d", "--address", "127.0.0.1:0", "--data-dir", "data", "--nodes", "0"];
    home.ok(&up);
    let own = home.0.join(".local/state/moat/moat");
    let authority = |config: &Path| {
        let text = std::fs::read_to_string(config).unwrap();
        let line = text.lines().find(|line| line.contains("certificate-authority-data")).unwrap();
        line.to_owned()
    };
    let before = authority(&home.config());
    home.ok(&["token", "create", "--description", "kept"]);
    let state = std::fs::read_to_string(own.join("state.json")).unwrap();
    let pid = state.split("\"pid\": ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    while home.ok_or_not(&["status", "--name", "moat"]) {
        std::thread::yield_now();
    }
    let (code, out, _) = home.moat(&["status"]);
    assert_eq!(code, 1);
    expect_test::expect![[r#"
        moat ended by itself: `moat down` clears what is left
    "#]]
    .assert_eq(&out);

    home.ok(&up);
    assert_eq!(authority(&home.config()), before, "the same authority signs");
    assert!(home.ok(&["token", "list"]).contains("kept"));
    expect_test::expect![[r#"
        the cluster "moat" is down; objects, keys and volumes in HOME/data are removed
        `moat up` begins anew, with new certificates
    "#]]
    .assert_eq(&home.plain(&home.ok(&["reset"])));
    assert!(!home.0.join("data").exists());
    assert!(!own.exists());

    home.ok(&up);
    assert_ne!(authority(&home.config()), before, "a new authority");
    assert_eq!(home.ok(&["token", "list"]), "no tokens\n");
}

#[test]
fn a_machine_joins_by_a_token_and_the_hash_and_not_otherwise() {
    let home = Home::new("joins");
    home.ok(&["up", "-d", "--address", "127.0.0.1:0", "--nodes", "0", "--audit-log", "audit.log"]);
    let command = home.ok(&["token", "create", "--print-join-command", "--ttl", "2h"]);
    let words: Vec<&str> = command.split_whitespace().collect();
    let ["moat", "join", server, "--token", token, "--discovery-token-ca-cert-hash", hash] =
        words[..]
    else {
        panic!("{command}");
    };
    let join = |token: &str, hash: &str, node: &str| {
        let hash = ["--discovery-token-ca-cert-hash", hash];
        let (code, out, err) = home.moat(
            &[&["join", server, "--token", token][..], &hash, &["--node-name", node]].concat(),
        );
        format!("{code} {}", home.plain(&format!("{out}{err}")))
    };
    expect_test::expect![[r#"
        0 The node "worker-1" is registered with URL
          kubeconfig HOME/.local/state/moat/worker-1.node.kubeconfig
        No pod runs on it: this version of moat has no node agent, so the node says that it is not ready.
    "#]]
    .assert_eq(&join(token, hash, "worker-1"));
    let own = home.0.join(".local/state/moat/worker-1.node.kubeconfig");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&own).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    if kubectl_is_there() {
        let status = [
            "-o",
            "jsonpath={.status.conditions[0].type} {.status.conditions[0].status} {.status.conditions[0].message}",
        ];
        expect_test::expect!["Ready False this machine has joined, and runs no pods: this version of moat has no node agent"]
            .assert_eq(&home.kubectl(&[&["get", "node", "worker-1"][..], &status].concat()));
        let own = own.to_str().unwrap();
        let who = home.kubectl(&[
            "--kubeconfig",
            own,
            "auth",
            "whoami",
            "-o",
            "jsonpath={.status.userInfo.username} {.status.userInfo.groups}",
        ]);
        assert_eq!(who, "system:node:worker-1 [\"system:nodes\",\"system:authenticated\"]");
    }
    // Somebody else's authority, a secret that is not this token's, a name that is taken, a name that is none.
    let mut all = String::new();
    let other = format!("sha256:{}", "0".repeat(64));
    all += &join(token, &other, "worker-2").replace(&hash["sha256:".len()..], "HASH");
    all += &join(&format!("{}.0123456789abcdef", &token[..6]), hash, "worker-2");
    all += &join(token, hash, "worker-1");
    all += &join(token, hash, "Worker_2");
    all += &join("abcdef.short", hash, "worker-2");
    // One that has ended is gone from the cluster, and nobody joins by it.
    let short = home.ok(&["token", "create", "--ttl", "1s"]);
    while home.ok(&["token", "list"]).contains(short.trim()) {
        std::thread::yield_now();
    }
    all += &join(short.trim(), hash, "worker-2").replace(&short[..6], "ID");
    expect_test::expect![[r#"
        3 error: the cluster's authority is another one: its hash is sha256:HASH
        3 error: what answers there knows a token of that name, and not this one's secret
        3 error: the cluster has a node "worker-1" already: choose another name
        2 error: "Worker_2" cannot be a node's name
        help: --node-name gives it another, of lower-case letters, digits, '-' and '.'
        2 error: the token is none: six letters, a dot and sixteen letters
        3 error: the cluster knows no token ID: it may have ended; `moat token create --print-join-command` makes another
    "#]]
    .assert_eq(&all);

    home.ok(&["down"]);
    let log = home.0.join("audit.log");
    let lines = std::fs::read_to_string(&log).unwrap();
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by = |name: &str, verb: &str, resource: &str| {
        events.iter().any(|event| {
            event["user"]["username"] == name
                && event["verb"] == verb
                && event["objectRef"]["resource"] == resource
        })
    };
    assert!(by("system:anonymous", "get", "configmaps"), "{lines}");
    assert!(by(
        &format!("system:bootstrap:{}", &token[..6]),
        "create",
        "certificatesigningrequests"
    ));
    assert!(by("system:node:worker-1", "create", "nodes"));
}

impl Home {
    fn ok_or_not(&self, arguments: &[&str]) -> bool {
        self.moat(arguments).0 == 0
    }
}

#[test]
fn two_clusters_do_not_know_each_other() {
    let home = Home::new("two");
    for name in ["moat", "other"] {
        home.ok(&["up", "-d", "--name", name, "--address", "127.0.0.1:0"]);
    }
    let status = home.ok(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["clusters"].as_array().unwrap().len(), 2);
    assert_ne!(status["clusters"][0]["status"]["url"], status["clusters"][1]["status"]["url"]);
    home.ok(&["down", "--name", "moat"]);
    let config = std::fs::read_to_string(home.config()).unwrap();
    assert!(config.contains("name: other\n") && !config.contains("name: moat\n"), "{config}");
}

#[test]
fn what_cannot_start_says_why() {
    let home = Home::new("cannot");
    let told = |arguments: &[&str]| {
        let (code, out, err) = home.moat(arguments);
        assert_eq!(out, "");
        format!("{code} {}", home.plain(&err))
    };
    let mut all = String::new();
    all += &told(&["up", "--name", "A b"]);
    all += &told(&["up", "--pod-cidr", "10.0.0.0/33"]);
    all += &told(&["up", "--fake-nodes", "1000"]);
    all += &told(&["up", "-d", "--fake-nodes", "1000"]);
    all += &told(&["up", "--node-label", "x"]);
    all += &told(&["up", "--scheduler-config", "nowhere.yaml"]);
    all += &told(&["up", "--audit-log", "no/where"]);
    all += &told(&["token", "list"]);
    all += &told(&["token", "create", "--ttl", "soon"]);
    expect_test::expect![[r#"
        2 error: "A b" cannot be a cluster's name: use up to N lower-case letters, digits and '-'
        2 error: --pod-cidr 10.0.0.0/33: prefix length must be N to N
        3 error: N nodes with N pods each do not fit into 10.244.0.0/16: give a larger range, such as 10.128.0.0/9, or fewer pods a node
        3 error: N nodes with N pods each do not fit into 10.244.0.0/16: give a larger range, such as 10.128.0.0/9, or fewer pods a node
        2 error: --node-label x: no `=`
        help: write KEY=VALUE
        2 error: nowhere.yaml: No such file or directory (os error 2)
        3 error: the audit log HOME/no/where: No such file or directory (os error 2)
        3 error: no cluster "moat" runs; `moat up` starts one
        3 error: no cluster "moat" runs; `moat up` starts one
    "#]].assert_eq(&all);
}
