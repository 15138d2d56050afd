//! The laws of reads: of the present, the past, in pages, and by watches.

use super::model::{Model, Name};
use super::world::{Broken, World};
use crate::{Event, EventKind, List, Path, ReadError, Resource, Scope, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    pub(super) fn scope(&mut self) -> Scope {
        match self.rng.below(4) {
            0 => Scope::All,
            1 => Scope::Object(Path::parse(&self.model.some_name(&mut self.rng).1).unwrap()),
            _ => Scope::Namespace(["a", "a-b", "z"][self.rng.below(3)].to_owned()),
        }
    }

    pub(super) fn past(&mut self) -> u64 {
        let back = if self.rng.one_in(3) { 0 } else { self.rng.below(80) as u64 };
        self.model.revision.saturating_sub(back)
    }

    /// Whether a revision may be refused as too old; and that nothing younger than promised was forgotten.
    pub(super) fn oldest(&self, resource: usize) -> Result<u64, Broken> {
        let oldest = self.store.oldest(&self.resources[resource]);
        let happened = &self.model.happened;
        let n_beyond = happened.len().saturating_sub(self.options.history.events_max);
        let by_count = happened[..n_beyond].last().map_or(0, |event| event.revision);
        let may = by_count.max(self.floor).max(self.compacted);
        law!(oldest <= may, "history up to {oldest} is gone, and should be only up to {may}");
        Ok(oldest)
    }

    /// A list in pages, with writes in between, is one state.
    pub(super) fn list(&mut self) -> Result<(), Broken> {
        let resource = self.rng.below(3);
        let (scope, revision) = (self.scope(), self.past());
        let mut list = List::new(&self.resources[resource], scope.clone());
        list.revision = (revision != self.model.revision || self.rng.one_in(2)).then_some(revision);
        list.limit = self.rng.one_in(2).then(|| 1 + self.rng.below(5));
        let wanted = of(&self.model.at(revision), resource, &scope);
        let mut got = Vec::new();
        loop {
            let oldest = self.oldest(resource)?;
            let page = match self.store.list(&list) {
                Ok(page) => page,
                Err(ReadError::Expired(expired)) => {
                    law!(revision < oldest && expired.oldest == oldest, "expired without reason");
                    self.counts.n_expired += 1;
                    return Ok(());
                }
                Err(error) => return Err(format!("{list:?}: {error}")),
            };
            law!(oldest <= revision, "a list of {revision}, of which history is gone");
            law!(page.revision == revision, "asked for {revision}, got {}", page.revision);
            got.extend(page.objects.iter().map(object));
            law!(
                got.len() + page.remaining == wanted.len(),
                "{} remain of {wanted:?} after {got:?}",
                page.remaining
            );
            let Some(next) = page.next else { break };
            law!(page.remaining != 0, "a next page with nothing on it");
            list.after = Some(next);
            list.revision = Some(revision);
            if self.rng.one_in(3) {
                self.batch()?;
            }
        }
        self.counts.n_past_lists += usize::from(revision != self.model.revision);
        law!(got == wanted, "{list:?} is {got:?}, and should be {wanted:?}");
        Ok(())
    }

    pub(super) fn get(&mut self) -> Result<(), Broken> {
        let (name, revision) = (self.model.some_name(&mut self.rng), self.past());
        let oldest = self.oldest(name.0)?;
        match self.store.get_at(&self.key(&name), revision) {
            Ok(got) => {
                law!(oldest <= revision, "read at {revision}, of which history is gone");
                let got = got.as_ref().map(|object| (object.revision, object.value.to_vec()));
                let wanted = self.model.at(revision).get(&name).cloned();
                law!(got == wanted, "{name:?} at {revision} is {got:?} and not {wanted:?}");
            }
            Err(ReadError::Expired(_)) => law!(revision < oldest, "expired without reason"),
            Err(error) => return Err(error.to_string()),
        }
        let future = self.model.revision + 1;
        let read = self.store.get_at(&self.key(&name), future);
        law!(matches!(read, Err(ReadError::Future { .. })), "read the future: {read:?}");
        Ok(())
    }

    pub(super) fn open_watch(&mut self) -> Result<(), Broken> {
        let resource = self.rng.below(3);
        let (scope, after) = (self.scope(), self.past());
        let oldest = self.oldest(resource)?;
        match self.store.watch(&self.resources[resource], scope.clone(), after) {
            Ok(watch) => {
                law!(oldest <= after, "watches from {after}, of which history is gone");
                self.watches.push((watch, resource, scope));
            }
            Err(ReadError::Expired(_)) => law!(after < oldest, "expired without reason"),
            Err(error) => return Err(error.to_string()),
        }
        if 12 < self.watches.len() {
            self.watches.remove(0);
        }
        Ok(())
    }

    /// Watches return what the model has between where they were and where they say they are.
    pub(super) fn pump_watches(&mut self) -> Result<(), Broken> {
        let mut kept = Vec::new();
        for (mut watch, resource, scope) in std::mem::take(&mut self.watches) {
            if self.rng.one_in(3) {
                kept.push((watch, resource, scope));
                continue;
            }
            let from = watch.revision();
            let oldest = self.oldest(resource)?;
            let got = match watch.try_next() {
                Ok(got) => got,
                Err(ReadError::Expired(_)) => {
                    law!(from < oldest, "a watch expired without reason");
                    self.counts.n_expired += 1;
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            };
            law!(oldest <= from, "a watch went on from {from}, of which history is gone");
            let upto = watch.revision();
            let wanted: Vec<_> = self
                .model
                .happened
                .iter()
                .filter(|event| from < event.revision && event.revision <= upto)
                .filter(|event| event.name.0 == resource && contains(&scope, &event.name.1))
                .map(|event| {
                    (
                        event.revision,
                        event.name.1.clone(),
                        event.before.clone(),
                        event.after.clone(),
                    )
                })
                .collect();
            let seen: Vec<_> = got.iter().map(Self::seen).collect::<Result<_, _>>()?;
            law!(seen == wanted, "a watch saw {seen:?} and not {wanted:?}");
            law!(upto == self.model.revision, "a watch stops at {upto}");
            self.counts.n_events += seen.len();
            kept.push((watch, resource, scope));
        }
        self.watches = kept;
        Ok(())
    }

    #[allow(clippy::type_complexity, reason = "it is compared with the like and goes")]
    fn seen(
        event: &Arc<Event>,
    ) -> Result<(u64, String, Option<(u64, Vec<u8>)>, Option<Vec<u8>>), Broken> {
        let before = event.previous.as_ref().map(|object| (object.revision, object.value.to_vec()));
        let after = (event.kind != EventKind::Deleted).then(|| event.object.value.to_vec());
        let kind = match (&before, &after) {
            (None, _) => EventKind::Added,
            (_, Some(_)) => EventKind::Modified,
            (_, None) => EventKind::Deleted,
        };
        law!(kind == event.kind, "{event:?} is {kind:?}");
        let path = event.key.path.as_str().to_owned();
        if after.is_none() {
            let shown = if path.ends_with('1') {
                format!("gone {}", event.revision()).into_bytes()
            } else {
                before.as_ref().map(|(_, bytes)| bytes.clone()).unwrap_or_default()
            };
            law!(event.object.value == shown, "the deleted {path} is not shown as it should");
        }
        Ok((event.revision(), path, before, after))
    }
}

pub(super) fn object(object: &crate::Object) -> (String, u64, Vec<u8>) {
    (object.path.as_str().to_owned(), object.revision, object.value.to_vec())
}

/// The scopes once more, from their words.
fn contains(scope: &Scope, path: &str) -> bool {
    match scope {
        Scope::All => true,
        Scope::Namespace(namespace) => path.starts_with(&format!("{namespace}/")),
        Scope::Object(own) => own.as_str() == path,
    }
}

pub(super) fn of(
    objects: &BTreeMap<Name, (u64, Vec<u8>)>,
    resource: usize,
    scope: &Scope,
) -> Vec<(String, u64, Vec<u8>)> {
    objects
        .iter()
        .filter(|((own, path), _)| *own == resource && contains(scope, path))
        .map(|((_, path), (revision, bytes))| (path.clone(), *revision, bytes.clone()))
        .collect()
}

pub(super) fn same_objects(store: &Store, resources: &[Resource], model: &Model) -> bool {
    resources.iter().enumerate().all(|(idx, resource)| {
        store.list(&List::new(resource, Scope::All)).is_ok_and(|page| {
            page.objects.iter().map(object).collect::<Vec<_>>()
                == of(&model.objects, idx, &Scope::All)
        })
    })
}
