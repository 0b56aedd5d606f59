//! `broker`: several outputs as one.

pub(super) mod fan_out;
mod one_of;
mod sequential;

use fan_out::FanOut;
use one_of::{Greedy, RoundRobin};
use sequential::Sequential;
use serde::Deserialize;
use std::sync::Arc;
use weir_core::{
    build_error::BuildError,
    field::Field,
    node::Node,
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "broker",
    summary: "Writes to several outputs, by a pattern.",
    description: include_str!("broker.md"),
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("copies", "How many times each of the outputs is built.").default("1").advanced(),
        Field::string("pattern", "Which outputs a batch goes to.").default("fan_out").options(&[
            "fan_out",
            "fan_out_fail_fast",
            "fan_out_sequential",
            "fan_out_sequential_fail_fast",
            "round_robin",
            "greedy",
        ]),
        Field::output("outputs", "The outputs to write to.").list(),
        Field::batching("batching", "Gathers messages into larger batches before they are shared out."),
    ]),
    examples: &[Example { title: "Keep and show", config: "outputs:\n  - inproc: audit\n  - drop: {}" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let copies = usize::try_from(config.copies).unwrap_or(0);
        let wanted = copies.saturating_mul(config.outputs.len());
        if wanted == 0 {
            return Err(BuildError::new("attempting to create broker output type with no outputs"));
        }
        if wanted > MAX_OUTPUTS {
            return Err(BuildError::new(format!("more than {MAX_OUTPUTS} outputs")).at("copies"));
        }
        let hard_stop = context.environment().hard_stop.clone();
        let mut outputs = Vec::with_capacity(wanted);
        for _ in 0..copies {
            for (index, output) in config.outputs.iter().enumerate() {
                outputs.push(context.output(&format!("broker.outputs.{index}"), output)?);
            }
        }
        let single = outputs.len() == 1 && !matches!(&*config.pattern, "fan_out" | "fan_out_sequential");
        let output: Arc<dyn Output> = match &*config.pattern {
            _ if single => outputs.remove(0),
            "fan_out" => Arc::new(FanOut::new(outputs, false, &hard_stop)),
            "fan_out_fail_fast" => Arc::new(FanOut::new(outputs, true, &hard_stop)),
            "fan_out_sequential" => Arc::new(Sequential::new(outputs, false, &hard_stop)),
            "fan_out_sequential_fail_fast" => Arc::new(Sequential::new(outputs, true, &hard_stop)),
            "round_robin" => Arc::new(RoundRobin::new(outputs)),
            "greedy" => Arc::new(Greedy::new(outputs)),
            other => return Err(BuildError::new(format!("broker pattern was not recognised: {other}"))),
        };
        Ok(OutputComponent::Node(output))
    },
};

/// A typing error in `copies` must not cost all memory.
const MAX_OUTPUTS: usize = 4096;

#[derive(Deserialize)]
struct Config {
    copies: i64,
    pattern: String,
    #[serde(default)]
    outputs: Vec<Node>,
    #[expect(dead_code, reason = "the engine gathers before this output")]
    batching: Option<Node>,
}
