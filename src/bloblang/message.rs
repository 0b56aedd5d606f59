//! Messages: content and structured value, each made from the other when first needed.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::json::{Doc, JsonError, Numbers};
use crate::metadata::Metadata;
use crate::value::Value;

/// What failed and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageError {
    /// The error's text.
    pub text: String,
    /// Type name of the component.
    pub name: String,
    /// Label of the component, empty if it has none.
    pub label: String,
    /// Path of the component in its config, dots between segments.
    pub path: String,
}

/// What the engine attaches to a message.
pub trait Attachment: Any + Send + Sync {
    /// The span that the message is in.
    fn span(&self) -> Option<SpanId> {
        None
    }
}

/// The engine's attachment to a message.
pub type Context = Arc<dyn Attachment>;

/// What identifies a span: its trace, itself, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId {
    /// The trace.
    pub trace: u128,
    /// The span in its trace.
    pub span: u64,
    /// Whether it is recorded.
    pub sampled: bool,
}

/// As the header `traceparent` of W3C has it.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Tag of a message whose place in a batch is not known.
pub const UNTAGGED: u32 = u32::MAX;

/// What was given of a message, and what was made of it when first asked for.
#[derive(Clone)]
enum Body {
    /// Bytes, what numbers in them are, and what they are as JSON.
    Content(Bytes, Numbers, OnceLock<Result<Value, Box<JsonError>>>),
    /// A value, and how it is written.
    Value(Value, OnceLock<Bytes>),
}

impl Body {
    fn content(content: impl Into<Bytes>) -> Self {
        Self::Content(content.into(), Numbers::Text, OnceLock::new())
    }

    /// Strings and bytes are content, which reads as JSON only if it is JSON.
    fn value(value: Value) -> Self {
        if let Value::Bytes(bytes) = &value {
            return Self::content((**bytes).clone());
        }
        match value.as_bytes() {
            Some(text) => Self::content(text.into_owned()),
            None => Self::Value(value, OnceLock::new()),
        }
    }
}

/// One message. Cloning is cheap and shares everything until a clone changes.
#[derive(Clone)]
pub struct Message {
    body: Body,
    metadata: Metadata,
    /// What few messages have.
    extra: Option<Box<Extra>>,
    /// Index in the batch it came from, kept by clones and mappings; `UNTAGGED` if unknown.
    pub tag: u32,
}

#[derive(Clone, Default)]
struct Extra {
    error: Option<Arc<MessageError>>,
    context: Option<Context>,
}

impl Default for Message {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("content", self.content())
            .field("metadata", &self.metadata)
            .field("error", &self.error())
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// A message of these bytes.
    pub fn new(content: impl Into<Bytes>) -> Self {
        Self { body: Body::content(content), metadata: Metadata::default(), extra: None, tag: UNTAGGED }
    }

    /// A message of a structured value.
    pub fn from_value(value: Value) -> Self {
        Self { body: Body::value(value), ..Self::default() }
    }

    /// Appends what stands for its body to a buffer, content up to `small` bytes or a small value, for
    /// [`unpacked`](Self::unpacked) to make the same of it; `None`: nothing does.
    pub fn pack(&self, small: usize, out: &mut Vec<u8>) -> Option<Numbers> {
        match &self.body {
            Body::Content(content, numbers, _) => (content.len() <= small).then(|| {
                out.extend_from_slice(content);
                *numbers
            }),
            // A value takes several times the room of its text.
            Body::Value(value, _) => {
                let numbers = value.reads_back(small * 16)?;
                let start = out.len();
                if value.write_json(out).is_err() {
                    out.truncate(start);
                    return None;
                }
                Some(numbers)
            }
        }
    }

    /// A message of what was [packed](Self::pack).
    pub fn unpacked(content: Bytes, numbers: Numbers, metadata: Metadata, tag: u32) -> Self {
        let body = Body::Content(content, numbers, OnceLock::new());
        Self { body, metadata, extra: None, tag }
    }

    /// What a mapping made of this message: another value and metadata, the rest kept.
    pub(crate) fn mapped(&self, value: Value, metadata: Metadata) -> Self {
        Self { body: Body::value(value), metadata, extra: self.extra.clone(), tag: self.tag }
    }

    /// The content. A value is serialised at the first call; one JSON cannot express gives no bytes at all.
    pub fn content(&self) -> &Bytes {
        match &self.body {
            Body::Content(content, ..) => content,
            Body::Value(value, content) => content.get_or_init(|| value.to_payload().unwrap_or_default()),
        }
    }

