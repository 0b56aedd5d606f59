//! Mappings of valid syntax over any content: up to the first zero byte it is a program, behind it the content.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weir_bloblang::spec::{Absent, ParamKind, Params, Spec};
use weir_bloblang::{Environment, Message, Program, Scratch};

#[path = "../../../src/bloblang/generate.rs"]
mod generate;
use generate::Callable;

fn callable(spec: &'static Spec) -> Callable {
    let Params::Fixed(params) = spec.params else {
        return Callable { name: spec.name, params: "xxx".to_owned(), required: 0 };
    };
    let letter = |kind: ParamKind| match kind {
        ParamKind::String => 's',
        ParamKind::Int => 'i',
        ParamKind::Float => 'f',
        ParamKind::Bool => 'b',
        ParamKind::Array => 'a',
        ParamKind::Object => 'o',
        ParamKind::Timestamp => 't',
        ParamKind::Query { scalars: false } => 'q',
        ParamKind::Any | ParamKind::Query { scalars: true } => 'x',
    };
    Callable {
        name: spec.name,
        params: params.iter().map(|param| letter(param.kind)).collect(),
        required: params.iter().filter(|param| matches!(param.absent, Absent::Required)).count(),
    }
}

static LANGUAGE: LazyLock<(Environment, Vec<Callable>, Vec<Callable>)> = LazyLock::new(|| {
    let environment = Environment::new();
    let tame = |spec: &&'static Spec| !spec.traits.impure && !spec.traits.blocks;
    let mut functions: Vec<_> = environment.functions().filter(tame).map(callable).collect();
    let mut methods: Vec<_> = environment.methods().filter(tame).map(callable).collect();
    functions.sort_by_key(|callable| callable.name);
    methods.sort_by_key(|callable| callable.name);
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
    drop(batch[0].content().len());
});
