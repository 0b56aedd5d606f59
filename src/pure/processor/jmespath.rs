//! `jmespath`: works messages with a `JMESPath` query.

use super::flag;
use crate::{
    compat::{json_error, structured},
    log::Log,
};
use bytes::Bytes;
use jmespath::{Expression, Variable};
use serde::Deserialize;
use std::mem;
use weir_bloblang::{Doc, Kind, Message, Numbers, Value};
use weir_core::{
    build_error::BuildError,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "jmespath",
    summary: "Makes each message what a JMESPath query gives for it.",
    description: "A message that it fails on is flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[Field::string("query", "The query.")]),
    examples: &[Example { title: "Names", config: "query: 'users[*].name'" }],
    build: |node, context| {
        let Config { query } = node.read()?;
        let failed = |error: jmespath::JmespathError| {
            BuildError::new(format!("failed to compile JMESPath query: {}", reason(&error)))
        };
        Ok(Box::new(Jmespath { query: jmespath::compile(&query).map_err(failed)?, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    query: String,
}

struct Jmespath {
    query: Expression<'static>,
    log: Log,
}

/// An error in one line.
fn reason(error: &jmespath::JmespathError) -> String {
    use jmespath::{ErrorReason, RuntimeError};
    match &error.reason {
        ErrorReason::Parse(text) if text.contains("Eof") => "SyntaxError: Incomplete expression".to_owned(),
        ErrorReason::Parse(text) => format!("SyntaxError: {text}"),
        ErrorReason::Runtime(RuntimeError::UnknownFunction(name)) => format!("unknown function: {name}"),
        ErrorReason::Runtime(
            RuntimeError::TooManyArguments { .. } | RuntimeError::NotEnoughArguments { .. },
        ) => "incorrect number of args".to_owned(),
        ErrorReason::Runtime(error) => error.to_string(),
    }
}

impl Jmespath {
    /// What the query gives. Numbers are floats, as in the reference.
    fn search(&self, input: &Value) -> Result<Value, String> {
        let input = Variable::from_json(&input.to_json())?;
        let found = self.query.search(input).map_err(|error| reason(&error))?;
        let document = Doc::parse_with(Bytes::from(found.to_string()), Numbers::Float);
        document.map(|document| Value::document(&document)).map_err(|error| json_error(&error))
    }
}

impl Processor for Jmespath {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            let made = structured(message).and_then(|value| {
                let text = Bytes::from(value.to_json());
                let document = Doc::parse_with(text, Numbers::Float).map_err(|error| json_error(&error))?;
                let value = Value::document(&document);
                Ok((self.search(&value), value))
            });
            match made {
                Ok((Ok(found), _)) => match found.kind() {
                    Kind::String | Kind::Bytes => message.set_content(found.to_json()),
                    _ => message.set_value(found),
                },
                Ok((Err(text), value)) => {
                    self.log.debug(format_args!("Failed to search json: {text}"));
                    message.set_value(value);
                    flag(message, text);
                }
                Err(text) => flag(message, text),
            }
            out.push(mem::take(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    #[tokio::test]
    async fn values_found() {
        let query = |query: &str| format!("jmespath: {{ query: \"{query}\" }}");
        let message = "{\"l\":[{\"v\":3},{\"v\":1.50}],\"a\":\"x\",\"n\":12345678901234567890}";
        assert_eq!(shown(&run(&query("l[*].v"), &[message]).await), [["[3,1.5]"]]);
        assert_eq!(shown(&run(&query("a"), &[message]).await), [["\"x\""]]);
        assert_eq!(shown(&run(&query("[n]"), &[message]).await), [["[12345678901234567000]"]]);
        let out = run(&query("nofn(@)"), &[message, "nope"]).await;
        assert_eq!(out[0][0].error().unwrap().text, "unknown function: nofn");
        assert!(out[0][1].error().is_some());
        assert!(try_build(&query("a.[")).is_err());
    }
}
