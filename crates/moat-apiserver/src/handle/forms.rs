//! Events in the forms in which watchers want them: each is made once and shared by all who want the same.
//!
//! Watchers of one event come at nearly the same time, so it is enough to keep what was made last. What is kept is bounded by count and bytes,
//! and is of use for a moment only: a table tells how old its objects are.

use crate::kinds::Served;
use crate::negotiate::{Encoding, Form};
use crate::table::Include;
use bytes::Bytes;
use moat_store::EventKind;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Forms that are kept.
const FORMS_MAX: usize = 64;
/// Their bytes; one that is larger than all of this is not kept.
const BYTES_MAX: usize = 1 << 20;
/// How long one is given to others.
const FRESH: Duration = Duration::from_millis(500);

/// Everything by which the bytes that watchers get of a write may differ.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Of the write: no other has it.
    pub(super) revision: u64,
    /// What it is to the watcher. One that left a selection is told as it was, and one that was deleted as it was last: of one write there is
    /// only one of the two.
    pub(super) kind: EventKind,
    pub(super) served: Arc<Served>,
    pub(super) form: Form,
    pub(super) include: Include,
    pub(super) encoding: Encoding,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision
            && self.kind == other.kind
            && Arc::ptr_eq(&self.served, &other.served)
            && self.form == other.form
            && self.include == other.include
            && self.encoding == other.encoding
    }
}

/// What was made last.
#[derive(Debug, Default)]
pub(crate) struct Forms(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    /// The newest first.
    all: VecDeque<Made>,
    bytes: usize,
}

#[derive(Debug)]
struct Made {
    key: Key,
    bytes: Bytes,
    at: Instant,
}

impl Forms {
    /// The bytes of a key: those that somebody made before, or new ones.
    pub(super) fn get(&self, key: Key, make: impl FnOnce() -> Bytes) -> Bytes {
        let now = Instant::now();
        if let Some(found) = self.lock().find(&key, now) {
            return found;
        }
        // Without the lock: who comes meanwhile makes the same, and nobody waits for a large one.
        let bytes = make();
        self.lock().put(Made { key, bytes: bytes.clone(), at: now });
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn find(&self, key: &Key, now: Instant) -> Option<Bytes> {
        let fresh = |made: &&Made| now.saturating_duration_since(made.at) < FRESH;
        let found = self.all.iter().find(|made| made.key == *key).filter(fresh);
        found.map(|made| made.bytes.clone())
    }

    fn put(&mut self, made: Made) {
        if BYTES_MAX < made.bytes.len() {
            return;
        }
        let now = made.at;
        self.bytes += made.bytes.len();
        self.all.push_front(made);
        while let Some(last) = self.all.back()
            && (FORMS_MAX < self.all.len()
                || BYTES_MAX < self.bytes
                || FRESH <= now.saturating_duration_since(last.at))
        {
            self.bytes = self.bytes.saturating_sub(last.bytes.len());
            self.all.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Snapshot;

    fn key(revision: u64) -> Key {
        let kinds = Snapshot::built_in().unwrap();
        Key {
            revision,
            kind: EventKind::Added,
            served: Arc::clone(kinds.all().next().unwrap()),
            form: Form::Object,
            include: Include::Metadata,
            encoding: Encoding::Json,
        }
    }

    #[test]
    fn what_differs_in_anything_is_made_for_itself_and_the_same_only_once() {
        let (forms, first) = (Forms::default(), key(1));
        let other_served = Arc::clone(Snapshot::built_in().unwrap().all().nth(1).unwrap());
        let keys = [
            first.clone(),
            Key { revision: 2, ..first.clone() },
            Key { kind: EventKind::Modified, ..first.clone() },
            Key { served: other_served, ..first.clone() },
            Key { form: Form::Table, ..first.clone() },
            Key { include: Include::Object, ..first.clone() },
            Key { encoding: Encoding::Protobuf, ..first },
        ];
        for (n, key) in keys.iter().enumerate() {
            let made = forms.get(key.clone(), || Bytes::from(n.to_string()));
            assert_eq!(made, n.to_string());
        }
        for (n, key) in keys.iter().enumerate() {
            let found = forms.get(key.clone(), || unreachable!("it is there"));
            assert_eq!(found, n.to_string());
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_many_bytes() {
        let (forms, first) = (Forms::default(), key(0));
        let of = |revision| Key { revision, ..first.clone() };
        for revision in 0..1000 {
            forms.get(of(revision), || Bytes::from_static(b"x"));
        }
        assert_eq!(forms.lock().all.len(), FORMS_MAX);
        assert_eq!(forms.lock().bytes, FORMS_MAX);
        forms.get(of(999), || unreachable!("the newest is there"));
        for revision in 1000..1010 {
            forms.get(of(revision), || vec![0; BYTES_MAX / 4].into());
            assert!(forms.lock().bytes <= BYTES_MAX);
        }
        assert_eq!(forms.lock().all.len(), 4);
        forms.get(of(2000), || vec![0; BYTES_MAX + 1].into());
        assert_eq!(forms.lock().all.len(), 4);
    }

    #[test]
    fn what_is_old_is_made_anew_and_goes() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let made = |revision, at| Made { key: key(revision), bytes: Bytes::from_static(b"x"), at };
        recent.put(made(1, now));
        let key = recent.all[0].key.clone();
        assert!(recent.find(&key, now + FRESH / 2).is_some());
        assert!(recent.find(&key, now + FRESH).is_none());
        recent.put(made(2, now + FRESH));
        assert_eq!((recent.all.len(), recent.bytes), (1, 1));
    }
}
