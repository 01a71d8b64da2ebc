//! `Subscription` over a source that has several messages at once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use backend_core::{Event, Gap, MessageEnvelope, Ready, Source, Subscription, TryRecvError};
use bytes::Bytes;
use futures_util::stream::FusedStream;
use futures_util::{Stream, StreamExt};

/// Gives out its batches one after the other, and then ends. A batch is an event and what comes
/// right behind it.
struct Batches {
    left: VecDeque<(Event, Vec<MessageEnvelope>)>,
    log: Log,
}

type Log = Arc<Mutex<Vec<&'static str>>>;

impl Source for Batches {
    fn poll_events(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        behind: &mut Ready,
    ) -> Poll<Option<Event>> {
        assert!(behind.is_empty(), "asked before all was handed out");
        self.log.lock().unwrap().push("asked");
        let Some((event, messages)) = self.left.pop_front() else { return Poll::Ready(None) };
        behind.fill(|ready| ready.extend(messages));
        Poll::Ready(Some(event))
    }

    fn remaining(&self) -> (usize, Option<usize>) {
        let left = self.left.iter().map(|(_, behind)| 1 + behind.len()).sum();
        (left, Some(left))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.log.lock().unwrap().push("source dropped");
    }
}

/// Tells when it is dropped.
struct Payload(Log);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        b"payload"
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("payload dropped");
    }
}

fn message(data: &'static str) -> MessageEnvelope {
    MessageEnvelope::new("t", data)
}

fn batches(left: impl Into<VecDeque<(Event, Vec<MessageEnvelope>)>>) -> (Subscription, Log) {
    let log = Log::default();
    let source = Batches { left: left.into(), log: Arc::clone(&log) };
    (Subscription::from_source("t", source), log)
}

#[tokio::test]
async fn every_way_of_reading_takes_what_is_in_hand_before_it_asks_again() {
    let (mut subscription, log) = batches([
        (Event::Message(message("1")), vec![message("2"), message("3"), message("4")]),
        (Event::Gap(Gap::lagged(1)), vec![message("6")]),
        (Event::Message(message("7")), vec![]),
    ]);
    let data = |data| Some(Event::Message(message(data)));
    assert_eq!(subscription.recv().await, data("1"));
    assert_eq!(subscription.try_recv().ok(), data("2"));
    assert_eq!(subscription.next().await, data("3"));
    assert_eq!(log.lock().unwrap().len(), 1);
    let mut messages = subscription.messages();
    assert_eq!(messages.recv().await, Some(message("4")));
    assert_eq!(messages.recv().await, Some(message("6")));
    assert_eq!((messages.gaps(), messages.missed()), (1, 1));
    let mut subscription = messages.into_inner();
    assert_eq!(subscription.recv().await, data("7"));
    assert_eq!(*log.lock().unwrap(), ["asked"; 3]);
    assert_eq!(subscription.recv().await, None);
    assert_eq!(*log.lock().unwrap(), ["asked", "asked", "asked", "asked", "source dropped"]);
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn what_is_in_hand_counts_as_left() {
    let (mut subscription, _) =
        batches([(Event::Message(message("1")), vec![message("2"), message("3")])]);
    for left in [3, 2, 1] {
        assert_eq!(Stream::size_hint(&subscription), (left, Some(left)));
        assert!(subscription.try_recv().is_ok() && !subscription.is_terminated());
    }
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    assert!(subscription.is_terminated());
    assert_eq!(Stream::size_hint(&subscription), (0, Some(0)));
}

#[test]
fn a_drop_releases_the_source_before_what_is_in_hand() {
    let log = Log::default();
    let payload = MessageEnvelope::new("t", Bytes::from_owner(Payload(Arc::clone(&log))));
    let source = Batches {
        left: [(Event::Message(message("1")), vec![payload])].into(),
        log: Arc::clone(&log),
    };
    let mut subscription = Subscription::from_source("t", source);
    assert!(subscription.try_recv().is_ok());
    drop(subscription);
    assert_eq!(*log.lock().unwrap(), ["asked", "source dropped", "payload dropped"]);
}
