//! The packet log: what `log group N` rules of a namespace send.
//!
//! nlink can listen to a group, but sets neither sequence numbers, without which losses are not seen, nor the sizes and times by
//! which many records come at once; so the groups are configured here, over its socket.

mod packet;

pub use packet::Transport;

use crate::error::{Attempt, Result};
use crate::netns::Netns;
use crate::nft::wire::{attributes as read, text};
use crate::talk::{GENERIC_LEN, Talk, attributes, bytes};
use moat_nft::model::Hook;
use nlink::netlink::MessageIter;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// `NFNL_SUBSYS_ULOG` with `NFULNL_MSG_PACKET` and `NFULNL_MSG_CONFIG`.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = PACKET | 1;

/// How records are gathered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Bytes of each packet that are copied; what a rule says with `snaplen` is the upper bound.
    pub copy: u32,
    /// How long a record waits for others, in steps of 10 ms.
    pub wait: Duration,
    /// How many records are sent at once; what a rule says with `queue-threshold` is the upper bound.
    pub together: u32,
    /// Room for what is not yet read, in bytes. Beyond `net.core.rmem_max` it takes privilege; less is not an error.
    pub room: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { copy: 96, wait: Duration::from_millis(50), together: 256, room: 8 << 20 }
    }
}

/// A logged packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRecord {
    /// What the rule says.
    pub prefix: String,
    /// The group it came by.
    pub group: u16,
    /// When the packet arrived, since 1970, if the kernel knows.
    pub timestamp: Option<Duration>,
    /// Its number in the group, from 0.
    pub seq: Option<u32>,
    /// From where.
    pub source: IpAddr,
    /// To where.
    pub destination: IpAddr,
    /// The protocol number.
    pub protocol: u8,
    /// What the protocol adds.
    pub transport: Transport,
    /// The length of the packet from its IP header on, as the header says.
    pub length: u32,
    /// The index of the link it came by.
    pub input: Option<u32>,
    /// The index of the link it goes by.
    pub output: Option<u32>,
    /// Where it was logged.
    pub hook: Hook,
}

/// Records that came together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogBatch {
    /// Them.
    pub records: Vec<LogRecord>,
    /// How many are missing before or among them, by their numbers.
    pub n_lost: u64,
    /// Whether the room for records overflowed since the last batch. How many were lost shows with the next record of a group.
    pub overflowed: bool,
    /// How many were no IP packets.
    pub n_odd: u64,
}

/// A reader of some log groups of a namespace.
#[derive(Debug)]
pub struct LogReader {
    talk: Talk,
    /// The next number of each group.
    next: BTreeMap<u16, u32>,
}

impl LogReader {
    /// Listens to groups in the usual way.
    pub async fn open(netns: &Netns, groups: &[u16]) -> Result<Self> {
        Self::open_with(netns, groups, LogOptions::default()).await
    }

    /// Listens to groups. A group has one listener; it is an error (`EPERM`) if there is another.
    pub async fn open_with(netns: &Netns, groups: &[u16], options: LogOptions) -> Result<Self> {
        let talk = Talk::open(netns)?;
        talk.socket().set_rcvbuf(options.room).to(|| "make room for log records".to_owned())?;
        for &group in groups {
            // Attributes of linux/netfilter/nfnetlink_log.h.
            let mut to = attributes();
            // NFULA_CFG_CMD: NFULNL_CFG_CMD_BIND
            to.append_attr(1, &[1]);
            // NFULA_CFG_MODE: range, NFULNL_COPY_PACKET, padding
            let mut mode = options.copy.min(0xffff).to_be_bytes().to_vec();
            mode.extend([2, 0]);
            to.append_attr(2, &mode);
            // NFULA_CFG_NLBUFSIZ: room for the records that are sent at once, each of some 200 bytes. Of a buffer that is less than half
            // full the kernel makes a smaller copy (`netlink_trim`).
            to.append_attr_u32_be(3, 64 << 10);
            // NFULA_CFG_TIMEOUT, in hundredths of a second
            let wait = u32::try_from(options.wait.as_millis().div_ceil(10)).unwrap_or(u32::MAX);
            to.append_attr_u32_be(4, wait.max(1));
            // NFULA_CFG_QTHRESH
            to.append_attr_u32_be(5, options.together.max(1));
            // NFULA_CFG_FLAGS: NFULNL_CFG_F_SEQ
            to.append_attr_u16_be(6, 1);
            talk.ask(CONFIG, (0, group), bytes(&to), || format!("listen to log group {group}"))
                .await?;
        }
        Ok(Self { talk, next: groups.iter().map(|&group| (group, 0)).collect() })
    }

    /// Waits for records. Can be given up and called again.
    pub async fn next(&mut self) -> Result<LogBatch> {
        let mut batch = LogBatch::default();
        let data = match self.talk.socket().recv_msg().await {
            Ok(data) => data,
            Err(error) if error.is_no_buffer_space() => {
                batch.overflowed = true;
                return Ok(batch);
            }
            Err(error) => return Err(error).to(|| "read log records".to_owned()),
        };
        for item in MessageIter::new(&data) {
            // A message cut short is a loss that the numbers show.
            let Ok((header, body)) = item else { break };
            if header.nlmsg_type != PACKET {
                continue;
            }
            let Some((generic, fields)) = body.split_first_chunk::<GENERIC_LEN>() else { continue };
            let [_, _, high, low] = *generic;
            let group = u16::from_be_bytes([high, low]);
            let (seq, record) = record(group, fields);
            if let Some(seq) = seq {
                let next = self.next.entry(group).or_insert(0);
                batch.n_lost += u64::from(seq.wrapping_sub(*next));
                *next = seq.wrapping_add(1);
            }
            match record {
                Some(record) => batch.records.push(record),
                None => batch.n_odd += 1,
            }
        }
        Ok(batch)
    }
}

fn record(group: u16, fields: &[u8]) -> (Option<u32>, Option<LogRecord>) {
    let number = |value: &[u8]| value.try_into().map(u32::from_be_bytes).ok();
    let (mut seq, mut packet, mut prefix, mut hook) = (None, None, "", None);
    let (mut timestamp, mut input, mut output) = (None, None, None);
    for (kind, value) in read(fields) {
        match kind {
            // NFULA_PACKET_HDR: protocol of the link, hook
            1 => hook = value.get(2).copied(),
            3 => timestamp = time(value),
            4 => input = number(value),
            5 => output = number(value),
            9 => packet = Some(value),
            10 => prefix = text(value).unwrap_or(""),
            12 => seq = number(value),
            _ => {}
        }
    }
    let hook = match hook {
        Some(0) => Hook::Prerouting,
        Some(1) => Hook::Input,
        Some(2) => Hook::Forward,
        Some(3) => Hook::Output,
        Some(4) => Hook::Postrouting,
        _ => return (seq, None),
    };
    let record = packet.and_then(packet::parse).map(|packet| LogRecord {
        prefix: prefix.to_owned(),
        group,
        timestamp,
        seq,
        source: packet.source,
        destination: packet.destination,
        protocol: packet.protocol,
        transport: packet.transport,
        length: packet.length,
        input,
        output,
        hook,
    });
    (seq, record)
}

/// `struct nfulnl_msg_packet_timestamp`: seconds and microseconds.
fn time(value: &[u8]) -> Option<Duration> {
    let (seconds, rest) = value.split_first_chunk::<8>()?;
    let micros = rest.first_chunk::<8>()?;
    let seconds = Duration::from_secs(u64::from_be_bytes(*seconds));
    seconds.checked_add(Duration::from_micros(u64::from_be_bytes(*micros)))
}
