//! Peers as sets of atoms, one set for each distinct peer that policies name.

use crate::addresses::{self, Holders};
use crate::classes::Classes;
use crate::compile::index;
use crate::dialect::{Dialect, HostNetwork, Matching};
use moat_ir::{
    AtomTable, Bound, Class, ClassIdx, ClauseIdx, Cut, PeerSet, PeerSetId, SymClause, SymPeer,
};
use moat_model::inventory::Inventory;
use moat_sets::{AddrSet, Family, IdSet, Selector};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// The peer set that contains every atom.
pub(crate) const EVERYONE: PeerSetId = 0;

/// Peer sets that need not be made again.
pub(crate) type Kept = FxHashMap<SymPeer, PeerSet>;

/// Which peer set belongs to which clause.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The set of each clause.
    pub(crate) of_clause: Vec<PeerSetId>,
    /// Each set but that of everyone, by the peer that it was made for. Some peer may be named by no clause any more.
    named: FxHashMap<SymPeer, PeerSetId>,
}

impl Peers {
    /// Makes the peer sets of a bound form whose policies, classes and atoms are settled. Those that are `kept` were made for the same
    /// classes and atoms.
    pub(crate) fn new(
        bound: &mut Bound,
        inventory: &Inventory,
        dialect: Dialect,
        classes: &Classes,
        kept: Kept,
    ) -> Self {
        let everyone = PeerSet { must: IdSet::range(0, bound.atoms.len()), may: IdSet::new() };
        bound.peer_sets = vec![everyone];
        let mut peers = Self::default();
        peers.of_clause = peers.of(bound, inventory, dialect, classes, kept, 0..len(bound));
        peers
    }

    /// Follows policies in the place of others.
    pub(crate) fn splice(
        &mut self,
        bound: &mut Bound,
        inventory: &Inventory,
        dialect: Dialect,
        classes: &Classes,
        cut: Cut,
    ) {
        let new = self.of(bound, inventory, dialect, classes, Kept::default(), cut.came());
        let old = cut.went();
        self.of_clause.splice(old.start as usize..old.end as usize, new);
    }

    /// The sets of some clauses, made unless they are there.
    fn of(
        &mut self,
        bound: &mut Bound,
        inventory: &Inventory,
        dialect: Dialect,
        classes: &Classes,
        mut kept: Kept,
        clauses: Range<ClauseIdx>,
    ) -> Vec<PeerSetId> {
        let Bound { symbolic, atoms, classes: all, peer_sets, .. } = bound;
        // Making one costs a look at all classes.
        let mut maker = None;
        let mut ids = Vec::with_capacity(clauses.len());
        for idx in clauses {
            let peer = &symbolic.clause(idx).peer;
            let known = match peer {
                SymPeer::Everyone => Some(&EVERYONE),
                peer => self.named.get(peer),
            };
            if let Some(&id) = known {
                ids.push(id);
                continue;
            }
            let set = kept.remove(peer).unwrap_or_else(|| {
                let maker = maker
                    .get_or_insert_with(|| Maker::new(atoms, all, inventory, dialect, classes, 0));
                let mut set = maker.outside(peer);
                maker.add_pods(&mut set, peer);
                set
            });
            peer_sets.push(set);
            let id = index(peer_sets.len() - 1);
            self.named.insert(peer.clone(), id);
            ids.push(id);
        }
        ids
    }

    /// The sets by what they were made for. Takes them away from the bound form.
    pub(crate) fn keep(&mut self, sets: &mut [PeerSet]) -> Kept {
        let named = core::mem::take(&mut self.named).into_iter();
        let taken = named
            .filter_map(|(peer, id)| Some((peer, core::mem::take(sets.get_mut(id as usize)?))));
        taken.collect()
    }

    /// Asks every peer set whether the classes from `first` on belong to it.
    pub(crate) fn add_classes(
        &self,
        bound: &mut Bound,
        inventory: &Inventory,
        dialect: Dialect,
        classes: &Classes,
        first: ClassIdx,
    ) {
        let maker = Maker::new(&bound.atoms, &bound.classes, inventory, dialect, classes, first);
        let sets = &mut bound.peer_sets;
        if let Some(everyone) = sets.get_mut(EVERYONE as usize) {
            let own = maker.bound.iter().skip(first as usize);
            everyone.must.extend(own.flat_map(|class| class.atoms.into_iter().flatten()));
        }
        // In whatever order: each has a set of its own.
        let named = self.named.iter();
        named.for_each(|(peer, &id)| maker.add_pods(&mut sets[id as usize], peer));
    }
}

fn len(bound: &Bound) -> ClauseIdx {
    index(bound.symbolic.clauses.len())
}

/// Whether a table draws every boundary that another draws.
pub(crate) fn draws(table: &AtomTable, other: &AtomTable) -> bool {
    other.v4.iter().all(|low| table.v4.binary_search(low).is_ok())
        && other.v6.iter().all(|low| table.v6.binary_search(low).is_ok())
        && other.domains.iter().all(|domain| table.domains.contains(domain))
}

