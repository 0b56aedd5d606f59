//! `JSONPath`.

use std::sync::Arc;

use super::json_path_filter::{Filter, parse_filter};
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, Prepared, Spec};
use crate::stack::deep;
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[Spec::plugin(
    "json_path",
    "What a JSONPath leads to.",
    &[Param::string("expression", "The path, such as `$.a[*].b`.")],
    json_path,
)
.prepared(compile)];

/// One step of a path.
#[derive(Debug)]
pub(super) enum Step {
    Key(Text),
    Index(i64),
    /// Several keys or indices.
    Union(Vec<Step>),
    Slice(Option<i64>, Option<i64>, i64),
    All,
    Filter(Filter),
    /// The step at this value and at all within it.
    Below(Box<Step>),
}

/// A compiled path.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
}

/// Most steps of a path, and deepest nesting of its filters.
pub(super) const MAX_DEPTH: usize = 100;

fn compile(args: &Args<'_>) -> Result<Prepared, Fault> {
    let text = args.str(0);
    let mut parser = Parser { rest: text.trim_start(), depth: 0 };
    let filter = parse_filter(&mut parser)
        .and_then(|filter| if parser.rest.trim().is_empty() { Ok(filter) } else { Err(parser.unexpected()) });
    match filter {
        Ok(filter) => Ok(Arc::new(filter)),
        Err(error) => Err(Fault::new(format!("invalid JSONPath {}: {error}", crate::compat::quote(&text)))),
    }
}

fn json_path(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let Some(filter) = args.prepared::<Filter>() else {
        return Err(Fault::new("the path was not compiled"));
    };
    cx.walk(&target)?;
    filter.value(cx, &target, &target)
}

/// Reads paths and the expressions in their filters.
pub(super) struct Parser<'a> {
    pub(super) rest: &'a str,
    pub(super) depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            Some(char) => format!("unexpected {}", crate::compat::quote(&char.to_string())),
            None => "unexpected end".to_owned(),
        }
    }

    pub(super) fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn skip(&mut self, mark: &str) -> bool {
        self.rest.strip_prefix(mark).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    pub(super) fn expect(&mut self, mark: &str) -> Result<(), String> {
        self.blanks();
        if self.skip(mark) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// As many characters as fit.
    pub(super) fn run(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|char| !fits(char)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        run
    }

    /// A string in quotes of either kind.
    pub(super) fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(quote) = self.rest.chars().next().filter(|char| matches!(char, '"' | '\'')) else {
            return Ok(None);
        };
        let mut out = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        while let Some(char) = chars.next() {
            match char {
                '\\' => out.push(match chars.next().ok_or("unexpected end")? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                }),
                char if char == quote => {
                    self.rest = chars.as_str();
                    return Ok(Some(out));
                }
                char => out.push(char),
            }
        }
        Err("unexpected end".to_owned())
    }

    fn integer(&mut self) -> Result<Option<i64>, String> {
        self.blanks();
        let digits = self.run(|char| char.is_ascii_digit() || char == '-');
        self.blanks();
        if digits.is_empty() {
            Ok(None)
        } else {
            digits.parse().map(Some).map_err(|_| format!("bad index {digits}"))
        }
    }

    /// The steps after `$` or `@`.
    pub(super) fn steps(&mut self) -> Result<Path, String> {
        let mut steps = Vec::new();
        loop {
            if steps.len() > MAX_DEPTH {
                return Err("the path is too long".to_owned());
            }
            if self.skip("..") {
                let step = if self.rest.starts_with('[') { self.bracket()? } else { self.name()? };
                steps.push(Step::Below(Box::new(step)));
            } else if self.skip(".") {
                steps.push(if self.rest.starts_with('[') { self.bracket()? } else { self.name()? });
            } else if self.rest.starts_with('[') {
                steps.push(self.bracket()?);
            } else {
                return Ok(Path { steps });
            }
        }
    }

    fn name(&mut self) -> Result<Step, String> {
        if self.skip("*") {
            return Ok(Step::All);
        }
        if let Some(name) = self.quoted()? {
            return Ok(Step::Key(name.into()));
        }
        let name = self.run(|char| char.is_alphanumeric() || matches!(char, '_' | '-'));
        if name.is_empty() { Err(self.unexpected()) } else { Ok(Step::Key(name.into())) }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        self.expect("[")?;
        self.blanks();
        if self.skip("?") {
            self.expect("(")?;
            let filter = parse_filter(self)?;
            self.expect(")")?;
            self.expect("]")?;
            return Ok(Step::Filter(filter));
        }
        if self.skip("*") {
            self.expect("]")?;
            return Ok(Step::All);
        }
        let mut all = Vec::new();
        loop {
            self.blanks();
            let step = match self.quoted()? {
                Some(key) => Step::Key(key.into()),
                None => self.index_or_slice()?,
            };
            all.push(step);
            self.blanks();
            if !self.skip(",") {
                break;
            }
            if all.len() > MAX_DEPTH {
                return Err("the union is too long".to_owned());
            }
        }
        self.expect("]")?;
        match all.pop() {
            Some(only) if all.is_empty() => Ok(only),
            Some(last) => {
                all.push(last);
                Ok(Step::Union(all))
            }
            None => Err(self.unexpected()),
        }
    }

    fn index_or_slice(&mut self) -> Result<Step, String> {
        let first = self.integer()?;
        if !self.skip(":") {
            return first.map(Step::Index).ok_or_else(|| self.unexpected());
        }
        let second = self.integer()?;
        let step = if self.skip(":") { self.integer()?.unwrap_or(1) } else { 1 };
        if step == 0 { Err("a slice needs a step".to_owned()) } else { Ok(Step::Slice(first, second, step)) }
    }
}

