//! Pointers to a backend forward every method; the `as_` ones, which have a default, too.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use backend_core::{
    Backend, BackendStats, Error, Event, Gap, HealthAwareBackend, MessageEnvelope,
    ObservableBackend, ReconnectCallback, Result, Subscription, async_trait,
};
use futures_util::stream;

#[derive(Clone, Debug, PartialEq)]
enum Call {
    Publish(MessageEnvelope),
    Subscribe(String),
    Unsubscribe(String),
    Close,
    AsHealthAware,
    AsObservable,
    IsHealthy,
    OnReconnect,
    Stats,
}

/// Notes every call, and gives answers that no default would give.
#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Recorder {
    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[async_trait]
impl Backend for Recorder {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.note(Call::Publish(envelope));
        Err(Error::Unsupported("publish".into()))
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.note(Call::Subscribe(topic.into()));
        Ok(Subscription::new(topic, stream::iter([Event::Gap(Gap::lagged(17))])))
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.note(Call::Unsubscribe(topic.into()));
        Err(Error::Unsupported("unsubscribe".into()))
    }

    async fn close(&self) -> Result<()> {
        self.note(Call::Close);
        Err(Error::Unsupported("close".into()))
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        self.note(Call::AsHealthAware);
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        self.note(Call::AsObservable);
        Some(self)
    }
}

impl HealthAwareBackend for Recorder {
    fn is_healthy(&self) -> bool {
        self.note(Call::IsHealthy);
        true
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.note(Call::OnReconnect);
        callback();
    }
}

impl ObservableBackend for Recorder {
    fn stats(&self) -> BackendStats {
        self.note(Call::Stats);
        distinct_stats()
    }
}

fn distinct_stats() -> BackendStats {
    let mut stats = BackendStats::default();
    stats.sent = 41;
    stats.topics = 7;
    stats
}

/// A wrapper whose author forgot the `as_` methods.
struct Forgetful<B>(B);

