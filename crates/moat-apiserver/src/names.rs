//! Rules for names and labels, with upstream's sentences (`apimachinery/pkg/util/validation`).

use crate::status::Cause;
use serde_json::Value;

/// Upstream's sentence for a value of a label.
pub(crate) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
/// Bytes of a label's value, and of its key without the domain.
const WORD_MAX: usize = 63;

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
                let has_dots = rule == Rule::Label && body.split('.').all(is_label);
                wrong.push(match rule {
                    Rule::Label if has_dots => "must not contain dots".to_owned(),
                    Rule::Label => LABEL.to_owned(),
                    _ => LABEL_1035.to_owned(),
                });
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
    text.len() <= WORD_MAX && is_word(text)
}

fn is_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    ends(text.bytes().next()) && ends(text.bytes().last()) && text.bytes().all(inner)
}

/// Checks labels and annotations of an object's metadata.
pub(crate) fn check_maps(metadata: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        for why in qualified(key) {
            causes.push(Cause::invalid("metadata.labels", &key.as_str().into(), &why));
        }
        for why in label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid("metadata.labels", value, &why));
        }
    }
    let mut bytes = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        // Keys of annotations may have capital letters in the prefix.
        for why in qualified(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &why));
        }
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

/// What is wrong with a key of labels: a word with an optional domain before it.
pub(crate) fn qualified(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            let must = QUALIFIED.trim_start_matches("name part ");
            let more = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {must} {more}")];
        }
    };
    let mut wrong = Vec::new();
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            wrong.extend(
                check(Rule::Subdomain, prefix, false)
                    .iter()
                    .map(|why| format!("prefix part {why}")),
            );
        }
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if WORD_MAX < name.len() {
        wrong.push(format!("name part must be no more than {WORD_MAX} bytes"));
    }
    if !is_word(name) {
        wrong.push(QUALIFIED.to_owned());
    }
    wrong
}

/// What is wrong with the value of a label.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if WORD_MAX < value.len() {
        wrong.push(format!("must be no more than {WORD_MAX} bytes"));
    }
    if !value.is_empty() && !is_word(value) {
        wrong.push(LABEL_VALUE.to_owned());
    }
    wrong
}

/// What is wrong with a key of a ConfigMap or Secret.
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if 253 < key.len() {
        wrong.push("must be no more than 253 characters".to_owned());
    }
    if key.is_empty()
        || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    {
        wrong.push(CONFIG_KEY.to_owned());
    }
    if key == "." {
        wrong.push("must not be '.'".to_owned());
    } else if key == ".." {
        wrong.push("must not be '..'".to_owned());
    } else if key.starts_with("..") {
        wrong.push("must not start with '..'".to_owned());
    }
    wrong
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
