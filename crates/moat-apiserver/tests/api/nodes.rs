//! What nodes may: their own, and what their pods need.

use crate::common::{client, get, post, send, server};
use expect_test::expect;
use serde_json::{Value, json};

const DEFAULT: &str = "/api/v1/namespaces/default";

#[tokio::test]
async fn a_node_reads_what_its_pods_need_and_nothing_else() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let node = client(&server.kubeconfig_of("system:node:n1", Some("system:nodes")).unwrap()).await;
    let make = async |path: &str, body: Value| {
        let answer = post(&admin, path, &body).await;
        assert_eq!(answer.code, 201, "{}", answer.text);
    };
    for name in ["n1", "n2"] {
        make("/api/v1/nodes", json!({"metadata": {"name": name}})).await;
    }
    for name in ["mine", "others", "nobodys"] {
        make(&format!("{DEFAULT}/secrets"), json!({"metadata": {"name": name}})).await;
        make(&format!("{DEFAULT}/configmaps"), json!({"metadata": {"name": name}})).await;
        let claim = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        make(&format!("{DEFAULT}/persistentvolumeclaims"), claim).await;
        make(&format!("{DEFAULT}/serviceaccounts"), json!({"metadata": {"name": name}})).await;
        let volume = json!({"metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}, "claimRef": {"namespace": "default", "name": name},
        }});
        make("/api/v1/persistentvolumes", volume).await;
    }
    let pod = |name: &str, node: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "nodeName": node, "serviceAccountName": name,
            "containers": [{"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": name}}]}],
            "volumes": [{"name": "s", "secret": {"secretName": name}}, {"name": "c", "persistentVolumeClaim": {"claimName": name}}],
        }})
    };
    let before = get(&node, &format!("{DEFAULT}/secrets/mine")).await;
    assert_eq!(before.code, 403, "{}", before.text);
    make(&format!("{DEFAULT}/pods"), pod("mine", "n1")).await;
    make(&format!("{DEFAULT}/pods"), pod("others", "n2")).await;

    let mut told = String::new();
    for path in [
        "secrets/mine",
        "secrets/others",
        "secrets/nobodys",
        "secrets/none",
        "secrets",
        "secrets?fieldSelector=metadata.name=mine",
        "configmaps/mine",
        "configmaps/others",
        "configmaps?fieldSelector=metadata.name=others",
        "configmaps/kube-root-ca.crt",
        "persistentvolumeclaims/mine",
        "persistentvolumeclaims/others",
        "persistentvolumeclaims",
        "serviceaccounts/mine",
        "serviceaccounts/others",
        "pods/mine",
        "pods/others",
        "pods",
        "pods?fieldSelector=spec.nodeName=n1",
        "pods?fieldSelector=spec.nodeName=n2",
        "pods?fieldSelector=spec.nodeName!=n1",
        "services",
        "endpoints/x",
    ] {
        let answer = get(&node, &format!("{DEFAULT}/{path}")).await;
        let why = if answer.code == 403 {
            answer.json()["message"].as_str().unwrap().to_owned()
        } else {
            String::new()
        };
        told.push_str(&format!("{path}: {} {why}\n", answer.code));
    }
    for path in [
        "/api/v1/secrets",
        "/api/v1/nodes/n1",
        "/api/v1/nodes/n2",
        "/api/v1/nodes",
        "/api/v1/nodes?fieldSelector=metadata.name=n1",
        "/api/v1/persistentvolumes/mine",
        "/api/v1/persistentvolumes/others",
        "/apis/apps/v1/deployments",
        "/metrics",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2",
        "/apis/coordination.k8s.io/v1/namespaces/default/leases/n1",
    ] {
        let answer = get(&node, path).await;
        let why = if answer.code == 403 {
            answer.json()["message"].as_str().unwrap().to_owned()
        } else {
            String::new()
        };
        told.push_str(&format!("{path}: {} {why}\n", answer.code));
    }
    expect![[r#"
        secrets/mine: 200 
        secrets/others: 403 secrets "others" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        secrets/nobodys: 403 secrets "nobodys" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        secrets/none: 403 secrets "none" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        secrets: 403 secrets is forbidden: User "system:node:n1" cannot list resource "secrets" in API group "" in the namespace "default": No Object name found
        secrets?fieldSelector=metadata.name=mine: 200 
        configmaps/mine: 200 
        configmaps/others: 403 configmaps "others" is forbidden: User "system:node:n1" cannot get resource "configmaps" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        configmaps?fieldSelector=metadata.name=others: 403 configmaps "others" is forbidden: User "system:node:n1" cannot list resource "configmaps" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        configmaps/kube-root-ca.crt: 404 
        persistentvolumeclaims/mine: 200 
        persistentvolumeclaims/others: 403 persistentvolumeclaims "others" is forbidden: User "system:node:n1" cannot get resource "persistentvolumeclaims" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        persistentvolumeclaims: 403 persistentvolumeclaims is forbidden: User "system:node:n1" cannot list resource "persistentvolumeclaims" in API group "" in the namespace "default": can only get individual resources of this type
        serviceaccounts/mine: 200 
        serviceaccounts/others: 403 serviceaccounts "others" is forbidden: User "system:node:n1" cannot get resource "serviceaccounts" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        pods/mine: 200 
        pods/others: 403 pods "others" is forbidden: User "system:node:n1" cannot get resource "pods" in API group "" in the namespace "default": no relationship found between node 'n1' and this object
        pods: 403 pods is forbidden: User "system:node:n1" cannot list resource "pods" in API group "" in the namespace "default": can only list/watch pods with spec.nodeName field selector
        pods?fieldSelector=spec.nodeName=n1: 200 
        pods?fieldSelector=spec.nodeName=n2: 403 pods is forbidden: User "system:node:n1" cannot list resource "pods" in API group "" in the namespace "default": can only list/watch pods with spec.nodeName field selector
        pods?fieldSelector=spec.nodeName!=n1: 403 pods is forbidden: User "system:node:n1" cannot list resource "pods" in API group "" in the namespace "default": can only list/watch pods with spec.nodeName field selector
        services: 200 
        endpoints/x: 404 
        /api/v1/secrets: 403 secrets is forbidden: User "system:node:n1" cannot list resource "secrets" in API group "" at the cluster scope: can only read namespaced object of this type
        /api/v1/nodes/n1: 200 
        /api/v1/nodes/n2: 403 nodes "n2" is forbidden: User "system:node:n1" cannot get resource "nodes" in API group "" at the cluster scope: node 'n1' cannot read 'n2', only its own Node object
        /api/v1/nodes: 403 nodes is forbidden: User "system:node:n1" cannot list resource "nodes" in API group "" at the cluster scope: node 'n1' cannot read all nodes, only its own Node object
        /api/v1/nodes?fieldSelector=metadata.name=n1: 200 
        /api/v1/persistentvolumes/mine: 200 
        /api/v1/persistentvolumes/others: 403 persistentvolumes "others" is forbidden: User "system:node:n1" cannot get resource "persistentvolumes" in API group "" at the cluster scope: no relationship found between node 'n1' and this object
        /apis/apps/v1/deployments: 403 deployments.apps is forbidden: User "system:node:n1" cannot list resource "deployments" in API group "apps" at the cluster scope
        /metrics: 403 forbidden: User "system:node:n1" cannot get path "/metrics"
        /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2: 403 leases.coordination.k8s.io "n2" is forbidden: User "system:node:n1" cannot get resource "leases" in API group "coordination.k8s.io" in the namespace "kube-node-lease": can only access node lease with the same name as the requesting node
        /apis/coordination.k8s.io/v1/namespaces/default/leases/n1: 403 leases.coordination.k8s.io "n1" is forbidden: User "system:node:n1" cannot get resource "leases" in API group "coordination.k8s.io" in the namespace "default": can only access leases in the "kube-node-lease" system namespace
    "#]].assert_eq(&told);

    // Tokens for the accounts of its pods alone, and no rights by what its pods had.
    let token = async |name: &str| {
        let pod = get(&admin, &format!("{DEFAULT}/pods/{name}")).await.json();
        let bound =
            json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]});
        let path = format!("{DEFAULT}/serviceaccounts/{name}/token");
        post(&node, &path, &json!({"spec": {"boundObjectRef": bound}})).await.code
    };
    assert_eq!((token("mine").await, token("others").await), (201, 403));
    assert_eq!(send(&node, "DELETE", &format!("{DEFAULT}/secrets/mine"), "", "").await.code, 403);
    let force = json!({"gracePeriodSeconds": 0}).to_string();
    assert_eq!(
        send(&admin, "DELETE", &format!("{DEFAULT}/pods/mine"), "application/json", force)
            .await
            .code,
        200
    );
    assert_eq!(get(&node, &format!("{DEFAULT}/secrets/mine")).await.code, 403);

    // Who only says to be a node is none.
    let other = client(&server.kubeconfig_of("system:node:n2", Some("dev")).unwrap()).await;
    assert_eq!(get(&other, &format!("{DEFAULT}/secrets/others")).await.code, 403);
    assert_eq!(get(&other, "/api/v1/nodes/n2").await.code, 403);
}
