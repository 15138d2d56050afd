//! MOAT008 invalid-value.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a value that the API server would refuse, in the API server's own words.
    ///
    /// ## Why is this bad?
    /// The object cannot be applied, so the policy protects nothing. Offline, Moat takes the part at fault as matching nothing, keeps
    /// the isolation, and marks verdicts as uncertain.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   ingress:
    ///   - from:
    ///     - ipBlock: {cidr: 10.0.0.0/33}
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
    ///     - ipBlock: {cidr: 10.0.0.0/32}
    /// ```
    ///
    /// ## When to allow
    /// Never: the object cannot be applied.
    ///
    /// ## References
    /// - Kubernetes `pkg/apis/networking/validation/validation.go`
    /// - API reference: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/>
    InvalidValue { code: codes::INVALID, name: "invalid-value", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &InvalidValue::RULE,
            &expect![[r#"
            8:23: error: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64): prefix length must be 0 to 32
              at NetworkPolicy b/db spec.ingress[0].from[0].ipBlock.cidr
              effect: the API server refuses the object; here the part at fault matches nothing and the rest counts
        "#]],
        );
    }
}
