//! Pods and the kinds that make them.

use super::{check_finding, findings, lowered};
use crate::inventory::{Phase, Pod};
use moat_sets::Protocol;

fn pods(text: &str) -> Vec<Pod> {
    lowered(text).inventory.pods
}

fn pod(spec: &str, status: &str) -> Pod {
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {spec}, status: {status}}}"
    );
    assert_eq!(findings(&text), [""; 0]);
    pods(&text)[0].clone()
}

fn names(pod: &Pod) -> Vec<&str> {
    pod.ports.iter().filter_map(|port| port.name.as_deref()).collect()
}

#[test]
fn every_workload_kind_is_its_template() {
    let template = "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}";
    let cases = [
        ("apps/v1", "Deployment", format!("{{replicas: 3, {template}}}"), 3),
        ("apps/v1", "Deployment", format!("{{{template}}}"), 1),
        ("apps/v1", "ReplicaSet", format!("{{replicas: 0, {template}}}"), 0),
        ("apps/v1", "StatefulSet", format!("{{replicas: 2, {template}}}"), 2),
        // One for each node, of which there may be several.
        ("apps/v1", "DaemonSet", format!("{{{template}}}"), 2),
        ("v1", "ReplicationController", format!("{{replicas: 4, {template}}}"), 4),
        ("batch/v1", "Job", format!("{{{template}}}"), 1),
        ("batch/v1", "CronJob", format!("{{jobTemplate: {{spec: {{{template}}}}}}}"), 1),
    ];
    for (version, kind, spec, replicas) in cases {
        let text = format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: w, namespace: a, labels: {{app: no}}}}, spec: {spec}}}"
        );
        assert_eq!(findings(&text), [""; 0], "{text}");
        let pods = pods(&text);
        let [pod] = &pods[..] else { unreachable!("{text}") };
        assert_eq!(pod.to_string(), format!("a/{}/w", kind.to_ascii_lowercase()));
        assert_eq!(pod.labels.get("app"), Some("x"), "the template's labels: {kind}");
        assert_eq!(
            (names(pod), pod.replicas, pod.is_workload()),
            (vec!["http"], replicas, true),
            "{kind}"
        );
        assert!(pod.addresses.is_empty());
    }
}

#[test]
fn a_workload_without_template_is_refused() {
    check_finding(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {}}",
        "error : Required value: spec.template",
    );
}

#[test]
fn other_kinds_are_read_for_their_template_only() {
    let kind = |spec: &str| {
        format!(
            "{{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {{name: w}}, spec: {spec}}}"
        )
    };
    let with = kind("{template: {metadata: {labels: {app: x}}, spec: {containers: []}}}");
    check_finding(&with, "note : kind `Rollout` is read only for its pod template");
    assert_eq!(pods(&with)[0].to_string(), "default/rollout/w");
    check_finding(&kind("{}"), "note : kind `Rollout` is not interpreted");
}

#[test]
fn ports_of_native_sidecars_serve_and_those_of_init_containers_do_not() {
    let container = |name: &str, rest: &str| {
        format!("{{name: {name}, ports: [{{name: {name}, containerPort: 80}}]{rest}}}")
    };
    let spec = format!(
        "{{containers: [{}], initContainers: [{}, {}, {}]}}",
        container("main", ""),
        container("init", ""),
        container("sidecar", ", restartPolicy: Always"),
        container("once", ", restartPolicy: OnFailure"),
    );
    assert_eq!(names(&pod(&spec, "{}")), ["main", "sidecar"]);
}

#[test]
fn container_ports_are_validated() {
    let one = |port: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, ports: [{port}]}}]}}}}"
        )
    };
    let read = pods(&one("{containerPort: 53, protocol: UDP}"))[0].ports[0].clone();
    assert_eq!((read.name, read.protocol, read.number), (None, Protocol::Udp, 53));
    let cases = [
        ("{}", "containerPort: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ("{containerPort: 65536}", "containerPort: Invalid value: 65536"),
        ("{containerPort: \"80\"}", "containerPort: want a whole number, found a string"),
        ("{containerPort: 80, protocol: tcp}", "protocol: Unsupported value: \"tcp\""),
        ("{containerPort: 80, name: HTTP}", "name: Invalid value: \"HTTP\""),
    ];
    for (port, wanted) in cases {
        let found = findings(&one(port));
        assert!(
            found[0].starts_with(&format!("error spec.containers[0].ports[0].{wanted}")),
            "{port}: {found:?}"
        );
    }
}

