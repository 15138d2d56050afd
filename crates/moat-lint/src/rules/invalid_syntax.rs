//! MOAT002 invalid-syntax.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a document that is neither YAML nor JSON.
    ///
    /// ## Why is this bad?
    /// The rest of the source cannot be read, so what it holds is part of no answer.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: v1
    /// kind: Namespace
    /// metadata: {name: a
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: v1
    /// kind: Namespace
    /// metadata: {name: a}
    /// ```
    ///
    /// ## When to allow
    /// Never: the API server refuses the document too.
    ///
    /// ## References
    /// - YAML 1.2.2, <https://yaml.org/spec/1.2.2/>
    InvalidSyntax { code: codes::SYNTAX, name: "invalid-syntax", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &InvalidSyntax::RULE,
            &expect![[r#"
            4:1: error: expected `,` or `}` in the mapping
              at - metadata
              help: close the mapping that `{` opens; quote text that starts with `{`
        "#]],
        );
    }
}
