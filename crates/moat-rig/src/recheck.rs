//! Live connections after a change of policies: those no longer allowed are cut, those allowed again go on.
//!
//! A connection is cut by a bit of its mark, which a rule before all others drops: deleting its entry instead would let the next packet
//! of either side make a new one. Both directions stop, and its address translation stays, so that it can go on where it was.

use crate::live::Live;
use moat_ir::{Bound, End, Flow, Verdict};
use moat_kernel::conntrack::{Conntrack, Detail, Entry};
use moat_kernel::error::Error;
use moat_sets::{Family, Protocol, ServicePoint};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What a look at all connections came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rechecked {
    /// Connections looked at; one between two nodes counts at both.
    pub n_seen: usize,
    /// Connections cut.
    pub cut: Vec<Flow>,
    /// Connections that go on.
    pub resumed: Vec<Flow>,
    /// How long it took.
    pub took: Duration,
}

impl Live {
    /// Decides every live connection again by the policies in force.
    pub async fn recheck(&self) -> Result<Rechecked, Error> {
        let start = Instant::now();
        let mut all = Rechecked::default();
        let kill = self.settings().kill;
        for node in &self.net.nodes {
            let conntrack = Conntrack::open(&node.netns)?;
            for entry in conntrack.dump().await? {
                let Some(flow) = flow(&self.placed.bound, &entry) else { continue };
                // Only the node of a pod decides about it; others see its packets pass by.
                if ![&flow.from, &flow.to].iter().any(|end| self.is_on(end, &node.name)) {
                    continue;
                }
                all.n_seen += 1;
                let is_cut = entry.mark & kill == kill;
                let bits = match self.placed.bound.decide(&flow).verdict {
                    Verdict::Denied if !is_cut => kill,
                    Verdict::Allowed if is_cut => 0,
                    _ => continue,
                };
                // One that has ended meanwhile needs nothing.
                if conntrack.set_mark(&entry.original, entry.zone, bits, kill).await? {
                    let list = if bits == kill { &mut all.cut } else { &mut all.resumed };
                    list.push(flow);
                }
            }
        }
        for list in [&mut all.cut, &mut all.resumed] {
            list.sort_by_key(|flow| format!("{flow:?}"));
            list.dedup();
        }
        all.took = start.elapsed();
        Ok(all)
    }
}

impl Live {
    fn is_on(&self, end: &End, node: &str) -> bool {
        matches!(end, End::Pod(idx) if {
            let pod = self.placed.bound.pod(*idx);
            !pod.host_network && pod.node.as_deref() == Some(node)
        })
    }
}

/// A connection as policies see it: who opened it, and where it really goes.
fn flow(bound: &Bound, entry: &Entry) -> Option<Flow> {
    // The reply comes from where the first packet went after translation.
    let (source, destination) = (entry.original.source, entry.reply.source);
    let protocol = Protocol::of_number(entry.original.protocol);
    let port = match entry.reply.detail {
        Detail::Ports { source, .. } => source,
        _ => 0,
    };
    let end = |address: IpAddr| match bound.pod_by_address.get(&address) {
        Some(&idx) => End::Pod(idx),
        None => End::Address(address),
    };
    let (from, to) = (end(source), end(destination));
    let pods = [&from, &to].iter().any(|end| matches!(end, End::Pod(_)));
    let point = ServicePoint::new(protocol, port);
    pods.then(|| Flow { from, to, point, family: Family::of(destination) })
}
