//! Cluster-wide policies: ClusterNetworkPolicy v1alpha2, and AdminNetworkPolicy / BaselineAdminNetworkPolicy v1alpha1 translated.
//!
//! Source: `sigs.k8s.io/network-policy-api` apis/v1alpha2/clusternetworkpolicy_types.go and apis/v1alpha1.

use super::policy::{cidr, protocol};
use super::selector::{label_selector, pod_term};
use crate::policy::{
    Action, Direction, Peer, PeerKind, Peers, Policy, PolicyId, PolicyKind, PortMatch, Ports, Rule,
    Tier,
};
use crate::read::Reader;
use crate::validate;
use crate::value::{Data, Value};
use moat_sets::{AddrSet, DomainPattern, NamespaceTerm, PodTerm, PortSet, Protocol, Selector};

/// Greatest priority of the Admin and Baseline tiers.
const PRIORITY_MAX: i64 = 1000;
/// Greatest number of rules in one direction.
const RULES_MAX: usize = 25;

/// Reads a cluster-wide policy. `None` when its subject cannot be read, which is a load error: what it would deny is unknown.
pub(super) fn cluster_policy<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    id: PolicyId,
) -> Option<Policy> {
    reader.known(value, &["apiVersion", "kind", "metadata", "spec", "status"]);
    let span = reader.span(value);
    let Some(spec) = value.get("spec").filter(|spec| !spec.is_null()) else {
        reader.invalid_field(value, "spec", "Required value");
        return None;
    };
    reader.step(crate::read::Step::Key("spec"), |reader| {
        let tier = tier(reader, spec, id.kind);
        let subject = match reader.field(spec, "subject", subject) {
            Some(subject) => subject?,
            None => {
                reader.invalid_field(spec, "subject", "Required value");
                return None;
            }
        };
        let mut rules = Vec::new();
        for (key, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
            let mut index = 0;
            let read = reader.field(spec, key, |reader, list| {
                let read = reader.each(list, |reader, item| {
                    let rule = rule(reader, item, direction, index, id.kind);
                    index += 1;
                    rule
                });
                let most =
                    if id.kind == PolicyKind::ClusterNetworkPolicy { RULES_MAX } else { 100 };
                if read.len() > most {
                    reader.invalid(
                        list,
                        format!("Too many: {}: must have at most {most} items", read.len()),
                    );
                }
                read
            });
            rules.extend(read.unwrap_or_default());
            if let Some(list) = spec.get(key).filter(|list| !list.is_list_or_null()) {
                rules.push(unreadable(direction, reader.span(list)));
            }
        }
        Some(Policy {
            id,
            span,
            tier,
            subject,
            isolates_ingress: false,
            isolates_egress: false,
            rules,
        })
    })
}

/// What stands for rules of which nothing can be read, their action included.
fn unreadable(direction: Direction, span: crate::value::Span) -> Rule {
    let peers = Peers::List(vec![Peer { index: 0, span, kind: PeerKind::Everyone }]);
    Rule { direction, index: 0, name: None, span, action: Action::Deny, peers, ports: Ports::Any }
}

fn tier<'v>(reader: &mut Reader<'v, '_>, spec: &'v Value, kind: PolicyKind) -> Tier {
    match kind {
        PolicyKind::ClusterNetworkPolicy => {
            reader.known(spec, &["tier", "priority", "subject", "ingress", "egress"]);
        }
        PolicyKind::AdminNetworkPolicy => {
            reader.known(spec, &["priority", "subject", "ingress", "egress"]);
        }
        _ => reader.known(spec, &["subject", "ingress", "egress"]),
    }
    let mut priority = 0;
    if kind != PolicyKind::BaselineAdminNetworkPolicy {
        match reader.int_field(spec, "priority") {
            Some(number) if (0..=PRIORITY_MAX).contains(&number) => {
                priority = i32::try_from(number).unwrap_or(0);
            }
            Some(number) => {
                reader.invalid_field(
                    spec,
                    "priority",
                    format!("Invalid value: {number}: must be between 0 and {PRIORITY_MAX}"),
                );
            }
            None => reader.invalid_field(spec, "priority", "Required value"),
        }
    }
    match kind {
        PolicyKind::BaselineAdminNetworkPolicy => Tier::Baseline { priority },
        PolicyKind::ClusterNetworkPolicy => match reader.string_field(spec, "tier") {
            Some("Baseline") => Tier::Baseline { priority },
            Some("Admin") => Tier::Admin { priority },
            Some(other) => {
                let message = format!(
                    "Unsupported value: \"{other}\": supported values: \"Admin\", \"Baseline\""
                );
                reader.invalid_field(spec, "tier", message);
                Tier::Admin { priority }
            }
            None => {
                reader.invalid_field(spec, "tier", "Required value");
                Tier::Admin { priority }
            }
        },
        _ => Tier::Admin { priority },
    }
}

