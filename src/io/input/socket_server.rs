//! `socket_server`: listens, and reads what peers send.

use super::socket::PIECE;
use crate::codec_scanner::{self, Batches};
use crate::{
    net::{Duplex, TCP, TcpConfig, listen_at},
    tls::{self, Clients},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::{
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, UdpSocket, UnixDatagram, UnixListener, lookup_host},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use weir_core::{
    build_error::BuildError,
    cache::Cache,
    error::Error,
    field::Field,
    frame::MAX_BATCHES,
    input::{InputComponent, Reader, Reading},
    log::Log,
    node::Node,
    registry::InputSpec,
    scanner::{Scan, Scanner},
    slot::Slot,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "socket_server",
    summary: "Listens on a socket and cuts what peers send into messages by a scanner.",
    description: "Each connection is cut on its own; all datagrams of a socket are cut as one stream. A peer is not \
                  told what became of its messages: what was not delivered when the process ends is lost.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("network", "The kind of socket.").options(&["unix", "tcp", "udp", "tls", "unixgram"]),
        Field::string("address", "Where to listen."),
        Field::string(
            "address_cache",
            "Label of a cache resource that is told the address, under the key `socket_server_address`.",
        )
        .optional(),
        TCP,
        Field::object(
            "tls",
            "Options of TLS.",
            &[
                Field::string("cert_file", "The certificate in PEM.").optional(),
                Field::string("key_file", "Its key in PEM.").optional(),
                Field::bool(
                    "self_signed",
                    "Make a certificate for `localhost` where no files are given, anew at each start: only clients \
                     that believe anybody take it.",
                )
                .default("false"),
                Field::string(
                    "client_auth",
                    "Which certificate a client must show: `no`: none is asked for; `request`: any or none; \
                     `require_any`: any; `require_valid`: one that the system believes; `verify_if_given`: such a one \
                     or none.",
                )
                .default("no")
                .options(&[
                    "no",
                    "request",
                    "require_any",
                    "require_valid",
                    "verify_if_given",
                ]),
            ],
        )
        .optional(),
        Field::bool("auto_replay_nacks", "Send messages again that could not be delivered.").default("true"),
        codec_scanner::CODEC,
        codec_scanner::MAX_BUFFER,
        Field::scanner("scanner", "How to cut what is read into messages.").default("{ lines: {} }"),
    ]),
    examples: &[Example { title: "Lines over TCP", config: "{ network: tcp, address: '127.0.0.1:7000' }" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let (codec, field) = (config.codec.as_deref(), "socket_server.scanner");
        let (scanner, batches) =
            codec_scanner::choose(codec, config.max_buffer, field, &config.scanner, context)?;
        // A cache that is not there keeps the input from listening, not the stream from starting.
        let cache = config
            .address_cache
            .as_deref()
            .map(|label| context.cache(label).map_err(|_| format!("cache resource '{label}' was not found")));
        let acceptor = match (&*config.network, &config.tls) {
            ("tls", tls) => Some(acceptor(tls.as_ref()).map_err(|error| error.at("tls"))?),
            _ => None,
        };
        let log = Arc::new(Log::new(context));
        Ok(InputComponent::Reader(Box::new(SocketServer {
            config,
            scanner,
            batches,
            cache,
            acceptor,
            listening: None,
            log,
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    network: String,
    address: String,
    address_cache: Option<String>,
    tcp: Option<TcpConfig>,
    tls: Option<TlsServerConfig>,
    codec: Option<String>,
    max_buffer: i64,
    scanner: Node,
    auto_replay_nacks: bool,
}

#[derive(Deserialize)]
struct TlsServerConfig {
    cert_file: Option<String>,
    key_file: Option<String>,
    self_signed: bool,
    client_auth: String,
}

/// Connections at the same time; others wait to be accepted.
const CONNECTIONS: usize = 4096;
/// Pieces that are cut and wait to be read; peers beyond wait.
const QUEUE: usize = 16;
/// How long a peer may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause after accepting has failed, for want of open files mostly.
const PAUSE: Duration = Duration::from_millis(200);
/// The largest datagram.
const DATAGRAM: usize = 64 << 10;

fn acceptor(config: Option<&TlsServerConfig>) -> Result<TlsAcceptor, BuildError> {
    let none = || BuildError::new("a certificate is needed: set cert_file and key_file, or self_signed");
    let config = config.ok_or_else(none)?;
    let shown = match (&config.cert_file, &config.key_file) {
        (Some(certificate), Some(key)) => tls::files(certificate, key)?,
        _ if config.self_signed => tls::self_signed()?,
        _ => return Err(none()),
    };
    let clients = match config.client_auth.to_lowercase().as_str() {
        "no" => Clients::Unasked,
        "request" => Clients::Any { required: false },
        "require_any" => Clients::Any { required: true },
        "require_valid" => Clients::Believed { required: true },
        "verify_if_given" => Clients::Believed { required: false },
        other => {
            return Err(
                BuildError::new(format!("there is no way {other:?} to ask clients")).at("client_auth")
            );
        }
    };
    Ok(TlsAcceptor::from(Arc::new(tls::server(shown, clients)?)))
}

struct SocketServer {
    config: Config,
    scanner: Arc<dyn Scanner>,
    batches: Batches,
    cache: Option<Result<Slot<dyn Cache>, String>>,
    acceptor: Option<TlsAcceptor>,
    listening: Option<Listening>,
    log: Arc<Log>,
}

/// While it lives, it listens.
struct Listening {
    readings: mpsc::Receiver<Reading>,
    closed: CancellationToken,
    /// The file of a Unix socket.
    file: Option<PathBuf>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.closed.cancel();
        if let Some(file) = &self.file {
            std::fs::remove_file(file).ok();
        }
    }
}

/// What all connections of a listener share.
#[derive(Clone)]
struct Shared {
    to: mpsc::Sender<Reading>,
    scanner: Arc<dyn Scanner>,
    batches: Batches,
    closed: CancellationToken,
    log: Arc<Log>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
}

impl Socket {
    /// The next connection; never of a socket of datagrams.
    async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Udp(_) | Self::Unixgram(_) => std::future::pending().await,
        })
    }

    /// The next datagram; never of a socket of connections.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer).await,
            Self::Unixgram(socket) => socket.recv(buffer).await,
            Self::Tcp(_) | Self::Unix(_) => std::future::pending().await,
        }
    }
}

