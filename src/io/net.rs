//! Streams to and from peers: TCP, Unix sockets, TLS.

use crate::tls::{self, TlsConfig};
use rustls::{ClientConfig, pki_types::ServerName};
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
pub(crate) use weir_core::http::Duplex;
use weir_core::{build_error::BuildError, error::Error, field::Field};

/// How a component listens.
pub(crate) const TCP: Field = Field::object(
    "tcp",
    "Options of a TCP listener of its own.",
    &[
        Field::bool("reuse_addr", "Take an address that was in use a moment ago; always so.")
            .default("false")
            .advanced(),
        Field::bool(
            "reuse_port",
            "Share the port with other processes that ask for it too: each connection goes to one of them.",
        )
        .default("false")
        .advanced(),
    ],
)
.optional()
.advanced();

/// How a component listens, as configured.
#[derive(Deserialize)]
pub(crate) struct TcpConfig {
    pub(crate) reuse_port: bool,
}

/// Listens on the first of an address's meanings that can be bound, without blocking who accepts.
pub fn listen(address: &str, reuse_port: bool) -> io::Result<TcpListener> {
    let mut bound = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in address.to_socket_addrs()? {
        bound = listen_at(address, reuse_port);
        if bound.is_ok() {
            break;
        }
    }
    bound
}

/// Listens on an address, without blocking who accepts.
pub(crate) fn listen_at(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// How long it may take until a peer has answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A place to connect to.
pub(crate) struct Target {
    network: String,
    address: String,
    tls: Option<Arc<ClientConfig>>,
}

/// Says of a failed dial what the reference says.
pub(crate) fn dial_error(network: &str, address: &str, error: io::Error) -> Error {
    Error::Failed(format!("dial {network} {address}: connect: {}", Error::from(error)))
}

impl Target {
    /// Of an address, which is not resolved yet.
    pub(crate) fn new(network: String, address: String, tls: &TlsConfig) -> Result<Self, BuildError> {
        let tls = tls.enabled.then(|| tls::client(tls).map(Arc::new)).transpose();
        Ok(Self { network, address, tls: tls.map_err(|error| error.at("tls"))? })
    }

    /// Which network it is on.
    pub(crate) fn network(&self) -> &str {
        &self.network
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Connects, within a deadline.
    pub(crate) async fn dial(&self) -> Result<Box<dyn Duplex>, Error> {
        timeout(PATIENCE, self.connect())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| dial_error(&self.network, &self.address, error))
    }

    async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        if self.network == "unix" {
            return Ok(Box::new(UnixStream::connect(&self.address).await?));
        }
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let host = self.address.rsplit_once(':').map_or(&*self.address, |(host, _)| host);
        Ok(Box::new(secured(stream, host, tls).await?))
    }
}

/// A stream to a host, by TLS from now on.
pub(crate) async fn secured(
    stream: TcpStream,
    host: &str,
    tls: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await
}
