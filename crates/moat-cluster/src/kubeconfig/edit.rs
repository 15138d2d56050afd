//! A kubeconfig as data: a context put in, and taken out again without a trace.
//!
//! The format is that of `clientcmd/api/v1.Config`: lists of named clusters, users and contexts. Entries of others stay as they are, in their
//! order; an entry of ours carries an extension by which it is known again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The extension that marks an entry as ours.
const MARK: &str = "moat.dev/cluster";
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// What clients need to reach a cluster as one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The name of the context, and of its cluster and user.
    pub name: String,
    /// `https://127.0.0.1:36443`.
    pub server: String,
    /// The certificate of the cluster's authority, PEM.
    pub authority: String,
    /// The user's certificate, PEM.
    pub certificate: String,
    /// The user's key, PEM.
    pub key: String,
}

/// A context of that name is there and somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

/// Puts the context in and makes it the current one. Returns which one was current before, if it was not this one.
///
/// Errors: an entry of that name is not ours; nothing is changed then.
pub fn add(config: &mut Value, context: &Context) -> Result<Option<String>, Taken> {
    if !config.is_object() {
        *config = json!({ "apiVersion": "v1", "kind": "Config" });
    }
    let others = |list: &str| {
        let named = entries(config, list).iter().find(|entry| entry["name"] == *context.name);
        named.is_some_and(|entry| !is_ours(entry, list))
    };
    if LISTS.iter().any(|list| others(list)) {
        return Err(Taken);
    }
    let mark = json!([{ "name": MARK, "extension": { "embedded": true } }]);
    let encoded = |text: &str| STANDARD.encode(text);
    put(
        config,
        "clusters",
        json!({ "name": context.name, "cluster": {
            "certificate-authority-data": encoded(&context.authority), "server": context.server, "extensions": mark,
        }}),
    );
    put(
        config,
        "contexts",
        json!({ "name": context.name, "context": {
            "cluster": context.name, "user": context.name, "extensions": mark,
        }}),
    );
    put(
        config,
        "users",
        json!({ "name": context.name, "user": {
            "client-certificate-data": encoded(&context.certificate), "client-key-data": encoded(&context.key), "extensions": mark,
        }}),
    );
    let before = current(config).filter(|name| *name != context.name).map(str::to_owned);
    set_current(config, &context.name);
    Ok(before)
}

/// Takes our entries of that name out; where it was the current context, `back_to` becomes it if it is still there. Says whether there was
/// anything to take.
pub fn remove(config: &mut Value, name: &str, back_to: Option<&str>) -> bool {
    let mut found = false;
    for list in LISTS {
        if let Some(entries) = config.get_mut(list).and_then(Value::as_array_mut) {
            let before = entries.len();
            entries.retain(|entry| entry["name"] != *name || !is_ours(entry, list));
            found |= entries.len() < before;
        }
    }
    let left =
        |wanted: &&str| entries(config, "contexts").iter().any(|entry| entry["name"] == **wanted);
    if found && current(config) == Some(name) {
        let back_to = back_to.filter(left).unwrap_or_default().to_owned();
        set_current(config, &back_to);
    }
    found
}

fn current(config: &Value) -> Option<&str> {
    config["current-context"].as_str().filter(|name| !name.is_empty())
}

fn set_current(config: &mut Value, name: &str) {
    if let Some(map) = config.as_object_mut() {
        map.insert("current-context".to_owned(), name.into());
    }
}

fn entries<'a>(config: &'a Value, list: &str) -> &'a [Value] {
    config[list].as_array().map_or(&[], Vec::as_slice)
}

fn is_ours(entry: &Value, list: &str) -> bool {
    let inner = &entry[list.trim_end_matches('s')]["extensions"];
    inner.as_array().is_some_and(|marks| marks.iter().any(|mark| mark["name"] == MARK))
}

/// Puts an entry in the place of the one of its name, or at the end.
fn put(config: &mut Value, list: &str, entry: Value) {
    let Some(map) = config.as_object_mut() else { return };
    let slot = map.entry(list).or_insert_with(|| json!([]));
    // `clusters: null` is how kubectl writes an empty list.
    if !slot.is_array() {
        *slot = json!([]);
    }
    let Some(entries) = slot.as_array_mut() else { return };
    match entries.iter_mut().find(|own| own["name"] == entry["name"]) {
        Some(own) => *own = entry,
        None => entries.push(entry),
    }
}

/// A kubeconfig with this context alone.
pub fn alone(context: &Context) -> Value {
    let mut config = Value::Object(Map::new());
    config["apiVersion"] = "v1".into();
    config["kind"] = "Config".into();
    // A fresh file has nothing that could be somebody else's.
    let _ = add(&mut config, context);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str) -> Context {
        Context {
            name: name.to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            authority: "CA".to_owned(),
            certificate: "CERT".to_owned(),
            key: "KEY".to_owned(),
        }
    }

    fn others() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "preferences": { "colors": true },
            "clusters": [{ "name": "prod", "cluster": { "server": "https://prod" }, "odd": 1 }],
            "users": [{ "name": "me", "user": { "token": "t" } }],
            "contexts": [{ "name": "prod", "context": { "cluster": "prod", "user": "me" } }],
            "current-context": "prod",
        })
    }

    #[test]
    fn in_and_out_leaves_what_others_wrote_as_it_was() {
        let mut config = others();
        assert_eq!(add(&mut config, &context("moat")), Ok(Some("prod".to_owned())));
        assert_eq!(config["current-context"], "moat");
        assert_eq!(config["clusters"][0], others()["clusters"][0]);
        // A second start replaces, and does not call itself what was before.
        assert_eq!(add(&mut config, &context("moat")), Ok(None));
        assert_eq!(config["users"].as_array().map(Vec::len), Some(2));
        assert!(remove(&mut config, "moat", Some("prod")));
        assert_eq!(config, others());
        assert!(!remove(&mut config, "moat", Some("prod")));
    }

    #[test]
    fn a_context_of_somebody_else_is_left_alone() {
        let mut config = others();
        assert_eq!(add(&mut config, &context("prod")), Err(Taken));
        assert_eq!(config, others());
        assert!(!remove(&mut config, "prod", None));
        assert_eq!(config, others());
    }

    #[test]
    fn what_is_current_by_somebodys_choice_stays_current() {
        let mut config = others();
        let _ = add(&mut config, &context("moat"));
        config["current-context"] = "prod".into();
        remove(&mut config, "moat", Some("gone"));
        assert_eq!(config, others());
    }

    #[test]
    fn empty_lists_may_be_null() {
        let mut config = json!({ "clusters": null, "contexts": null, "users": null });
        assert_eq!(add(&mut config, &context("moat")), Ok(None));
        assert_eq!(config["contexts"][0]["name"], "moat");
        assert_eq!(alone(&context("moat"))["kind"], "Config");
    }
}
