use super::{render, value};
use crate::Style;
use moat_analyze::diff::diff;
use moat_ir::Bound;
use moat_model::{Data, SourceId, Value as Tree};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A document of which everything is on line 7.
fn tree(json: &Json) -> Tree {
    fn place(tree: &mut Tree) {
        tree.pos.line = 7;
        match &mut tree.data {
            Data::List(items) => items.iter_mut().for_each(place),
            Data::Map(entries) => entries.iter_mut().for_each(|entry| place(&mut entry.value)),
            _ => {}
        }
    }
    let mut tree = Tree::from(json);
    place(&mut tree);
    tree
}

fn world(objects: &[Json]) -> Bound {
    let trees: Vec<Tree> = objects.iter().map(tree).collect();
    let lowered = moat_model::lower(
        trees.iter().map(|tree| (SourceId(0), tree)),
        &[],
        &moat_model::Options::default(),
    );
    let symbolic = moat_compile::compile(&lowered.policies, &["world.yaml".into()]);
    moat_compile::bind(Arc::new(symbolic), &lowered.inventory, moat_compile::Dialect::MOAT)
}

fn shop(apps: &[&str], ports: &[u16]) -> Bound {
    let mut objects: Vec<Json> = apps
        .iter()
        .map(|app| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": "shop"},
                "spec": {
                    "selector": {"matchLabels": {"app": app}},
                    "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
                },
            })
        })
        .collect();
    let ports: Vec<Json> = ports.iter().map(|port| json!({"port": port})).collect();
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": ports}],
        },
    }));
    world(&objects)
}

#[test]
fn text_names_ends_ports_and_rules() {
    let (old, new) =
        (shop(&["web", "db", "old"], &[5432]), shop(&["web", "db", "new"], &[5432, 80]));
    expect_test::expect![[r#"
        ~ widened   shop/deployment/web  ->  shop/deployment/db   TCP 5432  =>  TCP 80,5432
                    by netpol shop/db ingress[0]                  world.yaml:7
        + new       shop/deployment/new   reaches 1 and the outside, is reached by 2 and the outside
        - gone      shop/deployment/old   reaches 1 and the outside, is reached by 2 and the outside

        0 opened, 0 closed, 1 widened, 0 narrowed pairs; workloads: 1 new, 1 gone; policies: +0 -0 ~1
    "#]]
    .assert_eq(&render(&old, &new, &diff(&old, &new), Style::default()));
    expect_test::expect![[r#"
        no connection and no workload differs; policies: +0 -0 ~0
    "#]]
    .assert_eq(&render(&old, &old, &diff(&old, &old), Style::default()));
}

#[test]
fn data_has_a_stable_schema() {
    let (old, new) = (shop(&["web", "db"], &[5432]), shop(&["web", "db"], &[80]));
    expect_test::expect![[r#"
        {
          "apiVersion": "moat.dev/v1",
          "kind": "Diff",
          "equal": false,
          "summary": {
            "opened": 0,
            "closed": 0,
            "widened": 0,
            "narrowed": 0,
            "changed": 1,
            "workloadsNew": 0,
            "workloadsGone": 0,
            "policies": {
              "added": [],
              "removed": [],
              "changed": [
                "netpol shop/db"
              ]
            }
          },
          "changes": [
            {
              "change": "changed",
              "from": [
                "shop/deployment/web"
              ],
              "to": [
                "shop/deployment/db"
              ],
              "pairs": 1,
              "before": "TCP 5432",
              "after": "TCP 80",
              "added": "TCP 80",
              "removed": "TCP 5432",
              "by": [
                {
                  "policy": "shop/db",
                  "kind": "NetworkPolicy",
                  "direction": "ingress",
                  "rule": 0,
                  "file": "world.yaml",
                  "line": 7,
                  "text": "by netpol shop/db ingress[0]"
                },
                {
                  "policy": "shop/db",
                  "kind": "NetworkPolicy",
                  "direction": "ingress",
                  "rule": 0,
                  "file": "world.yaml",
                  "line": 7,
                  "text": "no longer by netpol shop/db ingress[0] (changed)"
                }
              ]
            }
          ],
          "workloads": {
            "new": [],
            "gone": []
          }
        }
    "#]]
    .assert_eq(&format!("{:#}\n", value(&old, &new, &diff(&old, &new))));
}

fn policy(name: &str, selector: &Json, ingress: &Json) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress},
    })
}

fn pods(apps: &[&str]) -> Vec<Json> {
    let pod = |app: &&str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": app, "namespace": "shop", "labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        })
    };
    apps.iter().map(pod).collect()
}

#[test]
fn a_verdict_that_is_not_certain_says_what_it_depends_on() {
    let block = json!([{"from": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"port": 80}]}]);
    let db = json!({"matchLabels": {"app": "db"}});
    let old = world(&[pods(&["db", "web"]), vec![policy("db", &db, &json!([]))]].concat());
    let new = world(&[pods(&["db", "web"]), vec![policy("db", &db, &block)]].concat());
    let there = render(&old, &new, &diff(&old, &new), Style::default());
    let back = render(&new, &old, &diff(&new, &old), Style::default());
    expect_test::expect![[r#"
        + opened    10.0.0.5/32  ->  shop/db   TCP 80
                    by netpol shop/db ingress[0]                  world.yaml:7
        ~ changed   shop/web  ->  shop/db   TCP 80 may now pass, which depends on pod addresses that are not known
                    perhaps by netpol shop/db ingress[0]          world.yaml:7

        1 opened, 0 closed, 0 widened, 0 narrowed, 1 changed pairs; workloads: 0 new, 0 gone; policies: +0 -0 ~1
        --
        - closed    10.0.0.5/32  ->  shop/db   TCP 80
                    no longer by netpol shop/db ingress[0] (changed)  world.yaml:7
        ~ changed   shop/web  ->  shop/db   TCP 80 might pass before and is denied now
                    no longer perhaps by netpol shop/db ingress[0] (changed)  world.yaml:7

        0 opened, 1 closed, 0 widened, 0 narrowed, 1 changed pairs; workloads: 0 new, 0 gone; policies: +0 -0 ~1
    "#]].assert_eq(&format!("{there}--\n{back}"));
}

#[test]
fn of_many_policies_two_are_named() {
    let apps = ["a", "b", "c", "d", "e"];
    let mut objects = pods(&apps);
    let old = world(&objects);
    objects.extend(apps.map(|app| policy(app, &json!({"matchLabels": {"app": app}}), &json!([]))));
    objects.push(policy("deny-all", &json!({}), &json!([])));
    let new = world(&objects);
    expect_test::expect![[r#"
        - closed    shop/*  ->  shop/*   all ports
                    by netpol shop/deny-all (isolates)            world.yaml:7
                    by netpol shop/a (isolates)                   world.yaml:7
                    … 4 more causes; `-o json` has them
        - closed    0.0.0.0/0, ::/0  ->  shop/*   all ports
                    by netpol shop/deny-all (isolates)            world.yaml:7
                    by netpol shop/a (isolates)                   world.yaml:7
                    … 4 more causes; `-o json` has them

        0 opened, 25 closed, 0 widened, 0 narrowed pairs; workloads: 0 new, 0 gone; policies: +6 -0 ~0
    "#]].assert_eq(&render(&old, &new, &diff(&old, &new), Style::default()));
}
