//! U1 to U3: unsubscribe ends the streams of a topic and nothing else; subscriptions are
//! independent.

use backend_core::MessageEnvelope;

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "life",
        unsubscribe_ends_the_stream_drained,
        [U1],
        [],
        "What was accepted before unsubscribe is still handed out, then None, again and again."
    ),
    check!(
        "life",
        unsubscribe_ends_every_stream_of_the_topic,
        [U1],
        [],
        "All of the instance's subscriptions to the topic end."
    ),
    check!(
        "life",
        unsubscribe_wakes_blocked_readers,
        [U1],
        [],
        "Readers that wait in recv wake up with None, all of them."
    ),
    check!(
        "life",
        unsubscribe_leaves_other_topics_alone,
        [U1, D7],
        [],
        "Other topics go on, those that look alike too."
    ),
    check!(
        "life",
        unsubscribe_leaves_other_instances_alone,
        [U1],
        [],
        "Other instances' subscriptions to the topic go on."
    ),
    check!(
        "life",
        unsubscribe_from_an_unknown_topic_is_ok,
        [U1],
        [],
        "Unsubscribing from what was never subscribed to, or twice, is Ok."
    ),
    check!(
        "life",
        nothing_published_after_unsubscribe_is_handed_out,
        [U1],
        [],
        "A stream that has been unsubscribed takes in nothing more."
    ),
    check!(
        "life",
        publishing_goes_on_after_unsubscribe,
        [U1],
        [],
        "Who has unsubscribed still publishes to that topic."
    ),
    check!(
        "life",
        resubscribing_starts_afresh,
        [U2],
        [],
        "A new subscription works, and the old stream stays ended."
    ),
    check!(
        "life",
        resubscribing_again_and_again_works,
        [U2, D4],
        [],
        "Subscribing and unsubscribing in turn works any number of times."
    ),
    check!(
        "life",
        subscriptions_are_independent,
        [U3],
        [],
        "Several subscriptions each see everything, whatever pace they are read at."
    ),
    check!(
        "life",
        subscriptions_share_nothing_when_read_at_once,
        [U3],
        [],
        "Readers in tasks of their own do not compete for messages."
    ),
    check!(
        "life",
        dropping_one_subscription_leaves_the_others,
        [U3, U4],
        [],
        "The other subscriptions to the topic go on when one is dropped."
    ),
];

/// More than any that are ended in one go.
const MANY: usize = 20;

async fn unsubscribe_ends_the_stream_drained(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["news", "sport", "", "weather", "news again"] {
        let mut reader = b.unread(&a, MessageEnvelope::new(topic, "accepted")).await?;
        b.unsubscribe(topic).await?;
        reader.expect_rest(["accepted"]).await.because("it had arrived before, then the end")?;
    }
    // Of several, the first has arrived when the reader is woken.
    let mut reader = b.unread(&a, MessageEnvelope::new("many", "0")).await?;
    let burst: Vec<String> = (0..bench.burst(10)).map(|number| number.to_string()).collect();
    for data in &burst[1..] {
        a.publish("many", data).await?;
    }
    b.unsubscribe("many").await?;
    reader.expect_drained(&burst, 1).await.because("what was accepted before, then the end")
}

async fn unsubscribe_ends_every_stream_of_the_topic(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for number in 0..MANY {
        readers.push(b.subscribe("news").await?.named(&number.to_string()));
    }
    b.unsubscribe("news").await?;
    for reader in &mut readers {
        reader.expect_end().await?;
    }
    Ok(())
}

async fn unsubscribe_wakes_blocked_readers(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for number in 0..MANY {
        blocked.push(b.subscribe("news").await?.named(&number.to_string()).block().await?);
    }
    b.unsubscribe("news").await?;
    for blocked in blocked {
        blocked.wakes_with_end().await?;
    }
    Ok(())
}

async fn unsubscribe_leaves_other_topics_alone(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let others = ["newsroom", "new", "News", "news ", "news.sport", "", "*", "other"];
    let mut readers = Vec::new();
    for topic in others {
        readers.push(b.subscribe(topic).await?);
    }
    let mut ended = b.subscribe("news").await?;
    b.unsubscribe("news").await?;
    ended.expect_end().await?;
    for reader in &mut readers {
        a.publish(&reader.topic(), "goes on").await?;
        reader.expect("goes on").await.because("only another topic was unsubscribed")?;
    }
    Ok(())
}

