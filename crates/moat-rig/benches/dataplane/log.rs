//! Whether the log keeps up with fifty thousand new connections a second.

use crate::clock::show;
use crate::reader::{Reader, Seen};
use crate::site::{Site, install};
use crate::table::{Row, section};
use crate::worlds::Cluster;
use moat_nft::model::{Base, BaseKind, Chain, Hook, Rule, Statement, Table, Verdict};
use moat_nft::render::Settings;
use moat_sets::Protocol;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const N_FLOWS: u64 = 100_000;
const PER_SECOND: u64 = 50_000;
const N_SOCKETS: u64 = 200;
/// The first of the ports that connections go to; each socket opens one to each.
const PORT: u64 = 20_000;

pub(crate) fn run(runtime: &Runtime) {
    let cluster = Cluster::dense(10_000, 1_000, 100);
    let (from, to) = cluster.pair(&[Protocol::Udp], PORT as u16);
    let rendered = cluster.render(&Settings::default());
    let ends = (cluster.address(from), cluster.address(to));
    section("log: new connections, both ends local, so that each has two records");
    for per_second in [PER_SECOND, u64::MAX] {
        let site = runtime.block_on(Site::with(ends.0, ends.1, &rendered.table));
        // A port that nobody listens on would be answered with an error; so the server takes packets and says nothing.
        runtime.block_on(install(&site.server, &silence()));
        let reader = Reader::start(&site.node, &[4001, 4002], &rendered.reasons);
        let sockets: Vec<UdpSocket> = site
            .client
            .run(|| {
                let bind = |_| UdpSocket::bind(SocketAddr::new(ends.0, 0)).unwrap();
                (0..N_SOCKETS).map(bind).collect()
            })
            .unwrap();
        let start = Instant::now();
        for at in 0..N_FLOWS {
            let due = Duration::from_nanos(
                at.saturating_mul(1_000_000_000 / per_second.min(1_000_000_000)),
            );
            while per_second != u64::MAX && start.elapsed() < due {
                std::hint::spin_loop();
            }
            let socket = &sockets[(at % N_SOCKETS) as usize];
            let port = u16::try_from(PORT + at / N_SOCKETS).unwrap();
            socket.send_to(&[1], SocketAddr::new(ends.1, port)).unwrap();
        }
        let took = start.elapsed().as_secs_f64();
        let expected = 2 * N_FLOWS;
        let mut seen = settled(&reader);
        if seen.records + seen.lost < expected {
            // What is lost at the end shows with the next record.
            sockets[0].send_to(&[1], SocketAddr::new(ends.1, 65_000)).unwrap();
            seen = settled(&reader);
            seen.records = seen.records.saturating_sub(2);
        }
        let all = seen.records + seen.lost;
        let rate = N_FLOWS as f64 / took;
        Row {
            what: format!("{rate:.0} new connections a second for {took:.1} s: lost"),
            value: seen.lost.to_string(),
            ratio: Some(seen.records as f64 / expected as f64),
            goal: "0 or counted".to_owned(),
            met: Some(all == expected && seen.unknown == 0),
            note: format!(
                "{} of {expected} records read, {} lost, {} without a known reason, {} CPU each",
                seen.records,
                seen.lost,
                seen.unknown,
                show(seen.cpu.as_secs_f64() / seen.records.max(1) as f64)
            ),
        }
        .print();
    }
}

/// What was seen once nothing comes any more.
fn settled(reader: &Reader) -> Seen {
    let (mut last, mut since) = (reader.seen(), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        std::thread::yield_now();
        let now = reader.seen();
        if now.records != last.records {
            (last, since) = (now, Instant::now());
        }
    }
    reader.seen()
}

fn silence() -> Table {
    let mut table = Table::new("silence");
    let base =
        Base { kind: BaseKind::Filter, hook: Hook::Prerouting, priority: -300, accept: true };
    let rules = vec![Rule::new(vec![Statement::Verdict(Verdict::Drop)])];
    table.chains.insert("all".into(), Chain { base: Some(base), rules });
    table
}
