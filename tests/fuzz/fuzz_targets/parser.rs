//! Any text, as a mapping and as an interpolated field.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use weir_bloblang::{Environment, Interpolated, Program};

static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    Environment::new().pure().with_loader(Arc::new(|_| Err("no files".to_owned())), "")
});

fuzz_target!(|text: &str| {
    let lints = Program::lint(text, &ENVIRONMENT);
    assert!(lints.is_empty() || Program::parse(text, &ENVIRONMENT).is_err());
    drop(Interpolated::parse(text, &ENVIRONMENT));
});
