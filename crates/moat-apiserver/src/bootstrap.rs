//! What every cluster has from its first moment: four namespaces with their accounts, roles, classes of priority, and the Service
//! by which pods find this server.

use crate::api::Api;
use crate::handle::{create_all_as_server, create_as_server};
use crate::kinds::Served;
use crate::status::Status;
use crate::strategy::limits::SYSTEM_CLASSES;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Creates what is missing; a store that was used before has it all.
pub(crate) async fn bootstrap(api: &Api) -> Result<(), Status> {
    let of = |group, kind| {
        api.kinds
            .of(group, kind)
            .ok_or_else(|| Status::internal(&format!("no kind {kind} in the table")))
    };
    let mut missing = Vec::new();
    for name in NAMESPACES {
        if api.lookup.get("namespaces", None, name).is_none() {
            missing.push((of("", "Namespace")?, None, json!({ "metadata": { "name": name } })));
        }
        if api.lookup.get("serviceaccounts", Some(name), "default").is_none() {
            let account = json!({ "metadata": { "name": "default" } });
            missing.push((of("", "ServiceAccount")?, Some(name), account));
        }
    }
    for (name, value, description) in SYSTEM_CLASSES {
        if api.lookup.get("scheduling.k8s.io/priorityclasses", None, name).is_none() {
            let class =
                json!({ "metadata": { "name": name }, "value": value, "description": description });
            missing.push((of("scheduling.k8s.io", "PriorityClass")?, None, class));
        }
    }
    parts(api, &mut missing)?;
    create_all_as_server(api, missing).await?;
    crate::rbac::bootstrap(api).await?;
    let first = api.services.first().to_string();
    let labels = json!({ "component": "apiserver", "provider": "kubernetes" });
    let service = json!({
        "kind": "Service", "apiVersion": "v1", "metadata": { "name": "kubernetes", "labels": labels },
        "spec": {
            "clusterIP": first, "clusterIPs": [first], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "type": "ClusterIP",
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": api.address.port() }],
        },
    });
    create_as_server(api, &*of("", "Service")?, Some("default"), service).await?;
    let address = match api.address.ip() {
        // Where pods can reach it is not known yet; loopback is not a valid endpoint, so none is told.
        address if address.is_loopback() || address.is_unspecified() => return Ok(()),
        address => address,
    };
    let family = if matches!(address, IpAddr::V4(_)) { "IPv4" } else { "IPv6" };
    let slice = json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": family,
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": api.address.port(), "protocol": "TCP" }],
    });
    create_as_server(api, &*of("discovery.k8s.io", "EndpointSlice")?, Some("default"), slice).await
}

/// Objects that are to be made, each with its kind and namespace.
type Missing = Vec<(Arc<Served>, Option<&'static str>, Value)>;

/// The API's own parts as objects: its groups and versions, and the levels of priority that every cluster knows (upstream's mandatory ones).
fn parts(api: &Api, missing: &mut Missing) -> Result<(), Status> {
    let mut put = |group: &str, kind: &str, object: Value| {
        let served = api.kinds.of(group, kind).ok_or_else(|| Status::internal(kind))?;
        let resource = format!("{group}/{}", served.kind.plural);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if api.lookup.get(&resource, None, name).is_none() {
            missing.push((served, None, object));
        }
        Ok::<(), Status>(())
    };
    for (group, versions) in api.kinds.now().groups() {
        for (at, version) in versions.iter().enumerate() {
            let priority = if group.is_empty() { 18_000 } else { 17_000 };
            let service = json!({
                "metadata": { "name": format!("{version}.{group}"), "labels": { "kube-aggregator.kubernetes.io/automanaged": "onstart" } },
                "spec": { "group": group, "version": version, "groupPriorityMinimum": priority, "versionPriority": 15 - at.min(14) },
                "status": { "conditions": [{
                    "type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available",
                    "lastTransitionTime": crate::stamp::now(),
                }] },
            });
            put("apiregistration.k8s.io", "APIService", service)?;
        }
    }
    let flow = "flowcontrol.apiserver.k8s.io";
    let levels = [
        (
            "exempt",
            json!({ "type": "Exempt", "exempt": { "nominalConcurrencyShares": 0, "lendablePercent": 0 } }),
        ),
        (
            "catch-all",
            json!({ "type": "Limited", "limited": {
            "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": { "type": "Reject" },
        } }),
        ),
    ];
    for (name, spec) in levels {
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        put(flow, "PriorityLevelConfiguration", object)?;
    }
    let group = |name: &str| json!({ "kind": "Group", "group": { "name": name } });
    let schemas = [
        ("exempt", 1, json!(null), vec![group("system:masters")]),
        (
            "catch-all",
            10_000,
            json!({ "type": "ByUser" }),
            vec![group("system:unauthenticated"), group("system:authenticated")],
        ),
    ];
    for (name, precedence, method, subjects) in schemas {
        let mut spec = json!({
            "matchingPrecedence": precedence, "priorityLevelConfiguration": { "name": name },
            "rules": [{
                "subjects": subjects,
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"] }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            }],
        });
        if !method.is_null() {
            spec["distinguisherMethod"] = method;
        }
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        put(flow, "FlowSchema", object)?;
    }
    Ok(())
}
