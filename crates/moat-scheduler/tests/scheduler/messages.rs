//! What users read when a pod is pending, word for word as upstream writes it.

use crate::common::{asking, default, node, on, outcome, pod, with, world};
use moat_scheduler::Profile;
use serde_json::json;

const NONE: &str = "Preemption is not helpful for scheduling.";

#[test]
fn every_filter_has_upstreams_words() {
    let three = |change: serde_json::Value| {
        world(&[node("n1", change.clone()), node("n2", change.clone()), node("n3", change)], &[])
    };
    let plain = || three(json!({}));
    let message = |reasons: &str, preemption: &str| {
        format!(
            "0/3 nodes are available: {reasons}. preemption: 0/3 nodes are available: {preemption}"
        )
    };
    let helpless = |reasons: &str| message(reasons, &format!("3 {NONE}"));
    let cases = [
        (plain(), asking("p", "5", "1Gi"), helpless("3 Insufficient cpu")),
        (plain(), asking("p", "5", "33Gi"), helpless("3 Insufficient cpu, 3 Insufficient memory")),
        (
            plain(),
            pod(
                "p",
                json!({"spec": {"containers": [{"resources": {"requests": {"example.com/gpu": "1", "ephemeral-storage": "1Gi"}}}]}}),
            ),
            helpless("3 Insufficient ephemeral-storage, 3 Insufficient example.com/gpu"),
        ),
        (
            three(json!({"status": {"allocatable": {"pods": "0"}}})),
            pod("p", json!({})),
            message("3 Too many pods", "3 No preemption victims found for incoming pod."),
        ),
        (
            three(json!({"spec": {"unschedulable": true}})),
            pod("p", json!({})),
            helpless("3 node(s) were unschedulable"),
        ),
        (
            three(
                json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}),
            ),
            pod("p", json!({})),
            helpless("3 node(s) had untolerated taint {k: v}"),
        ),
        (
            three(
                json!({"spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}}),
            ),
            pod("p", json!({})),
            helpless("3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }"),
        ),
        (
            plain(),
            pod("p", json!({"spec": {"nodeSelector": {"disk": "ssd"}}})),
            helpless("3 node(s) didn't match Pod's node affinity/selector"),
        ),
        (
            plain(),
            pod(
                "p",
                json!({"spec": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}]}}}}),
            ),
            helpless("3 node(s) didn't match pod affinity rules"),
        ),
        (
            plain(),
            pod(
                "p",
                json!({"spec": {"topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}]}}),
            ),
            helpless(
                "3 node(s) didn't match pod topology spread constraints (missing required label)",
            ),
        ),
        (
            plain(),
            pod(
                "p",
                json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n9"]}]}]}}}}}),
            ),
            helpless("3 node(s) didn't satisfy plugin(s) [NodeAffinity]"),
        ),
        (
            plain(),
            pod(
                "p",
                json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}}),
            ),
            helpless("persistentvolumeclaim \"c\" not found"),
        ),
    ];
    for (world, pod, want) in cases {
        assert_eq!(default(&world, &pod), want, "{pod}");
    }
}

#[test]
fn reasons_of_different_nodes_are_counted_apart() {
    let taint =
        json!({"spec": {"taints": [{"key": "key", "value": "value", "effect": "NoSchedule"}]}});
    let nodes = [node("n1", json!({})), node("n2", taint.clone()), node("n3", taint)];
    let world = world(&nodes, &[with(asking("a", "3", "1Gi"), on("n1"))]);
    assert_eq!(
        default(&world, &asking("p", "2", "1Gi")),
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {key: value}. \
         preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
         2 Preemption is not helpful for scheduling."
    );
}

