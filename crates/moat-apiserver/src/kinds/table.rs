//! The table of kinds. Facts are those of upstream's discovery documents (`api/discovery`); selectable fields those of its registries.
//!
//! A kind that is served in several versions has a row for each, the preferred one first; `conversion.rs` says which is stored. Not here: kinds
//! without meaning in a cluster of this size (device allocation).

use super::Row as Kind;
use super::Subresource::{
    Approval, Binding, EphemeralContainers, Eviction, Finalize, Resize, Scale, Status, Token,
};
use super::Verbs::{All, Create, NoDeleteCollection, Read};

/// Every kind that this server knows by itself.
#[rustfmt::skip]
pub(super) const BUILT_IN: &[Kind] = &[
    Kind { group: "", version: "v1", kind: "Binding", plural: "bindings", short: &[], namespaced: true, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "ComponentStatus", plural: "componentstatuses", short: &["cs"], namespaced: false, verbs: Read, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", short: &["cm"], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "Endpoints", plural: "endpoints", short: &["ep"], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "Event", plural: "events", short: &["ev"], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &["involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"] },
    Kind { group: "", version: "v1", kind: "LimitRange", plural: "limitranges", short: &["limits"], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "Namespace", plural: "namespaces", short: &["ns"], namespaced: false, verbs: NoDeleteCollection, subresources: &[Finalize, Status], categories: &[], fields: &["status.phase"] },
    Kind { group: "", version: "v1", kind: "Node", plural: "nodes", short: &["no"], namespaced: false, verbs: All, subresources: &[Status], categories: &[], fields: &["spec.unschedulable"] },
    Kind { group: "", version: "v1", kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims", short: &["pvc"], namespaced: true, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "PersistentVolume", plural: "persistentvolumes", short: &["pv"], namespaced: false, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "Pod", plural: "pods", short: &["po"], namespaced: true, verbs: All, subresources: &[Binding, EphemeralContainers, Eviction, Resize, Status], categories: &["all"], fields: &["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"] },
    Kind { group: "", version: "v1", kind: "PodTemplate", plural: "podtemplates", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "ReplicationController", plural: "replicationcontrollers", short: &["rc"], namespaced: true, verbs: All, subresources: &[Scale, Status], categories: &["all"], fields: &["status.replicas"] },
    Kind { group: "", version: "v1", kind: "ResourceQuota", plural: "resourcequotas", short: &["quota"], namespaced: true, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "Secret", plural: "secrets", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &["type"] },
    Kind { group: "", version: "v1", kind: "ServiceAccount", plural: "serviceaccounts", short: &["sa"], namespaced: true, verbs: All, subresources: &[Token], categories: &[], fields: &[] },
    Kind { group: "", version: "v1", kind: "Service", plural: "services", short: &["svc"], namespaced: true, verbs: All, subresources: &[Status], categories: &["all"], fields: &["spec.clusterIP", "spec.type"] },
    Kind { group: "apps", version: "v1", kind: "ControllerRevision", plural: "controllerrevisions", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "apps", version: "v1", kind: "DaemonSet", plural: "daemonsets", short: &["ds"], namespaced: true, verbs: All, subresources: &[Status], categories: &["all"], fields: &[] },
    Kind { group: "apps", version: "v1", kind: "Deployment", plural: "deployments", short: &["deploy"], namespaced: true, verbs: All, subresources: &[Scale, Status], categories: &["all"], fields: &[] },
    Kind { group: "apps", version: "v1", kind: "ReplicaSet", plural: "replicasets", short: &["rs"], namespaced: true, verbs: All, subresources: &[Scale, Status], categories: &["all"], fields: &["status.replicas"] },
    Kind { group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets", short: &["sts"], namespaced: true, verbs: All, subresources: &[Scale, Status], categories: &["all"], fields: &[] },
    Kind { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition", plural: "customresourcedefinitions", short: &["crd", "crds"], namespaced: false, verbs: All, subresources: &[Status], categories: &["api-extensions"], fields: &[] },
    Kind { group: "authentication.k8s.io", version: "v1", kind: "SelfSubjectReview", plural: "selfsubjectreviews", short: &[], namespaced: false, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "authentication.k8s.io", version: "v1", kind: "TokenReview", plural: "tokenreviews", short: &[], namespaced: false, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "authorization.k8s.io", version: "v1", kind: "LocalSubjectAccessReview", plural: "localsubjectaccessreviews", short: &[], namespaced: true, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "authorization.k8s.io", version: "v1", kind: "SelfSubjectAccessReview", plural: "selfsubjectaccessreviews", short: &[], namespaced: false, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "authorization.k8s.io", version: "v1", kind: "SelfSubjectRulesReview", plural: "selfsubjectrulesreviews", short: &[], namespaced: false, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "authorization.k8s.io", version: "v1", kind: "SubjectAccessReview", plural: "subjectaccessreviews", short: &[], namespaced: false, verbs: Create, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler", plural: "horizontalpodautoscalers", short: &["hpa"], namespaced: true, verbs: All, subresources: &[Status], categories: &["all"], fields: &[] },
    Kind { group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler", plural: "horizontalpodautoscalers", short: &["hpa"], namespaced: true, verbs: All, subresources: &[Status], categories: &["all"], fields: &[] },
    Kind { group: "batch", version: "v1", kind: "CronJob", plural: "cronjobs", short: &["cj"], namespaced: true, verbs: All, subresources: &[Status], categories: &["all"], fields: &[] },
    Kind { group: "batch", version: "v1", kind: "Job", plural: "jobs", short: &[], namespaced: true, verbs: All, subresources: &[Status], categories: &["all"], fields: &["status.successful"] },
    Kind { group: "certificates.k8s.io", version: "v1", kind: "CertificateSigningRequest", plural: "certificatesigningrequests", short: &["csr"], namespaced: false, verbs: All, subresources: &[Approval, Status], categories: &[], fields: &["spec.signerName"] },
    Kind { group: "networking.k8s.io", version: "v1", kind: "IngressClass", plural: "ingressclasses", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "networking.k8s.io", version: "v1", kind: "Ingress", plural: "ingresses", short: &["ing"], namespaced: true, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "networking.k8s.io", version: "v1", kind: "NetworkPolicy", plural: "networkpolicies", short: &["netpol"], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "policy", version: "v1", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets", short: &["pdb"], namespaced: true, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "policy.networking.k8s.io", version: "v1alpha2", kind: "ClusterNetworkPolicy", plural: "clusternetworkpolicies", short: &["cnp"], namespaced: false, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "ClusterRoleBinding", plural: "clusterrolebindings", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "ClusterRole", plural: "clusterroles", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "RoleBinding", plural: "rolebindings", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "Role", plural: "roles", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "storage.k8s.io", version: "v1", kind: "CSIDriver", plural: "csidrivers", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "storage.k8s.io", version: "v1", kind: "CSINode", plural: "csinodes", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "storage.k8s.io", version: "v1", kind: "CSIStorageCapacity", plural: "csistoragecapacities", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "storage.k8s.io", version: "v1", kind: "StorageClass", plural: "storageclasses", short: &["sc"], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "storage.k8s.io", version: "v1", kind: "VolumeAttachment", plural: "volumeattachments", short: &[], namespaced: false, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "storage.k8s.io", version: "v1", kind: "VolumeAttributesClass", plural: "volumeattributesclasses", short: &["vac"], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "scheduling.k8s.io", version: "v1", kind: "PriorityClass", plural: "priorityclasses", short: &["pc"], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "node.k8s.io", version: "v1", kind: "RuntimeClass", plural: "runtimeclasses", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice", plural: "endpointslices", short: &[], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &[] },
    Kind { group: "events.k8s.io", version: "v1", kind: "Event", plural: "events", short: &["ev"], namespaced: true, verbs: All, subresources: &[], categories: &[], fields: &["reason", "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath", "reportingController", "type"] },
    Kind { group: "admissionregistration.k8s.io", version: "v1", kind: "ValidatingAdmissionPolicy", plural: "validatingadmissionpolicies", short: &[], namespaced: false, verbs: All, subresources: &[Status], categories: &["api-extensions"], fields: &[] },
    Kind { group: "admissionregistration.k8s.io", version: "v1", kind: "ValidatingAdmissionPolicyBinding", plural: "validatingadmissionpolicybindings", short: &[], namespaced: false, verbs: All, subresources: &[], categories: &["api-extensions"], fields: &[] },
    Kind { group: "apiregistration.k8s.io", version: "v1", kind: "APIService", plural: "apiservices", short: &[], namespaced: false, verbs: All, subresources: &[Status], categories: &["api-extensions"], fields: &[] },
    Kind { group: "flowcontrol.apiserver.k8s.io", version: "v1", kind: "FlowSchema", plural: "flowschemas", short: &[], namespaced: false, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
    Kind { group: "flowcontrol.apiserver.k8s.io", version: "v1", kind: "PriorityLevelConfiguration", plural: "prioritylevelconfigurations", short: &[], namespaced: false, verbs: All, subresources: &[Status], categories: &[], fields: &[] },
];
