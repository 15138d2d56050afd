//! What the compiler does not see: who may depend on whom, orphan files, module documents, file lengths, silent tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use expect_test::expect_file;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a source file, tests in the same file not counted.
const LINES_MAX: usize = 500;
/// Lines of a file of tests only: snapshots make them long.
const TEST_LINES_MAX: usize = 2_000;

/// Files that are longer for a reason.
const LONG: &[(&str, &str)] = &[
    ("crates/moat-testkit/src/bugs.rs", "one list of planted bugs"),
    ("crates/moat-testkit/src/generate.rs", "one generator"),
    ("crates/moat/src/args.rs", "every flag in one place, so that help and manual are one text"),
    ("crates/moat-model/src/lower/cluster_policy.rs", "two versions of one API side by side"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// Every Rust file of the workspace: path from the root, text.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    for dir in ["crates", "xtask"] {
        files(&root.join(dir), &mut found);
    }
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// Tests at the bottom of a file do not count.
fn code(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..at])
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs") || name.contains("/benches/")
}

#[test]
fn dependencies_between_crates_are_the_ones_written_down() {
    let mut text = String::from(
        "# Who may use whom; tests/tidy.rs compares. A new line here is a decision: see ARCHITECTURE.md.\n",
    );
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    dirs.sort();
    for dir in dirs {
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        let mut section = "";
        let mut uses = BTreeSet::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            } else if section == "[dependencies]" && line.starts_with("moat-") {
                uses.insert(line.split(['.', ' ', '=']).next().unwrap());
            }
        }
        let uses: Vec<&str> = uses.into_iter().collect();
        let name = dir.file_name().unwrap().to_str().unwrap();
        text.push_str(format!("{name}: {}", uses.join(" ")).trim_end());
        text.push('\n');
    }
    expect_file!["../deps.expect"].assert_eq(&text);
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let sources = sources();
    let silent: Vec<&str> = sources
        .iter()
        .filter(|(name, text)| {
            // Tests of a module are about the module.
            let of_module = name.ends_with("/tests.rs") || name.contains("/tests/");
            !of_module && !text.starts_with("//!")
        })
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:#?}");
}

#[test]
fn every_file_is_part_of_its_crate() {
    let sources = sources();
    let mut orphans = Vec::new();
    for (name, _) in &sources {
        let path = Path::new(name);
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let dir = path.parent().unwrap();
        let own_target =
            ["src", "tests", "benches", "examples"].iter().any(|target| dir.ends_with(target))
                && (matches!(stem, "lib" | "main") || !dir.ends_with("src"));
        if own_target || is_test(name) && stem == "main" {
            continue;
        }
        // `a/b.rs` and `a/b/mod.rs` are declared in `a/mod.rs`, `a.rs`, `a/lib.rs` or `a/main.rs`; what tests share, in
        // each test that uses it.
        let (module, parent) = if stem == "mod" {
            (dir.file_name().unwrap().to_str().unwrap(), dir.parent().unwrap())
        } else {
            (stem, dir)
        };
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|file| parent.join(file));
        let declared = sources
            .iter()
            .filter(|(other, _)| {
                parents.iter().any(|path| path == Path::new(other))
                    || Path::new(other) == parent.with_extension("rs")
                    || parent.ends_with("tests") && Path::new(other).parent() == Some(parent)
            })
            .any(|(_, text)| {
                text.lines().any(|line| line.trim_start().ends_with(&format!("mod {module};")))
            });
        if !declared {
            orphans.push(name);
        }
    }
    assert!(orphans.is_empty(), "never compiled: {orphans:#?}");
}

#[test]
fn files_stay_small() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        let most = if is_test(&name) { TEST_LINES_MAX } else { LINES_MAX };
        let n_lines = code(&text).lines().count();
        if n_lines > most && !LONG.iter().any(|(own, _)| *own == name) {
            long.push(format!("{name}: {n_lines} lines of at most {most}"));
        }
    }
    assert!(long.is_empty(), "split these, or say in LONG why not: {long:#?}");
}

#[test]
fn no_test_is_silent() {
    let ignored: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| {
            !name.ends_with("tidy.rs")
                && text.lines().any(|line| {
                    matches!(line.trim(), "#[ignore]" | "#[should_panic]")
                        || line.trim().starts_with("#[ignore =")
                })
        })
        .map(|(name, _)| name)
        .collect();
    assert!(ignored.is_empty(), "tests that do not run: {ignored:#?}");
}

#[test]
fn allowances_give_a_reason() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| !name.ends_with("tidy.rs") && bare_allow(text))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "`allow` without `reason`: {silent:#?}");
}

/// Whether an `allow` attribute gives no reason.
fn bare_allow(text: &str) -> bool {
    text.match_indices("[allow(").any(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(")]").unwrap_or(rest.len());
        !rest[..end].contains("reason")
    })
}
