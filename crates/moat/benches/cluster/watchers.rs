//! Watchers that take little of the machine they share with the server: a TLS connection each, and one thread that reads them all.
//!
//! What is stamped is when the bytes of an event were read from its connection. They are decrypted and looked at when all have come, or when
//! nothing came for a while: a hundred watchers on a hundred machines would not wait for each other's decryption.

use crate::client::Target;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use rustls::{ClientConnection, StreamOwned};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long nothing has to come before what came is looked at.
const QUIET_MS: u16 = 2;
/// How often it is looked whether anybody is still interested.
const IDLE_MS: u16 = 50;

struct Watcher {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What was read and when.
    raw: Vec<(Instant, Vec<u8>)>,
    /// What is not yet a whole event.
    text: Vec<u8>,
}

/// Opens watches of a path; each of their events that adds an object is told with the time at which its last byte was read.
pub(crate) fn watch(target: &Target, path: &str, n: u32) -> UnboundedReceiver<Vec<Instant>> {
    let watchers: Vec<Watcher> = (0..n).map(|_| Watcher::open(target, path)).collect();
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || follow(watchers, &sender));
    receiver
}

fn follow(mut watchers: Vec<Watcher>, seen: &UnboundedSender<Vec<Instant>>) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    for (at, watcher) in watchers.iter().enumerate() {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, at as u64);
        epoll.add(&watcher.stream.sock, event).unwrap();
    }
    let mut ready = vec![EpollEvent::empty(); watchers.len()];
    let mut n_waiting = 0;
    while !seen.is_closed() {
        let timeout = if n_waiting == 0 { IDLE_MS } else { QUIET_MS };
        let n_ready = epoll.wait(&mut ready, timeout).unwrap();
        for event in &ready[..n_ready] {
            let watcher = &mut watchers[usize::try_from(event.data()).unwrap()];
            n_waiting += usize::from(watcher.raw.is_empty());
            if !watcher.read() {
                assert!(seen.is_closed(), "the server ended a watch");
                return;
            }
        }
        if n_waiting == watchers.len() || n_ready == 0 && 0 < n_waiting {
            n_waiting = 0;
            let times: Vec<Instant> = watchers.iter_mut().flat_map(Watcher::events).collect();
            if !times.is_empty() {
                let _ = seen.send(times);
            }
        }
    }
}

impl Watcher {
    fn open(target: &Target, path: &str) -> Self {
        let mut stream = target.connect_blocking(&[]);
        let host = &target.address;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\r\n")
            .unwrap();
        stream.flush().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        stream.sock.set_nonblocking(true).unwrap();
        Self { stream, raw: Vec::new(), text: Vec::new() }
    }

    /// Reads what is there; whether the server is.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let n_read = self.stream.sock.read(&mut buffer).unwrap_or(0);
        let when = Instant::now();
        self.raw.push((when, buffer[..n_read].to_vec()));
        0 < n_read
    }

    /// When each event came of which the last byte is here.
    fn events(&mut self) -> Vec<Instant> {
        let mut times = Vec::new();
        for (when, raw) in self.raw.drain(..) {
            let mut rest = raw.as_slice();
            while !rest.is_empty() {
                self.stream.conn.read_tls(&mut rest).unwrap();
                self.stream.conn.process_new_packets().unwrap();
            }
            match self.stream.conn.reader().read_to_end(&mut self.text) {
                Ok(_) => panic!("the server ended a watch"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            // Sizes of chunks end with `\r\n`; nothing but an event ends with this.
            while let Some(end) = self.text.windows(2).position(|two| two == b"}\n") {
                let event: Vec<u8> = self.text.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                assert!(event.contains("{\"type\":\"ADDED\",\"object\":{"), "{event}");
                times.push(when);
            }
        }
        times
    }
}
