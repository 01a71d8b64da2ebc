//! The same traffic over an adapter and over its raw client, for benches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backend_core::{Backend, Event, MessageEnvelope, Subscription};
use bench_harness::{Better, Report, Samples};
use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// What publishes. Clones are used by tasks of their own.
pub trait Sender: Clone + Send + Sync + 'static {
    /// Publishes; a failure is the end of the bench.
    fn send(&self, data: Bytes) -> impl Future<Output = ()> + Send;
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

/// Messages are counted in steps: to count each would be work, too.
const STEP: u64 = 32;

/// How many messages a second come through, from the first publish until every receiver has all.
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
    let progress: Arc<[AtomicU64]> = receivers.iter().map(|_| AtomicU64::new(0)).collect();
    let released = Arc::new(AtomicU64::new(0));
    let data = Bytes::from(vec![b'x'; load.size]);

    let since = Instant::now();
    let mut reading = JoinSet::new();
    for (index, mut receiver) in receivers.drain(..).enumerate() {
        let (window, progress) = (Arc::clone(&window), Arc::clone(&progress));
        let released = Arc::clone(&released);
        reading.spawn(async move {
            for count in 1..=total {
                receiver.receive().await;
                if count % STEP == 0 {
                    progress[index].store(count, Ordering::Relaxed);
                    // As many are through as the slowest has got.
                    let all = progress.iter().map(|one| one.load(Ordering::Relaxed));
                    let through = all.min().unwrap_or(count);
                    let before = released.fetch_max(through, Ordering::Relaxed);
                    window.add_permits(through.saturating_sub(before) as usize);
                }
            }
            receiver
        });
    }
    let mut publishing = JoinSet::new();
    for _ in 0..load.publishers {
        let (sender, window, data) = (sender.clone(), Arc::clone(&window), data.clone());
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
    receiver: R,
    messages: usize,
    size: usize,
) -> (Vec<Duration>, R) {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let data = Bytes::from(vec![b'x'; size]);
    let mut receiver = receiver;
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

/// The two sides of a comparison: connects a sender and so many receivers.
pub struct Side<'a, S, R> {
    /// What the table calls it.
    pub name: &'a str,
    /// Connects anew.
    pub connect: &'a dyn Fn(usize) -> (S, Vec<R>),
}

/// Compares an adapter with its raw client, in turns: how many messages a second come through, for
/// small and large ones, for these numbers of publishers, with one instance receiving and with four;
/// and how long one takes.
pub fn compare<S1: Sender, R1: Receiver, S2: Sender, R2: Receiver>(
    report: &mut Report,
    runtime: &Runtime,
    (adapter, raw): (&Side<'_, S1, R1>, &Side<'_, S2, R2>),
    publishers: &[(u64, u64)],
    rounds: usize,
) {
    for (size, part, window) in [(100, 1, 8_192), (10 * 1024, 10, 1_024)] {
        for receivers in [1, 4] {
            for &(publishers, messages) in publishers {
                let messages = messages / part / receivers as u64;
                let load = Load { publishers, messages, size, window };
                let (ours, mut our_streams) = (adapter.connect)(receivers);
                let (theirs, mut their_streams) = (raw.connect)(receivers);
                report.compare(
                    &format!("{size} B, {publishers} publishing, {receivers} receiving"),
                    "messages/s",
                    Better::More,
                    rounds,
                    &mut [
                        (adapter.name, &mut || {
                            runtime.block_on(throughput(&ours, &mut our_streams, load))
                        }),
                        (raw.name, &mut || {
                            runtime.block_on(throughput(&theirs, &mut their_streams, load))
                        }),
                    ],
                );
            }
        }
        compare_latencies(report, runtime, (adapter, raw), size, rounds);
    }
}

