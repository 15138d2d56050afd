//! The controllers of the embedded cluster: what makes a Deployment into pods and empties a namespace that is deleted.
//!
//! Each is a pure plan, which is given everything it decides by (also the time), and a driver that reads caches, carries the plan out and waits
//! until the caches have what it wrote. Plans are tested without a cluster.
//!
//! Here: namespaces, default ServiceAccounts and the root certificate, garbage, ReplicaSets and ReplicationControllers, Deployments, Jobs,
//! CronJobs, DaemonSets, StatefulSets, claims and volumes, nodes that are lost and the pods on them, disruption budgets, what quotas count,
//! requests for certificates, bootstrap tokens, autoscalers, endpoints of Services. Other kinds are stored and nothing is done about them. A DaemonSet that asks for
//! `maxSurge` is not rolled; an event on it says so.

mod account;
mod autoscaler;
mod bootstrap;
mod certificate;
mod context;
mod cron;
mod daemon;
mod deployment;
mod disruption;
mod endpoint;
mod event;
mod garbage;
mod history;
mod job;
mod json;
mod namespace;
mod node;
mod pod;
mod pods;
mod quota;
mod replica;
mod selector;
mod stateful;
mod sweep;
#[cfg(test)]
mod testing;
mod timing;
mod volume;

pub use bootstrap::detached_signature;
use context::Context;
use jiff::Timestamp;
use moat_informer::Cluster;
pub use moat_informer::Meters;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
pub use timing::Timing;
use tokio::task::JoinSet;

pub use volume::PROVISIONER;

/// How controllers are started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The authority's certificate, which every namespace gets as `kube-root-ca.crt`; none is given where there is none.
    pub root_ca: Option<String>,
    /// What signs requests for certificates; none are signed where there is none.
    pub signer: Option<moat_apiserver::Signer>,
    /// How many objects of a kind are worked on at once.
    pub n_workers: usize,
    /// How many writes of one object's plan are under way at once.
    pub n_writes: usize,
    /// How long is waited for what may pass.
    pub timing: Timing,
    /// Where volumes are made for claims of a class whose provisioner is [`PROVISIONER`]; without a directory none are.
    pub volumes: Option<PathBuf>,
    /// What time it is for CronJobs.
    pub clock: Clock,
    /// Where it is told what queues do.
    pub meters: Meters,
}

/// Says what time it is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock of one's own, for who does not want to wait for an hour to pass.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// The machine's.
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root_ca: None,
            signer: None,
            n_workers: 4,
            n_writes: 16,
            timing: Timing::default(),
            volumes: None,
            clock: Clock::default(),
            meters: Meters::default(),
        }
    }
}

/// Controllers at work. Dropping it stops them where they are; what they have not done, the next ones do.
#[derive(Debug)]
pub struct Handle {
    tasks: JoinSet<()>,
}

impl Handle {
    /// Stops them, and waits until they have stopped.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts all controllers in the tokio runtime of the caller, as the user of `cluster`.
pub fn start(cluster: Arc<dyn Cluster>, options: Options) -> Handle {
    let mut tasks = JoinSet::new();
    let context = Arc::new(Context::start(cluster, options, &mut tasks));
    namespace::start(&context, &mut tasks);
    let graph = garbage::start(&context, &mut tasks);
    account::start(&context, &graph, &mut tasks);
    replica::start(&context, &mut tasks);
    deployment::start(&context, &mut tasks);
    node::start(&context, &mut tasks);
    daemon::start(&context, &mut tasks);
    stateful::start(&context, &mut tasks);
    volume::start(&context, &mut tasks);
    job::start(&context, &mut tasks);
    cron::start(&context, &mut tasks);
    autoscaler::start(&context, &mut tasks);
    endpoint::start(&context, &mut tasks);
    disruption::start(&context, &mut tasks);
    certificate::start(&context, &mut tasks);
    bootstrap::start(&context, &graph, &mut tasks);
    quota::start(&context, &graph, &mut tasks);
    sweep::start(&context, &mut tasks);
    Handle { tasks }
}
