//! What goes wrong: writers that die, others that edit, tables that are full, packets in a flood while rules change.
//!
//! `MOAT_FAULTS=n` does everything n times as often; `MOAT_LEAKS=n` sets the number of updates under a flood.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case fails by panicking")]

mod harness;

use harness::net::{Net, address, forward};
use harness::policy::{
    DENIED, Ends, Policy, dispatch, end, gates, goto, large, of_ends, probes, redispatched,
    row_set, rule, table,
};
use harness::{Dice, block_on, main as run};
use moat_kernel::conntrack::Conntrack;
use moat_kernel::keeper::{Gates, Keeper};
use moat_kernel::netns::Netns;
use moat_kernel::nflog::{LogOptions, LogReader};
use moat_kernel::nft::{ApplyError, Nft, Ownership};
use moat_nft::edit::Edit;
use moat_nft::interp::{self, Fate};
use moat_nft::model::{
    Chain, Element, Hook, Log, Op, Rule as ModelRule, Statement, Table, Verdict,
};
use moat_nft::plan::plan;
use moat_nft::way::{Uses, Way};
use nlink::netlink::message::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use nlink::netlink::nftables::{Family, Object, Rule};
use nlink::netlink::{Connection, MessageBuilder, Netfilter, NetlinkSocket, Nftables, Protocol};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "--writer") {
        return writer(&words[at + 1..]);
    }
    run(&[
        ("a_killed_writer_leaves_old_or_new", a_killed_writer_leaves_old_or_new),
        ("a_killed_owner_is_followed", a_killed_owner_is_followed),
        ("foreign_edits_are_repaired", foreign_edits_are_repaired),
        ("an_owned_table_cannot_be_edited", an_owned_table_cannot_be_edited),
        ("what_is_refused_is_closed", what_is_refused_is_closed),
        ("what_is_too_large_goes_in_parts", what_is_too_large_goes_in_parts),
        ("writers_at_the_same_time", writers_at_the_same_time),
        ("connections_are_full", connections_are_full),
        ("a_log_overrun_changes_no_verdict", a_log_overrun_changes_no_verdict),
        ("a_small_change_costs_little", a_small_change_costs_little),
        ("no_packet_leaks", no_packet_leaks),
    ])
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn times(n: usize) -> usize {
    n * number("MOAT_FAULTS").unwrap_or(1)
}

async fn open(netns: &Netns, ownership: Ownership) -> Keeper {
    Keeper::open(netns, "moat", ownership, gates()).await.unwrap()
}

async fn dump(netns: &Netns) -> Option<Table> {
    Nft::open(netns, "moat", Ownership::Plain).unwrap().dump().await.unwrap()
}

/// Two policies with all kinds of differences: groups of other names, or the same groups with other peers and rules.
fn two(same_names: bool) -> [Table; 2] {
    let of = |version, allow, first: u32| {
        table(&Policy { version, allow, peers: (0x0a01_0000 + first, 1200), same_names })
    };
    [of("a", false, 0), of("b", true, 700)]
}

fn fates(table: &Table) -> Vec<Fate> {
    probes().iter().map(|probe| interp::run(table, Hook::Forward, probe)).collect()
}

/// A process that changes the policy as fast as it can, until it is killed.
fn writer(words: &[String]) -> ExitCode {
    let [owned, same, limit] = words else { return ExitCode::FAILURE };
    block_on(async {
        let owned = if owned == "owned" { Ownership::Owned } else { Ownership::Plain };
        let mut keeper = open(&Netns::current().unwrap(), owned).await;
        keeper.limit(limit.parse().unwrap());
        let tables = two(same == "same");
        println!("begin");
        std::io::stdout().flush().unwrap();
        loop {
            for table in &tables {
                keeper.set(table).await.unwrap();
            }
        }
    })
}

