//! What is on its way out on one connection.
//!
//! A number is taken, and its frame handed over, in one step that nobody gets in between of. Taken
//! before, numbers would reach the engine in another order than they were taken in, and receivers
//! would tell of losses that never were.
//!
//! There are two ways out. The short one: the publisher itself, under the lock of the numbers, if the
//! link takes the frame at once. The long one, for links that have to wait for the engine or for
//! room: a queue, and one task that numbers and writes what is in it. While anything is on the long
//! way nothing takes the short one, so what one task publishes stays in order, also if it stopped
//! waiting for the one before.
//!
//! What is lost is told when something later arrives. When nothing later is published, a *tally* is
//! that: a frame without an envelope, for each topic that was published to since the last one. They
//! go the long way, with each ping.
//!
//! Invariants
//! 1. `waiting` is the number of envelopes on the long way. It rises under the lock of the numbers
//!    only, so whoever finds 0 there is alone for as long as the lock is held.
//! 2. Once closed, and with the writer gone, nothing is handed over any more.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend_core::{MessageEnvelope, Result};
use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::driver::{Handover, Link, Outgoing};
use crate::name::{EngineName, LONGEST};
use crate::recent::Recent;
use crate::wire::Format;
use crate::{Origin, Sequencer, Stamp, wire};

/// Envelopes that wait to be written. With more, publishers wait, as long as an operation may take.
const QUEUE: usize = 1024;

/// The most that are handed over at once.
const BATCH: usize = 256;

/// Frames are cut off one buffer, which is made anew when it has less room than this left.
const CHUNK: usize = 64 * 1024;

/// How many names are remembered, at least, of topics that are no longer than names are.
const NAMES: usize = 4096;

/// How many topics get a tally at a time, at most: with one-off topics by the thousand, tallies are
/// not to be as many as envelopes.
const TALLIES: usize = 1024;

/// The way out of one connection. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Pending>,
    waiting: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
    close: CancellationToken,
}

/// The task on the long way.
pub(crate) struct Writer<L> {
    core: Arc<Core<L>>,
    link: Arc<L>,
    queue: mpsc::Receiver<Pending>,
    close: CancellationToken,
}

/// What came of an offer.
pub(crate) enum Offered {
    /// Handed over, or refused.
    Done(Result<()>),
    /// It takes the long way.
    Waits(Waits),
}

/// Something at the beginning of the long way.
pub(crate) struct Waits {
    what: What,
    on_its_way: OnItsWay,
    queue: mpsc::Sender<Pending>,
}

/// What is on the long way, and who waits for its end.
struct Pending {
    what: What,
    on_its_way: OnItsWay,
    answer: oneshot::Sender<Result<()>>,
}

enum What {
    Envelope(MessageEnvelope),
    /// A [tally](wire::encode_tally) for each topic that wants one.
    Tallies,
}

