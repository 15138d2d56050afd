//! Flow records: what the kernel's log says of a packet, with the rule that decided.
//!
//! A [`Packet`] with its log prefix becomes a [`Record`] by [`attribute()`], which looks the prefix up among the [`Epochs`] of the
//! policies. Records are printed ([`line()`]), written and read as JSON lines ([`Writer`], [`Reader`]), chosen ([`Filter`]), counted
//! ([`Summary`]), and decided again under other policies ([`replay()`]). Nothing here opens a file or reads a clock.

mod attribute;
mod epoch;
mod filter;
mod jsonl;
mod packet;
mod record;
mod replay;
mod summary;
mod text;
mod time;
mod why;
mod wire;

pub use attribute::attribute;
pub use epoch::{Epoch, Epochs, Ruleset};
pub use filter::{Filter, FilterError, Flags, seconds};
pub use jsonl::{Reader, Trouble, Writer};
pub use packet::{Icmp, Packet, TcpFlags};
pub use record::{End, Name, Record, Verdict};
pub use replay::{Change, Recorded, Replay, Skipped, Told, Undecided, replay};
pub use summary::{Row, Summary, Totals};
pub use text::{Ink, Look, line};
pub use time::Time;
pub use why::{PolicyRef, RuleRef, Why};
pub use wire::SCHEMA;
