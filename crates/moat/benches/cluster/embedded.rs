//! The binary as a user starts it, in a home of its own.

use crate::client::Target;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A directory that goes with the run.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("moat-bench-cluster-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> &'static str {
        // A bench leaks a few names.
        Box::leak(self.0.join(name).display().to_string().into_boxed_str())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Embedded {
    child: Child,
    home: PathBuf,
    pub(crate) target: Target,
    /// From before the process was made until its API said that it is ready.
    pub(crate) ready: Duration,
}

impl Embedded {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let home =
            std::env::temp_dir().join(format!("moat-bench-home-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_moat"))
            .args(["up", "--in-background", "--no-kubeconfig", "--address", "127.0.0.1:0"])
            .args(arguments)
            .env("HOME", &home)
            .env_remove("XDG_STATE_HOME")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The line comes when everything is at work; the kubeconfig is written by then.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"Ok\""), "{line}");
        let target = Target::read(home.join(".local/state/moat/moat/kubeconfig").to_str().unwrap());
        let (code, _) = target.connect().await.ask("GET", "/readyz", "*/*", "").await;
        assert_eq!(code, 200);
        Self { ready: began.elapsed(), child, home, target }
    }

    /// Bytes of the process in RAM.
    pub(crate) fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// CPU seconds that the process has used.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(&self.child.id().to_string())
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn stop(self) {
        self.kill();
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// CPU seconds that a process has used, `self` for this one.
pub(crate) fn cpu(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc(5), in ticks of 10 ms.
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
}
