//! What kinds do in their own way: defaults before storing, rules, what a writer may change, how they are deleted.
//!
//! Most kinds need nothing. A kind that does has a file here, and a line in [`of`].

mod batch;
pub(crate) mod certificate;
pub(crate) mod check;
mod cluster;
mod config;
mod csi;
mod endpoints;
mod event;
mod ingress;
pub(crate) mod limits;
pub(crate) mod pod;
mod policy;
mod rbac;
mod scaling;
pub(crate) mod service;
mod storage;
mod workload;

use crate::api::Api;
use crate::crd;
use crate::kinds::{Kind, Served, Subresource};
use crate::names::Rule;
use crate::status::{Cause, Status};
use serde_json::Value;

/// A kind's own ways. Functions are given whole objects.
#[derive(Clone, Copy)]
pub(crate) struct Strategy {
    /// Which names are allowed.
    pub(crate) names: Rule,
    /// Which changes `metadata.generation` counts.
    pub(crate) generation: Generation,
    /// Whether a client may set the status with the object itself.
    pub(crate) status_at_create: bool,
    /// What becomes of what belongs to a deleted object where the client does not say.
    pub(crate) dependents: Dependents,
    /// Whether a deletion is answered with the object.
    pub(crate) returns_deleted: bool,
    /// Fills in what is missing, on every write.
    pub(crate) default: fn(&mut Value),
    /// Fills in what only a new object gets.
    pub(crate) create: fn(&mut Value),
    /// Takes over from the old object (second) what cannot be changed.
    pub(crate) update: fn(&mut Value, &Value),
    /// The same where a status is written.
    pub(crate) update_status: fn(&mut Value, &Value),
    /// Takes over from the old object what a path of a part leaves alone.
    pub(crate) update_part: fn(Subresource, &mut Value, &Value),
    /// Rules.
    pub(crate) validate: fn(&Value, &mut Vec<Cause>),
    /// Rules for new objects alone.
    pub(crate) validate_new: fn(&Value, &mut Vec<Cause>),
    /// Rules about changes; the new object is first.
    pub(crate) validate_update: fn(&Value, &Value, &mut Vec<Cause>),
    /// The same where a part is changed by a path of its own.
    pub(crate) validate_part: fn(Subresource, &Value, &Value, &mut Vec<Cause>),
    /// How long the deletion of an object takes, in seconds, from what the client wants; where it takes no time, nothing is said of it.
    pub(crate) grace: Option<fn(&Value, Option<i64>) -> i64>,
}

/// Whether an object of the kind that is not there is created by a `PUT`.
pub(crate) fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("", "Service" | "Endpoints" | "LimitRange" | "Event")
            | ("events.k8s.io", "Event")
            | ("rbac.authorization.k8s.io", _)
            | ("coordination.k8s.io", "Lease")
            | ("node.k8s.io", "RuntimeClass")
    )
}

/// Whether an object gets a name though nobody asks for one.
pub(crate) fn is_named_by_server(kind: &Kind) -> bool {
    kind.is("", "LimitRange")
}

/// Whether a `PUT` must name the version that it replaces.
pub(crate) fn needs_version(kind: &Kind) -> bool {
    let built_in = matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("policy", "PodDisruptionBudget")
            | (
                "storage.k8s.io",
                "CSIDriver" | "CSINode" | "CSIStorageCapacity" | "VolumeAttachment"
            )
            | ("coordination.k8s.io", "Lease")
            | ("node.k8s.io", "RuntimeClass")
    );
    built_in || kind.custom.is_some() || crd::is_definition(kind)
}

/// What becomes of the objects that belong to a deleted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// They are deleted too.
    Go,
    /// They stay, and belong to nothing.
    Stay {
        /// What a client that did not say what becomes of them is told.
        warning: Option<&'static str>,
    },
}

/// Which changes of an object are a new generation of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Its kind has no generations.
    None,
    /// Those of its spec.
    Spec,
    /// Those, and by other writes than of the status its annotations.
    SpecAndAnnotations,
    /// All but of the metadata, and of a status that has a path of its own.
    All,
}

/// A kind without ways of its own.
pub(crate) const PLAIN: Strategy = Strategy {
    names: Rule::Subdomain,
    generation: Generation::None,
    status_at_create: false,
    returns_deleted: false,
    dependents: Dependents::Go,
    default: |_| {},
    create: |_| {},
    update: |_, _| {},
    update_status: |_, _| {},
    update_part: |_, _, _| {},
    validate: |_, _| {},
    validate_new: |_, _| {},
    validate_update: |_, _, _| {},
    validate_part: |_, _, _, _| {},
    grace: None,
};

