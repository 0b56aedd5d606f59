//! `socket`: connects to a peer and sends messages to it.

use crate::{
    codec::Codec,
    net::{Duplex, Target, dial_error},
    tls,
};
use async_trait::async_trait;
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt,
    net::{UdpSocket, lookup_host},
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    build_error::BuildError,
    error::Error,
    field::Field,
    log::Log,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "socket",
    summary: "Connects to a TCP, UDP or Unix socket and sends messages to it.",
    description: "A message counts as delivered when the system has taken it. The codec `all-bytes` makes a connection \
                  for each message; over UDP each message is a datagram.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("network", "The kind of socket.").options(&["unix", "tcp", "udp"]),
        Field::string("address", "Where to connect to."),
        Field::string(
            "codec",
            "`lines` ends each message with a line break, `delim:x` with `x`, `append` with nothing; `all-bytes` closes \
             the connection after each.",
        )
        .default("lines")
        .suggestions(&["all-bytes", "append", "lines", "delim:x"]),
        tls::CLIENT,
    ]),
    examples: &[Example { title: "Lines over TCP", config: "{ network: tcp, address: 'localhost:7000' }" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let writer = Box::new(Socket {
            target: Target::new(config.network, config.address, &config.tls)?,
            codec: Codec::parse(&config.codec).map_err(BuildError::new)?,
            peer: Mutex::default(),
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        });
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

#[derive(Deserialize)]
struct Config {
    network: String,
    address: String,
    codec: String,
    #[serde(default)]
    tls: tls::TlsConfig,
}

enum Peer {
    Stream(Box<dyn Duplex>),
    Datagrams(UdpSocket),
}

struct Socket {
    target: Target,
    codec: Codec,
    peer: Mutex<Option<Peer>>,
    hard_stop: CancellationToken,
    log: Log,
}

impl Socket {
    async fn dial(&self) -> Result<Peer, Error> {
        if self.target.network() != "udp" {
            return self.target.dial().await.map(Peer::Stream);
        }
        let address = self.target.address();
        let bound = async {
            let peer = lookup_host(address).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
            let socket = UdpSocket::bind(if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
            socket.connect(peer).await?;
            Ok(socket)
        };
        bound.await.map(Peer::Datagrams).map_err(|error| dial_error("udp", address, error))
    }

    async fn write(&self, peer: &mut Option<Peer>, batch: &[Message]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        match peer {
            Some(Peer::Datagrams(socket)) => {
                for message in batch {
                    bytes.clear();
                    self.codec.write(message, &mut bytes);
                    socket.send(&bytes).await?;
                }
                Ok(())
            }
            Some(Peer::Stream(stream)) if !self.codec.replaces() => {
                batch.iter().for_each(|message| self.codec.write(message, &mut bytes));
                stream.write_all(&bytes).await?;
                stream.flush().await
            }
            _ => {
                for message in batch {
                    let mut stream = match peer.take() {
                        Some(Peer::Stream(stream)) => stream,
                        _ => self.target.dial().await.map_err(std::io::Error::other)?,
                    };
                    stream.write_all(message.content()).await?;
                    stream.shutdown().await?;
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Writer for Socket {
    async fn connect(&self) -> Result<(), Error> {
        let mut peer = self.peer.lock().await;
        *peer = Some(self.dial().await?);
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut peer = self.peer.lock().await;
        if peer.is_none() && !self.codec.replaces() {
            return Err(Error::NotConnected.into());
        }
        let written = tokio::select! {
            written = Self::write(self, &mut peer, batch) => written,
            () = self.hard_stop.cancelled() => return Err(Error::Closed.into()),
        };
        if let Err(error) = written {
            self.log.error(format_args!("Failed to write to {}: {error}", self.target.address()));
            *peer = None;
            return Err(Error::NotConnected.into());
        }
        Ok(())
    }

    fn takes_frames(&self) -> bool {
        true
    }

    async fn close(&self) {
        *self.peer.lock().await = None;
    }
}
