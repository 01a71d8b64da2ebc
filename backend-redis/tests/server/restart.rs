//! The server is killed (`kill -9`) and started again, over and over, under load; every message is
//! accounted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use engine_harness::wait::{PATIENCE, expect, expect_outage, next, recoveries, recovery, until};
use engine_harness::{Account, Load, Proxy, Result, Wire};
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::time::timeout;

use crate::support::{Redis, quick};

engine_harness::tests![
    the_same_stream_goes_on_with_a_gap,
    every_message_is_received_or_told_as_missing,
    what_a_publisher_loses_is_counted_exactly,
    many_topics_are_live_again_soon,
];

/// More than can be on its way.
const CAPACITY: usize = 1 << 18;

async fn the_same_stream_goes_on_with_a_gap() -> Result {
    let mut redis = Redis::start().await?;
    let here = quick(redis.url()).connect().await?;
    let there = quick(redis.url()).connect().await?;
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "before")).await?;
    expect(&mut orders, "before").await?;

    redis.server.kill();
    until("unhealthy", || !here.is_healthy() && !there.is_healthy()).await?;
    assert!(matches!(
        here.publish(MessageEnvelope::new("orders", "stale")).await,
        Err(Error::Unavailable(_))
    ));
    redis.start_again().await?;
    recovery(&mut here_again).await?;
    recovery(&mut there_again).await?;
    expect_outage(&mut orders).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}

async fn every_message_is_received_or_told_as_missing() -> Result {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50);
    let mut redis = Redis::start().await?;
    let connect = || quick(redis.url()).capacity(CAPACITY).connect();
    let (mut again, mut readers, mut instances) = (Vec::new(), Vec::new(), Vec::new());
    let received = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);

    for index in 0..received.len() {
        let subscriber = connect().await?;
        again.push(recoveries(&subscriber));
        let mut orders = subscriber.subscribe("orders").await?;
        let received = Arc::clone(&received);
        readers.push(tokio::spawn(async move {
            let mut account = Account::default();
            // Until each publisher's last one.
            let mut going_on = 2;
            while going_on > 0 {
                let event = next(&mut orders).await?;
                if let backend_core::Event::Message(envelope) = &event
                    && envelope.data() == "the last one"
                {
                    going_on -= 1;
                    continue;
                }
                account.take(&event)?;
                received[index].store(account.received, Ordering::Relaxed);
            }
            drop(subscriber);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(account)
        }));
    }
    for name in ["a", "b"] {
        let publisher = Arc::new(connect().await?);
        again.push(recoveries(&publisher));
        let load = Load::start(&publisher, "orders", name, 8);
        instances.push((publisher, load));
    }

    for _ in 0..kills {
        let before: Vec<_> = received.iter().map(|one| one.load(Ordering::Relaxed)).collect();
        until("something new", || {
            let now = received.iter().map(|one| one.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now > before + 500)
        })
        .await?;
        redis.server.kill();
        redis.start_again().await?;
        for recoveries in &mut again {
            recovery(recoveries).await?;
        }
    }
    let mut attempts = Vec::new();
    for (publisher, load) in instances {
        attempts.extend(load.stop().await?);
        publisher.publish(MessageEnvelope::new("orders", "the last one")).await?;
    }
    for reader in readers {
        let account =
            timeout(PATIENCE, reader).await.map_err(|_| "the last one is missing")???;
        for (name, attempts) in &attempts {
            account.settle(name, attempts)?;
        }
        assert_eq!(account.outages, kills);
        // Between outages nothing is lost, and nothing is told as lost.
        assert_eq!(account.missed, 0, "told as missing, and nothing was");
    }
    Ok(())
}

/// The publisher's wire is cut, and the subscriber's is whole: numbers tell what got lost.
async fn what_a_publisher_loses_is_counted_exactly() -> Result {
    let redis = Redis::start().await?;
    let wire = Proxy::to(redis.server.address).await?;
    let publisher =
        Arc::new(quick(format!("redis://{}", wire.address)).capacity(CAPACITY).connect().await?);
    let subscriber = quick(redis.url()).capacity(CAPACITY).connect().await?;
    let mut again = recoveries(&publisher);
    let mut orders = subscriber.subscribe("orders").await?;
    let load = Load::start(&publisher, "orders", "a", 8);

    let mut account = Account::default();
    for _ in 0..20 {
        let enough = account.received + 500;
        while account.received < enough {
            account.take(&next(&mut orders).await?)?;
        }
        wire.set(Wire::Cut).await;
        wire.set(Wire::Whole).await;
        recovery(&mut again).await?;
    }
    for (name, attempts) in load.stop().await? {
        let last = attempts.accepted.last().copied().unwrap_or_default();
        while account.last(&name) < last {
            account.take(&next(&mut orders).await?)?;
        }
        account.settle(&name, &attempts)?;
    }
    assert_eq!(account.outages, 0);
    assert!(account.missed <= account.passed_over(), "{} are told", account.missed);
    Ok(())
}

async fn many_topics_are_live_again_soon() -> Result {
    let mut redis = Redis::start().await?;
    let here = quick(redis.url()).connect().await?;
    let there = quick(redis.url()).connect().await?;
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));
    let mut topics = FuturesOrdered::new();
    for topic in 0..2_000 {
        let there = &there;
        topics.push_back(async move { there.subscribe(&topic.to_string()).await });
    }
    let mut subscriptions = Vec::new();
    while let Some(subscription) = topics.next().await {
        subscriptions.push(subscription?);
    }
    redis.server.kill();
    redis.start_again().await?;
    recovery(&mut here_again).await?;
    recovery(&mut there_again).await?;
    for subscription in &subscriptions {
        here.publish(MessageEnvelope::new(subscription.topic(), "after")).await?;
    }
    for subscription in &mut subscriptions {
        expect_outage(subscription).await?;
        expect(subscription, "after").await?;
    }
    Ok(())
}
