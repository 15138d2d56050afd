//! Who owns which fields of an object, and server-side apply, which depends on it.
//!
//! Every write leaves its manager as the owner of what it changed, and takes it from the others. Whoever applies owns what was applied, is told
//! of conflicts with others, and gives up what is applied no more. The rules are upstream's (`structured-merge-diff`).

mod compare;
mod entries;
mod merge;
mod set;
mod shape;
#[cfg(test)]
mod tests;

use crate::kinds::{Kind, OtherForm};
use crate::object::{drop_nulls, meta, meta_mut, same_but};
use crate::schema::Schema;
use crate::stamp::now;
use crate::status::{Cause, Status};
use compare::compare;
use entries::{Entry, Operation, Who};
use serde_json::Value;
use set::{Set, shown};
use std::sync::Arc;

/// How many managers there are that only update; the oldest become one.
const UPDATERS_MAX: usize = 10;

/// What kubectl's own apply leaves behind.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A write, to those who count fields.
#[derive(Clone, Debug)]
pub(crate) struct Write<'a> {
    who: Who,
    schema: Schema<'a>,
    /// Which part of the object this path does not write.
    ignored: &'static [&'static str],
    /// What Go has in an object that nobody filled.
    empty: Arc<Value>,
    /// The version in which objects are stored, and the other one in which they are served.
    stored: String,
    other: Option<OtherForm>,
    kind: &'a str,
}

impl<'a> Write<'a> {
    /// A write through a path of a kind by a manager, or by a program that only says its name to the server.
    pub(crate) fn new(kind: &'a Kind, subresource: &str, manager: &str, user_agent: &str) -> Self {
        let manager = if manager.is_empty() { program(user_agent) } else { manager.to_owned() };
        let api_version = kind.api_version();
        let ignored: &[&str] = match subresource {
            "status" => &["spec"],
            // What is asked for is asked for once, by whoever it is then.
            "" if kind.is("certificates.k8s.io", "CertificateSigningRequest") => {
                &["spec", "status"]
            }
            _ if kind.subresource("status").is_some() => &["status"],
            _ => &[],
        };
        Self {
            schema: kind.schema(),
            ignored,
            empty: crate::wire::empty(&api_version, &kind.kind),
            stored: api_version.clone(),
            other: OtherForm::of(kind),
            kind: &kind.kind,
            who: Who {
                manager: if manager.is_empty() { "unknown".to_owned() } else { manager },
                operation: Operation::Update,
                api_version,
                subresource: subresource.to_owned(),
            },
        }
    }

    /// The same write through another version of the kind: its fields are named as that version names them.
    pub(crate) fn through(mut self, kind: &Kind) -> Self {
        self.who.api_version = kind.api_version();
        self
    }

    /// Notes a new object's fields.
    pub(crate) fn created(&self, object: &mut Value) {
        let entries = if entries::is_reset(object) {
            Vec::new()
        } else {
            entries::read(object).unwrap_or_default()
        };
        self.update(&self.empty, object, entries);
    }

    /// Notes what a write changed. `new` may have its own account of managers, which then counts.
    pub(crate) fn updated(&self, old: &Value, new: &mut Value) {
        if self.who.subresource.is_empty() {
            if entries::is_reset(new) {
                meta_mut(new).shift_remove("managedFields");
                return;
            }
            let own = &new["metadata"]["managedFields"];
            if !own.is_null()
                && *own != old["metadata"]["managedFields"]
                && let Some(entries) = entries::read(new).filter(|entries| !entries.is_empty())
            {
                self.update(old, new, entries);
                return;
            }
        }
        let entries = entries::stored(old);
        if entries.is_empty() {
            // Nobody is counted who came before the counting.
            meta_mut(new).shift_remove("managedFields");
            return;
        }
        self.update(old, new, entries);
    }

