//! The evaluator held against a reading of the rules that looks at everything and arranges nothing, on random worlds.

use super::decide;
use super::index::Objects;
use super::rule::{Rule, beyond};
use crate::authorize::{Attributes, Decision, User};
use crate::selector::matches_labels;
use moat_store::Rng;
use serde_json::{Value, json};

const VERBS: &[&str] = &["get", "list", "*"];
const GROUPS: &[&str] = &["", "apps", "*"];
const RESOURCES: &[&str] = &["pods", "pods/log", "*/log", "jobs", "*"];
const NAMES: &[&str] = &["a", "b"];
const URLS: &[&str] = &["/x", "/x/*", "/x/y", "*"];
const HOMES: &[&str] = &["", "n1", "n2"];
const USERS: &[&str] =
    &["jane", "joe", "system:serviceaccount:n1:web", "system:serviceaccount:n2:web"];
const TEAMS: &[&str] = &["dev", "ops"];
const ROLES: &[&str] = &["r1", "r2", "r3", "r4"];

struct World {
    roles: Vec<(&'static str, &'static str, Value)>,
    bindings: Vec<(&'static str, String, Value)>,
}

fn pick<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.below(all.len())]
}

fn some(rng: &mut Rng, all: &[&'static str]) -> Vec<&'static str> {
    (0..=rng.below(2)).map(|_| pick(rng, all)).collect()
}

fn rule(rng: &mut Rng) -> Value {
    if rng.below(4) == 0 {
        return json!({ "verbs": some(rng, VERBS), "nonResourceURLs": some(rng, URLS) });
    }
    let mut rule = json!({ "verbs": some(rng, VERBS), "apiGroups": some(rng, GROUPS), "resources": some(rng, RESOURCES) });
    if rng.below(3) == 0 {
        rule["resourceNames"] = json!(some(rng, NAMES));
    }
    rule
}

fn world(rng: &mut Rng) -> World {
    let (mut roles, mut bindings) = (Vec::new(), Vec::new());
    for home in HOMES {
        for name in ROLES {
            if rng.below(3) == 0 {
                continue;
            }
            let rules: Vec<Value> = (0..rng.below(3)).map(|_| rule(rng)).collect();
            let mut role = json!({ "metadata": { "labels": { "part": pick(rng, &["x", "y", "z"]) } }, "rules": rules });
            if home.is_empty() && rng.below(3) == 0 {
                let part = pick(rng, &["x", "y", "z"]);
                role["rules"] = json!([]);
                role["aggregationRule"] =
                    json!({ "clusterRoleSelectors": [{ "matchLabels": { "part": part } }] });
            }
            roles.push((*home, *name, role));
        }
        for at in 0..rng.below(4) {
            let subject = match rng.below(3) {
                0 => json!({ "kind": "User", "name": pick(rng, USERS) }),
                1 => json!({ "kind": "Group", "name": pick(rng, TEAMS) }),
                _ => {
                    json!({ "kind": "ServiceAccount", "name": "web", "namespace": pick(rng, HOMES) })
                }
            };
            let kind =
                if home.is_empty() { "ClusterRole" } else { pick(rng, &["Role", "ClusterRole"]) };
            let binding = json!({ "roleRef": { "kind": kind, "name": pick(rng, ROLES) }, "subjects": [subject] });
            bindings.push((*home, format!("b{at}"), binding));
        }
    }
    World { roles, bindings }
}

impl World {
    /// The rules of a role; those that gather are resolved by trying until nothing is added.
    fn rules(&self, home: &str, name: &str) -> Option<Vec<Value>> {
        let find = |home: &str, name: &str| {
            self.roles.iter().find(|(own, other, _)| *own == home && *other == name)
        };
        let (_, _, role) = find(home, name)?;
        let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
        let Some(selectors) = selectors else { return role["rules"].as_array().cloned() };
        let mut chosen: Vec<&str> = Vec::new();
        let mut waiting: Vec<Value> = selectors.clone();
        while let Some(selector) = waiting.pop() {
            for (own, other, role) in &self.roles {
                if own.is_empty()
                    && !chosen.contains(other)
                    && matches_labels(&selector, &role["metadata"]["labels"])
                {
                    chosen.push(other);
                    let more = role["aggregationRule"]["clusterRoleSelectors"].as_array();
                    waiting.extend(more.into_iter().flatten().cloned());
                }
            }
        }
        let all = chosen.iter().filter_map(|name| find("", name));
        Some(all.flat_map(|(_, _, role)| role["rules"].as_array().unwrap().clone()).collect())
    }

    fn may(&self, user: &User, what: &Attributes) -> bool {
        self.bindings.iter().any(|(home, _, binding)| {
            let here = home.is_empty() || *home == what.namespace;
            let kind = binding["roleRef"]["kind"].as_str().unwrap();
            let role_home = if kind == "Role" { home } else { "" };
            let rules = self.rules(role_home, binding["roleRef"]["name"].as_str().unwrap());
            here && binding["subjects"].as_array().unwrap().iter().any(|one| is(one, user, home))
                && rules.unwrap_or_default().iter().any(|rule| allows(rule, what))
        })
    }
}

fn is(subject: &Value, user: &User, home: &str) -> bool {
    let name = subject["name"].as_str().unwrap();
    match subject["kind"].as_str().unwrap() {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        _ => {
            let own = subject["namespace"].as_str().unwrap();
            let own = if own.is_empty() { home } else { own };
            !own.is_empty() && user.name == format!("system:serviceaccount:{own}:{name}")
        }
    }
}

fn allows(rule: &Value, what: &Attributes) -> bool {
    let any = |field: &str, test: &dyn Fn(&str) -> bool| {
        rule[field].as_array().into_iter().flatten().any(|one| test(one.as_str().unwrap()))
    };
    if !any("verbs", &|own| own == "*" || own == what.verb) {
        return false;
    }
    if !what.path.is_empty() {
        return any("nonResourceURLs", &|own| {
            own == what.path || own.strip_suffix('*').is_some_and(|own| what.path.starts_with(own))
        });
    }
    let full = if what.subresource.is_empty() {
        what.resource.clone()
    } else {
        format!("{}/{}", what.resource, what.subresource)
    };
    let star = format!("*/{}", what.subresource);
    any("apiGroups", &|own| own == "*" || own == what.group)
        && any("resources", &|own| {
            own == "*" || own == full || !what.subresource.is_empty() && own == star
        })
        && (rule["resourceNames"].is_null() || any("resourceNames", &|own| own == what.name))
}

fn question(rng: &mut Rng) -> Attributes {
    let of = |text: &str| text.to_owned();
    if rng.below(5) == 0 {
        let path = pick(rng, &["/x", "/x/y", "/x/z", "/w"]);
        return Attributes { verb: of("get"), path: of(path), ..Attributes::default() };
    }
    Attributes {
        verb: of(pick(rng, &["get", "list", "create"])),
        group: of(pick(rng, &["", "apps"])),
        resource: of(pick(rng, &["pods", "jobs"])),
        subresource: of(pick(rng, &["", "", "log"])),
        namespace: of(pick(rng, HOMES)),
        name: of(pick(rng, &["", "a", "b"])),
        ..Attributes::default()
    }
}

#[test]
fn decisions_are_those_of_a_naive_reading() {
    let mut n_allowed = 0;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let world = world(&mut rng);
        let mut objects = Objects::default();
        for (home, name, role) in &world.roles {
            objects.put_value(0, ((*home).to_owned(), (*name).to_owned()), role);
        }
        for (home, name, binding) in &world.bindings {
            objects.put_value(1, ((*home).to_owned(), name.clone()), binding);
        }
        let view = objects.view();
        for _ in 0..60 {
            let user = User {
                name: pick(&mut rng, USERS).to_owned(),
                groups: (0..rng.below(3)).map(|_| pick(&mut rng, TEAMS).to_owned()).collect(),
                ..User::default()
            };
            let what = question(&mut rng);
            let got = matches!(decide(&view, &user, &what), Decision::Allow(_));
            assert_eq!(got, world.may(&user, &what), "seed {seed}: {user:?} {what:?}");
            n_allowed += usize::from(got);
        }
    }
    // Neither answer is rare, or the comparison would say little.
    assert!((1_000..20_000).contains(&n_allowed), "{n_allowed}");
}

#[test]
fn what_is_covered_allows_nothing_more() {
    let (mut n_covered, mut n_beyond) = (0, 0);
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let rules = |rng: &mut Rng, n: usize| -> Vec<Rule> {
            (0..n).map(|_| Rule::of(&rule(rng))).collect()
        };
        let (held, wanted) = (rules(&mut rng, 3), rules(&mut rng, 1));
        let covered = beyond(&held, &wanted).is_empty();
        for _ in 0..40 {
            let what = question(&mut rng);
            let may = |rules: &[Rule]| rules.iter().any(|rule| rule.allows(&what));
            assert!(
                !covered || may(&held) || !may(&wanted),
                "seed {seed}: {what:?} {wanted:?} {held:?}"
            );
        }
        assert!(beyond(&wanted, &wanted).is_empty());
        n_covered += usize::from(covered);
        n_beyond += usize::from(!covered);
    }
    assert!(100 < n_covered && 100 < n_beyond, "{n_covered} {n_beyond}");
}

/// An authorisation with hundreds of bindings takes microseconds; the bound is generous because machines are shared.
#[test]
fn decisions_are_fast_with_many_bindings() {
    let mut objects = Objects::default();
    for at in 0..500 {
        let role =
            json!({ "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }] });
        let path = ("n1".to_owned(), format!("r{at}"));
        objects.put_value(0, path.clone(), &role);
        let subject = json!({ "kind": "User", "name": format!("user{at}") });
        let binding =
            json!({ "roleRef": { "kind": "Role", "name": path.1 }, "subjects": [subject] });
        objects.put_value(1, path, &binding);
    }
    let view = objects.view();
    let user = User::authenticated("user250", (0..10).map(|at| format!("g{at}")));
    let what = Attributes {
        verb: "get".to_owned(),
        resource: "pods".to_owned(),
        namespace: "n1".to_owned(),
        ..Attributes::default()
    };
    let fastest = (0..200)
        .map(|_| {
            let began = std::time::Instant::now();
            assert!(matches!(decide(&view, &user, &what), Decision::Allow(_)));
            began.elapsed()
        })
        .min();
    assert!(fastest.unwrap() < std::time::Duration::from_micros(20), "{fastest:?}");
}