/// Position in a list; negative ones count from its end.
fn position(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if index < 0 { index + len } else { index }).ok()
}

fn children(value: &Value) -> Vec<Value> {
    match (value.to_object(), value.to_array()) {
        (Some(object), _) => object.values().collect(),
        (None, Some(items)) => items.to_vec(),
        (None, None) => Vec::new(),
    }
}

impl Path {
    /// What the path leads to: one value, or an array of all where it may lead to several.
    pub(super) fn value(&self, cx: &mut Cx<'_>, start: &Value, root: &Value) -> Result<Value, Fault> {
        let single = self.steps.iter().all(|step| matches!(step, Step::Key(_) | Step::Index(_)));
        let mut found = vec![start.clone()];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in &found {
                step.apply(cx, value, root, &mut next)?;
            }
            if single && next.is_empty() {
                return Err(Fault::new(match step {
                    Step::Key(key) => format!("unknown key {key}"),
                    Step::Index(index) => format!("index {index} is out of bounds"),
                    _ => "nothing was found".to_owned(),
                }));
            }
            found = next;
        }
        match found.pop() {
            Some(only) if single => Ok(only),
            last => {
                found.extend(last);
                Ok(found.into())
            }
        }
    }
}

impl Step {
    fn apply(&self, cx: &mut Cx<'_>, value: &Value, root: &Value, out: &mut Vec<Value>) -> Result<(), Fault> {
        cx.spend(1 + value.count().unwrap_or(0) as u64)?;
        match self {
            Self::Key(key) => {
                let member = value.to_object().and_then(|object| object.get(key.as_bytes()));
                // Keys of digits lead into arrays too.
                let item = || value.to_array()?.get(key.as_str().parse::<usize>().ok()?).cloned();
                out.extend(member.or_else(item));
            }
            Self::Index(index) => {
                out.extend(
                    value.to_array().and_then(|items| items.get(position(*index, items.len())?).cloned()),
                );
            }
            Self::Union(steps) => {
                for step in steps {
                    step.apply(cx, value, root, out)?;
                }
            }
            Self::Slice(from, to, step) => {
                let items = value.to_array().unwrap_or_default();
                out.extend(slice(&items, *from, *to, *step));
            }
            Self::All => out.extend(children(value)),
            Self::Filter(filter) => {
                for child in children(value) {
                    // A condition that fails does not hold.
                    if filter.value(cx, &child, root).is_ok_and(|met| super::json_path_filter::holds(&met)) {
                        out.push(child);
                    }
                }
            }
            Self::Below(step) => {
                step.apply(cx, value, root, out)?;
                for child in children(value) {
                    deep(|| self.apply(cx, &child, root, out))?;
                }
            }
        }
        Ok(())
    }
}

fn slice(items: &[Value], from: Option<i64>, to: Option<i64>, step: i64) -> Vec<Value> {
    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let bound = |index: i64| (if index < 0 { index.saturating_add(len) } else { index }).clamp(0, len);
    let pick = |at: i64| usize::try_from(at).ok().and_then(|at| items.get(at)).cloned();
    if step > 0 {
        let (from, to) = (from.map_or(0, bound), to.map_or(len, bound));
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        return (from..to).step_by(step).filter_map(pick).collect();
    }
    let from = from.map_or(len - 1, |index| bound(index).min(len - 1));
    let to = to.map_or(-1, bound);
    let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    (to + 1..=from).rev().step_by(step).filter_map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str) -> Result<String, String> {
        let document =
            r#"{"a":[{"n":1,"t":"x"},{"n":2,"t":"yy"},{"n":3}],"b":{"n":4,"deep":{"n":5}},"k-1":true}"#;
        let value = Value::parse_json(document.as_bytes().to_vec()).unwrap();
        let mut parser = Parser { rest: path, depth: 0 };
        let filter = parse_filter(&mut parser)?;
        if !parser.rest.is_empty() {
            return Err(parser.unexpected());
        }
        filter
            .value(&mut Cx::detached(), &value, &value)
            .map(|value| value.to_json())
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn paths() {
        for (path, want) in [
            ("$.a[0].n", "1"),
            ("$['k-1']", "true"),
            ("$.a[-1].n", "3"),
            ("$.a[*].n", "[1,2,3]"),
            ("$.a[0,2].n", "[1,3]"),
            ("$.a[1:].n", "[2,3]"),
            ("$.a[::-1].n", "[3,2,1]"),
            ("$..n", "[1,2,3,4,5]"),
            ("$.a[?(@.n > 1 && @.t)].n", "[2]"),
            ("$.a[?(@.n == $.a[0].n || @.n + 1 == 4)].n", "[1,3]"),
            ("$.a[?(@.t =~ '^y+$')].n", "[2]"),
            ("$.b[?(@ == 4)]", "[4]"),
            ("$.zz[*]", "[]"),
            ("$.a[1].n * 10 - 1", "19"),
        ] {
            assert_eq!(run(path).as_deref(), Ok(want), "{path}");
        }
        assert_eq!(run("$.zz").unwrap_err(), "unknown key zz");
        for bad in ["", "$.", "$[", "$[?(", "$.a[::0]", "$.a[?(@.t =~ '(')]", &"(".repeat(1000)] {
            assert!(run(bad).is_err(), "{bad}");
        }
    }
}
