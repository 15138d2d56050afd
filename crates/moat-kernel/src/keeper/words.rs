//! What someone else changed, in words.

use moat_nft::model::{Chain, Set, Table};
use moat_nft::print;
use std::collections::BTreeSet;

/// More differences than this are counted and not said.
const MOST: usize = 20;

/// How what is there differs from what should be, a line each.
pub(super) fn differences(should: Option<&Table>, is: Option<&Table>) -> Vec<String> {
    let (should, is) = match (should, is) {
        (None, None) => return Vec::new(),
        (Some(should), None) => return vec![format!("table {} is gone", should.name)],
        (None, Some(is)) => return vec![format!("table {} was made", is.name)],
        (Some(should), Some(is)) => (should, is),
    };
    let mut lines = Vec::new();
    let names: BTreeSet<_> = should.chains.keys().chain(is.chains.keys()).collect();
    for name in names {
        match (should.chains.get(name), is.chains.get(name)) {
            (Some(_), None) => lines.push(format!("chain {name} is gone")),
            (None, Some(_)) => lines.push(format!("chain {name} was added")),
            (Some(should), Some(is)) if should != is => lines.push(chain(name, should, is)),
            _ => {}
        }
    }
    let names: BTreeSet<_> = should.sets.keys().chain(is.sets.keys()).collect();
    for name in names {
        match (should.sets.get(name), is.sets.get(name)) {
            (Some(_), None) => lines.push(format!("set {name} is gone")),
            (None, Some(_)) => lines.push(format!("set {name} was added")),
            (Some(should), Some(is)) if should != is => lines.push(set(name, should, is)),
            _ => {}
        }
    }
    let n_more = lines.len().saturating_sub(MOST);
    if n_more > 0 {
        lines.truncate(MOST);
        lines.push(format!("and {n_more} more"));
    }
    lines
}

fn chain(name: &str, should: &Chain, is: &Chain) -> String {
    if should.base != is.base {
        return format!("chain {name} is of another hook, priority, policy or form");
    }
    let n_gone = should.rules.iter().filter(|rule| !is.rules.contains(rule)).count();
    let n_added = is.rules.iter().filter(|rule| !should.rules.contains(rule)).count();
    match (n_gone, n_added, is.rules.is_empty()) {
        (_, _, true) => {
            format!("chain {name} was emptied of {}", count(should.rules.len(), "rule"))
        }
        (0, 0, _) => format!("chain {name} has its rules in another order, or some twice"),
        (0, n, _) => format!("chain {name} has {} added", count(n, "rule")),
        (n, 0, _) => format!("chain {name} lacks {}", count(n, "rule")),
        (n, more, _) => format!("chain {name} lacks {} and has {more} added", count(n, "rule")),
    }
}

fn set(name: &str, should: &Set, is: &Set) -> String {
    if should.shape() != is.shape() {
        return format!("set {name} is of another form");
    }
    let lacks = |one: &Set, other: &Set| {
        let own = one.elements.iter().filter(|(key, to)| other.elements.get(*key) != Some(*to));
        let (mut n, mut first) = (0, None);
        for (key, _) in own {
            n += 1;
            first = first.or_else(|| Some(print::element(key)));
        }
        let such = first.map_or_else(String::new, |first| format!(" ({first})"));
        (n, format!("{}{such}", count(n, "element")))
    };
    match (lacks(should, is), lacks(is, should)) {
        ((_, gone), (0, _)) => format!("set {name} lacks {gone}"),
        ((0, _), (_, added)) => format!("set {name} has {added} added"),
        ((_, gone), (_, added)) => format!("set {name} lacks {gone} and has {added} added"),
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
