//! Websockets, as the clients and servers of this crate use them.

use crate::{
    http_client::auth::{Auth, BasicConfig, JwtConfig, OAuthConfig, basic_value},
    net::{Duplex, PATIENCE, dial_error, secured},
    tls::{self, TlsConfig},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Url;
use rustls::ClientConfig;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error as WsError, Message as Ws, Utf8Bytes, client::IntoClientRequest, handshake::derive_accept_key,
        protocol::Role,
    },
};
use weir_core::{
    build_error::BuildError,
    error::Error,
    http::{Body, Request, Response},
    node::Node,
};

/// A peer that was not heard of for so long is asked whether it is there, and given up after as long again.
const QUIET: Duration = Duration::from_secs(30);
/// How long a peer may refuse our bytes.
const STALL: Duration = Duration::from_secs(30);
/// How long a peer may take to say goodbye.
const FAREWELL: Duration = Duration::from_millis(500);
/// A proxy's answer is no longer than this.
const MAX_HEAD: usize = 16 << 10;

/// One end of a websocket.
pub(crate) struct Socket {
    stream: WebSocketStream<Box<dyn Duplex>>,
    heard: Instant,
    asked: bool,
}

fn failed(error: &WsError) -> Error {
    match error {
        WsError::Io(error) => Error::Failed(error.to_string()),
        WsError::Http(_) => Error::failed("websocket: bad handshake"),
        error => Error::Failed(format!("websocket: {error}")),
    }
}

impl Socket {
    fn new(stream: WebSocketStream<Box<dyn Duplex>>) -> Self {
        Self { stream, heard: Instant::now(), asked: false }
    }

    /// The content of the next message; none when the peer has closed. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match timeout_at(self.heard + QUIET, self.stream.next()).await {
                Err(_) if self.asked => return Err(Error::failed("websocket: the peer does not answer")),
                Err(_) => {
                    (self.heard, self.asked) = (Instant::now(), true);
                    self.send(Ws::Ping(Bytes::new())).await?;
                }
                Ok(None | Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed))) => return Ok(None),
                Ok(Some(Err(error))) => return Err(failed(&error)),
                Ok(Some(Ok(message))) => {
                    (self.heard, self.asked) = (Instant::now(), false);
                    match message {
                        Ws::Text(text) => return Ok(Some(text.into())),
                        Ws::Binary(bytes) => return Ok(Some(bytes)),
                        Ws::Close(_) => return Ok(None),
                        Ws::Ping(_) | Ws::Pong(_) | Ws::Frame(_) => {}
                    }
                }
            }
        }
    }

    async fn send(&mut self, message: Ws) -> Result<(), Error> {
        match timeout(STALL, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|error| failed(&error)),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Sends a message as bytes.
    pub(crate) async fn send_bytes(&mut self, content: Bytes) -> Result<(), Error> {
        self.send(Ws::Binary(content)).await
    }

    /// Sends a message as text, if it is some.
    pub(crate) async fn send_text(&mut self, content: Bytes) -> Result<(), Error> {
        let message = match Utf8Bytes::try_from(content.clone()) {
            Ok(text) => Ws::Text(text),
            Err(_) => Ws::Binary(content),
        };
        self.send(message).await
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        let goodbye = async {
            drop(self.stream.close(None).await);
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        drop(timeout(FAREWELL, goodbye).await);
    }
}

/// Where a client connects to, and how.
pub(crate) struct Target {
    url: Url,
    proxy: Option<Url>,
    tls: Option<Arc<ClientConfig>>,
    auth: Auth,
}

/// What clients are configured with.
#[derive(Deserialize)]
struct TargetConfig {
    url: String,
    proxy_url: Option<String>,
    #[serde(default)]
    tls: TlsConfig,
    oauth: Option<OAuthConfig>,
    basic_auth: Option<BasicConfig>,
    jwt: Option<JwtConfig>,
}

fn parse(url: &str, field: &str) -> Result<Url, BuildError> {
    let parsed = Url::parse(url).map_err(|error| error.to_string());
    let whole =
        parsed.and_then(|url| if url.has_host() { Ok(url) } else { Err("it has no host".to_owned()) });
    whole.map_err(|error| BuildError::new(format!("failed to parse url: {error}")).at(field))
}

impl Target {
    /// The target of a client's config.
    pub(crate) fn new(config: &Node) -> Result<Self, BuildError> {
        let config: TargetConfig = config.read()?;
        let url = parse(&config.url, "url")?;
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            other => {
                let text = format!("scheme {other} is no websocket's: use ws or wss");
                return Err(BuildError::new(text).at("url"));
            }
        };
        let proxy = config.proxy_url.filter(|url| !url.is_empty());
        Ok(Self {
            url,
            proxy: proxy.map(|proxy| parse(&proxy, "proxy_url")).transpose()?,
            tls: secure.then(|| tls::client(&config.tls).map(Arc::new)).transpose()?,
            auth: Auth::new(config.basic_auth, config.jwt, config.oauth, None)?,
        })
    }

    /// Connects, within a deadline.
    pub(crate) async fn connect(&self) -> Result<Socket, Error> {
        timeout(PATIENCE, self.dial()).await.unwrap_or(Err(Error::Timeout))
    }

    async fn dial(&self) -> Result<Socket, Error> {
        let nearest = self.proxy.as_ref().unwrap_or(&self.url);
        let address = authority(nearest);
        let mut stream =
            TcpStream::connect(&address).await.map_err(|error| dial_error("tcp", &address, error))?;
        stream.set_nodelay(true)?;
        if let Some(proxy) = &self.proxy {
            tunnel(&mut stream, proxy, &authority(&self.url)).await?;
        }
        let stream: Box<dyn Duplex> = match &self.tls {
            Some(tls) => Box::new(secured(stream, self.url.host_str().unwrap_or_default(), tls).await?),
            None => Box::new(stream),
        };
        let mut request = self.url.as_str().into_client_request().map_err(|error| failed(&error))?;
        if let Some(value) = self.auth.own_value("GET", &self.url) {
            let value = HeaderValue::from_str(&value).map_err(|error| Error::Failed(error.to_string()))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let (stream, _) = client_async(request, stream).await.map_err(|error| failed(&error))?;
        Ok(Socket::new(stream))
    }
}

/// Host and port of a URL.
fn authority(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or(80);
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// Asks an HTTP proxy to connect to an address.
async fn tunnel(stream: &mut TcpStream, proxy: &Url, address: &str) -> Result<(), Error> {
    let who = if proxy.username().is_empty() {
        String::new()
    } else {
        let value = basic_value(proxy.username(), proxy.password().unwrap_or_default());
        format!("Proxy-Authorization: {value}\r\n")
    };
    let head = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{who}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAX_HEAD {
            return Err(Error::failed("the proxy's answer does not end"));
        }
        answer.push(stream.read_u8().await?);
    }
    let line =
        String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    match line.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(Error::Failed(format!("the proxy refuses: {line}"))),
    }
}

