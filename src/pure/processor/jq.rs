//! `jq`: works messages with a jq query.

use super::flag;
use crate::{compat::structured, log::Log};
use async_trait::async_trait;
use jaq_core::{
    Compiler, Ctx, Filter, Vars, data,
    load::{
        self, Arena, File, Loader,
        lex::StrPart,
        parse::{BinaryOp, Pattern, Term},
    },
    path::Part,
    unwrap_valr,
};
use jaq_json::{Num, Val, read};
use serde::Deserialize;
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use weir_bloblang::{Kind, Message, Object, Text, Value};
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "jq",
    summary: "Makes each message what a jq query gives for it.",
    description: "A query that gives nothing drops the message, one that gives several values makes an array of them. Metadata is \
                  in `$metadata`; the environment is empty. A query has ten seconds for a batch and gives at most a million \
                  values. A message that it fails on goes on unchanged, flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("query", "The query."),
        Field::bool("raw", "Give the query the content as a string, not as JSON.")
            .default("false")
            .advanced(),
        Field::bool("output_raw", "Write strings as they are, and several values without anything between.")
            .default("false")
            .advanced(),
    ]),
    examples: &[Example { title: "A field", config: "query: '{ name: .user.name }'" }],
    build: |node, context| {
        let Config { query, raw, output_raw } = node.read()?;
        let (filter, asks_metadata) = (compile(&query)?, query.contains("metadata"));
        let term = load::parse(&query, |parser| parser.term());
        let short = term.and_then(|term| generators(&term)).is_some_and(|count| count <= MAX_GENERATORS);
        let overdue = AtomicUsize::new(0);
        let inner = Arc::new(Inner { filter, asks_metadata, short, raw, output_raw, overdue });
        Ok(Box::new(Jq { inner, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    query: String,
    raw: bool,
    output_raw: bool,
}

/// How long a query may work on a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many runs of a query may go on after that, for nothing can end them; then messages are refused.
const MAX_OVERDUE: usize = 2;
/// How many values a query may give for a message.
const MAX_VALUES: usize = 1_000_000;

type Data = data::JustLut<Val>;

/// Functions that reach outside of the message.
const OUTSIDE: [&str; 2] = ["env", "halt"];
/// What stands in their place.
const REPLACED: &str = "def env: {}; def halt(x): error(\"a message cannot halt\");";

fn compile(query: &str) -> Result<Filter<Data>, BuildError> {
    let own = load::parse(REPLACED, |parser| parser.defs()).unwrap_or_default();
    let defs = jaq_core::defs().chain(own).chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(defs).load(&arena, File { code: query, path: () }).map_err(|errors| {
        let reason = errors.into_iter().map(|(_, error)| unparsed(query, error)).next().unwrap_or_default();
        BuildError::new(format!("error parsing jq query: {reason}"))
    })?;
    Compiler::default()
        .with_funs(funs.filter(|(name, ..)| !OUTSIDE.contains(name)))
        .with_global_vars(["$metadata", "$ENV"])
        .compile(modules)
        .map_err(|errors| {
            let reason = errors.into_iter().flat_map(|(_, undefined)| undefined).next();
            let reason = reason.map_or_else(String::new, |(name, kind)| match kind {
                jaq_core::compile::Undefined::Filter(arity) => {
                    format!("function not defined: {name}/{arity}")
                }
                kind => format!("{} not defined: {name}", kind.as_str()),
            });
            BuildError::new(format!("error compiling jq query: {reason}"))
        })
}

/// Where a query is broken.
fn unparsed(query: &str, error: load::Error<&str>) -> String {
    let place = match error {
        load::Error::Lex(errors) => errors.first().map(|(_, found)| *found),
        load::Error::Parse(errors) => errors.first().map(|(_, found)| *found),
        load::Error::Io(_) => return "modules cannot be imported".into(),
    };
    match place.map(str::trim) {
        None | Some("") => "unexpected EOF".into(),
        // What is not closed is told as all that follows it.
        Some(rest) if query.trim_end().ends_with(rest) && rest.starts_with(['(', '[', '{', '"']) => {
            "unexpected EOF".into()
        }
        Some(rest) => {
            let token: String = rest.chars().take(20).collect();
            format!("unexpected token \"{token}\"")
        }
    }
}

/// Generators that a query may have to be run where it is, and bytes of a batch: the work is at most the number of
/// values to the power of the generators.
const MAX_GENERATORS: u32 = 2;
const SMALL: usize = 4096;

/// Functions whose work is no more than their input's size.
const PLAIN: [&str; 32] = [
    "add",
    "arrays",
    "ascii_downcase",
    "ascii_upcase",
    "booleans",
    "ceil",
    "empty",
    "endswith",
    "first",
    "floor",
    "from_entries",
    "has",
    "join",
    "keys",
    "last",
    "length",
    "ltrimstr",
    "max",
    "min",
    "not",
    "numbers",
    "objects",
    "reverse",
    "round",
    "rtrimstr",
    "select",
    "sort",
    "startswith",
    "strings",
    "to_entries",
    "tostring",
    "type",
];
/// Functions that run what they are given for each value of their input.
const EACH: [&str; 7] = ["all", "any", "group_by", "map", "map_values", "sort_by", "unique_by"];

/// How many generators a query has; `None` where its work may have no bound.
fn generators(term: &Term<&str>) -> Option<u32> {
    let all = |terms: &mut dyn Iterator<Item = &Term<&str>>| terms.map(generators).sum::<Option<u32>>();
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(None) => Some(0),
        Term::Str(_, parts) => all(&mut parts.iter().filter_map(|part| match part {
            StrPart::Term(term) => Some(term),
            _ => None,
        })),
        Term::Arr(Some(inner)) | Term::Neg(inner) => generators(inner),
        Term::Obj(members) => {
            all(&mut members.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]).flatten())
        }
        Term::BinOp(left, operator, right) => match operator {
            BinaryOp::Pipe(Some(Pattern::Arr(_) | Pattern::Obj(_)))
            | BinaryOp::Assign
            | BinaryOp::Update
            | BinaryOp::UpdateMath(_)
            | BinaryOp::UpdateAlt => None,
            _ => Some(generators(left)? + generators(right)?),
        },
        Term::IfThenElse(branches, other) => {
            all(&mut branches.iter().flat_map(|(test, then)| [test, then]).chain(other.as_deref()))
        }
        Term::TryCatch(tried, caught) => all(&mut [&**tried].into_iter().chain(caught.as_deref())),
        Term::Call(name, arguments) => {
            let each = u32::from(EACH.contains(name));
            (each == 1 || PLAIN.contains(name)).then_some(())?;
            Some(all(&mut arguments.iter())? + each)
        }
        Term::Path(head, path) => path.0.iter().try_fold(generators(head)?, |count, (part, _)| {
            Some(
                count
                    + match part {
                        Part::Index(index) => generators(index)?,
                        Part::Range(None, None) => 1,
                        Part::Range(from, to) => all(&mut from.iter().chain(to))?,
                    },
            )
        }),
        _ => None,
    }
}

