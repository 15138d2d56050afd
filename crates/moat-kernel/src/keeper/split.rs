//! One change as a sequence of transactions, after each of which every packet is judged by the old table or by the new one.
//!
//! It is a sequence for two reasons. A transaction has to fit into the socket's buffer, which is small inside a user namespace. And even
//! where it fits, a chain must be there one transaction before something leads to it: in the kernel a packet keeps the generation in
//! which it began for the rules that it walks (`nft_do_chain`), but looks elements up in the generation of the moment
//! (`nft_genmask_cur`), so it can be led by a new element into a new chain, whose rules of the old generation are none; it would fall
//! out of that chain as if nothing had been said.

use moat_nft::model::{Chain, Element, Name, Op, Rule, Set, Statement, Table, Verdict};
use moat_nft::plan::plan;
use std::collections::{BTreeMap, BTreeSet};

/// What decides how a change is split.
pub(super) struct Splitter<'a> {
    /// The most that fits into one transaction.
    pub(super) limit: usize,
    /// What a step takes of that.
    pub(super) size: &'a (dyn Fn(&Op) -> usize + Sync),
}

/// A sequence of transactions.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    pub(super) transactions: Vec<Vec<Op>>,
    /// Names that are used on the way, and what they stand for.
    pub(super) aliases: BTreeMap<Name, Name>,
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
        closed: &Table,
    ) -> Result<Sequence, Oversize> {
        let mut to = Sequence::default();
        let installed = match installed {
            None => {
                let all = plan(None, wanted);
                if self.fits(&all) {
                    to.transactions.push(all);
                    return Ok(to);
                }
                let start = if closed == wanted { &Table::new(&wanted.name) } else { closed };
                self.one(plan(None, start), &mut to)?;
                start.clone()
            }
            Some(installed) => installed.clone(),
        };
        if let Some(beside) = beside(&installed, wanted) {
            let building = plan(Some(&installed), &beside);
            let rest = plan(Some(&beside), wanted);
            if self.fits(&rest) {
                self.many(building, &mut to)?;
                return self.one(rest, &mut to).map(|()| to);
            }
            let switched = with_rest(&beside, wanted);
            let switch = plan(Some(&beside), &switched);
            if self.fits(&switch) {
                self.many(building, &mut to)?;
                self.one(switch, &mut to)?;
                return self.many(plan(Some(&switched), wanted), &mut to).map(|()| to);
            }
        }
        self.by_aliases(&installed, wanted, &mut to)?;
        Ok(to)
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
        let is_base = |chain: &Chain| chain.base.is_some();

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

        self.many(plan(Some(installed), &built), to)?;
        self.one(plan(Some(&built), &switched), to)?;
        self.many(plan(Some(&switched), &settled), to)?;
        self.one(plan(Some(&settled), &returned), to)?;
        self.many(plan(Some(&returned), wanted), to)?;
        to.aliases = aliases.names.iter().map(|(part, name)| (name.clone(), part.name())).collect();
        Ok(())
    }

    fn fits(&self, ops: &[Op]) -> bool {
        self.total(ops) <= self.limit
    }

    fn total(&self, ops: &[Op]) -> usize {
        ops.iter().map(self.size).fold(0, usize::saturating_add)
    }

    /// Steps that only make sense together.
    fn one(&self, ops: Vec<Op>, to: &mut Sequence) -> Result<(), Oversize> {
        let total = self.total(&ops);
        if total > self.limit {
            return Err(Oversize(total));
        }
        if !ops.is_empty() {
            to.transactions.push(ops);
        }
        Ok(())
    }

    /// Steps about what no packet sees: in as few transactions as fit.
    fn many(&self, ops: Vec<Op>, to: &mut Sequence) -> Result<(), Oversize> {
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
                    to.transactions.push(core::mem::take(&mut now));
                    used = 0;
                    waiting.push(op);
                }
            }
        }
        if !now.is_empty() {
            to.transactions.push(now);
        }
        Ok(())
    }
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

/// What is installed, and beside it the wanted chains and sets of new names; `None` if a name changes between a base chain and another.
fn beside(installed: &Table, wanted: &Table) -> Option<Table> {
    let changes_kind = |(name, chain): (&Name, &Chain)| {
        wanted.chains.get(name).is_some_and(|new| new.base.is_some() != chain.base.is_some())
    };
    if installed.chains.iter().any(changes_kind) {
        return None;
    }
    let reshaped = reshaped(installed, wanted);
    let mut table = installed.clone();
    for (name, set) in &wanted.sets {
        table.sets.entry(name.clone()).or_insert_with(|| set.clone());
    }
    for (name, chain) in &wanted.chains {
        if chain.base.is_none() && !installed.chains.contains_key(name) {
            table.chains.insert(name.clone(), without(chain, &reshaped));
        }
    }
    Some(table)
}

/// What is wanted, and beside it all else of the other table that is not a base chain.
fn with_rest(beside: &Table, wanted: &Table) -> Table {
    let reshaped = reshaped(beside, wanted);
    let mut table = wanted.clone();
    for (name, set) in &beside.sets {
        table.sets.entry(name.clone()).or_insert_with(|| set.clone());
    }
    for (name, chain) in &beside.chains {
        if chain.base.is_none() && !wanted.chains.contains_key(name) {
            table.chains.insert(name.clone(), without(chain, &reshaped));
        }
    }
    table
}

/// The sets of both tables that have to be made anew.
fn reshaped(one: &Table, other: &Table) -> BTreeSet<Name> {
    let differs = |(name, set): (&Name, &Set)| {
        let new = other.sets.get(name)?;
        (new.shape() != set.shape()).then(|| name.clone())
    };
    one.sets.iter().filter_map(differs).collect()
}

/// The chain, without rules if it looks into one of these sets.
fn without(chain: &Chain, sets: &BTreeSet<Name>) -> Chain {
    let refers = chain
        .rules
        .iter()
        .flat_map(|rule| &rule.statements)
        .any(|statement| looks_into(statement).is_some_and(|set| sets.contains(set)));
    if refers { Chain { base: chain.base, rules: Vec::new() } } else { chain.clone() }
}

fn looks_into(statement: &Statement) -> Option<&Name> {
    match statement {
        Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => Some(name),
        _ => None,
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
            .flat_map(|rule| &rule.statements)
            .filter_map(|statement| match statement {
                Statement::Verdict(verdict) => target(verdict),
                other => looks_into(other).cloned().map(Part::Set),
            })
            .collect(),
        Part::Set(name) => {
            let set = table.sets.get(name).into_iter();
            set.flat_map(|set| set.elements.values()).flatten().filter_map(target).collect()
        }
    }
}
