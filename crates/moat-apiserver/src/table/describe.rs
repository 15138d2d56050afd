//! What columns mean, in upstream's words: kubectl prints none of them, programs that show tables do.

use crate::kinds::Kind;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Lines of a kind, a column and a sentence, between tabs; `*` is every kind, `\n` a line that ends.
const TEXT: &str = include_str!("../../data/columns.txt");

/// Sentences by kind and column, as lines have them.
static KNOWN: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (place, sentence) = line.rsplit_once('\t')?;
        Some((place, sentence.replace("\\n", "\n")))
    };
    TEXT.lines().filter_map(line).collect()
});

/// What a column of a kind means; nothing where nobody says.
pub(super) fn description(kind: &Kind, column: &str) -> &'static str {
    let of = |kind: &str| KNOWN.get(&*format!("{kind}\t{column}"));
    of(&kind.kind).or_else(|| of("*")).map_or("", String::as_str)
}

/// What the name of an object of any kind is.
pub(super) fn name() -> &'static str {
    KNOWN.get("*\tName").map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::built_in;

    #[test]
    fn every_sentence_is_about_a_column_that_there_is() {
        assert_eq!(KNOWN.len(), TEXT.lines().count());
        let kinds = built_in();
        let places = KNOWN.keys().filter_map(|place| place.split_once('\t'));
        for (kind, column) in places.filter(|(kind, _)| *kind != "*") {
            let known = kinds.iter().find(|one| one.kind == kind);
            let known = known.unwrap_or_else(|| panic!("no kind {kind}"));
            let columns = super::super::columns_of(known).columns;
            assert!(columns.iter().any(|one| one.0 == column), "{kind} has no column {column}");
        }
    }
}
