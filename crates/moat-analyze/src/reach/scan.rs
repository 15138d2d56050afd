//! Rows of the matrix, made one at a time with memory that is used again.

use crate::reach::matrix::{End, EndId, Matrix};
use crate::reach::sides::{SideId, index};
use crate::reach::values::{Local, NOTHING, Value, ValueId};
use moat_ir::{ClassIdx, Direction, Management, PodIdx};
use moat_sets::Family;

/// Reads rows of a [`Matrix`], for one thread.
#[derive(Debug)]
pub struct Scan<'m> {
    matrix: &'m Matrix<'m>,
    local: Local<'m>,
    /// For each direction, what each side of it says of the current peer; the sides' defaults between uses.
    column: [Vec<ValueId>; 2],
    /// What the current side says of each pod atom; valid for the side in `spread_for`.
    spread: Vec<ValueId>,
    spread_for: Option<(Direction, SideId)>,
    /// The current row by class.
    by_class: Vec<ValueId>,
    classes: Vec<ClassIdx>,
    row_for: Option<(Direction, ClassIdx)>,
    /// The current row by end.
    by_end: Vec<ValueId>,
    row: Vec<(EndId, ValueId)>,
    overlay: Vec<(EndId, bool)>,
    /// All ports that were asked for.
    everything: ValueId,
}

/// Values as one [`Scan`] sees them.
#[derive(Debug)]
pub struct Seen<'s, 'm>(&'s mut Local<'m>);

impl Seen<'_, '_> {
    /// A value.
    pub fn get(&mut self, id: ValueId) -> &Value {
        self.0.get(id)
    }
}

fn place(direction: Direction) -> usize {
    usize::from(direction == Direction::Egress)
}

impl<'m> Scan<'m> {
    pub(crate) fn new<'b: 'm>(matrix: &'m Matrix<'b>) -> Self {
        let column =
            [0, 1].map(|at: usize| matrix.sides[at].all.iter().map(|side| side.default).collect());
        Self {
            matrix,
            local: Local::new(&matrix.values),
            column,
            spread: vec![NOTHING; matrix.bound.atoms.pods.len()],
            spread_for: None,
            by_class: vec![NOTHING; matrix.bound.classes.len()],
            classes: Vec::new(),
            row_for: None,
            by_end: vec![NOTHING; matrix.ends.len()],
            row: Vec::new(),
            overlay: Vec::new(),
            everything: matrix.values.intern(matrix.asked.clone(), matrix.asked.clone()),
        }
    }

    /// Values.
    pub fn values(&mut self) -> Seen<'_, 'm> {
        Seen(&mut self.local)
    }

    /// What a source may do, by destination in order; pairs with nothing allowed and nothing in doubt are left out.
    pub fn row(&mut self, source: EndId) -> (&[(EndId, ValueId)], Seen<'_, 'm>) {
        self.row.clear();
        let matrix = self.matrix;
        let whole = match matrix.ends.get(source as usize) {
            Some(&End::Pod(pod)) => {
                let selected =
                    matrix.selected[pod as usize] && matrix.direction != Some(Direction::Ingress);
                if selected || matrix.direction != Some(Direction::Egress) {
                    self.pod_row(Direction::Egress, pod);
                }
                selected
            }
            Some(End::Outside(_)) => {
                if matrix.direction != Some(Direction::Egress) {
                    self.outside_row(source);
                }
                false
            }
            None => false,
        };
        if !whole {
            self.row.retain(|&(end, _)| matches!(matrix.ends.get(end as usize), Some(End::Pod(pod)) if matrix.selected[*pod as usize]));
        }
        (&self.row, Seen(&mut self.local))
    }

    /// The pods and outside ends a pod may reach (egress) or be reached from (ingress), whatever was selected.
    pub fn peers(
        &mut self,
        direction: Direction,
        pod: PodIdx,
    ) -> (&[(EndId, ValueId)], Seen<'_, 'm>) {
        self.row.clear();
        self.pod_row(direction, pod);
        (&self.row, Seen(&mut self.local))
    }

