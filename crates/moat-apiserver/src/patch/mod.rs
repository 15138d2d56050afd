//! Patches: three ways to say what changes. Server-side apply will be the fourth.

mod strategic;

use crate::negotiate::PATCHES;
use crate::schema::Schema;
use crate::status::{About, Status};
use serde_json::{Map, Value};

/// Operations of one JSON patch (upstream's bound).
const OPERATIONS_MAX: usize = 10_000;

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: an object that is laid over.
    Merge,
    /// Kubernetes' own: like a merge, but lists whose items have keys are merged by them.
    Strategic,
}

impl PatchKind {
    pub(crate) fn of(content_type: &str) -> Result<Self, Status> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            _ => Err(Status::unsupported_media_type(PATCHES)),
        }
    }
}

/// A patch that was read.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Map<String, Value>),
}

impl Patch {
    pub(crate) fn new(kind: PatchKind, patch: Value) -> Result<Self, Status> {
        match (kind, patch) {
            (PatchKind::Json, Value::Array(operations)) if OPERATIONS_MAX < operations.len() => {
                Err(Status::bad_request(format!(
                    "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                    operations.len()
                )))
            }
            (PatchKind::Json, patch) => serde_json::from_value(patch)
                .map(Self::Json)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}"))),
            (PatchKind::Merge, patch @ Value::Object(_)) => Ok(Self::Merge(patch)),
            (PatchKind::Strategic, Value::Object(patch)) => Ok(Self::Strategic(patch)),
            (_, patch) => {
                Err(Status::bad_request(format!("error decoding patch: {patch} is no object")))
            }
        }
    }

    /// The object after the patch. Errors: the patch does not fit the object.
    pub(crate) fn apply(&self, schema: Schema, object: &Value) -> Result<Value, Status> {
        let mut new = object.clone();
        match self {
            // Upstream's words for a patch that was read and does not fit.
            Self::Json(patch) => json_patch::patch(&mut new, patch).map_err(|_| {
                let mut status = Status::invalid(About { group: "", resource: "" }, "", &[]);
                "the server rejected our request due to an error in our request"
                    .clone_into(&mut status.message);
                status.details = Some(Map::new());
                status
            })?,
            Self::Merge(patch) => json_patch::merge(&mut new, patch),
            Self::Strategic(patch) => {
                if schema.is_known() {
                    strategic::merge(&mut new, patch, schema)?;
                } else {
                    // As upstream for kinds without types of its own.
                    return Err(Status::unsupported_media_type(&PATCHES[..2]));
                }
            }
        }
        Ok(new)
    }
}
