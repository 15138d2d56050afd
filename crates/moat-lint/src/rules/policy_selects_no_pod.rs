//! MOAT020 policy-selects-no-pod.

use crate::context::object;
use crate::near;
use crate::rule::rule;
use crate::{Check, Context};
use moat_model::{Code, Diagnostic, PolicyKind};

rule! {
    /// ## What it does
    /// Reports a policy that applies to no pod of the input.
    ///
    /// It is silent when the input has no pods at all.
    ///
    /// ## Why is this bad?
    /// The pods that it was written for are not protected. Mostly the selector has a slip, or the policy is in another namespace
    /// than its pods: a NetworkPolicy applies only to pods of its own namespace.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db-0, namespace: b, labels: {app: postgres}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {matchLabels: {app: postgresql}}}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db-0, namespace: b, labels: {app: postgres}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec: {podSelector: {matchLabels: {app: postgres}}}
    /// ```
    ///
    /// ## When to allow
    /// When the pods come later, or their manifests are not among the sources.
    ///
    /// ## References
    /// - NetworkPolicySpec.podSelector: "selects the pods to which this NetworkPolicy object applies"
    ///   <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/>
    PolicySelectsNoPod { code: Code(20), name: "policy-selects-no-pod", severity: Warning, lifecycle: Stable, found: by_check }
}

impl Check for PolicySelectsNoPod {
    fn check(&self, ctx: &Context<'_>, out: &mut Vec<Diagnostic>) {
        if !ctx.has_pods() {
            return;
        }
        for policy in ctx.lowered.policies.iter().filter(|policy| !ctx.selects(&policy.subject)) {
            let path = if policy.id.kind == PolicyKind::NetworkPolicy {
                "spec.podSelector"
            } else {
                "spec.subject"
            };
            let mut finding = Self::RULE
                .finding(
                    policy.span,
                    format!("`{}` applies to no pod: it selects {}", policy.id, policy.subject),
                )
                .object(object(policy))
                .path(path)
                .effect("the policy changes no verdict");
            finding.help = near::advice(ctx, &policy.subject);
            out.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check_examples};
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &PolicySelectsNoPod::RULE,
            &expect![[r#"
            5:1: warning: `netpol b/db` applies to no pod: it selects pods app=postgresql in namespace b
              at NetworkPolicy b/db spec.podSelector
              help: the nearest is `b/db-0`, which has `app=postgres`, not `app=postgresql`
              effect: the policy changes no verdict
        "#]],
        );
    }

    #[test]
    fn policies_alone_are_not_reported() {
        let world = World::read(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: b}, spec: {podSelector: {}}}",
        );
        assert_eq!(world.findings(&PolicySelectsNoPod::RULE), "");
    }

    #[test]
    fn pods_in_another_namespace_are_named() {
        let world = World::read(
            "{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: b, labels: {app: db}}}\n\
             ---\n\
             {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db}, spec: {podSelector: {matchLabels: {app: db}}}}",
        );
        expect![[r#"
            3:1: warning: `netpol default/db` applies to no pod: it selects pods app=db in namespace default
              at NetworkPolicy default/db spec.podSelector
              help: pods with these labels are in namespace `b`
              effect: the policy changes no verdict
        "#]]
        .assert_eq(&world.findings(&PolicySelectsNoPod::RULE));
    }
}
