//! Laws that relate the answers about two worlds: what changes nothing, and what changes answers in one way only.
//!
//! No law needs to know what an answer should be, so they hold the engine to the API where the reference could share its mistake.
//! `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "laws/adding.rs"]
mod adding;
#[path = "laws/edit.rs"]
mod edit;
#[path = "laws/names.rs"]
mod names;
#[path = "laws/order.rs"]
mod order;
#[path = "laws/splitting.rs"]
mod splitting;

use moat_ir::Verdict;
use moat_testkit::engine::Engine;
use moat_testkit::point::{End, Flow, Half, Outcome, Reason};
use moat_testkit::probe::{self, Probes};
use moat_testkit::rng::Rng;
use moat_testkit::settings::{Settings, seeds};
use moat_testkit::subject::Subject;
use moat_testkit::{Json, agree, generate, shrink};

/// How the answers about the changed world relate to those about the first.
#[derive(Clone, Debug)]
enum Relation {
    /// The same verdicts for the same reasons.
    Same,
    /// The same verdicts by the same policies; rules may have other places in them.
    SamePolicies,
    /// Nothing is allowed less.
    NotLess,
    /// Nothing is allowed more.
    NotMore,
    /// The same answers in the half of every end that is none of these.
    SameBut(Vec<End>),
}

/// The other world of a law.
struct Change {
    objects: Vec<Json>,
    relation: Relation,
    /// What an end of the first world is called in the other.
    end: Box<dyn Fn(&End) -> End>,
    /// What a policy of the other world is called in the first.
    policy: Box<dyn Fn(&str) -> String>,
}

impl Change {
    fn new(objects: Vec<Json>, relation: Relation) -> Self {
        Self { objects, relation, end: Box::new(End::clone), policy: Box::new(str::to_owned) }
    }
}

/// Makes the other world; nothing when the world has nothing that the law speaks of.
type Law = fn(&[Json], &mut Rng) -> Option<Change>;

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    worlds: usize,
    flows: usize,
    denied: usize,
    /// Flows whose verdict differs between the two worlds, where the law lets it.
    changed: usize,
}

/// Asks both worlds about the same flows. The same objects and seed give the same check.
fn check(law: Law, objects: &[Json], seed: u64) -> Result<Counts, String> {
    let mut rng = Rng::new(seed ^ 0x6c61_7773);
    let Some(change) = law(objects, &mut rng) else { return Ok(Counts::default()) };
    let mut probes = Probes::new(objects, Settings::DEFAULT.outside, &mut rng);
    probes.points.extend(probe::points(&change.objects));
    probes.points.sort_unstable();
    probes.points.dedup();
    let (first, other) = (Engine::new(objects), Engine::new(&change.objects));
    let mut counts = Counts { worlds: 1, ..Counts::default() };
    for flow in probes.some(Settings::DEFAULT.flows_per_pair, &mut rng) {
        let ends = ((change.end)(&flow.from), (change.end)(&flow.to));
        let same = Flow { from: ends.0, to: ends.1, ..flow.clone() };
        // An address that has become a pod's is no longer an end of its own.
        let (Some(old), Some(new)) = (first.decide(&flow), other.decide(&same)) else { continue };
        counts.flows += 1;
        counts.denied += usize::from(old.verdict == Verdict::Denied);
        counts.changed += usize::from(old.verdict != new.verdict);
        if let Err(what) = relate(&change, &flow, &old, &new) {
            let text = |objects: &[Json]| {
                objects.iter().map(|object| format!("---\n{object}\n")).collect::<Vec<_>>().concat()
            };
            return Err(format!(
                "first world:\n{}\nother world:\n{}\n{what}\nflow:  {flow}\nfirst: {old}\nother: {new}",
                text(objects),
                text(&change.objects)
            ));
        }
    }
    Ok(counts)
}

fn relate(change: &Change, flow: &Flow, old: &Outcome, new: &Outcome) -> Result<(), &'static str> {
    let keep = |half: &Half| renamed(half, &change.policy, true);
    let drop = |half: &Half| renamed(half, &change.policy, false);
    let alike = |held: bool, what| if held { Ok(()) } else { Err(what) };
    match &change.relation {
        Relation::Same => alike(
            old.verdict == new.verdict
                && old.maybe_own_node == new.maybe_own_node
                && [&old.egress, &old.ingress] == [&keep(&new.egress), &keep(&new.ingress)],
            "the answers differ",
        ),
        Relation::SamePolicies => {
            let plain = |half: &Half| renamed(half, &|name| name.to_owned(), false);
            alike(
                old.verdict == new.verdict
                    && old.maybe_own_node == new.maybe_own_node
                    && [plain(&old.egress), plain(&old.ingress)]
                        == [drop(&new.egress), drop(&new.ingress)],
                "the answers differ, places of rules aside",
            )
        }
        Relation::NotLess => {
            alike(rank(new.verdict) >= rank(old.verdict), "the other world allows less")
        }
        Relation::NotMore => {
            alike(rank(new.verdict) <= rank(old.verdict), "the other world allows more")
        }
        Relation::SameBut(ends) => {
            let bound = |end: &End| ends.contains(end);
            alike(
                (bound(&flow.from) || old.egress == new.egress)
                    && (bound(&flow.to) || old.ingress == new.ingress),
                "the answer of an end that has not changed differs",
            )
        }
    }
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Denied => 0,
        Verdict::Undefined => 1,
        Verdict::Allowed => 2,
    }
}

