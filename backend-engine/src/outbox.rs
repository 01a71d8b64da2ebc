//! What is on its way out on one connection.
//!
//! A task, the writer, hands messages to the link. Two ways lead to it. The [short](crate::short_way) one,
//! where the engine answers nothing anyway: the publisher puts the frame into a message that waits for the
//! writer, and is done. The long one, for engines that answer, or where there is no room: a queue of
//! envelopes, whose publishers wait. While anything is on the long way nothing takes the short one, so
//! what one task publishes stays in order, also if it stopped waiting for the one before.
//!
//! The writer takes all that is there, each time; so what comes while it is at work, or before it has its
//! turn, leaves [together](crate::bundle). A publish on its own does not wait for that turn: its publisher
//! hands the message over by itself, where the engine does not answer if the link is idle, and where it
//! does if nothing else is on its way (see [`alone`](crate::alone)).
//!
//! What others wait for is driven by the writer, and never by a publisher: a `publish` that is begun and
//! then not polled for a while, as in a `select!`, would hold up everybody behind it.
//!
//! Tallies of what was published go the long way, with each ping, and when the instance is closed.
//!
//! Invariants
//! 1. `waiting` is how much is on the long way, or alone. It rises with the [press](crate::press) locked,
//!    so whoever finds 0 there is alone as long as it holds that lock.
//! 2. A number is taken in the order in which its frame leaves: under the same lock it is put behind
//!    all that is on the short way, and the task empties that before it numbers what is in the queue.
//! 3. A publisher hands over itself only when nothing is on either way, and the writer has nothing in
//!    its hands, all of which it knows under the locks. The writer ends what is alone before it hands over
//!    anything else, so the link has one call at a time.
//! 4. Once closed, nothing sets out any more; and it is closed when the writer goes, however that comes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{iter, mem};

use backend_core::{Error, MessageEnvelope, Result};
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Stamp;
use crate::alone::{Alone, ByItself};
use crate::bundle::{self, Bundle, Bundler};
use crate::core::Core;
use crate::driver::{Handover, Link, Outgoing};
use crate::name::EngineName;
use crate::press::Press;
use crate::short_way::ShortWay;
use crate::wire;

/// Envelopes that wait on the long way. With more, publishers wait, as long as an operation may take.
const QUEUE: usize = 1024;

/// The most that is taken out of the queue at once.
const BATCH: usize = 256;

/// The way out of one connection. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Pending>,
    waiting: Arc<AtomicUsize>,
    short: Arc<ShortWay>,
    alone: Arc<Alone>,
    closed: Arc<AtomicBool>,
    close: CancellationToken,
    /// Cancelled when the writer has gone.
    written: CancellationToken,
}

/// The task at the end of both ways.
pub(crate) struct Writer<L> {
    core: Arc<Core<L>>,
    link: Arc<L>,
    queue: mpsc::Receiver<Pending>,
    short: Arc<ShortWay>,
    alone: Arc<Alone>,
    /// For what comes the long way.
    bundler: Bundler,
    closed: Arc<AtomicBool>,
    close: CancellationToken,
    _written: DropGuard,
}

/// What came of an offer.
pub(crate) enum Offered {
    /// On its way, or refused.
    Done(Result<()>),
    /// Nothing else is on its way.
    Alone(ByItself),
    /// It takes the long way.
    Waits(Waits),
}

/// Something at the beginning of the long way.
pub(crate) struct Waits {
    what: What,
    on_its_way: OnItsWay,
    queue: mpsc::Sender<Pending>,
    /// The writer has gone.
    written: CancellationToken,
}

/// What is on the long way, and who waits for its end.
struct Pending {
    what: What,
    on_its_way: OnItsWay,
    answer: oneshot::Sender<Result<()>>,
}

enum What {
    Envelope(MessageEnvelope),
    /// A [tally](crate::wire::encode_tally) for each topic that wants one.
    Tallies,
    /// Nothing: to know when what was published before it has been handed over.
    Mark,
}

