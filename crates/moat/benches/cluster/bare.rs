//! What the machine takes to tell a hundred connections something: no TLS, no HTTP, no store, nothing but writes on as many threads as it has
//! cores. No server that answers a hundred connections can be faster.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// As large as the event of the rows about watches.
const EVENT: [u8; 500] = [b'x'; 500];
const N_ROUNDS: usize = 100;

/// From before a byte is written until each of `n` connections has read an event, in many rounds.
pub(crate) fn fan_out(n: usize) -> Vec<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pair = || {
        let ours = TcpStream::connect(address).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        ours.set_nodelay(true).unwrap();
        theirs.set_nodelay(true).unwrap();
        (ours, theirs)
    };
    let (mut request, mut requested) = pair();
    let (mut watchers, mut watched): (Vec<TcpStream>, Vec<TcpStream>) =
        (0..n).map(|_| pair()).unzip();
    let mut others = watched.split_off(n / 2);
    let (mut wake, mut woken) = UnixStream::pair().unwrap();
    // Both threads end when the request's connection does.
    std::thread::spawn(move || {
        while woken.read_exact(&mut [0]).is_ok() {
            others.iter_mut().for_each(|one| one.write_all(&EVENT).unwrap());
        }
    });
    std::thread::spawn(move || {
        while requested.read_exact(&mut [0]).is_ok() {
            wake.write_all(&[0]).unwrap();
            watched.iter_mut().for_each(|one| one.write_all(&EVENT).unwrap());
        }
    });
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    for (at, watcher) in watchers.iter().enumerate() {
        epoll.add(watcher, EpollEvent::new(EpollFlags::EPOLLIN, at as u64)).unwrap();
    }
    let mut ready = vec![EpollEvent::empty(); n];
    let mut times = Vec::new();
    for _ in 0..N_ROUNDS {
        let began = Instant::now();
        request.write_all(&[0]).unwrap();
        let mut n_left = n * EVENT.len();
        while 0 < n_left {
            let n_ready = epoll.wait(&mut ready, 1000_u16).unwrap();
            for event in &ready[..n_ready] {
                let watcher = &mut watchers[usize::try_from(event.data()).unwrap()];
                n_left -= watcher.read(&mut [0; 4096]).unwrap();
                times.push(began.elapsed());
            }
        }
    }
    times
}
