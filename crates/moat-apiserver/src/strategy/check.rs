//! Rules that many kinds share: names, labels, selectors, ports, paths, numbers, each with upstream's sentence.

use crate::names::{self, Rule};
use crate::object::{at, list, text};
use crate::status::Cause;
use moat_sets::Cidr;
use serde_json::Value;
use std::net::IpAddr;

/// Upstream's sentence for a number below zero.
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";
/// For what cannot be changed.
pub(crate) const IMMUTABLE: &str = "field is immutable";
/// For what is no address.
pub(super) const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const BACKSTEPS: &str = "must not contain '..'";

/// A name by a rule.
pub(super) fn name(rule: Rule, value: &str, path: &str, causes: &mut Vec<Cause>) {
    for why in names::check(rule, value, false) {
        causes.push(Cause::invalid(path, &value.into(), &why));
    }
}

/// A word with an optional domain before it.
pub(super) fn qualified(value: &str, path: &str, causes: &mut Vec<Cause>) {
    for why in names::qualified(value) {
        causes.push(Cause::invalid(path, &value.into(), &why));
    }
}

/// A map of labels.
pub(super) fn labels(map: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in map.as_object().into_iter().flatten() {
        qualified(key, path, causes);
        label_value(value.as_str().unwrap_or_default(), path, causes);
    }
}

/// The value of a label.
pub(super) fn label_value(value: &str, path: &str, causes: &mut Vec<Cause>) {
    for why in names::label_value(value) {
        causes.push(Cause::invalid(path, &value.into(), &why));
    }
}

/// A selector of labels.
pub(super) fn selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    labels(&selector["matchLabels"], &format!("{path}.matchLabels"), causes);
    for (at, one) in list(selector, "/matchExpressions").iter().enumerate() {
        expression(one, &format!("{path}.matchExpressions[{at}]"), &[], causes);
    }
}

/// One requirement of a selector; `numeric` are the operators besides those of labels that take one number.
pub(super) fn expression(one: &Value, path: &str, numeric: &[&str], causes: &mut Vec<Cause>) {
    let values = list(one, "/values");
    let field = format!("{path}.values");
    match text(one, "/operator") {
        "In" | "NotIn" if values.is_empty() => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            causes.push(Cause::required(&field, why));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.push(Cause::forbidden(&field, why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other if numeric.contains(&other) => {
            if values.len() != 1 {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                causes.push(Cause::required(&field, why));
            }
        }
        other => {
            let why = "not a valid selector operator";
            causes.push(Cause::invalid(format!("{path}.operator"), &other.into(), why));
        }
    }
    qualified(text(one, "/key"), &format!("{path}.key"), causes);
    for (at, value) in values.iter().enumerate() {
        label_value(value.as_str().unwrap_or_default(), &format!("{field}[{at}]"), causes);
    }
}

/// One of some words; missing is another error than wrong.
pub(super) fn one_of(value: &Value, path: &str, known: &[&str], causes: &mut Vec<Cause>) {
    match value.as_str().unwrap_or_default() {
        "" => causes.push(Cause::required(path, "")),
        word if known.contains(&word) => {}
        _ => causes.push(Cause::not_supported(path, value, known)),
    }
}

/// The same for a field that may be missing.
pub(super) fn maybe_one_of(value: &Value, path: &str, known: &[&str], causes: &mut Vec<Cause>) {
    if let Some(word) = value.as_str().filter(|word| !known.contains(word)) {
        causes.push(Cause::not_supported(path, &word.into(), known));
    }
}

/// A field that must be there and not empty.
pub(super) fn required(object: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) -> bool {
    let empty = match &object[field] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if empty {
        causes.push(Cause::required(format!("{path}.{field}"), ""));
    }
    !empty
}

/// The same at the top of an object.
pub(super) fn required_at(object: &Value, field: &str, causes: &mut Vec<Cause>) {
    if object[field].as_str().unwrap_or_default().is_empty() {
        causes.push(Cause::required(field, ""));
    }
}

/// Fields that are not below zero, where they are there.
pub(super) fn not_negative(object: &Value, fields: &[&str], path: &str, causes: &mut Vec<Cause>) {
    for field in fields {
        if object[field].as_i64().is_some_and(|value| value < 0) {
            let path =
                if path.is_empty() { (*field).to_owned() } else { format!("{path}.{field}") };
            causes.push(Cause::invalid(path, &object[field], NEGATIVE));
        }
    }
}

/// A number in a range.
pub(super) fn between(
    value: Option<i64>,
    path: &str,
    (low, high): (i64, i64),
    causes: &mut Vec<Cause>,
) {
    if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
        let why = format!("must be between {low} and {high}, inclusive");
        causes.push(Cause::invalid(path, &value.into(), &why));
    }
}

/// A port's number.
pub(super) fn port_number(port: i64, path: &str, causes: &mut Vec<Cause>) {
    between(Some(port), path, (1, 65_535), causes);
}

/// What is wrong with the name of a port.
pub(super) fn port_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    for why in moat_model::validate::port_name(name) {
        causes.push(Cause::invalid(path, &name.into(), why));
    }
}

