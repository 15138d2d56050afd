//! Roles and bindings as the store has them, arranged by whom they are for, so that a decision looks only at what concerns its user.

use super::rule::Rule;
use crate::authn::service_account::username;
use crate::authorize::User;
use crate::object::{decode, list, text};
use crate::selector::matches_labels;
use moat_store::{EventKind, List, Object, ReadError, Resource, Scope, Store, Watch};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The resources that are read, in the order of [`State::watches`].
const RESOURCES: [&str; 4] = [
    "rbac.authorization.k8s.io/roles",
    "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/clusterroles",
    "rbac.authorization.k8s.io/clusterrolebindings",
];

/// The index: always as new as the store is when it is asked.
pub(super) struct Index {
    store: Store,
    state: Mutex<Option<State>>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

/// What was read, and where in the store's history.
struct State {
    revision: u64,
    watches: Vec<Watch>,
    objects: Objects,
    view: Arc<View>,
}

/// What roles and bindings say. Namespaces are empty for those of the cluster.
#[derive(Debug, Default)]
pub(super) struct Objects {
    roles: BTreeMap<(String, String), Role>,
    bindings: BTreeMap<(String, String), Arc<Binding>>,
}

#[derive(Debug, Default)]
struct Role {
    rules: Arc<[Rule]>,
    labels: Value,
    /// Label selectors of the roles that are gathered, if this one gathers.
    gathers: Vec<Value>,
}

/// A binding, with what messages say of it.
#[derive(Debug, Default)]
pub(super) struct Binding {
    namespace: String,
    name: String,
    role_kind: String,
    role: String,
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

/// A role that was given, by which binding.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) binding: Arc<Binding>,
    /// None where the role does not exist.
    pub(super) rules: Option<Arc<[Rule]>>,
}

/// All that is needed for decisions; never changed once made.
#[derive(Debug, Default)]
pub(super) struct View {
    grants: Vec<Grant>,
    /// By namespace, then by user or group: places in `grants`.
    users: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    groups: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// By namespace and name, as they are after gathering.
    roles: BTreeMap<(String, String), Arc<[Rule]>>,
}

impl Index {
    pub(super) fn new(store: Store) -> Self {
        Self { store, state: Mutex::new(None) }
    }

    /// What holds now: every write of which its writer knows is in it.
    pub(super) fn view(&self) -> Arc<View> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.store.revision();
        if let Some(state) = state.as_mut().filter(|state| state.revision == revision) {
            return Arc::clone(&state.view);
        }
        let caught_up = match state.as_mut() {
            Some(state) => state.catch_up(revision).is_ok(),
            None => false,
        };
        if !caught_up {
            // At the start, and when history was forgotten faster than anybody asked.
            *state = State::read(&self.store, revision).ok();
        }
        // A store that cannot be read allows nothing.
        state.as_ref().map(|state| Arc::clone(&state.view)).unwrap_or_default()
    }
}

impl State {
    fn read(store: &Store, revision: u64) -> Result<Self, ReadError> {
        let (mut objects, mut watches) = (Objects::default(), Vec::new());
        for (at, name) in RESOURCES.iter().enumerate() {
            let Ok(resource) = Resource::new(name) else { continue };
            let page = store.list(&List::new(&resource, Scope::All))?;
            page.objects.iter().for_each(|object| objects.put(at, object));
            watches.push(store.watch(&resource, Scope::All, page.revision)?);
        }
        let view = Arc::new(objects.view());
        Ok(Self { revision, watches, objects, view })
    }

    fn catch_up(&mut self, revision: u64) -> Result<(), ReadError> {
        let mut changed = false;
        for (at, watch) in self.watches.iter_mut().enumerate() {
            for event in watch.try_next()? {
                changed = true;
                match event.kind {
                    EventKind::Deleted => self.objects.remove(at, &event.object),
                    EventKind::Added | EventKind::Modified => self.objects.put(at, &event.object),
                }
            }
        }
        if changed {
            self.view = Arc::new(self.objects.view());
        }
        self.revision = revision;
        Ok(())
    }
}

fn path(object: &Object) -> (String, String) {
    (object.path.namespace().unwrap_or_default().to_owned(), object.path.name().to_owned())
}

impl Objects {
    fn put(&mut self, at: usize, object: &Object) {
        self.put_value(at, path(object), &decode(object));
    }

    /// Puts a role (0 in a namespace, 2 of the cluster) or a binding (1, 3).
    pub(super) fn put_value(&mut self, at: usize, path: (String, String), object: &Value) {
        if at.is_multiple_of(2) {
            self.roles.insert(path, Role::of(object));
        } else {
            let binding = Binding::of(&path, object);
            self.bindings.insert(path, Arc::new(binding));
        }
    }

    fn remove(&mut self, at: usize, object: &Object) {
        if at.is_multiple_of(2) {
            self.roles.remove(&path(object));
        } else {
            self.bindings.remove(&path(object));
        }
    }

