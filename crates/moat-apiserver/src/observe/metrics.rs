//! Numbers in Prometheus' text form, under upstream's names where it is the same thing that is counted.

use super::{Seen, process};
use crate::api::Reply;
use crate::kinds::Kinds;
use moat_store::Store;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram of durations, in seconds (upstream's).
const BOUNDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Series of requests: kinds come and go with definitions, and must not fill the memory.
const SERIES_MAX: usize = 20_000;

/// More numbers, of other parts of the process: writes lines in Prometheus' text form.
#[derive(Clone)]
pub struct MoreMetrics(Arc<dyn Fn(&mut String) + Send + Sync>);

impl MoreMetrics {
    /// Of a function that appends lines.
    pub fn new(write: impl Fn(&mut String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl fmt::Debug for MoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MoreMetrics")
    }
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<Labels, Series>>,
    reading: AtomicU64,
    writing: AtomicU64,
    audited: AtomicU64,
    audit_errors: AtomicU64,
    more: Vec<MoreMetrics>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    dry_run: bool,
}

#[derive(Debug, Default)]
struct Series {
    codes: BTreeMap<u16, u64>,
    /// How many took at most each bound, not counting those of bounds before.
    buckets: [u64; BOUNDS.len()],
    n: u64,
    seconds: f64,
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Flight<'a>(&'a AtomicU64);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new(more: Vec<MoreMetrics>) -> Self {
        Self {
            requests: Mutex::default(),
            reading: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            audited: AtomicU64::new(0),
            audit_errors: AtomicU64::new(0),
            more,
        }
    }

    /// Counts a request as under way until the answer is dropped. Watches are long, and not counted.
    pub(crate) fn enter(&self, verb: &str) -> Option<Flight<'_>> {
        let counter = match verb {
            "watch" => return None,
            "get" | "list" => &self.reading,
            _ => &self.writing,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(Flight(counter))
    }

    pub(crate) fn audited(&self, written: bool) {
        let counter = if written { &self.audited } else { &self.audit_errors };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, seen: &Seen, code: u16, took: Duration) {
        let labels = Labels::of(seen);
        let watches = labels.verb == "WATCH";
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if SERIES_MAX <= requests.len() && !requests.contains_key(&labels) {
            return;
        }
        let series = requests.entry(labels).or_default();
        *series.codes.entry(code).or_default() += 1;
        // How long a watch lasts says nothing of the server.
        if watches {
            return;
        }
        let seconds = took.as_secs_f64();
        series.n += 1;
        series.seconds += seconds;
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(own) = bucket.and_then(|at| series.buckets.get_mut(at)) {
            *own += 1;
        }
    }

    /// Answers with all numbers.
    pub(crate) fn reply(&self, store: &Store, kinds: &Kinds) -> Reply {
        Reply::bytes(200, "text/plain; version=0.0.4; charset=utf-8", self.text(store, kinds))
    }

    fn text(&self, store: &Store, kinds: &Kinds) -> String {
        let mut out = String::new();
        self.requests(&mut out);
        head(
            &mut out,
            "apiserver_current_inflight_requests",
            "gauge",
            "Requests under way, by whether they write.",
        );
        for (kind, counter) in [("mutating", &self.writing), ("readOnly", &self.reading)] {
            let n = counter.load(Ordering::Relaxed);
            line(
                &mut out,
                "apiserver_current_inflight_requests",
                &format!("request_kind=\"{kind}\""),
                n,
            );
        }
        head(&mut out, "apiserver_storage_objects", "gauge", "Objects in the store, by resource.");
        let mut counts = BTreeMap::new();
        for served in kinds.now().all().filter(|served| served.kind.is_stored()) {
            let kind = &served.kind;
            let name = if kind.group.is_empty() {
                kind.plural.clone()
            } else {
                format!("{}.{}", kind.plural, kind.group)
            };
            counts.entry(name).or_insert_with(|| store.count(served.resource()));
        }
        for (name, n) in counts {
            line(&mut out, "apiserver_storage_objects", &format!("resource=\"{name}\""), n);
        }
        for (name, help, counter) in [
            ("apiserver_audit_event_total", "Lines of the audit log.", &self.audited),
            (
                "apiserver_audit_error_total",
                "Lines of the audit log that could not be written.",
                &self.audit_errors,
            ),
        ] {
            head(&mut out, name, "counter", help);
            line(&mut out, name, "", counter.load(Ordering::Relaxed));
        }
        head(&mut out, "kubernetes_build_info", "gauge", "The version of this server.");
        let version =
            format!("git_version=\"{}\",major=\"1\",minor=\"36\"", crate::discovery::GIT_VERSION);
        line(&mut out, "kubernetes_build_info", &version, 1);
        process::write(&mut out);
        for more in &self.more {
            (more.0)(&mut out);
        }
        out
    }

    fn requests(&self, out: &mut String) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "apiserver_request_total";
        head(out, name, "counter", "Requests by verb, resource and code of the answer.");
        for (labels, series) in requests.iter() {
            for (code, n) in &series.codes {
                line(out, name, &format!("code=\"{code}\",{labels}"), *n);
            }
        }
        let name = "apiserver_request_duration_seconds";
        head(out, name, "histogram", "Seconds from a request to its answer, by verb and resource.");
        for (labels, series) in requests.iter().filter(|(_, series)| 0 < series.n) {
            let mut so_far = 0;
            for (bound, n) in BOUNDS.iter().zip(series.buckets) {
                so_far += n;
                line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), so_far);
            }
            line(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), series.n);
            line(out, &format!("{name}_sum"), &labels.to_string(), series.seconds);
            line(out, &format!("{name}_count"), &labels.to_string(), series.n);
        }
    }
}

impl Labels {
    /// The labels of a request. What is not served is not told apart: anybody could ask for anything.
    fn of(seen: &Seen) -> Self {
        let verb = match (seen.verb, seen.method.as_str()) {
            ("patch", _) if seen.applies => "APPLY",
            ("get", _) | ("", "GET" | "HEAD") => "GET",
            ("list", _) => "LIST",
            ("watch", _) => "WATCH",
            ("create", _) | ("", "POST") => "POST",
            ("update", _) | ("", "PUT") => "PUT",
            ("patch", _) | ("", "PATCH") => "PATCH",
            ("delete", _) | ("", "DELETE") => "DELETE",
            ("deletecollection", _) => "DELETECOLLECTION",
            _ => "other",
        };
        let own = Self {
            verb,
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            subresource: String::new(),
            scope: "",
            dry_run: seen.dry_run,
        };
        let (Some(served), Some(route)) = (&seen.served, &seen.route) else { return own };
        let subresource = served.kind.subresource(&route.subresource).map_or("", |sub| sub.name());
        let scope = match (route.name.is_empty(), route.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        Self {
            group: served.kind.group.clone(),
            version: served.kind.version.clone(),
            resource: served.kind.plural.clone(),
            subresource: subresource.to_owned(),
            scope,
            ..own
        }
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, version, resource, subresource, scope, dry_run } = self;
        let dry_run = if *dry_run { "All" } else { "" };
        write!(
            f,
            "component=\"apiserver\",dry_run=\"{dry_run}\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
        )
    }
}

/// What stands before the lines of a metric.
pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub(super) fn line(out: &mut String, name: &str, labels: &str, value: impl fmt::Display) {
    let _ = if labels.is_empty() {
        writeln!(out, "{name} {value}")
    } else {
        writeln!(out, "{name}{{{labels}}} {value}")
    };
}
