//! The roles and bindings that every cluster has, as data: names, verbs and resources are upstream's (`rbac/bootstrappolicy`).
//!
//! Words are separated by spaces; `core` is the group without a name. Left out: roles of parts that this server does not have (device
//! allocation, cloud providers, trust bundles).

pub(super) use super::controllers::CONTROLLERS;

/// A rule.
#[derive(Debug)]
pub(super) struct On {
    pub(super) verbs: &'static str,
    pub(super) groups: &'static str,
    pub(super) resources: &'static str,
    pub(super) names: &'static str,
    pub(super) urls: &'static str,
}

/// A role: of the cluster, or of a namespace.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    /// Which of `admin`, `edit` and `view` gathers it.
    pub(super) part_of: &'static str,
    /// Whether it gathers those that are part of it.
    pub(super) gathers: bool,
    pub(super) rules: &'static [On],
}

/// Who has a role.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) namespace: &'static str,
    /// The role's name unless given.
    pub(super) name: &'static str,
    pub(super) role: &'static str,
    /// `group:NAME`, `user:NAME`, `account:NAMESPACE/NAME`.
    pub(super) subjects: &'static str,
}

pub(super) const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> On {
    On { verbs, groups, resources, names: "", urls: "" }
}

const fn named(
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
) -> On {
    On { verbs, groups, resources, names, urls: "" }
}

const fn urls(verbs: &'static str, urls: &'static str) -> On {
    On { verbs, groups: "", resources: "", names: "", urls }
}

const fn role(name: &'static str, rules: &'static [On]) -> Role {
    Role { namespace: "", name, part_of: "", gathers: false, rules }
}

const fn part(name: &'static str, part_of: &'static str, rules: &'static [On]) -> Role {
    Role { namespace: "", name, part_of, gathers: false, rules }
}

const fn gathering(name: &'static str, part_of: &'static str) -> Role {
    Role { namespace: "", name, part_of, gathers: true, rules: &[] }
}

const fn local(namespace: &'static str, name: &'static str, rules: &'static [On]) -> Role {
    Role { namespace, name, part_of: "", gathers: false, rules }
}

const fn bound(role: &'static str, subjects: &'static str) -> Binding {
    Binding { namespace: "", name: "", role, subjects }
}

const fn bound_in(namespace: &'static str, role: &'static str, subjects: &'static str) -> Binding {
    Binding { namespace, name: "", role, subjects }
}

const READ: &str = "get list watch";
const WRITE: &str = "create update patch delete deletecollection";
const READ_WRITE: &str = "get list watch create update patch delete deletecollection";
const READ_UPDATE: &str = "get list watch update patch";
/// What every part of the cluster may: tell of what happened.
pub(super) const EVENTS: On = on("create update patch", "core events.k8s.io", "events");

const WORKLOADS: &str = "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status deployments \
     deployments/status deployments/scale replicasets replicasets/status replicasets/scale";

