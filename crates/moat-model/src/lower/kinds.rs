//! Which kinds mean what to Moat.

use crate::diagnostic::{Diagnostic, codes};
use crate::read::{Reader, Step};
use crate::value::Value;
use moat_sets::nearest;

/// How a kind is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Namespace,
    Pod,
    Workload,
    NetworkPolicy,
    ClusterNetworkPolicy,
    AdminNetworkPolicy,
    BaselineAdminNetworkPolicy,
    Service,
    Endpoints,
    EndpointSlice,
    Ingress,
    Node,
    List,
    /// A policy of another system: it can change verdicts.
    ForeignPolicy,
    /// Cannot change a verdict.
    Irrelevant,
    /// Not known: reported, and read for a pod template.
    Unknown,
}

/// The role of a kind in an API group, and the version Moat reads; a version that was removed has a note.
pub(super) fn role(api_version: &str, kind: &str) -> Role {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Namespace") => Role::Namespace,
        ("", "Pod") => Role::Pod,
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job" | "CronJob") => Role::Workload,
        ("networking.k8s.io" | "extensions", "NetworkPolicy") => Role::NetworkPolicy,
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => Role::ClusterNetworkPolicy,
        ("policy.networking.k8s.io", "AdminNetworkPolicy") => Role::AdminNetworkPolicy,
        ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy") => {
            Role::BaselineAdminNetworkPolicy
        }
        ("", "Service") => Role::Service,
        ("", "Endpoints") => Role::Endpoints,
        ("discovery.k8s.io", "EndpointSlice") => Role::EndpointSlice,
        ("networking.k8s.io" | "extensions", "Ingress") => Role::Ingress,
        ("", "Node") => Role::Node,
        ("", "List") => Role::List,
        ("cilium.io", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy")
        | (
            "crd.projectcalico.org" | "projectcalico.org",
            "NetworkPolicy" | "GlobalNetworkPolicy",
        )
        | ("crd.antrea.io", "NetworkPolicy" | "ClusterNetworkPolicy")
        | ("security.istio.io", "AuthorizationPolicy" | "PeerAuthentication")
        | ("k8s.cni.cncf.io", "MultiNetworkPolicy") => Role::ForeignPolicy,
        _ if kind.ends_with("List") && kind.len() > 4 => Role::List,
        (
            "rbac.authorization.k8s.io"
            | "apiextensions.k8s.io"
            | "admissionregistration.k8s.io"
            | "storage.k8s.io"
            | "scheduling.k8s.io"
            | "autoscaling"
            | "policy"
            | "coordination.k8s.io"
            | "certificates.k8s.io"
            | "apiregistration.k8s.io"
            | "node.k8s.io"
            | "events.k8s.io"
            | "kustomize.config.k8s.io",
            _,
        )
        | ("networking.k8s.io", "IngressClass" | "IPAddress" | "ServiceCIDR")
        | (
            "",
            "ConfigMap"
            | "Secret"
            | "ServiceAccount"
            | "PersistentVolume"
            | "PersistentVolumeClaim"
            | "Event"
            | "LimitRange"
            | "ResourceQuota"
            | "PodTemplate"
            | "Binding"
            | "ComponentStatus",
        ) => Role::Irrelevant,
        _ => Role::Unknown,
    }
}

