//! A bound form that is kept up to date: one pod that changes does not cost what all pods cost.
//!
//! After any changes the form means what [`crate::bind()`] of the same policies and inventory means. It may only look different: pods
//! keep their places, and classes and programs that nothing uses any more stay until everything is bound anew.

use crate::addresses::families;
use crate::bind::{Workings, info, node_claims};
use crate::compile::{compile, index, position};
use crate::dialect::Dialect;
use moat_ir::{Bound, PodIdx, PodInfo, PolicyInfo, ProgramId, Splice, SymbolicIr};
use moat_model::inventory::{Inventory, Pod, PodKind};
use moat_model::policy::{Policy, PolicyId};
use moat_sets::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What is left unused is thrown away when it is more than what is used and this many: a small cluster need not be tidy.
const SLACK: usize = 64;

/// Policies over an inventory, kept up to date as pods and policies change.
///
/// Changes are made in place. Who still holds an [`Arc`] of an earlier state pays for a copy of it at the next change, which is
/// dearer than the change itself.
#[derive(Debug)]
pub struct Binding {
    inventory: Inventory,
    bound: Arc<Bound>,
    workings: Workings,
    /// Places of pods that went.
    free: Vec<PodIdx>,
    /// How many addresses of pods of their own are of each family, as far as this tells what unknown addresses may be.
    n_known: [usize; 2],
    /// How many policies were changed one by one: each may have left peer sets and selectors that nothing names any more.
    n_spliced: usize,
}

/// What becomes of one pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PodChange {
    /// It came, or is different.
    Set(Pod),
    /// It went.
    Remove(PodName),
}

/// What becomes of one policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicyChange {
    /// It came, or is different.
    Set(Policy),
    /// It went.
    Remove(PolicyId),
}

/// What a pod is found by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// What it was read from.
    pub kind: PodKind,
    /// Its name, or its workload's.
    pub name: Arc<str>,
}

/// How far a change goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// Nothing that decides is different.
    Nothing,
    /// Only what is about these pods differs, in rising order of their places. Every other pod has its place, its class and its
    /// addresses; programs, address atoms and what peer sets say of atoms that were there are the same.
    Pods(Vec<PodChanged>),
    /// Only one policy differs: what that did to numbers, and the programs that mean something else, or came. All other programs, peer
    /// sets, pods, the pods of classes, and atoms are the same, but for the numbers of policies and clauses.
    Policy(Splice, Vec<ProgramId>),
    /// Policies, peer sets and programs differ from those before. Pods, the pods of classes, and atoms are the same.
    Policies(Arc<SymbolicIr>),
    /// Everything may differ, places of pods included.
    Whole,
}

impl Changed {
    /// The addresses that changed pods had, and those that they have, in rising order; none unless pods alone changed.
    #[must_use]
    pub fn addresses(&self, bound: &Bound) -> Vec<IpAddr> {
        let Self::Pods(pods) = self else { return Vec::new() };
        let now = |idx: PodIdx| &bound.pod(idx).addresses;
        let all = pods.iter().flat_map(|own| own.before.iter().chain(now(own.pod)));
        let all: BTreeSet<IpAddr> = all.copied().collect();
        all.into_iter().collect()
    }
}

/// A place at which a pod came, went, is different, or got or lost an address that another pod claims too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodChanged {
    /// The place. A pod of another name may have been there before.
    pub pod: PodIdx,
    /// The addresses of the pod that was there before; of one that is gone now, who has them is in [`Bound::pod_by_address`].
    pub before: Vec<IpAddr>,
}

/// The addresses that changed places had before.
type Before = BTreeMap<PodIdx, Vec<IpAddr>>;

impl Binding {
    /// Binds policies to an inventory. Of several pods of one name the last counts.
    #[must_use]
    pub fn new(symbolic: Arc<SymbolicIr>, mut inventory: Inventory, dialect: Dialect) -> Self {
        order(&mut inventory);
        let (workings, bound) = Workings::new(symbolic, &inventory, dialect);
        let n_known = n_known(&inventory);
        let bound = Arc::new(bound);
        Self { inventory, bound, workings, free: Vec::new(), n_known, n_spliced: 0 }
    }

    /// The bound form as it is now.
    #[must_use]
    pub fn bound(&self) -> &Arc<Bound> {
        &self.bound
    }

    /// The inventory as it is now.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Pods came, went or are different, in this order.
    pub fn pods(&mut self, changes: Vec<PodChange>) -> Changed {
        let mut before = Before::new();
        let families = self.families();
        let mut whole = false;
        for change in changes {
            let Some(noted) = self.note(change) else { continue };
            // Once everything must be bound anew, only the inventory is kept.
            whole = whole || noted.moves_node || !self.place(noted, &mut before);
        }
        whole = whole || self.families() != families || self.is_untidy();
        if whole {
            return self.anew();
        }
        if before.is_empty() {
            return Changed::Nothing;
        }
        let pods = before.into_iter().map(|(pod, before)| PodChanged { pod, before });
        Changed::Pods(pods.collect())
    }

