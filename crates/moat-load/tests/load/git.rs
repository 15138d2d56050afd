use crate::support::Dir;
use expect_test::expect;
use moat_load::{Input, load};
use std::process::Command;

fn git(dir: &Dir, arguments: &[&str]) {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir.path())
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One test, because the current directory belongs to the whole process: it runs itself once more, in the repository.
#[test]
fn revisions() {
    if std::env::var_os("MOAT_LOAD_IN_REPOSITORY").is_some() {
        let show = |rev: &str, path: Option<&str>| {
            let input = Input::Git { rev: rev.to_owned(), path: path.map(str::to_owned) };
            print!("{}", crate::support::show(&load(&[input.clone(), input])));
        };
        println!("BEGIN");
        show("main", None);
        show("HEAD~1", Some("deploy/"));
        show("main", Some("deploy/notes.txt"));
        show("main", Some("none"));
        show("main", Some("docs"));
        show("--upload-pack=x", None);
        show("nope", Some("deploy"));
        println!("END");
        return;
    }
    let dir = Dir::new();
    git(&dir, &["init", "-q"]);
    dir.file("deploy/a.yaml", "a: 1");
    dir.file("deploy/notes.txt", "t: 1");
    dir.file("docs/x.md", "x");
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "-qm", "one"]);
    dir.file("deploy/a.yaml", "a: 2");
    dir.file("deploy/.hidden/b.yaml", "h: 2");
    dir.file("deploy/é b.yaml", "b: {\n");
    dir.file("deploy/c.yaml", [b'c', b':', 0xff]);
    std::os::unix::fs::symlink("a.yaml", dir.path().join("deploy/link.yaml")).unwrap();
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "-qm", "two"]);
    dir.file("deploy/a.yaml", "not: committed");

    let run = |place: &std::path::Path| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "git::revisions", "--nocapture"])
            .env("MOAT_LOAD_IN_REPOSITORY", "1")
            .current_dir(place)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        dir.hide(out.split_once("BEGIN\n").unwrap().1.split_once("END\n").unwrap().0)
    };
    expect![[r#"
        main:deploy/a.yaml#0: {"a": 2}
        error[MOAT001] main:deploy/c.yaml:0:0: `main:deploy/c.yaml` is not a text file: not UTF-8 at byte offset 2
          help: manifests are UTF-8 text, or UTF-16 with a byte order mark; save it as UTF-8, or leave it out
        note[MOAT013] main:deploy/notes.txt:0:0: not read: neither `.yaml`, `.yml` nor `.json`
          help: name the file after `-f` if it is a manifest
        error[MOAT002] main:deploy/é b.yaml:2:1 b: a value is missing here
          help: close what `{` or `[` opens before this, and remove a stray comma
        note[MOAT013] main:docs/x.md:0:0: not read: neither `.yaml`, `.yml` nor `.json`
          help: name the file after `-f` if it is a manifest
        HEAD~1:deploy/a.yaml#0: {"a": 1}
        note[MOAT013] HEAD~1:deploy/notes.txt:0:0: not read: neither `.yaml`, `.yml` nor `.json`
          help: name the file after `-f` if it is a manifest
        main:deploy/notes.txt#0: {"t": 1}
        error[MOAT001] main:none:0:0: no `none` in revision `main`
          help: `git ls-tree main` lists what there is; paths are relative to the current directory
        error[MOAT001] main:docs:0:0: no manifests in `main:docs`
          help: manifests end in `.yaml`, `.yml` or `.json`, and hidden ones are passed over; name a file to read it whatever it is called
        error[MOAT001] --upload-pack=x::0:0: git does not know the revision `--upload-pack=x`
          help: give a branch, tag or commit that `git log` accepts; a shallow clone, as in CI, may have to fetch it first
        error[MOAT001] nope:deploy:0:0: git does not know the revision `nope`
          help: give a branch, tag or commit that `git log` accepts; a shallow clone, as in CI, may have to fetch it first
    "#]]
    .assert_eq(&run(dir.path()));

    let outside = Dir::new();
    let shown = run(outside.path());
    assert!(shown.contains("is not in a git repository"), "{shown}");
}
