//! A tour through every command that users of Kubernetes' tutorials type and that needs no running container, in the words that they will read.
//!
//! Commands that need a container are here too: what they are answered with is a sentence and not silence.

use crate::common::kubectl::Kubectl;
use expect_test::expect;
use std::process::Stdio;

const HTTPD: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpd-deployment}
spec:
  replicas: 2
  selector: {matchLabels: {app: httpd}}
  template:
    metadata: {labels: {app: httpd}}
    spec: {containers: [{name: httpd, image: 'httpd:2.4', ports: [{containerPort: 80}]}]}
";
const PORTS: &str = "\
apiVersion: v1
kind: Service
metadata: {name: multi}
spec:
  selector: {app: httpd}
  ports: [{name: http, port: 80}, {name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Pod
metadata: {name: nginx, labels: {app: nginx}}
spec: {containers: [{name: nginx, image: 'nginx:1.25', ports: [{containerPort: 80}]}]}
";
const POLICIES: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-ingress}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: httpd}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {namespace: default}}
      podSelector: {matchExpressions: [{key: app, operator: In, values: [nginx]}]}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports: [{port: 80}, {port: 8000, endPort: 8080, protocol: UDP}]
  egress: [{}]
";
const NODE: &str = "\
apiVersion: v1
kind: Node
metadata: {name: one, labels: {kubernetes.io/hostname: one}}
spec: {podCIDR: 10.244.0.0/24}
status:
  capacity: {cpu: '4', memory: 8Gi, pods: '110'}
  addresses: [{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: one}]
  conditions: [{type: Ready, status: 'True', reason: KubeletReady, message: fine}]
  nodeInfo: {kubeletVersion: v1.36.0, osImage: none, kernelVersion: '6', containerRuntimeVersion: 'none://0', architecture: amd64, operatingSystem: linux}
";
const DASHBOARD: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: kubernetes-dashboard}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: admin-user, namespace: kubernetes-dashboard}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admin-user}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: admin-user, namespace: kubernetes-dashboard}]
---
apiVersion: v1
kind: Secret
metadata: {name: certs, namespace: kubernetes-dashboard}
type: Opaque
stringData: {csrf: secret}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes-dashboard, namespace: kubernetes-dashboard}
spec: {ports: [{port: 443, targetPort: 8443}], selector: {k8s-app: kubernetes-dashboard}}
";

async fn tour(name: &str) -> Option<Kubectl> {
    let kubectl = Kubectl::new(name).await?;
    for (file, text) in [
        ("httpd.yaml", HTTPD),
        ("ports.yaml", PORTS),
        ("policies.yaml", POLICIES),
        ("node.yaml", NODE),
        ("dashboard.yaml", DASHBOARD),
        (
            "elsewhere.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: default}\n",
        ),
    ] {
        std::fs::write(kubectl.dir.join(file), text).unwrap();
    }
    Some(kubectl)
}