/// Starts a writer in a namespace and waits until it writes.
fn start(netns: &Netns, owned: &str, same: &str, limit: usize) -> Child {
    let command = || {
        Command::new("/proc/self/exe")
            .args(["--writer", owned, same, &limit.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut child = netns.run(command).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begin\n");
    child
}

/// Kills writers at random moments; what they leave is judged as one of the two policies, and taken over.
async fn kill_writers(dice: &mut Dice, n: usize, owned: bool) {
    let (word, ownership) =
        if owned { ("owned", Ownership::Owned) } else { ("plain", Ownership::Plain) };
    let (mut n_exact, mut n_between) = ([0, 0], 0);
    for same in [false, true] {
        let netns = Netns::new().unwrap();
        let tables = two(same);
        let judged = tables.each_ref().map(fates);
        assert_ne!(judged[0], judged[1]);
        let mut keeper = open(&netns, ownership).await;
        keeper.set(&tables[0]).await.unwrap();
        drop(keeper);
        for round in 0..n {
            let limit = *dice.pick(&[6_000, 20_000, usize::MAX]);
            let mut child = start(&netns, word, if same { "same" } else { "other" }, limit);
            std::thread::sleep(Duration::from_micros(dice.below(60_000)));
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended by itself");

            let left = dump(&netns).await.unwrap();
            match tables.iter().position(|table| *table == left) {
                Some(at) => n_exact[at] += 1,
                None => {
                    n_between += 1;
                    let now = fates(&left);
                    let is_either = now
                        .iter()
                        .enumerate()
                        .all(|(at, fate)| judged.iter().any(|judged| judged.get(at) == Some(fate)));
                    assert!(is_either, "round {round}: judged neither old nor new");
                }
            }
            let mut next = open(&netns, ownership).await;
            assert_eq!(next.installed(), Some(&left));
            assert_eq!(next.is_owned(), owned);
            let wanted = dice.pick(&tables).clone();
            let applied = next.set(&wanted).await.unwrap();
            next.tidy().await.unwrap();
            assert_eq!(applied.n_transactions == 0 && !applied.untidy, left == wanted);
            assert!(!applied.rebuilt && applied.recreated.is_empty() && applied.closed.is_empty());
            assert_eq!(dump(&netns).await, Some(wanted));
            next.close();
        }
    }
    kill_first_loads(dice, n, ownership).await;
    let [a, b] = n_exact;
    println!(
        "  {} killed: {a} left the one policy, {b} the other, {n_between} a point between",
        2 * n
    );
    assert!(a > 0 && b > 0 && n_between > 0);
}

/// Kills writers that find no table: what they leave is nothing, closed, or one of the policies.
async fn kill_first_loads(dice: &mut Dice, n: usize, ownership: Ownership) {
    let tables = two(false);
    let judged = tables.each_ref().map(fates);
    let (mut n_none, mut n_closed) = (0, 0);
    for _ in 0..n {
        let netns = Netns::new().unwrap();
        let word = if ownership == Ownership::Owned { "owned" } else { "plain" };
        let mut child = start(&netns, word, "other", 5_000);
        std::thread::sleep(Duration::from_micros(dice.below(20_000)));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended by itself");
        match dump(&netns).await {
            None => n_none += 1,
            Some(left) => {
                let now = fates(&left);
                if now.iter().all(|fate| !fate.accepted) {
                    n_closed += 1;
                } else {
                    assert!(judged.contains(&now), "judged neither closed, old nor new");
                }
            }
        }
        let mut next = open(&netns, ownership).await;
        next.set(&tables[1]).await.unwrap();
        next.tidy().await.unwrap();
        assert_eq!(dump(&netns).await.as_ref(), Some(&tables[1]));
    }
    println!(
        "  {n} killed at the first load or after: {n_none} left nothing, {n_closed} all closed"
    );
    assert!(n_closed > 0);
}

fn a_killed_writer_leaves_old_or_new() {
    block_on(kill_writers(&mut Dice(1), times(50), false));
}

fn a_killed_owner_is_followed() {
    block_on(async {
        let netns = Netns::new().unwrap();
        if Nft::open(&netns, "moat", Ownership::Owned).unwrap().ownership() == Ownership::Plain {
            println!("  not exercised: tables that persist, which came with Linux 6.9");
            return;
        }
        kill_writers(&mut Dice(2), times(20), true).await;
    });
}

/// What others do to the table, and a word of how that is reported.
const EDITS: [(&str, &str); 9] = [
    ("delete the table", "table moat is gone"),
    ("flush the ruleset", "table moat is gone"),
    ("add a rule", "chain from_pod has 1 rule added"),
    ("add a strange rule", "rule 3 of chain from_pod"),
    ("delete an element", "lacks 1 element (10.0.0.2)"),
    ("flush a chain", "chain moat_forward was emptied of 3 rules"),
    ("add a chain", "chain mine was added"),
    ("add an object", "it has an object or a flowtable"),
    ("change a verdict", "lacks 1 element (10.0.0.2) and has 1 element (10.0.0.2) added"),
];

/// Does one of them; says whether the kernel let it happen.
async fn edit(netns: &Netns, what: &str) -> bool {
    let foreign = Connection::<Nftables>::new_in(netns.as_fd()).unwrap();
    let nft = Nft::open(netns, "moat", Ownership::Plain).unwrap();
    let map = || async { dispatch(&dump(netns).await.unwrap(), "in4") };
    let element = |to| vec![(Element::V4([10, 0, 0, 2].into()), to)];
    let ops = match what {
        "delete the table" => vec![Op::DelTable],
        "flush the ruleset" => return foreign.flush_ruleset().await.is_ok(),
        "add a rule" => vec![Op::AddRule("from_pod".into(), rule(vec![end(Verdict::Accept)]))],
        "add a strange rule" => {
            let rule = Rule::new("moat", "from_pod").family(Family::Inet).match_mark(7).accept();
            return foreign.transaction().add_rule(rule).commit(&foreign).await.is_ok();
        }
        "delete an element" => vec![Op::DelElements(map().await, element(None))],
        "flush a chain" => vec![Op::FlushChain("moat_forward".into())],
        "add a chain" => vec![
            Op::AddChain("mine".into(), None),
            Op::AddRule("mine".into(), rule(vec![goto("closed_ingress")])),
        ],
        "add an object" => {
            let object = Object::counter("moat", "n").family(Family::Inet);
            return foreign.transaction().add_object(&object).commit(&foreign).await.is_ok();
        }
        _ => vec![
            Op::DelElements(map().await, element(None)),
            Op::AddElements(map().await, element(Some(Verdict::Accept))),
        ],
    };
    match nft.apply(&ops, None).await {
        Ok(_) => true,
        Err(ApplyError::Refused { errno: 1, .. }) => false,
        Err(error) => panic!("{what}: {error}"),
    }
}

fn foreign_edits_are_repaired() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let [wanted, _] = two(false);
        let mut keeper = open(&netns, Ownership::Plain).await;
        keeper.set(&wanted).await.unwrap();
        let mut longest = Duration::ZERO;
        for _ in 0..times(3) {
            for (what, says) in EDITS {
                let from = Instant::now();
                assert!(edit(&netns, what).await, "{what}");
                let repaired = timeout(Duration::from_secs(1), keeper.watch()).await;
                let repaired = repaired.unwrap_or_else(|_| panic!("{what}: not noticed")).unwrap();
                longest = longest.max(from.elapsed());
                keeper.tidy().await.unwrap();
                assert_eq!(dump(&netns).await.as_ref(), Some(&wanted), "{what}");
                let words = &repaired.applied.foreign;
                assert!(words.iter().any(|line| line.contains(says)), "{what}: {words:?}");
                assert_eq!(repaired.applied.rebuilt, what == "add an object");
                assert!(repaired.applied.recreated.is_empty(), "{what}");
                assert!(repaired.process.is_some(), "{what}");
            }
        }
        println!("  noticed and repaired within {longest:.1?}");
        // What others do to their own tables is nothing to repair; nor is what the keeper does itself.
        let other = Nft::open(&netns, "other", Ownership::Plain).unwrap();
        other.apply(&[Op::AddTable], None).await.unwrap();
        let [_, next] = two(false);
        keeper.set(&next).await.unwrap();
        assert!(timeout(Duration::from_millis(50), keeper.watch()).await.is_err());
        // An edit that nobody watched is found by the next change.
        assert!(edit(&netns, "delete an element").await);
        let applied = keeper.set(&next).await.unwrap();
        let map = dispatch(&next, "in4");
        assert_eq!(applied.foreign, [format!("set {map} lacks 1 element (10.0.0.2)")]);
        keeper.tidy().await.unwrap();
        assert_eq!(dump(&netns).await, Some(next));
    });
}