    /// Other policies over the same inventory.
    pub fn policies(&mut self, symbolic: Arc<SymbolicIr>) -> Changed {
        if symbolic == self.bound.symbolic {
            return Changed::Nothing;
        }
        let bound = Arc::make_mut(&mut self.bound);
        let before = core::mem::replace(&mut bound.symbolic, symbolic);
        self.n_spliced = 0;
        if self.workings.other_policies(bound, &self.inventory) {
            Changed::Policies(before)
        } else {
            Changed::Whole
        }
    }

    /// One policy came, went, or is different; for as much work as it says and as there are pods that it is about.
    pub fn policy(&mut self, change: PolicyChange) -> Changed {
        let bound = Arc::make_mut(&mut self.bound);
        let (id, new) = match change {
            PolicyChange::Set(policy) => {
                let sources = &bound.symbolic.sources;
                let new = compile(core::slice::from_ref(&policy), sources);
                (policy.id, new)
            }
            PolicyChange::Remove(id) => (id, SymbolicIr::default()),
        };
        let is = |own: &PolicyInfo| {
            own.short == id.kind.short() && own.namespace == id.namespace && own.name == id.name
        };
        let old = (0..).zip(&bound.symbolic.policies).find(|(_, own)| is(own)).map(|(at, _)| at);
        let wanted = new.policies.first().map(|info| position(&bound.symbolic, info));
        let (at, is_there) = match (old, wanted) {
            (None, None) => return Changed::Nothing,
            (Some(old), Some(wanted)) if old == wanted => (old, true),
            (Some(old), None) => (old, true),
            (None, Some(wanted)) => (wanted, false),
            // It stands elsewhere in the order now.
            (Some(old), Some(_)) => {
                let symbolic = Arc::make_mut(&mut bound.symbolic);
                let before = symbolic.clone();
                symbolic.splice(old, true, SymbolicIr::default());
                let info = new.policies.first();
                let at = info.map(|info| position(symbolic, info)).unwrap_or_default();
                symbolic.splice(at, false, new);
                let whole = core::mem::replace(&mut bound.symbolic, Arc::new(before));
                return self.policies(whole);
            }
        };
        let (workings, inventory) = (&mut self.workings, &self.inventory);
        let (splice, programs) = workings.other_policy(bound, inventory, at, is_there, new);
        self.n_spliced += 1;
        match programs {
            // What was left behind is thrown away now and then.
            Some(programs) if self.n_spliced <= bound.symbolic.policies.len() + SLACK => {
                Changed::Policy(splice, programs)
            }
            _ => self.anew(),
        }
    }

    /// Another inventory: whatever is not a pod may be different too.
    pub fn replace(&mut self, mut inventory: Inventory) -> Changed {
        order(&mut inventory);
        self.n_known = n_known(&inventory);
        self.inventory = inventory;
        self.anew()
    }

    fn anew(&mut self) -> Changed {
        self.n_spliced = 0;
        let symbolic = self.bound.symbolic.clone();
        let (workings, bound) = Workings::new(symbolic, &self.inventory, self.workings.dialect);
        (self.workings, self.bound) = (workings, Arc::new(bound));
        self.free.clear();
        Changed::Whole
    }

    /// Brings the inventory up to date; `None` when it is so already.
    fn note(&mut self, change: PodChange) -> Option<Noted> {
        let pods = &mut self.inventory.pods;
        let places = &mut self.workings.places;
        let found = match &change {
            PodChange::Set(pod) => pods.binary_search_by(|have| name(have).cmp(&name(pod))),
            PodChange::Remove(PodName { namespace, kind, name: own }) => {
                pods.binary_search_by(|have| name(have).cmp(&(namespace, kind, own)))
            }
        };
        let (at, old, place) = match (found, change) {
            (Ok(at), PodChange::Set(pod)) if pods[at] == pod => return None,
            (Ok(at), PodChange::Set(pod)) => {
                (Some(at), Some(std::mem::replace(&mut pods[at], pod)), places[at])
            }
            (Err(at), PodChange::Set(pod)) => {
                pods.insert(at, pod);
                places.insert(at, None);
                (Some(at), None, None)
            }
            (Ok(at), PodChange::Remove(_)) => (None, Some(pods.remove(at)), places.remove(at)),
            (Err(_), PodChange::Remove(_)) => return None,
        };
        let new = at.and_then(|at| self.inventory.pods.get(at));
        for family in old.iter().flat_map(known_families) {
            self.n_known[family] -= 1;
        }
        for family in new.into_iter().flat_map(known_families) {
            self.n_known[family] += 1;
        }
        let moves_node = self.tells(old.as_ref()) != self.tells(new);
        Some(Noted { at, place, moves_node })
    }

