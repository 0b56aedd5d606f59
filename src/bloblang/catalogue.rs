//! The language's functions and methods against the list of those it is to have, one a line: what it is, its name,
//! and its parameters as `name:type`, then `=default`, or `?` where one may be left out, or `...` for any number.

use std::collections::BTreeSet;

use crate::environment::Environment;
use crate::spec::{Absent, Param, ParamKind, Params, Spec};
use crate::value::Value;

const LIST: &str = include_str!("catalogue.txt");

fn parameter(param: &Param) -> String {
    let kind = match param.kind {
        ParamKind::String => "string",
        ParamKind::Int => "int",
        ParamKind::Float => "float",
        ParamKind::Bool => "bool",
        ParamKind::Array => "array",
        ParamKind::Object => "object",
        ParamKind::Timestamp => "timestamp",
        ParamKind::Any => "any",
        ParamKind::Query { scalars: true } => "query+literal",
        ParamKind::Query { scalars: false } => "query",
    };
    let fixed = if param.fixed { "+fixed" } else { "" };
    let absent = match param.absent {
        Absent::Required => String::new(),
        Absent::Optional => "?".to_owned(),
        Absent::Default(default) => format!("={}", Value::from(default).to_json().replace(' ', "\\u0020")),
    };
    format!(" {}:{kind}{fixed}{absent}", param.name)
}

fn line(what: &str, spec: &Spec) -> String {
    let params = match spec.params {
        Params::Variadic => " ...".to_owned(),
        Params::Fixed(params) => params.iter().map(parameter).collect(),
    };
    format!("{what} {}{params}", spec.name)
}

#[test]
fn nothing_is_missing_and_all_take_what_they_should() {
    let environment = Environment::new();
    let functions = environment.functions().map(|spec| line("function", spec));
    let methods = environment.methods().map(|spec| line("method", spec));
    let have: BTreeSet<String> = functions.chain(methods).collect();
    let want: BTreeSet<String> = LIST.lines().map(str::to_owned).collect();
    let missing: Vec<_> = want.difference(&have).collect();
    let others: Vec<_> = have.difference(&want).collect();
    assert!(missing.is_empty() && others.is_empty(), "wanted: {missing:#?}\nthere is: {others:#?}");
}
