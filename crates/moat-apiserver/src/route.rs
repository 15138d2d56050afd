//! Paths of resources: group, version, namespace, plural, name, part.

use crate::query::decode;

/// What a path names, if it is that of a resource. Empty where the path does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

/// Reads a path as upstream's `RequestInfoFactory` does; `None` where it is no resource.
pub(crate) fn route(path: &str) -> Option<Route> {
    let mut parts: Vec<String> =
        path.trim_matches('/').split('/').map(|part| decode(part, false)).collect();
    let group = match parts.first().map(String::as_str) {
        Some("api") if 3 <= parts.len() => {
            parts.remove(0);
            String::new()
        }
        Some("apis") if 4 <= parts.len() => {
            parts.remove(0);
            parts.remove(0)
        }
        _ => return None,
    };
    let mut route = Route { group, version: parts.remove(0), ..Route::default() };
    if parts.iter().any(String::is_empty) {
        return None;
    }
    if parts[0] == "namespaces" && 1 < parts.len() {
        route.namespace.clone_from(&parts[1]);
        // `namespaces/a/status` is a part of the namespace, `namespaces/a/pods` is a list in it.
        if 2 < parts.len() && !matches!(parts[2].as_str(), "status" | "finalize") {
            parts.drain(..2);
        }
    }
    let mut parts = parts.into_iter();
    route.resource = parts.next()?;
    route.name = parts.next().unwrap_or_default();
    route.subresource = parts.next().unwrap_or_default();
    if parts.next().is_some() {
        return None;
    }
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &str) -> Option<String> {
        let route = route(path)?;
        let parts = [
            route.group,
            route.version,
            route.namespace,
            route.resource,
            route.name,
            route.subresource,
        ];
        Some(parts.join("|"))
    }

    #[test]
    fn paths_name_resources() {
        for (path, want) in [
            ("/api/v1/pods", Some("|v1||pods||")),
            ("/api/v1/namespaces", Some("|v1||namespaces||")),
            ("/api/v1/namespaces/a", Some("|v1|a|namespaces|a|")),
            ("/api/v1/namespaces/a/finalize", Some("|v1|a|namespaces|a|finalize")),
            ("/api/v1/namespaces/a/pods/b/status", Some("|v1|a|pods|b|status")),
            ("/apis/apps/v1/namespaces/a/deployments/", Some("apps|v1|a|deployments||")),
            ("/apis/apps/v1/namespaces/a/deployments/%2e%2e", Some("apps|v1|a|deployments|..|")),
            ("/apis/apps/v1", None),
            ("/api/v1", None),
            ("/api/v1/pods//x", None),
            ("/version", None),
        ] {
            assert_eq!(words(path).as_deref(), want, "{path}");
        }
    }
}
