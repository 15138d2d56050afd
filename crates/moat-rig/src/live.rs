//! A world that runs: its network, and on each node the rulesets that are installed.

use crate::net::{Net, NetError};
use crate::placed::Placed;
use crate::probe::Ports;
use crate::services;
use core::fmt;
use moat_kernel::conntrack::Conntrack;
use moat_kernel::error::Error;
use moat_kernel::keeper::Keeper;
use moat_kernel::netns::Netns;
use moat_kernel::nft::{ApplyError, Nft, Ownership};
use moat_nft::model::{Op, Table};
use moat_nft::plan::plan;
use moat_nft::reason::Reasons;
use moat_nft::render::{Refused, Ruleset, Settings, What, gates};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A world that runs.
#[derive(Debug)]
pub struct Live {
    /// What runs.
    pub placed: Placed,
    /// Its network.
    pub net: Net,
    /// The reasons that installed rulesets give.
    pub reasons: Reasons,
    /// The reasons that installed rulesets give for staged policies.
    pub staged: Reasons,
    /// Programs that were too large.
    pub refused: Vec<Refused>,
    settings: Settings,
    nodes: Vec<Installed>,
    /// The ports that probes come from; they go on from run to run, because connection tracking may still know one that was used.
    pub(crate) ports: Arc<Ports>,
}

/// What a node has installed.
#[derive(Debug)]
struct Installed {
    policies: Keeper,
    /// What is made of policies.
    ruleset: Ruleset,
    services: Tablet,
}

/// A table with what was last made of it.
#[derive(Debug)]
struct Tablet {
    nft: Nft,
    now: Option<Table>,
}

/// What applying changed on a node.
#[derive(Clone, PartialEq, Debug)]
pub struct Applied {
    /// The node.
    pub node: Arc<str>,
    /// The difference.
    pub ops: Vec<Op>,
    /// Groups that the kernel refused, so that their pods are closed: why, each.
    pub closed: Vec<String>,
    /// From the first look at the rules to the kernel's answer.
    pub took: Duration,
}

/// Why a world does not run.
#[derive(Debug)]
pub enum LiveError {
    /// Its network could not be built.
    Net(NetError),
    /// Its rules could not be applied on a node.
    Apply {
        /// The node.
        node: Arc<str>,
        /// Why.
        source: ApplyError,
    },
    /// Its nodes, or their addresses, are others than before.
    Nodes,
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::Apply { node, source } => write!(f, "cannot apply the rules of {node}: {source}"),
            Self::Nodes => f.write_str("nodes came or went, or have other addresses"),
        }
    }
}

impl std::error::Error for LiveError {}

impl<E: Into<NetError>> From<E> for LiveError {
    fn from(error: E) -> Self {
        Self::Net(error.into())
    }
}

impl Live {
    /// Builds the network of a world and applies its rules. `progress` hears how many pods are wired.
    pub async fn new(
        placed: Placed,
        settings: Settings,
        progress: impl Fn(usize),
    ) -> Result<Self, LiveError> {
        let net = Net::build(&placed, progress).await?;
        let services = services::table(&placed.bound, &placed.services, &placed.pods);
        let mut nodes = Vec::with_capacity(net.nodes.len());
        for node in &net.nodes {
            let policies =
                Keeper::open(&node.netns, &settings.table, Ownership::Plain, gates()).await?;
            let mut installed = Installed {
                policies,
                ruleset: placed.ruleset(&node.name, &settings),
                services: Tablet::open(&node.netns, services::TABLE)?,
            };
            let apply = |source| LiveError::Apply { node: node.name.clone(), source };
            installed.policies.set(installed.ruleset.table()).await.map_err(apply)?;
            installed.services.set(&services).await.map_err(apply)?;
            nodes.push(installed);
        }
        let none = Reasons::new();
        let mut live = Self {
            placed,
            net,
            reasons: none.clone(),
            staged: none,
            refused: Vec::new(),
            settings,
            nodes,
            ports: Arc::default(),
        };
        live.note();
        Ok(live)
    }

