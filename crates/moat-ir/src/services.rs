//! Services as the pods behind them: how a question about a Service becomes questions about pods.

use crate::bound::PodIdx;
use crate::decide::End;
use crate::symbolic::Origin;
use moat_sets::Protocol;
use std::net::IpAddr;
use std::sync::Arc;

/// A Service with its backends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceInfo {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// Where it was read.
    pub origin: Origin,
    /// Whether its name resolves to pod addresses, so that ports are not translated.
    pub headless: bool,
    /// The DNS name an ExternalName stands for.
    pub external_name: Option<Arc<str>>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether the outside world can enter by it.
    pub external: bool,
    /// The Ingress paths that lead to it: `ingress shop/web (shop.example.com/)`.
    pub entrances: Vec<Arc<str>>,
    /// Its ports.
    pub ports: Vec<ServicePortInfo>,
}

/// A port of a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePortInfo {
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its protocol.
    pub protocol: Protocol,
    /// The Service's port.
    pub port: u16,
    /// The port on every node.
    pub node_port: Option<u16>,
    /// The target as written: a number or a name.
    pub target: Arc<str>,
    /// Backends with the port a packet has after translation.
    pub backends: Vec<(End, u16)>,
    /// Selected pods that have no port of the target's name: no backend.
    pub without_port: Vec<PodIdx>,
}

impl ServiceInfo {
    /// `ns/svc/name`.
    #[must_use]
    pub fn display(&self) -> String {
        format!("{}/svc/{}", self.namespace, self.name)
    }
}