/// A publisher whose frame is in a message that has been handed over.
pub(crate) struct Waiting {
    name: EngineName,
    stamp: Stamp,
    on_its_way: OnItsWay,
    answer: oneshot::Sender<Result<()>>,
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
        let (close, written) = (CancellationToken::new(), CancellationToken::new());
        let format = core.options.format;
        let short = Arc::new(ShortWay::new(format));
        let alone = Arc::new(Alone::default());
        let (waiting, closed) = (Arc::default(), Arc::<AtomicBool>::default());
        let writer = Writer {
            core,
            link,
            queue: receiver,
            short: Arc::clone(&short),
            alone: Arc::clone(&alone),
            bundler: Bundler::new(format),
            closed: Arc::clone(&closed),
            close: close.clone(),
            _written: written.clone().drop_guard(),
        };
        (Self { queue: sender, waiting, short, alone, closed, close, written }, writer)
    }

    /// Sends an envelope the short way, or alone, if it can. `link` is the one that this was made with.
    pub(crate) fn offer<L: Link>(
        &self,
        core: &Core<L>,
        link: &Arc<L>,
        envelope: &MessageEnvelope,
    ) -> Offered {
        let mut press = core.press();
        if self.is_closed(&press) {
            return Offered::Done(Err(core.outage()));
        }
        // Acquire: pairs with the release in `OnItsWay`.
        if self.waiting.load(Ordering::Acquire) == 0 {
            if !L::IS_UNANSWERED {
                let begun = self.begin_alone(&mut press, core, link, envelope);
                return begun.map_or_else(|error| Offered::Done(Err(error)), Offered::Alone);
            }
            if let Some(result) = self.short.send(&mut press, core, &**link, envelope) {
                return Offered::Done(result);
            }
        }
        Offered::Waits(self.make_wait(&press, What::Envelope(envelope.clone())))
    }

    /// Sends a tally for each topic that wants one, behind all that was taken before. Gives how many
    /// envelopes that are; `None`: the connection was lost.
    pub(crate) async fn tally<L>(&self, core: &Core<L>) -> Option<u64> {
        let (tallies, taken) = {
            let press = core.press();
            let taken = press.taken();
            // Those that are told may be on the long way still.
            if !press.has_tallies() {
                return Some(taken);
            }
            (self.make_wait(&press, What::Tallies), taken)
        };
        tallies.handed_over().await?.ok()?;
        Some(taken)
    }

    /// A tally for the last time, if there is room for it; what is on its way now is in it.
    pub(crate) fn tally_once_more<L>(&self, core: &Core<L>) {
        let tallies = self.make_wait(&core.press(), What::Tallies);
        let _ = tallies.handed_over().now_or_never();
    }

    /// Returns when whatever was published before this call has been handed over, or never will be.
    pub(crate) fn published<L>(&self, core: &Core<L>) -> BoxFuture<'static, ()> {
        let press = core.press();
        let mark = (!self.is_closed(&press)).then(|| self.make_wait(&press, What::Mark));
        drop(press);
        let written = self.written.clone();
        Box::pin(async move {
            if let Some(mark) = mark
                && let Some(Ok(())) = mark.handed_over().await
            {
                return;
            }
            // Closed, it is still written.
            written.cancelled().await;
        })
    }

    /// Returns when the writer has gone.
    pub(crate) async fn is_written(&self) {
        self.written.cancelled().await;
    }

    fn begin_alone<L: Link>(
        &self,
        press: &mut Press,
        core: &Core<L>,
        link: &Arc<L>,
        envelope: &MessageEnvelope,
    ) -> Result<ByItself> {
        let name = press.name(core, envelope.topic());
        let mut frame = BytesMut::with_capacity(bundle::length(envelope));
        let format = core.options.format;
        let (stamp, ()) =
            press.print(&name, |stamp| wire::encode(format, stamp, envelope, &mut frame))?;
        let message = Outgoing { name: name.clone(), message: frame.freeze() };
        let on_its_way = self.set_out(press);
        let waiting = |answer| Waiting { name, stamp, on_its_way, answer };
        Ok(self.alone.begin(link, message, waiting))
    }

    fn make_wait(&self, press: &Press, what: What) -> Waits {
        let (queue, written) = (self.queue.clone(), self.written.clone());
        Waits { what, on_its_way: self.set_out(press), queue, written }
    }

    fn set_out(&self, _press: &Press) -> OnItsWay {
        // Relaxed: it rises under the lock.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        OnItsWay(Arc::clone(&self.waiting))
    }

    fn is_closed(&self, _press: &Press) -> bool {
        // Relaxed: it changes under the lock.
        self.closed.load(Ordering::Relaxed)
    }

    /// Takes nothing more; what is on its way is still written.
    pub(crate) fn close<L>(&self, core: &Core<L>) {
        // Under the lock: nobody is on the short way, then, or gets there.
        let mut press = core.press();
        self.closed.store(true, Ordering::Relaxed);
        self.close.cancel();
        press.tallies_lost();
    }
}

