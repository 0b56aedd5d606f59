//! Arguments: bound to parameters, coerced to their types.

use super::Expr;
use crate::error::Fault;
use crate::spec::{Absent, Arg, Default, Param, ParamKind, Params, Query, Spec};
use crate::timestamp::Timestamp;
use crate::value::{Kind, Value};

/// An argument as it stands in the source.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<String>,
    pub(crate) value: Expr,
}

/// Binds arguments to the parameters of a function or method.
pub(crate) fn bind(spec: &'static Spec, arguments: Vec<Argument>) -> Result<Vec<Arg>, String> {
    let named = arguments.iter().filter(|argument| argument.name.is_some()).count();
    let mut seen: Vec<&str> = Vec::new();
    for name in arguments.iter().filter_map(|argument| argument.name.as_deref()) {
        if seen.contains(&name) {
            return Err(format!("duplicate named arg: {name}"));
        }
        seen.push(name);
    }
    if named > 0 && named < arguments.len() {
        return Err("cannot mix named and nameless arguments".to_owned());
    }
    let Params::Fixed(params) = spec.params else {
        if named > 0 {
            return Err("named arguments are not supported".to_owned());
        }
        return Ok(arguments.into_iter().map(|argument| variadic(argument.value)).collect());
    };
    let mut given: Vec<Option<Expr>> = params.iter().map(|_| None).collect();
    let mut unknown = Vec::new();
    if named == 0 && arguments.len() > params.len() {
        return Err(format!("wrong number of arguments, expected {}, got {}", params.len(), arguments.len()));
    }
    for (n, argument) in arguments.into_iter().enumerate() {
        let at = match &argument.name {
            Some(name) => params.iter().position(|param| param.name == name),
            None => Some(n),
        };
        match (at.and_then(|at| given.get_mut(at)), argument.name) {
            (Some(slot), _) => *slot = Some(argument.value),
            (None, name) => unknown.extend(name),
        }
    }
    let mut missing = Vec::new();
    let mut args = Vec::with_capacity(params.len());
    for (param, value) in params.iter().zip(given) {
        args.push(match (value, param.absent) {
            (Some(value), _) => argument(param, value)?,
            (None, Absent::Required) => {
                missing.push(param.name);
                Arg::Absent
            }
            (None, Absent::Optional) => Arg::Absent,
            (None, Absent::Default(default)) => {
                let value = default.into();
                if matches!(param.kind, ParamKind::Query { .. }) {
                    Arg::Query(Query(Expr::Literal(value)))
                } else {
                    Arg::Value(coerce(param.kind, value).unwrap_or_default())
                }
            }
        });
    }
    complain(unknown, &missing)?;
    let dynamic = |(param, arg): &(&Param, &Arg)| param.fixed && matches!(arg, Arg::Dynamic(_));
    match params.iter().zip(&args).find(dynamic) {
        Some((param, _)) => Err(format!("param {} must not be dynamic", param.name)),
        None => Ok(args),
    }
}

fn complain(mut unknown: Vec<String>, missing: &[&str]) -> Result<(), String> {
    unknown.sort_unstable();
    let hint = match missing {
        [] => String::new(),
        [one] => format!(", did you mean {one}?"),
        many => format!(", expected {}", many.join(", ")),
    };
    match (&*unknown, missing) {
        ([], []) => Ok(()),
        ([], [one]) => Err(format!("missing parameter: {one}")),
        ([], many) => Err(format!("missing parameters: {}", many.join(", "))),
        ([one], _) => Err(format!("unknown parameter {one}{hint}")),
        (many, _) => Err(format!("unknown parameters {}{hint}", many.join(", "))),
    }
}

fn variadic(value: Expr) -> Arg {
    match value.literal() {
        Some(value) => Arg::Value(value.clone()),
        None => Arg::Dynamic(Query(value)),
    }
}

fn argument(param: &Param, value: Expr) -> Result<Arg, String> {
    if matches!(param.kind, ParamKind::Query { .. }) {
        return Ok(Arg::Query(Query(value)));
    }
    let Some(literal) = value.literal() else { return Ok(Arg::Dynamic(Query(value))) };
    match coerce(param.kind, literal.clone()) {
        Ok(value) => Ok(Arg::Value(value)),
        Err(fault) => Err(format!("field {}: {fault}", param.name)),
    }
}

/// Turns a value into what a parameter takes.
pub(crate) fn coerce(kind: ParamKind, value: Value) -> Result<Value, Fault> {
    let number = |value: &Value| value.as_number().ok_or_else(|| Fault::expected("number", value));
    let wrong = |expected: &str, value: &Value| {
        Fault::new(format!("wrong argument type, expected {expected}, got {}", value.type_name()))
    };
    match kind {
        ParamKind::Any | ParamKind::Query { .. } => Ok(value),
        ParamKind::Int => Ok(Value::Int(number(&value)?.to_i64())),
        ParamKind::Float => Ok(Value::Float(number(&value)?.to_f64())),
        ParamKind::Bool => value.truth().map(Value::Bool).ok_or_else(|| Fault::expected("bool", &value)),
        ParamKind::String => match value {
            Value::String(_) => Ok(value),
            value if matches!(value.kind(), Kind::String | Kind::Bytes) => {
                Ok(Value::String(crate::text::Text::from(value.as_bytes().unwrap_or_default())))
            }
            value => Err(wrong("string", &value)),
        },
        ParamKind::Array if value.kind() == Kind::Array => Ok(value),
        ParamKind::Array => Err(wrong("array", &value)),
        ParamKind::Object if value.kind() == Kind::Object => Ok(value),
        ParamKind::Object => Err(wrong("object", &value)),
        ParamKind::Timestamp => timestamp(&value),
    }
}

fn timestamp(value: &Value) -> Result<Value, Fault> {
    match (value.kind(), value.as_number()) {
        (Kind::Timestamp, _) => Ok(value.clone()),
        (Kind::Number, Some(number)) => {
            let seconds = number.to_f64().floor();
            #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second in nanoseconds")]
            let nanos = ((number.to_f64() - seconds) * 1e9) as i64;
            let time = Timestamp::from_unix(crate::number::Num::Float(seconds).to_i64(), nanos);
            time.map(Value::from).ok_or_else(|| Fault::new("timestamp is out of range"))
        }
        _ => crate::methods::to_timestamp(value).map(Value::from),
    }
}

impl From<Default> for Value {
    fn from(default: Default) -> Self {
        match default {
            Default::Null => Self::Null,
            Default::Bool(value) => Self::Bool(value),
            Default::Int(value) => Self::Int(value),
            Default::Float(value) => Self::Float(value),
            Default::String(text) => Self::String(text.into()),
            Default::EmptyArray => Self::from(Vec::new()),
            Default::EmptyObject => Self::object(crate::object::Object::new()),
        }
    }
}
