//! Tables: what `kubectl get` prints. Columns and cells are upstream's (`pkg/printers/internalversion/printers.go`).

mod age;
mod cells;
mod certificate;
mod cluster;
mod describe;
mod network;
mod pod;
mod rest;
mod storage;
mod workload;

use crate::crd::Custom;
use crate::kinds::{Kind, Served};
use crate::object::{decode, meta, put};
use crate::part::{Keep, pick};
use moat_store::Object;
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
    /// What of an object the cells look at.
    pub(crate) reads: Keep,
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

/// What every row reads of the metadata.
const METADATA: Keep = Keep::Fields(&[
    ("name", Keep::All),
    ("creationTimestamp", Keep::All),
    ("deletionTimestamp", Keep::All),
]);

/// The age of an object, which nearly every kind shows.
fn age(object: &Value) -> Value {
    ago(meta(object, "creationTimestamp")).into()
}

/// A kind without columns of its own.
const PLAIN: Columns = Columns {
    columns: &[shown("Name"), shown("Age")],
    reads: Keep::Fields(&[("metadata", METADATA)]),
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
        ("", "ComponentStatus") => &rest::COMPONENT,
        ("", "ConfigMap") => &rest::CONFIG_MAP,
        ("", "Secret") => &rest::SECRET,
        ("", "ResourceQuota") => &rest::RESOURCE_QUOTA,
        ("policy", "PodDisruptionBudget") => &rest::DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &rest::ROLE_BINDING,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => &rest::ROLE,
        ("scheduling.k8s.io", "PriorityClass") => &rest::PRIORITY_CLASS,
        ("", "LimitRange") | ("storage.k8s.io", "CSIStorageCapacity") => &rest::ROLE,
        ("", "PodTemplate") => &workload::POD_TEMPLATE,
        ("storage.k8s.io", "CSIDriver") => &storage::DRIVER,
        ("storage.k8s.io", "CSINode") => &storage::NODE,
        ("storage.k8s.io", "VolumeAttachment") => &storage::ATTACHMENT,
        ("storage.k8s.io", "VolumeAttributesClass") => &rest::ATTRIBUTES_CLASS,
        ("storage.k8s.io", "StorageClass") => &rest::STORAGE_CLASS,
        ("certificates.k8s.io", "CertificateSigningRequest") => &certificate::REQUEST,
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

/// How rows are written without a value being made of their objects, for the kind of which there are the most.
fn written(kind: &Kind) -> Option<fn(&[u8], &mut Vec<u8>)> {
    kind.is("", "Pod").then_some(pod::write)
}

/// A table of a kind: its head, and rows as bytes that are joined by commas and followed by `]}`.
pub(crate) struct Rows<'a> {
    served: &'a Served,
    include: Include,
    columns: &'static Columns,
    written: Option<fn(&[u8], &mut Vec<u8>)>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(served: &'a Served, include: Include) -> Self {
        let kind = &served.stored;
        Self { served, include, columns: columns_of(kind), written: written(kind) }
    }

    /// Everything before the first row.
    pub(crate) fn head(&self, metadata: &Value) -> Vec<u8> {
        let definitions = match &self.served.kind.custom {
            Some(custom) => custom_definitions(custom),
            None => self.definitions(),
        };
        let definitions = Value::Array(definitions);
        format!(
            r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{metadata},"columnDefinitions":{definitions},"rows":["#
        )
        .into_bytes()
    }

    fn definitions(&self) -> Vec<Value> {
        let own = &self.served.stored;
        let one = |Column(name, kind, wide): &Column| {
            // Upstream says it of the driver of an attachment too.
            let named = *name == "Name" || *name == "Attacher";
            let format = if named { "name" } else { "" };
            let description = describe::description(own, name);
            json!({ "name": name, "type": kind, "format": format, "description": description, "priority": i32::from(*wide) })
        };
        self.columns.columns.iter().map(one).collect()
    }

    /// The row of a stored object, of which no more is parsed than the row shows.
    pub(crate) fn row(&self, object: &Object, out: &mut Vec<u8>) {
        let served = self.served;
        if !served.is_as_stored() || served.kind.custom.is_some() {
            return self.row_of(&decode(object), out);
        }
        let bytes = &object.value;
        let cells = |out: &mut Vec<u8>| match self.written {
            Some(write) => write(bytes, out),
            None => put(&(self.columns.cells)(&pick(bytes, &self.columns.reads)), out),
        };
        put_row(cells, out, |out| match self.include {
            Include::None => out.extend_from_slice(b"null"),
            Include::Metadata => crate::handle::put_partial(&object.value, out),
            Include::Object => out.extend_from_slice(&object.value),
        });
    }

    /// The row of an object as it is stored.
    fn row_of(&self, object: &Value, out: &mut Vec<u8>) {
        let served = self.served;
        let (cells, shown) = match &served.kind.custom {
            Some(custom) => {
                let shown = served.shown(object.clone());
                let mut cells = vec![meta(&shown, "name").into()];
                cells.extend(custom.columns.iter().map(|one| one.cell(&shown)));
                (cells, Some(shown))
            }
            None => ((self.columns.cells)(object), None),
        };
        let shown = || shown.unwrap_or_else(|| served.shown(object.clone()));
        put_row(
            |out| put(&cells, out),
            out,
            |out| {
                let value = match self.include {
                    Include::None => Value::Null,
                    Include::Metadata => crate::handle::partial(&shown()),
                    Include::Object => shown(),
                };
                put(&value, out);
            },
        );
    }
}

fn put_row(cells: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>, object: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"cells\":");
    cells(out);
    out.extend_from_slice(b",\"object\":");
    object(out);
    out.push(b'}');
}

