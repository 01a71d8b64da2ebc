//! What the Go package `memory` promises, item by item: its own tests, and its doc comments.
//! `docs/from-tavern.md` has the two side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use backend_core::{
    Backend, Error, Event, Gap, HealthAwareBackend, MessageEnvelope, Subscription, TryRecvError,
};
use backend_memory::MemoryBackend;

async fn message(subscription: &mut Subscription) -> MessageEnvelope {
    match subscription.recv().await {
        Some(Event::Message(envelope)) => envelope,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// `TestPublishReachesFork`
#[tokio::test]
async fn publish_reaches_a_fork() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let mut ch = b2.subscribe("orders").await.unwrap();
    let envelope = MessageEnvelope::new("orders", "new-order");
    b1.publish(envelope.clone()).await.unwrap();
    assert_eq!(message(&mut ch).await, envelope);
}

/// `TestPublishDoesNotEcho`, with a sentinel in place of 50 ms of silence.
#[tokio::test]
async fn publish_does_not_echo() {
    let b = MemoryBackend::new();
    let mut ch = b.subscribe("orders").await.unwrap();
    b.publish(MessageEnvelope::new("orders", "self")).await.unwrap();
    b.fork().publish(MessageEnvelope::new("orders", "sentinel")).await.unwrap();
    assert_eq!(message(&mut ch).await.data(), "sentinel");
}

/// `TestBidirectional`
#[tokio::test]
async fn both_directions() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let mut ch1 = b1.subscribe("chat").await.unwrap();
    let mut ch2 = b2.subscribe("chat").await.unwrap();
    b1.publish(MessageEnvelope::new("chat", "hello")).await.unwrap();
    assert_eq!(message(&mut ch2).await.data(), "hello");
    b2.publish(MessageEnvelope::new("chat", "world")).await.unwrap();
    assert_eq!(message(&mut ch1).await.data(), "world");
}

/// `TestUnsubscribe`
#[tokio::test]
async fn unsubscribe_ends_the_stream() {
    let b2 = MemoryBackend::new().fork();
    let mut ch = b2.subscribe("orders").await.unwrap();
    b2.unsubscribe("orders").await.unwrap();
    assert_eq!(ch.recv().await, None);
    b2.unsubscribe("never subscribed").await.unwrap();
}

/// `TestCloseClosesChannels`, `ErrClosed`
#[tokio::test]
async fn close_ends_the_streams_and_every_operation() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let mut ch = b2.subscribe("orders").await.unwrap();
    b2.close().await.unwrap();
    assert_eq!(ch.recv().await, None);

    for _ in 0..2 {
        let envelope = MessageEnvelope::new("", "");
        assert!(matches!(b2.publish(envelope.clone()).await, Err(Error::Closed)));
        assert!(matches!(b2.publish_now(envelope), Err(Error::Closed)));
        assert!(matches!(b2.subscribe("orders").await, Err(Error::Closed)));
        assert!(matches!(b2.unsubscribe("orders").await, Err(Error::Closed)));
        b2.close().await.unwrap();
    }
    b1.publish(MessageEnvelope::new("orders", "others go on")).await.unwrap();
}

/// `TestSubscribeIdempotent`, on purpose the other way round: Tavern hands out the same channel
/// twice, so that its readers compete; here each subscription sees everything.
#[tokio::test]
async fn two_subscriptions_are_independent() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let mut ch1 = b2.subscribe("t").await.unwrap();
    let mut ch2 = b2.subscribe("t").await.unwrap();
    b1.publish(MessageEnvelope::new("t", "x")).await.unwrap();
    assert_eq!(message(&mut ch1).await.data(), "x");
    assert_eq!(message(&mut ch2).await.data(), "x");
}

/// `TestScopedEnvelope`
#[tokio::test]
async fn the_scope_travels() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let mut ch = b2.subscribe("orders").await.unwrap();
    b1.publish(MessageEnvelope::new("orders", "scoped").with_scope("user:42")).await.unwrap();
    assert_eq!(message(&mut ch).await.scope(), Some("user:42"));
}

/// `TestMultipleForks`, and a fork of a fork.
#[tokio::test]
async fn several_forks() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let b3 = b2.fork();
    let mut ch2 = b2.subscribe("x").await.unwrap();
    let mut ch3 = b3.subscribe("x").await.unwrap();
    b1.publish(MessageEnvelope::new("x", "fan")).await.unwrap();
    assert_eq!(message(&mut ch2).await.data(), "fan");
    assert_eq!(message(&mut ch3).await.data(), "fan");
}

/// "New creates a new in-process Backend with its own bus."
#[tokio::test]
async fn two_new_backends_never_meet() {
    let (one, two) = (MemoryBackend::new(), MemoryBackend::new());
    let mut ch = two.subscribe("t").await.unwrap();
    one.publish(MessageEnvelope::new("t", "x")).await.unwrap();
    two.fork().publish(MessageEnvelope::new("t", "sentinel")).await.unwrap();
    assert_eq!(message(&mut ch).await.data(), "sentinel");
}

/// A fork is healthy whatever its origin is, and there is one of a closed backend, too.
#[tokio::test]
async fn a_fork_of_a_closed_partitioned_or_unhealthy_backend_is_fresh() {
    let origin = MemoryBackend::new();
    let witness = origin.fork();
    let mut ch = witness.subscribe("t").await.unwrap();
    origin.set_healthy(false);
    origin.partition();
    assert!(origin.fork().is_healthy());
    origin.close().await.unwrap();
    let fork = origin.fork();
    assert!(fork.is_healthy() && !origin.is_healthy());
    fork.publish(MessageEnvelope::new("t", "x")).await.unwrap();
    assert_eq!(message(&mut ch).await.data(), "x");
}

