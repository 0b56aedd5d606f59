//! Formatting by verbs, as the reference's `format` does.

use super::{quote_bytes, quote_with};
use crate::eval::go_type;
use crate::number::Narrow;
use crate::text::lossy;
use crate::value::Value;

/// Longest width or precision.
const MAX_WIDTH: usize = 1_000_000;
const MAX_PRECISION: i64 = 1_000_000;

/// Flags, width and precision of a verb.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the format")]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Longest value in an error, about.
const SHOWN: usize = 1 << 16;

/// A value as `%v` shows it, cut if it is long.
pub(crate) fn display(value: &Value) -> String {
    let mut printer = Printer { out: Vec::new(), most: SHOWN };
    printer.value(value, 'v', &Spec::default(), 0);
    lossy(&printer.out).into_owned()
}

/// Formats by verbs, `None` beyond `most` bytes. Verbs without a value and values without a verb are noted in the output.
pub(crate) fn sprintf(format: &[u8], args: &[&Value], most: usize) -> Option<Vec<u8>> {
    let mut printer = Printer { out: Vec::with_capacity(format.len() + 16), most };
    let mut next = 0;
    let mut reordered = false;
    let mut at = 0;
    while at < format.len() {
        if printer.out.len() > most {
            return None;
        }
        let rest = format.get(at..).unwrap_or_default();
        let plain = memchr::memchr(b'%', rest).unwrap_or(rest.len());
        printer.out.extend_from_slice(rest.get(..plain).unwrap_or_default());
        at += plain;
        if at >= format.len() {
            break;
        }
        at += 1;
        let mut verb = Verb { format, at, args, next, reordered: false, good_index: true };
        let (spec, char) = verb.read(&mut printer);
        at = verb.at;
        next = verb.next;
        reordered |= verb.reordered;
        let Some(char) = char else {
            printer.out.extend_from_slice(b"%!(NOVERB)");
            break;
        };
        if char == '%' {
            printer.out.push(b'%');
        } else if !verb.good_index {
            printer.note(char, b"BADINDEX");
        } else if let Some(value) = args.get(next) {
            next += 1;
            printer.value(value, char, &spec, 0);
        } else {
            printer.note(char, b"MISSING");
        }
    }
    if !reordered && next < args.len() {
        printer.out.extend_from_slice(b"%!(EXTRA ");
        for (at, value) in args.get(next..).unwrap_or_default().iter().enumerate() {
            if at > 0 {
                printer.out.extend_from_slice(b", ");
            }
            if matches!(value, Value::Null) {
                printer.out.extend_from_slice(b"<nil>");
            } else {
                printer.out.extend_from_slice(go_type(value).as_bytes());
                printer.out.push(b'=');
                printer.value(value, 'v', &Spec::default(), 0);
            }
        }
        printer.out.push(b')');
    }
    (printer.out.len() <= most).then_some(printer.out)
}

/// Reads flags, width, precision and verb behind a percent sign.
struct Verb<'a> {
    format: &'a [u8],
    at: usize,
    args: &'a [&'a Value],
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl Verb<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut value = 0usize;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            value = value.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > start && value <= MAX_WIDTH).then_some(value)
    }

    /// An explicit `[n]`.
    fn index(&mut self) {
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let Some(close) = memchr::memchr(b']', rest) else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        self.at += 1;
        let wanted = self.number();
        let closed = self.peek() == Some(b']');
        self.at += close.saturating_sub(self.at - (self.format.len() - rest.len())) + 1;
        match wanted {
            Some(wanted) if closed && (1..=self.args.len()).contains(&wanted) => self.next = wanted - 1,
            _ => self.good_index = false,
        }
    }

    /// A width or precision taken from an argument.
    fn star(&mut self) -> Option<i64> {
        let value = self.args.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(n) | Value::Narrow(Narrow::Word(n)) => Some(*n),
            _ => None,
        }
    }

    fn read(&mut self, printer: &mut Printer) -> (Spec, Option<char>) {
        let mut spec = Spec::default();
        while let Some(flag) = self.peek() {
            match flag {
                b'+' => spec.plus = true,
                b'-' => spec.minus = true,
                b'#' => spec.sharp = true,
                b' ' => spec.space = true,
                b'0' => spec.zero = true,
                _ => break,
            }
            self.at += 1;
        }
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width =
                        usize::try_from(width.unsigned_abs()).ok().filter(|width| *width <= MAX_WIDTH);
                }
                None => printer.out.extend_from_slice(b"%!(BADWIDTH)"),
            }
        } else {
            spec.width = self.number();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.index();
            if self.peek() == Some(b'*') {
                self.at += 1;
                match self.star() {
                    Some(precision @ 0..=MAX_PRECISION) => spec.precision = usize::try_from(precision).ok(),
                    _ => printer.out.extend_from_slice(b"%!(BADPREC)"),
                }
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        self.index();
        let rest = self.format.get(self.at..).unwrap_or_default();
        let Some(chunk) = rest.utf8_chunks().next() else { return (spec, None) };
        let char = chunk.valid().chars().next();
        self.at += char.map_or(1, char::len_utf8);
        (spec, Some(char.unwrap_or('\u{FFFD}')))
    }
}

