//! Sets of dense indexes.

use roaring::RoaringBitmap;

/// A set of dense 32-bit indexes, compressed: classes, pods, address atoms.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct IdSet(RoaringBitmap);

impl IdSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All indexes from `low` up to, not including, `high`.
    #[must_use]
    pub fn range(low: u32, high: u32) -> Self {
        let mut set = RoaringBitmap::new();
        set.insert_range(low..high);
        Self(set)
    }

    /// Adds one index; true when it was not there.
    pub fn insert(&mut self, id: u32) -> bool {
        self.0.insert(id)
    }

    /// Removes one index; true when it was there.
    pub fn remove(&mut self, id: u32) -> bool {
        self.0.remove(id)
    }

    /// Whether the index is in the set.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(id)
    }

    /// Whether the set has no index.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many indexes the set has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Indexes in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// Indexes in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    /// Adds every index of `other`.
    pub fn union_with(&mut self, other: &Self) {
        self.0 |= &other.0;
    }

    /// Indexes in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Indexes of this set that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Removes every index of `other`.
    pub fn minus_with(&mut self, other: &Self) {
        self.0 -= &other.0;
    }

    /// Whether no index is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Whether every index of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl FromIterator<u32> for IdSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl Extend<u32> for IdSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, ids: I) {
        self.0.extend(ids);
    }
}
