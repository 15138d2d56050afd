//! Bodies of writes: read, held against the kind of the path and against its type.

use super::Call;
use super::options::Validation;
use crate::crd::Custom;
use crate::json;
use crate::kinds::Kind;
use crate::negotiate::{self, Encoding};
use crate::object::{drop_nulls, meta_mut, text};
use crate::schema::{Schema, check};
use crate::status::Status;
use crate::{wire, yaml};
use serde_json::{Map, Value};

/// How many warnings one answer carries; more only repeat.
const WARNINGS_MAX: usize = 32;

/// Reads an object from a request's body: the object without nulls, and warnings.
pub(super) fn object(
    call: &Call<'_>,
    bytes: &[u8],
    validation: Validation,
) -> Result<(Value, Vec<String>), Status> {
    let kind = call.kind();
    let given = call.local.as_ref().and_then(|local| local.object.clone());
    let Read { value, duplicates } = match given {
        Some(value) => Read::new(&kind.kind, value, Vec::new(), bytes)?,
        None => read(call, bytes, &kind.api_version(), &kind.kind)?,
    };
    of_kind(call, &value)?;
    checked(call, value, duplicates, validation).map_err(|misfit| misfit.status(kind))
}

/// Why an object is not of its type.
#[derive(Debug)]
pub(super) enum Misfit {
    /// In words that upstream puts into a sentence.
    Type(String),
    /// In words of their own.
    Other(Status),
}

impl Misfit {
    /// The words.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Type(why) => why,
            Self::Other(status) => &status.message,
        }
    }

    /// The refusal of a body that should have been of a kind.
    pub(super) fn status(self, kind: &Kind) -> Status {
        match self {
            Self::Type(why) => Status::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: {why}",
                kind.kind, kind.version, kind.kind
            )),
            Self::Other(status) => status,
        }
    }
}

/// A body that was read.
pub(super) struct Read {
    pub(super) value: Value,
    /// Paths of keys that occur twice.
    pub(super) duplicates: Vec<String>,
}

/// Reads a body that has to be an object, in whatever form it came; of the given kind, where it does not say of which.
pub(super) fn read(
    call: &Call<'_>,
    bytes: &[u8],
    version: &str,
    kind: &str,
) -> Result<Read, Status> {
    let encoding = negotiate::body(&call.content_type, wire::has_message(version, kind))?;
    let parsed = match encoding {
        Encoding::Json => json::parse(bytes).map_err(|why| no_json(&why)),
        Encoding::Yaml => yaml::parse(bytes),
        Encoding::Protobuf => wire::open(bytes, version, kind).map(|value| (value, Vec::new())),
    };
    let (value, duplicates) = parsed.map_err(|why| unrecognized(kind, &why, bytes))?;
    Read::new(kind, value, duplicates, bytes)
}

impl Read {
    fn new(
        kind: &str,
        value: Value,
        duplicates: Vec<String>,
        bytes: &[u8],
    ) -> Result<Self, Status> {
        if value.is_object() {
            Ok(Self { value, duplicates })
        } else {
            Err(unrecognized(kind, "the body is no object", bytes))
        }
    }
}

/// Upstream looks for version and kind first, and says that of a body that ends too early as Go does.
fn no_json(why: &str) -> String {
    let why =
        if why.starts_with("EOF while parsing") { "unexpected end of JSON input" } else { why };
    format!("couldn't get version/kind; json parse error: {why}")
}

fn unrecognized(kind: &str, why: &str, bytes: &[u8]) -> Status {
    let summary = summary(bytes);
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({summary})"
    ))
}

/// The beginning of a body that could not be read, as upstream shows it.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let begin = bytes.get(..SHOWN).unwrap_or(bytes);
    let more = if begin.len() < bytes.len() { " ..." } else { "" };
    match begin {
        [] => "<empty>".to_owned(),
        [b'{', ..] => format!("{}{more}", String::from_utf8_lossy(begin)),
        _ => {
            let hex = crate::stamp::hex(begin);
            format!("{hex}{more}")
        }
    }
}

/// Holds a whole object against its type, in the way that the client chose. The account of its fields is nothing to look into: who keeps it
/// reads it with care.
pub(super) fn checked(
    call: &Call<'_>,
    mut value: Value,
    duplicates: Vec<String>,
    validation: Validation,
) -> Result<(Value, Vec<String>), Misfit> {
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    let account = metadata.and_then(|metadata| metadata.shift_remove("managedFields"));
    let (mut value, warnings) = typed(call, value, duplicates, validation)?;
    if let Some(account) = account {
        meta_mut(&mut value).insert("managedFields".to_owned(), account);
    }
    Ok((value, warnings))
}

