//! What is printed against the real `nft`, where it is installed: it loads, and what it then lists is read back as the same table.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's answer")]

mod tables;

use moat_nft::model::{Element, Table};
use moat_nft::plan::plan;
use moat_nft::{parse, print};
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use tables::{Rng, like, table};

/// Loads scripts one after the other in a network namespace of their own, and lists the ruleset.
fn loaded(scripts: &[&str]) -> Result<String, String> {
    // Each line `%%` ends a script.
    let shell = r#"
        script=
        while IFS= read -r line; do
            if [ "$line" = '%%' ]; then
                printf '%s' "$script" | nft -f - || exit 1
                script=
            else
                script="$script$line
"
            fi
        done
        nft -a list ruleset
    "#;
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", shell])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut input = child.stdin.take().unwrap();
    for script in scripts {
        // A shell that gave up has closed its end; its answer says why.
        let _ = input.write_all(format!("{script}%%\n").as_bytes());
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Says why not, if `nft` cannot be used here.
fn usable() -> bool {
    if Command::new("nft").arg("--version").output().is_err() {
        println!("not exercised: nft is not installed");
        return false;
    }
    if let Err(why) = loaded(&["table inet probe {\n}\n"]) {
        println!("not exercised: no network namespace for nft can be had here: {why}");
        return false;
    }
    true
}

fn tries() -> u64 {
    std::env::var("MOAT_NFT_TABLES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

/// Without what a listing has beyond the printed text.
fn plain(listing: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        listing.lines().map(|line| line.split(" # handle").next().unwrap().to_owned()).collect();
    lines.sort();
    lines
}

fn read(listing: &str, name: &str) -> Option<Table> {
    parse::named(listing, name).unwrap_or_else(|error| panic!("{error}\n{listing}"))
}

#[test]
fn what_is_printed_loads_and_is_listed_as_the_same_table() {
    if !usable() {
        return;
    }
    let mut same_layout = 0_u64;
    for seed in 0..tries() {
        let table = table(&mut Rng::new(seed));
        let text = print::text(&table);
        let listing = loaded(&[&text]).unwrap_or_else(|why| panic!("seed {seed}: {why}\n{text}"));
        let listed = read(&listing, "moat").unwrap();
        assert!(listed == table, "seed {seed}: printed\n{text}\nlisted\n{listing}");
        same_layout += u64::from(plain(&text) == plain(&listing));
    }
    // Elements are listed in the kernel's order, so only texts without long lists of elements are equal line by line.
    assert!(same_layout * 4 > tries(), "the layout is not nft's: {same_layout} of {}", tries());
}

/// Without the elements of interval maps that reach to the last address: nft 1.0.6 says that it deleted one, and does not.
fn without_last(mut table: Table) -> Table {
    for set in table.sets.values_mut().filter(|set| set.map && set.interval) {
        set.elements.retain(|key, _| match key {
            Element::RangeV4(_, to) => *to != Ipv4Addr::BROADCAST,
            Element::RangeV6(_, to) => to.to_bits() != u128::MAX,
            Element::PortRange(_, to) => *to != u16::MAX,
            _ => true,
        });
    }
    table
}

#[test]
fn a_printed_plan_makes_the_wanted_table() {
    if !usable() {
        return;
    }
    for seed in 0..tries() {
        let mut rng = Rng::new(seed + 1_000_000);
        let before = without_last(table(&mut rng));
        let after = like(&mut rng, &before);
        let first = print::ops("moat", &plan(None, &before));
        let then = print::ops("moat", &plan(Some(&before), &after));
        let listing = loaded(&[&first, &then])
            .unwrap_or_else(|why| panic!("seed {seed}: {why}\n{first}\n---\n{then}"));
        let listed = read(&listing, "moat").unwrap();
        assert!(listed == after, "seed {seed}: did\n{first}\n---\n{then}\nlisted\n{listing}");
    }
}
