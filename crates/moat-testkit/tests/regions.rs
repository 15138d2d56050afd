//! The interpreter for sets gives every atom and port what the interpreter for one flow gives it.
//!
//! Atoms are finite, and within a program no port between two boundaries differs from them, so each world is checked in full.
//! `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use core::fmt;
use moat_compile::Dialect;
use moat_ir::{AtomKind, Bound, Cell, End, Flow, Program, Verdict};
use moat_sets::{Family, Protocol, ServicePoint};
use moat_testkit::Json;
use moat_testkit::settings::{Settings, seeds};
use moat_testkit::{agree, engine, generate, shrink, small};
use std::collections::BTreeSet;

/// What was compared.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    programs: usize,
    cells: usize,
    points: usize,
    denied: usize,
    undefined: usize,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            programs: self.programs + other.programs,
            cells: self.cells + other.cells,
            points: self.points + other.points,
            denied: self.denied + other.denied,
            undefined: self.undefined + other.undefined,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} programs, {} cells, {} points, {} denied, {} undefined",
            self.programs, self.cells, self.points, self.denied, self.undefined
        )
    }
}

/// One end that is the atom and nothing else.
fn end(bound: &Bound, atom: u32) -> (End, Family) {
    match bound.atoms.get(atom).unwrap() {
        AtomKind::Addresses { low, .. } => (End::Address(low), Family::of(low)),
        // A name below a wildcard matches the same patterns as the wildcard itself.
        AtomKind::Domain(pattern) => {
            (End::Domain(pattern.as_str().replace('*', "some").into()), Family::V4)
        }
        AtomKind::Pods { class, family } => (End::Pod(bound.class(class).pods[0]), family),
    }
}

/// The first and last port of every run of every clause, and the ports beside them, for every protocol.
fn points(program: &Program) -> Vec<ServicePoint> {
    let edges = program
        .stages
        .iter()
        .flat_map(|stage| &stage.clauses)
        .flat_map(|clause| clause.ports.edges().map(|point| point.port));
    let around = |port: u16| [port.saturating_sub(1), port, port.saturating_add(1)];
    let ports: BTreeSet<u16> = edges.chain([80]).flat_map(around).collect();
    let mut points: Vec<ServicePoint> = Protocol::WITH_PORTS
        .into_iter()
        .flat_map(|protocol| ports.iter().map(move |&port| ServicePoint::new(protocol, port)))
        .collect();
    points.push(ServicePoint::new(Protocol::Other, 0));
    points
}

/// The cell of each atom. Cells that overlap, leave something out or hold what is no atom are an error.
fn cell_of_atoms(bound: &Bound, cells: &[Cell]) -> Result<Vec<usize>, String> {
    let mut owner = vec![None; bound.atoms.len() as usize];
    for (idx, cell) in cells.iter().enumerate() {
        if cell.peers.is_empty() {
            return Err(format!("cell {idx} has no peers"));
        }
        if !cell.allow.is_disjoint(&cell.undefined) {
            return Err(format!("cell {idx} both allows and leaves open some port"));
        }
        for atom in cell.peers.iter() {
            let slot = owner.get_mut(atom as usize).ok_or(format!("{atom} is no atom"))?;
            if let Some(other) = slot.replace(idx) {
                return Err(format!("atom {atom} is in cells {other} and {idx}"));
            }
        }
    }
    let missing = |atom: usize| format!("atom {atom} is in no cell");
    owner.iter().enumerate().map(|(atom, cell)| cell.ok_or_else(|| missing(atom))).collect()
}

