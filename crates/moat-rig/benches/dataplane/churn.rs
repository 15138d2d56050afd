//! A node as it is on most days: pods come, go and get other labels, now and then a policy is edited, and the agent begins anew a hundred
//! times. Through all of it one pod floods another that it must not reach.

use crate::clock::{quantile, show};
use crate::leak::{
    CLIENT_DENIES, Flooded, PORT, SERVER_DENIES, at_most, clear, document, n_updates, sensitivity,
    under_flood,
};
use crate::site::Site;
use crate::table::{Row, section};
use crate::worlds::quiet;
use moat_bench::World;
use moat_compile::{Binding, Changed, Dialect, PodChange, PodName, PolicyChange, compile};
use moat_ir::{End, Flow, PodIdx, Verdict};
use moat_kernel::keeper::Keeper;
use moat_kernel::nft::Ownership;
use moat_load::Input;
use moat_model::Policy;
use moat_model::inventory::{Inventory, Pod};
use moat_nft::render::{Node, Ruleset, Settings, What, gates};
use moat_sets::{AddrSet, Family, Protocol, ServicePoint};
use moat_testkit::rng::Rng;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::runtime::Runtime;

const NODE: &str = "here";
const N_LOCAL: usize = 12;
const N_REMOTE: usize = 60;
const N_RESTARTS: usize = 100;
/// Of a hundred events, so many edit a policy.
const N_EDITS: usize = 8;
const TIERS: [&str; 4] = ["a", "b", "c", "d"];

/// Policies that are there whatever else is: what pods of which tier may, which pods that come, go and change are peers of. None of them
/// lets UDP through to the port that the flood goes to.
const ALWAYS: [&str; 3] = [
    "{podSelector: {matchLabels: {tier: a}}, ingress: [{from: [{podSelector: {matchLabels: {tier: b}}}, {podSelector: {matchLabels: {tier: c}}}], ports: [{port: 80}, {port: 8000, endPort: 8100}]}]}",
    "{podSelector: {matchLabels: {tier: b}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: tier, operator: In, values: [c, d]}]}}], ports: [{port: 53}]}]}",
    "{podSelector: {matchExpressions: [{key: tier, operator: In, values: [a, b]}]}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}, {to: [{podSelector: {matchLabels: {tier: d}}}], ports: [{port: 80}, {port: 8000, endPort: 8100}]}]}",
];

/// The agent of the node.
struct Agent<'a> {
    site: &'a Site,
    /// Every pod, whether it is there or not.
    pods: Vec<(Pod, bool)>,
    lists: Vec<Vec<Policy>>,
    list: usize,
    state: State,
}

/// What it knows, and forgets when it begins anew.
struct State {
    binding: Binding,
    ruleset: Ruleset,
    keeper: Keeper,
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Pod,
    Label,
    Address,
    Policy,
    Restart,
}

fn inventory() -> (Inventory, Vec<Vec<Policy>>) {
    let mut text = String::from("{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n");
    let mut pod = |name: &str, app: &str, tier: &str, node: &str, address: Ipv4Addr| {
        text += &format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: a, labels: {{app: {app}, tier: {tier}}}}}, spec: {{nodeName: {node}, containers: [{{name: c, image: i}}]}}, status: {{podIPs: [{{ip: {address}}}]}}}}\n"
        );
    };
    pod("client", "client", "a", NODE, Ipv4Addr::new(10, 244, 9, 2));
    pod("server", "server", "b", NODE, Ipv4Addr::new(10, 244, 9, 3));
    for at in 0..N_LOCAL + N_REMOTE {
        let (node, third) = if at < N_LOCAL { (NODE, 9) } else { ("there", 8) };
        let address = Ipv4Addr::new(10, 244, third, u8::try_from(at + 10).unwrap());
        pod(&format!("pod-{at}"), "other", TIERS[at % TIERS.len()], node, address);
    }
    let mut lists = Vec::new();
    let mut inventory = None;
    for own in SERVER_DENIES.iter().chain(&CLIENT_DENIES) {
        let always = ALWAYS.iter().enumerate().map(|(at, policy)| {
            document(policy).replace("name: p,", &format!("name: always-{at},"))
        });
        let policies: Vec<String> = always.chain([document(own)]).collect();
        let text = format!("{text}---\n{}\n", policies.join("\n---\n"));
        let world = World::read(&[Input::Text { name: "a.yaml".into(), text }]);
        assert_eq!(world.lowered.diagnostics, [], "{own}");
        lists.push(world.lowered.policies);
        inventory = Some(world.lowered.inventory);
    }
    (inventory.unwrap(), lists)
}

