//! How answers look.

use super::{
    Form, Outcome,
    client::{Answer, Failure},
    phase::colour,
};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    io::{IsTerminal as _, Write as _},
};
use weir_control::record::Key;

/// Shows answers on standard output, and on a terminal how far it is.
pub(super) struct Printer {
    form: Form,
    colours: bool,
    /// Whether somebody looks at standard error.
    watched: bool,
    /// Whether a line of progress stands there.
    standing: Cell<bool>,
}

/// Green, yellow and red.
pub(super) const WELL: &str = "32";
pub(super) const SOON: &str = "33";
pub(super) const BAD: &str = "31";

/// A value in a cell.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.replace(char::is_control, " "),
        Some(Value::Array(all)) if all.is_empty() => "-".into(),
        Some(Value::Array(all)) => all.iter().map(|one| cell(Some(one))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
    }
}

/// Columns of these members (`a.b` is inside of `a`), as wide as they need to be.
fn table(rows: &[Value], columns: &[&str], colours: bool) -> String {
    let head = columns
        .iter()
        .map(|name| name.rsplit('.').next().unwrap_or(name).trim_end_matches("_str").to_uppercase());
    let cells = |row: &Value| -> Vec<String> {
        columns.iter().map(|name| cell(row.pointer(&format!("/{}", name.replace('.', "/"))))).collect()
    };
    let lines: Vec<Vec<String>> = std::iter::once(head.collect()).chain(rows.iter().map(cells)).collect();
    aligned(&lines, colours)
}

/// Lines of cells below each other, phases in their colours.
fn aligned(lines: &[Vec<String>], colours: bool) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut shown = String::new();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(text, width)| {
            let padding = " ".repeat(width - text.chars().count());
            match colour(text).filter(|_| colours) {
                Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m{padding}"),
                None => format!("{text}{padding}"),
            }
        });
        shown.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        shown.push('\n');
    }
    shown
}

/// Where a stream is, for people; of what there is nothing to say, nothing is said.
fn status(id: &str, told: &Value, colours: bool) -> String {
    let at = |path: &str| told.pointer(path).unwrap_or(&Value::Null);
    let mut lines = vec![vec!["stream".to_owned(), id.to_owned()]];
    let mut line = |name: &str, value: &Value| {
        if !value.is_null() {
            lines.push(vec![name.to_owned(), cell(Some(value))]);
        }
    };
    for name in ["phase", "since", "reason", "message"] {
        line(name, &told[name]);
    }
    let (desired, running) = (at("/generation/desired"), at("/generation/running"));
    match running {
        Value::Null => line("generation", &json!(format!("{desired}, none runs"))),
        same if same == desired => line("generation", desired),
        other => line("generation", &json!(format!("{desired}, {other} still runs"))),
    }
    line("restarts", &told["restarts"]);
    line("next_retry", &told["next_retry"]);
    for (name, count) in told["counters"].as_object().into_iter().flatten() {
        line(name, count);
    }
    if told["last_error"].is_object() {
        let part = |name: &str| cell(told["last_error"].get(name));
        let text =
            format!("{}, {} times, at {}: {}", part("time"), part("count"), part("path"), part("message"));
        line("last_error", &text.into());
    }
    let mut shown = aligned(&lines, colours);
    for (name, columns) in [
        ("connections", &["path", "label", "connected", "since", "error"][..]),
        ("conditions", &["type", "since", "message"]),
    ] {
        let rows = told[name].as_array().map_or(&[][..], Vec::as_slice);
        if !rows.is_empty() {
            shown.push('\n');
            shown.push_str(&table(rows, columns, colours));
        }
    }
    shown
}

/// A value as YAML.
fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|error| format!("# {error}\n"))
}

