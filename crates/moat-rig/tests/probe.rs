//! Probes, listeners and sessions over real sockets in namespaces of this process.
//!
//! Without the test harness, because the sandbox must be entered before there is a second thread. `measure` as the argument measures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_kernel::netns::Netns;
use moat_rig::probe::{
    ListenHost, Listeners, Mode, Outcome, Probe, Prober, Pulse, Seen, Session, Settings,
};
use moat_sets::Protocol;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nlink::netlink::addr::{Ipv4Address, Ipv6Address};
use nlink::netlink::link::VethLink;
use nlink::netlink::route::{Ipv4Route, Ipv6Route};
use nlink::netlink::types::route::RouteType;
use nlink::netlink::{Connection, Route};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TCP: Protocol = Protocol::Tcp;
const UDP: Protocol = Protocol::Udp;
const SCTP: Protocol = Protocol::Sctp;
const ICMP: Protocol = Protocol::Other;
const ALL: [Protocol; 4] = [TCP, UDP, SCTP, ICMP];

/// The addresses of the world, once per family: `ip(family, net, host)`.
fn ip(v4: bool, net: u8, host: u8) -> IpAddr {
    let text = if v4 { format!("10.9.{net}.{host}") } else { format!("fd09:{net}::{host}") };
    text.parse().unwrap()
}

/// Two namespaces with a link between, net 0.
///
/// The left one asks, as 1 of net 0, and 3 with IPv4; it has one more address, in net 2, to which the right one has no way back. The
/// right one listens, has the address 1 in net 1 besides, and is the router to nets that are unreachable (3), prohibited (4) and a
/// black hole (5). To net 6 there is no route.
struct World {
    left: Arc<Netns>,
    right: Arc<Netns>,
    prober: Prober,
    _listeners: Listeners,
}

const OPEN: u16 = 80;
const CLOSED: u16 = 81;
const ECHO: u16 = 7;
/// Where connections are made by the kernel and nobody accepts.
const MUTE: u16 = 82;

fn netlink(of: &Netns) -> Connection<Route> {
    Connection::new_in(of.as_fd()).unwrap()
}

async fn address(to: &Connection<Route>, link: &str, address: IpAddr, prefix: u8) {
    match address {
        IpAddr::V4(v4) => to.add_address(Ipv4Address::new(link, v4, prefix)).await,
        IpAddr::V6(v6) => to.add_address(Ipv6Address::new(link, v6, prefix).nodad()).await,
    }
    .unwrap();
}

/// A route through a gateway, or one that goes nowhere.
async fn route(to: &Connection<Route>, net: IpAddr, prefix: u8, way: Result<IpAddr, RouteType>) {
    match (net, way) {
        (IpAddr::V4(net), Ok(IpAddr::V4(way))) => {
            to.add_route(Ipv4Route::from_addr(net, prefix).gateway(way)).await
        }
        (IpAddr::V6(net), Ok(IpAddr::V6(way))) => {
            to.add_route(Ipv6Route::from_addr(net, prefix).gateway(way)).await
        }
        (IpAddr::V4(net), Err(kind)) => {
            to.add_route(Ipv4Route::from_addr(net, prefix).route_type(kind)).await
        }
        (IpAddr::V6(net), Err(kind)) => {
            to.add_route(Ipv6Route::from_addr(net, prefix).route_type(kind)).await
        }
        _ => panic!("families are mixed"),
    }
    .unwrap();
}

fn width(v4: bool) -> (u8, u8) {
    if v4 { (24, 32) } else { (64, 128) }
}

fn forwards(netns: &Netns) {
    netns
        .run(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        })
        .unwrap();
}

