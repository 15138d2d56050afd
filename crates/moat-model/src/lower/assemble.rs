//! All documents together: identities, lists, namespaces only mentioned, workloads that already have pods.

use super::kinds::{self, Role};
use super::owners::settle_pods;
use super::workload::{Identity, template_path};
use super::{
    Fate, Lowered, NULL, Options, ReadObject, cluster_policy, meta, network, policy, workload,
};
use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::inventory::{Endpoint, Inventory, Namespace, Pod, PodKind, Taint, TaintScope};
use crate::policy::{PolicyId, PolicyKind};
use crate::read::Reader;
use crate::value::{Data, SourceId, Span, Value};
use moat_sets::Labels;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The label every namespace carries; the API server rewrites it on every write.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[derive(Debug)]
struct Assembly<'o> {
    options: &'o Options,
    out: Lowered,
    /// Identity -> index in `out.objects`, so that a later object replaces an earlier one.
    seen: BTreeMap<(Arc<str>, Arc<str>, Arc<str>), usize>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    pods: BTreeMap<(Arc<str>, PodKind, Arc<str>), Pod>,
    policies: BTreeMap<PolicyId, crate::policy::Policy>,
    /// Policies that are not in force.
    staged: BTreeSet<PolicyId>,
    endpoints: BTreeMap<(Arc<str>, Arc<str>), Vec<Endpoint>>,
}

pub(super) fn assemble<'v>(
    documents: impl IntoIterator<Item = (SourceId, &'v Value)>,
    failures: &[Diagnostic],
    options: &Options,
) -> Lowered {
    let mut assembly = Assembly {
        options,
        out: Lowered::default(),
        seen: BTreeMap::new(),
        namespaces: BTreeMap::new(),
        pods: BTreeMap::new(),
        policies: BTreeMap::new(),
        staged: BTreeSet::new(),
        endpoints: BTreeMap::new(),
    };
    for (source, value) in documents {
        assembly.object(source, value, None);
    }
    for failure in failures.iter().filter(|failure| failure.severity == Severity::Error) {
        let what = format!("not read: {}", failure.message);
        assembly.out.inventory.taints.push(Taint {
            scope: TaintScope::Everything,
            span: failure.span,
            what,
        });
    }
    assembly.finish()
}

/// Which verdicts a policy of a namespace can change; one without a namespace, all.
fn scope_of(namespace: &Arc<str>) -> TaintScope {
    if namespace.is_empty() {
        TaintScope::Everything
    } else {
        TaintScope::Namespace(namespace.clone())
    }
}