    /// Learns what the rulesets can say, and what of them is too large.
    fn note(&mut self) {
        self.refused.clear();
        for Installed { ruleset, .. } in &self.nodes {
            // Reasons that are gone stay known: records of them may still be on their way.
            let (reasons, staged) = ruleset.reasons();
            self.reasons.extend(reasons.clone());
            self.staged.extend(staged.cloned().unwrap_or_default());
            self.refused.extend(ruleset.refused().iter().cloned());
        }
        self.refused.dedup();
    }

    /// Applies another state of the world, node by node, and says what changed. When it returns, every packet that comes is judged
    /// by the new state; what no packet meets any more is there until [`Self::tidy`] or the next change.
    ///
    /// Pods and outside addresses may come and go: who comes is wired when its rules are there. Nodes must be the same.
    pub async fn apply(&mut self, placed: Placed) -> Result<Vec<Applied>, LiveError> {
        if !placed.has_nodes_of(&self.placed) {
            return Err(LiveError::Nodes);
        }
        let come = self.net.go(&self.placed.bound, &placed.bound, &placed.pods).await?;
        self.net.be_outside(&placed.outside).await?;
        // The hosts are others now, so that each has another place among them.
        self.ports.level();
        self.placed = placed;
        let placed = &self.placed;
        let mut applied = Vec::with_capacity(self.nodes.len());
        let services = services::table(&placed.bound, &placed.services, &placed.pods);
        for (node, installed) in self.net.nodes.iter().zip(&mut self.nodes) {
            let start = Instant::now();
            let apply = |source| LiveError::Apply { node: node.name.clone(), source };
            installed.services.set(&services).await.map_err(apply)?;
            let (bound, staged) = (&placed.bound, placed.staged.as_deref());
            let spec = placed.node(&node.name);
            let edit = installed.ruleset.follow(bound, staged, &spec, What::All);
            let kept = installed.policies.change(&edit).await.map_err(apply)?;
            let closed = kept.closed.iter().map(|group| group.words.clone()).collect();
            applied.push(Applied {
                node: node.name.clone(),
                ops: edit.ops(),
                closed,
                took: start.elapsed(),
            });
        }
        self.net.come(&self.placed.bound, &come, |_| ()).await?;
        self.note();
        Ok(applied)
    }

    /// Takes away what no packet meets any more since the last change.
    pub async fn tidy(&mut self) -> Result<(), LiveError> {
        for (node, installed) in self.net.nodes.iter().zip(&mut self.nodes) {
            let apply = |source| LiveError::Apply { node: node.name.clone(), source };
            installed.policies.tidy().await.map_err(apply)?;
        }
        Ok(())
    }

    /// The nodes that have no room for another connection: the kernel lets none through there that is new, whatever policies say.
    pub async fn full(&self) -> Result<Vec<Arc<str>>, Error> {
        let mut full = Vec::new();
        for node in &self.net.nodes {
            let (n, most) = Conntrack::open(&node.netns)?.count().await?;
            if n >= most {
                full.push(node.name.clone());
            }
        }
        Ok(full)
    }

    /// The nodes whose kernel does not hold the rules that were made for it, with what it holds instead; tidies first.
    pub async fn drift(&mut self) -> Result<Vec<(Arc<str>, Option<Table>)>, LiveError> {
        self.tidy().await?;
        let mut drift = Vec::new();
        for (node, installed) in self.net.nodes.iter().zip(&self.nodes) {
            let policies = Nft::open(&node.netns, &self.settings.table, Ownership::Plain)?;
            let services = &installed.services;
            for (nft, now) in [
                (&policies, Some(installed.ruleset.table())),
                (&services.nft, services.now.as_ref()),
            ] {
                let held = nft.dump().await?;
                if held.as_ref() != now {
                    drift.push((node.name.clone(), held));
                }
            }
        }
        Ok(drift)
    }

    /// How rulesets are made.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Tablet {
    fn open(netns: &Netns, name: &str) -> Result<Self, Error> {
        Ok(Self { nft: Nft::open(netns, name, Ownership::Plain)?, now: None })
    }

    async fn set(&mut self, wanted: &Table) -> Result<Vec<Op>, ApplyError> {
        let ops = plan(self.now.as_ref(), wanted);
        if !ops.is_empty() {
            self.nft.apply(&ops, None).await?;
            self.now = Some(wanted.clone());
        }
        Ok(ops)
    }
}
