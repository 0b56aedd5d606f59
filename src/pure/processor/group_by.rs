//! `group_by`: makes batches of the messages that pass the same check.

use super::flagless_check;
use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    expression::Mapping,
    field::Field,
    node::Node,
    processor::{Batches, Processor},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "group_by",
    summary: "Makes batches of the messages that pass the same check, and runs processors on each.",
    description: "A message goes to the first group whose check it passes; a check that fails is not passed. The batches \
                  come in the order of the groups, and last what passed no check.",
    status: Status::Stable,
    body: Body::List(Field::object(
        "",
        "The groups, in order.",
        &[
            Field::mapping("check", "A query whose `true` makes a message part of the group."),
            Field::processors("processors", "What the group's batch goes through.").default("[]"),
        ],
    )),
    examples: &[Example {
        title: "Errors apart",
        config: "[ { check: 'this.level == \"error\"', processors: [ { archive: { format: lines } } ] } ]",
    }],
    build: |node, context| {
        let mut groups = Vec::new();
        for (index, config) in node.read::<Vec<Config>>()?.into_iter().enumerate() {
            let check = Mapping::parse(&config.check).map_err(|error| {
                error.context(format!("group '{index}' parse error: failed to parse check"))
            })?;
            let children = config.processors.unwrap_or_default();
            let children = context.processors(&format!("group_by.{index}.processors"), &children)?;
            groups.push(Group { check, children });
        }
        Ok(Box::new(GroupBy { groups, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    check: String,
    processors: Option<Vec<Node>>,
}

struct Group {
    check: Mapping,
    children: Arc<dyn Processor>,
}

struct GroupBy {
    groups: Vec<Group>,
    log: Log,
}

impl GroupBy {
    /// The number of the group that a message is part of; none: the rest.
    fn group_of(&self, batch: &[Message], index: usize) -> Option<usize> {
        self.groups.iter().position(|group| flagless_check(&group.check, batch, index, &self.log))
    }
}

#[async_trait]
impl Processor for GroupBy {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let places: Vec<_> = (0..batch.len()).map(|index| self.group_of(&batch, index)).collect();
        let mut grouped: Vec<Vec<Message>> = self.groups.iter().map(|_| Vec::new()).collect();
        let mut rest = Vec::new();
        for (message, place) in batch.into_iter().zip(places) {
            place.and_then(|place| grouped.get_mut(place)).unwrap_or(&mut rest).push(message);
        }
        let mut out = Batches::new();
        for (group, batch) in self.groups.iter().zip(grouped) {
            if !batch.is_empty() {
                out.extend(group.children.process(batch).await?);
            }
        }
        if !rest.is_empty() {
            out.push(rest);
        }
        Ok(out)
    }

    async fn close(&self) {
        for group in &self.groups {
            group.children.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn groups_come_in_order_and_the_rest_last() {
        let config = "group_by: [ { check: 'this > 2', processors: [ { mapping: 'root = batch_size()' } ] }, { check: 'this > 1' } ]";
        let out = run(config, &["1", "2", "3", "\"x\"", "4"]).await;
        assert_eq!(shown(&out), [vec!["2", "2"], vec!["2"], vec!["1", "\"x\""]]);
        assert!(out.iter().flatten().all(|message| message.error().is_none()));
    }
}