fn subject<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<PodTerm> {
    reader.known(value, &["namespaces", "pods"]);
    let term = pods_or_namespaces(reader, value)?;
    if term.is_none() {
        reader.invalid(
            value,
            "Required value: exactly one of `namespaces` and `pods` must be specified",
        );
    }
    term
}

/// The fields `namespaces` and `pods` of a subject or peer. Outer `None`: cannot be interpreted; inner: neither is there.
fn pods_or_namespaces<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
) -> Option<Option<PodTerm>> {
    let namespaces = reader.field(value, "namespaces", |reader, at| {
        let selector = label_selector(reader, at)?;
        Some(PodTerm {
            namespaces: NamespaceTerm::Matching(selector),
            pods: Selector::everything(),
        })
    });
    let pods = reader.field(value, "pods", |reader, at| {
        reader.known(at, &["namespaceSelector", "podSelector"]);
        // A selector left out must not come to mean every pod.
        if at.get("podSelector").is_none_or(Value::is_null) {
            reader.invalid_field(at, "podSelector", "Required value");
            return None;
        }
        pod_term(reader, at, NamespaceTerm::Matching(Selector::everything()))
    });
    match (namespaces, pods) {
        (Some(_), Some(_)) => {
            reader.invalid(value, "Forbidden: may not specify both `namespaces` and `pods`");
            None
        }
        (Some(term), None) | (None, Some(term)) => term.map(Some),
        (None, None) => Some(None),
    }
}

fn rule<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    direction: Direction,
    index: u32,
    kind: PolicyKind,
) -> Rule {
    let peers_key = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let translated = kind != PolicyKind::ClusterNetworkPolicy;
    let ports_key = if translated { "ports" } else { "protocols" };
    reader.known(value, &["name", "action", peers_key, ports_key]);
    let action = match reader.string_field(value, "action") {
        Some("Accept") if !translated => Action::Accept,
        Some("Allow") if translated => Action::Accept,
        Some("Deny") => Action::Deny,
        Some("Pass") if kind != PolicyKind::BaselineAdminNetworkPolicy => Action::Pass,
        found => {
            let supported = match kind {
                PolicyKind::ClusterNetworkPolicy => "\"Accept\", \"Deny\", \"Pass\"",
                PolicyKind::BaselineAdminNetworkPolicy => "\"Allow\", \"Deny\"",
                _ => "\"Allow\", \"Deny\", \"Pass\"",
            };
            match found {
                Some(other) => {
                    let message =
                        format!("Unsupported value: \"{other}\": supported values: {supported}");
                    reader.invalid_field(value, "action", message);
                }
                None => reader.invalid_field(value, "action", "Required value"),
            }
            // An action that cannot be read is taken as Deny: fail closed.
            Action::Deny
        }
    };
    let name = reader.string_field(value, "name").filter(|name| !name.is_empty()).map(Into::into);
    let span = reader.span(value);
    let errors = reader.n_errors;
    let mut n_peers = 0;
    let mut peers = Vec::new();
    reader.field(value, peers_key, |reader, list| {
        for some in reader.each(list, |reader, item| {
            let read = peer(reader, item, direction, action, n_peers);
            n_peers += 1;
            read
        }) {
            peers.extend(some);
        }
    });
    if n_peers == 0 {
        reader.invalid_field(
            value,
            peers_key,
            format!("Required value: must have at least 1 {peers_key} peer"),
        );
        peers.push(Peer { index: 0, span, kind: uninterpretable(action) });
    }
    let read_ports = if translated { admin_ports } else { protocols };
    let ports = reader
        .field(value, ports_key, |reader, list| {
            if !translated && matches!(list.data, Data::List(_)) && list.items().is_empty() {
                reader.invalid(list, "Invalid value: 0: must have at least 1 items");
            }
            reader.each(list, read_ports)
        })
        .unwrap_or_default();
    let mut ports = match ports.into_iter().flatten().flatten().collect::<Vec<PortMatch>>() {
        none if none.is_empty() => Ports::Any,
        ports => Ports::List(ports),
    };
    if reader.n_errors > errors {
        // One part that cannot be interpreted makes the whole rule so, whatever its other parts say.
        peers = vec![Peer { index: 0, span, kind: uninterpretable(action) }];
        ports = Ports::Any;
    }
    Rule { direction, index, name, span, action, peers: Peers::List(peers), ports }
}

