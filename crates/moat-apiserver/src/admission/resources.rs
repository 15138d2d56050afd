//! What a pod asks for: the sum of its containers, or what its init containers need if that is more.

use crate::object::{list, text};
use moat_model::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by the name of their resource.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// The amounts of a list of resources.
pub(super) fn amounts(map: &Value) -> Amounts {
    let all = map.as_object().into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), Quantity::read(value)?))).collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += *amount;
    }
}

fn at_least(all: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let own = all.entry(name.clone()).or_default();
        *own = (*own).max(*amount);
    }
}

/// What a pod asks for (`requests`) or may use (`limits`) in all.
pub(super) fn of_pod(pod: &Value, field: &str) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"][field]);
    let (mut sum, mut sidecars, mut init) = (Amounts::new(), Amounts::new(), Amounts::new());
    for container in list(pod, "/spec/containers") {
        add(&mut sum, &of(container));
    }
    for container in list(pod, "/spec/initContainers") {
        let own = of(container);
        // Those that go on running count with the others, and with those that are started after them.
        if text(container, "/restartPolicy") == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            at_least(&mut init, &sidecars);
        } else {
            let mut all = own;
            add(&mut all, &sidecars);
            at_least(&mut init, &all);
        }
    }
    at_least(&mut sum, &init);
    for (name, amount) in amounts(&pod["spec"]["resources"][field]) {
        let known = matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-");
        if known {
            sum.insert(name, amount);
        }
    }
    sum
}
