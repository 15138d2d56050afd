//! Bootstrap tokens (`abcdef.0123456789abcdef`): Secrets in `kube-system` by which a node that joins is known for a while.

use crate::authorize::User;
use crate::joining::{TOKEN_PREFIX, TOKEN_TYPE, TOKENS_IN, token_parts};
use crate::lookup::Lookup;
use crate::object::{is_deleting, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::Value;

/// The group of all who come with such a token.
const GROUP: &str = "system:bootstrappers";

/// The user of a token that a Secret stands for; nobody if the token is of another form, unknown, expired, or not for authentication.
pub(super) fn user(token: &str, lookup: &Lookup, now: jiff::Timestamp) -> Option<User> {
    let (id, secret) = token_parts(token)?;
    let stored = lookup.get("secrets", Some(TOKENS_IN), &format!("{TOKEN_PREFIX}{id}"))?;
    if is_deleting(&stored) || text(&stored, "/type") != TOKEN_TYPE {
        return None;
    }
    // Hashes are compared, so that how long it takes says nothing of the secret.
    let hash = |text: &str| digest(&SHA256, text.as_bytes());
    if hash(&data(&stored, "token-secret")).as_ref() != hash(secret).as_ref()
        || data(&stored, "token-id") != id
    {
        return None;
    }
    let expiry = data(&stored, "expiration");
    // A time that cannot be read has passed.
    if !expiry.is_empty() && !expiry.parse().is_ok_and(|expiry: jiff::Timestamp| now < expiry) {
        return None;
    }
    if data(&stored, "usage-bootstrap-authentication") != "true" {
        return None;
    }
    let mut groups = vec![GROUP.to_owned()];
    let extra = data(&stored, "auth-extra-groups");
    for group in extra.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        if !is_group(group) {
            return None;
        }
        groups.push(group.to_owned());
    }
    groups.sort();
    groups.dedup();
    Some(User::authenticated(&format!("system:bootstrap:{id}"), groups))
}

/// Nobody becomes `system:masters` by a Secret: groups begin with the one that all bootstrappers are in.
fn is_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else { return false };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    rest.len() <= 256
        && rest.bytes().all(|byte| letter(byte) || matches!(byte, b':' | b'-'))
        && rest.bytes().last().is_some_and(letter)
}

fn data(secret: &Value, key: &str) -> String {
    let bytes = STANDARD.decode(secret["data"][key].as_str().unwrap_or_default());
    bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_bootstrappers() {
        for (group, want) in [
            ("system:bootstrappers:kubeadm:default-node-token", true),
            ("system:bootstrappers", false),
            ("system:bootstrappers:", false),
            ("system:bootstrappers:a-", false),
            ("system:bootstrappers:A", false),
            ("system:masters", false),
        ] {
            assert_eq!(is_group(group), want, "{group}");
        }
    }
}
