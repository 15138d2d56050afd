//! A policy that was compiled: checked when it is written, run on the writes that it is for.

use super::matching::Write;
use crate::object::{default, list, map_mut, meta, text};
use crate::status::Cause;
use crate::strategy::{Generation, PLAIN, Strategy};
use moat_cel::{Program, RUN_COST_MAX, Type, Value as Cel};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps that one policy may take for one write (upstream's number).
const BUDGET: u64 = 10_000_000;
/// Policies that are kept compiled.
const KEPT: usize = 256;
const MESSAGE_MAX: usize = 5 << 10;

pub(crate) const POLICY: Strategy = Strategy {
    generation: Generation::Spec,
    default: defaults,
    validate: validate_policy,
    ..PLAIN
};
pub(crate) const BINDING: Strategy =
    Strategy { default: binding_defaults, validate: validate_binding, ..PLAIN };

/// The parts of a policy in the order in which they are run.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    ignores_errors: bool,
    conditions: Vec<Part>,
    variables: Vec<Part>,
    validations: Vec<Part>,
    annotations: Vec<Part>,
}

/// An expression.
#[derive(Debug)]
struct Part {
    /// The name of a condition, a variable or an annotation.
    name: String,
    source: String,
    program: Program,
    message: String,
    message_program: Option<Program>,
    reason: String,
}

/// Why a write is not wanted.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) message: String,
    pub(super) reason: String,
}

/// What a policy says of a write.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) denied: Vec<Decision>,
    pub(super) annotations: Vec<(String, String)>,
}

/// A stored policy, compiled once for each of its versions.
pub(super) fn compiled(policy: &Value) -> Arc<Compiled> {
    static ALL: Mutex<BTreeMap<String, Arc<Compiled>>> = Mutex::new(BTreeMap::new());
    let key = format!("{}/{}", meta(policy, "uid"), meta(policy, "resourceVersion"));
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = all.get(&key) {
        return Arc::clone(found);
    }
    // What does not compile was refused when it was written.
    let made = Arc::new(compile(&policy["spec"], &mut Vec::new()));
    if KEPT <= all.len() {
        all.clear();
    }
    all.insert(key, Arc::clone(&made));
    made
}

fn compile(spec: &Value, causes: &mut Vec<Cause>) -> Compiled {
    let mut variables = vec![
        ("object", Type::Dyn),
        ("oldObject", Type::Dyn),
        ("request", Type::Dyn),
        ("namespaceObject", Type::Dyn),
    ];
    let mut made = Compiled {
        ignores_errors: text(spec, "/failurePolicy") == "Ignore",
        ..Compiled::default()
    };
    let mut read =
        |one: &Value, field: &str, at: String, variables: &[(&str, Type)], wanted: Option<Type>| {
            let source = text(one, &format!("/{field}"));
            if source.trim().is_empty() {
                causes.push(Cause::required(
                    format!("{at}.{field}"),
                    &format!("{field} is not specified"),
                ));
                return None;
            }
            let place = format!("{at}.{field}");
            match Program::compile(source, variables) {
                Err(why) => {
                    let why = format!("compilation failed: {why}");
                    causes.push(Cause::invalid(place, &source.into(), &why));
                    None
                }
                Ok(program) => {
                    let fits = wanted.as_ref().is_none_or(|wanted| {
                        program.kind() == wanted
                            || *program.kind() == Type::Dyn
                            || *wanted == Type::Text && *program.kind() == Type::Null
                    });
                    if !fits {
                        let wanted = wanted.map(|wanted| wanted.to_string()).unwrap_or_default();
                        causes.push(Cause::invalid(
                            place,
                            &source.into(),
                            &format!("must evaluate to {wanted}"),
                        ));
                        return None;
                    }
                    Some(program)
                }
            }
        };
    let part = |one: &Value, name: &str, field: &str, program: Program| Part {
        name: text(one, name).to_owned(),
        source: text(one, &format!("/{field}")).trim().to_owned(),
        program,
        message: text(one, "/message").trim().to_owned(),
        message_program: None,
        reason: text(one, "/reason").to_owned(),
    };
    for (at, one) in list(spec, "/matchConditions").iter().enumerate() {
        let place = format!("spec.matchConditions[{at}]");
        if let Some(program) = read(one, "expression", place, &variables, Some(Type::Bool)) {
            made.conditions.push(part(one, "/name", "expression", program));
        }
    }
    let mut known: Vec<(&str, Type)> = Vec::new();
    for (at, one) in list(spec, "/variables").iter().enumerate() {
        let mut all = variables.clone();
        all.push(("variables", Type::object(known.clone())));
        if let Some(program) = read(one, "expression", format!("spec.variables[{at}]"), &all, None)
        {
            known.push((text(one, "/name"), program.kind().clone()));
            made.variables.push(part(one, "/name", "expression", program));
        }
    }
    variables.push(("variables", Type::object(known)));
    for (at, one) in list(spec, "/validations").iter().enumerate() {
        let place = format!("spec.validations[{at}]");
        let program = read(one, "expression", place.clone(), &variables, Some(Type::Bool));
        let has_message = !text(one, "/messageExpression").is_empty();
        let message = has_message
            .then(|| read(one, "messageExpression", place, &variables, Some(Type::Text)))
            .flatten();
        if let Some(program) = program {
            let own = part(one, "/name", "expression", program);
            made.validations.push(Part { message_program: message, ..own });
        }
    }
    for (at, one) in list(spec, "/auditAnnotations").iter().enumerate() {
        let place = format!("spec.auditAnnotations[{at}]");
        if let Some(program) = read(one, "valueExpression", place, &variables, Some(Type::Text)) {
            made.annotations.push(part(one, "/key", "valueExpression", program));
        }
    }
    made
}

