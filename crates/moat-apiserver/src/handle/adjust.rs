//! Changes that the server itself makes to stored objects, because of a request about another object or about a part of this one.

use super::bad_key;
use super::update::TRIES;
use crate::api::Api;
use crate::kinds::Served;
use crate::object::{child_mut, decode, encode, text};
use crate::stamp::now;
use crate::status::{About, Status};
use moat_store::{Expect, WriteError};
use serde_json::{Map, Value};

/// Which object is changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) served: &'a Served,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
}

impl Place<'_> {
    fn about(&self) -> About<'_> {
        self.served.stored.about()
    }
}

/// Changes an object, anew where somebody else wrote it meanwhile. Returns its revision afterwards; on a dry run it stays as it is.
pub(super) async fn adjust(
    api: &Api,
    place: Place<'_>,
    dry_run: bool,
    change: impl Fn(&mut Value) -> Result<(), Status>,
) -> Result<u64, Status> {
    let key = place.served.key(place.namespace, place.name).map_err(|error| bad_key(&error))?;
    let gone = || Status::not_found(place.about(), place.name);
    let mut tries = TRIES;
    loop {
        let stored = api.store.get(&key).ok_or_else(gone)?;
        let mut object = decode(&stored);
        change(&mut object)?;
        if dry_run {
            return Ok(stored.revision);
        }
        let body = encode(&place.served.stored, &object);
        tries -= 1;
        match api.store.update(key.clone(), body, Expect::Revision(stored.revision)).await {
            Ok(written) => return Ok(written.revision),
            Err(WriteError::Conflict { .. }) if 0 < tries => {}
            Err(WriteError::NotFound) => return Err(gone()),
            Err(WriteError::Conflict { .. }) => {
                return Err(Status::modified(place.about(), place.name));
            }
            Err(error) => return Err(Status::unavailable(&error.to_string())),
        }
    }
}

/// Sets a condition of an object's status, without `type` and time, which are added; the time stays where the status stays.
pub(super) fn set_condition(object: &mut Value, kind: &str, mut fields: Map<String, Value>) {
    let status = child_mut(object, "status");
    let mut conditions = match status.remove("conditions") {
        Some(Value::Array(conditions)) => conditions,
        _ => Vec::new(),
    };
    let old = conditions.iter().position(|one| text(one, "/type") == kind);
    let since = old
        .and_then(|at| conditions.get(at))
        .filter(|old| fields.get("status") == old.get("status"))
        .and_then(|old| old.get("lastTransitionTime").cloned());
    fields.insert("type".to_owned(), kind.into());
    fields.insert("lastTransitionTime".to_owned(), since.unwrap_or_else(|| now().into()));
    match old.and_then(|at| conditions.get_mut(at)) {
        Some(old) => *old = Value::Object(fields),
        None => conditions.push(Value::Object(fields)),
    }
    status.insert("conditions".to_owned(), conditions.into());
}
