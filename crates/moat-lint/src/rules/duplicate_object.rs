//! MOAT009 duplicate-object.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports two objects that have the same kind, namespace and name.
    ///
    /// ## Why is this bad?
    /// Whoever applies both keeps only one of them, and the order of files decides which. Moat takes the last.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {matchLabels: {app: db}}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {matchLabels: {app: cache}}}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {matchLabels: {app: db}}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: cache, namespace: b}
    /// spec: {podSelector: {matchLabels: {app: cache}}}
    /// ```
    ///
    /// ## When to allow
    /// When later sources are meant to overlay earlier ones.
    ///
    /// ## References
    /// - Object names: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
    DuplicateObject { code: codes::DUPLICATE_OBJECT, name: "duplicate-object", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &DuplicateObject::RULE,
            &expect![[r#"
                6:1: warning: `NetworkPolicy b/db` is defined more than once
                  at NetworkPolicy b/db 
                  help: remove one of them
                  effect: the last one counts, as if applied in this order
            "#]],
        );
    }
}