#[test]
fn host_network_pods_have_their_nodes_addresses() {
    let host = "{hostNetwork: true, nodeName: n, containers: []}";
    let found = pod(
        host,
        "{hostIP: 192.168.0.1, hostIPs: [{ip: 192.168.0.1}, {ip: fd00::1}], podIP: 10.0.0.1}",
    );
    assert!(found.host_network);
    assert_eq!(
        found.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.168.0.1", "fd00::1"]
    );
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: Hostname, address: n}, {type: InternalIP, address: 192.168.0.9}]}}";
    let text =
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {host}}}\n---\n{node}");
    assert_eq!(pods(&text)[0].addresses[0].to_string(), "192.168.0.9");
    assert!(!pod("{hostNetwork: false}", "{}").host_network);
}

#[test]
fn addresses_are_at_most_one_of_each_family() {
    let cases = [
        ("{podIP: 10.0.0.1}", vec!["10.0.0.1"]),
        ("{podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: fd00::1}]}", vec!["10.0.0.1", "fd00::1"]),
        ("{podIPs: [{ip: fd00::1}, {ip: fd00::2}]}", vec!["fd00::1"]),
        ("{podIP: \"\"}", vec![]),
        ("{}", vec![]),
    ];
    for (status, wanted) in cases {
        let found: Vec<_> = pod("{}", status).addresses.iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{status}");
    }
    check_finding(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {podIP: 10.0.0.256}}",
        "error status.podIP: Invalid value: \"10.0.0.256\": must be a valid IP address",
    );
}

#[test]
fn pods_that_have_ended() {
    for (phase, wanted) in [
        ("Succeeded", Phase::Finished),
        ("Failed", Phase::Finished),
        ("Running", Phase::Active),
        ("Pending", Phase::Active),
        ("Unknown", Phase::Active),
    ] {
        assert_eq!(pod("{}", &format!("{{phase: {phase}}}")).phase, wanted, "{phase}");
    }
    assert_eq!(pod("{}", "null").phase, Phase::Active);
}

const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: []}}}}";

#[test]
fn real_pods_stand_for_their_workload() {
    let owned = |kind: &str, name: &str, phase: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, labels: {{pod-template-hash: abc}}, \
             ownerReferences: [{{kind: {kind}, name: {name}, controller: true}}]}}, status: {{phase: {phase}}}}}\n---\n{DEPLOYMENT}"
        )
    };
    let displays = |text: &str| pods(text).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(displays(DEPLOYMENT), ["default/deployment/web"]);
    // The ReplicaSet between the two need not be here.
    assert_eq!(displays(&owned("ReplicaSet", "web-abc", "Running")), ["default/p"]);
    assert_eq!(
        displays(&owned("ReplicaSet", "other-abc", "Running")),
        ["default/p", "default/deployment/web"]
    );
    assert_eq!(
        displays(&owned("ReplicaSet", "web-abc", "Failed")),
        ["default/p", "default/deployment/web"]
    );
    let owner = pods(&owned("ReplicaSet", "web-abc", "Running"))[0].owner.clone().unwrap();
    assert_eq!((owner.0.as_ref(), owner.1.as_ref()), ("deployment", "web"));
}

#[test]
fn a_workload_of_a_workload_is_not_counted_twice() {
    let set = "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-abc, ownerReferences: [{kind: Deployment, name: web, controller: true}]}, spec: {template: {spec: {containers: []}}}}";
    let found = pods(&format!("{DEPLOYMENT}\n---\n{set}"));
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["default/deployment/web"]
    );
    assert_eq!(pods(set)[0].to_string(), "default/replicaset/web-abc");
}
