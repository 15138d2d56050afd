//! The binary as its users run it: in a directory of its own, with what it prints and how it ends.

#![allow(dead_code, reason = "no test uses all of it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory that is gone when the test ends.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("moat-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The demo's manifests, as `k8s` in a directory.
pub(crate) fn demo(name: &str) -> Dir {
    let dir = Dir::new(name, &[]);
    let output = run(&dir.0, &["demo", "--write", "k8s"], "", None);
    assert!(output.status.success(), "{output:?}");
    dir
}

pub(crate) fn run(dir: &Path, args: &[&str], input: &str, columns: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moat"));
    command.args(args).current_dir(dir).env_remove("COLUMNS");
    if let Some(columns) = columns {
        command.env("COLUMNS", columns);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe, which is no fault here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Standard output, standard error and exit code, as one text.
pub(crate) fn shown(dir: &Path, args: &[&str], input: &str) -> String {
    let output = run(dir, args, input, Some("100"));
    let mut text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    if !errors.is_empty() {
        text.push_str(&format!("-- stderr\n{errors}"));
    }
    text.push_str(&format!("-- exit {}\n", output.status.code().unwrap()));
    text
}
