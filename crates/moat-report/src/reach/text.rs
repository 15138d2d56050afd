//! The grouped matrix for a terminal.

use super::view::{Row, View};
use crate::Style;
use moat_analyze::reach::{count, join};

/// How much of the width a list of names may take before it is cut.
const MOST_NAMES: usize = 6;

/// The grouped matrix as an aligned table; `wide` shows every name on one line. At a width of `usize::MAX` nothing is wrapped.
#[must_use]
pub fn render(view: &View, style: Style, wide: bool) -> String {
    let mut out = String::new();
    header(view, style, &mut out);
    if view.rows.is_empty() {
        out.push_str("no connection is allowed between the pods asked for\n");
        return out;
    }
    let most = if wide { usize::MAX - 1 } else { MOST_NAMES };
    let cells: Vec<[String; 3]> =
        view.rows.iter().map(|row| cells(row, view.coarse, most)).collect();
    let widths = widths(&cells, style, wide);
    let [w_source, w_destination, _] = if style.width == usize::MAX && !wide {
        // What no terminal cuts need not be padded to its longest line.
        widths.map(|width| width.min(UNBOUND_MAX))
    } else {
        widths
    };
    let [b_source, b_destination, b_ports] = widths;
    let title = format!("{:w_source$}    {:w_destination$}  {}", "SOURCE", "DESTINATION", "PORTS");
    out.push_str(&style.dim(title.trim_end()));
    out.push('\n');
    for row in &cells {
        let [source, destination, ports] = row;
        let columns =
            [wrap(source, b_source), wrap(destination, b_destination), wrap(ports, b_ports)];
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let [source, destination, ports] =
                columns.each_ref().map(|lines| lines.get(at).map_or("", String::as_str));
            let arrow = if at == 0 { "->" } else { "  " };
            let line = format!(
                "{} {arrow} {}  {}",
                pad(source, w_source),
                pad(destination, w_destination),
                if ports.is_empty() { String::new() } else { style.good(ports) }
            );
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    footer(view, &mut out);
    out
}

fn header(view: &View, style: Style, out: &mut String) {
    let summary = &view.summary;
    let [ingress, egress] = summary.isolated;
    let [open, leaving] = summary.outside;
    let pods = style.bold(&count(summary.pods, "pod"));
    let policies = if summary.policies == 1 {
        "1 policy".to_owned()
    } else {
        format!("{} policies", summary.policies)
    };
    out.push_str(&format!("{pods} in {}, {policies}\n", count(summary.namespaces, "namespace")));
    out.push_str(&format!("isolated: {ingress} for ingress, {egress} for egress\n"));
    out.push_str(&format!(
        "outside: may reach {}, is reached by {}\n",
        count(open, "pod"),
        count(leaving, "pod")
    ));
    out.push_str(&format!(
        "allowed: {} pairs in {}\n\n",
        grouped_digits(summary.pairs),
        count(view.rows.len(), "line")
    ));
}

fn footer(view: &View, out: &mut String) {
    let summary = &view.summary;
    if view.coarse {
        out.push_str(&format!(
            "\nnote: by namespace, because groups would take {} lines; a line means some pods of each, on some of the ports\n\
             help: `--namespace`, `--focus` or `--port` narrow the question; `-o wide` shows every group\n",
            view.n_exact
        ));
    }
    if summary.undefined > 0 {
        out.push_str(&format!(
            "\nnote: {} pairs depend on something that is not known or that the API leaves open (not listed)\n",
            grouped_digits(summary.undefined)
        ));
    }
    if summary.host_network > 0 {
        out.push_str(&format!(
            "\nnote: {} on the node's network may always reach the pods of the same node (not listed here)\n",
            count(summary.host_network, "pod")
        ));
    }
}

/// `12 345 678`: large counts are read in threes.
#[must_use]
pub fn grouped_digits(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn cells(row: &Row, coarse: bool, most: usize) -> [String; 3] {
    let ports = if coarse {
        format!("{} ({} pairs)", row.ports, grouped_digits(row.n_pairs))
    } else {
        row.ports.to_string()
    };
    [join(&row.sources, most), join(&row.destinations, most), ports]
}

/// Widest column where no terminal sets one: wider cells stand out, so that the others stay readable.
const UNBOUND_MAX: usize = 80;

/// Widths of the three columns: what they need, or a fair share of the terminal, but room for every name that is no wider than it.
fn widths(cells: &[[String; 3]], style: Style, wide: bool) -> [usize; 3] {
    let most = |measure: &dyn Fn(&str) -> usize| {
        [0, 1, 2].map(|at: usize| {
            cells.iter().filter_map(|row| row.get(at)).map(|cell| measure(cell)).max().unwrap_or(0)
        })
    };
    let need = most(&length);
    if wide {
        return need;
    }
    let [source, destination, ports] = need;
    let room = style.width.max(60) - 6;
    let ports = ports.min(room / 3);
    let rest = room - ports;
    let (source, destination) = if source.saturating_add(destination) <= rest {
        (source, destination)
    } else if source <= rest / 2 {
        (source, rest - source)
    } else if destination <= rest / 2 {
        (rest - destination, destination)
    } else {
        (rest - rest / 2, rest / 2)
    };
    let word = |cell: &str| words(cell).map(|word| length(word.trim_end())).max().unwrap_or(0);
    let names = most(&word);
    // A heading needs its room.
    let mut widths = [source.max(6), destination.max(11), ports.max(5)];
    for (width, name) in widths.iter_mut().zip(names) {
        *width = (*width).max(name.min(style.width));
    }
    widths
}

/// Pieces of a cell between which a line may end: at blanks and after commas.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', ','])
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, width: usize) -> String {
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(length(text))));
    out
}

/// Cuts at blanks and after commas; a word longer than the column is cut where the column ends.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if length(text) <= width {
        return vec![text.trim_end().to_owned()];
    }
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        if !line.is_empty() && length(&line) + length(word.trim_end()) > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        for char in word.chars() {
            if length(&line) == width && char != ' ' {
                lines.push(std::mem::take(&mut line));
            }
            line.push(char);
        }
    }
    if !line.trim().is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}
