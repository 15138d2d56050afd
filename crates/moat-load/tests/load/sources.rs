use crate::support::{Dir, json};
use expect_test::expect;
use moat_load::{Input, load};
use moat_model::codes;
use std::fs;

#[test]
fn directories_are_read_recursively_and_sorted() {
    let dir = Dir::new();
    dir.file("b.YAML", "b: 1");
    dir.file("a/z.yml", "z: 1");
    dir.file("a.json", "{\"j\": 1}");
    dir.file("a/README.md", "not: read");
    dir.file(".hidden.yaml", "not: read");
    dir.file(".git/x.yaml", "not: read");
    dir.file("c/.x/y.yaml", "not: read");
    dir.file("noext", "not: read");
    expect![[r#"
        DIR/a/z.yml#0: {"z": 1}
        DIR/a.json#0: {"j": 1}
        DIR/b.YAML#0: {"b": 1}
        note[MOAT013] DIR/a/README.md:0:0: not read: neither `.yaml`, `.yml` nor `.json`
          help: name the file after `-f` if it is a manifest
        note[MOAT013] DIR/noext:0:0: not read: neither `.yaml`, `.yml` nor `.json`
          help: name the file after `-f` if it is a manifest
    "#]]
    .assert_eq(&dir.show(&[""]));
}

#[test]
fn an_explicit_file_needs_no_extension_and_inputs_keep_their_order() {
    let dir = Dir::new();
    dir.file("z.txt", "z: 1");
    dir.file(".a", "a: 1");
    expect![[r#"
        DIR/z.txt#0: {"z": 1}
        DIR/.a#0: {"a": 1}
    "#]]
    .assert_eq(&dir.show(&["z.txt", ".a"]));
}

#[test]
fn nothing_is_loaded_twice() {
    let dir = Dir::new();
    dir.file("d/a.yaml", "a: 1");
    dir.file("d/b.yaml", "b: 1");
    std::os::unix::fs::symlink(dir.path().join("d/a.yaml"), dir.path().join("d/c.yaml")).unwrap();
    expect![[r#"
        DIR/d/b.yaml#0: {"b": 1}
        DIR/d/a.yaml#0: {"a": 1}
    "#]]
    .assert_eq(&dir.show(&["d/b.yaml", "d", "d/../d/a.yaml", "d"]));
}

#[test]
fn a_directory_without_manifests_is_an_error() {
    let dir = Dir::new();
    dir.file("empty/README.md", "");
    dir.file("a.yaml", "a: 1");
    expect![[r#"
        DIR/a.yaml#0: {"a": 1}
        error[MOAT001] DIR/empty:0:0: no manifests in `DIR/empty`
          help: manifests end in `.yaml`, `.yml` or `.json`, and hidden ones are passed over; name a file to read it whatever it is called
    "#]]
    .assert_eq(&dir.show(&["empty", "a.yaml"]));
}

#[test]
fn missing_paths_come_with_a_suggestion() {
    let dir = Dir::new();
    dir.file("deploy/web.yaml", "a: 1");
    expect![[r"
        error[MOAT001] DIR/deploy/wed.yml:0:0: no such file or directory: `DIR/deploy/wed.yml`
          help: did you mean `DIR/deploy/web.yaml`?
        error[MOAT001] DIR/deplyo/web.yaml:0:0: no such file or directory: `DIR/deplyo/web.yaml`
          help: did you mean `DIR/deploy/web.yaml`?
        error[MOAT001] DIR/elsewhere/web.yaml:0:0: no such file or directory: `DIR/elsewhere/web.yaml`
          help: `DIR` exists, but has no `elsewhere`
        error[MOAT001] DIR/nothing-like-it:0:0: no such file or directory: `DIR/nothing-like-it`
          help: paths are relative to the current directory; `-` is standard input
    "]]
    .assert_eq(&dir.show(&["deploy/wed.yml", "deplyo/web.yaml", "elsewhere/web.yaml", "nothing-like-it"]));
}

#[test]
fn missing_paths_keep_their_help_beside_good_ones() {
    let dir = Dir::new();
    dir.file("web.yaml", "a: 1");
    expect![[r#"
        DIR/web.yaml#0: {"a": 1}
        error[MOAT001] DIR/wed.yaml:0:0: no such file or directory: `DIR/wed.yaml`
          help: did you mean `DIR/web.yaml`?
    "#]]
    .assert_eq(&dir.show(&["web.yaml", "wed.yaml", "web.yaml"]));
}

#[test]
fn links_are_followed_and_cycles_end() {
    let dir = Dir::new();
    dir.file("d/a.yaml", "a: 1");
    dir.file("outside/b.yaml", "b: 1");
    let link = |to: &str, from: &str| {
        std::os::unix::fs::symlink(dir.path().join(to), dir.path().join(from)).unwrap();
    };
    link("d", "d/again");
    link("outside", "d/out");
    link("d", "outside/back");
    link("nowhere", "d/gone.yaml");
    link("d/loop.yaml", "d/loop.yaml");
    expect![[r#"
        DIR/d/a.yaml#0: {"a": 1}
        DIR/d/out/b.yaml#0: {"b": 1}
        error[MOAT001] DIR/d/gone.yaml:0:0: `DIR/d/gone.yaml` is a link to nothing
          help: restore what it links to, or remove the link
        error[MOAT001] DIR/d/loop.yaml:0:0: cannot read `DIR/d/loop.yaml`: too many levels of symbolic links
    "#]]
    .assert_eq(&dir.show(&["d"]));
}

/// Root may read everything: then the test runs once more, as nobody.
#[test]
fn permissions() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    let dir = Dir::new();
    dir.file("d/a.yaml", "a: 1");
    let file = dir.file("d/file.yaml", "b: 1");
    dir.file("d/sub/c.yaml", "c: 1");
    let sub = dir.path().join("d/sub");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        assert!(
            std::env::var_os("MOAT_LOAD_AS_NOBODY").is_none(),
            "nobody may read everything too"
        );
        let test = std::env::current_exe().unwrap();
        let child = std::process::Command::new(test)
            .args(["--exact", "sources::permissions"])
            .env("MOAT_LOAD_AS_NOBODY", "1")
            .current_dir("/")
            .gid(65534)
            .uid(65534)
            .output();
        match child {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            }
            Err(error) => {
                eprintln!("SKIPPED permissions: runs as root and cannot become nobody: {error}");
            }
        }
        return;
    }
    let shown = dir.show(&["d", "d/sub", "d/file.yaml"]);
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o755)).unwrap();
    expect![[r#"
        DIR/d/a.yaml#0: {"a": 1}
        error[MOAT001] DIR/d/file.yaml:0:0: cannot read `DIR/d/file.yaml`: permission denied
          help: give yourself read permission, or leave it out
        error[MOAT001] DIR/d/sub:0:0: cannot read `DIR/d/sub`: permission denied
          help: give yourself read permission, or leave it out
        error[MOAT001] DIR/d/sub:0:0: cannot read `DIR/d/sub`: permission denied
          help: give yourself read permission, or leave it out
    "#]]
    .assert_eq(&shown);
}

#[test]
fn what_is_no_text_hides_nothing() {
    let dir = Dir::new();
    dir.file("a.yaml", b"a: \xff\n");
    dir.file("b.yaml", b"a: \0\n");
    dir.file("c.yaml", b"\xff\xfec\0:\0 \x001\0");
    expect![[r#"
        DIR/c.yaml#0: {"c": 1}
        error[MOAT001] DIR/a.yaml:0:0: `DIR/a.yaml` is not a text file: not UTF-8 at byte offset 3
          help: manifests are UTF-8 text, or UTF-16 with a byte order mark; save it as UTF-8, or leave it out
        error[MOAT001] DIR/b.yaml:0:0: `DIR/b.yaml` is not a text file: NUL at byte offset 3
          help: manifests are UTF-8 text, or UTF-16 with a byte order mark; save it as UTF-8, or leave it out
    "#]]
    .assert_eq(&dir.show(&[""]));
}

#[test]
fn pipes_are_read_when_named_and_passed_over_in_directories() {
    let dir = Dir::new();
    dir.file("a.yaml", "a: 1");
    let fifo = dir.path().join("b.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert_eq!(dir.load(&[""]).documents.len(), 1);
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::write(fifo, "b: 1").unwrap()
    });
    assert_eq!(dir.load(&["b.yaml"]).documents.len(), 1);
    writer.join().unwrap();
}

#[test]
fn a_device_that_never_ends_hits_the_limit() {
    let loaded = load(&[Input::Path("/dev/zero".into())]);
    assert_eq!(loaded.diagnostics[0].code, codes::LIMIT);
}

/// The result does not depend on how the work falls to threads.
#[test]
fn the_result_is_deterministic() {
    let dir = Dir::new();
    for n in 0..50 {
        let alias = if n % 3 == 0 { "a: &a [1, 2]\nb: *a\n" } else { "a: 1\na: 2\n" };
        dir.file(
            &format!("{n}.yaml"),
            format!("---\nnumber: {n}\n---\n{alias}---\nx: {{\n").repeat(n % 7 + 1),
        );
    }
    let first = dir.load(&[""]);
    for _ in 0..5 {
        assert_eq!(dir.load(&[""]), first);
    }
    let mut names: Vec<&str> = first.sources.iter().map(|source| source.name.as_str()).collect();
    assert!(names.is_sorted());
    names.dedup();
    assert_eq!(names.len(), 50);
    assert!(first.documents.is_sorted_by_key(|document| (document.source, document.index)));
    let mut out = String::new();
    json(&first.documents[0].value, &mut out);
    assert_eq!(out, "{\"number\": 0}");
}
