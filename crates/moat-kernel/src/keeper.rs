//! Keeps one table of a namespace as it is wanted, whatever happens to it.
//!
//! What is there is adopted, never flushed. A change goes in as few transactions as are safe: after each of them a packet is judged by
//! the old table or by the new one. What the kernel refuses is closed, pod by pod, and what others change is put right.

mod group;
mod split;
#[cfg(test)]
mod tests;
mod words;

pub use group::Gates;

use crate::error::Result;
use crate::netns::Netns;
use crate::nft::{ApplyError, Found, Nft, Ownership, Watch};
use group::Groups;
use moat_nft::model::{Element, Name, Op, Table};
use moat_nft::plan::{plan, recreates};
use split::{Part, Sequence, Splitter};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often a step is said again because someone changed another table meanwhile.
const TRIES: usize = 50;

/// For how long a change is begun again because someone else changes the ruleset all the time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a change came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// The generation of the ruleset that it left.
    pub generation: u32,
    /// How many transactions it took; none if all was so already.
    pub n_transactions: usize,
    /// How often it was begun again because someone else changed the ruleset.
    pub n_again: usize,
    /// What was not as this program had left it, in words.
    pub foreign: Vec<String>,
    /// Chains that packets enter and that had to be made anew, during which packets may have passed unjudged.
    pub recreated: Vec<Name>,
    /// Whether the whole table had to be made anew, because of something in it that cannot be removed by itself.
    pub rebuilt: bool,
    /// Groups that the kernel refused.
    pub closed: Vec<ClosedGroup>,
}

/// A group that the kernel refused: its pods are closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosedGroup {
    /// The chain that it begins with.
    pub chain: Name,
    /// The dispatch elements that lead to it.
    pub elements: Vec<(Name, Element)>,
    /// Why.
    pub words: String,
}

/// A change by someone else that was put right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// The process that made the last change, as far as this process can see it.
    pub process: Option<String>,
    /// How it was put right; what was changed is in `foreign`.
    pub applied: Applied,
    /// How long that took since it was noticed.
    pub took: Duration,
}

/// A table that is kept as wanted.
#[derive(Debug)]
pub struct Keeper {
    nft: Nft,
    watch: Watch,
    gates: Gates,
    limit: usize,
    /// Whether nobody else can change the table.
    owned: bool,
    wanted: Option<Table>,
    /// What should be there: what is wanted with the refused groups closed.
    due: Option<Table>,
    /// What is there, of which generation; `None` if that has to be looked up.
    installed: Option<(Option<Table>, u32)>,
    /// Groups that the kernel refused, as they were then, and why.
    refused: BTreeMap<Name, (Table, String)>,
    /// What is to be said with the next change.
    foreign: Vec<String>,
    whole: bool,
}

impl Keeper {
    /// Takes over a table, or prepares to make it. Changes nothing yet. Must be called inside a tokio runtime, as all that follows.
    pub async fn open(
        netns: &Netns,
        table: &str,
        ownership: Ownership,
        gates: Gates,
    ) -> Result<Self> {
        let nft = Nft::open(netns, table, ownership)?;
        // Watching comes first, so that no change falls between.
        let watch = Watch::open(netns)?;
        let owned = nft.adopt().await?;
        let limit = nft.limit();
        let mut keeper = Self {
            nft,
            watch,
            gates,
            limit,
            owned,
            wanted: None,
            due: None,
            installed: None,
            refused: BTreeMap::new(),
            foreign: Vec::new(),
            whole: false,
        };
        keeper.look().await?;
        Ok(keeper)
    }

    /// What was there when it was last looked at, as far as the model can say it.
    #[must_use]
    pub fn installed(&self) -> Option<&Table> {
        self.installed.as_ref().and_then(|(table, _)| table.as_ref())
    }

    /// Whether nobody else can change the table.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Sends no transaction larger than this many bytes, nor larger than the kernel takes.
    pub fn limit(&mut self, bytes: usize) {
        self.limit = bytes.min(self.nft.limit());
    }

    /// Makes the table what is wanted, except for groups that the kernel refuses.
    ///
    /// After an error the table is as it was, or at a safe point of the way; the next call goes on from there.
    pub async fn set(&mut self, wanted: &Table) -> core::result::Result<Applied, ApplyError> {
        self.wanted = Some(wanted.clone());
        self.settle(wanted).await
    }

    /// Waits until someone else changes the table, and puts it right. Can be given up and called again.
    ///
    /// Nothing is put right before the first [`Self::set`].
    pub async fn watch(&mut self) -> core::result::Result<Repaired, ApplyError> {
        loop {
            let changed = self.watch.next().await.map_err(ApplyError::Io)?;
            let from = Instant::now();
            let now = self.nft.generation().await.map_err(ApplyError::Io)?;
            match &mut self.installed {
                Some((_, known)) if *known == now => continue,
                // Someone changed another table.
                Some((_, known)) if self.owned => {
                    *known = now;
                    continue;
                }
                _ => {}
            }
            let Some(wanted) = self.wanted.clone() else { continue };
            self.look().await.map_err(ApplyError::Io)?;
            if self.foreign.is_empty() && self.installed() == self.due.as_ref() {
                continue;
            }
            let applied = self.settle(&wanted).await?;
            return Ok(Repaired { process: changed.process, applied, took: from.elapsed() });
        }
    }

