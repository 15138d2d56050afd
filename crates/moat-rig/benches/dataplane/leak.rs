//! Packets that every policy on the way denies, while the rules change under them as fast as they can.

use crate::clock;
use crate::layout;
use crate::site::Site;
use crate::table::{Row, section};
use crate::worlds::quiet;
use moat_bench::World;
use moat_ir::{End, Flow, Verdict};
use moat_kernel::keeper::Keeper;
use moat_kernel::nft::{Nft, Ownership};
use moat_load::Input;
use moat_nft::edit::Edit;
use moat_nft::model::{Op, Table};
use moat_nft::plan::plan;
use moat_nft::render::{gates, render};
use moat_rig::placed::Placed;
use moat_rig::verify::questions::Scope;
use moat_sets::{Family, Protocol, ServicePoint};
use moat_testkit::rng::Rng;
use nix::sys::socket::{MsgFlags, MultiHeaders, sendmmsg};
use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// `MOAT_BENCH_UPDATES` sets another number.
const N_UPDATES: usize = 20_000;
/// No part of the bench takes longer than this; `MOAT_BENCH_SECONDS` sets another time.
const AT_MOST: Duration = Duration::from_secs(30);
pub(crate) const PORT: u16 = 9999;

const PODS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a}}
---
{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: a, labels: {app: client}}, spec: {containers: [{name: c, image: i}]}, status: {podIPs: [{ip: 10.244.9.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: server, namespace: a, labels: {app: server}}, spec: {containers: [{name: c, image: i}]}, status: {podIPs: [{ip: 10.244.9.3}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: a, labels: {app: other}}, spec: {containers: [{name: c, image: i}]}, status: {podIPs: [{ip: 10.244.9.4}]}}
";

/// Policies, each list of which keeps the client from the server's port: the server does.
pub(crate) const SERVER_DENIES: [&str; 8] = [
    "{podSelector: {}, policyTypes: [Ingress]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: other}}}]}]}",
    "{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: 81}, {port: 90}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.9.2/32]}}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 9000, endPort: 9998, protocol: UDP}, {port: 10000, endPort: 65535, protocol: UDP}]}]}",
    "{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{}], ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [client]}]}}]}]}",
    // Everyone but the client may, and a tier above says so of the client alone.
    "CLUSTER {tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}]}]}",
    "CLUSTER {tier: Baseline, priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}]}]}",
];

/// The same, but the client may not send.
pub(crate) const CLIENT_DENIES: [&str; 4] = [
    "{podSelector: {}, policyTypes: [Egress]}",
    "{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: other}}}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.9.3/32]}}]}]}",
];

/// The rules under one list of policies, and both ends' addresses.
fn state(policy: &str) -> (Table, IpAddr, IpAddr) {
    let policy = document(policy);
    let text = format!("{PODS}---\n{policy}\n");
    let world = World::read(&[Input::Text { name: "a.yaml".into(), text }]);
    assert_eq!(world.lowered.diagnostics, [], "{policy}");
    let scope = Scope { pods_per_class: usize::MAX, outside: 0, ..Scope::default() };
    let placed = Placed::new(world.lowered, &[], 1, &scope);
    let bound = &placed.bound;
    let named = |name: &str| {
        let at = bound.pods.iter().position(|pod| pod.name.as_ref() == name).unwrap();
        u32::try_from(at).unwrap()
    };
    let (client, server) = (named("client"), named("server"));
    let flow = Flow {
        from: End::Pod(client),
        to: End::Pod(server),
        point: ServicePoint::new(Protocol::Udp, PORT),
        family: Family::V4,
    };
    assert_eq!(bound.decide(&flow).verdict, Verdict::Denied, "{policy}");
    let address = |pod| bound.pod(pod).addresses[0];
    let node = placed.node(&placed.inventory.nodes[0].name);
    (render(bound, &node, &quiet()).table, address(client), address(server))
}

/// A policy of one of the lists as a document.
pub(crate) fn document(policy: &str) -> String {
    match policy.strip_prefix("CLUSTER ") {
        Some(spec) => format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: p}}, spec: {spec}}}"
        ),
        None => format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: a}}, spec: {policy}}}"
        ),
    }
}

