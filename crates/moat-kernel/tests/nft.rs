//! Tables into the kernel and back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case fails by panicking")]

mod harness;

use harness::{Case, Dice, block_on, main as run, tables};
use moat_kernel::netns::Netns;
use moat_kernel::nft::{ApplyError, Nft, Ownership, Watch};
use moat_nft::model::{
    Element, Field, Op, Rule, Set, SetKey, SetShape, Statement, Table, Value, Verdict,
};
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let mut cases: Vec<Case> = vec![
        ("what_was_applied_is_what_is_read", what_was_applied_is_what_is_read),
        ("changes_of_all_kinds", changes_of_all_kinds),
        ("a_refused_step_changes_nothing", a_refused_step_changes_nothing),
        ("a_stale_generation_is_refused", a_stale_generation_is_refused),
        ("what_cannot_be_said_is_refused", what_cannot_be_said_is_refused),
        ("a_foreign_edit_is_seen", a_foreign_edit_is_seen),
        ("an_owned_table_is_left_and_adopted", an_owned_table_is_left_and_adopted),
        ("many_elements", many_elements),
    ];
    // A check of development, that `nft` understands it all: the project itself does not need that program.
    if std::env::var_os("MOAT_TEST_NFT").is_some() {
        cases.push(("nft_lists_it", nft_lists_it));
    }
    run(&cases)
}

fn open(netns: &Netns) -> Nft {
    Nft::open(netns, "t", Ownership::Plain).unwrap()
}

fn what_was_applied_is_what_is_read() {
    block_on(async {
        for seed in 0..60 {
            let netns = Netns::new().unwrap();
            let nft = open(&netns);
            assert_eq!(nft.dump().await.unwrap(), None);
            let table = tables::table(&mut Dice(seed), "t");
            let ops = tables::make(&table);
            let now = match nft.apply(&ops, None).await {
                Ok(now) => now,
                Err(ApplyError::Refused { op: Some(op), words, .. }) => {
                    panic!("seed {seed}: {words}: {:?}", ops[op])
                }
                Err(error) => panic!("seed {seed}: {error}"),
            };
            assert_eq!(now, nft.generation().await.unwrap());
            let read = nft.dump().await.unwrap().unwrap();
            for (name, chain) in &table.chains {
                assert_eq!(read.chains.get(name), Some(chain), "seed {seed}, chain {name}");
            }
            for (name, set) in &table.sets {
                assert_eq!(read.sets.get(name), Some(set), "seed {seed}, set {name}");
            }
            assert_eq!(read, table, "seed {seed}");
        }
    });
}

fn changes_of_all_kinds() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let nft = open(&netns);
        let mut dice = Dice(7);
        let mut table = tables::table(&mut dice, "t");
        let mut now = nft.apply(&tables::make(&table), None).await.unwrap();
        for round in 0..40 {
            let other = tables::table(&mut dice, "t");
            let mut ops = Vec::new();
            // Every chain of the other table that is here as well gets its rules, unless they look into a set that is not.
            for (name, chain) in &mut table.chains {
                let rules = &other.chains[name].rules;
                let known = |statement: &Statement| match statement {
                    Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => {
                        table.sets.contains_key(name)
                    }
                    _ => true,
                };
                if dice.one_in(2) && rules.iter().flat_map(|rule| &rule.statements).all(known) {
                    ops.push(Op::FlushChain(name.clone()));
                    ops.extend(rules.iter().map(|rule| Op::AddRule(name.clone(), rule.clone())));
                    chain.rules.clone_from(rules);
                }
            }
            for (name, set) in &mut table.sets {
                let Some(new) = other.sets.get(name) else { continue };
                let pairs = |set: &Set| -> Vec<_> {
                    set.elements
                        .iter()
                        .map(|(key, verdict)| (key.clone(), verdict.clone()))
                        .collect()
                };
                ops.push(Op::DelElements(name.clone(), pairs(set)));
                ops.push(Op::AddElements(name.clone(), pairs(new)));
                *set = new.clone();
            }
            now = nft.apply(&ops, Some(now)).await.unwrap();
            assert_eq!(nft.dump().await.unwrap().unwrap(), table, "round {round}");
        }

        // And away: what refers first, then what is referred to.
        let mut ops: Vec<Op> = table.chains.keys().cloned().map(Op::FlushChain).collect();
        for (name, set) in &table.sets {
            let all =
                set.elements.iter().map(|(key, verdict)| (key.clone(), verdict.clone())).collect();
            ops.push(Op::DelElements(name.clone(), all));
        }
        ops.extend(table.chains.keys().cloned().map(Op::DelChain));
        ops.extend(table.sets.keys().cloned().map(Op::DelSet));
        nft.apply(&ops, Some(now)).await.unwrap();
        assert_eq!(nft.dump().await.unwrap(), Some(Table::new("t")));
        nft.apply(&[Op::DelTable], None).await.unwrap();
        assert_eq!(nft.dump().await.unwrap(), None);
    });
}

