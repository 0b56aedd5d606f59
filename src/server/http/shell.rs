//! The shell around every request: hyper speaks the protocol, a catch-all warp filter takes the request apart.

use super::{Limits, Site};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use warp::{Filter, filters::path::FullPath};
use weir_core::http::{Body, Caller, Request, Response, Takeover};

/// Bytes that one permit of [`Bodies`] stands for.
const UNIT: usize = 64 << 10;

/// How many bytes of bodies are held at once, over all connections of a listener.
#[derive(Clone)]
pub(super) struct Bodies(Arc<Semaphore>);

impl Bodies {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Semaphore::new(limits.all_body_bytes / UNIT)))
    }
}

/// The peer, as an extension of a request.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

/// A body that comes in pieces, carried through warp as an extension of the answer.
#[derive(Clone)]
struct Pieces(Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>);

/// Who takes over the connection after the answer, carried in the same way.
#[derive(Clone)]
struct Handover(Arc<Mutex<Option<Takeover>>>);

/// What goes on on a connection that was taken over.
type Talk = Pin<Box<dyn Future<Output = ()> + Send>>;

type Out = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Serves one connection to its end.
pub(super) async fn serve<I>(
    io: I,
    peer: SocketAddr,
    site: Arc<dyn Site>,
    bodies: Bodies,
    limits: Limits,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let filter = warp::any()
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .then(move |method, path, query, headers, peer: Option<Peer>, body| {
            let (site, bodies) = (Arc::clone(&site), bodies.clone());
            async move { answer(&*site, &bodies, limits, (method, path, query, headers), peer, body).await }
        });
    let warp = TowerToHyperService::new(warp::service(filter));
    let talk: Arc<Mutex<Option<Talk>>> = Arc::default();
    let begun = Arc::clone(&talk);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let upgraded = hyper::upgrade::on(&mut request);
        let answered = warp.call(request);
        let begun = Arc::clone(&begun);
        async move {
            let Ok(mut response) = answered.await;
            if let Some(Handover(takeover)) = response.extensions_mut().remove()
                && let Some(takeover) = take(&takeover)
            {
                let talk: Talk = Box::pin(async move {
                    match upgraded.await {
                        Ok(connection) => takeover(Box::new(TokioIo::new(connection))).await,
                        Err(error) => tracing::debug!("Connection of {peer} was not handed over: {error}"),
                    }
                });
                begun.lock().unwrap_or_else(PoisonError::into_inner).replace(talk);
            }
            Ok::<_, Infallible>(with_pieces(response))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait)
        .max_buf_size(limits.header_bytes)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header_wait)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(100);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("Connection of {peer} ended: {error}");
    }
    // It counts as one of the listener's connections for as long as it is used.
    if let Some(talk) = take(&talk) {
        tokio::select! {
            () = talk => {}
            () = stop.cancelled() => {}
        }
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

type Head = (Method, FullPath, String, HeaderMap);

async fn answer<S, B>(
    site: &dyn Site,
    bodies: &Bodies,
    limits: Limits,
    (method, path, query, headers): Head,
    peer: Option<Peer>,
    body: S,
) -> http::Response<Bytes>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return refuse(site.refusal(path.as_str(), StatusCode::PAYLOAD_TOO_LARGE, &too_large(limits)));
    }
    let (body, _held) = match collect(body, announced, bodies, limits).await {
        Ok(collected) => collected,
        Err((status, text)) => return refuse(site.refusal(path.as_str(), status, &text)),
    };
    let remote = peer.map(|Peer(address)| address.ip().to_string());
    let path = path.as_str().to_owned();
    let (variables, caller) = (Vec::new(), Caller::default());
    let request = Request { method, path, variables, query, headers, remote, caller, body };
    to_http(site.answer(request).await)
}

fn too_large(limits: Limits) -> String {
    format!("request body is larger than {} MiB: send less at once", limits.body_bytes >> 20)
}

/// Refuses a request whose body was not read: the connection cannot be used again.
fn refuse(mut response: Response) -> http::Response<Bytes> {
    response.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    to_http(response)
}

/// Reads a body whole; what is given back with it holds its share of all bodies.
async fn collect<S, B>(
    body: S,
    announced: Option<usize>,
    bodies: &Bodies,
    limits: Limits,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), (StatusCode, String)>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    tokio::pin!(body);
    let slow = || (StatusCode::REQUEST_TIMEOUT, "request body came too slowly".to_owned());
    let deadline = tokio::time::Instant::now() + limits.body_wait;
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    loop {
        let next = timeout_at(deadline, timeout(limits.stall, body.next())).await;
        let Ok(Ok(next)) = next else { return Err(slow()) };
        let Some(next) = next else { break };
        let mut chunk =
            next.map_err(|error| (StatusCode::BAD_REQUEST, format!("request body is cut: {error}")))?;
        length += chunk.remaining();
        if length > limits.body_bytes {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, too_large(limits)));
        }
        // Small bodies are bounded by the number of connections.
        let units = length / UNIT;
        let missing = units.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if missing > 0 {
            let more = Arc::clone(&bodies.0).acquire_many_owned(u32::try_from(missing).unwrap_or(u32::MAX));
            let more = timeout(limits.stall, more).await;
            let busy =
                || (StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once: try again".to_owned());
            let more = more.ok().and_then(Result::ok).ok_or_else(busy)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
        let bytes = chunk.copy_to_bytes(chunk.remaining());
        if first.is_none() && rest.is_empty() && announced.is_none_or(|announced| announced <= bytes.len()) {
            first = Some(bytes);
            continue;
        }
        if let Some(first) = first.take() {
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&bytes);
    }
    Ok((first.unwrap_or_else(|| rest.freeze()), held))
}

fn to_http(response: Response) -> http::Response<Bytes> {
    let mut out = http::Response::new(Bytes::new());
    *out.status_mut() = response.status;
    *out.headers_mut() = response.headers;
    match response.body {
        Body::Whole(bytes) => *out.body_mut() = bytes,
        Body::Stream(receiver) => {
            out.extensions_mut().insert(Pieces(Arc::new(Mutex::new(Some(receiver)))));
        }
        Body::Takeover(takeover) => {
            out.extensions_mut().insert(Handover(Arc::new(Mutex::new(Some(takeover)))));
        }
    }
    out
}

/// Puts a body that comes in pieces where warp's own was.
fn with_pieces<B>(mut response: http::Response<B>) -> http::Response<Out>
where
    B: hyper::body::Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let pieces = response.extensions_mut().remove::<Pieces>();
    let receiver = pieces.and_then(|Pieces(pieces)| take(&pieces));
    match receiver {
        None => response.map(|body| body.map_err(Into::into).boxed()),
        Some(receiver) => response.map(|_| {
            let pieces = stream::unfold(receiver, |mut receiver| async move {
                let piece = receiver.recv().await?;
                Some((Ok(Frame::data(piece)), receiver))
            });
            BodyExt::boxed(StreamBody::new(pieces))
        }),
    }
}
