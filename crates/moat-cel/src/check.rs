//! Types of a tree, from the leaves up; resolves names of functions and compiles patterns on the way.

use crate::ast::{Expr, Fold, Node};
use crate::error::Error;
use crate::signatures::{self, Signature};
use crate::types::{Bound, Type, filled, fits, join};
use std::collections::BTreeSet;

/// Errors that are told of one expression.
const ERRORS_MAX: usize = 16;

pub(crate) struct Checked {
    pub(crate) kind: Type,
    pub(crate) used: BTreeSet<String>,
}

pub(crate) fn check(root: &mut Expr, variables: &[(&str, Type)]) -> Result<Checked, Vec<Error>> {
    let mut check = Check {
        scope: variables.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect(),
        outer: variables.len(),
        used: BTreeSet::new(),
        errors: Vec::new(),
    };
    let kind = check.kind(root);
    check.errors.truncate(ERRORS_MAX);
    if check.errors.is_empty() { Ok(Checked { kind, used: check.used }) } else { Err(check.errors) }
}

struct Check {
    /// The innermost name is the last.
    scope: Vec<(String, Type)>,
    /// How many of them are variables of the whole expression.
    outer: usize,
    used: BTreeSet<String>,
    errors: Vec<Error>,
}

/// Names of types, which are values.
fn is_type(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int"
            | "uint"
            | "double"
            | "string"
            | "bytes"
            | "list"
            | "map"
            | "null_type"
            | "type"
            | "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
            | "optional_type"
            | "net.IP"
            | "net.CIDR"
            | "kubernetes.URL"
            | "kubernetes.Quantity"
            | "kubernetes.Semver"
            | "kubernetes.NamedFormat"
    )
}

impl Check {
    fn error(&mut self, at: usize, why: impl Into<String>) -> Type {
        self.errors.push(Error::new(at, why));
        Type::Dyn
    }

    fn variable(&mut self, name: &str) -> Option<Type> {
        let place = self.scope.iter().rposition(|(own, _)| own == name)?;
        if place < self.outer {
            self.used.insert(name.to_owned());
        }
        self.scope.get(place).map(|(_, kind)| kind.clone())
    }

    /// The type of an expression. What was told as an error goes on as `dyn`, so that it is told once.
    fn kind(&mut self, expr: &mut Expr) -> Type {
        self.rename(expr);
        let at = expr.at;
        match &mut expr.node {
            Node::Null => Type::Null,
            Node::Bool(_) => Type::Bool,
            Node::Int(_) => Type::Int,
            Node::Uint(_) => Type::Uint,
            Node::Double(_) => Type::Double,
            Node::Text(_) => Type::Text,
            Node::Bytes(_) => Type::Bytes,
            Node::Ident(name) => match self.variable(name) {
                Some(kind) => kind,
                None if is_type(name) => Type::Type,
                None => {
                    let why = format!("undeclared reference to '{name}' (in container '')");
                    self.error(at, why)
                }
            },
            Node::Select { of, field, optional } => {
                let kind = self.kind(of);
                let optional = *optional;
                self.select(at, &kind, field, optional)
            }
            Node::Has { of, field } => {
                let kind = self.kind(of);
                self.select(at, &kind, field, false);
                Type::Bool
            }
            Node::Index { of, index, optional } => {
                let (kind, index, optional) = (self.kind(of), self.kind(index), *optional);
                self.index(at, &kind, &index, optional)
            }
            Node::List(elements) => {
                let mut of: Option<Type> = None;
                for (optional, element) in elements {
                    let at = element.at;
                    let kind = self.kind(element);
                    let kind = self.unwrapped(at, kind, *optional);
                    of = Some(self.same(at, of, kind));
                }
                Type::list(of.unwrap_or(Type::Dyn))
            }
            Node::Map(entries) => self.map(entries),
            Node::And(all) => self.logic(at, "_&&_", all),
            Node::Or(all) => self.logic(at, "_||_", all),
            Node::If(parts) => {
                let (condition, then, other) = &mut **parts;
                let kinds = [self.kind(condition), self.kind(then), self.kind(other)];
                let [of, then, other] = &kinds;
                match join(then, other).filter(|_| fits(&Type::Bool, of, &mut Bound::new())) {
                    Some(kind) => kind,
                    None => self.overload(at, "_?_:_", &kinds, false),
                }
            }
            Node::Bind { name, value, body } => {
                let value = self.kind(value);
                self.within(vec![(name.clone(), value)], |check| check.kind(body))
            }
            Node::OptMap { of, name, body, flat } => {
                let kind = self.kind(of);
                let inner = self.unwrapped(at, kind, true);
                let flat = *flat;
                let body_at = body.at;
                let kind = self.within(vec![(name.clone(), inner)], |check| check.kind(body));
                let of = if flat { self.unwrapped(body_at, kind, true) } else { kind };
                Type::optional(of)
            }
            Node::Fold { kind, over, vars, body } => {
                let range = self.kind(over);
                let (kind, vars) = (*kind, vars.clone());
                self.fold(at, kind, &range, &vars, body)
            }
            Node::Call { name, member, args, regex } => {
                let kinds: Vec<Type> = args.iter_mut().map(|arg| self.kind(arg)).collect();
                let literal = match args.get(1).map(|arg| (&arg.node, arg.at)) {
                    Some((Node::Text(text), at)) => Some((text, at)),
                    _ => None,
                };
                if let Some((text, at)) = literal
                    && matches!(name.as_str(), "matches" | "find" | "findAll")
                {
                    match crate::fns::regex::compile(text) {
                        Ok(compiled) => *regex = Some(compiled),
                        Err(why) => {
                            self.error(at, format!("invalid matches argument: {why}"));
                        }
                    }
                }
                let (name, member) = (name.clone(), *member);
                self.literals(&name, args);
                self.call(at, &name, member, &kinds)
            }
        }
    }

