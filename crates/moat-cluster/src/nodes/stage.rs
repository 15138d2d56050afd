//! What a pod on a fake node does next: the life of a pod without containers.
//!
//! Pure: a pod and the time in, the status to write out. A pod runs as soon as it is on the node; one of a Job, or one that says how long it
//! runs, ends; one that is deleted goes. Nothing is executed, so readiness and exit codes are what annotations say.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::net::IpAddr;

/// How long the pod runs before it ends, in seconds. Pods of Jobs end at once unless they say otherwise, all others never.
pub const RUNS_FOR: &str = "moat.dev/fake-runs-for";
/// The exit code with which all containers of the pod end; 0 unless said.
pub const EXIT_CODE: &str = "moat.dev/fake-exit-code";
/// `"false"`: the containers run and are never ready.
pub const READY: &str = "moat.dev/fake-ready";

/// What is to be done with a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing, until the pod changes.
    Rest,
    /// Nothing before that time.
    Wait(Timestamp),
    /// Write this status.
    Status(Value),
    /// Write this status first, then the pod is gone.
    Remove,
}

/// Where the pod runs.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The node's address.
    pub host: IpAddr,
    /// The address the pod has or gets.
    pub pod: IpAddr,
}

/// The next step of a pod on a fake node.
pub fn next(pod: &Value, place: Place, now: Timestamp) -> Step {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Step::Remove;
    }
    match pod["status"]["phase"].as_str() {
        Some("Succeeded" | "Failed") => Step::Rest,
        Some("Running") => running(pod, place, now),
        _ => Step::Status(status(pod, place, now, None)),
    }
}

fn running(pod: &Value, place: Place, now: Timestamp) -> Step {
    if let Some(end) = end(pod) {
        if end > now {
            return Step::Wait(end);
        }
        let code = annotation(pod, EXIT_CODE).and_then(|code| code.parse().ok()).unwrap_or(0);
        return Step::Status(status(pod, place, now, Some(code)));
    }
    // Conditions that others set, such as readiness gates, decide whether the pod is ready.
    let wanted = status(pod, place, now, None);
    if ready_of(&wanted) == ready_of(&pod["status"]) { Step::Rest } else { Step::Status(wanted) }
}

/// When the pod ends by itself, if it does.
fn end(pod: &Value) -> Option<Timestamp> {
    let started: Timestamp = pod["status"]["startTime"].as_str()?.parse().ok()?;
    let of_job = || {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == "Job"))
    };
    let seconds = match annotation(pod, RUNS_FOR) {
        // A number that is none is refused when it is read as "never": a typing error must not end pods.
        Some(text) => text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds))?,
        None if of_job() => 0.0,
        None => return None,
    };
    started.checked_add(SignedDuration::from_secs_f64(seconds)).ok()
}

fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"][name].as_str()
}

fn ready_of(status: &Value) -> Option<&Value> {
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == "Ready").map(|one| &one["status"])
}

