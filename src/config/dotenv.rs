//! Files of environment variables (`-e`): `NAME=value` lines, comments and quoted values.

use std::fmt;

/// A file of variables that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotenvError {
    line: usize,
    column: usize,
    text: String,
}

impl fmt::Display for DotenvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text } = self;
        writeln!(f, "{line}: line {line} char {column}: expected Environment variable assignment")?;
        f.write_str(&crate::excerpt::pointed(text, *line, *column))
    }
}

impl std::error::Error for DotenvError {}

/// Reads the variables of a file. A value in double quotes may hold anything; any other ends at a space, and what
/// follows it is not read.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
    let mut variables = Vec::new();
    for (index, written) in text.lines().enumerate() {
        let line = written.trim_end();
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let name_length = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')));
        let name_length = name_length.unwrap_or(line.len());
        let (name, rest) = line.split_at(name_length);
        let Some(value) = rest.strip_prefix('=').filter(|_| !name.is_empty()) else {
            let column = name.len() + 2;
            return Err(DotenvError { line: index + 1, column, text: written.to_owned() });
        };
        if let Some(value) = quoted(value) {
            variables.push((name.to_owned(), value));
            continue;
        }
        // What follows a space ends the file, as the reference has it.
        let (value, rest) = value.split_once(' ').map_or((value, None), |(value, rest)| (value, Some(rest)));
        variables.push((name.to_owned(), value.to_owned()));
        if rest.is_some() {
            break;
        }
    }
    Ok(variables)
}

fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inner.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_variables() {
        let text = "# a comment\n\nA=inner\nB=\"two # words\"\nC=\"\"\nD='single value'\nE=after\n";
        let variables = parse(text).unwrap();
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(variables, [("A", "inner"), ("B", "two # words"), ("C", ""), ("D", "'single")]);
    }

    #[test]
    fn faults_are_shown_in_place() {
        assert_eq!(
            parse("this is not an assignment\n").unwrap_err().to_string(),
            "1: line 1 char 6: expected Environment variable assignment\n  |\n1 | this is not an assignment\n  |      ^---"
        );
    }
}
