//! Sets of fields, as `fieldsV1` writes them: a tree of path elements in which a field is a member, or has members below it, or both.
//!
//! Path elements are texts: `f:name` a field, `k:{"name":"a"}` the item of a list by its keys, `v:"a"` the item of a set by its value.

use serde_json::{Map, Value};

/// The member mark of a node that has children too.
const SELF: &str = ".";

/// A set of fields, seen from one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// Whether the place itself is a member.
    pub(super) member: bool,
    pub(super) children: Children,
}

/// Sets by path elements, sorted. There are few below one place, and many places: each takes one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Children(Vec<(String, Set)>);

impl Children {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, element: &str) -> Result<usize, usize> {
        // Most come in order.
        match self.0.last() {
            Some((last, _)) if last.as_str() < element => Err(self.0.len()),
            _ => self.0.binary_search_by(|(own, _)| own.as_str().cmp(element)),
        }
    }

    pub(super) fn get(&self, element: &str) -> Option<&Set> {
        self.0.get(self.find(element).ok()?).map(|(_, set)| set)
    }

    pub(super) fn get_mut(&mut self, element: &str) -> Option<&mut Set> {
        let at = self.find(element).ok()?;
        self.0.get_mut(at).map(|(_, set)| set)
    }

    pub(super) fn contains_key(&self, element: &str) -> bool {
        self.find(element).is_ok()
    }

    pub(super) fn insert(&mut self, element: String, set: Set) {
        match self.find(&element) {
            Ok(at) => {
                if let Some((_, own)) = self.0.get_mut(at) {
                    *own = set;
                }
            }
            Err(at) => self.0.insert(at, (element, set)),
        }
    }

    pub(super) fn remove(&mut self, element: &str) -> Option<Set> {
        let at = self.find(element).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Set)> {
        self.0.iter().map(|(element, set)| (element, set))
    }
}

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Puts a set below a place, if it has anything.
    pub(super) fn put(&mut self, element: String, below: Self) {
        if !below.is_empty() {
            self.children.insert(element, below);
        }
    }

    /// Whether a field is a member, by its path.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        match path.split_first() {
            None => self.member,
            Some((first, rest)) => self.children.get(first).is_some_and(|below| below.has(rest)),
        }
    }

    /// What is in one of them.
    pub(super) fn union(mut self, other: Self) -> Self {
        self.member |= other.member;
        for (element, below) in other.children.0 {
            let own = self.children.remove(&element).unwrap_or_default();
            self.children.insert(element, own.union(below));
        }
        self
    }

    /// What is in this one alone.
    pub(super) fn difference(mut self, other: &Self) -> Self {
        self.member &= !other.member;
        let children = std::mem::take(&mut self.children);
        for (element, below) in children.0 {
            let left = match other.children.get(&element) {
                Some(other) => below.difference(other),
                None => below,
            };
            self.put(element, left);
        }
        self
    }

    /// What is in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self { member: self.member && other.member, ..Self::default() };
        for (element, below) in self.children.iter() {
            if let Some(other) = other.children.get(element) {
                both.put(element.clone(), below.intersection(other));
            }
        }
        both
    }

    /// Calls with the path of every member.
    pub(super) fn each<'a>(&'a self, path: &mut Vec<&'a str>, call: &mut impl FnMut(&[&str])) {
        if self.member {
            call(path);
        }
        for (element, below) in self.children.iter() {
            path.push(element);
            below.each(path, call);
            path.pop();
        }
    }

    /// Reads `fieldsV1`; what is not of its form is an error.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let mut set = Self { member: map.is_empty() || map.contains_key(SELF), ..Self::default() };
        for (element, below) in map {
            if element == SELF {
                continue;
            }
            if !["f:", "k:", "v:", "i:"].iter().any(|kind| element.starts_with(kind)) {
                return None;
            }
            set.children.insert(element.clone(), Self::from_json(below)?);
        }
        Some(set)
    }

    pub(super) fn into_json(self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        map.extend(
            self.children.0.into_iter().map(|(element, below)| (element, below.into_json())),
        );
        Value::Object(map)
    }

    /// Whether `fieldsV1` has any of these, without reading all of it.
    pub(super) fn meets(&self, json: &Value) -> bool {
        let Some(map) = json.as_object() else { return false };
        if self.member && (map.is_empty() || map.contains_key(SELF)) {
            return true;
        }
        self.children
            .iter()
            .any(|(element, below)| map.get(element).is_some_and(|json| below.meets(json)))
    }

    /// Whether `fieldsV1` has all of these.
    pub(super) fn is_within(&self, json: &Value) -> bool {
        let Some(map) = json.as_object() else { return false };
        (!self.member || map.is_empty() || map.contains_key(SELF))
            && self
                .children
                .iter()
                .all(|(element, below)| map.get(element).is_some_and(|json| below.is_within(json)))
    }
}

/// A path as messages write it: `.spec.containers[name="a"].image`.
pub(super) fn shown(path: &[&str]) -> String {
    let mut text = String::new();
    for element in path {
        let (kind, rest) = element.split_at_checked(2).unwrap_or((element, ""));
        match kind {
            "f:" => text += &format!(".{rest}"),
            "k:" => {
                let keys: Value = serde_json::from_str(rest).unwrap_or_default();
                let keys: Vec<String> = keys
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                text += &format!("[{}]", keys.join(","));
            }
            "v:" => text += &format!("[={rest}]"),
            _ => text += &format!("[{rest}]"),
        }
    }
    text
}