async fn world() -> World {
    let (left, right) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
    forwards(&right);
    let (l, r) = (netlink(&left), netlink(&right));
    l.add_link(VethLink::new("l", "r").peer_netns_fd(right.as_fd())).await.unwrap();
    for (side, link) in [(&l, "l"), (&r, "r")] {
        side.set_link_up("lo").await.unwrap();
        side.set_link_up(link).await.unwrap();
    }
    address(&l, "l", ip(true, 0, 3), 32).await;
    for v4 in [true, false] {
        let (net, host) = width(v4);
        address(&l, "l", ip(v4, 0, 1), net).await;
        address(&r, "r", ip(v4, 0, 2), net).await;
        address(&l, "lo", ip(v4, 2, 1), host).await;
        address(&r, "lo", ip(v4, 1, 1), host).await;
        for to in [1, 3, 4, 5] {
            let to = if v4 { ip(v4, to, 0) } else { format!("fd09:{to}::").parse().unwrap() };
            route(&l, to, net, Ok(ip(v4, 0, 2))).await;
        }
        let nowhere =
            [(3, RouteType::Unreachable), (4, RouteType::Prohibit), (5, RouteType::Blackhole)];
        for (to, kind) in nowhere {
            route(&r, ip(v4, to, 1), host, Err(kind)).await;
        }
    }
    let listeners = Listeners::start(&[ListenHost {
        netns: Arc::clone(&right),
        addresses: vec![ip(true, 0, 2), ip(true, 1, 1), ip(false, 0, 2), ip(false, 1, 1)],
        points: vec![(TCP, OPEN), (UDP, OPEN), (SCTP, OPEN), (ICMP, 0)],
        echo: vec![ECHO],
    }])
    .unwrap();
    assert!(listeners.unlimited(), "the limits on ICMP could not be lifted");
    // Per address: TCP, UDP, raw SCTP, echo.
    assert_eq!(listeners.count(), 4 * 4);
    let prober = Prober::new(vec![Arc::clone(&left), Arc::clone(&right)]);
    World { left, right, prober, _listeners: listeners }
}

fn probe(to: IpAddr, protocol: Protocol, port: u16) -> Probe {
    Probe { from: 0, source: None, to, protocol, port }
}

const ONCE: Settings =
    Settings { in_flight: 4096, timeout: Duration::from_millis(400), retry_dropped: None };
/// For what must be answered: no load on the machine makes these fail.
const PATIENT: Settings =
    Settings { in_flight: 4096, timeout: Duration::from_secs(20), retry_dropped: None };

async fn ask(world: &World, probes: &[Probe], settings: &Settings) -> Vec<Seen> {
    let done = AtomicUsize::new(0);
    let seen = world
        .prober
        .run(
            probes,
            settings,
            |_, _| false,
            |now| {
                // Counts one by one.
                assert_eq!(done.fetch_add(1, Ordering::Relaxed) + 1, now);
            },
        )
        .await;
    assert_eq!(seen.len(), probes.len());
    assert_eq!(done.load(Ordering::Relaxed), probes.len());
    seen
}

/// Asks with every protocol and family.
async fn each(
    world: &World,
    settings: &Settings,
    which: &[Protocol],
    probe: impl Fn(bool, Protocol) -> Probe,
    check: impl Fn(&Probe, &Seen),
) {
    let probes: Vec<Probe> = [true, false]
        .into_iter()
        .flat_map(|v4| which.iter().map(move |protocol| (v4, *protocol)))
        .map(|(v4, protocol)| probe(v4, protocol))
        .collect();
    for (probe, seen) in probes.iter().zip(ask(world, &probes, settings).await) {
        check(probe, &seen);
        assert_eq!(seen.attempts, 1);
    }
}

async fn connected(world: Arc<World>) {
    for host in [(0, 2), (1, 1)] {
        let open = |v4, protocol| probe(ip(v4, host.0, host.1), protocol, OPEN);
        each(&world, &PATIENT, &ALL, open, |probe, seen| {
            assert_eq!(seen.outcome, Outcome::Connected, "{probe:?}");
            assert_eq!(seen.source, ip(probe.to.is_ipv4(), 0, 1), "{probe:?}");
            assert!(seen.source_port >= 32_768);
            let by = (probe.protocol != ICMP).then_some((probe.to, OPEN));
            assert_eq!(seen.answered_by, by, "{probe:?}");
        })
        .await;
    }
}

