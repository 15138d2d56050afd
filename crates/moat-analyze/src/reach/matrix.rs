//! The matrix: its ends in order, and its rows on demand.

use crate::reach::Options;
use crate::reach::scan::Scan;
use crate::reach::sides::{SideId, Sides, index};
use crate::reach::values::{Value, ValueId, Values};
use moat_ir::{Bound, Direction, Management, PodIdx};
use moat_sets::{PortSet, Protocol};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Index of an end in [`Matrix::ends`].
pub type EndId = u32;

/// One end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// A pod or a workload's pods.
    Pod(PodIdx),
    /// Addresses, as the fewest prefixes, or a domain name.
    Outside(Box<str>),
}

/// How much was listed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Ordered pairs with an allowed port.
    pub pairs: u64,
    /// Rows: one for each pair and protocol.
    pub rows: u64,
    /// Ordered pairs some of whose ports depend on something that is not known; not listed unless other ports are allowed.
    pub undefined: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.rows += other.rows;
        self.undefined += other.undefined;
    }
}

/// Who can reach whom.
#[derive(Debug)]
pub struct Matrix<'b> {
    pub(crate) bound: &'b Bound,
    pub(crate) values: Values,
    pub(crate) asked: PortSet,
    /// Ingress and egress.
    pub(crate) sides: [Sides; 2],
    /// Ends in the order of rows.
    pub(crate) ends: Vec<End>,
    /// The end of each pod; none for finished pods.
    pub(crate) end_of: Vec<Option<EndId>>,
    /// For ingress and egress: the outside ends of each side.
    pub(crate) outside: [Vec<Vec<(EndId, ValueId)>>; 2],
    /// For outside ends: the ingress sides that admit them.
    pub(crate) admitted: FxHashMap<EndId, Vec<(SideId, ValueId)>>,
    /// The running pods of each class.
    pub(crate) running: Vec<Vec<PodIdx>>,
    /// Whether a pod was asked for.
    pub(crate) selected: Vec<bool>,
    pub(crate) direction: Option<Direction>,
    /// Pods that policies apply to.
    pub(crate) managed: Places,
    /// Pods on their node's network.
    pub(crate) hosts: Places,
}

/// Running pods by the node they are on.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) all: Vec<EndId>,
    pub(crate) on_node: FxHashMap<Arc<str>, Vec<EndId>>,
    /// Those whose node is not known.
    pub(crate) nowhere: Vec<EndId>,
}

impl Places {
    fn add(&mut self, end: EndId, node: Option<&Arc<str>>) {
        self.all.push(end);
        match node {
            Some(node) => self.on_node.entry(node.clone()).or_default().push(end),
            None => self.nowhere.push(end),
        }
    }
}

impl<'b> Matrix<'b> {
    pub(crate) fn new(bound: &'b Bound, options: &Options) -> Self {
        let asked = options.ports.clone().unwrap_or_else(PortSet::all);
        let values = Values::default();
        let running: Vec<Vec<PodIdx>> = bound
            .classes
            .iter()
            .map(|class| {
                class.pods.iter().copied().filter(|&pod| !bound.pod(pod).finished).collect()
            })
            .collect();
        let live: Vec<bool> = running.iter().map(|pods| !pods.is_empty()).collect();
        let sides =
            Direction::BOTH.map(|direction| Sides::new(bound, direction, &asked, &values, &live));
        let everyone = options.focus.is_empty() && options.namespaces.is_empty();
        let mut selected: Vec<bool> = bound
            .pods
            .iter()
            .map(|pod| everyone || options.namespaces.contains(&pod.namespace))
            .collect();
        for &pod in &options.focus {
            if let Some(slot) = selected.get_mut(pod as usize) {
                *slot = true;
            }
        }
        let mut matrix = Self {
            bound,
            values,
            asked,
            sides,
            ends: Vec::new(),
            end_of: vec![None; bound.pods.len()],
            outside: [Vec::new(), Vec::new()],
            admitted: FxHashMap::default(),
            running,
            selected,
            direction: options.direction,
            managed: Places::default(),
            hosts: Places::default(),
        };
        matrix.order_ends();
        matrix.place_pods();
        matrix
    }

