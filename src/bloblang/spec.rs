//! What a function or method is: its name, its parameters, and the code that runs it.
//!
//! A family is one small file with a table of these; [`crate::Environment`] is built from the tables.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::compile::Expr;
use crate::error::Fault;
use crate::eval::Cx;
use crate::text::Text;
use crate::value::Value;

/// A function or method of the language.
#[derive(Debug)]
pub struct Spec {
    /// Name it is called by.
    pub name: &'static str,
    /// One sentence on what it does.
    pub summary: &'static str,
    /// What it takes.
    pub params: Params,
    /// Mappings that show it, run by the tests.
    pub examples: &'static [Example],
    /// How it differs from the usual pure one.
    pub traits: Traits,
    /// Turns static arguments into a reusable form (a compiled expression, a zone) and refuses bad ones.
    /// Runs once when the mapping is built, or at every call when an argument is dynamic.
    pub prepare: Option<Prepare>,
    /// What runs.
    pub body: Body,
}

impl Spec {
    /// A method of the language's core: its errors are prefixed with what it was called on.
    pub const fn method(
        name: &'static str,
        summary: &'static str,
        params: &'static [Param],
        run: Method,
    ) -> Self {
        Self {
            name,
            summary,
            params: Params::Fixed(params),
            examples: &[],
            traits: Traits { sourced: true, ..Traits::PLAIN },
            prepare: None,
            body: Body::Method(run),
        }
    }

    /// A method whose errors stand as they are, as those registered by plugins do.
    pub const fn plugin(
        name: &'static str,
        summary: &'static str,
        params: &'static [Param],
        run: Method,
    ) -> Self {
        Self { traits: Traits::PLAIN, ..Self::method(name, summary, params, run) }
    }

    /// A function.
    pub const fn function(
        name: &'static str,
        summary: &'static str,
        params: &'static [Param],
        run: Function,
    ) -> Self {
        Self {
            name,
            summary,
            params: Params::Fixed(params),
            examples: &[],
            traits: Traits::PLAIN,
            prepare: None,
            body: Body::Function(run),
        }
    }

    /// A method that decides itself when its target is evaluated.
    pub const fn lazy(
        name: &'static str,
        summary: &'static str,
        params: &'static [Param],
        run: Lazy,
    ) -> Self {
        Self {
            name,
            summary,
            params: Params::Fixed(params),
            examples: &[],
            traits: Traits::PLAIN,
            prepare: None,
            body: Body::Lazy(run),
        }
    }

    /// With any number of unnamed arguments.
    #[must_use]
    pub const fn variadic(mut self) -> Self {
        self.params = Params::Variadic;
        self
    }

    /// With examples.
    #[must_use]
    pub const fn examples(mut self, examples: &'static [Example]) -> Self {
        self.examples = examples;
        self
    }

    /// With a step that prepares static arguments.
    #[must_use]
    pub const fn prepared(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// With other traits.
    #[must_use]
    pub const fn traits(mut self, traits: Traits) -> Self {
        self.traits = traits;
        self
    }
}

/// How a function or method differs from a plain pure one.
#[expect(clippy::struct_excessive_bools, reason = "each is independent")]
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Errors are prefixed with what it was called on, once, innermost.
    pub sourced: bool,
    /// With static arguments, and a method on a literal, it is evaluated when the mapping is built; unless its second
    /// argument is true, for functions.
    pub folds: bool,
    /// It reads or changes something outside the message: counters, clocks, files, environment.
    pub impure: bool,
    /// It may take milliseconds or wait on a disk.
    pub blocks: bool,
    /// It needs a message, hence is absent where there is none.
    pub message: bool,
}

impl Traits {
    /// None of them.
    pub const PLAIN: Self =
        Self { sourced: false, folds: false, impure: false, blocks: false, message: false };
}

/// What a function or method takes.
#[derive(Clone, Copy, Debug)]
pub enum Params {
    /// These, by position or by name.
    Fixed(&'static [Param]),
    /// Any number, unnamed.
    Variadic,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Name of it.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// Type of its values.
    pub kind: ParamKind,
    /// What happens when it is left out.
    pub absent: Absent,
    /// Whether it must be a literal.
    pub fixed: bool,
}

impl Param {
    /// A required parameter.
    pub const fn new(name: &'static str, kind: ParamKind, summary: &'static str) -> Self {
        Self { name, summary, kind, absent: Absent::Required, fixed: false }
    }

    /// A required string.
    pub const fn string(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::String, summary)
    }

    /// A required integer.
    pub const fn int(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Int, summary)
    }

    /// A required float.
    pub const fn float(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Float, summary)
    }

    /// A required bool.
    pub const fn bool(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Bool, summary)
    }

    /// A required array.
    pub const fn array(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Array, summary)
    }

    /// A required object.
    pub const fn object(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Object, summary)
    }

    /// A required value of any type.
    pub const fn any(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Any, summary)
    }

    /// A required query, such as a lambda; not evaluated before the call.
    pub const fn query(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ParamKind::Query { scalars: false }, summary)
    }

    /// May be left out: the accessors then give `None`.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.absent = Absent::Optional;
        self
    }

    /// May be left out for this.
    #[must_use]
    pub const fn default(mut self, value: Default) -> Self {
        self.absent = Absent::Default(value);
        self
    }

    /// Must be a literal.
    #[must_use]
    pub const fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }
}

