//! One process with everything in it: started, asked, ended.

use crate::control::Ask;
use crate::kubeconfig::Context;
use crate::manifests::Manifests;
use crate::nodes::{Nodes, Wanted};
use crate::status::{self, Status};
use crate::storage;
use crate::token;
use crate::why;
use jiff::Timestamp;
use moat_apiserver::{Client, Keys, Running, Server, User};
use moat_store::Store;
use serde_json::Value;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How a cluster is started. The default has no nodes, listens on a free port of the loopback interface, and keeps nothing.
#[derive(Debug)]
pub struct Options {
    /// Where the API server listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Names besides `localhost` and `kubernetes` under which clients may reach it.
    pub api_names: Vec<String>,
    /// Where objects, keys and the volumes of claims are kept. Unless given, objects are in memory alone and nobody makes volumes.
    pub data_dir: Option<PathBuf>,
    /// The nodes.
    pub nodes: Wanted,
    /// The scheduler's profiles; upstream's defaults unless given.
    pub scheduler: moat_scheduler::Config,
    /// The addresses of Services.
    pub services: moat_apiserver::ServiceRange,
    /// Objects that it begins with.
    pub manifests: Manifests,
    /// Where it is kept who did what; nowhere unless given.
    pub audit_log: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_names: Vec::new(),
            data_dir: None,
            nodes: Wanted::default(),
            scheduler: moat_scheduler::Config::default(),
            services: moat_apiserver::ServiceRange::default(),
            manifests: Manifests::default(),
            audit_log: None,
        }
    }
}

/// Why a cluster did not start: in words for the one who started it.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn failed(error: impl fmt::Display) -> StartError {
    StartError(error.to_string())
}

/// A cluster that runs.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use moat_cluster::{Cluster, Options};
///
/// let mut options = Options::default();
/// options.nodes.n_fake = 3;
/// let cluster = Cluster::start(options).await?;
/// std::fs::write("kubeconfig", cluster.api().kubeconfig())?; // for kubectl, kube-rs or client-go
/// cluster.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    api: Running,
    store: Store,
    controllers: moat_controllers::Handle,
    scheduler: moat_scheduler::Handle,
    scheduling: moat_scheduler::Config,
    nodes: Nodes,
    began: Instant,
    started: Timestamp,
    n_nodes: (usize, usize),
    data_dir: Option<PathBuf>,
    remarks: Vec<String>,
    n_applied: usize,
    beats: Beats,
    /// Where machines that join find it: `127.0.0.1:6443`.
    found_at: String,
}

impl Cluster {
    /// Starts everything in the tokio runtime of the caller. When this returns, the API answers, the nodes are registered and ready, and
    /// controllers and scheduler are at work.
    ///
    /// Errors: the address is taken, the data cannot be read, the pods' addresses do not suffice.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let began = Instant::now();
        disjoint(&options)?;
        if let Some(log) = &options.audit_log {
            writable(log)?;
        }
        let mut remarks = Vec::new();
        let (store, keys) = match &options.data_dir {
            Some(dir) => open(dir, &mut remarks)?,
            None => (Store::in_memory(moat_store::Options::default()), None),
        };
        let meters = moat_controllers::Meters::default();
        let told = meters.clone();
        let beats = Beats::default();
        let advised = store.clone();
        let name = options.api_names.first().cloned();
        let api = Server::start(moat_apiserver::Options {
            address: options.address,
            names: options.api_names,
            store: Some(store.clone()),
            keys,
            services: options.services,
            advice: moat_apiserver::Advice::new(move |object| {
                crate::warn::warnings(&advised, object)
            }),
            audit_log: options.audit_log.map(moat_apiserver::AuditLog::new),
            metrics: vec![moat_apiserver::MoreMetrics::new(move |out| told.write(out))],
            components: ["controller-manager", "scheduler"]
                .map(|name| beats.component(name))
                .to_vec(),
            ..moat_apiserver::Options::default()
        })
        .await
        .map_err(failed)?;
        let found_at = match name {
            // Nobody else finds it at an address that means every address.
            Some(name) if api.address().ip().is_unspecified() => {
                format!("{name}:{}", api.address().port())
            }
            _ => api.address().to_string(),
        };
        let volumes =
            options.data_dir.as_deref().map(storage::directory).transpose().map_err(failed)?;
        let has_volumes = volumes.is_some();
        let own =
            |name: &str| -> Arc<dyn moat_informer::Cluster> { Arc::new(api.client(system(name))) };
        let controllers = moat_controllers::start(
            own("kube-controller-manager"),
            moat_controllers::Options {
                root_ca: Some(api.ca()),
                signer: Some(api.signer()),
                volumes,
                meters,
                ..moat_controllers::Options::default()
            },
        );
        let cluster = own("kube-scheduler");
        let caches = moat_scheduler::Caches::start(&cluster);
        let scheduling = options.scheduler;
        let scheduler = moat_scheduler::start_on(cluster, caches, scheduling.clone());
        beats.begin();
        let nodes = Nodes::start(&api.client(admin()), &options.nodes).await.map_err(failed)?;
        if has_volumes {
            storage::class(&api.client(admin())).await.map_err(failed)?;
        }
        options.manifests.apply(&api.client(admin())).await.map_err(failed)?;
        if options.data_dir.is_some() {
            token::move_to(&api.client(admin()), &place(&api, &found_at)).await.map_err(failed)?;
        }
        Ok(Self {
            found_at,
            api,
            store,
            controllers,
            scheduler,
            scheduling,
            nodes,
            began,
            started: Timestamp::now(),
            n_nodes: (options.nodes.n_agentless, options.nodes.n_fake),
            n_applied: options.manifests.len(),
            data_dir: options.data_dir,
            remarks,
            beats,
        })
    }

    /// The API server.
    pub fn api(&self) -> &Running {
        &self.api
    }

    /// A client in this process that may do everything.
    pub fn client(&self) -> Client {
        self.api.client(admin())
    }

    /// What was strange about the data, in sentences; a cluster that lost nothing says nothing.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// How it does.
    pub async fn status(&self) -> Result<Status, String> {
        let stats = self.store.stats();
        status::of(&self.client(), &self.api.url(), self.began, self.data_dir.as_deref(), &stats)
            .await
    }

    /// Nodes without an agent, and fake ones.
    pub fn n_nodes(&self) -> (usize, usize) {
        self.n_nodes
    }

    /// How many objects of manifests it began with.
    pub fn n_applied(&self) -> usize {
        self.n_applied
    }

    /// When it started, RFC 3339.
    pub fn started(&self) -> String {
        self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// What a kubeconfig needs for the administrator, under a name.
    pub fn context(&self, name: &str) -> Context {
        let admin = self.api.admin();
        Context {
            name: name.to_owned(),
            server: self.api.url(),
            authority: self.api.ca(),
            certificate: admin.certificate_pem.clone(),
            key: admin.key_pem.clone(),
        }
    }

    /// Answers what is asked on the control socket; to end is the business of whoever holds the cluster.
    ///
    /// Errors: what was asked for is not there, or the server refuses it.
    pub async fn answer(&self, ask: Ask) -> Result<Value, String> {
        let client = self.client();
        let answered = match ask {
            Ask::Status => serde_json::to_value(self.status().await?),
            Ask::TokenCreate { ttl, description } => {
                let place = place(&self.api, &self.found_at);
                let token = token::create(&client, &place, ttl, &description).await?;
                let server = self.found_at.clone();
                let ca_cert_hash = self.api.authority_pin();
                serde_json::to_value(token::Join { token, server, ca_cert_hash })
            }
            Ask::TokenList => serde_json::to_value(token::list(&client)?),
            Ask::TokenDelete { token } => {
                token::delete(&client, &token).await?;
                Ok(Value::Null)
            }
            Ask::ExplainPod { namespace, name } => {
                return why::explain(&client, &self.scheduling, &namespace, &name).await;
            }
            Ask::Stop => return Err("only the process itself can end it".to_owned()),
        };
        answered.map_err(|error| error.to_string())
    }

    /// Ends everything, in the reverse order. What was acknowledged is on the disk, if there is one.
    pub async fn shutdown(self) {
        self.beats.end();
        self.nodes.shutdown().await;
        self.scheduler.shutdown().await;
        self.controllers.shutdown().await;
        self.api.shutdown().await;
        self.store.close();
    }
}