/// Whether nobody listens on a Unix socket's file any more.
fn is_left_over(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl SocketServer {
    async fn bind(&self) -> io::Result<(Socket, String, Option<PathBuf>)> {
        let address = &self.config.address;
        let resolved =
            async || lookup_host(address).await?.next().ok_or(io::Error::from(io::ErrorKind::NotFound));
        let file = || Some(PathBuf::from(address));
        Ok(match &*self.config.network {
            "unix" => {
                if is_left_over(Path::new(address)) {
                    std::fs::remove_file(address)?;
                }
                (Socket::Unix(UnixListener::bind(address)?), address.clone(), file())
            }
            "unixgram" => (Socket::Unixgram(UnixDatagram::bind(address)?), address.clone(), file()),
            "udp" => {
                let socket = UdpSocket::bind(resolved().await?).await?;
                let local = socket.local_addr()?.to_string();
                (Socket::Udp(socket), local, None)
            }
            _ => {
                let reuse_port = self.config.tcp.as_ref().is_some_and(|tcp| tcp.reuse_port);
                let listener = TcpListener::from_std(listen_at(resolved().await?, reuse_port)?)?;
                let local = listener.local_addr()?.to_string();
                (Socket::Tcp(listener), local, None)
            }
        })
    }
}

impl Shared {
    /// Gives batches on; false when nobody reads any more.
    async fn give(&self, reading: Reading) -> bool {
        reading.is_empty() || self.to.send(reading).await.is_ok()
    }

    fn open(&self) -> Option<Box<dyn Scan>> {
        self.scanner
            .open("")
            .map_err(|error| self.log.error(format_args!("Failed to create scanner: {error}")))
            .ok()
    }

    /// Reads one connection to its end.
    async fn connection(&self, mut stream: impl Duplex) {
        let Some(mut scan) = self.open() else { return };
        let (mut buffer, mut batches) = (BytesMut::new(), self.batches.clone());
        loop {
            buffer.reserve(PIECE);
            let mut messages = Vec::new();
            let (cut, ended) = match stream.read_buf(&mut buffer).await {
                Ok(0) => (scan.finish(&mut messages), true),
                Ok(_) => (scan.feed(buffer.split().freeze(), &mut messages), false),
                Err(error) => (Err(error.into()), true),
            };
            let mut reading = Reading::default();
            batches.add(messages, &mut reading);
            if ended || cut.is_err() {
                batches.end(&mut reading);
            }
            let given = self.give(reading).await;
            if let Err(error) = &cut {
                self.log.error(format_args!("Connection lost due to error: {error}"));
            }
            if ended || !given || cut.is_err() {
                return;
            }
        }
    }

    async fn datagrams(&self, socket: &Socket) {
        let Some(mut scan) = self.open() else { return };
        let (mut buffer, mut batches) = (vec![0; DATAGRAM], self.batches.clone());
        loop {
            let mut messages = Vec::new();
            let cut = match socket.receive(&mut buffer).await {
                Ok(length) => {
                    let datagram = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    scan.feed(datagram, &mut messages)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = cut {
                self.log.error(format_args!("Failed to read a datagram: {error}"));
                tokio::time::sleep(PAUSE).await;
                match self.open() {
                    Some(new) => scan = new,
                    None => return,
                }
            }
            let mut reading = Reading::default();
            batches.add(messages, &mut reading);
            if !self.give(reading).await {
                return;
            }
        }
    }

    /// Accepts connections, each read by a task of its own.
    async fn connections(&self, socket: &Socket, acceptor: Option<TlsAcceptor>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let stream = match socket.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    self.log.error(format_args!("Failed to accept connection: {error}"));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (shared, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                let reading = async {
                    match acceptor {
                        None => shared.connection(stream).await,
                        Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => shared.connection(stream).await,
                            Ok(Err(error)) => shared.log.warn(format_args!("TLS handshake failed: {error}")),
                            Err(_) => shared.log.warn("TLS handshake took too long"),
                        },
                    }
                };
                tokio::select! {
                    () = reading => {}
                    () = shared.closed.cancelled() => {}
                }
                drop(permit);
            });
        }
    }

    async fn listen(self, socket: Socket, acceptor: Option<TlsAcceptor>) {
        let listening = async {
            match &socket {
                Socket::Tcp(_) | Socket::Unix(_) => self.connections(&socket, acceptor).await,
                Socket::Udp(_) | Socket::Unixgram(_) => self.datagrams(&socket).await,
            }
        };
        tokio::select! {
            () = listening => {}
            () = self.closed.cancelled() => {}
        }
    }
}

