//! The sections of a config, beside those of its components.

use weir_core::{
    field::{Field, FieldType},
    kind::Kind,
    node::Node,
};

/// What serves HTTP.
pub static HTTP: &[Field] = &[
    Field::bool("enabled", "Whether to serve HTTP.").default("true"),
    Field::string("address", "The address to listen on.").default("0.0.0.0:4195"),
    Field::string("root_path", "A path under which everything is served as well.").default("/benthos"),
    Field::bool("debug_endpoints", "Whether to serve paths for debugging.").default("false"),
    Field::string("cert_file", "A certificate file, for TLS.").default("''").advanced(),
    Field::string("key_file", "The certificate's key file.").default("''").advanced(),
    Field::string("client_ca_file", "Certificates in PEM: who calls must show one that they vouch for.")
        .optional()
        .advanced(),
    Field::string("auth", "Who may use the control routes: `name, sha256 of the token in hex, scopes`.")
        .list()
        .optional()
        .advanced()
        .secret(),
    Field::object("cors", "Which other origins may call.", CORS).advanced(),
    Field::object("basic_auth", "Who may call.", BASIC_AUTH).advanced(),
];

static CORS: &[Field] = &[
    Field::bool("enabled", "Whether other origins may call.").default("false"),
    Field::string("allowed_origins", "Which; `*` for any.").list().default("[]"),
];

static BASIC_AUTH: &[Field] = &[
    Field::bool("enabled", "Whether a password is asked for.").default("false"),
    Field::string("realm", "The realm that clients show.").default("restricted"),
    Field::string("username", "The user.").default("''"),
    Field::string("password_hash", "The password, hashed and in base64.").default("''"),
    Field::string("algorithm", "How it is hashed: `sha256`, `md5`, `bcrypt` or `scrypt`.").default("sha256"),
    Field::string("salt", "The salt of `scrypt`, in base64.").default("''"),
];

static PIPELINE: &[Field] = &[
    Field::int("threads", "How many batches are processed at once; -1 for one a CPU.").default("-1"),
    Field::processors("processors", "The processors, in order.").default("[]"),
];

static EXPECT: &[Field] = &[
    Field::duration("output_every", "The longest that the stream may go without sending a message."),
    Field::string(
        "on_breach",
        "What is done when it does: it is only told, or the stream is started again as well.",
    )
    .default("alert")
    .options(&["alert", "restart"]),
];

static LOGGER: &[Field] = &[
    Field::string("level", "The lowest level that is logged.")
        .default("INFO")
        .suggestions(&["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL", "NONE"]),
    Field::string("format", "How lines are written.").default("logfmt").options(&["json", "logfmt"]),
    Field::bool("add_timestamp", "Whether lines have a time.").default("true"),
    Field::string("level_name", "The name of the level.").default("level").advanced(),
    Field::string("timestamp_name", "The name of the time.").default("time").advanced(),
    Field::string("message_name", "The name of the message.").default("msg").advanced(),
    Field::string("static_fields", "Fields that every line has.").map().default("{ '@service': weir }"),
    Field::object("file", "A file to log to.", LOG_FILE).advanced(),
];

static LOG_FILE: &[Field] = &[
    Field::string("path", "The file; empty for none.").default("''"),
    Field::bool("rotate", "Whether a new file is begun each day, and when one has 100 MiB.").default("false"),
    Field::int("rotate_max_age_days", "For how many days old files are kept; 0 for ever.").default("0"),
];

static ERROR_HANDLING: &[Field] =
    &[Field::bool("strict", "Whether failed messages skip processors and are refused by outputs.")
        .default("false")];

static TEST_INPUT: &[Field] = &[
    Field::string("content", "The content.").optional(),
    Field::any("json_content", "The content, as a value.").optional(),
    Field::string("file_content", "A file that holds the content.").optional(),
    Field::any("metadata", "Metadata.").map().optional(),
];

static TEST_OUTPUT: &[Field] = &[
    Field::mapping("bloblang", "A query that must be true.").optional(),
    Field::string("content_equals", "The content.").optional(),
    Field::string("content_matches", "A regular expression that the content matches.").optional(),
    Field::any("metadata_equals", "Metadata.").map().optional(),
    Field::string("file_equals", "A file that holds the content.").optional(),
    Field::string("file_json_equals", "A file that holds the content, compared as a value.").optional(),
    Field::any("json_equals", "The content, as a value.").optional(),
    Field::any("json_contains", "A part of the content, as a value.").optional(),
    Field::string("file_json_contains", "A file that holds a part of the content, as a value.").optional(),
];

