//! The HTTP client that components share: requests made of messages, authenticated, limited, repeated.

pub(crate) mod auth;
mod fields;
mod reply;
mod request;

pub(crate) use fields::{ClientConfig, fields, split};
pub(crate) use reply::{HttpError, annotate};
pub(crate) use request::{Body, PartConfig};

use crate::{
    metadata_filter::Filter,
    tls::{self, Version},
};
use auth::Auth;
use request::Template;
use reqwest::{Response, Url};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    backoff::Backoff,
    build_error::BuildError,
    context::BuildContext,
    log::Log,
    rate_limit::RateLimit,
    slot::Slot,
    trace::{self, Span, Tag},
};

/// How long to wait when a rate limit itself fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends requests made of messages.
pub(crate) struct Client {
    template: Template,
    auth: Auth,
    options: Options,
    /// Made at the first request: an idle stream needs none.
    http: OnceLock<reqwest::Client>,
    extract: Filter,
    rate_limit: Option<(String, Slot<dyn RateLimit>)>,
    timeout: Option<Duration>,
    retry: Retry,
    dump: Option<tracing::Level>,
    hard_stop: CancellationToken,
    log: Log,
}

/// What the connections of a client are like.
struct Options {
    tls: Option<rustls::ClientConfig>,
    follow_redirects: bool,
    proxy: Option<reqwest::Proxy>,
    disable_http2: bool,
}

struct Retry {
    period: Duration,
    longest: Duration,
    count: u64,
    backoff_on: Vec<i64>,
    drop_on: Vec<i64>,
    successful_on: Vec<i64>,
    redirects_succeed: bool,
}

/// What a status means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Again,
    AgainLater,
    Bad,
}

impl Retry {
    fn verdict(&self, status: u16) -> Verdict {
        let code = i64::from(status);
        if self.drop_on.contains(&code) {
            Verdict::Bad
        } else if self.backoff_on.contains(&code) {
            Verdict::AgainLater
        } else if self.successful_on.contains(&code)
            || (200..300).contains(&status)
            || (self.redirects_succeed && (300..400).contains(&status))
        {
            Verdict::Good
        } else {
            Verdict::Again
        }
    }
}

/// Of a certain level, as configs call it.
fn level(text: &str) -> Result<Option<tracing::Level>, BuildError> {
    Ok(Some(match text.to_lowercase().as_str() {
        "" => return Ok(None),
        "trace" => tracing::Level::TRACE,
        "debug" => tracing::Level::DEBUG,
        "info" => tracing::Level::INFO,
        "warn" => tracing::Level::WARN,
        "error" | "fatal" => tracing::Level::ERROR,
        _ => {
            return Err(BuildError::new(format!("value {text} is not a valid option for this field"))
                .at("dump_request_log_level"));
        }
    }))
}

impl Options {
    fn client(&self) -> Result<reqwest::Client, String> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => tls::client(&tls::TlsConfig::default()).map_err(|error| error.to_string())?,
        };
        let version = if self.disable_http2 { Version::Only1 } else { Version::Any };
        let mut builder = tls::http_builder(tls, version);
        if !self.follow_redirects {
            builder = builder.redirect(reqwest::redirect::Policy::none());
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder.build().map_err(|error| error.to_string())
    }

    /// Whether nothing of it was chosen, so that all such clients may share their connections.
    fn are_plain(&self) -> bool {
        self.tls.is_none() && self.follow_redirects && self.proxy.is_none() && !self.disable_http2
    }
}

