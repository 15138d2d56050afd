//! Which names a definition gets, and whether its kind is served: settled with the write, so that a kind is there when its definition is.

use super::register::definitions;
use crate::api::Api;
use crate::kinds::Snapshot;
use crate::object::{child_mut, list, meta, text};
use crate::stamp::now;
use moat_store::Store;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Writes the status of a definition that is about to be stored. The caller holds the lock that keeps others from claiming names.
pub(crate) fn settle(api: &Api, new: &mut Value) {
    let (resources, kinds) = claimed(&api.store, &api.kinds.now(), new);
    let wanted = new["spec"]["names"].clone();
    let mut names = new["status"]["acceptedNames"].as_object().cloned().unwrap_or_default();
    // Of several conflicts the last is told.
    let mut conflict = None;
    let mut claim = |field: &str, reason: &'static str, taken: &BTreeSet<String>| {
        let own = &wanted[field];
        let used: Vec<String> = match own {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        }
        .into_iter()
        .filter(|name| taken.contains(*name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
        match used.as_slice() {
            [] => copy(&wanted, &mut names, field),
            [one] => conflict = Some((reason, one.clone())),
            all => conflict = Some((reason, format!("[{}]", all.join(", ")))),
        }
    };
    claim("plural", "PluralConflict", &resources);
    claim("singular", "SingularConflict", &resources);
    claim("shortNames", "ShortNamesConflict", &resources);
    claim("kind", "KindConflict", &kinds);
    claim("listKind", "ListKindConflict", &kinds);
    copy(&wanted, &mut names, "categories");
    let built_in = is_built_in(&api.kinds.now(), new);
    let (accepted, established) = match conflict {
        _ if built_in => {
            let why = "the server has this kind itself, and does not use the definition";
            (("True", "BuiltIn", why.to_owned()), Some(("True", "BuiltIn", why.to_owned())))
        }
        None => (
            ("True", "NoConflicts", "no conflicts found".to_owned()),
            Some((
                "True",
                "InitialNamesAccepted",
                "the initial names have been accepted".to_owned(),
            )),
        ),
        Some((reason, why)) => {
            let why = ("False", reason, why);
            // Who was established stays so with the names that it has.
            let was = condition(new, "Established") == Some("True");
            let not = ("False", "NotAccepted", "not all names are accepted".to_owned());
            (why, (!was).then_some(not))
        }
    };
    say(new, "NamesAccepted", accepted);
    if let Some(established) = established {
        say(new, "Established", established);
    }
    let storage = list(new, "/spec/versions")
        .iter()
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone());
    let status = child_mut(new, "status");
    status.insert("acceptedNames".to_owned(), names.into());
    let mut stored =
        status.get("storedVersions").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(storage) = storage.filter(|storage| !stored.contains(storage)) {
        stored.push(storage);
    }
    status.insert("storedVersions".to_owned(), stored.into());
}

fn copy(from: &Value, to: &mut Map<String, Value>, field: &str) {
    match from.get(field) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.shift_remove(field),
    };
}

/// Whether the server has the very kind that a definition defines, such as ClusterNetworkPolicy, whose definition many manifests bring along.
pub(super) fn is_built_in(kinds: &Snapshot, definition: &Value) -> bool {
    let (group, kind) = (text(definition, "/spec/group"), text(definition, "/spec/names/kind"));
    kinds.all().any(|served| {
        served.kind.custom.is_none()
            && served.kind.is(group, kind)
            && served.kind.plural == text(definition, "/spec/names/plural")
    })
}

/// Names of resources and of kinds that others of the group have.
fn claimed(store: &Store, kinds: &Snapshot, new: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let group = text(new, "/spec/group");
    let (mut resources, mut of_kinds) = (BTreeSet::new(), BTreeSet::new());
    for kind in kinds
        .all()
        .map(|served| &served.kind)
        .filter(|kind| kind.group == group && kind.custom.is_none())
    {
        resources.extend([kind.plural.clone(), kind.singular.clone()]);
        resources.extend(kind.short.iter().cloned());
        of_kinds.extend([kind.kind.clone(), kind.list.clone()]);
    }
    for other in definitions(store) {
        if meta(&other, "name") == meta(new, "name") || text(&other, "/spec/group") != group {
            continue;
        }
        let names = &other["status"]["acceptedNames"];
        let of = |field: &str| names[field].as_str().map(str::to_owned);
        resources.extend(["plural", "singular"].into_iter().filter_map(of));
        resources
            .extend(list(names, "/shortNames").iter().filter_map(Value::as_str).map(str::to_owned));
        of_kinds.extend(["kind", "listKind"].into_iter().filter_map(of));
    }
    (resources, of_kinds)
}

/// The state of a condition.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    list(object, "/status/conditions").iter().find(|one| one["type"] == kind)?["status"].as_str()
}

/// Sets a condition; its time is that of the last change of its state.
pub(super) fn say(object: &mut Value, kind: &str, (state, reason, why): (&str, &str, String)) {
    let was = list(object, "/status/conditions").iter().find(|one| one["type"] == kind).cloned();
    let time = match &was {
        Some(was) if was["status"] == state => was["lastTransitionTime"].clone(),
        _ => now().into(),
    };
    let condition = json!({ "type": kind, "status": state, "lastTransitionTime": time, "reason": reason, "message": why });
    let status = child_mut(object, "status");
    let mut all = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    match all.iter_mut().find(|one| one["type"] == kind) {
        Some(own) => *own = condition,
        None => all.push(condition),
    }
    status.insert("conditions".to_owned(), all.into());
}
