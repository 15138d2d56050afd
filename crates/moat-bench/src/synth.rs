//! The generator.

use std::fmt::Write;

/// How many Deployments a namespace has.
pub const APPS_PER_NAMESPACE: usize = 20;
const TIERS: [&str; 5] = ["web", "api", "worker", "cache", "db"];
const ENVS: [&str; 3] = ["prod", "stage", "dev"];
const N_TEAMS: usize = 10;
/// Kinds of policies.
const N_KINDS: usize = 6;

/// How many namespaces a cluster of this many workloads has.
#[must_use]
pub fn namespaces(n_workloads: usize) -> usize {
    n_workloads.div_ceil(APPS_PER_NAMESPACE).max(1)
}

/// A cluster of `n_workloads` single-replica Deployments and `n_policies` NetworkPolicies: a file name and YAML per namespace.
///
/// Policies go around the namespaces; each round is of the next of six kinds, and from the second round of a kind on policies
/// differ by the tier they are about.
#[must_use]
pub fn synth(n_workloads: usize, n_policies: usize) -> Vec<(String, String)> {
    let n_namespaces = namespaces(n_workloads);
    let mut files: Vec<String> = (0..n_namespaces).map(namespace).collect();
    for app in 0..n_workloads {
        deployment(&mut files[app / APPS_PER_NAMESPACE], app);
    }
    for policy in 0..n_policies {
        let at = policy % n_namespaces;
        network_policy(&mut files[at], policy, at, policy / n_namespaces);
    }
    files.into_iter().enumerate().map(|(at, text)| (format!("ns-{at}.yaml"), text)).collect()
}

fn namespace(at: usize) -> String {
    let (env, team) = (pick(&ENVS, at), at % N_TEAMS);
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns-{at}\n  labels:\n    env: {env}\n    team: team-{team}\n"
    )
}

fn deployment(out: &mut String, app: usize) {
    let (at, tier) = (app / APPS_PER_NAMESPACE, pick(&TIERS, app));
    write!(
        out,
        "---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{app}
  namespace: ns-{at}
  labels:
    app: app-{app}
spec:
  replicas: 1
  selector:
    matchLabels:
      app: app-{app}
  template:
    metadata:
      labels:
        app: app-{app}
        tier: {tier}
    spec:
      containers:
      - name: main
        image: registry.example.com/app-{app}:1.0.0
        ports:
        - name: http
          containerPort: 8080
        - name: metrics
          containerPort: 9090
"
    )
    .expect("a string takes all text");
}

fn network_policy(out: &mut String, policy: usize, at: usize, round: usize) {
    let (kind, again) = (round % N_KINDS, round / N_KINDS);
    let tier = |step: usize| pick(&TIERS, policy + step);
    let env = pick(&ENVS, policy);
    // The first default-deny and the first same-namespace policy are about the whole namespace.
    let subject = if kind < 2 && again == 0 {
        "{}".to_owned()
    } else {
        format!("{{matchLabels: {{tier: {}}}}}", pick(&TIERS, at + again))
    };
    let (types, rules) = match kind {
        0 => ("Ingress, Egress", "  egress:\n  - ports:\n    - port: 53\n      protocol: UDP\n".to_owned()),
        1 => ("Ingress, Egress", "  ingress:\n  - from:\n    - podSelector: {}\n  egress:\n  - to:\n    - podSelector: {}\n".to_owned()),
        2 => (
            "Ingress",
            format!(
                "  ingress:
  - from:
    - namespaceSelector:
        matchLabels:
          env: {env}
      podSelector:
        matchLabels:
          tier: {}
    ports:
    - port: http
      protocol: TCP
",
                tier(1 + again)
            ),
        ),
        3 => (
            "Egress",
            format!(
                "  egress:
  - to:
    - ipBlock:
        cidr: 10.{}.0.0/16
    - namespaceSelector:
        matchLabels:
          team: team-{}
    ports:
    - port: 8000
      endPort: 9000
      protocol: TCP
",
                policy % 256,
                (policy + again) % N_TEAMS
            ),
        ),
        4 => (
            "Ingress",
            format!(
                "  ingress:
  - from:
    - namespaceSelector:
        matchExpressions:
        - {{key: env, operator: NotIn, values: [{env}]}}
      podSelector:
        matchExpressions:
        - {{key: tier, operator: In, values: [{}, {}]}}
    ports:
    - port: 8080
      protocol: TCP
",
                tier(again),
                tier(again + 2)
            ),
        ),
        _ => (
            "Egress",
            "  egress:
  - to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
        - 10.0.0.0/8
        - 169.254.169.254/32
    ports:
    - port: 443
      protocol: TCP
"
            .to_owned(),
        ),
    };
    write!(
        out,
        "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: policy-{policy}
  namespace: ns-{at}
spec:
  podSelector: {subject}
  policyTypes: [{types}]
{rules}"
    )
    .expect("a string takes all text");
}

fn pick<'a>(from: &[&'a str], at: usize) -> &'a str {
    from[at % from.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    #[test]
    fn clusters_are_read_whole_and_without_findings() {
        for (workloads, policies) in [(1, 1), (100, 10), (100, 100), (1000, 1000)] {
            let world = World::text(workloads, policies);
            assert_eq!(world.loaded.diagnostics, []);
            assert_eq!(world.lowered.diagnostics, []);
            assert_eq!(world.lowered.inventory.pods.len(), workloads);
            assert_eq!(world.lowered.inventory.namespaces.len(), namespaces(workloads));
            assert_eq!(world.lowered.policies.len(), policies);
            assert!(world.lowered.inventory.taints.is_empty());
        }
    }

    #[test]
    fn the_same_sizes_give_the_same_text() {
        assert_eq!(synth(100, 100), synth(100, 100));
    }

    #[test]
    fn policies_of_a_namespace_differ() {
        for (_, text) in synth(100, 60) {
            let mut specs: Vec<&str> = text
                .split("---")
                .filter_map(|document| document.split_once("podSelector: "))
                .map(|(_, spec)| spec)
                .collect();
            let n_all = specs.len();
            specs.sort_unstable();
            specs.dedup();
            assert_eq!(specs.len(), n_all);
        }
    }
}
