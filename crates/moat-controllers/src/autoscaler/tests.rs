//! Plans of autoscalers: upstream's examples, its documentation's, and what holds whatever is measured.

use super::calculate::{
    Proposal, Resource, Sample, Samples, Target, Tolerance, per_pod, resource, total,
};
use super::history::{History, Settled, Wish};
use super::metrics::Reading;
use super::plan::{Measured, Plan, Scale, needs_metrics, plan, unscalable};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const TENTH: Tolerance = Tolerance { down: 0.1, up: 0.1 };
const CPU: Resource<'_> = Resource { name: "cpu", container: "" };

/// A pod that runs and has been ready for an hour.
fn pod(n: usize, request: &str) -> Value {
    json!({
        "metadata": { "name": format!("p{n}"), "namespace": "default" },
        "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": request } } }] },
        "status": {
            "phase": "Running", "startTime": "2027-01-15T07:00:00Z",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2027-01-15T07:00:10Z" }],
        },
    })
}

fn samples(values: &[i64]) -> Samples {
    let sample = |value| Sample { value, time: NOW - 30, window: 30 };
    values.iter().enumerate().map(|(n, value)| (format!("p{n}"), sample(*value))).collect()
}

fn pods(requests: &[&str]) -> Vec<Value> {
    requests.iter().enumerate().map(|(n, request)| pod(n, request)).collect()
}

fn share(percent: i64, current: i32, pods: &[Value], used: &[i64]) -> Result<Proposal, String> {
    resource(CPU, Target::Share(percent), current, TENTH, pods, samples(used), NOW)
}

fn replicas(result: &Result<Proposal, String>) -> (i32, i64) {
    let found = result.as_ref().unwrap();
    (found.replicas, found.share.unwrap())
}

/// The cases of upstream's `replica_calculator_test.go`, with one container a pod.
#[test]
fn replicas_are_what_upstream_computes() {
    let three = pods(&["1", "1", "1"]);
    assert_eq!(replicas(&share(30, 3, &three, &[300, 500, 700])), (5, 50));
    let five = pods(&["1"; 5]);
    assert_eq!(replicas(&share(50, 5, &five, &[100, 300, 500, 250, 250])), (3, 28));
    // A tenth more or less is no reason.
    let near = pods(&["0.9", "1.0", "1.1"]);
    assert_eq!(replicas(&share(100, 3, &near, &[1010, 1030, 1020])), (3, 102));
    // Pods that were not measured are busy on the way down and idle on the way up.
    let four = pods(&["1"; 4]);
    assert_eq!(replicas(&share(100, 4, &four, &[400, 95])), (3, 24));
    let two = pods(&["0.5", "0.5"]);
    assert_eq!(replicas(&share(50, 2, &two, &[480])), (2, 96));
    assert_eq!(replicas(&share(30, 3, &three, &[1000, 1000])), (7, 100));
    // Averages by themselves need no requests.
    let bare = pods(&["0", "0", "0"]);
    let average = |target, current, used: &[i64]| {
        let own = Resource { name: "memory", container: "" };
        resource(own, Target::Average(target), current, TENTH, &bare, samples(used), NOW)
    };
    let found = average(15_000, 3, &[20_000, 10_000, 30_000]).unwrap();
    assert_eq!((found.replicas, found.share, found.average), (4, None, 20_000));
    assert_eq!(average(20_000, 3, &[20_000, 21_000, 21_000]).unwrap().replicas, 3);
}

