//! Rules held against an object that is written, and the one of before.

use super::{Rule, Rules};
use crate::json::join;
use crate::status::Cause;
use moat_cel::{RUN_COST_MAX, Stop, Value as Cel};
use serde_json::Value;

/// Steps that the rules of one object may take (upstream's number).
const BUDGET: u64 = 10_000_000;
/// Bytes of a message that a rule makes.
const MESSAGE_MAX: usize = 5 << 10;
/// Errors told of one object.
const CAUSES_MAX: usize = 64;

impl Rules {
    /// Holds an object against the rules.
    pub(in crate::crd) fn check(&self, old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
        let mut run = Run { budget: BUDGET, causes: Vec::new() };
        // The budget may be spent: then what is told says so.
        let _ = run.place(self, At { path: "", new, old, above: None });
        causes.extend(run.causes);
    }
}

/// A value, where it is, and what it was; `above` is the nearest value around it of which it is known what it was.
#[derive(Clone, Copy)]
struct At<'a> {
    path: &'a str,
    new: &'a Value,
    old: Option<&'a Value>,
    above: Option<(&'a Value, &'a Value)>,
}

impl<'a> At<'a> {
    /// Whether a rule that does not hold did not hold before either, because nothing changed.
    fn is_as_before(&self) -> bool {
        match (self.old, self.above) {
            (Some(old), _) => old == self.new,
            (None, Some((new, old))) => new == old,
            (None, None) => false,
        }
    }

    fn below<'b>(&self, path: &'b str, new: &'b Value, old: Option<&'b Value>) -> At<'b>
    where
        'a: 'b,
    {
        let above = self.old.map(|old| (self.new, old)).or(self.above);
        At { path, new, old: old.filter(|old| !old.is_null()), above }
    }
}

struct Run {
    budget: u64,
    causes: Vec<Cause>,
}

/// There is no budget left, or there are enough errors.
struct Over;

