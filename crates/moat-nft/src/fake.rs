//! A kernel in memory: takes the transactions that the kernel takes, and refuses those that it refuses.
//!
//! The rules are those of `nf_tables_api.c`, stricter in two places so that older kernels are covered too: jumps must not form a loop
//! even where no packet comes by, and a map is looked up only with `vmap`. References to chains and sets are counted as the kernel does,
//! and a transaction that fails is taken back step by step, so its cost is that of its steps, whatever the table holds.

mod check;
mod walk;

use crate::model::{Chain, Element, Name, Op, Rule, Set, SetShape, Statement, Table, Verdict};
use core::fmt;
use std::collections::BTreeMap;

/// An in-memory kernel with at most one table, of a given name.
#[derive(Clone, Debug)]
pub struct Fake {
    name: Name,
    state: Option<State>,
    generation: u32,
}

/// A transaction that was refused, and so did nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeError {
    /// The number of the step that failed, from 0; the number of steps if it was the check at the end.
    pub step: usize,
    /// What the kernel would answer.
    pub errno: Errno,
    /// What is wrong, in plain words.
    pub message: String,
}

/// Answers of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Errno {
    /// `ENOENT`: what a step names is not there.
    Missing,
    /// `EEXIST`: what a step makes is there already, or overlaps something that is.
    Exists,
    /// `EBUSY`: what a step removes is still in use.
    Busy,
    /// `EINVAL`: parts do not fit together.
    Invalid,
    /// `ERANGE`: too long.
    TooLong,
    /// `ELOOP`: jumps form a loop.
    Loop,
    /// `EMLINK`: jumps are nested too deeply.
    TooDeep,
    /// `EOPNOTSUPP`: not possible at this place.
    Unsupported,
    /// `ENFILE`: more elements than a set was made for.
    Full,
}

impl Errno {
    /// Its name in C.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "ENOENT",
            Self::Exists => "EEXIST",
            Self::Busy => "EBUSY",
            Self::Invalid => "EINVAL",
            Self::TooLong => "ERANGE",
            Self::Loop => "ELOOP",
            Self::TooDeep => "EMLINK",
            Self::Full => "ENFILE",
            Self::Unsupported => "EOPNOTSUPP",
        }
    }
}

impl fmt::Display for FakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}: {}", self.step, self.errno.name(), self.message)
    }
}

impl std::error::Error for FakeError {}

/// What is wrong with a step.
type Refusal = (Errno, String);

impl Fake {
    /// A kernel without a table; transactions are about the table of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), state: None, generation: 1 }
    }

    /// The table, if there is one.
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        self.state.as_ref().map(|state| &state.table)
    }

    /// A number that changes with every transaction that did something.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Does all steps, or none of them.
    pub fn apply(&mut self, ops: &[Op]) -> Result<(), FakeError> {
        let mut undo = Vec::new();
        let mut jumps = false;
        let mut refused = None;
        for (step, op) in ops.iter().enumerate() {
            if let Err(refusal) = self.step(op, &mut undo, &mut jumps) {
                refused = Some((step, refusal));
                break;
            }
        }
        // The kernel walks the jumps once at the end, and only if something that jumps came in (`nft_table_validate`).
        if let (None, true, Some(state)) = (&refused, jumps, &self.state) {
            refused = walk::jumps(state).err().map(|refusal| (ops.len(), refusal));
        }
        if let Some((step, (errno, message))) = refused {
            while let Some(done) = undo.pop() {
                self.take_back(done);
            }
            return Err(FakeError { step, errno, message });
        }
        if !ops.is_empty() {
            self.generation = self.generation.wrapping_add(1);
        }
        Ok(())
    }

    fn step(&mut self, op: &Op, undo: &mut Vec<Done>, jumps: &mut bool) -> Result<(), Refusal> {
        if *op == Op::AddTable {
            if self.state.is_some() {
                return Err(exists("table", &self.name));
            }
            check::name(&self.name)?;
            self.state = Some(State::new(&self.name));
            undo.push(Done::MadeTable);
            return Ok(());
        }
        if *op == Op::DelTable {
            let state = self.state.take().ok_or_else(|| missing("table", &self.name))?;
            undo.push(Done::DroppedTable(Box::new(state)));
            return Ok(());
        }
        let Some(state) = &mut self.state else { return Err(missing("table", &self.name)) };
        match op {
            Op::AddTable | Op::DelTable => Ok(()),
            Op::AddSet(name, shape) => state.add_set(name, *shape, undo),
            Op::AddChain(name, base) => {
                check::name(name)?;
                check::base(base.as_ref())?;
                if state.table.chains.contains_key(name) {
                    return Err(exists("chain", name));
                }
                let chain = Chain { base: *base, rules: Vec::new() };
                state.table.chains.insert(name.clone(), chain);
                undo.push(Done::MadeChain(name.clone()));
                Ok(())
            }
            Op::FlushChain(name) => state.flush(name, undo),
            Op::AddRule(name, rule) => {
                *jumps |= walk::matters(rule);
                state.add_rule(name, rule, undo)
            }
            Op::AddElements(name, elements) => state.add_elements(name, elements, undo, jumps),
            Op::DelElements(name, elements) => state.del_elements(name, elements, undo),
            Op::DelChain(name) => state.del_chain(name, undo),
            Op::DelSet(name) => state.del_set(name, undo),
        }
    }

    fn take_back(&mut self, done: Done) {
        match (done, &mut self.state) {
            (Done::MadeTable, state) => *state = None,
            (Done::DroppedTable(before), state) => *state = Some(*before),
            (done, Some(state)) => state.take_back(done),
            (_, None) => {}
        }
    }
}

