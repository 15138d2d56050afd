use super::plan::{JobItem, Plan, Snapshot, job, name, plan, reference};
use crate::json::{list, seconds, time};
use moat_informer::{Item, Meta};
use moat_store::Path;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const BEGIN: &str = "2026-01-01T00:00:00Z";

fn at(text: &str) -> i64 {
    seconds(text).unwrap()
}

fn item(spec: Value, status: Value) -> Item<Value> {
    let meta = Meta {
        name: "tick".into(),
        uid: "cron".into(),
        creation_timestamp: BEGIN.into(),
        ..Meta::default()
    };
    let value = json!({ "metadata": { "name": "tick" }, "spec": spec, "status": status });
    Item { path: Path::new(Some("n"), "tick").unwrap(), revision: 1, meta, value }
}

fn made(name: &str, end: Option<&str>, minute: i64) -> JobItem {
    let meta = Meta { name: name.into(), uid: format!("u-{name}").into(), ..Meta::default() };
    let then = time(at(BEGIN) + 60 * minute);
    let mut value = json!({
        "metadata": { "name": name, "namespace": "n", "uid": meta.uid, "resourceVersion": "7" },
        "status": { "startTime": then },
    });
    if let Some(how) = end {
        value["status"]["conditions"] = json!([{ "type": how, "status": "True" }]);
        value["status"]["completionTime"] = then.into();
    }
    Arc::new(Item { path: Path::new(Some("n"), name).unwrap(), revision: 1, meta, value })
}

fn see(item: &Item<Value>, jobs: &[JobItem], now: &str) -> Plan {
    let exists = |name: &str| jobs.iter().any(|job| &*job.meta.name == name);
    plan(&Snapshot { item, jobs, exists: &exists, now: at(now) })
}

fn told(plan: &Plan) -> Vec<String> {
    plan.told
        .iter()
        .map(|(warning, reason, message)| format!("{warning} {reason}: {message}"))
        .collect()
}

fn start(plan: &Plan) -> Option<String> {
    plan.start.map(time)
}

