//! What the `http_server` input and output have in common.

use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use weir_core::{
    build_error::BuildError,
    context::Environment,
    field::Field,
    http::{Cors, Handler, Listener, Route},
};

/// Cross-origin rules.
pub(crate) const CORS: Field = Field::object(
    "cors",
    "Cross-origin rules of a listener of its own.",
    &[
        Field::bool("enabled", "Whether pages of other origins may ask.").default("false").advanced(),
        Field::string("allowed_origins", "The origins; `*` for all.").list().default("[]").advanced(),
    ],
)
.advanced();

/// Cross-origin rules as configured.
#[derive(Deserialize)]
pub(crate) struct CorsConfig {
    enabled: bool,
    allowed_origins: Vec<String>,
}

/// The listener of its own that an input or output asks for.
pub(crate) fn listener(
    address: String,
    cors: CorsConfig,
    (cert_file, key_file): (String, String),
    reuse_port: bool,
) -> Result<Option<Listener>, BuildError> {
    if address.is_empty() {
        return Ok(None);
    }
    if cors.enabled && cors.allowed_origins.is_empty() {
        return Err(BuildError::new("bad CORS configuration: must specify at least one allowed origin"));
    }
    let tls = match (cert_file.is_empty(), key_file.is_empty()) {
        (true, true) => None,
        (false, false) => Some((cert_file, key_file)),
        (true, false) => return Err(BuildError::new("a key needs a certificate").at("cert_file")),
        (false, true) => return Err(BuildError::new("a certificate needs its key").at("key_file")),
    };
    let cors = Cors { enabled: cors.enabled, allowed_origins: cors.allowed_origins };
    Ok(Some(Listener { address, tls, cors, reuse_port }))
}

/// The routes of these paths, descriptions and handlers; an empty path is not served.
pub(crate) fn routes(
    paths: impl IntoIterator<Item = (String, &'static str, Arc<dyn Handler>)>,
    listener: Option<&Listener>,
    environment: &Environment,
) -> Result<Vec<Route>, BuildError> {
    let mut routes = Vec::new();
    for (path, description, handler) in paths {
        if path.is_empty() {
            continue;
        }
        if listener.is_none() {
            environment.http.check(&environment.stream, &path)?;
        }
        routes.push(Route { path, description: description.into(), listener: listener.cloned(), handler });
    }
    Ok(routes)
}

/// Reads a time-out.
pub(crate) fn time_out(text: &str) -> Result<Duration, BuildError> {
    weir_core::duration::parse(text)
        .map_err(|error| BuildError::new(format!("failed to parse 'timeout' as a duration string: {error}")))
}
