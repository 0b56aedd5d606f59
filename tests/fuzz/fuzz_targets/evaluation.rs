//! Mappings of valid syntax over any content: up to the first zero byte it is a program, behind it the content.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weir_bloblang::{Environment, Message, Program, Scratch, spec};

#[path = "../../../src/bloblang/generate.rs"]
mod generate;
use generate::{Callable, callables};

static LANGUAGE: LazyLock<(Environment, Vec<Callable>, Vec<Callable>)> = LazyLock::new(|| {
    let environment = Environment::new();
    let (functions, methods) = callables(&environment);
    (environment, functions, methods)
});

fuzz_target!(|bytes: &[u8]| {
    let (environment, functions, methods) = &*LANGUAGE;
    let (choices, content) = bytes.iter().position(|byte| *byte == 0).map_or((bytes, &b"{}"[..]), |at| bytes.split_at(at));
    let source = generate::program(choices, functions, methods);
    let Ok(program) = Program::parse(&source, environment) else { return };
    let mut batch = [Message::new(content.to_vec())];
    let mut scratch = Scratch::default();
    drop(program.map(&batch, 0, &mut scratch));
    drop(program.mutate(&mut batch, 0, &mut scratch));
    batch[0].content();
});
