//! Steps of a transaction as netlink messages.

use super::Ownership;
use super::element::{attr, write};
use super::rule::to_exprs;
use crate::talk::{attributes, bytes};
use moat_nft::model::{Base, BaseKind, Element, Hook, Op, Rule, SetKey, SetShape, Verdict};
use nlink::netlink::MessageBuilder;
use nlink::netlink::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use nlink::netlink::nftables::{Family, RawMessage};

/// Messages of linux/netfilter/nf_tables.h.
pub(crate) mod message {
    pub(crate) const NEW_TABLE: u8 = 0;
    pub(crate) const GET_TABLE: u8 = 1;
    pub(crate) const DEL_TABLE: u8 = 2;
    pub(crate) const NEW_CHAIN: u8 = 3;
    pub(crate) const GET_CHAIN: u8 = 4;
    pub(crate) const DEL_CHAIN: u8 = 5;
    pub(crate) const NEW_RULE: u8 = 6;
    pub(crate) const GET_RULE: u8 = 7;
    pub(crate) const DEL_RULE: u8 = 8;
    pub(crate) const NEW_SET: u8 = 9;
    pub(crate) const GET_SET: u8 = 10;
    pub(crate) const DEL_SET: u8 = 11;
    pub(crate) const NEW_ELEMENTS: u8 = 12;
    pub(crate) const GET_ELEMENTS: u8 = 13;
    pub(crate) const DEL_ELEMENTS: u8 = 14;
    pub(crate) const NEW_GENERATION: u8 = 15;
    /// `NFNL_SUBSYS_NFTABLES`, the upper byte of them all.
    pub(crate) const SUBSYSTEM: u16 = 10;
}

/// `NFT_SET_INTERVAL` and `NFT_SET_MAP`
pub(crate) const SET_INTERVAL: u32 = 4;
pub(crate) const SET_MAP: u32 = 8;
/// `NFT_DATA_VERDICT`
pub(crate) const DATA_VERDICT: u32 = 0xffff_ff00;
/// `NFT_TABLE_F_OWNER` and `NFT_TABLE_F_PERSIST`
pub(crate) const TABLE_OWNER: u32 = 2;
pub(crate) const TABLE_PERSIST: u32 = 4;
/// `NFTNL_UDATA_RULE_COMMENT` of libnftnl
pub(crate) const RULE_COMMENT: u8 = 0;

/// An attribute cannot be longer than 65535 bytes (its length has 16 bits); the last element of a message goes over this by less
/// than the rest.
const ELEMENTS_LEN: usize = 60_000;

/// 20 bytes for the end of the batch, 28 for its begin with the generation.
pub(crate) const AROUND: usize = 48;

/// A message and the step it is of.
pub(crate) struct Step {
    pub(crate) op: usize,
    pub(crate) message: RawMessage,
    pub(crate) len: usize,
}

/// The messages of a transaction; an error is the step that cannot be said and why.
pub(crate) fn to_messages(
    table: &str,
    ownership: Ownership,
    ops: &[Op],
) -> Result<Vec<Step>, (usize, String)> {
    let mut out = Encoder { table, steps: Vec::with_capacity(ops.len()), op: 0, n_sets: 0 };
    for (at, op) in ops.iter().enumerate() {
        out.op = at;
        out.encode(op, ownership).map_err(|why| (at, why))?;
    }
    Ok(out.steps)
}

struct Encoder<'a> {
    table: &'a str,
    steps: Vec<Step>,
    op: usize,
    n_sets: u32,
}

