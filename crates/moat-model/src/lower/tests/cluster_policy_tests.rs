//! Cluster policies: translation, and that every rule that cannot be understood fails closed.
//!
//# "For "Accept" rules, "fail closed" means: "treat the rule as matching no traffic". For "Deny" and "Pass" rules, "fail closed"
//# means: "treat the rule as a 'Deny all' rule"."

use super::{check_finding, cnp, findings, lowered, policy};
use crate::policy::{Action, Direction, PeerKind, Peers, PortMatch, Ports, Rule, Tier};
use moat_sets::{PortSet, Protocol};

const PODS: &str = "{namespaces: {}}";

fn one_rule(text: &str) -> Rule {
    let policy = policy(text);
    assert_eq!(policy.rules.len(), 1, "{text}");
    policy.rules[0].clone()
}

fn ingress(action: &str, peer: &str, rest: &str) -> String {
    cnp(&format!("ingress: [{{action: {action}, from: [{peer}]{rest}}}]"))
}

fn egress(action: &str, peer: &str, rest: &str) -> String {
    cnp(&format!("egress: [{{action: {action}, to: [{peer}]{rest}}}]"))
}

fn check_closed(rule: &Rule, what: &str) {
    let wanted = if rule.action == Action::Accept { PeerKind::Nobody } else { PeerKind::Everyone };
    let Peers::List(peers) = &rule.peers else { unreachable!("cluster rules list their peers") };
    let kinds: Vec<_> = peers.iter().map(|peer| &peer.kind).collect();
    assert_eq!(kinds, [&wanted], "{what}");
    assert_eq!(rule.ports, Ports::Any, "{what}");
}

#[test]
fn peers_that_cannot_be_understood_fail_closed() {
    let cases = [
        ("{}", ": Required value: must specify a peer"),
        ("null", ": Required value: must specify a peer"),
        (
            "{namespaces: {}, pods: {podSelector: {}}}",
            ": Forbidden: may specify only one kind of peer",
        ),
        (
            "{namespaces: {matchExpressions: [{key: a, operator: Is}]}}",
            ".namespaces.matchExpressions[0].operator: ",
        ),
        ("{namespaces: []}", ".namespaces: want a mapping"),
        ("{pods: {}}", ".pods.podSelector: Required value"),
        ("{pods: {namespaceSelector: {}}}", ".pods.podSelector: Required value"),
        (
            "{pods: {podSelector: {matchLabels: {-a: x}}}}",
            ".pods.podSelector.matchLabels: Invalid value: \"-a\": ",
        ),
        ("{nodes: {matchLabels: {a: 5}}}", ".nodes.matchLabels.a: want a string"),
        ("{networks: [10.0.0.0/8, 10.0.0.0/99]}", ".networks[1]: Invalid value: \"10.0.0.0/99\""),
        ("{networks: 10.0.0.0/8}", ".networks: want a list, found a string"),
        ("{networks: []}", ".networks: Invalid value: 0: must have at least 1 items"),
    ];
    for action in ["Accept", "Deny", "Pass"] {
        for (peer, wanted) in cases {
            // The good peer beside it does not save the rule.
            let text = egress(action, &format!("{PODS}, {peer}"), ", protocols: [{tcp: {}}]");
            check_finding(&text, &format!("error spec.egress[0].to[1]{wanted}"));
            check_closed(&one_rule(&text), &text);
        }
    }
}

#[test]
fn an_unknown_kind_of_peer_is_named_and_fails_closed() {
    for action in ["Accept", "Deny", "Pass"] {
        let text = ingress(action, "{networks: [10.0.0.0/8]}", "");
        let found = findings(&text);
        assert!(
            found[0].starts_with("warning spec.ingress[0].from[0].networks: unknown field"),
            "{found:?}"
        );
        assert!(found[1].starts_with("error spec.ingress[0].from[0]: Required value"), "{found:?}");
        check_closed(&one_rule(&text), &text);
    }
}

