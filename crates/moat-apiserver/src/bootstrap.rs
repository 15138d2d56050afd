//! What every cluster has from its first moment: four namespaces with their accounts, roles, classes of priority, and the Service
//! by which pods find this server.

use crate::api::Api;
use crate::handle::{create_all_as_server, create_as_server};
use crate::status::Status;
use crate::strategy::limits::SYSTEM_CLASSES;
use serde_json::json;
use std::net::IpAddr;

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
