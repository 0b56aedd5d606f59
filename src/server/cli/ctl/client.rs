//! Requests to a server, and what may come of them.

use super::{Outcome, print::Printer};
use clap::Args;
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use weir_config::Node;
use weir_core::yaml;

/// Where a server of this machine listens unless it is told otherwise.
const NEAR: &str = "127.0.0.1:4195";
/// How long an answer may take: longer than a write waits for its streams.
const ANSWER: Duration = Duration::from_mins(2);
/// For how long a server that was followed may be away.
const AWAY: Duration = Duration::from_secs(30);
/// How long to wait before it is asked again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Longer than a server that is followed ever keeps silent.
const SILENCE: Duration = Duration::from_mins(1);

/// Entries of a list that are asked for at once.
const PAGE: usize = 1000;

/// Why something was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused it, or it makes no sense.
    Refused(String),
    /// There is no server, or none that answers.
    Unreachable(String),
    /// There was no answer, or not what was waited for, in time.
    TimedOut(String),
    /// It is stored as this revision and goes on, but was not applied in time.
    Underway(String, Option<u64>),
}

/// What a server answered.
pub(super) struct Answer {
    /// The revision after a write.
    pub(super) revision: Option<u64>,
    text: String,
}

impl Answer {
    /// As if the server had been asked for what is there already.
    pub(super) fn unchanged(revision: Option<u64>) -> Self {
        let text = json!({ "changes": [], "unchanged": 1 }).to_string();
        Self { revision, text }
    }

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

/// Where a server is, and what it asks for; what is not given comes from the environment.
#[derive(Debug, Default, Args)]
pub(super) struct Reach {
    /// The server [default: `$WEIR_SERVER`, or `127.0.0.1:4195`].
    #[arg(long, global = true, value_name = "URL")]
    pub(super) server: Option<String>,
    /// A token for the server [default: `$WEIR_TOKEN`, which other users of the machine do not see].
    #[arg(long, global = true)]
    pub(super) token: Option<String>,
    /// Certificates in PEM to believe instead of the system's [default: `$WEIR_CA_FILE`].
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca_file: Option<String>,
    /// A certificate in PEM to show to the server [default: `$WEIR_CERT_FILE`].
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) cert_file: Option<String>,
    /// Its key in PEM [default: `$WEIR_KEY_FILE`].
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) key_file: Option<String>,
}

/// How far a server was followed.
struct Place {
    /// The longest that it may keep silent.
    silence: Duration,
    /// The last event that came.
    last: Option<String>,
    /// Whether the server has answered.
    answered: bool,
}

