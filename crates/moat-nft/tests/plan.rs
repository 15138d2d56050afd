//! Plans, and the kernel in memory that takes them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's answer")]

mod tables;

use moat_nft::edit::Edit;
use moat_nft::fake::{Errno, Fake};
use moat_nft::model::{
    Base, BaseKind, Element, Hook, Log, Name, Op, Rule, SetKey, SetShape, Statement, Table, Value,
    Verdict,
};
use moat_nft::model::{Chain, Field};
use moat_nft::parse;
use moat_nft::plan::{plan, recreates};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tables::{Rng, like, table};

fn fake(table: &Table) -> Fake {
    let mut fake = Fake::new(&table.name);
    fake.apply(&plan(None, table)).unwrap_or_else(|error| panic!("{error}"));
    fake
}

/// The chain or set a step is about.
fn about(op: &Op) -> Option<&Name> {
    match op {
        Op::AddTable | Op::DelTable => None,
        Op::AddSet(name, _)
        | Op::AddChain(name, _)
        | Op::FlushChain(name)
        | Op::AddRule(name, _)
        | Op::AddElements(name, _)
        | Op::DelElements(name, _)
        | Op::DelChain(name)
        | Op::DelSet(name) => Some(name),
    }
}

#[test]
fn a_plan_makes_the_wanted_table() {
    let (mut recreated, mut n_in_place) = (0, 0);
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let before = table(&mut rng);
        let after = like(&mut rng, &before);
        let mut kernel = fake(&before);
        assert_eq!(kernel.table(), Some(&before), "seed {seed}");
        assert_eq!(plan(Some(&before), &before), [], "seed {seed}");

        let generation = kernel.generation();
        let ops = plan(Some(&before), &after);
        kernel.apply(&ops).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{ops:#?}"));
        assert_eq!(kernel.table(), Some(&after), "seed {seed}");
        assert_eq!(kernel.generation() != generation, before != after, "seed {seed}");
        let mut edited = before.clone();
        Edit::remaking(&before, &after).apply_to(&mut edited);
        assert_eq!(edited, after, "seed {seed}");
        let in_place = Edit::between(&before, &after);
        assert_eq!(in_place.as_ref().is_some_and(Edit::is_empty), before == after, "seed {seed}");
        n_in_place += usize::from(in_place.is_some() && before != after);
        // The counts of references are right too: everything can be taken apart again.
        let empty = Table::new("moat");
        kernel
            .apply(&plan(Some(&after), &empty))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(kernel.table(), Some(&empty), "seed {seed}");
        recreated += usize::from(!recreates(&before, &after).is_empty());
    }
    assert!(recreated > 100, "too few tables differ in a base chain: {recreated}");
    assert!(n_in_place > 100, "too few tables can be changed in place: {n_in_place}");
}

/// Older kernels check for loops at every step, not at the end of the transaction.
#[test]
fn each_step_of_a_plan_is_possible_by_itself() {
    for seed in 0..1000 {
        let mut rng = Rng::new(seed);
        let before = table(&mut rng);
        let after = like(&mut rng, &before);
        let mut kernel = fake(&before);
        for op in plan(Some(&before), &after) {
            let done = kernel.apply(std::slice::from_ref(&op));
            done.unwrap_or_else(|error| panic!("seed {seed}: {error}: {op:?}"));
        }
        assert_eq!(kernel.table(), Some(&after), "seed {seed}");
    }
}

