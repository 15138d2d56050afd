//! The demo's world in real network namespaces.

use crate::cmd::recorded::paint;
use crate::cmd::verify::{environment, runtime};
use crate::exit::Failure;
use crate::world::World;
use core::fmt::Write as _;
use moat_analyze::explain::Explanation;
use moat_flow::{Epochs, Look, Ruleset, attribute, line};
use moat_ir::{Flow, PodIdx};
use moat_nft::render::Settings as Rules;
use moat_report::Style;
use moat_rig::live::Live;
use moat_rig::logs::packet;
use moat_rig::placed::Placed;
use moat_rig::probe::{ListenHost, Listeners, Mode, Pulse, Session, Settings};
use moat_rig::verify::judge::{Judgement, Outcome};
use moat_rig::verify::questions::{Question, Scope, of_flow};
use moat_rig::verify::run::{Listening, Verified, verify};
use moat_sets::{Family, Protocol};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// A running world with one connection that stays open.
pub(super) struct Stage {
    live: Live,
    session: Option<Session>,
    listeners: Listeners,
    /// The records of the last probes.
    log: Mutex<Option<Verified>>,
    // Last, so that everything that needs it goes first.
    runtime: Runtime,
}

/// What a real packet came to.
pub(super) struct Seen {
    outcome: Outcome,
    agrees: bool,
}

/// Who opens the connection that stays, and to whom.
const SESSION: [(&str, &str); 2] = [("web1", "other"), ("web2", "nginx2")];
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(300);

impl Stage {
    /// Builds the world as it is without policies, and opens the connection.
    pub(super) fn build(world: &World) -> Result<Self, Failure> {
        let runtime = runtime()?;
        // Without policies all pods of a namespace are alike; later steps tell them apart.
        let scope = Scope { pods_per_class: usize::MAX, ..Scope::default() };
        let placed = Placed::new(world.lowered.clone(), &world.sources(), 2, &scope);
        let (live, listeners, session) = runtime.block_on(async {
            let live = Live::new(placed, Rules::default(), |_| ()).await.map_err(environment)?;
            let listeners = Listeners::start(&hosts(&live)).map_err(environment)?;
            let session = open(&live).await;
            Ok::<_, Failure>((live, listeners, session))
        })?;
        Ok(Self { live, session, listeners, log: Mutex::new(None), runtime })
    }

    /// What was built.
    pub(super) fn words(&self) -> String {
        format!(
            "{} pods on {} nodes, each a network namespace of this process; every verdict below is a real packet through the kernel.",
            self.live.net.pods.len(),
            self.live.net.nodes.len()
        )
    }

    /// Applies the policies of a step, and says what changed in the kernel and what became of the open connection.
    pub(super) fn apply(&mut self, world: &World) -> Result<String, Failure> {
        let placed = self.live.placed.under(&world.lowered, &world.sources());
        let Self { live, session, runtime, .. } = self;
        runtime.block_on(async {
            let applied = live.apply(placed).await.map_err(environment)?;
            let checked = live.recheck().await.map_err(environment)?;
            let n_ops: usize = applied.iter().map(|node| node.ops.len()).sum();
            let took: Duration = applied.iter().map(|node| node.took).sum();
            let mut text = match n_ops {
                0 => "kernel: nothing to change".to_owned(),
                n => format!("kernel: {n} changes on all nodes in {took:.1?}"),
            };
            let [(from_namespace, from), (to_namespace, to)] = SESSION;
            let name = format!("{from_namespace}/{from} -> {to_namespace}/{to}:80");
            // What was cut sends again at longer and longer intervals (RFC 6298), so it takes a while until it notices.
            let patience = if checked.resumed.is_empty() { PATIENCE } else { PATIENCE * 20 };
            let start = Instant::now();
            let pulse = match session {
                Some(session) => session.ping(patience).await,
                None => Pulse::Broken("it could not be opened".to_owned()),
            };
            live.tidy().await.map_err(environment)?;
            let what = match (pulse, checked.cut.len(), checked.resumed.len()) {
                (Pulse::Heard(_), _, 0) => "answers".to_owned(),
                (Pulse::Heard(_), ..) => {
                    format!("answers again {:.1?} after it was let go on", start.elapsed())
                }
                (Pulse::Silent, 0, _) => "stays cut".to_owned(),
                (Pulse::Silent, ..) => {
                    format!("cut in both directions after {:.1?}", checked.took)
                }
                (Pulse::Broken(why), ..) => format!("broken: {why}"),
            };
            let _ = write!(text, "\nopen connection {name}: {what}");
            Ok(text)
        })
    }

