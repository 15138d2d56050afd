//! Terms of pod affinity and anti-affinity, and constraints of topology spread, as pods write them.

use crate::labels::{Labels, Requirement, Selector, Test};
use crate::read::{Problems, list, text, texts, whole};
use serde_json::Value;

/// What a pod asks of the pods beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Affinity {
    /// Must be near such pods.
    pub required: Vec<Term>,
    /// Must not be near such pods.
    pub forbidden: Vec<Term>,
    /// Would rather be near; with weights.
    pub preferred: Vec<(i32, Term)>,
    /// Would rather not be near; with weights.
    pub avoided: Vec<(i32, Term)>,
}

/// Some pods, and the label of nodes whose value says what is near.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// The label of nodes.
    pub topology_key: Box<str>,
    namespaces: Vec<Box<str>>,
    namespace_selector: Selector,
    selector: Selector,
}

const MUST: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const MAY: &str = "preferredDuringSchedulingIgnoredDuringExecution";

impl Affinity {
    pub(crate) fn read(
        spec: &Value,
        namespace: &str,
        labels: &Labels,
        problems: &mut Problems,
    ) -> Self {
        let mut terms = |field: &str, when: &str| -> Vec<(i32, Term)> {
            let place = format!("spec.affinity.{field}");
            let mut all = Vec::new();
            for one in list(&spec["affinity"][field], when) {
                let inner = one.get("podAffinityTerm").unwrap_or(one);
                match Term::read(inner, namespace, labels) {
                    Ok(term) => all.push((whole(one, "weight").unwrap_or(0), term)),
                    Err(why) => problems.0.push(format!("{place}: {why}")),
                }
            }
            all
        };
        let plain = |terms: Vec<(i32, Term)>| terms.into_iter().map(|(_, term)| term).collect();
        Self {
            required: plain(terms("podAffinity", MUST)),
            forbidden: plain(terms("podAntiAffinity", MUST)),
            preferred: terms("podAffinity", MAY),
            avoided: terms("podAntiAffinity", MAY),
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.required.is_empty()
            && self.forbidden.is_empty()
            && self.preferred.is_empty()
            && self.avoided.is_empty()
    }
}

impl Term {
    fn read(value: &Value, namespace: &str, labels: &Labels) -> Result<Self, String> {
        let mut selector = Selector::read(&value["labelSelector"])?;
        selector.and(same_as(value, "matchLabelKeys", labels));
        let differs = same_as(value, "mismatchLabelKeys", labels).into_iter().map(|one| {
            let test = match one.test {
                Test::In(values) => Test::NotIn(values),
                other => other,
            };
            Requirement { key: one.key, test }
        });
        selector.and(differs);
        let mut namespaces = texts(value, "namespaces");
        if namespaces.is_empty() && value["namespaceSelector"].is_null() {
            namespaces.push(namespace.into());
        }
        Ok(Self {
            topology_key: text(value, "topologyKey").into(),
            namespaces,
            namespace_selector: Selector::read(&value["namespaceSelector"])?,
            selector,
        })
    }

    /// Whether a pod of a namespace with these labels is meant.
    pub fn matches(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        (self.namespaces.iter().any(|one| **one == *namespace)
            || self.namespace_selector.matches(namespace_labels))
            && self.selector.matches(labels)
    }
}

/// The pod's own values of the labels that a field lists.
fn same_as(value: &Value, field: &str, labels: &Labels) -> Vec<Requirement> {
    let keys = texts(value, field).into_iter();
    keys.filter_map(|key| Some(Requirement::equals(&key, labels.get(&key)?))).collect()
}

/// How evenly pods must be spread over the values of a label of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    /// The label of nodes.
    pub topology_key: Box<str>,
    /// By how many pods two values may differ.
    pub max_skew: i32,
    /// Whether a node that breaks it is refused, or only less liked.
    pub hard: bool,
    /// Fewer values than this count as if one had no pods.
    pub min_domains: i32,
    /// Whether nodes count that the pod's node selector excludes.
    pub honor_affinity: bool,
    /// Whether nodes count whose taints the pod does not tolerate.
    pub honor_taints: bool,
    /// The pods that are counted.
    pub selector: Selector,
}

impl Spread {
    /// Reads a constraint of a pod with these labels.
    pub(crate) fn read(value: &Value, labels: &Labels) -> Result<Self, String> {
        let mut selector = Selector::read(&value["labelSelector"])?;
        selector.and(same_as(value, "matchLabelKeys", labels));
        let hard = match text(value, "whenUnsatisfiable") {
            "" | "DoNotSchedule" => true,
            "ScheduleAnyway" => false,
            other => return Err(format!("whenUnsatisfiable {other:?} is not known")),
        };
        let honor = |field: &str, default: bool| match text(value, field) {
            "" => Ok(default),
            "Honor" => Ok(true),
            "Ignore" => Ok(false),
            other => Err(format!("{field} {other:?} is not known")),
        };
        Ok(Self {
            topology_key: text(value, "topologyKey").into(),
            max_skew: whole(value, "maxSkew").unwrap_or(1),
            hard,
            min_domains: whole(value, "minDomains").unwrap_or(1),
            honor_affinity: honor("nodeAffinityPolicy", true)?,
            honor_taints: honor("nodeTaintsPolicy", false)?,
            selector,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_term_means_the_pods_own_namespace_unless_it_says_otherwise() {
        let read = |value: Value| Term::read(&value, "mine", &Labels::default()).unwrap();
        let none = Labels::default();
        let prod = Labels::read(&json!({"env": "prod"}));
        let plain = read(json!({"labelSelector": {}}));
        assert!(plain.matches("mine", &none, &none) && !plain.matches("other", &prod, &none));
        let named = read(json!({"labelSelector": {}, "namespaces": ["other"]}));
        assert!(!named.matches("mine", &none, &none) && named.matches("other", &none, &none));
        let chosen = read(
            json!({"labelSelector": {}, "namespaceSelector": {"matchLabels": {"env": "prod"}}}),
        );
        assert!(!chosen.matches("mine", &none, &none) && chosen.matches("other", &prod, &none));
        assert!(
            read(json!({"labelSelector": {}, "namespaceSelector": {}})).matches("x", &none, &none)
        );
        assert!(!read(json!({})).matches("mine", &none, &none), "no selector means no pods");
    }

    #[test]
    fn label_keys_of_the_pod_narrow_the_selector() {
        let own = Labels::read(&json!({"hash": "1", "tenant": "a"}));
        let term = json!({"labelSelector": {}, "matchLabelKeys": ["hash", "none"], "mismatchLabelKeys": ["tenant"]});
        let term = Term::read(&term, "mine", &own).unwrap();
        let matches =
            |labels: Value| term.matches("mine", &Labels::default(), &Labels::read(&labels));
        assert!(matches(json!({"hash": "1", "tenant": "b"})));
        assert!(!matches(json!({"hash": "2", "tenant": "b"})));
        assert!(!matches(json!({"hash": "1", "tenant": "a"})));
    }
}