#[test]
fn only_what_differs_is_touched() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let before = table(&mut rng);
        let after = like(&mut rng, &before);
        let replaced: BTreeSet<&Name> = before
            .sets
            .iter()
            .filter(|(name, set)| {
                after.sets.get(*name).is_none_or(|other| other.shape() != set.shape())
            })
            .map(|(name, _)| name)
            .collect();
        let again = recreates(&before, &after);
        for op in plan(Some(&before), &after) {
            let Some(name) = about(&op) else { panic!("seed {seed}: {op:?}") };
            let uses_replaced = |chain: &Chain| {
                chain.rules.iter().flat_map(|rule| &rule.statements).any(|s| match s {
                    Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => {
                        replaced.contains(name)
                    }
                    _ => false,
                })
            };
            let differs = before.chains.get(name) != after.chains.get(name)
                || before.sets.get(name) != after.sets.get(name);
            let must = before.chains.get(name).is_some_and(uses_replaced);
            assert!(differs || must, "seed {seed}: {op:?}");
            match &op {
                Op::DelChain(name) => {
                    assert!(
                        again.contains(name) || !after.chains.contains_key(name),
                        "seed {seed}"
                    );
                }
                Op::AddElements(name, elements) | Op::DelElements(name, elements) => {
                    let (old, new) = (before.sets.get(name), after.sets.get(name));
                    if let (Some(old), Some(new)) = (old, new)
                        && old.shape() == new.shape()
                    {
                        for (key, _) in elements {
                            assert!(old.elements.get(key) != new.elements.get(key), "seed {seed}");
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn one_element_more_or_less_is_one_step() {
    let mut tried = 0;
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let more = table(&mut rng);
        for (name, set) in &more.sets {
            for (key, verdict) in &set.elements {
                let mut less = more.clone();
                less.sets.get_mut(name).unwrap().elements.remove(key);
                let pair = vec![(key.clone(), verdict.clone())];
                assert_eq!(plan(Some(&less), &more), [Op::AddElements(name.clone(), pair.clone())]);
                assert_eq!(plan(Some(&more), &less), [Op::DelElements(name.clone(), pair)]);
                tried += 1;
            }
        }
    }
    assert!(tried > 1000);
}

#[test]
fn a_transaction_that_fails_changes_nothing() {
    for seed in 0..1500 {
        let mut rng = Rng::new(seed);
        let before = table(&mut rng);
        let after = like(&mut rng, &before);
        let mut kernel = fake(&before);
        let generation = kernel.generation();
        let mut ops = plan(Some(&before), &after);
        let bad = [
            Op::AddTable,
            Op::FlushChain("nowhere".into()),
            Op::DelSet("nowhere".into()),
            Op::AddRule("nowhere".into(), Rule::default()),
        ];
        ops.truncate(rng.below(ops.len() + 1));
        if rng.one_in(4) {
            ops.push(Op::DelTable);
            ops.push(Op::AddTable);
            ops.push(Op::AddChain("new".into(), None));
        }
        ops.push(rng.pick(&bad));
        let error = kernel.apply(&ops).unwrap_err();
        assert_eq!(error.step, ops.len() - 1, "seed {seed}: {error}");
        assert_eq!(kernel.table(), Some(&before), "seed {seed}");
        assert_eq!(kernel.generation(), generation, "seed {seed}");
        // The counts of references were taken back too.
        kernel
            .apply(&plan(Some(&before), &after))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        kernel
            .apply(&plan(Some(&after), &Table::new("moat")))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

const BEFORE: &str = "table inet moat {
	set s {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8 }
	}
	map m {
		type ipv4_addr : verdict
		elements = { 10.0.0.1 : jump a }
	}
	map unused {
		type ipv4_addr : verdict
	}
	chain a {
		ip saddr @s accept
	}
	chain b {
	}
	chain base {
		type filter hook forward priority filter; policy accept;
		ip saddr vmap @m
		jump b
	}
}
";

fn before() -> Table {
    parse::table(BEFORE).unwrap()
}

/// What one step at [`BEFORE`] gives.
fn refused(ops: &[Op]) -> Errno {
    let mut kernel = fake(&before());
    let error = kernel.apply(ops).unwrap_err();
    assert_eq!(kernel.table(), Some(&before()), "{error}");
    error.errno
}

fn jump(to: &str) -> Rule {
    Rule::new(vec![Statement::Verdict(Verdict::Jump(to.into()))])
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

#[test]
fn what_the_kernel_refuses_is_refused() {
    let shape = SetShape { key: SetKey::V4, interval: false, map: false, size: None };
    let set = |name: &str, elements| Op::AddElements(name.into(), elements);
    let rule = |statement| Op::AddRule("a".into(), Rule::new(vec![statement]));
    let matches = |field, value| Statement::Match { field, negate: false, value };
    let look =
        |set: &str, field| Statement::Lookup { key: vec![field], set: set.into(), negate: false };
    let nat = Base { kind: BaseKind::Nat, hook: Hook::Forward, priority: 0, accept: true };
    let log =
        |n: usize| Log { prefix: "x".repeat(n).into(), group: 1, snaplen: 0, queue_threshold: 0 };
    let cases = [
        (Errno::Exists, Op::AddTable),
        (Errno::Exists, Op::AddSet("s".into(), shape)),
        (Errno::Exists, Op::AddChain("a".into(), None)),
        (Errno::Missing, Op::DelSet("x".into())),
        (Errno::Missing, Op::DelChain("x".into())),
        (Errno::Missing, Op::FlushChain("x".into())),
        (Errno::Missing, Op::AddRule("x".into(), jump("b"))),
        (Errno::Missing, Op::AddRule("a".into(), jump("x"))),
        (Errno::Missing, rule(look("x", Field::SourceV4))),
        (Errno::Missing, set("x", vec![])),
        (Errno::Missing, set("m", vec![(Element::V4(v4(2)), Some(Verdict::Goto("x".into())))])),
        (Errno::Missing, Op::DelElements("m".into(), vec![(Element::V4(v4(2)), None)])),
        (Errno::Busy, Op::DelSet("s".into())),
        (Errno::Busy, Op::DelSet("m".into())),
        (Errno::Busy, Op::DelChain("a".into())),
        (Errno::Busy, Op::DelChain("b".into())),
        (Errno::Busy, Op::DelChain("base".into())),
        (Errno::Exists, set("m", vec![(Element::V4(v4(1)), Some(Verdict::Drop))])),
        (Errno::Exists, set("s", vec![(Element::RangeV4(v4(1), v4(1)), None)])),
        (Errno::Exists, set("s", vec![(Element::RangeV4(Ipv4Addr::new(9, 0, 0, 0), v4(0)), None)])),
        (
            Errno::Exists,
            set(
                "s",
                vec![(
                    Element::RangeV4(Ipv4Addr::new(9, 0, 0, 0), Ipv4Addr::new(11, 0, 0, 0)),
                    None,
                )],
            ),
        ),
        (
            Errno::Invalid,
            set(
                "s",
                vec![(
                    Element::RangeV4(Ipv4Addr::new(12, 0, 0, 1), Ipv4Addr::new(12, 0, 0, 0)),
                    None,
                )],
            ),
        ),
        (Errno::Invalid, set("s", vec![(Element::V4(v4(1)), None)])),
        (Errno::Invalid, set("m", vec![(Element::V4(v4(2)), None)])),
        (
            Errno::Invalid,
            set(
                "s",
                vec![(
                    Element::RangeV4(Ipv4Addr::new(1, 0, 0, 0), Ipv4Addr::new(1, 0, 0, 0)),
                    Some(Verdict::Drop),
                )],
            ),
        ),
        (Errno::Invalid, set("m", vec![(Element::Port(1), Some(Verdict::Drop))])),
        (Errno::Invalid, rule(look("m", Field::SourceV4))),
        (Errno::Invalid, rule(look("s", Field::SourceV6))),
        (Errno::Invalid, rule(Statement::Vmap { key: vec![Field::SourceV4], map: "s".into() })),
        (Errno::Invalid, rule(matches(Field::SourceV4, Value::Port(1)))),
        (Errno::Invalid, rule(matches(Field::SourceV4, Value::PrefixV4(v4(0), 33)))),
        (Errno::Invalid, rule(Statement::OneIn(0))),
        (Errno::Invalid, Op::AddChain("a-b".into(), None)),
        (Errno::TooLong, Op::AddChain("x".repeat(256).into(), None)),
        (Errno::TooLong, rule(Statement::Log(log(128)))),
        (Errno::TooLong, rule(matches(Field::InputName, Value::Interface("x".repeat(16).into())))),
        (
            Errno::TooLong,
            Op::AddRule(
                "a".into(),
                Rule { statements: vec![], comment: Some("x".repeat(128).into()) },
            ),
        ),
        (Errno::Unsupported, Op::AddChain("n".into(), Some(nat))),
        (Errno::Unsupported, Op::AddRule("a".into(), jump("base"))),
        (
            Errno::Unsupported,
            Op::AddSet(
                "n".into(),
                SetShape { key: SetKey::PairV4, interval: true, map: false, size: None },
            ),
        ),
        (Errno::Unsupported, rule(Statement::Masquerade)),
        (Errno::Loop, Op::AddRule("a".into(), jump("a"))),
    ];
    for (errno, op) in cases {
        assert_eq!(refused(std::slice::from_ref(&op)), errno, "{op:?}");
    }
    // A loop of a rule and an element.
    let back = Op::AddElements(
        "unused".into(),
        vec![(Element::V4(v4(1)), Some(Verdict::Jump("b".into())))],
    );
    let look = Statement::Vmap { key: vec![Field::SourceV4], map: "unused".into() };
    let there = Op::AddRule("b".into(), Rule::new(vec![look]));
    assert_eq!(refused(&[there, back]), Errno::Loop);
    assert_eq!(Fake::new("moat").apply(&[Op::DelTable]).unwrap_err().errno, Errno::Missing);

    let long: Name = "x".repeat(255).into();
    let mut kernel = fake(&before());
    kernel.apply(&[Op::AddChain(long, None), rule(Statement::Log(log(127)))]).unwrap();
}

/// The numbers are those that Linux 6.18 gave.
#[test]
fn fifteen_jumps_below_a_base_chain_are_possible() {
    let nested = |jumps: usize| {
        let mut table = Table::new("moat");
        for at in 1..=jumps {
            let mut chain = Chain::default();
            chain.rules.extend((at < jumps).then(|| jump(&format!("c{}", at + 1))));
            table.chains.insert(format!("c{at}").into(), chain);
        }
        let base = Base { kind: BaseKind::Filter, hook: Hook::Input, priority: 0, accept: true };
        table.chains.insert("base".into(), Chain { base: Some(base), rules: vec![jump("c1")] });
        Fake::new("moat").apply(&plan(None, &table)).map_err(|error| error.errno)
    };
    assert_eq!(nested(15), Ok(()));
    assert_eq!(nested(16), Err(Errno::TooDeep));
}

#[test]
fn a_set_of_another_shape_is_replaced_under_its_rules() {
    let old = before();
    let mut new = old.clone();
    let shape = SetShape { key: SetKey::V4, interval: false, map: false, size: None };
    let mut set = moat_nft::model::Set::new(shape);
    set.elements.insert(Element::V4(v4(7)), None);
    new.sets.insert("s".into(), set);
    expect_test::expect![[r#"
        flush chain inet moat a
        delete set inet moat s
        add set inet moat s { type ipv4_addr; }
        add element inet moat s { 10.0.0.7 }
        add rule inet moat a ip saddr @s accept
    "#]]
    .assert_eq(&moat_nft::print::ops("moat", &plan(Some(&old), &new)));
    let mut kernel = fake(&old);
    kernel.apply(&plan(Some(&old), &new)).unwrap();
    assert_eq!(kernel.table(), Some(&new));
}

#[test]
fn a_table_of_another_name_counts_as_nothing() {
    let other = Table::new("other");
    assert_eq!(plan(Some(&other), &before()), plan(None, &before()));
}

/// A step on a large table costs as much as on a small one: 20 000 of them on 100 000 elements would take minutes if each copied it.
#[test]
fn a_step_does_not_copy_the_table() {
    let mut kernel = fake(&before());
    let shape = SetShape { key: SetKey::V4, interval: false, map: true, size: None };
    let go = || Some(Verdict::Goto("b".into()));
    let all = (0..100_000).map(|at| (Element::V4(Ipv4Addr::from_bits(at)), go())).collect();
    kernel.apply(&[Op::AddSet("big".into(), shape), Op::AddElements("big".into(), all)]).unwrap();
    for at in 0..10_000 {
        let one = vec![(Element::V4(Ipv4Addr::from_bits(200_000 + at)), go())];
        kernel.apply(&[Op::AddElements("big".into(), one.clone())]).unwrap();
        let fails = [Op::DelElements("big".into(), one), Op::AddTable];
        assert_eq!(kernel.apply(&fails).unwrap_err().errno, Errno::Exists);
    }
    assert_eq!(kernel.table().unwrap().sets.get("big").unwrap().elements.len(), 110_000);
}