pub(crate) fn run(runtime: &Runtime) {
    section("packets that must be denied, while the rules change");
    let server = SERVER_DENIES.map(state);
    let both: Vec<_> = SERVER_DENIES.iter().chain(&CLIENT_DENIES).map(|text| state(text)).collect();
    let (from, to) = (server[0].1, server[0].2);
    let site = runtime.block_on(Site::new(from, to));
    let tables = |states: &[(Table, IpAddr, IpAddr)]| -> Vec<Table> {
        states.iter().map(|(table, ..)| table.clone()).collect()
    };
    let (server, both) = (tables(&server), tables(&both));
    let naive = naive(to);
    let runs: [Run<'_>; 5] = [
        ("as the agent does: who may reach the server changes", &server, How::Keeper),
        ("as the agent does: which end denies changes as well", &both, How::Keeper),
        ("naive: all changes in one transaction", &both, How::Plan),
        ("our rules, naively: delete table; add table", &server, How::Reload),
        (NAIVE, &naive, How::Reload),
    ];
    for run in runs {
        flood(runtime, &site, run);
    }
}

/// What is known to leak must be seen to, or else the flood is too thin for a zero to say anything.
const NAIVE: &str = "a list and a map, naively: delete table; add table";

/// Two states of what denies as well, in the form that is loaded as a whole: rules for pods one after the other, and a map of verdicts
/// without a gate behind it.
fn naive(server: IpAddr) -> Vec<Table> {
    [40, 41].map(|n_others| layout::reloaded(server, n_others)).to_vec()
}

/// Floods while tables are deleted and added, for a while: says that the flood finds leaks where there are some.
pub(crate) fn sensitivity(runtime: &Runtime, site: &Site) {
    flood(runtime, site, (NAIVE, &naive(site.to), How::Reload));
}

/// What is changed between which states, and how.
type Run<'a> = (&'a str, &'a [Table], How);

/// How a table is made another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Step by step, with graces.
    Keeper,
    /// In place, at once.
    Plan,
    /// As a whole, at once.
    Reload,
}

/// What makes the changes.
enum Changer {
    Keeper(Box<Keeper>),
    Nft(Box<Nft>, How),
}

impl Changer {
    async fn new(site: &Site, how: How, first: &Table) -> Self {
        if how == How::Keeper {
            let keeper = Keeper::open(&site.node, "moat", Ownership::Plain, gates()).await;
            let mut keeper = Box::new(keeper.unwrap());
            keeper.set(first).await.unwrap();
            return Self::Keeper(keeper);
        }
        let nft = Nft::open(&site.node, "moat", Ownership::Plain).unwrap();
        nft.apply(&plan(None, first), None).await.unwrap();
        Self::Nft(Box::new(nft), how)
    }

    async fn change(&mut self, old: &Table, new: &Table) {
        match self {
            Self::Keeper(keeper) => {
                keeper.change(&Edit::between(old, new).unwrap()).await.unwrap();
            }
            Self::Nft(nft, how) => {
                let ops = match how {
                    How::Reload => [Op::DelTable].into_iter().chain(plan(None, new)).collect(),
                    _ => plan(Some(old), new),
                };
                nft.apply(&ops, None).await.unwrap();
            }
        }
    }
}

/// A number that an environment variable sets.
fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// How many packets are sent at once: the more of its time the sender spends in the rules, the more often a change falls into a packet's way.
const BATCH: usize = 32;

/// What became of packets while something was done.
pub(crate) struct Flooded<T> {
    /// What it came to.
    pub(crate) result: T,
    pub(crate) took: Duration,
    /// The steps during which packets were sent that arrived.
    pub(crate) leaks: Vec<u64>,
    pub(crate) n_denied: u64,
}

