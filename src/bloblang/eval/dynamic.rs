//! Mappings that are values of a message.

use std::sync::{Arc, LazyLock};

use super::Cx;
use crate::environment::Environment;
use crate::error::Fault;
use crate::parse::{self, Mapping};
use crate::spec::{Args, Param, Prepared, Spec};
use crate::value::Value;

/// The family.
pub(super) static METHODS: &[Spec] = &[Spec::plugin(
    "bloblang",
    "Runs a mapping on the target; it sees neither the message nor anything outside.",
    &[Param::string("mapping", "The mapping.")],
    run,
)
.prepared(compile)];

/// What such mappings may use: only what depends on nothing but its target.
static PURE: LazyLock<Environment> = LazyLock::new(|| {
    let refuse = |_: &std::path::Path| Err("imports are disabled in this context".to_owned());
    Environment::new().pure().with_loader(Arc::new(refuse), "")
});

fn compile(args: &Args<'_>) -> Result<Prepared, Fault> {
    match parse::mapping(&args.str(0), &PURE, true) {
        Ok(mapping) => Ok(Arc::new(mapping)),
        Err(error) => Err(Fault::new(error.without_position())),
    }
}

fn run(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let Some(mapping) = args.prepared::<Mapping>() else { return Err(Fault::new("no mapping was compiled")) };
    cx.embed(mapping, target)
}
