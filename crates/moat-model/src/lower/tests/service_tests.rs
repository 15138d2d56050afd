//! Services, their endpoints, and the entrances that Ingress objects name.

use super::{check_finding, findings, lowered};
use crate::inventory::{Service, TargetPort};
use moat_sets::Protocol;

fn text(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: a}}, spec: {spec}}}")
}

fn service(spec: &str) -> Service {
    assert_eq!(findings(&text(spec)), [""; 0], "{spec}");
    lowered(&text(spec)).inventory.services[0].clone()
}

#[test]
fn target_ports() {
    let cases = [
        ("{port: 80}", TargetPort::Number(80)),
        ("{port: 80, targetPort: null}", TargetPort::Number(80)),
        ("{port: 80, targetPort: 0}", TargetPort::Number(80)),
        ("{port: 80, targetPort: 8080}", TargetPort::Number(8080)),
        ("{port: 80, targetPort: http}", TargetPort::Name("http".into())),
    ];
    for (port, wanted) in cases {
        let found = service(&format!("{{ports: [{port}]}}")).ports[0].clone();
        assert_eq!(
            (found.target, found.port, found.protocol),
            (wanted, 80, Protocol::Tcp),
            "{port}"
        );
    }
}

#[test]
fn refused_ports() {
    let cases = [
        ("{}", "port: Invalid value: 0: must be between 1 and 65535, inclusive", 0),
        ("{port: 65536}", "port: Invalid value: 65536", 0),
        ("{port: 80, targetPort: 65536}", "targetPort: Invalid value: 65536", 0),
        (
            "{port: 80, targetPort: [1]}",
            "targetPort: want a port number or a port name, found a list",
            0,
        ),
        ("{port: 80, protocol: ICMP}", "protocol: Unsupported value: \"ICMP\"", 0),
        // The server refuses the quotes; what is meant is plain.
        (
            "{port: 80, targetPort: \"8080\"}",
            "targetPort: Invalid value: \"8080\": must contain at least one letter",
            1,
        ),
    ];
    for (port, wanted, n_ports) in cases {
        let text = text(&format!("{{ports: [{port}]}}"));
        check_finding(&text, &format!("error spec.ports[0].{wanted}"));
        assert_eq!(lowered(&text).inventory.services[0].ports.len(), n_ports, "{port}");
    }
}

#[test]
fn kinds_of_services() {
    let plain =
        service("{selector: {app: x}, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, fd00::a]}");
    assert!(plain.selector.is_some() && !plain.headless && !plain.external);
    assert_eq!(plain.addresses.len(), 2);
    let headless = service("{selector: {app: x}, clusterIP: None}");
    assert!(headless.headless && headless.addresses.is_empty());
    for kind in ["NodePort", "LoadBalancer"] {
        let found = service(&format!(
            "{{type: {kind}, selector: {{app: x}}, ports: [{{port: 80, nodePort: 30080}}]}}"
        ));
        assert!(found.external, "{kind}");
        assert_eq!(found.ports[0].node_port, Some(30080));
    }
    let external =
        service("{type: ExternalName, externalName: db.example.com, selector: {app: x}}");
    assert_eq!(
        (external.external_name.as_deref(), external.selector),
        (Some("db.example.com"), None)
    );
    //# selector: "If empty or not present, the service is assumed to have an external process managing its endpoints"
    for spec in ["{}", "{selector: {}}", "{selector: null}"] {
        assert!(service(spec).selector.is_none(), "{spec}");
    }
}

#[test]
fn endpoints_belong_to_services_without_selector() {
    let endpoints = "{apiVersion: v1, kind: Endpoints, metadata: {name: s, namespace: a}, subsets: [{addresses: [{ip: 10.1.0.1}], ports: [{name: web, port: 80}]}]}";
    let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s-x, namespace: a, labels: {kubernetes.io/service-name: s}}, \
                 endpoints: [{addresses: [10.1.0.1]}], ports: [{name: web, port: 80, protocol: TCP}]}";
    for backend in [endpoints, slice] {
        let of = |spec: &str| {
            lowered(&format!("{}\n---\n{backend}", text(spec))).inventory.services[0]
                .endpoints
                .clone()
        };
        let found = of("{}");
        assert_eq!(found.len(), 1, "{backend}");
        assert_eq!((found[0].address.to_string().as_str(), found[0].port), ("10.1.0.1", 80));
        assert!(of("{selector: {app: x}}").is_empty(), "{backend}");
    }
}

#[test]
fn ingresses_are_entrances() {
    let lowered = lowered(
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: a}, spec: {\
         defaultBackend: {service: {name: d, port: {name: http}}}, \
         rules: [{host: example.com, http: {paths: [{path: /x, backend: {service: {name: s, port: {number: 80}}}}]}}]}}",
    );
    let found: Vec<_> = lowered
        .inventory
        .entrances
        .iter()
        .map(|way| format!("{}{} {}:{}", way.host, way.path, way.service, way.port))
        .collect();
    assert_eq!(found, ["*/ d:http", "example.com/x s:80"]);
}
