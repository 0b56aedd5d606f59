//! Log lines as logfmt or JSON, in the reference's layout.

use super::limit::Limiter;
use crate::secrets::hide;
use serde_json::{Map, Value};
use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{Mutex, PoisonError},
};
use tokio::time::Instant;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// How lines look and where they go.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    /// `logfmt` or `json`.
    pub(crate) json: bool,
    /// Whether lines carry a time.
    pub(crate) add_timestamp: bool,
    /// Key of the level.
    pub(crate) level_name: String,
    /// Key of the time.
    pub(crate) timestamp_name: String,
    /// Key of the text.
    pub(crate) message_name: String,
    /// Fields of every line.
    pub(crate) static_fields: Vec<(String, String)>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            json: false,
            add_timestamp: true,
            level_name: "level".into(),
            timestamp_name: "time".into(),
            message_name: "msg".into(),
            static_fields: vec![("@service".into(), "weir".into())],
        }
    }
}

/// Reads a level; what is unknown is INFO, as in the reference. `None`: nothing is logged.
pub(crate) fn level(text: &str) -> Option<Level> {
    match text.to_ascii_lowercase().as_str() {
        "off" | "none" => None,
        "fatal" | "error" => Some(Level::ERROR),
        "warn" => Some(Level::WARN),
        "debug" => Some(Level::DEBUG),
        "trace" | "all" => Some(Level::TRACE),
        _ => Some(Level::INFO),
    }
}

/// Writes each event as one line.
pub(crate) struct Lines {
    config: LogConfig,
    to: Mutex<(Box<dyn std::io::Write + Send>, Limiter)>,
}

impl Lines {
    pub(crate) fn new(config: LogConfig, to: Box<dyn std::io::Write + Send>) -> Self {
        Self { config, to: Mutex::new((to, Limiter::default())) }
    }

    fn line(&self, level: Level, fields: Map<String, Value>) -> String {
        let config = &self.config;
        let mut fields = fields;
        let text = fields.remove("message").unwrap_or_default();
        // A mapping's own fields come as one JSON object, for their names are not known here.
        if let Some(Value::String(custom)) = fields.remove("fields")
            && let Ok(Value::Object(custom)) = serde_json::from_str(&custom)
        {
            fields.extend(custom);
        }
        for (name, value) in &config.static_fields {
            fields.entry(name.clone()).or_insert_with(|| Value::String(value.clone()));
        }
        let mut head = Vec::new();
        if config.add_timestamp {
            head.push((config.timestamp_name.clone(), Value::String(now())));
        }
        // The library has no such level.
        let fatal = fields.remove("fatal").is_some();
        let level = if fatal { "fatal" } else { level_text(level) };
        head.push((config.level_name.clone(), level.into()));
        head.push((config.message_name.clone(), text));
        if config.json {
            fields.extend(head);
            let mut line = Value::Object(fields).to_string();
            line.push('\n');
            return line;
        }
        let mut line = String::new();
        let always_quoted = [&config.timestamp_name, &config.message_name];
        for (name, value) in head.into_iter().chain(fields) {
            let text = if let Value::String(text) = value { text } else { value.to_string() };
            if !line.is_empty() {
                line.push(' ');
            }
            let quote = always_quoted.contains(&&name)
                || text.is_empty()
                || text.bytes().any(|byte| byte <= b' ' || byte == b'"' || byte == b'=');
            // Writing to a string cannot fail.
            let _written =
                if quote { write!(line, "{name}={text:?}") } else { write!(line, "{name}={text}") };
        }
        line.push('\n');
        line
    }
}

fn level_text(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let mut locked = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let (to, limiter) = &mut *locked;
        let mut lines = String::new();
        for (level, fields) in limiter.admit(*event.metadata().level(), fields.0, Instant::now()) {
            lines += &self.line(level, fields);
        }
        // A log that cannot be written must not stop what it tells about.
        drop(to.write_all(hide(lines).as_bytes()).and_then(|()| to.flush()));
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), Value::String(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::String(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: bool) -> String {
        let config = LogConfig { json, add_timestamp: false, ..LogConfig::default() };
        let mut fields = Map::new();
        fields.insert("message".into(), "it \"works\"".into());
        fields.insert("path".into(), "root.input".into());
        fields.insert("fields".into(), r#"{"n":5}"#.into());
        Lines::new(config, Box::new(std::io::sink())).line(Level::WARN, fields)
    }

    #[test]
    fn logfmt_quotes_what_needs_it() {
        assert_eq!(line(false), "level=warning msg=\"it \\\"works\\\"\" @service=weir n=5 path=root.input\n");
    }

    #[test]
    fn json_keeps_types() {
        let value: Value = serde_json::from_str(&line(true)).unwrap();
        assert_eq!(value["n"], 5);
        assert_eq!(value["msg"], "it \"works\"");
    }
}
