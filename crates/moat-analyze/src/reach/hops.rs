//! The blast radius: what is reached when every pod that is reached is used to reach more.

use crate::reach::matrix::{End, EndId, Matrix};
use moat_ir::{Direction, PodIdx};
use moat_sets::PortSet;
use std::collections::VecDeque;

/// An end that is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Which.
    pub end: EndId,
    /// By how many connections, one after the other; from 1.
    pub hops: u32,
    /// The pod of the last connection but this end: the first by name among the nearest.
    pub via: PodIdx,
    /// The ports of the last connection.
    pub ports: PortSet,
}

impl Matrix<'_> {
    /// What `focus` reaches (egress) or what reaches it (ingress) in at most `most` hops; nearest first, then by name.
    #[must_use]
    pub fn hops(&self, focus: &[PodIdx], most: u32, direction: Direction) -> Vec<Reached> {
        let mut scan = self.scan();
        let mut seen = vec![false; self.ends.len()];
        let mut starts: Vec<PodIdx> = focus.to_vec();
        starts.sort_unstable();
        let mut queue: VecDeque<(PodIdx, u32)> = VecDeque::new();
        for pod in starts {
            if let Some(end) = self.end_of(pod)
                && !std::mem::replace(&mut seen[end as usize], true)
            {
                queue.push_back((pod, 0));
            }
        }
        let mut out = Vec::new();
        while let Some((pod, distance)) = queue.pop_front() {
            if distance == most {
                break;
            }
            let (cells, mut values) = scan.peers(direction, pod);
            for &(end, value) in cells {
                let value = values.get(value);
                if value.texts.is_empty() || std::mem::replace(&mut seen[end as usize], true) {
                    continue;
                }
                out.push(Reached { end, hops: distance + 1, via: pod, ports: value.allow.clone() });
                // Nothing is known of what an outside host reaches next.
                if let Some(End::Pod(next)) = self.ends.get(end as usize) {
                    queue.push_back((*next, distance + 1));
                }
            }
        }
        out.sort_by_key(|reached| (reached.hops, reached.end));
        out
    }
}
