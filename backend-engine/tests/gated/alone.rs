//! What a publisher hands over by itself, where the engine answers.

use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope, Result};
use backend_engine::{EngineBackend, Options};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, poll};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::engine::{Answering, Connection};

const PATIENCE: Duration = Duration::from_secs(20);

/// Opens a gate for all that a test sends.
const ALL: usize = 1_000;

struct Test {
    instance: Arc<EngineBackend<Answering>>,
    connection: Arc<Connection>,
}

impl Test {
    /// The next ping comes in an hour. Nothing is answered before the test says so.
    async fn begin() -> Self {
        let (engine, mut options) = (Answering::default(), Options::default());
        options.ping_interval = Duration::from_secs(3_600);
        options.backoff = (Duration::from_millis(1), Duration::from_millis(5));
        let instance = EngineBackend::connect(engine.clone(), options).await.expect("it connects");
        let connection = engine.connection(0);
        // One that shows that it works, and the first one that looks after it.
        connection.ping.have_arrived(2).await;
        connection.publish.shut();
        Self { instance: Arc::new(instance), connection }
    }

    fn publish(&self, data: &str) -> BoxFuture<'_, Result<()>> {
        self.instance.publish(MessageEnvelope::new("orders", data.to_owned()))
    }

    /// Publishes, and is not polled again.
    async fn begun(&self, data: &str) -> BoxFuture<'_, Result<()>> {
        let mut publish = self.publish(data);
        assert!(poll!(&mut publish).is_pending(), "it is not answered yet");
        publish
    }

    fn answer_all(&self) {
        self.connection.publish.let_through(ALL);
    }

    /// The numbers and data of all that was handed over, once nothing is on its way.
    async fn published(&self) -> Vec<(u64, String)> {
        timeout(PATIENCE, self.connection.inbox.published()).await.expect("it is handed over");
        let frames = self.connection.published().into_iter().flatten();
        let data = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        frames.map(|one| (one.stamp.unwrap().sequence, data(one.envelope.data()))).collect()
    }
}

fn numbered(data: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(data.iter().map(|&data| data.to_owned())).collect()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it ends")
}

#[tokio::test]
async fn who_is_alone_waits_for_no_task() {
    let test = Test::begin().await;
    let publish = test.begun("first").await;
    // On this thread no task has had a turn.
    assert_eq!(test.connection.publish.arrived(), 1);
    test.answer_all();
    in_time(publish).await.unwrap();
    test.publish("second").now_or_never().expect("it is answered at once").unwrap();
    assert_eq!(test.published().await, numbered(&["first", "second"]));
}

#[tokio::test]
async fn who_is_not_polled_holds_up_nobody() {
    let test = Test::begin().await;
    let first = test.begun("first").await;
    let second = test.begun("second").await;
    test.answer_all();
    in_time(second).await.unwrap();
    in_time(test.publish("third")).await.unwrap();
    assert_eq!(test.published().await, numbered(&["first", "second", "third"]));
    in_time(first).await.unwrap();
}

#[tokio::test]
async fn who_was_overtaken_is_answered_all_the_same() {
    let test = Test::begin().await;
    let (first, second) = (test.begun("first").await, test.begun("second").await);
    let answer = async {
        tokio::task::yield_now().await;
        test.answer_all();
    };
    let (first, second, ()) = in_time(async { tokio::join!(first, second, answer) }).await;
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
}

