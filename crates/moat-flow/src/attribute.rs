//! From a packet and its log prefix to a record.

use crate::epoch::Epochs;
use crate::packet::Packet;
use crate::record::{End, Record, Verdict};
use crate::time::Time;
use crate::why::Why;
use moat_ir::Direction;
use moat_nft::reason::Mark;
use std::net::IpAddr;

/// Says of a packet who sent it to whom, what became of it, and why.
///
/// A reason is looked up in the newest state that has it, and names come from that state. A prefix or reason that is not known
/// makes a record that says so: no packet is lost.
#[must_use]
pub fn attribute(epochs: &Epochs, packet: &Packet) -> Record {
    let newest = epochs.current().map_or(0, |epoch| epoch.number);
    let said = match Mark::parse(&packet.prefix) {
        Some(Mark::Decided { direction, allow, reason }) => {
            Some((direction, allow, Some((reason, false))))
        }
        Some(Mark::Staged { direction, allow, reason }) => {
            Some((direction, allow, Some((reason, true))))
        }
        Some(Mark::Unprogrammed(direction)) => Some((direction, false, None)),
        None => None,
    };
    let (why, epoch) = match said {
        None => (Why::UnknownPrefix(packet.prefix.clone()), newest),
        Some((_, _, None)) => (Why::Unprogrammed, newest),
        Some((direction, allow, Some((id, staged)))) => epochs
            .iter()
            .find_map(|epoch| {
                Some((epoch.why(id, direction, allow, staged)?.clone(), epoch.number))
            })
            .unwrap_or_else(|| (Why::UnknownReason(packet.prefix.clone()), newest)),
    };
    let end = |address: IpAddr, port| End { address, port, name: epochs.name(epoch, address) };
    Record {
        time: Time::from_nanos(packet.time),
        node: packet.node.clone(),
        direction: said.map(|(direction, _, _): (Direction, _, _)| direction),
        verdict: match said {
            Some((_, true, _)) => Verdict::Allowed,
            Some((_, false, _)) => Verdict::Denied,
            None => Verdict::Unknown,
        },
        staged: matches!(said, Some((_, _, Some((_, true))))),
        source: end(packet.source, packet.source_port),
        destination: end(packet.destination, packet.destination_port),
        protocol_number: packet.protocol,
        icmp: packet.icmp,
        tcp_flags: packet.tcp_flags,
        length: packet.length,
        why,
        epoch,
    }
}
