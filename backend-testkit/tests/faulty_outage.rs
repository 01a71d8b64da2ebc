//! Scripted outages, beyond what the suite holds them to, and the recording.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Wake};
use std::time::Duration;

use backend_core::{Backend, Error, Event, HealthAwareBackend, MessageEnvelope, Subscription};
use backend_memory::MemoryBackend;
use backend_testkit::faulty::{Fate, Operation, Record};
use backend_testkit::{Faulty, Gate, Rule};
use futures_util::FutureExt;

const OUTAGE: &str = "messages may have been missed (the connection was lost)";

fn pair() -> (MemoryBackend, Faulty<MemoryBackend>) {
    let honest = MemoryBackend::new();
    let faulty = Faulty::new(honest.fork());
    (honest, faulty)
}

fn envelope(data: &str) -> MessageEnvelope {
    MessageEnvelope::new("room", data.to_owned())
}

fn publish_all(backend: &MemoryBackend, data: &[&str]) {
    for data in data {
        backend.publish_now(envelope(data)).unwrap();
    }
}

fn story(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.try_recv().ok())
        .map(|event| match event {
            Event::Message(envelope) => String::from_utf8_lossy(envelope.data()).into_owned(),
            Event::Gap(gap) => gap.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
}

/// Waits for what should happen at once. Only a failing test waits for so long.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within 20 seconds"),
    }
}

