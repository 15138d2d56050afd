//! Names for sets of pods, by what their members share.

use core::fmt::Write as _;
use moat_ir::{Bound, PodIdx};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels that name things for people, best first.
const PREFERRED: [&str; 6] =
    ["app.kubernetes.io/name", "app", "k8s-app", "name", "app.kubernetes.io/component", "tier"];

/// A part of a name: some pods of some namespaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Of which namespaces.
    pub namespaces: Vec<String>,
    /// Which pods there.
    pub pods: Which,
    /// How many that are.
    pub n_pods: usize,
}

/// Some pods of a namespace.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Which {
    /// All.
    All,
    /// All with this label.
    Label(String),
    /// These.
    Only(Vec<String>),
    /// All but these.
    Except(Vec<String>),
}

impl Part {
    /// The part as text, with at most `most` members of each list.
    #[must_use]
    pub fn text(&self, most: usize) -> String {
        let mut out = self.bare(most);
        let several = self.namespaces.len() > 1
            || self.namespaces.iter().any(|name| name.starts_with(['[', '*']));
        if several || matches!(self.pods, Which::Label(_)) {
            let _ = write!(out, " ({})", count(self.n_pods, "pod"));
        }
        out
    }

    /// The part as text, without how many pods it is.
    fn bare(&self, most: usize) -> String {
        let mut out = list(&self.namespaces, most);
        out.push('/');
        match &self.pods {
            Which::All => out.push('*'),
            Which::Label(label) => out.push_str(label),
            Which::Only(names) => out.push_str(&list(names, most)),
            Which::Except(names) => {
                let _ = write!(out, "* except {}", list(names, most));
            }
        }
        out
    }
}

/// `1 pod`, `2 pods`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Names of one kind of workload share the kind: `deployment/{a,b}`.
fn list(names: &[String], most: usize) -> String {
    let kind =
        names.first().and_then(|name| name.split_once('/')).map(|(kind, _)| format!("{kind}/"));
    if let Some(kind) = kind.filter(|_| names.len() > 1) {
        let bare: Option<Vec<String>> =
            names.iter().map(|name| name.strip_prefix(&kind).map(str::to_owned)).collect();
        if let Some(bare) = bare {
            return kind + &list(&bare, most);
        }
    }
    match names {
        [one] => one.clone(),
        _ if names.len() > most + 1 => format!(
            "{{{},… {} more}}",
            names.get(..most).unwrap_or_default().join(","),
            names.len() - most
        ),
        _ => format!("{{{}}}", names.join(",")),
    }
}

type Label = (Arc<str>, Arc<str>);

/// Names sets of running pods.
#[derive(Debug)]
pub struct Namer<'b> {
    bound: &'b Bound,
    by_namespace: BTreeMap<&'b str, Vec<PodIdx>>,
    /// How many pods have a label, per namespace and over all.
    labelled: FxHashMap<(Option<&'b str>, &'b str, &'b str), usize>,
    /// In how many namespaces with pods a namespace label is set.
    namespaces: FxHashMap<Label, usize>,
    n_pods: usize,
}

impl<'b> Namer<'b> {
    /// Looks at all running pods.
    #[must_use]
    pub fn new(bound: &'b Bound) -> Self {
        let mut namer = Self {
            bound,
            by_namespace: BTreeMap::new(),
            labelled: FxHashMap::default(),
            namespaces: FxHashMap::default(),
            n_pods: 0,
        };
        for (pod, info) in (0u32..).zip(&bound.pods).filter(|(_, info)| !info.finished) {
            namer.n_pods += 1;
            let members = namer.by_namespace.entry(&info.namespace).or_default();
            if members.is_empty() {
                for (key, value) in info.namespace_labels.iter() {
                    *namer.namespaces.entry((key.into(), value.into())).or_default() += 1;
                }
            }
            members.push(pod);
            for (key, value) in info.labels.iter() {
                *namer.labelled.entry((Some(&info.namespace), key, value)).or_default() += 1;
                *namer.labelled.entry((None, key, value)).or_default() += 1;
            }
        }
        namer
    }

    /// Namespaces with running pods.
    #[must_use]
    pub fn n_namespaces(&self) -> usize {
        self.by_namespace.len()
    }

    /// How many running pods there are.
    #[must_use]
    pub fn n_pods(&self) -> usize {
        self.n_pods
    }

    /// How many running pods a namespace has.
    #[must_use]
    pub fn pods_in(&self, namespace: &str) -> usize {
        self.by_namespace.get(namespace).map_or(0, Vec::len)
    }

    /// A name for these pods, which are in rising order and without repetition.
    #[must_use]
    pub fn name(&self, pods: &[PodIdx]) -> Vec<Part> {
        if pods.len() == self.n_pods && self.by_namespace.len() > 1 {
            return vec![Part {
                namespaces: vec!["*".to_owned()],
                pods: Which::All,
                n_pods: pods.len(),
            }];
        }
        let parts = self.parts(pods);
        if parts.len() < 2 {
            return parts;
        }
        // All but a few are named by the few.
        if self.n_pods - pods.len() <= pods.len() / 2 {
            let running = self.by_namespace.values().flatten().copied();
            let mut rest: Vec<PodIdx> =
                running.filter(|pod| pods.binary_search(pod).is_err()).collect();
            rest.sort_unstable();
            if let [rest] = self.parts(&rest).as_slice() {
                let pods_but = Which::Except(vec![rest.bare(4)]);
                return vec![Part {
                    namespaces: vec!["*".to_owned()],
                    pods: pods_but,
                    n_pods: pods.len(),
                }];
            }
        }
        // A list of values over all namespaces only where namespaces say it no shorter.
        if parts.len() > 3
            && let Some(label) = PREFERRED.iter().find_map(|key| self.values(None, pods, key))
        {
            return vec![Part {
                namespaces: vec!["*".to_owned()],
                pods: Which::Label(label),
                n_pods: pods.len(),
            }];
        }
        parts
    }

