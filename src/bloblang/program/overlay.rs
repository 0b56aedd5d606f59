//! Mapping into a message that is not the one read.

use super::{Mutated, Program, explain};
use crate::error::Fault;
use crate::eval::{Cx, Scratch};
use crate::message::Message;
use crate::value::{Kind, Value};

impl Program {
    /// Maps into `onto` while `this` is a message of `batch`: `root` begins as the value of `onto`, and metadata is
    /// its metadata. What was edited before a failure stays.
    pub fn overlay(
        &self,
        onto: &mut Message,
        batch: &[Message],
        index: usize,
        scratch: &mut Scratch,
    ) -> Result<Mutated, Fault> {
        let mapping = &*self.mapping;
        let mut cx = Cx::new(batch, index, &mapping.maps, mapping.variables.len(), scratch).onto(onto);
        let result = cx.execute(&mapping.statements);
        let (root, metadata) = cx.finish(scratch);
        *onto.metadata_mut() = metadata;
        match root {
            Value::Delete if result.is_ok() => return Ok(Mutated::Dropped),
            Value::Delete | Value::Nothing => {}
            // Nothing within a scalar can have been edited, and a string must not lose its quotes.
            root if result.is_err() && !matches!(root.kind(), Kind::Array | Kind::Object) => {}
            root => onto.set_value(root),
        }
        result.map(|()| Mutated::Kept).map_err(|fault| explain(fault, batch.get(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn reads_one_message_and_writes_another() {
        let program = Program::parse("root.r = this.x\nmeta k = content()", &Environment::new()).unwrap();
        let (mut onto, batch) = (Message::new(&b"{\"a\":1}"[..]), [Message::new(&b"{\"x\":2}"[..])]);
        assert_eq!(program.overlay(&mut onto, &batch, 0, &mut Scratch::default()).unwrap(), Mutated::Kept);
        assert_eq!(onto.content(), &b"{\"a\":1,\"r\":2}"[..]);
        assert_eq!(onto.metadata().get("k").unwrap().as_str().unwrap(), "{\"x\":2}");
        let program = Program::parse("root = deleted()", &Environment::new()).unwrap();
        assert_eq!(program.overlay(&mut onto, &batch, 0, &mut Scratch::default()).unwrap(), Mutated::Dropped);
    }
}
