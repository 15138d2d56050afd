//! What a change of manifests opens and closes: two bound forms compared.
//!
//! Pods are the same when their names are. Every ordered pair of them, every address and every domain name that a policy names is
//! compared by what [`Bound::decide`] would say; a test does so flow by flow. Addresses of nodes count as any address outside.

mod cause;
mod group;
mod outside;
mod pairs;
mod policies;
mod pool;
mod sides;
mod workloads;

#[cfg(test)]
mod tests;

pub use cause::Cause;
pub(crate) use outside::pieces;
pub use policies::Policies;
pub use pool::Ports;
pub(crate) use pool::{EVERYTHING, NOTHING, Pool, PortsId};
pub use workloads::Workload;

use cause::Both;
use moat_ir::{Bound, Direction, End, Flow, PodIdx};
use moat_sets::{AddrSet, Family, IdSet, PortSet, ServicePoint};
use pairs::{Common, Step};
use rustc_hash::FxHashMap;
use sides::{State, index};
use std::net::IpAddr;
use std::sync::Arc;

/// How the ports of a connection changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Nothing was allowed, something is.
    Opened,
    /// Something was allowed, nothing is.
    Closed,
    /// More ports than before.
    Widened,
    /// Fewer ports than before.
    Narrowed,
    /// Some ports came and some went, or a verdict is or was undefined.
    Changed,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 5] =
        [Self::Opened, Self::Closed, Self::Widened, Self::Narrowed, Self::Changed];

    /// `opened`, `closed`, `widened`, `narrowed`, `changed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Widened => "widened",
            Self::Narrowed => "narrowed",
            Self::Changed => "changed",
        }
    }

    fn of(before: &Ports, after: &Ports) -> Self {
        let added = !after.allow.is_subset(&before.allow);
        let removed = !before.allow.is_subset(&after.allow);
        match (added, removed) {
            (true, false) if before.is_empty() => Self::Opened,
            (false, true) if after.is_empty() => Self::Closed,
            (true, false) => Self::Widened,
            (false, true) => Self::Narrowed,
            _ => Self::Changed,
        }
    }
}

/// One side of changed connections.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// Pods, as the new state numbers them, rising.
    Pods(Vec<PodIdx>),
    /// Addresses outside.
    Addresses(AddrSet),
    /// A domain name outside.
    Domain(Arc<str>),
}

/// Connections whose ports changed in one way: from every member to every other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// How.
    pub kind: Kind,
    /// From whom.
    pub from: Group,
    /// To whom.
    pub to: Group,
    /// Ports before.
    pub before: Ports,
    /// Ports after.
    pub after: Ports,
    /// How many pairs; an outside side counts as one.
    pub pairs: u64,
    /// Why, for a sample of the connections: what is responsible for most of them first.
    pub by: Vec<Cause>,
    /// Whether the sample may lack causes of others.
    pub by_more: bool,
}

impl Change {
    /// Ports that are allowed and were not.
    #[must_use]
    pub fn added(&self) -> PortSet {
        self.after.allow.minus(&self.before.allow)
    }

    /// Ports that were allowed and are not.
    #[must_use]
    pub fn removed(&self) -> PortSet {
        self.before.allow.minus(&self.after.allow)
    }
}

/// Everything that differs.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Changed connections between pods of both states and with the outside.
    pub changes: Vec<Change>,
    /// Workloads of the new state only.
    pub new: Vec<Workload>,
    /// Workloads of the old state only.
    pub gone: Vec<Workload>,
    /// Policies that came, went or changed; alone they are no difference.
    pub policies: Policies,
}

impl Diff {
    /// Whether every connection and every workload is as before.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.changes.is_empty() && self.new.is_empty() && self.gone.is_empty()
    }

    /// How many pairs changed in a way.
    #[must_use]
    pub fn pairs(&self, kind: Kind) -> u64 {
        self.changes.iter().filter(|change| change.kind == kind).map(|change| change.pairs).sum()
    }
}