    fn parts(&self, pods: &[PodIdx]) -> Vec<Part> {
        let mut by_namespace: BTreeMap<&str, Vec<PodIdx>> = BTreeMap::new();
        for &pod in pods {
            by_namespace.entry(&self.bound.pod(pod).namespace).or_default().push(pod);
        }
        if by_namespace.len() > 1
            && let Some(label) = self.label(None, pods)
        {
            return vec![Part {
                namespaces: vec!["*".to_owned()],
                pods: Which::Label(label),
                n_pods: pods.len(),
            }];
        }
        let mut parts: BTreeMap<Which, (Vec<String>, usize)> = BTreeMap::new();
        let mut single = Vec::new();
        for (namespace, pods) in by_namespace {
            match self.within(namespace, &pods) {
                which @ (Which::All | Which::Label(_)) => {
                    let (namespaces, n_pods) = parts.entry(which).or_default();
                    namespaces.push(namespace.to_owned());
                    *n_pods += pods.len();
                }
                which => single.push(Part {
                    namespaces: vec![namespace.to_owned()],
                    pods: which,
                    n_pods: pods.len(),
                }),
            }
        }
        let mut out: Vec<Part> = parts
            .into_iter()
            .map(|(pods, (namespaces, n_pods))| {
                let namespaces = self
                    .namespace_label(&namespaces)
                    .map_or(namespaces, |label| vec![format!("[{label}]")]);
                Part { namespaces, pods, n_pods }
            })
            .collect();
        out.extend(single);
        out
    }

    fn within(&self, namespace: &str, pods: &[PodIdx]) -> Which {
        let own = self.by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        if pods.len() == own.len() {
            return if pods.len() == 1 { self.only(pods) } else { Which::All };
        }
        if pods.len() > 1
            && let Some(label) = self.label(Some(namespace), pods)
        {
            return Which::Label(label);
        }
        if pods.len() > 4 && own.len() - pods.len() <= pods.len() / 2 {
            let rest: Vec<PodIdx> =
                own.iter().copied().filter(|pod| pods.binary_search(pod).is_err()).collect();
            if let Which::Only(names) = self.only(&rest) {
                return Which::Except(names);
            }
        }
        self.only(pods)
    }

    fn only(&self, pods: &[PodIdx]) -> Which {
        let name = |&pod: &PodIdx| {
            let info = self.bound.pod(pod);
            info.display
                .strip_prefix(info.namespace.as_ref())
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(&info.display)
                .to_owned()
        };
        Which::Only(pods.iter().map(name).collect())
    }

    /// A label that exactly these pods have, in a namespace or over all.
    fn label(&self, namespace: Option<&str>, pods: &[PodIdx]) -> Option<String> {
        let (first, rest) = pods.split_first()?;
        let labels = &self.bound.pod(*first).labels;
        let shared = labels.iter().filter(|(key, value)| {
            self.labelled.get(&(namespace, key, value)).copied() == Some(pods.len())
        });
        let exact = shared.filter(|(key, value)| {
            rest.iter().all(|&pod| self.bound.pod(pod).labels.get(key) == Some(value))
        });
        let best = exact.min_by_key(|(key, _)| {
            (PREFERRED.iter().position(|name| name == key).unwrap_or(PREFERRED.len()), *key)
        });
        if let Some((key, value)) = best {
            return Some(format!("{key}={value}"));
        }
        namespace?;
        PREFERRED.iter().find_map(|key| self.values(namespace, pods, key))
    }

    /// A few values of a label that exactly these pods have.
    fn values(&self, namespace: Option<&str>, pods: &[PodIdx], key: &str) -> Option<String> {
        const MOST: usize = 6;
        let mut values: Vec<&str> = Vec::new();
        for &pod in pods {
            let value = self.bound.pod(pod).labels.get(key)?;
            if !values.contains(&value) {
                values.push(value);
            }
            if values.len() > MOST {
                return None;
            }
        }
        let held =
            |value: &&str| self.labelled.get(&(namespace, key, *value)).copied().unwrap_or(0);
        let exact = values.iter().map(held).sum::<usize>() == pods.len();
        values.sort_unstable();
        // A list of as many values as pods says no more than the names do.
        (exact && values.len() * 2 <= pods.len())
            .then(|| format!("{key} in ({})", values.join(",")))
    }

    /// A label that exactly these of the namespaces with pods have.
    fn namespace_label(&self, namespaces: &[String]) -> Option<String> {
        if namespaces.len() < 3 {
            return None;
        }
        let labels_of = |namespace: &String| {
            let first = self.by_namespace.get(namespace.as_str()).and_then(|pods| pods.first())?;
            Some(&self.bound.pod(*first).namespace_labels)
        };
        let (first, rest) = namespaces.split_first()?;
        let found = labels_of(first)?.iter().find(|(key, value)| {
            self.namespaces.get(&((*key).into(), (*value).into())).copied()
                == Some(namespaces.len())
                && rest.iter().all(|namespace| {
                    labels_of(namespace).is_some_and(|labels| labels.get(key) == Some(value))
                })
        })?;
        Some(format!("{}={}", found.0, found.1))
    }
}

/// Names several parts with at most `most` of them, and of their members, spelled out.
#[must_use]
pub fn join(parts: &[String], most: usize) -> String {
    if parts.len() > most + 1 {
        format!(
            "{}, … {} more",
            parts.get(..most).unwrap_or_default().join(", "),
            parts.len() - most
        )
    } else {
        parts.join(", ")
    }
}
