//! The walk over all jumps at the end of a transaction: no loops, no deep nesting, nothing at a hook where it cannot be.

use super::{Errno, Refusal, State, target};
use crate::model::{Base, BaseKind, Hook, Name, Rule, Statement, Verdict};
use std::collections::BTreeMap;

/// How many chains deep a packet can be: the base chain counts, and a `goto` counts like a `jump`. Measured with Linux 6.18 (15 jumps
/// below a base chain are taken, 16 are not); `NFT_JUMP_STACK_SIZE` and `nft_chain_validate` say the same.
const DEPTH: usize = 16;

/// Whether a rule makes the walk necessary: it goes somewhere, or is possible only at some hooks.
pub(super) fn matters(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| match statement {
        Statement::Verdict(verdict) => target(verdict).is_some(),
        Statement::Vmap { .. }
        | Statement::Dnat { .. }
        | Statement::Masquerade
        | Statement::Reject => true,
        _ => false,
    })
}

/// What is known of a chain.
#[derive(Default)]
struct Node<'a> {
    /// The chains it goes to.
    next: Vec<usize>,
    /// How many come to it that have not been walked yet.
    waiting: usize,
    /// How deep below a base chain it is at most, counting from 1; 0 if no packet comes by.
    depth: usize,
    /// The base chains from which packets come by.
    bases: Vec<&'a Base>,
    /// Its statements that are possible only at some hooks.
    choosy: Vec<&'a Statement>,
}

/// Checks the jumps of a table.
pub(super) fn jumps(state: &State) -> Result<(), Refusal> {
    let mut nodes = graph(state);
    let names: Vec<&Name> = state.table.chains.keys().collect();
    let mut ready: Vec<usize> = Vec::new();
    ready.extend(nodes.iter().enumerate().filter(|(_, node)| node.waiting == 0).map(|(at, _)| at));
    let mut walked = 0_usize;
    while let Some(at) = ready.pop() {
        walked += 1;
        let Some(node) = nodes.get_mut(at) else { continue };
        let name = names.get(at).map_or("", |name| &***name);
        if node.depth > DEPTH {
            let message = format!("jumps are nested more than {DEPTH} chains deep at {name}");
            return Err((Errno::TooDeep, message));
        }
        for statement in &node.choosy {
            if let Some(base) = node.bases.iter().find(|base| !possible(statement, base)) {
                let hook = base.hook;
                let message = format!("{statement:?} in {name} is not possible at {hook:?}");
                return Err((Errno::Unsupported, message));
            }
        }
        let (depth, bases, next) =
            (node.depth, core::mem::take(&mut node.bases), core::mem::take(&mut node.next));
        for to in next {
            let Some(node) = nodes.get_mut(to) else { continue };
            if depth > 0 {
                node.depth = node.depth.max(depth + 1);
            }
            for base in &bases {
                if !node.bases.contains(base) {
                    node.bases.push(base);
                }
            }
            node.waiting -= 1;
            if node.waiting == 0 {
                ready.push(to);
            }
        }
    }
    match nodes.iter().position(|node| node.waiting > 0) {
        Some(at) if walked < nodes.len() => {
            let name = names.get(at).map_or("", |name| &***name);
            Err((Errno::Loop, format!("jumps form a loop that the chain {name} is in or after")))
        }
        _ => Ok(()),
    }
}

fn graph(state: &State) -> Vec<Node<'_>> {
    let chains = &state.table.chains;
    let number: BTreeMap<&Name, usize> =
        chains.keys().enumerate().map(|(at, name)| (name, at)).collect();
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for chain in chains.values() {
        let mut node = Node::default();
        if let Some(base) = &chain.base {
            node.depth = 1;
            node.bases.push(base);
        }
        for statement in chain.rules.iter().flat_map(|rule| &rule.statements) {
            let mut go = |name: &Name| node.next.extend(number.get(name));
            match statement {
                Statement::Verdict(Verdict::Jump(name) | Verdict::Goto(name)) => go(name),
                Statement::Vmap { map, .. } => {
                    state.targets.get(map).into_iter().flat_map(BTreeMap::keys).for_each(go);
                }
                Statement::Dnat { .. } | Statement::Masquerade | Statement::Reject => {
                    node.choosy.push(statement);
                }
                _ => {}
            }
        }
        node.next.sort_unstable();
        node.next.dedup();
        nodes.push(node);
    }
    let arrivals: Vec<usize> = nodes.iter().flat_map(|node| node.next.iter().copied()).collect();
    for to in arrivals {
        if let Some(node) = nodes.get_mut(to) {
            node.waiting += 1;
        }
    }
    nodes
}

/// Where translation and rejection work: `nft_nat_validate`, `nft_masq_validate`, `nft_reject_inet_validate`.
fn possible(statement: &Statement, base: &Base) -> bool {
    match statement {
        Statement::Dnat { .. } => {
            base.kind == BaseKind::Nat && matches!(base.hook, Hook::Prerouting | Hook::Output)
        }
        Statement::Masquerade => base.kind == BaseKind::Nat && base.hook == Hook::Postrouting,
        Statement::Reject => base.hook != Hook::Postrouting,
        _ => true,
    }
}
