//! A bound address and its connections, within limits.

use super::{Site, shell};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_util::sync::CancellationToken;

/// What one listener bears.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// How long a head may take, and how long a connection may be idle before it.
    pub header_wait: Duration,
    /// Bytes of a body; a larger one is answered with 413.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being read or answered at once.
    pub all_body_bytes: usize,
    /// How long a client may give or take no byte of a body.
    pub stall: Duration,
    /// How long a whole body may take.
    pub body_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 128 << 10,
            header_wait: Duration::from_mins(1),
            body_bytes: 64 << 20,
            all_body_bytes: 512 << 20,
            stall: Duration::from_secs(30),
            body_wait: Duration::from_mins(10),
        }
    }
}

/// How long a peer may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why an address cannot be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    address: String,
    reason: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = match self.reason.kind() {
            io::ErrorKind::AddrInUse => {
                "; another process listens there: stop it, or choose another http.address"
            }
            io::ErrorKind::PermissionDenied => "; choose a port above 1023, or run with the right to bind it",
            io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        write!(f, "cannot listen on {}: {}{hint}", self.address, self.reason)
    }
}

impl std::error::Error for BindError {}

/// Binds `host:port`; `:port` is every address of the machine, port 0 any free port.
pub(crate) fn bind(address: &str, reuse_port: bool) -> Result<TcpListener, BindError> {
    let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    weir_io::net::listen(&full, reuse_port)
        .map_err(|reason| BindError { address: address.to_owned(), reason })
}

/// A listener at work. Dropped, it stops at once.
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to accept on `runtime`.
    pub(crate) fn start(
        socket: TcpListener,
        site: Arc<dyn Site>,
        limits: Limits,
        tls: Option<Arc<ServerConfig>>,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(socket)?;
        let stop = CancellationToken::new();
        let accepting =
            runtime.spawn(accept(listener, site, limits, tls.map(TlsAcceptor::from), stop.clone()));
        Ok(Self { address, stop, accepting: Some(accepting) })
    }

    /// The real address, with the port that was found for 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, lets what is being answered end, for at most `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        if let Some(mut accepting) = self.accepting.take()
            && tokio::time::timeout(grace, &mut accepting).await.is_err()
        {
            accepting.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    site: Arc<dyn Site>,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let bodies = shell::Bodies::new(limits);
    let mut tasks = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            next = next => next,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("Failed to accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("Failed to disable delays of {peer}: {error}");
        }
        let stream = Patient { stream, stall: limits.stall, waiting: None };
        let (site, bodies, stop, tls) = (Arc::clone(&site), bodies.clone(), stop.clone(), tls.clone());
        tasks.spawn(async move {
            match tls {
                None => shell::serve(stream, peer, site, bodies, limits, stop).await,
                Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => shell::serve(stream, peer, site, bodies, limits, stop).await,
                    Ok(Err(error)) => tracing::debug!("TLS handshake with {peer} failed: {error}"),
                    Err(_) => tracing::debug!("TLS handshake with {peer} took too long"),
                },
            }
            drop(permit);
        });
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// A connection whose peer may not refuse our bytes for long.
struct Patient {
    stream: TcpStream,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn bounded<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, shut)
    }
}
