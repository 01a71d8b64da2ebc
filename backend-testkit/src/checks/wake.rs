//! D1, L3, H5, C1: who waits is woken.
//!
//! A reader that is polled again by chance, by a timer say, hides a wake-up that was lost. So these
//! check with readers that are blocked in tasks of their own, and with wakers that take note: what
//! counts is that the waker is called.

use backend_core::{Event, GapCause};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};
use crate::poll::Flag;
use crate::reader::Reader;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "wake",
        again_and_again,
        [D1],
        [],
        "A reader that waits is woken by each of hundreds of messages."
    ),
    check!(
        "wake",
        every_one_of_many,
        [D1, U3],
        [],
        "All of many readers of one topic that wait are woken, on every instance."
    ),
    check!(
        "wake",
        after_an_overflow,
        [L3, D1],
        [Capacity],
        "A reader that has caught up after an overflow, and waits again, is woken."
    ),
    check!(
        "wake",
        after_an_outage,
        [H5, D1],
        [Faults],
        "A reader that has read the gap of an outage, and waits again, is woken."
    ),
    check!(
        "wake",
        by_unsubscribing_many,
        [U1],
        [],
        "Unsubscribing wakes all of many readers that wait for the topic."
    ),
    check!(
        "wake",
        by_closing_many,
        [C1],
        [],
        "Closing wakes all of many readers that wait, on many topics."
    ),
];

async fn again_and_again(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let flag = Flag::new();
    for number in bench.rounds(400) {
        reader.expect_pending_with("before it is published", &flag.waker())?;
        let data = number.to_string();
        a.publish("news", &data).await?;
        reader.is_woken(&flag, &format!("message number {number}")).await?;
        reader.expect(&data).await?;
    }
    Ok(())
}

async fn every_one_of_many(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for number in bench.rounds(20) {
        for instance in [&b, &c] {
            let reader = instance.subscribe("news").await?.named(&number.to_string());
            blocked.push(reader.block().await?);
        }
    }
    a.publish("news", "hello").await?;
    for blocked in blocked {
        blocked.wakes_with("hello").await?;
    }
    Ok(())
}

/// Who waits now is woken by what `publish` sends, three times.
async fn is_woken_again(
    mut reader: Reader,
    publisher: &crate::instance::Instance,
    when: &str,
) -> Verified {
    let topic = reader.topic();
    for number in 0..3 {
        let data = format!("{when} {number}");
        let blocked = reader.block().await?;
        publisher.publish(&topic, &data).await?;
        reader = blocked.wakes_with(&data).await?;
    }
    Ok(())
}

async fn after_an_overflow(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut stalled = b.subscribe("news").await?.named("stalled");
    let mut witness = b.subscribe("news").await?.named("keeps up");
    // Several times what is sure to be kept, and then something that comes last.
    for number in 0..bench.claims().capacity().unwrap_or(1) * 3 + 7 {
        let data = number.to_string();
        a.publish("news", &data).await?;
        witness.expect(&data).await?;
    }
    let mut caught_up = false;
    for number in 0..bench.sentinels(1) {
        let last = format!("last {number}");
        a.publish("news", &last).await?;
        witness.expect(&last).await?;
        while !caught_up {
            match stalled.next(&format!("what is left, up to {last:?}")).await? {
                Some(Event::Message(envelope)) if envelope.data() == last.as_str() => {
                    caught_up = true;
                }
                Some(_) => {}
                None => return stalled.unexpected(&last, None),
            }
        }
    }
    if bench.is_unordered() {
        // Something of before may still be on its way, and would wake it.
        return Ok(());
    }
    is_woken_again(stalled, &a, "after the overflow").await
}

async fn after_an_outage(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for outage in 0..2 {
        b.cut().await?;
        b.restore().await?;
        reader.expect_gap(GapCause::Reconnected).await?;
        let data = format!("after outage {outage}");
        let blocked = reader.block().await?;
        a.publish("news", &data).await?;
        reader = blocked.wakes_with(&data).await?;
    }
    is_woken_again(reader, &a, "after the outages").await
}

async fn by_unsubscribing_many(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for number in bench.rounds(40) {
        let reader = b.subscribe("news").await?.named(&number.to_string());
        blocked.push(reader.block().await?);
    }
    b.unsubscribe("news").await?;
    for blocked in blocked {
        blocked.wakes_with_end().await.of(crate::Clause::U1)?;
    }
    Ok(())
}

async fn by_closing_many(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for number in bench.rounds(100) {
        for name in ["first", "second"] {
            let reader = b.subscribe(&format!("topic {number}")).await?.named(name);
            blocked.push(reader.block().await?);
        }
    }
    b.close().await?;
    for blocked in blocked {
        blocked.wakes_with_end().await?;
    }
    Ok(())
}
