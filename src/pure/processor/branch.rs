//! `branch`: works a copy of each message and maps what comes out back into the message.

use super::{flag, mapping::is_immediate, optional_mapping};
use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{
    any::Any,
    mem,
    sync::{Arc, OnceLock},
};
use weir_bloblang::{Message, Mutated, Place, Program};
use weir_core::{
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    expression::Mapping,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "branch",
    summary: "Works a request made of each message and maps the result back into the message.",
    description: "The request mapping begins with an empty message that has the original's metadata; without one, the \
                  request is a copy. A message whose request is `deleted()` takes no part. The result mapping reads \
                  the result and changes the original. The processors must give as many messages as they got; when \
                  anything fails, the original goes on as it was, flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(FIELDS),
    examples: &[Example {
        title: "Keep the old field",
        config: "request_map: 'root = this.text'\nprocessors: [ { mapping: 'root = content().uppercase()' } ]\n\
                 result_map: 'root.loud = content().string()'",
    }],
    build: |node, context| Ok(Box::new(Branch::build(node, "branch", context)?)),
};

/// The fields of a branch, also where it is part of another processor.
pub(super) static FIELDS: &[Field] = &[
    Field::mapping("request_map", "Makes the request of a message. Empty: a copy of it.").default("''"),
    Field::processors("processors", "What the requests go through."),
    Field::mapping("result_map", "Changes the message by the result. Empty: the result is dropped.")
        .default("''"),
];

#[derive(Deserialize)]
struct Config {
    request_map: String,
    processors: Option<Vec<Node>>,
    result_map: String,
}

/// What becomes of a batch beside it: copies are worked, and their results mapped into it.
pub(super) struct Branch {
    request: Option<Mapping>,
    children: Arc<dyn Processor>,
    result: Option<Mapping>,
    /// What the request mapping reads and the result mapping writes, found out when first asked for.
    places: OnceLock<[Vec<Place>; 2]>,
    log: Log,
}

/// The requests made of a batch.
pub(super) struct Requests {
    pub(super) messages: Vec<Message>,
    /// Indexes of the messages without a request, in order.
    pub(super) absent: Vec<usize>,
    /// Messages whose request mapping failed, and why.
    failed: Vec<(usize, String)>,
}

impl Branch {
    /// Builds a branch at a place under the component being built.
    pub(super) fn build(node: &Node, at: &str, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let config: Config = node.read()?;
        let nodes = config.processors.unwrap_or_default();
        if nodes.is_empty() {
            return Err(BuildError::new("the branch processor requires at least one child processor"));
        }
        Ok(Self {
            children: context.processors(&format!("{at}.processors"), &nodes)?,
            request: optional_mapping(&config.request_map, "request mapping")?,
            result: optional_mapping(&config.result_map, "result mapping")?,
            places: OnceLock::new(),
            log: Log::new(context),
        })
    }

    /// Whether what it reads may be written by another branch, which then must be done before.
    pub(super) fn needs(&self, other: &Self) -> bool {
        let ([reads, _], [_, writes]) = (self.places(), other.places());
        reads.iter().any(|read| writes.iter().any(|written| written.contains(read)))
    }

    fn places(&self) -> &[Vec<Place>; 2] {
        let of = |mapping: &Option<Mapping>, places: fn(&Program) -> Vec<Place>| {
            mapping.as_ref().map(|mapping| places(mapping)).unwrap_or_default()
        };
        self.places.get_or_init(|| [of(&self.request, Program::reads), of(&self.result, Program::writes)])
    }

    /// Makes the requests of all messages but those left out.
    pub(super) fn requests(&self, batch: &[Message], is_left_out: impl Fn(usize) -> bool) -> Requests {
        let mut requests =
            Requests { messages: Vec::with_capacity(batch.len()), absent: Vec::new(), failed: Vec::new() };
        for (index, message) in batch.iter().enumerate() {
            if is_left_out(index) {
                requests.absent.push(index);
                continue;
            }
            let mut request = message.clone();
            request.set_error(None);
            let made = self.request.as_ref().map_or(Ok(Mutated::Kept), |mapping| {
                request.set_content(Bytes::new());
                with_scratch(|scratch| mapping.overlay(&mut request, batch, index, scratch))
            });
            match made {
                Ok(Mutated::Kept) => requests.messages.push(request),
                Ok(Mutated::Dropped) => requests.absent.push(index),
                Err(error) => {
                    requests.absent.push(index);
                    requests.failed.push((index, format!("request mapping failed: {error}")));
                }
            }
        }
        requests
    }

    /// Puts the requests through the processors; the error within is the branch's alone.
    pub(super) async fn work(&self, requests: &mut Requests) -> Result<Result<Vec<Message>, String>, Error> {
        let messages = mem::take(&mut requests.messages);
        if messages.is_empty() {
            return Ok(Ok(messages));
        }
        match self.children.process(messages).await {
            Ok(batches) if batches.is_empty() => Ok(Err(NOTHING_LEFT.to_owned())),
            Ok(batches) => Ok(Ok(batches.into_iter().flatten().collect())),
            Err(Error::Closed) => Err(Error::Closed),
            Err(error) => Ok(Err(format!("child processors failed: {error}"))),
        }
    }

