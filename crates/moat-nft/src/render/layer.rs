//! Programs as groups, dispatched to by local address: once for what is in force, and once for what is staged.

use super::draft::Draft;
use super::ends::{By, End, Said};
use super::group::{Group, Wanted, key};
use super::peers::PodTable;
use super::row::{self, RowParts};
use super::shifts::Shifts;
use super::sum::Sum;
use super::{DIRECTIONS, Settings, dispatch_name, host};
use crate::model::{Name, Set, SetShape, Verdict};
use crate::reason::Reasons;
use core::hash::{Hash, Hasher};
use moat_ir::{
    Bound, Clause, Decision, Direction, OutcomeCell, PeerSetId, PodIdx, PolicyIdx, Program,
    ProgramId, Why,
};
use moat_sets::{Cidr, Family};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What was made of one bound form.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// Whether verdicts are only logged.
    pub(super) staged: bool,
    /// The pods by where peer sets have them.
    pub(super) pods: PodTable,
    pub(super) groups: BTreeMap<Name, Group>,
    pub(super) rows: BTreeMap<Name, RowParts>,
    /// The decisions that something leads to.
    pub(super) ends: BTreeMap<Name, End>,
    /// Their reasons.
    pub(super) reasons: Reasons,
    /// The dispatch maps of each direction and family by the prefixes that they are asked for, and what is in them.
    pub(super) maps: BTreeMap<(Direction, Family), Vec<(Cidr, Name)>>,
    pub(super) led: BTreeMap<(Direction, Family), BTreeMap<IpAddr, Name>>,
    /// The groups by what they are told apart by.
    pub(super) by_told: BTreeMap<Told, Name>,
    /// What programs mean; as long as policies are the same, so is this.
    pub(super) meanings: FxHashMap<ProgramId, Meaning>,
}

/// What a program means.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    /// A number that follows from all that its rules say.
    sum: u64,
    /// The peer sets that it asks.
    pub(super) asks: Vec<PeerSetId>,
}

impl Meaning {
    fn of(bound: &Bound, program: &Program) -> Self {
        let clauses = program.stages.iter().flat_map(|stage| &stage.clauses);
        let mut asks: Vec<PeerSetId> = clauses.map(|clause| clause.peers).collect();
        asks.sort_unstable();
        asks.dedup();
        Self { sum: meaning_of(bound, program), asks }
    }
}

impl Layer {
    pub(super) fn new(bound: &Bound) -> Self {
        Self { pods: PodTable::new(bound), ..Self::default() }
    }
}

/// What groups are told apart by: no two of a layer are of the same.
pub(super) type Told = (Direction, Family, u64);

/// Where packets from or to an address are led.
#[derive(Clone, Copy)]
pub(super) struct Lead {
    pub(super) direction: Direction,
    pub(super) address: IpAddr,
    /// To the program of its pod, unless it is none of this node's any more, or has none.
    pub(super) to: Option<(PodIdx, ProgramId)>,
}

/// A layer while it is made from a bound form.
pub(super) struct Work<'a> {
    pub(super) bound: &'a Bound,
    pub(super) settings: &'a Settings,
    pub(super) draft: &'a mut Draft,
    pub(super) layer: &'a mut Layer,
    /// Decisions in words, each once.
    pub(super) said: FxHashMap<(Direction, Decision), Said>,
    /// What programs come to, each once for both families.
    pub(super) outcomes: FxHashMap<ProgramId, Option<Arc<Outcomes>>>,
    pub(super) shifts: Shifts,
    /// Groups whose rules are to be written.
    pub(super) unwritten: BTreeSet<Name>,
}

/// What a program comes to.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// Cells of peers, no two of which lead to the same row.
    pub(super) cells: Vec<OutcomeCell>,
    /// These rows.
    pub(super) rows: Vec<Name>,
}

impl Outcomes {
    /// How many elements the ports of some rows need.
    pub(super) fn n_of_ports(&self, led: &[(usize, By)]) -> usize {
        let rows: BTreeSet<usize> = led.iter().map(|(at, _)| *at).collect();
        rows.iter().filter_map(|&at| Some(row::n_elements(&self.cells.get(at)?.ports))).sum()
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        bound: &'a Bound,
        settings: &'a Settings,
        draft: &'a mut Draft,
        layer: &'a mut Layer,
    ) -> Self {
        let (said, outcomes, shifts, unwritten) = Default::default();
        Self { bound, settings, draft, layer, said, outcomes, shifts, unwritten }
    }
}

