//! Learning that someone changed the ruleset.

use super::element::attributes;
use super::encode::message;
use crate::error::{Attempt, Result};
use crate::netns::Netns;
use crate::talk::GENERIC_LEN;
use core::fmt;
use nlink::netlink::{MessageIter, NetlinkSocket, Protocol};
use std::time::Duration;
use tokio::time::timeout;

/// `NFNLGRP_NFTABLES`
const GROUP: u32 = 7;

/// For how long to look whether something waits to be read.
const HEARD: Duration = Duration::from_millis(5);

/// A new generation of the ruleset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Which; `None` when changes came faster than they were read, so that any may be missing.
    pub generation: Option<u32>,
    /// The process that made it, as far as this process can see it.
    pub pid: Option<u32>,
    /// The name of that process.
    pub process: Option<String>,
}

/// Changes of the ruleset of a namespace, made by anyone.
pub struct Watch {
    socket: NetlinkSocket,
    /// What was read and not yet given out.
    ready: Vec<Changed>,
    /// Whether a change may have been missed.
    missed: bool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Begins to watch.
    pub fn open(netns: &Netns) -> Result<Self> {
        let what = || "watch the ruleset of a namespace".to_owned();
        let socket = NetlinkSocket::new_in_namespace(Protocol::Netfilter, netns).to(what)?;
        // Of a transaction only its end is of interest: the notes on its 100 000 elements would fill the buffer. The filter reads
        // 16 bits at 4, the type of the message, in network order.
        let kind = (message::SUBSYSTEM << 8 | u16::from(message::NEW_GENERATION)).to_ne_bytes();
        let kind = u32::from(u16::from_be_bytes(kind));
        let mut filter = Vec::new();
        // BPF_LD|BPF_H|BPF_ABS; BPF_JMP|BPF_JEQ|BPF_K; BPF_RET|BPF_K of linux/bpf_common.h.
        for (code, yes, no, value) in [
            (0x28_u16, 0_u8, 0_u8, 4_u32),
            (0x15, 0, 1, kind),
            (0x06, 0, 0, u32::MAX),
            (0x06, 0, 0, 0),
        ] {
            filter.extend(code.to_ne_bytes());
            filter.extend([yes, no]);
            filter.extend(value.to_ne_bytes());
        }
        socket.attach_filter(&filter).to(what)?;
        socket.add_membership(GROUP).to(what)?;
        Ok(Self { socket, ready: Vec::new(), missed: false })
    }

    /// Does not watch until [`Self::join`].
    ///
    /// For every element and rule of a transaction the kernel writes a note if anybody watches, in whatever namespace, which takes longer
    /// than to add it. So it is better not to watch one's own. Afterwards the next change is one that may have been missed: it has no
    /// generation.
    pub(crate) fn leave(&mut self) {
        self.missed = true;
        // Who cannot leave stays, and hears everything.
        let _ = self.socket.drop_membership(GROUP);
    }

    /// Watches again.
    pub(crate) fn join(&self) -> Result<()> {
        self.socket.add_membership(GROUP).to(|| "watch the ruleset of a namespace".to_owned())
    }

    /// Waits for the next change. Can be given up and called again.
    pub async fn next(&mut self) -> Result<Changed> {
        loop {
            if let Some(changed) = self.ready.pop() {
                return Ok(changed);
            }
            let received = if self.missed {
                // Again, because what was to join may have been given up.
                self.join()?;
                let received = timeout(HEARD, self.socket.recv_msg()).await;
                self.missed = false;
                // What was heard since says more than that something may have been missed, and whoever looks at it looks at all.
                let Ok(received) = received else {
                    return Ok(Changed { generation: None, pid: None, process: None });
                };
                received
            } else {
                self.socket.recv_msg().await
            };
            let data = match received {
                Ok(data) => data,
                Err(error) if error.is_no_buffer_space() => {
                    return Ok(Changed { generation: None, pid: None, process: None });
                }
                Err(error) => {
                    return Err(error).to(|| "watch the ruleset of a namespace".to_owned());
                }
            };
            for item in MessageIter::new(&data) {
                let Ok((header, body)) = item else { continue };
                if header.nlmsg_type != message::SUBSYSTEM << 8 | u16::from(message::NEW_GENERATION)
                {
                    continue;
                }
                let mut changed = Changed { generation: None, pid: None, process: None };
                for (kind, value) in attributes(body.get(GENERIC_LEN..).unwrap_or(&[])) {
                    match kind {
                        1 => changed.generation = value.try_into().ok().map(u32::from_be_bytes),
                        2 => changed.pid = value.try_into().ok().map(u32::from_be_bytes),
                        3 => changed.process = super::element::text(value).ok().map(str::to_owned),
                        _ => {}
                    }
                }
                self.ready.insert(0, changed);
            }
        }
    }
}
