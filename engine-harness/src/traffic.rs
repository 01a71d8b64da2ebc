//! The same traffic over an adapter and over its raw client, for benches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// What publishes. Clones are used by tasks of their own.
pub trait Sender: Clone + Send + Sync + 'static {
    /// Publishes; a failure is the end of the bench.
    fn send(&mut self, data: Bytes) -> impl Future<Output = ()> + Send;
}

/// What receives.
pub trait Receiver: Send + 'static {
    /// The next message; a loss is the end of the bench.
    fn receive(&mut self) -> impl Future<Output = ()> + Send;
}

/// How much is sent, by how many.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Tasks that publish at the same time, each awaiting one publish after the other.
    pub publishers: u64,
    /// How many messages all of them publish together.
    pub messages: u64,
    /// The size of each, in bytes.
    pub size: usize,
    /// How many may be on their way at most, so that nothing has to be dropped.
    pub window: u64,
}

/// What is published to.
pub const TOPIC: &str = "orders";

/// Messages are counted in steps: to count each would be work, too.
pub const STEP: u64 = 16;

/// How many messages a second come through, from the first publish until every receiver has all.
///
/// Each publisher sends a multiple of [`STEP`], and `window` has room for one step of each.
///
/// # Panics
/// If a sender or a receiver does.
pub async fn throughput<S: Sender, R: Receiver>(
    sender: &S,
    receivers: &mut Vec<R>,
    load: Load,
) -> f64 {
    let each = load.messages / load.publishers / STEP * STEP;
    let total = each * load.publishers;
    let window = Arc::new(Semaphore::new(load.window as usize));
    let all = receivers.len();
    // How many receivers are through with each step: the last one makes room for the next.
    let through: Arc<[AtomicUsize]> = (0..total / STEP).map(|_| AtomicUsize::new(0)).collect();
    let data = Bytes::from(vec![b'x'; load.size]);

    let since = Instant::now();
    let mut reading = JoinSet::new();
    for mut receiver in receivers.drain(..) {
        let (window, through) = (Arc::clone(&window), Arc::clone(&through));
        reading.spawn(async move {
            for step in through.iter() {
                for _ in 0..STEP {
                    receiver.receive().await;
                }
                if step.fetch_add(1, Ordering::Relaxed) + 1 == all {
                    window.add_permits(STEP as usize);
                }
            }
            receiver
        });
    }
    let mut publishing = JoinSet::new();
    for _ in 0..load.publishers {
        let (mut sender, window, data) = (sender.clone(), Arc::clone(&window), data.clone());
        publishing.spawn(async move {
            for _ in 0..each / STEP {
                let room = window.acquire_many(STEP as u32).await.expect("it is never closed");
                room.forget();
                for _ in 0..STEP {
                    sender.send(data.clone()).await;
                }
            }
        });
    }
    while let Some(receiver) = reading.join_next().await {
        receivers.push(receiver.expect("every message arrives"));
    }
    let took = since.elapsed();
    publishing.join_all().await;
    total as f64 / took.as_secs_f64()
}

/// How long each of so many messages takes, one after the other, from the publish until it is there.
///
/// # Panics
/// If a sender or a receiver does.
pub async fn latencies<S: Sender, R: Receiver>(
    sender: &S,
    mut receiver: R,
    messages: usize,
    size: usize,
) -> (Vec<Duration>, R) {
    let mut sender = sender.clone();
    let (arrived, mut arrivals) = mpsc::channel(1);
    let data = Bytes::from(vec![b'x'; size]);
    let reading = tokio::spawn(async move {
        for _ in 0..messages {
            receiver.receive().await;
            arrived.send(Instant::now()).await.expect("it is awaited");
        }
        receiver
    });
    let mut latencies = Vec::with_capacity(messages);
    for _ in 0..messages {
        let since = Instant::now();
        sender.send(data.clone()).await;
        let there = arrivals.recv().await.expect("every message arrives");
        latencies.push(there - since);
    }
    (latencies, reading.await.expect("every message arrives"))
}
