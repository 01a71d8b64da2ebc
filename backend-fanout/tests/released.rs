//! An endpoint tells when its last subscription to a topic has gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker};

use backend_core::MessageEnvelope;
use backend_fanout::{Bus, Endpoint};

/// An endpoint, and the topics that it has released so far.
fn users(bus: &Bus) -> (Endpoint, Receiver<String>) {
    let (released, topics) = channel();
    let users = bus.attach_with_release(move |topic| released.send(topic.to_owned()).unwrap());
    (users, topics)
}

fn all(topics: &Receiver<String>) -> Vec<String> {
    topics.try_iter().collect()
}

#[test]
fn the_last_one_dropped_releases_the_topic_once() {
    let (users, released) = users(&Bus::new());
    let (first, second) = (users.subscribe("t").unwrap(), users.subscribe("t").unwrap());
    let other = users.subscribe("other").unwrap();
    drop(first);
    assert!(all(&released).is_empty());
    assert!(users.is_subscribed("t"));
    drop(second);
    assert_eq!(all(&released), ["t"]);
    assert!(!users.is_subscribed("t"));

    drop(users.subscribe("t").unwrap());
    drop(other);
    assert_eq!(all(&released), ["t", "other"]);
}

#[test]
fn unsubscribing_releases_it_and_the_ended_streams_do_not_release_it_again() {
    let bus = Bus::new();
    let engine = bus.attach();
    let (users, released) = users(&bus);
    let ended = users.subscribe("t").unwrap();
    engine.publish(MessageEnvelope::new("t", "unread")).unwrap();
    users.unsubscribe("t").unwrap();
    users.unsubscribe("t").unwrap();
    assert_eq!(all(&released), ["t"]);

    let _again = users.subscribe("t").unwrap();
    drop(ended);
    assert!(all(&released).is_empty(), "there is a new subscription");
    assert!(users.is_subscribed("t"));
}

#[test]
fn a_suspended_endpoint_tells_it_too() {
    let (users, released) = users(&Bus::new());
    let (dropped, _unsubscribed) = (users.subscribe("d").unwrap(), users.subscribe("u").unwrap());
    users.suspend();
    drop(dropped);
    users.unsubscribe("u").unwrap();
    assert_eq!(all(&released), ["d", "u"]);
}

#[test]
fn closing_tells_nothing() {
    let (users, released) = users(&Bus::new());
    let ended = users.subscribe("t").unwrap();
    users.close();
    drop(ended);
    assert!(users.unsubscribe("t").is_err());
    drop(users);
    assert!(all(&released).is_empty());
}

#[test]
fn who_is_told_may_use_the_endpoint() {
    let users = Arc::new(OnceLock::<Weak<Endpoint>>::new());
    let own = Arc::clone(&users);
    let endpoint = Arc::new(Bus::new().attach_with_release(move |topic| {
        let endpoint = own.get().unwrap().upgrade().unwrap();
        assert!(!endpoint.is_subscribed(topic) && endpoint.topics().is_empty());
        endpoint.unsubscribe(topic).unwrap();
        assert_eq!(endpoint.bus().topics(), 0, "the bus has let it go by then");
    }));
    users.set(Arc::downgrade(&endpoint)).unwrap();
    drop(endpoint.subscribe("t").unwrap());
    let _kept = endpoint.subscribe("u").unwrap();
    endpoint.unsubscribe("u").unwrap();
}

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_keeps_no_topic() {
    let bus = Bus::new();
    let (users, released) = users(&bus);
    let mut reader = users.subscribe("t").unwrap();
    let waker = Waker::from(Arc::new(Panicking));
    let polled = pin!(reader.recv()).poll(&mut Context::from_waker(&waker));
    assert_eq!(polled, Poll::Pending);
    let unsubscribe = AssertUnwindSafe(|| users.unsubscribe("t"));
    assert!(catch_unwind(unsubscribe).is_err(), "the panic is not hidden");
    assert_eq!(all(&released), ["t"]);
}
