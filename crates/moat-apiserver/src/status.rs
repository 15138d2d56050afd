//! Errors as clients read them: `Status` objects in Kubernetes' own words.
//!
//! kubectl prints the message as it is, and programs decide by `reason` and `details`; so words, order and details are upstream's
//! (`apimachinery/pkg/api/errors`), and each is held against a captured body in `tests/api/errors.rs`.

use serde_json::{Map, Value, json};

/// One reason inside an error: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The machine's word, `FieldValueInvalid`.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// The field's path, or nothing.
    pub field: String,
}

/// An answer that is not the object that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The HTTP code.
    pub code: u16,
    /// The machine's word, `NotFound`.
    pub reason: &'static str,
    /// The sentence that users read.
    pub message: String,
    /// What it is about, as upstream's `StatusDetails`.
    pub details: Option<Map<String, Value>>,
}

/// The group and plural that an error is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The API group; empty for the core.
    pub group: &'a str,
    /// The plural, or the kind for what is invalid.
    pub resource: &'a str,
}

impl About<'_> {
    /// `deployments.apps`, or `pods`.
    fn qualified(self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    fn details(self, name: &str) -> Map<String, Value> {
        let mut details = Map::new();
        let fields = [("name", name), ("group", self.group), ("kind", self.resource)];
        for (key, value) in fields {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.into());
            }
        }
        details
    }
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, about: About<'_>, name: &str) -> Self {
        self.details = Some(about.details(name));
        self
    }

    fn with_causes(mut self, causes: &[Cause]) -> Self {
        let causes = causes.iter().map(Cause::to_json).collect();
        self.details.get_or_insert_default().insert("causes".to_owned(), Value::Array(causes));
        self
    }

    fn with_retry(mut self, seconds: u32) -> Self {
        let details = self.details.get_or_insert_default();
        details.insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }

    /// 404 for an object.
    pub fn not_found(about: About<'_>, name: &str) -> Self {
        let message = format!("{} {name:?} not found", about.qualified());
        Self::new(404, "NotFound", message).about(about, name)
    }

    /// 404 for a path that is no API.
    pub fn no_such_path() -> Self {
        let mut status =
            Self::new(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Map::new());
        status
    }

    /// 409 for what is there already.
    pub fn already_exists(about: About<'_>, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", about.qualified());
        Self::new(409, "AlreadyExists", message).about(about, name)
    }

    /// 409 for a write that was overtaken, or whose conditions do not hold.
    pub fn conflict(about: About<'_>, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", about.qualified());
        Self::new(409, "Conflict", message).about(about, name)
    }

    /// 409 for a write that another one overtook.
    pub fn modified(about: About<'_>, name: &str) -> Self {
        Self::conflict(
            about,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 422 for an object that breaks rules; `about.resource` is the kind here.
    pub fn invalid(about: About<'_>, name: &str, causes: &[Cause]) -> Self {
        let mut seen: Vec<String> = Vec::new();
        for cause in causes {
            let text = if cause.field.is_empty() {
                cause.message.clone()
            } else {
                format!("{}: {}", cause.field, cause.message)
            };
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
        let why = match seen.as_slice() {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {why}", about.qualified());
        Self::new(422, "Invalid", message).about(about, name).with_causes(causes)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401 for who did not say who they are.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 for a resource.
    pub fn forbidden(about: About<'_>, name: &str, why: &str) -> Self {
        let what = about.qualified();
        let message = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} {name:?} is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(about, name)
    }

    /// 403 for a path that is no resource.
    pub fn forbidden_path(why: &str) -> Self {
        let mut status = Self::new(403, "Forbidden", format!("forbidden: {why}"));
        status.details = Some(Map::new());
        status
    }

    /// 405 for a verb that a resource does not have.
    pub fn method_not_allowed(about: About<'_>, verb: &str) -> Self {
        let what = about.qualified();
        let message = format!("{verb} is not supported on resources of kind {what:?}");
        Self::new(405, "MethodNotAllowed", message).about(about, "")
    }

    /// 405 for a method that a path does not have.
    pub fn method_not_allowed_path() -> Self {
        let mut status = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        status.details = Some(Map::new());
        status
    }

    /// 406: what this server can answer with.
    pub(crate) fn not_acceptable(available: &[String]) -> Self {
        let message =
            format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// 410 for a revision that history no longer has.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 410 for a list that has to begin anew, or to go on at another revision.
    pub fn expired_continue(token: &str) -> Self {
        let mut status = Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
             parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided \
             token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was \
             returned and now may show up in the list.",
        );
        status.details = None;
        status.message = status.message.replace("  ", " ");
        let mut details = Map::new();
        details.insert("continue".to_owned(), token.into());
        status.details = Some(details);
        status
    }

    /// 413 for a body over the limit.
    pub fn too_large(max: usize) -> Self {
        let message = format!("Request entity is too large: limit is {max}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415 for a body that is none of the types that are read.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 429 for what is not allowed now; after how many seconds it is worthwhile to ask again, 0 where nobody knows.
    pub(crate) fn too_many_requests(message: &str, seconds: u32, causes: &[Cause]) -> Self {
        let mut status = Self::new(429, "TooManyRequests", message);
        status.details = Some(Map::new());
        if 0 < seconds {
            status = status.with_retry(seconds);
        }
        status.with_causes(causes)
    }

    /// After how many seconds the client may ask again, if the status says so.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }

    /// 504 for a revision that is not there yet.
    pub fn future_revision(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        Self::new(504, "Timeout", message).with_causes(&[cause]).with_retry(1)
    }

    /// 500, with a sentence for the operator.
    pub fn internal(why: &str) -> Self {
        let mut status = Self::new(500, "InternalError", format!("Internal error occurred: {why}"));
        let cause = Cause { reason: "", message: why.to_owned(), field: String::new() };
        status = status.with_causes(&[cause]);
        status
    }

    /// 500 without a reason: what upstream answers with where it has no better word.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 409 where others own what was applied.
    pub(crate) fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        Self::new(409, "Conflict", message).with_causes(causes)
    }

    /// 406 where the type is spoken, but not in the form that is wanted.
    pub(crate) fn not_converted(accepted: &[String]) -> Self {
        let message =
            format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// 501 for a part of the API that this server does not have; upstream has no such answer, because it has all parts.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("{what} is not supported by this server"))
    }

    /// 503 while writes wait for the disk, or the server ends.
    pub fn unavailable(why: &str) -> Self {
        Self::new(503, "ServiceUnavailable", why).with_retry(1)
    }

    /// As it is sent.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if let Some(map) = body.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".to_owned(), self.reason.into());
            }
            if let Some(details) = &self.details {
                map.insert("details".to_owned(), Value::Object(details.clone()));
            }
            map.insert("code".to_owned(), self.code.into());
        }
        if self.reason == "Expired" {
            // Upstream carries the token of an expired list in the list's metadata.
            let token = self.details.as_ref().and_then(|details| details.get("continue").cloned());
            if let (Some(token), Some(map)) = (token, body.as_object_mut()) {
                map.insert("metadata".to_owned(), json!({ "continue": token }));
                map.shift_remove("details");
            }
        }
        body
    }
}

impl Cause {
    /// An error at a field.
    pub fn field(
        reason: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { reason, message: message.into(), field: field.into() }
    }

    /// `Invalid value`.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self::field("FieldValueInvalid", field, format!("Invalid value: {value}: {why}"))
    }

    /// `Required value`.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self::field("FieldValueRequired", field, message)
    }

    /// `Unsupported value`, with those that are.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::field("FieldValueNotSupported", field, message)
    }

    /// `Duplicate value`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::field("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// `Too long`.
    pub fn too_long(field: impl Into<String>, bytes: usize) -> Self {
        let message = format!("Too long: may not be more than {bytes} bytes");
        Self::field("FieldValueTooLong", field, message)
    }

    /// `Not found`: what it names is not there.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::field("FieldValueNotFound", field, format!("Not found: {value}"))
    }

    /// `Forbidden`.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::field("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        let fields = [("reason", self.reason), ("message", &self.message), ("field", &self.field)];
        for (key, value) in fields {
            if !value.is_empty() {
                map.insert(key.to_owned(), value.into());
            }
        }
        Value::Object(map)
    }
}