pub(super) const ROLES: &[Role] = &[
    role("cluster-admin", &[on("*", "*", "*"), urls("*", "*")]),
    role(
        "system:discovery",
        &[urls(
            "get",
            "/livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*",
        )],
    ),
    role(
        "system:monitoring",
        &[
            urls(
                "get",
                "/metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/*",
            ),
            on("get", "core", "nodes/metrics"),
        ],
    ),
    role(
        "system:basic-user",
        &[
            on(
                "create",
                "authorization.k8s.io",
                "selfsubjectaccessreviews selfsubjectrulesreviews",
            ),
            on("create", "authentication.k8s.io", "selfsubjectreviews"),
        ],
    ),
    role("system:public-info-viewer", &[urls("get", "/livez /readyz /healthz /version /version/")]),
    gathering("admin", ""),
    gathering("edit", "admin"),
    gathering("view", "edit"),
    part(
        "system:aggregate-to-admin",
        "admin",
        &[
            on("create", "authorization.k8s.io", "localsubjectaccessreviews"),
            on(READ_WRITE, "rbac.authorization.k8s.io", "roles rolebindings"),
        ],
    ),
    part(
        "system:aggregate-to-edit",
        "edit",
        &[
            on(
                READ,
                "core",
                "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy",
            ),
            on("impersonate", "core", "serviceaccounts"),
            on(WRITE, "core", "pods pods/attach pods/proxy pods/exec pods/portforward"),
            on("create", "core", "pods/eviction"),
            on(
                WRITE,
                "core",
                "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy persistentvolumeclaims configmaps secrets",
            ),
            on("create", "core", "serviceaccounts/token"),
            on(WRITE, "core events.k8s.io", "events"),
            on(
                WRITE,
                "apps",
                "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback replicasets replicasets/scale",
            ),
            on(WRITE, "autoscaling", "horizontalpodautoscalers"),
            on(WRITE, "batch", "jobs cronjobs"),
            on(
                WRITE,
                "extensions",
                "daemonsets deployments deployments/scale deployments/rollback ingresses replicasets replicasets/scale replicationcontrollers/scale networkpolicies",
            ),
            on(WRITE, "policy", "poddisruptionbudgets"),
            on(WRITE, "networking.k8s.io", "networkpolicies ingresses"),
            on(READ_WRITE, "coordination.k8s.io", "leases"),
        ],
    ),
    part(
        "system:aggregate-to-view",
        "view",
        &[
            on(
                READ,
                "core",
                "pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status endpoints persistentvolumeclaims persistentvolumeclaims/status configmaps",
            ),
            on(
                READ,
                "core",
                "limitranges resourcequotas bindings pods/status resourcequotas/status namespaces/status replicationcontrollers/status pods/log",
            ),
            on(READ, "core", "namespaces"),
            on(READ, "core events.k8s.io", "events"),
            on(READ, "discovery.k8s.io", "endpointslices"),
            on(READ, "apps", WORKLOADS),
            on(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
            on(READ, "batch", "jobs cronjobs cronjobs/status jobs/status"),
            on(
                READ,
                "extensions",
                "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status replicasets replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies",
            ),
            on(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
            on(READ, "networking.k8s.io", "networkpolicies ingresses ingresses/status"),
        ],
    ),
    role("system:node", NODE),
    role(
        "system:node-problem-detector",
        &[on("get", "core", "nodes"), on("patch", "core", "nodes/status"), EVENTS],
    ),
    role(
        "system:node-bootstrapper",
        &[on("create get list watch", "certificates.k8s.io", "certificatesigningrequests")],
    ),
    role(
        "system:auth-delegator",
        &[
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
    ),
    role("system:kube-aggregator", &[on(READ, "core", "services endpoints")]),
    role(
        "system:kube-controller-manager",
        &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            named("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
            on("create", "core", "secrets serviceaccounts"),
            on("delete", "core", "secrets"),
            on("get", "core", "namespaces secrets serviceaccounts configmaps"),
            on("update", "core", "secrets serviceaccounts"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on("list watch", "*", "*"),
            on("create", "core", "serviceaccounts/token"),
        ],
    ),
    role("system:kube-dns", &[on("list watch", "core", "endpoints services")]),
    role(
        "system:persistent-volume-provisioner",
        &[
            on("get list watch create delete", "core", "persistentvolumes"),
            on("get list watch update", "core", "persistentvolumeclaims"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("watch", "core", "events"),
            EVENTS,
        ],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[on("create", "certificates.k8s.io", "certificatesigningrequests/nodeclient")],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[on("create", "certificates.k8s.io", "certificatesigningrequests/selfnodeclient")],
    ),
    role(
        "system:volume-scheduler",
        &[
            on(READ_UPDATE, "core", "persistentvolumes"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on(READ_UPDATE, "core", "persistentvolumeclaims"),
        ],
    ),
    role(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &[named("approve", "certificates.k8s.io", "signers", "kubernetes.io/legacy-unknown")],
    ),
    role(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &[named("approve", "certificates.k8s.io", "signers", "kubernetes.io/kubelet-serving")],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &[named(
            "approve",
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/kube-apiserver-client",
        )],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &[named(
            "approve",
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/kube-apiserver-client-kubelet",
        )],
    ),
    role(
        "system:service-account-issuer-discovery",
        &[urls(
            "get",
            "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
        )],
    ),
    role(
        "system:kubelet-api-admin",
        &[
            on(READ, "core", "nodes"),
            on("proxy", "core", "nodes"),
            on("*", "core", "nodes/proxy nodes/metrics nodes/stats nodes/log"),
            on("*", "core", "nodes/pods nodes/healthz nodes/configz"),
        ],
    ),
    role(
        "system:node-proxier",
        &[
            on("list watch", "core", "services endpoints"),
            on(READ, "core", "nodes"),
            EVENTS,
            on("list watch", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    role("system:kube-scheduler", SCHEDULER),
    local(
        "kube-system",
        "extension-apiserver-authentication-reader",
        &[named(READ, "core", "configmaps", "extension-apiserver-authentication")],
    ),
    local("kube-system", "system:controller:bootstrap-signer", &[on(READ, "core", "secrets")]),
    local(
        "kube-system",
        "system:controller:token-cleaner",
        &[on("get list watch delete", "core", "secrets"), EVENTS],
    ),
    local("kube-system", "system::leader-locking-kube-controller-manager", LEADER),
    local("kube-system", "system::leader-locking-kube-scheduler", LEADER),
    local(
        "kube-public",
        "system:controller:bootstrap-signer",
        &[
            on(READ, "core", "configmaps"),
            named("update", "core", "configmaps", "cluster-info"),
            EVENTS,
        ],
    ),
];

const LEADER: &[On] = &[on("get watch list create update", "coordination.k8s.io", "leases")];

pub(super) const NODE: &[On] = &[
    on("create", "authentication.k8s.io", "tokenreviews"),
    on("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
    on(READ, "core", "services"),
    on("create get list watch", "core", "nodes"),
    on("update patch", "core", "nodes/status"),
    on("update patch", "core", "nodes"),
    EVENTS,
    on(READ, "core", "pods"),
    on("create delete", "core", "pods"),
    on("update patch", "core", "pods/status"),
    on("create", "core", "pods/eviction"),
    on(READ, "core", "secrets configmaps"),
    on("get", "core", "persistentvolumeclaims persistentvolumes"),
    on("get", "core", "endpoints"),
    on("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),
    on("get create update patch delete", "coordination.k8s.io", "leases"),
    on("get", "storage.k8s.io", "volumeattachments"),
    on("create", "core", "serviceaccounts/token"),
    on("get update patch", "core", "persistentvolumeclaims/status"),
    on(READ, "storage.k8s.io", "csidrivers"),
    on("get create update patch delete", "storage.k8s.io", "csinodes"),
    on(READ, "node.k8s.io", "runtimeclasses"),
    on("get", "core", "serviceaccounts"),
];

const SCHEDULER: &[On] = &[
    EVENTS,
    on("create", "coordination.k8s.io", "leases"),
    named("get update list watch", "coordination.k8s.io", "leases", "kube-scheduler"),
    on(READ, "core", "nodes"),
    on("get list watch delete", "core", "pods"),
    on("create", "core", "pods/binding bindings"),
    on("patch update", "core", "pods/status"),
    on(READ, "core", "services replicationcontrollers"),
    on(READ, "apps extensions", "replicasets"),
    on(READ, "apps", "statefulsets"),
    on(READ, "policy", "poddisruptionbudgets"),
    on(READ, "core", "persistentvolumeclaims persistentvolumes"),
    on("create", "authentication.k8s.io", "tokenreviews"),
    on("create", "authorization.k8s.io", "subjectaccessreviews"),
    on(READ, "storage.k8s.io", "csinodes volumeattachments csidrivers csistoragecapacities"),
    on(READ, "core", "namespaces"),
];

pub(super) const BINDINGS: &[Binding] = &[
    bound("cluster-admin", "group:system:masters"),
    bound("system:monitoring", "group:system:monitoring"),
    bound("system:discovery", "group:system:authenticated"),
    bound("system:basic-user", "group:system:authenticated"),
    bound("system:public-info-viewer", "group:system:authenticated group:system:unauthenticated"),
    bound("system:node-proxier", "user:system:kube-proxy"),
    bound("system:kube-controller-manager", "user:system:kube-controller-manager"),
    bound("system:kube-dns", "account:kube-system/kube-dns"),
    bound("system:kube-scheduler", "user:system:kube-scheduler"),
    bound("system:volume-scheduler", "user:system:kube-scheduler"),
    // Nodes get their rights from `node`; the binding is there for who looks for it, and for nobody.
    bound("system:node", ""),
    bound("system:service-account-issuer-discovery", "group:system:serviceaccounts"),
    Binding {
        namespace: "kube-system",
        name: "system::extension-apiserver-authentication-reader",
        role: "extension-apiserver-authentication-reader",
        subjects: "user:system:kube-controller-manager user:system:kube-scheduler",
    },
    bound_in(
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        "user:system:kube-controller-manager account:kube-system/kube-controller-manager",
    ),
    bound_in(
        "kube-system",
        "system::leader-locking-kube-scheduler",
        "user:system:kube-scheduler account:kube-system/kube-scheduler",
    ),
    bound_in(
        "kube-system",
        "system:controller:bootstrap-signer",
        "account:kube-system/bootstrap-signer",
    ),
    bound_in("kube-system", "system:controller:token-cleaner", "account:kube-system/token-cleaner"),
    bound_in(
        "kube-public",
        "system:controller:bootstrap-signer",
        "account:kube-system/bootstrap-signer",
    ),
];
