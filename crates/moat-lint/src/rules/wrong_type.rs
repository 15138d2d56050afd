//! MOAT007 wrong-type.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a field whose value has the wrong type, such as a string where the API wants a list.
    ///
    /// ## Why is this bad?
    /// The API server refuses the object. YAML makes this easy: `yes` and `8080` are no strings, and a forgotten `-` turns a list into a
    /// mapping.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   ingress:
    ///     from: [{podSelector: {}}]
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   ingress:
    ///   - from: [{podSelector: {}}]
    /// ```
    ///
    /// ## When to allow
    /// Never: the object cannot be applied.
    ///
    /// ## References
    /// - API reference: <https://kubernetes.io/docs/reference/kubernetes-api/>
    WrongType { code: codes::WRONG_TYPE, name: "wrong-type", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &WrongType::RULE,
            &expect![[r#"
            7:5: error: want a list, found a mapping
              at NetworkPolicy b/db spec.ingress
              effect: the API server refuses the object; here the part at fault matches nothing and the rest counts
        "#]],
        );
    }
}
