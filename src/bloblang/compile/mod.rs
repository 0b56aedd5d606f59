//! The compiled form of a mapping: a flat tree of plain nodes with everything resolved that can be.

mod arguments;
mod build;

use std::sync::{Arc, OnceLock};

use crate::error::Source;
use crate::spec::{Arg, Prepared, Query, Spec};
use crate::text::Text;
use crate::value::{Segment, Value, dot_path};
pub(crate) use arguments::{Argument, coerce};
pub(crate) use build::{arithmetic, array, field, function, get, map, method, object};

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    /// A value that stands in the source, called by its type in errors.
    Literal(Value),
    /// A value found when the mapping was built, and what it is called.
    Folded(Box<(Value, Source)>),
    /// A path from a context.
    Field(Box<Field>),
    /// A path from the result of an expression.
    Get(Box<(Expr, Box<[Segment]>)>),
    /// A variable: slot and name.
    Variable(u32, Box<str>),
    /// A key of the new metadata, or all of it.
    Metadata(Option<Box<str>>),
    /// An array of what its items yield.
    Array(Box<[Expr]>),
    /// An object of what its members yield.
    Object(Box<[(Key, Expr)]>),
    /// The negation of a boolean.
    Not(Box<Expr>),
    /// Two operands.
    Binary(Box<Binary>),
    /// The first branch whose condition holds, or else the other.
    If(Box<(Box<[Branch]>, Option<Expr>)>),
    /// The first case that a target meets; without one it is `this`.
    Match(Box<(Option<Expr>, Box<[Case]>)>),
    /// A query that captures its context under a name.
    Lambda(Box<Lambda>),
    /// A query with the result of another as its context.
    Map(Box<(Expr, Expr)>),
    /// A function or method.
    Call(Box<Call>),
}

/// Where a path begins.
#[derive(Debug)]
pub(crate) enum Base {
    /// The context.
    This,
    /// What is being built.
    Root,
    /// A context a lambda captured: how many lie above it, and its name.
    Named(usize, Box<str>),
}

/// A path from a context.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) base: Base,
    pub(crate) path: Box<[Segment]>,
    source: OnceLock<Source>,
}

/// The key of a member of an object literal.
#[derive(Debug)]
pub(crate) enum Key {
    /// It stands there.
    Literal(Text),
    /// It is found out.
    Query(Expr),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Divide,
    Multiply,
    Modulo,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    And,
    Or,
    Coalesce,
}

/// Two operands and what is between them.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) operator: Operator,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
}

/// A condition and what it leads to.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) condition: Expr,
    pub(crate) value: Expr,
}

/// A case of a match.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) test: Test,
    pub(crate) value: Expr,
}

/// When a case is met.
#[derive(Debug)]
pub(crate) enum Test {
    /// Always.
    Always,
    /// When the target equals it.
    Equals(Value),
    /// When it yields true with the target as its context.
    Query(Expr),
}

impl From<Expr> for Test {
    fn from(expr: Expr) -> Self {
        match expr {
            Expr::Literal(value) => Self::Equals(value),
            Expr::Folded(folded) => Self::Equals(folded.0),
            expr => Self::Query(expr),
        }
    }
}

/// A query that captures its context.
#[derive(Debug)]
pub(crate) struct Lambda {
    /// The name; without one the context is dropped.
    pub(crate) name: Option<Box<str>>,
    pub(crate) body: Expr,
}

/// A function, or a method with its target.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) spec: &'static Spec,
    pub(crate) target: Option<Query>,
    pub(crate) args: Box<[Arg]>,
    /// Whether any argument is evaluated before the call.
    pub(crate) dynamic: bool,
    pub(crate) prepared: Option<Prepared>,
}

/// One statement, with its line for errors.
#[derive(Debug)]
pub(crate) enum Statement {
    /// A value for a target.
    Assign { line: u32, target: Target, value: Expr },
    /// The first branch whose condition holds; the last may have none.
    If { line: u32, branches: Box<[StatementBranch]> },
}

pub(crate) type StatementBranch = (Option<Expr>, Box<[Statement]>);

/// What a statement assigns to.
#[derive(Debug)]
pub(crate) enum Target {
    Root,
    Path(Box<[Segment]>),
    Metadata(Option<Text>),
    Variable(u32),
}

/// A named map.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) name: Box<str>,
    pub(crate) statements: Box<[Statement]>,
    /// Number of its variables.
    pub(crate) variables: usize,
}

/// Named maps, sorted.
#[derive(Debug, Default)]
pub(crate) struct Maps(Vec<Arc<Map>>);

impl Maps {
    /// No maps.
    pub(crate) const EMPTY: Self = Self(Vec::new());

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Map>> {
        let at = self.0.binary_search_by(|map| (*map.name).cmp(name)).ok()?;
        self.0.get(at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Map> {
        self.0.iter().map(|map| &**map)
    }

    /// Adds a map; false if the name is taken.
    pub(crate) fn define(&mut self, map: Map) -> bool {
        match self.0.binary_search_by(|known| known.name.cmp(&map.name)) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, Arc::new(map));
                true
            }
        }
    }

    /// Takes over the maps of another mapping, and gives back the names that were taken already.
    pub(crate) fn adopt(&mut self, other: Maps) -> Vec<String> {
        let mut collisions = Vec::new();
        for map in other.0 {
            match self.0.binary_search_by(|known| known.name.cmp(&map.name)) {
                Ok(_) => collisions.push(map.name.to_string()),
                Err(at) => self.0.insert(at, map),
            }
        }
        collisions
    }
}

