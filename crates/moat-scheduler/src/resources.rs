//! What pods ask for and what nodes have, in the units the plug-ins calculate with.

use crate::read::{Problems, list, text};
use moat_apiserver::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource. Processors are thousandths, everything else whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of local disk.
    pub ephemeral: i64,
    /// Extended resources, huge pages and the like, ordered by name.
    pub scalars: Vec<(Box<str>, i64)>,
}

/// Named amounts before they are rounded.
type Amounts = BTreeMap<String, Quantity>;

/// Memory that scoring assumes a container needs that does not say.
const MEMORY_ASSUMED: i64 = 200 * 1024 * 1024;
/// Thousandths of a processor that scoring assumes likewise.
const CPU_ASSUMED: i64 = 100;

impl Resources {
    /// The amount of a resource.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral,
            _ => self.scalar(name),
        }
    }

    fn scalar(&self, name: &str) -> i64 {
        match self.scalars.binary_search_by(|(one, _)| (**one).cmp(name)) {
            Ok(at) => self.scalars[at].1,
            Err(_) => 0,
        }
    }

    /// Adds what a pod asks for.
    pub fn add(&mut self, other: &Self) {
        self.change(other, 1);
    }

    /// Takes back what a pod asked for.
    pub fn take(&mut self, other: &Self) {
        self.change(other, -1);
    }

    fn change(&mut self, other: &Self, sign: i64) {
        let sum = |a: i64, b: i64| a.saturating_add(sign * b);
        self.cpu = sum(self.cpu, other.cpu);
        self.memory = sum(self.memory, other.memory);
        self.ephemeral = sum(self.ephemeral, other.ephemeral);
        for (name, amount) in &other.scalars {
            match self.scalars.binary_search_by(|(one, _)| one.cmp(name)) {
                Ok(at) => {
                    self.scalars[at].1 = sum(self.scalars[at].1, *amount);
                    // What is used by nobody is not listed, so that histories do not differ.
                    if self.scalars[at].1 == 0 {
                        self.scalars.remove(at);
                    }
                }
                Err(at) if *amount != 0 => {
                    self.scalars.insert(at, (name.clone(), sum(0, *amount)));
                }
                Err(_) => {}
            }
        }
    }

    fn of(amounts: &Amounts) -> Self {
        let mut found = Self::default();
        for (name, amount) in amounts {
            match name.as_str() {
                "cpu" => found.cpu = amount.milli(),
                "memory" => found.memory = amount.value(),
                "ephemeral-storage" => found.ephemeral = amount.value(),
                name if is_scalar(name) => {
                    found.scalars.push((name.into(), amount.value()));
                }
                _ => {}
            }
        }
        found
    }
}

/// Whether a name is of a resource that is counted beside processors, memory and disk.
pub(crate) fn is_scalar(name: &str) -> bool {
    name.contains('/') || name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")
}

/// Whether a resource is one that Kubernetes itself knows nothing of.
pub(crate) fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// What a node has for pods, and how many pods it takes.
pub(crate) fn allocatable(status: &Value, problems: &mut Problems) -> (Resources, i64) {
    let amounts = amounts(&status["allocatable"], problems);
    let pods = amounts.get("pods").map_or(0, |pods| pods.value());
    (Resources::of(&amounts), pods)
}

/// What a pod asks for: exactly, and as scoring takes it, which assumes something for containers that do not say.
pub(crate) fn requests(pod: &Value, problems: &mut Problems) -> (Resources, Resources) {
    let mut sums = [Amounts::new(), Amounts::new()];
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = containers(pod, at == 1, problems);
        // What the pod itself asks for replaces the sum of its containers.
        for (name, amount) in amounts(&pod["spec"]["resources"]["requests"], problems) {
            if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
                sum.insert(name, amount);
            }
        }
        plus(sum, &amounts(&pod["spec"]["overhead"], problems));
    }
    problems.0.dedup();
    let [exact, assumed] = sums;
    (Resources::of(&exact), Resources::of(&assumed))
}

/// Containers run together, plain init containers one after another before them, and sidecars beside both from their turn on.
fn containers(pod: &Value, assume: bool, problems: &mut Problems) -> Amounts {
    let spec = &pod["spec"];
    let mut running = Amounts::new();
    for one in list(spec, "containers") {
        plus(&mut running, &container(pod, one, "containerStatuses", assume, problems));
    }
    let (mut sidecars, mut highest) = (Amounts::new(), Amounts::new());
    for one in list(spec, "initContainers") {
        let sidecar = text(one, "restartPolicy") == "Always";
        let status = if sidecar { "initContainerStatuses" } else { "" };
        let mut needs = container(pod, one, status, assume, problems);
        if sidecar {
            plus(&mut running, &needs);
            plus(&mut sidecars, &needs);
            needs.clone_from(&sidecars);
        } else {
            plus(&mut needs, &sidecars);
        }
        most(&mut highest, needs);
    }
    most(&mut running, highest);
    running
}

