//! Which objects the pods of a node need, kept as pods come and go.

use crate::object::{decode, list, text};
use moat_store::{EventKind, List, Object, ReadError, Resource, Scope, Store, Watch};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// What a pod needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    Account,
}

/// The graph: made when a node first asks, and as new as the store whenever one does.
pub(super) struct Graph {
    store: Store,
    state: Mutex<Option<State>>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

struct State {
    watch: Watch,
    needs: Needs,
}

/// By namespace.
#[derive(Debug, Default)]
struct Needs(BTreeMap<String, Space>);

#[derive(Debug, Default)]
struct Space {
    /// By the pod's name: its node, and what it needs.
    pods: BTreeMap<String, (String, BTreeSet<(Part, String)>)>,
    /// How many pods of a node need an object.
    nodes: BTreeMap<(Part, String), BTreeMap<String, usize>>,
}

impl Graph {
    pub(super) fn new(store: Store) -> Self {
        Self { store, state: Mutex::new(None) }
    }

    /// Whether a pod of a node needs an object.
    pub(super) fn has(&self, node: &str, part: Part, namespace: &str, name: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let caught_up = state.as_mut().is_some_and(|state| state.catch_up().is_ok());
        if !caught_up {
            *state = State::read(&self.store).ok();
        }
        // Without pods that can be read, nobody needs anything.
        state.as_ref().is_some_and(|state| state.needs.has(node, part, namespace, name))
    }
}

impl State {
    fn read(store: &Store) -> Result<Self, ReadError> {
        let resource = Resource::new("pods").map_err(|_| ReadError::Closed)?;
        let page = store.list(&List::new(&resource, Scope::All))?;
        let mut needs = Needs::default();
        page.objects.iter().for_each(|object| needs.put(object));
        Ok(Self { watch: store.watch(&resource, Scope::All, page.revision)?, needs })
    }

    fn catch_up(&mut self) -> Result<(), ReadError> {
        loop {
            let events = self.watch.try_next()?;
            if events.is_empty() {
                return Ok(());
            }
            for event in events {
                match event.kind {
                    EventKind::Deleted => self.needs.remove(&event.object),
                    EventKind::Added | EventKind::Modified => self.needs.put(&event.object),
                }
            }
        }
    }
}

impl Needs {
    fn has(&self, node: &str, part: Part, namespace: &str, name: &str) -> bool {
        let nodes = self.0.get(namespace).and_then(|own| own.nodes.get(&(part, name.to_owned())));
        nodes.is_some_and(|nodes| nodes.contains_key(node))
    }

    fn put(&mut self, object: &Object) {
        self.remove(object);
        let pod = decode(object);
        let node = text(&pod, "/spec/nodeName");
        if node.is_empty() {
            return;
        }
        let needed = needs(&pod);
        let own = self.0.entry(object.path.namespace().unwrap_or_default().to_owned()).or_default();
        for one in &needed {
            *own.nodes.entry(one.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        own.pods.insert(object.path.name().to_owned(), (node.to_owned(), needed));
    }

    fn remove(&mut self, object: &Object) {
        let Some(own) = self.0.get_mut(object.path.namespace().unwrap_or_default()) else { return };
        let Some((node, needed)) = own.pods.remove(object.path.name()) else { return };
        for one in needed {
            let Some(nodes) = own.nodes.get_mut(&one) else { continue };
            if let Some(n) = nodes.get_mut(&node) {
                *n -= 1;
                if *n == 0 {
                    nodes.remove(&node);
                }
            }
            if nodes.is_empty() {
                own.nodes.remove(&one);
            }
        }
    }
}

/// What a pod needs of its namespace.
fn needs(pod: &Value) -> BTreeSet<(Part, String)> {
    let mut all = BTreeSet::from([(Part::Pod, text(pod, "/metadata/name").to_owned())]);
    // A node must not get at anything by a pod that it made itself.
    if pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some() {
        return all;
    }
    let spec = &pod["spec"];
    let mut need = |part: Part, of: &Value, pointer: &str| {
        let name = text(of, pointer);
        if !name.is_empty() {
            all.insert((part, name.to_owned()));
        }
    };
    need(Part::Account, spec, "/serviceAccountName");
    for secret in list(spec, "/imagePullSecrets") {
        need(Part::Secret, secret, "/name");
    }
    for field in ["/containers", "/initContainers", "/ephemeralContainers"] {
        for container in list(spec, field) {
            for env in list(container, "/env") {
                need(Part::Secret, env, "/valueFrom/secretKeyRef/name");
                need(Part::ConfigMap, env, "/valueFrom/configMapKeyRef/name");
            }
            for env in list(container, "/envFrom") {
                need(Part::Secret, env, "/secretRef/name");
                need(Part::ConfigMap, env, "/configMapRef/name");
            }
        }
    }
    let pod_name = text(pod, "/metadata/name");
    for volume in list(spec, "/volumes") {
        need(Part::Secret, volume, "/secret/secretName");
        need(Part::ConfigMap, volume, "/configMap/name");
        need(Part::Claim, volume, "/persistentVolumeClaim/claimName");
        if volume["ephemeral"].is_object() {
            let claim = Value::from(format!("{pod_name}-{}", text(volume, "/name")));
            need(Part::Claim, &claim, "");
        }
        need(Part::Secret, volume, "/azureFile/secretName");
        need(Part::Secret, volume, "/csi/nodePublishSecretRef/name");
        for source in volume.as_object().into_iter().flat_map(serde_json::Map::values) {
            need(Part::Secret, source, "/secretRef/name");
        }
        for source in list(volume, "/projected/sources") {
            need(Part::Secret, source, "/secret/name");
            need(Part::ConfigMap, source, "/configMap/name");
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_needs_what_it_names() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "nodeName": "n", "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env"}}}, {"valueFrom": {"configMapKeyRef": {"name": "cm-env"}}}],
                "envFrom": [{"secretRef": {"name": "from"}}, {"configMapRef": {"name": "cm-from"}}]}],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "init"}}]}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "volume"}}, {"name": "b", "configMap": {"name": "cm-volume"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}}, {"name": "d", "ephemeral": {}},
                {"name": "e", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "cm-projected"}}]}},
                {"name": "f", "cephfs": {"secretRef": {"name": "ceph"}}}, {"name": "g", "csi": {"nodePublishSecretRef": {"name": "csi"}}},
            ],
        }});
        let told: Vec<String> =
            needs(&pod).iter().map(|(part, name)| format!("{part:?} {name}")).collect();
        expect_test::expect![[r#"
            Pod p
            Secret ceph
            Secret csi
            Secret env
            Secret from
            Secret init
            Secret projected
            Secret pull
            Secret volume
            ConfigMap cm-env
            ConfigMap cm-from
            ConfigMap cm-projected
            ConfigMap cm-volume
            Claim claim
            Claim p-d
            Account sa"#]]
        .assert_eq(&told.join("\n"));
        let mut mirror = pod;
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(needs(&mirror).len(), 1);
    }
}
