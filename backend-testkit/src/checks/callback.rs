//! H3 and H4: the callbacks of `on_reconnect`.
//!
//! That a callback does *not* fire is shown by the next one that must: callbacks write to a list,
//! in order, and a real outage afterwards is the sentinel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use backend_core::MessageEnvelope;
use tokio::sync::mpsc;

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::notes::Notes;
use crate::panics::DELIBERATE;
use crate::poll::poll_once;
use crate::{Check, Clause};

pub(crate) const CHECKS: &[Check] = &[
    check!("callback", fires_once_per_outage, [H3], [Health, Faults], "One outage, one call."),
    check!(
        "callback",
        every_one_fires_in_order,
        [H3],
        [Health, Faults],
        "All registered callbacks fire, in order of registration, in every outage."
    ),
    check!(
        "callback",
        does_not_fire_on_registration,
        [H3],
        [Health, Faults],
        "Registering on a healthy instance calls nothing, and neither does its first use."
    ),
    check!(
        "callback",
        does_not_fire_from_healthy_to_healthy,
        [H3],
        [Health, Faults],
        "Restoring what is not cut off calls nothing."
    ),
    check!(
        "callback",
        does_not_fire_when_the_outage_begins,
        [H3],
        [Health, Faults],
        "Becoming unhealthy calls nothing."
    ),
    check!(
        "callback",
        does_not_fire_after_close,
        [H3],
        [Health, Faults],
        "The end of an outage calls nothing on an instance that was closed meanwhile."
    ),
    check!(
        "callback",
        does_not_fire_for_others_outages,
        [H3],
        [Health, Faults],
        "The outage of another instance calls nothing here."
    ),
    check!(
        "callback",
        registered_during_an_outage_fires_at_its_end,
        [H3],
        [Health, Faults],
        "A callback registered while cut off fires when the outage ends, once."
    ),
    check!(
        "callback",
        fires_when_topics_are_live,
        [H3, H5],
        [Health, Faults],
        "What another instance publishes from inside the callback arrives, on every topic."
    ),
    check!(
        "callback",
        finds_the_instance_healthy,
        [H3, H2],
        [Health, Faults],
        "Inside the callback, is_healthy is true and publishing is Ok."
    ),
    check!(
        "callback",
        may_call_back_into_the_backend,
        [H4],
        [Health, Faults],
        "A callback may publish, subscribe, unsubscribe, and ask for health and counters."
    ),
    check!(
        "callback",
        may_register_another,
        [H4, H3],
        [Health, Faults],
        "A callback may register another one, which fires after the next outage."
    ),
    check!(
        "callback",
        may_close_the_backend,
        [H4, C1],
        [Health, Faults],
        "A callback may close the instance."
    ),
    check!(
        "callback",
        a_panic_in_one_harms_nothing,
        [H4],
        [Health, Faults],
        "A panicking callback harms neither the other callbacks nor the backend."
    ),
    check!(
        "callback",
        is_released_on_close,
        [H3, C1],
        [Health],
        "Callbacks, and what they own, are released when the instance closes."
    ),
];

/// One outage of B, noticed at its beginning and its end; then waits for `count` calls in all.
async fn outage(bench: &Bench, b: &Instance, calls: &Notes, count: usize) -> Verified {
    b.cut().await?;
    b.restore().await?;
    bench
        .until(format!("{count} calls of callbacks in all"), || calls.len() >= count)
        .await
        .map_err(|failure| Failure { seen: format!("{:?}", calls.all()), ..failure })
}

fn exactly(calls: &Notes, expected: &[&str], when: &str) -> Verified {
    let seen = calls.all();
    ensure(seen == expected, format!("calls {expected:?} {when}"), format!("{seen:?}"))
}

fn note(b: &Instance, calls: &Notes, name: &str) -> Verified {
    let (calls, name) = (calls.clone(), name.to_owned());
    b.on_reconnect(move || calls.add(name.as_str()))
}

async fn fires_once_per_outage(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let calls = Notes::default();
    note(&b, &calls, "called")?;
    for count in 1..=4 {
        outage(&bench, &b, &calls, count).await?;
        exactly(&calls, &vec!["called"; count], &format!("after {count} outages"))?;
    }
    Ok(())
}

async fn every_one_fires_in_order(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let calls = Notes::default();
    let names = ["first", "second", "third", "fourth"];
    for name in names {
        note(&b, &calls, name)?;
    }
    for count in 1..=3 {
        outage(&bench, &b, &calls, names.len() * count).await?;
        exactly(&calls, &names.repeat(count), &format!("after {count} outages"))?;
    }
    Ok(())
}

async fn does_not_fire_on_registration(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let calls = Notes::default();
    note(&b, &calls, "called")?;
    exactly(&calls, &[], "on registration")?;
    let mut reader = b.subscribe("news").await?;
    a.publish("news", "hello").await?;
    reader.expect("hello").await?;
    exactly(&calls, &[], "on first use")?;
    drop(reader);
    outage(&bench, &b, &calls, 1).await?;
    exactly(&calls, &["called"], "after the first outage")
}

