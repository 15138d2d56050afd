//! The grouped matrix with names: what every renderer but the flat one shows.

use moat_analyze::reach::{CoarseLine, Grouped, Line, Matrix, Namer, Place, Summary};
use moat_sets::{AddrSet, Cidr, Family, PortSet};

/// Lines above which people are shown namespaces instead of groups.
pub const MOST_LINES: usize = 300;

/// A named line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who opens connections: names of groups, each a list of parts.
    pub sources: Vec<String>,
    /// To whom.
    pub destinations: Vec<String>,
    /// On which ports.
    pub ports: PortSet,
    /// How many ordered pairs that are.
    pub n_pairs: u64,
}

/// The grouped matrix with names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The lines.
    pub rows: Vec<Row>,
    /// Whether lines say only that some pods of the one may reach some of the other.
    pub coarse: bool,
    /// How many lines there would be with every detail.
    pub n_exact: usize,
    /// Counts.
    pub summary: Summary,
}

/// Names the lines; `all` keeps every detail however many lines there are, and spells out every member.
#[must_use]
pub fn view(matrix: &Matrix<'_>, grouped: &Grouped, namer: &Namer<'_>, all: bool) -> View {
    let coarse = !all && grouped.lines.len() > MOST_LINES;
    let rows = if coarse {
        grouped.coarse(matrix, MOST_LINES).iter().map(|line| coarse_row(line, namer)).collect()
    } else {
        grouped
            .lines
            .iter()
            .map(|line| row(matrix, grouped, namer, line, if all { usize::MAX - 1 } else { 4 }))
            .collect()
    };
    View { rows, coarse, n_exact: grouped.lines.len(), summary: grouped.summary.clone() }
}

fn row(matrix: &Matrix<'_>, grouped: &Grouped, namer: &Namer<'_>, line: &Line, most: usize) -> Row {
    let names = |nodes: &[u32]| {
        let (parts, outside) = grouped.parts(matrix, namer, nodes);
        let pods = parts.iter().map(|part| part.text(most));
        pods.chain(outside.iter().map(|name| outside_name(name, most))).collect()
    };
    Row {
        sources: names(&line.sources),
        destinations: names(&line.destinations),
        ports: line.ports.clone(),
        n_pairs: line.n_pairs,
    }
}

fn coarse_row(line: &CoarseLine, namer: &Namer<'_>) -> Row {
    let n_namespaces =
        line.sources.iter().filter(|place| matches!(place, Place::Namespace(_))).count();
    let every = n_namespaces == namer.n_namespaces() && n_namespaces > 1;
    let mut sources: Vec<String> = Vec::new();
    if every {
        sources.push("*/*".to_owned());
    }
    sources.extend(
        line.sources.iter().filter(|place| !every || matches!(place, Place::Outside(_))).map(place),
    );
    Row {
        sources,
        destinations: vec![place(&line.destination)],
        ports: line.ports.clone(),
        n_pairs: line.n_pairs,
    }
}

/// The name of a place.
#[must_use]
pub fn place(place: &Place) -> String {
    match place {
        Place::Namespace(name) => format!("{name}/*"),
        Place::Outside(name) => outside_name(name, 4),
    }
}

/// A name for addresses that is shorter than the list of prefixes, where there is one.
#[must_use]
pub fn outside_name(name: &str, most: usize) -> String {
    let cidrs: Option<Vec<Cidr>> = name.split(' ').map(|cidr| Cidr::parse(cidr).ok()).collect();
    let Some(cidrs) = cidrs else { return name.to_owned() };
    let set = cidrs.iter().fold(AddrSet::empty(), |sum, &cidr| sum.union(&AddrSet::cidr(cidr)));
    let (space, words) = match (set.v4().is_empty(), set.v6().is_empty()) {
        (false, true) => (AddrSet::family(Family::V4), "any IPv4"),
        (true, false) => (AddrSet::family(Family::V6), "any IPv6"),
        _ => (AddrSet::all(), "anywhere"),
    };
    let rest = space.minus(&set).cidrs();
    if rest.is_empty() {
        return words.to_owned();
    }
    let elided = |cidrs: &[Cidr]| {
        let texts: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
        if texts.len() > most.saturating_add(1) {
            format!(
                "{} … {} more",
                texts.get(..most).unwrap_or_default().join(" "),
                texts.len() - most
            )
        } else {
            texts.join(" ")
        }
    };
    if rest.len() < cidrs.len() {
        format!("{words} except {}", elided(&rest))
    } else {
        elided(&cidrs)
    }
}