#[test]
fn pods_that_are_not_ready_slow_growth_and_never_turn_it() {
    let mut all = pods(&["1", "1", "1"]);
    let warm = |pod: &mut Value| {
        pod["status"]["startTime"] = "2027-01-15T07:59:00Z".into();
        pod["status"]["conditions"][0]["status"] = "False".into();
    };
    warm(&mut all[0]);
    assert_eq!(replicas(&share(30, 3, &all, &[300, 500, 700])), (4, 60));
    warm(&mut all[1]);
    all[2]["status"]["phase"] = "Pending".into();
    // Nothing is left that was measured.
    let why = "did not receive metrics for targeted pods (pods might be unready)";
    assert_eq!(share(30, 3, &all, &[400, 500, 700]).unwrap_err(), why);
    let mut all = pods(&["1", "1", "1"]);
    warm(&mut all[1]);
    warm(&mut all[2]);
    assert_eq!(replicas(&share(30, 3, &all, &[400, 500, 700])), (3, 40));
    // A pod that goes, and one that has failed, count for nothing.
    let mut all = pods(&["1", "1", "1"]);
    all[0]["metadata"]["deletionTimestamp"] = "2027-01-15T07:59:00Z".into();
    all[1]["status"]["phase"] = "Failed".into();
    assert_eq!(replicas(&share(50, 3, &all, &[900, 900, 100])), (1, 10));
    // One that became ready after it was measured is not measured; one that was ready once and is not now, is.
    let mut late = pods(&["1", "1"]);
    late[0]["status"]["startTime"] = "2027-01-15T07:58:00Z".into();
    late[0]["status"]["conditions"][0]["lastTransitionTime"] = "2027-01-15T07:59:20Z".into();
    assert_eq!(replicas(&share(50, 2, &late, &[900, 50])), (1, 5));
    let mut lost = pods(&["1", "1"]);
    lost[0]["status"]["conditions"] = json!([{ "type": "Ready", "status": "False", "lastTransitionTime": "2027-01-15T07:50:00Z" }]);
    assert_eq!(replicas(&share(50, 2, &lost, &[900, 900])), (4, 90));
}

#[test]
fn what_little_is_known_is_read_against_the_change() {
    // Each way has a tolerance of its own.
    let wide = Tolerance { down: 0.1, up: 0.5 };
    let one = pods(&["1"]);
    let used =
        |tolerance| resource(CPU, Target::Share(100), 1, tolerance, &one, samples(&[1400]), NOW);
    assert_eq!((replicas(&used(wide)).0, replicas(&used(TENTH)).0), (1, 2));
    // On the way down a pod that was not measured uses all that it requests, however little is the target.
    let ten = pods(&["1"; 10]);
    assert_eq!(replicas(&share(50, 10, &ten, &[0; 8])).0, 4);
    // More pods than are wanted are no reason to want more where less is used than should be.
    assert_eq!(replicas(&share(100, 5, &ten, &[750; 9])).0, 5);
    // A pod is new for five minutes, and not a second longer.
    let mut young = pods(&["1"]);
    young[0]["status"]["startTime"] = "2027-01-15T07:55:00Z".into();
    young[0]["status"]["conditions"][0]["lastTransitionTime"] = "2027-01-15T07:59:40Z".into();
    assert_eq!(replicas(&share(50, 1, &young, &[900])), (2, 90));
    young[0]["status"]["startTime"] = "2027-01-15T07:55:01Z".into();
    assert!(share(50, 1, &young, &[900]).is_err());
    // Numbers that are of no pod are shared by those that are ready.
    let mut three = pods(&["1"; 3]);
    three[0]["status"]["conditions"][0]["status"] = "False".into();
    assert_eq!(total(3000, 1000, 3, TENTH, &three), Ok(6));
}

#[test]
fn of_several_metrics_the_one_that_wants_most_counts() {
    let metric = |percent: i64| json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": percent } } });
    for targets in [[25, 50], [50, 25]] {
        let own = hpa(&json!({ "metrics": targets.map(metric) }));
        let readings =
            vec![Reading::Pods(Ok(samples(&[500; 3]))), Reading::Pods(Ok(samples(&[500; 3])))];
        let measured = Measured { pods: pods(&["1"; 3]), readings, rivals: Vec::new() };
        let made = plan(&own, &scale(3), &measured, &mut History::default(), NOW * 1000);
        assert_eq!(made.rescale.map(|(replicas, _)| replicas), Some(6), "{targets:?}");
    }
}

