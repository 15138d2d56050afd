//! Policy unit tests: who must, must not, or alone may reach whom; which rules the tests touch; which rules no test would miss.
//!
//! A test never passes because it asked nothing: a name that selects nothing is an error.

mod coverage;
mod ends;
mod failure;
mod run;
#[cfg(test)]
mod tests;

pub use coverage::Recorder;
pub use failure::{Failure, Part};
pub use run::{passes, run};

use crate::query::{Port, QueryError};
use core::fmt;
use moat_ir::{PolicyIdx, RuleIdx};
use moat_sets::Protocol;
use rayon::prelude::*;

/// Where something stands in a test file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Index of the file among the test files.
    pub source: u32,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// What a test says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assertion {
    /// Every source reaches every destination.
    Allow,
    /// No source reaches any destination.
    Deny,
    /// Every listed source reaches every destination, and nobody else does.
    Only,
    /// Nobody but the listed sources reaches a destination.
    AtMost,
}

impl Assertion {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Deny, Self::Only, Self::AtMost];

    /// The word in a test file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Only => "only",
            Self::AtMost => "at-most",
        }
    }

    /// Whether it is about everybody, those not listed included.
    #[must_use]
    pub fn is_about_everybody(self) -> bool {
        matches!(self, Self::Only | Self::AtMost)
    }
}

/// A name as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// A port as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortWord {
    /// The number or name.
    pub port: Port,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it stands.
    pub place: Place,
}

impl fmt::Display for PortWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.port, self.protocol) {
            (_, Protocol::Other) => f.write_str("ICMP"),
            (Port::Number(number), protocol) => write!(f, "{number}/{protocol}"),
            (Port::Name(name), _) => f.write_str(name),
            (Port::Any, _) => f.write_str("any port"),
        }
    }
}

/// One test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Test {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub assertion: Assertion,
    /// The sources.
    pub from: Vec<Word>,
    /// The destinations.
    pub to: Vec<Word>,
    /// The destination ports; none means any port.
    pub ports: Vec<PortWord>,
    /// Where it stands.
    pub place: Place,
}

/// Why a test cannot be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckError {
    /// Where.
    pub place: Place,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl CheckError {
    fn new(place: Place, message: String, help: impl Into<String>) -> Self {
        Self { place, message, help: Some(help.into()) }
    }

    fn at(place: Place, error: QueryError) -> Self {
        Self { place, message: error.message, help: error.help }
    }
}

/// What the removal of single rules and policies shows of the tests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mutation {
    /// How many removals were tried.
    pub n_mutants: usize,
    /// Rules whose removal no test notices.
    pub rules: Vec<RuleIdx>,
    /// Policies that isolate, and whose removal as a whole no test notices.
    pub policies: Vec<PolicyIdx>,
}

impl Mutation {
    /// How many removals no test notices.
    #[must_use]
    pub fn n_survivors(&self) -> usize {
        self.rules.len() + self.policies.len()
    }
}

/// Those of `n` mutants that nothing notices, in rising order; `killed` says of one whether some test fails on it.
pub fn survivors(n: usize, killed: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    (0..n).into_par_iter().filter(|&mutant| !killed(mutant)).collect()
}
