//! What kubectl makes out of flags: it sends these objects as protobuf.

use crate::common::kubectl::Kubectl;
use expect_test::expect;

#[tokio::test]
async fn objects_made_out_of_flags() {
    let Some(kubectl) = Kubectl::new("generators").await else { return };
    kubectl
        .check(
            &[
                "create ns n",
                "create deployment web --image=nginx:1.25 --replicas=2 --port=80 -n n",
                "create cm conf --from-literal=a=1 --from-literal=b=ü -n n",
                "create secret generic key --from-literal=a=1 -n n",
                "create secret tls cert --cert=nothing --key=nothing -n n",
                "create sa robot -n n",
                "create role reader --verb=get,list --resource=pods,deployments.apps -n n",
                "create rolebinding readers --role=reader --serviceaccount=n:robot -n n",
                "create clusterrole seer --verb=get --resource=nodes",
                "create clusterrolebinding seers --clusterrole=seer --user=jane",
                "create job once --image=busybox -n n -- true",
                "create cronjob often --image=busybox --schedule '*/5 * * * *' -n n -- true",
                "create ingress front --rule 'a.example/*=web:80' -n n",
                "create quota small --hard=pods=3,services=5 -n n",
                "create pdb most --selector=app=web --min-available=1 -n n",
                "create priorityclass high --value=1000 --description=x",
                "create service clusterip web --tcp=80:http -n n",
                "run one --image=nginx:1.25 -n n",
                "expose deployment web --name=exposed --port=80 --target-port=http -n n",
                "create deployment web --image=nginx:1.25 -n n",
                "create ns 'No Name'",
            ],
            expect![[r#"
                $ kubectl create ns n
                namespace/n created
                $ kubectl create deployment web --image=nginx:1.25 --replicas=2 --port=80 -n n
                deployment.apps/web created
                $ kubectl create cm conf --from-literal=a=1 --from-literal=b=ü -n n
                configmap/conf created
                $ kubectl create secret generic key --from-literal=a=1 -n n
                secret/key created
                $ kubectl create secret tls cert --cert=nothing --key=nothing -n n
                ! error: Cannot read file nothing, open nothing: no such file or directory
                exit 1
                $ kubectl create sa robot -n n
                serviceaccount/robot created
                $ kubectl create role reader --verb=get,list --resource=pods,deployments.apps -n n
                role.rbac.authorization.k8s.io/reader created
                $ kubectl create rolebinding readers --role=reader --serviceaccount=n:robot -n n
                rolebinding.rbac.authorization.k8s.io/readers created
                $ kubectl create clusterrole seer --verb=get --resource=nodes
                clusterrole.rbac.authorization.k8s.io/seer created
                $ kubectl create clusterrolebinding seers --clusterrole=seer --user=jane
                clusterrolebinding.rbac.authorization.k8s.io/seers created
                $ kubectl create job once --image=busybox -n n -- true
                job.batch/once created
                $ kubectl create cronjob often --image=busybox --schedule '*/5 * * * *' -n n -- true
                cronjob.batch/often created
                $ kubectl create ingress front --rule 'a.example/*=web:80' -n n
                ingress.networking.k8s.io/front created
                $ kubectl create quota small --hard=pods=3,services=5 -n n
                resourcequota/small created
                $ kubectl create pdb most --selector=app=web --min-available=1 -n n
                poddisruptionbudget.policy/most created
                $ kubectl create priorityclass high --value=1000 --description=x
                priorityclass.scheduling.k8s.io/high created
                $ kubectl create service clusterip web --tcp=80:http -n n
                service/web created
                $ kubectl run one --image=nginx:1.25 -n n
                pod/one created
                $ kubectl expose deployment web --name=exposed --port=80 --target-port=http -n n
                service/exposed exposed
                $ kubectl create deployment web --image=nginx:1.25 -n n
                ! error: failed to create deployment: deployments.apps "web" already exists
                exit 1
                $ kubectl create ns 'No Name'
                ! The Namespace "No Name" is invalid:
                ! * metadata.name: Invalid value: "No Name": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',   or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
                ! * metadata.labels: Invalid value: "No Name": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',   or 'my_value',   or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
                exit 1
            "#]],
        )
        .await;
}

#[tokio::test]
async fn questions_and_deletions_come_as_protobuf_too() {
    let Some(kubectl) = Kubectl::new("questions").await else { return };
    kubectl
        .check(
            &[
                "auth can-i list pods",
                "auth can-i list pods --kubeconfig=jane",
                "create ns n",
                "run one --image=nginx:1.25 -n n",
                "delete pod one -n n --grace-period=0 --force",
                "delete ns n --wait=false",
            ],
            expect![[r#"
                $ kubectl auth can-i list pods
                yes
                $ kubectl auth can-i list pods --kubeconfig=jane
                no
                exit 1
                $ kubectl create ns n
                namespace/n created
                $ kubectl run one --image=nginx:1.25 -n n
                pod/one created
                $ kubectl delete pod one -n n --grace-period=0 --force
                pod "one" force deleted
                ! Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.
                $ kubectl delete ns n --wait=false
                namespace "n" deleted
            "#]],
        )
        .await;
}
