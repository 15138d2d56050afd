//! The grouped matrix as a graph: Graphviz, Mermaid and SVG.

use super::view::{outside_name, place};
use core::fmt::Write as _;
use moat_analyze::reach::{Grouped, Matrix, Namer, Node, Place};
use moat_sets::PortSet;
use std::collections::BTreeMap;

/// Nodes above which a picture shows namespaces instead of groups.
pub const MOST_NODES: usize = 60;
/// Edges above which a picture shows namespaces instead of groups.
const MOST_EDGES: usize = 400;

/// A graph of groups, or of namespaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Graph {
    /// Names, and whether they are outside.
    pub nodes: Vec<(String, bool)>,
    /// From, to, ports; sorted.
    pub edges: Vec<(usize, usize, PortSet)>,
    /// Whether nodes are namespaces because groups would be too many.
    pub coarse: bool,
}

/// The graph of the groups, or of namespaces when groups are too many for a picture.
#[must_use]
pub fn graph(matrix: &Matrix<'_>, grouped: &Grouped, namer: &Namer<'_>) -> Graph {
    let n_edges: usize =
        grouped.lines.iter().map(|line| line.sources.len() * line.destinations.len()).sum();
    if grouped.nodes.len() <= MOST_NODES && n_edges <= MOST_EDGES {
        let name = |node: &Node| match node {
            Node::Group(pods) => (
                namer.name(pods).iter().map(|part| part.text(3)).collect::<Vec<_>>().join(", "),
                false,
            ),
            Node::Outside(end) => (outside_name(matrix.name(*end), 3), true),
        };
        let single =
            |id: usize| matches!(grouped.nodes.get(id), Some(Node::Group(pods)) if pods.len() == 1);
        let mut edges = Vec::with_capacity(n_edges);
        for line in &grouped.lines {
            for &from in &line.sources {
                for &to in &line.destinations {
                    if from != to || !single(from as usize) {
                        edges.push((from as usize, to as usize, line.ports.clone()));
                    }
                }
            }
        }
        edges.sort();
        return Graph { nodes: grouped.nodes.iter().map(name).collect(), edges, coarse: false };
    }
    let mut ids: BTreeMap<Place, usize> = BTreeMap::new();
    let cells = grouped.cells(matrix);
    for (from, to) in cells.keys() {
        for place in [from, to] {
            ids.entry(place.clone()).or_insert(0);
        }
    }
    // Many outside ends would drown the namespaces.
    let n_outside = ids.keys().filter(|place| matches!(place, Place::Outside(_))).count();
    let merged = n_outside > MOST_NODES / 4;
    let mut nodes: Vec<(String, bool)> = Vec::new();
    let mut outside = None;
    for (key, id) in &mut ids {
        let is_outside = matches!(key, Place::Outside(_));
        if merged && is_outside {
            *id = *outside.get_or_insert_with(|| {
                nodes.push((format!("outside ({n_outside} ranges)"), true));
                nodes.len() - 1
            });
        } else {
            *id = nodes.len();
            nodes.push((place(key), is_outside));
        }
    }
    let mut edges: BTreeMap<(usize, usize), PortSet> = BTreeMap::new();
    for ((from, to), (ports, _)) in &cells {
        if let (Some(&from), Some(&to)) = (ids.get(from), ids.get(to)) {
            let sum = edges.entry((from, to)).or_default();
            *sum = sum.union(ports);
        }
    }
    Graph {
        nodes,
        edges: edges.into_iter().map(|((from, to), ports)| (from, to, ports)).collect(),
        coarse: true,
    }
}

/// Graphviz.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let quote = |text: &str| {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
    };
    let mut out = String::from(
        "digraph reach {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#eef3ff\", color=\"#4766b8\", fontname=\"sans-serif\"];\n  edge [color=\"#667085\", fontname=\"sans-serif\", fontsize=10];\n",
    );
    for (id, (name, outside)) in graph.nodes.iter().enumerate() {
        let look =
            if *outside { ", shape=ellipse, fillcolor=\"#fff1e6\", color=\"#c2570c\"" } else { "" };
        let _ = writeln!(out, "  n{id} [label={}{look}];", quote(name));
    }
    for (from, to, ports) in &graph.edges {
        let _ = writeln!(out, "  n{from} -> n{to} [label={}];", quote(&ports.to_string()));
    }
    out.push_str("}\n");
    out
}

/// Mermaid.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    // Inside quotes Mermaid knows entities, written with a hash.
    let quote = |text: &str| {
        format!(
            "\"{}\"",
            text.replace('#', "#35;")
                .replace('"', "#quot;")
                .replace('<', "#lt;")
                .replace('>', "#gt;")
        )
    };
    let mut out = String::from("flowchart LR\n");
    for (id, (name, outside)) in graph.nodes.iter().enumerate() {
        let _ = if *outside {
            writeln!(out, "  n{id}([{}])", quote(name))
        } else {
            writeln!(out, "  n{id}[{}]", quote(name))
        };
    }
    for (from, to, ports) in &graph.edges {
        let _ = writeln!(out, "  n{from} -->|{}| n{to}", quote(&ports.to_string()));
    }
    let outside: Vec<String> = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, (_, outside))| *outside)
        .map(|(id, _)| format!("n{id}"))
        .collect();
    if !outside.is_empty() {
        let _ = writeln!(
            out,
            "  classDef outside fill:#fff1e6,stroke:#c2570c\n  class {} outside",
            outside.join(",")
        );
    }
    out
}

