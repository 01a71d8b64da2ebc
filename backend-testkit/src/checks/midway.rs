//! Operations that are met half way: by one another, by an outage, by a close.
//!
//! Where one is to be under way, it is polled some times and then goes on beside the other: a check
//! never holds on to an operation without polling it, since that may hold a lock of the backend.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backend_core::{Error, Event, GapCause, MessageEnvelope, Result, Subscription};
use tokio::sync::{Barrier, Semaphore};

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified};
use crate::instance::Instance;
use crate::poll::{Flag, poll_once};
use crate::{Check, Clause, show};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "midway",
        subscribes_to_one_topic_are_each_ready_on_return,
        [D4, U3],
        [],
        "Of many subscribes to one topic at once, each is ready when it returns, first or not."
    ),
    check!(
        "midway",
        an_outage_during_a_subscribe_leaves_none_deaf,
        [D4, H5],
        [Faults, Health],
        "A subscribe that meets an outage is live after it, if it is Ok."
    ),
    check!(
        "midway",
        what_an_outage_made_unavailable_reached_nobody,
        [H6],
        [Faults],
        "Of the publishes that an outage meets half way, none is Unavailable and delivered."
    ),
    check!(
        "midway",
        a_publish_during_a_subscribe_arrives,
        [D1],
        [],
        "What an instance publishes while a subscribe of its own is under way is delivered."
    ),
    check!(
        "midway",
        what_was_ok_during_a_close_arrives,
        [D1, C1],
        [],
        "Every publish that was Ok while the instance closed is delivered."
    ),
    check!(
        "midway",
        what_a_close_refused_reached_nobody,
        [C2],
        [],
        "Of the publishes that a close meets half way, none is Closed and delivered."
    ),
];

/// More await points than a subscribe is likely to have.
const MOST_POLLS: usize = 50;

async fn subscribes_to_one_topic_are_each_ready_on_return(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    // Each gets what the others publish, too: it has to have room for it.
    let tasks = bench.burst(8);
    for round in bench.rounds(50) {
        let topic = format!("topic {round}");
        let start = Arc::new(Barrier::new(tasks));
        let mut parts = Vec::new();
        for number in 0..tasks {
            let (a, b, topic, start) = (a.clone(), b.clone(), topic.clone(), Arc::clone(&start));
            parts.push(bench.spawn(async move {
                start.wait().await;
                let mut reader = b.subscribe(&topic).await?.named(&number.to_string());
                let own = format!("for {number}");
                a.publish(&topic, &own).await?;
                let wanted = show::quoted(&own);
                while reader.message(&wanted).await?.data() != own.as_bytes() {}
                Ok(())
            }));
        }
        for part in parts {
            part.done().await.because("its own subscribe had returned before the publish")?;
        }
    }
    Ok(())
}

type Subscribing<'a> = Pin<&'a mut (dyn Future<Output = Result<Subscription>> + Send)>;

/// Polls `subscribing` so many times, unless it is ready before.
async fn poll_times(
    bench: &Bench,
    mut subscribing: Subscribing<'_>,
    polls: usize,
) -> Verified<Option<Result<Subscription>>> {
    let flag = Flag::new();
    for poll in 0..polls {
        if poll > 0 {
            bench.within(format!("a wake-up after poll {poll}"), flag.woken()).await?;
        }
        if let Some(result) = poll_once(subscribing.as_mut(), &flag.waker()) {
            return Ok(Some(result));
        }
    }
    Ok(None)
}