    /// What policies alone say of a class and every other class, by class in no order.
    pub fn class_row(
        &mut self,
        direction: Direction,
        class: ClassIdx,
    ) -> impl Iterator<Item = (ClassIdx, ValueId)> + '_ {
        self.fill_classes(direction, class);
        self.classes.iter().map(|&peer| (peer, self.by_class[peer as usize]))
    }

    fn outside_row(&mut self, source: EndId) {
        let matrix = self.matrix;
        let [ingress, _] = &matrix.sides;
        for &(side, value) in matrix.admitted.get(&source).into_iter().flatten() {
            for &class in &ingress.classes[side as usize] {
                let ends = matrix.running[class as usize]
                    .iter()
                    .filter_map(|&pod| matrix.end_of[pod as usize]);
                self.row.extend(ends.map(|end| (end, value)));
            }
        }
        self.row.sort_unstable_by_key(|&(end, _)| end);
    }

    fn pod_row(&mut self, direction: Direction, pod: PodIdx) {
        let matrix = self.matrix;
        let class = matrix.bound.pod(pod).class;
        self.fill_classes(direction, class);
        let side = matrix.sides[place(direction)].of_class[class as usize];
        let outside = &matrix.outside[place(direction)][side as usize];
        let n_pods: usize =
            self.classes.iter().map(|&class| matrix.running[class as usize].len()).sum();
        // Sorting loses against one pass over all ends as soon as a fair part of them is there.
        if n_pods * 8 > matrix.ends.len() {
            for &class in &self.classes {
                for &pod in &matrix.running[class as usize] {
                    if let Some(end) = matrix.end_of[pod as usize] {
                        self.by_end[end as usize] = self.by_class[class as usize];
                    }
                }
            }
            for &(end, value) in outside {
                self.by_end[end as usize] = value;
            }
            for (end, value) in self.by_end.iter_mut().enumerate() {
                if *value != NOTHING {
                    self.row.push((index(end), *value));
                    *value = NOTHING;
                }
            }
        } else {
            for &class in &self.classes {
                let value = self.by_class[class as usize];
                let ends = matrix.running[class as usize]
                    .iter()
                    .filter_map(|&pod| matrix.end_of[pod as usize]);
                self.row.extend(ends.map(|end| (end, value)));
            }
            self.row.extend(outside);
            self.row.sort_unstable_by_key(|&(end, _)| end);
        }
        self.exempt(direction, pod);
        let own = matrix.end_of[pod as usize];
        if let Some(at) =
            own.and_then(|own| self.row.binary_search_by_key(&own, |&(end, _)| end).ok())
        {
            self.row.remove(at);
        }
    }

    /// A node reaches its own pods whatever the policies say; where nodes are not known, it may.
    fn exempt(&mut self, direction: Direction, pod: PodIdx) {
        let matrix = self.matrix;
        let info = matrix.bound.pod(pod);
        let subject = match direction {
            Direction::Egress => info.host_network,
            Direction::Ingress => matrix.bound.class_of(pod).management != Management::Unmanaged,
        };
        if !matrix.bound.own_node_exempt || !subject {
            return;
        }
        let peers = if direction == Direction::Egress { &matrix.managed } else { &matrix.hosts };
        self.overlay.clear();
        match &info.node {
            Some(node) => {
                self.overlay
                    .extend(peers.on_node.get(node).into_iter().flatten().map(|&end| (end, true)));
                self.overlay.extend(peers.nowhere.iter().map(|&end| (end, false)));
                self.overlay.sort_unstable();
            }
            None => self.overlay.extend(peers.all.iter().map(|&end| (end, false))),
        }
        if self.overlay.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.row.len() + self.overlay.len());
        let mut have = self.row.drain(..).peekable();
        for &(end, certain) in &self.overlay {
            while let Some(cell) = have.next_if(|&(other, _)| other < end) {
                merged.push(cell);
            }
            let before =
                have.next_if(|&(other, _)| other == end).map_or(NOTHING, |(_, value)| value);
            let value =
                if certain { self.everything } else { self.local.doubted(before, &matrix.asked) };
            merged.push((end, value));
        }
        merged.extend(have);
        self.row = merged;
    }

    /// Fills `by_class` and `classes` with what policies say of a class and every other.
    fn fill_classes(&mut self, direction: Direction, class: ClassIdx) {
        if self.row_for == Some((direction, class)) {
            return;
        }
        for &class in &self.classes {
            self.by_class[class as usize] = NOTHING;
        }
        self.classes.clear();
        self.row_for = Some((direction, class));
        let atoms = self.matrix.bound.class(class).atoms;
        for (family, atom) in Family::BOTH.into_iter().zip(atoms) {
            if let Some(atom) = atom {
                let only = atoms.iter().flatten().count() == 1;
                self.fill_family(direction, class, family, atom, only);
            }
        }
    }

    /// Adds what may be said by one family. A class with only this family also meets classes that lack it, as the flow's
    /// interpreter has it: a peer without an address of the family stands there with the one it has.
    fn fill_family(
        &mut self,
        direction: Direction,
        class: ClassIdx,
        family: Family,
        atom: u32,
        only: bool,
    ) {
        let matrix = self.matrix;
        let bound = matrix.bound;
        let first = bound.atoms.first_pod();
        let (mine, theirs) = (&matrix.sides[place(direction)], &matrix.sides[1 - place(direction)]);
        let own_id = mine.of_class[class as usize];
        let own = &mine.all[own_id as usize];
        let singled = &theirs.by_atom[(atom - first) as usize];
        let column = &mut self.column[1 - place(direction)];
        for &(side, value) in singled {
            column[side as usize] = value;
        }
        let meets = |atoms: &[Option<u32>; 2]| {
            let [v4, v6] = *atoms;
            let (same, rest) = if family == Family::V4 { (v4, v6) } else { (v6, v4) };
            same.or(rest.filter(|_| only))
        };
        if own.default == NOTHING {
            for &(atom, value) in own.exceptions.iter().filter(|(_, value)| *value != NOTHING) {
                let Some(&(peer, _)) = bound.atoms.pods.get((atom - first) as usize) else {
                    continue;
                };
                if matrix.running[peer as usize].is_empty()
                    || meets(&bound.class(peer).atoms) != Some(atom)
                {
                    continue;
                }
                let says = column[theirs.of_class[peer as usize] as usize];
                let both = self.local.both(value, says);
                put(&mut self.by_class, &mut self.classes, &mut self.local, peer, both);
            }
        } else {
            if self.spread_for != Some((direction, own_id)) {
                self.spread.fill(own.default);
                for &(atom, value) in &own.exceptions {
                    self.spread[(atom - first) as usize] = value;
                }
                self.spread_for = Some((direction, own_id));
            }
            let generous = theirs.generous.iter().copied();
            let strict = singled
                .iter()
                .map(|&(side, _)| side)
                .filter(|&side| theirs.all[side as usize].default == NOTHING);
            for side in generous.chain(strict) {
                let says = column[side as usize];
                if says == NOTHING {
                    continue;
                }
                for &peer in &theirs.classes[side as usize] {
                    let Some(atom) = meets(&bound.class(peer).atoms) else { continue };
                    let both = self.local.both(self.spread[(atom - first) as usize], says);
                    put(&mut self.by_class, &mut self.classes, &mut self.local, peer, both);
                }
            }
        }
        for &(side, _) in singled {
            column[side as usize] = theirs.all[side as usize].default;
        }
    }
}

fn put(
    by_class: &mut [ValueId],
    classes: &mut Vec<ClassIdx>,
    local: &mut Local<'_>,
    peer: ClassIdx,
    value: ValueId,
) {
    if value == NOTHING {
        return;
    }
    let slot = &mut by_class[peer as usize];
    if *slot == NOTHING {
        classes.push(peer);
        *slot = value;
    } else {
        *slot = local.either(*slot, value);
    }
}