/// A piece of an interpolated string.
#[derive(Debug)]
pub(crate) enum Part {
    Literal(Box<str>),
    Expr(Expr),
}

impl Expr {
    /// The value of a literal.
    pub(crate) fn literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            Self::Folded(folded) => Some(&folded.0),
            _ => None,
        }
    }

    /// What errors call the expression.
    #[cold]
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Literal(value) => format!("{} literal", value.type_name()).into(),
            Self::Folded(folded) => folded.1.clone(),
            Self::Field(field) => field.source.get_or_init(|| field.describe()).clone(),
            Self::Get(get) => format!("path `{}`", dot_path(&get.1)).into(),
            Self::Variable(_, name) => format!("variable {name}").into(),
            Self::Metadata(Some(key)) => format!("meta field {key}").into(),
            Self::Metadata(None) => "meta object".into(),
            Self::Array(_) => "array literal".into(),
            Self::Object(_) => "object literal".into(),
            Self::Not(inner) => format!("not {}", inner.source()).into(),
            Self::Binary(binary) => binary.right.source(),
            Self::If(_) => "if expression".into(),
            Self::Match(_) => "match expression".into(),
            Self::Lambda(lambda) => lambda.body.source(),
            Self::Map(map) => map.1.source(),
            Self::Call(call) => match &*call.args {
                // What a query was run on is what failed.
                [Arg::Query(query)] if call.spec.name == "map" => query.0.source(),
                _ => call.describe(),
            },
        }
    }

    /// Runs over the expressions right below.
    pub(crate) fn children(&self, visit: &mut dyn FnMut(&Expr)) {
        match self {
            Self::Literal(_) | Self::Folded(_) | Self::Field(_) | Self::Variable(..) | Self::Metadata(_) => {}
            Self::Get(get) => visit(&get.0),
            Self::Array(items) => items.iter().for_each(visit),
            Self::Object(members) => {
                for (key, value) in members {
                    if let Key::Query(key) = key {
                        visit(key);
                    }
                    visit(value);
                }
            }
            Self::Not(inner) => visit(inner),
            Self::Binary(binary) => {
                visit(&binary.left);
                visit(&binary.right);
            }
            Self::If(chain) => {
                for branch in &chain.0 {
                    visit(&branch.condition);
                    visit(&branch.value);
                }
                chain.1.iter().for_each(visit);
            }
            Self::Match(chain) => {
                chain.0.iter().for_each(&mut *visit);
                for case in &chain.1 {
                    if let Test::Query(test) = &case.test {
                        visit(test);
                    }
                    visit(&case.value);
                }
            }
            Self::Lambda(lambda) => visit(&lambda.body),
            Self::Map(map) => {
                visit(&map.0);
                visit(&map.1);
            }
            Self::Call(call) => {
                if let Some(target) = &call.target {
                    visit(&target.0);
                }
                for arg in &call.args {
                    if let Arg::Query(query) | Arg::Dynamic(query) = arg {
                        visit(&query.0);
                    }
                }
            }
        }
    }

    /// Height of the tree.
    pub(crate) fn depth(&self) -> usize {
        let mut deepest = 0;
        self.children(&mut |child| deepest = deepest.max(child.depth()));
        deepest + 1
    }

    /// Runs over the expression and everything below.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        self.children(&mut |child| child.walk(visit));
    }
}

impl Statement {
    /// Runs over every statement and every expression in it.
    pub(crate) fn walk(&self, statement: &mut dyn FnMut(&Statement), expr: &mut dyn FnMut(&Expr)) {
        statement(self);
        match self {
            Self::Assign { value, .. } => value.walk(expr),
            Self::If { branches, .. } => {
                for (condition, statements) in branches {
                    if let Some(condition) = condition {
                        condition.walk(expr);
                    }
                    for inner in statements {
                        inner.walk(statement, expr);
                    }
                }
            }
        }
    }
}

impl Field {
    fn describe(&self) -> Source {
        let base = match &self.base {
            Base::This => "this",
            Base::Root => "root",
            Base::Named(_, name) => name,
        };
        if self.path.is_empty() {
            return format!("field `{base}`").into();
        }
        format!("field `{base}.{}`", dot_path(&self.path)).into()
    }
}

impl Call {
    #[cold]
    fn describe(&self) -> Source {
        let name = self.spec.name;
        let text = match (self.args.first(), self.dynamic) {
            (Some(Arg::Value(Value::String(text))), false) => Some(text.as_str()),
            _ => None,
        };
        match (&self.target, text) {
            (Some(_), Some(map)) if name == "apply" => format!("map {map}").into(),
            (Some(target), _) if name == "from" && !self.dynamic => match self.args.first() {
                Some(Arg::Value(index)) => format!("{} from {}", target.0.source(), index.to_text()).into(),
                _ => "method from".into(),
            },
            (Some(_), _) => format!("method {name}").into(),
            (None, Some(path)) if name == "json" => format!("json path `{path}`").into(),
            (None, Some(key)) if matches!(name, "meta" | "metadata" | "root_meta") => {
                if key.is_empty() {
                    format!("{name} object").into()
                } else {
                    format!("{name} field {key}").into()
                }
            }
            (None, _) => format!("function {name}").into(),
        }
    }
}
