//! Families of a Service's addresses (upstream's `initIPFamilyFields`). This cluster has IPv4 alone; a second family is refused in upstream's
//! words, but for Services without addresses and without a selector, whose endpoints are somebody else's and may be of both.

use crate::object::{list, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The one that this cluster has.
const OWN: &str = "IPv4";

fn texts<'a>(spec: &'a Map<String, Value>, field: &str) -> Vec<&'a str> {
    let all = spec.get(field).and_then(Value::as_array).into_iter().flatten();
    all.map(|one| one.as_str().unwrap_or_default()).collect()
}

fn shown(spec: &Map<String, Value>, field: &str) -> Value {
    spec.get(field).cloned().unwrap_or_default()
}

fn policy(spec: &Map<String, Value>) -> &str {
    spec.get("ipFamilyPolicy").and_then(Value::as_str).unwrap_or_default()
}

fn is_none(spec: &Map<String, Value>) -> bool {
    spec.get("clusterIP").is_some_and(|address| address == "None")
}

fn has_selector(spec: &Map<String, Value>) -> bool {
    spec.get("selector").and_then(Value::as_object).is_some_and(|all| !all.is_empty())
}

fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { OWN }
}

/// Fills in policy and families of a Service with addresses of its own, or says why they cannot be.
pub(super) fn settle(spec: &mut Map<String, Value>, old: Option<&Value>) -> Result<(), Vec<Cause>> {
    if policy(spec).is_empty() {
        let had = old.map(|old| text(old, "/spec/ipFamilyPolicy")).filter(|had| !had.is_empty());
        let free = is_none(spec) && !has_selector(spec);
        let usual = if free { "RequireDualStack" } else { "SingleStack" };
        spec.insert("ipFamilyPolicy".to_owned(), had.unwrap_or(usual).into());
    }
    if spec.get("clusterIPs").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let own = shown(spec, "clusterIP");
        if own.as_str().is_some_and(|own| !own.is_empty()) {
            spec.insert("clusterIPs".to_owned(), json!([own]));
        }
    }
    done(related(spec))?;
    done(counted(spec, old))?;
    if is_none(spec) && !has_selector(spec) {
        let mut families: Vec<String> =
            texts(spec, "ipFamilies").into_iter().map(str::to_owned).collect();
        if families.is_empty() {
            families.push(OWN.to_owned());
        }
        if let ([one], true) = (families.as_slice(), policy(spec) != "SingleStack") {
            let other = if one == OWN { "IPv6" } else { OWN };
            families.push(other.to_owned());
        }
        spec.insert("ipFamilies".to_owned(), families.into());
        return Ok(());
    }
    done(configured(spec))?;
    crate::object::default(spec, "ipFamilies", json!([OWN]));
    Ok(())
}

fn done(causes: Vec<Cause>) -> Result<(), Vec<Cause>> {
    if causes.is_empty() { Ok(()) } else { Err(causes) }
}

/// What the fields say of each other (`ValidateServiceClusterIPsRelatedFields`).
fn related(spec: &Map<String, Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let addresses = texts(spec, "clusterIPs");
    let (first, field) = (shown(spec, "clusterIP"), "spec.clusterIPs");
    let all = shown(spec, "clusterIPs");
    let first = first.as_str().unwrap_or_default();
    match addresses.first() {
        Some(_) if first.is_empty() => {
            let why = "must be empty when `clusterIP` is not specified";
            causes.push(Cause::invalid(field, &all, why));
        }
        Some(own) if *own != first => {
            causes.push(Cause::invalid(field, &all, "first value must match `clusterIP`"));
        }
        _ => {}
    }
    let mut seen = Vec::new();
    for (at, family) in texts(spec, "ipFamilies").into_iter().enumerate() {
        let path = format!("spec.ipFamilies[{at}]");
        check::one_of(&family.into(), &path, &["IPv4", "IPv6"], &mut causes);
        if seen.contains(&family) {
            causes.push(Cause::duplicate(&path, &family.into()));
        }
        seen.push(family);
    }
    let known = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    check::maybe_one_of(&shown(spec, "ipFamilyPolicy"), "spec.ipFamilyPolicy", &known, &mut causes);
    let mut wrong = false;
    for (at, address) in addresses.iter().enumerate() {
        if at == 0 && *address == "None" {
            if 1 < addresses.len() {
                wrong = true;
                let why = "'None' must be the first and only value";
                causes.push(Cause::invalid(field, &all, why));
            }
            continue;
        }
        let before = causes.len();
        check::ip(address, &format!("{field}[{at}]"), &mut causes);
        wrong |= before != causes.len();
    }
    if 2 < addresses.len() {
        causes.push(Cause::invalid(field, &all, "may only hold up to 2 values"));
    }
    if wrong {
        return causes;
    }
    if let [first, rest @ ..] = addresses.as_slice()
        && !rest.is_empty()
        && (1 < rest.len() || family_of(first) == family_of(rest.first().unwrap_or(&"")))
    {
        let why = "may specify no more than one IP for each IP family";
        causes.push(Cause::invalid(field, &all, why));
    }
    if addresses.first() != Some(&"None") {
        for (at, (address, family)) in addresses.iter().zip(texts(spec, "ipFamilies")).enumerate() {
            if address.parse::<IpAddr>().is_ok() && family_of(address) != family {
                let why = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
                causes.push(Cause::invalid(format!("{field}[{at}]"), &(*address).into(), &why));
            }
        }
    }
    causes
}

