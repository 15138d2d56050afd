//! What others see of requests: metrics and the audit log.

use crate::common::{answer, client, get, post, send};
use expect_test::expect;
use hyper::Request;
use kube::client::Body;
use moat_apiserver::{AuditLog, MoreMetrics, Options, Server};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn metrics_count_requests_and_objects() {
    let more = MoreMetrics::new(|out| out.push_str("moat_own 1\n"));
    let server =
        Server::start(Options { metrics: vec![more], ..Options::default() }).await.unwrap();
    let admin = client(&server.kubeconfig()).await;
    let jane = client(&server.kubeconfig_of("jane", None).unwrap()).await;
    assert_eq!(get(&jane, "/metrics").await.code, 403);
    for n in 0..3 {
        let body = json!({"metadata": {"name": format!("a{n}")}});
        assert_eq!(post(&admin, "/api/v1/namespaces/default/configmaps", &body).await.code, 201);
    }
    assert_eq!(get(&admin, "/api/v1/namespaces/default/configmaps/none").await.code, 404);
    assert_eq!(get(&admin, "/apis/apps/v1/deployments").await.code, 200);
    assert_eq!(get(&admin, "/apis/none.example.com/v1/things").await.code, 404);
    let found = get(&admin, "/metrics").await;
    assert_eq!(found.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let lines = |part: &str| {
        let all = found.text.lines().filter(|line| line.contains(part) && !line.starts_with('#'));
        all.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    expect![[r#"
        apiserver_request_total{code="403",component="apiserver",dry_run="",group="",resource="",scope="",subresource="",verb="GET",version=""} 1
        apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1
        apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="",scope="",subresource="",verb="LIST",version=""} 1
        apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",scope="cluster",subresource="",verb="LIST",version="v1"} 1
        apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="POST",version="v1"} 3
    "#]].assert_eq(&lines("apiserver_request_total"));
    expect![[r#"
        apiserver_current_inflight_requests{request_kind="mutating"} 0
        apiserver_current_inflight_requests{request_kind="readOnly"} 0
        apiserver_storage_objects{resource="namespaces"} 4
        moat_own 1
    "#]]
    .assert_eq(
        &(lines("apiserver_current_inflight")
            + &lines("resource=\"namespaces\"")
            + &lines("moat_own")),
    );
    // Counts of a histogram only grow, and end with all.
    let buckets = lines("apiserver_request_duration_seconds_bucket");
    let post: Vec<u64> = buckets
        .lines()
        .filter(|line| line.contains("verb=\"POST\""))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(post.is_sorted() && post.len() == 24 && post.last() == Some(&3), "{buckets}");
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    ] {
        let value: f64 = lines(name)
            .trim()
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("{name}"))
            .1
            .parse()
            .unwrap();
        assert!(0.0 <= value, "{name}");
    }
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_and_how_it_went() {
    let dir = std::env::temp_dir().join(format!("moat-audit-test-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("audit.log");
    let log = AuditLog::new(&path);
    let server =
        Server::start(Options { audit_log: Some(log), ..Options::default() }).await.unwrap();
    let admin = client(&server.kubeconfig()).await;
    let jane = client(&server.kubeconfig_of("jane", Some("dev")).unwrap()).await;
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/audit": "restricted"});
    let patch = json!({"metadata": {"labels": labels}}).to_string();
    assert_eq!(
        send(&admin, "PATCH", "/api/v1/namespaces/default", "application/merge-patch+json", patch)
            .await
            .code,
        200
    );
    post(
        &admin,
        "/api/v1/namespaces/default/serviceaccounts",
        &json!({"metadata": {"name": "default"}}),
    )
    .await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(post(&admin, PODS, &pod).await.code, 201);
    let mut loud = pod.clone();
    loud["spec"]["hostNetwork"] = true.into();
    assert_eq!(post(&admin, PODS, &loud).await.code, 403);
    assert_eq!(get(&jane, "/api/v1/secrets?limit=5").await.code, 403);
    let request =
        Request::get("/version").header("audit-id", "my-own-id").header("impersonate-user", "bob");
    let own = answer(&admin, request.body(Body::empty()).unwrap()).await;
    assert_eq!(own.headers["audit-id"], "my-own-id");
    let request =
        Request::get("/api").header("audit-id", "x".repeat(65)).header("impersonate-user", "bob");
    let own = answer(&admin, request.body(Body::empty()).unwrap()).await;
    assert_eq!(own.headers["audit-id"].len(), 36);
    server.shutdown().await;

    // The last line is there when the log is: it is written by a thread of its own.
    let text = loop {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.lines().count() == 7 {
            break text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let mut told = String::new();
    for line in text.lines() {
        let mut event: Value = serde_json::from_str(line).unwrap();
        for field in ["auditID", "requestReceivedTimestamp", "stageTimestamp"] {
            let value = event[field].take();
            assert!(16 < value.as_str().unwrap().len() || value == "my-own-id", "{line}");
            event.as_object_mut().unwrap().shift_remove(field);
        }
        // The digest of a certificate that is made anew.
        event["user"].as_object_mut().unwrap().shift_remove("extra");
        told.push_str(&format!("{event}\n"));
    }
    expect![[r#"
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default","verb":"patch","user":{"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]},"sourceIPs":["127.0.0.1"],"objectRef":{"resource":"namespaces","namespace":"default","name":"default","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/serviceaccounts","verb":"create","user":{"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]},"sourceIPs":["127.0.0.1"],"objectRef":{"resource":"serviceaccounts","namespace":"default","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":409,"status":"Failure","reason":"AlreadyExists","message":"serviceaccounts \"default\" already exists"},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods","verb":"create","user":{"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]},"sourceIPs":["127.0.0.1"],"objectRef":{"resource":"pods","namespace":"default","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"","pod-security.kubernetes.io/enforce-policy":"baseline:latest","pod-security.kubernetes.io/audit-violations":"would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"}}
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods","verb":"create","user":{"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]},"sourceIPs":["127.0.0.1"],"objectRef":{"resource":"pods","namespace":"default","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":403,"status":"Failure","reason":"Forbidden","message":"pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"","pod-security.kubernetes.io/enforce-policy":"baseline:latest"}}
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/api/v1/secrets?limit=5","verb":"list","user":{"username":"jane","groups":["dev","system:authenticated"]},"sourceIPs":["127.0.0.1"],"objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":403,"status":"Failure","reason":"Forbidden","message":"secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \"\" at the cluster scope"},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/version","verb":"get","user":{"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]},"sourceIPs":["127.0.0.1"],"responseStatus":{"metadata":{},"code":200}}
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]},"impersonatedUser":{"username":"bob","groups":["system:authenticated"]},"sourceIPs":["127.0.0.1"],"responseStatus":{"metadata":{},"code":200},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\""}}
    "#]].assert_eq(&told);
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions())
            & 0o777,
        0o600
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
