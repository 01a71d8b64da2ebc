//! The wrapper: an application's end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, Error, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};

use super::controls::Controls;
use super::recording::Record;
use super::rule::Rule;
use super::script::Fault;
use super::shared::Shared;
use super::{Fate, Operation};

/// Any backend, and whatever a test wants to go wrong with it.
///
/// The [module's page](super) shows how it is used. It is a backend like the one inside: give it
/// to the application in that one's place, and keep its [`controls`](Self::controls).
///
/// Without rules and outages it adds nothing and takes nothing away; the whole suite passes over
/// it. Its health is that of the backend inside, and no scripted outage. So it always knows its
/// health, also where the backend inside does not. It has counters where the backend inside has.
pub struct Faulty<B> {
    inner: Arc<B>,
    shared: Arc<Shared>,
}

impl<B: Backend + 'static> Faulty<B> {
    /// `backend`, with nothing wrong yet.
    #[must_use]
    pub fn new(backend: B) -> Self {
        let inner = Arc::new(backend);
        let weak = Arc::downgrade(&inner);
        let shared = Arc::new(Shared::new(weak));
        if let Some(health) = inner.as_health_aware() {
            let shared = Arc::downgrade(&shared);
            health.on_reconnect(Box::new(move || {
                if let Some(shared) = shared.upgrade() {
                    shared.inner_recovered();
                }
            }));
        }
        Self { inner, shared }
    }

    /// With this rule, behind those that are there. More may come later:
    /// [`Controls::add_rule`].
    #[must_use]
    pub fn with_rule(self, rule: Rule) -> Self {
        self.shared.script.add(rule);
        self
    }

    /// With chance from this seed; 0 unless set, so that a test does the same every time.
    ///
    /// With the same seed, a rule decides the same about the same calls in the same order, and
    /// about the same messages of the same subscription (by the order of subscribing), whatever
    /// happens elsewhere meanwhile.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.shared.script.set_seed(seed);
        self
    }

    /// With a recording that keeps the last `steps`; 10,000 unless set. With 0, nothing is
    /// recorded, and [`Controls::until`] waits for ever.
    ///
    /// A kept step keeps its envelope.
    #[must_use]
    pub fn with_recording_of(self, steps: usize) -> Self {
        self.shared.recorder.set_limit(steps);
        self
    }

    /// The test's hold on it, for as long as the test likes.
    #[must_use]
    pub fn controls(&self) -> Controls {
        Controls::of(Arc::clone(&self.shared))
    }

    /// The backend inside. What is done to it directly meets no rule and is not recorded.
    #[must_use]
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Refuses a call in an outage, and lets it meet the rules otherwise. A fault that is only a
    /// wait is over when this returns.
    async fn meet(
        &self,
        operation: Operation,
        topic: Option<&str>,
        envelope: Option<&MessageEnvelope>,
    ) -> Result<Option<Fault>> {
        let shared = &self.shared;
        // Closed is closed: no rule and no outage hides it (C2).
        if shared.is_closed() {
            return Ok(None);
        }
        let cut_off_is_refused = !matches!(operation, Operation::Unsubscribe | Operation::Close);
        if cut_off_is_refused {
            shared.check_link()?;
        }
        match shared.script.call(operation, topic, envelope) {
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Wait(pause, fate)) => {
                self.record(operation, topic, envelope, fate);
                pause.wait().await;
                if cut_off_is_refused {
                    shared.check_link()?;
                }
                Ok(None)
            }
            fault => Ok(fault),
        }
    }

    fn record(
        &self,
        operation: Operation,
        topic: Option<&str>,
        envelope: Option<&MessageEnvelope>,
        fate: Fate,
    ) {
        let mut record = Record::new(operation, fate);
        if let Some(topic) = topic {
            record = record.on(topic);
        }
        if let Some(envelope) = envelope {
            record = record.of(envelope);
        }
        self.shared.recorder.write(record);
    }

    async fn try_publish(&self, envelope: &MessageEnvelope) -> Result<()> {
        let topic = Some(envelope.topic());
        let fault = self.meet(Operation::Publish, topic, Some(envelope)).await?;
        let note = |fate| self.record(Operation::Publish, topic, Some(envelope), fate);
        match fault {
            Some(Fault::Drop) => {
                note(Fate::Dropped);
                self.shared.told.sent.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Some(Fault::Duplicate) => {
                note(Fate::Duplicated);
                self.inner.publish(envelope.clone()).await?;
                note(Fate::Passed);
                // The first is out: no error of the second may say that nobody got it.
                self.inner.publish(envelope.clone()).await.map_err(Error::unconfirmed)?;
                note(Fate::Passed);
                return Ok(());
            }
            Some(Fault::SendAndFail(error)) => {
                self.inner.publish(envelope.clone()).await?;
                note(Fate::Passed);
                return Err(error);
            }
            _ => {}
        }
        self.inner.publish(envelope.clone()).await?;
        note(Fate::Passed);
        Ok(())
    }

    async fn try_subscribe(&self, topic: &str) -> Result<Subscription> {
        self.meet(Operation::Subscribe, Some(topic), None).await?;
        let subscription = self.inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, self.shared.connect(topic, subscription)?))
    }

    /// Writes down the error of a call.
    fn noted<T>(
        &self,
        operation: Operation,
        topic: Option<&str>,
        envelope: Option<&MessageEnvelope>,
        result: Result<T>,
    ) -> Result<T> {
        result.inspect_err(|error: &Error| {
            self.record(operation, topic, envelope, Fate::Refused(error.to_string()));
        })
    }
}

