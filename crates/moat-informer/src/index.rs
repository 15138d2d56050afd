//! What a cache's maps hold, in as little room as it needs: a cluster has many objects, and several caches hold each of them.

use crate::cache::Item;
use moat_store::Path;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A path by its name alone: the key of an object among those of its namespace. It shares the path's letters.
#[derive(Clone, Debug)]
pub(crate) struct Named(pub(crate) Path);

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name().cmp(other.0.name())
    }
}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Named {}

/// The objects of a word of an index: mostly there is one.
#[derive(Debug)]
pub(crate) enum Found<T> {
    One(Arc<Item<T>>),
    Many(BTreeMap<Path, Arc<Item<T>>>),
}

impl<T> Found<T> {
    /// Adds an object, or what it is now.
    pub(crate) fn insert(&mut self, item: Arc<Item<T>>) {
        match self {
            Self::One(own) if own.path == item.path => *own = item,
            Self::One(own) => {
                let both = [Arc::clone(own), item];
                *self = Self::Many(both.into_iter().map(|one| (one.path.clone(), one)).collect());
            }
            Self::Many(all) => {
                all.insert(item.path.clone(), item);
            }
        }
    }

    /// Takes an object out; whether nothing is left.
    pub(crate) fn remove(&mut self, path: &Path) -> bool {
        match self {
            Self::One(own) => own.path == *path,
            Self::Many(all) => {
                all.remove(path);
                all.is_empty()
            }
        }
    }

    /// All of them, by namespace and name.
    pub(crate) fn all(&self) -> Vec<Arc<Item<T>>> {
        match self {
            Self::One(own) => vec![Arc::clone(own)],
            Self::Many(all) => all.values().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Meta;

    fn item(name: &str) -> Arc<Item<()>> {
        let path = Path::new(Some("a"), name).unwrap();
        Arc::new(Item { path, revision: 1, meta: Meta::default(), value: () })
    }

    #[test]
    fn one_object_or_many_are_found_and_removed_alike() {
        let names = |found: &Found<()>| -> Vec<String> {
            found.all().iter().map(|item| item.path.name().to_owned()).collect()
        };
        let mut found = Found::One(item("c"));
        found.insert(item("c"));
        assert_eq!(names(&found), ["c"]);
        assert!(!found.remove(&item("b").path));
        found.insert(item("b"));
        found.insert(item("a"));
        assert_eq!(names(&found), ["a", "b", "c"]);
        assert!(!found.remove(&item("b").path));
        assert!(!found.remove(&item("a").path));
        assert!(found.remove(&item("c").path));
        assert!(Found::One(item("c")).remove(&item("c").path));
    }
}