/// What one container asks for. While a resize is under way it holds on to the most of what it had, has and wants.
fn container(
    pod: &Value,
    container: &Value,
    statuses: &str,
    assume: bool,
    problems: &mut Problems,
) -> Amounts {
    let mut wants = amounts(&container["resources"]["requests"], problems);
    let mut statuses = list(&pod["status"], statuses).iter();
    let name = text(container, "name");
    let status = statuses.find(|status| text(status, "name") == name);
    if let Some(status) = status.filter(|status| status["resources"].is_object()) {
        if is_infeasible(pod) {
            wants.clear();
        }
        most(&mut wants, amounts(&status["resources"]["requests"], problems));
        most(&mut wants, amounts(&status["allocatedResources"], problems));
    }
    if assume {
        wants.entry("cpu".to_owned()).or_insert(Quantity::thousandths(CPU_ASSUMED));
        wants.entry("memory".to_owned()).or_insert(Quantity::whole(MEMORY_ASSUMED));
    }
    wants
}

/// Whether a resize was asked for that the node cannot do.
fn is_infeasible(pod: &Value) -> bool {
    let mut conditions = list(&pod["status"], "conditions").iter();
    let pending = conditions.find(|one| text(one, "type") == "PodResizePending");
    pending.is_some_and(|one| text(one, "reason") == "Infeasible")
}

fn amounts(map: &Value, problems: &mut Problems) -> Amounts {
    let mut all = Amounts::new();
    for (name, value) in map.as_object().into_iter().flatten() {
        match Quantity::read(value) {
            Some(amount) => {
                all.insert(name.clone(), amount);
            }
            None => problems.0.push(format!("{value} of {name:?} is no quantity")),
        }
    }
    all
}

fn plus(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += *amount;
    }
}

fn most(sum: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        let slot = sum.entry(name).or_insert(amount);
        *slot = amount.max(*slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: Value) -> (Resources, Resources) {
        let mut problems = Problems::default();
        let found = requests(&json!({"spec": spec}), &mut problems);
        assert_eq!(problems, Problems::default());
        found
    }

    fn asks(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> Value {
        json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn init_containers_count_by_the_largest_and_sidecars_always() {
        let cpu = |spec: Value| read(spec).0.cpu;
        assert_eq!(cpu(json!({"containers": [asks("1"), asks("500m")]})), 1500);
        assert_eq!(
            cpu(json!({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]})),
            3000
        );
        assert_eq!(
            cpu(json!({"containers": [asks("1")], "initContainers": [sidecar("1"), asks("2")]})),
            3000
        );
        assert_eq!(
            cpu(json!({"containers": [asks("1")], "initContainers": [asks("2"), sidecar("1")]})),
            2000
        );
        assert_eq!(
            cpu(json!({"containers": [asks("1")], "initContainers": [sidecar("1"), sidecar("2")]})),
            4000
        );
        assert_eq!(cpu(json!({"containers": [asks("1")], "overhead": {"cpu": "10m"}})), 1010);
    }

    #[test]
    fn requests_of_the_pod_replace_those_of_its_containers() {
        let (exact, assumed) = read(json!({
            "containers": [asks("1"), {}],
            "resources": {"requests": {"cpu": "200m"}},
            "overhead": {"cpu": "1m", "memory": "1Ki"},
        }));
        assert_eq!((exact.cpu, exact.memory), (201, 1024));
        assert_eq!((assumed.cpu, assumed.memory), (201, 2 * MEMORY_ASSUMED + 1024));
    }

    #[test]
    fn scoring_assumes_something_only_for_what_is_not_said() {
        let (exact, assumed) =
            read(json!({"containers": [{"resources": {"requests": {"cpu": "0"}}}]}));
        assert_eq!((exact.cpu, assumed.cpu, assumed.memory), (0, 0, MEMORY_ASSUMED));
    }

    #[test]
    fn a_resize_under_way_holds_the_most() {
        let mut pod = json!({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"containerStatuses": [{"name": "a", "resources": {"requests": {"cpu": "2"}},
                "allocatedResources": {"cpu": "1500m"}}]}});
        let cpu = |pod: &Value| requests(pod, &mut Problems::default()).0.cpu;
        assert_eq!(cpu(&pod), 2000);
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "9".into();
        assert_eq!(cpu(&pod), 9000);
        pod["status"]["conditions"] = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
        assert_eq!(cpu(&pod), 2000);
    }

    #[test]
    fn scalars_are_extended_resources_and_huge_pages() {
        let (exact, _) = read(json!({"containers": [{"resources": {"requests": {
            "example.com/gpu": "2", "hugepages-2Mi": "4Mi", "nonsense": "3"}}}]}));
        assert_eq!(
            exact.scalars,
            [("example.com/gpu".into(), 2), ("hugepages-2Mi".into(), 4 << 20)]
        );
        let mut sum = Resources::default();
        sum.add(&exact);
        sum.take(&exact);
        assert_eq!(sum, Resources::default());
    }

    #[test]
    fn what_is_no_quantity_is_noted() {
        let mut problems = Problems::default();
        requests(&json!({"spec": {"containers": [asks("lots")]}}), &mut problems);
        assert_eq!(problems.0, ["\"lots\" of \"cpu\" is no quantity"]);
    }
}