/// Compares two states.
#[must_use]
pub fn diff(old: &Bound, new: &Bound) -> Diff {
    let mut pool = Pool::default();
    let (was, is) = (State::new(old, &mut pool), State::new(new, &mut pool));
    let (pods, appeared, vanished) = match_pods(old, new);
    let common = Common::new(&was, &is, &pods);
    let policies = Policies::new(&old.symbolic, &new.symbolic);
    let maker = Maker { both: Both { old, new, policies: &policies }, common: &common };
    let mut changes = Vec::new();
    for (step, rows) in pairs::rows(&was, &is, &common, &mut pool) {
        for (from, to) in group::blocks(&common, rows) {
            changes.extend(maker.between_pods(&pool, step, &from, &to));
        }
    }
    for direction in Direction::BOTH {
        for (step, set, units) in outside::addresses(&was, &is, &common, direction) {
            changes.push(maker.with_outside(&pool, step, direction, Group::Addresses(set), &units));
        }
    }
    for (step, name, units) in outside::domains(&was, &is, &common, &mut pool) {
        changes.push(maker.with_outside(
            &pool,
            step,
            Direction::Egress,
            Group::Domain(name),
            &units,
        ));
    }
    changes.sort_by(|a, b| {
        (a.kind, &a.to, &a.from, &a.before, &a.after)
            .cmp(&(b.kind, &b.to, &b.from, &b.before, &b.after))
    });
    let gone = workloads::workloads(old, &vanished);
    let appeared = workloads::workloads(new, &appeared);
    Diff { changes, new: appeared, gone, policies }
}

/// Running pods of both states by name: in both, only new, only old.
fn match_pods(old: &Bound, new: &Bound) -> (Vec<(PodIdx, PodIdx)>, Vec<PodIdx>, Vec<PodIdx>) {
    let running = |bound: &Bound| -> Vec<PodIdx> {
        (0..index(bound.pods.len())).filter(|&pod| !bound.pod(pod).finished).collect()
    };
    let before = running(old);
    let by_name: FxHashMap<&str, PodIdx> =
        before.iter().map(|&pod| (old.pod(pod).display.as_ref(), pod)).collect();
    let mut kept = vec![false; old.pods.len()];
    let (mut both, mut appeared) = (Vec::new(), Vec::new());
    for pod in running(new) {
        match by_name.get(new.pod(pod).display.as_ref()) {
            Some(&was) if !kept[was as usize] => {
                kept[was as usize] = true;
                both.push((was, pod));
            }
            _ => appeared.push(pod),
        }
    }
    let vanished = before.into_iter().filter(|&pod| !kept[pod as usize]).collect();
    (both, appeared, vanished)
}

/// A pod's index before and after.
type PodPair = (PodIdx, PodIdx);
/// The ends of one connection before and after.
type Sample = ((End, End), (End, End));

/// How many ends of each side are asked why a connection changed.
const SAMPLED_MAX: usize = 24;

/// Makes changes of what was found.
struct Maker<'a> {
    both: Both<'a>,
    common: &'a Common,
}