impl Encoder<'_> {
    fn encode(&mut self, op: &Op, ownership: Ownership) -> Result<(), String> {
        match op {
            Op::AddTable => {
                let mut to = self.named(None)?;
                if ownership == Ownership::Owned {
                    to.append_attr_u32_be(2, TABLE_OWNER | TABLE_PERSIST);
                }
                self.push(message::NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL, &to);
            }
            Op::DelTable => {
                let to = self.named(None)?;
                self.push(message::DEL_TABLE, 0, &to);
            }
            Op::AddSet(name, shape) => self.add_set(name, *shape)?,
            Op::DelSet(name) => {
                let to = self.named(Some((2, name)))?;
                self.push(message::DEL_SET, 0, &to);
            }
            Op::AddChain(name, base) => {
                let mut to = self.named(Some((3, name)))?;
                if let Some(base) = base {
                    write_base(&mut to, *base);
                }
                self.push(message::NEW_CHAIN, NLM_F_CREATE | NLM_F_EXCL, &to);
            }
            Op::DelChain(name) => {
                let to = self.named(Some((3, name)))?;
                self.push(message::DEL_CHAIN, 0, &to);
            }
            Op::FlushChain(name) => {
                // A deletion that names no rule deletes all of the chain.
                let to = self.named(Some((2, name)))?;
                self.push(message::DEL_RULE, 0, &to);
            }
            Op::AddRule(chain, rule) => {
                let mut to = self.named(Some((2, chain)))?;
                write_rule(&mut to, rule)?;
                self.push(message::NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, &to);
            }
            Op::AddElements(name, elements) => {
                self.elements(message::NEW_ELEMENTS, NLM_F_CREATE | NLM_F_EXCL, name, elements)?;
            }
            Op::DelElements(name, elements) => {
                self.elements(message::DEL_ELEMENTS, 0, name, elements)?;
            }
        }
        Ok(())
    }

    /// Attributes that begin with the table, which is attribute 1 in all messages, and the name of what is meant.
    fn named(&self, name: Option<(u16, &str)>) -> Result<MessageBuilder, String> {
        let mut to = attributes();
        to.append_attr_str(1, checked(self.table)?);
        if let Some((kind, name)) = name {
            to.append_attr_str(kind, checked(name)?);
        }
        Ok(to)
    }

    fn push(&mut self, kind: u8, flags: u16, attributes: &MessageBuilder) {
        let attrs = bytes(attributes).to_vec();
        // 20: the header and the family.
        let len = attrs.len() + 20;
        let message = RawMessage::new(kind, Family::Inet).flags(flags).attrs(attrs);
        self.steps.push(Step { op: self.op, message, len });
    }

    fn add_set(&mut self, name: &str, shape: SetShape) -> Result<(), String> {
        let SetShape { key, interval, map, size } = shape;
        let fields = fields(key);
        if interval && fields.len() > 1 {
            return Err(format!("set {name} with ranges of {key:?}; ranges are of one field"));
        }
        let mut to = self.named(Some((2, name)))?;
        let flags = if interval { SET_INTERVAL } else { 0 } | if map { SET_MAP } else { 0 };
        to.append_attr_u32_be(3, flags);
        to.append_attr_u32_be(4, key_type(key));
        to.append_attr_u32_be(5, key_len(key));
        if map {
            to.append_attr_u32_be(6, DATA_VERDICT);
            to.append_attr_u32_be(7, 0);
        }
        if let Some(size) = size {
            // NFTA_SET_DESC with NFTA_SET_DESC_SIZE.
            let desc = to.nest_start(9);
            to.append_attr_u32_be(1, size);
            to.nest_end(desc);
        }
        // NFTA_SET_ID: of use only to messages that do not name their set, but the kernel wants one.
        self.n_sets += 1;
        to.append_attr_u32_be(10, self.n_sets);
        // What nft 1.0.6 stores beside a set: NFTNL_UDATA_SET_KEYBYTEORDER (0) is big endian (2), or nothing (0) where there are
        // several fields; in a map also NFTNL_UDATA_SET_DATABYTEORDER (1) and NFTNL_UDATA_SET_DATA_INTERVAL (6), both nothing.
        let order: u32 = if fields.len() == 1 { 2 } else { 0 };
        let mut userdata = vec![0, 4];
        userdata.extend(order.to_ne_bytes());
        if map {
            userdata.extend([1, 4, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0]);
        }
        to.append_attr(13, &userdata);
        self.push(message::NEW_SET, NLM_F_CREATE | NLM_F_EXCL, &to);
        Ok(())
    }

    /// As many messages as the elements need; in one transaction that makes no difference.
    fn elements(
        &mut self,
        kind: u8,
        flags: u16,
        name: &str,
        elements: &[(Element, Option<Verdict>)],
    ) -> Result<(), String> {
        let mut left = elements.iter().peekable();
        while left.peek().is_some() {
            let mut to = self.named(Some((attr::LIST_SET, name)))?;
            let list = to.nest_start(attr::LIST_ELEMENTS);
            while to.len() < ELEMENTS_LEN
                && let Some((element, verdict)) = left.next()
            {
                if let Some(Verdict::Jump(chain) | Verdict::Goto(chain)) = verdict {
                    checked(chain)?;
                }
                // A key says which element goes; its verdict would have to be right as well.
                let verdict = verdict.as_ref().filter(|_| kind == message::NEW_ELEMENTS);
                write(&mut to, element, verdict);
            }
            to.nest_end(list);
            self.push(kind, flags, &to);
        }
        Ok(())
    }
}

