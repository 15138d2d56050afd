//! Clauses laid over an inventory.

use crate::addresses::{self, Holders, Known};
use crate::classes::Classes;
use crate::compile::index;
use crate::dialect::{Dialect, HostNetwork, Matching};
use crate::programs::Programs;
use moat_ir::{AtomTable, Bound, Direction, Management, PeerSet, PeerSetId, SymPeer, SymbolicIr};
use moat_model::inventory::Inventory;
use moat_sets::{AddrSet, Family, IdSet, Selector};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Binds compiled policies to an inventory.
#[must_use]
pub fn bind(symbolic: Arc<SymbolicIr>, inventory: &Inventory, dialect: Dialect) -> Bound {
    let table = atom_table(&symbolic, inventory);
    let classes = Classes::new(&symbolic, inventory, &table);
    let (peers, table) = Peers::new(&symbolic, inventory, dialect, &classes, table);
    let mut programs = Programs::new(&symbolic, &classes, dialect, peers);
    let bound_classes = programs.classes();
    let mut pod_by_address = BTreeMap::new();
    let mut node_by_address = BTreeMap::new();
    for (idx, pod) in classes.pods.iter().enumerate() {
        for &address in &pod.addresses {
            if pod.host_network {
                // Not every dump holds the Node objects; a hostNetwork pod's address is its node's.
                if let Some(node) = &pod.node {
                    node_by_address.insert(address, node.clone());
                }
            } else if !pod.finished {
                pod_by_address.insert(address, index(idx));
            }
        }
    }
    for node in &inventory.nodes {
        node_by_address.extend(node.addresses.iter().map(|&address| (address, node.name.clone())));
    }
    let (programs, peer_sets) = programs.finish();
    Bound {
        pods: classes.pods,
        classes: bound_classes,
        atoms: table,
        programs,
        peer_sets,
        pod_by_address,
        node_by_address,
        own_node_exempt: true,
        symbolic,
    }
}

/// Cuts the address space at every boundary that a policy or a node draws.
fn atom_table(symbolic: &SymbolicIr, inventory: &Inventory) -> AtomTable {
    let mut table = AtomTable::default();
    for clause in &symbolic.clauses {
        match &clause.peer {
            SymPeer::Block(set) | SymPeer::Networks(set) => addresses::cut(&mut table, set),
            SymPeer::Nodes(selector) => {
                addresses::cut(&mut table, &node_addresses(inventory, selector));
            }
            SymPeer::Domain(domain) => table.domains.push(domain.clone()),
            _ => {}
        }
    }
    table.domains.sort_unstable();
    table.domains.dedup();
    addresses::finish(&mut table);
    table
}

fn node_addresses(inventory: &Inventory, selector: &Selector) -> AddrSet {
    let nodes = inventory.nodes.iter().filter(|node| selector.matches(&node.labels));
    nodes
        .flat_map(|node| &node.addresses)
        .fold(AddrSet::empty(), |sum, &address| sum.union(&AddrSet::host(address)))
}

/// Peer sets, one for each distinct peer that policies name.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) sets: Vec<PeerSet>,
    /// The set of each clause.
    pub(crate) of_clause: Vec<PeerSetId>,
    /// The atoms of each class.
    pub(crate) class_atoms: Vec<[Option<u32>; 2]>,
}

/// The peer set that contains every atom.
pub(crate) const EVERYONE: PeerSetId = 0;

impl Peers {
    fn new(
        symbolic: &SymbolicIr,
        inventory: &Inventory,
        dialect: Dialect,
        classes: &Classes,
        mut table: AtomTable,
    ) -> (Self, AtomTable) {
        let mut class_atoms = Vec::with_capacity(classes.keys.len());
        for (class, key) in classes.keys.iter().enumerate() {
            let mut atoms = [None; 2];
            for ((slot, known), family) in atoms.iter_mut().zip(key.addresses).zip(Family::BOTH) {
                if known != Known::Absent {
                    *slot = Some(table.len());
                    table.pods.push((index(class), family));
                }
            }
            class_atoms.push(atoms);
        }
        let everyone = PeerSet { must: IdSet::range(0, table.len()), may: IdSet::new() };
        let mut peers = Self {
            sets: vec![everyone],
            of_clause: Vec::with_capacity(symbolic.clauses.len()),
            class_atoms,
        };
        let namespaces = classes.namespace_sets(symbolic);
        let candidates =
            Family::BOTH.map(|family| addresses::candidates(&inventory.pod_cidrs, family));
        let anywhere = Family::BOTH.map(AddrSet::family);
        let maker = Maker {
            inventory,
            dialect,
            classes,
            table: &table,
            candidates,
            anywhere,
            atoms: &peers.class_atoms,
            holders: classes.holders(&peers.class_atoms),
        };
        let mut known: FxHashMap<&SymPeer, PeerSetId> = FxHashMap::default();
        for clause in &symbolic.clauses {
            let id = match known.get(&clause.peer) {
                Some(&id) => id,
                None => {
                    let id = match &clause.peer {
                        SymPeer::Everyone => EVERYONE,
                        peer => {
                            peers.sets.push(maker.set(peer, &namespaces));
                            index(peers.sets.len() - 1)
                        }
                    };
                    known.insert(&clause.peer, id);
                    id
                }
            };
            peers.of_clause.push(id);
        }
        (peers, table)
    }
}