async fn refused(world: Arc<World>) {
    let closed = |v4, protocol| probe(ip(v4, 0, 2), protocol, CLOSED);
    each(&world, &PATIENT, &[TCP, UDP, SCTP], closed, |probe, seen| {
        assert_eq!(seen.outcome, Outcome::Refused, "{probe:?}");
        let by = (probe.protocol == SCTP).then_some((probe.to, CLOSED));
        assert_eq!(seen.answered_by, by, "{probe:?}");
    })
    .await;
}

/// More at once than the kernel tells one peer in a second by default: the listeners have lifted that.
async fn refused_by_the_hundred(world: Arc<World>) {
    let probes: Vec<Probe> =
        (0..800_u16).map(|port| probe(ip(port % 2 == 0, 0, 2), UDP, 20_000 + port)).collect();
    for (probe, seen) in probes.iter().zip(ask(&world, &probes, &PATIENT).await) {
        assert_eq!(seen.outcome, Outcome::Refused, "{probe:?}");
    }
}

async fn dropped_without_a_way_back(world: Arc<World>) {
    let dropped =
        |v4, protocol| Probe { source: Some(ip(v4, 2, 1)), ..probe(ip(v4, 0, 2), protocol, OPEN) };
    each(&world, &ONCE, &ALL, dropped, |probe, seen| {
        assert_eq!(seen.outcome, Outcome::Dropped, "{probe:?}");
        assert_eq!(Some(seen.source), probe.source);
        assert!(seen.elapsed >= ONCE.timeout, "{probe:?}: {:?}", seen.elapsed);
    })
    .await;
}

async fn dropped_in_a_black_hole(world: Arc<World>) {
    each(
        &world,
        &ONCE,
        &ALL,
        |v4, protocol| probe(ip(v4, 5, 1), protocol, OPEN),
        |probe, seen| {
            assert_eq!(seen.outcome, Outcome::Dropped, "{probe:?}");
        },
    )
    .await;
}

async fn unreachable(world: Arc<World>) {
    let why = [
        (3, "the host cannot be reached, or a filter says so"),
        (4, "administratively prohibited"),
        (6, "no route to the network"),
    ];
    let quickest = [Cell::new(Duration::MAX), Cell::new(Duration::MAX)];
    for (net, why) in why {
        // A router tells one address only five times in short order that a route is unreachable (`ip_error` in net/ipv4/route.c), so
        // the second net is asked from another address.
        let source = |v4: bool| (v4 && net == 4).then(|| ip(v4, 0, 3));
        each(
            &world,
            &PATIENT,
            &ALL,
            |v4, protocol| Probe { source: source(v4), ..probe(ip(v4, net, 1), protocol, OPEN) },
            |probe, seen| {
                if probe.protocol == TCP && net != 6 {
                    let v4 = usize::from(probe.to.is_ipv4());
                    quickest[v4].set(quickest[v4].get().min(seen.elapsed));
                }
                let Outcome::Unreachable(told) = &seen.outcome else {
                    panic!("{probe:?}: {:?}", seen.outcome)
                };
                // The kernel has one error for all that an IPv4 filter says, and calls an IPv6 `unreachable` route no route.
                let vague =
                    ["the host cannot be reached, or a filter says so", "no route to the network"];
                assert!(
                    told == why || net != 6 && vague.contains(&told.as_str()),
                    "{probe:?}: {told}"
                );
            },
        )
        .await;
    }
    // The first SYN was answered, not the second, which TCP sends after a second (RFC 6298).
    let quickest = quickest.map(Cell::into_inner);
    assert!(quickest.iter().all(|took| *took < Duration::from_secs(1)), "{quickest:?}");
}