    fn update(&self, old: &Value, new: &mut Value, mut entries: Vec<Entry>) {
        let diff = self.difference(old, new);
        let other = self.other.map(|form| self.difference_in(form, old, new));
        for entry in &mut entries {
            let diff = match &other {
                Some((version, other)) if *version == entry.who.api_version => other,
                _ => &diff,
            };
            entry.take(&diff.changed);
            entry.take(&diff.removed);
        }
        let changed = match other {
            Some((version, other)) if version == self.who.api_version => other.changed,
            _ => diff.changed,
        };
        let own = self.counted(changed);
        if !own.is_empty() {
            match entries.iter_mut().find(|entry| entry.who.is(&self.who)) {
                Some(entry) => {
                    entry.add(own);
                    entry.time = now();
                }
                None => {
                    let (who, fields) = (self.who.clone(), own.into_json());
                    entries.push(Entry { who, time: now(), fields });
                }
            }
        }
        cap(&mut entries);
        entries::write(new, entries);
    }

    /// What differs in another form, and the version of that form.
    fn difference_in(&self, form: OtherForm, old: &Value, new: &Value) -> (String, compare::Diff) {
        let schema = Schema::of_kind(form.group, form.version, self.kind);
        let diff = compare(schema, Some(&form.shown(old)), Some(&form.shown(new)));
        (crate::kinds::api_version(form.group, form.version), self.written(diff))
    }

    /// What differs.
    fn difference(&self, old: &Value, new: &Value) -> compare::Diff {
        self.written(compare(self.schema, Some(old), Some(new)))
    }

    /// What differs, as far as this path writes it. The account itself is not counted.
    fn written(&self, mut diff: compare::Diff) -> compare::Diff {
        for set in [&mut diff.changed, &mut diff.removed] {
            for field in self.ignored {
                set.children.remove(&format!("f:{field}"));
            }
            if let Some(metadata) = set.children.get_mut("f:metadata") {
                metadata.children.remove("f:managedFields");
            }
        }
        diff
    }

    /// Without what belongs to nobody: what names the object, and what the server says of it.
    fn counted(&self, mut set: Set) -> Set {
        for field in ["apiVersion", "kind"].iter().chain(self.ignored) {
            set.children.remove(&format!("f:{field}"));
        }
        if let Some(mut metadata) = set.children.remove("f:metadata") {
            metadata.member = false;
            for field in [
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            ] {
                metadata.children.remove(&format!("f:{field}"));
            }
            set.put("f:metadata".to_owned(), metadata);
        }
        set
    }

    /// Applies: the object as it then is. `live` is nothing where there is none.
    pub(crate) fn applied(
        &self,
        live: Option<&Value>,
        config: &Value,
        force: bool,
    ) -> Result<Value, Status> {
        if !config["metadata"]["managedFields"].is_null() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let mut who = Who { operation: Operation::Apply, ..self.who.clone() };
        if self.other.is_some() {
            // What is applied is laid over the stored form.
            who.api_version.clone_from(&self.stored);
        }
        let mut entries = live.map(entries::stored).unwrap_or_default();
        if let (Some(live), true) = (live, entries.is_empty()) {
            let before = Who {
                manager: "before-first-apply".to_owned(),
                api_version: who.api_version.clone(),
                ..self.who.clone()
            };
            let mut copy = live.clone();
            Self { who: before, ..self.clone() }.update(&self.empty, &mut copy, Vec::new());
            entries = entries::stored(&copy);
        }
        let base = live.unwrap_or(&self.empty);
        let done = match self.lay(base, config, &who, entries.clone(), force) {
            Err(Refused::Conflicts(conflicts)) if who.manager == "kubectl" => {
                // What kubectl's own apply left is kubectl's: nobody else is asked.
                let allowed = self.left_by_kubectl(base);
                let rest: Vec<Conflict> =
                    conflicts.into_iter().filter(|one| !allowed.has(&one.elements())).collect();
                if rest.is_empty() {
                    self.lay(base, config, &who, entries, true)
                } else {
                    Err(Refused::Conflicts(rest))
                }
            }
            other => other,
        };
        let (mut new, entries) = done.map_err(|refused| refused.status(config))?;
        entries::write(&mut new, entries);
        let annotated = new["metadata"]["annotations"][LAST_APPLIED]
            .as_str()
            .is_some_and(|own| !own.is_empty());
        if who.manager == "kubectl" && annotated {
            let mut config = config.clone();
            if let Some(annotations) =
                meta_mut(&mut config).get_mut("annotations").and_then(Value::as_object_mut)
            {
                annotations.shift_remove(LAST_APPLIED);
            }
            new["metadata"]["annotations"][LAST_APPLIED] = format!("{config}\n").into();
        }
        Ok(new)
    }

