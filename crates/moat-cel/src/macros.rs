//! Calls that are no calls, because their arguments have names of their own.

use crate::ast::{Expr, Fold, Node};
use crate::error::Error;

fn call(at: usize, name: String, member: bool, args: Vec<Expr>) -> Expr {
    Expr::new(at, Node::Call { name, member, args, regex: None })
}

/// A call without a receiver.
pub(crate) fn global(at: usize, name: String, args: Vec<Expr>) -> Result<Expr, Error> {
    if name != "has" {
        return Ok(call(at, name, false, args));
    }
    let [one] = <[Expr; 1]>::try_from(args)
        .map_err(|_| Error::new(at, "has() takes one field selection"))?;
    match one.node {
        Node::Select { of, field, optional: false } => Ok(Expr::new(at, Node::Has { of, field })),
        _ => Err(Error::new(one.at, "invalid argument to has() macro")),
    }
}

/// A call with a receiver.
pub(crate) fn member(at: usize, of: Expr, name: String, args: Vec<Expr>) -> Result<Expr, Error> {
    if name == "bind" && matches!(&of.node, Node::Ident(ns) if ns == "cel") && args.len() == 3 {
        let [variable, value, body] = three(at, args)?;
        let name = variable_of(&variable)?;
        let (value, body) = (Box::new(value), Box::new(body));
        return Ok(Expr::new(at, Node::Bind { name, value, body }));
    }
    if matches!(name.as_str(), "optMap" | "optFlatMap") && args.len() == 2 {
        let [variable, body] = two(at, args)?;
        let flat = name == "optFlatMap";
        let name = variable_of(&variable)?;
        let (of, body) = (Box::new(of), Box::new(body));
        return Ok(Expr::new(at, Node::OptMap { of, name, body, flat }));
    }
    // Which macro, how many variables, how many expressions after them.
    let (kind, vars, bodies) = match (name.as_str(), args.len()) {
        ("all", 2) => (Fold::All, 1, 1),
        ("all", 3) => (Fold::All, 2, 1),
        ("exists", 2) => (Fold::Exists, 1, 1),
        ("exists", 3) => (Fold::Exists, 2, 1),
        ("exists_one" | "existsOne", 2) => (Fold::ExistsOne, 1, 1),
        ("exists_one" | "existsOne", 3) => (Fold::ExistsOne, 2, 1),
        ("filter", 2) => (Fold::Filter, 1, 1),
        ("map", 2) => (Fold::Map, 1, 1),
        ("map", 3) => (Fold::Map, 1, 2),
        ("sortBy", 2) => (Fold::SortBy, 1, 1),
        ("transformList", 3) => (Fold::TransformList, 2, 1),
        ("transformList", 4) => (Fold::TransformList, 2, 2),
        ("transformMap", 3) => (Fold::TransformMap, 2, 1),
        ("transformMap", 4) => (Fold::TransformMap, 2, 2),
        ("transformMapEntry", 3) => (Fold::TransformMapEntry, 2, 1),
        ("transformMapEntry", 4) => (Fold::TransformMapEntry, 2, 2),
        _ => {
            let args = std::iter::once(of).chain(args).collect();
            return Ok(call(at, name, true, args));
        }
    };
    let mut args = args;
    let body = args.split_off(vars.min(args.len()));
    debug_assert_eq!(body.len(), bodies);
    let vars = args.iter().map(variable_of).collect::<Result<Vec<_>, _>>()?;
    Ok(Expr::new(at, Node::Fold { kind, over: Box::new(of), vars, body }))
}

fn two(at: usize, args: Vec<Expr>) -> Result<[Expr; 2], Error> {
    args.try_into().map_err(|_| Error::new(at, "takes two arguments"))
}

fn three(at: usize, args: Vec<Expr>) -> Result<[Expr; 3], Error> {
    args.try_into().map_err(|_| Error::new(at, "takes three arguments"))
}

fn variable_of(expr: &Expr) -> Result<String, Error> {
    match &expr.node {
        Node::Ident(name) => Ok(name.clone()),
        _ => Err(Error::new(expr.at, "argument must be a simple name")),
    }
}
