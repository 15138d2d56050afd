//! Bootstrap tokens: those that have ended go, and those that may sign have their signatures on `cluster-info`, by which a machine that joins
//! knows that who answers it knows its token.

use crate::context::{Context, path, work};
use crate::garbage::Graph;
use crate::json::{seconds, set, text};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use moat_apiserver::joining::{
    INFO, INFO_IN, SIGNATURE_PREFIX, TOKEN_PREFIX, TOKEN_TYPE, TOKENS_IN,
};
use moat_apiserver::{DeleteOptions, Gvr, Selection, Status};
use moat_informer::{Done, Queue};
use moat_store::Path;
use ring::hmac;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

static SECRETS: Gvr = Gvr::new("", "v1", "secrets");
static CONFIG_MAPS: Gvr = Gvr::new("", "v1", "configmaps");

pub(crate) fn start(context: &Arc<Context>, graph: &Graph, tasks: &mut JoinSet<()>) {
    let tokens: Queue<Path> = context.queue("token_cleaner");
    let infos: Queue<Path> = context.queue("bootstrap_signer_queue");
    if let Some(cache) = graph.cache(&SECRETS) {
        let (tokens, infos) = (tokens.clone(), infos.clone());
        cache.on_change(move |delta| {
            let token = delta.last().filter(|one| {
                &*one.meta.namespace == TOKENS_IN && one.meta.name.starts_with(TOKEN_PREFIX)
            });
            let Some(token) = token else { return };
            tokens.add(token.path.clone());
            if let Some(info) = path(INFO_IN, INFO) {
                infos.add(info);
            }
        });
    }
    if let Some(cache) = graph.cache(&CONFIG_MAPS) {
        let infos = infos.clone();
        cache.on_change(move |delta| {
            let info = delta.new.as_ref();
            let is = |name: &str, namespace: &str| name == INFO && namespace == INFO_IN;
            if let Some(info) = info.filter(|one| is(&one.meta.name, &one.meta.namespace)) {
                infos.add(info.path.clone());
            }
        });
    }
    work(context, tasks, &tokens, |context, path| async move { clean(&context, &path).await });
    work(context, tasks, &infos, |context, _| async move { sign(&context).await });
}

/// Deletes a token that has ended, or comes back when it ends.
async fn clean(context: &Context, path: &Path) -> Result<Done, Status> {
    let secret = match context.cluster.get(SECRETS.at(TOKENS_IN, path.name())).await {
        Err(status) if status.code == 404 => return Ok(Done::Ok),
        other => other?,
    };
    if text(&secret, "/type") != TOKEN_TYPE {
        return Ok(Done::Ok);
    }
    match remaining(&secret, jiff::Timestamp::now().as_second()) {
        None => Ok(Done::Ok),
        Some(0) => {
            let uid = Some(text(&secret, "/metadata/uid").to_owned());
            let options = DeleteOptions { uid, ..DeleteOptions::default() };
            match context.cluster.delete(SECRETS.at(TOKENS_IN, path.name()), &options).await {
                Err(status) if status.code != 404 => Err(status),
                _ => Ok(Done::Ok),
            }
        }
        Some(seconds) => Ok(Done::After(Duration::from_secs(seconds))),
    }
}

/// Sees to it that `cluster-info`, where there is one, has the signature of each token that may sign, and no other.
async fn sign(context: &Context) -> Result<Done, Status> {
    let mut info = match context.cluster.get(CONFIG_MAPS.at(INFO_IN, INFO)).await {
        Err(status) if status.code == 404 => return Ok(Done::Ok),
        other => other?,
    };
    let Some(kubeconfig) = info["data"]["kubeconfig"].as_str() else { return Ok(Done::Ok) };
    let selection = Selection { fields: format!("type={TOKEN_TYPE}"), ..Selection::default() };
    let listed = context.cluster.list(SECRETS.at(TOKENS_IN, ""), &selection).await?;
    let secrets = listed.objects.iter().filter_map(|one| serde_json::from_slice(&one.value).ok());
    let secrets: Vec<Value> = secrets.collect();
    let signatures = signatures(kubeconfig, &secrets, jiff::Timestamp::now().as_second());
    let mut data = info["data"].as_object().cloned().unwrap_or_default();
    data.retain(|key, _| !key.starts_with(SIGNATURE_PREFIX));
    data.extend(signatures.into_iter().map(|(key, value)| (key, value.into())));
    if info["data"].as_object() != Some(&data) {
        set(&mut info, &["data"], data.into());
        context.cluster.update(CONFIG_MAPS.at(INFO_IN, INFO), info).await?;
    }
    Ok(Done::Ok)
}