async fn failed(world: Arc<World>) {
    let foreign =
        |v4, protocol| Probe { source: Some(ip(v4, 7, 7)), ..probe(ip(v4, 0, 2), protocol, OPEN) };
    let mixed = |v4: bool, protocol| Probe {
        source: Some(ip(!v4, 0, 1)),
        ..probe(ip(v4, 0, 2), protocol, OPEN)
    };
    let nobody = |v4, protocol| Probe { from: 2, ..probe(ip(v4, 0, 2), protocol, OPEN) };
    let is_failed = |probe: &Probe, seen: &Seen| {
        assert!(matches!(seen.outcome, Outcome::Failed(_)), "{probe:?}: {:?}", seen.outcome);
    };
    each(&world, &PATIENT, &ALL, foreign, is_failed).await;
    each(&world, &PATIENT, &ALL, mixed, is_failed).await;
    each(&world, &PATIENT, &ALL, nobody, is_failed).await;
}

async fn connected_to_one_that_says_nothing(world: Arc<World>) {
    let to = SocketAddr::new(ip(true, 0, 2), MUTE);
    let _mute = world.right.run(|| std::net::TcpListener::bind(to).unwrap()).unwrap();
    let _mute_udp = world.right.run(|| std::net::UdpSocket::bind(to).unwrap()).unwrap();
    let probes = [probe(to.ip(), TCP, MUTE), probe(to.ip(), UDP, MUTE)];
    let seen = ask(&world, &probes, &ONCE).await;
    assert_eq!((&seen[0].outcome, seen[0].answered_by), (&Outcome::Connected, None));
    assert_eq!(seen[1].outcome, Outcome::Dropped);
}

/// The way back is made when the first attempt has failed.
async fn retried(world: Arc<World>) {
    for v4 in [true, false] {
        let right = netlink(&world.right);
        let (host, way) = (ip(v4, 2, 1), ip(v4, 0, 1));
        let (failed, mut when_failed) = tokio::sync::mpsc::unbounded_channel();
        let mend = tokio::spawn(async move {
            for _ in 0..2 * ALL.len() {
                let () = when_failed.recv().await.unwrap();
            }
            route(&right, host, width(v4).1, Ok(way)).await;
            right
        });
        let from =
            |protocol, port| Probe { source: Some(host), ..probe(ip(v4, 0, 2), protocol, port) };
        let probes: Vec<Probe> = ALL
            .into_iter()
            .flat_map(|protocol| [from(protocol, OPEN), from(protocol, CLOSED)])
            .collect();
        let settings = Settings {
            timeout: Duration::from_millis(200),
            retry_dropped: Some(Duration::from_secs(10)),
            ..ONCE
        };
        let done = AtomicUsize::new(0);
        let expected = |at: usize, probe: &Probe| {
            assert_eq!(probes[at], *probe);
            failed.send(()).unwrap();
            probe.port == OPEN
        };
        let progress = |now| done.store(now, Ordering::Relaxed);
        let seen = world.prober.run(&probes, &settings, expected, progress).await;
        assert_eq!(done.load(Ordering::Relaxed), probes.len());
        for (probe, seen) in probes.iter().zip(&seen) {
            let (outcome, attempts) =
                if probe.port == OPEN { (Outcome::Connected, 2) } else { (Outcome::Dropped, 1) };
            assert_eq!((&seen.outcome, seen.attempts), (&outcome, attempts), "{probe:?}");
        }
        let right = mend.await.unwrap();
        unroute(&right, host, way).await;
    }
}

/// Takes such a route away again.
async fn unroute(from: &Connection<Route>, host: IpAddr, way: IpAddr) {
    match (host, way) {
        (IpAddr::V4(host), IpAddr::V4(way)) => {
            from.del_route(Ipv4Route::from_addr(host, 32).gateway(way)).await
        }
        (IpAddr::V6(host), IpAddr::V6(way)) => {
            from.del_route(Ipv6Route::from_addr(host, 128).gateway(way)).await
        }
        _ => panic!("families are mixed"),
    }
    .unwrap();
}