struct Printer {
    out: Vec<u8>,
    /// Nothing is added beyond this many bytes, or not much.
    most: usize,
}

impl Printer {
    /// `%!v(NOTE)`.
    fn note(&mut self, verb: char, note: &[u8]) {
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        self.out.extend_from_slice(note);
        self.out.push(b')');
    }

    /// A value a verb does not fit.
    fn bad(&mut self, value: &Value, verb: char, spec: &Spec) {
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        if !matches!(value, Value::Null) {
            self.out.extend_from_slice(go_type(value).as_bytes());
            self.out.push(b'=');
        }
        self.value(value, 'v', spec, 0);
        self.out.push(b')');
    }

    /// Pads to the width, counted in characters.
    fn pad(&mut self, text: &[u8], spec: &Spec) {
        let len = lossy(text).chars().count();
        let fill = spec.width.unwrap_or(0).saturating_sub(len);
        if spec.minus {
            self.out.extend_from_slice(text);
            self.out.extend(std::iter::repeat_n(b' ', fill));
        } else {
            self.out.extend(std::iter::repeat_n(if spec.zero { b'0' } else { b' ' }, fill));
            self.out.extend_from_slice(text);
        }
    }

    fn value(&mut self, value: &Value, verb: char, spec: &Spec, depth: usize) {
        if self.out.len() > self.most {
            return;
        }
        if verb == 'T' {
            return self.text(go_type(value).as_bytes(), 's', spec);
        }
        if depth > 64 {
            return self.out.extend_from_slice(b"...");
        }
        let number = match value {
            Value::Int(n) => Some((*n < 0, n.unsigned_abs())),
            Value::Uint(n) => Some((false, *n)),
            Value::Narrow(narrow) => match narrow.to_num() {
                crate::number::Num::Int(n) => Some((n < 0, n.unsigned_abs())),
                crate::number::Num::Uint(n) => Some((false, n)),
                crate::number::Num::Float(n) => return self.float(value, n, verb, spec),
            },
            _ => None,
        };
        if let Some((negative, magnitude)) = number {
            return self.integer(value, negative, magnitude, verb, spec);
        }
        if let Some(text) = value.number_text() {
            let text = text.to_owned();
            return if "vsxXq".contains(verb) {
                self.text(text.as_bytes(), verb, spec);
            } else {
                self.bad_text("json.Number", text.as_bytes(), verb, spec);
            };
        }
        match value {
            Value::Float(n) => return self.float(value, *n, verb, spec),
            Value::Bytes(bytes) if matches!(verb, 'v' | 'd') => {
                self.out.push(b'[');
                for (at, byte) in bytes.iter().enumerate() {
                    if at > 0 {
                        self.out.push(b' ');
                    }
                    self.integer(&Value::Null, false, (*byte).into(), 'd', spec);
                }
                return self.out.push(b']');
            }
            Value::Timestamp(time) if matches!(verb, 'v' | 's' | 'q') => {
                let shown = super::layout::format(time, "2006-01-02 15:04:05.999999999 -0700 MST");
                return self.text(shown.as_bytes(), verb, spec);
            }
            _ => {}
        }
        if let Some(bytes) = value.as_bytes() {
            if "vsxXq".contains(verb) {
                return self.text(&bytes, verb, spec);
            }
            return self.bad_text(go_type(value), &bytes, verb, spec);
        }
        match (value.as_bool(), verb) {
            (Some(bool), 't' | 'v') => {
                return self.pad(if bool { b"true" } else { b"false" }, &Spec { zero: false, ..*spec });
            }
            (Some(_), _) => return self.bad(value, verb, spec),
            _ => {}
        }
        if let Some(object) = value.to_object() {
            self.out.extend_from_slice(b"map[");
            for (at, (key, member)) in object.iter().enumerate() {
                if self.out.len() > self.most {
                    break;
                }
                if at > 0 {
                    self.out.push(b' ');
                }
                self.value(&Value::String(key.into()), verb, spec, depth + 1);
                self.out.push(b':');
                self.value(&member, verb, spec, depth + 1);
            }
            return self.out.push(b']');
        }
        if let Some(items) = value.to_array() {
            self.out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if self.out.len() > self.most {
                    break;
                }
                if at > 0 {
                    self.out.push(b' ');
                }
                self.value(item, verb, spec, depth + 1);
            }
            return self.out.push(b']');
        }
        match verb {
            'v' => self.pad(b"<nil>", &Spec { zero: false, ..*spec }),
            _ => self.out.extend_from_slice(format!("%!{verb}(<nil>)").as_bytes()),
        }
    }

    fn bad_text(&mut self, kind: &str, text: &[u8], verb: char, spec: &Spec) {
        self.out.extend_from_slice(format!("%!{verb}({kind}=").as_bytes());
        self.text(text, 'v', spec);
        self.out.push(b')');
    }

    fn text(&mut self, bytes: &[u8], verb: char, spec: &Spec) {
        let cut = match spec.precision {
            Some(precision) if matches!(verb, 's' | 'v' | 'q') => {
                lossy(bytes).chars().take(precision).collect::<String>().into_bytes()
            }
            _ => bytes.to_vec(),
        };
        match verb {
            'q' => {
                let quoted = if spec.sharp && !cut.contains(&b'`') {
                    format!("`{}`", lossy(&cut))
                } else if spec.plus {
                    quote_with(&cut, true)
                } else {
                    quote_bytes(&cut)
                };
                self.pad(quoted.as_bytes(), spec);
            }
            'x' | 'X' => {
                let taken =
                    spec.precision.map_or(cut.as_slice(), |precision| cut.get(..precision).unwrap_or(&cut));
                let mut hex = String::new();
                for (at, byte) in taken.iter().enumerate() {
                    if spec.space && at > 0 {
                        hex.push(' ');
                    }
                    if spec.sharp && (at == 0 || spec.space) {
                        hex.push_str(if verb == 'x' { "0x" } else { "0X" });
                    }
                    hex.extend([if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") }]);
                }
                self.pad(hex.as_bytes(), spec);
            }
            _ => self.pad(&cut, spec),
        }
    }

    fn integer(&mut self, value: &Value, negative: bool, magnitude: u64, verb: char, spec: &Spec) {
        let (digits, prefix) = match verb {
            'd' | 'v' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), if spec.sharp { "0b" } else { "" }),
            'o' => (format!("{magnitude:o}"), if spec.sharp { "0" } else { "" }),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), if spec.sharp { "0x" } else { "" }),
            'X' => (format!("{magnitude:X}"), if spec.sharp { "0X" } else { "" }),
            'c' | 'q' | 'U' => {
                let char = u32::try_from(magnitude)
                    .ok()
                    .filter(|_| !negative)
                    .and_then(char::from_u32)
                    .unwrap_or('\u{FFFD}');
                let shown = match verb {
                    'c' => char.to_string(),
                    'U' => format!("U+{magnitude:04X}"),
                    _ if char == '\'' => "'\\''".to_owned(),
                    _ => format!("'{}'", super::quote(&char.to_string()).trim_matches('"')),
                };
                return self.pad(shown.as_bytes(), spec);
            }
            _ => return self.bad(value, verb, spec),
        };
        let sign = if negative {
            "-"
        } else if spec.plus {
            "+"
        } else if spec.space {
            " "
        } else {
            ""
        };
        let mut wanted = spec.precision.unwrap_or(0);
        if spec.zero && !spec.minus && spec.precision.is_none() {
            wanted = spec.width.unwrap_or(0).saturating_sub(sign.len() + prefix.len());
        }
        let zeros = "0".repeat(wanted.saturating_sub(digits.len()));
        self.pad(format!("{sign}{prefix}{zeros}{digits}").as_bytes(), &Spec { zero: false, ..*spec });
    }

    fn float(&mut self, value: &Value, number: f64, verb: char, spec: &Spec) {
        let body = match verb {
            _ if !number.is_finite() => {
                let text = if number.is_nan() {
                    "NaN"
                } else if number > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                };
                let text = if spec.plus { text } else { text.trim_start_matches('+') };
                let text = if number.is_infinite() && number > 0.0 && verb == 'v' { "+Inf" } else { text };
                return self.pad(text.as_bytes(), &Spec { zero: false, ..*spec });
            }
            'f' | 'F' => format!("{:.*}", spec.precision.unwrap_or(6), number.abs()),
            'e' | 'E' => super::exponent(number.abs(), spec.precision.unwrap_or(6)),
            'g' | 'G' | 'v' => match (spec.precision, value) {
                (Some(precision), _) => super::general(number.abs(), precision),
                (None, Value::Narrow(Narrow::Float32(narrow))) => {
                    crate::number::format_shortest32(narrow.abs())
                }
                (None, _) => crate::number::format_shortest(number.abs()),
            },
            _ => return self.bad(value, verb, spec),
        };
        let body = if verb.is_uppercase() { body.to_uppercase() } else { body };
        let negative = number.is_sign_negative();
        let sign = if negative {
            "-"
        } else if spec.plus {
            "+"
        } else if spec.space {
            " "
        } else {
            ""
        };
        let zeros = if spec.zero && !spec.minus {
            spec.width.unwrap_or(0).saturating_sub(sign.len() + body.len())
        } else {
            0
        };
        self.pad(format!("{sign}{}{body}", "0".repeat(zeros)).as_bytes(), &Spec { zero: false, ..*spec });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &str, args: &[Value]) -> String {
        String::from_utf8(sprintf(format.as_bytes(), &args.iter().collect::<Vec<_>>(), 1000).unwrap())
            .unwrap()
    }

    #[test]
    fn verbs() {
        let raw = Value::parse_json(&b"5"[..]).unwrap();
        for (format, args, want) in [
            ("%d|%5d|%-5d|%05d|%+d", vec![Value::Int(7); 5], "7|    7|7    |00007|+7"),
            ("%d", vec![raw.clone()], "%!d(json.Number=5)"),
            ("%v %v", vec![raw, Value::Null], "5 <nil>"),
            ("%s %d", vec![Value::from("a")], "a %!d(MISSING)"),
            ("%s", vec![Value::from("a"), Value::Int(1)], "a%!(EXTRA int64=1)"),
            ("%", vec![], "%!(NOVERB)"),
            ("100%%", vec![], "100%"),
            (
                "%.2f|%8.3f|%e",
                vec![Value::Float(1.5), Value::Float(-1.5), Value::Float(1234.5)],
                "1.50|  -1.500|1.234500e+03",
            ),
            ("%q %x", vec![Value::from("a\"b"), Value::from("hi")], "\"a\\\"b\" 6869"),
            ("%[2]v %[1]v", vec![Value::Int(1), Value::Int(2)], "2 1"),
            (
                "%v",
                vec![Value::parse_json(&br#"{"b":[1,"x"],"a":true}"#[..]).unwrap()],
                "map[a:true b:[1 x]]",
            ),
            ("%z", vec![Value::Int(1)], "%!z(int64=1)"),
            (
                "%05d %5.2f",
                vec![Value::Number("5".into()), Value::Number("2.5".into())],
                "%!d(json.Number=00005) %!f(json.Number=   2.)",
            ),
            ("%t %v", vec![Value::Bool(true), Value::Float(1e6)], "true 1e+06"),
            ("%T %T", vec![Value::Float(1.0), Value::Null], "float64 <nil>"),
            ("%v", vec![Value::bytes(&b"hi"[..])], "[104 105]"),
            ("%.*d", vec![Value::Int(i64::MAX), Value::Int(5)], "%!(BADPREC)5"),
        ] {
            assert_eq!(shown(format, &args), want, "{format}");
        }
    }
}
