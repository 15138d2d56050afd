//! The rendered ruleset, printed, read back and interpreted, decides and names reasons as `Bound::decide` does.
//!
//! Random worlds are placed on nodes; every flow between pods, nodes and addresses at the edges of prefixes is walked through the hooks
//! that its packet would pass on each node. `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_compile::Dialect;
use moat_ir::{AtomKind, Bound, Direction, End, Flow, Ground, Half, HalfReason, Verdict};
use moat_nft::interp::{self, Packet};
use moat_nft::model::{Hook, States, Table};
use moat_nft::reason::{Mark, Reasons};
use moat_nft::render::{Node, Settings, render, render_staged};
use moat_rig::place::place;
use moat_sets::{Family, Protocol, ServicePoint};
use moat_testkit::rng::Rng;
use moat_testkit::settings::{Settings as Bounds, seeds};
use moat_testkit::{engine, generate};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A placed world with the ruleset of each node.
struct World {
    bound: Bound,
    nodes: BTreeMap<Arc<str>, (Table, Reasons)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let objects = generate::world(seed, &Bounds::DEFAULT).objects;
        let mut lowered = engine::lower(&objects);
        place(&mut lowered.inventory, 1 + usize::try_from(seed % 3).unwrap());
        let symbolic = moat_compile::compile(&lowered.policies, &[]);
        let bound = moat_compile::bind(Arc::new(symbolic), &lowered.inventory, Dialect::MOAT);
        let nodes = lowered
            .inventory
            .nodes
            .iter()
            .map(|node| (node.name.clone(), rules(&bound, &node.name, &settings(seed))))
            .collect();
        Self { bound, nodes }
    }

    /// The node that has an address of its own.
    fn node_of(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.bound.node_by_address.get(&address)
    }

    /// The hooks that a packet from one address to another passes.
    fn path(&self, from: IpAddr, to: IpAddr) -> Vec<(Arc<str>, Hook)> {
        let pod_node = |address: IpAddr| {
            let idx = self.bound.pod_by_address.get(&address)?;
            self.bound.pod(*idx).node.clone()
        };
        let mut path = Vec::new();
        if let Some(node) = pod_node(from) {
            let here = self.node_of(to) == Some(&node);
            path.push((node, if here { Hook::Input } else { Hook::Forward }));
        }
        if let Some(node) = pod_node(to) {
            // From its own node a packet passes output only, and from a pod on its node it has passed forward already.
            let local = self.node_of(from) == Some(&node) || pod_node(from).as_ref() == Some(&node);
            if !local {
                path.push((node, Hook::Forward));
            }
        }
        path
    }
}

/// What a node's ruleset is made for: its pods with their addresses.
fn spec(bound: &Bound, node: &str) -> Node {
    Node::of(bound, node, 0..u32::try_from(bound.pods.len()).unwrap())
}

/// Dispatch maps are split by prefix where there are many pods; here now and then where there are two.
fn settings(seed: u64) -> Settings {
    let dispatch_room = if seed.is_multiple_of(2) { 1 } else { 16 };
    Settings { dispatch_room, ..Settings::default() }
}

fn rules(bound: &Bound, node: &Arc<str>, settings: &Settings) -> (Table, Reasons) {
    let rendered = render(bound, &spec(bound, node), settings);
    assert!(rendered.refused.is_empty());
    // What the kernel gets is what the text says.
    let read = moat_nft::parse::table(&moat_nft::print::text(&rendered.table)).unwrap();
    assert_eq!(read, rendered.table);
    (read, rendered.reasons)
}

/// Pods by each of their addresses, nodes, and the edges of address atoms.
fn ends(bound: &Bound) -> Vec<(End, IpAddr)> {
    let mut ends = Vec::new();
    for (idx, pod) in (0..).zip(&bound.pods) {
        if !pod.finished {
            ends.extend(pod.addresses.iter().map(|&address| (End::Pod(idx), address)));
        }
    }
    let mut outside: BTreeSet<IpAddr> = BTreeSet::new();
    for atom in 0..bound.atoms.n_addresses() {
        if let Some(AtomKind::Addresses { low, high }) = bound.atoms.get(atom) {
            outside.extend([low, high]);
        }
    }
    outside.retain(|address| !bound.pod_by_address.contains_key(address));
    ends.extend(outside.into_iter().map(|address| (End::Address(address), address)));
    ends
}

