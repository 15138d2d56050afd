//! What a change would open: every pair that it can touch, before and after, on every port.

use super::edits::{EXAMPLES_MAX, Opened};
use crate::diff::{EVERYTHING, NOTHING, Pool, Ports, PortsId, pieces};
use moat_ir::{Bound, ClassIdx, Direction, End, Flow, PodIdx};
use moat_sets::{AddrSet, PortSet};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Pods of one class before and one class after: all of them see and are seen alike.
struct Combo {
    old: ClassIdx,
    new: ClassIdx,
    pods: Vec<PodIdx>,
    touched: bool,
}

/// What `new` allows and `old` does not, with one of the touched pods as source (egress) or destination (ingress) in these directions,
/// the flow asked about left out.
///
/// Pods must be the same in both. A pod that is not touched must be selected by the same policies as before.
pub(super) fn opened(
    old: &Bound,
    new: &Bound,
    touched: &[PodIdx],
    directions: &[Direction],
    asked: &Flow,
) -> Opened {
    let combos = combos(old, new, touched);
    let mut found = Finder {
        was: Side { bound: old, known: FxHashMap::default() },
        is: Side { bound: new, known: FxHashMap::default() },
        pool: Pool::default(),
        asked,
        opened: Opened::default(),
    };
    let (touched, others): (Vec<&Combo>, Vec<&Combo>) =
        combos.iter().partition(|combo| combo.touched);
    let (out, into) =
        (directions.contains(&Direction::Egress), directions.contains(&Direction::Ingress));
    for own in &touched {
        for other in touched.iter().chain(&others) {
            if out || (other.touched && into) {
                found.between(own, other);
            }
            if into && !other.touched {
                found.between(other, own);
            }
        }
        for &direction in directions {
            found.outside(own, direction);
        }
    }
    found.opened
}

fn combos(old: &Bound, new: &Bound, touched: &[PodIdx]) -> Vec<Combo> {
    let touched: BTreeSet<PodIdx> = touched.iter().copied().collect();
    let mut members: BTreeMap<(bool, ClassIdx, ClassIdx), Vec<PodIdx>> = BTreeMap::new();
    for (idx, pod) in (0..).zip(&old.pods).filter(|(_, pod)| !pod.finished) {
        let key = (touched.contains(&idx), pod.class, new.pod(idx).class);
        members.entry(key).or_default().push(idx);
    }
    let combo = |((touched, old, new), pods)| Combo { old, new, pods, touched };
    members.into_iter().map(combo).collect()
}

/// One of the two states; programs are asked about an atom once.
struct Side<'b> {
    bound: &'b Bound,
    known: FxHashMap<(u32, u32), PortsId>,
}

impl Side<'_> {
    /// Ports that a class certainly allows one peer in one direction.
    fn half(
        &mut self,
        pool: &mut Pool,
        class: ClassIdx,
        direction: Direction,
        atom: Option<u32>,
    ) -> PortsId {
        let Some(program) = self.bound.class(class).program(direction) else {
            return EVERYTHING;
        };
        let Some(atom) = atom else { return NOTHING };
        let bound = self.bound;
        *self.known.entry((program, atom)).or_insert_with(|| {
            let allow = bound.ports_at(bound.program(program), atom).allow;
            pool.intern(Ports::new(allow, &PortSet::empty()))
        })
    }

    /// Ports that policies certainly allow between two classes, by any IP family that both have.
    fn pair(&mut self, pool: &mut Pool, from: ClassIdx, to: ClassIdx) -> PortsId {
        let [source, destination] = [from, to].map(|class| self.bound.class(class).atoms);
        let mut both = |source, destination| {
            let egress = self.half(pool, from, Direction::Egress, destination);
            let ingress = self.half(pool, to, Direction::Ingress, source);
            pool.both(egress, ingress)
        };
        let shared =
            source.into_iter().zip(destination).filter(|(a, b)| a.is_some() && b.is_some());
        let mut found = shared.map(|(source, destination)| both(source, destination));
        match (found.next(), found.next()) {
            (Some(one), Some(other)) => pool.either(one, other),
            (Some(one), None) => one,
            // Each end is then looked up by what it has, as the interpreter for one flow does.
            _ => {
                drop(found);
                let any = |atoms: [Option<u32>; 2]| atoms.into_iter().flatten().next();
                both(any(source), any(destination))
            }
        }
    }
}

struct Finder<'a> {
    was: Side<'a>,
    is: Side<'a>,
    pool: Pool,
    asked: &'a Flow,
    opened: Opened,
}

