//! What a StatefulSet needs: pods by their ordinals, one after the other unless it says otherwise, and its status.

use super::claims::{self, Find, Write};
use crate::json::{number, set, share, text};
use crate::pod::PodItem;
use moat_informer::Item;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The revision that a pod is of.
pub(super) const REVISION: &str = "controller-revision-hash";
pub(super) const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Pods that one plan makes or deletes; upstream's burst.
const BURST: usize = 500;

/// Everything that the decision is made by.
pub(super) struct Snapshot<'a> {
    pub(super) item: &'a Item<Value>,
    /// Pods that it manages.
    pub(super) pods: &'a [PodItem],
    /// The names of the revisions that pods come from and go to.
    pub(super) current: &'a str,
    pub(super) update: &'a str,
    pub(super) collisions: i64,
    pub(super) claims: Find<'a>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// A pod to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct New {
    pub(super) ordinal: i64,
    /// Whether of the newest revision.
    pub(super) updated: bool,
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) claims: Vec<Write>,
    /// Why a pod of an ordinal cannot be made.
    pub(super) refused: Option<(i64, String)>,
    /// Pods that lost their name or their claims.
    pub(super) repair: Vec<PodItem>,
    pub(super) create: Vec<New>,
    pub(super) delete: Vec<PodItem>,
    pub(super) status: Value,
    /// In how many seconds a pod becomes available by time alone.
    pub(super) again: Option<i64>,
}

/// The ordinal at the end of a pod's name.
pub(super) fn ordinal_of(name: &str) -> Option<i64> {
    let (_, digits) = name.rsplit_once('-')?;
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse::<i32>().ok().map(i64::from)).flatten()
}

/// The ordinals of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    start: i64,
    replicas: i64,
}

impl Range {
    pub(super) fn of(set: &Value) -> Self {
        Self {
            start: number(set, "/spec/ordinals/start").unwrap_or(0).max(0),
            replicas: number(set, "/spec/replicas").unwrap_or(1).max(0),
        }
    }

    fn end(self) -> i64 {
        self.start + self.replicas
    }

    pub(super) fn contains(self, ordinal: i64) -> bool {
        (self.start..self.end()).contains(&ordinal)
    }
}

/// Whether the walk over the pods goes on.
#[derive(PartialEq, Eq)]
enum Next {
    On,
    Stop,
}

fn is_of(pod: &PodItem, revision: &str) -> bool {
    !pod.meta.is_deleting() && pod.meta.label(REVISION) == Some(revision)
}

struct Planner<'a> {
    snapshot: &'a Snapshot<'a>,
    range: Range,
    /// Whether one thing is done after the other.
    ordered: bool,
    min_ready: i64,
    replicas: BTreeMap<i64, &'a PodItem>,
    /// Pods that are too many, the highest ordinal first.
    condemned: Vec<&'a PodItem>,
    plan: Plan,
}

pub(super) fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let set = &snapshot.item.value;
    let range = Range::of(set);
    let mut replicas = BTreeMap::new();
    let mut condemned = BTreeMap::new();
    for pod in snapshot.pods {
        if let Some(ordinal) = ordinal_of(&pod.meta.name) {
            let into = if range.contains(ordinal) { &mut replicas } else { &mut condemned };
            into.insert(ordinal, pod);
        }
    }
    let mut planner = Planner {
        snapshot,
        range,
        ordered: text(set, "/spec/podManagementPolicy") != "Parallel",
        min_ready: number(set, "/spec/minReadySeconds").unwrap_or(0),
        replicas,
        condemned: condemned.into_values().rev().collect(),
        plan: Plan::default(),
    };
    let mut n_updating = 0;
    if planner.keep() == Next::On {
        n_updating = planner.update();
    }
    let status = planner.status(n_updating);
    planner.plan.status = status;
    planner.plan
}

