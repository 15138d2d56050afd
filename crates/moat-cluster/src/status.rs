//! How a cluster does, in numbers that an operator asks for.

use moat_apiserver::{Client, Gvr, Selection};
use moat_store::Stats;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The schema of [`Status`].
pub const SCHEMA: &str = "moat.dev/cluster-status/v1";

/// How a cluster does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: String,
    /// Its process.
    pub pid: u32,
    /// Where its API server is.
    pub url: String,
    /// Seconds since it started.
    pub up_seconds: u64,
    /// Where its objects are, if they are kept.
    pub data_dir: Option<PathBuf>,
    /// Nodes that are ready, of all.
    pub nodes: Ready,
    /// Pods by phase.
    pub pods: BTreeMap<String, usize>,
    /// Objects of all kinds.
    pub objects: usize,
    /// The revision of the last write.
    pub revision: u64,
    /// Bytes of memory that the process has in RAM; nothing where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// What is wrong with the store, if anything.
    pub trouble: Option<String>,
}

/// Some of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Those that are ready.
    pub ready: usize,
    /// Those that are fake.
    pub fake: usize,
    /// All.
    pub total: usize,
}

pub(crate) async fn of(
    client: &Client,
    url: &str,
    began: Instant,
    data_dir: Option<&Path>,
    stats: &Stats,
) -> Result<Status, String> {
    let all = |gvr: Gvr| async move {
        let listed = client.list(gvr.at("", ""), &Selection::default());
        let listed = listed.map_err(|status| status.message)?;
        let parsed =
            listed.objects.iter().filter_map(|one| serde_json::from_slice(&one.value).ok());
        Ok::<Vec<Value>, String>(parsed.collect())
    };
    let nodes = all(Gvr::new("", "v1", "nodes")).await?;
    let mut pods = BTreeMap::new();
    for pod in all(Gvr::new("", "v1", "pods")).await? {
        let phase = if pod["metadata"]["deletionTimestamp"].is_string() {
            "Terminating"
        } else {
            pod["status"]["phase"].as_str().unwrap_or("Unknown")
        };
        *pods.entry(phase.to_owned()).or_default() += 1;
    }
    let is_ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        })
    };
    let is_fake =
        |node: &&Value| node["metadata"]["labels"].get(crate::nodes::object::ROLE).is_some();
    Ok(Status {
        schema: SCHEMA.to_owned(),
        pid: std::process::id(),
        url: url.to_owned(),
        up_seconds: began.elapsed().as_secs(),
        data_dir: data_dir.map(Path::to_owned),
        nodes: Ready {
            ready: nodes.iter().filter(is_ready).count(),
            fake: nodes.iter().filter(is_fake).count(),
            total: nodes.len(),
        },
        pods,
        objects: stats.n_objects,
        revision: stats.revision,
        memory_bytes: memory(),
        trouble: stats.trouble.as_deref().or(stats.snapshot_trouble.as_deref()).map(str::to_owned),
    })
}

/// The resident set, from `/proc/self/status` (proc(5): `VmRSS`, in kB of 1024 bytes).
pub fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
