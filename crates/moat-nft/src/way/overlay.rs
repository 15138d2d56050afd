//! A small map that is asked before a dispatch map, in place of a copy of it in which little is different.

use super::Fresh;
use crate::model::{Element, Name, Rule, Set, Statement, Value, Verdict};
use moat_sets::Cidr;
use std::collections::BTreeMap;

/// A map that is asked before another.
pub(super) struct Overlay {
    /// The one that is asked after it.
    pub(super) over: Name,
    pub(super) name: Name,
    pub(super) set: Set,
}

impl Overlay {
    pub(super) fn new(
        over: &Name,
        map: &Set,
        elements: BTreeMap<Element, Option<Verdict>>,
        names: &mut Fresh<'_>,
    ) -> Self {
        let mut set = Set::new(map.shape());
        set.size = u32::try_from(elements.len()).ok();
        set.elements = elements;
        Self { over: over.clone(), name: names.like(over), set }
    }
}

/// Rules that ask each map's overlay before it.
pub(super) fn asked_first(rules: &[Rule], overlays: &[Overlay]) -> Vec<Rule> {
    let mut result = Vec::with_capacity(rules.len() + overlays.len());
    for rule in rules {
        for overlay in overlays.iter().filter(|overlay| asks(rule, &overlay.over)) {
            result.push(instead(rule, &overlay.over, &overlay.name));
        }
        result.push(rule.clone());
    }
    result
}

/// Whether a rule that asks a map does so for an address: what it compares before may be a prefix.
pub(super) fn admits(rule: &Rule, address: &Element) -> bool {
    rule.statements.iter().all(|own| match (own, address) {
        (Statement::Match { negate: false, value, .. }, Element::V4(address)) => match *value {
            Value::V4(own) => own == *address,
            Value::PrefixV4(own, length) => {
                Cidr::new(own.into(), length).contains((*address).into())
            }
            _ => true,
        },
        (Statement::Match { negate: false, value, .. }, Element::V6(address)) => match *value {
            Value::V6(own) => own == *address,
            Value::PrefixV6(own, length) => {
                Cidr::new(own.into(), length).contains((*address).into())
            }
            _ => true,
        },
        _ => true,
    })
}

pub(super) fn asks(rule: &Rule, name: &Name) -> bool {
    rule.statements.iter().any(|own| matches!(own, Statement::Vmap { map, .. } if map == name))
}

fn instead(rule: &Rule, old: &Name, new: &Name) -> Rule {
    let mut rule = rule.clone();
    for statement in &mut rule.statements {
        if let Statement::Vmap { map, .. } = statement
            && map == old
        {
            *map = new.clone();
        }
    }
    rule
}
