//! The contract's methods: encode, hand over, wait for the answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, Error, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};
use backend_fanout::{Bus, DEFAULT_CAPACITY, Health};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::connection::{Answer, Call, Connection, Link};
use crate::frame::{self, Request};
use crate::released::Released;
use crate::supervisor::{Shared, supervise};

/// What may be chosen about an instance.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many envelopes a topic keeps for a reader that has not taken them.
    pub capacity: usize,
    /// How often the relay is asked for a sign of life, from 10 ms to 20 s. After two without one,
    /// the connection counts as lost; an operation waits that long at most.
    pub heartbeat: Duration,
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(20);

impl Default for Options {
    fn default() -> Self {
        Self { capacity: DEFAULT_CAPACITY, heartbeat: Duration::from_secs(2) }
    }
}

/// One instance, connected to a relay. Instances on the same relay are linked.
///
/// Dropping it closes it; [`close`](Backend::close) waits until its task has ended, too.
pub struct RelayBackend {
    shared: Arc<Shared>,
    instance: Uuid,
    tasks: TaskTracker,
    sent: AtomicU64,
}

impl RelayBackend {
    /// A new instance on the relay at `address`, such as `localhost:7000`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the relay cannot be reached. Later on, the instance connects
    /// again by itself.
    pub async fn connect(address: impl Into<String>) -> Result<Self> {
        Self::connect_with(address, Options::default()).await
    }

    /// As [`connect`](Self::connect), with options.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(address: impl Into<String>, options: Options) -> Result<Self> {
        let heartbeat = options.heartbeat.clamp(SHORTEST, LONGEST);
        let (address, instance) = (address.into(), Uuid::new_v4());
        let opened = Connection::open(&address, instance, heartbeat).await;
        let connection = opened.map_err(Error::unavailable)?;

        let bus = Bus::with_capacity(options.capacity);
        let released = Arc::new(Released::default());
        let releases = Arc::clone(&released);
        let shared = Arc::new(Shared {
            users: bus.attach_with_release(move |topic| releases.add(topic)),
            engine: bus.attach(),
            released,
            health: Health::new(),
            link: watch::Sender::new(Some(connection.link())),
            stop: CancellationToken::new(),
            heartbeat,
        });
        let tasks = TaskTracker::new();
        tasks.spawn(supervise(Arc::clone(&shared), address, instance, connection));
        Ok(Self { shared, instance, tasks, sent: AtomicU64::new(0) })
    }

    /// The id by which the relay knows this instance.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// Hands a request over, to be answered.
    async fn call(&self, request: &Request, answer: Answer) -> Result<()> {
        let link = self.link()?;
        let frame = frame::encode_request(request)?;
        link.send(Call { frame, answer }).await.map_err(|_| self.outage())
    }

    fn link(&self) -> Result<Link> {
        let link = self.shared.link.borrow().clone();
        link.filter(|_| !self.shared.users.is_closed()).ok_or_else(|| self.outage())
    }

    /// Why there is no connection.
    fn outage(&self) -> Error {
        if self.shared.users.is_closed() {
            return Error::Closed;
        }
        Error::unavailable("the connection to the relay is lost")
    }
}

#[async_trait]
impl Backend for RelayBackend {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.call(&Request::Publish(envelope), Answer::Done(answer)).await?;
        // Lost or closed after it was handed over: the relay may have got it, or not.
        answered.await.map_err(|_| Error::unconfirmed(self.outage()))?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let (answer, answered) = oneshot::channel();
        let answer = Answer::Subscription(topic.to_owned(), answer);
        self.call(&Request::Subscribe(topic.to_owned()), answer).await?;
        answered.await.map_err(|_| self.outage())?
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        // Ends the streams at once, and gives the topic up at the relay by way of `Released`.
        self.shared.users.unsubscribe(topic)
    }

    async fn close(&self) -> Result<()> {
        self.end();
        self.tasks.wait().await;
        Ok(())
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        Some(self)
    }
}

impl RelayBackend {
    fn end(&self) {
        self.shared.health.close();
        self.shared.users.close();
        self.shared.stop.cancel();
        self.tasks.close();
    }
}

/// Closes the instance, on whatever thread that happens; the task ends by itself.
impl Drop for RelayBackend {
    fn drop(&mut self) {
        self.end();
    }
}

impl HealthAwareBackend for RelayBackend {
    fn is_healthy(&self) -> bool {
        self.shared.health.is_healthy()
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.shared.health.on_reconnect(callback);
    }
}

impl ObservableBackend for RelayBackend {
    fn stats(&self) -> BackendStats {
        let mut stats = self.shared.users.stats();
        stats.sent = self.sent.load(Ordering::Relaxed);
        stats
    }
}

impl fmt::Debug for RelayBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayBackend").field("users", &self.shared.users).finish_non_exhaustive()
    }
}
