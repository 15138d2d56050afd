//! ResourceQuotas: what a namespace uses, and that a write does not make it more than it may be.
//!
//! What is used is counted from what is stored, not taken from a quota's status, which somebody writes later; the caller holds a lock from
//! the count to the write, so that two writes do not both get the last place.

use super::Request;
use super::resources::{Amounts, amounts, of_pod};
use crate::kinds::{Kind, Subresource};
use crate::object::{is_deleting, list, meta, number, text};
use crate::status::Status;
use moat_model::Quantity;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

const QUOTAS: &str = "resourcequotas";
const PER_CLASS: &str = ".storageclass.storage.k8s.io/";

/// Whether writes of a kind in a namespace are counted there.
pub(crate) fn is_counted(request: Request<'_>) -> bool {
    request.kind.namespaced
        && matches!(request.subresource, None | Some(Subresource::Resize))
        && !request.lookup.has_none(QUOTAS, request.namespace)
}

/// Refuses what would be more than a quota allows.
pub(super) fn check(request: Request<'_>, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    if !is_counted(request) {
        return Ok(());
    }
    let resource = resource_of(request.kind);
    for quota in request.lookup.list(QUOTAS, Some(request.namespace)) {
        if !matches_scopes(&quota, &resource, new) {
            continue;
        }
        let hard = amounts(&quota["spec"]["hard"]);
        let name = meta(&quota, "name");
        if old.is_none() && resource == "pods" {
            constraints(&hard, new)
                .map_err(|why| request.forbidden(new, &format!("failed quota: {name}: {why}")))?;
        }
        let before = match old {
            Some(old) if matches_scopes(&quota, &resource, old) => usage(&resource, old),
            _ => Amounts::new(),
        };
        let more: Amounts = usage(&resource, new)
            .into_iter()
            .map(|(name, amount)| {
                let had = before.get(&name).copied().unwrap_or_default();
                (name, amount.minus(had))
            })
            .filter(|(name, amount)| hard.contains_key(name) && Quantity::default() < *amount)
            .collect();
        if more.is_empty() {
            continue;
        }
        let used =
            used_amounts(&quota, |resource| request.lookup.list(resource, Some(request.namespace)));
        let over: Vec<&String> = more
            .iter()
            .filter(|(name, amount)| {
                let mut sum = used.get(*name).copied().unwrap_or_default();
                sum += **amount;
                hard.get(*name).is_some_and(|hard| *hard < sum)
            })
            .map(|(name, _)| name)
            .collect();
        if !over.is_empty() {
            let show = |all: &Amounts| {
                let one = |name: &&String| {
                    let amount = all.get(*name).copied().unwrap_or_default();
                    format!("{name}={}", amount.show(by_twos(&quota, name)))
                };
                over.iter().map(one).collect::<Vec<_>>().join(",")
            };
            let why = format!(
                "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
                show(&more),
                show(&used),
                show(&hard)
            );
            return Err(request.forbidden(new, &why));
        }
    }
    Ok(())
}

fn by_twos(quota: &Value, name: &str) -> bool {
    quota["spec"]["hard"][name].as_str().is_some_and(Quantity::counts_by_twos)
}

/// What of a quota's `spec.hard` is used, as its `status.used` tells it. `objects` are those of a resource (`pods`, `apps/deployments`) in the
/// quota's namespace.
pub fn quota_used(quota: &Value, objects: impl Fn(&str) -> Vec<Value>) -> Map<String, Value> {
    let used = used_amounts(quota, objects);
    let hard = quota["spec"]["hard"].as_object().into_iter().flatten();
    hard.map(|(name, _)| {
        let amount = used.get(name).copied().unwrap_or_default();
        (name.clone(), amount.show(by_twos(quota, name)).into())
    })
    .collect()
}

/// The resources (`pods`, `apps/deployments`) whose objects a quota counts.
pub fn quota_counts(quota: &Value) -> BTreeSet<String> {
    let hard = quota["spec"]["hard"].as_object().into_iter().flatten();
    hard.map(|(name, _)| counted_by(name)).collect()
}

fn used_amounts(quota: &Value, objects: impl Fn(&str) -> Vec<Value>) -> Amounts {
    let mut sum = Amounts::new();
    for resource in quota_counts(quota) {
        for object in objects(&resource) {
            if matches_scopes(quota, &resource, &object) {
                for (name, amount) in usage(&resource, &object) {
                    *sum.entry(name).or_default() += amount;
                }
            }
        }
    }
    sum
}

/// The name of a kind's objects in the store.
fn resource_of(kind: &Kind) -> String {
    if kind.group.is_empty() {
        kind.plural.clone()
    } else {
        format!("{}/{}", kind.group, kind.plural)
    }
}

/// Which objects a name in `spec.hard` counts.
fn counted_by(name: &str) -> String {
    if let Some(counted) = name.strip_prefix("count/") {
        return match counted.split_once('.') {
            Some((plural, group)) => format!("{group}/{plural}"),
            None => counted.to_owned(),
        };
    }
    let plural = match name {
        "services" | "services.loadbalancers" | "services.nodeports" => "services",
        "persistentvolumeclaims" | "requests.storage" => "persistentvolumeclaims",
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => name,
        _ if name.contains(PER_CLASS) => "persistentvolumeclaims",
        _ => "pods",
    };
    plural.to_owned()
}

