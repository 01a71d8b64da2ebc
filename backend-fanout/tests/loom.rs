//! All interleavings of what may race, as far as loom's preemption bound reaches.
//!
//! `RUSTFLAGS="--cfg backend_loom" cargo test -p backend-fanout --release --test loom`
//!
//! Loom reports a lost wake-up as a deadlock: a reader that nobody wakes blocks for ever.
#![cfg(backend_loom)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use backend_core::{Event, Gap, MessageEnvelope, Subscription, TryRecvError};
use backend_fanout::{Bus, Endpoint};
use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(test);
}

fn endpoints() -> (Arc<Endpoint>, Arc<Endpoint>) {
    let bus = Bus::with_capacity(2);
    (Arc::new(bus.attach()), Arc::new(bus.attach()))
}

fn envelope(data: &'static str) -> MessageEnvelope {
    MessageEnvelope::new("t", data)
}

fn data(event: Option<Event>) -> Option<String> {
    let envelope = event?.message()?;
    Some(String::from_utf8_lossy(envelope.data()).into_owned())
}

/// Everything that is left in an ended subscription.
fn drain(subscription: &mut Subscription) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = block_on(subscription.recv()) {
        events.push(event);
    }
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed), "an event after the end");
    events
}

#[test]
fn a_parked_reader_is_woken_by_a_publish() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        let publisher = thread::spawn(move || {
            here.publish(envelope("1")).unwrap();
            here.publish(envelope("2")).unwrap();
        });
        assert_eq!(data(block_on(reader.recv())).as_deref(), Some("1"));
        assert_eq!(data(block_on(reader.recv())).as_deref(), Some("2"));
        publisher.join().unwrap();
    });
}

#[test]
fn two_parked_readers_are_both_woken() {
    model(|| {
        let (here, there) = endpoints();
        let mut one = there.subscribe("t").unwrap();
        let mut two = there.subscribe("t").unwrap();
        let other = thread::spawn(move || assert!(data(block_on(two.recv())).is_some()));
        let publisher = thread::spawn(move || here.publish(envelope("1")).unwrap());
        assert!(data(block_on(one.recv())).is_some());
        publisher.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_publish_after_subscribe_returned_arrives_and_one_before_does_not() {
    model(|| {
        let (here, there) = endpoints();
        here.publish(envelope("before")).unwrap();
        let racing = {
            let here = Arc::clone(&here);
            thread::spawn(move || here.publish(envelope("racing")).unwrap())
        };
        let mut reader = there.subscribe("t").unwrap();
        here.publish(envelope("after")).unwrap();
        racing.join().unwrap();
        there.close();
        let seen: Vec<_> =
            drain(&mut reader).into_iter().map(|event| data(Some(event)).unwrap()).collect();
        assert!(seen.contains(&"after".to_owned()), "{seen:?}");
        assert!(!seen.contains(&"before".to_owned()), "{seen:?}");
        assert!(seen.len() <= 2, "{seen:?}");
    });
}

#[test]
fn a_publish_races_the_drop_of_the_last_subscription() {
    model(|| {
        let (here, there) = endpoints();
        let reader = there.subscribe("t").unwrap();
        let dropper = thread::spawn(move || drop(reader));
        here.publish(envelope("1")).unwrap();
        dropper.join().unwrap();
        assert_eq!(here.bus().topics(), 0);
        assert_eq!(there.stats().subscriptions, 0);
        assert_eq!(there.stats().topics, 0);
    });
}

#[test]
fn a_new_subscription_races_the_drop_of_the_last_one() {
    model(|| {
        let (here, there) = endpoints();
        let old = there.subscribe("t").unwrap();
        let dropper = thread::spawn(move || drop(old));
        let mut new = there.subscribe("t").unwrap();
        here.publish(envelope("1")).unwrap();
        assert_eq!(data(new.try_recv().ok()).as_deref(), Some("1"));
        dropper.join().unwrap();
        here.publish(envelope("2")).unwrap();
        assert_eq!(data(new.try_recv().ok()).as_deref(), Some("2"));
        assert_eq!((here.bus().topics(), there.stats().topics), (1, 1));
    });
}

#[test]
fn a_subscription_that_races_drops_at_two_endpoints_is_ended_by_close() {
    model(|| {
        let (here, there) = endpoints();
        let (old, other) = (there.subscribe("t").unwrap(), here.subscribe("t").unwrap());
        let droppers = [thread::spawn(move || drop(old)), thread::spawn(move || drop(other))];
        let mut new = there.subscribe("t").unwrap();
        for dropper in droppers {
            dropper.join().unwrap();
        }
        assert_eq!((there.stats().topics, there.stats().subscriptions), (1, 1));
        there.close();
        here.publish(envelope("late")).unwrap();
        assert!(drain(&mut new).is_empty());
        assert_eq!(here.bus().topics(), 0);
    });
}

#[test]
fn a_fresh_start_races_the_drop_of_the_old_subscription() {
    model(|| {
        let (here, there) = endpoints();
        let old = there.subscribe("t").unwrap();
        let dropper = thread::spawn(move || drop(old));
        there.unsubscribe("t").unwrap();
        let mut new = there.subscribe("t").unwrap();
        dropper.join().unwrap();
        here.publish(envelope("1")).unwrap();
        assert_eq!(data(new.try_recv().ok()).as_deref(), Some("1"));
        assert_eq!((here.bus().topics(), there.stats().topics), (1, 1));
        assert_eq!(there.stats().subscriptions, 1);
    });
}

#[test]
fn an_unsubscribe_ends_a_parked_reader_after_what_it_had_accepted() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        here.publish(envelope("1")).unwrap();
        let ender = {
            let there = Arc::clone(&there);
            thread::spawn(move || there.unsubscribe("t").unwrap())
        };
        let publisher = thread::spawn(move || here.publish(envelope("2")).unwrap());
        let seen: Vec<_> =
            drain(&mut reader).into_iter().map(|event| data(Some(event)).unwrap()).collect();
        assert!(seen == ["1"] || seen == ["1", "2"], "{seen:?}");
        ender.join().unwrap();
        publisher.join().unwrap();
        assert_eq!(there.bus().topics(), 0);
    });
}