/// One unit test.
pub static TEST: &[Field] = &[
    Field::string("name", "What it shows."),
    Field::string("environment", "Environment variables.").map().optional(),
    Field::string("target_processors", "A path to processors, or a label.").default("/pipeline/processors"),
    Field::string("target_mapping", "A file of a mapping.").default("''"),
    Field::any("mocks", "Components that stand in for others, by path or label.").map().optional(),
    Field::object("input_batch", "Messages.", TEST_INPUT).list().optional(),
    Field::object("input_batches", "Batches of messages.", TEST_INPUT).list_of_lists().optional(),
    Field::object("output_batches", "What is to come of them.", TEST_OUTPUT).list_of_lists().optional(),
];

/// A resource must be named.
fn labelled(node: &Node) -> Vec<String> {
    let is_unlabelled =
        node.as_map().is_some() && node.get("label").and_then(Node::as_str).unwrap_or("").is_empty();
    if is_unlabelled {
        vec!["the label field for resources must be unique and not empty".into()]
    } else {
        Vec::new()
    }
}

const fn resources(name: &'static str, kind: Kind) -> Field {
    Field::new(name, "Components that others refer to by label.", FieldType::Component(kind))
        .list()
        .default("[]")
        .advanced()
        .check(labelled)
}

const INPUT: Field = Field::input("input", "Where messages come from.").default("{ stdin: {} }");
const BUFFER: Field =
    Field::buffer("buffer", "What stands between input and pipeline.").default("{ none: {} }");
const PIPELINE_FIELD: Field = Field::object("pipeline", "What happens to messages.", PIPELINE);
const OUTPUT: Field = Field::output("output", "Where messages go.").default("{ stdout: {} }");
const EXPECT_FIELD: Field =
    Field::object("expect", "What the stream is to keep up; watched by weir alone.", EXPECT)
        .optional()
        .advanced();
const INPUTS: Field = resources("input_resources", Kind::Input);
const PROCESSORS: Field = resources("processor_resources", Kind::Processor);
const OUTPUTS: Field = resources("output_resources", Kind::Output);
const CACHES: Field = resources("cache_resources", Kind::Cache);
const RATE_LIMITS: Field = resources("rate_limit_resources", Kind::RateLimit);
const TESTS: Field = Field::object("tests", "Unit tests.", TEST).list().optional().advanced();
const PARALLEL: Field =
    Field::bool("parallel", "Whether unit tests run at once.").default("true").deprecated().advanced();
const HTTP_FIELD: Field = Field::object("http", "The server's own HTTP.", HTTP);
const LOGGER_FIELD: Field = Field::object("logger", "The server's log.", LOGGER);
const METRICS: Field = Field::component("metrics", "Where metrics go.", Kind::Metrics)
    .default("{ prometheus: {}, mapping: '' }");
const TRACER: Field = Field::component("tracer", "Where spans go.", Kind::Tracer).default("{ none: {} }");
const SHUTDOWN_DELAY: Field =
    Field::duration("shutdown_delay", "How long to wait before stopping.").default("0s");
const SHUTDOWN_TIMEOUT: Field =
    Field::duration("shutdown_timeout", "How long messages in flight may take to stop.").default("20s");
const ERRORS: Field =
    Field::object("error_handling", "What becomes of failed messages.", ERROR_HANDLING).advanced();
const REDPANDA: Field = Field::any("redpanda", "Accepted for configs written for Redpanda; it does nothing.")
    .optional()
    .advanced();

/// A stream as the API takes it.
pub static STREAM: &[Field] = &[INPUT, BUFFER, PIPELINE_FIELD, OUTPUT, EXPECT_FIELD];

/// A stream as a file holds it.
pub static STREAM_FILE: &[Field] = &[INPUT, BUFFER, PIPELINE_FIELD, OUTPUT, EXPECT_FIELD, TESTS];

/// A file of resources (`-r`).
pub static RESOURCES: &[Field] = &[INPUTS, PROCESSORS, OUTPUTS, CACHES, RATE_LIMITS, TESTS];

/// The service beside its streams (`-o`).
pub static SERVICE: &[Field] = &[
    HTTP_FIELD,
    INPUTS,
    PROCESSORS,
    OUTPUTS,
    CACHES,
    RATE_LIMITS,
    LOGGER_FIELD,
    METRICS,
    TRACER,
    SHUTDOWN_DELAY,
    SHUTDOWN_TIMEOUT,
    ERRORS,
    TESTS,
    PARALLEL,
    REDPANDA,
];

/// One stream and its service (`run`).
pub static CONFIG: &[Field] = &[
    HTTP_FIELD,
    INPUT,
    BUFFER,
    PIPELINE_FIELD,
    OUTPUT,
    EXPECT_FIELD,
    INPUTS,
    PROCESSORS,
    OUTPUTS,
    CACHES,
    RATE_LIMITS,
    LOGGER_FIELD,
    METRICS,
    TRACER,
    SHUTDOWN_DELAY,
    SHUTDOWN_TIMEOUT,
    ERRORS,
    TESTS,
    PARALLEL,
    REDPANDA,
];
