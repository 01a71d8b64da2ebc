//! What each rule does, to what it is about and to nothing else.

use std::sync::Arc;
use std::time::Duration;

use backend_core::{Backend, Error, Event, MessageEnvelope, Subscription, TryRecvError};
use backend_memory::MemoryBackend;
use backend_testkit::faulty::Fate;
use backend_testkit::{Faulty, Gate, Rule};
use futures_util::FutureExt;
use tokio::time::Instant;

/// An instance that publishes without faults, and a faulty one beside it.
fn pair() -> (MemoryBackend, Faulty<MemoryBackend>) {
    let honest = MemoryBackend::new();
    let faulty = Faulty::new(honest.fork());
    (honest, faulty)
}

fn envelope(data: &str) -> MessageEnvelope {
    MessageEnvelope::new("room", data.to_owned())
}

async fn publish_all(backend: &dyn Backend, data: &[&str]) {
    for data in data {
        backend.publish(envelope(data)).await.unwrap();
    }
}

fn in_words(event: Event) -> String {
    match event {
        Event::Message(envelope) => String::from_utf8_lossy(envelope.data()).into_owned(),
        Event::Gap(gap) => gap.to_string(),
        other => format!("{other:?}"),
    }
}

/// Everything that is there now.
fn story(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.try_recv().ok()).map(in_words).collect()
}

/// What a reader of a faulty instance gets when "1" to "5" are published.
async fn received(rule: Rule) -> Vec<String> {
    let (honest, faulty) = pair();
    faulty.controls().add_rule(rule);
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["1", "2", "3", "4", "5"]).await;
    faulty.close().await.unwrap();
    story(&mut room)
}

/// Waits for what should happen at once. Only a failing test waits for so long.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within 20 seconds"),
    }
}

fn down() -> Error {
    Error::unavailable("connection reset")
}

#[tokio::test]
async fn a_lost_message_leaves_a_gap_in_its_place() {
    let third = Rule::receive().skip(2).times(1).lose();
    let gap = "1 message was missed (the reader lagged)";
    assert_eq!(received(third).await, ["1", "2", gap, "4", "5"]);
}

#[tokio::test]
async fn a_row_of_lost_messages_leaves_one_gap_that_counts_them() {
    let middle = Rule::receive().skip(1).times(3).lose();
    let gap = "3 messages were missed (the reader lagged)";
    assert_eq!(received(middle).await, ["1", gap, "5"]);
    let end = Rule::receive().skip(2).lose();
    assert_eq!(received(end).await, ["1", "2", gap]);
}

#[tokio::test]
async fn a_reader_that_waits_is_told_of_a_loss_at_once() {
    let (honest, faulty) = pair();
    faulty.controls().add_rule(Rule::receive().lose());
    let mut room = faulty.subscribe("room").await.unwrap();
    let both = async { tokio::join!(room.recv(), publish_all(&honest, &["lost"])) };
    let (event, ()) = within("the gap", both).await;
    assert_eq!(event.map(in_words).unwrap(), "1 message was missed (the reader lagged)");
}

#[tokio::test]
async fn a_message_dropped_silently_is_just_not_there() {
    let third = Rule::receive().skip(2).times(1).drop_silently();
    assert_eq!(received(third).await, ["1", "2", "4", "5"]);
}

