//! The whole of one decision for readers: what every filter says of every node, and what every score is made of.

use crate::cycle::Cycle;
use crate::pod::Pod;
use crate::profile::Profile;
use crate::snapshot::Snapshot;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What would be decided about a pod, node by node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `namespace/name`.
    pub pod: String,
    /// The profile's scheduler name.
    pub scheduler: String,
    /// The node it is bound to already; the report is about what would be decided without it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// The scheduling gates that keep it back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Why no node at all is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Every node: those that do first, best first, then the others, by name.
    pub nodes: Vec<NodeReport>,
}

/// What would be decided about one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// Its name.
    pub node: String,
    /// In short.
    pub verdict: Verdict,
    /// Every filter, also those after the first that refuses.
    pub filters: Vec<FilterReport>,
    /// Every plug-in that has something to say, if the node does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoreReport>,
    /// The sum of the weighted scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The only best one.
    Chosen,
    /// One of several best ones, of which one is chosen at random.
    Tied,
    /// It would do, but another is better.
    Fits,
    /// It would not do.
    Refused,
}

/// What a filter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterReport {
    /// The plug-in.
    pub plugin: &'static str,
    /// Whether the node does.
    pub passes: bool,
    /// Why not, in upstream's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// What a plug-in thinks of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScoreReport {
    /// The plug-in.
    pub plugin: &'static str,
    /// As the plug-in counts.
    pub raw: i64,
    /// From 0 to 100.
    pub normalized: i64,
    /// What it is multiplied with.
    pub weight: i64,
    /// The product.
    pub weighted: i64,
}

/// Decides about a pod and keeps everything. All nodes are looked at, also where a sample would be enough to decide.
pub fn explain(snapshot: &Snapshot, pod: &Pod, profile: &Profile) -> Report {
    let without;
    let snapshot = if snapshot.pod(&pod.key).is_some() {
        let mut copy = snapshot.clone();
        copy.remove_pod(&pod.key);
        without = copy;
        &without
    } else {
        snapshot
    };
    let free = pod.on("");
    let mut report = Report {
        pod: pod.key.to_string(),
        scheduler: profile.scheduler_name.clone(),
        bound: Some(pod.node_name.to_string()).filter(|node| !node.is_empty()),
        gates: pod.gates.iter().filter(|_| profile.gates).map(ToString::to_string).collect(),
        refused: None,
        nodes: vec![],
    };
    let cycle = match Cycle::new(snapshot, profile, &free) {
        Ok(cycle) => cycle,
        Err(refusal) => {
            report.refused = Some(refusal.reasons.join(", "));
            return report;
        }
    };
    let mut feasible = Vec::new();
    for &at in snapshot.order() {
        let node = &snapshot.nodes[at as usize];
        // Several can have something against it; that pods wait for the node counts for each.
        let filters: Vec<FilterReport> = (profile.filters.iter())
            .map(|&plugin| {
                let refusal = cycle.filter_one(plugin, at);
                let reasons = refusal.into_iter().flat_map(|refusal| refusal.reasons);
                let reasons: Vec<String> = reasons.map(Into::into).collect();
                FilterReport { plugin: plugin.name(), passes: reasons.is_empty(), reasons }
            })
            .collect();
        let fits = filters.iter().all(|filter| filter.passes);
        if fits {
            feasible.push((at, report.nodes.len()));
        }
        report.nodes.push(NodeReport {
            node: node.name.to_string(),
            verdict: if fits { Verdict::Fits } else { Verdict::Refused },
            filters,
            scores: vec![],
            total: None,
        });
    }
    score(&cycle, &feasible, &mut report.nodes);
    report.nodes.sort_by(|a, b| (a.verdict, b.total, &a.node).cmp(&(b.verdict, a.total, &b.node)));
    report
}

