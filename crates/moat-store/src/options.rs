//! Limits, and how writes come to the disk.

use crate::state::History;

/// What a store may use. The defaults suit a cluster on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How much history is kept for watches that lag and lists in pages.
    pub history: History,
    /// Bytes of one object. Upstream takes 3 MiB a request, and etcd 1.5 MiB.
    pub object_bytes_max: usize,
    /// Bytes of writes that wait for the disk; more are refused as [`crate::WriteError::Busy`]. At most 1 GiB counts.
    pub queue_bytes_max: usize,
    /// Bytes of writes that one sync makes safe together. Fewer bound the time a write waits for others'.
    pub batch_bytes_max: usize,
    /// Bytes of log from which on a snapshot replaces it; more if the last snapshot was more than twice that. Opening reads at most about
    /// the snapshot and so much log.
    pub log_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: History::default(),
            object_bytes_max: 3 << 20,
            queue_bytes_max: 64 << 20,
            batch_bytes_max: 4 << 20,
            log_bytes_max: 64 << 20,
        }
    }
}
