//! Lists and watches of a client in this process: the stored objects themselves, which are parsed by whoever wants to look into them.

use super::{At, Client};
use crate::handle::{ListOptions, gather, seen, selection};
use crate::kinds::Served;
use crate::object::decode;
use crate::selector::Selector;
use crate::status::Status;
use moat_store::{Event, List, Object, ReadError, Watch};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

pub use moat_store::EventKind as ChangeKind;

/// Which objects are meant, in the words of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// A label selector.
    pub labels: String,
    /// A field selector.
    pub fields: String,
}

impl Selection {
    pub(super) fn query(&self) -> Vec<(String, String)> {
        [("labelSelector", &self.labels), ("fieldSelector", &self.fields)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name.to_owned(), text.clone()))
            .collect()
    }
}

/// Objects at a revision.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where a watch goes on.
    pub revision: u64,
    /// As they are stored: JSON with its revision.
    pub objects: Vec<Object>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened, as this watch sees it: what leaves its selection is deleted.
    pub kind: ChangeKind,
    /// The write behind it, which all watches share.
    pub event: Arc<Event>,
}

impl Change {
    /// The object as this watch sees it; parsed anew by each call.
    pub fn value(&self) -> Value {
        let left = self.kind == ChangeKind::Deleted && self.event.kind != ChangeKind::Deleted;
        if !left {
            return decode(&self.event.object);
        }
        let mut last = self.event.previous.as_ref().map(decode).unwrap_or_default();
        last["metadata"]["resourceVersion"] = self.event.revision().to_string().into();
        last
    }
}

/// A watch under way.
pub struct Watching {
    watch: Watch,
    served: Arc<Served>,
    selector: Selector,
    closed: watch::Receiver<bool>,
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl Watching {
    /// The next changes, at least one. After an error there is no more: `Expired` if the watch lagged behind history, else the server ends.
    pub async fn next(&mut self) -> Result<Vec<Change>, Status> {
        loop {
            let events = tokio::select! {
                events = self.watch.next() => events,
                _ = self.closed.wait_for(|closed| *closed) => Err(ReadError::Closed),
            };
            let events = events.map_err(|error| refused(&error, self.watch.revision()))?;
            let changes: Vec<Change> = events
                .into_iter()
                .filter_map(|event| {
                    let kind = seen(&self.served, &self.selector, &event)?;
                    Some(Change { kind, event: shown_event(&self.served, event) })
                })
                .collect();
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    /// How far it has come.
    pub fn revision(&self) -> u64 {
        self.watch.revision()
    }
}

/// Stored bytes are what is served, except where a kind is asked for in another version.
fn show(served: &Served, object: &mut Object) {
    if !served.is_as_stored() {
        object.value = served.show(object).to_string().into();
    }
}

fn shown_event(served: &Served, event: Arc<Event>) -> Arc<Event> {
    if served.is_as_stored() {
        return event;
    }
    let mut event = Event::clone(&event);
    show(served, &mut event.object);
    if let Some(previous) = &mut event.previous {
        show(served, previous);
    }
    Arc::new(event)
}

fn refused(error: &ReadError, wanted: u64) -> Status {
    match error {
        ReadError::Expired(expired) => {
            Status::expired(format!("too old resource version: {wanted} ({})", expired.oldest))
        }
        ReadError::Future { current } => Status::future_revision(wanted, *current),
        ReadError::Closed => Status::unavailable("the server is shutting down"),
    }
}

impl Client {
    /// Objects of a kind, of a namespace if `at` names one.
    pub fn list(&self, at: At<'_>, selection_: &Selection) -> Result<Listed, Status> {
        let call = self.call("list", at, selection_.query())?;
        let (selector, scope) = selection(&call)?;
        let wanted = List::new(&call.served.resource, scope);
        let (mut objects, revision, ..) =
            gather(&self.api, &call, wanted, &selector, &ListOptions::of(&call)?)?;
        objects.iter_mut().for_each(|object| show(&call.served, object));
        Ok(Listed { revision, objects })
    }

    /// Watches a kind after a revision, in a namespace if `at` names one.
    pub fn watch(
        &self,
        at: At<'_>,
        selection_: &Selection,
        after: u64,
    ) -> Result<Watching, Status> {
        let call = self.call("watch", at, selection_.query())?;
        let (selector, scope) = selection(&call)?;
        let watch = self.api.store.watch(&call.served.resource, scope, after);
        let watch = watch.map_err(|error| refused(&error, after))?;
        Ok(Watching { watch, served: call.served, selector, closed: self.api.closed.clone() })
    }
}
