//! CronJobs on a real server, by a clock that is put forward.

use super::{EVENTS, JOBS, PODS, World, name};
use moat_apiserver::{Gvr, PatchType};
use moat_controllers::Clock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

static CRON_JOBS: Gvr = Gvr::new("batch", "v1", "cronjobs");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_job_makes_jobs_when_their_time_has_come() {
    let year = i64::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    let new_year = |n: i64| -> i64 {
        format!("{}-01-01T00:00:05Z", year + n).parse::<jiff::Timestamp>().unwrap().as_second()
    };
    let now = Arc::new(AtomicI64::new(jiff::Timestamp::now().as_second()));
    let clock = {
        let now = Arc::clone(&now);
        Clock::new(move || jiff::Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap())
    };
    let world = World::with(moat_controllers::Options { clock, ..Default::default() }).await;
    let pod = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "one:1" }] } });
    let cron = json!({
        "metadata": { "name": "yearly" },
        "spec": {
            "schedule": "@yearly", "successfulJobsHistoryLimit": 1, "concurrencyPolicy": "Replace",
            "jobTemplate": { "metadata": { "labels": { "from": "cron" } }, "spec": { "template": pod } },
        },
    });
    let at = CRON_JOBS.at("default", "yearly");
    world.client.create(CRON_JOBS.at("default", ""), cron).await.unwrap();
    let turn = async |n: i64| {
        now.store(new_year(n), Ordering::SeqCst);
        // Time alone wakes it after what is left of it, which is too long for a test.
        let patch = json!({ "metadata": { "annotations": { "turn": n.to_string() } } });
        world.client.patch(at, PatchType::Merge, &patch).await.unwrap();
    };
    let succeed = async |job: &str| {
        let of = |all: &[Value]| {
            let mut own = all.iter().filter(|pod| pod["metadata"]["labels"]["job-name"] == job);
            own.find(|pod| pod["status"]["phase"] == "Running").map(name)
        };
        let pods = world.until(&PODS, "default", |all| of(all).is_some()).await;
        let patch = json!({ "status": { "phase": "Succeeded" } });
        let at = of(&pods).unwrap();
        let at = PODS.at("default", &at).part("status");
        world.client.patch(at, PatchType::Merge, &patch).await.unwrap();
    };
    let named = |n: i64| format!("yearly-{}", new_year(n).div_euclid(60));
    let is_active = |all: &[Value], name: &str| all[0]["status"]["active"][0]["name"] == name;

    turn(1).await;
    world.until(&CRON_JOBS, "default", |all| is_active(all, &named(1))).await;
    let jobs = world.list(&JOBS, "default");
    assert_eq!((jobs.len(), name(&jobs[0])), (1, named(1)));
    assert_eq!(jobs[0]["metadata"]["labels"]["from"], "cron");
    succeed(&named(1)).await;
    let crons = world
        .until(&CRON_JOBS, "default", |all| all[0]["status"]["lastSuccessfulTime"].is_string())
        .await;
    assert_eq!(crons[0]["status"].get("active"), None);

    // One that still runs makes room.
    turn(2).await;
    world.until(&CRON_JOBS, "default", |all| is_active(all, &named(2))).await;
    turn(3).await;
    world.until(&CRON_JOBS, "default", |all| is_active(all, &named(3))).await;
    world
        .until(&JOBS, "default", |all| {
            all.iter().map(name).collect::<Vec<_>>() == [named(1), named(3)]
        })
        .await;
    succeed(&named(3)).await;
    // Of those that succeeded one is kept.
    world.until(&JOBS, "default", |all| all.len() == 1 && name(&all[0]) == named(3)).await;
    let events = world
        .until(&EVENTS, "default", |all| {
            all.iter().any(|one| one["message"] == format!("Deleted job {}", named(1)))
        })
        .await;
    let said = |message: String| events.iter().any(|one| one["message"] == message);
    assert!(said(format!("Created job {}", named(1))));
    assert!(said(format!("Saw completed job: {}, condition: Complete", named(1))));
    assert!(said(format!("Deleted job {}", named(2))));

    // Suspended, nothing comes, whatever the time; and then what was missed last.
    let suspend = |yes: bool| json!({ "spec": { "suspend": yes } });
    world.client.patch(at, PatchType::Merge, &suspend(true)).await.unwrap();
    turn(4).await;
    turn(5).await;
    world.client.patch(at, PatchType::Merge, &suspend(false)).await.unwrap();
    world.until(&CRON_JOBS, "default", |all| is_active(all, &named(5))).await;
    assert!(world.list(&JOBS, "default").iter().all(|job| name(job) != named(4)));
    world.end().await;
}
