//! MOAT014 foreign-policy.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a policy of another vendor, such as a CiliumNetworkPolicy or a Calico GlobalNetworkPolicy.
    ///
    /// ## Why is this bad?
    /// It can allow or deny what the standard policies do not, and Moat does not interpret it. Verdicts that it could change are marked
    /// as uncertain.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: cilium.io/v2
    /// kind: CiliumNetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {endpointSelector: {}}
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
    /// When the policy speaks only of what standard policies cannot, such as HTTP paths.
    ///
    /// ## References
    /// - Network Policy API: <https://network-policy-api.sigs.k8s.io/>
    ForeignPolicy { code: codes::FOREIGN_POLICY, name: "foreign-policy", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &ForeignPolicy::RULE,
            &expect![[r#"
            1:1: warning: `CiliumNetworkPolicy b/db` is a policy that Moat does not interpret
              at CiliumNetworkPolicy b/db 
              effect: verdicts it could change are marked as uncertain
        "#]],
        );
    }
}
