//! Label selectors.

pub(crate) use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

/// Whether a selector selects an object with these labels.
pub(crate) fn selects(selector: &Selector, labels: Option<&Labels>) -> bool {
    let labels = labels.cloned().unwrap_or_default();
    //# "The result of matchLabels and matchExpressions are ANDed. An empty label selector matches all
    //# objects."
    let mut pairs = selector.match_labels.iter().flatten();
    let mut requirements = selector.match_expressions.iter().flatten();
    pairs.all(|(key, value)| labels.get(key) == Some(value))
        && requirements.all(|requirement| meets(requirement, &labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|listed| listed == value);
    //# "Valid operators are In, NotIn, Exists and DoesNotExist."
    match requirement.operator.as_str() {
        // k8s.io/apimachinery/pkg/labels, Requirement.Matches:
        //# "The operator is In, Labels has the Requirement's key and Labels' value for that key is in
        //# Requirement's value set."
        "In" => value.is_some_and(listed),
        //# "The operator is NotIn, Labels has the Requirement's key and Labels' value for that key is
        //# not in Requirement's value set."
        //# "The operator is DoesNotExist or NotIn and Labels does not have the Requirement's key."
        "NotIn" => !value.is_some_and(listed),
        //# "The operator is Exists and Labels has the Requirement's key."
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}