#[test]
fn what_cannot_be_computed_says_why() {
    let why = |pods: &[Value], used: &[i64]| share(50, 1, pods, used).unwrap_err();
    assert_eq!(why(&[], &[1]), "no pods returned by selector while calculating replica count");
    let mut bare = pods(&["1"]);
    bare[0]["spec"]["containers"][0]["resources"] = json!({});
    assert_eq!(why(&bare, &[1]), "missing request for cpu in container c of Pod p0");
    assert_eq!(why(&pods(&["0"]), &[1]), "no metrics returned matched known pods");
    let other = Resource { name: "cpu", container: "x" };
    let found = resource(other, Target::Share(50), 1, TENTH, &pods(&["1"]), samples(&[1]), NOW);
    assert_eq!(found.unwrap_err(), "container x not found in Pod p0");
    // Sidecars count, and what the whole pod requests goes before its containers.
    let mut whole = pods(&["1"]);
    whole[0]["spec"]["initContainers"] = json!([
        { "name": "side", "restartPolicy": "Always", "resources": { "requests": { "cpu": "1" } } }, { "name": "init" },
    ]);
    assert_eq!(replicas(&share(50, 1, &whole, &[1000])), (1, 50));
    whole[0]["spec"]["resources"] = json!({ "requests": { "cpu": "500m" } });
    assert_eq!(replicas(&share(50, 1, &whole, &[1000])), (4, 200));
}

#[test]
fn numbers_that_are_of_no_pod() {
    let three = pods(&["1", "1", "1"]);
    assert_eq!(total(8600, 4400, 3, TENTH, &three), Ok(6));
    assert_eq!(total(8600, 8888, 3, TENTH, &three), Ok(3));
    assert_eq!(total(8600, 4400, 0, TENTH, &[]), Ok(2));
    assert!(total(8600, 4400, 3, TENTH, &[]).is_err());
    assert_eq!(per_pod(8600, 2150, 3, TENTH), (4, 2867));
    assert_eq!(per_pod(8600, 2867, 3, TENTH), (3, 2867));
    assert_eq!(per_pod(0, 1000, 0, TENTH).0, 0);
}

fn settle(history: &mut History, wish: (i32, i32), behavior: &Value, at: i64) -> Settled {
    let (current, desired) = wish;
    history.settle(Wish { current, desired, min: 1, max: 100 }, behavior, at * 1000)
}

#[test]
fn what_was_wanted_lately_holds_for_five_minutes() {
    let mut history = History::default();
    history.begin(10, 0);
    let of = |history: &mut History, wish, at| {
        let settled = settle(history, wish, &Value::Null, at);
        (settled.replicas, settled.able.0, settled.limited.1)
    };
    let ready = "ReadyForNewScale";
    let within = "DesiredWithinRange";
    assert_eq!(of(&mut history, (10, 4), 15), (10, "ScaleDownStabilized", within));
    assert_eq!(of(&mut history, (10, 7), 200), (10, "ScaleDownStabilized", within));
    assert_eq!(of(&mut history, (10, 4), 301), (7, "ScaleDownStabilized", within));
    assert_eq!(of(&mut history, (7, 4), 501), (4, ready, within));
    // Up is at once, and at most twice as many; four are always allowed.
    assert_eq!(of(&mut history, (10, 50), 600), (20, ready, "ScaleUpLimit"));
    assert_eq!(of(&mut history, (60, 500), 601), (100, ready, "TooManyReplicas"));
    let mut fresh = History::default();
    assert_eq!(of(&mut fresh, (1, 9), 0), (4, ready, "ScaleUpLimit"));
    assert_eq!(of(&mut History::default(), (1, 0), 0), (1, ready, "TooFewReplicas"));
}

fn rules(up: Value, down: Value) -> Value {
    let mut behavior = json!({
        "scaleUp": { "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
            { "type": "Pods", "value": 4, "periodSeconds": 15 }, { "type": "Percent", "value": 100, "periodSeconds": 15 },
        ] },
        "scaleDown": { "selectPolicy": "Max", "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }] },
    });
    for (side, own) in [("scaleUp", up), ("scaleDown", down)] {
        for (field, value) in own.as_object().into_iter().flatten() {
            behavior[side][field] = value.clone();
        }
    }
    behavior
}

/// The example of the documentation: 80 replicas go to 10, ten percent or four pods a minute, whichever is more.
#[test]
fn eighty_replicas_go_down_as_the_documentation_says() {
    let down = json!({ "stabilizationWindowSeconds": 0, "policies": [
        { "type": "Pods", "value": 4, "periodSeconds": 60 }, { "type": "Percent", "value": 10, "periodSeconds": 60 },
    ] });
    let behavior = rules(json!({}), down);
    let mut history = History::default();
    let (mut current, mut steps, mut at) = (80, vec![80], 0);
    while 10 < current {
        let settled = settle(&mut history, (current, 10), &behavior, at);
        // Within the minute nothing more goes.
        history.changed(&behavior, current, settled.replicas, at * 1000);
        current = settled.replicas;
        assert_eq!(
            settle(&mut history, (current, 10), &behavior, at + 30).replicas,
            current.max(10)
        );
        steps.push(current);
        at += 61;
    }
    assert_eq!(steps, [80, 72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10]);
}

