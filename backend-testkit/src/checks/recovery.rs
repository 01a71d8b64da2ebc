//! H7: recovery keeps the books, and survives another outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backend_core::{Event, GapCause, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified, ensure};
use crate::instance::Instance;
use crate::reader::Reader;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "recovery",
        unsubscribed_during_an_outage_stays_so,
        [H7, U1],
        [Faults],
        "A stream that is unsubscribed during an outage ends, and stays ended after it."
    ),
    check!(
        "recovery",
        unsubscribed_topics_do_not_come_back,
        [H7, U4],
        [Faults, Registrations],
        "What was unsubscribed or dropped before or during an outage is not registered again."
    ),
    check!(
        "recovery",
        resubscribed_topics_come_back_once,
        [H7, D5],
        [Faults],
        "A topic that was subscribed to twice over delivers once after an outage."
    ),
    check!(
        "recovery",
        dropped_during_an_outage_stays_so,
        [H7, U3],
        [Faults],
        "Dropping one of two subscriptions during an outage leaves the other one whole."
    ),
    check!(
        "recovery",
        closing_during_an_outage_ends_everything,
        [C1, C2, H6],
        [Faults],
        "Close works during an outage: streams end, and operations give Closed."
    ),
    check!(
        "recovery",
        dropping_the_last_handle_during_an_outage_closes,
        [C4, H7],
        [Faults],
        "So does dropping the last handle."
    ),
    check!(
        "recovery",
        many_outages_are_survived,
        [H7, H5, D5],
        [Faults],
        "Streams go on through many outages, in both directions, and nothing comes twice."
    ),
    check!(
        "recovery",
        a_second_outage_during_recovery_is_survived,
        [H7],
        [Faults],
        "Outages that follow one another at once end with a working instance."
    ),
    check!(
        "recovery",
        an_outage_begun_in_a_callback_is_survived,
        [H7, H4],
        [Health, Faults],
        "So does an outage that begins while the callbacks of the last one run."
    ),
    check!(
        "recovery",
        order_is_kept_after_it,
        [O1, H5],
        [Faults],
        "After an outage, a burst arrives in order again, and whole."
    ),
];

async fn outage_of(b: &Instance) -> Verified {
    b.cut().await?;
    b.restore().await
}

/// Reads to the end, past gaps: what is left of an ended stream.
async fn ends(reader: &mut Reader) -> Verified {
    let events = reader.read_to_end().await?;
    ensure(
        events.iter().all(|event| matches!(event, Event::Gap(_))),
        format!("{} ends without a message", reader.name()),
        format!("{events:?}"),
    )?;
    reader.expect_end().await
}

async fn unsubscribed_during_an_outage_stays_so(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let mut ended = b.subscribe("news").await?;
    let blocked = b.subscribe("news").await?.named("blocked").block().await?;
    let mut stays = b.subscribe("other").await?;
    b.cut().await?;
    b.unsubscribe("news").await?;
    blocked.wakes_with_end().await.because("unsubscribe takes effect at once, cut off or not")?;
    b.restore().await?;
    stays.expect_gap(GapCause::Reconnected).await?;
    for data in ["after", "and after"] {
        a.publish("news", data).await?;
        at_c.expect(data).await?;
        a.publish("other", data).await?;
        stays.expect(data).await?;
    }
    ends(&mut ended).await.because("it was unsubscribed during the outage")
}

async fn unsubscribed_topics_do_not_come_back(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let mut stays = b.subscribe("stays").await?;
    let _before = b.subscribe("unsubscribed before").await?;
    b.unsubscribe("unsubscribed before").await?;
    drop(b.subscribe("dropped before").await?);
    let _during = b.subscribe("unsubscribed during").await?;
    let dropped = b.subscribe("dropped during").await?;
    b.cut().await?;
    b.unsubscribe("unsubscribed during").await?;
    drop(dropped);
    b.restore().await?;
    stays.expect_gap(GapCause::Reconnected).await?;
    b.until_held(1, 1).await.because("the other topics were given up before the recovery")
}

async fn resubscribed_topics_come_back_once(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for _ in 0..3 {
        let _ended = b.subscribe("news").await?;
        b.unsubscribe("news").await?;
        drop(b.subscribe("news").await?);
    }
    let mut reader = b.subscribe("news").await?;
    outage_of(&b).await?;
    reader.expect_gap(GapCause::Reconnected).await?;
    for data in ["one", "two", "three"] {
        a.publish("news", data).await?;
        reader.expect(data).await.because("each once, however often B had subscribed before")?;
    }
    b.unsubscribe("news").await?;
    reader.expect_end().await
}

async fn dropped_during_an_outage_stays_so(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let dropped = b.subscribe("news").await?.named("dropped");
    let mut stays = b.subscribe("news").await?.named("stays");
    b.cut().await?;
    drop(dropped);
    b.restore().await?;
    stays.expect_gap(GapCause::Reconnected).await?;
    for data in ["one", "two"] {
        a.publish("news", data).await?;
        stays.expect(data).await?;
    }
    Ok(())
}

