//! The config of the service beside its streams, read.

use crate::{Node, sections};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_core::{duration::Duration, lint::read::ReadError, prepare, registry::Registry};

/// The service's config.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// The server's own HTTP.
    pub http: Http,
    /// The log.
    pub logger: Logger,
    /// Where metrics go; a component.
    pub metrics: Node,
    /// Where spans go; a component.
    pub tracer: Node,
    /// How long to wait before stopping.
    pub shutdown_delay: Duration,
    /// How long messages in flight may take to stop.
    pub shutdown_timeout: Duration,
    /// Whether failed messages skip processors and are refused by outputs.
    pub strict: bool,
    /// The resources of this file.
    pub resources: Resources,
}

/// `http`
#[derive(Debug, Clone, Deserialize)]
pub struct Http {
    /// Whether to serve HTTP.
    pub enabled: bool,
    /// The address to listen on.
    pub address: String,
    /// A path under which everything is served as well.
    pub root_path: String,
    /// Whether to serve paths for debugging.
    pub debug_endpoints: bool,
    /// A certificate file; empty for none.
    pub cert_file: String,
    /// Its key file.
    pub key_file: String,
    /// Certificates that vouch for who calls; empty for anyone.
    #[serde(default)]
    pub client_ca_file: String,
    /// Lines of tokens.
    #[serde(default)]
    pub auth: Vec<String>,
    /// Which other origins may call.
    pub cors: Cors,
    /// Who may call.
    pub basic_auth: BasicAuth,
}

/// `http.cors`
#[derive(Debug, Clone, Deserialize)]
pub struct Cors {
    /// Whether other origins may call.
    pub enabled: bool,
    /// Which; `*` for any.
    pub allowed_origins: Vec<String>,
}

/// `http.basic_auth`
#[derive(Debug, Clone, Deserialize)]
pub struct BasicAuth {
    /// Whether a password is asked for.
    pub enabled: bool,
    /// The realm that clients show.
    pub realm: String,
    /// The user.
    pub username: String,
    /// The password, hashed and in base64.
    pub password_hash: String,
    /// `sha256`, `md5`, `bcrypt` or `scrypt`.
    pub algorithm: String,
    /// The salt of `scrypt`, in base64.
    pub salt: String,
}

/// `logger`
#[derive(Debug, Clone, Deserialize)]
pub struct Logger {
    /// The lowest level that is logged.
    pub level: String,
    /// `logfmt` or `json`.
    pub format: String,
    /// Whether lines have a time.
    pub add_timestamp: bool,
    /// The name of the level.
    pub level_name: String,
    /// The name of the time.
    pub timestamp_name: String,
    /// The name of the message.
    pub message_name: String,
    /// Fields that every line has.
    pub static_fields: BTreeMap<String, String>,
    /// A file to log to.
    pub file: LogFile,
}

/// `logger.file`
#[derive(Debug, Clone, Deserialize)]
pub struct LogFile {
    /// The file; empty for none.
    pub path: String,
    /// Whether a new file is begun each day.
    pub rotate: bool,
    /// For how many days old files are kept; 0 for ever.
    pub rotate_max_age_days: i64,
}

/// Components that others refer to by label.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// Inputs.
    pub inputs: Vec<Node>,
    /// Processors.
    pub processors: Vec<Node>,
    /// Outputs.
    pub outputs: Vec<Node>,
    /// Caches.
    pub caches: Vec<Node>,
    /// Rate limits.
    pub rate_limits: Vec<Node>,
}

impl Resources {
    /// The resources among a config's sections.
    pub fn read(node: &Node) -> Self {
        let node = node.merged();
        let list = |name: &str| node.get(name).and_then(Node::as_list).unwrap_or_default().to_vec();
        Self {
            inputs: list("input_resources"),
            processors: list("processor_resources"),
            outputs: list("output_resources"),
            caches: list("cache_resources"),
            rate_limits: list("rate_limit_resources"),
        }
    }

    /// Adds those of another file behind these.
    pub fn extend(&mut self, other: Self) {
        self.inputs.extend(other.inputs);
        self.processors.extend(other.processors);
        self.outputs.extend(other.outputs);
        self.caches.extend(other.caches);
        self.rate_limits.extend(other.rate_limits);
    }
}

#[derive(Deserialize)]
struct ErrorHandling {
    strict: bool,
}

impl ServiceConfig {
    /// Reads the service's sections, whatever else there is.
    pub fn read(node: &Node, registry: &Registry) -> Result<Self, ReadError> {
        weir_core::lint::read::check(node, sections::SERVICE, registry)?;
        let empty = Node::map(Vec::new());
        let defaults = prepare::object(sections::SERVICE, &empty);
        let given =
            if node.as_map().is_some() { prepare::object(sections::SERVICE, node) } else { defaults.clone() };
        let section = |name: &str| {
            // A section that is null or no object is only a lint, and means its defaults.
            let given = given.get(name).filter(|section| section.as_map().is_some());
            given.or_else(|| defaults.get(name)).cloned().unwrap_or_else(Node::null)
        };
        let scalar = |name: &str| given.get(name).cloned().unwrap_or_else(Node::null);
        let strict: ErrorHandling =
            section("error_handling").read().map_err(|error| error.at("error_handling"))?;
        let duration = |name: &'static str| -> Result<Duration, ReadError> {
            let node = scalar(name);
            if node.as_str().unwrap_or("").is_empty() {
                return Ok(Duration::default());
            }
            Ok(node.read().map_err(|error| error.at(name))?)
        };
        Ok(Self {
            http: section("http").read().map_err(|error| error.at("http"))?,
            logger: section("logger").read().map_err(|error| error.at("logger"))?,
            metrics: section("metrics"),
            tracer: section("tracer"),
            shutdown_delay: duration("shutdown_delay")?,
            shutdown_timeout: duration("shutdown_timeout")?,
            strict: strict.strict,
            resources: Resources::read(node),
        })
    }
}