async fn does_not_fire_from_healthy_to_healthy(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let calls = Notes::default();
    note(&b, &calls, "called")?;
    for _ in 0..3 {
        b.restore().await?;
    }
    outage(&bench, &b, &calls, 1).await?;
    exactly(&calls, &["called"], "after an outage, and restores of what was not cut")?;
    for _ in 0..3 {
        b.restore().await?;
    }
    outage(&bench, &b, &calls, 2).await?;
    exactly(&calls, &["called", "called"], "after two outages")
}

async fn does_not_fire_when_the_outage_begins(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let calls = Notes::default();
    note(&b, &calls, "called")?;
    b.cut().await?;
    b.cut().await.because("cutting twice is one outage")?;
    a.publish("news", "during the outage").await?;
    at_c.expect("during the outage").await?;
    exactly(&calls, &[], "while it is cut off")?;
    b.restore().await?;
    bench.until("a call of the callback", || calls.len() > 0).await?;
    outage(&bench, &b, &calls, 2).await?;
    exactly(&calls, &["called", "called"], "after two outages")
}

async fn does_not_fire_after_close(bench: Bench) -> Verified {
    let [_a, b, c] = bench.cluster().await?;
    let (calls, sentinel) = (Notes::default(), Notes::default());
    note(&b, &calls, "called though closed")?;
    note(&c, &sentinel, "called")?;
    b.cut().await?;
    b.close().await?;
    note(&b, &calls, "registered after close")?;
    for count in 1..=3 {
        b.restore_unnoticed().await?;
        outage(&bench, &c, &sentinel, count).await?;
        exactly(&calls, &[], "on a closed instance")?;
        b.cut_unnoticed().await?;
    }
    Ok(())
}

async fn does_not_fire_for_others_outages(bench: Bench) -> Verified {
    let [_a, b, c] = bench.cluster().await?;
    let calls = Notes::default();
    note(&b, &calls, "B")?;
    note(&c, &calls, "C")?;
    outage(&bench, &c, &calls, 1).await?;
    outage(&bench, &b, &calls, 2).await?;
    outage(&bench, &c, &calls, 3).await?;
    exactly(&calls, &["C", "B", "C"], "after outages of C, B and C")
}

async fn registered_during_an_outage_fires_at_its_end(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let calls = Notes::default();
    b.cut().await?;
    note(&b, &calls, "called")?;
    exactly(&calls, &[], "on registration")?;
    b.restore().await?;
    bench.until("a call of the callback", || calls.len() > 0).await?;
    outage(&bench, &b, &calls, 2).await?;
    exactly(&calls, &["called", "called"], "after two outages")
}

/// Starts an operation inside a callback, where nothing can be awaited: it is polled once there,
/// so that a backend that works at once is used at once, and goes on as a task if it is not ready.
pub(super) fn start<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    operation: impl Future<Output = T> + Send + 'static,
    done: mpsc::UnboundedSender<T>,
) {
    let _entered = runtime.enter();
    let mut operation = Box::pin(operation);
    match poll_once(operation.as_mut(), Waker::noop()) {
        Some(value) => drop(done.send(value)),
        None => drop(runtime.spawn(async move { done.send(operation.await) })),
    }
}

async fn fires_when_topics_are_live(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for topic in ["north", "south", "east", "west"] {
        readers.push(b.subscribe(topic).await?);
    }
    let (done, mut published) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    let publisher = Arc::clone(a.backend());
    let topics: Vec<String> = readers.iter().map(|reader| reader.topic()).collect();
    b.on_reconnect(move || {
        for topic in &topics {
            let publisher = Arc::clone(&publisher);
            let envelope = MessageEnvelope::new(topic.as_str(), "from inside the callback");
            start(&runtime, async move { publisher.publish(envelope).await }, done.clone());
        }
    })?;
    b.cut().await?;
    b.restore().await?;
    for _ in 0..readers.len() {
        let result = bench.within("A's publish in B's callback", published.recv()).await?;
        ensure(
            matches!(result, Some(Ok(()))),
            "A publishes while B's callback runs: Ok",
            format!("{result:?}"),
        )?;
    }
    for reader in &mut readers {
        reader
            .expect_past_gaps("from inside the callback")
            .await
            .because("when a callback fires, every topic is live again")?;
    }
    Ok(())
}

async fn finds_the_instance_healthy(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    let calls = Notes::default();
    let (done, mut published) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    let (backend, notes) = (Arc::downgrade(b.backend()), calls.clone());
    b.on_reconnect(move || {
        let Some(backend) = backend.upgrade() else { return };
        let healthy = backend.as_health_aware().is_some_and(|health| health.is_healthy());
        notes.add(format!("healthy: {healthy}"));
        let envelope = MessageEnvelope::new("news", "from B's callback");
        start(&runtime, async move { backend.publish(envelope).await }, done.clone());
    })?;
    outage(&bench, &b, &calls, 1).await?;
    exactly(&calls, &["healthy: true"], "inside the callback")?;
    let result = bench.within("B's publish in its callback", published.recv()).await?;
    ensure(
        matches!(result, Some(Ok(()))),
        "B publishes in its own callback: Ok",
        format!("{result:?}"),
    )?;
    at_a.expect("from B's callback").await.because("B is healthy when its callback fires")
}