impl Work<'_> {
    /// What names of chains and sets begin with.
    pub(super) fn prefix(&self) -> &'static str {
        if self.layer.staged { "staged_" } else { "" }
    }

    /// Leads addresses of local pods to the chains of their programs; of staged programs, only those that are not `enforced` already.
    /// Groups come and go as they are needed. `pods` are all that are local, of which those are led as before that no change names. Says
    /// whether a map is another.
    pub(super) fn dispatch(
        &mut self,
        changes: &[Lead],
        pods: &[(PodIdx, IpAddr)],
        is_same_place: bool,
        enforced: Option<&Bound>,
    ) -> bool {
        let mut needed: BTreeMap<Told, (ProgramId, Vec<IpAddr>)> = BTreeMap::new();
        let mut before: BTreeMap<(Direction, IpAddr), Name> = BTreeMap::new();
        for &Lead { direction, address, to } in changes {
            let family = Family::of(address);
            let led = self.layer.led.entry((direction, family)).or_default();
            if let Some(name) = led.remove(&address) {
                if let Some(group) = self.layer.groups.get_mut(&name) {
                    group.n_pods = group.n_pods.saturating_sub(1);
                }
                before.insert((direction, address), name);
            }
            let Some((idx, program)) = to else { continue };
            let own = || Meaning::of(self.bound, self.bound.program(program));
            let meaning = self.layer.meanings.entry(program).or_insert_with(own).sum;
            if !enforced.is_some_and(|other| same(other, idx, direction, meaning)) {
                let told = (direction, family, meaning);
                needed.entry(told).or_insert_with(|| (program, Vec::new())).1.push(address);
            }
        }
        // Groups that stay come first: what has no pods then is free.
        let mut missing = Vec::new();
        for (told, (program, pods)) in needed {
            match self.layer.by_told.get(&told).cloned() {
                Some(name) => self.lead(&name, told, program, &pods),
                None => missing.push((told, program, pods)),
            }
        }
        for (told, program, pods) in missing {
            // What its pods were led to, if nobody else needs that: then they need not be led elsewhere, and the sets of peers that stay
            // the same are there.
            let (direction, family, meaning) = told;
            let groups = &self.layer.groups;
            let is_free = |name: &&Name| groups.get(*name).is_some_and(|group| group.n_pods == 0);
            let old = pods.iter().filter_map(|pod| before.get(&(direction, *pod))).find(is_free);
            let name = old.cloned().unwrap_or_else(|| self.group_name(told));
            let old = self.layer.groups.remove(&name);
            if let Some(old) = &old {
                self.layer.by_told.remove(&old.told());
            }
            self.group(Wanted { program, family, meaning }, &name, old);
            self.layer.by_told.insert(told, name.clone());
            self.lead(&name, told, program, &pods);
        }
        let is_led_as_before = changes.iter().all(|&Lead { direction, address, .. }| {
            let led = self.layer.led.get(&(direction, Family::of(address)));
            led.and_then(|led| led.get(&address)) == before.get(&(direction, address))
        });
        let left: BTreeSet<Name> = before.into_values().collect();
        for name in left {
            self.settle(&name, pods);
        }
        self.finish();
        if is_same_place && is_led_as_before && !self.layer.maps.is_empty() {
            return false;
        }
        let mut is_other = false;
        for family in Family::BOTH {
            let mut own: Vec<IpAddr> = pods.iter().map(|(_, address)| *address).collect();
            own.retain(|address| Family::of(*address) == family);
            let prefixes = prefixes(own, self.settings.dispatch_room);
            for direction in DIRECTIONS {
                is_other |= self.map(direction, family, &prefixes);
            }
        }
        is_other
    }

    /// Writes what has to be written once it is known which rows there are.
    pub(super) fn finish(&mut self) {
        self.finish_shifts();
        for name in core::mem::take(&mut self.unwritten) {
            self.write(&name);
        }
    }

    fn lead(
        &mut self,
        name: &Name,
        (direction, family, _): Told,
        program: ProgramId,
        pods: &[IpAddr],
    ) {
        if let Some(group) = self.layer.groups.get_mut(name) {
            // Its number is another after a change of policies.
            group.program = program;
            group.n_pods += pods.len();
        }
        let led = self.layer.led.entry((direction, family)).or_default();
        led.extend(pods.iter().map(|pod| (*pod, name.clone())));
    }

    /// Takes a group away that pods left, if they were all; else its program is one of those that stay.
    fn settle(&mut self, name: &Name, pods: &[(PodIdx, IpAddr)]) {
        let Some(group) = self.layer.groups.get(name) else { return };
        let (direction, family, _) = group.told();
        if group.n_pods > 0 {
            let led = self.layer.led.get(&(direction, family));
            let is_of = |address| led.and_then(|led| led.get(address)) == Some(name);
            let own = pods.iter().find(|(_, address)| is_of(address));
            let program = own.and_then(|(idx, _)| self.bound.class_of(*idx).program(direction));
            if let (Some(group), Some(program)) = (self.layer.groups.get_mut(name), program) {
                group.program = program;
            }
        } else if let Some(group) = self.layer.groups.remove(name) {
            self.layer.by_told.remove(&group.told());
            self.drop_group(name, group);
        }
    }

    /// A name for the chain of a new group.
    fn group_name(&self, (direction, family, meaning): Told) -> Name {
        let version = if family == Family::V4 { 4 } else { 6 };
        let name = format!("{}{direction}{version}_{meaning:016x}", self.prefix());
        self.draft.free_chain(name.into())
    }

    /// Makes the maps that lead addresses to groups; whether they are others than before.
    fn map(&mut self, direction: Direction, family: Family, prefixes: &[Cidr]) -> bool {
        let at = (direction, family);
        let (map, _) = dispatch_name(direction, family);
        let stem = format!("{}{map}", self.prefix());
        let key = key(family);
        // What is staged comes back to here, so that what is in force is asked next.
        let lead = if self.layer.staged { Verdict::Jump } else { Verdict::Goto };
        let mut led = self.layer.led.get(&at).into_iter().flatten().peekable();
        let mut maps = Vec::with_capacity(prefixes.len());
        for &prefix in prefixes {
            let mut set = Set::new(SetShape { key, interval: false, map: true, size: None });
            while let Some((address, chain)) = led.next_if(|(own, _)| prefix.contains(**own)) {
                set.elements.insert(host(*address), Some(lead(chain.clone())));
            }
            maps.push((prefix, self.draft.put_fixed(&stem, set)));
        }
        if self.layer.maps.get(&at) == Some(&maps) {
            return false;
        }
        let old = self.layer.maps.insert(at, maps.clone()).unwrap_or_default();
        for (_, name) in old {
            if !maps.iter().any(|(_, own)| *own == name) {
                self.draft.drop_set(&name);
            }
        }
        true
    }
}

