//! The examples of upstream's documentation, and what it says of them.

use crate::common::{asking, default, node, on, outcome, pod, with, world};
use expect_test::expect;
use moat_scheduler::{Pod, Profile, Snapshot, Strategy, Verdict, explain};
use serde_json::{Value, json};

fn zoned(name: &str, zone: &str) -> Value {
    node(name, json!({"metadata": {"labels": {"zone": zone, "node": name}}}))
}

fn foo(name: &str, at: &str) -> Value {
    with(pod(name, json!({"metadata": {"labels": {"foo": "bar"}}})), on(at))
}

fn constraint(key: &str) -> Value {
    json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"foo": "bar"}}})
}

fn spread(constraints: Value) -> Value {
    pod(
        "mypod",
        json!({"metadata": {"labels": {"foo": "bar"}}, "spec": {"topologySpreadConstraints": constraints}}),
    )
}

/// The nodes that would do.
fn fitting(world: &Snapshot, pod: &Value) -> Vec<String> {
    let report = explain(world, &Pod::read(pod), &Profile::default());
    let fits = report.nodes.into_iter().filter(|node| node.verdict != Verdict::Refused);
    let mut names: Vec<String> = fits.map(|node| node.node).collect();
    names.sort();
    names
}

#[test]
fn topology_spread_one_constraint() {
    let nodes = [
        zoned("node1", "zoneA"),
        zoned("node2", "zoneA"),
        zoned("node3", "zoneB"),
        zoned("node4", "zoneB"),
    ];
    let world = world(&nodes, &[foo("a", "node1"), foo("b", "node2"), foo("c", "node3")]);
    assert_eq!(fitting(&world, &spread(json!([constraint("zone")]))), ["node3", "node4"]);
    assert_eq!(
        fitting(&world, &spread(json!([constraint("zone"), constraint("node")]))),
        ["node4"]
    );
}

#[test]
fn topology_spread_conflicting_constraints() {
    let nodes = [zoned("node1", "zoneA"), zoned("node2", "zoneA"), zoned("node3", "zoneB")];
    let pods = [
        foo("a", "node1"),
        foo("b", "node1"),
        foo("c", "node2"),
        foo("d", "node3"),
        foo("e", "node3"),
    ];
    let world = world(&nodes, &pods);
    assert_eq!(
        default(&world, &spread(json!([constraint("zone"), constraint("node")]))),
        "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints. \
         preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    );
    let mut soft = constraint("node");
    soft["whenUnsatisfiable"] = "ScheduleAnyway".into();
    assert_eq!(default(&world, &spread(json!([constraint("zone"), soft]))), "node3");
}

#[test]
fn topology_spread_with_node_affinity_and_few_domains() {
    let nodes = [
        zoned("node1", "zoneA"),
        zoned("node2", "zoneA"),
        zoned("node3", "zoneB"),
        zoned("node4", "zoneB"),
        zoned("node5", "zoneC"),
    ];
    let world = world(&nodes, &[foo("a", "node1"), foo("b", "node2"), foo("c", "node3")]);
    let exclude = json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["zoneC"]}]}]}}}}});
    assert_eq!(
        fitting(&world, &with(spread(json!([constraint("zone")])), exclude.clone())),
        ["node3", "node4"]
    );
    let mut ignore = constraint("zone");
    ignore["nodeAffinityPolicy"] = "Ignore".into();
    // zoneC counts and has nothing, so that no other zone may get a second one.
    assert!(fitting(&world, &with(spread(json!([ignore])), exclude)).is_empty());
    let mut few = constraint("zone");
    few["minDomains"] = 4.into();
    assert_eq!(fitting(&world, &spread(json!([few]))), ["node5"]);
}

#[test]
fn redis_and_web_servers_each_on_a_node_of_their_own_together() {
    let term = |app: &str| {
        json!([{"topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": [app]}]}}])
    };
    let must = |terms: Value| json!({"requiredDuringSchedulingIgnoredDuringExecution": terms});
    let store = |name: &str| {
        pod(
            name,
            json!({"metadata": {"labels": {"app": "store"}},
            "spec": {"affinity": {"podAntiAffinity": must(term("store"))}}}),
        )
    };
    let web = |name: &str| {
        pod(
            name,
            json!({"metadata": {"labels": {"app": "web-store"}},
            "spec": {"affinity": {"podAffinity": must(term("store")), "podAntiAffinity": must(term("web-store"))}}}),
        )
    };
    let nodes = [node("node-1", json!({})), node("node-2", json!({})), node("node-3", json!({}))];
    let mut there: Vec<Value> = Vec::new();
    let mut places: Vec<(String, String)> = Vec::new();
    for wanted in [store("s1"), store("s2"), store("s3"), web("w1"), web("w2"), web("w3")] {
        let at = default(&world(&nodes, &there), &wanted);
        places.push((wanted["metadata"]["labels"]["app"].as_str().unwrap().into(), at.clone()));
        there.push(with(wanted, on(&at)));
    }
    places.sort();
    let all =
        |app: &str| ["node-1", "node-2", "node-3"].map(|node| (app.to_owned(), node.to_owned()));
    assert_eq!(places, [all("store"), all("web-store")].concat());
    let fourth = default(&world(&nodes, &there), &store("s4"));
    assert!(
        fourth.starts_with(
            "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
        ),
        "{fourth}"
    );
}

