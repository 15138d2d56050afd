//! Destinations and ports: `TO:PORT/PROTOCOL`.

use super::words::url;
use super::{Port, QueryError};
use moat_ir::PodInfo;
use moat_sets::{Cidr, Protocol, ServicePoint};
use std::net::Ipv6Addr;

/// Takes `TO:PORT[/PROTOCOL]` apart.
pub fn destination(text: &str) -> Result<(&str, Port, Protocol), QueryError> {
    if let Some(error) = url(text) {
        return Err(error);
    }
    if let Some(error) = without_brackets(text) {
        return Err(error);
    }
    // The port is what follows the last colon; an IPv6 address with a port stands in brackets.
    let (target, port) = match text.rsplit_once(':') {
        Some((target, port)) if target.ends_with(']') || !target.contains(':') => (target, port),
        _ => return Ok((text, Port::Any, Protocol::Tcp)),
    };
    if port.is_empty() {
        return Err(QueryError::new(format!("`{text}` has no port after the colon"))
            .help("write `TO:PORT` or `TO:PORT/PROTOCOL`, such as `shop/db:5432/TCP`".to_owned()));
    }
    let (port, protocol) = self::port(port)?;
    Ok((target, port, protocol))
}

/// An IPv6 address with a port, or what may be one, must stand in brackets: no guess is better than a wrong one.
fn without_brackets(text: &str) -> Option<QueryError> {
    let (address, rest) = text.rsplit_once(':')?;
    address.parse::<Ipv6Addr>().ok()?;
    let (_, protocol) = port(rest).ok()?;
    if text.parse::<Ipv6Addr>().is_err() && Cidr::parse(text).is_err() {
        return Some(
            QueryError::new(format!("`{text}` has a port after an IPv6 address without brackets"))
                .help(format!("write `[{address}]:{rest}`")),
        );
    }
    // `::1` and `2001:db8::1` never come here: what is before their last group is no address.
    let is_port = rest.parse::<u16>().is_ok() && !rest.starts_with('0');
    is_port.then(|| {
        QueryError::new(format!(
            "`{text}` may be an address, or {protocol} port {rest} of `{address}`"
        ))
        .help(format!("write `[{text}]` for the address, `[{address}]:{rest}` for the port"))
    })
}

/// Takes `PORT[/PROTOCOL]` apart; `ICMP` needs no port.
pub fn port(text: &str) -> Result<(Port, Protocol), QueryError> {
    if text.eq_ignore_ascii_case("icmp") {
        return Ok((Port::Number(0), Protocol::Other));
    }
    let (port, protocol) = match text.split_once('/') {
        Some((port, protocol)) => (port, Some(protocol)),
        None => (text, None),
    };
    let protocol = match protocol {
        None => Protocol::Tcp,
        Some(text) => Protocol::parse(text).ok_or_else(|| {
            QueryError::new(format!("`{text}` is no protocol"))
                .help("use TCP, UDP, SCTP or ICMP".to_owned())
        })?,
    };
    let port = match port.parse::<u32>() {
        Ok(0) if protocol == Protocol::Other => Port::Number(0),
        Ok(number) => match u16::try_from(number) {
            Ok(number) if number > 0 => Port::Number(number),
            _ => {
                return Err(QueryError::new(format!("port `{number}` is out of range"))
                    .help("ports are 1 to 65535".to_owned()));
            }
        },
        Err(_) if port.is_empty() && protocol == Protocol::Other => Port::Number(0),
        Err(_) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(QueryError::new(format!("port `{port}` is out of range"))
                .help("ports are 1 to 65535".to_owned()));
        }
        Err(_) if port.is_empty() || port.starts_with('-') => {
            return Err(QueryError::new(format!("`{text}` is no port")).help(
                "write a number or a name, with a protocol if not TCP: `53/UDP`".to_owned(),
            ));
        }
        Err(_) if is_range(port) => {
            return Err(QueryError::new(format!("`{port}` is a range of ports"))
                .help("ask about one port, or leave it out to ask about every port".to_owned()));
        }
        Err(_) => Port::Name(port.to_owned()),
    };
    Ok((port, protocol))
}

/// `80-90`: no port name is all digits and a dash.
fn is_range(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(low, high)| number(low) && number(high))
}