/// The status of a pod that runs, or that ended with a code.
fn status(pod: &Value, place: Place, now: Timestamp, ended: Option<i64>) -> Value {
    let old = &pod["status"];
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let started = old["startTime"].as_str().unwrap_or(&stamp).to_owned();
    let ready = ended.is_none() && annotation(pod, READY) != Some("false");
    let state = match ended {
        None => json!({ "running": { "startedAt": started } }),
        Some(code) => terminated(code, &started, &stamp),
    };
    let of = |list: &str, entry: &dyn Fn(&Value) -> Value| -> Vec<Value> {
        pod["spec"][list].as_array().into_iter().flatten().map(entry).collect()
    };
    let plain = |spec: &Value| container(pod, spec, state.clone(), ready);
    let init = |spec: &Value| {
        if spec["restartPolicy"] == "Always" {
            plain(spec)
        } else {
            container(pod, spec, terminated(0, &started, &started), true)
        }
    };
    let gates = pod["spec"]["readinessGates"].as_array().into_iter().flatten();
    let gates_open =
        gates.into_iter().all(|gate| condition_of(old, &gate["conditionType"]) == "True");
    let why_not = if ended == Some(0) { "PodCompleted" } else { "ContainersNotReady" };
    let mut conditions: Vec<Value> = old["conditions"].as_array().cloned().unwrap_or_default();
    set(&mut conditions, "PodReadyToStartContainers", ended.is_none(), "", &stamp);
    set(&mut conditions, "Initialized", true, "", &stamp);
    let not_ready = if gates_open { why_not } else { "ReadinessGatesNotReady" };
    set(&mut conditions, "Ready", ready && gates_open, not_ready, &stamp);
    set(&mut conditions, "ContainersReady", ready, why_not, &stamp);
    let phase = match ended {
        None => "Running",
        Some(0) => "Succeeded",
        Some(_) => "Failed",
    };
    let mut status = old.clone();
    if !status.is_object() {
        status = json!({});
    }
    status["phase"] = phase.into();
    status["conditions"] = conditions.into();
    status["hostIP"] = place.host.to_string().into();
    status["hostIPs"] = json!([{ "ip": place.host.to_string() }]);
    let address = if pod["spec"]["hostNetwork"] == true { place.host } else { place.pod };
    status["podIP"] = address.to_string().into();
    status["podIPs"] = json!([{ "ip": address.to_string() }]);
    status["startTime"] = started.clone().into();
    let init_statuses = of("initContainers", &init);
    if !init_statuses.is_empty() {
        status["initContainerStatuses"] = init_statuses.into();
    }
    status["containerStatuses"] = of("containers", &plain).into();
    status
}

fn condition_of<'a>(status: &'a Value, kind: &Value) -> &'a str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|one| one["type"] == *kind);
    found.and_then(|one| one["status"].as_str()).unwrap_or_default()
}

fn terminated(code: i64, started: &str, finished: &str) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": finished } })
}

fn container(pod: &Value, spec: &Value, state: Value, ready: bool) -> Value {
    let id = format!(
        "fake://{}/{}",
        pod["metadata"]["uid"].as_str().unwrap_or_default(),
        spec["name"].as_str().unwrap_or_default()
    );
    let started = state.get("running").is_some();
    json!({
        "name": spec["name"], "image": spec["image"], "imageID": "", "containerID": id,
        "ready": ready, "started": started, "restartCount": 0, "state": state, "lastState": {},
    })
}

