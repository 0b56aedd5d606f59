//! Metrics as datagrams of the protocol of `statsd`.

use super::{
    Export, Made, Now,
    samples::{Before, Labels, Value},
};
use async_trait::async_trait;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write};
use tokio::net::UdpSocket;
use weir_config::Node;
use weir_core::{build_error::BuildError, duration::Duration};

#[derive(Deserialize)]
struct Config {
    address: String,
    flush_period: Duration,
    tag_format: String,
    tags: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tags {
    None,
    Datadog,
    Influx,
}

struct Statsd {
    address: String,
    format: Tags,
    tags: BTreeMap<String, String>,
    before: Before,
    socket: Option<UdpSocket>,
}

/// A datagram that passes everywhere is no longer than this.
const DATAGRAM: usize = 1400;

pub(super) fn new(node: &Node) -> Result<Made, BuildError> {
    let config: Config = node.read()?;
    let format = match &*config.tag_format {
        "none" => Tags::None,
        "datadog" => Tags::Datadog,
        "influxdb" => Tags::Influx,
        other => {
            return Err(BuildError::new(format!("tag format '{other}' was not recognised")).at("tag_format"));
        }
    };
    let (before, socket) = Default::default();
    let statsd = Statsd { address: config.address, format, tags: config.tags, before, socket };
    Ok(Made::new(statsd, Some(config.flush_period.0)))
}

/// A text without the characters that mean something to the protocol.
fn plain(text: &str) -> String {
    text.replace([':', '|', '@', '#', ',', '=', '\n'], "_")
}

impl Statsd {
    /// A metric's line: `name:value|type`, with its tags where the format has them.
    fn line(&self, name: &str, labels: &Labels, value: &str) -> String {
        let mut line = plain(name);
        let mut shown = String::new();
        for (name, tag) in labels.iter().chain(&self.tags).filter(|(_, value)| !value.is_empty()) {
            // Writing to a text never fails.
            let _written = match self.format {
                Tags::None => Ok(()),
                Tags::Influx => write!(line, ",{}={}", plain(name), plain(tag)),
                Tags::Datadog => {
                    write!(
                        shown,
                        "{}{}:{}",
                        if shown.is_empty() { "|#" } else { "," },
                        plain(name),
                        plain(tag)
                    )
                }
            };
        }
        format!("{line}:{value}{shown}")
    }

    #[expect(clippy::cast_precision_loss, reason = "counts")]
    fn lines(&mut self, samples: BTreeMap<(String, Labels), Value>) -> Vec<String> {
        let mut lines = Vec::new();
        for ((name, labels), value) in samples {
            let key = format!("{name}{labels:?}");
            match value {
                Value::Counter(count) => {
                    let added = self.before.added(key, count);
                    if added > 0.0 {
                        lines.push(self.line(&name, &labels, &format!("{added}|c")));
                    }
                }
                Value::Gauge(value) => lines.push(self.line(&name, &labels, &format!("{value}|g"))),
                Value::Timer(timer) => {
                    for (nanos, count) in timer.buckets {
                        let added = self.before.added(format!("{key} {nanos}"), count as f64);
                        let millis = std::time::Duration::from_nanos(nanos).as_secs_f64() * 1e3;
                        if added > 0.0 {
                            let rate = if added > 1.0 { format!("|@{}", 1.0 / added) } else { String::new() };
                            lines.push(self.line(&name, &labels, &format!("{millis}|ms{rate}")));
                        }
                    }
                }
            }
        }
        self.before.turn();
        lines
    }
}

/// Lines in as few datagrams as they fit.
pub(super) fn datagrams(lines: &[String], limit: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        match all.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= limit => {
                last.push('\n');
                last.push_str(line);
            }
            _ => all.push(line.clone()),
        }
    }
    all
}

/// Sends datagrams to an address, by a socket that is kept.
pub(super) async fn send(
    socket: &mut Option<UdpSocket>,
    address: &str,
    datagrams: &[String],
) -> std::io::Result<()> {
    if socket.is_none() {
        let peer = tokio::net::lookup_host(address).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let bound = UdpSocket::bind(if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
        bound.connect(peer).await?;
        *socket = Some(bound);
    }
    if let Some(bound) = socket {
        for datagram in datagrams {
            if let Err(error) = bound.send(datagram.as_bytes()).await {
                *socket = None;
                return Err(error);
            }
        }
    }
    Ok(())
}

#[async_trait]
impl Export for Statsd {
    async fn export(&mut self, now: Now) -> Result<(), String> {
        // What was never counted changes nothing.
        let datagrams = datagrams(&self.lines(now.samples(false).await), DATAGRAM);
        let sent = send(&mut self.socket, &self.address, &datagrams).await;
        sent.map_err(|error| format!("{}: {error}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::Timer;
    use super::*;

    #[test]
    fn what_was_added_is_sent_in_each_format() {
        for (format, (before, after)) in [
            (Tags::None, ("", "")),
            (Tags::Datadog, ("", "|#path:root.a,stream:s_1,zone:x")),
            (Tags::Influx, (",path=root.a,stream=s_1,zone=x", "")),
        ] {
            let zone = Labels::from([("zone".into(), "x".into())]);
            let (memory, socket) = Default::default();
            let mut statsd = Statsd { address: String::new(), format, tags: zone, before: memory, socket };
            let labels = [("path", "root.a"), ("stream", "s:1"), ("label", "")];
            let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            let now = |count: f64, samples: u64| {
                let timer = Timer { buckets: vec![(1_500_000, samples)], ..Timer::default() };
                let values = [Value::Counter(count), Value::Gauge(7.5), Value::Timer(timer)];
                let names = ["a", "b", "c"].map(|name| (name.to_owned(), labels.clone()));
                names.into_iter().zip(values).collect()
            };
            let gauge = format!("b{before}:7.5|g{after}");
            assert_eq!(
                statsd.lines(now(3.0, 4)),
                [format!("a{before}:3|c{after}"), gauge.clone(), format!("c{before}:1.5|ms|@0.25{after}")]
            );
            assert_eq!(statsd.lines(now(3.0, 5)), [gauge, format!("c{before}:1.5|ms{after}")]);
        }
    }

    #[test]
    fn datagrams_hold_as_many_lines_as_fit() {
        let lines = ["aa", "bb", "c", "dddddd"].map(str::to_owned);
        assert_eq!(datagrams(&lines, 5), ["aa\nbb", "c", "dddddd"]);
    }
}