/// The policy by which lists differ.
fn own(list: &[Policy]) -> &Policy {
    list.iter().find(|policy| policy.id.name.as_ref() == "p").unwrap()
}

impl State {
    async fn new(site: &Site, policies: &[Policy], inventory: Inventory) -> Self {
        let binding = Binding::new(Arc::new(compile(policies, &[])), inventory, Dialect::MOAT);
        // Few pods, dispatched as many are.
        let settings = Settings { dispatch_room: 4, ..quiet() };
        let ruleset = Ruleset::new(binding.bound(), None, &node(&binding), &settings);
        let mut keeper = Keeper::open(&site.node, "moat", Ownership::Plain, gates()).await.unwrap();
        keeper.set(ruleset.table()).await.unwrap();
        Self { binding, ruleset, keeper }
    }

    /// That the engine denies what is flooded, so that it must not arrive.
    fn assert_denied(&self) {
        let bound = self.binding.bound();
        let named = |name: &str| {
            let at = bound.pods.iter().position(|pod| pod.name.as_ref() == name).unwrap();
            End::Pod(u32::try_from(at).unwrap())
        };
        let flow = Flow {
            from: named("client"),
            to: named("server"),
            point: ServicePoint::new(Protocol::Udp, PORT),
            family: Family::V4,
        };
        assert_eq!(bound.decide(&flow).verdict, Verdict::Denied);
    }
}

/// The node with all of its addresses, whoever has them at the moment.
fn node(binding: &Binding) -> Node {
    let bound = binding.bound();
    let all = 0..PodIdx::try_from(bound.pods.len()).unwrap();
    let there = all.filter(|&idx| !bound.pod(idx).is_gone());
    let range = ([10, 244, 9, 0].into(), [10, 244, 9, 255].into());
    let pod_addresses = AddrSet::from_ranges([range]);
    Node { pod_addresses, ..Node::of(bound, NODE, there) }
}

impl<'a> Agent<'a> {
    async fn new(site: &'a Site) -> Self {
        let (inventory, lists) = inventory();
        let pods = inventory.pods.iter().map(|pod| (pod.clone(), true)).collect();
        let state = State::new(site, &lists[0], inventory).await;
        Self { site, pods, lists, list: 0, state }
    }

    /// An event of which the flood is none.
    async fn event(&mut self, dice: &mut Rng) -> Event {
        let kind = dice.below(100);
        let event = match kind {
            kind if kind < N_EDITS => Event::Policy,
            kind if kind < 45 => Event::Pod,
            kind if kind < 80 => Event::Label,
            _ => Event::Address,
        };
        if event == Event::Policy {
            let others = (1..self.lists.len()).nth(dice.below(self.lists.len() - 1)).unwrap();
            let old = own(&self.lists[self.list]).clone();
            self.list = (self.list + others) % self.lists.len();
            let list = &self.lists[self.list];
            let binding = &mut self.state.binding;
            let changed = match own(list) {
                new if new.id == old.id => binding.policy(PolicyChange::Set(new.clone())),
                _ => binding.policies(Arc::new(compile(list, &[]))),
            };
            self.follow(&changed).await;
            return event;
        }
        let at = dice.below(self.pods.len());
        let (pod, is_there) = &mut self.pods[at];
        let is_end = matches!(pod.name.as_ref(), "client" | "server");
        let is_local = pod.node.as_deref() == Some(NODE);
        let change = match event {
            Event::Pod if !is_end && *is_there => {
                *is_there = false;
                PodChange::Remove(PodName {
                    namespace: pod.namespace.clone(),
                    kind: pod.kind.clone(),
                    name: pod.name.clone(),
                })
            }
            Event::Address if !is_end && !is_local => {
                let last = u8::try_from(dice.below(200)).unwrap();
                // Now and then where another pod is already.
                pod.addresses = vec![IpAddr::from([10, 244, 7, last])];
                *is_there = true;
                PodChange::Set(pod.clone())
            }
            _ => {
                pod.labels.set("tier", TIERS[dice.below(TIERS.len())]);
                *is_there = true;
                PodChange::Set(pod.clone())
            }
        };
        let changed = self.state.binding.pods(vec![change]);
        self.follow(&changed).await;
        event
    }

