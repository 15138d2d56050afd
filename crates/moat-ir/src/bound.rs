//! The compiled form over an inventory: classes of pods, atoms of peers, programs of clauses.

use crate::symbolic::{ClauseIdx, Direction, Origin, PolicyIdx, SymbolicIr};
use moat_sets::{AddrSet, DomainPattern, Family, IdSet, Labels, PortSet, Protocol};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Index of a pod in [`Bound::pods`].
pub type PodIdx = u32;
/// Index of a class in [`Bound::classes`].
pub type ClassIdx = u32;
/// Index of a program in [`Bound::programs`].
pub type ProgramId = u32;
/// Index of a peer set in [`Bound::peer_sets`].
pub type PeerSetId = u32;

/// What a clause does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Then {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
    /// Leave this stage.
    Pass,
}

/// The stages of a program, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum StageKind {
    /// Cluster policies before NetworkPolicies.
    Admin,
    /// NetworkPolicies: present when one isolates the subject, and then total.
    Namespace,
    /// Cluster policies after NetworkPolicies.
    Baseline,
    /// What happens when nothing decides: allowed.
    Default,
}

/// Why a clause is there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// A rule's peer.
    Rule(ClauseIdx),
    /// These policies isolate the subject.
    Isolated(Arc<[PolicyIdx]>),
    /// Nothing applies.
    Default,
}

/// Peers x ports, and what to do with them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clause {
    /// Which peers.
    pub peers: PeerSetId,
    /// Which ports.
    pub ports: PortSet,
    /// What to do.
    pub then: Then,
    /// Why.
    pub why: Why,
}

/// Clauses that are tried in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stage {
    /// Which stage.
    pub kind: StageKind,
    /// Its clauses.
    pub clauses: Vec<Clause>,
}

/// What decides about the traffic of a class in one direction. Invariant: the last stage is total.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Program {
    /// The direction.
    pub direction: Direction,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// A set of peer atoms, as far as it is known which belong to it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PeerSet {
    /// Atoms that belong to it.
    pub must: IdSet,
    /// Atoms that may or may not belong to it; disjoint from `must`.
    pub may: IdSet,
}

/// Whether policies apply to the pods of a class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Management {
    /// They do.
    Managed,
    /// They do not: hostNetwork, finished.
    Unmanaged,
    /// The API does not say.
    Undefined,
}

/// Pods that every policy and every peer set treats alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// Its pods, in rising order; none when the last one went and nothing was bound anew since.
    pub pods: Vec<PodIdx>,
    /// Its atoms as a peer: one per IP family.
    pub atoms: [Option<u32>; 2],
    /// Programs for ingress and egress; meaningful unless unmanaged.
    pub programs: [ProgramId; 2],
    /// Whether policies apply to it.
    pub management: Management,
}

impl Class {
    /// Its atom for a family.
    #[must_use]
    pub fn atom(&self, family: Family) -> Option<u32> {
        match (family, self.atoms) {
            (Family::V4, [v4, _]) => v4,
            (Family::V6, [_, v6]) => v6,
        }
    }

    /// Its program for a direction; `None` when no policy can apply.
    #[must_use]
    pub fn program(&self, direction: Direction) -> Option<ProgramId> {
        let [ingress, egress] = self.programs;
        let id = if direction == Direction::Ingress { ingress } else { egress };
        (self.management != Management::Unmanaged).then_some(id)
    }
}

/// What one atom of the peer universe is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AtomKind {
    /// Addresses that no peer set tells apart.
    Addresses {
        /// First address.
        low: IpAddr,
        /// Last address.
        high: IpAddr,
    },
    /// A domain name pattern that a policy names.
    Domain(DomainPattern),
    /// The pods of a class, by one IP family.
    Pods {
        /// The class.
        class: ClassIdx,
        /// The family.
        family: Family,
    },
}

/// One atom of the peer universe.
pub type Atom = AtomKind;

/// The peer universe: addresses first, then domains, then pods.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AtomTable {
    /// First address of each IPv4 atom, rising, from 0.
    pub v4: Vec<u32>,
    /// First address of each IPv6 atom, rising, from 0.
    pub v6: Vec<u128>,
    /// Domain patterns.
    pub domains: Vec<DomainPattern>,
    /// Class and family of each pod atom.
    pub pods: Vec<(ClassIdx, Family)>,
}

impl AtomTable {
    /// How many atoms are addresses.
    #[must_use]
    pub fn n_addresses(&self) -> u32 {
        index(self.v4.len() + self.v6.len())
    }

    /// The first pod atom.
    #[must_use]
    pub fn first_pod(&self) -> u32 {
        self.n_addresses() + index(self.domains.len())
    }