#[test]
fn ports_that_cannot_be_understood_fail_closed() {
    let range = "must be between 1 and 65535, inclusive";
    let cases = [
        ("{}".to_owned(), ": Required value: must specify one of `tcp`".to_owned()),
        (
            "{tcp: {}, udp: {}}".to_owned(),
            ": Forbidden: may specify only one of `tcp`, `udp`".to_owned(),
        ),
        (
            "{tcp: {}, destinationNamedPort: http}".to_owned(),
            ": Forbidden: may specify only one of".to_owned(),
        ),
        (
            "{tcp: {destinationPort: {}}}".to_owned(),
            ".tcp.destinationPort: Required value: must specify one of `number`, `range`"
                .to_owned(),
        ),
        (
            "{tcp: {destinationPort: {number: 0}}}".to_owned(),
            format!(".tcp.destinationPort.number: Invalid value: 0: {range}"),
        ),
        (
            "{udp: {destinationPort: {number: 65536}}}".to_owned(),
            format!(".udp.destinationPort.number: Invalid value: 65536: {range}"),
        ),
        (
            "{tcp: {destinationPort: {number: 5, range: {start: 1, end: 2}}}}".to_owned(),
            ".tcp.destinationPort: Forbidden: may specify only one of `number`, `range`".to_owned(),
        ),
        (
            "{tcp: {destinationPort: {range: {start: 9, end: 9}}}}".to_owned(),
            ".tcp.destinationPort.range.end: Invalid value: 9: must be greater than `start`"
                .to_owned(),
        ),
        (
            "{sctp: {destinationPort: {range: {start: 0, end: 9}}}}".to_owned(),
            format!(".sctp.destinationPort.range.start: Invalid value: 0: {range}"),
        ),
        (
            "{destinationNamedPort: \"\"}".to_owned(),
            ".destinationNamedPort: Invalid value: \"\"".to_owned(),
        ),
        (
            "{destinationNamedPort: sixteen-letters-x}".to_owned(),
            ".destinationNamedPort: Invalid value: \"sixteen-letters-x\": must be no more than 15"
                .to_owned(),
        ),
        (
            "{destinationNamedPort: 80}".to_owned(),
            ".destinationNamedPort: want a string, found a number".to_owned(),
        ),
    ];
    for action in ["Accept", "Deny", "Pass"] {
        for (port, wanted) in &cases {
            let text = ingress(action, PODS, &format!(", protocols: [{{udp: {{}}}}, {port}]"));
            let found = findings(&text);
            let wanted = format!("error spec.ingress[0].protocols[1]{wanted}");
            assert!(found[0].starts_with(&wanted), "{text}\nwant {wanted}\nfound {found:#?}");
            check_closed(&one_rule(&text), &text);
        }
    }
}

#[test]
fn lists_that_are_empty_or_none_fail_closed() {
    for action in ["Accept", "Deny", "Pass"] {
        for rule in ["", ", from: []", ", from: null", ", from: {namespaces: {}}"] {
            let text = cnp(&format!("ingress: [{{action: {action}{rule}}}]"));
            let found = findings(&text);
            assert_eq!(
                found.last().unwrap(),
                "error spec.ingress[0].from: Required value: must have at least 1 from peer"
            );
            check_closed(&one_rule(&text), &text);
        }
        for protocols in ["[]", "{tcp: {}}"] {
            let text = ingress(action, PODS, &format!(", protocols: {protocols}"));
            assert_eq!(findings(&text).len(), 1, "{text}");
            check_closed(&one_rule(&text), &text);
        }
    }
}

#[test]
fn what_has_no_action_is_denied() {
    let cases = [
        ("[{from: [{namespaces: {}}]}]", "[0].action: Required value"),
        (
            "[{action: Allow, from: [{namespaces: {}}]}]",
            "[0].action: Unsupported value: \"Allow\": supported values: \"Accept\", \"Deny\", \"Pass\"",
        ),
        ("[{action: deny, from: [{namespaces: {}}]}]", "[0].action: Unsupported value: \"deny\""),
        ("{action: Accept, from: [{namespaces: {}}]}", ": want a list, found a mapping"),
        ("everything", ": want a list, found a string"),
    ];
    for (list, wanted) in cases {
        let text = cnp(&format!("ingress: {list}"));
        check_finding(&text, &format!("error spec.ingress{wanted}"));
        assert_eq!(one_rule(&text).action, Action::Deny, "{list}");
    }
    check_closed(&one_rule(&cnp("ingress: everything")), "rules that are no list");
    check_closed(&one_rule(&cnp("egress: [everything]")), "a rule that is no mapping");
}

