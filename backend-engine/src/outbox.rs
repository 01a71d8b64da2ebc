//! What is on its way out on one connection: one queue, and one task that numbers and writes.
//!
//! A number is taken, and its frame handed over, by that task alone. Taken by each publisher for
//! itself, numbers would reach the engine in another order than they were taken in, and receivers
//! would tell of losses that never were.

use std::sync::{Arc, Mutex, PoisonError};

use backend_core::{Error, MessageEnvelope, Result};
use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::driver::{Link, Outgoing};
use crate::name::EngineName;
use crate::{Sequencer, Stamp, wire};

/// Envelopes that wait to be written. With more, publishers wait, as long as an operation may take.
const QUEUE: usize = 1024;

/// The most that are handed over at once.
const BATCH: usize = 256;

/// Frames are cut off one buffer, which is made anew when it has less room than this left.
const CHUNK: usize = 64 * 1024;

type Answer = oneshot::Sender<Result<()>>;

struct Pending {
    envelope: MessageEnvelope,
    answer: Answer,
}

/// The queue of one connection. A clone is the same queue.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Pending>,
    closed: CancellationToken,
}

/// The other end of the queue.
pub(crate) struct Writer<L> {
    queue: mpsc::Receiver<Pending>,
    closed: CancellationToken,
    core: Arc<Core<L>>,
    link: Arc<L>,
    buffer: BytesMut,
}

impl Outbox {
    pub(crate) fn new<L: Link>(core: Arc<Core<L>>, link: Arc<L>) -> (Self, Writer<L>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let closed = CancellationToken::new();
        let outbox = Self { queue: sender, closed: closed.clone() };
        (outbox, Writer { queue: receiver, closed, core, link, buffer: BytesMut::new() })
    }

    /// Hands an envelope over. `None`: the connection was lost before it was written, or just then.
    ///
    /// Dropped while there is no room, nothing was handed over; later, all of it was (X2).
    pub(crate) async fn publish(&self, envelope: MessageEnvelope) -> Option<Result<()>> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Pending { envelope, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Takes nothing more; what is in the queue is still written.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}

impl<L: Link> Writer<L> {
    /// Writes until the queue is closed, and empty.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = self.queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.write(&mut batch).await;
                }
                () = self.closed.cancelled(), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<Pending>) {
        let mut frames = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Pending { envelope, answer } in batch.drain(..) {
            let name = self.core.names.name(envelope.topic());
            match self.encode(&name, &envelope) {
                Ok((stamp, frame)) => {
                    frames.push(frame);
                    waiting.push((name, stamp, answer));
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        let results = self.link.publish(frames).await;
        // The last one first: a number that was the last can be used again.
        for ((name, stamp, answer), result) in waiting.into_iter().zip(results).rev() {
            // What may have been sent all the same keeps its number: used twice, the second would be
            // taken for a duplicate.
            if result.as_ref().is_err_and(|error| !error.is_retryable()) {
                sequencer(&self.core).give_back(&name, &stamp);
            }
            // The connection's end, not the instance's.
            let result = result.map_err(|error| match error {
                Error::Closed => self.core.outage(),
                other => other,
            });
            // Who has gone does not want to know.
            let _ = answer.send(result);
        }
    }

    fn encode(
        &mut self,
        name: &EngineName,
        envelope: &MessageEnvelope,
    ) -> Result<(Stamp, Outgoing)> {
        let stamp = sequencer(&self.core).take(name);
        if self.buffer.capacity() < envelope.data().len() + 1024 {
            self.buffer = BytesMut::with_capacity(CHUNK.max(envelope.data().len() + 1024));
        }
        match wire::encode(self.core.options.format, &stamp, envelope, &mut self.buffer) {
            Ok(()) => {
                let frame = self.buffer.split().freeze();
                Ok((stamp, Outgoing { name: name.clone(), frame }))
            }
            Err(error) => {
                sequencer(&self.core).give_back(name, &stamp);
                Err(error)
            }
        }
    }
}

/// The numbers of the instance, which run on from connection to connection. There is one writer at
/// a time.
fn sequencer<L>(core: &Core<L>) -> std::sync::MutexGuard<'_, Sequencer> {
    core.sequencer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The field's type, for the core.
pub(crate) type Numbers = Mutex<Sequencer>;
