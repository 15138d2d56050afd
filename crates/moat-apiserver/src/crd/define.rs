//! Definitions as objects: their defaults and rules (`apiextensions-apiserver/pkg/apis/apiextensions/validation`).

use super::columns::Path;
use super::{FINALIZER, structural};
use crate::names::{Rule, check as check_name};
use crate::object::{child_mut, default, list, map_mut, meta, meta_mut, text};
use crate::status::Cause;
use crate::strategy::{Generation, PLAIN, Strategy, check};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) const STRATEGY: Strategy = Strategy {
    generation: Generation::Spec,
    default: defaults,
    create,
    validate,
    validate_update,
    ..PLAIN
};

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] =
    &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// Fields of one version that selectors may ask for (upstream's number).
const SELECTABLE_MAX: usize = 8;

fn defaults(object: &mut Value) {
    let kind = text(object, "/spec/names/kind").to_owned();
    let spec = child_mut(object, "spec");
    let names = map_mut(spec, "names");
    if !kind.is_empty() {
        default(names, "singular", kind.to_lowercase());
        default(names, "listKind", format!("{kind}List"));
    }
    default(map_mut(spec, "conversion"), "strategy", "None");
}

fn create(object: &mut Value) {
    let metadata = meta_mut(object);
    let mut all = metadata.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    if !all.contains(&json!(FINALIZER)) {
        all.push(FINALIZER.into());
    }
    metadata.insert("finalizers".to_owned(), all.into());
}

fn validate(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let (group, plural) = (text(spec, "/group"), text(spec, "/names/plural"));
    let name = meta(object, "name");
    if name != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else {
        let wrong = check_name(Rule::Subdomain, group, false);
        if !wrong.is_empty() {
            causes.push(Cause::invalid("spec.group", &group.into(), &wrong.join(",")));
        } else if !group.contains('.') {
            let why = "should be a domain with at least one dot";
            causes.push(Cause::invalid("spec.group", &group.into(), why));
        }
    }
    match text(spec, "/scope") {
        "" => causes.push(Cause::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => {
            causes.push(Cause::not_supported(
                "spec.scope",
                &other.into(),
                &["Cluster", "Namespaced"],
            ));
        }
    }
    names(&spec["names"], causes);
    match text(spec, "/conversion/strategy") {
        "None" => {}
        // It would be stored, and then no object could be read in another version.
        "Webhook" => causes.push(Cause::invalid(
            "spec.conversion.strategy",
            &"Webhook".into(),
            "conversion by webhooks is not supported by this server, only None",
        )),
        other => {
            let place = "spec.conversion.strategy";
            causes.push(Cause::not_supported(place, &other.into(), &["None", "Webhook"]));
        }
    }
    if spec["preserveUnknownFields"] == true {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid("spec.preserveUnknownFields", &json!(true), why));
    }
    versions(spec, causes);
}

fn names(names: &Value, causes: &mut Vec<Cause>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let name = text(names, &format!("/{field}"));
        let place = format!("spec.names.{field}");
        if name.is_empty() {
            causes.push(Cause::required(place, ""));
            continue;
        }
        let mixed = field.ends_with("ind");
        let wrong = check_name(
            Rule::Label1035,
            &if mixed { name.to_lowercase() } else { name.to_owned() },
            false,
        );
        if !wrong.is_empty() {
            let before =
                if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            causes.push(Cause::invalid(
                place,
                &name.into(),
                &format!("{before}{}", wrong.join(",")),
            ));
        }
    }
    for field in ["shortNames", "categories"] {
        for (at, name) in list(names, &format!("/{field}")).iter().enumerate() {
            let wrong = check_name(Rule::Label1035, name.as_str().unwrap_or_default(), false);
            if !wrong.is_empty() {
                causes.push(Cause::invalid(
                    format!("spec.names.{field}[{at}]"),
                    name,
                    &wrong.join(","),
                ));
            }
        }
    }
    if text(names, "/kind") == text(names, "/listKind") {
        let why = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", &names["listKind"], why));
    }
}

fn versions(spec: &Value, causes: &mut Vec<Cause>) {
    let all = list(spec, "/versions");
    let mut seen = BTreeSet::new();
    if all.iter().any(|version| !seen.insert(text(version, "/name"))) {
        causes.push(Cause::invalid(
            "spec.versions",
            &spec["versions"],
            "must contain unique version names",
        ));
    }
    if all.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], why));
    }
    for (at, version) in all.iter().enumerate() {
        let path = format!("spec.versions[{at}]");
        let wrong = check_name(Rule::Label1035, text(version, "/name"), false);
        if !wrong.is_empty() {
            causes.push(Cause::invalid(format!("{path}.name"), &version["name"], &wrong.join(",")));
        }
        if version["deprecated"] != true && !version["deprecationWarning"].is_null() {
            let why = "can only be set for deprecated versions";
            causes.push(Cause::invalid(
                format!("{path}.deprecationWarning"),
                &version["deprecationWarning"],
                why,
            ));
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        let place = format!("{path}.schema.openAPIV3Schema");
        if schema.is_object() {
            structural::check(schema, &place, causes);
        } else {
            causes.push(Cause::required(place, ""));
        }
        for (at, column) in list(version, "/additionalPrinterColumns").iter().enumerate() {
            column_rules(column, &format!("{path}.additionalPrinterColumns[{at}]"), causes);
        }
        scale(&version["subresources"]["scale"], &format!("{path}.subresources.scale"), causes);
        selectable(version, schema, &format!("{path}.selectableFields"), causes);
    }
}