async fn no_source_port_twice(world: Arc<World>) {
    for protocol in ALL {
        let probes = vec![probe(ip(true, 1, 1), protocol, OPEN); 1500];
        let seen = ask(&world, &probes, &PATIENT).await;
        assert!(seen.iter().all(|seen| seen.outcome == Outcome::Connected), "{protocol:?}");
        let ports: BTreeSet<u16> = seen.iter().map(|seen| seen.source_port).collect();
        assert_eq!(ports.len(), probes.len(), "{protocol:?}");
    }
}

async fn a_taken_source_port_is_skipped(world: Arc<World>) {
    let one = [probe(ip(true, 0, 2), UDP, OPEN)];
    let last = ask(&world, &one, &PATIENT).await[0].source_port;
    assert!(last < 60_000, "the count of ports is near its turn: {last}");
    let at = |port: u16| SocketAddr::new(ip(true, 0, 1), port);
    let hold =
        || [std::net::UdpSocket::bind(at(last + 1)), std::net::UdpSocket::bind(at(last + 2))];
    let _taken = world.left.run(hold).unwrap().map(Result::unwrap);
    let seen = &ask(&world, &one, &PATIENT).await[0];
    assert_eq!((&seen.outcome, seen.source_port), (&Outcome::Connected, last + 3));
}

async fn thousands_at_once(world: Arc<World>) {
    let to = [ip(true, 0, 2), ip(false, 0, 2), ip(true, 1, 1), ip(false, 1, 1)];
    let many: Vec<Probe> = (0..2000)
        .map(|at: usize| probe(to[at / 4 % to.len()], ALL[at % ALL.len()], OPEN))
        .collect();
    for (probe, seen) in many.iter().zip(ask(&world, &many, &PATIENT).await) {
        assert_eq!(seen.outcome, Outcome::Connected, "{probe:?}");
    }
    // One after the other would take ten minutes; two thousand at once take one time-out and what the machine needs.
    let silent: Vec<Probe> =
        many.iter().map(|probe| Probe { to: ip(probe.to.is_ipv4(), 5, 1), ..*probe }).collect();
    let start = Instant::now();
    for (probe, seen) in silent.iter().zip(ask(&world, &silent, &ONCE).await) {
        assert_eq!(seen.outcome, Outcome::Dropped, "{probe:?}");
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

async fn few_in_flight(world: Arc<World>) {
    let probes = vec![probe(ip(true, 0, 2), TCP, OPEN); 50];
    for in_flight in [0, 1, 7] {
        let seen = ask(&world, &probes, &Settings { in_flight, ..PATIENT }).await;
        assert!(seen.iter().all(|seen| seen.outcome == Outcome::Connected));
    }
    assert_eq!(ask(&world, &[], &ONCE).await, []);
}

async fn sessions(world: Arc<World>) {
    let within = Duration::from_secs(30);
    let silence = Duration::from_millis(500);
    for v4 in [true, false] {
        let right = netlink(&world.right);
        let (host, way) = (ip(v4, 2, 1), ip(v4, 0, 1));
        route(&right, host, width(v4).1, Ok(way)).await;
        let to = SocketAddr::new(ip(v4, 0, 2), ECHO);
        let open = |mode| Session::open(Arc::clone(&world.left), Some(host), to, mode, within);
        let mut asks = open(Mode::Echo).await.unwrap();
        let mut listens = open(Mode::Talk(Duration::from_millis(20))).await.unwrap();
        assert_eq!((asks.local().ip(), asks.peer()), (host, to));
        for _ in 0..3 {
            assert!(matches!(asks.ping(within).await, Pulse::Heard(_)));
            assert!(matches!(listens.heard(within).await, Pulse::Heard(_)));
        }
        // Cut, twice.
        for _ in 0..2 {
            unroute(&right, host, way).await;
            assert_eq!(asks.ping(silence).await, Pulse::Silent);
            assert_eq!(listens.heard(silence).await, Pulse::Silent);
            route(&right, host, width(v4).1, Ok(way)).await;
            assert!(matches!(asks.ping(within).await, Pulse::Heard(_)));
            assert!(matches!(listens.heard(within).await, Pulse::Heard(_)));
        }
        let closed = SocketAddr::new(to.ip(), CLOSED);
        let refused =
            Session::open(Arc::clone(&world.left), None, closed, Mode::Echo, within).await;
        assert_eq!(refused.unwrap_err(), Outcome::Refused);
        unroute(&right, host, way).await;
        let dropped =
            Session::open(Arc::clone(&world.left), Some(host), to, Mode::Echo, silence).await;
        assert_eq!(dropped.unwrap_err(), Outcome::Dropped);
    }
}

async fn a_session_whose_server_ends_is_broken(world: Arc<World>) {
    let to = SocketAddr::new(ip(true, 0, 2), ECHO + 1);
    let within = Duration::from_secs(30);
    let listeners = Listeners::start(&[ListenHost {
        netns: Arc::clone(&world.right),
        addresses: vec![to.ip()],
        points: Vec::new(),
        echo: vec![to.port()],
    }])
    .unwrap();
    let mut session =
        Session::open(Arc::clone(&world.left), None, to, Mode::Echo, within).await.unwrap();
    assert!(matches!(session.ping(within).await, Pulse::Heard(_)));
    drop(listeners);
    // The runtime ends the server when it comes to it; until then pings are answered.
    let end = Instant::now() + within;
    let last = loop {
        match session.ping(within).await {
            Pulse::Heard(_) if Instant::now() < end => {}
            other => break other,
        }
    };
    assert!(matches!(last, Pulse::Broken(_)), "{last:?}");
}

async fn a_port_that_is_taken_is_named(world: Arc<World>) {
    let host = ListenHost {
        netns: Arc::clone(&world.right),
        addresses: vec![ip(true, 0, 2)],
        points: vec![(UDP, OPEN)],
        echo: Vec::new(),
    };
    let error = Listeners::start(&[host]).unwrap_err().to_string();
    assert_eq!(error, "host 0: listen on 10.9.0.2:80: Address already in use (os error 98)");
}

type Case = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($name:ident)*) => { [$((stringify!($name), (|world| Box::pin($name(world))) as Case)),*] };
}

