//! Workloads on fake nodes, as somebody with the stock kubectl sees them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that cannot begin says so"
)]

use expect_test::{Expect, expect};
use moat_cluster::{Cluster, Options};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A cluster of fake nodes, and a kubectl with a home of its own.
struct World {
    runtime: Runtime,
    cluster: Option<Cluster>,
    dir: PathBuf,
}

impl World {
    /// Nothing where there is no kubectl.
    fn start(name: &str) -> Option<Self> {
        Self::start_with(name, |_, _| {})
    }

    fn start_with(name: &str, choose: impl FnOnce(&mut Options, &Path)) -> Option<Self> {
        let found = Command::new("kubectl").args(["version", "--client"]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("NOT EXERCISED: no kubectl on the PATH, so nothing of `{name}` was tested");
            return None;
        }
        let dir =
            std::env::temp_dir().join(format!("moat-workloads-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut options = Options::default();
        options.nodes.n_fake = 2;
        choose(&mut options, &dir);
        let runtime = Runtime::new().unwrap();
        let cluster = runtime.block_on(Cluster::start(options)).unwrap();
        std::fs::write(dir.join("kubeconfig"), cluster.api().kubeconfig()).unwrap();
        Some(Self { runtime, cluster: Some(cluster), dir })
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    /// A command; `~` is a space that separates no words.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.env("HOME", &self.dir).env("KUBECONFIG", self.dir.join("kubeconfig"));
        command.current_dir(&self.dir).args(line.split(' ').map(|word| word.replace('~', " ")));
        command
    }

    /// What a command that has to succeed prints.
    fn run(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "kubectl {line}: {out}{err}");
        out + &err
    }

    /// What a command that has to fail says.
    fn refused(&self, line: &str) -> String {
        let mut command = self.command(line);
        let output = command.output().unwrap();
        assert!(!output.status.success(), "kubectl {line}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The last line of what it prints.
    fn last(&self, line: &str) -> String {
        self.run(line).lines().last().unwrap_or_default().to_owned()
    }

    /// Waits until a command prints something that holds: kubectl's own `wait` knows conditions and fields, and this all else.
    fn until(&self, line: &str, holds: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let out = self.run(line);
            if holds(&out) {
                return out;
            }
            assert!(Instant::now() < end, "kubectl {line} never so: {out}");
        }
    }

    /// What commands print, without what differs from run to run.
    fn check(&self, lines: &[&str], want: Expect) {
        let mut text = String::new();
        for line in lines {
            text += &format!("$ kubectl {line}\n{}", settle(&self.run(line)));
        }
        want.assert_eq(&text);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            self.runtime.block_on(cluster.shutdown());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Ages, times, addresses and nodes are replaced, and columns are three spaces apart.
fn settle(text: &str) -> String {
    let mut settled = String::new();
    for line in text.lines().take_while(|line| !line.starts_with("Events:")) {
        let mut line = line.to_owned();
        for name in ["CreationTimestamp:", "Start Time:", "Completed At:"] {
            if let Some(at) = line.find(name) {
                line.replace_range(at + name.len().., " TIME");
            }
        }
        let words: Vec<String> = line.split(' ').map(word).collect();
        let line = words.join(" ");
        if line.starts_with(' ') {
            settled += line.trim_end();
        } else {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            settled += &cells.collect::<Vec<_>>().join("   ");
        }
        settled.push('\n');
    }
    settled
}

fn word(word: &str) -> String {
    let is_age = word.strip_suffix('s').is_some_and(|n| n.parse::<u32>().is_ok());
    match word.split_once("controller-uid=") {
        _ if is_age => "AGE".to_owned(),
        Some((before, _)) => format!("{before}controller-uid=UID"),
        None => match word.find("pvc-") {
            // The name of a volume that was made has the uid of its claim.
            Some(at) if at + 40 <= word.len() => {
                format!("{}pvc-UID{}", &word[..at], &word[at + 40..])
            }
            _ => word.to_owned(),
        },
    }
}

const DATABASE: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: c, image: 'one:1'}
";

#[test]
fn a_stateful_set_is_rolled_back_by_hand() {
    let Some(world) = World::start("stateful") else { return };
    world.file("db.yaml", DATABASE);
    world.run("apply -f db.yaml");
    expect!["partitioned roll out complete: 3 new pods have been updated..."]
        .assert_eq(&world.last("rollout status sts/db --timeout=60s"));
    world.run("set image sts/db c=two:2");
    expect!["partitioned roll out complete: 3 new pods have been updated..."]
        .assert_eq(&world.last("rollout status sts/db --timeout=60s"));
    world.check(
        &["get sts -o wide", "rollout history sts/db", "rollout history sts/db --revision=1"],
        expect![[r#"
            $ kubectl get sts -o wide
            NAME   READY   AGE   CONTAINERS   IMAGES
            db   3/3   AGE   c   two:2
            $ kubectl rollout history sts/db
            statefulset.apps/db
            REVISION   CHANGE-CAUSE
            1   <none>
            2   <none>

            $ kubectl rollout history sts/db --revision=1
            statefulset.apps/db with revision #1
            Pod Template:
              Labels:	app=db
              Containers:
               c:
                Image:	one:1
                Port:	<none>
                Host Port:	<none>
                Environment:	<none>
                Mounts:	<none>
              Volumes:	<none>
              Node-Selectors:	<none>
              Tolerations:	<none>

        "#]],
    );
    world.run("rollout undo sts/db");
    world.run("rollout status sts/db --timeout=60s");
    world.check(
        &[
            "get pods -L apps.kubernetes.io/pod-index -o custom-columns=N:.metadata.name,I:.spec.containers[0].image,H:.spec.hostname,S:.spec.subdomain",
            "rollout history sts/db",
            "describe sts db",
        ],
        expect![[r#"
            $ kubectl get pods -L apps.kubernetes.io/pod-index -o custom-columns=N:.metadata.name,I:.spec.containers[0].image,H:.spec.hostname,S:.spec.subdomain
            N   I   H   S
            db-0   one:1   db-0   db
            db-1   one:1   db-1   db
            db-2   one:1   db-2   db
            $ kubectl rollout history sts/db
            statefulset.apps/db
            REVISION   CHANGE-CAUSE
            2   <none>
            3   <none>

            $ kubectl describe sts db
            Name:   db
            Namespace:   default
            CreationTimestamp: TIME
            Selector:   app=db
            Labels:   <none>
            Annotations:   <none>
            Replicas:   3 desired | 3 total
            Update Strategy:   RollingUpdate
              Partition:        0
            Pods Status:   3 Running / 0 Waiting / 0 Succeeded / 0 Failed
            Pod Template:
              Labels:  app=db
              Containers:
               c:
                Image:         one:1
                Port:          <none>
                Host Port:     <none>
                Environment:   <none>
                Mounts:        <none>
              Volumes:         <none>
              Node-Selectors:  <none>
              Tolerations:     <none>
            Volume Claims:   <none>
        "#]],
    );
    world.run("scale sts db --replicas=1");
    world.run("wait --for=jsonpath={.status.replicas}=1 sts/db --timeout=60s");
    let events = world
        .run("get events --field-selector reason=SuccessfulDelete -o custom-columns=M:.message");
    assert!(events.contains("Delete Pod db-2 in StatefulSet db successful"), "{events}");
    world.check(
        &["get pods -o name", "delete sts db --cascade=foreground --timeout=60s"],
        expect![[r#"
            $ kubectl get pods -o name
            pod/db-0
            $ kubectl delete sts db --cascade=foreground --timeout=60s
            statefulset.apps "db" deleted
        "#]],
    );
}

#[test]
fn a_daemon_set_is_rolled_back_by_hand() {
    let Some(world) = World::start("daemon") else { return };
    let daemon = DATABASE
        .replace("StatefulSet", "DaemonSet")
        .replace("  replicas: 3\n  serviceName: db\n", "");
    world.file("db.yaml", &daemon);
    world.run("apply -f db.yaml");
    expect![[r#"daemon set "db" successfully rolled out"#]]
        .assert_eq(&world.last("rollout status ds/db --timeout=60s"));
    world.run("set image ds/db c=two:2");
    expect![[r#"daemon set "db" successfully rolled out"#]]
        .assert_eq(&world.last("rollout status ds/db --timeout=60s"));
    world.run("rollout undo ds/db");
    world.run("rollout status ds/db --timeout=60s");
    world.check(&["get ds -o wide", "rollout history ds/db", "describe ds db"], expect![[r#"
        $ kubectl get ds -o wide
        NAME   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE   CONTAINERS   IMAGES   SELECTOR
        db   2   2   2   2   2   <none>   AGE   c   one:1   app=db
        $ kubectl rollout history ds/db
        daemonset.apps/db
        REVISION   CHANGE-CAUSE
        2   <none>
        3   <none>

        $ kubectl describe ds db
        Name:   db
        Selector:   app=db
        Node-Selector:   <none>
        Labels:   <none>
        Annotations:   deprecated.daemonset.template.generation: 3
        Desired Number of Nodes Scheduled: 2
        Current Number of Nodes Scheduled: 2
        Number of Nodes Scheduled with Up-to-date Pods: 2
        Number of Nodes Scheduled with Available Pods: 2
        Number of Nodes Misscheduled: 0
        Pods Status:   2 Running / 0 Waiting / 0 Succeeded / 0 Failed
        Pod Template:
          Labels:  app=db
          Containers:
           c:
            Image:         one:1
            Port:          <none>
            Host Port:     <none>
            Environment:   <none>
            Mounts:        <none>
          Volumes:         <none>
          Node-Selectors:  <none>
          Tolerations:     <none>
    "#]]);
}

#[test]
fn a_job_is_made_and_waited_for() {
    let Some(world) = World::start("job") else { return };
    world.check(
        &[
            "create job one --image=busybox -- true",
            "wait --for=condition=complete job/one --timeout=60s",
            "get job one",
            "get pods -o custom-columns=P:.status.phase,J:.metadata.labels.job-name",
            "describe job one",
            "delete job one",
        ],
        expect![[r#"
            $ kubectl create job one --image=busybox -- true
            job.batch/one created
            $ kubectl wait --for=condition=complete job/one --timeout=60s
            job.batch/one condition met
            $ kubectl get job one
            NAME   STATUS   COMPLETIONS   DURATION   AGE
            one   Complete   1/1   AGE   AGE
            $ kubectl get pods -o custom-columns=P:.status.phase,J:.metadata.labels.job-name
            P   J
            Succeeded   one
            $ kubectl describe job one
            Name:   one
            Namespace:   default
            Selector:   batch.kubernetes.io/controller-uid=UID
            Labels:   batch.kubernetes.io/controller-uid=UID
                              batch.kubernetes.io/job-name=one
                              controller-uid=UID
                              job-name=one
            Annotations:   <none>
            Parallelism:   1
            Completions:   1
            Completion Mode:   NonIndexed
            Suspend:   false
            Backoff Limit:   6
            Start Time: TIME
            Completed At: TIME
            Duration:   AGE
            Pods Statuses:   0 Active (0 Ready) / 1 Succeeded / 0 Failed
            Pod Template:
              Labels:  batch.kubernetes.io/controller-uid=UID
                       batch.kubernetes.io/job-name=one
                       controller-uid=UID
                       job-name=one
              Containers:
               one:
                Image:      busybox
                Port:       <none>
                Host Port:  <none>
                Command:
                  true
                Environment:   <none>
                Mounts:        <none>
              Volumes:         <none>
              Node-Selectors:  <none>
              Tolerations:     <none>
            $ kubectl delete job one
            job.batch "one" deleted
        "#]],
    );
}

#[test]
fn a_cron_job_is_run_by_hand() {
    let Some(world) = World::start("cron") else { return };
    world.run("create cronjob tick --image=busybox --schedule=0~0~1~1~* -- true");
    world.check(
        &[
            "create job now --from=cronjob/tick",
            "wait --for=condition=complete job/now --timeout=60s",
            "get cronjob -o wide",
            "patch cronjob tick -p {\"spec\":{\"timeZone\":\"Europe/Berlin\",\"suspend\":true}}",
            "get cronjob tick",
            "describe cronjob tick",
        ],
        expect![[r#"
            $ kubectl create job now --from=cronjob/tick
            job.batch/now created
            $ kubectl wait --for=condition=complete job/now --timeout=60s
            job.batch/now condition met
            $ kubectl get cronjob -o wide
            NAME   SCHEDULE   TIMEZONE   SUSPEND   ACTIVE   LAST SCHEDULE   AGE   CONTAINERS   IMAGES   SELECTOR
            tick   0 0 1 1 *   <none>   False   0   <none>   AGE   tick   busybox   <none>
            $ kubectl patch cronjob tick -p {"spec":{"timeZone":"Europe/Berlin","suspend":true}}
            cronjob.batch/tick patched
            $ kubectl get cronjob tick
            NAME   SCHEDULE   TIMEZONE   SUSPEND   ACTIVE   LAST SCHEDULE   AGE
            tick   0 0 1 1 *   Europe/Berlin   True   0   <none>   AGE
            $ kubectl describe cronjob tick
            Name:   tick
            Namespace:   default
            Labels:   <none>
            Annotations:   <none>
            Schedule:   0 0 1 1 *
            Concurrency Policy:   Allow
            Suspend:   True
            Successful Job History Limit:   3
            Failed Job History Limit:   1
            Starting Deadline Seconds:   <unset>
            Selector:   <unset>
            Parallelism:   <unset>
            Completions:   <unset>
            Pod Template:
              Labels:  <none>
              Containers:
               tick:
                Image:      busybox
                Port:       <none>
                Host Port:  <none>
                Command:
                  true
                Environment:     <none>
                Mounts:          <none>
              Volumes:           <none>
              Node-Selectors:    <none>
              Tolerations:       <none>
            Last Schedule Time:   <unset>
            Active Jobs:   <none>
        "#]],
    );
    let of = |spec: &str| world.refused(&format!("patch cronjob tick -p {{\"spec\":{spec}}}"));
    expect![[r#"
        The CronJob "tick" is invalid: spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61
        The CronJob "tick" is invalid: spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead
        The CronJob "tick" is invalid: spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base
        The CronJob "tick" is invalid: spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"
    "#]].assert_eq(
        &[
            of(r#"{"schedule":"61~*~*~*~*"}"#),
            of(r#"{"schedule":"TZ=UTC~0~*~*~*~*"}"#),
            of(r#"{"timeZone":"Mars/Base"}"#),
            of(r#"{"concurrencyPolicy":"Maybe"}"#),
        ]
        .concat(),
    );
}

const EVENTS: &str = "-o custom-columns=T:.type,R:.reason,M:.message --sort-by=.reason";

const METRICS: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pods.metrics.k8s.io
  annotations: {api-approved.kubernetes.io: 'unapproved, for a test'}
spec:
  group: metrics.k8s.io
  scope: Namespaced
  names: {plural: pods, singular: pod, kind: PodMetrics, listKind: PodMetricsList}
  versions:
  - {name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
";

#[test]
fn an_autoscaler_says_what_it_measured_and_what_it_cannot() {
    let Some(world) = World::start("autoscaler") else { return };
    world.run("create deployment web --image=one:1 --replicas=2");
    world.run("set resources deployment web --requests=cpu=100m");
    world.run("rollout status deployment/web --timeout=60s");
    world.run("autoscale deployment web --min=2 --max=5 --cpu-percent=50");
    let active =
        "get hpa web -o jsonpath={.status.conditions[?(@.type==\"ScalingActive\")].reason}";
    world.until(active, |out| out == "FailedGetResourceMetric");
    let events =
        format!("get events --field-selector involvedObject.kind=HorizontalPodAutoscaler {EVENTS}");
    world.until(&events, |out| out.contains("FailedComputeMetricsReplicas"));
    world.check(&["get hpa", "describe hpa web", &events], expect![[r#"
        $ kubectl get hpa
        NAME   REFERENCE   TARGETS   MINPODS   MAXPODS   REPLICAS   AGE
        web   Deployment/web   cpu: <unknown>/50%   2   5   2   AGE
        $ kubectl describe hpa web
        Name:   web
        Namespace:   default
        Labels:   <none>
        Annotations:   <none>
        CreationTimestamp: TIME
        Reference:   Deployment/web
        Metrics:   ( current / target )
          resource cpu on pods  (as a percentage of request):  <unknown> / 50%
        Min replicas:   2
        Max replicas:   5
        Deployment pods:   2 current / 0 desired
        Conditions:
          Type           Status  Reason                   Message
          ----           ------  ------                   -------
          AbleToScale    True    SucceededGetScale        the HPA controller was able to get the target's current scale
          ScalingActive  False   FailedGetResourceMetric  the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)
        $ kubectl get events --field-selector involvedObject.kind=HorizontalPodAutoscaler -o custom-columns=T:.type,R:.reason,M:.message --sort-by=.reason
        T   R   M
        Warning   FailedComputeMetricsReplicas   invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)
        Warning   FailedGetResourceMetric   failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)
    "#]]);

    // Metrics that somebody stores, of each pod nearly twice what it should use.
    world.run("delete hpa web");
    world.file("metrics.yaml", METRICS);
    world.run("apply -f metrics.yaml");
    world.run("wait --for=condition=Established crd/pods.metrics.k8s.io --timeout=60s");
    let names = world.until("get pods -l app=web -o jsonpath={.items[*].metadata.name}", |out| {
        out.split(' ').count() == 2
    });
    let mut values = String::new();
    for name in names.split(' ') {
        values += &format!(
            "---\napiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {{name: {name}, namespace: default, labels: {{app: web}}}}\ntimestamp: '2099-01-01T00:00:00Z'\nwindow: 30s\ncontainers: [{{name: one, usage: {{cpu: 90m, memory: 10Mi}}}}]\n"
        );
    }
    world.file("values.yaml", &values);
    world.run("apply -f values.yaml");
    world.run("autoscale deployment web --min=2 --max=5 --cpu-percent=50");
    world.until("get deployment web -o jsonpath={.spec.replicas}", |out| out == "4");
    world.until("get hpa web -o jsonpath={.status.desiredReplicas}", |out| out == "4");
    world.check(&["get hpa", "describe hpa web"], expect![[r#"
        $ kubectl get hpa
        NAME   REFERENCE   TARGETS   MINPODS   MAXPODS   REPLICAS   AGE
        web   Deployment/web   cpu: 90%/50%   2   5   2   AGE
        $ kubectl describe hpa web
        Name:   web
        Namespace:   default
        Labels:   <none>
        Annotations:   <none>
        CreationTimestamp: TIME
        Reference:   Deployment/web
        Metrics:   ( current / target )
          resource cpu on pods  (as a percentage of request):  90% (90m) / 50%
        Min replicas:   2
        Max replicas:   5
        Deployment pods:   2 current / 4 desired
        Conditions:
          Type            Status  Reason              Message
          ----            ------  ------              -------
          AbleToScale     True    SucceededRescale    the HPA controller was able to update the target scale to 4
          ScalingActive   True    ValidMetricFound    the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
          ScalingLimited  False   DesiredWithinRange  the desired count is within the acceptable range
    "#]]);
}

const CLAIMS: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: never}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: near}
spec: {accessModes: [ReadWriteOnce], storageClassName: '', volumeName: near, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: near}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  hostPath: {path: /srv/near}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [fake-2]}]}]}}
";

#[test]
fn claims_get_volumes_below_the_data_and_pods_go_where_their_volumes_are() {
    let started = World::start_with("volumes", |options, dir| {
        options.data_dir = Some(dir.join("data"));
    });
    let Some(world) = started else { return };
    world.file("claims.yaml", CLAIMS);
    world.run("apply -f claims.yaml");
    let pod = |name: &str, claim: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: x, volumeMounts: [{{name: v, mountPath: /v}}]}}], volumes: [{{name: v, persistentVolumeClaim: {{claimName: {claim}}}}}]}}\n"
        )
    };
    let pods = [("user", "data"), ("near", "near"), ("waits", "never"), ("lacks", "nothing")];
    world.file("pods.yaml", &pods.map(|(name, claim)| pod(name, claim)).concat());
    for claim in ["data", "near"] {
        world
            .run(&format!("wait --for=jsonpath={{.status.phase}}=Bound pvc/{claim} --timeout=60s"));
    }
    world.run("apply -f pods.yaml");
    world.run("wait --for=condition=Ready pod/user pod/near --timeout=60s");
    world.run("wait --for=condition=PodScheduled=false pod/waits pod/lacks --timeout=60s");
    let why = "get pods near waits lacks -o custom-columns=N:.metadata.name,ON:.spec.nodeName,WHY:.status.conditions[?(@.type==\"PodScheduled\")].message";
    world.check(
        &["get sc", "get pvc", "get pv", "describe pvc data", "describe pvc never", why],
        expect![[r#"
            $ kubectl get sc
            NAME   PROVISIONER   RECLAIMPOLICY   VOLUMEBINDINGMODE   ALLOWVOLUMEEXPANSION   AGE
            moat (default)   moat.dev/host-path   Delete   Immediate   false   AGE
            $ kubectl get pvc
            NAME   STATUS   VOLUME   CAPACITY   ACCESS MODES   STORAGECLASS   VOLUMEATTRIBUTESCLASS   AGE
            data   Bound   pvc-UID   1Gi   RWO   moat   <unset>   AGE
            near   Bound   near   1Gi   RWO   <unset>   AGE
            never   Pending   none   <unset>   AGE
            $ kubectl get pv
            NAME   CAPACITY   ACCESS MODES   RECLAIM POLICY   STATUS   CLAIM   STORAGECLASS   VOLUMEATTRIBUTESCLASS   REASON   AGE
            near   1Gi   RWO   Retain   Bound   default/near   <unset>   AGE
            pvc-UID   1Gi   RWO   Delete   Bound   default/data   moat   <unset>   AGE
            $ kubectl describe pvc data
            Name:   data
            Namespace:   default
            StorageClass:   moat
            Status:   Bound
            Volume:   pvc-UID
            Labels:   <none>
            Annotations:   pv.kubernetes.io/bind-completed: yes
                           pv.kubernetes.io/bound-by-controller: yes
            Finalizers:   [kubernetes.io/pvc-protection]
            Capacity:   1Gi
            Access Modes:   RWO
            VolumeMode:   Filesystem
            Used By:   user
            $ kubectl describe pvc never
            Name:   never
            Namespace:   default
            StorageClass:   none
            Status:   Pending
            Volume:
            Labels:   <none>
            Annotations:   <none>
            Finalizers:   [kubernetes.io/pvc-protection]
            Capacity:
            Access Modes:
            VolumeMode:   Filesystem
            Used By:   waits
            $ kubectl get pods near waits lacks -o custom-columns=N:.metadata.name,ON:.spec.nodeName,WHY:.status.conditions[?(@.type=="PodScheduled")].message
            N   ON   WHY
            near   fake-2   <none>
            waits   <none>   0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
            lacks   <none>   0/2 nodes are available: persistentvolumeclaim "nothing" not found. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
        "#]],
    );
    let path = world.run(
        "get pv -o jsonpath={.items[?(@.spec.storageClassName==\"moat\")].spec.hostPath.path}",
    );
    let path = PathBuf::from(path);
    assert!(path.starts_with(world.dir.join("data/volumes")) && path.is_dir(), "{path:?}");
    std::fs::write(path.join("kept"), "x").unwrap();
    world.run("delete pod user --grace-period=0 --force");
    world.run("delete pvc data --timeout=60s");
    world.until("get pv -o name", |out| out == "persistentvolume/near\n");
    assert!(!path.exists());
}

#[test]
fn the_parts_of_the_cluster_say_how_they_do() {
    let Some(world) = World::start("parts") else { return };
    expect![[r#"
        NAME                 STATUS    MESSAGE   ERROR
        controller-manager   Healthy   ok        
        etcd-0               Healthy   ok        
        scheduler            Healthy   ok        
        Warning: v1 ComponentStatus is deprecated in v1.19+
    "#]]
    .assert_eq(&world.run("get cs"));
    let metrics = world.run("get --raw /metrics");
    let depth = "workqueue_depth{name=\"deployment\"} ";
    assert!(metrics.lines().any(|line| line.starts_with(depth)), "{metrics}");
    let adds = "workqueue_adds_total{name=\"serviceaccount\"} ";
    let adds = metrics.lines().find_map(|line| line.strip_prefix(adds)).unwrap();
    assert!(1 <= adds.parse::<u64>().unwrap(), "{metrics}");
    assert!(
        metrics.contains("workqueue_work_duration_seconds_bucket{name=\"replicaset\",le=\"+Inf\"}")
    );
}
