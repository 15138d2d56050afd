//! MOAT004 typeless-document.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a document that is no Kubernetes object, because `apiVersion` or `kind` is missing.
    ///
    /// ## Why is this bad?
    /// Nobody can tell what it is: a policy that lost its first line does not protect anything. Verdicts are marked as uncertain.
    ///
    /// ## Example
    /// ```yaml
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {}}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {}}
    /// ```
    ///
    /// ## When to allow
    /// Never. Keep files that are no manifests, such as Helm values, out of the sources.
    ///
    /// ## References
    /// - Kubernetes objects, required fields:
    ///   <https://kubernetes.io/docs/concepts/overview/working-with-objects/#required-fields>
    TypelessDocument { code: codes::NOT_AN_OBJECT, name: "typeless-document", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &TypelessDocument::RULE,
            &expect![[r#"
            1:1: error: not a Kubernetes object: `apiVersion` is missing
              at - 
              help: every object needs `apiVersion`, `kind` and `metadata.name`
              effect: the document is not part of any verdict
        "#]],
        );
    }
}