fn an_owned_table_cannot_be_edited() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let [wanted, _] = two(false);
        let mut keeper = open(&netns, Ownership::Owned).await;
        keeper.set(&wanted).await.unwrap();
        if !keeper.is_owned() {
            println!("  not exercised: tables that persist, which came with Linux 6.9");
            return;
        }
        for (what, _) in EDITS {
            assert!(!edit(&netns, what).await, "{what}");
            assert_eq!(dump(&netns).await.as_ref(), Some(&wanted), "{what}");
        }
        let second = Keeper::open(&netns, "moat", Ownership::Owned, gates()).await;
        assert_eq!(second.unwrap_err().errno(), Some(1));
    });
}

/// A table of many groups, some of which the kernel refuses.
fn many_groups(bad: &[(usize, &str)]) -> Table {
    let mut table = table(&Policy::denying("a", (0x0a01_0000, 4)));
    let mut chain = |name: &str, rules: Vec<ModelRule>| {
        table.chains.insert(name.into(), Chain { base: None, rules });
    };
    let mut pods = Vec::new();
    for n in 0..40 {
        let name = format!("many{n}");
        let fault = bad.iter().find(|(at, _)| *at == n).map(|(_, fault)| *fault);
        let rules = match fault {
            Some("nested") => {
                for depth in 0..20 {
                    let next = rule(vec![goto(&format!("{name}_{}", depth + 1))]);
                    chain(
                        &format!("{name}_{depth}"),
                        if depth < 19 { vec![next] } else { Vec::new() },
                    );
                }
                vec![rule(vec![goto(&format!("{name}_0"))])]
            }
            Some("endless") => vec![rule(vec![end(Verdict::Jump(name.as_str().into()))])],
            Some("comment") => {
                vec![ModelRule {
                    comment: Some("x".repeat(300).into()),
                    ..rule(vec![end(Verdict::Drop)])
                }]
            }
            Some("missing") => vec![rule(vec![goto("nowhere")])],
            _ => vec![rule(vec![end(Verdict::Accept)])],
        };
        chain(&name, rules);
        let pod = Element::V4([10, 0, 1, u8::try_from(n).unwrap()].into());
        pods.push((pod, Verdict::Goto(name.as_str().into())));
    }
    redispatched(table, "in4", &pods)
}

