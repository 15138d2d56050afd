//! NetworkPolicy ports.

use super::{check_finding, np, policy};
use crate::policy::{PortMatch, Ports};
use moat_sets::{PortSet, Protocol};

fn ports(list: &str) -> Vec<PortMatch> {
    match policy(&np(&format!("{{ingress: [{{ports: {list}}}]}}"))).rules[0].ports.clone() {
        Ports::List(ports) => ports,
        Ports::Any => unreachable!("{list} is no list"),
    }
}

#[test]
fn forms_of_a_port() {
    let numbers = |protocol, low, high| PortMatch::Numbers(PortSet::range(protocol, low, high));
    let named = |protocol| PortMatch::Named { protocol: Some(protocol), name: "http".into() };
    let cases = [
        ("{port: 80}", numbers(Protocol::Tcp, 80, 80)),
        ("{port: 80, protocol: UDP}", numbers(Protocol::Udp, 80, 80)),
        ("{port: 80, protocol: null, endPort: null}", numbers(Protocol::Tcp, 80, 80)),
        ("{protocol: SCTP}", numbers(Protocol::Sctp, 0, 65535)),
        ("{}", numbers(Protocol::Tcp, 0, 65535)),
        ("null", numbers(Protocol::Tcp, 0, 65535)),
        ("{port: 80, endPort: 80}", numbers(Protocol::Tcp, 80, 80)),
        ("{port: 1, endPort: 65535}", numbers(Protocol::Tcp, 1, 65535)),
        ("{port: http}", named(Protocol::Tcp)),
        ("{port: http, protocol: UDP}", named(Protocol::Udp)),
    ];
    for (port, wanted) in cases {
        assert_eq!(ports(&format!("[{port}]")), [wanted], "{port}");
    }
}

#[test]
fn refused_ports_match_nothing_and_say_why() {
    let range = "must be between 1 and 65535, inclusive";
    let cases = [
        ("{port: 0}", "port: Invalid value: 0: ", range),
        ("{port: 65536}", "port: Invalid value: 65536: ", range),
        ("{port: -1}", "port: Invalid value: -1: ", range),
        ("{port: 80, endPort: 65536}", "endPort: Invalid value: 65536: ", range),
        (
            "{port: 80, endPort: 79}",
            "endPort: Invalid value: 80: ",
            "must be greater than or equal to `port`",
        ),
        (
            "{endPort: 79}",
            "endPort: Invalid value: 79: ",
            "may not be specified when `port` is not specified",
        ),
        (
            "{port: http, endPort: 90}",
            "endPort: Invalid value: 90: ",
            "may not be specified when `port` is non-numeric",
        ),
        (
            "{port: sixteen-letters-x}",
            "port: Invalid value: \"sixteen-letters-x\": ",
            "must be no more than 15 characters",
        ),
        (
            "{port: \"80\"}",
            "port: Invalid value: \"80\": ",
            "must contain at least one letter (a-z)",
        ),
        (
            "{port: Http}",
            "port: Invalid value: \"Http\": ",
            "must contain only alpha-numeric characters",
        ),
        ("{port: a--b}", "port: Invalid value: \"a--b\": ", "must not contain consecutive hyphens"),
        ("{port: -a}", "port: Invalid value: \"-a\": ", "must not begin or end with a hyphen"),
        (
            "{port: 80, protocol: tcp}",
            "protocol: Unsupported value: \"tcp\": ",
            "supported values: \"TCP\", \"UDP\", \"SCTP\"",
        ),
        ("{port: 80, protocol: ICMP}", "protocol: Unsupported value: \"ICMP\": ", ""),
        ("{port: 80.5}", "port: ", "want a port number or a port name, found a number"),
        ("{port: [80]}", "port: ", "want a port number or a port name, found a list"),
        ("{port: 80, endPort: \"90\"}", "endPort: ", "want a whole number, found a string"),
        ("{endPort: x}", "endPort: ", "want a whole number, found a string"),
        ("{protocol: 6}", "protocol: ", "want a string, found a number"),
        ("80", "", "want a mapping, found a number"),
    ];
    for (port, path, message) in cases {
        let text = format!("{{ingress: [{{ports: [{port}]}}]}}");
        let dot = if path.is_empty() { ": " } else { "." };
        check_finding(&np(&text), &format!("error spec.ingress[0].ports[0]{dot}{path}{message}"));
        assert_eq!(ports(&format!("[{port}]")), [], "{port}");
    }
}

#[test]
fn a_refused_port_takes_no_other_with_it() {
    let found = ports("[{port: 0}, {port: 443}]");
    assert_eq!(found, [PortMatch::Numbers(PortSet::range(Protocol::Tcp, 443, 443))]);
}
