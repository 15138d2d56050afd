//! Query options of writes, lists and watches, checked as upstream checks them.

use super::Call;
use crate::kinds::Subresource;
use crate::managed::Write;
use crate::status::{About, Cause, Status};

/// What to do with fields that a type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    Strict,
    Warn,
    Ignore,
}

/// Bytes of a manager's name, as upstream has it.
const MANAGER_BYTES_MAX: usize = 128;

/// Options of a write.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) validation: Validation,
    /// Whether what others own may be taken from them: only who applies can ask.
    pub(crate) force: bool,
    /// Who writes, if they say so.
    manager: String,
}

impl WriteOptions {
    pub(crate) fn of(call: &Call<'_>) -> Result<Self, Status> {
        let kind = match call.verb {
            "create" => "CreateOptions",
            "patch" => "PatchOptions",
            _ => "UpdateOptions",
        };
        let query = &call.query;
        query.only(&[
            "dryRun",
            "fieldManager",
            "fieldValidation",
            "force",
            "pretty",
            "timeout",
            "includeObject",
        ])?;
        let applies = super::apply::is_apply(call);
        let manager = query.get("fieldManager").unwrap_or_default();
        let mut causes = Vec::new();
        if query.get("force").is_some() && !applies {
            causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
        if manager.is_empty() && applies {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        if MANAGER_BYTES_MAX < manager.len() {
            let why = format!("Too long: may not be more than {MANAGER_BYTES_MAX} bytes");
            causes.push(Cause::field("FieldValueTooLong", "fieldManager", why));
        }
        if manager.chars().any(char::is_control) {
            let why = "should only contain printable characters";
            causes.push(Cause::invalid("fieldManager", &manager.into(), why));
        }
        if !causes.is_empty() {
            let about = About { group: "meta.k8s.io", resource: kind };
            return Err(Status::invalid(about, "", &causes));
        }
        let force = query.switch("force")?.unwrap_or(false);
        let dry_run = dry_run(query.all("dryRun"), kind)?;
        let validation = match query.get("fieldValidation") {
            None | Some("" | "Warn") => Validation::Warn,
            Some("Strict") => Validation::Strict,
            Some("Ignore") => Validation::Ignore,
            Some(other) => {
                let cause = Cause::not_supported(
                    "fieldValidation",
                    &other.into(),
                    &["", "Ignore", "Strict", "Warn"],
                );
                return Err(Status::invalid(
                    About { group: "meta.k8s.io", resource: kind },
                    "",
                    &[cause],
                ));
            }
        };
        Ok(Self { dry_run, validation, force, manager: manager.to_owned() })
    }

    /// The write, to those who keep account of fields.
    pub(crate) fn write<'a>(&self, call: &'a Call<'_>) -> Write<'a> {
        let subresource = call.subresource.map(Subresource::name).unwrap_or_default();
        Write::new(&call.served.stored, subresource, &self.manager, &call.user_agent)
            .through(call.kind())
    }
}

/// `dryRun`: `All` or nothing.
pub(crate) fn dry_run<'a>(
    values: impl Iterator<Item = &'a str>,
    kind: &str,
) -> Result<bool, Status> {
    let values: Vec<&str> = values.collect();
    match values.as_slice() {
        [] => Ok(false),
        all if all.iter().all(|one| *one == "All") => Ok(true),
        all => {
            let shown = all.iter().find(|one| **one != "All").copied().unwrap_or_default();
            let cause = Cause::not_supported("dryRun", &shown.into(), &["All"]);
            Err(Status::invalid(About { group: "meta.k8s.io", resource: kind }, "", &[cause]))
        }
    }
}

/// Which state of the store is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// As it is.
    Now,
    /// As it is, but not older.
    NotOlder(u64),
    /// As it was.
    Exactly(u64),
}

/// Options of a list or a watch.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub(crate) at: At,
    /// The text of `resourceVersion`: a watch tells `0` from nothing.
    pub(crate) revision: Option<u64>,
    pub(crate) limit: Option<usize>,
    pub(crate) token: Option<String>,
    pub(crate) send_initial: Option<bool>,
    pub(crate) bookmarks: bool,
    pub(crate) timeout_seconds: Option<u64>,
}

/// A resource version, which clients give back as they got it.
pub(crate) fn revision(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| {
        let value = text.into();
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        let cause = Cause::invalid("resourceVersion", &value, &why);
        Status::invalid(About { group: "meta.k8s.io", resource: "ListOptions" }, "", &[cause])
    })
}

impl ListOptions {
    /// Upstream's `ValidateListOptions`.
    pub(crate) fn of(call: &Call<'_>) -> Result<Self, Status> {
        let query = &call.query;
        query.only(&[
            "labelSelector",
            "fieldSelector",
            "limit",
            "continue",
            "resourceVersion",
            "resourceVersionMatch",
            "watch",
            "allowWatchBookmarks",
            "sendInitialEvents",
            "timeoutSeconds",
            "timeout",
            "pretty",
            "includeObject",
        ])?;
        let (matching, token) = (query.text("resourceVersionMatch"), query.text("continue"));
        let (version, send_initial) =
            (query.text("resourceVersion"), query.switch("sendInitialEvents")?);
        let mut causes = Vec::new();
        let mut forbid = |field: &str, why: &str| causes.push(Cause::forbidden(field, why));
        if call.verb == "watch" {
            if send_initial.is_some() && matching != Some("NotOlderThan") {
                forbid(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
            if matching.is_some() && send_initial.is_none() {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                );
            }
        } else {
            if matching.is_some() && version.is_none() {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                );
            }
            if matching == Some("Exact") && version == Some("0") {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
            if send_initial.is_some() {
                forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
            }
        }
        if matching.is_some() && token.is_some() {
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            );
        }
        let known: &[&str] =
            if call.verb == "watch" { &["NotOlderThan"] } else { &["", "Exact", "NotOlderThan"] };
        if let Some(other) = matching.filter(|matching| !known.contains(matching)) {
            causes.push(Cause::not_supported("resourceVersionMatch", &other.into(), known));
        }
        if !causes.is_empty() {
            return Err(Status::invalid(
                About { group: "meta.k8s.io", resource: "ListOptions" },
                "",
                &causes,
            ));
        }
        if token.is_some() && version.is_some_and(|version| version != "0") {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let revision = version.map(revision).transpose()?;
        let limit = query
            .number("limit")?
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit != 0);
        let at = match (revision, matching) {
            (None | Some(0), _) => At::Now,
            (Some(revision), Some("Exact")) => At::Exactly(revision),
            // Before there was a choice, a page at a revision was a page of that revision.
            (Some(revision), None) if limit.is_some() => At::Exactly(revision),
            (Some(revision), _) => At::NotOlder(revision),
        };
        Ok(Self {
            at,
            revision,
            limit,
            token: token.map(str::to_owned),
            send_initial,
            bookmarks: query.switch("allowWatchBookmarks")?.unwrap_or(false),
            timeout_seconds: query
                .number("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok()),
        })
    }
}
