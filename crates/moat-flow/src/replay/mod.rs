//! What other policies would have done with recorded flows.

mod decide;
mod report;

use crate::record::{End, Name, Record, Verdict};
use crate::text::Look;
use crate::time::Time;
use crate::why::Why;
use core::fmt::Write as _;
use decide::Ends;
use moat_ir::{Bound, Direction};
use moat_sets::Protocol;
use rustc_hash::FxHashMap;

/// Recorded flows under other policies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Replay {
    /// Records that were read.
    pub n_records: u64,
    /// Different flows among them: source, destination, port and protocol.
    pub n_flows: u64,
    /// Flows whose verdict would be the same.
    pub n_same: u64,
    /// Flows whose verdict would change, those with the most records first.
    pub changes: Vec<Change>,
    /// Flows that cannot be decided, likewise.
    pub undecided: Vec<Undecided>,
    /// Records that say nothing about what policies did.
    pub skipped: Skipped,
}

/// Records that say nothing about what enforced policies did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Skipped {
    /// Of staged policies.
    pub staged: u64,
    /// Denied because a pod was not programmed yet.
    pub unprogrammed: u64,
    /// Of no known verdict.
    pub unknown: u64,
}

/// A flow as recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Who opened it; the address is the last one seen.
    pub source: End,
    /// To whom; likewise.
    pub destination: End,
    /// Its protocol's number.
    pub protocol_number: u8,
    /// How many records it has.
    pub n_records: u64,
    /// When the first was logged.
    pub first: Time,
    /// When the last was logged.
    pub last: Time,
}

/// A verdict with the reasons of both directions, as far as they say something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The verdict.
    pub verdict: moat_ir::Verdict,
    /// `egress: no policy applies`, `ingress: isolated by netpol shop/deny (deny.yaml:3)`.
    pub reasons: Vec<String>,
}

/// A flow whose verdict would change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The flow.
    pub flow: Recorded,
    /// What was recorded; where records of one direction differ, by the last one.
    pub then: Told,
    /// What the other policies say.
    pub now: Told,
    /// What a reader should know before believing it.
    pub notes: Vec<String>,
}

/// A flow that cannot be decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undecided {
    /// The flow.
    pub flow: Recorded,
    /// Why not.
    pub because: String,
}

/// The records of one flow.
struct Group {
    flow: Recorded,
    /// What was last recorded of ingress and egress.
    last: [Option<Half>; 2],
    /// Whether one direction was both allowed and denied.
    is_mixed: bool,
}

/// The last record of one direction.
struct Half {
    time: Time,
    verdict: Verdict,
    why: Why,
}

fn at(direction: Direction) -> usize {
    usize::from(direction == Direction::Egress)
}

/// Decides recorded flows under the policies of `bound`, each flow once, and lists those whose verdict would change.
///
/// Flows are the same when source, destination, destination port and protocol are; pods count by name, others by address. The
/// recorded verdict is denied if the last record of either direction is. Records may come in any order.
#[must_use]
pub fn replay(bound: &Bound, records: impl Iterator<Item = Record>) -> Replay {
    let mut replay = Replay::default();
    let mut by_key: FxHashMap<Box<str>, usize> = FxHashMap::default();
    let mut groups: Vec<Group> = Vec::new();
    let mut key = String::new();
    for record in records {
        replay.n_records += 1;
        let direction = match (&record, &record.why, record.direction) {
            (Record { staged: true, .. }, _, _) => {
                replay.skipped.staged += 1;
                continue;
            }
            (_, Why::Unprogrammed, _) => {
                replay.skipped.unprogrammed += 1;
                continue;
            }
            (Record { verdict: Verdict::Unknown, .. }, _, _) | (_, _, None) => {
                replay.skipped.unknown += 1;
                continue;
            }
            (_, _, Some(direction)) => direction,
        };
        write_key(&mut key, &record);
        let idx = if let Some(&idx) = by_key.get(key.as_str()) {
            idx
        } else {
            by_key.insert(key.as_str().into(), groups.len());
            groups.push(Group::new(&record));
            groups.len() - 1
        };
        if let Some(group) = groups.get_mut(idx) {
            group.add(direction, record);
        }
    }
    replay.n_flows = groups.len() as u64;
    let ends = Ends::new(bound);
    let mut sorted: Vec<(Box<str>, usize)> = by_key.into_iter().collect();
    sorted.sort_unstable();
    for (_, idx) in sorted {
        let Some(group) = groups.get(idx) else { continue };
        match ends.decide(&group.flow) {
            Err(because) => {
                replay.undecided.push(Undecided { flow: group.flow.clone(), because });
            }
            Ok(decided) => {
                let then = group.then();
                if then.verdict == decided.answer.verdict {
                    replay.n_same += 1;
                    continue;
                }
                let mut notes = decided.notes;
                notes.extend(group.notes(then.verdict, &decided.answer));
                let now = decide::told(bound, &decided.answer);
                replay.changes.push(Change { flow: group.flow.clone(), then, now, notes });
            }
        }
    }
    // Stable: flows of equally many records stay in the order of their names.
    replay.changes.sort_by_key(|change| core::cmp::Reverse(change.flow.n_records));
    replay.undecided.sort_by_key(|flow| core::cmp::Reverse(flow.flow.n_records));
    replay
}

