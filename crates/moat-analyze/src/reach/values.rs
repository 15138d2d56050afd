//! Port sets as small numbers: certain and possible ports of a pair, interned once, combined by table.

pub use crate::memo::{EVERYTHING, NOTHING};

use crate::memo::Memo;
use moat_sets::{PortSet, Protocol};
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Index of a `Value` in the values of a matrix.
pub type ValueId = u32;

/// Which ports a pair may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Ports that are certainly allowed.
    pub allow: PortSet,
    /// Ports that are allowed or depend on something that is not known.
    pub upper: PortSet,
    /// The certain ports as text, for each protocol with ports that has some; by protocol name.
    pub texts: Vec<(Protocol, Box<str>)>,
}

impl Value {
    fn new(allow: PortSet, upper: PortSet) -> Self {
        // Rows are sorted as text, and so are protocols within a pair.
        let texts = [Protocol::Sctp, Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .map(|protocol| (protocol, allow.text(protocol).into_boxed_str()))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        Self { allow, upper, texts }
    }

    /// Ports that are neither certainly allowed nor certainly denied.
    #[must_use]
    pub fn undefined(&self) -> PortSet {
        self.upper.minus(&self.allow)
    }

    /// Whether some port is neither certainly allowed nor certainly denied.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.upper != self.allow
    }
}

/// All values of a matrix; shared by threads, which keep what they have seen in a [`Local`].
#[derive(Debug)]
pub(crate) struct Values(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    all: Vec<Arc<Value>>,
    ids: FxHashMap<(PortSet, PortSet), ValueId>,
}

impl Default for Values {
    fn default() -> Self {
        let values = Self(RwLock::default());
        values.intern(PortSet::empty(), PortSet::empty());
        values.intern(PortSet::all(), PortSet::all());
        values
    }
}

impl Values {
    /// The id of a value; `upper` is widened to contain `allow`.
    pub(crate) fn intern(&self, allow: PortSet, upper: PortSet) -> ValueId {
        let upper = if allow.is_subset(&upper) { upper } else { upper.union(&allow) };
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(table.all.len()).unwrap_or(u32::MAX);
        let id = *table.ids.entry((allow.clone(), upper.clone())).or_insert(next);
        if id == next {
            table.all.push(Arc::new(Value::new(allow, upper)));
        }
        id
    }

    /// A value.
    pub(crate) fn get(&self, id: ValueId) -> Arc<Value> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table
            .all
            .get(id as usize)
            .cloned()
            .unwrap_or_else(|| Arc::new(Value::new(PortSet::empty(), PortSet::empty())))
    }
}

/// One thread's view of the values: answers that it has seen once cost no lock.
#[derive(Debug)]
pub(crate) struct Local<'m> {
    values: &'m Values,
    seen: Vec<Option<Arc<Value>>>,
    memo: Memo,
}

impl<'m> Local<'m> {
    /// A view that has seen nothing yet.
    pub(crate) fn new(values: &'m Values) -> Self {
        Self { values, seen: Vec::new(), memo: Memo::default() }
    }

    /// A value.
    pub(crate) fn get(&mut self, id: ValueId) -> &Value {
        let at = id as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, None);
        }
        self.seen[at].get_or_insert_with(|| self.values.get(id))
    }

    /// Ports that both sides allow.
    pub(crate) fn both(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let key = match self.memo.both(a, b) {
            Ok(known) => return known,
            Err(key) => key,
        };
        let (left, right) = (self.values.get(a), self.values.get(b));
        let upper = left.upper.intersect(&right.upper);
        let id = self.values.intern(left.allow.intersect(&right.allow), upper);
        self.memo.set_both(key, id)
    }

    /// Ports that one of two ways allows.
    pub(crate) fn either(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let key = match self.memo.either(a, b) {
            Ok(known) => return known,
            Err(key) => key,
        };
        let (left, right) = (self.values.get(a), self.values.get(b));
        let upper = left.upper.union(&right.upper);
        let id = self.values.intern(left.allow.union(&right.allow), upper);
        self.memo.set_either(key, id)
    }

    /// The same certain ports, and every other port in doubt if `asked` holds it.
    pub(crate) fn doubted(&mut self, id: ValueId, asked: &PortSet) -> ValueId {
        let value = self.values.get(id);
        self.values.intern(value.allow.clone(), asked.clone())
    }
}