/// Groups of which [`role`] knows every kind.
const GROUPS: &[&str] = &[
    "",
    "apps",
    "batch",
    "networking.k8s.io",
    "policy.networking.k8s.io",
    "discovery.k8s.io",
    "extensions",
];
/// Every kind that is interpreted, with its group.
const KINDS: &[(&str, &str)] = &[
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"),
    ("policy.networking.k8s.io", "AdminNetworkPolicy"),
    ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"),
    ("", "Namespace"),
    ("", "Pod"),
    ("", "Service"),
    ("", "Endpoints"),
    ("", "Node"),
    ("", "ReplicationController"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("networking.k8s.io", "Ingress"),
    ("discovery.k8s.io", "EndpointSlice"),
];

/// What an unknown kind was probably meant to be, as `group/Kind`: a slip in the kind of a known group, or in the group of a known kind.
/// Kinds of their own in groups of their own are none.
fn slip(api_version: &str, kind: &str) -> Option<String> {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let names = KINDS.iter().map(|(_, kind)| *kind);
    let known_group = GROUPS.contains(&group);
    let meant = nearest(kind, names).filter(|near| known_group || *near == kind)?;
    let (want, meant) = KINDS.iter().find(|(_, kind)| *kind == meant)?;
    if !known_group && moat_sets::mistakes(group, want).is_none() {
        return None;
    }
    Some(if want.is_empty() { format!("`{meant}`") } else { format!("`{meant}` of `{want}`") })
}

/// Reports an unknown kind that can only be a slip: its group is one of Kubernetes' own and has no such kind, or it is a known kind in
/// a group that nearly is its own.
pub(super) fn misspelt<'v>(
    reader: &mut Reader<'v, '_>,
    api_version: &str,
    value: &'v Value,
    kind: &str,
) -> bool {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let meant = slip(api_version, kind);
    if meant.is_none() && !GROUPS.contains(&group) {
        return false;
    }
    let at = value.get("kind").unwrap_or(value);
    let message = format!("no matches for kind \"{kind}\" in version \"{api_version}\"");
    let span = reader.span(at);
    let mut finding = Diagnostic::error(codes::UNSUPPORTED_KIND, span, message)
        .effect("not interpreted; verdicts that it could change are marked as uncertain");
    if let Some(meant) = meant {
        finding = finding.help(format!("did you mean {meant}?"));
    }
    reader.step(Step::Key("kind"), |reader| reader.push(finding));
    true
}

/// Whether objects of this role live in a namespace.
pub(super) fn is_namespaced(role: Role) -> bool {
    !matches!(
        role,
        Role::Namespace
            | Role::Node
            | Role::ClusterNetworkPolicy
            | Role::AdminNetworkPolicy
            | Role::BaselineAdminNetworkPolicy
            | Role::List
    )
}

/// What to use instead of an API version that is gone; `None` when the version is served.
pub(super) fn replacement(api_version: &str, role: Role) -> Option<&'static str> {
    match (api_version, role) {
        ("apps/v1" | "batch/v1" | "v1" | "networking.k8s.io/v1" | "discovery.k8s.io/v1", _) => None,
        ("extensions/v1beta1" | "apps/v1beta1" | "apps/v1beta2", Role::Workload) => Some("apps/v1"),
        ("batch/v1beta1" | "batch/v2alpha1", Role::Workload) => Some("batch/v1"),
        ("extensions/v1beta1", Role::NetworkPolicy | Role::Ingress)
        | ("networking.k8s.io/v1beta1", Role::Ingress) => Some("networking.k8s.io/v1"),
        ("discovery.k8s.io/v1beta1", Role::EndpointSlice) => Some("discovery.k8s.io/v1"),
        ("policy.networking.k8s.io/v1alpha2", Role::ClusterNetworkPolicy) => None,
        (
            "policy.networking.k8s.io/v1alpha1",
            Role::AdminNetworkPolicy | Role::BaselineAdminNetworkPolicy,
        ) => None,
        (_, Role::ClusterNetworkPolicy) => Some("policy.networking.k8s.io/v1alpha2"),
        (_, Role::AdminNetworkPolicy | Role::BaselineAdminNetworkPolicy) => {
            Some("policy.networking.k8s.io/v1alpha1")
        }
        (
            _,
            Role::Workload
            | Role::NetworkPolicy
            | Role::Pod
            | Role::Service
            | Role::Ingress
            | Role::EndpointSlice,
        ) => Some("the version the cluster serves"),
        _ => None,
    }
}
