//! What leaves an instance when, and together with what.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use backend_core::{Backend, Error, MessageEnvelope, Result};
use backend_engine::wire::{Format, Frame};
use backend_engine::{EngineBackend, Options};
use futures_util::{FutureExt, poll};
use tokio::time::timeout;

use crate::engine::{Connection, Engine};

const PATIENCE: Duration = Duration::from_secs(20);

/// Opens a gate for all that a test sends.
const ALL: usize = 100_000;

/// The topics that the engine is known to take.
const GRANTED: [&str; 2] = ["orders", "prices"];

struct Test {
    instance: EngineBackend<Engine>,
    connection: Arc<Connection>,
}

impl Test {
    /// The next ping comes in an hour, so that no tally is published.
    async fn begin(format: Format) -> Self {
        let (engine, mut options) = (Engine::default(), Options::default());
        options.ping_interval = Duration::from_secs(3_600);
        options.format = format;
        let instance = EngineBackend::connect(engine.clone(), options).await.expect("it connects");
        let connection = engine.connection(0);
        // One that shows that it works, and the first one that looks after it.
        connection.ping.have_arrived(2).await;
        for topic in GRANTED {
            connection.grant(&format!("tavern.{topic}"));
        }
        Self { instance, connection }
    }

    fn publish(&self, topic: &str, data: usize) -> impl Future<Output = Result<()>> {
        self.instance.publish(MessageEnvelope::new(topic, data.to_string()))
    }

    /// Publishes without waiting, or not at all.
    fn publish_now(&self, topic: &str, data: usize) -> bool {
        match self.publish(topic, data).now_or_never() {
            Some(result) => {
                result.expect("it is taken");
                true
            }
            None => false,
        }
    }

    /// What has been handed over but tallies: each message's topic, and the data of its frames.
    fn published(&self) -> Vec<(String, Vec<String>)> {
        let data = |frame: &Frame| String::from_utf8_lossy(frame.envelope.data()).into_owned();
        let message = |frames: Vec<Frame>| {
            (frames[0].envelope.topic().to_owned(), frames.iter().map(data).collect())
        };
        let published = self.connection.published().into_iter();
        published.filter(|frames| !frames[0].is_tally).map(message).collect()
    }

    /// The numbers of all that has been handed over.
    fn numbers(&self) -> Vec<u64> {
        let number = |frame: Frame| frame.stamp.expect("it has one").sequence;
        self.connection.published().into_iter().flatten().map(number).collect()
    }

    /// Waits until the instance has nothing to hand over any more.
    async fn is_written(&self) {
        timeout(PATIENCE, self.connection.inbox.published()).await.expect("it is handed over");
    }
}

fn messages(expected: &[(&str, &[usize])]) -> Vec<(String, Vec<String>)> {
    let message = |(topic, data): &(&str, &[usize])| {
        ((*topic).to_owned(), data.iter().map(usize::to_string).collect())
    };
    expected.iter().map(message).collect()
}

#[tokio::test]
async fn what_waits_for_its_turn_leaves_together() {
    let test = Test::begin(Format::Binary).await;
    for (topic, data) in [("orders", 1), ("orders", 2), ("prices", 3), ("orders", 4)] {
        assert!(test.publish_now(topic, data));
    }
    assert!(test.published().is_empty());
    test.is_written().await;
    let expected = messages(&[("orders", &[1, 2]), ("prices", &[3]), ("orders", &[4])]);
    assert_eq!(test.published(), expected);
    assert_eq!(test.numbers(), [1, 2, 1, 3]);
}

#[tokio::test]
async fn json_leaves_one_by_one() {
    let test = Test::begin(Format::Json).await;
    assert!(test.publish_now("orders", 1) && test.publish_now("orders", 2));
    test.is_written().await;
    assert_eq!(test.published(), messages(&[("orders", &[1]), ("orders", &[2])]));
}

