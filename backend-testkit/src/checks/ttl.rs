//! T1 and T2: what has run out is not handed out, and that is no loss.

use std::time::{Duration, Instant};

use backend_core::MessageEnvelope;

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
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
async fn let_ttl_run_out(bench: &Bench, ttl: Duration) {
    bench.story().tell(format!("the ttl of {ttl:?} runs out"));
    let since = Instant::now();
    while since.elapsed() < ttl + Duration::from_millis(10) {
        tokio::time::sleep(ttl + Duration::from_millis(10)).await;
    }
}

fn brief(data: &str) -> MessageEnvelope {
    MessageEnvelope::new("news", data.to_owned()).with_ttl(SHORT)
}

/// A reader at B that has received what `envelopes` are, and has read none of them.
///
/// That they have arrived is known from its waker, and from a witness that has got a last one.
async fn arrived_unread(
    bench: &Bench,
    envelopes: &[MessageEnvelope],
) -> Verified<(crate::instance::Instance, crate::instance::Instance, crate::reader::Reader)> {
    let [a, b] = bench.cluster().await?;
    let mut witness = b.subscribe("news").await?.named("witness");
    let mut reader = b.subscribe("news").await?;
    let flag = Flag::new();
    if reader.poll(&flag.waker()).is_ready() {
        return reader.unexpected("nothing before the first publish", None);
    }
    for envelope in envelopes {
        a.send(envelope.clone()).await?;
    }
    a.publish("news", "all are there").await?;
    // The witness may come too late for some of them itself.
    while witness.message("\"all are there\"").await?.data() != "all are there" {}
    bench.within(format!("{} is woken", reader.name()), flag.woken()).await?;
    Ok((a, b, reader))
}

async fn expired_is_not_handed_out(bench: Bench) -> Verified {
    let stays = MessageEnvelope::new("news", "stays");
    let envelopes = [brief("expires"), stays, brief("expires too")];
    let (a, _b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    let_ttl_run_out(&bench, SHORT).await;
    reader.expect_all(["stays", "all are there"]).await.because("the ttl of the others ran out")?;
    a.publish("news", "goes on").await?;
    reader.expect("goes on").await
}

async fn expired_is_no_gap(bench: Bench) -> Verified {
    let count = bench.burst(10).saturating_sub(1).max(1);
    let envelopes: Vec<MessageEnvelope> = (0..count).map(|_| brief("expires")).collect();
    let (a, _b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    let_ttl_run_out(&bench, SHORT).await;
    reader.expect("all are there").await.because("what has expired is no gap")?;
    a.publish("news", "goes on").await?;
    reader.expect("goes on").await.because("what has expired is no gap")
}

async fn expired_is_counted(bench: Bench) -> Verified {
    let envelopes = [brief("expires"), brief("expires too")];
    let (_a, b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    let_ttl_run_out(&bench, SHORT).await;
    let before = b.stats()?.expired;
    reader.expect("all are there").await?;
    let mut expired = 0;
    let counted = bench
        .until("B has counted two more envelopes as expired", || {
            expired = b.stats().unwrap_or_default().expired - before;
            expired == 2
        })
        .await;
    counted.map_err(|failure| Failure { seen: format!("it counted {expired}"), ..failure })
}

async fn expired_for_every_subscription(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let ttl = bench.deadline();
    let mut early = b.subscribe("news").await?.named("reads at once");
    let mut late = b.subscribe("news").await?.named("reads late");
    // One for the first to get in time, and one that runs out for the second.
    let lasting = MessageEnvelope::new("news", "lasting").with_ttl(ttl * 1_000);
    a.send(lasting.clone()).await?;
    early.expect_envelope(&lasting).await?;
    a.send(brief("brief")).await?;
    a.publish("news", "last").await?;
    while early.message("\"last\"").await?.data() != "last" {}
    let_ttl_run_out(&bench, SHORT).await;
    late.expect_all(["lasting", "last"]).await.because("the ttl of the other one ran out")
}

async fn a_short_ttl_runs_out(bench: Bench) -> Verified {
    let ttls = [Duration::from_millis(1), Duration::from_micros(1), Duration::from_nanos(1)];
    let envelopes =
        ttls.map(|ttl| MessageEnvelope::new("news", format!("ttl {ttl:?}")).with_ttl(ttl));
    let (_a, _b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    let_ttl_run_out(&bench, Duration::from_millis(1)).await;
    reader.expect("all are there").await.because("the ttl of the others ran out")
}

async fn not_yet_expired_is_handed_out(bench: Bench) -> Verified {
    let ttls = [Duration::from_secs(120), Duration::from_secs(3_600), Duration::from_secs(86_400)];
    let envelopes =
        ttls.map(|ttl| MessageEnvelope::new("news", format!("ttl {ttl:?}")).with_ttl(ttl));
    let (_a, _b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    // Long enough to tell minutes from milliseconds, and hours from seconds.
    let_ttl_run_out(&bench, Duration::from_millis(130)).await;
    for envelope in &envelopes {
        reader.expect_envelope(envelope).await.because("its ttl has not run out")?;
    }
    reader.expect("all are there").await
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
        a.send(MessageEnvelope::new("news", data.clone()).with_ttl(ttl)).await?;
        a.publish("news", &end).await?;
        let first = reader.message(&crate::show::quoted(&data)).await?;
        if first.data() == data.as_bytes() {
            return Ok(());
        }
        let event = backend_core::Event::Message(first.clone());
        if first.data() != end.as_bytes() {
            return reader.unexpected(&crate::show::quoted(&data), Some(&event));
        }
    }
    Err(Failure::new(
        format!("a waiting reader gets an envelope with a ttl of {ttl:?}: the way is not counted"),
        format!("none of 40; the way takes {fastest:?}"),
    ))
}

async fn zero_never_expires(bench: Bench) -> Verified {
    let envelopes = [
        MessageEnvelope::new("news", "zero").with_ttl(Duration::ZERO),
        MessageEnvelope::new("news", "none"),
    ];
    let (_a, _b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    let_ttl_run_out(&bench, SHORT).await;
    for envelope in &envelopes {
        reader.expect_envelope(envelope).await.because("it never expires")?;
    }
    reader.expect("all are there").await
}

async fn the_largest_ttl_never_expires(bench: Bench) -> Verified {
    let ttls = [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)];
    let envelopes = ttls.map(|ttl| MessageEnvelope::new("news", "for ever").with_ttl(ttl));
    let (_a, _b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    let_ttl_run_out(&bench, SHORT).await;
    for envelope in &envelopes {
        reader.expect_envelope(envelope).await.because("its ttl has not run out")?;
    }
    reader.expect("all are there").await
}

async fn a_blocked_reader_gets_what_is_not_expired(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let blocked = b.subscribe("news").await?.block().await?;
    a.send(MessageEnvelope::new("news", "lasting").with_ttl(Duration::from_secs(3_600))).await?;
    blocked.wakes_with("lasting").await.map(drop)
}

async fn expired_does_not_end_a_drained_stream_early(bench: Bench) -> Verified {
    let stays = MessageEnvelope::new("news", "stays");
    let envelopes = [brief("expires"), stays, brief("expires too")];
    let (_a, b, mut reader) = arrived_unread(&bench, &envelopes).await?;
    b.unsubscribe("news").await?;
    let_ttl_run_out(&bench, SHORT).await;
    reader.expect_rest(["stays", "all are there"]).await?;
    ensure(reader.topic() == "news", "the topic is news", reader.topic())
}
