//! `metadata`: names, namespaces, labels, owners.

use super::NULL;
use super::kinds::{self, Role};
use crate::diagnostic::{Diagnostic, codes};
use crate::read::{Reader, Step};
use crate::validate;
use crate::value::{Data, SourceId, Value};
use moat_sets::Labels;
use std::sync::Arc;

/// The fields of `metadata` that Moat knows are all the API has.
const FIELDS: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "clusterName",
];

/// What other readers need of `metadata`.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) labels: Labels,
    /// The controlling owner's kind and name.
    pub(super) owner: Option<(Arc<str>, Arc<str>)>,
}

/// The annotation that takes a policy out of force: its verdicts are logged where policies are enforced, and have no effect.
pub(super) const STAGED: &str = "moat.dev/staged";

/// Whether a policy is staged.
pub(super) fn staged(reader: &mut Reader<'_, '_>, value: &Value) -> bool {
    let Some(annotation) = value.at(&["metadata", "annotations", STAGED]) else { return false };
    let text = annotation.as_str().unwrap_or_default();
    if !matches!(text, "true" | "false") {
        let finding = Diagnostic::warning(
            codes::INVALID,
            reader.span(annotation),
            format!("annotation `{STAGED}` is neither \"true\" nor \"false\""),
        )
        .help(format!(
            "write `{STAGED}: \"true\"`, with the quotes, to take the policy out of force"
        ))
        .effect("the policy is in force");
        reader.push(finding);
    }
    text == "true"
}

/// The namespace and name of an object, validated.
pub(super) fn identify(
    value: &Value,
    kind: &str,
    role: Role,
    source: SourceId,
    default_namespace: &Arc<str>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Arc<str>, Arc<str>) {
    let text = |key: &str| {
        value.at(&["metadata", key]).and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    let name = text("name").or_else(|| text("generateName")).unwrap_or_default();
    let namespace: Arc<str> = match text("namespace") {
        Some(namespace) if kinds::is_namespaced(role) => namespace.into(),
        None if kinds::is_namespaced(role) => default_namespace.clone(),
        _ => "".into(),
    };
    let label = if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    };
    let mut reader = Reader::new(source, label, diagnostics);
    let check = if role == Role::Namespace { validate::dns_label } else { validate::subdomain };
    let at = value.at(&["metadata", "name"]).unwrap_or(value);
    reader.step(Step::Key("metadata"), |reader| {
        let errors = reader.n_errors;
        if let Some(meta) = value.get("metadata") {
            for key in ["name", "generateName", "namespace"] {
                reader.string_field(meta, key);
            }
        }
        let readable = reader.n_errors == errors;
        reader.step(Step::Key("name"), |reader| {
            let checked = role != Role::Unknown && role != Role::Irrelevant;
            if name.is_empty() && checked && readable {
                reader.invalid(at, "Required value: name or generateName is required");
            } else if text("name").is_some()
                && checked
                && let Some(reason) = check(name)
            {
                reader.invalid(at, format!("Invalid value: \"{name}\": {reason}"));
            }
        });
        if let (Some(text), Some(at)) = (text("namespace"), value.at(&["metadata", "namespace"]))
            && let Some(reason) = validate::dns_label(text)
        {
            reader.step(Step::Key("namespace"), |reader| {
                reader.invalid(at, format!("Invalid value: \"{text}\": {reason}"));
            });
        }
    });
    (namespace, name.into())
}

/// Reads and validates `metadata` of an object.
pub(super) fn read<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Meta {
    read_field(reader, value).unwrap_or_else(|| Meta { labels: Labels::default(), owner: None })
}

fn read_field<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<Meta> {
    reader.field(value, "metadata", |reader, meta| {
        reader.known(meta, FIELDS);
        let labels = reader.field(meta, "labels", labels).unwrap_or_default();
        let owners = meta.get("ownerReferences").unwrap_or(&NULL).items();
        let controls = |owner: &&Value| {
            matches!(owner.get("controller").map(|flag| &flag.data), Some(Data::Bool(true)))
        };
        let owner = owners.iter().find(controls).and_then(|owner| {
            let kind = owner.get("kind")?.as_str()?.to_ascii_lowercase();
            Some((kind.into(), owner.get("name")?.as_str()?.into()))
        });
        Meta { labels, owner }
    })
}

/// Labels, validated as the API server does.
pub(super) fn labels<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Labels {
    let pairs = string_map(reader, value);
    for &(key, text, at) in &pairs {
        if let Some(reason) = validate::label_key(key) {
            reader.invalid(at, format!("Invalid value: \"{key}\": {reason}"));
        }
        if let Some(reason) = validate::label_value(text) {
            reader.invalid(at, format!("Invalid value: \"{text}\": {reason}"));
        }
    }
    pairs.into_iter().map(|(key, text, _)| (key, text)).collect()
}

/// A mapping of strings; other values are reported, as the API server refuses them.
pub(super) fn string_map<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
) -> Vec<(&'v str, &'v str, &'v Value)> {
    if !matches!(value.data, Data::Map(_)) {
        reader.wrong_type(value, "a mapping");
    }
    let mut pairs = Vec::with_capacity(value.entries().len());
    for entry in value.entries() {
        reader.step(Step::Key(&entry.key), |reader| match &entry.value.data {
            Data::String(text) => pairs.push((entry.key.as_ref(), text.as_ref(), &entry.value)),
            Data::Null => pairs.push((entry.key.as_ref(), "", &entry.value)),
            _ => {
                let span = reader.span(&entry.value);
                let finding = Diagnostic::error(
                    codes::WRONG_TYPE,
                    span,
                    format!("want a string, found {}", entry.value.kind()),
                )
                .help("put the value in quotes")
                .effect("the label is not there");
                reader.push(finding);
            }
        });
    }
    pairs
}