struct Jq {
    inner: Arc<Inner>,
    log: Log,
}

struct Inner {
    filter: Filter<Data>,
    asks_metadata: bool,
    /// Whether its work has a bound that small messages keep low.
    short: bool,
    raw: bool,
    output_raw: bool,
    /// Runs that nobody waits for any more.
    overdue: AtomicUsize,
}

impl Inner {
    /// What a message becomes; none: it is dropped.
    fn work(&self, message: &mut Message) -> Result<bool, String> {
        let input = if self.raw {
            Val::utf8_str(message.content().to_vec())
        } else {
            value(structured(message)?, 0)?
        };
        let mut metadata = Object::new();
        if self.asks_metadata {
            message.metadata().iter().for_each(|(key, value)| metadata.insert(key.clone(), value.clone()));
        }
        let vars = Vars::new([value(&Value::object(metadata), 0)?, Val::obj(jaq_json::Map::default())]);
        let context = Ctx::<Data>::new(&self.filter.lut, vars);
        let mut given = Vec::new();
        for output in self.filter.id.run((context, input)).map(unwrap_valr) {
            given.push(output.map_err(|error| match error.into_val() {
                Val::TStr(text) => format!("error: {}", String::from_utf8_lossy(&text)),
                value => format!("error: {value}"),
            })?);
            if given.len() > MAX_VALUES {
                return Err(format!("the query gave more than {MAX_VALUES} values"));
            }
        }
        if given.is_empty() {
            return Ok(false);
        }
        if self.output_raw {
            message.set_content(raw(&given)?);
            return Ok(true);
        }
        let value = match given.as_slice() {
            [one] => made(one, 0)?,
            many => many.iter().map(|one| made(one, 1)).collect::<Result<Vec<_>, _>>()?.into(),
        };
        match value.kind() {
            Kind::String | Kind::Bytes => message.set_content(value.to_json()),
            _ => message.set_value(value),
        }
        Ok(true)
    }
}

