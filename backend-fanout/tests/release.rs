//! What is held, and when it is let go: measured by payloads that report their own drop, by
//! wakers that count their handles, and by the counters.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use backend_core::{Event, MessageEnvelope, Subscription, TryRecvError};
use backend_fanout::{Bus, Endpoint};
use bytes::Bytes;

/// Counts the payloads that exist.
#[derive(Clone, Default)]
struct Payloads(Arc<AtomicUsize>);

struct Payload(Arc<AtomicUsize>);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        b"payload"
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Payloads {
    fn envelope(&self) -> MessageEnvelope {
        self.0.fetch_add(1, SeqCst);
        MessageEnvelope::new("t", Bytes::from_owner(Payload(Arc::clone(&self.0))))
    }

    fn alive(&self) -> usize {
        self.0.load(SeqCst)
    }
}

fn two(capacity: usize) -> (Endpoint, Endpoint) {
    let bus = Bus::with_capacity(capacity);
    (bus.attach(), bus.attach())
}

fn drain(subscription: &mut Subscription) -> usize {
    std::iter::from_fn(|| subscription.try_recv().ok()).count()
}

#[test]
fn nobody_subscribed_stores_nothing() {
    let (here, there) = two(8);
    let payloads = Payloads::default();
    here.publish(payloads.envelope()).unwrap();
    assert_eq!(payloads.alive(), 0);

    // Nor does a publisher that is the only one to subscribe.
    let _own = here.subscribe("t").unwrap();
    here.publish(payloads.envelope()).unwrap();
    assert_eq!(payloads.alive(), 0);

    let _other_topic = there.subscribe("u").unwrap();
    here.publish(payloads.envelope()).unwrap();
    assert_eq!(payloads.alive(), 0);
}

#[test]
fn the_last_reader_to_take_an_envelope_empties_the_ring() {
    let (here, there) = two(100);
    let payloads = Payloads::default();
    let mut readers: Vec<_> = (0..3).map(|_| there.subscribe("t").unwrap()).collect();
    let _publishers_own = here.subscribe("t").unwrap();
    for _ in 0..100 {
        here.publish(payloads.envelope()).unwrap();
    }
    assert_eq!(payloads.alive(), 100);
    assert_eq!(drain(&mut readers[0]), 100);
    assert_eq!(drain(&mut readers[1]), 100);
    assert_eq!(payloads.alive(), 100, "the third has not read yet");
    assert_eq!(drain(&mut readers[2]), 100);
    assert_eq!(payloads.alive(), 0, "though the publisher's own reader never polled");
}

#[test]
fn a_stalled_reader_holds_its_capacity_and_a_batch_at_most() {
    let (here, there) = two(50);
    let payloads = Payloads::default();
    let mut stalled = there.subscribe("t").unwrap();
    for _ in 0..50 {
        here.publish(payloads.envelope()).unwrap();
    }
    stalled.try_recv().unwrap();
    for _ in 0..10_000 {
        here.publish(payloads.envelope()).unwrap();
    }
    assert!(payloads.alive() <= 50 + 32, "{} are held", payloads.alive());
    drop(stalled);
    assert_eq!(payloads.alive(), 0);
}

#[test]
fn a_dropped_subscription_lets_go_what_it_had_not_read() {
    let (here, there) = two(100);
    let payloads = Payloads::default();
    let unread = there.subscribe("t").unwrap();
    let mut begun = there.subscribe("t").unwrap();
    let mut caught_up = there.subscribe("t").unwrap();
    for _ in 0..100 {
        here.publish(payloads.envelope()).unwrap();
    }
    begun.try_recv().unwrap();
    drop(begun);
    drain(&mut caught_up);
    assert_eq!(payloads.alive(), 100, "one has not read yet");
    drop(unread);
    assert_eq!(payloads.alive(), 0, "the topic lives on");
}

#[test]
fn ended_subscriptions_keep_their_backlog_until_it_is_drained_or_dropped() {
    let (here, there) = two(100);
    let payloads = Payloads::default();
    let mut drained = there.subscribe("t").unwrap();
    let dropped = there.subscribe("t").unwrap();
    here.publish(payloads.envelope()).unwrap();
    there.unsubscribe("t").unwrap();
    assert_eq!(here.bus().topics(), 0, "nobody subscribes any more");

    here.publish(payloads.envelope()).unwrap();
    assert_eq!(payloads.alive(), 1);
    assert!(matches!(drained.try_recv(), Ok(Event::Message(_))));
    assert_eq!(drained.try_recv(), Err(TryRecvError::Closed));
    drop(dropped);
    assert_eq!(payloads.alive(), 0);
}

#[test]
fn an_ended_subscription_keeps_nothing_from_before_its_time() {
    let bus = Bus::with_capacity(50);
    let (here, there, late) = (bus.attach(), bus.attach(), bus.attach());
    let payloads = Payloads::default();
    let _stalled = there.subscribe("t").unwrap();
    for _ in 0..50 {
        here.publish(payloads.envelope()).unwrap();
    }
    let _ended = late.subscribe("t").unwrap();
    late.unsubscribe("t").unwrap();
    for _ in 0..50 {
        here.publish(payloads.envelope()).unwrap();
    }
    assert_eq!(payloads.alive(), 50, "the stalled one may have these, and nobody the others");
}

