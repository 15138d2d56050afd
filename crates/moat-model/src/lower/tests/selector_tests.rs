//! Label selectors.

use super::{check_finding, np, policy};
use moat_sets::Labels;

#[test]
fn selectors_mean_what_apimachinery_says() {
    let cases = [
        ("{}", &["", "app=x", "tier=y"][..]),
        ("{matchLabels: {}, matchExpressions: []}", &["", "app=x", "tier=y"]),
        ("{matchLabels: {app: x}}", &["app=x"]),
        ("{matchLabels: {app: \"\"}}", &[]),
        ("{matchExpressions: [{key: app, operator: In, values: [w, x]}]}", &["app=x"]),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [x]}]}", &["", "tier=y"]),
        ("{matchExpressions: [{key: app, operator: Exists}]}", &["app=x"]),
        ("{matchExpressions: [{key: app, operator: Exists, values: []}]}", &["app=x"]),
        ("{matchExpressions: [{key: app, operator: DoesNotExist}]}", &["", "tier=y"]),
        ("{matchLabels: {tier: y}, matchExpressions: [{key: app, operator: Exists}]}", &[]),
    ];
    for (selector, wanted) in cases {
        let policy = policy(&np(&format!("{{podSelector: {selector}}}")));
        for labels in ["", "app=x", "tier=y"] {
            let set: Labels = labels.split_once('=').into_iter().collect();
            let found = policy.subject.pods.matches(&set);
            assert_eq!(found, wanted.contains(&labels), "{selector} of `{labels}`");
        }
    }
}

#[test]
fn refused_expressions() {
    let cases = [
        (
            "{key: app, operator: Equals, values: [x]}",
            "operator: Invalid value: \"Equals\": not a valid selector operator",
        ),
        (
            "{key: app, operator: in, values: [x]}",
            "operator: Invalid value: \"in\": not a valid selector operator",
        ),
        ("{key: app}", "operator: Invalid value: \"\": not a valid selector operator"),
        (
            "{key: app, operator: In}",
            "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        ("{key: app, operator: In, values: []}", "values: Required value"),
        ("{key: app, operator: NotIn, values: null}", "values: Required value"),
        (
            "{key: app, operator: Exists, values: [x]}",
            "values: Forbidden: may not be specified when `operator` is 'Exists' or",
        ),
        ("{key: app, operator: DoesNotExist, values: [x]}", "values: Forbidden"),
        ("{operator: Exists}", "key: Invalid value: \"\": name part must be non-empty"),
        ("{key: -a, operator: Exists}", "key: Invalid value: \"-a\": name part must consist of"),
        ("{key: app, operator: In, values: [x, 5]}", "values[1]: want a string, found a number"),
    ];
    for (expression, wanted) in cases {
        let text = np(&format!(
            "{{ingress: [{{from: [{{podSelector: {{matchExpressions: [{expression}]}}}}]}}]}}"
        ));
        let path = "spec.ingress[0].from[0].podSelector.matchExpressions[0]";
        check_finding(&text, &format!("error {path}.{wanted}"));
        let policy = policy(&text);
        let crate::Peers::List(peers) = &policy.rules[0].peers else { unreachable!("one peer") };
        assert_eq!(peers[0].kind, crate::PeerKind::Nobody, "{expression}");
    }
}

#[test]
fn refused_label_keys_and_values() {
    let long = "x".repeat(64);
    let cases = [
        ("/app: x", "\"/app\": prefix part must be non-empty"),
        ("a/b/c: x", "\"a/b/c\": name part must consist of"),
        ("Example.com/app: x", "\"Example.com/app\": prefix part a lowercase RFC 1123 subdomain"),
        ("example.com/: x", "\"example.com/\": name part must be non-empty"),
        ("LONG: x", "\"LONG\": name part must be no more than 63 characters"),
        ("app: _x", "\"_x\": a valid label must be an empty string or consist of"),
        ("app: a b", "\"a b\": a valid label must be"),
        ("app: LONG", "\"LONG\": must be no more than 63 characters"),
    ];
    for (label, wanted) in cases {
        let (label, wanted) = (label.replace("LONG", &long), wanted.replace("LONG", &long));
        let text = np(&format!(
            "{{ingress: [{{from: [{{podSelector: {{matchLabels: {{{label}}}}}}}]}}]}}"
        ));
        let path = "spec.ingress[0].from[0].podSelector.matchLabels";
        check_finding(&text, &format!("error {path}: Invalid value: {wanted}"));
    }
}

#[test]
fn a_label_that_is_a_number_wants_quotes() {
    let lowered = super::lowered(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {version: 1, app: x, on: true, none: null}}, spec: {}}",
    );
    let found: Vec<_> = lowered.diagnostics.iter().map(|found| found.path.as_str()).collect();
    assert_eq!(found, ["metadata.labels.version", "metadata.labels.on"]);
    assert!(
        lowered
            .diagnostics
            .iter()
            .all(|found| found.help.as_deref() == Some("put the value in quotes"))
    );
    let labels: Vec<_> = lowered.inventory.pods[0].labels.iter().collect();
    assert_eq!(labels, [("app", "x"), ("none", "")]);
}
