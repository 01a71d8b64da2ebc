//! L1: publish never waits for a subscriber, and a slow one harms nobody else.

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "loss",
        publish_does_not_wait_for_a_stalled_reader,
        [L1],
        [],
        "Publishing goes on however far a subscription is behind."
    ),
    check!(
        "loss",
        publish_does_not_wait_for_many_stalled_readers,
        [L1, U3],
        [],
        "So it does with many of them, on several instances and topics."
    ),
    check!(
        "loss",
        a_stalled_reader_harms_no_reader_of_its_instance,
        [L1],
        [],
        "A reader beside a stalled one, on the same instance and topic, loses nothing."
    ),
    check!(
        "loss",
        a_stalled_reader_harms_no_other_instance,
        [L1],
        [],
        "Readers on other instances lose nothing either."
    ),
    check!(
        "loss",
        a_stalled_reader_harms_no_other_topic,
        [L1],
        [],
        "Readers of other topics of that instance lose nothing either."
    ),
    check!(
        "loss",
        a_stalled_reader_does_not_block_operations,
        [L1],
        [],
        "Subscribe, unsubscribe and close work beside a stalled reader."
    ),
];

/// How many envelopes are sure to be more than a subscription keeps.
fn flood(bench: &Bench) -> usize {
    bench.claims().capacity().map_or(3_000, |capacity| capacity * 3 + 10)
}

async fn publish_does_not_wait_for_a_stalled_reader(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _stalled = b.subscribe("news").await?.named("never read");
    let mut witness = b.subscribe("other").await?;
    for number in bench.rounds(flood(&bench)) {
        a.publish("news", &number.to_string())
            .await
            .because("nobody reads, and publish goes on")?;
    }
    a.publish("other", "still here").await?;
    witness.expect("still here").await
}

async fn publish_does_not_wait_for_many_stalled_readers(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut stalled = Vec::new();
    for topic in ["north", "south"] {
        for instance in [&b, &b, &c, &c] {
            stalled.push(instance.subscribe(topic).await?);
        }
    }
    for number in bench.rounds(flood(&bench)) {
        for topic in ["north", "south"] {
            a.publish(topic, &number.to_string()).await.because("publish waits for nobody")?;
        }
    }
    let mut witness = c.subscribe("other").await?;
    a.publish("other", "still here").await?;
    witness.expect("still here").await
}

/// The reader gets all of a flood, while nobody reads the stalled one.
macro_rules! unharmed {
    ($bench:ident, $publisher:ident, $reader:ident, topics $($topic:literal),+) => {
        for number in $bench.rounds(flood(&$bench)) {
            let data = number.to_string();
            $($publisher.publish($topic, &data).await?;)+
            $reader.expect(&data).await.because("the reader beside it is stalled, this one is not")?;
        }
    };
}

async fn a_stalled_reader_harms_no_reader_of_its_instance(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _stalled = b.subscribe("news").await?.named("never read");
    let mut reader = b.subscribe("news").await?.named("keeps up");
    unharmed!(bench, a, reader, topics "news");
    Ok(())
}

async fn a_stalled_reader_harms_no_other_instance(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let _stalled = b.subscribe("news").await?.named("never read");
    let mut reader = c.subscribe("news").await?.named("keeps up");
    unharmed!(bench, a, reader, topics "news");
    Ok(())
}

async fn a_stalled_reader_harms_no_other_topic(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _stalled = b.subscribe("stalled").await?.named("never read");
    let mut reader = b.subscribe("news").await?.named("keeps up");
    unharmed!(bench, a, reader, topics "stalled", "news");
    Ok(())
}

async fn a_stalled_reader_does_not_block_operations(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _stalled = b.subscribe("stalled").await?.named("never read");
    for number in bench.rounds(flood(&bench)) {
        a.publish("stalled", &number.to_string()).await?;
    }
    let mut reader = b.subscribe("news").await?;
    a.publish("news", "hello").await?;
    reader.expect("hello").await?;
    let mut fresh = b.subscribe("stalled").await?.named("fresh");
    a.publish("stalled", "hello").await?;
    fresh.expect("hello").await?;
    b.unsubscribe("stalled").await?;
    b.close().await
}
