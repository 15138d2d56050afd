//! The expressions that rules are made of in the kernel, as bytes and back.
//!
//! Names, numbers and attributes are those of linux/netfilter/nf_tables.h. Reading is strict: an expression or attribute that is
//! not known here is an error, so that nothing a foreign hand added is overlooked.

use super::element::{attributes, read_verdict, text, write_verdict};
use moat_nft::model::Verdict;
use nlink::netlink::MessageBuilder;

/// A register of four bytes, from 0; an address of IPv6 takes four.
pub(crate) type Word = u32;

/// One expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Expr {
    Meta { key: u32, to: Word },
    Ct { key: u32, to: Word },
    Payload { base: u32, offset: u32, len: u32, to: Word },
    Cmp { of: Word, op: u32, with: Vec<u8> },
    Range { of: Word, op: u32, low: Vec<u8>, high: Vec<u8> },
    Mask { of: Word, mask: Vec<u8> },
    Lookup { of: Word, set: String, map: bool, negate: bool },
    Set { to: Word, value: Vec<u8> },
    Verdict(Verdict),
    Counter,
    Limit { rate: u64, burst: u32, over: bool },
    Log { prefix: String, group: u16, snaplen: u32, threshold: u16 },
    Random { to: Word, modulus: u32 },
    Dnat { family: u32, address: Word, port: Option<Word> },
    Masquerade,
    Reject { kind: u32, code: u8 },
}

pub(crate) const META_IIFNAME: u32 = 6;
pub(crate) const META_NFPROTO: u32 = 15;
pub(crate) const META_L4PROTO: u32 = 16;
pub(crate) const CT_STATE: u32 = 0;
pub(crate) const CT_MARK: u32 = 3;
pub(crate) const NETWORK: u32 = 1;
pub(crate) const TRANSPORT: u32 = 2;
pub(crate) const EQ: u32 = 0;
pub(crate) const NEQ: u32 = 1;
pub(crate) const LTE: u32 = 3;
pub(crate) const GTE: u32 = 5;
/// `NFT_REJECT_TCP_RST`
pub(crate) const REJECT_TCP_RESET: u32 = 1;
/// `NFT_REJECT_ICMPX_UNREACH`
pub(crate) const REJECT_ICMPX: u32 = 2;
/// `NFT_REJECT_ICMPX_ADMIN_PROHIBITED`
pub(crate) const ICMPX_ADMIN_PROHIBITED: u8 = 3;
/// `NFPROTO_IPV4`
pub(crate) const IPV4: u8 = 2;
/// `NFPROTO_IPV6`
pub(crate) const IPV6: u8 = 10;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const LIST_ITEM: u16 = 1;
const DATA_VALUE: u16 = 1;
/// `NF_NAT_RANGE_PROTO_SPECIFIED`
const NAT_PORT: u32 = 2;
/// `NFT_NAT_DNAT`
const NAT_DNAT: u32 = 1;
/// `NFT_NG_RANDOM`
const RANDOM: u32 = 1;
/// `NFT_LIMIT_F_INV`
const LIMIT_OVER: u32 = 1;

/// The number of a register: those that begin a group of four have a number from before the groups were split.
fn register(word: Word) -> u32 {
    if word.is_multiple_of(4) { 1 + word / 4 } else { 8 + word }
}

fn word(register: u32) -> Option<Word> {
    match register {
        1..=4 => Some((register - 1) * 4),
        8..=27 => Some(register - 8),
        _ => None,
    }
}

fn data(to: &mut MessageBuilder, kind: u16, value: &[u8]) {
    let nest = to.nest_start(kind);
    to.append_attr(DATA_VALUE, value);
    to.nest_end(nest);
}