/// Counts as one of `waiting`.
struct OnItsWay(Arc<AtomicUsize>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        // Release: who finds 0 comes after the frame was handed over.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Outbox {
    pub(crate) fn new<L: Link>(core: Arc<Core<L>>, link: Arc<L>) -> (Self, Writer<L>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let close = CancellationToken::new();
        let writer = Writer { core, link, queue: receiver, close: close.clone() };
        let (waiting, closed) = (Arc::default(), Arc::default());
        (Self { queue: sender, waiting, closed, close }, writer)
    }

    /// Hands an envelope over, if that needs no waiting. `link` is the one that this was made with.
    pub(crate) fn offer<L: Link>(
        &self,
        core: &Core<L>,
        link: &L,
        envelope: &MessageEnvelope,
    ) -> Offered {
        let mut press = core.press();
        // Relaxed: it changes under the lock.
        if self.closed.load(Ordering::Relaxed) {
            return Offered::Done(Err(core.outage()));
        }
        // Acquire: pairs with the release in `OnItsWay`.
        if L::TAKES_AT_ONCE && self.waiting.load(Ordering::Acquire) == 0 {
            let (name, stamp, frame) = match press.print(core, envelope) {
                Ok(printed) => printed,
                Err(error) => return Offered::Done(Err(error)),
            };
            match link.try_publish(&name, frame) {
                Some(handover) => return Offered::Done(press.settle(&name, &stamp, handover)),
                None => press.sequencer.give_back(&name, &stamp),
            }
        }
        Offered::Waits(self.make_wait(&press, What::Envelope(envelope.clone())))
    }

    /// Sends a tally for each topic that wants one. `None`: the connection was lost.
    pub(crate) async fn tally<L>(&self, core: &Core<L>) -> Option<()> {
        let tallies = {
            let press = core.press();
            // Those that are told may be on the long way still.
            if press.untold.is_empty() && press.told.is_empty() {
                return Some(());
            }
            self.make_wait(&press, What::Tallies)
        };
        tallies.handed_over().await?.ok()
    }

    /// With the lock of the numbers held.
    fn make_wait(&self, _press: &Press, what: What) -> Waits {
        // Relaxed: it rises under the lock.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let on_its_way = OnItsWay(Arc::clone(&self.waiting));
        Waits { what, on_its_way, queue: self.queue.clone() }
    }

    /// A ping behind the last tallies was answered.
    pub(crate) fn tallies_arrived<L>(&self, core: &Core<L>) {
        core.press().tallies_arrived();
    }

    /// Takes nothing more; what is in the queue is still written.
    pub(crate) fn close<L>(&self, core: &Core<L>) {
        // Under the lock: nobody is on the short way, then, or gets there.
        let mut press = core.press();
        self.closed.store(true, Ordering::Relaxed);
        self.close.cancel();
        press.tallies_lost();
    }
}

impl Waits {
    /// The long way. `None`: the connection was lost before it was written, or just then.
    ///
    /// Dropped while there is no room, nothing was handed over; later, all of it was (X2).
    pub(crate) async fn handed_over(self) -> Option<Result<()>> {
        let Self { what, on_its_way, queue } = self;
        let (answer, answered) = oneshot::channel();
        queue.send(Pending { what, on_its_way, answer }).await.ok()?;
        answered.await.ok()
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
                () = self.close.cancelled(), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<Pending>) {
        let mut frames = Vec::with_capacity(batch.len());
        let (mut waiting, mut tallies) = (Vec::with_capacity(batch.len()), Vec::new());
        // Data may belong to somebody who does anything when they are dropped: not under the lock.
        let mut envelopes = Vec::with_capacity(batch.len());
        {
            let mut press = self.core.press();
            for Pending { what, on_its_way, answer } in batch.drain(..) {
                let What::Envelope(envelope) = what else {
                    tallies.push((on_its_way, answer));
                    continue;
                };
                match press.print(&self.core, &envelope) {
                    Ok((name, stamp, frame)) => {
                        frames.push(Outgoing { name: name.clone(), frame });
                        waiting.push((name, stamp, answer, on_its_way));
                    }
                    Err(error) => drop(answer.send(Err(error))),
                }
                envelopes.push(envelope);
            }
        }
        drop(envelopes);
        let handovers = self.link.publish(frames).await;
        // The last one first: a number that was the last can be used again.
        for ((name, stamp, answer, on_its_way), handover) in
            waiting.into_iter().zip(handovers).rev()
        {
            let result = self.core.press().settle(&name, &stamp, handover);
            drop(on_its_way);
            // Who has gone does not want to know.
            let _ = answer.send(result);
        }
        if !tallies.is_empty() {
            // Now that it is known of each number whether it counts.
            let frames = self.core.press().print_tallies();
            self.link.publish(frames).await;
        }
        for (_on_its_way, answer) in tallies {
            let _ = answer.send(Ok(()));
        }
    }
}

