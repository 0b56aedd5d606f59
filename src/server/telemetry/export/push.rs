//! Metrics in Prometheus' text, sent to a push gateway or written to a file.

use super::{Export, Made, Now};
use crate::telemetry::metrics::prometheus;
use async_trait::async_trait;
use reqwest::Url;
use serde::Deserialize;
use std::path::PathBuf;
use tokio::sync::mpsc;
use weir_config::Node;
use weir_core::{build_error::BuildError, duration::Duration};

#[derive(Deserialize)]
struct Config {
    push_url: Option<String>,
    push_interval: Option<Duration>,
    push_job_name: String,
    push_basic_auth: Who,
    file_output_path: String,
}

#[derive(Deserialize)]
struct Who {
    username: String,
    password: String,
}

struct Push {
    gateway: Option<Gateway>,
    /// Gets the metrics at the end.
    file: Option<PathBuf>,
}

struct Gateway {
    client: reqwest::Client,
    url: Url,
    who: Option<Who>,
}

/// How long an answer may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// None where nothing is to be pushed: Prometheus then fetches metrics itself.
pub(super) fn new(node: &Node) -> Result<Made, BuildError> {
    let only = ["push_url", "push_interval", "push_job_name", "push_basic_auth", "file_output_path"];
    let read = only.iter().filter_map(|name| Some((Node::string(*name), node.get(name)?.clone())));
    let config: Config = Node::map(read.collect()).read()?;
    let file = (!config.file_output_path.is_empty()).then(|| config.file_output_path.into());
    let gateway = match config.push_url.filter(|url| !url.is_empty()) {
        None => None,
        Some(url) => {
            let failed = |error: &dyn std::fmt::Display| {
                BuildError::new(format!("failed to parse url: {error}")).at("push_url")
            };
            // As the gateway's own clients do it, an address alone is one by HTTP.
            let url = if url.contains("://") { url } else { format!("http://{url}") };
            let mut url = Url::parse(&url).map_err(|error| failed(&error))?;
            url.path_segments_mut().map_err(|()| failed(&"it has no path"))?.pop_if_empty().extend([
                "metrics",
                "job",
                &*config.push_job_name,
            ]);
            let who = Some(config.push_basic_auth).filter(|who| !who.username.is_empty());
            Some(Gateway { client: weir_io::tls::http_client(&Node::null())?, url, who })
        }
    };
    if gateway.is_none() && file.is_none() {
        return Ok(Made { to: None, every: None });
    }
    let every = gateway.as_ref().and(config.push_interval).map(|every| every.0);
    Ok(Made::new(Push { gateway, file }, every))
}

async fn text(Now { groups, renames, form, .. }: Now) -> Vec<u8> {
    let (to, mut pieces) = mpsc::channel(1);
    let writing = prometheus(groups, renames, form, String::new(), to);
    let mut text = Vec::new();
    tokio::join!(writing, async {
        while let Some(piece) = pieces.recv().await {
            text.extend_from_slice(&piece);
        }
    });
    text
}

#[async_trait]
impl Export for Push {
    async fn export(&mut self, now: Now) -> Result<(), String> {
        let last = now.last;
        let text = text(now).await;
        if let Some(path) = self.file.as_ref().filter(|_| last) {
            let written = tokio::fs::write(path, &text).await;
            written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        if let Some(Gateway { client, url, who }) = &self.gateway {
            let mut request = client.put(url.clone()).timeout(TIMEOUT).body(text);
            request = request.header("content-type", "text/plain; version=0.0.4; charset=utf-8");
            if let Some(Who { username, password }) = who {
                request = request.basic_auth(username, Some(password));
            }
            let answer = request.send().await.map_err(|error| error.to_string())?;
            answer.error_for_status().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
