//! The flat matrix as CSV: one row for each ordered pair and protocol.

use moat_analyze::reach::{EndId, Matrix, Scan, Seen, Tally, ValueId};
use moat_sets::Protocol;
use std::io::{self, Write};

/// The first line of the flat matrix.
pub const HEADER: &str = "source,destination,protocol,ports\n";

/// Writes the flat matrix, sorted as text.
///
/// Rows are rendered on all cores and never held all at once: there may be hundreds of millions.
pub fn write_flat(matrix: &Matrix<'_>, out: &mut impl Write) -> io::Result<Tally> {
    out.write_all(HEADER.as_bytes())?;
    let names: Vec<Box<[u8]>> = (0u32..)
        .zip(matrix.ends())
        .map(|(end, _)| {
            let mut name = field(matrix.name(end)).into_bytes();
            name.push(b',');
            name.into_boxed_slice()
        })
        .collect();
    let name = |end: EndId| names.get(end as usize).map_or(&b","[..], |name| name);
    matrix.render(
        |lines: &mut Lines, scan: &mut Scan<'_>, source, buffer| {
            let mut tally = Tally::default();
            let prefix = name(source);
            let (cells, mut values) = scan.row(source);
            for &(destination, value) in cells {
                let (own, endings) = lines.of(value, &mut values);
                tally += *own;
                for ending in endings {
                    buffer.extend_from_slice(prefix);
                    buffer.extend_from_slice(name(destination));
                    buffer.extend_from_slice(ending.as_bytes());
                }
            }
            tally
        },
        |piece| out.write_all(piece),
    )
}

/// How the rows of each value end, as one thread has met them.
#[derive(Default)]
struct Lines(Vec<Option<(Tally, Vec<String>)>>);

impl Lines {
    fn of(&mut self, id: ValueId, values: &mut Seen<'_, '_>) -> &(Tally, Vec<String>) {
        let at = id as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        self.0[at].get_or_insert_with(|| {
            let value = values.get(id);
            let mut tally = Tally::default();
            tally.count(value);
            (
                tally,
                value
                    .texts
                    .iter()
                    .map(|(protocol, ports)| format!("{protocol},{}\n", field(ports)))
                    .collect(),
            )
        })
    }
}

/// A field, quoted when it must be (RFC 4180).
#[must_use]
pub fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The grouped matrix as CSV: names of groups, protocols apart.
#[must_use]
pub fn grouped(view: &super::view::View) -> String {
    let mut out = String::from("sources,destinations,protocol,ports,pairs\n");
    for row in &view.rows {
        for protocol in [Protocol::Sctp, Protocol::Tcp, Protocol::Udp] {
            let ports = row.ports.text(protocol);
            if !ports.is_empty() {
                let (sources, destinations) =
                    (field(&row.sources.join("; ")), field(&row.destinations.join("; ")));
                out.push_str(&format!(
                    "{sources},{destinations},{protocol},{},{}\n",
                    field(&ports),
                    row.n_pairs
                ));
            }
        }
    }
    out
}