#[test]
fn domain_names_are_for_accept_rules() {
    let peer = "{domainNames: [api.example.com, \"*.example.org\"]}";
    let Peers::List(peers) = one_rule(&egress("Accept", peer, "")).peers else {
        unreachable!("two names")
    };
    assert!(peers.iter().all(|peer| matches!(peer.kind, PeerKind::Domain(_))) && peers.len() == 2);
    for action in ["Deny", "Pass"] {
        let text = egress(action, peer, "");
        check_finding(
            &text,
            "error spec.egress[0].to[0].domainNames: Forbidden: domainNames may only be used in Accept rules",
        );
        check_closed(&one_rule(&text), &text);
    }
    for name in ["\"*\"", "a*.example.com", "\"a..b\"", "\"*.*.com\"", "5"] {
        let text = egress("Accept", &format!("{{domainNames: [example.com, {name}]}}"), "");
        check_finding(&text, "error spec.egress[0].to[0].domainNames[1]: ");
        check_closed(&one_rule(&text), &text);
    }
    let text = egress("Accept", "{domainNames: []}", "");
    check_finding(&text, "error spec.egress[0].to[0].domainNames: Invalid value: 0");
    check_closed(&one_rule(&text), &text);
}

#[test]
fn forms_of_a_protocol() {
    let cases = [
        ("{tcp: {}}", PortMatch::Numbers(PortSet::protocol(Protocol::Tcp))),
        (
            "{udp: {destinationPort: {number: 53}}}",
            PortMatch::Numbers(PortSet::range(Protocol::Udp, 53, 53)),
        ),
        (
            "{sctp: {destinationPort: {range: {start: 1, end: 65535}}}}",
            PortMatch::Numbers(PortSet::range(Protocol::Sctp, 1, 65535)),
        ),
        ("{destinationNamedPort: http}", PortMatch::Named { protocol: None, name: "http".into() }),
    ];
    for (protocol, wanted) in cases {
        let rule = one_rule(&ingress("Deny", PODS, &format!(", protocols: [{protocol}]")));
        assert_eq!(rule.ports, Ports::List(vec![wanted]), "{protocol}");
    }
    assert_eq!(one_rule(&ingress("Deny", PODS, "")).ports, Ports::Any);
}

#[test]
fn tier_priority_and_subject() {
    let spec = |spec: &str| {
        format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: p}}, spec: {spec}}}"
        )
    };
    let tier = |text: &str| policy(&spec(text)).tier;
    let subject = "subject: {namespaces: {}}";
    assert_eq!(
        tier(&format!("{{tier: Admin, priority: 0, {subject}}}")),
        Tier::Admin { priority: 0 }
    );
    assert_eq!(
        tier(&format!("{{tier: Baseline, priority: 1000, {subject}}}")),
        Tier::Baseline { priority: 1000 }
    );
    let cases = [
        (format!("{{tier: Admin, {subject}}}"), "spec.priority: Required value"),
        (
            format!("{{tier: Admin, priority: 1001, {subject}}}"),
            "spec.priority: Invalid value: 1001: must be between 0 and 1000",
        ),
        (format!("{{tier: Admin, priority: -1, {subject}}}"), "spec.priority: Invalid value: -1"),
        (format!("{{priority: 1, {subject}}}"), "spec.tier: Required value"),
        (format!("{{tier: Top, priority: 1, {subject}}}"), "spec.tier: Unsupported value: \"Top\""),
        ("{tier: Admin, priority: 1}".to_owned(), "spec.subject: Required value"),
        (
            "{tier: Admin, priority: 1, subject: {}}".to_owned(),
            "spec.subject: Required value: exactly one of",
        ),
        (
            "{tier: Admin, priority: 1, subject: {namespaces: {}, pods: {podSelector: {}}}}"
                .to_owned(),
            "spec.subject: Forbidden",
        ),
        ("null".to_owned(), "spec: Required value"),
    ];
    for (text, wanted) in cases {
        check_finding(&spec(&text), &format!("error {wanted}"));
    }
}

