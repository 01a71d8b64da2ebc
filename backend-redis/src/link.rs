//! One connection: everything goes through one socket, and one task.
//!
//! The client's task writes commands and reads what comes, replies and messages, in order. A message
//! goes into the inbox right there. So when the reply to a command is here, every message that came
//! before it has been handed over.

use std::iter::Peekable;

use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use backend_engine::name::EngineName;
use backend_engine::{Handover, Inbox, Link, Outgoing};
use futures_util::future::join;
use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    Value, cmd,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::hello::hello;
use crate::refusal::words;

const PUBLISH: &str = "PUBLISH";

/// Commands that may wait for the client's task to take them.
const QUEUE: usize = 1024;

/// The most bytes of messages that are sent as one. Each is copied on its way into the socket.
const CHUNK: usize = 1024 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct RedisLink {
    server: String,
    connection: MultiplexedConnection,
    /// The client's: the connection ends with it, and it with the connection.
    task: AbortOnDropHandle<()>,
    lost: CancellationToken,
    max_message: usize,
    /// Where something is published to see whether that works. Nobody needs it.
    probe: EngineName,
}

impl RedisLink {
    pub(crate) async fn start<S>(
        socket: S,
        server: String,
        introduction: &RedisConnectionInfo,
        client_name: Option<&str>,
        max_message: usize,
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
        let link = Self { server, connection, task, lost, max_message, probe };
        hello(link.connection.clone(), client_name).await.map_err(|unfit| unfit.to_string())?;
        if let Some(doubt) = link.try_out().await? {
            tracing::warn!(server = link.server, %doubt, "this user may be good for nothing");
        }
        Ok(link)
    }

    /// Sends something through, and says why nothing goes through, if so; or why perhaps nothing does.
    ///
    /// A server that is busy with a script answers HELLO, and publishes nothing. And a user may be let
    /// in without any right, deaf and mute. One that is denied only one of both is of use: some only
    /// listen. And one that may use both commands, but not here, may use them at channels of some topics.
    async fn try_out(&self) -> Result<Option<String>, String> {
        let (mut connection, probe) = (self.connection.clone(), self.probe.as_str());
        let mut publish = cmd(PUBLISH);
        publish.arg(probe).arg("");
        let Err(mute) = publish.exec_async(&mut connection).await else { return Ok(None) };
        if !is_denied(&mute) {
            return Err(words(&mute));
        }
        match connection.subscribe(probe).await {
            Ok(()) => {
                // Where that is denied, what arrives there is dropped, as no topic's.
                let _ = connection.unsubscribe(probe).await;
                Ok(None)
            }
            Err(deaf) if is_denied(&deaf) => {
                let why = format!(
                    "the user may neither publish to {probe} ({}) nor subscribe to it ({}): grant it \
                     +publish, +subscribe and +unsubscribe, and the channels of the namespace",
                    words(&mute),
                    words(&deaf)
                );
                if [mute, deaf].iter().all(is_command_denied) { Err(why) } else { Ok(Some(why)) }
            }
            Err(error) => Err(words(&error)),
        }
    }

    async fn send(&self, pipeline: Pipeline) -> Vec<Handover> {
        let count = pipeline.len();
        let mut connection = self.connection.clone();
        // As values, for an error of one is none of the others.
        match connection.send_packed_commands(&pipeline, 0, count).await {
            Ok(replies) if replies.len() == count => replies.into_iter().map(published).collect(),
            Ok(_) => unknown(count, "answers are missing"),
            Err(error) => unknown(count, &words(&error)),
        }
    }
}

/// The first of these, up to a [`CHUNK`], and one at least. Each is let go when its command is there: to
/// hold both of all would be memory that is taken from the system, and given back to it, every time.
fn pack(messages: &mut Peekable<impl Iterator<Item = Outgoing>>) -> Pipeline {
    let mut pipeline = Pipeline::new();
    let mut bytes = 0;
    while let Some(Outgoing { name, message }) =
        messages.next_if(|next| bytes == 0 || bytes + next.message.len() <= CHUNK)
    {
        bytes += message.len();
        // Of its size, or it would grow, with a copy each time.
        let size = PUBLISH.len() + name.as_str().len() + message.len();
        let mut publish = Cmd::with_capacity(3, size);
        publish.arg(PUBLISH).arg(name.as_str()).arg(&message[..]);
        pipeline.add_command(publish);
    }
    pipeline
}

/// Takes what the server sends without being asked.
fn receive(inbox: &Inbox, PushInfo { kind, data }: PushInfo) {
    if kind != PushKind::Message {
        return;
    }
    let Ok([Value::BulkString(name), Value::BulkString(message)]) = <[Value; 2]>::try_from(data)
    else {
        return;
    };
    // All names are ASCII.
    if let Ok(name) = str::from_utf8(&name) {
        inbox.deliver(name, message.into());
    }
}

fn unknown(count: usize, why: &str) -> Vec<Handover> {
    (0..count).map(|_| Handover::Unknown(why.into())).collect()
}

/// What a reply to PUBLISH says.
fn published(reply: Value) -> Handover {
    match reply {
        // To how many connections: of this server only, and some may be this one.
        Value::Int(_) => Handover::Taken,
        Value::ServerError(error) => Handover::Refused(failed(&error.into())),
        other => Handover::Unknown(format!("an answer to PUBLISH that is none: {other:?}").into()),
    }
}

/// What an error means: the server denies this, or it cannot do it now (a script runs, data are being
/// loaded, the cluster votes, …), or the connection is lost.
fn failed(error: &RedisError) -> Error {
    if is_denied(error) { Error::backend(words(error)) } else { Error::unavailable(words(error)) }
}

fn is_denied(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOPERM" | "ERR"))
}

/// Whether a command is denied, wherever it is used, and not a channel.
fn is_command_denied(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("permissions to run the"))
}

#[async_trait]
impl Link for RedisLink {
    fn server(&self) -> Option<&str> {
        Some(&self.server)
    }

    fn max_message(&self) -> Option<usize> {
        Some(self.max_message)
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        self.connection.clone().subscribe(name.as_str()).await.map_err(|error| failed(&error))
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.connection.clone().unsubscribe(name.as_str()).await.map_err(|error| failed(&error))
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover> {
        let mut results = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            if self.lost.is_cancelled() {
                let refused = |_| Handover::Refused(Error::unavailable("the connection is lost"));
                results.extend(messages.map(refused));
                break;
            }
            results.extend(self.send(pack(&mut messages)).await);
        }
        results
    }

    async fn ping(&self) -> Result<()> {
        let (greeted, tried) = join(hello(self.connection.clone(), None), self.try_out()).await;
        greeted.map_err(|unfit| Error::unavailable(unfit.to_string()))?;
        tried.map(drop).map_err(Error::unavailable)
    }

    async fn lost(&self) -> BoxError {
        self.lost.cancelled().await;
        "the server has closed the connection".into()
    }

    async fn close(&self) -> Result<()> {
        // Every publish has been answered, or was given up.
        self.task.abort();
        self.lost.cancelled().await;
        Ok(())
    }
}
