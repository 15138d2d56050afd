//! The binary as its users run it: what it prints and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Dir, run, shown};
use expect_test::{Expect, expect};

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

fn shop(name: &str) -> Dir {
    Dir::new(&format!("cli-{name}"), &[("policy.yaml", POLICY), ("world.yaml", WORLD)])
}

fn check(dir: &Dir, args: &[&str], expected: Expect) {
    expected.assert_eq(&shown(&dir.0, args, ""));
}

fn check_with(dir: &Dir, args: &[&str], input: &str, expected: Expect) {
    expected.assert_eq(&shown(&dir.0, args, input));
}

#[test]
fn an_allowed_flow_names_the_rule() {
    let dir = shop("allowed");
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
    let dir = shop("denied");
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
    let dir = shop("service");
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
    let dir = shop("any");
    check(
        &dir,
        &["explain", "-f", ".", "shop/web", "shop/db"],
        expect![[r#"
            ALLOWED  shop/web -> shop/db on some ports

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

              note: shop/web -> shop/db: TCP 5432 may pass
            -- exit 0
        "#]],
    );
}

#[test]
fn json_has_a_version_and_places() {
    let dir = shop("json");
    let output = run(
        &dir.0,
        &["explain", "-f", ".", "dev/web", "shop/db:pg", "-o", "json"],
        "",
        Some("100"),
    );
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
    let dir = shop("flows");
    let flows = r#"{"from":"shop/web","to":"shop/db","port":5432,"protocol":"TCP"}
{"from":"dev/web","to":"shop/svc/db","port":80}
{"from":"203.0.113.7","to":"shop/db","port":5432,"protocol":"TCP"}
{"from":"shop/web","to":"shop/nobody","port":80}
not json
{"from":"shop/web","to":"shop/db","port":70000}
"#;
    expect![[r#"
        {"line":1,"verdict":"allowed","egress":{"verdict":"allowed","reason":"default"},"ingress":{"verdict":"allowed","reason":"rules","rules":[{"policy":"shop/db","kind":"NetworkPolicy","direction":"ingress","rule":0,"peer":0,"action":"Accept","means":"pods app=web in namespaces env=prod, TCP `pg`","file":"./policy.yaml","line":10}]}}
        {"line":2,"verdict":"denied","egress":{"verdict":"allowed","reason":"default"},"ingress":{"verdict":"denied","reason":"isolated","isolated":[{"policy":"shop/db","kind":"NetworkPolicy","file":"./policy.yaml","line":1}]}}
        {"line":3,"verdict":"denied","egress":{"verdict":"allowed","reason":"unmanaged"},"ingress":{"verdict":"denied","reason":"isolated","isolated":[{"policy":"shop/db","kind":"NetworkPolicy","file":"./policy.yaml","line":1}]}}
        {"line":4,"verdict":"error","error":"nothing here is called `shop/nobody`","help":"name a pod `ns/pod`, a workload `ns/kind/name`, a Service `ns/svc/name`, or an address"}
        {"line":5,"verdict":"error","error":"not a JSON object","help":"a flow is written {\"from\":\"ns/pod\",\"to\":\"ns/pod\",\"port\":80,\"protocol\":\"TCP\"}"}
        {"line":6,"verdict":"error","error":"port `70000` is out of range","help":"ports are 1 to 65535"}
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
             --> missing
            help: paths are relative to the current directory; `-` is standard input
            -- exit 2
        "#]],
    );
    check(
        &dir,
        &["explain", "-f", "tab.yaml", "a", "b:80"],
        expect![[r#"
            -- stderr
            error: a tab in the indentation
             --> tab.yaml:4:1   metadata
              |
            4 |     name: x
              | ^^^^^^^^
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
            error: 1 document could not be read, and the answer is without them
            help: mend or leave them out; `moat lint` shows each with its line
            -- exit 2
        "#]],
    );
}

#[test]
fn reach_lists_rows_in_order() {
    let dir = shop("reach");
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
        &["demo", "--no-packets"],
        expect![[r#"
            1. The network as Kubernetes gives it
            Every pod reaches every pod. `ports:` is documentation: 9090 is not declared, and answers.

               allowed  default/curler -> default/multi-port-app:8080            no policy applies
               allowed  default/curler -> default/multi-port-app:9090            no policy applies
               allowed  default/curler -> default/svc/multi-port-app-service:80  no policy applies
               allowed  web1/other -> default/multi-port-app:8080                no policy applies
               allowed  web1/nginx1 -> web2/nginx2:80                            no policy applies
               allowed  web1/other -> web2/nginx2:80                             no policy applies
               allowed  203.0.113.7 -> web2/nginx2:80                            no policy applies

            2. Apply 10-allow-only-8080.yaml
            Now the application is isolated: port 8080 only, and only from its own namespace.

               allowed  default/curler -> default/multi-port-app:8080            netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
             * denied   default/curler -> default/multi-port-app:9090            ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
               allowed  default/curler -> default/svc/multi-port-app-service:80  netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
             * denied   web1/other -> default/multi-port-app:8080                ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
               allowed  web1/nginx1 -> web2/nginx2:80                            no policy applies
               allowed  web1/other -> web2/nginx2:80                             no policy applies
               allowed  203.0.113.7 -> web2/nginx2:80                            no policy applies

            3. Apply 20-default-deny-ingress.yaml
            `ingress: []` lets no one in. A pod's own node is the one exception.

               allowed  default/curler -> default/multi-port-app:8080            netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
               denied   default/curler -> default/multi-port-app:9090            ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
               allowed  default/curler -> default/svc/multi-port-app-service:80  netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
               denied   web1/other -> default/multi-port-app:8080                ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
             * denied   web1/nginx1 -> web2/nginx2:80                            ingress isolated by netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)
             * denied   web1/other -> web2/nginx2:80                             ingress isolated by netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)
             * denied   203.0.113.7 -> web2/nginx2:80                            ingress isolated by netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)

            4. Apply 30-allow-from-web1.yaml
            Meant for nginx1 alone. Two dashes under `from` are OR: the whole namespace web1 gets in.

               allowed  default/curler -> default/multi-port-app:8080            netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
               denied   default/curler -> default/multi-port-app:9090            ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
               allowed  default/curler -> default/svc/multi-port-app-service:80  netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
               denied   web1/other -> default/multi-port-app:8080                ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
             * allowed  web1/nginx1 -> web2/nginx2:80                            netpol web2/allow-from-web1 ingress[0] (demo/30-allow-from-web1.yaml:13)
             * allowed  web1/other -> web2/nginx2:80                             netpol web2/allow-from-web1 ingress[0] (demo/30-allow-from-web1.yaml:13)
               denied   203.0.113.7 -> web2/nginx2:80                            ingress isolated by netpol web2/allow-from-web1 (demo/30-allow-from-web1.yaml:2), netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)

            5. Replace it with 31-allow-nginx1-of-web1.yaml
            One dash less makes it AND. Nothing but nginx1 of web1 gets in.

               allowed  default/curler -> default/multi-port-app:8080            netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
               denied   default/curler -> default/multi-port-app:9090            ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
               allowed  default/curler -> default/svc/multi-port-app-service:80  netpol default/allow-only-8080 ingress[0] (demo/10-allow-only-8080.yaml:12)
               denied   web1/other -> default/multi-port-app:8080                ingress isolated by netpol default/allow-only-8080 (demo/10-allow-only-8080.yaml:1)
               allowed  web1/nginx1 -> web2/nginx2:80                            netpol web2/allow-from-web1 ingress[0] (demo/31-allow-nginx1-of-web1.yaml:13)
             * denied   web1/other -> web2/nginx2:80                             ingress isolated by netpol web2/allow-from-web1 (demo/31-allow-nginx1-of-web1.yaml:2), netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)
               denied   203.0.113.7 -> web2/nginx2:80                            ingress isolated by netpol web2/allow-from-web1 (demo/31-allow-nginx1-of-web1.yaml:2), netpol web2/default-deny-ingress (demo/20-default-deny-ingress.yaml:1)

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
              moat verify -f DIR      real packets, as here
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
              test         Test policies against what they should allow and deny
              verify       Prove with real packets that a kernel does what the policies say
              flows        Show recorded flows with the rule that decided, or replay them against other policies
              up           Start an embedded Kubernetes: API server, controllers and scheduler in this process
              down         End an embedded cluster that `moat up` started
              status       Say how the embedded clusters do
              reset        End an embedded cluster and remove all that is kept of it
              token        Bootstrap tokens, by which machines prove that they may join the embedded cluster
              join         Let this machine join a cluster as a node, by a bootstrap token
              lint         Report what is wrong with manifests and policies
              rule         Explain one lint rule, or list all
              demo         Show the main job on a small built-in world
              dialects     List every choice Kubernetes leaves open, and what each dialect chooses
              completions  Print a completion script for a shell
              man          Print the manual page, in roff
              version      Print the version
              help         Print this message or the help of the given subcommand(s)

            Options:
              -h, --help     Print help
              -V, --version  Print version

            Exit codes:
              0  yes: allowed, clean, no difference
              1  no: denied or undefined, findings, differences, failed tests
              2  bad input: a question that cannot be understood, manifests that cannot be read
              3  environment: no permission, no such tool

            Start with:
              moat demo                                     a small world, explained
              moat explain -f k8s/ shop/web shop/db:5432    why is this allowed or denied?
              moat reach -f k8s/                            who can reach whom?
              moat test tests.yaml -f k8s/                  do the policies do what they should?
              moat verify -f k8s/                           does a kernel do what the policies say?
              moat up --fake-nodes 3                        a Kubernetes API with controllers and scheduler, for
              kubectl
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

const TESTS: &str = "\
tests:
- name: only the web tier of production reaches the database
  only: {from: shop/web, to: shop/db, port: pg}
- deny: {from: [dev/*, outside], to: shop/svc/db}
- name: development reaches the web tier
  allow: {from: dev/web, to: shop/web}
";

#[test]
fn tests_that_pass_tell_what_they_leave_untested() {
    let dir = shop("test-pass");
    std::fs::write(dir.0.join("tests.txt"), TESTS).unwrap();
    check(
        &dir,
        &["test", "tests.txt", "-f", ".", "--mutate"],
        expect![[r#"
        PASS  only the web tier of production reaches the database           tests.txt:2
        PASS  deny dev/*, outside -> shop/svc/db                             tests.txt:4
        PASS  development reaches the web tier                               tests.txt:5

        coverage: 1 of 1 rules and 1 of 1 isolations decide a tested flow

        mutation: 2 of 2 removals make a test fail

        3 tests: 3 passed
        -- exit 0
    "#]],
    );
}

#[test]
fn tests_that_fail_explain() {
    let dir = shop("test-fail");
    let tests = "\
tests:
- name: development reaches the database
  allow: {from: dev/web, to: shop/db, ports: [5432, 53/UDP]}
- name: only the web tier reaches the web tier
  only: {from: shop/web, to: [shop/web, dev/web], port: 80}
- at-most: {from: [], to: shop/db}
";
    check_with(
        &dir,
        &["test", "-", "-f", "."],
        tests,
        expect![[r#"
            FAIL  development reaches the database                               <stdin>:2

                  dev/web -> shop/db on TCP 5432 is denied, and should be allowed
                    ingress of shop/db: denied, the pod is isolated and no rule matches
                      isolated by:
                        netpol shop/db                                      ./policy.yaml:1
                      nearest rule:
                        netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                          - namespace `dev`: lacks env=prod (has env=dev)

                  dev/web -> shop/db on UDP 53 is denied, and should be allowed
                    ingress of shop/db: denied, the pod is isolated and no rule matches
                      isolated by:
                        netpol shop/db                                      ./policy.yaml:1
                      nearest rule:
                        netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                          - namespace `dev`: lacks env=prod (has env=dev)
                          - port 53/UDP is not among the rule's: `pg` is 5432/TCP on shop/db

            FAIL  only the web tier reaches the web tier                         <stdin>:4

                  shop/db -> dev/web on TCP 80 is allowed, and is not on the list
                    egress of shop/db: allowed, no policy decides and the default is to allow
                    ingress of dev/web: allowed, no policy decides and the default is to allow

                  0.0.0.0/0 -> dev/web, shop/web on TCP 80 is allowed, and is not on the list
                    egress of 0.0.0.0/0: allowed, policies do not apply to this end
                    ingress of dev/web, shop/web: allowed, no policy decides and the default is to allow

                  dev/web, shop/db -> shop/web on TCP 80 is allowed, and is not on the list
                    egress of dev/web, shop/db: allowed, no policy decides and the default is to allow
                    ingress of shop/web: allowed, no policy decides and the default is to allow

            FAIL  at-most nobody -> shop/db                                      <stdin>:6

                  shop/web -> shop/db on TCP 5432 is allowed, and is not on the list
                    egress of shop/web: allowed, no policy decides and the default is to allow
                    ingress of shop/db: allowed by
                      netpol shop/db ingress[0] from[0]                     ./policy.yaml:11
                        pods app=web in namespaces env=prod, TCP `pg`


            coverage: 1 of 1 rules and 1 of 1 isolations decide a tested flow

            3 tests: 0 passed, 3 failed
            -- exit 1
        "#]],
    );
    check_with(
        &dir,
        &["test", "-", "-f", ".", "-o", "junit"],
        tests,
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="moat" tests="3" failures="3" errors="0">
              <testsuite name="&lt;stdin&gt;" tests="3" failures="3" errors="0">
                <testcase name="development reaches the database" classname="allow" file="&lt;stdin&gt;" line="2">
                  <failure message="dev/web -&gt; shop/db on TCP 5432 is denied, and should be allowed (and 1 more)">
                  dev/web -&gt; shop/db on TCP 5432 is denied, and should be allowed
                    ingress of shop/db: denied, the pod is isolated and no rule matches
                      isolated by:
                        netpol shop/db                                      ./policy.yaml:1
                      nearest rule:
                        netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                          - namespace `dev`: lacks env=prod (has env=dev)
                  dev/web -&gt; shop/db on UDP 53 is denied, and should be allowed
                    ingress of shop/db: denied, the pod is isolated and no rule matches
                      isolated by:
                        netpol shop/db                                      ./policy.yaml:1
                      nearest rule:
                        netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                          - namespace `dev`: lacks env=prod (has env=dev)
                          - port 53/UDP is not among the rule's: `pg` is 5432/TCP on shop/db
            </failure>
                </testcase>
                <testcase name="only the web tier reaches the web tier" classname="only" file="&lt;stdin&gt;" line="4">
                  <failure message="shop/db -&gt; dev/web on TCP 80 is allowed, and is not on the list (and 2 more)">
                  shop/db -&gt; dev/web on TCP 80 is allowed, and is not on the list
                    egress of shop/db: allowed, no policy decides and the default is to allow
                    ingress of dev/web: allowed, no policy decides and the default is to allow
                  0.0.0.0/0 -&gt; dev/web, shop/web on TCP 80 is allowed, and is not on the list
                    egress of 0.0.0.0/0: allowed, policies do not apply to this end
                    ingress of dev/web, shop/web: allowed, no policy decides and the default is to allow
                  dev/web, shop/db -&gt; shop/web on TCP 80 is allowed, and is not on the list
                    egress of dev/web, shop/db: allowed, no policy decides and the default is to allow
                    ingress of shop/web: allowed, no policy decides and the default is to allow
            </failure>
                </testcase>
                <testcase name="at-most nobody -&gt; shop/db" classname="at-most" file="&lt;stdin&gt;" line="6">
                  <failure message="shop/web -&gt; shop/db on TCP 5432 is allowed, and is not on the list">
                  shop/web -&gt; shop/db on TCP 5432 is allowed, and is not on the list
                    egress of shop/web: allowed, no policy decides and the default is to allow
                    ingress of shop/db: allowed by
                      netpol shop/db ingress[0] from[0]                     ./policy.yaml:11
                        pods app=web in namespaces env=prod, TCP `pg`
            </failure>
                </testcase>
              </testsuite>
            </testsuites>
            -- exit 1
        "#]],
    );
    check_with(
        &dir,
        &["test", "-", "-f", ".", "-o", "json"],
        tests,
        expect![[r#"
            {
              "apiVersion": "moat.dev/v1",
              "kind": "TestReport",
              "summary": {
                "tests": 3,
                "passed": 0,
                "failed": 3
              },
              "tests": [
                {
                  "name": "development reaches the database",
                  "assertion": "allow",
                  "file": "<stdin>",
                  "line": 2,
                  "passed": false,
                  "failures": [
                    {
                      "message": "dev/web -> shop/db on TCP 5432 is denied, and should be allowed",
                      "from": [
                        "dev/web"
                      ],
                      "to": [
                        "shop/db"
                      ],
                      "ports": "TCP 5432",
                      "verdict": "denied",
                      "egress": {
                        "verdict": "allowed",
                        "reason": "default"
                      },
                      "ingress": {
                        "verdict": "denied",
                        "reason": "isolated",
                        "isolated": [
                          {
                            "policy": "shop/db",
                            "kind": "NetworkPolicy",
                            "file": "./policy.yaml",
                            "line": 1
                          }
                        ],
                        "nearest": [
                          {
                            "rule": {
                              "policy": "shop/db",
                              "kind": "NetworkPolicy",
                              "direction": "ingress",
                              "rule": 0,
                              "peer": 0,
                              "action": "Accept",
                              "means": "pods app=web in namespaces env=prod, TCP `pg`",
                              "file": "./policy.yaml",
                              "line": 10
                            },
                            "lacks": [
                              "namespace `dev`: lacks env=prod (has env=dev)"
                            ]
                          }
                        ]
                      }
                    },
                    {
                      "message": "dev/web -> shop/db on UDP 53 is denied, and should be allowed",
                      "from": [
                        "dev/web"
                      ],
                      "to": [
                        "shop/db"
                      ],
                      "ports": "UDP 53",
                      "verdict": "denied",
                      "egress": {
                        "verdict": "allowed",
                        "reason": "default"
                      },
                      "ingress": {
                        "verdict": "denied",
                        "reason": "isolated",
                        "isolated": [
                          {
                            "policy": "shop/db",
                            "kind": "NetworkPolicy",
                            "file": "./policy.yaml",
                            "line": 1
                          }
                        ],
                        "nearest": [
                          {
                            "rule": {
                              "policy": "shop/db",
                              "kind": "NetworkPolicy",
                              "direction": "ingress",
                              "rule": 0,
                              "peer": 0,
                              "action": "Accept",
                              "means": "pods app=web in namespaces env=prod, TCP `pg`",
                              "file": "./policy.yaml",
                              "line": 10
                            },
                            "lacks": [
                              "namespace `dev`: lacks env=prod (has env=dev)",
                              "port 53/UDP is not among the rule's: `pg` is 5432/TCP on shop/db"
                            ]
                          }
                        ]
                      }
                    }
                  ]
                },
                {
                  "name": "only the web tier reaches the web tier",
                  "assertion": "only",
                  "file": "<stdin>",
                  "line": 4,
                  "passed": false,
                  "failures": [
                    {
                      "message": "shop/db -> dev/web on TCP 80 is allowed, and is not on the list",
                      "from": [
                        "shop/db"
                      ],
                      "to": [
                        "dev/web"
                      ],
                      "ports": "TCP 80",
                      "verdict": "allowed",
                      "egress": {
                        "verdict": "allowed",
                        "reason": "default"
                      },
                      "ingress": {
                        "verdict": "allowed",
                        "reason": "default"
                      }
                    },
                    {
                      "message": "0.0.0.0/0 -> dev/web, shop/web on TCP 80 is allowed, and is not on the list",
                      "from": [
                        "0.0.0.0/0"
                      ],
                      "to": [
                        "dev/web",
                        "shop/web"
                      ],
                      "ports": "TCP 80",
                      "verdict": "allowed",
                      "egress": {
                        "verdict": "allowed",
                        "reason": "unmanaged"
                      },
                      "ingress": {
                        "verdict": "allowed",
                        "reason": "default"
                      }
                    },
                    {
                      "message": "dev/web, shop/db -> shop/web on TCP 80 is allowed, and is not on the list",
                      "from": [
                        "dev/web",
                        "shop/db"
                      ],
                      "to": [
                        "shop/web"
                      ],
                      "ports": "TCP 80",
                      "verdict": "allowed",
                      "egress": {
                        "verdict": "allowed",
                        "reason": "default"
                      },
                      "ingress": {
                        "verdict": "allowed",
                        "reason": "default"
                      }
                    }
                  ]
                },
                {
                  "name": "at-most nobody -> shop/db",
                  "assertion": "at-most",
                  "file": "<stdin>",
                  "line": 6,
                  "passed": false,
                  "failures": [
                    {
                      "message": "shop/web -> shop/db on TCP 5432 is allowed, and is not on the list",
                      "from": [
                        "shop/web"
                      ],
                      "to": [
                        "shop/db"
                      ],
                      "ports": "TCP 5432",
                      "verdict": "allowed",
                      "egress": {
                        "verdict": "allowed",
                        "reason": "default"
                      },
                      "ingress": {
                        "verdict": "allowed",
                        "reason": "rules",
                        "rules": [
                          {
                            "policy": "shop/db",
                            "kind": "NetworkPolicy",
                            "direction": "ingress",
                            "rule": 0,
                            "peer": 0,
                            "action": "Accept",
                            "means": "pods app=web in namespaces env=prod, TCP `pg`",
                            "file": "./policy.yaml",
                            "line": 10
                          }
                        ]
                      }
                    }
                  ]
                }
              ],
              "coverage": {
                "rules": 1,
                "uncoveredRules": [],
                "isolations": 1,
                "uncoveredIsolations": []
              },
              "mutation": null,
              "caveats": []
            }
            -- exit 1
        "#]],
    );
}

#[test]
fn bad_test_files_are_told_with_places() {
    let dir = shop("test-bad");
    for (tests, want) in [
        (
            "tests:\n- alow: {from: a/b, to: c/d}\n- name: nothing\n- deny: {from: shop/web, to: shop/db, port: 70000}\n- deny: {from: [], to: shop/db}\n- deny: {from: shop/web}\n- deny: {from: 1, to: shop/db}\n",
            expect![[r#"
            -- stderr
            error: unknown field `alow`
             --> <stdin>:2:3
              |
            2 | - alow: {from: a/b, to: c/d}
              |   ^^^^
            help: did you mean `allow`?

            error: this test asserts nothing
             --> <stdin>:3:3
              |
            3 | - name: nothing
              |   ^^^^
            help: give exactly one of `allow`, `deny`, `only` and `at-most`

            error: port `70000` is out of range
             --> <stdin>:4:45
              |
            4 | - deny: {from: shop/web, to: shop/db, port: 70000}
              |                                             ^^^^^
            help: ports are 1 to 65535

            error: `from` names nobody
             --> <stdin>:5:16
              |
            5 | - deny: {from: [], to: shop/db}
              |                ^^
            help: name at least one pod or address

            error: `to` is missing
             --> <stdin>:6:9
              |
            6 | - deny: {from: shop/web}
              |         ^^^^^^^^^^^^^^^^
            help: every assertion says `from` and `to`

            error: want a name: `ns/pod`, `ns/kind/name`, `ns/svc/name`, `ns/*`, `ns/key=value`, an address, a CIDR or `outside`, found a number
             --> <stdin>:7:16
              |
            7 | - deny: {from: 1, to: shop/db}
              |                ^
            -- exit 2
        "#]],
        ),
        (
            "tests:\n- deny: {from: shop/wbe, to: shop/app=x}\n- deny: {from: shop/web, to: shop/db, port: http}\n- deny: {from: shop/svc/db, to: shop/db}\n",
            expect![[r#"
            -- stderr
            error: nothing here is called `shop/wbe`
             --> <stdin>:2:16
              |
            2 | - deny: {from: shop/wbe, to: shop/app=x}
              |                ^^^^^^^^
            help: did you mean `shop/web` or `dev/web`?

            error: shop/db has no port named `http`
             --> <stdin>:3:45
              |
            3 | - deny: {from: shop/web, to: shop/db, port: http}
              |                                             ^^^^
            help: it has pg

            error: `shop/svc/db` is a Service, which opens no connections
             --> <stdin>:4:16
              |
            4 | - deny: {from: shop/svc/db, to: shop/db}
              |                ^^^^^^^^^^^
            help: name a pod, a workload or an address as the source
            -- exit 2
        "#]],
        ),
        (
            "- deny\n",
            expect![[r#"
            -- stderr
            error: want a mapping, found a list
             --> <stdin>:1:1
              |
            1 | - deny
              | ^
            -- exit 2
        "#]],
        ),
        (
            "tests: []\n",
            expect![[r#"
            -- stderr
            error: the test files hold no test
            help: write a list under `tests:`; `moat test --help` shows one
            -- exit 2
        "#]],
        ),
        (
            "a: [\n",
            expect![[r#"
            -- stderr
            error: a value is missing here
             --> <stdin>:2:1   a[0]
              |
            2 | 
              | ^
            help: close what `{` or `[` opens before this, and remove a stray comma
            -- exit 2
        "#]],
        ),
    ] {
        check_with(&dir, &["test", "-", "-f", "."], tests, want);
    }
    check(
        &dir,
        &["test", "-", "-f", "-"],
        expect![[r#"
        -- stderr
        error: standard input cannot be both tests and manifests
        help: put one of them into a file
        -- exit 2
    "#]],
    );
}

#[test]
fn what_kubernetes_leaves_open_is_said() {
    let dir = Dir::new(
        "elsewhere",
        &[(
            "all.yaml",
            "\
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: a}}
spec: {containers: [{name: a, image: a}]}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, labels: {app: b}}
spec: {containers: [{name: b, image: b}]}
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b}
spec:
  podSelector: {matchLabels: {app: b}}
  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8}}]
",
        )],
    );
    check(
        &dir,
        &["explain", "-f", ".", "a", "b:80"],
        expect![[r#"
        ALLOWED  default/a -> default/b:80/TCP

          egress of default/a: allowed, no policy decides and the default is to allow
          ingress of default/b: allowed by
            netpol default/b ingress[0] from[0]                   ./all.yaml:19
              addresses 10.0.0.0/8, all ports

          implementation-defined: moat allowed, spec undefined, calico allowed, cilium denied (`moat dialects`)
            does an ipBlock that covers pod addresses match those pods?
        -- exit 0
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", ".", "a", "b:80", "--dialect", "cilium"],
        expect![[r#"
        DENIED   default/a -> default/b:80/TCP

          egress of default/a: allowed, no policy decides and the default is to allow
          ingress of default/b: denied, the pod is isolated and no rule matches
            isolated by:
              netpol default/b                                    ./all.yaml:13
            to allow it:
              1. add an ingress rule to netpol default/b  ./all.yaml:13
                   - from:
                     - podSelector: {matchLabels: {app: a}}
                     ports:
                     - {protocol: TCP, port: 80}
                 opens nothing else

          implementation-defined: cilium denied, moat allowed, spec undefined, calico allowed (`moat dialects`)
            does an ipBlock that covers pod addresses match those pods?
        -- exit 1
    "#]],
    );
    check(
        &dir,
        &["explain", "-f", ".", "a", "b:80", "-o", "yaml"],
        expect![[r#"
            apiVersion: moat.dev/v1
            kind: Explanation
            verdict: allowed
            from: default/a
            to: default/b
            anyPort: false
            service: null
            flows:
              - from:
                  - default/a
                to:
                  - default/b
                protocol: TCP
                port: 80
                family: IPv4
                verdict: allowed
                egress:
                  verdict: allowed
                  reason: default
                ingress:
                  verdict: allowed
                  reason: rules
                  rules:
                    - policy: default/b
                      kind: NetworkPolicy
                      direction: ingress
                      rule: 0
                      peer: 0
                      action: Accept
                      means: "addresses 10.0.0.0/8, all ports"
                      file: "./all.yaml"
                      line: 19
            implementationDefined:
              verdicts:
                moat: allowed
                spec: undefined
                calico: allowed
                cilium: denied
              because:
                - "does an ipBlock that covers pod addresses match those pods?"
            notes: []
            caveats: []
            -- exit 0
        "#]],
    );
}

#[test]
fn the_doors_of_the_outside_world_are_named() {
    let dir = shop("doors");
    let doors = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: db, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: lb, namespace: shop}
spec:
  type: LoadBalancer
  selector: {app: db}
  ports: [{port: 5432}]
";
    std::fs::write(dir.0.join("doors.yaml"), doors).unwrap();
    check(
        &dir,
        &["explain", "-f", ".", "203.0.113.9", "shop/svc/db:80"],
        expect![[r#"
            DENIED   203.0.113.9 -> shop/svc/db

              service: shop/svc/db:80 goes to port `pg` of 1 backend  ./world.yaml:27

              DENIED 203.0.113.9 -> shop/db:5432/TCP
              egress of 203.0.113.9: allowed, policies do not apply to this end
              ingress of shop/db: denied, the pod is isolated and no rule matches
                isolated by:
                  netpol shop/db                                      ./policy.yaml:1
                nearest rule:
                  netpol shop/db ingress[0] from[0]                   ./policy.yaml:11
                    - the rule means pods app=web in namespaces env=prod, not addresses outside the cluster
                to allow it:
                  1. add an ingress rule to netpol shop/db  ./policy.yaml:1
                       - from:
                         - ipBlock: {cidr: 203.0.113.9/32}
                         ports:
                         - {protocol: TCP, port: 5432}
                     opens nothing else

              note: shop/svc/db has no address outside the cluster: only what runs on a node can use it, and this is the verdict on its pods

              note: ingress shop/shop (shop.example.com/) leads here: its controller's pods open these connections, and policies see them, not the client's address

              note: shop/svc/lb lets the outside in: policies see the client's address only where the node keeps it (externalTrafficPolicy: Local), else the node's
            -- exit 1
        "#]],
    );
}

#[test]
fn a_proposal_tells_what_else_it_opens() {
    let dir = shop("opens");
    let second = "\
apiVersion: v1
kind: Pod
metadata: {name: db2, namespace: shop, labels: {app: db}}
spec: {containers: [{name: db, ports: [{name: pg, containerPort: 5433}]}]}
";
    std::fs::write(dir.0.join("second.yaml"), second).unwrap();
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
                 also opens 1 pair:
                   dev/web -> shop/db2 on TCP 5433
              2. add an ingress rule to netpol shop/db  ./policy.yaml:1
                   - from:
                     - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dev}}
                       podSelector: {matchLabels: {app: web}}
                     ports:
                     - {protocol: TCP, port: 5432}
                 also opens 1 pair:
                   dev/web -> shop/db2 on TCP 5432
        -- exit 1
    "#]],
    );
}
