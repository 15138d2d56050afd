//! Signed tokens: JSON web tokens by ES256, the one algorithm that this server signs with and accepts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rcgen::{KeyPair, PublicKeyData as _};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Value, json};

/// Bytes of a token that are looked at; one with every claim has less than two thousand.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// The key that signs the tokens of a cluster's ServiceAccounts.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    pem: String,
    public_pem: String,
    id: String,
}

impl std::fmt::Debug for SigningKey {
    /// Without the key: debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    pub(crate) fn generate() -> Result<Self, String> {
        Self::of(&KeyPair::generate().map_err(|error| error.to_string())?)
    }

    /// Reads a key from PEM (PKCS #8, P-256).
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        Self::of(&KeyPair::from_pem(pem).map_err(|error| error.to_string())?)
    }

    fn of(key: &KeyPair) -> Result<Self, String> {
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.serialize_der(),
            &SystemRandom::new(),
        );
        // The identity of a key is the hash of its public half, as upstream has it, so it is the same after a restart.
        let id = BASE64.encode(digest(&SHA256, &key.subject_public_key_info()));
        Ok(Self {
            pair: pair.map_err(|error| format!("no P-256 key: {error}"))?,
            pem: key.serialize_pem(),
            public_pem: key.public_key_pem(),
            id,
        })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, String> {
        let head = json!({ "alg": "ES256", "kid": self.id });
        let text =
            format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), text.as_bytes())
            .map_err(|_| "the system has no random numbers".to_owned())?;
        Ok(format!("{text}.{}", BASE64.encode(signature)))
    }

    /// The claims of a token that this key signed.
    pub(crate) fn verify(&self, token: &str) -> Option<Value> {
        if TOKEN_BYTES_MAX < token.len() {
            return None;
        }
        let (text, signature) = token.rsplit_once('.')?;
        let (head, claims) = text.split_once('.')?;
        let head: Value = serde_json::from_slice(&BASE64.decode(head).ok()?).ok()?;
        // The algorithm is ours to say, not the token's; `none` and the like end here. So do extensions that a reader must understand.
        if head["alg"] != "ES256" || !head["crit"].is_null() {
            return None;
        }
        if head.get("kid").is_some_and(|id| id.as_str() != Some(&self.id)) {
            return None;
        }
        let signature = BASE64.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        key.verify(text.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()
    }

    /// The public half as others read it (`/openid/v1/jwks`).
    pub(crate) fn jwks(&self) -> Value {
        // An uncompressed point: 4, then x, then y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len().saturating_sub(1) / 2);
        json!({ "keys": [{
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_read_and_nothing_else() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let claims = json!({ "sub": "a", "n": 1 });
        let token = key.sign(&claims).unwrap();
        assert_eq!(key.verify(&token), Some(claims.clone()));
        assert_eq!(SigningKey::from_pem(key.pem()).unwrap().verify(&token), Some(claims));
        assert_eq!(other.verify(&token), None);
        let parts: Vec<&str> = token.split('.').collect();
        let forged = BASE64.encode(r#"{"sub":"root"}"#);
        let none = BASE64.encode(r#"{"alg":"none"}"#);
        let symmetric = BASE64.encode(r#"{"alg":"HS256"}"#);
        for bad in [
            format!("{}.{forged}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{symmetric}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}A", parts[0], parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}.{token}"),
            "a.b.c".to_owned(),
            "...".to_owned(),
            String::new(),
            "A".repeat(TOKEN_BYTES_MAX + 1),
        ] {
            assert_eq!(key.verify(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_public_half_is_a_point() {
        let jwks = SigningKey::generate().unwrap().jwks();
        for field in ["x", "y"] {
            let part = BASE64.decode(jwks["keys"][0][field].as_str().unwrap()).unwrap();
            assert_eq!(part.len(), 32);
        }
    }
}
