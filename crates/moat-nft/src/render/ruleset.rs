//! The ruleset of one node as it changes.

use super::base::Dispatchers;
use super::draft::Draft;
use super::layer::{Layer, Lead, Work};
use super::renumber;
use super::{DIRECTIONS, Node, Refused, Rendered, Settings, base, local};
use crate::edit::Edit;
use crate::model::Table;
use crate::reason::Reasons;
use moat_ir::{Bound, PodIdx, ProgramId, Splice, SymbolicIr};
use std::net::IpAddr;

/// The ruleset of one node, which follows changes of pods and policies: after each it is what [`super::render`] makes of the new state,
/// for far less work.
#[derive(Clone, Debug)]
pub struct Ruleset {
    settings: Settings,
    draft: Draft,
    in_force: Layer,
    staged: Option<Layer>,
    refused: Vec<Refused>,
    /// Of `refused`, those of what is staged.
    refused_staged: Vec<Refused>,
    dispatchers: Dispatchers,
    /// What pods are dispatched by.
    dispatched: Dispatched,
}

/// What decides where packets of local pods are led: their addresses, each with its programs, and where such addresses lie.
#[derive(Clone, PartialEq, Debug, Default)]
struct Dispatched {
    node: Node,
    pods: Vec<(PodIdx, IpAddr)>,
    programs: Vec<[Option<ProgramId>; 2]>,
}

impl Dispatched {
    fn new(bound: &Bound, node: Node, pods: Vec<(PodIdx, IpAddr)>) -> Self {
        let programs = |idx: PodIdx| DIRECTIONS.map(|at| bound.class_of(idx).program(at));
        let programs = pods.iter().map(|&(idx, _)| programs(idx)).collect();
        Self { node, pods, programs }
    }

    /// The same pods at the same addresses, with the programs that they have now.
    fn again(&self, bound: &Bound) -> Self {
        Self::new(bound, self.node.clone(), self.pods.clone())
    }

    /// What becomes of addresses other than before.
    fn changes(&self, old: &Self, retold: Retold<'_>) -> Vec<Lead> {
        let (mut before, mut after) = (old.all().peekable(), self.all().peekable());
        let (mut went, mut came, mut stays) = (Vec::new(), Vec::new(), Vec::new());
        // Both are in rising order of pods.
        loop {
            match (before.peek(), after.peek()) {
                (Some(own), Some(now)) if own.0 == now.0 => {
                    stays.push((*now, own.1));
                    before.next();
                    after.next();
                }
                (Some(own), Some(now)) if own.0.0 <= now.0.0 => went.extend(before.next()),
                (Some(_), None) => went.extend(before.next()),
                (_, Some(_)) => came.extend(after.next()),
                (None, None) => break,
            }
        }
        let had = |address: IpAddr| went.iter().find(|((_, own), _)| *own == address);
        let came_from = came.iter().map(|now| (*now, had(now.0.1).map(|own| own.1)));
        let known = stays.iter().map(|(now, before)| (*now, Some(*before)));
        let mut changes = Vec::new();
        for (((idx, address), programs), before) in known.chain(came_from) {
            for (at, (direction, &program)) in DIRECTIONS.into_iter().zip(programs).enumerate() {
                if before.and_then(|own| own.get(at)) != Some(&program) || retold.has(program) {
                    let to = program.map(|program| (idx, program));
                    changes.push(Lead { direction, address, to });
                }
            }
        }
        let is_gone = |address: IpAddr| !came.iter().any(|((_, own), _)| *own == address);
        for &((_, address), _) in went.iter().filter(|((_, address), _)| is_gone(*address)) {
            changes.extend(DIRECTIONS.map(|direction| Lead { direction, address, to: None }));
        }
        changes
    }

    /// The pods by their addresses, each with its programs.
    fn all(&self) -> impl Iterator<Item = ((PodIdx, IpAddr), &[Option<ProgramId>; 2])> {
        self.pods.iter().copied().zip(&self.programs)
    }

    /// Whether the same addresses are local, whatever becomes of their packets.
    fn is_same_place(&self, other: &Self) -> bool {
        let address = |own: &(PodIdx, IpAddr)| own.1;
        self.node.pod_addresses == other.node.pod_addresses
            && self.pods.iter().map(address).eq(other.pods.iter().map(address))
    }

    /// Whether these addresses are those of pods elsewhere, as they were and as they are.
    fn is_elsewhere(&self, bound: &Bound, node: &Node, addresses: &[IpAddr]) -> bool {
        let was = |address| self.pods.iter().any(|(_, own)| own == address);
        let is = |address| {
            let pod = bound.pod_by_address.get(address);
            pod.is_some_and(|idx| node.pods.binary_search(idx).is_ok())
        };
        self.node == *node && !addresses.iter().any(|address| was(address) || is(address))
    }
}

/// Which programs mean something else than before.
#[derive(Clone, Copy)]
enum Retold<'a> {
    None,
    /// In rising order.
    These(&'a [ProgramId]),
    All,
}

impl Retold<'_> {
    fn has(self, program: Option<ProgramId>) -> bool {
        match self {
            Self::None => false,
            Self::These(all) => program.is_some_and(|own| all.binary_search(&own).is_ok()),
            Self::All => true,
        }
    }
}