/// A name that the kernel takes: `NFT_NAME_MAXLEN` of linux/netfilter/nf_tables.h is 256 with the zero byte.
fn checked(name: &str) -> Result<&str, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..256).contains(&name.len()) && name.bytes().all(known) {
        return Ok(name);
    }
    Err(format!("name {name:?}; a name is 1 to 255 letters, digits and _"))
}

/// The data types of a key's fields, by their numbers in nft.
fn fields(key: SetKey) -> &'static [u32] {
    // TYPE_IPADDR, TYPE_IP6ADDR, TYPE_INET_PROTOCOL and TYPE_INET_SERVICE of nft's datatype.h.
    match key {
        SetKey::V4 => &[7],
        SetKey::V6 => &[8],
        SetKey::Port => &[13],
        SetKey::ProtocolPort => &[12, 13],
        SetKey::PairV4 => &[7, 7],
        SetKey::PairV6 => &[8, 8],
        SetKey::ServiceV4 => &[7, 12, 13],
        SetKey::ServiceV6 => &[8, 12, 13],
    }
}

/// The type of a key as nft understands it: six bits for each field (`TYPE_BITS`).
pub(crate) fn key_type(key: SetKey) -> u32 {
    fields(key).iter().fold(0, |sum, field| sum << 6 | field)
}

/// The bytes of a key: in a concatenation each field takes whole words.
pub(crate) fn key_len(key: SetKey) -> u32 {
    match key {
        SetKey::V4 => 4,
        SetKey::V6 => 16,
        SetKey::Port => 2,
        SetKey::ProtocolPort | SetKey::PairV4 => 8,
        SetKey::PairV6 => 32,
        SetKey::ServiceV4 => 12,
        SetKey::ServiceV6 => 24,
    }
}

/// The number of a hook in family `inet`.
pub(crate) fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    }
}

fn write_base(to: &mut MessageBuilder, base: Base) {
    let Base { kind, hook, priority, accept } = base;
    let nest = to.nest_start(4);
    to.append_attr_u32_be(1, hook_number(hook));
    to.append_attr(2, &priority.to_be_bytes());
    to.nest_end(nest);
    // NF_ACCEPT, NF_DROP
    to.append_attr_u32_be(5, u32::from(accept));
    to.append_attr_str(
        7,
        match kind {
            BaseKind::Filter => "filter",
            BaseKind::Nat => "nat",
        },
    );
}

fn write_rule(to: &mut MessageBuilder, rule: &Rule) -> Result<(), String> {
    let list = to.nest_start(4);
    for expr in to_exprs(rule)? {
        expr.write(to);
    }
    to.nest_end(list);
    if let Some(comment) = &rule.comment {
        // A comment with its zero byte, after its kind and length, which has 8 bits; nft itself takes 127 bytes at most.
        let len = comment.len() + 1;
        let len = u8::try_from(len).ok().filter(|&len| len <= 128 && !comment.contains('\0'));
        let len =
            len.ok_or_else(|| format!("a comment of {} bytes; at most 127 fit", comment.len()))?;
        let mut userdata = vec![RULE_COMMENT, len];
        userdata.extend_from_slice(comment.as_bytes());
        userdata.push(0);
        to.append_attr(7, &userdata);
    }
    Ok(())
}
