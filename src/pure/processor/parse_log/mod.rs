//! `parse_log`: makes objects of log lines in the formats of syslog.

mod cursor;
mod rfc3164;
mod rfc5424;

use super::flag;
use crate::log::Log;
use jiff::tz::TimeZone;
use rfc3164::{Stamps, Year};
use serde::Deserialize;
use std::mem;
use weir_bloblang::{Message, Object, Value};
use weir_core::{
    build_error::BuildError,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "parse_log",
    summary: "Makes an object of a log line in a common format.",
    description: "What a line does not have is not in the object. `syslog_rfc5424` gives `message`, `timestamp` (RFC 3339), \
                  `facility`, `severity`, `priority`, `version`, `hostname`, `appname`, `procid`, `msgid` and \
                  `structureddata`; `syslog_rfc3164` gives those but the last two and the version, `appname` and \
                  `procid` where the message begins like `app[123]: ` or `app: `. A line that is none \
                  goes on unchanged, flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("format", "The format of the lines.").options(&["syslog_rfc5424", "syslog_rfc3164"]),
        Field::bool(
            "best_effort",
            "Whether a line of `syslog_rfc3164` is taken for its priority alone where its time is broken off.",
        )
        .default("true")
        .advanced(),
        Field::bool("allow_rfc3339", "Whether lines of `syslog_rfc3164` may have times as in RFC 3339.")
            .default("true")
            .advanced(),
        Field::string(
            "default_year",
            "The year of `syslog_rfc3164`, which has none: `current`, a number, or empty for year 0.",
        )
        .default("current")
        .advanced(),
        Field::string("default_timezone", "The zone that times of `syslog_rfc3164` are shown in.")
            .default("UTC")
            .advanced(),
        Field::string("codec", "The result is always structured.").optional().deprecated(),
    ]),
    examples: &[Example {
        title: "Lines of a daemon",
        config: "format: syslog_rfc3164\ndefault_timezone: Europe/Berlin",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let format = match config.format.as_str() {
            "syslog_rfc5424" => Format::Rfc5424,
            "syslog_rfc3164" => Format::Rfc3164(config.stamps()?),
            other => return Err(BuildError::new(format!("format not recognised: {other}"))),
        };
        Ok(Box::new(ParseLog { format, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    format: String,
    best_effort: bool,
    allow_rfc3339: bool,
    default_year: String,
    default_timezone: String,
    #[expect(dead_code, reason = "accepted for old configs")]
    codec: Option<String>,
}

impl Config {
    fn stamps(&self) -> Result<Stamps, BuildError> {
        let year = match self.default_year.as_str() {
            "current" => Year::Current,
            "" => Year::Fixed(0),
            text => Year::Fixed(text.parse().map_err(|_| {
                BuildError::new(format!("failed to convert year {text} into integer")).at("default_year")
            })?),
        };
        let zone = match self.default_timezone.as_str() {
            "" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|_| {
                BuildError::new(format!("failed to lookup timezone UTC - unknown time zone {name}"))
            })?,
        };
        Ok(Stamps { rfc3339: self.allow_rfc3339, year, zone, best_effort: self.best_effort })
    }
}

enum Format {
    Rfc5424,
    Rfc3164(Stamps),
}

struct ParseLog {
    format: Format,
    log: Log,
}

impl Processor for ParseLog {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            let mut message = mem::take(message);
            let parsed = match &self.format {
                Format::Rfc5424 => rfc5424::parse(message.content()),
                Format::Rfc3164(stamps) => rfc3164::parse(message.content(), stamps),
            };
            match parsed {
                Ok(fields) => message.set_value(Value::object(fields)),
                Err(text) => {
                    self.log.debug(format_args!("Failed to parse message: {text}"));
                    flag(&mut message, text);
                }
            }
            out.push(message);
        }
    }
}

/// What a priority says.
fn insert_priority(fields: &mut Object, priority: u8) {
    fields.insert("priority", Value::Int(priority.into()));
    fields.insert("facility", Value::Int((priority / 8).into()));
    fields.insert("severity", Value::Int((priority % 8).into()));
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, try_build};
    use weir_bloblang::Message;

    /// The object of a line, or why there is none.
    fn shown(message: &Message) -> String {
        match message.error() {
            Some(error) => error.text.clone(),
            None => String::from_utf8_lossy(message.content()).into_owned(),
        }
    }

    async fn check(config: &str, lines: &[(&str, &str)]) {
        let input: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
        let out = run(&format!("parse_log: {config}"), &input).await;
        for ((line, want), message) in lines.iter().zip(&out[0]) {
            let got = shown(message);
            assert!(if want.starts_with('{') { got == *want } else { got.contains(want) }, "{line}: {got}");
        }
    }

    #[tokio::test]
    async fn rfc5424() {
        let common = r#""facility":0,"hostname":"h","msgid":"m","priority":1,"procid":"p","severity":1"#;
        let line = |more: &str| format!("{{\"appname\":\"a\",{}}}", more.replace("COMMON", common));
        let [plain, timed, message, empty] = [
            line(r#"COMMON,"version":1"#),
            line(r#"COMMON,"timestamp":"2003-02-28T22:14:15.5Z","version":1"#),
            line(
                r#""facility":0,"hostname":"h","message":" two  spaces ","msgid":"m","priority":1,"procid":"p","severity":1,"version":1"#,
            ),
            line(r#"COMMON,"structureddata":{"a":{"b":"x\"]"},"c":{}},"version":1"#),
        ];
        check(
            "{ format: syslog_rfc5424 }",
            &[
                ("<1>1 - h a p m - ", &plain),
                ("<1>1 2003-02-28T22:14:15.500+00:00 h a p m -", &timed),
                ("<1>1 - h a p m -  two  spaces ", &message),
                (r#"<1>1 - h a p m [a b="x\"\]"][c]"#, &empty),
                ("<1>1x", "parsing error [col 4]"),
                ("<1>12x", "expecting a version value in the range 1-999 [col 5]"),
                ("<1>1 2003-10-11T22:14:15.0000001Z h a p m -", "or a nil value [col 31]"),
                (
                    "<1>1 2003-02-30T22:14:15Z h a p m -",
                    "parsing time \"2003-02-30T22:14:15Z\": day out of range [col 25]",
                ),
                (
                    "<1>1 - h a p m",
                    "expecting a msgid (from 1 to max 32 US-ASCII characters) or a nil value [col 14]",
                ),
                ("<1>1 - h a p m -x", "parsing error [col 16]"),
                ("<1>1 - h a p m x", "expecting a structured data section"),
                ("<1>1 - h a p m [a]x", "expecting a structured data section"),
                ("<1>1 - h a p m [a][a] x", "duplicate structured data element id [col 20]"),
                ("<1>1 - h a p m [a=", "expecting a structured data element id"),
                ("<1>1 - h a p m [a ]", "expecting a structured data parameter"),
                (r#"<1>1 - h a p m [a b="\x"] x"#, "to be escaped within param value [col 22]"),
                (r#"<1>1 - h a p m [a b="x]"] x"#, "to be escaped within param value [col 22]"),
                (r#"<1>1 - h a p m [a b="x"y] x"#, "expecting a structured data parameter"),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn rfc3164() {
        let fields = |more: &str, message: &str, time: &str| {
            format!(
                "{{{more}\"facility\":4,\"hostname\":\"h\",\"message\":\"{message}\",\"priority\":34,\"severity\":2,\"timestamp\":\"{time}\"}}"
            )
        };
        let time = "2021-10-11T22:14:15Z";
        let tagged = fields("\"appname\":\"a\",", "b: c", time);
        let plain = fields("", "a b: c", time);
        let leap = fields("\"appname\":\"a\",", "x", "2021-03-01T22:14:15Z");
        let full = fields("\"appname\":\"a\",", "x", "2019-12-02T16:49:23+01:00");
        check(
            "{ format: syslog_rfc3164, default_year: '2021' }",
            &[
                ("<34>Oct 11 22:14:15 h a: b: c", &tagged),
                ("<34>Oct 11 22:14:15 h a b: c", &plain),
                (
                    "<34>Oct 11 22:14:15 h a[1]: see [2]: x",
                    "\"message\":\"see [2]: x\",\"priority\":34,\"procid\":\"1\"",
                ),
                ("<34>Oct 11 22:14:15 h a[x[3]]: b", "\"procid\":\"x[3]\""),
                (
                    "<34>Oct 11 22:14:15 h a[1] b",
                    "\"appname\":\"a\",\"facility\":4,\"hostname\":\"h\",\"message\":\"1] b\"",
                ),
                (
                    "<34>Oct 11 22:14:15 h a:b",
                    "\"appname\":\"a\",\"facility\":4,\"hostname\":\"h\",\"message\":\"a:b\"",
                ),
                ("<34>Oct 11 22:14:15", "{\"facility\":4,\"priority\":34,\"severity\":2}"),
                ("<34>2019-13", "{\"facility\":4,\"priority\":34,\"severity\":2}"),
                ("<34>Feb 29 22:14:15 h a: x", &leap),
                ("<34>2019-12-02T16:49:23+01:00 h a: x", &full),
                ("<34>Feb 30 22:14:15 h a: b", "parsing time \"Feb 30 22:14:15\": day out of range [col 19]"),
                ("<34>Oct 11 22:14:15 h ", "expecting an alphanumeric tag (max 32 characters) [col 22]"),
                ("<192>Oct 11 22:14:15 h a: b", "in the range 1-191 or equal to 0 [col 3]"),
                ("<34>Oct 1 22:14:15 h a: x", "expecting a Stamp timestamp [col 9]"),
                ("<34>2019-12-02T16:49:23+25:00 h a: b", "expecting a Stamp or a RFC3339 timestamp [col 25]"),
            ],
        )
        .await;
    }

    #[test]
    fn zones_and_years_must_be_known() {
        for (config, want) in [
            ("default_year: soon", "field 'default_year': failed to convert year soon into integer"),
            ("default_timezone: Mars/Base", "failed to lookup timezone UTC - unknown time zone Mars/Base"),
        ] {
            let config = format!("parse_log: {{ format: syslog_rfc3164, {config} }}");
            assert_eq!(try_build(&config).err().unwrap().to_string(), want);
        }
    }
}
