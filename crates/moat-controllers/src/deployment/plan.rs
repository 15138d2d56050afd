//! A rolling update: how large each ReplicaSet of a Deployment may be now.

use crate::json::{annotation, list, number, share, text};
use moat_informer::Item;
use serde_json::Value;
use std::cmp::Reverse;
use std::sync::Arc;

/// A ReplicaSet in a cache.
pub(crate) type SetItem = Arc<Item<Value>>;

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(crate) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(crate) const HASH: &str = "pod-template-hash";

/// What a Deployment wants of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) replicas: i64,
    pub(crate) max_surge: i64,
    pub(crate) max_unavailable: i64,
}

impl Wanted {
    pub(crate) fn of(deployment: &Value) -> Self {
        let replicas = number(deployment, "/spec/replicas").unwrap_or(1);
        if text(deployment, "/spec/strategy/type") != "RollingUpdate" {
            return Self { replicas, max_surge: 0, max_unavailable: 0 };
        }
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        let max_surge = share(rolling.get("maxSurge"), replicas, true);
        let mut max_unavailable = share(rolling.get("maxUnavailable"), replicas, false);
        if max_surge == 0 && max_unavailable == 0 {
            // Rounding must not leave a rollout that can never move.
            max_unavailable = 1;
        }
        Self { replicas, max_surge, max_unavailable: max_unavailable.min(replicas) }
    }
}

/// A ReplicaSet as far as sizes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// `spec.replicas`.
    pub(crate) replicas: i64,
    /// `status.availableReplicas`.
    pub(crate) available: i64,
}

impl Size {
    pub(crate) fn of(set: &Value) -> Self {
        Self {
            replicas: number(set, "/spec/replicas").unwrap_or(0),
            available: number(set, "/status/availableReplicas").unwrap_or(0),
        }
    }
}

/// The sizes that a rolling update gives: of the new set, and of the old ones (oldest first) in their order.
pub(crate) fn roll(wanted: Wanted, new: Size, old: &[Size]) -> (i64, Vec<i64>) {
    let total: i64 = new.replicas + old.iter().map(|one| one.replicas).sum::<i64>();
    let mut sizes: Vec<i64> = old.iter().map(|one| one.replicas).collect();
    let mut next = new.replicas;
    if wanted.replicas < next {
        next = wanted.replicas;
    } else if next < wanted.replicas {
        let room = wanted.replicas + wanted.max_surge - total;
        next += room.clamp(0, wanted.replicas - next);
    }
    if next != new.replicas {
        // One step at a time: the sizes of the old ones are decided by what came of this one.
        return (next, sizes);
    }
    let min_available = wanted.replicas - wanted.max_unavailable;
    let new_unavailable = (new.replicas - new.available).max(0);
    let mut may_go = total - min_available - new_unavailable;
    if may_go <= 0 {
        return (next, sizes);
    }
    // Pods that serve nobody go first; they cost nothing.
    for (size, one) in sizes.iter_mut().zip(old) {
        let gone = (one.replicas - one.available).clamp(0, may_go.max(0)).min(*size);
        *size -= gone;
        may_go -= gone;
    }
    let available: i64 =
        new.available + old.iter().map(|one| one.available.min(one.replicas)).sum::<i64>();
    let mut spare = (available - min_available).max(0).min(may_go.max(0));
    for size in &mut sizes {
        let gone = (*size).min(spare);
        *size -= gone;
        spare -= gone;
    }
    (next, sizes)
}

/// The sizes after the Deployment's own size changed in the middle of a rollout: in proportion to what there is.
pub(crate) fn scale(wanted: Wanted, sizes: &[i64]) -> Vec<i64> {
    let total: i64 = sizes.iter().sum();
    let allowed = if wanted.replicas == 0 { 0 } else { wanted.replicas + wanted.max_surge };
    let mut result = sizes.to_vec();
    let mut left = allowed - total;
    if total == 0 || left == 0 {
        return result;
    }
    // The largest first, and of equals the newest when it grows (the newest is last).
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|at| (Reverse(sizes[*at]), if left < 0 { *at } else { sizes.len() - *at }));
    let whole = left;
    for at in &order {
        let part = (sizes[*at] * whole).checked_div(total).unwrap_or(0);
        let part = if whole < 0 { part.max(left) } else { part.min(left) };
        result[*at] += part;
        left -= part;
    }
    // What rounding left goes to the first that can take it.
    for at in order {
        let part = left.max(-result[at]);
        result[at] += part;
        left -= part;
    }
    result
}