async fn unsubscribe_leaves_other_instances_alone(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut ended = b.subscribe("news").await?;
    let mut at_c = c.subscribe("news").await?;
    let mut at_a = a.subscribe("news").await?;
    b.unsubscribe("news").await?;
    ended.expect_end().await?;
    a.publish("news", "goes on").await?;
    at_c.expect("goes on").await.because("only B has unsubscribed")?;
    c.publish("news", "there too").await?;
    at_a.expect("there too").await.because("only B has unsubscribed")
}

async fn unsubscribe_from_an_unknown_topic_is_ok(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["unknown", "", "*", "unknown"] {
        b.unsubscribe(topic).await?;
    }
    let mut reader = b.subscribe("news").await?;
    b.unsubscribe("unknown").await?;
    a.publish("news", "goes on").await?;
    reader.expect("goes on").await?;
    b.unsubscribe("news").await?;
    b.unsubscribe("news").await.because("a second time is Ok too")?;
    // Where others subscribe, but not this instance.
    let mut at_a = a.subscribe("news").await?;
    b.unsubscribe("news").await?;
    b.publish("news", "goes on").await?;
    at_a.expect("goes on").await
}

async fn nothing_published_after_unsubscribe_is_handed_out(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut witness = c.subscribe("news").await?;
    let mut reader = b.subscribe("news").await?;
    b.unsubscribe("news").await?;
    for data in ["too late", "much too late"] {
        a.publish("news", data).await?;
        witness.expect(data).await?;
    }
    reader.expect_end().await.because("both were published after it was unsubscribed")
}

async fn publishing_goes_on_after_unsubscribe(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let _reader = b.subscribe("news").await?;
    b.unsubscribe("news").await?;
    b.publish("news", "still heard").await?;
    at_a.expect("still heard").await
}

async fn resubscribing_starts_afresh(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let before = MessageEnvelope::new("news", "before");
    let mut old = b.unread(&a, before).await?.named("old");
    b.unsubscribe("news").await?;
    let mut fresh = b.subscribe("news").await?.named("fresh");
    for data in ["after", "and after"] {
        a.publish("news", data).await?;
        fresh.expect(data).await.because("nothing of before, and each once")?;
    }
    old.expect_rest(["before"]).await.because("a new subscription does not revive the old")
}

async fn resubscribing_again_and_again_works(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for round in bench.rounds(100) {
        let mut reader = b.subscribe("news").await?;
        let data = round.to_string();
        a.publish("news", &data).await?;
        reader.expect(&data).await?;
        b.unsubscribe("news").await?;
        reader.expect_end().await?;
    }
    Ok(())
}

async fn subscriptions_are_independent(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut early = b.subscribe("news").await?.named("read early");
    let mut late = b.subscribe("news").await?.named("read late");
    let mut last = b.subscribe("news").await?.named("read last");
    let burst: Vec<String> = (0..bench.burst(10)).map(|number| number.to_string()).collect();
    for data in &burst {
        a.publish("news", data).await?;
        early.expect(data).await.because("every subscription sees everything")?;
    }
    late.expect_all(&burst).await.because("every subscription sees everything")?;
    last.expect_all(&burst).await.because("every subscription sees everything")
}

async fn subscriptions_share_nothing_when_read_at_once(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let burst: Vec<String> = (0..bench.burst(16)).map(|number| number.to_string()).collect();
    let mut parts = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        let mut reader = b.subscribe("news").await?.named(name);
        let burst = burst.clone();
        parts.push(bench.spawn(async move {
            reader.expect_all(&burst).await.because("every subscription sees everything")
        }));
    }
    for data in &burst {
        a.publish("news", data).await?;
    }
    for part in parts {
        part.done().await?;
    }
    Ok(())
}

async fn dropping_one_subscription_leaves_the_others(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let first = b.subscribe("news").await?.named("first");
    let mut second = b.subscribe("news").await?.named("second");
    let third = b.subscribe("news").await?.named("third");
    for (dropped, data) in [(first, "without the first"), (third, "with the second alone")] {
        drop(dropped);
        for data in [data, "and again"] {
            a.publish("news", data).await?;
            second.expect(data).await.because("only others were dropped")?;
            at_c.expect(data).await.because("only B's were dropped")?;
        }
    }
    Ok(())
}
