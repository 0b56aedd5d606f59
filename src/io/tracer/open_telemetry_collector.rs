//! `open_telemetry_collector`: spans by OTLP.

use weir_core::{
    field::Field,
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

const fn collector(url: &'static str) -> [Field; 3] {
    [
        Field::string("address", "Host and port of the collector.").optional(),
        Field::string("url", "The former name of `address`.").default(url).deprecated(),
        Field::bool("secure", "Whether it is called by TLS.").default("false"),
    ]
}

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "open_telemetry_collector",
    summary: "Sends spans to collectors of OpenTelemetry, by OTLP over HTTP or gRPC.",
    description: "Each message that an input reads begins a trace, unless the request that brought it has a header \
                  `traceparent`: then it is part of that. Each processor and each output that it passes is a span in \
                  it. Spans are sent about once a second to all collectors; when one fails, or more ended than can be \
                  sent, the log tells so, spans are lost, and no message waits.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("service", "What the service is called in traces.").default("benthos"),
        Field::object("http", "Collectors that are called over HTTP.", &collector("localhost:4318")).list(),
        Field::object("grpc", "Collectors that are called over gRPC.", &collector("localhost:4317")).list(),
        Field::string("tags", "Tags of the service.").map().default("{}").advanced(),
        Field::object(
            "sampling",
            "Which traces are recorded.",
            &[
                Field::bool("enabled", "Whether only a share of them is.").default("false"),
                Field::float("ratio", "The share, from 0 to 1.").optional(),
            ],
        ),
    ]),
    examples: &[Example {
        title: "One trace in ten",
        config: "service: orders\nhttp: [ { address: localhost:4318 } ]\nsampling: { enabled: true, ratio: 0.1 }",
    }],
    build: |node, _| Ok(node.clone()),
};
