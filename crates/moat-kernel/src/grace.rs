//! Graces: waiting until every packet that is in flight, in whatever namespace, has finished.
//!
//! Packets walk rulesets in RCU read sections, so what is to be waited for is what the kernel calls a grace period. There are two ways to
//! one from outside. [`calm`] costs nobody anything and takes 8 to 30 ms. [`quick`] takes a tenth of a millisecond beyond the longest walk
//! that is under way, and interrupts every processor for a microsecond or two: it is for where somebody waits.

use crate::netns::Netns;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use rustix::thread::{MembarrierCommand, membarrier};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// For how long to wait where the kernel cannot say that packets have finished: a packet walks a ruleset in microseconds, and even one
/// whose processor is taken away for a scheduler's round has finished long before.
const FALLBACK: Duration = Duration::from_millis(200);

/// `membarrier(MEMBARRIER_CMD_GLOBAL)` is a `synchronize_rcu()` in the kernel, and needs no privilege. A kernel with processors in
/// `nohz_full` refuses it.
pub fn calm() {
    if membarrier(MembarrierCommand::Global).is_err() {
        std::thread::sleep(FALLBACK);
    }
}

/// Takes a link down, in a namespace that holds nothing else.
///
/// A link with a queue is taken down in three steps (`dev_deactivate_many` in the kernel): the queue is unhooked, everyone who may still
/// put packets into it is waited for by `synchronize_net()`, and it is emptied. Whoever calls that with the lock of links held, as here,
/// gets an expedited grace period. Since Linux 6.14 links without a queue, which `lo` is by itself, are not waited for, so this one is
/// given one.
///
/// # Errors
/// Where the process may not make namespaces, or the kernel has no queues. Then there is only [`calm`].
pub fn quick() -> io::Result<()> {
    static LINK: OnceLock<Option<Mutex<Link>>> = OnceLock::new();
    let link = LINK.get_or_init(|| Link::new().ok().map(Mutex::new));
    let Some(link) = link else { return Err(io::ErrorKind::Unsupported.into()) };
    // What another left unfinished is an answer that is passed over.
    link.lock().unwrap_or_else(PoisonError::into_inner).cycle()
}

/// `lo` of a namespace of its own; down between two graces.
struct Link {
    /// Of that namespace, which is there as long as this is open.
    socket: OwnedFd,
    last: u32,
}

/// `LOOPBACK_IFINDEX` of net/net_namespace.h
const LO: i32 = 1;
/// Of linux/netlink.h: `NLMSG_ERROR`, and `NLM_F_REQUEST | NLM_F_ACK`, to which `NLM_F_CREATE | NLM_F_EXCL`.
const ANSWER: u16 = 2;
const DO: u16 = 0x5;
const MAKE: u16 = DO | 0x600;
/// Of linux/rtnetlink.h.
const RTM_SETLINK: u16 = 19;
const RTM_NEWQDISC: u16 = 36;
/// Of linux/pkt_sched.h.
const TC_H_ROOT: u32 = u32::MAX;
/// Of linux/if.h.
const IFF_UP: u32 = 1;

impl Link {
    fn new() -> io::Result<Self> {
        let netns = Netns::new()?;
        let socket = netns.run(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)
        })??;
        let mut link = Self { socket, last: 0 };
        // `struct tcmsg`: family, index, handle, parent, info; then TCA_KIND.
        let mut body = vec![0; 4];
        body.extend(LO.to_ne_bytes());
        body.extend(0_u32.to_ne_bytes());
        body.extend(TC_H_ROOT.to_ne_bytes());
        body.extend(0_u32.to_ne_bytes());
        body.extend(10_u16.to_ne_bytes());
        body.extend(1_u16.to_ne_bytes());
        body.extend(b"pfifo\0\0\0");
        link.ask(&[(RTM_NEWQDISC, MAKE, body)])?;
        Ok(link)
    }

    /// Up and down again; the grace is in the second.
    fn cycle(&mut self) -> io::Result<()> {
        let to = |flags: u32| {
            // `struct ifinfomsg`: family, type, index, flags, which of them.
            let mut body = vec![0; 4];
            body.extend(LO.to_ne_bytes());
            body.extend(flags.to_ne_bytes());
            body.extend(IFF_UP.to_ne_bytes());
            (RTM_SETLINK, DO, body)
        };
        self.ask(&[to(IFF_UP), to(0)])
    }

    /// Has some things done, one after the other; the kernel does them while it takes the message.
    fn ask(&mut self, all: &[(u16, u16, Vec<u8>)]) -> io::Result<()> {
        let mut message: Vec<u8> = Vec::new();
        let first = self.last.wrapping_add(1);
        for (kind, flags, body) in all {
            self.last = self.last.wrapping_add(1);
            let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
            message.extend(length.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(flags.to_ne_bytes());
            message.extend(self.last.to_ne_bytes());
            message.extend(0_u32.to_ne_bytes());
            message.extend(body);
        }
        let socket = self.socket.as_raw_fd();
        send(socket, &message, MsgFlags::empty())?;
        let mut waited = first;
        let mut buffer = [0; 4096];
        while waited != self.last.wrapping_add(1) {
            let length = recv(socket, &mut buffer, MsgFlags::MSG_DONTWAIT)?;
            let Some((number, error)) = buffer.get(..length).and_then(answer) else { continue };
            if number != waited {
                continue;
            }
            if error != 0 {
                return Err(io::Error::from_raw_os_error(-error));
            }
            waited = waited.wrapping_add(1);
        }
        Ok(())
    }
}

/// Which message an answer is to, and the error number in it, negative, or zero.
fn answer(data: &[u8]) -> Option<(u32, i32)> {
    let kind = u16::from_ne_bytes(data.get(4..6)?.try_into().ok()?);
    let number = u32::from_ne_bytes(data.get(8..12)?.try_into().ok()?);
    let error = i32::from_ne_bytes(data.get(16..20)?.try_into().ok()?);
    (kind == ANSWER).then_some((number, error))
}
