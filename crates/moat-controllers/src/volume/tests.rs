use super::bind::{
    Around, BY_CONTROLLER, COMPLETED, Claim, Object, PROVISIONED_BY, Place, Volume, best, claim,
    volume,
};
use super::hold::wanted;
use moat_apiserver::Quantity;
use moat_informer::{Item, Meta};
use moat_store::Path;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn object(namespace: Option<&str>, name: &str, mut value: Value) -> Object {
    let mut meta: Meta = serde_json::from_value(value["metadata"].take()).unwrap_or_default();
    meta.name = name.into();
    meta.namespace = namespace.unwrap_or_default().into();
    meta.uid = format!("u-{name}").into();
    value["metadata"] = json!({ "name": name, "annotations": value["annotations"] });
    Arc::new(Item { path: Path::new(namespace, name).unwrap(), revision: 1, meta, value })
}

fn claim_of(spec: Value) -> Object {
    let mut all = json!({
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
    });
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    object(Some("n"), "c", json!({ "spec": all }))
}

fn volume_of(name: &str, size: &str, spec: Value) -> Object {
    let mut all = json!({ "accessModes": ["ReadWriteOnce"], "capacity": { "storage": size } });
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    let meta = json!({ "labels": { "name": name } });
    object(None, name, json!({ "metadata": meta, "spec": all, "status": { "phase": "Available" } }))
}

fn class_of(name: &str, provisioner: &str, mode: &str) -> Object {
    object(None, name, json!({ "provisioner": provisioner, "volumeBindingMode": mode }))
}

fn around<'a>(volumes: &'a [Object], classes: &'a [Object]) -> Around<'a> {
    Around { volumes, classes, waiting: &[], place: None, provisioner: super::PROVISIONER }
}

fn said(what: Claim) -> String {
    match what {
        Claim::Bind(volume) => format!("bind {}", volume.meta.name),
        Claim::Phase(phase, None) => phase.to_owned(),
        Claim::Phase(phase, Some((_, reason, message))) => format!("{phase} {reason}: {message}"),
        Claim::Class(name) => format!("class {name}"),
        Claim::Provision(class) => format!("provision {}", class.meta.name),
    }
}

fn decided(of: &Object, volumes: &[Object], classes: &[Object]) -> String {
    said(claim(of, &around(volumes, classes)))
}

#[test]
fn a_claim_gets_the_smallest_volume_that_fits() {
    let volumes = [
        volume_of("large", "10Gi", json!({})),
        volume_of("many", "1Gi", json!({ "accessModes": ["ReadWriteOnce", "ReadWriteMany"] })),
        volume_of("small", "2Gi", json!({})),
        volume_of("tiny", "100Mi", json!({})),
        volume_of("block", "1Gi", json!({ "volumeMode": "Block" })),
        volume_of("fast", "1Gi", json!({ "storageClassName": "fast" })),
        volume_of("taken", "1Gi", json!({ "claimRef": { "namespace": "n", "name": "other" } })),
    ];
    let of = |spec: Value| decided(&claim_of(spec), &volumes, &[]);
    assert_eq!(of(json!({})), "bind small");
    assert_eq!(of(json!({ "accessModes": ["ReadWriteMany"] })), "bind many");
    assert_eq!(of(json!({ "volumeMode": "Block" })), "bind block");
    assert_eq!(of(json!({ "storageClassName": "fast" })), "bind fast");
    assert_eq!(of(json!({ "selector": { "matchLabels": { "name": "large" } } })), "bind large");
    assert_eq!(
        of(json!({ "resources": { "requests": { "storage": "11Gi" } } })),
        "Pending FailedBinding: no persistent volumes available for this claim and no storage class is set"
    );
    // What is kept for it counts more than all else, also its class.
    let mut kept = volumes.to_vec();
    kept.push(volume_of(
        "kept",
        "50Gi",
        json!({ "storageClassName": "x", "claimRef": { "namespace": "n", "name": "c" } }),
    ));
    assert_eq!(decided(&claim_of(json!({})), &kept, &[]), "bind kept");
}

