//! How long a change takes from the event to the kernel's word that it holds, and what a first load costs.
//!
//! A change is in force when the kernel has committed the rules by which every packet that begins from then on is judged as the new state says:
//! what comes before that is measured, the waiting for packets in flight among it. What no packet meets any more is taken away later, and
//! how long that takes is said beside it.

use crate::clock::{self, quantile, show};
use crate::table::{Row, section};
use crate::worlds::{Cluster, size};
use moat_compile::{Binding, Changed, Dialect, PodChange, PodName, PolicyChange, compile};
use moat_ir::PodIdx;
use moat_kernel::keeper::{Applied, Keeper};
use moat_kernel::netns::Netns;
use moat_kernel::nft::{Nft, Ownership};
use moat_model::Policy;
use moat_model::inventory::{Inventory, Pod};
use moat_model::policy::{PortMatch, Ports};
use moat_nft::model::{Element, Name, Op, Rule, Set, SetKey, Statement, Table};
use moat_nft::plan::plan;
use moat_nft::render::{Ruleset, Settings, What, gates};
use moat_sets::{PortSet, Protocol, ServicePoint};
use moat_testkit::rng::Rng;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::sleep;

const N_CHANGES: usize = 100;
/// Of the kind that is drawn.
const N_DRAWN: usize = 400;
/// Between two events.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn run(runtime: &Runtime) {
    load(runtime);
    graces();
    let spread = Cluster::spread(10_000, 1_000, 100);
    changes(runtime, "2 policies a namespace", spread);
    let dense = Cluster::dense(10_000, 1_000, 100);
    changes(runtime, "12 policies a namespace", dense);
}

/// The parts of a change, in order; of the last, the waiting for packets in flight.
const PARTS: [&str; 3] = ["bind", "render", "apply"];

/// What the kernel takes to wait for all packets in flight, when there are none: no change that waits can take less.
fn graces() {
    section("waiting for packets in flight, none of which is under way");
    let kinds: [(&str, fn()); 2] = [
        ("a quick grace", || moat_kernel::grace::quick().unwrap()),
        ("a calm grace", moat_kernel::grace::calm),
    ];
    for (what, grace) in kinds {
        let took = (0..N_CHANGES).map(|_| {
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            grace();
            start.elapsed().as_secs_f64()
        });
        let took: Vec<f64> = took.collect();
        Row {
            what: format!("{what}, p50, wall"),
            value: show(quantile(&took, 0.5)),
            note: format!("p99 {}", show(quantile(&took, 0.99))),
            ..Row::default()
        }
        .print();
    }
}

/// What changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A pod or a policy of the cluster, drawn like what becomes of it: what a node meets.
    Any,
    /// A pod of another node gets another address, or its own back.
    Address,
    /// A pod of another node goes, or comes back.
    Remote,
    /// A label of a pod of another node that policies look at.
    PeerLabel,
    /// A label of a pod of this node that policies look at.
    Label,
    /// A pod of this node goes, or comes back.
    Local,
    /// A policy for pods of this node isolates their egress too, or does not.
    Policy,
    /// A policy for pods of this node allows another port, or does not.
    Port,
    /// A policy for pods of this node goes, or comes back.
    Whole,
}

const KINDS: [(Kind, &str); 8] = [
    (Kind::Any, "any pod or policy"),
    (Kind::Address, "a peer's address"),
    (Kind::Remote, "a peer goes or comes"),
    (Kind::Label, "a local pod's label"),
    (Kind::Local, "a local pod goes or comes"),
    (Kind::Policy, "a policy isolates egress or not"),
    (Kind::Port, "a policy's port"),
    (Kind::Whole, "a policy goes or comes"),
];

/// The agent of one node: what it does for an event, with the time that each part takes.
struct Agent {
    cluster: Cluster,
    binding: Binding,
    ruleset: Ruleset,
    keeper: Keeper,
    /// The pod that changes, local or a peer.
    peer: Pod,
    local: Pod,
    /// The policy that changes.
    policy: Policy,
    /// What is drawn.
    drawn: Kind,
    rng: Rng,
}

/// What the API server tells.
enum Event {
    Pod(PodChange),
    Policy(PolicyChange),
}

