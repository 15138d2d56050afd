//! A small map that is asked before a dispatch map, in place of a copy of it in which little is different.

use super::Fresh;
use crate::model::{Element, Name, Rule, Set, Statement, Verdict};
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

fn asks(rule: &Rule, name: &Name) -> bool {
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
