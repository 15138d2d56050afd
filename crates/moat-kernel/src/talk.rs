//! Questions and answers over one netfilter socket.
//!
//! nlink has dumps of its own, but they leave out what it does not model (and a foreign edit must not be left out), or ask for
//! all sets again with every set. Its socket does the rest.

use crate::error::{Attempt, Error, Result};
use crate::netns::Netns;
use core::fmt;
use nlink::netlink::message::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NlMsgError};
use nlink::netlink::{MessageBuilder, MessageIter, NLMSG_HDRLEN, NetlinkSocket, Protocol};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// `struct nfgenmsg` of linux/netfilter/nfnetlink.h: family, version, resource.
pub(crate) const GENERIC_LEN: usize = 4;

/// How often a dump is begun again because what is dumped changed meanwhile.
const TRIES: usize = 20;

/// The kernel answers while it takes the question; what takes longer than this will never come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A netfilter socket of a namespace, one question at a time.
pub(crate) struct Talk {
    socket: NetlinkSocket,
    turn: Mutex<()>,
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").finish_non_exhaustive()
    }
}

/// Attributes to send, growing.
pub(crate) fn attributes() -> MessageBuilder {
    MessageBuilder::new(0, 0)
}

/// The bytes of attributes that were put together.
pub(crate) fn bytes(attributes: &MessageBuilder) -> &[u8] {
    attributes.as_bytes().get(NLMSG_HDRLEN..).unwrap_or(&[])
}

impl Talk {
    pub(crate) fn open(netns: &Netns) -> Result<Self> {
        let socket = NetlinkSocket::new_in_namespace(Protocol::Netfilter, netns)
            .to(|| "open a netfilter socket in a namespace".to_owned())?;
        Ok(Self { socket, turn: Mutex::new(()) })
    }

    /// The socket, for what comes without being asked for.
    pub(crate) fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    fn message(
        &self,
        kind: u16,
        flags: u16,
        (family, resource): (u8, u16),
        attributes: &[u8],
    ) -> (u32, Vec<u8>) {
        let mut message = MessageBuilder::new(kind, NLM_F_REQUEST | flags);
        let [high, low] = resource.to_be_bytes();
        message.append_bytes(&[family, 0, high, low]);
        message.append_bytes(attributes);
        let seq = self.socket.next_seq();
        message.set_seq(seq);
        message.set_pid(self.socket.pid());
        (seq, message.finish())
    }

    /// Asks for everything of a kind; `each` gets the family and the attributes of every item. When the dump was torn by a change
    /// it is begun again, and `each` first told so by `None`.
    pub(crate) async fn dump(
        &self,
        kind: u16,
        family: u8,
        attributes: &[u8],
        mut each: impl FnMut(Option<(u8, &[u8])>) -> Result<()>,
    ) -> Result<()> {
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES {
            each(None)?;
            let (seq, message) = self.message(kind, NLM_F_DUMP, (family, 0), attributes);
            self.socket.send(&message).await.to(|| "ask for a dump".to_owned())?;
            if self.dumped(seq, &mut each).await? {
                return Ok(());
            }
        }
        Err(Error::other("read a dump", "what is dumped changes faster than it can be read"))
    }

    /// Reads one dump to its end; says whether it is of one piece.
    async fn dumped(
        &self,
        seq: u32,
        each: &mut impl FnMut(Option<(u8, &[u8])>) -> Result<()>,
    ) -> Result<bool> {
        let mut whole = true;
        // An error of the reader must not leave the rest of the dump for the next question.
        let mut wrong = None;
        loop {
            let data = self.receive().await?;
            for item in MessageIter::new(&data) {
                let (header, body) = item.to(|| "read a dump".to_owned())?;
                if header.nlmsg_seq != seq {
                    continue;
                }
                whole &= !header.is_dump_interrupted();
                if header.is_done() {
                    return wrong.map_or(Ok(whole), Err);
                }
                if header.is_error() {
                    let error = NlMsgError::from_bytes(body).to(|| "read a dump".to_owned())?;
                    return Err(error.to_error(header.nlmsg_flags, body))
                        .to(|| "read a dump".to_owned());
                }
                if let Some((generic, attributes)) = body.split_at_checked(GENERIC_LEN)
                    && wrong.is_none()
                {
                    wrong = each(Some((generic.first().copied().unwrap_or(0), attributes))).err();
                }
            }
        }
    }

    /// Asks for one thing to be done, about a family and a resource, and returns what the kernel says to it, if more than yes.
    pub(crate) async fn ask(
        &self,
        kind: u16,
        about: (u8, u16),
        attributes: &[u8],
        what: impl Fn() -> String,
    ) -> Result<Option<Vec<u8>>> {
        let _turn = self.turn.lock().await;
        let (seq, message) = self.message(kind, NLM_F_ACK, about, attributes);
        self.socket.send(&message).await.to(&what)?;
        let mut answer = None;
        loop {
            let data = self.receive().await?;
            for item in MessageIter::new(&data) {
                let (header, body) = item.to(&what)?;
                if header.nlmsg_seq != seq {
                    continue;
                }
                if header.is_error() {
                    let error = NlMsgError::from_bytes(body).to(&what)?;
                    if error.is_ack() {
                        return Ok(answer);
                    }
                    return Err(error.to_error(header.nlmsg_flags, body)).to(&what);
                }
                answer = body.get(GENERIC_LEN..).map(<[u8]>::to_vec);
            }
        }
    }

    async fn receive(&self) -> Result<Vec<u8>> {
        match timeout(PATIENCE, self.socket.recv_unicast()).await {
            Ok(data) => data.to(|| "read an answer of the kernel".to_owned()),
            Err(_) => Err(Error::other("read an answer of the kernel", "none came")),
        }
    }
}
