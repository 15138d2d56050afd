//! Everything that decides where a pod goes, kept up to date object by object.

use crate::class::Classes;
use crate::labels::Labels;
use crate::node::Node;
use crate::pod::Pod;
use crate::surroundings::Surroundings;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

/// The cluster as the scheduler sees it. Whatever the order of changes, equal objects make equal snapshots.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) nodes: Vec<Node>,
    free: Vec<u32>,
    by_name: FxHashMap<Arc<str>, u32>,
    pods: FxHashMap<Arc<str>, Place>,
    pub(crate) classes: Classes,
    /// Sizes of images by name and node.
    pub(crate) images: FxHashMap<String, FxHashMap<u32, i64>>,
    nominated: FxHashMap<Arc<str>, (Arc<str>, Arc<Pod>)>,
    nominated_to: FxHashMap<Arc<str>, Vec<Arc<Pod>>>,
    /// Everything that is neither node nor pod.
    pub surroundings: Surroundings,
    order: OnceLock<Vec<u32>>,
}

/// What changed of a node.
#[allow(clippy::struct_excessive_bools, reason = "each is a change of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// It was not there before.
    pub added: bool,
    /// Its labels.
    pub labels: bool,
    /// Its taints, or whether it takes pods at all.
    pub taints: bool,
    /// What it has for pods.
    pub allocatable: bool,
}

#[derive(Clone, Debug)]
struct Place {
    node: u32,
    class: u32,
    pod: Arc<Pod>,
}

impl Snapshot {
    /// An object appeared or changed; its `kind` says what it is.
    pub fn set(&mut self, object: &Value) {
        match object["kind"].as_str().unwrap_or_default() {
            "Node" => drop(self.set_node(object)),
            "Pod" => self.set_pod(Arc::new(Pod::read(object))),
            kind => self.surroundings.set(kind, object),
        }
    }

    /// A node appeared or changed. Says what of it can help pods that wait.
    pub fn set_node(&mut self, node: &Value) -> NodeChange {
        let fresh = Node::read(node);
        let at = self.slot(&Arc::clone(&fresh.name));
        self.drop_images(at);
        for (name, size) in &fresh.images {
            self.images.entry(name.clone()).or_default().insert(at, *size);
        }
        let old = &mut self.nodes[at as usize];
        if !old.known || old.zone() != fresh.zone() {
            self.order.take();
        }
        let change = NodeChange {
            added: !old.known,
            labels: old.labels != fresh.labels,
            taints: old.taints != fresh.taints || old.unschedulable != fresh.unschedulable,
            allocatable: old.allocatable != fresh.allocatable || old.pods_max != fresh.pods_max,
        };
        old.update(fresh);
        change
    }

