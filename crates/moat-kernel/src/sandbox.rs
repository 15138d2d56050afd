//! A user namespace of the process itself, in which it may do to networks what root may, and to nothing else anything.

use core::fmt;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::io;

/// Why there is no sandbox, in words for the person who has to mend it.
#[derive(Debug)]
pub struct SandboxError {
    what: &'static str,
    source: io::Error,
    help: String,
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhelp: {}", self.what, self.source, self.help)
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Moves the process into user, network and mount namespaces of its own and raises its limit of open files.
///
/// Must be called before the process has a second thread: the kernel refuses it after (`unshare(2)`, `CLONE_NEWUSER`). Root without
/// the right to make user namespaces gets network and mount namespaces alone.
pub fn enter() -> Result<(), SandboxError> {
    let (uid, gid) = (geteuid(), getegid());
    let networks = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    match unshare(CloneFlags::CLONE_NEWUSER | networks) {
        Ok(()) => {
            // `user_namespaces(7)`: without privilege, groups must be denied before the one group can be mapped.
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
            write("/proc/self/gid_map", &format!("0 {gid} 1"))?;
        }
        Err(refused) => {
            if !uid.is_root() || unshare(networks).is_err() {
                return Err(SandboxError {
                    what: "cannot make a user namespace",
                    source: refused.into(),
                    help: missing(),
                });
            }
        }
    }
    raise_open_files();
    Ok(())
}

/// Lets this process open as many files as the hard limit says, the administrator's word on how many: a descriptor for each namespace, socket
/// and listener adds up, and the soft limit is 1024 on most machines. Programs in Go, Kubernetes' own among them, do the same.
pub fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it stays lower, the socket that goes beyond it says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn write(path: &'static str, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(|source| SandboxError { what: path, source, help: missing() })
}

/// The setting that forbids user namespaces, if one of the known ones does.
fn missing() -> String {
    // (file, the value that forbids, what to write)
    let settings = [
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=16384"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ];
    for (file, forbids, setting) in settings {
        if fs::read_to_string(file).is_ok_and(|value| value.trim() == forbids) {
            return format!(
                "{file} is {forbids}; an administrator allows it with `sysctl -w {setting}`, or run as root"
            );
        }
    }
    "run as root, or where user namespaces are allowed: a container may need `--security-opt seccomp=unconfined`".to_owned()
}
