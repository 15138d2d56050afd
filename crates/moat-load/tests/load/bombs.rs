//! Hostile input ends in one finding, quickly, on a small stack and in bounded memory.

use crate::support::{load_text, show};
use moat_load::limits::MAX_DEPTH;
use moat_model::codes;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Loads, within a generous time, and gives the only finding's code and message.
fn only_finding(text: &str) -> (moat_model::Code, String) {
    let start = Instant::now();
    let loaded = load_text(text);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(
        loaded.diagnostics.len(),
        1,
        "{}",
        show(&loaded).chars().take(2000).collect::<String>()
    );
    assert!(loaded.documents.is_empty());
    (loaded.diagnostics[0].code, loaded.diagnostics[0].message.clone())
}

#[test]
fn billion_laughs() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for n in 1..20 {
        let _ = writeln!(text, "a{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 9].join(", "));
    }
    assert_eq!(
        only_finding(&text),
        (codes::LIMIT, "aliases make more than 1000000 values in one document".to_owned())
    );
}

#[test]
fn merged_laughs() {
    let mut text = "a0: &a0 {x0: 1, y0: 1}\n".to_owned();
    for n in 1..40 {
        let _ =
            writeln!(text, "a{n}: &a{n} {{x{n}: {{<<: *a{}}}, y{n}: {{<<: *a{}}}}}", n - 1, n - 1);
    }
    assert_eq!(only_finding(&text).0, codes::LIMIT);
}

#[test]
fn long_texts_count() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
    assert_eq!(only_finding(&text).0, codes::LIMIT);
}

#[test]
fn aliases_may_not_nest_too_deep() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for n in 1..200 {
        let _ = writeln!(text, "a{n}: &a{n} [*a{}]", n - 1);
    }
    assert_eq!(only_finding(&text), (codes::LIMIT, "nested deeper than 128 levels".to_owned()));
}

#[test]
fn many_small_bombs_are_no_better_than_one() {
    let list = vec!["x"; 500].join(", ");
    let bomb = format!("---\na: &a [{list}]\nb: [{}]\n", vec!["*a"; 1900].join(", "));
    let loaded = load_text(&bomb.repeat(20));
    assert_eq!(loaded.documents.len(), 4);
    assert_eq!(loaded.diagnostics.len(), 16);
    assert_eq!(
        loaded.diagnostics[0].message,
        "aliases make too many values in everything loaded together"
    );
}

#[test]
fn the_depth_limit_is_exact() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a: ", "}"), ("- ", "")] {
        let inner = if close.is_empty() { "x" } else { "1" };
        let text = |depth: usize| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(show(&load_text(&text(MAX_DEPTH))).lines().count(), 1, "{open}");
        assert!(load_text(&text(MAX_DEPTH)).diagnostics.is_empty(), "{open}");
        assert_eq!(
            only_finding(&text(MAX_DEPTH + 1)),
            (codes::LIMIT, "nested deeper than 128 levels".to_owned()),
            "{open}"
        );
    }
}

#[test]
fn a_hundred_thousand_levels() {
    for open in ["[", "{\"a\":", "{a: ", "- ", "? ", "a: [", "[{a: "] {
        let (code, message) = only_finding(&open.repeat(100_000));
        assert!(code == codes::LIMIT || code == codes::SYNTAX, "{open}: {message}");
    }
    // Indented mappings grow with the square of the depth.
    let text = (0..3000).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n");
    assert_eq!(only_finding(&text).0, codes::LIMIT);
}

#[test]
fn fifty_megabytes_of_brackets() {
    assert_eq!(only_finding(&"[".repeat(50 << 20)).0, codes::LIMIT);
    assert_eq!(only_finding(&format!("a: {}", "[".repeat(50 << 20))).0, codes::LIMIT);
    assert_eq!(only_finding(&"- ".repeat(25 << 20)).0, codes::LIMIT);
}

/// Two sizes, so that work that grows with the square of the size is seen.
#[test]
fn long_lines_take_linear_time() {
    type Make = fn(usize) -> String;
    let makers: [(&str, Make); 12] = [
        ("json array", |n| format!("[{}1]", "1,".repeat(n))),
        ("flow list", |n| format!("a: [{}x]", "x, ".repeat(n))),
        ("flow pairs", |n| {
            format!(
                "a: {{{}z: 1}}",
                (0..n).fold(String::new(), |text, n| text + &format!("k{n}: 1, "))
            )
        }),
        ("quoted", |n| format!("a: \"{}\"", "x ".repeat(n))),
        ("plain", |n| format!("a: {}", "x ".repeat(n))),
        ("plain lines", |n| format!("a: x\n{}", "  x\n".repeat(n))),
        ("block", |n| format!("a: |\n{}", "  x\n".repeat(n))),
        ("comments", |n| "# x\n".repeat(n)),
        ("blank lines", |n| format!("a:\n{}", " \n".repeat(n))),
        ("keys", |n| (0..n).fold(String::new(), |text, n| text + &format!("k{n}: 1\n"))),
        ("one key", |n| "k: 1\n".repeat(n)),
        ("bare keys", |n| "k:".repeat(n)),
    ];
    for (name, make) in makers {
        // The best of three, since other tests run at the same time.
        let time = |n: usize| {
            let text = make(n);
            let once = || {
                let start = Instant::now();
                drop(load_text(&text));
                start.elapsed().max(Duration::from_millis(4))
            };
            once().min(once()).min(once())
        };
        let (small, large) = (time(20_000), time(160_000));
        println!("{name}: {small:?}, {large:?}");
        assert!(large < small * 8 * 4, "{name}: {small:?}, {large:?}");
    }
}
