//! The kernel agrees with the engine: random worlds and every world of the corpus, each through real packets.
//!
//! Runs without root in a user namespace of its own; where the kernel refuses that, it says so and fails. `MOAT_WORLDS` says how many
//! random worlds, `MOAT_SEED` runs one, `MOAT_CASE` the corpus cases whose title holds its text.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_ir::Bound;
use moat_nft::render::Settings as Rules;
use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::probe::Settings;
use moat_rig::verify::judge::{Judgement, Outcome};
use moat_rig::verify::questions::Scope;
use moat_rig::verify::run::{Listening, Verified, ask, verify};
use moat_sets::Protocol;
use moat_testkit::settings::{Settings as Bounds, seeds};
use moat_testkit::{Json, engine, generate, mdcase};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Worlds at the same time: most of their time is waiting for what must not arrive.
const AT_ONCE: usize = 4;
/// Questions of one world; a fair choice where there are more.
const SAMPLE: usize = 500;

/// What all worlds came to.
#[derive(Default)]
struct Sum {
    n_worlds: usize,
    agreed: BTreeMap<(Protocol, &'static str), usize>,
    not_exercised: BTreeMap<(Protocol, String), usize>,
    n_open: usize,
    n_records: usize,
    n_lost: u64,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    if let Err(refused) = moat_kernel::sandbox::enter() {
        eprintln!("NOT EXERCISED: no packet was sent: {refused}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = Instant::now();
    let mut failed = 0;
    let (first, count) = seeds(24);
    let random: Vec<(String, Vec<Json>)> = (first..first + count)
        .map(|seed| (format!("seed {seed}"), generate::world(seed, &Bounds::DEFAULT).objects))
        .collect();
    let wanted = std::env::var("MOAT_CASE").unwrap_or_default();
    let mut corpus: Vec<(String, Vec<Json>)> =
        mdcase::corpus().iter().flat_map(mdcase::worlds).collect();
    corpus.retain(|(title, _)| title.contains(&wanted));
    for (name, worlds) in [("random_worlds", random), ("corpus_worlds", corpus)] {
        if worlds.is_empty() {
            continue;
        }
        let all = worlds.len() > 1;
        let sum = runtime.block_on(run(worlds));
        println!("{name}: {} worlds in {:.1?}", sum.n_worlds, start.elapsed());
        for ((protocol, what), count) in &sum.agreed {
            println!("  {protocol} {what}: {count}");
        }
        for ((protocol, why), count) in &sum.not_exercised {
            println!("  not exercised: {protocol}: {count} questions: {why}");
        }
        println!(
            "  left open: {}; log: {} records, {} lost",
            sum.n_open, sum.n_records, sum.n_lost
        );
        let mut wrong = sum.wrong.clone();
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Other] {
            let none = |what| !sum.agreed.contains_key(&(protocol, what));
            let idle = sum.not_exercised.keys().any(|(own, _)| *own == protocol);
            if all && !idle && (none("passed") || none("dropped")) {
                wrong.push(format!("{protocol}: nothing passed or nothing was dropped"));
            }
        }
        println!("test {name} ... {}", if wrong.is_empty() { "ok" } else { "FAILED" });
        for line in wrong.iter().take(40) {
            println!("{line}");
        }
        failed += usize::from(!wrong.is_empty());
    }
    println!("{} passed, {failed} failed", 2 - failed);
    ExitCode::from(u8::from(failed > 0))
}

async fn run(worlds: Vec<(String, Vec<Json>)>) -> Sum {
    let mut sum = Sum::default();
    let mut running = JoinSet::new();
    let mut left = worlds.into_iter();
    loop {
        while running.len() < AT_ONCE
            && let Some((title, objects)) = left.next()
        {
            running.spawn(async move {
                let found = world(&objects).await;
                (title, found)
            });
        }
        let Some(done) = running.join_next().await else { break };
        let (title, found) = done.unwrap();
        sum.add(&title, found);
    }
    sum
}

async fn world(objects: &[Json]) -> Result<(Placed, Verified), String> {
    let scope = Scope { pods_per_class: 2, sample: Some(SAMPLE), ..Scope::default() };
    let placed = Placed::new(engine::lower(objects), &[], 2, &scope);
    let mut live =
        Live::new(placed.clone(), Rules::default(), |_| ()).await.map_err(|e| e.to_string())?;
    let drift = live.drift().await.map_err(|e| e.to_string())?;
    if !drift.is_empty() {
        return Err(format!("the kernel holds other rules than were made: {drift:?}"));
    }
    let settings = Settings {
        timeout: Duration::from_millis(300),
        retry_dropped: Some(Duration::from_secs(4)),
        ..Settings::default()
    };
    let found = verify(&live, ask(&live, &scope), &settings, Listening::Declared, |_| ())
        .await
        .map_err(|e| e.to_string())?;
    Ok((placed, found))
}

impl Sum {
    fn add(&mut self, title: &str, found: Result<(Placed, Verified), String>) {
        self.n_worlds += 1;
        let (placed, found) = match found {
            Ok(found) => found,
            Err(why) => {
                self.wrong.push(format!("{title}: {why}"));
                return;
            }
        };
        self.n_records += found.log.len();
        self.n_lost += found.n_lost;
        for (question, observed, judgement) in &found.answers {
            let protocol = question.point.protocol;
            match judgement {
                Judgement::Agreed => {
                    let what = match observed.outcome {
                        Outcome::Connected | Outcome::Refused => "passed",
                        _ => "dropped",
                    };
                    *self.agreed.entry((protocol, what)).or_default() += 1;
                }
                Judgement::LeftOpen => self.n_open += 1,
                Judgement::NotExercised(why) => {
                    *self.not_exercised.entry((protocol, why.clone())).or_default() += 1;
                }
                Judgement::Disagreed(wrong) => {
                    let bound: &Bound = &placed.bound;
                    let ends = question.targets.first().map(|target| target.flow.clone());
                    let answer = ends.as_ref().map(|flow| bound.decide(flow));
                    self.wrong.push(format!(
                        "{title}: {} -> {} {}: {}\n    {observed:?}\n    {answer:?}",
                        question.source,
                        question.to,
                        question.point,
                        wrong.join("; ")
                    ));
                }
            }
        }
    }
}
