//! One connection: everything goes through one socket, and one task.
//!
//! The client's task writes commands and reads what comes, replies and messages, in order. A message
//! goes into the inbox right there. So when the reply to a command is here, every message that came
//! before it has been handed over.

use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use backend_engine::name::EngineName;
use backend_engine::{Handover, Inbox, Link, Outgoing};
use futures_util::future::join;
use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, Pipeline, PushInfo, PushKind, RedisConnectionInfo, RedisError, Value,
    cmd,
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
    /// Where something is published to see whether that works. Nobody listens.
    probe: EngineName,
}

impl RedisLink {
    pub(crate) async fn start<S>(
        socket: S,
        introduction: &RedisConnectionInfo,
        client_name: Option<&str>,
        max_frame: usize,
        probe: EngineName,
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
        let link = Self { connection, task, lost, max_frame, probe };
        hello(link.connection.clone(), client_name).await.map_err(|unfit| unfit.to_string())?;
        Ok(link)
    }

    async fn send(&self, frames: &[Outgoing]) -> Vec<Handover> {
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
            Ok(_) => unknown(frames, "answers are missing"),
            Err(error) => unknown(frames, &error.to_string()),
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

fn unknown(frames: &[Outgoing], why: &str) -> Vec<Handover> {
    let unknown = |_| Handover::Unknown(Error::unavailable(why.to_owned()));
    frames.iter().map(unknown).collect()
}

/// What a reply to PUBLISH says.
fn published(reply: Value) -> Handover {
    match reply {
        // To how many connections: of this server only, and some may be this one.
        Value::Int(_) => Handover::Taken,
        Value::ServerError(error) => Handover::Refused(failed(&error.into())),
        other => {
            let what = format!("an answer to PUBLISH that is none: {other:?}");
            Handover::Unknown(Error::unavailable(what))
        }
    }
}

/// What an error means: the server denies this, or it cannot do it now (a script runs, data are being
/// loaded, the cluster votes, …), or the connection is lost.
fn failed(error: &RedisError) -> Error {
    match error.code() {
        Some("NOPERM" | "ERR") => Error::backend(error.to_string()),
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

    async fn publish(&self, frames: Vec<Outgoing>) -> Vec<Handover> {
        let mut results = Vec::with_capacity(frames.len());
        let mut rest = &frames[..];
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(chunk(rest));
            if self.lost.is_cancelled() {
                let refused = |_| Handover::Refused(Error::unavailable("the connection is lost"));
                results.extend(rest.iter().map(refused));
                break;
            }
            results.extend(self.send(chunk).await);
            rest = behind;
        }
        results
    }

    async fn ping(&self) -> Result<()> {
        // A server that is busy with a script answers HELLO, and publishes nothing.
        let mut connection = self.connection.clone();
        let published = async {
            let mut publish = cmd("PUBLISH");
            publish.arg(self.probe.as_str()).arg("").exec_async(&mut connection).await
        };
        let (greeted, published) = join(hello(self.connection.clone(), None), published).await;
        greeted.map_err(|unfit| Error::unavailable(unfit.to_string()))?;
        match published.map_err(|error| failed(&error)) {
            Err(error) if error.is_retryable() => Err(error),
            // Who may not publish there may publish elsewhere.
            _ => Ok(()),
        }
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