#[test]
fn a_suspended_endpoint_accumulates_nothing() {
    let (here, there) = two(100);
    let payloads = Payloads::default();
    let mut reader = there.subscribe("t").unwrap();
    there.suspend();
    for _ in 0..100 {
        here.publish(payloads.envelope()).unwrap();
    }
    assert_eq!(payloads.alive(), 0);
    there.resume();
    assert!(matches!(reader.try_recv(), Ok(Event::Gap(_))));
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_hundred_thousand_outages_and_topics_leave_nothing_behind() {
    let (here, there) = two(4);
    let mut reader = there.subscribe("t").unwrap();
    for n in 0..100_000 {
        there.suspend();
        there.resume();
        drop(there.subscribe(&format!("one-off/{n}")).unwrap());
    }
    assert_eq!((here.bus().topics(), there.stats().topics, there.stats().subscriptions), (1, 1, 1));
    assert!(matches!(reader.try_recv(), Ok(Event::Gap(_))), "one place, one gap");
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
}

struct CountedWaker;

impl Wake for CountedWaker {
    fn wake(self: Arc<Self>) {}
}

/// Polls once, as one branch of a `select!` does, and gives up.
fn poll_once(subscription: &mut Subscription, waker: &Waker) {
    let recv = pin!(subscription.recv());
    assert_eq!(recv.poll(&mut Context::from_waker(waker)), Poll::Pending);
}

#[test]
fn a_reader_polled_again_and_again_leaves_one_waker() {
    let (_here, there) = two(4);
    let mut reader = there.subscribe("t").unwrap();
    let task = Arc::new(CountedWaker);
    let waker = Waker::from(Arc::clone(&task));
    for _ in 0..100_000 {
        poll_once(&mut reader, &waker);
    }
    assert_eq!(Arc::strong_count(&task), 3, "the task, its waker, and one parked");

    // Moved to another task, it leaves nothing of the first.
    let other = Arc::new(CountedWaker);
    poll_once(&mut reader, &Waker::from(Arc::clone(&other)));
    assert_eq!((Arc::strong_count(&task), Arc::strong_count(&other)), (2, 2));
    drop(reader);
    assert_eq!(Arc::strong_count(&other), 1);
}

#[test]
fn readers_dropped_while_parked_leave_no_waker() {
    let (_here, there) = two(4);
    let task = Arc::new(CountedWaker);
    let waker = Waker::from(Arc::clone(&task));
    let _keeps_the_topic = there.subscribe("t").unwrap();
    let mut readers: Vec<_> = (0..1_000).map(|_| there.subscribe("t").unwrap()).collect();
    for reader in &mut readers {
        poll_once(reader, &waker);
    }
    assert_eq!(Arc::strong_count(&task), 1_002);
    drop(readers);
    assert_eq!(Arc::strong_count(&task), 2);
}

/// Blocks for ever if a lock of the topic "t", of the endpoint or of the directory is held.
fn all_locks_are_free(endpoint: &Endpoint) {
    drop(endpoint.subscribe("t"));
    // New topics, in every part of the directory.
    for number in 0..1_000 {
        drop(endpoint.subscribe(&format!("new {number}")));
    }
}

/// A waker that looks whether the locks are free when it is woken or dropped.
struct Nosy {
    endpoint: Endpoint,
    woken: AtomicUsize,
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        all_locks_are_free(&self.endpoint);
        self.endpoint.publish(MessageEnvelope::new("t", "from a waker")).unwrap();
        self.woken.fetch_add(1, SeqCst);
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        all_locks_are_free(&self.endpoint);
    }
}

/// A payload that does the same when it is dropped.
struct NosyPayload(Endpoint);

impl AsRef<[u8]> for NosyPayload {
    fn as_ref(&self) -> &[u8] {
        b"nosy"
    }
}

impl Drop for NosyPayload {
    fn drop(&mut self) {
        all_locks_are_free(&self.0);
    }
}

#[test]
fn payloads_that_a_publish_lets_go_are_dropped_with_no_lock_held() {
    let bus = Bus::with_capacity(1);
    let (here, there) = (bus.attach(), bus.attach());
    let nosy = || MessageEnvelope::new("t", Bytes::from_owner(NosyPayload(bus.attach())));
    let publish = |by: &Endpoint| {
        by.publish(nosy()).unwrap();
        by.publish(nosy()).unwrap();
        by.publish_all("t", &mut vec![nosy(), nosy()]).unwrap();
    };
    // Nobody subscribes; then the publisher alone; then the oldest has to go.
    publish(&here);
    let own = here.subscribe("t").unwrap();
    publish(&here);
    drop(own);
    let mut reader = there.subscribe("t").unwrap();
    publish(&here);
    assert!(matches!(reader.try_recv(), Ok(Event::Gap(gap)) if gap.missed == Some(3)));
}

