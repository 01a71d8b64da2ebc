//! What a server takes at most, and what waits at most.

use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use backend_core::{Backend, Error, Event, HealthAwareBackend, MessageEnvelope, ObservableBackend};
use backend_nats::{Format, NatsBackend};
use engine_harness::Result;
use engine_harness::wait::{expect, next, recoveries, recovery, until_it_says};
use futures_util::StreamExt;
use tokio::task::yield_now;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{Nats, quick, subjects};

engine_harness::tests![
    what_is_too_large_is_refused_before_it_is_sent,
    the_limit_of_the_server_is_followed,
    what_the_client_throws_away_is_counted,
    a_full_connection_denies_the_next_topic_alone,
];

/// What a frame has besides data and topic.
const HEAD: usize = 43;

fn limit(nats: usize) -> String {
    format!("max_payload: {nats}")
}

/// Exactly as much as a server with this limit takes.
async fn so_much_and_no_more(backend: &NatsBackend, max_payload: usize) -> Result {
    let most = max_payload - HEAD - "orders".len();
    let envelope = |length| MessageEnvelope::new("orders", vec![b'x'; length]);
    for length in [most + 1, max_payload, 2 * max_payload] {
        match backend.publish(envelope(length)).await {
            Err(Error::PayloadTooLarge { actual, limit }) => {
                assert_eq!((actual, limit), (length, most));
            }
            other => panic!("{other:?} for {length} bytes"),
        }
    }
    Ok(backend.publish(envelope(most)).await?)
}

async fn what_is_too_large_is_refused_before_it_is_sent() -> Result {
    let nats = Nats::start_configured(&limit(64 * 1024)).await?;
    let (here, there) = (quick(nats.url()).connect().await?, quick(nats.url()).connect().await?);
    let mut orders = there.subscribe("orders").await?;
    for _ in 0..10 {
        so_much_and_no_more(&here, 64 * 1024).await?;
        let event = next(&mut orders).await?;
        let Event::Message(envelope) = event else { panic!("{event:?}") };
        assert_eq!(envelope.data().len(), 64 * 1024 - HEAD - "orders".len());
    }
    assert!(here.is_healthy());
    assert_eq!(here.stats().reconnects, 0);
    Ok(())
}

async fn the_limit_of_the_server_is_followed() -> Result {
    let mut nats = Nats::start_configured(&limit(64 * 1024)).await?;
    let here = quick(nats.url()).connect().await?;
    let mut again = recoveries(&here);
    so_much_and_no_more(&here, 64 * 1024).await?;
    for max_payload in [1024, 128 * 1024] {
        nats.server.kill();
        nats.configure(&limit(max_payload))?;
        nats.start_again().await?;
        recovery(&mut again).await?;
        so_much_and_no_more(&here, max_payload).await?;
    }
    // Changed while it runs, a server tells its clients, and ours does not hear it: it is cut off
    // by the first that is too large, and knows better then.
    nats.reload(&limit(1024)).await?;
    here.publish(MessageEnvelope::new("orders", vec![0; 2048])).await?;
    recovery(&mut again).await?;
    so_much_and_no_more(&here, 1024).await
}

/// Whoever wakes it waits until it is let go.
#[derive(Default)]
struct Slow {
    let_go: Mutex<bool>,
    changed: Condvar,
}

impl Slow {
    fn let_go(&self) {
        *self.let_go.lock().expect("nobody panics") = true;
        self.changed.notify_all();
    }
}

/// Lets it go at the end, too, however that comes: the runtime waits for its threads.
struct LetGo(Arc<Slow>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        let waiting = self.let_go.lock().expect("nobody panics");
        drop(self.changed.wait_while(waiting, |let_go| !*let_go).expect("nobody panics"));
    }
}

/// A program that stops the threads of its runtime stops what hands messages on, too; then the
/// client's own queue overflows, and the newest go. The numbers tell.
async fn what_the_client_throws_away_is_counted() -> Result {
    /// More than that queue holds.
    const SENT: u64 = 100_000;
    let nats = Nats::start().await?;
    // In JSON each is a message of its own.
    let here = quick(nats.url()).format(Format::Json).connect().await?;
    let there = quick(nats.url()).capacity(1 << 17).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let mut others = there.subscribe("others").await?;

    // A thread that is stopped may be the one that the others leave sockets and timers to. One that
    // is busy looks after them now and then.
    let busy = AbortOnDropHandle::new(tokio::spawn(async {
        loop {
            yield_now().await;
        }
    }));
    let slow = Arc::new(Slow::default());
    let let_go = LetGo(Arc::clone(&slow));
    let waker = Waker::from(slow);
    let polled = orders.poll_next_unpin(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Pending), "{polled:?}");
    for number in 0..SENT {
        here.publish(MessageEnvelope::new("orders", number.to_string())).await?;
    }
    // When this has come, the client has had all of them.
    here.publish(MessageEnvelope::new("others", "witness")).await?;
    expect(&mut others, "witness").await?;
    drop(let_go);
    drop(busy);
    // Behind those that were kept, and with it comes word of those that were not.
    there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", SENT.to_string())).await?;

    let (mut received, mut missed, mut last) = (0, 0, None);
    while last != Some(SENT) {
        match next(&mut orders).await? {
            Event::Message(envelope) => {
                let number: u64 = std::str::from_utf8(envelope.data())?.parse()?;
                assert_eq!(number, received + missed, "out of order, or not told in its place");
                received += 1;
                last = Some(number);
            }
            Event::Gap(gap) => missed += gap.missed.ok_or("it is not known how many")?,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received + missed, SENT + 1);
    assert!(missed > 0, "nothing was thrown away");
    assert_eq!(there.stats().lost, missed);
    assert!(there.is_healthy());
    Ok(())
}

async fn a_full_connection_denies_the_next_topic_alone() -> Result {
    // Two are the adapter's own, and one place has to be free.
    let nats = Nats::start_configured("max_subscriptions: 5").await?;
    let here = quick(nats.url()).connect().await?;
    let there = quick(nats.url()).client_name("there").connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let prices = there.subscribe("prices").await?;
    for _ in 0..10 {
        match there.subscribe("news").await {
            Err(Error::Backend(why)) => {
                assert!(why.to_string().contains("maximum subscriptions exceeded"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        here.publish(MessageEnvelope::new("orders", "first")).await?;
        expect(&mut orders, "first").await?;
    }
    drop(prices);
    until_it_says("a place is free", async || Ok(subjects(nats.monitor, "there").await?.len() < 4))
        .await?;
    there.subscribe("news").await?;
    assert_eq!(there.stats().reconnects, 0);
    // What the adapter has the server refuse is nothing that it would tell its owner.
    assert!(!nats.server.log().to_lowercase().contains("invalid subject"), "{}", nats.server.log());
    Ok(())
}
