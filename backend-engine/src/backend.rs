//! The contract's methods, for any engine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, Error, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};
use tokio::task::coop::consume_budget;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::core::{Core, Live};
use crate::driver::{Driver, Link};
use crate::name::Names;
use crate::options::Options;
use crate::outbox::{Offered, Waits};
use crate::registry::Held;
use crate::supervisor::{connect, supervise};

/// One instance of a service on an engine. Instances of one namespace on one engine are linked.
///
/// Adapters wrap it. Dropping it closes it; [`close`](Backend::close) waits until its tasks have
/// ended, too.
pub struct EngineBackend<D: Driver> {
    core: Arc<Core<D::Link>>,
    tasks: TaskTracker,
}

impl<D: Driver> EngineBackend<D> {
    /// A new instance, connected.
    ///
    /// Needs a tokio runtime, in which its tasks run until it is closed or dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the engine cannot be reached or turns the instance away. Later
    /// on, the instance connects again by itself.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose time is not enabled; and if the driver's
    /// [`longest_name`](Driver::longest_name) is less than 45, which is a mistake of the adapter.
    pub async fn connect(driver: D, options: Options) -> Result<Self> {
        let options = options.within_reason();
        let names = Names::within(&options.namespace, driver.longest_name());
        let core = Arc::new(Core::new(options, names));
        let first = connect(&driver, &core, core.next_era()).await.map_err(Error::unavailable)?;
        let mut up = core.live.subscribe();
        let tasks = TaskTracker::new();
        tasks.spawn(supervise(driver, Arc::clone(&core), first));
        let instance = Self { core, tasks };
        // Ready for use on return (H1). Should the connection be lost at once, the error says so.
        let patience = instance.core.options.operation_timeout;
        match timeout(patience, up.wait_for(Option::is_some)).await {
            Ok(Ok(_)) => Ok(instance),
            _ => Err(instance.core.outage()),
        }
    }

    async fn within<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let patience = self.core.options.operation_timeout;
        let result = timeout(patience, operation).await;
        match result.unwrap_or(Err(Error::Timeout(patience))) {
            // Closing ends the connection under operations that are on it (C1, C2).
            Err(Error::Unavailable(_)) if self.core.users.is_closed() => Err(Error::Closed),
            result => result,
        }
    }

    async fn wait(&self, waits: Waits) -> Result<()> {
        let handed_over =
            async { waits.handed_over().await.unwrap_or_else(|| Err(self.core.outage())) };
        self.within(handed_over).await
    }

    async fn register(&self, topic: &str) -> Result<Subscription> {
        let core = &*self.core;
        let live = core.live()?;
        let name = core.names.name(topic);
        // Dropped half-way, or refused, it is given up again if nobody else is subscribed (X1).
        let _undo = GiveUp { core, topic };
        loop {
            // Once the engine holds it, many subscribe to one topic beside one another.
            let shared = core.registry.share(topic).await;
            if *shared == Held::Yes {
                // The slot may be one of another connection, of which this one knows nothing.
                core.check_still(&live)?;
                // What is on its way was published before: it comes before the answer (D3).
                live.link.catch_up(&name).await?;
                return self.subscribed(topic, &live);
            }
            drop(shared);
            let mut held = core.registry.enter(topic).await;
            if *held == Held::Yes {
                continue;
            }
            core.check_still(&live)?;
            *held = Held::Perhaps;
            core.topics.listen(&name, topic);
            live.link.subscribe(&name).await?;
            core.topics.begin(&name);
            *held = Held::Yes;
            return self.subscribed(topic, &live);
        }
    }

    /// With the topic's slot held.
    fn subscribed(&self, topic: &str, live: &Live<D::Link>) -> Result<Subscription> {
        let subscription = self.core.users.subscribe(topic)?;
        // Another connection knows nothing of it, if it came before that.
        self.core.check_still(live)?;
        Ok(subscription)
    }
}

/// Gives a topic up at the engine, unless somebody is subscribed to it by then.
struct GiveUp<'a, L: Link> {
    core: &'a Core<L>,
    topic: &'a str,
}

impl<L: Link> Drop for GiveUp<'_, L> {
    fn drop(&mut self) {
        if !self.core.users.is_subscribed(self.topic) {
            self.core.released.add(self.topic);
        }
    }
}

#[async_trait]
impl<D: Driver> Backend for EngineBackend<D> {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        // The short way never waits: without this, a loop of publishes would never let others run.
        consume_budget().await;
        let result = match self.core.offer(envelope) {
            Offered::Done(result) => result,
            // In a box of its own: the future of the short way is to be small.
            Offered::Alone(alone) => Box::pin(self.within(alone.handed_over(&self.core))).await,
            Offered::Waits(waits) => Box::pin(self.wait(waits)).await,
        };
        if result.is_ok() {
            self.core.counters.sent();
        }
        result
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.within(self.register(topic)).await
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        // Ends the streams at once; the supervisor gives the topic up at the engine.
        self.core.users.unsubscribe(topic)
    }

    async fn close(&self) -> Result<()> {
        self.core.end();
        self.tasks.close();
        self.tasks.wait().await;
        self.core.take_leave()
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        Some(self)
    }
}

/// Closes the instance, on whatever thread that happens; its tasks end by themselves.
impl<D: Driver> Drop for EngineBackend<D> {
    fn drop(&mut self) {
        self.core.end();
        self.tasks.close();
    }
}

impl<D: Driver> HealthAwareBackend for EngineBackend<D> {
    fn is_healthy(&self) -> bool {
        self.core.health.is_healthy()
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.core.health.on_reconnect(callback);
    }
}

impl<D: Driver> ObservableBackend for EngineBackend<D> {
    fn stats(&self) -> BackendStats {
        let mut stats = self.core.users.stats();
        self.core.counters.enter_into(&mut stats);
        stats
    }
}

impl<D: Driver> fmt::Debug for EngineBackend<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBackend")
            .field("namespace", &self.core.options.namespace)
            .field("users", &self.core.users)
            .finish_non_exhaustive()
    }
}
