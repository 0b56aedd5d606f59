//! `log`: writes a log line for each message.

use crate::{
    compat::{structured, type_name},
    log::Log,
    scratch::with_scratch,
};
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_bloblang::{Mapped, Message, Object, Value};
use weir_core::{
    build_error::BuildError,
    component::Component,
    error::Error,
    expression::{Interpolated, Mapping},
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "log",
    summary: "Writes a log line for each message.",
    description: "Messages go on unchanged. Lines have the field `custom_source`, which tells them from weir's own.",
    status: Status::Stable,
    body: Body::Fields(&[
        // Not a linted choice: an unknown level is refused when the processor is built.
        Field::string("level", "How important the line is.")
            .default("INFO")
            .suggestions(&["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]),
        Field::mapping("fields_mapping", "A mapping to an object of fields that the line has.").optional(),
        Field::string("message", "The line's text.").interpolated().default("''"),
        Field::string("fields", "Fields that the line has.").interpolated().map().optional().deprecated(),
    ]),
    examples: &[Example {
        title: "A line with a field",
        config: "level: WARN\nmessage: 'no id in ${! content() }'\nfields_mapping: 'root.topic = @kafka_topic'",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let level = Level::parse(&config.level)?;
        let fields_mapping = match &config.fields_mapping {
            Some(text) => super::optional_mapping(text, "fields mapping")?,
            None => None,
        };
        let fields = config.fields.unwrap_or_default().into_iter().collect();
        Ok(Box::new(LogLine {
            level,
            fields_mapping,
            message: config.message,
            fields,
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    level: String,
    fields_mapping: Option<String>,
    message: Interpolated,
    fields: Option<BTreeMap<String, Interpolated>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn parse(text: &str) -> Result<Self, BuildError> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "ERROR" => Self::Error,
            "WARN" => Self::Warn,
            "INFO" => Self::Info,
            "DEBUG" => Self::Debug,
            "TRACE" => Self::Trace,
            other => return Err(BuildError::new(format!("log level not recognised: {other}"))),
        })
    }
}

struct LogLine {
    level: Level,
    fields_mapping: Option<Mapping>,
    message: Interpolated,
    fields: Vec<(String, Interpolated)>,
    log: Log,
}

impl LogLine {
    /// Writes the line of one message. An error takes the line's place.
    fn write(&self, batch: &[Message], index: usize) -> Result<(), String> {
        if !self.is_enabled() {
            return Ok(());
        }
        let mut fields = match &self.fields_mapping {
            Some(mapping) => Self::mapped(mapping, batch, index)?,
            None => Object::default(),
        };
        for (name, value) in &self.fields {
            let value = value.resolve_string(batch, index);
            let value = value.map_err(|error| format!("Field {name} interpolation error: {error}"))?;
            fields.insert(name.as_str(), Value::from(value));
        }
        let text = self.message.resolve_string(batch, index);
        let text = text.map_err(|error| format!("Message interpolation error: {error}"))?;
        let fields = (!fields.is_empty()).then(|| Value::from(fields).to_json());
        self.emit(self.level, &text, fields.as_deref());
        Ok(())
    }

    fn mapped(mapping: &Mapping, batch: &[Message], index: usize) -> Result<Object, String> {
        let made = with_scratch(|scratch| mapping.map(batch, index, scratch));
        let made = match made.map_err(|error| format!("Failed to execute fields mapping: {error}"))? {
            Mapped::Message(made) => made,
            Mapped::Dropped => Message::default(),
        };
        let value = structured(&made).map_err(|error| format!("Failed to extract fields object: {error}"))?;
        let object = value.to_object().map(|object| Object::clone(&object));
        object.ok_or_else(|| format!("Fields mapping yielded a non-object result: {}", type_name(value)))
    }

    fn is_enabled(&self) -> bool {
        match self.level {
            Level::Error => tracing::enabled!(tracing::Level::ERROR),
            Level::Warn => tracing::enabled!(tracing::Level::WARN),
            Level::Info => tracing::enabled!(tracing::Level::INFO),
            Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        }
    }

    /// The fields are one JSON object in the field `fields`, for their names are not known in advance: the
    /// subscriber lays them out beside the others.
    fn emit(&self, level: Level, text: &str, fields: Option<&str>) {
        let Component { label, path, .. } = self.log.component();
        let (stream, custom_source) = (self.log.stream(), true);
        match level {
            Level::Error => tracing::error!(custom_source, label, path, stream, fields, "{text}"),
            Level::Warn => tracing::warn!(custom_source, label, path, stream, fields, "{text}"),
            Level::Info => tracing::info!(custom_source, label, path, stream, fields, "{text}"),
            Level::Debug => tracing::debug!(custom_source, label, path, stream, fields, "{text}"),
            Level::Trace => tracing::trace!(custom_source, label, path, stream, fields, "{text}"),
        }
    }
}

#[async_trait]
impl Processor for LogLine {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        for index in 0..batch.len() {
            if let Err(text) = self.write(&batch, index) {
                self.emit(Level::Error, &text, None);
            }
        }
        Ok(one(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn messages_go_on_unchanged() {
        let config =
            "log: { level: error, message: '${! this.a.uppercase() }', fields_mapping: 'root = [1]' }";
        let out = run(config, &["a", "{\"a\":\"b\"}"]).await;
        assert_eq!(shown(&out), [["a", "{\"a\":\"b\"}"]]);
        assert!(out[0].iter().all(|message| message.error().is_none()));
    }

    #[test]
    fn levels_are_read_without_case() {
        assert_eq!(Level::parse("warn"), Ok(Level::Warn));
        assert_eq!(Level::parse("loud").unwrap_err().to_string(), "log level not recognised: LOUD");
    }
}