#[tokio::test]
async fn a_duplicate_comes_right_behind() {
    let second = Rule::receive().skip(1).times(1).duplicate();
    assert_eq!(received(second).await, ["1", "2", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_swapped_message_comes_behind_the_next_or_last_of_all() {
    let second = Rule::receive().skip(1).times(1).swap_with_next();
    assert_eq!(received(second).await, ["1", "3", "2", "4", "5"]);
    let last = Rule::receive().skip(4).swap_with_next();
    assert_eq!(received(last).await, ["1", "2", "3", "4", "5"]);
    let all = Rule::receive().swap_with_next();
    assert_eq!(received(all).await, ["2", "1", "4", "3", "5"]);
}

#[tokio::test]
async fn a_rule_strikes_what_it_says_and_nothing_else() {
    let (honest, faulty) = pair();
    let controls = faulty.controls();
    controls.add_rule(Rule::receive().topic("kitchen").drop_silently());
    controls.add_rule(Rule::receive().when(|e| e.id() == Some("bad")).lose());
    controls.add_rule(Rule::publish().topic("room").times(1).fail_with(down));
    let mut room = faulty.subscribe("room").await.unwrap();
    let mut kitchen = faulty.subscribe("kitchen").await.unwrap();
    publish_all(&honest, &["1"]).await;
    honest.publish(envelope("2").with_id("bad")).await.unwrap();
    honest.publish(envelope("3").with_id("good")).await.unwrap();
    honest.publish(MessageEnvelope::new("kitchen", "soup")).await.unwrap();
    assert_eq!(story(&mut room), ["1", "1 message was missed (the reader lagged)", "3"]);
    assert_eq!(story(&mut kitchen), Vec::<String>::new());

    faulty.publish(MessageEnvelope::new("kitchen", "unharmed")).await.unwrap();
    assert!(faulty.publish(envelope("fails")).await.unwrap_err().is_retryable());
    faulty.publish(envelope("goes")).await.unwrap();

    controls.clear_rules();
    honest.publish(MessageEnvelope::new("kitchen", "cake")).await.unwrap();
    assert_eq!(story(&mut kitchen), ["cake"]);
}

#[tokio::test]
async fn every_subscription_counts_for_itself() {
    let (honest, faulty) = pair();
    faulty.controls().add_rule(Rule::receive().skip(1).times(1).drop_silently());
    let mut first = faulty.subscribe("room").await.unwrap();
    let mut second = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["1", "2", "3"]).await;
    assert_eq!(story(&mut first), ["1", "3"]);
    assert_eq!(story(&mut second), ["1", "3"]);
}

#[tokio::test]
async fn the_first_rule_that_strikes_decides_and_hides_it_from_the_others() {
    let (honest, faulty) = pair();
    let faulty = faulty
        .with_rule(Rule::publish().times(1).fail_with(down))
        .with_rule(Rule::publish().times(1).drop_silently())
        .with_rule(Rule::publish().times(1).duplicate());
    let mut room = honest.subscribe("room").await.unwrap();
    assert!(faulty.publish(envelope("fails")).await.is_err());
    publish_all(&faulty, &["vanishes", "twice", "once"]).await;
    assert_eq!(story(&mut room), ["twice", "twice", "once"]);
}

#[tokio::test]
async fn a_publish_that_fails_was_not_sent_unless_the_rule_says_so() {
    let (honest, faulty) = pair();
    let faulty =
        faulty.with_rule(Rule::publish().times(1).fail_with(|| Error::backend("no"))).with_rule(
            Rule::publish().times(1).send_and_fail_with(|| Error::Timeout(Duration::from_secs(1))),
        );
    let mut room = honest.subscribe("room").await.unwrap();
    assert!(matches!(faulty.publish(envelope("not sent")).await, Err(Error::Backend(_))));
    assert!(matches!(faulty.publish(envelope("sent")).await, Err(Error::Timeout(_))));
    assert_eq!(story(&mut room), ["sent"]);
}

#[tokio::test]
async fn a_duplicate_that_fails_does_not_say_that_nobody_got_it() {
    let (honest, inner) = pair();
    let inner = inner.with_rule(Rule::publish().skip(1).times(1).fail_with(down));
    let faulty = Faulty::new(inner).with_rule(Rule::publish().times(1).duplicate());
    let mut room = honest.subscribe("room").await.unwrap();
    let failed = faulty.publish(envelope("once")).await;
    assert!(matches!(failed, Err(Error::Unconfirmed(_))), "{failed:?}");
    assert_eq!(story(&mut room), ["once"]);
}

#[tokio::test(start_paused = true)]
async fn delayed_messages_keep_their_order_and_take_their_time() {
    let (honest, faulty) = pair();
    let delay = Duration::from_secs(3600);
    faulty.controls().add_rule(Rule::receive().times(1).delay(delay));
    let mut room = faulty.subscribe("room").await.unwrap();
    let begin = Instant::now();
    publish_all(&honest, &["1", "2"]).await;
    assert_eq!(room.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(room.recv().await.map(in_words).unwrap(), "1");
    assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
    assert_eq!(story(&mut room), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn delayed_calls_take_their_time() {
    let (honest, faulty) = pair();
    let hour = Duration::from_secs(3600);
    let faulty = faulty
        .with_rule(Rule::publish().delay(hour))
        .with_rule(Rule::subscribe().delay(hour))
        .with_rule(Rule::unsubscribe().delay(hour))
        .with_rule(Rule::close().delay(hour));
    let mut there = honest.subscribe("room").await.unwrap();
    let begin = Instant::now();
    let mut room = faulty.subscribe("room").await.unwrap();
    assert!(begin.elapsed() >= hour);
    publish_all(&faulty, &["late"]).await;
    assert!(begin.elapsed() >= 2 * hour);
    assert_eq!(story(&mut there), ["late"]);
    faulty.unsubscribe("room").await.unwrap();
    assert!(begin.elapsed() >= 3 * hour);
    assert_eq!(within("the end", room.recv()).await, None);
    faulty.close().await.unwrap();
    assert!(begin.elapsed() >= 4 * hour);
}

#[tokio::test(start_paused = true)]
async fn a_delay_by_chance_stays_below_its_limit_and_differs() {
    let (honest, faulty) = pair();
    let second = Duration::from_secs(1);
    let faulty = faulty.with_rule(Rule::receive().delay_up_to(second));
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["1", "2", "3", "4"]).await;
    for _ in 0..4 {
        room.recv().await.unwrap();
    }
    let mut delays: Vec<Duration> = Vec::new();
    for record in controls.recording().records() {
        if let Fate::Delayed(delay) = record.fate {
            delays.push(delay);
        }
    }
    assert_eq!(delays.len(), 4);
    assert!(delays.iter().all(|delay| *delay <= second), "{delays:?}");
    delays.dedup();
    assert!(delays.len() > 1, "{delays:?}");
}

#[tokio::test]
async fn what_is_held_at_a_gate_goes_on_when_it_is_opened() {
    let (honest, faulty) = pair();
    let gate = Gate::new();
    let faulty = Arc::new(faulty.with_rule(Rule::receive().times(1).hold(&gate)));
    let mut room = faulty.subscribe("room").await.unwrap();
    let mut other = faulty.subscribe("other").await.unwrap();
    publish_all(&honest, &["held", "behind"]).await;
    assert_eq!(gate.reached(), 0);

    let reader = tokio::spawn(async move {
        let first = room.recv().await.map(in_words);
        (first, story(&mut room))
    });
    within("the message at the gate", gate.until_reached(1)).await;
    assert!(!gate.is_open() && !reader.is_finished());
    // Another topic has a gate rule of its own, which this message meets; publishing does not.
    publish_all(&*faulty, &["out"]).await;
    honest.publish(MessageEnvelope::new("other", "held too")).await.unwrap();
    assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(gate.reached(), 2);

    gate.open();
    let (first, rest) = within("the message", reader).await.unwrap();
    assert_eq!((first.as_deref(), rest), (Some("held"), vec!["behind".to_owned()]));
    assert_eq!(story(&mut other), ["held too"]);
}

#[tokio::test]
async fn a_peek_does_not_make_it_forget_the_task_that_waits() {
    for gate in [Some(Gate::new()), None] {
        let (honest, faulty) = pair();
        let controls = faulty.controls();
        if let Some(gate) = &gate {
            controls.add_rule(Rule::receive().hold(gate));
        }
        let mut room = faulty.subscribe("room").await.unwrap();
        publish_all(&honest, if gate.is_some() { &["1"] } else { &[] }).await;
        // One poll that waits, as in a `select!`, then a peek; the wake-up has to come.
        let flag = Arc::new(Flag::default());
        let waker = Arc::clone(&flag).into();
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(room.recv().boxed().poll_unpin(&mut cx).is_pending());
        assert_eq!(room.try_recv(), Err(TryRecvError::Empty));
        match gate {
            Some(gate) => gate.open(),
            None => publish_all(&honest, &["1"]).await,
        }
        assert!(flag.0.load(std::sync::atomic::Ordering::Acquire));
        assert_eq!(story(&mut room), ["1"]);
    }
}

#[derive(Default)]
struct Flag(std::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Release);
    }
}

#[tokio::test]
async fn calls_that_are_dropped_while_they_are_held_leave_nothing() {
    let (honest, faulty) = pair();
    let gate = Gate::new();
    let faulty = faulty
        .with_rule(Rule::publish().times(1).hold(&gate))
        .with_rule(Rule::subscribe().times(1).hold(&gate));
    let mut there = honest.subscribe("room").await.unwrap();
    assert!(faulty.publish(envelope("never sent")).now_or_never().is_none());
    assert!(faulty.subscribe("room").now_or_never().is_none());
    assert_eq!(gate.reached(), 2);
    gate.open();
    publish_all(&faulty, &["sent"]).await;
    assert_eq!(story(&mut there), ["sent"]);
    assert_eq!(faulty.as_observable().unwrap().stats().subscriptions, 0);
}

#[test]
fn a_subscription_that_waits_is_released_outside_a_runtime() {
    let (honest, faulty) = pair();
    let faulty = faulty
        .with_rule(Rule::receive().topic("room").delay(Duration::from_secs(3600)))
        .with_rule(Rule::receive().hold(&Gate::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut room = runtime.block_on(faulty.subscribe("room")).unwrap();
    let mut other = runtime.block_on(faulty.subscribe("other")).unwrap();
    honest.publish_now(envelope("late")).unwrap();
    honest.publish_now(MessageEnvelope::new("other", "late")).unwrap();
    runtime.block_on(async {
        assert!(room.recv().now_or_never().is_none());
        assert!(other.recv().now_or_never().is_none());
    });
    let held = || faulty.as_observable().unwrap().stats().subscriptions;
    assert_eq!(held(), 2);
    drop(room);
    assert_eq!(held(), 1);
    drop(runtime);
    drop(other);
    assert_eq!(held(), 0);
}

#[test]
fn a_peek_at_a_delayed_message_needs_no_runtime() {
    let (honest, faulty) = pair();
    let faulty = faulty.with_rule(Rule::receive().delay(Duration::from_secs(3600)));
    let mut room = faulty.subscribe("room").now_or_never().unwrap().unwrap();
    honest.publish_now(envelope("late")).unwrap();
    assert_eq!(room.try_recv(), Err(TryRecvError::Empty));
}

/// Which of a hundred messages get through.
async fn survivors(seed: u64, reads_in_turn: bool) -> [Vec<String>; 2] {
    let (honest, faulty) = pair();
    let faulty =
        faulty.with_rule(Rule::receive().with_probability(0.5).drop_silently()).with_seed(seed);
    assert_eq!(faulty.controls().seed(), seed);
    let mut first = faulty.subscribe("room").await.unwrap();
    let mut second = faulty.subscribe("room").await.unwrap();
    let mut both = [Vec::new(), Vec::new()];
    for number in 0..100 {
        publish_all(&honest, &[&number.to_string()]).await;
        if reads_in_turn {
            both[1].extend(story(&mut second));
            both[0].extend(story(&mut first));
        }
    }
    both[0].extend(story(&mut first));
    both[1].extend(story(&mut second));
    both
}

#[tokio::test]
async fn the_same_seed_decides_the_same_whoever_reads_first() {
    let [first, second] = survivors(7, false).await;
    assert!((20..80).contains(&first.len()), "{}", first.len());
    assert_ne!(first, second, "each has its own chance");
    assert_eq!(survivors(7, true).await, [first.clone(), second]);
    assert_ne!(survivors(8, false).await[0], first);
}

#[tokio::test]
async fn a_probability_of_one_always_strikes_and_of_zero_never() {
    let none = Rule::receive().with_probability(1.0).drop_silently();
    assert_eq!(received(none).await, Vec::<String>::new());
    let all = Rule::receive().with_probability(0.0).drop_silently();
    assert_eq!(received(all).await, ["1", "2", "3", "4", "5"]);
}

#[test]
#[should_panic(expected = "a probability from 0 to 1: 1.5")]
fn a_probability_above_one_is_a_mistake() {
    let _ = Rule::receive().with_probability(1.5);
}

#[tokio::test]
async fn a_close_that_fails_closes_all_the_same_and_closed_is_closed() {
    let (_honest, faulty) = pair();
    let faulty = faulty.with_rule(Rule::close().fail_with(|| Error::backend("broken pipe")));
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    assert!(matches!(faulty.close().await, Err(Error::Backend(_))));
    assert_eq!(within("the end", room.recv()).await, None);

    controls.clear_rules();
    controls.add_rule(Rule::publish().drop_silently());
    controls.add_rule(Rule::subscribe().hold(&Gate::new()));
    controls.outage();
    faulty.close().await.unwrap();
    assert!(faulty.publish(envelope("late")).await.unwrap_err().is_closed());
    assert!(faulty.subscribe("room").await.unwrap_err().is_closed());
    assert!(faulty.unsubscribe("room").await.unwrap_err().is_closed());
}

#[tokio::test]
async fn the_counters_count_what_the_rules_have_told() {
    let (honest, faulty) = pair();
    let faulty = faulty
        .with_rule(Rule::publish().times(2).drop_silently())
        .with_rule(Rule::receive().times(3).lose());
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&faulty, &["1", "2", "3"]).await;
    publish_all(&honest, &["1", "2", "3", "4"]).await;
    assert_eq!(story(&mut room).len(), 2);
    let stats = faulty.as_observable().unwrap().stats();
    assert_eq!((stats.sent, stats.gaps, stats.missed), (3, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_ttl_begins_when_the_delay_is_over_and_runs_out_for_what_is_kept() {
    let (honest, faulty) = pair();
    let minute = Duration::from_secs(60);
    let faulty = faulty
        .with_rule(Rule::receive().times(1).delay(2 * minute))
        .with_rule(Rule::receive().times(2).duplicate());
    let mut room = faulty.subscribe("room").await.unwrap();
    for data in ["delayed", "in time", "too late"] {
        honest.publish(envelope(data).with_ttl(minute)).await.unwrap();
    }
    for expected in ["delayed", "in time", "in time", "too late"] {
        assert_eq!(room.recv().await.map(in_words).unwrap(), expected);
    }
    tokio::time::advance(minute).await;
    assert_eq!(room.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(faulty.as_observable().unwrap().stats().expired, 1);
}
