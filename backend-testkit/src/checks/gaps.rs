//! L2 and L3 once more: the gap in company. With ttl, with large numbers, with outages, at the end
//! of a stream, and again and again.

use std::time::{Duration, Instant};

use backend_core::{Event, GapCause, MessageEnvelope};

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::poll::{Flag, poll_once};
use crate::reader::Reader;
use crate::{Check, Clause, show};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "gaps",
        large_losses_are_counted,
        [L2],
        [Order, Capacity, ExactGaps],
        "The number is right beyond 255 and beyond 65,535, too."
    ),
    check!(
        "gaps",
        what_has_a_ttl_is_counted_too,
        [L2, T2],
        [Order, Capacity, ExactGaps],
        "Lost is lost, whatever ttl it had."
    ),
    check!(
        "gaps",
        what_has_expired_before_is_not_counted,
        [L2, T2],
        [Order, Capacity, ExactGaps],
        "A later overflow does not count what had expired, and been passed over, before it."
    ),
    check!(
        "gaps",
        told_though_all_that_was_kept_has_expired,
        [L2, T2],
        [Order, Capacity],
        "The gap of an overflow comes although nothing that was kept is left."
    ),
    check!(
        "gaps",
        told_before_the_end,
        [L2, U1],
        [Order, Capacity],
        "A stream that is ended after an overflow still has its gap."
    ),
    check!(
        "gaps",
        told_before_the_end_by_close,
        [L2, C1],
        [Order, Capacity, DrainedClose],
        "So does one that is ended by close."
    ),
    check!(
        "gaps",
        an_overflow_after_an_outage_is_a_lag,
        [L2, H5],
        [Order, Capacity, Faults],
        "The gap of an overflow has its own cause, after an outage too."
    ),
    check!(
        "gaps",
        an_outage_is_told_through_an_overflow,
        [H5, L2],
        [Order, Capacity, Faults],
        "An overflow does not make the gap of an outage before it a loss of known size."
    ),
    check!(
        "gaps",
        survives_a_dropped_recv,
        [X3, L2],
        [Order, Capacity],
        "A gap that is due is not lost with a recv that was dropped."
    ),
    check!(
        "gaps",
        many_episodes_are_survived,
        [L3, L2],
        [Order, Capacity],
        "A subscription that lags again and again stays open, and gets the newest each time."
    ),
    check!(
        "gaps",
        the_buffer_keeps_its_size,
        [L3, L2],
        [Order, Capacity],
        "After an overflow the buffer has as much room as before."
    ),
];

/// So many are sent before the reader that keeps up reads them, if its buffer holds as many.
const AT_ONCE: usize = 8;

fn capacity(bench: &Bench) -> usize {
    bench.claims().capacity().unwrap_or(1).max(1)
}

/// Publishes these, a few at a time; the witness gets them.
async fn flood(
    bench: &Bench,
    a: &Instance,
    witness: &mut Reader,
    envelopes: impl IntoIterator<Item = MessageEnvelope>,
) -> Verified {
    let envelopes: Vec<MessageEnvelope> = envelopes.into_iter().collect();
    for some in envelopes.chunks(AT_ONCE.min(capacity(bench))) {
        for envelope in some {
            a.send(envelope.clone()).await?;
        }
        for envelope in some {
            witness.expect_envelope(envelope).await.because("this reader keeps up")?;
        }
    }
    Ok(())
}

fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = MessageEnvelope> {
    range.map(|number| MessageEnvelope::new("news", number.to_string()))
}

/// What is read up to the message with this data: how many messages, and the gaps.
async fn up_to(reader: &mut Reader, last: &str) -> Verified<(u64, Vec<backend_core::Gap>)> {
    let (mut messages, mut gaps) = (0, Vec::new());
    loop {
        match reader.next(&format!("what is left, up to {}", show::quoted(last))).await? {
            Some(Event::Message(envelope)) => {
                messages += 1;
                if envelope.data() == last {
                    return Ok((messages, gaps));
                }
            }
            Some(Event::Gap(gap)) => gaps.push(gap),
            other => return reader.unexpected(&show::quoted(last), other.as_ref()),
        }
    }
}

fn adds_up(sent: u64, (received, gaps): &(u64, Vec<backend_core::Gap>)) -> Verified {
    let missed: u64 = gaps.iter().filter_map(|gap| gap.missed).sum();
    ensure(
        received + missed == sent,
        format!("{sent} were sent: received and missed make that up"),
        format!("{received} received and {missed} missed, in {} gaps", gaps.len()),
    )
}

