//! C1 to C3: close ends everything of this instance, for good, and nothing of others.

use backend_core::{Error, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified};
use crate::instance::Instance;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "close",
        ends_every_stream_drained,
        [C1],
        [DrainedClose],
        "What was accepted before close is still handed out, then None, on every topic."
    ),
    check!("close", ends_every_stream, [C1], [], "Every stream ends with None, on every topic."),
    check!(
        "close",
        wakes_blocked_readers,
        [C1],
        [],
        "Readers that wait in recv wake up with None, all of them, on all topics."
    ),
    check!(
        "close",
        is_idempotent,
        [C1],
        [],
        "Closing again and again is Ok, on an instance that was never used too."
    ),
    check!(
        "close",
        publish_is_closed_afterwards,
        [C2],
        [],
        "Publish gives Error::Closed after close, every time."
    ),
    check!(
        "close",
        subscribe_is_closed_afterwards,
        [C2],
        [],
        "Subscribe gives Error::Closed after close, every time."
    ),
    check!(
        "close",
        unsubscribe_is_closed_afterwards,
        [C2],
        [],
        "Unsubscribe gives Error::Closed after close, every time, for unknown topics too."
    ),
    check!(
        "close",
        every_operation_stays_closed,
        [C2],
        [],
        "A second close changes nothing, and no operation opens the instance again."
    ),
    check!(
        "close",
        nothing_of_a_closed_instance_gets_out,
        [C2],
        [],
        "A publish that was refused as closed reaches nobody."
    ),
    check!(
        "close",
        nothing_gets_into_a_closed_instance,
        [C1],
        [],
        "A stream takes in nothing after close."
    ),
    check!(
        "close",
        others_go_on,
        [C3],
        [],
        "Other instances publish and receive as before, both ways."
    ),
    check!(
        "close",
        others_go_on_after_the_first_instance_closed,
        [C3],
        [],
        "The instance that was made first is none that the others depend on."
    ),
    check!(
        "close",
        an_acknowledged_publish_arrives,
        [D1, C1],
        [],
        "What was published with Ok before its publisher closed is delivered."
    ),
];

async fn ends_every_stream_drained(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for topic in ["news", "sport", "", "weather", "news again"] {
        readers.push(b.unread(&a, MessageEnvelope::new(topic, "accepted")).await?);
    }
    // Of several, the first has arrived when the reader is woken.
    let mut many = b.unread(&a, MessageEnvelope::new("many", "0")).await?;
    let burst: Vec<String> = (0..bench.burst(10)).map(|number| number.to_string()).collect();
    for data in &burst[1..] {
        a.publish("many", data).await?;
    }
    b.close().await?;
    for reader in &mut readers {
        reader.expect_rest(["accepted"]).await.because("it had arrived before, then the end")?;
    }
    many.expect_drained(&burst, 1).await.because("what was accepted before, then the end")
}

async fn ends_every_stream(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for topic in ["news", "news", "", "other"] {
        readers.push(b.subscribe(topic).await?);
    }
    b.close().await?;
    for reader in &mut readers {
        reader.expect_end().await?;
    }
    Ok(())
}

async fn wakes_blocked_readers(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for (topic, name) in
        [("news", "first"), ("news", "second"), ("news", "third"), ("other", "only")]
    {
        blocked.push(b.subscribe(topic).await?.named(name).block().await?);
    }
    b.close().await?;
    for blocked in blocked {
        blocked.wakes_with_end().await?;
    }
    Ok(())
}

async fn is_idempotent(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = a.subscribe("news").await?;
    for _ in 0..3 {
        a.close().await?;
        b.close().await.because("B was never used")?;
    }
    reader.expect_end().await
}

/// Fails unless the operation was refused as closed.
fn closed<T>(what: &str, result: Result<T, Error>) -> Verified {
    match result {
        Err(error) if error.is_closed() => Ok(()),
        Ok(_) => Err(Failure::new(format!("{what} gives Error::Closed after close"), "Ok")),
        Err(error) => Err(Failure::new(
            format!("{what} gives Error::Closed after close"),
            format!("the error {error:?}"),
        )),
    }
}

async fn publish_is_closed(a: &Instance) -> Verified {
    for number in 1..=3 {
        for topic in ["news", "unknown"] {
            let result = a.try_send(MessageEnvelope::new(topic, "too late")).await?;
            closed(&format!("publish number {number}"), result)?;
        }
    }
    Ok(())
}

async fn subscribe_is_closed(a: &Instance) -> Verified {
    for number in 1..=3 {
        for topic in ["news", "unknown"] {
            closed(&format!("subscribe number {number}"), a.try_subscribe(topic).await?)?;
        }
    }
    Ok(())
}