    async fn follow(&mut self, changed: &Changed) {
        let State { binding, ruleset, keeper } = &mut self.state;
        let bound = binding.bound();
        let addresses = changed.addresses(bound);
        let what = match changed {
            Changed::Nothing | Changed::Pods(_) => What::Addresses(&addresses),
            Changed::Policy(splice, programs) => What::Policy(splice, programs),
            Changed::Policies(before) => What::Policies(before),
            Changed::Whole => What::All,
        };
        let edit = ruleset.follow(bound, None, &node(binding), what);
        let applied = keeper.change(&edit).await.unwrap();
        assert_eq!((applied.closed, applied.foreign), (vec![], vec![]));
    }

    /// Begins anew on what is there, as after a crash between two changes: nothing is tidied, and all is made of what the API says now.
    async fn restart(&mut self) {
        let pods = self.pods.iter().filter(|(_, is_there)| *is_there).map(|(pod, _)| pod.clone());
        let inventory =
            Inventory { pods: pods.collect(), ..self.state.binding.inventory().clone() };
        self.state = State::new(self.site, &self.lists[self.list], inventory).await;
    }
}

pub(crate) fn run(runtime: &Runtime) {
    section("packets that must be denied, while pods and policies change");
    let ends = [[10, 244, 9, 2], [10, 244, 9, 3]].map(IpAddr::from);
    let site = runtime.block_on(Site::new(ends[0], ends[1]));
    let (n_updates, at_most) = (n_updates(), at_most());
    let begin = || runtime.block_on(Agent::new(&site));
    let flooded = under_flood(&site, begin, |mut agent, step: &AtomicU64| {
        let mut dice = Rng::new(7);
        let mut events: Vec<Event> = Vec::with_capacity(n_updates);
        let mut times: BTreeMap<Event, Vec<f64>> = BTreeMap::new();
        let start = Instant::now();
        let each = (n_updates / N_RESTARTS).max(1);
        runtime.block_on(async {
            while events.len() < n_updates && start.elapsed() < at_most {
                step.store(events.len() as u64, Ordering::Relaxed);
                let from = Instant::now();
                let event = if events.len() % each == each / 2 {
                    agent.restart().await;
                    Event::Restart
                } else {
                    agent.event(&mut dice).await
                };
                times.entry(event).or_default().push(from.elapsed().as_secs_f64());
                events.push(event);
                agent.state.assert_denied();
            }
        });
        (events, times)
    });
    clear(runtime, &site);
    let Flooded { result: (events, times), took, leaks, n_denied } = flooded;
    let n = |event| times.get(&event).map_or(0, Vec::len);
    let mut by_event: BTreeMap<Event, usize> = BTreeMap::new();
    for &leak in &leaks {
        *by_event.entry(events[leak as usize]).or_default() += 1;
    }
    let p50: Vec<String> = times
        .iter()
        .map(|(event, times)| format!("{event:?} {}", show(quantile(times, 0.5))).to_lowercase())
        .collect();
    Row {
        what: "leaked: as the agent does on most days".to_owned(),
        value: leaks.len().to_string(),
        goal: "0".to_owned(),
        met: Some(leaks.is_empty()),
        note: format!(
            "{} updates in {:.1} s ({} % edit one of {} policies; {} restarts), {n_denied} packets denied; p50 under the flood: {}{}",
            events.len() - n(Event::Restart),
            took.as_secs_f64(),
            n(Event::Policy) * 100 / events.len().max(1),
            ALWAYS.len() + 1,
            n(Event::Restart),
            p50.join(", "),
            if by_event.is_empty() { String::new() } else { format!("; leaked in {by_event:?}") }
        ),
        ..Row::default()
    }
    .print();
    sensitivity(runtime, &site);
}
