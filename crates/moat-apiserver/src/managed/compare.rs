//! What a write changed.

use super::set::Set;
use super::shape::{Shape, element, is_hollow, list, map, shape};
use crate::schema::Schema;
use serde_json::Value;
use std::collections::BTreeMap;

/// The difference of two objects.
#[derive(Debug, Default)]
pub(super) struct Diff {
    /// Fields that are new, or another.
    pub(super) changed: Set,
    /// Fields that are gone.
    pub(super) removed: Set,
}

impl Diff {
    fn put(&mut self, element: String, below: Self) {
        if !below.removed.is_empty() {
            self.removed.put(element.clone(), below.removed);
        }
        self.changed.put(element, below.changed);
    }

    fn come(&mut self) {
        self.changed.member = true;
    }

    fn gone(&mut self) {
        self.removed.member = true;
    }
}

/// Compares two values of a type.
pub(super) fn compare(schema: Schema<'_>, old: Option<&Value>, new: Option<&Value>) -> Diff {
    let mut diff = Diff::default();
    let none = |side: Option<&Value>| side.is_none_or(Value::is_null);
    if old == new || none(old) && none(new) {
        return diff;
    }
    let kind = |value: &Value| shape(schema, value);
    // A null is of whatever shape the other side is.
    let shapes: Vec<Shape> =
        [old, new].into_iter().flatten().filter(|value| !value.is_null()).map(kind).collect();
    let both = match shapes.as_slice() {
        [] => Shape::Leaf,
        [one] => *one,
        [one, other, ..] if one == other => *one,
        _ => Shape::Leaf,
    };
    if both == Shape::Leaf || is_hollow(old) && is_hollow(new) {
        match (old, new) {
            (None, _) => diff.come(),
            (_, None) => diff.gone(),
            _ => diff.come(),
        }
        return diff;
    }
    if both == Shape::Fields {
        fields(schema, old, new, &mut diff);
    } else {
        items(schema, old, new, &mut diff);
    }
    if old.is_none() {
        diff.come();
    } else if new.is_none() {
        diff.gone();
    }
    diff
}

fn fields(schema: Schema<'_>, old: Option<&Value>, new: Option<&Value>, diff: &mut Diff) {
    let (old, new) = (map(old), map(new));
    for (key, value) in new.into_iter().flatten() {
        let before = old.and_then(|old| old.get(key));
        if before != Some(value) {
            diff.put(format!("f:{key}"), compare(schema.field(key), before, Some(value)));
        }
    }
    for (key, value) in old.into_iter().flatten() {
        if new.is_none_or(|new| !new.contains_key(key)) {
            diff.put(format!("f:{key}"), compare(schema.field(key), Some(value), None));
        }
    }
}

fn items(schema: Schema<'_>, old: Option<&Value>, new: Option<&Value>, diff: &mut Diff) {
    let mut found: BTreeMap<String, [Vec<&Value>; 2]> = BTreeMap::new();
    for (side, items) in [list(old), list(new)].into_iter().enumerate() {
        for item in items {
            // An item without its keys has no owner.
            if let Ok(element) = element(schema, item)
                && let Some(slot) = found.entry(element).or_default().get_mut(side)
            {
                slot.push(item);
            }
        }
    }
    for (element, [old, new]) in found {
        let one = |items: &[&'_ Value]| items.first().copied().cloned();
        let mut below = Diff::default();
        match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => {
                below = compare(schema.items(), old.first().copied(), new.first().copied());
            }
            // What occurs twice is one thing to its owners.
            (2.., 2..) if old != new => below.come(),
            (2.., 2..) => {}
            (2.., _) => {
                below = compare(schema.items(), None, one(&new).as_ref());
                below.gone();
            }
            _ => {
                below = compare(schema.items(), one(&old).as_ref(), None);
                below.come();
            }
        }
        diff.put(element, below);
    }
}
