//! The far ends: who listens where, and answers with a line that says so.

use super::sctp::{Chunk, Packet};
use super::{echo, icmp, line, open};
use core::fmt;
use moat_kernel::netns::Netns;
use moat_sets::Protocol;
use socket2::{SockRef, Socket};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What listens in a namespace.
#[derive(Clone, Debug)]
pub struct ListenHost {
    /// The namespace.
    pub netns: Arc<Netns>,
    /// Its addresses, as far as something listens there. Those of IPv6 must have passed duplicate address detection.
    pub addresses: Vec<IpAddr>,
    /// What answers with a line, on each address. The kernel answers [`Protocol::Other`], the echo of ICMP, by itself.
    pub points: Vec<(Protocol, u16)>,
    /// TCP ports for [`Session`](super::Session), on each address.
    pub echo: Vec<u16>,
}

/// Who could not listen where.
#[derive(Debug)]
pub struct ListenError {
    host: usize,
    doing: String,
    source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}: {}: {}", self.host, self.doing, self.source)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Everything that listens, until it is dropped.
#[derive(Debug)]
pub struct Listeners {
    tasks: JoinSet<()>,
    unlimited: bool,
}

/// Connections that wait to be accepted; the kernel takes the smaller of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// How long a client may take to read its line.
const LINGER: Duration = Duration::from_secs(10);

enum Opened {
    Line(Socket, SocketAddr),
    Echo(Socket),
    Udp(Socket, SocketAddr),
    Sctp(Socket, IpAddr),
}

impl Listeners {
    /// Starts all of them, or says which one could not. Call inside a runtime.
    pub fn start(hosts: &[ListenHost]) -> Result<Self, ListenError> {
        let mut listeners = Self { tasks: JoinSet::new(), unlimited: true };
        for (at, host) in hosts.iter().enumerate() {
            let error = |(doing, source)| ListenError { host: at, doing, source };
            Handle::try_current().map_err(|none| {
                error(("start listeners outside of a runtime".to_owned(), io::Error::other(none)))
            })?;
            let opened = host
                .netns
                .run(|| (unlimit(), open_all(host)))
                .map_err(|source| error(("enter the namespace".to_owned(), source)))?;
            listeners.unlimited &= opened.0;
            for opened in opened.1.map_err(error)? {
                listeners
                    .spawn(opened, host)
                    .map_err(|source| error(("register a listener".to_owned(), source)))?;
            }
        }
        Ok(listeners)
    }

    /// Whether the hosts answer every probe of a closed port. If not, because the limits on ICMP could not be lifted, some probes of
    /// closed UDP ports look dropped.
    #[must_use]
    pub fn unlimited(&self) -> bool {
        self.unlimited
    }

    /// How many sockets listen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    fn spawn(&mut self, opened: Opened, host: &ListenHost) -> io::Result<()> {
        match opened {
            Opened::Line(socket, at) => {
                // Accepted sockets inherit it: the line waits for the end of the stream and both go in one segment (`tcp(7)`, TCP_CORK).
                socket.set_tcp_cork(true)?;
                let listener = TcpListener::from_std(socket.into())?;
                self.tasks.spawn(accept(listener, line(at)));
            }
            Opened::Echo(socket) => {
                let listener = TcpListener::from_std(socket.into())?;
                self.tasks.spawn(echo::accept(listener));
            }
            Opened::Udp(socket, at) => {
                self.tasks.spawn(answer(open::datagrams(socket)?, line(at)));
            }
            Opened::Sctp(socket, at) => {
                let sctp = host.points.iter().filter(|(protocol, _)| *protocol == Protocol::Sctp);
                let ports = sctp.map(|(_, port)| *port).collect();
                self.tasks.spawn(associate(open::datagrams(socket)?, at, ports));
            }
        }
        Ok(())
    }
}

/// Takes all types of ICMP off the limits in the calling thread's namespace: by default a host tells a peer only once a second that a
/// port is closed (`icmp_ratemask` in Documentation/networking/ip-sysctl.rst). A rate without limit would not do: it empties the bucket
/// that the limit on errors of routes draws from (`inet_peer_xrlim_allow`, `ip_error`).
fn unlimit() -> bool {
    let v4 = fs::write("/proc/sys/net/ipv4/icmp_ratemask", "0");
    // Leaves a type that does not exist.
    let v6 = fs::write("/proc/sys/net/ipv6/icmp/ratemask", "255");
    // A kernel without IPv6 has nothing to lift.
    v4.is_ok() && v6.map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true)
}

