//! The objects of a resource in order, as a structure that can be frozen in microseconds however many they are.
//!
//! Objects lie in chunks that are shared until written: freezing copies a pointer for each chunk, and the first write to a chunk after it
//! copies that chunk. So a list of any length holds the store's lock for microseconds, and a writer pays for at most one chunk.

use crate::key::Path;
use crate::write::Object;
use std::sync::Arc;

/// Objects in a chunk: so few that copying one takes some microseconds, so many that a list of pointers to chunks stays short.
const CHUNK_MAX: usize = 256;

/// Objects ordered by path. A clone is frozen: it costs a pointer for each chunk, and never changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted {
    /// None is empty.
    chunks: Vec<Arc<Vec<Object>>>,
    len: usize,
}

/// A place between objects: the chunk, and the index in it, which may be one past its last.
#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: usize,
    idx: usize,
}

impl Sorted {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Object> {
        let (place, found) = self.find(path.as_str());
        if found { self.chunks.get(place.chunk)?.get(place.idx) } else { None }
    }

    /// Puts an object in its place; what was there comes out.
    pub(crate) fn insert(&mut self, object: Object) -> Option<Object> {
        let (place, found) = self.find(object.path.as_str());
        let is_last = place.chunk + 1 >= self.chunks.len();
        let Some(shared) = self.chunks.get_mut(place.chunk) else {
            self.chunks.push(Arc::new(vec![object]));
            self.len += 1;
            return None;
        };
        if found {
            let slot = Arc::make_mut(shared).get_mut(place.idx)?;
            return Some(std::mem::replace(slot, object));
        }
        self.len += 1;
        if is_last && shared.len() >= CHUNK_MAX && place.idx == shared.len() {
            // Objects that come in order fill their chunks instead of leaving halves behind.
            self.chunks.push(Arc::new(vec![object]));
            return None;
        }
        let chunk = Arc::make_mut(shared);
        chunk.insert(place.idx, object);
        if CHUNK_MAX < chunk.len() {
            let right = chunk.split_off(CHUNK_MAX / 2);
            self.chunks.insert(place.chunk + 1, Arc::new(right));
        }
        None
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, path: &Path) -> Option<Object> {
        let (place, found) = self.find(path.as_str());
        if !found {
            return None;
        }
        let chunk = Arc::make_mut(self.chunks.get_mut(place.chunk)?);
        let object = chunk.remove(place.idx);
        self.len -= 1;
        let left = chunk.len();
        if left == 0 {
            self.chunks.remove(place.chunk);
        } else if left < CHUNK_MAX / 8 {
            self.merge(place.chunk);
        }
        Some(object)
    }

    /// The objects whose paths are after `after` in order, or all when it is `None`.
    pub(crate) fn from(&self, start: &Start) -> impl Iterator<Item = &Object> {
        let place = self.place(start);
        let (first, rest) = match self.chunks.get(place.chunk..) {
            Some([first, rest @ ..]) => (first.get(place.idx..).unwrap_or_default(), rest),
            _ => (&[][..], &[][..]),
        };
        first.iter().chain(rest.iter().flat_map(|chunk| chunk.iter()))
    }

    /// How many objects are before a place.
    pub(crate) fn count_before(&self, start: &Start) -> usize {
        let place = self.place(start);
        let whole: usize = self.chunks.iter().take(place.chunk).map(|chunk| chunk.len()).sum();
        whole + place.idx
    }

    fn place(&self, start: &Start) -> Place {
        match start {
            Start::At(text) => self.find(text).0,
            Start::After(text) => {
                let (place, found) = self.find(text);
                Place { idx: place.idx + usize::from(found), ..place }
            }
        }
    }

    /// Where a path is, or would be, and whether it is there.
    fn find(&self, path: &str) -> (Place, bool) {
        // The last chunk that begins at or before the path, or the first.
        let after = self.chunks.partition_point(|chunk| {
            chunk.first().is_some_and(|object| object.path.as_str() <= path)
        });
        let chunk = after.saturating_sub(1);
        let Some(objects) = self.chunks.get(chunk) else {
            return (Place { chunk, idx: 0 }, false);
        };
        match objects.binary_search_by(|object| object.path.as_str().cmp(path)) {
            Ok(idx) => (Place { chunk, idx }, true),
            Err(idx) => (Place { chunk, idx }, false),
        }
    }

    /// Joins a small chunk with the next one, or the one before, if both fit in one.
    fn merge(&mut self, idx: usize) {
        let left = if idx + 1 < self.chunks.len() { idx } else { idx.saturating_sub(1) };
        let (Some(one), Some(two)) = (self.chunks.get(left), self.chunks.get(left + 1)) else {
            return;
        };
        if one.len() + two.len() <= CHUNK_MAX / 2 {
            let right = self.chunks.remove(left + 1);
            if let Some(chunk) = self.chunks.get_mut(left) {
                Arc::make_mut(chunk).extend(right.iter().cloned());
            }
        }
    }
}

/// Where a range begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With this path.
    At(String),
    /// With the one after this path.
    After(String),
}

impl Start {
    pub(crate) fn allows(&self, path: &str) -> bool {
        match self {
            Self::At(text) => text.as_str() <= path,
            Self::After(text) => text.as_str() < path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    fn object(n: usize, revision: u64) -> Object {
        let path = Path::new(None, &format!("o{n:04}")).unwrap();
        Object { path, revision, value: bytes::Bytes::new() }
    }

    #[test]
    fn it_behaves_as_an_ordered_map_and_frozen_copies_do_not_change() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let (mut sorted, mut model) = (Sorted::default(), BTreeMap::new());
            let mut frozen = Vec::new();
            let grow = 2 + rng.below(4);
            for revision in 0..4000 {
                let n = rng.below(2000);
                if rng.below(8) < grow {
                    let new = object(n, revision);
                    assert_eq!(sorted.insert(new.clone()), model.insert(new.path.clone(), new));
                } else {
                    let path = object(n, 0).path;
                    assert_eq!(sorted.remove(&path), model.remove(&path), "seed {seed}");
                }
                if rng.one_in(500) {
                    frozen.push((sorted.clone(), model.clone()));
                }
            }
            frozen.push((sorted, model));
            for (sorted, model) in frozen {
                assert_eq!(sorted.len(), model.len());
                assert!(sorted.chunks.iter().all(|c| !c.is_empty() && c.len() <= CHUNK_MAX));
                let cut = format!("o{:04}", rng.below(2000));
                for start in [Start::At(cut.clone()), Start::After(cut), Start::At(String::new())] {
                    let wanted: Vec<&Object> =
                        model.values().filter(|o| start.allows(o.path.as_str())).collect();
                    assert_eq!(sorted.count_before(&start), model.len() - wanted.len());
                    assert_eq!(sorted.from(&start).collect::<Vec<_>>(), wanted, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn objects_that_come_in_order_fill_their_chunks() {
        let mut sorted = Sorted::default();
        for n in 0..CHUNK_MAX * 4 {
            sorted.insert(object(n, 1));
        }
        assert_eq!(sorted.chunks.len(), 4);
    }
}