/// What makes two records the same flow's. Names have no line breaks, and the key is compared only with its like.
fn write_key(key: &mut String, record: &Record) {
    key.clear();
    for end in [&record.source, &record.destination] {
        let family = if end.address.is_ipv4() { 4 } else { 6 };
        let _ = match &end.name {
            Name::Pod(name) => writeln!(key, "{name}\n{family}"),
            _ => writeln!(key, "{}", end.address),
        };
    }
    let _ = write!(key, "{:03}", record.protocol_number);
    if let (Some(port), true) = (record.destination.port, record.protocol() != Protocol::Other) {
        let _ = write!(key, "\n{port:05}");
    }
}

impl Group {
    fn new(record: &Record) -> Self {
        let flow = Recorded {
            source: record.source.clone(),
            destination: record.destination.clone(),
            protocol_number: record.protocol_number,
            n_records: 0,
            first: record.time,
            last: record.time,
        };
        Self { flow, last: [None, None], is_mixed: false }
    }

    fn add(&mut self, direction: Direction, record: Record) {
        self.flow.n_records += 1;
        self.flow.first = self.flow.first.min(record.time);
        if record.time >= self.flow.last {
            self.flow.last = record.time;
            self.flow.source = record.source;
            self.flow.destination = record.destination;
        }
        let Some(slot) = self.last.get_mut(at(direction)) else { return };
        if slot.as_ref().is_some_and(|half| half.verdict != record.verdict) {
            self.is_mixed = true;
        }
        if slot.as_ref().is_none_or(|half| half.time <= record.time) {
            *slot = Some(Half { time: record.time, verdict: record.verdict, why: record.why });
        }
    }

    fn half(&self, direction: Direction) -> Option<&Half> {
        self.last.get(at(direction))?.as_ref()
    }

    fn then(&self) -> Told {
        let halves = [Direction::Egress, Direction::Ingress]
            .into_iter()
            .filter_map(|direction| Some((direction, self.half(direction)?)));
        let is_denied = halves.clone().any(|(_, half)| half.verdict == Verdict::Denied);
        let reasons = halves
            .filter(|(_, half)| !is_denied || half.verdict == Verdict::Denied)
            .map(|(direction, half)| format!("{direction}: {}", half.why.words(Look::plain(0))))
            .collect();
        let verdict = if is_denied { moat_ir::Verdict::Denied } else { moat_ir::Verdict::Allowed };
        Told { verdict, reasons }
    }

    fn notes(&self, then: moat_ir::Verdict, now: &moat_ir::Answer) -> Vec<String> {
        let mut notes = Vec::new();
        for (direction, half) in
            [(Direction::Egress, &now.egress), (Direction::Ingress, &now.ingress)]
        {
            let is_new =
                then == moat_ir::Verdict::Allowed && half.verdict != moat_ir::Verdict::Allowed;
            if is_new && self.half(direction).is_none() {
                notes.push(format!(
                    "no record of {direction}: it may not have been allowed before either"
                ));
            }
        }
        if self.is_mixed {
            notes.push("the records differ over time; the last ones count".to_owned());
        }
        notes
    }
}
