//! A pod as the scheduler sees it: only what decides where it goes, read once from its JSON.

use crate::affinity::{Affinity, Spread};
use crate::labels::{Labels, NodeSelector, NodeTerm, Requirement, Selector};
use crate::read::{Problems, instant, list, text, whole};
use crate::resources::{Resources, requests};
use crate::taint::{Taint, Toleration};
use serde_json::Value;
use std::sync::Arc;

/// A pod.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own that the API states")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `namespace/name`, by which it is known.
    pub key: Arc<str>,
    /// What tells it from another of the same name before or after it.
    pub uid: Box<str>,
    /// Who schedules it.
    pub scheduler_name: Box<str>,
    /// The node it is bound to, or empty.
    pub node_name: Box<str>,
    /// The node that others were evicted from for it, or empty.
    pub nominated: Box<str>,
    /// Larger goes first and may evict smaller.
    pub priority: i32,
    /// Whether it may evict others at all.
    pub may_preempt: bool,
    /// Scheduling gates that are not open yet.
    pub gates: Vec<Box<str>>,
    /// When it was made, in nanoseconds.
    pub created: i128,
    /// When it was started, in nanoseconds; nothing if it was not.
    pub started: Option<i128>,
    /// Whether its deletion was asked for.
    pub terminating: bool,
    /// Whether it ended, so that it holds nothing any more.
    pub ended: bool,
    /// Whether it is being deleted to make room for another.
    pub preempted: bool,
    /// What its condition says of why it has no node.
    pub unscheduled: Option<Box<str>>,
    /// What cannot be understood of it; such a pod is refused.
    pub problems: Vec<String>,
    pub(crate) name_at: usize,
    pub(crate) labels: Labels,
    pub(crate) requests: Resources,
    pub(crate) assumed: Resources,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) node_labels: Vec<Requirement>,
    pub(crate) node_required: Option<NodeSelector>,
    pub(crate) node_preferred: Vec<(i32, NodeTerm)>,
    pub(crate) affinity: Arc<Affinity>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) spread: Vec<Spread>,
    pub(crate) images: Vec<String>,
    pub(crate) containers: i64,
    pub(crate) claims: Vec<Box<str>>,
    pub(crate) owner: Option<Owner>,
}

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostPort {
    pub(crate) address: Box<str>,
    pub(crate) protocol: Box<str>,
    pub(crate) port: i32,
}

/// The controller that made a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) api_version: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
}

impl Pod {
    /// Reads a pod. Whatever it is, there is a result; what is not understood is among its problems.
    pub fn read(pod: &Value) -> Self {
        let mut problems = Problems::default();
        let (meta, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
        let (namespace, name) = (text(meta, "namespace"), text(meta, "name"));
        let labels = Labels::read(&meta["labels"]);
        let (requests, assumed) = requests(pod, &mut problems);
        let affinity = Affinity::read(spec, namespace, &labels, &mut problems);
        let spread = list(spec, "topologySpreadConstraints").iter().filter_map(|one| {
            let read = Spread::read(one, &labels).map(Some);
            problems.or_default("spec.topologySpreadConstraints", read)
        });
        let spread = spread.collect();
        let wishes = &spec["affinity"]["nodeAffinity"];
        let node_required = match &wishes["requiredDuringSchedulingIgnoredDuringExecution"] {
            Value::Null => None,
            terms => {
                Some(problems.or_default("spec.affinity.nodeAffinity", NodeSelector::read(terms)))
            }
        };
        let node_preferred = problems.or_default("spec.affinity.nodeAffinity", preferred(wishes));
        let phase = text(status, "phase");
        let all = || list(spec, "initContainers").iter().chain(list(spec, "containers"));
        Self {
            key: format!("{namespace}/{name}").into(),
            name_at: namespace.len() + 1,
            uid: text(meta, "uid").into(),
            scheduler_name: text(spec, "schedulerName").into(),
            node_name: text(spec, "nodeName").into(),
            nominated: text(status, "nominatedNodeName").into(),
            priority: whole(spec, "priority").unwrap_or(0),
            may_preempt: text(spec, "preemptionPolicy") != "Never",
            gates: list(spec, "schedulingGates")
                .iter()
                .map(|one| text(one, "name").into())
                .collect(),
            created: instant(meta, "creationTimestamp").unwrap_or(0),
            started: instant(status, "startTime"),
            terminating: meta["deletionTimestamp"].is_string(),
            ended: matches!(phase, "Succeeded" | "Failed"),
            preempted: list(status, "conditions").iter().any(|one| {
                text(one, "type") == "DisruptionTarget"
                    && text(one, "status") == "True"
                    && text(one, "reason") == "PreemptionByScheduler"
            }),
            unscheduled: list(status, "conditions")
                .iter()
                .find(|one| text(one, "type") == "PodScheduled" && text(one, "status") == "False")
                .map(|one| text(one, "message").into()),
            problems: problems.0,
            labels,
            requests,
            assumed,
            ports: all().flat_map(|one| list(one, "ports")).filter_map(HostPort::read).collect(),
            node_labels: Selector::of_map(&spec["nodeSelector"]),
            node_required,
            node_preferred,
            affinity: Arc::new(affinity),
            tolerations: Toleration::read_all(spec),
            spread,
            images: all()
                .map(|one| text(one, "image"))
                .chain(image_volumes(spec))
                .map(image)
                .collect(),
            containers: i64::try_from(all().count()).unwrap_or(i64::MAX),
            claims: claims(spec, name),
            owner: list(meta, "ownerReferences").iter().find_map(Owner::read),
        }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.key[..self.name_at - 1]
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.key[self.name_at..]
    }

    /// The same pod on a node.
    #[must_use]
    pub fn on(&self, node: &str) -> Self {
        Self { node_name: node.into(), ..self.clone() }
    }

    /// Whether another reading of the same pod asks for the same.
    pub(crate) fn same_wishes(&self, other: &Self) -> bool {
        let bare = |pod: &Self| Self {
            nominated: "".into(),
            started: None,
            terminating: false,
            unscheduled: None,
            ..pod.clone()
        };
        bare(self) == bare(other)
    }

    /// Whether its node selector and required node affinity allow a node.
    pub fn wants_node(&self, name: &str, labels: &Labels) -> bool {
        self.node_labels.iter().all(|one| one.holds(labels.get(&one.key)))
            && self.node_required.as_ref().is_none_or(|all| all.matches(name, labels))
    }
}

impl Pod {
    /// The taints that it does not tolerate.
    pub fn minds<'a>(&self, taints: &'a [Taint]) -> impl Iterator<Item = &'a Taint> {
        taints.iter().filter(|taint| !self.tolerations.iter().any(|one| one.tolerates(taint)))
    }
}

