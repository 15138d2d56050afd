//! Reports of policy tests: for people, as data, and as JUnit XML.

mod dto;
mod junit;
mod text;

pub use dto::value;
pub use junit::junit;
pub use text::render;

use crate::explain::names;
use moat_analyze::check::{Failure, Mutation, Part, Place, Recorder, Test};
use moat_ir::{Bound, Verdict};

/// What there is to report.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// The world.
    pub bound: &'r Bound,
    /// The tests.
    pub tests: &'r [Test],
    /// What each test found amiss.
    pub failures: &'r [Vec<Failure>],
    /// Who decided.
    pub recorder: &'r Recorder,
    /// Names of the test files.
    pub files: &'r [String],
    /// What removals showed, if any were tried.
    pub mutation: Option<&'r Mutation>,
    /// Things that were not read and could change a verdict.
    pub caveats: &'r [String],
}

impl<'r> Report<'r> {
    fn runs(&self) -> impl Iterator<Item = (&'r Test, &'r [Failure])> {
        self.tests.iter().zip(self.failures.iter().map(Vec::as_slice))
    }

    fn n_failed(&self) -> usize {
        self.failures.iter().filter(|failures| !failures.is_empty()).count()
    }

    fn file(&self, place: Place) -> &'r str {
        self.files.get(place.source as usize).map_or("?", String::as_str)
    }

    fn place(&self, place: Place) -> String {
        format!("{}:{}", self.file(place), place.line)
    }
}

/// `a/web -> b/db on TCP 80 is denied, and should be allowed`.
fn sentence(bound: &Bound, failure: &Failure) -> String {
    let sources = names(&failure.sources(bound));
    let found = match failure.answer.verdict {
        Verdict::Allowed => "allowed",
        Verdict::Denied => "denied",
        Verdict::Undefined => "undefined",
    };
    let want = match failure.part {
        Part::Must => "should be allowed",
        Part::MustNot => "should be denied",
        Part::Intruder => "is not on the list",
    };
    format!("{sources} -> {} on {} is {found}, and {want}", names(&failure.to), failure.ports)
}
