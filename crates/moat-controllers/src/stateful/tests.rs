use super::claims::{ClaimItem, Write, missing, owners};
use super::plan::{POD_NAME, Plan, REVISION, Range, Snapshot, ordinal_of, plan};
use super::{MAKER, pod as pod_for};
use crate::json::time;
use crate::pod::{Pod, PodItem};
use moat_informer::{Item, Meta, Owner};
use moat_store::Path;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn item(spec: Value) -> Item<Value> {
    let meta =
        Meta { name: "web".into(), namespace: "n".into(), uid: "set".into(), ..Meta::default() };
    let value = json!({ "metadata": { "name": "web" }, "spec": spec, "status": {} });
    Item { path: Path::new(Some("n"), "web").unwrap(), revision: 1, meta, value }
}

fn pod(ordinal: i64, revision: &str, phase: &str, ready_at: Option<i64>) -> PodItem {
    let conditions = ready_at
        .map(|at| json!({ "type": "Ready", "status": "True", "lastTransitionTime": time(at) }));
    let value = Pod::deserialize(json!({
        "status": { "phase": phase, "conditions": Vec::from_iter(conditions) },
    }));
    let name = format!("web-{ordinal}");
    let mut meta =
        Meta { name: name.as_str().into(), uid: format!("pod{ordinal}").into(), ..Meta::default() };
    meta.labels.insert(REVISION.into(), revision.into());
    meta.labels.insert(POD_NAME.into(), name.as_str().into());
    let path = Path::new(Some("n"), &name).unwrap();
    Arc::new(Item { path, revision: 1, meta, value: value.unwrap() })
}

fn going(pod: &PodItem) -> PodItem {
    let (path, mut meta, value) = (pod.path.clone(), pod.meta.clone(), pod.value.clone());
    meta.deletion_timestamp = Some(time(0).into());
    Arc::new(Item { path, revision: 2, meta, value })
}

fn none(_: &str) -> Option<ClaimItem> {
    None
}

fn at(item: &Item<Value>, pods: &[PodItem], [current, update]: [&str; 2], now: i64) -> Plan {
    plan(&Snapshot { item, pods, current, update, collisions: 0, claims: &none, now })
}

fn made(plan: &Plan) -> Vec<i64> {
    plan.create.iter().map(|new| new.ordinal).collect()
}

fn gone(plan: &Plan) -> Vec<i64> {
    plan.delete.iter().filter_map(|pod| ordinal_of(&pod.meta.name)).collect()
}

/// A set and its pods, by ordinal; plans are carried out at once, what is deleted goes when the test says so.
struct World {
    item: Item<Value>,
    pods: BTreeMap<i64, PodItem>,
    current: String,
    update: String,
    now: i64,
}

impl World {
    fn new(spec: Value) -> Self {
        let (current, update) = ("r1".to_owned(), "r1".to_owned());
        Self { item: item(spec), pods: BTreeMap::new(), current, update, now: 100 }
    }

    fn all(&self) -> Vec<PodItem> {
        self.pods.values().cloned().collect()
    }

    fn step(&mut self) -> Plan {
        let plan = at(&self.item, &self.all(), [&self.current, &self.update], self.now);
        for new in &plan.create {
            let revision = if new.updated { &self.update } else { &self.current };
            let old = self.pods.insert(new.ordinal, pod(new.ordinal, revision, "Pending", None));
            assert!(old.is_none(), "a pod was made that is there");
        }
        for pod in &plan.delete {
            self.pods.insert(ordinal_of(&pod.meta.name).unwrap(), going(pod));
        }
        self.current = plan.status["currentRevision"].as_str().unwrap().to_owned();
        self.item.value["status"] = plan.status.clone();
        plan
    }

    /// One thing happens to one pod.
    fn happen(&mut self, what: u8, which: usize) {
        let keys: Vec<i64> = self.pods.keys().copied().collect();
        let Some(ordinal) = keys.get(which % keys.len().max(1)).copied() else { return };
        let old = &self.pods[&ordinal];
        let revision = old.meta.label(REVISION).unwrap().to_owned();
        if old.meta.is_deleting() {
            self.pods.remove(&ordinal);
            return;
        }
        let now = self.now;
        let new = match what {
            0 => going(old),
            1 => pod(ordinal, &revision, "Failed", None),
            2 => pod(ordinal, &revision, "Running", None),
            _ if old.value.is_ready() => return,
            _ => pod(ordinal, &revision, "Running", Some(now)),
        };
        self.pods.insert(ordinal, new);
    }

