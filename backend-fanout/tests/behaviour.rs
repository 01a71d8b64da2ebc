//! The behaviour that authors of backends build on, one fact a test.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use backend_core::{Error, Event, Gap, MessageEnvelope, Subscription, TryRecvError};
use backend_fanout::{Bus, Endpoint};

fn two(capacity: usize) -> (Endpoint, Endpoint) {
    let bus = Bus::with_capacity(capacity);
    (bus.attach(), bus.attach())
}

fn envelope(n: usize) -> MessageEnvelope {
    MessageEnvelope::new("t", n.to_string())
}

/// What is there now, written down: numbers, and gaps in brackets.
fn story(subscription: &mut Subscription) -> String {
    let mut story = Vec::new();
    loop {
        match subscription.try_recv() {
            Ok(Event::Message(envelope)) => {
                story.push(String::from_utf8_lossy(envelope.data()).into_owned());
            }
            Ok(Event::Gap(Gap { missed: Some(missed), .. })) => story.push(format!("[{missed}]")),
            Ok(_) => story.push("[?]".to_owned()),
            Err(TryRecvError::Empty) => break,
            Err(TryRecvError::Closed) => {
                story.push("end".to_owned());
                break;
            }
        }
    }
    story.join(" ")
}

#[test]
fn an_overflow_keeps_the_newest_and_tells_the_exact_number_first() {
    let (here, there) = two(3);
    let mut reader = there.subscribe("t").unwrap();
    for n in 1..=10 {
        here.publish(envelope(n)).unwrap();
    }
    assert_eq!(story(&mut reader), "[7] 8 9 10");
    for n in 11..=15 {
        here.publish(envelope(n)).unwrap();
    }
    assert_eq!(story(&mut reader), "[2] 13 14 15");
}

#[test]
fn own_envelopes_are_neither_seen_nor_counted_as_missed() {
    let (here, there) = two(4);
    let mut reader = there.subscribe("t").unwrap();
    let mut other = here.subscribe("t").unwrap();
    for n in 1..=10 {
        here.publish(envelope(n)).unwrap();
        there.publish(envelope(100 + n)).unwrap();
    }
    // Twenty went through a ring of four: each side lost eight of the other's ten.
    assert_eq!(story(&mut reader), "[8] 9 10");
    assert_eq!(story(&mut other), "[8] 109 110");
}

#[test]
fn a_slow_reader_costs_a_fast_one_nothing() {
    let (here, there) = two(4);
    let mut slow = there.subscribe("t").unwrap();
    let mut fast = there.subscribe("t").unwrap();
    for n in 1..=100 {
        here.publish(envelope(n)).unwrap();
        assert_eq!(story(&mut fast), n.to_string());
    }
    assert_eq!(story(&mut slow), "[96] 97 98 99 100");
}

#[test]
fn an_outage_is_told_between_what_came_before_and_after() {
    let (here, there) = two(8);
    let mut reader = there.subscribe("t").unwrap();
    here.publish(envelope(1)).unwrap();
    there.suspend();
    here.publish(envelope(2)).unwrap();
    assert!(matches!(there.publish(envelope(3)), Err(Error::Unavailable(_))));
    assert!(matches!(there.subscribe("t"), Err(Error::Unavailable(_))));
    there.resume();
    here.publish(envelope(4)).unwrap();
    assert_eq!(story(&mut reader), "1 [?] 4");
}

#[test]
fn an_overflow_over_an_outage_counts_only_what_would_have_been_seen() {
    let (here, there) = two(2);
    let mut reader = there.subscribe("t").unwrap();
    let other = here.bus().attach();
    let _keeps_the_ring_full = other.subscribe("t").unwrap();
    here.publish(envelope(1)).unwrap();
    there.suspend();
    for n in 2..=50 {
        here.publish(envelope(n)).unwrap();
    }
    there.resume();
    for n in 51..=55 {
        here.publish(envelope(n)).unwrap();
    }
    // 1 and 51 to 53 have gone; 2 to 50 are the outage's.
    assert_eq!(story(&mut reader), "[4] [?] 54 55");
}

#[test]
fn an_outage_that_has_left_the_ring_is_told_and_nothing_is_counted_as_missed() {
    let (here, there) = two(1);
    let mut reader = there.subscribe("t").unwrap();
    let other = here.bus().attach();
    let mut others_reader = other.subscribe("t").unwrap();
    there.suspend();
    here.publish(envelope(1)).unwrap();
    there.resume();
    there.publish(envelope(2)).unwrap();
    assert_eq!(story(&mut others_reader), "[1] 2");
    there.gap("t", Gap::lagged(1));
    assert_eq!(story(&mut reader), "[1] [?]", "the engine's one, and the outage");
}

