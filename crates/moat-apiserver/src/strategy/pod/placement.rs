//! Rules of where a pod may be placed: affinity, tolerations, spread.

use crate::names::{self, Rule};
use crate::object::{list, number, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::{Value, json};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(affinity: &Value, path: &str, causes: &mut Vec<Cause>) {
    let nodes = &affinity["nodeAffinity"];
    if nodes[REQUIRED].is_object() {
        let path = format!("{path}.nodeAffinity.{REQUIRED}");
        node_selector(&nodes[REQUIRED], &path, causes);
    }
    for (n, term) in list(nodes, &format!("/{PREFERRED}")).iter().enumerate() {
        let path = format!("{path}.nodeAffinity.{PREFERRED}[{n}]");
        weight(term, &path, causes);
        node_term(&term["preference"], &format!("{path}.preference"), causes);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let own = &affinity[kind];
        for (n, term) in list(own, &format!("/{REQUIRED}")).iter().enumerate() {
            pod_term(term, &format!("{path}.{kind}.{REQUIRED}[{n}]"), causes);
        }
        for (n, term) in list(own, &format!("/{PREFERRED}")).iter().enumerate() {
            let path = format!("{path}.{kind}.{PREFERRED}[{n}]");
            weight(term, &path, causes);
            pod_term(&term["podAffinityTerm"], &format!("{path}.podAffinityTerm"), causes);
        }
    }
}

fn weight(term: &Value, path: &str, causes: &mut Vec<Cause>) {
    let weight = number(term, "/weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        let why = "must be in the range 1-100";
        causes.push(Cause::invalid(format!("{path}.weight"), &weight.into(), why));
    }
}

/// Nodes by terms, one of which must hold.
pub(in crate::strategy) fn node_selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    let terms = list(selector, "/nodeSelectorTerms");
    let path = format!("{path}.nodeSelectorTerms");
    if terms.is_empty() {
        causes.push(Cause::required(&path, "must have at least one node selector term"));
    }
    for (n, term) in terms.iter().enumerate() {
        node_term(term, &format!("{path}[{n}]"), causes);
    }
}

fn node_term(term: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (n, one) in list(term, "/matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{n}]");
        check::expression(one, &path, &["Gt", "Lt"], causes);
    }
    for (n, one) in list(term, "/matchFields").iter().enumerate() {
        let path = format!("{path}.matchFields[{n}]");
        let (operator, key, values) =
            (text(one, "/operator"), text(one, "/key"), list(one, "/values"));
        if !matches!(operator, "In" | "NotIn") {
            let why = "not a valid selector operator";
            causes.push(Cause::invalid(format!("{path}.operator"), &operator.into(), why));
        } else if values.len() != 1 {
            let why =
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            causes.push(Cause::required(format!("{path}.values"), why));
        }
        if key != "metadata.name" {
            let why = "not a valid field selector key";
            causes.push(Cause::invalid(format!("{path}.key"), &key.into(), why));
            continue;
        }
        for (m, value) in values.iter().enumerate() {
            let path = format!("{path}.values[{m}]");
            check::name(Rule::Subdomain, value.as_str().unwrap_or_default(), &path, causes);
        }
    }
}

fn pod_term(term: &Value, path: &str, causes: &mut Vec<Cause>) {
    check::selector(&term["labelSelector"], &format!("{path}.labelSelector"), causes);
    check::selector(&term["namespaceSelector"], &format!("{path}.namespaceSelector"), causes);
    for name in list(term, "/namespaces") {
        let path = format!("{path}.namespace");
        check::name(Rule::Label, name.as_str().unwrap_or_default(), &path, causes);
    }
    let key = text(term, "/topologyKey");
    let path = format!("{path}.topologyKey");
    if key.is_empty() {
        causes.push(Cause::required(&path, "can not be empty"));
    }
    check::qualified(key, &path, causes);
}

