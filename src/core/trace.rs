//! Spans: how long a traced message took for each step.
//!
//! A span goes along in the attachments of its messages and ends when the last of these is gone, so that nobody has
//! to keep accounts of it. Without a tracer no message is ever in a span, and nothing here costs anything.

use std::{
    any::Any,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};
use tokio::sync::mpsc;
use weir_bloblang::{Attachment, Context, Message, SpanId};

/// Gives out spans and passes on those that have ended.
pub struct Tracer {
    /// Traces below it are recorded.
    below: f64,
    ended: mpsc::Sender<Record>,
    lost: AtomicU64,
}

/// What is told of a span when it has ended.
#[derive(Debug)]
pub struct Record {
    /// What was done.
    pub name: String,
    /// The span.
    pub id: SpanId,
    /// The span that it is part of.
    pub parent: Option<u64>,
    /// A span that it goes on from, which does not wait for it.
    pub link: Option<SpanId>,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Facts about it, by name.
    pub tags: Vec<(&'static str, Tag)>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A fact about a span.
#[derive(Debug, PartialEq, Eq)]
pub enum Tag {
    /// A text.
    Text(String),
    /// A number.
    Int(i64),
}

impl Tracer {
    /// Records this share of all traces. What has ended comes out of the channel, which has so much room; what it
    /// has no room for is [lost](Self::take_lost).
    pub fn new(share: f64, room: usize) -> (Arc<Self>, mpsc::Receiver<Record>) {
        let (ended, records) = mpsc::channel(room);
        (Arc::new(Self { below: share * 2_f64.powi(63), ended, lost: AtomicU64::new(0) }), records)
    }

    /// How many spans were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Begins a span for each of the messages that is in none, part of one that its sender was in.
    pub fn begin(self: &Arc<Self>, messages: &mut [Message], name: &str, sender: Option<SpanId>) {
        for message in messages.iter_mut().filter(|message| message.span().is_none()) {
            let trace = sender.map_or_else(rand::random, |sender| sender.trace);
            Span::open(self, trace, sender.map(|sender| sender.span), name, message.context().cloned())
                .attach(message);
        }
    }

    /// Traces are chosen by their own numbers, so that all who see one choose alike.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a share needs no more digits"
    )]
    fn takes(&self, trace: u128) -> bool {
        ((trace as u64 >> 1) as f64) < self.below
    }
}

/// One step of a traced message. It ends when it is dropped.
pub struct Span {
    tracer: Arc<Tracer>,
    id: SpanId,
    /// What the message had attached before.
    outer: Option<Context>,
    /// None: it is not recorded.
    record: Mutex<Option<Box<Record>>>,
}

impl Attachment for Span {
    fn span(&self) -> Option<SpanId> {
        Some(self.id)
    }
}

impl Span {
    fn open(
        tracer: &Arc<Tracer>,
        trace: u128,
        parent: Option<u64>,
        name: &str,
        outer: Option<Context>,
    ) -> Self {
        let id = SpanId { trace, span: rand::random(), sampled: tracer.takes(trace) };
        let record = id.sampled.then(|| {
            let (began, name) = (SystemTime::now(), name.to_owned());
            Box::new(Record {
                name,
                id,
                parent,
                link: None,
                began,
                ended: began,
                tags: Vec::new(),
                error: None,
            })
        });
        Self { tracer: Arc::clone(tracer), id, outer, record: Mutex::new(record) }
    }

    /// A part of this one.
    fn child(&self, name: &str, outer: Option<Context>) -> Self {
        Self::open(&self.tracer, self.id.trace, Some(self.id.span), name, outer)
    }

    fn attach(self, message: &mut Message) {
        message.set_context(Some(Arc::new(self)));
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut *self.record.lock().unwrap_or_else(PoisonError::into_inner) {
            change(record);
        }
    }

    /// Adds a fact, or says it anew.
    pub fn tag(&self, name: &'static str, tag: Tag) {
        self.change(|record| {
            record.tags.retain(|(known, _)| *known != name);
            record.tags.push((name, tag));
        });
    }

