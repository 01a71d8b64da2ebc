//! What becomes of the task that hands over, and of those who rely on it, when things go wrong.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use backend_engine::wire::Format;
use backend_engine::{EngineBackend, Options};
use bytes::Bytes;
use futures_util::{FutureExt, poll};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::engine::Engine;

const PATIENCE: Duration = Duration::from_secs(20);

/// The next ping comes in an hour.
fn options() -> Options {
    let mut options = Options::default();
    options.ping_interval = Duration::from_secs(3_600);
    options.backoff = (Duration::from_millis(1), Duration::from_millis(5));
    options
}

async fn connect(engine: &Engine, options: Options) -> EngineBackend<Engine> {
    EngineBackend::connect(engine.clone(), options).await.expect("the engine takes everybody")
}

/// Data whose owner panics when they are dropped.
struct Panics;

impl AsRef<[u8]> for Panics {
    fn as_ref(&self) -> &[u8] {
        b"data"
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("the publisher's own panic");
    }
}

#[tokio::test]
async fn data_that_panic_when_dropped_harm_no_other_publisher() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let panics = || instance.publish(MessageEnvelope::new("orders", Bytes::from_owner(Panics)));
    let publish = || instance.publish(MessageEnvelope::new("orders", "data"));
    // Two, for a second panic during a first one ends the process.
    let (first, second, third) =
        timeout(PATIENCE, async { tokio::join!(panics(), panics(), publish()) })
            .await
            .expect("they end");
    assert!(first.is_ok() && second.is_ok() && third.is_ok(), "{first:?} {second:?} {third:?}");
    publish().await.expect("it goes on");
    let published = engine.connection(0).published().into_iter().flatten();
    assert_eq!(published.filter(|frame| !frame.is_tally).count(), 4);
}

/// A publisher's waker that panics.
struct PanicsToo;

impl Wake for PanicsToo {
    fn wake(self: Arc<Self>) {
        panic!("the publisher's own panic");
    }
}

#[tokio::test]
async fn a_waker_that_panics_harms_no_other_publisher() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let connection = engine.connection(0);
    connection.publish.shut();
    let mut first = instance.publish(MessageEnvelope::new("orders", "first")).boxed();
    let waker = Waker::from(Arc::new(PanicsToo));
    assert!(first.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    let second = instance.publish(MessageEnvelope::new("orders", "second"));
    connection.publish.let_through(1_000);
    timeout(PATIENCE, second).await.expect("it ends").expect("it goes on");
    let third = instance.publish(MessageEnvelope::new("orders", "third"));
    timeout(PATIENCE, third).await.expect("it ends").expect("it goes on");
    first.await.expect("it was handed over");
}

/// A publisher's waker that publishes.
struct Publishes(Weak<EngineBackend<Engine>>);

impl Wake for Publishes {
    fn wake(self: Arc<Self>) {
        if let Some(instance) = self.0.upgrade() {
            let _ = instance.publish(MessageEnvelope::new("woken", "")).now_or_never();
        }
    }
}

#[test]
fn publishers_are_woken_with_no_lock_held() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (done, when_done) = mpsc::channel();
    runtime.spawn(async move {
        let mut options = options();
        options.format = Format::Json;
        let instance = Arc::new(connect(&Engine::default(), options).await);
        // JSON has no form for it, which the task that hands over finds out.
        let endless = MessageEnvelope::new("orders", "").with_ttl(Duration::MAX);
        let mut refused = instance.publish(endless).boxed();
        let waker = Waker::from(Arc::new(Publishes(Arc::downgrade(&instance))));
        assert!(refused.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        instance.publish(MessageEnvelope::new("orders", "data")).await.unwrap();
        done.send(()).unwrap();
    });
    // Not a time of the runtime's: its threads may all wait for the lock.
    let goes_on = when_done.recv_timeout(PATIENCE);
    runtime.shutdown_background();
    goes_on.expect("no lock is held");
}

#[tokio::test]
async fn an_adapter_that_panics_has_lost_its_connection() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let again = Arc::new(Notify::new());
    let notify = Arc::clone(&again);
    instance.on_reconnect(Box::new(move || notify.notify_one()));
    engine.connection(0).panics.store(true, Relaxed);
    let publish = || instance.publish(MessageEnvelope::new("orders", "data"));
    assert!(matches!(publish().await, Err(Error::Unconfirmed(_))));
    timeout(PATIENCE, again.notified()).await.expect("it gets another connection");
    publish().await.expect("it goes on");
}

#[tokio::test]
async fn an_adapter_that_does_not_say_of_each_what_became_of_it_is_misread_for_none() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    engine.connection(0).forgets.store(true, Relaxed);
    let publish = |topic| instance.publish(MessageEnvelope::new(topic, "data"));
    let (first, second, third) = tokio::join!(publish("a"), publish("b"), publish("c"));
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert!(matches!(third, Err(Error::Unconfirmed(_))), "{third:?}");
}

