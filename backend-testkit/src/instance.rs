//! An instance of the backend under test, as checks use it: every call has the deadline and goes
//! into the story.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_core::{
    Backend, BackendStats, Error, HealthAwareBackend, MessageEnvelope, ReconnectCallback,
    Subscription,
};

use crate::bench::Bench;
use crate::failure::{Explain, Failure, Verified};
use crate::harness::Means;
use crate::poll::{Flag, poll_once};
use crate::reader::Reader;
use crate::show::{quoted, shown};
use crate::{Clause, Faults};

/// How often an engine is asked again what it holds.
const PROBE_AGAIN: Duration = Duration::from_millis(5);

/// A clone is another handle to the same instance.
#[derive(Clone)]
pub(crate) struct Instance {
    name: Arc<str>,
    index: usize,
    backend: Arc<dyn Backend>,
    /// Dropped after the backend, which needs what is in it.
    means: Means,
    bench: Bench,
}

impl Instance {
    pub(crate) fn new(
        name: String,
        index: usize,
        backend: Arc<dyn Backend>,
        means: Means,
        bench: Bench,
    ) -> Self {
        Self { name: name.into(), index, backend, means, bench }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The harness' way to cut instances off, which there must be where faults are claimed.
    pub(crate) fn faults(&self) -> Verified<Arc<dyn Faults>> {
        self.means.faults.clone().ok_or_else(|| {
            Failure::harness("a cluster with faults, since they are claimed", "one without")
        })
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Publishes `data`, which must be `Ok`.
    pub(crate) async fn publish(&self, topic: &str, data: &str) -> Verified {
        self.send(MessageEnvelope::new(topic, data.to_owned())).await
    }

    /// Publishes an envelope, which must be `Ok`.
    pub(crate) async fn send(&self, envelope: MessageEnvelope) -> Verified {
        let what = format!("{} publishes {}", self.name, shown(&envelope));
        self.try_send(envelope)
            .await?
            .map_err(|error| Failure::new(format!("{what}: Ok"), format!("the error {error:?}")))
    }

    /// Publishes an envelope, whatever comes of it.
    pub(crate) async fn try_send(&self, envelope: MessageEnvelope) -> Verified<Result<(), Error>> {
        let what = format!("{} publishes {}", self.name, shown(&envelope));
        self.operate(what, self.backend.publish(envelope)).await
    }

    /// Subscribes, which must be `Ok`.
    pub(crate) async fn subscribe(&self, topic: &str) -> Verified<Reader> {
        let what = format!("{} subscribes to {}", self.name, quoted(topic));
        self.try_subscribe(topic)
            .await?
            .map_err(|error| Failure::new(format!("{what}: Ok"), format!("the error {error:?}")))
    }

    /// Subscribes, whatever comes of it.
    pub(crate) async fn try_subscribe(&self, topic: &str) -> Verified<Result<Reader, Error>> {
        let what = format!("{} subscribes to {}", self.name, quoted(topic));
        let result = self.operate(what, self.backend.subscribe(topic)).await?;
        Ok(result.map(|subscription| self.reader(topic, subscription)))
    }

    /// A reader of a subscription that was made in another way.
    pub(crate) fn reader(&self, topic: &str, subscription: Subscription) -> Reader {
        let name = format!("{}'s {}", self.name, quoted(topic));
        Reader::new(name, topic.to_owned(), subscription, self.bench.clone())
    }

    /// A reader that has got this envelope of `publisher`'s, and has not read it.
    ///
    /// That it has arrived is known from the reader's own wake-up, and from nothing else: what
    /// another subscription has got says nothing, since each may have a way of its own.
    pub(crate) async fn unread(
        &self,
        publisher: &Self,
        envelope: MessageEnvelope,
    ) -> Verified<Reader> {
        let mut reader = self.subscribe(envelope.topic()).await?;
        let flag = Flag::new();
        reader.expect_pending_with("before the first publish", &flag.waker())?;
        let what = shown(&envelope);
        publisher.send(envelope).await?;
        reader.is_woken(&flag, &what).await?;
        Ok(reader)
    }

    /// Unsubscribes, which must be `Ok`.
    pub(crate) async fn unsubscribe(&self, topic: &str) -> Verified {
        let what = format!("{} unsubscribes from {}", self.name, quoted(topic));
        self.try_unsubscribe(topic)
            .await?
            .map_err(|error| Failure::new(format!("{what}: Ok"), format!("the error {error:?}")))
    }

    /// Unsubscribes, whatever comes of it.
    pub(crate) async fn try_unsubscribe(&self, topic: &str) -> Verified<Result<(), Error>> {
        let what = format!("{} unsubscribes from {}", self.name, quoted(topic));
        self.operate(what, self.backend.unsubscribe(topic)).await
    }

    /// Closes, which must be `Ok`.
    pub(crate) async fn close(&self) -> Verified {
        self.try_close().await?.map_err(|error| {
            Failure::new(format!("{} closes: Ok", self.name), format!("the error {error:?}"))
        })
    }

    /// Closes, whatever comes of it.
    pub(crate) async fn try_close(&self) -> Verified<Result<(), Error>> {
        self.operate(format!("{} closes", self.name), self.backend.close()).await
    }

    /// Drops this handle, which is the last one.
    pub(crate) fn drop_last_handle(self) {
        self.bench.story().tell(format!("the last handle of {} is dropped", self.name));
        let story = self.bench.story().clone();
        story.during(format!("the drop of {}'s last handle", self.name), || drop(self));
    }

    /// Cuts it off, and waits until it has noticed where it knows its health.
    pub(crate) async fn cut(&self) -> Verified {
        self.cut_unnoticed().await?;
        if self.bench.claims().health() {
            self.until_healthy_is(false).await.of(Clause::H2)?;
        }
        Ok(())
    }

    /// Cuts it off and goes on at once.
    pub(crate) async fn cut_unnoticed(&self) -> Verified {
        self.fault(true).await
    }

    /// Ends the cut, and waits until it is healthy where it knows that.
    pub(crate) async fn restore(&self) -> Verified {
        self.restore_unnoticed().await?;
        if self.bench.claims().health() {
            self.until_healthy_is(true).await.of(Clause::H2)?;
        }
        Ok(())
    }

    /// Ends the cut and goes on at once.
    pub(crate) async fn restore_unnoticed(&self) -> Verified {
        self.fault(false).await
    }

    async fn fault(&self, cut: bool) -> Verified {
        let what =
            format!("{} is {}", self.name, if cut { "cut off" } else { "let back to its bus" });
        let faults = self.faults()?;
        let fault = async {
            if cut { faults.cut(self.index).await } else { faults.restore(self.index).await }
        };
        self.operate(what.clone(), fault).await?.map_err(|error| {
            Failure::harness(format!("{what} by the harness"), format!("the error {error}"))
        })
    }

    /// The backend as one that knows its health, which it must be where health is claimed.
    pub(crate) fn health(&self) -> Verified<&dyn HealthAwareBackend> {
        self.backend.as_health_aware().ok_or_else(|| {
            Failure::new(
                format!("{}.as_health_aware() is Some, since health is claimed", self.name),
                "None: the health is hidden (does a wrapper forget to forward it?)",
            )
            .of(Clause::H1)
        })
    }

    pub(crate) fn is_healthy(&self) -> Verified<bool> {
        let health = self.health()?;
        Ok(self.bench.story().during(format!("{}.is_healthy()", self.name), || health.is_healthy()))
    }

    /// Fails unless the health is `healthy` right now.
    pub(crate) fn expect_healthy(&self, healthy: bool, when: &str) -> Verified {
        let seen = self.is_healthy()?;
        crate::failure::ensure(
            seen == healthy,
            format!("{}.is_healthy() is {healthy} {when}", self.name),
            format!("it is {seen}"),
        )
    }

    pub(crate) async fn until_healthy_is(&self, healthy: bool) -> Verified {
        let health = self.health()?;
        let word = if healthy { "healthy" } else { "unhealthy" };
        self.bench
            .until(format!("{} is {word}", self.name), || health.is_healthy() == healthy)
            .await
    }

    /// Registers a callback.
    pub(crate) fn on_reconnect(&self, callback: impl Fn() + Send + Sync + 'static) -> Verified {
        let health = self.health()?;
        let callback: ReconnectCallback = Box::new(callback);
        self.bench.story().tell(format!("{} gets a callback", self.name));
        self.bench
            .story()
            .during(format!("{}.on_reconnect(..)", self.name), || health.on_reconnect(callback));
        Ok(())
    }

    /// The counters, which there must be where they are claimed.
    pub(crate) fn stats(&self) -> Verified<BackendStats> {
        let observable = self.backend.as_observable().ok_or_else(|| {
            Failure::new(
                format!("{}.as_observable() is Some, since counters are claimed", self.name),
                "None: the counters are hidden (does a wrapper forget to forward them?)",
            )
        })?;
        Ok(self.bench.story().during(format!("{}.stats()", self.name), || observable.stats()))
    }

    /// Waits until so many subscriptions and topics are held, by the backend's counters and by the
    /// engine itself: by whichever is claimed.
    pub(crate) async fn until_held(&self, subscriptions: u64, topics: u64) -> Verified {
        if self.bench.claims().counters() {
            self.until_counted(subscriptions, topics).await?;
        }
        if self.bench.claims().probe() {
            self.until_registered(topics).await?;
        }
        Ok(())
    }

    async fn until_counted(&self, subscriptions: u64, topics: u64) -> Verified {
        self.stats()?;
        let mut last = BackendStats::default();
        let what = format!(
            "{} holds {subscriptions} subscriptions to {topics} topics by its counters",
            self.name
        );
        let held = self.bench.until(what, || {
            last = self.stats().unwrap_or_default();
            (last.subscriptions, last.topics) == (subscriptions, topics)
        });
        held.await.map_err(|failure| Failure {
            seen: format!("{} subscriptions to {} topics", last.subscriptions, last.topics),
            ..failure
        })
    }

    async fn until_registered(&self, topics: u64) -> Verified {
        let probe = self.means.probe.clone().ok_or_else(|| {
            Failure::harness("a cluster with a probe, since one is claimed", "one without")
        })?;
        let what = format!("the engine holds {topics} topics for {}", self.name);
        let since = Instant::now();
        loop {
            let asked = self.bench.within(what.clone(), probe.topics(self.index)).await?;
            let held = asked.map_err(|error| {
                Failure::harness(format!("the probe asks whether {what}"), error.to_string())
            })?;
            if held == topics {
                self.bench.story().tell(what);
                self.bench.observe();
                return Ok(());
            }
            if since.elapsed() > self.bench.deadline() {
                let seen = format!("{held}, after {:?}", self.bench.deadline());
                return Err(Failure::new(what, seen));
            }
            tokio::time::sleep(PROBE_AGAIN).await;
        }
    }

    /// Polls `operation` up to `polls` times and drops it. `Some` if it was ready by then.
    ///
    /// Between two polls it waits for the wake-up, so every await point is reached.
    pub(crate) async fn poll_and_drop<T>(
        &self,
        what: &str,
        polls: usize,
        operation: impl Future<Output = T> + Send,
    ) -> Verified<Option<T>> {
        self.bench
            .story()
            .tell(format!("{} {what}: polled {polls} times, then dropped", self.name));
        let mut operation = std::pin::pin!(operation);
        let flag = Flag::new();
        for poll in 0..polls {
            if poll > 0 {
                let what = format!("{} {what}: a wake-up after poll {poll}", self.name);
                self.bench.within(what, flag.woken()).await?;
            }
            if let Some(value) = poll_once(operation.as_mut(), &flag.waker()) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    async fn operate<T, E: std::fmt::Debug>(
        &self,
        what: String,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Verified<Result<T, E>> {
        self.bench.story().tell(what.clone());
        let result = self.bench.within(what, operation).await?;
        match &result {
            Ok(_) => self.bench.observe(),
            Err(error) => self.bench.story().tell(format!("     … the error {error:?}")),
        }
        Ok(result)
    }
}
