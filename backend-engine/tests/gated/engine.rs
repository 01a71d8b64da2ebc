//! An engine that does what it is asked for when the test lets it, connection by connection.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use backend_engine::name::EngineName;
use backend_engine::wire::{self, Frame};
use backend_engine::{Driver, Handover, Inbox, Link, Outgoing};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// More than any test asks for.
const OPEN: usize = 1_000_000;

/// All connections, in the order in which they were made. Whether it answers a publish makes two kinds.
#[derive(Clone, Default)]
pub(crate) struct Engine<const IS_UNANSWERED: bool = true>(Arc<Mutex<Vec<Arc<Connection>>>>);

/// One that answers.
pub(crate) type Answering = Engine<false>;

/// What the test sees of a connection, and can do to it.
pub(crate) struct Connection {
    pub(crate) inbox: Inbox,
    pub(crate) subscribe: Gate,
    pub(crate) unsubscribe: Gate,
    pub(crate) catch_up: Gate,
    pub(crate) publish: Gate,
    pub(crate) ping: Gate,
    /// Names that it is known to take, so that their publishers wait for no answer.
    pub(crate) granted: Mutex<BTreeSet<String>>,
    /// Whether it takes a message that comes alone at once.
    pub(crate) is_idle: AtomicBool,
    /// Whether it refuses what is published.
    pub(crate) refuses: AtomicBool,
    /// Whether it does not say what became of the last one.
    pub(crate) forgets: AtomicBool,
    /// Whether it panics when something is published.
    pub(crate) panics: AtomicBool,
    /// Whether it wakes a publisher first, while that polls.
    pub(crate) wakes: AtomicBool,
    published: Mutex<Vec<Outgoing>>,
    names: Mutex<BTreeSet<String>>,
    lost: CancellationToken,
    let_go: CancellationToken,
}

/// Where requests wait while it is shut.
pub(crate) struct Gate {
    open: Semaphore,
    arrived: watch::Sender<usize>,
}

pub(crate) struct GatedLink<const IS_UNANSWERED: bool>(Arc<Connection>);

impl<const IS_UNANSWERED: bool> Engine<IS_UNANSWERED> {
    pub(crate) fn connection(&self, number: usize) -> Arc<Connection> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner)[number])
    }
}

impl Connection {
    pub(crate) fn lose(&self) {
        self.lost.cancel();
    }

    /// Returns when the instance, and whatever it has begun, holds this connection no more.
    pub(crate) async fn is_let_go(&self) {
        timeout(PATIENCE, self.let_go.cancelled()).await.expect("nothing holds it");
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.names().contains(name)
    }

    /// What has been handed over so far: the frames of each message.
    pub(crate) fn published(&self) -> Vec<Vec<Frame>> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |Outgoing { name, message }: &Outgoing| {
            let topic = name.as_str().strip_prefix("tavern.").expect("it has the namespace").into();
            wire::frames(&topic, message.clone()).map(|one| one.expect("it is a frame")).collect()
        };
        published.iter().map(read).collect()
    }

    pub(crate) fn grant(&self, name: &str) {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn take(&self, outgoing: Outgoing) -> Handover {
        if self.refuses.load(Ordering::Relaxed) {
            return Handover::Refused(Error::backend("it takes nothing now"));
        }
        self.published.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing);
        Handover::Taken
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn new() -> Self {
        Self { open: Semaphore::new(OPEN), arrived: watch::Sender::new(0) }
    }

    pub(crate) fn shut(&self) {
        self.open.forget_permits(OPEN);
    }

    pub(crate) fn let_through(&self, requests: usize) {
        self.open.add_permits(requests);
    }

    /// How many have come to the gate.
    pub(crate) fn arrived(&self) -> usize {
        *self.arrived.borrow()
    }

    pub(crate) async fn have_arrived(&self, requests: usize) {
        let mut arrived = self.arrived.subscribe();
        let all = arrived.wait_for(|arrived| *arrived >= requests);
        drop(timeout(PATIENCE, all).await.expect("so many come").expect("the gate is there"));
    }

    async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        self.open.acquire().await.expect("it is never closed").forget();
    }
}

#[async_trait]
impl<const IS_UNANSWERED: bool> Driver for Engine<IS_UNANSWERED> {
    type Link = GatedLink<IS_UNANSWERED>;

    async fn connect(&self, inbox: Inbox) -> Result<Self::Link, BoxError> {
        let connection = Arc::new(Connection {
            inbox,
            subscribe: Gate::new(),
            unsubscribe: Gate::new(),
            catch_up: Gate::new(),
            publish: Gate::new(),
            ping: Gate::new(),
            granted: Mutex::default(),
            is_idle: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            wakes: AtomicBool::new(false),
            published: Mutex::default(),
            names: Mutex::default(),
            lost: CancellationToken::new(),
            let_go: CancellationToken::new(),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&connection));
        Ok(GatedLink(connection))
    }
}

impl<const IS_UNANSWERED: bool> Drop for GatedLink<IS_UNANSWERED> {
    fn drop(&mut self) {
        self.0.let_go.cancel();
    }
}

async fn wake_while_polled() {
    let mut is_woken = false;
    poll_fn(|context| {
        if mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// It answers also after it was given up: a connection may be slow, and not dead.
#[async_trait]
impl<const IS_UNANSWERED: bool> Link for GatedLink<IS_UNANSWERED> {
    fn max_message(&self) -> Option<usize> {
        None
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        self.0.subscribe.pass().await;
        self.0.names().insert(name.as_str().to_owned());
        Ok(())
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.0.unsubscribe.pass().await;
        self.0.names().remove(name.as_str());
        Ok(())
    }

    async fn catch_up(&self, _name: &EngineName) -> Result<()> {
        self.0.catch_up.pass().await;
        Ok(())
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover> {
        if self.0.wakes.load(Ordering::Relaxed) {
            wake_while_polled().await;
        }
        self.0.publish.pass().await;
        assert!(!self.0.panics.load(Ordering::Relaxed), "an adapter with a fault");
        let mut handovers: Vec<_> =
            messages.into_iter().map(|outgoing| self.0.take(outgoing)).collect();
        if self.0.forgets.load(Ordering::Relaxed) {
            handovers.pop();
        }
        handovers
    }

    const IS_UNANSWERED: bool = IS_UNANSWERED;

    fn is_granted(&self, name: &EngineName) -> bool {
        let granted = self.0.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.contains(name.as_str())
    }

    fn is_idle(&self) -> bool {
        self.0.is_idle.load(Ordering::Relaxed)
    }

    fn try_publish(&self, outgoing: &Outgoing) -> Option<Handover> {
        Some(self.0.take(outgoing.clone()))
    }

    async fn ping(&self) -> Result<()> {
        self.0.ping.pass().await;
        Ok(())
    }

    async fn lost(&self) -> BoxError {
        self.0.lost.cancelled().await;
        "the test has lost it".into()
    }

    async fn close(&self) -> Result<()> {
        let is_lost = self.0.lost.is_cancelled();
        if is_lost { Err(Error::unavailable("the test has lost it")) } else { Ok(()) }
    }
}