/// What a peer means that cannot be interpreted.
///
//# "For "Accept" rules, "fail closed" means: "treat the rule as matching no traffic". For "Deny" and "Pass" rules, "fail closed"
//# means: "treat the rule as a 'Deny all' rule"."
fn uninterpretable(action: Action) -> PeerKind {
    if action == Action::Accept { PeerKind::Nobody } else { PeerKind::Everyone }
}

fn peer<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    direction: Direction,
    action: Action,
    index: u32,
) -> Vec<Peer> {
    let span = reader.span(value);
    let one = |kind| vec![Peer { index, span, kind }];
    let fields: &[&str] = match direction {
        Direction::Ingress => &["namespaces", "pods"],
        Direction::Egress => &["namespaces", "pods", "nodes", "networks", "domainNames"],
    };
    reader.known(value, fields);
    let n_set =
        fields.iter().filter(|field| value.get(field).is_some_and(|at| !at.is_null())).count();
    if n_set != 1 {
        let message = if n_set == 0 {
            "Required value: must specify a peer"
        } else {
            "Forbidden: may specify only one kind of peer"
        };
        reader.invalid(value, message);
        return one(uninterpretable(action));
    }
    for key in ["networks", "domainNames"] {
        if let Some(list) = value.get(key)
            && matches!(list.data, Data::List(_))
            && list.items().is_empty()
        {
            reader.invalid_field(value, key, "Invalid value: 0: must have at least 1 items");
        }
    }
    if let Some(nodes) = reader.field(value, "nodes", label_selector) {
        return one(nodes.map_or_else(|| uninterpretable(action), PeerKind::Nodes));
    }
    if let Some(networks) = reader.field(value, "networks", |reader, list| {
        reader.each(list, |reader, item| {
            let text = reader.string(item)?;
            cidr(reader, item, text).map(AddrSet::cidr)
        })
    }) {
        let set = networks.into_iter().collect::<Option<Vec<AddrSet>>>();
        let set = set.map(|sets| sets.iter().fold(AddrSet::empty(), |sum, set| sum.union(set)));
        return one(set.map_or_else(|| uninterpretable(action), PeerKind::Addresses));
    }
    if let Some(domains) =
        reader.field(value, "domainNames", |reader, list| reader.each(list, domain))
    {
        if action != Action::Accept {
            reader.invalid_field(
                value,
                "domainNames",
                "Forbidden: domainNames may only be used in Accept rules",
            );
            return one(PeerKind::Everyone);
        }
        let kind = |name: Option<DomainPattern>| name.map_or(PeerKind::Nobody, PeerKind::Domain);
        return domains.into_iter().map(|name| Peer { index, span, kind: kind(name) }).collect();
    }
    match pods_or_namespaces(reader, value) {
        Some(Some(term)) => one(PeerKind::Pods(term)),
        _ => one(uninterpretable(action)),
    }
}

fn domain<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<DomainPattern> {
    let text = reader.string(value)?;
    let plain = text.strip_prefix("*.").unwrap_or(text);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    if plain.contains('*') || validate::subdomain(&plain.to_ascii_lowercase()).is_some() {
        reader.invalid(
            value,
            format!("Invalid value: \"{text}\": must be a domain name, `*.` in front allowed"),
        );
        return None;
    }
    Some(DomainPattern::new(text))
}

/// Reports a mapping that has more than one of the fields of which it may have one.
fn at_most_one<'v>(reader: &mut Reader<'v, '_>, value: &'v Value, fields: &[&str]) {
    let n_set = fields.iter().filter(|field| value.get(field).is_some()).count();
    if n_set > 1 {
        let list = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
        reader.invalid(value, format!("Forbidden: may specify only one of {list}"));
    }
}

