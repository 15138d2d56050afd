//! Keys of elements as text, with the addresses and protocols in them.

use super::Text;
use crate::model::Element;
use crate::parse::words;
use std::net::{Ipv4Addr, Ipv6Addr};

impl Text {
    pub(super) fn element(&mut self, element: &Element) {
        match *element {
            Element::V4(address) => self.say(format_args!("{address}")),
            Element::RangeV4(from, to) => {
                self.say(format_args!("{from}"));
                match prefix_length(from.to_bits().into(), to.to_bits().into(), 32) {
                    Some(32) => {}
                    Some(length) => self.say(format_args!("/{length}")),
                    None => self.say(format_args!("-{to}")),
                }
            }
            Element::V6(address) => self.v6(address),
            Element::RangeV6(from, to) => {
                self.v6(from);
                match prefix_length(from.to_bits(), to.to_bits(), 128) {
                    Some(128) => {}
                    Some(length) => self.say(format_args!("/{length}")),
                    None => {
                        self.put("-");
                        self.v6(to);
                    }
                }
            }
            Element::Port(port) => self.say(format_args!("{port}")),
            Element::PortRange(from, to) if from == to => self.say(format_args!("{from}")),
            Element::PortRange(from, to) => self.say(format_args!("{from}-{to}")),
            Element::ProtocolPort(protocol, port) => {
                self.protocol(protocol);
                self.say(format_args!(" . {port}"));
            }
            Element::PairV4(one, other) => self.say(format_args!("{one} . {other}")),
            Element::PairV6(one, other) => {
                self.v6(one);
                self.put(" . ");
                self.v6(other);
            }
            Element::ServiceV4(address, protocol, port) => {
                self.say(format_args!("{address} . "));
                self.protocol(protocol);
                self.say(format_args!(" . {port}"));
            }
            Element::ServiceV6(address, protocol, port) => {
                self.v6(address);
                self.put(" . ");
                self.protocol(protocol);
                self.say(format_args!(" . {port}"));
            }
        }
    }

    pub(super) fn protocol(&mut self, number: u8) {
        match words::protocol_name(number) {
            Some(name) => self.put(name),
            None => self.say(format_args!("{number}")),
        }
    }

    /// As `inet_ntop` of the C library writes it, which nft uses: the standard library's form but for addresses like `::10.0.0.1`.
    pub(super) fn v6(&mut self, address: Ipv6Addr) {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high > 0 => {
                let bits = u32::from(high) << 16 | u32::from(low);
                self.say(format_args!("::{}", Ipv4Addr::from_bits(bits)));
            }
            _ => self.say(format_args!("{address}")),
        }
    }
}

/// The length of the prefix that has exactly these addresses, of so many bits, if there is one.
fn prefix_length(from: u128, to: u128, bits: u32) -> Option<u32> {
    let differ = from ^ to;
    let low_bits = differ & differ.wrapping_add(1) == 0;
    (low_bits && from & differ == 0).then(|| bits - (128 - differ.leading_zeros()))
}
