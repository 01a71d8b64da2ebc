//! The task at the end of both ways [out](crate::outbox): it hands over all that is there, each time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{iter, mem};

use backend_core::{Error, Result};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Stamp;
use crate::alone::Alone;
use crate::bundle::{Bundle, Bundler};
use crate::core::Core;
use crate::driver::{Handover, Link};
use crate::name::EngineName;
use crate::outbox::{Answer, OnItsWay, Pending, What};
use crate::short_way::ShortWay;

/// The most that is taken out of the queue at once.
const BATCH: usize = 256;

/// The task at the end of both ways.
pub(crate) struct Writer<L> {
    pub(crate) core: Arc<Core<L>>,
    pub(crate) link: Arc<L>,
    pub(crate) queue: mpsc::Receiver<Pending>,
    pub(crate) short: Arc<ShortWay>,
    pub(crate) alone: Arc<Alone>,
    /// For what comes the long way.
    pub(crate) bundler: Bundler,
    pub(crate) closed: Arc<AtomicBool>,
    pub(crate) close: CancellationToken,
    pub(crate) _written: DropGuard,
}

/// A publisher whose frame is in a message that is being handed over.
pub(crate) struct Waiting {
    pub(crate) name: EngineName,
    pub(crate) stamp: Stamp,
    pub(crate) on_its_way: OnItsWay,
    pub(crate) answer: oneshot::Sender<Answer>,
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
            for Pending { what, on_its_way, asked } in batch.drain(..) {
                let answer = asked.taken();
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
        if taken < count {
            self.core.press().tallies_lost();
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
    pub(crate) fn settle<L>(self, core: &Core<L>, handover: &Handover) -> oneshot::Sender<Answer> {
        let Self { name, stamp, on_its_way, answer } = self;
        core.press().settle(&name, &stamp, handover);
        drop(on_its_way);
        answer
    }
}

/// Tells one that waits. Who has gone does not want to know.
fn answer(waiting: oneshot::Sender<Answer>, result: Result<()>) {
    unharmed(|| drop(waiting.send(Some(result))));
}

/// Lets something of a publisher's run, such as a waker: if it panics, others are not to miss what
/// this task does for them.
pub(crate) fn unharmed(theirs: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(theirs)) {
        // What a panic carries may panic when it is dropped.
        mem::forget(panic);
    }
}
