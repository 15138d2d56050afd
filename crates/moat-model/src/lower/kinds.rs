//! Which kinds mean what to Moat.

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
