//! Reachability as data, with a stable schema: `moat.dev/v1`, kinds `Reach`, `ReachFlat`, `ReachHops` and `ReachExposure`.

use moat_analyze::reach::{
    Exposed, Grouped, Matrix, Namer, Node, Reached, Scan, Summary, Tally, Which,
};
use moat_ir::Direction;
use moat_sets::{PortSet, Protocol};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// The grouped matrix.
#[must_use]
pub fn grouped(
    matrix: &Matrix<'_>,
    grouped: &Grouped,
    namer: &Namer<'_>,
    notes: &[String],
) -> Value {
    let groups: Vec<Value> = (0u32..)
        .zip(&grouped.nodes)
        .map(|(id, node)| match node {
            Node::Group(pods) => {
                let parts: Vec<String> = namer.name(pods).iter().map(|part| part.text(4)).collect();
                let pods: Vec<&str> =
                    pods.iter().map(|&pod| matrix.bound().pod(pod).display.as_ref()).collect();
                json!({"id": id, "name": parts.join(", "), "pods": pods})
            }
            Node::Outside(end) => {
                json!({"id": id, "name": matrix.name(*end), "outside": outside(matrix.name(*end))})
            }
        })
        .collect();
    let lines: Vec<Value> = grouped
        .lines
        .iter()
        .map(|line| json!({"sources": line.sources, "destinations": line.destinations, "ports": ports(&line.ports), "pairs": line.n_pairs}))
        .collect();
    json!({
        "apiVersion": "moat.dev/v1",
        "kind": "Reach",
        "summary": summary(&grouped.summary),
        "groups": groups,
        "connections": lines,
        "notes": notes,
    })
}

fn outside(name: &str) -> Value {
    match name.strip_prefix("domain:") {
        Some(domain) => json!({"domain": domain}),
        None => json!({"cidrs": name.split(' ').collect::<Vec<_>>()}),
    }
}

fn summary(summary: &Summary) -> Value {
    let [isolated_ingress, isolated_egress] = summary.isolated;
    let [from_outside, to_outside] = summary.outside;
    json!({
        "pods": summary.pods,
        "namespaces": summary.namespaces,
        "policies": summary.policies,
        "isolatedIngress": isolated_ingress,
        "isolatedEgress": isolated_egress,
        "reachableFromOutside": from_outside,
        "reachingOutside": to_outside,
        "hostNetwork": summary.host_network,
        "allowedPairs": summary.pairs,
        "undefinedPairs": summary.undefined,
    })
}

/// Ports by protocol name, as text.
#[must_use]
pub fn ports(set: &PortSet) -> Value {
    let mut map = Map::new();
    for protocol in Protocol::WITH_PORTS.into_iter().chain([Protocol::Other]) {
        let text = set.text(protocol);
        if !text.is_empty() {
            map.insert(protocol.name().to_owned(), Value::String(text));
        }
    }
    Value::Object(map)
}

/// Writes the flat matrix as one JSON document, a pair a line, without holding it.
pub fn write_flat(matrix: &Matrix<'_>, out: &mut impl Write) -> io::Result<Tally> {
    out.write_all(
        b"{\n\"apiVersion\": \"moat.dev/v1\",\n\"kind\": \"ReachFlat\",\n\"connections\": [",
    )?;
    let mut first = true;
    let tally = matrix.render(
        |(): &mut (), scan: &mut Scan<'_>, source, buffer| {
            let mut tally = Tally::default();
            let (cells, mut values) = scan.row(source);
            for &(destination, value) in cells {
                let value = values.get(value);
                tally.count(value);
                let mut pair = json!({
                    "source": matrix.name(source),
                    "destination": matrix.name(destination),
                    "ports": ports(&value.allow),
                });
                if let (true, Some(map)) = (value.is_doubtful(), pair.as_object_mut()) {
                    map.insert("undefined".to_owned(), ports(&value.undefined()));
                }
                buffer.extend_from_slice(format!("{pair},\n").as_bytes());
            }
            tally
        },
        |piece| {
            if piece.is_empty() {
                return Ok(());
            }
            // A comma stands between pairs, not after the last.
            out.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            out.write_all(piece.strip_suffix(b",\n").unwrap_or(piece))
        },
    )?;
    write!(
        out,
        "\n],\n\"pairs\": {},\n\"undefinedPairs\": {}\n}}\n",
        tally.pairs, tally.undefined
    )?;
    Ok(tally)
}

/// The blast radius.
#[must_use]
pub fn hops(
    matrix: &Matrix<'_>,
    focus: &[u32],
    most: u32,
    direction: Direction,
    reached: &[Reached],
) -> Value {
    let name = |pod: u32| matrix.bound().pod(pod).display.as_ref();
    let list: Vec<Value> = reached
        .iter()
        .map(|one| json!({"name": matrix.name(one.end), "hops": one.hops, "via": name(one.via), "ports": ports(&one.ports)}))
        .collect();
    json!({
        "apiVersion": "moat.dev/v1",
        "kind": "ReachHops",
        "focus": focus.iter().map(|&pod| name(pod)).collect::<Vec<_>>(),
        "direction": direction.name(),
        "hops": most,
        "reached": list,
    })
}

/// Exposure to pods that do not exist yet.
#[must_use]
pub fn exposure(matrix: &Matrix<'_>, namer: &Namer<'_>, exposed: &[Exposed]) -> Value {
    let list: Vec<Value> = exposed
        .iter()
        .map(|one| {
            let parts = namer.name(&one.pods);
            let names: Vec<String> = parts.iter().map(|part| part.text(4)).collect();
            let openings: Vec<Value> =
                one.openings.iter().map(|opening| json!({"peer": opening.peer, "anyone": opening.anyone, "ports": ports(&opening.ports)})).collect();
            let whole = parts.iter().all(|part| part.pods == Which::All);
            let pods: Vec<&str> = one.pods.iter().map(|&pod| matrix.bound().pod(pod).display.as_ref()).collect();
            json!({"name": names.join(", "), "wholeNamespaces": whole, "direction": one.direction.name(), "openings": openings, "pods": pods})
        })
        .collect();
    json!({"apiVersion": "moat.dev/v1", "kind": "ReachExposure", "exposure": list})
}
