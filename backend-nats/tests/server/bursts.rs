//! Small envelopes, many at once: what one message has brings no reader into trouble.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use backend_core::{Backend, Event, MessageEnvelope};
use engine_harness::wait::next;
use engine_harness::{Proxy, Result};
use futures_util::future::try_join_all;
use tokio::runtime::Builder;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{Nats, quick, through};

engine_harness::tests![
    a_reader_beside_the_connection_keeps_up,
    many_that_subscribe_at_once_wait_for_a_busy_publisher_together,
];

/// More than a topic keeps, unless told otherwise.
const MANY: usize = 5_000;

async fn a_reader_beside_the_connection_keeps_up() -> Result {
    let nats = Nats::start().await?;
    let (url, here) = (nats.url(), quick(nats.url()).connect().await?);
    let (subscribed, is_subscribed) = tokio::sync::oneshot::channel();
    let (published, are_published) = mpsc::channel::<()>();
    // Everything of this instance, and its reader, on one thread.
    let reader = thread::spawn(move || {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let there = quick(url).connect().await?;
            let mut orders = there.subscribe("orders").await?;
            subscribed.send(()).map_err(|()| "the test has gone")?;
            // Blocked, so that all of it has arrived when the thread goes on.
            are_published.recv()?;
            for expected in 0..MANY {
                let event = next(&mut orders).await?;
                let Event::Message(envelope) = &event else { panic!("{event:?} at {expected}") };
                assert_eq!(envelope.data(), &expected.to_string());
            }
            Result::Ok(())
        })
    });
    is_subscribed.await?;
    for number in 0..MANY {
        here.publish(MessageEnvelope::new("orders", number.to_string())).await?;
    }
    // When it has closed, the server has all of it.
    here.close().await?;
    published.send(())?;
    tokio::task::spawn_blocking(|| reader.join()).await?.expect("the reader reads all of it")
}

/// Its answer comes behind what it has published, which waits for the server each time. One by one, they
/// would give it up.
async fn many_that_subscribe_at_once_wait_for_a_busy_publisher_together() -> Result {
    let nats = Nats::start().await?;
    let wire = Proxy::with_delay(nats.server.address, Duration::from_millis(30)).await?;
    let far = quick(through(&wire)).connect().await?;
    let near = try_join_all((0..40).map(|_| quick(nats.url()).connect())).await?;
    let _busy = AbortOnDropHandle::new(tokio::spawn(async move {
        for number in 0.. {
            let topic = format!("of its own {number}");
            far.publish(MessageEnvelope::new(topic, "")).await.expect("the server takes it");
        }
    }));
    let since = Instant::now();
    try_join_all(near.iter().map(|near| near.subscribe("orders"))).await?;
    // Who does not answer is given up after a second.
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    Ok(())
}
