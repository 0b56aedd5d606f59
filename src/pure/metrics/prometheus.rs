//! `prometheus`: metrics in the text format of Prometheus.

use weir_core::{
    field::Field,
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "prometheus",
    summary: "Serves metrics in the text format of Prometheus.",
    description: "They are at `/metrics` and `/stats`.",
    status: Status::Stable,
    body: Body::Fields(FIELDS),
    examples: &[Example { title: "Timers as histograms", config: "use_histogram_timing: true" }],
    build: |node, _| Ok(node.clone()),
};

static FIELDS: &[Field] = &[
    Field::bool("use_histogram_timing", "Export timers as histograms in seconds instead of summaries in nanoseconds.")
        .default("false")
        .advanced(),
    Field::float("histogram_buckets", "Upper bounds of the buckets of timer histograms, in seconds. Empty: the usual ones.")
        .list()
        .default("[]")
        .advanced(),
    Field::object("summary_quantiles_objectives", "The quantiles that timer summaries give.", OBJECTIVES)
        .list()
        .default("[ { quantile: 0.5, error: 0.05 }, { quantile: 0.9, error: 0.01 }, { quantile: 0.99, error: 0.001 } ]")
        .advanced(),
    Field::bool("add_process_metrics", "Also export the CPU time and memory of the process.").default("false").advanced(),
    Field::bool("add_go_metrics", "Accepted for old configs: weir has no Go runtime to measure.").default("false").advanced(),
    Field::string("push_url", "A push gateway to send metrics to.").optional().advanced(),
    Field::duration("push_interval", "The time between two pushes.").optional().advanced(),
    Field::string("push_job_name", "What pushed metrics call this process.").default("benthos_push").advanced(),
    Field::object("push_basic_auth", "Who pushes.", PUSH_BASIC_AUTH).advanced(),
    Field::string("file_output_path", "A file that gets all metrics when the process stops.").default("''").advanced(),
];

static OBJECTIVES: &[Field] = &[
    Field::float("quantile", "The quantile, 0 to 1.").default("0").advanced(),
    Field::float("error", "How far off it may be.").default("0").advanced(),
];

static PUSH_BASIC_AUTH: &[Field] = &[
    Field::string("username", "The user's name.").default("''").advanced(),
    Field::string("password", "The user's password.").default("''").secret().advanced(),
];