/// Something that was done, with what it takes to undo it.
#[derive(Debug)]
enum Done {
    MadeTable,
    DroppedTable(Box<State>),
    MadeSet(Name),
    DroppedSet(Name, Set, Option<Targets>),
    MadeChain(Name),
    DroppedChain(Name, Chain),
    Flushed(Name, Vec<Rule>),
    MadeRule(Name),
    MadeElement(Name, Element),
    DroppedElement(Name, Element, Option<Verdict>),
}

/// The chains that a map's elements go to, with how many do.
type Targets = BTreeMap<Name, usize>;

/// A table with its references counted.
#[derive(Clone, Debug)]
struct State {
    table: Table,
    /// How many rules and elements go to a chain.
    chain_uses: BTreeMap<Name, usize>,
    /// How many statements look into a set.
    set_uses: BTreeMap<Name, usize>,
    /// Where the elements of a map go.
    targets: BTreeMap<Name, Targets>,
}

impl State {
    fn new(name: &str) -> Self {
        Self {
            table: Table::new(name),
            chain_uses: BTreeMap::new(),
            set_uses: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }

    fn add_set(
        &mut self,
        name: &Name,
        shape: SetShape,
        undo: &mut Vec<Done>,
    ) -> Result<(), Refusal> {
        check::name(name)?;
        check::shape(shape)?;
        if self.table.sets.contains_key(name) {
            return Err(exists("set or map", name));
        }
        self.table.sets.insert(name.clone(), Set::new(shape));
        undo.push(Done::MadeSet(name.clone()));
        Ok(())
    }

    fn flush(&mut self, name: &Name, undo: &mut Vec<Done>) -> Result<(), Refusal> {
        let chain = self.table.chains.get_mut(name).ok_or_else(|| missing("chain", name))?;
        let rules = core::mem::take(&mut chain.rules);
        rules.iter().for_each(|rule| self.release(rule));
        undo.push(Done::Flushed(name.clone(), rules));
        Ok(())
    }

    fn add_rule(&mut self, name: &Name, rule: &Rule, undo: &mut Vec<Done>) -> Result<(), Refusal> {
        if !self.table.chains.contains_key(name) {
            return Err(missing("chain", name));
        }
        check::rule(&self.table, rule)?;
        self.hold(rule);
        if let Some(chain) = self.table.chains.get_mut(name) {
            chain.rules.push(rule.clone());
        }
        undo.push(Done::MadeRule(name.clone()));
        Ok(())
    }

    fn add_elements(
        &mut self,
        name: &Name,
        elements: &[(Element, Option<Verdict>)],
        undo: &mut Vec<Done>,
        jumps: &mut bool,
    ) -> Result<(), Refusal> {
        let Self { table: Table { sets, chains, .. }, chain_uses, targets, .. } = self;
        let set = sets.get_mut(name).ok_or_else(|| missing("set or map", name))?;
        for (key, verdict) in elements {
            check::element(name, set, key, verdict.as_ref())?;
            if let Some(chain) = verdict.as_ref().and_then(target) {
                check::jump(chains, chain)?;
                add(chain_uses, chain);
                add(targets.entry(name.clone()).or_default(), chain);
                *jumps = true;
            }
            if set.size.is_some_and(|size| set.elements.len() >= size as usize) {
                let message = format!("{name} is full");
                return Err((Errno::Full, message));
            }
            set.elements.insert(key.clone(), verdict.clone());
            undo.push(Done::MadeElement(name.clone(), key.clone()));
        }
        Ok(())
    }

    /// The kernel finds an element by its key alone and does not compare verdicts.
    fn del_elements(
        &mut self,
        name: &Name,
        elements: &[(Element, Option<Verdict>)],
        undo: &mut Vec<Done>,
    ) -> Result<(), Refusal> {
        if !self.table.sets.contains_key(name) {
            return Err(missing("set or map", name));
        }
        for (key, _) in elements {
            let Some(verdict) = self.take_element(name, key) else {
                let text = format!("{} of {name}", crate::print::element(key));
                return Err(missing("element", &text));
            };
            undo.push(Done::DroppedElement(name.clone(), key.clone(), verdict));
        }
        Ok(())
    }

    /// Removes an element; gives its verdict if it was there.
    fn take_element(&mut self, name: &Name, key: &Element) -> Option<Option<Verdict>> {
        let verdict = self.table.sets.get_mut(name)?.elements.remove(key)?;
        if let Some(chain) = verdict.as_ref().and_then(target) {
            remove(&mut self.chain_uses, chain, 1);
            if let Some(targets) = self.targets.get_mut(name) {
                remove(targets, chain, 1);
            }
        }
        Some(verdict)
    }

    fn del_chain(&mut self, name: &Name, undo: &mut Vec<Done>) -> Result<(), Refusal> {
        let chain = self.table.chains.get(name).ok_or_else(|| missing("chain", name))?;
        if !chain.rules.is_empty() {
            return Err((Errno::Busy, format!("the chain {name} still has rules")));
        }
        if let Some(uses) = self.chain_uses.get(name) {
            let message = format!("the chain {name} is still used, {uses} times");
            return Err((Errno::Busy, message));
        }
        if let Some(chain) = self.table.chains.remove(name) {
            undo.push(Done::DroppedChain(name.clone(), chain));
        }
        Ok(())
    }

    fn del_set(&mut self, name: &Name, undo: &mut Vec<Done>) -> Result<(), Refusal> {
        if let Some(uses) = self.set_uses.get(name) {
            let message = format!("the set or map {name} is still used, {uses} times");
            return Err((Errno::Busy, message));
        }
        let set = self.table.sets.remove(name).ok_or_else(|| missing("set or map", name))?;
        let targets = self.targets.remove(name);
        for (chain, count) in targets.iter().flatten() {
            remove(&mut self.chain_uses, chain, *count);
        }
        undo.push(Done::DroppedSet(name.clone(), set, targets));
        Ok(())
    }

    /// Counts what a rule refers to.
    fn hold(&mut self, rule: &Rule) {
        for statement in &rule.statements {
            match refers(statement) {
                Some(Reference::Set(name)) => add(&mut self.set_uses, name),
                Some(Reference::Chain(name)) => add(&mut self.chain_uses, name),
                None => {}
            }
        }
    }

    /// Uncounts what a rule refers to.
    fn release(&mut self, rule: &Rule) {
        for statement in &rule.statements {
            match refers(statement) {
                Some(Reference::Set(name)) => remove(&mut self.set_uses, name, 1),
                Some(Reference::Chain(name)) => remove(&mut self.chain_uses, name, 1),
                None => {}
            }
        }
    }

    fn take_back(&mut self, done: Done) {
        match done {
            Done::MadeTable | Done::DroppedTable(_) => {}
            Done::MadeSet(name) => {
                self.table.sets.remove(&name);
            }
            Done::DroppedSet(name, set, targets) => {
                for (chain, count) in targets.iter().flatten() {
                    *self.chain_uses.entry(chain.clone()).or_default() += count;
                }
                self.targets.extend(targets.map(|targets| (name.clone(), targets)));
                self.table.sets.insert(name, set);
            }
            Done::MadeChain(name) => {
                self.table.chains.remove(&name);
            }
            Done::DroppedChain(name, chain) => {
                self.table.chains.insert(name, chain);
            }
            Done::Flushed(name, rules) => {
                rules.iter().for_each(|rule| self.hold(rule));
                if let Some(chain) = self.table.chains.get_mut(&name) {
                    chain.rules = rules;
                }
            }
            Done::MadeRule(name) => {
                let rule = self.table.chains.get_mut(&name).and_then(|chain| chain.rules.pop());
                if let Some(rule) = rule {
                    self.release(&rule);
                }
            }
            Done::MadeElement(name, key) => {
                self.take_element(&name, &key);
            }
            Done::DroppedElement(name, key, verdict) => {
                if let Some(chain) = verdict.as_ref().and_then(target) {
                    add(&mut self.chain_uses, chain);
                    add(self.targets.entry(name.clone()).or_default(), chain);
                }
                if let Some(set) = self.table.sets.get_mut(&name) {
                    set.elements.insert(key, verdict);
                }
            }
        }
    }
}

/// What a statement refers to by name.
enum Reference<'a> {
    Set(&'a Name),
    Chain(&'a Name),
}

fn refers(statement: &Statement) -> Option<Reference<'_>> {
    match statement {
        Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => {
            Some(Reference::Set(name))
        }
        Statement::Verdict(verdict) => target(verdict).map(Reference::Chain),
        _ => None,
    }
}

fn target(verdict: &Verdict) -> Option<&Name> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        Verdict::Accept | Verdict::Drop | Verdict::Return => None,
    }
}

fn add(counts: &mut BTreeMap<Name, usize>, name: &Name) {
    *counts.entry(name.clone()).or_default() += 1;
}

/// Counts down; what is counted no more is not in the map.
fn remove(counts: &mut BTreeMap<Name, usize>, name: &Name, count: usize) {
    if let Some(left) = counts.get_mut(name) {
        *left = left.saturating_sub(count);
        if *left == 0 {
            counts.remove(name);
        }
    }
}

fn missing(what: &str, name: &str) -> Refusal {
    (Errno::Missing, format!("there is no {what} {name}"))
}

fn exists(what: &str, name: &str) -> Refusal {
    (Errno::Exists, format!("the {what} {name} is there already"))
}
