//! NetworkPolicy: defaults, and the difference between missing, empty and an empty item.

use super::{findings, np, policy};
use crate::policy::{Direction, PeerKind, Peers, Ports};
use moat_sets::{Labels, NamespaceTerm};

#[test]
fn policy_types_default_as_in_the_api_server() {
    let cases = [
        ("{}", (true, false)),
        ("{ingress: []}", (true, false)),
        ("{egress: []}", (true, false)),
        ("{egress: null}", (true, false)),
        ("{egress: [{}]}", (true, true)),
        ("{policyTypes: [], egress: [{}]}", (true, true)),
        ("{policyTypes: null, egress: []}", (true, false)),
        ("{policyTypes: [Ingress], egress: [{}]}", (true, false)),
        ("{policyTypes: [Egress], ingress: [{}]}", (false, true)),
        ("{policyTypes: [Egress, Ingress]}", (true, true)),
    ];
    for (spec, wanted) in cases {
        let policy = policy(&np(spec));
        assert_eq!((policy.isolates_ingress, policy.isolates_egress), wanted, "{spec}");
        assert_eq!(findings(&np(spec)), [""; 0], "{spec}");
    }
}

#[test]
fn rules_of_a_direction_that_is_no_policy_type_are_ignored() {
    let policy = policy(&np("{policyTypes: [Egress], ingress: [{}, {}], egress: [{}]}"));
    assert_eq!(policy.rules(Direction::Ingress).count(), 0);
    assert_eq!(policy.rules(Direction::Egress).count(), 1);
}

#[test]
fn no_rules_and_an_empty_rule_are_opposites() {
    for (list, n_rules) in [("null", 0), ("[]", 0), ("[{}]", 1), ("[null]", 1), ("[{}, {}]", 2)] {
        let policy = policy(&np(&format!("{{ingress: {list}}}")));
        assert!(policy.isolates_ingress, "{list}");
        assert_eq!(policy.rules.len(), n_rules, "{list}");
        for rule in &policy.rules {
            assert_eq!((&rule.peers, &rule.ports), (&Peers::Any, &Ports::Any), "{list}");
        }
    }
}

#[test]
fn missing_and_empty_peers_and_ports_mean_all() {
    for rule in ["{from: []}", "{from: null}", "{ports: []}", "{from: [], ports: null}"] {
        let rule = policy(&np(&format!("{{ingress: [{rule}]}}"))).rules[0].clone();
        assert_eq!((rule.peers, rule.ports), (Peers::Any, Ports::Any));
    }
}

#[test]
fn the_subject_is_in_the_namespace_of_the_policy() {
    for spec in ["{}", "{podSelector: null}", "{podSelector: {}}"] {
        let subject = policy(&np(spec)).subject;
        assert_eq!(subject.namespaces, NamespaceTerm::Named("a".into()), "{spec}");
        assert!(subject.pods.is_everything(), "{spec}");
    }
}

#[test]
fn peers_without_namespace_selector_are_in_the_namespace_of_the_policy() {
    let labels = |text: &str| text.split_once('=').into_iter().collect::<Labels>();
    let in_own = |peer: &str, namespace: &str, team: &str, app: &str| {
        let policy = policy(&np(&format!("{{ingress: [{{from: [{peer}]}}]}}")));
        let Peers::List(peers) = &policy.rules[0].peers else { return false };
        let PeerKind::Pods(term) = &peers[0].kind else { return false };
        term.matches(namespace, &labels(team), &labels(app))
    };
    let pods = "{podSelector: {matchLabels: {app: x}}}";
    let namespaces = "{namespaceSelector: {matchLabels: {team: t}}}";
    let both =
        "{namespaceSelector: {matchLabels: {team: t}}, podSelector: {matchLabels: {app: x}}}";
    let everyone = "{namespaceSelector: {}, podSelector: {}}";
    for (peer, own, other, plain) in [
        (pods, true, false, false),
        (namespaces, false, true, true),
        (both, false, true, false),
        (everyone, true, true, true),
    ] {
        assert_eq!(in_own(peer, "a", "", "app=x"), own, "{peer}");
        assert_eq!(in_own(peer, "b", "team=t", "app=x"), other, "{peer}");
        assert_eq!(in_own(peer, "b", "team=t", "app=y"), plain, "{peer}");
    }
}

#[test]
fn rules_and_peers_are_numbered_in_their_direction() {
    let policy = policy(&np(
        "{ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]}, {}], egress: [{}]}",
    ));
    let numbers: Vec<_> = policy.rules.iter().map(|rule| (rule.direction, rule.index)).collect();
    let (ingress, egress) = (Direction::Ingress, Direction::Egress);
    assert_eq!(numbers, [(ingress, 0), (ingress, 1), (egress, 0)]);
    let Peers::List(peers) = &policy.rules[0].peers else { unreachable!("two peers") };
    assert_eq!(peers.iter().map(|peer| peer.index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_namespace_that_is_not_named_is_that_of_the_command_line() {
    let text =
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {}}";
    assert_eq!(policy(text).id.to_string(), "netpol default/p");
    let values = super::values(text);
    let options = super::Options { namespace: "shop".into(), ..super::Options::default() };
    let lowered =
        super::lower(values.iter().map(|value| (crate::SourceId(0), value)), &[], &options);
    assert_eq!(lowered.policies[0].id.to_string(), "netpol shop/p");
}
