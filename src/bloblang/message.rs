//! Messages: content and structured value, each made from the other when first needed.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::json::{Doc, JsonError};
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

/// The engine's attachment to a message.
pub type Context = Arc<dyn Any + Send + Sync>;

/// Tag of a message whose place in a batch is not known.
pub const UNTAGGED: u32 = u32::MAX;

/// One message. Cloning is cheap and shares everything until a clone changes.
#[derive(Clone)]
pub struct Message {
    content: OnceLock<Bytes>,
    value: OnceLock<Result<Value, JsonError>>,
    metadata: Metadata,
    error: Option<Arc<MessageError>>,
    context: Option<Context>,
    /// Index in the batch it came from, kept by clones and mappings; `UNTAGGED` if unknown.
    pub tag: u32,
}

impl Default for Message {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("content", self.content())
            .field("metadata", &self.metadata)
            .field("error", &self.error)
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

fn filled<T>(value: T) -> OnceLock<T> {
    let cell = OnceLock::new();
    // A fresh cell is empty, so there is nothing to lose here.
    drop(cell.set(value));
    cell
}

impl Message {
    /// A message of these bytes.
    pub fn new(content: impl Into<Bytes>) -> Self {
        Self {
            content: filled(content.into()),
            value: OnceLock::new(),
            metadata: Metadata::default(),
            error: None,
            context: None,
            tag: UNTAGGED,
        }
    }

    /// A message of a structured value.
    pub fn from_value(value: Value) -> Self {
        let mut message = Self::new(Bytes::new());
        message.set_value(value);
        message
    }

    /// What a mapping made of this message: another value and metadata, the rest kept.
    pub(crate) fn mapped(&self, value: Value, metadata: Metadata) -> Self {
        let mut message = Self {
            content: OnceLock::new(),
            value: OnceLock::new(),
            metadata,
            error: self.error.clone(),
            context: self.context.clone(),
            tag: self.tag,
        };
        message.set_value(value);
        message
    }

    /// The content. A value is serialised at the first call; one JSON cannot express gives no bytes at all.
    pub fn content(&self) -> &Bytes {
        self.content.get_or_init(|| match self.value.get() {
            Some(Ok(value)) => value.to_payload().unwrap_or_default(),
            _ => Bytes::new(),
        })
    }

    /// Appends the content to a buffer, without keeping it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match (self.content.get(), self.value.get()) {
            (Some(content), _) => out.extend_from_slice(content),
            (None, Some(Ok(value))) => value.write_payload(out),
            _ => {}
        }
    }

    /// Length of the content in bytes; serialises if it must.
    pub fn len(&self) -> usize {
        self.content().len()
    }

    /// Whether the content is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The structured value; the content is parsed at the first call.
    pub fn value(&self) -> Result<&Value, &JsonError> {
        let parsed = self.value.get_or_init(|| {
            let content = self.content.get().cloned().unwrap_or_default();
            if content.is_empty() {
                return Err(JsonError::Empty);
            }
            Doc::parse(content).map(|doc| Value::document(&doc))
        });
        parsed.as_ref()
    }

    /// Whether a structured value is at hand without parsing.
    pub fn has_value(&self) -> bool {
        matches!(self.value.get(), Some(Ok(_)))
    }

    /// Replaces the content.
    pub fn set_content(&mut self, content: impl Into<Bytes>) {
        self.content = filled(content.into());
        self.value = OnceLock::new();
    }

    /// Replaces the structured value; strings and bytes are raw content.
    pub fn set_value(&mut self, value: Value) {
        self.content = match &value {
            Value::Bytes(bytes) => filled((**bytes).clone()),
            _ => OnceLock::new(),
        };
        // Strings and bytes are content, which reads as JSON only if it is JSON.
        if let Some(bytes) = value.as_bytes() {
            let raw = Bytes::copy_from_slice(&bytes);
            self.set_content(raw);
        } else {
            self.value = filled(Ok(value));
        }
    }

    /// The structured value, to change it; the content is then made anew.
    pub fn value_mut(&mut self) -> Result<&mut Value, JsonError> {
        self.value()?;
        self.content = OnceLock::new();
        match self.value.get_mut() {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error.clone()),
            None => Err(JsonError::Empty),
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
        self.error.as_ref()
    }

    /// Sets or clears the error.
    pub fn set_error(&mut self, error: Option<Arc<MessageError>>) {
        self.error = error;
    }

    /// The engine's attachment.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// Sets or clears the engine's attachment.
    pub fn set_context(&mut self, context: Option<Context>) {
        self.context = context;
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
    fn strings_are_raw_content() {
        let message = Message::from_value(Value::from("true"));
        assert_eq!(message.content(), &b"true"[..]);
        assert_eq!(message.value().unwrap().as_bool(), Some(true));
        assert_eq!(Message::from_value(Value::Float(f64::NAN)).len(), 0);
        assert_eq!(Message::default().value().unwrap_err(), &JsonError::Empty);
    }
}
