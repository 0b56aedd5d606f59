//! Expressions of `JSONPath`: in filters, and around paths.

use regex::bytes::Regex;

use super::json_path::{MAX_DEPTH, Parser, Path};
use crate::compat::regex::compile;
use crate::error::Fault;
use crate::eval::Cx;
use crate::value::{Kind, Value};

/// An expression.
#[derive(Debug)]
pub(super) enum Filter {
    Literal(Value),
    /// A path from the value looked at.
    Here(Path),
    /// A path from the whole document.
    Root(Path),
    Not(Box<Filter>),
    Matches(Box<Filter>, Regex),
    Binary(Box<Filter>, Operator, Box<Filter>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Below,
    NotAbove,
    Above,
    NotBelow,
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Operators from loose to tight; longer signs before those they begin with.
const TIERS: &[&[(&str, Operator)]] = &[
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::NotAbove),
        (">=", Operator::NotBelow),
        ("<", Operator::Below),
        (">", Operator::Above),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];

/// Reads an expression.
pub(super) fn parse_filter(parser: &mut Parser<'_>) -> Result<Filter, String> {
    parser.depth += 1;
    if parser.depth > MAX_DEPTH {
        return Err("the expression is nested too deep".to_owned());
    }
    let filter = tier(parser, 0)?;
    parser.depth -= 1;
    Ok(filter)
}

fn tier(parser: &mut Parser<'_>, level: usize) -> Result<Filter, String> {
    let Some(operators) = TIERS.get(level) else { return operand(parser) };
    let mut left = tier(parser, level + 1)?;
    for _ in 0..MAX_DEPTH {
        parser.blanks();
        if level == 2 && parser.skip("=~") {
            parser.blanks();
            let pattern = parser.quoted()?.ok_or_else(|| parser.unexpected())?;
            left = Filter::Matches(Box::new(left), compile(&pattern)?);
            continue;
        }
        let Some((_, operator)) = operators.iter().find(|(sign, _)| parser.skip(sign)) else {
            return Ok(left);
        };
        let right = tier(parser, level + 1)?;
        left = Filter::Binary(Box::new(left), *operator, Box::new(right));
    }
    Err("the expression is too long".to_owned())
}

fn operand(parser: &mut Parser<'_>) -> Result<Filter, String> {
    parser.blanks();
    if parser.skip("!") {
        parser.depth += 1;
        if parser.depth > MAX_DEPTH {
            return Err("the expression is nested too deep".to_owned());
        }
        return Ok(Filter::Not(Box::new(operand(parser)?)));
    }
    if parser.skip("(") {
        let inner = parse_filter(parser)?;
        parser.expect(")")?;
        return Ok(inner);
    }
    if parser.skip("$") {
        return parser.steps().map(Filter::Root);
    }
    if parser.skip("@") {
        return parser.steps().map(Filter::Here);
    }
    if let Some(text) = parser.quoted()? {
        return Ok(Filter::Literal(text.into()));
    }
    let negative = parser.skip("-");
    let word = parser.run(|char| char.is_ascii_alphanumeric() || char == '.');
    if let Ok(number) = word.parse::<f64>()
        && word.starts_with(|first: char| first.is_ascii_digit())
    {
        return Ok(Filter::Literal(Value::Float(if negative { -number } else { number })));
    }
    match word {
        "true" => Ok(Filter::Literal(Value::Bool(true))),
        "false" => Ok(Filter::Literal(Value::Bool(false))),
        "null" | "nil" => Ok(Filter::Literal(Value::Null)),
        "" => Err(parser.unexpected()),
        other => Err(format!("unexpected {}", crate::compat::quote(other))),
    }
}

/// Whether a value counts as true.
pub(super) fn holds(value: &Value) -> bool {
    match value.kind() {
        Kind::Bool => value.as_bool() == Some(true),
        Kind::Null => false,
        _ => true,
    }
}

impl Filter {
    /// The expression's value at a place of a document.
    pub(super) fn value(&self, cx: &mut Cx<'_>, here: &Value, root: &Value) -> Result<Value, Fault> {
        cx.spend(1)?;
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Here(path) => path.value(cx, here, root),
            Self::Root(path) => path.value(cx, root, root),
            Self::Not(inner) => {
                let value = inner.value(cx, here, root);
                Ok(Value::Bool(!value.is_ok_and(|value| holds(&value))))
            }
            Self::Matches(inner, pattern) => {
                let value = inner.value(cx, here, root)?;
                Ok(Value::Bool(value.as_str().is_some_and(|text| pattern.is_match(text.as_bytes()))))
            }
            Self::Binary(left, operator @ (Operator::Or | Operator::And), right) => {
                // A path that leads nowhere is false here.
                let mut side = |filter: &Self| filter.value(cx, here, root).is_ok_and(|value| holds(&value));
                let either = *operator == Operator::Or;
                Ok(Value::Bool(if side(left) == either { either } else { side(right) }))
            }
            Self::Binary(left, operator, right) => {
                let (left, right) = (left.value(cx, here, root)?, right.value(cx, here, root)?);
                binary(&left, *operator, &right)
            }
        }
    }
}

fn binary(left: &Value, operator: Operator, right: &Value) -> Result<Value, Fault> {
    let order = || left.order(right).flatten().ok_or_else(|| Fault::new("values cannot be compared"));
    let number = |value: &Value| match value.as_number() {
        Some(number) => Ok(number.to_f64()),
        None => Err(Fault::expected("number", value)),
    };
    Ok(match operator {
        Operator::Equal => Value::Bool(left.equals(right)),
        Operator::Unequal => Value::Bool(!left.equals(right)),
        Operator::Below => Value::Bool(order()?.is_lt()),
        Operator::NotAbove => Value::Bool(order()?.is_le()),
        Operator::Above => Value::Bool(order()?.is_gt()),
        Operator::NotBelow => Value::Bool(order()?.is_ge()),
        Operator::Add => match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) => format!("{left}{right}").into(),
            _ => Value::Float(number(left)? + number(right)?),
        },
        Operator::Subtract => Value::Float(number(left)? - number(right)?),
        Operator::Multiply => Value::Float(number(left)? * number(right)?),
        Operator::Divide => Value::Float(number(left)? / number(right)?),
        Operator::Or | Operator::And => Value::Bool(false),
    })
}
