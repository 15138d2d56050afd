//! Connections: TLS, who the client is, HTTP/1.1 and HTTP/2 on one port, limits on slow and on many.

use crate::api::{Api, Body};
use crate::authn::{Anybody, Peer};
use crate::pki::{Authority, Identity};
use crate::server::StartError;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections at once. Each costs some ten kilobytes when idle.
const CONNECTIONS_MAX: usize = 16_384;
/// Requests at once on one HTTP/2 connection: client-go puts all of a process's watches on one.
const STREAMS_MAX: u32 = 4_096;
/// Bytes of the head of an HTTP/2 request; HTTP/1 has hyper's own limit of 100 fields and some 400 kB.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// How long requests may go on when the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// How connections are made secret, and whose certificates are believed.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Client certificates are asked for; whether one is believed is decided when requests come.
pub(crate) fn tls(authority: &Authority, serving: &Identity) -> Result<Tls, StartError> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.der())
        .map_err(|error| StartError::new("the authority's certificate", &error))?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| StartError::new("checking client certificates", &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::new("TLS versions", &error))?
        .with_client_cert_verifier(Arc::new(Anybody(Arc::clone(&verifier))))
        .with_single_cert(
            vec![serving.certificate.clone(), authority.der()],
            serving.key.clone_key(),
        )
        .map_err(|error| StartError::new("the server's certificate", &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), verifier })
}

/// Serves until `closed` says otherwise.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Tls,
    api: Arc<Api>,
    head_timeout: Duration,
    mut closed: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closed.wait_for(|closed| *closed) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, mostly; those who are served go on, and some will leave.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (tls, api, watcher) = (tls.clone(), Arc::clone(&api), graceful.watcher());
        tokio::spawn(async move {
            connection(stream, &tls, api, head_timeout, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// What goes wrong on a connection is the client's to see; others must not notice.
async fn connection(
    stream: TcpStream,
    tls: &Tls,
    api: Arc<Api>,
    head_timeout: Duration,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let from = stream.peer_addr().ok();
    let Ok(Ok(stream)) = tokio::time::timeout(head_timeout, tls.acceptor.accept(stream)).await
    else {
        return;
    };
    let chain = stream.get_ref().1.peer_certificates();
    let peer = Arc::new(Peer::of(chain, tls.verifier.as_ref(), jiff::Timestamp::now()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, peer) = (Arc::clone(&api), Arc::clone(&peer));
        async move { Ok::<Response<Body>, Infallible>(api.serve(request, &peer, from).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let _ = watcher.watch(connection).await;
}
