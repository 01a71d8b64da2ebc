//! The server is killed (`kill -9`) and started again, over and over, under load; every message is
//! accounted for.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backend_core::{
    Backend, Error, Event, GapCause, HealthAwareBackend, MessageEnvelope, Subscription,
};
use backend_nats::NatsBackend;
use engine_harness::{Proxy, Wire};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use support::account::Account;
use support::{Nats, PATIENCE, Result};

/// The last thing that a publisher says.
const END: &str = "end";

/// An instance, and word of each of its recoveries.
async fn connect(url: &str) -> Result<(Arc<NatsBackend>, mpsc::UnboundedReceiver<()>)> {
    let backend = NatsBackend::builder()
        .servers(url)
        .capacity(1 << 17)
        .backoff(Duration::from_millis(5), Duration::from_millis(50))
        .connect()
        .await?;
    let (recovered, recoveries) = mpsc::unbounded_channel();
    backend.on_reconnect(Box::new(move || {
        let _ = recovered.send(());
    }));
    Ok((Arc::new(backend), recoveries))
}

async fn recovery(recoveries: &mut mpsc::UnboundedReceiver<()>) -> Result<()> {
    timeout(PATIENCE, recoveries.recv()).await.map_err(|_| "no recovery")?.ok_or("no instance")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_stream_goes_on_with_a_gap() -> Result<()> {
    if !support::can_run() {
        return Ok(());
    }
    let mut nats = Nats::start().await?;
    let (here, mut here_again) = connect(&nats.url()).await?;
    let (there, mut there_again) = connect(&nats.url()).await?;
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "before")).await?;
    let Some(Event::Message(order)) = orders.recv().await else { panic!("no message") };
    assert_eq!(order.data(), "before");

    nats.server.kill();
    nats.start_again().await?;
    recovery(&mut here_again).await?;
    recovery(&mut there_again).await?;
    assert!(here.is_healthy() && there.is_healthy());
    let Some(Event::Gap(gap)) = orders.recv().await else { panic!("no gap") };
    assert_eq!((gap.cause, gap.missed), (GapCause::Reconnected, None));

    here.publish(MessageEnvelope::new("orders", "after")).await?;
    let Some(Event::Message(order)) = orders.recv().await else { panic!("no message") };
    assert_eq!(order.data(), "after");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_message_is_received_or_told_as_missing() -> Result<()> {
    if !support::can_run() {
        return Ok(());
    }
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50);
    let mut nats = Nats::start().await?;
    let (subscriber, mut subscriber_again) = connect(&nats.url()).await?;
    let orders = subscriber.subscribe("orders").await?;

    let stop = Arc::new(AtomicBool::new(false));
    let (mut publishers, mut again) = (Vec::new(), Vec::new());
    for name in ["a", "b"] {
        let (backend, recoveries) = connect(&nats.url()).await?;
        again.push(recoveries);
        let publisher = tokio::spawn(publish_until(Arc::clone(&stop), backend, name.to_owned()));
        publishers.push(publisher);
    }

    let progress = Arc::new(Notify::new());
    let reader = tokio::spawn(read(orders, 2, Arc::clone(&progress)));

    for kill in 0..kills {
        if timeout(PATIENCE, progress.notified()).await.is_err() {
            let ended = publishers.iter().filter(|publisher| publisher.is_finished()).count();
            let reader = if reader.is_finished() { Some(reader.await?) } else { None };
            panic!("kill {kill}: silence; {ended} publishers have ended, the reader: {reader:?}");
        }
        nats.server.kill();
        nats.start_again().await?;
        recovery(&mut subscriber_again).await?;
        for recoveries in &mut again {
            recovery(recoveries).await?;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for publisher in publishers {
        accepted += end(publisher.await??).await?;
    }
    let account = timeout(PATIENCE, reader).await.map_err(|_| "the last ones are missing")???;
    println!("{kills} kills: {accepted} accepted, {account:?}");
    assert!(account.outages >= 1 && account.outages <= kills, "{account:?}");
    Ok(())
}

/// Where the subscriber has no outage, its numbers are exact.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_publisher_loses_is_counted_exactly() -> Result<()> {
    if !support::can_run() {
        return Ok(());
    }
    let nats = Nats::start().await?;
    let (subscriber, _) = connect(&nats.url()).await?;
    let orders = subscriber.subscribe("orders").await?;

    let stop = Arc::new(AtomicBool::new(false));
    let (mut publishers, mut wires) = (Vec::new(), Vec::new());
    for name in ["a", "b"] {
        let wire = Proxy::to(nats.server.address).await?;
        let (backend, recoveries) = connect(&format!("nats://{}", wire.address)).await?;
        wires.push((wire, recoveries));
        for _ in 0..8 {
            let name = format!("{name}{}", publishers.len());
            let publisher = publish_until(Arc::clone(&stop), Arc::clone(&backend), name);
            publishers.push(tokio::spawn(publisher));
        }
    }
    let progress = Arc::new(Notify::new());
    let reader = tokio::spawn(read(orders, publishers.len(), Arc::clone(&progress)));
    for cut in 0..20 {
        timeout(PATIENCE, progress.notified()).await.map_err(|_| format!("cut {cut}: silence"))?;
        let number = cut % wires.len();
        let (wire, recoveries) = &mut wires[number];
        wire.set(Wire::Cut).await;
        wire.set(Wire::Whole).await;
        recovery(recoveries).await?;
    }
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for publisher in publishers {
        accepted += end(publisher.await??).await?;
    }
    let account = timeout(PATIENCE, reader).await.map_err(|_| "the last ones are missing")???;
    println!("20 cuts: {accepted} accepted, {account:?}");
    assert_eq!(account.outages, 0);
    assert_eq!(account.received + account.missed, accepted, "{account:?}");
    Ok(())
}

/// Keeps the account of a stream until so many publishers have come to their end. Tells of progress.
async fn read(
    mut orders: Subscription,
    publishers: usize,
    progress: Arc<Notify>,
) -> Result<Account> {
    let mut account = Account::default();
    let mut ended = 0;
    while ended < publishers {
        let event = orders.recv().await.ok_or("the stream has ended")?;
        match &event {
            Event::Message(envelope) if envelope.data() == END => ended += 1,
            _ => account.take(&event)?,
        }
        progress.notify_one();
    }
    Ok(account)
}

async fn end((backend, accepted): (Arc<NatsBackend>, u64)) -> Result<u64> {
    backend.publish(MessageEnvelope::new("orders", END)).await?;
    Ok(accepted)
}

/// Publishes `name:1`, `name:2`, …; a number that was refused is used again.
async fn publish_until(
    stop: Arc<AtomicBool>,
    backend: Arc<NatsBackend>,
    name: String,
) -> Result<(Arc<NatsBackend>, u64)> {
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let envelope = MessageEnvelope::new("orders", format!("{name}:{}", accepted + 1));
        match backend.publish(envelope).await {
            Ok(()) => accepted += 1,
            Err(Error::Unavailable(_)) => tokio::task::yield_now().await,
            Err(other) => return Err(other.into()),
        }
    }
    Ok((backend, accepted))
}
