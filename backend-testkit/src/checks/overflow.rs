//! L2, L3 and O3: what does not fit is told, the oldest go first, and order is kept.
//!
//! The reader under test is stalled: nobody reads it while a flood goes by. A witness beside it on
//! the same instance keeps up, so that the instance is known to have taken in everything before
//! the stalled one is read. Unsubscribing then lets it be read to its end, which makes the list of
//! what it got complete.

use std::collections::{BTreeSet, HashSet};

use backend_core::{Event, GapCause};

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::reader::Reader;
use crate::{Check, Clause};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "overflow",
        loss_is_told_by_a_gap,
        [L2],
        [Order, Capacity],
        "A subscription that has lost envelopes is told so."
    ),
    check!(
        "overflow",
        the_gap_counts_exactly,
        [L2],
        [Capacity, ExactGaps],
        "What is handed out and what the gap counts is what was sent."
    ),
    check!(
        "overflow",
        own_envelopes_are_not_counted,
        [L2, D2],
        [Capacity, ExactGaps],
        "Envelopes of the subscription's own instance do not count as missed."
    ),
    check!(
        "overflow",
        one_gap_for_one_episode,
        [L2],
        [Order, Capacity],
        "One stall gives one gap, however many envelopes are lost in it."
    ),
    check!(
        "overflow",
        the_gap_stands_where_the_hole_is,
        [L2],
        [Order, Capacity],
        "Numbers are missing only right after a gap."
    ),
    check!(
        "overflow",
        every_episode_has_its_gap,
        [L2, L3],
        [Order, Capacity],
        "A second stall gives a second gap, at its own place."
    ),
    check!(
        "overflow",
        the_oldest_go_first,
        [L3],
        [Order, Capacity],
        "The newest that the buffer has room for are kept."
    ),
    check!(
        "overflow",
        a_stalled_reader_recovers,
        [L3],
        [Order, Capacity],
        "After its gap, a subscription gets everything again."
    ),
    check!(
        "overflow",
        without_overflow_nothing_is_lost,
        [L2, L3],
        [Capacity],
        "As many envelopes as claimed are kept, and no gap is told."
    ),
    check!(
        "overflow",
        order_holds_after_an_overflow,
        [O3],
        [Order, Capacity],
        "What is kept is in order, and so is what comes after."
    ),
    check!(
        "overflow",
        two_stalled_readers_are_told_each,
        [L2, U3],
        [Capacity, ExactGaps],
        "Every stalled subscription is told of its own loss."
    ),
];

/// How far a flood goes before the buffer is taken to have no bound.
const MOST: usize = 64;

/// What a subscription got, from the end of a stall to the end of the stream.
pub(super) struct Got {
    events: Vec<Event>,
    pub(super) sent: usize,
}

impl Got {
    fn numbers(&self) -> Vec<usize> {
        self.events.iter().filter_map(number).collect()
    }

    fn gaps(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Gap(_))).count()
    }

    fn missed(&self) -> u64 {
        let missed = self.events.iter().map(|event| match event {
            Event::Gap(gap) => gap.missed.unwrap_or(0),
            _ => 0,
        });
        missed.sum()
    }

    /// Numbers in short form: `gap of 86, 86..=149`.
    fn short(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut run: Option<(usize, usize)> = None;
        let end = |run: &mut Option<(usize, usize)>, parts: &mut Vec<String>| {
            if let Some((first, last)) = run.take() {
                parts.push(if first == last {
                    first.to_string()
                } else {
                    format!("{first}..={last}")
                });
            }
        };
        for event in &self.events {
            match (number(event), run) {
                (Some(next), Some((first, last))) if next == last + 1 => run = Some((first, next)),
                (Some(next), _) => {
                    end(&mut run, &mut parts);
                    run = Some((next, next));
                }
                (None, _) => {
                    end(&mut run, &mut parts);
                    parts.push(match event {
                        Event::Gap(gap) => match gap.missed {
                            Some(missed) => format!("a gap of {missed}"),
                            None => "a gap of unknown size".to_owned(),
                        },
                        other => crate::show::event(Some(other)),
                    });
                }
            }
        }
        end(&mut run, &mut parts);
        let shown = parts.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
        let more = if parts.len() > 12 { ", …" } else { "" };
        format!("sent 0..={}, got {shown}{more}", self.sent.saturating_sub(1))
    }
}

fn number(event: &Event) -> Option<usize> {
    match event {
        Event::Message(envelope) => std::str::from_utf8(envelope.data()).ok()?.parse().ok(),
        _ => None,
    }
}