fn what_is_refused_is_closed() {
    block_on(async {
        let faults =
            [(3, "nested"), (11, "comment"), (12, "endless"), (30, "missing"), (38, "nested")];
        for n_bad in 0..=faults.len() {
            let netns = Netns::new().unwrap();
            let mut keeper = open(&netns, Ownership::Plain).await;
            if n_bad % 2 == 0 {
                keeper.set(&many_groups(&[])).await.unwrap();
            }
            let wanted = many_groups(&faults[..n_bad]);
            let applied = keeper.set(&wanted).await.unwrap();
            let mut closed: Vec<&str> = applied.closed.iter().map(|group| &*group.chain).collect();
            closed.sort_by_key(|name| name.trim_start_matches("many").parse::<usize>().unwrap());
            let expected: Vec<String> =
                faults[..n_bad].iter().map(|(at, _)| format!("many{at}")).collect();
            assert_eq!(closed, expected);
            for group in applied.closed.iter().take(if n_bad == faults.len() { 9 } else { 0 }) {
                println!("  {}: {}", group.chain, group.words.lines().next().unwrap_or(""));
            }
            keeper.tidy().await.unwrap();
            let is = dump(&netns).await.unwrap();
            let map = dispatch(&is, "in4");
            for (key, to) in &wanted.sets[&dispatch(&wanted, "in4")].elements {
                let bad = applied
                    .closed
                    .iter()
                    .any(|group| group.elements.iter().any(|(_, own)| own == key));
                let closed = Some(Verdict::Goto("closed_ingress".into()));
                assert_eq!(is.sets[&map].elements.get(key), Some(if bad { &closed } else { to }));
            }
            for (name, chain) in is.chains.iter().filter(|(name, _)| &***name != "to_pod") {
                assert_eq!(wanted.chains.get(name), Some(chain));
            }
            // The same again asks the kernel nothing; and what is mended is opened.
            assert_eq!(keeper.set(&wanted).await.unwrap().n_transactions, 0);
            let applied = keeper.set(&many_groups(&[])).await.unwrap();
            assert!(applied.closed.is_empty() && applied.foreign.is_empty(), "{applied:?}");
            keeper.tidy().await.unwrap();
            assert_eq!(dump(&netns).await, Some(many_groups(&[])));
        }
        // What all pods share cannot be closed for some.
        let netns = Netns::new().unwrap();
        let mut keeper = open(&netns, Ownership::Plain).await;
        let good = many_groups(&[]);
        keeper.set(&good).await.unwrap();
        let mut bad = good.clone();
        bad.chains.get_mut("common").unwrap().rules.push(rule(vec![goto("nowhere")]));
        assert!(matches!(keeper.set(&bad).await, Err(ApplyError::Refused { errno: 2, .. })));
        assert_eq!(dump(&netns).await, Some(good));
    });
}

fn what_is_too_large_goes_in_parts() {
    block_on(async {
        for same_names in [false, true] {
            let netns = Netns::new().unwrap();
            let mut keeper = open(&netns, Ownership::Plain).await;
            let large = |version, first| {
                table(&Policy { version, allow: false, peers: (first, 60_000), same_names })
            };
            let (one, other) = (large("a", 0x0a01_0000), large("b", 0x0a02_0000));
            // What a process has at least, on a host with the usual `net.core.wmem_max`.
            keeper.limit(400_000);
            let gates = Gates::new();
            for (what, wanted) in [("first load", &one), ("change", &other)] {
                let from = Instant::now();
                let applied = keeper.set(wanted).await.unwrap();
                println!(
                    "  {what} of 60000 elements: {} transactions, {:.1?}",
                    applied.n_transactions,
                    from.elapsed()
                );
                assert!(applied.foreign.is_empty() && applied.recreated.is_empty());
                assert!(applied.n_transactions > 3);
                keeper.tidy().await.unwrap();
                assert!(dump(&netns).await.as_ref() == Some(wanted), "{what}");
            }
            keeper.limit(6_000);
            let small = two(same_names);
            for wanted in small.iter().chain(&small) {
                let applied = keeper.set(wanted).await.unwrap();
                assert!(applied.n_transactions > 1, "{applied:?}");
                keeper.tidy().await.unwrap();
                assert!(dump(&netns).await.as_ref() == Some(wanted));
            }
            // Where nothing can be closed and one rule is larger than a transaction, it is said.
            let mut keeper = Keeper::open(&netns, "bare", Ownership::Plain, gates).await.unwrap();
            keeper.limit(150);
            let mut bare = small[0].clone();
            bare.name = "bare".into();
            assert!(matches!(
                keeper.set(&bare).await,
                Err(ApplyError::TooLarge { limit: 150, .. })
            ));
        }
    });
}