async fn an_outage_during_a_subscribe_leaves_none_deaf(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for polls in bench.rounds(MOST_POLLS) {
        let topic = format!("after {polls} polls");
        bench.story().tell(format!("B subscribes to {topic:?}, and is cut off on the way"));
        let backend = Arc::clone(b.backend());
        let mut subscribing = backend.subscribe(&topic);
        let early = poll_times(&bench, subscribing.as_mut(), polls).await?;
        let was_early = early.is_some();
        let outage = async {
            b.cut().await?;
            b.restore().await
        };
        let subscribed = match early {
            Some(subscribed) => {
                outage.await?;
                subscribed
            }
            None => {
                let rest = bench.within("the subscribe that met an outage", subscribing.as_mut());
                let (outage, subscribed) = tokio::join!(outage, rest);
                outage?;
                subscribed?
            }
        };
        let (subscription, why) = match subscribed {
            Ok(subscription) => (subscription, "subscribe had said Ok, and the outage is over"),
            Err(error) if error.is_retryable() => {
                let again = bench.within("B subscribes again", backend.subscribe(&topic)).await?;
                let again = again.map_err(|error| {
                    let expected = "subscribe after an outage that the last one met: Ok";
                    Failure::new(expected, format!("the error {error:?}"))
                })?;
                (again, "subscribe works again after the outage")
            }
            Err(error) => {
                let expected = "a subscribe that meets an outage gives Ok or Error::Unavailable";
                return Err(Failure::new(expected, format!("the error {error:?}")));
            }
        };
        let mut reader = b.reader(&topic, subscription);
        a.publish(&topic, "after").await?;
        reader.expect_past_gaps("after").await.because(why)?;
        if was_early {
            break;
        }
    }
    Ok(())
}

async fn what_an_outage_made_unavailable_reached_nobody(bench: Bench) -> Verified {
    /// Tasks that publish until they are refused.
    const TASKS: usize = 4;
    let [a, b] = bench.cluster().await?;
    let mut at_b = b.subscribe("news").await?;
    let mut own = a.subscribe("live again").await?;
    for round in bench.rounds(20) {
        let over = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(Semaphore::new(0));
        let mut parts = Vec::new();
        for task in 0..TASKS {
            let (a, over, begun) = (a.clone(), Arc::clone(&over), Arc::clone(&begun));
            parts.push(bench.spawn(async move {
                for count in 0.. {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    let data = format!("{round}.{task}.{count}");
                    begun.add_permits(1);
                    match a.try_send(MessageEnvelope::new("news", data.clone())).await? {
                        Ok(()) => {}
                        Err(Error::Unavailable(_)) => return Ok(Some(data)),
                        Err(error) if error.may_have_taken_effect() => break,
                        Err(error) => {
                            let expected = "a publish that meets an outage: Ok, Unavailable, or \
                                            Unconfirmed or Timeout";
                            return Err(Failure::new(expected, format!("the error {error:?}")));
                        }
                    }
                    tokio::task::yield_now().await;
                }
                Ok(None)
            }));
        }
        // It comes at one moment after the other of what they do.
        let some = begun.acquire_many((TASKS + round) as u32);
        drop(bench.within("the first publishes, before an outage", some).await?);
        a.cut().await?;
        a.restore().await?;
        over.store(true, Ordering::Release);
        let mut refused = BTreeSet::new();
        for part in parts {
            refused.extend(part.done().await?);
        }
        own.expect_gap(GapCause::Reconnected).await?;
        let after = format!("after {round}");
        a.publish("news", &after).await?;
        let wanted = format!("{}, and nothing that was Unavailable", show::quoted(&after));
        loop {
            let event = at_b.next(&wanted).await?;
            match &event {
                Some(Event::Message(message)) if message.data() == after.as_bytes() => break,
                Some(Event::Message(message))
                    if !refused.contains(&*String::from_utf8_lossy(message.data())) => {}
                // As many as the tasks liked: some may be too many for the buffer.
                Some(Event::Gap(_)) => {}
                other => return at_b.unexpected(&wanted, other.as_ref()),
            }
        }
    }
    Ok(())
}