#[test]
fn a_close_wakes_a_parked_reader_and_may_be_raced() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        let closer = {
            let there = Arc::clone(&there);
            thread::spawn(move || {
                there.close();
                assert!(there.publish(envelope("x")).is_err());
            })
        };
        let blocked = thread::spawn(move || drain(&mut reader).len());
        there.close();
        assert!(there.subscribe("t").unwrap_err().is_closed());
        here.publish(envelope("late")).unwrap();
        assert_eq!(blocked.join().unwrap(), 0, "a message after close had returned");
        closer.join().unwrap();
        assert_eq!(here.bus().topics(), 0);
    });
}

#[test]
fn a_subscribe_that_races_a_close_is_refused_or_ends() {
    model(|| {
        let (_here, there) = endpoints();
        let closer = {
            let there = Arc::clone(&there);
            thread::spawn(move || there.close())
        };
        match there.subscribe("t") {
            Ok(mut reader) => assert!(drain(&mut reader).is_empty()),
            Err(error) => assert!(error.is_closed()),
        }
        closer.join().unwrap();
        assert_eq!(there.bus().topics(), 0);
        assert_eq!(there.stats().subscriptions, 0);
    });
}

#[test]
fn an_overflow_is_counted_exactly_while_the_reader_reads() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        let publisher = thread::spawn(move || {
            for data in ["1", "2", "3", "4"] {
                here.publish(envelope(data)).unwrap();
            }
        });
        let mut accounted = 0;
        while accounted < 4 {
            accounted += match block_on(reader.recv()).unwrap() {
                Event::Message(_) => 1,
                Event::Gap(gap) => gap.missed.unwrap(),
                _ => unreachable!(),
            };
        }
        assert_eq!(accounted, 4);
        publisher.join().unwrap();
        assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_resume_wakes_a_parked_reader_with_a_gap() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        there.suspend();
        here.publish(envelope("while away")).unwrap();
        let resumer = {
            let there = Arc::clone(&there);
            thread::spawn(move || there.resume())
        };
        assert_eq!(block_on(reader.recv()), Some(Event::Gap(Gap::reconnected())));
        resumer.join().unwrap();
        here.publish(envelope("after")).unwrap();
        assert_eq!(data(block_on(reader.recv())).as_deref(), Some("after"));
    });
}

#[test]
fn a_dropped_recv_gives_its_place_to_the_next() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        let publisher = thread::spawn(move || here.publish(envelope("1")).unwrap());
        // A branch of a select that was polled once and lost.
        let peeked = block_on(async {
            let mut recv = Box::pin(reader.recv());
            std::future::poll_fn(|cx| match recv.as_mut().poll(cx) {
                std::task::Poll::Ready(event) => std::task::Poll::Ready(event),
                std::task::Poll::Pending => std::task::Poll::Ready(None),
            })
            .await
        });
        let event = if peeked.is_some() { peeked } else { block_on(reader.recv()) };
        assert_eq!(data(event).as_deref(), Some("1"));
        publisher.join().unwrap();
    });
}