    /// How many atoms there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.first_pod() + index(self.pods.len())
    }

    /// Whether there is no atom; never so in a bound form.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The atom an address lies in.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => {
                index(self.v4.partition_point(|&low| low <= address.to_bits())).saturating_sub(1)
            }
            IpAddr::V6(address) => {
                index(self.v4.len())
                    + index(self.v6.partition_point(|&low| low <= address.to_bits()))
                        .saturating_sub(1)
            }
        }
    }

    /// What an atom is.
    #[must_use]
    pub fn get(&self, atom: u32) -> Option<AtomKind> {
        let at = atom as usize;
        let n_v4 = self.v4.len();
        if let Some(&low) = self.v4.get(at) {
            let high = self.v4.get(at + 1).map_or(u32::MAX, |next| next - 1);
            return Some(AtomKind::Addresses {
                low: IpAddr::V4(low.into()),
                high: IpAddr::V4(high.into()),
            });
        }
        if let Some(&low) = self.v6.get(at - n_v4) {
            let high = self.v6.get(at - n_v4 + 1).map_or(u128::MAX, |next| next - 1);
            return Some(AtomKind::Addresses {
                low: IpAddr::V6(low.into()),
                high: IpAddr::V6(high.into()),
            });
        }
        let at = at - n_v4 - self.v6.len();
        if let Some(domain) = self.domains.get(at) {
            return Some(AtomKind::Domain(domain.clone()));
        }
        let &(class, family) = self.pods.get(at - self.domains.len())?;
        Some(AtomKind::Pods { class, family })
    }

    /// The addresses of the address atoms in a set.
    #[must_use]
    pub fn addresses(&self, atoms: &IdSet) -> AddrSet {
        let own = atoms.intersect(&IdSet::range(0, self.n_addresses()));
        AddrSet::from_ranges(own.iter().filter_map(|atom| match self.get(atom)? {
            AtomKind::Addresses { low, high } => Some((low, high)),
            _ => None,
        }))
    }
}

/// Tables here stay far below 2^32 entries; the limits of `moat-compile` see to it.
fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A pod, or the pods of a workload, as consumers may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodInfo {
    /// `ns/pod` or `ns/kind/name`.
    pub display: Arc<str>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// `pod`, or the workload's lower-case kind.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The workload a pod belongs to: kind and name.
    pub owner: Option<(Arc<str>, Arc<str>)>,
    /// Where it was read.
    pub origin: Origin,
    /// Its labels.
    pub labels: Labels,
    /// Its namespace's labels.
    pub namespace_labels: Arc<Labels>,
    /// Its addresses; empty when not known.
    pub addresses: Vec<IpAddr>,
    /// Its node, when known.
    pub node: Option<Arc<str>>,
    /// Whether it shares its node's network.
    pub host_network: bool,
    /// Whether it has ended.
    pub finished: bool,
    /// How many pods it stands for.
    pub replicas: u32,
    /// Its declared ports: name, protocol, number.
    pub ports: Vec<(Option<Arc<str>>, Protocol, u16)>,
    /// Its class.
    pub class: ClassIdx,
}

/// What a pod that went is displayed as: no namespace and no name, which no pod is without.
const GONE: &str = "/";

impl PodInfo {
    /// What stands where a pod was that went, so that the others keep their places: nothing finds it by name or address, and who
    /// leaves out finished pods leaves it out. `class` must have no traffic; the pod is not among that class's pods.
    #[must_use]
    pub fn gone(class: ClassIdx) -> Self {
        let nothing: Arc<str> = "".into();
        Self {
            display: GONE.into(),
            namespace: nothing.clone(),
            kind: "pod".into(),
            name: nothing,
            owner: None,
            origin: Origin::default(),
            labels: Labels::default(),
            namespace_labels: Arc::default(),
            addresses: Vec::new(),
            node: None,
            host_network: false,
            finished: true,
            replicas: 0,
            ports: Vec::new(),
            class,
        }
    }

    /// Whether this is no pod but the place of one that went.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.display.as_ref() == GONE
    }
}

/// Policies over an inventory, ready to be asked.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The policies.
    pub symbolic: Arc<SymbolicIr>,
    /// Pods, sorted by display name when just bound. Where the form was kept up to date since, places of pods that went may be
    /// empty ([`PodInfo::is_gone`]) and pods that came may be anywhere.
    pub pods: Vec<PodInfo>,
    /// Classes.
    pub classes: Vec<Class>,
    /// The peer universe.
    pub atoms: AtomTable,
    /// Programs. Just bound, each is used by at least one class.
    pub programs: Vec<Program>,
    /// Peer sets. The first contains every atom.
    pub peer_sets: Vec<PeerSet>,
    /// Which pod has an address: of several the last by display name. HostNetwork and finished pods are not here.
    pub pod_by_address: BTreeMap<IpAddr, PodIdx>,
    /// Which node has an address.
    pub node_by_address: BTreeMap<IpAddr, Arc<str>>,
    /// Whether a node reaches its own pods whatever the policies say.
    pub own_node_exempt: bool,
}

impl Bound {
    /// A pod.
    #[must_use]
    pub fn pod(&self, idx: PodIdx) -> &PodInfo {
        &self.pods[idx as usize]
    }

    /// A class.
    #[must_use]
    pub fn class(&self, idx: ClassIdx) -> &Class {
        &self.classes[idx as usize]
    }

    /// A program.
    #[must_use]
    pub fn program(&self, id: ProgramId) -> &Program {
        &self.programs[id as usize]
    }

    /// A peer set.
    #[must_use]
    pub fn peers(&self, id: PeerSetId) -> &PeerSet {
        &self.peer_sets[id as usize]
    }

    /// The class of a pod.
    #[must_use]
    pub fn class_of(&self, pod: PodIdx) -> &Class {
        self.class(self.pod(pod).class)
    }
}
