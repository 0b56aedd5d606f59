//! A value held against a schema, in the reference's order.

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::{Schema, format};
use crate::error::Fault;
use crate::eval::Cx;
use crate::number::Num;
use crate::stack::deep;
use crate::text::lossy;
use crate::value::{Kind, Value};

/// How deep schemas may refer to one another.
const MAX_DEPTH: usize = 200;
/// Most errors that are told.
const MAX_ERRORS: usize = 100;

impl Schema {
    /// As [`errors`](Self::errors), with the work counted.
    pub(crate) fn check(&self, cx: &mut Cx<'_>, value: &Value) -> Result<Vec<String>, Fault> {
        let mut check = Check { schema: self, errors: Vec::new(), score: 0 };
        check.value(cx, At { schema: &self.root, value, path: "", depth: 0 })?;
        Ok(check.errors)
    }
}

/// A value, where it is, and the schema that it is held against.
#[derive(Clone, Copy)]
struct At<'a> {
    schema: &'a Value,
    value: &'a Value,
    path: &'a str,
    /// How many schemas led here.
    depth: usize,
}

impl<'a> At<'a> {
    /// The same value under another schema.
    fn under(self, schema: &'a Value) -> Self {
        Self { schema, depth: self.depth + 1, ..self }
    }

    /// Another value, at `path`, under another schema.
    fn member(self, schema: &'a Value, value: &'a Value, path: &'a str) -> Self {
        Self { schema, value, path, depth: self.depth + 1 }
    }
}

/// What did not match, and how near it was: of alternatives, the errors of the nearest are told.
struct Check<'a> {
    schema: &'a Schema,
    errors: Vec<String>,
    score: i64,
}

/// The type a schema gives a value.
fn type_of(value: &Value) -> &'static str {
    match value.kind() {
        Kind::Bool => "boolean",
        Kind::Number if is_whole(value) => "integer",
        Kind::Bytes | Kind::Timestamp => "string",
        Kind::Delete | Kind::Nothing => "null",
        other => other.name(),
    }
}

fn is_whole(value: &Value) -> bool {
    match (Decimal::of(value), value.as_number()) {
        (Some(number), _) => number.is_whole(),
        (None, Some(Num::Float(number))) => number.fract() == 0.0,
        (None, other) => other.is_some(),
    }
}

fn get(schema: &Value, keyword: &str) -> Option<Value> {
    schema.member(keyword.as_bytes())
}