fn column_rules(column: &Value, path: &str, causes: &mut Vec<Cause>) {
    if text(column, "/name").is_empty() {
        causes.push(Cause::required(format!("{path}.name"), ""));
    }
    let kind = text(column, "/type");
    if !COLUMN_TYPES.contains(&kind) {
        let (place, why) =
            (format!("{path}.type"), format!("must be one of {}", COLUMN_TYPES.join(",")));
        causes.push(if kind.is_empty() {
            Cause::required(place, &why)
        } else {
            Cause::invalid(place, &kind.into(), &why)
        });
    }
    let format = text(column, "/format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
        causes.push(Cause::invalid(format!("{path}.format"), &format.into(), &why));
    }
    let place = format!("{path}.jsonPath");
    match text(column, "/jsonPath") {
        "" => causes.push(Cause::required(place, "")),
        path => {
            if let Err(why) = Path::parse(path) {
                causes.push(Cause::invalid(
                    place,
                    &path.into(),
                    &format!("is an invalid path: {why}"),
                ));
            }
        }
    }
}

fn scale(scale: &Value, path: &str, causes: &mut Vec<Cause>) {
    if scale.is_null() {
        return;
    }
    for (field, roots, needed) in [
        ("specReplicasPath", &[".spec."][..], true),
        ("statusReplicasPath", &[".status."], true),
        ("labelSelectorPath", &[".spec.", ".status."], false),
    ] {
        let (place, own) = (format!("{path}.{field}"), text(scale, &format!("/{field}")));
        if own.is_empty() {
            if needed {
                causes.push(Cause::required(place, ""));
            }
        } else if own.contains(['[', '\\', '*']) || own.split('.').skip(1).any(str::is_empty) {
            let why = "must be a json path in the dot notation";
            causes.push(Cause::invalid(place, &own.into(), why));
        } else if !roots.iter().any(|root| own.starts_with(root)) {
            let roots: Vec<&str> = roots.iter().map(|root| root.trim_end_matches('.')).collect();
            let either = if roots.len() == 2 { "either " } else { "" };
            let why = format!("should be a json path under {either}{}", roots.join(" or "));
            causes.push(Cause::invalid(place, &own.into(), &why));
        }
    }
}

fn selectable(version: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let all = list(version, "/selectableFields");
    if SELECTABLE_MAX < all.len() {
        let why = format!("Too many: {}: must have at most {SELECTABLE_MAX} items", all.len());
        causes.push(Cause::field("FieldValueTooMany", path, why));
    }
    let mut seen = BTreeSet::new();
    for (at, field) in all.iter().enumerate() {
        let (place, own) = (format!("{path}[{at}].jsonPath"), text(field, "/jsonPath"));
        if own.is_empty() {
            causes.push(Cause::required(place, ""));
            continue;
        }
        let parsed = Path::parse(own);
        let names = match parsed.as_ref().map(Path::names) {
            Ok(Some(names)) => names,
            Ok(None) => {
                causes.push(Cause::invalid(
                    place,
                    &own.into(),
                    "is an invalid path: only names and dots are allowed",
                ));
                continue;
            }
            Err(why) => {
                causes.push(Cause::invalid(
                    place,
                    &own.into(),
                    &format!("is an invalid path: {why}"),
                ));
                continue;
            }
        };
        if names.first() == Some(&"metadata") {
            causes.push(Cause::invalid(
                place.clone(),
                &own.into(),
                "must not point to fields in metadata",
            ));
        }
        let below = names.iter().fold(schema, |schema, name| &schema["properties"][*name]);
        if !matches!(text(below, "/type"), "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.push(Cause::invalid(place.clone(), &own.into(), why));
        }
        if !seen.insert(own) {
            let why = format!("Duplicate value: {}", field["jsonPath"]);
            causes.push(Cause::field("FieldValueDuplicate", place, why));
        }
    }
}

fn validate_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let established = list(old, "/status/conditions")
        .iter()
        .any(|one| one["type"] == "Established" && one["status"] == "True");
    let fixed: &[&str] = if established {
        &["spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"]
    } else {
        &["spec.group", "spec.names.plural"]
    };
    check::fixed(new, old, fixed, causes);
    let stored = list(new, "/status/storedVersions");
    for (at, version) in stored.iter().enumerate() {
        if !list(new, "/spec/versions").iter().any(|one| one["name"] == *version) {
            let name = version.as_str().unwrap_or_default();
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            causes.push(Cause::invalid(format!("status.storedVersions[{at}]"), version, &why));
        }
    }
}
