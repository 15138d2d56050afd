//! The matrix from further away: namespaces to namespaces, when groups would be too many to read.

use crate::reach::groups::{Grouped, Node, NodeId};
use crate::reach::matrix::Matrix;
use moat_sets::PortSet;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A namespace, or an outside end.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A namespace's running pods.
    Namespace(Arc<str>),
    /// Addresses, or a domain name.
    Outside(Arc<str>),
}

/// Some pods of each source may talk to some pods of the destination on some of the ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoarseLine {
    /// From where.
    pub sources: Vec<Place>,
    /// To where.
    pub destination: Place,
    /// All ports that some pair may use.
    pub ports: PortSet,
    /// How many pairs have an allowed port.
    pub n_pairs: u64,
}

/// What is known of one pair of places.
#[derive(Clone, Default)]
struct Sum {
    ports: PortSet,
    n_pairs: u64,
}

impl Grouped {
    /// Sums over pairs of places.
    #[must_use]
    pub fn cells(&self, matrix: &Matrix<'_>) -> BTreeMap<(Place, Place), (PortSet, u64)> {
        let places: Vec<Vec<(Place, u64)>> =
            self.nodes.iter().map(|node| places(matrix, node)).collect();
        let mut cells: BTreeMap<(Place, Place), Sum> = BTreeMap::new();
        for line in &self.lines {
            let sum = |nodes: &[NodeId]| {
                let mut sum: BTreeMap<&Place, u64> = BTreeMap::new();
                for (place, n) in
                    nodes.iter().filter_map(|&node| places.get(node as usize)).flatten()
                {
                    *sum.entry(place).or_default() += n;
                }
                sum
            };
            let (sources, destinations) = (sum(&line.sources), sum(&line.destinations));
            // Pods on both ends are no pair with themselves.
            let both: Vec<NodeId> = line
                .sources
                .iter()
                .copied()
                .filter(|node| line.destinations.binary_search(node).is_ok())
                .collect();
            let own = sum(&both);
            for (&source, &n_sources) in &sources {
                for (&destination, &n_destinations) in &destinations {
                    let same = if source == destination {
                        own.get(source).copied().unwrap_or(0)
                    } else {
                        0
                    };
                    let n_pairs = n_sources * n_destinations - same;
                    if n_pairs > 0 {
                        let cell = cells.entry((source.clone(), destination.clone())).or_default();
                        if !line.ports.is_subset(&cell.ports) {
                            cell.ports = cell.ports.union(&line.ports);
                        }
                        cell.n_pairs += n_pairs;
                    }
                }
            }
        }
        cells.into_iter().map(|(key, sum)| (key, (sum.ports, sum.n_pairs))).collect()
    }

    /// At most `most` lines if that can be: sources joined where their ports are the same, and else whatever their ports.
    #[must_use]
    pub fn coarse(&self, matrix: &Matrix<'_>, most: usize) -> Vec<CoarseLine> {
        let cells = self.cells(matrix);
        let mut lines: Vec<CoarseLine> = Vec::new();
        let mut at: FxHashMap<(Place, PortSet), usize> = FxHashMap::default();
        for ((source, destination), (ports, n_pairs)) in &cells {
            let slot = *at.entry((destination.clone(), ports.clone())).or_insert(lines.len());
            if slot == lines.len() {
                lines.push(CoarseLine {
                    sources: Vec::new(),
                    destination: destination.clone(),
                    ports: ports.clone(),
                    n_pairs: 0,
                });
            }
            if let Some(line) = lines.get_mut(slot) {
                line.sources.push(source.clone());
                line.n_pairs += n_pairs;
            }
        }
        if lines.len() > most {
            let mut by_destination: BTreeMap<Place, CoarseLine> = BTreeMap::new();
            for line in lines {
                match by_destination.get_mut(&line.destination) {
                    Some(sum) => {
                        sum.sources.extend(line.sources);
                        sum.ports = sum.ports.union(&line.ports);
                        sum.n_pairs += line.n_pairs;
                    }
                    None => {
                        by_destination.insert(line.destination.clone(), line);
                    }
                }
            }
            lines = by_destination.into_values().collect();
        }
        for line in &mut lines {
            line.sources.sort_unstable();
        }
        lines.sort_by(|a, b| (&a.destination, &a.sources).cmp(&(&b.destination, &b.sources)));
        lines
    }
}

fn places(matrix: &Matrix<'_>, node: &Node) -> Vec<(Place, u64)> {
    match node {
        Node::Outside(end) => vec![(Place::Outside(matrix.name(*end).into()), 1)],
        Node::Group(pods) => {
            let mut sum: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
            for &pod in pods {
                *sum.entry(&matrix.bound().pod(pod).namespace).or_default() += 1;
            }
            sum.into_iter().map(|(name, n)| (Place::Namespace(name.clone()), n)).collect()
        }
    }
}
