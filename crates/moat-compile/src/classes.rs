//! Pods that no policy can tell apart become one class.

use crate::addresses::{Holders, Known, families};
use crate::compile::index;
use crate::dialect::{Dialect, HostNetwork};
use crate::used::{NamespaceSets, Used};
use moat_ir::{AtomTable, Class, ClassIdx, Management, PodInfo, SymbolicIr};
use moat_model::inventory::Inventory;
use moat_sets::{
    Family, IdSet, Labels, NamespaceTerm, Operator, PodTerm, PortSet, Protocol, Selector,
    ServicePoint,
};
use rustc_hash::FxHashMap;
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

impl Key {
    /// Whether policies apply to a class, in a dialect.
    pub(crate) fn management(&self, dialect: Dialect) -> Management {
        match (self.finished, &self.host, dialect.host_network) {
            (true, ..) | (_, Some(_), HostNetwork::NodeAddress) => Management::Unmanaged,
            (_, Some(_), HostNetwork::Undefined) => Management::Undefined,
            (_, None, _) => Management::Managed,
        }
    }
}

/// The ports behind names that policies use, on one pod.
pub(crate) type PortProfile = Vec<(Arc<str>, Protocol, u16)>;

/// Classes by what their pods share, with the indexes that peers and subjects are looked up in.
#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) keys: Vec<Key>,
    pub(crate) profiles: Vec<PortProfile>,
    /// What policies look at.
    used: Used,
    namespace_sets: NamespaceSets,
    /// The families that addresses not known may be of.
    unknown: Vec<Family>,
    label_sets: Vec<Labels>,
    namespaces: Vec<(Arc<str>, Arc<Labels>)>,
    namespace_idx: FxHashMap<Arc<str>, u32>,
    ids: FxHashMap<Key, ClassIdx>,
    label_ids: FxHashMap<Labels, u32>,
    profile_ids: FxHashMap<PortProfile, u32>,
    by_namespace: Vec<Vec<ClassIdx>>,
    by_label: FxHashMap<Arc<str>, FxHashMap<Arc<str>, Vec<ClassIdx>>>,
}

impl Classes {
    /// No class yet, over the namespaces of an inventory.
    pub(crate) fn new(symbolic: &SymbolicIr, inventory: &Inventory) -> Self {
        let namespaces: Vec<(Arc<str>, Arc<Labels>)> = inventory
            .namespaces
            .iter()
            .map(|namespace| (namespace.name.clone(), Arc::new(namespace.labels.clone())))
            .collect();
        let namespace_idx =
            namespaces.iter().zip(0..).map(|((name, _), idx)| (name.clone(), idx)).collect();
        let own = inventory
            .pods
            .iter()
            .filter(|pod| !pod.host_network)
            .flat_map(|pod| pod.addresses.iter().copied());
        Self {
            keys: Vec::new(),
            profiles: Vec::new(),
            used: Used::new(symbolic),
            namespace_sets: NamespaceSets::new(symbolic, &namespaces),
            unknown: families(&inventory.pod_cidrs, own),
            label_sets: Vec::new(),
            by_namespace: vec![Vec::new(); namespaces.len()],
            namespaces,
            namespace_idx,
            ids: FxHashMap::default(),
            label_ids: FxHashMap::default(),
            profile_ids: FxHashMap::default(),
            by_label: FxHashMap::default(),
        }
    }

    /// Looks at other policies. False when they look at more of a pod than the classes here tell apart.
    pub(crate) fn other_policies(&mut self, symbolic: &SymbolicIr) -> bool {
        self.namespace_sets = NamespaceSets::new(symbolic, &self.namespaces);
        self.used.covers(&Used::new(symbolic))
    }

    /// Looks at more policies. False, and nothing done, when they look at more of a pod than the classes here tell apart.
    pub(crate) fn more_policies(&mut self, symbolic: &SymbolicIr) -> bool {
        let covers = self.used.covers(&Used::new(symbolic));
        if covers {
            self.namespace_sets.add(symbolic, &self.namespaces);
        }
        covers
    }

    /// The labels of a namespace, when it is known.
    pub(crate) fn namespace(&self, name: &str) -> Option<&Arc<Labels>> {
        let &at = self.namespace_idx.get(name)?;
        self.namespaces.get(at as usize).map(|(_, labels)| labels)
    }