impl Expr {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } => "meta",
            Self::Ct { .. } => "ct",
            Self::Payload { .. } => "payload",
            Self::Cmp { .. } => "cmp",
            Self::Range { .. } => "range",
            Self::Mask { .. } => "bitwise",
            Self::Lookup { .. } => "lookup",
            Self::Set { .. } | Self::Verdict(_) => "immediate",
            Self::Counter => "counter",
            Self::Limit { .. } => "limit",
            Self::Log { .. } => "log",
            Self::Random { .. } => "numgen",
            Self::Dnat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Reject { .. } => "reject",
        }
    }

    /// Writes it as an item of a list.
    pub(crate) fn write(&self, to: &mut MessageBuilder) {
        let item = to.nest_start(LIST_ITEM);
        to.append_attr_str(EXPR_NAME, self.name());
        let nest = to.nest_start(EXPR_DATA);
        match self {
            Self::Meta { key, to: word } => {
                to.append_attr_u32_be(2, *key);
                to.append_attr_u32_be(1, register(*word));
            }
            Self::Ct { key, to: word } => {
                to.append_attr_u32_be(2, *key);
                to.append_attr_u32_be(1, register(*word));
            }
            Self::Payload { base, offset, len, to: word } => {
                to.append_attr_u32_be(1, register(*word));
                to.append_attr_u32_be(2, *base);
                to.append_attr_u32_be(3, *offset);
                to.append_attr_u32_be(4, *len);
            }
            Self::Cmp { of, op, with } => {
                to.append_attr_u32_be(1, register(*of));
                to.append_attr_u32_be(2, *op);
                data(to, 3, with);
            }
            Self::Range { of, op, low, high } => {
                to.append_attr_u32_be(1, register(*of));
                to.append_attr_u32_be(2, *op);
                data(to, 3, low);
                data(to, 4, high);
            }
            Self::Mask { of, mask } => {
                to.append_attr_u32_be(1, register(*of));
                to.append_attr_u32_be(2, register(*of));
                to.append_attr_u32_be(3, u32::try_from(mask.len()).unwrap_or(0));
                data(to, 4, mask);
                data(to, 5, &vec![0; mask.len()]);
            }
            Self::Lookup { of, set, map, negate } => {
                to.append_attr_u32_be(2, register(*of));
                if *map {
                    // NFT_REG_VERDICT
                    to.append_attr_u32_be(3, 0);
                }
                to.append_attr_str(1, set);
                if *negate {
                    to.append_attr_u32_be(5, 1);
                }
            }
            Self::Set { to: word, value } => {
                to.append_attr_u32_be(1, register(*word));
                data(to, 2, value);
            }
            Self::Verdict(verdict) => {
                to.append_attr_u32_be(1, 0);
                let nest = to.nest_start(2);
                write_verdict(to, verdict);
                to.nest_end(nest);
            }
            Self::Counter => {
                to.append_attr_u64_be(1, 0);
                to.append_attr_u64_be(2, 0);
            }
            Self::Limit { rate, burst, over } => {
                to.append_attr_u64_be(1, *rate);
                to.append_attr_u64_be(2, 1);
                to.append_attr_u32_be(3, *burst);
                to.append_attr_u32_be(4, 0);
                to.append_attr_u32_be(5, if *over { LIMIT_OVER } else { 0 });
            }
            Self::Log { prefix, group, snaplen, threshold } => {
                if !prefix.is_empty() {
                    to.append_attr_str(2, prefix);
                }
                to.append_attr_u16_be(1, *group);
                to.append_attr_u32_be(3, *snaplen);
                if *threshold != 0 {
                    to.append_attr_u16_be(4, *threshold);
                }
            }
            Self::Random { to: word, modulus } => {
                to.append_attr_u32_be(1, register(*word));
                to.append_attr_u32_be(2, *modulus);
                to.append_attr_u32_be(3, RANDOM);
                to.append_attr_u32_be(4, 0);
            }
            Self::Dnat { family, address, port } => {
                to.append_attr_u32_be(1, NAT_DNAT);
                to.append_attr_u32_be(2, *family);
                to.append_attr_u32_be(3, register(*address));
                if let Some(port) = port {
                    to.append_attr_u32_be(5, register(*port));
                    to.append_attr_u32_be(7, NAT_PORT);
                }
            }
            Self::Masquerade => {}
            Self::Reject { kind, code } => {
                to.append_attr_u32_be(1, *kind);
                if *kind != REJECT_TCP_RESET {
                    to.append_attr_u8(2, *code);
                }
            }
        }
        to.nest_end(nest);
        to.nest_end(item);
    }

    /// Reads the list of a rule.
    pub(crate) fn read_all(list: &[u8]) -> Result<Vec<Self>, String> {
        attributes(list)
            .map(|(_, item)| {
                let (mut name, mut body): (_, &[u8]) = ("", &[]);
                for (kind, value) in attributes(item) {
                    match kind {
                        EXPR_NAME => name = text(value)?,
                        EXPR_DATA => body = value,
                        _ => return Err("an expression of an unknown form".to_owned()),
                    }
                }
                Self::read(name, &Fields { name, list: attributes(body).collect() })
            })
            .collect()
    }

    fn read(name: &str, fields: &Fields<'_>) -> Result<Self, String> {
        Ok(match name {
            "meta" => {
                fields.only(&[1, 2])?;
                Self::Meta { key: fields.number(2)?, to: fields.word(1)? }
            }
            "ct" => {
                fields.only(&[1, 2])?;
                Self::Ct { key: fields.number(2)?, to: fields.word(1)? }
            }
            "payload" => {
                fields.only(&[1, 2, 3, 4])?;
                Self::Payload {
                    base: fields.number(2)?,
                    offset: fields.number(3)?,
                    len: fields.number(4)?,
                    to: fields.word(1)?,
                }
            }
            "cmp" => {
                fields.only(&[1, 2, 3])?;
                Self::Cmp {
                    of: fields.word(1)?,
                    op: fields.number(2)?,
                    with: fields.data(3)?.to_vec(),
                }
            }
            "range" => {
                fields.only(&[1, 2, 3, 4])?;
                Self::Range {
                    of: fields.word(1)?,
                    op: fields.number(2)?,
                    low: fields.data(3)?.to_vec(),
                    high: fields.data(4)?.to_vec(),
                }
            }
            "bitwise" => {
                fields.only(&[1, 2, 3, 4, 5, 6])?;
                let plain = fields.number_or(6, 0)? == 0
                    && fields.number(1)? == fields.number(2)?
                    && fields.data(5)?.iter().all(|&byte| byte == 0);
                fields.sure(plain)?;
                Self::Mask { of: fields.word(1)?, mask: fields.data(4)?.to_vec() }
            }
            "lookup" => {
                fields.only(&[1, 2, 3, 5])?;
                fields.sure(fields.number_or(3, 0)? == 0 && fields.number_or(5, 0)? <= 1)?;
                Self::Lookup {
                    of: fields.word(2)?,
                    set: text(fields.bytes(1)?)?.to_owned(),
                    map: fields.has(3),
                    negate: fields.number_or(5, 0)? == 1,
                }
            }
            "immediate" if fields.number(1)? == 0 => {
                fields.only(&[1, 2])?;
                Self::Verdict(read_verdict(fields.bytes(2)?)?)
            }
            "immediate" => {
                fields.only(&[1, 2])?;
                Self::Set { to: fields.word(1)?, value: fields.data(2)?.to_vec() }
            }
            // What was counted is no part of the ruleset.
            "counter" => {
                fields.only(&[1, 2, 3])?;
                Self::Counter
            }
            "limit" => {
                fields.only(&[1, 2, 3, 4, 5, 6])?;
                fields.sure(
                    fields.long(2)? == 1
                        && fields.number_or(4, 0)? == 0
                        && fields.number_or(5, 0)? <= LIMIT_OVER,
                )?;
                Self::Limit {
                    rate: fields.long(1)?,
                    burst: fields.number(3)?,
                    over: fields.number_or(5, 0)? == LIMIT_OVER,
                }
            }
            "log" => {
                fields.only(&[1, 2, 3, 4])?;
                Self::Log {
                    prefix: if fields.has(2) {
                        text(fields.bytes(2)?)?.to_owned()
                    } else {
                        String::new()
                    },
                    group: fields.short(1)?,
                    snaplen: fields.number(3)?,
                    threshold: if fields.has(4) { fields.short(4)? } else { 0 },
                }
            }
            "numgen" => {
                fields.only(&[1, 2, 3, 4])?;
                fields.sure(fields.number(3)? == RANDOM && fields.number_or(4, 0)? == 0)?;
                Self::Random { to: fields.word(1)?, modulus: fields.number(2)? }
            }
            "nat" => {
                fields.only(&[1, 2, 3, 4, 5, 6, 7])?;
                // The kernel completes ranges of one and the flags that follow from what is there:
                // NF_NAT_RANGE_MAP_IPS (1) and NF_NAT_RANGE_PROTO_SPECIFIED (2).
                fields.sure(
                    fields.number(1)? == NAT_DNAT
                        && fields.number_or(4, fields.number(3)?)? == fields.number(3)?
                        && fields.number_or(6, fields.number_or(5, 0)?)?
                            == fields.number_or(5, 0)?
                        && fields.number_or(7, 0)? & !3 == 0,
                )?;
                Self::Dnat {
                    family: fields.number(2)?,
                    address: fields.word(3)?,
                    port: if fields.has(5) { Some(fields.word(5)?) } else { None },
                }
            }
            "masq" => {
                fields.only(&[1])?;
                fields.sure(fields.number_or(1, 0)? == 0)?;
                Self::Masquerade
            }
            "reject" => {
                fields.only(&[1, 2])?;
                Self::Reject {
                    kind: fields.number(1)?,
                    code: if fields.has(2) {
                        fields.bytes(2)?.first().copied().unwrap_or(0)
                    } else {
                        0
                    },
                }
            }
            other => return Err(format!("an expression `{other}`")),
        })
    }
}

