//! A wrong type where a list should be is a common slip of the pen (a forgotten dash). It must never mean "everything".

use super::{check_finding, np, policy};
use crate::policy::{PeerKind, Peers, Ports};

#[test]
fn peers_that_are_no_list_are_no_one() {
    for peers in ["{podSelector: {}}", "everyone", "5"] {
        let text = np(&format!("{{ingress: [{{from: {peers}}}]}}"));
        check_finding(&text, "error spec.ingress[0].from: want a list, found ");
        let policy = policy(&text);
        let Peers::List(found) = &policy.rules[0].peers else { unreachable!("{peers} is anyone") };
        assert!(found.iter().all(|peer| peer.kind == PeerKind::Nobody), "{peers}");
    }
}

#[test]
fn ports_that_are_no_list_are_none() {
    for ports in ["{port: 80}", "\"80\"", "80"] {
        let text = np(&format!("{{ingress: [{{ports: {ports}}}]}}"));
        check_finding(&text, "error spec.ingress[0].ports: want a list, found ");
        assert_eq!(policy(&text).rules[0].ports, Ports::List(Vec::new()), "{ports}");
    }
}

#[test]
fn a_rule_that_is_no_mapping_matches_nothing() {
    let text = np("{ingress: [everything]}");
    check_finding(&text, "error spec.ingress[0]: want a mapping, found a string");
    let policy = policy(&text);
    assert_ne!(policy.rules[0].peers, Peers::Any);
    assert_eq!(policy.rules[0].ports, Ports::List(Vec::new()));
}

#[test]
fn rules_that_are_no_list_still_isolate() {
    for (spec, egress) in [("{ingress: {}}", false), ("{egress: {}}", true)] {
        let policy = policy(&np(spec));
        assert!(policy.isolates_ingress && policy.rules.is_empty(), "{spec}");
        assert_eq!(policy.isolates_egress, egress, "{spec}");
    }
}

#[test]
fn a_subject_that_cannot_be_read_takes_the_policy_away() {
    for selector in ["[]", "x", "{matchLabels: [a]}", "{matchLabels: {app: 5}}"] {
        let lowered = super::lowered(&np(&format!("{{podSelector: {selector}}}")));
        assert!(lowered.policies.is_empty(), "{selector}");
        assert_eq!(lowered.objects[0].fate, super::super::Fate::Unreadable, "{selector}");
        assert_eq!(lowered.inventory.taints.len(), 1, "{selector}");
    }
}