#[test]
fn ports_and_affinity_of_pods_that_are_there_are_told_apart() {
    let port = json!({"spec": {"containers": [{"ports": [{"hostPort": 80}]}]}});
    let anti = |labels: serde_json::Value| {
        json!({"metadata": {"labels": labels}, "spec": {"affinity": {"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}]}}}})
    };
    let one = |pods: &[serde_json::Value]| world(&[node("n1", json!({}))], pods);
    let tail =
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    let there = one(&[with(pod("a", port.clone()), on("n1"))]);
    assert_eq!(
        default(&there, &pod("p", port)),
        format!(
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. {tail}"
        )
    );
    let there = one(&[with(pod("a", json!({"metadata": {"labels": {"app": "x"}}})), on("n1"))]);
    assert_eq!(
        default(&there, &pod("p", anti(json!({})))),
        format!("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules. {tail}")
    );
    let there = one(&[with(pod("a", anti(json!({}))), on("n1"))]);
    assert_eq!(
        default(&there, &pod("p", json!({"metadata": {"labels": {"app": "x"}}}))),
        format!(
            "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. {tail}"
        )
    );
}

#[test]
fn volumes_refuse_with_upstreams_words() {
    let mut world = world(&[node("n1", json!({})), node("n2", json!({}))], &[]);
    let claim = |volume: &str, more: serde_json::Value| {
        with(
            json!({"metadata": {"namespace": "default", "name": "c"}, "spec": {"volumeName": volume}}),
            more,
        )
    };
    let wants =
        pod("p", json!({"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}}));
    let tail = format!("preemption: 0/2 nodes are available: 2 {NONE}");
    let mut check = |claim: serde_json::Value, want: &str| {
        world.surroundings.set("PersistentVolumeClaim", &claim);
        assert_eq!(default(&world, &wants), want);
    };
    let bound = json!({"status": {"phase": "Bound"}});
    check(
        claim("", json!({})),
        &format!(
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. {tail}"
        ),
    );
    check(
        claim("v", bound.clone()),
        &format!(
            "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s). {tail}"
        ),
    );
    check(
        claim("v", json!({"status": {"phase": "Lost"}})),
        &format!(
            "0/2 nodes are available: persistentvolumeclaim \"c\" bound to non-existent persistentvolume \"v\". {tail}"
        ),
    );
    check(
        claim("", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
        &format!("0/2 nodes are available: persistentvolumeclaim \"c\" is being deleted. {tail}"),
    );
    let volume = |host: &str| {
        json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]}}}})
    };
    world.surroundings.set("PersistentVolumeClaim", &claim("v", bound));
    world.surroundings.set("PersistentVolume", &volume("n2"));
    assert_eq!(default(&world, &wants), "n2");
    world.surroundings.set("PersistentVolume", &volume("n3"));
    assert_eq!(
        default(&world, &wants),
        format!(
            "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity. {tail}"
        )
    );
    world.surroundings.set(
        "StorageClass",
        &json!({"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer", "provisioner": "x.io/p"}),
    );
    world
        .surroundings
        .set("PersistentVolumeClaim", &claim("", json!({"spec": {"storageClassName": "late"}})));
    assert!(default(&world, &wants).starts_with('n'), "it is bound once the node is known");

    // Where nobody makes volumes, one that is there has to be in reach.
    world.surroundings.set(
        "StorageClass",
        &json!({"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer", "provisioner": "kubernetes.io/no-provisioner"}),
    );
    let nowhere = format!(
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. {tail}"
    );
    assert_eq!(default(&world, &wants), nowhere);
    let local = |host: &str, size: &str| {
        with(
            volume(host),
            json!({"spec": {"storageClassName": "late", "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Available"}}),
        )
    };
    let sized = json!({"spec": {"storageClassName": "late", "resources": {"requests": {"storage": "2Gi"}}, "accessModes": ["ReadWriteOnce"]}});
    world.surroundings.set("PersistentVolumeClaim", &claim("", sized));
    world.surroundings.set("PersistentVolume", &local("n1", "1Gi"));
    assert_eq!(default(&world, &wants), nowhere);
    world.surroundings.set("PersistentVolume", &local("n2", "2Gi"));
    assert_eq!(default(&world, &wants), "n2");
}

#[test]
fn a_world_without_nodes_and_a_pod_that_makes_no_sense() {
    assert_eq!(
        default(&world(&[], &[]), &pod("p", json!({}))),
        "no nodes available to schedule pods"
    );
    let world = world(&[node("n1", json!({}))], &[]);
    assert_eq!(
        default(&world, &asking("p", "lots", "1")),
        format!(
            "0/1 nodes are available: parsing pod: \"lots\" of \"cpu\" is no quantity. preemption: 0/1 nodes are available: 1 {NONE}"
        )
    );
}

#[test]
fn the_profile_says_what_is_added_and_what_is_ignored() {
    let world = world(&[node("n1", json!({"metadata": {"labels": {"pool": "a"}}}))], &[]);
    let mut profile = Profile::default();
    let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["b"]}]}]});
    profile.args.added_required = Some(moat_scheduler::NodeSelector::read(&terms).unwrap());
    assert_eq!(
        outcome(&world, &profile, &pod("p", json!({}))),
        format!(
            "0/1 nodes are available: 1 node(s) didn't match scheduler-enforced node affinity. preemption: 0/1 nodes are available: 1 {NONE}"
        )
    );
    let mut profile = Profile::default();
    profile.args.ignored_groups = vec!["example.com".into()];
    let gpu = pod(
        "p",
        json!({"spec": {"containers": [{"resources": {"requests": {"example.com/gpu": "1"}}}]}}),
    );
    assert_eq!(outcome(&world, &profile, &gpu), "n1");
}

#[test]
fn who_must_not_preempt_says_so() {
    let world = world(&[node("n1", json!({}))], &[with(asking("a", "4", "1Gi"), on("n1"))]);
    let never =
        with(asking("p", "1", "1"), json!({"spec": {"priority": 9, "preemptionPolicy": "Never"}}));
    assert_eq!(
        default(&world, &never),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    );
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}});
    let world = crate::common::world(
        &[node("n1", json!({}))],
        &[with(with(asking("a", "4", "1Gi"), on("n1")), leaving)],
    );
    let waits = with(
        asking("p", "1", "1"),
        json!({"spec": {"priority": 9}, "status": {"nominatedNodeName": "n1"}}),
    );
    assert_eq!(
        default(&world, &waits),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to a terminating pod on the nominated node."
    );
}
