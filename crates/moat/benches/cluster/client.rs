//! A plain HTTPS client: one connection, one request at a time, answers read to the end.

use base64::Engine as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use moat_load::{Input, load};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An API server and how to get in.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    config: Arc<ClientConfig>,
}

impl Target {
    /// Of the current context of a kubeconfig with client certificates inside.
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(path).expect(path);
        let loaded = load(&[Input::Text { name: path.to_owned(), text }]);
        let config = Value::from(&loaded.documents[0].value);
        let entry = |list: &str, name: &Value| -> Value {
            let entries = config[list].as_array().unwrap();
            let found = entries.iter().find(|entry| entry["name"] == *name).unwrap();
            found[list.trim_end_matches('s')].clone()
        };
        let context = entry("contexts", &config["current-context"]);
        let (cluster, user) =
            (entry("clusters", &context["cluster"]), entry("users", &context["user"]));
        let decode = |value: &Value| {
            base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
        };
        let mut roots = RootCertStore::empty();
        let authority = decode(&cluster["certificate-authority-data"]);
        roots.add(CertificateDer::from_pem_slice(&authority).unwrap()).unwrap();
        let certificate = decode(&user["client-certificate-data"]);
        let key = decode(&user["client-key-data"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(&certificate).unwrap()],
                PrivateKeyDer::from_pem_slice(&key).unwrap(),
            )
            .unwrap();
        let address = cluster["server"].as_str().unwrap().trim_start_matches("https://").to_owned();
        Self { address, config: Arc::new(config) }
    }

    /// A connection for whoever reads it without a runtime, for one of the protocols.
    pub(crate) fn connect_blocking(
        &self,
        protocols: &[&[u8]],
    ) -> StreamOwned<ClientConnection, std::net::TcpStream> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let tcp = std::net::TcpStream::connect(&self.address).unwrap();
        tcp.set_nodelay(true).unwrap();
        let host = self.address.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(host).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
    }

    pub(crate) async fn connect(&self) -> Connection {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let host = self.address.rsplit_once(':').unwrap().0.to_owned();
        let tls = TlsConnector::from(Arc::clone(&self.config));
        let stream = tls.connect(ServerName::try_from(host).unwrap(), tcp).await.unwrap();
        let (sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        Connection { sender, host: self.address.clone() }
    }
}

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    pub(crate) async fn open(
        &mut self,
        method: &str,
        path: &str,
        accept: &str,
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("accept", accept)
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        self.sender.ready().await.unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    /// The code and the whole answer.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        accept: &str,
        body: impl Into<Bytes>,
    ) -> (u16, Bytes) {
        let response = self.open(method, path, accept, body).await;
        let code = response.status().as_u16();
        (code, response.into_body().collect().await.unwrap().to_bytes())
    }
}
