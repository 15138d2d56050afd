//! Reports of `moat verify`: what real packets said of the engine's word.

mod dto;
mod text;

pub use dto::value;
pub use text::render;

/// What there is to report.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Pods that took part.
    pub n_pods: usize,
    /// Pods of the input that did not, because another of their class did.
    pub n_left_out: usize,
    /// Nodes.
    pub n_nodes: usize,
    /// Addresses of the world outside.
    pub n_outside: usize,
    /// Probes sent.
    pub n_probes: usize,
    /// What became of the probes on which network and engine agree, per protocol.
    pub agreed: Vec<Agreed>,
    /// Questions that the engine leaves open, so that no answer is wrong.
    pub n_open: usize,
    /// What was not asked, and why.
    pub not_exercised: Vec<NotExercised>,
    /// Where network and engine disagree.
    pub disagreements: Vec<Disagreement>,
    /// Log records that were checked, and how many the kernel says it lost.
    pub n_records: usize,
    /// Log records that the kernel lost.
    pub n_lost: u64,
    /// What is not as the input says.
    pub notes: Vec<String>,
    /// Programs that were too large for the kernel, so that their pods are closed.
    pub refused: Vec<String>,
    /// Milliseconds to build the network and apply the rules.
    pub build_ms: u64,
    /// Milliseconds of probing.
    pub probe_ms: u64,
}

/// Probes of one protocol on which network and engine agree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Agreed {
    /// The protocol.
    pub protocol: String,
    /// Allowed, and somebody answered.
    pub connected: usize,
    /// Allowed, and nobody listened.
    pub refused: usize,
    /// Denied, and nothing came back.
    pub dropped: usize,
}

/// Questions that were not asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotExercised {
    /// The protocol.
    pub protocol: String,
    /// How many.
    pub count: usize,
    /// Why.
    pub why: String,
}

/// A question to which network and engine have different answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disagreement {
    /// `shop/web (10.0.0.1) -> shop/db (10.0.0.2) 5432/TCP`.
    pub question: String,
    /// What the engine says: `allowed`, `denied`, or `allowed by some backends`.
    pub expected: String,
    /// What the network did: `connected`, `refused`, `dropped`, or why it could not.
    pub seen: String,
    /// What is wrong, a sentence each.
    pub wrong: Vec<String>,
    /// The engine's reasons, a line each.
    pub reasons: Vec<String>,
}

impl Report {
    /// Probes on which network and engine agree.
    #[must_use]
    pub fn n_agreed(&self) -> usize {
        self.agreed.iter().map(|row| row.connected + row.refused + row.dropped).sum()
    }
}
