//! Metrics in the line protocol of `influxdb`.

use super::{
    Export, Made, Now,
    samples::{Labels, QUANTILES, Value},
    statsd::{datagrams, send},
};
use async_trait::async_trait;
use reqwest::Url;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::UdpSocket;
use weir_config::Node;
use weir_core::{build_error::BuildError, duration::Duration};

#[derive(Deserialize)]
struct Config {
    url: String,
    db: String,
    tls: Node,
    username: String,
    password: String,
    interval: Duration,
    precision: String,
    timeout: Duration,
    tags: BTreeMap<String, String>,
    retention_policy: Option<String>,
    write_consistency: Option<String>,
}

struct Influx {
    to: Way,
    /// Nanoseconds of the unit of times.
    unit: u128,
    tags: BTreeMap<String, String>,
}

enum Way {
    Udp { address: String, socket: Option<UdpSocket> },
    Http { client: reqwest::Client, url: Url, who: Option<(String, String)>, timeout: std::time::Duration },
}

const DATAGRAM: usize = 1400;
/// Lines of one request.
const LINES: usize = 5000;

pub(super) fn new(node: &Node) -> Result<Made, BuildError> {
    // Fields that only old configs have are not read.
    let known = ["include", "ping_interval"].iter().fold(node.clone(), |node, name| node.without(name));
    let config: Config = known.read()?;
    let unit = match &*config.precision {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        other => {
            return Err(
                BuildError::new(format!("precision '{other}' is not ns, us, ms or s")).at("precision")
            );
        }
    };
    let mut url = Url::parse(&config.url)
        .map_err(|error| BuildError::new(format!("failed to parse url: {error}")).at("url"))?;
    let to = match url.scheme() {
        "udp" => {
            let port = url.port().ok_or_else(|| BuildError::new("a port is required").at("url"))?;
            Way::Udp { address: format!("{}:{port}", url.host_str().unwrap_or_default()), socket: None }
        }
        "http" | "https" => {
            url.set_path(&format!("{}/write", url.path().trim_end_matches('/')));
            let mut query = vec![("db", config.db), ("precision", config.precision)];
            query.extend(config.retention_policy.map(|policy| ("rp", policy)));
            query.extend(config.write_consistency.map(|consistency| ("consistency", consistency)));
            url.query_pairs_mut().extend_pairs(query);
            let who = (!config.username.is_empty()).then_some((config.username, config.password));
            let client = weir_io::tls::http_client(&config.tls)?;
            Way::Http { client, url, who, timeout: config.timeout.0 }
        }
        other => {
            return Err(BuildError::new(format!("scheme {other} is not http, https or udp")).at("url"));
        }
    };
    Ok(Made::new(Influx { to, unit, tags: config.tags }, Some(config.interval.0)))
}

/// A name or tag with what would end it escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | ' ' | '=' | '\\') {
            out.push('\\');
        }
        out.push(if c == '\n' { ' ' } else { c });
    }
    out
}

impl Influx {
    fn line(&self, name: &str, labels: &Labels, value: &Value, time: u128) -> String {
        let mut line = escaped(name);
        for (name, value) in labels.iter().chain(&self.tags).filter(|(_, value)| !value.is_empty()) {
            // Writing to a text never fails.
            let _written = write!(line, ",{}={}", escaped(name), escaped(value));
        }
        let fields = match value {
            Value::Counter(count) => format!("count={count}"),
            Value::Gauge(value) => format!("value={value}"),
            Value::Timer(timer) => {
                let mean = timer.sum.checked_div(timer.count).unwrap_or(0);
                let quantiles: Vec<String> = QUANTILES
                    .iter()
                    .zip(timer.quantiles)
                    .map(|((name, _), nanos)| format!("{name}={nanos}i"))
                    .collect();
                format!("count={}i,mean={mean}i,{}", timer.count, quantiles.join(","))
            }
        };
        format!("{line} {fields} {time}")
    }
}

#[async_trait]
impl Export for Influx {
    async fn export(&mut self, now: Now) -> Result<(), String> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() / self.unit;
        let samples = now.samples(true).await;
        let lines: Vec<String> =
            samples.iter().map(|((name, labels), value)| self.line(name, labels, value, time)).collect();
        match &mut self.to {
            Way::Udp { address, socket } => {
                let sent = send(socket, address, &datagrams(&lines, DATAGRAM)).await;
                sent.map_err(|error| format!("{address}: {error}"))
            }
            Way::Http { client, url, who, timeout } => {
                for lines in lines.chunks(LINES) {
                    let mut request = client.post(url.clone()).timeout(*timeout).body(lines.join("\n"));
                    if let Some((name, password)) = who {
                        request = request.basic_auth(name, Some(password));
                    }
                    let answer = request.send().await.map_err(|error| error.to_string())?;
                    answer.error_for_status().map_err(|error| error.to_string())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::Timer;
    use super::*;

    #[test]
    fn lines_follow_the_protocol() {
        let influx = Influx {
            to: Way::Udp { address: String::new(), socket: None },
            unit: 1,
            tags: BTreeMap::from([("zone".into(), "a b".into())]),
        };
        let labels = Labels::from([("label".into(), String::new()), ("path".into(), "root.x,y".into())]);
        let line = |value| influx.line("sent", &labels, &value, 7);
        assert_eq!(line(Value::Counter(3.0)), r"sent,path=root.x\,y,zone=a\ b count=3 7");
        let fields = "count=0i,mean=0i,p50=0i,p75=0i,p90=0i,p95=0i,p99=0i,p999=0i 7";
        assert!(line(Value::Timer(Timer::default())).ends_with(fields));
    }
}
