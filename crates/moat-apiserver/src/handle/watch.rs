//! Watches: a stream of events from a place in the store's history.

use super::forms::{Forms, Key};
use super::list::selection;
use super::options::ListOptions;
use super::{Call, send};
use crate::api::{Api, Body, Reply};
use crate::encode::frames;
use crate::kinds::Served;
use crate::lines::{Lines, Sink};
use crate::negotiate::{Encoding, Form};
use crate::object::decode;
use crate::selector::Selector;
use crate::stamp::random;
use crate::status::Status;
use crate::table::{Include, Rows, table};
use bytes::Bytes;
use moat_store::{Event, EventKind, List, Object, ReadError, Watch};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

/// A watch without a timeout ends after half an hour to an hour, so that a client that is gone unnoticed does not stay for ever.
const SECONDS_MIN: u64 = 1800;

/// Bytes of an object that are copied for each watcher that wants them as they are stored, because that takes no longer than to share them.
const COPIED_MAX: usize = 4 << 10;

/// How a watcher wants its events.
struct Watcher {
    served: Arc<Served>,
    form: Form,
    include: Include,
    encoding: Encoding,
    forms: Arc<Forms>,
    selector: Selector,
    bookmarks: bool,
}

pub(super) fn watch(api: &Api, call: &Call<'_>) -> Result<Reply, Status> {
    let options = ListOptions::of(call)?;
    let wanted = call.wanted()?;
    let (selector, scope) = selection(call)?;
    let watcher = Watcher {
        served: Arc::clone(&call.served),
        form: wanted.form,
        include: send::include(call)?,
        encoding: wanted.encoding,
        forms: Arc::clone(&api.forms),
        selector,
        bookmarks: options.bookmarks,
    };
    let resource = &call.served.resource;
    // Without a revision, or with 0, the watch begins with what there is; `sendInitialEvents` says so itself.
    let initial = options.send_initial.unwrap_or(matches!(options.revision, None | Some(0)));
    let (first, mut watch) = if initial {
        let current = api.store.revision();
        if let Some(wanted) = options.revision.filter(|wanted| current < *wanted) {
            return Err(Status::future_revision(wanted, current));
        }
        let page = api.store.list(&List::new(resource, scope.clone())).map_err(closed)?;
        let watch = api.store.watch(resource, scope, page.revision).map_err(closed)?;
        (page.objects, watch)
    } else {
        let after = match options.revision {
            None | Some(0) => api.store.revision(),
            Some(revision) => revision,
        };
        match api.store.watch(resource, scope, after) {
            Ok(watch) => (Vec::new(), watch),
            Err(ReadError::Future { current }) => {
                return Err(Status::future_revision(after, current));
            }
            // Clients list anew when they read this as an event; upstream answers 200 too.
            Err(ReadError::Expired(expired)) => {
                return Ok(Reply::bytes(200, "application/json", gone(after, expired.oldest)));
            }
            Err(error) => return Err(closed(error)),
        }
    };
    let seconds = options
        .timeout_seconds
        .filter(|seconds| 0 < *seconds)
        .unwrap_or_else(|| SECONDS_MIN + u64::from(u16::from_le_bytes(random())) % SECONDS_MIN);
    let ends_initial = options.send_initial == Some(true) && options.bookmarks;
    let (interval, server) = (api.bookmark_interval, api.closed.clone());
    let kinds = Arc::clone(&api.kinds);
    let served = Arc::clone(&call.served);
    let lines = Lines::of(|to| async move {
        let events = async {
            watcher.begin(&first, ends_initial, watch.revision(), &to).await;
            drop(first);
            watcher.follow(&mut watch, interval, &to).await;
        };
        tokio::select! {
            biased;
            () = events => {}
            () = sleep(Duration::from_secs(seconds)) => {}
            () = ended(server) => {}
            // Its definition changed or went: clients list anew and see what became of it.
            () = kinds.ended(&served) => {}
        }
    });
    Ok(Reply { body: Body::Stream(lines), ..Reply::bytes(200, "application/json", Bytes::new()) })
}

fn closed(_: ReadError) -> Status {
    Status::unavailable("the server is shutting down")
}

async fn ended(mut server: watch::Receiver<bool>) {
    let _ = server.wait_for(|closed| *closed).await;
}

/// The event by which a client learns that it has to list anew.
fn gone(after: u64, oldest: u64) -> Vec<u8> {
    let status = Status::expired(format!("too old resource version: {after} ({oldest})"));
    line("ERROR", status.to_json().to_string().as_bytes())
}

fn line(name: &str, object: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(object.len() + 32);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line
}

/// What an event is to a watcher: what comes into view is added, what leaves it is deleted, whatever the write was.
pub(crate) fn seen(served: &Served, selector: &Selector, event: &Event) -> Option<EventKind> {
    let before = event.previous.as_ref().is_some_and(|previous| served.selects(selector, previous));
    let now = event.kind != EventKind::Deleted && served.selects(selector, &event.object);
    match (before, now) {
        (false, false) => None,
        (false, true) => Some(EventKind::Added),
        (true, true) => Some(EventKind::Modified),
        (true, false) => Some(EventKind::Deleted),
    }
}

