//! The tape: eight bytes a node, in document order, built in one validating pass.
//!
//! A scalar or key takes one node, a container two: (offset of its bracket, kind and extent in nodes), then
//! (length of its text, number of members). Keys are nodes, each followed by its value.

use super::{prefix_at, scan};

/// Deepest nesting of containers.
pub(crate) const MAX_DEPTH: usize = 10_000;
/// Longest document in bytes: lengths have 28 bits.
pub(crate) const MAX_BYTES: usize = (1 << 28) - 1;
/// Longest text that is made of a value; tests need not fill the memory.
pub(crate) const MAX_TEXT: usize = if cfg!(test) { 1 << 23 } else { MAX_BYTES };

const LENGTH: u32 = (1 << 28) - 1;
const NONE: u32 = u32::MAX;
/// Words of containers are at least this, those of strings with escapes that.
const CONTAINERS: u32 = (Kind::Array as u32) << 28;
const ESCAPED: u32 = (Kind::Escaped as u32) << 28;

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
        if self.word >= CONTAINERS { self.word & LENGTH } else { 1 }
    }

    /// Whether the text of a string or key has escapes.
    #[inline]
    pub(crate) fn is_escaped(self) -> bool {
        self.word >= ESCAPED
    }

    /// Whether it is a string or key without escapes, of so many bytes.
    #[inline]
    pub(crate) fn is_plain(self, len: usize) -> bool {
        self.word == node(0, Kind::Plain, len).word
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
    /// The last key, and its first bytes.
    last: Node,
    prefix: u64,
}

impl Open {
    #[inline]
    fn new(index: u32, object: bool) -> Self {
        Self { index, object, canonical: true, count: 0, last: Node::default(), prefix: 0 }
    }
}

/// Buffers that live from one document to the next.
#[derive(Default)]
pub(super) struct Parser {
    nodes: Vec<Node>,
    stack: Vec<Open>,
}

/// Where a document is read, and whether blanks were passed over.
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
    fn string(&mut self) -> Result<Node, Failure> {
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
        Ok(node(start, kind, end - start))
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

impl Open {
    /// Takes in a key: whether the object's text is still canonical with it.
    #[inline]
    fn key(&mut self, key: Node, bytes: &[u8]) {
        let text = |key: Node| bytes.get(key.offset()..key.offset() + key.len()).unwrap_or_default();
        let prefix = prefix_at(bytes, key.offset(), key.len());
        let follows = self.prefix < prefix
            || (self.prefix == prefix && (self.count == 0 || text(self.last) < text(key)));
        // Escaped keys do not order as their text does.
        self.canonical = follows && !key.is_escaped();
        (self.last, self.prefix) = (key, prefix);
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
        if self.stack.capacity() > 1 << 10 {
            self.stack = Vec::new();
        }
        Ok((nodes, flags))
    }

    /// The pass itself; tells whether the document was compact.
    fn run(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let nodes = &mut self.nodes;
        let stack = &mut self.stack;
        let mut cursor = Cursor { bytes, at: 0, compact: true };
        let mut open = Open::new(NONE, false);
        // Whether a key comes next, not a value.
        let mut key = false;
        'token: loop {
            let byte = cursor.peek();
            if byte == b'"' {
                let string = cursor.string()?;
                nodes.push(string);
                if key {
                    if open.canonical {
                        open.key(string, bytes);
                    }
                    if cursor.peek() != b':' {
                        return Err(Failure::Syntax);
                    }
                    cursor.at += 1;
                    key = false;
                    continue 'token;
                }
                open.canonical &= string.kind() != Kind::Rewritten;
            } else if key {
                return Err(Failure::Syntax);
            } else {
                match byte {
                    b'{' | b'[' => {
                        if stack.len() >= MAX_DEPTH {
                            return Err(Failure::Depth);
                        }
                        stack.push(open);
                        #[expect(
                            clippy::cast_possible_truncation,
                            reason = "documents are at most MAX_BYTES long"
                        )]
                        let index = nodes.len() as u32;
                        open = Open::new(index, byte == b'{');
                        nodes.push(node(cursor.at, Kind::Null, 0));
                        nodes.push(Node::default());
                        cursor.at += 1;
                        // Closing brackets are two characters further.
                        if cursor.peek() != byte + 2 {
                            key = open.object;
                            continue 'token;
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
            }
            loop {
                if open.index == NONE {
                    break 'token;
                }
                open.count = open.count.wrapping_add(1);
                let byte = cursor.peek();
                if byte == b',' {
                    cursor.at += 1;
                    key = open.object;
                    continue 'token;
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
