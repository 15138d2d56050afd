//! Every generation of kubectl that the machine has makes the same of the server: they send different requests for the same command.

use crate::common::kubectl::Kubectl;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a user types, and what every generation prints.
const TOUR: &[(&str, &str)] = &[
    ("create ns n", "namespace/n created"),
    (
        "apply -f world.yaml",
        "namespace/shop created\ndeployment.apps/web created\nconfigmap/conf created",
    ),
    (
        "apply -f world.yaml",
        "namespace/shop unchanged\ndeployment.apps/web unchanged\nconfigmap/conf unchanged",
    ),
    (
        "apply -f world.yaml --dry-run=server",
        "namespace/shop unchanged (server dry run)\ndeployment.apps/web unchanged (server dry run)\nconfigmap/conf unchanged (server dry run)",
    ),
    (
        "apply -f world.yaml --server-side --force-conflicts",
        "namespace/shop serverside-applied\ndeployment.apps/web serverside-applied\nconfigmap/conf serverside-applied",
    ),
    ("diff -f world.yaml", ""),
    ("get deploy -n shop -o name", "deployment.apps/web"),
    ("get deploy web -n shop -o 'jsonpath={.spec.replicas}'", "2"),
    ("get cm -n shop -o 'custom-columns=N:.metadata.name,A:.data.a'", "N   A\nconf   1"),
    ("get deploy -n shop --no-headers", "web   0/2   0   0   AGE"),
    ("create deployment d --image=nginx -n n", "deployment.apps/d created"),
    ("create cm c --from-literal=a=b -n n", "configmap/c created"),
    ("create secret generic s --from-literal=a=b -n n", "secret/s created"),
    ("create sa robot -n n", "serviceaccount/robot created"),
    ("create role r --verb=get --resource=pods -n n", "role.rbac.authorization.k8s.io/r created"),
    (
        "create rolebinding rb --role=r --serviceaccount=n:robot -n n",
        "rolebinding.rbac.authorization.k8s.io/rb created",
    ),
    ("create job j --image=busybox -n n", "job.batch/j created"),
    ("create ingress i --rule=a.b/*=web:80 -n n", "ingress.networking.k8s.io/i created"),
    ("create quota q --hard=pods=5 -n n", "resourcequota/q created"),
    ("create pdb p --selector=a=b --min-available=1 -n n", "poddisruptionbudget.policy/p created"),
    ("autoscale deploy d --min=1 --max=3 -n n", "horizontalpodautoscaler.autoscaling/d autoscaled"),
    ("run one --image=nginx -n n", "pod/one created"),
    ("expose pod one --port=80 --name=front -n n --selector=run=one", "service/front exposed"),
    ("scale deploy d --replicas=3 -n n", "deployment.apps/d scaled"),
    ("set image deploy/d nginx=nginx:2 -n n", "deployment.apps/d image updated"),
    ("label deploy d a=b -n n", "deployment.apps/d labeled"),
    ("annotate deploy d a=b -n n", "deployment.apps/d annotated"),
    ("patch deploy d -n n -p '{\"spec\":{\"minReadySeconds\":1}}'", "deployment.apps/d patched"),
    (
        "patch deploy d -n n --type=merge -p '{\"spec\":{\"minReadySeconds\":2}}'",
        "deployment.apps/d patched",
    ),
    (
        "patch deploy d -n n --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/minReadySeconds\"}]'",
        "deployment.apps/d patched",
    ),
    ("rollout restart deploy/d -n n", "deployment.apps/d restarted"),
    ("rollout pause deploy/d -n n", "deployment.apps/d paused"),
    ("rollout resume deploy/d -n n", "deployment.apps/d resumed"),
    ("auth can-i create pods -n n", "yes"),
    ("auth can-i create pods -n n --as=jane", "no\nexit 1"),
    ("auth can-i get pods -n n --as=system:serviceaccount:n:robot", "yes"),
    (
        "wait --for=jsonpath={.metadata.name}=d deploy/d -n n --timeout=5s",
        "deployment.apps/d condition met",
    ),
    ("wait --for=delete pod/nope -n n --timeout=5s", ""),
    ("get pods nope -n n", "! Error from server (NotFound): pods \"nope\" not found\nexit 1"),
    (
        "create cm c --from-literal=a=b -n n",
        "! error: failed to create configmap: configmaps \"c\" already exists\nexit 1",
    ),
    (
        "logs one -n n",
        "! Error from server (NotImplemented): pods/log, which needs a running container, is not supported by this server\nexit 1",
    ),
    ("cordon nope", "! Error from server (NotFound): nodes \"nope\" not found\nexit 1"),
    ("delete deploy d -n n --cascade=orphan --wait=false", "deployment.apps \"d\" deleted"),
    ("delete cm c -n n", "configmap \"c\" deleted"),
];

/// The programs by their version; one that is not there is no generation.
fn generations() -> BTreeMap<String, PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    // Where the one on the PATH is a link, its older ones lie beside what it leads to.
    let beside: Vec<PathBuf> = dirs
        .iter()
        .filter_map(|dir| dir.join("kubectl").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .collect();
    dirs.extend(beside);
    let mut all = BTreeMap::new();
    for file in dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        if name == "kubectl" || name.strip_prefix("kubectl.1.").is_some() {
            all.entry(name).or_insert_with(|| file.path());
        }
    }
    all
}

#[tokio::test]
async fn every_generation_of_kubectl_makes_the_same_tour() {
    let found = generations();
    if found.len() < 2 {
        let names: Vec<&String> = found.keys().collect();
        eprintln!("NOT EXERCISED: generations of kubectl beside each other; found {names:?}");
    }
    for (name, program) in &found {
        let label = format!("tour-{}", name.replace('.', "-"));
        let Some(kubectl) = Kubectl::with(program.to_str().unwrap(), &label).await else {
            continue;
        };
        let old =
            name.strip_prefix("kubectl.1.").is_some_and(|n| n.parse().is_ok_and(|n: u32| n < 30));
        if old && kubectl.run("get --raw /openapi/v2").await.contains("not supported") {
            eprintln!(
                "NOT EXERCISED: {name} applies by OpenAPI v2, which this server does not have"
            );
            continue;
        }
        for (line, want) in TOUR {
            let said = kubectl.run(line).await;
            // Since 1.33 a deletion says where.
            let said = said.trim_end().replace(" deleted from n namespace", " deleted");
            let quiet: Vec<&str> =
                said.lines().filter(|line| !line.starts_with("! Warning")).collect();
            assert_eq!(quiet.join("\n"), *want, "{name} {line}");
        }
    }
}
