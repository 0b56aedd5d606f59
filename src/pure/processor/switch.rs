//! `switch`: processors for the messages that pass a check.

use super::{flag, mapping::is_immediate, optional_mapping};
use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use serde::Deserialize;
use std::{mem, sync::Arc};
use weir_bloblang::{Fault, Message};
use weir_core::{
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    expression::Mapping,
    field::Field,
    frame::UNTAGGED,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "switch",
    summary: "Runs the processors of the first case whose check a message passes.",
    description: "The messages of a batch that pass the same case make a batch within; afterwards all are put together \
                  in their old order. A message that passes no case goes on unchanged. One whose check fails with an \
                  error is flagged as failed and tested no further.",
    status: Status::Stable,
    body: Body::List(Field::object("", "The cases, in order.", CASE)),
    examples: &[Example {
        title: "By type",
        config: "- check: this.type == \"foo\"\n  processors: [ { mapping: 'root.a = 1' } ]\n\
                 - processors: [ { mapping: 'root.b = 2' } ]",
    }],
    build: |node, context| {
        let nodes: Vec<Node> = node.read()?;
        let cases = nodes.iter().enumerate();
        let cases = cases.map(|(index, node)| {
            Case::new(index, node, context)
                .map_err(|error| error.context(format!("case '{index}' parse error")))
        });
        Ok(Box::new(Switch::new(cases.collect::<Result<_, _>>()?, Log::new(context))))
    },
};

static CASE: &[Field] = &[
    Field::mapping("check", "A query whose `true` lets a message pass. Empty: every message passes.")
        .default("''"),
    Field::processors("processors", "What the messages that pass go through.").default("[]"),
    Field::bool("fallthrough", "Whether messages that pass also go through the next case, unchecked.")
        .default("false")
        .advanced(),
    Field::bool("continue", "Whether messages that pass are also tested by the next case.")
        .default("false")
        .advanced(),
];

#[derive(Deserialize)]
struct Config {
    check: String,
    processors: Vec<Node>,
    fallthrough: bool,
    r#continue: bool,
}

/// Where the messages of a case go afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Done,
    IntoNext,
    TestedByNext,
}

struct Case {
    check: Option<Mapping>,
    processors: Arc<dyn Processor>,
    then: Then,
}

impl Case {
    fn new(index: usize, node: &Node, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let config: Config = node.read()?;
        let check = optional_mapping(&config.check, "check")?;
        let then = match (config.fallthrough, config.r#continue) {
            (true, true) => {
                return Err(BuildError::new(
                    "a case cannot have both 'fallthrough' and 'continue' set to true",
                ));
            }
            (true, false) => Then::IntoNext,
            (false, true) => Then::TestedByNext,
            (false, false) => Then::Done,
        };
        if config.processors.is_empty() {
            return Err(BuildError::new(
                "case has no processors, in order to have a no-op case use a `noop` processor",
            ));
        }
        let processors = context.processors(&format!("switch.{index}.processors"), &config.processors)?;
        Ok(Self { check, processors, then })
    }

    fn passes(&self, batch: &[Message], index: usize) -> Result<bool, Fault> {
        let check = self.check.as_ref();
        check.map_or(Ok(true), |check| with_scratch(|scratch| check.check(batch, index, scratch)))
    }
}

struct Switch {
    cases: Vec<Case>,
    immediate: bool,
    /// Whether every message is done with after one case.
    simple: bool,
    log: Log,
}

/// A batch on its way through the cases. Meanwhile a message's tag is its index, so that all that is made of it
/// can be put in order again.
struct Sorting {
    tags: Vec<u32>,
    /// To be tested by the next case.
    remaining: Vec<Message>,
    /// To go through the next case untested.
    carried: Vec<Message>,
    done: Vec<Message>,
}

impl Sorting {
    fn new(mut batch: Vec<Message>) -> Self {
        let mut tags = Vec::with_capacity(batch.len());
        for (index, message) in batch.iter_mut().enumerate() {
            tags.push(mem::replace(&mut message.tag, u32::try_from(index).unwrap_or(UNTAGGED)));
        }
        Self { tags, remaining: batch, carried: Vec::new(), done: Vec::new() }
    }

    fn absorb(&mut self, then: Then, made: impl IntoIterator<Item = Message>) {
        match then {
            Then::Done => self.done.extend(made),
            Then::IntoNext => self.carried.extend(made),
            Then::TestedByNext => self.remaining.extend(made),
        }
    }

    /// Everything in its old order. What the last case carried on is lost, as in the reference.
    fn finish(mut self) -> Vec<Message> {
        let mut all = self.done;
        all.append(&mut self.remaining);
        // What has lost its tag stays behind the message it stands behind now.
        let mut last = 0;
        let mut keyed: Vec<(u32, Message)> = Vec::with_capacity(all.len());
        for mut message in all {
            let index = message.tag;
            if index != UNTAGGED {
                last = index;
            }
            message.tag =
                usize::try_from(index).ok().and_then(|at| self.tags.get(at)).copied().unwrap_or(UNTAGGED);
            keyed.push((last, message));
        }
        keyed.sort_by_key(|(index, _)| *index);
        keyed.into_iter().map(|(_, message)| message).collect()
    }
}

impl Switch {
    fn new(cases: Vec<Case>, log: Log) -> Self {
        let immediate = cases
            .iter()
            .all(|case| case.processors.immediate() && case.check.as_ref().is_none_or(is_immediate));
        let simple = cases.iter().all(|case| case.then == Then::Done);
        Self { cases, immediate, simple, log }
    }