#[tokio::test]
async fn an_idle_client_is_given_it_at_once_unless_something_is_before_it() {
    let test = Test::begin(Format::Binary).await;
    test.connection.is_idle.store(true, Relaxed);
    assert!(test.publish_now("orders", 1));
    assert_eq!(test.published(), messages(&[("orders", &[1])]));
    assert_eq!(test.connection.publish.arrived(), 0, "it went through the task");

    // In the hands of the task.
    test.connection.publish.shut();
    test.connection.is_idle.store(false, Relaxed);
    assert!(test.publish_now("orders", 2));
    test.connection.publish.have_arrived(1).await;
    test.connection.is_idle.store(true, Relaxed);
    assert!(test.publish_now("orders", 3), "there is room");
    assert_eq!(test.published(), messages(&[("orders", &[1])]));

    test.connection.publish.let_through(ALL);
    test.is_written().await;
    let three = messages(&[("orders", &[1]), ("orders", &[2]), ("orders", &[3])]);
    assert_eq!(test.published(), three);
    let by_the_task = test.connection.publish.arrived();
    assert!(test.publish_now("orders", 4));
    assert_eq!((test.published().len(), test.connection.publish.arrived()), (4, by_the_task));
}

#[tokio::test]
async fn nothing_overtakes_what_waits_for_an_answer() {
    let test = Test::begin(Format::Binary).await;
    test.connection.publish.shut();
    assert!(test.publish_now("orders", 1));
    let mut asked = test.publish("news", 2).boxed();
    assert!(poll!(&mut asked).is_pending(), "nobody knows whether the engine takes news");
    let mut behind = test.publish("orders", 3).boxed();
    assert!(poll!(&mut behind).is_pending(), "what is before it waits");
    let mut published = test.connection.inbox.published().boxed();
    assert!(poll!(&mut published).is_pending(), "nothing is handed over");

    test.connection.publish.let_through(ALL);
    asked.await.unwrap();
    behind.await.unwrap();
    assert_eq!(test.published(), messages(&[("orders", &[1]), ("news", &[2]), ("orders", &[3])]));
}

#[tokio::test]
async fn what_waits_is_bounded_and_then_publishers_wait() {
    let test = Test::begin(Format::Binary).await;
    test.connection.publish.shut();
    let mut taken = 0;
    while test.publish_now("orders", taken) {
        taken += 1;
        assert!(taken < ALL, "nothing bounds it");
        // Not for want of a turn.
        tokio::task::yield_now().await;
    }
    // Given up after it was queued, the last one is published, too.
    test.connection.publish.let_through(ALL);
    test.is_written().await;
    let published: Vec<_> = test.published().into_iter().flat_map(|(_, data)| data).collect();
    let expected: Vec<_> = (0..published.len()).map(|number| number.to_string()).collect();
    assert_eq!(published, expected);
    assert_eq!(published.len(), taken + 1);
}

#[tokio::test]
async fn closing_hands_over_what_was_ok() {
    let test = Test::begin(Format::Binary).await;
    test.connection.publish.shut();
    assert!(test.publish_now("orders", 1));
    let mut closing = test.instance.close();
    assert!(poll!(&mut closing).is_pending());
    test.connection.publish.have_arrived(1).await;
    assert!(matches!(test.publish("orders", 2).await, Err(Error::Closed)));
    // Others may ask during that what was published before.
    let mut asked = test.connection.inbox.published().boxed();
    assert!(poll!(&mut asked).is_pending(), "it is not handed over yet");

    test.connection.publish.let_through(ALL);
    timeout(PATIENCE, asked).await.expect("it is handed over");
    assert_eq!(test.published(), messages(&[("orders", &[1])]));
    closing.await.unwrap();
}

#[tokio::test]
async fn what_was_called_published_and_is_refused_keeps_its_number() {
    let test = Test::begin(Format::Binary).await;
    test.connection.refuses.store(true, Relaxed);
    assert!(test.publish_now("orders", 1) && test.publish_now("orders", 2));
    test.is_written().await;
    test.connection.refuses.store(false, Relaxed);
    assert!(test.publish_now("orders", 3));
    test.is_written().await;
    assert_eq!(test.numbers(), [3], "two are missing, and told so");
}

#[tokio::test]
async fn who_waits_for_an_answer_is_told_of_a_refusal_and_nobody_misses_anything() {
    let test = Test::begin(Format::Binary).await;
    test.connection.refuses.store(true, Relaxed);
    // All of them in one message.
    let refused = futures_util::future::join_all((1..=3).map(|data| test.publish("news", data)));
    for result in refused.await {
        assert!(matches!(result, Err(Error::Backend(_))), "{result:?}");
    }
    test.connection.refuses.store(false, Relaxed);
    test.publish("news", 4).await.unwrap();
    assert_eq!(test.numbers(), [1]);
}
