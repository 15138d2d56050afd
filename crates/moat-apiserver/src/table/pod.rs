//! The row of a pod: its status says in one word what happens to it (upstream's `printPod`).
//!
//! It is written from the parts of the stored bytes: lists of pods are the longest, and to make a value of each costs more than the row.

#[cfg(test)]
mod naive;

use super::{Columns, ago, shown, wide};
use crate::object::put;
use crate::part::{Keep, items, number, several, text};
use std::borrow::Cow;

pub(super) const POD: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Ready"),
        shown("Status"),
        shown("Restarts"),
        shown("Age"),
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ],
    reads: Keep::All,
    cells: |pod| {
        let mut out = Vec::new();
        write(pod.to_string().as_bytes(), &mut out);
        serde_json::from_slice(&out).unwrap_or_default()
    },
};

/// What is not there.
const NONE: &[u8] = b"\"<none>\"";
const TRUE: &[u8] = b"true";

/// Appends the cells of a stored pod, as a list.
pub(super) fn write(pod: &[u8], out: &mut Vec<u8>) {
    let [metadata, spec, status] = several(pod, ["metadata", "spec", "status"]);
    let [name, created, deleted] =
        several(metadata, ["name", "creationTimestamp", "deletionTimestamp"]);
    let spec = Spec::of(spec);
    let status = Status::of(status);
    let state = State::of(&spec, &status, is_text(deleted));
    out.push(b'[');
    out.extend_from_slice(if is_text(name) { name } else { b"\"\"" });
    let mut cell = |text: &str| {
        out.push(b',');
        put(text, out);
    };
    cell(&format!("{}/{}", state.n_ready, state.n_containers));
    cell(&state.reason);
    cell(&state.restarts());
    cell(&ago(&text(created)));
    let ip = items(status.ips).next().map(|first| several(first, ["ip"])[0]);
    for part in [ip.unwrap_or_default(), spec.node, status.nominated] {
        out.push(b',');
        out.extend_from_slice(if is_text(part) && part != b"\"\"" { part } else { NONE });
    }
    out.push(b',');
    put(&gates(&spec, &status), out);
    out.push(b']');
}

fn is_text(part: &[u8]) -> bool {
    part.first() == Some(&b'"')
}

/// What the row needs of a spec, as parts.
struct Spec<'a> {
    n_containers: usize,
    /// Names and restart policies of the containers that run before, or beside.
    inits: Vec<[&'a [u8]; 2]>,
    node: &'a [u8],
    gates: &'a [u8],
}

impl<'a> Spec<'a> {
    fn of(spec: &'a [u8]) -> Self {
        let [containers, inits, node, gates] =
            several(spec, ["containers", "initContainers", "nodeName", "readinessGates"]);
        Self {
            n_containers: items(containers).count(),
            inits: items(inits).map(|one| several(one, ["name", "restartPolicy"])).collect(),
            node,
            gates,
        }
    }
}

/// What it needs of a status.
struct Status<'a> {
    phase: &'a [u8],
    reason: &'a [u8],
    conditions: &'a [u8],
    ips: &'a [u8],
    nominated: &'a [u8],
    inits: &'a [u8],
    containers: &'a [u8],
}

impl<'a> Status<'a> {
    fn of(status: &'a [u8]) -> Self {
        let [phase, reason, conditions, ips, nominated, inits, containers] = several(
            status,
            [
                "phase",
                "reason",
                "conditions",
                "podIPs",
                "nominatedNodeName",
                "initContainerStatuses",
                "containerStatuses",
            ],
        );
        Self { phase, reason, conditions, ips, nominated, inits, containers }
    }

    /// Whether a condition holds; the kind is a part too.
    fn holds(&self, kind: &[u8]) -> bool {
        items(self.conditions)
            .any(|one| several(one, ["type", "status"]) == [kind, &b"\"True\""[..]])
    }

    fn is_gated(&self) -> bool {
        let gated = [&b"\"PodScheduled\""[..], b"\"SchedulingGated\""];
        items(self.conditions).any(|one| several(one, ["type", "reason"]) == gated)
    }
}