impl Compiled {
    pub(super) fn run(&self, write: &Write<'_>) -> Outcome {
        let (request, null, kind) = (write.to_json(), Value::Null, Type::Dyn);
        let of = |json| Cel::of_json(json, &kind).unwrap_or(Cel::Null);
        let known = vec![
            ("object", of(write.new.unwrap_or(&null))),
            ("oldObject", of(write.old.unwrap_or(&null))),
            ("request", of(&request)),
            ("namespaceObject", of(write.namespace.unwrap_or(&null))),
        ];
        self.run_on(Run { known, budget: BUDGET })
    }

    fn run_on<'a>(&'a self, mut run: Run<'a>) -> Outcome {
        let mut outcome = Outcome::default();
        for part in &self.conditions {
            match run.part(part) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => return outcome,
                Err(why) => {
                    self.failed(&mut outcome, why);
                    return outcome;
                }
            }
        }
        let mut variables: Vec<(&str, Cel<'a>)> = Vec::new();
        run.known.push(("variables", Cel::record(&variables)));
        for part in &self.variables {
            // One that has no value is an error for who asks for it, and for nobody else.
            if let Ok(value) = run.part(part) {
                variables.push((&part.name, value));
                run.known.pop();
                run.known.push(("variables", Cel::record(&variables)));
            }
        }
        for part in &self.validations {
            match run.part(part) {
                Ok(Cel::Bool(true)) => {}
                Err(why) => self.failed(&mut outcome, why),
                Ok(_) => {
                    let made = part.message_program.as_ref().and_then(|program| run.text(program));
                    let message = made.unwrap_or_else(|| match part.message.as_str() {
                        "" => format!("failed expression: {}", part.source),
                        own => own.to_owned(),
                    });
                    outcome.denied.push(Decision { message, reason: part.reason.clone() });
                }
            }
        }
        for part in &self.annotations {
            match run.part(part) {
                Ok(value) => {
                    let text = value.as_text().map(str::trim).filter(|text| !text.is_empty());
                    let told = text.map(|text| (part.name.clone(), text.to_owned()));
                    outcome.annotations.extend(told);
                }
                Err(why) => self.failed(&mut outcome, why),
            }
        }
        outcome
    }

    fn failed(&self, outcome: &mut Outcome, message: String) {
        if !self.ignores_errors {
            outcome.denied.push(Decision { message, reason: String::new() });
        }
    }
}

/// A run of a policy: what its expressions know, and the steps that are left.
struct Run<'a> {
    known: Vec<(&'a str, Cel<'a>)>,
    budget: u64,
}