/// What may differ from the state before.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Only the pods that have one of these addresses, or had: labels, class, node or the addresses themselves. Policies, the treatment
    /// of all other pods and [`moat_ir::AtomTable`]'s addresses are the same.
    Addresses(&'a [IpAddr]),
    /// Only one policy, and the programs that mean something else now, or came.
    Policy(&'a Splice, &'a [ProgramId]),
    /// Only policies, which were these: pods, classes and atoms are the same.
    Policies(&'a SymbolicIr),
    /// Anything.
    All,
}

impl Ruleset {
    /// Makes the ruleset of a node; `staged` is as for [`super::render_staged`].
    #[must_use]
    pub fn new(bound: &Bound, staged: Option<&Bound>, node: &Node, settings: &Settings) -> Self {
        let table = Table::new(&settings.table);
        let mut ruleset = Self {
            settings: settings.clone(),
            draft: Draft::new(table),
            in_force: Layer::default(),
            staged: None,
            refused: Vec::new(),
            refused_staged: Vec::new(),
            dispatchers: Dispatchers::default(),
            dispatched: Dispatched::default(),
        };
        base::entrances(&mut ruleset.draft, settings);
        if let Some(staged) = staged {
            let mut layer = Layer { staged: true, ..Layer::new(staged) };
            let mut work = Work::new(staged, settings, &mut ruleset.draft, &mut layer);
            let all = Dispatched::new(staged, node.clone(), local(staged, node));
            let leads = all.changes(&Dispatched::default(), Retold::All);
            work.dispatch(&leads, &all.pods, false, Some(bound));
            ruleset.refused_staged = work.refused();
            ruleset.staged = Some(layer);
        }
        ruleset.in_force = Layer::new(bound);
        ruleset.dispatch(bound, node, Retold::All);
        ruleset.draft.settle();
        ruleset
    }

    /// The ruleset.
    #[must_use]
    pub fn table(&self) -> &Table {
        self.draft.table()
    }

    /// The reasons that it can give, and those of staged policies.
    #[must_use]
    pub fn reasons(&self) -> (&Reasons, Option<&Reasons>) {
        (&self.in_force.reasons, self.staged.as_ref().map(|layer| &layer.reasons))
    }

    /// Programs that are too large; their pods are closed in that direction.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The ruleset by itself.
    #[must_use]
    pub fn into_rendered(self) -> Rendered {
        Rendered {
            table: self.draft.into_table(),
            reasons: self.in_force.reasons,
            staged: self.staged.map(|layer| layer.reasons).unwrap_or_default(),
            refused: self.refused,
        }
    }

    /// Follows a change; gives what it does to the ruleset.
    ///
    /// `what` says what may differ; if it says less than is true, the ruleset is wrong. While policies are staged, everything is made
    /// again whatever it says.
    pub fn follow(
        &mut self,
        bound: &Bound,
        staged: Option<&Bound>,
        node: &Node,
        what: What<'_>,
    ) -> Edit {
        let what = if staged.is_some() || self.staged.is_some() { What::All } else { what };
        match what {
            What::All => {
                let new = Self::new(bound, staged, node, &self.settings);
                let edit = Edit::remaking(self.table(), new.table());
                *self = new;
                return edit;
            }
            What::Policy(splice, programs) => {
                renumber::follow(&mut self.in_force.reasons, splice);
                let known = &mut self.in_force.meanings;
                programs.iter().for_each(|id| drop(known.remove(id)));
                self.dispatch(bound, node, Retold::These(programs));
            }
            What::Policies(before) => {
                renumber::renumber(&mut self.in_force.reasons, before, &bound.symbolic);
                self.in_force.meanings.clear();
                self.dispatch(bound, node, Retold::All);
            }
            What::Addresses(addresses) => {
                self.work(bound).readdress(addresses);
                if self.dispatched.is_elsewhere(bound, node, addresses) {
                    self.note_refused(bound);
                } else {
                    self.dispatch(bound, node, Retold::None);
                }
            }
        }
        self.draft.take()
    }

    fn work<'a>(&'a mut self, bound: &'a Bound) -> Work<'a> {
        Work::new(bound, &self.settings, &mut self.draft, &mut self.in_force)
    }

    /// Leads local pods to their groups. Only `retold` are different if these are not none, and pods are the same.
    fn dispatch(&mut self, bound: &Bound, node: &Node, retold: Retold<'_>) {
        let old = core::mem::take(&mut self.dispatched);
        let now = if matches!(retold, Retold::None) || old.node != *node {
            Dispatched::new(bound, node.clone(), local(bound, node))
        } else {
            old.again(bound)
        };
        let changes = now.changes(&old, retold);
        let is_same_place = now.is_same_place(&old);
        if !changes.is_empty() || !is_same_place || self.in_force.maps.is_empty() {
            let is_other = self.work(bound).dispatch(&changes, &now.pods, is_same_place, None);
            if is_other || !is_same_place {
                let layers: Vec<&Layer> = self.staged.iter().chain([&self.in_force]).collect();
                base::dispatchers(&mut self.draft, node, &now.pods, &layers, &mut self.dispatchers);
            }
        }
        self.dispatched = now;
        self.note_refused(bound);
    }

    fn note_refused(&mut self, bound: &Bound) {
        self.refused = self.work(bound).refused();
        self.refused.extend(self.refused_staged.iter().cloned());
    }
}
