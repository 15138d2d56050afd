//! The baseline: nothing by which a pod is known to get at the host.

use super::{
    Check, Finding, Pod, containers, has_own_users, named, plural, quoted, setters, those,
};
use crate::object::{at, list, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// In the order of their names, as upstream reports them.
pub(super) const CHECKS: &[(&str, Check)] = &[
    ("appArmorProfile", app_armor),
    ("capabilities_baseline", capabilities),
    ("hostNamespaces", host_namespaces),
    ("hostPathVolumes", host_paths),
    ("hostPorts", host_ports),
    ("hostProbesAndHostLifecycle", host_probes),
    ("privileged", privileged),
    ("procMount", proc_mount),
    ("seLinuxOptions", se_linux),
    ("seccompProfile_baseline", seccomp),
    ("sysctls", sysctls),
    ("windowsHostProcess", windows_host_process),
];

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel settings that are a pod's own, each with the version since which it may be set.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// A field of a container's or the pod's security context, if it is a text.
fn context<'a>(of: &'a Value, pointer: &str) -> Option<&'a str> {
    at(&of["securityContext"], pointer).and_then(Value::as_str)
}

/// Who sets a field of the security context to something that is not allowed: whether the pod does, which containers do, and to what.
pub(super) fn bad_values<'a>(
    pod: Pod<'a>,
    pointer: &str,
    good: &[&str],
) -> (bool, Vec<&'a str>, BTreeSet<&'a str>) {
    let bad = |of: &'a Value| context(of, pointer).filter(|value| !good.contains(value));
    let own = bad(pod.spec);
    let mut values: BTreeSet<&str> = own.into_iter().collect();
    values.extend(containers(pod.spec).filter_map(bad));
    (own.is_some(), those(pod, |one| bad(one).is_some()), values)
}

fn app_armor(pod: Pod<'_>) -> Option<Finding> {
    let (own, names, values) =
        bad_values(pod, "/appArmorProfile/type", &["RuntimeDefault", "Localhost"]);
    let annotations: Vec<String> = pod.metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let value = value.as_str().unwrap_or_default();
            let fine =
                value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
            let meant = key.starts_with("container.apparmor.security.beta.kubernetes.io/");
            (meant && !fine).then(|| format!("{key}={value:?}"))
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut all: Vec<&str> = values.into_iter().collect();
    all.extend(annotations.iter().map(String::as_str));
    let mut who = setters(own, &names);
    if !annotations.is_empty() {
        let word = plural("annotation", annotations.len());
        who = if who.is_empty() { word } else { format!("{who} and {word}") };
    }
    (!who.is_empty()).then(|| Finding {
        reason: plural("forbidden AppArmor profile", all.len()),
        detail: format!("{who} must not set AppArmor profile type to {}", quoted(&all)),
    })
}

/// Containers that add capabilities beyond those that are allowed, and which.
pub(super) fn added<'a>(pod: Pod<'a>, allowed: &[&str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let bad = |one: &'a Value| {
        let added = list(one, "/securityContext/capabilities/add").iter();
        added.filter_map(Value::as_str).filter(|name| !allowed.contains(name))
    };
    let names = those(pod, |one| bad(one).next().is_some());
    let capabilities: BTreeSet<&str> = containers(pod.spec).flat_map(bad).collect();
    (names, capabilities.into_iter().collect())
}

fn capabilities(pod: Pod<'_>) -> Option<Finding> {
    let (names, bad) = added(pod, &CAPABILITIES);
    (!names.is_empty()).then(|| {
        let who = named("container", &names);
        let detail =
            format!("{who} must not include {} in securityContext.capabilities.add", quoted(&bad));
        Finding::new("non-default capabilities", detail)
    })
}

fn host_namespaces(pod: Pod<'_>) -> Option<Finding> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| pod.spec[**field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    (!set.is_empty()).then(|| Finding::new("host namespaces", set.join(", ")))
}

fn host_paths(pod: Pod<'_>) -> Option<Finding> {
    let volumes = list(pod.spec, "/volumes").iter();
    let bad: Vec<&str> = volumes
        .filter(|volume| volume.get("hostPath").is_some())
        .map(|volume| text(volume, "/name"))
        .collect();
    (!bad.is_empty()).then(|| Finding::new("hostPath volumes", named("volume", &bad)))
}

fn host_ports(pod: Pod<'_>) -> Option<Finding> {
    let ports = |one| {
        let ports = list(one, "/ports").iter();
        ports.filter_map(|port| port["hostPort"].as_i64()).filter(|port| *port != 0)
    };
    let names = those(pod, |one| ports(one).next().is_some());
    let bad: BTreeSet<String> =
        containers(pod.spec).flat_map(ports).map(|port| port.to_string()).collect();
    (!names.is_empty()).then(|| {
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let word = plural("hostPort", bad.len());
        let bad: Vec<String> = bad.into_iter().collect();
        let detail = format!("{} {verb} {word} {}", named("container", &names), bad.join(", "));
        Finding::new("hostPort", detail)
    })
}

