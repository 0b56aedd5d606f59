//! `catch`: runs processors on failed messages, which then count as mended.

use async_trait::async_trait;
use std::{mem, slice, sync::Arc};
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "catch",
    summary: "Runs processors on messages that have failed, and then takes their errors away.",
    description: "Within, `error()` still tells what went wrong. Each message is a batch of its own within; what comes \
                  out is put together to one batch again. Errors that happen within are taken away too.",
    status: Status::Stable,
    body: Body::List(Field::processor("", "The processors, in order.").default("[]")),
    examples: &[Example { title: "Say what went wrong", config: "[ { mapping: 'root.error = error()' } ]" }],
    build: |node, context| Ok(Box::new(Catch::new(super::children(context, "catch", node)?))),
};

struct Catch {
    children: Vec<Arc<dyn Processor>>,
    immediate: bool,
}

impl Catch {
    fn new(children: Vec<Arc<dyn Processor>>) -> Self {
        let immediate = children.iter().all(|child| child.immediate());
        Self { children, immediate }
    }
}

fn mend(messages: &mut [Message]) {
    for message in messages {
        message.set_error(None);
    }
}

#[async_trait]
impl Processor for Catch {
    fn immediate(&self) -> bool {
        self.immediate
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let from = out.len();
        let (mut current, mut next) = (Vec::new(), Vec::new());
        for message in batch {
            match self.children.as_slice() {
                [child] if message.error().is_some() => child.rewrite(slice::from_mut(message), out),
                children if message.error().is_some() => {
                    current.push(mem::take(message));
                    for child in children {
                        child.rewrite(&mut current, &mut next);
                        current.clear();
                        mem::swap(&mut current, &mut next);
                    }
                    out.append(&mut current);
                }
                _ => out.push(mem::take(message)),
            }
        }
        mend(out.get_mut(from..).unwrap_or_default());
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        if batch.iter().all(|message| message.error().is_none()) {
            return Ok(one(batch));
        }
        // What each message became, and whether it is being caught.
        let mut made: Vec<(bool, Vec<Vec<Message>>)> =
            batch.into_iter().map(|message| (message.error().is_some(), vec![vec![message]])).collect();
        for child in &self.children {
            for (_, batches) in made.iter_mut().filter(|(caught, _)| *caught) {
                let mut next = Vec::with_capacity(batches.len());
                for batch in mem::take(batches) {
                    next.extend(child.process(batch).await?);
                }
                *batches = next;
            }
        }
        let mut out: Vec<Message> = made.into_iter().flat_map(|(_, batches)| batches).flatten().collect();
        mend(&mut out);
        Ok(one(out))
    }

    async fn close(&self) {
        for child in &self.children {
            child.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn failed_messages_are_mended_in_place() {
        let fail = "mapping: 'root = if content() == \"b\" { throw(\"no\") }'";
        let say = "mapping: 'root = \"caught \" + error()'";
        for more in ["", ", { noop: {} }", ", { sleep: { duration: 0s } }"] {
            let config = format!("processors: [ {{ {fail} }}, {{ catch: [ {{ {say} }}{more} ] }} ]");
            let out = run(&config, &["a", "b", "c"]).await;
            assert_eq!(shown(&out), [["a", "caught failed assignment (line 1): no", "c"]], "{config}");
            assert!(out[0].iter().all(|message| message.error().is_none()));
        }
    }
}
