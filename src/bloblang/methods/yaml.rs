//! Methods that read and write YAML.

use super::strings::MAX_BYTES;
use super::target::text;
use crate::compat::yaml;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("parse_yaml", "Parses the first YAML document.", &[], parse_yaml),
    Spec::method("format_yaml", "Writes YAML.", &[], format_yaml),
];

fn parse_yaml(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 8)?;
    cx.charge(text.bytes.len().saturating_mul(16))?;
    yaml::readable(&text.bytes)
        .and_then(yaml::parse)
        .map_err(|error| Fault::new(format!("failed to parse value as YAML: {error}")))
}

fn format_yaml(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    cx.walk(&target)?;
    let out = yaml::format(&target, MAX_BYTES)
        .ok_or_else(|| Fault::new(format!("result exceeds the limit of {MAX_BYTES} bytes")))?;
    cx.spend(out.len() as u64 / 16)?;
    Ok(Value::bytes(out))
}
