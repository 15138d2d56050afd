//! The restricted level: what is known to harden a pod, at some cost to what runs in it.

use super::baseline::{added, masked_proc_mount, seccomp_values};
use super::{Check, Finding, Pod, has_own_users, named, plural, quoted, setters, those};
use crate::object::{list, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// In the order of their names, as upstream reports them.
pub(super) const CHECKS: &[(&str, Check)] = &[
    ("allowPrivilegeEscalation", privilege_escalation),
    ("capabilities_restricted", capabilities),
    ("procMount_restricted", proc_mount),
    ("restrictedVolumes", volumes),
    ("runAsNonRoot", non_root),
    ("runAsUser", user),
    ("seccompProfile_restricted", seccomp),
];

/// Checks of the baseline that those here are a stricter form of, since which version.
pub(super) const REPLACES: [(&str, u32); 4] = [
    ("hostPathVolumes", 0),
    ("seccompProfile_baseline", 19),
    ("capabilities_baseline", 22),
    ("procMount", 35),
];

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// Other kinds of volumes, as upstream names them in its message.
const OTHER_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

/// Windows has nothing of the kind.
fn is_windows(pod: Pod<'_>) -> bool {
    25 <= pod.minor && text(pod.spec, "/os/name") == "windows"
}

fn privilege_escalation(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 8 || is_windows(pod) {
        return None;
    }
    let names = those(pod, |one| one["securityContext"]["allowPrivilegeEscalation"] != false);
    (!names.is_empty()).then(|| {
        let who = named("container", &names);
        let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
        Finding::new("allowPrivilegeEscalation != false", detail)
    })
}

fn capabilities(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 22 || is_windows(pod) {
        return None;
    }
    let keeps = those(pod, |one| {
        !list(one, "/securityContext/capabilities/drop").iter().any(|name| name == "ALL")
    });
    let (adds, bad) = added(pod, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !keeps.is_empty() {
        let who = named("container", &keeps);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adds.is_empty() {
        let who = named("container", &adds);
        details.push(format!(
            "{who} must not include {} in securityContext.capabilities.add",
            quoted(&bad)
        ));
    }
    (!details.is_empty()).then(|| Finding::new("unrestricted capabilities", details.join("; ")))
}

fn proc_mount(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 35 { None } else { masked_proc_mount(pod) }
}

fn volumes(pod: Pod<'_>) -> Option<Finding> {
    let has = |volume: &Value, kinds: &[&'static str]| {
        kinds.iter().find(|kind| volume.get(**kind).is_some()).copied()
    };
    let all = list(pod.spec, "/volumes").iter();
    let bad: Vec<&Value> = all.filter(|volume| has(volume, &VOLUMES).is_none()).collect();
    let kinds: BTreeSet<&str> =
        bad.iter().map(|volume| has(volume, &OTHER_VOLUMES).unwrap_or("unknown")).collect();
    (!bad.is_empty()).then(|| {
        let names: Vec<&str> = bad.iter().map(|volume| text(volume, "/name")).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let word = plural("restricted volume type", kinds.len());
        let detail = format!("{} {verb} {word} {}", named("volume", &names), quoted(&kinds));
        Finding::new("restricted volume types", detail)
    })
}

fn non_root(pod: Pod<'_>) -> Option<Finding> {
    const REASON: &str = "runAsNonRoot != true";
    if has_own_users(pod) {
        return None;
    }
    let of = |of: &Value| of["securityContext"]["runAsNonRoot"].as_bool();
    let who = setters(of(pod.spec) == Some(false), &those(pod, |one| of(one) == Some(false)));
    if !who.is_empty() {
        let detail = format!("{who} must not set securityContext.runAsNonRoot=false");
        return Some(Finding::new(REASON, detail));
    }
    let silent = those(pod, |one| of(one).is_none());
    (of(pod.spec) != Some(true) && !silent.is_empty()).then(|| {
        let who = named("container", &silent);
        Finding::new(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
    })
}

fn user(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 23 || has_own_users(pod) {
        return None;
    }
    let is_root = |of: &Value| of["securityContext"]["runAsUser"].as_i64() == Some(0);
    let who = setters(is_root(pod.spec), &those(pod, is_root));
    (!who.is_empty())
        .then(|| Finding::new("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

fn seccomp(pod: Pod<'_>) -> Option<Finding> {
    if pod.minor < 19 || is_windows(pod) {
        return None;
    }
    if let Some(finding) = seccomp_values(pod) {
        return Some(finding);
    }
    let set = |of: &Value| of["securityContext"].get("seccompProfile").is_some();
    let silent = those(pod, |one| !set(one));
    (!set(pod.spec) && !silent.is_empty()).then(|| {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named("container", &silent)
        );
        Finding::new("seccompProfile", detail)
    })
}
