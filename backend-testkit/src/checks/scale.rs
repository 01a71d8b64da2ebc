//! The same promises, for many at once.
//!
//! Numbers go down where a backend is far away: a check takes as many rounds as fit into a part of
//! the deadline.

use backend_core::{Error, Event, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified};

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
        seventy_thousand_to_one_subscription,
        [D1, O1],
        [],
        "A subscription that keeps up gets 70,000 envelopes, past every counter of 16 bits."
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
    for number in bench.rounds(readers.len()) {
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

async fn seventy_thousand_to_one_subscription(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let at_once = (bench.burst(64) / 2).max(1);
    let mut next = 0_u32;
    // So many that a step for each in the story would take most of the time.
    for _ in bench.rounds(70_000_usize.div_ceil(at_once)) {
        let sent: Vec<u32> = (next..).take(at_once).collect();
        next += sent.len() as u32;
        let publishing = async {
            for number in &sent {
                let envelope = MessageEnvelope::new("news", number.to_le_bytes().to_vec());
                a.backend().publish(envelope).await?;
            }
            Ok::<(), Error>(())
        };
        let what = format!("A publishes the numbers from {} to {next}", sent[0]);
        let published = bench.within(what.clone(), publishing).await?;
        published.map_err(|error| Failure::new(what + ": Ok", format!("the error {error:?}")))?;

        let mut got = Vec::new();
        let subscription = reader.subscription();
        let reading = async {
            while got.len() < sent.len() {
                match subscription.recv().await {
                    Some(Event::Message(envelope)) => got.push(envelope.data().to_vec()),
                    other => return Err(other),
                }
            }
            Ok(())
        };
        let what = format!("B gets each of the numbers from {} to {next}", sent[0]);
        let read = bench.within(what.clone(), reading).await;
        let mut got: Vec<u32> = got
            .iter()
            .filter_map(|data| Some(u32::from_le_bytes(data.as_slice().try_into().ok()?)))
            .collect();
        if bench.is_unordered() {
            got.sort_unstable();
        }
        if let Ok(Err(other)) = read {
            return reader.unexpected(&what, other.as_ref());
        }
        if got != sent {
            let lacking = sent.iter().zip(&got).find(|(sent, got)| sent != got).map(|(one, _)| one);
            let lacking = lacking.or(sent.get(got.len())).unwrap_or(&next);
            return Err(Failure::new(what, format!("{} of them, without {lacking}", got.len())));
        }
        bench.observe();
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
