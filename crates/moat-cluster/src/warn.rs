//! What lint says of a policy that is being written: the API server sends it as `Warning:` headers, which kubectl prints.
//!
//! Only rules that a policy breaks by itself, or together with the policies beside it: that nothing is selected yet is no mistake where pods
//! come after policies.

use moat_compile::{Dialect, bind, compile};
use moat_lint::{Context, Selection, registry};
use moat_load::{Input, load};
use moat_model::{Options, Severity, SourceId, lower};
use moat_store::{List, Resource, Scope, Store};
use serde_json::Value;
use std::sync::Arc;

const RULES: [&str; 2] = ["allows-everything", "egress-without-dns"];
const POLICIES: &str = "networking.k8s.io/networkpolicies";
/// Policies beside this one that are looked at; a namespace with more is warned of less.
const BESIDE_MAX: usize = 200;

/// The findings about a policy, each a sentence with the code of its rule.
pub(crate) fn warnings(store: &Store, policy: &Value) -> Vec<String> {
    let kind = policy["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "NetworkPolicy" | "ClusterNetworkPolicy") {
        return Vec::new();
    }
    let Ok(selection) = Selection::parse(&RULES, &[]) else { return Vec::new() };
    // The policy itself is the first source: findings are told apart by it.
    let mut inputs = vec![Input::Text { name: "policy".to_owned(), text: policy.to_string() }];
    inputs.extend(beside(store, policy));
    let loaded = load(&inputs);
    let documents = loaded.documents.iter().map(|document| (document.source, &document.value));
    let lowered = lower(documents, &loaded.diagnostics, &Options::default());
    let names: Vec<Arc<str>> =
        loaded.sources.iter().map(|source| source.name.as_str().into()).collect();
    let symbolic = Arc::new(compile(&lowered.policies, &names));
    let bound = bind(Arc::clone(&symbolic), &lowered.inventory, Dialect::default());
    let context = Context {
        loaded: &loaded.diagnostics,
        lowered: &lowered,
        symbolic: &symbolic,
        bound: &bound,
        dialect: Dialect::default(),
    };
    moat_lint::run(&context, &selection)
        .into_iter()
        .filter(|finding| finding.span.source == SourceId(0) && finding.severity != Severity::Note)
        .filter(|finding| {
            registry::by_code(finding.code).is_some_and(|rule| RULES.contains(&rule.name))
        })
        .map(|finding| match finding.help {
            Some(help) => format!("{}: {}; {help}", finding.code, finding.message),
            None => format!("{}: {}", finding.code, finding.message),
        })
        .collect()
}

/// The other policies of its namespace.
fn beside(store: &Store, policy: &Value) -> Vec<Input> {
    let metadata = &policy["metadata"];
    let Some(namespace) = metadata["namespace"].as_str() else { return Vec::new() };
    let Ok(resource) = Resource::new(POLICIES) else { return Vec::new() };
    let mut wanted = List::new(&resource, Scope::Namespace(namespace.into()));
    wanted.limit = Some(BESIDE_MAX);
    let Ok(page) = store.list(&wanted) else { return Vec::new() };
    let own = metadata["name"].as_str().unwrap_or_default();
    let others = page.objects.into_iter().filter(|object| object.path.name() != own);
    others
        .filter_map(|object| {
            let text = String::from_utf8(object.value.to_vec()).ok()?;
            Some(Input::Text { name: object.path.name().to_owned(), text })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_that_forgets_dns_or_allows_all_is_told() {
        let store = Store::in_memory(moat_store::Options::default());
        let policy = |spec: Value| {
            json!({
                "kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1",
                "metadata": { "name": "web", "namespace": "shop" }, "spec": spec,
            })
        };
        let said = |spec: Value| warnings(&store, &policy(spec)).join("\n");
        let deaf = said(json!({
            "podSelector": {}, "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "podSelector": { "matchLabels": { "app": "db" } } }], "ports": [{ "port": 5432 }] }],
        }));
        expect_test::expect!["MOAT023: `netpol shop/web` isolates egress, and no policy allows its pods DNS; allow UDP and TCP port 53 to pods with `k8s-app=kube-dns` in namespace `kube-system`"].assert_eq(&deaf);
        let open = said(json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}] }));
        expect_test::expect!["MOAT022: rule lets everyone in on every port; name peers with `from`, or drop the rule: `ingress: []` allows nothing"].assert_eq(&open);
        assert_eq!(said(json!({ "podSelector": {}, "policyTypes": ["Ingress"] })), "");
        assert_eq!(warnings(&store, &json!({ "kind": "Pod" })), Vec::<String>::new());
    }
}
