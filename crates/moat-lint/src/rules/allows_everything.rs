//! MOAT022 allows-everything.

use crate::context::{object, rule_path};
use crate::rule::rule;
use crate::{Check, Context};
use moat_model::{Action, Code, Diagnostic, Direction, Peers, Ports, Tier};

rule! {
    /// ## What it does
    /// Reports a rule that allows everyone on every port: neither `from` (or `to`) nor `ports` says anything.
    ///
    /// ## Why is this bad?
    /// NetworkPolicies add up, so no other NetworkPolicy for these pods restricts this direction any more. Mostly a `from:` was left
    /// empty, or `- {}` was written for "nothing". No rule at all allows nothing: `ingress: []`.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny-all, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///   - {}
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny-all, namespace: b}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress: []
    /// ```
    ///
    /// ## When to allow
    /// When pods that are meant to be open need a policy that says so.
    ///
    /// ## References
    /// - NetworkPolicyIngressRule.from: "If this field is empty or missing, this rule matches all sources"
    /// - Default allow all ingress traffic:
    ///   <https://kubernetes.io/docs/concepts/services-networking/network-policies/#allow-all-ingress-traffic>
    AllowsEverything { code: Code(22), name: "allows-everything", severity: Warning, lifecycle: Stable, found: by_check }
}

impl Check for AllowsEverything {
    fn check(&self, ctx: &Context<'_>, out: &mut Vec<Diagnostic>) {
        for policy in &ctx.lowered.policies {
            for rule in &policy.rules {
                if rule.action != Action::Accept
                    || rule.peers != Peers::Any
                    || rule.ports != Ports::Any
                {
                    continue;
                }
                let (whom, key, nothing) = match rule.direction {
                    Direction::Ingress => {
                        ("everyone in on every port", "from", "`ingress: []` allows nothing")
                    }
                    Direction::Egress => {
                        ("everything out on every port", "to", "`egress: []` allows nothing")
                    }
                };
                let effect = match policy.tier {
                    Tier::Namespace => format!(
                        "no other NetworkPolicy rule for {} of these pods changes anything",
                        rule.direction
                    ),
                    Tier::Admin { .. } | Tier::Baseline { .. } => {
                        format!("no later policy is asked about {} of these pods", rule.direction)
                    }
                };
                let finding = Self::RULE
                    .finding(rule.span, format!("rule lets {whom}"))
                    .object(object(policy))
                    .path(rule_path(rule))
                    .help(format!("name peers with `{key}`, or drop the rule: {nothing}"))
                    .effect(effect);
                out.push(finding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_examples;
    use expect_test::expect;

    #[test]
    fn bad_and_good() {
        check_examples(
            &AllowsEverything::RULE,
            &expect![[r#"
            8:5: warning: rule lets everyone in on every port
              at NetworkPolicy b/deny-all spec.ingress[0]
              help: name peers with `from`, or drop the rule: `ingress: []` allows nothing
              effect: no other NetworkPolicy rule for ingress of these pods changes anything
        "#]],
        );
    }
}
