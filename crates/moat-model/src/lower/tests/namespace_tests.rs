//! Namespaces, lists, and objects that meet.

use super::{check_finding, findings, lowered};
use crate::diagnostic::codes;
use crate::lower::Fate;

const NAME: &str = "kubernetes.io/metadata.name";

#[test]
fn every_namespace_carries_its_name_as_a_label() {
    let cases = [
        "{apiVersion: v1, kind: Namespace, metadata: {name: a}}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {kubernetes.io/metadata.name: b}}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a}}",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {}}",
        "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: a}}",
    ];
    for text in cases {
        let lowered = lowered(text);
        let [namespace] = &lowered.inventory.namespaces[..] else { unreachable!("{text}") };
        assert_eq!(
            (namespace.name.as_ref(), namespace.labels.get(NAME)),
            ("a", Some("a")),
            "{text}"
        );
        assert_eq!(namespace.span.is_some(), text.contains("kind: Namespace"), "{text}");
    }
}

#[test]
fn an_object_completes_a_namespace_that_was_only_mentioned() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a}}";
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: x}}}";
    for text in [format!("{pod}\n---\n{namespace}"), format!("{namespace}\n---\n{pod}")] {
        let lowered = lowered(&text);
        assert_eq!(lowered.inventory.namespaces.len(), 1);
        assert_eq!(lowered.inventory.namespaces[0].labels.get("team"), Some("x"), "{text}");
    }
}

#[test]
fn namespace_names_are_labels() {
    check_finding(
        "{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}",
        "error metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label must consist of",
    );
}

#[test]
fn the_last_of_two_objects_counts() {
    let pod = |app: &str| {
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p, labels: {{app: {app}}}}}}}")
    };
    let lowered = lowered(&format!("{}\n---\n{}", pod("old"), pod("new")));
    assert_eq!(lowered.inventory.pods.len(), 1);
    assert_eq!(lowered.inventory.pods[0].labels.get("app"), Some("new"));
    assert_eq!(
        lowered.objects.iter().map(|object| object.fate).collect::<Vec<_>>(),
        [Fate::Replaced, Fate::Used]
    );
    let [found] = &lowered.diagnostics[..] else { unreachable!("{:?}", lowered.diagnostics) };
    assert_eq!(
        (found.code, found.message.as_str()),
        (codes::DUPLICATE_OBJECT, "`Pod default/p` is defined more than once")
    );
    let (what, span) = found.related.unwrap();
    assert_eq!((what, span.pos.line), ("the earlier one", 1));
}

#[test]
fn items_of_lists_are_objects() {
    let pod = "metadata: {name: p, namespace: a}";
    for text in [
        format!("{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: Pod, {pod}}}]}}"),
        format!("{{apiVersion: v1, kind: PodList, items: [{{{pod}}}]}}"),
        format!("{{apiVersion: v1, kind: PodList, items: [{{apiVersion: v1, kind: Pod, {pod}}}]}}"),
    ] {
        assert_eq!(lowered(&text).inventory.pods.len(), 1, "{text}");
        assert_eq!(findings(&text), [""; 0], "{text}");
    }
}

#[test]
fn versions_that_are_gone_are_reported_and_read() {
    let cases = [
        ("extensions/v1beta1", "NetworkPolicy", "use `networking.k8s.io/v1`"),
        (
            "policy.networking.k8s.io/v1alpha1",
            "ClusterNetworkPolicy",
            "use `policy.networking.k8s.io/v1alpha2`",
        ),
        (
            "policy.networking.k8s.io/v1beta9",
            "AdminNetworkPolicy",
            "use `policy.networking.k8s.io/v1alpha1`",
        ),
    ];
    for (version, kind, help) in cases {
        let text = format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: p}}, spec: {{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}}}}}"
        );
        let lowered = lowered(&text);
        let found =
            lowered.diagnostics.iter().find(|found| found.code == codes::API_VERSION).unwrap();
        assert_eq!(found.help.as_deref(), Some(help));
        assert_eq!(lowered.policies.len(), 1, "{text}");
    }
}
