//! `moat verify -f DIR`: real packets against the engine's word.

mod keep;
mod watched;

use crate::args::{DataOutput, ProtocolName, Verify as Args};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::Progress;
use crate::world::World;
use moat_ir::{Answer, Bound, Direction, End, Verdict};
use moat_nft::render::Settings;
use moat_report::verify::{Agreed, Disagreement, NotExercised, Report, render, value};
use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::verify::judge::{self, Judgement, Observed};
use moat_rig::verify::questions::{Question, Scope};
use moat_rig::verify::run::{Verified, ask};
use moat_sets::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use watched::Watched;

pub(crate) fn run(args: &Args) -> Outcome {
    // Before the process has a second thread: the kernel refuses it after.
    sandbox()?;
    let world = World::read(&args.common)?.complete()?;
    let scope = scope(args);
    let n_nodes = usize::from(args.nodes);
    let placed = Placed::new(world.lowered.clone(), &world.sources(), n_nodes, &scope);
    if placed.pods.is_empty() {
        return Err(Failure::with_help(
            "nothing to verify: no pod or workload among the manifests",
            "give the manifests of workloads beside those of policies",
        ));
    }
    let n_all = placed.bound.pods.iter().filter(|pod| !pod.finished).count();
    let start = Instant::now();
    let runtime = runtime()?;
    let (live, watched, report) = runtime.block_on(async {
        let progress = Progress::of("wiring pods", placed.pods.len());
        let live = Live::new(placed, Settings::default(), |done| progress.at(done));
        let live = live.await.map_err(environment)?;
        drop(progress);
        let built = start.elapsed();
        let mut watched = Watched::open(&live, args).await?;
        let found = watched.probed(&live, ask(&live, &scope), args).await?;
        let mut report = report(&live, &found);
        report.n_left_out = n_all.saturating_sub(report.n_pods);
        report.build_ms = milliseconds(built);
        Ok::<_, Failure>((live, watched, report))
    })?;
    let style = crate::out::style();
    crate::out::print(&match args.output {
        DataOutput::Text => render(&report, style),
        DataOutput::Json => format!("{:#}\n", value(&report)),
        DataOutput::Yaml => moat_report::yaml::render(&value(&report)),
    })?;
    if args.keep {
        runtime.block_on(keep::keep(args, live, watched, &scope))?;
    }
    Ok(if report.disagreements.is_empty() { Ended::Yes } else { Ended::No })
}