/// One server.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client of a server by its URL, for which a host and port will do.
    pub(super) fn of(reach: Reach) -> Result<Self, String> {
        let Reach { server, token, ca_file, cert_file, key_file } = reach;
        let or_variable = |given: Option<String>, name: &str| given.or_else(|| std::env::var(name).ok());
        let token = or_variable(token, "WEIR_TOKEN");
        let ca = or_variable(ca_file, "WEIR_CA_FILE");
        let shown = match (or_variable(cert_file, "WEIR_CERT_FILE"), or_variable(key_file, "WEIR_KEY_FILE")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("--cert-file and --key-file go together".into()),
        };
        let server = or_variable(server, "WEIR_SERVER").unwrap_or_else(|| NEAR.into());
        let scheme = if ca.is_some() || shown.is_some() { "https" } else { "http" };
        let full = if server.contains("://") { server.clone() } else { format!("{scheme}://{server}") };
        let base = Url::parse(&full).ok().filter(|url| !url.cannot_be_a_base());
        let base = base.ok_or_else(|| format!("'{server}' is no server such as {NEAR}"))?;
        let tls = tls(ca, shown).map_err(|error| error.to_string())?;
        let http = weir_io::tls::http_client(&tls);
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
        let mut request = self.request(method, path, query).timeout(ANSWER);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let revision = response.headers().get("revision");
        let revision = revision.and_then(|number| number.to_str().ok()?.parse().ok());
        let status = response.status();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        match status {
            StatusCode::ACCEPTED => {
                let text = format!("it is stored, but not applied in time; it goes on: {text}");
                Err(Failure::Underway(text, revision))
            }
            status if status.is_success() => Ok(Answer { revision, text }),
            status => Err(Failure::Refused(reason(status, &text))),
        }
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Prints what comes, a JSON object a line, until it ends.
    pub(super) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        printer: &Printer,
    ) -> Result<Outcome, Failure> {
        let mut place = Place { silence: Duration::MAX, last: None, answered: false };
        self.listen(path, query, printer, &mut place).await
    }

    /// The same for ever: where it breaks off, it goes on behind the last event that came.
    pub(super) async fn follow(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        printer: &Printer,
    ) -> Result<Outcome, Failure> {
        let mut place = Place { silence: SILENCE, last: None, answered: false };
        let (mut lost, mut pause) = (None, AGAIN.0);
        loop {
            let failure = match self.listen(path, query, printer, &mut place).await {
                Ok(_) => Failure::Unreachable(format!("{}: the server has hung up", self.name())),
                Err(Failure::Refused(text)) => return Err(Failure::Refused(text)),
                Err(failure) => failure,
            };
            if std::mem::take(&mut place.answered) {
                (lost, pause) = (Some(Instant::now()), AGAIN.0);
            }
            // One that never was there is not waited for.
            if lost.is_none_or(|lost| lost.elapsed() > AWAY) {
                return Err(failure);
            }
            sleep(pause).await;
            pause = AGAIN.1.min(pause * 2);
        }
    }

    async fn listen(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        printer: &Printer,
        place: &mut Place,
    ) -> Result<Outcome, Failure> {
        let mut request = self.request(Method::GET, path, query);
        if let Some(last) = &place.last {
            request = request.header("last-event-id", last);
        }
        let silent = |_| Failure::TimedOut(format!("{}: the server keeps silent", self.name()));
        let response = timeout(place.silence, request.send()).await.map_err(silent)?;
        let mut response = response.map_err(|error| self.unreachable(&error))?;
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
        place.answered = true;
        let mut rest = Vec::new();
        while let Some(chunk) = timeout(place.silence, response.chunk())
            .await
            .map_err(silent)?
            .map_err(|error| self.unreachable(&error))?
        {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                match String::from_utf8_lossy(&line).trim_end().split_once(':') {
                    Some(("data", data)) => drop(printer.line(data.trim())?),
                    Some(("id", id)) => place.last = Some(id.trim().to_owned()),
                    Some(("", remark)) => eprintln!("{}", remark.trim()),
                    _ => {}
                }
            }
        }
        Ok(Outcome::Done)
    }

    /// The server in a word.
    fn name(&self) -> String {
        let port = self.base.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.base.host_str().unwrap_or_default())
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // What is said of the request itself would repeat the URL, and a password in it.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let text = format!("{}: {cause}", self.name());
        if error.is_timeout() { Failure::TimedOut(text) } else { Failure::Unreachable(text) }
    }
}

/// The TLS of a client; null for the system's.
fn tls(ca: Option<String>, shown: Option<(String, String)>) -> Result<Node, yaml::YamlError> {
    if ca.is_none() && shown.is_none() {
        return Ok(Node::null());
    }
    let shown = shown.map(|(certificate, key)| {
        json!({ "cert": "", "key": "", "cert_file": certificate, "key_file": key, "password": "" })
    });
    let shown: Vec<Value> = shown.into_iter().collect();
    let settings = json!({ "enabled": true, "skip_cert_verify": false, "enable_renegotiation": false,
        "root_cas": "", "root_cas_file": ca.unwrap_or_default(), "client_certs": shown });
    yaml::parse(&settings.to_string())
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