fn check_program(bound: &Bound, program: &Program) -> Result<Counts, String> {
    let cells = bound.regions(program);
    let owner = cell_of_atoms(bound, &cells)?;
    let points = points(program);
    let mut counts = Counts { programs: 1, cells: cells.len(), ..Counts::default() };
    for (atom, &cell) in (0..).zip(&owner) {
        let cell = &cells[cell];
        let alone = bound.ports_at(program, atom);
        if (&alone.allow, &alone.undefined) != (&cell.allow, &cell.undefined) {
            return Err(format!("atom {atom} alone has other ports than its cell: {alone:?}"));
        }
        let (peer, family) = end(bound, atom);
        for &point in &points {
            let flow = Flow { from: peer.clone(), to: peer.clone(), point, family };
            let wanted = bound.run(program, &peer, &flow).verdict;
            let found = match (cell.allow.contains(point), cell.undefined.contains(point)) {
                (true, _) => Verdict::Allowed,
                (_, true) => Verdict::Undefined,
                _ => Verdict::Denied,
            };
            if found != wanted {
                let what = bound.atoms.get(atom).unwrap();
                return Err(format!(
                    "atom {atom} {what:?} on {point}: regions say {found:?}, the interpreter for flows {wanted:?}\n{program:?}"
                ));
            }
            counts.points += 1;
            counts.denied += usize::from(found == Verdict::Denied);
            counts.undefined += usize::from(found == Verdict::Undefined);
        }
    }
    Ok(counts)
}

fn check(objects: &[Json], dialect: Dialect) -> Result<Counts, String> {
    let bound = engine::bind(objects, dialect);
    bound
        .programs
        .iter()
        .try_fold(Counts::default(), |sum, program| Ok(sum.plus(check_program(&bound, program)?)))
}

/// Like [`check`]; a difference comes back with the smallest world that still shows it.
fn check_and_shrink(objects: &[Json], dialect: Dialect) -> Result<Counts, String> {
    check(objects, dialect).map_err(|_| {
        let objects = shrink::smallest(objects.to_vec(), &|some| check(some, dialect).is_err());
        let what = check(&objects, dialect).expect_err("the smallest world still differs");
        let objects: Vec<String> =
            objects.iter().map(|object| format!("---\n{object}\n")).collect();
        format!("{}dialect {}: {what}", objects.concat(), dialect.name)
    })
}

/// Checks random worlds in a dialect.
fn check_random(what: &str, dialect: Dialect, settings: &Settings) {
    let (first, n) = seeds(400);
    let mut sum = Counts::default();
    let result = agree::in_parallel(
        n,
        |idx| {
            let world = generate::world(first + idx, settings);
            check_and_shrink(&world.objects, dialect)
        },
        |counts| sum = sum.plus(counts),
    );
    if let Err((idx, text)) = result {
        panic!("{what}: seed {} (rerun with MOAT_SEED={0}):\n{text}", first + idx);
    }
    println!("{what}: {sum}");
    assert!(n < 100 || sum.denied * 5 > sum.points, "{what}: too little is denied: {sum}");
    assert!(n < 100 || sum.undefined > 0, "{what}: nothing is undefined: {sum}");
}

#[test]
fn regions_agree_on_random_worlds() {
    // Moat's own dialect decides nearly everything; that of the bare API text leaves much open.
    check_random("moat", Dialect::MOAT, &Settings::DEFAULT);
    check_random("spec", Dialect::SPEC, &Settings::DEFAULT);
    check_random("cilium", Dialect::CILIUM, &Settings::DEFAULT);
}

/// Domain names, whose addresses no one knows, are where most is in doubt.
const DOMAINS: Settings =
    Settings { domains_one_in: 1, cluster_policies: (2, 4), nodes: (1, 3), ..Settings::DEFAULT };

#[test]
fn regions_agree_where_policies_name_domains() {
    check_random("moat with domains", Dialect::MOAT, &DOMAINS);
    check_random("spec with domains", Dialect::SPEC, &DOMAINS);
    check_random("cilium with domains", Dialect::CILIUM, &DOMAINS);
}

fn check_small(what: &str, worlds: &[Vec<Json>]) {
    let mut sum = Counts::default();
    let run = |idx: u64| check_and_shrink(&worlds[usize::try_from(idx).unwrap()], Dialect::MOAT);
    if let Err((idx, text)) =
        agree::in_parallel(worlds.len() as u64, run, |counts| sum = sum.plus(counts))
    {
        panic!("{what}: world {idx} of {}:\n{text}", worlds.len());
    }
    println!("{what}: {sum}");
    assert!(sum.denied * 10 > sum.points, "too little is denied: {sum}");
}

#[test]
fn regions_agree_on_every_form_of_one_policy() {
    check_small("one policy", &small::one_policy());
}

#[test]
fn regions_agree_on_every_order_of_tiers() {
    check_small("tiers", &small::tiers());
}
