use super::*;
use crate::Style;
use expect_test::{Expect, expect};
use moat_analyze::reach::{Matrix, Namer, Options, matrix};
use moat_ir::{Bound, Direction};
use moat_model::{SourceId, Value as Tree};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A shop: `web` is open to everyone, `api` to `web`, `db` to `api` and to the auditors of any namespace; two open namespaces.
fn shop() -> Bound {
    let mut objects = Vec::new();
    for name in ["dev", "shop", "tools"] {
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"env": name}}}));
    }
    let pods = [
        ("dev", "bench", 2),
        ("shop", "web", 3),
        ("shop", "api", 2),
        ("shop", "db", 1),
        ("tools", "ci", 2),
    ];
    for (namespace, app, n) in pods {
        for at in 0..n {
            objects.push(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("{app}-{at}"), "namespace": namespace, "labels": {"app": app}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
                "status": {"phase": "Running", "podIP": format!("10.0.{}.{at}", app.len())},
            }));
        }
    }
    let app = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let auditors =
        json!({"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "auditor"}}});
    let policies = [
        ("web", json!([{"ports": [{"port": 443}]}])),
        ("api", json!([{"from": [app("web")], "ports": [{"port": 8080}]}])),
        ("db", json!([{"from": [app("api"), auditors], "ports": [{"port": 5432}]}])),
    ];
    for (name, ingress) in policies {
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"podSelector": {"matchLabels": {"app": name}}, "ingress": ingress},
        }));
    }
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "egress", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"],
            "egress": [{"to": [app("db")]}, {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443}]}],
        },
    }));
    bound(&objects)
}

fn bound(objects: &[Json]) -> Bound {
    let trees: Vec<Tree> = objects.iter().map(Tree::from).collect();
    let lowered = moat_model::lower(
        trees.iter().map(|tree| (SourceId(0), tree)),
        &[],
        &moat_model::Options::default(),
    );
    let symbolic = moat_compile::compile(&lowered.policies, &["shop.yaml".into()]);
    moat_compile::bind(Arc::new(symbolic), &lowered.inventory, moat_compile::Dialect::MOAT)
}

fn named(matrix: &Matrix<'_>) -> view::View {
    view::view(matrix, &matrix.grouped(), &Namer::new(matrix.bound()), false)
}

fn check_text(options: &Options, expect: &Expect) {
    let bound = shop();
    expect.assert_eq(&text::render(&named(&matrix(&bound, options)), Style::default(), false));
}

#[test]
fn namespaces_that_are_open_in_themselves_share_a_line() {
    let mut objects = Vec::new();
    for namespace in ["a", "b", "c", "d", "e", "f"] {
        for name in ["p", "q"] {
            objects.push(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            }));
        }
        // `f` has a door of its own.
        let rule = if namespace == "f" {
            json!({"from": [{"podSelector": {}}], "ports": [{"port": 80}]})
        } else {
            json!({"from": [{"podSelector": {}}]})
        };
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "own", "namespace": namespace},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [rule], "egress": [{"to": [{"podSelector": {}}]}]},
        }));
    }
    let bound = bound(&objects);
    let matrix = matrix(&bound, &Options::default());
    expect![[r#"
        12 pods in 6 namespaces, 6 policies
        isolated: 12 for ingress, 12 for egress
        outside: may reach 0 pods, is reached by 0 pods
        allowed: 12 pairs in 2 lines

        SOURCE                     DESTINATION    PORTS
        a/*, b/*, c/*, d/*, e/* -> own namespace  all ports
        f/*                     -> f/*            TCP 80
    "#]]
    .assert_eq(&text::render(&named(&matrix), Style::default(), false));
}

#[test]
fn pods_that_behave_alike_are_one_name() {
    check_text(
        &Options::default(),
        &expect![[r#"
            10 pods in 3 namespaces, 4 policies
            isolated: 6 for ingress, 2 for egress
            outside: may reach 7 pods, is reached by 10 pods
            allowed: 74 pairs in 6 lines

            SOURCE                                        DESTINATION                 PORTS
            */* except shop/app=api (8 pods), anywhere -> {dev,tools}/* (4 pods)      all ports
            shop/app=web (3 pods)                      -> shop/app=api (2 pods)       TCP 8080
            shop/app=api (2 pods)                      -> shop/db-0                   TCP 5432
            */* except shop/app=api (8 pods), anywhere -> shop/app=web (3 pods)       TCP 443
            */* except shop/app=api (8 pods)           -> anywhere                    all ports
            shop/app=api (2 pods)                      -> any IPv4 except 10.0.0.0/8  TCP 443
        "#]],
    );
}

#[test]
fn a_namespace_and_direction_narrow_the_lines() {
    let options = Options {
        namespaces: vec!["shop".into()],
        direction: Some(Direction::Ingress),
        ..Options::default()
    };
    check_text(
        &options,
        &expect![[r#"
            10 pods in 3 namespaces, 4 policies
            isolated: 6 for ingress, 2 for egress
            outside: may reach 7 pods, is reached by 10 pods
            allowed: 32 pairs in 3 lines

            SOURCE                                        DESTINATION            PORTS
            shop/app=web (3 pods)                      -> shop/app=api (2 pods)  TCP 8080
            shop/app=api (2 pods)                      -> shop/db-0              TCP 5432
            */* except shop/app=api (8 pods), anywhere -> shop/app=web (3 pods)  TCP 443
        "#]],
    );
}

