//! `/streams/{id}/plan`: what a spec would change, in the stream and in its data: the running processors and those of
//! the spec over the same messages. Nothing is sent, and what has effects elsewhere or looks there is left out and
//! named.

use super::{
    Streams, answer,
    plan::unified,
    query::Query,
    routes::stream,
    submit::{Text, checked, format},
    write::{options_of, stamp},
};
use crate::{runtime::RunningStream, secrets};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use weir_bloblang::{Environment, Message, Value as Data};
use weir_config::{Node, environment, json::to_json, normalise::Form, sections, write::to_yaml};
use weir_control::record::Format;
use weir_core::{
    http::{NoHttp, Request, Response},
    kind::Kind,
    pipe::Pipes,
    processor::Processor,
    registry::Registry,
};
use weir_engine::Engine;

/// Messages that are looked at unless another number is asked for, and at most.
const SAMPLE: (u64, u64) = (20, 1000);
/// How long messages are waited for unless another time is asked for, and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(1));
/// How long all processors may take together.
const WORK: Duration = Duration::from_secs(30);
/// Processors beside those with I/O that have effects elsewhere, or depend on what happened before.
const EFFECTS: [&str; 10] = [
    "cache",
    "cached",
    "crash",
    "dedupe",
    "log",
    "metric",
    "rate_limit",
    "resource",
    "sleep",
    "sync_response",
];

/// Functions and methods whose result depends on more than a message: clocks, chance, files, the environment.
static OUTSIDE: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let language = Environment::new();
    let all = language.functions().chain(language.methods());
    all.filter(|spec| spec.traits.impure).map(|spec| spec.name).collect()
});

/// What a text, if it is a mapping, looks at beside a message.
fn outside(text: &str) -> Option<&str> {
    text.match_indices(['(', '"']).find_map(|(at, mark)| {
        let before = text.get(..at)?;
        let word = before.trim_end().rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        let looks = if mark == "(" {
            OUTSIDE.contains(word)
        } else {
            ["import", "from"].contains(&word) && before.ends_with(char::is_whitespace)
        };
        looks.then_some(word)
    })
}

/// The first thing in a processor's config that has effects elsewhere, or looks there.
fn effect(node: &Node, registry: &Registry) -> Option<String> {
    let known = |name: &str| {
        let outline = registry.outline(Kind::Processor, name);
        EFFECTS.contains(&name)
            || weir_io::TABLE.processors.iter().any(|spec| spec.name == name)
            // What is in a template is not seen here.
            || outline.is_some_and(|outline| registry.template(Kind::Processor, outline.name).is_some())
    };
    if let Some(items) = node.as_list() {
        return items.iter().find_map(|item| effect(item, registry));
    }
    if let Some(scalar) = node.as_scalar() {
        return outside(&scalar.text).map(str::to_owned);
    }
    let merged = node.merged();
    let entry = |(key, value): (&str, &Node)| {
        if known(key) { Some(key.to_owned()) } else { effect(value, registry) }
    };
    merged.entries().find_map(entry)
}

/// Processors that can be tried.
struct Tried {
    processors: Vec<Arc<dyn Processor>>,
    left_out: BTreeSet<String>,
}

impl Tried {
    fn new(node: &Node, engine: &Engine) -> Self {
        let (mut processors, mut left_out) = (Vec::new(), BTreeSet::new());
        let all = node.at(&["pipeline", "processors"]).and_then(Node::as_list).unwrap_or_default();
        for (index, node) in all.iter().enumerate() {
            let at = format!("pipeline.processors.{index}");
            let build = || engine.processor(&at, node).map_err(|error| format!("not built: {error}"));
            match effect(node, &engine.registry).map_or_else(build, Err) {
                Ok(processor) => processors.push(processor),
                Err(why) => {
                    left_out.insert(secrets::hide(format!("{at} ({why})")));
                }
            }
        }
        Self { processors, left_out }
    }

