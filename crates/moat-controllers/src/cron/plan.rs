//! What a CronJob needs: a Job whose time has come, old Jobs gone, a true status.

use crate::event::Told;
use crate::json::{list, number, seconds, set, text, time};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use moat_apiserver::{Schedule, time_zone};
use moat_informer::Item;
use serde_json::{Value, json};
use std::sync::Arc;

/// A Job in a cache.
pub(super) type JobItem = Arc<Item<Value>>;

/// More missed times than these are told of.
const MANY: i64 = 100;

/// Everything that the decision is made by.
pub(super) struct Snapshot<'a> {
    pub(super) item: &'a Item<Value>,
    /// Jobs that it manages.
    pub(super) jobs: &'a [JobItem],
    /// Whether a Job of a name is there.
    pub(super) exists: &'a dyn Fn(&str) -> bool,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) told: Vec<Told>,
    /// Jobs that ended long ago.
    pub(super) forget: Vec<JobItem>,
    /// Jobs that run and have to make room for the next.
    pub(super) replace: Vec<JobItem>,
    /// The time of the Job to make.
    pub(super) start: Option<i64>,
    /// The status before that Job is in it.
    pub(super) status: Value,
    /// When it has to be looked at again, in seconds since 1970.
    pub(super) next: Option<i64>,
}

/// The name of the Job of a time: the same however often it is tried.
pub(super) fn name(item: &Item<Value>, time: i64) -> String {
    format!("{}-{}", item.meta.name, time.div_euclid(60))
}

/// How a Job ended.
fn end(job: &Value) -> Option<&'static str> {
    let status = &job["status"];
    let holds = |kind: &str| {
        crate::json::condition(status, kind).is_some_and(|one| one["status"] == "True")
    };
    ["Complete", "Failed"].into_iter().find(|kind| holds(kind))
}

fn is_active(active: &[Value], uid: &str) -> bool {
    active.iter().any(|one| one["uid"] == uid)
}

/// A Job as a status names it.
pub(super) fn reference(job: &Value) -> Value {
    let meta = &job["metadata"];
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"],
    })
}

pub(super) fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let item = snapshot.item;
    let mut plan = Plan { status: item.value["status"].clone(), ..Plan::default() };
    if !plan.status.is_object() {
        plan.status = json!({});
    }
    let mut active = list(&plan.status, "/active").to_vec();
    forget(&mut plan, snapshot);
    look(&mut plan, snapshot, &mut active);
    if !item.meta.is_deleting() {
        start(&mut plan, snapshot, &active);
    }
    if plan.start.is_some() && item.value["spec"]["concurrencyPolicy"] == "Replace" {
        let runs = snapshot.jobs.iter().filter(|job| is_active(&active, &job.meta.uid));
        plan.replace = runs.cloned().collect();
    }
    if let Some(map) = plan.status.as_object_mut() {
        map.shift_remove("active");
    }
    if !active.is_empty() {
        set(&mut plan.status, &["active"], active.into());
    }
    plan
}

