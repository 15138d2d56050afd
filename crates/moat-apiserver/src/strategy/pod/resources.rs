//! Rules of what a container asks for and may use.

use crate::names;
use crate::status::Cause;
use crate::strategy::check::{self, shown};
use moat_model::Quantity;
use serde_json::Value;

const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Names without a domain that are resources of something else than a container.
const ELSEWHERE: [&str; 11] = [
    "storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "services",
    "configmaps",
    "secrets",
];

pub(super) fn of_container(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    both(own, path, container_name, causes);
}

pub(super) fn of_pod(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    if own.get("claims").is_some_and(|claims| !claims.is_null()) {
        let why = "claims may not be set for Resources at pod-level";
        causes.push(Cause::forbidden(format!("{path}.claims"), why));
    }
    both(own, path, pod_name, causes);
}

fn both(own: &Value, path: &str, name: fn(&str, &str, &mut Vec<Cause>), causes: &mut Vec<Cause>) {
    let mut plain = false;
    let mut huge = false;
    for kind in ["limits", "requests"] {
        for (resource, amount) in own[kind].as_object().into_iter().flatten() {
            let field = format!("{path}.{kind}[{resource}]");
            name(resource, &field, causes);
            let Some(quantity) = Quantity::read(amount) else { continue };
            value(resource, quantity, amount, &field, causes);
            plain |= matches!(resource.as_str(), "cpu" | "memory");
            huge |= resource.starts_with("hugepages-");
            if kind == "requests" {
                within(own, resource, quantity, amount, path, causes);
            }
        }
    }
    if huge && !plain {
        causes.push(Cause::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// A request is at most the limit; what cannot be shared is exactly the limit.
fn within(
    own: &Value,
    resource: &str,
    quantity: Quantity,
    amount: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let native = !resource.contains('/') || resource.contains("kubernetes.io/");
    let shared = native && !resource.starts_with("hugepages-");
    let Some(limit) = own["limits"].get(resource) else {
        if !shared {
            let why = "Limit must be set for non overcommitable resources";
            causes.push(Cause::required(format!("{path}.limits"), why));
        }
        return;
    };
    let Some(most) = Quantity::read(limit) else { return };
    let must = if !shared && quantity != most {
        "must be equal to"
    } else if most < quantity {
        "must be less than or equal to"
    } else {
        return;
    };
    let why = format!("{must} {resource} limit of {}", shown(limit));
    causes.push(Cause::invalid(format!("{path}.requests"), &shown(amount).into(), &why));
}

/// An amount: not below zero, and whole where parts mean nothing.
fn value(resource: &str, quantity: Quantity, amount: &Value, path: &str, causes: &mut Vec<Cause>) {
    if quantity < Quantity::whole(0) {
        causes.push(Cause::invalid(path, &shown(amount).into(), check::NEGATIVE));
    }
    let whole = resource.contains('/') && !resource.contains("kubernetes.io/");
    if whole && quantity.milli() % 1000 != 0 {
        causes.push(Cause::invalid(path, amount, "must be an integer"));
    }
}

fn container_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    let mut wrong = |why: &str| causes.push(Cause::invalid(path, &name.into(), why));
    for why in names::qualified(name) {
        wrong(&why);
    }
    let standard = STANDARD.contains(&name) || name.starts_with("hugepages-");
    if name.contains('/') {
        let native = name.contains("kubernetes.io/");
        if !native
            && (name.starts_with("requests.")
                || !names::qualified(&format!("requests.{name}")).is_empty())
        {
            wrong("doesn't follow extended resource name standard");
        }
    } else if !standard {
        if !ELSEWHERE.contains(&name) {
            wrong("must be a standard resource type or fully qualified");
        }
        wrong("must be a standard resource for containers");
    }
}

fn pod_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if !matches!(name, "cpu" | "memory") && !name.starts_with("hugepages-") {
        causes.push(Cause::not_supported(path, &name.into(), &["cpu", "hugepages-", "memory"]));
    }
}
