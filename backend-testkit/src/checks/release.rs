//! U4 and C4: dropping a subscription releases it, dropping the last handle closes.

use backend_core::MessageEnvelope;

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified};
use crate::{Check, Clause, panics};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "release",
        a_dropped_subscription_is_released,
        [U4],
        [Registrations],
        "Dropping a subscription on a quiet topic releases it and its topic."
    ),
    check!(
        "release",
        one_of_several_is_released,
        [U4, U3],
        [Registrations],
        "Dropping one of several releases that one, and the topic with the last."
    ),
    check!(
        "release",
        a_dropped_subscription_with_a_backlog_is_released,
        [U4],
        [Registrations],
        "So does dropping one that has unread messages."
    ),
    check!(
        "release",
        a_dropped_half_read_subscription_is_released,
        [U4, X3],
        [Registrations],
        "So does dropping one that a reader was blocked in."
    ),
    check!(
        "release",
        released_outside_any_runtime,
        [U4],
        [Registrations],
        "So does dropping it on a thread that has no runtime."
    ),
    check!(
        "release",
        a_drop_outside_any_runtime_is_harmless,
        [U4],
        [],
        "Dropping a subscription on a thread without a runtime neither panics nor blocks."
    ),
    check!(
        "release",
        churn_leaves_nothing,
        [U4],
        [Registrations],
        "Thousands of subscriptions to fresh topics leave nothing behind."
    ),
    check!(
        "release",
        unsubscribe_releases,
        [U1, U4],
        [Registrations],
        "Unsubscribing releases the subscriptions and the topic."
    ),
    check!(
        "release",
        close_releases,
        [C1, U4],
        [Registrations],
        "Closing releases all subscriptions."
    ),
    check!(
        "release",
        dropping_the_last_handle_ends_the_streams,
        [C4],
        [],
        "Streams of an instance end, drained, when its last handle is dropped."
    ),
    check!(
        "release",
        dropping_the_last_handle_wakes_blocked_readers,
        [C4, C1],
        [],
        "Blocked readers wake up with None when the last handle is dropped."
    ),
    check!(
        "release",
        the_last_handle_counts,
        [C4],
        [],
        "Dropping a handle that is not the last one ends nothing."
    ),
    check!(
        "release",
        the_last_handle_may_go_outside_any_runtime,
        [C4],
        [],
        "The last handle may be dropped on a thread that has no runtime."
    ),
    check!(
        "release",
        others_go_on_after_the_last_handle_went,
        [C4, C3],
        [],
        "Other instances go on when the last handle of one is dropped."
    ),
];

/// Drops something on a thread that knows no runtime.
async fn drop_elsewhere<T: Send + 'static>(bench: &Bench, what: &str, thing: T) -> Verified {
    let what = format!("{what} is dropped on a thread without a runtime");
    bench.story().tell(what.clone());
    let (done, dropped) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name(panics::ELSEWHERE.into()).spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(thing)));
        let _ = done.send(result.map_err(|panic| panics::text_of(panic.as_ref())));
    });
    if let Err(error) = thread {
        return Err(Failure::new("a thread can be started", error.to_string()));
    }
    match bench.within(what.clone(), dropped).await? {
        Ok(Ok(())) => Ok(()),
        Ok(Err(panic)) => Err(Failure::new(what, format!("a panic: {panic}"))),
        Err(_) => Err(Failure::new(what, "the thread has gone")),
    }
}

async fn a_dropped_subscription_is_released(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    b.until_held(0, 0).await?;
    let reader = b.subscribe("quiet").await?;
    b.until_held(1, 1).await?;
    bench.story().tell("the subscription is dropped");
    drop(reader);
    b.until_held(0, 0).await.because("nothing is published here, and it is released all the same")
}

async fn one_of_several_is_released(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let first = b.subscribe("quiet").await?;
    let second = b.subscribe("quiet").await?;
    let other = b.subscribe("other").await?;
    b.until_held(3, 2).await?;
    drop(first);
    b.until_held(2, 2).await?;
    drop(second);
    b.until_held(1, 1).await?;
    drop(other);
    b.until_held(0, 0).await
}