fn a_refused_step_changes_nothing() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let nft = open(&netns);
        let table = tables::table(&mut Dice(3), "t");
        let now = nft.apply(&tables::make(&table), None).await.unwrap();
        let bad = [
            vec![Op::AddTable],
            vec![Op::FlushChain("base0".into()), Op::AddChain("base0".into(), None)],
            vec![Op::FlushChain("base0".into()), Op::DelChain("nowhere".into())],
            vec![
                Op::FlushChain("base0".into()),
                Op::FlushChain("base1".into()),
                Op::DelSet("nowhere".into()),
            ],
        ];
        for ops in bad {
            let last = ops.len() - 1;
            match nft.apply(&ops, Some(now)).await {
                Err(ApplyError::Refused { op: Some(op), errno, words }) => {
                    assert_eq!(op, last, "{words}");
                    assert!(errno == 2 || errno == 17, "{words}");
                }
                other => panic!("{ops:?}: {other:?}"),
            }
            assert_eq!(nft.dump().await.unwrap().unwrap(), table);
        }
        // Elements: one that is there, one that is missing.
        let shape = SetShape { key: SetKey::V4, interval: false, map: false, size: None };
        let one = |n| (Element::V4(Ipv4Addr::from_bits(n)), None);
        let ops =
            [Op::AddSet("z".into(), shape), Op::AddElements("z".into(), vec![one(1), one(2)])];
        let now = nft.apply(&ops, Some(now)).await.unwrap();
        for (op, says) in [
            (Op::AddElements("z".into(), vec![one(3), one(1)]), 17),
            (Op::DelElements("z".into(), vec![one(2), one(3)]), 2),
        ] {
            match nft.apply(&[op], Some(now)).await {
                Err(ApplyError::Refused { op: Some(0), errno, .. }) => assert_eq!(errno, says),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(nft.dump().await.unwrap().unwrap().sets["z"].elements, [one(1), one(2)].into());
        assert_eq!(nft.generation().await.unwrap(), now);
    });
}

fn a_stale_generation_is_refused() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let nft = open(&netns);
        let mut watch = Watch::open(&netns).unwrap();
        let first = nft.apply(&[Op::AddTable], None).await.unwrap();
        assert_eq!(watch.next().await.unwrap().generation, Some(first));
        let other = Nft::open(&netns, "other", Ownership::Plain).unwrap();
        let second = other.apply(&[Op::AddTable], None).await.unwrap();
        let changed = watch.next().await.unwrap();
        assert_eq!(changed.generation, Some(second));
        assert_eq!(changed.pid, Some(std::process::id()));
        let op = [Op::AddChain("c".into(), None)];
        assert!(matches!(nft.apply(&op, Some(first)).await, Err(ApplyError::Stale)));
        assert!(matches!(nft.apply(&[], Some(first)).await, Err(ApplyError::Stale)));
        assert_eq!(nft.dump().await.unwrap(), Some(Table::new("t")));
        nft.apply(&op, Some(second)).await.unwrap();
        assert!(nft.dump().await.unwrap().unwrap().chains.contains_key("c"));
    });
}

