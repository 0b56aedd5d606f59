//! How answers look.

use super::{
    Form, Outcome,
    client::{Answer, Failure},
};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};

/// Shows answers on standard output.
pub(super) struct Printer {
    form: Form,
    colours: bool,
}

/// Green, yellow and red.
const WELL: &str = "32";
const SOON: &str = "33";
const BAD: &str = "31";

/// The colour of a phase; none for what is no phase.
fn colour(word: &str) -> Option<&'static str> {
    match word {
        "Running" | "Completed" => Some(WELL),
        "Pending" | "Starting" | "Stopping" | "Paused" | "OnProbation" | "Degraded" | "BackingOff" => {
            Some(SOON)
        }
        "Failed" | "Invalid" | "RolledBack" | "Quarantined" | "Stalled" => Some(BAD),
        _ => None,
    }
}

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
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut shown = String::new();
    for line in &lines {
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

/// A value as YAML.
fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|error| format!("# {error}\n"))
}

impl Printer {
    pub(super) fn new(form: Form) -> Self {
        Self { form, colours: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn out(text: &str) -> Result<Outcome, Failure> {
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
                Self::out(&format!("---\n{}", yaml(&value)))
            }
            Form::Table | Form::Json => Self::out(&format!("{text}\n")),
        }
    }

    /// An answer whose rows are shown as a table.
    pub(super) fn rows(&self, whole: &Value, rows: &[Value], columns: &[&str]) -> Result<Outcome, Failure> {
        match self.form {
            Form::Table => Self::out(&table(rows, columns, self.colours)),
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
            Form::Json => Self::out(&format!("{value:#}\n")),
            Form::Table | Form::Yaml => Self::out(&yaml(value)),
        }
    }

    /// What was submitted; the text alone, for people.
    pub(super) fn text(&self, value: &Value) -> Result<Outcome, Failure> {
        match (self.form, value.get("text").and_then(Value::as_str)) {
            (Form::Table, Some(text)) => Self::out(&format!("{}\n", text.trim_end_matches('\n'))),
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
        Self::out(&shown.collect::<String>())
    }

    /// Something in a sentence; the whole of it for scripts.
    pub(super) fn said(&self, value: &Value, text: &str) -> Result<Outcome, Failure> {
        match self.form {
            Form::Table => Self::out(&format!("{text}\n")),
            Form::Json | Form::Yaml => self.one(value),
        }
    }

    /// Something that was done, in a sentence; the server's answer for scripts.
    pub(super) fn done(&self, answer: &Answer, text: &str) -> Result<Outcome, Failure> {
        self.said(&answer.json()?, text)
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
}