/// How deep a value may be that a query gets or makes.
const MAX_DEPTH: usize = 1000;

/// A value as queries see it.
fn value(value: &Value, depth: usize) -> Result<Val, String> {
    if depth > MAX_DEPTH {
        return Err("the document is too deep for a query".into());
    }
    if let Some(members) = value.to_object() {
        let member = |(key, member): (Cow<'_, [u8]>, Value)| {
            Ok((Val::utf8_str(key.into_owned()), self::value(&member, depth + 1)?))
        };
        return Ok(Val::obj(members.iter().map(member).collect::<Result<_, String>>()?));
    }
    if let Some(items) = value.to_array() {
        let items: Result<Vec<_>, _> = items.iter().map(|item| self::value(item, depth + 1)).collect();
        return Ok(Val::Arr(items?.into()));
    }
    match (value.kind(), value.number_text(), value.as_bytes()) {
        (Kind::Number, Some(text), _) => read::parse_single_num(text.as_bytes()).map(Val::Num),
        (Kind::String, _, Some(text)) => Some(Val::utf8_str(text.into_owned())),
        _ => read::parse_single(value.to_json().as_bytes()).ok(),
    }
    .ok_or_else(|| "the document holds what JSON cannot express".into())
}

/// A value that a query made.
fn made(value: &Val, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("the query made a value that is too deep".into());
    }
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Num(Num::Int(number)) => i64::try_from(*number).map_or(Value::Null, Value::Int),
        Val::Num(Num::Float(number)) => Value::Float(*number),
        Val::Num(other) => Value::Number(other.to_string().into()),
        Val::TStr(text) | Val::BStr(text) => Value::string(Text::new(text)),
        Val::Arr(items) => {
            items.iter().map(|item| made(item, depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Val::Obj(members) => {
            let mut object = Object::with_capacity(members.len());
            for (key, value) in members.iter() {
                let key = match key {
                    Val::TStr(text) | Val::BStr(text) => Text::new(text),
                    other => Text::from(other.to_string().as_str()),
                };
                object.insert(key, made(value, depth + 1)?);
            }
            Value::object(object)
        }
    })
}

/// Values one after the other, strings without quotes.
fn raw(given: &[Val]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for one in given {
        let value = made(one, 0)?;
        match value.as_bytes().filter(|_| value.kind() == Kind::String) {
            Some(text) => out.extend_from_slice(&text),
            None => value.write_json_html_escaped(&mut out).map_err(|error| error.to_string())?,
        }
    }
    Ok(out)
}