/// Opens the sockets of one host, inside.
fn open_all(host: &ListenHost) -> Result<Vec<Opened>, (String, io::Error)> {
    let mut opened = Vec::new();
    for address in &host.addresses {
        for (protocol, port) in &host.points {
            let at = SocketAddr::new(*address, *port);
            match protocol {
                Protocol::Tcp => opened.push(Opened::Line(listen(at).map_err(told(at))?, at)),
                Protocol::Udp => {
                    // Bound to the address, an answer comes from where it was asked.
                    let socket =
                        open::udp(at.ip()).and_then(|udp| udp.bind(&at.into()).map(|()| udp));
                    let socket = socket.map_err(told(at))?;
                    open::roomy(&socket);
                    opened.push(Opened::Udp(socket, at));
                }
                Protocol::Sctp | Protocol::Other => {}
            }
        }
        for port in &host.echo {
            let at = SocketAddr::new(*address, *port);
            opened.push(Opened::Echo(listen(at).map_err(told(at))?));
        }
        match open::raw(open::Raw::Sctp, *address) {
            Ok(socket) => opened.push(Opened::Sctp(socket, *address)),
            // Without it the kernel refuses, which is the right answer where nobody listens.
            Err(error) if host.points.iter().any(|(protocol, _)| *protocol == Protocol::Sctp) => {
                return Err((format!("listen for SCTP on {address}"), error));
            }
            Err(_) => {}
        }
    }
    Ok(opened)
}

fn told(at: SocketAddr) -> impl FnOnce(io::Error) -> (String, io::Error) {
    move |error| (format!("listen on {at}"), error)
}

fn listen(at: SocketAddr) -> io::Result<Socket> {
    let socket = open::tcp(at.ip())?;
    // What an earlier listener left in TIME_WAIT does not stand in the way (`socket(7)`).
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The next connection. Accepting fails for single connections and for want of files, and neither ends the listener.
pub(super) async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // For want of files, the connection stays in the queue and accepting would fail at once again.
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn accept(listener: TcpListener, line: String) {
    loop {
        let stream = next(&listener).await;
        let socket = SockRef::from(&stream);
        // A client that has gone is no concern.
        let _ = socket.send(line.as_bytes());
        let _ = socket.shutdown(Shutdown::Write);
        // Closing a socket with unread data resets the connection, and a reset may overtake the line (RFC 1122, 4.2.2.13): the client
        // goes first.
        tokio::spawn(timeout(LINGER, async move {
            let mut rest = [0; 256];
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut rest) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        }));
    }
}

/// Answers datagrams with what they say and a line.
async fn answer(socket: UdpSocket, line: String) {
    while socket.readable().await.is_ok() {
        let mut bytes = [0; 1024];
        // An error is about an answer sent before.
        let Ok((length, from)) = socket.try_recv_from(&mut bytes) else { continue };
        let answer = [bytes.get(..length).unwrap_or_default(), line.as_bytes()].concat();
        // A full queue is as good as a lost packet: probes ask again.
        let _ = socket.try_send_to(&answer, from);
    }
}

/// Answers the INITs of SCTP: who listens agrees, who does not aborts.
async fn associate(socket: UdpSocket, at: IpAddr, ports: BTreeSet<u16>) {
    while socket.readable().await.is_ok() {
        let mut bytes = [0; 1024];
        let Ok((length, from)) = socket.try_recv_from(&mut bytes) else { continue };
        let bytes = bytes.get(..length).unwrap_or_default();
        let packet = if at.is_ipv4() { icmp::payload_v4(bytes) } else { Some(bytes) };
        let Some(Packet { from: port, to, chunk: Chunk::Init { tag }, .. }) =
            packet.and_then(Packet::read)
        else {
            continue;
        };
        let says = line(SocketAddr::new(at, to)).into_bytes();
        let chunk =
            if ports.contains(&to) { Chunk::InitAck { says } } else { Chunk::Abort { says } };
        let answer = Packet { from: to, to: port, tag, chunk }.write();
        let _ = socket.try_send_to(&answer, SocketAddr::new(from.ip(), 0));
    }
}
