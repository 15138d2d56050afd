//! What the API server refuses in the peers and the form of a NetworkPolicy, with the places of the findings.

use super::{check_finding, findings, lowered, np, policy};
use crate::diagnostic::codes;
use crate::policy::{PeerKind, Peers};
use crate::value::Pos;

fn peer_kind(peer: &str) -> PeerKind {
    let policy = policy(&np(&format!("{{ingress: [{{from: [{peer}]}}]}}")));
    match &policy.rules[0].peers {
        Peers::List(peers) => peers[0].kind.clone(),
        Peers::Any => unreachable!("{peer} is a peer"),
    }
}

#[test]
fn refused_peers_match_no_one_and_say_why() {
    let cases = [
        (
            "{ipBlock: {cidr: 10.0.0.0/33}}",
            ".ipBlock.cidr: Invalid value: \"10.0.0.0/33\": must be a valid CIDR value",
        ),
        (
            "{ipBlock: {cidr: 10.0.0.0}}",
            ".ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value",
        ),
        ("{ipBlock: {cidr: nowhere}}", ".ipBlock.cidr: Invalid value: \"nowhere\": "),
        ("{ipBlock: {cidr: \"\"}}", ".ipBlock.cidr: Required value"),
        ("{ipBlock: {}}", ".ipBlock.cidr: Required value"),
        (
            "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/33]}}",
            ".ipBlock.except[0]: Invalid value: \"10.1.0.0/33\": ",
        ),
        (
            "{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}",
            ": Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            "{ipBlock: {cidr: 10.0.0.0/8}, namespaceSelector: {}}",
            ": Forbidden: may not specify both ipBlock and another peer",
        ),
        ("{}", ": Required value: must specify a peer"),
        ("null", ": Required value: must specify a peer"),
        ("{podSelector: null}", ": Required value: must specify a peer"),
    ];
    for (peer, wanted) in cases {
        let text = np(&format!("{{ingress: [{{from: [{peer}]}}]}}"));
        check_finding(&text, &format!("error spec.ingress[0].from[0]{wanted}"));
        assert_eq!(peer_kind(peer), PeerKind::Nobody, "{peer}");
    }
}

#[test]
fn exceptions_must_lie_inside_the_block() {
    for except in ["11.0.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "\"fd00::/64\""] {
        let text = np(&format!(
            "{{ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.0/8, except: [10.1.0.0/16, {except}]}}}}]}}]}}"
        ));
        let name = except.trim_matches('"');
        check_finding(
            &text,
            &format!(
                "error spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"{name}\": must be a strict subset of `cidr`"
            ),
        );
    }
}

#[test]
fn one_refused_peer_takes_no_other_with_it() {
    let policy =
        policy(&np("{ingress: [{from: [{}, {podSelector: {}}, {ipBlock: {cidr: \"::/0\"}}]}]}"));
    let Peers::List(peers) = &policy.rules[0].peers else { unreachable!("three peers") };
    let kinds: Vec<_> = peers.iter().map(|peer| &peer.kind).collect();
    assert!(
        matches!(kinds[..], [PeerKind::Nobody, PeerKind::Pods(_), PeerKind::Addresses(_)]),
        "{kinds:?}"
    );
}

#[test]
fn findings_carry_places_objects_and_effects() {
    let text = "{apiVersion: networking.k8s.io/v1,\n kind: NetworkPolicy,\n metadata: {name: p, namespace: a},\n\
                spec: {ingress: [\n  {from: [{ipBlock: {cidr:\n    10.0.0.0/40}}]}]}}";
    let found = &lowered(text).diagnostics[0];
    assert_eq!(found.code, codes::INVALID);
    assert_eq!(found.path, "spec.ingress[0].from[0].ipBlock.cidr");
    assert_eq!(found.span.pos, Pos { line: 6, column: 5 });
    assert_eq!(found.object.as_deref(), Some("NetworkPolicy a/p"));
    assert!(found.effect.as_deref().is_some_and(|text| text.contains("matches nothing")));
}

