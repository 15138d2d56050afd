//! Two pods and a node between them.

use moat_kernel::link::{Links, PodWire, forwarding};
use moat_kernel::netns::Netns;
use moat_nft::model::{Base, BaseKind, Hook, Op, Rule};
use std::net::IpAddr;

/// The node and its pods.
pub struct Net {
    pub node: Netns,
    pub pods: [Netns; 2],
}

/// The address of a pod.
pub fn address(pod: u8, v6: bool) -> IpAddr {
    if v6 {
        [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(pod) + 1].into()
    } else {
        [10, 0, 0, pod + 1].into()
    }
}

impl Net {
    pub async fn new() -> Self {
        let node = Netns::new().unwrap();
        forwarding(&node).unwrap();
        let pods = [Netns::new().unwrap(), Netns::new().unwrap()];
        let wires: Vec<PodWire<'_>> = (0..)
            .zip(&pods)
            .map(|(n, netns)| PodWire {
                netns,
                link: format!("pod{n}"),
                addresses: vec![address(n, false), address(n, true)],
            })
            .collect();
        Links::open(&node).unwrap().wire(&wires).await.unwrap();
        Self { node, pods }
    }
}

/// A table whose chain of forwarded packets has these rules, and then accepts.
pub fn forward(rules: Vec<Rule>) -> Vec<Op> {
    let base = Base { kind: BaseKind::Filter, hook: Hook::Forward, priority: 0, accept: true };
    let mut ops = vec![Op::AddTable, Op::AddChain("forward".into(), Some(base))];
    ops.extend(rules.into_iter().map(|rule| Op::AddRule("forward".into(), rule)));
    ops
}
