//! The hub over the memory backend, and over backends that fail in chosen ways.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, Error, Event, Gap, MessageEnvelope, Result, Subscription, TryRecvError,
};
use backend_hub::Hub;
use backend_memory::MemoryBackend;
use futures_core::Stream;

fn envelope(data: &'static str) -> MessageEnvelope {
    MessageEnvelope::new("room", data)
}

/// What is there now, written down.
fn story(subscription: &mut Subscription) -> String {
    let mut story = Vec::new();
    loop {
        match subscription.try_recv() {
            Ok(Event::Message(envelope)) => {
                story.push(String::from_utf8_lossy(envelope.data()).into_owned());
            }
            Ok(Event::Gap(Gap { missed, .. })) => {
                story.push(missed.map_or("[?]".to_owned(), |missed| format!("[{missed}]")));
            }
            Ok(_) => unreachable!(),
            Err(TryRecvError::Empty) => break,
            Err(TryRecvError::Closed) => {
                story.push("end".to_owned());
                break;
            }
        }
    }
    story.join(" ")
}

#[tokio::test]
async fn everybody_gets_one_copy_wherever_it_was_published() {
    let memory = MemoryBackend::new();
    let (here, there) = (Hub::new(memory.fork()), Hub::new(memory.fork()));
    let mut readers = [
        here.subscribe("room").await.unwrap(),
        here.subscribe("room").await.unwrap(),
        there.subscribe("room").await.unwrap(),
    ];
    let mut elsewhere = here.subscribe("another room").await.unwrap();
    here.publish(envelope("1")).await.unwrap();
    there.publish(envelope("2")).await.unwrap();
    for reader in &mut readers {
        let mut seen: Vec<_> = story(reader).split(' ').map(str::to_owned).collect();
        seen.sort();
        assert_eq!(seen, ["1", "2"]);
    }
    assert_eq!(story(&mut elsewhere), "");
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_either_side() {
    let memory = MemoryBackend::new();
    let (here, there) = (Hub::new(memory.fork()), Hub::new(memory.fork()));
    for publisher in [&here, &there] {
        let mut reader = here.subscribe("room").await.unwrap();
        let waiting = tokio::spawn(async move { reader.recv().await });
        // On this runtime of one thread, the reader has parked when this task goes on.
        tokio::task::yield_now().await;
        publisher.publish(envelope("x")).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Event::Message(envelope("x"))));
    }
}

#[tokio::test]
async fn an_outage_costs_only_the_others_and_the_publisher_is_told() {
    let memory = Arc::new(MemoryBackend::new());
    let (here, there) = (Hub::new(Arc::clone(&memory)), Hub::new(memory.fork()));
    let mut own = here.subscribe("room").await.unwrap();
    let mut other = there.subscribe("room").await.unwrap();

    memory.partition();
    let refused = here.publish(envelope("local")).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    there.publish(envelope("remote")).await.unwrap();
    assert!(here.subscribe("room").await.unwrap_err().is_retryable());
    assert_eq!(story(&mut own), "local");
    assert_eq!(story(&mut other), "remote");

    memory.heal();
    here.backend().publish(envelope("local")).await.unwrap();
    assert_eq!(story(&mut own), "[?]");
    assert_eq!(story(&mut other), "local");
}

#[tokio::test]
async fn a_slow_reader_is_told_of_both_its_losses() {
    let memory = MemoryBackend::builder().capacity(2).build();
    let (here, there) = (Hub::with_capacity(memory.fork(), 3), Hub::new(memory.fork()));
    let mut slow = here.subscribe("room").await.unwrap();
    for _ in 0..10 {
        here.publish(envelope("own")).await.unwrap();
    }
    for _ in 0..10 {
        there.publish(envelope("other")).await.unwrap();
    }
    let mut seen: Vec<_> = story(&mut slow).split(' ').map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen, ["[7]", "[8]", "other", "other", "own", "own", "own"]);
}

#[tokio::test]
async fn close_drains_and_ends_every_subscription() {
    let memory = MemoryBackend::new();
    let (here, there) = (Hub::new(memory.fork()), Hub::new(memory.fork()));
    let mut reader = here.subscribe("room").await.unwrap();
    let mut blocked = here.subscribe("quiet").await.unwrap();
    let blocked = tokio::spawn(async move { blocked.recv().await });
    here.publish(envelope("own")).await.unwrap();
    there.publish(envelope("other")).await.unwrap();
    tokio::task::yield_now().await;

    here.close().await.unwrap();
    here.close().await.unwrap();
    assert_eq!(blocked.await.unwrap(), None);
    assert_eq!(story(&mut reader), "own other end");
    assert!(here.publish(envelope("x")).await.unwrap_err().is_closed());
    assert!(here.subscribe("room").await.unwrap_err().is_closed());
    assert!(here.unsubscribe("room").await.unwrap_err().is_closed());
    assert!(here.backend().publish(envelope("x")).await.unwrap_err().is_closed());
    there.publish(envelope("others go on")).await.unwrap();
}