async fn closing_during_an_outage_ends_everything(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let mut reader = b.subscribe("news").await?;
    let blocked = b.subscribe("news").await?.named("blocked").block().await?;
    b.cut().await?;
    b.close().await?;
    blocked.wakes_with_end().await?;
    for _ in 0..2 {
        let published = b.try_send(MessageEnvelope::new("news", "too late")).await?;
        ensure(
            published.as_ref().is_err_and(backend_core::Error::is_closed),
            "publish gives Error::Closed after close",
            format!("{published:?}"),
        )?;
        b.restore_unnoticed().await?;
    }
    a.publish("news", "after").await?;
    at_c.expect("after").await.because("nothing of B, and others go on")?;
    ends(&mut reader).await
}

async fn dropping_the_last_handle_during_an_outage_closes(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let mut reader = b.subscribe("news").await?;
    let blocked = b.subscribe("news").await?.named("blocked").block().await?;
    b.cut().await?;
    b.drop_last_handle();
    blocked.wakes_with_end().await?;
    ends(&mut reader).await?;
    a.publish("news", "after").await?;
    at_c.expect("after").await
}

async fn many_outages_are_survived(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut at_b = b.subscribe("news").await?;
    for outage in 0..8 {
        outage_of(&b).await?;
        at_b.expect_gap(GapCause::Reconnected).await?;
        for data in [format!("one {outage}"), format!("two {outage}")] {
            a.publish("news", &data).await?;
            at_b.expect(&data).await.because("once, after however many outages")?;
            b.publish("news", &data).await?;
            at_a.expect(&data).await.because("once, after however many outages")?;
        }
    }
    Ok(())
}

/// A publishes until something arrives at B: the moment of its return need not be known here.
async fn until_delivered(bench: &Bench, a: &Instance, at_b: &mut Reader) -> Verified {
    let topic = at_b.topic();
    let ticking = a.clone();
    let tick = bench.spawn(async move {
        for number in 0.. {
            ticking.publish(&topic, &format!("tick {number}")).await?;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    });
    let heard = async {
        loop {
            match at_b.next("anything that A publishes").await? {
                Some(Event::Message(_)) => return Ok(()),
                Some(_) => {}
                None => return at_b.unexpected("anything that A publishes", None),
            }
        }
    };
    let heard: Verified = heard.await;
    tick.abort();
    heard.because("the outages are over, and the same stream goes on")?;
    a.publish(&at_b.topic(), "the last").await?;
    loop {
        let event = at_b.next("\"the last\"").await?;
        match &event {
            Some(Event::Message(envelope)) if envelope.data() == "the last" => return Ok(()),
            Some(Event::Message(envelope)) if envelope.data().starts_with(b"tick") => {}
            other => return at_b.unexpected("\"the last\"", other.as_ref()),
        }
    }
}

async fn a_second_outage_during_recovery_is_survived(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let mut at_b = b.subscribe("news").await?;
    for _ in 0..5 {
        b.cut().await?;
        b.restore_unnoticed().await?;
        b.cut_unnoticed().await?;
        b.restore_unnoticed().await?;
    }
    if bench.claims().health() {
        b.until_healthy_is(true).await?;
    }
    until_delivered(&bench, &a, &mut at_b).await?;
    b.publish("news", "from B").await?;
    at_a.expect("from B").await
}

async fn an_outage_begun_in_a_callback_is_survived(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_b = b.subscribe("news").await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let faults = b.faults()?;
    let (counter, index) = (Arc::clone(&calls), b.index());
    let runtime = tokio::runtime::Handle::current();
    let (done, mut cut) = tokio::sync::mpsc::unbounded_channel();
    b.on_reconnect(move || {
        if counter.fetch_add(1, Ordering::AcqRel) == 0 {
            let faults = Arc::clone(&faults);
            let cut = async move { faults.cut(index).await };
            super::callback::start(&runtime, cut, done.clone());
        }
    })?;
    b.cut().await?;
    b.restore_unnoticed().await?;
    let result = bench.within("the cut that a callback of B begins", cut.recv()).await?;
    ensure(matches!(result, Some(Ok(()))), "the harness cuts B off", format!("{result:?}"))?;
    b.until_healthy_is(false).await?;
    b.restore().await?;
    bench.until("a second call of the callback", || calls.load(Ordering::Acquire) == 2).await?;
    until_delivered(&bench, &a, &mut at_b).await
}

async fn order_is_kept_after_it(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    for outage in 0..3 {
        outage_of(&b).await?;
        reader.expect_gap(GapCause::Reconnected).await?;
        let burst: Vec<String> =
            (0..bench.burst(20)).map(|number| format!("{outage}.{number}")).collect();
        for data in &burst {
            a.publish("news", data).await?;
        }
        reader.expect_all(&burst).await.because("in the order of publishing, each once")?;
    }
    Ok(())
}
