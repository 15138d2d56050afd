//! A node and what is on it.

use crate::labels::Labels;
use crate::pod::{HostPort, Pod, image};
use crate::read::{Problems, list, text};
use crate::resources::{Resources, allocatable};
use crate::taint::Taint;
use serde_json::Value;
use std::sync::Arc;

/// A node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Whether such a node exists; pods can be bound to one that does not, or not any more.
    pub(crate) known: bool,
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Resources,
    pub(crate) pods_max: i64,
    pub(crate) images: Vec<(String, i64)>,
    /// What of it cannot be understood.
    pub problems: Vec<String>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) requested: Resources,
    pub(crate) assumed: Resources,
    pub(crate) ports: Vec<HostPort>,
    /// How many of its pods are alike to affinity and spreading; see [`crate::class`].
    pub(crate) classes: Vec<(u32, u32)>,
}

impl Node {
    /// Reads a node that has no pods yet.
    pub(crate) fn read(node: &Value) -> Self {
        let mut problems = Problems::default();
        let (allocatable, pods_max) = allocatable(&node["status"], &mut problems);
        let mut images: Vec<(String, i64)> = Vec::new();
        for one in list(&node["status"], "images") {
            let size = one["sizeBytes"].as_i64().unwrap_or(0);
            let names = list(one, "names").iter().filter_map(Value::as_str);
            images.extend(names.map(|name| (image(name), size)));
        }
        images.sort();
        images.dedup_by(|later, first| later.0 == first.0);
        Self {
            name: text(&node["metadata"], "name").into(),
            known: true,
            labels: Labels::read(&node["metadata"]["labels"]),
            taints: Taint::read_all(&node["spec"]),
            unschedulable: node["spec"]["unschedulable"] == true,
            allocatable,
            pods_max,
            images,
            problems: problems.0,
            ..Self::default()
        }
    }

    /// Takes on what another reading says about the node itself, and keeps its pods.
    pub(crate) fn update(&mut self, fresh: Self) {
        let old = std::mem::replace(self, fresh);
        self.pods = old.pods;
        self.requested = old.requested;
        self.assumed = old.assumed;
        self.ports = old.ports;
        self.classes = old.classes;
    }

    /// Where the node is, as far as its labels say.
    pub(crate) fn zone(&self) -> (&str, &str) {
        let label = |new: &str, old: &str| {
            self.labels.get(new).or_else(|| self.labels.get(old)).unwrap_or_default()
        };
        (
            label("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
            label("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
        )
    }

    /// Puts a pod on it.
    pub(crate) fn add(&mut self, pod: Arc<Pod>, class: u32) {
        self.requested.add(&pod.requests);
        self.assumed.add(&pod.assumed);
        self.ports.extend(pod.ports.iter().cloned());
        match self.classes.iter_mut().find(|(one, _)| *one == class) {
            Some((_, count)) => *count += 1,
            None => self.classes.push((class, 1)),
        }
        self.pods.push(pod);
    }

    /// Takes a pod off it.
    pub(crate) fn take(&mut self, key: &str, class: u32) -> Option<Arc<Pod>> {
        let at = self.pods.iter().position(|pod| *pod.key == *key)?;
        let pod = self.pods.swap_remove(at);
        self.requested.take(&pod.requests);
        self.assumed.take(&pod.assumed);
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|one| one == port) {
                self.ports.swap_remove(at);
            }
        }
        if let Some(at) = self.classes.iter().position(|(one, _)| *one == class) {
            self.classes[at].1 -= 1;
            if self.classes[at].1 == 0 {
                self.classes.swap_remove(at);
            }
        }
        Some(pod)
    }

    /// Pods that are on it.
    pub fn pods(&self) -> &[Arc<Pod>] {
        &self.pods
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}
