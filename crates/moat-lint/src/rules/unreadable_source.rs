//! MOAT001 unreadable-source.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a source that cannot be read: there is no such file, no permission, or it is not text.
    ///
    /// ## Why is this bad?
    /// What was not read is part of no answer. A policy or pod in it could change any verdict, so all verdicts are uncertain.
    ///
    /// ## Example
    /// ```text
    /// moat lint -f polices/
    /// ```
    ///
    /// ## Use instead
    /// ```text
    /// moat lint -f policies/
    /// ```
    ///
    /// ## When to allow
    /// Never: name only sources that can be read.
    ///
    /// ## References
    /// - `moat lint --help`, under `-f`
    UnreadableSource { code: codes::UNREADABLE_SOURCE, name: "unreadable-source", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use moat_load::Input;

    #[test]
    fn bad_and_good() {
        let bad = World::of(&[Input::Path("/no/such/file.yaml".into())]);
        assert!(bad.findings(&UnreadableSource::RULE).contains("/no/such/file.yaml"));
        assert_eq!(
            World::of(&[Input::Path("Cargo.toml".into())]).findings(&UnreadableSource::RULE),
            ""
        );
    }
}