/// Whether there are as many as the policy says. Families that follow from addresses are those that there are.
fn counted(spec: &mut Map<String, Value>, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = "spec.ipFamilyPolicy";
    let single = policy(spec) == "SingleStack";
    for (name, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let had = old.map(|old| list(&old["spec"], &format!("/{name}")).len()).unwrap_or_default();
        let is_same = old.is_some_and(|old| old["spec"].get(name) == spec.get(name));
        let now = texts(spec, name).len();
        if single && is_same && 1 < now {
            // To say so is the wish to give the second one up.
            if let Some(all) = spec.get_mut(name).and_then(Value::as_array_mut) {
                all.truncate(1);
            }
        } else if !single && old.is_some() && 0 < now && now < had {
            let why = format!("must be 'SingleStack' to release the secondary {what}");
            causes.push(Cause::invalid(field, &shown(spec, "ipFamilyPolicy"), &why));
        }
    }
    for (name, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
        if single && texts(spec, name).len() == 2 {
            let why = format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            );
            causes.push(Cause::invalid(field, &shown(spec, "ipFamilyPolicy"), &why));
        }
    }
    let mut families: Vec<String> =
        texts(spec, "ipFamilies").into_iter().map(str::to_owned).collect();
    for (at, address) in texts(spec, "clusterIPs").into_iter().enumerate() {
        if address == "None" {
            break;
        }
        let family = family_of(address);
        if at < families.len() {
            continue;
        }
        if family == OWN {
            families.push(family.to_owned());
        } else {
            let why = format!("{family} is not configured on this cluster");
            let all = shown(spec, "clusterIPs");
            causes.push(Cause::invalid(format!("spec.clusterIPs[{at}]"), &all, &why));
        }
    }
    if !families.is_empty() {
        spec.insert("ipFamilies".to_owned(), families.into());
    }
    causes
}

/// Whether this cluster has what is asked for.
fn configured(spec: &Map<String, Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if policy(spec) == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        causes.push(Cause::invalid("spec.ipFamilyPolicy", &shown(spec, "ipFamilyPolicy"), why));
    }
    for (at, family) in texts(spec, "ipFamilies").into_iter().enumerate() {
        if family != OWN {
            let why = "not configured on this cluster";
            causes.push(Cause::invalid(format!("spec.ipFamilies[{at}]"), &family.into(), why));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(spec: Value, old: Option<&Value>) -> Result<Value, Vec<String>> {
        let Value::Object(mut spec) = spec else { panic!("no object") };
        match settle(&mut spec, old) {
            Ok(()) => Ok(Value::Object(spec)),
            Err(causes) => {
                Err(causes.iter().map(|one| format!("{}: {}", one.field, one.message)).collect())
            }
        }
    }

    #[test]
    fn families_follow_from_what_is_said() {
        let one = json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]});
        assert_eq!(settled(json!({}), None).unwrap(), one);
        let both = settled(json!({"clusterIP": "None"}), None).unwrap();
        assert_eq!(
            both,
            json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"]})
        );
        let chosen = settled(json!({"clusterIP": "None", "selector": {"a": "b"}}), None).unwrap();
        assert_eq!(
            (&chosen["ipFamilyPolicy"], &chosen["ipFamilies"]),
            (&json!("SingleStack"), &json!(["IPv4"]))
        );
        let wished = settled(json!({"ipFamilyPolicy": "PreferDualStack"}), None).unwrap();
        assert_eq!(wished["ipFamilies"], json!(["IPv4"]));
    }

    #[test]
    fn a_second_family_is_refused_where_it_needs_addresses() {
        for (spec, want) in [
            (
                json!({"ipFamilyPolicy": "RequireDualStack"}),
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
            ),
            (
                json!({"ipFamilies": ["IPv6"]}),
                "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "PreferDualStack"}),
                "spec.ipFamilies[1]: Duplicate value: \"IPv4\"",
            ),
            (
                json!({"clusterIP": "fd00::1"}),
                "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster",
            ),
            (
                json!({"clusterIPs": ["10.96.0.9"]}),
                "spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: must be empty when `clusterIP` is not specified",
            ),
            (
                json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]}),
                "spec.clusterIPs: Invalid value: [\"10.96.0.8\"]: first value must match `clusterIP`",
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None", "10.96.0.8"]}),
                "spec.clusterIPs: Invalid value: [\"None\",\"10.96.0.8\"]: 'None' must be the first and only value",
            ),
            (
                json!({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv6"]}),
                "spec.clusterIPs[0]: Invalid value: \"10.96.0.9\": expected an IPv6 value as indicated by `ipFamilies[0]`",
            ),
            (
                json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "10.96.0.8"], "ipFamilyPolicy": "PreferDualStack"}),
                "spec.clusterIPs: Invalid value: [\"10.96.0.9\",\"10.96.0.8\"]: may specify no more than one IP for each IP family",
            ),
        ] {
            assert_eq!(settled(spec, None).unwrap_err(), [want]);
        }
    }

    #[test]
    fn a_second_family_goes_when_one_is_asked_for() {
        let old = json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}});
        let single = json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4", "IPv6"]});
        assert_eq!(settled(single, Some(&old)).unwrap()["ipFamilies"], json!(["IPv4"]));
        let fewer = json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"]});
        let want = "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary IP family";
        assert_eq!(settled(fewer, Some(&old)).unwrap_err(), [want]);
    }
}