async fn a_dropped_subscription_with_a_backlog_is_released(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut witness = b.subscribe("busy").await?;
    let unread = b.subscribe("busy").await?.named("unread");
    for number in 0..bench.burst(10) {
        a.publish("busy", &number.to_string()).await?;
        witness.expect(&number.to_string()).await?;
    }
    drop(unread);
    b.until_held(1, 1).await?;
    drop(witness);
    b.until_held(0, 0).await
}

async fn a_dropped_half_read_subscription_is_released(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("quiet").await?;
    for _ in 0..3 {
        reader.expect_pending("on a quiet topic")?;
    }
    drop(reader);
    b.until_held(0, 0).await.because("a reader had waited in it")
}

async fn released_outside_any_runtime(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let first = b.subscribe("quiet").await?;
    let second = b.subscribe("quiet").await?;
    b.until_held(2, 1).await?;
    drop_elsewhere(&bench, "the first subscription", first).await?;
    b.until_held(1, 1).await?;
    drop_elsewhere(&bench, "the second subscription", second).await?;
    b.until_held(0, 0).await
}

async fn a_drop_outside_any_runtime_is_harmless(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for name in ["first", "second"] {
        let dropped = b.subscribe("news").await?;
        drop_elsewhere(&bench, &format!("the {name} subscription"), dropped).await?;
    }
    let alone = b.subscribe("quiet").await?;
    drop_elsewhere(&bench, "a quiet topic's subscription", alone).await?;
    a.publish("news", "goes on").await?;
    reader.expect("goes on").await
}

async fn churn_leaves_nothing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _stays = b.subscribe("stays").await?;
    for round in bench.rounds(2_000) {
        let topic = format!("topic {round}");
        let reader = b.subscribe(&topic).await?;
        if round.is_multiple_of(2) {
            a.publish(&topic, "unread").await?;
        }
        drop(reader);
    }
    b.until_held(1, 1).await
}

async fn unsubscribe_releases(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let _first = b.subscribe("quiet").await?;
    let _second = b.subscribe("quiet").await?;
    let _other = b.subscribe("other").await?;
    b.until_held(3, 2).await?;
    b.unsubscribe("quiet").await?;
    b.until_held(1, 1).await.because("the ended streams are not live, though nobody dropped them")
}

async fn close_releases(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let _first = b.subscribe("quiet").await?;
    let _second = b.subscribe("other").await?;
    b.until_held(2, 2).await?;
    b.close().await?;
    b.until_held(0, 0).await
}

async fn dropping_the_last_handle_ends_the_streams(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut quiet = b.subscribe("quiet").await?;
    let mut reader = b.unread(&a, MessageEnvelope::new("news", "before")).await?;
    b.drop_last_handle();
    quiet.expect_end().await?;
    if bench.claims().drained_close() {
        reader.expect_rest(["before"]).await.because("what was accepted before, then the end")
    } else {
        reader.expect_drained(&["before".to_owned()], 0).await
    }
}

async fn dropping_the_last_handle_wakes_blocked_readers(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for topic in ["news", "news", "other"] {
        blocked.push(b.subscribe(topic).await?.block().await?);
    }
    b.drop_last_handle();
    for blocked in blocked {
        blocked.wakes_with_end().await?;
    }
    Ok(())
}

async fn the_last_handle_counts(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let other_handle = b.clone();
    bench.story().tell("one of two handles of B is dropped");
    drop(b);
    a.publish("news", "goes on").await?;
    reader.expect("goes on").await.because("B still has a handle")?;
    other_handle.drop_last_handle();
    reader.expect_end().await
}

async fn the_last_handle_may_go_outside_any_runtime(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let mut at_c = c.subscribe("news").await?;
    drop_elsewhere(&bench, "the last handle of B", b).await?;
    reader.expect_end().await?;
    a.publish("news", "goes on").await?;
    at_c.expect("goes on").await.of(Clause::C3)
}

async fn others_go_on_after_the_last_handle_went(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let mut at_a = a.subscribe("news").await?;
    let _at_b = b.subscribe("news").await?;
    b.drop_last_handle();
    a.publish("news", "from A").await?;
    at_c.expect("from A").await?;
    c.publish("news", "from C").await?;
    at_a.expect("from C").await
}
