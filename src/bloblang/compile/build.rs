//! Builders of expressions: they fold what the language folds, so its errors are parse errors.

use super::arguments::{Argument, bind};
use super::{Base, Binary, Call, Expr, Field, Key, Map, Operator};
use crate::environment::Environment;
use crate::eval::{Cx, operators};
use crate::object::Object;
use crate::spec::{Arg, Args, Query, Spec};
use crate::value::{Kind, Segment, Value, split_dot_path};

/// A path from a context.
pub(crate) fn field(base: Base, path: Vec<Segment>) -> Expr {
    Expr::Field(Box::new(Field { base, path: path.into(), source: std::sync::OnceLock::new() }))
}

/// A path from an expression; paths in a row become one.
pub(crate) fn get(target: Expr, more: Vec<Segment>) -> Expr {
    let join = |path: Box<[Segment]>| {
        let mut path = path.into_vec();
        path.extend(more.iter().cloned());
        path
    };
    match target {
        Expr::Field(known) => {
            let Field { base, path, .. } = *known;
            field(base, join(path))
        }
        Expr::Get(known) => {
            let (target, path) = *known;
            Expr::Get(Box::new((target, join(path).into())))
        }
        target => Expr::Get(Box::new((target, more.into()))),
    }
}

/// A query on the result of another.
pub(crate) fn map(target: Expr, query: Expr) -> Expr {
    Expr::Map(Box::new((target, query)))
}

fn vanishes(value: &Value) -> bool {
    matches!(value.kind(), Kind::Delete | Kind::Nothing)
}

/// An array literal.
pub(crate) fn array(items: Vec<Expr>) -> Expr {
    if items.iter().all(|item| item.literal().is_some()) {
        let values = items.iter().filter_map(|item| item.literal().cloned()).filter(|value| !vanishes(value));
        return Expr::Literal(Value::from(values.collect::<Vec<_>>()));
    }
    Expr::Array(items.into())
}

/// An object literal.
pub(crate) fn object(members: Vec<(Key, Expr)>) -> Result<Expr, String> {
    let mut named = Vec::with_capacity(members.len());
    for (key, value) in members {
        let key = match key {
            Key::Query(expr) => match expr.literal() {
                Some(Value::String(text)) => Key::Literal(text.clone()),
                Some(other) => {
                    let kind = crate::eval::go_type(other);
                    return Err(format!("object keys must be strings, received: {kind}"));
                }
                None => Key::Query(expr),
            },
            literal @ Key::Literal(_) => literal,
        };
        named.push((key, value));
    }
    let fixed =
        |member: &(Key, Expr)| matches!(member, (Key::Literal(_), value) if value.literal().is_some());
    if !named.iter().all(fixed) {
        return Ok(Expr::Object(named.into()));
    }
    let mut object = Object::new();
    for (key, value) in &named {
        if let (Key::Literal(key), Some(value)) = (key, value.literal())
            && !vanishes(value)
        {
            object.insert(key.clone(), value.clone());
        }
    }
    Ok(Expr::Literal(Value::object(object)))
}

/// How tightly an operator binds, from 0.
fn tier(operator: Operator) -> usize {
    match operator {
        Operator::Divide | Operator::Multiply | Operator::Modulo | Operator::Coalesce => 0,
        Operator::Add | Operator::Subtract => 1,
        Operator::And | Operator::Or => 3,
        _ => 2,
    }
}

/// A chain of operands, bound tier by tier, each from the left.
pub(crate) fn arithmetic(operands: Vec<Expr>, operators: &[Operator]) -> Result<Expr, String> {
    let mut operands = operands;
    let mut operators = operators.to_vec();
    for level in 0..4 {
        let mut rest = Vec::new();
        let mut bound: Vec<Expr> = Vec::new();
        for (n, operand) in operands.into_iter().enumerate() {
            let before = n.checked_sub(1).and_then(|n| operators.get(n)).copied();
            match (before, bound.pop()) {
                (Some(operator), Some(left)) if tier(operator) == level => {
                    bound.push(binary(operator, left, operand)?);
                }
                (before, left) => {
                    rest.extend(before);
                    bound.extend(left);
                    bound.push(operand);
                }
            }
        }
        operands = bound;
        operators = rest;
    }
    operands.pop().ok_or_else(|| "no operands".to_owned())
}

