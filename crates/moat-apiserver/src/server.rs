//! The server as a library: start it, ask where it is, end it.

use crate::advice::Advice;
use crate::api::{Api, Settings};
use crate::authn::Authenticator;
use crate::authorize::{Authorize, User};
use crate::client::Client;
use crate::handle::Component;
use crate::keys::Keys;
use crate::kubeconfig::kubeconfig;
use crate::listen;
use crate::observe::audit::{Audit, AuditLog};
use crate::observe::metrics::{Metrics, MoreMetrics};
use crate::pki::{Authority, DAYS, Identity};
use crate::rbac::{Rbac, gather};
use crate::service_range::ServiceRange;
use crate::signer::Signer;
use moat_store::Store;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a server is started.
pub struct Options {
    /// Where it listens: loopback unless told otherwise, on a free port.
    pub address: SocketAddr,
    /// Names besides `localhost` and `kubernetes` under which clients may reach it.
    pub names: Vec<String>,
    /// Where objects are; in memory unless given.
    pub store: Option<Store>,
    /// The authority, the key that signs tokens and the administrator's identity; new ones unless given, which die with the server.
    pub keys: Option<Keys>,
    /// A token by which a client is the administrator; none unless given.
    pub admin_token: Option<String>,
    /// Who may do what: by the roles and bindings in the store unless given.
    pub authorizer: Option<Arc<dyn Authorize>>,
    /// What is said of objects that are written; nothing unless given.
    pub advice: Advice,
    /// The addresses of Services.
    pub services: ServiceRange,
    /// Where it is kept who did what; nowhere unless given.
    pub audit_log: Option<AuditLog>,
    /// Numbers of other parts of the process, for `/metrics`.
    pub metrics: Vec<MoreMetrics>,
    /// Parts of the control plane that run beside the server, for who asks how they do (`kubectl get componentstatuses`).
    pub components: Vec<Component>,
    /// How long a client may take for TLS and for the head of a request.
    pub head_timeout: Duration,
    /// How often idle watches that asked for bookmarks get one. Upstream: about a minute.
    pub bookmark_interval: Duration,
}

impl fmt::Debug for Options {
    /// Without the token: debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("names", &self.names)
            .field("store", &self.store)
            .field("keys", &self.keys)
            .field("authorizer", &self.authorizer)
            .field("services", &self.services)
            .field("audit_log", &self.audit_log)
            .field("head_timeout", &self.head_timeout)
            .field("bookmark_interval", &self.bookmark_interval)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            names: Vec::new(),
            store: None,
            keys: None,
            admin_token: None,
            authorizer: None,
            advice: Advice::default(),
            services: ServiceRange::default(),
            audit_log: None,
            metrics: Vec::new(),
            components: Vec::new(),
            head_timeout: Duration::from_secs(10),
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl StartError {
    pub(crate) fn new(what: &str, error: &dyn fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server in the tokio runtime of the caller; when this returns, it answers.
    ///
    /// Errors: the address is taken, the store refuses the objects that every cluster has, or no key can be made.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        let Keys { authority, signing, admin } = match options.keys {
            Some(keys) => keys,
            None => Keys::generate()?,
        };
        let listener = TcpListener::bind(options.address).await.map_err(|error| {
            StartError::new(&format!("cannot listen on {}", options.address), &error)
        })?;
        let address =
            listener.local_addr().map_err(|error| StartError::new("no local address", &error))?;
        let mut names =
            vec!["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        names.extend(options.names.iter().map(String::as_str));
        let service = IpAddr::from(options.services.first());
        let serving = authority
            .server(&names, &[address.ip(), Ipv4Addr::LOCALHOST.into(), service])
            .map_err(|error| StartError::new("cannot make the server's certificate", &error))?;
        let store =
            options.store.unwrap_or_else(|| Store::in_memory(moat_store::Options::default()));
        let authorizer = options.authorizer.unwrap_or_else(|| Arc::new(Rbac::new(store.clone())));
        let metrics = Arc::new(Metrics::new(options.metrics));
        let audit = Audit::open(options.audit_log, &metrics)
            .map_err(|error| StartError::new("the audit log", &error))?;
        let (closing, closed) = watch::channel(false);
        let api = Arc::new(
            Api::new(
                store.clone(),
                Authenticator::new(signing, store.clone(), options.admin_token.as_deref()),
                authorizer,
                Settings {
                    advice: options.advice,
                    services: options.services,
                    metrics,
                    components: options.components,
                    audit,
                    bookmark_interval: options.bookmark_interval,
                },
                closed.clone(),
                address,
            )
            .map_err(|error| StartError::new("the table of kinds", &error))?,
        );
        crate::bootstrap::bootstrap(&api)
            .await
            .map_err(|status| StartError::new("cannot make the first objects", &status.message))?;
        // Definitions of a store that was used before.
        crate::crd::changed(&api);
        tokio::spawn(gather(Arc::clone(&api)));
        let tls = listen::tls(&authority, &serving)?;
        let listening = tokio::spawn(listen::serve(
            listener,
            tls,
            Arc::clone(&api),
            options.head_timeout,
            closed,
        ));
        let authority = Arc::new(authority);
        Ok(Running { address, authority, admin, store, api, closing, listening })
    }
}

/// A server that answers. Dropping it ends it without waiting for requests that are under way.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    authority: Arc<Authority>,
    admin: Identity,
    store: Store,
    api: Arc<Api>,
    closing: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

impl Running {
    /// `https://127.0.0.1:36443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the cluster's authority, PEM.
    pub fn ca(&self) -> String {
        self.authority.pem().to_owned()
    }

    /// By what a machine that joins knows the authority: `sha256:` and the digest of its public key, as kubeadm's
    /// `--discovery-token-ca-cert-hash` has it.
    pub fn authority_pin(&self) -> String {
        self.authority.pin()
    }

    /// What signs requests for certificates in this cluster's name.
    pub fn signer(&self) -> Signer {
        Signer(Arc::clone(&self.authority))
    }

    /// The administrator's certificate and key.
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// The objects, for parts of the cluster in the same process.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A client in this process, for a user who needs no proof here.
    pub fn client(&self, user: User) -> Client {
        Client::new(Arc::clone(&self.api), user)
    }

    /// A kubeconfig of the administrator, who may do everything: whoever stores it keeps it from others.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(&self.url(), &self.ca(), "kubernetes-admin", &self.admin)
    }

    /// A kubeconfig of another user, by a certificate that is made now.
    ///
    /// Errors: no key can be made.
    pub fn kubeconfig_of(&self, user: &str, group: Option<&str>) -> Result<String, StartError> {
        let identity = self
            .authority
            .client(user, group, DAYS)
            .map_err(|error| StartError::new("cannot make a certificate", &error))?;
        Ok(kubeconfig(&self.url(), &self.ca(), user, &identity))
    }

    /// Ends it: no new connections, watches end, requests under way are finished for some seconds.
    pub async fn shutdown(mut self) {
        let _ = self.closing.send(true);
        let _ = (&mut self.listening).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.closing.send(true);
    }
}
