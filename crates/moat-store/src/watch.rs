//! Watches: places in the order of events, which move on when asked.

use crate::event::Event;
use crate::key::{Resource, Scope};
use crate::read::ReadError;
use crate::shared::Shared;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Notify;

/// A place in the events of a resource. It holds no events: what it has not asked for lies in the history that all watches share, and a
/// watch that lags behind what is kept is told so.
///
/// Every event of the scope after the place is returned once, in order; dropping a future of [`Watch::next`] loses nothing.
pub struct Watch {
    shared: Arc<Shared>,
    resource: Resource,
    scope: Scope,
    place: Arc<Notify>,
    revision: u64,
}

impl Watch {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        resource: &Resource,
        scope: Scope,
        after: u64,
    ) -> Result<Self, ReadError> {
        if shared.is_closed() {
            return Err(ReadError::Closed);
        }
        {
            let state = shared.read();
            let current = state.revision;
            if current < after {
                return Err(ReadError::Future { current });
            }
            let oldest = state.oldest(resource);
            if after < oldest {
                return Err(ReadError::Expired(crate::read::Expired { oldest }));
            }
        }
        Ok(Self {
            shared: Arc::clone(shared),
            place: shared.hub.place(resource, &scope),
            resource: resource.clone(),
            scope,
            revision: after,
        })
    }

    /// The next events, at least one; waits until there is one. After an error there is no more: [`ReadError::Expired`] if the watch lagged
    /// behind, [`ReadError::Closed`] when all events of a closed store were returned.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, ReadError> {
        let place = Arc::clone(&self.place);
        loop {
            // Lying down before looking: what is written in between wakes.
            let mut woken = std::pin::pin!(place.notified());
            woken.as_mut().enable();
            let closed = self.shared.is_closed();
            let events = self.try_next()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if closed {
                return Err(ReadError::Closed);
            }
            woken.await;
        }
    }

    /// The next events if there are any. If there are none, [`Watch::revision`] is the store's own afterwards.
    pub fn try_next(&mut self) -> Result<Vec<Arc<Event>>, ReadError> {
        loop {
            let state = self.shared.read();
            let (events, upto) = state.events_after(&self.resource, &self.scope, self.revision)?;
            self.revision = upto;
            if !events.is_empty() || upto == state.revision {
                return Ok(events);
            }
        }
    }

    /// The revision up to which all events of the scope were returned: what a bookmark says, and where another watch could go on.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("resource", &self.resource)
            .field("scope", &self.scope)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
