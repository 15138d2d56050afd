//! MOAT023 egress-without-dns.

use crate::context::object;
use crate::rule::rule;
use crate::{Check, Context};
use moat_ir::{Direction, PolicyInfo, StageKind, SymClause, SymPeer, Then};
use moat_model::{Code, Diagnostic, Policy};
use moat_sets::{NamespaceTerm, Operator, PodTerm, Protocol, Requirement, Selector, ServicePoint};

rule! {
    /// ## What it does
    /// Reports a policy with egress rules whose pods may not ask any DNS server: no rule of any policy for them allows UDP port 53
    /// to anyone.
    ///
    /// A policy without any egress rule is not reported: it is meant to cut its pods off.
    ///
    /// ## Why is this bad?
    /// The first egress rule isolates the pods, and then only what is named is allowed. The rule that names the database is there,
    /// but the pods cannot look up its name, and every connection fails with a timeout in the resolver.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: a}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///   - to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]
    ///     ports: [{port: 5432}]
    /// ```
    ///
    /// ## Use instead
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: a}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///   - to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]
    ///     ports: [{port: 5432}]
    ///   - to:
    ///     - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///       podSelector: {matchLabels: {k8s-app: kube-dns}}
    ///     ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
    /// ```
    ///
    /// ## When to allow
    /// When the pods use only addresses, or their resolver is on their own node, which policies do not restrict.
    ///
    /// ## References
    /// - NetworkPolicySpec.policyTypes: "policies that contain an egress section are assumed to affect egress"
    /// - DNS for Services and Pods: <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>
    EgressWithoutDns { code: Code(23), name: "egress-without-dns", severity: Warning, lifecycle: Stable, found: by_check }
}

/// How many pods a message names before it only counts them.
const N_NAMED_MAX: usize = 3;

impl Check for EgressWithoutDns {
    fn check(&self, ctx: &Context<'_>, out: &mut Vec<Diagnostic>) {
        let resolvers: Vec<&PodTerm> = resolvers(ctx).map(|policy| &policy.subject).collect();
        let egress = moat_model::Direction::Egress;
        let isolating = ctx
            .lowered
            .policies
            .iter()
            .filter(|policy| policy.isolates_egress && policy.rules(egress).next().is_some());
        for policy in isolating {
            let Some(whose) = unresolved(ctx, policy, &resolvers) else { continue };
            let finding = Self::RULE
                .finding(policy.span, format!("`{}` isolates egress, and no policy allows its pods DNS", policy.id))
                .object(object(policy))
                .path("spec.egress")
                .help("allow UDP and TCP port 53 to pods with `k8s-app=kube-dns` in namespace `kube-system`")
                .effect(format!("{whose} cannot look up names"));
            out.push(finding);
        }
    }
}

/// The policies that allow UDP 53 to anyone and are asked about pods whose egress a NetworkPolicy isolates: never baseline ones.
fn resolvers<'a>(ctx: &Context<'a>) -> impl Iterator<Item = &'a PolicyInfo> {
    let symbolic = ctx.symbolic;
    (0u32..).zip(&symbolic.policies).filter_map(move |(idx, policy)| {
        let early = matches!(policy.stage, StageKind::Admin | StageKind::Namespace);
        let allows =
            symbolic.clauses_of(idx, Direction::Egress).any(|(_, clause)| allows_dns(clause));
        (early && allows).then_some(policy)
    })
}

/// Whether a clause may allow DNS. The DNS pods need not be in the input, so it is not asked whether the peer is anyone; for the
/// same reason a port name that could be theirs counts.
fn allows_dns(clause: &SymClause) -> bool {
    let numbered = clause.ports.numbers.contains(ServicePoint::new(Protocol::Udp, 53));
    let named = clause
        .ports
        .names
        .iter()
        .any(|(protocol, _)| protocol.is_none_or(|protocol| protocol == Protocol::Udp));
    clause.then == Then::Allow && clause.peer != SymPeer::Nobody && (numbered || named)
}

