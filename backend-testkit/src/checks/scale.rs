//! The same promises, for many at once.
//!
//! Numbers go down where a backend is far away: a check takes as many rounds as fit into a part of
//! the deadline.

use backend_core::MessageEnvelope;

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "scale",
        ten_thousand_topics,
        [D1, D7],
        [],
        "An instance may subscribe to 10,000 topics, and each gets its own."
    ),
    check!(
        "scale",
        sixty_four_instances,
        [D1, D2, D5],
        [],
        "Of 64 linked instances, each hears all others, once, and not itself."
    ),
    check!(
        "scale",
        a_thousand_subscriptions,
        [D1, U3],
        [],
        "A thousand subscriptions of one instance to one topic each get everything."
    ),
    check!(
        "scale",
        large_data_in_a_row,
        [D8, D1],
        [MaxData],
        "Envelopes of up to 1 MiB, as far as claimed, arrive one behind the other, byte for byte."
    ),
    check!(
        "scale",
        a_hundred_thousand_topics_leave_nothing,
        [U4, D6],
        [Registrations],
        "As many topics, subscribed to, published to and dropped one after the other, are forgotten."
    ),
];

async fn ten_thousand_topics(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for number in bench.rounds(10_000) {
        readers.push(b.subscribe(&format!("topic {number}")).await?);
    }
    for number in 0..readers.len() {
        // Not in the order of subscribing, and no neighbours one after the other.
        let index = number * 7_919 % readers.len();
        let reader = &mut readers[index];
        let topic = reader.topic();
        a.publish(&topic, &format!("for {topic}")).await?;
        reader.expect(&format!("for {topic}")).await.because("its own topic's alone")?;
    }
    Ok(())
}

async fn sixty_four_instances(bench: Bench) -> Verified {
    let instances = bench.instances(64).await?;
    let mut readers = Vec::new();
    for instance in &instances {
        readers.push(instance.subscribe("news").await?);
    }
    for round in bench.rounds(instances.len()) {
        let data = format!("from number {round}");
        instances[round].publish("news", &data).await?;
        for (number, reader) in readers.iter_mut().enumerate() {
            if number != round {
                reader.expect(&data).await.because("all others hear it, once")?;
            }
        }
    }
    Ok(())
}

async fn a_thousand_subscriptions(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for number in bench.rounds(1_000) {
        readers.push(b.subscribe("news").await?.named(&number.to_string()));
    }
    for round in 0..3 {
        let data = format!("number {round}");
        a.publish("news", &data).await?;
        for reader in &mut readers {
            reader.expect(&data).await.because("each sees everything")?;
        }
    }
    Ok(())
}

async fn large_data_in_a_row(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let most = bench.claims().max_data().unwrap_or(0).min(1 << 20);
    let at_once = bench.burst(8);
    for round in bench.rounds(4) {
        let envelopes: Vec<MessageEnvelope> = (0..at_once)
            .map(|number| {
                // Each of its own size and bytes, so that none passes for another.
                let size = most - number.min(most);
                let byte = |place: usize| place.wrapping_mul(31).wrapping_add(number) as u8;
                let data: Vec<u8> = (0..size).map(byte).collect();
                MessageEnvelope::new("news", data).with_id(format!("{round}.{number}"))
            })
            .collect();
        for envelope in &envelopes {
            a.send(envelope.clone()).await?;
        }
        for envelope in &envelopes {
            reader.expect_envelope(envelope).await.because("large data is data")?;
        }
    }
    Ok(())
}

async fn a_hundred_thousand_topics_leave_nothing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _stays = b.subscribe("stays").await?;
    for round in bench.rounds(100_000) {
        let topic = format!("topic {round}");
        let reader = b.subscribe(&topic).await?;
        a.publish(&topic, "unread").await?;
        drop(reader);
        a.publish(&topic, "to nobody").await?;
    }
    b.until_held(1, 1).await.because("every other subscription was dropped")
}