    /// `sets.contains(…)` is a function of two words, not one of a receiver; `kubernetes.Quantity` is a type.
    fn rename(&mut self, expr: &mut Expr) {
        if let Node::Select { .. } = &expr.node
            && let Some(name) = expr.dotted().filter(|name| is_type(name))
        {
            expr.node = Node::Ident(name);
            return;
        }
        let Node::Call { name, member: true, args, .. } = &expr.node else { return };
        let Some(space) = args.first().and_then(Expr::dotted) else { return };
        let full = format!("{space}.{name}");
        let root = space.split('.').next().unwrap_or_default();
        if self.scope.iter().any(|(own, _)| own == root) || !signatures::is_known(&full) {
            return;
        }
        if let Node::Call { name, member, args, .. } = &mut expr.node {
            *name = full;
            *member = false;
            args.remove(0);
        }
    }

    fn within<T>(&mut self, names: Vec<(String, Type)>, of: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.scope.len();
        self.scope.extend(names);
        let result = of(self);
        self.scope.truncate(before);
        result
    }

    fn select(&mut self, at: usize, of: &Type, field: &str, optional: bool) -> Type {
        let (inner, optional) = match of {
            Type::Optional(inner) => (&**inner, true),
            other => (other, optional),
        };
        let kind = match inner {
            Type::Dyn => Type::Dyn,
            Type::Map(of) => of.1.clone(),
            Type::Object(object) => match object.fields.get(field) {
                Some(field) => field.kind.clone(),
                None => return self.error(at, format!("undefined field '{field}'")),
            },
            other => {
                let why = format!("type '{other}' does not support field selection");
                return self.error(at, why);
            }
        };
        if optional { Type::optional(kind) } else { kind }
    }

    fn index(&mut self, at: usize, of: &Type, index: &Type, optional: bool) -> Type {
        let (inner, optional) = match of {
            Type::Optional(inner) => (&**inner, true),
            other => (other, optional),
        };
        let mut bound = Bound::new();
        let kind = match inner {
            Type::Dyn => Type::Dyn,
            Type::List(list) if fits(&Type::Int, index, &mut bound) => list.of.clone(),
            Type::Map(map) if fits(&map.0, index, &mut bound) => map.1.clone(),
            _ => return self.overload(at, "_[_]", &[of.clone(), index.clone()], false),
        };
        if optional { Type::optional(kind) } else { kind }
    }

    /// What is inside of an optional element.
    fn unwrapped(&mut self, at: usize, kind: Type, optional: bool) -> Type {
        match (optional, kind) {
            (false, kind) => kind,
            (true, Type::Optional(of)) => (*of).clone(),
            (true, Type::Dyn) => Type::Dyn,
            (true, other) => {
                let why = format!("expected type 'optional_type(dyn)' but found '{other}'");
                self.error(at, why)
            }
        }
    }

    /// Literals have elements of one type.
    fn same(&mut self, at: usize, so_far: Option<Type>, kind: Type) -> Type {
        let Some(so_far) = so_far else { return kind };
        match join(&so_far, &kind) {
            Some(joined) => joined,
            None => self.error(at, format!("expected type '{so_far}' but found '{kind}'")),
        }
    }

    fn map(&mut self, entries: &mut [(bool, Expr, Expr)]) -> Type {
        let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
        for (optional, key, value) in entries {
            let kind = self.kind(key);
            if !matches!(kind, Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::Text) {
                let why = format!("unsupported key type: {kind}");
                self.error(key.at, why);
            }
            keys = Some(self.same(key.at, keys, kind));
            let kind = self.kind(value);
            let kind = self.unwrapped(value.at, kind, *optional);
            values = Some(self.same(value.at, values, kind));
        }
        Type::map(keys.unwrap_or(Type::Dyn), values.unwrap_or(Type::Dyn))
    }

    fn logic(&mut self, at: usize, name: &str, all: &mut [Expr]) -> Type {
        let kinds: Vec<Type> = all.iter_mut().map(|one| self.kind(one)).collect();
        if let Some(wrong) = kinds.iter().position(|kind| !matches!(kind, Type::Bool | Type::Dyn)) {
            // The operator takes two: what is before it, and what is after.
            let pair = match (kinds.get(..2), wrong) {
                (Some(pair), 0 | 1) => pair.to_vec(),
                _ => vec![Type::Bool, kinds.get(wrong).cloned().unwrap_or(Type::Dyn)],
            };
            self.overload(at, name, &pair, false);
        }
        Type::Bool
    }