/// The points that a port's name stands for on a pod; a protocol, when said, is one that the port must have.
pub(crate) fn named_port(
    pod: &PodInfo,
    name: &str,
    protocol: Option<Protocol>,
) -> Result<Vec<ServicePoint>, QueryError> {
    let found: Vec<ServicePoint> = pod
        .ports
        .iter()
        .filter(|(have, own, _)| {
            have.as_deref() == Some(name) && protocol.is_none_or(|protocol| protocol == *own)
        })
        .map(|&(_, protocol, number)| ServicePoint::new(protocol, number))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let declared: Vec<String> = pod
        .ports
        .iter()
        .map(|(name, protocol, number)| match name {
            Some(name) => format!("{name} {number}/{protocol}"),
            None => format!("{number}/{protocol}"),
        })
        .collect();
    let of = protocol.map(|protocol| format!("{protocol} ")).unwrap_or_default();
    Err(QueryError::new(format!("{} has no {of}port named `{name}`", pod.display)).help(
        if declared.is_empty() {
            "it declares no port; give the port's number".to_owned()
        } else {
            format!("it declares {}", declared.join(", "))
        },
    ))
}

/// A port's name where nothing can have one.
pub(crate) fn only_pods_name_ports(name: &str) -> QueryError {
    QueryError::new(format!("`{name}` is a port name, and only pods and Services have named ports"))
        .help("give the port's number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        assert_eq!(destination("a/b:80").unwrap(), ("a/b", Port::Number(80), Protocol::Tcp));
        assert_eq!(destination("a/b:53/udp").unwrap(), ("a/b", Port::Number(53), Protocol::Udp));
        assert_eq!(
            destination("a/b:http").unwrap(),
            ("a/b", Port::Name("http".into()), Protocol::Tcp)
        );
        assert_eq!(
            destination("[2001:db8::1]:80").unwrap(),
            ("[2001:db8::1]", Port::Number(80), Protocol::Tcp)
        );
        assert_eq!(destination("2001:db8::1").unwrap(), ("2001:db8::1", Port::Any, Protocol::Tcp));
        assert_eq!(destination("a/b").unwrap(), ("a/b", Port::Any, Protocol::Tcp));
        assert_eq!(destination("a/b:0/ICMP").unwrap(), ("a/b", Port::Number(0), Protocol::Other));
        for bad in ["a/b:70000", "a/b:0", "a/b:", "a/b:80/xyz", "a/b:99999999999", "a/b:-1"] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }

    fn help(text: &str) -> String {
        let error = destination(text).unwrap_err();
        format!("{}; {}", error.message, error.help.unwrap_or_default())
    }

    #[test]
    fn addresses_with_colons_are_never_guessed() {
        expect_test::expect!["`fd00::1:80` may be an address, or TCP port 80 of `fd00::1`; write `[fd00::1:80]` for the address, `[fd00::1]:80` for the port"].assert_eq(&help("fd00::1:80"));
        expect_test::expect!["`fd00::1:53/UDP` has a port after an IPv6 address without brackets; write `[fd00::1]:53/UDP`"].assert_eq(&help("fd00::1:53/UDP"));
        expect_test::expect!["`fd00::1:http` has a port after an IPv6 address without brackets; write `[fd00::1]:http`"].assert_eq(&help("fd00::1:http"));
        for text in [
            "::1",
            "fd00::1",
            "2001:db8:0:0:0:0:0:1",
            "fd00::1:ab",
            "fd00::1:8080:0",
            "fd00::1:80/112",
            "::ffff:10.0.0.1",
            "[fd00::1:80]",
        ] {
            assert_eq!(destination(text).unwrap(), (text, Port::Any, Protocol::Tcp), "{text}");
        }
    }

    #[test]
    fn urls_say_which_name_is_meant() {
        let said = |text: &str| destination(text).unwrap_err().help.unwrap();
        assert_eq!(said("https://example.com"), "write `domain/example.com:443`");
        assert_eq!(said("http://me@example.com:8080/a?b#c"), "write `domain/example.com:8080`");
        assert_eq!(said("https://api.shop.svc.cluster.local"), "write `shop/svc/api:443`");
        assert_eq!(said("http://[fd00::1]/"), "write `[fd00::1]:80`");
        assert_eq!(said("tcp://10.0.0.1:5"), "write `10.0.0.1:5`");
        assert_eq!(said("postgres://db"), "write `domain/db`");
    }

    #[test]
    fn ranges_are_no_ports() {
        assert_eq!(destination("a/b:80-90").unwrap_err().message, "`80-90` is a range of ports");
        assert_eq!(port("a-1").unwrap().0, Port::Name("a-1".into()));
    }
}
