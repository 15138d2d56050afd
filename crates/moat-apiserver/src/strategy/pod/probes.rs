//! Rules of probes and of what runs when a container starts and stops.

use crate::object::{list, number, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::Value;

const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";

pub(super) fn all(container: &Value, spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let grace = number(spec, "/terminationGracePeriodSeconds");
    for hook in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][hook];
        if handler.is_object() {
            let kinds = ["exec", "httpGet", "tcpSocket", "sleep"];
            handles(handler, &kinds, grace, &format!("{path}.lifecycle.{hook}"), causes);
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let (probe, path) = (&container[field], format!("{path}.{field}"));
        if !probe.is_object() {
            continue;
        }
        handles(probe, &["exec", "httpGet", "tcpSocket", "grpc"], grace, &path, causes);
        let fields = [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ];
        check::not_negative(probe, &fields, &path, causes);
        let own = &probe["terminationGracePeriodSeconds"];
        if own.as_i64().is_some_and(|seconds| seconds <= 0) {
            let path = format!("{path}.terminationGracePeriodSeconds");
            causes.push(Cause::invalid(path, own, "must be greater than 0"));
        }
        if field == "readinessProbe" {
            if own.is_number() {
                let path = format!("{path}.terminationGracePeriodSeconds");
                causes.push(Cause::invalid(path, own, "must not be set for readinessProbes"));
            }
        } else if probe["successThreshold"] != 1 {
            let path = format!("{path}.successThreshold");
            causes.push(Cause::invalid(path, &probe["successThreshold"], "must be 1"));
        }
    }
}

/// One way to ask or to act, and only one.
fn handles(
    handler: &Value,
    kinds: &[&str],
    grace: Option<i64>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let mut count = 0;
    for kind in kinds.iter().filter(|kind| handler[**kind].is_object()) {
        let (own, path) = (&handler[kind], format!("{path}.{kind}"));
        count += 1;
        if 1 < count {
            causes.push(Cause::forbidden(path, "may not specify more than 1 handler type"));
            continue;
        }
        match *kind {
            "exec" => {
                check::required(own, "command", &path, causes);
            }
            "httpGet" => http(own, &path, causes),
            "sleep" => sleep(own, grace, &path, causes),
            _ => check::port(&own["port"], &format!("{path}.port"), causes),
        }
    }
    if count == 0 {
        causes.push(Cause::required(path, "must specify a handler type"));
    }
}

fn http(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    check::required(own, "path", path, causes);
    check::port(&own["port"], &format!("{path}.port"), causes);
    let scheme = &own["scheme"];
    if !matches!(scheme.as_str(), Some("HTTP" | "HTTPS")) {
        let known = ["HTTP", "HTTPS"];
        causes.push(Cause::not_supported(format!("{path}.scheme"), scheme, &known));
    }
    for header in list(own, "/httpHeaders") {
        let name = text(header, "/name");
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || !letters {
            causes.push(Cause::invalid(format!("{path}.httpHeaders"), &name.into(), HEADER));
        }
    }
}

fn sleep(own: &Value, grace: Option<i64>, path: &str, causes: &mut Vec<Cause>) {
    let seconds = number(own, "/seconds").unwrap_or(0);
    if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let why =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        causes.push(Cause::invalid(path, &seconds.into(), &why));
    }
}
