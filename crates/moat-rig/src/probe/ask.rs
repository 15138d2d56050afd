//! One probe, from its bind to its outcome.

use super::hub::Hub;
use super::icmp::{self, About};
use super::open;
use super::outcome::{self, Outcome};
use super::parse_line;
use super::ports::{self, Ports, Towards};
use super::run::{Probe, Seen};
use super::sctp::{Chunk, Packet};
use moat_sets::Protocol;
use nix::errno::Errno;
use socket2::{SockRef, Socket};
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How often what may get lost is sent within the time-out.
const SENDINGS: u32 = 3;

/// What was opened for a probe.
#[derive(Debug)]
pub(super) enum Means {
    Tcp(Socket),
    Udp(Socket),
    Raw { hub: Arc<Hub>, source: IpAddr },
    Nothing(Outcome),
}

/// A probe about to be sent.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) probe: Probe,
    pub(super) limit: Duration,
    pub(super) ports: Arc<Ports>,
    /// Not the same for any two probes of this process, so that no answer is taken for that of another probe.
    pub(super) unique: u32,
}

/// What came back, before it is put into words.
type Back = (Outcome, Option<(IpAddr, u16)>);

impl Ask {
    /// Sends and waits.
    pub(super) async fn run(self, means: Means) -> Seen {
        let start = Instant::now();
        let mut seen = Seen {
            outcome: Outcome::Dropped,
            source_port: 0,
            source: self.probe.source.unwrap_or(open::any(self.probe.to)),
            answered_by: None,
            elapsed: Duration::ZERO,
            attempts: 1,
        };
        let back = match means {
            Means::Tcp(socket) => self.tcp(socket, start + self.limit, &mut seen).await,
            Means::Udp(socket) => self.udp(socket, start, &mut seen).await,
            Means::Raw { hub, source } => {
                seen.source = source;
                self.raw(&hub, start, &mut seen).await
            }
            Means::Nothing(outcome) => Err(outcome),
        };
        (seen.outcome, seen.answered_by) = back.unwrap_or_else(|outcome| (outcome, None));
        seen.elapsed = start.elapsed();
        seen
    }

    fn port(&self) -> Result<u16, Outcome> {
        let Probe { from, to, protocol, port, .. } = self.probe;
        self.ports.take(Towards { host: from, protocol, to, port }).ok_or_else(|| {
            Outcome::Failed(format!("every source port was used once towards {to} port {port}"))
        })
    }

