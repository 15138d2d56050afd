//! Keeps one table of a namespace as it is wanted, whatever happens to it.
//!
//! What is there is adopted, never flushed. A change goes in as few transactions as are safe: wherever a packet is on its way through the
//! table, it passes only if the old table or the new one lets it. What the kernel refuses is closed, pod by pod, and what others change is
//! put right.
//!
//! One thing cannot be helped: a packet walks the rules of its beginning only until the second commit after it, whoever makes that. Where
//! others change their own tables in the microseconds in which a packet passes a change of this one, it may meet both.

mod batch;
mod commit;
mod group;
mod pace;
mod quick;
mod split;
mod suspects;
#[cfg(test)]
mod tests;
mod words;

pub use moat_nft::way::Gates;

use crate::error::Result;
use crate::netns::Netns;
use crate::nft::{ApplyError, Found, Nft, Ownership, Watch};
use commit::{Stop, error_of};
use group::Groups;
use moat_nft::edit::Edit;
use moat_nft::model::{Element, Name, Op, Table};
use moat_nft::plan::{plan, recreates};
use moat_nft::way::Uses;
use pace::Pace;
use split::{Batch, Sequence, Splitter};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use suspects::Suspects;

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
    /// Addresses of local pods that were closed for some milliseconds, because both ends of their packets changed.
    pub closed_meanwhile: BTreeSet<Element>,
    /// Whether something is left that no packet meets any more; [`Keeper::tidy`] takes it away.
    pub untidy: bool,
    /// For how long it waited for packets in flight, of this change or the one before.
    pub waited: Duration,
    /// For how long its transactions were written, sent and made by the kernel.
    pub committing: Duration,
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
    wanted: Option<Arc<Table>>,
    /// What should be there: what is wanted with the refused groups closed. One with the wanted table where none is.
    due: Option<Arc<Table>>,
    /// What is there once it is tidy, of which generation; `None` if that has to be looked up. One with what is due, if it is that.
    installed: Option<(Option<Arc<Table>>, u32)>,
    /// What is to be taken away when no packet meets it any more.
    late: VecDeque<Batch>,
    pace: Pace,
    /// Who looks into what in the installed table, once it was asked.
    uses: Option<Uses>,
    /// Groups that the kernel refused, as they were then, and why.
    refused: BTreeMap<Name, (Table, String)>,
    /// What is to be said with the next change.
    foreign: Vec<String>,
    whole: bool,
    /// For how long transactions took since that was last asked.
    committing: Duration,
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
            late: VecDeque::new(),
            pace: Pace::default(),
            uses: None,
            refused: BTreeMap::new(),
            foreign: Vec::new(),
            whole: false,
            committing: Duration::ZERO,
        };
        keeper.look().await?;
        Ok(keeper)
    }

    /// What was there when it was last looked at, as far as the model can say it, without what [`Self::tidy`] is to take away.
    #[must_use]
    pub fn installed(&self) -> Option<&Table> {
        self.installed.as_ref().and_then(|(table, _)| table.as_deref())
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
    /// Returns when every packet that comes is judged by the wanted table. After an error the table is as it was, or at a safe point of
    /// the way; the next call goes on from there.
    pub async fn set(&mut self, wanted: &Table) -> core::result::Result<Applied, ApplyError> {
        let wanted = match self.installed.as_ref() {
            // One copy does for both.
            Some((Some(installed), _)) if **installed == *wanted => installed.clone(),
            _ => Arc::new(wanted.clone()),
        };
        self.wanted = Some(wanted.clone());
        self.settle(&wanted, Applied::default()).await
    }

    /// Changes what is wanted, and makes the table that; costs what the change costs, whatever the size of the table.
    ///
    /// The edit is one of the table that was last wanted; before the first, of an empty one.
    pub async fn change(&mut self, edit: &Edit) -> core::result::Result<Applied, ApplyError> {
        self.pace.take_waited();
        self.committing = Duration::ZERO;
        // Whatever fails, what is wanted is known from here on: the next edit is one of it.
        if let Some(way) = self.quick_way(edit)
            && self.is_current().await.is_ok_and(|is_current| is_current)
        {
            return self.quick(edit, way).await;
        }
        let mut wanted = self.wanted.take().unwrap_or_else(|| Arc::new(self.nft.empty()));
        edit.apply_to(Arc::make_mut(&mut wanted));
        self.wanted = Some(wanted.clone());
        self.settle(&wanted, Applied::default()).await
    }

    /// Takes away what no packet meets any more since the last change. The next change does so too; it can be given up and called again.
    pub async fn tidy(&mut self) -> core::result::Result<(), ApplyError> {
        while !self.late.is_empty() {
            match self.finish().await {
                Ok(()) => {}
                Err(Stop::Failed(error)) => return Err(error),
                // What is there is looked up, and the rest is part of the way from there.
                Err(Stop::Again | Stop::Refused { .. }) => {
                    let Some(wanted) = self.wanted.clone() else { return Ok(()) };
                    self.settle(&wanted, Applied::default()).await?;
                }
            }
        }
        Ok(())
    }

    /// Tidies, and waits until no packet is in flight that met an earlier state, so that the next change need not wait for any. That is so
    /// by itself some tens of milliseconds after a change.
    pub async fn rest(&mut self) -> core::result::Result<(), ApplyError> {
        self.tidy().await?;
        self.pace.settle().await;
        Ok(())
    }

    /// Waits until someone else changes the table, and puts it right; tidies first. Can be given up and called again.
    ///
    /// Nothing is put right before the first [`Self::set`].
    pub async fn watch(&mut self) -> core::result::Result<Repaired, ApplyError> {
        loop {
            self.tidy().await?;
            let changed = self.watch.next().await.map_err(ApplyError::Io)?;
            let from = Instant::now();
            let now = self.nft.generation().await.map_err(ApplyError::Io)?;
            match &mut self.installed {
                Some((_, known)) if *known == now => continue,
                // Someone changed another table.
                Some((_, known)) if self.owned => {
                    *known = now;
                    self.pace.note_other();
                    self.pace.begin();
                    continue;
                }
                _ => {}
            }
            let Some(wanted) = self.wanted.clone() else { continue };
            if self.look().await.map_err(ApplyError::Io)? && self.foreign.is_empty() {
                continue;
            }
            let applied = self.settle(&wanted, Applied::default()).await?;
            return Ok(Repaired { process: changed.process, applied, took: from.elapsed() });
        }
    }

    /// Stops keeping the table. It stays as it is.
    pub fn close(self) {}

    /// Whether nobody has changed the table since it was last known.
    async fn is_current(&self) -> Result<bool> {
        let Some((_, known)) = &self.installed else { return Ok(false) };
        Ok(self.owned || self.nft.generation().await? == *known)
    }

    /// Reads what is there, and notes how it differs from what was left there; says whether it does not.
    async fn look(&mut self) -> Result<bool> {
        let (found, generation) = self.nft.find().await?;
        self.pace.note_other();
        let late = core::mem::take(&mut self.late);
        self.uses = None;
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
        let mut is_left = self.due.is_some();
        if is_left {
            // What is still to be taken away is no difference.
            let tidied = table.clone().map(|table| late.iter().fold(table, Batch::tidied));
            let mut lines = words::differences(self.due.as_deref(), tidied.as_ref());
            is_left = lines.is_empty();
            lines.retain(|line| !self.foreign.contains(line));
            self.foreign.extend(lines);
        }
        let table = table.map(|table| match &self.due {
            Some(due) if **due == table => due.clone(),
            _ => Arc::new(table),
        });
        // What was said is not said again.
        if self.due.is_some() {
            self.due.clone_from(&table);
        }
        self.installed = Some((table, generation));
        Ok(is_left)
    }

    async fn settle(
        &mut self,
        wanted: &Arc<Table>,
        mut applied: Applied,
    ) -> core::result::Result<Applied, ApplyError> {
        let groups = Groups::of(wanted, &self.gates);
        self.refused.retain(|name, (then, _)| groups.alone(wanted, name) == *then);
        let mut suspects = Suspects::default();
        let all = groups.names();
        let from = Instant::now();
        loop {
            if self.installed.is_none() {
                self.look().await.map_err(ApplyError::Io)?;
            }
            let mut closed: BTreeSet<Name> = self.refused.keys().cloned().collect();
            closed.extend(suspects.closed());
            let target = if closed.is_empty() {
                wanted.clone()
            } else {
                Arc::new(groups.close(wanted, &self.gates, &closed))
            };
            let gates = self.gates.clone();
            let shut = || groups.close(wanted, &gates, &all);
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
        applied.waited += self.pace.take_waited();
        applied.committing += core::mem::take(&mut self.committing);
        applied.foreign = core::mem::take(&mut self.foreign);
        applied.untidy = !self.late.is_empty();
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
        target: &Arc<Table>,
        shut: &(dyn Fn() -> Table + Sync),
        applied: &mut Applied,
    ) -> core::result::Result<(), Stop> {
        self.finish().await?;
        // Until it is known what became of it, it is not known what is there: this future may be dropped at any time.
        let Some((installed, mut generation)) = self.installed.take() else {
            return Err(Stop::Again);
        };
        self.uses = None;
        let mut first = None;
        let rebuilds = self.whole && installed.is_some();
        if rebuilds {
            // One transaction, so that no packet finds no table; as small as it can be, for the rest follows safely.
            let mut ops = vec![Op::DelTable];
            let whole = plan(None, target);
            let fits = self.nft.size(&whole).is_ok_and(|size| size < self.limit);
            let start = if fits { target.clone() } else { Arc::new(shut()) };
            ops.extend(plan(None, &start));
            first = Some((Batch { ops, switches: true, ..Batch::default() }, start));
        }
        let from = first.as_ref().map(|(_, start)| start).or(installed.as_ref());
        let sequence = self.sequence(from.map(|from| &**from), target, shut)?;
        let Sequence { mut now, late, aliases, closed } = sequence;
        let recreated = from.map(|from| recreates(from, target)).unwrap_or_default();
        let makes_table = first.is_some() || from.is_none();
        if let Some((batch, _)) = first {
            now.push_front(batch);
        }
        if now.is_empty() && !self.owned {
            let now = self.nft.generation().await;
            if now.map_err(|error| Stop::Failed(ApplyError::Io(error)))? != generation {
                return Err(Stop::Again);
            }
        }
        for batch in &now {
            generation = self.commit(batch, generation, &aliases).await?;
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
        applied.closed_meanwhile.extend(closed);
        self.installed = Some((Some(target.clone()), generation));
        self.late = late;
        self.pace.begin();
        Ok(())
    }

    fn sequence(
        &self,
        from: Option<&Table>,
        target: &Table,
        shut: &dyn Fn() -> Table,
    ) -> core::result::Result<Sequence, Stop> {
        self.split(|splitter| splitter.sequence(from, target, shut)).map_err(|over| {
            let size = over.0 + self.around();
            Stop::Failed(ApplyError::TooLarge { size, limit: self.limit })
        })
    }

    /// Splits what is larger than a transaction can be. What cannot be said to the kernel is refused with the transaction that it is in.
    fn split<T>(&self, how: impl FnOnce(&Splitter<'_>) -> T) -> T {
        let around = self.around();
        let size = |op: &Op| {
            let size = self.nft.size(core::slice::from_ref(op));
            size.map_or(0, |size| size.saturating_sub(around))
        };
        let limit = self.limit.saturating_sub(around);
        how(&Splitter { limit, size: &size, gates: &self.gates })
    }

    /// The size of a transaction without steps.
    fn around(&self) -> usize {
        self.nft.size(&[]).unwrap_or_default()
    }
}