pub(super) fn tolerations(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (n, one) in list(spec, "/tolerations").iter().enumerate() {
        let path = format!("{path}[{n}]");
        let (key, operator, value, effect) =
            (text(one, "/key"), text(one, "/operator"), text(one, "/value"), text(one, "/effect"));
        let place = format!("{path}.operator");
        if !key.is_empty() {
            check::qualified(key, &format!("{path}.key"), causes);
        }
        if key.is_empty() && operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            causes.push(Cause::invalid(&place, &operator.into(), why));
        }
        if one["tolerationSeconds"].is_number() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            causes.push(Cause::invalid(format!("{path}.effect"), &effect.into(), why));
        }
        match operator {
            "Equal" | "" => {
                let wrong = names::label_value(value);
                if !wrong.is_empty() {
                    causes.push(Cause::invalid(&place, &value.into(), &wrong.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let why = "value must be empty when `operator` is 'Exists'";
                causes.push(Cause::invalid(&place, &value.into(), why));
            }
            "Exists" => {}
            "Lt" | "Gt" => {
                let known = ["Equal", "Exists", "Lt", "Gt"];
                causes.push(Cause::not_supported(&place, &operator.into(), &known));
            }
            _ => {
                let known = ["Equal", "Exists"];
                causes.push(Cause::not_supported(&place, &operator.into(), &known));
            }
        }
        if !effect.is_empty() {
            check::maybe_one_of(&one["effect"], &format!("{path}.effect"), &EFFECTS, causes);
        }
    }
}

/// Taints of a node.
pub(in crate::strategy) fn taints(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = Vec::new();
    for (n, one) in list(spec, "/taints").iter().enumerate() {
        let path = format!("{path}[{n}]");
        let (key, effect) = (text(one, "/key"), text(one, "/effect"));
        check::qualified(key, &format!("{path}.key"), causes);
        let wrong = names::label_value(text(one, "/value"));
        if !wrong.is_empty() {
            let value = &one["value"];
            causes.push(Cause::invalid(format!("{path}.value"), value, &wrong.join(";")));
        }
        check::one_of(&one["effect"], &format!("{path}.effect"), &EFFECTS, causes);
        if seen.contains(&(key, effect)) {
            let shown = json!({
                "Key": key, "Value": text(one, "/value"), "Effect": effect, "TimeAdded": one["timeAdded"],
            });
            let cause = Cause::duplicate(&path, &shown);
            let message =
                format!("{}: taints must be unique by key and effect pair", cause.message);
            causes.push(Cause { message, ..cause });
        }
        seen.push((key, effect));
    }
}

pub(super) fn spread(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let all = list(spec, "/topologySpreadConstraints");
    for (n, one) in all.iter().enumerate() {
        let path = format!("{path}[{n}]");
        let pair = |one: &Value| {
            (text(one, "/topologyKey").to_owned(), text(one, "/whenUnsatisfiable").to_owned())
        };
        let (key, action) = pair(one);
        positive(one, "maxSkew", &path, causes);
        if key.is_empty() {
            causes.push(Cause::required(format!("{path}.topologyKey"), "can not be empty"));
        }
        let known = ["DoNotSchedule", "ScheduleAnyway"];
        if !known.contains(&action.as_str()) {
            let path = format!("{path}.whenUnsatisfiable");
            causes.push(Cause::not_supported(path, &action.as_str().into(), &known));
        }
        if all.iter().skip(n + 1).any(|other| pair(other) == (key.clone(), action.clone())) {
            let shown = format!("{{{key}, {action}}}");
            let path = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            causes.push(Cause::duplicate(path, &shown.into()));
        }
        if one["minDomains"].is_number() {
            positive(one, "minDomains", &path, causes);
            if action != "DoNotSchedule" {
                let why = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                );
                let path = format!("{path}.minDomains");
                causes.push(Cause::invalid(path, &one["minDomains"], &why));
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let path = format!("{path}.{field}");
            check::maybe_one_of(&one[field], &path, &["Honor", "Ignore"], causes);
        }
        check::selector(&one["labelSelector"], &format!("{path}.labelSelector"), causes);
    }
}

fn positive(one: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = one[field].as_i64().unwrap_or(0);
    if value <= 0 {
        let why = "must be greater than zero";
        causes.push(Cause::invalid(format!("{path}.{field}"), &value.into(), why));
    }
}
