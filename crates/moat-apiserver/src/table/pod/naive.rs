//! The row of a pod, read from the whole of it as a value: what the row that is written from its parts is held against.

use crate::object::{list, meta, number, text};
use crate::table::cells::{condition, or};
use crate::table::{age, ago};
use serde_json::Value;

pub(super) fn cells(pod: &Value) -> Vec<Value> {
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
}

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
                (crate::object::at(one, "/state/terminated"), text(one, "/state/waiting/reason"));
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
            } else if let Some(ended) = crate::object::at(one, "/state/terminated") {
                self.reason = end(ended);
                if number(ended, "/exitCode").unwrap_or(0) != 0 {
                    failed.clone_from(&self.reason);
                }
            } else if one["ready"] == true && crate::object::at(one, "/state/running").is_some() {
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
