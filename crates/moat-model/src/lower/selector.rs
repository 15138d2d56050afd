//! Label selectors and pod terms.
//!
//! Source: apimachinery `LabelSelector` and its validation.

use crate::read::Reader;
use crate::validate;
use crate::value::Value;
use moat_sets::{NamespaceTerm, Operator, PodTerm, Requirement, Selector};

/// Reads a `LabelSelector`. `None` when a part cannot be interpreted.
pub(super) fn label_selector<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
) -> Option<Selector> {
    let errors = reader.n_errors;
    reader.known(value, &["matchLabels", "matchExpressions"]);
    let mut requirements = reader.field(value, "matchLabels", match_labels).unwrap_or_default();
    requirements.extend(
        reader
            .field(value, "matchExpressions", |reader, list| reader.each(list, expression))
            .unwrap_or_default()
            .into_iter()
            .flatten(),
    );
    (reader.n_errors == errors).then(|| Selector::new(requirements))
}

/// A plain key-value mapping, as `matchLabels` and the selectors of Services and ReplicationControllers are.
pub(super) fn match_labels<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Vec<Requirement> {
    super::meta::string_map(reader, value)
        .into_iter()
        .map(|(key, text, at)| {
            if let Some(reason) = validate::label_key(key) {
                reader.invalid(at, format!("Invalid value: \"{key}\": {reason}"));
            }
            if let Some(reason) = validate::label_value(text) {
                reader.invalid(at, format!("Invalid value: \"{text}\": {reason}"));
            }
            Requirement::new(key, Operator::In, [text])
        })
        .collect()
}

fn expression<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<Requirement> {
    reader.known(value, &["key", "operator", "values"]);
    let key = reader.string_field(value, "key").unwrap_or_default();
    if let Some(reason) = validate::label_key(key) {
        reader.invalid_field(value, "key", format!("Invalid value: \"{key}\": {reason}"));
    }
    let values: Vec<&str> = reader
        .field(value, "values", |reader, list| {
            reader.each(list, super::super::read::Reader::string)
        })
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .collect();
    let operator = match reader.string_field(value, "operator").unwrap_or_default() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => {
            reader.invalid_field(
                value,
                "operator",
                format!("Invalid value: \"{other}\": not a valid selector operator"),
            );
            return None;
        }
    };
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            reader.invalid_field(
                value,
                "values",
                "Required value: must be specified when `operator` is 'In' or 'NotIn'",
            );
            return None;
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            reader.invalid_field(
                value,
                "values",
                "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            );
            return None;
        }
        _ => {}
    }
    Some(Requirement::new(key, operator, values))
}

/// The fields `namespaceSelector` and `podSelector` of `value`; without a namespace selector, `own` namespaces are meant.
pub(super) fn pod_term<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    own: NamespaceTerm,
) -> Option<PodTerm> {
    let namespaces = match reader.field(value, "namespaceSelector", label_selector) {
        Some(selector) => NamespaceTerm::Matching(selector?),
        None => own,
    };
    let pods = match reader.field(value, "podSelector", label_selector) {
        Some(selector) => selector?,
        None => Selector::everything(),
    };
    Some(PodTerm { namespaces, pods })
}
