//! Pod security standards: what pods of a namespace may, by the labels of the namespace.

mod baseline;
mod restricted;

use super::Request;
use crate::object::{list, meta, text};
use crate::observe::audit::note;
use crate::part::Keep;
use crate::status::{Cause, Status};
use serde_json::Value;
use std::collections::BTreeMap;

const PREFIX: &str = "pod-security.kubernetes.io/";
/// Pods of a namespace that are looked at when its level becomes stricter (upstream's number).
const PODS_MAX: usize = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level in the reading of a version of Kubernetes; none is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    level: Level,
    minor: Option<u32>,
}

/// What a namespace's labels say.
#[derive(Debug)]
struct Policies {
    enforce: Policy,
    audit: Policy,
    warn: Policy,
    wrong: Vec<Cause>,
}

/// What a check found: the reason in short, and who gives it.
#[derive(Debug)]
struct Finding {
    reason: String,
    detail: String,
}

impl Finding {
    fn new(reason: &str, detail: String) -> Self {
        Self { reason: reason.to_owned(), detail }
    }
}

/// A pod, or what pods will be made of.
#[derive(Clone, Copy, Debug)]
struct Pod<'a> {
    metadata: &'a Value,
    spec: &'a Value,
    minor: u32,
}

type Check = fn(Pod<'_>) -> Option<Finding>;

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.minor {
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.word()),
            None => write!(f, "{}:latest", self.level.word()),
        }
    }
}

impl Policy {
    fn findings(self, metadata: &Value, spec: &Value) -> Vec<Finding> {
        let pod = Pod { metadata, spec, minor: self.minor.unwrap_or(u32::MAX) };
        let restricted = self.level == Level::Restricted;
        // A stricter form of a check takes the place of the one that it is a form of.
        let replaced = |id: &str| {
            restricted
                && restricted::REPLACES.iter().any(|(own, since)| *own == id && *since <= pod.minor)
        };
        let first = baseline::CHECKS.iter().filter(|(id, _)| !replaced(id));
        let second = restricted::CHECKS.iter().filter(|_| restricted);
        if self.level == Level::Privileged {
            return Vec::new();
        }
        first.chain(second).filter_map(|(_, check)| check(pod)).collect()
    }
}

/// A sentence for all findings: `host namespaces (hostNetwork=true), privileged (...)`.
fn details(findings: &[Finding]) -> String {
    let one = |finding: &Finding| format!("{} ({})", finding.reason, finding.detail);
    findings.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Policies {
    fn of(namespace: &Value) -> Self {
        let labels = &namespace["metadata"]["labels"];
        let mut wrong = Vec::new();
        let mut read = |mode: &str, on_error: Level| {
            let mut policy = Policy { level: Level::Privileged, minor: None };
            let mut bad = |label: String, value: &str, why: &str| {
                let field = format!("metadata.labels[{label}]");
                wrong.push(Cause::invalid(field, &value.into(), why));
            };
            let label = format!("{PREFIX}{mode}");
            let value = labels[&label].as_str();
            policy.level = match value {
                None | Some("privileged") => Level::Privileged,
                Some("baseline") => Level::Baseline,
                Some("restricted") => Level::Restricted,
                Some(other) => {
                    bad(label, other, "must be one of privileged, baseline, restricted");
                    on_error
                }
            };
            let label = format!("{PREFIX}{mode}-version");
            let version = labels[&label].as_str();
            if let Some(version) = version.filter(|version| *version != "latest") {
                let digits = version.strip_prefix("v1.").filter(|digits| {
                    !digits.is_empty() && (*digits == "0" || !digits.starts_with('0'))
                });
                match digits.and_then(|digits| digits.parse().ok()) {
                    Some(minor) => policy.minor = Some(minor),
                    None => bad(label, version, "must be \"latest\" or \"v1.x\""),
                }
            }
            (policy, value.is_some(), version.is_some())
        };
        let (enforce, ..) = read("enforce", Level::Restricted);
        let (audit, ..) = read("audit", Level::Privileged);
        let (mut warn, warns, warns_version) = read("warn", Level::Privileged);
        let understood = wrong.iter().all(|cause| !cause.field.ends_with("/enforce]"));
        // Who enforces and does not speak of warnings is warned of what controllers would run into.
        if !warns && understood && warn.level < enforce.level {
            warn.level = enforce.level;
            if !warns_version {
                warn.minor = enforce.minor;
            }
        }
        Self { enforce, audit, warn, wrong }
    }
}

/// What is read of a namespace.
static KEEP: Keep = Keep::Fields(&[("metadata", Keep::Fields(&[("labels", Keep::All)]))]);

/// Checks a pod, or warns of a template whose pods would be refused.
pub(super) fn admit(
    request: Request<'_>,
    old: Option<&Value>,
    new: &Value,
) -> Result<Vec<String>, Status> {
    if request.kind.is("", "Namespace") {
        return namespace(request, old, new);
    }
    let Some((metadata, spec)) = pod_of(request, new) else { return Ok(Vec::new()) };
    let is_pod = request.kind.is("", "Pod");
    if is_pod && old.is_some_and(|old| !is_significant(old, new)) {
        return Ok(Vec::new());
    }
    let namespace = request.lookup.parts("namespaces", None, request.namespace, &KEEP);
    let Some(namespace) = namespace else { return Ok(Vec::new()) };
    let policies = Policies::of(&namespace);
    if is_pod {
        note(&format!("{PREFIX}enforce-policy"), policies.enforce.to_string());
        let findings = policies.enforce.findings(metadata, spec);
        if !findings.is_empty() {
            let policy = policies.enforce.to_string();
            let why = format!("violates PodSecurity {policy:?}: {}", details(&findings));
            return Err(request.forbidden(new, &why));
        }
    }
    let findings = policies.audit.findings(metadata, spec);
    if !findings.is_empty() {
        let policy = policies.audit.to_string();
        let why = format!("would violate PodSecurity {policy:?}: {}", details(&findings));
        note(&format!("{PREFIX}audit-violations"), why);
    }
    let findings = policies.warn.findings(metadata, spec);
    if findings.is_empty() {
        return Ok(Vec::new());
    }
    let policy = policies.warn.to_string();
    Ok(vec![format!("would violate PodSecurity {policy:?}: {}", details(&findings))])
}

/// Metadata and spec of a pod, or of the template of a kind that makes pods.
fn pod_of<'a>(request: Request<'_>, object: &'a Value) -> Option<(&'a Value, &'a Value)> {
    let template = match (request.kind.group.as_str(), request.kind.kind.as_str()) {
        ("", "Pod") => return Some((&object["metadata"], &object["spec"])),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => object.pointer("/spec/template"),
        ("batch", "CronJob") => object.pointer("/spec/jobTemplate/spec/template"),
        ("", "PodTemplate") => object.get("template"),
        _ => None,
    }?;
    Some((&template["metadata"], &template["spec"]))
}

