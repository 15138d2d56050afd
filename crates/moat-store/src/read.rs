//! Reads: what can be asked, and lists at a revision, a page at a time.

use crate::event::Event;
use crate::key::{Path, Resource, Scope};
use crate::shared::Shared;
use crate::sorted::{Sorted, Start};
use crate::state::within;
use crate::write::Object;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A list that is wanted.
#[derive(Clone, Debug)]
pub struct List {
    /// Objects of what kind.
    pub resource: Resource,
    /// Which of them.
    pub scope: Scope,
    /// As they were at this revision, or as they are.
    pub revision: Option<u64>,
    /// Only those after this path: [`Page::next`] of the page before.
    pub after: Option<Path>,
    /// At most so many, or all.
    pub limit: Option<usize>,
}

impl List {
    /// All objects of a scope, as they are.
    pub fn new(resource: &Resource, scope: Scope) -> Self {
        Self { resource: resource.clone(), scope, revision: None, after: None, limit: None }
    }
}

/// A list, or a page of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The store's revision at which the objects are so. Pages that follow ask for this one.
    pub revision: u64,
    /// In the order of their paths.
    pub objects: Vec<Object>,
    /// Where the next page goes on, if there is one.
    pub next: Option<Path>,
    /// How many objects of the scope are after this page.
    pub remaining: usize,
}

/// What is asked for lies before the history that is kept. Kubernetes says 410 Gone, and its clients list anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The oldest revision for which history is kept.
    pub oldest: u64,
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "history before revision {} is no longer kept", self.oldest)
    }
}

impl std::error::Error for Expired {}

/// Why a read has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Too old.
    Expired(Expired),
    /// The store has not come to this revision.
    Future {
        /// Where it is.
        current: u64,
    },
    /// The store was closed.
    Closed,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(expired) => expired.fmt(f),
            Self::Future { current } => write!(f, "the store is only at revision {current}"),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<Expired> for ReadError {
    fn from(expired: Expired) -> Self {
        Self::Expired(expired)
    }
}

/// What objects were that have changed since: `None` for those that were not there.
type Before = BTreeMap<Path, Option<Object>>;

/// Lists. The lock is held to freeze the objects and to take events along, never while objects are gathered.
pub(crate) fn list(shared: &Shared, list: &List) -> Result<Page, ReadError> {
    let (frozen, now) = {
        let state = shared.read();
        (state.freeze(&list.resource), state.revision)
    };
    let revision = list.revision.unwrap_or(now);
    if now < revision {
        return Err(ReadError::Future { current: now });
    }
    let prefix = list.scope.prefix();
    let start = match &list.after {
        Some(path) if prefix.as_str() <= path.as_str() => Start::After(path.as_str().to_owned()),
        _ => Start::At(prefix.clone()),
    };
    let before = before(shared, list, &start, revision, now)?;
    let limit = list.limit.unwrap_or(usize::MAX);
    let mut then = merge(&frozen, &before, &start)
        .take_while(|object| within(&object.path, &prefix, &list.scope));
    let objects: Vec<Object> = then.by_ref().take(limit).cloned().collect();
    if then.next().is_none() || objects.is_empty() {
        return Ok(Page { revision, objects, next: None, remaining: 0 });
    }
    let next = objects.last().map(|object| object.path.clone());
    let rest = next.as_ref().map_or(start.clone(), |path| Start::After(path.as_str().to_owned()));
    let remaining = count(&frozen, &before, &rest, &prefix);
    Ok(Page { revision, objects, next, remaining })
}

/// What the objects in question were at `revision`, of all that changed from there to `now`, when the objects were frozen.
fn before(
    shared: &Shared,
    list: &List,
    start: &Start,
    revision: u64,
    now: u64,
) -> Result<Before, ReadError> {
    let mut before = Before::new();
    let mut cursor = revision;
    // What is as it is now needs no history; but a revision from which history is gone is refused all the same.
    while cursor < now {
        let (events, upto) = shared.read().events_after(&list.resource, &list.scope, cursor)?;
        for event in events.iter().filter(|event| event.revision() <= now) {
            if start.allows(event.key.path.as_str()) {
                remember(&mut before, event);
            }
        }
        cursor = upto;
    }
    Ok(before)
}

/// The first event after the revision knows what the object was at it.
fn remember(before: &mut Before, event: &Arc<Event>) {
    before.entry(event.key.path.clone()).or_insert_with(|| event.previous.clone());
}

/// The objects as they are, with those that changed as they were.
fn merge<'s>(
    frozen: &'s Sorted,
    before: &'s Before,
    start: &Start,
) -> impl Iterator<Item = &'s Object> {
    let mut now = frozen.from(start).peekable();
    let mut then = before.iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let Some((path, was)) = then.peek() else { return now.next() };
            match now.peek() {
                Some(object) if object.path < **path => return now.next(),
                Some(object) if object.path == **path => {
                    now.next();
                }
                _ => {}
            }
            let was = was.as_ref();
            then.next();
            if was.is_some() {
                return was;
            }
        }
    })
}

/// How many objects there were from a place on, without walking over them.
fn count(frozen: &Sorted, before: &Before, rest: &Start, prefix: &str) -> usize {
    // The last character there is; nobody names an object so.
    let end = if prefix.is_empty() {
        frozen.len()
    } else {
        frozen.count_before(&Start::At(format!("{prefix}\u{10ffff}")))
    };
    let now = end.saturating_sub(frozen.count_before(rest));
    let changed = before.iter().filter(|(path, _)| rest.allows(path.as_str()));
    changed.fold(now, |count, (path, was)| {
        let is = frozen.get(path).is_some();
        (count + usize::from(was.is_some())).saturating_sub(usize::from(is))
    })
}
