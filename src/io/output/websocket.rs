//! `websocket`: connects to a server and sends messages to it.

use crate::{
    http_client::auth::{BASIC, JWT, OAUTH},
    tls,
    websocket::{Socket, Target},
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot};
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    error::Error,
    field::Field,
    log::Log,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "websocket",
    summary: "Connects to a websocket server and sends messages to it.",
    description: "Each message is one binary message. As a websocket knows no acknowledgement, a message counts as \
                  delivered when the system has taken it. What the server says is not listened to.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("url", "Where to connect to, by `ws` or `wss`."),
        Field::string("proxy_url", "An HTTP proxy to connect through.").optional().advanced(),
        tls::CLIENT,
        OAUTH,
        BASIC,
        JWT,
    ]),
    examples: &[Example { title: "To another stream", config: "url: ws://localhost:4195/post/ws" }],
    build: |node, context| {
        let (target, log) = (Target::new(node)?, Log::new(context));
        let writer = Box::new(Websocket { target, orders: Mutex::default(), log });
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

/// Messages to send, and whom to tell that they are sent.
struct Order {
    contents: Vec<Bytes>,
    done: oneshot::Sender<Result<(), Error>>,
}

struct Websocket {
    target: Target,
    /// Leads to the task that has the connection; closed when that is lost.
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    log: Log,
}

/// Sends what is ordered; meanwhile it answers pings and notices when the server goes.
async fn serve(mut socket: Socket, mut orders: mpsc::Receiver<Order>) {
    loop {
        let order = tokio::select! {
            biased;
            said = socket.read() => match said {
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => return,
            },
            order = orders.recv() => order,
        };
        let Some(Order { contents, done }) = order else { return socket.close().await };
        let mut sent = Ok(());
        for content in contents {
            sent = socket.send_bytes(content).await;
            if sent.is_err() {
                break;
            }
        }
        let failed = sent.is_err();
        done.send(sent).ok();
        if failed {
            return;
        }
    }
}

#[async_trait]
impl Writer for Websocket {
    async fn connect(&self) -> Result<(), Error> {
        let socket = self.target.connect().await?;
        let (to, orders) = mpsc::channel(1);
        tokio::spawn(serve(socket, orders));
        *self.orders.lock().await = Some(to);
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let contents = batch.iter().map(|message| message.content().clone()).collect();
        let (done, told) = oneshot::channel();
        let sent = match &*self.orders.lock().await {
            Some(orders) => orders.send(Order { contents, done }).await.is_ok(),
            None => false,
        };
        match told.await {
            Ok(Ok(())) if sent => return Ok(()),
            Ok(Err(error)) => self.log.error(format_args!("Failed to write: {error}")),
            _ => {}
        }
        Err(Error::NotConnected.into())
    }

    fn takes_frames(&self) -> bool {
        true
    }

    async fn close(&self) {
        *self.orders.lock().await = None;
    }
}
