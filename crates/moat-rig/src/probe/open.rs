//! Opening sockets: the only step that must happen on a thread inside the namespace.

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::UdpSocket;

/// The protocol number of SCTP, which socket2 names on some systems only.
const IPPROTO_SCTP: i32 = 132;

/// The two ways to name a raw socket of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Raw {
    Icmp,
    Sctp,
}

fn domain(of: IpAddr) -> Domain {
    if of.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
}

/// Neither blocks nor, with IPv6, takes what comes over IPv4.
fn prepared(socket: Socket, of: IpAddr) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    if of.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// A TCP socket of the family of an address.
pub(super) fn tcp(of: IpAddr) -> io::Result<Socket> {
    prepared(Socket::new(domain(of), Type::STREAM, Some(Protocol::TCP))?, of)
}

/// A TCP socket that leaves nothing behind: closing it resets the connection, so no port waits in TIME_WAIT (`socket(7)`, SO_LINGER).
/// It queues ICMP errors, because one that arrives within `connect` does nothing else: the socket is in use then (`tcp_v4_err` in
/// net/ipv4/tcp_ipv4.c), and between namespaces of one machine that is when they arrive.
pub(super) fn tcp_abrupt(of: IpAddr) -> io::Result<Socket> {
    let socket = tcp(of)?;
    socket.set_linger(Some(Duration::ZERO))?;
    told(socket, of)
}

/// A UDP socket of the family of an address.
pub(super) fn udp(of: IpAddr) -> io::Result<Socket> {
    prepared(Socket::new(domain(of), Type::DGRAM, Some(Protocol::UDP))?, of)
}

/// A UDP socket that hears of every ICMP error, not only of closed ports (`ip(7)`, IP_RECVERR).
pub(super) fn udp_told(of: IpAddr) -> io::Result<Socket> {
    told(udp(of)?, of)
}

fn told(socket: Socket, of: IpAddr) -> io::Result<Socket> {
    if of.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    Ok(socket)
}

/// A raw socket that hears what is sent to one address of the namespace.
pub(super) fn raw(what: Raw, at: IpAddr) -> io::Result<Socket> {
    let protocol = match (what, at) {
        (Raw::Icmp, IpAddr::V4(_)) => Protocol::ICMPV4,
        (Raw::Icmp, IpAddr::V6(_)) => Protocol::ICMPV6,
        (Raw::Sctp, _) => Protocol::from(IPPROTO_SCTP),
    };
    let socket = Socket::new(domain(at), Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    // All answers to a host come through one socket.
    roomy(&socket);
    socket.bind(&SocketAddr::new(at, 0).into())?;
    Ok(socket)
}

/// As much room for what arrives at once as the administrator allows (`net.core.rmem_max`); less is no error.
pub(super) fn roomy(socket: &Socket) {
    let _ = socket.set_recv_buffer_size(4 << 20);
}

/// For the runtime. A raw socket sends and receives with addresses as a UDP socket does; only its ports mean nothing.
pub(super) fn datagrams(socket: Socket) -> io::Result<UdpSocket> {
    UdpSocket::from_std(socket.into())
}

/// The address that the kernel would send from; finding it out sends nothing.
pub(super) fn source(bound: Option<IpAddr>, to: IpAddr) -> io::Result<IpAddr> {
    let socket = udp(to)?;
    if let Some(address) = bound {
        socket.bind(&SocketAddr::new(address, 0).into())?;
    }
    socket.connect(&SocketAddr::new(to, 9).into())?;
    socket
        .local_addr()?
        .as_socket()
        .map(|at| at.ip())
        .ok_or_else(|| io::Error::other("the kernel names no source address"))
}

/// The address that means any.
pub(super) fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Takes one message off the error queue of a socket; `None` if there is none.
pub(super) fn queued_error(socket: &impl AsRawFd) -> io::Result<Option<io::Error>> {
    let mut bytes = [0; 256];
    let mut parts = [io::IoSliceMut::new(&mut bytes)];
    let mut room = nix::cmsg_space!([u8; 64]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let number = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            i32::try_from(error.ee_errno).ok()
        }
        _ => None,
    });
    Ok(number.map(io::Error::from_raw_os_error))
}
