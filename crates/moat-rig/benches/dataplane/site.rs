//! A client pod and a server pod at one node, with sockets in them.

use moat_kernel::link::{Links, PodWire, forwarding, sysctls};
use moat_kernel::netns::Netns;
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::Table;
use moat_nft::plan::plan;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// A client pod, a server pod, and the node between them.
pub(crate) struct Site {
    pub(crate) node: Arc<Netns>,
    pub(crate) client: Netns,
    pub(crate) server: Netns,
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
}

impl Site {
    pub(crate) async fn new(from: IpAddr, to: IpAddr) -> Self {
        let (node, client, server) =
            (Netns::new().unwrap(), Netns::new().unwrap(), Netns::new().unwrap());
        forwarding(&node).unwrap();
        sysctls(&node, &[("net.ipv4.conf.all.rp_filter", "0")]).unwrap();
        let wire = |netns, link: &str, address| PodWire {
            netns,
            link: link.to_owned(),
            addresses: vec![address],
        };
        let pods = [wire(&client, "pod0", from), wire(&server, "pod1", to)];
        Links::open(&node).unwrap().wire(&pods).await.unwrap();
        Self { node: Arc::new(node), client, server, from, to }
    }

    /// With a table installed at the node.
    pub(crate) async fn with(from: IpAddr, to: IpAddr, table: &Table) -> Self {
        let site = Self::new(from, to).await;
        install(&site.node, table).await;
        site
    }

    /// Sockets that talk from the client to a port of the server.
    pub(crate) fn sockets(&self, port: u16) -> Sockets {
        let to = SocketAddr::new(self.to, port);
        let udp_server = self.server.run(|| UdpSocket::bind(to).unwrap()).unwrap();
        let listener = self.server.run(|| TcpListener::bind(to).unwrap()).unwrap();
        let bind = || UdpSocket::bind(SocketAddr::new(self.from, 0)).unwrap();
        let (udp, silent) = self.client.run(|| (bind(), bind())).unwrap();
        udp.connect(to).unwrap();
        silent.connect(to).unwrap();
        for socket in [&udp_server, &udp] {
            // A packet that does not arrive fails the run instead of hanging it.
            socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        }
        let connect = || -> TcpStream {
            let timeout = Duration::from_secs(3);
            self.client.run(|| TcpStream::connect_timeout(&to, timeout).unwrap()).unwrap()
        };
        let tcp = connect();
        let (tcp_server, _) = listener.accept().unwrap();
        for socket in [&tcp, &tcp_server] {
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        }
        Sockets { to, udp, udp_server, silent, tcp, tcp_server, listener }
    }
}

pub(crate) async fn install(netns: &Netns, table: &Table) {
    let nft = Nft::open(netns, &table.name, Ownership::Plain).unwrap();
    nft.apply(&plan(None, table), None).await.unwrap();
}

/// Sockets of one thread in two pods.
pub(crate) struct Sockets {
    to: SocketAddr,
    udp: UdpSocket,
    udp_server: UdpSocket,
    /// Sends what is never answered.
    silent: UdpSocket,
    tcp: TcpStream,
    tcp_server: TcpStream,
    listener: TcpListener,
}

impl Sockets {
    /// A datagram there and one back, of an established flow after the first.
    pub(crate) fn udp_round(&self) {
        let mut buffer = [0; 64];
        self.udp.send(&[7; 32]).unwrap();
        let (n, from) = self.udp_server.recv_from(&mut buffer).unwrap();
        self.udp_server.send_to(&buffer[..n], from).unwrap();
        self.udp.recv(&mut buffer).unwrap();
    }

    /// A request and an answer of 64 bytes.
    pub(crate) fn tcp_round(&self) {
        let mut buffer = [7; 64];
        (&self.tcp).write_all(&buffer).unwrap();
        (&self.tcp_server).read_exact(&mut buffer).unwrap();
        (&self.tcp_server).write_all(&buffer).unwrap();
        (&self.tcp).read_exact(&mut buffer).unwrap();
    }

    /// A datagram of a flow that never saw an answer: to the rules each is the first of a connection.
    pub(crate) fn first_packet(&self) {
        let mut buffer = [0; 64];
        self.silent.send(&[7; 32]).unwrap();
        self.udp_server.recv(&mut buffer).unwrap();
    }

    /// Connects, accepts, resets. To be called in the client's namespace.
    pub(crate) fn connect(&self) {
        let client = loop {
            match TcpStream::connect(self.to) {
                Ok(client) => break client,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        };
        let (_server, _) = self.listener.accept().unwrap();
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
