//! Compiled mappings.

mod overlay;
mod places;
mod plan;

use std::sync::Arc;

use crate::compile::{Expr, Statement, Target};
use crate::environment::Environment;
use crate::error::Fault;
use crate::eval::{Cx, Scratch};
use crate::message::Message;
use crate::parse::{self, Mapping, ParseError};
use crate::value::Value;
pub use places::Place;
pub use plan::Plan;

/// A compiled mapping. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Program {
    mapping: Arc<Mapping>,
    traits: ProgramTraits,
}

#[derive(Clone, Copy, Debug)]
struct ProgramTraits {
    blocks: bool,
    impure: bool,
    class: Class,
}

/// How much of a message a mapping touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Metadata at most: the content stays as it is.
    Metadata,
    /// The root is assigned as a whole, such as a filter or a replacement.
    Root,
    /// Fields of a new document are assigned.
    Projection,
    /// The root is assigned, and then fields of it.
    Edit,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub enum Mapped {
    /// It goes on as this.
    Message(Message),
    /// It was deleted.
    Dropped,
}

/// Whether a mutated message goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutated {
    /// It goes on.
    Kept,
    /// It was deleted.
    Dropped,
}

impl Program {
    /// Compiles a mapping.
    pub fn parse(source: &str, environment: &Environment) -> Result<Self, ParseError> {
        let mapping = parse::mapping(source, environment, true)?;
        let traits = inspect(&mapping);
        Ok(Self { mapping: Arc::new(mapping), traits })
    }

    /// What is wrong with a mapping as far as can be told without building its functions.
    pub fn lint(source: &str, environment: &Environment) -> Vec<ParseError> {
        parse::mapping(source, environment, false).err().into_iter().collect()
    }

    /// Maps one message of a batch to a new one; the batch stays as it is.
    pub fn map(&self, batch: &[Message], index: usize, scratch: &mut Scratch) -> Result<Mapped, Fault> {
        let mapping = &*self.mapping;
        let mut cx = Cx::new(batch, index, &mapping.maps, mapping.variables.len(), scratch);
        let result = cx.execute(&mapping.statements);
        let (root, metadata) = cx.finish(scratch);
        if let Err(fault) = result.and_then(|()| bounded(&root)) {
            return Err(explain(fault, batch.get(index)));
        }
        if matches!(root, Value::Delete) {
            return Ok(Mapped::Dropped);
        }
        let message = match batch.get(index) {
            Some(message) => message,
            // A message is made out of nothing, as `generate` does.
            None => &Message::default(),
        };
        if !matches!(root, Value::Nothing) {
            return Ok(Mapped::Message(message.mapped(root, metadata)));
        }
        let mut message = message.clone();
        *message.metadata_mut() = metadata;
        Ok(Mapped::Message(message))
    }

    /// Changes one message of a batch. If it fails, what was edited before stays.
    pub fn mutate(
        &self,
        batch: &mut [Message],
        index: usize,
        scratch: &mut Scratch,
    ) -> Result<Mutated, Fault> {
        let mapping = &*self.mapping;
        let mut cx = Cx::new(batch, index, &mapping.maps, mapping.variables.len(), scratch).mutating();
        let result = cx.execute(&mapping.statements);
        let leftover = if result.is_err() { cx.leftover() } else { None };
        let (root, metadata) = cx.finish(scratch);
        let result = result.and_then(|()| bounded(&root)).map_err(|fault| explain(fault, batch.get(index)));
        let Some(message) = batch.get_mut(index) else { return Ok(Mutated::Dropped) };
        *message.metadata_mut() = metadata;
        match (result, leftover) {
            (Ok(()), _) => match root {
                Value::Delete => return Ok(Mutated::Dropped),
                Value::Nothing => {}
                root => message.set_value(root),
            },
            (Err(fault), leftover) => {
                match leftover {
                    // Text that stands for a document stays one.
                    Some(Ok(tree)) if tree.as_bytes().is_some() => message.set_content(tree.to_json()),
                    Some(Ok(tree)) => message.set_value(tree),
                    Some(Err(content)) => message.set_content(content),
                    None => {}
                }
                return Err(fault);
            }
        }
        Ok(Mutated::Kept)
    }

    /// Whether a message meets a condition: the mapping must make a boolean of it.
    pub fn check(&self, batch: &[Message], index: usize, scratch: &mut Scratch) -> Result<bool, Fault> {
        match self.map(batch, index, scratch)? {
            Mapped::Dropped => {
                Err(Fault::new("query mapping resulted in deleted message, expected a boolean value"))
            }
            Mapped::Message(message) => {
                let value = message.value().map_err(Fault::json)?;
                value.as_bool().ok_or_else(|| Fault::expected("bool", value).from_source(&"mapping".into()))
            }
        }
    }

    /// What the mapping makes of a message, as a value; nothing if it assigns nothing.
    pub fn query(&self, batch: &[Message], index: usize, scratch: &mut Scratch) -> Result<Value, Fault> {
        let mapping = &*self.mapping;
        let mut cx = Cx::new(batch, index, &mapping.maps, mapping.variables.len(), scratch);
        let result = cx.execute(&mapping.statements);
        let (root, _) = cx.finish(scratch);
        result.and_then(|()| bounded(&root)).map_err(|fault| explain(fault, batch.get(index))).map(|()| root)
    }

