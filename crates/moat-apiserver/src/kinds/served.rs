//! What is served at the moment: a snapshot that requests hold while they run, and that changes as a whole.

use super::conversion::{Conversion, stored_as};
use super::{Kind, api_version, built_in};
use crate::object::decode;
use crate::selector::Selector;
use moat_store::{InvalidKey, Key, Object, Resource};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// A kind in one version, and how its objects are stored.
#[derive(Debug)]
pub(crate) struct Served {
    /// As clients see it.
    pub(crate) kind: Arc<Kind>,
    /// As the store has it: the same kind, unless it is served in several versions.
    pub(crate) stored: Arc<Kind>,
    /// The name under which the store has its objects.
    pub(crate) resource: Resource,
    conversion: Conversion,
    /// What its definition was when it was made; empty for kinds of the table.
    pub(crate) stamp: String,
}

impl Served {
    /// What is sent to a part of a path of `other`, and never stored.
    pub(crate) fn of_body(kind: Kind, other: &Self) -> Self {
        let (kind, resource) = (Arc::new(kind), other.resource.clone());
        Self {
            stored: Arc::clone(&kind),
            kind,
            resource,
            conversion: Conversion::None,
            stamp: String::new(),
        }
    }

    /// A version of a kind that a client defined.
    pub(crate) fn custom(
        kind: Arc<Kind>,
        stored: Arc<Kind>,
        resource: Resource,
        stamp: String,
    ) -> Self {
        Self { kind, stored, resource, conversion: Conversion::Custom, stamp }
    }

    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> Result<Key, InvalidKey> {
        Key::new(&self.resource, namespace, name)
    }

    /// Whether stored bytes can be sent as they are.
    pub(crate) fn is_as_stored(&self) -> bool {
        matches!(self.conversion, Conversion::None)
    }

    /// A stored object as clients of this version see it.
    pub(crate) fn show(&self, object: &Object) -> Value {
        self.shown(decode(object))
    }

    /// Whether a stored object is one that a selector means.
    pub(crate) fn selects(&self, selector: &Selector, object: &Object) -> bool {
        selector.is_empty()
            || if self.is_as_stored() {
                selector.matches_stored(&object.value)
            } else {
                selector.matches(&self.show(object))
            }
    }

    /// Where the store has the objects.
    pub(crate) fn resource(&self) -> &Resource {
        &self.resource
    }

    /// A stored value as clients of this version see it.
    pub(crate) fn shown(&self, mut value: Value) -> Value {
        self.conversion.to_served(&self.kind, &mut value);
        value
    }

    /// What a client of this version sent, as it is stored.
    pub(crate) fn kept(&self, mut value: Value) -> Value {
        self.conversion.to_stored(&self.stored, &mut value);
        value
    }
}

/// All kinds at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(Vec<Arc<Served>>);

impl Snapshot {
    /// The kinds of the table alone.
    pub(crate) fn built_in() -> Result<Self, InvalidKey> {
        let kinds = built_in();
        let served = |kind: &Arc<Kind>| {
            let (stored, conversion) = stored_as(&kinds, kind);
            let name = resource_name(&stored.group, &stored.plural);
            Ok(Arc::new(Served {
                kind: Arc::clone(kind),
                stored,
                resource: Resource::new(&name)?,
                conversion,
                stamp: String::new(),
            }))
        };
        Ok(Self(kinds.iter().map(served).collect::<Result<_, _>>()?))
    }

    /// All of them, in the order of discovery.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.0.iter()
    }

    /// Groups in the order of discovery, each with its versions, the preferred one first.
    pub(crate) fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for Kind { group, version, .. } in self.0.iter().map(|served| &*served.kind) {
            match groups.iter_mut().find(|(known, _)| known == group) {
                Some((_, versions)) if versions.contains(&version.as_str()) => {}
                Some((_, versions)) => versions.push(version),
                None => groups.push((group, vec![version])),
            }
        }
        groups
    }

    /// The kinds of one group and version.
    pub(crate) fn of_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Kind> {
        let all = self.0.iter().map(|served| &*served.kind);
        all.filter(move |kind| kind.group == group && kind.version == version)
    }

    fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.0.iter().find(|served| {
            let kind = &served.kind;
            kind.group == group && kind.version == version && kind.plural == plural
        })
    }
}

/// The name of a kind's objects in the store.
fn resource_name(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { api_version(group, plural) }
}

/// The kinds of a running server.
#[derive(Debug)]
pub(crate) struct Kinds {
    now: watch::Sender<Arc<Snapshot>>,
    /// Names of definitions whose objects are being removed.
    pub(crate) ending: Mutex<BTreeSet<String>>,
}

impl Kinds {
    pub(crate) fn built_in() -> Result<Self, InvalidKey> {
        let now = watch::Sender::new(Arc::new(Snapshot::built_in()?));
        Ok(Self { now, ending: Mutex::default() })
    }

    /// What is served now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.now.borrow())
    }

    /// Serves other kinds beside those of the table; whoever asks next finds them.
    pub(crate) fn replace(&self, make: impl FnOnce(&Snapshot) -> Vec<Arc<Served>>) {
        self.now.send_modify(|now| {
            let customs = make(now);
            let own = now.all().filter(|served| served.kind.custom.is_none()).cloned();
            *now = Arc::new(Snapshot(own.chain(customs).collect()));
        });
    }

    /// Ends when a kind is no longer what it was.
    pub(crate) async fn ended(&self, served: &Arc<Served>) {
        let gone = |now: &Arc<Snapshot>| !now.all().any(|one| Arc::ptr_eq(one, served));
        // The sender lives as long as this does.
        let _ = self.now.subscribe().wait_for(gone).await;
    }

    /// The kind of a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        self.now().find(group, version, plural).cloned()
    }

    /// A kind by its name, in the version that is preferred.
    pub(crate) fn of(&self, group: &str, kind: &str) -> Option<Arc<Served>> {
        self.now().all().find(|served| served.kind.is(group, kind)).cloned()
    }
}
