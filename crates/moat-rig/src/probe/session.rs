//! A connection that is kept: does it still carry anything after the policies changed?

use super::echo::{self, TALK, TICK};
use super::open;
use super::outcome::{self, Outcome};
use moat_kernel::netns::Netns;
use nix::errno::Errno;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The client, with [`Session::ping`].
    Echo,
    /// The server, at these intervals; listened to with [`Session::heard`]. The client sends nothing but acknowledgements.
    Talk(Duration),
}

/// Whether a session is alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pulse {
    /// It is: something came after this time.
    Heard(Duration),
    /// Nothing came in time; the connection stands as far as this end knows.
    Silent,
    /// The connection is over.
    Broken(String),
}

/// An open connection to a port of [`ListenHost::echo`](super::ListenHost::echo).
#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
    /// What was read of a line that has not ended.
    rest: Vec<u8>,
    pings: u64,
}

impl Session {
    /// Connects from a host; if that does not work in time, says what a probe would say.
    pub async fn open(
        host: Arc<Netns>,
        source: Option<IpAddr>,
        to: SocketAddr,
        mode: Mode,
        within: Duration,
    ) -> Result<Self, Outcome> {
        let end = Instant::now() + within;
        let socket = tokio::task::spawn_blocking(move || host.run(|| open::tcp_abrupt(to.ip())))
            .await
            .unwrap_or_else(|died| Err(io::Error::other(died)))
            .and_then(|inside| inside)
            .map_err(|error| outcome::failed("open a socket", &error))?;
        if let Some(source) = source {
            socket
                .bind(&SocketAddr::new(source, 0).into())
                .map_err(|error| outcome::failed(&format!("bind {source}"), &error))?;
        }
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(wait) if wait.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(outcome::of_error("connect", &error)),
        }
        let failed = |error: io::Error| outcome::of_error("connect", &error);
        let stream = TcpStream::from_std(socket.into()).map_err(failed)?;
        timeout_at(end, stream.writable()).await.map_err(|_| Outcome::Dropped)?.map_err(failed)?;
        if let Some(error) = stream.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        let (local, peer) = stream
            .local_addr()
            .and_then(|local| Ok((local, stream.peer_addr()?)))
            .map_err(failed)?;
        echo::lively(&SockRef::from(&stream));
        if let Mode::Talk(every) = mode {
            let every = every.as_millis().max(1);
            let begin = format!("{TALK}{every}\n");
            let begun = echo::write(&stream, begin.as_bytes());
            timeout_at(end, begun).await.map_err(|_| Outcome::Dropped)?.map_err(failed)?;
        }
        Ok(Self { stream, local, peer, rest: Vec::new(), pings: 0 })
    }

    /// This end.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The far end, as it was asked: before any address translation.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends a line and waits for that line to come back. After a cut, what was lost is sent again at growing intervals: wait at least
    /// as long as the cut lasted, and two seconds.
    pub async fn ping(&mut self, within: Duration) -> Pulse {
        let (start, end) = (Instant::now(), Instant::now() + within);
        self.pings += 1;
        let ping = format!("ping {}", self.pings);
        match timeout_at(end, echo::write(&self.stream, format!("{ping}\n").as_bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Pulse::Broken(error.to_string()),
            Err(_) => return Pulse::Silent,
        }
        // The answers to earlier pings may come first.
        self.wait_for(|line| line == ping, start, end).await
    }

    /// Waits for the next line that the server sends; what came before the call does not count. What is said of a cut in
    /// [`Self::ping`] holds here.
    pub async fn heard(&mut self, within: Duration) -> Pulse {
        let (start, end) = (Instant::now(), Instant::now() + within);
        let mut bytes = [0; 4096];
        // A broken connection is told below.
        while let Ok(length @ 1..) = self.stream.try_read(&mut bytes) {
            self.rest = bytes.get(..length).unwrap_or_default().to_vec();
        }
        // A line of which half came before the call is not counted either: it shall not read as one.
        let half = self.rest.last().is_some_and(|byte| *byte != b'\n');
        self.rest = if half { b"?".to_vec() } else { Vec::new() };
        self.wait_for(|line| line.starts_with(TICK), start, end).await
    }

    async fn wait_for(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        start: Instant,
        end: Instant,
    ) -> Pulse {
        loop {
            while let Some(length) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=length).collect();
                if core::str::from_utf8(&line).is_ok_and(|line| wanted(line.trim_end())) {
                    return Pulse::Heard(start.elapsed());
                }
            }
            let mut bytes = [0; 1024];
            match timeout_at(end, echo::read(&self.stream, &mut bytes)).await {
                Err(_) => return Pulse::Silent,
                Ok(Ok(0)) => return Pulse::Broken("the far end closed the connection".to_owned()),
                Ok(Ok(length)) => self.rest.extend(bytes.get(..length).unwrap_or_default()),
                Ok(Err(error)) => return Pulse::Broken(error.to_string()),
            }
        }
    }
}
