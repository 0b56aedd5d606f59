//! Starts the log as the service's config says.

use super::{
    file::LogFile,
    log::{Lines, LogConfig, level},
};
use std::io;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use weir_config::service::Logger;

/// Sends log lines to standard output or to the config's file; `flag` is the level of the command line. Only the
/// first call of a process counts.
pub(crate) fn start(logger: &Logger, flag: Option<&str>) -> Result<(), String> {
    start_to(logger, flag, Box::new(io::stdout()))
}

/// The same for a stream whose data goes to standard output: log lines go to standard error.
pub(crate) fn start_beside_data(logger: &Logger, flag: Option<&str>) -> Result<(), String> {
    start_to(logger, flag, Box::new(io::stderr()))
}

fn start_to(logger: &Logger, flag: Option<&str>, to: Box<dyn io::Write + Send>) -> Result<(), String> {
    let to: Box<dyn io::Write + Send> = if logger.file.path.is_empty() {
        to
    } else {
        let file = LogFile::open(&logger.file);
        let path = &logger.file.path;
        Box::new(file.map_err(|error| format!("logger.file.path: {path} cannot be written: {error}"))?)
    };
    let config = LogConfig {
        json: logger.format == "json",
        add_timestamp: logger.add_timestamp,
        level_name: logger.level_name.clone(),
        timestamp_name: logger.timestamp_name.clone(),
        message_name: logger.message_name.clone(),
        static_fields: logger
            .static_fields
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    let level = level(flag.unwrap_or(&logger.level));
    let filter = level.map_or(LevelFilter::OFF, LevelFilter::from_level);
    // What libraries say is only of use to who works on them.
    let ours = tracing_subscriber::filter::filter_fn(|event| event.target().starts_with("weir"));
    let lines = Lines::new(config, to).with_filter(filter).with_filter(ours);
    drop(tracing_subscriber::registry().with(lines).try_init());
    // A panic ends one stream, which says so itself; this line is for who has to mend it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    Ok(())
}
