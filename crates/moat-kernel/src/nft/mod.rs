//! One nftables table of a namespace: changed in transactions, read back, and watched.
//!
//! Needs nothing but the kernel: no `nft` program and none of its libraries. What is written is what `nft` 1.0.6 would have
//! written, so that it can list it.

mod dump;
mod element;
mod encode;
mod expr;
mod rule;
mod watch;

/// Reading attributes, for the other parts of netfilter.
pub(crate) mod wire {
    pub(crate) use super::element::{attributes, text};
}

pub use dump::Found;
pub use watch::{Changed, Watch};

use crate::error::{Attempt, Error, Result};
use crate::netns::Netns;
use crate::talk::{Talk, attributes, bytes};
use core::fmt;
use moat_nft::model::{Op, Table};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nlink::netlink::nftables::{Family, RawMessage, Transaction};
use nlink::netlink::{Connection, Nftables};
use nlink::{Error as NetlinkError, ErrorDetail};
use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

/// Room for a transaction while it is sent, where the kernel grants it.
const SEND_BUFFER: usize = 128 << 20;

/// How often a transaction that expects no generation is tried on the one that was just read.
const TRIES: usize = 50;

/// `ERESTART` of linux/errno.h: what the kernel says of a stale generation.
const RESTART: i32 = 85;

/// To whom a table belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// To anyone who may change the ruleset.
    Plain,
    /// To this process while it runs: no other can change or flush it. It stays when the process ends. Plain where the kernel
    /// cannot do that, which came with Linux 6.9 (`NFT_TABLE_F_PERSIST`).
    Owned,
}

/// Why a transaction did not happen. Nothing of it did.
#[derive(Debug)]
pub enum ApplyError {
    /// Someone changed the ruleset since the generation that was expected.
    Stale,
    /// The kernel refused a step.
    Refused {
        /// Which of the steps; `None` if it refused the transaction as a whole.
        op: Option<usize>,
        /// The error number.
        errno: i32,
        /// What it says to it.
        words: String,
    },
    /// A step cannot be said to the kernel.
    Unsayable {
        /// Which of the steps.
        op: usize,
        /// What of it.
        what: String,
    },
    /// It is larger than the kernel takes at once from this process.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size.
        limit: usize,
    },
    /// The kernel could not be asked.
    Io(Error),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the ruleset was changed by someone else meanwhile"),
            Self::Refused { op: Some(op), words, .. } => {
                write!(f, "the kernel refused step {op} of a transaction: {words}")
            }
            Self::Refused { op: None, words, .. } => {
                write!(f, "the kernel refused a transaction: {words}")
            }
            Self::Unsayable { op, what } => write!(f, "step {op} of a transaction has {what}"),
            Self::TooLarge { size, limit } => write!(
                f,
                "a transaction of {size} bytes is larger than the {limit} that the kernel takes at once\n\
                 help: raise it with `sysctl -w net.core.wmem_max={}`, or run as root outside of user namespaces",
                size.next_power_of_two()
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ApplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io(error) = self { Some(error) } else { None }
    }
}

/// A table of family `inet` in a namespace.
pub struct Nft {
    table: String,
    ownership: Ownership,
    conn: Connection<Nftables>,
    talk: Talk,
    limit: usize,
}

impl fmt::Debug for Nft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nft")
            .field("table", &self.table)
            .field("ownership", &self.ownership)
            .finish_non_exhaustive()
    }
}

impl Nft {
    /// Opens a table, which need not be there yet. Must be called inside a tokio runtime, as all that follows.
    pub fn open(netns: &Netns, table: &str, ownership: Ownership) -> Result<Self> {
        let what = || format!("open table {table} of a namespace");
        let conn = Connection::<Nftables>::new_in(netns.as_fd())
            .to(what)?
            .timeout(Duration::from_secs(120));
        let limit = grow(conn.socket()).to(what)?;
        let ownership = if persists() { ownership } else { Ownership::Plain };
        Ok(Self { table: table.to_owned(), ownership, conn, talk: Talk::open(netns)?, limit })
    }

    /// The table with nothing in it.
    pub(crate) fn empty(&self) -> Table {
        Table::new(&self.table)
    }

    /// To whom the table belongs once it is made.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// The size in bytes of the largest transaction that the kernel takes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Makes the steps of a transaction happen, all or none, and returns the generation of the ruleset that they made.
    ///
    /// With an expected generation, they happen only if nobody changed the ruleset since.
    pub async fn apply(
        &self,
        ops: &[Op],
        expect_generation: Option<u32>,
    ) -> core::result::Result<u32, ApplyError> {
        let steps = encode::to_messages(&self.table, self.ownership, ops)
            .map_err(|(op, what)| ApplyError::Unsayable { op, what })?;
        let size = steps.iter().map(|step| step.len).sum::<usize>() + encode::AROUND;
        if size > self.limit {
            return Err(ApplyError::TooLarge { size, limit: self.limit });
        }
        let (ops, messages): (Vec<usize>, Vec<RawMessage>) =
            steps.into_iter().map(|step| (step.op, step.message)).unzip();
        if let Some(expected) = expect_generation {
            return self.commit(&ops, messages, expected).await;
        }
        for _ in 1..TRIES {
            let now = self.generation().await.map_err(ApplyError::Io)?;
            match self.commit(&ops, messages.clone(), now).await {
                Err(ApplyError::Stale) => {}
                done => return done,
            }
        }
        Err(ApplyError::Stale)
    }