    /// What a pod tells about the addresses of its node that no Node object says.
    fn tells<'p>(&self, pod: Option<&'p Pod>) -> Vec<(IpAddr, &'p Arc<str>)> {
        let said = |address: &IpAddr| {
            self.inventory.nodes.iter().any(|node| node.addresses.contains(address))
        };
        pod.into_iter().flat_map(node_claims).filter(|(address, _)| !said(address)).collect()
    }

    /// Brings the bound form up to date with one pod. False when that cannot be done for it alone.
    fn place(&mut self, noted: Noted, before: &mut Before) -> bool {
        let bound = Arc::make_mut(&mut self.bound);
        let workings = &mut self.workings;
        let mut others = Vec::new();
        if let Some(place) = noted.place {
            workings.claims.release(bound, place, &mut others);
            let old = bound.pod(place);
            before.entry(place).or_insert_with(|| old.addresses.clone());
            let class = old.class as usize;
            if let Ok(at) = bound.classes[class].pods.binary_search(&place) {
                bound.classes[class].pods.remove(at);
            }
        }
        let pod = noted.at.and_then(|at| {
            let pod = self.inventory.pods.get(at)?;
            Some((at, pod, workings.classes.namespace(&pod.namespace)?.clone()))
        });
        if let Some((at, pod, namespace_labels)) = pod {
            let mut info = info(pod, pod.to_string().into(), namespace_labels);
            let Some(class) = workings.class_of(bound, &self.inventory, &info) else {
                return false;
            };
            info.class = class;
            let free = noted.place.or_else(|| self.free.pop());
            let place = free.unwrap_or_else(|| index(bound.pods.len()));
            match bound.pods.get_mut(place as usize) {
                Some(slot) => *slot = info,
                None => bound.pods.push(info),
            }
            before.entry(place).or_default();
            workings.places[at] = Some(place);
            let members = &mut bound.classes[class as usize].pods;
            members.insert(members.partition_point(|&other| other < place), place);
            workings.claims.claim(bound, place, &mut others);
        } else if let Some(place) = noted.place {
            let class = workings.gone(bound, &self.inventory);
            bound.pods[place as usize] = PodInfo::gone(class);
            self.free.push(place);
        }
        for other in others {
            before.entry(other).or_insert_with(|| bound.pod(other).addresses.clone());
        }
        true
    }

    /// The families that addresses not known may be of.
    fn families(&self) -> Vec<Family> {
        let any = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
        let known = any.into_iter().zip(self.n_known).filter(|(_, n)| *n > 0);
        families(&self.inventory.pod_cidrs, known.map(|(address, _)| address))
    }

    /// Whether more is kept for nothing than for use.
    fn is_untidy(&self) -> bool {
        let n_empty = self.bound.classes.iter().filter(|class| class.pods.is_empty()).count();
        2 * n_empty > self.bound.classes.len() + SLACK
            || 2 * self.free.len() > self.bound.pods.len() + SLACK
    }
}

/// A change that the inventory has.
struct Noted {
    /// Where in the inventory the pod is, unless it went.
    at: Option<usize>,
    /// Where in the bound form it was.
    place: Option<PodIdx>,
    /// Whether addresses of nodes are known by this pod alone, or no longer are.
    moves_node: bool,
}

/// What pods are found and sorted by.
fn name(pod: &Pod) -> (&Arc<str>, &PodKind, &Arc<str>) {
    (&pod.namespace, &pod.kind, &pod.name)
}

/// Sorts pods by name, and keeps the last of each name.
fn order(inventory: &mut Inventory) {
    inventory.pods.sort_by(|a, b| name(a).cmp(&name(b)));
    inventory.pods.dedup_by(|later, kept| {
        let again = name(later) == name(kept);
        if again {
            std::mem::swap(later, kept);
        }
        again
    });
}

/// How many addresses of pods of their own are of each family.
fn n_known(inventory: &Inventory) -> [usize; 2] {
    let mut sum = [0; 2];
    for family in inventory.pods.iter().flat_map(known_families) {
        sum[family] += 1;
    }
    sum
}

/// The families, by their place in [`Family::BOTH`], of a pod's own addresses.
fn known_families(pod: &Pod) -> impl Iterator<Item = usize> {
    let own = pod.addresses.iter().filter(|_| !pod.host_network);
    own.map(|address| usize::from(Family::of(*address) == Family::V6))
}
