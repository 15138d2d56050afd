//! The real kubectl, if there is one on the PATH: what it prints, word for word.
//!
//! Ages, addresses, times and identities are replaced by their names, because they are never twice the same.

use crate::common::kubectl::{Kubectl, WORLD, settle};
use expect_test::expect;
use std::process::Stdio;
use std::time::Duration;

#[tokio::test]
async fn objects_are_created_shown_changed_and_deleted() {
    let Some(kubectl) = Kubectl::new("objects").await else { return };
    kubectl.check(&["create -f world.yaml", "create -f world.yaml"], expect![[r#"
        $ kubectl create -f world.yaml
        namespace/shop created
        deployment.apps/web created
        configmap/conf created
        $ kubectl create -f world.yaml
        ! Error from server (AlreadyExists): error when creating "world.yaml": namespaces "shop" already exists
        ! Error from server (AlreadyExists): error when creating "world.yaml": deployments.apps "web" already exists
        ! Error from server (AlreadyExists): error when creating "world.yaml": configmaps "conf" already exists
        exit 1
    "#]]).await;
    kubectl
        .check(
            &["get ns", "get all -n shop", "get deploy -n shop -o wide", "get cm -A"],
            expect![[r#"
                $ kubectl get ns
                NAME   STATUS   AGE
                default   Active   AGE
                kube-node-lease   Active   AGE
                kube-public   Active   AGE
                kube-system   Active   AGE
                shop   Active   AGE
                $ kubectl get all -n shop
                NAME   READY   UP-TO-DATE   AVAILABLE   AGE
                deployment.apps/web   0/2   0   0   AGE
                $ kubectl get deploy -n shop -o wide
                NAME   READY   UP-TO-DATE   AVAILABLE   AGE   CONTAINERS   IMAGES   SELECTOR
                web   0/2   0   0   AGE   c   nginx:1.25   app=web
                $ kubectl get cm -A
                NAMESPACE   NAME   DATA   AGE
                shop   conf   1   AGE
            "#]],
        )
        .await;
    kubectl
        .check(
            &["get deploy web -n shop -o yaml"],
            expect![[r#"
        $ kubectl get deploy web -n shop -o yaml
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          creationTimestamp: TIME
          generation: 1
          name: web
          namespace: shop
          resourceVersion: RV
          uid: UID
        spec:
          progressDeadlineSeconds: 600
          replicas: 2
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              app: web
          strategy:
            rollingUpdate:
              maxSurge: 25%
              maxUnavailable: 25%
            type: RollingUpdate
          template:
            metadata:
              labels:
                app: web
            spec:
              containers:
              - image: nginx:1.25
                imagePullPolicy: IfNotPresent
                name: c
                ports:
                - containerPort: 80
                  protocol: TCP
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
        status: {}
    "#]],
        )
        .await;
    kubectl
        .check(
            &[
                "label cm conf -n shop x=y", "label cm conf -n shop x=y", "label cm conf -n shop x-", "annotate cm conf -n shop a=b",
                "get cm conf -n shop -o 'jsonpath={.metadata.labels} {.metadata.annotations} {.data.a}'",
                "get cm -n shop -l x=y", "get cm -n shop --field-selector metadata.name=conf -o name",
            ],
            expect![[r#"
                $ kubectl label cm conf -n shop x=y
                configmap/conf labeled
                $ kubectl label cm conf -n shop x=y
                configmap/conf not labeled
                $ kubectl label cm conf -n shop x-
                configmap/conf unlabeled
                $ kubectl annotate cm conf -n shop a=b
                configmap/conf annotated
                $ kubectl get cm conf -n shop -o 'jsonpath={.metadata.labels} {.metadata.annotations} {.data.a}'
                 {"a":"b"} 1
                $ kubectl get cm -n shop -l x=y
                ! No resources found in shop namespace.
                $ kubectl get cm -n shop --field-selector metadata.name=conf -o name
                configmap/conf
            "#]],
        )
        .await;
    kubectl
        .check(
            &[
                r#"patch deploy web -n shop -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}'"#,
                r#"patch deploy web -n shop --type=merge -p '{"metadata":{"labels":{"m":"1"}}}'"#,
                r#"patch deploy web -n shop --type=json -p '[{"op":"replace","path":"/spec/replicas","value":5}]'"#,
                r#"patch deploy web -n shop --type=json -p '[{"op":"test","path":"/spec/replicas","value":9}]'"#,
                "get deploy web -n shop -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[*].name} {.metadata.generation}'",
                "scale deploy web -n shop --replicas=7", "set image deploy/web c=nginx:1.26 -n shop", "rollout restart deploy/web -n shop",
                "get deploy web -n shop", "expose deploy web -n shop --port=80", "get svc -A -o wide",
            ],
            expect![[r#"
                $ kubectl patch deploy web -n shop -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}'
                deployment.apps/web patched
                $ kubectl patch deploy web -n shop --type=merge -p '{"metadata":{"labels":{"m":"1"}}}'
                deployment.apps/web patched
                $ kubectl patch deploy web -n shop --type=json -p '[{"op":"replace","path":"/spec/replicas","value":5}]'
                deployment.apps/web patched
                $ kubectl patch deploy web -n shop --type=json -p '[{"op":"test","path":"/spec/replicas","value":9}]'
                ! The request is invalid: the server rejected our request due to an error in our request
                exit 1
                $ kubectl get deploy web -n shop -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[*].name} {.metadata.generation}'
                5 side c 3
                $ kubectl scale deploy web -n shop --replicas=7
                deployment.apps/web scaled
                $ kubectl set image deploy/web c=nginx:1.26 -n shop
                deployment.apps/web image updated
                $ kubectl rollout restart deploy/web -n shop
                deployment.apps/web restarted
                $ kubectl get deploy web -n shop
                NAME   READY   UP-TO-DATE   AVAILABLE   AGE
                web   0/7   0   0   AGE
                $ kubectl expose deploy web -n shop --port=80
                service/web exposed
                $ kubectl get svc -A -o wide
                NAMESPACE   NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE   SELECTOR
                default   kubernetes   ClusterIP   10.96.0.1   <none>   443/TCP   AGE   <none>
                shop   web   ClusterIP   ADDRESS   <none>   80/TCP   AGE   app=web
            "#]],
        )
        .await;
    kubectl
        .check(
            &[
                "run p --image=nginx -n shop",
                "get pods -n shop -o wide",
                "describe pod p -n shop",
                "delete pod p -n shop",
                "wait --for=delete pod/p -n shop --timeout=10s",
                "delete deploy,svc web -n shop",
                "delete cm --all -n shop",
                "get all -n shop",
                "delete ns shop --wait=false",
                "get ns shop",
                "run q --image=nginx -n shop",
            ],
            expect![[r#"
                $ kubectl run p --image=nginx -n shop
                pod/p created
                $ kubectl get pods -n shop -o wide
                NAME   READY   STATUS   RESTARTS   AGE   IP   NODE   NOMINATED NODE   READINESS GATES
                p   0/1   Pending   0   AGE   <none>   <none>   <none>   <none>
                $ kubectl describe pod p -n shop
                Name:   p
                Namespace:   shop
                Priority:   0
                Service Account:   default
                Node:   <none>
                Labels:   run=p
                Annotations:   <none>
                Status:   Pending
                IP:
                IPs:   <none>
                Containers:
                  p:
                    Image:        nginx
                    Port:         <none>
                    Host Port:    <none>
                    Environment:  <none>
                    Mounts:
                      /var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-NAME (ro)
                Volumes:
                  kube-api-access-NAME:
                    Type:                    Projected (a volume that contains injected data from multiple sources)
                    TokenExpirationSeconds:  3607
                    ConfigMapName:           kube-root-ca.crt
                    ConfigMapOptional:       <nil>
                    DownwardAPI:             true
                QoS Class:   BestEffort
                Node-Selectors:   <none>
                Tolerations:   node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                                             node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
                Events:   <none>
                $ kubectl delete pod p -n shop
                pod "p" deleted
                $ kubectl wait --for=delete pod/p -n shop --timeout=10s
                $ kubectl delete deploy,svc web -n shop
                deployment.apps "web" deleted
                service "web" deleted
                $ kubectl delete cm --all -n shop
                configmap "conf" deleted
                $ kubectl get all -n shop
                ! No resources found in shop namespace.
                $ kubectl delete ns shop --wait=false
                namespace "shop" deleted
                $ kubectl get ns shop
                NAME   STATUS   AGE
                shop   Terminating   AGE
                $ kubectl run q --image=nginx -n shop
                ! Error from server (Forbidden): pods "q" is forbidden: unable to create new content in namespace shop because it is being terminated
                exit 1
            "#]],
        )
        .await;
}

#[tokio::test]
async fn what_is_applied_twice_is_unchanged() {
    let Some(kubectl) = Kubectl::new("apply").await else { return };
    kubectl
        .check(
            &["apply -f world.yaml", "apply -f world.yaml"],
            expect![[r#"
        $ kubectl apply -f world.yaml
        namespace/shop created
        deployment.apps/web created
        configmap/conf created
        $ kubectl apply -f world.yaml
        namespace/shop unchanged
        deployment.apps/web unchanged
        configmap/conf unchanged
    "#]],
        )
        .await;
    let changed = WORLD.replace("replicas: 2", "replicas: 3").replace("a: '1'", "b: '2'");
    std::fs::write(kubectl.dir.join("world.yaml"), changed).unwrap();
    kubectl
        .check(
            &[
                "apply -f world.yaml --dry-run=server",
                "get deploy web -n shop -o 'jsonpath={.spec.replicas}'",
                "apply -f world.yaml",
                "get deploy web -n shop -o 'jsonpath={.spec.replicas}'",
                "get cm conf -n shop -o 'jsonpath={.data}'",
                "diff -f world.yaml",
                "replace -f world.yaml",
                "delete -f world.yaml --wait=false",
            ],
            expect![[r#"
                $ kubectl apply -f world.yaml --dry-run=server
                namespace/shop unchanged (server dry run)
                deployment.apps/web configured (server dry run)
                configmap/conf configured (server dry run)
                $ kubectl get deploy web -n shop -o 'jsonpath={.spec.replicas}'
                2
                $ kubectl apply -f world.yaml
                namespace/shop unchanged
                deployment.apps/web configured
                configmap/conf configured
                $ kubectl get deploy web -n shop -o 'jsonpath={.spec.replicas}'
                3
                $ kubectl get cm conf -n shop -o 'jsonpath={.data}'
                {"b":"2"}
                $ kubectl diff -f world.yaml
                $ kubectl replace -f world.yaml
                namespace/shop replaced
                deployment.apps/web replaced
                configmap/conf replaced
                $ kubectl delete -f world.yaml --wait=false
                namespace "shop" deleted
                deployment.apps "web" deleted
                configmap "conf" deleted
            "#]],
        )
        .await;
}

#[tokio::test]
async fn errors_are_upstreams() {
    let Some(kubectl) = Kubectl::new("errors").await else { return };
    let bad = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\nspec:\n  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: c}}, spec: {containers: [{name: x, image: yy}]}}\n";
    std::fs::write(kubectl.dir.join("bad.yaml"), bad).unwrap();
    std::fs::write(
        kubectl.dir.join("typo.yaml"),
        bad.replace("a: c", "a: b").replace("selector", "replica: 3\n  selector"),
    )
    .unwrap();
    kubectl
        .check(
            &[
                "get pods nope",
                "get none",
                "create -f bad.yaml",
                "create -f typo.yaml",
                "create -f typo.yaml --validate=false",
                "get pods --field-selector foo=bar",
                "get pods --kubeconfig jane",
                "delete ns default --kubeconfig jane",
                "get pods -n none",
                "create ns x",
                "auth whoami",
            ],
            expect![[r#"
                $ kubectl get pods nope
                ! Error from server (NotFound): pods "nope" not found
                exit 1
                $ kubectl get none
                ! error: the server doesn't have a resource type "none"
                exit 1
                $ kubectl create -f bad.yaml
                ! The Deployment "bad" is invalid: spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`
                exit 1
                $ kubectl create -f typo.yaml
                ! Error from server (BadRequest): error when creating "typo.yaml": Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replica"
                exit 1
                $ kubectl create -f typo.yaml --validate=false
                deployment.apps/bad created
                $ kubectl get pods --field-selector foo=bar
                ! Error from server (BadRequest): Unable to find "/v1, Resource=pods" that match label selector "", field selector "foo=bar": field label not supported: foo
                exit 1
                $ kubectl get pods --kubeconfig jane
                ! Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"
                exit 1
                $ kubectl delete ns default --kubeconfig jane
                ! Error from server (Forbidden): namespaces "default" is forbidden: User "jane" cannot delete resource "namespaces" in API group "" in the namespace "default"
                exit 1
                $ kubectl get pods -n none
                ! No resources found in none namespace.
                $ kubectl create ns x
                namespace/x created
                $ kubectl auth whoami
                ATTRIBUTE   VALUE
                Username   kubernetes-admin
                Groups   [system:masters system:authenticated]
                Extra: authentication.kubernetes.io/credential-id   [X509SHA256=HASH]
            "#]],
        )
        .await;
}

#[tokio::test]
async fn the_api_is_discovered_and_explained() {
    let Some(kubectl) = Kubectl::new("discovery").await else { return };
    kubectl
        .check(
            &[
                "api-versions",
                "api-resources --categories=all",
                "api-resources --api-group=apps -o wide",
                "explain deployment.spec.replicas",
            ],
            expect![[r#"
                $ kubectl api-versions
                admissionregistration.k8s.io/v1
                apiextensions.k8s.io/v1
                apiregistration.k8s.io/v1
                apps/v1
                authentication.k8s.io/v1
                authorization.k8s.io/v1
                autoscaling/v1
                autoscaling/v2
                batch/v1
                certificates.k8s.io/v1
                coordination.k8s.io/v1
                discovery.k8s.io/v1
                events.k8s.io/v1
                flowcontrol.apiserver.k8s.io/v1
                networking.k8s.io/v1
                node.k8s.io/v1
                policy.networking.k8s.io/v1alpha2
                policy/v1
                rbac.authorization.k8s.io/v1
                scheduling.k8s.io/v1
                storage.k8s.io/v1
                v1
                $ kubectl api-resources --categories=all
                NAME   SHORTNAMES   APIVERSION   NAMESPACED   KIND
                pods   po   v1   true   Pod
                replicationcontrollers   rc   v1   true   ReplicationController
                services   svc   v1   true   Service
                daemonsets   ds   apps/v1   true   DaemonSet
                deployments   deploy   apps/v1   true   Deployment
                replicasets   rs   apps/v1   true   ReplicaSet
                statefulsets   sts   apps/v1   true   StatefulSet
                horizontalpodautoscalers   hpa   autoscaling/v2   true   HorizontalPodAutoscaler
                cronjobs   cj   batch/v1   true   CronJob
                jobs   batch/v1   true   Job
                $ kubectl api-resources --api-group=apps -o wide
                NAME   SHORTNAMES   APIVERSION   NAMESPACED   KIND   VERBS   CATEGORIES
                controllerrevisions   apps/v1   true   ControllerRevision   create,delete,deletecollection,get,list,patch,update,watch
                daemonsets   ds   apps/v1   true   DaemonSet   create,delete,deletecollection,get,list,patch,update,watch   all
                deployments   deploy   apps/v1   true   Deployment   create,delete,deletecollection,get,list,patch,update,watch   all
                replicasets   rs   apps/v1   true   ReplicaSet   create,delete,deletecollection,get,list,patch,update,watch   all
                statefulsets   sts   apps/v1   true   StatefulSet   create,delete,deletecollection,get,list,patch,update,watch   all
                $ kubectl explain deployment.spec.replicas
                GROUP:   apps
                KIND:   Deployment
                VERSION:   v1

                FIELD: replicas <integer>


                DESCRIPTION:
                    Number of desired pods. This is a pointer to distinguish between explicit
                    zero and not specified. Defaults to 1.


            "#]],
        )
        .await;
}

#[tokio::test]
async fn a_watch_shows_changes_as_they_happen() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let Some(kubectl) = Kubectl::new("watch").await else { return };
    kubectl.run("create -f world.yaml").await;
    let mut watch =
        kubectl.command("get deploy -n shop -w").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut seen = String::new();
    for step in ["", "", "scale deploy web -n shop --replicas=4", "delete deploy web -n shop"] {
        if !step.is_empty() {
            kubectl.run(step).await;
        }
        let line =
            tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect(step);
        seen += &settle(&line.unwrap().unwrap(), &kubectl.dir);
    }
    expect![[r#"
        NAME   READY   UP-TO-DATE   AVAILABLE   AGE
        web   0/2   0   0   AGE
        web   0/4   0   0   AGE
        web   0/4   0   0   AGE
    "#]]
    .assert_eq(&seen);
}

const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: A thing.
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How large it is.}
              color: {type: string, default: red}
            x-kubernetes-validations:
            - {rule: \"self.size < 100 || self.color == 'red'\", message: large ones are red}
    subresources: {scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.n}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Color, type: string, jsonPath: .spec.color, priority: 1}
";
const WIDGET: &str = "\
apiVersion: example.com/v1
kind: Widget
metadata: {name: a, namespace: default}
spec: {size: 1}
";

#[tokio::test]
async fn kinds_are_defined_and_used() {
    let Some(kubectl) = Kubectl::new("defined").await else { return };
    std::fs::write(kubectl.dir.join("crd.yaml"), DEFINITION).unwrap();
    std::fs::write(kubectl.dir.join("widget.yaml"), WIDGET).unwrap();
    std::fs::write(kubectl.dir.join("large.yaml"), WIDGET.replace("size: 1", "size: 2")).unwrap();
    std::fs::write(kubectl.dir.join("bad.yaml"), WIDGET.replace("size: 1", "size: 0")).unwrap();
    std::fs::write(kubectl.dir.join("odd.yaml"), WIDGET.replace("size", "sise")).unwrap();
    kubectl
        .check(
            &[
                "create -f crd.yaml",
                "create -f widget.yaml",
                "wait --for=condition=Established crd/widgets.example.com --timeout=5s",
                "get wd",
                "get widgets -o wide",
                "apply -f large.yaml",
                "apply -f large.yaml",
                "get wd a -o jsonpath={.spec}",
                "scale widget/a --replicas=3",
                "patch wd a --type=merge -p '{\"spec\":{\"color\":\"blue\"}}'",
                "get all",
                "apply -f bad.yaml",
                "scale widget/a --replicas=100",
                "apply -f odd.yaml",
                "explain widget.spec.size",
                "api-resources --api-group=example.com --no-headers",
                "delete crd widgets.example.com",
                "get widgets",
            ],
            expect![[r#"
                $ kubectl create -f crd.yaml
                customresourcedefinition.apiextensions.k8s.io/widgets.example.com created
                $ kubectl create -f widget.yaml
                widget.example.com/a created
                $ kubectl wait --for=condition=Established crd/widgets.example.com --timeout=5s
                customresourcedefinition.apiextensions.k8s.io/widgets.example.com condition met
                $ kubectl get wd
                NAME   SIZE
                a   1
                $ kubectl get widgets -o wide
                NAME   SIZE   COLOR
                a   1   red
                $ kubectl apply -f large.yaml
                widget.example.com/a configured
                ! Warning: resource widgets/a is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.
                $ kubectl apply -f large.yaml
                widget.example.com/a unchanged
                $ kubectl get wd a -o jsonpath={.spec}
                {"color":"red","size":2}
                $ kubectl scale widget/a --replicas=3
                widget.example.com/a scaled
                $ kubectl patch wd a --type=merge -p '{"spec":{"color":"blue"}}'
                widget.example.com/a patched
                $ kubectl get all
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
                service/kubernetes   ClusterIP   10.96.0.1   <none>   443/TCP   AGE

                NAME   SIZE
                widget.example.com/a   3
                $ kubectl apply -f bad.yaml
                ! The Widget "a" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1
                exit 1
                $ kubectl scale widget/a --replicas=100
                ! The Widget "a" is invalid: spec: Invalid value: large ones are red
                exit 1
                $ kubectl apply -f odd.yaml
                ! The request is invalid: patch: Invalid value: "OBJECT": strict decoding error: unknown field "spec.sise"
                exit 1
                $ kubectl explain widget.spec.size
                GROUP:   example.com
                KIND:   Widget
                VERSION:   v1

                FIELD: size <integer>


                DESCRIPTION:
                    How large it is.


                $ kubectl api-resources --api-group=example.com --no-headers
                widgets   wd   example.com/v1   true   Widget
                $ kubectl delete crd widgets.example.com
                customresourcedefinition.apiextensions.k8s.io "widgets.example.com" deleted
                $ kubectl get widgets
                ! Error from server (NotFound): Unable to list "example.com/v1, Resource=widgets": the server could not find the requested resource
                exit 1
            "#]],
        )
        .await;
}