impl Client {
    /// A client whose requests have the messages, or what is said, as their body.
    pub(crate) fn new(
        config: ClientConfig,
        body: Body,
        context: &mut dyn BuildContext,
    ) -> Result<Self, BuildError> {
        let rate_limit = match config.rate_limit.filter(|label| !label.is_empty()) {
            Some(label) => {
                let slot = context.rate_limit(&label)?;
                Some((label, slot))
            }
            None => None,
        };
        let proxy = match config.proxy_url.as_deref() {
            None | Some("") => None,
            Some(url) => Some(reqwest::Proxy::all(url).map_err(|error| {
                BuildError::new(format!("failed to parse proxy_url string: {error}")).at("proxy_url")
            })?),
        };
        let tls = config.tls.enabled.then(|| tls::client(&config.tls)).transpose();
        let retry = Retry {
            period: config.retry_period.0,
            longest: config.max_retry_backoff.0,
            count: u64::try_from(config.retries).unwrap_or(0),
            backoff_on: config.backoff_on,
            drop_on: config.drop_on,
            successful_on: config.successful_on,
            redirects_succeed: !config.follow_redirects,
        };
        Ok(Self {
            template: Template::new(
                config.url,
                &config.verb,
                config.headers,
                Filter::new(config.metadata).map_err(|error| error.at("metadata"))?,
                body,
            )?,
            auth: Auth::new(config.basic_auth, config.jwt, config.oauth, config.oauth2)?,
            options: Options {
                tls: tls.map_err(|error| error.at("tls"))?,
                follow_redirects: config.follow_redirects,
                proxy,
                disable_http2: config.disable_http2,
            },
            http: OnceLock::new(),
            extract: Filter::new(config.extract_headers).map_err(|error| error.at("extract_headers"))?,
            rate_limit,
            timeout: Some(config.timeout.0).filter(|timeout| !timeout.is_zero()),
            retry,
            dump: level(&config.dump_request_log_level)?,
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        })
    }

    /// Answers may take as long as they like.
    pub(crate) fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Which headers of answers become metadata.
    pub(crate) fn extract(&self) -> &Filter {
        &self.extract
    }