impl Agent {
    async fn new(cluster: Cluster, netns: &Netns) -> Self {
        let settings = Settings::default();
        let policies = &cluster.lowered.policies;
        let inventory = cluster.placed.inventory.clone();
        let symbolic = Arc::new(compile(policies, &[]));
        let binding = Binding::new(symbolic, inventory.clone(), Dialect::MOAT);
        let ruleset = Ruleset::new(binding.bound(), None, &cluster.node(), &settings);
        let mut keeper = Keeper::open(netns, "moat", Ownership::Owned, gates()).await.unwrap();
        keeper.set(ruleset.table()).await.unwrap();
        let at = peer(&inventory, cluster.node, ruleset.table());
        let peer = inventory.pods[at].clone();
        let here = |pod: &&Pod| pod.node.as_deref() == Some(cluster.node);
        let local = inventory.pods.iter().find(here).unwrap().clone();
        let near = |policy: &&Policy| policy.id.namespace == local.namespace;
        let policy = policies.iter().find(near).unwrap().clone();
        let (drawn, rng) = (Kind::Any, Rng::new(4711));
        Self { cluster, binding, ruleset, keeper, peer, local, policy, drawn, rng }
    }

    /// Draws a pod or a policy, as often the one as the other, and what becomes of it.
    fn draw(&mut self) -> Kind {
        if self.rng.one_in(2) {
            self.policy = self.rng.pick(&self.cluster.lowered.policies).clone();
            return *self.rng.pick(&[Kind::Policy, Kind::Port, Kind::Whole]);
        }
        let pod = self.rng.pick(&self.cluster.placed.inventory.pods).clone();
        if pod.node.as_deref() == Some(self.cluster.node) {
            self.local = pod;
            *self.rng.pick(&[Kind::Label, Kind::Local])
        } else {
            self.peer = pod;
            *self.rng.pick(&[Kind::Address, Kind::Remote, Kind::PeerLabel])
        }
    }

    /// One event; how long each part took, and what it came to.
    async fn change(&mut self, kind: Kind, step: usize) -> ([f64; 3], Applied, usize) {
        let even = step.is_multiple_of(2);
        // What is drawn changes, and changes back.
        if kind == Kind::Any && even {
            self.drawn = self.draw();
        }
        let kind = if kind == Kind::Any { self.drawn } else { kind };
        let gone = |pod: &Pod| {
            PodChange::Remove(PodName {
                namespace: pod.namespace.clone(),
                kind: pod.kind.clone(),
                name: pod.name.clone(),
            })
        };
        let mut own = match kind {
            Kind::Address | Kind::Remote | Kind::PeerLabel => self.peer.clone(),
            _ => self.local.clone(),
        };
        let mut policy = self.policy.clone();
        let event = match kind {
            Kind::Policy => {
                policy.isolates_egress ^= even;
                Event::Policy(PolicyChange::Set(policy))
            }
            Kind::Port => {
                let port = PortSet::point(ServicePoint::new(Protocol::Tcp, 4711));
                for rule in policy.rules.iter_mut().filter(|_| even) {
                    match &mut rule.ports {
                        Ports::List(list) => list.push(PortMatch::Numbers(port.clone())),
                        ports @ Ports::Any => {
                            *ports = Ports::List(vec![PortMatch::Numbers(port.clone())]);
                        }
                    }
                }
                Event::Policy(PolicyChange::Set(policy))
            }
            Kind::Whole if even => Event::Policy(PolicyChange::Remove(policy.id)),
            Kind::Whole => Event::Policy(PolicyChange::Set(policy)),
            Kind::Remote | Kind::Local if even => Event::Pod(gone(&own)),
            Kind::Address if even => {
                own.addresses = vec![[192, 0, 2, 1].into()];
                Event::Pod(PodChange::Set(own))
            }
            Kind::Label | Kind::PeerLabel if even => {
                own.labels.set("app", "changed");
                own.labels.set("tier", "changed");
                Event::Pod(PodChange::Set(own))
            }
            _ => Event::Pod(PodChange::Set(own)),
        };
        let start = Instant::now();
        let changed = match event {
            Event::Policy(change) => self.binding.policy(change),
            Event::Pod(change) => self.binding.pods(vec![change]),
        };
        let mut times = [start.elapsed().as_secs_f64(), 0.0, 0.0];
        let bound = self.binding.bound();
        let addresses: Vec<IpAddr>;
        let what = match &changed {
            Changed::Nothing => What::Addresses(&[]),
            Changed::Pods(_) => {
                addresses = changed.addresses(bound);
                What::Addresses(&addresses)
            }
            Changed::Policy(splice, programs) => What::Policy(splice, programs),
            Changed::Policies(before) => What::Policies(before),
            Changed::Whole => What::All,
        };
        // An agent knows its own pods; whoever they are is no part of what is measured.
        let node = match (kind, &changed) {
            (Kind::Local, Changed::Pods(_)) => {
                let mut node = self.cluster.node();
                let gone = |idx: &PodIdx| bound.pod(*idx).is_gone();
                node.pods.retain(|idx| !gone(idx));
                node
            }
            _ => self.cluster.node(),
        };
        let start = Instant::now();
        let edit = self.ruleset.follow(bound, None, &node, what);
        times[1] = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let applied = self.keeper.change(&edit).await.unwrap();
        times[2] = start.elapsed().as_secs_f64();
        (times, applied, edit.ops().len())
    }
}

