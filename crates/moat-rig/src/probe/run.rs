//! Many probes at once.

use super::ask::{Ask, Means};
use super::hub::Hub;
use super::open;
use super::outcome::{self, Outcome};
use super::ports::Ports;
use core::fmt;
use moat_kernel::netns::Netns;
use moat_sets::Protocol;
use nix::sys::resource::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// A question: does this get from a host to an address?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Which of the hosts asks.
    pub from: usize,
    /// The address it asks from; the kernel's choice if none.
    pub source: Option<IpAddr>,
    /// The address it asks.
    pub to: IpAddr,
    /// [`Protocol::Other`] is an ICMP echo request.
    pub protocol: Protocol,
    /// The port it asks; without meaning for ICMP.
    pub port: u16,
}

/// What came of a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The outcome.
    pub outcome: Outcome,
    /// The source port, or the identifier of an ICMP echo request; zero if it did not come to that. No two probes of a host towards
    /// the same destination have the same one in a run.
    pub source_port: u16,
    /// The source address; unspecified if it did not come to that.
    pub source: IpAddr,
    /// The address and port that answered, as the answering side sees them: behind an address translation, the backend's.
    pub answered_by: Option<(IpAddr, u16)>,
    /// From the first packet to the outcome, in the last attempt.
    pub elapsed: Duration,
    /// How many attempts it took; the ports are those of the last.
    pub attempts: u32,
}

/// How to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Probes that wait at the same time; fewer where the limit of open files is low.
    pub in_flight: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Probes that should get through and did not are tried once more, from another port and fewer at a time, with this longer
    /// time-out: a machine under load must not look like a denial.
    pub retry_dropped: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight: 4096,
            timeout: Duration::from_millis(400),
            retry_dropped: Some(Duration::from_secs(3)),
        }
    }
}

/// How many sockets are opened before the next look at what came back.
const CHUNK: usize = 256;
/// How many probes of a second attempt wait at the same time.
const AGAIN_IN_FLIGHT: usize = 256;

/// Asks from hosts.
pub struct Prober {
    hosts: Vec<Arc<Netns>>,
    ports: Arc<Ports>,
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

impl Prober {
    /// Asks from these hosts; each is a namespace of its own.
    #[must_use]
    pub fn new(hosts: Vec<Arc<Netns>>) -> Self {
        Self::after(hosts, Arc::default())
    }

    /// Asks from these hosts, from ports that go on where an earlier prober of the same hosts stood.
    pub(crate) fn after(hosts: Vec<Arc<Netns>>, ports: Arc<Ports>) -> Self {
        Self { hosts, ports }
    }

    /// Asks everything and says what came of each probe, in their order.
    ///
    /// `expect_open` says of a probe and its place whether it should get through, `progress` is told how many probes are done. One
    /// run at a time: a second one would not know which ports the first has used.
    pub async fn run(
        &self,
        probes: &[Probe],
        settings: &Settings,
        expect_open: impl Fn(usize, &Probe) -> bool,
        progress: impl Fn(usize),
    ) -> Vec<Seen> {
        self.ports.forget();
        let mut seen: Vec<Option<Seen>> = vec![None; probes.len()];
        let mut again = Vec::new();
        let mut done = 0;
        let all: Vec<usize> = (0..probes.len()).collect();
        let in_flight = allowed(settings.in_flight);
        self.round(probes, &all, settings.timeout, in_flight, |at, result| {
            let open = |probe| expect_open(at, probe);
            if settings.retry_dropped.is_some()
                && result.outcome == Outcome::Dropped
                && probes.get(at).is_some_and(open)
            {
                again.push(at);
            } else {
                done += 1;
                progress(done);
            }
            if let Some(seen) = seen.get_mut(at) {
                *seen = Some(result);
            }
        })
        .await;
        if let Some(longer) = settings.retry_dropped {
            again.sort_unstable();
            let in_flight = in_flight.min(AGAIN_IN_FLIGHT);
            self.round(probes, &again, longer, in_flight, |at, result| {
                done += 1;
                progress(done);
                if let Some(seen) = seen.get_mut(at) {
                    *seen = Some(Seen { attempts: 2, ..result });
                }
            })
            .await;
        }
        probes.iter().zip(seen).map(|(probe, seen)| seen.unwrap_or_else(|| lost(probe))).collect()
    }

