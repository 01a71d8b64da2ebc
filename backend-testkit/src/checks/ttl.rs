//! T1 and T2: what has run out is not handed out, and that is no loss.

use std::task::Waker;
use std::time::{Duration, Instant};

use backend_core::{Event, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::poll::Flag;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "ttl",
        expired_is_not_handed_out,
        [T2],
        [],
        "An envelope that is read after its ttl ran out is left out; what follows is not."
    ),
    check!(
        "ttl",
        expired_is_no_gap,
        [T2, L2],
        [],
        "Neither one nor many expired envelopes show as a gap."
    ),
    check!(
        "ttl",
        expired_is_counted,
        [T2],
        [Counters],
        "Expired envelopes are counted as expired, once for each subscription."
    ),
    check!(
        "ttl",
        expired_for_every_subscription,
        [T2, U3],
        [],
        "A subscription that reads in time gets what another one comes too late for."
    ),
    check!(
        "ttl",
        a_short_ttl_runs_out,
        [T1, T2],
        [],
        "A ttl of a millisecond, or of less, runs out; it is not rounded to for ever."
    ),
    check!("ttl", not_yet_expired_is_handed_out, [T1], [], "A long ttl does not run out early."),
    check!(
        "ttl",
        counted_from_receipt,
        [T1],
        [],
        "The time on the way does not count: a reader that waits gets what has a short ttl."
    ),
    check!("ttl", zero_never_expires, [T2], [], "A ttl of zero means what no ttl means."),
    check!(
        "ttl",
        the_largest_ttl_never_expires,
        [T1, T2],
        [],
        "The largest ttl there is neither runs out nor overflows a clock."
    ),
    check!(
        "ttl",
        a_blocked_reader_gets_what_is_not_expired,
        [T1],
        [],
        "A reader that is blocked in recv is woken by an envelope with a ttl."
    ),
    check!(
        "ttl",
        expired_does_not_end_a_drained_stream_early,
        [T2, U1],
        [],
        "What is left of an unsubscribed stream is handed out without what has expired."
    ),
];

const SHORT: Duration = Duration::from_millis(20);

/// Lets a ttl run out.
///
/// The one place where time has to pass: it is what a ttl is about, and nothing tells when it has.
/// Too long a wait does no harm, so a loaded machine cannot fail a check by this.
pub(super) async fn let_ttl_run_out(bench: &Bench, ttl: Duration) {
    bench.story().tell(format!("the ttl of {ttl:?} runs out"));
    let since = Instant::now();
    while since.elapsed() < ttl + Duration::from_millis(10) {
        tokio::time::sleep(ttl + Duration::from_millis(10)).await;
    }
}

fn brief(data: &str) -> MessageEnvelope {
    MessageEnvelope::new("news", data.to_owned()).with_ttl(SHORT)
}

async fn expired_is_not_handed_out(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["news", "sport", "weather"] {
        let expires = MessageEnvelope::new(topic, "expires").with_ttl(SHORT);
        let mut reader = b.unread(&a, expires).await?;
        let_ttl_run_out(&bench, SHORT).await;
        for data in ["stays", "goes on"] {
            a.publish(topic, data).await?;
            reader.expect(data).await.because("the ttl of the one before ran out")?;
        }
    }
    Ok(())
}

async fn expired_is_no_gap(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.unread(&a, brief("expires")).await?;
    // Those that are still on their way when the first has run out may be handed out; a gap must
    // not come in any case.
    for _ in 1..bench.burst(10).saturating_sub(1) {
        a.send(brief("expires too")).await?;
    }
    let_ttl_run_out(&bench, SHORT).await;
    a.publish("news", "stays").await?;
    loop {
        let event = reader.next("\"stays\"").await?;
        match &event {
            Some(Event::Message(envelope)) if envelope.data() == "stays" => return Ok(()),
            Some(Event::Message(envelope)) if envelope.data() == "expires too" => {}
            other => {
                return reader
                    .unexpected("\"stays\"", other.as_ref())
                    .because("what has expired is no gap");
            }
        }
    }
}

