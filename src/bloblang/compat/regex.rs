//! Patterns of the reference's regular expressions, rewritten for ours: classes such as `\d` are ASCII there,
//! braces may stand for themselves, `\Q…\E` quotes, and classes know no nesting and no set operators.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled form of a pattern, in bytes.
const MAX_SIZE: usize = 4 << 20;
/// Largest bound of a repetition.
const MAX_REPEAT: u32 = 1000;

/// Classes that have a name.
const NAMED: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Compiles a pattern; the error reads as the reference's.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let problem = |text: &str| format!("error parsing regexp: {text}");
    let translated = Translator { chars: pattern.chars().collect(), ..Translator::default() }
        .run()
        .map_err(|text| problem(&text))?;
    RegexBuilder::new(&translated).size_limit(MAX_SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => problem("expression too large"),
        _ => problem(&format!("expression nests too deeply: `{pattern}`")),
    })
}

/// The pattern's own name of a group of a compiled one: see [`Translator::group`].
pub fn group_name(name: &str) -> &str {
    name.strip_prefix('_').and_then(|name| name.split_once('_')).map_or(name, |(_, name)| name)
}

#[derive(Default)]
struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    /// Positions of open groups, each with the most repetitions around the group so far.
    groups: Vec<(usize, u32)>,
    /// How many groups have a name.
    named: usize,
    /// How many repetitions, one within another, the last piece is and the most that any of this group is.
    last: u32,
    most: u32,
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
                        self.last = self.last.max(1).saturating_mul(high.unwrap_or(low).max(1));
                        if self.last > MAX_REPEAT {
                            return Err(format!("invalid repeat count: `{text}`"));
                        }
                        self.most = self.most.max(self.last);
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
                    self.group()?;
                    repeatable = false;
                }
                ')' => {
                    let Some((_, most)) = self.groups.pop() else {
                        return Err(format!("unexpected ): `{whole}`"));
                    };
                    self.last = self.most;
                    self.most = most.max(self.last);
                    self.out.push(')');
                    self.at += 1;
                    repeatable = true;
                    repeated = None;
                    continue;
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
                    if !self.set(false)? {
                        let code = self.escape()?;
                        self.literal(code);
                    }
                    repeatable = true;
                }
                other => {
                    self.out.push(other);
                    self.at += 1;
                    repeatable = true;
                }
            }
            repeated = None;
            self.last = 0;
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

    fn open(&mut self, start: usize) {
        self.groups.push((start, self.most));
        self.most = 0;
    }

    /// Opens a group, or sets flags.
    fn group(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        if self.peek(0) != Some('?') {
            self.open(start);
            self.out.push('(');
            return Ok(());
        }
        let named = match (self.peek(1), self.peek(2), self.peek(3)) {
            (Some('P'), Some('<'), Some(_)) => Some(3),
            (Some('<'), Some(_), _) => Some(2),
            _ => None,
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
            self.open(start);
            // Our names may neither repeat nor begin with a digit: an underscore and a number are put before each.
            self.named += 1;
            return write!(self.out, "(?P<_{}_{name}>", self.named).map_err(|error| error.to_string());
        }
        self.at += 1;
        let (mut on, mut off, mut negative) = (String::new(), String::new(), false);
        while let Some(char) = self.peek(0) {
            self.at += 1;
            match char {
                'i' | 'm' | 's' | 'U' if negative => off.push(char),
                'i' | 'm' | 's' | 'U' => on.push(char),
                '-' if !negative => negative = true,
                ':' | ')' if !negative || !off.is_empty() => {
                    if char == ':' {
                        self.open(start);
                    }
                    return self.flags(&on, &off, char);
                }
                _ => {
                    let text = self.text(start, self.at);
                    return Err(format!("invalid or unsupported Perl syntax: `{text}`"));
                }
            }
        }
        let text = self.text(start, self.at);
        Err(format!("invalid or unsupported Perl syntax: `{text}`"))
    }

    /// Writes flags, each once; what is switched on and off is off.
    fn flags(&mut self, on: &str, off: &str, end: char) -> Result<(), String> {
        let chosen =
            |wanted: &dyn Fn(char) -> bool| "imsU".chars().filter(|flag| wanted(*flag)).collect::<String>();
        let (on, off) =
            (chosen(&|flag| on.contains(flag) && !off.contains(flag)), chosen(&|flag| off.contains(flag)));
        let dash = if off.is_empty() { "" } else { "-" };
        if on.is_empty() && off.is_empty() && end == ')' {
            return Ok(());
        }
        write!(self.out, "(?{on}{dash}{off}{end}").map_err(|error| error.to_string())
    }

    /// Reads an escape of more than one character: a class, an assertion, quoted text. False if it is another.
    fn set(&mut self, in_class: bool) -> Result<bool, String> {
        let ascii = match self.peek(1) {
            Some('d') => "[0-9]",
            Some('w') => "[0-9A-Za-z_]",
            Some('s') => "[\\t\\n\\x0C\\r ]",
            Some('D') => "[^0-9]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('S') => "[^\\t\\n\\x0C\\r ]",
            Some('b') if !in_class => "(?-u:\\b)",
            Some('B') if !in_class => "(?-u:\\B)",
            Some('A') if !in_class => "\\A",
            Some('z') if !in_class => "\\z",
            Some('E') if !in_class => "",
            Some('Q') if !in_class => {
                self.at += 2;
                while let Some(char) = self.peek(0) {
                    if char == '\\' && self.peek(1) == Some('E') {
                        self.at += 2;
                        break;
                    }
                    self.out.push_str(&regex::escape(&char.to_string()));
                    self.at += 1;
                }
                return Ok(true);
            }
            Some('p' | 'P') => return self.property().map(|()| true),
            _ => return Ok(false),
        };
        self.at += 2;
        self.out.push_str(ascii);
        Ok(true)
    }

    /// A class of Unicode: `\pL`, `\p{Greek}`, `\P{^Greek}`.
    fn property(&mut self) -> Result<(), String> {
        let start = self.at;
        let mut negative = self.peek(1) == Some('P');
        self.at += 2;
        let mut name = String::new();
        if self.peek(0) == Some('{') {
            self.at += 1;
            while let Some(char) = self.peek(0).filter(|char| *char != '}') {
                name.push(char);
                self.at += 1;
            }
            if let Some(rest) = name.strip_prefix('^') {
                negative = !negative;
                name = rest.to_owned();
            }
        } else {
            name.extend(self.peek(0));
        }
        self.at = self.chars.len().min(self.at + 1);
        let class = format!("\\{}{{{name}}}", if negative { 'P' } else { 'p' });
        // The name is only a name: no `sc=Greek`.
        if name.contains(['=', ':', '!']) || regex_syntax::parse(&class).is_err() {
            return Err(format!("invalid character class range: `{}`", self.text(start, self.at)));
        }
        self.out.push_str(&class);
        Ok(())
    }

    /// The code of the character that an escape stands for.
    fn escape(&mut self) -> Result<u32, String> {
        let Some(char) = self.peek(1) else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        let start = self.at;
        self.at += 2;
        Ok(match char {
            'x' => return self.hex(start),
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
                code
            }
            'a' => 7,
            'f' => 12,
            't' => 9,
            'n' => 10,
            'r' => 13,
            'v' => 11,
            other if other.is_ascii_punctuation() => u32::from(other),
            _ => return Err(format!("invalid escape sequence: `{}`", self.text(start, self.at))),
        })
    }

    /// Writes one character by its code.
    fn literal(&mut self, code: u32) {
        self.out.extend([format!("\\x{{{code:X}}}")]);
    }

    fn hex(&mut self, start: usize) -> Result<u32, String> {
        let braced = self.peek(0) == Some('{');
        let mut digits = String::new();
        if braced {
            self.at += 1;
            let small = |digits: &str| u32::from_str_radix(digits, 16).is_ok_and(|code| code <= 0x10_FFFF);
            while let Some(char) = self.peek(0).filter(char::is_ascii_hexdigit) {
                digits.push(char);
                if !small(&digits) {
                    break;
                }
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
            Some(code) => Ok(code),
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
                Some('[') if self.named_class()? => {}
                Some('\\') if self.set(true)? => {}
                Some(_) => self.range(start)?,
            }
            first = false;
        }
    }

    /// A character of a class, or two with a dash between.
    fn range(&mut self, class: usize) -> Result<(), String> {
        let start = self.at;
        let low = self.character(class)?;
        self.literal(low);
        // Before the end a dash is itself.
        if self.peek(0) == Some('-') && self.peek(1).is_none_or(|next| next != ']') {
            self.at += 1;
            let high = self.character(class)?;
            if high < low {
                return Err(format!("invalid character class range: `{}`", self.text(start, self.at)));
            }
            self.out.push('-');
            self.literal(high);
        }
        Ok(())
    }

    fn character(&mut self, class: usize) -> Result<u32, String> {
        match self.peek(0) {
            Some('\\') => self.escape(),
            Some(char) => {
                self.at += 1;
                Ok(u32::from(char))
            }
            None => Err(format!("missing closing ]: `{}`", self.text(class, self.chars.len()))),
        }
    }

    /// A class such as `[:alpha:]`; false if it is none.
    fn named_class(&mut self) -> Result<bool, String> {
        let rest = self.chars.get(self.at + 2..).unwrap_or_default();
        let (Some(':'), Some(len)) = (self.peek(1), rest.windows(2).position(|pair| *pair == [':', ']']))
        else {
            return Ok(false);
        };
        let name = self.text(self.at, self.at + len + 4);
        let bare = name.trim_matches(['[', ':', ']']);
        if !NAMED.contains(&bare.strip_prefix('^').unwrap_or(bare)) {
            return Err(format!("invalid character class range: `{name}`"));
        }
        self.at += len + 4;
        self.out.push_str(&name);
        Ok(true)
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
        assert!(matches(r"^\p{Greek}\P{^Greek}\pN[^\p{Lu}]$", "αβ1x"));
        assert!(matches("(?P<n>a)|(?P<n>b)", "b"));
        assert!(matches("^(?ii-s)A$", "a"));
        assert!(!matches("^(?i-i)A$", "a"));
        assert!(matches("^(?)(?:a{30}){30}(b{1000})*$", &"a".repeat(900)));
        assert!(matches(r"^[\d-z][^]a][]a]$", "-b]"));
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
            ("(?i--s)a", "invalid or unsupported Perl syntax: `(?i--`"),
            ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
            ("(?P<", "invalid or unsupported Perl syntax: `(?P`"),
            ("(?-)a", "invalid or unsupported Perl syntax: `(?-)`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            (r"[z-\x61]", r"invalid character class range: `z-\x61`"),
            (r"[a-\d]", r"invalid escape sequence: `\d`"),
            ("[a-[:digit:]]", "invalid character class range: `a-[`"),
            ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
            (r"\pX", r"invalid character class range: `\pX`"),
            (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
            (r"\p{", r"invalid character class range: `\p{`"),
            (r"\p", r"invalid character class range: `\p`"),
            (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
            ("((a{100}){11})", "invalid repeat count: `{11}`"),
            ("(x|(a{500})b){500}", "invalid repeat count: `{500}`"),
        ] {
            assert_eq!(compile(pattern).unwrap_err(), format!("error parsing regexp: {want}"), "{pattern}");
        }
    }
}
