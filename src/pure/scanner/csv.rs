//! `csv`: one message a row of comma-separated values.

use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::{Message, Object, Text, Value};
use weir_core::{
    component::Component,
    csv::{Parser, Record},
    error::Error,
    field::Field,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "csv",
    summary: "Makes a message of each row of comma-separated values.",
    description: "Each message has the metadata `csv_row`, the number of its row counted from 0 (the header row is \
                  not counted). A broken row, or one with more or fewer fields than the first, ends the source \
                  unless `continue_on_error` is set.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("custom_delimiter", "The character between fields, instead of a comma.").optional(),
        Field::bool(
            "parse_header_row",
            "Take the names of the fields from the first row, and make an object of each \
                                         other row. Otherwise each row becomes an array.",
        )
        .default("true"),
        Field::bool(
            "lazy_quotes",
            "Allow a quote inside an unquoted field, and a single one inside a quoted field.",
        )
        .default("false"),
        Field::bool(
            "continue_on_error",
            "Make a message that is flagged as failed of a broken row and go on with the \
                                          next. Rows after a broken one may be misread.",
        )
        .default("false"),
    ]),
    examples: &[Example { title: "Columns between bars", config: "custom_delimiter: '|'" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let delimiter = config.custom_delimiter.and_then(|delimiter| delimiter.chars().next()).unwrap_or(',');
        Ok(Box::new(Csv {
            delimiter,
            header: config.parse_header_row,
            lazy_quotes: config.lazy_quotes,
            continues: config.continue_on_error,
            component: Arc::clone(context.component()),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    custom_delimiter: Option<String>,
    parse_header_row: bool,
    lazy_quotes: bool,
    continue_on_error: bool,
}

struct Csv {
    delimiter: char,
    header: bool,
    lazy_quotes: bool,
    continues: bool,
    component: Arc<Component>,
}

impl Scanner for Csv {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Rows {
            parser: Parser::new(self.delimiter, self.lazy_quotes),
            record: Record::default(),
            wants_header: self.header,
            columns: None,
            names: Vec::new(),
            row: 0,
            continues: self.continues,
            component: Arc::clone(&self.component),
        }))
    }
}

struct Rows {
    parser: Parser,
    record: Record,
    /// The next row names the columns.
    wants_header: bool,
    /// The number of fields that every row must have; known from the first.
    columns: Option<usize>,
    names: Vec<Text>,
    row: i64,
    continues: bool,
    component: Arc<Component>,
}

impl Rows {
    fn drain(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        while let Some(outcome) = self.parser.next(&mut self.record) {
            if let Err(error) = outcome {
                self.broken(Value::object(Object::new()), error.to_string(), out)?;
                continue;
            }
            let columns = *self.columns.get_or_insert(self.record.len());
            if self.wants_header {
                self.names = self.record.fields().map(Text::new).collect();
                self.wants_header = false;
                continue;
            }
            let fields = self.record.fields().map(|field| Value::string(Text::new(field)));
            let value = if self.names.is_empty() {
                fields.collect()
            } else {
                Value::object(self.names.iter().cloned().zip(fields).collect())
            };
            if self.record.len() == columns {
                self.push(Message::from_value(value), out);
            } else {
                let text = format!("record on line {}: wrong number of fields", self.record.line());
                self.broken(value, text, out)?;
            }
        }
        Ok(())
    }

    fn broken(&mut self, value: Value, text: String, out: &mut Vec<Message>) -> Result<(), Error> {
        if !self.continues || self.wants_header {
            return Err(Error::Failed(text));
        }
        let mut message = Message::from_value(value);
        self.component.fail(&mut message, text);
        self.push(message, out);
        Ok(())
    }

    fn push(&mut self, mut message: Message, out: &mut Vec<Message>) {
        message.metadata_mut().set("csv_row", Value::Int(self.row));
        self.row += 1;
        out.push(message);
    }
}

impl Scan for Rows {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        self.parser.feed(&piece);
        self.drain(out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        self.parser.finish();
        self.drain(out)?;
        // A source without its header row is no source of rows.
        if self.wants_header { Err(Error::failed("EOF")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &'static str, header: bool, continues: bool) -> (Vec<String>, Option<String>) {
        let csv = Csv { delimiter: ',', header, lazy_quotes: false, continues, component: Arc::default() };
        let (mut scan, mut out) = (csv.open("").unwrap(), Vec::new());
        let outcome =
            scan.feed(Bytes::from_static(text.as_bytes()), &mut out).and_then(|()| scan.finish(&mut out));
        let shown = out.iter().map(|message| {
            let row = message.metadata().get("csv_row").map(Value::to_json).unwrap_or_default();
            let error = message.error().map_or("", |_| " failed");
            format!("{row} {}{error}", String::from_utf8_lossy(message.content()))
        });
        (shown.collect(), outcome.err().map(|error| error.to_string()))
    }

    #[test]
    fn the_header_names_the_members() {
        let (rows, error) = scanned("b,a,b\n1,2,3\n\"x\",,z", true, false);
        assert_eq!(rows, [r#"0 {"a":"2","b":"3"}"#, r#"1 {"a":"","b":"z"}"#]);
        assert_eq!(error, None);
        assert_eq!(scanned("a,b\n", false, false).0, [r#"0 ["a","b"]"#]);
    }

    #[test]
    fn a_broken_row_ends_the_source_or_is_flagged() {
        let text = "a,b\n1,2\n3\nx\"y,3\n7,8\n";
        let (rows, error) = scanned(text, true, false);
        assert_eq!(rows, [r#"0 {"a":"1","b":"2"}"#]);
        assert_eq!(error.as_deref(), Some("record on line 3: wrong number of fields"));
        let (rows, error) = scanned(text, true, true);
        assert_eq!(
            rows,
            [r#"0 {"a":"1","b":"2"}"#, r#"1 {"a":"3"} failed"#, "2 {} failed", r#"3 {"a":"7","b":"8"}"#]
        );
        assert_eq!(error, None);
    }

    #[test]
    fn an_empty_source_has_no_header() {
        assert_eq!(scanned("", true, false), (vec![], Some("EOF".into())));
    }
}