/// Moves the process into namespaces of its own; says what is missing where the kernel refuses.
pub(crate) fn sandbox() -> Result<(), Failure> {
    moat_kernel::sandbox::enter().map_err(|refused| {
        Failure::Environment(format!("no packet can be sent from here: {refused}"))
    })
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

pub(crate) fn environment(error: impl core::fmt::Display) -> Failure {
    Failure::Environment(error.to_string())
}

fn scope(args: &Args) -> Scope {
    let protocol = |name: &ProtocolName| match name {
        ProtocolName::Tcp => Protocol::Tcp,
        ProtocolName::Udp => Protocol::Udp,
        ProtocolName::Sctp => Protocol::Sctp,
        ProtocolName::Icmp => Protocol::Other,
    };
    Scope {
        pods_per_class: usize::from(args.pods_per_class),
        sample: args.sample,
        protocols: args.protocols.iter().map(protocol).collect(),
        ..Scope::default()
    }
}

/// What probing found, in the words of reports.
pub(crate) fn report(live: &Live, found: &Verified) -> Report {
    let bound = &live.placed.bound;
    let mut agreed: BTreeMap<Protocol, Agreed> = BTreeMap::new();
    let mut idle: BTreeMap<(Protocol, &str), usize> = BTreeMap::new();
    let mut report = Report {
        n_pods: live.net.pods.len(),
        n_nodes: live.net.nodes.len(),
        n_outside: live.net.outside_addresses.len(),
        n_records: found.log.len(),
        n_lost: found.n_lost,
        notes: live.placed.notes.clone(),
        probe_ms: milliseconds(found.took),
        ..Report::default()
    };
    for (question, observed, judgement) in &found.answers {
        let protocol = question.point.protocol;
        report.n_probes += 1;
        match judgement {
            Judgement::Agreed => {
                let row = agreed.entry(protocol).or_default();
                match observed.outcome {
                    judge::Outcome::Connected => row.connected += 1,
                    judge::Outcome::Refused => row.refused += 1,
                    _ => row.dropped += 1,
                }
            }
            Judgement::LeftOpen => report.n_open += 1,
            Judgement::NotExercised(why) => {
                report.n_probes -= 1;
                *idle.entry((protocol, why)).or_default() += 1;
            }
            Judgement::Disagreed(wrong) => {
                report.disagreements.push(disagreement(bound, question, observed, wrong));
            }
        }
    }
    report.agreed = agreed
        .into_iter()
        .map(|(protocol, row)| Agreed { protocol: protocol.to_string(), ..row })
        .collect();
    report.not_exercised = idle
        .into_iter()
        .map(|((protocol, why), count)| NotExercised {
            protocol: protocol.to_string(),
            count,
            why: why.to_owned(),
        })
        .collect();
    report.refused = live
        .refused
        .iter()
        .map(|refused| {
            let names = refused.policies.iter().map(|&idx| bound.symbolic.policy(idx).to_string());
            let mut policies: Vec<String> = names.take(POLICIES_SHOWN).collect();
            let n_more = refused.policies.len() - policies.len();
            if n_more > 0 {
                policies.push(format!("{n_more} more"));
            }
            format!("what {} decide is denied: it needs {}", policies.join(", "), refused.excess)
        })
        // Nodes, directions and programs that say the same are one line.
        .collect::<BTreeSet<String>>()
        .into_iter()
        .collect();
    report
}

/// So many policies of one that is too large are named.
const POLICIES_SHOWN: usize = 3;

fn disagreement(
    bound: &Bound,
    question: &Question,
    observed: &Observed,
    wrong: &[String],
) -> Disagreement {
    let answers: Vec<Answer> =
        question.targets.iter().map(|target| bound.decide(&target.flow)).collect();
    let allowed = answers.iter().filter(|answer| answer.verdict == Verdict::Allowed).count();
    let expected = match allowed {
        0 => "denied",
        n if n == answers.len() => "allowed",
        _ => "allowed by some backends",
    };
    let seen = match &observed.outcome {
        judge::Outcome::Connected => "connected",
        judge::Outcome::Refused => "refused",
        judge::Outcome::Dropped => "dropped",
        judge::Outcome::Broken(_) => "not carried",
        judge::Outcome::NotExercised(_) => "not asked",
    };
    let mut reasons = Vec::new();
    for answer in &answers {
        for (direction, half) in
            [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)]
        {
            if let Some(reason) = judge::reason(direction, half) {
                reasons.push(reason.words(bound));
            }
        }
    }
    reasons.dedup();
    Disagreement {
        question: words(bound, question),
        expected: expected.to_owned(),
        seen: seen.to_owned(),
        wrong: wrong.to_vec(),
        reasons,
    }
}

/// `shop/web (10.0.0.1) -> shop/db (10.0.0.2) on 5432/TCP`.
fn words(bound: &Bound, question: &Question) -> String {
    let name = |end: &End| match end {
        End::Pod(idx) => bound.pod(*idx).display.to_string(),
        End::Address(address) => match bound.node_by_address.get(address) {
            Some(node) => format!("node {node}"),
            None => "outside".to_owned(),
        },
        End::Domain(name) => name.to_string(),
    };
    let to = match (&question.service, question.targets.first()) {
        (Some(service), _) => service.to_string(),
        (None, Some(target)) => name(&target.flow.to),
        (None, None) => String::new(),
    };
    format!(
        "{} ({}) -> {to} ({}) on {}",
        name(&question.from),
        question.source,
        question.to,
        question.point
    )
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
