//! Patterns of the reference's regular expressions, rewritten for ours: classes such as `\d` are ASCII there,
//! braces may stand for themselves, `\Q…\E` quotes, and classes know no nesting and no set operators.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled form of a pattern, in bytes.
const MAX_SIZE: usize = 4 << 20;
/// Largest bound of a repetition.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern; the error reads as the reference's.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let problem = |text: &str| format!("error parsing regexp: {text}");
    let translated =
        Translator { chars: pattern.chars().collect(), at: 0, out: String::new(), groups: Vec::new() }
            .run()
            .map_err(|text| problem(&text))?;
    RegexBuilder::new(&translated).size_limit(MAX_SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => problem("expression too large"),
        _ => problem(&format!("invalid pattern: `{pattern}`")),
    })
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    /// Positions of open groups.
    groups: Vec<usize>,
}

impl Translator {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.chars.get(from..to.min(self.chars.len())).unwrap_or_default().iter().collect()
    }

    fn run(mut self) -> Result<String, String> {
        let whole = self.text(0, self.chars.len());
        // Where the last repetition operator began, if one has just been read, and whether there is something to repeat.
        let mut repeated: Option<usize> = None;
        let mut repeatable = false;
        while let Some(char) = self.peek(0) {
            let start = self.at;
            match char {
                '*' | '+' | '?' => {
                    self.at += 1;
                    self.repetition(start, repeated, repeatable, char.encode_utf8(&mut [0; 4]))?;
                    repeated = Some(repeated.unwrap_or(start));
                    continue;
                }
                '{' => {
                    if let Some((low, high, len)) = self.bounds() {
                        self.at += len;
                        let text = self.text(start, self.at);
                        if low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || high < low) {
                            return Err(format!("invalid repeat count: `{text}`"));
                        }
                        self.repetition(start, repeated, repeatable, &text)?;
                        repeated = Some(repeated.unwrap_or(start));
                        continue;
                    }
                    self.out.push_str("\\{");
                    self.at += 1;
                    repeatable = true;
                }
                '}' => {
                    self.out.push_str("\\}");
                    self.at += 1;
                    repeatable = true;
                }
                '(' => {
                    self.group(&whole)?;
                    repeatable = false;
                }
                ')' => {
                    if self.groups.pop().is_none() {
                        return Err(format!("unexpected ): `{whole}`"));
                    }
                    self.out.push(')');
                    self.at += 1;
                    repeatable = true;
                }
                '|' => {
                    self.out.push('|');
                    self.at += 1;
                    repeatable = false;
                }
                '[' => {
                    self.class()?;
                    repeatable = true;
                }
                '\\' => {
                    self.escape(false)?;
                    repeatable = true;
                }
                other => {
                    self.out.push(other);
                    self.at += 1;
                    repeatable = true;
                }
            }
            repeated = None;
        }
        if self.groups.is_empty() { Ok(self.out) } else { Err(format!("missing closing ): `{whole}`")) }
    }

    /// Writes a repetition operator, with its laziness.
    fn repetition(
        &mut self,
        start: usize,
        before: Option<usize>,
        repeatable: bool,
        operator: &str,
    ) -> Result<(), String> {
        let lazy = self.peek(0) == Some('?');
        if lazy {
            self.at += 1;
        }
        if let Some(first) = before {
            return Err(format!("invalid nested repetition operator: `{}`", self.text(first, self.at)));
        }
        if !repeatable {
            return Err(format!("missing argument to repetition operator: `{}`", self.text(start, self.at)));
        }
        self.out.push_str(operator);
        if lazy {
            self.out.push('?');
        }
        Ok(())
    }

    /// The bounds in `{n}`, `{n,}` or `{n,m}`, and their length; anything else is literal text.
    fn bounds(&self) -> Option<(u32, Option<u32>, usize)> {
        let mut at = 1;
        let number = |at: &mut usize| {
            let start = *at;
            while self.peek(*at).is_some_and(|char| char.is_ascii_digit()) {
                *at += 1;
            }
            let text = self.text(self.at + start, self.at + *at);
            (!text.is_empty()).then(|| text.parse::<u32>().unwrap_or(u32::MAX))
        };
        let low = number(&mut at)?;
        let mut high = Some(low);
        if self.peek(at) == Some(',') {
            at += 1;
            high = number(&mut at);
        }
        (self.peek(at) == Some('}')).then_some((low, high, at + 1))
    }

    fn group(&mut self, whole: &str) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        if self.peek(0) != Some('?') {
            self.groups.push(start);
            self.out.push('(');
            return Ok(());
        }
        let named = if self.peek(1) == Some('P') && self.peek(2) == Some('<') {
            Some(3)
        } else if self.peek(1) == Some('<') {
            Some(2)
        } else {
            None
        };
        if let Some(skip) = named {
            self.at += skip;
            let from = self.at;
            while self.peek(0).is_some_and(|char| char != '>') {
                self.at += 1;
            }
            let name = self.text(from, self.at);
            if self.peek(0).is_none() {
                return Err(format!("invalid named capture: `{}`", self.text(start, self.at)));
            }
            self.at += 1;
            if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
                return Err(format!("invalid named capture: `{}`", self.text(start, self.at)));
            }
            self.groups.push(start);
            // Our names may not begin with a digit: an underscore is put before every name.
            return write!(self.out, "(?P<_{name}>").map_err(|error| error.to_string());
        }
        self.at += 1;
        let mut flags = String::new();
        loop {
            match self.peek(0) {
                Some(flag @ ('i' | 'm' | 's' | 'U' | '-')) => flags.push(flag),
                Some(end @ (':' | ')')) => {
                    self.at += 1;
                    if flags.ends_with('-') {
                        break;
                    }
                    if end == ':' {
                        self.groups.push(start);
                    }
                    return write!(self.out, "(?{flags}{end}").map_err(|error| error.to_string());
                }
                Some(_) => {
                    self.at += 1;
                    break;
                }
                None => return Err(format!("missing closing ): `{whole}`")),
            }
            self.at += 1;
        }
        Err(format!("invalid or unsupported Perl syntax: `{}`", self.text(start, self.at)))
    }

    /// Reads an escape outside or inside a class.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(char) = self.peek(1) else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        let start = self.at;
        self.at += 2;
        let ascii = match char {
            'd' => Some("0-9"),
            'w' => Some("0-9A-Za-z_"),
            's' => Some("\\t\\n\\x0C\\r "),
            _ => None,
        };
        if let Some(set) = ascii {
            self.out.extend(if in_class { ["", set, ""] } else { ["[", set, "]"] });
            return Ok(());
        }
        match char {
            'D' => self.out.push_str("[^0-9]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'S' => self.out.push_str("[^\\t\\n\\x0C\\r ]"),
            'b' if !in_class => self.out.push_str("(?-u:\\b)"),
            'B' if !in_class => self.out.push_str("(?-u:\\B)"),
            'A' | 'z' if !in_class => {
                self.out.push('\\');
                self.out.push(char);
            }
            'Q' if !in_class => {
                while let Some(char) = self.peek(0) {
                    if char == '\\' && self.peek(1) == Some('E') {
                        self.at += 2;
                        break;
                    }
                    self.out.push_str(&regex::escape(&char.to_string()));
                    self.at += 1;
                }
            }
            'E' if !in_class => {}
            'p' | 'P' => {
                self.out.push('\\');
                self.out.push(char);
                match self.peek(0) {
                    Some('{') => {
                        while let Some(char) = self.peek(0) {
                            self.out.push(char);
                            self.at += 1;
                            if char == '}' {
                                break;
                            }
                        }
                    }
                    Some(name) => {
                        self.out.push(name);
                        self.at += 1;
                    }
                    None => {
                        return Err(format!(
                            "invalid character class range: `{}`",
                            self.text(start, self.at)
                        ));
                    }
                }
            }
            'x' => self.hex(start)?,
            '0'..='7' => {
                // One to nine are references unless another digit follows.
                if char != '0' && !self.peek(0).is_some_and(|next| ('0'..='7').contains(&next)) {
                    return Err(format!("invalid escape sequence: `{}`", self.text(start, self.at)));
                }
                let mut code = char.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.peek(0).and_then(|next| next.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                self.literal(code);
            }
            'a' => self.literal(7),
            'f' => self.literal(12),
            't' => self.literal(9),
            'n' => self.literal(10),
            'r' => self.literal(13),
            'v' => self.literal(11),
            other if other.is_ascii_punctuation() => self.literal(u32::from(other)),
            _ => return Err(format!("invalid escape sequence: `{}`", self.text(start, self.at))),
        }
        Ok(())
    }

    /// Writes one character by its code.
    fn literal(&mut self, code: u32) {
        self.out.extend([format!("\\x{{{code:X}}}")]);
    }

    fn hex(&mut self, start: usize) -> Result<(), String> {
        let braced = self.peek(0) == Some('{');
        let mut digits = String::new();
        if braced {
            self.at += 1;
            while let Some(char) = self.peek(0).filter(char::is_ascii_hexdigit) {
                digits.push(char);
                self.at += 1;
            }
            let closed = self.peek(0) == Some('}');
            self.at += 1;
            digits = if closed { digits } else { String::new() };
        } else {
            for _ in 0..2 {
                digits.extend(self.peek(0).filter(char::is_ascii_hexdigit));
                self.at += 1;
            }
            digits = if digits.len() == 2 { digits } else { String::new() };
        }
        match u32::from_str_radix(&digits, 16).ok().filter(|code| char::from_u32(*code).is_some()) {
            Some(code) => {
                self.literal(code);
                Ok(())
            }
            None => Err(format!("invalid escape sequence: `{}`", self.text(start, self.at))),
        }
    }

    fn class(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.out.push('^');
            self.at += 1;
        }
        let mut first = true;
        loop {
            match self.peek(0) {
                None => {
                    let rest = self.text(start, self.chars.len());
                    return Err(format!("missing closing ]: `{rest}`"));
                }
                Some(']') if !first => {
                    self.at += 1;
                    self.out.push(']');
                    return Ok(());
                }
                Some('[') if self.peek(1) == Some(':') => self.named_class(),
                Some('\\') => self.escape(true)?,
                // A dash between two ends is a range, elsewhere it is itself.
                Some('-') if !first && self.peek(1).is_some_and(|next| next != ']') => {
                    self.out.push('-');
                    self.at += 1;
                }
                Some(char) => {
                    self.at += 1;
                    // Escaped, these two would be word boundaries.
                    if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
                        self.out.push('\\');
                    }
                    self.out.push(char);
                }
            }
            first = false;
        }
    }

    fn named_class(&mut self) {
        let from = self.at;
        let mut to = self.at + 2;
        while self.chars.get(to).is_some_and(|char| char.is_ascii_lowercase() || *char == '^') {
            to += 1;
        }
        if self.chars.get(to) == Some(&':') && self.chars.get(to + 1) == Some(&']') {
            self.at = to + 2;
            let name = self.text(from, self.at);
            return self.out.push_str(&name);
        }
        self.out.push_str("\\[");
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn classes_are_ascii() {
        assert!(!matches(r"\d", "\u{663}"));
        assert!(!matches(r"^\w$", "é"));
        assert!(!matches(r"^\s$", "\u{a0}"));
        assert!(matches(r"a\b", "aé"));
        assert!(matches(r"^[\w-]+$", "a-b"));
        assert!(matches(r"^[^\W]+$", "ab"));
    }

    #[test]
    fn what_the_reference_allows() {
        assert!(matches(r"\Qa.b\E", "a.b"));
        assert!(!matches(r"\Qa.b\E", "axb"));
        assert!(matches("a{", "a{"));
        assert!(matches("a{,3}", "a{,3}"));
        assert!(matches("^[a&&b]+$", "a&b"));
        assert!(matches("^[[]$", "["));
        assert!(matches("(?P<1x>a)", "a"));
        assert!(matches("^[[:alpha:]]$", "x"));
        assert!(matches(r"^[\]a-c-]+$", "b]-"));
        assert!(matches("^.$", "é"));
    }

    #[test]
    fn what_it_refuses() {
        for (pattern, want) in [
            ("(", "missing closing ): `(`"),
            (")", "unexpected ): `)`"),
            ("[a", "missing closing ]: `[a`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            (r"\y", r"invalid escape sequence: `\y`"),
            ("(?x)", "invalid or unsupported Perl syntax: `(?x`"),
        ] {
            assert_eq!(compile(pattern).unwrap_err(), format!("error parsing regexp: {want}"), "{pattern}");
        }
    }
}
