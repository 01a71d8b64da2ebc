//! H5 and H6: subscriptions survive an outage, which is told; operations never hang.

use backend_core::{Error, Event, GapCause, MessageEnvelope};

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::{Check, Clause, show};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "outage",
        the_same_stream_goes_on,
        [H5],
        [Faults],
        "A subscription gets what is published after an outage, without subscribing again."
    ),
    check!(
        "outage",
        every_topic_comes_back,
        [H5],
        [Faults],
        "So do all subscriptions of an instance, to all topics, several to one topic too."
    ),
    check!(
        "outage",
        a_gap_tells_of_it,
        [H5, L2],
        [Faults],
        "Every subscription has a gap (Reconnected) in the place of what went by."
    ),
    check!(
        "outage",
        one_gap_for_one_outage,
        [H5, L2],
        [Faults],
        "Each outage gives one gap, before what comes after it."
    ),
    check!(
        "outage",
        the_gap_comes_when_the_topic_is_live,
        [H5],
        [Faults],
        "Who has read the gap gets whatever is published from then on."
    ),
    check!(
        "outage",
        a_blocked_reader_waits_through_it,
        [H5],
        [Faults],
        "A reader in recv does not get None in an outage; it wakes with the gap."
    ),
    check!(
        "outage",
        what_was_accepted_before_is_handed_out,
        [H5, L2],
        [Faults],
        "What had arrived before the outage is still handed out, ahead of the gap."
    ),
    check!(
        "outage",
        nothing_of_it_comes_out_of_order,
        [H5, D5, O1],
        [Faults],
        "What others publish during an outage comes in its place or not at all, and not twice."
    ),
    check!(
        "outage",
        leaves_other_instances_alone,
        [H5, L2],
        [Faults],
        "Other instances get no gap, and lose nothing of one another."
    ),
    check!(
        "outage",
        a_subscription_made_afterwards_has_no_gap,
        [H5, D3],
        [Faults],
        "A new subscription is not told of an outage before its time."
    ),
    check!(
        "outage",
        operations_end_with_unavailable_or_ok,
        [H6],
        [Faults],
        "During an outage, publish and subscribe say Unavailable or Ok, and unsubscribe Ok."
    ),
    check!(
        "outage",
        many_publishes_do_not_hang,
        [H6],
        [Faults],
        "A flood of publishes during an outage ends as well."
    ),
    check!(
        "outage",
        what_was_refused_is_not_delivered_later,
        [H6],
        [Faults],
        "A publish that failed with Unavailable does not appear after the outage."
    ),
    check!(
        "outage",
        what_was_accepted_in_it_arrives,
        [H6, D1],
        [Health, Faults],
        "A publish that was Ok though the instance knew of the outage is delivered after it."
    ),
    check!(
        "outage",
        a_subscribe_that_was_ok_in_it_is_live_after_it,
        [H6, D4],
        [Health, Faults],
        "A subscribe that was Ok though the instance knew of the outage is live after it."
    ),
];

async fn outage_of(b: &Instance) -> Verified {
    b.cut().await?;
    b.restore().await
}

async fn the_same_stream_goes_on(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    // Its gap says when the topic of this second one is live again, whatever the first does.
    let mut witness = b.subscribe("news").await?.named("witness");
    outage_of(&b).await?;
    witness.expect_gap(GapCause::Reconnected).await?;
    for data in ["after", "and after"] {
        a.publish("news", data).await?;
        reader.expect_past_gaps(data).await.because("the same stream goes on after an outage")?;
        witness.expect(data).await?;
    }
    Ok(())
}

async fn every_topic_comes_back(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for number in 0..20 {
        let topic = format!("topic {number}");
        readers.push(b.subscribe(&topic).await?.named("first"));
        readers.push(b.subscribe(&topic).await?.named("second"));
    }
    outage_of(&b).await?;
    for reader in &mut readers {
        reader.expect_gap(GapCause::Reconnected).await.because("every topic comes back")?;
    }
    for number in 0..20 {
        a.publish(&format!("topic {number}"), "after").await?;
    }
    for reader in &mut readers {
        reader.expect("after").await.because("every topic comes back")?;
    }
    Ok(())
}

async fn a_gap_tells_of_it(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut witness = c.subscribe("news").await?;
    let mut busy = b.subscribe("news").await?;
    let mut second = b.subscribe("news").await?.named("second");
    let mut quiet = b.subscribe("quiet").await?;
    b.cut().await?;
    a.publish("news", "during the outage").await?;
    witness.expect("during the outage").await?;
    b.restore().await?;
    for reader in [&mut busy, &mut second, &mut quiet] {
        reader.expect_gap(GapCause::Reconnected).await.because("it may have missed something")?;
    }
    a.publish("news", "after").await?;
    busy.expect("after").await
}

