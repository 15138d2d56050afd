//! What `explain` proposes does what it says: the flow passes that direction afterwards, and what else opens is what a comparison of
//! the two whole states finds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_analyze::diff::{Group, diff};
use moat_analyze::explain::{Edit, FlowExplanation, Question, explain, halves};
use moat_analyze::query::{Names, Port};
use moat_compile::{Dialect, bind, changed, compile};
use moat_ir::{Bound, Change, End, Verdict};
use moat_testkit::rng::Rng;
use moat_testkit::settings::{Settings, seeds};
use moat_testkit::{Json, agree, engine, generate};
use std::sync::Arc;

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    edits: usize,
    relabelled: usize,
    opening: usize,
}

/// Pairs of pods and pairs with the outside that the second state allows more ports than the first.
fn added(old: &Bound, new: &Bound, flow: &FlowExplanation) -> (u64, bool) {
    let mut pods = 0;
    let mut outside = false;
    for change in diff(old, new).changes {
        let ports = change.added();
        if ports.is_empty() {
            continue;
        }
        match (&change.from, &change.to) {
            (Group::Pods(from), Group::Pods(to)) => {
                let asked =
                    |group: &[u32], end: &End| matches!(end, End::Pod(pod) if group.contains(pod));
                let own = asked(from, &flow.flow.from)
                    && asked(to, &flow.flow.to)
                    && ports == moat_sets::PortSet::point(flow.flow.point);
                pods += change.pairs - u64::from(own);
            }
            _ => outside = true,
        }
    }
    (pods, outside)
}

fn check_edit(
    old: &Bound,
    flow: &FlowExplanation,
    edit: &Edit,
    make: &dyn Fn(&Change) -> Bound,
) -> Result<bool, String> {
    let new = make(&edit.change);
    let after = new.decide(&flow.flow);
    let half = halves(&after).into_iter().find(|(direction, _)| *direction == edit.direction);
    // A rule taken out may only uncover the next one that denies.
    let sure = !matches!(edit.change, Change::RemoveRule { .. });
    if sure && half.unwrap().1.verdict != Verdict::Allowed {
        return Err(format!("the flow is still not allowed: {after:?}"));
    }
    let (pods, outside) = added(old, &new, flow);
    let told = edit.opened.n_pairs - edit.opened.n_outside;
    if told as u64 != pods || (edit.opened.n_outside > 0) != outside {
        return Err(format!(
            "told {told} pairs of pods and {} with the outside; there are {pods}, outside: {outside}",
            edit.opened.n_outside
        ));
    }
    Ok(edit.opened.n_pairs > 0)
}

fn check(objects: &[Json], seed: u64) -> Result<Counts, String> {
    let lowered = engine::lower(objects);
    let symbolic = Arc::new(compile(&lowered.policies, &[]));
    let bound = bind(symbolic, &lowered.inventory, Dialect::MOAT);
    let make = |change: &Change| {
        changed(&bound, &lowered.policies, &lowered.inventory, Dialect::MOAT, change)
    };
    let names = Names::new(&bound, &[], "default");
    let mut rng = Rng::new(seed ^ 0x6564_6974);
    let mut counts = Counts::default();
    if bound.pods.is_empty() {
        return Ok(counts);
    }
    for _ in 0..12 {
        let mut pod = || bound.pods[rng.below(bound.pods.len())].display.to_string();
        let (from, to) = (pod(), pod());
        let port = [80, 81, 443, 53, 8080][rng.below(5)];
        let question = Question {
            from,
            to,
            port: Port::Number(port),
            protocol: moat_sets::Protocol::WITH_PORTS[rng.below(3)],
        };
        let explanation = explain(&names, &question, &make).unwrap();
        // Flows that are joined, such as those of two families, open together.
        let [flow] = explanation.flows.as_slice() else { continue };
        for edit in &flow.edits {
            let opening = check_edit(&bound, flow, edit, &make)
                .map_err(|error| format!("{question:?}\n{edit:#?}\n{error}"))?;
            counts.edits += 1;
            counts.opening += usize::from(opening);
            counts.relabelled += usize::from(matches!(
                edit.change,
                Change::LabelPod { .. } | Change::LabelNamespace { .. }
            ));
        }
    }
    Ok(counts)
}

#[test]
fn edits_allow_the_flow_and_open_what_they_say() {
    let (first, n) = seeds(400);
    let mut sum = Counts::default();
    let result = agree::in_parallel(
        n,
        |idx| {
            let world = generate::world(first + idx, &Settings::DEFAULT);
            check(&world.objects, first + idx).map_err(|error| (world.objects, error))
        },
        |counts: Counts| {
            sum.edits += counts.edits;
            sum.relabelled += counts.relabelled;
            sum.opening += counts.opening;
        },
    );
    if let Err((idx, (objects, error))) = result {
        let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
        panic!("seed {} (rerun with MOAT_SEED={0}):\n{}\n{error}", first + idx, objects.join("\n"));
    }
    println!("{sum:?}");
    assert!(
        n < 100 || (sum.relabelled > 100 && sum.opening > 200),
        "too little was tried: {sum:?}"
    );
}