/// Counts the calls of a callback.
fn recoveries(backend: &dyn HealthAwareBackend) -> impl Fn() -> u32 + use<> {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    backend.on_reconnect(Box::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    move || calls.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_reader_that_comes_late_finds_everything_in_its_place() {
    let (honest, faulty) = pair();
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["before"]);
    controls.outage();
    assert!(controls.is_cut_off());
    publish_all(&honest, &["gone"]);
    controls.recover();
    publish_all(&honest, &["between"]);
    controls.outage();
    publish_all(&honest, &["gone as well"]);
    controls.recover();
    controls.outage();
    controls.recover();
    publish_all(&honest, &["after"]);
    assert_eq!(story(&mut room), ["before", OUTAGE, "between", OUTAGE, "after"]);
}

#[tokio::test]
async fn a_reader_that_reads_on_gets_nothing_until_it_is_over() {
    let (honest, faulty) = pair();
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    controls.outage();
    for data in ["gone", "gone as well"] {
        publish_all(&honest, &[data]);
        assert_eq!(story(&mut room), Vec::<String>::new());
    }
    controls.recover();
    publish_all(&honest, &["after"]);
    assert_eq!(story(&mut room), [OUTAGE, "after"]);
    let cut_off = |step: &&Record| step.fate == Fate::CutOff;
    let recording = controls.recording();
    assert_eq!(recording.records().iter().filter(cut_off).count(), 2, "{recording}");
}

#[tokio::test]
async fn an_outage_within_an_outage_and_a_recovery_from_none_do_nothing() {
    let (honest, faulty) = pair();
    let controls = faulty.controls();
    let calls = recoveries(&faulty);
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["before"]);
    controls.recover();
    assert_eq!(story(&mut room), ["before"]);
    controls.outage();
    publish_all(&honest, &["gone"]);
    controls.outage();
    controls.recover();
    controls.recover();
    assert_eq!(story(&mut room), [OUTAGE]);
    assert_eq!(calls(), 1);
    let recording = controls.recording();
    let counts = [Operation::Outage, Operation::Recover].map(|kind| recording.passed(kind));
    assert_eq!(counts, [1, 1], "{recording}");
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_the_recovery_whoever_has_peeked() {
    let (_honest, faulty) = pair();
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    controls.outage();
    let woken = Arc::new(Flag::default());
    let waker = Arc::clone(&woken).into();
    let mut cx = Context::from_waker(&waker);
    assert!(room.recv().boxed().poll_unpin(&mut cx).is_pending());
    assert_eq!(story(&mut room), Vec::<String>::new());
    assert!(!woken.0.load(Ordering::Relaxed));
    controls.recover();
    assert!(woken.0.load(Ordering::Relaxed));
    assert_eq!(story(&mut room), [OUTAGE]);
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn rules_apply_to_what_came_before_an_outage_and_see_nothing_of_it() {
    let (honest, faulty) = pair();
    let faulty = faulty
        .with_rule(Rule::receive().skip(1).times(2).lose())
        .with_rule(Rule::publish().times(1).drop_silently());
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    let mut there = honest.subscribe("room").await.unwrap();
    publish_all(&honest, &["1", "2"]);
    controls.outage();
    publish_all(&honest, &["3"]);
    assert!(matches!(faulty.publish(envelope("refused")).await, Err(Error::Unavailable(_))));
    assert!(matches!(faulty.subscribe("room").await, Err(Error::Unavailable(_))));
    controls.recover();
    publish_all(&honest, &["4", "5"]);
    let lost = "1 message was missed (the reader lagged)";
    assert_eq!(story(&mut room), ["1", lost, OUTAGE, lost, "5"]);
    faulty.publish(envelope("dropped")).await.unwrap();
    faulty.publish(envelope("sent")).await.unwrap();
    assert_eq!(story(&mut there), ["sent"]);
}

#[tokio::test]
async fn a_call_that_is_held_into_an_outage_is_refused() {
    let (honest, faulty) = pair();
    let gate = Gate::new();
    let faulty = Arc::new(
        faulty.with_rule(Rule::publish().hold(&gate)).with_rule(Rule::subscribe().hold(&gate)),
    );
    let controls = faulty.controls();
    let mut there = honest.subscribe("room").await.unwrap();
    let publish = tokio::spawn({
        let faulty = Arc::clone(&faulty);
        async move { faulty.publish(envelope("held")).await }
    });
    let subscribe = tokio::spawn({
        let faulty = Arc::clone(&faulty);
        async move { faulty.subscribe("room").await.map(drop) }
    });
    within("both calls at the gate", gate.until_reached(2)).await;
    controls.outage();
    gate.open();
    assert!(matches!(within("the publish", publish).await.unwrap(), Err(Error::Unavailable(_))));
    assert!(matches!(
        within("the subscribe", subscribe).await.unwrap(),
        Err(Error::Unavailable(_))
    ));
    controls.recover();
    assert_eq!(story(&mut there), Vec::<String>::new());
}

#[tokio::test]
async fn a_publish_that_is_held_until_after_the_close_finds_it_closed() {
    let (_honest, faulty) = pair();
    let gate = Gate::new();
    let faulty = faulty.with_rule(Rule::publish().hold(&gate));
    let mut publish = faulty.publish(envelope("held"));
    assert!((&mut publish).now_or_never().is_none());
    faulty.controls().outage();
    faulty.close().await.unwrap();
    gate.open();
    assert!(within("the publish", publish).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_subscribe_that_the_backend_answers_in_an_outage_is_refused_and_leaves_nothing() {
    let gate = Gate::new();
    let slow = Faulty::new(MemoryBackend::new()).with_rule(Rule::subscribe().hold(&gate));
    let faulty = Faulty::new(slow);
    let controls = faulty.controls();
    let mut subscribe = faulty.subscribe("room");
    assert!((&mut subscribe).now_or_never().is_none());
    controls.outage();
    gate.open();
    let result = within("the subscribe", subscribe).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    assert_eq!(faulty.as_observable().unwrap().stats().subscriptions, 0);
    assert_eq!(controls.subscriptions(), 0);
}

#[tokio::test]
async fn the_open_subscriptions_are_counted() {
    let (_honest, faulty) = pair();
    let controls = faulty.controls();
    let first = faulty.subscribe("room").await.unwrap();
    let mut second = faulty.subscribe("kitchen").await.unwrap();
    assert_eq!(controls.subscriptions(), 2);
    drop(first);
    assert_eq!(controls.subscriptions(), 1);
    faulty.close().await.unwrap();
    assert_eq!(within("the end", second.recv()).await, None);
    assert_eq!(controls.subscriptions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn outages_at_any_moment_lose_nothing_silently() {
    const LAST: u64 = 20_000;
    let bus = MemoryBackend::builder().capacity(64).build();
    let faulty = Faulty::new(bus.fork());
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    let publisher = tokio::spawn(async move {
        for number in 0..=LAST {
            bus.publish_now(envelope(&number.to_string())).unwrap();
            if number % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        bus
    });
    let trouble = tokio::spawn(async move {
        for _ in 0..500 {
            controls.outage();
            tokio::task::yield_now().await;
            controls.recover();
            tokio::task::yield_now().await;
        }
    });
    let reader = tokio::spawn(async move {
        let (mut next, mut gap) = (0, false);
        while let Some(event) = room.recv().await {
            let Event::Message(envelope) = event else {
                gap = true;
                continue;
            };
            let number: u64 = std::str::from_utf8(envelope.data()).unwrap().parse().unwrap();
            assert!(number >= next, "{number} again or too late, after {next}");
            assert!(number == next || gap, "{next} to {number} are missing without a gap");
            (next, gap) = (number + 1, false);
        }
        next
    });
    within("the trouble", trouble).await.unwrap();
    let bus = within("the publisher", publisher).await.unwrap();
    bus.publish_now(envelope(&(LAST + 1).to_string())).unwrap();
    faulty.close().await.unwrap();
    assert_eq!(within("the reader", reader).await.unwrap(), LAST + 2);
}

#[tokio::test]
async fn it_is_healthy_when_neither_has_an_outage_and_tells_once() {
    let (_honest, faulty) = pair();
    let controls = faulty.controls();
    let calls = recoveries(&faulty);

    faulty.inner().partition();
    assert!(!faulty.is_healthy());
    faulty.inner().heal();
    assert!(faulty.is_healthy());
    assert_eq!(calls(), 1, "an outage of the backend inside");

    controls.outage();
    faulty.inner().partition();
    faulty.inner().heal();
    assert_eq!((faulty.is_healthy(), calls()), (false, 1), "the scripted one goes on");
    controls.recover();
    assert_eq!((faulty.is_healthy(), calls()), (true, 2), "one within the other");

    controls.outage();
    faulty.inner().partition();
    controls.recover();
    assert_eq!((faulty.is_healthy(), calls()), (false, 2), "the inner one goes on");
    faulty.inner().heal();
    assert_eq!((faulty.is_healthy(), calls()), (true, 3), "the inner one outlasts it");

    controls.recover();
    assert_eq!(calls(), 3, "from healthy to healthy");
}

#[tokio::test]
async fn the_controls_do_not_keep_the_instance() {
    let (honest, faulty) = pair();
    let controls = faulty.controls();
    let calls = recoveries(&faulty);
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["before"]);
    drop(faulty);
    controls.outage();
    controls.recover();
    assert_eq!(calls(), 0, "nothing comes back");
    assert_eq!(story(&mut room), ["before"]);
    assert_eq!(within("the end", room.recv()).await, None);
    assert_eq!(controls.recording().passed(Operation::End), 1);
}

#[tokio::test]
async fn no_callback_of_a_dropped_instance_runs_though_its_backend_lives_on() {
    let memory = Arc::new(MemoryBackend::new());
    let faulty = Faulty::new(Arc::clone(&memory));
    let _controls = faulty.controls();
    let calls = recoveries(&faulty);
    drop(faulty);
    memory.partition();
    memory.heal();
    assert_eq!(calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_an_outage_found_unread_may_expire_and_is_counted() {
    let (honest, faulty) = pair();
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    // Longer than any test runs: the backend inside goes by the real clock.
    let hour = Duration::from_secs(3600);
    honest.publish_now(envelope("in time").with_ttl(2 * hour)).unwrap();
    honest.publish_now(envelope("too late").with_ttl(hour)).unwrap();
    honest.publish_now(envelope("for ever").with_ttl(Duration::ZERO)).unwrap();
    controls.outage();
    tokio::time::advance(hour).await;
    controls.recover();
    assert_eq!(story(&mut room), ["in time", "for ever", OUTAGE]);
    assert_eq!(faulty.as_observable().unwrap().stats().expired, 1);
}

#[tokio::test]
async fn the_counters_know_of_the_outage() {
    let (_honest, faulty) = pair();
    let controls = faulty.controls();
    let stats = || faulty.as_observable().unwrap().stats();
    assert!(stats().connected);
    controls.outage();
    assert!(!stats().connected);
    let mut room = match faulty.subscribe("room").await {
        Err(Error::Unavailable(_)) => {
            controls.recover();
            faulty.subscribe("room").await.unwrap()
        }
        other => panic!("{other:?}"),
    };
    controls.outage();
    controls.recover();
    assert_eq!(story(&mut room), [OUTAGE]);
    assert!(stats().connected);
    assert_eq!((stats().gaps, stats().missed), (1, 0));
}

#[tokio::test]
async fn the_recording_tells_the_story_in_order() {
    let (honest, faulty) = pair();
    let faulty = faulty
        .with_rule(Rule::receive().skip(1).times(1).lose())
        .with_rule(Rule::receive().skip(1).times(1).duplicate())
        .with_rule(Rule::publish().times(1).fail_with(|| Error::unavailable("reset")));
    let controls = faulty.controls();
    let mut room = faulty.subscribe("room").await.unwrap();
    publish_all(&honest, &["1", "2", "3"]);
    assert_eq!(story(&mut room).len(), 4);
    faulty.publish(envelope("out")).await.unwrap_err();
    faulty.publish(envelope("out")).await.unwrap();
    controls.outage();
    publish_all(&honest, &["4"]);
    controls.recover();
    faulty.unsubscribe("room").await.unwrap();
    assert_eq!(story(&mut room), [OUTAGE]);
    drop(room);
    faulty.close().await.unwrap();

    let expected = r#"
0 subscribe "room", subscription 1: passed
1 receive "1" to "room", subscription 1: passed
2 receive "2" to "room", subscription 1: was lost, to be told by a gap
3 receive "3" to "room", subscription 1: was duplicated
4 gap on "room", 1 message was missed (the reader lagged), subscription 1: passed
5 receive "3" to "room", subscription 1: passed
6 receive "3" to "room", subscription 1: passed
7 publish "out" to "room": was refused: the backend is unavailable: reset
8 publish "out" to "room": passed
9 outage: passed
10 receive "4" to "room", subscription 1: was cut off by the outage
11 recover: passed
12 unsubscribe "room": passed
13 gap on "room", messages may have been missed (the connection was lost), subscription 1: passed
14 end "room", subscription 1: passed
15 release "room", subscription 1: passed
16 close: passed
"#;
    assert_eq!(controls.recording().to_string(), expected.trim_start());
}

#[tokio::test]
async fn the_recording_keeps_the_last_steps_and_counts_the_others() {
    let (_honest, faulty) = pair();
    let faulty = faulty.with_recording_of(2);
    for number in 0..5 {
        faulty.publish(envelope(&number.to_string())).await.unwrap();
    }
    let recording = faulty.controls().recording();
    let kept: Vec<_> = recording.records().iter().map(|record| record.data().to_vec()).collect();
    assert_eq!((recording.left_out(), kept), (3, vec![b"3".to_vec(), b"4".to_vec()]));
    assert!(recording.to_string().starts_with("… 3 older steps are left out\n3 publish"));

    let faulty = faulty.with_recording_of(0);
    assert_eq!(faulty.controls().recording().records(), []);
    assert_eq!(faulty.controls().recording().left_out(), 5);
}

#[tokio::test]
async fn until_finds_what_has_been_and_waits_for_what_is_to_come() {
    let (_honest, faulty) = pair();
    let controls = faulty.controls();
    faulty.publish(envelope("first")).await.unwrap();
    let first = controls.until(|step| step.operation == Operation::Publish);
    let found = within("the first publish", first).await;
    assert_eq!((found.number, found.data(), &found.fate), (0, &b"first"[..], &Fate::Passed));

    let third = tokio::spawn(async move {
        let mut publishes = 0;
        let counted = controls.until(|step| {
            publishes += u32::from(step.operation == Operation::Publish);
            publishes == 3
        });
        counted.await.data().to_vec()
    });
    tokio::task::yield_now().await;
    for data in ["second", "third", "fourth"] {
        faulty.publish(envelope(data)).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(within("the third publish", third).await.unwrap(), b"third");
}