impl Maker<'_> {
    /// A change between pods; none when the only pair is a pod and itself.
    fn between_pods(&self, pool: &Pool, step: Step, from: &IdSet, to: &IdSet) -> Option<Change> {
        let (sources, destinations) = (self.common.pods(from), self.common.pods(to));
        let itself = |&(before, after): &(PodIdx, PodIdx)| {
            self.both.old.pod(before).replicas <= 1 || self.both.new.pod(after).replicas <= 1
        };
        let shared = self.common.pods(&from.intersect(to));
        let excluded = shared.iter().filter(|pod| itself(pod)).count() as u64;
        let pairs = sources.len() as u64 * destinations.len() as u64 - excluded;
        // Every end once, with one of the first two of the other side.
        let (some_from, from_more) = self.some(from);
        let (some_to, to_more) = self.some(to);
        let by_sources = some_from.iter().map(|source| (source, &some_to));
        let by_sources = by_sources.filter_map(|(source, others)| {
            let fit = others.iter().find(|other| source != *other || !itself(source))?;
            Some((*source, *fit))
        });
        let by_destinations = some_to.iter().filter_map(|destination| {
            let fit = some_from.iter().find(|other| destination != *other || !itself(destination));
            Some((*fit?, *destination))
        });
        let mut ends: Vec<(PodPair, PodPair)> = by_sources.chain(by_destinations).collect();
        ends.sort_unstable();
        ends.dedup();
        if ends.is_empty() {
            return None;
        }
        let samples: Vec<Sample> = ends
            .into_iter()
            .map(|(source, destination)| {
                let was = (End::Pod(source.0), End::Pod(destination.0));
                (was, (End::Pod(source.1), End::Pod(destination.1)))
            })
            .collect();
        let new =
            |pods: &[(PodIdx, PodIdx)]| Group::Pods(pods.iter().map(|&(_, after)| after).collect());
        let groups = (new(&sources), new(&destinations));
        let more = from_more || to_more;
        Some(self.change(pool, step, groups, pairs, (&samples, more)))
    }

    /// A pod of each of the first units, and whether there are more units.
    fn some(&self, units: &IdSet) -> (Vec<PodPair>, bool) {
        let first = |unit: u32| self.common.units[unit as usize].pods.first().copied();
        let mut pods: Vec<PodPair> = units.iter().take(SAMPLED_MAX).filter_map(first).collect();
        if pods.len() < 2 {
            // Two pods of one unit are still two ends.
            pods = self.common.pods(units).into_iter().take(2).collect();
        }
        (pods, units.len() > SAMPLED_MAX as u64)
    }

    fn with_outside(
        &self,
        pool: &Pool,
        step: Step,
        direction: Direction,
        outside: Group,
        units: &IdSet,
    ) -> Change {
        let pods = self.common.pods(units);
        let end = match &outside {
            Group::Domain(name) => End::Domain(name.clone()),
            Group::Addresses(set) => End::Address(self.sample(set)),
            Group::Pods(_) => End::Address(IpAddr::from([0; 4])),
        };
        let pairs = pods.len() as u64;
        let inside = Group::Pods(pods.iter().map(|&(_, after)| after).collect());
        let (some, more) = self.some(units);
        let ingress = direction == Direction::Ingress;
        let pair = |pod: PodIdx| {
            let ends = (End::Pod(pod), end.clone());
            if ingress { (ends.1, ends.0) } else { ends }
        };
        let samples: Vec<Sample> =
            some.iter().map(|&(before, after)| (pair(before), pair(after))).collect();
        let groups = if ingress { (outside, inside) } else { (inside, outside) };
        self.change(pool, step, groups, pairs, (&samples, more))
    }

    fn change(
        &self,
        pool: &Pool,
        step: Step,
        (from, to): (Group, Group),
        pairs: u64,
        (samples, by_more): (&[Sample], bool),
    ) -> Change {
        let (before, after) = (pool.get(step.0).clone(), pool.get(step.1).clone());
        let kind = Kind::of(&before, &after);
        let mut change = Change { kind, from, to, before, after, pairs, by: Vec::new(), by_more };
        let mut asked = vec![change.added(), change.removed()];
        if asked.iter().all(PortSet::is_empty) {
            asked = vec![
                change.before.undefined.minus(&change.after.undefined),
                change.after.undefined.minus(&change.before.undefined),
            ];
        }
        let points: Vec<ServicePoint> =
            asked.iter().filter_map(|ports| ports.edges().next()).collect();
        // Each cause, and for how many samples it is one.
        let mut found: Vec<(Cause, usize)> = Vec::new();
        for (was, is) in samples {
            for &point in &points {
                let mut causes = Vec::new();
                self.causes(point, was, is, &mut causes);
                for cause in causes {
                    match found.iter_mut().find(|(have, _)| have.text == cause.text) {
                        Some((_, n)) => *n += 1,
                        None => found.push((cause, 1)),
                    }
                }
            }
        }
        found.sort_by_key(|(_, n)| core::cmp::Reverse(*n));
        change.by = found.into_iter().map(|(cause, _)| cause).collect();
        change
    }

    /// Why one flow ends otherwise, by the IP family by which it does.
    fn causes(&self, point: ServicePoint, was: &(End, End), is: &(End, End), out: &mut Vec<Cause>) {
        let flow = |(from, to): &(End, End), family| Flow {
            from: from.clone(),
            to: to.clone(),
            point,
            family,
        };
        let differs = |family: &Family| {
            self.both.old.decide(&flow(was, *family)).verdict
                != self.both.new.decide(&flow(is, *family)).verdict
        };
        let families = match was {
            (End::Address(address), _) | (_, End::Address(address)) => {
                vec![Family::of(*address)]
            }
            _ => Family::BOTH.to_vec(),
        };
        let family = families
            .iter()
            .copied()
            .find(differs)
            .or(families.first().copied())
            .unwrap_or(Family::V4);
        self.both.causes(&flow(was, family), &flow(is, family), out);
    }

    /// An address of the set, no node's if that can be: a node reaches its own pods whatever the policies say.
    fn sample(&self, set: &AddrSet) -> IpAddr {
        let v4 = set
            .v4()
            .ranges()
            .iter()
            .flat_map(|&(low, high)| [IpAddr::V4(low.into()), IpAddr::V4(high.into())]);
        let v6 = set
            .v6()
            .ranges()
            .iter()
            .flat_map(|&(low, high)| [IpAddr::V6(low.into()), IpAddr::V6(high.into())]);
        let nodes = [&self.both.old.node_by_address, &self.both.new.node_by_address];
        let mut all = v4.chain(v6);
        let first = all.next().unwrap_or(IpAddr::from([0; 4]));
        let is_node = |address: &IpAddr| nodes.iter().any(|nodes| nodes.contains_key(address));
        core::iter::once(first).chain(all).find(|address| !is_node(address)).unwrap_or(first)
    }
}
