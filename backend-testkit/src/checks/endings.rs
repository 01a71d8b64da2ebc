//! U1, U2, U4 and C1, where endings meet something else: an odd topic, an outage, a stream that has
//! ended already.

use backend_core::{Event, GapCause, MessageEnvelope, TryRecvError};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified};
use crate::reader::Reader;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "endings",
        dropping_an_ended_stream_touches_nothing,
        [U2, U4],
        [],
        "Dropping a stream that was unsubscribed leaves a newer one alone, and its counters."
    ),
    check!(
        "endings",
        unsubscribe_takes_odd_topics_as_they_are,
        [U1, D7],
        [],
        "Unsubscribing from a topic with spaces, wildcards or nothing in its name ends that one alone."
    ),
    check!(
        "endings",
        unsubscribe_while_cut_off_drains,
        [U1, H7],
        [Faults],
        "What was accepted before an outage is handed out after an unsubscribe in it, then None."
    ),
    check!(
        "endings",
        close_while_cut_off_drains,
        [C1, H6],
        [Faults, DrainedClose],
        "What was accepted before an outage is handed out after a close in it, then None."
    ),
    check!(
        "endings",
        an_outage_is_no_end,
        [H5],
        [Faults],
        "During an outage there is nothing to read; try_recv says Empty, and never Closed."
    ),
];

async fn dropping_an_ended_stream_touches_nothing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    // The old stream has told its end, has it still to tell, or has a message to hand out first.
    for (topic, unread, read_to_end) in
        [("told", false, true), ("untold", false, false), ("unread", true, false)]
    {
        let old = if unread {
            b.unread(&a, MessageEnvelope::new(topic, "before")).await?
        } else {
            b.subscribe(topic).await?
        };
        let mut old = old.named("old");
        b.unsubscribe(topic).await?;
        if read_to_end {
            old.expect_end().await?;
        }
        let mut fresh = b.subscribe(topic).await?.named("fresh");
        drop(old);
        for data in ["after", "and after"] {
            a.publish(topic, data).await?;
            fresh.expect(data).await.because("only an older stream was dropped, long ended")?;
        }
        b.until_held(1, 1).await.because("what has ended is not held, and released once")?;
        drop(fresh);
        b.until_held(0, 0).await?;
    }
    Ok(())
}

async fn unsubscribe_takes_odd_topics_as_they_are(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let long = "t".repeat(1_024);
    let neighbour = format!("{}u", &long[1..]);
    // Composed the one, decomposed the other.
    let stay = ["news", "new", "a", "a\0c", "caf\u{e9}", "news.sport", "%20", "0", &neighbour];
    let mut stays = Vec::new();
    for topic in stay {
        stays.push(b.subscribe(topic).await?);
    }
    let odd = [
        "",
        " news",
        "news ",
        "\tnews\n",
        "NEWS",
        "a\0b",
        "cafe\u{301}",
        "*",
        "news.*",
        ">",
        " ",
        &long,
    ];
    let mut ended = Vec::new();
    for topic in odd {
        ended.push(b.subscribe(topic).await?);
    }
    for reader in &mut ended {
        b.unsubscribe(&reader.topic()).await?;
        reader.expect_end().await.because("its topic was unsubscribed, byte for byte")?;
    }
    for reader in &mut stays {
        a.publish(&reader.topic(), "goes on").await?;
        reader.expect("goes on").await.because("only other topics were unsubscribed")?;
    }
    Ok(())
}

/// It has this message, and then the end. A gap in between may tell of the outage.
async fn hands_out_and_ends(reader: &mut Reader, data: &str) -> Verified {
    reader.expect(data).await.because("it had arrived before the outage")?;
    loop {
        match reader.next("the end (None)").await? {
            None => return reader.expect_end().await,
            Some(Event::Gap(_)) => {}
            other => return reader.unexpected("the end (None)", other.as_ref()),
        }
    }
}

async fn unsubscribe_while_cut_off_drains(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut stays = b.subscribe("stays").await?;
    for topic in ["news", "sport", ""] {
        let mut reader = b.unread(&a, MessageEnvelope::new(topic, "before")).await?;
        b.cut().await?;
        b.unsubscribe(topic).await.because("unsubscribe takes effect during an outage")?;
        hands_out_and_ends(&mut reader, "before").await?;
        b.restore().await?;
        stays.expect_gap(GapCause::Reconnected).await.because("only others were unsubscribed")?;
    }
    Ok(())
}

async fn close_while_cut_off_drains(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for topic in ["news", "sport", ""] {
        readers.push(b.unread(&a, MessageEnvelope::new(topic, "before")).await?);
    }
    b.cut().await?;
    b.close().await.because("close takes effect during an outage")?;
    for reader in &mut readers {
        hands_out_and_ends(reader, "before").await?;
    }
    Ok(())
}

async fn an_outage_is_no_end(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut backlog = b.unread(&a, MessageEnvelope::new("news", "before")).await?.named("backlog");
    let mut quiet = b.subscribe("quiet").await?;
    b.cut().await?;
    backlog.expect("before").await.because("it had arrived before the outage")?;
    for _ in 0..3 {
        for reader in [&mut backlog, &mut quiet] {
            let peeked = reader.subscription().try_recv();
            if peeked != Err(TryRecvError::Empty) {
                return Err(Failure::new(
                    format!("{}: try_recv says Empty during an outage", reader.name()),
                    format!("{peeked:?}"),
                ));
            }
        }
    }
    b.restore().await?;
    for reader in [&mut backlog, &mut quiet] {
        reader.expect_gap(GapCause::Reconnected).await.because("the stream has not ended")?;
        a.publish(&reader.topic(), "after").await?;
        reader.expect("after").await.because("the stream has not ended")?;
    }
    Ok(())
}
