//! The nodes of the cluster until node agents run on them: fake ones, on which pods live without containers, and ones on which pods wait.
//!
//! Both are registered in the same way and renew their leases. For each pod that is placed on one of them, `engine` asks [`stage`] what comes
//! next and writes it.

mod engine;
pub mod layout;
mod leases;
pub mod object;
pub mod stage;

use jiff::Timestamp;
use layout::Layout;
use moat_apiserver::{At, Client, Gvr, Status};
use object::{Capacity, Sort};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

static NODES: Gvr = Gvr::new("", "v1", "nodes");

/// Which nodes a cluster has.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Nodes without an agent: `node-1` and so on.
    pub n_agentless: usize,
    /// Fake nodes: `fake-1` and so on.
    pub n_fake: usize,
    /// Labels of all of them, besides those that every node has.
    pub labels: Vec<(String, String)>,
    /// What each offers.
    pub capacity: Capacity,
    /// Where pods have their addresses.
    pub pods: moat_sets::Cidr,
}

impl Default for Wanted {
    /// No nodes; pods would have their addresses from 10.244.0.0/16.
    fn default() -> Self {
        Self {
            n_agentless: 0,
            n_fake: 0,
            labels: Vec::new(),
            capacity: Capacity::default(),
            pods: moat_sets::Cidr::new(std::net::Ipv4Addr::new(10, 244, 0, 0).into(), 16),
        }
    }
}

/// A registered node.
#[derive(Clone, Debug)]
struct Node {
    sort: Sort,
    uid: String,
    address: IpAddr,
    pods: moat_sets::Cidr,
}

/// Nodes that live. Dropping them lets them fall silent.
#[derive(Debug)]
pub struct Nodes {
    tasks: JoinSet<()>,
}

impl Nodes {
    /// Registers the nodes and keeps them alive. When this returns, all are there and ready.
    ///
    /// Errors: the pods' range is too small, or the server refuses a node.
    pub async fn start(client: &Client, wanted: &Wanted) -> Result<Self, String> {
        let n_nodes = wanted.n_agentless + wanted.n_fake;
        let layout = Layout::new(wanted.pods, n_nodes, wanted.capacity.pods)?;
        let agentless =
            (0..wanted.n_agentless).map(|at| (format!("node-{}", at + 1), Sort::Agentless));
        let fake = (0..wanted.n_fake).map(|at| (format!("fake-{}", at + 1), Sort::Fake));
        let mut nodes = BTreeMap::new();
        for (idx, (name, sort)) in agentless.chain(fake).enumerate() {
            let spec = object::Spec {
                name: &name,
                sort,
                labels: &wanted.labels,
                capacity: &wanted.capacity,
                address: layout.node(idx),
                pods: layout.pods(idx),
                version: moat_apiserver::GIT_VERSION,
            };
            let refused = |status: Status| {
                format!("the node {name} cannot be registered: {}", status.message)
            };
            let node = register(client, &spec).await.map_err(refused)?;
            nodes.insert(name, node);
        }
        let nodes = Arc::new(nodes);
        let mut tasks = JoinSet::new();
        let renewed = leases::renew(client, &nodes).await;
        renewed.map_err(|status| format!("the nodes' leases: {}", status.message))?;
        tasks.spawn(leases::keep(client.clone(), Arc::clone(&nodes)));
        tasks.spawn(engine::run(client.clone(), nodes));
        Ok(Self { tasks })
    }

    /// Lets all nodes fall silent.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Makes the node, or takes over the one that is there from before, and reports its status.
async fn register(client: &Client, spec: &object::Spec<'_>) -> Result<Node, Status> {
    let at = NODES.at("", spec.name);
    let found = match client.get(at).await {
        Ok(found) => found,
        Err(status) if status.code == 404 => {
            client.create(NODES.at("", ""), object::object(spec)).await?
        }
        Err(status) => return Err(status),
    };
    // What it was given when it was made, it keeps: pods have addresses of that range.
    let pods = found["spec"]["podCIDR"].as_str().and_then(|text| moat_sets::Cidr::parse(text).ok());
    let mut reported = found.clone();
    reported["status"] = object::status(spec, &found["status"], Timestamp::now());
    client.update(At { subresource: "status", ..at }, reported).await?;
    Ok(Node {
        sort: spec.sort,
        uid: found["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        address: spec.address,
        pods: pods.unwrap_or(spec.pods),
    })
}

/// A string somewhere in an object.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
