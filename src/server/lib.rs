//! The command line and the HTTP API: the only place that names the crates of components.

mod api;
mod cli;
mod deaths;
mod files;
mod flight;
mod http;
mod resource_files;
mod runtime;
mod secrets;
mod serve;
mod systemd;
mod telemetry;
mod watch;

pub use cli::{main, main_with};
