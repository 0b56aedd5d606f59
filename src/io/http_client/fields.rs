//! What every component that sends HTTP requests can be told.

use super::auth;
use crate::{metadata_filter, tls};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_core::{expression::Interpolated, field::Field, node::Node};

/// The fields that all have; the second is the verb.
pub(crate) const CLIENT: &[Field] = &[
    Field::string("url", "The address.").interpolated(),
    Field::string("verb", "The verb of each request."),
    Field::string("headers", "Headers of each request.").map().default("{}").interpolated(),
    Field::object("metadata", "Metadata of messages that is sent as headers.", metadata_filter::FIELDS)
        .optional()
        .advanced(),
    Field::string("dump_request_log_level", "Log each request and its answer at this level.")
        .default("''")
        .options(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", ""])
        .advanced(),
    auth::OAUTH,
    auth::OAUTH2,
    auth::BASIC,
    auth::JWT,
    tls::CLIENT,
    Field::object(
        "extract_headers",
        "Headers of answers that become metadata; the filter sees their names in lower case.",
        metadata_filter::FIELDS,
    )
    .advanced(),
    Field::string("rate_limit", "Label of a rate limit resource that every request asks.").optional(),
    Field::duration("timeout", "How long one request may take.").default("5s"),
    Field::duration("retry_period", "How long to wait before a request is repeated.")
        .default("1s")
        .advanced(),
    Field::duration("max_retry_backoff", "The longest wait where the wait grows.").default("300s").advanced(),
    Field::int("retries", "How often a request is repeated.").default("3").advanced(),
    Field::bool("follow_redirects", "Whether redirects are followed; otherwise they are answers.")
        .default("true")
        .advanced(),
    Field::int("backoff_on", "Statuses after which the wait before a repetition grows.")
        .list()
        .default("[ 429 ]")
        .advanced(),
    Field::int("drop_on", "Statuses after which a request is not repeated. It has failed all the same.")
        .list()
        .default("[]")
        .advanced(),
    Field::int("successful_on", "Statuses that count as success.").list().default("[]").advanced(),
    Field::string("proxy_url", "The address of an HTTP proxy.").optional().advanced(),
    Field::bool("disable_http2", "Whether only HTTP/1.1 is spoken.").default("false").advanced(),
];

/// The fields of a component: those of every client, and its own.
pub(crate) const fn fields<const N: usize>(verb: &'static str, own: &[Field]) -> [Field; N] {
    assert!(CLIENT.len() + own.len() == N, "as many fields as there are");
    let mut all = [CLIENT[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < CLIENT.len() { CLIENT[index] } else { own[index - CLIENT.len()] };
        index += 1;
    }
    all[1] = all[1].default(verb);
    all
}

/// A component's config taken apart: the client's, and its own.
pub(crate) fn split(node: &Node, own: &'static [Field]) -> (Node, Node) {
    let part = |fields: &'static [Field]| {
        let entries = fields
            .iter()
            .filter_map(|field| node.get(field.name).map(|value| (Node::string(field.name), value.clone())));
        node.with_fields(entries.collect(), fields)
    };
    (part(CLIENT), part(own))
}

/// A client as configured.
#[derive(Deserialize)]
pub(crate) struct ClientConfig {
    pub(super) url: Interpolated,
    pub(super) verb: String,
    pub(super) headers: BTreeMap<String, Interpolated>,
    #[serde(default)]
    pub(super) metadata: metadata_filter::FilterConfig,
    pub(super) dump_request_log_level: String,
    pub(super) oauth: Option<auth::OAuthConfig>,
    pub(super) oauth2: Option<auth::OAuth2Config>,
    pub(super) basic_auth: Option<auth::BasicConfig>,
    pub(super) jwt: Option<auth::JwtConfig>,
    #[serde(default)]
    pub(super) tls: tls::TlsConfig,
    #[serde(default)]
    pub(super) extract_headers: metadata_filter::FilterConfig,
    pub(super) rate_limit: Option<String>,
    pub(super) timeout: weir_core::duration::Duration,
    pub(super) retry_period: weir_core::duration::Duration,
    pub(super) max_retry_backoff: weir_core::duration::Duration,
    pub(super) retries: i64,
    pub(super) follow_redirects: bool,
    pub(super) backoff_on: Vec<i64>,
    pub(super) drop_on: Vec<i64>,
    pub(super) successful_on: Vec<i64>,
    pub(super) proxy_url: Option<String>,
    pub(super) disable_http2: bool,
}