/// Type of a parameter's values. Numbers are coerced to the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// String or bytes.
    String,
    /// Number, cut to an integer.
    Int,
    /// Number, as a float.
    Float,
    /// Bool, or a number other than zero.
    Bool,
    /// Array.
    Array,
    /// Object.
    Object,
    /// Timestamp.
    Timestamp,
    /// Anything.
    Any,
    /// A query, evaluated by the callee; a literal is one too if `scalars`.
    Query {
        /// Whether a literal is wrapped into a query that yields it.
        scalars: bool,
    },
}

/// What happens when a parameter is left out.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The mapping does not parse.
    Required,
    /// The accessors give `None`.
    Optional,
    /// This stands in.
    Default(Default),
}

/// Default of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// Null.
    Null,
    /// A bool.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    String(&'static str),
    /// The empty array.
    EmptyArray,
    /// The empty object.
    EmptyObject,
}

/// A mapping and what it makes of inputs.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What it shows; may be empty.
    pub summary: &'static str,
    /// The mapping.
    pub mapping: &'static str,
    /// Inputs, and the contents or errors they give.
    pub cases: &'static [(&'static str, &'static str)],
}

/// Code of a method: the target and arguments are evaluated.
pub type Method = fn(&mut Cx<'_>, Value, &Args<'_>) -> Result<Value, Fault>;
/// Code of a function: the arguments are evaluated.
pub type Function = fn(&mut Cx<'_>, &Args<'_>) -> Result<Value, Fault>;
/// Code of a method that evaluates its target itself.
pub type Lazy = fn(&mut Cx<'_>, &Query, &Args<'_>) -> Result<Value, Fault>;
/// Code that prepares static arguments.
pub type Prepare = fn(&Args<'_>) -> Result<Prepared, Fault>;
/// Arguments in a form made once.
pub type Prepared = Arc<dyn Any + Send + Sync>;

/// What runs.
#[derive(Clone, Copy)]
pub enum Body {
    /// A method on an evaluated target.
    Method(Method),
    /// A method that evaluates its target itself.
    Lazy(Lazy),
    /// A function.
    Function(Function),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method(_) => "Method",
            Self::Lazy(_) => "Lazy",
            Self::Function(_) => "Function",
        })
    }
}

/// A query given as an argument, or a method's target: run by [`Cx::call`] or [`Cx::eval`].
#[derive(Debug)]
pub struct Query(pub(crate) Expr);

impl Query {
    /// Names this query as the source of an error, unless something further in was named already: for lazy methods.
    #[cold]
    pub fn blame(&self, fault: Fault) -> Fault {
        fault.from_source(&self.0.source())
    }
}

/// An argument as compiled.
#[derive(Debug)]
pub enum Arg {
    /// Left out.
    Absent,
    /// Known when the mapping is built.
    Value(Value),
    /// A query the callee runs.
    Query(Query),
    /// Evaluated before each call.
    Dynamic(Query),
}

/// The arguments of one call. Indices are positions in [`Spec::params`]; types are already coerced.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    pub(crate) given: &'a [Arg],
    /// Values of the dynamic ones by position; empty if there are none.
    pub(crate) resolved: &'a [Option<Value>],
    pub(crate) prepared: Option<&'a Prepared>,
}

impl<'a> Args<'a> {
    /// How many there are, those left out included.
    pub fn len(&self) -> usize {
        self.given.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The value, `None` if left out or a query.
    #[inline]
    pub fn value(&self, index: usize) -> Option<&'a Value> {
        if let Some(Some(value)) = self.resolved.get(index) {
            return Some(value);
        }
        match self.given.get(index) {
            Some(Arg::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// All values, in order: for variadic ones.
    pub fn values(&self) -> impl Iterator<Item = &'a Value> + '_ {
        (0..self.given.len()).filter_map(|index| self.value(index))
    }

    /// The bytes of a string argument; `None` if left out.
    #[inline]
    pub fn bytes(&self, index: usize) -> Option<&'a [u8]> {
        match self.value(index) {
            Some(Value::String(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// A string argument; `None` if left out.
    pub fn text(&self, index: usize) -> Option<&'a Text> {
        match self.value(index) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A string argument as UTF-8; empty if left out.
    pub fn str(&self, index: usize) -> Cow<'a, str> {
        self.bytes(index).map_or(Cow::Borrowed(""), crate::text::lossy)
    }

    /// An integer argument; `None` if left out.
    #[inline]
    pub fn int(&self, index: usize) -> Option<i64> {
        match self.value(index) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// A float argument; `None` if left out.
    pub fn float(&self, index: usize) -> Option<f64> {
        match self.value(index) {
            Some(Value::Float(n)) => Some(*n),
            _ => None,
        }
    }

    /// A bool argument; `None` if left out.
    pub fn bool(&self, index: usize) -> Option<bool> {
        match self.value(index) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// A query argument; `None` if left out.
    #[inline]
    pub fn query(&self, index: usize) -> Option<&'a Query> {
        match self.given.get(index) {
            Some(Arg::Query(query)) => Some(query),
            _ => None,
        }
    }

    /// What [`Spec::prepare`] made of the arguments.
    #[inline]
    pub fn prepared<T: Any>(&self) -> Option<&'a T> {
        self.prepared.and_then(|prepared| prepared.downcast_ref())
    }
}