/// The number of a set's revision.
pub(crate) fn number_of(set: &Value) -> i64 {
    annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether a set's pods are of a Deployment's template; the hash is the set's own.
pub(crate) fn is_of_template(set: &Value, template: &Value) -> bool {
    let mut own = set["spec"]["template"].clone();
    if let Some(labels) = own.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.shift_remove(HASH);
    }
    own == *template
}

/// The set of the Deployment's template: the oldest, if by mischance there are several.
pub(crate) fn find_new<'a>(sets: &'a [SetItem], deployment: &Value) -> Option<&'a SetItem> {
    let template = &deployment["spec"]["template"];
    let mut same: Vec<&SetItem> =
        sets.iter().filter(|set| is_of_template(&set.value, template)).collect();
    same.sort_by(|a, b| {
        (&a.meta.creation_timestamp, &a.meta.name).cmp(&(&b.meta.creation_timestamp, &b.meta.name))
    });
    same.first().copied()
}

/// Sets of which history keeps no more, oldest first.
pub(crate) fn forgotten<'a>(old: &[&'a SetItem], limit: i64) -> Vec<&'a SetItem> {
    let mut idle: Vec<&SetItem> = old
        .iter()
        .copied()
        .filter(|set| {
            !set.meta.is_deleting()
                && number(&set.value, "/spec/replicas") == Some(0)
                && number(&set.value, "/status/replicas").unwrap_or(0) == 0
                && number(&set.value, "/status/observedGeneration").unwrap_or(0)
                    >= set.meta.generation
        })
        .collect();
    idle.sort_by_key(|set| number_of(&set.value));
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    idle.truncate(surplus);
    idle
}

/// Letters that cannot make words, as upstream's `SafeEncodeString` has them.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A short word of a template, the same for the same template, and another after a collision.
pub(crate) fn hash(template: &Value, collisions: i64) -> String {
    let mut state: u32 = 0x811c_9dc5;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    canonical(template, &mut eat);
    if 0 < collisions {
        eat(&collisions.to_le_bytes());
    }
    state
        .to_string()
        .bytes()
        .map(|byte| LETTERS[usize::from(byte) % LETTERS.len()] as char)
        .collect()
}

/// The order of keys must not matter.
fn canonical(value: &Value, eat: &mut impl FnMut(&[u8])) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            eat(b"{");
            for key in keys {
                eat(key.as_bytes());
                eat(b"\0");
                canonical(&map[key], eat);
            }
            eat(b"}");
        }
        Value::Array(items) => {
            eat(b"[");
            items.iter().for_each(|item| canonical(item, eat));
            eat(b"]");
        }
        other => {
            eat(other.to_string().as_bytes());
            eat(b"\0");
        }
    }
}

/// Whether the size that the sets were made for is no longer the Deployment's.
pub(crate) fn is_scaled(sets: &[SetItem], replicas: i64) -> bool {
    sets.iter().any(|set| {
        0 < number(&set.value, "/spec/replicas").unwrap_or(0)
            && annotation(&set.value, DESIRED)
                .and_then(|text| text.parse::<i64>().ok())
                .is_some_and(|desired| desired != replicas)
    })
}

/// Whether some pod of an old set still runs, so that a `Recreate` has to wait.
pub(crate) fn is_running(set: &Value) -> bool {
    0 < number(set, "/status/replicas").unwrap_or(0)
}

/// The conditions that a status has.
pub(crate) fn conditions(status: &Value) -> Vec<Value> {
    list(status, "/conditions").to_vec()
}
