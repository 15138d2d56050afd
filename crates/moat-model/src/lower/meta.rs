//! `metadata`: names, namespaces, labels, owners.

use super::NULL;
use crate::diagnostic::{Diagnostic, codes};
use crate::read::Reader;
use crate::validate;
use crate::value::{Data, Value};
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
        reader.step(crate::read::Step::Key(&entry.key), |reader| match &entry.value.data {
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