/// What is told of one container, as parts.
struct Container<'a> {
    name: &'a [u8],
    ready: &'a [u8],
    started: &'a [u8],
    waiting: &'a [u8],
    running: &'a [u8],
    ended: &'a [u8],
    restarts: i64,
    last_ended: Cow<'a, str>,
}

impl<'a> Container<'a> {
    fn of(one: &'a [u8]) -> Self {
        let [name, ready, started, restarts, state, last] =
            several(one, ["name", "ready", "started", "restartCount", "state", "lastState"]);
        let [waiting, running, ended] = several(state, ["waiting", "running", "terminated"]);
        let [last] = several(last, ["terminated"]);
        let [last] = several(last, ["finishedAt"]);
        Self {
            name,
            ready,
            started,
            waiting,
            running,
            ended,
            restarts: number(restarts).unwrap_or(0),
            last_ended: text(last),
        }
    }

    /// Why it waits, or nothing.
    fn waits(&self) -> Cow<'a, str> {
        text(several(self.waiting, ["reason"])[0])
    }
}

/// What is told of a pod's containers.
#[derive(Debug, Default)]
struct State<'a> {
    n_containers: usize,
    n_ready: usize,
    n_restarts: i64,
    last_restart: Cow<'a, str>,
    reason: Cow<'a, str>,
}

impl<'a> State<'a> {
    fn of(spec: &Spec<'_>, status: &Status<'a>, deleting: bool) -> Self {
        let (phase, reason) = (text(status.phase), text(status.reason));
        let lost = reason == "NodeLost";
        let ended = matches!(&*phase, "Succeeded" | "Failed");
        let always = &b"\"Always\""[..];
        let sidecars = spec.inits.iter().filter(|[_, policy]| *policy == always).count();
        let mut state = Self {
            n_containers: spec.n_containers + sidecars,
            reason: if reason.is_empty() { phase } else { reason },
            ..Self::default()
        };
        if status.is_gated() {
            state.reason = "SchedulingGated".into();
        }
        let (initializing, of_sidecars) = state.init(spec, status);
        if !initializing || status.holds(b"\"Initialized\"") {
            (state.n_restarts, state.last_restart) = of_sidecars;
            state.running(status);
        }
        if deleting && lost {
            state.reason = "Unknown".into();
        } else if deleting && !ended {
            state.reason = "Terminating".into();
        }
        state
    }

