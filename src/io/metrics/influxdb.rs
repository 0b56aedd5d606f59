//! `influxdb`: metrics in its line protocol.

use crate::tls;
use weir_core::{
    field::Field,
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

const fn ignored(name: &'static str) -> Field {
    Field::string(name, "Accepted for old configs: weir has no Go runtime to measure.")
        .default("''")
        .advanced()
}

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "influxdb",
    summary: "Writes metrics to InfluxDB 1, over HTTP or UDP.",
    description: "A counter has the field `count`, a gauge `value`, a timer `count`, `mean`, `p50`, `p75`, `p90`, `p95`, \
                  `p99` and `p999`, in nanoseconds. Labels are tags.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("url", "Where the server is: `http://`, `https://` or `udp://`, host and port."),
        Field::string("db", "The database."),
        tls::CLIENT,
        Field::string("username", "The user's name.").default("''").advanced(),
        Field::string("password", "The user's password.").default("''").secret().advanced(),
        Field::object("include", "Further metrics.", &[ignored("runtime"), ignored("debug_gc")])
            .optional()
            .advanced(),
        Field::duration("interval", "The time from one writing to the next.").default("1m").advanced(),
        Field::duration(
            "ping_interval",
            "Accepted for old configs: each writing shows whether the server is there.",
        )
        .default("20s")
        .advanced(),
        Field::string("precision", "The unit of times: `ns`, `us`, `ms` or `s`.")
            .default("s")
            .suggestions(&["ns", "us", "ms", "s"])
            .advanced(),
        Field::duration("timeout", "How long an answer may take.").default("5s").advanced(),
        Field::string("tags", "Tags of every metric.").map().default("{}").advanced(),
        Field::string("retention_policy", "The retention policy to write by.").optional().advanced(),
        Field::string(
            "write_consistency",
            "How many nodes must have written: `any`, `one`, `quorum` or `all`.",
        )
        .optional()
        .advanced(),
    ]),
    examples: &[Example {
        title: "Twice a minute",
        config: "url: http://localhost:8086\ndb: weir\ninterval: 30s",
    }],
    build: |node, _| Ok(node.clone()),
};