#[test]
fn a_claim_that_names_its_volume_gets_that_or_none() {
    let of = |spec: Value| {
        let claim = claim_of(json!({ "volumeName": "v" }));
        decided(&claim, &[volume_of("v", "1Gi", spec)], &[])
    };
    assert_eq!(of(json!({})), "bind v");
    assert_eq!(of(json!({ "claimRef": { "namespace": "n", "name": "c" } })), "bind v");
    expect_test::expect![[r#"
        Pending FailedBinding: volume "v" already bound to a different claim.
        Pending FailedBinding: volume "v" already bound to a different claim.
        Pending VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small
        Pending VolumeMismatch: Cannot bind to requested volume "v": storageClassName does not match
        Pending VolumeMismatch: Cannot bind to requested volume "v": incompatible volumeMode
        Pending VolumeMismatch: Cannot bind to requested volume "v": incompatible accessMode"#]]
    .assert_eq(
        &[
            json!({ "claimRef": { "namespace": "n", "name": "other" } }),
            json!({ "claimRef": { "namespace": "n", "name": "c", "uid": "older" } }),
            json!({ "capacity": { "storage": "1Mi" } }),
            json!({ "storageClassName": "x" }),
            json!({ "volumeMode": "Block" }),
            json!({ "accessModes": ["ReadOnlyMany"] }),
        ]
        .map(of)
        .join("\n"),
    );
    assert_eq!(decided(&claim_of(json!({ "volumeName": "later" })), &[], &[]), "Pending");
}

#[test]
fn what_was_bound_stays_or_is_lost() {
    let mut one = claim_of(json!({ "volumeName": "v" }));
    let bound = {
        let mut value = one.value.clone();
        value["metadata"]["annotations"] = json!({ COMPLETED: "yes" });
        let (path, meta) = (one.path.clone(), one.meta.clone());
        one = Arc::new(Item { path, revision: 1, meta, value });
        one
    };
    let of = |spec: Value| decided(&bound, &[volume_of("v", "1Gi", spec)], &[]);
    assert_eq!(
        of(json!({ "claimRef": { "namespace": "n", "name": "c", "uid": "u-c" } })),
        "bind v"
    );
    assert_eq!(of(json!({})), "bind v");
    assert_eq!(
        of(json!({ "claimRef": { "namespace": "n", "name": "c", "uid": "newer" } })),
        "Lost ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly"
    );
    assert_eq!(
        decided(&bound, &[], &[]),
        "Lost ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    );
}

#[test]
fn classes_say_who_makes_volumes_and_when() {
    let marked = object(
        None,
        "std",
        json!({
            "provisioner": super::PROVISIONER, "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        }),
    );
    let classes = [
        marked,
        class_of("late", super::PROVISIONER, "WaitForFirstConsumer"),
        class_of("cloud", "example.com/disk", "Immediate"),
        class_of("none", "kubernetes.io/no-provisioner", "Immediate"),
    ];
    let of = |spec: Value| decided(&claim_of(spec), &[], &classes);
    assert_eq!(of(json!({})), "class std");
    assert_eq!(of(json!({ "storageClassName": "std" })), "provision std");
    expect_test::expect![[r#"
        Pending FailedBinding: no persistent volumes available for this claim and no storage class is set
        Pending ProvisioningFailed: storageclass.storage.k8s.io "gone" not found
        Pending ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'example.com/disk' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.
        Pending ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner
        Pending ProvisioningFailed: moat.dev/host-path makes no block volumes
        Pending ProvisioningFailed: moat.dev/host-path makes no volumes for claims with a selector
        Pending WaitForFirstConsumer: waiting for first consumer to be created before binding"#]]
    .assert_eq(
        &[
            json!({ "storageClassName": "" }),
            json!({ "storageClassName": "gone" }),
            json!({ "storageClassName": "cloud" }),
            json!({ "storageClassName": "none" }),
            json!({ "storageClassName": "std", "volumeMode": "Block" }),
            json!({ "storageClassName": "std", "selector": { "matchLabels": { "a": "b" } } }),
            json!({ "storageClassName": "late" }),
        ]
        .map(of)
        .join("\n"),
    );
    let late = claim_of(json!({ "storageClassName": "late" }));
    let at = |waiting: &[&str], place| {
        said(claim(&late, &Around { waiting, place, ..around(&[], &classes) }))
    };
    assert_eq!(at(&["p"], None), "Pending WaitForPodScheduled: waiting for pod p to be scheduled");
    assert_eq!(
        at(&["p", "q"], None),
        "Pending WaitForPodScheduled: waiting for pods p,q to be scheduled"
    );
    let labels = json!({ "zone": "a" });
    let place = Some(Place { name: "a1", labels: &labels });
    assert_eq!(at(&[], place), "provision late");
    // A volume of another zone is out of reach.
    let zone = |zone: &str| {
        let term = json!({ "key": "zone", "operator": "In", "values": [zone] });
        let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [term] }] });
        json!({ "storageClassName": "late", "nodeAffinity": { "required": required } })
    };
    let volumes = [volume_of("b", "1Gi", zone("b")), volume_of("a", "5Gi", zone("a"))];
    let there = Around { place, ..around(&volumes, &classes) };
    assert_eq!(said(claim(&late, &there)), "bind a");
    let first = decided(&late, &volumes, &classes);
    assert!(first.starts_with("Pending WaitForFirstConsumer"), "{first}");
}

#[test]
fn volumes_follow_their_claims() {
    let with = |spec: Value| volume_of("v", "1Gi", spec);
    let of = |spec: Value, claim: Option<&Object>| volume(&with(spec), claim);
    let reference =
        |uid: &str| json!({ "claimRef": { "namespace": "n", "name": "c", "uid": uid } });
    let claim = |named: &str| claim_of(json!({ "volumeName": named }));
    assert_eq!(of(json!({}), None), Volume::Phase("Available"));
    assert_eq!(of(reference(""), None), Volume::Phase("Available"));
    assert_eq!(of(reference("u-c"), None), Volume::Released);
    assert_eq!(of(reference("older"), Some(&claim("v"))), Volume::Released);
    assert_eq!(of(reference("u-c"), Some(&claim("v"))), Volume::Phase("Bound"));
    assert_eq!(of(reference("u-c"), Some(&claim_of(json!({})))), Volume::Wait);
    assert_eq!(of(reference("u-c"), Some(&claim("w"))), Volume::Unbind);
    let mut made = reference("u-c");
    made["persistentVolumeReclaimPolicy"] = "Delete".into();
    let mut item = Item {
        path: Path::new(None, "v").unwrap(),
        revision: 1,
        meta: Meta::default(),
        value: json!({ "metadata": { "annotations": { PROVISIONED_BY: "x", BY_CONTROLLER: "yes" } }, "spec": made }),
    };
    item.meta.name = "v".into();
    assert_eq!(volume(&item, Some(&claim("w"))), Volume::Released);
}

#[test]
fn what_is_used_is_held() {
    let held = |has: bool, deleting: bool| {
        let mut meta = json!({});
        if has {
            meta["finalizers"] = json!(["f"]);
        }
        if deleting {
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        object(None, "x", json!({ "metadata": meta }))
    };
    for (has, deleting, used, want) in [
        (false, false, false, Some(true)),
        (true, false, false, None),
        (true, true, true, None),
        (true, true, false, Some(false)),
        // What goes already cannot be held any more.
        (false, true, true, None),
    ] {
        assert_eq!(wanted(&held(has, deleting), "f", used), want, "{has} {deleting} {used}");
    }
}

proptest! {
    /// Who gets a volume gets one that fits, and no smaller one that fits was left, nor is anybody refused while one fits.
    #[test]
    fn the_best_fits_best(
        wanted in 1_u32..20,
        many in any::<bool>(),
        sizes in proptest::collection::vec((1_u32..20, any::<bool>(), any::<bool>(), any::<bool>()), 0..12),
    ) {
        let modes = |many: bool| if many { json!(["ReadWriteOnce", "ReadWriteMany"]) } else { json!(["ReadWriteOnce"]) };
        let volumes: Vec<Object> = sizes.iter().enumerate().map(|(at, (size, many, taken, fast))| {
            let mut spec = json!({ "accessModes": modes(*many) });
            if *taken {
                spec["claimRef"] = json!({ "namespace": "n", "name": "other", "uid": "x" });
            }
            if *fast {
                spec["storageClassName"] = "fast".into();
            }
            volume_of(&format!("v{at}"), &format!("{size}Gi"), spec)
        }).collect();
        let own = claim_of(json!({ "accessModes": modes(many), "resources": { "requests": { "storage": format!("{wanted}Gi") } } }));
        let fits = |at: usize| {
            let (size, has, taken, fast) = sizes[at];
            wanted <= size && (has || !many) && !taken && !fast
        };
        let found = best(&own, &volumes, None, false);
        let all: Vec<usize> = (0..sizes.len()).filter(|at| fits(*at)).collect();
        match found {
            None => prop_assert!(all.is_empty()),
            Some(found) => {
                let at = volumes.iter().position(|one| one.meta.name == found.meta.name).unwrap();
                prop_assert!(fits(at));
                let size = |at: usize| Quantity::read(&volumes[at].value["spec"]["capacity"]["storage"]).unwrap();
                let alike = all.iter().filter(|other| sizes[**other].1 == sizes[at].1);
                prop_assert!(alike.clone().all(|other| size(at) <= size(*other)));
                // One that can do no more than was asked is taken before one that can.
                prop_assert!(!sizes[at].1 || all.iter().all(|other| sizes[*other].1));
            }
        }
    }
}
