//! Parts of a pod with paths of their own: containers that are added while it runs, and what its containers ask for.

use super::quality;
use crate::kinds::Subresource;
use crate::object::{child_mut, list, map_mut, text};
use crate::status::Cause;
use serde_json::{Map, Value};

/// What a kubelet's own pods, which no server made, are known by.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Leaves of a changed pod what the path of a part may change.
pub(super) fn keep(sub: Subresource, new: &mut Value, old: &Value) {
    match sub {
        Subresource::EphemeralContainers => {
            let own = new["spec"].get("ephemeralContainers").cloned();
            put_spec(new, old);
            let spec = child_mut(new, "spec");
            match own {
                Some(own) => spec.insert("ephemeralContainers".to_owned(), own),
                None => spec.shift_remove("ephemeralContainers"),
            };
        }
        Subresource::Resize if is_same_row(new, old) => {
            let asked = new["spec"].clone();
            put_spec(new, old);
            let spec = child_mut(new, "spec");
            if let Some(own) = asked.get("resources") {
                spec.insert("resources".to_owned(), own.clone());
            }
            for field in ["containers", "initContainers"] {
                let given = list(&asked, &format!("/{field}")).to_vec();
                for (container, given) in super::items_mut(spec, field).zip(given) {
                    for part in ["resources", "resizePolicy"] {
                        match given.get(part) {
                            Some(own) => container.insert(part.to_owned(), own.clone()),
                            None => container.shift_remove(part),
                        };
                    }
                }
            }
        }
        _ => {}
    }
}

fn put_spec(new: &mut Value, old: &Value) {
    if let Some(map) = new.as_object_mut() {
        map.insert("spec".to_owned(), old["spec"].clone());
    }
}

fn names<'a>(pod: &'a Value, field: &str) -> Vec<&'a str> {
    list(pod, &format!("/spec/{field}")).iter().map(|one| text(one, "/name")).collect()
}

/// Whether the containers are the same, in the same order.
fn is_same_row(new: &Value, old: &Value) -> bool {
    ["containers", "initContainers"].iter().all(|field| names(new, field) == names(old, field))
}

/// Rules about a change of a part.
pub(super) fn check(sub: Subresource, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let is_mirror = old["metadata"]["annotations"].get(MIRROR).is_some();
    match sub {
        Subresource::EphemeralContainers if is_mirror => {
            *causes = vec![Cause::forbidden("", "static pods do not support ephemeral containers")];
        }
        Subresource::EphemeralContainers => added(new, old, causes),
        Subresource::Resize if is_mirror => {
            *causes = vec![Cause::forbidden("", "static pods cannot be resized")];
        }
        Subresource::Resize if text(old, "/spec/os/name") == "windows" => {
            *causes = vec![Cause::forbidden("", "windows pods cannot be resized")];
        }
        Subresource::Resize => resized(new, old, causes),
        _ => {}
    }
}

/// A container that was added stays as it is.
fn added(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    const FIELD: &str = "spec.ephemeralContainers";
    let now = list(new, "/spec/ephemeralContainers");
    for had in list(old, "/spec/ephemeralContainers") {
        let name = text(had, "/name");
        let why = match now.iter().find(|one| text(one, "/name") == name) {
            None => format!("existing ephemeral containers {name:?} may not be removed\n"),
            Some(has) if has != had => {
                let fields = different(had, has).join(", ");
                format!("existing ephemeral containers {name:?} may not be changed\n{fields}")
            }
            Some(_) => continue,
        };
        causes.push(Cause::forbidden(FIELD, &why));
    }
}

/// Names of fields that differ.
fn different(had: &Value, has: &Value) -> Vec<String> {
    let (Some(had), Some(has)) = (had.as_object(), has.as_object()) else { return Vec::new() };
    let mut all: Vec<&String> = had.keys().chain(has.keys()).collect();
    all.sort();
    all.dedup();
    all.into_iter().filter(|key| had.get(*key) != has.get(*key)).cloned().collect()
}