struct Maker<'a> {
    inventory: &'a Inventory,
    dialect: Dialect,
    classes: &'a Classes,
    table: &'a AtomTable,
    /// Where pod addresses that are not known may lie, per family.
    candidates: [AddrSet; 2],
    /// Where node addresses that are not known may lie, per family.
    anywhere: [AddrSet; 2],
    atoms: &'a [[Option<u32>; 2]],
    /// Pods by what is known of their addresses: first those with their own, then hostNetwork pods.
    holders: [Holders; 2],
}

impl Maker<'_> {
    fn set(&self, peer: &SymPeer, namespaces: &crate::classes::NamespaceSets) -> PeerSet {
        match peer {
            SymPeer::Everyone | SymPeer::Nobody => PeerSet::default(),
            SymPeer::Pods(term) => {
                let mut set = PeerSet::default();
                for class in self.classes.of_term(term, namespaces).iter() {
                    let key = &self.classes.keys[class as usize];
                    if key.finished {
                        continue;
                    }
                    let atoms = self.atoms[class as usize].into_iter().flatten();
                    match (&key.host, self.dialect.host_network) {
                        (None, _) => set.must.extend(atoms),
                        //# "... it is indistinguishable from node traffic": selectors do not see hostNetwork pods.
                        (Some(_), HostNetwork::NodeAddress) => {}
                        (Some(_), HostNetwork::Undefined) => set.may.extend(atoms),
                    }
                }
                set
            }
            SymPeer::Block(addresses) => self.addresses(
                addresses,
                self.dialect.block_over_pods,
                self.dialect.block_over_nodes,
            ),
            SymPeer::Networks(addresses) => {
                self.addresses(addresses, Matching::ByAddress, Matching::ByAddress)
            }
            SymPeer::Nodes(selector) => {
                let addresses = node_addresses(self.inventory, selector);
                let mut set =
                    PeerSet { must: addresses::atoms(self.table, &addresses), may: IdSet::new() };
                if !addresses.is_empty() {
                    // A domain name may be that of a node.
                    set.may.extend(self.table.n_addresses()..self.table.first_pod());
                }
                for (class, key) in self.classes.keys.iter().enumerate() {
                    let Some(node) = &key.host else { continue };
                    let atoms = self.atoms[class].into_iter().flatten();
                    match node
                        .as_ref()
                        .map(|name| self.inventory.nodes.iter().find(|node| node.name == *name))
                    {
                        Some(Some(node)) if selector.matches(&node.labels) => {
                            set.must.extend(atoms);
                        }
                        Some(Some(_)) => {}
                        // Which node it runs on, or that node's labels, are not known.
                        _ => set.may.extend(atoms),
                    }
                }
                set
            }
            SymPeer::Domain(domain) => {
                let first = self.table.n_addresses();
                let narrower = self
                    .table
                    .domains
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| domain.matches(name.as_str()));
                PeerSet {
                    must: narrower.map(|(at, _)| first + index(at)).collect(),
                    // Any outside address may be one that the name resolves to.
                    may: IdSet::range(0, first),
                }
            }
        }
    }

    fn addresses(&self, addresses: &AddrSet, over_pods: Matching, over_nodes: Matching) -> PeerSet {
        let atoms = addresses::atoms(self.table, addresses);
        let mut set = PeerSet { must: atoms.clone(), may: IdSet::new() };
        if over_nodes != Matching::ByAddress {
            // A node's own address is no ordinary outside address in this dialect; its atom is shared with its neighbours only
            // where no policy tells them apart, so the atom as a whole is at most in doubt.
            for address in self.inventory.nodes.iter().flat_map(|node| &node.addresses) {
                let atom = self.table.of_address(*address);
                if set.must.remove(atom) {
                    set.may.insert(atom);
                }
            }
        }
        if !addresses.is_empty() {
            let first = self.table.n_addresses();
            set.may.extend(first..self.table.first_pod());
        }
        let [own, host] = &self.holders;
        own.add(&mut set, addresses, &atoms, &self.candidates, over_pods);
        host.add(&mut set, addresses, &atoms, &self.anywhere, over_nodes);
        set
    }
}

/// Whether policies apply to a class, in a dialect.
pub(crate) fn management(key: &crate::classes::Key, dialect: Dialect) -> Management {
    match (key.finished, &key.host, dialect.host_network) {
        (true, ..) | (_, Some(_), HostNetwork::NodeAddress) => Management::Unmanaged,
        (_, Some(_), HostNetwork::Undefined) => Management::Undefined,
        (_, None, _) => Management::Managed,
    }
}

/// Both directions, by their place in a pair.
pub(crate) const SIDES: [Direction; 2] = [Direction::Ingress, Direction::Egress];
