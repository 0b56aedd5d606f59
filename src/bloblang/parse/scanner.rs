//! The scanner: the smallest pieces of the grammar, each at a position of the source.

use std::borrow::Cow;

use crate::number;

/// Why a piece did not parse.
#[derive(Clone, Debug)]
pub(crate) struct Fail {
    /// Position in characters.
    pub(crate) at: usize,
    /// What would have been taken there.
    pub(crate) expected: Vec<Cow<'static, str>>,
    /// Set once the source is wrong whatever alternative is tried.
    pub(crate) fatal: Option<String>,
}

pub(crate) type Parsed<T> = Result<(T, usize), Fail>;

impl Fail {
    pub(crate) fn expected(at: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self { at, expected: vec![what.into()], fatal: None }
    }

    pub(crate) fn fatal(at: usize, text: impl Into<String>) -> Self {
        Self { at, expected: Vec::new(), fatal: Some(text.into()) }
    }

    /// No alternative is left: the point is committed.
    #[must_use]
    pub(crate) fn required(mut self) -> Self {
        self.fatal.get_or_insert_with(|| "required".to_owned());
        self
    }

    /// Names the whole instead of its parts.
    #[must_use]
    pub(crate) fn named(mut self, what: &'static str) -> Self {
        if self.fatal.is_none() {
            self.expected = vec![what.into()];
        }
        self
    }

    /// Adds what another alternative would have taken.
    pub(crate) fn join(&mut self, other: Fail) {
        self.expected.extend(other.expected);
        if self.fatal.is_none() {
            self.fatal = other.fatal;
        }
    }

    /// The text, without position.
    pub(crate) fn message(&self) -> String {
        let mut text = self.fatal.clone().unwrap_or_default();
        if self.expected.is_empty() {
            return text;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str("expected ");
        if let [only] = &*self.expected {
            text.push_str(only);
            return text;
        }
        let mut distinct: Vec<&str> = Vec::new();
        for what in &self.expected {
            if !distinct.contains(&&**what) {
                distinct.push(what);
            }
        }
        let last = distinct.len() - 1;
        for (n, what) in distinct.iter().enumerate() {
            // A list of equal alternatives keeps its "or": the reference does so.
            text.push_str(match (n == last, last > 1, n) {
                (true, true, _) => ", or ",
                (true, false, _) => " or ",
                (false, _, 0) => "",
                (false, ..) => ", ",
            });
            text.push_str(what);
        }
        text
    }
}

/// Collects the failures of alternatives: the furthest wins, equals are joined.
#[derive(Default)]
pub(crate) struct Best(Option<Fail>);

impl Best {
    /// Takes the failure of one alternative; a fatal one ends the search.
    pub(crate) fn take<T>(&mut self, result: Parsed<T>) -> Result<Option<(T, usize)>, Fail> {
        match result {
            Ok(parsed) => Ok(Some(parsed)),
            Err(fail) if fail.fatal.is_some() => Err(fail),
            Err(fail) => {
                match &mut self.0 {
                    Some(best) if best.at == fail.at => best.join(fail),
                    Some(best) if best.at > fail.at => {}
                    best => *best = Some(fail),
                }
                Ok(None)
            }
        }
    }

