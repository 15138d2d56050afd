//! Pods, and the kinds that carry a pod template.

use super::{NULL, meta};
use crate::diagnostic::{Diagnostic, codes};
use crate::inventory::{NamedPort, Phase, Pod, PodKind};
use crate::read::{Reader, Step};
use crate::validate;
use crate::value::{Data, Value};
use moat_sets::{Family, Protocol};
use std::net::IpAddr;
use std::sync::Arc;

const POD_SPEC: &[&str] = &[
    "volumes",
    "initContainers",
    "containers",
    "ephemeralContainers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "dnsPolicy",
    "nodeSelector",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "nodeName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "securityContext",
    "imagePullSecrets",
    "hostname",
    "subdomain",
    "affinity",
    "schedulerName",
    "tolerations",
    "hostAliases",
    "priorityClassName",
    "priority",
    "dnsConfig",
    "readinessGates",
    "runtimeClassName",
    "enableServiceLinks",
    "preemptionPolicy",
    "overhead",
    "topologySpreadConstraints",
    "setHostnameAsFQDN",
    "os",
    "hostUsers",
    "schedulingGates",
    "resourceClaims",
    "resources",
    "hostnameOverride",
    "workloadRef",
];

const CONTAINER: &[&str] = &[
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "ports",
    "envFrom",
    "env",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "volumeMounts",
    "volumeDevices",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "targetContainerName",
];

/// The path from a workload to its pod template.
pub(super) fn template_path(kind: &str) -> &'static [&'static str] {
    match kind {
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        _ => &["spec", "template"],
    }
}

/// What all pod readers need to know of the object.
pub(super) struct Identity {
    pub(super) namespace: Arc<str>,
    pub(super) kind: PodKind,
    pub(super) name: Arc<str>,
}

/// Reads a Pod.
pub(super) fn pod<'v>(reader: &mut Reader<'v, '_>, value: &'v Value, identity: Identity) -> Pod {
    reader.known(value, &["apiVersion", "kind", "metadata", "spec", "status"]);
    let meta = meta::read(reader, value);
    let span = reader.span(value);
    let spec = value.get("spec").unwrap_or(&NULL);
    let mut pod = pod_spec(reader, spec, identity, &["spec"]);
    pod.span = span;
    pod.labels = meta.labels;
    pod.owner = meta.owner;
    let status = value.get("status").unwrap_or(&NULL);
    pod.addresses = addresses(reader, status, pod.host_network);
    //# PodSucceeded / PodFailed: "all containers in the pod have terminated"
    if let Some("Succeeded" | "Failed") = status.get("phase").unwrap_or(&NULL).as_str() {
        pod.phase = Phase::Finished;
    }
    pod
}

/// Reads a workload as the class of pods its template would make. `None` when there is no template.
pub(super) fn workload<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    api_kind: &str,
    identity: Identity,
) -> Option<Pod> {
    let own = meta::read(reader, value);
    let path = template_path(api_kind);
    let template = value.at(path).filter(|template| matches!(template.data, Data::Map(_)))?;
    let span = reader.span(value);
    let mut pod = with_path(reader, path, |reader| {
        reader.known(template, &["metadata", "spec"]);
        let meta = meta::read(reader, template);
        let spec = template.get("spec").unwrap_or(&NULL);
        let mut pod = pod_spec(reader, spec, identity, &["spec"]);
        pod.labels = meta.labels;
        pod
    });
    pod.span = span;
    pod.owner = own.owner;
    let replicas = value.at(&["spec", "replicas"]).and_then(Value::as_int).unwrap_or(1);
    pod.replicas = u32::try_from(replicas.max(0)).unwrap_or(u32::MAX);
    if api_kind == "DaemonSet" {
        // One per node; how many nodes there are is not known here.
        pod.replicas = 2;
    }
    Some(pod)
}