#[async_trait]
impl<B: Backend + 'static> Backend for Faulty<B> {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        let result = self.try_publish(&envelope).await;
        self.noted(Operation::Publish, Some(envelope.topic()), Some(&envelope), result)
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let result = self.try_subscribe(topic).await;
        self.noted(Operation::Subscribe, Some(topic), None, result)
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        let operation = Operation::Unsubscribe;
        let result = match self.meet(operation, Some(topic), None).await {
            Ok(_) => self.inner.unsubscribe(topic).await,
            Err(error) => Err(error),
        };
        if result.is_ok() {
            self.record(operation, Some(topic), None, Fate::Passed);
        }
        self.noted(operation, Some(topic), None, result)
    }

    async fn close(&self) -> Result<()> {
        let scripted = self.meet(Operation::Close, None, None).await;
        self.shared.close();
        let result = self.inner.close().await.and(scripted.map(drop));
        if result.is_ok() {
            self.record(Operation::Close, None, None, Fate::Passed);
        }
        self.noted(Operation::Close, None, None, result)
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        self.inner.as_observable().map(|_| self as &dyn ObservableBackend)
    }
}

impl<B: Backend + 'static> HealthAwareBackend for Faulty<B> {
    fn is_healthy(&self) -> bool {
        self.shared.is_healthy()
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.shared.health.on_reconnect(callback);
    }
}

/// The counters of the backend inside, with what rules and outages have added. What a rule sends
/// twice counts twice, and what it sends and lets fail counts, too.
impl<B: Backend + 'static> ObservableBackend for Faulty<B> {
    fn stats(&self) -> BackendStats {
        let mut stats = self.inner.as_observable().map(|inner| inner.stats()).unwrap_or_default();
        let told = &self.shared.told;
        stats.connected &= !self.shared.is_cut();
        stats.sent += told.sent.load(Ordering::Relaxed);
        stats.gaps += told.gaps.load(Ordering::Relaxed);
        stats.missed += told.missed.load(Ordering::Relaxed);
        stats.expired += told.expired.load(Ordering::Relaxed);
        stats
    }
}

/// Dropping the last handle closes (C4): the backend inside does so when it goes.
impl<B> Drop for Faulty<B> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<B> fmt::Debug for Faulty<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("controls", &Controls::of(Arc::clone(&self.shared)))
            .finish_non_exhaustive()
    }
}