impl Assembly<'_> {
    /// Reads one object; `inherited` is the type of the list it is in.
    fn object<'v>(
        &mut self,
        source: SourceId,
        value: &'v Value,
        inherited: Option<(&'v str, &str)>,
    ) {
        let span = Span { source, pos: value.pos };
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (api_version, kind) = match (text("apiVersion"), text("kind"), inherited) {
            (Some(api_version), Some(kind), _) => (api_version, kind),
            (None, None, Some(types)) if matches!(value.data, Data::Map(_)) => types,
            (None, None, _) => {
                // Application settings and package files lie beside manifests; what claims nothing cannot change a verdict.
                let finding = Diagnostic::note(
                    codes::NOT_AN_OBJECT,
                    span,
                    "not a Kubernetes object: it has neither `apiVersion` nor `kind`",
                )
                .effect("the document is passed over");
                self.out.diagnostics.push(finding);
                return;
            }
            (api_version, _, _) => {
                let missing = if api_version.is_none() { "apiVersion" } else { "kind" };
                let finding = Diagnostic::error(
                    codes::NOT_AN_OBJECT,
                    span,
                    format!("not a Kubernetes object: `{missing}` is missing"),
                )
                .help("every object needs `apiVersion`, `kind` and `metadata.name`")
                .effect("the document is not part of any verdict");
                self.out.diagnostics.push(finding);
                self.taint(TaintScope::Everything, span, format!("a document without `{missing}`"));
                return;
            }
        };
        let role = kinds::role(api_version, kind);
        if role == Role::List {
            let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
            for item in value.get("items").unwrap_or(&NULL).items() {
                self.object(source, item, item_kind.map(|kind| (api_version, kind)));
            }
            return;
        }
        let (namespace, name) = meta::identify(
            value,
            kind,
            role,
            source,
            &self.options.namespace,
            &mut self.out.diagnostics,
        );
        let object = ReadObject {
            kind: kind.into(),
            namespace: namespace.clone(),
            name: name.clone(),
            span,
            fate: Fate::Used,
        };
        let label = if namespace.is_empty() {
            format!("{kind} {name}")
        } else {
            format!("{kind} {namespace}/{name}")
        };
        if let Some(version) = kinds::replacement(api_version, role) {
            let finding = Diagnostic::warning(
                codes::API_VERSION,
                span,
                format!("no matches for kind \"{kind}\" in version \"{api_version}\""),
            )
            .object(label.clone())
            .path("apiVersion")
            .help(if version.contains(' ') {
                format!("use {version}")
            } else {
                format!("use `{version}`")
            })
            .effect("read as if it had that version");
            self.out.diagnostics.push(finding);
        }
        let key = (Arc::from(kind), namespace.clone(), name.clone());
        let index = self.out.objects.len();
        if role != Role::Unknown
            && role != Role::Irrelevant
            && let Some(earlier) = self.seen.insert(key, index)
        {
            let mut finding = Diagnostic::warning(
                codes::DUPLICATE_OBJECT,
                span,
                format!("`{label}` is defined more than once"),
            )
            .object(label.clone())
            .effect("the last one counts, as if applied in this order");
            if let Some(earlier) = self.out.objects.get_mut(earlier) {
                earlier.fate = Fate::Replaced;
                finding =
                    finding.help("remove one of them").related("the earlier one", earlier.span);
            }
            self.out.diagnostics.push(finding);
        }
        self.out.objects.push(object);
        let fate = self.read(source, value, role, kind, &label, &namespace, &name);
        if let Some(object) = self.out.objects.get_mut(index) {
            object.fate = fate;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one object's identity, already taken apart")]
    fn read<'v>(
        &mut self,
        source: SourceId,
        value: &'v Value,
        role: Role,
        kind: &'v str,
        label: &str,
        namespace: &Arc<str>,
        name: &Arc<str>,
    ) -> Fate {
        let span = Span { source, pos: value.pos };
        let mut findings = Vec::new();
        let mut reader = Reader::new(source, label.to_owned(), &mut findings);
        let identity =
            |kind: PodKind| Identity { namespace: namespace.clone(), kind, name: name.clone() };
        let mut fate = Fate::Used;
        match role {
            Role::Namespace => {
                reader.known(value, &["apiVersion", "kind", "metadata", "spec", "status"]);
                let labels = meta::read(&mut reader, value).labels;
                let entry = Namespace { name: name.clone(), labels, span: Some(span) };
                self.namespaces.insert(name.clone(), entry);
            }
            Role::Pod => {
                let pod = workload::pod(&mut reader, value, identity(PodKind::Pod));
                self.pods.insert((namespace.clone(), PodKind::Pod, name.clone()), pod);
            }
            Role::Workload | Role::Unknown => {
                let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or("");
                let misspelt =
                    role == Role::Unknown && kinds::misspelt(&mut reader, api_version, value, kind);
                let pod_kind = PodKind::Workload(kind.to_ascii_lowercase().into());
                let has_template = value.at(template_path(kind)).is_some_and(|at| {
                    at.get("spec").is_some_and(|spec| spec.get("containers").is_some())
                });
                if misspelt && !has_template {
                    fate = Fate::Unreadable;
                    self.taint(TaintScope::Everything, span, format!("there is no kind `{kind}`"));
                } else if role == Role::Unknown && !has_template {
                    fate = Fate::Unsupported;
                    let finding = Diagnostic::note(
                        codes::UNSUPPORTED_KIND,
                        span,
                        format!("kind `{kind}` is not interpreted"),
                    );
                    reader.push(finding);
                } else if let Some(pod) =
                    workload::workload(&mut reader, value, kind, identity(pod_kind.clone()))
                {
                    if role == Role::Unknown {
                        let finding = Diagnostic::note(
                            codes::POD_TEMPLATE_ONLY,
                            span,
                            format!("kind `{kind}` is read only for its pod template"),
                        )
                        .effect("its pods are part of the verdicts; whatever else it does is not");
                        reader.push(finding);
                    }
                    self.pods.insert((namespace.clone(), pod_kind, name.clone()), pod);
                } else {
                    fate = Fate::Unreadable;
                    reader.invalid(value, "Required value: spec.template");
                }
            }
            Role::NetworkPolicy
            | Role::ClusterNetworkPolicy
            | Role::AdminNetworkPolicy
            | Role::BaselineAdminNetworkPolicy => {
                meta::read(&mut reader, value);
                let kind = match role {
                    Role::NetworkPolicy => PolicyKind::NetworkPolicy,
                    Role::ClusterNetworkPolicy => PolicyKind::ClusterNetworkPolicy,
                    Role::AdminNetworkPolicy => PolicyKind::AdminNetworkPolicy,
                    _ => PolicyKind::BaselineAdminNetworkPolicy,
                };
                let id = PolicyId { kind, namespace: namespace.clone(), name: name.clone() };
                let read = if role == Role::NetworkPolicy {
                    policy::network_policy
                } else {
                    cluster_policy::cluster_policy
                };
                let read = read(&mut reader, value, id.clone());
                let refused = reader.n_errors > 0;
                if meta::staged(&mut reader, value) {
                    self.staged.insert(id.clone());
                } else {
                    self.staged.remove(&id);
                }
                if read.is_none() {
                    fate = Fate::Unreadable;
                    self.policies.remove(&id);
                }
                if let Some(policy) = read {
                    self.policies.insert(id, policy);
                }
                if refused {
                    for finding in findings.iter_mut().filter(|finding| {
                        finding.severity == Severity::Error && finding.effect.is_none()
                    }) {
                        finding.effect = Some(
                            match (fate, role) {
                                (Fate::Unreadable, _) => {
                                    "the policy takes no part in verdicts, which are marked as uncertain"
                                }
                                (_, Role::NetworkPolicy) => {
                                    "the API server refuses the object; here the part at fault matches nothing and the rest counts"
                                }
                                _ => {
                                    "the API server refuses the object; here an Accept rule at fault matches nothing, any other matches everyone, and the rest counts"
                                }
                            }
                            .to_owned(),
                        );
                    }
                    self.taint(
                        scope_of(namespace),
                        span,
                        format!("the API server would refuse {label}"),
                    );
                }
            }
            Role::Service => {
                let service = network::service(&mut reader, value, namespace.clone(), name.clone());
                self.out.inventory.services.push(service);
            }
            Role::Endpoints => {
                self.endpoints
                    .entry((namespace.clone(), name.clone()))
                    .or_default()
                    .extend(network::endpoints(value));
            }
            Role::EndpointSlice => {
                let (found, service) = network::endpoint_slice(value);
                let service = service.map_or_else(|| name.clone(), Into::into);
                self.endpoints.entry((namespace.clone(), service)).or_default().extend(found);
            }
            Role::Ingress => {
                self.out.inventory.entrances.extend(network::ingress(
                    &mut reader,
                    value,
                    namespace,
                    name,
                ));
            }
            Role::Node => {
                let (node, cidrs) = network::node(&mut reader, value, name.clone());
                self.out.inventory.nodes.push(node);
                self.out.inventory.pod_cidrs.extend(cidrs);
            }
            Role::ForeignPolicy => {
                fate = Fate::Unsupported;
                let finding = Diagnostic::warning(
                    codes::FOREIGN_POLICY,
                    span,
                    format!("`{label}` is a policy that Moat does not interpret"),
                )
                .effect("verdicts it could change are marked as uncertain");
                reader.push(finding);
                let scope = if value.at(&["metadata", "namespace"]).is_some() {
                    TaintScope::Namespace(namespace.clone())
                } else {
                    TaintScope::Everything
                };
                self.taint(scope, span, format!("{label} is not interpreted"));
            }
            Role::Irrelevant | Role::List => fate = Fate::Irrelevant,
        }
        if kinds::is_namespaced(role) && !namespace.is_empty() && fate != Fate::Irrelevant {
            self.mention(namespace);
        }
        self.out.diagnostics.append(&mut findings);
        fate
    }

    fn taint(&mut self, scope: TaintScope, span: Span, what: String) {
        self.out.inventory.taints.push(Taint { scope, span, what });
    }

    /// A namespace named by another object exists, with no label but its name.
    fn mention(&mut self, name: &Arc<str>) {
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(
                name.clone(),
                Namespace { name: name.clone(), labels: Labels::default(), span: None },
            );
        }
    }

    /// Policies that are not in force leave the others, and leave a word that they exist.
    fn set_staged_apart(&mut self) {
        for id in std::mem::take(&mut self.staged) {
            let Some(policy) = self.policies.remove(&id) else { continue };
            self.taint(
                scope_of(&id.namespace),
                policy.span,
                format!("{id} is staged: it is not in force"),
            );
            self.out.staged.push(policy);
        }
    }

    fn finish(mut self) -> Lowered {
        self.set_staged_apart();
        self.equal_priorities();
        let Inventory { services, nodes, entrances, pod_cidrs, taints, .. } =
            &mut self.out.inventory;
        // The sorts are stable, so of several objects with one identity the last read is kept.
        keep_last(services, |service| (service.namespace.clone(), service.name.clone()));
        keep_last(nodes, |node| node.name.clone());
        for service in services.iter_mut() {
            let key = (service.namespace.clone(), service.name.clone());
            if service.selector.is_none()
                && let Some(endpoints) = self.endpoints.remove(&key)
            {
                service.endpoints = endpoints;
                service.endpoints.sort_unstable();
                service.endpoints.dedup();
            }
        }
        entrances.sort();
        pod_cidrs.extend(&self.options.pod_cidrs);
        pod_cidrs.sort_unstable();
        pod_cidrs.dedup();
        taints.sort();
        taints.dedup();
        for namespace in self.namespaces.values_mut() {
            //# "The Kubernetes control plane sets an immutable label kubernetes.io/metadata.name on all namespaces"
            namespace.labels.set(NAME_LABEL, &namespace.name);
        }
        let pods = settle_pods(self.pods, nodes);
        self.out.inventory.namespaces = self.namespaces.into_values().collect();
        self.out.inventory.pods = pods;
        self.out.policies = self.policies.into_values().collect();
        self.out
    }

    fn equal_priorities(&mut self) {
        use crate::policy::Tier;
        let mut by_tier: BTreeMap<Tier, &crate::policy::Policy> = BTreeMap::new();
        for policy in self.policies.values().filter(|policy| policy.tier != Tier::Namespace) {
            if let Some(first) = by_tier.get(&policy.tier) {
                let finding = Diagnostic::warning(codes::EQUAL_PRIORITY, policy.span, format!("`{}` has the same tier and priority as `{}`", policy.id, first.id))
                    .object(format!("{} {}", policy.id.kind.name(), policy.id.name))
                    .path("spec.priority")
                    .help("give every policy of a tier its own priority")
                    .effect("where both match, Kubernetes does not say which wins; Moat takes the first by name and says so");
                self.out.diagnostics.push(finding);
            } else {
                by_tier.insert(policy.tier, policy);
            }
        }
    }
}

/// Sorts by key and keeps the last item of each.
fn keep_last<T, K: Ord>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    items.reverse();
    items.sort_by_key(&key);
    items.dedup_by_key(|item| key(item));
}