#[test]
fn a_subject_that_cannot_be_read_makes_every_verdict_uncertain() {
    for subject in ["{}", "[]", "{pods: {podSelector: []}}", "{namespaces: {matchLabels: {a: 5}}}"]
    {
        let text = format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: p}}, \
             spec: {{tier: Admin, priority: 1, subject: {subject}}}}}"
        );
        let lowered = lowered(&text);
        assert!(lowered.policies.is_empty(), "{subject}");
        assert_eq!(lowered.inventory.taints[0].scope, crate::TaintScope::Everything, "{subject}");
    }
}

#[test]
fn at_most_25_rules() {
    let rules = vec!["{action: Deny, from: [{namespaces: {}}]}"; 26].join(", ");
    let text = cnp(&format!("ingress: [{rules}]"));
    check_finding(&text, "error spec.ingress: Too many: 26: must have at most 25 items");
    assert_eq!(
        policy(&text).rules(Direction::Ingress).count(),
        26,
        "they all count, for they may deny"
    );
}

#[test]
fn equal_priorities_are_reported_within_a_tier() {
    let text = |tier: &str| {
        ["p", "q"].map(|name| format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: {name}}}, \
             spec: {{tier: {}, priority: 1, subject: {{namespaces: {{}}}}}}}}",
            if name == "p" { "Admin" } else { tier }
        )).join("\n---\n")
    };
    check_finding(
        &text("Admin"),
        "warning spec.priority: `cnp q` has the same tier and priority as `cnp p`",
    );
    assert_eq!(findings(&text("Baseline")), [""; 0]);
}

fn admin(kind: &str, fields: &str) -> String {
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: {kind}, metadata: {{name: default}}, \
         spec: {{subject: {{namespaces: {{}}}}, {fields}}}}}"
    )
}

#[test]
fn the_older_kinds_are_translated() {
    let rule = "ingress: [{action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {port: 53, protocol: UDP}}, {namedPort: http}, {portRange: {start: 1, end: 9}}]}]";
    let ports = [
        PortMatch::Numbers(PortSet::range(Protocol::Udp, 53, 53)),
        PortMatch::Named { protocol: None, name: "http".into() },
        PortMatch::Numbers(PortSet::range(Protocol::Tcp, 1, 9)),
    ];
    for (kind, priority, tier) in [
        ("AdminNetworkPolicy", "priority: 5, ", Tier::Admin { priority: 5 }),
        ("BaselineAdminNetworkPolicy", "", Tier::Baseline { priority: 0 }),
    ] {
        let text = admin(kind, &format!("{priority}{rule}"));
        assert_eq!(findings(&text), [""; 0]);
        let policy = policy(&text);
        assert_eq!((policy.tier, policy.rules[0].action), (tier, Action::Accept), "{kind}");
        assert_eq!(policy.rules[0].ports, Ports::List(ports.to_vec()), "{kind}");
    }
}

#[test]
fn the_older_kinds_fail_closed_too() {
    let cases = [
        (
            "{portNumber: {port: 53, protocol: ICMP}}",
            ".portNumber.protocol: Unsupported value: \"ICMP\"",
        ),
        (
            "{portRange: {start: 1, end: 2, protocol: tcp}}",
            ".portRange.protocol: Unsupported value: \"tcp\"",
        ),
        ("{portNumber: {port: 53}, namedPort: dns}", ": Forbidden: may specify only one of"),
        ("{portNumber: {}}", ".portNumber.port: Invalid value: 0"),
        ("{}", ": Required value: must specify one of"),
    ];
    for action in ["Allow", "Deny", "Pass"] {
        for (port, wanted) in cases {
            let text = admin(
                "AdminNetworkPolicy",
                &format!(
                    "priority: 1, ingress: [{{action: {action}, from: [{{namespaces: {{}}}}], ports: [{port}]}}]"
                ),
            );
            let found = findings(&text);
            assert!(
                found[0].starts_with(&format!("error spec.ingress[0].ports[0]{wanted}")),
                "{found:?}"
            );
            check_closed(&one_rule(&text), &text);
        }
    }
    let pass =
        admin("BaselineAdminNetworkPolicy", "ingress: [{action: Pass, from: [{namespaces: {}}]}]");
    check_finding(
        &pass,
        "error spec.ingress[0].action: Unsupported value: \"Pass\": supported values: \"Allow\", \"Deny\"",
    );
}
