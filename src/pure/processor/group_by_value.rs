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

#[async_trait]
impl Processor for GroupByValue {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let values: Vec<_> = (0..batch.len()).map(|index| self.value.resolve(&batch, index)).collect();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut batches = Batches::new();
        for (mut message, value) in batch.into_iter().zip(values) {
            let value = value.unwrap_or_else(|error| {
                let text = format!("group value interpolation error: {error}");
                self.log.error(&text);
                self.log.component().fail(&mut message, text);
                Vec::new()
            });
            let place = *places.entry(value).or_insert(batches.len());
            match batches.get_mut(place) {
                Some(batch) => batch.push(message),
                None => batches.push(vec![message]),
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
