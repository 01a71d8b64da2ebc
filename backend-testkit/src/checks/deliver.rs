//! D1 and D6: what is published arrives, and publishing to nobody is fine.

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::Verified;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "deliver",
        reaches_every_other_instance,
        [D1],
        [],
        "Whoever publishes, each of the other instances gets it."
    ),
    check!(
        "deliver",
        reaches_every_subscription_of_an_instance,
        [D1, U3],
        [],
        "All subscriptions of one instance to one topic get it."
    ),
    check!(
        "deliver",
        goes_on_over_many_messages,
        [D1, D5],
        [],
        "None of many messages is lost, and none comes twice."
    ),
    check!(
        "deliver",
        serves_many_topics_at_once,
        [D1, D7],
        [],
        "A hundred topics of one instance each get their own."
    ),
    check!(
        "deliver",
        wakes_a_blocked_reader,
        [D1],
        [],
        "A reader that waits in recv is woken by a message."
    ),
    check!(
        "deliver",
        wakes_every_blocked_reader,
        [D1, U3],
        [],
        "All readers that wait for one topic are woken, on every instance."
    ),
    check!(
        "deliver",
        goes_on_after_others_have_left,
        [D1, C3],
        [],
        "Instances and subscriptions that have gone do not take others' messages with them."
    ),
    check!(
        "deliver",
        nobody_subscribed_is_ok,
        [D6, D3],
        [],
        "Publishing with nobody subscribed is Ok, and nothing is kept for later."
    ),
    check!(
        "deliver",
        a_lone_instance_works,
        [D6, D2],
        [],
        "An instance that is linked to no other one works, and hears nothing of its own."
    ),
];

async fn reaches_every_other_instance(bench: Bench) -> Verified {
    let instances = bench.instances(4).await?;
    let mut readers = Vec::new();
    for instance in &instances {
        readers.push(instance.subscribe("news").await?);
    }
    for publisher in &instances {
        let data = format!("from {}", publisher.name());
        publisher.publish("news", &data).await?;
        for (instance, reader) in instances.iter().zip(&mut readers) {
            if instance.name() != publisher.name() {
                reader.expect(&data).await?;
            }
        }
    }
    Ok(())
}

async fn reaches_every_subscription_of_an_instance(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for name in ["first", "second", "third"] {
        readers.push(b.subscribe("news").await?.named(name));
    }
    for data in ["one", "two"] {
        a.publish("news", data).await?;
        for reader in &mut readers {
            reader.expect(data).await?;
        }
    }
    Ok(())
}

async fn goes_on_over_many_messages(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for number in bench.rounds(2_000) {
        let data = number.to_string();
        a.publish("news", &data).await?;
        reader.expect(&data).await?;
    }
    Ok(())
}

async fn serves_many_topics_at_once(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for number in bench.rounds(100) {
        readers.push(b.subscribe(&format!("topic {number}")).await?);
    }
    for reader in &mut readers {
        a.publish(&reader.topic(), &format!("for {}", reader.topic())).await?;
    }
    for reader in &mut readers {
        let data = format!("for {}", reader.topic());
        reader.expect(&data).await?;
    }
    Ok(())
}

async fn wakes_a_blocked_reader(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for number in bench.rounds(20) {
        let data = number.to_string();
        let blocked = reader.block().await?;
        a.publish("news", &data).await?;
        reader = blocked.wakes_with(&data).await?;
    }
    Ok(())
}

async fn wakes_every_blocked_reader(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for instance in [&b, &c] {
        for name in ["first", "second", "third"] {
            let reader = instance.subscribe("news").await?.named(name);
            blocked.push(reader.block().await?);
        }
    }
    a.publish("news", "hello").await?;
    for blocked in blocked {
        blocked.wakes_with("hello").await?;
    }
    Ok(())
}

async fn goes_on_after_others_have_left(bench: Bench) -> Verified {
    let [a, b, c, d] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?.named("the one that stays");
    drop(b.subscribe("news").await?);
    drop(c.subscribe("news").await?);
    a.publish("news", "after drops").await?;
    reader.expect("after drops").await?;

    let _other = c.subscribe("news").await?;
    c.unsubscribe("news").await?;
    a.publish("news", "after another instance unsubscribed").await?;
    reader.expect("after another instance unsubscribed").await?;

    let _other = d.subscribe("news").await?;
    d.close().await?;
    a.publish("news", "after another instance closed").await?;
    reader.expect("after another instance closed").await
}

async fn nobody_subscribed_is_ok(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["nobody", "nobody", ""] {
        a.publish(topic, "to nobody").await?;
    }
    let own = a.subscribe("only mine").await?;
    a.publish("only mine", "to nobody else").await?;
    drop(own);
    drop(b.subscribe("was here").await?);
    a.publish("was here", "too late").await?;

    // The publishes did not break anything, and nothing of them was kept.
    let mut reader = b.subscribe("nobody").await?;
    a.publish("nobody", "to B").await?;
    reader.expect("to B").await?;
    let mut reader = b.subscribe("was here").await?;
    a.publish("was here", "to B again").await?;
    reader.expect("to B again").await
}

async fn a_lone_instance_works(bench: Bench) -> Verified {
    let [a] = bench.cluster().await?;
    let mut reader = a.subscribe("news").await?;
    a.publish("news", "heard by nobody").await?;
    a.publish("other", "heard by nobody").await?;
    a.unsubscribe("news").await?;
    reader.expect_end().await?;
    a.close().await
}
