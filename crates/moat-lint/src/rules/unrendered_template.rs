//! MOAT012 unrendered-template.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a file with `{{`: a Helm or other template, not a manifest.
    ///
    /// ## Why is this bad?
    /// It is no YAML before it is rendered, and what it renders to depends on values. The file is part of no answer.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata:
    ///   name: {{ .Release.Name }}-db
    /// spec:
    ///   podSelector: {}
    /// ```
    ///
    /// ## Use instead
    /// `helm template chart/ | moat lint -f -`, which reads this:
    ///
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata:
    ///   name: main-db
    /// spec:
    ///   podSelector: {}
    /// ```
    ///
    /// ## When to allow
    /// Never: keep charts out of the sources, and lint what they render to.
    ///
    /// ## References
    /// - `helm template`: <https://helm.sh/docs/helm/helm_template/>
    UnrenderedTemplate { code: codes::TEMPLATE, name: "unrendered-template", severity: Error, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &UnrenderedTemplate::RULE,
            &expect![[r#"
            4:9: error: a template, not a manifest
              at - 
              help: render it first, such as `helm template … | moat … -f -`
        "#]],
        );
    }
}
