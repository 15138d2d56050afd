//! MOAT021 peer-selects-no-pod.

use crate::context::{object, peer_path};
use crate::near;
use crate::rule::rule;
use crate::{Check, Context};
use moat_model::{Action, Code, Diagnostic, PeerKind, Peers};

rule! {
    /// ## What it does
    /// Reports a `from` or `to` entry that means no pod of the input.
    ///
    /// It is silent when the input has no pods at all.
    ///
    /// ## Why is this bad?
    /// The rule lets nobody in (or out) by this entry. Mostly a label has a slip, the namespace lacks the label, or a
    /// `podSelector` without `namespaceSelector` looks for pods of another namespace: alone, it sees only the policy's own.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db, namespace: b, labels: {app: db}}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: a, labels: {app: web}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   ingress:
    ///   - from:
    ///     - podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db, namespace: b, labels: {app: db}}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: a, labels: {app: web}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   ingress:
    ///   - from:
    ///     - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: a}}
    ///       podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## When to allow
    /// When the peers come later, or their manifests are not among the sources.
    ///
    /// ## References
    /// - NetworkPolicyPeer.podSelector: without a namespace selector it "selects the pods matching podSelector in the policy's own
    ///   namespace" <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/>
    PeerSelectsNoPod { code: Code(21), name: "peer-selects-no-pod", severity: Warning, lifecycle: Stable, found: by_check }
}

impl Check for PeerSelectsNoPod {
    fn check(&self, ctx: &Context<'_>, out: &mut Vec<Diagnostic>) {
        if !ctx.has_pods() {
            return;
        }
        for policy in &ctx.lowered.policies {
            for rule in &policy.rules {
                let Peers::List(peers) = &rule.peers else { continue };
                for peer in peers {
                    let PeerKind::Pods(term) = &peer.kind else { continue };
                    if ctx.selects(term) {
                        continue;
                    }
                    let effect = match rule.action {
                        Action::Accept => "this peer allows nobody",
                        Action::Deny => "this peer denies nobody",
                        Action::Pass => "this peer passes nobody on",
                    };
                    let mut finding = Self::RULE
                        .finding(peer.span, format!("peer means no pod: it selects {term}"))
                        .object(object(policy))
                        .path(peer_path(rule, peer))
                        .effect(effect);
                    finding.help = near::advice(ctx, term);
                    out.push(finding);
                }
            }
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
            &PeerSelectsNoPod::RULE,
            &expect![[r#"
            16:7: warning: peer means no pod: it selects pods app=web in namespace b
              at NetworkPolicy b/db spec.ingress[0].from[0]
              help: pods with these labels are in namespace `a`
              effect: this peer allows nobody
        "#]],
        );
    }

    /// The `name` label that many examples on the web use is not there unless someone sets it.
    #[test]
    fn a_namespace_label_under_another_key_is_named() {
        let world = World::read(
            "{apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}}\n\
             ---\n\
             apiVersion: networking.k8s.io/v1\n\
             kind: NetworkPolicy\n\
             metadata: {name: p, namespace: b}\n\
             spec:\n\
             \x20 podSelector: {}\n\
             \x20 egress:\n\
             \x20 - to: [{namespaceSelector: {matchLabels: {name: kube-system}}}]\n",
        );
        expect![[r#"
            9:10: warning: peer means no pod: it selects all pods in namespaces name=kube-system
              at NetworkPolicy b/p spec.egress[0].to[0]
              help: the nearest is namespace `kube-system`, which has `kubernetes.io/metadata.name=kube-system`, not `name=kube-system`
              effect: this peer allows nobody
        "#]]
        .assert_eq(&world.findings(&PeerSelectsNoPod::RULE));
    }
}