fn changes(runtime: &Runtime, what: &str, cluster: Cluster) {
    let netns = Netns::new().unwrap();
    runtime.block_on(async {
        // Before anybody watches: then the kernel would write notes on what is done here, too.
        floors(&cluster.render(&Settings::default()).table).await;
        let mut agent = Agent::new(cluster, &netns).await;
        let chosen = (agent.peer.clone(), agent.local.clone(), agent.policy.clone());
        let (n_chains, n_elements) = size(agent.ruleset.table());
        section(&format!(
            "one change, event to kernel commit, {} pods, {} policies ({what}), {} pods here; {} programs, {n_chains} chains, {n_elements} elements",
            agent.binding.bound().pods.len(),
            agent.cluster.lowered.policies.len(),
            agent.cluster.node().pods.len(),
            agent.binding.bound().programs.len(),
        ));
        // `MOAT_BENCH_CHANGES` names those that are wanted, by a part of their names.
        let wanted = std::env::var("MOAT_BENCH_CHANGES").unwrap_or_default();
        for (kind, name) in KINDS.into_iter().filter(|(_, name)| name.contains(&wanted)) {
            // Others may have been drawn.
            (agent.peer, agent.local, agent.policy) = chosen.clone();
            let mut cpu: Vec<f64> = Vec::new();
            let mut parts: [Vec<f64>; 3] = Default::default();
            let (mut wall, mut waited, mut tidied) = (Vec::new(), Vec::new(), Vec::new());
            let mut committing = Vec::new();
            let mut steps = Vec::new();
            let (mut n_transactions, mut n_closed) = (0, 0);
            let n_changes = if kind == Kind::Any { N_DRAWN } else { N_CHANGES };
            for step in 0..n_changes {
                let begun = clock::process();
                let (times, applied, n_steps) = agent.change(kind, step).await;
                steps.push(n_steps as f64);
                cpu.push(clock::process() - begun);
                // The new state is in force before this.
                let tidying = Instant::now();
                agent.keeper.tidy().await.unwrap();
                tidied.push(tidying.elapsed().as_secs_f64());
                // An event by itself: packets of the state before have finished, what they needed is gone, and the machine has been doing
                // other things since.
                agent.keeper.rest().await.unwrap();
                sleep(PAUSE).await;
                wall.push(times.iter().sum());
                waited.push(applied.waited.as_secs_f64());
                committing.push(applied.committing.as_secs_f64());
                parts.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
                n_transactions += applied.n_transactions;
                n_closed += usize::from(!applied.closed_meanwhile.is_empty());
            }
            for (share, quantum, goal) in [(0.5, "p50", 1e-3), (0.99, "p99", 10e-3)] {
                let took = quantile(&wall, share);
                let part = |(part, times): (&&str, &Vec<f64>)| {
                    format!("{part} {}", show(quantile(times, share)))
                };
                let parts: Vec<String> = PARTS.iter().zip(&parts).map(part).collect();
                // What is drawn is what a node meets. Of each kind by itself no more is asked than that none takes long: of those that need other
                // rules, the kernel alone takes most of a millisecond (its floors above).
                let is_asked = kind == Kind::Any || quantum == "p99";
                Row {
                    what: format!("{name}, {quantum}, wall"),
                    value: show(took),
                    goal: if is_asked { format!("at most {}", show(goal)) } else { String::new() },
                    met: is_asked.then_some(took <= goal),
                    note: format!(
                        "{}, of it waited {}, sent and committed {}; tidied {} later; CPU of all {}; {} steps in {:.1} transactions, {n_closed} of {n_changes} close a pod meanwhile",
                        parts.join(", "),
                        show(quantile(&waited, share)),
                        show(quantile(&committing, share)),
                        show(quantile(&tidied, share)),
                        show(quantile(&cpu, share)),
                        quantile(&steps, share),
                        n_transactions as f64 / n_changes as f64
                    ),
                    ..Row::default()
                }
                .print();
            }
        }
    });
}