/// A port by number or name.
pub(super) fn port(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::String(name) => port_name(name, path, causes),
        other => port_number(other.as_i64().unwrap_or(0), path, causes),
    }
}

/// A port's protocol.
pub(super) fn protocol(port: &Value, path: &str, causes: &mut Vec<Cause>) {
    one_of(&port["protocol"], &format!("{path}.protocol"), &["SCTP", "TCP", "UDP"], causes);
}

/// An address.
pub(super) fn ip(value: &str, path: &str, causes: &mut Vec<Cause>) -> Option<IpAddr> {
    let parsed = value.parse().ok();
    if parsed.is_none() {
        causes.push(Cause::invalid(path, &value.into(), IP));
    }
    parsed
}

/// A range of addresses.
pub(super) fn cidr(value: &str, path: &str, causes: &mut Vec<Cause>) {
    if let Some(why) = wrong_cidr(value) {
        causes.push(Cause::invalid(path, &value.into(), why));
    }
}

/// What is wrong with a range of addresses, by the strict rules that new objects must meet since Kubernetes 1.36.
//= k8s feature gate StrictIPCIDRValidation
//# must not have bits set beyond the prefix length
pub(super) fn wrong_cidr(value: &str) -> Option<&'static str> {
    const SHAPE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    const ZEROS: &str = "must not have leading 0s in IP or prefix length";
    const MAPPED: &str = "must not have an IPv4-mapped IPv6 address";
    const BEYOND: &str = "must not have bits set beyond the prefix length";
    let Some((address, bits)) = value.split_once('/') else { return Some(SHAPE) };
    // Go's lenient parser reads such octets as decimal.
    let plain = if address.contains(':') {
        address.to_owned()
    } else {
        address.split('.').map(without_zeros).collect::<Vec<_>>().join(".")
    };
    let plain = format!("{plain}/{}", without_zeros(bits));
    let Ok(cidr) = Cidr::parse(&plain) else { return Some(SHAPE) };
    if plain != value {
        return Some(ZEROS);
    }
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => Some(MAPPED),
        Ok(address) if address == cidr.network() => None,
        _ => Some(BEYOND),
    }
}

/// A decimal number without zeros before it.
fn without_zeros(number: &str) -> &str {
    let rest = number.trim_start_matches('0');
    if rest.is_empty() && !number.is_empty() { "0" } else { rest }
}

/// A path that stays below where it begins.
pub(super) fn descending(target: &str, path: &str, causes: &mut Vec<Cause>) {
    if target.starts_with('/') {
        causes.push(Cause::invalid(path, &target.into(), "must be a relative path"));
    }
    no_backsteps(target, path, causes);
}

/// A path that goes nowhere up.
pub(super) fn no_backsteps(target: &str, path: &str, causes: &mut Vec<Cause>) {
    if target.split('/').any(|part| part == "..") {
        causes.push(Cause::invalid(path, &target.into(), BACKSTEPS));
    }
}

/// A file's place below a mount, which is not one of those that the kubelet keeps for itself.
pub(super) fn file_below(target: &str, path: &str, causes: &mut Vec<Cause>) {
    descending(target, path, causes);
    if target.starts_with("..") && !target.starts_with("../") {
        causes.push(Cause::invalid(path, &target.into(), "must not start with '..'"));
    }
}

/// The mode of a file.
pub(super) fn mode(object: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    if object[field].as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        causes.push(Cause::invalid(format!("{path}.{field}"), &object[field], why));
    }
}

/// The key of a ConfigMap or Secret.
pub(super) fn config_key(key: &str, path: &str, causes: &mut Vec<Cause>) {
    for why in names::config_key(key) {
        causes.push(Cause::invalid(path, &key.into(), &why));
    }
}

/// An amount of a resource as it was written.
pub(super) fn shown(amount: &Value) -> String {
    amount.as_str().map_or_else(|| amount.to_string(), str::to_owned)
}

/// A number that is not below zero, or a share in percent.
pub(super) fn amount(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::String(text) if percent(value).is_none() => {
            let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            causes.push(Cause::invalid(path, &text.as_str().into(), why));
        }
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            causes.push(Cause::invalid(path, value, NEGATIVE));
        }
        _ => {}
    }
}

/// The number of a share in percent.
pub(super) fn percent(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_suffix('%')?;
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// A share that is at most all.
pub(super) fn at_most_all(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if percent(value).is_some_and(|share| 100 < share) {
        causes.push(Cause::invalid(path, value, "must not be greater than 100%"));
    }
}

/// Names that occur once, by the field of their items.
pub(super) fn distinct<'a>(seen: &mut Vec<&'a str>, name: &'a str, path: &str) -> Option<Cause> {
    if seen.contains(&name) {
        return Some(Cause::duplicate(path, &name.into()));
    }
    seen.push(name);
    None
}

/// Fields that a change must leave as they were.
pub(crate) fn fixed(new: &Value, old: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    for field in fields {
        let pointer = format!("/{}", field.replace('.', "/"));
        let (now, before) = (at(new, &pointer), at(old, &pointer));
        if now != before {
            let shown = now.cloned().unwrap_or_default();
            causes.push(Cause::invalid(*field, &shown, IMMUTABLE));
        }
    }
}