#[async_trait]
impl Processor for Jq {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let inner = &self.inner;
        if inner.short && batch.iter().map(Message::len).sum::<usize>() <= SMALL {
            let outcomes = batch.iter_mut().map(|message| inner.work(message)).collect();
            return Ok(self.told(batch, outcomes));
        }
        let mut untouched = batch.clone();
        let refused = |text: String| {
            untouched.iter_mut().for_each(|message| flag(message, &*text));
            Ok(one(untouched))
        };
        if self.inner.overdue.load(Ordering::Acquire) >= MAX_OVERDUE {
            return refused("the query has not ended for earlier messages".into());
        }
        let (inner, given_up) = (Arc::clone(&self.inner), Arc::new(AtomicBool::new(false)));
        let is_given_up = Arc::clone(&given_up);
        // A query may loop: it must not hold up the runtime's thread.
        let work = tokio::task::spawn_blocking(move || {
            let outcomes: Vec<_> = batch.iter_mut().map(|message| inner.work(message)).collect();
            if is_given_up.swap(true, Ordering::AcqRel) {
                inner.overdue.fetch_sub(1, Ordering::AcqRel);
            }
            (batch, outcomes)
        });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok((batch, outcomes))) => Ok(self.told(batch, outcomes)),
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => {
                self.inner.overdue.fetch_add(1, Ordering::AcqRel);
                if given_up.swap(true, Ordering::AcqRel) {
                    self.inner.overdue.fetch_sub(1, Ordering::AcqRel);
                }
                refused(format!("the query took longer than {} seconds", PATIENCE.as_secs()))
            }
        }
    }
}

impl Jq {
    /// What goes on of a batch: dropped and failed messages seen to.
    fn told(&self, batch: Vec<Message>, outcomes: Vec<Result<bool, String>>) -> Batches {
        let mut out = Vec::with_capacity(batch.len());
        for (mut message, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Ok(true) => out.push(message),
                Ok(false) => {}
                Err(text) => {
                    self.log.debug(format_args!("{text}"));
                    flag(&mut message, text);
                    out.push(message);
                }
            }
        }
        one(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    #[tokio::test]
    async fn values_given() {
        let jq = |query: &str| format!("jq: {{ query: '{query}' }}");
        let message = "{\"l\":[{\"v\":3},{\"v\":1.50}],\"a\":\"x\"}";
        assert_eq!(shown(&run(&jq(".l[].v"), &[message]).await), [["[3,1.50]"]]);
        assert_eq!(shown(&run(&jq(".a"), &[message]).await), [["\"x\""]]);
        assert_eq!(
            shown(&run(&jq("."), &[message]).await),
            [["{\"a\":\"x\",\"l\":[{\"v\":3},{\"v\":1.50}]}"]]
        );
        assert!(run(&jq("empty"), &[message]).await.is_empty());
        let out = run(&jq("error(\"no\")"), &[message, "nope"]).await;
        assert_eq!(out[0][0].error().unwrap().text, "error: no");
        assert!(out[0][1].error().is_some());
    }

    #[test]
    fn the_work_of_short_queries_has_a_bound() {
        let generators =
            |query: &str| super::generators(&jaq_core::load::parse(query, |parser| parser.term()).unwrap());
        for (query, count) in [
            (
                "{ id, n: (.items | length), s: [ .items[] | select(.qty > 2) | .sku ], f: .items[0].tags }",
                Some(1),
            ),
            ("if .a then map(.b) else \"\\(.c[])\" end", Some(2)),
            ("[.[] as $x | .[] as $y | $x + $y]", Some(2)),
            ("..", None),
            ("def f: f; f", None),
            ("[.a[range(9)]]", None),
            ("{ a: [ recurse ] }", None),
            ("reduce .[] as $x (0; . + $x)", None),
        ] {
            assert_eq!(generators(query), count, "{query}");
        }
    }

    #[test]
    fn broken_queries_are_refused() {
        let error =
            |query: &str| try_build(&format!("jq: {{ query: '{query}' }}")).err().unwrap().to_string();
        assert_eq!(error(".a | ("), "error parsing jq query: unexpected EOF");
        assert_eq!(error("nofn"), "error compiling jq query: function not defined: nofn/0");
    }
}
