//! The tree of an expression. Macros stay what they are: to evaluate them as such is simpler than to expand them into folds.

use regex::Regex;

/// An expression and the character at which it stands (that of its operator, where it has one).
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) node: Node,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Ident(String),
    /// `of.field` and `of.?field`.
    Select {
        of: Box<Expr>,
        field: String,
        optional: bool,
    },
    /// `has(of.field)`.
    Has {
        of: Box<Expr>,
        field: String,
    },
    /// `of[index]` and `of[?index]`.
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// Elements, and whether each is optional.
    List(Vec<(bool, Expr)>),
    Map(Vec<(bool, Expr, Expr)>),
    /// A function, an operator (`_+_`), or a function of a receiver, which is then the first of the arguments.
    Call {
        name: String,
        member: bool,
        args: Vec<Expr>,
        /// The pattern, where it is a literal.
        regex: Option<Regex>,
    },
    /// Chains of `&&` and `||` are flat, because rules have long ones.
    And(Vec<Expr>),
    Or(Vec<Expr>),
    If(Box<(Expr, Expr, Expr)>),
    /// A macro that goes over a list or a map.
    Fold {
        kind: Fold,
        over: Box<Expr>,
        vars: Vec<String>,
        /// What is asked or made of each element; for `map` with a condition that comes first.
        body: Vec<Expr>,
    },
    /// `cel.bind(name, value, body)`.
    Bind {
        name: String,
        value: Box<Expr>,
        body: Box<Expr>,
    },
    /// `of.optMap(name, body)`, and `optFlatMap`, whose body is optional itself.
    OptMap {
        of: Box<Expr>,
        name: String,
        body: Box<Expr>,
        flat: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    SortBy,
    TransformList,
    TransformMap,
    TransformMapEntry,
}

impl Expr {
    pub(crate) fn new(at: usize, node: Node) -> Self {
        Self { at, node }
    }

    /// A call of an operator.
    pub(crate) fn operator(at: usize, name: &str, args: Vec<Self>) -> Self {
        Self::new(at, Node::Call { name: name.to_owned(), member: false, args, regex: None })
    }

    /// `a.b.c`, where the expression is only names.
    pub(crate) fn dotted(&self) -> Option<String> {
        match &self.node {
            Node::Ident(name) => Some(name.clone()),
            Node::Select { of, field, optional: false } => {
                Some(format!("{}.{field}", of.dotted()?))
            }
            _ => None,
        }
    }
}
