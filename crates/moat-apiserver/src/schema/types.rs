//! The types as the checks walk them: read once out of the definitions, without their descriptions, and found by a hash of the name.

use super::definitions;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use std::sync::{LazyLock, OnceLock};

/// A type, or the use of one by a field.
#[derive(Debug, Default)]
pub(crate) struct Type {
    /// Its name, if it is a definition.
    pub(super) name: Box<str>,
    /// The definition that is used, and that definition once it was looked up.
    pub(super) reference: Option<Box<str>>,
    target: OnceLock<Option<&'static Type>>,
    /// JSON's word for it, or nothing.
    pub(super) kind: &'static str,
    pub(super) format: Box<str>,
    pub(super) fields: Option<FxHashMap<Box<str>, Type>>,
    /// What maps of anything hold, where that is known.
    pub(super) any: Option<Box<Type>>,
    pub(super) items: Option<Box<Type>>,
    /// Whether nothing is said of what is in a map.
    pub(super) is_opaque: bool,
    /// What few fields have.
    pub(super) marks: Option<Box<Marks>>,
}

/// How owners and patches treat a list or a map.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) map_type: Box<str>,
    pub(super) list_type: Box<str>,
    pub(super) list_keys: Vec<Box<str>>,
    pub(super) patch_strategy: Box<str>,
    pub(super) merge_key: Box<str>,
}

/// Words for types, so that none is stored twice.
const KINDS: [&str; 6] = ["object", "array", "string", "integer", "number", "boolean"];

impl Type {
    /// Reads a schema.
    pub(crate) fn of(map: &Map<String, Value>) -> Self {
        let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
        let below = |key: &str| map.get(key).and_then(Value::as_object);
        let has = |key: &str| map.contains_key(key);
        let fields = below("properties").map(|fields| {
            let field = |(name, field): (&String, &Value)| {
                Some((name.as_str().into(), Self::of(field.as_object()?)))
            };
            fields.iter().filter_map(field).collect()
        });
        Self {
            name: Box::default(),
            reference: map.get("$ref").and_then(Value::as_str).map(Into::into),
            target: OnceLock::new(),
            kind: KINDS.into_iter().find(|kind| *kind == text("type")).unwrap_or_default(),
            format: text("format").into(),
            fields,
            any: below("additionalProperties").map(|any| Box::new(Self::of(any))),
            items: below("items").map(|items| Box::new(Self::of(items))),
            is_opaque: text("type") == "object"
                && !has("properties")
                && !has("additionalProperties")
                && !has("x-kubernetes-preserve-unknown-fields"),
            marks: Marks::of(map),
        }
    }

    /// The type itself: what a use of a definition refers to. None where there is no such definition.
    pub(super) fn resolved(&self) -> Option<&Self> {
        match &self.reference {
            Some(name) => *self.target.get_or_init(|| DEFINED.get(name)),
            None => Some(self),
        }
    }
}

impl Marks {
    fn of(map: &Map<String, Value>) -> Option<Box<Self>> {
        let text = |key: &str| -> Box<str> {
            map.get(key).and_then(Value::as_str).unwrap_or_default().into()
        };
        let keys = map.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let keys = keys.into_iter().flatten().filter_map(Value::as_str);
        let marks = Self {
            map_type: text("x-kubernetes-map-type"),
            list_type: text("x-kubernetes-list-type"),
            list_keys: keys.map(Into::into).collect(),
            patch_strategy: text("x-kubernetes-patch-strategy"),
            merge_key: text("x-kubernetes-patch-merge-key"),
        };
        let all = [&marks.map_type, &marks.list_type, &marks.patch_strategy, &marks.merge_key];
        let none = all.into_iter().all(|text| text.is_empty()) && marks.list_keys.is_empty();
        (!none).then(|| Box::new(marks))
    }
}

/// Group, version and kind.
type Gvk<'a> = (&'a str, &'a str, &'a str);

#[derive(Default)]
struct Defined {
    types: FxHashMap<Box<str>, Type>,
    /// Group, version and kind of each kind, and the name of its type.
    kinds: Vec<([Box<str>; 3], Box<str>)>,
}

impl Defined {
    fn get(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }
}

static DEFINED: LazyLock<Defined> = LazyLock::new(|| {
    let mut all = Defined::default();
    for (name, definition) in &definitions() {
        let Some(map) = definition.as_object() else { continue };
        for (group, version, kind) in kinds_of(definition) {
            if name.ends_with(kind) {
                let gvk = [group.into(), version.into(), kind.into()];
                all.kinds.push((gvk, name.as_str().into()));
            }
        }
        let own = Type { name: name.as_str().into(), ..Type::of(map) };
        all.types.insert(name.as_str().into(), own);
    }
    all
});

/// The kinds that a definition is the type of.
pub(super) fn kinds_of(definition: &Value) -> impl Iterator<Item = Gvk<'_>> {
    let all = definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
    all.filter_map(|one| {
        Some((one["group"].as_str()?, one["version"].as_str()?, one["kind"].as_str()?))
    })
}

static KINDS_OF: LazyLock<FxHashMap<Gvk<'static>, &'static Type>> = LazyLock::new(|| {
    let mut all = FxHashMap::default();
    for ([group, version, kind], name) in &DEFINED.kinds {
        if let Some(own) = DEFINED.get(name) {
            // Of several the first counts.
            all.entry((&**group, &**version, &**kind)).or_insert(own);
        }
    }
    all
});

/// The type of a kind's objects.
pub(super) fn of_kind(gvk: Gvk<'_>) -> Option<&'static Type> {
    let kinds: &FxHashMap<Gvk<'_>, &'static Type> = &KINDS_OF;
    kinds.get(&gvk).copied()
}