/// Seconds until a token ends; nothing if it does not end. A time that cannot be read has passed.
fn remaining(secret: &Value, now: i64) -> Option<u64> {
    let end = data(secret, "expiration").filter(|end| !end.is_empty())?;
    let left = seconds(&end).map_or(0, |end| end.saturating_sub(now));
    Some(u64::try_from(left).unwrap_or(0))
}

/// The signatures of all tokens that may sign, by the key under which `cluster-info` has them.
fn signatures(kubeconfig: &str, secrets: &[Value], now: i64) -> BTreeMap<String, String> {
    let one = |secret: &Value| {
        let id = data(secret, "token-id")?;
        let word = data(secret, "token-secret").filter(|word| !word.is_empty())?;
        let named = text(secret, "/metadata/name").strip_prefix(TOKEN_PREFIX) == Some(&*id);
        let signs = data(secret, "usage-bootstrap-signing").as_deref() == Some("true");
        let holds = remaining(secret, now) != Some(0)
            && secret["metadata"].get("deletionTimestamp").is_none();
        (named && !id.is_empty() && signs && holds).then(|| {
            (format!("{SIGNATURE_PREFIX}{id}"), detached_signature(kubeconfig, &id, &word))
        })
    };
    secrets.iter().filter_map(one).collect()
}

fn data(secret: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// What a token signs of a text, as `cluster-info` has it: a JSON Web Signature (HS256) that does not repeat the text. Equal tokens and texts
/// have equal signatures, byte for byte: clients compare them.
pub fn detached_signature(content: &str, id: &str, secret: &str) -> String {
    let header = serde_json::json!({ "alg": "HS256", "kid": id }).to_string();
    let [header, content] = [header.as_str(), content].map(|text| URL_SAFE_NO_PAD.encode(text));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, format!("{header}.{content}").as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(name: &str, parts: &[(&str, &str)]) -> Value {
        let mut data = json!({});
        for (key, value) in parts {
            data[*key] = STANDARD.encode(value).into();
        }
        json!({ "metadata": { "name": name }, "type": TOKEN_TYPE, "data": data })
    }

    /// Upstream's own example (`token/jws`): content, id and secret, and what they make.
    #[test]
    fn a_signature_is_what_upstream_makes() {
        assert_eq!(
            detached_signature(
                "Hello from the other side. I must have called a thousand times.",
                "joshua",
                "my voice is my passcode"
            ),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
        );
    }

    #[test]
    fn only_tokens_that_may_and_hold_sign() {
        let signs = ("usage-bootstrap-signing", "true");
        let (id, word) = (("token-id", "abcdef"), ("token-secret", "0123456789abcdef"));
        let n = |name: &str, parts: &[(&str, &str)]| {
            signatures("x", &[secret(name, parts)], 1_800_000_000).len()
        };
        let name = "bootstrap-token-abcdef";
        assert_eq!(n(name, &[id, word, signs]), 1);
        assert_eq!(n(name, &[id, word, signs, ("expiration", "2027-01-15T08:00:01Z")]), 1);
        assert_eq!(n(name, &[id, word, signs, ("expiration", "2027-01-15T08:00:00Z")]), 0);
        assert_eq!(n(name, &[id, word, signs, ("expiration", "soon")]), 0);
        assert_eq!(n("bootstrap-token-fedcba", &[id, word, signs]), 0);
        assert_eq!(n(name, &[id, word, ("usage-bootstrap-signing", "yes")]), 0);
        assert_eq!(n(name, &[id, word]), 0);
        assert_eq!(n(name, &[id, signs]), 0);
    }

    #[test]
    fn a_token_ends_when_it_says_and_at_once_if_that_cannot_be_read() {
        let left = |end: &str| remaining(&secret("x", &[("expiration", end)]), 1_800_000_000);
        assert_eq!(left("2027-01-15T08:01:00Z"), Some(60));
        assert_eq!(left("2027-01-15T07:59:59Z"), Some(0));
        assert_eq!(left("tomorrow"), Some(0));
        assert_eq!(left(""), None);
        assert_eq!(remaining(&secret("x", &[]), 0), None);
    }
}
