//! `json_schema`: flags messages that do not match a JSON schema.

use super::flag;
use crate::{compat::structured, log::Log};
use serde::Deserialize;
use std::mem;
use weir_bloblang::{Message, Schema};
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "json_schema",
    summary: "Flags messages that do not match a JSON schema.",
    description: "Messages go on as they are; one that does not match, or is no JSON, is flagged as failed, its error a line \
                  for each thing that is wrong. Drafts 4 to 7 are known, and references within the schema.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("schema", "The schema.").optional(),
        Field::string(
            "schema_path",
            "A file with the schema, such as `file://./schema.json`, in place of `schema`.",
        )
        .optional(),
    ]),
    examples: &[Example {
        title: "People have names",
        config: "schema: '{ \"type\": \"object\", \"required\": [ \"name\" ] }'",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let failed = |error| BuildError::new(format!("failed to load JSON schema definition: {error}"));
        let schema = Schema::parse(config.text()?).map_err(failed)?;
        Ok(Box::new(JsonSchema { schema, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    schema: Option<String>,
    schema_path: Option<String>,
}

impl Config {
    fn text(self) -> Result<String, BuildError> {
        let is_given = |text: &String| !text.is_empty();
        let Some(path) = self.schema_path.filter(is_given) else {
            let neither = || BuildError::new("either schema or schema_path must be provided");
            return self.schema.filter(is_given).ok_or_else(neither);
        };
        if path.starts_with("http://") {
            return Err(BuildError::new("a schema is not fetched while a config is read: keep it in a file")
                .at("schema_path"));
        }
        let Some(file) = path.strip_prefix("file://") else {
            return Err(BuildError::new("invalid schema_path provided, must start with file:// or http://"));
        };
        std::fs::read_to_string(file).map_err(|error| {
            BuildError::new(format!(
                "failed to load JSON schema definition: open {file}: {}",
                Error::from(error)
            ))
        })
    }
}

struct JsonSchema {
    schema: Schema,
    log: Log,
}

impl JsonSchema {
    fn check(&self, message: &Message) -> Result<(), String> {
        let errors = self.schema.errors(structured(message)?).map_err(|error| error.to_string())?;
        if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
    }
}

impl Processor for JsonSchema {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            let mut message = mem::take(message);
            if let Err(text) = self.check(&message) {
                self.log.debug(format_args!("The document is not valid: {text}"));
                flag(&mut message, text);
            }
            out.push(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    #[tokio::test]
    async fn messages_stay_as_they_are() {
        let config =
            "json_schema: { schema: '{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}' }";
        let out = run(config, &["{ \"a\": \"x\" }", "{\"a\":1}", "nope"]).await;
        assert_eq!(shown(&out), [["{ \"a\": \"x\" }", "{\"a\":1}", "nope"]]);
        let errors: Vec<_> =
            out[0].iter().map(|message| message.error().map(|error| error.text.clone())).collect();
        assert_eq!(errors[0], None);
        assert_eq!(errors[1].as_deref(), Some("a invalid type. expected: string, given: integer"));
        assert!(errors[2].is_some());
    }

    #[test]
    fn a_schema_must_be_there() {
        for (config, want) in [
            ("{}", "either schema or schema_path must be provided"),
            ("{ schema_path: ./s.json }", "invalid schema_path provided, must start with file:// or http://"),
            ("{ schema: '[]' }", "failed to load JSON schema definition: schema is invalid"),
            (
                "{ schema_path: 'file:///nope/s.json' }",
                "failed to load JSON schema definition: open /nope/s.json: no such file or directory",
            ),
        ] {
            assert_eq!(try_build(&format!("json_schema: {config}")).err().unwrap().to_string(), want);
        }
    }
}