fn binary(operator: Operator, left: Expr, right: Expr) -> Result<Expr, String> {
    let folds = !matches!(operator, Operator::And | Operator::Or | Operator::Coalesce);
    if folds && let (Some(a), Some(b)) = (left.literal(), right.literal()) {
        let value = operators::operate(operator, a, b, &left, &right).map_err(|fault| fault.to_string())?;
        return Ok(Expr::Folded(Box::new((value, right.source()))));
    }
    Ok(Expr::Binary(Box::new(Binary { operator, left, right })))
}

/// A call of a function.
pub(crate) fn function(
    environment: &Environment,
    build: bool,
    name: &str,
    arguments: Vec<Argument>,
) -> Result<Expr, String> {
    let spec = environment.function(name).ok_or_else(|| format!("unrecognised function '{name}'"))?;
    if build && name == "deleted" && arguments.is_empty() {
        return Ok(Expr::Folded(Box::new((Value::Delete, "delete".into()))));
    }
    if build && name == "nothing" && arguments.is_empty() {
        return Ok(Expr::Folded(Box::new((Value::Nothing, "nothing".into()))));
    }
    let expr = call(spec, None, arguments, build)?;
    match &expr {
        // What is read once is as good as a literal.
        Expr::Call(call) if build && call.spec.traits.folds && !call.dynamic => {
            let value = match &*call.args {
                [_, Arg::Value(Value::Bool(true))] => return Ok(expr),
                _ => Cx::detached().run(&expr).map_err(|fault| fault.to_string())?,
            };
            Ok(Expr::Folded(Box::new((value, format!("function {name}").into()))))
        }
        _ => Ok(expr),
    }
}

/// A call of a method.
pub(crate) fn method(
    environment: &Environment,
    build: bool,
    name: &str,
    target: Expr,
    arguments: Vec<Argument>,
) -> Result<Expr, String> {
    let spec = environment.method(name).ok_or_else(|| format!("unrecognised method '{name}'"))?;
    if build {
        match (name, &*arguments) {
            ("get", [Argument { value, .. }]) => {
                if let Some(Value::String(path)) = value.literal() {
                    return Ok(get(target, split_dot_path(&path.as_str())));
                }
            }
            ("not", []) => return Ok(Expr::Not(Box::new(target))),
            _ => {}
        }
    }
    call(spec, Some(target), arguments, build)
}

fn call(
    spec: &'static Spec,
    target: Option<Expr>,
    arguments: Vec<Argument>,
    build: bool,
) -> Result<Expr, String> {
    let args = bind(spec, arguments)?;
    let dynamic = args.iter().any(|arg| matches!(arg, Arg::Dynamic(_)));
    let mut call = Call { spec, target: target.map(Query), args: args.into(), dynamic, prepared: None };
    if !build || dynamic {
        return Ok(Expr::Call(Box::new(call)));
    }
    if let Some(prepare) = spec.prepare {
        let args = Args { given: &call.args, resolved: &[], prepared: None };
        call.prepared = Some(prepare(&args).map_err(|fault| fault.to_string())?);
    }
    let literal = call.target.as_ref().is_some_and(|target| target.0.literal().is_some());
    if spec.traits.folds && literal {
        let name = spec.name;
        let expr = Expr::Call(Box::new(call));
        let value = Cx::detached().run(&expr).map_err(|fault| fault.to_string())?;
        return Ok(Expr::Folded(Box::new((value, format!("method {name}").into()))));
    }
    Ok(Expr::Call(Box::new(call)))
}

impl Map {
    /// What errors call the map.
    pub(crate) fn describe(&self) -> String {
        format!("map {}", self.name)
    }
}
