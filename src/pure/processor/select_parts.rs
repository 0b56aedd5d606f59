//! `select_parts`: picks messages of a batch by index.

use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "select_parts",
    summary: "Picks messages of a batch by their indexes.",
    description: "They come out in the order of the indexes; one that does not exist picks nothing, and a batch of which \
                  nothing is picked is dropped.",
    status: Status::Stable,
    body: Body::Fields(&[Field::int("parts", "The indexes, from 0; negative ones count from the end.")
        .list()
        .default("[]")]),
    examples: &[Example { title: "First and last", config: "parts: [ 0, -1 ]" }],
    build: |node, _| {
        let config: Config = node.read()?;
        Ok(Box::new(SelectParts(config.parts)))
    },
};

#[derive(Deserialize)]
struct Config {
    parts: Vec<i64>,
}

struct SelectParts(Vec<i64>);

impl Processor for SelectParts {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let picked = |part: &i64| {
            let from_end = || batch.len().checked_sub(usize::try_from(part.unsigned_abs()).ok()?);
            let index = usize::try_from(*part).ok().or_else(from_end)?;
            batch.get(index).cloned()
        };
        out.extend(self.0.iter().filter_map(picked));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn picks_in_the_order_asked_for() {
        let parts = |parts| format!("select_parts: {{ parts: {parts} }}");
        assert_eq!(shown(&run(&parts("[ -1, 0, 0, 9, -4 ]"), &["a", "b", "c"]).await), [["c", "a", "a"]]);
        assert!(run(&parts("[]"), &["a"]).await.is_empty());
    }
}