    fn refuse(&self, case: usize, message: &mut Message, error: &Fault) {
        self.log.error(format_args!("Failed to test case {case}: {error}"));
        flag(message, error.to_string());
    }

    /// The case that a message alone in its batch passes.
    fn case_of(&self, message: &mut Message) -> Option<&Case> {
        for (number, case) in self.cases.iter().enumerate() {
            match case.passes(std::slice::from_ref(message), 0) {
                Ok(true) => return Some(case),
                Ok(false) => {}
                Err(error) => {
                    self.refuse(number, message, &error);
                    return None;
                }
            }
        }
        None
    }

    /// Takes out what a case works on: what the last one carried on, then what passes the check.
    fn select(&self, number: usize, case: &Case, sorting: &mut Sorting) -> Vec<Message> {
        let tested = mem::take(&mut sorting.remaining);
        let outcomes: Vec<_> = (0..tested.len()).map(|index| case.passes(&tested, index)).collect();
        let mut passed = mem::take(&mut sorting.carried);
        for (mut message, outcome) in tested.into_iter().zip(outcomes) {
            match outcome {
                Ok(true) => passed.push(message),
                Ok(false) => sorting.remaining.push(message),
                Err(error) => {
                    self.refuse(number, &mut message, &error);
                    sorting.done.push(message);
                }
            }
        }
        passed
    }
}

#[async_trait]
impl Processor for Switch {
    fn immediate(&self) -> bool {
        self.immediate
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        if self.simple
            && let [message] = batch
        {
            match self.case_of(message) {
                Some(case) => case.processors.rewrite(batch, out),
                None => out.push(mem::take(message)),
            }
            return;
        }
        let mut sorting = Sorting::new(batch.iter_mut().map(mem::take).collect());
        let mut made = Vec::new();
        for (number, case) in self.cases.iter().enumerate() {
            let mut passed = self.select(number, case, &mut sorting);
            if !passed.is_empty() {
                case.processors.rewrite(&mut passed, &mut made);
                sorting.absorb(case.then, made.drain(..));
            }
        }
        out.append(&mut sorting.finish());
    }

    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        if self.simple
            && let [message] = batch.as_mut_slice()
        {
            let Some(case) = self.case_of(message) else { return Ok(one(batch)) };
            let made = case.processors.process(batch).await?;
            return Ok(one(made.into_iter().flatten().collect()));
        }
        let mut sorting = Sorting::new(batch);
        for (number, case) in self.cases.iter().enumerate() {
            let passed = self.select(number, case, &mut sorting);
            if !passed.is_empty() {
                let made = case.processors.process(passed).await?;
                sorting.absorb(case.then, made.into_iter().flatten());
            }
        }
        Ok(one(sorting.finish()))
    }

    async fn close(&self) {
        for case in &self.cases {
            case.processors.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    /// The same processors with a step that keeps them from working at once.
    fn both(cases: &str) -> [String; 2] {
        let slow = cases.replace("processors: [", "processors: [ { sleep: { duration: 0s } },");
        [format!("switch: [ {cases} ]"), format!("switch: [ {slow} ]")]
    }

    #[tokio::test]
    async fn messages_keep_their_order() {
        let cases = "{ check: 'this % 2 == 1', processors: [ { mapping: 'root = \"odd %v of %v\".format(batch_index(), batch_size())' } ] }, \
                     { check: 'this == 0', processors: [ { mapping: 'root = deleted()' } ] }";
        for config in both(cases) {
            let out = run(&config, &["0", "1", "2", "3"]).await;
            assert_eq!(shown(&out), [["odd 0 of 2", "2", "odd 1 of 2"]], "{config}");
            assert_eq!(shown(&run(&config, &["5"]).await), [["odd 0 of 1"]]);
        }
    }

    #[tokio::test]
    async fn passing_on_to_the_next_case() {
        let cases = "{ check: 'this.n == 1', fallthrough: true, processors: [ { mutation: 'root.l = [\"a\"]' } ] }, \
                     { check: 'this.n == 2', continue: true, processors: [ { mutation: 'root.l = this.l.or([]).append(\"b\")' } ] }, \
                     { check: 'this.n == 2', processors: [ { mutation: 'root.c = 1' } ] }";
        for config in both(cases) {
            let out = run(&config, &["{\"n\":2}", "{\"n\":1}", "{\"n\":4}"]).await;
            assert_eq!(
                shown(&out),
                [["{\"c\":1,\"l\":[\"b\"],\"n\":2}", "{\"l\":[\"a\",\"b\"],\"n\":1}", "{\"n\":4}"]],
                "{config}"
            );
        }
    }

    #[tokio::test]
    async fn a_failed_check_bypasses_all_cases() {
        let cases = "{ check: 'this > 1', processors: [ { mapping: 'root = \"big\"' } ] }, { processors: [ { mapping: 'root = \"small\"' } ] }";
        for config in both(cases) {
            let out = run(&config, &["1", "\"x\"", "2"]).await;
            assert_eq!(shown(&out), [["small", "\"x\"", "big"]], "{config}");
            let error = out[0][1].error().unwrap();
            assert!(
                error.text.contains("cannot compare types string") && error.name.is_empty(),
                "{}",
                error.text
            );
        }
    }

    #[test]
    fn cases_that_make_no_sense_are_refused() {
        let error = |config| try_build(config).err().unwrap().to_string();
        assert!(
            error("switch: [ { check: 'true' } ]").contains("case '0' parse error: case has no processors")
        );
        let both = "switch: [ { fallthrough: true, continue: true, processors: [ { noop: {} } ] } ]";
        assert!(error(both).contains("a case cannot have both 'fallthrough' and 'continue' set to true"));
    }
}
