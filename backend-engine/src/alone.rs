//! A message that its publisher hands over by itself, for nothing else is on its way.
//!
//! For engines that answer. To go through the writer would be one more task on the way out, and one more
//! on the way back, which makes up some hundredths of the time that a message takes through a near engine.
//!
//! What hands it over is a future that stands under a lock, for whoever is to drive it: its publisher, as
//! long as it is alone. The writer carries it off, and drives it to its end, as soon as something comes
//! behind it, or when its publisher has gone, or when the connection ends. So a publisher that is not
//! polled holds up nobody, and one that is dropped leaves nothing half-way.
//!
//! Lock order: `begun`, then the [press](crate::press), then `last`, which is held for a swap only.
//!
//! Invariants
//! 1. With `begun` locked, either it is there, or it has been settled, or the writer has it: when the
//!    writer finds nothing, it may number what comes next.
//! 2. No code of a publisher's runs with a lock held, neither its waker's nor that of its data.
//! 3. The writer carries off whatever is begun, or drops it when it ends: the future's waker holds what
//!    holds the future.

use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use backend_core::Result;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::core::Core;
use crate::driver::{Handover, Link, Outgoing};
use crate::outbox::{Answer, unconfirmed};
use crate::writer::{Waiting, unharmed};

/// Where the writer finds what is alone on its connection.
#[derive(Default)]
pub(crate) struct Alone {
    last: Mutex<Option<Arc<Shared>>>,
    /// A publisher has gone.
    left: Notify,
}

/// What a publisher and the writer share. It is the publisher's waker, for the link.
struct Shared {
    /// None: it is over, or the writer has carried it off.
    begun: Mutex<Option<Begun>>,
    publisher: Mutex<Publisher>,
}

/// A message that is being handed over, whose publisher waits.
pub(crate) struct Begun {
    handing_over: BoxFuture<'static, Vec<Handover>>,
    waiting: Waiting,
}

/// What a publisher does that drives its message.
enum Publisher {
    Polls,
    /// It was woken while it did.
    IsToPollAgain,
    Waits(Waker),
}

/// A publisher that hands over by itself.
pub(crate) struct ByItself {
    alone: Arc<Alone>,
    shared: Arc<Shared>,
    /// By the writer.
    answered: oneshot::Receiver<Answer>,
}

impl Alone {
    /// Begins to hand over a message. Called with the [`Press`](crate::press::Press) locked, and nothing
    /// on its way; the link is not asked yet.
    pub(crate) fn begin<L: Link>(
        self: &Arc<Self>,
        link: &Arc<L>,
        message: Outgoing,
        waiting: impl FnOnce(oneshot::Sender<Answer>) -> Waiting,
    ) -> ByItself {
        let (answer, answered) = oneshot::channel();
        let link = Arc::clone(link);
        let handing_over = async move { link.publish(vec![message]).await }.boxed();
        let begun = Begun { handing_over, waiting: waiting(answer) };
        let shared = Arc::new(Shared {
            begun: Mutex::new(Some(begun)),
            publisher: Mutex::new(Publisher::Polls),
        });
        *locked(&self.last) = Some(Arc::clone(&shared));
        ByItself { alone: Arc::clone(self), shared, answered }
    }

    /// What the writer is to drive from now on.
    pub(crate) fn carry_off(&self) -> Option<Begun> {
        let last = locked(&self.last).take()?;
        locked(&last.begun).take()
    }

    /// Returns when there may be something to carry off, and nothing comes behind it.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }
}

impl Begun {
    pub(crate) async fn handed_over(self) -> (Waiting, Handover) {
        (self.waiting, of_one(self.handing_over.await))
    }
}

impl ByItself {
    /// Dropped half-way, all of it is handed over (X2).
    pub(crate) async fn handed_over<L>(mut self, core: &Core<L>) -> Result<()> {
        poll_fn(|context| self.poll(core, context)).await
    }

    fn poll<L>(&mut self, core: &Core<L>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Poll::Ready(answer) = self.answered.poll_unpin(context) {
            return Poll::Ready(answer.ok().flatten().unwrap_or_else(|| Err(unconfirmed())));
        }
        drop(self.shared.now(Publisher::Polls));
        let polled = self.drive(core);
        if polled.is_pending() {
            self.shared.wait(context.waker());
        }
        polled
    }

    /// Drives it, if it is not the writer's.
    fn drive<L>(&mut self, core: &Core<L>) -> Poll<Result<()>> {
        let waker = Waker::from(Arc::clone(&self.shared));
        let mut begun = locked(&self.shared.begun);
        let Some(Begun { handing_over, .. }) = &mut *begun else { return Poll::Pending };
        let poll = || handing_over.poll_unpin(&mut Context::from_waker(&waker));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(handovers)) => {
                let Begun { waiting, .. } = begun.take().expect("it has just been there");
                let handover = of_one(handovers);
                // With the lock held: the writer waits for it before it numbers anything.
                let _publisher = waiting.settle(core, &handover);
                drop(begun);
                Poll::Ready(handover.result())
            }
            // An adapter with a fault has lost its connection: that is for the writer to find out.
            Err(panic) => {
                *handing_over = async move { resume_unwind(panic) }.boxed();
                self.alone.left.notify_one();
                Poll::Pending
            }
        }
    }
}

impl Drop for ByItself {
    fn drop(&mut self) {
        if locked(&self.shared.begun).is_some() {
            self.alone.left.notify_one();
        }
        // Here, and not wherever the link drops its waker.
        drop(self.shared.now(Publisher::Polls));
    }
}

impl Shared {
    /// What the publisher does now. Gives what it did, to be dropped with no lock held.
    #[must_use = "a waker is dropped when no lock is held"]
    fn now(&self, publisher: Publisher) -> Publisher {
        mem::replace(&mut *locked(&self.publisher), publisher)
    }

    /// The publisher has polled, and waits.
    fn wait(&self, waker: &Waker) {
        let waits = Publisher::Waits(waker.clone());
        let mut publisher = locked(&self.publisher);
        let is_woken = matches!(*publisher, Publisher::IsToPollAgain);
        let _before = mem::replace(&mut *publisher, waits);
        drop(publisher);
        if is_woken {
            waker.wake_by_ref();
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Publisher::Waits(waker) = self.now(Publisher::IsToPollAgain) {
            // The link's client does this, and a publisher's waker that panics is to do it no harm.
            unharmed(|| waker.wake());
        }
    }
}

/// What became of the one message.
fn of_one(handovers: Vec<Handover>) -> Handover {
    handovers.into_iter().next().unwrap_or_else(Handover::left_out)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