    /// The failure of all alternatives.
    pub(crate) fn fail(self, at: usize) -> Fail {
        self.0.unwrap_or(Fail { at, expected: Vec::new(), fatal: None })
    }
}

/// The source in characters, since positions count them.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) chars: Vec<char>,
    /// Lengths of the lines in bytes: positions are found with them, as the reference does.
    lines: Vec<usize>,
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), lines: text.split('\n').map(str::len).collect() }
    }

    /// Line and column, from 1, of a position.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        locate(&self.lines, at)
    }

    /// The line of a position, counted from the line another position is on.
    pub(crate) fn line_within(&self, from: usize, at: usize) -> usize {
        let rest: String = self.chars.iter().skip(from).collect();
        let lines: Vec<usize> = rest.split('\n').map(str::len).collect();
        locate(&lines, at.saturating_sub(from)).0
    }

    pub(crate) fn peek(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    pub(crate) fn text(&self, from: usize, to: usize) -> String {
        self.chars.get(from..to).unwrap_or_default().iter().collect()
    }

    pub(crate) fn is_end(&self, at: usize) -> bool {
        at >= self.chars.len()
    }

    fn run(&self, at: usize, take: impl Fn(char) -> bool) -> usize {
        at + self.chars.iter().skip(at).take_while(|c| take(**c)).count()
    }

    /// One character.
    pub(crate) fn char(&self, at: usize, want: char) -> Result<usize, Fail> {
        if self.peek(at) == Some(want) { Ok(at + 1) } else { Err(Fail::expected(at, want.to_string())) }
    }

    /// A word, without regard to what follows it.
    pub(crate) fn term(&self, at: usize, want: &'static str) -> Result<usize, Fail> {
        let mut end = at;
        for c in want.chars() {
            if self.peek(end) != Some(c) {
                return Err(Fail::expected(at, want));
            }
            end += 1;
        }
        Ok(end)
    }

    /// Any blanks.
    pub(crate) fn blanks(&self, at: usize) -> usize {
        self.run(at, |c| c == ' ' || c == '\t')
    }

    /// At least one blank.
    pub(crate) fn some_blanks(&self, at: usize) -> Result<usize, Fail> {
        let end = self.blanks(at);
        if end > at { Ok(end) } else { Err(Fail::expected(at, "whitespace")) }
    }

    /// A line break, after a comment or not.
    pub(crate) fn line_break(&self, at: usize) -> Result<usize, Fail> {
        let start = if self.peek(at) == Some('#') { self.run(at + 1, |c| c != '\n') } else { at };
        let end = if start == at && self.peek(start) == Some('\r') { start + 1 } else { start };
        if self.peek(end) == Some('\n') { Ok(end + 1) } else { Err(Fail::expected(end, "line break")) }
    }

    /// Any blanks, comments and line breaks.
    pub(crate) fn trivia(&self, mut at: usize) -> usize {
        loop {
            let blanks = self.blanks(at);
            match self.line_break(blanks) {
                Ok(end) => at = end,
                Err(_) => return blanks,
            }
        }
    }

    /// A name of letters, digits and underscores.
    pub(crate) fn name(&self, at: usize, what: &'static str) -> Parsed<String> {
        let end = self.run(at, |c| c.is_ascii_alphanumeric() || c == '_');
        if end > at { Ok((self.text(at, end), end)) } else { Err(Fail::expected(at, what)) }
    }

    /// A name of a function, method or argument.
    pub(crate) fn snake(&self, at: usize, what: &'static str) -> Parsed<String> {
        let end = self.run(at, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if end > at { Ok((self.text(at, end), end)) } else { Err(Fail::expected(at, what)) }
    }

    /// A raw string in triple quotes.
    pub(crate) fn triple_quoted(&self, at: usize) -> Parsed<Vec<u8>> {
        let quotes = |at: usize| (at..at + 3).all(|at| self.peek(at) == Some('"'));
        if !quotes(at) || self.chars.len() < at + 6 {
            return Err(Fail::expected(at, "quoted string"));
        }
        match (at + 3..self.chars.len()).find(|at| quotes(*at)) {
            Some(end) => Ok((self.text(at + 3, end).into_bytes(), end + 3)),
            None => Err(Fail::expected(self.chars.len(), "end triple-quote").required()),
        }
    }

    /// A string in quotes, unescaped: escapes may make any bytes.
    pub(crate) fn quoted(&self, at: usize) -> Parsed<Vec<u8>> {
        if self.peek(at) != Some('"') {
            return Err(Fail::expected(at, "quoted string"));
        }
        let mut escaped = false;
        for end in at + 1..self.chars.len() {
            match self.peek(end) {
                Some('"') if !escaped => {
                    let Some(bytes) = self.chars.get(at + 1..end).and_then(unescape) else {
                        return Err(Fail::fatal(
                            at,
                            "failed to unescape quoted string contents: invalid syntax",
                        ));
                    };
                    return Ok((bytes, end + 1));
                }
                Some('\\') => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Err(Fail::expected(self.chars.len(), "end quote").required())
    }

    /// A number: digits, a fraction perhaps, a minus perhaps.
    pub(crate) fn number(&self, at: usize) -> Parsed<crate::value::Value> {
        use crate::value::Value;
        let negative = self.peek(at) == Some('-');
        let start = if negative { at + 1 } else { at };
        let mut end = self.run(start, |c| c.is_ascii_digit());
        if end == start {
            return Err(Fail::expected(start, "number"));
        }
        let mut fraction = false;
        if self.peek(end) == Some('.') {
            let digits = self.run(end + 1, |c| c.is_ascii_digit());
            if digits > end + 1 {
                end = digits;
                fraction = true;
            }
        }
        let text = self.text(start, end);
        let fail = |kind: &str, function: &str| {
            let cause = crate::compat::parse_error(function, &text, "value out of range");
            Fail::fatal(at, format!("failed to parse '{text}' as {kind}: {cause}"))
        };
        if fraction {
            let n = number::parse_float(text.as_bytes()).ok_or_else(|| fail("float", "ParseFloat"))?;
            return Ok((Value::Float(if negative { -n } else { n }), end));
        }
        let n = number::parse_int(text.as_bytes()).ok_or_else(|| fail("integer", "ParseInt"))?;
        Ok((Value::Int(if negative { n.wrapping_neg() } else { n }), end))
    }
}

fn locate(lines: &[usize], at: usize) -> (usize, usize) {
    let mut char = at;
    for (n, line) in lines.iter().enumerate() {
        if char < line + 1 {
            return (n + 1, char + 1);
        }
        char -= line + 1;
    }
    (lines.len() + 1, char + 1)
}

fn unescape(chars: &[char]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(chars.len());
    let mut push = |c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    let mut at = 0;
    let digits = |from: usize, count: usize, radix: u32| -> Option<u32> {
        let digits = chars.get(from..from + count)?;
        digits.iter().try_fold(0_u32, |n, c| Some(n.checked_mul(radix)? + c.to_digit(radix)?))
    };
    let mut raw: Vec<(usize, u8)> = Vec::new();
    let mut len = 0;
    while let Some(c) = chars.get(at) {
        at += 1;
        if *c == '\n' {
            return None;
        }
        if *c != '\\' {
            push(*c);
            len += c.len_utf8();
            continue;
        }
        let escape = *chars.get(at)?;
        at += 1;
        let plain = match escape {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '"' => escape,
            'u' | 'U' => {
                let count = if escape == 'u' { 4 } else { 8 };
                let n = digits(at, count, 16)?;
                at += count;
                char::from_u32(n)?
            }
            'x' => {
                let n = digits(at, 2, 16)?;
                at += 2;
                // A byte of its own: marked by a placeholder of one byte, put in place below.
                raw.push((len, u8::try_from(n).ok()?));
                '\0'
            }
            '0'..='7' => {
                let n = digits(at - 1, 3, 8)?;
                at += 2;
                raw.push((len, u8::try_from(n).ok()?));
                '\0'
            }
            _ => return None,
        };
        push(plain);
        len += plain.len_utf8();
    }
    for (at, byte) in raw {
        if let Some(slot) = out.get_mut(at) {
            *slot = byte;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let text = |text: &str| Source::new(text).quoted(0).map(|parsed| parsed.0);
        assert_eq!(text(r#""a\n\"\x41\101\u00e9\xff""#).unwrap(), b"a\n\"AA\xc3\xa9\xff");
        assert!(text(r#""\/""#).is_err());
        assert!(text("\"a\nb\"").is_err());
    }

    #[test]
    fn a_list_of_alternatives() {
        let mut fail = Fail::expected(0, "a");
        fail.join(Fail::expected(0, "b"));
        assert_eq!(fail.message(), "expected a or b");
        fail.join(Fail::expected(0, "c"));
        assert_eq!(fail.message(), "expected a, b, or c");
    }
}
