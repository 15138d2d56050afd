//! Server-side apply: a client says what it wants to own, the object becomes that.

use super::admit::Account;
use super::create::once;
use super::options::{Validation, WriteOptions};
use super::update::{TRIES, change};
use super::{Call, body, send};
use crate::api::{Api, Reply};
use crate::authorize::{Attributes, Decision};
use crate::object::{meta, text};
use crate::schema::check;
use crate::status::Status;
use crate::{json, yaml};
use serde_json::Value;

pub(super) async fn apply(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let form = call.form()?;
    let (config, duplicates) = read(bytes)?;
    fits(call, &config)?;
    let config = call.served.kept(config);
    let findings: Vec<String> =
        duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    if options.validation == Validation::Strict && !findings.is_empty() {
        let why = findings.join(", ");
        return Err(Status::bad_request(format!("error strict decoding YAML: {why}")));
    }
    let warnings = body::warnings(findings, options.validation);
    let write = options.write(call);
    let mut tries = TRIES;
    loop {
        let exists = api.store.get(&call.key()?).is_some();
        tries -= 1;
        let (code, done) = if exists || call.subresource.is_some() {
            let make = |old: &Value| {
                checked(call, write.applied(Some(old), &config, options.force)?, &options)
            };
            (200, change(api, call, options.dry_run, Account::Done, make).await)
        } else {
            may_create(api, call)?;
            let new = write.applied(None, &config, options.force)?;
            let (mut new, warnings) = checked(call, new, &options)?;
            body::stamp_kind(&call.served.stored, &mut new);
            if meta(&new, "name") != call.name {
                return Err(Status::bad_request(format!(
                    "the name of the object ({}) does not match the name on the URL ({})",
                    meta(&new, "name"),
                    call.name
                )));
            }
            let uid = meta(&new, "uid");
            if !uid.is_empty() {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                return Err(Status::conflict(call.kind().about(), &call.name, &why));
            }
            let made = once(api, call, new, options.dry_run, Account::Done).await;
            (201, made.map(|(object, more)| (object, [warnings, more].concat())))
        };
        match done {
            // Somebody else made it or removed it meanwhile.
            Err(status)
                if 0 < tries
                    && (status.reason == "AlreadyExists"
                        || exists && status.code == 404 && call.subresource.is_none()) => {}
            Err(status) => return Err(status),
            Ok((object, more)) => {
                return Ok(send::made(call, form, code, object)?.warn(warnings).warn(more));
            }
        }
    }
}

/// Holds what was applied against the type that the client sees.
fn checked(
    call: &Call<'_>,
    new: Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    let shown = call.served.shown(new);
    let checked = body::checked(call, shown, Vec::new(), options.validation);
    let (new, warnings) = checked.map_err(|misfit| misfit.status(call.kind()))?;
    Ok((call.served.kept(new), warnings))
}

/// The configuration. JSON is YAML, but it has a faster reader.
pub(super) fn read(bytes: &[u8]) -> Result<(Value, Vec<String>), Status> {
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    let parsed = match if is_json { json::parse(bytes) } else { yaml::parse(bytes) } {
        Err(_) if is_json => yaml::parse(bytes),
        other => other,
    };
    match parsed {
        Ok((value, duplicates)) if value.is_object() => Ok((value, duplicates)),
        Ok(_) => Err(Status::bad_request("error decoding YAML: the body is no object")),
        Err(why) => Err(Status::bad_request(format!("error decoding YAML: {why}"))),
    }
}

/// Whether the configuration is of the path's kind and type.
fn fits(call: &Call<'_>, config: &Value) -> Result<(), Status> {
    let kind = call.kind();
    let (version, want) = (text(config, "/apiVersion"), kind.api_version());
    if version != want {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {want}"
        )));
    }
    body::of_kind(call, config)?;
    let undeclared = |path: &str| format!(".{path}: field not declared in schema");
    let why = if let Some(custom) = &kind.custom {
        // An applier owns what it applies, so nothing of it may be dropped in silence.
        custom.fill(&mut config.clone()).first().map(|path| undeclared(path))
    } else {
        let findings = check(kind.schema(), config);
        let unknown = findings
            .unknown
            .first()
            .map(|field| undeclared(field.trim_start_matches("unknown field ").trim_matches('"')));
        unknown.or(findings.wrong_type)
    };
    let Some(why) = why else { return Ok(()) };
    Err(Status::unknown(format!(
        "failed to create typed patch object ({}/{}; {want}, Kind={}): {why}",
        call.namespace.as_deref().unwrap_or_default(),
        call.name,
        kind.kind
    )))
}

/// Who applies what is not there creates it, and must be allowed to.
pub(super) fn may_create(api: &Api, call: &Call<'_>) -> Result<(), Status> {
    let kind = call.kind();
    let what = Attributes {
        verb: "create".to_owned(),
        group: kind.group.clone(),
        resource: kind.plural.clone(),
        namespace: call.namespace.clone().unwrap_or_default(),
        name: call.name.clone(),
        ..Attributes::default()
    };
    match api.authorizer.authorize(call.user, &what) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(why) => Err(Status::forbidden(
            kind.about(),
            &call.name,
            &crate::api::reason(&what, call.user, &why),
        )),
    }
}

/// Whether a patch is one of these, by its type.
pub(super) fn is_apply(call: &Call<'_>) -> bool {
    call.verb == "patch"
        && call.content_type.split(';').next().unwrap_or_default().trim()
            == "application/apply-patch+yaml"
}
