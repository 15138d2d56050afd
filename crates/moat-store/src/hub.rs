//! Who sleeps where: a write wakes the watches whose scope it is in, and no others.

use crate::key::{Key, Resource, Scope};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// Tables of sleepers. Watches of the same scope share a place, so ten thousand of them are one entry.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    tables: Mutex<BTreeMap<Resource, Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// By the prefix of the scope.
    places: BTreeMap<String, Weak<Notify>>,
    /// When there are so many, those without sleepers are cleared away.
    clear_at: usize,
}

impl Hub {
    /// The place where a scope's watches sleep.
    pub(crate) fn place(&self, resource: &Resource, scope: &Scope) -> Arc<Notify> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.entry(resource.clone()).or_default();
        let prefix = scope.prefix();
        if let Some(place) = table.places.get(&prefix).and_then(Weak::upgrade) {
            return place;
        }
        if table.clear_at <= table.places.len() {
            table.places.retain(|_, place| 0 < place.strong_count());
            table.clear_at = 64.max(2 * table.places.len());
        }
        let place = Arc::new(Notify::new());
        table.places.insert(prefix, Arc::downgrade(&place));
        place
    }

    /// Wakes those in whose scope a written object is.
    pub(crate) fn wake<'k>(&self, written: impl Iterator<Item = &'k Key>) {
        let places: Vec<Arc<Notify>> = {
            let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            written
                .filter_map(|key| tables.get(&key.resource).map(|table| (key, table)))
                .flat_map(|(key, table)| {
                    let path = key.path.as_str();
                    let namespace = path.find('/').and_then(|slash| path.get(..=slash));
                    [Some(""), namespace, Some(path)]
                        .into_iter()
                        .flatten()
                        .filter_map(|prefix| table.places.get(prefix)?.upgrade())
                })
                .collect()
        };
        places.iter().for_each(|place| place.notify_waiters());
    }

    /// Wakes all of a resource.
    pub(crate) fn wake_resource(&self, resource: &Resource) {
        let places: Vec<Arc<Notify>> = {
            let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            let table = tables.get(resource).into_iter();
            table.flat_map(|table| table.places.values().filter_map(Weak::upgrade)).collect()
        };
        places.iter().for_each(|place| place.notify_waiters());
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&self) {
        let resources: Vec<Resource> = {
            let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            tables.keys().cloned().collect()
        };
        resources.iter().for_each(|resource| self.wake_resource(resource));
    }
}
