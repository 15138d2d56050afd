//! What queues do, in numbers: under the names that Kubernetes' own controllers have for them (`workqueue_*`).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Upper bounds of the histograms, in seconds: ten times each, from ten billionths.
const BOUNDS: [f64; 12] =
    [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0];

/// The queues of a program, to be told about. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Meters(Arc<Mutex<Vec<(&'static str, Arc<Meter>, Gauge)>>>);

/// Asks a queue for what is in it now; none when it is gone.
#[derive(Clone)]
struct Gauge(Arc<dyn Fn() -> Option<Now> + Send + Sync>);

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauge")
    }
}

/// What is in a queue at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) depth: usize,
    /// Of keys in hands: for how long all of them together, and the one that has been longest.
    pub(crate) unfinished: Duration,
    pub(crate) longest: Duration,
}

/// What is counted of one queue.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    adds: AtomicU64,
    retries: AtomicU64,
    waited: Histogram,
    worked: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    n: AtomicU64,
    nanos: AtomicU64,
}

impl Histogram {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(own) = bucket.and_then(|at| self.buckets.get(at)) {
            own.fetch_add(1, Ordering::Relaxed);
        }
        self.n.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn write(&self, name: &str, queue: &str, out: &mut String) {
        let mut so_far = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            so_far += bucket.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}_bucket{{name=\"{queue}\",le=\"{bound:?}\"}} {so_far}");
        }
        let n = self.n.load(Ordering::Relaxed);
        let seconds = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(out, "{name}_bucket{{name=\"{queue}\",le=\"+Inf\"}} {n}");
        let _ = writeln!(out, "{name}_sum{{name=\"{queue}\"}} {seconds}");
        let _ = writeln!(out, "{name}_count{{name=\"{queue}\"}} {n}");
    }
}

impl Meter {
    pub(crate) fn added(&self) {
        self.adds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, took: Duration) {
        self.waited.add(took);
    }

    pub(crate) fn worked(&self, took: Duration) {
        self.worked.add(took);
    }
}

/// How one number, or one histogram, of a queue is read.
type One = fn(&Meter, Now) -> f64;
type Many = fn(&Meter) -> &Histogram;

impl Meters {
    /// Tells of a queue as long as somebody has it.
    pub(crate) fn follow<T: Send + Sync + 'static>(
        &self,
        name: &'static str,
        meter: Arc<Meter>,
        queue: Weak<T>,
        now: fn(&T) -> Now,
    ) {
        let gauge = Gauge(Arc::new(move || queue.upgrade().map(|queue| now(&queue))));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((name, meter, gauge));
        all.sort_by_key(|(name, ..)| *name);
    }

    /// Appends all numbers in Prometheus' text form.
    pub fn write(&self, out: &mut String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = Vec::new();
        all.retain(|(name, meter, gauge)| {
            let now = (gauge.0)();
            present.extend(now.map(|now| (*name, Arc::clone(meter), now)));
            now.is_some()
        });
        drop(all);
        #[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
        let plain: [(&str, &str, &str, One); 5] = [
            ("adds_total", "counter", "Keys that were put in.", |meter, _| {
                meter.adds.load(Ordering::Relaxed) as f64
            }),
            ("depth", "gauge", "Keys that wait for somebody.", |_, now| now.depth as f64),
            (
                "longest_running_processor_seconds",
                "gauge",
                "Seconds since the key that is in hands longest was taken.",
                |_, now| now.longest.as_secs_f64(),
            ),
            (
                "retries_total",
                "counter",
                "Keys whose work failed, and was tried anew.",
                |meter, _| meter.retries.load(Ordering::Relaxed) as f64,
            ),
            (
                "unfinished_work_seconds",
                "gauge",
                "Seconds since keys that are in hands were taken, together.",
                |_, now| now.unfinished.as_secs_f64(),
            ),
        ];
        for (word, kind, help, value) in plain {
            let metric = format!("workqueue_{word}");
            let _ = writeln!(out, "# HELP {metric} {help}\n# TYPE {metric} {kind}");
            for (name, meter, now) in &present {
                let _ = writeln!(out, "{metric}{{name=\"{name}\"}} {}", value(meter, *now));
            }
        }
        let many: [(&str, &str, Many); 2] = [
            ("queue_duration_seconds", "Seconds that keys waited.", |meter| &meter.waited),
            ("work_duration_seconds", "Seconds that work on keys took.", |meter| &meter.worked),
        ];
        for (word, help, histogram) in many {
            let metric = format!("workqueue_{word}");
            let _ = writeln!(out, "# HELP {metric} {help}\n# TYPE {metric} histogram");
            for (name, meter, _) in &present {
                histogram(meter).write(&metric, name, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backoff, Done, Queue};

    fn text(meters: &Meters) -> String {
        let mut out = String::new();
        meters.write(&mut out);
        let counts = |line: &&str| !line.starts_with('#') && !line.contains("_bucket");
        out.lines().filter(counts).fold(String::new(), |all, line| all + line + "\n")
    }

    #[tokio::test(start_paused = true)]
    async fn what_queues_do_is_counted_under_upstreams_names() {
        let meters = Meters::default();
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(2) };
        let queue = Queue::metered(backoff, &meters, "deployment");
        queue.add("a");
        queue.add("a");
        queue.add("b");
        tokio::time::advance(Duration::from_secs(2)).await;
        let key = queue.take().await.unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        let want = "\
workqueue_adds_total{name=\"deployment\"} 2
workqueue_depth{name=\"deployment\"} 1
workqueue_longest_running_processor_seconds{name=\"deployment\"} 3
workqueue_retries_total{name=\"deployment\"} 0
workqueue_unfinished_work_seconds{name=\"deployment\"} 3
workqueue_queue_duration_seconds_sum{name=\"deployment\"} 2
workqueue_queue_duration_seconds_count{name=\"deployment\"} 1
workqueue_work_duration_seconds_sum{name=\"deployment\"} 0
workqueue_work_duration_seconds_count{name=\"deployment\"} 0
";
        assert_eq!(text(&meters), want);
        queue.done(&key, Done::Retry);
        let other = queue.take().await.unwrap();
        queue.done(&other, Done::Ok);
        // The one that failed comes again after its second.
        assert_eq!(queue.take().await, Some(key));
        let want = "\
workqueue_adds_total{name=\"deployment\"} 3
workqueue_depth{name=\"deployment\"} 0
workqueue_longest_running_processor_seconds{name=\"deployment\"} 0
workqueue_retries_total{name=\"deployment\"} 1
workqueue_unfinished_work_seconds{name=\"deployment\"} 0
workqueue_queue_duration_seconds_sum{name=\"deployment\"} 7
workqueue_queue_duration_seconds_count{name=\"deployment\"} 3
workqueue_work_duration_seconds_sum{name=\"deployment\"} 3
workqueue_work_duration_seconds_count{name=\"deployment\"} 2
";
        assert_eq!(text(&meters), want);
        drop(queue);
        assert_eq!(text(&meters), "");
    }

    #[test]
    fn buckets_hold_what_took_at_most_that_long() {
        let histogram = Histogram::default();
        for millis in [0, 1, 50, 5_000_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let mut out = String::new();
        histogram.write("h", "q", &mut out);
        let of = |bound: &str| {
            let line = out.lines().find(|line| line.contains(&format!("le=\"{bound}\""))).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(
            [of("1e-8"), of("0.001"), of("0.1"), of("1000.0"), of("+Inf")],
            ["1", "2", "3", "3", "4"]
        );
    }
}