/// A half with policies under other names, and with or without the places of rules.
fn renamed(half: &Half, policy: &dyn Fn(&str) -> String, places: bool) -> Half {
    let reason = match &half.reason {
        Reason::Rules(rules) => Reason::Rules(
            rules
                .iter()
                .map(|(name, index)| (policy(name), if places { *index } else { 0 }))
                .collect(),
        ),
        Reason::Isolated(policies) => {
            Reason::Isolated(policies.iter().map(|name| policy(name)).collect())
        }
        other => other.clone(),
    };
    Half { verdict: half.verdict, reason }
}

/// The world of a seed. In every third one all cluster policies have one priority, so that ties are broken by their names.
fn world(seed: u64) -> Vec<Json> {
    let mut objects = generate::world(seed, &Settings::DEFAULT).objects;
    if seed.is_multiple_of(3) {
        for policy in objects.iter_mut().filter(|object| edit::is_cluster_policy(object)) {
            policy["spec"]["priority"] = Json::from(7);
        }
    }
    objects
}

/// Runs a law on random worlds; a difference comes back with the smallest world that still shows it.
fn hold(what: &str, law: Law) -> Counts {
    let (first, n) = seeds(400);
    let mut sum = Counts::default();
    let result = agree::in_parallel(
        n,
        |idx| {
            let seed = first + idx;
            let objects = world(seed);
            check(law, &objects, seed).map_err(|_| {
                let fails = |some: &[Json]| check(law, some, seed).is_err();
                let objects = shrink::smallest(objects, &fails);
                check(law, &objects, seed).expect_err("the smallest world still differs")
            })
        },
        |counts: Counts| {
            sum.worlds += counts.worlds;
            sum.flows += counts.flows;
            sum.denied += counts.denied;
            sum.changed += counts.changed;
        },
    );
    if let Err((idx, text)) = result {
        panic!("{what}: seed {} (rerun with MOAT_SEED={0}):\n{text}", first + idx);
    }
    println!("{what}: {sum:?}");
    // A law that finds nothing to change, or only open worlds, tests nothing.
    if n >= 100 {
        assert!(sum.worlds as u64 * 5 > n, "{what}: few worlds have what it speaks of: {sum:?}");
        assert!(sum.flows > sum.worlds * 100, "{what}: too few flows: {sum:?}");
        assert!(sum.denied * 10 > sum.flows, "{what}: too few flows are denied: {sum:?}");
    }
    sum
}

/// A law that lets verdicts change, and so must see some change.
fn hold_one_way(what: &str, law: Law) {
    let sum = hold(what, law);
    assert!(sum.worlds < 50 || sum.changed * 500 > sum.flows, "{what}: hardly a change: {sum:?}");
}

#[test]
fn order_never_matters() {
    hold("order", order::shuffled);
}

#[test]
fn names_of_policies_never_matter() {
    hold("policy names", names::policies);
}

#[test]
fn the_name_of_a_namespace_never_matters() {
    hold("namespace names", names::namespace);
}

#[test]
fn one_more_rule_never_allows_less() {
    hold_one_way("one more rule", adding::rule);
}

#[test]
fn one_rule_less_never_allows_more() {
    hold_one_way("one rule less", adding::rule_less);
}

#[test]
fn a_policy_on_pods_isolated_already_never_allows_less() {
    hold_one_way("isolated already", adding::policy_on_isolated);
}

#[test]
fn a_policy_matters_only_to_pods_it_selects() {
    hold_one_way("only selected pods", adding::policy);
}

#[test]
fn an_unrelated_pod_changes_nothing() {
    hold("unrelated pod", adding::pod);
}

#[test]
fn directions_may_be_policies_of_their_own() {
    hold("split directions", splitting::directions);
}

#[test]
fn peers_and_ports_may_be_rules_of_their_own() {
    hold("split rules", splitting::rules);
}

#[test]
fn a_range_of_ports_is_its_ports() {
    hold("ranges of ports", splitting::ranges);
}

#[test]
fn a_prefix_is_its_two_halves() {
    hold("halves of prefixes", splitting::prefixes);
}