fn compare_latencies<S1: Sender, R1: Receiver, S2: Sender, R2: Receiver>(
    report: &mut Report,
    runtime: &Runtime,
    (adapter, raw): (&Side<'_, S1, R1>, &Side<'_, S2, R2>),
    size: usize,
    rounds: usize,
) {
    const MESSAGES: usize = 1_000;
    let (ours, mut our_streams) = (adapter.connect)(1);
    let (theirs, mut their_streams) = (raw.connect)(1);
    let mut found: [[Samples; 2]; 2] = Default::default();
    for round in 0..=rounds {
        let mut both = Vec::new();
        for stream in our_streams.split_off(0) {
            let (taken, stream) = runtime.block_on(latencies(&ours, stream, MESSAGES, size));
            our_streams.push(stream);
            both.push(taken);
        }
        for stream in their_streams.split_off(0) {
            let (taken, stream) = runtime.block_on(latencies(&theirs, stream, MESSAGES, size));
            their_streams.push(stream);
            both.push(taken);
        }
        if round == 0 {
            continue;
        }
        for (index, taken) in both.into_iter().enumerate() {
            let micros = |one: Duration| one.as_secs_f64() * 1e6;
            let all: Samples = taken.into_iter().map(micros).collect();
            found[0][index].push(all.median());
            found[1][index].push(all.quantile(0.99));
        }
    }
    for (what, [ours, theirs]) in ["p50", "p99"].into_iter().zip(found) {
        let work = format!("{size} B, from publish to receive, {what}");
        report.add(&work, "µs", Better::Less, &[(adapter.name, ours), (raw.name, theirs)]);
    }
}

/// How many rounds count: what `ROUNDS` says, or 15.
#[must_use]
pub fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

/// An adapter's sender: publishes to [`TOPIC`].
#[derive(Clone)]
pub struct Publisher(pub Arc<dyn Backend>);

/// What the benches publish to.
pub const TOPIC: &str = "orders";

impl Sender for Publisher {
    async fn send(&self, data: Bytes) {
        self.0.publish(MessageEnvelope::new(TOPIC, data)).await.expect("it is published");
    }
}

/// An adapter's receiver, and the instance that it belongs to.
pub struct Stream(pub Subscription, pub Arc<dyn Backend>);

impl Receiver for Stream {
    async fn receive(&mut self) {
        match self.0.recv().await {
            Some(Event::Message(_)) => {}
            other => panic!("{other:?} in place of a message"),
        }
    }
}

/// An instance that publishes, and some that receive.
///
/// # Panics
/// If one cannot be made.
pub async fn instances<F: Future<Output = Arc<dyn Backend>>>(
    connect: impl Fn() -> F,
    receivers: usize,
) -> (Publisher, Vec<Stream>) {
    let mut streams = Vec::new();
    for _ in 0..receivers {
        let instance = connect().await;
        let stream = instance.subscribe(TOPIC).await.expect("the server is there");
        streams.push(Stream(stream, instance));
    }
    (Publisher(connect().await), streams)
}

/// How fast an instance is back when its server was killed and has been started again: from then
/// until it is healthy, with every topic live.
///
/// # Panics
/// If it does not come back.
pub async fn recovery<E: std::fmt::Debug>(
    instance: &dyn Backend,
    topics: usize,
    restart: impl AsyncFnOnce() -> Result<(), E>,
) -> Duration {
    let mut streams = Vec::new();
    for number in 0..topics {
        streams.push(instance.subscribe(&format!("topic {number}")).await.expect("it is live"));
    }
    let health = instance.as_health_aware().expect("it knows");
    let (recovered, mut recovery) = mpsc::unbounded_channel();
    health.on_reconnect(Box::new(move || {
        // Who has gone does not want to know.
        let _ = recovered.send(Instant::now());
    }));
    restart().await.expect("the server starts");
    let since = Instant::now();
    let back = recovery.recv().await.expect("it comes back");
    back.saturating_duration_since(since)
}

impl<S, R> fmt::Debug for Side<'_, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Side").field(&self.name).finish()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.0).finish()
    }
}
