//! D5: at most once. Two equal envelopes are still two.

use backend_core::MessageEnvelope;

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "once",
        never_twice,
        [D5],
        [],
        "Each of many envelopes comes once, to readers that keep up and to one that does not."
    ),
    check!(
        "once",
        never_twice_with_several_subscriptions,
        [D5, U3],
        [],
        "The number of subscriptions does not multiply what each gets."
    ),
    check!(
        "once",
        never_twice_after_resubscribing,
        [D5, U2],
        [],
        "Subscribing again and again does not multiply what comes."
    ),
    check!(
        "once",
        never_twice_with_many_instances,
        [D5],
        [],
        "Instances do not pass on to one another what each of them gets."
    ),
    check!(
        "once",
        two_equal_envelopes_are_two,
        [D5],
        [],
        "Publishing the same envelope twice delivers it twice."
    ),
    check!(
        "once",
        one_id_twice_is_two,
        [D5, D8],
        [],
        "The id is the application's: a backend does not deduplicate by it."
    ),
    check!(
        "once",
        equal_envelopes_of_two_publishers_are_two,
        [D5],
        [],
        "Equal envelopes of two publishers are two."
    ),
];

async fn never_twice(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut fast = b.subscribe("news").await?.named("reads at once");
    let mut slow = b.subscribe("news").await?.named("reads later");
    let count = bench.burst(100);
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    for _ in bench.rounds(5) {
        for number in &numbers {
            a.publish("news", number).await?;
            fast.expect(number).await.because("each once, in order")?;
        }
        slow.expect_all(&numbers).await.because("each once, in order")?;
    }
    for number in 0..bench.sentinels(1) {
        let last = format!("the last {number}");
        a.publish("news", &last).await?;
        fast.expect(&last).await.because("and nothing twice")?;
        slow.expect(&last).await.because("and nothing twice")?;
    }
    b.unsubscribe("news").await?;
    fast.expect_end().await.because("and nothing twice")?;
    slow.expect_end().await.because("and nothing twice")
}

async fn never_twice_with_several_subscriptions(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for number in 1..=5 {
        readers.push(b.subscribe("news").await?.named(&number.to_string()));
        let data = format!("with {number} subscriptions");
        for data in [data.as_str(), "the next"] {
            a.publish("news", data).await?;
            for reader in &mut readers {
                reader.expect(data).await.because("once, however many subscriptions there are")?;
            }
        }
    }
    Ok(())
}

async fn never_twice_after_resubscribing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for round in 0..5 {
        let reader = b.subscribe("news").await?;
        if round % 2 == 0 {
            b.unsubscribe("news").await?;
        }
        drop(reader);
    }
    let mut reader = b.subscribe("news").await?;
    for data in ["one", "two", "three"] {
        a.publish("news", data).await?;
        reader.expect(data).await.because("once, however often B had subscribed before")?;
    }
    b.unsubscribe("news").await?;
    reader.expect_end().await
}

async fn never_twice_with_many_instances(bench: Bench) -> Verified {
    let instances = bench.instances(6).await?;
    let (publisher, others) = (&instances[0], &instances[1..]);
    let mut readers = Vec::new();
    for instance in others {
        readers.push(instance.subscribe("news").await?);
    }
    for data in ["one", "two", "three", "four"] {
        publisher.publish("news", data).await?;
        for reader in &mut readers {
            reader.expect(data).await.because("once, however many instances there are")?;
        }
    }
    Ok(())
}

async fn two_equal_envelopes_are_two(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let envelope = MessageEnvelope::new("news", "the same");
    for _ in 0..2 {
        a.send(envelope.clone()).await?;
    }
    for _ in 0..2 {
        reader.expect_envelope(&envelope).await.because("two equal envelopes are two")?;
    }
    // The same with something in between, and made anew.
    a.publish("news", "another").await?;
    a.publish("news", "the same").await?;
    reader.expect_all(["another", "the same"]).await.because("it was published a third time")
}

async fn one_id_twice_is_two(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for data in ["first", "second", "second"] {
        let envelope = MessageEnvelope::new("news", data).with_id("one id");
        a.send(envelope.clone()).await?;
        reader.expect_envelope(&envelope).await.because("an id is carried, not looked at")?;
    }
    Ok(())
}

async fn equal_envelopes_of_two_publishers_are_two(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut reader = c.subscribe("news").await?;
    let envelope = MessageEnvelope::new("news", "the same").with_id("1");
    a.send(envelope.clone()).await?;
    b.send(envelope.clone()).await?;
    for _ in 0..2 {
        reader.expect_envelope(&envelope).await.because("two publishers published it")?;
    }
    a.publish("news", "the last").await?;
    reader.expect("the last").await.because("two, and not three")
}
