//! D3 and D4: a subscription is live when `subscribe` has returned, and sees nothing older.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Check;
use crate::Clause;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};
use crate::instance::Instance;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "ready",
        next_publish_after_subscribe_arrives,
        [D4],
        [],
        "The publish right after subscribe returned arrives, 1,000 fresh topics in a row."
    ),
    check!(
        "ready",
        next_publish_from_another_task_arrives,
        [D4],
        [],
        "So does one that another task makes as soon as it hears that subscribe returned."
    ),
    check!(
        "ready",
        next_publish_of_any_instance_arrives,
        [D4],
        [],
        "A subscription is ready for every linked instance when subscribe returns."
    ),
    check!(
        "ready",
        a_second_subscription_is_ready_on_return,
        [D4, U3],
        [],
        "So is a second subscription to a topic that the instance subscribes to already."
    ),
    check!(
        "ready",
        ready_right_after_unsubscribing,
        [D4, U2],
        [],
        "So is one made right after an unsubscribe from the same topic."
    ),
    check!(
        "ready",
        ready_right_after_a_drop,
        [D4, U4],
        [],
        "So is one made right after the topic's only subscription was dropped."
    ),
    check!(
        "ready",
        ready_when_many_subscribe_at_once,
        [D4],
        [],
        "So is each of many that are made at the same time."
    ),
    check!(
        "ready",
        ready_under_load,
        [D4, L1],
        [],
        "So is each that is made while others publish to busy topics without a pause."
    ),
    check!(
        "ready",
        nothing_older_than_the_subscription,
        [D3],
        [],
        "A late subscriber gets nothing that was published before."
    ),
    check!(
        "ready",
        nothing_older_from_before_anybody_subscribed,
        [D3, D6],
        [],
        "What was published to nobody is not kept for the first subscriber."
    ),
    check!(
        "ready",
        nothing_older_for_a_second_subscription,
        [D3, U3],
        [],
        "A second subscription of an instance gets nothing that the first got before."
    ),
    check!(
        "ready",
        nothing_older_after_resubscribing,
        [D3, U2],
        [],
        "What was published while unsubscribed is not made up for."
    ),
];

async fn next_publish_after_subscribe_arrives(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for round in bench.rounds(1_000) {
        let topic = format!("topic {round}");
        let mut reader = b.subscribe(&topic).await?;
        a.publish(&topic, "at once").await?;
        reader.expect("at once").await.because("subscribe had returned before the publish")?;
    }
    Ok(())
}

async fn next_publish_from_another_task_arrives(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let (tell, mut told) = tokio::sync::mpsc::channel::<String>(1);
    let publisher = bench.spawn(async move {
        while let Some(topic) = told.recv().await {
            a.publish(&topic, "from another task").await?;
        }
        Ok(())
    });
    for round in bench.rounds(1_000) {
        let topic = format!("topic {round}");
        let mut reader = b.subscribe(&topic).await?;
        if tell.send(topic).await.is_err() {
            break;
        }
        reader.expect("from another task").await.because("subscribe had returned before")?;
    }
    drop(tell);
    publisher.done().await
}

async fn next_publish_of_any_instance_arrives(bench: Bench) -> Verified {
    let [a, b, c, d] = bench.cluster().await?;
    for round in bench.rounds(100) {
        let topic = format!("topic {round}");
        let mut reader = d.subscribe(&topic).await?;
        // Each instance has a topic on which it is the first to publish.
        let mut publishers = [&a, &b, &c];
        publishers.rotate_left(round % 3);
        for publisher in publishers {
            publisher.publish(&topic, publisher.name()).await?;
            reader.expect(publisher.name()).await.because("subscribe had returned before")?;
        }
    }
    Ok(())
}

async fn a_second_subscription_is_ready_on_return(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for round in bench.rounds(200) {
        let topic = format!("topic {round}");
        let mut first = b.subscribe(&topic).await?.named("first");
        let mut second = b.subscribe(&topic).await?.named("second");
        a.publish(&topic, "at once").await?;
        second.expect("at once").await.because("subscribe had returned before the publish")?;
        first.expect("at once").await?;
    }
    Ok(())
}