/// Whether writes of a kind choose addresses, ports or names, which must not happen twice at once.
pub(crate) fn allocates(kind: &Kind) -> bool {
    kind.is("", "Service") || crd::is_definition(kind)
}

/// Chooses them. The caller holds the lock until the object is stored.
pub(crate) fn allocate(
    api: &Api,
    served: &Served,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<(), Status> {
    if crd::is_definition(&served.stored) {
        crd::settle(api, new);
        return Ok(());
    }
    service::allocate(api, served, old, new)
}

/// Go writes the status of a load balancer though it is empty.
fn balancer(object: &mut Value) {
    crate::object::default(
        crate::object::child_mut(object, "status"),
        "loadBalancer",
        serde_json::json!({}),
    );
}

/// Kinds that clients define.
const CUSTOM: Strategy = Strategy { generation: Generation::All, ..PLAIN };

/// The ways of a kind.
pub(crate) fn of(kind: &Kind) -> Strategy {
    if kind.custom.is_some() {
        return CUSTOM;
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        (crd::GROUP, crd::KIND) => crd::STRATEGY,
        ("", "Pod") => pod::STRATEGY,
        ("", "Service") => service::STRATEGY,
        ("", "Namespace") => cluster::NAMESPACE,
        ("", "Node") => cluster::NODE,
        ("", "PersistentVolume") => storage::VOLUME,
        ("", "PersistentVolumeClaim") => storage::CLAIM,
        ("", "LimitRange") => limits::LIMIT_RANGE,
        ("scheduling.k8s.io", "PriorityClass") => limits::PRIORITY_CLASS,
        ("certificates.k8s.io", "CertificateSigningRequest") => certificate::REQUEST,
        ("", "ConfigMap") => config::CONFIG_MAP,
        ("", "Secret") => config::SECRET,
        ("", "ResourceQuota") => limits::QUOTA,
        ("", "PodTemplate") => workload::POD_TEMPLATE,
        ("", "ServiceAccount") => Strategy { returns_deleted: true, ..PLAIN },
        ("", "Endpoints") => endpoints::ENDPOINTS,
        ("", "Event") => event::STRATEGY,
        ("autoscaling", "HorizontalPodAutoscaler") => scaling::AUTOSCALER,
        ("apps", "Deployment") => workload::DEPLOYMENT,
        ("apps", "ReplicaSet") => workload::REPLICA_SET,
        ("apps", "StatefulSet") => workload::STATEFUL_SET,
        ("apps", "DaemonSet") => workload::DAEMON_SET,
        ("", "ReplicationController") => workload::REPLICATION_CONTROLLER,
        ("batch", "Job") => batch::JOB,
        ("batch", "CronJob") => batch::CRON_JOB,
        ("networking.k8s.io", "NetworkPolicy") => policy::NETWORK_POLICY,
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => policy::CLUSTER_NETWORK_POLICY,
        ("networking.k8s.io", "Ingress") => ingress::INGRESS,
        ("networking.k8s.io", "IngressClass") => ingress::CLASS,
        ("policy", "PodDisruptionBudget") => scaling::BUDGET,
        ("rbac.authorization.k8s.io", "Role") => rbac::ROLE,
        ("rbac.authorization.k8s.io", "ClusterRole") => rbac::CLUSTER_ROLE,
        ("rbac.authorization.k8s.io", "RoleBinding") => rbac::ROLE_BINDING,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => rbac::CLUSTER_ROLE_BINDING,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => crate::admission::POLICY,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            crate::admission::POLICY_BINDING
        }
        ("apiregistration.k8s.io", "APIService") => config::API_SERVICE,
        ("flowcontrol.apiserver.k8s.io", _) => Strategy { generation: Generation::Spec, ..PLAIN },
        ("storage.k8s.io", "StorageClass") => storage::CLASS,
        ("storage.k8s.io", "VolumeAttributesClass") => storage::ATTRIBUTES_CLASS,
        ("coordination.k8s.io", "Lease") => cluster::LEASE,
        ("node.k8s.io", "RuntimeClass") => cluster::RUNTIME_CLASS,
        ("apps", "ControllerRevision") => cluster::REVISION,
        ("storage.k8s.io", "CSIDriver") => csi::DRIVER,
        ("storage.k8s.io", "CSINode") => csi::NODE,
        ("storage.k8s.io", "VolumeAttachment") => csi::ATTACHMENT,
        ("storage.k8s.io", "CSIStorageCapacity") => csi::CAPACITY,
        ("discovery.k8s.io", "EndpointSlice") => endpoints::SLICE,
        _ => PLAIN,
    }
}
