//! `networking.k8s.io/v1` NetworkPolicy: decoding, defaulting and validation.
//!
//! Sources: `k8s.io/api/networking/v1` types.go for meaning, `pkg/apis/networking/v1/defaults.go` for defaults,
//! `pkg/apis/networking/validation/validation.go` for refusals and their words.

use super::NULL;
use super::selector::{label_selector, pod_term};
use crate::diagnostic::{Diagnostic, codes};
use crate::policy::{
    Action, Direction, Peer, PeerKind, Peers, Policy, PolicyId, PortMatch, Ports, Rule, Tier,
};
use crate::read::Reader;
use crate::validate;
use crate::value::{Data, Value};
use moat_sets::{AddrSet, Cidr, NamespaceTerm, PodTerm, PortSet, Protocol, Selector};

/// Reads a NetworkPolicy. `None` when its subject cannot be read: the policy then takes no part, and the caller taints its namespace.
pub(super) fn network_policy<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    id: PolicyId,
) -> Option<Policy> {
    let spec = value.get("spec").unwrap_or(&NULL);
    let span = reader.span(value);
    reader.known(value, &["apiVersion", "kind", "metadata", "spec", "status"]);
    reader.step(crate::read::Step::Key("spec"), |reader| {
        reader.known(spec, &["podSelector", "ingress", "egress", "policyTypes"]);
        //# podSelector: "This field is optional. If it is not specified, it defaults to an empty selector."
        let pods = match reader.field(spec, "podSelector", label_selector) {
            Some(selector) => selector?,
            None => Selector::everything(),
        };
        let mut rules = reader
            .field(spec, "ingress", |reader, list| {
                let mut index = 0;
                reader.each(list, |reader, item| {
                    rule(reader, item, Direction::Ingress, &mut index, &id)
                })
            })
            .unwrap_or_default();
        let n_ingress = rules.len();
        rules.extend(
            reader
                .field(spec, "egress", |reader, list| {
                    let mut index = 0;
                    reader.each(list, |reader, item| {
                        rule(reader, item, Direction::Egress, &mut index, &id)
                    })
                })
                .unwrap_or_default(),
        );
        // Rules that cannot be read are rules nonetheless.
        let has_egress = rules.len() > n_ingress
            || spec.get("egress").is_some_and(|egress| !egress.is_list_or_null());
        let (isolates_ingress, isolates_egress) = policy_types(reader, spec, has_egress);
        //# "If policyTypes does not include a direction, rules of that direction are ignored."
        rules.retain(|rule| match rule.direction {
            Direction::Ingress => isolates_ingress,
            Direction::Egress => isolates_egress,
        });
        let subject = PodTerm { namespaces: NamespaceTerm::Named(id.namespace.clone()), pods };
        Some(Policy {
            id,
            span,
            tier: Tier::Namespace,
            subject,
            isolates_ingress,
            isolates_egress,
            rules,
        })
    })
}

/// `policyTypes`, or what the API server fills in.
fn policy_types<'v>(
    reader: &mut Reader<'v, '_>,
    spec: &'v Value,
    has_egress: bool,
) -> (bool, bool) {
    let (mut ingress, mut egress) = (false, false);
    let mut n_types = 0;
    let errors = reader.n_errors;
    reader.field(spec, "policyTypes", |reader, list| {
        reader.each(list, |reader, item| {
            n_types += 1;
            match reader.string(item) {
                Some("Ingress") => ingress = true,
                Some("Egress") => egress = true,
                Some(other) => {
                    reader.invalid(item, format!("Unsupported value: \"{other}\": supported values: \"Ingress\", \"Egress\""));
                }
                None => {}
            }
        });
        if n_types > 2 {
            reader.invalid(list, format!("Invalid value: may not specify more than two policyTypes, found {n_types}"));
        }
    });
    if reader.n_errors > errors {
        // What the server would refuse leaves the policy isolating what it may have meant: fail closed.
        return (true, true);
    }
    if n_types == 0 {
        //# "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
        //# contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress
        //# section) are assumed to affect ingress." The server's test is `len(egress) != 0`: an empty list infers nothing.
        return (true, has_egress);
    }
    (ingress, egress)
}