impl Waits {
    /// The long way. `None`: the connection was lost, and there was no room yet. When it is lost later,
    /// and the writer with it, nobody knows how far it had come.
    ///
    /// Dropped while there is no room, nothing was handed over; later, all of it was (X2).
    pub(crate) async fn handed_over(self) -> Option<Result<()>> {
        let Self { what, on_its_way, queue, written } = self;
        let (answer, mut answered) = oneshot::channel();
        queue.send(Pending { what, on_its_way, answer }).await.ok()?;
        let result = if queue.is_closed() {
            tokio::select! {
                biased;
                result = &mut answered => result.ok(),
                () = written.cancelled() => match answered.try_recv() {
                    // The writer had emptied the queue before that: there it stays.
                    Err(TryRecvError::Empty) => return None,
                    result => result.ok(),
                },
            }
        } else {
            answered.await.ok()
        };
        let lost = || Err(Error::unconfirmed("the connection to the engine is lost"));
        Some(result.unwrap_or_else(lost))
    }
}

impl<L: Link> Writer<L> {
    /// Writes until the outbox is closed, and empty.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                _ = self.queue.recv_many(&mut batch, BATCH) => self.write(&mut batch).await,
                () = self.short.some() => self.write(&mut batch).await,
                () = self.alone.left() => self.write(&mut batch).await,
                () = self.close.cancelled() => break,
            }
        }
        // Not until it is empty for good: somebody who is not polled may have a place in it.
        self.queue.close();
        loop {
            batch.extend(iter::from_fn(|| self.queue.try_recv().ok()).take(BATCH));
            let is_last = batch.len() < BATCH;
            self.write(&mut batch).await;
            if is_last {
                return;
            }
        }
    }

    /// Hands over what was alone, what has come the short way, and behind it this from the long one.
    async fn write(&mut self, batch: &mut Vec<Pending>) {
        if let Some(begun) = self.alone.carry_off() {
            let (waiting, handover) = begun.handed_over().await;
            answer(waiting.settle(&self.core, &handover), handover.result());
        }
        let mut waiting = Vec::with_capacity(batch.len());
        let (mut tallies, mut marks) = (Vec::new(), Vec::new());
        // Data may belong to somebody who does anything when they are dropped: not under the lock.
        let mut envelopes = Vec::with_capacity(batch.len());
        // And a publisher's waker may do anything, too.
        let mut unprinted = Vec::new();
        let mut bundles;
        let unanswered = {
            let mut press = self.core.press();
            bundles = self.short.take(&press);
            let unanswered = bundles.len();
            let most = self.link.max_message();
            for Pending { what, on_its_way, answer } in batch.drain(..) {
                match what {
                    What::Envelope(envelope) => {
                        let name = press.name(&self.core, envelope.topic());
                        let bundler = &mut self.bundler;
                        let push = |stamp: &Stamp| bundler.push(&name, stamp, &envelope, most);
                        match press.print(&name, push) {
                            Ok((stamp, ())) => {
                                waiting.push(Waiting { name, stamp, on_its_way, answer })
                            }
                            Err(error) => unprinted.push((answer, error)),
                        }
                        envelopes.push(envelope);
                    }
                    What::Tallies => tallies.push((on_its_way, answer)),
                    What::Mark => marks.push((on_its_way, answer)),
                }
            }
            bundles.extend(self.bundler.take());
            unanswered
        };
        envelopes.into_iter().for_each(|envelope| unharmed(|| drop(envelope)));
        for (publisher, error) in unprinted {
            answer(publisher, Err(error));
        }
        if !bundles.is_empty() {
            self.hand_over(bundles, unanswered, waiting).await;
        }
        if !tallies.is_empty() {
            // Now that it is known of each number whether it counts.
            let told = self.tell().await;
            for (_on_its_way, asked) in tallies {
                let untaken = || Err(Error::unavailable("the engine does not take a tally"));
                answer(asked, if told { Ok(()) } else { untaken() });
            }
        }
        for (_on_its_way, asked) in marks {
            answer(asked, Ok(()));
        }
    }

    /// Hands over the tallies. Says whether all of them were taken; otherwise they are still to be told.
    async fn tell(&self) -> bool {
        let messages = self.core.press().print_tallies();
        if messages.is_empty() {
            return true;
        }
        let count = messages.len();
        let handovers = self.link.publish(messages).await;
        let taken = handovers.iter().filter(|one| matches!(one, Handover::Taken)).count();
        let mut press = self.core.press();
        if taken == count {
            press.tallies_taken()
        } else {
            press.tallies_lost()
        }
        taken == count
    }

    /// The first ones are `unanswered`: their publishers have gone.
    async fn hand_over(&self, bundles: Vec<Bundle>, unanswered: usize, mut waiting: Vec<Waiting>) {
        let frames: Vec<_> = bundles.iter().map(|bundle| bundle.frames).collect();
        let messages = bundles.into_iter().map(|bundle| bundle.outgoing).collect();
        let mut handovers = self.link.publish(messages).await;
        self.short.taken();
        handovers.resize_with(frames.len(), Handover::left_out);
        let answered = handovers.split_off(unanswered);
        // The last one first: a number that was the last can be used again.
        for (frames, handover) in frames[unanswered..].iter().zip(answered).rev() {
            for one in waiting.drain(waiting.len().saturating_sub(*frames)..).rev() {
                answer(one.settle(&self.core, &handover), handover.result());
            }
        }
        let mut untaken = frames
            .iter()
            .zip(handovers)
            .filter_map(|(frames, handover)| Some((*frames, handover.result().err()?)));
        if let Some((first, error)) = untaken.next() {
            let envelopes = first + untaken.map(|(frames, _)| frames).sum::<usize>();
            let instance = self.core.origin;
            self.core.press().count_lost(envelopes as u64);
            // They keep their numbers: whoever listens is told that they are missing.
            tracing::warn!(%instance, envelopes, %error, "what was published is lost");
        }
    }
}

impl<L> Drop for Writer<L> {
    fn drop(&mut self) {
        {
            // Nobody is to begin anything alone that nobody would carry off.
            let _press = self.core.press();
            self.closed.store(true, Ordering::Relaxed);
        }
        // Its publisher is told, as those are whose frames the writer had in its hands.
        drop(self.alone.carry_off());
    }
}

impl Waiting {
    /// Enters what became of its number. Gives the publisher, who is to be told.
    pub(crate) fn settle<L>(
        self,
        core: &Core<L>,
        handover: &Handover,
    ) -> oneshot::Sender<Result<()>> {
        let Self { name, stamp, on_its_way, answer } = self;
        core.press().settle(&name, &stamp, handover);
        drop(on_its_way);
        answer
    }
}

/// Tells one that waits. Who has gone does not want to know.
fn answer(waiting: oneshot::Sender<Result<()>>, result: Result<()>) {
    unharmed(|| drop(waiting.send(result)));
}

/// Lets something of a publisher's run, such as a waker: if it panics, others are not to miss what
/// this task does for them.
pub(crate) fn unharmed(theirs: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(theirs)) {
        // What a panic carries may panic when it is dropped.
        mem::forget(panic);
    }
}
