//! One change as a sequence of transactions, such that no packet passes that the old table and the new one deny.
//!
//! Where the change is one of the renderer's layout, that is its [`Way`]; what is new is made before it, in as many transactions as it
//! takes, because a transaction has to fit into the socket's buffer, which is small inside a user namespace. Any other change is made
//! beside what packets see, and switched to by base chains alone.

pub(super) use super::batch::Batch;
use super::batch::bound;
use moat_nft::edit::{Edit, looked_up};
use moat_nft::model::{Chain, Element, Name, Op, Rule, Statement, Table, Verdict};
use moat_nft::plan::plan;
use moat_nft::way::{Gates, Uses, Way};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What decides how a change is split.
pub(super) struct Splitter<'a> {
    /// The most that fits into one transaction.
    pub(super) limit: usize,
    /// What a step takes of that.
    pub(super) size: &'a (dyn Fn(&Op) -> usize + Sync),
    /// By which dispatch maps are known.
    pub(super) gates: &'a Gates,
}

/// A sequence of transactions.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// What makes the change.
    pub(super) now: VecDeque<Batch>,
    /// What takes away afterwards what no packet meets any more.
    pub(super) late: VecDeque<Batch>,
    /// Names that are used on the way, and what they stand for.
    pub(super) aliases: BTreeMap<Name, Name>,
    /// Addresses of local pods that are closed meanwhile.
    pub(super) closed: BTreeSet<Element>,
}

/// A step or a switch that is larger than one transaction can be; its size.
#[derive(Debug)]
pub(super) struct Oversize(pub(super) usize);

/// A chain or a set; they have separate names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    Chain(Name),
    Set(Name),
}