impl Planner<'_> {
    fn is_available(&self, pod: &PodItem) -> bool {
        let then = pod.value.available_at(self.min_ready);
        then.is_some_and(|then| then <= self.snapshot.now)
    }

    /// Whether it counts as missing in an update: what goes is as good as gone.
    fn is_unavailable(&self, pod: &PodItem) -> bool {
        !self.is_available(pod) || pod.meta.is_deleting()
    }

    /// Whether nothing more may happen before this pod is as it should be.
    fn blocks(&self, pod: &PodItem) -> bool {
        let runs = &*pod.value.status.phase == "Running" && self.is_available(pod);
        self.ordered && !runs
    }

    /// Sees to it that the right pods are there.
    fn keep(&mut self) -> Next {
        for ordinal in self.range.start..self.range.end() {
            if self.replica(ordinal) == Next::Stop {
                return Next::Stop;
            }
            if BURST <= self.plan.create.len() {
                break;
            }
        }
        let condemned = self.condemned.clone();
        for pod in &condemned {
            let own = claims::owners(self.snapshot.item, pod, self.snapshot.claims);
            self.plan.claims.extend(own);
        }
        let first = self.first_unavailable();
        for pod in condemned {
            if pod.meta.is_deleting() {
                if self.ordered {
                    return Next::Stop;
                }
                continue;
            }
            // A pod that is not well waits for those below it, unless it is the one that all wait for.
            if self.blocks(pod) && first.as_ref().is_none_or(|first| first.path != pod.path) {
                return Next::Stop;
            }
            self.plan.delete.push(pod.clone());
            if self.ordered {
                return Next::Stop;
            }
        }
        Next::On
    }

    fn first_unavailable(&self) -> Option<PodItem> {
        let all = self.replicas.values().chain(self.condemned.iter().rev());
        all.copied().find(|pod| self.is_unavailable(pod)).cloned()
    }

    /// The pod of an ordinal.
    fn replica(&mut self, ordinal: i64) -> Next {
        let (item, find) = (self.snapshot.item, self.snapshot.claims);
        let stop = if self.ordered { Next::Stop } else { Next::On };
        let Some(pod) = self.replicas.get(&ordinal).copied() else {
            if claims::is_stale(item, ordinal, find) {
                return stop;
            }
            let new = New { ordinal, updated: self.is_updated(ordinal) };
            return match claims::missing(item, ordinal, find) {
                Ok(claims) => {
                    self.plan.claims.extend(claims);
                    self.plan.create.push(new);
                    stop
                }
                Err(why) => {
                    self.plan.refused = Some((ordinal, why));
                    Next::Stop
                }
            };
        };
        if pod.value.is_over() {
            if !pod.meta.is_deleting() {
                self.plan.delete.push(pod.clone());
            }
            return stop;
        }
        if &*pod.value.status.phase == "Pending" {
            match claims::missing(item, ordinal, find) {
                Ok(claims) => self.plan.claims.extend(claims),
                Err(_) => return Next::Stop,
            }
        }
        if self.ordered && pod.meta.is_deleting() || self.blocks(pod) {
            return Next::Stop;
        }
        let named = pod.meta.label(POD_NAME) == Some(&*pod.meta.name);
        if !named || !claims::has_volumes(&item.value, ordinal, pod) {
            self.plan.repair.push(pod.clone());
        }
        self.plan.claims.extend(claims::owners(item, pod, find));
        Next::On
    }

    fn rolling(&self) -> Option<&Value> {
        let strategy = &self.snapshot.item.value["spec"]["updateStrategy"];
        (strategy["type"] != "OnDelete").then(|| &strategy["rollingUpdate"])
    }

    fn partition(&self) -> i64 {
        let rolling = self.rolling().unwrap_or(&Value::Null);
        self.range.start + number(rolling, "/partition").unwrap_or(0).max(0)
    }

    /// Whether a new pod of an ordinal is of the newest revision.
    fn is_updated(&self, ordinal: i64) -> bool {
        self.rolling().is_none() || self.partition() <= ordinal
    }

    /// Deletes pods of other revisions than the newest, from the highest ordinal down to the partition. Returns how many.
    fn update(&mut self) -> i64 {
        let Some(rolling) = self.rolling() else { return 0 };
        let max = rolling.get("maxUnavailable").filter(|max| !max.is_null());
        let max = max.map(|max| share(Some(max), self.range.replicas, false).max(1));
        let is_old = |pod: &PodItem| {
            pod.meta.label(REVISION) != Some(self.snapshot.update) && !pod.meta.is_deleting()
        };
        let from = self.partition();
        let mut gone: Vec<PodItem> = Vec::new();
        if let Some(max) = max {
            let well = self.replicas.values().filter(|pod| !self.is_unavailable(pod)).count();
            let well = i64::try_from(well).unwrap_or(i64::MAX);
            let n = usize::try_from(max - (self.range.replicas - well)).unwrap_or(0);
            let old = self.replicas.range(from..).rev().filter(|(_, pod)| is_old(pod));
            gone.extend(old.take(n).map(|(_, pod)| (*pod).clone()));
        } else {
            let mut expected = self.range.end();
            for (ordinal, pod) in self.replicas.range(from..).rev() {
                expected -= 1;
                if *ordinal != expected {
                    // One above it is missing, and comes first.
                    break;
                }
                if is_old(pod) {
                    gone.push((*pod).clone());
                    break;
                }
                if self.is_unavailable(pod) {
                    break;
                }
            }
        }
        gone.retain(|pod| self.plan.delete.iter().all(|one| one.path != pod.path));
        let of_current = gone.iter().filter(|pod| is_of(pod, self.snapshot.current)).count();
        self.plan.delete.extend(gone);
        i64::try_from(of_current).unwrap_or(i64::MAX)
    }

    /// The status; pods that were just deleted for an update are no longer of the current revision.
    fn status(&mut self, n_updating: i64) -> Value {
        let Snapshot { item, pods, current, update, collisions, now, .. } = self.snapshot;
        let (mut ready, mut available, mut of_current, mut of_update) = (0, 0, 0, 0);
        for pod in *pods {
            let is_ready = &*pod.value.status.phase == "Running" && pod.value.is_ready();
            ready += i64::from(is_ready);
            available += i64::from(is_ready && self.is_available(pod));
            of_current += i64::from(is_of(pod, current));
            of_update += i64::from(is_of(pod, update));
            if let Some(then) = pod.value.available_at(self.min_ready)
                && *now < then
            {
                let left = then - now;
                self.plan.again = Some(self.plan.again.map_or(left, |again| again.min(left)));
            }
        }
        of_current -= n_updating;
        let replicas = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let mut current = *current;
        let wanted = self.range.replicas;
        // Then the update is complete, and what it went to is what there is.
        if self.rolling().is_some() && [of_update, ready, replicas] == [wanted; 3] {
            (current, of_current) = (*update, of_update);
        }
        let mut status = json!({ "replicas": replicas, "availableReplicas": available });
        let generation = number(&item.value, "/metadata/generation").unwrap_or(0);
        for (field, n) in [
            ("observedGeneration", generation),
            ("readyReplicas", ready),
            ("currentReplicas", of_current),
            ("updatedReplicas", of_update),
        ] {
            if 0 < n {
                set(&mut status, &[field], n.into());
            }
        }
        set(&mut status, &["currentRevision"], current.into());
        set(&mut status, &["updateRevision"], (*update).into());
        set(&mut status, &["collisionCount"], (*collisions).into());
        if let Some(conditions) = item.value["status"].get("conditions") {
            set(&mut status, &["conditions"], conditions.clone());
        }
        status
    }
}
