//! Tables as text and back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's answer")]

mod tables;

use expect_test::{Expect, expect};
use moat_nft::model::{
    Chain, Element, Field, Op, Rule, Set, SetKey, SetShape, Statement, States, Table, Value,
    Verdict,
};
use moat_nft::{parse, print};
use proptest::prelude::*;
use std::net::Ipv4Addr;
use tables::{Rng, table};

#[test]
fn text_says_all_of_a_table() {
    for seed in 0..3000 {
        let table = table(&mut Rng::new(seed));
        let text = print::text(&table);
        let read = parse::table(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read, table, "seed {seed}\n{text}");
    }
}

/// As `nft -a list ruleset` of nftables 1.0.6 showed it: what it writes differently from what it was given.
const LISTED: &str = r#"table ip nat { # handle 1
	chain POSTROUTING { # handle 1
		type nat hook postrouting priority srcnat; policy accept;
		oifname "a}" xt target "MASQUERADE" < $x
	}
}
# Warning: table ip filter is managed by iptables-nft, do not touch!
table inet moat { # progname nft handle 5
	flags owner

	set p4 { # handle 2
		type ipv4_addr
		flags constant,interval
		size 65535
		comment "x y"
		elements = { 0.0.0.0/7, 10.0.0.0/8 comment "hi",
			     11.0.0.1-11.0.0.5, 12.0.0.1,
			     255.255.255.254/31 }
	}

	map pp { # handle 3
		type inet_proto . inet_service : verdict
		elements = { ip . 0 : drop,
			     esp . 3 : goto c,
			     200 . 3 : jump c,
			     tcp . 80 : accept }
	}

	chain c { # handle 4
		comment "on chain"
	}

	chain base { # handle 5
		type filter hook forward priority filter - 5; policy drop;
		ct state established,related accept # handle 6
		ct state ! established,related drop
		ct state != { new, invalid } drop
		ct state 0x0 drop
		ct mark 0x80000000/1 drop
		ct mark & 0x00000003 != 0x00000001 drop
		ct mark 0x00000005 counter packets 17 bytes 18446744073709551615 drop
		icmpv6 type nd-router-solicit accept
		icmpv6 type 133-137 accept
		meta l4proto . tcp dport vmap @pp
		tcp dport 80 tcp dport != 81 drop
		ip saddr 1.2.3.4 reject with icmp port-unreachable
		limit rate over 10/second log prefix "n1" group 1 snaplen 80 queue-threshold 64
		ip6 saddr ::ffff:1.2.3.4 ip6 daddr ::1.2.3.4/127 return comment "it's # fine"
	}
}
"#;