#[test]
fn hops_name_the_way() {
    let bound = shop();
    let matrix = matrix(&bound, &Options::default());
    let namer = Namer::new(&bound);
    let start = (0u32..).zip(&bound.pods).find(|(_, pod)| &*pod.display == "shop/db-0").unwrap().0;
    let reached = matrix.hops(&[start], 3, Direction::Ingress);
    expect![[r#"
        shop/db-0 is reached by 9 of 10 pods within 3 hops

        hop 1
          shop/app=api (2 pods)  TCP 5432

        hop 2
          shop/app=web (3 pods)  TCP 8080  via shop/api-0

        hop 3
          {dev,tools}/* (4 pods), anywhere  TCP 443  via shop/web-0
    "#]]
    .assert_eq(&more::hops(
        &matrix,
        &namer,
        &[start],
        Direction::Ingress,
        &reached,
        Style::default(),
        false,
    ));
}

#[test]
fn exposure_speaks_of_pods_to_come() {
    let bound = shop();
    let matrix = matrix(&bound, &Options::default());
    expect![[r#"
        pods to come that could reach
          {dev,tools}/* (4 pods)
            any pod in any namespace  all ports
          shop/app=api (2 pods)
            any pod app=web in namespace shop  TCP 8080
          shop/db-0
            any pod app=api in namespace shop  TCP 5432
            any pod role=auditor in any namespace  TCP 5432
          shop/app=web (3 pods)
            any pod in any namespace  TCP 443

        pods to come that could be reached from
          */* except shop/app=api (8 pods)
            any pod in any namespace  all ports
          shop/app=api (2 pods)
            any pod app=db in namespace shop  all ports
    "#]]
    .assert_eq(&more::exposure(&Namer::new(&bound), &matrix.exposure(), Style::default(), false));
}

#[test]
fn graphs_and_tables_escape_their_text() {
    let bound = shop();
    let matrix = matrix(&bound, &Options::default());
    let (grouped, namer) = (matrix.grouped(), Namer::new(&bound));
    let graph = graph::graph(&matrix, &grouped, &namer);
    expect![[r#"
        flowchart LR
          n0["{dev,tools}/* (4 pods)"]
          n1["shop/app=api (2 pods)"]
          n2["shop/db-0"]
          n3["shop/app=web (3 pods)"]
          n4(["anywhere"])
          n5(["any IPv4 except 10.0.0.0/8"])
          n0 -->|"all ports"| n0
          n0 -->|"TCP 443"| n3
          n0 -->|"all ports"| n4
          n1 -->|"TCP 5432"| n2
          n1 -->|"TCP 443"| n5
          n2 -->|"all ports"| n0
          n2 -->|"TCP 443"| n3
          n2 -->|"all ports"| n4
          n3 -->|"all ports"| n0
          n3 -->|"TCP 8080"| n1
          n3 -->|"TCP 443"| n3
          n3 -->|"all ports"| n4
          n4 -->|"all ports"| n0
          n4 -->|"TCP 443"| n3
          classDef outside fill:#fff1e6,stroke:#c2570c
          class n4,n5 outside
    "#]]
    .assert_eq(&graph::mermaid(&graph));
    assert!(graph::dot(&graph).starts_with("digraph reach {"));
    assert!(graph::svg(&graph).contains("shop/app=web (3 pods)"));
    let page = html::render(&matrix, &grouped, &namer, "</script><b>", &[]);
    assert!(
        !page.contains("</script><b>") && page.contains("\\u003c/script\\u003e\\u003cb\\u003e")
    );
    assert_eq!(csv::field("80,443"), "\"80,443\"");
}

/// Every pair of the flat matrix is on exactly one line of the grouped one, with the same ports.
#[test]
fn lines_and_rows_are_the_same_pairs() {
    let bound = shop();
    let matrix = matrix(&bound, &Options::default());
    let grouped = matrix.grouped();
    let mut out = Vec::new();
    let tally = csv::write_flat(&matrix, &mut out).unwrap();
    assert_eq!(tally.pairs, grouped.summary.pairs);
    assert_eq!(tally.pairs, grouped.lines.iter().map(|line| line.n_pairs).sum::<u64>());
    assert_eq!(tally.rows + 1, String::from_utf8(out).unwrap().lines().count() as u64);
    assert_eq!(tally.pairs, grouped.cells(&matrix).values().map(|(_, n)| n).sum::<u64>());
    let mut json = Vec::new();
    data::write_flat(&matrix, &mut json).unwrap();
    let json: Json = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["connections"].as_array().unwrap().len() as u64, tally.pairs);
}

#[test]
fn long_names_are_told_apart_in_pictures() {
    let long =
        |end: &str| (format!("a-namespace/deployment/{{{}}}{end}", "component,".repeat(8)), false);
    // Where only the middle differs nothing is left out.
    let twin = |middle: &str| (format!("{}{middle}{}", "x".repeat(60), "y".repeat(60)), false);
    let nodes = vec![long("-one"), long("-two"), twin("1"), twin("2")];
    let graph = graph::Graph { nodes, edges: Vec::new(), coarse: false };
    let svg = graph::svg(&graph);
    let labels: Vec<&str> = svg
        .lines()
        .filter_map(|line| {
            line.split_once("middle\">")
                .or(line.split_once("start\">"))
                .or(line.split_once("end\">"))
        })
        .filter_map(|(_, rest)| rest.split_once("<title>"))
        .map(|(label, _)| label)
        .collect();
    let unique: std::collections::BTreeSet<&str> = labels.iter().copied().collect();
    assert_eq!((labels.len(), unique.len()), (4, 4), "{labels:?}");
    assert!(labels[0].ends_with("-one") && labels[0].chars().count() < 60, "{labels:?}");
}
