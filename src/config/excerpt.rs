//! The place of an error in a text, as it is shown to people.

/// A line of a text with a mark below one of its columns.
pub fn pointed(text: &str, line: usize, column: usize) -> String {
    let margin = " ".repeat(line.to_string().len());
    let before = " ".repeat(column.saturating_sub(1));
    format!("{margin} |\n{line} | {text}\n{margin} | {before}^---")
}
