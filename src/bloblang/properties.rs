//! Properties of all programs over all documents.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::environment::Environment;
use crate::eval::Scratch;
use crate::generate::{callables, program};
use crate::message::Message;
use crate::program::{Mapped, Mutated, Program};
use crate::value::Value;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "[a-c%<&é \u{0}\"]{0,6}".prop_map(Value::from),
        Just(Value::from("2024-02-29T12:34:56.789Z")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec(("a|b|c|list|k", inner), 0..5)
                .prop_map(|members| Value::object(members.into_iter().collect())),
        ]
    })
}

/// What a program makes of a message, in a form to compare.
fn outcome(program: &Program, batch: &[Message], scratch: &mut Scratch) -> String {
    match program.map(batch, 0, scratch) {
        Ok(Mapped::Message(message)) => {
            format!("{:?} {:?}", message.content(), message.metadata().iter().collect::<Vec<_>>())
        }
        Ok(Mapped::Dropped) => "dropped".to_owned(),
        Err(fault) => format!("error {fault}"),
    }
}

/// `WEIR_PROGRAMS` says how many are tried.
#[test]
fn programs_neither_panic_nor_differ_from_run_to_run() {
    let environment = Environment::new();
    let (functions, methods) = callables(&environment);
    let cases = std::env::var("WEIR_PROGRAMS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let parsed = std::cell::Cell::new(0);
    proptest!(config, |(bytes in vec(any::<u8>(), 0..200), document in json())| {
        let source = program(&bytes, &functions, &methods);
        let lints = Program::lint(&source, &environment);
        let Ok(program) = Program::parse(&source, &environment) else { return Ok(()) };
        prop_assert!(lints.is_empty(), "it builds, but has lints: {source}\n{lints:?}");
        parsed.set(parsed.get() + 1);
        let document = document.to_json().into_bytes();
        let mut batch = [Message::new(document.clone())];
        let mut scratch = Scratch::default();
        let first = outcome(&program, &batch, &mut scratch);
        // The message is as it was, and nothing of the run is left.
        prop_assert_eq!(batch[0].content().as_ref(), document.as_slice());
        prop_assert_eq!(&first, &outcome(&program, &batch, &mut scratch), "{}", source);
        if let Ok(Mutated::Kept) = program.mutate(&mut batch, 0, &mut scratch) {
            let _written = batch[0].content().len();
        }
    });
    assert!(parsed.get() > 80, "only {} programs were valid", parsed.get());
}

#[test]
fn no_text_makes_the_parser_panic() {
    let environment = Environment::new();
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(source in "(root|this|\\.a|\\$v|@k| = |\n|\\(|\\)|\\[|\\{|\\}|\\]|\"|1|-|\\+|!|\\||match |if |->|=>|_|, |#|map |é|x){0,24}")| {
        let _outcome = Program::parse(&source, &environment);
    });
}
