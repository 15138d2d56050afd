//! MOAT010 unserved-api-version.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports an object in an API version that was removed or never existed.
    ///
    /// ## Why is this bad?
    /// A present-day API server does not know the version, so the object cannot be applied. Moat reads it as if it had the right one.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: extensions/v1beta1
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
    /// When the manifests are for a cluster that is old enough to serve the version.
    ///
    /// ## References
    /// - Deprecated API migration guide: <https://kubernetes.io/docs/reference/using-api/deprecation-guide/>
    UnservedApiVersion { code: codes::API_VERSION, name: "unserved-api-version", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &UnservedApiVersion::RULE,
            &expect![[r#"
            1:1: warning: no matches for kind "NetworkPolicy" in version "extensions/v1beta1"
              at NetworkPolicy b/db apiVersion
              help: use `networking.k8s.io/v1`
              effect: read as if it had that version
        "#]],
        );
    }
}
