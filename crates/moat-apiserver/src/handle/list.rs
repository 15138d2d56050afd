//! Lists: a scope at a revision, selected, a page at a time.

use super::options::{At, ListOptions};
use super::{Call, bad_key, send};
use crate::api::{Api, Reply};
use crate::selector::Selector;
use crate::status::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moat_store::{List, Object, Path, ReadError, Scope};
use serde_json::{Map, Value, json};

/// What a call's selectors mean, and the scope that the store has to look at.
pub(crate) fn selection(call: &Call<'_>) -> Result<(Selector, Scope), Status> {
    let text = |name| call.query.text(name).unwrap_or_default();
    let selector = Selector::parse(call.kind(), text("labelSelector"), text("fieldSelector"))?;
    // A watch of one object must not look at all of them.
    let scope = match (&call.namespace, selector.name()) {
        (Some(namespace), Some(name)) if !name.is_empty() => {
            Scope::Object(Path::new(Some(namespace), name).map_err(|error| bad_key(&error))?)
        }
        (None, Some(name)) if !call.kind().namespaced && !name.is_empty() => {
            Scope::Object(Path::new(None, name).map_err(|error| bad_key(&error))?)
        }
        (Some(namespace), _) => Scope::Namespace(namespace.clone()),
        (None, _) => Scope::All,
    };
    Ok((selector, scope))
}

pub(super) fn list(api: &Api, call: &Call<'_>) -> Result<Reply, Status> {
    let options = ListOptions::of(call)?;
    let form = call.form()?;
    let (selector, scope) = selection(call)?;
    let mut wanted = List::new(&call.served.resource, scope);
    match options.at {
        At::Now => {}
        At::Exactly(revision) => wanted.revision = Some(revision),
        At::NotOlder(revision) => {
            let current = api.store.revision();
            if current < revision {
                return Err(Status::future_revision(revision, current));
            }
        }
    }
    if let Some(token) = &options.token {
        let (revision, after) = read_token(token)?;
        (wanted.revision, wanted.after) = (revision, Some(after));
    }
    let (objects, revision, next, remaining) = gather(api, call, wanted, &selector, &options)?;
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    if let Some(next) = next {
        metadata.insert("continue".to_owned(), token(Some(revision), &next).into());
        // With a selector nobody knows without looking.
        if selector.is_empty() {
            metadata.insert("remainingItemCount".to_owned(), remaining.into());
        }
    }
    send::list(call, form, objects, metadata)
}

pub(crate) type Gathered = (Vec<Object>, u64, Option<Path>, usize);

/// Reads pages until enough objects are selected.
pub(crate) fn gather(
    api: &Api,
    call: &Call<'_>,
    mut wanted: List,
    selector: &Selector,
    options: &ListOptions,
) -> Result<Gathered, Status> {
    let mut objects: Vec<Object> = Vec::new();
    loop {
        wanted.limit = options.limit.map(|limit| limit - objects.len());
        let page = api.store.list(&wanted).map_err(|error| unreadable(error, &wanted, options))?;
        wanted.revision = Some(page.revision);
        let selected =
            page.objects.into_iter().filter(|object| call.served.selects(selector, object));
        objects.extend(selected);
        let full = options.limit.is_some_and(|limit| limit <= objects.len());
        match page.next {
            Some(next) if !full => wanted.after = Some(next),
            next => return Ok((objects, page.revision, next, page.remaining)),
        }
    }
}

fn unreadable(error: ReadError, wanted: &List, options: &ListOptions) -> Status {
    match (error, &wanted.after) {
        (ReadError::Expired(_), Some(after)) if options.token.is_some() => {
            Status::expired_continue(&token(None, after))
        }
        (ReadError::Expired(_), _) => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
        (ReadError::Future { current }, _) => {
            Status::future_revision(wanted.revision.unwrap_or_default(), current)
        }
        (ReadError::Closed, _) => Status::unavailable("the server is shutting down"),
    }
}

/// Where a list goes on: opaque to clients. Without a revision it goes on at whatever is then.
fn token(revision: Option<u64>, after: &Path) -> String {
    let revision = revision.map_or(-1, |revision| i64::try_from(revision).unwrap_or(-1));
    let body = json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": after.as_str() });
    URL_SAFE_NO_PAD.encode(body.to_string())
}

fn read_token(token: &str) -> Result<(Option<u64>, Path), Status> {
    let bad = |why: &str| {
        Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(token.trim_end_matches('='))
        .map_err(|error| bad(&error.to_string()))?;
    let body: Value = serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
    if body["v"] != "meta.k8s.io/v1" {
        return Err(bad("server does not recognize this encoded version"));
    }
    let after = Path::parse(body["start"].as_str().unwrap_or_default())
        .map_err(|error| bad(&error.to_string()))?;
    let revision =
        body["rv"].as_i64().ok_or_else(|| bad("incorrect encoded start resourceVersion"))?;
    Ok((u64::try_from(revision).ok(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_were_written_and_nothing_else_is() {
        let path = Path::new(Some("a"), "b").unwrap();
        assert_eq!(read_token(&token(Some(7), &path)), Ok((Some(7), path.clone())));
        assert_eq!(read_token(&token(None, &path)), Ok((None, path)));
        for text in ["", "x", "e30", "!!"] {
            assert_eq!(read_token(text).unwrap_err().code, 400, "{text}");
        }
    }
}