fn what_cannot_be_said_is_refused() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let nft = open(&netns);
        let rule = |statement| Op::AddRule("c".into(), Rule::new(vec![statement]));
        let is = |field, value| Statement::Match { field, negate: false, value };
        let long = Rule { statements: Vec::new(), comment: Some("x".repeat(128).into()) };
        for (op, says) in [
            (
                Op::AddChain("a b".into(), None),
                "step 1 of a transaction has name \"a b\"; a name is 1 to 255 letters, digits and _",
            ),
            (
                rule(is(Field::SourceV4, Value::Port(1))),
                "step 1 of a transaction has Port(1) as a value of SourceV4",
            ),
            (
                rule(Statement::Lookup {
                    key: vec![Field::CtState],
                    set: "s".into(),
                    negate: false,
                }),
                "step 1 of a transaction has CtState in a key; no set has one of that type",
            ),
            (
                Op::AddSet(
                    "s".into(),
                    SetShape { key: SetKey::PairV4, interval: true, map: false, size: None },
                ),
                "step 1 of a transaction has set s with ranges of PairV4; ranges are of one field",
            ),
            (
                Op::AddRule("c".into(), long),
                "step 1 of a transaction has a comment of 128 bytes; at most 127 fit",
            ),
        ] {
            assert_eq!(nft.apply(&[Op::AddTable, op], None).await.unwrap_err().to_string(), says);
        }
        assert_eq!(nft.dump().await.unwrap(), None);
    });
}

fn a_foreign_edit_is_seen() {
    use nlink::netlink::nftables::{CtState, Family, Rule, Set, SetKeyType};
    use nlink::netlink::{Connection, Nftables};
    use std::os::fd::AsFd;
    use std::time::Duration;
    block_on(async {
        let cases: [(&str, &str); 4] = [
            ("rule", "rule 2 of chain c (handle 3) has "),
            ("set", "set timed has "),
            ("policy", "chain c has "),
            ("object", "it has an object or a flowtable"),
        ];
        for (what, says) in cases {
            let netns = Netns::new().unwrap();
            let nft = open(&netns);
            let drop = moat_nft::model::Rule::new(vec![Statement::Verdict(Verdict::Drop)]);
            let ops = [Op::AddTable, Op::AddChain("c".into(), None), Op::AddRule("c".into(), drop)];
            nft.apply(&ops, None).await.unwrap();
            let foreign = Connection::<Nftables>::new_in(netns.as_fd()).unwrap();
            let edit = foreign.transaction();
            let edit = match what {
                "rule" => {
                    let rule = Rule::new("t", "c").family(Family::Inet);
                    edit.add_rule(rule.match_ct_state(CtState::NEW).match_mark(7).accept())
                }
                "set" => {
                    let set =
                        Set::new("t", "timed").family(Family::Inet).key_type(SetKeyType::Ipv4Addr);
                    edit.add_set(set.timeout(Duration::from_secs(9)))
                }
                "policy" => {
                    let chain = nlink::netlink::nftables::Chain::new("t", "c2").unwrap();
                    edit.add_chain(chain.family(Family::Inet).comment("mine"))
                }
                _ => edit.add_object(
                    &nlink::netlink::nftables::Object::counter("t", "n").family(Family::Inet),
                ),
            };
            edit.commit(&foreign).await.unwrap();
            let error = nft.dump().await.unwrap_err().to_string();
            println!("  {error}");
            let says = says.replace("chain c has", "chain c2 has");
            assert!(error.contains(&says), "{what}: {error}");
        }
    });
}

fn an_owned_table_is_left_and_adopted() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let owner = Nft::open(&netns, "t", Ownership::Owned).unwrap();
        if owner.ownership() == Ownership::Plain {
            println!("  this kernel is older than 6.9 and has no tables that persist");
            return;
        }
        let table = tables::table(&mut Dice(5), "t");
        owner.apply(&tables::make(&table), None).await.unwrap();
        let other = Nft::open(&netns, "t", Ownership::Owned).unwrap();
        assert_eq!(other.adopt().await.unwrap_err().errno(), Some(1));
        assert!(matches!(
            other.apply(&[Op::DelTable], None).await,
            Err(ApplyError::Refused { errno: 1, .. })
        ));
        assert_eq!(other.dump().await.unwrap().unwrap(), table);

        drop(owner);
        assert_eq!(other.dump().await.unwrap().unwrap(), table);
        assert!(other.adopt().await.unwrap());
        let third = Nft::open(&netns, "t", Ownership::Owned).unwrap();
        assert!(matches!(
            third.apply(&[Op::DelTable], None).await,
            Err(ApplyError::Refused { errno: 1, .. })
        ));
        other.apply(&[Op::DelTable], None).await.unwrap();
        assert!(!other.adopt().await.unwrap());
    });
}

