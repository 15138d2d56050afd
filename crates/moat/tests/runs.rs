//! Runs beside each other, runs that are killed, and runs of those who may do little.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::{Dir, demo};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// `nobody` of every distribution.
const NOBODY: u32 = 65534;

/// `moat verify` of them, whose temporary files go to a directory of their own.
fn verify(dir: &Dir, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["verify", "-f", "k8s"]).current_dir(&dir.0).env("TMPDIR", dir.0.join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn moat() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_moat"))
}

/// A command that has to agree.
fn agrees(child: Child) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains("agree"), "{text}{errors}");
    assert!(!text.contains("disagree"), "{text}");
}

fn links() -> BTreeSet<String> {
    let all = fs::read_dir("/sys/class/net").unwrap();
    all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn runs_at_the_same_time_do_not_meet() {
    // The same pods with the same addresses, four times.
    let dir = demo("runs-beside");
    let runs: Vec<Child> = (0..4).map(|_| verify(&dir, moat()).spawn().unwrap()).collect();
    runs.into_iter().for_each(agrees);
}

#[test]
fn a_run_that_is_killed_leaves_nothing() {
    let dir = demo("runs-killed");
    let tmp = dir.0.join("tmp");
    fs::create_dir(&tmp).unwrap();
    let before = links();
    // While it reads, wires, probes and writes; a run takes a second or two.
    for milliseconds in [0, 5, 20, 60, 150, 300, 600, 1200] {
        let mut child = verify(&dir, moat()).process_group(0).spawn().unwrap();
        sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(processes(child.id()), Vec::<String>::new(), "after {milliseconds} ms");
        assert_eq!(links(), before, "after {milliseconds} ms");
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "after {milliseconds} ms");
    }
    agrees(verify(&dir, moat()).spawn().unwrap());
}

/// The processes of a group that still run, by their command lines: whoever has no process is in no namespace of its own any more, and a
/// namespace that nobody is in or holds is gone with all that is in it (`namespaces(7)`).
fn processes(group: u32) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let of_group = all.filter(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // After the name in parentheses: state, parent, group.
        let words = stat.rsplit(") ").next().unwrap_or_default();
        words.split(' ').nth(2).and_then(|word| word.parse().ok()) == Some(group)
    });
    of_group
        .map(|entry| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
        .collect()
}

#[test]
fn whoever_may_make_user_namespaces_may_run_it() {
    let dir = demo("runs-nobody");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return agrees(verify(&dir, moat()).spawn().unwrap());
    }
    // Where the tests were built, nobody else may be let in.
    let program = dir.0.join("moat");
    fs::copy(moat(), &program).unwrap();
    for path in [&dir.0, &program, &dir.0.join("k8s")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    agrees(verify(&dir, &program).uid(NOBODY).gid(NOBODY).spawn().unwrap());
}

#[test]
fn what_forbids_a_run_is_named() {
    let dir = demo("runs-forbidden");
    // In a user namespace of its own the setting can be made without anybody else knowing, and the right to make others be given away.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-sys_admin \"$0\" verify -f k8s";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(moat())
        .current_dir(&dir.0)
        .output();
    let Ok(output) = output else {
        return println!("not exercised: no `unshare` and `setpriv` of util-linux here");
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert_eq!(
        errors,
        "error: no packet can be sent from here: cannot make a user namespace: No space left on device (os error 28)\n\
         help: /proc/sys/user/max_user_namespaces is 0; an administrator allows it with `sysctl -w user.max_user_namespaces=16384`, or run as root\n"
    );
}
