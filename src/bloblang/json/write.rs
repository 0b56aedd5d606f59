//! Writing documents in canonical form: keys sorted, no blanks, the shortest escapes.

use std::cell::RefCell;
use std::fmt;

use smallvec::SmallVec;

use super::{Doc, Kind, MAX_DEPTH, MAX_TEXT, Node, Numbers, scan};
use crate::number;

/// Why a value cannot be written as JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unwritable {
    /// It holds a number JSON cannot express: NaN or an infinity.
    NotFinite(f64),
    /// Its text would be longer than a document may be.
    TooLarge,
    /// It is nested deeper than a document may be.
    TooDeep,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite(number) => {
                write!(f, "json: unsupported value: {}", number::format_shortest(*number))
            }
            Self::TooLarge => write!(f, "value exceeds the limit of {MAX_TEXT} bytes"),
            Self::TooDeep => write!(f, "value is nested deeper than {MAX_DEPTH}"),
        }
    }
}

impl std::error::Error for Unwritable {}

/// How strings are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As payloads are written.
    Plain,
    /// `<`, `>` and `&` escaped too.
    Html,
}

/// Keys of an object in order, as (first bytes, key node).
type Order = Vec<(u64, u32)>;

thread_local! {
    static ORDER: RefCell<Order> = const { RefCell::new(Vec::new()) };
}

/// Writes the value at `index`.
#[inline]
pub(crate) fn write_document(doc: &Doc, index: u32, style: Style, out: &mut Vec<u8>) {
    Writer::new(doc, style, out).value(index);
}

/// A container being written.
struct Frame {
    /// Next node of an array, next entry of `order` for an object.
    at: u32,
    end: u32,
    object: bool,
    /// Where this object's entries begin in `order`.
    base: usize,
}

/// Writes parts of one document.
pub(crate) struct Writer<'a> {
    doc: &'a Doc,
    bytes: &'a [u8],
    nodes: &'a [Node],
    /// Strings may be copied as they stand.
    verbatim: bool,
    /// Canonical text may be copied as it stands, numbers and blanks included.
    copies: bool,
    style: Style,
    pub(crate) out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    #[inline]
    pub(crate) fn new(doc: &'a Doc, style: Style, out: &'a mut Vec<u8>) -> Self {
        // Where nothing in the whole document needs the stronger escapes, the weaker are the same.
        let verbatim = doc.flags.verbatim
            && (style == Style::Plain || memchr::memchr3(b'<', b'>', b'&', &doc.bytes).is_none());
        let copies = verbatim && doc.flags.compact && doc.numbers != Numbers::Float;
        Self { doc, bytes: &doc.bytes, nodes: &doc.nodes, verbatim, copies, style, out }
    }

    #[inline]
    fn node(&self, index: u32) -> Node {
        self.nodes.get(index as usize).copied().unwrap_or_default()
    }

    #[inline]
    fn copy(&mut self, start: usize, end: usize) {
        if let Some(text) = self.bytes.get(start..end) {
            self.out.extend_from_slice(text);
        }
    }

    /// Writes the value at `index`.
    #[inline]
    pub(crate) fn value(&mut self, index: u32) {
        if !self.simple(index) {
            ORDER.with(|order| match order.try_borrow_mut() {
                Ok(mut order) => self.container(index, &mut order),
                Err(_) => self.container(index, &mut Order::new()),
            });
        }
    }

    #[inline]
    fn string(&mut self, node: Node) {
        if self.verbatim && node.kind() != Kind::Rewritten {
            self.copy(node.offset() - 1, node.offset() + node.len() + 1);
        } else {
            write_string(&self.doc.string(node), self.style, self.out);
        }
    }

    /// Writes the key at `index` and its colon.
    #[inline]
    pub(crate) fn key(&mut self, index: u32) {
        self.string(self.node(index));
        self.out.push(b':');
    }

    /// Writes what needs no descent: scalars, and containers that are canonical already.
    #[inline]
    fn simple(&mut self, index: u32) -> bool {
        let node = self.node(index);
        match node.kind() {
            Kind::Plain | Kind::Escaped | Kind::Rewritten => self.string(node),
            Kind::CanonicalArray | Kind::CanonicalObject if self.copies => {
                self.copy(node.offset(), node.offset() + self.node(index + 1).offset());
            }
            Kind::Array | Kind::Object | Kind::CanonicalArray | Kind::CanonicalObject => return false,
            Kind::Number if self.doc.numbers == Numbers::Float => {
                let value = number::parse_float(self.doc.raw(node)).unwrap_or(0.0);
                number::write_json_float(value, self.out);
            }
            _ => self.copy(node.offset(), node.offset() + node.len()),
        }
        true
    }

    /// Writes a key and its value, one copy where both stand together and need no change; false if the value
    /// has still to be written.
    #[inline]
    fn member(&mut self, key: u32) -> bool {
        let name = self.node(key);
        if self.copies && name.kind() == Kind::Plain {
            let value = self.node(key + 1);
            let end = match value.kind() {
                Kind::Plain | Kind::Escaped => value.offset() + value.len() + 1,
                Kind::Null | Kind::False | Kind::True | Kind::Number => value.offset() + value.len(),
                Kind::CanonicalArray | Kind::CanonicalObject => value.offset() + self.node(key + 2).offset(),
                Kind::Array | Kind::Object => {
                    self.copy(name.offset() - 1, value.offset());
                    return false;
                }
                Kind::Rewritten => 0,
            };
            if end > 0 {
                self.copy(name.offset() - 1, end);
                return true;
            }
        }
        self.key(key);
        self.simple(key + 1)
    }

    /// Writes a key and its value.
    #[inline]
    pub(crate) fn whole_member(&mut self, key: u32) {
        if !self.member(key) {
            self.value(key + 1);
        }
    }

    /// Opens the container at `index`.
    fn open(&mut self, index: u32, order: &mut Order) -> Frame {
        let node = self.node(index);
        let base = order.len();
        if node.kind().is_object() {
            self.out.push(b'{');
            sort_members(self.doc, index, order);
            let [at, end] = [base, order.len()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            Frame { at, end, object: true, base }
        } else {
            self.out.push(b'[');
            Frame { at: index + 2, end: index + node.extent(), object: false, base }
        }
    }

    /// Writes a container with a stack of its own, as documents may be nested 10,000 levels deep.
    fn container(&mut self, index: u32, order: &mut Order) {
        order.clear();
        let mut stack: SmallVec<[Frame; 12]> = SmallVec::new();
        let mut frame = self.open(index, order);
        let mut first = true;
        loop {
            if frame.at == frame.end {
                self.out.push(if frame.object { b'}' } else { b']' });
                order.truncate(frame.base);
                let Some(outer) = stack.pop() else { return };
                frame = outer;
                first = false;
                continue;
            }
            if !first {
                self.out.push(b',');
            }
            let (child, done) = if frame.object {
                let key = order.get(frame.at as usize).map_or(0, |entry| entry.1);
                frame.at += 1;
                (key + 1, self.member(key))
            } else {
                let child = frame.at;
                frame.at = child + self.node(child).extent();
                (child, self.simple(child))
            };
            first = !done;
            if !done {
                let inner = self.open(child, order);
                stack.push(std::mem::replace(&mut frame, inner));
            }
        }
    }
}