fn points(bound: &Bound) -> Vec<ServicePoint> {
    let edges = bound
        .programs
        .iter()
        .flat_map(|program| &program.stages)
        .flat_map(|stage| &stage.clauses)
        .flat_map(|clause| clause.ports.edges().map(|point| point.port));
    let around = |port: u16| [port.saturating_sub(1), port, port.saturating_add(1)];
    let ports: BTreeSet<u16> = edges.chain([80]).flat_map(around).collect();
    let mut points: Vec<ServicePoint> = Protocol::WITH_PORTS
        .into_iter()
        .flat_map(|protocol| ports.iter().map(move |&port| ServicePoint::new(protocol, port)))
        .collect();
    points.push(ServicePoint::new(Protocol::Other, 0));
    points
}

fn packet(from: IpAddr, to: IpAddr, point: ServicePoint) -> Packet {
    let protocol = match (point.protocol, Family::of(to)) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Sctp, _) => 132,
        (Protocol::Other, Family::V4) => 1,
        (Protocol::Other, Family::V6) => 58,
    };
    Packet {
        source: from,
        destination: to,
        protocol,
        port: (point.protocol != Protocol::Other).then_some(point.port),
        icmpv6_type: (protocol == 58).then_some(128),
        input: "eth0".into(),
        state: States { new: true, ..States::default() },
        mark: 0,
    }
}

/// What a half's record must say; `None` when nobody decides.
fn expected(half: &Half) -> Option<(bool, Ground)> {
    let ground = match &half.reason {
        HalfReason::Unmanaged | HalfReason::Exempt(_) => return None,
        HalfReason::Rules(rules) => Ground::Rules(
            rules.iter().filter(|matched| matched.certain).map(|matched| matched.clause).collect(),
        ),
        HalfReason::Isolated(policies) => Ground::Isolated(policies.clone()),
        HalfReason::Default => Ground::Default,
    };
    Some((half.verdict == Verdict::Allowed, ground))
}

/// How many flows were compared, how many of them denied.
fn check(seed: u64) -> (usize, usize) {
    let world = World::new(seed);
    let (mut n_flows, mut n_denied) = (0, 0);
    let ends = ends(&world.bound);
    let points = points(&world.bound);
    for (from, source) in &ends {
        for (to, destination) in &ends {
            let pods = [from, to].map(|end| matches!(end, End::Pod(_)));
            if Family::of(*source) != Family::of(*destination) || pods == [false; 2] {
                continue;
            }
            let path = world.path(*source, *destination);
            for &point in &points {
                let flow =
                    Flow { from: from.clone(), to: to.clone(), point, family: Family::of(*source) };
                let answer = world.bound.decide(&flow);
                if answer.verdict == Verdict::Undefined {
                    continue;
                }
                n_flows += 1;
                n_denied += usize::from(answer.verdict == Verdict::Denied);
                compare(seed, &world, &flow, &answer, (*source, *destination), &path);
            }
        }
    }
    (n_flows, n_denied)
}

fn compare(
    seed: u64,
    world: &World,
    flow: &Flow,
    answer: &moat_ir::Answer,
    (source, destination): (IpAddr, IpAddr),
    path: &[(Arc<str>, Hook)],
) {
    let mut accepted = true;
    let mut seen: Vec<(Direction, bool, Ground)> = Vec::new();
    for (node, hook) in path {
        let (table, reasons) = &world.nodes[node];
        let fate = interp::run(table, *hook, &packet(source, destination, flow.point));
        for prefix in &fate.logged {
            let Some(Mark::Decided { direction, allow, reason }) = Mark::parse(prefix) else {
                panic!("seed {seed}: {prefix} for {flow:?}");
            };
            let reason = &reasons[&reason];
            assert_eq!((reason.direction, reason.decision.allow), (direction, allow));
            seen.push((direction, allow, reason.decision.ground.clone()));
        }
        if !fate.accepted {
            accepted = false;
            break;
        }
    }
    let mut want = Vec::new();
    for (direction, half) in
        [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)]
    {
        if let Some((allow, ground)) = expected(half) {
            want.push((direction, allow, ground));
            if !allow {
                break;
            }
        }
    }
    let own = source == destination;
    assert!(
        accepted == (answer.verdict == Verdict::Allowed) && (own || seen == want),
        "seed {seed}: {flow:?} {source} -> {destination}: decide says {answer:?}, rules say accepted={accepted}, {seen:?}"
    );
}

