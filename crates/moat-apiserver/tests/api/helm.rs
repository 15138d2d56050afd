//! The real Helm, if there is one on the PATH: a chart with a Deployment, a Service, an account, a role and a policy comes, changes, goes back
//! and goes. Helm 3 patches three ways, Helm 4 applies at the server; both keep releases as Secrets that they send as protobuf.

use crate::common::{client, get, server};
use kube::Client;
use serde_json::Value;
use std::path::Path;
use tokio::process::Command;

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
const VALUES: &str = "replicas: 2\nimage: nginx:1.25\npolicy: true\n";
const TEMPLATE: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}-account}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: {{ .Release.Name }}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .Release.Name }}}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}-account, namespace: {{ .Release.Namespace }}}]
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      serviceAccountName: {{ .Release.Name }}-account
      containers: [{name: web, image: {{ .Values.image }}, ports: [{name: http, containerPort: 80}]}]
{{- if .Values.policy }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: {{ .Release.Name }}}
spec: {podSelector: {matchLabels: {app: {{ .Release.Name }}}}, ingress: [{ports: [{port: 80}]}]}
{{- end }}
"#;

async fn helm(dir: &Path, line: &str) -> String {
    let mut command = Command::new("helm");
    command.env("HOME", dir).env("KUBECONFIG", dir.join("kubeconfig")).current_dir(dir);
    let output = command.args(line.split(' ')).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "helm {line}\n{text}{errors}");
    text
}

/// What there is of the release: the Deployment's image and replicas, and whether there is a policy.
async fn state(client: &Client) -> (Value, Value, bool) {
    let deployment = get(client, "/apis/apps/v1/namespaces/apps/deployments/shop").await.json();
    let policy =
        get(client, "/apis/networking.k8s.io/v1/namespaces/apps/networkpolicies/shop").await;
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    (image, deployment["spec"]["replicas"].clone(), policy.code == 200)
}

#[tokio::test]
async fn a_chart_comes_changes_goes_back_and_goes() {
    let found = Command::new("helm").args(["version", "--short"]).output().await;
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT EXERCISED: no helm on the PATH, so no chart was installed");
        return;
    }
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let dir = std::env::temp_dir().join(format!("moat-helm-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("chart/templates")).unwrap();
    for (file, text) in [
        ("kubeconfig", server.kubeconfig().as_str()),
        ("chart/Chart.yaml", CHART),
        ("chart/values.yaml", VALUES),
        ("chart/templates/all.yaml", TEMPLATE),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
    helm(&dir, "install shop chart -n apps --create-namespace").await;
    assert_eq!(state(&client).await, ("nginx:1.25".into(), 2.into(), true));
    let secrets = get(&client, "/api/v1/namespaces/apps/secrets").await.json();
    assert_eq!(secrets["items"][0]["type"], "helm.sh/release.v1");
    assert!(helm(&dir, "list -n apps").await.contains("deployed"));
    helm(&dir, "upgrade shop chart -n apps --set replicas=3,image=nginx:1.26,policy=false").await;
    assert_eq!(state(&client).await, ("nginx:1.26".into(), 3.into(), false));
    helm(&dir, "rollback shop 1 -n apps").await;
    assert_eq!(state(&client).await, ("nginx:1.25".into(), 2.into(), true));
    let history = helm(&dir, "history shop -n apps").await;
    assert_eq!(history.lines().filter(|line| line.contains("superseded")).count(), 2, "{history}");
    helm(&dir, "status shop -n apps").await;
    helm(&dir, "uninstall shop -n apps").await;
    assert_eq!(state(&client).await, (Value::Null, Value::Null, false));
    for path in [
        "/api/v1/namespaces/apps/services",
        "/api/v1/namespaces/apps/secrets",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/apps/roles",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/apps/rolebindings",
    ] {
        assert_eq!(get(&client, path).await.json()["items"], serde_json::json!([]), "{path}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
