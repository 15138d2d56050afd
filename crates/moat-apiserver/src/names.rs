//! Rules for names and labels, with upstream's sentences (`apimachinery/pkg/util/validation`).

use crate::status::Cause;
use serde_json::Value;

/// Upstream's sentence for a value of a label.
pub(crate) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// Which rule the names of a kind follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Labels joined by dots: most kinds.
    Subdomain,
    /// One label: namespaces.
    Label,
    /// One label that begins with a letter: Services.
    Label1035,
    /// Anything that can stand in a path: roles and bindings.
    Path,
}

/// What is wrong with a name. `generated` names end in a way that the server chose.
pub(crate) fn check(rule: Rule, name: &str, generated: bool) -> Vec<String> {
    // A prefix may end with a dash, because letters follow.
    let body = if generated { name.strip_suffix('-').unwrap_or(name) } else { name };
    let mut wrong = Vec::new();
    let long = |max: usize| format!("must be no more than {max} characters");
    match rule {
        Rule::Subdomain => {
            if 253 < name.len() {
                wrong.push(long(253));
            }
            if !body.split('.').all(is_label) {
                wrong.push(SUBDOMAIN.to_owned());
            }
        }
        Rule::Label | Rule::Label1035 => {
            if 63 < name.len() {
                wrong.push(long(63));
            }
            let begins = rule == Rule::Label || !body.starts_with(|c: char| c.is_ascii_digit());
            if !(is_label(body) && begins) {
                wrong.push(if rule == Rule::Label { LABEL } else { LABEL_1035 }.to_owned());
            }
        }
        Rule::Path => wrong.extend(path_segment(name)),
    }
    wrong
}

/// What is wrong with a name as a part of a path.
pub(crate) fn path_segment(name: &str) -> Option<String> {
    if name == "." || name == ".." {
        return Some(format!("may not be '{name}'"));
    }
    let found = ['/', '%'].into_iter().find(|c| name.contains(*c))?;
    Some(format!("may not contain '{found}'"))
}

fn is_label(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match text.as_bytes() {
        [first, .., last] => {
            letter(*first) && letter(*last) && text.bytes().all(|byte| letter(byte) || byte == b'-')
        }
        [only] => letter(*only),
        [] => false,
    }
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; 63 at most.
pub(crate) fn is_label_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.bytes().all(inner)
}

/// Checks labels and annotations of an object's metadata.
pub(crate) fn check_maps(metadata: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        check_key(key, "metadata.labels", causes);
        let text = value.as_str().unwrap_or_default();
        if 63 < text.len() {
            causes.push(Cause::invalid("metadata.labels", value, "must be no more than 63 bytes"));
        }
        if !text.is_empty() && text.len() <= 63 && !is_label_word(text) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    let mut bytes = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        // Keys of annotations may have capital letters in the prefix.
        check_key(&key.to_lowercase(), "metadata.annotations", causes);
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if 256 << 10 < bytes {
        causes.push(Cause::field(
            "FieldValueTooLong",
            "metadata.annotations",
            "Too long: may not be more than 262144 bytes",
        ));
    }
}

fn check_key(key: &str, field: &str, causes: &mut Vec<Cause>) {
    let shown = Value::from(key);
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(str::is_empty) {
        causes.push(Cause::invalid(field, &shown, "prefix part must be non-empty"));
    } else if prefix.is_some_and(|prefix| !prefix.split('.').all(is_label)) {
        causes.push(Cause::invalid(field, &shown, &format!("prefix part {SUBDOMAIN}")));
    }
    if name.is_empty() {
        causes.push(Cause::invalid(field, &shown, "name part must be non-empty"));
    } else if 63 < name.len() {
        causes.push(Cause::invalid(field, &shown, "name part must be no more than 63 bytes"));
    }
    if !is_label_word(name) {
        causes.push(Cause::invalid(field, &shown, QUALIFIED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        for (rule, name, generated, ok) in [
            (Rule::Subdomain, "a.b-c.9", false, true),
            (Rule::Subdomain, "A", false, false),
            (Rule::Subdomain, "a..b", false, false),
            (Rule::Subdomain, "web-", true, true),
            (Rule::Subdomain, "web-", false, false),
            (Rule::Label, "a.b", false, false),
            (Rule::Label1035, "9a", false, false),
            (Rule::Path, "system:node", false, true),
            (Rule::Path, "a/b", false, false),
        ] {
            assert_eq!(check(rule, name, generated).is_empty(), ok, "{rule:?} {name}");
        }
    }
}