fn typed(
    call: &Call<'_>,
    mut value: Value,
    duplicates: Vec<String>,
    validation: Validation,
) -> Result<(Value, Vec<String>), Misfit> {
    let kind = call.kind();
    if let Some(custom) = &kind.custom {
        return defined(custom, value, &duplicates, validation).map_err(Misfit::Other);
    }
    let schema = kind.schema();
    let findings = check(schema, &value);
    if let Some(why) = findings.wrong_type {
        return Err(Misfit::Type(why));
    }
    // What has no unknown fields has nothing to drop.
    let prunes = !findings.unknown.is_empty();
    let mut strict = findings.unknown;
    strict.extend(duplicates.iter().map(|path| format!("duplicate field {path:?}")));
    if validation == Validation::Strict && !strict.is_empty() {
        let why = format!("strict decoding error: {}", strict.join(", "));
        return Err(Misfit::Type(why));
    }
    if prunes {
        prune(schema, &mut value);
    }
    drop_nulls(&mut value);
    Ok((value, warnings(strict, validation)))
}

/// What is told of findings that do not refuse a body.
pub(super) fn warnings(mut findings: Vec<String>, validation: Validation) -> Vec<String> {
    findings.truncate(WARNINGS_MAX);
    if validation == Validation::Warn { findings } else { Vec::new() }
}

/// The same for a kind that a client defined: its schema drops fields and fills in defaults; types are told with its other rules.
fn defined(
    custom: &Custom,
    mut value: Value,
    duplicates: &[String],
    validation: Validation,
) -> Result<(Value, Vec<String>), Status> {
    let metadata =
        check(Schema::of_kind("", "v1", "ConfigMap").field("metadata"), &value["metadata"]);
    if let Some(why) = metadata.wrong_type {
        return Err(Status::bad_request(why));
    }
    let mut strict: Vec<String> =
        custom.fill(&mut value).iter().map(|path| format!("unknown field {path:?}")).collect();
    strict.extend(duplicates.iter().map(|path| format!("duplicate field {path:?}")));
    if validation == Validation::Strict && !strict.is_empty() {
        return Err(Status::bad_request(format!("strict decoding error: {}", strict.join(", "))));
    }
    strict.truncate(WARNINGS_MAX);
    Ok((value, if validation == Validation::Warn { strict } else { Vec::new() }))
}

/// Drops fields that the type does not have: a Go server could not keep them either.
fn prune(schema: Schema<'_>, value: &mut Value) {
    match value {
        Value::Object(map) if schema.is_known() && schema.has_fields() => {
            map.retain(|key, _| schema.field(key).is_known());
            for (key, inner) in map.iter_mut() {
                prune(schema.field(key), inner);
            }
        }
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                prune(schema.field(key), inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(schema.items(), item)),
        _ => {}
    }
}

/// Refuses an object of another kind or version than the path's. A body that says neither is of the path's.
pub(super) fn of_kind(call: &Call<'_>, value: &Value) -> Result<(), Status> {
    let kind = call.kind();
    let (version, own) = (text(value, "/apiVersion"), text(value, "/kind"));
    let want = kind.api_version();
    if !version.is_empty() && version != want {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({want})"
        )));
    }
    if own.is_empty() || own == kind.kind {
        return Ok(());
    }
    let group = if kind.group.is_empty() {
        "core"
    } else {
        kind.group.split('.').next().unwrap_or_default()
    };
    Err(Status::bad_request(format!(
        "{own} in version {:?} cannot be handled as a {}: converting ({}.{own}) to ({group}.{}): unknown conversion",
        kind.version, kind.kind, kind.version, kind.kind
    )))
}

/// Makes a value say of which kind it is.
pub(super) fn stamp_kind(kind: &Kind, value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        let rest = std::mem::take(map);
        let mut own = Map::new();
        own.insert("kind".to_owned(), kind.kind.as_str().into());
        own.insert("apiVersion".to_owned(), kind.api_version().into());
        own.extend(
            rest.into_iter().filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion")),
        );
        *map = own;
    }
}