    /// A node is gone. Its pods stay until they are gone too.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(&at) = self.by_name.get(name) {
            self.drop_images(at);
            self.order.take();
            let name = Arc::clone(&self.nodes[at as usize].name);
            self.nodes[at as usize].update(Node { name, ..Node::default() });
            self.reclaim(at);
        }
    }

    /// A pod appeared or changed, or is assumed to be on the node it names. Only pods on nodes that have not ended count.
    pub fn set_pod(&mut self, pod: Arc<Pod>) {
        self.remove_pod(&pod.key);
        if pod.node_name.is_empty() || pod.ended {
            return;
        }
        let node = self.slot(&Arc::from(&*pod.node_name));
        let class = self.classes.enter(&pod);
        self.nodes[node as usize].add(Arc::clone(&pod), class);
        self.pods.insert(Arc::clone(&pod.key), Place { node, class, pod });
    }

    /// A pod is gone, or is not on its node after all.
    pub fn remove_pod(&mut self, key: &str) {
        if let Some(place) = self.pods.remove(key) {
            self.nodes[place.node as usize].take(key, place.class);
            self.classes.leave(place.class);
            self.reclaim(place.node);
        }
    }

    /// Others make room for a pod on a node: until it is there, less important pods must not take the room.
    pub fn nominate(&mut self, pod: Arc<Pod>, node: &str) {
        self.withdraw(&pod.key);
        let node: Arc<str> = node.into();
        self.nominated_to.entry(Arc::clone(&node)).or_default().push(Arc::clone(&pod));
        self.nominated.insert(Arc::clone(&pod.key), (node, pod));
    }

    /// A pod does not wait for a node any more.
    pub fn withdraw(&mut self, key: &str) {
        let Some((node, _)) = self.nominated.remove(key) else { return };
        if let Some(all) = self.nominated_to.get_mut(&node) {
            all.retain(|pod| *pod.key != *key);
            if all.is_empty() {
                self.nominated_to.remove(&node);
            }
        }
    }

    /// Pods that wait for room on a node.
    pub fn nominated_to(&self, node: &str) -> &[Arc<Pod>] {
        self.nominated_to.get(node).map_or(&[], Vec::as_slice)
    }

    /// The node that a pod waits for.
    pub fn nomination(&self, key: &str) -> Option<&str> {
        self.nominated.get(key).map(|(node, _)| &**node)
    }

    /// The pod that is on some node under a key, `namespace/name`.
    pub fn pod(&self, key: &str) -> Option<&Arc<Pod>> {
        self.pods.get(key).map(|place| &place.pod)
    }

    /// How many pods are on nodes.
    pub fn pods_len(&self) -> usize {
        self.pods.len()
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.by_name.get(name).map(|&at| &self.nodes[at as usize]).filter(|node| node.known)
    }

    pub(crate) fn node_at(&self, name: &str) -> Option<u32> {
        let at = *self.by_name.get(name)?;
        self.nodes[at as usize].known.then_some(at)
    }

    pub(crate) fn class_of(&self, key: &str) -> Option<u32> {
        self.pods.get(key).map(|place| place.class)
    }

    /// The nodes in the order in which they are tried: zone by zone in turn, so that a sample is spread over zones.
    pub(crate) fn order(&self) -> &[u32] {
        self.order.get_or_init(|| {
            let mut zones: BTreeMap<_, BTreeMap<&str, u32>> = BTreeMap::new();
            for (at, node) in (0..).zip(&self.nodes) {
                if node.known {
                    zones.entry(node.zone()).or_default().insert(&node.name, at);
                }
            }
            let mut lines: Vec<_> = zones.into_values().map(BTreeMap::into_values).collect();
            let mut order = Vec::new();
            while !lines.is_empty() {
                lines.retain_mut(|line| line.next().inspect(|&at| order.push(at)).is_some());
            }
            order
        })
    }

    /// The nodes there are, in the order in which they are tried.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.order().iter().map(|&at| &self.nodes[at as usize])
    }

    /// Labels of a namespace; one that is not known has none.
    pub(crate) fn namespace_labels(&self, name: &str) -> &Labels {
        self.surroundings.namespace(name)
    }

    /// The number of a node's name; a node that nobody has spoken of yet gets one.
    fn slot(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&at) = self.by_name.get(name) {
            return at;
        }
        let node = Node { name: Arc::clone(name), ..Node::default() };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
        };
        self.by_name.insert(Arc::clone(name), at);
        at
    }

    /// Forgets a node that does not exist and has no pods.
    fn reclaim(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        if !node.known && node.pods.is_empty() {
            self.by_name.remove(&node.name);
            self.free.push(at);
        }
    }

    fn drop_images(&mut self, at: u32) {
        for (name, _) in &self.nodes[at as usize].images {
            if let Some(nodes) = self.images.get_mut(name) {
                nodes.remove(&at);
                if nodes.is_empty() {
                    self.images.remove(name);
                }
            }
        }
    }

    /// Everything in it as text that does not depend on the order of changes.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        let names: BTreeMap<_, _> = self.by_name.iter().collect();
        for (name, at) in names {
            let node = &self.nodes[*at as usize];
            let mut classes: Vec<String> = (node.classes.iter())
                .map(|(class, count)| format!("{count} of {:?}", self.classes.get(*class)))
                .collect();
            classes.sort();
            let mut ports = node.ports.clone();
            ports.sort();
            let mut pods: Vec<_> = node.pods.iter().map(|pod| (&pod.key, pod)).collect();
            pods.sort_by_key(|(key, _)| Arc::clone(key));
            let waiting = self.nominated_to(name).iter().map(|pod| &pod.key);
            let waiting: std::collections::BTreeSet<_> = waiting.collect();
            let bare = Node { pods: vec![], classes: vec![], ports, ..node.clone() };
            let _ = writeln!(text, "{bare:?} {classes:?} {pods:?} {waiting:?}");
        }
        let images: BTreeMap<_, BTreeMap<_, _>> = (self.images.iter())
            .map(|(name, sizes)| {
                let sizes = sizes.iter();
                (name, sizes.map(|(at, size)| (&self.nodes[*at as usize].name, size)).collect())
            })
            .collect();
        let order: Vec<_> = self.nodes().map(|node| &node.name).collect();
        let pods: BTreeMap<_, _> = self
            .pods
            .iter()
            .map(|(key, place)| (key, &self.nodes[place.node as usize].name))
            .collect();
        let _ =
            writeln!(text, "{images:?}\n{order:?}\n{pods:?}\n{}", self.surroundings.canonical());
        let _ = writeln!(text, "{} classes", self.classes.len() - self.classes.unused());
        text
    }
}
