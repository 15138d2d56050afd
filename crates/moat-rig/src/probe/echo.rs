//! The far end of a session: gives back what it is sent, or talks of its own accord.

use super::listen::next;
use socket2::SockRef;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// The first word of a session that wants to be talked to.
pub(super) const TALK: &str = "talk ";
/// The first word of every line of one that talks.
pub(super) const TICK: &str = "tick ";

/// Serves the sessions of one port, and ends them when it ends.
pub(super) async fn accept(listener: TcpListener) {
    let mut sessions = JoinSet::new();
    loop {
        let stream = next(&listener).await;
        while sessions.try_join_next().is_some() {}
        sessions.spawn(async move {
            lively(&SockRef::from(&stream));
            // A session that breaks has ended.
            let _ = serve(&stream).await;
        });
    }
}

/// Lines go out at once, and the first six retransmissions of a flow that was cut do not wait twice as long each time (`tcp(7)`,
/// Documentation/networking/tcp-thin.rst): it is heard again soon after it is allowed again.
pub(super) fn lively(socket: &SockRef<'_>) {
    // Both are only about speed.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_thin_linear_timeouts(true);
}

async fn serve(stream: &TcpStream) -> io::Result<()> {
    let mut first = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let length = read(stream, &mut bytes).await?;
        let text = bytes.get(..length).unwrap_or_default();
        if length == 0 {
            return Ok(());
        }
        first.extend(text);
        if first.contains(&b'\n') || first.len() > bytes.len() {
            break;
        }
    }
    if let Some(every) = wanted(&first) {
        return talk(stream, every).await;
    }
    write(stream, &first).await?;
    loop {
        let length = read(stream, &mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        write(stream, bytes.get(..length).unwrap_or_default()).await?;
    }
}

/// How often a session wants to be talked to, if it does.
fn wanted(first: &[u8]) -> Option<Duration> {
    let every: u64 =
        core::str::from_utf8(first).ok()?.strip_prefix(TALK)?.trim_end().parse().ok()?;
    Some(Duration::from_millis(every.max(1)))
}

async fn talk(stream: &TcpStream, every: Duration) -> io::Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0_u64;
    let mut rest = [0; 64];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                number += 1;
                write(stream, format!("{TICK}{number}\n").as_bytes()).await?;
            }
            read = read(stream, &mut rest) => {
                if read? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads something; nothing at the end of the stream.
pub(super) async fn read(stream: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Writes all of it.
pub(super) async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
