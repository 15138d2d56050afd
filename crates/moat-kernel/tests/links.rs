//! Namespaces, links and routes, with packets through them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case fails by panicking")]

mod harness;

use harness::{block_on, main as run};
use moat_kernel::link::{Change, Links, PodWire, forwarding, sysctls};
use moat_kernel::netns::Netns;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    run(&[
        ("pods_reach_each_other_through_the_node", pods_reach_each_other_through_the_node),
        ("a_refusal_names_what_was_asked", a_refusal_names_what_was_asked),
        ("sysctls_are_of_one_namespace", sysctls_are_of_one_namespace),
        ("many_pods", many_pods),
    ])
}

fn addresses(n: u32) -> Vec<IpAddr> {
    let v4 = std::net::Ipv4Addr::from_bits((10 << 24) + (n << 1));
    let v6 = std::net::Ipv6Addr::from_bits((0xfd << 120) + u128::from(n));
    vec![v4.into(), v6.into()]
}

fn pods_reach_each_other_through_the_node() {
    block_on(async {
        let node = Netns::new().unwrap();
        forwarding(&node).unwrap();
        let links = Links::open(&node).unwrap();
        let pods = [Netns::new().unwrap(), Netns::new().unwrap()];
        let wires: Vec<PodWire<'_>> = (1..)
            .zip(&pods)
            .map(|(n, netns)| PodWire { netns, link: format!("pod{n}"), addresses: addresses(n) })
            .collect();
        let near = links.wire(&wires).await.unwrap();
        assert_eq!(near[1], links.index("pod2").await.unwrap());

        for address in addresses(2) {
            let listener = pods[1].run(|| TcpListener::bind((address, 80)).unwrap()).unwrap();
            let from = Instant::now();
            let mut client = pods[0]
                .run(|| {
                    TcpStream::connect_timeout(
                        &SocketAddr::new(address, 80),
                        Duration::from_secs(5),
                    )
                })
                .unwrap()
                .unwrap();
            println!("  first connection to {address} after {:.1?}", from.elapsed());
            let (mut server, peer) = listener.accept().unwrap();
            assert_eq!(peer.ip(), addresses(1)[usize::from(address.is_ipv6())]);
            client.write_all(b"hello").unwrap();
            let mut got = [0; 5];
            server.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"hello");
        }
    });
}

fn a_refusal_names_what_was_asked() {
    block_on(async {
        let node = Netns::new().unwrap();
        let links = Links::open(&node).unwrap();
        let missing = links.index("eth7").await.unwrap_err();
        assert_eq!(
            missing.to_string(),
            "cannot look for link eth7: I/O error: there is none of that name"
        );
        let address = Change::Address { link: 1, address: [127, 0, 0, 2].into(), prefix: 8 };
        let refused = links.add(&[address, address]).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("cannot add address 127.0.0.2/8 to the link of index 1: "),
            "{refused}"
        );
        assert_eq!(refused.errno(), Some(17));
    });
}

fn sysctls_are_of_one_namespace() {
    let [one, other] = [Netns::new().unwrap(), Netns::new().unwrap()];
    let read = |netns: &Netns| {
        netns.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap()).unwrap()
    };
    sysctls(&one, &[("net.ipv4.ip_default_ttl", "77")]).unwrap();
    assert_eq!(read(&one), "77\n");
    assert_ne!(read(&other), "77\n");
    assert!(
        sysctls(&one, &[("net.no.such", "1")])
            .unwrap_err()
            .to_string()
            .contains("/proc/sys/net/no/such")
    );
}

fn many_pods() {
    const N: u32 = 250;
    block_on(async {
        let node = Netns::new().unwrap();
        forwarding(&node).unwrap();
        let links = Links::open(&node).unwrap();
        let from = Instant::now();
        let pods: Vec<Netns> = (0..N).map(|_| Netns::new().unwrap()).collect();
        println!("  {N} namespaces in {:.1?}", from.elapsed());
        let from = Instant::now();
        let wires: Vec<PodWire<'_>> = (1..)
            .zip(&pods)
            .map(|(n, netns)| PodWire { netns, link: format!("pod{n}"), addresses: addresses(n) })
            .collect();
        assert_eq!(links.wire(&wires).await.unwrap().len(), pods.len());
        println!("  {N} pods wired, both families, in {:.1?}", from.elapsed());

        // Pods of other nodes: addresses and routes without namespaces of their own.
        let link = links.index("lo").await.unwrap();
        let changes: Vec<Change> = (1000..2000)
            .flat_map(addresses)
            .map(|to| Change::Route {
                to,
                prefix: if to.is_ipv4() { 32 } else { 128 },
                via: None,
                link,
            })
            .collect();
        links.up_loopback().await.unwrap();
        let from = Instant::now();
        links.add(&changes).await.unwrap();
        println!("  {} routes in {:.1?}", changes.len(), from.elapsed());
        let from = Instant::now();
        drop(pods);
        println!("  namespaces given up in {:.1?}", from.elapsed());
    });
}