async fn one_gap_for_one_outage(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for number in 0..3 {
        outage_of(&b).await?;
        reader.expect_gap(GapCause::Reconnected).await?;
        for data in [format!("after outage {number}"), format!("and again {number}")] {
            a.publish("news", &data).await?;
            reader
                .expect(&data)
                .await
                .because("one gap for one outage, before what comes after")?;
        }
    }
    Ok(())
}

async fn the_gap_comes_when_the_topic_is_live(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for topic in ["north", "south", "east"] {
        readers.push(b.subscribe(topic).await?);
    }
    b.cut().await?;
    for reader in &mut readers {
        reader.expect_pending("while B is cut off: its gap comes when the topic is live again")?;
    }
    b.restore_unnoticed().await?;
    for reader in &mut readers {
        reader.expect_gap(GapCause::Reconnected).await?;
        a.publish(&reader.topic(), "at once").await?;
        reader.expect("at once").await.because("the gap came, so the topic is live again")?;
    }
    Ok(())
}

async fn a_blocked_reader_waits_through_it(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut blocked = Vec::new();
    for (topic, name) in [("news", "first"), ("news", "second"), ("quiet", "only")] {
        blocked.push(b.subscribe(topic).await?.named(name).block().await?);
    }
    outage_of(&b).await?;
    for blocked in blocked {
        let (mut reader, event) = blocked.wakes("a gap of the cause Reconnected").await?;
        match &event {
            Some(Event::Gap(gap)) if gap.cause == GapCause::Reconnected => {}
            other => {
                return reader.unexpected("a gap, and never None, by an outage", other.as_ref());
            }
        }
        if reader.topic() == "quiet" {
            a.publish("quiet", "after").await?;
            reader.expect("after").await?;
        }
    }
    Ok(())
}

async fn what_was_accepted_before_is_handed_out(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for round in ["first", "second", "third"] {
        let mut reader = b.unread(&a, MessageEnvelope::new(round, "before")).await?;
        let mut witness = b.subscribe("news").await?.named("witness");
        outage_of(&b).await?;
        witness.expect_gap(GapCause::Reconnected).await?;
        reader.expect("before").await.because("B had accepted it before the outage")?;
        reader.expect_gap(GapCause::Reconnected).await.because("the gap is where the hole is")?;
        a.publish(round, "after").await?;
        reader.expect("after").await?;
    }
    Ok(())
}

async fn nothing_of_it_comes_out_of_order(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut witness = c.subscribe("news").await?;
    let mut reader = b.subscribe("news").await?;
    let mut order = Vec::new();
    for outage in 0..3 {
        b.cut().await?;
        for number in 0..3 {
            let data = format!("during {outage}.{number}");
            a.publish("news", &data).await?;
            witness.expect(&data).await?;
            order.push(data);
        }
        b.restore().await?;
        for number in 0..3 {
            let data = format!("after {outage}.{number}");
            a.publish("news", &data).await?;
            witness.expect(&data).await?;
            order.push(data.clone());
            // An engine that keeps messages may hand out those of the outage, in their order.
            let mut rest = order.iter();
            loop {
                match reader.next(&show::quoted(&data)).await? {
                    Some(Event::Message(envelope)) => {
                        let found = rest.find(|known| envelope.data() == known.as_bytes());
                        if found.is_none() {
                            let wanted =
                                format!("{} next, each once and in order", show::quoted(&data));
                            return reader.unexpected(&wanted, Some(&Event::Message(envelope)));
                        }
                        if envelope.data() == data.as_bytes() {
                            break;
                        }
                    }
                    Some(Event::Gap(_)) => {}
                    other => return reader.unexpected(&show::quoted(&data), other.as_ref()),
                }
            }
            order.clear();
        }
    }
    Ok(())
}

async fn leaves_other_instances_alone(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut at_c = c.subscribe("news").await?;
    for (number, cut) in [true, false, true, false].into_iter().enumerate() {
        if cut {
            b.cut().await?
        } else {
            b.restore().await?
        }
        let data = format!("number {number}");
        a.publish("news", &data).await?;
        at_c.expect(&data).await.because("only B has an outage")?;
        c.publish("news", &data).await?;
        at_a.expect(&data).await.because("only B has an outage")?;
    }
    Ok(())
}

