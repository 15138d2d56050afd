//! Clauses laid over an inventory.

use crate::claims::Claims;
use crate::classes::Classes;
use crate::compile::{index, origin};
use crate::dialect::Dialect;
use crate::peers::{Kept, Peers, atom_table, draws};
use crate::programs::{Known, Programs};
use moat_ir::{
    AtomTable, Bound, Class, ClassIdx, Management, PodIdx, PodInfo, PolicyIdx, ProgramId, Splice,
    SymbolicIr,
};
use moat_model::inventory::{Inventory, Phase, Pod, PodKind};
use moat_sets::{Family, Labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Binds compiled policies to an inventory.
#[must_use]
pub fn bind(symbolic: Arc<SymbolicIr>, inventory: &Inventory, dialect: Dialect) -> Bound {
    Workings::new(symbolic, inventory, dialect).1
}

/// What was found out when binding that a bound form does not say, and without which it cannot be kept up to date.
#[derive(Debug)]
pub(crate) struct Workings {
    pub(crate) dialect: Dialect,
    pub(crate) classes: Classes,
    pub(crate) claims: Claims,
    /// Where each pod of the inventory is in the bound form; `None` when its namespace is not known.
    pub(crate) places: Vec<Option<PodIdx>>,
    peers: Peers,
    known: Known,
}

impl Workings {
    /// Binds.
    pub(crate) fn new(
        symbolic: Arc<SymbolicIr>,
        inventory: &Inventory,
        dialect: Dialect,
    ) -> (Self, Bound) {
        let mut bound = Bound {
            atoms: atom_table(&symbolic.clauses, inventory),
            pods: Vec::with_capacity(inventory.pods.len()),
            classes: Vec::new(),
            programs: Vec::new(),
            peer_sets: Vec::new(),
            pod_by_address: BTreeMap::new(),
            node_by_address: BTreeMap::new(),
            own_node_exempt: true,
            symbolic,
        };
        let mut workings = Self {
            dialect,
            classes: Classes::new(&bound.symbolic, inventory),
            claims: Claims::default(),
            places: vec![None; inventory.pods.len()],
            peers: Peers::default(),
            known: Known::default(),
        };
        workings.pods(&mut bound, inventory);
        workings.give_atoms_to_all(&mut bound);
        workings.lay(&mut bound, inventory, Kept::default());
        (workings, bound)
    }

    /// Fills in pods, in the order of their names, sorted into classes, and who has which address.
    fn pods(&mut self, bound: &mut Bound, inventory: &Inventory) {
        let mut order: Vec<(Arc<str>, &Pod, &mut Option<PodIdx>)> = inventory
            .pods
            .iter()
            .zip(&mut self.places)
            .map(|(pod, place)| (pod.to_string().into(), pod, place))
            .collect();
        order.sort_by(|a, b| a.0.cmp(&b.0));
        for (display, pod, place) in order {
            let Some(namespace_labels) = self.classes.namespace(&pod.namespace) else { continue };
            let idx = index(bound.pods.len());
            *place = Some(idx);
            let mut info = info(pod, display, namespace_labels.clone());
            info.class = self.classes.of(&info, &bound.atoms);
            join(&mut bound.classes, info.class, Some(idx));
            bound.pods.push(info);
            self.claims.claim(bound, idx, &mut Vec::new());
            for (address, node) in node_claims(pod) {
                bound.node_by_address.insert(address, node.clone());
            }
        }
        for node in &inventory.nodes {
            let own = node.addresses.iter().map(|&address| (address, node.name.clone()));
            bound.node_by_address.extend(own);
        }
    }

    /// Sorts the pods of a bound form, whose address atoms are others now, into classes anew.
    fn sort(&mut self, bound: &mut Bound) {
        bound.classes.clear();
        for (pod, idx) in bound.pods.iter_mut().zip(0..) {
            if pod.is_gone() {
                pod.class = self.classes.gone();
                join(&mut bound.classes, pod.class, None);
            } else {
                pod.class = self.classes.of(pod, &bound.atoms);
                join(&mut bound.classes, pod.class, Some(idx));
            }
        }
        self.give_atoms_to_all(bound);
    }

    fn give_atoms_to_all(&self, bound: &mut Bound) {
        for class in 0..index(bound.classes.len()) {
            self.give_atoms(bound, class);
        }
    }

    /// Adds the atoms of a class at the end of the universe.
    fn give_atoms(&self, bound: &mut Bound, class: ClassIdx) {
        let key = &self.classes.keys[class as usize];
        let atoms = &mut bound.classes[class as usize].atoms;
        for ((slot, known), family) in atoms.iter_mut().zip(key.addresses).zip(Family::BOTH) {
            if known != crate::addresses::Known::Absent {
                *slot = Some(bound.atoms.len());
                bound.atoms.pods.push((class, family));
            }
        }
    }

    /// Lays the policies over the classes: peer sets and programs.
    fn lay(&mut self, bound: &mut Bound, inventory: &Inventory, kept: Kept) {
        self.peers = Peers::new(bound, inventory, self.dialect, &self.classes, kept);
        self.known = Known::default();
        bound.programs.clear();
        Programs::new(bound, &self.classes, self.dialect, &self.peers, &mut self.known).all();
    }

    /// The class of a pod, made when there is none such; `None` when programs of other classes would have to change for it.
    pub(crate) fn class_of(
        &mut self,
        bound: &mut Bound,
        inventory: &Inventory,
        pod: &PodInfo,
    ) -> Option<ClassIdx> {
        let class = self.classes.of(pod, &bound.atoms);
        self.make(bound, inventory, class).then_some(class)
    }

    /// The class of pods that went.
    pub(crate) fn gone(&mut self, bound: &mut Bound, inventory: &Inventory) -> ClassIdx {
        let class = self.classes.gone();
        // It has neither atoms nor port names, so that no program can depend on it.
        self.make(bound, inventory, class);
        class
    }

    /// Makes a class, unless it is there.
    fn make(&mut self, bound: &mut Bound, inventory: &Inventory, class: ClassIdx) -> bool {
        if bound.classes.get(class as usize).is_some() {
            return true;
        }
        bound.classes.push(EMPTY);
        self.give_atoms(bound, class);
        self.peers.add_classes(bound, inventory, self.dialect, &self.classes, class);
        let (peers, known) = (&self.peers, &mut self.known);
        Programs::new(bound, &self.classes, self.dialect, peers, known).one(class)
    }

    /// Lays the policies of a bound form, which were others before, over its pods. Whether classes and atoms could stay.
    pub(crate) fn other_policies(&mut self, bound: &mut Bound, inventory: &Inventory) -> bool {
        let table = atom_table(&bound.symbolic.clauses, inventory);
        let stay = self.classes.other_policies(&bound.symbolic) && same(&table, &bound.atoms);
        let kept = if stay {
            self.peers.keep(&mut bound.peer_sets)
        } else {
            bound.atoms = table;
            self.classes = Classes::new(&bound.symbolic, inventory);
            self.sort(bound);
            Kept::default()
        };
        self.lay(bound, inventory, kept);
        stay
    }

    /// Follows one policy in the place of another, whose form by itself is `new`: the programs that mean something else now. `None`
    /// where classes or atoms cannot stay; then only the policies have changed.
    pub(crate) fn other_policy(
        &mut self,
        bound: &mut Bound,
        inventory: &Inventory,
        at: PolicyIdx,
        is_there: bool,
        new: SymbolicIr,
    ) -> (Splice, Option<Vec<ProgramId>>) {
        let clauses = |[(start, _), (_, end)]: &[(u32, u32); 2]| {
            bound.symbolic.clauses.get(*start as usize..*end as usize)
        };
        let old = bound.symbolic.spans.get(at as usize).filter(|_| is_there);
        let old = atom_table(old.and_then(clauses).unwrap_or_default(), inventory);
        let mine = atom_table(&new.clauses, inventory);
        let fits = self.classes.more_policies(&new) && draws(&bound.atoms, &mine);
        let splice = Arc::make_mut(&mut bound.symbolic).splice(at, is_there, new);
        // What only the old one drew must not be told apart any more: a doubt about one address is one about all around it.
        let whole = || same(&atom_table(&bound.symbolic.clauses, inventory), &bound.atoms);
        if !fits || !(draws(&mine, &old) || whole()) {
            return (splice, None);
        }
        self.peers.splice(bound, inventory, self.dialect, &self.classes, splice.clauses);
        let (peers, known) = (&self.peers, &mut self.known);
        let changed =
            Programs::new(bound, &self.classes, self.dialect, peers, known).splice(&splice);
        (splice, Some(changed))
    }
}

/// Whether two tables tell the same addresses and domains apart.
fn same(a: &AtomTable, b: &AtomTable) -> bool {
    a.v4 == b.v4 && a.v6 == b.v6 && a.domains == b.domains
}

/// Puts a pod, which comes after those that are there, into its class; a class that is new is the last one.
fn join(classes: &mut Vec<Class>, class: ClassIdx, pod: Option<PodIdx>) {
    if class as usize == classes.len() {
        classes.push(EMPTY);
    }
    if let Some(class) = classes.get_mut(class as usize) {
        class.pods.extend(pod);
    }
}

/// A class before anything is known of it.
const EMPTY: Class = Class {
    pods: Vec::new(),
    atoms: [None; 2],
    programs: [ProgramId::MAX; 2],
    management: Management::Unmanaged,
};

/// The addresses by which a pod tells that its node has them: not every dump holds the Node objects.
pub(crate) fn node_claims(pod: &Pod) -> impl Iterator<Item = (std::net::IpAddr, &Arc<str>)> {
    let node = pod.node.as_ref().filter(|_| pod.host_network);
    node.into_iter().flat_map(|node| pod.addresses.iter().map(move |&address| (address, node)))
}

/// A pod as consumers may know it, but for its class.
pub(crate) fn info(pod: &Pod, display: Arc<str>, namespace_labels: Arc<Labels>) -> PodInfo {
    PodInfo {
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
        finished: pod.phase == Phase::Finished,
        replicas: pod.replicas,
        ports: pod
            .ports
            .iter()
            .map(|port| (port.name.clone(), port.protocol, port.number))
            .collect(),
        class: ClassIdx::MAX,
    }
}