#[test]
fn a_gap_of_the_engine_is_told_in_its_place() {
    let (here, there) = two(8);
    let mut reader = there.subscribe("t").unwrap();
    here.publish(envelope(1)).unwrap();
    there.gap("t", Gap::lagged(3));
    there.gap("t", Gap::lagged(2));
    here.publish(envelope(2)).unwrap();
    there.gap("elsewhere", Gap::lagged(1));
    assert_eq!(story(&mut reader), "1 [5] 2");
    let mut late = there.subscribe("t").unwrap();
    here.publish(envelope(3)).unwrap();
    assert_eq!(story(&mut late), "3", "told to those who were there");
}

#[test]
fn unsubscribed_during_an_outage_stays_so() {
    let (here, there) = two(8);
    let mut reader = there.subscribe("t").unwrap();
    here.publish(envelope(1)).unwrap();
    there.suspend();
    there.unsubscribe("t").unwrap();
    there.resume();
    here.publish(envelope(2)).unwrap();
    assert_eq!(story(&mut reader), "1 end");
}

#[test]
fn a_fresh_subscription_beside_one_that_drains() {
    let (here, there) = two(8);
    let mut old = there.subscribe("t").unwrap();
    let other = here.bus().attach();
    let _keeps_the_topic = other.subscribe("t").unwrap();
    here.publish(envelope(1)).unwrap();
    there.unsubscribe("t").unwrap();
    let mut new = there.subscribe("t").unwrap();
    here.publish(envelope(2)).unwrap();
    there.publish(envelope(3)).unwrap();
    assert_eq!(story(&mut old), "1 end");
    assert_eq!(story(&mut new), "2");
}

#[test]
fn what_an_ended_subscription_had_accepted_outlasts_an_overflow() {
    let bus = Bus::with_capacity(4);
    let (here, there, other) = (bus.attach(), bus.attach(), bus.attach());
    let mut unsubscribed = [there.subscribe("t").unwrap(), there.subscribe("t").unwrap()];
    let mut others = other.subscribe("t").unwrap();
    for n in 1..=5 {
        here.publish(envelope(n)).unwrap();
    }
    there.publish(envelope(6)).unwrap();
    there.unsubscribe("t").unwrap();
    let mut closed = there.subscribe("t").unwrap();
    here.publish(envelope(7)).unwrap();
    there.close();
    for n in 8..=20 {
        here.publish(envelope(n)).unwrap();
    }
    // Of the six that went through a ring of four, two had gone when it ended; one was its own.
    for reader in &mut unsubscribed {
        assert_eq!(story(reader), "[2] 3 4 5 end");
    }
    assert_eq!(story(&mut closed), "7 end");
    assert_eq!(story(&mut others), "[16] 17 18 19 20");
}

#[test]
fn gaps_of_any_size_add_up_without_a_panic() {
    let (_here, there) = two(4);
    let mut reader = there.subscribe("t").unwrap();
    there.gap("t", Gap::lagged(u64::MAX));
    there.gap("t", Gap::lagged(u64::MAX));
    assert_eq!(story(&mut reader), format!("[{}]", u64::MAX));
    // And what is told after them is exact all the same.
    there.gap("t", Gap::lagged(9));
    assert_eq!(story(&mut reader), "[9]");
}

#[test]
fn debug_shows_numbers_and_no_payload() {
    let (here, there) = two(100);
    let _reader = there.subscribe("t").unwrap();
    for _ in 0..100 {
        here.publish(MessageEnvelope::new("t", "secret")).unwrap();
    }
    for text in [format!("{there:?}"), format!("{:?}", there.bus())] {
        assert!(text.len() < 400 && !text.contains("secret"), "{text}");
    }
}

#[test]
fn what_has_expired_is_counted_and_is_no_gap() {
    let (here, there) = two(8);
    let mut reader = there.subscribe("t").unwrap();
    let ttl = Duration::from_millis(1);
    here.publish(envelope(1).with_ttl(ttl)).unwrap();
    here.publish(envelope(2).with_ttl(Duration::ZERO)).unwrap();
    here.publish(envelope(3).with_ttl(Duration::MAX)).unwrap();
    here.publish(envelope(4)).unwrap();
    // The subject is time itself.
    let published = Instant::now();
    while published.elapsed() <= ttl {
        thread::yield_now();
    }
    assert_eq!(story(&mut reader), "2 3 4");
    let stats = there.stats();
    assert_eq!((stats.received, stats.expired, stats.gaps, stats.missed), (4, 1, 0, 0));
}