#[async_trait]
impl Reader for SocketServer {
    async fn connect(&mut self) -> Result<(), Error> {
        if self.listening.is_some() {
            return Ok(());
        }
        let cache = match &self.cache {
            None => None,
            Some(Err(text)) => return Err(Error::failed(text.as_str())),
            Some(Ok(slot)) => Some(slot.get().ok_or_else(|| Error::failed("the address cache was removed"))?),
        };
        let (socket, address, file) = self.bind().await.map_err(|error| {
            let Config { network, address, .. } = &self.config;
            Error::Failed(format!("listen {network} {address}: bind: {}", Error::from(error)))
        })?;
        let (to, readings) = mpsc::channel(QUEUE);
        let closed = CancellationToken::new();
        let listening = Listening { readings, closed: closed.clone(), file };
        if let Some(cache) = cache {
            let set =
                cache.set("socket_server_address", Bytes::from(address.clone().into_bytes()), None).await;
            set.map_err(|error| Error::Failed(format!("failed to set address in cache: {error}")))?;
        }
        self.log
            .info(format_args!("Receiving {} socket messages from address: {address}", self.config.network));
        let shared = Shared {
            to,
            scanner: Arc::clone(&self.scanner),
            batches: self.batches.clone(),
            closed,
            log: Arc::clone(&self.log),
        };
        tokio::spawn(shared.listen(socket, self.acceptor.clone()));
        self.listening = Some(listening);
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some(listening) = &mut self.listening else { return Err(Error::NotConnected) };
        let Some(first) = listening.readings.recv().await else {
            self.listening = None;
            return Err(Error::NotConnected);
        };
        reading.append(first);
        while reading.ends.len() <= MAX_BATCHES
            && let Ok(more) = listening.readings.try_recv()
        {
            reading.append(more);
        }
        Ok(())
    }

    fn replays(&self) -> bool {
        self.config.auto_replay_nacks
    }

    async fn close(&mut self) {
        self.listening = None;
    }
}
