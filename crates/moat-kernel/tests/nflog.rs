//! The packet log, with packets through a node.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case fails by panicking")]

mod harness;

use harness::net::{Net, address, forward};
use harness::{block_on, main as run};
use moat_kernel::link::Links;
use moat_kernel::nflog::{LogBatch, LogOptions, LogReader, LogRecord, Transport};
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::{Hook, Log, Rule, Statement};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::time::timeout;

fn main() -> ExitCode {
    run(&[
        ("records_say_what_passed", records_say_what_passed),
        ("losses_are_counted", losses_are_counted),
        ("a_group_has_one_listener", a_group_has_one_listener),
        ("many_records", many_records),
    ])
}

fn log(prefix: &str, group: u16) -> Statement {
    Statement::Log(Log { prefix: prefix.into(), group, snaplen: 96, queue_threshold: 64 })
}

async fn logging() -> Net {
    let net = Net::new().await;
    let nft = Nft::open(&net.node, "t", Ownership::Plain).unwrap();
    nft.apply(&forward(vec![Rule::new(vec![log("n1A7", 7)])]), None).await.unwrap();
    net
}

async fn next(reader: &mut LogReader) -> LogBatch {
    timeout(Duration::from_secs(10), reader.next()).await.unwrap().unwrap()
}

fn records_say_what_passed() {
    block_on(async {
        let net = logging().await;
        let links = Links::open(&net.node).unwrap();
        let (near, far) = (links.index("pod0").await.unwrap(), links.index("pod1").await.unwrap());
        let options = LogOptions { wait: Duration::from_millis(10), ..LogOptions::default() };
        let mut reader = LogReader::open_with(&net.node, &[7, 8], options).await.unwrap();
        let mut n_before = 0;
        for v6 in [false, true] {
            let to = SocketAddr::new(address(1, v6), 443);
            let listener = net.pods[1].run(|| TcpListener::bind(to).unwrap()).unwrap();
            let client = net.pods[0].run(|| TcpStream::connect(to).unwrap()).unwrap();
            let port = client.local_addr().unwrap().port();
            // Nobody listens there: an ICMP error comes back.
            let socket = net.pods[0]
                .run(|| UdpSocket::bind(SocketAddr::new(address(0, v6), 999)).unwrap())
                .unwrap();
            socket.send_to(b"hello", (address(1, v6), 53)).unwrap();

            // What the kernels say to their neighbours is not of this test.
            let mut records: Vec<LogRecord> = Vec::new();
            let icmp = |record: &LogRecord| matches!(record.transport, Transport::Icmp { .. });
            while !records.iter().any(|record| icmp(record) && record.source.is_ipv6() == v6) {
                let batch = next(&mut reader).await;
                assert_eq!((batch.n_lost, batch.overflowed, batch.n_odd), (0, false, 0));
                records.extend(batch.records);
            }
            let seqs: Vec<u32> = records.iter().map(|record| record.seq.unwrap()).collect();
            assert_eq!(seqs, (n_before..).take(seqs.len()).collect::<Vec<u32>>());
            n_before += u32::try_from(seqs.len()).unwrap();

            // The end of the connection of the other family may still come.
            records.retain(|record| record.source.is_ipv6() == v6);
            let first = &records[0];
            assert_eq!(
                (first.prefix.as_str(), first.group, first.hook),
                ("n1A7", 7, Hook::Forward)
            );
            assert_eq!((first.source, first.destination), (address(0, v6), address(1, v6)));
            assert_eq!((first.input, first.output), (Some(near), Some(far)));
            assert_eq!(
                first.transport,
                Transport::Tcp { source: port, destination: 443, flags: 2 }
            );
            let answer = &records[1];
            assert_eq!((answer.input, answer.output), (Some(far), Some(near)));
            assert_eq!(
                answer.transport,
                Transport::Tcp { source: 443, destination: port, flags: 0x12 }
            );
            let udp = records.iter().find(|record| record.protocol == 17).unwrap();
            assert_eq!(udp.transport, Transport::Ports { source: 999, destination: 53 });
            assert_eq!(udp.length, if v6 { 53 } else { 33 });
            let refused = records.iter().find(|record| icmp(record)).unwrap();
            let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
            assert_eq!(refused.transport, Transport::Icmp { kind, code, id: None });
            drop(listener);
        }
    });
}

/// Sends packets to a port where somebody listens and reads nothing.
fn flood(net: &Net, n: u32) {
    let to = SocketAddr::new(address(1, false), 9);
    let _listener = net.pods[1].run(|| UdpSocket::bind(to).unwrap()).unwrap();
    let socket = net.pods[0].run(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
    socket.connect(to).unwrap();
    for _ in 0..n {
        while socket.send(b"x").is_err() {}
    }
}

fn losses_are_counted() {
    const N: u32 = 20_000;
    block_on(async {
        let net = logging().await;
        let options =
            LogOptions { room: 64 << 10, wait: Duration::from_millis(10), ..LogOptions::default() };
        let mut reader = LogReader::open_with(&net.node, &[7], options).await.unwrap();
        flood(&net, N);
        // All that is left of the flood, and then single packets until the last of its losses shows.
        let (mut n_read, mut n_lost, mut overflowed, mut n_sent) = (0, 0, false, N);
        loop {
            match timeout(Duration::from_millis(200), reader.next()).await {
                Ok(batch) => {
                    let batch = batch.unwrap();
                    n_read += u32::try_from(batch.records.len()).unwrap();
                    n_lost += u32::try_from(batch.n_lost).unwrap();
                    overflowed |= batch.overflowed;
                }
                Err(_) if n_read + n_lost == n_sent && n_sent > N => break,
                Err(_) => {
                    assert!(n_sent < N + 20, "{n_read} read and {n_lost} lost are not {n_sent}");
                    flood(&net, 1);
                    n_sent += 1;
                }
            }
        }
        println!("  {n_read} read, {n_lost} lost");
        assert!(overflowed && n_lost > 0 && n_read > 0);
    });
}

fn a_group_has_one_listener() {
    block_on(async {
        let net = logging().await;
        let first = LogReader::open(&net.node, &[7]).await.unwrap();
        let refused = LogReader::open(&net.node, &[7]).await.unwrap_err();
        assert_eq!(refused.errno(), Some(1));
        assert!(refused.to_string().starts_with("cannot listen to log group 7: "), "{refused}");
        drop(first);
        LogReader::open(&net.node, &[7]).await.unwrap();
    });
}

fn many_records() {
    const N: u32 = 200_000;
    block_on(async {
        let net = logging().await;
        let mut reader = LogReader::open(&net.node, &[7]).await.unwrap();
        let from = Instant::now();
        // On a thread of its own, so that the reader reads while packets come.
        let sender = tokio::task::spawn_blocking(move || flood(&net, N));
        let (mut n_read, mut n_lost, mut n_batches) = (0, 0, 0);
        while n_read + n_lost < u64::from(N) {
            // Losses at the very end show with no later record.
            let Ok(batch) = timeout(Duration::from_secs(3), reader.next()).await else { break };
            let batch = batch.unwrap();
            n_read += batch.records.len() as u64;
            n_lost += batch.n_lost;
            n_batches += 1;
        }
        sender.await.unwrap();
        println!(
            "  {n_read} records in {n_batches} batches, {n_lost} lost, in {:.1?}",
            from.elapsed()
        );
        assert!(n_read > u64::from(N) / 2, "the reader is far too slow");
    });
}