#[test]
fn what_expires_in_the_batch_is_not_handed_out() {
    let (here, there) = two(8);
    let mut reader = there.subscribe("t").unwrap();
    let ttl = Duration::from_millis(20);
    here.publish(envelope(1)).unwrap();
    here.publish(envelope(2).with_ttl(ttl)).unwrap();
    let published = Instant::now();
    assert_eq!(reader.try_recv(), Ok(Event::Message(envelope(1))), "and 2 is in the batch");
    while published.elapsed() <= ttl {
        thread::yield_now();
    }
    assert_eq!(story(&mut reader), "");
    assert_eq!(there.stats().expired, 1);
}

#[test]
fn statistics_count_what_happened() {
    let (here, there) = two(2);
    let mut reader = there.subscribe("t").unwrap();
    let other = there.subscribe("u").unwrap();
    for n in 1..=5 {
        here.publish(envelope(n)).unwrap();
    }
    assert_eq!(story(&mut reader), "[3] 4 5");
    there.suspend();
    assert!(!there.stats().connected);
    there.resume();
    assert_eq!(story(&mut reader), "[?]");

    let stats = there.stats();
    assert!(stats.connected);
    assert_eq!((stats.received, stats.missed, stats.gaps), (2, 3, 2));
    assert_eq!((stats.topics, stats.subscriptions), (2, 2));
    assert_eq!(here.stats().sent, 5);

    drop(other);
    assert_eq!((there.stats().topics, there.stats().subscriptions), (1, 1));
    there.close();
    let stats = there.stats();
    assert_eq!((stats.connected, stats.topics, stats.subscriptions), (false, 0, 0));
    drop(reader);
    assert_eq!(there.stats().subscriptions, 0);
}

#[test]
fn a_publish_from_another_thread_right_after_subscribe_returned_is_seen() {
    const ROUNDS: usize = 100_000;
    let (here, there) = two(4);
    let (to_publisher, rounds) = std::sync::mpsc::sync_channel::<usize>(0);
    let publisher = thread::spawn(move || {
        for n in rounds {
            here.publish(envelope(n)).unwrap();
        }
    });
    for n in 0..ROUNDS {
        let mut reader = there.subscribe("t").unwrap();
        to_publisher.send(n).unwrap();
        loop {
            match reader.try_recv() {
                Ok(event) => break assert_eq!(event, Event::Message(envelope(n))),
                Err(error) => assert_eq!(error, TryRecvError::Empty),
            }
            thread::yield_now();
        }
    }
    drop(to_publisher);
    publisher.join().unwrap();
}

#[test]
fn publishers_on_many_threads_keep_their_order_and_lose_nothing_untold() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 20_000;
    let bus = Bus::with_capacity(64);
    let there = Arc::new(bus.attach());
    let start = Arc::new(Barrier::new(PUBLISHERS + 2));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut subscription = there.subscribe("t").unwrap();
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                let (mut accounted, mut last) = (0, [None; PUBLISHERS]);
                while accounted < PUBLISHERS * EACH {
                    match subscription.try_recv() {
                        Ok(Event::Message(envelope)) => {
                            let n: usize =
                                String::from_utf8_lossy(envelope.data()).parse().unwrap();
                            let (publisher, n) = (n / EACH, n % EACH);
                            assert!(last[publisher] < Some(n), "{n} after {:?}", last[publisher]);
                            last[publisher] = Some(n);
                            accounted += 1;
                        }
                        Ok(Event::Gap(gap)) => {
                            accounted += usize::try_from(gap.missed.unwrap()).unwrap();
                        }
                        Ok(_) => unreachable!(),
                        Err(TryRecvError::Empty) => thread::yield_now(),
                        Err(TryRecvError::Closed) => panic!("nobody closed it"),
                    }
                }
                assert_eq!(accounted, PUBLISHERS * EACH);
                assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
            })
        })
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let endpoint = bus.attach();
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                for n in 0..EACH {
                    endpoint.publish(envelope(publisher * EACH + n)).unwrap();
                }
            })
        })
        .collect();
    for handle in publishers.into_iter().chain(readers) {
        handle.join().unwrap();
    }
}