#[test]
fn a_job_starts_at_its_time_and_once() {
    let spec = json!({ "schedule": "*/5 * * * *" });
    let new = item(spec.clone(), json!({}));
    let early = see(&new, &[], "2026-01-01T00:04:59Z");
    assert_eq!(
        (start(&early), early.next.map(time).as_deref()),
        (None, Some("2026-01-01T00:05:00Z"))
    );
    let now = see(&new, &[], "2026-01-01T00:05:01Z");
    assert_eq!(start(&now).as_deref(), Some("2026-01-01T00:05:00Z"));
    assert_eq!(now.next.map(time).as_deref(), Some("2026-01-01T00:10:00Z"));
    let done = item(spec, json!({ "lastScheduleTime": "2026-01-01T00:05:00Z" }));
    assert_eq!(start(&see(&done, &[], "2026-01-01T00:05:02Z")), None);
    // Of times that were missed only the last counts.
    let late = see(&done, &[], "2026-01-01T00:52:00Z");
    assert_eq!((start(&late).as_deref(), late.told.len()), (Some("2026-01-01T00:50:00Z"), 0));
    let lost = see(&done, &[], "2026-01-02T00:02:00Z");
    assert_eq!(start(&lost).as_deref(), Some("2026-01-02T00:00:00Z"));
    assert_eq!(
        told(&lost),
        [
            "true TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        ]
    );
}

#[test]
fn a_deadline_makes_late_jobs_none() {
    let spec = json!({ "schedule": "0 * * * *", "startingDeadlineSeconds": 30 });
    let one = item(spec, json!({}));
    assert_eq!(
        start(&see(&one, &[], "2026-01-01T01:00:29Z")).as_deref(),
        Some("2026-01-01T01:00:00Z")
    );
    let late = see(&one, &[], "2026-01-01T01:00:31Z");
    assert_eq!(
        (start(&late), late.next.map(time).as_deref()),
        (None, Some("2026-01-01T02:00:00Z"))
    );
    // Many hours later nothing is told of all that was missed.
    let spec = json!({ "schedule": "* * * * *", "startingDeadlineSeconds": 90 });
    let many = see(&item(spec, json!({})), &[], "2026-01-09T00:00:30Z");
    assert_eq!((start(&many).as_deref(), many.told.len()), (Some("2026-01-09T00:00:00Z"), 0));
}

#[test]
fn jobs_at_once_are_as_the_policy_says() {
    let old = made("old", None, 1);
    let of = |policy: &str| {
        let spec = json!({ "schedule": "* * * * *", "concurrencyPolicy": policy });
        let status = json!({ "active": [reference(&old.value)], "lastScheduleTime": "2026-01-01T00:01:00Z" });
        see(&item(spec, status), std::slice::from_ref(&old), "2026-01-01T00:02:10Z")
    };
    let allow = of("Allow");
    assert_eq!((allow.start.is_some(), allow.replace.len()), (true, 0));
    let forbid = of("Forbid");
    assert_eq!(forbid.start, None);
    assert_eq!(
        told(&forbid),
        [
            "false JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid"
        ]
    );
    let replace = of("Replace");
    assert_eq!((replace.start.is_some(), replace.replace.len()), (true, 1));
}

#[test]
fn the_status_follows_jobs_and_old_ones_go() {
    let jobs = [
        made("a", Some("Complete"), 1),
        made("b", Some("Complete"), 3),
        made("c", Some("Complete"), 2),
        made("d", Some("Failed"), 4),
        made("e", None, 5),
        made("f", None, 6),
    ];
    let active: Vec<Value> =
        [&jobs[1], &jobs[3], &jobs[4]].iter().map(|job| reference(&job.value)).collect();
    let mut active = active;
    active.push(json!({ "name": "gone", "uid": "u-gone" }));
    let spec = json!({
        "schedule": "0 0 1 1 *", "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0,
    });
    let plan = see(&item(spec, json!({ "active": active })), &jobs, "2026-02-01T00:00:00Z");
    let names: Vec<&str> = plan.forget.iter().map(|job| &*job.meta.name).collect();
    assert_eq!(names, ["a", "c", "d"]);
    let active: Vec<&Value> =
        list(&plan.status, "/active").iter().map(|one| &one["name"]).collect();
    assert_eq!(active, ["e"]);
    assert_eq!(plan.status["lastSuccessfulTime"], "2026-01-01T00:03:00Z");
    expect_test::expect![[r#"
        false SawCompletedJob: Saw completed job: b, condition: Complete
        false SawCompletedJob: Saw completed job: d, condition: Failed
        true UnexpectedJob: Saw a job that the controller did not create or forgot: f
        false MissingJob: Active job went missing: gone"#]]
    .assert_eq(&told(&plan).join("\n"));
}

#[test]
fn what_cannot_run_says_why() {
    let of = |spec: Value| {
        let plan = see(&item(spec, json!({})), &[], "2026-06-01T00:00:00Z");
        assert_eq!(plan.start, None);
        told(&plan).join("\n")
    };
    assert_eq!(of(json!({ "schedule": "* * * * *", "suspend": true })), "");
    assert_eq!(
        of(json!({ "schedule": "* * * * *", "timeZone": "Mars/Base" })),
        r#"true UnknownTimeZone: invalid timeZone: "Mars/Base": unknown time zone Mars/Base"#
    );
    assert_eq!(
        of(json!({ "schedule": "soon" })),
        r#"true UnparseableSchedule: unparseable schedule: "soon" : expected exactly 5 fields, found 1: [soon]"#
    );
    assert_eq!(
        of(json!({ "schedule": "0 0 31 2 *" })),
        "true InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second"
    );
}

#[test]
fn a_job_knows_its_time() {
    let spec = json!({ "timeZone": "Europe/Berlin", "jobTemplate": {
        "metadata": { "labels": { "a": "b" } }, "spec": { "template": {} },
    } });
    expect_test::expect![[r#"{"metadata":{"name":"tick-29453760","labels":{"a":"b"},"annotations":{"batch.kubernetes.io/cronjob-scheduled-timestamp":"2026-01-01T01:00:00+01:00"},"ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"tick","uid":"cron","controller":true,"blockOwnerDeletion":true}]},"spec":{"template":{}}}"#]]
        .assert_eq(&job(&item(spec, json!({})), at(BEGIN)).to_string());
}

proptest! {
    /// Wherever the controller stops: no time has two Jobs, each Job is of a time, and who looks in time misses none.
    #[test]
    fn each_time_has_one_job(
        step in prop_oneof![Just(1_i64), Just(5), Just(15), Just(60)],
        looks in proptest::collection::vec((1_i64..200, any::<bool>()), 1..80),
    ) {
        let schedule = match step { 60 => "0 * * * *".to_owned(), n => format!("*/{n} * * * *") };
        let mut cron = item(json!({ "schedule": schedule, "concurrencyPolicy": "Allow" }), json!({}));
        let mut jobs: Vec<JobItem> = Vec::new();
        let mut times: Vec<i64> = Vec::new();
        let mut now = at(BEGIN);
        for (seconds, stops) in looks {
            now += seconds;
            let plan = see(&cron, &jobs, &time(now));
            let mut status = plan.status.clone();
            if let Some(start) = plan.start {
                prop_assert!(start <= now && now - start < step * 60);
                prop_assert_eq!(start.rem_euclid(step * 60), 0);
                let name = name(&cron, start);
                if jobs.iter().all(|job| *job.meta.name != *name) {
                    jobs.push(made(&name, None, 0));
                    times.push(start);
                }
                let one = jobs.iter().find(|job| *job.meta.name == *name).unwrap();
                let mut active = list(&status, "/active").to_vec();
                active.push(reference(&one.value));
                status["active"] = active.into();
                status["lastScheduleTime"] = time(start).into();
            }
            if !stops {
                cron.value["status"] = status;
            }
        }
        let mut sorted = times.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(&sorted, &times);
        let n_times = (now - at(BEGIN)) / (step * 60);
        // A look at least every 200 seconds misses no time of five minutes or more.
        prop_assert!(step < 5 || i64::try_from(times.len()).unwrap() == n_times);
    }
}