fn writers_at_the_same_time() {
    let netns = Netns::new().unwrap();
    let tables = two(false);
    let n = times(60);
    let (n_again, done) = (AtomicU64::new(0), AtomicU64::new(0));
    // Without a pause between changes nobody could ever read a table in one piece.
    let pause = |dice: &mut Dice| std::thread::sleep(Duration::from_micros(dice.below(8000)));
    std::thread::scope(|scope| {
        for name in ["first", "second"] {
            let (netns, tables, n_again, done) = (&netns, &tables, &n_again, &done);
            scope.spawn(move || {
                block_on(async {
                    let mut keeper =
                        Keeper::open(netns, name, Ownership::Plain, gates()).await.unwrap();
                    let mut dice = Dice(name.len() as u64);
                    for round in 0..n {
                        pause(&mut dice);
                        let mut wanted = tables[round % 2].clone();
                        wanted.name = name.into();
                        let applied = keeper.set(&wanted).await.unwrap();
                        assert_eq!(applied.foreign, Vec::<String>::new());
                        n_again.fetch_add(applied.n_again as u64, Ordering::Relaxed);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    assert_eq!(
                        keeper.installed().map(|table| table.chains.len()),
                        Some(tables[1].chains.len())
                    );
                });
            });
        }
        // Two of one table: each change is whole, whoever has the last word.
        for seed in 0..2 {
            let (netns, tables, n_again) = (&netns, &tables, &n_again);
            scope.spawn(move || {
                block_on(async {
                    let mut keeper = open(netns, Ownership::Plain).await;
                    let mut dice = Dice(seed);
                    for round in 0..n {
                        pause(&mut dice);
                        let applied = keeper.set(&tables[round % 2]).await.unwrap();
                        n_again.fetch_add(applied.n_again as u64, Ordering::Relaxed);
                    }
                    keeper.tidy().await.unwrap();
                });
            });
        }
    });
    let left = block_on(dump(&netns)).unwrap();
    assert!(tables.contains(&left));
    let n_again = n_again.into_inner();
    println!("  {} changes by four writers, {n_again} begun again", 4 * n);
    assert!(n_again > 0, "they never met");
    assert_eq!(done.into_inner(), 2 * n as u64);
}

/// The most connections that are made to fill a table.
const FILL_MAX: u32 = 1 << 20;

/// Fills the table of connections of a node with some that the kernel does not forget to make room.
///
/// Inside a user namespace the limit cannot be set (`nf_conntrack_max` is read-only there), so it is reached.
async fn fill(node: &Netns, conntrack: &Conntrack, most: u32) {
    // IPCTNL_MSG_CT_NEW; of CTA_STATUS IPS_SEEN_REPLY, IPS_ASSURED and IPS_CONFIRMED.
    const NEW: u16 = 1 << 8;
    const STATUS: u32 = 2 | 4 | 8;
    const AT_ONCE: u32 = 256;
    let talk = NetlinkSocket::new_in_namespace(Protocol::Netfilter, node.as_fd()).unwrap();
    let mut at = 0_u32;
    while conntrack.count().await.unwrap().0 < most {
        for _ in 0..(most / AT_ONCE).clamp(1, 64) {
            let mut all = Vec::new();
            for _ in 0..AT_ONCE {
                at += 1;
                let mut to = MessageBuilder::new(NEW, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
                to.append_bytes(&[2, 0, 0, 0]);
                let ends = [(0x0b00_0000 + (at >> 14)).to_be_bytes(), [192, 0, 2, 1]];
                let ports = [u16::try_from(at & 0x3fff).unwrap() + 1024, 53];
                for (tuple, [from, to_at]) in [(1, [0, 1]), (2, [1, 0])] {
                    let tuple = to.nest_start(tuple);
                    let addresses = to.nest_start(1);
                    to.append_attr(1, &ends[from]);
                    to.append_attr(2, &ends[to_at]);
                    to.nest_end(addresses);
                    let protocol = to.nest_start(2);
                    to.append_attr_u8(1, 17);
                    to.append_attr_u16_be(2, ports[from]);
                    to.append_attr_u16_be(3, ports[to_at]);
                    to.nest_end(protocol);
                    to.nest_end(tuple);
                }
                to.append_attr_u32_be(3, STATUS);
                to.append_attr_u32_be(7, 600);
                all.extend(to.finish());
            }
            talk.send(&all).await.unwrap();
        }
    }
}

/// Where there is no room for another connection, none is let through, of whatever pod of that node; those that are there go on, and
/// other nodes do not notice.
fn connections_are_full() {
    block_on(async {
        let [net, other] = [Net::new().await, Net::new().await];
        let states =
            moat_nft::model::States { established: true, related: true, ..Default::default() };
        let field = moat_nft::model::Field::CtState;
        let value = moat_nft::model::Value::States(states);
        let established = Statement::Match { field, negate: false, value };
        let rules = vec![
            rule(vec![established, end(Verdict::Accept)]),
            rule(vec![Statement::Counter, end(Verdict::Accept)]),
        ];
        for net in [&net, &other] {
            let nft = Nft::open(&net.node, "t", Ownership::Plain).unwrap();
            nft.apply(&forward(rules.clone()), None).await.unwrap();
        }
        let to = SocketAddr::new(address(1, false), 9);
        let listeners =
            [&net, &other].map(|net| net.pods[1].run(|| TcpListener::bind(to).unwrap()).unwrap());
        let connect = |net: &Net| {
            let timeout = Duration::from_millis(500);
            net.pods[0].run(|| TcpStream::connect_timeout(&to, timeout)).unwrap()
        };
        let mut client = connect(&net).unwrap();
        let (mut server, _) = listeners[0].accept().unwrap();
        let conntrack = Conntrack::open(&net.node).unwrap();
        let (n, most) = conntrack.count().await.unwrap();
        assert!((1..most).contains(&n), "{n} connections of {most}");
        if most > FILL_MAX {
            println!("  not exercised: conntrack table full: it has room for {most} connections");
            return;
        }
        let from = Instant::now();
        fill(&net.node, &conntrack, most).await;
        println!("  {most} connections in {:.1?}", from.elapsed());

        assert!(connect(&net).is_err(), "a connection too many was let through");
        let mut buffer = [0; 5];
        client.write_all(b"there").unwrap();
        server.read_exact(&mut buffer).unwrap();
        server.write_all(b"again").unwrap();
        client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"again");
        connect(&other).unwrap();
        let (n, _) = Conntrack::open(&other.node).unwrap().count().await.unwrap();
        assert!(n < 10, "the other node counts {n} connections");

        // Rules change as ever.
        let mut keeper = open(&net.node, Ownership::Plain).await;
        let wanted = large(4);
        keeper.set(&wanted).await.unwrap();
        keeper.set(&Table::new("moat")).await.unwrap();

        let talk = Connection::<Netfilter>::new_in(net.node.as_fd()).unwrap();
        talk.flush_conntrack().await.unwrap();
        connect(&net).unwrap();
    });
}

fn a_log_overrun_changes_no_verdict() {
    const N: u32 = 20_000;
    block_on(async {
        let net = Net::new().await;
        let nft = Nft::open(&net.node, "t", Ownership::Plain).unwrap();
        let log = |prefix: &str| {
            Statement::Log(Log {
                prefix: prefix.into(),
                group: 7,
                snaplen: 96,
                queue_threshold: 64,
            })
        };
        let field = moat_nft::model::Field::DestinationPort;
        let port = moat_nft::model::Value::Port(9);
        let to_9 = Statement::Match { field, negate: false, value: port };
        let rules = vec![
            rule(vec![to_9, log("allowed"), end(Verdict::Accept)]),
            rule(vec![log("denied"), end(Verdict::Drop)]),
        ];
        nft.apply(&forward(rules), None).await.unwrap();
        let options =
            LogOptions { room: 64 << 10, wait: Duration::from_millis(10), ..LogOptions::default() };
        let mut reader = LogReader::open_with(&net.node, &[7], options).await.unwrap();
        let [allowed, denied] = [9, 10].map(|port| {
            let to = SocketAddr::new(address(1, false), port);
            let socket = net.pods[1].run(|| UdpSocket::bind(to).unwrap()).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        let socket = net.pods[0].run(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        let send = |port| while socket.send_to(b"x", (address(1, false), port)).is_err() {};
        let mut n_arrived = 0;
        for sent in 1..=N {
            send(9);
            send(10);
            // A socket's room is small; each packet is there before the next is looked for.
            if sent % 50 == 0 {
                let until = Instant::now() + Duration::from_secs(5);
                while n_arrived < sent {
                    n_arrived += u32::from(allowed.recv(&mut [0; 8]).is_ok());
                    assert!(Instant::now() < until, "{n_arrived} of {sent} arrived");
                }
            }
        }
        assert!(denied.recv(&mut [0; 8]).is_err(), "a denied packet arrived");
        let (mut n_read, mut n_lost, mut n_sent, mut overflowed) = (0, 0, 2 * N, false);
        loop {
            match timeout(Duration::from_millis(100), reader.next()).await {
                Ok(batch) => {
                    let batch = batch.unwrap();
                    n_read += u32::try_from(batch.records.len()).unwrap();
                    n_lost += u32::try_from(batch.n_lost).unwrap();
                    overflowed |= batch.overflowed;
                }
                Err(_) if n_read + n_lost == n_sent && n_sent > 2 * N => break,
                Err(_) => {
                    assert!(n_sent < 2 * N + 50, "{n_read} read and {n_lost} lost of {n_sent}");
                    send(10);
                    n_sent += 1;
                }
            }
        }
        println!(
            "  {N} allowed arrived, {N} denied did not; {n_read} records read, {n_lost} counted as lost"
        );
        assert!(overflowed && n_lost > 0 && n_arrived == N);
    });
}

fn a_small_change_costs_little() {
    block_on(async {
        let netns = Netns::new().unwrap();
        let mut keeper = open(&netns, Ownership::Plain).await;
        let mut wanted = large(250);
        keeper.set(&wanted).await.unwrap();
        keeper.tidy().await.unwrap();
        let n_elements: usize = wanted.sets.values().map(|set| set.elements.len()).sum();
        println!("  among {n_elements} elements and {} chains:", wanted.chains.len());
        for n in [1_u32, 100] {
            // A remote pod that is a peer of so many groups comes, becomes another, and goes.
            let sets = |row| (0..n).map(move |at| row_set(&format!("gi_{at}"), row));
            let own = || vec![(Element::V4([10, 2, 0, 1].into()), None)];
            let all = |row| sets(row).map(|name| (name, own())).collect::<BTreeMap<_, _>>();
            let edits = [
                Edit { add: all(3), ..Edit::default() },
                Edit { remove: all(3), add: all(5), ..Edit::default() },
                Edit { remove: all(5), ..Edit::default() },
            ];
            // Without the kernel: finding the way, and making the same change to the copy.
            let (mut uses, mut copy) = (Uses::new(&wanted, &gates()), wanted.clone());
            let rounds = 100;
            // The quickest round: others are those in which the machine did something else.
            let mut own = Duration::MAX;
            for _ in 0..rounds {
                let from = Instant::now();
                for edit in &edits {
                    let way = Way::of(edit, &copy, &uses).unwrap();
                    assert_eq!(way.edits.len(), 1);
                    uses.follow(edit, &copy);
                    edit.apply_to(&mut copy);
                }
                own = own.min(from.elapsed() / 3);
            }
            let n_changes = u32::try_from(3 * rounds).unwrap();
            let from = Instant::now();
            for edit in edits.iter().cycle().take(3 * rounds) {
                let applied = keeper.change(edit).await.unwrap();
                assert!(applied.n_transactions == 1 && !applied.untidy, "{applied:?}");
                assert!(applied.closed_meanwhile.is_empty());
            }
            let wall = from.elapsed() / n_changes;
            println!("  a change of {n} sets takes {wall:.1?}, of which finding its way {own:.1?}");
            assert!(own < Duration::from_millis(3), "it looks at all of the table");
        }
        // What is moved to a row that is asked before is taken away late; and a change that is no such one is made too.
        let own = || vec![(Element::V4([10, 1, 5, 1].into()), None)];
        let [first, last] = [1, 5].map(|row| BTreeMap::from([(row_set("gi_0", row), own())]));
        let edit = Edit { add: first, remove: last, ..Edit::default() };
        assert!(keeper.change(&edit).await.unwrap().untidy);
        edit.apply_to(&mut wanted);
        keeper.tidy().await.unwrap();
        assert!(dump(&netns).await.as_ref() == Some(&wanted));
        let ranges = Element::RangeV4([10, 9, 0, 0].into(), [10, 9, 0, 255].into());
        let add = [("local4".into(), vec![(ranges, None)])].into();
        let edit = Edit { add, ..Edit::default() };
        keeper.change(&edit).await.unwrap();
        edit.apply_to(&mut wanted);
        keeper.tidy().await.unwrap();
        assert!(dump(&netns).await.as_ref() == Some(&wanted));
        // What was given up on its way is looked at again.
        let edit = Edit::between(&wanted, &large(3)).unwrap();
        assert!(timeout(Duration::from_micros(1), keeper.change(&edit)).await.is_err());
        let applied = keeper.set(&large(3)).await.unwrap();
        assert!(applied.closed.is_empty() && applied.foreign.is_empty());
        keeper.tidy().await.unwrap();
        assert!(dump(&netns).await == Some(large(3)));
    });
}

/// Packets from the first pod to the second until told to stop, and how many of them arrived.
struct Flood {
    stop: AtomicBool,
    n_sent: AtomicU64,
    n_arrived: AtomicU64,
}

/// Reads the packets that are there.
fn count(target: &UdpSocket) -> u64 {
    let mut n = 0;
    while target.recv(&mut [0; 8]).is_ok() {
        n += 1;
    }
    n
}

impl Flood {
    /// Sends while something is done; returns how many were sent and how many arrived.
    fn during(net: &Net, work: impl FnOnce(&Self)) -> (u64, u64) {
        let to = SocketAddr::new(address(1, false), 9);
        let target = net.pods[1].run(|| UdpSocket::bind(to).unwrap()).unwrap();
        target.set_nonblocking(true).unwrap();
        let socket = net.pods[0].run(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        socket.connect(to).unwrap();
        let flood = Self {
            stop: AtomicBool::new(false),
            n_sent: AtomicU64::new(0),
            n_arrived: AtomicU64::new(0),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !flood.stop.load(Ordering::Relaxed) {
                    let n_sent = (0..32).filter(|_| socket.send(b"x").is_ok()).count();
                    flood.n_sent.fetch_add(n_sent as u64, Ordering::Relaxed);
                    // Read now, for the socket has room for a few hundred only.
                    flood.n_arrived.fetch_add(count(&target), Ordering::Relaxed);
                }
            });
            flood.wait(1000);
            work(&flood);
            flood.wait(1000);
            flood.stop.store(true, Ordering::Relaxed);
        });
        // What is on its way is in order on one processor only, so it is waited for as long as anything may be under way.
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {
            flood.n_arrived.fetch_add(count(&target), Ordering::Relaxed);
            std::thread::yield_now();
        }
        (flood.n_sent.into_inner(), flood.n_arrived.into_inner())
    }

    /// Waits until so many more packets are sent.
    fn wait(&self, n: u64) {
        let until = self.n_sent.load(Ordering::Relaxed) + n;
        while self.n_sent.load(Ordering::Relaxed) < until {
            std::thread::yield_now();
        }
    }
}

/// Walks at random through the states in which one of the ends denies, and the one that denies is not the same in all.
fn changes_of_ends(net: &Net, n_updates: usize) {
    let states = Ends::denying();
    let tables: Vec<Table> = states.iter().map(of_ends).collect();
    let (mut dice, mut at) = (Dice(11), 0);
    let mut kinds = [0; 4];
    block_on(async {
        let mut keeper = open(&net.node, Ownership::Plain).await;
        keeper.set(&tables[at]).await.unwrap();
    });
    let from = Instant::now();
    let (n_sent, n_arrived) = Flood::during(net, |_| {
        block_on(async {
            let mut keeper = open(&net.node, Ownership::Plain).await;
            keeper.set(&tables[at]).await.unwrap();
            for round in 0..n_updates {
                let next = loop {
                    let next = usize::try_from(dice.below(states.len() as u64)).unwrap();
                    if states[next].follows(&states[at]) {
                        break next;
                    }
                };
                let applied = if round % 2 == 0 {
                    keeper.set(&tables[next]).await.unwrap()
                } else {
                    let edit = Edit::between(&tables[at], &tables[next]).unwrap();
                    keeper.change(&edit).await.unwrap()
                };
                assert!(applied.closed.is_empty() && applied.foreign.is_empty());
                kinds[0] += usize::from(states[at].policy != states[next].policy);
                let ends = states[at].rows.iter().zip(&states[next].rows);
                let both = ends.filter(|(one, other)| one != other).count() == 2;
                assert_eq!(applied.closed_meanwhile.len(), if both { 2 } else { 0 });
                kinds[1] += usize::from(both);
                kinds[2] += usize::from(states[at].allows() != states[next].allows());
                kinds[3] += usize::from(applied.untidy);
                if dice.one_in(2) {
                    keeper.tidy().await.unwrap();
                }
                at = next;
            }
        });
    });
    let [policies, both, ends, untidy] = kinds;
    println!(
        "  {n_updates} updates in {:.1?}, of policies {policies}, of both ends' elements {both}, of the end that denies {ends}, \
         with a late part {untidy}: {n_arrived} of {n_sent} denied packets arrived",
        from.elapsed()
    );
    assert_eq!(n_arrived, 0);
    assert!(kinds.iter().all(|n| *n > n_updates / 20), "{kinds:?}");
}

fn no_packet_leaks() {
    let n_updates = number("MOAT_LEAKS").unwrap_or_else(|| times(150));
    let n_restarts = times(30);
    let net = block_on(Net::new());
    let denying = |version, first, same_names| {
        table(&Policy { version, allow: false, peers: (first, 8), same_names })
    };
    // Other peers; other groups; other rules in the same groups.
    let policies = [
        denying("a", 0x0a01_0000, false),
        denying("a", 0x0a01_0004, false),
        denying("b", 0x0a01_0000, false),
        denying("c", 0x0a01_0000, true),
        denying("d", 0x0a01_0002, true),
    ];
    let open_all = table(&Policy { allow: true, ..Policy::denying("e", (0x0a01_0000, 8)) });
    let set = async |keeper: &mut Keeper, table: &Table| {
        let applied = keeper.set(table).await.unwrap();
        assert!(applied.closed.is_empty() && applied.recreated.is_empty() && !applied.rebuilt);
        applied.n_transactions
    };

    let (n_sent, n_arrived) = block_on(async {
        let mut keeper = open(&net.node, Ownership::Plain).await;
        set(&mut keeper, &open_all).await;
        Flood::during(&net, |_| {})
    });
    println!("  allowed: {n_arrived} of {n_sent} arrived");
    assert!(n_arrived > 100, "the flood does not reach the target");

    changes_of_ends(&net, n_updates);

    // Opened here, for what it has room for are the first records.
    let logs = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut reader = logs.block_on(LogReader::open(&net.node, &[DENIED])).unwrap();
    let mut dice = Dice(9);
    let mut n_transactions = 0;
    let from = Instant::now();
    let deny = async |keeper: &mut Keeper| set(keeper, &policies[0]).await;
    block_on(async { deny(&mut open(&net.node, Ownership::Plain).await).await });
    let (n_sent, n_arrived) = Flood::during(&net, |_| {
        block_on(async {
            let mut keeper = open(&net.node, Ownership::Plain).await;
            for _ in 0..n_updates {
                n_transactions += set(&mut keeper, dice.pick(&policies)).await;
            }
        });
    });
    println!(
        "  {n_updates} updates, {n_transactions} transactions, in {:.1?}: {n_arrived} of {n_sent} denied packets arrived",
        from.elapsed()
    );
    assert_eq!(n_arrived, 0);
    assert!(n_transactions > n_updates / 2);

    let (n_sent, n_arrived) = Flood::during(&net, |flood| {
        for _ in 0..n_restarts {
            block_on(async {
                let mut keeper = open(&net.node, Ownership::Plain).await;
                set(&mut keeper, dice.pick(&policies)).await;
                flood.wait(10);
                keeper.close();
            });
        }
    });
    println!("  {n_restarts} restarts: {n_arrived} of {n_sent} denied packets arrived");
    assert_eq!(n_arrived, 0);

    // The flood was judged by the policies' own rules, of all of them.
    let mut denied: BTreeMap<String, usize> = BTreeMap::new();
    logs.block_on(async {
        while let Ok(batch) = timeout(Duration::from_millis(300), reader.next()).await {
            for record in batch.unwrap().records {
                *denied.entry(record.prefix).or_default() += 1;
            }
        }
    });
    println!("  records of it: {denied:?}");
    assert!(
        ["a", "b", "c", "d"].iter().all(|version| denied.contains_key(&format!("deny:{version}")))
    );

    let of_both = [[0, 1], [1, 0], [2, 1]].map(|rows| of_ends(&Ends { policy: 1, rows }));
    for (what, naive) in
        [("table deleted and made anew", true), ("both ends changed at once", false)]
    {
        let n = times(2000);
        block_on(async {
            let mut keeper = open(&net.node, Ownership::Plain).await;
            keeper.set(&of_both[0]).await.unwrap();
            keeper.tidy().await.unwrap();
        });
        let (n_sent, n_arrived) = Flood::during(&net, |_| {
            block_on(async {
                let nft = Nft::open(&net.node, "moat", Ownership::Plain).unwrap();
                let mut now = &of_both[0];
                for _ in 0..n {
                    let next = dice.pick(&of_both);
                    let ops = if naive {
                        [vec![Op::DelTable], plan(None, next)].concat()
                    } else {
                        plan(Some(now), next)
                    };
                    if !ops.is_empty() {
                        nft.apply(&ops, None).await.unwrap();
                    }
                    now = next;
                }
            });
        });
        println!(
            "  for comparison, {what} {n} times: {n_arrived} of {n_sent} denied packets arrived"
        );
    }
}