/// A port name that is there but empty names nothing.
fn port_name<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    key: &'static str,
) -> Option<Option<Vec<PortMatch>>> {
    let name = reader.string_field(value, key)?;
    let errors = reader.n_errors;
    for reason in validate::port_name(name) {
        reader.invalid_field(value, key, format!("Invalid value: \"{name}\": {reason}"));
    }
    if reader.n_errors > errors {
        return Some(None);
    }
    Some(Some(vec![PortMatch::Named { protocol: None, name: name.into() }]))
}

/// One entry of v1alpha2 `protocols`.
fn protocols<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<Vec<PortMatch>> {
    const FIELDS: &[&str] = &["tcp", "udp", "sctp", "destinationNamedPort"];
    reader.known(value, FIELDS);
    at_most_one(reader, value, FIELDS);
    if let Some(named) = port_name(reader, value, "destinationNamedPort") {
        return named;
    }
    let mut found = None;
    for (key, protocol) in
        [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)]
    {
        if let Some(field) = value.get(key) {
            // `tcp: {}` and `tcp:` both mean every port of the protocol.
            found = reader.step(crate::read::Step::Key(key), |reader| {
                reader.known(field, &["destinationPort"]);
                match reader.field(field, "destinationPort", |reader, at| {
                    number_or_range(reader, at, protocol)
                }) {
                    Some(ports) => ports,
                    None => Some(PortSet::protocol(protocol)),
                }
            });
            found.as_ref()?;
        }
    }
    if found.is_none() {
        reader.invalid(
            value,
            "Required value: must specify one of `tcp`, `udp`, `sctp`, `destinationNamedPort`",
        );
    }
    found.map(|ports| vec![PortMatch::Numbers(ports)])
}

fn number_or_range<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    protocol: Protocol,
) -> Option<PortSet> {
    reader.known(value, &["number", "range"]);
    at_most_one(reader, value, &["number", "range"]);
    if let Some(number) = reader.int_field(value, "number") {
        let number = checked_port(reader, value, "number", number)?;
        return Some(PortSet::range(protocol, number, number));
    }
    let range = reader.field(value, "range", |reader, at| port_range(reader, at, protocol));
    if range.is_none() {
        reader.invalid(value, "Required value: must specify one of `number`, `range`");
    }
    range.flatten()
}

fn port_range<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    protocol: Protocol,
) -> Option<PortSet> {
    reader.known(value, &["start", "end", "protocol"]);
    let start = reader.int_field(value, "start").unwrap_or(0);
    let end = reader.int_field(value, "end").unwrap_or(0);
    let start_port = checked_port(reader, value, "start", start)?;
    let end_port = checked_port(reader, value, "end", end)?;
    if end <= start {
        reader.invalid_field(
            value,
            "end",
            format!("Invalid value: {end}: must be greater than `start`"),
        );
        return None;
    }
    Some(PortSet::range(protocol, start_port, end_port))
}

fn checked_port<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    key: &'static str,
    number: i64,
) -> Option<u16> {
    if let Some(reason) = validate::port_number(number) {
        reader.invalid_field(value, key, format!("Invalid value: {number}: {reason}"));
        return None;
    }
    u16::try_from(number).ok()
}

/// One entry of v1alpha1 `ports`.
fn admin_ports<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<Vec<PortMatch>> {
    const FIELDS: &[&str] = &["portNumber", "namedPort", "portRange"];
    reader.known(value, FIELDS);
    at_most_one(reader, value, FIELDS);
    if let Some(named) = port_name(reader, value, "namedPort") {
        return named;
    }
    if let Some(ports) = reader.field(value, "portNumber", |reader, at| {
        reader.known(at, &["protocol", "port"]);
        let number = reader.int_field(at, "port").unwrap_or(0);
        let number = checked_port(reader, at, "port", number)?;
        Some(PortSet::range(admin_protocol(reader, at)?, number, number))
    }) {
        return ports.map(|ports| vec![PortMatch::Numbers(ports)]);
    }
    if let Some(ports) = reader.field(value, "portRange", |reader, at| {
        let protocol = admin_protocol(reader, at)?;
        port_range(reader, at, protocol)
    }) {
        return ports.map(|ports| vec![PortMatch::Numbers(ports)]);
    }
    reader.invalid(
        value,
        "Required value: must specify one of `portNumber`, `namedPort`, `portRange`",
    );
    None
}

/// The `protocol` of a v1alpha1 port.
fn admin_protocol<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<Protocol> {
    match reader.field(value, "protocol", protocol) {
        Some(found) => found,
        //# "If not specified, this field defaults to TCP."
        None => Some(Protocol::Tcp),
    }
}
