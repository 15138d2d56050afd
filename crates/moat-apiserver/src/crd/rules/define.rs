//! Which rules a definition may have: those that compile and can be told apart from what is no rule.

use super::{path, variables};
use crate::object::{list, text};
use crate::status::Cause;
use moat_cel::{Program, Type};
use serde_json::{Value, json};

const REASONS: &[&str] =
    &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
/// Rules of one schema.
const RULES_MAX: usize = 10_000;

/// Checks all rules of a schema that is right otherwise.
pub(in crate::crd) fn check(schema: &Value, at: &str, causes: &mut Vec<Cause>) {
    let mut walk = Walk { n_rules: 0, causes: Vec::new() };
    walk.place(schema, at, Type::of_schema(schema, true).as_ref(), None);
    if RULES_MAX < walk.n_rules {
        let why = format!("must have at most {RULES_MAX} rules in x-kubernetes-validations");
        walk.causes.push(Cause::forbidden(at, &why));
    }
    causes.extend(walk.causes);
}

struct Walk {
    n_rules: usize,
    causes: Vec<Cause>,
}

impl Walk {
    /// A place, and the place above it below which nothing of before can be found.
    fn place(&mut self, schema: &Value, at: &str, kind: Option<&Type>, lost: Option<&str>) {
        let rules = list(schema, "/x-kubernetes-validations");
        self.n_rules += rules.len();
        if RULES_MAX < self.n_rules {
            return;
        }
        for (n, rule) in rules.iter().enumerate() {
            let place = format!("{at}.x-kubernetes-validations[{n}]");
            let before = self.causes.len();
            self.form(rule, schema, &place);
            match kind {
                _ if before < self.causes.len() => {}
                Some(kind) => self.compile(rule, kind, &place, lost),
                None => self.causes.push(Cause::invalid(
                    format!("{at}.x-kubernetes-validations"),
                    &json!(rules),
                    "rules need a type that expressions can see",
                )),
            }
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            let own = kind.and_then(|kind| super::type_of_field(kind, name, below));
            self.place(below, &format!("{at}.properties[{name}]"), own.as_ref(), lost);
        }
        let element = kind.and_then(Type::element);
        if schema["additionalProperties"].is_object() {
            let below = &schema["additionalProperties"];
            self.place(below, &format!("{at}.additionalProperties"), element.as_ref(), lost);
        }
        if schema["items"].is_object() {
            // Items of before are found by their keys alone.
            let found = schema["x-kubernetes-list-type"] == "map";
            let lost = lost.or((!found).then_some(at));
            self.place(&schema["items"], &format!("{at}.items"), element.as_ref(), lost);
        }
    }

    /// What can be said without reading the expression.
    fn form(&mut self, rule: &Value, schema: &Value, at: &str) {
        let of = |field: &str| text(rule, &format!("/{field}"));
        let broken = |text: &str| text.contains(['\n', '\r']);
        let (source, message) = (of("rule").trim(), of("message").trim());
        let causes = &mut self.causes;
        if source.is_empty() {
            causes.push(Cause::required(format!("{at}.rule"), "rule is not specified"));
        } else if !of("message").is_empty() && message.is_empty() {
            let why = "must be non-empty if specified";
            causes.push(Cause::invalid(format!("{at}.message"), &rule["message"], why));
        } else if broken(message) {
            let why = "must not contain line breaks";
            causes.push(Cause::invalid(format!("{at}.message"), &rule["message"], why));
        } else if broken(source) && message.is_empty() {
            let why = "message must be specified if rule contains line breaks";
            causes.push(Cause::required(format!("{at}.message"), why));
        }
        if !of("messageExpression").is_empty() && of("messageExpression").trim().is_empty() {
            let why = "messageExpression must be non-empty if specified";
            causes.push(Cause::required(format!("{at}.messageExpression"), why));
        }
        if !of("reason").is_empty() && !REASONS.contains(&of("reason")) {
            causes.push(Cause::not_supported(format!("{at}.reason"), &rule["reason"], REASONS));
        }
        let path = of("fieldPath");
        let place = format!("{at}.fieldPath");
        if !path.is_empty() && path.trim().is_empty() {
            causes.push(Cause::invalid(place, &path.into(), "must be non-empty if specified"));
        } else if broken(path) {
            causes.push(Cause::invalid(place, &path.into(), "must not contain line breaks"));
        } else if path::normalized(path, schema).is_err() {
            causes.push(Cause::invalid(place, &path.into(), "must be a valid path"));
        }
    }

    fn compile(&mut self, rule: &Value, kind: &Type, at: &str, lost: Option<&str>) {
        let optional = &rule["optionalOldSelf"];
        let variables = variables(kind, *optional == true);
        let read = |source: &str, wanted: &Type, word: &str, name: &str| {
            let program = Program::compile(source, &variables)
                .map_err(|why| format!("{name}compilation failed: {why}"))?;
            if program.kind() == wanted || *program.kind() == Type::Dyn {
                return Ok(program);
            }
            let name = if name.is_empty() { "cel expression " } else { name };
            Err(format!("{name}must evaluate to a {word}"))
        };
        match read(text(rule, "/rule"), &Type::Bool, "bool", "") {
            Err(why) => self.causes.push(Cause::invalid(format!("{at}.rule"), &shown(rule), &why)),
            Ok(program) if program.uses("oldSelf") => {
                if let Some(lost) = lost {
                    let why = format!(
                        "oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}"
                    );
                    self.causes.push(Cause::invalid(format!("{at}.rule"), &rule["rule"], &why));
                }
            }
            Ok(_) if !optional.is_null() => {
                let why = "may not be set if oldSelf is not used in rule";
                self.causes.push(Cause::invalid(format!("{at}.optionalOldSelf"), optional, why));
            }
            Ok(_) => {}
        }
        let message = text(rule, "/messageExpression");
        if message.is_empty() {
            return;
        }
        if let Err(why) = read(message, &Type::Text, "string", "messageExpression ") {
            let place = format!("{at}.messageExpression");
            self.causes.push(Cause::invalid(place, &shown(rule), &why));
        }
    }
}

/// A rule as upstream's errors show it.
fn shown(rule: &Value) -> Value {
    let or = |field: &str| rule.get(field).cloned().unwrap_or_else(|| "".into());
    json!({
        "Rule": or("rule"), "Message": or("message"), "MessageExpression": or("messageExpression"),
        "Reason": rule["reason"], "FieldPath": or("fieldPath"), "OptionalOldSelf": rule["optionalOldSelf"],
    })
}
