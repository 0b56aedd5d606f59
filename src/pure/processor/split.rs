//! `split`: makes several batches of one.

use async_trait::async_trait;
use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "split",
    summary: "Makes smaller batches of each batch.",
    description: "A batch is complete at `size` messages, or when the next would take it over `byte_size`; what is left at \
                  the end is a batch of its own.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("size", "Messages of a batch; 0: no limit.").default("1"),
        Field::int("byte_size", "Bytes of a batch; 0: no limit.").default("0"),
    ]),
    examples: &[Example { title: "Ten at a time", config: "size: 10" }],
    build: |node, _| {
        let Config { size, byte_size } = node.read()?;
        let limit = |limit| usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(Box::new(Split { size: limit(size), byte_size: limit(byte_size) }))
    },
};

#[derive(Deserialize)]
struct Config {
    size: i64,
    byte_size: i64,
}

struct Split {
    size: usize,
    byte_size: usize,
}

#[async_trait]
impl Processor for Split {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let mut batches = Batches::new();
        let (mut current, mut bytes) = (Vec::new(), 0_usize);
        for message in batch {
            // Without a limit nothing is made bytes only to be counted.
            let length = if self.byte_size == usize::MAX { 0 } else { message.len() };
            if !current.is_empty() && (current.len() >= self.size || bytes + length > self.byte_size) {
                batches.push(std::mem::take(&mut current));
                bytes = 0;
            }
            bytes += length;
            current.push(message);
        }
        if !current.is_empty() {
            batches.push(current);
        }
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn either_limit_ends_a_batch() {
        let out = run("split: { size: 2, byte_size: 4 }", &["a", "b", "cccccc", "d", "eee", "f"]).await;
        let sizes: Vec<usize> = shown(&out).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 2, 1]);
    }
}
