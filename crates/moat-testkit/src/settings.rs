//! The bounds of random worlds.

/// How large worlds are and how often rare things happen. All ranges include both ends.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Namespaces. Two suffice for "own or other"; more let namespace selectors mean some of the others.
    pub namespaces: (usize, usize),
    /// Pods over all namespaces. Eight give every pair of label sets a chance and keep the pairs of a world below a hundred.
    pub pods: (usize, usize),
    /// Node objects. With none, only pods say which nodes there are.
    pub nodes: (usize, usize),
    /// NetworkPolicies.
    pub network_policies: (usize, usize),
    /// ClusterNetworkPolicies over both tiers.
    pub cluster_policies: (usize, usize),
    /// Rules of a direction that has rules.
    pub rules: (usize, usize),
    /// Peers of a rule that names peers.
    pub peers: (usize, usize),
    /// Port entries of a rule that names ports.
    pub ports: (usize, usize),
    /// One world in this many has `domainNames`, which make address destinations uncertain: such worlds compare less.
    pub domains_one_in: usize,
    /// One namespace in this many has no Namespace object and is only mentioned by others.
    pub only_mentioned_one_in: usize,
    /// One pod in this many uses its node's network.
    pub host_network_one_in: usize,
    /// One pod in this many does not say on which node it is.
    pub unscheduled_one_in: usize,
    /// Outside addresses asked about, edges of the world's prefixes among them.
    pub outside: usize,
    /// Flows asked for each ordered pair of ends and IP family, drawn from all boundary points.
    pub flows_per_pair: usize,
}

impl Settings {
    /// What `cargo test` uses.
    pub const DEFAULT: Self = Self {
        namespaces: (1, 4),
        pods: (1, 8),
        nodes: (0, 3),
        network_policies: (0, 6),
        cluster_policies: (0, 4),
        rules: (1, 3),
        peers: (1, 3),
        ports: (1, 3),
        domains_one_in: 10,
        only_mentioned_one_in: 8,
        host_network_one_in: 7,
        unscheduled_one_in: 10,
        outside: 6,
        flows_per_pair: 5,
    };
}

/// The number in an environment variable, if it is set.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The first seed and how many: `MOAT_SEED` alone, else as many as `MOAT_WORLDS` says, which has this default.
#[must_use]
pub fn seeds(n_worlds: u64) -> (u64, u64) {
    number("MOAT_SEED")
        .map_or_else(|| (0, number("MOAT_WORLDS").unwrap_or(n_worlds)), |seed| (seed, 1))
}