    /// Whether it may take long or wait, and so must not run on a thread that serves others.
    pub fn blocks(&self) -> bool {
        self.traits.blocks
    }

    /// Whether it depends on and changes nothing but the message and its batch.
    pub fn is_pure(&self) -> bool {
        !self.traits.impure
    }

    /// How much of a message it touches.
    pub fn class(&self) -> Class {
        self.traits.class
    }
}

/// Refuses what could not be written as a document.
fn bounded(root: &Value) -> Result<(), Fault> {
    root.weigh().map(drop).map_err(|excess| Fault::new(excess.to_string()))
}

fn explain(fault: Fault, message: Option<&Message>) -> Fault {
    match message.map(Message::value) {
        Some(Err(error)) => fault.explain(error),
        _ => fault,
    }
}

fn inspect(mapping: &Mapping) -> ProgramTraits {
    let (mut blocks, mut impure, mut whole, mut fields) = (false, false, false, false);
    let mut expr = |expr: &Expr| {
        if let Expr::Call(call) = expr {
            blocks |= call.spec.traits.blocks;
            impure |= call.spec.traits.impure;
        }
    };
    for statement in &mapping.statements {
        let mut assigned = |statement: &Statement| match statement {
            Statement::Assign { target: Target::Root, .. } => whole = true,
            Statement::Assign { target: Target::Path(_), .. } => fields = true,
            _ => {}
        };
        statement.walk(&mut assigned, &mut expr);
    }
    for map in mapping.maps.iter() {
        map.statements.iter().for_each(|statement| statement.walk(&mut |_| {}, &mut expr));
    }
    let class = match (whole, fields) {
        (false, false) => Class::Metadata,
        (true, false) => Class::Root,
        (false, true) => Class::Projection,
        (true, true) => Class::Edit,
    };
    ProgramTraits { blocks, impure, class }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(source: &str) -> Program {
        Program::parse(source, &Environment::new()).unwrap()
    }

    fn mapped(source: &str, content: &str) -> String {
        let batch = [Message::new(content.as_bytes().to_vec())];
        match program(source).map(&batch, 0, &mut Scratch::default()) {
            Ok(Mapped::Message(message)) => String::from_utf8_lossy(message.content()).into_owned(),
            Ok(Mapped::Dropped) => "dropped".to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn content_that_is_not_assigned_stays_as_it_came() {
        assert_eq!(mapped("meta a = 1", "{ not json"), "{ not json");
        assert_eq!(mapped("root = if this.a > 1 { deleted() }", "{ \"a\": 1 }"), "{ \"a\": 1 }");
        assert_eq!(mapped("root = if this.a > 1 { deleted() }", "{ \"a\": 2 }"), "dropped");
    }

    #[test]
    fn classes() {
        for (source, class) in [
            ("meta a = this.b", Class::Metadata),
            ("root = if this.a { deleted() }", Class::Root),
            ("root.a = this.b\nlet c = 1", Class::Projection),
            ("root = this\nif true { root.a = 1 }", Class::Edit),
        ] {
            assert_eq!(program(source).class(), class, "{source}");
        }
        assert!(program("root.a = this.b.uppercase()").is_pure());
        assert!(!program("map m { root = count(\"x\") }\nroot.a = this.apply(\"m\")").is_pure());
    }

    #[test]
    fn a_mutation_that_fails_keeps_its_edits() {
        let mut batch = [Message::new(&b"{\"a\":1}"[..])];
        let program = program("root.x = 1\nmeta m = 2\nroot.y = throw(\"e\")");
        let fault = program.mutate(&mut batch, 0, &mut Scratch::default()).unwrap_err();
        assert_eq!(fault.to_string(), "failed assignment (line 3): e");
        assert_eq!(batch[0].content(), &b"{\"a\":1,\"x\":1}"[..]);
        assert!(batch[0].metadata().get("m").is_some());
    }

    #[test]
    fn a_mutation_that_replaces_its_root_still_sees_the_old_one() {
        let mut batch = [Message::new(&b"{\"a\":1}"[..])];
        let program = program("root = {}\nroot.b = this.a\nroot.c = json(\"a\")");
        assert_eq!(program.mutate(&mut batch, 0, &mut Scratch::default()).unwrap(), Mutated::Kept);
        assert_eq!(batch[0].content(), &b"{\"b\":1,\"c\":1}"[..]);
    }

    #[test]
    fn endless_recursion_is_an_error() {
        let error = mapped("map m { root = this.apply(\"m\") }\nroot = this.apply(\"m\")", "{}");
        let want = "failed assignment (line 2): failed assignment (line 1): entering map m exceeded maximum allowed stacks of 5000, this could be due to unbounded recursion";
        assert_eq!(error, want);
        let error = mapped(
            "map m { root = [this.apply(\"m\"), this.apply(\"m\")] | 1 }\nroot = this.apply(\"m\")",
            "{}",
        );
        assert!(error.contains("exceeded the work"), "{error}");
    }
}