    /// Sends what was asked as real packets.
    pub(super) fn probe(&self, answers: &[Explanation]) -> Result<Vec<Seen>, Failure> {
        let questions: Vec<Question> =
            answers.iter().filter_map(|answer| question(&self.live.placed, answer)).collect();
        let settings = Settings {
            timeout: PATIENCE,
            retry_dropped: Some(PATIENCE * 8),
            ..Settings::default()
        };
        let found = self.runtime.block_on(verify(
            &self.live,
            questions,
            &settings,
            Listening::Held(&self.listeners),
            |_| (),
        ));
        let found = found.map_err(environment)?;
        let seen = found.answers.iter().map(|(_, observed, judgement)| Seen {
            outcome: observed.outcome.clone(),
            agrees: *judgement == Judgement::Agreed,
        });
        let seen = seen.collect();
        if let Ok(mut log) = self.log.lock() {
            *log = Some(found);
        }
        Ok(seen)
    }

    /// The log of the last probes, a line each.
    pub(super) fn log(&self, style: Style) -> String {
        let paint = paint(style);
        let look = Look::new(style.width, &paint);
        let mut epochs = Epochs::new(1);
        epochs.push(Ruleset::new(self.live.placed.bound.clone(), &self.live.reasons), None);
        let mut text = String::new();
        let log = self.log.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for (node, record) in log.iter().flat_map(|log| log.iter()).flat_map(|found| &found.log) {
            let record = attribute(&epochs, &packet(node, record, now));
            let _ = writeln!(text, " {}", line(&record, look));
        }
        text
    }
}

impl Seen {
    /// A word in a column of its own.
    pub(super) fn words(&self, style: Style) -> String {
        let word = match &self.outcome {
            Outcome::Connected => "answered",
            Outcome::Refused => "refused",
            Outcome::Dropped => "no answer",
            Outcome::Broken(_) => "not carried",
            Outcome::NotExercised(_) => "not sent",
        };
        let word = format!("{word:<13}");
        if self.agrees { word } else { style.bad(&word) }
    }
}

/// The pod of a name; a workload's only pod too.
fn pod(live: &Live, namespace: &str, name: &str) -> Option<PodIdx> {
    let pods = &live.placed.bound.pods;
    let at = pods.iter().position(|pod| &*pod.namespace == namespace && &*pod.name == name)?;
    PodIdx::try_from(at).ok()
}

/// What listens: the application on two ports that it does not declare as well, and the open connection's far end.
fn hosts(live: &Live) -> Vec<ListenHost> {
    let listens = [
        ("default", "multi-port-app", vec![8080, 9090, 5000], vec![]),
        ("web1", "nginx1", vec![80], vec![]),
        ("web1", "other", vec![80], vec![]),
        ("web2", "nginx2", vec![], vec![80]),
    ];
    let hosts = listens.into_iter().filter_map(|(namespace, name, ports, echo)| {
        let idx = pod(live, namespace, name)?;
        Some(ListenHost {
            netns: live.net.pods.get(&idx)?.clone(),
            addresses: live.placed.bound.pod(idx).addresses.clone(),
            points: ports.into_iter().map(|port| (Protocol::Tcp, port)).collect(),
            echo,
        })
    });
    hosts.collect()
}

async fn open(live: &Live) -> Option<Session> {
    let [from, to] = SESSION.map(|(namespace, name)| pod(live, namespace, name));
    let host = live.net.pods.get(&from?)?.clone();
    let to = SocketAddr::new(*live.placed.bound.pod(to?).addresses.first()?, 80);
    Session::open(host, None, to, Mode::Echo, PATIENCE * 4).await.ok()
}

/// An answer of the engine as a question to the network.
fn question(placed: &Placed, answer: &Explanation) -> Option<Question> {
    let flow = Flow { family: Family::V4, ..answer.flows.first()?.flow.clone() };
    let mut question = of_flow(&placed.bound, &flow).ok()?;
    if let Some(step) = &answer.service {
        let service = placed.services.get(step.service)?;
        question.to = service.addresses.iter().copied().find(IpAddr::is_ipv4)?;
        question.point.port = service.ports.get(step.port?)?.port;
        question.service = Some(service.display().into());
    }
    Some(question)
}
