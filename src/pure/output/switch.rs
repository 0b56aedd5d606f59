//! `switch`: routes each message by what it holds.

use super::broker::fan_out::FanOut;
use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Deserialize;
use smallvec::SmallVec;
use std::{mem, sync::Arc};
use weir_bloblang::{Message, Scratch};
use weir_core::{
    ack::{Failure, Fork, Origin},
    build_error::BuildError,
    error::Error,
    expression::Mapping,
    field::Field,
    frame::Frame,
    log::Log,
    node::{Node, Style},
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "switch",
    summary: "Writes each message to the output of the first case that it meets.",
    description: "A batch whose messages meet different cases is split. A check that fails, or gives no boolean, is \
                  not met. A message that meets no case is dropped, unless `strict_mode` is set.",
    status: Status::Stable,
    body: Body::Checked(
        &[
            Field::bool("retry_until_success", "Send what an output fails on to it again until it is delivered, and \
                                                not back to the input. Wise where a message may meet several cases.")
            .default("false"),
            Field::bool("strict_mode", "Fail the whole batch if one of its messages meets no case.")
                .default("false")
                .advanced(),
            Field::object("cases", "The cases, looked at in order.", &[
                Field::mapping("check", "A query that is `true` for messages that meet the case; empty: all do.")
                    .default("''"),
                Field::output("output", "The output for messages that meet the case."),
                Field::bool("continue", "Look at the next case, too.").default("false").advanced(),
            ])
            .list(),
        ],
        rejects_forever,
    ),
    examples: &[Example {
        title: "Two ways",
        config: "cases:\n  - check: this.urgent\n    output: { inproc: pager }\n  - output: { drop: {} }",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        if config.cases.len() < 2 {
            return Err(BuildError::new("attempting to create switch with fewer than 2 cases"));
        }
        let hard_stop = context.environment().hard_stop.clone();
        let mut cases = Vec::with_capacity(config.cases.len());
        for (index, case) in config.cases.iter().enumerate() {
            let at = format!("switch.cases.{index}.output");
            let mut output = context.output(&at, &case.output)?;
            if config.retry_until_success {
                output = Arc::new(FanOut::new(vec![output], false, &hard_stop));
            }
            let check = if case.check.is_empty() { None } else { Some(Mapping::parse(&case.check)?) };
            cases.push(Case { check, output, continues: case.continues });
        }
        let log = Log::new(context);
        Ok(OutputComponent::Node(Arc::new(Switch { cases, strict: config.strict_mode, log })))
    },
};

fn rejects_forever(node: &Node) -> Vec<String> {
    // The reference does not see a truth in quotes.
    let is_plain = |node: &&Node| node.as_scalar().is_some_and(|scalar| scalar.style == Style::Plain);
    let retries = node.get("retry_until_success").filter(is_plain);
    let retries = retries.and_then(|retries| retries.read().ok()).unwrap_or(false);
    let rejects = |case: &Node| {
        let output = case.get("output");
        let named = output.and_then(|output| output.get("type")).and_then(Node::as_str) == Some("reject");
        named
            || output
                .is_some_and(|output| output.get("reject").is_some_and(|reject| reject.as_scalar().is_some()))
    };
    let cases = node.get("cases").and_then(Node::as_list).unwrap_or_default();
    if !retries || !cases.iter().any(rejects) {
        return Vec::new();
    }
    vec![
        "a 'switch' output with a 'reject' case output must have the field 'switch.retry_until_success' set to \
         'false', otherwise the 'reject' child output will result in infinite retries"
            .into(),
    ]
}

#[derive(Deserialize)]
struct Config {
    retry_until_success: bool,
    strict_mode: bool,
    #[serde(default)]
    cases: Vec<CaseConfig>,
}

#[derive(Deserialize)]
struct CaseConfig {
    check: String,
    output: Node,
    #[serde(rename = "continue")]
    continues: bool,
}

struct Switch {
    cases: Vec<Case>,
    strict: bool,
    log: Log,
}

struct Case {
    check: Option<Mapping>,
    output: Arc<dyn Output>,
    continues: bool,
}

/// The cases that one message meets.
type Route = SmallVec<[usize; 2]>;

impl Switch {
    fn route(&self, batch: &[Message], index: usize, scratch: &mut Scratch) -> Route {
        let mut route = Route::new();
        for (number, case) in self.cases.iter().enumerate() {
            let met = match &case.check {
                None => true,
                Some(check) => check.check(batch, index, scratch).unwrap_or_else(|error| {
                    self.log.error(format_args!("Failed to test case {number}: {error}"));
                    false
                }),
            };
            if met {
                route.push(number);
                if !case.continues {
                    break;
                }
            }
        }
        route
    }

    /// Sorts the batches of a frame into frames by case.
    fn sort(&self, frame: Frame) -> Vec<Vec<Frame>> {
        let (mut messages, marks, origin) = frame.into_parts();
        let mut sorted: Vec<Vec<Frame>> = self.cases.iter().map(|_| Vec::new()).collect();
        let (mut routes, mut scratch): (Vec<Route>, Scratch) = Default::default();
        let mut start = 0;
        for mark in marks {
            let batch = messages.get_mut(start..mark.end as usize).unwrap_or_default();
            start = mark.end as usize;
            routes.clear();
            routes.extend((0..batch.len()).map(|index| self.route(batch, index, &mut scratch)));
            if self.strict && routes.iter().any(SmallVec::is_empty) {
                let error = Error::failed("no switch output conditions were met by message");
                origin.settle(mark.slot, Err(Failure::all(error)));
                continue;
            }
            match routes.first().map(|first| (&**first, routes.iter().all(|route| route == first))) {
                Some(([case], true)) => {
                    if let Some(frames) = sorted.get_mut(*case) {
                        push(frames, batch, mark.slot, &origin);
                    }
                }
                Some((_, _)) => {
                    self.split(batch, &routes, &Fork::new(Arc::clone(&origin), mark.slot), &mut sorted);
                }
                None => origin.settle(mark.slot, Ok(())),
            }
        }
        sorted
    }

    /// Shares a batch out over several cases. What meets none is delivered.
    fn split(&self, batch: &mut [Message], routes: &[Route], fork: &Arc<Fork>, sorted: &mut [Vec<Frame>]) {
        for (number, frames) in (0..self.cases.len()).zip(sorted) {
            let mut part = Vec::new();
            for (message, route) in batch.iter_mut().zip(routes) {
                if route.last() == Some(&number) {
                    part.push(mem::take(message));
                } else if route.contains(&number) {
                    part.push(message.clone());
                }
            }
            if !part.is_empty() {
                frames.push(fork.branch(part));
            }
        }
    }
}

/// Adds a whole batch behind what goes the same way.
fn push(frames: &mut Vec<Frame>, batch: &mut [Message], slot: u32, origin: &Arc<dyn Origin>) {
    let messages = batch.iter_mut().map(mem::take);
    if let Some(last) = frames.last_mut().filter(|last| Arc::ptr_eq(last.origin(), origin)) {
        last.push(messages, slot);
    } else {
        let mut frame = Frame::new(Arc::clone(origin));
        frame.push(messages, slot);
        frames.push(frame);
    }
}

#[async_trait]
impl Output for Switch {
    async fn connect(&self) {
        join_all(self.cases.iter().map(|case| case.output.connect())).await;
    }

    async fn send(&self, frame: Frame) {
        let sorted = self.sort(frame);
        let sent = self.cases.iter().zip(sorted).filter(|(_, frames)| !frames.is_empty());
        join_all(sent.map(|(case, frames)| async {
            for frame in frames {
                case.output.send(frame).await;
            }
        }))
        .await;
    }

    async fn flush(&self) {
        join_all(self.cases.iter().map(|case| case.output.flush())).await;
    }

    async fn sync(&self) -> Result<(), Error> {
        for case in &self.cases {
            case.output.sync().await?;
        }
        Ok(())
    }

    async fn close(&self) {
        join_all(self.cases.iter().map(|case| case.output.close())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::kept::testing::{Book, Child, frame};

    /// Cases of a content to match (empty: everything) and whether the next is looked at, too.
    fn switch(cases: &[(&str, &Arc<Child>, bool)], strict: bool) -> Switch {
        let cases = cases.iter().map(|(content, child, continues)| Case {
            check: (!content.is_empty())
                .then(|| Mapping::parse(&format!("content() == \"{content}\"")).unwrap()),
            output: Arc::clone(*child) as Arc<dyn Output>,
            continues: *continues,
        });
        Switch { cases: cases.collect(), strict, log: Log::default() }
    }

    #[tokio::test]
    async fn batches_are_split_only_where_their_messages_part() {
        let (book, one, rest): (Arc<Book>, _, _) = (Arc::default(), Child::new(&[]), Child::new(&["b"]));
        let switch = switch(&[("a", &one, false), ("", &rest, false)], false);
        switch.send(frame(&book, &[&["a"], &["a", "b", "c", "a"], &["c", "d"]])).await;
        assert_eq!(one.received(), ["a", "a a"]);
        assert_eq!(rest.received(), ["b c", "c d"]);
        assert_eq!(book.sorted(), ["0 ok", "1 refused b [1]", "2 ok"]);
    }

    #[test]
    fn a_part_that_fails_whole_fails_only_its_messages() {
        let (book, child): (Arc<Book>, _) = (Arc::default(), Child::new(&[]));
        let sorted = switch(&[("a", &child, false), ("", &child, false)], false)
            .sort(frame(&book, &[&["b", "a", "c"]]));
        for frame in sorted.into_iter().flatten() {
            if frame.messages().len() == 2 { frame.fail(&Error::failed("down")) } else { frame.deliver() }
        }
        assert_eq!(book.sorted(), ["0 down [0, 2]"]);
    }

    #[tokio::test]
    async fn a_message_may_meet_several_cases() {
        let (book, one, rest): (Arc<Book>, _, _) = (Arc::default(), Child::new(&[]), Child::new(&[]));
        let switch = switch(&[("a", &one, true), ("", &rest, false)], false);
        switch.send(frame(&book, &[&["a", "b"]])).await;
        assert_eq!((one.received(), rest.received()), (vec!["a".to_owned()], vec!["a b".to_owned()]));
        assert_eq!(book.sorted(), ["0 ok"]);
    }

    #[tokio::test]
    async fn what_meets_no_case_is_dropped_or_fails_its_batch() {
        for strict in [false, true] {
            let (book, one): (Arc<Book>, _) = (Arc::default(), Child::new(&[]));
            let switch = switch(&[("a", &one, false), ("b", &one, false)], strict);
            switch.send(frame(&book, &[&["c"], &["b", "c"], &["a"]])).await;
            if strict {
                assert_eq!(one.received(), ["a"]);
                let error = "no switch output conditions were met by message";
                assert_eq!(book.sorted(), [&*format!("0 {error}"), &*format!("1 {error}"), "2 ok"]);
            } else {
                assert_eq!(one.received(), ["a", "b"]);
                assert_eq!(book.sorted(), ["0 ok", "1 ok", "2 ok"]);
            }
        }
    }
}
