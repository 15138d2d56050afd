//! MOAT015 equal-priority.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports cluster policies of one tier that have the same priority.
    ///
    /// ## Why is this bad?
    /// Where both match, the API does not say which of them wins, so implementations differ. Moat takes the first by name and says so.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: policy.networking.k8s.io/v1alpha2
    /// kind: ClusterNetworkPolicy
    /// metadata: {name: allow-dns}
    /// spec:
    ///   tier: Admin
    ///   priority: 10
    ///   subject: {namespaces: {}}
    /// ---
    /// apiVersion: policy.networking.k8s.io/v1alpha2
    /// kind: ClusterNetworkPolicy
    /// metadata: {name: deny-all}
    /// spec:
    ///   tier: Admin
    ///   priority: 10
    ///   subject: {namespaces: {}}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: policy.networking.k8s.io/v1alpha2
    /// kind: ClusterNetworkPolicy
    /// metadata: {name: allow-dns}
    /// spec:
    ///   tier: Admin
    ///   priority: 10
    ///   subject: {namespaces: {}}
    /// ---
    /// apiVersion: policy.networking.k8s.io/v1alpha2
    /// kind: ClusterNetworkPolicy
    /// metadata: {name: deny-all}
    /// spec:
    ///   tier: Admin
    ///   priority: 20
    ///   subject: {namespaces: {}}
    /// ```
    ///
    /// ## When to allow
    /// When no flow can match both.
    ///
    /// ## References
    /// - `ClusterNetworkPolicySpec.priority`: <https://network-policy-api.sigs.k8s.io/>
    EqualPriority { code: codes::EQUAL_PRIORITY, name: "equal-priority", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &EqualPriority::RULE,
            &expect![[r#"
            9:1: warning: `cnp deny-all` has the same tier and priority as `cnp allow-dns`
              at ClusterNetworkPolicy deny-all spec.priority
              help: give every policy of a tier its own priority
              effect: where both match, Kubernetes does not say which wins; Moat takes the first by name and says so
        "#]],
        );
    }
}