async fn a_publish_during_a_subscribe_arrives(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_b = b.subscribe("news").await?;
    for polls in bench.rounds(MOST_POLLS) {
        let topic = format!("after {polls} polls");
        bench.story().tell(format!("A subscribes to {topic:?}, and publishes meanwhile"));
        let mut subscribing = a.backend().subscribe(&topic);
        let early = poll_times(&bench, subscribing.as_mut(), polls).await?;
        let was_early = early.is_some();
        let publish = a.publish("news", &topic);
        let subscribed = match early {
            Some(subscribed) => {
                publish.await?;
                subscribed
            }
            None => {
                let rest = bench.within("the subscribe beside a publish", subscribing.as_mut());
                let (published, subscribed) = tokio::join!(publish, rest);
                published?;
                subscribed?
            }
        };
        at_b.expect(&topic).await.because("publish had said Ok").of(Clause::D1)?;
        let subscription = subscribed.map_err(|error| {
            Failure::new("subscribe beside a publish: Ok", format!("the error {error:?}"))
        })?;
        let mut reader = a.reader(&topic, subscription);
        b.publish(&topic, "back").await?;
        reader.expect("back").await.because("its subscribe had returned")?;
        if was_early {
            break;
        }
    }
    Ok(())
}

/// What became of the publishes that met a close.
#[derive(Default)]
struct Met {
    accepted: BTreeSet<String>,
    /// They were `Closed`.
    refused: BTreeSet<String>,
}

/// Closes A while some tasks publish `count` envelopes through it, at a moment that the round says.
async fn close_amid(bench: &Bench, a: &Instance, count: usize, round: usize) -> Verified<Met> {
    /// Tasks that publish.
    const TASKS: usize = 4;
    let tasks = bench.burst(TASKS);
    let each = (count / tasks).max(1);
    let start = Arc::new(Barrier::new(tasks + 1));
    let mut parts = Vec::new();
    for number in 0..tasks {
        let (a, start) = (a.clone(), Arc::clone(&start));
        parts.push(bench.spawn(async move {
            let mut met = Met::default();
            start.wait().await;
            for count in 0..each {
                let data = format!("{number} {count}");
                match a.try_send(MessageEnvelope::new("news", data.clone())).await? {
                    Ok(()) => drop(met.accepted.insert(data)),
                    Err(error) if error.is_closed() => {
                        met.refused.insert(data);
                        break;
                    }
                    Err(error) if error.may_have_taken_effect() => break,
                    Err(error) => {
                        let expected =
                            "publish during a close: Ok, Closed, or Unconfirmed or Timeout";
                        return Err(Failure::new(expected, format!("the error {error:?}")));
                    }
                }
                tokio::task::yield_now().await;
            }
            Ok(met)
        }));
    }
    start.wait().await;
    // It comes at one moment after the other of what they do.
    for _ in 0..round % 25 {
        tokio::task::yield_now().await;
    }
    a.close().await?;
    let mut all = Met::default();
    for part in parts {
        let Met { accepted, refused } = part.done().await?;
        all.accepted.extend(accepted);
        all.refused.extend(refused);
    }
    Ok(all)
}

async fn what_was_ok_during_a_close_arrives(bench: Bench) -> Verified {
    for round in bench.rounds(200) {
        let [a, b] = bench.cluster().await?;
        let mut reader = b.subscribe("news").await?;
        // Nobody reads meanwhile: there has to be room for all.
        let mut due = close_amid(&bench, &a, bench.burst(32), round).await?.accepted;
        while let Some(first) = due.first() {
            let wanted = format!("{} and {} others", show::quoted(first), due.len() - 1);
            let envelope =
                reader.message(&wanted).await.because("publish had said Ok for these")?;
            due.remove(String::from_utf8_lossy(envelope.data()).as_ref());
        }
    }
    Ok(())
}

async fn what_a_close_refused_reached_nobody(bench: Bench) -> Verified {
    for round in bench.rounds(50) {
        let [a, b, c] = bench.cluster().await?;
        let mut reader = b.subscribe("news").await?;
        // Nobody reads meanwhile: there has to be room for all, and for the last.
        let count = bench.burst(32).saturating_sub(1);
        let refused = close_amid(&bench, &a, count, round).await?.refused;
        c.publish("news", "after").await?;
        let wanted = format!("{}, and nothing that was Closed", show::quoted("after"));
        loop {
            let event = reader.next(&wanted).await?;
            match &event {
                Some(Event::Message(message)) if message.data() == "after" => break,
                Some(Event::Message(message))
                    if !refused.contains(&*String::from_utf8_lossy(message.data())) => {}
                other => return reader.unexpected(&wanted, other.as_ref()),
            }
        }
    }
    Ok(())
}
