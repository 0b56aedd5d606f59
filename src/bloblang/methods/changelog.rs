//! What differs between two values, and the way from one to the other.

use super::target::array;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Param, Spec};
use crate::stack::deep;
use crate::text::Text;
use crate::value::{Kind, Segment, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin(
        "diff",
        "Lists what differs in another value, as changes with Type, Path, From and To.",
        &[Param::any("other", "The value to compare with.")],
        diff,
    ),
    Spec::plugin(
        "patch",
        "Applies a list of changes, as `diff` makes them.",
        &[Param::any("changelog", "The changes.")],
        patch,
    ),
];

/// Deepest nesting that is compared.
const MAX_DEPTH: usize = 1000;

struct Differ {
    path: Vec<Text>,
    changes: Vec<(Vec<Text>, &'static str, Value, Value)>,
}

fn diff(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let mut differ = Differ { path: Vec::new(), changes: Vec::new() };
    let other = args.value(0).cloned().unwrap_or_default();
    cx.walk(&target)?;
    cx.walk(&other)?;
    differ.compare(cx, &target, &other)?;
    differ.changes.sort_by(|left, right| left.0.cmp(&right.0));
    let shown = |(path, kind, from, to): (Vec<Text>, &'static str, Value, Value)| {
        let mut change = Object::with_capacity(4);
        change.insert("From", from);
        change.insert("Path", path.into_iter().map(Value::String).collect::<Value>());
        change.insert("To", to);
        change.insert("Type", kind.into());
        Value::object(change)
    };
    Ok(differ.changes.into_iter().map(shown).collect())
}

/// Types that are told apart: a number that is still text counts as a string.
fn kind(value: &Value) -> &'static str {
    if value.number_text().is_some() { "string" } else { crate::eval::go_type(value) }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.number_text(), right.number_text()) {
        (Some(left), Some(right)) => left == right,
        (Some(text), None) => right.as_bytes().is_some_and(|bytes| *bytes == *text.as_bytes()),
        (None, Some(text)) => left.as_bytes().is_some_and(|bytes| *bytes == *text.as_bytes()),
        (None, None) => left.is_null() && right.is_null() || left.equals(right),
    }
}

impl Differ {
    fn add(&mut self, kind: &'static str, from: Value, to: Value) {
        self.changes.push((self.path.clone(), kind, from, to));
    }

    fn compare(&mut self, cx: &mut Cx<'_>, left: &Value, right: &Value) -> Result<(), Fault> {
        cx.spend(4)?;
        if self.path.len() > MAX_DEPTH {
            return Err(Fault::new(format!("values nested deeper than {MAX_DEPTH} cannot be compared")));
        }
        if left.is_null() || right.is_null() {
            if left.is_null() != right.is_null() {
                self.add("update", left.clone(), right.clone());
            }
            return Ok(());
        }
        if kind(left) != kind(right) {
            return Err(Fault::new("types do not match"));
        }
        match (left.to_object(), right.to_object(), left.to_array(), right.to_array()) {
            (Some(left), Some(right), ..) => {
                let added = right.keys().filter(|key| !left.contains_key(key)).collect::<Vec<_>>();
                for (key, member) in left.iter() {
                    self.at(cx, Text::new(&key), Some(member), right.get(&key))?;
                }
                for key in added {
                    self.at(cx, Text::new(&key), None, right.get(&key))?;
                }
            }
            (_, _, Some(left), Some(right)) => {
                // Items count by what they are, not by where: only those the other side lacks are compared by place.
                cx.spend((left.len() as u64).saturating_mul(right.len() as u64))?;
                let (lost, new) = (missing(&left, &right), missing(&right, &left));
                for at in 0..left.len().max(right.len()) {
                    let item = |items: &[Value], missing: &[bool]| {
                        items.get(at).filter(|_| missing.get(at) == Some(&true)).cloned()
                    };
                    let (left, right) = (item(&left, &lost), item(&right, &new));
                    if left.is_some() || right.is_some() {
                        self.at(cx, at.to_string().into(), left, right)?;
                    }
                }
            }
            _ if same(left, right) => {}
            _ => self.add("update", left.clone(), right.clone()),
        }
        Ok(())
    }

    fn at(
        &mut self,
        cx: &mut Cx<'_>,
        segment: Text,
        left: Option<Value>,
        right: Option<Value>,
    ) -> Result<(), Fault> {
        self.path.push(segment);
        let result = match (left, right) {
            (Some(left), Some(right)) => deep(|| self.compare(cx, &left, &right)),
            (Some(left), None) => {
                self.add("delete", left, Value::Null);
                Ok(())
            }
            (None, Some(right)) => {
                self.add("create", Value::Null, right);
                Ok(())
            }
            (None, None) => Ok(()),
        };
        self.path.pop();
        result
    }
}

/// Which items have no partner on the other side.
fn missing(items: &[Value], others: &[Value]) -> Vec<bool> {
    let mut used = vec![false; others.len()];
    let mut lacks = |item: &Value| {
        let free = |(at, other): (usize, &Value)| {
            used.get(at) == Some(&false) && kind(item) == kind(other) && same(item, other)
        };
        match others.iter().enumerate().position(free).and_then(|at| used.get_mut(at)) {
            Some(partner) => {
                *partner = true;
                false
            }
            None => true,
        }
    };
    items.iter().map(&mut lacks).collect()
}

fn patch(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let changes = array(args.value(0).unwrap_or(&Value::Null))?;
    let mut result = target;
    // Later items of an array go first, so that the places of those before still hold.
    for change in changes.iter().rev() {
        cx.spend(8)?;
        let field = |name: &str| change.member(name.as_bytes()).unwrap_or_default();
        let path = field("Path").to_array().ok_or_else(|| Fault::new("a change needs a Path"))?;
        let path: Vec<Segment> = path.iter().map(|segment| Segment::new(segment.to_text())).collect();
        match field("Type").as_str().as_deref() {
            Some("delete") => result.delete_path(&path),
            Some("create" | "update") if path.is_empty() => result = field("To"),
            Some("create" | "update") => set(&mut result, &path, field("To"))?,
            _ => return Err(Fault::new("a change needs a Type: create, update or delete")),
        }
    }
    Ok(result)
}

fn set(root: &mut Value, path: &[Segment], value: Value) -> Result<(), Fault> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let append = root.get_path(parents).is_some_and(|parent| {
        parent.kind() == Kind::Array
            && last
                .text()
                .as_str()
                .parse::<usize>()
                .is_ok_and(|at| parent.count().is_some_and(|len| at >= len))
    });
    if !append {
        return root.set_path(path, value).map_err(|error| Fault::new(error.to_string()));
    }
    let mut path = parents.to_vec();
    path.push(Segment::new("-"));
    root.set_path(&path, value).map_err(|error| Fault::new(error.to_string()))
}