    /// Says that it failed.
    pub fn fail(&self, text: impl Into<String>) {
        self.change(|record| record.error = Some(text.into()));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let record = self.record.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut record) = mem::take(record) {
            record.ended = SystemTime::now();
            if self.tracer.ended.try_send(*record).is_err() {
                self.tracer.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn span(context: &Context) -> Option<&Span> {
    let attached: &dyn Any = &**context;
    attached.downcast_ref()
}

/// The recorded span that a message is in.
pub fn of(message: &Message) -> Option<&Span> {
    message.context().and_then(span).filter(|span| span.id.sampled)
}

/// What is attached to a message beneath its spans.
pub fn beneath(mut context: &Context) -> Option<&dyn Any> {
    while let Some(span) = span(context) {
        context = span.outer.as_ref()?;
    }
    Some(&**context)
}

/// Puts a message into a part of the span that it is in, if it is in one, until it [leaves](leave).
pub fn enter(message: &mut Message, name: &str) {
    if let Some(child) = of(message).map(|span| span.child(name, message.context().cloned())) {
        child.attach(message);
    }
}

/// Puts a message back into the span around the one that it is in.
pub fn leave(message: &mut Message) {
    if let Some(outer) = of(message).map(|span| span.outer.clone()) {
        message.set_context(outer);
    }
}

/// Lets a message go on in a span of its own, linked with the one that it was in, which does not wait for it.
pub fn part(message: &mut Message, name: &str) {
    if let Some((next, link)) = of(message).map(|span| (span.child(name, span.outer.clone()), span.id)) {
        next.change(|record| record.link = Some(link));
        next.attach(message);
    }
}

/// A part of the span of each message that is in one.
pub fn parts(batch: &[Message], name: &str) -> Vec<Span> {
    batch.iter().filter_map(of).map(|span| span.child(name, None)).collect()
}

/// Reads the header `traceparent`.
pub fn parse(header: &str) -> Option<SpanId> {
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if version.len() != 2 || trace.len() != 32 || span.len() != 16 || flags.len() != 2 || version == "ff" {
        return None;
    }
    if ![version, trace, span, flags].into_iter().all(is_hex) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    Some(SpanId { trace, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync_response::Responses;

    fn told(records: &mut mpsc::Receiver<Record>) -> Vec<Record> {
        std::iter::from_fn(|| records.try_recv().ok()).collect()
    }

    #[test]
    fn spans_end_with_their_messages_and_answers_pass_through_them() {
        let (tracer, mut records) = Tracer::new(1.0, 10);
        let mut batch = [Message::new("a")];
        let answers = Responses::attach(&mut batch);
        let sender = parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        tracer.begin(&mut batch, "input", sender);
        tracer.begin(&mut batch, "again", None);
        let root = batch[0].span().unwrap();
        enter(&mut batch[0], "step");
        assert!(Responses::add(&batch));
        of(&batch[0]).unwrap().fail("no");
        leave(&mut batch[0]);
        assert_eq!(batch[0].span(), Some(root));
        part(&mut batch[0], "buffer");
        assert_eq!(answers.take().len(), 1);
        drop(batch);
        let told = told(&mut records);
        let names: Vec<_> = told.iter().map(|record| (&*record.name, record.parent)).collect();
        let want =
            [("step", Some(root.span)), ("input", Some(0xb7ad_6b71_6920_3331)), ("buffer", Some(root.span))];
        assert_eq!(names, want);
        assert_eq!(told[0].error.as_deref(), Some("no"));
        assert_eq!(told[2].link, Some(root));
        assert!(root.to_string().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    }

    #[test]
    fn a_share_of_traces_is_recorded_and_what_finds_no_room_is_counted() {
        let (tracer, mut records) = Tracer::new(0.5, 300);
        let mut batch = vec![Message::new("a"); 1000];
        tracer.begin(&mut batch, "input", None);
        for message in &mut batch {
            enter(message, "step");
            leave(message);
        }
        drop(batch);
        assert_eq!(told(&mut records).len(), 300);
        let ended = tracer.take_lost() + 300;
        assert!((800..1200).contains(&ended) && ended % 2 == 0, "{ended}");
        assert_eq!(parse("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
    }
}
