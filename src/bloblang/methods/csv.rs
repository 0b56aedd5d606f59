//! Reading CSV.

use super::target::text;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Default, Param, Spec};
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] =
    &[Spec::method("parse_csv", "Parses CSV into an array of objects.", PARSE, parse_csv)];

const PARSE: &[Param] = &[
    Param::bool("parse_header_row", "Whether the first row names the fields.").default(Default::Bool(true)),
    Param::string("delimiter", "What stands between fields.").default(Default::String(",")),
    Param::bool("lazy_quotes", "Whether quotes may stand anywhere.").default(Default::Bool(false)),
];

/// Most fields of a record.
const MAX_FIELDS: usize = 1 << 20;

fn parse_csv(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let delimiter = args.str(1);
    let mut chars = delimiter.chars();
    let (Some(comma), None) = (chars.next(), chars.next()) else {
        return Err(Fault::new("delimiter value must be exactly one character"));
    };
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 16)?;
    if matches!(comma, '"' | '\r' | '\n' | '\u{FFFD}') {
        return Err(Fault::new("csv: invalid field or comment delimiter"));
    }
    let mut encoded = [0; 4];
    let comma = comma.encode_utf8(&mut encoded).as_bytes();
    let mut reader =
        Reader { lines: Lines { rest: &text.bytes }, comma, lazy: args.bool(2) == Some(true), line: 0 };
    let mut rows: Vec<Vec<Text>> = Vec::new();
    while let Some(row) = reader.row()? {
        if let Some(first) = rows.first()
            && first.len() != row.len()
        {
            return Err(Fault::new(format!("record on line {}: wrong number of fields", reader.line)));
        }
        cx.charge(40 + 88 * row.len())?;
        rows.push(row);
    }
    let mut rows = rows.into_iter();
    let strings = |row: Vec<Text>| row.into_iter().map(Value::String).collect::<Value>();
    if args.bool(0) == Some(false) {
        let all: Vec<Value> = rows.map(strings).collect();
        return if all.is_empty() { Err(Fault::new("zero records were parsed")) } else { Ok(all.into()) };
    }
    let Some(headers) = rows.next() else { return Err(Fault::new("zero records were parsed")) };
    let object = |row: Vec<Text>| {
        let members = headers.iter().cloned().zip(row.into_iter().map(Value::String));
        Value::from(members.collect::<Object>())
    };
    Ok(rows.map(object).collect())
}

/// Lines with their line feed, CRLF made LF.
struct Lines<'a> {
    rest: &'a [u8],
}

impl Lines<'_> {
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        let mut line = line.to_vec();
        if line.ends_with(b"\r\n") {
            line.truncate(line.len() - 2);
            line.push(b'\n');
        } else if rest.is_empty() && line.ends_with(b"\r") {
            line.pop();
        }
        Some(line)
    }
}

struct Reader<'a> {
    lines: Lines<'a>,
    comma: &'a [u8],
    lazy: bool,
    /// Number of lines read.
    line: usize,
}

impl Reader<'_> {
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.next()?;
        self.line += 1;
        Some(line)
    }

    fn error(&self, start: usize, column: usize, problem: &str) -> Fault {
        let line = self.line;
        Fault::new(if start == line {
            format!("parse error on line {line}, column {column}: {problem}")
        } else {
            format!("record on line {start}; parse error on line {line}, column {column}: {problem}")
        })
    }

    /// The next row; blank lines are none.
    fn row(&mut self) -> Result<Option<Vec<Text>>, Fault> {
        let mut line = loop {
            match self.next_line() {
                None => return Ok(None),
                Some(line) if line == b"\n" || line.is_empty() => {}
                Some(line) => break line,
            }
        };
        let start = self.line;
        let mut row = Vec::new();
        let mut at = 0;
        loop {
            if row.len() == MAX_FIELDS {
                return Err(Fault::new(format!("record on line {start}: more than {MAX_FIELDS} fields")));
            }
            let rest = line.get(at..).unwrap_or_default();
            if rest.first() != Some(&b'"') {
                let found = memchr::memmem::find(rest, self.comma);
                let field = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
                let field = if found.is_none() { field.strip_suffix(b"\n").unwrap_or(field) } else { field };
                if !self.lazy
                    && let Some(quote) = memchr::memchr(b'"', field)
                {
                    return Err(self.error(start, at + quote + 1, "bare \" in non-quoted-field"));
                }
                row.push(Text::new(field));
                match found {
                    Some(len) => at += len + self.comma.len(),
                    None => return Ok(Some(row)),
                }
                continue;
            }
            at += 1;
            let mut field = Vec::new();
            let ended = loop {
                let rest = line.get(at..).unwrap_or_default();
                let Some(quote) = memchr::memchr(b'"', rest) else {
                    field.extend_from_slice(rest);
                    match self.next_line() {
                        Some(next) => {
                            line = next;
                            at = 0;
                            continue;
                        }
                        None if self.lazy => break true,
                        None => {
                            return Err(self.error(
                                start,
                                line.len() + 1,
                                "extraneous or missing \" in quoted-field",
                            ));
                        }
                    }
                };
                field.extend_from_slice(rest.get(..quote).unwrap_or_default());
                at += quote + 1;
                let rest = line.get(at..).unwrap_or_default();
                if rest.first() == Some(&b'"') {
                    field.push(b'"');
                    at += 1;
                } else if rest.starts_with(self.comma) {
                    at += self.comma.len();
                    break false;
                } else if rest.is_empty() || rest == b"\n" {
                    break true;
                } else if self.lazy {
                    field.push(b'"');
                } else {
                    return Err(self.error(start, at, "extraneous or missing \" in quoted-field"));
                }
            };
            row.push(Text::new(&field));
            if ended {
                return Ok(Some(row));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, lazy: bool) -> Result<Vec<Vec<String>>, String> {
        let mut reader = Reader { lines: Lines { rest: text.as_bytes() }, comma: b",", lazy, line: 0 };
        let mut out = Vec::new();
        while let Some(row) = reader.row().map_err(|fault| fault.to_string())? {
            out.push(row.iter().map(ToString::to_string).collect());
        }
        Ok(out)
    }

    #[test]
    fn rows_and_quotes() {
        assert_eq!(
            rows("a,b\r\n\n1,\"x,\"\"y\nz\"\n", false).unwrap(),
            [vec!["a", "b"], vec!["1", "x,\"y\nz"]]
        );
        assert_eq!(rows("a,", false).unwrap(), [vec!["a", ""]]);
        assert_eq!(rows("a\"b,c", true).unwrap(), [vec!["a\"b", "c"]]);
        assert_eq!(
            rows("a\"b,c", false).unwrap_err(),
            "parse error on line 1, column 2: bare \" in non-quoted-field"
        );
        assert!(rows("\"abc", false).is_err());
    }
}
