//! Advice on objects that are written, from whoever embeds the server: it refuses nothing, and clients show it.

use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// What is worth saying of an object that is written, a sentence each; they become `Warning:` headers, which kubectl prints.
#[derive(Clone)]
pub struct Advice(Arc<dyn Fn(&Value) -> Vec<String> + Send + Sync>);

impl Advice {
    /// Advice that a function gives. It is asked on each create and update of each kind, so it must be quick to say nothing.
    pub fn new(of: impl Fn(&Value) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }

    pub(crate) fn of(&self, object: &Value) -> Vec<String> {
        (self.0)(object)
    }
}

impl Default for Advice {
    /// None.
    fn default() -> Self {
        Self::new(|_| Vec::new())
    }
}

impl fmt::Debug for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Advice").finish_non_exhaustive()
    }
}