    /// Appends the content to a buffer, without keeping it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Content(content, ..) => out.extend_from_slice(content),
            Body::Value(value, content) => match content.get() {
                Some(content) => out.extend_from_slice(content),
                None => value.write_payload(out),
            },
        }
    }

    /// Appends the content to a buffer if it is still a value, and says where.
    pub fn write_out(&self, out: &mut Vec<u8>) -> Option<Range<usize>> {
        let Body::Value(..) = &self.body else { return None };
        let start = out.len();
        self.write_to(out);
        Some(start..out.len())
    }

    /// Length of the content in bytes; serialises if it must.
    pub fn len(&self) -> usize {
        self.content().len()
    }

    /// Length of the content in bytes where it is written already, and zero for a value.
    pub fn written_len(&self) -> usize {
        match &self.body {
            Body::Content(content, ..) => content.len(),
            Body::Value(_, content) => content.get().map_or(0, Bytes::len),
        }
    }

    /// Whether the content is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The structured value; the content is parsed at the first call.
    pub fn value(&self) -> Result<&Value, &JsonError> {
        match &self.body {
            Body::Value(value, _) => Ok(value),
            Body::Content(content, numbers, value) => {
                let parse = || {
                    if content.is_empty() {
                        return Err(Box::new(JsonError::Empty));
                    }
                    let doc = Doc::parse_with(content.clone(), *numbers)?;
                    Ok(Value::document(&doc))
                };
                value.get_or_init(parse).as_ref().map_err(|error| &**error)
            }
        }
    }

    /// Whether a structured value is at hand without parsing.
    pub fn has_value(&self) -> bool {
        match &self.body {
            Body::Value(..) => true,
            Body::Content(_, _, value) => matches!(value.get(), Some(Ok(_))),
        }
    }

    /// Lets go of what was parsed of the content; it is parsed anew when asked for.
    pub fn forget_parsed(&mut self) {
        if let Body::Content(_, _, value) = &mut self.body {
            value.take();
        }
    }

    /// Replaces the content.
    pub fn set_content(&mut self, content: impl Into<Bytes>) {
        self.body = Body::content(content);
    }

    /// Replaces the structured value; strings and bytes are raw content.
    pub fn set_value(&mut self, value: Value) {
        self.body = Body::value(value);
    }

    /// The structured value, to change it; the content is then made anew.
    pub fn value_mut(&mut self) -> Result<&mut Value, JsonError> {
        let value = self.value()?.clone();
        self.body = Body::Value(value, OnceLock::new());
        match &mut self.body {
            Body::Value(value, _) => Ok(value),
            Body::Content(..) => Err(JsonError::Empty),
        }
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata, to change it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The error a processor left.
    pub fn error(&self) -> Option<&Arc<MessageError>> {
        self.extra.as_ref()?.error.as_ref()
    }

    /// Sets or clears the error.
    pub fn set_error(&mut self, error: Option<Arc<MessageError>>) {
        if error.is_some() || self.extra.is_some() {
            self.extra.get_or_insert_default().error = error;
        }
    }

    /// The engine's attachment.
    pub fn context(&self) -> Option<&Context> {
        self.extra.as_ref()?.context.as_ref()
    }

    /// The span that it is in, if it is traced.
    pub fn span(&self) -> Option<SpanId> {
        self.context()?.span()
    }

    /// Sets or clears the engine's attachment.
    pub fn set_context(&mut self, context: Option<Context>) {
        if context.is_some() || self.extra.is_some() {
            self.extra.get_or_insert_default().context = context;
        }
    }
}

impl From<&JsonError> for JsonError {
    fn from(error: &JsonError) -> Self {
        error.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_value_are_made_from_each_other() {
        let mut message = Message::new(&br#"{ "b":1, "a":2 }"#[..]);
        assert!(!message.has_value());
        assert_eq!(message.value().unwrap().to_json(), r#"{"a":2,"b":1}"#);
        assert_eq!(message.content(), &br#"{ "b":1, "a":2 }"#[..]);
        message.value_mut().unwrap().object_mut().unwrap().remove("a");
        let copy = message.clone();
        assert_eq!(message.content(), &br#"{"b":1}"#[..]);
        let mut out = Vec::new();
        copy.write_to(&mut out);
        assert_eq!(out, br#"{"b":1}"#);
    }

    #[test]
    fn what_was_packed_is_the_same_message() {
        let value = Value::from(vec![Value::Int(1), Value::Float(0.5)]);
        for message in [Message::new(&b"[1,  2.50]"[..]), Message::new("no"), Message::from_value(value)] {
            let mut out = b"before".to_vec();
            let numbers = message.pack(16, &mut out).unwrap();
            let back = Message::unpacked(
                Bytes::from(out).slice(6..),
                numbers,
                message.metadata().clone(),
                message.tag,
            );
            assert_eq!(back.content(), message.content());
            assert_eq!(back.value().ok().map(Value::to_json), message.value().ok().map(Value::to_json));
            let first = |message: &Message| message.value().ok()?.item(0)?.number_text().map(str::to_owned);
            assert_eq!(first(&back), first(&message));
        }
        let mut out = Vec::new();
        assert_eq!(Message::new("12345").pack(4, &mut out), None);
        assert_eq!(Message::from_value(Value::Float(1.0)).pack(4, &mut out), None);
        assert_eq!(out, b"");
        assert!(size_of::<Message>() <= 96);
    }

    #[test]
    fn strings_are_raw_content() {
        let message = Message::from_value(Value::from("true"));
        assert_eq!(message.content(), &b"true"[..]);
        assert_eq!(message.value().unwrap().as_bool(), Some(true));
        assert_eq!(Message::from_value(Value::Float(f64::NAN)).len(), 0);
        assert_eq!(Message::default().value().unwrap_err(), &JsonError::Empty);
    }
}
