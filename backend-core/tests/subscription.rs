//! `Subscription` and `Messages` over streams made by hand.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use backend_core::{Event, Gap, GapCause, MessageEnvelope, Messages, Subscription, TryRecvError};
use futures_util::stream::{self, FusedStream};
use futures_util::{FutureExt, Stream, StreamExt};

const _: () = {
    const fn is_stream<T: Stream<Item = I> + FusedStream + Send + Unpin + 'static, I>() {}
    const fn is_debug<T: std::fmt::Debug>() {}
    const fn is_send<T: Send>(_: &T) {}

    is_stream::<Subscription, Event>();
    is_stream::<Messages, MessageEnvelope>();
    is_debug::<Subscription>();
    is_debug::<Messages>();

    #[allow(dead_code, reason = "it only has to compile")]
    fn the_futures_are_send(subscription: &mut Subscription, messages: &mut Messages) {
        is_send(&subscription.recv());
        is_send(&messages.recv());
    }
};

/// The feeding end of a stream. The stream holds no event back, refuses to be polled after its end,
/// and tells whether it still exists.
#[derive(Clone, Default)]
struct Feed(Arc<Mutex<Fed>>);

#[derive(Default)]
struct Fed {
    events: VecDeque<Event>,
    ended: bool,
    end_seen: bool,
    dropped: bool,
    polls: usize,
    waker: Option<Waker>,
}

struct FedStream(Feed);

impl Feed {
    fn subscription(&self) -> Subscription {
        Subscription::new("t", FedStream(self.clone()))
    }

    fn send(&self, event: Event) {
        let waker = {
            let mut fed = self.0.lock().unwrap();
            fed.events.push_back(event);
            fed.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn end(&self) {
        let waker = {
            let mut fed = self.0.lock().unwrap();
            fed.ended = true;
            fed.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn is_dropped(&self) -> bool {
        self.0.lock().unwrap().dropped
    }

    fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }
}

impl Stream for FedStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut fed = self.0.0.lock().unwrap();
        assert!(!fed.end_seen, "polled after the end");
        fed.polls += 1;
        if let Some(event) = fed.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if fed.ended {
            fed.end_seen = true;
            return Poll::Ready(None);
        }
        fed.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let fed = self.0.0.lock().unwrap();
        (fed.events.len(), fed.ended.then_some(fed.events.len()))
    }
}

impl Drop for FedStream {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().dropped = true;
    }
}

fn message(data: &'static str) -> Event {
    Event::Message(MessageEnvelope::new("t", data))
}

#[tokio::test]
async fn recv_gives_the_events_in_order_and_then_none() {
    let events =
        [message("1"), Event::Gap(Gap::lagged(2)), message("4"), Event::Gap(Gap::reconnected())];
    let mut subscription = Subscription::new("t", stream::iter(events.clone()));

    assert_eq!(subscription.topic(), "t");
    for event in events {
        assert_eq!(subscription.recv().await, Some(event));
    }
    assert_eq!(subscription.recv().await, None);
    assert_eq!(subscription.topic(), "t");
}

#[test]
fn a_waiting_recv_is_woken_for_an_event_and_for_the_end() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let feed = Feed::default();
    let mut subscription = feed.subscription();
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);

    let mut waiting = Box::pin(subscription.recv());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    feed.send(message("1"));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(Some(message("1"))));
    drop(waiting);

    let mut waiting = Box::pin(subscription.recv());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    feed.end();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(None));
}

#[test]
fn try_recv_tells_nothing_yet_from_the_end() {
    let feed = Feed::default();
    let mut subscription = feed.subscription();

    assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
    feed.send(message("1"));
    feed.send(Event::Gap(Gap::lagged(3)));
    assert_eq!(subscription.try_recv(), Ok(message("1")));
    assert_eq!(subscription.try_recv(), Ok(Event::Gap(Gap::lagged(3))));
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));

    feed.send(message("2"));
    feed.end();
    assert_eq!(subscription.try_recv(), Ok(message("2")), "what was there is handed out first");
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn the_two_refusals_read_as_sentences() {
    assert_eq!(TryRecvError::Empty.to_string(), "no event is there yet");
    assert_eq!(TryRecvError::Closed.to_string(), "the subscription has ended");
}

/// The fed stream panics when it is polled after its end, so that this test can fail.
#[tokio::test]
async fn after_the_end_the_inner_stream_is_gone_and_every_reader_gives_none() {
    let feed = Feed::default();
    let mut subscription = feed.subscription();
    feed.send(message("1"));
    feed.end();

    assert_eq!(subscription.recv().await, Some(message("1")));
    assert!(!subscription.is_terminated(), "the end has not been seen");
    assert!(!feed.is_dropped());

    assert_eq!(subscription.recv().await, None);
    assert!(subscription.is_terminated());
    assert!(feed.is_dropped(), "what the stream held is released at its end");

    assert_eq!(subscription.recv().await, None);
    assert_eq!(subscription.next().await, None);
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(feed.polls(), 2);
}