/// A keyword that bounds a count, if the count is beyond it.
fn beyond(schema: &Value, keyword: &str, count: usize, beyond: Ordering) -> Option<i64> {
    let bound = get(schema, keyword)?.as_number()?.to_i64();
    (i64::try_from(count).unwrap_or(i64::MAX).cmp(&bound) == beyond).then_some(bound)
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A text in lower case, after the property that it is about in its own case: as in the reference, in place of a beginning
/// that reads like it.
fn about(property: &str, text: &str) -> String {
    let text = text.to_lowercase();
    format!("{property}{}", text.strip_prefix(&property.to_lowercase()).unwrap_or(&text))
}

/// Equality of JSON: types must agree.
fn same(left: &Value, right: &Value) -> bool {
    let kind = |value: &Value| match value.kind() {
        Kind::Bytes => Kind::String,
        other => other,
    };
    kind(left) == kind(right) && left.equals(right)
}

impl Check<'_> {
    fn error(&mut self, path: &str, text: impl std::fmt::Display) {
        self.score -= 2;
        if self.errors.len() < MAX_ERRORS {
            let path = if path.is_empty() { "(root)" } else { path };
            self.errors.push(format!("{path} {text}"));
        }
    }

    /// What would be said of a value under another schema.
    fn apart(&self, cx: &mut Cx<'_>, at: At<'_>) -> Result<Self, Fault> {
        let mut apart = Check { schema: self.schema, errors: Vec::new(), score: 0 };
        apart.value(cx, at)?;
        Ok(apart)
    }

    fn merge(&mut self, other: Self) {
        self.score += other.score;
        let left = MAX_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.into_iter().take(left));
    }

    fn is_met(&self) -> bool {
        self.errors.is_empty()
    }

    fn value(&mut self, cx: &mut Cx<'_>, at: At<'_>) -> Result<(), Fault> {
        let At { schema, value, path, depth } = at;
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
        if let Some(reference) = get(schema, "$ref") {
            let reference = reference.as_str().unwrap_or_default().into_owned();
            let target = self.schema.resolve(&reference);
            let target = target.ok_or_else(|| Fault::new(format!("Object has no key '{reference}'")))?;
            return deep(|| self.value(cx, at.under(&target)));
        }
        if let Some(expected) = get(schema, "type") {
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
        deep(|| self.combined(cx, at))?;
        self.score += 1;
        match value.kind() {
            Kind::Object => deep(|| self.object(cx, at))?,
            Kind::Array => deep(|| self.array(cx, at))?,
            Kind::Number => self.number(schema, value, path),
            _ => {}
        }
        self.common(schema, value, path);
        match value.kind() {
            Kind::Object => deep(|| self.properties(cx, at))?,
            Kind::String | Kind::Bytes => self.string(schema, value, path),
            _ => {}
        }
        self.score += 1;
        Ok(())
    }

    /// Schemas that the whole value is held against.
    fn combined(&mut self, cx: &mut Cx<'_>, at: At<'_>) -> Result<(), Fault> {
        let At { schema, path, .. } = at;
        let list =
            |keyword| get(schema, keyword).and_then(|list| list.to_array()).filter(|list| !list.is_empty());
        for (keyword, text) in [
            ("anyOf", "must validate at least one schema (anyof)"),
            ("oneOf", "must validate one and only one schema (oneof)"),
        ] {
            let Some(schemas) = list(keyword) else { continue };
            let (mut met, mut best) = (0, None::<Check<'_>>);
            for schema in schemas.iter() {
                let apart = self.apart(cx, at.under(schema))?;
                if apart.is_met() {
                    met += 1;
                    if keyword == "anyOf" {
                        break;
                    }
                } else if best.as_ref().is_none_or(|best| apart.score > best.score) {
                    best = Some(apart);
                }
            }
            if met == 0 {
                self.error(path, text);
                if let Some(best) = best {
                    self.merge(best);
                }
            } else if met > 1 {
                self.error(path, text);
            }
        }
        if let Some(schemas) = list("allOf") {
            let mut all = true;
            for schema in schemas.iter() {
                let apart = self.apart(cx, at.under(schema))?;
                all &= apart.is_met();
                self.merge(apart);
            }
            if !all {
                self.error(path, "must validate all the schemas (allof)");
            }
        }
        if let Some(not) = get(schema, "not")
            && self.apart(cx, at.under(&not))?.is_met()
        {
            self.error(path, "must not validate the schema (not)");
        }
        self.dependencies(cx, at)?;
        if let Some(condition) = get(schema, "if") {
            let (branch, text) = if self.apart(cx, at.under(&condition))?.is_met() {
                ("then", "must validate \"then\" as \"if\" was valid")
            } else {
                ("else", "must validate \"else\" as \"if\" was not valid")
            };
            if let Some(branch) = get(schema, branch) {
                let apart = self.apart(cx, at.under(&branch))?;
                if !apart.is_met() {
                    self.error(path, text);
                    self.merge(apart);
                }
            }
        }
        Ok(())
    }

    fn dependencies(&mut self, cx: &mut Cx<'_>, at: At<'_>) -> Result<(), Fault> {
        let At { schema, value, path, .. } = at;
        let dependencies = get(schema, "dependencies").and_then(|all| all.to_object());
        let (Some(dependencies), Some(object)) = (dependencies, value.to_object()) else { return Ok(()) };
        for (_, wanted) in dependencies.iter().filter(|(key, _)| object.contains_key(key)) {
            let Some(names) = wanted.to_array() else {
                self.value(cx, at.under(&wanted))?;
                continue;
            };
            for name in
                names.iter().filter_map(Value::as_str).filter(|name| !object.contains_key(name.as_bytes()))
            {
                self.error(path, format!("has a dependency on {}", name.to_lowercase()));
            }
        }
        Ok(())
    }

    fn common(&mut self, schema: &Value, value: &Value, path: &str) {
        let field = if path.is_empty() { "(root)" } else { path };
        if let Some(wanted) = get(schema, "const")
            && !same(&wanted, value)
        {
            self.error(path, format!("{field} does not match: {}", wanted.to_json()).to_lowercase());
        }
        if let Some(allowed) = get(schema, "enum").and_then(|allowed| allowed.to_array())
            && !allowed.iter().any(|allowed| same(allowed, value))
        {
            let shown: Vec<String> = allowed.iter().map(Value::to_json).collect();
            let text = format!("{field} must be one of the following: {}", shown.join(", "));
            self.error(path, text.to_lowercase());
        }
        self.score += 1;
    }

    fn object(&mut self, cx: &mut Cx<'_>, at: At<'_>) -> Result<(), Fault> {
        let At { schema, value, path, .. } = at;
        let Some(object) = value.to_object() else { return Ok(()) };
        if let Some(least) = beyond(schema, "minProperties", object.len(), Ordering::Less) {
            self.error(path, format!("must have at least {least} properties"));
        }
        if let Some(most) = beyond(schema, "maxProperties", object.len(), Ordering::Greater) {
            self.error(path, format!("must have at most {most} properties"));
        }
        for name in
            get(schema, "required").and_then(|names| names.to_array()).iter().flat_map(|names| names.iter())
        {
            let name = name.as_str().unwrap_or_default();
            if object.contains_key(name.as_bytes()) {
                self.score += 1;
            } else {
                self.error(path, about(&name, &format!("{name} is required")));
            }
        }
        let named = |keyword| get(schema, keyword).and_then(|named| named.to_object()).unwrap_or_default();
        let (properties, patterns) = (named("properties"), named("patternProperties"));
        let additional = get(schema, "additionalProperties");
        for (key, member) in object.iter() {
            let mut known = properties.contains_key(&key);
            let path_of_member = below(path, &lossy(&key));
            for (pattern, schema) in patterns.iter() {
                if self.schema.matches(&pattern, &key) {
                    known = true;
                    self.value(cx, at.member(&schema, &member, &path_of_member))?;
                    self.score += 1;
                }
            }
            match &additional {
                Some(schema) if !known && schema.as_bool() == Some(false) => {
                    let key = lossy(&key);
                    self.error(path, about(&key, &format!("additional property {key} is not allowed")));
                }
                Some(schema) if !known => self.value(cx, at.member(schema, &member, &path_of_member))?,
                _ => {}
            }
        }
        if let Some(names) = get(schema, "propertyNames") {
            for key in object.keys() {
                let key = lossy(&key);
                let apart = self.apart(cx, at.member(&names, &Value::from(&*key), path))?;
                if !apart.is_met() {
                    self.error(path, about(&key, &format!("property name of \"{key}\" does not match")));
                    self.merge(apart);
                }
            }
        }
        self.score += 1;
        Ok(())
    }

    fn properties(&mut self, cx: &mut Cx<'_>, at: At<'_>) -> Result<(), Fault> {
        let At { schema, value, path, .. } = at;
        let properties = get(schema, "properties").and_then(|properties| properties.to_object());
        for (key, schema) in properties.iter().flat_map(|properties| properties.iter()) {
            if let Some(member) = value.member(&key) {
                self.value(cx, at.member(&schema, &member, &below(path, &lossy(&key))))?;
            }
        }
        Ok(())
    }

    fn array(&mut self, cx: &mut Cx<'_>, at: At<'_>) -> Result<(), Fault> {
        let At { schema, value, path, .. } = at;
        let Some(items) = value.to_array() else { return Ok(()) };
        let place = |index: usize| below(path, &index.to_string());
        let schemas = get(schema, "items");
        let tuple = schemas.as_ref().and_then(Value::to_array);
        let additional = get(schema, "additionalItems").filter(|_| tuple.is_some());
        for (index, item) in items.iter().enumerate() {
            let schema = match &tuple {
                None => schemas.as_ref(),
                Some(tuple) => {
                    tuple.get(index).or(additional.as_ref().filter(|schema| schema.as_bool().is_none()))
                }
            };
            if let Some(schema) = schema {
                self.value(cx, at.member(schema, item, &place(index)))?;
            }
        }
        if tuple.is_some_and(|tuple| tuple.len() < items.len())
            && additional.is_some_and(|schema| schema.as_bool() == Some(false))
        {
            self.error(path, "no additional items allowed on array");
        }
        if let Some(least) = beyond(schema, "minItems", items.len(), Ordering::Less) {
            self.error(path, format!("array must have at least {least} items"));
        }
        if let Some(most) = beyond(schema, "maxItems", items.len(), Ordering::Greater) {
            self.error(path, format!("array must have at most {most} items"));
        }
        if get(schema, "uniqueItems").and_then(|unique| unique.as_bool()) == Some(true) {
            cx.spend((items.len() * items.len()) as u64 / 8)?;
            for (second, item) in items.iter().enumerate() {
                if let Some(first) = items.iter().take(second).rposition(|other| same(other, item)) {
                    self.error(path, format!("array items[{first},{second}] must be unique"));
                }
            }
        }
        if let Some(wanted) = get(schema, "contains") {
            let mut best = None::<Check<'_>>;
            for (index, item) in items.iter().enumerate() {
                let apart = self.apart(cx, at.member(&wanted, item, &place(index)))?;
                if apart.is_met() {
                    self.score += 1;
                    return Ok(());
                }
                if best.as_ref().is_none_or(|best| apart.score > best.score) {
                    best = Some(apart);
                }
            }
            self.error(path, "at least one of the items must match");
            if let Some(best) = best {
                self.merge(best);
            }
        }
        self.score += 1;
        Ok(())
    }

    fn string(&mut self, schema: &Value, value: &Value, path: &str) {
        let text = value.as_str().unwrap_or_default();
        let length = text.chars().count();
        if let Some(least) = beyond(schema, "minLength", length, Ordering::Less) {
            self.error(path, format!("string length must be greater than or equal to {least}"));
        }
        if let Some(most) = beyond(schema, "maxLength", length, Ordering::Greater) {
            self.error(path, format!("string length must be less than or equal to {most}"));
        }
        if let Some(pattern) = get(schema, "pattern").as_ref().and_then(Value::as_bytes)
            && !self.schema.matches(&pattern, text.as_bytes())
        {
            self.error(path, format!("does not match pattern '{}'", lossy(&pattern)).to_lowercase());
        }
        self.format(schema, &text, path);
        self.score += 1;
    }

    fn format(&mut self, schema: &Value, text: &str, path: &str) {
        if let Some(format) = get(schema, "format").as_ref().and_then(Value::as_str)
            && format::has(&format, text) == Some(false)
        {
            self.error(path, format!("does not match format '{format}'").to_lowercase());
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(float) = value.as_number().map(Num::to_f64) else { return };
        let exact = Decimal::of(value);
        let flag = |keyword| get(schema, keyword).and_then(|flag| flag.as_bool()) == Some(true);
        let bound = |keyword: &str| {
            let bound = get(schema, keyword)?;
            let (near, number) = (bound.as_number()?.to_f64(), Decimal::of(&bound));
            let shown = number.as_ref().map_or_else(|| bound.to_json(), Decimal::shown);
            Some((number, near, shown))
        };
        if let Some((step, near, shown)) = bound("multipleOf") {
            let exact =
                exact.as_ref().zip(step.as_ref()).and_then(|(number, step)| number.is_multiple_of(step));
            if !exact.unwrap_or_else(|| (float / near).fract() == 0.0) {
                self.error(path, format!("must be a multiple of {shown}"));
            }
        }
        let (below, above) = (flag("exclusiveMaximum"), flag("exclusiveMinimum"));
        for (keyword, wanted, or_equal, text) in [
            ("maximum", Ordering::Less, !below, "less than"),
            ("exclusiveMaximum", Ordering::Less, false, "less than"),
            ("minimum", Ordering::Greater, !above, "greater than"),
            ("exclusiveMinimum", Ordering::Greater, false, "greater than"),
        ] {
            let Some((limit, near, shown)) = bound(keyword) else { continue };
            let exact = exact.as_ref().zip(limit.as_ref()).and_then(|(number, limit)| number.compare(limit));
            let order = exact.unwrap_or_else(|| float.total_cmp(&near));
            if order != wanted && !(or_equal && order == Ordering::Equal) {
                let or_equal = if or_equal { " or equal to" } else { "" };
                self.error(path, format!("must be {text}{or_equal} {shown}"));
            }
        }
        // The reference's formats are those of texts, which no number has.
        if let Some(format) = get(schema, "format").as_ref().and_then(Value::as_str)
            && format::has(&format, "").is_some()
        {
            self.error(path, format!("does not match format '{format}'").to_lowercase());
        }
        self.score += 1;
    }
}