#[test]
fn rules_choose_the_most_the_least_or_nothing() {
    let policies = json!([{ "type": "Pods", "value": 3, "periodSeconds": 15 }, { "type": "Percent", "value": 50, "periodSeconds": 15 }]);
    for (select, up, down) in [("Max", 15, 5), ("Min", 13, 7), ("Disabled", 10, 10)] {
        let side = json!({ "selectPolicy": select, "policies": policies, "stabilizationWindowSeconds": 0 });
        let behavior = rules(side.clone(), side);
        let of = |desired| settle(&mut History::default(), (10, desired), &behavior, 0);
        assert_eq!((of(99).replicas, of(1).replicas), (up, down), "{select}");
        assert_eq!((of(99).limited.1, of(1).limited.1), ("ScaleUpLimit", "ScaleDownLimit"));
    }
    // A window on the way up takes the least that was wanted in it.
    let behavior = rules(json!({ "stabilizationWindowSeconds": 60 }), json!({}));
    let mut history = History::default();
    history.begin(5, 0);
    assert_eq!(settle(&mut history, (5, 9), &behavior, 30).replicas, 5);
    let settled = settle(&mut history, (5, 12), &behavior, 61);
    assert_eq!((settled.replicas, settled.able.0), (9, "ScaleUpStabilized"));
}

fn hpa(spec: &Value) -> Value {
    let mut hpa = json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }],
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        hpa["spec"][field] = value.clone();
    }
    hpa
}

fn scale(replicas: i32) -> Scale {
    Scale { spec: replicas, status: replicas, selector: "app=web".to_owned() }
}

fn told(plan: &Plan) -> Vec<String> {
    plan.events.iter().map(|(_, reason, message)| format!("{reason}: {message}")).collect()
}

fn conditions(plan: &Plan) -> Vec<String> {
    let status = plan.status.value();
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    let of = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    all.iter().map(|one| [&one["type"], &one["status"], &one["reason"]].map(of).join(" ")).collect()
}

#[test]
fn bounds_hold_where_nothing_is_measured() {
    let own = hpa(&json!({}));
    let of = |n: i32| {
        assert!(!needs_metrics(&own, &scale(n)));
        plan(&own, &scale(n), &Measured::default(), &mut History::default(), NOW * 1000)
    };
    let rescale = |n| of(n).rescale.unwrap();
    assert_eq!(rescale(20), (10, "Current number of replicas above Spec.MaxReplicas".to_owned()));
    assert_eq!(rescale(1), (2, "Current number of replicas below Spec.MinReplicas".to_owned()));
    let off = of(0);
    assert_eq!(off.rescale, None);
    assert_eq!(
        conditions(&off),
        ["AbleToScale True SucceededGetScale", "ScalingActive False ScalingDisabled"]
    );
}