/// Whether controllers and scheduler are at work, for who asks the server how its parts do.
#[derive(Clone, Debug, Default)]
struct Beats(Arc<AtomicBool>);

impl Beats {
    fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn component(&self, name: &'static str) -> moat_apiserver::Component {
        let at_work = Arc::clone(&self.0);
        moat_apiserver::Component::new(name, move || {
            let at_work = at_work.load(Ordering::Relaxed);
            at_work.then_some(()).ok_or_else(|| "it is not at work".to_owned())
        })
    }
}

/// A log that cannot be written is found before anything is started, and is named.
fn writable(log: &Path) -> Result<(), StartError> {
    let mut options = std::fs::File::options();
    let opened = options.append(true).create(true).mode(0o600).open(log);
    let told = |error| StartError(format!("the audit log {}: {error}", log.display()));
    opened.map(|_| ()).map_err(told)
}

/// Where a cluster is, for machines that join.
fn place(api: &Running, found_at: &str) -> token::Place {
    token::Place { url: format!("https://{found_at}"), authority: api.ca() }
}

/// An address that could be a pod's and a Service's would be neither.
fn disjoint(options: &Options) -> Result<(), StartError> {
    let (pods, services) = (options.nodes.pods, options.services);
    match pods.network() {
        std::net::IpAddr::V4(first) if services.overlaps(first, u32::from(pods.length())) => {
            Err(StartError(format!(
                "the addresses of pods, {pods}, and of Services, {services}, overlap"
            )))
        }
        _ => Ok(()),
    }
}

/// What runs in this process has no certificate to show, and is trusted as the process is; its name is what objects' managed fields show.
fn system(name: &str) -> User {
    User::authenticated(&format!("system:{name}"), ["system:masters".to_owned()])
}

fn admin() -> User {
    User::authenticated("kubernetes-admin", ["system:masters".to_owned()])
}

/// The parts of a data directory.
fn parts(dir: &Path) -> [PathBuf; 2] {
    [dir.join("store"), dir.join("pki")]
}

fn open(dir: &Path, remarks: &mut Vec<String>) -> Result<(Store, Option<Keys>), StartError> {
    let [store, pki] = parts(dir);
    std::fs::create_dir_all(dir)
        .map_err(|error| StartError(format!("{}: {error}", dir.display())))?;
    let (store, recovery) = Store::open(&store, moat_store::Options::default()).map_err(failed)?;
    if let Some(torn) = &recovery.torn {
        remarks.push(torn.to_string());
    }
    let keys = Keys::open(&pki).map_err(failed)?;
    Ok((store, Some(keys)))
}

/// Removes what a cluster keeps in its data directory, the volumes that it made among it, and the directory if nothing else is in it.
///
/// Errors: something cannot be removed.
pub fn wipe(dir: &Path) -> std::io::Result<()> {
    for part in parts(dir) {
        match std::fs::remove_dir_all(&part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    storage::wipe(dir)?;
    match std::fs::remove_dir(dir) {
        // Files of others stay, and so does their directory.
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