    /// The rules of a role, with those of all roles that it gathers, and that those gather.
    fn rules(&self, role: &Role) -> Arc<[Rule]> {
        if role.gathers.is_empty() {
            return Arc::clone(&role.rules);
        }
        let (mut seen, mut rules, mut waiting) = (BTreeSet::new(), Vec::new(), vec![role]);
        while let Some(role) = waiting.pop() {
            for ((namespace, name), other) in &self.roles {
                let chosen = namespace.is_empty()
                    && role.gathers.iter().any(|selector| matches_labels(selector, &other.labels));
                if !chosen || !seen.insert(name) {
                    continue;
                }
                if other.gathers.is_empty() {
                    for rule in other.rules.iter() {
                        if !rules.contains(rule) {
                            rules.push(rule.clone());
                        }
                    }
                } else {
                    waiting.push(other);
                }
            }
        }
        rules.into()
    }

    pub(super) fn view(&self) -> View {
        let mut view = View {
            roles: self.roles.iter().map(|(path, role)| (path.clone(), self.rules(role))).collect(),
            ..View::default()
        };
        for binding in self.bindings.values() {
            let rules = view.role(&binding.role_kind, &binding.namespace, &binding.role);
            let at = view.grants.len();
            view.grants.push(Grant { binding: Arc::clone(binding), rules });
            for subject in &binding.subjects {
                let (table, who) = match subject.kind.as_str() {
                    "User" => (&mut view.users, subject.name.clone()),
                    "Group" => (&mut view.groups, subject.name.clone()),
                    "ServiceAccount" => match subject.home(&binding.namespace) {
                        "" => continue,
                        home => (&mut view.users, username(home, &subject.name)),
                    },
                    _ => continue,
                };
                table
                    .entry(binding.namespace.clone())
                    .or_default()
                    .entry(who)
                    .or_default()
                    .push(at);
            }
        }
        view
    }
}

impl Role {
    fn of(role: &Value) -> Self {
        Self {
            rules: Rule::all(role).into(),
            labels: role["metadata"]["labels"].clone(),
            gathers: list(role, "/aggregationRule/clusterRoleSelectors").to_vec(),
        }
    }
}

impl Binding {
    fn of((namespace, name): &(String, String), binding: &Value) -> Self {
        let subject = |one: &Value| Subject {
            kind: text(one, "/kind").to_owned(),
            name: text(one, "/name").to_owned(),
            namespace: text(one, "/namespace").to_owned(),
        };
        Self {
            namespace: namespace.clone(),
            name: name.clone(),
            role_kind: text(binding, "/roleRef/kind").to_owned(),
            role: text(binding, "/roleRef/name").to_owned(),
            subjects: list(binding, "/subjects").iter().map(subject).collect(),
        }
    }

    /// By what somebody may, as `SelfSubjectAccessReview` says it.
    pub(super) fn why(&self, user: &User) -> String {
        let matches = |subject: &&Subject| match subject.kind.as_str() {
            "User" => subject.name == user.name,
            "Group" => user.groups.contains(&subject.name),
            _ => username(subject.home(&self.namespace), &subject.name) == user.name,
        };
        let who = match self.subjects.iter().find(matches) {
            Some(subject) if subject.kind == "ServiceAccount" => {
                let home = subject.home(&self.namespace);
                format!("ServiceAccount {:?}", format!("{}/{home}", subject.name))
            }
            Some(subject) => format!("{} {:?}", subject.kind, subject.name),
            None => String::new(),
        };
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        format!("{kind} {name:?} of {} {:?} to {who}", self.role_kind, self.role)
    }

    /// What is said of a role that does not exist.
    pub(super) fn missing(&self) -> String {
        not_found(&self.role_kind, &self.role)
    }
}

/// Upstream's words for a role that is not there.
pub(super) fn not_found(kind: &str, name: &str) -> String {
    format!("{}.rbac.authorization.k8s.io {name:?} not found", kind.to_lowercase())
}

impl Subject {
    /// The namespace of an account; that of the binding where it does not say.
    fn home<'a>(&'a self, namespace: &'a str) -> &'a str {
        if self.namespace.is_empty() { namespace } else { &self.namespace }
    }
}

impl View {
    /// The rules of a role that a binding in a namespace (or of the cluster) refers to.
    pub(super) fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        let home = match kind {
            "Role" if !namespace.is_empty() => namespace,
            "ClusterRole" => "",
            _ => return None,
        };
        self.roles.get(&(home.to_owned(), name.to_owned())).cloned()
    }

    /// What a user was given, for the whole cluster and in a namespace if there is one; each binding once, those of the cluster first.
    pub(super) fn grants(&self, user: &User, namespace: &str) -> impl Iterator<Item = &Grant> {
        let mut places = BTreeSet::new();
        let homes = if namespace.is_empty() { &[""][..] } else { &["", namespace][..] };
        for home in homes {
            let of = |table: &BTreeMap<String, BTreeMap<String, Vec<usize>>>, who: &str| {
                table.get(*home).and_then(|own| own.get(who)).cloned().unwrap_or_default()
            };
            places.extend(of(&self.users, &user.name));
            for group in &user.groups {
                places.extend(of(&self.groups, group));
            }
        }
        places.into_iter().filter_map(|place| self.grants.get(place))
    }
}