/// Appends the members of an object to `order` by key, each key once: its last occurrence.
pub(crate) fn sort_members(doc: &Doc, index: u32, order: &mut Order) {
    let base = order.len();
    if !doc.flags.utf8 {
        return sort_escaped(doc, index, order);
    }
    let nodes = &*doc.nodes;
    let node = |at: u32| nodes.get(at as usize).copied().unwrap_or_default();
    let text = |entry: &(u64, u32)| doc.raw(node(entry.1));
    let few = doc.count(index) <= 24;
    let end = index + node(index).extent();
    let mut repeated = false;
    let mut at = index + 2;
    while at < end {
        let key = at;
        let name = node(key);
        at = key + 1 + node(key + 1).extent();
        if name.kind() != Kind::Plain {
            order.truncate(base);
            return sort_escaped(doc, index, order);
        }
        let entry = (doc.prefix(name), key);
        order.push(entry);
        if !few {
            continue;
        }
        // Insertion: members are few and often nearly in order.
        let Some(members) = order.get_mut(base..) else { return };
        let mut place = members.len() - 1;
        while place > 0 {
            let Some(before) = members.get(place - 1).copied() else { break };
            if before.0 < entry.0 {
                break;
            }
            if before.0 == entry.0 {
                let (left, right) = (text(&before), doc.raw(name));
                repeated |= left == right;
                if left <= right {
                    break;
                }
            }
            if let Some(slot) = members.get_mut(place) {
                *slot = before;
            }
            place -= 1;
        }
        if let Some(slot) = members.get_mut(place) {
            *slot = entry;
        }
    }
    if !few {
        order
            .get_mut(base..)
            .unwrap_or_default()
            .sort_by(|a, b| a.0.cmp(&b.0).then_with(|| text(a).cmp(text(b))));
    }
    if repeated || !few {
        keep_last(order, base, |a, b| a.0 == b.0 && text(a) == text(b));
    }
}

