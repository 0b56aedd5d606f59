//! Spans that are sent to collectors, some at a time.

mod otlp;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use otlp::Resource;
use reqwest::{Client, Url};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use weir_config::Node;
use weir_core::{
    build_error::BuildError,
    kind::Kind,
    prepare,
    registry::Registry,
    trace::{Record, Tracer},
};
use weir_io::tls;

/// Spans that wait to be sent; more are lost.
const ROOM: usize = 8192;
/// Spans of one request.
const MOST: usize = 512;
/// How long spans are gathered.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last sending may take.
const LAST: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Config {
    service: String,
    #[serde(default)]
    http: Vec<CollectorConfig>,
    #[serde(default)]
    grpc: Vec<CollectorConfig>,
    tags: BTreeMap<String, String>,
    sampling: Sampling,
}

#[derive(Deserialize)]
struct CollectorConfig {
    address: Option<String>,
    url: String,
    secure: bool,
}

#[derive(Deserialize)]
struct Sampling {
    enabled: bool,
    ratio: Option<f64>,
}

/// Sends the spans of a tracer as a config says.
pub(crate) struct Spans(Option<Sender>);

struct Sender {
    tracer: Arc<Tracer>,
    records: mpsc::Receiver<Record>,
    gathered: Vec<Record>,
    resource: Resource,
    to: Vec<Collector>,
    failing: bool,
}

/// Who is sent spans.
struct Collector {
    client: Client,
    url: Url,
    grpc: bool,
}

impl Spans {
    /// What the section `tracer` asks for: maybe no tracer at all.
    pub(crate) fn new(tracer: &Node, registry: &Registry) -> Result<(Self, Option<Arc<Tracer>>), String> {
        let chosen = registry.infer(Kind::Tracer, tracer).ok();
        let Some(chosen) = chosen.filter(|chosen| chosen.name == "open_telemetry_collector") else {
            return Ok((Self(None), None));
        };
        let failed = |error: BuildError| format!("tracer.{}: {error}", chosen.name);
        let spec = registry.tracer(chosen.name).ok_or("tracer: it is not there")?;
        let body = prepare::body(&spec.body, &chosen.body).map_err(failed)?;
        let config: Config = body.read().map_err(failed)?;
        let share = match config.sampling {
            Sampling { enabled: false, .. } => 1.0,
            Sampling { ratio: Some(ratio), .. } => ratio,
            Sampling { ratio: None, .. } => {
                return Err(failed(BuildError::new("field ratio is required").at("sampling")));
            }
        };
        let http = config.http.iter().map(|one| Collector::new(one, false).map_err(|error| error.at("http")));
        let grpc = config.grpc.iter().map(|one| Collector::new(one, true).map_err(|error| error.at("grpc")));
        let to = http.chain(grpc).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let (tracer, records) = Tracer::new(share, ROOM);
        let resource = Resource::new(&config.service, &config.tags);
        let sender = Sender {
            tracer: Arc::clone(&tracer),
            records,
            gathered: Vec::new(),
            resource,
            to,
            failing: false,
        };
        Ok((Self(Some(sender)), Some(tracer)))
    }

    /// Sends again and again, without end.
    pub(crate) async fn keep(&mut self) {
        let Some(sender) = &mut self.0 else { return std::future::pending().await };
        loop {
            if sender.gathered.is_empty() {
                sender.records.recv_many(&mut sender.gathered, MOST).await;
            }
            let due = Instant::now() + EVERY;
            while let left @ 1.. = MOST.saturating_sub(sender.gathered.len()) {
                let more = timeout_at(due, sender.records.recv_many(&mut sender.gathered, left)).await;
                if !matches!(more, Ok(1..)) {
                    break;
                }
            }
            sender.send().await;
        }
    }

    /// Sends what is left.
    pub(crate) async fn end(&mut self) {
        let Some(sender) = &mut self.0 else { return };
        let rest = async {
            loop {
                while sender.gathered.len() < MOST
                    && let Ok(record) = sender.records.try_recv()
                {
                    sender.gathered.push(record);
                }
                if sender.gathered.is_empty() {
                    return;
                }
                sender.send().await;
            }
        };
        if timeout(LAST, rest).await.is_err() {
            tracing::error!("Failed to send the last spans: it took too long");
        }
    }
}

impl Sender {
    /// Sends what is gathered. A failure is told when it begins, not each time.
    async fn send(&mut self) {
        let request = Bytes::from(self.resource.request(&self.gathered));
        let sent = futures_util::future::join_all(self.to.iter().map(|to| to.send(request.clone()))).await;
        self.gathered.clear();
        let failed = sent.into_iter().find_map(Result::err);
        let failed_before = std::mem::replace(&mut self.failing, failed.is_some());
        if let Some(error) = failed.filter(|_| !failed_before) {
            tracing::error!("Failed to send spans: {error}");
        }
        let lost = self.tracer.take_lost();
        if lost > 0 {
            tracing::warn!("{lost} spans were lost: more ended than can be sent");
        }
    }
}

impl Collector {
    fn new(config: &CollectorConfig, grpc: bool) -> Result<Self, BuildError> {
        let address = config.address.as_deref().unwrap_or(&config.url);
        let scheme = if config.secure { "https" } else { "http" };
        let path =
            if grpc { "opentelemetry.proto.collector.trace.v1.TraceService/Export" } else { "v1/traces" };
        let url = Url::parse(&format!("{scheme}://{address}/{path}"))
            .map_err(|error| BuildError::new(format!("failed to parse address {address}: {error}")))?;
        let client = if grpc { tls::grpc_client } else { tls::http_client };
        Ok(Self { client: client(&Node::null())?, url, grpc })
    }

    async fn send(&self, message: Bytes) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.url);
        let request = self.client.post(self.url.clone()).timeout(TIMEOUT);
        let request = if self.grpc {
            request.header("content-type", "application/grpc").header("te", "trailers").body(framed(&message))
        } else {
            request.header("content-type", "application/x-protobuf").body(message)
        };
        let answer = request.send().await.map_err(|error| failed(&error.without_url()))?;
        let answer = answer.error_for_status().map_err(|error| failed(&error.without_url()))?;
        if !self.grpc {
            return Ok(());
        }
        // The status of a call comes after its body, or, without one, among the headers.
        let early = answer.headers().get("grpc-status").cloned();
        let body = reqwest::Body::from(answer).collect().await.map_err(|error| failed(&error))?;
        let late = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
        match early.or(late) {
            Some(status) if status == "0" => Ok(()),
            status => Err(failed(&format!("gRPC status {status:?}"))),
        }
    }
}

/// A message as gRPC sends it: not compressed, after its length.
fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}
