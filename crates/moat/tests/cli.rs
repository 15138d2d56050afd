//! The binary as its users run it: what it prints and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use expect_test::{Expect, expect};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const WORLD: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}}
---
apiVersion: v1
kind: Namespace
metadata: {name: dev, labels: {env: dev}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec:
  containers:
  - name: db
    ports: [{name: pg, containerPort: 5432}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: dev, labels: {app: web}}
spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  selector: {app: db}
  ports: [{port: 80, targetPort: pg}]
";

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: db}
  ingress:
  - from:
    - namespaceSelector:
        matchLabels: {env: prod}
      podSelector:
        matchLabels: {app: web}
    ports:
    - port: pg
";

/// A directory that is gone when the test ends.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("moat-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
        Self(dir)
    }

    fn shop(name: &str) -> Self {
        Self::new(name, &[("policy.yaml", POLICY), ("world.yaml", WORLD)])
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_moat"))
        .args(args)
        .current_dir(dir)
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe, which is no fault here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Standard output, standard error and exit code, as one text.
fn shown(dir: &Path, args: &[&str], input: &str) -> String {
    let output = run(dir, args, input);
    let mut text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    if !errors.is_empty() {
        text.push_str(&format!("-- stderr\n{errors}"));
    }
    text.push_str(&format!("-- exit {}\n", output.status.code().unwrap()));
    text
}

fn check(dir: &Dir, args: &[&str], expected: Expect) {
    expected.assert_eq(&shown(&dir.0, args, ""));
}

#[test]
fn an_allowed_flow_names_the_rule() {
    let dir = Dir::shop("allowed");
    check(
        &dir,
        &["explain", "-f", ".", "shop/web", "shop/db:5432"],
        expect![[r#"
        ALLOWED  shop/web -> shop/db:5432/TCP

          egress of shop/web: allowed, no policy decides and the default is to allow
          ingress of shop/db: allowed by
            netpol shop/db ingress[0] from[0]                     ./policy.yaml:11
              pods app=web in namespaces env=prod, TCP `pg`
        -- exit 0
    "#]],
    );
}

#[test]
fn a_denied_flow_tells_what_is_missing_and_what_would_help() {
    let dir = Dir::shop("denied");
    check(
        &dir,
        &["explain", "-f", ".", "dev/web", "shop/db:5432"],
        expect![[r#"
        DENIED   dev/web -> shop/db:5432/TCP

          egress of dev/web: allowed, no policy decides and the default is to allow
          ingress of shop/db: denied, the pod is isolated and no rule matches
            isolated by:
              netpol shop/db                                      ./policy.yaml:1
            nearest rule:
              netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                - namespace `dev`: lacks env=prod (has env=dev)
            to allow it, one of:
              1. label namespace dev: env=prod
                 opens nothing else
              2. add an ingress rule to netpol shop/db  ./policy.yaml:1
                   - from:
                     - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dev}}
                       podSelector: {matchLabels: {app: web}}
                     ports:
                     - {protocol: TCP, port: 5432}
                 opens nothing else
        -- exit 1
    "#]],
    );
}

#[test]
fn a_service_is_followed_to_its_pods() {
    let dir = Dir::shop("service");
    check(
        &dir,
        &["explain", "-f", ".", "shop/web", "shop/svc/db:80"],
        expect![[r#"
        ALLOWED  shop/web -> shop/svc/db

          service: shop/svc/db:80 goes to port `pg` of 1 backend  ./world.yaml:27

          ALLOWED shop/web -> shop/db:5432/TCP
          egress of shop/web: allowed, no policy decides and the default is to allow
          ingress of shop/db: allowed by
            netpol shop/db ingress[0] from[0]                     ./policy.yaml:11
              pods app=web in namespaces env=prod, TCP `pg`
        -- exit 0
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", ".", "shop/web", "shop/svc/db:5432"],
        expect![[r#"
        DENIED   shop/web -> shop/svc/db

          service: shop/svc/db has no port 5432/TCP; it has 80/TCP
        -- exit 1
    "#]],
    );
}

#[test]
fn without_a_port_the_allowed_ones_are_told() {
    let dir = Dir::shop("any");
    check(
        &dir,
        &["explain", "-f", ".", "shop/web", "shop/db"],
        expect![[r#"
        ALLOWED  shop/web -> shop/db

          ALLOWED shop/web -> shop/db:5432/TCP
          egress of shop/web: allowed, no policy decides and the default is to allow
          ingress of shop/db: allowed by
            netpol shop/db ingress[0] from[0]                     ./policy.yaml:11
              pods app=web in namespaces env=prod, TCP `pg`

          DENIED shop/web -> shop/db:5431/TCP
          egress of shop/web: allowed, no policy decides and the default is to allow
          ingress of shop/db: denied, the pod is isolated and no rule matches
            isolated by:
              netpol shop/db                                      ./policy.yaml:1
            nearest rule:
              netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                - port 5431/TCP is not among the rule's: `pg` is 5432/TCP on shop/db
            to allow it, one of:
              1. add port 5431/TCP to rule ingress[0] of netpol shop/db  ./policy.yaml:10
                   - protocol: TCP
                     port: 5431
                 opens nothing else
              2. add an ingress rule to netpol shop/db  ./policy.yaml:1
                   - from:
                     - podSelector: {matchLabels: {app: web}}
                     ports:
                     - {protocol: TCP, port: 5431}
                 opens nothing else

          note: shop/web -> shop/db: TCP 5432 may pass
        -- exit 0
    "#]],
    );
}

#[test]
fn json_has_a_version_and_places() {
    let dir = Dir::shop("json");
    let output = run(&dir.0, &["explain", "-f", ".", "dev/web", "shop/db:pg", "-o", "json"], "");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["apiVersion"], "moat.dev/v1");
    assert_eq!(value["kind"], "Explanation");
    assert_eq!(value["verdict"], "denied");
    assert_eq!(value["flows"][0]["ingress"]["isolated"][0]["file"], "./policy.yaml");
    assert_eq!(value["flows"][0]["ingress"]["isolated"][0]["line"], 1);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn flows_are_answered_in_order_and_bad_lines_do_not_stop_them() {
    let dir = Dir::shop("flows");
    let flows = r#"{"from":"shop/web","to":"shop/db","port":5432,"protocol":"TCP"}
{"from":"dev/web","to":"shop/svc/db","port":80}
{"from":"203.0.113.7","to":"shop/db","port":5432,"protocol":"TCP"}
{"from":"shop/web","to":"shop/nobody","port":80}
not json
{"from":"shop/web","to":"shop/db","port":70000}
"#;
    expect![[r#"
        {"verdict":"allowed","egress":{"verdict":"allowed","reason":"default"},"ingress":{"verdict":"allowed","reason":"rules","rules":[{"policy":"shop/db","kind":"NetworkPolicy","direction":"ingress","rule":0,"peer":0,"action":"Accept","means":"pods app=web in namespaces env=prod, TCP `pg`","file":"./policy.yaml","line":10}]}}
        {"verdict":"denied","egress":{"verdict":"allowed","reason":"default"},"ingress":{"verdict":"denied","reason":"isolated","isolated":[{"policy":"shop/db","kind":"NetworkPolicy","file":"./policy.yaml","line":1}]}}
        {"verdict":"denied","egress":{"verdict":"allowed","reason":"unmanaged"},"ingress":{"verdict":"denied","reason":"isolated","isolated":[{"policy":"shop/db","kind":"NetworkPolicy","file":"./policy.yaml","line":1}]}}
        {"verdict":"error","line":4,"error":"nothing here is called `shop/nobody`","help":"name a pod `ns/pod`, a workload `ns/kind/name`, a Service `ns/svc/name`, or an address"}
        {"verdict":"error","line":5,"error":"not a flow: expected ident at line 1 column 2","help":null}
        {"verdict":"error","line":6,"error":"port `70000` is out of range","help":"ports are 1 to 65535"}
        -- stderr
        error: some lines are no flows that can be answered
        help: their answers have `verdict` `error` and say why
        -- exit 2
    "#]].assert_eq(&shown(&dir.0, &["explain", "-f", ".", "--flows", "-", "-o", "jsonl"], flows));
}

#[test]
fn bad_input_is_told_with_its_place_and_its_cure() {
    let dir = Dir::new(
        "bad",
        &[
            ("tab.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n"),
            (
                "typo.yaml",
                &POLICY.replace(
                    "podSelector:\n    matchLabels: {app: db}",
                    "podSelector:\n    matchlabels: {app: db}",
                ),
            ),
            ("world.yaml", WORLD),
        ],
    );
    check(
        &dir,
        &["explain", "shop/web", "shop/db:5432"],
        expect![[r#"
        -- stderr
        error: nothing to read
        help: give manifests with -f FILE, -f DIR or -f - (standard input)
        -- exit 2
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", "missing", "a", "b:80"],
        expect![[r#"
        -- stderr
        error: no such file or directory: `missing`
        help: paths are relative to the current directory; `-` is standard input
        -- exit 2
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", "tab.yaml", "a", "b:80"],
        expect![[r#"
        -- stderr
        error: tab.yaml:4: a tab in the indentation
        help: indent with spaces: YAML does not allow tabs there
        -- exit 2
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", "world.yaml", "shop/wbe", "shop/db:5432"],
        expect![[r#"
        -- stderr
        error: nothing here is called `shop/wbe`
        help: did you mean `shop/web` or `dev/web`?
        -- exit 2
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", "world.yaml", "shop/web", "shop/db:70000"],
        expect![[r#"
        -- stderr
        error: port `70000` is out of range
        help: ports are 1 to 65535
        -- exit 2
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", "typo.yaml", "-f", "world.yaml", "shop/web", "shop/db:5432"],
        expect![[r#"
        ALLOWED  shop/web -> shop/db:5432/TCP

          egress of shop/web: allowed, no policy decides and the default is to allow
          ingress of shop/db: allowed by
            netpol shop/db ingress[0] from[0]                     typo.yaml:11
              pods app=web in namespaces env=prod, TCP `pg`
        -- stderr
        warning[MOAT006] typo.yaml:8: spec.podSelector.matchlabels: unknown field `matchlabels`
        -- exit 0
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", ".", "shop/web", "dev/web:80"],
        expect![[r#"
        ALLOWED  shop/web -> dev/web:80/TCP

          egress of shop/web: allowed, no policy decides and the default is to allow
          ingress of dev/web: allowed, no policy decides and the default is to allow

          caveat: ./tab.yaml:4 could change this verdict: not read: a tab in the indentation
        -- stderr
        error[MOAT002] ./tab.yaml:4: metadata: a tab in the indentation
        warning[MOAT006] ./typo.yaml:8: spec.podSelector.matchlabels: unknown field `matchlabels`
        -- exit 0
    "#]],
    );
}

#[test]
fn reach_lists_rows_in_order() {
    let dir = Dir::shop("reach");
    check(
        &dir,
        &["reach", "-f", ".", "--flat", "-o", "csv"],
        expect![[r#"
        source,destination,protocol,ports
        0.0.0.0/0 ::/0,dev/web,SCTP,*
        0.0.0.0/0 ::/0,dev/web,TCP,*
        0.0.0.0/0 ::/0,dev/web,UDP,*
        0.0.0.0/0 ::/0,shop/web,SCTP,*
        0.0.0.0/0 ::/0,shop/web,TCP,*
        0.0.0.0/0 ::/0,shop/web,UDP,*
        dev/web,0.0.0.0/0 ::/0,SCTP,*
        dev/web,0.0.0.0/0 ::/0,TCP,*
        dev/web,0.0.0.0/0 ::/0,UDP,*
        dev/web,shop/web,SCTP,*
        dev/web,shop/web,TCP,*
        dev/web,shop/web,UDP,*
        shop/db,0.0.0.0/0 ::/0,SCTP,*
        shop/db,0.0.0.0/0 ::/0,TCP,*
        shop/db,0.0.0.0/0 ::/0,UDP,*
        shop/db,dev/web,SCTP,*
        shop/db,dev/web,TCP,*
        shop/db,dev/web,UDP,*
        shop/db,shop/web,SCTP,*
        shop/db,shop/web,TCP,*
        shop/db,shop/web,UDP,*
        shop/web,0.0.0.0/0 ::/0,SCTP,*
        shop/web,0.0.0.0/0 ::/0,TCP,*
        shop/web,0.0.0.0/0 ::/0,UDP,*
        shop/web,dev/web,SCTP,*
        shop/web,dev/web,TCP,*
        shop/web,dev/web,UDP,*
        shop/web,shop/db,TCP,5432
        -- exit 0
    "#]],
    );
    check(
        &dir,
        &["reach", "-f", "."],
        expect![[r#"
            3 pods in 2 namespaces, 1 policy
            isolated: 1 for ingress, 0 for egress
            outside: may reach 2 pods, is reached by 3 pods
            allowed: 10 pairs in 3 lines

            SOURCE                    DESTINATION         PORTS
            */* (3 pods), anywhere -> */app=web (2 pods)  all ports
            shop/web               -> shop/db             TCP 5432
            */* (3 pods)           -> anywhere            all ports
            -- exit 0
        "#]],
    );
}

#[test]
fn the_demo_shows_the_main_job() {
    let dir = Dir::new("demo", &[]);
    check(
        &dir,
        &["demo"],
        expect![[r#"
        1. The network as Kubernetes gives it
        Every pod reaches every pod. `ports:` is documentation: 9090 is not declared, and answers.

           allowed  default/curler -> default/multi-port-app:8080           no policy applies
           allowed  default/curler -> default/multi-port-app:9090           no policy applies
           allowed  default/curler -> default/svc/multi-port-app-service:80 no policy applies
           allowed  web1/other -> default/multi-port-app:8080               no policy applies
           allowed  web1/nginx1 -> web2/nginx2:80                           no policy applies
           allowed  web1/other -> web2/nginx2:80                            no policy applies
           allowed  203.0.113.7 -> web2/nginx2:80                           no policy applies

        2. Apply 10-allow-only-8080.yaml
        Now the application is isolated: port 8080 only, and only from its own namespace.

           allowed  default/curler -> default/multi-port-app:8080           netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
         * denied   default/curler -> default/multi-port-app:9090           ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
           allowed  default/curler -> default/svc/multi-port-app-service:80 netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
         * denied   web1/other -> default/multi-port-app:8080               ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
           allowed  web1/nginx1 -> web2/nginx2:80                           no policy applies
           allowed  web1/other -> web2/nginx2:80                            no policy applies
           allowed  203.0.113.7 -> web2/nginx2:80                           no policy applies

        3. Apply 20-default-deny-ingress.yaml
        `ingress: []` lets no one in. A pod's own node is the one exception.

           allowed  default/curler -> default/multi-port-app:8080           netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
           denied   default/curler -> default/multi-port-app:9090           ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
           allowed  default/curler -> default/svc/multi-port-app-service:80 netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
           denied   web1/other -> default/multi-port-app:8080               ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
         * denied   web1/nginx1 -> web2/nginx2:80                           ingress isolated by netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)
         * denied   web1/other -> web2/nginx2:80                            ingress isolated by netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)
         * denied   203.0.113.7 -> web2/nginx2:80                           ingress isolated by netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)

        4. Apply 30-allow-from-web1.yaml
        Meant for nginx1 alone. Two dashes under `from` are OR: the whole namespace web1 gets in.

           allowed  default/curler -> default/multi-port-app:8080           netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
           denied   default/curler -> default/multi-port-app:9090           ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
           allowed  default/curler -> default/svc/multi-port-app-service:80 netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
           denied   web1/other -> default/multi-port-app:8080               ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
         * allowed  web1/nginx1 -> web2/nginx2:80                           netpol web2/allow-from-web1 ingress[0] (demo/30-allow-from-web1.yaml:13)
         * allowed  web1/other -> web2/nginx2:80                            netpol web2/allow-from-web1 ingress[0] (demo/30-allow-from-web1.yaml:13)
           denied   203.0.113.7 -> web2/nginx2:80                           ingress isolated by netpol web2/allow-from-web1 (demo/30-allow-from-web1.yaml:2), netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)

        5. Replace it with 31-allow-nginx1-of-web1.yaml
        One dash less makes it AND. Nothing but nginx1 of web1 gets in.

           allowed  default/curler -> default/multi-port-app:8080           netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
           denied   default/curler -> default/multi-port-app:9090           ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
           allowed  default/curler -> default/svc/multi-port-app-service:80 netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
           denied   web1/other -> default/multi-port-app:8080               ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
           allowed  web1/nginx1 -> web2/nginx2:80                           netpol web2/allow-from-web1 ingress[0] (demo/31-allow-nginx1-of-web1.yaml:13)
         * denied   web1/other -> web2/nginx2:80                            ingress isolated by netpol web2/allow-from-web1 (demo/31-allow-nginx1-of-web1.yaml:2), netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)
           denied   203.0.113.7 -> web2/nginx2:80                           ingress isolated by netpol web2/allow-from-web1 (demo/31-allow-nginx1-of-web1.yaml:2), netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)

        Why is web1/other kept out now?

        DENIED   web1/other -> web2/nginx2:80/TCP

          egress of web1/other: allowed, no policy decides and the default is to allow
          ingress of web2/nginx2: denied, the pod is isolated and no rule matches
            isolated by:
              netpol web2/allow-from-web1                         demo/31-allow-nginx1-of-web1.yaml:2
              netpol web2/default-deny-ingress                    demo/20-default-deny-ingress.yaml:1
            nearest rule:
              netpol web2/allow-from-web1 ingress[0] from[0]      demo/31-allow-nginx1-of-web1.yaml:14
                - web1/other: lacks app=nginx1 (has app=other)
            to allow it, one of:
              1. label web1/other: app=nginx1  demo/00-world.yaml:73
                 opens nothing else
              2. add an ingress rule to netpol web2/allow-from-web1  demo/31-allow-nginx1-of-web1.yaml:2
                   - from:
                     - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web1}}
                       podSelector: {matchLabels: {app: other}}
                     ports:
                     - {protocol: TCP, port: 80}
                 opens nothing else

        Try it on your own manifests:
          moat explain -f DIR FROM TO:PORT
          moat reach -f DIR
          moat demo --write DIR   writes these files
        -- exit 0
    "#]],
    );
}

#[test]
fn help_has_examples_and_exit_codes() {
    let dir = Dir::new("help", &[]);
    check(
        &dir,
        &["--help"],
        expect![[r#"
            Kubernetes network policy, from YAML to kernel: who can talk to whom, on which port, and why

            Usage: moat <COMMAND>

            Commands:
              explain      Say whether FROM can open a connection to TO, and why
              reach        Show who can reach whom
              diff         Show what a change of manifests opens and closes
              lint         Report what is wrong with manifests and policies
              rule         Explain one lint rule, or list all
              demo         Show the main job on a small built-in world
              dialects     List every choice Kubernetes leaves open, and what each dialect chooses
              completions  Print a completion script for a shell
              man          Print the manual page, in roff
              version      Print the version
              help         Print this message or the help of the given subcommand(s)

            Options:
              -h, --help  Print help

            Exit codes:
              0  yes: allowed, clean, no difference
              1  no: denied or undefined, findings, differences, failed tests
              2  bad input: a question that cannot be understood, manifests that cannot be read
              3  environment: no permission, no such tool

            Start with:
              moat demo                                     a small world, explained
              moat explain -f k8s/ shop/web shop/db:5432    why is this allowed or denied?
              moat reach -f k8s/                            who can reach whom?
              moat lint -f k8s/                             what is wrong with these files?
            -- exit 0
        "#]],
    );
    for command in ["explain", "reach", "diff", "test", "lint"] {
        let text = shown(&dir.0, &[command, "--help"], "");
        assert!(text.contains("Examples:"), "{text}");
        assert!(text.ends_with("-- exit 0\n"), "{text}");
    }
}

#[test]
fn the_manual_and_completions_are_made() {
    let dir = Dir::new("man", &[]);
    assert!(shown(&dir.0, &["man"], "").contains(".TH"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(shown(&dir.0, &["completions", shell], "").contains("explain"));
    }
}