#[test]
fn dropping_the_subscription_drops_the_stream_at_once() {
    let feed = Feed::default();
    let subscription = feed.subscription();
    assert!(!feed.is_dropped());
    drop(subscription);
    assert!(feed.is_dropped());

    let feed = Feed::default();
    drop(feed.subscription().messages());
    assert!(feed.is_dropped());
}

#[tokio::test]
async fn a_dropped_recv_loses_nothing() {
    let feed = Feed::default();
    let mut subscription = feed.subscription();

    // Dropped before its first poll, and dropped while it waited.
    drop(subscription.recv());
    assert!(subscription.recv().now_or_never().is_none());
    {
        let mut waiting = std::pin::pin!(subscription.recv());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        // It waits while this one comes, and is dropped before it can take it.
        feed.send(message("1"));
    }
    feed.send(message("2"));

    assert_eq!(subscription.recv().await, Some(message("1")));
    drop(subscription.recv());
    assert_eq!(subscription.recv().await, Some(message("2")));

    let mut messages = subscription.messages();
    {
        let mut waiting = std::pin::pin!(messages.recv());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        feed.send(Event::Gap(Gap::lagged(5)));
        // The gap is taken and counted, and then this one waits on.
        assert_eq!(waiting.as_mut().now_or_never(), None);
        feed.send(message("3"));
    }
    assert_eq!(messages.missed(), 5);
    assert_eq!(messages.recv().await.unwrap().data(), "3");
    assert_eq!((messages.gaps(), messages.missed()), (1, 5));
}

#[tokio::test]
async fn it_is_a_stream() {
    let events = [message("1"), message("2"), Event::Gap(Gap::lagged(1))];
    let subscription = Subscription::new("t", stream::iter(events.clone()));
    assert_eq!(subscription.collect::<Vec<_>>().await, events);
}

#[test]
fn the_size_hint_is_that_of_the_stream_and_zero_after_the_end() {
    let feed = Feed::default();
    let mut subscription = feed.subscription();
    assert_eq!(subscription.size_hint(), (0, None));
    feed.send(message("1"));
    feed.send(message("2"));
    assert_eq!(subscription.size_hint(), (2, None));
    feed.end();
    assert_eq!(subscription.size_hint(), (2, Some(2)));

    while subscription.try_recv().is_ok() {}
    assert_eq!(subscription.size_hint(), (0, Some(0)));
}

#[tokio::test]
async fn messages_leaves_out_the_gaps_and_counts_them() {
    let feed = Feed::default();
    for event in [
        Event::Gap(Gap::lagged(3)),
        message("1"),
        Event::Gap(Gap::reconnected()),
        Event::Gap(Gap::new(GapCause::Reconnected, Some(4))),
        message("2"),
        message("3"),
        Event::Gap(Gap::lagged(1)),
    ] {
        feed.send(event);
    }
    feed.end();

    let mut messages = feed.subscription().messages();
    assert_eq!(messages.topic(), "t");
    assert_eq!((messages.gaps(), messages.missed()), (0, 0));
    assert_eq!(messages.recv().await.unwrap().data(), "1");
    assert_eq!((messages.gaps(), messages.missed()), (1, 3));
    assert_eq!(messages.next().await.unwrap().data(), "2");
    assert_eq!((messages.gaps(), messages.missed()), (3, 7));
    assert_eq!(messages.recv().await.unwrap().data(), "3");
    assert!(!messages.is_terminated());

    assert_eq!(messages.recv().await, None);
    assert_eq!((messages.gaps(), messages.missed()), (4, 8), "a gap before the end counts too");
    assert!(messages.is_terminated());
    assert!(feed.is_dropped());
    assert_eq!(messages.next().await, None);
}

#[tokio::test]
async fn a_count_that_would_overflow_stays_at_its_top() {
    let most = Event::Gap(Gap::lagged(u64::MAX));
    let mut messages = Subscription::new("t", stream::iter([most.clone(), most])).messages();
    assert_eq!(messages.recv().await, None);
    assert_eq!((messages.gaps(), messages.missed()), (2, u64::MAX));
}

#[tokio::test]
async fn into_inner_goes_on_where_messages_stood() {
    let feed = Feed::default();
    feed.send(message("1"));
    feed.send(Event::Gap(Gap::lagged(2)));
    let mut messages = feed.subscription().messages();
    assert_eq!(messages.recv().await.unwrap().data(), "1");

    let mut subscription = messages.into_inner();
    assert_eq!(subscription.recv().await, Some(Event::Gap(Gap::lagged(2))));
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn debug_shows_the_topic_and_whether_it_has_ended() {
    let feed = Feed::default();
    let mut subscription = feed.subscription();
    assert_eq!(format!("{subscription:?}"), r#"Subscription { topic: "t", ended: false, .. }"#);
    feed.end();
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(format!("{subscription:?}"), r#"Subscription { topic: "t", ended: true, .. }"#);
}
