//! C1: close is safe to race with anything.

use std::sync::Arc;
use std::time::Instant;

use backend_core::{Error, MessageEnvelope};
use tokio::sync::Barrier;

use crate::Check;
use crate::bench::{Bench, Part};
use crate::check::check;
use crate::failure::{Failure, Verified};
use crate::instance::Instance;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "closing_races",
        many_may_close_at_once,
        [C1],
        [],
        "Closing from many tasks at once is Ok for all of them."
    ),
    check!(
        "closing_races",
        publish_races_with_close,
        [C1, C2],
        [],
        "Publishes that race with close give Ok or Closed, or say that nobody knows, and end."
    ),
    check!(
        "closing_races",
        subscribe_races_with_close,
        [C1, C2],
        [],
        "Subscribes that race with close give Closed, or a stream that ends."
    ),
    check!(
        "closing_races",
        unsubscribe_races_with_close,
        [C1, C2],
        [],
        "Unsubscribes that race with close give Ok or Closed, and the streams end."
    ),
    check!(
        "closing_races",
        reading_races_with_close,
        [C1],
        [],
        "Readers that are busy while the instance closes get what was accepted, and the end."
    ),
    check!(
        "closing_races",
        closed_means_closed_in_every_task,
        [C2],
        [],
        "Once any close has returned, every task's operations give Closed."
    ),
];

const TASKS: usize = 6;

/// Runs `part` in many tasks that start together with a close of the instance.
///
/// The close lets the others have `head_start` turns first: with a different one in each round, it
/// comes at one moment after the other of what they do.
async fn race<F, Fut>(bench: &Bench, instance: &Instance, head_start: usize, part: F) -> Verified
where
    F: Fn(Instance, usize) -> Fut,
    Fut: Future<Output = Verified> + Send + 'static,
{
    let start = Arc::new(Barrier::new(TASKS + 1));
    let mut parts: Vec<Part<()>> = Vec::new();
    for number in 0..TASKS {
        let (start, part) = (Arc::clone(&start), part(instance.clone(), number));
        parts.push(bench.spawn(async move {
            start.wait().await;
            part.await
        }));
    }
    let closing = instance.clone();
    parts.push(bench.spawn(async move {
        start.wait().await;
        for _ in 0..head_start {
            tokio::task::yield_now().await;
        }
        closing.close().await
    }));
    for part in parts {
        part.done().await?;
    }
    Ok(())
}

/// `true` for Ok, `false` for Closed; anything else fails.
fn open_or_closed<T>(what: &str, result: Result<T, Error>) -> Verified<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_closed() => Ok(None),
        Err(error) => Err(Failure::new(
            format!("{what} while the instance closes gives Ok or Error::Closed"),
            format!("the error {error:?}"),
        )),
    }
}

async fn many_may_close_at_once(bench: Bench) -> Verified {
    for round in bench.rounds(20) {
        let [a, b] = bench.cluster().await?;
        let mut reader = a.subscribe("news").await?;
        race(&bench, &a, round, |a, _| async move { a.close().await }).await?;
        reader.expect_end().await?;
        b.publish("news", "nobody is there").await?;
    }
    Ok(())
}

async fn publish_races_with_close(bench: Bench) -> Verified {
    let patience = bench.deadline();
    for round in bench.rounds(20) {
        let [a, b] = bench.cluster().await?;
        let _reader = b.subscribe("news").await?;
        race(&bench, &a, round, |a, number| async move {
            // Until the first refusal, which must come: the instance is being closed. A slow close
            // may take a while, and publishes may be Ok until it has returned.
            let since = Instant::now();
            for count in 0.. {
                let envelope = MessageEnvelope::new("news", format!("{number} {count}"));
                let result = a.try_send(envelope).await?;
                // Handed over, and the answer cut off.
                if result.as_ref().is_err_and(Error::may_have_taken_effect) {
                    break;
                }
                if open_or_closed("publish", result)?.is_none() {
                    break;
                }
                if since.elapsed() > patience {
                    let seen = format!("it was still Ok {patience:?} after the close began");
                    return Err(Failure::new("publish gives Error::Closed at last", seen));
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn subscribe_races_with_close(bench: Bench) -> Verified {
    for round in bench.rounds(20) {
        let [a, _b] = bench.cluster().await?;
        race(&bench, &a, round, |a, number| async move {
            for topic in ["shared".to_owned(), format!("topic {number}")] {
                let result = a.try_subscribe(&topic).await?;
                if let Some(mut reader) = open_or_closed("subscribe", result)? {
                    reader.expect_end().await?;
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn unsubscribe_races_with_close(bench: Bench) -> Verified {
    for round in bench.rounds(20) {
        let [a, _b] = bench.cluster().await?;
        let mut shared = a.subscribe("shared").await?;
        let mut own = a.subscribe("topic 1").await?;
        race(&bench, &a, round, |a, number| async move {
            for topic in ["shared".to_owned(), format!("topic {number}")] {
                open_or_closed("unsubscribe", a.try_unsubscribe(&topic).await?)?;
            }
            Ok(())
        })
        .await?;
        shared.expect_end().await?;
        own.expect_end().await?;
    }
    Ok(())
}

async fn reading_races_with_close(bench: Bench) -> Verified {
    for _ in bench.rounds(20) {
        let [a, b] = bench.cluster().await?;
        let burst: Vec<String> = (0..bench.burst(8)).map(|number| number.to_string()).collect();
        let mut parts = Vec::new();
        for _ in 0..TASKS {
            let mut reader = a.subscribe("news").await?;
            let burst = burst.clone();
            // How far it gets depends on the race; what it gets is a beginning, in order.
            parts.push(bench.spawn(async move { reader.expect_drained(&burst, 0).await }));
        }
        for data in &burst {
            b.publish("news", data).await?;
        }
        a.close().await?;
        for part in parts {
            part.done().await?;
        }
    }
    Ok(())
}

async fn closed_means_closed_in_every_task(bench: Bench) -> Verified {
    for round in bench.rounds(20) {
        let [a, _b] = bench.cluster().await?;
        race(&bench, &a, round, |a, _| async move {
            a.close().await?;
            let publish = a.try_send(MessageEnvelope::new("news", "too late")).await?;
            if open_or_closed("publish", publish)?.is_some() {
                return Err(Failure::new(
                    "publish gives Error::Closed after this task's close",
                    "Ok",
                ));
            }
            if open_or_closed("subscribe", a.try_subscribe("news").await?)?.is_some() {
                return Err(Failure::new(
                    "subscribe gives Error::Closed after this task's close",
                    "Ok",
                ));
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}