async fn stalled(bench: &Bench) -> Verified<(Instance, Instance, Reader, Reader)> {
    let [a, b] = bench.cluster().await?;
    let stalled = b.subscribe("news").await?.named("stalled");
    let witness = b.subscribe("news").await?.named("keeps up");
    Ok((a, b, stalled, witness))
}

/// Enough to overflow the buffer, which may be larger than is claimed, with room to spare for what
/// is still on its way.
async fn plenty(bench: &Bench) -> Verified<usize> {
    Ok(super::overflow::overflow(bench).await?.sent * 2)
}

async fn large_losses_are_counted(bench: Bench) -> Verified {
    for wanted in [capacity(&bench) + 300, capacity(&bench) + 66_000] {
        let [a, b] = bench.cluster().await?;
        let mut stalled = b.subscribe("news").await?.named("stalled");
        // As far as a slow backend gets in reasonable time.
        let mut sent = 0;
        for number in bench.rounds(wanted) {
            a.publish("news", &number.to_string()).await?;
            sent = number + 1;
        }
        let got = up_to(&mut stalled, &(sent - 1).to_string()).await?;
        adds_up(sent as u64, &got)?;
    }
    Ok(())
}

async fn what_has_a_ttl_is_counted_too(bench: Bench) -> Verified {
    let (a, _b, mut stalled, mut witness) = stalled(&bench).await?;
    let hour = Duration::from_secs(3_600);
    let sent = plenty(&bench).await?;
    let envelopes = numbered(0..sent).enumerate().map(|(index, envelope)| {
        if index.is_multiple_of(2) { envelope.with_ttl(hour) } else { envelope }
    });
    flood(&bench, &a, &mut witness, envelopes).await?;
    let got = up_to(&mut stalled, &(sent - 1).to_string()).await?;
    adds_up(sent as u64, &got).because("with a ttl or without")
}

async fn what_has_expired_before_is_not_counted(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let ttl = Duration::from_millis(20);
    let brief = MessageEnvelope::new("news", "brief").with_ttl(ttl);
    let mut stalled = b.unread(&a, brief).await?.named("stalled");
    super::ttl::let_ttl_run_out(&bench, ttl).await;
    a.publish("news", "first").await?;
    stalled.expect("first").await.because("the ttl of the one before ran out")?;
    let mut witness = b.subscribe("news").await?.named("keeps up");
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    let got = up_to(&mut stalled, &(sent - 1).to_string()).await?;
    adds_up(sent as u64, &got).because("what had expired is not among them")
}

async fn told_though_all_that_was_kept_has_expired(bench: Bench) -> Verified {
    let (a, _b, mut stalled, mut witness) = stalled(&bench).await?;
    let sent = plenty(&bench).await?;
    // First without a ttl, to see the gap, and how long it takes.
    let since = Instant::now();
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    let took = since.elapsed();
    let (_, gaps) = up_to(&mut stalled, &(sent - 1).to_string()).await?;
    ensure(!gaps.is_empty(), "a gap: more was sent than is sure to be kept", "none")?;
    if took > Duration::from_secs(1) {
        // Most of it would expire while the rest is sent, and need not take anybody's room.
        return Ok(());
    }
    let ttl = took * 4 + Duration::from_millis(100);
    for number in 0..sent {
        a.send(MessageEnvelope::new("news", number.to_string()).with_ttl(ttl)).await?;
    }
    a.publish("news", "behind them").await?;
    while witness.next("\"behind them\"").await?.is_some_and(|event| !is(&event, "behind them")) {}
    super::ttl::let_ttl_run_out(&bench, ttl).await;
    for number in 0..2 {
        let last = format!("last {number}");
        a.publish("news", &last).await?;
        witness.expect(&last).await?;
    }
    let (_, gaps) = up_to(&mut stalled, "last 1").await?;
    ensure(
        gaps.iter().any(|gap| gap.cause == GapCause::Lagged),
        format!("a gap (Lagged): {sent} were sent, {} are sure to be kept", capacity(&bench)),
        "none",
    )
}

fn is(event: &Event, data: &str) -> bool {
    matches!(event, Event::Message(envelope) if envelope.data() == data)
}

fn is_lagged(event: &Event) -> bool {
    matches!(event, Event::Gap(gap) if gap.cause == GapCause::Lagged)
}