/// So many are sent before the reader that keeps up reads them, if its buffer holds as many.
const AT_ONCE: usize = 8;

/// Sends the numbers in `range`, a few at a time, and the witness gets these before the next.
async fn flood(
    bench: &Bench,
    a: &Instance,
    witness: &mut Reader,
    range: std::ops::Range<usize>,
) -> Verified {
    let numbers: Vec<String> = range.map(|number| number.to_string()).collect();
    for some in numbers.chunks(AT_ONCE.min(capacity(bench))) {
        for data in some {
            a.publish(&witness.topic(), data).await?;
        }
        witness.expect_all(some).await.because("this reader keeps up").of(Clause::L1)?;
    }
    Ok(())
}

fn capacity(bench: &Bench) -> usize {
    bench.claims().capacity().unwrap_or(1).max(1)
}

/// A stalled subscription overflows, and is read to its end. Grows the flood until it does.
pub(super) async fn overflow(bench: &Bench) -> Verified<Got> {
    let mut sent = capacity(bench) * 3 + 7;
    while sent <= capacity(bench) * MOST + 10_000 {
        let got = stall(bench, sent).await?;
        if got.gaps() > 0 || got.numbers().len() < sent {
            return Ok(got);
        }
        sent *= 3;
    }
    Err(Failure::new(
        format!("a stalled subscription overflows: it is sure to keep {} only", capacity(bench)),
        format!("{} envelopes were kept without a loss: is there any bound?", sent / 3),
    )
    .of(Clause::L3))
}

async fn stall(bench: &Bench, sent: usize) -> Verified<Got> {
    let [a, b] = bench.cluster().await?;
    let mut stalled = b.subscribe("news").await?.named("stalled");
    let mut witness = b.subscribe("news").await?.named("keeps up");
    flood(bench, &a, &mut witness, 0..sent).await?;
    rest(bench, &mut stalled, sent).await
}

/// What a stalled subscription gets of `sent` numbers, up to the last one.
///
/// It has to get that one, since the newest are kept. Where no order is claimed, it may come before
/// others; there, what was handed out and what was missed have to make up what was sent.
async fn rest(bench: &Bench, stalled: &mut Reader, sent: usize) -> Verified<Got> {
    let mut got = Got { events: Vec::new(), sent };
    let all_in = |got: &Got| {
        if bench.is_unordered() {
            got.numbers().len() as u64 + got.missed() >= sent as u64
        } else {
            got.events.last().and_then(number) == Some(sent - 1)
        }
    };
    let wanted = format!("what is left, up to {}", sent - 1);
    while !all_in(&got) {
        let event = stalled.next(&wanted).await;
        match event.because("the newest are kept, and handed out").of(Clause::L3)? {
            Some(event) => got.events.push(event),
            None => return stalled.unexpected(&wanted, None),
        }
    }
    Ok(got)
}

async fn loss_is_told_by_a_gap(bench: Bench) -> Verified {
    let got = overflow(&bench).await?;
    let lost = got.sent - got.numbers().len();
    ensure(
        got.gaps() > 0,
        format!("a gap (Lagged) in the stalled subscription, which has lost {lost} envelopes"),
        format!("no gap: {}", got.short()),
    )?;
    let lagged = |event: &Event| match event {
        Event::Gap(gap) => gap.cause == GapCause::Lagged,
        _ => true,
    };
    ensure(got.events.iter().all(lagged), "the gap's cause is Lagged", format!("{:?}", got.events))
}

async fn the_gap_counts_exactly(bench: Bench) -> Verified {
    let got = overflow(&bench).await?;
    counts_exactly(&got)
}

fn counts_exactly(got: &Got) -> Verified {
    let (received, missed) = (got.numbers().len() as u64, got.missed());
    ensure(
        received + missed == got.sent as u64,
        format!("{} were sent: received and missed make that up", got.sent),
        format!("{received} received and {missed} missed: {}", got.short()),
    )
}

async fn own_envelopes_are_not_counted(bench: Bench) -> Verified {
    let sent = overflow(&bench).await?.sent;
    let [a, b] = bench.cluster().await?;
    let mut stalled = b.subscribe("news").await?.named("stalled");
    let mut witness = b.subscribe("news").await?.named("keeps up");
    let mut elsewhere = a.subscribe("news").await?;
    for number in 0..sent {
        flood(&bench, &a, &mut witness, number..number + 1).await?;
        b.publish("news", "B's own").await?;
        elsewhere.expect("B's own").await?;
    }
    let got = rest(&bench, &mut stalled, sent).await?;
    let own = got.events.iter().filter(|event| matches!(event, Event::Message(_)));
    ensure(
        own.count() == got.numbers().len(),
        "no envelope of B's own in B's subscription",
        got.short(),
    )
    .of(Clause::D2)?;
    ensure(got.gaps() > 0, "a gap in the stalled subscription", got.short())?;
    counts_exactly(&got).because("B's own do not count")
}