fn host_probes(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 34 {
        return None;
    }
    let hosts = |one: &'_ Value| -> Vec<String> {
        let places = [
            "/livenessProbe",
            "/readinessProbe",
            "/startupProbe",
            "/lifecycle/postStart",
            "/lifecycle/preStop",
        ];
        let both = places
            .iter()
            .flat_map(|place| [format!("{place}/httpGet/host"), format!("{place}/tcpSocket/host")]);
        both.map(|at| text(one, &at).to_owned()).filter(|host| !host.is_empty()).collect()
    };
    let names: BTreeSet<&str> = those(pod, |one| !hosts(one).is_empty()).into_iter().collect();
    let bad: BTreeSet<String> = containers(pod.spec).flat_map(hosts).collect();
    (!names.is_empty()).then(|| {
        let (names, bad): (Vec<&str>, Vec<&str>) =
            (names.into_iter().collect(), bad.iter().map(String::as_str).collect());
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let word = plural("probe or lifecycle host", bad.len());
        let detail = format!("{} {verb} {word} {}", named("container", &names), quoted(&bad));
        Finding::new("probe or lifecycle host", detail)
    })
}

fn privileged(pod: Pod<'_>) -> Option<Finding> {
    let names = those(pod, |one| one["securityContext"]["privileged"] == true);
    (!names.is_empty()).then(|| {
        let who = named("container", &names);
        Finding::new("privileged", format!("{who} must not set securityContext.privileged=true"))
    })
}

fn proc_mount(pod: Pod<'_>) -> Option<Finding> {
    if has_own_users(pod) { None } else { masked_proc_mount(pod) }
}

/// Also a check of the restricted level, which makes no exception.
pub(super) fn masked_proc_mount(pod: Pod<'_>) -> Option<Finding> {
    let bad = |one| context(one, "/procMount").filter(|value| *value != "Default");
    let names = those(pod, |one| bad(one).is_some());
    let values: BTreeSet<&str> = containers(pod.spec).filter_map(bad).collect();
    (!names.is_empty()).then(|| {
        let values: Vec<&str> = values.into_iter().collect();
        let who = named("container", &names);
        let detail = format!("{who} must not set securityContext.procMount to {}", quoted(&values));
        Finding::new("procMount", detail)
    })
}

fn se_linux(pod: Pod<'_>) -> Option<Finding> {
    let mut types = vec!["", "container_t", "container_init_t", "container_kvm_t"];
    if 31 <= pod.minor {
        types.push("container_engine_t");
    }
    let options = |of: &Value, field: &str| {
        context(of, &format!("/seLinuxOptions/{field}")).is_some_and(|value| !value.is_empty())
    };
    let (_, _, bad) = bad_values(pod, "/seLinuxOptions/type", &types);
    let breaks = |of: &Value| {
        context(of, "/seLinuxOptions/type").is_some_and(|value| !types.contains(&value))
            || options(of, "user")
            || options(of, "role")
    };
    let who = setters(breaks(pod.spec), &those(pod, breaks));
    let any =
        |field| options(pod.spec, field) || containers(pod.spec).any(|one| options(one, field));
    let mut what = Vec::new();
    if !bad.is_empty() {
        let bad: Vec<&str> = bad.into_iter().collect();
        what.push(named("type", &bad));
    }
    for field in ["user", "role"] {
        if any(field) {
            what.push(format!("{field} may not be set"));
        }
    }
    (!who.is_empty()).then(|| {
        let what = what.join("; ");
        let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {what}");
        Finding::new("seLinuxOptions", detail)
    })
}

fn seccomp(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 19 { seccomp_annotations(pod) } else { seccomp_values(pod) }
}

/// Profiles that are named and not allowed; the restricted level asks for one besides.
pub(super) fn seccomp_values(pod: Pod<'_>) -> Option<Finding> {
    let (own, names, values) =
        bad_values(pod, "/seccompProfile/type", &["RuntimeDefault", "Localhost"]);
    let who = setters(own, &names);
    (!who.is_empty()).then(|| {
        let values: Vec<&str> = values.into_iter().collect();
        let detail = format!(
            "{who} must not set securityContext.seccompProfile.type to {}",
            quoted(&values)
        );
        Finding::new("seccompProfile", detail)
    })
}

/// Before the field there were annotations.
fn seccomp_annotations(pod: Pod<'_>) -> Option<Finding> {
    let mut keys = vec!["seccomp.security.alpha.kubernetes.io/pod".to_owned()];
    keys.extend(containers(pod.spec).map(|one| {
        format!("container.seccomp.security.alpha.kubernetes.io/{}", text(one, "/name"))
    }));
    let bad: BTreeSet<String> = keys
        .iter()
        .filter_map(|key| {
            let value = pod.metadata["annotations"][key].as_str()?;
            let fine = matches!(value, "runtime/default" | "docker/default")
                || value.starts_with("localhost/");
            (!fine).then(|| format!("{key}={value:?}"))
        })
        .collect();
    (!bad.is_empty()).then(|| {
        let bad: Vec<String> = bad.into_iter().collect();
        let detail = format!("forbidden {} {}", plural("annotation", bad.len()), bad.join(", "));
        Finding::new("seccompProfile", detail)
    })
}

fn sysctls(pod: Pod<'_>) -> Option<Finding> {
    let allowed =
        |name: &str| SYSCTLS.iter().any(|(known, since)| *known == name && *since <= pod.minor);
    let all = list(pod.spec, "/securityContext/sysctls").iter().map(|one| text(one, "/name"));
    let bad: Vec<&str> = all.filter(|name| !allowed(name)).collect();
    (!bad.is_empty()).then(|| Finding::new("forbidden sysctls", bad.join(", ")))
}

fn windows_host_process(pod: Pod<'_>) -> Option<Finding> {
    let sets = |of: &Value| of["securityContext"]["windowsOptions"]["hostProcess"] == true;
    let who = setters(sets(pod.spec), &those(pod, sets));
    (!who.is_empty()).then(|| {
        let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
        Finding::new("hostProcess", detail)
    })
}