#[tokio::test]
async fn workloads_are_run_exposed_and_labelled() {
    let Some(kubectl) = tour("tour-workloads").await else { return };
    kubectl
        .check(
            &[
                "apply -f ports.yaml",
                "apply -f ports.yaml",
                "run curler-pod --image=curlimages/curl --restart=Never -- sleep infinity",
                "create -f httpd.yaml",
                "expose deployment httpd-deployment --port=80",
                "get svc,pod",
                "get deployments",
                "get pods --namespace=kube-system",
                "run hello --image=xxx/hello --port=5000",
                "expose po hello --port=5000 --target-port=5000 --type=NodePort --name hello-http",
                "get services",
                "get services -o wide",
                "get pods --show-labels",
                "label pods nginx version=latest",
                "label pods nginx version=1",
                "label pods nginx version=1 --overwrite",
                "get pods -l version=1 --show-labels",
                "label pods nginx version-",
                "expose po nginx --port=80 --target-port=80 --type=NodePort --name nginx-http",
                r#"patch svc multi -n default -p '{"spec": {"type": "LoadBalancer", "externalIPs":["0.0.0.0"]}}'"#,
                r#"patch svc multi -n default -p '{"spec": {"type": "LoadBalancer", "externalIPs":["192.0.2.7"]}}'"#,
                "get svc multi",
                "get replicasets.apps",
                "get pods -o wide",
                "get po nginx -o yaml",
                "get po nginx -o name",
            ],
            expect![[r#"
                $ kubectl apply -f ports.yaml
                service/multi created
                pod/nginx created
                $ kubectl apply -f ports.yaml
                service/multi unchanged
                pod/nginx unchanged
                $ kubectl run curler-pod --image=curlimages/curl --restart=Never -- sleep infinity
                pod/curler-pod created
                $ kubectl create -f httpd.yaml
                deployment.apps/httpd-deployment created
                $ kubectl expose deployment httpd-deployment --port=80
                service/httpd-deployment exposed
                $ kubectl get svc,pod
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
                service/httpd-deployment   ClusterIP   ADDRESS   <none>   80/TCP   AGE
                service/kubernetes   ClusterIP   10.96.0.1   <none>   443/TCP   AGE
                service/multi   ClusterIP   ADDRESS   <none>   80/TCP,443/TCP   AGE

                NAME   READY   STATUS   RESTARTS   AGE
                pod/curler-pod   0/1   Pending   0   AGE
                pod/nginx   0/1   Pending   0   AGE
                $ kubectl get deployments
                NAME   READY   UP-TO-DATE   AVAILABLE   AGE
                httpd-deployment   0/2   0   0   AGE
                $ kubectl get pods --namespace=kube-system
                ! No resources found in kube-system namespace.
                $ kubectl run hello --image=xxx/hello --port=5000
                pod/hello created
                $ kubectl expose po hello --port=5000 --target-port=5000 --type=NodePort --name hello-http
                service/hello-http exposed
                $ kubectl get services
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
                hello-http   NodePort   ADDRESS   <none>   5000:NODEPORT/TCP   AGE
                httpd-deployment   ClusterIP   ADDRESS   <none>   80/TCP   AGE
                kubernetes   ClusterIP   10.96.0.1   <none>   443/TCP   AGE
                multi   ClusterIP   ADDRESS   <none>   80/TCP,443/TCP   AGE
                $ kubectl get services -o wide
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE   SELECTOR
                hello-http   NodePort   ADDRESS   <none>   5000:NODEPORT/TCP   AGE   run=hello
                httpd-deployment   ClusterIP   ADDRESS   <none>   80/TCP   AGE   app=httpd
                kubernetes   ClusterIP   10.96.0.1   <none>   443/TCP   AGE   <none>
                multi   ClusterIP   ADDRESS   <none>   80/TCP,443/TCP   AGE   app=httpd
                $ kubectl get pods --show-labels
                NAME   READY   STATUS   RESTARTS   AGE   LABELS
                curler-pod   0/1   Pending   0   AGE   run=curler-pod
                hello   0/1   Pending   0   AGE   run=hello
                nginx   0/1   Pending   0   AGE   app=nginx
                $ kubectl label pods nginx version=latest
                pod/nginx labeled
                $ kubectl label pods nginx version=1
                ! error: 'version' already has a value (latest), and --overwrite is false
                exit 1
                $ kubectl label pods nginx version=1 --overwrite
                pod/nginx labeled
                $ kubectl get pods -l version=1 --show-labels
                NAME   READY   STATUS   RESTARTS   AGE   LABELS
                nginx   0/1   Pending   0   AGE   app=nginx,version=1
                $ kubectl label pods nginx version-
                pod/nginx unlabeled
                $ kubectl expose po nginx --port=80 --target-port=80 --type=NodePort --name nginx-http
                service/nginx-http exposed
                $ kubectl patch svc multi -n default -p '{"spec": {"type": "LoadBalancer", "externalIPs":["0.0.0.0"]}}'
                ! The Service "multi" is invalid: spec.externalIPs[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)
                exit 1
                $ kubectl patch svc multi -n default -p '{"spec": {"type": "LoadBalancer", "externalIPs":["192.0.2.7"]}}'
                service/multi patched
                $ kubectl get svc multi
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
                multi   LoadBalancer   ADDRESS   192.0.2.7   80:NODEPORT/TCP,443:NODEPORT/TCP   AGE
                $ kubectl get replicasets.apps
                ! No resources found in default namespace.
                $ kubectl get pods -o wide
                NAME   READY   STATUS   RESTARTS   AGE   IP   NODE   NOMINATED NODE   READINESS GATES
                curler-pod   0/1   Pending   0   AGE   <none>   <none>   <none>   <none>
                hello   0/1   Pending   0   AGE   <none>   <none>   <none>   <none>
                nginx   0/1   Pending   0   AGE   <none>   <none>   <none>   <none>
                $ kubectl get po nginx -o yaml
                apiVersion: v1
                kind: Pod
                metadata:
                  annotations:
                    kubectl.kubernetes.io/last-applied-configuration: |
                      {"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{},"labels":{"app":"nginx"},"name":"nginx","namespace":"default"},"spec":{"containers":[{"image":"nginx:1.25","name":"nginx","ports":[{"containerPort":80}]}]}}
                  creationTimestamp: TIME
                  generation: 1
                  labels:
                    app: nginx
                  name: nginx
                  namespace: default
                  resourceVersion: RV
                  uid: UID
                spec:
                  containers:
                  - image: nginx:1.25
                    imagePullPolicy: IfNotPresent
                    name: nginx
                    ports:
                    - containerPort: 80
                      protocol: TCP
                    resources: {}
                    terminationMessagePath: /dev/termination-log
                    terminationMessagePolicy: File
                    volumeMounts:
                    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
                      name: kube-api-access-NAME
                      readOnly: true
                  dnsPolicy: ClusterFirst
                  enableServiceLinks: true
                  preemptionPolicy: PreemptLowerPriority
                  priority: 0
                  restartPolicy: Always
                  schedulerName: default-scheduler
                  securityContext: {}
                  serviceAccount: default
                  serviceAccountName: default
                  terminationGracePeriodSeconds: 30
                  tolerations:
                  - effect: NoExecute
                    key: node.kubernetes.io/not-ready
                    operator: Exists
                    tolerationSeconds: 300
                  - effect: NoExecute
                    key: node.kubernetes.io/unreachable
                    operator: Exists
                    tolerationSeconds: 300
                  volumes:
                  - name: kube-api-access-NAME
                    projected:
                      defaultMode: 420
                      sources:
                      - serviceAccountToken:
                          expirationSeconds: 3607
                          path: token
                      - configMap:
                          items:
                          - key: ca.crt
                            path: ca.crt
                          name: kube-root-ca.crt
                      - downwardAPI:
                          items:
                          - fieldRef:
                              apiVersion: v1
                              fieldPath: metadata.namespace
                            path: namespace
                status:
                  phase: Pending
                  qosClass: BestEffort
                $ kubectl get po nginx -o name
                pod/nginx
            "#]],
        )
        .await;
    kubectl
        .check(
            &[
                "describe deployment httpd-deployment",
                "describe svc multi",
                "describe pod nginx",
                "set image deploy/httpd-deployment httpd=httpd:2.5",
                "set env deploy/httpd-deployment A=b",
                "set resources deploy/httpd-deployment --limits=cpu=0.5,memory=1024Mi",
                "set serviceaccount deploy/httpd-deployment robot",
                "set selector svc/multi app=other",
                "get deploy httpd-deployment -o 'jsonpath={.spec.template.spec.containers[0].resources.limits} {.spec.template.spec.containers[0].env}'",
                "scale deployment httpd-deployment --replicas=3",
                "scale deployment httpd-deployment --replicas=4 --current-replicas=9",
                "autoscale deployment httpd-deployment --min=1 --max=3 --cpu-percent=50",
                "get hpa",
                "rollout pause deploy/httpd-deployment",
                "rollout pause deploy/httpd-deployment",
                "rollout resume deploy/httpd-deployment",
                "rollout history deploy/httpd-deployment",
                "rollout undo deploy/httpd-deployment",
                "annotate deploy httpd-deployment a=b",
                "replace --force -f httpd.yaml",
                "delete deployment httpd-deployment",
                "delete deployment httpd-deployment",
                "delete pod nginx --now",
                "delete -f ports.yaml",
                "delete pods --all",
                "get all",
            ],
            expect![[r#"
                $ kubectl describe deployment httpd-deployment
                Name:   httpd-deployment
                Namespace:   default
                CreationTimestamp: TIME
                Labels:   <none>
                Annotations:   <none>
                Selector:   app=httpd
                Replicas:   2 desired | 0 updated | 0 total | 0 available | 0 unavailable
                StrategyType:   RollingUpdate
                MinReadySeconds:   0
                RollingUpdateStrategy:   25% max unavailable, 25% max surge
                Pod Template:
                  Labels:  app=httpd
                  Containers:
                   httpd:
                    Image:         httpd:2.4
                    Port:          80/TCP
                    Host Port:     0/TCP
                    Environment:   <none>
                    Mounts:        <none>
                  Volumes:         <none>
                  Node-Selectors:  <none>
                  Tolerations:     <none>
                Events:   <none>
                $ kubectl describe svc multi
                Name:   multi
                Namespace:   default
                Labels:   <none>
                Annotations:   <none>
                Selector:   app=httpd
                Type:   LoadBalancer
                IP Family Policy:   SingleStack
                IP Families:   IPv4
                IP:   ADDRESS
                IPs:   ADDRESS
                External IPs:   192.0.2.7
                Port:   http   80/TCP
                TargetPort:   80/TCP
                NodePort:   http   NODEPORT/TCP
                Endpoints:   <none>
                Port:   https   443/TCP
                TargetPort:   8443/TCP
                NodePort:   https   NODEPORT/TCP
                Endpoints:   <none>
                Session Affinity:   None
                External Traffic Policy:   Cluster
                Internal Traffic Policy:   Cluster
                Events:   <none>
                $ kubectl describe pod nginx
                Name:   nginx
                Namespace:   default
                Priority:   0
                Service Account:   default
                Node:   <none>
                Labels:   app=nginx
                Annotations:   <none>
                Status:   Pending
                IP:
                IPs:   <none>
                Containers:
                  nginx:
                    Image:        nginx:1.25
                    Port:         80/TCP
                    Host Port:    0/TCP
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
                $ kubectl set image deploy/httpd-deployment httpd=httpd:2.5
                deployment.apps/httpd-deployment image updated
                $ kubectl set env deploy/httpd-deployment A=b
                deployment.apps/httpd-deployment env updated
                $ kubectl set resources deploy/httpd-deployment --limits=cpu=0.5,memory=1024Mi
                deployment.apps/httpd-deployment resource requirements updated
                $ kubectl set serviceaccount deploy/httpd-deployment robot
                deployment.apps/httpd-deployment serviceaccount updated
                $ kubectl set selector svc/multi app=other
                service/multi selector updated
                $ kubectl get deploy httpd-deployment -o 'jsonpath={.spec.template.spec.containers[0].resources.limits} {.spec.template.spec.containers[0].env}'
                {"cpu":"500m","memory":"1Gi"} [{"name":"A","value":"b"}]
                $ kubectl scale deployment httpd-deployment --replicas=3
                deployment.apps/httpd-deployment scaled
                $ kubectl scale deployment httpd-deployment --replicas=4 --current-replicas=9
                ! error: Expected replicas to be 9, was 3
                exit 1
                $ kubectl autoscale deployment httpd-deployment --min=1 --max=3 --cpu-percent=50
                horizontalpodautoscaler.autoscaling/httpd-deployment autoscaled
                $ kubectl get hpa
                NAME   REFERENCE   TARGETS   MINPODS   MAXPODS   REPLICAS   AGE
                httpd-deployment   Deployment/httpd-deployment   cpu: <unknown>/50%   1   3   0   AGE
                $ kubectl rollout pause deploy/httpd-deployment
                deployment.apps/httpd-deployment paused
                $ kubectl rollout pause deploy/httpd-deployment
                ! error: deployments.apps "httpd-deployment" is already paused
                exit 1
                $ kubectl rollout resume deploy/httpd-deployment
                deployment.apps/httpd-deployment resumed
                $ kubectl rollout history deploy/httpd-deployment
                deployment.apps/httpd-deployment
                No rollout history found.
                $ kubectl rollout undo deploy/httpd-deployment
                ! error: no rollout history found for deployment "httpd-deployment"
                exit 1
                $ kubectl annotate deploy httpd-deployment a=b
                deployment.apps/httpd-deployment annotated
                $ kubectl replace --force -f httpd.yaml
                deployment.apps "httpd-deployment" deleted
                deployment.apps/httpd-deployment replaced
                $ kubectl delete deployment httpd-deployment
                deployment.apps "httpd-deployment" deleted
                $ kubectl delete deployment httpd-deployment
                ! Error from server (NotFound): deployments.apps "httpd-deployment" not found
                exit 1
                $ kubectl delete pod nginx --now
                pod "nginx" deleted
                $ kubectl delete -f ports.yaml
                service "multi" deleted
                ! Error from server (NotFound): error when deleting "ports.yaml": pods "nginx" not found
                exit 1
                $ kubectl delete pods --all
                pod "curler-pod" deleted
                pod "hello" deleted
                $ kubectl get all
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
                service/hello-http   NodePort   ADDRESS   <none>   5000:NODEPORT/TCP   AGE
                service/httpd-deployment   ClusterIP   ADDRESS   <none>   80/TCP   AGE
                service/kubernetes   ClusterIP   10.96.0.1   <none>   443/TCP   AGE
                service/nginx-http   NodePort   ADDRESS   <none>   80:NODEPORT/TCP   AGE

                NAME   REFERENCE   TARGETS   MINPODS   MAXPODS   REPLICAS   AGE
                horizontalpodautoscaler.autoscaling/httpd-deployment   Deployment/httpd-deployment   cpu: <unknown>/50%   1   3   0   AGE
            "#]],
        )
        .await;
}

#[tokio::test]
async fn namespaces_policies_and_secrets_are_made_and_told() {
    let Some(kubectl) = tour("tour-policies").await else { return };
    kubectl
        .check(
            &[
                "create namespace web2",
                "apply -f policies.yaml -n web2",
                "get netpol -n web2",
                "get networkpolicy web -n web2 -o yaml",
                "describe networkpolicy -n web2",
                "label namespace default namespace=default",
                "label ns kube-system namespace=kube-system",
                "label ns web2 kubernetes.io/metadata.name=x --overwrite",
                "get ns --show-labels",
                "describe ns web2",
                "apply -n my-namespace -f elsewhere.yaml",
                "create secret docker-registry my-registry-secret --docker-server=r.example --docker-username=u --docker-password=p --docker-email=e@example",
                "get secret",
                "describe secret my-registry-secret",
                "create configmap conf --from-literal=a=1",
                "describe cm conf",
                "create -f dashboard.yaml",
                "get pods --namespace=kubernetes-dashboard -o wide",
                "--namespace=kubernetes-dashboard get service kubernetes-dashboard",
                "-n kubernetes-dashboard get secret",
                "-n kubernetes-dashboard describe secret certs",
                "-n kubernetes-dashboard create token admin-user",
                "describe clusterrolebinding admin-user",
                "auth can-i get pods",
                "auth can-i delete nodes --as system:serviceaccount:kubernetes-dashboard:admin-user",
                "auth can-i delete nodes --as jane",
                "delete netpol web -n web2",
                "delete -f dashboard.yaml --wait=false",
            ],
            expect![[r#"
                $ kubectl create namespace web2
                namespace/web2 created
                $ kubectl apply -f policies.yaml -n web2
                networkpolicy.networking.k8s.io/default-deny-ingress created
                networkpolicy.networking.k8s.io/web created
                $ kubectl get netpol -n web2
                NAME   POD-SELECTOR   AGE
                default-deny-ingress   <none>   AGE
                web   app=httpd   AGE
                $ kubectl get networkpolicy web -n web2 -o yaml
                apiVersion: networking.k8s.io/v1
                kind: NetworkPolicy
                metadata:
                  annotations:
                    kubectl.kubernetes.io/last-applied-configuration: |
                      {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"annotations":{},"name":"web","namespace":"web2"},"spec":{"egress":[{}],"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"namespace":"default"}},"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["nginx"]}]}},{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":80},{"endPort":8080,"port":8000,"protocol":"UDP"}]}],"podSelector":{"matchLabels":{"app":"httpd"}},"policyTypes":["Ingress","Egress"]}}
                  creationTimestamp: TIME
                  generation: 1
                  name: web
                  namespace: web2
                  resourceVersion: RV
                  uid: UID
                spec:
                  egress:
                  - {}
                  ingress:
                  - from:
                    - namespaceSelector:
                        matchLabels:
                          namespace: default
                      podSelector:
                        matchExpressions:
                        - key: app
                          operator: In
                          values:
                          - nginx
                    - ipBlock:
                        cidr: 10.0.0.0/8
                        except:
                        - 10.1.0.0/16
                    ports:
                    - port: 80
                      protocol: TCP
                    - endPort: 8080
                      port: 8000
                      protocol: UDP
                  podSelector:
                    matchLabels:
                      app: httpd
                  policyTypes:
                  - Ingress
                  - Egress
                $ kubectl describe networkpolicy -n web2
                Name:   default-deny-ingress
                Namespace:   web2
                Created on: TIME
                Labels:   <none>
                Annotations:   <none>
                Spec:
                  PodSelector:     <none> (Allowing the specific traffic to all pods in this namespace)
                  Allowing ingress traffic:
                    <none> (Selected pods are isolated for ingress connectivity)
                  Not affecting egress traffic
                  Policy Types: Ingress


                Name:   web
                Namespace:   web2
                Created on: TIME
                Labels:   <none>
                Annotations:   <none>
                Spec:
                  PodSelector:     app=httpd
                  Allowing ingress traffic:
                    To Port: 80/TCP
                    To Port Range: 8000-8080/UDP
                    From:
                      NamespaceSelector: namespace=default
                      PodSelector: app in (nginx)
                    From:
                      IPBlock:
                        CIDR: 10.0.0.0/8
                        Except: 10.1.0.0/16
                  Allowing egress traffic:
                    To Port: <any> (traffic allowed to all ports)
                    To: <any> (traffic not restricted by destination)
                  Policy Types: Ingress, Egress
                $ kubectl label namespace default namespace=default
                namespace/default labeled
                $ kubectl label ns kube-system namespace=kube-system
                namespace/kube-system labeled
                $ kubectl label ns web2 kubernetes.io/metadata.name=x --overwrite
                namespace/web2 labeled
                $ kubectl get ns --show-labels
                NAME   STATUS   AGE   LABELS
                default   Active   AGE   kubernetes.io/metadata.name=default,namespace=default
                kube-node-lease   Active   AGE   kubernetes.io/metadata.name=kube-node-lease
                kube-public   Active   AGE   kubernetes.io/metadata.name=kube-public
                kube-system   Active   AGE   kubernetes.io/metadata.name=kube-system,namespace=kube-system
                web2   Active   AGE   kubernetes.io/metadata.name=web2
                $ kubectl describe ns web2
                Name:   web2
                Labels:   kubernetes.io/metadata.name=web2
                Annotations:   <none>
                Status:   Active

                No resource quota.

                No LimitRange resource.
                $ kubectl apply -n my-namespace -f elsewhere.yaml
                ! error: the namespace from the provided object "default" does not match the namespace "my-namespace". You must pass '--namespace=default' to perform this operation.
                exit 1
                $ kubectl create secret docker-registry my-registry-secret --docker-server=r.example --docker-username=u --docker-password=p --docker-email=e@example
                secret/my-registry-secret created
                $ kubectl get secret
                NAME   TYPE   DATA   AGE
                my-registry-secret   kubernetes.io/dockerconfigjson   1   AGE
                $ kubectl describe secret my-registry-secret
                Name:   my-registry-secret
                Namespace:   default
                Labels:   <none>
                Annotations:   <none>

                Type:   kubernetes.io/dockerconfigjson

                Data
                ====
                .dockerconfigjson:   89 bytes
                $ kubectl create configmap conf --from-literal=a=1
                configmap/conf created
                $ kubectl describe cm conf
                Name:   conf
                Namespace:   default
                Labels:   <none>
                Annotations:   <none>

                Data
                ====
                a:
                ----
                1


                BinaryData
                ====

                Events:   <none>
                $ kubectl create -f dashboard.yaml
                namespace/kubernetes-dashboard created
                serviceaccount/admin-user created
                clusterrolebinding.rbac.authorization.k8s.io/admin-user created
                secret/certs created
                service/kubernetes-dashboard created
                $ kubectl get pods --namespace=kubernetes-dashboard -o wide
                ! No resources found in kubernetes-dashboard namespace.
                $ kubectl --namespace=kubernetes-dashboard get service kubernetes-dashboard
                NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
                kubernetes-dashboard   ClusterIP   ADDRESS   <none>   443/TCP   AGE
                $ kubectl -n kubernetes-dashboard get secret
                NAME   TYPE   DATA   AGE
                certs   Opaque   1   AGE
                $ kubectl -n kubernetes-dashboard describe secret certs
                Name:   certs
                Namespace:   kubernetes-dashboard
                Labels:   <none>
                Annotations:   <none>

                Type:   Opaque

                Data
                ====
                csrf:   6 bytes
                $ kubectl -n kubernetes-dashboard create token admin-user
                TOKEN
                $ kubectl describe clusterrolebinding admin-user
                Name:   admin-user
                Labels:   <none>
                Annotations:   <none>
                Role:
                  Kind:  ClusterRole
                  Name:  cluster-admin
                Subjects:
                  Kind            Name        Namespace
                  ----            ----        ---------
                  ServiceAccount  admin-user  kubernetes-dashboard
                $ kubectl auth can-i get pods
                yes
                $ kubectl auth can-i delete nodes --as system:serviceaccount:kubernetes-dashboard:admin-user
                yes
                ! Warning: resource 'nodes' is not namespace scoped
                !
                $ kubectl auth can-i delete nodes --as jane
                no
                ! Warning: resource 'nodes' is not namespace scoped
                !
                exit 1
                $ kubectl delete netpol web -n web2
                networkpolicy.networking.k8s.io "web" deleted
                $ kubectl delete -f dashboard.yaml --wait=false
                namespace "kubernetes-dashboard" deleted
                serviceaccount "admin-user" deleted
                clusterrolebinding.rbac.authorization.k8s.io "admin-user" deleted
                secret "certs" deleted
                service "kubernetes-dashboard" deleted
            "#]],
        )
        .await;
}

#[tokio::test]
async fn nodes_are_labelled_tainted_and_drained() {
    let Some(kubectl) = tour("tour-nodes").await else { return };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: lonely}\nspec: {nodeName: one, terminationGracePeriodSeconds: 0, containers: [{name: c, image: i}]}\n";
    std::fs::write(kubectl.dir.join("lonely.yaml"), pod).unwrap();
    kubectl
        .check(
            &[
                "create -f node.yaml",
                "get nodes",
                "get nodes -o wide",
                "label nodes one disk=ssd",
                "taint nodes one key=value:NoSchedule",
                "taint nodes one key=value:NoSchedule-",
                "cordon one",
                "cordon one",
                "uncordon one",
                "create -f lonely.yaml",
                "drain one",
                "drain one --force",
                "get nodes",
                "describe node one",
                "get cs",
                "cluster-info",
                "top nodes",
                "delete node one",
            ],
            expect![[r#"
                $ kubectl create -f node.yaml
                node/one created
                $ kubectl get nodes
                NAME   STATUS   ROLES   AGE   VERSION
                one   Ready   <none>   AGE   v1.36.0
                $ kubectl get nodes -o wide
                NAME   STATUS   ROLES   AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE   KERNEL-VERSION   CONTAINER-RUNTIME
                one   Ready   <none>   AGE   v1.36.0   192.0.2.1   <none>   none   6 (amd64)   none://0
                $ kubectl label nodes one disk=ssd
                node/one labeled
                $ kubectl taint nodes one key=value:NoSchedule
                node/one tainted
                $ kubectl taint nodes one key=value:NoSchedule-
                node/one untainted
                $ kubectl cordon one
                node/one cordoned
                $ kubectl cordon one
                node/one already cordoned
                $ kubectl uncordon one
                node/one uncordoned
                $ kubectl create -f lonely.yaml
                pod/lonely created
                $ kubectl drain one
                node/one cordoned
                ! error: unable to drain node "one" due to error: cannot delete cannot delete Pods that declare no controller (use --force to override): default/lonely, continuing command...
                ! There are pending nodes to be drained:
                !   one
                ! cannot delete cannot delete Pods that declare no controller (use --force to override): default/lonely
                exit 1
                $ kubectl drain one --force
                node/one already cordoned
                evicting pod default/lonely
                pod/lonely evicted
                node/one drained
                ! Warning: deleting Pods that declare no controller: default/lonely
                $ kubectl get nodes
                NAME   STATUS   ROLES   AGE   VERSION
                one   Ready,SchedulingDisabled   <none>   AGE   v1.36.0
                $ kubectl describe node one
                Name:   one
                Roles:   <none>
                Labels:   disk=ssd
                                    kubernetes.io/hostname=one
                Annotations:   <none>
                CreationTimestamp: TIME
                Taints:   node.kubernetes.io/not-ready:NoSchedule
                Unschedulable:   true
                Lease:   Failed to get lease: leases.coordination.k8s.io "one" not found
                Conditions:
                  Type    Status  LastHeartbeatTime                 LastTransitionTime                Reason         Message
                  ----    ------  -----------------                 ------------------                ------         -------
                  Ready   True    Mon, 01 Jan 0001 00:00:00 +0000   Mon, 01 Jan 0001 00:00:00 +0000   KubeletReady   fine
                Addresses:
                  InternalIP:  192.0.2.1
                  Hostname:    one
                Capacity:
                  cpu:     4
                  memory:  8Gi
                  pods:    110
                Allocatable:
                  cpu:     4
                  memory:  8Gi
                  pods:    110
                System Info:
                  Machine ID:
                  System UUID:
                  Boot ID:
                  Kernel Version:             6
                  OS Image:                   none
                  Operating System:           linux
                  Architecture:               amd64
                  Container Runtime Version:  none://0
                  Kubelet Version:            v1.36.0
                  Kube-Proxy Version:
                PodCIDR:   10.244.0.0/24
                PodCIDRs:   10.244.0.0/24
                Non-terminated Pods:   (0 in total)
                  Namespace                   Name    CPU Requests  CPU Limits  Memory Requests  Memory Limits  Age
                  ---------                   ----    ------------  ----------  ---------------  -------------  ---
                Allocated resources:
                  (Total limits may be over 100 percent, i.e., overcommitted.)
                  Resource           Requests  Limits
                  --------           --------  ------
                  cpu                0 (0%)    0 (0%)
                  memory             0 (0%)    0 (0%)
                  ephemeral-storage  0 (0%)    0 (0%)
                Events:   <none>
                $ kubectl get cs
                NAME   STATUS   MESSAGE   ERROR
                controller-manager   Unhealthy   it does not run in this process
                etcd-0   Healthy   ok
                scheduler   Unhealthy   it does not run in this process
                ! Warning: v1 ComponentStatus is deprecated in v1.19+
                $ kubectl cluster-info
                Kubernetes control plane is running at https://SERVER

                To further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.
                $ kubectl top nodes
                ! error: Metrics API not available
                exit 1
                $ kubectl delete node one
                node "one" deleted
            "#]],
        )
        .await;
}

#[tokio::test]
async fn what_needs_a_container_is_answered_in_words() {
    let Some(kubectl) = tour("tour-containers").await else { return };
    kubectl
        .check(
            &[
                "create -f ports.yaml",
                "logs nginx",
                "exec nginx -- ls",
                "port-forward nginx 8088:80",
                "attach nginx",
                "cp nginx:/etc/hosts hosts",
                "debug nginx --image=busybox --target=nginx -c dbg",
                "debug nginx --image=busybox --target=none -c dbg2",
                "get pod nginx -o 'jsonpath={.spec.ephemeralContainers[*].name}'",
                "wait --for=condition=Ready pod/nginx --timeout=1s",
                "events --for pod/nginx",
                "get events",
                "top pods",
                "rollout status deploy/none",
            ],
            expect![[r#"
                $ kubectl create -f ports.yaml
                service/multi created
                pod/nginx created
                $ kubectl logs nginx
                ! Error from server (NotImplemented): pods/log, which needs a running container, is not supported by this server
                exit 1
                $ kubectl exec nginx -- ls
                ! Error from server (NotImplemented): pods/exec, which needs a running container, is not supported by this server
                exit 1
                $ kubectl port-forward nginx 8088:80
                ! error: unable to forward port because pod is not running. Current status=Pending
                exit 1
                $ kubectl attach nginx
                ! If you don't see a command prompt, try pressing enter.
                ! Error from server (NotImplemented): pods/attach, which needs a running container, is not supported by this server
                exit 1
                $ kubectl cp nginx:/etc/hosts hosts
                ! Error from server (NotImplemented): pods/exec, which needs a running container, is not supported by this server
                exit 1
                $ kubectl debug nginx --image=busybox --target=nginx -c dbg
                Targeting container "nginx". If you don't see processes from this container it may be because the container runtime doesn't support this feature.
                ! --profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify a profile, for example "--profile=general".
                $ kubectl debug nginx --image=busybox --target=none -c dbg2
                Targeting container "none". If you don't see processes from this container it may be because the container runtime doesn't support this feature.
                ! --profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify a profile, for example "--profile=general".
                ! The Pod "nginx" is invalid: spec.ephemeralContainers[1].targetContainerName: Not found: "none"
                exit 1
                $ kubectl get pod nginx -o 'jsonpath={.spec.ephemeralContainers[*].name}'
                dbg
                $ kubectl wait --for=condition=Ready pod/nginx --timeout=1s
                ! error: timed out waiting for the condition on pods/nginx
                exit 1
                $ kubectl events --for pod/nginx
                ! No events found in default namespace.
                $ kubectl get events
                ! No resources found in default namespace.
                $ kubectl top pods
                ! error: Metrics API not available
                exit 1
                $ kubectl rollout status deploy/none
                ! Error from server (NotFound): deployments.apps "none" not found
                exit 1
            "#]],
        )
        .await;
}

#[tokio::test]
async fn an_editor_changes_a_service() {
    let Some(kubectl) = tour("tour-edit").await else { return };
    kubectl.run("create -f dashboard.yaml").await;
    let line = "--namespace=kubernetes-dashboard edit service kubernetes-dashboard";
    let mut command = kubectl.command(line);
    command.env("KUBE_EDITOR", "sed -i s/ClusterIP/NodePort/").stdin(Stdio::null());
    let output = command.output().await.unwrap();
    expect![[r#"
        service/kubernetes-dashboard edited
    "#]]
    .assert_eq(&format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ));
    let mut command = kubectl.command(line);
    command.env("KUBE_EDITOR", "true");
    let output = command.output().await.unwrap();
    expect![[r#"
        Edit cancelled, no changes made.
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stderr));
    kubectl
        .check(
            &["-n kubernetes-dashboard get service kubernetes-dashboard -o 'jsonpath={.spec.type}'"],
            expect![[r#"
                $ kubectl -n kubernetes-dashboard get service kubernetes-dashboard -o 'jsonpath={.spec.type}'
                NodePort
            "#]],
        )
        .await;
}

#[tokio::test]
async fn the_server_and_its_kinds_are_told() {
    let Some(kubectl) = tour("tour-server").await else { return };
    kubectl
        .check(
            &[
                "api-versions",
                "api-resources -o name",
                "explain networkpolicy.spec.ingress",
                "explain pods.spec.ephemeralContainers.name",
                "get --raw /healthz",
                "get --raw /livez?verbose",
                "get --raw /apis/nope",
                "config current-context",
                "config get-contexts -o name",
                "auth whoami -o name",
                "get validatingwebhookconfigurations",
                "get nope",
                "create -f /nowhere.yaml",
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
                $ kubectl api-resources -o name
                bindings
                componentstatuses
                configmaps
                endpoints
                events
                limitranges
                namespaces
                nodes
                persistentvolumeclaims
                persistentvolumes
                pods
                podtemplates
                replicationcontrollers
                resourcequotas
                secrets
                serviceaccounts
                services
                validatingadmissionpolicies.admissionregistration.k8s.io
                validatingadmissionpolicybindings.admissionregistration.k8s.io
                customresourcedefinitions.apiextensions.k8s.io
                apiservices.apiregistration.k8s.io
                controllerrevisions.apps
                daemonsets.apps
                deployments.apps
                replicasets.apps
                statefulsets.apps
                selfsubjectreviews.authentication.k8s.io
                tokenreviews.authentication.k8s.io
                localsubjectaccessreviews.authorization.k8s.io
                selfsubjectaccessreviews.authorization.k8s.io
                selfsubjectrulesreviews.authorization.k8s.io
                subjectaccessreviews.authorization.k8s.io
                horizontalpodautoscalers.autoscaling
                cronjobs.batch
                jobs.batch
                certificatesigningrequests.certificates.k8s.io
                leases.coordination.k8s.io
                endpointslices.discovery.k8s.io
                events.events.k8s.io
                flowschemas.flowcontrol.apiserver.k8s.io
                prioritylevelconfigurations.flowcontrol.apiserver.k8s.io
                ingressclasses.networking.k8s.io
                ingresses.networking.k8s.io
                networkpolicies.networking.k8s.io
                runtimeclasses.node.k8s.io
                poddisruptionbudgets.policy
                clusternetworkpolicies.policy.networking.k8s.io
                clusterrolebindings.rbac.authorization.k8s.io
                clusterroles.rbac.authorization.k8s.io
                rolebindings.rbac.authorization.k8s.io
                roles.rbac.authorization.k8s.io
                priorityclasses.scheduling.k8s.io
                csidrivers.storage.k8s.io
                csinodes.storage.k8s.io
                csistoragecapacities.storage.k8s.io
                storageclasses.storage.k8s.io
                volumeattachments.storage.k8s.io
                volumeattributesclasses.storage.k8s.io
                $ kubectl explain networkpolicy.spec.ingress
                GROUP:   networking.k8s.io
                KIND:   NetworkPolicy
                VERSION:   v1

                FIELD: ingress <[]NetworkPolicyIngressRule>


                DESCRIPTION:
                    ingress is a list of ingress rules to be applied to the selected pods.
                    Traffic is allowed to a pod if there are no NetworkPolicies selecting the
                    pod (and cluster policy otherwise allows the traffic), OR if the traffic
                    source is the pod's local node, OR if the traffic matches at least one
                    ingress rule across all of the NetworkPolicy objects whose podSelector
                    matches the pod. If this field is empty then this NetworkPolicy does not
                    allow any traffic (and serves solely to ensure that the pods it selects are
                    isolated by default)
                    NetworkPolicyIngressRule describes a particular set of traffic that is
                    allowed to the pods matched by a NetworkPolicySpec's podSelector. The
                    traffic must match both ports and from.

                FIELDS:
                  from	<[]NetworkPolicyPeer>
                    from is a list of sources which should be able to access the pods selected
                    for this rule. Items in this list are combined using a logical OR operation.
                    If this field is empty or missing, this rule matches all sources (traffic
                    not restricted by source). If this field is present and contains at least
                    one item, this rule allows traffic only if the traffic matches at least one
                    item in the from list.

                  ports	<[]NetworkPolicyPort>
                    ports is a list of ports which should be made accessible on the pods
                    selected for this rule. Each item in this list is combined using a logical
                    OR. If this field is empty or missing, this rule matches all ports (traffic
                    not restricted by port). If this field is present and contains at least one
                    item, then this rule allows traffic only if the traffic matches at least one
                    port in the list.


                $ kubectl explain pods.spec.ephemeralContainers.name
                KIND:   Pod
                VERSION:   v1

                FIELD: name <string>


                DESCRIPTION:
                    Name of the ephemeral container specified as a DNS_LABEL. This name must be
                    unique among all containers, init containers and ephemeral containers.


                $ kubectl get --raw /healthz
                ok
                $ kubectl get --raw /livez?verbose
                [+]ping ok
                [+]store ok
                livez check passed
                $ kubectl get --raw /apis/nope
                ! Error from server (NotFound): the server could not find the requested resource
                exit 1
                $ kubectl config current-context
                moat
                $ kubectl config get-contexts -o name
                moat
                $ kubectl auth whoami -o name
                selfsubjectreview.authentication.k8s.io/<unknown>
                $ kubectl get validatingwebhookconfigurations
                ! error: the server doesn't have a resource type "validatingwebhookconfigurations"
                exit 1
                $ kubectl get nope
                ! error: the server doesn't have a resource type "nope"
                exit 1
                $ kubectl create -f /nowhere.yaml
                ! error: the path "/nowhere.yaml" does not exist
                exit 1
            "#]],
        )
        .await;
}
