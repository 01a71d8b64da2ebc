//! The smallest adapter: the file to begin with for another engine. There is nothing else to write but
//! options, and a public type around [`EngineBackend`](backend_engine::EngineBackend).

use std::sync::Arc;

use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use backend_engine::name::{EngineName, LONGEST};
use backend_engine::{Driver, Handover, Inbox, Link, Outgoing};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::{Line, MAX_DATA, Received, Refused, Switchboard};

/// Makes connections.
pub(crate) struct SwitchboardDriver {
    pub(crate) switchboard: Arc<Switchboard>,
    pub(crate) caller: usize,
}

/// One connection.
pub(crate) struct SwitchboardLink {
    line: Line,
    /// Ends with the link.
    _reader: AbortOnDropHandle<()>,
}

#[async_trait]
impl Driver for SwitchboardDriver {
    type Link = SwitchboardLink;

    async fn connect(&self, inbox: Inbox) -> Result<SwitchboardLink, BoxError> {
        let (line, mut arriving) = self.switchboard.call(self.caller)?;
        let reader = tokio::spawn(async move {
            while let Some(received) = arriving.recv().await {
                match received {
                    Received::Message { name, data } => inbox.deliver(&name, data),
                    Received::Echo(back) => drop(back.send(())),
                }
            }
        });
        Ok(SwitchboardLink { line, _reader: AbortOnDropHandle::new(reader) })
    }

    fn longest_name(&self) -> usize {
        self.switchboard.longest_name().unwrap_or(LONGEST)
    }
}

/// What passes by itself is retryable; a denial is not.
fn error(refused: Refused) -> Error {
    match refused {
        Refused::Disconnected | Refused::Busy => Error::unavailable(refused),
        Refused::Denied => Error::backend(refused),
    }
}

fn handover(sent: Result<(), Refused>) -> Handover {
    match sent {
        Ok(()) => Handover::Taken,
        Err(refused) => Handover::Refused(error(refused)),
    }
}

#[async_trait]
impl Link for SwitchboardLink {
    fn max_message(&self) -> Option<usize> {
        Some(MAX_DATA)
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        // Who publishes from here on finds this connection.
        self.line.listen(name.as_str()).map_err(error)
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.line.leave(name.as_str()).map_err(error)?;
        // What had come before that is behind this one, then.
        self.ping().await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover> {
        let send = |Outgoing { name, message }| handover(self.line.send(name.as_str(), message));
        messages.into_iter().map(send).collect()
    }

    async fn ping(&self) -> Result<()> {
        // Through the queue of what arrives, and so behind everything that has.
        let (back, is_back) = oneshot::channel();
        self.line.echo(back).map_err(Error::unavailable)?;
        is_back.await.map_err(Error::unavailable)
    }

    async fn lost(&self) -> BoxError {
        self.line.disconnected().await;
        "the switchboard has hung up".into()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
