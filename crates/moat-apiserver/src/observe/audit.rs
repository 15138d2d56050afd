//! The audit log: who did what and how it went, a line of JSON for each request (`audit.k8s.io/v1`, level `Metadata`).

use super::Seen;
use super::metrics::Metrics;
use crate::authorize::User;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Lines that wait to be written; who adds to a full queue waits.
const QUEUE: usize = 1024;

/// Where the audit log is kept, and how much of it.
#[derive(Clone, Debug)]
pub struct AuditLog {
    /// The file. Older parts are beside it: `FILE.1` is the one before.
    pub path: PathBuf,
    /// Bytes after which a new file is begun.
    pub bytes_max: u64,
    /// Older files that are kept.
    pub files_max: u32,
}

impl AuditLog {
    /// A log of at most half a gigabyte: five files of 100 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), bytes_max: 100 << 20, files_max: 4 }
    }
}

tokio::task_local! {
    static NOTES: RefCell<Map<String, Value>>;
}

/// Runs a request and gathers what is noted of it.
pub(crate) async fn noting<T>(request: impl Future<Output = T>) -> (T, Map<String, Value>) {
    NOTES
        .scope(RefCell::default(), async {
            let result = request.await;
            (result, NOTES.with(RefCell::take))
        })
        .await
}

/// Notes something of the request under way, for the audit log. Requests in the server's process are nobody's to audit.
pub(crate) fn note(key: &str, value: impl Into<String>) {
    let _ = NOTES.try_with(|notes| notes.borrow_mut().insert(key.to_owned(), value.into().into()));
}

/// Writes the log.
#[derive(Clone, Debug)]
pub(crate) struct Audit(Option<mpsc::Sender<String>>);

impl Audit {
    /// Opens the log, and a thread that writes it. Errors: the file cannot be written.
    pub(crate) fn open(log: Option<AuditLog>, metrics: &Arc<Metrics>) -> std::io::Result<Self> {
        let Some(log) = log else { return Ok(Self(None)) };
        let mut writer = Writer::open(log)?;
        let (sender, mut lines) = mpsc::channel::<String>(QUEUE);
        let metrics = Arc::clone(metrics);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            while let Some(line) = lines.blocking_recv() {
                metrics.audited(writer.write(&line).is_ok());
            }
        })?;
        Ok(Self(Some(sender)))
    }

    /// Tells of a request that was answered.
    pub(crate) async fn tell(&self, seen: &Seen, code: u16, notes: Map<String, Value>) {
        if let Some(sender) = &self.0 {
            // The thread ends with the last sender, so there is always somebody who reads.
            let _ = sender.send(event(seen, code, notes).to_string()).await;
        }
    }
}

/// A file that begins anew when it is long enough.
struct Writer {
    log: AuditLog,
    file: File,
    length: u64,
}

impl Writer {
    fn open(log: AuditLog) -> std::io::Result<Self> {
        let file = append(&log.path)?;
        let length = file.metadata()?.len();
        Ok(Self { log, file, length })
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        let bytes = format!("{line}\n").into_bytes();
        let more = bytes.len() as u64;
        if 0 < self.length && self.log.bytes_max < self.length + more {
            self.turn()?;
        }
        self.file.write_all(&bytes)?;
        self.length += more;
        Ok(())
    }

    /// Moves each file one further, and forgets the last.
    fn turn(&mut self) -> std::io::Result<()> {
        let named = |n: u32| {
            let mut name = self.log.path.clone().into_os_string();
            if 0 < n {
                name.push(format!(".{n}"));
            }
            PathBuf::from(name)
        };
        for n in (0..self.log.files_max).rev() {
            if named(n).exists() {
                std::fs::rename(named(n), named(n + 1))?;
            }
        }
        if self.log.files_max == 0 {
            std::fs::remove_file(named(0))?;
        }
        self.file = append(&self.log.path)?;
        self.length = 0;
        Ok(())
    }
}

/// Only the owner reads who did what.
fn append(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn event(seen: &Seen, code: u16, notes: Map<String, Value>) -> Value {
    let verb = if seen.verb.is_empty() { seen.method.to_lowercase() } else { seen.verb.to_owned() };
    // A watch goes on when it is answered.
    let stage = if verb == "watch" && code == 200 { "ResponseStarted" } else { "ResponseComplete" };
    let mut status = json!({ "metadata": {}, "code": code });
    if let Some((reason, message)) = &seen.failure {
        status["status"] = "Failure".into();
        status["reason"] = (*reason).into();
        status["message"] = message.as_str().into();
    }
    let micros = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": seen.id, "stage": stage,
        "requestURI": seen.uri, "verb": verb, "user": user(seen.user.as_ref()),
    });
    let mut put = |field: &str, value: Value| {
        if let Some(map) = event.as_object_mut() {
            map.insert(field.to_owned(), value);
        }
    };
    if let Some(other) = &seen.acts_as {
        put("impersonatedUser", user(Some(other)));
    }
    if let Some(from) = seen.from {
        put("sourceIPs", json!([from.ip().to_string()]));
    }
    if !seen.agent.is_empty() {
        put("userAgent", seen.agent.as_str().into());
    }
    if let Some(route) = &seen.route {
        let mut object = Map::new();
        for (field, value) in [
            ("resource", &route.resource),
            ("namespace", &route.namespace),
            ("name", &route.name),
            ("apiGroup", &route.group),
            ("apiVersion", &route.version),
            ("subresource", &route.subresource),
        ] {
            if !value.is_empty() {
                object.insert(field.to_owned(), value.as_str().into());
            }
        }
        put("objectRef", object.into());
    }
    put("responseStatus", status);
    put("requestReceivedTimestamp", micros(seen.received).into());
    put("stageTimestamp", micros(jiff::Timestamp::now()).into());
    if !notes.is_empty() {
        put("annotations", notes.into());
    }
    event
}

fn user(user: Option<&User>) -> Value {
    let Some(user) = user else { return json!({}) };
    let mut shown = json!({ "username": user.name, "groups": user.groups });
    if !user.uid.is_empty() {
        shown["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_turn_and_the_oldest_go() {
        let dir = std::env::temp_dir().join(format!("moat-audit-{}", crate::stamp::uid()));
        std::fs::create_dir(&dir).unwrap();
        let log = AuditLog { path: dir.join("audit.log"), bytes_max: 20, files_max: 2 };
        let mut writer = Writer::open(log.clone()).unwrap();
        for n in 0..10 {
            writer.write(&format!("line {n}..")).unwrap();
        }
        // What was there is kept when it is opened again.
        Writer::open(log).unwrap().write("line 10.").unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        assert_eq!(read("audit.log"), "line 10.\n");
        assert_eq!(read("audit.log.1"), "line 8..\nline 9..\n");
        assert_eq!(read("audit.log.2"), "line 6..\nline 7..\n");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