/// A task that has asked, and is never run again.
struct Gone;

impl Wake for Gone {
    fn wake(self: Arc<Self>) {}
}

/// Polls for a task that then gives the subscription away.
fn poll_and_go(reader: &mut Subscription) -> Option<Event> {
    match pin!(reader.recv()).poll(&mut Context::from_waker(&Waker::from(Arc::new(Gone)))) {
        Poll::Ready(event) => event,
        Poll::Pending => None,
    }
}

/// What a reader finds that looks without waiting, while somebody does something that it has to
/// learn of. If it had read all there was, it looks without the lock.
fn look_during(act: impl Fn(&Endpoint, &Endpoint) + Clone + Send + Sync + 'static) {
    for has_looked in [false, true] {
        let act = act.clone();
        model(move || {
            let (here, there) = endpoints();
            let mut reader = there.subscribe("t").unwrap();
            if has_looked {
                assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
            }
            let done = Arc::new(AtomicBool::new(false));
            let actor = {
                let (act, done) = (act.clone(), Arc::clone(&done));
                thread::spawn(move || {
                    act(&here, &there);
                    done.store(true, Ordering::Release);
                    // Their drop would close them.
                    (here, there)
                })
            };
            let was_done = done.load(Ordering::Acquire);
            let looked = reader.try_recv();
            assert!(!was_done || looked != Err(TryRecvError::Empty), "it had been done by then");
            let _endpoints = actor.join().unwrap();
            if looked == Err(TryRecvError::Empty) {
                assert_ne!(reader.try_recv(), Err(TryRecvError::Empty), "it has been done by now");
            }
        });
    }
}

#[test]
fn a_look_races_a_publish() {
    look_during(|here, _| here.publish(envelope("1")).unwrap());
}

#[test]
fn a_look_races_several_at_once() {
    look_during(|here, _| {
        here.publish_all("t", &mut vec![envelope("1"), envelope("2"), envelope("3")]).unwrap();
    });
}

#[test]
fn a_look_races_a_gap() {
    look_during(|_, there| there.gap("t", Gap::lagged(1)));
}

#[test]
fn a_look_races_an_outage() {
    look_during(|_, there| {
        there.suspend();
        there.resume();
    });
}

#[test]
fn a_look_races_an_unsubscribe() {
    look_during(|_, there| there.unsubscribe("t").unwrap());
}

#[test]
fn a_look_races_a_close() {
    look_during(|_, there| there.close());
}

#[test]
fn a_waker_is_replaced_by_another_task_while_a_publish_races() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        assert_eq!(poll_and_go(&mut reader), None);
        let publisher = thread::spawn(move || here.publish(envelope("1")).unwrap());
        assert_eq!(data(block_on(reader.recv())).as_deref(), Some("1"));
        publisher.join().unwrap();
    });
}

#[test]
fn a_waker_is_parked_where_another_reader_was() {
    model(|| {
        let (here, there) = endpoints();
        let mut one = there.subscribe("t").unwrap();
        let mut two = there.subscribe("t").unwrap();
        assert_eq!((poll_and_go(&mut one), poll_and_go(&mut two)), (None, None));
        here.publish(envelope("1")).unwrap();
        let other = thread::spawn(move || {
            assert_eq!(data(block_on(one.recv())).as_deref(), Some("1"));
            assert_eq!(data(block_on(one.recv())).as_deref(), Some("2"));
        });
        let publisher = thread::spawn(move || here.publish(envelope("2")).unwrap());
        assert_eq!(data(block_on(two.recv())).as_deref(), Some("1"));
        assert_eq!(data(block_on(two.recv())).as_deref(), Some("2"));
        publisher.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_look_of_a_task_that_waits_keeps_its_waker() {
    model(|| {
        let (here, there) = endpoints();
        let mut reader = there.subscribe("t").unwrap();
        let publisher = thread::spawn(move || here.publish(envelope("1")).unwrap());
        let event = block_on(std::future::poll_fn(|cx| {
            let polled = pin!(reader.recv()).poll(cx);
            if polled.is_ready() {
                return polled;
            }
            // Nothing yet: then it is woken, unless this finds it.
            reader.try_recv().map_or(Poll::Pending, |event| Poll::Ready(Some(event)))
        }));
        assert_eq!(data(event).as_deref(), Some("1"));
        publisher.join().unwrap();
    });
}
