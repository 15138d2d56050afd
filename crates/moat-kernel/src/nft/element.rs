//! Elements of sets and maps: their keys as bytes, and back.

use moat_nft::model::{Element, SetKey, Verdict};
use nlink::netlink::{AttrIter, MessageBuilder};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Attributes of linux/netfilter/nf_tables.h.
pub(crate) mod attr {
    pub(crate) const LIST_SET: u16 = 2;
    pub(crate) const LIST_ELEMENTS: u16 = 3;
    pub(crate) const ITEM: u16 = 1;
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const USERDATA: u16 = 6;
    pub(crate) const VALUE: u16 = 1;
    pub(crate) const VERDICT: u16 = 2;
    pub(crate) const CODE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
}

/// `NFT_SET_ELEM_INTERVAL_END`: the first key after a range.
const INTERVAL_END: u32 = 1;

/// A key, and for a range the key after it (none where it ends with the last key of all).
struct Keys {
    first: Vec<u8>,
    /// `None`: no range.
    after: Option<Option<Vec<u8>>>,
}

impl Keys {
    fn exact(parts: &[&[u8]]) -> Self {
        Self { first: join(parts), after: None }
    }

    fn range(first: &[u8], after: Option<Vec<u8>>) -> Self {
        Self { first: first.to_vec(), after: Some(after) }
    }

    fn of(element: &Element) -> Self {
        match element {
            Element::V4(address) => Self::exact(&[&address.octets()]),
            Element::V6(address) => Self::exact(&[&address.octets()]),
            Element::Port(port) => Self::exact(&[&port.to_be_bytes()]),
            Element::RangeV4(low, high) => {
                let after = high.to_bits().checked_add(1).map(|bits| bits.to_be_bytes().to_vec());
                Self::range(&low.octets(), after)
            }
            Element::RangeV6(low, high) => {
                let after = high.to_bits().checked_add(1).map(|bits| bits.to_be_bytes().to_vec());
                Self::range(&low.octets(), after)
            }
            Element::PortRange(low, high) => {
                let after = high.checked_add(1).map(|bits| bits.to_be_bytes().to_vec());
                Self::range(&low.to_be_bytes(), after)
            }
            Element::ProtocolPort(protocol, port) => {
                Self::exact(&[&[*protocol], &port.to_be_bytes()])
            }
            Element::PairV4(one, other) => Self::exact(&[&one.octets(), &other.octets()]),
            Element::PairV6(one, other) => Self::exact(&[&one.octets(), &other.octets()]),
            Element::ServiceV4(address, protocol, port) => {
                Self::exact(&[&address.octets(), &[*protocol], &port.to_be_bytes()])
            }
            Element::ServiceV6(address, protocol, port) => {
                Self::exact(&[&address.octets(), &[*protocol], &port.to_be_bytes()])
            }
        }
    }
}

/// The fields of a concatenation, each filled up to the registers of four bytes that it takes; one field alone is not filled up.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    if let [alone] = parts {
        return alone.to_vec();
    }
    let mut joined = Vec::with_capacity(36);
    for part in parts {
        joined.extend_from_slice(part);
        joined.resize(joined.len().next_multiple_of(4), 0);
    }
    joined
}

/// Writes an element: one item, or two for a range.
pub(crate) fn write(to: &mut MessageBuilder, element: &Element, verdict: Option<&Verdict>) {
    let Keys { first, after } = Keys::of(element);
    item(to, &first, 0, verdict);
    if let Some(Some(after)) = after {
        item(to, &after, INTERVAL_END, None);
    }
}

fn item(to: &mut MessageBuilder, key: &[u8], flags: u32, verdict: Option<&Verdict>) {
    let item = to.nest_start(attr::ITEM);
    if flags != 0 {
        to.append_attr_u32_be(attr::FLAGS, flags);
    }
    let nest = to.nest_start(attr::KEY);
    to.append_attr(attr::VALUE, key);
    to.nest_end(nest);
    if let Some(verdict) = verdict {
        let nest = to.nest_start(attr::DATA);
        write_verdict(to, verdict);
        to.nest_end(nest);
    }
    to.nest_end(item);
}