    fn order_ends(&mut self) {
        let pods = (0..index(self.bound.pods.len()))
            .filter(|&pod| !self.bound.pod(pod).finished)
            .map(End::Pod);
        let mut names: Vec<&str> = self
            .sides
            .iter()
            .flat_map(|sides| &sides.all)
            .flat_map(|side| &side.outside)
            .map(|(name, _)| name.as_ref())
            .collect();
        names.sort_unstable();
        names.dedup();
        let outside = names.into_iter().map(|name| End::Outside(name.into()));
        let mut ends: Vec<End> = pods.chain(outside).collect();
        // As they stand in a row of text, where a comma follows.
        ends.sort_by(|a, b| {
            let (a, b) = (self.end_name(a), self.end_name(b));
            a.bytes().chain([b',']).cmp(b.bytes().chain([b',']))
        });
        let mut by_name: FxHashMap<Box<str>, EndId> = FxHashMap::default();
        for (at, end) in ends.iter().enumerate() {
            match end {
                End::Pod(pod) => self.end_of[*pod as usize] = Some(index(at)),
                End::Outside(name) => {
                    by_name.insert(name.clone(), index(at));
                }
            }
        }
        self.ends = ends;
        for (sides, outside) in self.sides.iter().zip(&mut self.outside) {
            let ids = |side: &crate::reach::sides::Side| {
                side.outside
                    .iter()
                    .filter_map(|(name, value)| Some((*by_name.get(name)?, *value)))
                    .collect()
            };
            *outside = sides.all.iter().map(ids).collect();
        }
        let [ingress, _] = &self.outside;
        for (side, ends) in ingress.iter().enumerate() {
            for &(end, value) in ends {
                self.admitted.entry(end).or_default().push((index(side), value));
            }
        }
    }

    fn place_pods(&mut self) {
        for (at, end) in self.ends.iter().enumerate() {
            let End::Pod(pod) = *end else { continue };
            let info = self.bound.pod(pod);
            if self.bound.class_of(pod).management != Management::Unmanaged {
                self.managed.add(index(at), info.node.as_ref());
            }
            if info.host_network {
                self.hosts.add(index(at), info.node.as_ref());
            }
        }
    }

    /// The inventory it was made from.
    #[must_use]
    pub fn bound(&self) -> &'b Bound {
        self.bound
    }

    /// The ends, sorted as text.
    #[must_use]
    pub fn ends(&self) -> &[End] {
        &self.ends
    }

    /// The end of a pod; none when it has finished.
    #[must_use]
    pub fn end_of(&self, pod: PodIdx) -> Option<EndId> {
        self.end_of.get(pod as usize).copied().flatten()
    }

    fn end_name<'a>(&'a self, end: &'a End) -> &'a str {
        match end {
            End::Pod(pod) => &self.bound.pod(*pod).display,
            End::Outside(name) => name,
        }
    }

    /// The name of an end.
    #[must_use]
    pub fn name(&self, end: EndId) -> &str {
        self.ends.get(end as usize).map_or("", |end| self.end_name(end))
    }

    /// A value.
    #[must_use]
    pub fn value(&self, id: ValueId) -> Arc<Value> {
        self.values.get(id)
    }

    /// A way to read rows, for one thread.
    #[must_use]
    pub fn scan(&self) -> Scan<'_> {
        Scan::new(self)
    }

    /// Calls `row` for each row, in order: source, destination, protocol, ports.
    pub fn flat_rows(&self, mut row: impl FnMut(&str, &str, Protocol, &str)) -> Tally {
        let mut scan = self.scan();
        let mut tally = Tally::default();
        for source in 0..index(self.ends.len()) {
            let (cells, mut values) = scan.row(source);
            for &(destination, value) in cells {
                let value = values.get(value);
                tally.count(value);
                for (protocol, ports) in &value.texts {
                    row(self.name(source), self.name(destination), *protocol, ports);
                }
            }
        }
        tally
    }

    /// Renders rows on all cores and hands the pieces on in order.
    ///
    /// `render` appends the row of one source, with a `State` of its thread's own; memory stays within a few pieces.
    pub fn render<State: Default + Send, E>(
        &self,
        render: impl Fn(&mut State, &mut Scan<'_>, EndId, &mut Vec<u8>) -> Tally + Sync,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Tally, E> {
        // Small pieces keep memory low when every pod reaches every other.
        const SOURCES: usize = 8;
        let n_slots = rayon::current_num_threads() * 2;
        let mut slots: Vec<(State, Scan<'_>, Vec<u8>, Tally)> = (0..n_slots)
            .map(|_| (State::default(), self.scan(), Vec::new(), Tally::default()))
            .collect();
        let sources: Vec<EndId> = (0..index(self.ends.len())).collect();
        let pieces: Vec<&[EndId]> = sources.chunks(SOURCES).collect();
        for batch in pieces.chunks(n_slots) {
            slots.par_iter_mut().zip(batch.par_iter()).for_each(
                |((state, scan, buffer, tally), piece)| {
                    buffer.clear();
                    for &source in *piece {
                        *tally += render(state, scan, source, buffer);
                    }
                },
            );
            for (_, _, buffer, _) in slots.iter().take(batch.len()) {
                sink(buffer)?;
            }
        }
        let mut sum = Tally::default();
        for (_, _, _, tally) in slots {
            sum += tally;
        }
        Ok(sum)
    }
}

impl Tally {
    /// Counts one pair.
    pub fn count(&mut self, value: &Value) {
        self.rows += value.texts.len() as u64;
        self.pairs += u64::from(!value.texts.is_empty());
        self.undefined += u64::from(value.is_doubtful());
    }
}