/// Whether a change of a pod can break a rule that it kept: of what can be changed, images and added containers.
fn is_significant(old: &Value, new: &Value) -> bool {
    ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"].iter().any(|field| {
        let (old, new) = (list(old, field), list(new, field));
        let rest = |container: &Value| {
            (
                container["name"].clone(),
                container["image"].clone(),
                container["securityContext"].clone(),
            )
        };
        old.len() != new.len() || old.iter().map(rest).ne(new.iter().map(rest))
    })
}

/// Labels of a namespace must mean something; a stricter level warns of the pods that are there.
fn namespace(
    request: Request<'_>,
    old: Option<&Value>,
    new: &Value,
) -> Result<Vec<String>, Status> {
    let policies = Policies::of(new);
    let before = old.map(Policies::of);
    if !policies.wrong.is_empty()
        && before.as_ref().is_none_or(|before| before.wrong != policies.wrong)
    {
        return Err(Status::invalid(request.kind.about_kind(), meta(new, "name"), &policies.wrong));
    }
    let enforce = policies.enforce;
    let Some(before) = before.map(|before| before.enforce) else { return Ok(Vec::new()) };
    let relaxed = enforce.minor == before.minor && enforce.level <= before.level;
    if enforce.level == Level::Privileged || relaxed {
        return Ok(Vec::new());
    }
    Ok(existing(request, meta(new, "name"), enforce))
}

fn existing(request: Request<'_>, namespace: &str, enforce: Policy) -> Vec<String> {
    let pods = request.lookup.list("pods", Some(namespace));
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pod in pods.iter().take(PODS_MAX) {
        let findings = enforce.findings(&pod["metadata"], &pod["spec"]);
        if !findings.is_empty() {
            let reasons: Vec<&str> =
                findings.iter().map(|finding| finding.reason.as_str()).collect();
            by_reason.entry(reasons.join(", ")).or_default().push(meta(pod, "name"));
        }
    }
    let mut warnings = Vec::new();
    if PODS_MAX < pods.len() {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {PODS_MAX} of {} existing pods",
            pods.len()
        ));
    }
    if !by_reason.is_empty() {
        let policy = enforce.to_string();
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {policy:?}"
        ));
    }
    let mut lines: Vec<String> = by_reason
        .iter()
        .map(|(reason, names)| {
            let first = names.iter().min().copied().unwrap_or_default();
            match names.len() {
                1 => format!("{first}: {reason}"),
                2 => format!("{first} (and 1 other pod): {reason}"),
                n => format!("{first} (and {} other pods): {reason}", n - 1),
            }
        })
        .collect();
    lines.sort();
    warnings.extend(lines);
    warnings
}

/// All containers of a pod, init containers first, as upstream visits them.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["/initContainers", "/containers", "/ephemeralContainers"]
        .into_iter()
        .flat_map(|field| list(spec, field))
}

/// Names of the containers for which something holds.
fn those<'a>(pod: Pod<'a>, test: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
    containers(pod.spec).filter(|one| test(one)).map(|one| text(one, "/name")).collect()
}

/// `container "a"`, `containers "a", "b"`.
fn named(word: &str, names: &[&str]) -> String {
    format!("{} {}", plural(word, names.len()), quoted(names))
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn quoted(all: &[&str]) -> String {
    let all: Vec<String> = all.iter().map(|one| format!("\"{one}\"")).collect();
    all.join(", ")
}

/// `pod`, `container "a"`, or both.
fn setters(pod_does: bool, containers: &[&str]) -> String {
    let mut who = Vec::new();
    if pod_does {
        who.push("pod".to_owned());
    }
    if !containers.is_empty() {
        who.push(named("container", containers));
    }
    who.join(" and ")
}

/// Whether a pod's users are not the host's, so that its root is nobody there.
fn has_own_users(pod: Pod<'_>) -> bool {
    35 <= pod.minor && pod.spec["hostUsers"] == false
}