    /// Maps what the requests became into the batch, and gives the messages that failed, the last reason last.
    pub(super) fn apply(
        &self,
        batch: &mut [Message],
        requests: Requests,
        made: Result<Vec<Message>, String>,
    ) -> Vec<(usize, String)> {
        let Requests { absent, mut failed, .. } = requests;
        let made = made.and_then(|made| {
            let (count, wanted) = (made.len() + absent.len(), batch.len());
            // The reference names the numbers the wrong way round.
            let differ = || {
                format!(
                    "message count from branch processors does not match request, started with {count} messages, \
                     finished with {wanted}"
                )
            };
            if count == wanted { Ok(made) } else { Err(differ()) }
        });
        match made {
            Ok(made) => self.overlay(batch, &absent, made, &mut failed),
            Err(text) => {
                self.log.error(format_args!("Child processors failed: {text}"));
                failed.splice(..0, (0..batch.len()).map(|index| (index, text.clone())));
                return failed;
            }
        }
        for (_, text) in &failed {
            self.log.debug(format_args!("Branch error: {text}"));
        }
        failed
    }

    fn overlay(
        &self,
        batch: &mut [Message],
        absent: &[usize],
        made: Vec<Message>,
        failed: &mut Vec<(usize, String)>,
    ) {
        let results = if absent.is_empty() {
            made
        } else {
            // The result of a message stands at its index; nothing is read of those that have none.
            let mut absent = absent.iter().peekable();
            let mut made = made.into_iter();
            let place = |index| if absent.next_if_eq(&&index).is_some() { None } else { made.next() };
            (0..batch.len()).map(place).map(Option::unwrap_or_default).collect()
        };
        let mut absent = absent.iter().peekable();
        for (index, message) in batch.iter_mut().enumerate() {
            if absent.next_if_eq(&&index).is_some() {
                continue;
            }
            if let Some(error) = results.get(index).and_then(Message::error) {
                failed.push((index, format!("processors failed: {}", error.text)));
            } else if let Some(mapping) = &self.result
                && let Err(error) = with_scratch(|scratch| mapping.overlay(message, &results, index, scratch))
            {
                failed.push((index, format!("result mapping failed: {error}")));
            }
        }
    }
}

fn flag_all(batch: &mut [Message], failed: Vec<(usize, String)>) {
    for (index, text) in failed {
        if let Some(message) = batch.get_mut(index) {
            flag(message, text);
        }
    }
}

const NOTHING_LEFT: &str = "child processors resulted in zero messages";

#[async_trait]
impl Processor for Branch {
    fn immediate(&self) -> bool {
        let mappings = self.request.iter().chain(&self.result);
        self.children.immediate() && mappings.into_iter().all(is_immediate)
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let mut requests = self.requests(batch, |_| false);
        let mut made = Vec::with_capacity(requests.messages.len());
        let asked = !requests.messages.is_empty();
        if asked {
            self.children.rewrite(&mut requests.messages, &mut made);
        }
        let made = if asked && made.is_empty() { Err(NOTHING_LEFT.to_owned()) } else { Ok(made) };
        let failed = self.apply(batch, requests, made);
        flag_all(batch, failed);
        out.extend(batch.iter_mut().map(mem::take));
    }

    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let mut requests = self.requests(&batch, |_| false);
        let made = self.work(&mut requests).await?;
        let failed = self.apply(&mut batch, requests, made);
        flag_all(&mut batch, failed);
        Ok(one(batch))
    }

    fn inside(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self)
    }

    async fn close(&self) {
        self.children.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};
    use weir_bloblang::Message;

    fn error(message: &Message) -> &str {
        &message.error().unwrap().text
    }

    #[tokio::test]
    async fn only_messages_with_a_request_take_part() {
        for more in ["", ", { sleep: { duration: 0s } }"] {
            let config = format!(
                "branch: {{ request_map: 'root = if this.n == 2 {{ deleted() }}', \
                 processors: [ {{ mapping: 'root = batch_index()' }}{more} ], result_map: 'root.r = this' }}"
            );
            let out = run(&config, &["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]).await;
            assert_eq!(shown(&out), [["{\"n\":1,\"r\":0}", "{\"n\":2}", "{\"n\":3,\"r\":1}"]], "{config}");
        }
    }

    #[tokio::test]
    async fn a_missing_result_fails_all() {
        let config = "branch: { processors: [ { mapping: 'root = if this.n == 2 { deleted() }' } ], result_map: 'root.r = 1' }";
        let out = run(config, &["{\"n\":1}", "{\"n\":2}"]).await;
        assert_eq!(shown(&out), [["{\"n\":1}", "{\"n\":2}"]]);
        assert_eq!(
            error(&out[0][0]),
            "message count from branch processors does not match request, started with 1 messages, finished with 2"
        );
        let config = "branch: { request_map: 'root = this.n.uppercase()', processors: [ { noop: {} } ] }";
        let out = run(config, &["{\"n\":\"x\"}", "{\"n\":2}"]).await;
        assert!(out[0][0].error().is_none());
        assert!(
            error(&out[0][1])
                .starts_with("request mapping failed: failed assignment (line 1): expected string")
        );
    }
}
