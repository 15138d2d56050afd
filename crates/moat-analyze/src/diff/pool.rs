//! What a pair may use, as small numbers that are equal in both states exactly when the ports are.

pub(crate) use crate::memo::{EVERYTHING, NOTHING};

use crate::memo::Memo;
use core::fmt;
use moat_sets::PortSet;
use rustc_hash::FxHashMap;

/// Which ports a pair may use.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Ports {
    /// Ports that are certainly allowed.
    pub allow: PortSet,
    /// Ports whose verdict is undefined; disjoint from `allow`.
    pub undefined: PortSet,
}

impl Ports {
    pub(crate) fn new(allow: PortSet, undefined: &PortSet) -> Self {
        let undefined = undefined.minus(&allow);
        Self { allow, undefined }
    }

    /// Whether nothing is allowed, not even perhaps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.undefined.is_empty()
    }

    fn upper(&self) -> PortSet {
        self.allow.union(&self.undefined)
    }
}

impl fmt::Display for Ports {
    /// `TCP 80`, `TCP 80 (perhaps UDP 53)`, `perhaps UDP 53`, `no port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.allow.is_empty() && !self.undefined.is_empty() {
            return write!(f, "perhaps {}", self.undefined);
        }
        write!(f, "{}", self.allow)?;
        if !self.undefined.is_empty() {
            write!(f, " (perhaps {})", self.undefined)?;
        }
        Ok(())
    }
}

/// Index in a [`Pool`].
pub(crate) type PortsId = u32;

/// Every [`Ports`] seen, once.
#[derive(Debug)]
pub(crate) struct Pool {
    all: Vec<Ports>,
    ids: FxHashMap<Ports, PortsId>,
    memo: Memo,
}

impl Default for Pool {
    fn default() -> Self {
        let mut pool = Self { all: Vec::new(), ids: FxHashMap::default(), memo: Memo::default() };
        pool.intern(Ports::default());
        pool.intern(Ports::new(PortSet::all(), &PortSet::empty()));
        pool
    }
}

impl Pool {
    pub(crate) fn intern(&mut self, ports: Ports) -> PortsId {
        if let Some(&id) = self.ids.get(&ports) {
            return id;
        }
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(ports.clone());
        self.ids.insert(ports, id);
        id
    }

    pub(crate) fn get(&self, id: PortsId) -> &Ports {
        &self.all[id as usize]
    }

    /// Ports that both ends let pass.
    pub(crate) fn both(&mut self, a: PortsId, b: PortsId) -> PortsId {
        let key = match self.memo.both(a, b) {
            Ok(known) => return known,
            Err(key) => key,
        };
        let (left, right) = (self.get(a), self.get(b));
        let upper = left.upper().intersect(&right.upper());
        let ports = Ports::new(left.allow.intersect(&right.allow), &upper);
        let id = self.intern(ports);
        self.memo.set_both(key, id)
    }

    /// Ports that one of two IP families lets pass.
    pub(crate) fn either(&mut self, a: PortsId, b: PortsId) -> PortsId {
        let key = match self.memo.either(a, b) {
            Ok(known) => return known,
            Err(key) => key,
        };
        let (left, right) = (self.get(a), self.get(b));
        let upper = left.upper().union(&right.upper());
        let ports = Ports::new(left.allow.union(&right.allow), &upper);
        let id = self.intern(ports);
        self.memo.set_either(key, id)
    }

    /// The same certain ports, and every other in doubt.
    pub(crate) fn doubted(&mut self, id: PortsId) -> PortsId {
        let ports = Ports::new(self.get(id).allow.clone(), &PortSet::all());
        self.intern(ports)
    }
}
