//! Tables: what `kubectl get` prints. Columns and cells are upstream's (`pkg/printers/internalversion/printers.go`).

mod age;
mod cells;
mod cluster;
mod network;
mod pod;
mod rest;
mod workload;

use crate::crd::Custom;
use crate::kinds::{Kind, Served};
use crate::object::meta;
use serde_json::{Value, json};

pub(crate) use age::{ago, duration};

/// Which part of its object a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// A column: name, type, and whether only `-o wide` shows it.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str, pub(crate) bool);

/// The columns of a kind, and the cells of one of its objects.
pub(crate) struct Columns {
    pub(crate) columns: &'static [Column],
    pub(crate) cells: fn(&Value) -> Vec<Value>,
}

/// A column that is always shown.
const fn shown(name: &'static str) -> Column {
    Column(name, "string", false)
}

/// A column of numbers.
const fn count(name: &'static str) -> Column {
    Column(name, "integer", false)
}

/// A column of `-o wide`.
const fn wide(name: &'static str) -> Column {
    Column(name, "string", true)
}

/// The age of an object, which nearly every kind shows.
fn age(object: &Value) -> Value {
    ago(meta(object, "creationTimestamp")).into()
}

/// A kind without columns of its own.
const PLAIN: Columns = Columns {
    columns: &[shown("Name"), shown("Age")],
    cells: |object| vec![meta(object, "name").into(), age(object)],
};

fn columns_of(kind: &Kind) -> &'static Columns {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => &pod::POD,
        ("", "Node") => &cluster::NODE,
        ("", "Namespace") => &cluster::NAMESPACE,
        ("", "Event") => &cluster::EVENT,
        ("", "PersistentVolume") => &cluster::VOLUME,
        ("", "PersistentVolumeClaim") => &cluster::CLAIM,
        ("", "Service") => &network::SERVICE,
        ("", "Endpoints") => &network::ENDPOINTS,
        ("discovery.k8s.io", "EndpointSlice") => &network::ENDPOINT_SLICE,
        ("networking.k8s.io", "Ingress") => &network::INGRESS,
        ("networking.k8s.io", "NetworkPolicy") => &network::NETWORK_POLICY,
        ("networking.k8s.io", "IngressClass") => &network::INGRESS_CLASS,
        ("apps", "Deployment") => &workload::DEPLOYMENT,
        ("apps", "ReplicaSet") => &workload::REPLICA_SET,
        ("", "ReplicationController") => &workload::REPLICATION_CONTROLLER,
        ("apps", "StatefulSet") => &workload::STATEFUL_SET,
        ("apps", "DaemonSet") => &workload::DAEMON_SET,
        ("batch", "Job") => &workload::JOB,
        ("batch", "CronJob") => &workload::CRON_JOB,
        ("apps", "ControllerRevision") => &workload::CONTROLLER_REVISION,
        (crate::crd::GROUP, crate::crd::KIND) => &rest::DEFINITION,
        ("", "ConfigMap") => &rest::CONFIG_MAP,
        ("", "Secret") => &rest::SECRET,
        ("", "ResourceQuota") => &rest::RESOURCE_QUOTA,
        ("policy", "PodDisruptionBudget") => &rest::DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &rest::ROLE_BINDING,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => &rest::ROLE,
        ("scheduling.k8s.io", "PriorityClass") => &rest::PRIORITY_CLASS,
        ("storage.k8s.io", "StorageClass") => &rest::STORAGE_CLASS,
        ("coordination.k8s.io", "Lease") => &rest::LEASE,
        ("autoscaling", "HorizontalPodAutoscaler") => &rest::AUTOSCALER,
        ("node.k8s.io", "RuntimeClass") => &rest::RUNTIME_CLASS,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => &rest::ADMISSION_POLICY,
        ("admissionregistration.k8s.io", _) => &rest::ADMISSION_POLICY_BINDING,
        ("apiregistration.k8s.io", "APIService") => &rest::API_SERVICE,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => &rest::FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", _) => &rest::PRIORITY_LEVEL,
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => &network::CLUSTER_NETWORK_POLICY,
        _ => &PLAIN,
    }
}

/// Objects, given as they are stored, as rows.
pub(crate) fn table(
    served: &Served,
    objects: &[Value],
    include: Include,
    metadata: Value,
) -> Value {
    if let Some(custom) = &served.kind.custom {
        return custom_table(served, custom, objects, include, metadata);
    }
    let Columns { columns, cells } = columns_of(&served.stored);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|Column(name, kind, wide)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({ "name": name, "type": kind, "format": format, "description": "", "priority": i32::from(*wide) })
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let object_of_row = match include {
                Include::None => Value::Null,
                Include::Metadata => crate::handle::partial(&served.shown(object.clone())),
                Include::Object => served.shown(object.clone()),
            };
            json!({ "cells": cells(object), "object": object_of_row })
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions, "rows": rows,
    })
}

/// Rows of a kind that a client defined: a name, and the columns that its definition asks for.
fn custom_table(
    served: &Served,
    custom: &Custom,
    objects: &[Value],
    include: Include,
    metadata: Value,
) -> Value {
    let mut definitions = vec![
        json!({ "name": "Name", "type": "string", "format": "name", "description": "", "priority": 0 }),
    ];
    definitions.extend(custom.columns.iter().map(|one| {
        json!({
            "name": one.name, "type": one.kind, "format": one.format, "description": one.description, "priority": one.priority,
        })
    }));
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let object = served.shown(object.clone());
            let mut cells = vec![meta(&object, "name").into()];
            cells.extend(custom.columns.iter().map(|one| one.cell(&object)));
            let object = match include {
                Include::None => Value::Null,
                Include::Metadata => crate::handle::partial(&object),
                Include::Object => object,
            };
            json!({ "cells": cells, "object": object })
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions, "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_cell_for_each_column_even_of_an_empty_object() {
        for served in crate::kinds::Snapshot::built_in().unwrap().all() {
            let body = table(served, &[json!({})], Include::None, json!({}));
            let n_columns = body["columnDefinitions"].as_array().unwrap().len();
            assert_eq!(
                body["rows"][0]["cells"].as_array().unwrap().len(),
                n_columns,
                "{}",
                served.kind.kind
            );
        }
    }
}
