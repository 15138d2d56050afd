//! Pods that no policy can tell apart become one class.

use crate::addresses::{Holders, Known, families};
use crate::compile::{index, origin};
use moat_ir::{AtomTable, ClassIdx, PodInfo, SymPeer, SymbolicIr};
use moat_model::inventory::{Inventory, Phase, PodKind};
use moat_sets::{
    Family, IdSet, Labels, NamespaceTerm, Operator, PodTerm, PortSet, Protocol, Selector,
    ServicePoint,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// What all pods of a class share.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) namespace: u32,
    pub(crate) labels: u32,
    pub(crate) ports: u32,
    pub(crate) addresses: [Known; 2],
    pub(crate) host: Option<Option<Arc<str>>>,
    pub(crate) finished: bool,
}

/// The ports behind names that policies use, on one pod.
pub(crate) type PortProfile = Vec<(Arc<str>, Protocol, u16)>;

/// Pods sorted into classes, with the indexes that peers and subjects are looked up in.
#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) pods: Vec<PodInfo>,
    pub(crate) keys: Vec<Key>,
    pub(crate) members: Vec<Vec<u32>>,
    pub(crate) profiles: Vec<PortProfile>,
    label_sets: Vec<Labels>,
    namespaces: Vec<(Arc<str>, Arc<Labels>)>,
    namespace_idx: FxHashMap<Arc<str>, u32>,
    by_namespace: Vec<Vec<ClassIdx>>,
    by_label: FxHashMap<Arc<str>, FxHashMap<Arc<str>, Vec<ClassIdx>>>,
}

/// The label keys and port names that policies look at.
#[derive(Debug, Default)]
struct Used<'s> {
    keys: FxHashSet<&'s str>,
    names: FxHashSet<&'s str>,
}

fn used(symbolic: &SymbolicIr) -> Used<'_> {
    let mut used = Used::default();
    let terms = symbolic.clauses.iter().filter_map(|clause| match &clause.peer {
        SymPeer::Pods(term) => Some(term),
        _ => None,
    });
    for term in terms.chain(symbolic.policies.iter().map(|policy| &policy.subject)) {
        used.keys
            .extend(term.pods.requirements().iter().map(|requirement| requirement.key.as_ref()));
    }
    for clause in &symbolic.clauses {
        used.names.extend(clause.ports.names.iter().map(|(_, name)| name.as_ref()));
    }
    used
}

