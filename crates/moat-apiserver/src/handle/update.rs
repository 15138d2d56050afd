//! Changes objects: whole ones, patches, and their status.

use super::admit::Account;
use super::apply::{apply, is_apply, may_create};
use super::create::once;
use super::options::WriteOptions;
use super::send::Made;
use super::{Call, admit, body, find_value, refused, send};
use crate::admission;
use crate::api::{Api, Reply};
use crate::json;
use crate::kinds::Subresource;
use crate::managed::keep_times;
use crate::negotiate::PATCHES_UNTYPED;
use crate::object::{
    child_mut, encode, finalizers, is_deleting, list, meta, meta_mut, number, same,
};
use crate::patch::{Patch, PatchKind};
use crate::status::{About, Cause, Status};
use crate::strategy::check::IMMUTABLE;
use crate::strategy::{self, allocates};
use moat_store::{Expect, WriteError};
use serde_json::Value;

/// How often a write that was overtaken is tried anew, where the client named no version. Each try that fails is another's that succeeded.
pub(super) const TRIES: usize = 64;

/// `PUT` and `PATCH` of an object, its status, or a namespace's finalizers.
pub(super) async fn write(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    if is_apply(call) {
        return apply(api, call, bytes).await;
    }
    let options = WriteOptions::of(call)?;
    let write = options.write(call);
    let form = call.form()?;
    let (object, warnings) = if call.verb == "patch" {
        let patch = read_patch(call, bytes)?;
        change(api, call, options.dry_run, Account::Of(&write), |old| {
            // A patch is about the form that the client sees.
            let shown = call.served.shown(old.clone());
            let new = patch.apply(call.kind().schema(), &shown)?;
            same_kind(&shown, &new)?;
            let checked = body::checked(call, new, Vec::new(), options.validation);
            let (new, warnings) = checked.map_err(|misfit| {
                // It is made again, because nearly all of them are fine.
                let new = patch.apply(call.kind().schema(), &shown).unwrap_or_default();
                patch.refused(&new, misfit.why())
            })?;
            Ok((call.served.kept(new), warnings))
        })
        .await?
    } else {
        let (new, warnings) = body::object(call, bytes, options.validation)?;
        let new = call.served.kept(new);
        let kind = call.kind();
        if call.subresource.is_none()
            && strategy::creates_on_update(kind)
            && api.store.get(&call.key()?).is_none()
        {
            return put_new(api, call, new, &options, warnings).await;
        }
        if strategy::needs_version(kind) && meta(&new, "resourceVersion").is_empty() {
            let why = "must be specified for an update";
            let cause = Cause::invalid("metadata.resourceVersion", &0.into(), why);
            return Err(Status::invalid(kind.about(), &call.name, &[cause]));
        }
        let (changed, more) = change(api, call, options.dry_run, Account::Of(&write), |_| {
            Ok((new.clone(), Vec::new()))
        })
        .await?;
        (changed, [warnings, more].concat())
    };
    Ok(send::made(call, form, 200, object)?.warn(warnings))
}

/// Creates what a `PUT` names and nobody has.
async fn put_new(
    api: &Api,
    call: &Call<'_>,
    mut new: Value,
    options: &WriteOptions,
    warnings: Vec<String>,
) -> Result<Reply, Status> {
    may_create(api, call)?;
    about_this(call, &Value::Null, &mut new)?;
    body::stamp_kind(&call.served.stored, &mut new);
    let write = options.write(call);
    let (made, more) = once(api, call, new, options.dry_run, Account::Of(&write)).await?;
    Ok(send::made(call, call.form()?, 201, made)?.warn(warnings).warn(more))
}

/// A patch cannot make another kind of an object.
fn same_kind(old: &Value, new: &Value) -> Result<(), Status> {
    let of = |object: &Value| {
        let word = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let version = word("apiVersion");
        format!("{}.{}", version.rsplit('/').next().unwrap_or_default(), word("kind"))
    };
    if ["kind", "apiVersion"].iter().all(|field| old[field] == new[field]) {
        return Ok(());
    }
    let why = format!("converting ({}) to ({}): unknown conversion", of(new), of(old));
    let cause = Cause::invalid("patch", &new.to_string().into(), &why);
    Err(Status::invalid(About { group: "", resource: "" }, "", &[cause]))
}

