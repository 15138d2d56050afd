//! A store on a simulated disk beside the model, and the laws that tie them. A broken law is an error in words, so that tests of planted
//! bugs can see it.

use super::counts::Counts;
use super::model::{Answer, Ask, Model, Name, Refusal};
use super::reads::{object, of, same_objects};
use crate::disk::Disk;
use crate::disk::simulated::{Faults, SimulatedDisk};
use crate::{
    Body, Expect, History, Key, List, Options, Outcome, Path, Pending, ReadError, Recovery,
    Resource, Rng, Scope, Store, Watch, Write, WriteError,
};
use std::sync::Arc;

/// A law that does not hold.
pub(super) type Broken = String;

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) disk: SimulatedDisk,
    pub(super) store: Store,
    pub(super) options: Options,
    pub(super) model: Model,
    pub(super) resources: Vec<Resource>,
    pub(super) watches: Vec<(Watch, usize, Scope)>,
    /// Batches that the disk refused since it last took one: the model with each of them. One of them may be found after a crash.
    pub(super) maybes: Vec<Model>,
    /// Nothing before this revision is known, see [`World::reopen`].
    pub(super) floor: u64,
    /// Whether the disk works.
    calm: bool,
    pub(super) compacted: u64,
    pub(super) counts: Counts,
    n_written: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> Result<Self, Broken> {
        let mut rng = Rng::new(seed);
        let disk = SimulatedDisk::new(rng.next_u64());
        let options = Options {
            history: History { events_max: 5 + rng.below(60), bytes_max: 1 << 30 },
            log_bytes_max: 500 + rng.below(20_000) as u64,
            batch_bytes_max: 1 + rng.below(2000),
            ..Options::default()
        };
        let (store, _) =
            Store::open_stepped(&arc(&disk), options).map_err(|error| error.to_string())?;
        let resources =
            ["pods", "apps/deployments", "nodes"].map(|name| Resource::new(name).unwrap());
        Ok(Self {
            rng,
            disk,
            store,
            options,
            model: Model::new(),
            resources: resources.to_vec(),
            watches: Vec::new(),
            maybes: Vec::new(),
            floor: 0,
            calm: true,
            compacted: 0,
            counts: Counts::default(),
            n_written: 0,
        })
    }

    /// One thing happens.
    pub(super) fn step(&mut self) -> Result<(), Broken> {
        match self.rng.below(40) {
            0..=14 => self.batch(),
            15..=19 => self.list(),
            20..=22 => self.get(),
            23 => self.open_watch(),
            24..=29 => self.pump_watches(),
            30..=34 => {
                let before = self.store.stats().snapshot_revision;
                self.store.pump_snapshot();
                self.counts.n_snapshots +=
                    usize::from(before != self.store.stats().snapshot_revision);
                Ok(())
            }
            35 => self.compact(),
            36 => {
                self.set_faults();
                Ok(())
            }
            37 if self.rng.one_in(4) => self.reopen(),
            38 if self.rng.one_in(4) => self.die(),
            _ => Ok(()),
        }
    }

    fn set_faults(&mut self) {
        let rng = &mut self.rng;
        let mut rate = |rarely: usize| if rng.one_in(2) { 1 + rng.below(rarely) } else { 0 };
        let faults = Faults {
            write_one_in: rate(10),
            sync_one_in: rate(10),
            other_one_in: rate(10),
            capacity: usize::from(rate(2) == 1),
            calls_until_death: 0,
        };
        self.calm = self.rng.one_in(2);
        self.disk.set_faults(if self.calm { Faults::default() } else { faults });
    }

    /// Some transactions that are committed together.
    pub(super) fn batch(&mut self) -> Result<(), Broken> {
        let n_transactions = 1 + self.rng.below(4);
        let mut asked: Vec<(Vec<Ask>, Pending)> = Vec::new();
        for _ in 0..n_transactions {
            let asks: Vec<Ask> = (0..=self.rng.below(3)).map(|_| self.ask()).collect();
            let writes = asks.iter().map(|ask| self.write(ask)).collect();
            let pending = self.store.submit(writes);
            asked.push((asks, pending));
        }
        let mut asked = asked.into_iter();
        loop {
            let n_committed = self.store.pump();
            if n_committed == 0 {
                break;
            }
            let together: Vec<_> = asked.by_ref().take(n_committed).collect();
            self.judge(together)?;
        }
        law!(asked.next().is_none(), "a transaction was never committed");
        Ok(())
    }

    /// Compares the answers of transactions that were committed together.
    fn judge(&mut self, together: Vec<(Vec<Ask>, Pending)>) -> Result<(), Broken> {
        let mut after = self.model.clone();
        let mut all = Vec::new();
        for (asks, mut pending) in together {
            let wanted = after.transaction(&asks);
            let got = pending.try_now().ok_or("committed without an answer")?;
            all.push((asks, wanted, got));
        }
        let n_failed = all
            .iter()
            .filter(|(_, _, got)| {
                matches!(got, Err(refused) if matches!(refused.error, WriteError::Unavailable(_)))
            })
            .count();
        if n_failed != 0 {
            law!(!self.calm, "the disk works, and writes still fail");
            law!(n_failed == all.len(), "one sync, but only some of its writes failed");
            self.counts.n_failed += 1;
            law!(self.store.revision() == self.model.revision, "a failed write took a revision");
            // Which of several it would be depends on which ones were refused without being written at all.
            self.maybes.push(after);
            return self.everything();
        }
        for (asks, wanted, got) in &all {
            law!(
                same(wanted, got),
                "{asks:?} was answered {got:?}, and should have been {wanted:?}"
            );
            match got {
                Ok(_) => self.counts.n_committed += 1,
                Err(_) => self.counts.n_refused += 1,
            }
        }
        if after.revision != self.model.revision {
            self.maybes.clear();
        }
        self.model = after;
        law!(
            self.store.revision() == self.model.revision,
            "the store is at revision {}, the model at {}",
            self.store.revision(),
            self.model.revision
        );
        self.everything()
    }

    fn ask(&mut self) -> Ask {
        let name = self.model.some_name(&mut self.rng);
        let is = self.model.objects.get(&name).map_or(1, |(revision, _)| *revision);
        let expect = match self.rng.below(4) {
            0 => None,
            1 => Some(is.saturating_sub(1)),
            _ => Some(is),
        };
        self.n_written += 1;
        let len = self.rng.below(700);
        let mut bytes = format!("{}:", self.n_written).into_bytes();
        bytes.resize(bytes.len() + len, b'x');
        match self.rng.below(8) {
            0..=2 => Ask::Create(name, bytes),
            3..=5 => Ask::Update(name, bytes, expect),
            6 => Ask::Delete(name, expect),
            _ => Ask::Check(name, expect),
        }
    }

    fn write(&self, ask: &Ask) -> Write {
        let expect = |revision: &Option<u64>| revision.map_or(Expect::Exists, Expect::Revision);
        match ask {
            Ask::Create(name, bytes) => {
                Write::Create { key: self.key(name), body: Body::whole(bytes.clone()) }
            }
            Ask::Update(name, bytes, revision) => Write::Update {
                key: self.key(name),
                body: Body::whole(bytes.clone()),
                expect: expect(revision),
            },
            Ask::Delete(name, revision) => {
                let last = name.1.ends_with('1').then(|| Body::stamped("gone ", 5));
                Write::Delete { key: self.key(name), last, expect: expect(revision) }
            }
            Ask::Check(name, revision) => {
                Write::Check { key: self.key(name), expect: expect(revision) }
            }
        }
    }

    pub(super) fn key(&self, (resource, path): &Name) -> Key {
        Key { resource: self.resources[*resource].clone(), path: Path::parse(path).unwrap() }
    }

    /// Everything that can be read at the present.
    fn everything(&self) -> Result<(), Broken> {
        for (idx, resource) in self.resources.iter().enumerate() {
            let page = self
                .store
                .list(&List::new(resource, Scope::All))
                .map_err(|error| format!("listing the present: {error}"))?;
            let wanted = of(&self.model.objects, idx, &Scope::All);
            let got: Vec<_> = page.objects.iter().map(object).collect();
            law!(got == wanted, "{resource} is {got:?}, and should be {wanted:?}");
            law!(page.revision == self.model.revision, "a list of another revision");
        }
        law!(
            self.store.stats().n_events <= self.options.history.events_max,
            "more history than there may be"
        );
        Ok(())
    }

    fn compact(&mut self) -> Result<(), Broken> {
        let revision = self.past();
        self.store.compact(revision);
        self.compacted = self.compacted.max(revision);
        self.everything()
    }

    /// The process is killed between any two of its steps on the disk, or in one.
    fn die(&mut self) -> Result<(), Broken> {
        let calls_until_death = 1 + self.rng.below(20);
        self.calm = false;
        self.disk.set_faults(Faults { calls_until_death, ..Faults::default() });
        for _ in 0..12 {
            self.batch()?;
            self.store.pump_snapshot();
            if !self.maybes.is_empty() {
                break;
            }
        }
        self.reopen()
    }

    /// The process ends, or the machine does, and the store is opened again.
    pub(super) fn reopen(&mut self) -> Result<(), Broken> {
        self.counts.n_reopened += 1;
        let how = self.rng.below(3);
        let old = std::mem::replace(&mut self.store, Store::in_memory(self.options));
        if how == 0 {
            // A regular end, as far as the disk lets it.
            old.close();
        }
        // A process that was killed does nothing more, not even to drop what it has.
        std::mem::forget(old);
        if how == 2 {
            self.disk.lose_power();
        }
        self.calm = true;
        self.disk.set_faults(Faults::default());
        let (store, recovery): (Store, Recovery) =
            Store::open_stepped(&arc(&self.disk), self.options)
                .map_err(|error| format!("does not open: {error}"))?;
        law!(
            how == 0 || !self.maybes.is_empty() || recovery.torn.is_none(),
            "all was safe, and still there is a torn end: {recovery:?}"
        );
        self.counts.n_torn += usize::from(recovery.torn.is_some());
        law!(recovery.revision == store.revision(), "recovery is of another revision");
        if store.revision() != self.model.revision {
            let found = self.maybes.iter().find(|model| {
                model.revision == store.revision() && same_objects(&store, &self.resources, model)
            });
            let Some(found) = found.cloned() else {
                return Err(format!(
                    "opens at revision {}, the last acknowledged was {}: {recovery:?}",
                    store.revision(),
                    self.model.revision
                ));
            };
            self.counts.n_resurrected += 1;
            self.model = found;
        }
        self.maybes.clear();
        self.store = store;
        self.floor = recovery.snapshot_revision;
        // Watches are reconnected where they were, as clients do.
        for (watch, resource, scope) in std::mem::take(&mut self.watches) {
            let after = watch.revision();
            let oldest = self.oldest(resource)?;
            match self.store.watch(&self.resources[resource], scope.clone(), after) {
                Ok(watch) => self.watches.push((watch, resource, scope)),
                Err(ReadError::Expired(_)) => law!(after < oldest, "expired without reason"),
                Err(error) => return Err(format!("a watch from {after}: {error}")),
            }
        }
        self.everything()
    }
}

fn same(wanted: &Answer, got: &Outcome) -> bool {
    match (wanted, got) {
        (Ok(revisions), Ok(objects)) => {
            let got: Vec<_> =
                objects.iter().map(|object| object.as_ref().map(|o| o.revision)).collect();
            *revisions == got
        }
        (Err((at, refusal)), Err(refused)) => {
            let error = match refusal {
                Refusal::Exists(current) => WriteError::Exists { current: *current },
                Refusal::NotFound => WriteError::NotFound,
                Refusal::Conflict(current) => WriteError::Conflict { current: *current },
            };
            *at == refused.at && error == refused.error
        }
        _ => false,
    }
}

fn arc(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}