impl Splitter<'_> {
    /// The way from what is installed to what is wanted. `closed` is the wanted table with all gates closed.
    ///
    /// A first load that does not fit begins with `closed`: base chains first, so that from the first transaction on nothing to or
    /// from a pod passes unjudged; the pods' groups are opened by the switch at the end. The other order would let everything pass
    /// for as long as the load takes. Where nothing can be closed, base chains come last: closed chains without gates would cut off the
    /// node itself.
    pub(super) fn sequence(
        &self,
        installed: Option<&Table>,
        wanted: &Table,
        closed: &dyn Fn() -> Table,
    ) -> Result<Sequence, Oversize> {
        let mut to = Sequence::default();
        let start;
        let installed = match installed {
            Some(installed) => installed,
            None => {
                let all = plan(None, wanted);
                // Nothing to wait for: no packet is judged by rules that are not there.
                if self.fits(&all) {
                    to.now.push_back(Batch { ops: all, ..Batch::default() });
                    return Ok(to);
                }
                let closed = closed();
                start = if closed == *wanted { Table::new(&wanted.name) } else { closed };
                self.one(plan(None, &start), false, &mut to.now)?;
                to.now.iter_mut().for_each(|batch| batch.switches = false);
                &start
            }
        };
        if let Some(edit) = Edit::between(installed, wanted) {
            let uses = Uses::new(installed, self.gates);
            if let Some(way) = Way::of(&edit, installed, &uses)
                && self.by_way(way, &mut to).is_some()
            {
                return Ok(to);
            }
        }
        self.by_aliases(installed, wanted, &mut to)?;
        Ok(to)
    }

    /// The transactions of a way; `None` if one that cannot be split does not fit.
    pub(super) fn by_way(&self, way: Way, to: &mut Sequence) -> Option<()> {
        let n_now = way.n_now;
        let mut edits: Vec<Vec<Batch>> = Vec::new();
        for (at, edit) in way.edits.into_iter().enumerate() {
            let touched = if at + 1 == n_now { &way.touched } else { &BTreeSet::new() };
            edits.push(self.batches(edit, at >= n_now, at > 0, touched)?);
        }
        for (at, batches) in edits.into_iter().enumerate() {
            if at < n_now { &mut to.now } else { &mut to.late }.extend(batches);
        }
        to.closed = way.closed;
        Some(())
    }

    /// An edit of a way as transactions. What only takes away can be split anywhere, and of the rest what is new.
    fn batches(
        &self,
        mut edit: Edit,
        late: bool,
        grace: bool,
        touched: &BTreeSet<Element>,
    ) -> Option<Vec<Batch>> {
        // Only chains that packets enter are dropped with a switch.
        let drops = !late && !edit.drop_chains.is_empty();
        let switches = drops || !edit.refill.is_empty() || edit.make_chains.values().any(is_base);
        let ops = edit.ops();
        let mut batches = VecDeque::new();
        if self.fits(&ops) {
            batches.push_back(Batch { ops, grace, switches, touched: touched.clone() });
            return Some(batches.into());
        }
        if late && !switches {
            self.many(ops, grace, &mut batches).ok()?;
            return Some(batches.into());
        }
        let mut make = Edit { make_sets: core::mem::take(&mut edit.make_sets), ..Edit::default() };
        let (bases, chains) = edit.make_chains.into_iter().partition(|(_, chain)| is_base(chain));
        (edit.make_chains, make.make_chains) = (bases, chains);
        self.many(make.ops(), grace, &mut batches).ok()?;
        let ops = edit.ops();
        if !self.fits(&ops) {
            return None;
        }
        if !ops.is_empty() {
            batches.push_back(Batch { ops, grace, switches, touched: touched.clone() });
        }
        Some(batches.into())
    }

    /// What changes under its name is built under another, packets are switched over by the base chains alone, what they do not see any
    /// more is made what is wanted, and they are switched back.
    fn by_aliases(
        &self,
        installed: &Table,
        wanted: &Table,
        to: &mut Sequence,
    ) -> Result<(), Oversize> {
        let aliases = Aliases::between(installed, wanted);

        let mut built = installed.clone();
        aliases.add(wanted, &mut built);
        for (name, chain) in wanted.chains.iter().filter(|(_, chain)| !is_base(chain)) {
            if aliases.is_new(&Part::Chain(name.clone())) {
                built.chains.insert(name.clone(), chain.clone());
            }
        }
        for (name, set) in &wanted.sets {
            if aliases.is_new(&Part::Set(name.clone())) {
                built.sets.insert(name.clone(), set.clone());
            }
        }

        let mut switched = built.clone();
        switched.chains.retain(|_, chain| !is_base(chain));
        let mut bases = BTreeMap::new();
        for (name, chain) in wanted.chains.iter().filter(|(_, chain)| is_base(chain)) {
            let name = aliases.of(&Part::Chain(name.clone())).unwrap_or(name);
            bases.insert(name.clone(), aliases.chain(chain));
        }
        switched.chains.extend(bases.clone());

        let mut settled = wanted.clone();
        settled.chains.retain(|_, chain| !is_base(chain));
        settled.chains.extend(bases);
        aliases.add(wanted, &mut settled);

        let mut returned = wanted.clone();
        aliases.add(wanted, &mut returned);

        let Sequence { now, late, .. } = to;
        self.many(plan(Some(installed), &built), false, now)?;
        self.one(plan(Some(&built), &switched), true, now)?;
        self.many(plan(Some(&switched), &settled), true, now)?;
        self.one(plan(Some(&settled), &returned), true, now)?;
        self.many(plan(Some(&returned), wanted), true, late)?;
        to.aliases = aliases.names.iter().map(|(part, name)| (name.clone(), part.name())).collect();
        Ok(())
    }

    fn fits(&self, ops: &[Op]) -> bool {
        // To know the size of a step it has to be written; mostly one look at it says that it is small.
        let at_most = ops.iter().map(bound).fold(0, usize::saturating_add);
        at_most <= self.limit || self.total(ops) <= self.limit
    }

    fn total(&self, ops: &[Op]) -> usize {
        ops.iter().map(self.size).fold(0, usize::saturating_add)
    }

    /// Steps that only make sense together, and that switch packets.
    fn one(&self, ops: Vec<Op>, grace: bool, to: &mut VecDeque<Batch>) -> Result<(), Oversize> {
        let total = self.total(&ops);
        if total > self.limit {
            return Err(Oversize(total));
        }
        if !ops.is_empty() {
            to.push_back(Batch { ops, grace, switches: true, ..Batch::default() });
        }
        Ok(())
    }

    /// Steps about what no packet sees: in as few transactions as fit.
    fn many(&self, ops: Vec<Op>, grace: bool, to: &mut VecDeque<Batch>) -> Result<(), Oversize> {
        let n_before = to.len();
        let batch = |ops| Batch { ops, ..Batch::default() };
        let mut waiting = ops;
        waiting.reverse();
        let (mut now, mut used) = (Vec::new(), 0_usize);
        while let Some(op) = waiting.pop() {
            let size = (self.size)(&op);
            if used.saturating_add(size) <= self.limit {
                used += size;
                now.push(op);
                continue;
            }
            match halves(op) {
                Ok((first, second)) => waiting.extend([second, first]),
                Err(_) if size > self.limit => return Err(Oversize(size)),
                Err(op) => {
                    to.push_back(batch(core::mem::take(&mut now)));
                    used = 0;
                    waiting.push(op);
                }
            }
        }
        if !now.is_empty() {
            to.push_back(batch(now));
        }
        // One grace does for all of them.
        if let Some(first) = to.get_mut(n_before) {
            first.grace = grace;
        }
        Ok(())
    }
}