/// Writes a verdict, as rules and elements carry it.
pub(crate) fn write_verdict(to: &mut MessageBuilder, verdict: &Verdict) {
    // NF_DROP, NF_ACCEPT of linux/netfilter.h; NFT_JUMP, NFT_GOTO, NFT_RETURN of linux/netfilter/nf_tables.h.
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5_i32, None),
    };
    let nest = to.nest_start(attr::VERDICT);
    to.append_attr(attr::CODE, &code.to_be_bytes());
    if let Some(chain) = chain {
        to.append_attr_str(attr::CHAIN, chain);
    }
    to.nest_end(nest);
}

/// Reads what [`write_verdict`] writes.
pub(crate) fn read_verdict(data: &[u8]) -> Result<Verdict, String> {
    let mut code = None;
    let mut chain = None;
    for (kind, value) in
        attributes(data).filter(|(kind, _)| *kind == attr::VERDICT).flat_map(|(_, v)| attributes(v))
    {
        match kind {
            attr::CODE => code = value.try_into().ok().map(i32::from_be_bytes),
            attr::CHAIN => chain = Some(text(value)?),
            other => return Err(format!("a verdict with attribute {other}")),
        }
    }
    match (code, chain) {
        (Some(0), None) => Ok(Verdict::Drop),
        (Some(1), None) => Ok(Verdict::Accept),
        (Some(-3), Some(chain)) => Ok(Verdict::Jump(chain.into())),
        (Some(-4), Some(chain)) => Ok(Verdict::Goto(chain.into())),
        (Some(-5), None) => Ok(Verdict::Return),
        (code, _) => Err(format!("verdict {code:?}")),
    }
}

/// Attributes without their flag bits.
pub(crate) fn attributes(data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    // NLA_TYPE_MASK of linux/netlink.h.
    AttrIter::new(data).map(|(kind, value)| (kind & 0x3fff, value))
}

/// A string with the zero byte that ends it.
pub(crate) fn text(value: &[u8]) -> Result<&str, String> {
    let value = value.strip_suffix(&[0]).unwrap_or(value);
    core::str::from_utf8(value).map_err(|_| "a name that is not UTF-8".to_owned())
}

/// What a set of elements is read into.
pub(crate) struct Reader {
    key: SetKey,
    interval: bool,
    map: bool,
    exact: BTreeMap<Element, Option<Verdict>>,
    /// Keys of an interval set: a start with its verdict, or an end; ends before starts.
    bounds: Vec<(Vec<u8>, Option<Option<Verdict>>)>,
}

impl Reader {
    pub(crate) fn new(key: SetKey, interval: bool, map: bool) -> Self {
        Self { key, interval, map, exact: BTreeMap::new(), bounds: Vec::new() }
    }

    /// Takes a message of elements.
    pub(crate) fn read(&mut self, message: &[u8]) -> Result<(), String> {
        for (kind, list) in attributes(message) {
            if kind != attr::LIST_ELEMENTS {
                continue;
            }
            for (_, element) in attributes(list) {
                self.element(element)?;
            }
        }
        Ok(())
    }

    fn element(&mut self, element: &[u8]) -> Result<(), String> {
        let (mut key, mut flags, mut verdict) = (None, 0, None);
        for (kind, value) in attributes(element) {
            match kind {
                attr::KEY => {
                    key = attributes(value)
                        .find(|(kind, _)| *kind == attr::VALUE)
                        .map(|(_, bytes)| bytes);
                }
                attr::FLAGS => flags = value.try_into().map_or(0, u32::from_be_bytes),
                attr::DATA => verdict = Some(read_verdict(value)?),
                // NFTNL_UDATA_SET_ELEM_FLAGS, a note with which nft lists a range to the last key of all.
                attr::USERDATA if value.starts_with(&[1]) => {}
                other => {
                    return Err(format!(
                        "an element with attribute {other}, such as a timeout or a comment"
                    ));
                }
            }
        }
        let key = key.ok_or("an element without a key, such as *")?;
        if flags & !INTERVAL_END != 0 {
            return Err(format!("an element with flags {flags}"));
        }
        let end = flags & INTERVAL_END != 0;
        if verdict.is_some() != (self.map && !end) {
            return Err(
                "an element of a map without a verdict, or one of a set with a verdict".to_owned()
            );
        }
        if self.interval {
            self.bounds.push((key.to_vec(), (!end).then_some(verdict)));
        } else {
            let element = self.exact_element(key).ok_or("a key of another length")?;
            self.exact.insert(element, verdict);
        }
        Ok(())
    }

