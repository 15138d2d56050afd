//! Addresses and ranges of addresses.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Opaque, Value};
use std::net::IpAddr;

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    use Value as V;
    let (first, rest) = args.split_first()?;
    if let ("ip" | "isIP" | "ip.isCanonical" | "cidr" | "isCIDR", V::Text(text), false) =
        (name, first, member)
    {
        if let Err(stop) = run.pay_for(text.len()) {
            return Some(Err(stop));
        }
        return Some(match name {
            "ip" => ip(text).map(|ip| V::opaque(Opaque::Ip(ip))),
            "isIP" => Ok(V::Bool(ip(text).is_ok())),
            "ip.isCanonical" => ip(text).map(|ip| V::Bool(ip.to_string() == **text)),
            "cidr" => cidr(text).map(|(ip, length)| V::opaque(Opaque::Cidr(ip, length))),
            _ => Ok(V::Bool(cidr(text).is_ok())),
        });
    }
    let V::Opaque(of) = first else { return None };
    if !member {
        return None;
    }
    match (&**of, rest) {
        (Opaque::Ip(ip), []) => of_ip(name, *ip).map(Ok),
        (Opaque::Cidr(ip, length), rest) => of_cidr(name, (*ip, *length), rest),
        _ => None,
    }
}

fn ip(text: &str) -> Result<IpAddr, Stop> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            Err(Stop::new(format!("IPv4-mapped IPv6 address {text:?} is not allowed")))
        }
        Ok(ip) => Ok(ip),
        Err(_) if text.contains('%') => {
            Err(Stop::new(format!("IP address {text:?} with zone value is not allowed")))
        }
        Err(_) => Err(Stop::new(format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        ))),
    }
}

fn cidr(text: &str) -> Result<(IpAddr, u8), Stop> {
    let wrong = |why: &str| {
        Stop::new(format!(
            "network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}"
        ))
    };
    let (address, digits) = text.rsplit_once('/').ok_or_else(|| wrong("no '/'"))?;
    let address: IpAddr = address.parse().map_err(|_| wrong("unable to parse IP"))?;
    if let IpAddr::V6(v6) = address
        && v6.to_ipv4_mapped().is_some()
    {
        return Err(Stop::new(format!("IPv4-mapped IPv6 address {text:?} is not allowed")));
    }
    let right = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    let length = digits.parse::<u8>().ok().filter(|length| right && *length <= bits(address));
    Ok((address, length.ok_or_else(|| wrong("bad bits after slash"))?))
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The first bits of an address, from the top of a number.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn cut(ip: IpAddr, length: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    number(ip) & mask
}

fn contains((net, length): (IpAddr, u8), ip: IpAddr) -> bool {
    net.is_ipv4() == ip.is_ipv4() && cut(net, length) == cut(ip, length)
}

fn of_ip<'a>(name: &str, ip: IpAddr) -> Option<Value<'a>> {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let link_local_multicast = match ip {
        IpAddr::V4(v4) => matches!(v4.octets(), [224, 0, 0, _]),
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    Some(match name {
        "family" => Value::Int(if ip.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => Value::Bool(ip.is_unspecified()),
        "isLoopback" => Value::Bool(ip.is_loopback()),
        "isLinkLocalMulticast" => Value::Bool(link_local_multicast),
        "isLinkLocalUnicast" => Value::Bool(link_local),
        "isGlobalUnicast" => Value::Bool(
            !(broadcast
                || ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_multicast()
                || link_local),
        ),
        _ => return None,
    })
}

fn of_cidr<'a>(name: &str, (ip, length): (IpAddr, u8), rest: &[Value<'a>]) -> Option<Found<'a>> {
    let other = |text: &str| match name {
        "containsIP" => self::ip(text).map(|ip| (ip, bits(ip))),
        _ => cidr(text),
    };
    Some(Ok(match (name, rest) {
        ("ip", []) => Value::opaque(Opaque::Ip(ip)),
        ("prefixLength", []) => Value::Int(length.into()),
        ("masked", []) => {
            let cut = cut(ip, length);
            #[allow(
                clippy::cast_possible_truncation,
                reason = "an IPv4 address is the upper 32 bits"
            )]
            let masked = if ip.is_ipv4() {
                IpAddr::V4(((cut >> 96) as u32).into())
            } else {
                IpAddr::V6(cut.into())
            };
            Value::opaque(Opaque::Cidr(masked, length))
        }
        ("containsIP" | "containsCIDR", [value]) => {
            let found = match value {
                Value::Text(text) => other(text),
                Value::Opaque(opaque) => match (&**opaque, name) {
                    (Opaque::Ip(ip), "containsIP") => Ok((*ip, bits(*ip))),
                    (Opaque::Cidr(ip, length), "containsCIDR") => Ok((*ip, *length)),
                    _ => return None,
                },
                _ => return None,
            };
            match found {
                Ok((inner, inner_length)) => {
                    Value::Bool(length <= inner_length && contains((ip, length), inner))
                }
                Err(stop) => return Some(Err(stop)),
            }
        }
        _ => return None,
    }))
}
