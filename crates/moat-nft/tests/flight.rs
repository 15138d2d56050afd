//! The law of a way: no packet is allowed that both tables deny, and none is denied that both allow, wherever the changes fall.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's answer")]

mod tables;
mod worlds;

use moat_nft::edit::Edit;
use moat_nft::fake::Fake;
use moat_nft::flight::{Ends, Flight};
use moat_nft::interp::{self, Packet};
use moat_nft::model::{Element, Hook, Rule, Statement, States, Table};
use moat_nft::plan::plan;
use moat_nft::way::{Gates, Recent, Step, Uses, Way};
use std::collections::BTreeSet;
use std::net::IpAddr;
use tables::Rng;
use worlds::{N_ADDRESSES, Names, World, address, gates};

/// What a way came to.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A packet passes that both tables deny.
    Leak(IpAddr, IpAddr),
    /// A packet does not pass that both tables allow.
    Cut(IpAddr, IpAddr),
}

fn way(before: &Table, after: &Table) -> Way {
    let edit = Edit::between(before, after).unwrap();
    Way::of(&edit, before, &Uses::new(before, &gates())).unwrap()
}

/// Edits as they happen, each with whether a grace comes before.
fn flight(before: &Table, edits: &[(Edit, bool)]) -> Flight {
    let mut flight = Flight::new(before.clone());
    edits.iter().for_each(|(edit, grace)| flight.change(edit, *grace));
    flight
}

fn of_way(way: &Way) -> Vec<(Edit, bool)> {
    way.edits.iter().enumerate().map(|(at, edit)| (edit.clone(), at > 0)).collect()
}

fn pairs() -> impl Iterator<Item = (IpAddr, IpAddr)> {
    let all = || (0..N_ADDRESSES).map(address);
    all().flat_map(move |source| all().map(move |destination| (source, destination)))
}

fn is_closed(way: &Way, address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(own) if way.closed.contains(&Element::V4(own)))
}

/// The first packet that breaks the law.
fn fault(flight: &Flight, before: &Table, way: &Way) -> Option<Found> {
    let (old, new) = (Flight::new(before.clone()), Flight::new(flight.table().clone()));
    for (source, destination) in pairs() {
        let ends = |of: &Flight| of.ends(Hook::Forward, source, destination);
        let (old, new, now) = (ends(&old), ends(&new), ends(flight));
        if old.denied && new.denied && now.allowed {
            return Some(Found::Leak(source, destination));
        }
        let closed = is_closed(way, source) || is_closed(way, destination);
        if old.allowed && new.allowed && now.denied && !closed {
            return Some(Found::Cut(source, destination));
        }
    }
    None
}

/// What changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Pods,
    Policies,
    /// Policies, and groups keep their names.
    Groups,
    /// All at once, and groups keep their names.
    All,
    /// Policies, and rows keep their names.
    Rows,
    /// All at once, and rows keep their names.
    AllRows,
}

const KINDS: [Kind; 6] =
    [Kind::Pods, Kind::Policies, Kind::Groups, Kind::All, Kind::Rows, Kind::AllRows];

/// Random changes of one kind.
fn changes(n: u64, kind: Kind) -> impl Iterator<Item = (u64, Table, Table)> {
    (0..n).map(move |seed| {
        let mut rng = Rng::new(seed);
        let before = World::new(&mut rng);
        let mut after = before.clone();
        if kind != Kind::Pods {
            after.policy_event(&mut rng);
        }
        if matches!(kind, Kind::Pods | Kind::All | Kind::AllRows) {
            after.pod_event(&mut rng);
        }
        let names = match kind {
            Kind::Pods | Kind::Policies => Names::Content,
            Kind::Groups | Kind::All => Names::Class,
            Kind::Rows | Kind::AllRows => Names::Rows,
        };
        (seed, before.table(names), after.table(names))
    })
}

