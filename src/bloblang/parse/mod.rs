//! From source to compiled form, with the positions and words of parse errors.

mod query;
mod scanner;
mod statement;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::compile::{Expr, Maps, Part, Statement};
use crate::environment::Environment;
pub(crate) use scanner::{Best, Fail, Parsed, Source};

/// Deepest nesting of expressions, chains of operators and calls included.
pub(crate) const MAX_DEPTH: usize = 250;
/// Expressions tried before a source is refused: some sources make alternatives multiply.
const MAX_TRIES: usize = 2_000_000;

/// Why a source does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1; 0 where there are no lines, as in interpolated strings.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// Up to five characters of the source at that place.
    pub got: String,
    expects: bool,
}

impl ParseError {
    /// The error without its place, but with the source found there, as processors put it.
    pub fn without_position(&self) -> String {
        match (self.expects, self.got.is_empty()) {
            (true, true) => format!("{}, but reached end of input", self.message),
            (true, false) => format!("{}, got: {}", self.message, self.got),
            (false, true) => self.message.clone(),
            (false, false) => format!("{}: {}", self.message, self.got),
        }
    }

    fn new(fail: &Fail, source: &Source, lines: bool) -> Self {
        let (line, column) = if lines { source.position(fail.at) } else { (0, fail.at + 1) };
        Self {
            line,
            column,
            message: fail.message(),
            got: source.text(fail.at.min(source.chars.len()), (fail.at + 5).min(source.chars.len())),
            expects: !fail.expected.is_empty(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {} ", self.line)?;
        }
        write!(f, "char {}: {}", self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// A parsed mapping.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    pub(crate) statements: Vec<Statement>,
    pub(crate) maps: Maps,
    /// Names of the variables, by slot.
    pub(crate) variables: Vec<Box<str>>,
}

/// What parsing needs beside the source.
pub(crate) struct Parser<'a> {
    pub(crate) source: &'a Source,
    pub(crate) environment: &'a Environment,
    /// Whether functions and methods are built, or only their names and arguments checked.
    pub(crate) build: bool,
    /// Folder that imports are relative to.
    folder: PathBuf,
    /// Names that lambdas captured, innermost last.
    names: Vec<String>,
    /// Variables of the scope being parsed, by slot.
    variables: Vec<Box<str>>,
    depth: usize,
    tries: usize,
    imports: usize,
    /// Position that lines in errors are counted from.
    origin: usize,
}

impl<'a> Parser<'a> {
    fn new(source: &'a Source, environment: &'a Environment, build: bool, folder: &Path) -> Self {
        Self {
            source,
            environment,
            build,
            folder: folder.to_owned(),
            names: Vec::new(),
            variables: Vec::new(),
            depth: 0,
            tries: 0,
            imports: 0,
            origin: 0,
        }
    }

    /// The slot of a variable of the scope being parsed.
    fn slot(&mut self, name: &str) -> u32 {
        let at = self.variables.iter().position(|known| &**known == name).unwrap_or_else(|| {
            self.variables.push(name.into());
            self.variables.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}

/// Parses a mapping; with `build` false, only what can be told without building functions is checked.
pub(crate) fn mapping(text: &str, environment: &Environment, build: bool) -> Result<Mapping, ParseError> {
    let source = Source::new(text);
    let mut parser = Parser::new(&source, environment, build, environment.folder());
    parser.mapping().map_err(|fail| ParseError::new(&fail, &source, true))
}

/// Parses a string with `${! }` in it.
pub(crate) fn interpolated(text: &str, environment: &Environment) -> Result<Vec<Part>, ParseError> {
    let source = Source::new(text);
    let mut parser = Parser::new(&source, environment, true, environment.folder());
    parser.interpolated().map_err(|fail| ParseError::new(&fail, &source, false))
}

impl Parser<'_> {
    fn interpolated(&mut self) -> Result<Vec<Part>, Fail> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(c) = self.source.peek(at) {
            if c != '$' {
                literal.push(c);
                at += 1;
            } else if let Ok(start) = self.source.term(at, "${{!") {
                let mut end = start;
                while self.source.term(end, "}}").is_err() {
                    if self.source.is_end(end) {
                        return Err(Fail::expected(start, "end of escaped expression").required());
                    }
                    end += 1;
                }
                literal.push_str("${!");
                literal.push_str(&self.source.text(start, end));
                literal.push('}');
                at = end + 2;
            } else if let Ok(start) = self.source.term(at, "${!") {
                let (expr, end) = self.query(self.source.blanks(start)).map_err(Fail::required)?;
                let end = self.source.blanks(end);
                at = self.source.char(end, '}').map_err(|fail| fail.named("end of expression").required())?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Expr(expr));
            } else {
                literal.push(c);
                at += 1;
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(parts)
    }

    /// Runs one level deeper, up to a limit.
    fn deeper<T>(&mut self, at: usize, run: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.tries += 1;
        if self.depth >= MAX_DEPTH {
            return Err(Fail::fatal(at, "expression is nested too deeply"));
        }
        if self.tries > MAX_TRIES {
            return Err(Fail::fatal(at, "expression has too many readings"));
        }
        self.depth += 1;
        let result = stacker::maybe_grow(512 * 1024, 4 * 1024 * 1024, || run(self));
        self.depth -= 1;
        result
    }
}

/// Refuses an expression whose tree is too deep for evaluation.
pub(crate) fn check_depth(at: usize, expr: &Expr) -> Result<(), Fail> {
    if expr.depth() > MAX_DEPTH { Err(Fail::fatal(at, "expression is nested too deeply")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(source: &str) -> String {
        mapping(source, &Environment::new(), true).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn places_and_words_of_errors() {
        for (source, want) in [
            ("root.a = ", "line 1 char 10: expected query"),
            ("root.a = 1 # c", "line 1 char 15: expected line break"),
            ("root.a = match this { 1 => 2", "line 1 char 29: required: expected ,, line break, or }"),
            ("root.a = this.foo()", "line 1 char 20: unrecognised method 'foo'"),
            ("meta= {}", "line 1 char 5: expected  or whitespace"),
        ] {
            assert_eq!(error(source), want, "{source}");
        }
        let error = mapping("root.a = ", &Environment::new(), true).unwrap_err();
        assert_eq!(error.without_position(), "expected query, but reached end of input");
        let error = mapping("root.a = 1; root.b = 2", &Environment::new(), true).unwrap_err();
        assert_eq!(error.without_position(), "expected line break, got: ; roo");
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        for (open, close) in
            [("(", ")"), ("[", "]"), ("-(", ")"), ("match this { _ => ", "}"), ("if true { ", "}")]
        {
            let source = format!("root = {}1{}", open.repeat(5000), close.repeat(5000));
            assert!(error(&source).contains("too deeply"), "{open}");
        }
        for link in [".a()", ".string()", ".(this)", " + this"] {
            assert!(!error(&format!("root = this{}", link.repeat(5000))).is_empty(), "{link}");
        }
        let nested = "if true { ".repeat(5000) + &"}".repeat(5000);
        assert!(!error(&nested).is_empty());
    }

    #[test]
    fn nothing_makes_it_panic() {
        let sources = [
            "root.a = this.b.map_each(x -> x.\"a b\" + \"é\\n\").filter(y -> y > 1.5) | {\"k\": [1, null, deleted()]}\n",
            "map m {\n  let v = -(3 % this.n)\n  root = if $v == 2 { @a } else if true { content() } else { match { _ => 1 } }\n}\nmeta x = this.apply(\"m\")\n",
            "if this.x != \"\"\"raw\"\"\" { root.a.\"b.c\" = range(start: 0, stop: 3) } # c\r\nroot = this",
        ];
        let environment = Environment::new();
        for source in sources {
            let chars: Vec<char> = source.chars().collect();
            for at in 0..chars.len() {
                let cut: String = chars.iter().take(at).collect();
                let without: String = chars.iter().take(at).chain(chars.iter().skip(at + 1)).collect();
                let doubled: String = chars.iter().take(at + 1).chain(chars.iter().skip(at)).collect();
                for text in [cut, without, doubled] {
                    drop(mapping(&text, &environment, true));
                    drop(mapping(&text, &environment, false));
                    drop(interpolated(&format!("x ${{!{text}}}"), &environment));
                }
            }
        }
    }
}
