//! Holds a value against a schema, with the sentences of upstream's validator (`kube-openapi/pkg/validation`).

use super::format;
use crate::json::join;
use crate::status::Cause;
use regex::Regex;
use serde_json::{Number, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Errors told of one object.
const CAUSES_MAX: usize = 64;
/// Values looked at in one object: alternatives inside alternatives would take for ever.
const STEPS_MAX: usize = 1_000_000;
/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A pattern in the syntax of RE2, which takes time in proportion to the text, whatever it is.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| error.to_string().replace('\n', " "))
}

/// Checks a value that is at a path.
pub(super) fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut walk = Walk { steps: 0, patterns: BTreeMap::new() };
    let mut found = Vec::new();
    walk.value(schema, value, path, &mut found);
    walk.lists(schema, value, path, &mut found);
    if STEPS_MAX <= walk.steps {
        found.insert(
            0,
            Cause::invalid("", &json!(""), "the object is too large to be held against its schema"),
        );
    }
    found.truncate(CAUSES_MAX);
    causes.extend(found);
}

struct Walk {
    steps: usize,
    /// Patterns are compiled once an object.
    patterns: BTreeMap<String, Option<Regex>>,
}

impl Walk {
    fn value(&mut self, schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        self.steps += 1;
        if !schema.is_object() || STEPS_MAX <= self.steps || CAUSES_MAX <= causes.len() {
            return;
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        let wanted = types(schema);
        let own = type_of(value);
        if !wanted.is_empty() && !fits(&wanted, value) {
            let why = format!("{path} in body must be of type {}: \"{own}\"", wanted.join(","));
            causes.push(typed(path, &json!(own), &why));
            return;
        }
        match value {
            Value::String(text) => self.text(schema, text, path, causes),
            Value::Number(number) => numbers(schema, number, path, causes),
            Value::Array(items) => {
                counted(schema, items.len(), "Items", "items", path, causes);
                for (at, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{path}[{at}]"), causes);
                }
            }
            Value::Object(map) => {
                counted(schema, map.len(), "Properties", "properties", path, causes);
                let fields = schema["properties"].as_object();
                for name in
                    crate::object::list(schema, "/required").iter().filter_map(Value::as_str)
                {
                    if !map.contains_key(name) {
                        causes.push(Cause::required(join(path, name), ""));
                    }
                }
                for (key, inner) in map {
                    // Metadata of the object itself has rules of its own, but for its name.
                    let any = &schema["additionalProperties"];
                    let below = fields.and_then(|fields| fields.get(key)).unwrap_or(any);
                    self.value(below, inner, &join(path, key), causes);
                }
            }
            _ => {}
        }
        if let Some(allowed) = schema["enum"].as_array().filter(|all| !all.contains(value)) {
            let words: Vec<String> = allowed
                .iter()
                .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            causes.push(Cause::not_supported(path, value, &words));
        }
        self.alternatives(schema, value, path, causes);
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
        let value = Value::from(text);
        let length = text.chars().count() as u64;
        if schema["maxLength"].as_u64().is_some_and(|max| max < length) {
            let max = &schema["maxLength"];
            let why = format!("Too long: may not be more than {max} bytes");
            causes.push(Cause::field("FieldValueTooLong", path, why));
        }
        if let Some(min) = schema["minLength"].as_u64().filter(|min| length < *min) {
            let why = format!("{path} in body should be at least {min} chars long");
            causes.push(Cause::invalid(path, &value, &why));
        }
        if let Some(wanted) = schema["pattern"].as_str() {
            let compiled =
                self.patterns.entry(wanted.to_owned()).or_insert_with(|| pattern(wanted).ok());
            // One that does not compile was refused with its definition.
            if !compiled.as_ref().is_some_and(|regex| regex.is_match(text)) {
                let why = format!("{path} in body should match '{wanted}'");
                causes.push(Cause::invalid(path, &value, &why));
            }
        }
        if let Some(name) = schema["format"].as_str().filter(|name| !format::is(name, text)) {
            let why = format!("{path} in body must be of type {name}: {value}");
            causes.push(typed(path, &value, &why));
        }
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`. Upstream tells them without a place, and the errors of the alternative that is nearest.
    fn alternatives(&mut self, schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        let place = Value::from(path).to_string();
        let say = |why: String, causes: &mut Vec<Cause>| {
            causes.push(Cause::field(
                "FieldValueInvalid",
                "<nil>",
                format!("Invalid value: \"\": {why}"),
            ));
        };
        for (word, must) in [("allOf", "all"), ("anyOf", "any"), ("oneOf", "one")] {
            let Some(all) = schema[word].as_array().filter(|all| !all.is_empty()) else { continue };
            let results: Vec<Vec<Cause>> = all
                .iter()
                .map(|one| {
                    let mut found = Vec::new();
                    self.value(one, value, path, &mut found);
                    found
                })
                .collect();
            let n_fine = results.iter().filter(|found| found.is_empty()).count();
            let nearest =
                || results.iter().min_by_key(|found| found.len()).cloned().unwrap_or_default();
            match must {
                "all" if n_fine < all.len() => {
                    causes.extend(results.iter().flatten().cloned());
                    let none = if n_fine == 0 { ". None validated" } else { "" };
                    say(format!("{place} must validate all the schemas (allOf){none}"), causes);
                }
                "any" if n_fine == 0 => {
                    say(format!("{place} must validate at least one schema (anyOf)"), causes);
                    causes.extend(nearest());
                }
                "one" if n_fine != 1 => {
                    let found = if n_fine == 0 {
                        "Found none valid".to_owned()
                    } else {
                        format!("Found {n_fine} valid alternatives")
                    };
                    say(
                        format!("{place} must validate one and only one schema (oneOf). {found}"),
                        causes,
                    );
                    if n_fine == 0 {
                        causes.extend(nearest());
                    }
                }
                _ => {}
            }
        }
        if schema["not"].is_object() {
            let mut found = Vec::new();
            self.value(&schema["not"], value, path, &mut found);
            if found.is_empty() {
                say(format!("{place} must not validate the schema (not)"), causes);
            }
        }
    }

    /// Items of sets, and keys of lists that are maps, occur once.
    fn lists(&mut self, schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        self.steps += 1;
        if STEPS_MAX <= self.steps || CAUSES_MAX <= causes.len() {
            return;
        }
        match value {
            Value::Array(items) => {
                let keys = crate::object::list(schema, "/x-kubernetes-list-map-keys");
                let mut seen = BTreeSet::new();
                for (at, item) in items.iter().enumerate() {
                    let place = format!("{path}[{at}]");
                    let id = match schema["x-kubernetes-list-type"].as_str() {
                        Some("set") => item.clone(),
                        Some("map") => keys
                            .iter()
                            .filter_map(Value::as_str)
                            .filter_map(|key| Some((key.to_owned(), item.get(key)?.clone())))
                            .collect(),
                        _ => Value::Null,
                    };
                    if !id.is_null() && !seen.insert(canonical(&id)) {
                        causes.push(Cause::field(
                            "FieldValueDuplicate",
                            place.clone(),
                            format!("Duplicate value: {id}"),
                        ));
                    }
                    self.lists(&schema["items"], item, &place, causes);
                }
            }
            Value::Object(map) => {
                for (key, inner) in map {
                    let own = schema["properties"].get(key);
                    let below = own.unwrap_or(&schema["additionalProperties"]);
                    if below.is_object() {
                        self.lists(below, inner, &join(path, key), causes);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A text that is the same for values that are the same, whatever the order of keys.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> =
                map.iter().map(|(key, inner)| (key, canonical(inner))).collect();
            format!("{sorted:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(canonical).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

fn typed(path: &str, value: &Value, why: &str) -> Cause {
    Cause::field("FieldValueTypeInvalid", path, format!("Invalid value: {value}: {why}"))
}

fn types(schema: &Value) -> Vec<&str> {
    if schema["x-kubernetes-int-or-string"] == true {
        return vec!["integer", "string"];
    }
    schema["type"].as_str().into_iter().collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_whole(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn fits(wanted: &[&str], value: &Value) -> bool {
    let own = type_of(value);
    wanted.iter().any(|one| *one == own || *one == "number" && own == "integer")
}

fn numbers(schema: &Value, number: &Number, path: &str, causes: &mut Vec<Cause>) {
    let value = Value::Number(number.clone());
    let float = number.as_f64().unwrap_or_default();
    let mut bound = |word: &str,
                     exclusive: &str,
                     wrong: fn(f64, f64, bool) -> bool,
                     words: [&str; 2]| {
        let Some(limit) = schema[word].as_f64() else { return };
        let strict = schema[exclusive] == true;
        if wrong(float, limit, strict) {
            let why =
                format!("{path} in body should be {} {}", words[usize::from(strict)], schema[word]);
            causes.push(Cause::invalid(path, &value, &why));
        }
    };
    bound(
        "maximum",
        "exclusiveMaximum",
        |float, limit, strict| limit < float || strict && limit <= float,
        ["less than or equal to", "less than"],
    );
    bound(
        "minimum",
        "exclusiveMinimum",
        |float, limit, strict| float < limit || strict && float <= limit,
        ["greater than or equal to", "greater than"],
    );
    if let Some(factor) = schema["multipleOf"].as_f64().filter(|factor| 0.0 < *factor) {
        let times = float / factor;
        if 1e-9 < (times - times.round()).abs() {
            let why = format!("{path} in body should be a multiple of {}", schema["multipleOf"]);
            causes.push(Cause::invalid(path, &value, &why));
        }
    }
    let small = |number: &Number| number.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok());
    if schema["format"] == "int32" && is_whole(number) && !small(number) {
        let why = format!("{path} in body must be of type int32: {value}");
        causes.push(typed(path, &value, &why));
    }
}

/// `maxItems` and its like.
fn counted(schema: &Value, n: usize, word: &str, of: &str, path: &str, causes: &mut Vec<Cause>) {
    let n = n as u64;
    if let Some(max) = schema[format!("max{word}")].as_u64().filter(|max| *max < n) {
        let why = format!("Too many: {n}: must have at most {max} items");
        causes.push(Cause::field("FieldValueTooMany", path, why));
    }
    if let Some(min) = schema[format!("min{word}")].as_u64().filter(|min| n < *min) {
        let why = format!("{path} in body should have at least {min} {of}");
        causes.push(Cause::invalid(path, &json!(n), &why));
    }
}

#[cfg(test)]
mod tests;
