//! Rules of roles: what one allows, and whether somebody's rules cover another's.

use crate::authorize::Attributes;
use serde_json::{Map, Value, json};

/// A rule of a role (upstream's `PolicyRule`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) verbs: Vec<String>,
}

fn has(all: &[String], one: &str) -> bool {
    all.iter().any(|own| own == one)
}

fn has_or_star(all: &[String], one: &str) -> bool {
    all.iter().any(|own| own == "*" || own == one)
}

impl Rule {
    pub(crate) fn of(rule: &Value) -> Self {
        let strings = |field: &str| {
            let all = rule[field].as_array().into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            groups: strings("apiGroups"),
            resources: strings("resources"),
            urls: strings("nonResourceURLs"),
            names: strings("resourceNames"),
            verbs: strings("verbs"),
        }
    }

    /// The rules of a role, or those of another kind's `rules` field.
    pub(crate) fn all(role: &Value) -> Vec<Self> {
        role["rules"].as_array().into_iter().flatten().map(Self::of).collect()
    }

    /// As roles and reviews have it: fields that say nothing are left out.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("verbs".to_owned(), json!(self.verbs));
        let rest = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (field, values) in rest {
            if !values.is_empty() {
                map.insert(field.to_owned(), json!(values));
            }
        }
        Value::Object(map)
    }

    /// Whether it allows a request.
    pub(crate) fn allows(&self, what: &Attributes) -> bool {
        if !has_or_star(&self.verbs, &what.verb) {
            return false;
        }
        if what.resource.is_empty() {
            return self.urls.iter().any(|url| url_covers(url, &what.path));
        }
        has_or_star(&self.groups, &what.group)
            && self.resources.iter().any(|own| resource_is(own, &what.resource, &what.subresource))
            && (self.names.is_empty() || has(&self.names, &what.name))
    }

    /// Whether it allows all that an atom of another rule allows.
    fn covers(&self, atom: &Self) -> bool {
        let all = |own: &[String], others: &[String], by: fn(&str, &str) -> bool| {
            others.iter().all(|other| own.iter().any(|own| by(own, other)))
        };
        all(&self.verbs, &atom.verbs, |own, other| own == "*" || own == other)
            && all(&self.groups, &atom.groups, |own, other| own == "*" || own == other)
            && all(&self.resources, &atom.resources, resource_covers)
            && all(&self.urls, &atom.urls, url_covers)
            && (self.names.is_empty()
                || !atom.names.is_empty() && atom.names.iter().all(|name| has(&self.names, name)))
    }

    /// The rule as many that have one verb, one resource and one name each.
    fn atoms(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut atoms = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let atom = Self {
                        groups: one(group),
                        resources: one(resource),
                        verbs: one(verb),
                        ..Self::default()
                    };
                    if self.names.is_empty() {
                        atoms.push(atom);
                    } else {
                        let named = |name| Self { names: one(name), ..atom.clone() };
                        atoms.extend(self.names.iter().map(named));
                    }
                }
            }
        }
        for url in &self.urls {
            for verb in &self.verbs {
                atoms.push(Self { urls: one(url), verbs: one(verb), ..Self::default() });
            }
        }
        atoms
    }

    /// As upstream's messages show it.
    fn compact(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(field, values)| format!("{field}:{}", quoted(values)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// A list as Go's `%q` prints it.
pub(crate) fn quoted(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(" "))
}

/// Whether a rule's resource is the one that is asked for: `pods`, `pods/log`, `*/scale`, `*`.
fn resource_is(own: &str, resource: &str, subresource: &str) -> bool {
    if own == "*" {
        return true;
    }
    if subresource.is_empty() {
        return own == resource;
    }
    own.split_once('/')
        .is_some_and(|(of, part)| part == subresource && (of == "*" || of == resource))
}

fn resource_covers(own: &str, other: &str) -> bool {
    if own == "*" || own == other {
        return true;
    }
    let part = other.split_once('/').map(|(_, part)| part);
    part.is_some() && own.strip_prefix("*/") == part
}

fn url_covers(own: &str, path: &str) -> bool {
    own == path || own.ends_with('*') && path.starts_with(own.trim_end_matches('*'))
}

/// What `wanted` allows beyond `held`, one line for each resource in upstream's words; nothing if it is covered.
pub(crate) fn beyond(held: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let missing =
        wanted.iter().flat_map(Rule::atoms).filter(|atom| !held.iter().any(|own| own.covers(atom)));
    // Atoms that differ only in their verb are shown as one.
    let mut compact: Vec<Rule> = Vec::new();
    for atom in missing {
        let same = |other: &&mut Rule| {
            atom.urls.is_empty()
                && (&other.groups, &other.resources, &other.names, &other.urls)
                    == (&atom.groups, &atom.resources, &atom.names, &atom.urls)
        };
        match compact.iter_mut().find(same) {
            Some(other) => other.verbs.extend(atom.verbs),
            None => compact.push(atom),
        }
    }
    let mut lines: Vec<String> = compact.iter().map(Rule::compact).collect();
    lines.sort();
    lines.dedup();
    lines
}
