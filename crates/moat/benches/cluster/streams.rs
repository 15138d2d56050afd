//! Watchers as client-go's informers have them: streams of one HTTP/2 connection.
//!
//! What is stamped is when bytes were read from the connection; they are decrypted, and taken apart into frames (RFC 9113, section 4), when
//! nothing came for a while. The requests are written by hand, because a library would do the work of a hundred watchers beside the server.

use crate::client::Target;
use rustls::{ClientConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 1 | 4;
/// Bytes that the server may send without asking: more than a run sends.
const WINDOW: u32 = 1 << 30;
/// How long nothing has to come before what came is looked at.
const QUIET: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_millis(50);

struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    raw: Vec<(Instant, Vec<u8>)>,
    /// Where bytes are read to; one for all reads, because fresh memory costs more than what it is for.
    buffer: Vec<u8>,
    /// What is not yet a whole frame.
    frames: Vec<u8>,
    /// What is not yet a whole event, by stream.
    text: BTreeMap<u32, Vec<u8>>,
}

/// Opens `n` watches of a path; each of their events is told with the time at which its last byte was read.
pub(crate) fn watch(target: &Target, path: &str, n: u32) -> UnboundedReceiver<Vec<Instant>> {
    let mut connection = Connection::open(target);
    for at in 0..n {
        connection.request(at * 2 + 1, &target.address, path);
    }
    while connection.text.len() < n as usize {
        connection.wait(IDLE);
        connection.events();
    }
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || follow(connection, &sender));
    receiver
}

fn follow(mut connection: Connection, seen: &UnboundedSender<Vec<Instant>>) {
    while !seen.is_closed() {
        let timeout = if connection.raw.is_empty() { IDLE } else { QUIET };
        if !connection.wait(timeout) {
            let times = connection.events();
            if !times.is_empty() {
                let _ = seen.send(times);
            }
        }
    }
}

impl Connection {
    fn open(target: &Target) -> Self {
        let stream = target.connect_blocking(&[b"h2"]);
        let mut own = Self {
            stream,
            raw: Vec::new(),
            buffer: vec![0; 1 << 17],
            frames: Vec::new(),
            text: BTreeMap::new(),
        };
        own.stream.write_all(PREFACE).unwrap();
        // SETTINGS_INITIAL_WINDOW_SIZE is setting 4.
        let mut settings = vec![0, 4];
        settings.extend(WINDOW.to_be_bytes());
        own.send(SETTINGS, 0, 0, &settings);
        own.send(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
        assert_eq!(own.stream.conn.alpn_protocol(), Some(&b"h2"[..]), "the server has no HTTP/2");
        own
    }

    fn request(&mut self, stream: u32, host: &str, path: &str) {
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", host),
            (":path", path),
            ("accept", "application/json"),
        ];
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal that is not indexed, with a name of its own (RFC 7541, section 6.2.2).
            block.push(0);
            for text in [name, value] {
                let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
                block.push(length.expect("a field below 127 bytes"));
                block.extend(text.as_bytes());
            }
        }
        self.send(HEADERS, END_STREAM_AND_HEADERS, stream, &block);
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(body);
        self.stream.write_all(&frame).unwrap();
    }

    /// Reads what comes within a time; whether anything did.
    fn wait(&mut self, timeout: Duration) -> bool {
        self.stream.sock.set_read_timeout(Some(timeout)).unwrap();
        match self.stream.sock.read(&mut self.buffer) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(n_read) => {
                let when = Instant::now();
                self.raw.push((when, self.buffer[..n_read].to_vec()));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return false;
            }
        }
        true
    }

    /// When each event came of which the last byte is here.
    fn events(&mut self) -> Vec<Instant> {
        let mut times = Vec::new();
        for (when, raw) in std::mem::take(&mut self.raw) {
            let mut rest = raw.as_slice();
            while !rest.is_empty() {
                self.stream.conn.read_tls(&mut rest).unwrap();
                self.stream.conn.process_new_packets().unwrap();
                if let Err(error) = self.stream.conn.reader().read_to_end(&mut self.frames) {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                }
            }
            while let Some((kind, flags, stream, body)) = self.frame() {
                match kind {
                    DATA => self.data(stream, &body, when, &mut times),
                    // The first byte is `:status: 200` of the static table.
                    HEADERS => {
                        assert_eq!(body.first(), Some(&0x88), "a watch was refused: {body:?}");
                        self.text.insert(stream, Vec::new());
                    }
                    SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                    PING if flags & ACK == 0 => self.send(PING, ACK, 0, &body),
                    GOAWAY => panic!("the server ends the connection"),
                    _ => {}
                }
            }
        }
        times
    }

    fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let [a, b, c, kind, flags, d, e, f, g] = *self.frames.first_chunk()?;
        let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        let body = self.frames.get(9..end)?.to_vec();
        self.frames.drain(..end);
        Some((kind, flags, u32::from_be_bytes([d & 0x7f, e, f, g]), body))
    }

    fn data(&mut self, stream: u32, body: &[u8], when: Instant, times: &mut Vec<Instant>) {
        let text = self.text.get_mut(&stream).expect("a stream that was answered");
        text.extend(body);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let event: Vec<u8> = text.drain(..=end).collect();
            let event = String::from_utf8(event).unwrap();
            assert!(event.starts_with("{\"type\":\"ADDED\",\"object\":{"), "{event}");
            times.push(when);
        }
    }
}