/// Does something while the client sends to the server's port as fast as it can. Each packet carries the step that is noted when it is
/// sent. Rules must be there before, or else the first packets arrive: `begin` makes them.
pub(crate) fn under_flood<S, T>(
    site: &Site,
    begin: impl FnOnce() -> S,
    what: impl FnOnce(S, &AtomicU64) -> T,
) -> Flooded<T> {
    let to = SocketAddr::new(site.to, PORT);
    let receiver = site.server.run(|| UdpSocket::bind(to).unwrap()).unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let sender =
        site.client.run(|| UdpSocket::bind(SocketAddr::new(site.from, 0)).unwrap()).unwrap();
    sender.connect(to).unwrap();
    let (stop, sent, step) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let leaks = scope.spawn(|| count(&receiver, &stop));
        let begun = begin();
        scope.spawn(|| {
            clock::pin(0);
            let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
            while !stop.load(Ordering::Relaxed) {
                let now = step.load(Ordering::Relaxed).to_ne_bytes();
                let packets = [[IoSlice::new(&now)]; BATCH];
                let (socket, flags) = (sender.as_raw_fd(), MsgFlags::empty());
                let done = sendmmsg(socket, &mut headers, &packets, [None; BATCH], [], flags);
                sent.fetch_add(done.unwrap().count() as u64, Ordering::Relaxed);
            }
        });
        clock::pin(1);
        let start = Instant::now();
        let result = what(begun, &step);
        let took = start.elapsed();
        clock::unpin();
        stop.store(true, Ordering::Relaxed);
        let leaks = leaks.join().unwrap();
        let n_denied = sent.load(Ordering::Relaxed) - leaks.len() as u64;
        Flooded { result, took, leaks, n_denied }
    })
}

/// The longest that a part of the bench may take.
pub(crate) fn at_most() -> Duration {
    number("MOAT_BENCH_SECONDS").map_or(AT_MOST, |n| Duration::from_secs(n as u64))
}

/// How many updates a part of the bench makes.
pub(crate) fn n_updates() -> usize {
    number("MOAT_BENCH_UPDATES").unwrap_or(N_UPDATES)
}

/// Takes the table away again.
pub(crate) fn clear(runtime: &Runtime, site: &Site) {
    runtime.block_on(async {
        let nft = Nft::open(&site.node, "moat", Ownership::Plain).unwrap();
        nft.apply(&[Op::DelTable], None).await.unwrap();
    });
}

fn flood(runtime: &Runtime, site: &Site, (what, states, how): Run<'_>) {
    // What leaks does so soon.
    let at_most = if how == How::Keeper { at_most() } else { AT_MOST };
    let n_updates = if how == How::Keeper { n_updates() } else { N_UPDATES };
    let begin = || runtime.block_on(Changer::new(site, how, &states[0]));
    let flooded = under_flood(site, begin, |mut changer, step| {
        let mut dice = Rng::new(1);
        let mut walk: Vec<(usize, usize)> = Vec::with_capacity(n_updates);
        let mut now = 0;
        let start = Instant::now();
        runtime.block_on(async {
            for _ in 0..n_updates {
                let mut next = dice.below(states.len());
                if next == now {
                    next = (now + 1) % states.len();
                }
                step.store(walk.len() as u64, Ordering::Relaxed);
                walk.push((now, next));
                changer.change(&states[now], &states[next]).await;
                now = next;
                if start.elapsed() > at_most {
                    break;
                }
            }
        });
        walk
    });
    clear(runtime, site);
    let Flooded { result: walk, took, leaks, n_denied } = flooded;
    let mut by_step: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for &leak in &leaks {
        *by_step.entry(walk[leak as usize]).or_default() += 1;
    }
    if std::env::var_os("MOAT_BENCH_LEAKS").is_some() {
        for ((old, new), n) in &by_step {
            println!("  {n} between state {old} and state {new}");
        }
    }
    let (goal, met) = match how {
        How::Keeper => ("0", Some(leaks.is_empty())),
        How::Reload if what == NAIVE => ("some", Some(!leaks.is_empty())),
        How::Plan | How::Reload => ("", None),
    };
    Row {
        what: format!("leaked: {what}"),
        value: leaks.len().to_string(),
        goal: goal.to_owned(),
        met,
        note: format!(
            "{} updates in {:.1} s, {n_denied} packets denied ({:.0} a second), {} kinds of steps leaked",
            walk.len(),
            took.as_secs_f64(),
            n_denied as f64 / took.as_secs_f64(),
            by_step.len()
        ),
        ..Row::default()
    }
    .print();
}

/// The steps during which packets were sent that arrived.
fn count(receiver: &UdpSocket, stop: &AtomicBool) -> Vec<u64> {
    let mut leaks = Vec::new();
    let mut buffer = [0; 8];
    loop {
        match receiver.recv(&mut buffer) {
            Ok(_) => leaks.push(u64::from_ne_bytes(buffer)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return leaks;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}
