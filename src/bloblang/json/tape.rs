//! The tape: eight bytes a node, in document order, built in one validating pass.
//!
//! A scalar or key takes one node, a container two: (offset of its bracket, kind and extent in nodes), then
//! (length of its text, number of members). Keys are nodes, each followed by its value.

use smallvec::SmallVec;

use super::scan;

/// Deepest nesting of containers.
const MAX_DEPTH: usize = 10_000;
/// Longest document in bytes: lengths have 28 bits.
pub(crate) const MAX_BYTES: usize = (1 << 28) - 1;

const LENGTH: u32 = (1 << 28) - 1;
const NONE: u32 = u32::MAX;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    /// A string without escapes.
    Plain,
    /// A string whose escapes are those the canonical form uses.
    Escaped,
    /// A string with other escapes.
    Rewritten,
    Array,
    Object,
    /// An array whose text is canonical: sorted unique keys and canonical escapes throughout.
    CanonicalArray,
    /// An object whose text is canonical.
    CanonicalObject,
}

impl Kind {
    #[inline]
    pub(crate) fn is_array(self) -> bool {
        matches!(self, Self::Array | Self::CanonicalArray)
    }

    #[inline]
    pub(crate) fn is_object(self) -> bool {
        matches!(self, Self::Object | Self::CanonicalObject)
    }

    #[inline]
    pub(crate) fn is_string(self) -> bool {
        matches!(self, Self::Plain | Self::Escaped | Self::Rewritten)
    }

    #[inline]
    fn is_container(self) -> bool {
        self.is_array() || self.is_object()
    }
}

/// One node: where it begins, and its kind (4 bits) with its length or extent (28 bits).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    offset: u32,
    word: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "documents are at most MAX_BYTES long")]
#[inline]
fn node(offset: usize, kind: Kind, len: usize) -> Node {
    Node { offset: offset as u32, word: ((kind as u32) << 28) | len as u32 }
}

impl Node {
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        // The compiler sees that this is no more than a bound.
        match self.word >> 28 {
            1 => Kind::False,
            2 => Kind::True,
            3 => Kind::Number,
            4 => Kind::Plain,
            5 => Kind::Escaped,
            6 => Kind::Rewritten,
            7 => Kind::Array,
            8 => Kind::Object,
            9 => Kind::CanonicalArray,
            10 => Kind::CanonicalObject,
            _ => Kind::Null,
        }
    }

    /// Byte offset of the text: behind the quote of a string, at the bracket of a container.
    #[inline]
    pub(crate) fn offset(self) -> usize {
        self.offset as usize
    }

    /// Length of a scalar's text in bytes.
    #[inline]
    pub(crate) fn len(self) -> usize {
        (self.word & LENGTH) as usize
    }

    /// Number of nodes the value takes.
    #[inline]
    pub(crate) fn extent(self) -> u32 {
        if self.kind().is_container() { self.word & LENGTH } else { 1 }
    }

    /// The second node of a container holds its member count here.
    #[inline]
    pub(crate) fn word(self) -> u32 {
        self.word
    }
}

/// What is true of a whole document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    /// There are no blanks between tokens.
    pub(crate) compact: bool,
    /// All bytes are valid UTF-8.
    pub(crate) utf8: bool,
    /// Strings may be copied to the output as they stand: valid UTF-8, no U+2028 or U+2029.
    pub(crate) verbatim: bool,
}

/// Why a document was refused; the words for it are made elsewhere, only when needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Syntax,
    Depth,
}

/// The container being read.
#[derive(Clone, Copy)]
struct Open {
    /// Its node, `NONE` at top level.
    index: u32,
    object: bool,
    canonical: bool,
    count: u32,
    /// Offset and length of the last key.
    last: (usize, usize),
}

/// Buffers that live from one document to the next.
#[derive(Default)]
pub(super) struct Parser {
    nodes: Vec<Node>,
    stack: SmallVec<[Open; 16]>,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    compact: bool,
}

impl Cursor<'_> {
    /// Skips blanks and looks at the next byte, 0 at the end.
    #[inline]
    fn peek(&mut self) -> u8 {
        let mut byte = self.bytes.get(self.at).copied().unwrap_or(0);
        if byte <= b' ' {
            while matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                self.compact = false;
                self.at += 1;
                byte = self.bytes.get(self.at).copied().unwrap_or(0);
            }
        }
        byte
    }

    /// Reads the string whose opening quote is here.
    #[expect(clippy::inline_always, reason = "measured: a call for each string costs a tenth of the parse")]
    #[inline(always)]
    fn string(&mut self) -> Result<(Node, bool), Failure> {
        let start = self.at + 1;
        let end = scan::find_special(self.bytes, start);
        let (end, kind) = match self.bytes.get(end) {
            Some(b'"') => (end, Kind::Plain),
            Some(b'\\') => match scan::escaped_end(self.bytes, end).ok_or(Failure::Syntax)? {
                (end, true) => (end, Kind::Escaped),
                (end, false) => (end, Kind::Rewritten),
            },
            _ => return Err(Failure::Syntax),
        };
        self.at = end + 1;
        Ok((node(start, kind, end - start), kind != Kind::Rewritten))
    }

    #[inline]
    fn literal(&mut self, text: &[u8], kind: Kind) -> Result<Node, Failure> {
        let start = self.at;
        self.at += text.len();
        if self.bytes.get(start..self.at) == Some(text) {
            Ok(node(start, kind, text.len()))
        } else {
            Err(Failure::Syntax)
        }
    }
}