    /// Where its log lines go.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        static PLAIN: OnceLock<reqwest::Client> = OnceLock::new();
        let place = if self.options.are_plain() { &PLAIN } else { &self.http };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let made = self.options.client()?;
        Ok(place.get_or_init(|| made))
    }

    /// Sends the batch in one request and reads the messages of the answer.
    pub(crate) async fn send(&self, batch: &[Message]) -> Result<Vec<Message>, HttpError> {
        let reply = async {
            let response = self.attempts(batch).await?;
            reply::messages(response, &self.extract).await
        };
        self.until_stopped(reply).await
    }

    /// Sends the batch in one request; the answer's body is still to come.
    pub(crate) async fn open(&self, batch: &[Message]) -> Result<Response, HttpError> {
        self.until_stopped(self.attempts(batch)).await
    }

    async fn until_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, HttpError>>,
    ) -> Result<T, HttpError> {
        tokio::select! {
            done = work => done,
            () = self.hard_stop.cancelled() => Err(weir_core::error::Error::Closed.to_string().into()),
        }
    }

    async fn attempts(&self, batch: &[Message]) -> Result<Response, HttpError> {
        let spans = trace::parts(batch, "http_request");
        let sent = self.until_good(batch, &spans).await;
        if let Err(error) = &sent {
            spans.iter().for_each(|span| span.fail(error.text.as_str()));
        }
        sent
    }

    async fn until_good(&self, batch: &[Message], spans: &[Span]) -> Result<Response, HttpError> {
        let mut backoff = Backoff::new(self.retry.period, self.retry.longest, 2.0, 0.0);
        let mut left = self.retry.count;
        loop {
            self.pass().await;
            let (shown, sent) = self.attempt(batch, spans).await?;
            let (verdict, mut error) = match sent {
                Ok(response) => match self.retry.verdict(response.status().as_u16()) {
                    Verdict::Good => return Ok(response),
                    verdict => (verdict, reply::unexpected(response).await),
                },
                Err(error) => (Verdict::Again, error),
            };
            if verdict == Verdict::Bad || left == 0 {
                error.text = format!("{shown}: {error}");
                return Err(error);
            }
            left -= 1;
            tokio::time::sleep(match verdict {
                Verdict::AgainLater => backoff.wait().max(error.asked_to_wait().min(self.retry.longest)),
                _ => self.retry.period,
            })
            .await;
        }
    }

    /// One request. The outer error is one that no repetition would mend.
    async fn attempt(
        &self,
        batch: &[Message],
        spans: &[Span],
    ) -> Result<(String, Result<Response, HttpError>), HttpError> {
        let made = self.template.make(batch)?;
        let (verb, shown) = (made.method.as_str().to_owned(), made.shown);
        let url = match Url::parse(&made.url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            parsed => {
                let reason = match parsed {
                    Ok(url) => format!("unsupported protocol scheme {:?}", url.scheme()),
                    Err(_) if !made.url.contains("://") => "unsupported protocol scheme \"\"".into(),
                    Err(error) => error.to_string(),
                };
                let text = format!("{} \"{shown}\": {reason}", reply::capitalised(&verb));
                return Ok((shown, Err(text.into())));
            }
        };
        let http = self.http()?;
        let deadline = self.timeout.unwrap_or(Duration::from_mins(1));
        let mut request = http.request(made.method, url.clone()).headers(made.headers);
        match self.auth.value(http, &verb, &url, deadline).await {
            Ok(Some(value)) => request = request.header(http::header::AUTHORIZATION, value),
            Ok(None) => {}
            Err(reason) => {
                let text = format!("{} \"{shown}\": {reason}", reply::capitalised(&verb));
                return Ok((shown, Err(text.into())));
            }
        }
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        let length = made.body.as_ref().map_or(0, bytes::Bytes::len);
        if let Some(body) = made.body {
            request = request.body(body);
        }
        let sent = request.send().await;
        for span in spans {
            span.tag("http.request.method", Tag::Text(verb.clone()));
            span.tag("url.full", Tag::Text(shown.clone()));
            span.tag("server.address", Tag::Text(url.host_str().unwrap_or_default().to_owned()));
            if let Ok(response) = &sent {
                span.tag("http.response.status_code", Tag::Int(response.status().as_u16().into()));
            }
        }
        if let Some(level) = self.dump {
            let said = match &sent {
                Ok(response) => format!("{} {:?}", response.status(), response.headers()),
                Err(error) => error.to_string(),
            };
            self.log.at(level, format_args!("{verb} {shown} with {length} bytes: {said}"));
        }
        let sent = sent.map_err(|error| reply::unanswered(&verb, &url, &shown, &error));
        Ok((shown, sent))
    }

    /// Waits until the rate limit lets a request pass.
    async fn pass(&self) {
        let Some((label, slot)) = &self.rate_limit else { return };
        loop {
            let asked = match slot.get() {
                Some(limit) => limit.access().await,
                None => Err(weir_core::error::Error::Failed(format!(
                    "rate limit resource '{label}' was not found"
                ))),
            };
            let wait = match asked {
                Ok(None) => return,
                Ok(Some(wait)) => wait,
                Err(error) => {
                    self.log.error(format_args!("Rate limit error: {error}"));
                    PAUSE
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// The messages with the contents and metadata of an answer; those beyond are like the first.
pub(crate) fn merged(asked: &[Message], answered: Vec<Message>) -> Vec<Message> {
    let merge = |(index, answer): (usize, Message)| {
        let mut message = asked.get(index).or(asked.first()).cloned().unwrap_or_default();
        message.set_content(answer.content().clone());
        for (key, value) in answer.metadata().iter() {
            message.metadata_mut().set(key.clone(), value.clone());
        }
        message
    };
    answered.into_iter().enumerate().map(merge).collect()
}

/// A client that several tasks use.
pub(crate) type Shared = Arc<Client>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged_in_the_order_of_the_lists() {
        use Verdict::{Again, AgainLater, Bad, Good};
        let retry = Retry {
            period: PAUSE,
            longest: PAUSE,
            count: 1,
            backoff_on: vec![429, 404],
            drop_on: vec![404],
            successful_on: vec![429, 418],
            redirects_succeed: false,
        };
        let verdicts = [204, 418, 429, 404, 302, 500].map(|status| retry.verdict(status));
        assert_eq!(verdicts, [Good, Good, AgainLater, Bad, Again, Again]);
    }
}