#[test]
fn a_listing_of_nft_is_read_and_printed_the_same_way_each_time() {
    let table = parse::named(LISTED, "moat").unwrap().unwrap();
    let text = print::text(&table);
    assert_eq!(parse::table(&text).unwrap(), table);
    expect![[r#"
        table inet moat {
        	set p4 {
        		type ipv4_addr
        		size 65535
        		flags interval
        		elements = { 0.0.0.0/7, 10.0.0.0/8,
        			     11.0.0.1-11.0.0.5, 12.0.0.1,
        			     255.255.255.254/31 }
        	}

        	map pp {
        		type inet_proto . inet_service : verdict
        		elements = { 0 . 0 : drop,
        			     tcp . 80 : accept,
        			     50 . 3 : goto c,
        			     200 . 3 : jump c }
        	}

        	chain base {
        		type filter hook forward priority filter - 5; policy drop;
        		ct state established,related accept
        		ct state ! established,related drop
        		ct state ! invalid,new drop
        		ct state 0x0 drop
        		ct mark 0x80000000/1 drop
        		ct mark & 0x00000003 != 0x00000001 drop
        		ct mark 0x00000005 counter packets 0 bytes 0 drop
        		icmpv6 type nd-router-solicit accept
        		icmpv6 type 133-137 accept
        		meta l4proto . tcp dport vmap @pp
        		tcp dport 80 tcp dport != 81 drop
        		ip saddr 1.2.3.4 reject
        		limit rate over 10/second log prefix "n1" group 1 snaplen 80 queue-threshold 64
        		ip6 saddr ::ffff:1.2.3.4 ip6 daddr ::1.2.3.4/127 return comment "it's # fine"
        	}

        	chain c {
        	}
        }
    "#]]
    .assert_eq(&text);
    assert_eq!(parse::named(LISTED, "other").unwrap(), None);
    assert_eq!(parse::named("", "moat").unwrap(), None);
    assert_eq!(parse::named("table ip moat {\n}\n", "moat").unwrap(), None);
}

#[test]
fn a_transaction_is_printed_as_a_script() {
    let key = Element::RangeV4(Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 0, 0, 255));
    let shape = SetShape { key: SetKey::V4, interval: true, map: true, size: None };
    let rule = Rule::new(vec![Statement::Vmap { key: vec![Field::SourceV4], map: "m".into() }]);
    let ops = [
        Op::AddTable,
        Op::AddSet("m".into(), shape),
        Op::AddChain("c".into(), None),
        Op::AddElements("m".into(), vec![(key.clone(), Some(Verdict::Accept))]),
        Op::AddRule("c".into(), rule),
        Op::FlushChain("c".into()),
        Op::DelElements("m".into(), vec![(key, None)]),
        Op::DelSet("m".into()),
        Op::DelChain("c".into()),
        Op::DelTable,
    ];
    expect![[r#"
        add table inet moat
        add map inet moat m { type ipv4_addr : verdict; flags interval; }
        add chain inet moat c
        add element inet moat m { 10.0.0.0/24 : accept }
        add rule inet moat c ip saddr vmap @m
        flush chain inet moat c
        delete element inet moat m { 10.0.0.0/24 }
        delete set inet moat m
        delete chain inet moat c
        delete table inet moat
    "#]]
    .assert_eq(&print::ops("moat", &ops));
}

/// `ct state != established,related` compares with both bits at once, which no packet has: nft reads it as true of every packet.
#[test]
fn a_negation_of_several_states_asks_for_none_of_them() {
    let states = States { established: true, related: true, ..States::default() };
    let rule = Rule::new(vec![Statement::Match {
        field: Field::CtState,
        negate: true,
        value: Value::States(states),
    }]);
    expect!["ct state ! established,related"].assert_eq(&print::rule(&rule));
}

#[test]
fn text_that_nft_could_not_read_back_becomes_harmless() {
    let rule = Rule {
        statements: vec![Statement::Counter],
        comment: Some("a \"quote\"\nand a line".into()),
    };
    expect![[r#"counter packets 0 bytes 0 comment "a 'quote' and a line""#]]
        .assert_eq(&print::rule(&rule));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let check = |text: &str, expect: Expect| {
        expect.assert_eq(&parse::table(text).unwrap_err().to_string());
    };
    let chain = |rule: &str| format!("table inet m {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n");
    let set = |rest: &str| format!("table inet m {{\n\tset s {{\n\t\t{rest}\n\t}}\n}}\n");
    check("", expect!["line 1, column 1: expected `table inet NAME {`, found the end of the text"]);
    check(
        "table ip m {\n}",
        expect!["line 1, column 1: this is a table of family ip; Moat's are of family inet"],
    );
    check(
        "table inet m {\n",
        expect![
            "line 2, column 1: expected `set`, `map`, `chain` or `}`, found the end of the text"
        ],
    );
    check(
        "table inet m {\n}\ntable inet n {\n}\n",
        expect!["line 3, column 1: expected the end of the text after the table, found `table`"],
    );
    check(
        &chain("ip saddr fd00::1"),
        expect!["line 3, column 12: expected an IPv4 address or prefix, found `fd00::1`"],
    );
    check(
        &chain("quota over 25 mbytes drop"),
        expect!["line 3, column 3: expected a statement that tables of Moat have, found `quota`"],
    );
    check(
        &chain("ip saddr @s ip daddr 1.2.3.4/33"),
        expect!["line 3, column 24: expected an IPv4 address or prefix, found `1.2.3.4/33`"],
    );
    check(
        &chain("ct state != established | related accept"),
        expect![
            "line 3, column 15: `!=` with several states is true of every packet; use `ct state ! STATES` to ask for none of them"
        ],
    );
    check(
        &chain("log prefix \"x\" level warn"),
        expect![
            "line 3, column 3: a log statement of Moat has a group; this one writes to the kernel log"
        ],
    );
    check(
        &chain("accept comment \"open"),
        expect!["line 3, column 18: this quote is not closed on its line"],
    );
    check(
        &chain("ip saddr . ip daddr 1.2.3.4"),
        expect![
            "line 3, column 23: expected `vmap @MAP` or `@SET` after several fields, found `1.2.3.4`"
        ],
    );
    check(&chain("tcp sport 80"), expect!["line 3, column 7: expected `dport`, found `sport`"]);
    check(
        &chain("type route hook output priority 0; policy accept;"),
        expect!["line 3, column 8: expected `filter` or `nat`, found `route`"],
    );
    check(
        &set("elements = { 1.2.3.4 }"),
        expect!["line 3, column 3: expected `type` first, found `elements`"],
    );
    check(
        &set("type ipv4_addr\n\t\telements = { 1.2.3.4-1.2.3.5 }"),
        expect!["line 4, column 16: expected an IPv4 address, found `1.2.3.4-1.2.3.5`"],
    );
    check(
        &set("type ipv4_addr\n\t\telements = { 1.2.3.4, 1.2.3.4 }"),
        expect!["line 4, column 25: this element is there already"],
    );
    check(
        &set("type ipv4_addr . ipv4_addr\n\t\tflags interval"),
        expect!["line 4, column 3: Moat has no intervals of keys with several parts"],
    );
    check(&set("type mark"), expect!["line 3, column 8: Moat has no sets of the type `mark`"]);
    check(
        &set("type ipv4_addr\n\t\tflags timeout"),
        expect!["line 4, column 9: expected one of the flags interval, constant, found `timeout`"],
    );
}

/// A text with many elements takes time in proportion: it would take minutes otherwise.
#[test]
fn a_hundred_thousand_elements_are_printed_and_read() {
    let mut table = Table::new("moat");
    let mut set =
        Set::new(SetShape { key: SetKey::ServiceV4, interval: false, map: true, size: None });
    for at in 0..100_000_u32 {
        let key = Element::ServiceV4(Ipv4Addr::from_bits(0x0a00_0000 + at), 6, 80);
        set.elements.insert(key, Some(Verdict::Goto("c".into())));
    }
    table.sets.insert("s".into(), set);
    table.chains.insert("c".into(), Chain::default());
    assert_eq!(parse::table(&print::text(&table)).unwrap(), table);
}

/// Found by mangling: printed as a blank, it was another name.
#[test]
fn names_and_comments_have_no_control_characters() {
    for what in ["iifname \"a\u{7f}b\" accept", "accept comment \"a\tb\""] {
        let text = format!("table inet moat {{\n\tchain c {{\n\t\t{what}\n\t}}\n}}\n");
        assert!(parse::table(&text).is_err(), "{text}");
        let plain = text.replace(['\u{7f}'], "x").replace("a\tb", "a b");
        parse::table(&plain).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the text, there is an answer; what is read can be printed and read again.
    #[test]
    fn mangled_text_is_read_or_refused(
        seed in 0_u64..10_000,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..5, any::<char>()), 1..6),
    ) {
        let mut text: Vec<char> = match seed % 4 {
            0 => LISTED.chars().skip_while(|c| *c != '#').collect(),
            _ => print::text(&table(&mut Rng::new(seed))).chars().collect(),
        };
        for (index, what, c) in edits {
            if text.is_empty() { break }
            let at = index.index(text.len());
            match what {
                0 => drop(text.remove(at)),
                1 => text.insert(at, c),
                2 => text[at] = "{}\";.-/:@#,0\n!"[..].chars().nth(at % 14).unwrap(),
                3 => text.truncate(at),
                _ => {
                    let end = (at + 40).min(text.len());
                    let piece: Vec<char> = text[at..end].to_vec();
                    text.splice(at..at, piece);
                }
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(table) = parse::table(&text) {
            prop_assert_eq!(parse::table(&print::text(&table)).unwrap(), table);
        }
        let _ = parse::named(&text, "moat");
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        prop_assert!(parse::table(&text).is_err());
        let _ = parse::named(&text, "moat");
    }
}