    /// Stops keeping the table. It stays as it is.
    pub fn close(self) {}

    /// Reads what is there, and notes how it differs from what was left there.
    async fn look(&mut self) -> Result<()> {
        let (found, generation) = self.nft.find().await?;
        self.whole = false;
        let (table, strange) = match found {
            None => (None, Vec::new()),
            Some(Found { table, strange, whole, remake }) => {
                let wanted = self.wanted.as_ref();
                let needs = |name| wanted.is_some_and(|wanted| wanted.chains.contains_key(name));
                self.whole = whole || remake.iter().any(needs);
                (Some(table), strange)
            }
        };
        // A table that is gone is one that nobody owns.
        self.owned &= table.is_some();
        let new: Vec<String> =
            strange.into_iter().filter(|line| !self.foreign.contains(line)).collect();
        self.foreign.extend(new);
        if self.due.is_some() {
            let mut lines = words::differences(self.due.as_ref(), table.as_ref());
            lines.retain(|line| !self.foreign.contains(line));
            self.foreign.extend(lines);
        }
        self.installed = Some((table, generation));
        Ok(())
    }

    async fn settle(&mut self, wanted: &Table) -> core::result::Result<Applied, ApplyError> {
        let groups = Groups::of(wanted, &self.gates);
        self.refused.retain(|name, (then, _)| groups.alone(wanted, name) == *then);
        let mut applied = Applied::default();
        let mut suspects = Suspects::default();
        let all = groups.names();
        let shut = groups.close(wanted, &self.gates, &all);
        let from = Instant::now();
        loop {
            if self.installed.is_none() {
                self.look().await.map_err(ApplyError::Io)?;
            }
            let mut closed: BTreeSet<Name> = self.refused.keys().cloned().collect();
            closed.extend(suspects.closed());
            let target = groups.close(wanted, &self.gates, &closed);
            match self.transact(&target, &shut, &mut applied).await {
                Ok(()) => {
                    self.due = Some(target);
                    if suspects.passed() {
                        break;
                    }
                }
                Err(Stop::Again) => {
                    applied.n_again += 1;
                    if from.elapsed() > PATIENCE {
                        return Err(ApplyError::Stale);
                    }
                }
                Err(Stop::Refused { part, error }) => {
                    let blamed = part.map(|part| groups.with(&part)).unwrap_or_default();
                    // A group that is closed already cannot be what is wrong.
                    let blamed: BTreeSet<Name> = blamed.difference(&closed).cloned().collect();
                    let blamed = if blamed.is_empty() {
                        let open = all.difference(&closed).cloned();
                        suspects.refused(open).map_err(|()| error_of(&error))?
                    } else {
                        blamed
                    };
                    for name in blamed {
                        let own = groups.alone(wanted, &name);
                        self.refused.insert(name, (own, error.to_string()));
                    }
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        applied.foreign = core::mem::take(&mut self.foreign);
        applied.closed = self
            .refused
            .iter()
            .map(|(chain, (_, words))| ClosedGroup {
                chain: chain.clone(),
                elements: Groups::elements(wanted, &self.gates, chain),
                words: words.clone(),
            })
            .collect();
        applied.generation = self.installed.as_ref().map_or(0, |(_, generation)| *generation);
        Ok(applied)
    }

    /// Goes from what is installed to a table.
    async fn transact(
        &mut self,
        target: &Table,
        shut: &Table,
        applied: &mut Applied,
    ) -> core::result::Result<(), Stop> {
        // Until it is known what became of it, it is not known what is there: this future may be dropped at any time.
        let Some((mut installed, mut generation)) = self.installed.take() else {
            return Err(Stop::Again);
        };
        let mut first = None;
        let rebuilds = self.whole && installed.is_some();
        if rebuilds {
            // One transaction, so that no packet finds no table; as small as it can be, for the rest follows safely.
            let mut ops = vec![Op::DelTable];
            let whole = plan(None, target);
            let fits = self.nft.size(&whole).is_ok_and(|size| size < self.limit);
            let start = if fits { target } else { shut };
            ops.extend(plan(None, start));
            first = Some((ops, start.clone()));
        }
        let from = first.as_ref().map(|(_, start)| start).or(installed.as_ref());
        let around = self.nft.size(&[]).unwrap_or_default();
        // What cannot be said to the kernel is refused with the transaction that it is in.
        let size = |op: &Op| {
            let size = self.nft.size(core::slice::from_ref(op));
            size.map_or(0, |size| size.saturating_sub(around))
        };
        let splitter = Splitter { limit: self.limit.saturating_sub(around), size: &size };
        let Sequence { mut transactions, aliases } =
            splitter.sequence(from, target, shut).map_err(|over| {
                Stop::Failed(ApplyError::TooLarge { size: over.0 + around, limit: self.limit })
            })?;
        let recreated = from.map(|from| recreates(from, target)).unwrap_or_default();
        let makes_table = first.is_some() || from.is_none();
        if let Some((ops, _)) = first {
            transactions.insert(0, ops);
        }
        if transactions.is_empty() && !self.owned {
            let now = self.nft.generation().await;
            if now.map_err(|error| Stop::Failed(ApplyError::Io(error)))? != generation {
                return Err(Stop::Again);
            }
        }
        for ops in &transactions {
            generation = self.commit(ops, generation, &aliases).await?;
            applied.n_transactions += 1;
            // From here on it is this program that makes the difference.
            self.due = None;
        }
        if makes_table {
            self.owned = self.nft.ownership() == Ownership::Owned;
        }
        if rebuilds {
            self.whole = false;
            applied.rebuilt = true;
        }
        applied.recreated.extend(recreated);
        installed = Some(target.clone());
        self.installed = Some((installed, generation));
        Ok(())
    }

    async fn commit(
        &self,
        ops: &[Op],
        mut generation: u32,
        aliases: &BTreeMap<Name, Name>,
    ) -> core::result::Result<u32, Stop> {
        for _ in 0..TRIES {
            let error = match self.nft.apply(ops, Some(generation)).await {
                Ok(generation) => return Ok(generation),
                Err(error) => error,
            };
            match error {
                // Nobody else can have changed this table, so it was another.
                ApplyError::Stale if self.owned => {
                    let now = self.nft.generation().await;
                    generation = now.map_err(|error| Stop::Failed(ApplyError::Io(error)))?;
                }
                ApplyError::Stale => return Err(Stop::Again),
                ApplyError::Refused { op, .. } => {
                    let part = op.and_then(|op| ops.get(op)).and_then(Part::of);
                    return Err(Stop::Refused {
                        part: part.map(|part| plain(part, aliases)),
                        error,
                    });
                }
                ApplyError::Unsayable { op, .. } => {
                    let part = ops.get(op).and_then(Part::of);
                    return Err(Stop::Refused {
                        part: part.map(|part| plain(part, aliases)),
                        error,
                    });
                }
                ApplyError::TooLarge { .. } | ApplyError::Io(_) => return Err(Stop::Failed(error)),
            }
        }
        Err(Stop::Again)
    }
}

/// Why a change stopped on its way.
enum Stop {
    /// Someone else changed the ruleset.
    Again,
    /// The kernel refused a step about a part.
    Refused { part: Option<Part>, error: ApplyError },
    /// Nothing more can be done about it.
    Failed(ApplyError),
}

/// The part that a part of another name stands for.
fn plain(part: Part, aliases: &BTreeMap<Name, Name>) -> Part {
    match part {
        Part::Chain(name) => Part::Chain(aliases.get(&name).cloned().unwrap_or(name)),
        Part::Set(name) => Part::Set(aliases.get(&name).cloned().unwrap_or(name)),
    }
}

fn error_of(error: &ApplyError) -> ApplyError {
    match error {
        ApplyError::Refused { op, errno, words } => {
            ApplyError::Refused { op: *op, errno: *errno, words: words.clone() }
        }
        ApplyError::Unsayable { op, what } => ApplyError::Unsayable { op: *op, what: what.clone() },
        _ => ApplyError::Stale,
    }
}

/// Groups one of which is refused, where the kernel does not say which: all are closed, and opened again by halves.
#[derive(Default)]
struct Suspects {
    /// Those that are closed for now.
    waiting: Vec<Vec<Name>>,
    /// Those that are being opened.
    trying: Option<Vec<Name>>,
    /// Whether all of them were tried closed.
    began: bool,
}

impl Suspects {
    fn closed(&self) -> impl Iterator<Item = Name> {
        self.waiting.iter().flatten().cloned()
    }

    /// What was tried is taken by the kernel; says whether nothing is left to try.
    fn passed(&mut self) -> bool {
        self.trying = self.waiting.pop();
        self.trying.is_none()
    }

    /// What was tried is refused: returns the group that it must be, if it is only one. An error if it cannot be a group.
    fn refused(
        &mut self,
        open: impl Iterator<Item = Name>,
    ) -> core::result::Result<BTreeSet<Name>, ()> {
        let Some(mut tried) = self.trying.take() else {
            if self.began {
                return Err(());
            }
            self.began = true;
            let mut first: Vec<Name> = open.collect();
            if first.is_empty() {
                return Err(());
            }
            let second = first.split_off(first.len() / 2);
            self.waiting.extend([first, second].into_iter().filter(|half| !half.is_empty()));
            return Ok(BTreeSet::new());
        };
        let mut bad = BTreeSet::new();
        if tried.len() > 1 {
            let second = tried.split_off(tried.len() / 2);
            self.waiting.extend([second, tried]);
        } else {
            bad.extend(tried);
        }
        self.trying = self.waiting.pop();
        Ok(bad)
    }
}