fn rule<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    direction: Direction,
    index: &mut u32,
    id: &PolicyId,
) -> Rule {
    let peers_key = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    reader.known(value, &[peers_key, "ports"]);
    //# "If this field is empty or missing, this rule matches all sources (traffic not restricted by source)."
    let peers = match reader.field(value, peers_key, |reader, list| {
        let mut n_peers = 0;
        reader.each(list, |reader, item| peer(reader, item, &mut n_peers, id))
    }) {
        Some(peers) if !peers.is_empty() => Peers::List(peers),
        _ if is_unreadable(value, peers_key) => {
            Peers::List(vec![Peer { index: 0, span: reader.span(value), kind: PeerKind::Nobody }])
        }
        _ => Peers::Any,
    };
    //# "If this field is empty or missing, this rule matches all ports (traffic not restricted by port)."
    let ports = match reader.field(value, "ports", |reader, list| reader.each(list, port)) {
        Some(ports) if !ports.is_empty() => Ports::List(ports.into_iter().flatten().collect()),
        _ if is_unreadable(value, "ports") => Ports::List(Vec::new()),
        _ => Ports::Any,
    };
    let rule = Rule {
        direction,
        index: *index,
        name: None,
        span: reader.span(value),
        action: Action::Accept,
        peers,
        ports,
    };
    *index += 1;
    rule
}

/// Whether a list of a rule, or the rule itself, is something else: it then matches nothing rather than everything.
fn is_unreadable(rule: &Value, key: &str) -> bool {
    !rule.is_map_or_null() || rule.get(key).is_some_and(|list| !list.is_list_or_null())
}

fn peer<'v>(reader: &mut Reader<'v, '_>, value: &'v Value, index: &mut u32, id: &PolicyId) -> Peer {
    let mut peer = Peer { index: *index, span: reader.span(value), kind: PeerKind::Nobody };
    *index += 1;
    reader.known(value, &["podSelector", "namespaceSelector", "ipBlock"]);
    let has = |key: &str| value.get(key).is_some_and(|field| !field.is_null());
    let selects = has("podSelector") || has("namespaceSelector");
    if !selects && !has("ipBlock") {
        reader.invalid(value, "Required value: must specify a peer");
        return peer;
    }
    if has("ipBlock") {
        let block = reader.field(value, "ipBlock", ip_block).flatten();
        if selects {
            reader.invalid(value, "Forbidden: may not specify both ipBlock and another peer");
        } else if let Some(block) = block {
            peer.kind = PeerKind::Addresses(block);
        }
        return peer;
    }
    //# "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching podSelector in the
    //# namespaces selected by namespaceSelector. Otherwise it selects all pods in the namespaces selected by namespaceSelector."
    let own = NamespaceTerm::Named(id.namespace.clone());
    if let Some(term) = pod_term(reader, value, own) {
        peer.kind = PeerKind::Pods(term);
    }
    peer
}

fn ip_block<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<AddrSet> {
    reader.known(value, &["cidr", "except"]);
    let Some(text) = reader.string_field(value, "cidr").filter(|text| !text.is_empty()) else {
        reader.invalid_field(value, "cidr", "Required value");
        return None;
    };
    let cidr = reader.field(value, "cidr", |reader, at| cidr(reader, at, text)).flatten()?;
    let excepts = reader
        .field(value, "except", |reader, list| {
            reader.each(list, |reader, item| {
                let text = reader.string(item)?;
                let hole = self::cidr(reader, item, text)?;
                //# "Except values will be rejected if they are outside the cidr range"
                if !cidr.covers(hole) || cidr == hole {
                    reader.invalid(
                        item,
                        format!("Invalid value: \"{text}\": must be a strict subset of `cidr`"),
                    );
                }
                Some(hole)
            })
        })
        .unwrap_or_default();
    // A hole that cannot be read might be anywhere in the block: match nothing rather than too much.
    let holes = excepts.into_iter().collect::<Option<Vec<Cidr>>>()?;
    Some(AddrSet::block(cidr, &holes))
}