impl<'a> Run<'a> {
    fn part(&mut self, part: &'a Part) -> Result<Cel<'a>, String> {
        let (result, cost) = part.program.run(&self.known, RUN_COST_MAX.min(self.budget));
        self.budget -= cost.min(self.budget);
        result.map_err(|stop| format!("expression '{}' resulted in error: {stop}", part.source))
    }

    /// A message, if it is one that can be shown.
    fn text(&mut self, program: &'a Program) -> Option<String> {
        let (result, cost) = program.run(&self.known, RUN_COST_MAX.min(self.budget));
        self.budget -= cost.min(self.budget);
        let text = result.ok()?.as_text()?.trim().to_owned();
        (!text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n')).then_some(text)
    }
}

fn match_defaults(resources: &mut serde_json::Map<String, Value>) {
    default(resources, "matchPolicy", "Equivalent");
    default(resources, "namespaceSelector", json!({}));
    default(resources, "objectSelector", json!({}));
    for field in ["resourceRules", "excludeResourceRules"] {
        let rules = resources.get_mut(field).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
            default(rule, "scope", "*");
        }
    }
}

fn defaults(object: &mut Value) {
    let spec = crate::object::child_mut(object, "spec");
    default(spec, "failurePolicy", "Fail");
    if spec.get("matchConstraints").is_some_and(Value::is_object) {
        match_defaults(map_mut(spec, "matchConstraints"));
    }
}

fn binding_defaults(object: &mut Value) {
    let spec = crate::object::child_mut(object, "spec");
    if spec.get("matchResources").is_some_and(Value::is_object) {
        match_defaults(map_mut(spec, "matchResources"));
    }
}

fn validate_policy(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if !matches!(text(spec, "/failurePolicy"), "Fail" | "Ignore") {
        let value = &spec["failurePolicy"];
        causes.push(Cause::not_supported("spec.failurePolicy", value, &["Fail", "Ignore"]));
    }
    if !spec["paramKind"].is_null() {
        // A policy that waits for parameters would let everything through.
        let why = "parameters are not supported by this server";
        causes.push(Cause::forbidden("spec.paramKind", why));
    }
    if list(spec, "/matchConstraints/resourceRules").is_empty() {
        causes.push(Cause::required("spec.matchConstraints.resourceRules", ""));
    }
    rules(&spec["matchConstraints"], "spec.matchConstraints", causes);
    if list(spec, "/validations").is_empty() && list(spec, "/auditAnnotations").is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        causes.push(Cause::required("spec.validations", why));
    }
    compile(spec, causes);
}

fn validate_binding(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if text(spec, "/policyName").is_empty() {
        causes.push(Cause::required("spec.policyName", ""));
    }
    if !spec["paramRef"].is_null() {
        causes
            .push(Cause::forbidden("spec.paramRef", "parameters are not supported by this server"));
    }
    rules(&spec["matchResources"], "spec.matchResources", causes);
    let actions = list(spec, "/validationActions");
    if actions.is_empty() {
        causes.push(Cause::required("spec.validationActions", ""));
    }
    for (at, action) in actions.iter().enumerate() {
        let known = ["Audit", "Deny", "Warn"];
        if !known.iter().any(|one| action == one) {
            causes.push(Cause::not_supported(
                format!("spec.validationActions[{at}]"),
                action,
                &known,
            ));
        }
    }
    let has = |word: &str| actions.iter().any(|one| one == word);
    if has("Deny") && has("Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        causes.push(Cause::invalid("spec.validationActions", &spec["validationActions"], why));
    }
}

/// Rules name what this server holds against policies: objects and their status.
fn rules(resources: &Value, at: &str, causes: &mut Vec<Cause>) {
    for field in ["resourceRules", "excludeResourceRules"] {
        for (n, rule) in list(resources, &format!("/{field}")).iter().enumerate() {
            for needed in ["operations", "apiGroups", "apiVersions", "resources"] {
                if list(rule, &format!("/{needed}")).is_empty() {
                    causes.push(Cause::required(format!("{at}.{field}[{n}].{needed}"), ""));
                }
            }
            for (m, resource) in list(rule, "/resources").iter().enumerate() {
                let part = resource
                    .as_str()
                    .and_then(|one| one.split_once('/'))
                    .map_or("", |(_, part)| part);
                if !matches!(part, "" | "*" | "status") {
                    let why = "policies are held against objects and their status by this server";
                    causes.push(Cause::invalid(
                        format!("{at}.{field}[{n}].resources[{m}]"),
                        resource,
                        why,
                    ));
                }
            }
        }
    }
}
