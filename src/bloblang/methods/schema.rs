//! Validation by JSON schema, drafts 4 to 7.

use std::collections::HashMap;
use std::sync::Arc;

use regex::bytes::Regex;

use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::number::Num;
use crate::spec::{Args, Param, Prepared, Spec};
use crate::stack::deep;
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] =
    &[Spec::method("json_schema", "The value, if it matches a JSON schema.", SCHEMA, json_schema)
        .prepared(compile)];

const SCHEMA: &[Param] = &[Param::string("schema", "The schema, as JSON.")];

/// How deep schemas may refer to one another.
const MAX_DEPTH: usize = 200;

/// A schema with the patterns in it compiled.
struct Schema {
    root: Value,
    patterns: HashMap<Vec<u8>, Regex>,
}

fn compile(args: &Args<'_>) -> Result<Prepared, Fault> {
    let failed = |text: String| Fault::new(format!("failed to parse json schema definition: {text}"));
    let bytes = args.bytes(0).unwrap_or_default();
    let root = match Value::parse_json(bytes.to_vec()) {
        Ok(root) => root,
        Err(_) if bytes.iter().all(u8::is_ascii_whitespace) => return Err(failed("EOF".to_owned())),
        Err(error) => return Err(failed(error.to_string())),
    };
    if !matches!(root.kind(), Kind::Object | Kind::Bool) {
        return Err(failed("schema is invalid".to_owned()));
    }
    let mut schema = Schema { root: root.clone(), patterns: HashMap::new() };
    schema.gather(&root).map_err(failed)?;
    Ok(Arc::new(schema))
}

fn json_schema(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let Some(schema) = args.prepared::<Schema>() else {
        return Err(Fault::new("the schema was not compiled"));
    };
    let mut check = Check { schema, errors: Vec::new() };
    check.value(cx, &schema.root, &target, "", 0)?;
    if check.errors.is_empty() { Ok(target) } else { Err(Fault::new(check.errors.join("\n"))) }
}

impl Schema {
    /// Compiles every pattern below a value.
    fn gather(&mut self, value: &Value) -> Result<(), String> {
        if let Some(object) = value.to_object() {
            for (key, child) in object.iter() {
                if *key == *b"pattern"
                    && let Some(pattern) = child.as_bytes()
                {
                    self.add(&pattern)?;
                }
                if *key == *b"patternProperties" {
                    for pattern in child.to_object().iter().flat_map(|object| object.keys()) {
                        self.add(&pattern)?;
                    }
                }
                deep(|| self.gather(&child))?;
            }
        }
        for child in value.to_array().iter().flat_map(|items| items.iter()) {
            self.gather(child)?;
        }
        Ok(())
    }

    fn add(&mut self, pattern: &[u8]) -> Result<(), String> {
        let regex = compat::regex::compile(&crate::text::lossy(pattern))?;
        self.patterns.insert(pattern.to_vec(), regex);
        Ok(())
    }

    /// What a local reference leads to.
    fn resolve(&self, reference: &str) -> Option<Value> {
        let pointer = reference.strip_prefix('#')?;
        let mut value = self.root.clone();
        for part in pointer.split('/').filter(|part| !part.is_empty()) {
            let key = part.replace("~1", "/").replace("~0", "~");
            value = match value.kind() {
                Kind::Array => value.item(key.parse().ok()?)?,
                _ => value.member(key.as_bytes())?,
            };
        }
        Some(value)
    }
}

/// The type a schema gives a value.
fn type_of(value: &Value) -> &'static str {
    match value.kind() {
        Kind::Bool => "boolean",
        Kind::Number if is_whole(value) => "integer",
        Kind::Bytes | Kind::Timestamp => "string",
        other => other.name(),
    }
}

fn is_whole(value: &Value) -> bool {
    match value.as_number() {
        Some(Num::Float(number)) => number.fract() == 0.0,
        other => other.is_some(),
    }
}