/// What one object uses.
fn usage(resource: &str, object: &Value) -> Amounts {
    let one = Quantity::whole(1);
    let counted = match resource.split_once('/') {
        Some((group, plural)) => format!("count/{plural}.{group}"),
        None => format!("count/{resource}"),
    };
    let mut all = Amounts::from([(counted, one)]);
    match resource {
        "pods" if is_running(object) => {
            all.insert("pods".to_owned(), one);
            let (requests, limits) = (of_pod(object, "requests"), of_pod(object, "limits"));
            all.extend(of_computing(&requests, &limits));
        }
        "services" => {
            all.insert("services".to_owned(), one);
            let ports = list(object, "/spec/ports");
            let (n_nodeports, n_balancers) = match text(object, "/spec/type") {
                "NodePort" => (ports.len(), 0),
                "LoadBalancer" if object["spec"]["allocateLoadBalancerNodePorts"] == false => {
                    let set =
                        |port: &&Value| number(port, "/nodePort").is_some_and(|port| port != 0);
                    (ports.iter().filter(set).count(), 1)
                }
                "LoadBalancer" => (ports.len(), 1),
                _ => (0, 0),
            };
            let count = |n: usize| Quantity::whole(i64::try_from(n).unwrap_or(i64::MAX));
            all.insert("services.nodeports".to_owned(), count(n_nodeports));
            all.insert("services.loadbalancers".to_owned(), count(n_balancers));
        }
        "persistentvolumeclaims" => {
            let asked = amounts(&object["spec"]["resources"]["requests"]);
            let storage = asked.get("storage").copied().unwrap_or_default();
            all.insert("persistentvolumeclaims".to_owned(), one);
            all.insert("requests.storage".to_owned(), storage);
            let class = text(object, "/spec/storageClassName");
            if !class.is_empty() {
                all.insert(format!("{class}{PER_CLASS}persistentvolumeclaims"), one);
                all.insert(format!("{class}{PER_CLASS}requests.storage"), storage);
            }
        }
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => {
            all.insert(resource.to_owned(), one);
        }
        _ => {}
    }
    all
}

/// Requests and limits under the names that quotas have for them.
fn of_computing(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut all = Amounts::new();
    for (name, amount) in requests {
        let named = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        if named || name.starts_with("hugepages-") {
            all.insert(name.clone(), *amount);
        }
        all.insert(format!("requests.{name}"), *amount);
    }
    for (name, amount) in limits {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            all.insert(format!("limits.{name}"), *amount);
        }
    }
    all
}

/// A pod that has ended uses nothing, nor does one whose time to end is over.
fn is_running(pod: &Value) -> bool {
    if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") {
        return false;
    }
    let until: Option<jiff::Timestamp> = meta(pod, "deletionTimestamp").parse().ok();
    !is_deleting(pod) || until.is_none_or(|until| jiff::Timestamp::now() < until)
}

/// Where computing is limited, every container says what it needs.
fn constraints(hard: &Amounts, pod: &Value) -> Result<(), String> {
    const ASKED: [&str; 6] =
        ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
    let required: Vec<&str> = ASKED.into_iter().filter(|name| hard.contains_key(*name)).collect();
    // A pod that says what it needs as a whole answers for its containers.
    let whole = &pod["spec"]["resources"];
    let of_whole = of_computing(&amounts(&whole["requests"]), &amounts(&whole["limits"]));
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for field in ["/spec/containers", "/spec/initContainers"] {
        for container in list(pod, field) {
            let own = &container["resources"];
            let own = of_computing(&amounts(&own["requests"]), &amounts(&own["limits"]));
            for name in &required {
                if !own.contains_key(*name) && !of_whole.contains_key(*name) {
                    missing.entry(name).or_default().insert(text(container, "/name"));
                }
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let parts: Vec<String> = missing
        .iter()
        .map(|(name, who)| {
            format!("{name} for: {}", who.iter().copied().collect::<Vec<_>>().join(","))
        })
        .collect();
    Err(format!("must specify {}", parts.join("; ")))
}

/// Whether a quota is about an object: its scopes are about pods.
fn matches_scopes(quota: &Value, resource: &str, object: &Value) -> bool {
    let scopes = list(quota, "/spec/scopes").iter().filter_map(Value::as_str);
    let plain = scopes.map(|scope| (scope, "Exists", &[][..]));
    let chosen = list(quota, "/spec/scopeSelector/matchExpressions")
        .iter()
        .map(|one| (text(one, "/scopeName"), text(one, "/operator"), list(one, "/values")));
    plain.chain(chosen).all(|(scope, operator, values)| {
        resource == "pods" && matches_scope(scope, operator, values, object)
    })
}

fn matches_scope(scope: &str, operator: &str, values: &[Value], pod: &Value) -> bool {
    let ends = number(pod, "/spec/activeDeadlineSeconds").is_some_and(|seconds| 0 <= seconds);
    let best_effort = || {
        let says = |map: &Value| map.as_object().is_some_and(|map| !map.is_empty());
        !["/spec/containers", "/spec/initContainers"]
            .iter()
            .flat_map(|at| list(pod, at))
            .any(|one| says(&one["resources"]["requests"]) || says(&one["resources"]["limits"]))
    };
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "PriorityClass" => {
            let class = text(pod, "/spec/priorityClassName");
            let named = values.iter().any(|value| value == class);
            match operator {
                "In" => named,
                "NotIn" => !named,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => ["podAffinity", "podAntiAffinity"]
            .iter()
            .any(|kind| crosses(&pod["spec"]["affinity"][*kind])),
        _ => false,
    }
}

/// Whether terms of an affinity look into other namespaces.
fn crosses(affinity: &Value) -> bool {
    let crosses = |term: &Value| {
        !list(term, "/namespaces").is_empty() || term.get("namespaceSelector").is_some()
    };
    list(affinity, "/requiredDuringSchedulingIgnoredDuringExecution").iter().any(crosses)
        || list(affinity, "/preferredDuringSchedulingIgnoredDuringExecution")
            .iter()
            .any(|one| crosses(&one["podAffinityTerm"]))
}
