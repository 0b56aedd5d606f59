//! Rows of comma-separated values.

use super::{MAX_PARTS, too_many};
use weir_bloblang::{Object, Value};
use weir_core::csv::{Parser, Record};

/// An object for each row after the header.
pub(super) fn rows(content: &[u8], delimiter: char) -> Result<Vec<Value>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("failed to parse message as csv: {error}");
    let mut reader = Parser::new(delimiter, false);
    reader.feed(content);
    reader.finish();
    let mut record = Record::default();
    let mut header: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    while let Some(read) = reader.next(&mut record) {
        read.map_err(|error| failed(&error))?;
        let Some(header) = &header else {
            header = Some(record.fields().map(|name| String::from_utf8_lossy(name).into_owned()).collect());
            continue;
        };
        if record.len() != header.len() {
            // The reference's reader finds it first.
            return Err(failed(&format_args!("record on line {}: wrong number of fields", record.line())));
        }
        if rows.len() == MAX_PARTS {
            return Err(too_many());
        }
        let mut row = Object::default();
        for (name, field) in header.iter().zip(record.fields()) {
            row.insert(name.as_str(), Value::from(&*String::from_utf8_lossy(field)));
        }
        rows.push(Value::from(row));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_objects() {
        let rows: Vec<_> =
            rows(b"id;name\n1;\"a;\nb\"\n\n2;\n", ';').unwrap().iter().map(Value::to_json).collect();
        assert_eq!(rows, ["{\"id\":\"1\",\"name\":\"a;\\nb\"}", "{\"id\":\"2\",\"name\":\"\"}"]);
    }

    #[test]
    fn broken_rows_fail_all() {
        assert_eq!(
            rows(b"a,b\n1,\"x\"y\n", ',').unwrap_err(),
            "failed to parse message as csv: parse error on line 2, column 5: extraneous or missing \" in quoted-field"
        );
        assert_eq!(
            rows(b"a,b\n1\n", ',').unwrap_err(),
            "failed to parse message as csv: record on line 2: wrong number of fields"
        );
    }
}
