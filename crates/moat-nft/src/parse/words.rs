//! Words of the nft language for numbers, in both directions.

use crate::model::Hook;

/// IP protocols as `nft` of a host with the usual `/etc/protocols` lists them. The first five are printed by name, the others by number,
/// which every host reads.
const PROTOCOLS: [(&str, u8); 57] = [
    ("tcp", 6),
    ("udp", 17),
    ("sctp", 132),
    ("icmp", 1),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ip", 0),
    ("hopopt", 0),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("shim6", 140),
    ("ethernet", 143),
    ("rspf", 73),
    ("vmtp", 81),
    ("manet", 138),
    ("hip", 139),
    ("wesp", 141),
    ("rohc", 142),
];

/// How many of [`PROTOCOLS`] are printed by name.
const PRINTED: usize = 5;

/// The protocols whose ports nft writes as `NAME dport`, once it knows the protocol.
pub(crate) const WITH_PORTS: [(&str, u8); 5] =
    [("tcp", 6), ("udp", 17), ("sctp", 132), ("dccp", 33), ("udplite", 136)];

/// ICMPv6 types, as `nft describe icmpv6 type` shows them; the first name of a number is printed.
const ICMPV6_TYPES: [(&str, u8); 19] = [
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("mld-listener-reduction", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
];

/// The priorities with names; nft names one within 10 of a chain's priority.
const PRIORITIES: [(&str, i32); 6] = [
    ("raw", -300),
    ("mangle", -150),
    ("dstnat", -100),
    ("filter", 0),
    ("security", 50),
    ("srcnat", 100),
];

/// The number of a protocol, by name or as a number.
pub(crate) fn protocol(word: &str) -> Option<u8> {
    named(&PROTOCOLS, word).or_else(|| word.parse().ok())
}

/// The name of a protocol, if it is printed by name.
pub(crate) fn protocol_name(number: u8) -> Option<&'static str> {
    PROTOCOLS.iter().take(PRINTED).find(|(_, n)| *n == number).map(|(name, _)| *name)
}

/// The number of an ICMPv6 type, by name or as a number.
pub(crate) fn icmpv6_type(word: &str) -> Option<u8> {
    named(&ICMPV6_TYPES, word).or_else(|| word.parse().ok())
}

/// The name of an ICMPv6 type.
pub(crate) fn icmpv6_type_name(number: u8) -> Option<&'static str> {
    ICMPV6_TYPES.iter().find(|(_, n)| *n == number).map(|(name, _)| *name)
}

/// The priority that a name stands for.
pub(crate) fn priority(word: &str) -> Option<i32> {
    PRIORITIES.iter().find(|(name, _)| *name == word).map(|(_, n)| *n)
}

/// The named priority that nft says for this one at this hook, and the difference.
pub(crate) fn priority_name(priority: i32, hook: Hook) -> Option<(&'static str, i32)> {
    // nft names the priorities of address translation only at the hook where that is done.
    let fits = |name: &str| match name {
        "dstnat" => hook == Hook::Prerouting,
        "srcnat" => hook == Hook::Postrouting,
        _ => true,
    };
    PRIORITIES.iter().find_map(|(name, base)| {
        let difference = i64::from(priority) - i64::from(*base);
        let difference = i32::try_from(difference).ok()?;
        (difference.unsigned_abs() <= 10 && fits(name)).then_some((*name, difference))
    })
}

fn named(table: &[(&str, u8)], word: &str) -> Option<u8> {
    table.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}