async fn expired_is_counted(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["news", "sport"] {
        let expires = MessageEnvelope::new(topic, "expires").with_ttl(SHORT);
        let mut reader = b.unread(&a, expires).await?;
        let_ttl_run_out(&bench, SHORT).await;
        let before = b.stats()?.expired;
        a.publish(topic, "stays").await?;
        reader.expect("stays").await?;
        let mut expired = 0;
        let counted = bench
            .until("B has counted one more envelope as expired", || {
                // It may still be in the buffer, if what was read has overtaken it.
                let _ = reader.poll(Waker::noop());
                expired = b.stats().unwrap_or_default().expired - before;
                expired == 1
            })
            .await;
        counted.map_err(|failure| Failure { seen: format!("it counted {expired}"), ..failure })?;
    }
    Ok(())
}

async fn expired_for_every_subscription(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let ttl = Duration::from_millis(60);
    for attempt in 0..20 {
        let topic = format!("topic {attempt}");
        let mut early = b.subscribe(&topic).await?.named("reads at once");
        let reading = bench.spawn(async move { early.message("either of two").await });
        let brief = MessageEnvelope::new(topic.as_str(), "brief").with_ttl(ttl);
        let mut late = b.unread(&a, brief).await?.named("reads late");
        let_ttl_run_out(&bench, ttl).await;
        a.publish(&topic, "last").await?;
        late.expect("last").await.because("the ttl of the other one ran out")?;
        // On a busy machine the other one may have been too late itself.
        if reading.done().await?.data() == "brief" {
            return Ok(());
        }
    }
    Err(Failure::inconclusive(
        format!("a reader at B that reads within {ttl:?}, at least once in 20 times"),
        "it was too late each time, or what it waited for does not come",
    ))
}

async fn a_short_ttl_runs_out(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for ttl in [Duration::from_millis(1), Duration::from_micros(1), Duration::from_nanos(1)] {
        runs_out(&bench, (&a, &b), ttl).await?;
    }
    Ok(())
}

/// An envelope with this ttl is left out at least once in a few times.
///
/// One that is handed out may have come in just then, which no one can know; one that never runs
/// out is handed out every time.
async fn runs_out(bench: &Bench, (a, b): (&Instance, &Instance), ttl: Duration) -> Verified {
    const TIMES: usize = 20;
    for time in 0..TIMES {
        let topic = format!("{time}: ttl {ttl:?}");
        let mut reader = b.subscribe(&topic).await?;
        let flag = Flag::new();
        reader.expect_pending_with("before the first publish", &flag.waker())?;
        a.send(MessageEnvelope::new(topic.as_str(), "expires").with_ttl(ttl)).await?;
        a.publish(&topic, "stays").await?;
        // By the first, which is there now, or by the second, if the first had run out on arrival.
        bench.within(format!("{} is woken", reader.name()), flag.woken()).await?;
        let_ttl_run_out(bench, ttl).await;
        match reader.message("\"stays\"").await? {
            first if first.data() == "stays" => return Ok(()),
            first if first.data() == "expires" => reader.expect("stays").await?,
            other => return reader.unexpected("\"stays\"", Some(&Event::Message(other))),
        }
    }
    Err(Failure::new(
        format!("an envelope with a ttl of {ttl:?} is not handed out later than that"),
        format!("it was, {TIMES} times in a row"),
    ))
}

/// Each of these is there after the time, in every field.
async fn still_there<const N: usize>(
    bench: &Bench,
    envelopes: [MessageEnvelope; N],
    time: Duration,
) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for (index, envelope) in envelopes.into_iter().enumerate() {
        // Each on a topic of its own, to know of each that it has arrived.
        let mut expected = MessageEnvelope::new(format!("topic {index}"), envelope.data().clone());
        if let Some(ttl) = envelope.ttl() {
            expected = expected.with_ttl(ttl);
        }
        readers.push((b.unread(&a, expected.clone()).await?, expected));
    }
    let_ttl_run_out(bench, time).await;
    for (reader, expected) in &mut readers {
        reader.expect_envelope(expected).await.because("it has not expired")?;
    }
    Ok(())
}

