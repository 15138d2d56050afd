//! Names of objects: a resource, and a path in it whose order is the order of lists.

use std::fmt;
use std::sync::Arc;

/// The longest resource, namespace or name in bytes. Kubernetes' own limit for a name is 253; the rest is room for a group beside it.
pub const NAME_BYTES_MAX: usize = 512;

/// A resource as its group and plural, `apps/deployments` or `pods`. Cheap to copy; make one for each kind and keep it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(Arc<str>);

impl Resource {
    /// A resource by its name, of which the store asks only that it is neither empty nor too long.
    pub fn new(name: &str) -> Result<Self, InvalidKey> {
        sized(name, "resource")?;
        Ok(Self(name.into()))
    }

    /// The name it was made of.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an object is in its resource: `namespace/name`, or `name` alone where the resource has no namespaces.
///
/// Paths are compared as these strings, byte by byte, because upstream lists objects in the order of such keys in etcd: `a-b/x` is before
/// `a/x`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// The path of a name in a namespace, or in none.
    pub fn new(namespace: Option<&str>, name: &str) -> Result<Self, InvalidKey> {
        part(name, "name")?;
        let Some(namespace) = namespace else { return Ok(Self(name.into())) };
        part(namespace, "namespace")?;
        Ok(Self(format!("{namespace}/{name}").into()))
    }

    /// Reads what [`Path::as_str`] wrote, for instance in a continue token.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(Some(namespace), name),
            None => Self::new(None, text),
        }
    }

    /// `namespace/name`, or `name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace, if the object has one.
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The name without its namespace.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, name)| name)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What kind of object.
    pub resource: Resource,
    /// Which one of them.
    pub path: Path,
}

impl Key {
    /// The key of a name in a namespace, or in none.
    pub fn new(
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Self, InvalidKey> {
        Ok(Self { resource: resource.clone(), path: Path::new(namespace, name)? })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource, self.path)
    }
}

/// Which objects of a resource a list or a watch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All of them, in every namespace.
    #[default]
    All,
    /// Those of one namespace.
    Namespace(String),
    /// One object.
    Object(Path),
}

impl Scope {
    /// Whether an object is meant.
    pub fn contains(&self, path: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => path.namespace() == Some(namespace),
            Self::Object(own) => own == path,
        }
    }

    /// What the paths of the scope begin with. Only the object's own path ends without a slash, so the three kinds never meet.
    pub(crate) fn prefix(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Namespace(namespace) => format!("{namespace}/"),
            Self::Object(path) => path.as_str().to_owned(),
        }
    }
}

/// A name that cannot be part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidKey(String);

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidKey {}

fn sized(text: &str, what: &str) -> Result<(), InvalidKey> {
    if text.is_empty() {
        return Err(InvalidKey(format!("empty {what}")));
    }
    if NAME_BYTES_MAX < text.len() {
        return Err(InvalidKey(format!(
            "{what} of {} bytes: at most {NAME_BYTES_MAX} are kept",
            text.len()
        )));
    }
    Ok(())
}

/// A slash would make one object's path that of another one.
fn part(text: &str, what: &str) -> Result<(), InvalidKey> {
    sized(text, what)?;
    if text.contains('/') {
        Err(InvalidKey(format!("{what} `{text}` contains `/`")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_parts_and_the_order_of_keys() {
        let path = Path::new(Some("kube-system"), "dns").unwrap();
        assert_eq!((path.namespace(), path.name()), (Some("kube-system"), "dns"));
        assert_eq!(Path::parse(path.as_str()).unwrap(), path);
        let node = Path::new(None, "node-1").unwrap();
        assert_eq!((node.namespace(), node.name()), (None, "node-1"));
        assert!(Path::new(Some("a-b"), "x").unwrap() < Path::new(Some("a"), "x").unwrap());
    }

    #[test]
    fn names_that_would_be_ambiguous_are_refused() {
        assert_eq!(Path::new(None, "").unwrap_err().to_string(), "empty name");
        assert_eq!(Path::new(Some("a"), "b/c").unwrap_err().to_string(), "name `b/c` contains `/`");
        assert!(Resource::new(&"x".repeat(513)).is_err());
    }
}
