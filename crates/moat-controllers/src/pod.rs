//! What controllers read of pods.

use moat_apiserver::field;
use moat_informer::Item;
use serde::Deserialize;
use std::sync::Arc;

/// A pod in a cache.
pub(crate) type PodItem = Arc<Item<Pod>>;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Pod {
    pub(crate) metadata: Annotated,
    pub(crate) spec: Spec,
    pub(crate) status: PodStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Annotated {
    pub(crate) annotations: Annotations,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Annotations {
    #[serde(rename = "controller.kubernetes.io/pod-deletion-cost")]
    pub(crate) deletion_cost: Option<Box<str>>,
    #[serde(rename = "batch.kubernetes.io/job-completion-index")]
    pub(crate) completion_index: Option<Box<str>>,
    #[serde(rename = "batch.kubernetes.io/job-index-failure-count")]
    pub(crate) failures: Option<Box<str>>,
    #[serde(rename = "batch.kubernetes.io/job-index-ignored-failure-count")]
    pub(crate) ignored_failures: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) node_name: Box<str>,
    pub(crate) hostname: Box<str>,
    pub(crate) subdomain: Box<str>,
    pub(crate) containers: Vec<Container>,
    pub(crate) affinity: Option<Box<Affinity>>,
    /// Volumes that are claims, by the pod's names for them.
    #[serde(deserialize_with = "claims")]
    pub(crate) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    pub(crate) name: Box<str>,
    pub(crate) persistent_volume_claim: Option<Claim>,
    /// A claim that comes and goes with the pod.
    pub(crate) ephemeral: Option<Ephemeral>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Claim {
    pub(crate) claim_name: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Ephemeral {}

/// Most volumes of most pods are no claims, and nobody here asks about them.
fn claims<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Volume>, D::Error> {
    let mut all = Option::<Vec<Volume>>::deserialize(from)?.unwrap_or_default();
    all.retain(|one| one.persistent_volume_claim.is_some() || one.ephemeral.is_some());
    all.shrink_to_fit();
    Ok(all)
}

/// The one node that a pod is for, where node affinity names it; the rest of affinity is the scheduler's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub(crate) node_affinity: NodeAffinity,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) required: NodeTerms,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeTerms {
    pub(crate) node_selector_terms: Vec<NodeTerm>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeTerm {
    pub(crate) match_fields: Vec<Field>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Field {
    pub(crate) key: Box<str>,
    pub(crate) operator: Box<str>,
    pub(crate) values: Vec<Box<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    pub(crate) ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Port {
    pub(crate) name: Box<str>,
    pub(crate) container_port: i64,
    pub(crate) protocol: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    pub(crate) phase: Box<str>,
    pub(crate) conditions: Vec<Condition>,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Box<str>,
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: Vec<Ip>,
    pub(crate) container_statuses: Vec<ContainerStatus>,
    pub(crate) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerStatus {
    pub(crate) name: Box<str>,
    pub(crate) restart_count: i64,
    pub(crate) state: ContainerState,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    pub(crate) terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Terminated {
    pub(crate) exit_code: i64,
    pub(crate) finished_at: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Ip {
    pub(crate) ip: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: Box<str>,
    pub(crate) status: Box<str>,
    pub(crate) reason: Box<str>,
    pub(crate) last_transition_time: Option<Box<str>>,
}

impl Pod {
    /// Of a stored pod. Of its metadata, the account of fields is skipped and not parsed.
    pub(crate) fn read(stored: &[u8]) -> Option<Self> {
        fn of<'a, T: Deserialize<'a> + Default>(object: &'a [u8], name: &str) -> Option<T> {
            field(object, name)
                .map_or_else(|| Some(T::default()), |part| serde_json::from_slice(part).ok())
        }
        let annotations = of(field(stored, "metadata")?, "annotations")?;
        Some(Self {
            metadata: Annotated { annotations },
            spec: of(stored, "spec")?,
            status: of(stored, "status")?,
        })
    }

    /// The node that it is on, or the one that it can only be on.
    pub(crate) fn target(&self) -> Option<&str> {
        if !self.spec.node_name.is_empty() {
            return Some(&self.spec.node_name);
        }
        let terms = &self.spec.affinity.as_ref()?.node_affinity.required.node_selector_terms;
        let mut fields = terms.iter().flat_map(|term| &term.match_fields);
        let field = fields.find(|one| &*one.key == "metadata.name" && &*one.operator == "In")?;
        field.values.first().map(|name| &**name)
    }

    fn ready_condition(&self) -> Option<&Condition> {
        self.status.conditions.iter().find(|one| &*one.kind == "Ready")
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready_condition().is_some_and(|ready| &*ready.status == "True")
    }

    /// Since when it is ready, in seconds.
    pub(crate) fn ready_since(&self) -> Option<i64> {
        let ready = self.ready_condition().filter(|ready| &*ready.status == "True")?;
        crate::json::seconds(ready.last_transition_time.as_deref()?)
    }

    /// Since when it is not ready, in seconds.
    pub(crate) fn unready_since(&self) -> Option<i64> {
        let ready = self.ready_condition().filter(|ready| &*ready.status == "False")?;
        crate::json::seconds(ready.last_transition_time.as_deref()?)
    }

    /// Whether it has ended for good.
    pub(crate) fn is_over(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    /// When it counts as available: at once, or that many seconds after it became ready.
    pub(crate) fn available_at(&self, min_ready_seconds: i64) -> Option<i64> {
        if !self.is_ready() {
            None
        } else if min_ready_seconds == 0 {
            Some(i64::MIN)
        } else {
            self.ready_since().map(|since| since + min_ready_seconds)
        }
    }
}

/// Whether a pod is being deleted and has not ended.
pub(crate) fn is_terminating(pod: &PodItem) -> bool {
    pod.meta.is_deleting() && !pod.value.is_over()
}