async fn a_subscription_made_afterwards_has_no_gap(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut witness = b.subscribe("news").await?.named("witness");
    outage_of(&b).await?;
    witness.expect_gap(GapCause::Reconnected).await?;
    for topic in ["news", "fresh"] {
        let mut reader = b.subscribe(topic).await?.named("made afterwards");
        a.publish(topic, "after").await?;
        reader.expect("after").await.because("it did not exist during the outage")?;
    }
    Ok(())
}

/// `true` for Ok, `false` for Unavailable; anything else fails.
///
/// An instance that has not noticed yet may also have waited in vain for an answer.
fn ok_or_unavailable<T>(bench: &Bench, what: &str, result: &Result<T, Error>) -> Verified<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(Error::Unavailable(_)) => Ok(false),
        Err(error) if error.may_have_taken_effect() && !bench.claims().health() => Ok(false),
        Err(error) => Err(Failure::new(
            format!("{what} during an outage gives Error::Unavailable or Ok"),
            format!("the error {error:?}"),
        )),
    }
}

async fn operations_end_with_unavailable_or_ok(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let _reader = b.subscribe("news").await?;
    b.cut().await?;
    for topic in ["news", "fresh", "news"] {
        let published = b.try_send(MessageEnvelope::new(topic, "during the outage")).await?;
        ok_or_unavailable(&bench, "publish", &published)?;
        let subscribed = b.try_subscribe(topic).await?;
        ok_or_unavailable(&bench, "subscribe", &subscribed)?;
    }
    b.unsubscribe("news").await.because("unsubscribe takes effect during an outage")?;
    b.unsubscribe("unknown").await
}

async fn many_publishes_do_not_hang(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    b.cut().await?;
    for number in bench.rounds(2_000) {
        let envelope = MessageEnvelope::new("flood", number.to_string());
        ok_or_unavailable(&bench, "publish", &b.try_send(envelope).await?)?;
    }
    b.restore().await?;
    if bench.claims().health() {
        b.publish("news", "after").await?;
        at_a.expect("after").await?;
    }
    Ok(())
}

async fn what_was_refused_is_not_delivered_later(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut own = b.subscribe("live again").await?;
    for outage in 0..2 {
        b.cut().await?;
        let mut expected = Vec::new();
        for number in 0..3 {
            let data = format!("refused {outage}.{number}");
            let result = b.try_send(MessageEnvelope::new("news", data.clone())).await?;
            ok_or_unavailable(&bench, "publish", &result)?;
            if !matches!(result, Err(Error::Unavailable(_))) {
                expected.push(data);
            }
        }
        b.restore().await?;
        own.expect_gap(GapCause::Reconnected).await?;
        for number in 0..3 {
            let data = format!("after {outage}.{number}");
            b.publish("news", &data).await?;
            loop {
                let envelope = at_a.message(&show::quoted(&data)).await?;
                if envelope.data() == data.as_bytes() {
                    break;
                }
                let known = expected.iter().any(|known| envelope.data() == known.as_bytes());
                if !known {
                    let wanted = format!("{}, and nothing that was refused", show::quoted(&data));
                    return at_a.unexpected(&wanted, Some(&Event::Message(envelope)));
                }
            }
        }
    }
    Ok(())
}

async fn what_was_accepted_in_it_arrives(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    b.cut().await?;
    let mut accepted = Vec::new();
    for number in 0..3 {
        let data = format!("during {number}");
        let result = b.try_send(MessageEnvelope::new("news", data.clone())).await?;
        if ok_or_unavailable(&bench, "publish", &result)? {
            accepted.push(data);
        }
    }
    b.restore().await?;
    b.publish("news", "after").await?;
    at_a.expect_all(&accepted).await.because("publish had said Ok for these").of(Clause::H6)?;
    at_a.expect("after").await
}

async fn a_subscribe_that_was_ok_in_it_is_live_after_it(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    b.cut().await?;
    let subscribed = b.try_subscribe("news").await?;
    ok_or_unavailable(&bench, "subscribe", &subscribed)?;
    b.restore().await?;
    let (mut reader, why) = match subscribed {
        Ok(reader) => (reader, "subscribe had said Ok during the outage"),
        Err(_) => (b.subscribe("news").await?, "subscribe works again after the outage"),
    };
    a.publish("news", "after").await?;
    reader.expect_past_gaps("after").await.because(why)?;
    ensure(reader.subscription().topic() == "news", "the topic is news", "another one")
}