/// A dispatch map has room for so great a part of all addresses.
const SHARE: usize = 8;

/// Prefixes for dispatch maps, in rising order: all that can be if these are few, else some that hold all addresses and few of them each.
///
/// A pod that comes or goes makes the map of its prefix anew and no other. So many prefixes are compared in no time.
fn prefixes(mut addresses: Vec<IpAddr>, room: usize) -> Vec<Cidr> {
    addresses.sort_unstable();
    addresses.dedup();
    let room = (addresses.len() / SHARE).next_power_of_two().max(room);
    let mut found = Vec::new();
    // Those that are still to be looked at, the first last.
    let any = IpAddr::from([0; 4]);
    let mut open = vec![(Cidr::new(addresses.first().copied().unwrap_or(any), 0), &addresses[..])];
    while let Some((prefix, inside)) = open.pop() {
        if inside.len() <= room {
            found.push(prefix);
            continue;
        }
        let length = prefix.length() + 1;
        let [first, last] = [inside.first(), inside.last()]
            .map(|address| address.map(|address| Cidr::new(*address, length)));
        let (Some(first), Some(last)) = (first, last) else { continue };
        let n_first = inside.partition_point(|address| first.contains(*address));
        let (lower, upper) = inside.split_at(n_first);
        if !upper.is_empty() {
            open.push((last, upper));
        }
        open.push((first, lower));
    }
    found
}

/// Whether a pod's program means the same in another bound form.
fn same(other: &Bound, idx: PodIdx, direction: Direction, meaning: u64) -> bool {
    let own = other.class_of(idx).program(direction);
    own.is_some_and(|own| meaning_of(other, other.program(own)) == meaning)
}

/// A number that follows from all that the rules of a program say, and not from who their peers are at the moment. Whatever changes in a
/// policy gives its programs other numbers, so that their chains come beside the old ones.
fn meaning_of(bound: &Bound, program: &Program) -> u64 {
    let mut sum = Sum::new();
    for stage in &program.stages {
        stage.kind.hash(&mut sum);
        let mut last = None;
        for clause in &stage.clauses {
            let rule = if let Why::Rule(idx) = clause.why { Some(idx) } else { None };
            // What port names mean on the peers of egress is cut into as many clauses as there are meanings.
            if program.direction == Direction::Ingress || rule.is_none() || rule != last {
                meaning(bound, clause, program.direction, &mut sum);
            }
            last = rule;
        }
    }
    sum.finish()
}

fn meaning(bound: &Bound, clause: &Clause, direction: Direction, sum: &mut Sum) {
    let symbolic = &bound.symbolic;
    let policy = |idx: PolicyIdx, sum: &mut Sum| {
        let own = symbolic.policy(idx);
        (own.short, &own.namespace, &own.name).hash(sum);
    };
    clause.then.hash(sum);
    match &clause.why {
        Why::Rule(idx) => {
            let sym = symbolic.clause(*idx);
            let rule = symbolic.rule(sym.rule);
            policy(rule.policy, sum);
            (rule.index, sym.peer_index, &sym.peer, &sym.ports).hash(sum);
            // Names mean ports of the subject, which pods of one program share.
            if direction == Direction::Ingress {
                clause.ports.hash(sum);
            }
        }
        Why::Isolated(policies) => policies.iter().for_each(|&idx| policy(idx, sum)),
        Why::Default => {}
    }
}
