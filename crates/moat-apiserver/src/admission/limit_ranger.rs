//! LimitRanges: what containers get that say nothing, and what they must keep to.

use super::Request;
use super::resources::{Amounts, amounts, of_pod};
use crate::object::{child_mut, list, map_mut, meta_mut, text};
use crate::status::Status;
use moat_model::Quantity;
use serde_json::{Map, Value};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives the containers of a new pod the defaults of each LimitRange.
pub(super) fn defaults(ranges: &[Value], pod: &mut Value) {
    for range in ranges {
        let mut said = Vec::new();
        for (field, word) in [("containers", "container"), ("initContainers", "init container")] {
            let spec = child_mut(pod, "spec");
            let all = spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
            for container in all.filter_map(Value::as_object_mut) {
                complete(range, container, word, &mut said);
            }
        }
        if !said.is_empty() {
            let text = format!("LimitRanger plugin set: {}", said.join("; "));
            map_mut(meta_mut(pod), "annotations").insert(ANNOTATION.to_owned(), text.into());
        }
    }
}

fn complete(range: &Value, container: &mut Map<String, Value>, word: &str, said: &mut Vec<String>) {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (field, source, noun) in
        [("requests", "defaultRequest", "request"), ("limits", "default", "limit")]
    {
        let mut set = Vec::new();
        let limits = list(range, "/spec/limits").iter();
        for limit in limits.filter(|limit| text(limit, "/type") == "Container") {
            for (resource, amount) in limit[source].as_object().into_iter().flatten() {
                let own = map_mut(map_mut(container, "resources"), field);
                if !own.contains_key(resource) {
                    own.insert(resource.clone(), amount.clone());
                    set.push(resource.as_str());
                }
            }
        }
        if !set.is_empty() {
            set.sort_unstable();
            said.push(format!("{} {noun} for {word} {name}", set.join(", ")));
        }
    }
}

/// What breaks the LimitRanges of a namespace, in upstream's sentences.
pub(super) fn check(request: Request<'_>, ranges: &[Value], object: &Value) -> Result<(), Status> {
    for range in ranges {
        let mut wrong = Vec::new();
        for limit in list(range, "/spec/limits") {
            let kind = text(limit, "/type");
            match (request.kind.kind.as_str(), kind) {
                ("Pod", "Container") => {
                    for field in ["/spec/containers", "/spec/initContainers"] {
                        for container in list(object, field) {
                            let own = &container["resources"];
                            let both = (amounts(&own["requests"]), amounts(&own["limits"]));
                            keeps(limit, kind, &both, &mut wrong);
                        }
                    }
                }
                ("Pod", "Pod") => {
                    let both = (of_pod(object, "requests"), of_pod(object, "limits"));
                    keeps(limit, kind, &both, &mut wrong);
                }
                ("PersistentVolumeClaim", "PersistentVolumeClaim") => {
                    let asked = amounts(&object["spec"]["resources"]["requests"]);
                    claim_keeps(limit, kind, &asked, &mut wrong);
                }
                _ => {}
            }
        }
        wrong.dedup();
        match wrong.as_slice() {
            [] => {}
            [one] => return Err(request.forbidden(object, one)),
            all => return Err(request.forbidden(object, &format!("[{}]", all.join(", ")))),
        }
    }
    Ok(())
}

/// A bound: the resource, the amount, and the amount as it was written.
fn bounds<'a>(limit: &'a Value, field: &str) -> Vec<(&'a str, Quantity, String)> {
    let all = limit[field].as_object().into_iter().flatten();
    all.filter_map(|(name, value)| {
        let amount = Quantity::read(value)?;
        Some((name.as_str(), amount, written(value, amount)))
    })
    .collect()
}

fn written(value: &Value, amount: Quantity) -> String {
    amount.show(value.as_str().is_some_and(Quantity::counts_by_twos))
}

fn keeps(limit: &Value, kind: &str, both: &(Amounts, Amounts), wrong: &mut Vec<String>) {
    let (requests, limits) = both;
    for (name, min, shown) in bounds(limit, "min") {
        let usage = format!("minimum {name} usage per {kind} is {shown}");
        match (requests.get(name), limits.get(name)) {
            (None, _) => wrong.push(format!("{usage}.  No request is specified")),
            (Some(own), _) if *own < min => {
                wrong.push(format!("{usage}, but request is {}", like(*own, &shown)));
            }
            (_, Some(own)) if *own < min => {
                wrong.push(format!("{usage}, but limit is {}", like(*own, &shown)));
            }
            _ => {}
        }
    }
    for (name, max, shown) in bounds(limit, "max") {
        let usage = format!("maximum {name} usage per {kind} is {shown}");
        match (limits.get(name), requests.get(name)) {
            (None, _) => wrong.push(format!("{usage}.  No limit is specified")),
            (Some(own), _) if max < *own => {
                wrong.push(format!("{usage}, but limit is {}", like(*own, &shown)));
            }
            (_, Some(own)) if max < *own => {
                wrong.push(format!("{usage}, but request is {}", like(*own, &shown)));
            }
            _ => {}
        }
    }
    for (name, ratio, shown) in bounds(limit, "maxLimitRequestRatio") {
        let usage = format!("{name} max limit to request ratio per {kind} is {shown}");
        let some = |all: &Amounts| all.get(name).copied().filter(|own| !own.is_zero());
        match (some(requests), some(limits)) {
            (None, _) => {
                wrong.push(format!("{usage}, but no request is specified or request is 0"));
            }
            (_, None) => wrong.push(format!("{usage}, but no limit is specified or limit is 0")),
            (Some(request), Some(own)) => {
                let provided = own.ratio(request);
                if ratio.ratio(Quantity::whole(1)) < provided {
                    wrong.push(format!("{usage}, but provided ratio is {provided:.6}"));
                }
            }
        }
    }
}

/// An amount written as the bound that it is compared with.
fn like(amount: Quantity, shown: &str) -> String {
    amount.show(Quantity::counts_by_twos(shown))
}

/// Claims have requests alone.
fn claim_keeps(limit: &Value, kind: &str, requests: &Amounts, wrong: &mut Vec<String>) {
    for (name, min, shown) in bounds(limit, "min") {
        let usage = format!("minimum {name} usage per {kind} is {shown}");
        match requests.get(name) {
            None => wrong.push(format!("{usage}.  No request is specified")),
            Some(own) if *own < min => {
                wrong.push(format!("{usage}, but request is {}", like(*own, &shown)));
            }
            Some(_) => {}
        }
    }
    for (name, max, shown) in bounds(limit, "max") {
        let usage = format!("maximum {name} usage per {kind} is {shown}");
        match requests.get(name) {
            None => wrong.push(format!("{usage}.  No request is specified")),
            Some(own) if max < *own => {
                wrong.push(format!("{usage}, but request is {}", like(*own, &shown)));
            }
            Some(_) => {}
        }
    }
}
