//! Words that are no names: why, and what was probably meant.

use super::{FORMS, QueryError};
use std::net::IpAddr;

/// What is wrong with a text that cannot be a name of anything.
pub(super) fn misread(text: &str) -> Option<QueryError> {
    if text.trim().is_empty() {
        return Some(QueryError::new("the name is empty".to_owned()).help(FORMS.to_owned()));
    }
    if let Some(error) = url(text) {
        return Some(error);
    }
    if text.contains(['*', '=']) {
        return Some(
            QueryError::new(format!("`{text}` is a pattern, and one name is asked for"))
                .help("`moat test` takes patterns, and `moat reach --namespace NS` shows all pods of a namespace".to_owned()),
        );
    }
    // No name has a colon.
    let (name, port) = text.split_once(':').filter(|(name, _)| !name.is_empty())?;
    Some(
        QueryError::new(format!("`{text}` has a port, and only a destination has one"))
            .help(format!("write `{name}`: FROM takes no port, because connections leave from any; in flows and tests `{port}` belongs in `port`")),
    )
}

/// A URL is no name, but says which name is meant.
pub(super) fn url(text: &str) -> Option<QueryError> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, Some(port)),
        _ => (authority, None),
    };
    let port = port.or(match scheme {
        "https" | "wss" => Some("443"),
        "http" | "ws" => Some("80"),
        _ => None,
    });
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let error = QueryError::new(format!("`{text}` is a URL, not a name"));
    Some(if host.is_empty() {
        error.help(FORMS.to_owned())
    } else {
        error.help(format!("write `{}{port}`", of_host(host)))
    })
}

/// The name of a host as questions take it.
pub(super) fn of_host(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        _ if host.starts_with('[') || host.parse::<IpAddr>().is_ok() => host.to_owned(),
        [service, namespace, "svc", ..] => format!("{namespace}/svc/{service}"),
        _ => format!("domain/{host}"),
    }
}

/// Whether a text looks like the name of a host with its domain.
pub(super) fn is_domain(text: &str) -> bool {
    let word = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let letters =
        |label: &str| label.len() > 1 && label.bytes().all(|byte| byte.is_ascii_alphabetic());
    text.split('.').all(word) && text.rsplit_once('.').is_some_and(|(_, last)| letters(last))
}

pub(super) fn looks_like_address(text: &str) -> bool {
    let digits_and_dots =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'/'))
            && text.contains('.');
    digits_and_dots || text.matches(':').count() >= 2
}

/// Up to three names that share most with `text`.
pub(super) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut scored: Vec<(usize, &str)> =
        names.filter_map(|name| Some((likeness(text, name)?, name))).collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How alike two names are: their last parts a few slips apart, or sharing most pairs of letters; `None` when they are strangers.
fn likeness(text: &str, name: &str) -> Option<usize> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let pairs = |name: &str| -> Vec<(u8, u8)> { name.bytes().zip(name.bytes().skip(1)).collect() };
    let (own, other) = (last(text), last(name));
    let slips = moat_sets::mistakes(&own, &other).map(|mistakes| 8usize.saturating_sub(mistakes));
    let (own, other) = (pairs(&own), pairs(&other));
    let shared = own.iter().filter(|pair| other.contains(pair)).count();
    let alike = shared * 2 >= own.len().max(other.len()) && shared > 0;
    let whole = pairs(text).iter().filter(|pair| pairs(name).contains(pair)).count();
    (alike || slips.is_some()).then_some(shared.max(slips.unwrap_or(0)) * 4 + whole)
}

#[cfg(test)]
mod tests {
    use super::is_domain;

    #[test]
    fn domains_are_known_by_their_looks() {
        for text in ["example.com", "a-b.c.example.io"] {
            assert!(is_domain(text), "{text}");
        }
        for text in ["web", "10.0.0", "v1.2", "a/b.com", "a..com", ".com", "x.y"] {
            assert!(!is_domain(text), "{text}");
        }
    }
}