/// What the kernel takes for the smallest transactions of each kind, on a table like this: no change that needs one can take less.
async fn floors(table: &Table) {
    let (n_chains, n_elements) = size(table);
    section(&format!(
        "the kernel's smallest transactions, among {n_chains} chains and {n_elements} elements"
    ));
    let netns = Netns::new().unwrap();
    let nft = Nft::open(&netns, "moat", Ownership::Owned).unwrap();
    let mut generation = nft.apply(&plan(None, table), None).await.unwrap();
    let is_plain = |set: &&Set| !set.map && !set.interval && set.key == SetKey::V4;
    let of_peers = table.sets.iter().filter(|(_, set)| is_plain(set));
    let (set, _) = of_peers.max_by_key(|(_, set)| set.elements.len()).unwrap();
    let (_, leads) = table.sets.iter().find(|(name, _)| name.starts_with("in4_")).unwrap();
    let to = leads.elements.values().next().cloned().unwrap();
    let element = || vec![(Element::V4([192, 0, 2, 1].into()), None)];
    let jump = Rule::new(to.map(Statement::Verdict).into_iter().collect());
    let count = Rule::new(vec![Statement::Counter]);
    let chain: Name = "floor".into();
    let make = || Op::AddChain(chain.clone(), None);
    nft.apply(&[Op::AddChain("empty".into(), None)], Some(generation)).await.unwrap();
    generation += 1;
    let empty: Name = "empty".into();
    let kinds: [(&str, Vec<Op>, Vec<Op>); 4] = [
        (
            "an element of a set",
            vec![Op::AddElements(set.clone(), element())],
            vec![Op::DelElements(set.clone(), element())],
        ),
        ("an empty chain", vec![make()], vec![Op::DelChain(chain.clone())]),
        (
            "a rule that leads nowhere",
            vec![Op::AddRule(empty.clone(), count)],
            vec![Op::FlushChain(empty.clone())],
        ),
        (
            "a rule that leads to a group",
            vec![Op::AddRule(empty.clone(), jump)],
            vec![Op::FlushChain(empty.clone())],
        ),
    ];
    for (what, add, remove) in kinds {
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for step in 0..N_CHANGES {
            sleep(PAUSE).await;
            let ops = if step % 2 == 0 { &add } else { &remove };
            let (start, begun) = (Instant::now(), clock::process());
            generation = nft.apply(ops, Some(generation)).await.unwrap();
            wall.push(start.elapsed().as_secs_f64());
            cpu.push(clock::process() - begun);
        }
        Row {
            what: format!("the kernel's floor: {what}, p50, wall"),
            value: show(quantile(&wall, 0.5)),
            note: format!("p99 {}; CPU {}", show(quantile(&wall, 0.99)), show(quantile(&cpu, 0.5))),
            ..Row::default()
        }
        .print();
    }
}

/// A pod of another node whose address is in a set of peers.
fn peer(inventory: &Inventory, node: &str, table: &Table) -> usize {
    let known = |address: &IpAddr| match address {
        IpAddr::V4(own) => table.sets.iter().any(|(name, set)| {
            let of_group = name.starts_with("ingress") || name.starts_with("egress");
            of_group && set.elements.contains_key(&Element::V4(*own))
        }),
        IpAddr::V6(_) => false,
    };
    let is = |pod: &Pod| pod.node.as_deref() != Some(node) && pod.addresses.iter().any(known);
    inventory.pods.iter().position(is).expect("a node's pods have peers elsewhere")
}

/// The first load of a node that has about a hundred thousand elements.
fn load(runtime: &Runtime) {
    let cluster = Cluster::dense(10_000, 1_000, 100);
    let settings = Settings::default();
    let mut node = cluster.node();
    let mut rendered = cluster.render(&settings);
    // Fewer pods, until their elements are not more than needed.
    while size(&rendered.table).1 > 110_000 && node.pods.len() > 1 {
        node.pods.truncate(node.pods.len() * 9 / 10);
        rendered = moat_nft::render::render(cluster.bound(), &node, &settings);
    }
    let (n_chains, n_elements) = size(&rendered.table);
    section(&format!(
        "first load, {} pods here, {n_chains} chains, {n_elements} elements",
        node.pods.len()
    ));
    let mut all: [Vec<f64>; 4] = Default::default();
    for _ in 0..5 {
        let netns = Netns::new().unwrap();
        let start = clock::process();
        let table = moat_nft::render::render(cluster.bound(), &node, &settings).table;
        let rendered = clock::process();
        let ops = plan(None, &table);
        let planned = clock::process();
        let applied = runtime.block_on(async {
            let nft = Nft::open(&netns, "moat", Ownership::Plain).unwrap();
            nft.apply(&ops, None).await.unwrap();
            clock::process()
        });
        let times = [rendered - start, planned - rendered, applied - planned, applied - start];
        for (all, time) in all.iter_mut().zip(times) {
            all.push(time);
        }
    }
    let scale = 100_000.0 / n_elements as f64;
    let [render, plan, apply, whole] = all.map(|times| quantile(&times, 0.5) * scale);
    Row {
        what: "100k elements: render, plan and apply, CPU".to_owned(),
        value: show(whole),
        goal: "at most 500 ms".to_owned(),
        met: Some(whole <= 0.5),
        note: format!(
            "render {}, plan {}, apply {}; scaled by {scale:.2}",
            show(render),
            show(plan),
            show(apply)
        ),
        ..Row::default()
    }
    .print();
}
