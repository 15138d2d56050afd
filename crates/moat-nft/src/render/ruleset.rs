//! The ruleset of one node as it changes.

use super::draft::Draft;
use super::layer::{Layer, Work};
use super::renumber;
use super::{DIRECTIONS, Node, Refused, Rendered, Settings, base, local};
use crate::edit::Edit;
use crate::model::{Name, Table};
use crate::reason::Reasons;
use moat_ir::{Bound, PodIdx, ProgramId, Splice, SymbolicIr};
use moat_sets::AddrSet;
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
    /// The sets of local addresses.
    locals: Vec<Name>,
    /// What pods are dispatched by.
    dispatched: Dispatched,
}

/// What decides where packets of local pods are led: their addresses, each with its programs, and where such addresses lie.
#[derive(Clone, PartialEq, Debug, Default)]
struct Dispatched {
    pods: Vec<(IpAddr, [Option<ProgramId>; 2])>,
    pod_addresses: AddrSet,
}

impl Dispatched {
    fn new(bound: &Bound, node: &Node, pods: &[(PodIdx, IpAddr)]) -> Self {
        let programs = |idx: PodIdx| DIRECTIONS.map(|at| bound.class_of(idx).program(at));
        let pods = pods.iter().map(|&(idx, address)| (address, programs(idx))).collect();
        Self { pods, pod_addresses: node.pod_addresses.clone() }
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
            locals: Vec::new(),
            dispatched: Dispatched::default(),
        };
        base::entrances(&mut ruleset.draft, settings);
        if let Some(staged) = staged {
            let mut layer = Layer { staged: true, ..Layer::new(staged) };
            let draft = &mut ruleset.draft;
            let mut work = Work { bound: staged, settings, draft, layer: &mut layer };
            work.dispatch(&local(staged, node), Some(bound));
            ruleset.refused_staged = work.refused();
            ruleset.staged = Some(layer);
        }
        ruleset.in_force = Layer::new(bound);
        ruleset.dispatch(bound, node, true);
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
                let is_known = programs.iter().filter(|id| known.remove(id).is_some()).count() > 0;
                self.dispatch(bound, node, is_known);
            }
            What::Policies(before) => {
                renumber::renumber(&mut self.in_force.reasons, before, &bound.symbolic);
                self.in_force.meanings.clear();
                self.dispatch(bound, node, true);
            }
            What::Addresses(addresses) => {
                self.work(bound).readdress(addresses);
                self.dispatch(bound, node, false);
            }
        }
        self.draft.take()
    }

    fn work<'a>(&'a mut self, bound: &'a Bound) -> Work<'a> {
        Work { bound, settings: &self.settings, draft: &mut self.draft, layer: &mut self.in_force }
    }

    /// Leads local pods to their groups; unless `always`, only if something about that is different.
    fn dispatch(&mut self, bound: &Bound, node: &Node, always: bool) {
        let pods = local(bound, node);
        let now = Dispatched::new(bound, node, &pods);
        if always || now != self.dispatched {
            self.work(bound).dispatch(&pods, None);
            let layers: Vec<&Layer> = self.staged.iter().chain([&self.in_force]).collect();
            base::dispatchers(&mut self.draft, node, &pods, &layers, &mut self.locals);
            self.dispatched = now;
        }
        self.refused = self.work(bound).refused();
        self.refused.extend(self.refused_staged.iter().cloned());
    }
}
