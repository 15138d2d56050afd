//! MOAT005 uninterpreted-kind.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports an object of a kind that Moat does not know.
    ///
    /// ## Why is this bad?
    /// It mostly is not. But a custom resource can make pods, Services or policies when its controller sees it, and Moat cannot know them.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: example.com/v1
    /// kind: Database
    /// metadata: {name: main, namespace: b}
    /// spec: {size: 3}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: apps/v1
    /// kind: StatefulSet
    /// metadata: {name: main, namespace: b}
    /// spec:
    ///   selector: {matchLabels: {app: db}}
    ///   template:
    ///     metadata: {labels: {app: db}}
    ///     spec: {containers: [{name: db, image: db}]}
    /// ```
    ///
    /// ## When to allow
    /// When the kind makes nothing that has an address. Otherwise add what its controller makes, or lint the live cluster.
    ///
    /// ## References
    /// - Custom resources: <https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/>
    UninterpretedKind { code: codes::UNSUPPORTED_KIND, name: "uninterpreted-kind", severity: Note, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &UninterpretedKind::RULE,
            &expect![[r#"
            1:1: note: kind `Database` is not interpreted
              at Database b/main 
        "#]],
        );
    }
}
