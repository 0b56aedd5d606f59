//! Operators on two values.

use std::cmp::Ordering;

use crate::compile::{Expr, Operator};
use crate::error::Fault;
use crate::number::{Narrow, Num};
use crate::text::Text;
use crate::value::{Kind, Value};

/// The result of an operator; the expressions are for errors.
pub(crate) fn operate(
    operator: Operator,
    left: &Value,
    right: &Value,
    left_expr: &Expr,
    right_expr: &Expr,
) -> Result<Value, Fault> {
    let result = match operator {
        Operator::Equal => return Ok(Value::Bool(equal(left, right))),
        Operator::NotEqual => return Ok(Value::Bool(!equal(left, right))),
        Operator::Less => ordered(left, right, Ordering::is_lt),
        Operator::LessOrEqual => ordered(left, right, Ordering::is_le),
        Operator::Greater => ordered(left, right, Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(left, right, Ordering::is_ge),
        Operator::Add => add(left, right),
        Operator::Subtract => numeric(left, right, i64::wrapping_sub, u64::wrapping_sub, |a, b| a - b),
        Operator::Multiply => numeric(left, right, i64::wrapping_mul, u64::wrapping_mul, |a, b| a * b),
        Operator::Divide => match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) if right.to_f64() != 0.0 => {
                Some(Value::Float(left.to_f64() / right.to_f64()))
            }
            (Some(_), Some(_)) => return Err(by_zero(right_expr)),
            _ => None,
        },
        Operator::Modulo => match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) if right.to_i64() != 0 => {
                Some(Value::Int(left.to_i64().wrapping_rem(right.to_i64())))
            }
            (Some(_), Some(_)) => return Err(by_zero(right_expr)),
            _ => None,
        },
        Operator::And | Operator::Or | Operator::Coalesce => None,
    };
    result.ok_or_else(|| mismatch(operator, left, right, left_expr, right_expr))
}

#[cold]
fn by_zero(right: &Expr) -> Fault {
    Fault::new("attempted to divide by zero").from_source(&right.source())
}

#[cold]
fn mismatch(operator: Operator, left: &Value, right: &Value, left_expr: &Expr, right_expr: &Expr) -> Fault {
    let verb = match operator {
        Operator::Add => "add",
        Operator::Subtract => "subtract",
        Operator::Divide => "divide",
        Operator::Multiply => "multiply",
        Operator::Modulo => "modulo",
        _ => "compare",
    };
    let name = |value: &Value| {
        // To arithmetic a number beyond floats is but its text.
        let beyond = verb != "compare" && value.number_text().is_some() && value.as_number().is_none();
        if beyond { "string" } else { value.type_name() }
    };
    Fault::mismatch(verb, (name(left), left_expr.source()), (name(right), right_expr.source()))
}

fn equal(left: &Value, right: &Value) -> bool {
    if left.loosely_equals(right) {
        return true;
    }
    // Numbers beyond floats compare as text.
    match (left.number_text(), right.number_text()) {
        (Some(a), Some(b)) => a == b && left.as_number().is_none(),
        _ => false,
    }
}

fn ordered(left: &Value, right: &Value, holds: fn(Ordering) -> bool) -> Option<Value> {
    Some(Value::Bool(left.order(right)?.is_some_and(holds)))
}

fn numeric(
    left: &Value,
    right: &Value,
    ints: fn(i64, i64) -> i64,
    uints: fn(u64, u64) -> u64,
    floats: fn(f64, f64) -> f64,
) -> Option<Value> {
    Some(match (left.as_number()?, right.as_number()?) {
        (Num::Int(a), Num::Int(b)) => Value::Int(ints(a, b)),
        (a @ Num::Float(_), b) | (a, b @ Num::Float(_)) => Value::Float(floats(a.to_f64(), b.to_f64())),
        (Num::Uint(a), Num::Uint(b)) => Value::Uint(uints(a, b)),
        (a, b) => Value::Int(ints(a.to_i64(), b.to_i64())),
    })
}

fn add(left: &Value, right: &Value) -> Option<Value> {
    match left.kind() {
        // Narrow numbers are not known to the left of a sum.
        Kind::Number if matches!(left, Value::Narrow(narrow) if !matches!(narrow, Narrow::Word(_))) => None,
        Kind::Number => numeric(left, right, i64::wrapping_add, u64::wrapping_add, |a, b| a + b),
        Kind::String | Kind::Bytes => {
            let (left, right) = (left.text_bytes()?, right.text_bytes()?);
            Some(Value::String(Text::from([&*left, &*right].concat())))
        }
        _ => None,
    }
}