/// Objects, given as they are stored, as a table.
pub(crate) fn table(
    served: &Served,
    objects: &[Value],
    include: Include,
    metadata: &Value,
) -> Vec<u8> {
    let rows = Rows::new(served, include);
    let mut out = rows.head(metadata);
    for (at, object) in objects.iter().enumerate() {
        if 0 < at {
            out.push(b',');
        }
        rows.row_of(object, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

/// The columns of a kind that a client defined: a name, and those that its definition asks for.
fn custom_definitions(custom: &Custom) -> Vec<Value> {
    let mut definitions = vec![json!({
        "name": "Name", "type": "string", "format": "name", "description": describe::name(), "priority": 0,
    })];
    definitions.extend(custom.columns.iter().map(|one| {
        json!({
            "name": one.name, "type": one.kind, "format": one.format, "description": one.description, "priority": one.priority,
        })
    }));
    definitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_cell_for_each_column_even_of_an_empty_object() {
        for served in crate::kinds::Snapshot::built_in().unwrap().all() {
            let body = table(served, &[json!({})], Include::None, &json!({}));
            let body: Value = serde_json::from_slice(&body).unwrap();
            let n_columns = body["columnDefinitions"].as_array().unwrap().len();
            assert_eq!(
                body["rows"][0]["cells"].as_array().unwrap().len(),
                n_columns,
                "{}",
                served.kind.kind
            );
        }
    }

    /// Cells see the same of a part of an object as of the whole: what they read is what is kept.
    #[test]
    fn the_parts_that_are_kept_are_all_that_cells_read() {
        let mut n_kinds = 0;
        for served in crate::kinds::Snapshot::built_in().unwrap().all() {
            let columns = columns_of(&served.stored);
            if matches!(columns.reads, Keep::All) {
                continue;
            }
            n_kinds += 1;
            for seed in 0..200 {
                let whole = filled(served.stored.schema(), &mut Seed(seed), 0);
                let part = pick(whole.to_string().as_bytes(), &columns.reads);
                assert_eq!((columns.cells)(&part), (columns.cells)(&whole), "{whole}");
            }
        }
        assert!(2 < n_kinds);
    }

    pub(super) struct Seed(pub(super) u64);

    impl Seed {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % n
        }
    }

    /// An object of a type, some of whose fields are there.
    pub(super) fn filled(
        schema: crate::schema::Schema<'_>,
        seed: &mut Seed,
        depth: usize,
    ) -> Value {
        const WORDS: [&str; 13] = [
            "a",
            "Completed",
            "NodeLost",
            "PodInitializing",
            "Running",
            "True",
            "Ready",
            "Always",
            "PodScheduled",
            "SchedulingGated",
            "2020-01-01T00:00:00Z",
            "Failed",
            "Initialized",
        ];
        if schema.is("object") && depth < 9 {
            let names = schema.field_names();
            let fields = names.into_iter().filter(|_| seed.below(4) != 0).collect::<Vec<_>>();
            return Value::Object(
                fields
                    .into_iter()
                    .map(|name| (name.to_owned(), filled(schema.field(name), seed, depth + 1)))
                    .collect(),
            );
        }
        match () {
            () if schema.is("array") => {
                (0..seed.below(3)).map(|_| filled(schema.items(), seed, depth + 1)).collect()
            }
            () if schema.is("integer") => seed.below(3).into(),
            () if schema.is("boolean") => (seed.below(2) == 0).into(),
            () if schema.is("object") => json!({}),
            () => WORDS[seed.below(WORDS.len())].into(),
        }
    }
}
