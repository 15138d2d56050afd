//! `moat test --live`: the flows of tests as real packets.

use crate::args::TestOutput;
use crate::cmd::verify::{environment, report, runtime};
use crate::exit::Failure;
use crate::out::Progress;
use crate::world::World;
use moat_ir::{End, Flow};
use moat_report::verify::{NotExercised, render};
use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::probe::Settings;
use moat_rig::verify::questions::{Question, Scope, of_flow};
use moat_rig::verify::run::{Listening, verify};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

/// Pods of a class that get a namespace: tests ask about pods by name.
const PODS_PER_CLASS: usize = 64;
/// Outside addresses that tests ask about and that are served.
const OUTSIDE_MAX: usize = 512;

/// Gives the world all that packets need, so that tests are decided about the very addresses that are probed.
pub(super) fn place(world: &mut World) -> Placed {
    let scope = Scope { pods_per_class: PODS_PER_CLASS, ..Scope::default() };
    let placed = Placed::new(world.lowered.clone(), &world.sources(), 2, &scope);
    world.bound = (*placed.bound).clone();
    world.lowered.inventory = placed.inventory.clone();
    placed
}

/// Asks the network what the tests asked the engine; says whether both agree everywhere.
pub(super) fn prove(
    mut placed: Placed,
    flows: &[Flow],
    output: TestOutput,
) -> Result<bool, Failure> {
    let bound = placed.bound.clone();
    let mut idle: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut questions: Vec<Question> = Vec::new();
    let mut outside: BTreeSet<IpAddr> = BTreeSet::new();
    for flow in flows {
        let found = of_flow(&bound, flow).and_then(|question| {
            let taking_part = [&flow.from, &flow.to].into_iter().all(|end| match end {
                End::Pod(idx) => placed.pods.binary_search(idx).is_ok(),
                _ => true,
            });
            let asked = question.targets.iter().map(|target| &target.flow);
            let ends = asked.flat_map(|flow| [flow.from.clone(), flow.to.clone()]);
            let far = ends.filter_map(|end| match end {
                End::Address(ref address) if !bound.node_by_address.contains_key(address) => Some(*address),
                _ => None,
            });
            let own = matches!(flow.from, End::Address(from) if bound.node_by_address.contains_key(&from));
            if !taking_part {
                return Err("more pods are alike than take part");
            }
            if own {
                return Err("a node asks only as itself: see `moat verify`");
            }
            if outside.len() >= OUTSIDE_MAX {
                return Err("more outside addresses than are served");
            }
            outside.extend(far);
            Ok(question)
        });
        match found {
            Ok(question) => questions.push(question),
            Err(why) => *idle.entry((flow.point.protocol.to_string(), why)).or_default() += 1,
        }
    }
    placed.outside = outside.into_iter().collect();
    let start = Instant::now();
    let mut report = runtime()?.block_on(async {
        let rules = moat_nft::render::Settings::default();
        let live = Live::new(placed, rules, |_| ()).await.map_err(environment)?;
        let built = start.elapsed();
        let progress = Progress::of("probing", questions.len());
        let settings = Settings::default();
        let found =
            verify(&live, questions, &settings, Listening::Declared, |done| progress.at(done));
        let found = found.await.map_err(environment)?;
        let mut report = report(&live, &found);
        report.build_ms = u64::try_from(built.as_millis()).unwrap_or(u64::MAX);
        Ok::<_, Failure>(report)
    })?;
    report.not_exercised.extend(idle.into_iter().map(|((protocol, why), count)| NotExercised {
        protocol,
        count,
        why: why.to_owned(),
    }));
    let text = format!(
        "\nlive: what the tests ask, as real packets\n{}",
        render(&report, crate::out::style())
    );
    match output {
        TestOutput::Text => crate::out::print(&text)?,
        // Data forms hold the tests alone; what the network said goes beside them.
        _ => crate::out::lines(&text),
    }
    Ok(report.disagreements.is_empty())
}