    fn lay(
        &self,
        live: &Value,
        config: &Value,
        who: &Who,
        mut entries: Vec<Entry>,
        force: bool,
    ) -> Result<(Value, Vec<Entry>), Refused> {
        let fields = shape::fields_of(self.schema, config).map_err(Refused::Wrong)?;
        let merged = merge::merge(self.schema, Some(live), Some(config));
        let mut new = merged.map_err(Refused::Wrong)?.unwrap_or_default();
        let fields = self.filtered(fields);
        let at = entries.iter().position(|entry| entry.who.is(who));
        let last = at.map(|at| entries.remove(at));
        let owned = entries.iter().fold(fields.clone(), |all, entry| all.union(entry.set()));
        if let Some(last) = &last {
            new = self.pruned(new, &last.set(), &owned);
        }
        drop_nulls(&mut new);
        let diff = self.difference(live, &new);
        let mut conflicts = Vec::new();
        for entry in &entries {
            if diff.changed.meets(&entry.fields) {
                let both = entry.set().intersection(&diff.changed);
                both.each(&mut Vec::new(), &mut |path| {
                    conflicts.push(Conflict {
                        who: entry.who.clone(),
                        path: path.iter().map(|element| (*element).to_owned()).collect(),
                    });
                });
            }
        }
        if !force && !conflicts.is_empty() {
            return Err(Refused::Conflicts(conflicts));
        }
        for entry in &mut entries {
            entry.take(&diff.changed);
            entry.take(&diff.removed);
        }
        let fields = self.counted(fields).into_json();
        let changed = !diff.changed.is_empty() || !diff.removed.is_empty();
        let time = match last {
            Some(last) if !changed && last.fields == fields => last.time,
            _ => now(),
        };
        let who = who.clone();
        entries.push(Entry { who, time, fields });
        Ok((new, entries))
    }

    fn filtered(&self, mut set: Set) -> Set {
        for field in self.ignored {
            set.children.remove(&format!("f:{field}"));
        }
        set
    }

    /// Takes out what this manager applied last time, does not apply now, and nobody else owns.
    fn pruned(&self, merged: Value, last: &Set, owned: &Set) -> Value {
        let named = |set: &Set| shape::with_named(self.schema, set);
        let all = |value: &Value| named(&shape::fields_of_any(self.schema, value));
        let last = named(last);
        let have = all(&merged);
        let pruned = merge::without(self.schema, &merged, &last);
        // What others own comes back, and with it what it is in.
        let kept = all(&pruned).union(named(owned));
        let pruned = merge::without(self.schema, &merged, &have.clone().difference(&kept));
        // What nobody applied stays, even inside what was taken out.
        let gone = have.difference(&all(&pruned)).intersection(&last);
        merge::without(self.schema, &merged, &gone)
    }

