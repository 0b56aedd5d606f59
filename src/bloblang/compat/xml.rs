//! Reading XML the way the reference's library does: elements become members, attributes members with a hyphen.

use super::html;
use crate::object::Object;
use crate::stack::deep;
use crate::text::Text;
use crate::value::Value;

/// Deepest nesting of elements.
const MAX_DEPTH: usize = 1000;

/// A start tag's name and attributes, their namespaces left out.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, String)>,
    closed: bool,
}

enum Token<'a> {
    Start(Tag<'a>),
    End(&'a str),
    Text(String),
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    cast: bool,
}

/// Parses the first element of a text; what follows it is not looked at.
pub(crate) fn parse(text: &str, cast: bool) -> Result<Value, String> {
    let mut reader = Reader { text, rest: text, cast };
    loop {
        match reader.token()? {
            None => return Err("EOF".to_owned()),
            Some(Token::Start(tag)) => {
                let mut object = Object::new();
                let name = tag.name;
                object.insert(name, reader.element(&tag, 0)?);
                return Ok(object.into());
            }
            Some(Token::End(name)) => return Err(reader.syntax(&format!("unexpected end element </{name}>"))),
            Some(Token::Text(_)) => {}
        }
    }
}

fn local(name: &str) -> &str {
    name.split_once(':')
        .filter(|(space, name)| !space.is_empty() && !name.is_empty())
        .map_or(name, |(_, name)| name)
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | ':' | '-' | '.') || !char.is_ascii()
}

impl<'a> Reader<'a> {
    #[cold]
    fn syntax(&self, what: &str) -> String {
        let read = self.text.len() - self.rest.len();
        let line = 1 + self.text.as_bytes().iter().take(read).filter(|byte| **byte == b'\n').count();
        format!("XML syntax error on line {line}: {what}")
    }

    #[cold]
    fn cut(&self) -> String {
        self.syntax("unexpected EOF")
    }

