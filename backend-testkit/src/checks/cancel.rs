//! X1 to X3: futures may be dropped at any point.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

use backend_core::{Event, MessageEnvelope};

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::poll::{Flag, poll_once};
use crate::{Check, Clause, show};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "cancel",
        a_dropped_subscribe_leaves_no_registration,
        [X1],
        [Registrations],
        "Dropping a subscribe future, polled any number of times, leaves no subscription."
    ),
    check!(
        "cancel",
        a_dropped_subscribe_harms_no_other_subscription,
        [X1],
        [],
        "Subscriptions to the same topic, before and after, work as if it had not been."
    ),
    check!(
        "cancel",
        many_dropped_subscribes_leave_nothing,
        [X1],
        [Registrations],
        "A thousand dropped subscribes leave nothing behind."
    ),
    check!(
        "cancel",
        a_dropped_publish_reaches_all_or_none,
        [X2],
        [],
        "A publish future that is dropped half-way reached every subscription or no one."
    ),
    check!(
        "cancel",
        a_dropped_publish_harms_nothing_after_it,
        [X2, O1],
        [],
        "The next publishes arrive as ever, in order and once."
    ),
    check!(
        "cancel",
        dropped_publishes_use_nothing_up,
        [X2],
        [],
        "After a thousand dropped publishes, the next ones end and arrive as ever."
    ),
    check!(
        "cancel",
        a_dropped_recv_loses_nothing,
        [X3],
        [],
        "A recv that is dropped while it waits loses no message."
    ),
    check!(
        "cancel",
        many_dropped_recvs_lose_nothing,
        [X3],
        [],
        "A thousand recvs that lose a select lose no message."
    ),
    check!(
        "cancel",
        a_recv_may_go_on_in_another_task,
        [X3],
        [],
        "After a dropped recv, the reader may wait in another task, and that one is woken."
    ),
];

/// Await points of a publish or subscribe that are tried.
const MOST_POLLS: usize = 12;

async fn a_dropped_subscribe_leaves_no_registration(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    for polls in 0..MOST_POLLS {
        let subscribe = b.backend().subscribe("news");
        let done = b.poll_and_drop("subscribes to \"news\"", polls, subscribe).await?;
        let ready = done.is_some();
        drop(done);
        b.until_held(0, 0).await.because("the subscribe future was dropped")?;
        if ready {
            break;
        }
    }
    Ok(())
}

async fn a_dropped_subscribe_harms_no_other_subscription(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut before = b.subscribe("news").await?.named("before");
    for polls in 0..MOST_POLLS {
        for topic in ["news", "fresh"] {
            let subscribe = b.backend().subscribe(topic);
            let done = b.poll_and_drop("subscribes", polls, subscribe).await?;
            drop(done);
        }
        let mut after = b.subscribe("news").await?.named("after");
        let mut fresh = b.subscribe("fresh").await?;
        for round in ["one", "two"] {
            let data = format!("{round} after {polls} polls");
            a.publish("news", &data).await?;
            before.expect(&data).await?;
            after.expect(&data).await?;
            a.publish("fresh", &data).await?;
            fresh.expect(&data).await?;
        }
    }
    Ok(())
}

async fn many_dropped_subscribes_leave_nothing(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    for round in bench.rounds(1_000) {
        let topic = format!("topic {round}");
        let subscribe = b.backend().subscribe(&topic);
        let done = b.poll_and_drop("subscribes", round % 3, subscribe).await?;
        drop(done);
    }
    b.until_held(0, 0).await.because("every subscribe was dropped")
}

async fn a_dropped_publish_reaches_all_or_none(bench: Bench) -> Verified {
    let [a, b, c, d] = bench.cluster().await?;
    let mut readers = Vec::new();
    for instance in [&b, &b, &c, &d] {
        let name = format!("number {}", readers.len());
        readers.push(instance.subscribe("news").await?.named(&name));
    }
    // How often each reader got the envelope of each dropped publish, and whether it was ready.
    let mut got = vec![BTreeMap::<String, usize>::new(); readers.len()];
    let mut ready = BTreeMap::new();
    for round in 0..MOST_POLLS * 3 {
        let dropped = format!("dropped {round}");
        let publish = a.backend().publish(MessageEnvelope::new("news", dropped.clone()));
        let done = a.poll_and_drop("publishes", round % MOST_POLLS, publish).await?;
        ready.insert(dropped, done.is_some());
        // Several sentinels at the end: what was dropped may still be on its way.
        let sentinels = if round + 1 == MOST_POLLS * 3 { 5 } else { 1 };
        for number in 0..sentinels {
            let sentinel = format!("sentinel {round}.{number}");
            a.publish("news", &sentinel).await?;
            for (reader, got) in readers.iter_mut().zip(&mut got) {
                loop {
                    let envelope = reader.message(&show::quoted(&sentinel)).await?;
                    let data = String::from_utf8_lossy(envelope.data()).into_owned();
                    if data == sentinel {
                        break;
                    }
                    if !ready.contains_key(&data) {
                        let event = Event::Message(envelope);
                        return reader.unexpected(&show::quoted(&sentinel), Some(&event));
                    }
                    *got.entry(data).or_default() += 1;
                }
            }
        }
    }
    for (dropped, ready) in ready {
        let counts: Vec<usize> =
            got.iter().map(|got| got.get(&dropped).copied().unwrap_or(0)).collect();
        let same = counts.iter().all(|count| *count == counts[0] && *count <= 1);
        ensure(
            same && (!ready || counts[0] == 1),
            format!("all get {dropped:?}, or none (all, if its publish was ready: {ready})"),
            format!("the {} readers got it {counts:?} times", counts.len()),
        )?;
    }
    Ok(())
}

