//! Kinds that clients define: CustomResourceDefinitions, and what their schemas mean for objects.
//!
//! ```text
//! definition --define--> rules, defaults   --settle--> names, conditions   --register--> kinds that are served
//! object     --fill--> pruned, defaulted   --value--> held against the schema   --columns--> a row
//! ```
//!
//! Schemas stay the JSON that the client sent, and are walked beside the object: a body has few levels, because the parser allows few.

mod columns;
mod define;
mod fill;
mod format;
mod register;
mod rules;
mod settle;
mod structural;
mod teardown;
mod value;

use crate::kinds::Kind;
use crate::object::{list, text};
use crate::schema::{Schema, Type, common_field};
use crate::status::Cause;
use serde_json::{Map, Value, json};

pub(crate) use columns::Column;
pub(crate) use define::STRATEGY;
pub(crate) use register::changed;
pub(crate) use settle::settle;

/// The group of definitions.
pub(crate) const GROUP: &str = "apiextensions.k8s.io";
/// Their kind.
pub(crate) const KIND: &str = "CustomResourceDefinition";
/// Who holds a definition that goes until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether a kind is that of definitions.
pub(crate) fn is_definition(kind: &Kind) -> bool {
    kind.is(GROUP, KIND)
}

/// What a definition says of one version of its kind.
#[derive(Debug)]
pub(crate) struct Custom {
    /// The schema as the client wrote it.
    schema: Value,
    /// The same in the shape of the built-in types, with the metadata that every object has.
    typed: Map<String, Value>,
    /// What the schema says in CEL.
    rules: Option<rules::Rules>,
    /// The same again, as checks and patches walk it.
    schema_type: Type,
    /// Columns besides the name.
    pub(crate) columns: Vec<Column>,
    /// Where `scale` finds its numbers and its selector.
    pub(crate) scale: Option<Scale>,
    /// Said to whoever uses a version that is deprecated.
    pub(crate) warning: Option<String>,
    /// Whether the definition is being deleted, so that nothing new is made.
    pub(crate) is_ending: bool,
}

/// Pointers into an object.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) spec: String,
    pub(crate) status: String,
    /// `None` where it is made of the object's own `spec.selector`; an empty one leads to nothing.
    pub(crate) selector: Option<String>,
}

impl Custom {
    fn new(definition: &Value, version: &Value, kind: &Kind) -> Self {
        let schema = version["schema"]["openAPIV3Schema"].clone();
        let warning =
            (version["deprecated"] == true).then(|| match version["deprecationWarning"].as_str() {
                Some(own) => own.to_owned(),
                None => format!("{} {} is deprecated", kind.api_version(), kind.kind),
            });
        let pointer = |path: &str| path.replace('.', "/");
        let sub = &version["subresources"]["scale"];
        let scale = sub.is_object().then(|| Scale {
            spec: pointer(text(sub, "/specReplicasPath")),
            status: pointer(text(sub, "/statusReplicasPath")),
            selector: Some(pointer(text(sub, "/labelSelectorPath"))),
        });
        let typed = typed(&schema, kind);
        Self {
            schema_type: Type::of(&typed),
            typed,
            columns: columns::of(list(version, "/additionalPrinterColumns")),
            rules: rules::Rules::of(&schema),
            schema,
            scale,
            warning,
            is_ending: crate::object::is_deleting(definition),
        }
    }

    /// The type of the objects, in the shape of the built-in ones.
    pub(crate) fn schema(&self) -> Schema<'_> {
        Schema::of(&self.schema_type)
    }

    /// The definition for OpenAPI documents.
    pub(crate) fn typed(&self) -> &Map<String, Value> {
        &self.typed
    }

    /// Drops what the schema does not have and fills in its defaults; returns the paths of what was dropped.
    pub(crate) fn fill(&self, object: &mut Value) -> Vec<String> {
        fill::fill(&self.schema, object)
    }

    /// Whether the schema has rules that compare an object with what it was.
    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// Holds an object against the schema, and against its rules with what the object was.
    pub(crate) fn check(&self, old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
        let before = causes.len();
        value::check(&self.schema, new, "", causes);
        let Some(rules) = &self.rules else { return };
        // Rules rely on what the schema says.
        let blocks = |cause: &Cause| {
            matches!(
                cause.reason,
                "FieldValueRequired"
                    | "FieldValueTooLong"
                    | "FieldValueTooMany"
                    | "FieldValueTypeInvalid"
            )
        };
        if causes.iter().skip(before).any(blocks) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            causes.push(Cause::invalid("<nil>", &json!(null), why));
            return;
        }
        rules.check(old, new, causes);
    }
}

/// A schema with the fields of every object, so that patches, `explain` and documents find them.
fn typed(schema: &Value, kind: &Kind) -> Map<String, Value> {
    let mut typed = schema.as_object().cloned().unwrap_or_default();
    let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if !keeps || schema["properties"].is_object() {
        let fields = crate::object::map_mut(&mut typed, "properties");
        for field in ["apiVersion", "kind"] {
            let own = common_field(field);
            fields.insert(field.to_owned(), own.unwrap_or_else(|| json!({ "type": "string" })));
        }
        let metadata = json!({ "$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" });
        fields.insert("metadata".to_owned(), metadata);
    }
    typed.insert("type".to_owned(), "object".into());
    let own = json!([{ "group": kind.group, "version": kind.version, "kind": kind.kind }]);
    typed.insert("x-kubernetes-group-version-kind".to_owned(), own);
    typed
}