fn with_path<'v, 'd, T>(
    reader: &mut Reader<'v, 'd>,
    path: &[&'static str],
    read: impl FnOnce(&mut Reader<'v, 'd>) -> T,
) -> T {
    match path.split_first() {
        None => read(reader),
        Some((first, rest)) => {
            reader.step(Step::Key(first), |reader| with_path(reader, rest, read))
        }
    }
}

fn pod_spec<'v>(
    reader: &mut Reader<'v, '_>,
    spec: &'v Value,
    identity: Identity,
    path: &[&'static str],
) -> Pod {
    with_path(reader, path, |reader| {
        reader.known(spec, POD_SPEC);
        let mut ports = Vec::new();
        reader.field(spec, "containers", |reader, list| {
            reader.each(list, |reader, container| {
                container_ports(reader, container, false, &mut ports);
            });
        });
        reader.field(spec, "initContainers", |reader, list| {
            reader.each(list, |reader, container| {
                container_ports(reader, container, true, &mut ports);
            });
        });
        Pod {
            namespace: identity.namespace,
            kind: identity.kind,
            name: identity.name,
            span: reader.span(spec),
            labels: moat_sets::Labels::default(),
            node: reader
                .string_field(spec, "nodeName")
                .filter(|node| !node.is_empty())
                .map(Into::into),
            host_network: reader.bool_field(spec, "hostNetwork").unwrap_or(false),
            addresses: Vec::new(),
            ports,
            phase: Phase::Active,
            owner: None,
            replicas: 1,
        }
    })
}

fn container_ports<'v>(
    reader: &mut Reader<'v, '_>,
    container: &'v Value,
    init: bool,
    ports: &mut Vec<NamedPort>,
) {
    reader.known(container, CONTAINER);
    //# "restartPolicy ... Always ... the init container will be continually restarted": a native sidecar, whose ports serve.
    let sidecar = container.get("restartPolicy").unwrap_or(&NULL).as_str() == Some("Always");
    if init && !sidecar {
        return;
    }
    reader.field(container, "ports", |reader, list| {
        reader.each(list, |reader, item| {
            reader.known(item, &["name", "hostPort", "containerPort", "protocol", "hostIP"]);
            let number = reader.int_field(item, "containerPort").unwrap_or(0);
            if let Some(reason) = validate::port_number(number) {
                reader.invalid_field(item, "containerPort", format!("Invalid value: {number}: {reason}"));
                return;
            }
            let name = reader.string_field(item, "name").filter(|name| !name.is_empty());
            if let Some(reason) = name.and_then(|name| validate::port_name(name).next()) {
                reader.invalid_field(item, "name", format!("Invalid value: \"{}\": {reason}", name.unwrap_or_default()));
            }
            let protocol = match reader.string_field(item, "protocol") {
                None => Protocol::Tcp,
                Some(text) => match Protocol::WITH_PORTS.into_iter().find(|protocol| protocol.name() == text) {
                    Some(protocol) => protocol,
                    None => {
                        let message = format!("Unsupported value: \"{text}\": supported values: \"SCTP\", \"TCP\", \"UDP\"");
                        reader.invalid_field(item, "protocol", message);
                        return;
                    }
                },
            };
            ports.push(NamedPort { name: name.map(Into::into), protocol, number: u16::try_from(number).unwrap_or(0) });
        });
    });
}

/// The pod's addresses, at most one per family: its own, or its node's for a hostNetwork pod.
fn addresses<'v>(
    reader: &mut Reader<'v, '_>,
    status: &'v Value,
    host_network: bool,
) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let fields: &[(&str, &str)] = if host_network {
        &[("hostIPs", "hostIP"), ("podIPs", "podIP")]
    } else {
        &[("podIPs", "podIP")]
    };
    reader.step(Step::Key("status"), |reader| {
        for &(list, single) in fields {
            let items = status.get(list).unwrap_or(&NULL).items().iter();
            let items = items.filter_map(|item| item.get("ip")).map(|value| (list, value));
            for (key, value) in items.chain(status.get(single).map(|value| (single, value))) {
                let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { continue };
                match text.parse::<IpAddr>() {
                    Ok(address)
                        if found.iter().all(|have| Family::of(*have) != Family::of(address)) =>
                    {
                        found.push(address);
                    }
                    Ok(_) => {}
                    Err(_) => {
                        let span = reader.span(value);
                        let finding = Diagnostic::error(
                            codes::INVALID,
                            span,
                            format!("Invalid value: \"{text}\": must be a valid IP address"),
                        )
                        .effect("the pod's address counts as unknown");
                        reader.step(Step::Key(key), |reader| reader.push(finding));
                    }
                }
            }
        }
    });
    found.sort_unstable();
    found
}