#[test]
fn bin_packing_by_extended_resources() {
    let node = |name: &str, foo: &str, foo_used: &str, memory_used: &str, cpu_used: &str| {
        let has =
            json!({"status": {"allocatable": {"cpu": "8", "memory": "1Gi", "intel.com/foo": foo}}});
        let used = json!({"cpu": cpu_used, "memory": memory_used, "intel.com/foo": foo_used});
        let pod = pod(
            &format!("on-{name}"),
            json!({"spec": {"containers": [{"resources": {"requests": used}}]}}),
        );
        (crate::common::node(name, has), with(pod, on(name)))
    };
    let (one, two) = (node("one", "4", "1", "256Mi", "1"), node("two", "8", "2", "512Mi", "6"));
    let world = world(&[one.0, two.0], &[one.1, two.1]);
    let mut profile = Profile::default();
    profile.args.strategy = Strategy::RequestedToCapacityRatio(vec![(0, 0), (100, 100)]);
    profile.args.resources =
        vec![("intel.com/foo".into(), 5), ("memory".into(), 1), ("cpu".into(), 3)];
    let wants = json!({"cpu": "2", "memory": "256Mi", "intel.com/foo": "2"});
    let wants = pod("p", json!({"spec": {"containers": [{"resources": {"requests": wants}}]}}));
    let report = explain(&world, &Pod::read(&wants), &profile);
    let mut scores: Vec<(&str, i64)> = (report.nodes.iter())
        .map(|node| {
            let fit = node.scores.iter().find(|score| score.plugin == "NodeResourcesFit").unwrap();
            (node.node.as_str(), fit.normalized)
        })
        .collect();
    scores.sort_unstable();
    // (75*5 + 50*1 + 37*3) / 9 and (50*5 + 75*1 + 100*3) / 9; upstream's page divides each by ten first and rounds down.
    assert_eq!(scores, [("one", 60), ("two", 69)]);
}

#[test]
fn least_and_most_allocated_choose_opposite_nodes() {
    let world = world(
        &[node("full", json!({})), node("empty", json!({}))],
        &[with(asking("a", "2", "16Gi"), on("full"))],
    );
    let wants = asking("p", "1", "8Gi");
    assert_eq!(default(&world, &wants), "empty");
    let mut packing = Profile::default();
    packing.args.strategy = Strategy::MostAllocated;
    assert_eq!(outcome(&world, &packing, &wants), "full");
}

