//! What could not be read, or is not interpreted, makes the verdicts it could change uncertain, and no others.

use super::{cnp, lowered, np, values};
use crate::diagnostic::{Diagnostic, codes};
use crate::inventory::TaintScope;
use crate::lower::{Fate, Options, lower};
use crate::value::{SourceId, Span};

fn scopes(text: &str) -> Vec<TaintScope> {
    lowered(text).inventory.taints.into_iter().map(|taint| taint.scope).collect()
}

#[test]
fn policies_that_are_sound_taint_nothing() {
    for text in [np("{}"), np("{podselector: {}}"), cnp("ingress: []")] {
        assert_eq!(scopes(&text), [], "{text}");
    }
}

#[test]
fn a_policy_refused_in_part_taints_what_it_could_change() {
    let own = TaintScope::Namespace("a".into());
    assert_eq!(scopes(&np("{ingress: [{ports: [{port: 0}]}]}")), std::slice::from_ref(&own));
    assert_eq!(scopes(&np("{podSelector: {matchLabels: {-: x}}}")), [own]);
    let rule = "ingress: [{action: Accept, from: [{}]}]";
    assert_eq!(scopes(&cnp(rule)), [TaintScope::Everything]);
}

#[test]
fn a_refused_policy_says_what_becomes_of_it() {
    let part = lowered(&np("{ingress: [{ports: [{port: 0}]}]}"));
    assert_eq!((part.policies.len(), part.objects[0].fate), (1, Fate::Used));
    assert!(part.diagnostics[0].effect.as_deref().unwrap().contains("the rest counts"));
    assert_eq!(part.inventory.taints[0].what, "the API server would refuse NetworkPolicy a/p");
    let whole = lowered(&np("{podSelector: 5}"));
    assert_eq!((whole.policies.len(), whole.objects[0].fate), (0, Fate::Unreadable));
    assert!(whole.diagnostics[0].effect.as_deref().unwrap().contains("takes no part"));
}

#[test]
fn a_refused_policy_replaces_a_sound_one() {
    let text = format!("{}\n---\n{}", np("{}"), np("{podSelector: 5}"));
    assert!(lowered(&text).policies.is_empty());
    let text = format!("{}\n---\n{}", np("{podSelector: 5}"), np("{}"));
    assert_eq!(lowered(&text).policies.len(), 1);
}

#[test]
fn policies_of_other_systems_taint_what_they_could_change() {
    let foreign = |version: &str, kind: &str, namespace: &str| {
        scopes(&format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: p{namespace}}}}}"
        ))
    };
    let own = [TaintScope::Namespace("a".into())];
    for (version, kind) in [
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("crd.projectcalico.org/v1", "NetworkPolicy"),
        ("crd.antrea.io/v1beta1", "NetworkPolicy"),
        ("security.istio.io/v1", "AuthorizationPolicy"),
    ] {
        assert_eq!(foreign(version, kind, ", namespace: a"), own, "{kind}");
        assert_eq!(foreign(version, kind, ""), [TaintScope::Everything], "{kind}");
    }
    assert_eq!(
        foreign("crd.projectcalico.org/v1", "GlobalNetworkPolicy", ""),
        [TaintScope::Everything]
    );
}

#[test]
fn kinds_that_cannot_matter_taint_nothing() {
    for (version, kind, fate) in [
        ("v1", "ConfigMap", Fate::Irrelevant),
        ("rbac.authorization.k8s.io/v1", "Role", Fate::Irrelevant),
        ("example.com/v1", "Widget", Fate::Unsupported),
    ] {
        let lowered =
            lowered(&format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: x}}}}"));
        assert_eq!((lowered.objects[0].fate, lowered.inventory.taints.len()), (fate, 0), "{kind}");
    }
}

#[test]
fn documents_that_claim_to_be_objects_taint_and_others_do_not() {
    for text in ["{kind: NetworkPolicy, metadata: {name: p}}", "{apiVersion: v1}"] {
        assert_eq!(scopes(text), [TaintScope::Everything], "{text}");
    }
    for text in ["{replicas: 3}", "[1, 2]", "plain"] {
        assert_eq!(scopes(text), [], "{text}");
        assert_eq!(lowered(text).diagnostics[0].code, codes::NOT_AN_OBJECT, "{text}");
    }
}

#[test]
fn what_the_loader_could_not_read_taints_everything() {
    let values = values(&np("{}"));
    let failures = [
        Diagnostic::error(codes::SYNTAX, Span::default(), "no YAML"),
        Diagnostic::warning(codes::TEMPLATE, Span::default(), "a template"),
    ];
    let documents = values.iter().map(|value| (SourceId(0), value));
    let lowered = lower(documents, &failures, &Options::default());
    let [taint] = &lowered.inventory.taints[..] else { unreachable!("only errors taint") };
    assert_eq!((&taint.scope, taint.what.as_str()), (&TaintScope::Everything, "not read: no YAML"));
}
