//! The limits that bound memory: one finding with its place, and nothing else is lost.

use crate::support::{json, load_text, show};
use expect_test::expect;
use moat_load::limits::{BYTES_PER_VALUE, DOCUMENT_VALUES, MAX_FINDINGS, MAX_PENDING, MIN_VALUES};
use moat_load::{Loaded, excerpt};
use moat_model::{Severity, codes};

const N_BYTES: usize = 5 << 20;

/// Code, place, path and message of the only finding.
fn only(loaded: &Loaded) -> String {
    assert_eq!(loaded.diagnostics.len(), 1, "{}", show_start(loaded));
    let finding = &loaded.diagnostics[0];
    let pos = finding.span.pos;
    format!("{} {}:{} {}: {}", finding.code, pos.line, pos.column, finding.path, finding.message)
}

fn show_start(loaded: &Loaded) -> String {
    show(loaded).chars().take(2000).collect()
}

/// The documents but the bad one, and their numbers.
fn others(loaded: &Loaded) -> String {
    let mut out = String::new();
    for document in &loaded.documents {
        out.push_str(&format!("#{} ", document.index));
        json(&document.value, &mut out);
    }
    out
}

#[test]
fn nesting_bombs_give_one_finding_and_hide_nothing() {
    let bombs = [
        "[".repeat(N_BYTES),
        format!("x: {}", "[".repeat(N_BYTES)),
        format!("{{\"x\":{}", "[".repeat(N_BYTES)),
        format!("x:\n{}", "- ".repeat(N_BYTES / 2)),
        "{a: ".repeat(N_BYTES / 4),
    ];
    let shown: Vec<String> = bombs
        .iter()
        .map(|bomb| {
            let loaded = load_text(&format!("before: 1\n---\n{bomb}\n---\nafter: 1\n"));
            assert_eq!(others(&loaded), "#0 {\"before\": 1}#2 {\"after\": 1}");
            assert!(excerpt(&loaded.sources[0], loaded.diagnostics[0].span.pos).is_some());
            only(&loaded)
        })
        .collect();
    expect![[r#"
        MOAT016 3:129 [0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0] … [0][0][0][0][0][0][0][0][0]: nested deeper than 128 levels
        MOAT016 3:259 x[0]: nested deeper than 128 levels
        MOAT016 3:133 x[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0] … [0][0][0][0][0][0][0][0][0]: nested deeper than 128 levels
        MOAT016 4:255 x[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0] … [0][0][0][0][0][0][0][0][0]: nested deeper than 128 levels
        MOAT016 3:1021 : nested deeper than 128 levels"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn long_names_are_cut_in_findings() {
    let long = "x".repeat(1 << 20);
    for text in [
        format!("{long}: {{\n"),
        format!("{long}: 1\n{long}: 2\n"),
        format!("a: !!int {long}\n"),
        format!("a: !{long}!x 1\n"),
        format!("a: *{long}\n"),
    ] {
        let loaded = load_text(&text);
        let finding = &loaded.diagnostics[0];
        assert!(finding.path.chars().count() <= 80, "{}", finding.path);
        assert!(finding.message.chars().count() <= 200, "{}", finding.message);
    }
}

#[test]
fn dense_text_is_refused_alone() {
    let n_items = usize::try_from(5 * MIN_VALUES).unwrap();
    for dense in [
        format!("{{\"k\": [{}1]}}", "1,".repeat(n_items)),
        format!("{{\"k\": [{}1]}}", "[],".repeat(n_items)),
        format!("k: [{}x]", "x, ".repeat(n_items)),
        format!("k:\n{}", "-\n".repeat(n_items)),
    ] {
        let loaded = load_text(&format!("a: 1\n---\n{dense}\n---\nb: 1\n"));
        // Not shown when it fails: it is millions of values.
        assert!(others(&loaded) == "#0 {\"a\": 1}#2 {\"b\": 1}");
        let shown = only(&loaded);
        let is_right = shown.starts_with("MOAT016 ")
            && shown.contains(" k[")
            && shown.ends_with("more values than one per 4 bytes of text");
        assert!(is_right, "{shown}");
    }
}

#[test]
fn documents_count_too() {
    // Each costs itself, its list and nothing in it.
    let cost = DOCUMENT_VALUES + 1;
    let n_documents = 400_000;
    for document in ["---\n[]\n", "[]\n"] {
        let text = document.repeat(n_documents);
        let n_kept = (MIN_VALUES + text.len() as u64 / BYTES_PER_VALUE) / cost;
        let loaded = load_text(&text);
        assert_eq!(loaded.documents.len() as u64, n_kept, "{document:?}");
        let shown = only(&loaded);
        assert!(shown.starts_with("MOAT016 "), "{shown}");
    }
    // Empty ones take nothing.
    assert!(load_text(&"---\n".repeat(n_documents)).diagnostics.is_empty());
}

#[test]
fn findings_end_with_how_many_there_are() {
    let loaded = load_text(&format!("{}---\na: 1\n", "---\na: {\n".repeat(MAX_FINDINGS + 7)));
    assert_eq!(loaded.documents.len(), 1);
    assert_eq!(loaded.diagnostics.len(), MAX_FINDINGS + 1);
    let last = &loaded.diagnostics[MAX_FINDINGS];
    assert_eq!((last.code, last.severity), (codes::LIMIT, Severity::Error));
    assert_eq!(last.message, "7 more findings in the rest of this source");

    // Warnings stay warnings.
    let keys =
        (0..MAX_FINDINGS + 7).fold(String::new(), |text, n| text + &format!("k{n}: 1\nk{n}: 2\n"));
    let loaded = load_text(&keys);
    assert_eq!(loaded.documents.len(), 1);
    assert_eq!(loaded.diagnostics.len(), MAX_FINDINGS + 1);
    let last = &loaded.diagnostics[MAX_FINDINGS];
    assert_eq!((last.code, last.severity), (codes::LIMIT, Severity::Warning));
    assert_eq!(last.message, "7 more findings in the rest of this source");
}

#[test]
fn brackets_are_read_only_so_far() {
    let n_items = MAX_PENDING as usize + 10;
    let loaded = load_text(&format!("[{}x]\n---\na: 1\n", "long-name, ".repeat(n_items)));
    assert_eq!(others(&loaded), "#1 {\"a\": 1}");
    expect!["MOAT016 1:1 : a list or mapping in brackets that is too large"]
        .assert_eq(&only(&loaded));
    // Not what makes many events, or is one long text.
    for text in
        ["- [a, b]\n".repeat(MAX_PENDING as usize / 2), format!("a: {}", "b:c ".repeat(200_000))]
    {
        assert!(load_text(&text).diagnostics.is_empty());
    }
}
