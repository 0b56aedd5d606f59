//! `insert_part`: adds a message to a batch.

use crate::log::Log;
use serde::Deserialize;
use std::mem;
use weir_bloblang::Message;
use weir_core::{
    expression::Interpolated,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "insert_part",
    summary: "Adds a message to each batch.",
    description: "It has the metadata and the error of the first message. An index beyond the batch adds it at the end, or \
                  at the start where the index is negative. When its content cannot be told, nothing is added.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("index", "Where it is to stand: from 0; -1 is the end, -2 before the last message.")
            .default("-1"),
        Field::string("content", "Its content; expressions are asked of the first message.")
            .interpolated()
            .default("''"),
    ]),
    examples: &[Example { title: "A header", config: "index: 0\ncontent: '${! batch_size() } rows'" }],
    build: |node, context| {
        let Config { index, content } = node.read()?;
        Ok(Box::new(InsertPart { index, content, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    index: i64,
    content: Interpolated,
}

struct InsertPart {
    index: i64,
    content: Interpolated,
    log: Log,
}

impl Processor for InsertPart {
    fn immediate(&self) -> bool {
        self.content.is_pure() && !self.content.blocks()
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let Some(first) = batch.first() else { return };
        let added = match self.content.resolve(batch, 0) {
            Ok(content) => {
                let mut added = first.clone();
                added.set_content(content);
                Some(added)
            }
            Err(error) => {
                self.log.error(format_args!("Content interpolation error: {error}"));
                None
            }
        };
        let back = || usize::try_from(self.index.unsigned_abs() - 1).unwrap_or(usize::MAX);
        let at = usize::try_from(self.index).unwrap_or_else(|_| batch.len().saturating_sub(back()));
        let (before, after) = batch.split_at_mut(at.min(batch.len()));
        out.extend(before.iter_mut().map(mem::take).chain(added));
        out.extend(after.iter_mut().map(mem::take));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn indexes_count_from_either_end() {
        for (index, wanted) in [(0, "Nab"), (1, "aNb"), (7, "abN"), (-1, "abN"), (-2, "aNb"), (-7, "Nab")] {
            let out = run(&format!("insert_part: {{ index: {index}, content: N }}"), &["a", "b"]).await;
            assert_eq!(shown(&out).concat().concat(), wanted, "{index}");
        }
    }
}
