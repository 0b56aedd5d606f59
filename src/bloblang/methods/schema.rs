//! Validation by JSON schema.

use std::sync::Arc;

use crate::error::Fault;
use crate::eval::Cx;
use crate::schema::Schema;
use crate::spec::{Args, Param, Prepared, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] =
    &[Spec::method("json_schema", "The value, if it matches a JSON schema.", SCHEMA, json_schema)
        .prepared(compile)];

const SCHEMA: &[Param] = &[Param::string("schema", "The schema, as JSON.")];

fn compile(args: &Args<'_>) -> Result<Prepared, Fault> {
    let schema = Schema::parse(args.bytes(0).unwrap_or_default().to_vec());
    let failed = |text| Fault::new(format!("failed to parse json schema definition: {text}"));
    Ok(Arc::new(schema.map_err(failed)?))
}

fn json_schema(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let Some(schema) = args.prepared::<Schema>() else {
        return Err(Fault::new("the schema was not compiled"));
    };
    // What is deleted or nothing counts as null.
    let checked = if target.is_absent() { &Value::Null } else { &target };
    let errors = schema.check(cx, checked)?;
    if errors.is_empty() { Ok(target) } else { Err(Fault::new(errors.join("\n"))) }
}
