//! Kinds out of definitions: what is served follows from what is stored.

use super::settle::{condition, is_built_in};
use super::{Custom, GROUP, teardown};
use crate::api::Api;
use crate::kinds::{Kind, Kinds, Served, Snapshot, Subresource, Verbs};
use crate::object::{decode, is_deleting, list, meta, text};
use moat_store::{Key, List, Resource, Scope, Store};
use serde_json::Value;
use std::cmp::Reverse;
use std::sync::Arc;

/// Where the store has definitions.
pub(super) fn resource() -> Option<Resource> {
    Resource::new(&format!("{GROUP}/customresourcedefinitions")).ok()
}

/// The key of a definition.
pub(super) fn key(name: &str) -> Option<Key> {
    Key::new(&resource()?, None, name).ok()
}

/// All definitions.
pub(super) fn definitions(store: &Store) -> Vec<Value> {
    let page = resource().and_then(|resource| store.list(&List::new(&resource, Scope::All)).ok());
    page.into_iter().flat_map(|page| page.objects).map(|object| decode(&object)).collect()
}

/// Follows a write of a definition, and the start of the server: kinds come, change and go, and what is left of those that go is taken down.
pub(crate) fn changed(api: &Api) {
    refresh(&api.kinds, &api.store);
    for definition in definitions(&api.store).iter().filter(|one| is_deleting(one)) {
        teardown::start(api, meta(definition, "name"));
    }
}

/// Serves the kinds that the store defines at the moment.
pub(super) fn refresh(kinds: &Kinds, store: &Store) {
    // Under the lock, so that who reads the store later also publishes later.
    kinds.replace(|now| kinds_of(now, &definitions(store)));
}

/// The kinds of definitions; those that did not change are the ones of before, so that their watches go on.
fn kinds_of(now: &Snapshot, definitions: &[Value]) -> Vec<Arc<Served>> {
    let mut all: Vec<Arc<Served>> = definitions
        .iter()
        .filter(|one| condition(one, "Established") == Some("True") && !is_built_in(now, one))
        .flat_map(|one| of(now, one))
        .collect();
    all.sort_by_cached_key(|served| {
        let kind = &served.kind;
        (
            kind.group.clone(),
            Reverse(rank(&kind.version)),
            kind.version.clone(),
            kind.plural.clone(),
        )
    });
    all
}

/// Versions in the order of preference: `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`, others.
fn rank(version: &str) -> (u8, u64, u64) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, rest) = rest.split_at(digits);
        let major = major.parse().ok()?;
        if rest.is_empty() {
            return Some((3, major, 0));
        }
        let (level, minor) = rest
            .strip_prefix("beta")
            .map(|minor| (2, minor))
            .or(rest.strip_prefix("alpha").map(|minor| (1, minor)))?;
        Some((level, major, minor.parse().ok()?))
    };
    parse().unwrap_or_default()
}

/// The versions of one definition that are served.
fn of(now: &Snapshot, definition: &Value) -> Vec<Arc<Served>> {
    let versions = list(definition, "/spec/versions");
    let Some(storage) = versions.iter().find(|version| version["storage"] == true) else {
        return Vec::new();
    };
    let names = &definition["status"]["acceptedNames"];
    // What makes it another kind than before; the rest of its status does not.
    let stamp = format!(
        "{}{}{}{}",
        definition["metadata"]["uid"],
        definition["spec"],
        names,
        is_deleting(definition)
    );
    let group = text(definition, "/spec/group");
    let name = format!("{group}/{}", text(names, "/plural"));
    let Ok(resource) = Resource::new(&name) else { return Vec::new() };
    let stored = Arc::new(kind(definition, storage));
    let served = |version: &Value| {
        let own = text(version, "/name");
        let before = now.all().find(|served| {
            served.stamp == stamp && served.kind.version == own && served.kind.group == group
        });
        if let Some(before) = before {
            return Arc::clone(before);
        }
        let kind = if own == stored.version {
            Arc::clone(&stored)
        } else {
            Arc::new(kind(definition, version))
        };
        Arc::new(Served::custom(kind, Arc::clone(&stored), resource.clone(), stamp.clone()))
    };
    versions.iter().filter(|version| version["served"] == true).map(served).collect()
}

fn kind(definition: &Value, version: &Value) -> Kind {
    let names = &definition["status"]["acceptedNames"];
    let of = |pointer: &str| text(names, pointer).to_owned();
    let all = |pointer: &str| -> Vec<String> {
        list(names, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut subresources = Vec::new();
    if version["subresources"]["scale"].is_object() {
        subresources.push(Subresource::Scale);
    }
    if version["subresources"]["status"].is_object() {
        subresources.push(Subresource::Status);
    }
    let fields = list(version, "/selectableFields").iter().map(|field| text(field, "/jsonPath"));
    let mut kind = Kind {
        group: text(definition, "/spec/group").to_owned(),
        version: text(version, "/name").to_owned(),
        kind: of("/kind"),
        list: of("/listKind"),
        plural: of("/plural"),
        singular: of("/singular"),
        short: all("/shortNames"),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        verbs: Verbs::All,
        subresources,
        categories: all("/categories"),
        fields: fields.map(|path| path.trim_start_matches('.').to_owned()).collect(),
        custom: None,
    };
    kind.custom = Some(Arc::new(Custom::new(definition, version, &kind)));
    kind
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn stable_versions_come_first_and_newer_before_older() {
        let mut all = ["v1alpha1", "foo1", "v1", "v10", "v2beta1", "v1beta2", "v2", "v11alpha2"];
        all.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(all, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v11alpha2", "v1alpha1", "foo1"]);
    }
}
