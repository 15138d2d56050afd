//! CIDR arithmetic.

use std::net::IpAddr;

/// Whether the block holds the address; `None` if the text is no CIDR.
pub(crate) fn holds(cidr: &str, address: IpAddr) -> Option<bool> {
    let (base, length) = cidr.split_once('/')?;
    let (base, width) = bits(base.parse().ok()?);
    let unmasked = width.checked_sub(length.parse().ok()?)?;
    let (address, address_width) = bits(address);
    // Host bits of the base do not count: `10.1.2.3/8` is `10.0.0.0/8`.
    let prefix = |bits: u128| bits.checked_shr(unmasked).unwrap_or(0);
    Some(width == address_width && prefix(base) == prefix(address))
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}