    /// Text up to a mark, which is passed over.
    fn until(&mut self, mark: &str) -> Result<&'a str, String> {
        if let Some((before, after)) = self.rest.split_once(mark) {
            self.rest = after;
            return Ok(before);
        }
        self.rest = "";
        Err(self.cut())
    }

    fn skip(&mut self, mark: &str) -> bool {
        self.rest.strip_prefix(mark).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn name(&mut self, what: &str) -> Result<&'a str, String> {
        let rest = self.rest;
        let end = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.rest = after;
        if name.is_empty()
            || name.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '.'))
        {
            return Err(if rest.is_empty() { self.cut() } else { self.syntax(what) });
        }
        Ok(name)
    }

    /// The next token; comments, instructions and directives are passed over.
    fn token(&mut self) -> Result<Option<Token<'a>>, String> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            if !self.rest.starts_with('<') {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (run, after) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
                let run = self.resolved(run)?;
                self.rest = after;
                return Ok(Some(Token::Text(run)));
            }
            if self.skip("<![CDATA[") {
                return Ok(Some(Token::Text(self.until("]]>")?.to_owned())));
            }
            if self.skip("<!--") {
                self.until("-->")?;
            } else if self.skip("<?") {
                self.until("?>")?;
            } else if self.skip("<!") {
                self.directive()?;
            } else if self.skip("</") {
                let name = self.name("expected element name after </")?;
                self.blanks();
                if !self.skip(">") {
                    let problem = format!("invalid characters between </{} and >", local(name));
                    return Err(if self.rest.is_empty() { self.cut() } else { self.syntax(&problem) });
                }
                return Ok(Some(Token::End(local(name))));
            } else {
                self.skip("<");
                return self.tag().map(Token::Start).map(Some);
            }
        }
    }

    /// Passes over a directive, whose angle brackets may nest.
    fn directive(&mut self) -> Result<(), String> {
        let mut depth = 1usize;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'<' => depth += 1,
                b'>' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(());
            }
        }
        self.rest = "";
        Err(self.cut())
    }

    fn tag(&mut self) -> Result<Tag<'a>, String> {
        let name = local(self.name("expected element name after <")?);
        let mut attributes = Vec::new();
        loop {
            self.blanks();
            if self.skip("/") {
                if self.skip(">") {
                    return Ok(Tag { name, attributes, closed: true });
                }
                return Err(if self.rest.is_empty() {
                    self.cut()
                } else {
                    self.syntax("expected /> in element")
                });
            }
            if self.skip(">") {
                return Ok(Tag { name, attributes, closed: false });
            }
            let attribute = local(self.name("expected attribute name in element")?);
            self.blanks();
            if !self.skip("=") {
                let problem = "attribute name without = in element";
                return Err(if self.rest.is_empty() { self.cut() } else { self.syntax(problem) });
            }
            self.blanks();
            let value = if self.skip("\"") {
                self.until("\"")?
            } else if self.skip("'") {
                self.until("'")?
            } else if self.rest.is_empty() {
                return Err(self.cut());
            } else {
                return Err(self.syntax("unquoted or missing attribute value in element"));
            };
            if value.contains('<') {
                return Err(self.syntax("unescaped < inside quoted string"));
            }
            attributes.push((attribute, self.resolved(value)?));
        }
    }

    /// Text with its references resolved: the five named ones, and characters by number.
    fn resolved(&self, run: &str) -> Result<String, String> {
        if !run.contains(['&', '\r']) {
            return Ok(run.to_owned());
        }
        let run = run.replace("\r\n", "\n").replace('\r', "\n");
        let mut out = String::with_capacity(run.len());
        let mut rest = &*run;
        while let Some((before, after)) = rest.split_once('&') {
            out.push_str(before);
            let end =
                after.find(|char: char| !char.is_ascii_alphanumeric() && char != '#').unwrap_or(after.len());
            let (name, tail) = after.split_at_checked(end).unwrap_or((after, ""));
            let known = matches!(name, "lt" | "gt" | "amp" | "apos" | "quot") || name.starts_with('#');
            let entity = format!("&{name};");
            let char = html::unescape(&entity);
            match tail.strip_prefix(';') {
                Some(tail) if known && char != entity => {
                    out.push_str(&char);
                    rest = tail;
                }
                Some(_) => return Err(self.syntax(&format!("invalid character entity {entity}"))),
                None => {
                    return Err(self.syntax(&format!("invalid character entity &{name} (no semicolon)")));
                }
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn scalar(&self, text: &str) -> Value {
        if !self.cast || matches!(&*text.to_ascii_lowercase(), "nan" | "inf" | "-inf") {
            return text.into();
        }
        if let Ok(number) = super::numbers::parse_float(text, 64) {
            return Value::Float(number);
        }
        match text {
            "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
            "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
            _ => text.into(),
        }
    }

    fn element(&mut self, tag: &Tag<'a>, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("elements nested deeper than {MAX_DEPTH}"));
        }
        let mut members = Object::new();
        for (name, value) in &tag.attributes {
            let value = self.scalar(value);
            members.insert(format!("-{name}"), value);
        }
        let mut alone = None;
        loop {
            if tag.closed {
                break;
            }
            // Whatever is wrong within an element is reported as coming from its tokens.
            let token = self.token().map_err(|error| format!("xml.Decoder.Token() - {error}"))?;
            match token {
                None => return Err(format!("xml.Decoder.Token() - {}", self.cut())),
                Some(Token::End(name)) if name == tag.name => break,
                Some(Token::End(name)) => {
                    let problem = format!("element <{}> closed by </{name}>", tag.name);
                    return Err(format!("xml.Decoder.Token() - {}", self.syntax(&problem)));
                }
                Some(Token::Text(run)) => {
                    let run = run.trim_matches(['\t', '\r', '\u{8}', '\n', ' ']);
                    if run.is_empty() {
                        continue;
                    }
                    if members.is_empty() {
                        alone = Some(self.scalar(run));
                    } else {
                        members.insert("#text", self.scalar(run));
                    }
                }
                Some(Token::Start(child)) => {
                    let name = Text::from(child.name);
                    let value = deep(|| self.element(&child, depth + 1))?;
                    match members.get_mut(name.as_bytes()) {
                        None => members.insert(name, value),
                        Some(existing) => match existing.array_mut() {
                            Some(items) => items.push(value),
                            None => *existing = vec![std::mem::take(existing), value].into(),
                        },
                    }
                }
            }
        }
        Ok(if members.is_empty() { alone.unwrap_or_else(|| "".into()) } else { members.into() })
    }
}
