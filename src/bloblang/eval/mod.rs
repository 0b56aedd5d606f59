//! Evaluation of the compiled form.

mod context;
mod control;
mod dynamic;
mod expr;
mod go;
mod onto;
pub(crate) mod operators;
mod statement;

use std::cell::OnceCell;

use bytes::Bytes;

use crate::compile::Maps;
use crate::error::Fault;
use crate::message::Message;
use crate::metadata::Metadata;
use crate::spec::{Query, Spec};
use crate::value::{Segment, Value, dot_path};
pub use go::go_type;

/// Units of work one message may use, about a second's: a query called or a value visited is one.
const FUEL: u64 = if cfg!(test) { 500_000 } else { 50_000_000 };
/// Bytes that one message may build, what is dropped again included.
const MEMORY: usize = if cfg!(test) { 1 << 26 } else { 1 << 30 };
/// Maps that may be entered within one another.
const MAX_MAPS: u32 = 5000;

/// Functions and methods that belong to the evaluator.
pub(crate) static FUNCTIONS: &[&[Spec]] = &[context::FUNCTIONS];
/// Methods that belong to the evaluator.
pub(crate) static METHODS: &[&[Spec]] = &[control::METHODS, dynamic::METHODS];

/// A context that paths begin from.
#[derive(Clone, Debug)]
pub(crate) enum This {
    /// The message, parsed when first needed.
    Message,
    /// What is being built, while a mutation has not replaced it.
    Root,
    /// A value.
    Value(Value),
}

/// What a variable holds.
#[derive(Clone, Debug)]
pub(crate) enum Variable {
    /// A value.
    Value(Value),
    /// A container of the tree under mutation, by path: edits below show through the variable.
    Alias(Box<[Segment]>),
}

/// Buffers that evaluations reuse.
#[derive(Debug, Default)]
pub struct Scratch {
    outer: Vec<This>,
    names: Vec<Value>,
    variables: Vec<Option<Variable>>,
}

/// What an evaluation sees and changes. Functions and methods get it to run queries and to account for work.
#[derive(Debug)]
pub struct Cx<'a> {
    batch: &'a [Message],
    maps: &'a Maps,
    /// The message that is mapped.
    home: usize,
    /// The message that `content()` and the like look at; negative counts from the end.
    index: i64,
    this: This,
    /// Contexts that the current one covers.
    outer: Vec<This>,
    /// Contexts that lambdas captured, innermost last.
    names: Vec<Value>,
    /// Variables of the scope by slot; none where there cannot be any.
    variables: Option<Vec<Option<Variable>>>,
    /// What is being built; none where nothing is.
    root: Option<Value>,
    /// Roots of the mapping and of maps that were left for the current one.
    below: Vec<Option<Value>>,
    /// The new metadata.
    metadata: Option<Metadata>,
    /// In a mutation, the tree that `json()` sees: the root, or what it was before it was replaced.
    tree: Option<This>,
    /// In a mutation, the content as `content()` first made it.
    content: OnceCell<Bytes>,
    /// Maps entered.
    depth: u32,
    fuel: u64,
    memory: usize,
}

#[cold]
fn exhausted() -> Fault {
    Fault::new("mapping exceeded the work that one message may take")
}

static NO_MAPS: Maps = Maps::EMPTY;

impl<'a> Cx<'a> {
    /// An evaluation of a mapping for one message.
    pub(crate) fn new(
        batch: &'a [Message],
        home: usize,
        maps: &'a Maps,
        slots: usize,
        scratch: &mut Scratch,
    ) -> Self {
        let mut variables = std::mem::take(&mut scratch.variables);
        variables.clear();
        variables.resize_with(slots, || None);
        Self {
            maps,
            outer: std::mem::take(&mut scratch.outer),
            names: std::mem::take(&mut scratch.names),
            variables: Some(variables),
            root: Some(Value::Nothing),
            metadata: Some(batch.get(home).map(|message| message.metadata().clone()).unwrap_or_default()),
            ..Self::bare(batch, home)
        }
    }

