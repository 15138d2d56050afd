use super::lowered;
use crate::inventory::TaintScope;
use crate::lower::Fate;
use crate::{Severity, codes};

/// The finding about a kind: how bad, its help; and whether verdicts are uncertain.
fn kind(api_version: &str, kind: &str) -> (Severity, Option<String>, bool) {
    let lowered = lowered(&format!(
        "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x, namespace: a}}}}"
    ));
    let found = lowered.diagnostics.iter().find(|found| found.code == codes::UNSUPPORTED_KIND);
    let found = found.unwrap();
    let tainted =
        lowered.inventory.taints.iter().any(|taint| taint.scope == TaintScope::Everything);
    (found.severity, found.help.clone(), tainted)
}

#[test]
fn a_misspelt_kind_or_group_is_an_error_and_makes_verdicts_uncertain() {
    for (api_version, text, meant) in [
        ("networking.k8s.io/v1", "NetworkPolcy", Some("`NetworkPolicy` of `networking.k8s.io`")),
        ("networking.k8s.io/v1", "networkpolicy", Some("`NetworkPolicy` of `networking.k8s.io`")),
        ("networkin.k8s.io/v1", "NetworkPolicy", Some("`NetworkPolicy` of `networking.k8s.io`")),
        ("networking/v1", "Gadget", None),
        ("v1", "Pods", Some("`Pod`")),
        ("app/v1", "Deployment", Some("`Deployment` of `apps`")),
        ("apps/v1", "Gadget", None),
    ] {
        let help = meant.map(|meant| format!("did you mean {meant}?"));
        // A group of its own may have kinds of its own.
        let wanted = if api_version == "networking/v1" {
            (Severity::Note, None, false)
        } else {
            (Severity::Error, help, true)
        };
        assert_eq!(kind(api_version, text), wanted, "{api_version} {text}");
    }
}

#[test]
fn kinds_of_other_systems_are_only_noted() {
    for (api_version, text) in [
        ("monitoring.coreos.com/v1", "Prometheus"),
        ("networking.gke.io/v1", "ManagedCertificate"),
        ("networking.istio.io/v1", "Gateway"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("argoproj.io/v1alpha1", "Application"),
    ] {
        assert_eq!(kind(api_version, text), (Severity::Note, None, false), "{api_version} {text}");
    }
}

#[test]
fn a_misspelt_workload_is_read_for_its_pods_all_the_same() {
    let lowered = lowered(
        "{apiVersion: apps/v1, kind: Deploymnt, metadata: {name: x, namespace: a}, \
         spec: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}",
    );
    assert_eq!((lowered.inventory.pods.len(), lowered.objects[0].fate), (1, Fate::Used));
    assert!(lowered.diagnostics.iter().any(|found| found.severity == Severity::Error));
}