#[test]
fn unknown_fields_are_reported_where_their_keys_are() {
    let cases = [
        ("{podselector: {}}", "spec.podselector", Some("podSelector")),
        ("{ingress: [{form: []}]}", "spec.ingress[0].form", Some("from")),
        ("{ingress: [{to: []}]}", "spec.ingress[0].to", None),
        (
            "{ingress: [{from: [{podSelector: {}, ipblock: {}}]}]}",
            "spec.ingress[0].from[0].ipblock",
            Some("ipBlock"),
        ),
        (
            "{ingress: [{ports: [{port: 1, endport: 2}]}]}",
            "spec.ingress[0].ports[0].endport",
            Some("endPort"),
        ),
        ("{podSelector: {matchlabels: {}}}", "spec.podSelector.matchlabels", Some("matchLabels")),
    ];
    for (spec, path, near) in cases {
        let lowered = lowered(&np(spec));
        let [found] = &lowered.diagnostics[..] else { unreachable!("{:?}", lowered.diagnostics) };
        assert_eq!((found.code, found.path.as_str()), (codes::UNKNOWN_FIELD, path));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        assert!(near.is_none() || found.help == help, "{spec}: {:?}", found.help);
        assert!(lowered.inventory.taints.is_empty(), "the server drops the field: {spec}");
    }
}

#[test]
fn names_are_validated() {
    let named = |name: &str| {
        findings(&format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name}, spec: {{}}}}"
        ))
    };
    let long = "x".repeat(254);
    let cases = [
        (
            "{name: Bad_Name}".to_owned(),
            "error metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain",
        ),
        (format!("{{name: {long}}}"), "error metadata.name: Invalid value: "),
        ("{}".to_owned(), "error metadata.name: Required value: name or generateName is required"),
        (
            "{name: p, namespace: a.b}".to_owned(),
            "error metadata.namespace: Invalid value: \"a.b\": a lowercase RFC 1123 label",
        ),
    ];
    for (meta, wanted) in cases {
        let found = named(&meta);
        assert!(found.len() == 1 && found[0].starts_with(wanted), "{meta}: {found:?}");
    }
    assert_eq!(named("{generateName: p-}"), [""; 0]);
    assert_eq!(named("{name: default.postgres}"), [""; 0]);
}

#[test]
fn policy_types_the_server_refuses_isolate_both_ways() {
    let cases = [
        ("[Ingress, egress]", "policyTypes[1]: Unsupported value: \"egress\""),
        ("[Both]", "policyTypes[0]: Unsupported value: \"Both\""),
        ("[Ingress, 1]", "policyTypes[1]: want a string, found a number"),
        ("Ingress", "policyTypes: want a list, found a string"),
        (
            "[Ingress, Ingress, Ingress]",
            "policyTypes: Invalid value: may not specify more than two policyTypes, found 3",
        ),
    ];
    for (types, wanted) in cases {
        let text = np(&format!("{{policyTypes: {types}}}"));
        check_finding(&text, &format!("error spec.{wanted}"));
        let policy = policy(&text);
        assert!(policy.isolates_ingress && policy.isolates_egress, "{types}");
    }
}

#[test]
fn a_prefix_with_host_bits_is_accepted_and_warned_about() {
    let text = np("{ingress: [{from: [{ipBlock: {cidr: 10.100.0.1/16}}]}]}");
    check_finding(
        &text,
        "warning spec.ingress[0].from[0].ipBlock.cidr: CIDR value \"10.100.0.1/16\" is ambiguous in this context \
         (should be \"10.100.0.0/16\" or \"10.100.0.1/32\"?)",
    );
    assert_eq!(
        peer_kind("{ipBlock: {cidr: 10.100.0.1/16}}"),
        peer_kind("{ipBlock: {cidr: 10.100.0.0/16}}")
    );
    check_finding(
        &np("{ingress: [{from: [{ipBlock: {cidr: \"fd00::1/64\"}}]}]}"),
        "warning spec.ingress[0].from[0].ipBlock.cidr: CIDR value \"fd00::1/64\" is ambiguous in this context \
         (should be \"fd00::/64\" or \"fd00::1/128\"?)",
    );
}