fn many_elements() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let nft = open(&netns);
        println!("  the largest transaction has {} bytes", nft.limit());
        for (name, n) in [("a", 1_000_u32), ("b", 100_000)] {
            let shape = SetShape { key: SetKey::ServiceV4, interval: false, map: true, size: None };
            let element = |n: u32| (Element::ServiceV4(n.into(), 6, 443), Some(Verdict::Accept));
            let mut table = Table::new("t");
            let mut set = Set::new(shape);
            set.elements = (0..n).map(element).collect();
            table.sets.insert(name.into(), set);
            let mut ops = tables::make(&table);
            if name == "b" {
                ops.remove(0);
                ops.insert(0, Op::DelSet("a".into()));
            }
            let from = Instant::now();
            nft.apply(&ops, None).await.unwrap();
            println!("  {n} elements loaded in {:.1?}", from.elapsed());
            let from = Instant::now();
            let read = nft.dump().await.unwrap().unwrap();
            println!("  {n} elements read in {:.1?}", from.elapsed());
            assert!(read == table, "what was read differs");

            let from = Instant::now();
            let mut now = nft.generation().await.unwrap();
            for at in 0..500 {
                let one = vec![element(u32::MAX - at)];
                now = nft.apply(&[Op::AddElements(name.into(), one)], Some(now)).await.unwrap();
            }
            println!("  one element more, among {n}, in {:.1?}", from.elapsed() / 500);
            let from = Instant::now();
            for at in 0..500 {
                let one = vec![element(u32::MAX - at)];
                now = nft.apply(&[Op::DelElements(name.into(), one)], Some(now)).await.unwrap();
            }
            println!("  one element less, among {n}, in {:.1?}", from.elapsed() / 500);
        }
        let shape = SetShape { key: SetKey::V4, interval: true, map: false, size: None };
        let ranges = (0..10_000_u32)
            .map(|n| (Element::RangeV4((n << 8).into(), (n << 8 | 0x63).into()), None));
        let ops = [Op::AddSet("r".into(), shape), Op::AddElements("r".into(), ranges.collect())];
        let from = Instant::now();
        nft.apply(&ops, None).await.unwrap();
        println!("  10000 ranges loaded in {:.1?}", from.elapsed());
    });
}

fn nft_lists_it() {
    block_on(async {
        for seed in 0..40 {
            let netns = Netns::new().unwrap();
            let nft = open(&netns);
            let mut table = tables::table(&mut Dice(seed), "t");
            table.chains.values_mut().for_each(|chain| chain.rules.retain(tables::possible));
            nft.apply(&tables::make(&table), None).await.unwrap();
            let list = |netns: &Netns| {
                netns
                    .run(|| Command::new("nft").args(["-nn", "list", "ruleset"]).output().unwrap())
                    .unwrap()
            };
            let listed = list(&netns);
            assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
            // Its own reader makes the same of it.
            let path = std::env::temp_dir().join(format!("listed-{}.nft", std::process::id()));
            std::fs::write(&path, &listed.stdout).unwrap();
            let again = Netns::new().unwrap();
            let read =
                again.run(|| Command::new("nft").arg("-f").arg(&path).output().unwrap()).unwrap();
            std::fs::remove_file(&path).unwrap();
            assert!(
                read.status.success(),
                "seed {seed}: {}",
                String::from_utf8_lossy(&read.stderr)
            );
            assert_eq!(open(&again).dump().await.unwrap().unwrap(), table, "seed {seed}");
        }
    });
}
