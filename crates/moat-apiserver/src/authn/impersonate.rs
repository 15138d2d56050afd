//! Impersonation: who may, acts as somebody else (`kubectl --as`).

use super::service_account::{groups, split_username, username};
use crate::authorize::{Attributes, User};
use crate::query::decode;
use crate::status::Status;
use hyper::HeaderMap;
use std::collections::BTreeMap;

const EXTRA: &str = "impersonate-extra-";
/// Who is authenticated, and who is not.
const EVERYBODY: [&str; 2] = ["system:authenticated", "system:unauthenticated"];

/// The user as whom a request is to be handled, if its headers name one and `may` lets it; each part is asked for.
pub(crate) fn impersonate(
    headers: &HeaderMap,
    may: impl Fn(&Attributes) -> Result<(), Status>,
) -> Result<Option<User>, Status> {
    let all = |name: &str| -> Result<Vec<String>, Status> {
        let text = |value: &hyper::header::HeaderValue| value.to_str().map(str::to_owned);
        let values: Result<_, _> = headers.get_all(name).iter().map(text).collect();
        values.map_err(|_| {
            Status::bad_request(format!("the header {name} is not of printable ASCII"))
        })
    };
    let first = |name: &str| Ok(all(name)?.into_iter().next().filter(|value| !value.is_empty()));
    let (user, uid) = (first("impersonate-user")?, first("impersonate-uid")?);
    let named_groups = all("impersonate-group")?;
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for header in headers.keys().map(hyper::header::HeaderName::as_str) {
        if let Some(key) = header.strip_prefix(EXTRA) {
            extra.insert(decode(key, false).to_lowercase(), all(header)?);
        }
    }
    let Some(user) = user else {
        if named_groups.is_empty() && extra.is_empty() && uid.is_none() {
            return Ok(None);
        }
        return Err(Status::bad_request(without_user(&named_groups, &extra, uid.as_deref())));
    };
    let act = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        may(&Attributes {
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        })
    };
    let mut as_user = User { uid: uid.unwrap_or_default(), extra, ..User::default() };
    if let Some((namespace, name)) = split_username(&user) {
        act("", "serviceaccounts", "", namespace, name)?;
        as_user.name = username(namespace, name);
        if named_groups.is_empty() {
            as_user.groups = groups(namespace).into();
        }
    } else {
        act("", "users", "", "", &user)?;
        as_user.name = user;
    }
    for group in named_groups {
        act("", "groups", "", "", &group)?;
        as_user.groups.push(group);
    }
    for (key, values) in &as_user.extra {
        for value in values {
            act("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    if !as_user.uid.is_empty() {
        act("authentication.k8s.io", "uids", "", "", &as_user.uid)?;
    }
    let named = |group: &str| as_user.groups.iter().any(|own| own == group);
    let missing = if as_user.name == "system:anonymous" {
        EVERYBODY.get(1).filter(|group| !named(group))
    } else {
        EVERYBODY.first().filter(|_| !EVERYBODY.iter().any(|group| named(group)))
    };
    as_user.groups.extend(missing.map(|group| (*group).to_owned()));
    Ok(Some(as_user))
}

/// Upstream prints its object references as Go does.
fn without_user(
    groups: &[String],
    extra: &BTreeMap<String, Vec<String>>,
    uid: Option<&str>,
) -> String {
    const OWN: &str = "authentication.k8s.io/v1";
    let mut parts: Vec<String> =
        groups.iter().map(|group| format!("{{Group  {group}    }}")).collect();
    for (key, values) in extra {
        parts.extend(values.iter().map(|value| format!("{{UserExtra  {value}  {OWN}  {key}}}")));
    }
    parts.extend(uid.map(|uid| format!("{{UID  {uid}  {OWN}  }}")));
    format!("requested [{}] without impersonating a user", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn ask(
        headers: &[(&'static str, &'static str)],
    ) -> (Result<Option<User>, Status>, Vec<String>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, hyper::header::HeaderValue::from_static(value));
        }
        let asked = RefCell::new(Vec::new());
        let user = impersonate(&map, |what| {
            let parts =
                [&what.group, &what.resource, &what.subresource, &what.namespace, &what.name];
            asked.borrow_mut().push(parts.map(String::as_str).join("|"));
            Ok(())
        });
        (user, asked.into_inner())
    }

    #[test]
    fn every_part_is_asked_for() {
        let (user, asked) = ask(&[
            ("impersonate-user", "jane"),
            ("impersonate-group", "dev"),
            ("impersonate-group", "ops"),
            ("impersonate-uid", "7"),
            ("impersonate-extra-example.com%2fteam", "a"),
        ]);
        let user = user.unwrap().unwrap();
        assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("jane", "7"));
        assert_eq!(user.extra["example.com/team"], ["a"]);
        assert_eq!(
            asked,
            [
                "|users|||jane",
                "|groups|||dev",
                "|groups|||ops",
                "authentication.k8s.io|userextras|example.com/team||a",
                "authentication.k8s.io|uids|||7",
            ]
        );
    }

    #[test]
    fn accounts_have_the_groups_of_their_namespace() {
        let (user, asked) = ask(&[("impersonate-user", "system:serviceaccount:shop:web")]);
        assert_eq!(asked, ["|serviceaccounts||shop|web"]);
        assert_eq!(
            user.unwrap().unwrap().groups,
            ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]
        );
        let (user, _) = ask(&[("impersonate-user", "system:anonymous")]);
        assert_eq!(user.unwrap().unwrap().groups, ["system:unauthenticated"]);
    }

    #[test]
    fn groups_alone_are_nobody() {
        assert_eq!(ask(&[]).0, Ok(None));
        let (user, _) = ask(&[("impersonate-group", "system:masters")]);
        assert_eq!(
            user.unwrap_err().message,
            "requested [{Group  system:masters    }] without impersonating a user"
        );
    }
}
