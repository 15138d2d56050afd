//! Why a term means no pod: the nearest thing that it could have meant.

use crate::Context;
use moat_ir::PodInfo;
use moat_sets::{Labels, NamespaceTerm, Operator, PodTerm, Selector, Unmet};

/// How many namespaces a message names before it only counts them.
const N_NAMED_MAX: usize = 3;

/// Advice for a term that means no pod, when something near was read.
pub(crate) fn advice(ctx: &Context<'_>, term: &PodTerm) -> Option<String> {
    let namespaces = &ctx.lowered.inventory.namespaces;
    if !namespaces
        .iter()
        .any(|namespace| term.namespaces.matches(&namespace.name, &namespace.labels))
    {
        let NamespaceTerm::Matching(selector) = &term.namespaces else { return None };
        let known = namespaces
            .iter()
            .map(|namespace| (format!("namespace `{}`", namespace.name), &namespace.labels));
        return Some(
            nearest(selector, known)
                .unwrap_or_else(|| format!("no namespace has the labels `{selector}`")),
        );
    }
    elsewhere(ctx, term).or_else(|| {
        let in_namespaces =
            |pod: &&PodInfo| term.namespaces.matches(&pod.namespace, &pod.namespace_labels);
        let pods = ctx
            .bound
            .pods
            .iter()
            .filter(in_namespaces)
            .map(|pod| (format!("`{}`", pod.display), &pod.labels));
        nearest(&term.pods, pods)
    })
}

/// Pods with the right labels in other namespaces: a `podSelector` alone looks only in the policy's own.
fn elsewhere(ctx: &Context<'_>, term: &PodTerm) -> Option<String> {
    if term.pods.is_everything() {
        return None;
    }
    let mut names: Vec<&str> = ctx
        .bound
        .pods
        .iter()
        .filter(|pod| term.pods.matches(&pod.labels))
        .map(|pod| pod.namespace.as_ref())
        .collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [] => None,
        [name] => Some(format!("pods with these labels are in namespace `{name}`")),
        names if names.len() <= N_NAMED_MAX => {
            Some(format!("pods with these labels are in namespaces `{}`", names.join("`, `")))
        }
        names => Some(format!("pods with these labels are in {} other namespaces", names.len())),
    }
}

/// The candidate that lacks least, when it is near enough to be what was meant.
fn nearest<'l>(
    selector: &Selector,
    candidates: impl Iterator<Item = (String, &'l Labels)>,
) -> Option<String> {
    let n_requirements = selector.requirements().len();
    let mut best: Option<(usize, String)> = None;
    for (name, labels) in candidates {
        let unmet = selector.unmet(labels);
        let [first, ..] = unmet.as_slice() else { continue };
        if best.as_ref().is_some_and(|(n_unmet, _)| *n_unmet <= unmet.len()) {
            continue;
        }
        let likely = likely(first, labels);
        // With nothing in common but being there, a candidate is no better than any other.
        if unmet.len() == n_requirements && likely.is_none() {
            continue;
        }
        let lack = likely.unwrap_or_else(|| match &first.found {
            Some(found) => {
                format!("has `{}={found}`, not `{}`", first.requirement.key, first.requirement)
            }
            None => format!("has no label `{}`", first.requirement.key),
        });
        best = Some((unmet.len(), format!("the nearest is {name}, which {lack}")));
    }
    best.map(|(_, text)| text)
}

/// What the labels have in place of a requirement, when it looks like a slip: a similar value, or the value under another key.
fn likely(unmet: &Unmet<'_>, labels: &Labels) -> Option<String> {
    let requirement = unmet.requirement;
    let (Operator::In, [want]) = (requirement.operator, requirement.values.as_slice()) else {
        return None;
    };
    match &unmet.found {
        Some(found) => alike(found, want)
            .then(|| format!("has `{}={found}`, not `{requirement}`", requirement.key)),
        None => {
            let (key, value) = labels.iter().find(|(_, value)| *value == want.as_ref())?;
            Some(format!("has `{key}={value}`, not `{requirement}`"))
        }
    }
}

/// Whether one word could be a slip for the other: the same but for case, one inside the other, or the same beginning.
fn alike(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    common >= 3 || (!a.is_empty() && b.contains(&a)) || (!b.is_empty() && a.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn slips_are_alike_and_strangers_are_not() {
        assert!(alike("Web", "web"));
        assert!(alike("web", "my-web"));
        assert!(alike("postgres", "postgresql"));
        assert!(!alike("web", "db"));
        assert!(!alike("", "db"));
    }
}