/// Names Jobs that ended and are more than are to be kept, the oldest first.
fn forget(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    for (how, field) in
        [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")]
    {
        let Some(limit) = snapshot.item.value["spec"][field].as_u64() else { continue };
        let ended = snapshot.jobs.iter().filter(|job| end(&job.value) == Some(how));
        let mut ended: Vec<&JobItem> = ended.collect();
        ended.sort_by_key(|job| {
            let start = seconds(text(&job.value, "/status/startTime"));
            (start.unwrap_or(i64::MAX), job.meta.name.clone())
        });
        let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        let going = ended.into_iter().take(surplus).filter(|job| !job.meta.is_deleting());
        plan.forget.extend(going.cloned());
    }
}

/// Takes note of what became of Jobs.
fn look(plan: &mut Plan, snapshot: &Snapshot<'_>, active: &mut Vec<Value>) {
    for job in snapshot.jobs {
        let known = is_active(active, &job.meta.uid);
        let name = &job.meta.name;
        let Some(how) = end(&job.value) else {
            if !known {
                let message =
                    format!("Saw a job that the controller did not create or forgot: {name}");
                plan.told.push((true, "UnexpectedJob", message));
            }
            continue;
        };
        if known {
            active.retain(|one| one["uid"] != *job.meta.uid);
            let message = format!("Saw completed job: {name}, condition: {how}");
            plan.told.push((false, "SawCompletedJob", message));
        }
        let then = text(&job.value, "/status/completionTime");
        let last = text(&plan.status, "/lastSuccessfulTime");
        if how == "Complete" && seconds(last) < seconds(then) {
            let then = then.to_owned();
            set(&mut plan.status, &["lastSuccessfulTime"], then.into());
        }
    }
    active.retain(|one| {
        let mine = snapshot.jobs.iter().any(|job| one["uid"] == *job.meta.uid);
        let name = text(one, "/name");
        if mine || (snapshot.exists)(name) {
            return true;
        }
        plan.told.push((false, "MissingJob", format!("Active job went missing: {name}")));
        false
    });
}

/// Decides whether a Job's time has come.
fn start(plan: &mut Plan, snapshot: &Snapshot<'_>, active: &[Value]) {
    let (spec, now) = (&snapshot.item.value["spec"], snapshot.now);
    let zone = spec["timeZone"].as_str();
    let Some(zone) = zone.map_or(Some(TimeZone::UTC), time_zone) else {
        let zone = zone.unwrap_or_default();
        let message = format!("invalid timeZone: {zone:?}: unknown time zone {zone}");
        plan.told.push((true, "UnknownTimeZone", message));
        return;
    };
    if spec["suspend"] == true {
        return;
    }
    let words = spec["schedule"].as_str().unwrap_or_default();
    let schedule = match Schedule::parse(words) {
        Ok(schedule) => schedule,
        Err(why) => {
            let message = format!("unparseable schedule: {words:?} : {why}");
            plan.told.push((true, "UnparseableSchedule", message));
            return;
        }
    };
    let times = Times { item: snapshot.item, schedule: &schedule, zone: &zone, now };
    let deadline = number(spec, "/startingDeadlineSeconds");
    plan.next = times.next();
    let missed = match times.missed(deadline) {
        Ok(missed) => missed,
        Err(why) => {
            let message = format!("invalid schedule: {words} : {why}");
            plan.told.push((true, "InvalidSchedule", message));
            plan.next = None;
            return;
        }
    };
    let Some(time) = missed.last else { return };
    if MANY < missed.n {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.told.push((true, "TooManyMissedTimes", message.to_owned()));
    }
    if deadline.is_some_and(|deadline| time.saturating_add(deadline) < now) {
        let when = Timestamp::from_second(time).unwrap_or_default();
        let when = when.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = format!("Missed scheduled time to start a job: {when}");
        plan.told.push((true, "MissSchedule", message));
        return;
    }
    let name = name(snapshot.item, time);
    let is_done = seconds(text(&plan.status, "/lastScheduleTime")) == Some(time);
    if is_done || active.iter().any(|one| one["name"] == name.as_str()) {
        return;
    }
    if spec["concurrencyPolicy"] == "Forbid" && !active.is_empty() {
        let message =
            "Not starting job because prior execution is running and concurrency policy is Forbid";
        plan.told.push((false, "JobAlreadyActive", message.to_owned()));
        return;
    }
    plan.start = Some(time);
}

/// Times that came and went since a Job was last made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Missed {
    last: Option<i64>,
    /// About how many.
    n: i64,
}

struct Times<'a> {
    item: &'a Item<Value>,
    schedule: &'a Schedule,
    zone: &'a TimeZone,
    now: i64,
}

impl Times<'_> {
    fn after(&self, time: i64) -> Option<i64> {
        self.schedule.next(time, self.zone)
    }

    /// The last time for which a Job was made, else when the CronJob was.
    fn since(&self) -> i64 {
        let last = seconds(text(&self.item.value, "/status/lastScheduleTime"));
        last.or_else(|| seconds(&self.item.meta.creation_timestamp)).unwrap_or(self.now)
    }

    /// Errors: the schedule has no second time.
    fn missed(&self, deadline: Option<i64>) -> Result<Missed, &'static str> {
        let since = deadline
            .map_or(self.since(), |deadline| self.now.saturating_sub(deadline).max(self.since()));
        let never = "time difference between two schedules is less than 1 second";
        let Some(first) = self.after(since) else { return Err(never) };
        if self.now < first {
            return Ok(Missed::default());
        }
        let Some(second) = self.after(first) else { return Err(never) };
        if self.now < second {
            return Ok(Missed { last: Some(first), n: 1 });
        }
        // Not every time is gone through: there may be many years of them.
        let between = second - first;
        let n = (self.now - first) / between + 1;
        let mut last = None;
        let mut next = self.after(first + (n - 2) * between);
        while let Some(time) = next.filter(|time| *time <= self.now) {
            last = Some(time);
            next = self.after(time);
        }
        Ok(Missed { last, n })
    }

    /// When to look again.
    fn next(&self) -> Option<i64> {
        let from = match self.missed(None) {
            Ok(Missed { last: Some(last), .. }) => last,
            Ok(Missed { n: 0, .. }) => self.since(),
            _ => self.now,
        };
        self.after(from)
    }
}

/// The Job of a time.
pub(super) fn job(item: &Item<Value>, time: i64) -> Value {
    let template = &item.value["spec"]["jobTemplate"];
    let zone = item.value["spec"]["timeZone"].as_str().and_then(time_zone);
    let mut metadata = json!({ "name": name(item, time) });
    for field in ["labels", "annotations"] {
        if let Some(map) = template["metadata"].get(field) {
            metadata[field] = map.clone();
        }
    }
    let when = match zone {
        Some(zone) if zone != TimeZone::UTC => {
            let when = Timestamp::from_second(time).unwrap_or_default().to_zoned(zone);
            let offset = when.offset().seconds();
            let form = if offset == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
            when.strftime(form).to_string()
        }
        _ => self::time(time),
    };
    set(
        &mut metadata,
        &["annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp"],
        when.into(),
    );
    metadata["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": item.meta.name, "uid": item.meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    json!({ "metadata": metadata, "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})) })
}
