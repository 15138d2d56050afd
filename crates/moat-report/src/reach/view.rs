//! The grouped matrix with names: what every renderer but the flat one shows.

use moat_analyze::reach::{CoarseLine, Grouped, Line, Matrix, Namer, Place, Summary};
use moat_sets::{AddrSet, Cidr, Family, PortSet};

/// Lines above which people are shown namespaces instead of groups.
pub const MOST_LINES: usize = 300;

/// Lines above which no names are made, because they could hardly fold to few.
const NAMED_MAX: usize = 10_000;
/// As many namespaces that are open in themselves, alike, share a line.
const FOLDED_MIN: usize = 4;

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
    let exact = |most: usize| -> Vec<Row> {
        grouped.lines.iter().map(|line| row(matrix, grouped, namer, line, most)).collect()
    };
    let n_exact = grouped.lines.len();
    let (rows, coarse) = if all {
        (exact(usize::MAX - 1), false)
    } else {
        let rows =
            if n_exact > NAMED_MAX { Vec::new() } else { fold(exact(4), namer.n_namespaces()) };
        if n_exact > NAMED_MAX || rows.len() > MOST_LINES {
            let coarse = grouped.coarse(matrix, MOST_LINES);
            let rows = coarse.iter().map(|line| coarse_row(line, namer)).collect();
            (fold(rows, namer.n_namespaces()), true)
        } else {
            (rows, false)
        }
    };
    View { rows, coarse, n_exact, summary: grouped.summary.clone() }
}

/// Joins the lines of namespaces that are open in themselves, alike: at a thousand workloads they would hide all others.
fn fold(rows: Vec<Row>, n_namespaces: usize) -> Vec<Row> {
    let own = |row: &Row| match (row.sources.as_slice(), row.destinations.as_slice()) {
        ([source], [destination]) if source == destination => {
            source.strip_suffix("/*").is_some_and(|name| !name.contains(['/', '*', ' ']))
        }
        _ => false,
    };
    let n_alike =
        |ports: &PortSet| rows.iter().filter(|row| own(row) && row.ports == *ports).count();
    let mut folded: Vec<Row> = Vec::new();
    let mut known: Vec<(PortSet, Option<usize>)> = Vec::new();
    for row in &rows {
        if !own(row) {
            folded.push(row.clone());
            continue;
        }
        let at = match known.iter().find(|(ports, _)| *ports == row.ports) {
            Some((_, at)) => *at,
            None => {
                let at = (n_alike(&row.ports) >= FOLDED_MIN).then_some(folded.len());
                known.push((row.ports.clone(), at));
                if at.is_some() {
                    let destinations = vec!["own namespace".to_owned()];
                    let sources = Vec::new();
                    folded.push(Row { sources, destinations, n_pairs: 0, ..row.clone() });
                }
                at
            }
        };
        match at.and_then(|at| folded.get_mut(at)) {
            Some(sum) => {
                sum.sources.extend_from_slice(&row.sources);
                sum.n_pairs += row.n_pairs;
            }
            None => folded.push(row.clone()),
        }
    }
    for row in folded.iter_mut().filter(|row| row.sources.len() == n_namespaces) {
        if n_namespaces > 1 && row.destinations.iter().any(|name| name == "own namespace") {
            row.sources = vec!["*/*".to_owned()];
        }
    }
    folded
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
