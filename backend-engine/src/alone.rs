//! A message that its publisher hands over by itself, for nothing else is on its way.
//!
//! For engines that answer. To go through the writer would be one more task on the way out, and one more
//! on the way back, which makes up some hundredths of the time that a message takes through a near engine.
//!
//! What hands it over is a future that stands under a lock, for whoever is to drive it: its publisher, as
//! long as it is alone. The writer carries it off, and drives it to its end, as soon as something comes
//! behind it, or when its publisher has gone, or when the connection ends. So a publisher that is not
//! polled holds up nobody, and one that is dropped leaves nothing half-way.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use backend_core::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use tokio::sync::{Notify, oneshot};

use crate::core::Core;
use crate::driver::{Handover, Link, Outgoing};
use crate::outbox::{Waiting, unharmed};

/// Where the writer finds what is alone on its connection.
#[derive(Default)]
pub(crate) struct Alone {
    last: Mutex<Option<Arc<Shared>>>,
    /// A publisher has gone.
    left: Notify,
}

/// What a publisher and the writer share. It wakes the publisher, if the publisher drives.
struct Shared {
    /// None: it is over, or the writer has carried it off.
    begun: Mutex<Option<Begun>>,
    publisher: AtomicWaker,
}

/// A message that is being handed over, whose publisher waits.
pub(crate) struct Begun {
    handing_over: BoxFuture<'static, Vec<Handover>>,
    waiting: Waiting,
}

/// A publisher that hands over by itself.
pub(crate) struct ByItself {
    alone: Arc<Alone>,
    shared: Arc<Shared>,
    /// By the writer.
    answered: oneshot::Receiver<Result<()>>,
}

/// In whose hands it ended.
enum Ended {
    Publisher(Waiting, Handover),
    Writer(Result<()>),
}

impl Alone {
    /// Begins to hand over a message. Called with the [`Press`](crate::press::Press) locked, and nothing
    /// on its way; the link is asked with neither lock held.
    pub(crate) fn begin<L: Link>(
        self: &Arc<Self>,
        link: &Arc<L>,
        message: Outgoing,
        waiting: impl FnOnce(oneshot::Sender<Result<()>>) -> Waiting,
    ) -> ByItself {
        let (answer, answered) = oneshot::channel();
        let link = Arc::clone(link);
        let handing_over = async move { link.publish(vec![message]).await }.boxed();
        let begun = Begun { handing_over, waiting: waiting(answer) };
        let shared =
            Arc::new(Shared { begun: Mutex::new(Some(begun)), publisher: AtomicWaker::new() });
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
        match poll_fn(|context| self.poll(context)).await {
            Ended::Publisher(waiting, handover) => {
                drop(waiting.settle(core, &handover));
                handover.result()
            }
            Ended::Writer(result) => result,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        if let Poll::Ready(answer) = self.answered.poll_unpin(context) {
            let lost = |_| Err(Error::unconfirmed("the connection to the engine is lost"));
            return Poll::Ready(Ended::Writer(answer.unwrap_or_else(lost)));
        }
        // Not under the lock: a waker may do anything when it is cloned or dropped.
        self.shared.publisher.register(context.waker());
        let waker = Waker::from(Arc::clone(&self.shared));
        let mut begun = locked(&self.shared.begun);
        let Some(Begun { handing_over, .. }) = &mut *begun else { return Poll::Pending };
        let poll = || handing_over.poll_unpin(&mut Context::from_waker(&waker));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(handovers)) => {
                let Begun { waiting, .. } = begun.take().expect("it is there");
                Poll::Ready(Ended::Publisher(waiting, of_one(handovers)))
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
        // Here, and not wherever the adapter's client drops its waker.
        drop(self.shared.publisher.take());
        if locked(&self.shared.begun).is_some() {
            self.alone.left.notify_one();
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The adapter's client does this, and a publisher's waker that panics is to do it no harm.
        unharmed(|| self.publisher.wake());
    }
}

/// What became of the one message.
fn of_one(handovers: Vec<Handover>) -> Handover {
    handovers.into_iter().next().unwrap_or_else(Handover::untold)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
