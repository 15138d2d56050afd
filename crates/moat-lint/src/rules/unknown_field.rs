//! MOAT006 unknown-field.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a field that the API does not have: a slip in its name, or a field in the wrong place.
    ///
    /// ## Why is this bad?
    /// The API server ignores it unless validation is strict. An ignored field often opens more than was meant: without a readable
    /// `podSelector` a policy applies to every pod, and without a readable `from` a rule admits everyone.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelctor: {matchLabels: {app: db}}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    /// ```
    ///
    /// ## When to allow
    /// When the field is of a newer API version than Moat knows, and cannot change who reaches whom.
    ///
    /// ## References
    /// - Field validation: <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>
    UnknownField { code: codes::UNKNOWN_FIELD, name: "unknown-field", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &UnknownField::RULE,
            &expect![[r#"
            5:3: warning: unknown field `podSelctor`
              at NetworkPolicy b/db spec.podSelctor
              help: did you mean `podSelector`?
              effect: the field is ignored, as the API server does unless validation is strict
        "#]],
        );
    }
}