/// Text for XML and HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Characters of a name that a picture shows.
const LABEL_MAX: usize = 56;

/// The names of the nodes, long ones without their middle; those that would then look alike are left as they are.
fn labels(graph: &Graph) -> Vec<String> {
    let short = |name: &str| -> String {
        let chars: Vec<char> = name.chars().collect();
        if chars.len() <= LABEL_MAX {
            return name.to_owned();
        }
        // What tells names apart is mostly at their end.
        let head = LABEL_MAX * 2 / 5;
        let tail = chars.len() - (LABEL_MAX - head - 1);
        chars.iter().take(head).chain(&['…']).chain(chars.iter().skip(tail)).collect()
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _) in &graph.nodes {
        *seen.entry(short(name)).or_default() += 1;
    }
    let label = |(name, _): &(String, bool)| {
        let short = short(name);
        if seen.get(&short).is_some_and(|&n| n > 1) { name.clone() } else { short }
    };
    graph.nodes.iter().map(label).collect()
}

/// A picture: nodes on a circle, in order, with their names outside it.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "coordinates of a picture")]
pub fn svg(graph: &Graph) -> String {
    let labels = labels(graph);
    // Letters of 13 pixels are 7 wide on average.
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let label_width = (longest as f64 * 7.2 + 24.0).max(160.0);
    let n = graph.nodes.len().max(1) as f64;
    let radius = (n * 22.0 / std::f64::consts::TAU).max(260.0);
    let (width, height) = (2.0 * (radius + label_width), 2.0 * radius + 120.0);
    let (cx, cy) = (width / 2.0, height / 2.0);
    let angle = |at: usize| (at as f64 / n - 0.25) * std::f64::consts::TAU;
    let point =
        |at: usize, radius: f64| (cx + radius * angle(at).cos(), cy + radius * angle(at).sin());
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>Who can reach whom</title>\n\
         <style>:root{{color-scheme:light dark}}.bg{{fill:#fff}}text{{fill:#1d2939}}path{{fill:none;stroke-width:1.3;opacity:.6}}path:hover{{opacity:1;stroke-width:3}}.in{{fill:#4766b8}}.out{{fill:#c2570c}}\
         @media (prefers-color-scheme:dark){{.bg{{fill:#0f1420}}text{{fill:#e6eaf2}}.in{{fill:#8fb0ff}}.out{{fill:#ffb27a}}}}</style>\n\
         <defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"5.5\" markerHeight=\"5.5\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill:context-stroke;stroke:none;opacity:1\"/></marker></defs>\n\
         <rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n"
    );
    for (from, to, ports) in &graph.edges {
        let hue = (*from as f64 / n * 360.0).round();
        let ((x1, y1), (x2, y2)) = (point(*from, radius - 7.0), point(*to, radius - 7.0));
        let path = if from == to {
            // No wider than the room between two nodes.
            let bow = (2.4 / n).min(0.2);
            let (a, b) = (angle(*from) - bow, angle(*from) + bow);
            let loop_radius = radius - 60.0;
            let end = |angle: f64| (cx + loop_radius * angle.cos(), cy + loop_radius * angle.sin());
            let ((ax, ay), (bx, by)) = (end(a), end(b));
            format!("M{x1:.1} {y1:.1}C{ax:.1} {ay:.1} {bx:.1} {by:.1} {x2:.1} {y2:.1}")
        } else {
            // Towards the centre, but not through it, so that there and back are apart.
            let (mx, my) = (f64::midpoint(x1, x2), f64::midpoint(y1, y2));
            let (qx, qy) =
                (mx + (cx - mx) * 0.6 - (y2 - y1) * 0.08, my + (cy - my) * 0.6 + (x2 - x1) * 0.08);
            format!("M{x1:.1} {y1:.1}Q{qx:.1} {qy:.1} {x2:.1} {y2:.1}")
        };
        let name = |id: usize| graph.nodes.get(id).map_or("", |(name, _)| name.as_str());
        let title = escape(&format!("{} -> {}: {ports}", name(*from), name(*to)));
        let _ = writeln!(
            out,
            "<path d=\"{path}\" style=\"stroke:hsl({hue} 60% 55%)\" marker-end=\"url(#to)\"><title>{title}</title></path>"
        );
    }
    for (id, (name, outside)) in graph.nodes.iter().enumerate() {
        let (x, y) = point(id, radius);
        let (tx, ty) = point(id, radius + 12.0);
        let anchor = if (tx - cx).abs() < 1.0 {
            "middle"
        } else if tx < cx {
            "end"
        } else {
            "start"
        };
        let short = labels.get(id).map_or(name.as_str(), String::as_str);
        let class = if *outside { "out" } else { "in" };
        // Names at the top and the bottom stand above and below their point.
        let dy = 4.0 + angle(id).sin() * 8.0;
        let _ = writeln!(
            out,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/><text x=\"{tx:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}<title>{}</title></text>",
            ty + dy,
            escape(short),
            escape(name)
        );
    }
    out.push_str("</svg>\n");
    out
}
