//! One request to an API server, over TLS that trusts what the caller trusts.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a request may take, with its connection.
const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_MAX: usize = 3 << 20;

/// Whom a connection trusts, and as whom it speaks.
pub(super) enum Trust<'a> {
    /// Anybody: only for what proves itself by its content.
    Anybody,
    /// Servers of this authority (PEM); nothing is said of who asks but what a token says.
    Authority(&'a str),
    /// Servers of an authority, and the certificate and key (PEM) that say who asks.
    Mutual(&'a str, &'a str, &'a str),
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl Host {
    /// Reads `127.0.0.1:6443`, `[::1]:6443`, `name:6443`, or one of them after `https://`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let (name, port) = text.rsplit_once(':')?;
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let port = port.parse().ok().filter(|port| 0 < *port)?;
        ServerName::try_from(bare.to_owned()).ok()?;
        Some(Self { name: bare.to_owned(), port })
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.authority())
    }

    fn authority(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }
}

/// A connection's client side.
pub(super) struct Server {
    host: Host,
    tls: TlsConnector,
    bearer: Option<String>,
}

impl Server {
    /// Errors: a certificate or key is none.
    pub(super) fn new(
        host: &Host,
        trust: &Trust<'_>,
        bearer: Option<&str>,
    ) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = match trust {
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth(),
            Trust::Authority(pem) => {
                builder.with_root_certificates(roots(pem)?).with_no_client_auth()
            }
            Trust::Mutual(pem, certificate, key) => {
                let chain = vec![certificate_of(certificate)?];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
                let key = key.map_err(|error| format!("the key: {error}"))?;
                let builder = builder.with_root_certificates(roots(pem)?);
                builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
            }
        };
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        Ok(Self { host: host.clone(), tls: TlsConnector::from(Arc::new(config)), bearer })
    }

    /// Asks, and returns the answer's code and object.
    ///
    /// Errors: no connection, no trust, no answer in time, or none that is an object.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<(u16, Value), String> {
        let asking = tokio::time::timeout(PATIENCE, self.one(method, path, body));
        let answered = asking
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs())));
        answered.map_err(|why| format!("{}: {why}", self.host.url()))
    }

    async fn one(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<(u16, Value), String> {
        let told = |error: &dyn std::error::Error| {
            // The cause says more than what failed by it.
            error.source().map_or_else(|| error.to_string(), ToString::to_string)
        };
        let stream = TcpStream::connect((self.host.name.as_str(), self.host.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let name = ServerName::try_from(self.host.name.clone());
        let name = name.map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| told(&e))?;
        let (content, text) =
            body.map_or(("", String::new()), |(kind, body)| (kind, body.to_string()));
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.host.authority())
            .header(ACCEPT, "application/json");
        if !content.is_empty() {
            request = request.header(CONTENT_TYPE, content);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.body(Full::new(Bytes::from(text))).map_err(|e| told(&e))?;
        let driving = tokio::spawn(connection);
        let answered = async {
            let response = sender.send_request(request).await.map_err(|e| told(&e))?;
            let code = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            let bytes = body.map_err(|error| error.to_string())?.to_bytes();
            let value = serde_json::from_slice(&bytes)
                .map_err(|_| format!("what answers there ({code}) is no Kubernetes API server"))?;
            Ok((code, value))
        };
        let answered = answered.await;
        driving.abort();
        answered
    }
}

fn certificate_of(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| format!("the certificate: {error}"))
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate_of(pem)?).map_err(|error| error.to_string())?;
    Ok(roots)
}

/// Lets every server's certificate through.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_they_are_printed() {
        let of = |text: &str| Host::parse(text).map(|host| host.url());
        assert_eq!(of("127.0.0.1:6443").as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(
            of("https://api.example.com:443/").as_deref(),
            Some("https://api.example.com:443")
        );
        assert_eq!(of("[::1]:6443").as_deref(), Some("https://[::1]:6443"));
        for bad in ["", "127.0.0.1", "http://x:1", "x:0", "x:70000", "a b:1", ":1", "x/y:1"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