    fn is_available(&self, ordinal: i64, min_ready: i64) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| {
            let then = pod.value.available_at(min_ready);
            !pod.meta.is_deleting() && then.is_some_and(|then| then <= self.now)
        })
    }
}

fn spec(replicas: i64, start: i64, parallel: bool, min_ready: i64, rolling: Value) -> Value {
    json!({
        "replicas": replicas, "ordinals": { "start": start }, "minReadySeconds": min_ready,
        "podManagementPolicy": if parallel { "Parallel" } else { "OrderedReady" },
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling },
    })
}

proptest! {
    /// Whatever happens to pods and whatever is wanted of the set: order and limits hold at every step, and in the end there is what is wanted.
    #[test]
    fn a_set_keeps_its_order_and_comes_to_rest(
        parallel in any::<bool>(),
        min_ready in prop_oneof![Just(0_i64), Just(7)],
        max in prop_oneof![Just(None), (1_i64..4).prop_map(Some)],
        first in (0_i64..6, 0_i64..3),
        steps in proptest::collection::vec((0_u8..9, 0_usize..12, 0_i64..6, 0_i64..4), 0..60),
    ) {
        let mut rolling = json!({ "partition": 0 });
        if let Some(max) = max {
            rolling["maxUnavailable"] = max.into();
        }
        let mut world = World::new(spec(first.0, first.1, parallel, min_ready, rolling));
        let mut n_templates = 1;
        let rest = (0..200).flat_map(|n| [(4, 0, 0, 0), (3, n, 0, 0)]);
        for (what, which, replicas, partition) in steps.into_iter().chain(rest) {
            match what {
                0..=3 => world.happen(what, which),
                5 => world.item.value["spec"]["replicas"] = replicas.into(),
                6 => {
                    n_templates += 1;
                    world.update = format!("r{n_templates}");
                }
                7 => world.item.value["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = partition.into(),
                8 => world.item.value["spec"]["ordinals"]["start"] = partition.into(),
                _ => {
                    let range = Range::of(&world.item.value);
                    let start = world.item.value["spec"]["ordinals"]["start"].as_i64().unwrap();
                    let n = world.item.value["spec"]["replicas"].as_i64().unwrap();
                    let all: Vec<i64> = (start..start + n).collect();
                    let well: Vec<i64> = all.iter().copied().filter(|at| world.is_available(*at, min_ready)).collect();
                    let before = world.pods.clone();
                    let partition = start + world.item.value["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap();
                    let update = world.update.clone();
                    let plan = world.step();
                    let (made, gone) = (made(&plan), gone(&plan));
                    prop_assert!(made.iter().all(|ordinal| range.contains(*ordinal)));
                    if !parallel {
                        prop_assert!(made.len() <= 1);
                        prop_assert!(gone.len() <= 1 || max.is_some());
                        for ordinal in &made {
                            prop_assert!((start..*ordinal).all(|below| well.contains(&below)));
                        }
                    }
                    let is_over = |ordinal: &i64| before[ordinal].value.is_over();
                    for ordinal in gone.iter().filter(|ordinal| !is_over(ordinal)) {
                        if range.contains(*ordinal) {
                            // For an update: an old one, not below the partition.
                            prop_assert!(partition <= *ordinal);
                            prop_assert!(before[ordinal].meta.label(REVISION) != Some(&update));
                        } else if !parallel {
                            prop_assert_eq!(well.len(), all.len());
                            prop_assert!(before.keys().all(|other| range.contains(*other) || other <= ordinal));
                        }
                    }
                    let updating = gone.iter().filter(|at| range.contains(**at) && !is_over(at) && well.contains(at)).count();
                    let missing = all.len() - well.len();
                    let limit = usize::try_from(max.unwrap_or(1)).unwrap();
                    prop_assert!(updating == 0 || max.is_none() && updating <= 1 || updating + missing <= limit);
                }
            }
            world.now += 1;
        }
        world.now += 10;
        let last = world.step();
        prop_assert!(last.create.is_empty() && last.delete.is_empty() && last.repair.is_empty());
        let start = world.item.value["spec"]["ordinals"]["start"].as_i64().unwrap();
        let n = world.item.value["spec"]["replicas"].as_i64().unwrap();
        prop_assert_eq!(world.pods.keys().copied().collect::<Vec<_>>(), (start..start + n).collect::<Vec<_>>());
        let partition = start + world.item.value["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap();
        for (ordinal, pod) in &world.pods {
            prop_assert!(*ordinal < partition || pod.meta.label(REVISION) == Some(&world.update));
        }
        let status = &last.status;
        for field in ["replicas", "availableReplicas"] {
            prop_assert_eq!(status[field].as_i64(), Some(n));
        }
        if partition == start {
            prop_assert_eq!(&status["currentRevision"], &status["updateRevision"]);
            prop_assert_eq!(status["updatedReplicas"].as_i64().unwrap_or(0), n);
        }
    }
}

#[test]
fn pods_come_one_by_one_unless_they_need_not() {
    let mut world = World::new(spec(3, 5, false, 0, json!({ "partition": 0 })));
    assert_eq!(made(&world.step()), [5]);
    assert_eq!(made(&world.step()), Vec::<i64>::new());
    world.happen(3, 0);
    assert_eq!(made(&world.step()), [6]);
    let mut world = World::new(spec(3, 5, true, 0, json!({ "partition": 0 })));
    assert_eq!(made(&world.step()), [5, 6, 7]);
    // A thousand million replicas are not made at once, nor thought of.
    let huge = World::new(spec(i64::from(i32::MAX), 0, true, 0, json!({}))).step();
    assert_eq!(made(&huge).len(), 500);
}

#[test]
fn below_the_partition_pods_stay_and_come_again_as_they_were() {
    let mut world = World::new(spec(3, 0, false, 0, json!({ "partition": 2 })));
    for ordinal in 0..3 {
        world.pods.insert(ordinal, pod(ordinal, "r1", "Running", Some(1)));
    }
    world.update = "r2".to_owned();
    let plan = world.step();
    assert_eq!(gone(&plan), [2]);
    // What was deleted is no longer of the current revision.
    assert_eq!(
        (&plan.status["currentReplicas"], plan.status.get("updatedReplicas")),
        (&json!(2), None)
    );
    world.pods.remove(&2);
    let plan = world.step();
    assert_eq!((made(&plan), plan.create[0].updated), (vec![2], true));
    world.happen(3, 2);
    world.pods.remove(&1);
    let plan = world.step();
    assert_eq!((made(&plan), plan.create[0].updated), (vec![1], false));
    world.happen(3, 1);
    let plan = world.step();
    assert!(plan.delete.is_empty());
    assert_eq!(plan.status["currentRevision"], "r1");
    assert_eq!(plan.status["updatedReplicas"], 1);
}

#[test]
fn on_delete_leaves_old_pods_until_somebody_deletes_them() {
    let mut world = World::new(json!({ "replicas": 2, "updateStrategy": { "type": "OnDelete" } }));
    for ordinal in 0..2 {
        world.pods.insert(ordinal, pod(ordinal, "r1", "Running", Some(1)));
    }
    world.update = "r2".to_owned();
    assert!(world.step().delete.is_empty());
    world.pods.remove(&1);
    assert!(world.step().create[0].updated);
    // As upstream has it, the current revision stays: nobody completes such an update.
    world.happen(3, 1);
    assert_eq!(world.step().status["currentRevision"], "r1");
}

#[test]
fn a_pod_that_ended_is_made_anew() {
    for phase in ["Failed", "Succeeded"] {
        let mut world = World::new(spec(2, 0, false, 0, json!({ "partition": 0 })));
        world.pods.insert(0, pod(0, "r1", phase, None));
        world.pods.insert(1, pod(1, "r1", "Running", Some(1)));
        assert_eq!(gone(&world.step()), [0]);
        assert_eq!(made(&world.step()), Vec::<i64>::new(), "it has not gone yet");
        world.pods.remove(&0);
        assert_eq!(made(&world.step()), [0]);
    }
}

#[test]
fn a_pod_that_is_not_well_keeps_an_ordered_set_from_shrinking() {
    let mut world = World::new(spec(1, 0, false, 0, json!({ "partition": 0 })));
    world.pods.insert(0, pod(0, "r1", "Running", None));
    world.pods.insert(1, pod(1, "r1", "Running", Some(1)));
    assert!(world.step().delete.is_empty());
    world.happen(3, 0);
    assert_eq!(gone(&world.step()), [1]);
}

#[test]
fn who_is_ready_long_enough_is_available() {
    let mut world = World::new(spec(2, 0, false, 30, json!({ "partition": 0 })));
    world.pods.insert(0, pod(0, "r1", "Running", Some(80)));
    let plan = world.step();
    assert_eq!((made(&plan).len(), plan.again), (0, Some(10)));
    assert_eq!(
        (&plan.status["readyReplicas"], &plan.status["availableReplicas"]),
        (&json!(1), &json!(0))
    );
    world.now = 110;
    assert_eq!(made(&world.step()), [1]);
}

fn with_claims(when_deleted: &str, when_scaled: &str) -> Item<Value> {
    item(json!({
        "replicas": 2, "serviceName": "svc", "selector": { "matchLabels": { "app": "web" } },
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": when_deleted, "whenScaled": when_scaled },
        "volumeClaimTemplates": [
            { "kind": "PersistentVolumeClaim", "metadata": { "name": "data" }, "spec": { "accessModes": ["ReadWriteOnce"] }, "status": { "phase": "Pending" } },
        ],
    }))
}

fn claim(owners: Vec<Owner>) -> ClaimItem {
    let meta = Meta { name: "data-web-0".into(), owner_references: owners, ..Meta::default() };
    let path = Path::new(Some("n"), "data-web-0").unwrap();
    Arc::new(Item { path, revision: 1, meta, value: json!({}) })
}

fn by(kind: &str, name: &str, uid: &str) -> Owner {
    let api_version = if kind == "Pod" { "v1" } else { "apps/v1" };
    Owner {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
        controller: true,
        block_owner_deletion: true,
    }
}

#[test]
fn claims_are_made_once_and_not_while_one_goes() {
    let set = with_claims("Delete", "Retain");
    let Ok(writes) = missing(&set, 1, &none) else { panic!() };
    let [Write::Make { pod, claim: made }] = writes.as_slice() else { panic!("{writes:?}") };
    expect_test::expect![[r#"web-1 {"metadata":{"name":"data-web-1","labels":{"app":"web"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"web","uid":"set","controller":true,"blockOwnerDeletion":true}]},"spec":{"accessModes":["ReadWriteOnce"]}}"#]]
        .assert_eq(&format!("{pod} {made}"));
    let there = claim(vec![]);
    assert_eq!(missing(&set, 0, &|_| Some(Arc::clone(&there))), Ok(vec![]));
    let mut meta = there.meta.clone();
    meta.deletion_timestamp = Some(time(0).into());
    let (path, value) = (there.path.clone(), json!({}));
    let goes = Arc::new(Item { path, revision: 2, meta, value });
    let why = missing(&set, 0, &|_| Some(Arc::clone(&goes))).unwrap_err();
    assert_eq!(why, "pvc data-web-0 is being deleted");
    let find = |_: &str| Some(Arc::clone(&goes));
    let refused = plan(&Snapshot {
        item: &set,
        pods: &[],
        current: "r",
        update: "r",
        collisions: 0,
        claims: &find,
        now: 1,
    });
    assert_eq!((refused.create.len(), refused.refused), (0, Some((0, why))));
}

/// Upstream's table: what the policy says, whether the pod is too many, and whose the claim is.
#[test]
fn claims_belong_to_whoever_takes_them_along() {
    for (deleted, scaled, n, wanted) in [
        ("Retain", "Retain", 2, None),
        ("Retain", "Retain", 0, None),
        ("Delete", "Retain", 2, Some("set")),
        ("Delete", "Retain", 0, Some("set")),
        ("Retain", "Delete", 2, None),
        ("Retain", "Delete", 0, Some("pod0")),
        ("Delete", "Delete", 2, Some("set")),
        ("Delete", "Delete", 0, Some("pod0")),
    ] {
        let mut set = with_claims(deleted, scaled);
        set.value["spec"]["replicas"] = n.into();
        let pod = pod(0, "r", "Running", Some(1));
        for had in [None, Some("set"), Some("pod0")] {
            let owner = had.map(|uid| match uid {
                "set" => by("StatefulSet", "web", uid),
                _ => by("Pod", "web-0", uid),
            });
            let one = claim(Vec::from_iter(owner));
            let writes = owners(&set, &pod, &|_| Some(Arc::clone(&one)));
            if had == wanted {
                assert_eq!(writes, [], "{deleted} {scaled} {n} {had:?}");
                continue;
            }
            let [Write::Own { owners, conflict: false, .. }] = writes.as_slice() else {
                panic!("{writes:?}")
            };
            let uids: Vec<&str> =
                owners.iter().map(|owner| owner["uid"].as_str().unwrap()).collect();
            assert_eq!(uids, Vec::from_iter(wanted), "{deleted} {scaled} {n} {had:?}");
        }
    }
    let set = with_claims("Delete", "Delete");
    let pod = pod(0, "r", "Running", Some(1));
    let of = |all: Vec<Owner>| owners(&set, &pod, &|_| Some(claim(all.clone())));
    // Another's is left to it; what waits for the garbage collector too.
    assert_eq!(of(vec![by("Thing", "t", "t")]), []);
    assert_eq!(of(vec![by("Pod", "web-0", "older")]), []);
    let both = of(vec![by("Thing", "t", "t"), by("StatefulSet", "web", "set")]);
    let [Write::Own { owners, conflict: true, .. }] = both.as_slice() else { panic!("{both:?}") };
    assert_eq!(owners.len(), 1);
    // A claim of a pod that is gone is not taken by the next one.
    let find = |_: &str| Some(claim(vec![by("Pod", "web-0", "older")]));
    let waits = plan(&Snapshot {
        item: &set,
        pods: &[],
        current: "r",
        update: "r",
        collisions: 0,
        claims: &find,
        now: 1,
    });
    assert_eq!((waits.create.len(), waits.claims.len()), (0, 0));
}

#[test]
fn a_pod_has_its_name_everywhere() {
    let set = with_claims("Retain", "Retain");
    let revision = Item {
        path: Path::new(Some("n"), "web-x").unwrap(),
        revision: 1,
        meta: Meta { name: "web-x".into(), ..Meta::default() },
        value: json!({ "data": { "spec": { "template": {
            "$patch": "replace", "metadata": { "labels": { "app": "web" } },
            "spec": { "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "tmp", "emptyDir": {} }] },
        } } } }),
    };
    expect_test::expect![[r#"
        {
          "metadata": {
            "labels": {
              "app": "web",
              "statefulset.kubernetes.io/pod-name": "web-3",
              "apps.kubernetes.io/pod-index": "3",
              "controller-revision-hash": "web-x"
            },
            "ownerReferences": [
              {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "name": "web",
                "uid": "set",
                "controller": true,
                "blockOwnerDeletion": true
              }
            ],
            "name": "web-3"
          },
          "spec": {
            "volumes": [
              {
                "name": "data",
                "persistentVolumeClaim": {
                  "claimName": "data-web-3"
                }
              },
              {
                "name": "tmp",
                "emptyDir": {}
              }
            ],
            "hostname": "web-3",
            "subdomain": "svc"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&pod_for(&set, &revision, 3)).unwrap());
}

#[test]
fn only_pods_of_its_name_are_its_own() {
    let set = json!({ "metadata": { "name": "web" }, "spec": { "selector": { "matchLabels": { "a": "b" } } } });
    let of = |name: &str| {
        let mut meta = Meta { name: name.into(), ..Meta::default() };
        meta.labels.insert("a".into(), "b".into());
        (MAKER.matches)(&set, &meta)
    };
    assert!(of("web-0") && of("web-12"));
    assert!(
        !of("web-")
            && !of("web")
            && !of("web-x")
            && !of("other-0")
            && !of("web-web-0")
            && !of("web-99999999999")
    );
}