impl Finder<'_> {
    fn between(&mut self, from: &Combo, to: &Combo) {
        let after = self.is.pair(&mut self.pool, from.new, to.new);
        let before = self.was.pair(&mut self.pool, from.old, to.old);
        if after == before {
            return;
        }
        let ports = self.added(before, after);
        if ports.is_empty() {
            return;
        }
        let alone = ports == PortSet::point(self.asked.point);
        for &source in &from.pods {
            for &destination in &to.pods {
                let asked = alone
                    && self.asked.from == End::Pod(source)
                    && self.asked.to == End::Pod(destination);
                if !asked && !self.is_exempt(source, destination) {
                    let names = (self.name(source), self.name(destination));
                    self.add(|| names, &ports);
                }
            }
        }
    }

    /// Ports that the second set has and the first has not.
    fn added(&self, before: PortsId, after: PortsId) -> PortSet {
        self.pool.get(after).allow.minus(&self.pool.get(before).allow)
    }

    /// Whether policies never come between two pods: a pod and itself, a node and its own pods.
    fn is_exempt(&self, from: PodIdx, to: PodIdx) -> bool {
        let bound = self.was.bound;
        let (source, destination) = (bound.pod(from), bound.pod(to));
        if from == to {
            return source.replicas <= 1;
        }
        bound.own_node_exempt
            && source.host_network
            && source.node.is_some()
            && source.node == destination.node
    }

    fn outside(&mut self, combo: &Combo, direction: Direction) {
        let mut by_ports: Vec<(PortSet, AddrSet)> = Vec::new();
        let atoms = &self.is.bound.atoms;
        for (low, high, was_in, is_in) in pieces(&self.was.bound.atoms, atoms) {
            let after = self.is.half(&mut self.pool, combo.new, direction, Some(is_in));
            let before = self.was.half(&mut self.pool, combo.old, direction, Some(was_in));
            if after == before {
                continue;
            }
            let ports = self.added(before, after);
            if ports.is_empty() {
                continue;
            }
            let set = AddrSet::range(low, high);
            match by_ports.iter_mut().find(|(have, _)| *have == ports) {
                Some((_, sum)) => *sum = sum.union(&set),
                None => by_ports.push((ports, set)),
            }
        }
        for (ports, set) in by_ports {
            for &pod in &combo.pods {
                let set = self.without_asked(pod, direction, &ports, &set);
                if !set.is_empty() {
                    let (inside, outside) = (self.name(pod), addresses(&set));
                    let names = || match direction {
                        Direction::Ingress => (outside, inside),
                        Direction::Egress => (inside, outside),
                    };
                    self.opened.n_outside += 1;
                    self.add(names, &ports);
                }
            }
        }
        self.domains(combo, direction);
    }

    /// Domain names that policies know, as destinations.
    fn domains(&mut self, combo: &Combo, direction: Direction) {
        if direction == Direction::Ingress {
            return;
        }
        let (old, new) = (&self.was.bound.atoms, &self.is.bound.atoms);
        for (at, domain) in (new.n_addresses()..new.first_pod()).zip(&new.domains) {
            let Some(was_at) = old.domains.iter().position(|own| own == domain) else { continue };
            let was_at = old.n_addresses() + u32::try_from(was_at).unwrap_or(u32::MAX);
            let before = self.was.half(&mut self.pool, combo.old, direction, Some(was_at));
            let after = self.is.half(&mut self.pool, combo.new, direction, Some(at));
            let ports = self.added(before, after);
            for &pod in combo.pods.iter().filter(|_| !ports.is_empty()) {
                let names = (self.name(pod), domain.as_str().to_owned());
                self.opened.n_outside += 1;
                self.add(|| names, &ports);
            }
        }
    }

    /// The addresses but the one asked about, if its port is all that opens.
    fn without_asked(
        &self,
        pod: PodIdx,
        direction: Direction,
        ports: &PortSet,
        set: &AddrSet,
    ) -> AddrSet {
        let (own, other) = match direction {
            Direction::Ingress => (&self.asked.to, &self.asked.from),
            Direction::Egress => (&self.asked.from, &self.asked.to),
        };
        match other {
            End::Address(address)
                if *own == End::Pod(pod) && *ports == PortSet::point(self.asked.point) =>
            {
                set.minus(&AddrSet::host(*address))
            }
            _ => set.clone(),
        }
    }

    fn name(&self, pod: PodIdx) -> String {
        if self.opened.examples.len() < EXAMPLES_MAX {
            self.was.bound.pod(pod).display.to_string()
        } else {
            String::new()
        }
    }

    fn add(&mut self, names: impl FnOnce() -> (String, String), ports: &PortSet) {
        self.opened.n_pairs += 1;
        if self.opened.examples.len() < EXAMPLES_MAX {
            let (from, to) = names();
            self.opened.examples.push((from, to, ports.to_string()));
        }
    }
}

/// Addresses, short.
fn addresses(set: &AddrSet) -> String {
    const SHOWN_MAX: usize = 2;
    if *set == AddrSet::all() {
        return "anywhere".to_owned();
    }
    let cidrs = set.cidrs();
    let shown: Vec<String> = cidrs.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    match cidrs.len() - shown.len() {
        0 => shown.join(" "),
        more => format!("{} and {more} more prefixes", shown.join(" ")),
    }
}