fn is_base(chain: &Chain) -> bool {
    chain.base.is_some()
}

/// A step on many elements as two; any other as it is.
fn halves(op: Op) -> Result<(Op, Op), Op> {
    type Elements = Vec<(Element, Option<Verdict>)>;
    fn cut(mut elements: Elements) -> (Elements, Elements) {
        let second = elements.split_off(elements.len() / 2);
        (elements, second)
    }
    match op {
        Op::AddElements(name, elements) if elements.len() > 1 => {
            let (first, second) = cut(elements);
            Ok((Op::AddElements(name.clone(), first), Op::AddElements(name, second)))
        }
        Op::DelElements(name, elements) if elements.len() > 1 => {
            let (first, second) = cut(elements);
            Ok((Op::DelElements(name.clone(), first), Op::DelElements(name, second)))
        }
        other => Err(other),
    }
}

/// How a part of the wanted table relates to what is installed, with all that it leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It is there already.
    Same,
    /// Nothing of its name is there.
    New,
    /// Something else is there under its name, or under the name of something it leads to.
    Changed,
}

/// Names under which changed parts are built.
struct Aliases {
    fits: BTreeMap<Part, Fit>,
    names: BTreeMap<Part, Name>,
}

impl Aliases {
    fn between(installed: &Table, wanted: &Table) -> Self {
        let mut aliases = Self { fits: BTreeMap::new(), names: BTreeMap::new() };
        let parts = parts(wanted);
        for part in &parts {
            aliases.fit(part, installed, wanted);
        }
        // No prefix that a run before this one may have left behind.
        let taken: BTreeSet<&Name> = [installed, wanted]
            .into_iter()
            .flat_map(|table| table.chains.keys().chain(table.sets.keys()))
            .collect();
        let free = |n: &usize| !taken.iter().any(|name| name.starts_with(&format!("moving{n}_")));
        let n = (0..=taken.len()).find(free).unwrap_or_default();
        let base = |part: &Part, table: &Table| match part {
            Part::Chain(name) => table.chains.get(name).is_some_and(|chain| chain.base.is_some()),
            Part::Set(_) => false,
        };
        for (at, part) in parts.into_iter().enumerate() {
            let moves = if base(&part, wanted) {
                // A base chain changes in place, except where its name is one that others lead to.
                let Part::Chain(name) = &part else { continue };
                installed.chains.get(name).is_some_and(|chain| chain.base.is_none())
            } else {
                aliases.fits.get(&part) == Some(&Fit::Changed)
            };
            if moves {
                aliases.names.insert(part, format!("moving{n}_{at}").into());
            }
        }
        aliases
    }

