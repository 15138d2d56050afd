//! What the binary says to questions, flows and forms that people get wrong at first.

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
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec:
  containers:
  - name: api
    ports:
    - {name: http, containerPort: 8080}
    - {containerPort: 9090}
    - {name: dns, containerPort: 53, protocol: UDP}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: shop, labels: {app: done}}
spec: {containers: [{name: done}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Service
metadata: {name: api-svc, namespace: shop}
spec:
  selector: {app: api}
  ports: [{name: web, port: 80, targetPort: http}]
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: shop}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: main, namespace: shop}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: http}]
";

fn shop(name: &str) -> Dir {
    Dir::new(&format!("words-{name}"), &[("world.yaml", WORLD)])
}

/// The first lines that are said to a question.
fn ask(dir: &Dir, questions: &[(&str, &str)], expected: Expect) {
    let mut text = String::new();
    for (from, to) in questions {
        let said = shown(&dir.0, &["explain", "-n", "shop", "-f", ".", from, to], "");
        let said = said.lines().filter(|line| !line.starts_with("-- ") && !line.is_empty());
        text.push_str(&format!("{from} {to}\n"));
        said.take(2).for_each(|line| text.push_str(&format!("  {}\n", line.trim())));
    }
    expected.assert_eq(&text);
}

#[test]
fn names_that_are_almost_right_are_understood_or_mended() {
    let dir = shop("names");
    ask(
        &dir,
        &[
            ("web", "api:80-90"),
            ("web", "api:htpp"),
            ("web", "api:dns/UDP"),
            ("web", "web:http"),
            ("web", "svc/api-svc:http"),
            ("web", "https://example.com"),
            ("web", "example.com:443"),
            ("web", "fd00::1:80"),
            ("", "api:http"),
            ("*", "api:http"),
            ("shop/*", "api:http"),
            ("web:80", "api:http"),
            ("deployment/web", "pod/api:http"),
            ("deployment/wbe", "svc/api-svc:80"),
        ],
        expect![[r#"
            web api:80-90
              error: `80-90` is a range of ports
              help: ask about one port, or leave it out to ask about every port
            web api:htpp
              error: shop/api has no port named `htpp`
              help: it declares http 8080/TCP, 9090/TCP, dns 53/UDP
            web api:dns/UDP
              DENIED   shop/deployment/web -> shop/api:53/UDP
              egress of shop/deployment/web: allowed, no policy decides and the default is to allow
            web web:http
              error: shop/deployment/web has no port named `http`
              help: it declares no port; give the port's number
            web svc/api-svc:http
              DENIED   shop/deployment/web -> shop/svc/api-svc
              service: shop/svc/api-svc has no port `http`; it has web 80/TCP
            web https://example.com
              error: `https://example.com` is a URL, not a name
              help: write `domain/example.com:443`
            web example.com:443
              error: nothing here is called `example.com`
              help: did you mean `domain/example.com`?
            web fd00::1:80
              error: `fd00::1:80` may be an address, or TCP port 80 of `fd00::1`
              help: write `[fd00::1:80]` for the address, `[fd00::1]:80` for the port
             api:http
              error: the name is empty
              help: name a pod `ns/pod`, a workload `ns/kind/name`, a Service `ns/svc/name`, or an address
            * api:http
              error: `*` is a pattern, and one name is asked for
              help: `moat test` takes patterns, and `moat reach --namespace NS` shows all pods of a namespace
            shop/* api:http
              error: `shop/*` is a pattern, and one name is asked for
              help: `moat test` takes patterns, and `moat reach --namespace NS` shows all pods of a namespace
            web:80 api:http
              error: `web:80` has a port, and only a destination has one
              help: write `web`: FROM takes no port, because connections leave from any; in flows and tests `80` belongs in `port`
            deployment/web pod/api:http
              ALLOWED  shop/deployment/web -> shop/api:8080/TCP
              egress of shop/deployment/web: allowed, no policy decides and the default is to allow
            deployment/wbe svc/api-svc:80
              error: nothing here is called `deployment/wbe`
              help: did you mean `shop/deployment/web`?
        "#]],
    );
}

#[test]
fn focus_takes_pods_and_what_leads_to_them() {
    let dir = shop("focus");
    let mut text = String::new();
    for name in ["shop/svc/api-svc", "nope", "10.0.0.1", "example.com"] {
        text.push_str(&format!(
            "{name}\n{}",
            shown(&dir.0, &["reach", "-f", ".", "--focus", name], "")
        ));
    }
    expect![[r#"
        shop/svc/api-svc
        2 pods in 1 namespace, 1 policy
        isolated: 1 for ingress, 0 for egress
        outside: may reach 1 pod, is reached by 2 pods
        allowed: 3 pairs in 2 lines

        SOURCE                 DESTINATION                    PORTS
        shop/deployment/web -> shop/api                       TCP 8080
        shop/api            -> shop/deployment/web, anywhere  all ports
        -- stderr
        note: 1 finished pod has no traffic (not listed)
        note: 1 object of a kind that is not interpreted (Prometheus) may make pods that are not shown
        -- exit 0
        nope
        -- stderr
        error: nothing here is called `nope`
        help: name a pod `ns/pod`, a workload `ns/kind/name`, or a Service `ns/svc/name`
        -- exit 2
        10.0.0.1
        -- stderr
        error: `10.0.0.1` is no pod, workload or Service
        help: name a pod `ns/pod`, a workload `ns/kind/name`, or a Service `ns/svc/name`
        -- exit 2
        example.com
        -- stderr
        error: nothing here is called `example.com`
        help: name a pod `ns/pod`, a workload `ns/kind/name`, or a Service `ns/svc/name`
        -- exit 2
    "#]].assert_eq(&text);
}

#[test]
fn a_direction_is_seen_from_the_pods() {
    let dir = shop("direction");
    let rows = |direction: &str| {
        shown(&dir.0, &["reach", "-f", ".", "-o", "csv", "--direction", direction], "")
    };
    expect![[r#"
        source,destination,protocol,ports
        shop/api,0.0.0.0/0 ::/0,SCTP,*
        shop/api,0.0.0.0/0 ::/0,TCP,*
        shop/api,0.0.0.0/0 ::/0,UDP,*
        shop/api,shop/deployment/web,SCTP,*
        shop/api,shop/deployment/web,TCP,*
        shop/api,shop/deployment/web,UDP,*
        shop/deployment/web,0.0.0.0/0 ::/0,SCTP,*
        shop/deployment/web,0.0.0.0/0 ::/0,TCP,*
        shop/deployment/web,0.0.0.0/0 ::/0,UDP,*
        shop/deployment/web,shop/api,TCP,8080
        -- stderr
        note: 1 finished pod has no traffic (not listed)
        note: 1 object of a kind that is not interpreted (Prometheus) may make pods that are not shown
        -- exit 0
    "#]].assert_eq(&rows("egress"));
    expect![[r#"
        source,destination,protocol,ports
        0.0.0.0/0 ::/0,shop/deployment/web,SCTP,*
        0.0.0.0/0 ::/0,shop/deployment/web,TCP,*
        0.0.0.0/0 ::/0,shop/deployment/web,UDP,*
        shop/api,shop/deployment/web,SCTP,*
        shop/api,shop/deployment/web,TCP,*
        shop/api,shop/deployment/web,UDP,*
        shop/deployment/web,shop/api,TCP,8080
        -- stderr
        note: 1 finished pod has no traffic (not listed)
        note: 1 object of a kind that is not interpreted (Prometheus) may make pods that are not shown
        -- exit 0
    "#]].assert_eq(&rows("ingress"));
}

#[test]
fn tables_break_between_names_and_not_at_all_in_pipes() {
    let dir = shop("table");
    let mut pods = String::new();
    for name in ["a", "b", "c"] {
        pods.push_str(&format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-a-name-that-is-quite-long-for-a-pod, namespace: shop, labels: {{x: {name}}}}}\nspec: {{containers: [{{name: c}}]}}\n"
        ));
    }
    pods.push_str("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec:\n  podSelector: {matchLabels: {x: a}}\n  ingress:\n  - from: [{podSelector: {matchExpressions: [{key: x, operator: In, values: [b, c]}]}}]\n");
    std::fs::write(dir.0.join("pods.yaml"), pods).unwrap();
    let args = ["reach", "-f", ".", "--focus", "shop/a-a-name-that-is-quite-long-for-a-pod"];
    let text = |columns| String::from_utf8(run(&dir.0, &args, "", columns).stdout).unwrap();
    expect![[r#"
        5 pods in 1 namespace, 2 policies
        isolated: 2 for ingress, 0 for egress
        outside: may reach 3 pods, is reached by 5 pods
        allowed: 6 pairs in 2 lines

        SOURCE                                          DESTINATION                                   PORTS
        shop/{b-a-name-that-is-quite-long-for-a-pod, -> shop/a-a-name-that-is-quite-long-for-a-pod    all ports
        c-a-name-that-is-quite-long-for-a-pod}
        shop/a-a-name-that-is-quite-long-for-a-pod   -> shop/{b-a-name-that-is-quite-long-for-a-pod,  all ports
                                                        c-a-name-that-is-quite-long-for-a-pod,
                                                        deployment/web}, anywhere
    "#]].assert_eq(&text(Some("60")));
    expect![[r#"
        5 pods in 1 namespace, 2 policies
        isolated: 2 for ingress, 0 for egress
        outside: may reach 3 pods, is reached by 5 pods
        allowed: 6 pairs in 2 lines

        SOURCE                                                                              DESTINATION                                                                       PORTS
        shop/{b-a-name-that-is-quite-long-for-a-pod,c-a-name-that-is-quite-long-for-a-pod} -> shop/a-a-name-that-is-quite-long-for-a-pod                                        all ports
        shop/a-a-name-that-is-quite-long-for-a-pod                                       -> shop/{b-a-name-that-is-quite-long-for-a-pod,c-a-name-that-is-quite-long-for-a-pod,deployment/web}, anywhere  all ports
    "#]].assert_eq(&text(None));
}

#[test]
fn flows_are_told_what_is_wrong_with_them_in_plain_words() {
    let dir = shop("flows");
    let flows = r#"{"from":"shop/web","to":"shop/api","port":8080,"time":"now","bytes":[1,{"a":2}]}

{"from":"shop/web","to":"shop/api","port":"http"}
{"from":"shop/web","to":"shop/svc/api-svc","port":"web"}
{"from":"shop/web","to":"shop/api","port":"dns","protocol":"UDP"}
{"from":"shop/web","to":"shop/api","port":"53/udp"}
{"from":"shop/web","to":"shop/api","protocol":"ICMP"}
{"from":"shop/web","to":"shop/api","port":"dns","protocol":"TCP"}
{"from":"shop/web","to":"shop/api","port":53,"prot":"UDP"}
{"from":"shop/web","to":"shop/api","port":53,"Protocol":"UDP"}
{"from":"shop/web","to":"shop/api","dport":53}
{"from":"shop/web","to":"shop/api"}
{"from":"shop/web","to":"shop/api:8080"}
{"from":"shop/web","to":"shop/api:8080","port":8080}
{"from":"shop/web","to":"shop/api","port":"53/UDP","protocol":"TCP"}
{"from":"shop/web","to":"shop/api","port":true}
{"from":"shop/web","to":"shop/api","port":70000}
{"from":1,"to":"shop/api","port":80}
{"from":"shop/web","from":"shop/web","to":"shop/api","port":80}
["shop/web","shop/api",80,"TCP"]
not json
{"from":"shop/web" "to":"shop/api"}
{"from":"shop/web"
"#;
    let args = ["explain", "-f", ".", "--flows", "-", "-o", "jsonl"];
    let said = shown(&dir.0, &args, flows);
    let mut text = String::new();
    for line in said.lines() {
        // Why a flow is allowed or denied is told elsewhere.
        text.push_str(line.split_once(",\"egress\"").map_or(line, |(head, _)| head));
        text.push('\n');
    }
    expect![[r#"
        {"line":1,"verdict":"allowed"
        {"line":3,"verdict":"allowed"
        {"line":4,"verdict":"allowed"
        {"line":5,"verdict":"denied"
        {"line":6,"verdict":"denied"
        {"line":7,"verdict":"denied"
        {"line":8,"verdict":"error","error":"shop/api has no TCP port named `dns`","help":"it declares http 8080/TCP, 9090/TCP, dns 53/UDP"}
        {"line":9,"verdict":"error","error":"`prot` is no field of a flow","help":"name the protocol in `protocol`; without it TCP is meant"}
        {"line":10,"verdict":"error","error":"`Protocol` is no field of a flow","help":"name the protocol in `protocol`; without it TCP is meant"}
        {"line":11,"verdict":"error","error":"no `port`","help":"is `dport` meant to be `port`?"}
        {"line":12,"verdict":"error","error":"no `port`","help":"a flow is written {\"from\":\"ns/pod\",\"to\":\"ns/pod\",\"port\":80,\"protocol\":\"TCP\"}"}
        {"line":13,"verdict":"error","error":"`to` is `shop/api:8080`, and no `port` is given","help":"write `8080` as the line's `port`"}
        {"line":14,"verdict":"error","error":"`to` is `shop/api:8080`, with a port of its own","help":"`8080` belongs in `port`"}
        {"line":15,"verdict":"error","error":"`port` says UDP and `protocol` says TCP","help":null}
        {"line":16,"verdict":"error","error":"`port` is true or false and must be a port or its name","help":"ports are 1 to 65535"}
        {"line":17,"verdict":"error","error":"port `70000` is out of range","help":"ports are 1 to 65535"}
        {"line":18,"verdict":"error","error":"`from` is a number and must be a string","help":null}
        {"line":19,"verdict":"error","error":"`from` is given more than once","help":null}
        {"line":20,"verdict":"error","error":"not a JSON object","help":"a flow is written {\"from\":\"ns/pod\",\"to\":\"ns/pod\",\"port\":80,\"protocol\":\"TCP\"}"}
        {"line":21,"verdict":"error","error":"not a JSON object","help":"a flow is written {\"from\":\"ns/pod\",\"to\":\"ns/pod\",\"port\":80,\"protocol\":\"TCP\"}"}
        {"line":22,"verdict":"error","error":"not valid JSON: column 20","help":"a flow is written {\"from\":\"ns/pod\",\"to\":\"ns/pod\",\"port\":80,\"protocol\":\"TCP\"}"}
        {"line":23,"verdict":"error","error":"not valid JSON: it ends too early","help":"a flow is written {\"from\":\"ns/pod\",\"to\":\"ns/pod\",\"port\":80,\"protocol\":\"TCP\"}"}
        -- stderr
        error: some lines are no flows that can be answered
        help: their answers have `verdict` `error` and say why
        -- exit 2
    "#]].assert_eq(&text);
}

#[test]
fn a_line_that_is_too_long_is_one_line() {
    let dir = shop("long");
    let good = r#"{"from":"shop/web","to":"shop/api","port":8080}"#;
    let flows = format!("{good}\n{{\"x\":\"{}\"}}\n{good}\n", "y".repeat(3 << 20));
    let output = run(&dir.0, &["explain", "-f", ".", "--flows", "-"], &flows, None);
    let text = String::from_utf8(output.stdout).unwrap();
    let heads: Vec<&str> = text.lines().filter_map(|line| line.split(",\"e").next()).collect();
    assert_eq!(
        heads,
        [
            r#"{"line":1,"verdict":"allowed""#,
            r#"{"line":2,"verdict":"error""#,
            r#"{"line":3,"verdict":"allowed""#
        ]
    );
}

#[test]
fn files_without_flows_are_told() {
    let dir = shop("no-flows");
    std::fs::write(dir.0.join("empty.jsonl"), "\n \n").unwrap();
    let mut text = String::new();
    for file in ["empty.jsonl", "missing.jsonl", "."] {
        text.push_str(&shown(&dir.0, &["explain", "-f", "world.yaml", "--flows", file], ""));
    }
    expect![[r#"
        -- stderr
        note: there was no flow to answer
        -- exit 0
        -- stderr
        error: cannot read `missing.jsonl`: No such file or directory (os error 2)
        help: name a file with one flow a line, or - for standard input
        -- exit 2
        -- stderr
        error: cannot read `.`: it is a directory
        help: name a file with one flow a line, or - for standard input
        -- exit 2
    "#]]
    .assert_eq(&text);
}
