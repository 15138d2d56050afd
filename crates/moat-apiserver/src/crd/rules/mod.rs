//! Rules in CEL (`x-kubernetes-validations`): compiled with their definition, run on every write (`apiextensions-apiserver/pkg/apiserver/schema/cel`).

mod define;
mod path;
mod run;

use crate::object::{list, text};
use moat_cel::{Program, Type};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) use define::check;

/// A place of a schema that has rules, or a place below that has.
#[derive(Debug)]
pub(super) struct Rules {
    own: Vec<Rule>,
    kind: Type,
    /// The word of the schema for the type, which some errors say.
    word: String,
    fields: BTreeMap<String, Rules>,
    /// Of values that have any name.
    any: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
    /// Fields by which items of before are found; none where they cannot be.
    keys: Option<Vec<String>>,
}

#[derive(Debug)]
struct Rule {
    /// The rule, or why it does not compile, which was said when the definition was made.
    program: Result<Program, String>,
    message: String,
    /// A message that is made when the rule does not hold.
    message_program: Option<Program>,
    reason: String,
    /// What is added to the path of the place.
    path: String,
    source: String,
    optional_old: bool,
    uses_old: bool,
}

impl Rules {
    /// The rules of the schema of a kind; `None` where it has none.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        any(schema).then(|| place(schema, Type::of_schema(schema, true))).flatten()
    }
}

/// Whether there is a rule at a place or below.
fn any(schema: &Value) -> bool {
    let below = |word: &str| schema[word].is_object() && any(&schema[word]);
    !list(schema, "/x-kubernetes-validations").is_empty()
        || below("items")
        || below("additionalProperties")
        || schema["properties"].as_object().is_some_and(|fields| fields.values().any(any))
}

/// The names that a rule knows.
fn variables(kind: &Type, optional_old: bool) -> [(&'static str, Type); 2] {
    let old = if optional_old { Type::optional(kind.clone()) } else { kind.clone() };
    [("self", kind.clone()), ("oldSelf", old)]
}

/// What expressions see as the type of a field: that of the place above says it, but for names that no expression can say.
fn type_of_field(kind: &Type, name: &str, schema: &Value) -> Option<Type> {
    match moat_cel::escape(name) {
        Some(_) => kind.field(name),
        None => Type::of_schema(schema, false),
    }
}

fn place(schema: &Value, kind: Option<Type>) -> Option<Rules> {
    let kind = kind?;
    let mut fields = BTreeMap::new();
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        // Metadata is seen as it is, whatever the schema says of it.
        let own = type_of_field(&kind, name, below);
        if let Some(rules) = any(below).then(|| place(below, own)).flatten() {
            fields.insert(name.clone(), rules);
        }
    }
    let below = |word: &str| {
        let below = &schema[word];
        let rules = (below.is_object() && any(below)).then(|| place(below, kind.element()));
        rules.flatten().map(Box::new)
    };
    let keys = (schema["x-kubernetes-list-type"] == "map").then(|| {
        let keys = list(schema, "/x-kubernetes-list-map-keys").iter();
        keys.filter_map(Value::as_str).map(str::to_owned).collect()
    });
    let own = list(schema, "/x-kubernetes-validations");
    Some(Rules {
        own: own.iter().map(|rule| compiled(rule, schema, &kind)).collect(),
        fields,
        any: below("additionalProperties"),
        items: below("items"),
        word: text(schema, "/type").to_owned(),
        keys,
        kind,
    })
}

fn compiled(rule: &Value, schema: &Value, kind: &Type) -> Rule {
    let optional_old = rule["optionalOldSelf"] == true;
    let variables = variables(kind, optional_old);
    let source = text(rule, "/rule");
    let program = Program::compile(source, &variables);
    let message = text(rule, "/messageExpression").trim();
    Rule {
        uses_old: program.as_ref().is_ok_and(|program| program.uses("oldSelf")),
        message_program: (!message.is_empty())
            .then(|| Program::compile(message, &variables).ok())
            .flatten(),
        program,
        message: text(rule, "/message").trim().to_owned(),
        reason: text(rule, "/reason").to_owned(),
        path: path::normalized(text(rule, "/fieldPath"), schema).unwrap_or_default(),
        source: source.trim().to_owned(),
        optional_old,
    }
}