    /// Fields that kubectl's own apply set and that are as it set them.
    fn left_by_kubectl(&self, live: &Value) -> Set {
        let text = live["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap_or_default();
        let Ok((last, _)) = crate::json::parse(text.as_bytes()) else { return Set::default() };
        let version = if self.other.is_some() { &self.stored } else { &self.who.api_version };
        if last["apiVersion"] != *version {
            return Set::default();
        }
        let Ok(fields) = shape::fields_of(self.schema, &last) else { return Set::default() };
        let diff = compare(self.schema, Some(&last), Some(live));
        fields.difference(&diff.changed).difference(&diff.removed)
    }
}

/// A field that is applied and belongs to another.
#[derive(Clone, Debug)]
struct Conflict {
    who: Who,
    path: Vec<String>,
}

impl Conflict {
    fn elements(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    fn place(&self) -> String {
        shown(&self.elements())
    }
}

/// Why nothing was applied.
#[derive(Debug)]
enum Refused {
    /// What was applied is no object of the type.
    Wrong(String),
    Conflicts(Vec<Conflict>),
}

impl Refused {
    fn status(self, config: &Value) -> Status {
        let conflicts = match self {
            Self::Wrong(why) => {
                let (namespace, name) = (meta(config, "namespace"), meta(config, "name"));
                return Status::unknown(format!(
                    "failed to create typed patch object ({namespace}/{name}; {}, Kind={}): {why}",
                    config["apiVersion"].as_str().unwrap_or_default(),
                    config["kind"].as_str().unwrap_or_default()
                ));
            }
            Self::Conflicts(conflicts) => conflicts,
        };
        let cause = |one: &Conflict| {
            Cause::field(
                "FieldManagerConflict",
                one.place(),
                format!("conflict with {}", one.who.shown()),
            )
        };
        let causes: Vec<Cause> = conflicts.iter().map(cause).collect();
        let message = if let [one] = conflicts.as_slice() {
            format!(
                "Apply failed with 1 conflict: conflict with {}: {}",
                one.who.shown(),
                one.place()
            )
        } else {
            let mut lines: Vec<String> = Vec::new();
            let mut before: Option<&Who> = None;
            for one in &conflicts {
                if before != Some(&one.who) {
                    lines.push(format!("conflicts with {}:", one.who.shown()));
                    before = Some(&one.who);
                }
                lines.push(format!("- {}", one.place()));
            }
            format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
        };
        Status::apply_conflict(message, &causes)
    }
}

/// Makes the oldest managers that only update one, where there are too many.
fn cap(entries: &mut Vec<Entry>) {
    let count = |entries: &[Entry]| {
        entries.iter().filter(|entry| entry.who.operation == Operation::Update).count()
    };
    while UPDATERS_MAX < count(entries) {
        let ancient = |entry: &Entry| {
            entry.who.manager == "ancient-changes" && entry.who.operation == Operation::Update
        };
        let oldest = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.who.operation == Operation::Update && !ancient(entry))
            .min_by(|(_, a), (_, b)| (&a.time, &a.who.manager).cmp(&(&b.time, &b.who.manager)))
            .map(|(at, _)| at);
        let Some(at) = oldest else { return };
        let mut old = entries.remove(at);
        let api_version = old.who.api_version.clone();
        match entries
            .iter_mut()
            .find(|entry| ancient(entry) && entry.who.api_version == api_version)
        {
            Some(entry) => {
                entry.add(old.set());
                entry.time = entry.time.clone().max(old.time);
            }
            None => {
                old.who = Who {
                    manager: "ancient-changes".to_owned(),
                    operation: Operation::Update,
                    api_version,
                    subresource: String::new(),
                };
                entries.push(old);
            }
        }
    }
}

/// Gives back the times of the old account where nothing but times changed, so that a write of nothing is none.
pub(crate) fn keep_times(old: &Value, new: &mut Value) {
    const ACCOUNT: &str = "managedFields";
    let (before, after) = (&old["metadata"][ACCOUNT], &new["metadata"][ACCOUNT]);
    if before == after
        || !same_but(old, new, "metadata")
        || !same_but(&old["metadata"], &new["metadata"], ACCOUNT)
    {
        return;
    }
    let (Some(left), Some(right)) = (before.as_array(), after.as_array()) else { return };
    if left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| same_but(left, right, "time"))
    {
        meta_mut(new).insert(ACCOUNT.to_owned(), before.clone());
    }
}

/// A program's name out of its `User-Agent`, as upstream takes it.
fn program(user_agent: &str) -> String {
    const BYTES_MAX: usize = 128;
    let mut name = String::new();
    let first = user_agent.split('/').next().unwrap_or_default();
    for letter in first.chars().filter(|letter| !letter.is_control()) {
        if BYTES_MAX < name.len() + letter.len_utf8() {
            break;
        }
        name.push(letter);
    }
    name
}
