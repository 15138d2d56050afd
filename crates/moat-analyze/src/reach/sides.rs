//! What each end of a pair says about the other: programs with equal meaning, and which peers they single out.
//!
//! A program treats most peers alike; that is its default. The others are exceptions, indexed by program and by peer, so that a
//! row of the matrix costs what it contains and not the number of pods.

use crate::reach::values::{ValueId, Values};
use moat_ir::{Bound, Cell, ClassIdx, Direction, Management};
use moat_sets::{IdSet, PortSet};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// Index of a [`Side`] in one direction's [`Sides`].
pub(crate) type SideId = u32;

/// What the programs of equal meaning say.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Side {
    /// About pods that are no exception.
    pub(crate) default: ValueId,
    /// About other pod atoms, rising.
    pub(crate) exceptions: Vec<(u32, ValueId)>,
    /// About the outside: ends of the matrix, once they are known; names until then.
    pub(crate) outside: Vec<(Box<str>, ValueId)>,
}

/// One direction's sides.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    /// Sides with different meaning.
    pub(crate) all: Vec<Side>,
    /// The side of each class.
    pub(crate) of_class: Vec<SideId>,
    /// The classes of each side, those without running pods left out.
    pub(crate) classes: Vec<Vec<ClassIdx>>,
    /// Sides whose default is not empty.
    pub(crate) generous: Vec<SideId>,
    /// For each pod atom, from the first: the sides that single it out.
    pub(crate) by_atom: Vec<Vec<(SideId, ValueId)>>,
}

impl Sides {
    /// Reads the programs of one direction. Only ports in `asked` count.
    pub(crate) fn new(
        bound: &Bound,
        direction: Direction,
        asked: &PortSet,
        values: &Values,
        live: &[bool],
    ) -> Self {
        let mut keys: Vec<(u32, bool)> = Vec::new();
        let mut key_ids: FxHashMap<Option<(u32, bool)>, usize> = FxHashMap::default();
        let of_class: Vec<Option<(u32, bool)>> = bound
            .classes
            .iter()
            .map(|class| {
                class.program(direction).map(|id| (id, class.management == Management::Undefined))
            })
            .collect();
        for key in of_class.iter().flatten() {
            key_ids.entry(Some(*key)).or_insert_with(|| {
                keys.push(*key);
                keys.len() - 1
            });
        }
        let reader = Reader::new(bound, direction, asked, values);
        let mut read: Vec<Side> = keys
            .par_iter()
            .map(|&(id, undefined)| reader.side(&bound.regions(bound.program(id)), undefined))
            .collect();
        if of_class.iter().any(Option::is_none) {
            key_ids.insert(None, read.len());
            let universe = IdSet::range(0, bound.atoms.len());
            read.push(reader.side(
                &[Cell { peers: universe, allow: PortSet::all(), undefined: PortSet::empty() }],
                false,
            ));
        }
        let mut sides =
            Self { by_atom: vec![Vec::new(); bound.atoms.pods.len()], ..Self::default() };
        let mut ids: FxHashMap<Side, SideId> = FxHashMap::default();
        let side_ids: Vec<SideId> = read
            .into_iter()
            .map(|side| {
                *ids.entry(side).or_insert_with_key(|side| {
                    sides.all.push(side.clone());
                    index(sides.all.len() - 1)
                })
            })
            .collect();
        sides.of_class = of_class
            .iter()
            .map(|key| key_ids.get(key).and_then(|&at| side_ids.get(at)).copied().unwrap_or(0))
            .collect();
        sides.classes = vec![Vec::new(); sides.all.len()];
        for (class, (&side, &live)) in sides.of_class.iter().zip(live).enumerate() {
            if live {
                sides.classes[side as usize].push(index(class));
            }
        }
        let first = bound.atoms.first_pod();
        for (id, side) in sides.all.iter().enumerate() {
            if side.default != 0 {
                sides.generous.push(index(id));
            }
            for &(atom, value) in &side.exceptions {
                sides.by_atom[(atom - first) as usize].push((index(id), value));
            }
        }
        sides
    }
}

struct Reader<'a> {
    bound: &'a Bound,
    direction: Direction,
    asked: &'a PortSet,
    values: &'a Values,
    addresses: IdSet,
    pods: IdSet,
}

impl<'a> Reader<'a> {
    fn new(bound: &'a Bound, direction: Direction, asked: &'a PortSet, values: &'a Values) -> Self {
        let addresses = IdSet::range(0, bound.atoms.n_addresses());
        let pods = IdSet::range(bound.atoms.first_pod(), bound.atoms.len());
        Self { bound, direction, asked, values, addresses, pods }
    }

    fn side(&self, cells: &[Cell], undefined: bool) -> Side {
        let mut of_pods: Vec<(IdSet, ValueId)> = Vec::new();
        let mut of_addresses: Vec<(IdSet, ValueId)> = Vec::new();
        let mut outside = Vec::new();
        for cell in cells {
            let allow = cell.allow.intersect(self.asked);
            let upper = if undefined {
                self.asked.clone()
            } else {
                allow.union(&cell.undefined.intersect(self.asked))
            };
            let value = self.values.intern(allow, upper);
            add(&mut of_pods, cell.peers.intersect(&self.pods), value);
            add(&mut of_addresses, cell.peers.intersect(&self.addresses), value);
            if self.direction == Direction::Egress && value != 0 {
                let first = self.bound.atoms.n_addresses();
                for (at, domain) in self.bound.atoms.domains.iter().enumerate() {
                    if cell.peers.contains(first + index(at)) {
                        outside.push((format!("domain:{domain}").into_boxed_str(), value));
                    }
                }
            }
        }
        // Addresses whose certain ports are equal form one row, whatever else may be possible for some of them.
        let mut merged: Vec<(IdSet, PortSet, PortSet)> = Vec::new();
        for (atoms, value) in of_addresses.into_iter().filter(|(_, value)| *value != 0) {
            let value = self.values.get(value);
            match merged.iter_mut().find(|(_, allow, _)| *allow == value.allow) {
                Some((have, _, upper)) => {
                    have.union_with(&atoms);
                    *upper = upper.union(&value.upper);
                }
                None => merged.push((atoms, value.allow.clone(), value.upper.clone())),
            }
        }
        for (atoms, allow, upper) in merged {
            let name = self.bound.atoms.addresses(&atoms).to_string().into_boxed_str();
            outside.push((name, self.values.intern(allow, upper)));
        }
        outside.sort_unstable();
        let widest = of_pods
            .iter()
            .enumerate()
            .max_by_key(|(at, (atoms, _))| (atoms.len(), usize::MAX - at))
            .map(|(at, _)| at);
        let default = widest.and_then(|at| of_pods.get(at)).map_or(0, |(_, value)| *value);
        let mut exceptions: Vec<(u32, ValueId)> = of_pods
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != widest)
            .flat_map(|(_, (atoms, value))| atoms.iter().map(|atom| (atom, *value)))
            .collect();
        exceptions.sort_unstable();
        Side { default, exceptions, outside }
    }
}

fn add(sums: &mut Vec<(IdSet, ValueId)>, atoms: IdSet, value: ValueId) {
    if atoms.is_empty() {
        return;
    }
    match sums.iter_mut().find(|(_, have)| *have == value) {
        Some((sum, _)) => sum.union_with(&atoms),
        None => sums.push((atoms, value)),
    }
}

/// Tables here stay far below 2^32 entries; the limits of `moat-compile` see to it.
pub(crate) fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