/// Sets a condition; the time of its last change is kept where nothing changes.
fn set(conditions: &mut Vec<Value>, kind: &str, on: bool, why_not: &str, stamp: &str) {
    let status = if on { "True" } else { "False" };
    let old = conditions.iter().position(|one| one["type"] == kind);
    let since = old
        .filter(|at| conditions[*at]["status"] == status)
        .and_then(|at| conditions[at]["lastTransitionTime"].as_str())
        .unwrap_or(stamp);
    let mut new = json!({ "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since });
    if !on && !why_not.is_empty() {
        new["reason"] = why_not.into();
    }
    match old {
        Some(at) => conditions[at] = new,
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { host: "172.30.0.1".parse().unwrap(), pod: "10.244.0.7".parse().unwrap() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn pod() -> Value {
        json!({
            "metadata": { "uid": "u", "name": "web", "annotations": {} },
            "spec": { "containers": [{ "name": "c", "image": "nginx" }], "initContainers": [
                { "name": "first", "image": "busybox" }, { "name": "side", "image": "proxy", "restartPolicy": "Always" },
            ]},
            "status": { "phase": "Pending", "qosClass": "BestEffort", "conditions": [{ "type": "PodScheduled", "status": "True" }] },
        })
    }

    fn step(pod: &mut Value, second: i64) -> Step {
        let step = next(pod, place(), at(second));
        if let Step::Status(status) = &step {
            pod["status"] = status.clone();
        }
        step
    }

    fn ready(pod: &Value) -> bool {
        ready_of(&pod["status"]) == Some(&json!("True"))
    }

    #[test]
    fn a_pod_runs_and_then_rests() {
        let mut pod = pod();
        step(&mut pod, 0);
        expect_test::expect![[r#"
            {
              "phase": "Running",
              "qosClass": "BestEffort",
              "conditions": [
                {
                  "type": "PodScheduled",
                  "status": "True"
                },
                {
                  "type": "PodReadyToStartContainers",
                  "status": "True",
                  "lastProbeTime": null,
                  "lastTransitionTime": "2027-01-15T08:00:00Z"
                },
                {
                  "type": "Initialized",
                  "status": "True",
                  "lastProbeTime": null,
                  "lastTransitionTime": "2027-01-15T08:00:00Z"
                },
                {
                  "type": "Ready",
                  "status": "True",
                  "lastProbeTime": null,
                  "lastTransitionTime": "2027-01-15T08:00:00Z"
                },
                {
                  "type": "ContainersReady",
                  "status": "True",
                  "lastProbeTime": null,
                  "lastTransitionTime": "2027-01-15T08:00:00Z"
                }
              ],
              "hostIP": "172.30.0.1",
              "hostIPs": [
                {
                  "ip": "172.30.0.1"
                }
              ],
              "podIP": "10.244.0.7",
              "podIPs": [
                {
                  "ip": "10.244.0.7"
                }
              ],
              "startTime": "2027-01-15T08:00:00Z",
              "initContainerStatuses": [
                {
                  "name": "first",
                  "image": "busybox",
                  "imageID": "",
                  "containerID": "fake://u/first",
                  "ready": true,
                  "started": false,
                  "restartCount": 0,
                  "state": {
                    "terminated": {
                      "exitCode": 0,
                      "reason": "Completed",
                      "startedAt": "2027-01-15T08:00:00Z",
                      "finishedAt": "2027-01-15T08:00:00Z"
                    }
                  },
                  "lastState": {}
                },
                {
                  "name": "side",
                  "image": "proxy",
                  "imageID": "",
                  "containerID": "fake://u/side",
                  "ready": true,
                  "started": true,
                  "restartCount": 0,
                  "state": {
                    "running": {
                      "startedAt": "2027-01-15T08:00:00Z"
                    }
                  },
                  "lastState": {}
                }
              ],
              "containerStatuses": [
                {
                  "name": "c",
                  "image": "nginx",
                  "imageID": "",
                  "containerID": "fake://u/c",
                  "ready": true,
                  "started": true,
                  "restartCount": 0,
                  "state": {
                    "running": {
                      "startedAt": "2027-01-15T08:00:00Z"
                    }
                  },
                  "lastState": {}
                }
              ]
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&pod["status"]).unwrap());
        assert_eq!(step(&mut pod, 1), Step::Rest);
        pod["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z".into();
        assert_eq!(step(&mut pod, 2), Step::Remove);
    }

    #[test]
    fn a_pod_of_a_job_ends_and_annotations_say_when_and_how() {
        let mut job = pod();
        job["metadata"]["ownerReferences"] = json!([{ "kind": "Job" }]);
        step(&mut job, 0);
        step(&mut job, 0);
        assert_eq!(job["status"]["phase"], "Succeeded");
        assert!(!ready(&job));
        assert_eq!(step(&mut job, 1), Step::Rest);

        let mut timed = pod();
        timed["metadata"]["annotations"] = json!({ RUNS_FOR: "2.5", EXIT_CODE: "3" });
        step(&mut timed, 0);
        let wait = at(2).checked_add(SignedDuration::from_millis(500)).unwrap();
        assert_eq!(step(&mut timed, 1), Step::Wait(wait));
        step(&mut timed, 3);
        assert_eq!(timed["status"]["phase"], "Failed");
        assert_eq!(timed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);

        let mut odd = pod();
        odd["metadata"]["annotations"] = json!({ RUNS_FOR: "soon" });
        step(&mut odd, 0);
        assert_eq!(step(&mut odd, 1), Step::Rest, "a typing error ends nothing");
    }

    #[test]
    fn readiness_follows_annotation_and_gates() {
        let mut pod = pod();
        pod["metadata"]["annotations"] = json!({ READY: "false" });
        step(&mut pod, 0);
        assert!(!ready(&pod));
        pod["metadata"]["annotations"] = json!({});
        step(&mut pod, 1);
        assert!(ready(&pod));
        pod["spec"]["readinessGates"] = json!([{ "conditionType": "x/y" }]);
        step(&mut pod, 2);
        assert!(!ready(&pod));
        pod["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "type": "x/y", "status": "True" }));
        step(&mut pod, 3);
        assert!(ready(&pod));
        assert_eq!(step(&mut pod, 4), Step::Rest);
    }
}