#[tokio::test]
async fn unsubscribe_ends_one_topic() {
    let hub = Hub::new(MemoryBackend::new());
    let mut room = hub.subscribe("room").await.unwrap();
    let mut other = hub.subscribe("other").await.unwrap();
    hub.publish(envelope("1")).await.unwrap();
    hub.unsubscribe("room").await.unwrap();
    hub.unsubscribe("unknown").await.unwrap();
    assert_eq!(story(&mut room), "1 end");
    assert_eq!(story(&mut other), "");
}

#[tokio::test]
async fn dropping_the_hub_ends_its_subscriptions_and_closes_the_instance() {
    let memory = MemoryBackend::new();
    let hub = Hub::new(memory.fork());
    let mut reader = hub.subscribe("room").await.unwrap();
    drop(hub);
    assert_eq!(reader.recv().await, None);
}

#[tokio::test]
async fn the_streams_end_with_the_backend_too() {
    let memory = Arc::new(MemoryBackend::new());
    let hub = Hub::new(Arc::clone(&memory));
    let mut reader = hub.subscribe("room").await.unwrap();
    hub.publish(envelope("1")).await.unwrap();
    memory.close().await.unwrap();
    assert_eq!(story(&mut reader), "1 end");
}

type Refusal = fn() -> Error;

/// Its streams are open, but it refuses every publish and fails to close.
struct Refusing {
    open: MemoryBackend,
    refusal: Refusal,
}

#[async_trait]
impl Backend for Refusing {
    async fn publish(&self, _: MessageEnvelope) -> Result<()> {
        Err((self.refusal)())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.open.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.open.unsubscribe(topic).await
    }

    async fn close(&self) -> Result<()> {
        Err((self.refusal)())
    }
}

impl Refusing {
    fn with(refusal: Refusal) -> Hub {
        Hub::new(Self { open: MemoryBackend::new(), refusal })
    }
}

#[tokio::test]
async fn what_the_backend_refuses_for_good_reaches_nobody() {
    let refusals: [(Refusal, &str); 4] = [
        (|| Error::PayloadTooLarge { actual: 2, limit: 1 }, ""),
        (|| Error::invalid_topic("room", "no rooms here"), ""),
        (|| Error::backend("access denied"), ""),
        (|| Error::Timeout(Duration::from_secs(1)), "x"),
    ];
    for (refusal, delivered) in refusals {
        let hub = Refusing::with(refusal);
        let mut reader = hub.subscribe("room").await.unwrap();
        let error = hub.publish(envelope("x")).await.unwrap_err();
        assert_eq!(story(&mut reader), delivered, "{error}");
    }
}

#[tokio::test]
async fn everything_ends_even_if_the_backend_fails_to_close() {
    let hub = Refusing::with(|| Error::backend("connection reset"));
    let mut reader = hub.subscribe("room").await.unwrap();
    assert!(matches!(hub.close().await, Err(Error::Backend(_))));
    assert_eq!(reader.recv().await, None);
    assert!(hub.subscribe("room").await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_stream_ends_though_its_backend_lives_on_and_never_pauses() {
    let memory = Arc::new(MemoryBackend::new());
    let there = memory.fork();
    let hub = Hub::new(Arc::clone(&memory));
    let mut reader = hub.subscribe("room").await.unwrap();
    there.publish_now(envelope("before")).unwrap();
    drop(hub);
    assert_eq!(reader.recv().await, Some(Event::Message(envelope("before"))));
    // Whatever is published now, the end has been noticed.
    for _ in 0..10 {
        there.publish_now(envelope("after")).unwrap();
        assert_eq!(reader.recv().await, None);
    }
}

/// A backend in whose streams something happens right after they had nothing.
struct Hooked {
    inner: MemoryBackend,
    hook: Hook,
}

type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

struct HookedStream(Subscription, Hook);

impl Stream for HookedStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let polled = Pin::new(&mut self.0).poll_next(cx);
        let hook = self.1.lock().unwrap().take();
        if let (Poll::Pending, Some(hook)) = (&polled, hook) {
            hook();
        }
        polled
    }
}

#[async_trait]
impl Backend for Hooked {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.inner.publish(envelope).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let inner = self.inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, HookedStream(inner, Arc::clone(&self.hook))))
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.inner.unsubscribe(topic).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[tokio::test]
async fn what_comes_between_the_two_looks_of_one_poll_is_not_lost() {
    let inner = MemoryBackend::new();
    let there = inner.fork();
    let hook = Hook::default();
    let hub = Arc::new(Hub::new(Hooked { inner, hook: Arc::clone(&hook) }));
    let mut reader = hub.subscribe("room").await.unwrap();
    hub.publish(envelope("own")).await.unwrap();
    assert_eq!(reader.recv().await, Some(Event::Message(envelope("own"))));

    // Now the backend's side is looked at first, and has nothing; then it gets something, and
    // everything is closed before the own side is looked at.
    let closing = Arc::clone(&hub);
    *hook.lock().unwrap() = Some(Box::new(move || {
        there.publish_now(envelope("accepted")).unwrap();
        let mut close = std::pin::pin!(closing.close());
        let closed = close.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(closed, Poll::Ready(Ok(()))));
    }));
    assert_eq!(reader.recv().await, Some(Event::Message(envelope("accepted"))));
    assert_eq!(reader.recv().await, None);
}