#[test]
fn rules_decide_as_the_engine_does() {
    let (first, count) = seeds(150);
    let (mut n_flows, mut n_denied) = (0, 0);
    for seed in first..first + count {
        let (flows, denied) = check(seed);
        n_flows += flows;
        n_denied += denied;
    }
    println!("{count} worlds, {n_flows} flows, {n_denied} denied");
    assert!(
        count == 1 || n_denied * 5 > n_flows && n_denied * 5 < n_flows * 4,
        "{n_denied} of {n_flows}"
    );
}

/// Who is not programmed yet is closed in both directions, whatever the policies say.
#[test]
fn a_pod_that_is_not_programmed_is_closed() {
    let mut n_closed = 0;
    for seed in 0..20 {
        let world = World::new(seed);
        let bound = &world.bound;
        let own = |pod: &moat_ir::PodInfo| !pod.host_network && !pod.finished;
        let Some(missing) = bound.pods.iter().position(own) else { continue };
        let pod = &bound.pods[missing];
        let node = pod.node.clone().unwrap();
        let idx = u32::try_from(missing).unwrap();
        let mut spec = spec(bound, &node);
        spec.pods.retain(|own| *own != idx);
        let table = render(bound, &spec, &settings(seed)).table;
        let point = ServicePoint::new(Protocol::Tcp, 80);
        for &address in &pod.addresses {
            let far: IpAddr =
                if address.is_ipv4() { "203.0.113.9" } else { "2001:db8::9" }.parse().unwrap();
            for (from, to, direction) in
                [(far, address, Direction::Ingress), (address, far, Direction::Egress)]
            {
                let fate = interp::run(&table, Hook::Forward, &packet(from, to, point));
                let marks: Vec<Option<Mark>> =
                    fate.logged.iter().map(|prefix| Mark::parse(prefix)).collect();
                assert!(!fate.accepted, "seed {seed}: {from} -> {to}");
                assert_eq!(marks, [Some(Mark::Unprogrammed(direction))], "seed {seed}");
                n_closed += 1;
            }
        }
    }
    assert!(n_closed > 20, "{n_closed}");
}

/// A world in which one policy has so many rules, each with a port of its own and a selector for each of half of so many pods, another
/// half each time. The policy is that of one pod; another pod has a small one.
fn explosive(n: usize) -> (Bound, Arc<str>) {
    let pod = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "a", "labels": {"name": name}},
            "spec": {"nodeName": "here", "containers": [{"name": "c", "image": "i"}]}})
    };
    let peer = |name: &str| json!({"podSelector": {"matchLabels": {"name": name}}});
    let policy = |name: &str, ingress: Vec<Value>| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "a"},
            "spec": {"podSelector": {"matchLabels": {"name": name}}, "ingress": ingress}})
    };
    let mut objects: Vec<Value> =
        vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})];
    objects.extend(["large", "small"].map(pod));
    objects.extend((0..n).map(|at| pod(&format!("p{at}"))));
    let mut dice = Rng::new(5);
    let rules = (0..n).map(|rule| {
        let half = (0..n).filter(|_| dice.below(2) == 0).map(|at| peer(&format!("p{at}")));
        json!({"ports": [{"port": 1000 + rule}], "from": half.collect::<Vec<Value>>()})
    });
    objects.push(policy("large", rules.collect()));
    objects.push(policy("small", vec![json!({"ports": [{"port": 80}], "from": [peer("p1")]})]));
    let mut lowered = engine::lower(&objects);
    assert_eq!(lowered.diagnostics, []);
    place(&mut lowered.inventory, 1);
    let symbolic = moat_compile::compile(&lowered.policies, &[]);
    let bound = moat_compile::bind(Arc::new(symbolic), &lowered.inventory, Dialect::MOAT);
    (bound, "here".into())
}