fn score(cycle: &Cycle<'_>, feasible: &[(u32, usize)], nodes: &mut [NodeReport]) {
    let numbers: Vec<u32> = feasible.iter().map(|(at, _)| *at).collect();
    for (plugin, weight) in &cycle.profile.scores {
        let Some(scores) = cycle.scores(*plugin, &numbers) else { continue };
        for ((raw, normalized), (_, at)) in scores.raw.iter().zip(&scores.normalized).zip(feasible)
        {
            let weighted = normalized.saturating_mul(*weight);
            let (raw, normalized, weight) = (*raw, *normalized, *weight);
            let plugin = plugin.name();
            nodes[*at].scores.push(ScoreReport { plugin, raw, normalized, weight, weighted });
        }
    }
    for (_, at) in feasible {
        nodes[*at].total = Some(nodes[*at].scores.iter().map(|score| score.weighted).sum());
    }
    let most = feasible.iter().filter_map(|(_, at)| nodes[*at].total).max();
    let best: Vec<usize> =
        feasible.iter().map(|(_, at)| *at).filter(|at| nodes[*at].total == most).collect();
    for at in &best {
        nodes[*at].verdict = if best.len() == 1 { Verdict::Chosen } else { Verdict::Tied };
    }
}

/// Names that are written out before the rest is only counted.
const NAMES_MAX: usize = 3;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = self.nodes.iter().filter(|node| node.total.is_some()).count();
        let scheduler = &self.scheduler;
        writeln!(f, "pod {} by {scheduler}: {fits} of {} nodes fit", self.pod, self.nodes.len())?;
        if let Some(node) = &self.bound {
            writeln!(f, "bound to {node}; this is what would be decided now, without it there")?;
        }
        if !self.gates.is_empty() {
            writeln!(f, "kept back by scheduling gates: {}", self.gates.join(", "))?;
        }
        if let Some(refused) = &self.refused {
            return writeln!(f, "no node is looked at: {refused}");
        }
        self.write_fitting(f)?;
        self.write_refused(f)
    }
}

impl Report {
    /// Nodes with the same scores share a line.
    fn write_fitting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(&NodeReport, Vec<&str>)> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.total.is_some()) {
            match lines.iter_mut().find(|(one, _)| one.scores == node.scores) {
                Some((_, names)) => names.push(&node.node),
                None => lines.push((node, vec![&node.node])),
            }
        }
        let Some((first, _)) = lines.first() else { return Ok(()) };
        writeln!(f, "\nfit, best first (score x weight):")?;
        let mut rows = vec![vec!["NODES".to_owned(), "TOTAL".to_owned(), String::new()]];
        rows[0].extend(first.scores.iter().map(|score| score.plugin.to_owned()));
        for (node, names) in &lines {
            let verdict = match node.verdict {
                Verdict::Chosen => "chosen",
                Verdict::Tied => "tied",
                Verdict::Fits | Verdict::Refused => "",
            };
            let total = node.total.unwrap_or(0).to_string();
            let mut row = vec![list_of(names), total, verdict.to_owned()];
            row.extend(
                node.scores.iter().map(|score| format!("{} x {}", score.normalized, score.weight)),
            );
            rows.push(row);
        }
        write_table(f, &rows)
    }

    /// Nodes that are refused for the same reasons share a line.
    fn write_refused(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<Vec<(&str, &str)>, Vec<&str>> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| node.verdict == Verdict::Refused) {
            let reasons = node.filters.iter().flat_map(|filter| {
                filter.reasons.iter().map(|reason| (filter.plugin, reason.as_str()))
            });
            groups.entry(reasons.collect()).or_default().push(&node.node);
        }
        if groups.is_empty() {
            return Ok(());
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
        writeln!(f, "\nrefused:")?;
        let mut rows = vec![vec!["NODES".to_owned(), "PLUGIN".to_owned(), "REASON".to_owned()]];
        for (reasons, names) in &groups {
            for (at, (plugin, reason)) in reasons.iter().enumerate() {
                let nodes = if at == 0 { list_of(names) } else { String::new() };
                rows.push(vec![nodes, (*plugin).to_owned(), (*reason).to_owned()]);
            }
        }
        write_table(f, &rows)
    }
}

fn list_of(names: &[&str]) -> String {
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(String::len).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let line: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(f, "  {}", line.join("  ").trim_end())?;
    }
    Ok(())
}
