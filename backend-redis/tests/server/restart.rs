//! The server is killed (`kill -9`) and started again, over and over, under load; every message is
//! accounted for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use backend_redis::RedisBackend;
use engine_harness::{Account, Proxy, Wire};
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{
    PATIENCE, Redis, Result, expect, expect_outage, next, quick, recoveries, recovery, until,
};

crate::tests![
    the_same_stream_goes_on_with_a_gap,
    every_message_is_received_or_told_as_missing,
    what_a_publisher_loses_is_counted_exactly,
    many_topics_are_live_again_soon,
];

/// More than can be on its way.
const CAPACITY: usize = 1 << 18;

async fn the_same_stream_goes_on_with_a_gap() -> Result<()> {
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

/// Publishes `name:1`, `name:2`, … until told to stop. What was accepted.
async fn publish_until(
    stop: Arc<AtomicBool>,
    backend: Arc<RedisBackend>,
    name: String,
) -> Result<(String, BTreeSet<u64>)> {
    let mut accepted = BTreeSet::new();
    for number in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match backend.publish(Account::numbered("orders", &name, number)).await {
            Ok(()) => drop(accepted.insert(number)),
            // Trying again at once would count to a million during an outage.
            Err(Error::Unavailable(_)) => until("healthy", || backend.is_healthy()).await?,
            Err(other) => return Err(other.into()),
        }
    }
    Ok((name, accepted))
}

/// Several that publish to one topic on one instance at the same time.
fn publishers(stop: &Arc<AtomicBool>, backend: &Arc<RedisBackend>, name: &str) -> Publishers {
    let mut publishers = JoinSet::new();
    for index in 0..8 {
        let name = format!("{name}{index}");
        publishers.spawn(publish_until(Arc::clone(stop), Arc::clone(backend), name));
    }
    publishers
}

type Publishers = JoinSet<Result<(String, BTreeSet<u64>)>>;

async fn every_message_is_received_or_told_as_missing() -> Result<()> {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10);
    let mut redis = Redis::start().await?;
    let connect = || quick(redis.url()).capacity(CAPACITY).connect();
    let stop = Arc::new(AtomicBool::new(false));
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
        let tasks = publishers(&stop, &publisher, name);
        instances.push((publisher, tasks));
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
    stop.store(true, Ordering::Relaxed);
    let mut accepted = Vec::new();
    for (publisher, mut tasks) in instances {
        while let Some(published) = timeout(PATIENCE, tasks.join_next()).await? {
            accepted.push(published??);
        }
        publisher.publish(MessageEnvelope::new("orders", "the last one")).await?;
    }
    for reader in readers {
        let account =
            timeout(PATIENCE, reader).await.map_err(|_| "the last one is missing")???;
        for (name, accepted) in &accepted {
            account.settle(name, accepted)?;
        }
        assert_eq!(account.outages, kills);
        // Between outages nothing is lost, and nothing is told as lost.
        assert_eq!(account.missed, 0, "told as missing, and nothing was");
    }
    Ok(())
}

/// The publisher's wire is cut, and the subscriber's is whole: numbers tell what got lost.
async fn what_a_publisher_loses_is_counted_exactly() -> Result<()> {
    let redis = Redis::start().await?;
    let wire = Proxy::to(redis.server.address).await?;
    let publisher =
        Arc::new(quick(format!("redis://{}", wire.address)).capacity(CAPACITY).connect().await?);
    let subscriber = quick(redis.url()).capacity(CAPACITY).connect().await?;
    let mut again = recoveries(&publisher);
    let mut orders = subscriber.subscribe("orders").await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = publishers(&stop, &publisher, "a");

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
    stop.store(true, Ordering::Relaxed);
    while let Some(published) = timeout(PATIENCE, tasks.join_next()).await? {
        let (name, accepted) = published??;
        let last = accepted.last().copied().unwrap_or_default();
        while account.last(&name) < last {
            account.take(&next(&mut orders).await?)?;
        }
        account.settle(&name, &accepted)?;
    }
    assert_eq!(account.outages, 0);
    assert!(account.missed <= account.passed_over(), "{} are told", account.missed);
    Ok(())
}

async fn many_topics_are_live_again_soon() -> Result<()> {
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
