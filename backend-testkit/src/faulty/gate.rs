//! What a fault waits for: a time, or a gate that the test opens.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use backend_core::Subscription;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

/// Holds calls and messages back until a test opens it.
///
/// A test that wants to see what happens *while* something hangs needs no sleeps: it waits for the
/// call to arrive here, looks, and opens the gate. A clone is another handle to the same gate.
///
/// ```
/// use std::sync::Arc;
/// use backend_core::{Backend, MessageEnvelope};
/// use backend_memory::MemoryBackend;
/// use backend_testkit::{Faulty, Gate, Rule};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> backend_core::Result<()> {
/// let gate = Gate::new();
/// let rule = Rule::publish().hold(&gate);
/// let backend = Arc::new(Faulty::new(MemoryBackend::new()).with_rule(rule));
///
/// let publisher = Arc::clone(&backend);
/// let publish = tokio::spawn(async move {
///     publisher.publish(MessageEnvelope::new("orders", "one coffee")).await
/// });
/// gate.until_reached(1).await;
/// assert!(!publish.is_finished());
///
/// gate.open();
/// publish.await.expect("it does not panic")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Default)]
struct State {
    open: bool,
    reached: usize,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Lets everything go on that waits here, and whatever comes later: it stays open.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// Whether it was opened.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.borrow().open
    }

    /// How many calls and messages have come here so far.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.0.borrow().reached
    }

    /// Waits until that many have come here, since the gate was made.
    ///
    /// A message comes here when its reader comes to it; nothing reads ahead of a reader.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn until_reached(&self, count: usize) {
        // Cannot fail: this handle keeps the sender.
        let _ = self.0.subscribe().wait_for(|state| state.reached >= count).await;
    }

    fn arrive(&self) {
        self.0.send_modify(|state| state.reached += 1);
    }

    async fn opened(self) {
        let _ = self.0.subscribe().wait_for(|state| state.open).await;
    }
}

/// [`Gate::new`].
impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { open, reached } = *self.0.borrow();
        f.debug_struct("Gate").field("open", &open).field("reached", &reached).finish()
    }
}

/// A wait that has begun.
///
/// It can be polled by [`Subscription::try_recv`], which must leave the waker of a waiting task in
/// its place, and dropped outside a runtime.
pub(super) enum Pause {
    Time {
        over: Instant,
        /// Made when somebody waits in earnest: it needs a runtime.
        sleep: Option<Pin<Box<Sleep>>>,
    },
    Gate {
        gate: Gate,
        opened: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    },
}

impl Pause {
    pub(super) fn lasting(time: Duration) -> Self {
        let now = Instant::now();
        // A time that no clock can show is as good as for ever.
        let over = now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(1 << 30));
        Self::Time { over, sleep: None }
    }

    pub(super) fn at(gate: &Gate) -> Self {
        gate.arrive();
        Self::Gate { gate: gate.clone(), opened: None }
    }

    pub(super) async fn wait(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let over = match self {
            Self::Time { over, .. } => Instant::now() >= *over,
            Self::Gate { gate, .. } => gate.is_open(),
        };
        if over {
            return Poll::Ready(());
        }
        if Subscription::is_peek(cx) {
            return Poll::Pending;
        }
        match self {
            Self::Time { over, sleep } => {
                ready!(sleep.get_or_insert_with(|| Box::pin(sleep_until(*over))).as_mut().poll(cx));
            }
            Self::Gate { gate, opened } => {
                let gate = gate.clone();
                ready!(opened.get_or_insert_with(|| Box::pin(gate.opened())).as_mut().poll(cx));
            }
        }
        Poll::Ready(())
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { over, .. } => f.debug_tuple("Until").field(over).finish(),
            Self::Gate { gate, .. } => gate.fmt(f),
        }
    }
}
