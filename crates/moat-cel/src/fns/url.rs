//! URLs, as far as Go's `net/url` takes them.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Key, Opaque, Value};
use std::collections::BTreeMap;

/// A URL in its parts.
#[derive(Debug, PartialEq)]
pub struct Url {
    scheme: String,
    /// The host with its port.
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// Reads an absolute URL or an absolute path. Errors: why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("parse {text:?}: {why}"));
        if text.is_empty() {
            return wrong("empty url");
        }
        if text.chars().any(|c| c.is_ascii_control()) {
            return wrong("net/url: invalid control character in URL");
        }
        let text_cut = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = match scheme(text_cut) {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None if text_cut.starts_with(':') => return wrong("missing protocol scheme"),
            None => (String::new(), text_cut),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') {
            // `mailto:a@b` has no path; without a scheme it would be relative.
            return if scheme.is_empty() {
                wrong("invalid URI for request")
            } else {
                Ok(Self {
                    scheme,
                    host: String::new(),
                    path: String::new(),
                    query: query.to_owned(),
                })
            };
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(after) if !scheme.is_empty() || !rest.starts_with("///") => {
                after.find('/').map_or((after, ""), |at| after.split_at(at))
            }
            _ => ("", rest),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let right = |c: char| c.is_alphanumeric() || "-._~!$&'()*+,;=:[]%\"<>".contains(c);
        if let Some(bad) = host.chars().find(|c| !right(*c)) {
            return wrong(&format!("invalid character {:?} in host name", bad.to_string()));
        }
        if !has_right_port(host) {
            return wrong(&format!(
                "invalid port {:?} after host",
                host.rsplit_once(':').map_or("", |(_, port)| port)
            ));
        }
        if !has_right_escapes(path) || !has_right_escapes(host) {
            return wrong("invalid URL escape");
        }
        Ok(Self { scheme, host: host.to_owned(), path: escaped(path), query: query.to_owned() })
    }

    /// The host without its port and brackets, and the port.
    fn split(&self) -> (&str, &str) {
        if let Some(rest) = self.host.strip_prefix('[') {
            let (inner, after) = rest.split_once(']').unwrap_or((rest, ""));
            return (inner, after.strip_prefix(':').unwrap_or(""));
        }
        self.host.rsplit_once(':').unwrap_or((&self.host, ""))
    }

    fn query<'a>(&self) -> Value<'a> {
        let mut all: BTreeMap<Key, Vec<Value<'a>>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Pairs that cannot be read are left out, as Go does.
            if let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) {
                all.entry(Key::Text(key.into())).or_default().push(Value::text(value));
            }
        }
        Value::map(all.into_iter().map(|(key, values)| (key, Value::list(values))).collect())
    }
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let right = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    right.then_some((scheme, rest))
}

fn has_right_port(host: &str) -> bool {
    let after = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, after)) => after,
            None => return false,
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    after.is_empty()
        || after
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_right_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A path with the characters escaped that may not stand in one.
fn escaped(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push(match byte {
            b'+' => b' ',
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    if let ("url" | "isURL", [Value::Text(text)]) = (name, args) {
        if let Err(stop) = run.pay_for(text.len()) {
            return Some(Err(stop));
        }
        return Some(match (name, Url::parse(text)) {
            ("isURL", read) => Ok(Value::Bool(read.is_ok())),
            (_, Ok(url)) => Ok(Value::opaque(Opaque::Url(url))),
            (_, Err(why)) => {
                Err(Stop::new(format!("URL parse error during conversion from string: {why}")))
            }
        });
    }
    let [Value::Opaque(of)] = args else { return None };
    let Opaque::Url(url) = &**of else { return None };
    if !member {
        return None;
    }
    Some(Ok(match name {
        "getScheme" => Value::text(&*url.scheme),
        "getHost" => Value::text(&*url.host),
        "getHostname" => Value::text(url.split().0),
        "getPort" => Value::text(url.split().1),
        "getEscapedPath" => Value::text(&*url.path),
        "getQuery" => url.query(),
        _ => return None,
    }))
}