impl Parser {
    /// Reads one document and gives its tape.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<(Box<[Node]>, Flags), Failure> {
        self.nodes.clear();
        self.stack.clear();
        let compact = self.run(bytes)?;
        let utf8 = simdutf8::basic::from_utf8(bytes).is_ok();
        let flags = Flags { compact, utf8, verbatim: utf8 && !scan::has_line_separator(bytes) };
        let nodes = self.nodes.as_slice().into();
        // One huge document must not hold its memory for ever.
        if self.nodes.capacity() > 1 << 16 {
            self.nodes = Vec::new();
        }
        if self.stack.spilled() {
            self.stack = SmallVec::new();
        }
        Ok((nodes, flags))
    }

    #[expect(clippy::inline_always, reason = "measured, as above")]
    #[inline(always)]
    fn key(nodes: &mut Vec<Node>, cursor: &mut Cursor<'_>, open: &mut Open) -> Result<(), Failure> {
        if cursor.peek() != b'"' {
            return Err(Failure::Syntax);
        }
        let (key, canonical) = cursor.string()?;
        nodes.push(key);
        if open.canonical {
            let text =
                |(offset, len): (usize, usize)| cursor.bytes.get(offset..offset + len).unwrap_or_default();
            let this = (key.offset(), key.len());
            // Escaped keys do not order as their text does.
            let plain = canonical && key.kind() == Kind::Plain;
            open.canonical = plain && (open.count == 0 || text(open.last) < text(this));
            open.last = this;
        }
        if cursor.peek() != b':' {
            return Err(Failure::Syntax);
        }
        cursor.at += 1;
        Ok(())
    }

    /// The pass itself; tells whether the document was compact.
    fn run(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let nodes = &mut self.nodes;
        let stack = &mut self.stack;
        let mut cursor = Cursor { bytes, at: 0, compact: true };
        let mut open = Open { index: NONE, object: false, canonical: true, count: 0, last: (0, 0) };
        'value: loop {
            match cursor.peek() {
                b'"' => {
                    let (string, canonical) = cursor.string()?;
                    nodes.push(string);
                    open.canonical &= canonical;
                }
                bracket @ (b'{' | b'[') => {
                    if stack.len() >= MAX_DEPTH {
                        return Err(Failure::Depth);
                    }
                    stack.push(open);
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "documents are at most MAX_BYTES long"
                    )]
                    let index = nodes.len() as u32;
                    let object = bracket == b'{';
                    open = Open { index, object, canonical: true, count: 0, last: (0, 0) };
                    nodes.push(node(cursor.at, Kind::Null, 0));
                    nodes.push(Node::default());
                    cursor.at += 1;
                    let next = cursor.peek();
                    if object && next != b'}' {
                        Self::key(nodes, &mut cursor, &mut open)?;
                        continue 'value;
                    }
                    if !object && next != b']' {
                        continue 'value;
                    }
                    // Empty: becomes zero when it closes below.
                    open.count = u32::MAX;
                }
                b'-' | b'0'..=b'9' => {
                    let end = scan::number_end(bytes, cursor.at).ok_or(Failure::Syntax)?;
                    nodes.push(node(cursor.at, Kind::Number, end - cursor.at));
                    cursor.at = end;
                }
                b't' => nodes.push(cursor.literal(b"true", Kind::True)?),
                b'f' => nodes.push(cursor.literal(b"false", Kind::False)?),
                b'n' => nodes.push(cursor.literal(b"null", Kind::Null)?),
                _ => return Err(Failure::Syntax),
            }
            loop {
                if open.index == NONE {
                    break 'value;
                }
                open.count = open.count.wrapping_add(1);
                let byte = cursor.peek();
                if byte == b',' {
                    cursor.at += 1;
                    if open.object {
                        Self::key(nodes, &mut cursor, &mut open)?;
                    }
                    continue 'value;
                }
                if byte != if open.object { b'}' } else { b']' } {
                    return Err(Failure::Syntax);
                }
                cursor.at += 1;
                let mut outer = stack.pop().ok_or(Failure::Syntax)?;
                close(nodes, &open, cursor.at);
                outer.canonical &= open.canonical;
                open = outer;
            }
        }
        if cursor.peek() != 0 || cursor.at != bytes.len() {
            return Err(Failure::Syntax);
        }
        Ok(cursor.compact)
    }
}

/// Completes the two nodes of a container that ends before `end`.
#[inline]
fn close(nodes: &mut [Node], open: &Open, end: usize) {
    let index = open.index as usize;
    let extent = nodes.len() - index;
    let kind = match (open.object, open.canonical) {
        (true, true) => Kind::CanonicalObject,
        (true, false) => Kind::Object,
        (false, true) => Kind::CanonicalArray,
        (false, false) => Kind::Array,
    };
    if let Some([first, second]) = nodes.get_mut(index..index + 2) {
        let start = first.offset();
        *first = node(start, kind, extent);
        *second = Node { offset: node(end - start, Kind::Null, 0).offset, word: open.count };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_subtrees_are_noticed() {
        let bytes = br#"{"b":{"a":[1,2],"c":"x"},"a":{"z":1,"y":2}}"#;
        let (nodes, flags) = Parser::default().parse(bytes).unwrap();
        assert!(flags.compact && flags.verbatim);
        assert_eq!(nodes[0].kind(), Kind::Object);
        assert_eq!(nodes[3].kind(), Kind::CanonicalObject);
        assert_eq!(nodes[nodes.len() - 6].kind(), Kind::Object);
        let (_, flags) = Parser::default().parse(b"[1, 2]").unwrap();
        assert!(!flags.compact);
        let (_, flags) = Parser::default().parse("[\"\u{2028}\"]".as_bytes()).unwrap();
        assert!(flags.utf8 && !flags.verbatim);
    }
}
