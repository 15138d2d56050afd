//! What Kubernetes' types are: the definitions that upstream publishes, from which come the check for unknown fields, merge keys, and OpenAPI.
//!
//! They are data (`data/definitions.json.gz`, see the note beside it), unpacked when the first request needs them, so that the server starts
//! without them.

mod check;
mod gnostic;
mod openapi;
mod openapi2;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use std::io::Read as _;
use std::sync::LazyLock;

pub(crate) use check::check;
pub(crate) use openapi::{document, index};
pub(crate) use openapi2::reply_v2;

/// The packed definitions.
const PACKED: &[u8] = include_bytes!("../../data/definitions.json.gz");

static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut text = Vec::new();
    let read = GzDecoder::new(PACKED).read_to_end(&mut text);
    // A test reads them, so a build that passed its tests cannot fail here.
    let parsed = read.ok().and_then(|_| serde_json::from_slice(&text).ok());
    match parsed {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
});

/// A place in the types: the schema of a value, or that nothing is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'a>(Option<&'a Map<String, Value>>);

impl<'a> Schema<'a> {
    /// The type of a kind's objects.
    pub(crate) fn of_kind(group: &str, version: &str, kind: &str) -> Self {
        let same =
            |gvk: &Value| gvk["group"] == group && gvk["version"] == version && gvk["kind"] == kind;
        let found = DEFINITIONS.iter().find(|(name, definition)| {
            name.ends_with(kind)
                && definition["x-kubernetes-group-version-kind"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(same))
        });
        Self(found.and_then(|(_, definition)| definition.as_object()))
    }

    /// A type that is not among the definitions.
    pub(crate) fn of(map: &'a Map<String, Value>) -> Self {
        Self(Some(map))
    }

    /// The schema of a field as a value.
    pub(crate) fn field_value(self, name: &str) -> Option<Value> {
        self.properties()?.get(name).cloned()
    }

    /// Whether anything is known.
    pub(crate) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// The schema behind a reference, or itself.
    fn resolved(self) -> Self {
        match self.reference() {
            Some(name) => Self(DEFINITIONS.get(name).and_then(Value::as_object)),
            None => self,
        }
    }

    fn reference(self) -> Option<&'a str> {
        self.0.and_then(|map| map.get("$ref")).and_then(Value::as_str)
    }

    fn text(self, key: &str) -> &'a str {
        self.0.and_then(|map| map.get(key)).and_then(Value::as_str).unwrap_or_default()
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.resolved().0.and_then(|map| map.get("properties")).and_then(Value::as_object)
    }

    /// Whether the type names its fields; a map of anything does not.
    pub(crate) fn has_fields(self) -> bool {
        self.properties().is_some()
    }

    /// The schema of a field, with its own merge data; unknown if the type has no such field.
    pub(crate) fn field(self, name: &str) -> Self {
        let resolved = self.resolved();
        let own = resolved.properties().and_then(|all| all.get(name));
        let any = || resolved.0.and_then(|map| map.get("additionalProperties"));
        Self(own.or_else(any).and_then(Value::as_object))
    }

    /// The schema of a list's items.
    pub(crate) fn items(self) -> Self {
        Self(self.resolved().0.and_then(|map| map.get("items")).and_then(Value::as_object))
    }

    /// Whether the type is this one of JSON's.
    pub(crate) fn is(self, kind: &str) -> bool {
        self.resolved().text("type") == kind
    }

    /// Whether the type names this field.
    pub(crate) fn names(self, field: &str) -> bool {
        self.properties().is_some_and(|all| all.contains_key(field))
    }

    /// A word about the field, or about its type where the field says nothing.
    fn word(self, key: &str) -> &'a str {
        match self.text(key) {
            "" => self.resolved().text(key),
            own => own,
        }
    }

    /// Whether a map has one owner: it says so, or nothing is known of what is in it.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self.word("x-kubernetes-map-type") {
            "atomic" => true,
            "" => {
                let resolved = self.resolved().0;
                resolved.is_some_and(|map| {
                    map.get("type").is_some_and(|kind| kind == "object")
                        && !map.contains_key("properties")
                        && !map.contains_key("additionalProperties")
                        && !map.contains_key("x-kubernetes-preserve-unknown-fields")
                })
            }
            _ => false,
        }
    }

    /// Who owns what of a list: `map` and `set` have owners for each item, others one.
    pub(crate) fn list_type(self) -> &'a str {
        self.word("x-kubernetes-list-type")
    }

    /// By which fields items of a list are the same.
    pub(crate) fn list_keys(self) -> Vec<&'a str> {
        let keys = self.0.and_then(|map| map.get("x-kubernetes-list-map-keys"));
        keys.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// How a strategic merge patch treats the field: `merge`, `retainKeys`, both, or nothing.
    pub(crate) fn patch_strategy(self) -> &'a str {
        self.text("x-kubernetes-patch-strategy")
    }

    /// By which field items of a list are the same; nothing for lists of plain values.
    pub(crate) fn merge_key(self) -> &'a str {
        self.text("x-kubernetes-patch-merge-key")
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