impl Watcher {
    /// Sends what there is.
    async fn begin(&self, objects: &[Object], ends: bool, revision: u64, to: &Sink) {
        for chunk in objects.chunks(256) {
            let mut lines = Vec::new();
            for object in chunk {
                if self.selects(object) {
                    lines.extend(self.line("ADDED", object));
                }
            }
            if !lines.is_empty() {
                to.send(self.encoded(lines)).await;
            }
        }
        if ends {
            to.send(self.encoded(self.bookmark(revision, true))).await;
        }
    }

    /// Sends events until there are no more.
    async fn follow(&self, watch: &mut Watch, interval: Duration, to: &Sink) {
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let events = tokio::select! {
                events = watch.next() => events,
                _ = ticks.tick(), if self.bookmarks => Ok(Vec::new()),
            };
            let lines = match events {
                Ok(events) if events.is_empty() => {
                    self.encoded(self.bookmark(watch.revision(), false))
                }
                Ok(events) => match events.as_slice() {
                    [one] => self.event(one).unwrap_or_default(),
                    many => {
                        let all: Vec<Bytes> =
                            many.iter().filter_map(|event| self.event(event)).collect();
                        all.concat().into()
                    }
                },
                Err(ReadError::Expired(expired)) => {
                    to.send(self.encoded(gone(watch.revision(), expired.oldest))).await;
                    return;
                }
                Err(_) => return,
            };
            if !lines.is_empty() {
                to.send(lines).await;
            }
        }
    }

    fn selects(&self, object: &Object) -> bool {
        self.served.selects(&self.selector, object)
    }

    /// What this watcher is told of an event, if anything.
    fn event(&self, event: &Event) -> Option<Bytes> {
        let kind = seen(&self.served, &self.selector, event)?;
        let make = || self.encoded(self.told(kind, event));
        let is_copied = self.form == Form::Object
            && self.encoding == Encoding::Json
            && self.served.is_as_stored()
            && event.object.value.len() <= COPIED_MAX;
        if is_copied {
            return Some(make());
        }
        let key = Key {
            revision: event.revision(),
            kind,
            served: Arc::clone(&self.served),
            form: self.form,
            include: self.include,
            encoding: self.encoding,
        };
        Some(self.forms.get(key, make))
    }

    fn told(&self, kind: EventKind, event: &Event) -> Vec<u8> {
        match kind {
            EventKind::Added => self.line("ADDED", &event.object),
            EventKind::Modified => self.line("MODIFIED", &event.object),
            EventKind::Deleted if event.kind == EventKind::Deleted => {
                self.line("DELETED", &event.object)
            }
            // It still exists, but for this watcher it is as it was, at the revision at which it left.
            EventKind::Deleted => {
                let mut last = event.previous.as_ref().map(decode).unwrap_or_default();
                last["metadata"]["resourceVersion"] = event.revision().to_string().into();
                line("DELETED", &self.shown(&last))
            }
        }
    }

    /// Lines in the encoding that is wanted.
    fn encoded(&self, lines: Vec<u8>) -> Bytes {
        if self.encoding == Encoding::Protobuf { frames(&lines) } else { lines.into() }
    }

    fn line(&self, name: &str, object: &Object) -> Vec<u8> {
        let bytes = match self.form {
            Form::Object if self.served.is_as_stored() => return line(name, &object.value),
            Form::Table => {
                let rows = Rows::new(&self.served, self.include);
                let mut out = rows.head(&json!({ "resourceVersion": object.revision.to_string() }));
                rows.row(object, &mut out);
                out.extend_from_slice(b"]}");
                out
            }
            Form::Partial if self.served.is_as_stored() => {
                let mut out = Vec::new();
                send::put_partial(&object.value, &mut out);
                out
            }
            Form::Partial | Form::Object | Form::Discovery => self.shown(&decode(object)),
        };
        line(name, &bytes)
    }

    /// A stored object in the form that is wanted.
    fn shown(&self, object: &Value) -> Vec<u8> {
        match self.form {
            Form::Table => {
                let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                table(&self.served, std::slice::from_ref(object), self.include, &metadata)
            }
            Form::Partial => {
                send::partial(&self.served.shown(object.clone())).to_string().into_bytes()
            }
            Form::Object | Form::Discovery => {
                self.served.shown(object.clone()).to_string().into_bytes()
            }
        }
    }

    /// An event that only says how far the watch has come.
    fn bookmark(&self, revision: u64, ends_initial: bool) -> Vec<u8> {
        let mut metadata =
            json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self.form {
            Form::Table => table(&self.served, &[], self.include, &metadata),
            Form::Partial => {
                send::partial(&json!({ "metadata": metadata })).to_string().into_bytes()
            }
            Form::Object | Form::Discovery => json!({
                "kind": self.served.kind.kind, "apiVersion": self.served.kind.api_version(), "metadata": metadata,
            })
            .to_string()
            .into_bytes(),
        };
        line("BOOKMARK", &object)
    }
}