    async fn round(
        &self,
        probes: &[Probe],
        which: &[usize],
        limit: Duration,
        in_flight: usize,
        mut done: impl FnMut(usize, Seen),
    ) {
        let mut hubs = Hubs::new();
        let mut flying: JoinSet<(usize, Seen)> = JoinSet::new();
        let mut chunks = which.chunks(CHUNK.min(in_flight)).peekable();
        loop {
            while let Some(ended) = flying.try_join_next() {
                // A probe that died is reported as lost at the end.
                if let Ok((at, seen)) = ended {
                    done(at, seen);
                }
            }
            if let Some(chunk) = chunks.next_if(|chunk| flying.len() + chunk.len() <= in_flight) {
                let chunk: Vec<(usize, Probe)> =
                    chunk.iter().filter_map(|at| Some((*at, *probes.get(*at)?))).collect();
                let (back, opened) = self.open(chunk, hubs).await;
                hubs = back;
                for (at, probe, means) in opened {
                    let ports = Arc::clone(&self.ports);
                    let ask = Ask { probe, limit, ports, unique: unique() };
                    flying.spawn(async move { (at, ask.run(means).await) });
                }
                continue;
            }
            match flying.join_next().await {
                Some(Ok((at, seen))) => done(at, seen),
                Some(Err(_)) => {}
                None if chunks.peek().is_none() => return,
                None => {}
            }
        }
    }

    /// Opens what probes need, each host's in one visit to its namespace.
    async fn open(
        &self,
        chunk: Vec<(usize, Probe)>,
        mut hubs: Hubs,
    ) -> (Hubs, Vec<(usize, Probe, Means)>) {
        let mut by_host: BTreeMap<usize, Vec<(usize, Probe)>> = BTreeMap::new();
        for (at, probe) in chunk {
            by_host.entry(probe.from).or_default().push((at, probe));
        }
        let visits: Vec<(Option<Arc<Netns>>, Vec<(usize, Probe)>)> = by_host
            .into_iter()
            .map(|(host, probes)| (self.hosts.get(host).cloned(), probes))
            .collect();
        let runtime = Handle::current();
        let visited = tokio::task::spawn_blocking(move || {
            let mut opened = Vec::new();
            for (host, probes) in visits {
                let nothing = |outcome: Outcome| {
                    probes
                        .iter()
                        .map(move |(at, probe)| (*at, *probe, Means::Nothing(outcome.clone())))
                };
                let Some(host) = host else {
                    opened.extend(nothing(Outcome::Failed("there is no such host".to_owned())));
                    continue;
                };
                let inside = host.run(|| {
                    // The hubs' sockets are registered with the runtime, which this thread is not of.
                    let _runtime = runtime.enter();
                    let means =
                        |(at, probe): &(usize, Probe)| (*at, *probe, means(probe, &mut hubs));
                    probes.iter().map(means).collect::<Vec<_>>()
                });
                match inside {
                    Ok(means) => opened.extend(means),
                    Err(error) => opened.extend(nothing(outcome::failed("enter the host", &error))),
                }
            }
            (hubs, opened)
        });
        // Lost probes are reported at the end.
        visited.await.unwrap_or_default()
    }
}

type Hubs = BTreeMap<(usize, IpAddr, Protocol), Arc<Hub>>;

/// Opens what one probe needs, inside its host.
fn means(probe: &Probe, hubs: &mut Hubs) -> Means {
    let of = probe.to;
    if probe.source.is_some_and(|source| source.is_ipv4() != of.is_ipv4()) {
        return Means::Nothing(Outcome::Failed(format!(
            "{of} is of another family than its source"
        )));
    }
    match probe.protocol {
        Protocol::Tcp => open::tcp_abrupt(of).map(Means::Tcp),
        Protocol::Udp => open::udp_told(of).map(Means::Udp),
        Protocol::Sctp | Protocol::Other => return raw(probe, hubs),
    }
    .unwrap_or_else(|error| Means::Nothing(outcome::failed("open a socket", &error)))
}

fn raw(probe: &Probe, hubs: &mut Hubs) -> Means {
    let source = match open::source(probe.source, probe.to) {
        Ok(source) => source,
        Err(error) => return Means::Nothing(outcome::of_error("find a source address", &error)),
    };
    let key = (probe.from, source, probe.protocol);
    if let Some(hub) = hubs.get(&key) {
        return Means::Raw { hub: Arc::clone(hub), source };
    }
    match Hub::open(source, probe.protocol) {
        Ok(hub) => {
            let hub = Arc::new(hub);
            hubs.insert(key, Arc::clone(&hub));
            Means::Raw { hub, source }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Means::Nothing(Outcome::NotExercised("this process may not open raw sockets"))
        }
        Err(error) => Means::Nothing(outcome::failed("open a raw socket", &error)),
    }
}

/// A number that no two probes of this process share, until four thousand million were sent.
fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How many probes the limit of open files allows at a time: each may need a file here and one where a listener of this process accepts.
fn allowed(asked: usize) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limit = getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX));
    asked.min(limit.saturating_sub(open + 64) / 3).max(1)
}

fn lost(probe: &Probe) -> Seen {
    Seen {
        outcome: Outcome::Failed("the probe died".to_owned()),
        source_port: 0,
        source: probe.source.unwrap_or(open::any(probe.to)),
        answered_by: None,
        elapsed: Duration::ZERO,
        attempts: 1,
    }
}
