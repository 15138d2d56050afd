//! MOAT016 oversized-input.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports input that is larger or deeper than Moat reads: a limit of the loader was hit.
    ///
    /// ## Why is this bad?
    /// What lies beyond the limit is part of no answer. The limits are far above real manifests, so that a mistaken path or a hostile
    /// file cannot use up memory.
    ///
    /// ## Example
    /// ```text
    /// moat lint -f /
    /// ```
    ///
    /// ## Use instead
    /// ```text
    /// moat lint -f policies/
    /// ```
    ///
    /// ## When to allow
    /// Never: name the directory that holds the manifests.
    ///
    /// ## References
    /// - `moat lint --help`, under `-f`
    OversizedInput { code: codes::LIMIT, name: "oversized-input", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use moat_load::limits;

    #[test]
    fn bad_and_good() {
        let nested = |depth: usize| {
            World::read(&format!("a: {}{}", "[".repeat(depth), "]".repeat(depth)))
                .findings(&OversizedInput::RULE)
        };
        assert!(nested(limits::MAX_DEPTH + 1).contains("error"));
        assert_eq!(nested(1), "");
    }
}