fn resized(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let class = text(old, "/status/qosClass");
    let class = if class.is_empty() { quality(old) } else { class };
    if class != quality(new) {
        let why = "Pod QOS Class may not change as a result of resizing";
        causes.push(Cause::invalid("spec", &text(new, "/status/qosClass").into(), why));
    }
    if !node_resizes(old) {
        let why = "Pod running on node without support for resize";
        causes.push(Cause::forbidden("spec", why));
    }
    let of_pod = |pod: &Value| {
        ["requests", "limits"].iter().any(|kind| {
            pod["spec"]["resources"][kind].as_object().is_some_and(|all| !all.is_empty())
        })
    };
    if of_pod(old) || of_pod(new) {
        removed(&new["spec"]["resources"], &old["spec"]["resources"], "spec.resources", causes);
    }
    if !is_same_row(new, old) {
        return moved(new, old, causes);
    }
    for field in ["initContainers", "containers"] {
        let path = format!("/spec/{field}");
        for (at, (now, had)) in list(new, &path).iter().zip(list(old, &path)).enumerate() {
            let place = format!("spec.{field}[{at}]");
            removed(&now["resources"], &had["resources"], &format!("{place}.resources"), causes);
            if settled(now, had) == *had {
                continue;
            }
            if field == "containers" {
                causes.push(Cause::forbidden("spec", "only cpu and memory resources are mutable"));
            } else {
                let why =
                    "only cpu and memory resources for init or sidecar containers are mutable";
                causes.push(Cause::forbidden(place, why));
            }
        }
    }
}

/// A node says what its containers have before anything of it can be changed.
fn node_resizes(pod: &Value) -> bool {
    let running = list(pod, "/status/containerStatuses")
        .iter()
        .find(|status| status["state"]["running"].is_object());
    running.is_none_or(|status| status["resources"].is_object())
}

fn moved(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in ["containers", "initContainers"] {
        let (now, had) = (names(new, field), names(old, field));
        if now.len() != had.len() {
            let why = format!("{field} may not be added or removed on resize");
            causes.push(Cause::forbidden(format!("spec.{field}"), &why));
            continue;
        }
        for at in (0..had.len()).filter(|at| now.get(*at) != had.get(*at)) {
            let why = format!("{field} may not be renamed or reordered on resize");
            causes.push(Cause::forbidden(format!("spec.{field}[{at}].name"), &why));
        }
    }
}

fn removed(now: &Value, had: &Value, path: &str, causes: &mut Vec<Cause>) {
    for kind in ["requests", "limits"] {
        let before = had[kind].as_object().into_iter().flatten();
        if before.into_iter().any(|(name, _)| now[kind].get(name).is_none()) {
            let why = format!("resource {kind} cannot be removed");
            causes.push(Cause::forbidden(format!("{path}.{kind}"), &why));
        }
    }
}

/// A container with as much of processor and memory as before, and with its way to be resized, which may change.
fn settled(now: &Value, had: &Value) -> Value {
    let mut container = now.as_object().cloned().unwrap_or_default();
    match had.get("resizePolicy") {
        Some(own) => container.insert("resizePolicy".to_owned(), own.clone()),
        None => container.shift_remove("resizePolicy"),
    };
    let resources = map_mut(&mut container, "resources");
    for kind in ["requests", "limits"] {
        let mut all: Map<String, Value> =
            resources.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
        for name in ["cpu", "memory"] {
            match had["resources"][kind].get(name) {
                Some(own) => all.insert(name.to_owned(), own.clone()),
                None => all.shift_remove(name),
            };
        }
        if all.is_empty() {
            resources.shift_remove(kind);
        } else {
            resources.insert(kind.to_owned(), all.into());
        }
    }
    Value::Object(container)
}

