//! The grouped matrix as one self-contained page: a heat map, a graph and a list, by mouse or keyboard, without any request.

use moat_analyze::reach::{Grouped, Matrix, Namer, Node, join};
use moat_ir::PodIdx;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Script, style and structure; the data takes the place of one mark.
const PAGE: &str = include_str!("reach.html");
const MARK: &str = "__MOAT_DATA__";
/// Pod names that a group carries; beyond that only their number.
const MOST_PODS: usize = 200;

/// The page.
#[must_use]
pub fn render(
    matrix: &Matrix<'_>,
    grouped: &Grouped,
    namer: &Namer<'_>,
    title: &str,
    notes: &[String],
) -> String {
    let mut pieces: Vec<Value> = Vec::new();
    let mut pieces_of: Vec<Vec<usize>> = Vec::with_capacity(grouped.nodes.len());
    for node in &grouped.nodes {
        let mut own = Vec::new();
        match node {
            Node::Outside(end) => {
                let name = matrix.name(*end);
                own.push(pieces.len());
                pieces.push(json!({"ns": Value::Null, "name": super::view::outside_name(name, 4), "n": 1, "pods": [name]}));
            }
            // The page folds namespaces, so a group that spans several is shown in each.
            Node::Group(pods) => {
                let mut by_namespace: BTreeMap<&Arc<str>, Vec<PodIdx>> = BTreeMap::new();
                for &pod in pods {
                    by_namespace.entry(&matrix.bound().pod(pod).namespace).or_default().push(pod);
                }
                for (namespace, pods) in by_namespace {
                    own.push(pieces.len());
                    let name: Vec<String> =
                        namer.name(&pods).iter().map(|part| part.text(3)).collect();
                    let name = name.join(", ");
                    let name = name.strip_prefix(&format!("{namespace}/")).unwrap_or(&name);
                    let names: Vec<&str> = pods
                        .iter()
                        .take(MOST_PODS)
                        .map(|&pod| matrix.bound().pod(pod).display.as_ref())
                        .collect();
                    pieces.push(json!({"ns": namespace.as_ref(), "name": name, "n": pods.len(), "pods": names}));
                }
            }
        }
        pieces_of.push(own);
    }
    let expand = |nodes: &[u32]| -> Vec<usize> {
        nodes.iter().filter_map(|&node| pieces_of.get(node as usize)).flatten().copied().collect()
    };
    let names = |nodes: &[u32]| {
        let (parts, outside) = grouped.parts(matrix, namer, nodes);
        let all: Vec<String> = parts
            .iter()
            .map(|part| part.text(4))
            .chain(outside.iter().map(|name| super::view::outside_name(name, 4)))
            .collect();
        join(&all, 8)
    };
    let lines: Vec<Value> = grouped
        .lines
        .iter()
        .map(|line| {
            json!({
                "f": names(&line.sources),
                "t": names(&line.destinations),
                "s": expand(&line.sources),
                "d": expand(&line.destinations),
                "p": line.ports.to_string(),
                "all": line.ports.is_all(),
                "r": ranges(&line.ports),
                "n": line.n_pairs,
            })
        })
        .collect();
    let summary = &grouped.summary;
    let data = json!({
        "title": title,
        "summary": {
            "pods": summary.pods,
            "namespaces": summary.namespaces,
            "policies": summary.policies,
            "isolated": summary.isolated,
            "outside": summary.outside,
            "pairs": summary.pairs,
            "undefined": summary.undefined,
        },
        "notes": notes,
        "pieces": pieces,
        "lines": lines,
    });
    // Neither an end tag nor a comment can start in the data.
    let text =
        data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let text = text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    PAGE.replacen(MARK, &text, 1)
}

/// Port ranges by protocol, for the port filter.
fn ranges(ports: &moat_sets::PortSet) -> Value {
    json!({
        "TCP": ports.of(moat_sets::Protocol::Tcp),
        "UDP": ports.of(moat_sets::Protocol::Udp),
        "SCTP": ports.of(moat_sets::Protocol::Sctp),
    })
}
