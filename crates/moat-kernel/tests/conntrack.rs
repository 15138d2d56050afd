//! Connections and their marks, with a real connection through a node.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case fails by panicking")]

mod harness;

use harness::net::{Net, address, forward};
use harness::{block_on, main as run};
use moat_kernel::conntrack::{Conntrack, Detail, Entry};
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::{Field, Rule, Statement, States, Value, Verdict};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const KILL: u32 = 0x8000_0000;

fn main() -> ExitCode {
    run(&[
        ("a_killed_connection_is_cut_in_both_directions_and_resumes", cut_and_resume),
        ("other_bits_of_the_mark_stay", other_bits_of_the_mark_stay),
        ("connections_of_all_forms", connections_of_all_forms),
    ])
}

fn established() -> Statement {
    let states = States { established: true, related: true, ..States::default() };
    Statement::Match { field: Field::CtState, negate: false, value: Value::States(states) }
}

fn kill_rules() -> Vec<Rule> {
    vec![
        Rule::new(vec![
            Statement::CtMarkMasked { mask: KILL, value: KILL, negate: false },
            Statement::Verdict(Verdict::Drop),
        ]),
        Rule::new(vec![established(), Statement::Verdict(Verdict::Accept)]),
    ]
}

async fn find(conntrack: &Conntrack, port: u16) -> Entry {
    let entries = conntrack.dump().await.unwrap();
    let is = |entry: &&Entry| matches!(entry.original.detail, Detail::Ports { destination, .. } if destination == port);
    let found: Vec<_> = entries.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{entries:?}");
    *found[0]
}

fn cut_and_resume() {
    block_on(async {
        let net = Net::new().await;
        let nft = Nft::open(&net.node, "t", Ownership::Plain).unwrap();
        nft.apply(&forward(kill_rules()), None).await.unwrap();
        let conntrack = Conntrack::open(&net.node).unwrap();
        for (v6, server_first) in [(false, false), (false, true), (true, false), (true, true)] {
            let port = 80 + u16::from(v6) * 2 + u16::from(server_first);
            let to = SocketAddr::new(address(1, v6), port);
            let listener = net.pods[1].run(|| TcpListener::bind(to).unwrap()).unwrap();
            let mut client = net.pods[0].run(|| TcpStream::connect(to).unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(b"a").unwrap();
            server.read_exact(&mut [0]).unwrap();

            let entry = find(&conntrack, port).await;
            assert_eq!(entry.original.source, address(0, v6));
            assert_eq!(entry.reply.source, address(1, v6));
            assert_eq!((entry.tcp_state, entry.zone, entry.mark), (Some(3), 0, 0));
            assert!(conntrack.set_mark(&entry.original, 0, KILL, KILL).await.unwrap());
            assert_eq!(find(&conntrack, port).await.mark, KILL);

            // What is written arrives neither way, whoever writes first.
            let silent = |stream: &mut TcpStream| {
                stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            };
            let (first, second) =
                if server_first { (&mut server, &mut client) } else { (&mut client, &mut server) };
            first.write_all(b"b").unwrap();
            silent(second);
            second.write_all(b"c").unwrap();
            silent(first);

            // Cleared, the connection goes on where it was: TCP sends again what was lost.
            assert!(conntrack.set_mark(&entry.original, 0, 0, KILL).await.unwrap());
            let mut got = [0];
            first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            first.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"c");
            second.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            second.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"b");
        }
    });
}

fn other_bits_of_the_mark_stay() {
    block_on(async {
        let net = Net::new().await;
        let nft = Nft::open(&net.node, "t", Ownership::Plain).unwrap();
        nft.apply(&forward(kill_rules()), None).await.unwrap();
        let conntrack = Conntrack::open(&net.node).unwrap();
        let to = SocketAddr::new(address(1, false), 90);
        let _listener = net.pods[1].run(|| TcpListener::bind(to).unwrap()).unwrap();
        let _client = net.pods[0].run(|| TcpStream::connect(to).unwrap()).unwrap();
        let entry = find(&conntrack, 90).await;
        assert!(conntrack.set_mark(&entry.original, 0, 0x00ff_00f0, u32::MAX).await.unwrap());
        assert!(conntrack.set_mark(&entry.original, 0, KILL, KILL).await.unwrap());
        assert_eq!(find(&conntrack, 90).await.mark, KILL | 0x00ff_00f0);
        assert!(conntrack.set_mark(&entry.original, 0, 0, KILL | 0xf0).await.unwrap());
        assert_eq!(find(&conntrack, 90).await.mark, 0x00ff_0000);

        let from = Instant::now();
        for _ in 0..1000 {
            conntrack.set_mark(&entry.original, 0, KILL, KILL).await.unwrap();
        }
        println!("  a mark set in {:.1?}", from.elapsed() / 1000);

        let mut missing = entry.original;
        missing.detail = Detail::Ports { source: 1, destination: 2 };
        assert!(!conntrack.set_mark(&missing, 0, KILL, KILL).await.unwrap());
        assert!(!conntrack.set_mark(&entry.original, 7, KILL, KILL).await.unwrap());
    });
}

fn connections_of_all_forms() {
    const N: u16 = 5000;
    block_on(async {
        let net = Net::new().await;
        let nft = Nft::open(&net.node, "t", Ownership::Plain).unwrap();
        nft.apply(&forward(kill_rules()), None).await.unwrap();
        let conntrack = Conntrack::open(&net.node).unwrap();
        assert_eq!(conntrack.dump().await.unwrap(), []);
        for v6 in [false, true] {
            let any = SocketAddr::new(address(0, v6), 5000);
            let socket = net.pods[0].run(|| UdpSocket::bind(any).unwrap()).unwrap();
            for port in 1..=N {
                // The answer that nobody listens there comes back with a later send, which then has not sent.
                while socket.send_to(b"x", (address(1, v6), port)).is_err() {}
            }
        }
        let from = Instant::now();
        let entries = conntrack.dump().await.unwrap();
        println!("  {} connections read in {:.1?}", entries.len(), from.elapsed());
        assert_eq!(entries.len(), usize::from(N) * 2);
        for entry in &entries {
            let v6 = entry.original.source.is_ipv6();
            assert_eq!(
                (entry.original.source, entry.original.destination),
                (address(0, v6), address(1, v6))
            );
            assert_eq!((entry.original.protocol, entry.tcp_state), (17, None));
            assert!(matches!(
                entry.original.detail,
                Detail::Ports { source: 5000, destination: 1..=N }
            ));
        }
        let (n, most) = conntrack.count().await.unwrap();
        assert_eq!(usize::try_from(n).unwrap(), entries.len());
        assert!(most > 0);
    });
}
