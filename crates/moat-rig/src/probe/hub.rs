//! The raw sockets of one source address, shared by all its probes: every raw socket of a host is handed every packet, so one socket
//! per probe would cost the square of their number.

use super::icmp::{self, About};
use super::open::{self, Raw};
use super::outcome::Outcome;
use super::parse_line;
use super::sctp::{Chunk, Packet};
use moat_sets::Protocol;
use rustc_hash::FxHashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

/// What a probe learns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) by: Option<(IpAddr, u16)>,
    /// Whether nothing better can follow. A kernel with SCTP of its own aborts what it does not know before a listener of ours answers.
    pub(super) last: bool,
}

type Waiting = Mutex<FxHashMap<About, UnboundedSender<Answer>>>;

/// Raw sockets bound to one address, and the probes that wait for answers there.
#[derive(Debug)]
pub(super) struct Hub {
    icmp: Arc<UdpSocket>,
    sctp: Option<Arc<UdpSocket>>,
    waiting: Arc<Waiting>,
    readers: Vec<AbortHandle>,
}

impl Hub {
    /// Opens the sockets that probes of a protocol need. Call inside the namespace and inside a runtime.
    pub(super) fn open(at: IpAddr, protocol: Protocol) -> io::Result<Self> {
        let waiting = Arc::default();
        let icmp = Arc::new(open::datagrams(open::raw(Raw::Icmp, at)?)?);
        let mut hub = Self { icmp, sctp: None, waiting, readers: Vec::new() };
        let news = move |packet: &[u8]| {
            let news = icmp::read(at.is_ipv4(), packet)?;
            Some((news.about, Answer { outcome: news.outcome, by: None, last: true }))
        };
        hub.read(Arc::clone(&hub.icmp), news);
        if protocol == Protocol::Sctp {
            let sctp = Arc::new(open::datagrams(open::raw(Raw::Sctp, at)?)?);
            hub.read(Arc::clone(&sctp), move |packet| answer(at.is_ipv4(), packet));
            hub.sctp = Some(sctp);
        }
        Ok(hub)
    }

    /// Hands what arrives to the probe it is about.
    fn read(
        &mut self,
        socket: Arc<UdpSocket>,
        understand: impl Fn(&[u8]) -> Option<(About, Answer)> + Send + 'static,
    ) {
        let waiting = Arc::clone(&self.waiting);
        let reader = tokio::spawn(async move {
            // Errors of a raw socket are about single packets; the packets that say the same arrive as well.
            while socket.readable().await.is_ok() {
                let mut bytes = [0; 1500];
                let Ok((length, _)) = socket.try_recv_from(&mut bytes) else { continue };
                let Some((about, answer)) = understand(bytes.get(..length).unwrap_or_default())
                else {
                    continue;
                };
                let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(probe) = waiting.get(&about) {
                    // The probe may have ended just now.
                    let _ = probe.send(answer);
                }
            }
        });
        self.readers.push(reader.abort_handle());
    }

    /// Answers about a probe from now on, until the subscription goes.
    pub(super) fn subscribe(&self, about: About) -> Subscription<'_> {
        let (sender, answers) = unbounded_channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(about, sender);
        Subscription { hub: self, about, answers }
    }

    /// Sends an INIT or an echo request.
    pub(super) fn send(&self, about: About, packet: &[u8], to: IpAddr) -> io::Result<()> {
        let socket = match about {
            About::Init(_) => self.sctp.as_ref().unwrap_or(&self.icmp),
            About::Echo(..) => &self.icmp,
        };
        socket.try_send_to(packet, SocketAddr::new(to, 0)).map(drop)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.readers.iter().for_each(AbortHandle::abort);
    }
}

/// A probe that waits.
#[derive(Debug)]
pub(super) struct Subscription<'a> {
    hub: &'a Hub,
    about: About,
    pub(super) answers: UnboundedReceiver<Answer>,
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        self.hub.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.about);
    }
}

/// What an SCTP packet answers to whom.
fn answer(v4: bool, packet: &[u8]) -> Option<(About, Answer)> {
    let packet = Packet::read(if v4 { icmp::payload_v4(packet)? } else { packet })?;
    let (outcome, says) = match &packet.chunk {
        Chunk::Init { .. } => return None,
        Chunk::InitAck { says } => (Outcome::Connected, says),
        Chunk::Abort { says } => (Outcome::Refused, says),
    };
    let by = parse_line(says);
    let last = outcome == Outcome::Connected || by.is_some();
    Some((About::Init(packet.tag), Answer { outcome, by, last }))
}
