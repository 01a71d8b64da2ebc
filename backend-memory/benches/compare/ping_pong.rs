//! One message in flight between two instances that know nothing of each other's kind.

use std::sync::Arc;
use std::time::Instant;

use backend_core::{Backend, Event, MessageEnvelope, Subscription};
use backend_memory::MemoryBackend;
use bench_harness::{Better, Report};
use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::peers::envelope;

const TIMES: usize = 10_000;

pub(crate) fn run(report: &mut Report, runtime: &Runtime, rounds: usize) {
    // At most 1.5 times as long.
    report.set_target(Some(1.0 / 1.5));
    report.compare(
        "there and back",
        "ns",
        Better::Less,
        rounds,
        &mut [
            ("dyn Backend", &mut || runtime.block_on(backends())),
            ("two tokio mpsc channels", &mut || runtime.block_on(channels())),
        ],
    );
}

async fn next(subscription: &mut Subscription) -> MessageEnvelope {
    match subscription.recv().await {
        Some(Event::Message(envelope)) => envelope,
        other => panic!("nothing is lost, and nothing ends: {other:?}"),
    }
}

/// Nanoseconds for there and back.
async fn backends() -> f64 {
    let memory = MemoryBackend::new();
    let (here, there): (Arc<dyn Backend>, Arc<dyn Backend>) =
        (Arc::new(memory.fork()), Arc::new(memory));
    let subscribe = |instance: &Arc<dyn Backend>, topic| {
        instance.subscribe(topic).now_or_never().expect("nothing waits").expect("it is open")
    };
    let (mut pings, mut pongs) = (subscribe(&there, "ping"), subscribe(&here, "pong"));
    let echo = tokio::spawn(async move {
        for _ in 0..TIMES {
            drop(next(&mut pings).await);
            there.publish(envelope("pong")).await.expect("it is open");
        }
    });
    let since = tokio::spawn(async move {
        let since = Instant::now();
        for _ in 0..TIMES {
            here.publish(envelope("ping")).await.expect("it is open");
            drop(next(&mut pongs).await);
        }
        since.elapsed()
    });
    let took = since.await.expect("it does not panic");
    echo.await.expect("it does not panic");
    took.as_nanos() as f64 / TIMES as f64
}

async fn channels() -> f64 {
    let (ping, mut pings) = mpsc::channel(1024);
    let (pong, mut pongs) = mpsc::channel(1024);
    let echo = tokio::spawn(async move {
        for _ in 0..TIMES {
            drop::<Option<MessageEnvelope>>(pings.recv().await);
            pong.send(envelope("pong")).await.expect("it is open");
        }
    });
    let since = tokio::spawn(async move {
        let since = Instant::now();
        for _ in 0..TIMES {
            ping.send(envelope("ping")).await.expect("it is open");
            drop::<Option<MessageEnvelope>>(pongs.recv().await);
        }
        since.elapsed()
    });
    let took = since.await.expect("it does not panic");
    echo.await.expect("it does not panic");
    took.as_nanos() as f64 / TIMES as f64
}