/// What only a new pod may not have.
pub(super) fn check_new(pod: &Value, causes: &mut Vec<Cause>) {
    // They come by a path of their own.
    if !list(pod, "/spec/ephemeralContainers").is_empty() {
        causes.push(Cause::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "p"},
            "spec": {
                "containers": [
                    {"name": "a", "image": "i", "resources": {"requests": {"cpu": "1", "x.io/y": "1"}, "limits": {"x.io/y": "1"}}},
                    {"name": "b", "image": "i", "resources": {}},
                ],
                "ephemeralContainers": [{"name": "e", "image": "i"}],
            },
            "status": {"qosClass": "Burstable"},
        })
    }

    fn told(sub: Subresource, change: impl FnOnce(&mut Value)) -> String {
        let old = pod();
        let mut new = pod();
        change(&mut new);
        keep(sub, &mut new, &old);
        let mut causes = Vec::new();
        check(sub, &new, &old, &mut causes);
        causes
            .iter()
            .fold(String::new(), |told, one| told + &format!("{}: {}\n", one.field, one.message))
    }

    #[test]
    fn a_path_changes_its_part_alone() {
        let old = pod();
        let mut new = pod();
        new["spec"]["containers"][0]["image"] = "other".into();
        new["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2".into();
        new["spec"]["ephemeralContainers"] =
            json!([{"name": "e", "image": "i"}, {"name": "f", "image": "j"}]);
        let mut added = new.clone();
        keep(Subresource::EphemeralContainers, &mut added, &old);
        let mut want = old.clone();
        want["spec"]["ephemeralContainers"] = new["spec"]["ephemeralContainers"].clone();
        assert_eq!(added, want);
        let mut resized = new.clone();
        keep(Subresource::Resize, &mut resized, &old);
        let mut want = old.clone();
        want["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2".into();
        assert_eq!(resized, want);
    }

    #[test]
    fn containers_that_were_added_stay() {
        let added = Subresource::EphemeralContainers;
        expect![[r#""#]].assert_eq(&told(added, |pod| {
            pod["spec"]["ephemeralContainers"] =
                json!([{"name": "f", "image": "j"}, {"name": "e", "image": "i"}]);
        }));
        expect![[r#"
            spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be removed

        "#]]
        .assert_eq(&told(added, |pod| pod["spec"]["ephemeralContainers"] = json!([])));
        expect![[r#"
            spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be changed
            image
        "#]]
        .assert_eq(&told(added, |pod| {
            pod["spec"]["ephemeralContainers"][0]["image"] = "other".into();
        }));
    }

    #[test]
    fn processor_and_memory_are_resized_and_nothing_else() {
        let resize = Subresource::Resize;
        expect![[r#""#]].assert_eq(&told(resize, |pod| {
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2".into();
            pod["spec"]["containers"][1]["resources"] = json!({"requests": {"memory": "1Gi"}});
            pod["spec"]["containers"][1]["resizePolicy"] =
                json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]);
        }));
        expect![[r#"
            spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed
            spec: Forbidden: only cpu and memory resources are mutable
        "#]]
        .assert_eq(&told(resize, |pod| {
            pod["spec"]["containers"][0]["resources"] =
                json!({"requests": {"cpu": "1", "x.io/y": "2"}});
        }));
        expect![[r#"
            spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing
            spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed
            spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed
            spec: Forbidden: only cpu and memory resources are mutable
        "#]]
        .assert_eq(&told(resize, |pod| pod["spec"]["containers"][0]["resources"] = json!({})));
        expect![[r#"
            spec.containers: Forbidden: containers may not be added or removed on resize
        "#]]
        .assert_eq(&told(resize, |pod| {
            pod["spec"]["containers"] = json!([pod["spec"]["containers"][0]]);
        }));
        expect![[r#"
            spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize
            spec.containers[1].name: Forbidden: containers may not be renamed or reordered on resize
        "#]]
        .assert_eq(&told(resize, |pod| {
            pod["spec"]["containers"].as_array_mut().unwrap().reverse();
        }));
    }

    #[test]
    fn a_pod_that_runs_where_nobody_resizes_is_not_resized() {
        let mut old = pod();
        old["status"]["containerStatuses"] = json!([{"name": "a", "state": {"running": {}}}]);
        let mut causes = Vec::new();
        check(Subresource::Resize, &old, &old, &mut causes);
        assert_eq!(
            causes.iter().map(|one| &*one.message).collect::<Vec<_>>(),
            ["Forbidden: Pod running on node without support for resize"]
        );
    }
}
