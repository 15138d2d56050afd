//! The rules once more, as plainly as possible and over wire objects: every node, every pod, every term, nothing remembered.

use serde_json::Value;

/// Nodes, and pods that are on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: Vec<Value>,
    pub(crate) pods: Vec<Value>,
}

const MUST: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const MAY: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn items<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten().collect()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

fn label<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value["metadata"]["labels"][key].as_str()
}

/// Whole processors and bytes: the generator uses no other notation.
fn amount(value: &Value) -> i64 {
    value.as_str().unwrap_or("0").parse().unwrap()
}

fn asks(pod: &Value, resource: &str) -> i64 {
    items(pod, "/spec/containers")
        .iter()
        .map(|one| amount(&one["resources"]["requests"][resource]))
        .sum()
}

/// What scoring assumes: a tenth of a processor and 200Mi where nothing is said.
fn assumed(pod: &Value, resource: &str) -> i64 {
    items(pod, "/spec/containers")
        .iter()
        .map(|one| match (&one["resources"]["requests"][resource], resource) {
            (Value::Null, "cpu") => 100,
            (Value::Null, _) => 200 << 20,
            (value, "cpu") => amount(value) * 1000,
            (value, _) => amount(value),
        })
        .sum()
}

fn selects(selector: &Value, object: &Value) -> bool {
    selector.is_object()
        && selector["matchLabels"]
            .as_object()
            .into_iter()
            .flatten()
            .all(|(key, value)| label(object, key) == value.as_str())
}

fn holds(term: &Value, node: &Value) -> bool {
    items(term, "/matchExpressions").iter().all(|one| {
        let value = label(node, text(one, "/key"));
        let among = items(one, "/values").iter().any(|one| one.as_str() == value);
        match text(one, "/operator") {
            "In" => among,
            "NotIn" => !among,
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    })
}

fn wants_node(pod: &Value, node: &Value) -> bool {
    let chosen = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    let required = &pod["spec"]["affinity"]["nodeAffinity"][MUST];
    chosen.clone().all(|(key, value)| label(node, key) == value.as_str())
        && (required.is_null()
            || items(required, "/nodeSelectorTerms").iter().any(|term| holds(term, node)))
}

fn tolerates(pod: &Value, taint: &Value) -> bool {
    items(pod, "/spec/tolerations").iter().any(|one| {
        let same = |path: &str| text(one, path).is_empty() || text(one, path) == text(taint, path);
        same("/effect")
            && same("/key")
            && (text(one, "/operator") == "Exists" || text(one, "/value") == text(taint, "/value"))
    })
}

fn minds(pod: &Value, node: &Value) -> bool {
    items(node, "/spec/taints")
        .iter()
        .any(|taint| text(taint, "/effect") != "PreferNoSchedule" && !tolerates(pod, taint))
}

fn term_means(term: &Value, owner: &Value, other: &Value) -> bool {
    let namespaces = items(term, "/namespaces");
    let near = if namespaces.is_empty() && term["namespaceSelector"].is_null() {
        text(owner, "/metadata/namespace") == text(other, "/metadata/namespace")
    } else {
        // The generator's selectors of namespaces select all of them.
        term["namespaceSelector"].is_object()
            || namespaces.iter().any(|one| one.as_str() == Some(text(other, "/metadata/namespace")))
    };
    near && selects(&term["labelSelector"], other)
}

fn terms<'a>(pod: &'a Value, kind: &str, when: &str) -> Vec<&'a Value> {
    items(&pod["spec"]["affinity"][kind], &format!("/{when}"))
}

impl World {
    fn on(&self, node: &Value) -> Vec<&Value> {
        self.pods.iter().filter(|pod| text(pod, "/spec/nodeName") == name(node)).collect()
    }

