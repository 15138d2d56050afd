//! MOAT011 pod-template-only.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a custom kind of which Moat reads only the pod template.
    ///
    /// ## Why is this bad?
    /// It mostly is not: its pods are part of all answers. But its controller may add labels, ports or hostNetwork that Moat cannot know.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: argoproj.io/v1alpha1
    /// kind: Rollout
    /// metadata: {name: web, namespace: a}
    /// spec:
    ///   template:
    ///     metadata: {labels: {app: web}}
    ///     spec: {containers: [{name: web, image: web}]}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: apps/v1
    /// kind: Deployment
    /// metadata: {name: web, namespace: a}
    /// spec:
    ///   selector: {matchLabels: {app: web}}
    ///   template:
    ///     metadata: {labels: {app: web}}
    ///     spec: {containers: [{name: web, image: web}]}
    /// ```
    ///
    /// ## When to allow
    /// When the kind's controller makes pods exactly as the template says.
    ///
    /// ## References
    /// - Pod templates: <https://kubernetes.io/docs/concepts/workloads/pods/#pod-templates>
    PodTemplateOnly { code: codes::POD_TEMPLATE_ONLY, name: "pod-template-only", severity: Note, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &PodTemplateOnly::RULE,
            &expect![[r#"
            1:1: note: kind `Rollout` is read only for its pod template
              at Rollout a/web 
              effect: its pods are part of the verdicts; whatever else it does is not
        "#]],
        );
    }
}