impl Printer {
    pub(super) fn new(form: Form) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { form, colours, watched: std::io::stderr().is_terminal(), standing: Cell::new(false) }
    }

    /// Says how far it is, in a line that is written over.
    pub(super) fn progress(&self, text: &str) {
        if self.watched {
            eprint!("\r\x1b[K{}", cell(Some(&text.into())));
            self.standing.set(true);
        }
    }

    /// Takes the line of progress away.
    pub(super) fn clear(&self) {
        if self.standing.take() {
            eprint!("\r\x1b[K");
        }
    }

    /// Says what went wrong.
    pub(super) fn complain(&self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    fn out(&self, text: &str) -> Result<Outcome, Failure> {
        self.clear();
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written
            .map(|()| Outcome::Done)
            .map_err(|error| Failure::Refused(format!("it cannot be shown: {error}")))
    }

    /// One line.
    pub(super) fn line(&self, text: &str) -> Result<Outcome, Failure> {
        match self.form {
            Form::Yaml => {
                let value: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                self.out(&format!("---\n{}", yaml(&value)))
            }
            Form::Table | Form::Json => self.out(&format!("{text}\n")),
        }
    }

    /// An answer whose rows are shown as a table.
    pub(super) fn rows(&self, whole: &Value, rows: &[Value], columns: &[&str]) -> Result<Outcome, Failure> {
        match self.form {
            Form::Table => self.out(&table(rows, columns, self.colours)),
            Form::Json | Form::Yaml => self.one(whole),
        }
    }

    /// An answer that is a list.
    pub(super) fn list(&self, whole: &Value, columns: &[&str]) -> Result<Outcome, Failure> {
        self.rows(whole, whole.as_array().map_or(&[][..], Vec::as_slice), columns)
    }

    /// An answer that is no list.
    pub(super) fn one(&self, value: &Value) -> Result<Outcome, Failure> {
        match self.form {
            Form::Json => self.out(&format!("{value:#}\n")),
            Form::Table | Form::Yaml => self.out(&yaml(value)),
        }
    }

    /// What was submitted; the text alone, for people.
    pub(super) fn text(&self, value: &Value) -> Result<Outcome, Failure> {
        match (self.form, value.get("text").and_then(Value::as_str)) {
            (Form::Table, Some(text)) => self.out(&format!("{}\n", text.trim_end_matches('\n'))),
            _ => self.one(value),
        }
    }

    /// A plan: `text` for people, diffs in colour.
    pub(super) fn plan(&self, plan: &Value, text: &str) -> Result<Outcome, Failure> {
        if self.form != Form::Table {
            return self.one(plan);
        }
        let shown = text.lines().map(|line| match line.as_bytes().first().filter(|_| self.colours) {
            Some(b'+') => format!("\x1b[{WELL}m{line}\x1b[0m\n"),
            Some(b'-') => format!("\x1b[{BAD}m{line}\x1b[0m\n"),
            _ => format!("{line}\n"),
        });
        self.out(&shown.collect::<String>())
    }

    /// Something in a sentence; the whole of it for scripts.
    pub(super) fn said(&self, value: &Value, text: &str) -> Result<Outcome, Failure> {
        match self.form {
            Form::Table => self.out(&format!("{text}\n")),
            Form::Json | Form::Yaml => self.one(value),
        }
    }

    /// Where a stream is.
    pub(super) fn status(&self, id: &str, told: &Value) -> Result<Outcome, Failure> {
        match self.form {
            Form::Table => self.out(&status(id, told, self.colours)),
            Form::Json | Form::Yaml => self.one(told),
        }
    }

    /// What was done, in a sentence; for scripts the server's answer as well.
    pub(super) fn done(&self, answer: &Answer, key: &Key, done: &str) -> Result<Outcome, Failure> {
        let told = answer.json()?;
        let mut told = if told.is_object() { told } else { json!({}) };
        told["kind"] = key.kind.name().into();
        told["id"] = (*key.id).into();
        told["done"] = done.into();
        told["revision"] = answer.revision.into();
        self.said(&told, &format!("{} {} is {done}", key.kind.name(), key.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_need_be() {
        let rows = [
            json!({ "id": "a", "phase": "Running", "over": { "actor": "ann\u{1b}" } }),
            json!({ "id": "bcd", "phase": "Failed", "over": null }),
        ];
        let shown = table(&rows, &["id", "phase", "over.actor"], false);
        assert_eq!(shown, "ID   PHASE    ACTOR\na    Running  ann\nbcd  Failed   -\n");
        assert!(table(&rows, &["phase"], true).contains("\x1b[31mFailed\x1b[0m"));
    }

    #[test]
    fn a_status_says_what_there_is_to_say() {
        let told = json!({ "phase": "Running", "since": "t", "generation": { "desired": 2, "running": 1 },
            "reason": null, "restarts": 0, "next_retry": null, "counters": { "received": 7 },
            "last_error": { "time": "u", "path": null, "message": "no\nway", "count": 3 },
            "connections": [{ "path": "input", "label": "", "connected": true, "since": "t", "error": null }],
            "conditions": [] });
        let wanted = "stream      a\nphase       Running\nsince       t\ngeneration  2, 1 still runs\n\
            restarts    0\nreceived    7\nlast_error  u, 3 times, at -: no way\n\n\
            PATH   LABEL  CONNECTED  SINCE  ERROR\ninput         true       t      -\n";
        assert_eq!(status("a", &told, false), wanted);
        assert!(status("a", &told, true).contains("\x1b[32mRunning\x1b[0m"));
    }
}