impl Classes {
    pub(crate) fn new(symbolic: &SymbolicIr, inventory: &Inventory, table: &AtomTable) -> Self {
        let used = used(symbolic);
        let namespaces: Vec<(Arc<str>, Arc<Labels>)> = inventory
            .namespaces
            .iter()
            .map(|namespace| (namespace.name.clone(), Arc::new(namespace.labels.clone())))
            .collect();
        let namespace_idx: FxHashMap<Arc<str>, u32> = namespaces
            .iter()
            .enumerate()
            .map(|(idx, (name, _))| (name.clone(), index(idx)))
            .collect();
        let mut classes = Self {
            pods: Vec::with_capacity(inventory.pods.len()),
            keys: Vec::new(),
            members: Vec::new(),
            profiles: Vec::new(),
            label_sets: Vec::new(),
            by_namespace: vec![Vec::new(); namespaces.len()],
            namespaces,
            namespace_idx,
            by_label: FxHashMap::default(),
        };
        let own = inventory
            .pods
            .iter()
            .filter(|pod| !pod.host_network)
            .flat_map(|pod| pod.addresses.iter().copied());
        let unknown = families(&inventory.pod_cidrs, own);
        let mut label_ids: FxHashMap<Labels, u32> = FxHashMap::default();
        let mut profile_ids: FxHashMap<PortProfile, u32> = FxHashMap::default();
        let mut class_ids: FxHashMap<Key, ClassIdx> = FxHashMap::default();
        let mut order: Vec<(Arc<str>, &moat_model::Pod)> =
            inventory.pods.iter().map(|pod| (pod.to_string().into(), pod)).collect();
        order.sort_by(|a, b| a.0.cmp(&b.0));
        for (display, pod) in order {
            let Some(&namespace) = classes.namespace_idx.get(&pod.namespace) else { continue };
            let projected = pod.labels.project(|key| used.keys.contains(key));
            let labels = *label_ids.entry(projected).or_insert_with_key(|labels| {
                classes.label_sets.push(labels.clone());
                index(classes.label_sets.len() - 1)
            });
            let mut profile: PortProfile = pod
                .ports
                .iter()
                .filter_map(|port| {
                    Some((
                        port.name.clone().filter(|name| used.names.contains(name.as_ref()))?,
                        port.protocol,
                        port.number,
                    ))
                })
                .collect();
            profile.sort_unstable();
            let ports = *profile_ids.entry(profile).or_insert_with_key(|profile| {
                classes.profiles.push(profile.clone());
                index(classes.profiles.len() - 1)
            });
            let addresses = Family::BOTH.map(|family| {
                match pod.addresses.iter().find(|address| Family::of(**address) == family) {
                    Some(&address) => Known::Atom(table.of_address(address)),
                    None if pod.addresses.is_empty() && unknown.contains(&family) => Known::Unknown,
                    None => Known::Absent,
                }
            });
            let finished = pod.phase == Phase::Finished;
            let host = pod.host_network.then(|| pod.node.clone());
            let key = Key { namespace, labels, ports, addresses, host, finished };
            let class = *class_ids.entry(key).or_insert_with_key(|key| {
                classes.keys.push(key.clone());
                classes.members.push(Vec::new());
                index(classes.keys.len() - 1)
            });
            if let Some(members) = classes.members.get_mut(class as usize) {
                members.push(index(classes.pods.len()));
            }
            let namespace_labels = classes
                .namespaces
                .get(namespace as usize)
                .map(|(_, labels)| labels.clone())
                .unwrap_or_default();
            classes.pods.push(PodInfo {
                display,
                namespace: pod.namespace.clone(),
                kind: match &pod.kind {
                    PodKind::Pod => "pod".into(),
                    PodKind::Workload(kind) => kind.clone(),
                },
                name: pod.name.clone(),
                owner: pod.owner.clone(),
                origin: origin(pod.span),
                labels: pod.labels.clone(),
                namespace_labels,
                addresses: pod.addresses.clone(),
                node: pod.node.clone(),
                host_network: pod.host_network,
                finished,
                replicas: pod.replicas,
                ports: pod
                    .ports
                    .iter()
                    .map(|port| (port.name.clone(), port.protocol, port.number))
                    .collect(),
                class,
            });
        }
        classes.index();
        classes
    }

    fn index(&mut self) {
        for (class, key) in self.keys.iter().enumerate() {
            let class = index(class);
            if let Some(list) = self.by_namespace.get_mut(key.namespace as usize) {
                list.push(class);
            }
            for (name, value) in
                self.label_sets.get(key.labels as usize).into_iter().flat_map(Labels::iter)
            {
                self.by_label
                    .entry(name.into())
                    .or_default()
                    .entry(value.into())
                    .or_default()
                    .push(class);
            }
        }
    }

    fn labels(&self, key: &Key) -> &Labels {
        &self.label_sets[key.labels as usize]
    }