struct Check<'a> {
    schema: &'a Schema,
    errors: Vec<String>,
}

impl Check<'_> {
    fn error(&mut self, path: &str, text: impl std::fmt::Display) {
        if self.errors.len() < 100 {
            let path = if path.is_empty() { "(root)" } else { path };
            self.errors.push(format!("{path} {text}"));
        }
    }

    /// Whether a value matches, without keeping the errors.
    fn matches(
        &self,
        cx: &mut Cx<'_>,
        schema: &Value,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<bool, Fault> {
        let mut inner = Check { schema: self.schema, errors: Vec::new() };
        inner.value(cx, schema, value, path, depth)?;
        Ok(inner.errors.is_empty())
    }

    fn value(
        &mut self,
        cx: &mut Cx<'_>,
        schema: &Value,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        cx.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(Fault::new("schema refers to itself too deeply"));
        }
        if let Some(passes) = schema.as_bool() {
            if !passes {
                self.error(path, "false always fails validation");
            }
            return Ok(());
        }
        let get = |key: &str| schema.member(key.as_bytes());
        if let Some(reference) = get("$ref") {
            let reference = reference.as_str().unwrap_or_default().into_owned();
            let target = self.schema.resolve(&reference);
            let target = target.ok_or_else(|| Fault::new(format!("Object has no key '{reference}'")))?;
            return self.value(cx, &target, value, path, depth + 1);
        }
        if let Some(expected) = get("type") {
            let actual = type_of(value);
            let names: Vec<String> = match expected.to_array() {
                Some(names) => names.iter().filter_map(|name| Some(name.as_str()?.into_owned())).collect(),
                None => expected.as_str().map(std::borrow::Cow::into_owned).into_iter().collect(),
            };
            if !names.iter().any(|name| name == actual || (name == "number" && actual == "integer")) {
                let mut shown = names.join(",").to_lowercase();
                if expected.kind() == Kind::Array {
                    shown = format!("[{shown}]");
                }
                self.error(path, format!("invalid type. expected: {shown}, given: {actual}"));
                return Ok(());
            }
        }
        self.combined(cx, schema, value, path, depth)?;
        if let Some(allowed) = get("enum").and_then(|allowed| allowed.to_array())
            && !allowed.iter().any(|allowed| same(allowed, value))
        {
            let shown: Vec<String> = allowed.iter().map(Value::to_json).collect();
            let field = if path.is_empty() { "(root)" } else { path };
            self.error(
                path,
                format!("{field} must be one of the following: {}", shown.join(", ")).to_lowercase(),
            );
        }
        if let Some(wanted) = get("const")
            && !same(&wanted, value)
        {
            let field = if path.is_empty() { "(root)" } else { path };
            self.error(path, format!("{field} does not match: {}", wanted.to_json()).to_lowercase());
        }
        match value.kind() {
            Kind::Object => self.object(cx, schema, value, path, depth),
            Kind::Array => self.array(cx, schema, value, path, depth),
            Kind::String | Kind::Bytes => {
                self.string(schema, value, path);
                Ok(())
            }
            Kind::Number => {
                self.number(schema, value, path);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn combined(
        &mut self,
        cx: &mut Cx<'_>,
        schema: &Value,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        let list = |key: &str| schema.member(key.as_bytes()).and_then(|list| list.to_array());
        let count = |cx: &mut Cx<'_>, list: &[Value]| {
            let mut met = 0;
            for schema in list {
                met += usize::from(self.matches(cx, schema, value, path, depth + 1)?);
            }
            Ok::<_, Fault>(met)
        };
        let mut errors = Vec::new();
        if let Some(schemas) = list("anyOf")
            && count(cx, &schemas)? == 0
        {
            errors.push("must validate at least one schema (anyof)");
        }
        if let Some(schemas) = list("oneOf")
            && count(cx, &schemas)? != 1
        {
            errors.push("must validate one and only one schema (oneof)");
        }
        if let Some(schemas) = list("allOf")
            && count(cx, &schemas)? != schemas.len()
        {
            errors.push("must validate all the schemas (allof)");
        }
        if let Some(not) = schema.member(b"not")
            && self.matches(cx, &not, value, path, depth + 1)?
        {
            errors.push("must not validate the schema (not)");
        }
        if let Some(condition) = schema.member(b"if") {
            let met = self.matches(cx, &condition, value, path, depth + 1)?;
            let (key, text) = if met {
                ("then", "must validate \"then\" as \"if\" was valid")
            } else {
                ("else", "must validate \"else\" as \"if\" was not valid")
            };
            if let Some(branch) = schema.member(key.as_bytes())
                && !self.matches(cx, &branch, value, path, depth + 1)?
            {
                errors.push(text);
            }
        }
        for error in errors {
            self.error(path, error);
        }
        Ok(())
    }

    fn object(
        &mut self,
        cx: &mut Cx<'_>,
        schema: &Value,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        let Some(object) = value.to_object() else { return Ok(()) };
        let get = |key: &str| schema.member(key.as_bytes());
        let size = |key: &str| get(key).and_then(|size| size.as_number()).map(Num::to_f64);
        let count = object.len();
        if let Some(least) = size("minProperties")
            && !at_least(count, least)
        {
            self.error(path, format!("must have at least {least} properties"));
        }
        if let Some(most) = size("maxProperties")
            && !at_most(count, most)
        {
            self.error(path, format!("must have at most {most} properties"));
        }
        for name in get("required").and_then(|names| names.to_array()).iter().flat_map(|names| names.iter()) {
            let name = name.as_str().unwrap_or_default();
            if !object.contains_key(name.as_bytes()) {
                self.error(path, format!("{name} is required"));
            }
        }
        let properties = get("properties").and_then(|properties| properties.to_object()).unwrap_or_default();
        let patterns = get("patternProperties").and_then(|patterns| patterns.to_object()).unwrap_or_default();
        let additional = get("additionalProperties");
        let below = |key: &[u8]| {
            let key = crate::text::lossy(key);
            if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
        };
        for (key, member) in object.iter() {
            let mut known = false;
            if let Some(schema) = properties.get(&key) {
                known = true;
                self.value(cx, &schema, &member, &below(&key), depth + 1)?;
            }
            for (pattern, schema) in patterns.iter() {
                if self.schema.patterns.get(&*pattern).is_some_and(|regex| regex.is_match(&key)) {
                    known = true;
                    self.value(cx, &schema, &member, &below(&key), depth + 1)?;
                }
            }
            match &additional {
                Some(schema) if !known && schema.as_bool() == Some(false) => {
                    let key = crate::text::lossy(&key);
                    // The reference puts the property's name in front, in its own case.
                    self.error(
                        path,
                        format!("{key}additional property {} is not allowed", key.to_lowercase()),
                    );
                }
                Some(schema) if !known => self.value(cx, schema, &member, &below(&key), depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn array(
        &mut self,
        cx: &mut Cx<'_>,
        schema: &Value,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        let Some(items) = value.to_array() else { return Ok(()) };
        let get = |key: &str| schema.member(key.as_bytes());
        let size = |key: &str| get(key).and_then(|size| size.as_number()).map(Num::to_f64);
        if let Some(least) = size("minItems")
            && !at_least(items.len(), least)
        {
            self.error(path, format!("array must have at least {least} items"));
        }
        if let Some(most) = size("maxItems")
            && !at_most(items.len(), most)
        {
            self.error(path, format!("array must have at most {most} items"));
        }
        if get("uniqueItems").and_then(|unique| unique.as_bool()) == Some(true) {
            cx.spend((items.len() * items.len()) as u64 / 8)?;
            let twice = |at: &usize| {
                items.iter().take(*at).position(|item| items.get(*at).is_some_and(|other| same(item, other)))
            };
            if let Some((second, first)) = (0..items.len()).find_map(|at| Some((at, twice(&at)?))) {
                self.error(path, format!("array items[{first},{second}] must be unique"));
            }
        }
        if let Some(wanted) = get("contains") {
            let mut found = false;
            for item in items.iter() {
                found |= self.matches(cx, &wanted, item, path, depth + 1)?;
            }
            if !found {
                self.error(path, "at least one of the items must match");
            }
        }
        let below = |at: usize| if path.is_empty() { at.to_string() } else { format!("{path}.{at}") };
        let Some(schemas) = get("items") else { return Ok(()) };
        let tuple = schemas.to_array();
        for (at, item) in items.iter().enumerate() {
            let schema = match &tuple {
                None => Some(schemas.clone()),
                Some(tuple) => tuple.get(at).cloned().or_else(|| get("additionalItems")),
            };
            if let Some(schema) = schema {
                self.value(cx, &schema, item, &below(at), depth + 1)?;
            }
        }
        Ok(())
    }

    fn string(&mut self, schema: &Value, value: &Value, path: &str) {
        let text = value.as_str().unwrap_or_default();
        let length = text.chars().count();
        let size =
            |key: &str| schema.member(key.as_bytes()).and_then(|size| size.as_number()).map(Num::to_f64);
        if let Some(least) = size("minLength")
            && !at_least(length, least)
        {
            self.error(path, format!("string length must be greater than or equal to {least}"));
        }
        if let Some(most) = size("maxLength")
            && !at_most(length, most)
        {
            self.error(path, format!("string length must be less than or equal to {most}"));
        }
        if let Some(pattern) = schema.member(b"pattern")
            && let Some(pattern) = pattern.as_bytes()
            && !self.schema.patterns.get(&*pattern).is_some_and(|regex| regex.is_match(text.as_bytes()))
        {
            self.error(
                path,
                format!("does not match pattern '{}'", crate::text::lossy(&pattern)).to_lowercase(),
            );
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(number) = value.as_number().map(Num::to_f64) else { return };
        let bound = |key: &str| {
            schema
                .member(key.as_bytes())
                .and_then(|bound| Some((bound.as_number()?.to_f64(), bound.to_json())))
        };
        let flag = |key: &str| schema.member(key.as_bytes()).and_then(|flag| flag.as_bool()) == Some(true);
        if let Some((step, shown)) = bound("multipleOf")
            && step != 0.0
            && (number / step).fract() != 0.0
        {
            self.error(path, format!("must be a multiple of {shown}"));
        }
        if let Some((least, shown)) = bound("minimum") {
            if flag("exclusiveMinimum") {
                if number <= least {
                    self.error(path, format!("must be greater than {shown}"));
                }
            } else if number < least {
                self.error(path, format!("must be greater than or equal to {shown}"));
            }
        }
        if let Some((most, shown)) = bound("maximum") {
            if flag("exclusiveMaximum") {
                if number >= most {
                    self.error(path, format!("must be less than {shown}"));
                }
            } else if number > most {
                self.error(path, format!("must be less than or equal to {shown}"));
            }
        }
        if let Some((least, shown)) = bound("exclusiveMinimum")
            && number <= least
        {
            self.error(path, format!("must be greater than {shown}"));
        }
        if let Some((most, shown)) = bound("exclusiveMaximum")
            && number >= most
        {
            self.error(path, format!("must be less than {shown}"));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nothing is that long")]
fn at_least(count: usize, least: f64) -> bool {
    count as f64 >= least
}

#[expect(clippy::cast_precision_loss, reason = "nothing is that long")]
fn at_most(count: usize, most: f64) -> bool {
    count as f64 <= most
}

/// Equality of JSON: types must agree.
fn same(left: &Value, right: &Value) -> bool {
    let kind = |value: &Value| match value.kind() {
        Kind::Bytes => Kind::String,
        other => other,
    };
    kind(left) == kind(right) && left.equals(right)
}