    async fn commit(
        &self,
        ops: &[usize],
        messages: Vec<RawMessage>,
        generation: u32,
    ) -> core::result::Result<u32, ApplyError> {
        if messages.is_empty() {
            let now = self.generation().await.map_err(ApplyError::Io)?;
            return if now == generation { Ok(now) } else { Err(ApplyError::Stale) };
        }
        let start = self.conn.transaction().expect_generation(generation);
        let batch = messages.into_iter().fold(start, Transaction::raw);
        match batch.commit(&self.conn).await {
            // A commit adds one, and leaves out zero (`nf_tables_commit` in the kernel).
            Ok(()) => Ok(generation.checked_add(1).unwrap_or(1)),
            Err(error) => Err(refusal(error, ops)),
        }
    }

    /// The generation of the ruleset; every change of any table of the namespace makes another.
    pub async fn generation(&self) -> Result<u32> {
        self.conn.generation().await.to(|| "read the generation of the ruleset".to_owned())
    }

    /// The size in bytes of the steps when they are sent, with what a transaction begins and ends with.
    pub fn size(&self, ops: &[Op]) -> core::result::Result<usize, ApplyError> {
        let steps = encode::to_messages(&self.table, self.ownership, ops)
            .map_err(|(op, what)| ApplyError::Unsayable { op, what })?;
        Ok(steps.iter().map(|step| step.len).sum::<usize>() + encode::AROUND)
    }

    /// The installed table; `None` if there is none. What the model cannot say is an error that names the place.
    pub async fn dump(&self) -> Result<Option<Table>> {
        self.find().await?.0.map(Found::known).transpose()
    }

    /// The installed table, whatever is in it, and the generation of the ruleset that it is of.
    pub async fn find(&self) -> Result<(Option<Found>, u32)> {
        for _ in 1..TRIES {
            let before = self.generation().await?;
            let found = dump::dump(&self.talk, &self.table).await;
            if self.generation().await? == before {
                return Ok((found?, before));
            }
        }
        Err(Error::other(
            format!("read table {}", self.table),
            "the ruleset changes faster than it can be read",
        ))
    }

    /// Takes over a table that another process owned and left; says whether there was one to take. It is an error (`EPERM`) if
    /// that process still runs.
    pub async fn adopt(&self) -> Result<bool> {
        if self.ownership == Ownership::Plain {
            return Ok(false);
        }
        let mut to = attributes();
        to.append_attr_str(1, &self.table);
        to.append_attr_u32_be(2, encode::TABLE_OWNER | encode::TABLE_PERSIST);
        let message =
            RawMessage::new(encode::message::NEW_TABLE, Family::Inet).attrs(bytes(&to).to_vec());
        for _ in 1..TRIES {
            // The kernel would make a table that is not there; so it must still be as it was looked at.
            let now = self.generation().await?;
            if !dump::exists(&self.talk, &self.table).await? {
                return Ok(false);
            }
            let take = self.conn.transaction().expect_generation(now).raw(message.clone());
            match take.commit(&self.conn).await {
                Ok(()) => return Ok(true),
                Err(error) if error.errno() == Some(RESTART) => {}
                // It is not one that was owned and left.
                Err(error) if error.is_not_supported() => return Ok(false),
                Err(error) => return Err(error).to(|| format!("take over table {}", self.table)),
            }
        }
        Err(Error::other(
            format!("take over table {}", self.table),
            "the ruleset changes all the time",
        ))
    }
}

/// Says which of the steps was refused.
fn refusal(error: NetlinkError, ops: &[usize]) -> ApplyError {
    if error.errno() == Some(RESTART) {
        return ApplyError::Stale;
    }
    if let ErrorDetail::NftBatch { failures, .. } = error.detail()
        && let Some(first) = failures.first()
    {
        return ApplyError::Refused {
            op: first.index.and_then(|index| ops.get(index).copied()),
            errno: first.errno,
            words: first.to_string(),
        };
    }
    match Err(error).to(|| "change the ruleset".to_owned()) {
        Err(error) => ApplyError::Io(error),
        Ok(never) => never,
    }
}

/// Makes room for large transactions and returns how large one can be.
fn grow(socket: &nlink::netlink::NetlinkSocket) -> core::result::Result<usize, std::io::Error> {
    // Beyond `net.core.wmem_max` only with privilege in the first user namespace (`socket(7)`, SO_SNDBUFFORCE); plain otherwise.
    if setsockopt(socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
        setsockopt(socket, sockopt::SndBuf, &SEND_BUFFER)?;
    }
    // A refused transaction has an answer for each refused step.
    socket.set_rcvbuf(4 << 20).map_err(std::io::Error::other)?;
    // `netlink_sendmsg` in the kernel keeps 32 bytes.
    Ok(getsockopt(socket, sockopt::SndBuf)?.saturating_sub(32))
}

/// Whether the kernel keeps tables of owners that are gone.
fn persists() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|word| word.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 9)
}
