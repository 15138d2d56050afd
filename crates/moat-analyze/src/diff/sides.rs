//! One state as the diff reads it: what each program says of each peer, with ports by number.

use super::pool::{EVERYTHING, NOTHING, Pool, Ports, PortsId};
use moat_ir::{Bound, Cell, ClassIdx, Direction, Management, ProgramId};
use moat_sets::{IdSet, PortSet};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// Index of a side in [`State::sides`].
pub(crate) type SideId = u32;

/// A program, and whether it is open if policies apply at all; `None` when none can apply.
type Key = Option<(ProgramId, bool)>;

/// One of the two states.
#[derive(Debug)]
pub(crate) struct State<'b> {
    pub(crate) bound: &'b Bound,
    /// Peers with their ports, the largest set first; `None` where every peer may use every port.
    sides: Vec<Option<Vec<(IdSet, PortsId)>>>,
    /// The sides of each class, for ingress and egress.
    of_class: Vec<[SideId; 2]>,
}

impl<'b> State<'b> {
    pub(crate) fn new(bound: &'b Bound, pool: &mut Pool) -> Self {
        let mut keys: Vec<Key> = Vec::new();
        let mut ids: FxHashMap<Key, SideId> = FxHashMap::default();
        let mut of_class = Vec::with_capacity(bound.classes.len());
        for class in &bound.classes {
            of_class.push(Direction::BOTH.map(|direction| {
                let key = class
                    .program(direction)
                    .map(|id| (id, class.management == Management::Undefined));
                *ids.entry(key).or_insert_with(|| {
                    keys.push(key);
                    index(keys.len() - 1)
                })
            }));
        }
        let regions: Vec<Option<(Vec<Cell>, bool)>> = keys
            .par_iter()
            .map(|key| key.map(|(id, doubt)| (bound.regions(bound.program(id)), doubt)))
            .collect();
        let sides = regions
            .into_iter()
            .map(|regions| {
                let (cells, doubt) = regions?;
                let number = |cell: Cell| {
                    let undefined = if doubt { PortSet::all() } else { cell.undefined };
                    (cell.peers, pool.intern(Ports::new(cell.allow, &undefined)))
                };
                let mut cells: Vec<(IdSet, PortsId)> = cells.into_iter().map(number).collect();
                cells.sort_by_key(|(peers, _)| core::cmp::Reverse(peers.len()));
                Some(cells)
            })
            .collect();
        Self { bound, sides, of_class }
    }

    pub(crate) fn side(&self, class: ClassIdx, direction: Direction) -> SideId {
        let [ingress, egress] = self.of_class[class as usize];
        if direction == Direction::Ingress { ingress } else { egress }
    }

    /// What a side says of one peer.
    pub(crate) fn at(&self, side: SideId, atom: u32) -> PortsId {
        let Some(cells) = &self.sides[side as usize] else { return EVERYTHING };
        cells.iter().find(|(peers, _)| peers.contains(atom)).map_or(NOTHING, |(_, id)| *id)
    }

    /// What a side says of every peer.
    pub(crate) fn spread(&self, side: SideId) -> Vec<PortsId> {
        let n_atoms = self.bound.atoms.len() as usize;
        let Some(cells) = &self.sides[side as usize] else { return vec![EVERYTHING; n_atoms] };
        let mut out = vec![NOTHING; n_atoms];
        for (peers, id) in cells.iter().filter(|(_, id)| *id != NOTHING) {
            for atom in peers.iter() {
                out[atom as usize] = *id;
            }
        }
        out
    }

    /// What policies allow between two classes, by any IP family that both have.
    pub(crate) fn pair(&self, pool: &mut Pool, from: ClassIdx, to: ClassIdx) -> PortsId {
        let (egress, ingress) =
            (self.side(from, Direction::Egress), self.side(to, Direction::Ingress));
        let (source, destination) = (self.bound.class(from), self.bound.class(to));
        let mut sum = None;
        for (a, b) in source.atoms.into_iter().zip(destination.atoms) {
            if let (Some(a), Some(b)) = (a, b) {
                let both = pool.both(self.at(egress, b), self.at(ingress, a));
                sum = Some(sum.map_or(both, |sum| pool.either(sum, both)));
            }
        }
        sum.unwrap_or_else(|| {
            // Without a common family each end is looked up by what it has, as the interpreter for one flow does.
            let any = |atoms: [Option<u32>; 2]| atoms.into_iter().flatten().next();
            let says = |side: SideId, atom: Option<u32>| match atom {
                Some(atom) => self.at(side, atom),
                None if self.sides[side as usize].is_none() => EVERYTHING,
                None => NOTHING,
            };
            pool.both(says(egress, any(destination.atoms)), says(ingress, any(source.atoms)))
        })
    }
}

/// Tables here stay far below 2^32 entries; the limits of `moat-compile` see to it.
pub(crate) fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