/// The attributes of an expression, at most one of a kind.
struct Fields<'a> {
    name: &'a str,
    list: Vec<(u16, &'a [u8])>,
}

impl<'a> Fields<'a> {
    fn only(&self, known: &[u16]) -> Result<(), String> {
        match self.list.iter().find(|(kind, _)| !known.contains(kind)) {
            None => Ok(()),
            Some((kind, _)) => Err(format!("`{}` with attribute {kind}", self.name)),
        }
    }

    fn sure(&self, known: bool) -> Result<(), String> {
        if known {
            Ok(())
        } else {
            Err(format!("a form of `{}` that is not of this program", self.name))
        }
    }

    fn has(&self, kind: u16) -> bool {
        self.list.iter().any(|&(of, _)| of == kind)
    }

    fn bytes(&self, kind: u16) -> Result<&'a [u8], String> {
        let found = self.list.iter().find(|&&(of, _)| of == kind);
        found
            .map(|&(_, value)| value)
            .ok_or_else(|| format!("`{}` without attribute {kind}", self.name))
    }

    fn wrong(&self) -> String {
        format!("a number of another size in `{}`", self.name)
    }

    fn number(&self, kind: u16) -> Result<u32, String> {
        self.bytes(kind)?.try_into().map(u32::from_be_bytes).map_err(|_| self.wrong())
    }

    fn number_or(&self, kind: u16, without: u32) -> Result<u32, String> {
        if self.has(kind) { self.number(kind) } else { Ok(without) }
    }

    fn short(&self, kind: u16) -> Result<u16, String> {
        self.bytes(kind)?.try_into().map(u16::from_be_bytes).map_err(|_| self.wrong())
    }

    fn long(&self, kind: u16) -> Result<u64, String> {
        self.bytes(kind)?.try_into().map(u64::from_be_bytes).map_err(|_| self.wrong())
    }

    fn word(&self, kind: u16) -> Result<Word, String> {
        word(self.number(kind)?).ok_or_else(|| format!("`{}` with an unknown register", self.name))
    }

    fn data(&self, kind: u16) -> Result<&'a [u8], String> {
        let value = attributes(self.bytes(kind)?).find(|(kind, _)| *kind == DATA_VALUE);
        value.map(|(_, bytes)| bytes).ok_or_else(|| format!("`{}` without a value", self.name))
    }
}
