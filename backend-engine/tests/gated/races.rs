//! What an instance does while the engine has not answered yet.

use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use backend_core::{
    Backend, Event, Gap, GapCause, HealthAwareBackend, MessageEnvelope, ObservableBackend,
};
use backend_engine::wire::{self, Format};
use backend_engine::{EngineBackend, Options, Origin, Stamp};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, poll};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::engine::Engine;

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> Options {
    let mut options = Options::default();
    options.ping_interval = Duration::from_millis(20);
    options.backoff = (Duration::from_millis(1), Duration::from_millis(5));
    options
}

async fn connect(engine: &Engine) -> EngineBackend<Engine> {
    EngineBackend::connect(engine.clone(), options()).await.expect("the engine takes everybody")
}

/// Loses the connection, and waits for the next one.
async fn outage(engine: &Engine, instance: &EngineBackend<Engine>, number: usize) {
    let again = Arc::new(Notify::new());
    let notify = Arc::clone(&again);
    instance.on_reconnect(Box::new(move || notify.notify_one()));
    engine.connection(number).lose();
    timeout(PATIENCE, again.notified()).await.expect("it recovers");
}

#[tokio::test]
async fn what_a_lost_connection_answers_says_nothing_of_the_next_one() {
    let engine = Engine::default();
    let instance = connect(&engine).await;
    let old = engine.connection(0);
    old.subscribe.shut();
    let mut first = instance.subscribe("orders").boxed();
    let mut second = instance.subscribe("orders").boxed();
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());

    outage(&engine, &instance, 0).await;
    old.subscribe.let_through(1);
    assert!(first.await.is_err(), "its connection is lost");
    // It began with the lost connection, too, and has its turn only now.
    let second_ended = poll!(&mut second).is_ready();
    let mut third = instance.subscribe("orders").boxed();
    let mut ended = poll!(&mut third);
    old.subscribe.let_through(1);
    if !second_ended {
        assert!(second.await.is_err(), "its connection is lost");
    }
    if ended.is_pending() {
        ended = Poll::Ready(timeout(PATIENCE, third).await.expect("it ends"));
    }
    assert!(matches!(ended, Poll::Ready(Ok(_))), "{ended:?}");
    assert!(engine.connection(1).holds("tavern.orders"), "the next one has not been asked");
}

#[tokio::test]
async fn many_subscribe_to_one_topic_in_the_time_of_one() {
    let engine = Engine::default();
    let instance = connect(&engine).await;
    let connection = engine.connection(0);
    let _orders = instance.subscribe("orders").await.unwrap();

    connection.catch_up.shut();
    let mut many = Vec::new();
    for _ in 0..100 {
        let mut one = instance.subscribe("orders").boxed();
        assert!(poll!(&mut one).is_pending());
        many.push(one);
    }
    assert_eq!(connection.catch_up.arrived(), 100);
    connection.catch_up.let_through(100);
    for one in many {
        one.await.unwrap();
    }
    assert_eq!(connection.subscribe.arrived(), 1);
}

#[tokio::test]
async fn what_was_being_given_up_when_the_connection_was_lost_is_forgotten() {
    let engine = Engine::default();
    let instance = connect(&engine).await;
    let old = engine.connection(0);
    let orders = instance.subscribe("orders").await.unwrap();
    old.unsubscribe.shut();
    drop(orders);
    old.unsubscribe.have_arrived(1).await;
    outage(&engine, &instance, 0).await;

    // Of a topic that is remembered this would be read, and refused.
    engine.connection(1).inbox.deliver("tavern.orders", Bytes::from_static(b"no envelope"));
    assert_eq!(instance.stats().refused, 0);
}

/// A frame with this number, of one publisher.
fn frame(origin: Origin, sequence: u64) -> Bytes {
    let (stamp, mut into) = (Stamp { origin, epoch: 0, sequence }, BytesMut::new());
    let envelope = MessageEnvelope::new("orders", sequence.to_string());
    wire::encode(Format::Binary, &stamp, &envelope, &mut into).unwrap();
    into.freeze()
}

#[tokio::test]
async fn what_was_published_before_a_subscription_is_not_missing() {
    let engine = Engine::default();
    let instance = connect(&engine).await;
    let (connection, origin) = (engine.connection(0), Origin::random());
    connection.subscribe.shut();
    let mut subscribing = instance.subscribe("orders").boxed();
    assert!(poll!(&mut subscribing).is_pending());
    // One part of a cluster knows of the subscription already, and soon it does not.
    connection.inbox.deliver("tavern.orders", frame(origin, 1));
    connection.subscribe.let_through(1);
    let mut orders = subscribing.await.unwrap();

    connection.inbox.deliver("tavern.orders", frame(origin, 5));
    connection.inbox.deliver("tavern.orders", frame(origin, 7));
    assert_eq!(orders.try_recv().unwrap().message().unwrap().data(), "5");
    assert_eq!(orders.try_recv(), Ok(Event::Gap(Gap::new(GapCause::Lagged, Some(1)))));
    assert_eq!(orders.try_recv().unwrap().message().unwrap().data(), "7");
}

#[tokio::test]
async fn a_ping_does_not_wait_for_what_publishers_have_queued() {
    let engine = Engine::default();
    let instance = connect(&engine).await;
    let connection = engine.connection(0);
    connection.publish.shut();
    let mut slow = instance.publish(MessageEnvelope::new("orders", "large")).boxed();
    assert!(poll!(&mut slow).is_pending());

    connection.ping.have_arrived(connection.ping.arrived() + 5).await;
    assert!(instance.is_healthy());
    connection.publish.let_through(1_000);
    timeout(PATIENCE, slow).await.expect("it ends").unwrap();
}

/// Data whose owner publishes when they are dropped.
struct Owner(Weak<EngineBackend<Engine>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"data"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(instance) = self.0.upgrade() {
            let _ = instance.publish(MessageEnvelope::new("dropped", "")).now_or_never();
        }
    }
}

#[test]
fn data_are_dropped_with_no_lock_held() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let published = runtime.block_on(async {
        let engine = Engine::default();
        let instance = Arc::new(connect(&engine).await);
        let data = Bytes::from_owner(Owner(Arc::downgrade(&instance)));
        let publish = instance.publish(MessageEnvelope::new("orders", data));
        let published = timeout(PATIENCE, publish).await.map(|result| result.unwrap());
        // Closed here, by a thread that waits for itself, it would never end.
        std::mem::forget(instance);
        published
    });
    runtime.shutdown_background();
    published.expect("the publish ends");
}
