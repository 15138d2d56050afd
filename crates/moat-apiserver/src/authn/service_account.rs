//! Tokens of ServiceAccounts: which claims they carry, and whether what they are bound to is still there.

use crate::authorize::User;
use crate::lookup::Lookup;
use crate::object::{meta, text};
use crate::stamp::uid;
use serde_json::{Map, Value, json};

/// Who issues tokens, and for whom they are unless somebody says otherwise.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// How far clocks may be apart (upstream's `jwt.DefaultLeeway`).
const LEEWAY_SECONDS: i64 = 60;

/// The name under which a ServiceAccount acts.
pub(crate) fn username(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Namespace and name of a ServiceAccount by the name under which it acts.
pub(crate) fn split_username(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let ok = crate::names::check(crate::names::Rule::Label, namespace, false).is_empty()
        && crate::names::check(crate::names::Rule::Subdomain, name, false).is_empty();
    ok.then_some((namespace, name))
}

/// The groups of all ServiceAccounts of a namespace.
pub(crate) fn groups(namespace: &str) -> [String; 2] {
    ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// What a token is bound to besides its account: with one of these gone it is void.
#[derive(Debug, Default)]
pub(crate) struct Bound<'a> {
    pub(crate) pod: Option<&'a Value>,
    pub(crate) secret: Option<&'a Value>,
    /// The node itself, or the pod's.
    pub(crate) node: Option<&'a Value>,
}

/// The claims of a new token, from `now` for so many seconds.
pub(crate) fn claims(
    account: &Value,
    bound: &Bound<'_>,
    audiences: &[String],
    now: i64,
    seconds: i64,
) -> Value {
    let reference = |object: &Value| {
        let mut map = Map::new();
        for field in ["name", "uid"] {
            if !meta(object, field).is_empty() {
                map.insert(field.to_owned(), meta(object, field).into());
            }
        }
        Value::Object(map)
    };
    let mut own = Map::new();
    own.insert("namespace".to_owned(), meta(account, "namespace").into());
    for (field, object) in [("node", bound.node), ("pod", bound.pod), ("secret", bound.secret)] {
        if let Some(object) = object {
            own.insert(field.to_owned(), reference(object));
        }
    }
    own.insert("serviceaccount".to_owned(), reference(account));
    json!({
        "aud": audiences,
        "exp": now + seconds,
        "iat": now,
        "iss": ISSUER,
        "jti": uid(),
        "kubernetes.io": own,
        "nbf": now,
        "sub": username(meta(account, "namespace"), meta(account, "name")),
    })
}

/// The user of signed claims, if they hold now; else why not. Their signature and audience are the caller's to check.
pub(crate) fn user(claims: &Value, lookup: &Lookup, now: i64) -> Result<User, String> {
    if claims["iss"] != ISSUER {
        return Err("issuer is not known".to_owned());
    }
    let time = |field: &str| claims[field].as_i64();
    if time("exp").is_none_or(|expiry| expiry < now - LEEWAY_SECONDS) {
        return Err("service account token has expired".to_owned());
    }
    if time("nbf").is_some_and(|begin| now + LEEWAY_SECONDS < begin) {
        return Err("service account token is not valid yet".to_owned());
    }
    if time("iat").is_some_and(|issued| now + LEEWAY_SECONDS < issued) {
        return Err("service account token is issued in the future".to_owned());
    }
    let own = &claims["kubernetes.io"];
    let (namespace, name) = (text(own, "/namespace"), text(own, "/serviceaccount/name"));
    if namespace.is_empty() || text(claims, "/sub") != username(namespace, name) {
        return Err("service account token claims could not be validated".to_owned());
    }
    let account = lookup
        .get("serviceaccounts", Some(namespace), name)
        .ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
    let uid = meta(&account, "uid");
    if text(own, "/serviceaccount/uid") != uid {
        let claim = text(own, "/serviceaccount/uid");
        return Err(format!("service account UID ({uid}) does not match claim ({claim})"));
    }
    if is_gone(&account, now) {
        return Err(format!("service account {namespace}/{name} has been deleted"));
    }
    let mut extra = vec![("credential-id", format!("JTI={}", text(claims, "/jti")))];
    if own.get("secret").is_some() {
        still_there(own, "secret", "secrets", Some(namespace), lookup, now)?;
    }
    if own.get("pod").is_some() {
        still_there(own, "pod", "pods", Some(namespace), lookup, now)?;
        extra.push(("pod-name", text(own, "/pod/name").to_owned()));
        extra.push(("pod-uid", text(own, "/pod/uid").to_owned()));
    } else if own.get("node").is_some() {
        still_there(own, "node", "nodes", None, lookup, now)?;
    }
    if own.get("node").is_some() {
        extra.push(("node-name", text(own, "/node/name").to_owned()));
        extra.push(("node-uid", text(own, "/node/uid").to_owned()));
    }
    let mut user = User::authenticated(&username(namespace, name), groups(namespace));
    uid.clone_into(&mut user.uid);
    user.extra = extra
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (format!("authentication.kubernetes.io/{key}"), vec![value]))
        .collect();
    Ok(user)
}

/// An object that a token is bound to must be the same one, and not gone.
fn still_there(
    own: &Value,
    field: &str,
    resource: &str,
    namespace: Option<&str>,
    lookup: &Lookup,
    now: i64,
) -> Result<(), String> {
    let claim = &own[field];
    let void = || "service account token has been invalidated".to_owned();
    let object = lookup.get(resource, namespace, text(claim, "/name")).ok_or_else(void)?;
    let (uid, claimed) = (meta(&object, "uid"), text(claim, "/uid"));
    if uid != claimed {
        return Err(format!(
            "{field} UID ({uid}) does not match service account {field} ref claim ({claimed})"
        ));
    }
    if is_gone(&object, now) { Err(void()) } else { Ok(()) }
}

/// Whether an object's time is over: a pod that ends slowly has its token until then.
fn is_gone(object: &Value, now: i64) -> bool {
    let when: Option<jiff::Timestamp> = meta(object, "deletionTimestamp").parse().ok();
    when.is_some_and(|when| when.as_second() < now - LEEWAY_SECONDS)
}
