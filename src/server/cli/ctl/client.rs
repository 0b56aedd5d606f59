//! Requests to a server, and what may come of them.

use super::{Outcome, print::Printer};
use http::{Method, StatusCode};
use reqwest::Url;
use serde_json::Value;
use std::time::Duration;
use weir_config::Node;

/// Where a server of this machine listens unless it is told otherwise.
const NEAR: &str = "http://127.0.0.1:4195";
/// How long an answer may take: longer than a write waits for its streams.
const ANSWER: Duration = Duration::from_mins(2);

/// Entries of a list that are asked for at once.
const PAGE: usize = 1000;

/// Why something was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused it, or it makes no sense.
    Refused(String),
    /// There is no server, or none that answers.
    Unreachable(String),
    /// It goes on, but was not done in time.
    TimedOut(String),
}

/// What a server answered.
pub(super) struct Answer {
    /// The revision after a write.
    pub(super) revision: Option<u64>,
    text: String,
}

impl Answer {
    /// The answer as JSON; `null` for none.
    pub(super) fn json(&self) -> Result<Value, Failure> {
        if self.text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text).map_err(|error| {
            Failure::Unreachable(format!("the server's answer is no JSON, is it weir? {error}"))
        })
    }
}

/// One server.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client of the server at this URL, for which a host and port will do, or else of the environment's.
    pub(super) fn of(server: Option<String>, token: Option<String>) -> Result<Self, String> {
        let or_variable = |given: Option<String>, name: &str| given.or_else(|| std::env::var(name).ok());
        let token = or_variable(token, "WEIR_TOKEN");
        let server = or_variable(server, "WEIR_SERVER").unwrap_or_else(|| NEAR.into());
        let full = if server.contains("://") { server.clone() } else { format!("http://{server}") };
        let base = Url::parse(&full).ok().filter(|url| !url.cannot_be_a_base());
        let base = base.ok_or_else(|| format!("'{server}' is no server such as {NEAR}"))?;
        let http = weir_io::tls::http_client(&Node::null());
        let http = http.map_err(|error| format!("HTTP cannot be set up: {error}"))?;
        Ok(Self { http, base, token })
    }

    /// Asks.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Answer, Failure> {
        self.send(Method::GET, path, query, None).await
    }

    /// All entries of a list that is answered in pages; `name` is how the list calls an entry.
    pub(super) async fn all(&self, path: &[&str], name: impl Fn(&Value) -> String) -> Result<Value, Failure> {
        let (mut all, mut query) = (Vec::new(), vec![("limit", PAGE.to_string())]);
        loop {
            let Value::Array(page) = self.get(path, &query).await?.json()? else { break };
            let last = page.last().filter(|_| page.len() == PAGE);
            query.truncate(1);
            query.extend(
                last.into_iter()
                    .flat_map(|last| [("before", last["revision"].to_string()), ("after", name(last))]),
            );
            all.extend(page);
            if query.len() == 1 {
                break;
            }
        }
        Ok(all.into())
    }

    /// Sends a request; the parts of the path are encoded.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<String>,
    ) -> Result<Answer, Failure> {
        let response = self.request(method, path, query, body, Some(ANSWER)).await?;
        let revision = response.headers().get("revision");
        let revision = revision.and_then(|number| number.to_str().ok()?.parse().ok());
        let status = response.status();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        match status {
            StatusCode::ACCEPTED => {
                Err(Failure::TimedOut(format!("it is stored, but not applied in time; it goes on: {text}")))
            }
            status if status.is_success() => Ok(Answer { revision, text }),
            status => Err(Failure::Refused(reason(status, &text))),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<String>,
        limit: Option<Duration>,
    ) -> Result<reqwest::Response, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Prints what comes, a JSON object a line, until it ends.
    pub(super) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        printer: &Printer,
    ) -> Result<Outcome, Failure> {
        let mut response = self.request(Method::GET, path, query, None, None).await?;
        let status = response.status();
        let events = response.headers().get(http::header::CONTENT_TYPE);
        let events = events.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !status.is_success() || !events {
            let text = response.text().await.map_err(|error| self.unreachable(&error))?;
            if !status.is_success() {
                return Err(Failure::Refused(reason(status, &text)));
            }
            let all = Answer { revision: None, text }.json()?;
            return all
                .as_array()
                .into_iter()
                .flatten()
                .try_fold(Outcome::Done, |_, one| printer.line(&one.to_string()));
        }
        let mut rest = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(data) = line.strip_prefix("data:") {
                    printer.line(data.trim())?;
                } else if let Some(remark) =
                    line.strip_prefix(':').map(str::trim).filter(|text| !text.is_empty())
                {
                    eprintln!("{remark}");
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // What is said of the request itself would repeat the URL, and a password in it.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let place = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        let text = format!("{place}:{port}: {cause}");
        if error.is_timeout() { Failure::TimedOut(text) } else { Failure::Unreachable(text) }
    }
}

/// Why a server refused something, in its own words.
fn reason(status: StatusCode, text: &str) -> String {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let lints = json.get("lint_errors").and_then(Value::as_array);
    if let Some(lints) = lints {
        return lints.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    }
    let said = json.get("error").and_then(Value::as_str).unwrap_or(text).trim();
    if said.is_empty() { status.to_string() } else { said.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_servers_words() {
        let table = [
            (r#"{"error":"no such thing"}"#, "no such thing"),
            (r#"{"lint_errors":["(1,1) a","(2,1) b"],"linting_errors":[]}"#, "(1,1) a\n(2,1) b"),
            ("Stream not found\n", "Stream not found"),
            ("", "404 Not Found"),
        ];
        for (text, wanted) in table {
            assert_eq!(reason(StatusCode::NOT_FOUND, text), wanted);
        }
    }
}