    /// What is left out, of this and of what is planned instead.
    fn left_out(&self, planned: &Self) -> Vec<String> {
        let only = |name: &'static str, one: &Self, other: &Self| -> Vec<String> {
            one.left_out.difference(&other.left_out).map(|what| format!("{name} {what}")).collect()
        };
        let both = self.left_out.intersection(&planned.left_out).cloned();
        both.chain(only("running", self, planned)).chain(only("planned", planned, self)).collect()
    }

    /// What comes of one message.
    async fn run(&self, message: Message) -> Vec<Message> {
        let mut batches = vec![vec![message]];
        for processor in &self.processors {
            let mut next = Vec::new();
            for batch in batches {
                // What fails as a whole comes to nothing.
                next.extend(processor.process(batch).await.into_iter().flatten());
            }
            batches = next;
        }
        batches.into_iter().flatten().collect()
    }
}

/// What can be compared of messages, as text.
fn shown(messages: &[Message]) -> String {
    let one = |message: &Message| {
        let content = String::from_utf8_lossy(message.content());
        let content = serde_json::from_str::<Value>(&content)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .unwrap_or_else(|_| content.into_owned());
        let metadata: BTreeSet<String> = message
            .metadata()
            .iter()
            .map(|(name, value)| format!("{}: {}\n", name.as_str(), value.to_text().as_str()))
            .collect();
        metadata.into_iter().collect::<String>() + &content + "\n"
    };
    messages.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn error(messages: &[Message]) -> Option<&str> {
    messages.iter().find_map(|message| message.error()).map(|error| error.text.as_str())
}

/// The difference that other processors make to these messages.
async fn compare(running: &Tried, candidate: &Tried, messages: Vec<Message>) -> Value {
    let end = Instant::now() + WORK;
    let (mut looked_at, mut same) = (0, 0);
    let (mut changed, mut dropped, mut added, mut failing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, message) in messages.into_iter().enumerate() {
        let both = async { (running.run(message.clone()).await, candidate.run(message).await) };
        let Ok((before, after)) = timeout_at(end, both).await else { break };
        looked_at += 1;
        match (error(&before), error(&after)) {
            (None, Some(error)) => {
                failing.push(json!({ "index": index, "error": secrets::hide(error.to_owned()) }));
            }
            _ if after.is_empty() && !before.is_empty() => dropped.push(index),
            _ if before.is_empty() && !after.is_empty() => added.push(index),
            _ if shown(&before) == shown(&after) => same += 1,
            _ => {
                let [before, after] = [before, after].map(|messages| secrets::hide(shown(&messages)));
                let diff = unified(&before, &after, ("running", "planned"));
                changed.push(json!({ "index": index, "diff": diff }));
            }
        }
    }
    json!({ "messages": looked_at, "same": same, "changed": changed, "dropped": dropped, "added": added,
        "newly_failing": failing, "left_out": running.left_out(candidate) })
}

/// The messages of a body.
fn given(node: &Node) -> Option<Vec<Message>> {
    let message = |node: &Node| {
        let content = node.get("content").unwrap_or(node);
        let content = content.as_str().map_or_else(|| to_json(content).to_string(), str::to_owned);
        let mut message = Message::new(content.into_bytes());
        for (name, value) in node.get("metadata").into_iter().flat_map(Node::entries) {
            message.metadata_mut().set(name, Data::string(value.as_str().unwrap_or_default()));
        }
        message
    };
    Some(node.get("messages")?.as_list()?.iter().map(message).collect())
}

impl Streams {
    /// `POST /streams/{id}/plan`
    pub(super) async fn trial(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::POST)?;
        let query = Query::only(request, &["sample", "for", "chilled"])?;
        let refuse = |text: &str| answer::refusal(StatusCode::BAD_REQUEST, text);
        let sample = query.number("sample")?.unwrap_or(SAMPLE.0).min(SAMPLE.1);
        let end = Instant::now() + query.duration("for")?.unwrap_or(WAIT.0).min(WAIT.1);
        let chilled = query.flag("chilled")?;
        let body = self.read(&request.body, chilled).map_err(|refusal| refusal.answer_here())?;
        if let Some((name, _)) = body.node.entries().find(|(name, _)| !["spec", "messages"].contains(name)) {
            return Err(refuse(&format!("unknown field '{name}': known are spec and messages")));
        }
        let (node, bare) =
            body.node.get("spec").zip(body.bare.get("spec")).ok_or_else(|| refuse("the body has no spec"))?;
        let source =
            if format(&body.source) == Format::Json { to_json(bare).to_string() } else { to_yaml(bare) };
        let text = Text { source, node: node.clone(), bare: bare.clone() };
        let check = |chilled| self.stream_submission(id, text.clone(), chilled);
        let submission = checked(true, chilled, check).map_err(|refusal| refusal.answer_here())?;
        let mut options = options_of(request, "PLAN")?;
        options.dry_run = true;
        let current = self.service.desired(&stream(id));
        let messages = given(&body.node);
        if current.is_some() && messages.is_none() {
            self.may_look_on(&request.caller).map_err(|why| {
                let text = format!("no messages are given, and {why}");
                answer::refusal(StatusCode::FORBIDDEN, &text)
            })?;
        }
        let registry = &self.runtime.engine().registry;
        // What is secret in the spec is as secret in its data.
        let candidate = text.node;
        let held = secrets::hold(&candidate, Form::Sections(sections::STREAM), registry);
        let planned = match &current {
            Some(_) => self.service.replace(submission, &options).await,
            None => self.service.create(submission, &options).await,
        };
        let planned = planned.map_err(|error| super::write::refused_here(&error))?;
        let plan = planned.plan.clone().unwrap_or_default();
        let mut told = super::plan::told(planned.revision, plan, registry).await?;
        let answered = |told: &Value| {
            let mut response = answer::json(StatusCode::OK, told);
            stamp(&mut response, &planned);
            response
        };
        let Some(current) = current else { return Ok(answered(&told)) };
        let messages = match messages {
            Some(messages) => messages,
            None => self.sampled(id, sample, end).await,
        };
        let expanded = environment::expand(&current.text, &*self.lookup).ok();
        let running = expanded.and_then(|expanded| weir_core::yaml::parse(&expanded.text).ok());
        let running = running.ok_or_else(|| refuse("what runs cannot be read"))?;
        let engine = Engine {
            registry: Arc::clone(registry),
            resources: weir_engine::Resources::default(),
            pipes: Arc::new(Pipes::default()),
            http: Arc::new(NoHttp),
            strict: self.runtime.engine().strict,
            tracer: None,
        };
        // Where the streams run: what spins there delays no answer.
        let compared = self.runtime.data().spawn(async move {
            let _held = held;
            let (running, candidate) = (Tried::new(&running, &engine), Tried::new(&candidate, &engine));
            compare(
                &running,
                &candidate,
                messages.into_iter().take(usize::try_from(SAMPLE.1).unwrap_or(0)).collect(),
            )
            .await
        });
        told["data"] = compared
            .await
            .map_err(|error| answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
        Ok(answered(&told))
    }

    /// Messages that a stream's input gives now.
    async fn sampled(&self, id: &str, sample: u64, end: Instant) -> Vec<Message> {
        let running = self.service.running(&stream(id));
        let opened =
            running.as_ref().and_then(RunningStream::of).and_then(|running| running.taps().open("input"));
        let Some(mut seen) = opened else { return Vec::new() };
        let mut messages = Vec::new();
        while (messages.len() as u64) < sample
            && let Ok(Some(next)) = timeout_at(end, seen.recv()).await
        {
            if !next.truncated {
                let mut message = Message::new(next.content);
                for (name, value) in next.metadata {
                    message.metadata_mut().set(name.as_str(), Data::string(value.as_str()));
                }
                messages.push(message);
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_effects_is_found_wherever_it_is() {
        let registry = Registry::new(&[weir_pure::TABLE, weir_io::TABLE]);
        let found = |text: &str| effect(&weir_core::yaml::parse(text).unwrap(), &registry);
        assert_eq!(found("branch: { processors: [ { http: { url: x } } ] }").as_deref(), Some("http"));
        assert_eq!(found("cache: { resource: x }").as_deref(), Some("cache"));
        for (text, name) in [
            ("mapping: 'root.a = env(\"A\")'", "env"),
            ("switch: [ { check: 'file(\"/etc/passwd\") == 1', processors: [] } ]", "file"),
            ("insert_part: { content: '${! hostname() }' }", "hostname"),
            ("mapping: 'from \"./a.blobl\"'", "from"),
            ("mapping: 'root = this.ip.geoip_city(\"x\")'", "geoip_city"),
        ] {
            assert_eq!(found(text).as_deref(), Some(name), "{text}");
        }
        for text in ["root = this", "root.a = this.env.trim() + this.file", "root = meta(\"from\") + \"now\""]
        {
            assert_eq!(found(&format!("mapping: '{text}'")), None, "{text}");
        }
    }
}
