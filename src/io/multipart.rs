//! Several messages in one HTTP body (RFC 1341).

use bytes::Bytes;
use memchr::memmem;

/// A body of several parts under construction.
pub(crate) struct Writer {
    boundary: String,
    body: Vec<u8>,
}

impl Writer {
    /// With a boundary that no content can foresee.
    pub(crate) fn new() -> Self {
        let random: [u8; 30] = rand::random();
        let boundary =
            random.iter().fold(String::with_capacity(60), |text, byte| text + &format!("{byte:02x}"));
        Self { boundary, body: Vec::new() }
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, content_type: &str, content: &[u8]) {
        self.part_of(&[("Content-Type", content_type)], content);
    }

    /// Adds a part with these headers; line breaks in them are left out.
    pub(crate) fn part_of(&mut self, headers: &[(&str, &str)], content: &[u8]) {
        let lead = if self.body.is_empty() { "" } else { "\r\n" };
        let mut head = format!("{lead}--{}\r\n", self.boundary);
        for (name, value) in headers {
            head.extend(
                name.chars().chain(": ".chars()).chain(value.chars()).filter(|c| !matches!(c, '\r' | '\n')),
            );
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(content);
    }

    /// The body and its content type.
    pub(crate) fn finish(mut self) -> (Bytes, String) {
        self.body.extend_from_slice(format!("\r\n--{}--\r\n", self.boundary).as_bytes());
        (Bytes::from(self.body), format!("multipart/form-data; boundary={}", self.boundary))
    }
}

/// A content type taken apart: its lower-cased media type and a parameter's value.
pub(crate) fn media_type(content_type: &str) -> Option<(String, Option<String>)> {
    let mut parts = content_type.split(';');
    let media = parts.next()?.trim().to_lowercase();
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let valid = match media.split_once('/') {
        Some((kind, rest)) => is_token(kind) && is_token(rest) && !rest.contains('/'),
        None => is_token(&media),
    };
    if !valid {
        return None;
    }
    let mut boundary = None;
    for part in parts {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let (name, value) = part.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("boundary") {
            boundary = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    Some((media, boundary))
}

/// More parts are taken for broken: a message takes memory of its own, however little it holds.
const MAX_PARTS: usize = 1 << 20;

/// The parts of a body; `None` if it is broken. They are slices of the body.
pub(crate) fn parts(body: &Bytes, boundary: &str) -> Option<Vec<Bytes>> {
    if boundary.is_empty() {
        return None;
    }
    let marker = format!("--{boundary}").into_bytes();
    let mut parts = Vec::new();
    let mut at = begin_of(body, &marker)?;
    loop {
        let rest = body.get(at + marker.len()..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        if parts.len() == MAX_PARTS {
            return None;
        }
        let line_end = memchr::memchr(b'\n', rest)?;
        let head = at + marker.len() + line_end + 1;
        let content = head + head_length(body.get(head..)?)?;
        let (end, next) = end_of(body.get(content..)?, &marker)?;
        parts.push(body.slice(content..content + end));
        at = content + next;
    }
}

/// Where the first marker is: at the begin, or of a line after a preamble.
fn begin_of(body: &[u8], marker: &[u8]) -> Option<usize> {
    if body.starts_with(marker) {
        return Some(0);
    }
    memmem::find_iter(body, marker)
        .find(|at| at.checked_sub(1).and_then(|before| body.get(before)) == Some(&b'\n'))
}

/// The length of a part's head, the empty line included.
fn head_length(part: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let line = part.get(length..)?;
        let end = memchr::memchr(b'\n', line)? + 1;
        length += end;
        if matches!(line.get(..end), Some(b"\n" | b"\r\n")) {
            return Some(length);
        }
    }
}

/// Where a part's content ends and where the marker after it begins.
fn end_of(content: &[u8], marker: &[u8]) -> Option<(usize, usize)> {
    if content.starts_with(marker) {
        return Some((0, 0));
    }
    memmem::find_iter(content, marker).find_map(|at| {
        let before = content.get(..at)?.strip_suffix(b"\n")?;
        Some((before.strip_suffix(b"\r").unwrap_or(before).len(), at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut writer = Writer::new();
        writer.part("text/plain", b"one");
        writer.part("text/csv", b"two\r\nlines\n");
        writer.part("text/plain", b"");
        let (body, content_type) = writer.finish();
        let (media, boundary) = media_type(&content_type).unwrap();
        assert_eq!(media, "multipart/form-data");
        assert_eq!(parts(&body, &boundary.unwrap()).unwrap(), ["one", "two\r\nlines\n", ""]);
    }

    #[test]
    fn a_preamble_is_passed_over() {
        let body = Bytes::from_static(b"hello\r\n--X\r\nA: b\r\n\r\none --X\r\n--X--\r\n");
        assert_eq!(parts(&body, "X").unwrap(), ["one --X"]);
    }

    #[test]
    fn broken_bodies_are_refused() {
        for body in ["", "--X", "--X\r\n", "--X\r\n\r\nno end", "--X\r\nA: b\r\n--X--", "text"] {
            assert_eq!(parts(&Bytes::from(body), "X"), None, "{body:?}");
        }
        assert_eq!(media_type(""), None);
        assert_eq!(media_type("text/plain; what"), None);
    }
}