#[tokio::test]
async fn what_a_lost_connection_had_in_its_hands_is_unconfirmed() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let connection = engine.connection(0);
    // It says of neither what became of it.
    connection.publish.shut();
    let publish = |data| instance.publish(MessageEnvelope::new("orders", data));
    let lose = async {
        connection.publish.have_arrived(1).await;
        connection.lose();
    };
    let (first, second, ()) = tokio::join!(publish("handed over"), publish("behind it"), lose);
    for result in [first, second] {
        assert!(matches!(result, Err(Error::Unconfirmed(_))), "{result:?}");
    }
}

#[tokio::test]
async fn nobody_is_answered_before_what_a_lost_connection_hands_over_still() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let connection = engine.connection(0);
    connection.grant("tavern.orders");
    connection.publish.shut();
    instance.publish(MessageEnvelope::new("orders", "before")).await.unwrap();
    connection.publish.have_arrived(1).await;
    connection.lose();
    while instance.is_healthy() {
        tokio::task::yield_now().await;
    }
    // Given up, but there: somebody asks over it, and is not to see what came before.
    let mut asked = connection.inbox.published().boxed();
    let answered = poll!(&mut asked).is_ready();
    assert!(!answered || !connection.published().is_empty(), "it is not handed over yet");
}

#[tokio::test]
async fn closing_ends_what_hangs() {
    let engine = Engine::default();
    let mut options = options();
    options.operation_timeout = Duration::from_millis(50);
    let instance = connect(&engine, options).await;
    let connection = engine.connection(0);
    connection.grant("tavern.orders");
    connection.publish.shut();
    instance.publish(MessageEnvelope::new("orders", "data")).await.unwrap();
    connection.publish.have_arrived(1).await;
    let closed = timeout(PATIENCE, instance.close()).await.expect("it ends");
    assert!(matches!(closed, Err(Error::Unconfirmed(_))), "{closed:?}");
    // The engine's, and this one.
    assert_eq!(Arc::strong_count(&connection), 2, "something holds the connection still");
}

#[tokio::test]
async fn closing_tells_of_what_may_be_lost_and_once() {
    for is_lost in [false, true] {
        let engine = Engine::default();
        let mut options = options();
        // It is in the outage still when it is closed.
        options.backoff = (PATIENCE, PATIENCE);
        let instance = connect(&engine, options).await;
        let connection = engine.connection(0);
        connection.grant("tavern.orders");
        for data in ["1", "2", "3"] {
            instance.publish(MessageEnvelope::new("orders", data)).await.unwrap();
        }
        timeout(PATIENCE, connection.inbox.published()).await.expect("it is handed over");
        if is_lost {
            connection.lose();
            while instance.is_healthy() {
                tokio::task::yield_now().await;
            }
        }
        let closed = timeout(PATIENCE, instance.close()).await.expect("it ends");
        let told = closed.as_ref().is_err_and(|error| error.to_string().contains("3 envelopes"));
        assert_eq!(told, is_lost, "{closed:?}");
        instance.close().await.expect("it is closed");
    }
}

#[tokio::test]
async fn closing_tells_others_how_much_was_published() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let connection = engine.connection(0);
    for (topic, data) in [("orders", "1"), ("orders", "2"), ("prices", "3")] {
        instance.publish(MessageEnvelope::new(topic, data)).await.unwrap();
    }
    timeout(PATIENCE, instance.close()).await.expect("it ends").unwrap();
    let frames = connection.published().into_iter().flatten();
    let mut tallies: Vec<_> = frames
        .skip(3)
        .map(|one| (one.is_tally, one.envelope.topic().to_owned(), one.stamp.unwrap().sequence))
        .collect();
    tallies.sort();
    assert_eq!(tallies, [(true, "orders".to_owned(), 2), (true, "prices".to_owned(), 1)]);
}

#[tokio::test]
async fn closing_tells_nothing_of_what_a_ping_has_followed() {
    let engine = Engine::default();
    let mut options = options();
    options.ping_interval = Duration::from_millis(1);
    options.backoff = (PATIENCE, PATIENCE);
    let instance = connect(&engine, options).await;
    let connection = engine.connection(0);
    instance.publish(MessageEnvelope::new("orders", "data")).await.unwrap();
    // The first of them may have begun before.
    connection.ping.have_arrived(connection.ping.arrived() + 3).await;
    connection.lose();
    while instance.is_healthy() {
        tokio::task::yield_now().await;
    }
    timeout(PATIENCE, instance.close()).await.expect("it ends").expect("nothing is lost");
}
