//! A run of an expression.

use crate::ast::{Expr, Fold, Node};
use crate::error::Stop;
use crate::value::{Key, Text, Value};
use crate::{fns, ops};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One run: the names it knows and the steps it has left.
pub(crate) struct Run<'a> {
    scope: Vec<(&'a str, Value<'a>)>,
    budget: u64,
    left: u64,
}

type Found<'a> = Result<Value<'a>, Stop>;

impl<'a> Run<'a> {
    pub(crate) fn new(variables: &[(&'a str, Value<'a>)], budget: u64) -> Self {
        Self { scope: variables.to_vec(), budget, left: budget }
    }

    pub(crate) fn spent(&self) -> u64 {
        self.budget - self.left
    }

    /// Pays for steps.
    pub(crate) fn pay(&mut self, steps: u64) -> Result<(), Stop> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Stop::Cost)
            }
        }
    }

    /// Pays for bytes that are read or written: ten of them are a step.
    pub(crate) fn pay_for(&mut self, bytes: usize) -> Result<(), Stop> {
        self.pay((bytes as u64).div_ceil(10))
    }

    /// Pays for elements.
    pub(crate) fn pay_each(&mut self, elements: usize) -> Result<(), Stop> {
        self.pay(elements as u64)
    }

    pub(crate) fn eval(&mut self, expr: &'a Expr) -> Found<'a> {
        Ok(match &expr.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Uint(value) => Value::Uint(*value),
            Node::Double(value) => Value::Double(*value),
            Node::Text(text) => text.as_str().into(),
            Node::Bytes(bytes) => {
                self.pay_for(bytes.len())?;
                Value::Bytes(bytes.as_slice().into())
            }
            Node::Ident(name) => {
                self.pay(1)?;
                match self.scope.iter().rev().find(|(own, _)| own == name) {
                    Some((_, value)) => value.clone(),
                    None => Value::Type(name.as_str().into()),
                }
            }
            Node::Select { of, field, optional } => {
                let of = self.eval(of)?;
                self.pay(1)?;
                return self.select(of, &Value::from(field.as_str()), *optional);
            }
            Node::Has { of, field } => {
                let of = self.eval(of)?;
                let of = match of {
                    Value::Optional(None) => return Ok(Value::Bool(false)),
                    Value::Optional(Some(inner)) => (*inner).clone(),
                    other => other,
                };
                match of {
                    Value::Map(map) => {
                        Value::Bool(map.get(&field.as_str().into()).transpose()?.is_some())
                    }
                    _ => return Err(Stop::Overload),
                }
            }
            Node::Index { of, index, optional } => {
                let (of, index) = (self.eval(of)?, self.eval(index)?);
                self.pay(1)?;
                return self.select(of, &index, *optional);
            }
            Node::List(elements) => self.list(elements)?,
            Node::Map(entries) => self.map(entries)?,
            Node::And(all) => self.logic(all, false)?,
            Node::Or(all) => self.logic(all, true)?,
            Node::If(parts) => {
                let (condition, then, other) = &**parts;
                let condition = self.eval(condition)?;
                self.pay(1)?;
                return match condition.as_bool() {
                    Some(true) => self.eval(then),
                    Some(false) => self.eval(other),
                    None => Err(Stop::Overload),
                };
            }
            Node::Bind { name, value, body } => {
                let value = self.eval(value)?;
                return self.with(&[(name, value)], |run| run.eval(body));
            }
            Node::OptMap { of, name, body, flat } => match self.eval(of)? {
                Value::Optional(None) => Value::Optional(None),
                Value::Optional(Some(inner)) => {
                    let made = self.with(&[(name, (*inner).clone())], |run| run.eval(body))?;
                    if *flat { made } else { Value::some(made) }
                }
                _ => return Err(Stop::Overload),
            },
            Node::Fold { kind, over, vars, body } => {
                let over = self.eval(over)?;
                self.fold(*kind, over, vars, body)?
            }
            Node::Call { name, member, args, regex } => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    values.push(self.eval(arg)?);
                }
                self.pay(1)?;
                return fns::call(self, name, *member, &values, regex.as_ref());
            }
        })
    }

    fn with<T>(&mut self, names: &[(&'a str, Value<'a>)], of: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.scope.len();
        self.scope.extend_from_slice(names);
        let result = of(self);
        self.scope.truncate(before);
        result
    }

    /// `of.key` and `of[key]`; of something optional, or asked for with `?`, it is optional again.
    fn select(&mut self, of: Value<'a>, key: &Value<'a>, optional: bool) -> Found<'a> {
        let (of, optional) = match of {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => ((*inner).clone(), true),
            other => (other, optional),
        };
        if let Value::Text(name) = key {
            self.pay_for(name.len())?;
        }
        match (ops::at(&of, key)?, optional) {
            (Some(value), false) => Ok(value),
            (value, true) => Ok(Value::optional(value)),
            (None, false) => match (&of, key) {
                (Value::List(_), _) => {
                    Err(Stop::new(format!("index out of bounds: {}", fns::show(key))))
                }
                _ => Err(Stop::no_key(&fns::show(key))),
            },
        }
    }

    fn list(&mut self, elements: &'a [(bool, Expr)]) -> Found<'a> {
        let mut all = Vec::with_capacity(elements.len());
        for (optional, element) in elements {
            let value = self.eval(element)?;
            match (optional, value) {
                (true, Value::Optional(inner)) => all.extend(inner.map(|inner| (*inner).clone())),
                (true, _) => return Err(Stop::Overload),
                (false, value) => all.push(value),
            }
        }
        self.pay(10)?;
        Ok(Value::list(all))
    }

    fn map(&mut self, entries: &'a [(bool, Expr, Expr)]) -> Found<'a> {
        let mut all = BTreeMap::new();
        for (optional, key, value) in entries {
            let (key, value) = (self.eval(key)?, self.eval(value)?);
            let value = match (optional, value) {
                (true, Value::Optional(None)) => continue,
                (true, Value::Optional(Some(inner))) => (*inner).clone(),
                (true, _) => return Err(Stop::Overload),
                (false, value) => value,
            };
            self.put(&mut all, &key, value)?;
        }
        self.pay(30)?;
        Ok(Value::map(all))
    }

    fn put(
        &mut self,
        all: &mut BTreeMap<Key, Value<'a>>,
        key: &Value<'a>,
        value: Value<'a>,
    ) -> Result<(), Stop> {
        if let Value::Text(text) = key {
            self.pay_for(text.len())?;
        }
        let own = key.key().ok_or_else(|| Stop::new("unsupported key type"))?;
        match all.insert(own, value) {
            None => Ok(()),
            Some(_) => Err(Stop::new(format!("Failed with repeated key: {}", fns::show(key)))),
        }
    }

    /// `||` where `decisive` is true, `&&` where it is false: the decisive value wins over errors, wherever it stands.
    fn logic(&mut self, all: &'a [Expr], decisive: bool) -> Found<'a> {
        let mut error = None;
        for one in all {
            self.pay(1)?;
            match self.eval(one) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => error = error.or(Some(Stop::Overload)),
                Err(Stop::Cost) => return Err(Stop::Cost),
                Err(other) => error = error.or(Some(other)),
            }
        }
        error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    /// What a macro goes over: for each step the values of its variables.
    fn range(&mut self, over: &Value<'a>, two: bool) -> Result<Vec<(Value<'a>, Value<'a>)>, Stop> {
        match over {
            Value::List(list) => {
                self.pay_each(list.len())?;
                let numbered = list.values().enumerate();
                numbered
                    .map(|(at, value)| Ok((Value::Int(at.try_into().unwrap_or(i64::MAX)), value?)))
                    .collect()
            }
            Value::Map(map) => {
                self.pay_each(map.len())?;
                let entries = map.entries()?.into_iter();
                // With one variable it is the key.
                Ok(if two {
                    entries.collect()
                } else {
                    entries.map(|(key, _)| (key.clone(), key)).collect()
                })
            }
            _ => Err(Stop::Overload),
        }
    }

    fn step(
        &mut self,
        vars: &'a [String],
        key: Value<'a>,
        value: Value<'a>,
        body: &'a Expr,
    ) -> Found<'a> {
        self.pay(1)?;
        match vars {
            [one] => self.with(&[(one, value)], |run| run.eval(body)),
            [first, second] => self.with(&[(first, key), (second, value)], |run| run.eval(body)),
            _ => Err(Stop::Overload),
        }
    }

    fn fold(
        &mut self,
        kind: Fold,
        over: Value<'a>,
        vars: &'a [String],
        body: &'a [Expr],
    ) -> Found<'a> {
        let range = self.range(&over, vars.len() == 2)?;
        let Some((last, before)) = body.split_last() else { return Err(Stop::Overload) };
        match kind {
            Fold::All | Fold::Exists => {
                let decisive = kind == Fold::Exists;
                let mut error = None;
                for (key, value) in range {
                    match self.step(vars, key, value, last) {
                        Ok(Value::Bool(value)) if value == decisive => {
                            return Ok(Value::Bool(decisive));
                        }
                        Ok(Value::Bool(_)) => {}
                        Ok(_) => error = error.or(Some(Stop::Overload)),
                        Err(Stop::Cost) => return Err(Stop::Cost),
                        Err(other) => error = error.or(Some(other)),
                    }
                }
                error.map_or(Ok(Value::Bool(!decisive)), Err)
            }
            Fold::ExistsOne => {
                let mut n = 0;
                for (key, value) in range {
                    n += usize::from(self.asks(vars, &key, &value, last)?);
                }
                Ok(Value::Bool(n == 1))
            }
            Fold::Filter => {
                let mut kept = Vec::new();
                for (key, value) in range {
                    if self.asks(vars, &key, &value, last)? {
                        kept.push(value);
                    }
                }
                Ok(Value::list(kept))
            }
            Fold::Map | Fold::TransformList => {
                let mut made = Vec::new();
                for (key, value) in range {
                    if self.all(before, vars, &key, &value)? {
                        made.push(self.step(vars, key, value, last)?);
                    }
                }
                Ok(Value::list(made))
            }
            Fold::SortBy => {
                let mut pairs = Vec::new();
                for (key, value) in range {
                    let by = self.step(vars, key, value.clone(), last)?;
                    pairs.push((by, value));
                }
                fns::lists::sort(self, pairs)
            }
            Fold::TransformMap => {
                let mut made = BTreeMap::new();
                for (key, value) in range {
                    if self.all(before, vars, &key, &value)? {
                        let to = self.step(vars, key.clone(), value, last)?;
                        self.put(&mut made, &key, to)?;
                    }
                }
                Ok(Value::map(made))
            }
            Fold::TransformMapEntry => {
                let mut made = BTreeMap::new();
                for (key, value) in range {
                    if !self.all(before, vars, &key, &value)? {
                        continue;
                    }
                    let Value::Map(entries) = self.step(vars, key, value, last)? else {
                        return Err(Stop::Overload);
                    };
                    for (key, value) in entries.entries()? {
                        self.pay(1)?;
                        self.put(&mut made, &key, value)?;
                    }
                }
                Ok(Value::map(made))
            }
        }
    }

    fn all(
        &mut self,
        conditions: &'a [Expr],
        vars: &'a [String],
        key: &Value<'a>,
        value: &Value<'a>,
    ) -> Result<bool, Stop> {
        for condition in conditions {
            if !self.asks(vars, key, value, condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn asks(
        &mut self,
        vars: &'a [String],
        key: &Value<'a>,
        value: &Value<'a>,
        body: &'a Expr,
    ) -> Result<bool, Stop> {
        self.step(vars, key.clone(), value.clone(), body)?.as_bool().ok_or(Stop::Overload)
    }

    /// Whether one value comes before another.
    pub(crate) fn less(&mut self, one: &Value<'a>, other: &Value<'a>) -> Result<bool, Stop> {
        Ok(ops::order(self, one, other)? == Some(Ordering::Less))
    }

    /// The text of a value, which is paid for.
    pub(crate) fn read<'v>(&mut self, text: &'v Text<'a>) -> Result<&'v str, Stop> {
        self.pay_for(text.len())?;
        Ok(text)
    }
}
