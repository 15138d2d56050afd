//! Events: what happened to an object, with what it was before.

use crate::key::Key;
use crate::write::Object;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was not there before.
    Added,
    /// It was there before.
    Modified,
    /// It is no longer there.
    Deleted,
}

/// One write. All watchers share one event; nothing is copied for any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The resource and path.
    pub key: Key,
    /// The object after the write, with the write's revision. For a deletion: as the writer wants it seen, else as it was.
    pub object: Object,
    /// The object before the write; a watch with a selector needs it to tell what came into view from what left it.
    pub previous: Option<Object>,
}

impl Event {
    /// The write's revision.
    pub fn revision(&self) -> u64 {
        self.object.revision
    }

    /// Bytes that history holds for this event: what it was before, and an estimate for the rest. What the object is now, the store would
    /// hold anyway.
    pub(crate) fn bytes(&self) -> usize {
        const REST: usize = 256;
        let before = self.previous.as_ref().map_or(0, |object| object.value.len());
        let last = if self.kind == EventKind::Deleted { self.object.value.len() } else { 0 };
        REST + before + last
    }
}
