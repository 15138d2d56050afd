//! Types of values, as far as they are known before a run.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A type. `Dyn` is what is known only at run time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Type {
    /// Anything.
    Dyn,
    /// `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// A time.
    Timestamp,
    /// A span of time.
    Duration,
    /// `list(T)`.
    List(Arc<ListType>),
    /// `map(K, V)`.
    Map(Arc<(Self, Self)>),
    /// An object with fields that a schema names.
    Object(Arc<ObjectType>),
    /// `optional_type(T)`.
    Optional(Arc<Self>),
    /// The type of types.
    Type,
    /// A type of a library, by its name.
    Opaque(&'static str),
    /// A parameter of a signature.
    Param(char),
}

/// A list, and how its elements are told apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ListType {
    pub(crate) of: Type,
    pub(crate) kind: ListKind,
}

/// `x-kubernetes-list-type`: what makes two lists equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    Atomic,
    Set,
    /// The fields that are the key.
    Map(Vec<String>),
}

/// Fields by their names in expressions.
#[derive(Debug, PartialEq)]
pub struct ObjectType {
    pub(crate) fields: BTreeMap<String, Field>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    /// The name in JSON.
    pub(crate) json: String,
    pub(crate) kind: Type,
}

impl Type {
    /// `list(T)`.
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(ListType { of, kind: ListKind::Atomic }))
    }

    /// `map(K, V)`.
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    /// `optional_type(T)`.
    pub fn optional(of: Self) -> Self {
        Self::Optional(Arc::new(of))
    }

    /// The type of a field, by its name in JSON.
    pub fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Object(object) => {
                object.fields.get(&crate::escape(name)?).map(|field| field.kind.clone())
            }
            _ => None,
        }
    }

    /// The type of the items of a list, or of the values of a map.
    pub fn element(&self) -> Option<Self> {
        match self {
            Self::List(list) => Some(list.of.clone()),
            Self::Map(map) => Some(map.1.clone()),
            _ => None,
        }
    }

    /// An object with these fields, which are named in JSON as they are in expressions.
    pub fn object(fields: Vec<(&str, Self)>) -> Self {
        let field =
            |(name, kind): (&str, Self)| (name.to_owned(), Field { json: name.to_owned(), kind });
        Self::Object(Arc::new(ObjectType { fields: fields.into_iter().map(field).collect() }))
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(of) => write!(f, "list({})", of.of),
            Self::Map(of) => write!(f, "map({}, {})", of.0, of.1),
            Self::Object(_) => f.write_str("object"),
            Self::Optional(of) => write!(f, "optional_type({of})"),
            Self::Type => f.write_str("type"),
            Self::Opaque(name) => f.write_str(name),
            Self::Param(name) => write!(f, "{name}"),
        }
    }
}

/// What parameters of a signature stand for.
pub(crate) type Bound = BTreeMap<char, Type>;

/// Whether a value of a type may stand where another is wanted; parameters take what comes first.
pub(crate) fn fits(wanted: &Type, given: &Type, bound: &mut Bound) -> bool {
    match (wanted, given) {
        (Type::Param(name), _) => match bound.get(name).cloned() {
            // What is not known yet follows what is.
            None | Some(Type::Dyn) => {
                bound.insert(*name, given.clone());
                true
            }
            Some(own) => {
                if let Some(joined) = join(&own, given) {
                    bound.insert(*name, joined);
                    return true;
                }
                false
            }
        },
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        (Type::List(wanted), Type::List(given)) => fits(&wanted.of, &given.of, bound),
        (Type::Map(wanted), Type::Map(given)) => {
            fits(&wanted.0, &given.0, bound) && fits(&wanted.1, &given.1, bound)
        }
        (Type::Optional(wanted), Type::Optional(given)) => fits(wanted, given, bound),
        // What may be absent may be null.
        (Type::Null, _) => nullable(given),
        (_, Type::Null) => nullable(wanted),
        (wanted, given) => wanted == given,
    }
}

fn nullable(kind: &Type) -> bool {
    matches!(
        kind,
        Type::Null
            | Type::Object(_)
            | Type::Timestamp
            | Type::Duration
            | Type::Opaque(_)
            | Type::Optional(_)
    )
}

/// The type that covers both, where they are the same but for what is not known.
pub(crate) fn join(one: &Type, other: &Type) -> Option<Type> {
    Some(match (one, other) {
        (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
        (Type::List(one), Type::List(other)) => {
            if one == other {
                return Some(Type::List(Arc::clone(one)));
            }
            Type::list(open(&one.of, &other.of)?)
        }
        (Type::Map(one), Type::Map(other)) => {
            Type::map(open(&one.0, &other.0)?, open(&one.1, &other.1)?)
        }
        (Type::Optional(one), Type::Optional(other)) => Type::optional(open(one, other)?),
        (Type::Null, other) | (other, Type::Null) if nullable(other) => other.clone(),
        (one, other) if one == other => one.clone(),
        _ => return None,
    })
}

/// Elements of literals that are empty take the type of the others.
fn open(one: &Type, other: &Type) -> Option<Type> {
    match (one, other) {
        (Type::Dyn, other) => Some(other.clone()),
        (one, Type::Dyn) => Some(one.clone()),
        _ => join(one, other),
    }
}

/// A type of a signature with what its parameters stand for.
pub(crate) fn filled(kind: &Type, bound: &Bound) -> Type {
    match kind {
        Type::Param(name) => bound.get(name).cloned().unwrap_or(Type::Dyn),
        Type::List(of) => Type::list(filled(&of.of, bound)),
        Type::Map(of) => Type::map(filled(&of.0, bound), filled(&of.1, bound)),
        Type::Optional(of) => Type::optional(filled(of, bound)),
        other => other.clone(),
    }
}