/// Whose names a policy leaves unresolved, in words; `None` when nobody's.
fn unresolved(ctx: &Context<'_>, policy: &Policy, resolvers: &[&PodTerm]) -> Option<String> {
    let mut n_pods = 0;
    let mut names: Vec<&str> = Vec::new();
    let mut selects = false;
    for (class, pod) in ctx.classes_of(&policy.subject) {
        selects = true;
        let helped =
            |term: &&PodTerm| term.matches(&pod.namespace, &pod.namespace_labels, &pod.labels);
        if pod.finished || pod.host_network || resolvers.iter().any(helped) {
            continue;
        }
        n_pods += class.pods.len();
        names.extend(
            class.pods.iter().take(N_NAMED_MAX).map(|&idx| ctx.bound.pod(idx).display.as_ref()),
        );
    }
    if !selects {
        // Without its pods it is not known which other policies apply to them: one that could counts as one that does.
        let helped = resolvers.iter().any(|term| may_meet(term, &policy.subject));
        return (!helped).then(|| policy.subject.to_string());
    }
    if n_pods == 0 {
        return None;
    }
    names.sort_unstable();
    names.truncate(N_NAMED_MAX);
    let more = n_pods - names.len();
    let list = format!("`{}`", names.join("`, `"));
    Some(if more == 0 { list } else { format!("{list} and {more} more") })
}

/// Whether two terms could mean the same pod: not if they name different namespaces or demand different values of one label.
fn may_meet(a: &PodTerm, b: &PodTerm) -> bool {
    let namespaces = match (&a.namespaces, &b.namespaces) {
        (NamespaceTerm::Named(a), NamespaceTerm::Named(b)) => a == b,
        (NamespaceTerm::Matching(a), NamespaceTerm::Matching(b)) => compatible(a, b),
        _ => true,
    };
    namespaces && compatible(&a.pods, &b.pods)
}

fn compatible(a: &Selector, b: &Selector) -> bool {
    let clash = |a: &Requirement, b: &Requirement| {
        let both = a.key == b.key && (a.operator, b.operator) == (Operator::In, Operator::In);
        both && !a.values.iter().any(|value| b.values.contains(value))
    };
    !a.requirements().iter().any(|a| b.requirements().iter().any(|b| clash(a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check_examples};
    use expect_test::expect;

    const PODS: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: a, labels: {app: web, tier: x}}}\n\
                        ---\n\
                        {apiVersion: v1, kind: Pod, metadata: {name: job, namespace: a, labels: {app: job}}}\n";
    const EGRESS: &str = "---\n\
                          apiVersion: networking.k8s.io/v1\n\
                          kind: NetworkPolicy\n\
                          metadata: {name: all, namespace: a}\n\
                          spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}\n";

    fn dns(selector: &str) -> String {
        format!(
            "---\n\
             apiVersion: networking.k8s.io/v1\n\
             kind: NetworkPolicy\n\
             metadata: {{name: dns, namespace: a}}\n\
             spec: {{podSelector: {selector}, policyTypes: [Egress], egress: [{{ports: [{{port: 53, protocol: UDP}}]}}]}}\n"
        )
    }

    fn findings(parts: &[&str]) -> String {
        World::read(&parts.concat()).findings(&EgressWithoutDns::RULE)
    }

    #[test]
    fn bad_and_good() {
        check_examples(
            &EgressWithoutDns::RULE,
            &expect![[r#"
            1:1: warning: `netpol a/web` isolates egress, and no policy allows its pods DNS
              at NetworkPolicy a/web spec.egress
              help: allow UDP and TCP port 53 to pods with `k8s-app=kube-dns` in namespace `kube-system`
              effect: pods app=web in namespace a cannot look up names
        "#]],
        );
    }

    #[test]
    fn pods_that_no_policy_helps_are_named() {
        expect![[r#"
            5:1: warning: `netpol a/all` isolates egress, and no policy allows its pods DNS
              at NetworkPolicy a/all spec.egress
              help: allow UDP and TCP port 53 to pods with `k8s-app=kube-dns` in namespace `kube-system`
              effect: `a/job` cannot look up names
        "#]]
        .assert_eq(&findings(&[PODS, EGRESS, &dns("{matchLabels: {tier: x}}")]));
        assert_eq!(findings(&[PODS, EGRESS, &dns("{}")]), "");
    }

    #[test]
    fn without_pods_a_policy_that_could_help_counts() {
        assert_ne!(findings(&[EGRESS]), "");
        assert_eq!(findings(&[EGRESS, &dns("{matchLabels: {tier: x}}")]), "");
        let web = EGRESS.replace("podSelector: {}", "podSelector: {matchLabels: {app: web}}");
        assert_ne!(findings(&[&web, &dns("{matchLabels: {app: job}}")]), "");
    }

    #[test]
    fn a_policy_that_cuts_pods_off_is_meant() {
        let closed = EGRESS.replace("[{ports: [{port: 443}]}]", "[]");
        assert_eq!(findings(&[PODS, &closed]), "");
    }
}