    /// The class of a pod. When there is none such it is made, as the last one.
    pub(crate) fn of(&mut self, pod: &PodInfo, table: &AtomTable) -> ClassIdx {
        let Some(&namespace) = self.namespace_idx.get(&pod.namespace) else { return self.gone() };
        let labels = pod.labels.project(|key| self.used.keys.contains(key));
        let mut profile: PortProfile = pod
            .ports
            .iter()
            .filter_map(|(name, protocol, number)| {
                let name = name.clone().filter(|name| self.used.names.contains(name))?;
                Some((name, *protocol, *number))
            })
            .collect();
        profile.sort_unstable();
        let addresses = Family::BOTH.map(|family| {
            match pod.addresses.iter().find(|address| Family::of(**address) == family) {
                Some(&address) => Known::Atom(table.of_address(address)),
                None if pod.addresses.is_empty() && self.unknown.contains(&family) => {
                    Known::Unknown
                }
                None => Known::Absent,
            }
        });
        let key = Key {
            namespace,
            labels: intern(&mut self.label_ids, &mut self.label_sets, labels),
            ports: intern(&mut self.profile_ids, &mut self.profiles, profile),
            addresses,
            host: pod.host_network.then(|| pod.node.clone()),
            finished: pod.finished,
        };
        self.with_key(key)
    }

    /// The class that pods which went point to: finished, and without any address, which no pod's class is.
    pub(crate) fn gone(&mut self) -> ClassIdx {
        let key = Key {
            namespace: 0,
            labels: intern(&mut self.label_ids, &mut self.label_sets, Labels::default()),
            ports: intern(&mut self.profile_ids, &mut self.profiles, PortProfile::new()),
            addresses: [Known::Absent; 2],
            host: None,
            finished: true,
        };
        self.with_key(key)
    }

    fn with_key(&mut self, key: Key) -> ClassIdx {
        if let Some(&class) = self.ids.get(&key) {
            return class;
        }
        let class = index(self.keys.len());
        if let Some(list) = self.by_namespace.get_mut(key.namespace as usize) {
            list.push(class);
        }
        for (name, value) in
            self.label_sets.get(key.labels as usize).into_iter().flat_map(Labels::iter)
        {
            let values = self.by_label.entry(name.into()).or_default();
            values.entry(value.into()).or_default().push(class);
        }
        self.ids.insert(key.clone(), class);
        self.keys.push(key);
        class
    }

    fn labels(&self, key: &Key) -> &Labels {
        &self.label_sets[key.labels as usize]
    }

    /// Whether a pod term means a class; finished pods and hostNetwork pods are not left out here.
    pub(crate) fn means(&self, term: &PodTerm, class: ClassIdx) -> bool {
        let key = &self.keys[class as usize];
        let inside = match &term.namespaces {
            NamespaceTerm::Named(name) => self.namespaces[key.namespace as usize].0 == *name,
            NamespaceTerm::Matching(selector) => {
                self.namespace_sets.of(selector)[key.namespace as usize]
            }
        };
        inside && term.pods.matches(self.labels(key))
    }

    /// All classes that a pod term means.
    pub(crate) fn of_term(&self, term: &PodTerm) -> IdSet {
        let meant = |class: &ClassIdx| self.means(term, *class);
        match &term.namespaces {
            NamespaceTerm::Named(name) => {
                let Some(&own) = self.namespace_idx.get(name) else { return IdSet::new() };
                self.by_namespace[own as usize].iter().copied().filter(meant).collect()
            }
            NamespaceTerm::Matching(selector) => match self.fewest(&term.pods) {
                // One label's classes are fewer than all: look only at them.
                Some(candidates) => candidates.into_iter().filter(meant).collect(),
                None => {
                    let inside = self.namespace_sets.of(selector);
                    let own = inside.iter().zip(&self.by_namespace).filter(|(inside, _)| **inside);
                    own.flat_map(|(_, classes)| classes.iter().copied()).filter(meant).collect()
                }
            },
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

    /// Atoms of the classes from `first` on that have traffic, by what is known of their addresses; those of hostNetwork pods second.
    pub(crate) fn holders(&self, bound: &[Class], first: ClassIdx) -> [Holders; 2] {
        let mut holders = [Holders::default(), Holders::default()];
        let own = self.keys.iter().zip(bound).skip(first as usize);
        for (key, class) in own.filter(|(key, _)| !key.finished) {
            let holders = &mut holders[usize::from(key.host.is_some())];
            for (family, (atom, known)) in class.atoms.iter().zip(key.addresses).enumerate() {
                if let Some(atom) = *atom {
                    holders.note(atom, family, known);
                }
            }
        }
        holders
    }
}

/// The number of a value, which is the place it has or gets in `all`.
fn intern<T: Clone + Eq + std::hash::Hash>(
    ids: &mut FxHashMap<T, u32>,
    all: &mut Vec<T>,
    value: T,
) -> u32 {
    *ids.entry(value).or_insert_with_key(|value| {
        all.push(value.clone());
        index(all.len() - 1)
    })
}

/// The ports a name means in a profile.
pub(crate) fn named(
    profile: &[(Arc<str>, Protocol, u16)],
    protocol: Option<Protocol>,
    name: &str,
) -> PortSet {
    profile
        .iter()
        .filter(|(have, own, _)| {
            have.as_ref() == name && protocol.is_none_or(|protocol| protocol == *own)
        })
        .fold(PortSet::empty(), |sum, &(_, own, number)| {
            sum.union(&PortSet::point(ServicePoint::new(own, number)))
        })
}