impl Run {
    fn place(&mut self, rules: &Rules, at: At<'_>) -> Result<(), Over> {
        if at.new.is_null() {
            // Whether it may be null is asked of the place around it.
            return Ok(());
        }
        if !rules.own.is_empty() {
            self.own(rules, at)?;
        }
        match at.new {
            Value::Array(items) => {
                let Some(below) = &rules.items else { return Ok(()) };
                for (n, item) in items.iter().enumerate() {
                    let old = rules.keys.as_deref().and_then(|keys| same(keys, item, at.old?));
                    self.place(below, at.below(&format!("{}[{n}]", at.path), item, old))?;
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let old = at.old.and_then(|old| old.get(name));
                    if let Some(below) = rules.fields.get(name) {
                        self.place(below, at.below(&join(at.path, name), value, old))?;
                    } else if let Some(below) = &rules.any {
                        self.place(below, at.below(&format!("{}[{name}]", at.path), value, old))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&mut self, cause: Cause) -> Result<(), Over> {
        self.causes.push(cause);
        if CAUSES_MAX <= self.causes.len() { Err(Over) } else { Ok(()) }
    }

    fn wrong(&mut self, rules: &Rules, at: At<'_>, why: &str) -> Result<(), Over> {
        self.tell(Cause::invalid(place_of(at.path), &rules.word.as_str().into(), why))
    }

    fn own(&mut self, rules: &Rules, at: At<'_>) -> Result<(), Over> {
        if self.budget == 0 {
            let why = "validation failed due to running out of cost budget, no further validation rules will be run";
            self.wrong(rules, at, why)?;
            return Err(Over);
        }
        let read = |value| Cel::of_json(value, &rules.kind);
        let (new, old) = match (read(at.new), at.old.map(read).transpose()) {
            (Ok(new), Ok(old)) => (new, old),
            (Err(stop), _) | (_, Err(stop)) => return self.wrong(rules, at, &stop.to_string()),
        };
        for rule in &rules.own {
            let program = match &rule.program {
                Ok(program) => program,
                Err(why) => {
                    self.wrong(rules, at, &format!("rule compile error: {why}"))?;
                    continue;
                }
            };
            if rule.uses_old && old.is_none() && !rule.optional_old {
                continue;
            }
            let was = match (&old, rule.optional_old) {
                (old, true) => Cel::optional(old.clone()),
                (Some(old), false) => old.clone(),
                (None, false) => Cel::Null,
            };
            let variables = [("self", new.clone()), ("oldSelf", was)];
            let (result, cost) = program.run(&variables, RUN_COST_MAX.min(self.budget));
            let scarce = self.budget < RUN_COST_MAX;
            self.budget = self.budget.saturating_sub(cost);
            match result {
                Ok(Cel::Bool(true)) => {}
                Ok(Cel::Bool(false)) => self.broken(rule, at, &variables)?,
                Ok(_) => self.wrong(rules, at, &failed(&Stop::Overload, rule))?,
                Err(Stop::Cost) if scarce => {
                    let why = "validation failed due to running out of cost budget, no further validation rules will be run";
                    self.wrong(rules, at, why)?;
                    return Err(Over);
                }
                Err(Stop::Cost) => {
                    let why = format!(
                        "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                        Stop::Cost,
                        rule.name()
                    );
                    self.wrong(rules, at, &why)?;
                    return Err(Over);
                }
                Err(stop) => self.wrong(rules, at, &failed(&stop, rule))?,
            }
        }
        Ok(())
    }

    /// A rule that does not hold.
    fn broken<'a>(
        &mut self,
        rule: &'a Rule,
        at: At<'_>,
        variables: &[(&'a str, Cel<'a>)],
    ) -> Result<(), Over> {
        if !rule.uses_old && at.is_as_before() {
            return Ok(());
        }
        let detail = match rule
            .message_program
            .as_ref()
            .and_then(|program| self.message(program, variables))
        {
            Some(made) => made,
            None if rule.message.is_empty() => format!("failed rule: {}", rule.source),
            None => rule.message.clone(),
        };
        let path =
            place_of(&format!("{}{}", at.path, rule.path)).trim_start_matches('.').to_owned();
        // Of objects and lists the value is not told.
        let value = match at.new {
            Value::Object(_) | Value::Array(_) => String::new(),
            other => format!(": {other}"),
        };
        let (reason, message) = match rule.reason.as_str() {
            "FieldValueRequired" => ("FieldValueRequired", format!("Required value: {detail}")),
            "FieldValueForbidden" => ("FieldValueForbidden", format!("Forbidden: {detail}")),
            "FieldValueDuplicate" => ("FieldValueDuplicate", format!("Duplicate value{value}")),
            _ => ("FieldValueInvalid", format!("Invalid value{value}: {detail}")),
        };
        self.tell(Cause::field(reason, path, message))
    }

    fn message<'a>(
        &mut self,
        program: &'a moat_cel::Program,
        variables: &[(&'a str, Cel<'a>)],
    ) -> Option<String> {
        let (result, cost) = program.run(variables, RUN_COST_MAX.min(self.budget));
        self.budget = self.budget.saturating_sub(cost);
        let made = result.ok()?.as_text()?.trim().to_owned();
        (!made.is_empty() && made.len() <= MESSAGE_MAX && !made.contains('\n')).then_some(made)
    }
}

impl Rule {
    fn name(&self) -> &str {
        if self.message.is_empty() { &self.source } else { &self.message }
    }
}

fn failed(stop: &Stop, rule: &Rule) -> String {
    match stop {
        Stop::Overload => format!(
            "'{stop}': call arguments did not match a supported operator, function or macro signature for rule: {}",
            rule.name()
        ),
        other => format!("{other} evaluating rule: {}", rule.name()),
    }
}

/// Upstream's word for the place of the object itself.
fn place_of(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}

/// The item of before with the same keys.
fn same<'a>(keys: &[String], item: &Value, old: &'a Value) -> Option<&'a Value> {
    let is = |one: &&Value| keys.iter().all(|key| one.get(key) == item.get(key));
    old.as_array()?.iter().find(is)
}
