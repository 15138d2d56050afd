//! Who asks: by a certificate of the cluster's authority, or by a bearer token.

mod bootstrap_token;
mod certificate;
mod impersonate;
mod jwt;
pub(crate) mod service_account;

use crate::authorize::User;
use crate::lookup::Lookup;
use crate::status::Status;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use moat_store::Store;
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use certificate::{Anybody, Peer};
pub(crate) use impersonate::impersonate;
pub(crate) use jwt::SigningKey;

/// Tokens whose signatures were found good, so that a client's second request costs no signature. What they claim is checked each time.
const CACHED_MAX: usize = 4_096;

/// Finds out who asks.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(crate) key: SigningKey,
    lookup: Lookup,
    /// The hash of the administrator's token, if there is one.
    admin_token: Option<[u8; 32]>,
    signed: Mutex<BTreeMap<[u8; 32], Arc<Value>>>,
}

/// Who a good token stands for, and for which audiences.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) user: User,
    /// Empty for tokens that are for this server alone, whatever they are asked for.
    pub(crate) audiences: Vec<String>,
}

impl Authenticator {
    pub(crate) fn new(key: SigningKey, store: Store, admin_token: Option<&str>) -> Self {
        let admin_token = admin_token.filter(|token| !token.is_empty()).map(hash);
        Self { key, lookup: Lookup::new(store), admin_token, signed: Mutex::default() }
    }

    /// The user of a request; nobody if it does not say. Who says something wrong is refused.
    pub(crate) fn user(&self, peer: &Peer, headers: &HeaderMap) -> Result<Option<User>, Status> {
        let certified = peer.user(jiff::Timestamp::now());
        if let Ok(Some(user)) = certified {
            return Ok(Some(user.clone()));
        }
        let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let token =
            header.and_then(|header| header.trim().split_once(' ')).and_then(|(kind, token)| {
                let token = token.trim();
                (kind.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
            });
        match token {
            Some(token) => match self.token(token, &[service_account::ISSUER.to_owned()]) {
                Ok(known) => Ok(Some(known.user)),
                Err(_) => Err(Status::unauthorized()),
            },
            None if certified.is_err() => Err(Status::unauthorized()),
            None => Ok(None),
        }
    }

    /// Who a token stands for, if it is for one of the audiences; else why not.
    pub(crate) fn token(&self, token: &str, audiences: &[String]) -> Result<Known, String> {
        let hash = hash(token);
        let now = jiff::Timestamp::now();
        if self.admin_token == Some(hash) {
            let user = User::authenticated("kubernetes-admin", ["system:masters".to_owned()]);
            return Ok(Known { user, audiences: Vec::new() });
        }
        if let Some(user) = bootstrap_token::user(token, &self.lookup, now) {
            return Ok(Known { user, audiences: Vec::new() });
        }
        let claims = self.claims(hash, token).ok_or("invalid bearer token")?;
        let invalid = |why: String| format!("[invalid bearer token, {why}]");
        let own = match &claims["aud"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let common: Vec<String> =
            audiences.iter().filter(|one| own.contains(&one.as_str())).cloned().collect();
        if common.is_empty() {
            let quoted =
                |all: &[&str]| all.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>();
            let wanted: Vec<&str> = audiences.iter().map(String::as_str).collect();
            return Err(invalid(format!(
                "token audiences [{}] is invalid for the target audiences [{}]",
                quoted(&own).join(" "),
                quoted(&wanted).join(" ")
            )));
        }
        let user =
            service_account::user(&claims, &self.lookup, now.as_second()).map_err(invalid)?;
        Ok(Known { user, audiences: common })
    }

    /// The claims of a token that this cluster signed.
    fn claims(&self, hash: [u8; 32], token: &str) -> Option<Arc<Value>> {
        let lock = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = lock().get(&hash) {
            return Some(Arc::clone(claims));
        }
        let claims = Arc::new(self.key.verify(token)?);
        let mut signed = lock();
        if CACHED_MAX <= signed.len() {
            signed.clear();
        }
        signed.insert(hash, Arc::clone(&claims));
        Some(claims)
    }
}

/// Tokens are compared by their hashes: how long that takes says nothing of them, and memory holds no more secrets than it must.
fn hash(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