#[test]
fn without_a_source_of_metrics_nothing_is_scaled_and_the_words_are_upstreams() {
    let own = hpa(&json!({ "metrics": [
        { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } },
        { "type": "Pods", "pods": { "metric": { "name": "qps" }, "target": { "type": "AverageValue", "averageValue": "1k" } } },
        { "type": "Object", "object": { "metric": { "name": "hits" }, "describedObject": { "kind": "Service", "name": "web" }, "target": { "type": "Value", "value": "1k" } } },
        { "type": "External", "external": { "metric": { "name": "queue", "selector": { "matchLabels": { "a": "b" } } }, "target": { "type": "Value", "value": "5" } } },
    ] }));
    let none =
        |what: &str| format!("the server could not find the requested resource (get {what})");
    let readings = vec![
        Reading::Pods(Err(none("pods.metrics.k8s.io"))),
        Reading::Custom,
        Reading::Custom,
        Reading::Values(Err(format!(
            "unable to fetch metrics from external metrics API: {}",
            none("queue.external.metrics.k8s.io")
        ))),
    ];
    let measured =
        Measured { pods: pods(&["1"]), readings, rivals: vec!["{web default}".to_owned()] };
    let made = plan(&own, &scale(3), &measured, &mut History::default(), NOW * 1000);
    assert_eq!(made.rescale, None);
    expect_test::expect![[r#"
        FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)
        FailedGetPodsMetric: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered
        FailedGetObjectMetric: unable to get metric hits: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered on Service default/web
        FailedGetExternalMetric: unable to get external metric default/queue/&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)
        FailedComputeMetricsReplicas: invalid metrics (4 invalid out of 4), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"#]].assert_eq(&told(&made).join("\n"));
    expect_test::expect![[r#"
        {
          "currentReplicas": 3,
          "desiredReplicas": 0,
          "currentMetrics": [
            {
              "type": ""
            },
            {
              "type": ""
            },
            {
              "type": ""
            },
            {
              "type": ""
            }
          ],
          "conditions": [
            {
              "type": "AbleToScale",
              "status": "True",
              "lastTransitionTime": "2027-01-15T08:00:00Z",
              "reason": "SucceededGetScale",
              "message": "the HPA controller was able to get the target's current scale"
            },
            {
              "type": "ScalingActive",
              "status": "False",
              "lastTransitionTime": "2027-01-15T08:00:00Z",
              "reason": "FailedGetResourceMetric",
              "message": "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
            }
          ]
        }"#]].assert_eq(&format!("{:#}", made.status.value()));
    let gone = unscalable(&own, "deployments.apps \"web\" not found", NOW * 1000);
    assert_eq!(conditions(&gone), ["AbleToScale False FailedGetScale"]);
}

fn measured(pods: Vec<Value>, used: &[i64]) -> Measured {
    Measured { pods, readings: vec![Reading::Pods(Ok(samples(used)))], rivals: Vec::new() }
}

#[test]
fn what_was_measured_scales_and_is_told() {
    let own = hpa(&json!({}));
    let mut history = History::default();
    let busy = measured(pods(&["1", "1"]), &[900, 700]);
    let made = plan(&own, &scale(2), &busy, &mut history, NOW * 1000);
    let why = "cpu resource utilization (percentage of request) above target".to_owned();
    assert_eq!(made.rescale, Some((4, why)));
    let current = &made.status.value()["currentMetrics"][0]["resource"]["current"];
    assert_eq!(*current, json!({ "averageValue": "800m", "averageUtilization": 80 }));
    assert_eq!(
        conditions(&made),
        [
            "AbleToScale True ReadyForNewScale",
            "ScalingActive True ValidMetricFound",
            "ScalingLimited False DesiredWithinRange"
        ]
    );
    let idle = measured(pods(&["1"; 4]), &[10; 4]);
    let made = plan(&own, &scale(4), &idle, &mut history, NOW * 1000 + 15_000);
    assert_eq!(
        (made.rescale.clone(), conditions(&made)[0].as_str()),
        (None, "AbleToScale True ScaleDownStabilized")
    );
    let made = plan(&own, &scale(4), &idle, &mut history, NOW * 1000 + 316_000);
    assert_eq!(made.rescale, Some((2, "All metrics below target".to_owned())));
    // One metric that cannot be read is enough not to go down, and no reason not to go up.
    let two = hpa(
        &json!({ "metrics": [own["spec"]["metrics"][0], { "type": "Pods", "pods": { "metric": { "name": "qps" } } }] }),
    );
    let also = |mut one: Measured| {
        one.readings.push(Reading::Custom);
        one
    };
    let down = plan(&two, &scale(4), &also(idle), &mut History::default(), NOW * 1000);
    assert_eq!(
        (down.rescale.clone(), conditions(&down)[1].as_str()),
        (None, "ScalingActive False FailedGetPodsMetric")
    );
    let up = plan(&two, &scale(2), &also(busy), &mut History::default(), NOW * 1000);
    assert_eq!(up.rescale.map(|one| one.0), Some(4));
}

#[test]
fn two_autoscalers_of_the_same_pods_do_nothing() {
    let mut one = measured(pods(&["1"]), &[900]);
    one.rivals = vec!["{a default}".to_owned(), "{web default}".to_owned()];
    let made = plan(&hpa(&json!({})), &scale(2), &one, &mut History::default(), NOW * 1000);
    assert_eq!(made.rescale, None);
    let why =
        "pods by selector app=web are controlled by multiple HPAs: [{a default} {web default}]";
    assert_eq!(told(&made)[0], format!("AmbiguousSelector: {why}"));
    let nobody = Scale { selector: String::new(), ..scale(2) };
    let made = plan(&hpa(&json!({})), &nobody, &Measured::default(), &mut History::default(), 0);
    assert_eq!(told(&made)[0], "SelectorRequired: selector is required");
}

/// The same, remembering everything and forgetting nothing.
fn naive(events: &[(i64, i32)], current: i32, desired: i32, up: i64, down: i64, now: i64) -> i32 {
    let within = |window: i64| {
        let own = events.iter().filter(move |(at, _)| now - window < *at).map(|one| one.1);
        own.chain([desired]).collect::<Vec<_>>()
    };
    let least = within(up).into_iter().min().unwrap();
    let most = within(down).into_iter().max().unwrap();
    current.max(least).min(most)
}

proptest! {
    /// Whatever is wanted when: the result is between the bounds, goes no further than was wanted, and is what a naive account says.
    #[test]
    fn replicas_stay_within_bounds_and_windows(
        wishes in prop::collection::vec((0_i64..400, 0_i32..120), 1..40),
        (min, max) in (1_i32..20, 20_i32..100),
        (up, down) in (0_i64..300, 0_i64..600),
        plain in any::<bool>(),
    ) {
        let wide = json!([{ "type": "Pods", "value": 1000, "periodSeconds": 15 }]);
        let behavior = if plain { Value::Null } else {
            rules(
                json!({ "stabilizationWindowSeconds": up, "policies": wide }),
                json!({ "stabilizationWindowSeconds": down, "policies": wide }),
            )
        };
        let (mut history, mut events, mut now, mut current) = (History::default(), Vec::new(), 0, min);
        history.begin(current, 0);
        events.push((0, current));
        for (pause, desired) in wishes {
            now += pause * 1000;
            let settled = history.settle(Wish { current, desired, min, max }, &behavior, now);
            prop_assert!((min..=max).contains(&settled.replicas));
            if !plain {
                let stable = naive(&events, current, desired, up * 1000, down * 1000, now);
                prop_assert_eq!(settled.replicas, stable.clamp(min, max));
            } else if settled.replicas < current {
                // It goes down only to what was the most in five minutes.
                let most = naive(&events, i32::MAX, desired, 0, 300_000, now);
                prop_assert!(most <= settled.replicas || settled.replicas == max);
            } else {
                prop_assert!(settled.replicas <= (2 * current).max(4));
            }
            history.changed(&behavior, current, settled.replicas, now);
            events.push((now, desired));
            current = settled.replicas;
        }
    }

    /// A policy of so many pods in a period is kept over any such period, however often it is asked.
    #[test]
    fn a_rate_is_kept_over_every_period(
        pauses in prop::collection::vec(1_i64..40, 5..60), value in 1_i32..6, period in 15_i64..120,
    ) {
        let policies = json!([{ "type": "Pods", "value": value, "periodSeconds": period }]);
        let behavior = rules(json!({ "policies": policies }), json!({}));
        let (mut history, mut current, mut now) = (History::default(), 1, 0);
        let mut changes: Vec<(i64, i32)> = Vec::new();
        for pause in pauses {
            now += pause * 1000;
            let settled = history.settle(Wish { current, desired: 90, min: 1, max: 100 }, &behavior, now);
            history.changed(&behavior, current, settled.replicas, now);
            changes.push((now, settled.replicas - current));
            current = settled.replicas;
            let recent: i32 = changes.iter().filter(|one| now - period * 1000 < one.0).map(|one| one.1).sum();
            prop_assert!(recent <= value, "{changes:?}");
        }
    }

    /// No number that anybody can write down makes it panic or leave its bounds.
    #[test]
    fn numbers_beyond_reason_are_survived(used in any::<i64>(), target in 1_i64.., n in 0_i32..50, request in 0_i64..) {
        let one = [pod(0, &format!("{request}m"))];
        let _ = resource(CPU, Target::Share(target), n, TENTH, &one, samples(&[used]), NOW);
        let _ = resource(CPU, Target::Average(target), n, TENTH, &one, samples(&[used]), NOW);
        let _ = (total(used, target, n, TENTH, &one), per_pod(used, target, n, TENTH));
    }
}