async fn ready_right_after_unsubscribing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut _previous = b.subscribe("news").await?;
    for round in bench.rounds(200) {
        b.unsubscribe("news").await?;
        let mut reader = b.subscribe("news").await?;
        let data = round.to_string();
        a.publish("news", &data).await?;
        reader.expect(&data).await.because("subscribe had returned before the publish")?;
        _previous = reader;
    }
    Ok(())
}

async fn ready_right_after_a_drop(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for round in bench.rounds(200) {
        drop(b.subscribe("news").await?);
        let mut reader = b.subscribe("news").await?;
        let data = round.to_string();
        a.publish("news", &data).await?;
        reader.expect(&data).await.because("the drop of the previous one came before")?;
        // Twice: what ends a dropped subscription may come late and hit the new one.
        a.publish("news", "and again").await?;
        reader.expect("and again").await.because("the drop of the previous one came before")?;
    }
    Ok(())
}

async fn ready_when_many_subscribe_at_once(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut parts = Vec::new();
    for number in 0..50 {
        let (a, b) = (a.clone(), b.clone());
        parts.push(bench.spawn(async move {
            for round in 0..4 {
                let topic = format!("topic {number}.{round}");
                let mut reader = b.subscribe(&topic).await?;
                a.publish(&topic, "at once").await?;
                reader.expect("at once").await.because("subscribe had returned before")?;
            }
            Ok(())
        }));
    }
    for part in parts {
        part.done().await?;
    }
    Ok(())
}

async fn ready_under_load(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    // Nobody reads these: their readers are a load of their own.
    let _busy = [b.subscribe("busy").await?, b.subscribe("busy").await?];
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = [&a, &c]
        .map(|publisher| {
            let (publisher, stop) = (publisher.clone(), Arc::clone(&stop));
            bench.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    publisher.publish("busy", "load").await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            })
        })
        .into();
    for round in bench.rounds(500) {
        let topic = format!("topic {round}");
        let mut reader = b.subscribe(&topic).await?;
        a.publish(&topic, "at once").await?;
        reader.expect("at once").await.because("subscribe had returned before the publish")?;
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.done().await?;
    }
    Ok(())
}

/// `late` subscribes now; what was published before must not come, what comes after must.
async fn gets_only_what_comes_after(
    bench: &Bench,
    a: &Instance,
    late: &Instance,
) -> Verified<Vec<String>> {
    let mut reader = late.subscribe("news").await?.named("late");
    let after: Vec<String> =
        (0..bench.sentinels(2)).map(|number| format!("after {number}")).collect();
    for data in &after {
        a.publish("news", data).await?;
        reader
            .expect(data)
            .await
            .because("and nothing older than the subscription")
            .of(Clause::D3)?;
    }
    Ok(after)
}

async fn nothing_older_than_the_subscription(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut witness = b.subscribe("news").await?;
    for data in ["older", "old"] {
        a.publish("news", data).await?;
        witness.expect(data).await?;
    }
    gets_only_what_comes_after(&bench, &a, &c).await.map(drop)
}

async fn nothing_older_from_before_anybody_subscribed(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for data in ["older", "old"] {
        a.publish("news", data).await?;
    }
    gets_only_what_comes_after(&bench, &a, &b).await.map(drop)
}

async fn nothing_older_for_a_second_subscription(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut first = b.subscribe("news").await?.named("first");
    for data in ["older", "old"] {
        a.publish("news", data).await?;
        first.expect(data).await?;
    }
    let after = gets_only_what_comes_after(&bench, &a, &b).await?;
    first.expect_all(&after).await
}

async fn nothing_older_after_resubscribing(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut witness = c.subscribe("news").await?;
    let first = b.subscribe("news").await?;
    b.unsubscribe("news").await?;
    drop(first);
    for data in ["meanwhile", "and meanwhile"] {
        a.publish("news", data).await?;
        witness.expect(data).await?;
    }
    gets_only_what_comes_after(&bench, &a, &b).await.map(drop)
}
