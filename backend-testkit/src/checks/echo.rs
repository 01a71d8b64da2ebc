//! D2: an instance never hears itself.
//!
//! The negative fact is shown by playing ball: the publisher A sends, the witness B receives and
//! sends back, and A must get B's without ever getting its own. Several rounds leave an echo that
//! comes late no place to hide: it has to be slower than all the round trips after it.

use backend_core::MessageEnvelope;

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};
use crate::instance::Instance;
use crate::reader::Reader;
use crate::{Check, Clause};

pub(crate) const CHECKS: &[Check] = &[
    check!("echo", never_echoed, [D2], [], "An instance does not get what it publishes itself."),
    check!(
        "echo",
        never_echoed_to_any_of_several_subscriptions,
        [D2],
        [],
        "None of an instance's subscriptions to a topic gets what the instance publishes."
    ),
    check!(
        "echo",
        never_echoed_after_resubscribing,
        [D2, U2],
        [],
        "No echo comes after unsubscribing, or dropping, and subscribing again."
    ),
    check!(
        "echo",
        never_echoed_from_another_task,
        [D2],
        [],
        "The instance counts, and not the task, the thread or the handle that publishes."
    ),
    check!(
        "echo",
        never_echoed_when_nobody_else_listens,
        [D2, D6],
        [],
        "An instance does not get its own when it is the only one that subscribes."
    ),
    check!(
        "echo",
        never_echoed_on_many_topics,
        [D2],
        [],
        "No echo comes on any of many topics, the empty one included."
    ),
    check!(
        "echo",
        an_equal_envelope_of_another_instance_is_no_echo,
        [D2, D5],
        [],
        "What another instance publishes arrives though it equals an own envelope."
    ),
    check!(
        "echo",
        never_echoed_with_large_data,
        [D2],
        [MaxData],
        "No echo comes of large data, which may go another way than small data does."
    ),
    check!(
        "echo",
        never_echoed_after_an_outage,
        [D2, H5],
        [Faults],
        "No echo comes after an outage of the publisher."
    ),
];

/// A and B send to and fro; A's readers get B's envelopes alone.
async fn play_ball(
    (a, b): (&Instance, &Instance),
    at_a: &mut [Reader],
    at_b: &mut Reader,
    rounds: usize,
) -> Verified {
    play_with((a, b), at_a, at_b, rounds, 0).await
}

/// The same, with data of at least so many bytes.
async fn play_with(
    (a, b): (&Instance, &Instance),
    at_a: &mut [Reader],
    at_b: &mut Reader,
    rounds: usize,
    size: usize,
) -> Verified {
    let topic = at_b.topic();
    for round in 0..rounds {
        let mut own = format!("A's own {round}");
        let mut others = format!("B's {round}");
        for data in [&mut own, &mut others] {
            data.push_str(&"-".repeat(size.saturating_sub(data.len())));
        }
        a.publish(&topic, &own).await?;
        at_b.expect(&own).await?;
        b.publish(&topic, &others).await?;
        for reader in at_a.iter_mut() {
            reader
                .expect(&others)
                .await
                .because("and never what A itself published")
                .of(Clause::D2)?;
        }
    }
    Ok(())
}

async fn never_echoed(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = [a.subscribe("news").await?];
    let mut at_b = b.subscribe("news").await?;
    play_ball((&a, &b), &mut at_a, &mut at_b, bench.sentinels(8)).await
}

async fn never_echoed_to_any_of_several_subscriptions(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = Vec::new();
    for name in ["first", "second", "third"] {
        at_a.push(a.subscribe("news").await?.named(name));
    }
    let mut at_b = b.subscribe("news").await?;
    play_ball((&a, &b), &mut at_a, &mut at_b, bench.sentinels(5)).await
}

async fn never_echoed_after_resubscribing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_b = b.subscribe("news").await?;
    let first = a.subscribe("news").await?;
    a.publish("news", "before").await?;
    at_b.expect("before").await?;
    a.unsubscribe("news").await?;
    drop(first);

    let mut again = [a.subscribe("news").await?.named("after unsubscribe")];
    play_ball((&a, &b), &mut again, &mut at_b, bench.sentinels(5)).await?;
    drop(again);
    let mut again = [a.subscribe("news").await?.named("after a drop")];
    play_ball((&a, &b), &mut again, &mut at_b, bench.sentinels(5)).await
}

async fn never_echoed_from_another_task(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut at_b = b.subscribe("news").await?;
    for round in 0..bench.sentinels(5) {
        let (own, others) = (format!("A's own {round}"), format!("B's {round}"));
        let (handle, data) = (a.clone(), own.clone());
        bench.spawn(async move { handle.publish("news", &data).await }).done().await?;
        at_b.expect(&own).await?;
        b.publish("news", &others).await?;
        at_a.expect(&others).await.because("and never what A itself published")?;
    }
    Ok(())
}

async fn never_echoed_when_nobody_else_listens(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    for round in 0..bench.sentinels(8) {
        a.publish("news", &format!("A's own {round}")).await?;
        let others = format!("B's {round}");
        b.publish("news", &others).await?;
        at_a.expect(&others).await.because("and never what A itself published")?;
    }
    Ok(())
}

async fn never_echoed_on_many_topics(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["", "a", "a.b", "*", "user:42", "Ünicode ☕", "a b"] {
        let mut at_a = [a.subscribe(topic).await?];
        let mut at_b = b.subscribe(topic).await?;
        play_ball((&a, &b), &mut at_a, &mut at_b, bench.sentinels(3)).await?;
    }
    Ok(())
}

async fn an_equal_envelope_of_another_instance_is_no_echo(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut at_b = b.subscribe("news").await?;
    let envelope = MessageEnvelope::new("news", "the same").with_id("7").with_scope("all");
    for _ in 0..3 {
        a.send(envelope.clone()).await?;
        at_b.expect_envelope(&envelope).await.because("A published it")?;
        b.send(envelope.clone()).await?;
        at_a.expect_envelope(&envelope)
            .await
            .because("B published it, and it is none of A's own")?;
    }
    for round in 0..bench.sentinels(1) {
        let last = format!("the last {round}");
        b.publish("news", &last).await?;
        at_a.expect(&last).await.because("A gets B's copies, and none of its own")?;
    }
    Ok(())
}

async fn never_echoed_with_large_data(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = [a.subscribe("news").await?];
    let mut at_b = b.subscribe("news").await?;
    let most = bench.claims().max_data().unwrap_or(0);
    // A page, a segment, what a connection takes at once: where ways may part.
    for size in [5_000, 70_000, most] {
        let size = size.min(most);
        play_with((&a, &b), &mut at_a, &mut at_b, bench.sentinels(2), size).await?;
    }
    Ok(())
}

async fn never_echoed_after_an_outage(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = [a.subscribe("news").await?];
    let mut at_b = b.subscribe("news").await?;
    play_ball((&a, &b), &mut at_a, &mut at_b, bench.sentinels(2)).await?;
    a.cut().await?;
    a.restore().await?;
    b.publish("news", "welcome back").await?;
    at_a[0].expect_past_gaps("welcome back").await?;
    play_ball((&a, &b), &mut at_a, &mut at_b, bench.sentinels(6)).await
}
