//! `bounds_check`: drops batches that are too large or too small.

use crate::log::Log;
use serde::Deserialize;
use std::mem;
use weir_bloblang::Message;
use weir_core::{
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "bounds_check",
    summary: "Drops batches of too many or too few messages, or with a message that is too large or too small.",
    description: "One message out of bounds drops its whole batch; within `for_each` only itself. What is dropped \
                  counts as delivered.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("max_part_size", "The most bytes of a message.").default("1073741824"),
        Field::int("min_part_size", "The least bytes of a message.").default("1"),
        Field::int("max_parts", "The most messages of a batch.").default("100").advanced(),
        Field::int("min_parts", "The least messages of a batch.").default("1").advanced(),
    ]),
    examples: &[Example { title: "At most a kilobyte", config: "max_part_size: 1024" }],
    build: |node, context| Ok(Box::new(BoundsCheck { bounds: node.read()?, log: Log::new(context) })),
};

#[derive(Deserialize)]
struct Config {
    max_part_size: i64,
    min_part_size: i64,
    max_parts: i64,
    min_parts: i64,
}

struct BoundsCheck {
    bounds: Config,
    log: Log,
}

/// Whether a length lies within bounds.
fn within(length: usize, min: i64, max: i64) -> bool {
    i64::try_from(length).is_ok_and(|length| (min..=max).contains(&length))
}

impl Processor for BoundsCheck {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let Config { max_part_size, min_part_size, max_parts, min_parts } = self.bounds;
        if !within(batch.len(), min_parts, max_parts) {
            return self.log.debug(format_args!("Rejecting batch of {} messages", batch.len()));
        }
        let outside =
            batch.iter().map(Message::len).find(|length| !within(*length, min_part_size, max_part_size));
        match outside {
            Some(length) => self.log.debug(format_args!("Rejecting batch with a message of {length} bytes")),
            None => out.extend(batch.iter_mut().map(mem::take)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn a_message_out_of_bounds_drops_its_batch() {
        let config = "bounds_check: { max_part_size: 2, max_parts: 2 }";
        assert_eq!(shown(&run(config, &["a", "bb"]).await), [["a", "bb"]]);
        assert!(run(config, &["a", "bbb"]).await.is_empty());
        assert!(run(config, &["a", ""]).await.is_empty());
        assert!(run(config, &["a", "b", "c"]).await.is_empty());
    }
}
