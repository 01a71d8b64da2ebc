//! One connection: everything goes through one socket, and one task.
//!
//! The client's task writes commands and reads what comes, replies and messages, in order. A message
//! goes into the inbox right there. So when the reply to a command is here, every message that came
//! before it has been handed over.

use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use backend_engine::name::EngineName;
use backend_engine::{Inbox, Link, Outgoing};
use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, ErrorKind, Pipeline, PushInfo, PushKind, RedisConnectionInfo,
    RedisError, Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::hello::hello;

/// Commands that may wait for the client's task to take them.
const QUEUE: usize = 1024;

/// The most bytes of frames that are sent as one. Each is copied on its way into the socket.
const CHUNK: usize = 1024 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct RedisLink {
    connection: MultiplexedConnection,
    /// The client's: the connection ends with it, and it with the connection.
    task: AbortOnDropHandle<()>,
    lost: CancellationToken,
    max_frame: usize,
}

impl RedisLink {
    pub(crate) async fn start<S>(
        socket: S,
        introduction: &RedisConnectionInfo,
        client_name: Option<&str>,
        max_frame: usize,
        inbox: Inbox,
    ) -> Result<Self, BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new()
            // The engine's supervisor knows how long things may take.
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push| {
                receive(&inbox, push);
                Ok::<(), SendError>(())
            });
        let (connection, task) =
            MultiplexedConnection::new_with_config(introduction, socket, config).await?;
        let lost = CancellationToken::new();
        let ended = lost.clone().drop_guard();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ended = ended;
            task.await;
        }));
        let link = Self { connection, task, lost, max_frame };
        hello(link.connection.clone(), client_name).await.map_err(|unfit| unfit.to_string())?;
        Ok(link)
    }

    async fn send(&self, frames: &[Outgoing]) -> Vec<Result<()>> {
        let mut pipeline = Pipeline::with_capacity(frames.len());
        for Outgoing { name, frame } in frames {
            pipeline.cmd("PUBLISH").arg(name.as_str()).arg(&frame[..]);
        }
        let mut connection = self.connection.clone();
        // As values, for an error of one is none of the others.
        match connection.send_packed_commands(&pipeline, 0, frames.len()).await {
            Ok(replies) if replies.len() == frames.len() => {
                replies.into_iter().map(published).collect()
            }
            Ok(_) => {
                frames.iter().map(|_| Err(Error::unavailable("answers are missing"))).collect()
            }
            Err(error) => frames.iter().map(|_| Err(failed(&error))).collect(),
        }
    }
}

/// Takes what the server sends without being asked.
fn receive(inbox: &Inbox, PushInfo { kind, data }: PushInfo) {
    if kind != PushKind::Message {
        return;
    }
    let Ok([Value::BulkString(name), Value::BulkString(frame)]) = <[Value; 2]>::try_from(data)
    else {
        return;
    };
    // All names are ASCII.
    if let Ok(name) = str::from_utf8(&name) {
        inbox.deliver(name, frame.into());
    }
}

/// What a reply to PUBLISH says.
fn published(reply: Value) -> Result<()> {
    match reply {
        // To how many connections: of this server only, and some may be this one.
        Value::Int(_) => Ok(()),
        Value::ServerError(error) => Err(failed(&error.into())),
        other => Err(Error::backend(format!("an answer to PUBLISH that is none: {other:?}"))),
    }
}

/// What became of a command: refused by the server, or perhaps carried out and perhaps not.
fn failed(error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => Error::backend(error.to_string()),
        _ => Error::unavailable(error.to_string()),
    }
}

#[async_trait]
impl Link for RedisLink {
    fn max_frame(&self) -> Option<usize> {
        Some(self.max_frame)
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        self.connection.clone().subscribe(name.as_str()).await.map_err(|error| failed(&error))
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.connection.clone().unsubscribe(name.as_str()).await.map_err(|error| failed(&error))
    }

    async fn publish(&self, frames: Vec<Outgoing>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(frames.len());
        let mut rest = &frames[..];
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(chunk(rest));
            if self.lost.is_cancelled() {
                // For certain, these were not sent.
                results.extend(rest.iter().map(|_| Err(Error::Closed)));
                break;
            }
            results.extend(self.send(chunk).await);
            rest = behind;
        }
        results
    }

    async fn ping(&self) -> Result<()> {
        hello(self.connection.clone(), None)
            .await
            .map_err(|unfit| Error::unavailable(unfit.to_string()))
    }

    async fn lost(&self) -> BoxError {
        self.lost.cancelled().await;
        "the server has closed the connection".into()
    }

    async fn close(&self) {
        // Every publish has been answered.
        self.task.abort();
        self.lost.cancelled().await;
    }
}

/// How many of the first frames are sent as one; at least one of them.
fn chunk(frames: &[Outgoing]) -> usize {
    let mut bytes = 0;
    let within = frames.iter().take_while(|outgoing| {
        bytes += outgoing.frame.len();
        bytes <= CHUNK
    });
    within.count().max(1)
}
