//! `group_by_value`: makes batches of the messages with the same value.

use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::HashMap;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    expression::Interpolated,
    field::Field,
    processor::{Batches, Processor},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "group_by_value",
    summary: "Makes batches of the messages with the same value.",
    description: "The batches come in the order in which their values were first seen. A message whose value cannot be told \
                  is flagged as failed and belongs to the empty value.",
    status: Status::Stable,
    body: Body::Fields(&[Field::string("value", "The value, compared as text.").interpolated()]),
    examples: &[Example { title: "By key", config: "value: '${! @kafka_key }'" }],
    build: |node, context| {
        let Config { value } = node.read()?;
        Ok(Box::new(GroupByValue { value, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    value: Interpolated,
}

struct GroupByValue {
    value: Interpolated,
    log: Log,
}

/// A batch of more messages is not made larger by what is parsed of them for their value.
const LARGE: usize = 1 << 16;

/// Where the messages of a batch go.
#[derive(Default)]
struct Groups {
    /// The group of each message.
    of: Vec<usize>,
    /// How many messages each group has.
    sizes: Vec<usize>,
    /// Messages whose value cannot be told, and why.
    failed: Vec<(usize, String)>,
}

impl GroupByValue {
    fn groups(&self, batch: &mut [Message]) -> Groups {
        let mut groups = Groups { of: Vec::with_capacity(batch.len()), ..Groups::default() };
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        for index in 0..batch.len() {
            let fresh = batch.len() > LARGE && batch.get(index).is_some_and(|message| !message.has_value());
            let value = self.value.resolve(batch, index).unwrap_or_else(|error| {
                groups.failed.push((index, format!("group value interpolation error: {error}")));
                Vec::new()
            });
            if fresh && let Some(message) = batch.get_mut(index) {
                message.forget_parsed();
            }
            let group = *known.entry(value).or_insert(groups.sizes.len());
            groups.of.push(group);
            match groups.sizes.get_mut(group) {
                Some(size) => *size += 1,
                None => groups.sizes.push(1),
            }
        }
        groups
    }
}

#[async_trait]
impl Processor for GroupByValue {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let groups = self.groups(&mut batch);
        for (index, text) in groups.failed {
            self.log.error(&text);
            if let Some(message) = batch.get_mut(index) {
                self.log.component().fail(message, text);
            }
        }
        let mut batches: Batches = groups.sizes.into_iter().map(Vec::with_capacity).collect();
        for (message, group) in batch.into_iter().zip(groups.of) {
            if let Some(batch) = batches.get_mut(group) {
                batch.push(message);
            }
        }
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn values_in_the_order_seen() {
        let out = run(
            "group_by_value: { value: '${! this.k.uppercase() }' }",
            &["{\"k\":\"b\"}", "{\"k\":\"a\"}", "{\"k\":1}", "{\"k\":\"B\"}"],
        )
        .await;
        assert_eq!(
            shown(&out),
            [vec!["{\"k\":\"b\"}", "{\"k\":\"B\"}"], vec!["{\"k\":\"a\"}"], vec!["{\"k\":1}"]]
        );
        assert!(out[2][0].error().unwrap().text.starts_with("group value interpolation error: "));
    }
}