    /// Nodes with the same value of a label; none if the node has none.
    fn near<'a>(&'a self, node: &Value, key: &str) -> Vec<&'a Value> {
        let value = label(node, key);
        self.nodes.iter().filter(|one| value.is_some() && label(one, key) == value).collect()
    }

    fn pods_near<'a>(&'a self, node: &Value, key: &str) -> Vec<&'a Value> {
        self.near(node, key).into_iter().flat_map(|one| self.on(one)).collect()
    }

    fn spread_count(&self, pod: &Value, constraint: &Value, node: &Value) -> i64 {
        let counted = self.on(node).into_iter().filter(|other| {
            text(other, "/metadata/namespace") == text(pod, "/metadata/namespace")
                && other["metadata"]["deletionTimestamp"].is_null()
                && selects(&constraint["labelSelector"], other)
        });
        let everything = constraint["labelSelector"]["matchLabels"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty);
        if everything { 0 } else { i64::try_from(counted.count()).unwrap() }
    }

    /// Nodes that count for a constraint: all labels there, and the pod's own wishes as the policies say.
    fn spread_nodes(&self, pod: &Value, constraint: &Value, hard: bool) -> Vec<&Value> {
        let same = |one: &&Value| (text(one, "/whenUnsatisfiable") == "DoNotSchedule") == hard;
        let all = items(pod, "/spec/topologySpreadConstraints");
        let keys: Vec<&str> =
            all.into_iter().filter(same).map(|one| text(one, "/topologyKey")).collect();
        let counts = |node: &&Value| {
            keys.iter().all(|key| label(node, key).is_some())
                && (text(constraint, "/nodeAffinityPolicy") == "Ignore" || wants_node(pod, node))
                && (text(constraint, "/nodeTaintsPolicy") != "Honor" || !minds(pod, node))
        };
        self.nodes.iter().filter(counts).collect()
    }

    fn skewed(&self, pod: &Value, constraint: &Value, node: &Value) -> bool {
        let key = text(constraint, "/topologyKey");
        let Some(value) = label(node, key) else { return true };
        let nodes = self.spread_nodes(pod, constraint, true);
        let count = |value: &str| -> i64 {
            let there = nodes.iter().filter(|one| label(one, key) == Some(value));
            there.map(|one| self.spread_count(pod, constraint, one)).sum()
        };
        let mut values: Vec<&str> = nodes.iter().filter_map(|one| label(one, key)).collect();
        values.sort_unstable();
        values.dedup();
        let domains = i64::try_from(values.len()).unwrap();
        let few = domains < constraint["minDomains"].as_i64().unwrap_or(1);
        let least =
            if few { 0 } else { values.iter().map(|value| count(value)).min().unwrap_or(0) };
        let own = i64::from(selects(&constraint["labelSelector"], pod));
        count(value) + own - least > constraint["maxSkew"].as_i64().unwrap()
    }

    /// Whether a pod may be on a node.
    pub(crate) fn fits(&self, pod: &Value, node: &Value) -> bool {
        let there = self.on(node);
        let has = |resource: &str| amount(&node["status"]["allocatable"][resource]);
        let room = |resource: &str| {
            let used: i64 = there.iter().map(|one| asks(one, resource)).sum();
            asks(pod, resource) == 0 || asks(pod, resource) + used <= has(resource)
        };
        let ports = |pod: &Value| -> Vec<i64> {
            let all =
                items(pod, "/spec/containers").into_iter().flat_map(|one| items(one, "/ports"));
            all.filter_map(|one| one["hostPort"].as_i64()).collect()
        };
        let cordoned = node["spec"]["unschedulable"] == true;
        let exempt = tolerates(
            pod,
            &serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}),
        );
        let required = terms(pod, "podAffinity", MUST);
        let all_mean = |other: &Value| required.iter().all(|term| term_means(term, pod, other));
        let somewhere = self.nodes.iter().any(|node| {
            let keyed =
                required.iter().any(|term| label(node, text(term, "/topologyKey")).is_some());
            keyed && self.on(node).into_iter().any(all_mean)
        });
        let together = required
            .iter()
            .all(|term| self.pods_near(node, text(term, "/topologyKey")).into_iter().any(all_mean));
        let labelled =
            required.iter().all(|term| label(node, text(term, "/topologyKey")).is_some());
        let first = !somewhere && all_mean(pod);
        let apart = terms(pod, "podAntiAffinity", MUST).iter().all(|term| {
            !self
                .pods_near(node, text(term, "/topologyKey"))
                .iter()
                .any(|one| term_means(term, pod, one))
        });
        let welcome = self.pods.iter().all(|other| {
            let at = self.nodes.iter().find(|one| name(one) == text(other, "/spec/nodeName"));
            terms(other, "podAntiAffinity", MUST).iter().all(|term| {
                let near = at.is_some_and(|at| {
                    self.near(at, text(term, "/topologyKey"))
                        .iter()
                        .any(|one| name(one) == name(node))
                });
                !(near && term_means(term, other, pod))
            })
        });
        (!cordoned || exempt)
            && !minds(pod, node)
            && wants_node(pod, node)
            && !ports(pod).iter().any(|port| there.iter().any(|one| ports(one).contains(port)))
            && i64::try_from(there.len()).unwrap() < has("pods")
            && room("cpu")
            && room("memory")
            && !items(pod, "/spec/topologySpreadConstraints").iter().any(|one| {
                text(one, "/whenUnsatisfiable") == "DoNotSchedule" && self.skewed(pod, one, node)
            })
            && labelled
            && (required.is_empty() || together || first)
            && apart
            && welcome
    }

    /// The default profile's sum of weighted scores for nodes that fit.
    pub(crate) fn totals(&self, pod: &Value, nodes: &[&Value]) -> Vec<i64> {
        let mut totals = vec![0; nodes.len()];
        let mut add = |scores: Vec<i64>, weight: i64| {
            totals.iter_mut().zip(scores).for_each(|(total, score)| *total += score * weight);
        };
        add(by_largest(nodes.iter().map(|node| wishes_minded(pod, node)).collect(), true), 3);
        add(by_largest(nodes.iter().map(|node| wishes_held(pod, node)).collect(), false), 2);
        add(nodes.iter().map(|node| self.least_allocated(pod, node)).collect(), 1);
        if asks(pod, "cpu") + asks(pod, "memory") > 0 {
            add(nodes.iter().map(|node| self.balance(pod, node)).collect(), 1);
        }
        add(self.spread_scores(pod, nodes), 2);
        add(self.affinity_scores(pod, nodes), 2);
        totals
    }

    fn least_allocated(&self, pod: &Value, node: &Value) -> i64 {
        let one = |resource: &str| {
            let unit = if resource == "cpu" { 1000 } else { 1 };
            let has = amount(&node["status"]["allocatable"][resource]) * unit;
            let used: i64 = self.on(node).iter().map(|one| assumed(one, resource)).sum();
            let used = used + assumed(pod, resource);
            (has > 0).then(|| if used > has { 0 } else { (has - used) * 100 / has })
        };
        let all: Vec<i64> = [one("cpu"), one("memory")].into_iter().flatten().collect();
        if all.is_empty() { 0 } else { all.iter().sum::<i64>() / i64::try_from(all.len()).unwrap() }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as upstream")]
    fn balance(&self, pod: &Value, node: &Value) -> i64 {
        let even = |with: bool| {
            let share = |resource: &str| {
                let has = amount(&node["status"]["allocatable"][resource]);
                let there: i64 = self.on(node).iter().map(|one| asks(one, resource)).sum();
                let used = there + if with { asks(pod, resource) } else { 0 };
                (has > 0).then(|| (used as f64 / has as f64).min(1.0))
            };
            match (share("cpu"), share("memory")) {
                (Some(a), Some(b)) => ((1.0 - ((a - b) / 2.0).abs()) * 100.0) as i64,
                _ => 100,
            }
        };
        50 + (50 + even(true) - even(false)) / 2
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as upstream")]
    fn spread_scores(&self, pod: &Value, nodes: &[&Value]) -> Vec<i64> {
        let all = items(pod, "/spec/topologySpreadConstraints");
        let soft: Vec<&Value> = all
            .into_iter()
            .filter(|one| text(one, "/whenUnsatisfiable") == "ScheduleAnyway")
            .collect();
        if soft.is_empty() {
            return vec![0; nodes.len()];
        }
        let complete =
            |node: &Value| soft.iter().all(|one| label(node, text(one, "/topologyKey")).is_some());
        let known: Vec<&Value> = nodes.iter().copied().filter(|node| complete(node)).collect();
        let raw: Vec<Option<i64>> = nodes
            .iter()
            .map(|node| {
                let mut sum = 0.0;
                for constraint in &soft {
                    let key = text(constraint, "/topologyKey");
                    let value = label(node, key);
                    let host = key == "kubernetes.io/hostname";
                    let mut values: Vec<_> = known.iter().map(|one| label(one, key)).collect();
                    values.sort_unstable();
                    values.dedup();
                    let domains = if host { known.len() } else { values.len() };
                    let counted: i64 = if host {
                        self.spread_count(pod, constraint, node)
                    } else {
                        let nodes = self.spread_nodes(pod, constraint, false);
                        let near = nodes.into_iter().filter(|one| label(one, key) == value);
                        near.map(|one| self.spread_count(pod, constraint, one)).sum()
                    };
                    sum += counted as f64 * ((domains + 2) as f64).ln()
                        + (constraint["maxSkew"].as_i64().unwrap() - 1) as f64;
                }
                complete(node).then(|| sum.round() as i64)
            })
            .collect();
        let most = raw.iter().flatten().copied().max().unwrap_or(0);
        let least = raw.iter().flatten().copied().min().unwrap_or(0);
        raw.into_iter()
            .map(|score| match score {
                None => 0,
                Some(_) if most == 0 => 100,
                Some(score) => 100 * (most + least - score) / most,
            })
            .collect()
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as upstream")]
    fn affinity_scores(&self, pod: &Value, nodes: &[&Value]) -> Vec<i64> {
        let near = |a: &Value, b: &Value, key: &str| {
            label(a, key).is_some() && label(a, key) == label(b, key)
        };
        let raw: Vec<i64> = nodes
            .iter()
            .map(|node| {
                let mut sum = 0;
                for at in &self.nodes {
                    for other in self.on(at) {
                        for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
                            for (owner, seen) in [(pod, other), (other, pod)] {
                                for one in terms(owner, kind, MAY) {
                                    let term = &one["podAffinityTerm"];
                                    if near(node, at, text(term, "/topologyKey"))
                                        && term_means(term, owner, seen)
                                    {
                                        sum += sign * one["weight"].as_i64().unwrap();
                                    }
                                }
                            }
                        }
                        for term in terms(other, "podAffinity", MUST) {
                            sum += i64::from(
                                near(node, at, text(term, "/topologyKey"))
                                    && term_means(term, other, pod),
                            );
                        }
                    }
                }
                sum
            })
            .collect();
        let (most, least) = (raw.iter().max().unwrap(), raw.iter().min().unwrap());
        let range = most - least;
        let part = |score: &i64| (100.0 * ((score - least) as f64 / range as f64)) as i64;
        raw.iter().map(|score| if range == 0 { 0 } else { part(score) }).collect()
    }
}

fn wishes_minded(pod: &Value, node: &Value) -> i64 {
    let wishes = items(node, "/spec/taints")
        .into_iter()
        .filter(|one| text(one, "/effect") == "PreferNoSchedule");
    i64::try_from(wishes.filter(|taint| !tolerates(pod, taint)).count()).unwrap()
}

fn wishes_held(pod: &Value, node: &Value) -> i64 {
    let all = items(&pod["spec"]["affinity"]["nodeAffinity"], &format!("/{MAY}"));
    let held = all.into_iter().filter(|one| holds(&one["preference"], node));
    held.map(|one| one["weight"].as_i64().unwrap()).sum()
}

fn by_largest(scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let most = scores.iter().copied().max().unwrap_or(0);
    let part = |score: i64| match (most, reverse) {
        (0, true) => 100,
        (0, false) => 0,
        (_, true) => 100 - 100 * score / most,
        (_, false) => 100 * score / most,
    };
    scores.into_iter().map(part).collect()
}