#[test]
fn wakers_run_and_are_dropped_with_no_lock_held() {
    let bus = Bus::new();
    let (here, there) = (bus.attach(), Arc::new(bus.attach()));
    let mut reader = there.subscribe("t").unwrap();
    let nosy = || Arc::new(Nosy { endpoint: bus.attach(), woken: AtomicUsize::new(0) });

    for wake in [
        (|here, _| drop(here.publish(MessageEnvelope::new("t", "x")))) as fn(&Endpoint, &Endpoint),
        |here, _| {
            here.publish_all("t", &mut vec![MessageEnvelope::new("t", "x")]).unwrap();
        },
        |_, there| {
            there.suspend();
            there.resume();
        },
        |_, there| there.gap("t", backend_core::Gap::lagged(1)),
        |_, there| there.unsubscribe("t").unwrap(),
    ] {
        while reader.try_recv().is_ok() {}
        let task = nosy();
        poll_once(&mut reader, &Waker::from(Arc::clone(&task)));
        wake(&here, &there);
        assert_eq!(task.woken.load(SeqCst), 1);
    }

    let mut reader = there.subscribe("t").unwrap();
    let task = nosy();
    poll_once(&mut reader, &Waker::from(Arc::clone(&task)));
    there.close();
    assert_eq!(task.woken.load(SeqCst), 1);
}

#[test]
fn a_peek_does_not_displace_the_task_that_waits() {
    let bus = Bus::new();
    let (here, there) = (bus.attach(), bus.attach());
    let mut reader = there.subscribe("t").unwrap();
    let task = Arc::new(Nosy { endpoint: bus.attach(), woken: AtomicUsize::new(0) });
    poll_once(&mut reader, &Waker::from(Arc::clone(&task)));
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    here.publish(MessageEnvelope::new("t", "x")).unwrap();
    assert_eq!(task.woken.load(SeqCst), 1);
}

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_costs_the_other_readers_nothing() {
    let bus = Bus::new();
    let (here, there) = (bus.attach(), bus.attach());
    let mut readers: Vec<_> = (0..3).map(|_| there.subscribe("t").unwrap()).collect();
    let task = Arc::new(Nosy { endpoint: bus.attach(), woken: AtomicUsize::new(0) });
    poll_once(&mut readers[0], &Waker::from(Arc::new(Panicking)));
    for reader in &mut readers[1..] {
        poll_once(reader, &Waker::from(Arc::clone(&task)));
    }
    let publish = || here.publish(MessageEnvelope::new("t", "x"));
    let publish = std::panic::catch_unwind(std::panic::AssertUnwindSafe(publish));
    assert!(publish.is_err(), "the panic is not hidden");
    assert_eq!(task.woken.load(SeqCst), 2);
}

struct PanickingTwice;

impl Wake for PanickingTwice {
    fn wake(self: Arc<Self>) {
        std::panic::panic_any(Explosive);
    }
}

#[test]
fn wakers_whose_panics_panic_cost_the_other_readers_nothing() {
    let bus = Bus::new();
    let (here, there) = (bus.attach(), bus.attach());
    let mut readers: Vec<_> = (0..3).map(|_| there.subscribe("t").unwrap()).collect();
    for reader in &mut readers[..2] {
        poll_once(reader, &Waker::from(Arc::new(PanickingTwice)));
    }
    let task = Arc::new(Nosy { endpoint: bus.attach(), woken: AtomicUsize::new(0) });
    poll_once(&mut readers[2], &Waker::from(Arc::clone(&task)));
    let publish = || here.publish(MessageEnvelope::new("t", "x"));
    let publish = std::panic::catch_unwind(std::panic::AssertUnwindSafe(publish));
    assert_eq!(task.woken.load(SeqCst), 1);
    // Dropped, it would panic again.
    std::mem::forget(publish.expect_err("the panic is not hidden"));
}

struct Explosive;

impl AsRef<[u8]> for Explosive {
    fn as_ref(&self) -> &[u8] {
        b"explosive"
    }
}

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("a payload that panics when it is dropped");
    }
}

#[test]
fn a_payload_that_panics_leaves_the_books_in_order() {
    let (here, there) = two(4);
    let reader = there.subscribe("t").unwrap();
    here.publish(MessageEnvelope::new("t", Bytes::from_owner(Explosive))).unwrap();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(reader)));
    assert!(dropped.is_err());
    let stats = there.stats();
    assert_eq!((here.bus().topics(), stats.topics, stats.subscriptions), (0, 0, 0));
}

#[test]
fn a_payload_that_panics_in_the_hands_of_a_subscription_keeps_nothing_else() {
    let (here, there) = two(4);
    let payloads = Payloads::default();
    let mut reader = there.subscribe("t").unwrap();
    here.publish(MessageEnvelope::new("t", "first")).unwrap();
    here.publish(MessageEnvelope::new("t", Bytes::from_owner(Explosive))).unwrap();
    here.publish(payloads.envelope()).unwrap();
    assert!(reader.try_recv().is_ok());
    here.publish(payloads.envelope()).unwrap();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(reader)));
    assert!(dropped.is_err());
    let stats = there.stats();
    assert_eq!((here.bus().topics(), stats.topics, stats.subscriptions), (0, 0, 0));
    assert_eq!(payloads.alive(), 0);
}
