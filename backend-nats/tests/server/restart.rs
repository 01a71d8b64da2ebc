//! The server is killed (`kill -9`) and started again, over and over, under load; every message is
//! accounted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backend_core::{Backend, Error, Event, HealthAwareBackend, MessageEnvelope, Subscription};
use engine_harness::wait::{PATIENCE, expect, expect_outage, next, recoveries, recovery, until};
use engine_harness::{Account, Load, Proxy, Result, Wire};
use futures_util::future::try_join_all;
use tokio::time::timeout;

use crate::support::{Nats, quick};

engine_harness::tests![
    the_same_stream_goes_on_with_a_gap,
    every_message_is_received_or_told_as_missing,
    what_a_publisher_loses_is_counted_exactly,
    many_topics_are_live_again_soon,
];

/// More than can be on its way.
const CAPACITY: usize = 1 << 18;

/// The last thing that a publisher says.
const END: &str = "the last one";

async fn the_same_stream_goes_on_with_a_gap() -> Result {
    let mut nats = Nats::start().await?;
    let here = quick(nats.url()).connect().await?;
    let there = quick(nats.url()).connect().await?;
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));
    let mut orders = there.subscribe("orders").await?;
    let mut own = here.subscribe("orders").await?;
    for _ in 0..3 {
        here.publish(MessageEnvelope::new("orders", "before")).await?;
        expect(&mut orders, "before").await?;

        nats.server.kill();
        until("unhealthy", || !here.is_healthy() && !there.is_healthy()).await?;
        // Many more than a client would keep for later.
        for _ in 0..5_000 {
            let stale = here.publish(MessageEnvelope::new("orders", "stale")).await;
            assert!(matches!(stale, Err(Error::Unavailable(_))), "{stale:?}");
        }
        nats.start_again().await?;
        recovery(&mut here_again).await?;
        recovery(&mut there_again).await?;
        assert!(here.is_healthy() && there.is_healthy());
        expect_outage(&mut orders).await?;
        expect_outage(&mut own).await?;
        here.publish(MessageEnvelope::new("orders", "after")).await?;
        expect(&mut orders, "after").await?;
    }
    // Never an echo.
    there.publish(MessageEnvelope::new("orders", "of another")).await?;
    expect(&mut own, "of another").await
}

/// Keeps the account of a stream until so many publishers have come to their end.
async fn read(
    mut orders: Subscription,
    publishers: usize,
    received: impl Fn(u64) + Send + 'static,
) -> Result<Account> {
    let mut account = Account::default();
    let mut ended = 0;
    while ended < publishers {
        let event = next(&mut orders).await?;
        match &event {
            Event::Message(envelope) if envelope.data() == END => ended += 1,
            _ => account.take(&event)?,
        }
        received(account.received);
    }
    Ok(account)
}

async fn every_message_is_received_or_told_as_missing() -> Result {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50);
    let mut nats = Nats::start().await?;
    let connect = || quick(nats.url()).capacity(CAPACITY).connect();
    let (mut again, mut readers, mut publishers) = (Vec::new(), Vec::new(), Vec::new());
    let mut subscribers = Vec::new();
    let received = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);

    for index in 0..received.len() {
        let subscriber = connect().await?;
        again.push(recoveries(&subscriber));
        let orders = subscriber.subscribe("orders").await?;
        let received = Arc::clone(&received);
        let count = move |count| received[index].store(count, Ordering::Relaxed);
        readers.push(tokio::spawn(read(orders, 2, count)));
        subscribers.push(subscriber);
    }
    for name in ["a", "b"] {
        let publisher = Arc::new(connect().await?);
        again.push(recoveries(&*publisher));
        let load = Load::start(&publisher, "orders", name, 4);
        publishers.push((publisher, load));
    }

    for _ in 0..kills {
        let before: Vec<_> = received.iter().map(|one| one.load(Ordering::Relaxed)).collect();
        until("something new", || {
            let now = received.iter().map(|one| one.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now > before + 500)
        })
        .await?;
        nats.server.kill();
        nats.start_again().await?;
        for recoveries in &mut again {
            recovery(recoveries).await?;
        }
    }
    let mut attempts = Vec::new();
    for (publisher, load) in publishers {
        attempts.extend(load.stop().await?);
        publisher.publish(MessageEnvelope::new("orders", END)).await?;
    }
    for reader in readers {
        let account =
            timeout(PATIENCE, reader).await.map_err(|_| "the last one is missing")???;
        for (name, attempts) in &attempts {
            account.settle(name, attempts)?;
        }
        assert_eq!(account.outages, kills);
        println!("{kills} kills: {} received, {} told", account.received, account.missed);
    }
    Ok(())
}

/// The publishers' wires are cut, and the subscriber's is whole: numbers tell what got lost.
async fn what_a_publisher_loses_is_counted_exactly() -> Result {
    let nats = Nats::start().await?;
    let subscriber = quick(nats.url()).capacity(CAPACITY).connect().await?;
    let orders = subscriber.subscribe("orders").await?;
    let (mut publishers, mut wires) = (Vec::new(), Vec::new());
    for name in ["a", "b"] {
        let wire = Proxy::to(nats.server.address).await?;
        let url = format!("nats://{}", wire.address);
        let publisher = Arc::new(quick(url).capacity(CAPACITY).connect().await?);
        wires.push((wire, recoveries(&*publisher)));
        let load = Load::start(&publisher, "orders", name, 8);
        publishers.push((publisher, load));
    }
    let received = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&received);
    let reader = tokio::spawn(read(orders, 2, move |now| count.store(now, Ordering::Relaxed)));
    for cut in 0..20 {
        let before = received.load(Ordering::Relaxed);
        until("something new", || received.load(Ordering::Relaxed) > before + 500).await?;
        let (wire, recoveries) = &mut wires[cut % 2];
        wire.set(Wire::Cut).await;
        wire.set(Wire::Whole).await;
        recovery(recoveries).await?;
    }
    let mut attempts = Vec::new();
    for (publisher, load) in publishers {
        attempts.extend(load.stop().await?);
        publisher.publish(MessageEnvelope::new("orders", END)).await?;
    }
    let account = timeout(PATIENCE, reader).await.map_err(|_| "the last one is missing")???;
    for (name, attempts) in &attempts {
        account.settle(name, attempts)?;
    }
    assert_eq!(account.outages, 0);
    let all: u64 = attempts.iter().map(|(_, attempts)| attempts.accepted.len() as u64).sum();
    assert_eq!(account.received + account.missed, all, "{} are told", account.missed);
    println!("20 cuts: {} received, {} told", account.received, account.missed);
    Ok(())
}

async fn many_topics_are_live_again_soon() -> Result {
    let mut nats = Nats::start().await?;
    let here = quick(nats.url()).connect().await?;
    let there = quick(nats.url()).connect().await?;
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));
    let topics: Vec<_> = (0..2_000).map(|topic| topic.to_string()).collect();
    let mut streams = try_join_all(topics.iter().map(|topic| there.subscribe(topic))).await?;
    nats.server.kill();
    nats.start_again().await?;
    recovery(&mut here_again).await?;
    recovery(&mut there_again).await?;
    try_join_all(topics.iter().map(|topic| here.publish(MessageEnvelope::new(topic, "after"))))
        .await?;
    for stream in &mut streams {
        expect_outage(stream).await?;
        expect(stream, "after").await?;
    }
    Ok(())
}