/// As above, for keys whose text has to be made first.
#[cold]
fn sort_escaped(doc: &Doc, index: u32, order: &mut Order) {
    let base = order.len();
    let mut keys: Vec<_> = doc.keys(index).map(|key| (doc.string(doc.node(key)), key)).collect();
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    order.extend(keys.iter().map(|(text, key)| (super::prefix(text), *key)));
    keep_last(order, base, |a, b| doc.string(doc.node(a.1)) == doc.string(doc.node(b.1)));
}

/// Of neighbours that are the same, keeps the last.
#[inline]
fn keep_last(order: &mut Order, base: usize, same: impl Fn(&(u64, u32), &(u64, u32)) -> bool) {
    let duplicated =
        |members: &[(u64, u32)]| members.windows(2).any(|pair| matches!(pair, [a, b] if same(a, b)));
    if !duplicated(order.get(base..).unwrap_or_default()) {
        return;
    }
    let mut kept = order.split_off(base);
    kept.reverse();
    kept.dedup_by(|earlier, later| same(earlier, later));
    kept.reverse();
    order.append(&mut kept);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes a JSON string; what is not UTF-8 becomes the escape of U+FFFD.
pub(crate) fn write_string(bytes: &[u8], style: Style, out: &mut Vec<u8>) {
    out.push(b'"');
    let plain = scan::is_plain(bytes)
        || (scan::find_special(bytes, 0) == bytes.len()
            && memchr::memchr(0xE2, bytes).is_none()
            && std::str::from_utf8(bytes).is_ok());
    if !plain || (style == Style::Html && memchr::memchr3(b'<', b'>', b'&', bytes).is_some()) {
        for chunk in bytes.utf8_chunks() {
            escape(chunk.valid(), style, out);
            for _ in chunk.invalid() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn escape(text: &str, style: Style, out: &mut Vec<u8>) {
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\u{2028}' => out.extend_from_slice(b"\\u2028"),
            '\u{2029}' => out.extend_from_slice(b"\\u2029"),
            '<' | '>' | '&' if style == Style::Html => escape_code(char, out),
            '\0'..'\u{20}' => escape_code(char, out),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn escape_code(char: char, out: &mut Vec<u8>) {
    let code = u32::from(char) as usize;
    let digit = |shift: usize| HEX.get((code >> shift) & 15).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, style: Style) -> String {
        let doc = Doc::parse(bytes::Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let mut out = Vec::new();
        write_document(&doc, 0, style, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn output_is_canonical() {
        for (text, want) in [
            (r#"{ "b" : 1.50 , "a" : [ ] }"#, r#"{"a":[],"b":1.50}"#),
            (
                r#"{"b":{"d":1,"c":{"y":{},"x":2}},"a":[{"k":1,"j":2}]}"#,
                r#"{"a":[{"j":2,"k":1}],"b":{"c":{"x":2,"y":{}},"d":1}}"#,
            ),
            (r#"{"a":1,"a":2,"b":3,"a":4}"#, r#"{"a":4,"b":3}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#""\u003c\/\u2028\ud800""#, "\"</\\u2028\u{FFFD}\""),
            (r#"["\u0001\u001f\b"]"#, r#"["\u0001\u001f\b"]"#),
            (
                r#"{"aaaaaaaab":1,"aaaaaaaaa":2,"aaaaaaaa":3}"#,
                r#"{"aaaaaaaa":3,"aaaaaaaaa":2,"aaaaaaaab":1}"#,
            ),
        ] {
            assert_eq!(written(text, Style::Plain), want);
        }
        assert_eq!(written(r#"{"a":"<&>"}"#, Style::Html), r#"{"a":"\u003c\u0026\u003e"}"#);
    }

    #[test]
    fn many_members_sort_too() {
        let text = format!(
            "{{{}}}",
            (0..40).rev().map(|n| format!("\"key number {n:02}\":{n}")).collect::<Vec<_>>().join(",")
        );
        let want = format!(
            "{{{}}}",
            (0..40).map(|n| format!("\"key number {n:02}\":{n}")).collect::<Vec<_>>().join(",")
        );
        assert_eq!(written(&text, Style::Plain), want);
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let text = "[ ".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(written(&text, Style::Plain).len(), 20_000);
    }

    #[test]
    fn invalid_bytes_are_written_as_escapes() {
        let mut out = Vec::new();
        write_string(b"a\xff\xe2\x80\xa9<", Style::Plain, &mut out);
        assert_eq!(out, b"\"a\\ufffd\\u2029<\"");
    }
}
