//! Spans in the wire form of OTLP, of which only the messages and fields are here that weir has something to say in.

use prost::{Message, Oneof};
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};
use weir_core::trace::{Record, Tag};

/// Who sends spans, as each request tells it.
pub(super) struct Resource(ResourceMessage);

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<ResourceMessage>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMessage {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    own: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    time: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Int(i64),
}

/// Within the process: neither a server's nor a client's side of a call.
const INTERNAL: i32 = 1;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value.to_owned()))
}

fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

impl Resource {
    /// A service with tags of its own, which go before what is known of it.
    pub(super) fn new(service: &str, tags: &BTreeMap<String, String>) -> Self {
        let mut attributes: Vec<_> = tags.iter().map(|(key, value)| text(key, value)).collect();
        if !tags.contains_key("service.name") {
            attributes.push(text("service.name", service));
            if !tags.contains_key("service.version") {
                attributes.push(text("service.version", env!("CARGO_PKG_VERSION")));
            }
        }
        Self(ResourceMessage { attributes })
    }

    /// The request that tells of these spans.
    pub(super) fn request(&self, records: &[Record]) -> Vec<u8> {
        let scope = Some(Scope { name: "weir".into() });
        let scopes = vec![ScopeSpans { scope, spans: records.iter().map(Span::from).collect() }];
        Request { resources: vec![ResourceSpans { resource: Some(self.0.clone()), scopes }] }.encode_to_vec()
    }
}

impl From<&Record> for Span {
    fn from(record: &Record) -> Self {
        let (start, end) = (nanos(record.began), nanos(record.ended));
        let tag = |(key, tag): &(&str, Tag)| match tag {
            Tag::Text(value) => text(key, value),
            Tag::Int(value) => attribute(key, Value::Int(*value)),
        };
        let failed = record.error.as_deref();
        let event = |error| Event {
            time: end,
            name: "event".into(),
            attributes: vec![text("event", "error"), text("type", error)],
        };
        let link = |id: &weir_bloblang::SpanId| Link {
            trace: id.trace.to_be_bytes().to_vec(),
            span: id.span.to_be_bytes().to_vec(),
        };
        Self {
            trace: record.id.trace.to_be_bytes().to_vec(),
            own: record.id.span.to_be_bytes().to_vec(),
            parent: record.parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
            name: record.name.clone(),
            kind: INTERNAL,
            start,
            end,
            attributes: record.tags.iter().map(tag).chain(failed.map(|_| text("error", "true"))).collect(),
            events: failed.map(event).into_iter().collect(),
            links: record.link.iter().map(link).collect(),
        }
    }
}