async fn one_gap_for_one_episode(bench: Bench) -> Verified {
    let got = overflow(&bench).await?;
    ensure(got.gaps() == 1, "one gap, since it was one stall", got.short())
}

async fn the_gap_stands_where_the_hole_is(bench: Bench) -> Verified {
    let got = overflow(&bench).await?;
    let mut next = 0;
    let mut told = false;
    for event in &got.events {
        let Some(number) = number(event) else {
            told = true;
            continue;
        };
        ensure(
            number == next || told,
            format!("{next}, or a gap in its place"),
            format!("{number} without a gap before it: {}", got.short()),
        )?;
        ensure(
            !(told && number == next),
            "a gap only where envelopes are missing",
            format!("a gap, and then {number}, the next one: {}", got.short()),
        )?;
        (next, told) = (number + 1, false);
    }
    ensure(
        next == got.sent || told,
        format!("all up to {}, or a gap at the end", got.sent - 1),
        got.short(),
    )
}

async fn every_episode_has_its_gap(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut stalled = b.subscribe("news").await?.named("stalled");
    let mut witness = b.subscribe("news").await?.named("keeps up");
    let flood_size = overflow(&bench).await?.sent;
    for episode in 0..3 {
        let end = (episode + 1) * flood_size;
        flood(&bench, &a, &mut witness, end - flood_size..end).await?;
        let got = rest(&bench, &mut stalled, end).await?;
        ensure(
            got.gaps() == 1,
            format!("one gap in stall number {}", episode + 1),
            format!("{} gaps: {}", got.gaps(), got.short()),
        )?;
    }
    Ok(())
}

async fn the_oldest_go_first(bench: Bench) -> Verified {
    let got = overflow(&bench).await?;
    let kept: HashSet<usize> = got.numbers().into_iter().collect();
    let newest = got.sent - capacity(&bench)..got.sent;
    for number in newest.rev() {
        ensure(
            kept.contains(&number),
            format!("the newest {} are kept, the oldest go", capacity(&bench)),
            format!("{number} is missing: {}", got.short()),
        )?;
    }
    Ok(())
}

async fn a_stalled_reader_recovers(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut stalled = b.subscribe("news").await?.named("stalled");
    let mut witness = b.subscribe("news").await?.named("keeps up");
    let sent = overflow(&bench).await?.sent;
    flood(&bench, &a, &mut witness, 0..sent).await?;
    rest(&bench, &mut stalled, sent).await?;
    for number in sent..sent + 50 {
        let data = number.to_string();
        a.publish("news", &data).await?;
        stalled.expect(&data).await.because("it has caught up")?;
        witness.expect(&data).await?;
    }
    Ok(())
}

async fn without_overflow_nothing_is_lost(bench: Bench) -> Verified {
    let got = stall(&bench, capacity(&bench)).await?;
    ensure(
        got.gaps() == 0 && got.numbers().into_iter().collect::<BTreeSet<_>>().len() == got.sent,
        format!("all {} envelopes, as the claimed capacity says, and no gap", got.sent),
        got.short(),
    )
}

async fn order_holds_after_an_overflow(bench: Bench) -> Verified {
    let got = overflow(&bench).await?;
    let numbers = got.numbers();
    ensure(
        numbers.is_sorted_by(|one, next| one < next),
        "what is left is in the order of publishing, each once",
        got.short(),
    )
}

async fn two_stalled_readers_are_told_each(bench: Bench) -> Verified {
    let sent = overflow(&bench).await?.sent;
    let [a, b, c] = bench.cluster().await?;
    let mut stalled = Vec::new();
    for instance in [&b, &b, &c] {
        stalled.push(instance.subscribe("news").await?.named("stalled"));
    }
    let mut witness = b.subscribe("news").await?.named("keeps up");
    let mut elsewhere = c.subscribe("news").await?.named("keeps up");
    for number in 0..sent {
        flood(&bench, &a, &mut witness, number..number + 1).await?;
        elsewhere.expect(&number.to_string()).await?;
    }
    for reader in &mut stalled {
        let got = rest(&bench, reader, sent).await?;
        ensure(got.gaps() > 0, format!("a gap in {}", reader.name()), got.short())?;
        counts_exactly(&got)?;
    }
    Ok(())
}