    fn bind(&self, socket: &Socket, seen: &mut Seen) -> Result<(), Outcome> {
        for _ in 0..ports::COUNT {
            let port = self.port()?;
            match socket.bind(&SocketAddr::new(seen.source, port).into()) {
                Ok(()) => {
                    seen.source_port = port;
                    return Ok(());
                }
                Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(outcome::failed(&format!("bind {}", seen.source), &error));
                }
            }
        }
        Err(Outcome::Failed(format!("every source port of {} is taken", seen.source)))
    }

    /// Binds and connects; where from is known after.
    fn connect(&self, socket: &Socket, seen: &mut Seen) -> Result<(), Outcome> {
        self.bind(socket, seen)?;
        let to = SocketAddr::new(self.probe.to, self.probe.port);
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(wait) if wait.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(outcome::of_error("connect", &error)),
        }
        if let Some(local) = socket.local_addr().ok().and_then(|local| local.as_socket()) {
            seen.source = local.ip();
        }
        Ok(())
    }

    async fn tcp(&self, socket: Socket, end: Instant, seen: &mut Seen) -> Result<Back, Outcome> {
        self.connect(&socket, seen)?;
        let stream = TcpStream::from_std(socket.into())
            .map_err(|error| outcome::failed("a TCP socket", &error))?;
        // The line is awaited, not the connection: it is one wake-up less, and `peer_addr` tells the rest.
        match timeout_at(end, first_line(&stream)).await {
            Ok(Ok(by)) => Ok((Outcome::Connected, by)),
            // `tcp(7)`: a connection that stood is reset or broken; one that did not is refused.
            Ok(Err(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                ) =>
            {
                Ok((Outcome::Connected, None))
            }
            // An error that did not end it.
            Ok(Err(_)) if stream.peer_addr().is_ok() => Ok((Outcome::Connected, None)),
            Ok(Err(error)) => Err(outcome::of_error("connect", &error)),
            Err(_) if stream.peer_addr().is_ok() => Ok((Outcome::Connected, None)),
            Err(_) => Err(Outcome::Dropped),
        }
    }

    async fn udp(&self, socket: Socket, start: Instant, seen: &mut Seen) -> Result<Back, Outcome> {
        self.connect(&socket, seen)?;
        let socket =
            open::datagrams(socket).map_err(|error| outcome::failed("a UDP socket", &error))?;
        let payload = format!("probe {}\n", self.unique);
        for sending in 1..=SENDINGS {
            match SockRef::from(&socket).send(payload.as_bytes()) {
                Ok(_) => {}
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(outcome::of_error("send", &error)),
            }
            let answer = async {
                loop {
                    // An ICMP error makes a socket erroneous, not readable: `ready`, not `readable`.
                    let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
                    let interest =
                        if ready.is_error() { Interest::ERROR } else { Interest::READABLE };
                    let mut bytes = [0; 256];
                    // Reading reports a pending error before anything else (`ip(7)`).
                    match socket.try_io(interest, || (&*SockRef::from(&socket)).read(&mut bytes)) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            // The error itself may have been taken by a send, and its message still waits: the socket would stay
                            // erroneous and never let the time-out come.
                            if interest == Interest::ERROR
                                && let Some(error) = open::queued_error(&socket)?
                            {
                                return Err(error);
                            }
                        }
                        Err(error) => return Err(error),
                        Ok(length) => {
                            let text = bytes.get(..length).unwrap_or_default();
                            // A connected socket hears its peer alone. Another server may answer anything.
                            return Ok(text.strip_prefix(payload.as_bytes()).and_then(parse_line));
                        }
                    }
                }
            };
            match timeout_at(self.end_of(sending, start), answer).await {
                Ok(Ok(by)) => return Ok((Outcome::Connected, by)),
                Ok(Err(error)) => return Err(outcome::of_error("receive", &error)),
                Err(_) => {}
            }
        }
        Err(Outcome::Dropped)
    }

    async fn raw(&self, hub: &Hub, start: Instant, seen: &mut Seen) -> Result<Back, Outcome> {
        let Probe { to, protocol, port, .. } = self.probe;
        seen.source_port = self.port()?;
        let (about, packet) = if protocol == Protocol::Sctp {
            // A tag of zero is not allowed (RFC 9260, 3.3.2).
            let tag = self.unique.max(1);
            let chunk = Chunk::Init { tag };
            let packet = Packet { from: seen.source_port, to: port, tag: 0, chunk };
            (About::Init(tag), packet.write())
        } else {
            let [_, _, high, low] = self.unique.to_be_bytes();
            let sequence = u16::from_be_bytes([high, low]);
            (About::Echo(seen.source_port, sequence), icmp::echo(to, seen.source_port, sequence))
        };
        let mut waiting = hub.subscribe(about);
        let mut best = Outcome::Dropped;
        for sending in 1..=SENDINGS {
            match hub.send(about, &packet, to) {
                Ok(()) => {}
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(outcome::of_error("send", &error)),
            }
            let end = self.end_of(sending, start);
            while let Ok(Some(answer)) = timeout_at(end, waiting.answers.recv()).await {
                if answer.last {
                    return Ok((answer.outcome, answer.by));
                }
                best = answer.outcome;
            }
        }
        Ok((best, None))
    }

    /// When the wait after a sending is over: each is twice as long as the one before.
    fn end_of(&self, sending: u32, start: Instant) -> Instant {
        start + self.limit * ((1 << sending) - 1) / ((1 << SENDINGS) - 1)
    }
}

/// A full queue of this machine is as good as a lost packet: it is sent again.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}

/// The first line of a stream; none if it ends before or says something else.
async fn first_line(stream: &TcpStream) -> io::Result<Option<(IpAddr, u16)>> {
    let mut text = Vec::new();
    loop {
        let ready = stream.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error()
            && let Some(error) = open::queued_error(stream)?
        {
            return Err(error);
        }
        let interest = if ready.is_error() { Interest::ERROR } else { Interest::READABLE };
        let mut bytes = [0; 128];
        match stream.try_io(interest, || (&*SockRef::from(stream)).read(&mut bytes)) {
            Ok(0) => return Ok(parse_line(&text)),
            Ok(length) => {
                text.extend(bytes.get(..length).unwrap_or_default());
                if text.contains(&b'\n') || text.len() > 128 {
                    return Ok(parse_line(&text));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