/// Makes frames of envelopes, with the numbers of the instance, which run on from connection to
/// connection.
pub(crate) struct Press {
    sequencer: Sequencer,
    /// So that a name is not made anew for every envelope.
    names: Recent<String, Named>,
    /// Topics that were published to since their last tally; at most [`TALLIES`].
    untold: Vec<String>,
    /// Topics whose tally is on its way: nobody knows yet whether it arrives.
    told: Vec<String>,
    buffer: BytesMut,
}

struct Named {
    name: EngineName,
    /// Whether it is one of the untold.
    is_untold: bool,
}

impl Press {
    pub(crate) fn new(origin: Origin) -> Mutex<Self> {
        Mutex::new(Self {
            sequencer: Sequencer::new(origin),
            names: Recent::new(NAMES),
            untold: Vec::new(),
            told: Vec::new(),
            buffer: BytesMut::new(),
        })
    }

    /// Takes a number, and makes the frame.
    fn print<L>(
        &mut self,
        core: &Core<L>,
        envelope: &MessageEnvelope,
    ) -> Result<(EngineName, Stamp, Bytes)> {
        let topic = envelope.topic();
        let name = if topic.len() > LONGEST {
            core.names.name(topic)
        } else {
            let make = |_| Named { name: core.names.name(topic), is_untold: false };
            let (named, _) = self.names.get_or_insert_with(topic, make);
            let tells = core.options.format == Format::Binary && self.untold.len() < TALLIES;
            if tells && !named.is_untold {
                named.is_untold = true;
                self.untold.push(topic.to_owned());
            }
            named.name.clone()
        };
        let stamp = self.sequencer.take(&name);
        if self.buffer.capacity() < envelope.data().len() + 1024 {
            self.buffer = BytesMut::with_capacity(CHUNK.max(envelope.data().len() + 1024));
        }
        match wire::encode(core.options.format, &stamp, envelope, &mut self.buffer) {
            Ok(()) => Ok((name, stamp, self.buffer.split().freeze())),
            Err(error) => {
                self.sequencer.give_back(&name, &stamp);
                Err(error)
            }
        }
    }

    /// The tallies of all topics that want one.
    fn print_tallies(&mut self) -> Vec<Outgoing> {
        let mut frames = Vec::with_capacity(self.untold.len());
        for topic in mem::take(&mut self.untold) {
            // Forgotten by one of the two, it has come out of use.
            let Some(named) = self.names.peek_mut(topic.as_str()) else { continue };
            named.is_untold = false;
            let name = named.name.clone();
            let Some(stamp) = self.sequencer.last(&name) else { continue };
            if wire::encode_tally(&stamp, &topic, &mut self.buffer).is_ok() {
                frames.push(Outgoing { name, frame: self.buffer.split().freeze() });
                self.told.push(topic);
            }
        }
        frames
    }

    /// The engine has got the tallies that were on their way.
    fn tallies_arrived(&mut self) {
        self.told = Vec::new();
    }

    /// The connection is lost, and perhaps with it the tallies that were on their way.
    fn tallies_lost(&mut self) {
        for topic in mem::take(&mut self.told) {
            if let Some(named) = self.names.peek_mut(topic.as_str()).filter(|one| !one.is_untold) {
                named.is_untold = true;
                self.untold.push(topic);
            }
        }
    }

    /// What may have been sent all the same keeps its number: used twice, the second would be taken
    /// for a duplicate.
    fn settle(&mut self, name: &EngineName, stamp: &Stamp, handover: Handover) -> Result<()> {
        match handover {
            Handover::Taken => Ok(()),
            Handover::Refused(error) => {
                self.sequencer.give_back(name, stamp);
                Err(error)
            }
            Handover::Unknown(error) => Err(error),
        }
    }
}

impl<L> Core<L> {
    fn press(&self) -> MutexGuard<'_, Press> {
        self.press.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