#[tokio::test]
async fn who_goes_half_way_has_published() {
    let test = Test::begin().await;
    drop(test.begun("first").await);
    test.answer_all();
    // Without anything that comes behind it.
    let is_handed_over = async {
        while test.connection.published().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    in_time(is_handed_over).await;
    in_time(test.publish("second")).await.unwrap();
    assert_eq!(test.published().await, numbered(&["first", "second"]));
}

#[tokio::test]
async fn what_is_refused_leaves_no_gap() {
    let test = Test::begin().await;
    test.connection.refuses.store(true, Relaxed);
    let refused = test.begun("refused").await;
    test.answer_all();
    let refused = in_time(refused).await;
    assert!(matches!(refused, Err(Error::Backend(_))), "{refused:?}");

    // Also where its publisher has gone.
    test.connection.publish.shut();
    drop(test.begun("refused, too").await);
    test.answer_all();
    assert!(test.published().await.is_empty());
    test.connection.refuses.store(false, Relaxed);
    in_time(test.publish("taken")).await.unwrap();
    assert_eq!(test.published().await, numbered(&["taken"]));
}

#[tokio::test]
async fn what_a_lost_connection_does_not_answer_is_unconfirmed() {
    let test = Test::begin().await;
    let publish = test.begun("first").await;
    test.connection.lose();
    let result = in_time(publish).await;
    assert!(matches!(result, Err(Error::Unconfirmed(_))), "{result:?}");
}

#[tokio::test]
async fn who_is_not_polled_holds_no_lost_connection() {
    let test = Test::begin().await;
    let publish = test.begun("first").await;
    test.connection.lose();
    test.connection.is_let_go().await;
    let result = in_time(publish).await;
    assert!(matches!(result, Err(Error::Unconfirmed(_))), "{result:?}");
}

#[test]
fn who_outlives_the_runtime_of_the_instance_is_told() {
    let (its, own) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let test = its.block_on(Test::begin());
    let publish = own.block_on(test.begun("first"));
    its.shutdown_background();
    let result = own.block_on(in_time(publish));
    assert!(matches!(result, Err(Error::Unconfirmed(_))), "{result:?}");
}

/// The writer fails, and somebody publishes before the supervisor has seen it.
#[tokio::test]
async fn who_begins_behind_a_writer_that_has_failed_holds_no_connection() {
    let test = Test::begin().await;
    test.connection.panics.store(true, Relaxed);
    test.answer_all();
    let (instance, connection) = (Arc::clone(&test.instance), Arc::clone(&test.connection));
    let publisher = async move {
        let publish =
            |data: &str| instance.publish(MessageEnvelope::new("orders", data.to_owned()));
        let failed = publish("first").await;
        assert!(matches!(failed, Err(Error::Unconfirmed(_))), "{failed:?}");
        connection.panics.store(false, Relaxed);
        connection.publish.shut();
        let _ = publish("second").now_or_never();
    };
    // In a task, which is woken before the supervisor.
    in_time(tokio::spawn(publisher)).await.unwrap();
    test.connection.is_let_go().await;
}

#[tokio::test]
async fn an_adapter_that_panics_has_lost_its_connection() {
    let test = Test::begin().await;
    let again = Arc::new(Notify::new());
    let notify = Arc::clone(&again);
    test.instance.on_reconnect(Box::new(move || notify.notify_one()));
    test.connection.panics.store(true, Relaxed);
    test.answer_all();
    let result = in_time(test.publish("first")).await;
    assert!(matches!(result, Err(Error::Unconfirmed(_))), "{result:?}");
    in_time(again.notified()).await;
    in_time(test.publish("second")).await.expect("it goes on");
}

#[tokio::test]
async fn an_adapter_that_says_nothing_leaves_it_unconfirmed() {
    let test = Test::begin().await;
    test.connection.forgets.store(true, Relaxed);
    test.answer_all();
    let result = in_time(test.publish("first")).await;
    assert!(matches!(result, Err(Error::Unconfirmed(_))), "{result:?}");
}

/// A publisher's waker that publishes, and then panics.
struct PublishesAndPanics(Weak<EngineBackend<Answering>>);

impl Wake for PublishesAndPanics {
    fn wake(self: Arc<Self>) {
        let instance = self.0.upgrade().expect("the test holds it");
        let _ = instance.publish(MessageEnvelope::new("orders", "woken")).now_or_never();
        panic!("the publisher's own panic");
    }
}

#[tokio::test]
async fn a_waker_harms_nobody_who_answers() {
    let test = Test::begin().await;
    let mut first = test.publish("first");
    let waker = Waker::from(Arc::new(PublishesAndPanics(Arc::downgrade(&test.instance))));
    assert!(first.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    // Here the engine's client wakes it.
    test.answer_all();
    in_time(test.publish("third")).await.unwrap();
    in_time(first).await.unwrap();
    let published = test.published().await;
    assert!(published.starts_with(&numbered(&["first", "woken", "third"])), "{published:?}");
}

#[tokio::test]
async fn closing_waits_for_the_answer() {
    let test = Test::begin().await;
    let (mut publish, mut closing) = (test.begun("first").await, test.instance.close());
    assert!(poll!(&mut closing).is_pending());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(poll!(&mut publish).is_pending() && poll!(&mut closing).is_pending());
    test.answer_all();
    in_time(closing).await.unwrap();
    in_time(publish).await.unwrap();
    // And its tally.
    assert_eq!(test.connection.published().len(), 2);
}

/// A waker that waits until somebody else has published.
struct WaitsForAnother(Weak<EngineBackend<Answering>>, Handle, AtomicBool);

impl Wake for WaitsForAnother {
    fn wake(self: Arc<Self>) {
        if self.2.swap(true, Relaxed) {
            return;
        }
        let instance = self.0.upgrade().expect("the test holds it");
        let (done, is_done) = mpsc::channel();
        self.1.spawn(async move {
            done.send(instance.publish(MessageEnvelope::new("orders", "another")).await)
        });
        is_done.recv_timeout(PATIENCE).expect("no lock is held").unwrap();
    }
}

#[test]
fn who_polls_is_woken_with_no_lock_held() {
    let runtime = Runtime::new().unwrap();
    let test = runtime.block_on(Test::begin());
    test.connection.wakes.store(true, Relaxed);
    test.answer_all();
    let (instance, handle) = (Arc::downgrade(&test.instance), runtime.handle().clone());
    let waits = Arc::new(WaitsForAnother(instance, handle, AtomicBool::new(false)));
    let _entered = runtime.enter();
    let mut publish = test.publish("first");
    let waker = Waker::from(Arc::clone(&waits));
    assert!(publish.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    assert!(waits.2.load(Relaxed), "it is to poll again");
    runtime.block_on(in_time(publish)).unwrap();
}

/// A waker that panics when it is dropped.
struct PanicsWhenDropped;

impl Wake for PanicsWhenDropped {
    fn wake(self: Arc<Self>) {
        mem::forget(self);
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("the publisher's own panic");
    }
}

#[tokio::test]
async fn who_goes_with_a_panic_has_published() {
    let test = Test::begin().await;
    let mut publish = test.publish("first");
    let waker = ManuallyDrop::new(Waker::from(Arc::new(PanicsWhenDropped)));
    assert!(publish.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    // Now the publisher's are the last two.
    drop(ManuallyDrop::into_inner(waker));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(publish))).is_err());
    test.answer_all();
    assert_eq!(test.published().await, numbered(&["first"]));
}