    fn fold(
        &mut self,
        at: usize,
        fold: Fold,
        range: &Type,
        vars: &[String],
        body: &mut [Expr],
    ) -> Type {
        let two = vars.len() == 2;
        let (key, element) = match range {
            Type::Dyn => (Type::Dyn, Type::Dyn),
            Type::List(list) => (Type::Int, list.of.clone()),
            // With one variable it is the keys that a map is asked for.
            Type::Map(map) if two => (map.0.clone(), map.1.clone()),
            Type::Map(map) if fold != Fold::SortBy => (Type::Dyn, map.0.clone()),
            other => {
                let why = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                return self.error(at, why);
            }
        };
        let names = match vars {
            [one] => vec![(one.clone(), element.clone())],
            [first, second] => {
                vec![(first.clone(), key.clone()), (second.clone(), element.clone())]
            }
            _ => Vec::new(),
        };
        let kinds: Vec<(usize, Type)> = self
            .within(names, |check| body.iter_mut().map(|one| (one.at, check.kind(one))).collect());
        let asks = matches!(fold, Fold::All | Fold::Exists | Fold::ExistsOne | Fold::Filter);
        let conditions = if asks {
            kinds.as_slice()
        } else {
            kinds.split_last().map_or(&[][..], |(_, rest)| rest)
        };
        for (at, kind) in conditions {
            if !matches!(kind, Type::Bool | Type::Dyn) {
                self.error(*at, format!("expected type 'bool' but found '{kind}'"));
            }
        }
        let made = kinds.last().map_or(Type::Dyn, |(_, kind)| kind.clone());
        match fold {
            Fold::All | Fold::Exists | Fold::ExistsOne => Type::Bool,
            Fold::Filter => Type::list(element),
            Fold::Map | Fold::TransformList => Type::list(made),
            Fold::SortBy => {
                if !signatures::allows('C', &made) {
                    return self.error(at, format!("cannot sort by values of type '{made}'"));
                }
                Type::list(element)
            }
            Fold::TransformMap => Type::map(key, made),
            Fold::TransformMapEntry => match made {
                Type::Map(_) | Type::Dyn => made,
                other => self.error(at, format!("expected a map but found '{other}'")),
            },
        }
    }

    /// Literals that can never be read are told now.
    fn literals(&mut self, name: &str, args: &[Expr]) {
        let [Expr { at, node: Node::Text(text) }] = args else { return };
        let wrong = match name {
            "duration" => {
                crate::fns::time::go_duration(text).is_none().then_some("invalid duration argument")
            }
            "timestamp" => {
                crate::fns::time::timestamp(text).is_none().then_some("invalid timestamp argument")
            }
            _ => None,
        };
        if let Some(why) = wrong {
            self.error(*at, why);
        }
    }

    fn call(&mut self, at: usize, name: &str, member: bool, args: &[Type]) -> Type {
        if matches!(name, "_<_" | "_<=_" | "_>_" | "_>=_") {
            return match args {
                [one, other] if comparable(one, other) => Type::Bool,
                _ => self.overload(at, name, args, false),
            };
        }
        let all = signatures::of(name);
        if all.is_empty() {
            return self.error(at, format!("undeclared reference to '{name}' (in container '')"));
        }
        let mut found: Option<Type> = None;
        for one in all.iter().filter(|one| one.member == member) {
            let Some(result) = result(one, args) else { continue };
            found = Some(match found {
                None => result,
                // Several ways for what is not known: neither is sure.
                Some(before) if before == result => before,
                Some(_) => Type::Dyn,
            });
        }
        found.unwrap_or_else(|| self.overload(at, name, args, member))
    }

    fn overload(&mut self, at: usize, name: &str, args: &[Type], member: bool) -> Type {
        let words =
            |all: &[Type]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let applied = match args.split_first().filter(|_| member) {
            Some((of, rest)) => format!("{of}.({})", words(rest)),
            None => format!("({})", words(args)),
        };
        self.error(at, format!("found no matching overload for '{name}' applied to '{applied}'"))
    }
}

fn result(signature: &Signature, args: &[Type]) -> Option<Type> {
    if signature.args.len() != args.len() {
        return None;
    }
    let mut bound = Bound::new();
    for (wanted, given) in signature.args.iter().zip(args) {
        if !fits(wanted, given, &mut bound) {
            return None;
        }
    }
    let allowed = bound.iter().all(|(param, kind)| signatures::allows(*param, kind));
    allowed.then(|| filled(&signature.result, &bound))
}

fn comparable(one: &Type, other: &Type) -> bool {
    let number = |kind: &Type| matches!(kind, Type::Int | Type::Uint | Type::Double | Type::Dyn);
    let ordered = |kind: &Type| {
        matches!(
            kind,
            Type::Dyn | Type::Bool | Type::Text | Type::Bytes | Type::Timestamp | Type::Duration
        )
    };
    number(one) && number(other)
        || ordered(one) && (one == other || *other == Type::Dyn)
        || ordered(other) && *one == Type::Dyn
}