/// A prefix, or the API server's refusal.
pub(super) fn cidr<'v>(reader: &mut Reader<'v, '_>, value: &'v Value, text: &str) -> Option<Cidr> {
    match Cidr::parse(text) {
        Ok(cidr) => {
            let address = text.split_once('/').and_then(|(address, _)| address.parse().ok());
            if let Some(address) = address.filter(|address| *address != cidr.network()) {
                // The API server accepts such values and warns, in these words.
                let message = format!(
                    "CIDR value \"{text}\" is ambiguous in this context (should be \"{cidr}\" or \"{}\"?)",
                    Cidr::host(address)
                );
                let span = reader.span(value);
                let finding = Diagnostic::warning(codes::INVALID, span, message)
                    .help(format!("write `{cidr}` if the whole prefix is meant"))
                    .effect(format!("read as `{cidr}`"));
                reader.push(finding);
            }
            Some(cidr)
        }
        Err(reason) => {
            reader.invalid(
                value,
                format!("Invalid value: \"{text}\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64): {reason}"),
            );
            None
        }
    }
}

fn port<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<PortMatch> {
    reader.known(value, &["protocol", "port", "endPort"]);
    if !value.is_map_or_null() {
        return None;
    }
    let protocol = match reader.field(value, "protocol", |reader, at| protocol(reader, at)) {
        Some(protocol) => protocol?,
        //# "The protocol (TCP, UDP, or SCTP) which traffic must match. If not specified, this field defaults to TCP."
        None => Protocol::Tcp,
    };
    let errors = reader.n_errors;
    let end = reader.int_field(value, "endPort");
    if reader.n_errors > errors {
        return None;
    }
    let Some(number) = value.get("port").filter(|port| !port.is_null()) else {
        if let Some(end) = end {
            let why = "may not be specified when `port` is not specified";
            reader.invalid_field(value, "endPort", format!("Invalid value: {end}: {why}"));
            return None;
        }
        //# "If this field is not provided, this matches all port names and numbers."
        return Some(PortMatch::Numbers(PortSet::protocol(protocol)));
    };
    match &number.data {
        Data::Int(low) => {
            let low_u16 = u16::try_from(*low).ok().filter(|&low| low > 0);
            if low_u16.is_none() {
                reader.invalid_field(
                    value,
                    "port",
                    format!("Invalid value: {low}: must be between 1 and 65535, inclusive"),
                );
            }
            let low_u16 = low_u16?;
            let Some(high) = end else {
                return Some(PortMatch::Numbers(PortSet::range(protocol, low_u16, low_u16)));
            };
            if let Some(reason) = validate::port_number(high) {
                reader.invalid_field(value, "endPort", format!("Invalid value: {high}: {reason}"));
                return None;
            }
            if high < *low {
                //# "This field ... must be equal or greater than port"
                reader.invalid_field(
                    value,
                    "endPort",
                    // Upstream names the value of `port` here.
                    format!("Invalid value: {low}: must be greater than or equal to `port`"),
                );
                return None;
            }
            Some(PortMatch::Numbers(PortSet::range(protocol, low_u16, u16::try_from(high).ok()?)))
        }
        Data::String(name) => {
            let errors = reader.n_errors;
            if let Some(end) = end {
                let why = "may not be specified when `port` is non-numeric";
                reader.invalid_field(value, "endPort", format!("Invalid value: {end}: {why}"));
            }
            for reason in validate::port_name(name) {
                reader.invalid_field(value, "port", format!("Invalid value: \"{name}\": {reason}"));
            }
            if reader.n_errors > errors {
                return None;
            }
            Some(PortMatch::Named { protocol: Some(protocol), name: name.as_ref().into() })
        }
        _ => {
            reader.field(value, "port", |reader, at| {
                reader.wrong_type(at, "a port number or a port name");
            });
            None
        }
    }
}

/// `TCP`, `UDP` or `SCTP`, or the API server's refusal.
pub(super) fn protocol<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<Protocol> {
    let text = value.as_str();
    if text.is_none() {
        reader.wrong_type(value, "a string");
    }
    let text = text?;
    // The API compares case-sensitively: `tcp` is refused.
    let protocol = Protocol::WITH_PORTS.into_iter().find(|protocol| protocol.name() == text);
    if protocol.is_none() {
        reader.invalid(
            value,
            format!("Unsupported value: \"{text}\": supported values: \"TCP\", \"UDP\", \"SCTP\""),
        );
    }
    protocol
}