async fn may_call_back_into_the_backend(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("answers").await?;
    let mut ended = b.subscribe("old").await?;
    let calls = Notes::default();
    let (done, mut subscribed) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    let (backend, notes) = (Arc::downgrade(b.backend()), calls.clone());
    b.on_reconnect(move || {
        let Some(backend) = backend.upgrade() else { return };
        let _ = backend.as_health_aware().map(|health| health.is_healthy());
        let _ = backend.as_observable().map(|observable| observable.stats());
        let operations = async move {
            backend.unsubscribe("old").await?;
            backend.publish(MessageEnvelope::new("answers", "from the callback")).await?;
            backend.subscribe("new").await
        };
        start(&runtime, operations, done.clone());
        notes.add("called");
    })?;
    outage(&bench, &b, &calls, 1).await?;
    at_a.expect("from the callback").await?;
    let what = "the subscribe in B's callback";
    let result = bench.within(what, subscribed.recv()).await?;
    let subscription = match result {
        Some(Ok(subscription)) => subscription,
        other => {
            let seen = format!("{:?}", other.map(|result| result.map(drop)));
            return Err(Failure::new(format!("{what}: Ok"), seen));
        }
    };
    let mut reader = b.reader("new", subscription);
    a.publish("new", "heard").await?;
    reader.expect("heard").await.because("subscribe had returned in the callback")?;
    let events = ended.read_to_end().await?;
    ensure(
        events.iter().all(|event| matches!(event, backend_core::Event::Gap(_))),
        "the stream that was unsubscribed in the callback ends",
        format!("{events:?}"),
    )
}

async fn may_register_another(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let calls = Notes::default();
    let registered = AtomicBool::new(false);
    let (backend, notes) = (Arc::downgrade(b.backend()), calls.clone());
    b.on_reconnect(move || {
        notes.add("first");
        let Some(backend) = backend.upgrade() else { return };
        let health = backend.as_health_aware();
        if let (Some(health), false) = (health, registered.swap(true, Ordering::AcqRel)) {
            let notes = notes.clone();
            health.on_reconnect(Box::new(move || notes.add("second")));
        }
    })?;
    outage(&bench, &b, &calls, 1).await?;
    // Whether the new one fires in the outage that it was registered in is left open.
    let after_one = calls.len();
    outage(&bench, &b, &calls, after_one + 2).await?;
    let all = calls.all();
    ensure(
        all[after_one..] == ["first", "second"],
        "calls [\"first\", \"second\"] after the second outage",
        format!("{all:?}"),
    )
}

async fn may_close_the_backend(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    let mut reader = b.subscribe("news").await?;
    let calls = Notes::default();
    let (done, mut closed) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    let (backend, notes) = (Arc::downgrade(b.backend()), calls.clone());
    b.on_reconnect(move || {
        let Some(backend) = backend.upgrade() else { return };
        start(&runtime, async move { backend.close().await }, done.clone());
        notes.add("called");
    })?;
    b.cut().await?;
    b.restore_unnoticed().await?;
    let result = bench.within("B's close in its callback", closed.recv()).await?;
    ensure(matches!(result, Some(Ok(()))), "B closes in its callback: Ok", format!("{result:?}"))?;
    reader.read_to_end().await.of(Clause::C1)?;
    b.expect_healthy(false, "after close in a callback")?;
    a.publish("news", "goes on").await?;
    at_c.expect("goes on").await.of(Clause::C3)
}

async fn a_panic_in_one_harms_nothing(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let calls = Notes::default();
    note(&b, &calls, "before")?;
    b.on_reconnect(|| panic!("{DELIBERATE}"))?;
    note(&b, &calls, "after")?;
    let mut at_a = a.subscribe("news").await?;
    for count in 1..=2 {
        outage(&bench, &b, &calls, count * 2).await.because("the one between them panics")?;
        exactly(&calls, &["before", "after"].repeat(count), "around one that panics")?;
        b.expect_healthy(true, "after a callback panicked")?;
        let mut at_b = b.subscribe("news").await?;
        a.publish("news", "to B").await?;
        at_b.expect("to B").await?;
        b.publish("news", "from B").await?;
        at_a.expect("from B").await?;
    }
    Ok(())
}

async fn is_released_on_close(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    let owned = Arc::new(());
    let held = Arc::clone(&owned);
    b.on_reconnect(move || drop(Arc::clone(&held)))?;
    b.close().await?;
    bench
        .until("the closed instance has released its callback", || Arc::strong_count(&owned) == 1)
        .await
}
