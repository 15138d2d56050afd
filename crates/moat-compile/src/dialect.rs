//! Every choice that Kubernetes leaves to the implementation, with its citation.

/// Whether an address set contains an address of a special kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Matching {
    /// The packet's address decides, whoever has it.
    ByAddress,
    /// Never contained.
    Never,
    /// The API does not say.
    Undefined,
}

/// What a hostNetwork pod is to policies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HostNetwork {
    /// No subject; as a peer it is its node's address.
    NodeAddress,
    /// The API does not say.
    Undefined,
}

/// One dialect: a value for every open choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Dialect {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether `ipBlock` matches the address of a pod.
    pub block_over_pods: Matching,
    /// Whether `ipBlock` matches the address of a node.
    pub block_over_nodes: Matching,
    /// What hostNetwork pods are.
    pub host_network: HostNetwork,
}

/// One open choice, for people.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The question.
    pub question: &'static str,
    /// What the API text says.
    pub text: &'static str,
    /// Moat's own answer.
    pub moat: &'static str,
    /// Calico's.
    pub calico: &'static str,
    /// Cilium's.
    pub cilium: &'static str,
    /// Where this is written down.
    pub citation: &'static str,
}

impl Dialect {
    /// Moat's own agent and cluster.
    pub const MOAT: Self = Self {
        name: "moat",
        block_over_pods: Matching::ByAddress,
        block_over_nodes: Matching::ByAddress,
        host_network: HostNetwork::NodeAddress,
    };

    /// The API text alone: what it leaves open is undefined.
    pub const SPEC: Self = Self {
        name: "spec",
        block_over_pods: Matching::Undefined,
        block_over_nodes: Matching::Undefined,
        host_network: HostNetwork::Undefined,
    };

    /// Calico.
    pub const CALICO: Self = Self { name: "calico", ..Self::MOAT };

    /// Cilium, with its default `policy-cidr-match-mode`.
    pub const CILIUM: Self = Self {
        name: "cilium",
        block_over_pods: Matching::Never,
        block_over_nodes: Matching::Never,
        ..Self::MOAT
    };

    /// All dialects.
    pub const ALL: [Self; 4] = [Self::MOAT, Self::SPEC, Self::CALICO, Self::CILIUM];

    /// The choices in which another dialect differs, each with this dialect after that one choice: (index in [`Self::CHOICES`], dialect).
    #[must_use]
    pub fn steps_to(self, other: Self) -> Vec<(usize, Self)> {
        let steps = [
            (0, Self { block_over_pods: other.block_over_pods, ..self }),
            (1, Self { block_over_nodes: other.block_over_nodes, ..self }),
            (2, Self { host_network: other.host_network, ..self }),
        ];
        steps.into_iter().filter(|(_, step)| *step != self).collect()
    }

    /// The dialect of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name == name)
    }

    /// The open choices, whether dialects differ in them or not.
    pub const CHOICES: &'static [Choice] = &[
        Choice {
            question: "does an ipBlock that covers pod addresses match those pods?",
            text: "CIDRs are meant for cluster-external addresses; whether rewritten addresses match is not defined",
            moat: "yes, by the packet's address",
            calico: "yes, by the packet's address",
            cilium: "no, pods have identities that CIDR rules never match",
            citation: "kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-ipblock-selectors; \
                       upstream e2e `should allow egress access to server in CIDR block`; projectcalico/calico#6634; cilium/cilium#9209",
        },
        Choice {
            question: "does an ipBlock match a node's address?",
            text: "not defined",
            moat: "yes, by the packet's address",
            calico: "yes, by the packet's address",
            cilium: "no, unless policy-cidr-match-mode=nodes",
            citation: "docs.cilium.io, `Selecting nodes with CIDR / ipBlock`",
        },
        Choice {
            question: "what is a hostNetwork pod to policies?",
            text: "NetworkPolicy behaviour for hostNetwork pods is undefined, with two permitted behaviours",
            moat: "never a subject; as a peer it is its node's address",
            calico: "never a subject; as a peer it is its node's address",
            cilium: "never a subject; as a peer it is the host or a remote node",
            citation: "kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-and-hostnetwork-pods",
        },
        Choice {
            question: "may a node reach the pods that run on it, whatever the policies say?",
            text: "traffic to and from the node where a pod runs is always allowed",
            moat: "yes; other nodes are ordinary sources",
            calico: "yes",
            cilium: "yes",
            citation: "k8s.io/api/networking/v1 NetworkPolicySpec; kubernetes.io/docs/concepts/services-networking/network-policies/",
        },
        Choice {
            question: "may a pod reach itself?",
            text: "a pod cannot block access to itself; for cluster policies its own pod IP is exempt, its Service is not",
            moat: "yes",
            calico: "yes",
            cilium: "yes",
            citation: "kubernetes.io/docs/concepts/services-networking/network-policies/; network-policy-api#343",
        },
        Choice {
            question: "which rules match protocols without ports, such as ICMP?",
            text: "not defined: rules speak of TCP, UDP and SCTP",
            moat: "only rules without ports; isolation stops ping",
            calico: "only rules without ports",
            cilium: "only rules without ports",
            citation: "kubernetes.io/docs/concepts/services-networking/network-policies/#pod-isolation; k8s.io/api NetworkPolicyPort",
        },
        Choice {
            question: "is a policy evaluated before or after a Service's address is translated?",
            text: "not defined for cluster-ingress and cluster-egress mechanisms that rewrite addresses",
            moat: "after destination translation, before source translation",
            calico: "after",
            cilium: "after",
            citation: "kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-ipblock-selectors",
        },
        Choice {
            question: "which of two cluster policies with equal priority wins?",
            text: "not defined: either may",
            moat: "the first by name, reported as ambiguous",
            calico: "not stated",
            cilium: "not stated",
            citation: "sigs.k8s.io/network-policy-api ClusterNetworkPolicySpec.priority",
        },
    ];
}

impl Default for Dialect {
    fn default() -> Self {
        Self::MOAT
    }
}