    /// Containers that run before the others, or beside them. Returns whether one of them holds the pod up, and the restarts of sidecars.
    fn init(&mut self, spec: &Spec<'_>, status: &Status<'a>) -> (bool, (i64, Cow<'a, str>)) {
        let mut of_sidecars: (i64, Cow<'a, str>) = (0, Cow::default());
        for (at, one) in items(status.inits).map(Container::of).enumerate() {
            let name = if is_text(one.name) { one.name } else { b"\"\"" };
            let sidecar = spec.inits.contains(&[name, b"\"Always\""]);
            self.restarted(&one);
            if sidecar {
                of_sidecars.0 = of_sidecars.0.saturating_add(one.restarts);
                of_sidecars.1 = of_sidecars.1.max(one.last_ended.clone());
            }
            let has_ended = !one.ended.is_empty();
            if has_ended && number(several(one.ended, ["exitCode"])[0]) == Some(0) {
                continue;
            }
            if sidecar && one.started == TRUE {
                self.n_ready += usize::from(one.ready == TRUE);
                continue;
            }
            let waiting = one.waits();
            self.reason = if has_ended {
                format!("Init:{}", end(one.ended)).into()
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}").into()
            } else {
                format!("Init:{at}/{}", spec.inits.len()).into()
            };
            return (true, of_sidecars);
        }
        (false, of_sidecars)
    }

    fn running(&mut self, status: &Status<'a>) {
        let (mut running, mut failed): (bool, Cow<'a, str>) = (false, Cow::default());
        let all: Vec<&[u8]> = items(status.containers).collect();
        for one in all.into_iter().rev().map(Container::of) {
            self.restarted(&one);
            let waiting = one.waits();
            if !waiting.is_empty() {
                self.reason = waiting;
            } else if !one.ended.is_empty() {
                self.reason = end(one.ended);
                if number(several(one.ended, ["exitCode"])[0]).unwrap_or(0) != 0 {
                    failed.clone_from(&self.reason);
                }
            } else if one.ready == TRUE && !one.running.is_empty() {
                running = true;
                self.n_ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && status.holds(b"\"Ready\"") {
                self.reason = "Running".into();
            } else if !failed.is_empty() {
                self.reason = failed;
            } else if running {
                self.reason = "NotReady".into();
            }
        }
    }

    fn restarted(&mut self, container: &Container<'a>) {
        // Counts come from clients, and a sum must not be what ends a request.
        self.n_restarts = self.n_restarts.saturating_add(container.restarts);
        // Times of one form are ordered as texts.
        if self.last_restart < container.last_ended {
            self.last_restart.clone_from(&container.last_ended);
        }
    }

    fn restarts(&self) -> String {
        if self.n_restarts != 0 && !self.last_restart.is_empty() {
            format!("{} ({} ago)", self.n_restarts, ago(&self.last_restart))
        } else {
            self.n_restarts.to_string()
        }
    }
}

/// How a container ended, in a word.
fn end(ended: &[u8]) -> Cow<'_, str> {
    let [reason, signal, code] = several(ended, ["reason", "signal", "exitCode"]);
    let reason = text(reason);
    let signal = number(signal).unwrap_or(0);
    if !reason.is_empty() {
        reason
    } else if signal != 0 {
        format!("Signal:{signal}").into()
    } else {
        format!("ExitCode:{}", number(code).unwrap_or(0)).into()
    }
}

fn gates(spec: &Spec<'_>, status: &Status<'_>) -> String {
    let kind = |gate| match several(gate, ["conditionType"]) {
        [kind] if is_text(kind) => kind,
        _ => b"\"\"",
    };
    let gates: Vec<&[u8]> = items(spec.gates).map(kind).collect();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|kind| status.holds(kind)).count();
    format!("{open}/{}", gates.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{Seed, filled};
    use serde_json::{Value, json};

    #[test]
    fn one_word_says_what_happens_to_a_pod() {
        let waiting =
            |reason: &str| json!({"restartCount": 0, "state": {"waiting": {"reason": reason}}});
        let ended = |code: i64, reason: &str| json!({"restartCount": 2, "state": {"terminated": {"exitCode": code, "reason": reason}}});
        let running = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
        let cases = [
            (json!({"phase": "Pending"}), false, "Pending", "0/1"),
            (json!({"phase": "Running", "containerStatuses": [running]}), false, "Running", "1/1"),
            (
                json!({"phase": "Running", "containerStatuses": [running]}),
                true,
                "Terminating",
                "1/1",
            ),
            (
                json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}),
                false,
                "CrashLoopBackOff",
                "0/1",
            ),
            (
                json!({"phase": "Succeeded", "containerStatuses": [ended(0, "Completed")]}),
                true,
                "Completed",
                "0/1",
            ),
            (
                json!({"phase": "Failed", "containerStatuses": [ended(3, "")]}),
                false,
                "ExitCode:3",
                "0/1",
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
                false,
                "Init:0/1",
                "0/1",
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [ended(1, "Error")]}),
                false,
                "Init:Error",
                "0/1",
            ),
        ];
        for (status, deleting, reason, ready) in cases {
            let mut pod = json!({"metadata": {}, "spec": {"containers": [{}], "initContainers": [{"name": "i"}]}, "status": status});
            if deleting {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
            let cells = (POD.cells)(&pod);
            assert_eq!(cells[1..3], [Value::from(ready), Value::from(reason)], "{pod}");
        }
    }

    /// Pods of which each field may be there or not, with words that decide something: rows from parts are those of values.
    #[test]
    fn rows_written_from_parts_are_those_of_the_whole_value() {
        let schema = crate::schema::Schema::of_kind("", "v1", "Pod");
        let mut statuses = std::collections::BTreeSet::new();
        for seed in 0..4000 {
            let pod = filled(schema, &mut Seed(seed), 0);
            let (own, want) = ((POD.cells)(&pod), naive::cells(&pod));
            assert_eq!(own, want, "{pod}");
            statuses.insert(own[2].to_string());
        }
        assert!(12 < statuses.len(), "{statuses:?}");
    }
}
