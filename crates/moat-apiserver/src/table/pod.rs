//! The row of a pod: its status says in one word what happens to it (upstream's `printPod`).

use super::cells::{condition, or};
use super::{Columns, METADATA, age, ago, shown, wide};
use crate::object::{list, meta, number, text};
use crate::part::Keep;
use serde_json::Value;

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
    reads: Keep::Fields(&[
        ("metadata", METADATA),
        (
            "spec",
            Keep::Fields(&[
                ("containers", Keep::Fields(&[])),
                (
                    "initContainers",
                    Keep::Fields(&[("name", Keep::All), ("restartPolicy", Keep::All)]),
                ),
                ("nodeName", Keep::All),
                ("readinessGates", Keep::All),
            ]),
        ),
        ("status", Keep::All),
    ]),
    cells: |pod| {
        let state = State::of(pod);
        vec![
            meta(pod, "name").into(),
            format!("{}/{}", state.n_ready, state.n_containers).into(),
            state.reason.clone().into(),
            state.restarts().into(),
            age(pod),
            or(pod, "/status/podIPs/0/ip", "<none>"),
            or(pod, "/spec/nodeName", "<none>"),
            or(pod, "/status/nominatedNodeName", "<none>"),
            gates(pod).into(),
        ]
    },
};

/// What is told of a pod's containers.
#[derive(Debug, Default)]
struct State {
    n_containers: usize,
    n_ready: usize,
    n_restarts: i64,
    last_restart: String,
    reason: String,
}

impl State {
    fn of(pod: &Value) -> Self {
        let mut state =
            Self { n_containers: list(pod, "/spec/containers").len(), ..Self::default() };
        let phase = text(pod, "/status/phase");
        let reason = text(pod, "/status/reason");
        state.reason = if reason.is_empty() { phase.to_owned() } else { reason.to_owned() };
        let gated =
            |one: &Value| one["type"] == "PodScheduled" && one["reason"] == "SchedulingGated";
        if list(pod, "/status/conditions").iter().any(gated) {
            "SchedulingGated".clone_into(&mut state.reason);
        }
        let sidecars = list(pod, "/spec/initContainers")
            .iter()
            .filter(|one| one["restartPolicy"] == "Always")
            .count();
        state.n_containers += sidecars;
        let (initializing, of_sidecars) = state.init(pod);
        if !initializing || condition(pod, "Initialized") {
            (state.n_restarts, state.last_restart) = of_sidecars;
            state.running(pod);
        }
        let deleting = crate::object::is_deleting(pod);
        if deleting && reason == "NodeLost" {
            "Unknown".clone_into(&mut state.reason);
        } else if deleting && !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut state.reason);
        }
        state
    }

    /// Containers that run before the others, or beside them. Returns whether one of them holds the pod up, and the restarts of sidecars.
    fn init(&mut self, pod: &Value) -> (bool, (i64, String)) {
        let specs = list(pod, "/spec/initContainers");
        let mut of_sidecars = (0, String::new());
        for (at, one) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            let name = text(one, "/name");
            let sidecar =
                specs.iter().any(|spec| spec["name"] == name && spec["restartPolicy"] == "Always");
            self.restarted(one);
            if sidecar {
                let before =
                    (std::mem::take(&mut self.n_restarts), std::mem::take(&mut self.last_restart));
                self.restarted(one);
                of_sidecars =
                    (of_sidecars.0 + self.n_restarts, of_sidecars.1.max(self.last_restart.clone()));
                (self.n_restarts, self.last_restart) = before;
            }
            let (ended, waiting) =
                (one.pointer("/state/terminated"), text(one, "/state/waiting/reason"));
            if ended.is_some_and(|ended| number(ended, "/exitCode") == Some(0)) {
                continue;
            }
            if sidecar && one["started"] == true {
                self.n_ready += usize::from(one["ready"] == true);
                continue;
            }
            self.reason = match ended {
                Some(ended) => format!("Init:{}", end(ended)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => {
                    format!("Init:{waiting}")
                }
                None => format!("Init:{at}/{}", specs.len()),
            };
            return (true, of_sidecars);
        }
        (false, of_sidecars)
    }

    fn running(&mut self, pod: &Value) {
        let (mut running, mut failed) = (false, String::new());
        for one in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarted(one);
            let waiting = text(one, "/state/waiting/reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(ended) = one.pointer("/state/terminated") {
                self.reason = end(ended);
                if number(ended, "/exitCode").unwrap_or(0) != 0 {
                    failed.clone_from(&self.reason);
                }
            } else if one["ready"] == true && one.pointer("/state/running").is_some() {
                running = true;
                self.n_ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && condition(pod, "Ready") {
                "Running".clone_into(&mut self.reason);
            } else if !failed.is_empty() {
                self.reason = failed;
            } else if running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }

    fn restarted(&mut self, container: &Value) {
        self.n_restarts += number(container, "/restartCount").unwrap_or(0);
        let ended = text(container, "/lastState/terminated/finishedAt");
        // Times of one form are ordered as texts.
        if self.last_restart.as_str() < ended {
            ended.clone_into(&mut self.last_restart);
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
fn end(ended: &Value) -> String {
    let reason = text(ended, "/reason");
    let signal = number(ended, "/signal").unwrap_or(0);
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", number(ended, "/exitCode").unwrap_or(0))
    }
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| condition(pod, text(gate, "/conditionType"))).count();
    format!("{open}/{}", gates.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            let state = State::of(&pod);
            let own = format!("{}/{}", state.n_ready, state.n_containers);
            assert_eq!((state.reason.as_str(), own.as_str()), (reason, ready), "{pod}");
        }
    }
}