async fn a_dropped_publish_harms_nothing_after_it(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for polls in 0..MOST_POLLS {
        // To another topic, so that what comes here is known exactly.
        let publish = a.backend().publish(MessageEnvelope::new("other", "dropped"));
        a.poll_and_drop("publishes to \"other\"", polls, publish).await?;
        let burst: Vec<String> =
            (0..bench.burst(5)).map(|number| format!("{number} after {polls} polls")).collect();
        for data in &burst {
            a.publish("news", data).await?;
        }
        reader.expect_all(&burst).await?;
    }
    Ok(())
}

async fn dropped_publishes_use_nothing_up(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for polls in 1..=2 {
        // What a publish takes on its way, such as a permit, it has to give back.
        for _ in bench.rounds(1_000) {
            let publish = a.backend().publish(MessageEnvelope::new("other", "dropped"));
            a.poll_and_drop("publishes to \"other\"", polls, publish).await?;
        }
        for data in [format!("after {polls} polls"), format!("and again after {polls}")] {
            a.publish("news", &data).await.because("the publishes before it were dropped")?;
            reader.expect(&data).await?;
        }
    }
    Ok(())
}

async fn a_dropped_recv_loses_nothing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut witness = b.subscribe("news").await?.named("witness");
    let mut reader = b.subscribe("news").await?;
    for round in 0..20 {
        let data = format!("message {round}");
        let flag = Flag::new();
        // Dropped while nothing is there.
        for _ in 0..=round % 3 {
            let early = poll_once(Box::pin(reader.subscription().recv()).as_mut(), &flag.waker());
            if let Some(event) = early {
                return reader.unexpected("nothing yet", event.as_ref());
            }
        }
        a.publish("news", &data).await?;
        witness.expect(&data).await?;
        // Dropped while it is there, or just coming: each with a waker of its own, as each recv of
        // another task would be. One of them may be the one that gets it.
        let mut got = None;
        for _ in 0..3 {
            let recv = Box::pin(reader.subscription().recv());
            got = got.or(poll_once({ recv }.as_mut(), &Flag::new().waker()));
            if got.is_some() {
                break;
            }
        }
        match got {
            None => reader
                .expect(&data)
                .await
                .because("recv futures were dropped before they had it")?,
            Some(Some(Event::Message(envelope))) if envelope.data() == data.as_bytes() => {}
            Some(other) => return reader.unexpected(&show::quoted(&data), other.as_ref()),
        }
    }
    Ok(())
}

async fn many_dropped_recvs_lose_nothing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for round in bench.rounds(250) {
        let data = round.to_string();
        a.publish("news", &data).await?;
        // Each turn of this loop is a select that recv loses, or wins.
        let since = std::time::Instant::now();
        let event = loop {
            match reader.poll(Waker::noop()) {
                Poll::Ready(event) => break event,
                Poll::Pending if since.elapsed() > bench.deadline() => {
                    return Err(Failure::new(
                        format!(
                            "{} gets {} by polling again and again",
                            reader.name(),
                            show::quoted(&data)
                        ),
                        format!("nothing within {:?}", bench.deadline()),
                    ));
                }
                Poll::Pending => tokio::task::yield_now().await,
            }
        };
        match &event {
            Some(Event::Message(envelope)) if envelope.data() == data.as_bytes() => {}
            other => return reader.unexpected(&show::quoted(&data), other.as_ref()),
        }
        // And a few while nothing is there.
        for _ in 0..4 {
            reader.expect_pending("after the last message")?;
        }
    }
    Ok(())
}

async fn a_recv_may_go_on_in_another_task(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for round in 0..10 {
        let data = round.to_string();
        reader.expect_pending("before it is published")?;
        let blocked = reader.block().await?;
        a.publish("news", &data).await?;
        reader = blocked.wakes_with(&data).await.of(Clause::X3)?;
    }
    Ok(())
}
