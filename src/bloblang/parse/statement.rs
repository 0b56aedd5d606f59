//! Statements, maps, imports.

use std::path::Path;

use super::{Best, Fail, Mapping, Parsed, Parser, Source};
use crate::compile::{Expr, Map, Maps, Statement, Target};
use crate::text::Text;
use crate::value::Segment;

/// Deepest nesting of imports.
const MAX_IMPORTS: usize = 32;

/// What a block of statements allows.
#[derive(Clone, Copy)]
enum Block {
    /// Everything.
    Top,
    /// The body of an `if`.
    If,
    /// The body of a map.
    Map,
}

/// A statement, or a definition that leaves none.
type Line = Option<Statement>;

impl Parser<'_> {
    /// A whole mapping, in one of its three forms.
    pub(super) fn mapping(&mut self) -> Result<Mapping, Fail> {
        match self.from() {
            Ok(mapping) => return Ok(mapping),
            Err(fail) if fail.fatal.is_some() => return Err(fail),
            Err(_) => {}
        }
        let statements = self.statements();
        match &statements {
            Ok(_) => return statements,
            Err(fail) if fail.fatal.is_some() => return statements,
            Err(_) => {}
        }
        self.variables.clear();
        match (statements, self.bare_query()) {
            (_, Ok(mapping)) => Ok(mapping),
            (Err(left), Err(right)) => Err(if right.at > left.at { right } else { left }),
            (mapping, Err(_)) => mapping,
        }
    }

    fn from(&mut self) -> Result<Mapping, Fail> {
        let start = self.source.term(self.source.trivia(0), "from")?;
        let (path, end) = self.source.quoted(self.source.some_blanks(start)?)?;
        let end = self.source.trivia(end);
        let path = String::from_utf8_lossy(&path).into_owned();
        let mapping = self.import(0, &path)?;
        if self.source.is_end(end) {
            return Ok(mapping);
        }
        let rest = self.source.text(end, self.source.chars.len());
        Err(Fail::fatal(0, format!("unexpected content after single root import: {rest}")))
    }

    /// Reads and parses another file; `at` is where errors point.
    fn import(&mut self, at: usize, path: &str) -> Result<Mapping, Fail> {
        if self.imports >= MAX_IMPORTS {
            return Err(Fail::fatal(at, "failed to read import: imports are nested too deeply"));
        }
        let full = self.folder.join(path);
        let read = self.environment.read(&full);
        let text = read.map_err(|error| Fail::fatal(at, format!("failed to read import: {error}")))?;
        let source = Source::new(&text);
        let folder = full.parent().unwrap_or(Path::new("")).to_owned();
        let mut parser = Parser::new(&source, self.environment, self.build, &folder);
        parser.imports = self.imports + 1;
        parser.statements().map_err(|fail| {
            let (line, column) = source.position(fail.at);
            Fail::fatal(
                at,
                format!("failed to parse import '{path}': line {line} char {column}: {}", fail.message()),
            )
        })
    }

    fn bare_query(&mut self) -> Result<Mapping, Fail> {
        let start = self.source.trivia(0);
        let (value, end) = self.query(start)?;
        let rest = self.source.trivia(end);
        if !self.source.is_end(rest) {
            let mut text = self.source.text(start, end.min(start + 12));
            if end > start + 12 {
                text.push_str("...");
            }
            let what = format!(
                "the mapping to end here as the beginning is shorthand for `root = {text}`, but this shorthand form cannot be followed with more assignments"
            );
            return Err(Fail::expected(rest, what));
        }
        let statement = Statement::Assign { line: 1, target: Target::Root, value };
        Ok(Mapping {
            statements: vec![statement],
            maps: Maps::default(),
            variables: std::mem::take(&mut self.variables),
        })
    }

    fn statements(&mut self) -> Result<Mapping, Fail> {
        let mut maps = Maps::default();
        let mut statements = Vec::new();
        let mut at = self.source.trivia(0);
        loop {
            let (statement, end) = self.statement(at, Block::Top, &mut maps)?;
            statements.extend(statement);
            at = self.source.blanks(end);
            if self.source.is_end(at) {
                break;
            }
            at = self.source.trivia(self.source.line_break(at)?);
            if self.source.is_end(at) {
                break;
            }
        }
        Ok(Mapping { statements, maps, variables: std::mem::take(&mut self.variables) })
    }

    fn statement(&mut self, at: usize, block: Block, maps: &mut Maps) -> Parsed<Line> {
        let mut best = Best::default();
        if matches!(block, Block::Top) {
            for parsed in [self.import_statement(at, maps)] {
                if let Some(parsed) = best.take(parsed)? {
                    return Ok(parsed);
                }
            }
            if let Some(parsed) = best.take(self.map_statement(at, maps))? {
                return Ok(parsed);
            }
        }
        if let Some(parsed) = best.take(self.let_statement(at))? {
            return Ok(parsed);
        }
        if let Some(parsed) = best.take(self.meta_statement(at, block))? {
            return Ok(parsed);
        }
        if let Some(parsed) = best.take(self.assignment(at))? {
            return Ok(parsed);
        }
        let conditional = self.deeper(at, |parser| parser.if_statement(at));
        if let Some(parsed) = best.take(conditional)? {
            return Ok(parsed);
        }
        Err(best.fail(at))
    }

    fn import_statement(&mut self, at: usize, maps: &mut Maps) -> Parsed<Line> {
        let start = self.source.some_blanks(self.source.term(at, "import")?)?;
        let (path, end) = self.source.quoted(start).map_err(|fail| fail.named("filepath").required())?;
        let path = String::from_utf8_lossy(&path).into_owned();
        let mapping = self.import(at, &path)?;
        if mapping.maps.is_empty() {
            return Err(Fail::fatal(at, format!("no maps to import from '{path}'")));
        }
        let collisions: Vec<String> = maps.adopt(mapping.maps);
        if !collisions.is_empty() {
            let names = collisions.join(" ");
            return Err(Fail::fatal(at, format!("map name collisions from import '{path}': [{names}]")));
        }
        Ok((None, end))
    }

    fn map_statement(&mut self, at: usize, maps: &mut Maps) -> Parsed<Line> {
        let start = self.source.some_blanks(self.source.term(at, "map")?)?;
        let (name, end) = self.declared(start, "map name")?;
        let open = self.source.some_blanks(end)?;
        // A map has its own variables, and counts lines from its own beginning.
        let outer = std::mem::take(&mut self.variables);
        let origin = std::mem::replace(&mut self.origin, at);
        let body = self.block(open, Block::Map);
        let variables = std::mem::replace(&mut self.variables, outer);
        self.origin = origin;
        let (statements, end) = body?;
        let map =
            Map { name: name.as_str().into(), statements: statements.into(), variables: variables.len() };
        if !maps.define(map) {
            return Err(Fail::fatal(at, format!("map name collision: {name}")));
        }
        Ok((None, end))
    }

    /// A declared name, quoted or not.
    fn declared(&self, at: usize, what: &'static str) -> Parsed<String> {
        let mut best = Best::default();
        let quoted =
            self.source.quoted(at).map(|(text, end)| (String::from_utf8_lossy(&text).into_owned(), end));
        for parsed in [quoted, self.source.name(at, what)] {
            if let Some(parsed) = best.take(parsed)? {
                return Ok(parsed);
            }
        }
        Err(best.fail(at).named(what).required())
    }

    /// Statements in braces.
    fn block(&mut self, at: usize, block: Block) -> Parsed<Vec<Statement>> {
        let (lines, end) = self.delimited(
            at,
            |parser, at| Ok(parser.source.trivia(parser.source.char(at, '{')?)),
            |parser, at| parser.statement(at, block, &mut Maps::default()),
            |parser, at| Ok(parser.source.trivia(parser.source.line_break(parser.source.blanks(at))?)),
            |parser, at| parser.source.char(parser.source.trivia(at), '}'),
        )?;
        Ok((lines.into_iter().flatten().collect(), end))
    }

    /// The equals sign, blanks around it, and a query.
    fn value(&mut self, at: usize) -> Parsed<Expr> {
        let equals = self.source.char(self.source.some_blanks(at)?, '=')?;
        self.query(self.source.some_blanks(equals)?)
    }

    fn line(&self, at: usize) -> u32 {
        u32::try_from(self.source.line_within(self.origin, at)).unwrap_or(u32::MAX)
    }

    fn let_statement(&mut self, at: usize) -> Parsed<Line> {
        let word = self.source.term(at, "let").map_err(|fail| fail.named("assignment"))?;
        let (name, end) = self.declared(self.source.some_blanks(word)?, "variable name")?;
        let (value, end) = self.value(end)?;
        let target = Target::Variable(self.slot(&name));
        Ok((Some(Statement::Assign { line: self.line(at), target, value }), end))
    }

    fn meta_statement(&mut self, at: usize, block: Block) -> Parsed<Line> {
        let word = self.source.term(at, "meta").map_err(|fail| fail.named("assignment"))?;
        let start = self.source.some_blanks(word)?;
        let (key, end) = match self.source.quoted(start) {
            Ok((key, end)) => (Some(Text::from(key)), end),
            Err(fail) if fail.fatal.is_some() => return Err(fail),
            Err(_) => match self.source.name(start, "assignment") {
                Ok((key, end)) => (Some(Text::from(key)), end),
                Err(_) => (None, start),
            },
        };
        let equals = self.source.char(self.source.blanks(end), '=')?;
        let (value, end) = self.query(self.source.some_blanks(equals)?)?;
        if matches!(block, Block::Map) {
            return Err(Fail::fatal(at, "setting meta fields is not allowed within this block"));
        }
        Ok((Some(Statement::Assign { line: self.line(at), target: Target::Metadata(key), value }), end))
    }

    fn assignment(&mut self, at: usize) -> Parsed<Line> {
        let (path, end) = self.target(at)?;
        let (value, end) = self.value(end)?;
        let target = if path.is_empty() { Target::Root } else { Target::Path(path.into()) };
        Ok((Some(Statement::Assign { line: self.line(at), target, value }), end))
    }

    fn target(&self, at: usize) -> Parsed<Vec<Segment>> {
        let (first, end) = self.source.name(at, "assignment")?;
        let mut path = Vec::new();
        if first != "root" {
            path.push(Segment::new(first));
        }
        let mut at = end;
        while let Ok(dot) = self.source.char(at, '.') {
            match self.source.quoted(dot) {
                Ok((key, after)) => {
                    path.push(Segment::new(Text::from(key)));
                    at = after;
                }
                Err(fail) if fail.fatal.is_some() => return Err(fail),
                Err(_) => {
                    // A path that breaks off counts as its first segment alone; what follows then fails.
                    let Ok((name, after)) = self.source.name(dot, "target path") else {
                        return Ok((path, end));
                    };
                    path.push(Segment::new(name));
                    at = after;
                }
            }
        }
        Ok((path, at))
    }

    fn if_statement(&mut self, at: usize) -> Parsed<Line> {
        let word = self.source.term(at, "if").map_err(|fail| fail.named("assignment"))?;
        let mut branches = Vec::new();
        let mut start = self.source.some_blanks(word)?;
        let mut end = word;
        loop {
            let (condition, after) = self.query(start).map_err(Fail::required)?;
            match self.block(self.source.trivia(after), Block::If) {
                Ok((statements, after)) => {
                    branches.push((Some(condition), statements.into()));
                    end = after;
                }
                Err(fail) if branches.is_empty() || fail.fatal.is_some() => return Err(fail),
                // The statement ends before an `else if` that breaks off.
                Err(_) => break,
            }
            let next = self.source.term(self.source.trivia(end), "else if");
            match next.and_then(|end| self.source.some_blanks(end)) {
                Ok(next) => start = next,
                Err(_) => break,
            }
        }
        if let Ok(start) = self.source.term(self.source.trivia(end), "else") {
            match self.block(self.source.trivia(start), Block::If) {
                Ok((statements, after)) => {
                    branches.push((None, statements.into()));
                    end = after;
                }
                Err(fail) if fail.fatal.is_some() => return Err(fail),
                Err(_) => {}
            }
        }
        Ok((Some(Statement::If { line: self.line(at), branches: branches.into() }), end))
    }
}
