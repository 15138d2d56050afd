//! The API server's rules for names, labels and ports, with its messages.

/// `metadata.name` of most kinds: an RFC 1123 subdomain. `None` when it is right.
///
/// Source: apimachinery `IsDNS1123Subdomain`.
#[must_use]
pub fn subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 characters".to_owned());
    }
    let right = !name.is_empty() && name.split('.').all(is_label);
    (!right).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
         alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
}

/// A namespace name: an RFC 1123 label. `None` when it is right.
///
/// Source: apimachinery `IsDNS1123Label`.
#[must_use]
pub fn dns_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!is_label(name)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
         alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// The name of a Service: an RFC 1035 label. `None` when it is right.
///
/// Source: apimachinery `IsDNS1035Label`.
#[must_use]
pub fn dns_1035_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    let right = is_label(name) && !name.starts_with(|c: char| c.is_ascii_digit());
    (!right).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an \
         alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

fn is_label(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !part.is_empty()
        && part.bytes().all(|byte| inner(byte) || byte == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

/// A label key: an optional subdomain and `/`, then a name. `None` when it is right.
///
/// Source: apimachinery `IsQualifiedName`.
#[must_use]
pub fn label_key(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(reason) = subdomain(prefix) {
            return Some(format!("prefix part {reason}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 characters".to_owned());
    }
    (!is_qualified(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
         (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .to_owned()
    })
}

/// A label value: empty, or at most 63 characters. `None` when it is right.
///
/// Source: apimachinery `IsValidLabelValue`.
#[must_use]
pub fn label_value(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!value.is_empty() && !is_qualified(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    })
}

fn is_qualified(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// All that is wrong with a port name, which is an IANA service name; nothing when it is right.
///
/// Source: apimachinery `IsValidPortName`.
pub fn port_name(name: &str) -> impl Iterator<Item = &'static str> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let rules = [
        (15 < name.len(), "must be no more than 15 characters"),
        (
            name.is_empty() || !name.bytes().all(letter),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !name.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, why)| why)
}

/// A port number. `None` when it is right.
#[must_use]
pub fn port_number(number: i64) -> Option<String> {
    (!(1..=65535).contains(&number)).then(|| "must be between 1 and 65535, inclusive".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(subdomain("default.postgres").is_none());
        assert!(subdomain("Bad_Name").is_some());
        assert!(subdomain("a..b").is_some());
        assert!(dns_label("a.b").is_some());
        assert!(label_key("kubernetes.io/metadata.name").is_none());
        assert!(label_key("/x").is_some());
        assert!(label_value("").is_none());
        assert!(label_value("-x").is_some());
        assert!(port_name("my-http").next().is_none());
        assert!(port_name("8080").next().is_some());
        assert!(port_number(0).is_some() && port_number(65535).is_none());
    }
}