fn main() -> ExitCode {
    if let Err(refused) = moat_kernel::sandbox::enter() {
        eprintln!("THE SANDBOX IS REFUSED, NOTHING WAS TESTED\n{refused}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if wanted.first().is_some_and(|arg| arg == "measure") {
        runtime.block_on(measure());
        return ExitCode::SUCCESS;
    }
    let world = Arc::new(runtime.block_on(world()));
    let cases = cases![
        connected
        refused
        refused_by_the_hundred
        dropped_without_a_way_back
        dropped_in_a_black_hole
        unreachable
        failed
        connected_to_one_that_says_nothing
        retried
        a_taken_source_port_is_skipped
        no_source_port_twice
        thousands_at_once
        few_in_flight
        sessions
        a_session_whose_server_ends_is_broken
        a_port_that_is_taken_is_named
    ];
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let run = AssertUnwindSafe(|| runtime.block_on(case(Arc::clone(&world))));
        let ok = catch_unwind(run).is_ok();
        if ok {
            passed += 1;
        } else {
            failed += 1;
        }
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

/// Thirty hosts around a router, each asking ten ports of each other one; the router drops half.
async fn measure() {
    const HOSTS: u8 = 30;
    const PORTS: u16 = 10;
    let timed = |what: &str, start: Instant, before: Duration| {
        println!("{what}: wall {:?}, CPU {:?}", start.elapsed(), cpu().saturating_sub(before));
    };
    let (start, before) = (Instant::now(), cpu());
    let router = Netns::new().unwrap();
    forwards(&router);
    let middle = netlink(&router);
    let mut hosts = Vec::new();
    for host in 1..=HOSTS {
        let netns = Arc::new(Netns::new().unwrap());
        let inside = netlink(&netns);
        let outer = format!("h{host}");
        let link = VethLink::new("eth0", &*outer).peer_netns_fd(router.as_fd());
        inside.add_link(link).await.unwrap();
        inside.set_link_up("lo").await.unwrap();
        inside.set_link_up("eth0").await.unwrap();
        middle.set_link_up(&*outer).await.unwrap();
        let (own, way) = (ip(true, host, 2), ip(true, host, 1));
        address(&inside, "eth0", own, 24).await;
        address(&middle, &outer, way, 24).await;
        // A second address, which the router drops.
        address(&inside, "lo", ip(true, 100 + host, 2), 32).await;
        route(&middle, ip(true, 100 + host, 2), 32, Err(RouteType::Blackhole)).await;
        route(&inside, "0.0.0.0".parse().unwrap(), 0, Ok(way)).await;
        hosts.push(netns);
    }
    timed("30 namespaces", start, before);
    let (start, before) = (Instant::now(), cpu());
    let points: Vec<(Protocol, u16)> =
        (1000..1000 + PORTS).flat_map(|port| [(TCP, port), (UDP, port), (SCTP, port)]).collect();
    let listen: Vec<ListenHost> = hosts
        .iter()
        .zip(1_u8..)
        .map(|(netns, host)| ListenHost {
            netns: Arc::clone(netns),
            addresses: vec![ip(true, host, 2), ip(true, 100 + host, 2)],
            points: points.clone(),
            echo: Vec::new(),
        })
        .collect();
    let listeners = Listeners::start(&listen).unwrap();
    timed(&format!("{} listeners", listeners.count()), start, before);
    let (start, before) = (Instant::now(), cpu());
    let many = ListenHost {
        netns: Arc::clone(&hosts[0]),
        addresses: vec![ip(true, 1, 2)],
        points: (2000..7000).map(|port| (TCP, port)).collect(),
        echo: Vec::new(),
    };
    let more = Listeners::start(&[many]).unwrap();
    timed(&format!("{} TCP listeners", more.count()), start, before);
    drop(more);
    let prober = Prober::new(hosts);
    let open = |probe: &Probe| matches!(probe.to, IpAddr::V4(to) if to.octets()[2] <= HOSTS);
    for (name, protocols) in [
        ("TCP", [TCP; 4]),
        ("TCP again", [TCP; 4]),
        ("UDP", [UDP; 4]),
        ("SCTP", [SCTP; 4]),
        ("ICMP", [ICMP; 4]),
        ("mixed", ALL),
    ] {
        let mut probes = Vec::new();
        for from in 0..HOSTS {
            for to in (0..HOSTS).filter(|to| *to != from) {
                for port in 0..PORTS {
                    let dropped = (u16::from(from + to) + port) % 2 == 0;
                    let net = if dropped { 101 + to } else { 1 + to };
                    let protocol = protocols[usize::from(port) % 4];
                    let probe = probe(ip(true, net, 2), protocol, 1000 + port);
                    probes.push(Probe { from: usize::from(from), ..probe });
                }
            }
        }
        let (start, before) = (Instant::now(), cpu());
        let seen = prober.run(&probes, &Settings::default(), |_, probe| open(probe), |_| {}).await;
        timed(&format!("{} {name} probes", probes.len()), start, before);
        let expected = |probe| if open(probe) { Outcome::Connected } else { Outcome::Dropped };
        let wrong = probes
            .iter()
            .zip(&seen)
            .filter(|(probe, seen)| seen.outcome != expected(probe))
            .count();
        let again = seen.iter().filter(|seen| seen.attempts > 1).count();
        println!("    wrong {wrong}, again {again}");
    }
}