/// A stream that has overflowed, and was ended then, still has its gap.
async fn has_its_gap(mut stalled: Reader) -> Verified {
    let events = stalled.read_to_end().await?;
    ensure(
        events.iter().any(is_lagged),
        "a gap (Lagged): more was sent than is kept",
        format!("{} events, and none is one", events.len()),
    )
}

async fn told_before_the_end(bench: Bench) -> Verified {
    let (a, b, stalled, mut witness) = stalled(&bench).await?;
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    b.unsubscribe("news").await?;
    has_its_gap(stalled).await
}

async fn told_before_the_end_by_close(bench: Bench) -> Verified {
    let (a, b, stalled, mut witness) = stalled(&bench).await?;
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    b.close().await?;
    has_its_gap(stalled).await
}

async fn an_overflow_after_an_outage_is_a_lag(bench: Bench) -> Verified {
    let (a, b, mut stalled, mut witness) = stalled(&bench).await?;
    b.cut().await?;
    b.restore().await?;
    for reader in [&mut stalled, &mut witness] {
        reader.expect_gap(GapCause::Reconnected).await?;
    }
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    let (_, gaps) = up_to(&mut stalled, &(sent - 1).to_string()).await?;
    ensure(
        !gaps.is_empty() && gaps.iter().all(|gap| gap.cause == GapCause::Lagged),
        "one gap, of the cause Lagged",
        format!("{gaps:?}"),
    )
}

async fn an_outage_is_told_through_an_overflow(bench: Bench) -> Verified {
    let (a, b, mut stalled, mut witness) = stalled(&bench).await?;
    b.cut().await?;
    b.restore().await?;
    // Only this one reads its gap.
    witness.expect_gap(GapCause::Reconnected).await?;
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    let (_, gaps) = up_to(&mut stalled, &(sent - 1).to_string()).await?;
    ensure(
        gaps.iter().any(|gap| gap.cause == GapCause::Reconnected || gap.missed.is_none()),
        "a gap of the cause Reconnected, or one of unknown size",
        format!("{gaps:?}"),
    )
    .of(Clause::H5)
}

async fn survives_a_dropped_recv(bench: Bench) -> Verified {
    let (a, b, mut stalled, mut witness) = stalled(&bench).await?;
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    let last = (sent - 1).to_string();
    let mut told = false;
    loop {
        // Futures that are made and never polled, and then one with a waker of its own.
        drop(stalled.subscription().recv());
        let recv = Box::pin(stalled.subscription().recv());
        let polled = poll_once({ recv }.as_mut(), &Flag::new().waker());
        let event = match polled {
            Some(event) => event,
            None => stalled.next(&show::quoted(&last)).await?,
        };
        match event {
            Some(event) if is(&event, &last) => break,
            Some(event) => told |= is_lagged(&event),
            None => return stalled.unexpected(&show::quoted(&last), None),
        }
    }
    ensure(told, "a gap (Lagged) on the way to the last one", "none")?;
    b.unsubscribe("news").await
}

async fn many_episodes_are_survived(bench: Bench) -> Verified {
    let (a, _b, mut stalled, mut witness) = stalled(&bench).await?;
    let (mut sent, plenty) = (0, plenty(&bench).await?);
    for episode in bench.rounds(20) {
        let next = sent + plenty;
        flood(&bench, &a, &mut witness, numbered(sent..next)).await?;
        sent = next;
        let (_, gaps) = up_to(&mut stalled, &(sent - 1).to_string())
            .await
            .because("the newest is kept, however often a reader lags")?;
        ensure(
            !gaps.is_empty(),
            format!("a gap in episode {}", episode + 1),
            "none: has the buffer grown?",
        )?;
    }
    Ok(())
}

async fn the_buffer_keeps_its_size(bench: Bench) -> Verified {
    let (a, _b, mut stalled, mut witness) = stalled(&bench).await?;
    let sent = plenty(&bench).await?;
    flood(&bench, &a, &mut witness, numbered(0..sent)).await?;
    up_to(&mut stalled, &(sent - 1).to_string()).await?;
    let end = sent + capacity(&bench);
    flood(&bench, &a, &mut witness, numbered(sent..end)).await?;
    let (received, gaps) = up_to(&mut stalled, &(end - 1).to_string()).await?;
    if received == capacity(&bench) as u64 && gaps.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        format!("all of the next {}, which the buffer has room for", capacity(&bench)),
        format!("{received}, and the gaps {gaps:?}"),
    ))
}