    fn exact_element(&self, key: &[u8]) -> Option<Element> {
        Some(match self.key {
            SetKey::V4 => Element::V4(v4(key)?),
            SetKey::V6 => Element::V6(v6(key)?),
            SetKey::Port => Element::Port(port(key)?),
            SetKey::ProtocolPort => {
                let (protocol, rest) = key.split_at_checked(4)?;
                Element::ProtocolPort(*protocol.first()?, port(rest)?)
            }
            SetKey::PairV4 => {
                let (one, other) = key.split_at_checked(4)?;
                Element::PairV4(v4(one)?, v4(other)?)
            }
            SetKey::PairV6 => {
                let (one, other) = key.split_at_checked(16)?;
                Element::PairV6(v6(one)?, v6(other)?)
            }
            SetKey::ServiceV4 => {
                let (address, rest) = key.split_at_checked(4)?;
                let (protocol, rest) = rest.split_at_checked(4)?;
                Element::ServiceV4(v4(address)?, *protocol.first()?, port(rest)?)
            }
            SetKey::ServiceV6 => {
                let (address, rest) = key.split_at_checked(16)?;
                let (protocol, rest) = rest.split_at_checked(4)?;
                Element::ServiceV6(v6(address)?, *protocol.first()?, port(rest)?)
            }
        })
    }

    fn range(&self, low: &[u8], after: Option<&[u8]>) -> Option<Element> {
        Some(match self.key {
            SetKey::V4 => {
                let high = after.map_or(Some(u32::MAX), |key| v4(key)?.to_bits().checked_sub(1))?;
                Element::RangeV4(v4(low)?, high.into())
            }
            SetKey::V6 => {
                let high =
                    after.map_or(Some(u128::MAX), |key| v6(key)?.to_bits().checked_sub(1))?;
                Element::RangeV6(v6(low)?, high.into())
            }
            SetKey::Port => {
                let high = after.map_or(Some(u16::MAX), |key| port(key)?.checked_sub(1))?;
                Element::PortRange(port(low)?, high)
            }
            _ => return None,
        })
    }

    /// The elements, once all messages are read.
    pub(crate) fn finish(mut self) -> Result<BTreeMap<Element, Option<Verdict>>, String> {
        // `None`, an end, sorts before a start of the same key.
        self.bounds
            .sort_by(|one, other| (&one.0, one.1.is_some()).cmp(&(&other.0, other.1.is_some())));
        let mut elements = core::mem::take(&mut self.exact);
        let mut open: Option<(&[u8], &Option<Verdict>)> = None;
        for (key, start) in &self.bounds {
            if let Some((low, verdict)) = open.take() {
                let range = self.range(low, Some(key)).ok_or("a range of another kind")?;
                elements.insert(range, verdict.clone());
            }
            // An end with nothing before it is how nft marks the gap before the first range.
            open = start.as_ref().map(|verdict| (key.as_slice(), verdict));
        }
        if let Some((low, verdict)) = open {
            let range = self.range(low, None).ok_or("a range of another kind")?;
            elements.insert(range, verdict.clone());
        }
        Ok(elements)
    }
}

fn v4(key: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(key).ok().map(Ipv4Addr::from)
}

fn v6(key: &[u8]) -> Option<Ipv6Addr> {
    <[u8; 16]>::try_from(key).ok().map(Ipv6Addr::from)
}

/// A port, with or without what fills it up.
fn port(key: &[u8]) -> Option<u16> {
    match *key {
        [high, low] | [high, low, 0, 0] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}