    /// An evaluation of a bare query for one message.
    pub(crate) fn query(batch: &'a [Message], home: usize) -> Self {
        let metadata = batch.get(home).map(|message| message.metadata().clone());
        Self { metadata, ..Self::bare(batch, home) }
    }

    fn bare(batch: &'a [Message], home: usize) -> Self {
        Self {
            batch,
            maps: &NO_MAPS,
            home,
            index: i64::try_from(home).unwrap_or(i64::MAX),
            this: This::Message,
            outer: Vec::new(),
            names: Vec::new(),
            variables: None,
            root: None,
            below: Vec::new(),
            metadata: None,
            tree: None,
            content: OnceCell::new(),
            depth: 0,
            fuel: FUEL,
            memory: MEMORY,
        }
    }

    /// An evaluation without a message, of what is known when a mapping is built.
    pub(crate) fn detached() -> Cx<'static> {
        Cx::query(&[], 0)
    }

    /// Makes it a mutation: the message's value is what is built.
    pub(crate) fn mutating(mut self) -> Self {
        if let Some(Ok(value)) = self.batch.get(self.home).map(Message::value) {
            self.root = Some(value.clone());
            self.this = This::Root;
            self.tree = Some(This::Root);
        }
        self
    }

    /// Ends it: gives the buffers back, and what was built.
    pub(crate) fn finish(self, scratch: &mut Scratch) -> (Value, Metadata) {
        scratch.outer = self.outer;
        scratch.outer.clear();
        scratch.names = self.names;
        scratch.names.clear();
        scratch.variables = self.variables.unwrap_or_default();
        (self.root.unwrap_or(Value::Nothing), self.metadata.unwrap_or_default())
    }

    /// In a mutation that failed: the tree as far as it was edited, or the content if that was asked for.
    pub(crate) fn leftover(&self) -> Option<Result<Value, Bytes>> {
        let tree = self.live()?;
        Some(self.content.get().cloned().map_or_else(|| Ok(tree.clone()), Err))
    }

    /// Runs a query with a value as its context: what a lambda captures, or `this`.
    pub fn call(&mut self, query: &Query, value: Value) -> Result<Value, Fault> {
        self.spend(1)?;
        self.call_expr(&query.0, value)
    }

    /// Runs a query in the context as it is.
    pub fn eval(&mut self, query: &Query) -> Result<Value, Fault> {
        self.run(&query.0)
    }

    /// Accounts for work, about one unit a value visited; fails once a message has used up its share.
    #[inline]
    pub fn spend(&mut self, units: u64) -> Result<(), Fault> {
        if let Some(left) = self.fuel.checked_sub(units) {
            self.fuel = left;
            Ok(())
        } else {
            // Nothing more is done, whatever catches the error.
            self.fuel = 0;
            Err(exhausted())
        }
    }

    /// Accounts for memory about to be filled, in bytes; fails once a message has used up its share.
    #[inline]
    pub fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        if let Some(left) = self.memory.checked_sub(bytes) {
            self.memory = left;
            Ok(())
        } else {
            self.memory = 0;
            self.fuel = 0;
            Err(exhausted())
        }
    }

    /// Accounts for a value just built.
    #[inline]
    pub(crate) fn keep(&mut self, value: Value) -> Result<Value, Fault> {
        self.charge(value.footprint())?;
        Ok(value)
    }

    /// What was built for a value that is dropped now may be built again.
    pub(crate) fn give_back(&mut self, value: Value) {
        self.memory = MEMORY.min(self.memory + value.footprint());
        drop(value);
    }

    /// Collects items, each of so many bytes, as far as memory lasts.
    pub(crate) fn collect(
        &mut self,
        each: usize,
        items: impl Iterator<Item = Value>,
    ) -> Result<Vec<Value>, Fault> {
        const STEP: usize = 1024;
        let mut all = Vec::with_capacity(items.size_hint().0.min(STEP));
        for item in items {
            if all.len() % STEP == STEP - 1 {
                self.charge(STEP * each)?;
                self.spend(STEP as u64 / 16)?;
            }
            all.push(item);
        }
        Ok(all)
    }

    /// Accounts for a walk through all of a value, and refuses one that is too large or too deep for it.
    pub(crate) fn walk(&mut self, value: &Value) -> Result<(), Fault> {
        let bytes = value.weigh().map_err(|excess| Fault::new(excess.to_string()))?;
        self.spend(bytes as u64 / 64)
    }

    /// What a path leads to.
    pub(crate) fn reach(&mut self, value: &Value, path: &[Segment]) -> Result<Value, Fault> {
        if value.multiplies(path) {
            self.walk(value)?;
        }
        Ok(value.get_path(path).unwrap_or_default())
    }

    /// Number of messages of the batch.
    pub fn batch_size(&self) -> usize {
        self.batch.len()
    }

    /// Position of the message that `content()` and the like look at.
    pub fn batch_index(&self) -> i64 {
        self.index
    }

    /// The message that `content()` and the like look at.
    pub fn message(&self) -> Option<&'a Message> {
        self.batch.get(self.position()?)
    }

    fn position(&self) -> Option<usize> {
        let len = i64::try_from(self.batch.len()).ok()?;
        usize::try_from(if self.index < 0 { self.index + len } else { self.index }).ok()
    }

    /// Whether that message is the one being mutated.
    fn at_live(&self) -> bool {
        self.tree.is_some() && self.position() == Some(self.home)
    }

    /// The root of the mapping itself, whatever map is running.
    fn base_root(&self) -> Option<&Value> {
        self.below.first().unwrap_or(&self.root).as_ref()
    }

    /// The tree of the message being mutated.
    fn live(&self) -> Option<&Value> {
        match self.tree.as_ref()? {
            This::Value(value) => Some(value),
            _ => self.base_root(),
        }
    }

    /// The current context; `path` is for the error.
    fn this(&self, path: &[Segment]) -> Result<&Value, Fault> {
        let value = match &self.this {
            This::Value(value) => Some(value),
            This::Root => self.base_root(),
            This::Message => self.batch.get(self.home).and_then(|message| message.value().ok()),
        };
        value.ok_or_else(|| Fault::no_context(dot_path(path)))
    }

    /// Runs with another context.
    fn within<T>(&mut self, value: Value, run: impl FnOnce(&mut Self) -> T) -> T {
        self.outer.push(std::mem::replace(&mut self.this, This::Value(value)));
        let result = run(self);
        if let Some(outer) = self.outer.pop() {
            self.this = outer;
        }
        result
    }

    /// Runs as seen from another message of the batch.
    fn seen_from<T>(&mut self, index: i64, run: impl FnOnce(&mut Self) -> T) -> T {
        let home = std::mem::replace(&mut self.index, index);
        let result = run(self);
        self.index = home;
        result
    }

    /// The structured value of the message looked at.
    fn document(&self) -> Result<Value, Fault> {
        if self.at_live()
            && let Some(value) = self.live()
        {
            return Ok(value.clone());
        }
        match self.message().map(Message::value) {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(error)) => Err(Fault::json(error)),
            None => Err(Fault::json(&crate::json::JsonError::Empty)),
        }
    }

    /// The content of the message looked at.
    fn content(&self) -> Option<Bytes> {
        if self.at_live()
            && let Some(value) = self.live()
        {
            return Some(self.content.get_or_init(|| value.to_payload().unwrap_or_default()).clone());
        }
        self.message().map(|message| message.content().clone())
    }

    /// The metadata of the message looked at, as it came in.
    fn input_metadata(&self) -> Option<&Metadata> {
        if self.at_live() { self.metadata.as_ref() } else { self.message().map(Message::metadata) }
    }

    /// The value of a path in the structured message looked at.
    fn document_path(&mut self, path: &[Segment]) -> Result<Value, Fault> {
        let document = self.document()?;
        self.reach(&document, path)
    }
}
