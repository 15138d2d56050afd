//! How long a pod stays on a node with taints that evict.

use crate::json::{list, number};
use moat_scheduler::{Taint, Toleration};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    Forever,
    /// Until a time, in seconds since 1970.
    Until(i64),
    Not,
}

/// How long, by the taints that evict, each with when it came, and the pod's spec. A pod stays only where it tolerates all of them, and each only
/// as long as it says.
pub(super) fn stay(taints: &[(Taint, i64)], spec: &Value) -> Stay {
    let tolerations = Toleration::read_all(spec);
    let seconds: Vec<Option<i64>> =
        list(spec, "/tolerations").iter().map(|one| number(one, "/tolerationSeconds")).collect();
    let mut until = None::<i64>;
    for (taint, since) in taints {
        let mut is_tolerated = false;
        for (toleration, seconds) in tolerations.iter().zip(&seconds) {
            if toleration.tolerates(taint) {
                is_tolerated = true;
                let end = seconds.map(|seconds| since.saturating_add(seconds.max(0)));
                until = until.into_iter().chain(end).min();
            }
        }
        if !is_tolerated {
            return Stay::Not;
        }
    }
    until.map_or(Stay::Forever, Stay::Until)
}
