//! Operators on two values.

use std::cmp::Ordering;

use crate::compile::{Expr, Operator};
use crate::error::Fault;
use crate::json::MAX_TEXT;
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
        Operator::Add => add(left, right)?,
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
    // Arithmetic on numbers looks at timestamps, and at numbers beyond floats, as text.
    let as_numbers = match operator {
        Operator::Subtract | Operator::Multiply => true,
        Operator::Add => left.kind() == Kind::Number && !is_narrow(left),
        Operator::Divide | Operator::Modulo => false,
        _ => left.as_number().is_some(),
    };
    let name = |value: &Value| {
        let text =
            value.kind() == Kind::Timestamp || (value.kind() == Kind::Number && value.as_number().is_none());
        if as_numbers && text { "string" } else { value.type_name() }
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

fn is_narrow(value: &Value) -> bool {
    matches!(value, Value::Narrow(narrow) if !matches!(narrow, Narrow::Word(_)))
}

fn add(left: &Value, right: &Value) -> Result<Option<Value>, Fault> {
    Ok(match left.kind() {
        // Narrow numbers are not known to the left of a sum.
        Kind::Number if is_narrow(left) => None,
        Kind::Number => numeric(left, right, i64::wrapping_add, u64::wrapping_add, |a, b| a + b),
        Kind::String | Kind::Bytes => {
            let (Some(left), Some(right)) = (left.text_bytes(), right.text_bytes()) else { return Ok(None) };
            let len = left.len() + right.len();
            if len > MAX_TEXT {
                return Err(Fault::new(format!("result of {len} bytes exceeds the limit of {MAX_TEXT}")));
            }
            Some(Value::String(Text::from([&*left, &*right].concat())))
        }
        _ => None,
    })
}