/// Cuts the address space at every boundary that a policy or a node draws.
pub(crate) fn atom_table(clauses: &[SymClause], inventory: &Inventory) -> AtomTable {
    let mut table = AtomTable::default();
    for clause in clauses {
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

struct Maker<'a> {
    inventory: &'a Inventory,
    dialect: Dialect,
    classes: &'a Classes,
    bound: &'a [Class],
    table: &'a AtomTable,
    /// The first of the classes that are put into sets.
    first: ClassIdx,
    /// Where pod addresses that are not known may lie, per family.
    candidates: [AddrSet; 2],
    /// Where node addresses that are not known may lie, per family.
    anywhere: [AddrSet; 2],
    /// Pods by what is known of their addresses: first those with their own, then hostNetwork pods.
    holders: [Holders; 2],
}

impl<'a> Maker<'a> {
    fn new(
        table: &'a AtomTable,
        bound: &'a [Class],
        inventory: &'a Inventory,
        dialect: Dialect,
        classes: &'a Classes,
        first: ClassIdx,
    ) -> Self {
        Self {
            inventory,
            dialect,
            classes,
            bound,
            table,
            first,
            candidates: Family::BOTH
                .map(|family| addresses::candidates(&inventory.pod_cidrs, family)),
            anywhere: Family::BOTH.map(AddrSet::family),
            holders: classes.holders(bound, first),
        }
    }

    /// The addresses and domains of a peer.
    fn outside(&self, peer: &SymPeer) -> PeerSet {
        match peer {
            SymPeer::Everyone | SymPeer::Nobody | SymPeer::Pods(_) => PeerSet::default(),
            SymPeer::Block(addresses) => self.block(addresses, self.dialect.block_over_nodes),
            SymPeer::Networks(addresses) => self.block(addresses, Matching::ByAddress),
            SymPeer::Nodes(selector) => {
                // Its nodes' addresses are its own, whatever a dialect says of blocks over nodes.
                self.block(&node_addresses(self.inventory, selector), Matching::ByAddress)
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

    fn block(&self, addresses: &AddrSet, over_nodes: Matching) -> PeerSet {
        let atoms = addresses::atoms(self.table, addresses);
        let mut set = PeerSet { must: atoms, may: IdSet::new() };
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
            // A domain name may be that of one of the addresses.
            set.may.extend(self.table.n_addresses()..self.table.first_pod());
        }
        set
    }

    /// Adds the pods that a peer means, of the classes from the first one on.
    fn add_pods(&self, set: &mut PeerSet, peer: &SymPeer) {
        match peer {
            // The set of everyone is full by itself.
            SymPeer::Everyone | SymPeer::Nobody | SymPeer::Domain(_) => {}
            SymPeer::Pods(term) if self.first == 0 => {
                self.classes.of_term(term).iter().for_each(|class| self.add_class(set, class));
            }
            SymPeer::Pods(term) => (self.first..index(self.bound.len()))
                .filter(|&class| self.classes.means(term, class))
                .for_each(|class| self.add_class(set, class)),
            SymPeer::Block(addresses) => {
                let Dialect { block_over_pods, block_over_nodes, .. } = self.dialect;
                self.add_holders(set, addresses, block_over_pods, block_over_nodes);
            }
            SymPeer::Networks(addresses) => {
                self.add_holders(set, addresses, Matching::ByAddress, Matching::ByAddress);
            }
            SymPeer::Nodes(selector) => self.add_hosts(set, selector),
        }
    }

    /// Adds a class that a pod term means.
    fn add_class(&self, set: &mut PeerSet, class: ClassIdx) {
        let key = &self.classes.keys[class as usize];
        if key.finished {
            return;
        }
        let atoms = self.bound[class as usize].atoms.into_iter().flatten();
        match (&key.host, self.dialect.host_network) {
            (None, _) => set.must.extend(atoms),
            //# "... it is indistinguishable from node traffic": selectors do not see hostNetwork pods.
            (Some(_), HostNetwork::NodeAddress) => {}
            (Some(_), HostNetwork::Undefined) => set.may.extend(atoms),
        }
    }

    /// Adds the pods whose addresses are among these.
    fn add_holders(
        &self,
        set: &mut PeerSet,
        addresses: &AddrSet,
        over_pods: Matching,
        over_nodes: Matching,
    ) {
        let [own, host] = &self.holders;
        if own.is_empty() && host.is_empty() {
            return;
        }
        let atoms = addresses::atoms(self.table, addresses);
        own.add(set, addresses, &atoms, &self.candidates, over_pods);
        host.add(set, addresses, &atoms, &self.anywhere, over_nodes);
    }

    /// Adds the hostNetwork pods of nodes.
    fn add_hosts(&self, set: &mut PeerSet, selector: &Selector) {
        let classes = self.classes.keys.iter().zip(self.bound).skip(self.first as usize);
        for (key, class) in classes {
            let Some(node) = &key.host else { continue };
            let atoms = class.atoms.into_iter().flatten();
            match node
                .as_ref()
                .map(|name| self.inventory.nodes.iter().find(|node| node.name == *name))
            {
                Some(Some(node)) if selector.matches(&node.labels) => set.must.extend(atoms),
                Some(Some(_)) => {}
                // Which node it runs on, or that node's labels, are not known.
                _ => set.may.extend(atoms),
            }
        }
    }
}
