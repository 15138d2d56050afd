//! Explanations, as text and as data.

mod dto;
mod text;

pub use dto::{explanation, flow_line};
pub(crate) use dto::{half_value, policy_value};
pub use text::render;
pub(crate) use text::{half_text, line, names};

use moat_ir::{ClauseIdx, RuleIdx, SymbolicIr};

/// `from[0]` or `to[2]`: which peer of the rule; empty when the rule names none.
fn peer_text(symbolic: &SymbolicIr, clause: ClauseIdx) -> String {
    let sym = symbolic.clause(clause);
    let rule = symbolic.rule(sym.rule);
    let key = if rule.direction == moat_ir::Direction::Ingress { "from" } else { "to" };
    sym.peer_index.map(|idx| format!("{key}[{idx}]")).unwrap_or_default()
}

/// `netpol b/db ingress[0] from[1]`.
fn rule_text(symbolic: &SymbolicIr, clause: ClauseIdx) -> String {
    let rule = rule_name(symbolic, symbolic.clause(clause).rule);
    let peer = peer_text(symbolic, clause);
    if peer.is_empty() { rule } else { format!("{rule} {peer}") }
}

/// `netpol b/db ingress[0]`.
pub(crate) fn rule_name(symbolic: &SymbolicIr, rule: RuleIdx) -> String {
    let rule = symbolic.rule(rule);
    let name = rule.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    format!("{} {}[{}]{name}", symbolic.policy(rule.policy), rule.direction, rule.index)
}

/// What a clause means, in words: peers and ports.
fn clause_text(symbolic: &SymbolicIr, clause: ClauseIdx) -> String {
    use moat_ir::SymPeer;
    let clause = symbolic.clause(clause);
    let peer = match &clause.peer {
        SymPeer::Everyone => "anyone".to_owned(),
        SymPeer::Nobody => "no one".to_owned(),
        SymPeer::Pods(term) => term.to_string(),
        SymPeer::Block(set) | SymPeer::Networks(set) => {
            let cidrs = set.cidrs();
            let shown: Vec<String> = cidrs.iter().take(3).map(ToString::to_string).collect();
            let more = if cidrs.len() > shown.len() {
                format!(" … {} more", cidrs.len() - shown.len())
            } else {
                String::new()
            };
            format!("addresses {}{more}", shown.join(" "))
        }
        SymPeer::Nodes(selector) => format!("nodes {selector}"),
        SymPeer::Domain(domain) => format!("domain {domain}"),
    };
    format!("{peer}, {}", clause.ports)
}
