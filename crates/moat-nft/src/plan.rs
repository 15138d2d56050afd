//! One transaction from one table to another.

use crate::edit::Edit;
use crate::model::{Chain, Name, Op, Table};

/// The steps that make `wanted` of what is installed; none if it is that already.
///
/// Only chains, sets and elements that differ are touched. A base chain is kept in place, because to make it anew lets packets through
/// that it would have dropped, even inside one transaction; the exceptions are in [`recreates`]. A table of another name counts as
/// nothing installed.
#[must_use]
pub fn plan(installed: Option<&Table>, wanted: &Table) -> Vec<Op> {
    let installed = installed.filter(|table| table.name == wanted.name);
    let none = Table::new(&wanted.name);
    let mut ops = Vec::new();
    if installed.is_none() {
        ops.push(Op::AddTable);
    }
    ops.extend(Edit::remaking(installed.unwrap_or(&none), wanted).ops());
    ops
}

/// The chains of both tables that a transaction between them has to delete and make anew, because what packets enter them differs and no
/// step changes that in place. While a base chain is made anew, packets may pass that both tables would drop.
#[must_use]
pub fn recreates(installed: &Table, wanted: &Table) -> Vec<Name> {
    let again = |(name, chain): (&Name, &Chain)| {
        wanted.chains.get(name).is_some_and(|new| new.base != chain.base).then(|| name.clone())
    };
    installed.chains.iter().filter_map(again).collect()
}
