//! Signs requests for certificates with the cluster's authority. Whether it should is for others to decide.

use crate::pki::Authority;
use std::sync::Arc;

/// The cluster's authority, for who signs what was approved.
#[derive(Clone, Debug)]
pub struct Signer(pub(crate) Arc<Authority>);

impl Signer {
    /// Signs a request (PEM) for usages in Kubernetes' words (`client auth`), to hold for so many seconds from now. Returns the certificate, PEM.
    ///
    /// Errors: the request cannot be read, or asks for what this signer does not give.
    pub fn sign(&self, request: &str, usages: &[&str], seconds: i64) -> Result<String, String> {
        self.0.sign_request(request, usages, seconds)
    }
}
