use super::plan::{Size, Wanted, hash, roll, scale};
use proptest::prelude::*;
use serde_json::json;

/// A ReplicaSet in a world where pods become ready when they like.
#[derive(Clone, Copy, Debug)]
struct World {
    spec: i64,
    pods: i64,
    ready: i64,
}

impl World {
    fn seen(self) -> Size {
        Size { replicas: self.spec, available: self.ready }
    }

    /// The ReplicaSet controller: unready pods go first.
    fn settle(&mut self) {
        self.pods = self.spec;
        self.ready = self.ready.min(self.pods);
    }
}

proptest! {
    /// Whatever the readiness of pods does, a rollout from a whole old set never has fewer available pods than it promised (as long as ready
    /// pods stay ready), never more pods than it may, and ends when all pods become ready.
    #[test]
    fn a_rollout_keeps_its_promises(
        replicas in 1_i64..12,
        surge in 0_i64..5,
        unavailable in 0_i64..5,
        steps in proptest::collection::vec((0_u8..4, 0_i64..4), 0..80),
    ) {
        let (max_surge, max_unavailable) = if surge + unavailable == 0 { (0, 1) } else { (surge, unavailable.min(replicas)) };
        prop_assume!(0 < max_surge + max_unavailable);
        let wanted = Wanted { replicas, max_surge, max_unavailable };
        let mut old = World { spec: replicas, pods: replicas, ready: replicas };
        let mut new = World { spec: 0, pods: 0, ready: 0 };
        let check = |old: &World, new: &World| {
            assert!(replicas - max_unavailable <= old.ready + new.ready, "{old:?} {new:?}");
            assert!(old.spec + new.spec <= replicas + max_surge, "{old:?} {new:?}");
        };
        let all_ready = std::iter::repeat_n((9_u8, 0_i64), 200);
        for (what, n) in steps.into_iter().chain(all_ready) {
            match what {
                0 => old.settle(),
                1 => new.settle(),
                2 => new.ready = (new.ready + n).min(new.pods),
                _ => {}
            }
            if what == 9 {
                old.settle();
                new.settle();
                new.ready = new.pods;
            }
            // What the controller sees of sets whose pods were not yet deleted is that they still have them.
            let (next, sizes) = roll(wanted, new.seen(), &[old.seen()]);
            new.spec = next;
            old.spec = sizes[0];
            let (mut then_old, mut then_new) = (old, new);
            then_old.settle();
            then_new.settle();
            check(&then_old, &then_new);
        }
        prop_assert_eq!((old.spec, new.spec), (0, replicas));
    }

    /// Scaling in the middle of a rollout ends with the size that is wanted, surge included, and never below nothing.
    #[test]
    fn scaling_is_in_proportion(sizes in proptest::collection::vec(1_i64..30, 2..5), replicas in 0_i64..60, max_surge in 0_i64..5) {
        let wanted = Wanted { replicas, max_surge, max_unavailable: 1 };
        let after = scale(wanted, &sizes);
        prop_assert!(after.iter().all(|size| 0 <= *size), "{:?}", after);
        let want = if replicas == 0 { 0 } else { replicas + max_surge };
        prop_assert_eq!(after.iter().sum::<i64>(), want);
    }
}

#[test]
fn shares_are_rounded_as_upstream_does() {
    let of = |surge: serde_json::Value, unavailable: serde_json::Value, replicas: i64| {
        let rolling = json!({ "maxSurge": surge, "maxUnavailable": unavailable });
        let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": rolling });
        let wanted = Wanted::of(&json!({ "spec": { "replicas": replicas, "strategy": strategy } }));
        (wanted.max_surge, wanted.max_unavailable)
    };
    assert_eq!(of(json!("25%"), json!("25%"), 10), (3, 2));
    assert_eq!(of(json!("25%"), json!("25%"), 1), (1, 0));
    assert_eq!(of(json!(0), json!("10%"), 3), (0, 1));
    assert_eq!(of(json!(2), json!(20), 3), (2, 3));
}

#[test]
fn a_hash_depends_on_the_template_and_on_nothing_else() {
    let a = json!({ "metadata": { "labels": { "a": "1", "b": "2" } }, "spec": {} });
    let b = json!({ "spec": {}, "metadata": { "labels": { "b": "2", "a": "1" } } });
    let c = json!({ "spec": {}, "metadata": { "labels": { "b": "2", "a": "12" } } });
    assert_eq!(hash(&a, 0), hash(&b, 0));
    assert_ne!(hash(&a, 0), hash(&c, 0));
    assert_ne!(hash(&a, 0), hash(&a, 1));
}