fn n_worlds(default: u64) -> u64 {
    std::env::var("MOAT_FLIGHTS").map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_packet_meets_what_neither_table_says() {
    for kind in KINDS {
        let (mut n_ways, mut n_closing, mut n_late, mut n_waiting) = (0, 0, 0, 0);
        for (seed, before, after) in changes(n_worlds(3000), kind) {
            let way = way(&before, &after);
            let flight = flight(&before, &of_way(&way));
            assert_eq!(flight.table(), &after, "seed {seed}");
            assert_eq!(fault(&flight, &before, &way), None, "seed {seed}: {way:#?}");
            n_ways += usize::from(!way.edits.is_empty());
            n_closing += usize::from(!way.closed.is_empty());
            n_late += usize::from(way.edits.iter().skip(way.n_now).any(|e| !e.remove.is_empty()));
            n_waiting += usize::from(way.edits.len() > 3);
        }
        println!(
            "{kind:?}: {n_ways} ways, {n_closing} close pods, {n_late} remove elements late, {n_waiting} longer"
        );
        assert!(n_ways > 500);
        assert!(match kind {
            Kind::Policies => n_closing == 0,
            // Where rows keep their sets, who is in them changes with what is said of them.
            Kind::Groups | Kind::Rows => n_closing > 100,
            Kind::Pods | Kind::All | Kind::AllRows => n_closing > 100 && n_late > 100,
        });
    }
}

#[test]
fn the_steps_are_taken_by_the_kernel() {
    for (seed, before, after) in KINDS.into_iter().flat_map(|kind| changes(500, kind)) {
        let mut kernel = Fake::new("moat");
        kernel.apply(&plan(None, &before)).unwrap();
        let way = way(&before, &after);
        assert!(way.n_now <= way.edits.len() && way.edits.iter().all(|edit| !edit.is_empty()));
        let mut last = Step::Grace;
        for step in way.steps() {
            if let Step::Transaction(ops) = &step {
                assert_eq!(last, Step::Grace, "seed {seed}");
                kernel.apply(ops).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{ops:#?}"));
            }
            last = step;
        }
        assert_eq!(kernel.table(), Some(&after), "seed {seed}");
    }
}

/// Pods and policies at once, with leftovers of one who died on the way: the table becomes what is wanted.
#[test]
fn ways_lead_there_from_anywhere() {
    let mut n_left = 0;
    for seed in 0..1000 {
        let mut rng = Rng::new(seed);
        let names = [Names::Content, Names::Class, Names::Rows][usize::try_from(seed % 3).unwrap()];
        let mut world = World::new(&mut rng);
        let mut kernel = Fake::new("moat");
        kernel.apply(&plan(None, &world.table(names))).unwrap();
        let mut uses = Uses::new(kernel.table().unwrap(), &gates());
        for _ in 0..4 {
            world.pod_event(&mut rng);
            world.policy_event(&mut rng);
            let wanted = world.table(names);
            let edit = Edit::between(kernel.table().unwrap(), &wanted).unwrap();
            let way = Way::of(&edit, kernel.table().unwrap(), &uses).unwrap();
            let dies = if rng.one_in(3) { rng.below(way.edits.len() + 1) } else { usize::MAX };
            for edit in way.edits.iter().take(dies) {
                uses.follow(edit, kernel.table().unwrap());
                kernel.apply(&edit.ops()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                assert_eq!(uses, Uses::new(kernel.table().unwrap(), &gates()), "seed {seed}");
            }
            n_left += usize::from(kernel.table() != Some(&wanted));
            assert!(dies < way.edits.len() || kernel.table() == Some(&wanted), "seed {seed}");
        }
    }
    assert!(n_left > 100, "{n_left}");
}

/// What is believed of changes in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Right,
    NoGraces,
    /// That elements of one pod and those of another have nothing to do with each other.
    PodsAlone,
}

/// Changes that follow each other as fast as they may, with graces only where they must be.
fn in_a_row(seed: u64, pace: Pace, names: Names) -> Option<Found> {
    let mut rng = Rng::new(seed);
    let mut world = World::new(&mut rng);
    let mut wanted = vec![world.table(names)];
    let mut flight = Flight::new(wanted[0].clone());
    let (mut recent, mut closed) = (Recent::default(), BTreeSet::new());
    for _ in 0..3 {
        if rng.one_in(4) {
            world.policy_event(&mut rng);
        } else {
            world.relabel(&mut rng);
        }
        let next = world.table(names);
        let way = way(flight.table(), &next);
        for (at, edit) in way.edits.iter().enumerate() {
            let switches = !edit.refill.is_empty();
            let touched =
                if pace == Pace::PodsAlone { BTreeSet::new() } else { way.touched.clone() };
            let grace = at > 0 || !recent.allows(switches, &touched);
            let grace = grace && pace != Pace::NoGraces;
            if grace {
                recent = Recent::default();
            }
            recent.note(switches, &way.touched);
            flight.change(edit, grace);
        }
        closed.extend(way.closed);
        wanted.push(next);
    }
    for (source, destination) in pairs() {
        let ends =
            |table: &Table| Flight::new(table.clone()).ends(Hook::Forward, source, destination);
        let now = flight.ends(Hook::Forward, source, destination);
        if now.allowed && wanted.iter().all(|table| ends(table).denied) {
            return Some(Found::Leak(source, destination));
        }
        let is_closed =
            |address| matches!(address, IpAddr::V4(own) if closed.contains(&Element::V4(own)));
        let open = !is_closed(source) && !is_closed(destination);
        if now.denied && open && wanted.iter().all(|table| ends(table).allowed) {
            return Some(Found::Cut(source, destination));
        }
    }
    None
}

#[test]
fn changes_in_a_row() {
    for seed in 0..n_worlds(5000) {
        for names in [Names::Content, Names::Class, Names::Rows] {
            assert_eq!(in_a_row(seed, Pace::Right, names), None, "seed {seed}, {names:?}");
        }
    }
    for bug in [Pace::NoGraces, Pace::PodsAlone] {
        let mut worlds = 0..50_000;
        let leaks =
            |seed: &u64| matches!(in_a_row(*seed, bug, Names::Content), Some(Found::Leak(..)));
        let found = worlds.find(leaks);
        println!("a leak in row {found:?}");
        assert!(found.is_some());
    }
}

/// A packet that meets no change is judged as the interpreter says.
#[test]
fn a_quiet_flight_is_the_interpreter() {
    let (mut n_allowed, mut n_denied) = (0, 0);
    for (_, table, _) in changes(100, Kind::Pods) {
        let flight = Flight::new(table.clone());
        for (source, destination) in pairs() {
            let packet = Packet {
                source,
                destination,
                protocol: 17,
                port: Some(9),
                icmpv6_type: None,
                input: "pod0".into(),
                state: States { new: true, ..States::default() },
                mark: 0,
            };
            let allowed = interp::run(&table, Hook::Forward, &packet).accepted;
            let ends = flight.ends(Hook::Forward, source, destination);
            assert_eq!(ends, Ends { allowed, denied: !allowed });
            *if allowed { &mut n_allowed } else { &mut n_denied } += 1;
        }
    }
    assert!(n_allowed > 500 && n_denied > 500, "{n_allowed} {n_denied}");
}

/// A way that breaks a rule.
type Bug = fn(&Table, &Table) -> (Way, Vec<(Edit, bool)>);

/// Does all of what is late with the switch, as far as it is chosen.
fn early(before: &Table, after: &Table, elements: bool, parts: bool) -> (Way, Vec<(Edit, bool)>) {
    let way = way(before, after);
    let mut edits = of_way(&way);
    let mut now = Edit::default();
    for (edit, _) in edits.iter_mut().skip(way.n_now) {
        if elements {
            now.remove.append(&mut edit.remove);
        }
        if parts {
            now.drop_sets.append(&mut edit.drop_sets);
            now.drop_chains.append(&mut edit.drop_chains);
        }
    }
    if let Some((switch, _)) = edits.get_mut(way.n_now.saturating_sub(1)) {
        for (set, elements) in now.remove {
            switch.remove.entry(set).or_default().extend(elements);
        }
        switch.drop_sets.append(&mut now.drop_sets);
        switch.drop_chains.append(&mut now.drop_chains);
    }
    (way, edits)
}

/// Whether a rule is about a dispatch map alone.
fn looks_up_pod(rule: &Rule) -> bool {
    matches!(&rule.statements[..], [.., Statement::Vmap { .. }])
}

#[test]
fn each_planted_bug_is_found() {
    let bugs: [(&str, Bug); 9] = [
        ("no grace", |before, after| {
            let way = way(before, after);
            let edits = way.edits.iter().map(|edit| (edit.clone(), false)).collect();
            (way, edits)
        }),
        ("elements removed at once", |before, after| early(before, after, true, false)),
        ("chains and sets removed at once", |before, after| early(before, after, false, true)),
        ("nothing closed", |before, after| {
            let edit = Edit::between(before, after).unwrap();
            let open: Gates = gates().into_keys().map(|prefix| (prefix, None)).collect();
            let way = Way::of(&edit, before, &Uses::new(before, &open)).unwrap();
            let edits = of_way(&way);
            (way, edits)
        }),
        ("closed for one grace only", |before, after| {
            let way = way(before, after);
            let mut edits = of_way(&way);
            // What waits for late elements is opened by the switch.
            if way.edits.len() > way.n_now && way.n_now > 1 {
                let refill = core::mem::take(&mut edits[way.n_now - 1].0.refill);
                edits[way.n_now - 2].0.refill.extend(refill);
            }
            (way, edits)
        }),
        ("ranges made with the switch", |before, after| {
            let way = way(before, after);
            let mut edits = of_way(&way);
            if let [(first, _), (second, _), ..] = &mut edits[..]
                && first.refill.is_empty()
            {
                second.make_sets.append(&mut first.make_sets);
                second.make_chains.append(&mut first.make_chains);
            }
            (way, edits)
        }),
        ("closed addresses asked after the others", |before, after| {
            let way = way(before, after);
            let mut edits = of_way(&way);
            for (edit, _) in edits.iter_mut().take(way.n_now) {
                for rules in edit.refill.values_mut() {
                    for at in 1..rules.len() {
                        if [at - 1, at].iter().all(|&at| looks_up_pod(&rules[at])) {
                            rules.swap(at - 1, at);
                        }
                    }
                }
            }
            (way, edits)
        }),
        ("all in one transaction", |before, after| {
            (Way::default(), vec![(Edit::between(before, after).unwrap(), false)])
        }),
        ("all made first, then all switched", |before, after| {
            let edit = Edit::between(before, after).unwrap();
            let make = Edit {
                make_sets: edit.make_sets.clone(),
                make_chains: edit.make_chains.clone(),
                ..Edit::default()
            };
            let rest = Edit { make_sets: [].into(), make_chains: [].into(), ..edit };
            (Way::default(), vec![(make, false), (rest, false)])
        }),
    ];
    for (what, bug) in bugs {
        let (mut leak, mut n_cuts) = (None, 0);
        for (seed, before, after) in KINDS.into_iter().flat_map(|kind| changes(3000, kind)) {
            let (way, edits) = bug(&before, &after);
            match fault(&flight(&before, &edits), &before, &way) {
                Some(Found::Leak(..)) => leak = Some(seed),
                Some(Found::Cut(..)) => n_cuts += 1,
                None => {}
            }
            if leak.is_some() {
                break;
            }
        }
        println!("{what}: a leak in world {leak:?}, {n_cuts} cuts before");
        assert!(leak.is_some(), "{what} is not found");
    }
    // Dispatch maps that change in place are no way at all, and leak in one transaction.
    let in_place = (0..3000).any(|seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(&mut rng);
        let before = world.table(Names::InPlace);
        world.policy_event(&mut rng);
        let edit = Edit::between(&before, &world.table(Names::InPlace)).unwrap();
        let maps = edit.add.keys().chain(edit.remove.keys());
        if maps.into_iter().any(|name| before.sets[name].map) {
            assert_eq!(Way::of(&edit, &before, &Uses::new(&before, &gates())), None);
        }
        let leaks = fault(&flight(&before, &[(edit, false)]), &before, &Way::default());
        matches!(leaks, Some(Found::Leak(..)))
    });
    assert!(in_place, "dispatch in place is not found");
}