impl HostPort {
    fn read(value: &Value) -> Option<Self> {
        let or = |text: &str, default: &str| {
            if text.is_empty() { default.into() } else { text.into() }
        };
        Some(Self {
            address: or(text(value, "hostIP"), "0.0.0.0"),
            protocol: or(text(value, "protocol"), "TCP"),
            port: whole(value, "hostPort").filter(|port| *port > 0)?,
        })
    }

    /// Whether two pods cannot have both on one node.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address
                || &*self.address == "0.0.0.0"
                || &*other.address == "0.0.0.0")
    }
}

impl Owner {
    fn read(value: &Value) -> Option<Self> {
        value["controller"].as_bool().filter(|yes| *yes)?;
        Some(Self {
            api_version: text(value, "apiVersion").into(),
            kind: text(value, "kind").into(),
            name: text(value, "name").into(),
        })
    }
}

/// Preferences for nodes; those that weigh nothing or say nothing are left out.
pub(crate) fn preferred(affinity: &Value) -> Result<Vec<(i32, NodeTerm)>, String> {
    let mut all = Vec::new();
    for one in list(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
        let weight = whole(one, "weight").unwrap_or(0);
        if let Some(term) = NodeTerm::read(&one["preference"])?.filter(|_| weight != 0) {
            all.push((weight, term));
        }
    }
    Ok(all)
}

/// An image's name as nodes list it: with a tag.
pub(crate) fn image(name: &str) -> String {
    if name.rfind(':') <= name.rfind('/') { format!("{name}:latest") } else { name.to_owned() }
}

fn image_volumes(spec: &Value) -> impl Iterator<Item = &str> {
    let volumes = list(spec, "volumes").iter();
    volumes.filter_map(|volume| volume.get("image")).map(|image| text(image, "reference"))
}

/// Claims that must be bound before it can start: those it names, and those that are made for it under its own name.
fn claims(spec: &Value, pod: &str) -> Vec<Box<str>> {
    let volumes = list(spec, "volumes").iter();
    let claim = |volume: &Value| {
        if let Some(claim) = volume.get("persistentVolumeClaim") {
            return Some(text(claim, "claimName").into());
        }
        volume.get("ephemeral")?;
        Some(format!("{pod}-{}", text(volume, "name")).into())
    };
    volumes.filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn anything_is_a_pod_of_some_kind() {
        for value in
            [json!(null), json!([]), json!("x"), json!({"spec": 7, "metadata": {"labels": []}})]
        {
            let pod = Pod::read(&value);
            assert_eq!((pod.namespace(), pod.name()), ("", ""));
        }
    }

    #[test]
    fn ports_conflict_where_their_addresses_meet() {
        let port = |address: &str, protocol: &str, port: i32| {
            let value = json!({"hostIP": address, "protocol": protocol, "hostPort": port});
            HostPort::read(&value).unwrap()
        };
        assert!(port("", "", 80).conflicts(&port("127.0.0.1", "TCP", 80)));
        assert!(port("127.0.0.1", "TCP", 80).conflicts(&port("0.0.0.0", "TCP", 80)));
        assert!(!port("127.0.0.1", "TCP", 80).conflicts(&port("127.0.0.2", "TCP", 80)));
        assert!(!port("", "TCP", 80).conflicts(&port("", "UDP", 80)));
        assert!(!port("", "TCP", 80).conflicts(&port("", "TCP", 81)));
        assert_eq!(HostPort::read(&json!({"containerPort": 80})), None);
    }

    #[test]
    fn images_have_tags() {
        assert_eq!(image("a"), "a:latest");
        assert_eq!(image("h:5000/a"), "h:5000/a:latest");
        assert_eq!(image("h:5000/a:1"), "h:5000/a:1");
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        let pod = Pod::read(&json!({"spec": {
            "topologySpreadConstraints": [{"whenUnsatisfiable": "Never"}],
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                [{"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}]}}}}));
        assert_eq!(
            pod.problems,
            [
                "spec.affinity.podAffinity: \"Like\" is not a valid label selector operator",
                "spec.topologySpreadConstraints: whenUnsatisfiable \"Never\" is not known"
            ]
        );
    }
}
