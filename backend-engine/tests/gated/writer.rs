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
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::coop::unconstrained;
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

/// An instance that has published three envelopes, none of which has been handed over.
async fn with_three(engine: &Engine, options: Options) -> EngineBackend<Engine> {
    let instance = connect(engine, options).await;
    let connection = engine.connection(0);
    // One that shows that it works, and the first one that looks after it: with no tally before it.
    connection.ping.have_arrived(2).await;
    connection.grant("tavern.orders");
    connection.publish.shut();
    for data in ["1", "2", "3"] {
        instance.publish(MessageEnvelope::new("orders", data)).await.unwrap();
    }
    connection.publish.have_arrived(1).await;
    instance
}

#[track_caller]
fn is_told_of_three(closed: backend_core::Result<()>) {
    let error = closed.unwrap_err();
    assert!(matches!(error, Error::Unconfirmed(_)), "{error:?}");
    assert!(error.to_string().contains("3 envelopes"), "{error}");
}

#[test]
fn closing_tells_of_what_the_end_of_the_runtime_has_lost() {
    let (its, own) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let engine = Engine::default();
    let instance = its.block_on(with_three(&engine, options()));
    its.shutdown_background();
    let closed = own.block_on(async { timeout(PATIENCE, instance.close()).await });
    is_told_of_three(closed.expect("it ends"));
}

#[test]
fn what_never_left_is_told_from_what_is_unconfirmed() {
    let (its, own) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let engine = Engine::default();
    let instance = its.block_on(connect(&engine, options()));
    let connection = engine.connection(0);
    let publish = |data| instance.publish(MessageEnvelope::new("orders", data));
    own.block_on(async {
        connection.ping.have_arrived(2).await;
        connection.publish.shut();
        let (mut first, mut second) = (publish("handed over"), publish("behind it"));
        assert!(poll!(&mut first).is_pending());
        connection.publish.have_arrived(1).await;
        assert!(poll!(&mut second).is_pending());
        its.shutdown_background();
        let results = async { tokio::join!(first, second) };
        let (first, second) = timeout(PATIENCE, results).await.expect("they end");
        assert!(matches!(first, Err(Error::Unconfirmed(_))), "{first:?}");
        // Whether the writer ends first, or the supervisor.
        assert!(matches!(second, Err(Error::Closed | Error::Unavailable(_))), "{second:?}");
    });
}

#[tokio::test]
async fn closing_tells_of_what_an_adapter_that_panics_has_lost() {
    let engine = Engine::default();
    let instance = with_three(&engine, options()).await;
    let connection = engine.connection(0);
    connection.panics.store(true, Relaxed);
    let mut closing = instance.close();
    assert!(poll!(&mut closing).is_pending());
    // It is the close that meets it, and not an outage.
    tokio::task::yield_now().await;
    connection.publish.let_through(1_000);
    is_told_of_three(timeout(PATIENCE, closing).await.expect("it ends"));
}

#[tokio::test]
async fn closing_tells_of_what_is_refused_if_the_tally_is_too() {
    for format in [Format::Binary, Format::Json] {
        let engine = Engine::default();
        let mut options = options();
        options.format = format;
        let instance = with_three(&engine, options).await;
        let connection = engine.connection(0);
        connection.refuses.store(true, Relaxed);
        connection.publish.let_through(1_000);
        is_told_of_three(timeout(PATIENCE, instance.close()).await.expect("it ends"));
    }
}

#[tokio::test]
async fn a_tally_that_is_refused_is_sent_again() {
    let engine = Engine::default();
    let mut options = options();
    options.ping_interval = Duration::from_millis(1);
    let instance = with_three(&engine, options).await;
    let connection = engine.connection(0);
    connection.refuses.store(true, Relaxed);
    connection.publish.let_through(1_000);
    connection.publish.have_arrived(3).await;
    connection.refuses.store(false, Relaxed);
    let is_told = async {
        while connection.published().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_told).await.expect("it is told");
    let told = connection.published().remove(0).remove(0);
    assert!(told.is_tally);
    assert_eq!(told.stamp.unwrap().sequence, 3);
    // One that may have begun before it, and one behind it.
    connection.ping.have_arrived(connection.ping.arrived() + 3).await;
    timeout(PATIENCE, instance.close()).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_ping_settles_nothing_that_comes_behind_it() {
    let engine = Engine::default();
    let mut options = options();
    options.format = Format::Json;
    options.ping_interval = Duration::from_millis(1);
    let instance = connect(&engine, options).await;
    let connection = engine.connection(0);
    connection.grant("tavern.orders");
    connection.ping.have_arrived(2).await;
    connection.ping.shut();
    connection.ping.have_arrived(connection.ping.arrived() + 1).await;
    connection.refuses.store(true, Relaxed);
    instance.publish(MessageEnvelope::new("orders", "lost")).await.unwrap();
    timeout(PATIENCE, connection.inbox.published()).await.expect("it is handed over");
    let next = connection.ping.arrived() + 1;
    connection.ping.let_through(1);
    connection.ping.have_arrived(next).await;
    // The next one is on its way, which settles it, and is not answered.
    let closed = timeout(PATIENCE, instance.close()).await.expect("it ends");
    assert!(matches!(closed, Err(Error::Unconfirmed(_))), "{closed:?}");
}

/// More than wait in the queue: they have a place in it, and are not polled.
#[tokio::test]
async fn closing_waits_for_nobody_who_is_not_polled() {
    let engine = Engine::default();
    let instance = connect(&engine, options()).await;
    let connection = engine.connection(0);
    connection.publish.shut();
    let mut waiting: Vec<_> = (0..1_100)
        .map(|number| instance.publish(MessageEnvelope::new("news", number.to_string())))
        .collect();
    for publish in &mut waiting {
        assert!(unconstrained(async { poll!(publish) }).await.is_pending());
    }
    connection.publish.have_arrived(1).await;
    let mut closing = instance.close();
    assert!(poll!(&mut closing).is_pending());
    connection.publish.let_through(1_000);
    // Half of the time that an operation may take.
    let closed = timeout(Options::default().operation_timeout / 2, closing).await;
    closed.expect("it does not wait").expect("nothing is lost");

    let mut taken = 0;
    for publish in waiting {
        let result = timeout(PATIENCE, publish).await.expect("it ends");
        assert!(matches!(result, Ok(()) | Err(Error::Closed)), "{result:?}");
        taken += usize::from(result.is_ok());
    }
    let frames = connection.published().into_iter().flatten();
    assert_eq!(frames.filter(|one| !one.is_tally).count(), taken);
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