#[async_trait]
impl<B: Backend> Backend for Forgetful<B> {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.0.publish(envelope).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.0.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.0.unsubscribe(topic).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

fn unsupported(result: Result<()>, operation: &str) {
    assert!(matches!(&result, Err(Error::Unsupported(what)) if what == operation), "{result:?}");
}

/// Calls the four operations through `backend`; each must reach the recorder once, and its answer
/// must come back.
async fn operations_are_forwarded(backend: impl Backend, recorder: &Recorder) {
    let envelope = MessageEnvelope::new("orders", "coffee").with_id("1");

    unsupported(backend.publish(envelope.clone()).await, "publish");
    assert_eq!(recorder.take(), [Call::Publish(envelope)]);

    let mut subscription = backend.subscribe("orders").await.unwrap();
    assert_eq!(recorder.take(), [Call::Subscribe("orders".into())]);
    assert_eq!(subscription.topic(), "orders");
    assert_eq!(subscription.recv().await, Some(Event::Gap(Gap::lagged(17))));

    unsupported(backend.unsubscribe("orders").await, "unsubscribe");
    assert_eq!(recorder.take(), [Call::Unsubscribe("orders".into())]);

    unsupported(backend.close().await, "close");
    assert_eq!(recorder.take(), [Call::Close]);
}

fn health_is_forwarded(health: impl HealthAwareBackend, recorder: &Recorder) {
    assert!(health.is_healthy());
    assert_eq!(recorder.take(), [Call::IsHealthy]);

    let fired = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&fired);
    health.on_reconnect(Box::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    assert_eq!(recorder.take(), [Call::OnReconnect]);
    assert_eq!(fired.load(Ordering::Relaxed), 1, "the callback itself went through");
}

fn counters_are_forwarded(observable: impl ObservableBackend, recorder: &Recorder) {
    assert_eq!(observable.stats(), distinct_stats());
    assert_eq!(recorder.take(), [Call::Stats]);
}

fn shows_health(backend: impl Backend) -> bool {
    backend.as_health_aware().is_some()
}

fn shows_counters(backend: impl Backend) -> bool {
    backend.as_observable().is_some()
}

async fn everything_is_forwarded(backend: impl Backend, recorder: &Recorder) {
    operations_are_forwarded(&backend, recorder).await;

    let health = backend.as_health_aware().expect("as_health_aware is forwarded");
    assert_eq!(recorder.take(), [Call::AsHealthAware]);
    health_is_forwarded(health, recorder);

    let observable = backend.as_observable().expect("as_observable is forwarded");
    assert_eq!(recorder.take(), [Call::AsObservable]);
    counters_are_forwarded(observable, recorder);

    operations_are_forwarded(backend, recorder).await;
}

#[tokio::test]
async fn one_pointer_forwards_everything() {
    let recorder = Recorder::default();

    everything_is_forwarded(recorder.clone(), &recorder).await;
    everything_is_forwarded(&recorder, &recorder).await;
    everything_is_forwarded(Arc::new(recorder.clone()), &recorder).await;
    everything_is_forwarded(Box::new(recorder.clone()), &recorder).await;
}

#[tokio::test]
async fn a_pointer_to_any_backend_forwards_everything() {
    let recorder = Recorder::default();

    let shared: Arc<dyn Backend> = Arc::new(recorder.clone());
    everything_is_forwarded(shared, &recorder).await;
    let boxed: Box<dyn Backend> = Box::new(recorder.clone());
    everything_is_forwarded(boxed, &recorder).await;
    let borrowed: &dyn Backend = &recorder;
    everything_is_forwarded(borrowed, &recorder).await;
}

#[tokio::test]
async fn pointers_to_pointers_forward_everything() {
    let recorder = Recorder::default();
    let shared: Arc<dyn Backend> = Arc::new(recorder.clone());
    let boxed = || -> Box<dyn Backend> { Box::new(recorder.clone()) };

    everything_is_forwarded(&shared, &recorder).await;
    everything_is_forwarded(&&shared, &recorder).await;
    everything_is_forwarded(Arc::new(boxed()), &recorder).await;
    everything_is_forwarded(Box::new(Arc::clone(&shared)), &recorder).await;
    everything_is_forwarded(Arc::new(Box::new(Arc::clone(&shared))), &recorder).await;

    // A pointer may become "any backend" again.
    let twice: Arc<dyn Backend> = Arc::new(boxed());
    everything_is_forwarded(twice, &recorder).await;
    let twice: Box<dyn Backend> = Box::new(shared);
    everything_is_forwarded(twice, &recorder).await;
}

#[tokio::test]
async fn pointers_to_the_other_traits_are_backends_and_forward() {
    let recorder = Recorder::default();

    let shared: Arc<dyn HealthAwareBackend> = Arc::new(recorder.clone());
    health_is_forwarded(&shared, &recorder);
    health_is_forwarded(Box::new(Arc::clone(&shared)), &recorder);
    everything_is_forwarded(shared, &recorder).await;
    let boxed: Box<dyn HealthAwareBackend> = Box::new(recorder.clone());
    health_is_forwarded(&*boxed, &recorder);
    everything_is_forwarded(boxed, &recorder).await;
    health_is_forwarded(Box::new(recorder.clone()), &recorder);

    let shared: Arc<dyn ObservableBackend> = Arc::new(recorder.clone());
    counters_are_forwarded(&shared, &recorder);
    counters_are_forwarded(Box::new(Arc::clone(&shared)), &recorder);
    everything_is_forwarded(shared, &recorder).await;
    let boxed: Box<dyn ObservableBackend> = Box::new(recorder.clone());
    counters_are_forwarded(&*boxed, &recorder);
    everything_is_forwarded(boxed, &recorder).await;
    counters_are_forwarded(Arc::new(recorder.clone()), &recorder);
}

/// The tests above can fail: here is a wrapper that they would not let pass.
#[tokio::test]
async fn a_wrapper_that_forgets_is_found_out() {
    let recorder = Recorder::default();
    operations_are_forwarded(Forgetful(recorder.clone()), &recorder).await;

    assert!(shows_health(&recorder) && shows_counters(&recorder));
    assert!(!shows_health(Forgetful(recorder.clone())));
    assert!(!shows_counters(Forgetful(recorder.clone())));
    // Nor does a pointer invent what is not there.
    assert!(!shows_health(Arc::new(Forgetful(recorder.clone()))));
    assert!(!shows_counters(Box::new(Forgetful(&recorder)) as Box<dyn Backend + '_>));
}
