//! What Kubernetes' types are: the definitions that upstream publishes, from which come the check for unknown fields, merge keys, and OpenAPI.
//!
//! They are data (`data/definitions.json.gz`, see the note beside it), unpacked when the first request needs them, so that the server starts
//! without them. What the checks of each write need of them is kept in a form of its own (`types.rs`).

mod check;
mod format;
mod gnostic;
mod openapi;
mod openapi2;
mod types;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use std::io::Read as _;
use std::sync::LazyLock;
use types::Marks;

pub(crate) use check::check;
pub(crate) use openapi::{document, index};
pub(crate) use openapi2::reply_v2;
pub(crate) use types::Type;

/// The packed definitions.
const PACKED: &[u8] = include_bytes!("../../data/definitions.json.gz");

/// The definitions as they were published, for documents. They are large and seldom wanted, so nobody holds them.
fn definitions() -> Map<String, Value> {
    let mut text = Vec::new();
    let read = GzDecoder::new(PACKED).read_to_end(&mut text);
    // A test reads them, so a build that passed its tests cannot fail here.
    let parsed = read.ok().and_then(|_| serde_json::from_slice(&text).ok());
    match parsed {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The published schema of a field that every kind has: `apiVersion` or `kind`.
pub(crate) fn common_field(name: &str) -> Option<Value> {
    static COMMON: LazyLock<Value> = LazyLock::new(|| {
        let mut all = definitions();
        all.get_mut("io.k8s.api.core.v1.ConfigMap").map(Value::take).unwrap_or_default()
    });
    COMMON["properties"].get(name).cloned()
}

/// A place in the types: the schema of a value, or that nothing is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'a>(Option<&'a Type>);

impl<'a> Schema<'a> {
    /// The type of a kind's objects.
    pub(crate) fn of_kind(group: &str, version: &str, kind: &str) -> Self {
        Self(types::of_kind((group, version, kind)))
    }

    /// A type that is not among the definitions.
    pub(crate) fn of(own: &'a Type) -> Self {
        Self(Some(own))
    }

    /// Whether anything is known.
    pub(crate) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// The schema behind a reference, or itself.
    fn resolved(self) -> Option<&'a Type> {
        self.0.and_then(Type::resolved)
    }

    fn marks(self) -> Option<&'a Marks> {
        self.0.and_then(|own| own.marks.as_deref())
    }

    /// Whether the type names its fields; a map of anything does not.
    pub(crate) fn has_fields(self) -> bool {
        self.resolved().is_some_and(|own| own.fields.is_some())
    }

    /// The schema of a field, with its own merge data; unknown if the type has no such field.
    pub(crate) fn field(self, name: &str) -> Self {
        let resolved = self.resolved();
        let own = resolved.and_then(|own| own.fields.as_ref()?.get(name));
        Self(own.or_else(|| resolved.and_then(|own| own.any.as_deref())))
    }

    /// The schema of a list's items.
    pub(crate) fn items(self) -> Self {
        Self(self.resolved().and_then(|own| own.items.as_deref()))
    }

    /// Whether the type is this one of JSON's.
    pub(crate) fn is(self, kind: &str) -> bool {
        self.resolved().is_some_and(|own| own.kind == kind)
    }

    /// Whether the type names this field.
    pub(crate) fn names(self, field: &str) -> bool {
        self.resolved()
            .is_some_and(|own| own.fields.as_ref().is_some_and(|all| all.contains_key(field)))
    }

    /// The names of its fields, sorted.
    #[cfg(test)]
    pub(crate) fn field_names(self) -> Vec<&'a str> {
        let all = self.resolved().and_then(|own| own.fields.as_ref());
        let mut names: Vec<&str> = all.into_iter().flatten().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names
    }

    /// A word about the field, or about its type where the field says nothing.
    fn word(self, of: impl Fn(&'a Marks) -> &'a str) -> &'a str {
        match self.marks().map(&of).unwrap_or_default() {
            "" => Self(self.resolved()).marks().map(&of).unwrap_or_default(),
            own => own,
        }
    }

    /// Whether a map has one owner: it says so, or nothing is known of what is in it.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self.word(|marks| &marks.map_type) {
            "atomic" => true,
            "" => self.resolved().is_some_and(|own| own.is_opaque),
            _ => false,
        }
    }

    /// Who owns what of a list: `map` and `set` have owners for each item, others one.
    pub(crate) fn list_type(self) -> &'a str {
        self.word(|marks| &marks.list_type)
    }

    /// By which fields items of a list are the same.
    pub(crate) fn list_keys(self) -> Vec<&'a str> {
        self.marks().map(|own| own.list_keys.iter().map(|key| &**key).collect()).unwrap_or_default()
    }

    /// How a strategic merge patch treats the field: `merge`, `retainKeys`, both, or nothing.
    pub(crate) fn patch_strategy(self) -> &'a str {
        self.marks().map(|own| &*own.patch_strategy).unwrap_or_default()
    }

    /// By which field items of a list are the same; nothing for lists of plain values.
    pub(crate) fn merge_key(self) -> &'a str {
        self.marks().map(|own| &*own.merge_key).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::built_in;

    #[test]
    fn every_built_in_kind_has_a_type() {
        let without: Vec<String> = built_in()
            .iter()
            .filter(|kind| !kind.schema().is_known())
            .map(|kind| kind.kind.clone())
            .collect();
        // A CRD upstream; its fields are checked by the policy brain's own reader.
        assert_eq!(without, ["ClusterNetworkPolicy"]);
    }

    /// What the check of a body has not called unknown needs no pruning; that holds because only objects have fields.
    #[test]
    fn only_objects_have_fields() {
        for (name, definition) in &definitions() {
            let mut waiting = vec![definition];
            while let Some(schema) = waiting.pop() {
                let has = schema.get("properties").is_some();
                assert!(!has || schema["type"] == "object", "{name}: {schema}");
                waiting.extend(
                    schema["properties"].as_object().into_iter().flatten().map(|(_, one)| one),
                );
                waiting.extend(schema.get("items"));
                waiting.extend(schema.get("additionalProperties"));
            }
        }
    }

    #[test]
    fn merge_keys_are_found_through_references() {
        let pods = Schema::of_kind("apps", "v1", "Deployment")
            .field("spec")
            .field("template")
            .field("spec");
        assert_eq!(pods.field("containers").merge_key(), "name");
        assert_eq!(pods.field("volumes").patch_strategy(), "merge,retainKeys");
        assert_eq!(pods.field("containers").items().field("ports").merge_key(), "containerPort");
        assert_eq!(pods.field("tolerations").merge_key(), "");
    }
}