/// Whether one of the words of a header is `word`.
fn says(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
}

/// Whether a page of another origin asks, which a browser lets it.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    origin.is_some_and(|origin| !text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(origin)))
}

/// Answers a request for a websocket, which `talk` then has; the answer to any other is a refusal.
pub(crate) fn accept<F>(request: &Request, talk: impl FnOnce(Socket) -> F + Send + 'static) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let headers = &request.headers;
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let (true, true, true, Some(key)) = (
        request.method == http::Method::GET,
        says(headers, header::CONNECTION, "upgrade") && says(headers, header::UPGRADE, "websocket"),
        says(headers, header::SEC_WEBSOCKET_VERSION, "13"),
        key,
    ) else {
        return Response::error(StatusCode::BAD_REQUEST, "Bad request");
    };
    if is_foreign(headers) {
        return Response::error(StatusCode::FORBIDDEN, "Forbidden");
    }
    let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS, "");
    response.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accepted) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        response.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    }
    response.body = Body::Takeover(Box::new(move |connection| {
        Box::pin(async move {
            talk(Socket::new(WebSocketStream::from_raw_socket(connection, Role::Server, None).await)).await;
        })
    }));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn request(change: &[(&'static str, &'static str)]) -> Request {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("host", "here:80"),
        ]
        .iter()
        .chain(change)
        {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        Request {
            method: Method::GET,
            path: "/ws".into(),
            variables: Vec::new(),
            query: String::new(),
            headers,
            remote: None,
            caller: weir_core::http::Caller::default(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn only_websockets_of_our_own_pages_are_accepted() {
        for (change, status) in [
            (&[][..], 101),
            (&[("origin", "http://here:80")], 101),
            (&[("origin", "http://there")], 403),
            (&[("upgrade", "h2c")], 400),
            (&[("sec-websocket-version", "8")], 400),
            (&[("sec-websocket-key", "short")], 400),
        ] {
            let answer = accept(&request(change), Socket::close);
            assert_eq!(answer.status.as_u16(), status, "{change:?}");
        }
        let answer = accept(&request(&[]), Socket::close);
        // The example of RFC 6455.
        assert_eq!(answer.headers[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    async fn pair() -> (Socket, Socket) {
        let (one, other) = tokio::io::duplex(1 << 16);
        let socket = |io, role| async move {
            let io: Box<dyn Duplex> = Box::new(io);
            Socket::new(WebSocketStream::from_raw_socket(io, role, None).await)
        };
        (socket(one, Role::Server).await, socket(other, Role::Client).await)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_answer_is_given_up() {
        let (mut server, client) = pair().await;
        let begun = Instant::now();
        assert!(server.read().await.is_err());
        assert_eq!(begun.elapsed(), 2 * QUIET);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_peer_that_answers_is_kept() {
        let (mut server, mut client) = pair().await;
        let answering = tokio::spawn(async move { client.read().await });
        assert!(timeout(5 * QUIET, server.read()).await.is_err());
        server.send_text(Bytes::from_static(b"hi")).await.unwrap();
        assert_eq!(answering.await.unwrap().unwrap().unwrap(), "hi");
    }
}