#[test]
fn preemption_takes_the_least_important_and_spares_what_a_budget_protects() {
    let nodes = [node("n1", json!({})), node("n2", json!({}))];
    let ranked = |name: &str, cpu: &str, priority: i64, at: &str| {
        with(
            asking(name, cpu, "1Gi"),
            json!({"metadata": {"labels": {"app": name}}, "spec": {"priority": priority, "nodeName": at}}),
        )
    };
    let mut world = world(
        &nodes,
        &[ranked("low", "2", 1, "n1"), ranked("lower", "2", 0, "n1"), ranked("mid", "4", 5, "n2")],
    );
    let wants = |cpu: &str| with(asking("p", cpu, "1Gi"), json!({"spec": {"priority": 9}}));
    expect![[r#"preempt ["lower"] on n1: 0/2 nodes are available: 2 Insufficient cpu."#]]
        .assert_eq(&default(&world, &wants("2")));
    expect![[r#"preempt ["low", "lower"] on n1: 0/2 nodes are available: 2 Insufficient cpu."#]]
        .assert_eq(&default(&world, &wants("3")));
    let budget = |app: &str| {
        json!({"metadata": {"namespace": "default", "name": app}, "spec": {"selector": {"matchLabels": {"app": app}}},
            "status": {"disruptionsAllowed": 0}})
    };
    world.surroundings.set("PodDisruptionBudget", &budget("lower"));
    expect![[r#"preempt ["low"] on n1: 0/2 nodes are available: 2 Insufficient cpu."#]]
        .assert_eq(&default(&world, &wants("2")));
    world.surroundings.set("PodDisruptionBudget", &budget("low"));
    expect![[r#"preempt ["mid"] on n2: 0/2 nodes are available: 2 Insufficient cpu."#]]
        .assert_eq(&default(&world, &wants("2")));
}

#[test]
fn images_draw_pods_but_not_all_to_one_node() {
    let image =
        json!({"status": {"images": [{"names": ["big:1"], "sizeBytes": 900 * 1024 * 1024}]}});
    let world = world(&[node("a", json!({})), node("b", image), node("c", json!({}))], &[]);
    let wants = pod("p", json!({"spec": {"containers": [{"name": "c", "image": "big:1"}]}}));
    assert_eq!(default(&world, &wants), "b");
    let report = explain(&world, &Pod::read(&wants), &Profile::default());
    let score =
        report.nodes[0].scores.iter().find(|score| score.plugin == "ImageLocality").unwrap();
    // A third of 900 MiB, less 23 of 977.
    assert_eq!(score.normalized, 28);
}

#[test]
fn room_that_was_made_is_kept_for_whom_it_was_made() {
    let mut world = world(&[node("n1", json!({}))], &[]);
    let important = with(asking("important", "4", "1Gi"), json!({"spec": {"priority": 9}}));
    world.nominate(std::sync::Arc::new(Pod::read(&important)), "n1");
    assert!(default(&world, &asking("small", "1", "1Gi")).contains("1 Insufficient cpu"));
    let equal = with(asking("equal", "1", "1Gi"), json!({"spec": {"priority": 10}}));
    assert_eq!(default(&world, &equal), "n1", "who is more important does not mind");
    assert_eq!(default(&world, &important), "n1");
}

#[test]
fn a_report_reads_well_and_groups_what_is_alike() {
    let taint =
        json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}});
    let mut nodes: Vec<Value> =
        (0..4).map(|at| node(&format!("gpu-{at}"), taint.clone())).collect();
    nodes.extend(
        (0..2).map(|at| {
            node(&format!("small-{at}"), json!({"status": {"allocatable": {"cpu": "1"}}}))
        }),
    );
    nodes.extend([node("a", json!({})), node("b", json!({})), node("c", json!({}))]);
    let world = world(&nodes, &[with(asking("busy", "2", "1Gi"), on("c"))]);
    let report = explain(&world, &Pod::read(&asking("web", "2", "1Gi")), &Profile::default());
    expect![[r#"
        pod default/web by default-scheduler: 3 of 9 nodes fit

        fit, best first (score x weight):
          NODES  TOTAL        TaintToleration  NodeResourcesFit  NodeResourcesBalancedAllocation  ImageLocality
          a, b   436    tied  100 x 3          73 x 1            63 x 1                           0 x 1
          c      409          100 x 3          46 x 1            63 x 1                           0 x 1

        refused:
          NODES                           PLUGIN            REASON
          gpu-0, gpu-1, gpu-2 and 1 more  TaintToleration   node(s) had untolerated taint {gpu: yes}
          small-0, small-1                NodeResourcesFit  Insufficient cpu
    "#]].assert_eq(&report.to_string());
    let json = serde_json::to_value(&report).unwrap();
    expect![[r#"
        {
          "node": "a",
          "verdict": "tied",
          "filters": [
            {
              "plugin": "NodeUnschedulable",
              "passes": true
            },
            {
              "plugin": "NodeName",
              "passes": true
            },
            {
              "plugin": "TaintToleration",
              "passes": true
            },
            {
              "plugin": "NodeAffinity",
              "passes": true
            },
            {
              "plugin": "NodePorts",
              "passes": true
            },
            {
              "plugin": "NodeResourcesFit",
              "passes": true
            },
            {
              "plugin": "VolumeBinding",
              "passes": true
            },
            {
              "plugin": "PodTopologySpread",
              "passes": true
            },
            {
              "plugin": "InterPodAffinity",
              "passes": true
            }
          ],
          "scores": [
            {
              "plugin": "TaintToleration",
              "raw": 0,
              "normalized": 100,
              "weight": 3,
              "weighted": 300
            },
            {
              "plugin": "NodeResourcesFit",
              "raw": 73,
              "normalized": 73,
              "weight": 1,
              "weighted": 73
            },
            {
              "plugin": "NodeResourcesBalancedAllocation",
              "raw": 63,
              "normalized": 63,
              "weight": 1,
              "weighted": 63
            },
            {
              "plugin": "ImageLocality",
              "raw": 0,
              "normalized": 0,
              "weight": 1,
              "weighted": 0
            }
          ],
          "total": 436
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&json["nodes"][0]).unwrap());
    let bound = explain(
        &world,
        &Pod::read(&with(asking("busy", "2", "1Gi"), on("c"))),
        &Profile::default(),
    );
    assert!(bound.to_string().contains("bound to c; this is what would be decided now"), "{bound}");
    assert_eq!(bound.nodes.iter().filter(|node| node.verdict == Verdict::Tied).count(), 3);
}
