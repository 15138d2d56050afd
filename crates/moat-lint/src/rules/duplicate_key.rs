//! MOAT003 duplicate-key.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a mapping that has the same key twice.
    ///
    /// ## Why is this bad?
    /// Only the last one counts. A second `ingress:` silently drops the rules of the first, and a second `matchLabels:` its labels.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
    ///   ingress: [{from: [{podSelector: {matchLabels: {app: job}}}]}]
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
    ///   - from:
    ///     - podSelector: {matchLabels: {app: web}}
    ///     - podSelector: {matchLabels: {app: job}}
    /// ```
    ///
    /// ## When to allow
    /// Never: write each key once.
    ///
    /// ## References
    /// - YAML 1.2.2, 3.2.1.1, on mappings: "each of the keys is unique"
    /// - Kubernetes field validation: `kubectl apply` refuses repeated keys with `--validate=strict`
    DuplicateKey { code: codes::DUPLICATE_KEY, name: "duplicate-key", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &DuplicateKey::RULE,
            &expect![[r#"
            7:3: warning: key `ingress` is already on line 6; the last one wins
              at - spec.ingress
              help: keep one of them; to give several values, use a list or mapping under one key
        "#]],
        );
    }
}