    fn fit(&mut self, part: &Part, installed: &Table, wanted: &Table) -> Fit {
        if let Some(&fit) = self.fits.get(part) {
            return fit;
        }
        // What is asked for again before it is known is part of a loop, which the kernel refuses.
        self.fits.insert(part.clone(), Fit::Changed);
        let own = match part {
            Part::Chain(name) => match installed.chains.get(name) {
                None => Fit::New,
                old if old == wanted.chains.get(name) => Fit::Same,
                Some(_) => Fit::Changed,
            },
            Part::Set(name) => match installed.sets.get(name) {
                None => Fit::New,
                old if old == wanted.sets.get(name) => Fit::Same,
                Some(_) => Fit::Changed,
            },
        };
        let mut fit = own;
        for next in leads_to(wanted, part) {
            let other = self.fit(&next, installed, wanted);
            if other == Fit::Changed || (own == Fit::Same && other != Fit::Same) {
                fit = Fit::Changed;
            }
        }
        self.fits.insert(part.clone(), fit);
        fit
    }

    fn is_new(&self, part: &Part) -> bool {
        self.fits.get(part) == Some(&Fit::New)
    }

    fn of(&self, part: &Part) -> Option<&Name> {
        self.names.get(part)
    }

    /// Adds the aliases of the wanted parts that packets are led to; base chains switch by themselves.
    fn add(&self, wanted: &Table, to: &mut Table) {
        for (part, alias) in &self.names {
            match part {
                Part::Chain(name) => {
                    if let Some(chain) =
                        wanted.chains.get(name).filter(|chain| chain.base.is_none())
                    {
                        to.chains.insert(alias.clone(), self.chain(chain));
                    }
                }
                Part::Set(name) => {
                    if let Some(set) = wanted.sets.get(name) {
                        let mut own = set.clone();
                        own.elements.values_mut().flatten().for_each(|end| self.verdict(end));
                        to.sets.insert(alias.clone(), own);
                    }
                }
            }
        }
    }

    fn chain(&self, chain: &Chain) -> Chain {
        let mut own = chain.clone();
        own.rules.iter_mut().for_each(|rule| self.rule(rule));
        own
    }

    fn rule(&self, rule: &mut Rule) {
        for statement in &mut rule.statements {
            match statement {
                Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => {
                    if let Some(alias) = self.of(&Part::Set(name.clone())) {
                        *name = alias.clone();
                    }
                }
                Statement::Verdict(verdict) => self.verdict(verdict),
                _ => {}
            }
        }
    }

    fn verdict(&self, verdict: &mut Verdict) {
        if let Verdict::Jump(name) | Verdict::Goto(name) = verdict
            && let Some(alias) = self.of(&Part::Chain(name.clone()))
        {
            *name = alias.clone();
        }
    }
}

impl Part {
    pub(super) fn name(&self) -> Name {
        match self {
            Self::Chain(name) | Self::Set(name) => name.clone(),
        }
    }

    /// What a step is about; `None` for the table as a whole.
    pub(super) fn of(op: &Op) -> Option<Self> {
        match op {
            Op::AddTable | Op::DelTable => None,
            Op::AddChain(name, _)
            | Op::FlushChain(name)
            | Op::AddRule(name, _)
            | Op::DelChain(name) => Some(Self::Chain(name.clone())),
            Op::AddSet(name, _)
            | Op::AddElements(name, _)
            | Op::DelElements(name, _)
            | Op::DelSet(name) => Some(Self::Set(name.clone())),
        }
    }
}

/// All chains and sets.
pub(super) fn parts(table: &Table) -> Vec<Part> {
    let chains = table.chains.keys().cloned().map(Part::Chain);
    chains.chain(table.sets.keys().cloned().map(Part::Set)).collect()
}

/// The chains and sets that a part names.
pub(super) fn leads_to(table: &Table, part: &Part) -> BTreeSet<Part> {
    let target = |verdict: &Verdict| match verdict {
        Verdict::Jump(name) | Verdict::Goto(name) => Some(Part::Chain(name.clone())),
        _ => None,
    };
    match part {
        Part::Chain(name) => table
            .chains
            .get(name)
            .into_iter()
            .flat_map(|chain| &chain.rules)
            .flat_map(|rule| {
                let ends = rule.statements.iter().filter_map(|statement| match statement {
                    Statement::Verdict(verdict) => target(verdict),
                    _ => None,
                });
                ends.chain(looked_up(rule).cloned().map(Part::Set))
            })
            .collect(),
        Part::Set(name) => {
            let set = table.sets.get(name).into_iter();
            set.flat_map(|set| set.elements.values()).flatten().filter_map(target).collect()
        }
    }
}