    /// The classes a pod term means; finished pods and hostNetwork pods are not left out here.
    pub(crate) fn of_term(&self, term: &PodTerm, namespaces: &NamespaceSets) -> IdSet {
        let meant = |class: &ClassIdx| term.pods.matches(self.labels(&self.keys[*class as usize]));
        match &term.namespaces {
            NamespaceTerm::Named(name) => {
                let Some(&own) = self.namespace_idx.get(name) else { return IdSet::new() };
                self.by_namespace[own as usize].iter().copied().filter(meant).collect()
            }
            NamespaceTerm::Matching(selector) => {
                let inside = namespaces.of(selector);
                let in_namespace =
                    |class: &ClassIdx| inside[self.keys[*class as usize].namespace as usize];
                match self.fewest(&term.pods) {
                    // One label's classes are fewer than all: look only at them.
                    Some(candidates) => {
                        candidates.into_iter().filter(in_namespace).filter(meant).collect()
                    }
                    None => {
                        let own =
                            inside.iter().zip(&self.by_namespace).filter(|(inside, _)| **inside);
                        own.flat_map(|(_, classes)| classes.iter().copied()).filter(meant).collect()
                    }
                }
            }
        }
    }

    /// The classes that meet the most selective `In` requirement.
    fn fewest(&self, selector: &Selector) -> Option<Vec<ClassIdx>> {
        let lists = selector
            .requirements()
            .iter()
            .filter(|requirement| requirement.operator == Operator::In)
            .map(|requirement| {
                let values = self.by_label.get(&requirement.key);
                let lists: Vec<&Vec<ClassIdx>> =
                    requirement.values.iter().filter_map(|value| values?.get(value)).collect();
                (lists.iter().map(|list| list.len()).sum::<usize>(), lists)
            });
        let (_, lists) = lists.min_by_key(|(size, _)| *size)?;
        Some(lists.into_iter().flatten().copied().collect())
    }

    /// Atoms of classes that have traffic, by what is known of their addresses; those of hostNetwork pods second.
    pub(crate) fn holders(&self, atoms: &[[Option<u32>; 2]]) -> [Holders; 2] {
        let mut holders = [Holders::default(), Holders::default()];
        for (key, atoms) in self.keys.iter().zip(atoms).filter(|(key, _)| !key.finished) {
            let holders = &mut holders[usize::from(key.host.is_some())];
            for (family, (atom, known)) in atoms.iter().zip(key.addresses).enumerate() {
                if let Some(atom) = *atom {
                    holders.note(atom, family, known);
                }
            }
        }
        holders
    }

    /// The ports a name means on a class.
    pub(crate) fn named(&self, class: ClassIdx, protocol: Option<Protocol>, name: &str) -> PortSet {
        named(&self.profiles[self.keys[class as usize].ports as usize], protocol, name)
    }

    pub(crate) fn namespace_sets(&self, symbolic: &SymbolicIr) -> NamespaceSets {
        let mut sets = NamespaceSets(FxHashMap::default());
        let peers = symbolic.clauses.iter().filter_map(|clause| match &clause.peer {
            SymPeer::Pods(term) => Some(term),
            _ => None,
        });
        for term in peers.chain(symbolic.policies.iter().map(|policy| &policy.subject)) {
            if let NamespaceTerm::Matching(selector) = &term.namespaces
                && !sets.0.contains_key(selector)
            {
                let inside =
                    self.namespaces.iter().map(|(_, labels)| selector.matches(labels)).collect();
                sets.0.insert(selector.clone(), inside);
            }
        }
        sets
    }
}

/// The ports a name means in a profile.
pub(crate) fn named(profile: &PortProfile, protocol: Option<Protocol>, name: &str) -> PortSet {
    profile
        .iter()
        .filter(|(have, own, _)| {
            have.as_ref() == name && protocol.is_none_or(|protocol| protocol == *own)
        })
        .fold(PortSet::empty(), |sum, &(_, own, number)| {
            sum.union(&PortSet::point(ServicePoint::new(own, number)))
        })
}

/// Which namespaces each namespace selector means.
#[derive(Debug)]
pub(crate) struct NamespaceSets(FxHashMap<Selector, Vec<bool>>);

impl NamespaceSets {
    fn of(&self, selector: &Selector) -> &[bool] {
        self.0.get(selector).map_or(&[], Vec::as_slice)
    }
}