pub(super) fn read_patch(call: &Call<'_>, bytes: &[u8]) -> Result<Patch, Status> {
    let kind = PatchKind::of(&call.content_type)?;
    if kind == PatchKind::Strategic && call.kind().custom.is_some() {
        return Err(Status::unsupported_media_type(PATCHES_UNTYPED));
    }
    let (patch, _) = json::parse(bytes)
        .map_err(|why| Status::bad_request(format!("error decoding patch: {why}")))?;
    Patch::new(kind, patch)
}

/// Reads the object, changes it, and writes it back, anew if somebody was faster, unless the change names the version it is about.
pub(super) async fn change(
    api: &Api,
    call: &Call<'_>,
    dry_run: bool,
    account: Account<'_>,
    make: impl Fn(&Value) -> Result<(Value, Vec<String>), Status>,
) -> Result<(Made, Vec<String>), Status> {
    let kind = &*call.served.stored;
    let mut tries = TRIES;
    loop {
        let (stored, old) = find_value(api, call)?;
        let (mut new, mut warnings) = make(&old)?;
        body::stamp_kind(kind, &mut new);
        // Taken in the same order as by who creates.
        let _counting = if admission::is_counted(call.request(api)) {
            Some(api.counting.lock().await)
        } else {
            None
        };
        let held = if allocates(kind) { Some(api.allocation.lock().await) } else { None };
        let version = meta(&new, "resourceVersion").to_owned();
        about_this(call, &old, &mut new)?;
        // A patch of a patch's own making has the version it was made of.
        let named = !version.is_empty()
            && (call.verb == "update" || version != meta(&old, "resourceVersion"));
        if named && version != stored.revision.to_string() {
            return Err(Status::modified(kind.about(), &call.name));
        }
        let mut hollow = None;
        if call.subresource == Some(Subresource::Finalize) {
            let wanted = list(&new, "/spec/finalizers").to_vec();
            new = old.clone();
            child_mut(&mut new, "spec").insert("finalizers".to_owned(), wanted.into());
        } else {
            hollow = admit::prepare_changed(kind, call.subresource, &old, &mut new);
        }
        if let Account::Of(write) = account {
            write.updated(&old, &mut new);
        }
        if let Some(plan) = hollow {
            plan.hollow(&mut new);
        }
        warnings.extend(admission::admit(call.request(api), Some(&old), &mut new)?);
        if held.is_some() {
            crate::strategy::allocate(api, &call.served, Some(&old), &mut new)?;
        }
        admit::validate(&call.served, call.subresource, Some(&old), &new)?;
        keep_times(&old, &mut new);
        if same(&old, &new) {
            return Ok((Made { value: old, stored: Some(stored) }, warnings));
        }
        if dry_run {
            return Ok((Made { value: new, stored: None }, warnings));
        }
        let key = call.key()?;
        let expect = Expect::Revision(stored.revision);
        let body = encode(kind, &new);
        let written = if is_done(kind.is("", "Namespace"), &new) {
            api.store.delete(key, Some(body), expect).await
        } else {
            api.store.update(key, body, expect).await
        };
        tries -= 1;
        match written {
            Ok(object) => {
                drop(held);
                super::written(api, kind);
                return Ok((Made { value: new, stored: Some(object) }, warnings));
            }
            Err(WriteError::Conflict { .. }) if !named && 0 < tries => {}
            Err(error) => return Err(refused(call, &error)),
        }
    }
}

/// Whether nothing holds an object any more whose deletion was asked for.
fn is_done(is_namespace: bool, new: &Value) -> bool {
    is_deleting(new)
        && finalizers(new).is_empty()
        && number(new, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0
        && (!is_namespace || list(new, "/spec/finalizers").is_empty())
}

/// The new object must be the one of the path.
fn about_this(call: &Call<'_>, old: &Value, new: &mut Value) -> Result<(), Status> {
    admit::namespace(call, new)?;
    let own = meta(new, "name");
    if own.is_empty() && call.verb == "update" {
        return Err(Status::bad_request(
            "the name of the object must be set: metadata.name is empty",
        ));
    }
    if own != call.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({})",
            call.name
        )));
    }
    let (uid, had) = (meta(new, "uid"), meta(old, "uid"));
    if !uid.is_empty() && uid != had && call.verb == "patch" {
        // Two of upstream's rules say the same.
        let cause = Cause::invalid("metadata.uid", &uid.into(), IMMUTABLE);
        let causes = [cause.clone(), cause];
        return Err(Status::invalid(call.served.stored.about_kind(), &call.name, &causes));
    }
    if !uid.is_empty() && uid != had {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {had}");
        return Err(Status::conflict(call.kind().about(), &call.name, &why));
    }
    meta_mut(new).insert("name".to_owned(), call.name.clone().into());
    Ok(())
}