async fn unsubscribe_is_closed(a: &Instance) -> Verified {
    for number in 1..=3 {
        for topic in ["news", "unknown"] {
            closed(&format!("unsubscribe number {number}"), a.try_unsubscribe(topic).await?)?;
        }
    }
    Ok(())
}

/// A, which has been used and is closed now, and B.
async fn one_is_closed(bench: &Bench) -> Verified<[Instance; 2]> {
    let [a, b] = bench.cluster().await?;
    let mut reader = a.subscribe("news").await?;
    b.publish("news", "before").await?;
    reader.expect("before").await?;
    a.publish("news", "before").await?;
    a.close().await?;
    Ok([a, b])
}

async fn publish_is_closed_afterwards(bench: Bench) -> Verified {
    let [a, _b] = one_is_closed(&bench).await?;
    publish_is_closed(&a).await
}

async fn subscribe_is_closed_afterwards(bench: Bench) -> Verified {
    let [a, _b] = one_is_closed(&bench).await?;
    subscribe_is_closed(&a).await
}

async fn unsubscribe_is_closed_afterwards(bench: Bench) -> Verified {
    let [a, _b] = one_is_closed(&bench).await?;
    unsubscribe_is_closed(&a).await
}

async fn every_operation_stays_closed(bench: Bench) -> Verified {
    let [a, _b] = one_is_closed(&bench).await?;
    for _ in 0..3 {
        publish_is_closed(&a).await?;
        subscribe_is_closed(&a).await?;
        unsubscribe_is_closed(&a).await?;
        a.close().await?;
    }
    publish_is_closed(&a).await?;
    // Another handle is no other instance, and one that was never used is closed too.
    publish_is_closed(&a.clone()).await?;
    let [unused] = bench.cluster().await?;
    unused.close().await?;
    unsubscribe_is_closed(&unused).await?;
    subscribe_is_closed(&unused).await?;
    publish_is_closed(&unused).await
}

async fn nothing_of_a_closed_instance_gets_out(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    a.close().await?;
    for round in 0..3 {
        let refused = a.try_send(MessageEnvelope::new("news", "after close")).await?;
        closed("publish", refused)?;
        let data = format!("from B {round}");
        b.publish("news", &data).await?;
        at_c.expect(&data).await.because("and nothing of A, which is closed")?;
    }
    Ok(())
}

async fn nothing_gets_into_a_closed_instance(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut witness = c.subscribe("news").await?;
    let mut reader = b.subscribe("news").await?;
    b.close().await?;
    for data in ["too late", "much too late"] {
        a.publish("news", data).await?;
        witness.expect(data).await?;
    }
    reader.expect_end().await.because("both were published after B had closed")
}

/// B and C talk both ways.
async fn both_ways(b: &Instance, c: &Instance) -> Verified {
    let mut at_b = b.subscribe("both ways").await?;
    let mut at_c = c.subscribe("both ways").await?;
    for data in ["one", "two"] {
        b.publish("both ways", data).await?;
        at_c.expect(data).await?;
        c.publish("both ways", data).await?;
        at_b.expect(data).await?;
    }
    Ok(())
}

async fn others_go_on(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut at_b = b.subscribe("news").await?;
    let mut at_c = c.subscribe("news").await?;
    c.close().await?;
    at_c.expect_end().await?;
    a.publish("news", "from A").await?;
    at_b.expect("from A").await.because("B is not closed")?;
    b.publish("news", "from B").await?;
    at_a.expect("from B").await.because("A is not closed")?;
    both_ways(&a, &b).await
}

async fn others_go_on_after_the_first_instance_closed(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_b = b.subscribe("news").await?;
    a.close().await?;
    c.publish("news", "from C").await?;
    at_b.expect("from C").await.because("B is not closed")?;
    both_ways(&b, &c).await?;
    a.drop_last_handle();
    c.publish("news", "and again").await?;
    at_b.expect("and again").await?;
    both_ways(&b, &c).await
}

async fn an_acknowledged_publish_arrives(bench: Bench) -> Verified {
    let mut instances = bench.instances(9).await?;
    let subscriber = instances.pop().ok_or_else(|| Failure::new("nine instances", "none"))?;
    let mut reader = subscriber.subscribe("news").await?;
    for publisher in instances {
        let data = format!("last words of {}", publisher.name());
        publisher.publish("news", &data).await?;
        publisher.close().await?;
        reader.expect(&data).await.because("publish had said Ok before the close")?;
    }
    Ok(())
}