/// "Healthy … Returns false when the backend is closed or has been marked unhealthy."
#[tokio::test]
async fn set_healthy_is_a_label_and_traffic_goes_on() {
    let b1 = MemoryBackend::new();
    let b2 = b1.fork();
    let mut ch = b2.subscribe("t").await.unwrap();
    assert!(b1.is_healthy());
    b1.set_healthy(false);
    b2.set_healthy(false);
    assert!(!b1.is_healthy());
    b1.publish(MessageEnvelope::new("t", "x")).await.unwrap();
    assert_eq!(message(&mut ch).await.data(), "x");
    assert_eq!(ch.try_recv(), Err(TryRecvError::Empty), "and there is no gap");
    b1.set_healthy(true);
    assert!(b1.is_healthy());
    b1.close().await.unwrap();
    b1.set_healthy(true);
    assert!(!b1.is_healthy());
}

fn count_recoveries(backend: &MemoryBackend) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    backend.on_reconnect(Box::new(move || {
        counter.fetch_add(1, SeqCst);
    }));
    count
}

/// "OnReconnect registers a callback that fires when the backend transitions from unhealthy to
/// healthy." Tavern keeps the last one only; here every one is kept.
#[tokio::test]
async fn callbacks_fire_once_per_edge() {
    let backend = MemoryBackend::new();
    let (first, second) = (count_recoveries(&backend), count_recoveries(&backend));
    let counts = || (first.load(SeqCst), second.load(SeqCst));

    backend.set_healthy(true);
    backend.heal();
    assert_eq!(counts(), (0, 0), "healthy to healthy");
    backend.set_healthy(false);
    backend.set_healthy(false);
    assert_eq!(counts(), (0, 0));
    backend.set_healthy(true);
    backend.set_healthy(true);
    assert_eq!(counts(), (1, 1));
    backend.partition();
    backend.heal();
    assert_eq!(counts(), (2, 2));

    // Both at once: healthy again when both are over.
    backend.partition();
    backend.set_healthy(false);
    backend.heal();
    assert!(!backend.is_healthy());
    assert_eq!(counts(), (2, 2));
    backend.set_healthy(true);
    assert_eq!(counts(), (3, 3));

    backend.set_healthy(false);
    backend.close().await.unwrap();
    backend.set_healthy(true);
    backend.heal();
    assert_eq!(counts(), (3, 3), "never after close");
}

/// A partition really cuts the instance off, both ways, and the same stream goes on with a gap.
#[tokio::test]
async fn a_partition_cuts_off_and_heals_with_a_gap() {
    let (here, there) = {
        let b = MemoryBackend::new();
        (b.fork(), b)
    };
    let mut own = there.subscribe("t").await.unwrap();
    let mut others = here.subscribe("t").await.unwrap();
    let publish = |backend: &MemoryBackend, data: &'static str| {
        backend.publish_now(MessageEnvelope::new("t", data))
    };

    publish(&here, "before").unwrap();
    there.partition();
    assert!(!there.is_healthy() && here.is_healthy());
    publish(&here, "during").unwrap();
    assert!(matches!(publish(&there, "refused"), Err(Error::Unavailable(_))));
    assert!(matches!(there.subscribe("t").await, Err(Error::Unavailable(_))));
    assert_eq!(message(&mut own).await.data(), "before");
    assert_eq!(own.try_recv(), Err(TryRecvError::Empty));

    there.heal();
    publish(&here, "after").unwrap();
    publish(&there, "back").unwrap();
    assert_eq!(own.recv().await, Some(Event::Gap(Gap::reconnected())));
    assert_eq!(message(&mut own).await.data(), "after");
    assert_eq!(message(&mut others).await.data(), "back", "nothing was queued");
}

/// A callback owns whatever it likes, the backend's own handle too: close lets it go.
#[tokio::test]
async fn close_releases_the_callbacks() {
    let backend = Arc::new(MemoryBackend::new());
    let weak = Arc::downgrade(&backend);
    let itself = Arc::clone(&backend);
    backend.on_reconnect(Box::new(move || assert!(itself.is_healthy())));
    backend.close().await.unwrap();
    drop(backend);
    assert!(weak.upgrade().is_none());
}

#[test]
fn the_capacity_is_exact_and_shared_by_forks() {
    let first = MemoryBackend::builder().capacity(3).build();
    let second = first.fork().fork();
    let mut reader = futures_block_on(second.subscribe("t")).unwrap();
    for n in 0..5 {
        first.publish_now(MessageEnvelope::new("t", n.to_string())).unwrap();
    }
    assert_eq!(reader.try_recv(), Ok(Event::Gap(Gap::lagged(2))));
    for n in 2..5 {
        assert_eq!(reader.try_recv(), Ok(Event::Message(MessageEnvelope::new("t", n.to_string()))));
    }
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
}

/// The futures of this backend are ready at the first poll, so any executor will do, or none.
fn futures_block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it never waits"),
    }
}

/// Readers blocked on threads of no runtime, dropped by the hundred thousand.
#[test]
fn a_hundred_thousand_readers_on_a_quiet_topic_leave_nothing() {
    let backend = MemoryBackend::new();
    let publisher = backend.fork();
    for _ in 0..100_000 {
        let mut reader = futures_block_on(backend.subscribe("quiet")).unwrap();
        assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    }
    let stats = backend.as_observable().map(|backend| backend.stats()).unwrap();
    assert_eq!((stats.subscriptions, stats.topics), (0, 0));
    publisher.publish_now(MessageEnvelope::new("quiet", "x")).unwrap();
}
