//! The Common Expression Language as Kubernetes uses it in rules of CustomResourceDefinitions and in admission policies.
//!
//! ```text
//! text --parse--> tree --check, with types out of a schema--> Program --run, within a budget--> value
//! ```
//!
//! What is not known (a field, a variable, a function, an operator for these types) is refused when an expression is compiled, so that no rule
//! is taken that could never hold or never fail. A run has a budget of steps, and everything that takes time or memory in proportion to data is
//! paid out of it; trees are of limited depth. Nothing here knows of requests or objects beyond the JSON that it is given.

mod ast;
mod check;
mod error;
mod eval;
mod fns;
mod json;
mod lex;
mod macros;
mod ops;
mod parse;
mod schema;
mod signatures;
mod types;
mod value;

pub use error::{Error, Stop};
pub use schema::escape;
pub use types::Type;
pub use value::Value;

use std::collections::BTreeSet;

/// Steps that one run may take (upstream's number).
pub const RUN_COST_MAX: u64 = 1_000_000;

/// An expression that was parsed and checked.
#[derive(Debug)]
pub struct Program {
    root: ast::Expr,
    kind: Type,
    used: BTreeSet<String>,
}

impl Program {
    /// Parses an expression and checks it against the variables that it will have. Errors: what is wrong and where, in upstream's form.
    pub fn compile(source: &str, variables: &[(&str, Type)]) -> Result<Self, String> {
        let told = |errors: Vec<Error>| {
            errors.iter().map(|error| error.show(source)).collect::<Vec<_>>().join("\n")
        };
        let mut root = parse::parse(source).map_err(|error| told(vec![error]))?;
        let checked = check::check(&mut root, variables).map_err(told)?;
        Ok(Self { root, kind: checked.kind, used: checked.used })
    }

    /// The type of the result.
    pub fn kind(&self) -> &Type {
        &self.kind
    }

    /// Whether the expression looks at a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.used.contains(variable)
    }

    /// Runs the expression, and says how many steps that took. Errors: why it has no value.
    pub fn run<'a>(
        &'a self,
        variables: &[(&'a str, Value<'a>)],
        budget: u64,
    ) -> (Result<Value<'a>, Stop>, u64) {
        let mut run = eval::Run::new(variables, budget);
        let result = run.eval(&self.root);
        (result, run.spent())
    }
}

#[cfg(test)]
mod tests;