/// What would explode is bounded in time and in elements, named, and closed; nobody else notices.
#[test]
fn a_policy_that_would_explode_closes_its_pods_alone() {
    let elements_max = 10_000;
    // Some 16 000 elements of ports; and 131 000 selectors of which each rule tells some peers apart from others.
    for (n, excess) in [(180, "elements"), (512, "combinations")] {
        let (bound, node) = explosive(n);
        let start = Instant::now();
        let settings = Settings { elements_max, ..Settings::default() };
        let rendered = render(&bound, &spec(&bound, &node), &settings);
        println!("{n} rules: {:.1?}", start.elapsed());
        let [refused] = &rendered.refused[..] else { panic!("{:?}", rendered.refused) };
        let policies = refused.policies.iter().map(|&idx| bound.symbolic.policy(idx).to_string());
        assert_eq!(policies.collect::<Vec<_>>(), ["netpol a/large"]);
        assert!(refused.excess.to_string().contains(excess), "{}", refused.excess);
        let table = &rendered.table;
        let n_elements: usize = table.sets.values().map(|set| set.elements.len()).sum();
        assert!(n_elements < elements_max, "{n_elements}");
        let address = |name: &str| {
            let own = bound.pods.iter().find(|pod| &*pod.name == name).unwrap();
            own.addresses[0]
        };
        let accepted = |from: &str, to: &str, port| {
            let point = ServicePoint::new(Protocol::Tcp, port);
            let packet = packet(address(from), address(to), point);
            interp::run(table, Hook::Forward, &packet).accepted
        };
        for port in (1000..1000 + u16::try_from(n).unwrap()).step_by(17).chain([80]) {
            assert!(!accepted("p1", "large", port), "{port}");
            assert_eq!(accepted("p1", "small", port), port == 80);
            assert!(!accepted("p2", "small", port));
            assert!(accepted("p2", "p3", port) && accepted("large", "p3", port));
        }
    }
}

/// Staged policies change no verdict and leave a record of what they would decide, for the pods that they concern.
#[test]
fn staged_policies_are_logged_and_have_no_effect() {
    let mut n_staged = 0;
    for seed in 0..40 {
        let objects = generate::world(seed, &Bounds::DEFAULT).objects;
        let mut lowered = engine::lower(&objects);
        place(&mut lowered.inventory, 2);
        let half = lowered.policies.len() / 2;
        let bind = |policies: &[moat_model::Policy]| {
            let symbolic = Arc::new(moat_compile::compile(policies, &[]));
            moat_compile::bind(symbolic, &lowered.inventory, Dialect::MOAT)
        };
        let (bound, staged) = (bind(&lowered.policies[..half]), bind(&lowered.policies));
        for node in &lowered.inventory.nodes {
            let spec = spec(&bound, &node.name);
            let plain = render(&bound, &spec, &settings(seed)).table;
            let both = render_staged(&bound, Some(&staged), &spec, &settings(seed));
            for (from, source) in ends(&bound) {
                for (to, destination) in ends(&bound) {
                    if Family::of(source) != Family::of(destination) || source == destination {
                        continue;
                    }
                    let point = ServicePoint::new(Protocol::Tcp, 80);
                    let packet = packet(source, destination, point);
                    let want = interp::run(&plain, Hook::Forward, &packet);
                    let seen = interp::run(&both.table, Hook::Forward, &packet);
                    assert_eq!(seen.accepted, want.accepted, "seed {seed}");
                    let answer = staged.decide(&Flow {
                        from: from.clone(),
                        to: to.clone(),
                        point,
                        family: Family::of(source),
                    });
                    let mut in_force = Vec::new();
                    for prefix in &seen.logged {
                        let Some(Mark::Staged { direction, allow, reason }) = Mark::parse(prefix)
                        else {
                            in_force.push(prefix.clone());
                            continue;
                        };
                        let half = if direction == Direction::Egress {
                            &answer.egress
                        } else {
                            &answer.ingress
                        };
                        // What a node sends to its own pods passes no hook of ours, and is exempt.
                        let wanted = expected(half).filter(|_| half.verdict != Verdict::Undefined);
                        if let Some(wanted) = wanted {
                            let ground = both.staged[&reason].decision.ground.clone();
                            assert_eq!((allow, ground), wanted, "seed {seed}");
                            n_staged += 1;
                        }
                    }
                    assert_eq!(in_force, want.logged, "seed {seed}");
                }
            }
        }
    }
    assert!(n_staged > 100, "{n_staged}");
}