async fn not_yet_expired_is_handed_out(bench: Bench) -> Verified {
    let ttls = [Duration::from_secs(120), Duration::from_secs(3_600), Duration::from_secs(86_400)];
    let envelopes = ttls.map(|ttl| MessageEnvelope::new("", format!("ttl {ttl:?}")).with_ttl(ttl));
    // Long enough to tell minutes from milliseconds, and hours from seconds.
    still_there(&bench, envelopes, Duration::from_millis(130)).await
}

async fn counted_from_receipt(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    // How long a delivery takes at best.
    let mut fastest = bench.deadline();
    for number in 0..5 {
        let data = format!("measure {number}");
        let since = Instant::now();
        a.publish("news", &data).await?;
        reader.expect(&data).await?;
        fastest = fastest.min(since.elapsed());
    }
    // Shorter than that, unless it is too short for a busy machine to read in time. Once is
    // enough; it may take a few tries.
    let ttl = (fastest / 2).max(Duration::from_millis(5));
    for attempt in 0..40 {
        let (data, end) = (format!("brief {attempt}"), format!("end {attempt}"));
        let publishing = async {
            a.send(MessageEnvelope::new("news", data.clone()).with_ttl(ttl)).await?;
            a.publish("news", &end).await
        };
        // Beside one another: where a publish takes its time, a reader that came behind it would be
        // too late.
        let wanted = crate::show::quoted(&data);
        let (published, first) = tokio::join!(publishing, reader.message(&wanted));
        published?;
        let first = first?;
        if first.data().starts_with(b"brief") {
            return Ok(());
        }
        if !first.data().starts_with(b"end") {
            let event = Event::Message(first);
            return reader.unexpected(&crate::show::quoted(&data), Some(&event));
        }
    }
    Err(Failure::new(
        format!("a waiting reader gets an envelope with a ttl of {ttl:?}: the way is not counted"),
        format!("none of 40; the way takes {fastest:?}"),
    ))
}

async fn zero_never_expires(bench: Bench) -> Verified {
    let zero = MessageEnvelope::new("", "zero").with_ttl(Duration::ZERO);
    still_there(&bench, [zero, MessageEnvelope::new("", "none")], SHORT).await
}

async fn the_largest_ttl_never_expires(bench: Bench) -> Verified {
    let ttls = [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)];
    let envelopes = ttls.map(|ttl| MessageEnvelope::new("", "for ever").with_ttl(ttl));
    still_there(&bench, envelopes, SHORT).await
}

async fn a_blocked_reader_gets_what_is_not_expired(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let blocked = b.subscribe("news").await?.block().await?;
    a.send(MessageEnvelope::new("news", "lasting").with_ttl(Duration::from_secs(3_600))).await?;
    blocked.wakes_with("lasting").await.map(drop)
}

async fn expired_does_not_end_a_drained_stream_early(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut mixed = b.unread(&a, MessageEnvelope::new("news", "stays")).await?;
    a.send(brief("expires")).await?;
    let alone = MessageEnvelope::new("sport", "expires").with_ttl(SHORT);
    let mut alone = b.unread(&a, alone).await?;
    b.unsubscribe("news").await?;
    b.unsubscribe("sport").await?;
    let_ttl_run_out(&bench, SHORT).await;
    mixed.expect_rest(["stays"]).await.because("the ttl of the other one ran out")?;
    alone.expect_end().await.because("its ttl ran out")?;
    let topic = mixed.subscription().topic().to_owned();
    ensure(topic == "news", "the topic is news", topic)
}
