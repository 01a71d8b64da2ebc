//! One open event stream: the messages, the gaps and the status of a room, in one order.
//!
//! Three things may happen to a reader at any moment: an event of its subscription, a change of
//! the instance's health, a change of the number of readers. [`RoomEvents::next`] waits for all of
//! them in one `select!`. That loses nothing, because `recv` is cancel-safe (clause X3): a `recv`
//! that is dropped when another branch is ready has taken no event.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse;
use backend_core::{Error, Event, Gap, GapCause, Result, Subscription};
use futures_util::stream::{self, Stream};
use serde_json::json;
use tokio::sync::watch;

use crate::instance::{Instance, is_outage};
use crate::message::Message;
use crate::readers::Reader;
use crate::room::Room;

/// How soon a browser comes back that has lost the server.
const RETRY: Duration = Duration::from_secs(1);

/// How soon a reader who could not subscribe tries again, if nothing tells before that it can.
const AGAIN: Duration = Duration::from_secs(1);

/// What a reader of a room is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoomEvent {
    /// Somebody wrote something.
    Message(Message),
    /// Messages are missing here.
    Gap(Gap),
    /// How the instance is, first of all and after every change.
    Status(Status),
    /// The service shuts down, and this is the last event.
    Bye,
}

/// How the instance is, and what that means to this reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether the instance is on the bus.
    pub(crate) healthy: bool,
    /// How many read this room on this instance.
    pub(crate) readers: usize,
    /// Whether this reader gets messages yet. Not if it came during an outage: it will when the
    /// instance is back on the bus.
    pub(crate) live: bool,
}

/// The events of one room for one reader; dropping it is leaving the room.
#[derive(Debug)]
pub(crate) struct RoomEvents {
    instance: Arc<Instance>,
    room: Room,
    /// `None` while there could be none yet, because the reader came during an outage.
    subscription: Option<Subscription>,
    health: watch::Receiver<bool>,
    reader: Reader,
    /// What the reader was last told.
    told: Option<Status>,
    /// Whether something was left out.
    left_out: bool,
    ended: bool,
}

impl RoomEvents {
    /// Enters a room. Every message posted after this has returned will be among the events
    /// (clause D4), unless the instance is cut off.
    pub(crate) async fn open(instance: &Arc<Instance>, room: Room) -> Result<Self> {
        // Before the attempt: an end of the outage that comes after it is then seen as a change.
        let health = instance.health();
        let subscription = match instance.subscribe(&room).await {
            Ok(subscription) => Some(subscription),
            Err(error) if is_outage(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            reader: instance.join(&room),
            instance: Arc::clone(instance),
            room,
            subscription,
            health,
            told: None,
            left_out: false,
            ended: false,
        })
    }

    /// Waits for the next event; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<RoomEvent> {
        while !self.ended {
            if let Some(status) = self.changed_status() {
                return Some(RoomEvent::Status(status));
            }
            let Some(subscription) = &mut self.subscription else {
                if let Some(last) = self.wait_for_subscription().await {
                    return Some(last);
                }
                continue;
            };
            tokio::select! {
                event = subscription.recv() => match event {
                    Some(Event::Message(envelope)) => match envelope.json() {
                        Ok(message) => return Some(RoomEvent::Message(message)),
                        // Something that is no chat publishes to the same topic.
                        Err(error) => self.leave_out(&error),
                    },
                    Some(Event::Gap(gap)) => return Some(RoomEvent::Gap(gap)),
                    // Kinds of events that later versions may add.
                    Some(_) => {}
                    // Closed. It is never a lost connection.
                    None => return Some(self.end()),
                },
                Ok(()) = self.health.changed() => {}
                Ok(()) = self.reader.count.changed() => {}
            }
        }
        None
    }

    /// Tries to subscribe, and waits for a reason to try again if that fails.
    async fn wait_for_subscription(&mut self) -> Option<RoomEvent> {
        match self.instance.subscribe(&self.room).await {
            Ok(subscription) => self.subscription = Some(subscription),
            Err(error) if is_outage(&error) => {
                tokio::select! {
                    Ok(()) = self.health.changed() => {}
                    Ok(()) = self.reader.count.changed() => {}
                    // No change tells of the end of an outage that was too short to be noticed.
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
            // Closed, or broken in a way that waiting does not mend. A browser asks again.
            Err(_) => return Some(self.end()),
        }
        None
    }

    /// The status, if it is another than the one that the reader was told.
    fn changed_status(&mut self) -> Option<Status> {
        let status = Status {
            healthy: *self.health.borrow_and_update(),
            readers: *self.reader.count.borrow_and_update(),
            live: self.subscription.is_some(),
        };
        (self.told.replace(status) != Some(status)).then_some(status)
    }

    /// Who may publish to the topic can do so as often as they like: only the first is worth a line.
    fn leave_out(&mut self, error: &Error) {
        let room = &self.room;
        if std::mem::replace(&mut self.left_out, true) {
            tracing::debug!(%room, %error, "what is no chat message is left out");
        } else {
            tracing::warn!(%room, %error, "what is no chat message is left out");
        }
    }

    fn end(&mut self) -> RoomEvent {
        self.ended = true;
        RoomEvent::Bye
    }

    /// The events as a browser's `EventSource` and `curl -N` read them.
    pub(crate) fn into_sse(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        stream::unfold(self, |mut events| async move {
            let event = events.next().await?;
            Some((Ok(event.to_sse(events.instance.name())), events))
        })
    }
}

impl RoomEvent {
    fn to_sse(&self, instance: &str) -> sse::Event {
        let (name, data) = match self {
            Self::Message(message) => ("message", json!(message)),
            Self::Gap(gap) => ("gap", gap_data(gap)),
            Self::Status(Status { healthy, readers, live }) => (
                "status",
                json!({ "instance": instance, "healthy": healthy, "readers": readers, "live": live }),
            ),
            Self::Bye => ("bye", json!({ "text": "the service shuts down" })),
        };
        let event = sse::Event::default().event(name).data(data.to_string());
        // Once would do, but a status is the first event of every stream, and rare after that.
        if let Self::Status(_) = self { event.retry(RETRY) } else { event }
    }
}

fn gap_data(gap: &Gap) -> serde_json::Value {
    let cause = match gap.cause {
        GapCause::Lagged => "lagged",
        GapCause::Reconnected => "reconnected",
        _ => "unknown",
    };
    let text = match gap.missed {
        Some(1) => "1 message was missed".to_owned(),
        Some(missed) => format!("{missed} messages were missed"),
        None => "messages may be missing here".to_owned(),
    };
    json!({ "cause": cause, "missed": gap.missed, "text": text })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake};

    use backend_core::{Backend, MessageEnvelope};
    use backend_memory::MemoryBackend;
    use futures_util::FutureExt;

    use super::*;
    use crate::message::Draft;

    const CAPACITY: usize = 4;

    fn room() -> Room {
        Room::new("lobby").unwrap()
    }

    /// Two instances on one bus.
    fn two() -> [Arc<Instance>; 2] {
        let bus = MemoryBackend::builder().capacity(CAPACITY).build();
        ["alpha", "bravo"].map(|name| Arc::new(Instance::new(name, bus.fork(), CAPACITY)))
    }

    async fn post(instance: &Instance, text: &str) {
        let draft = Draft { name: "Ada".into(), text: text.into() };
        instance.post(&room(), draft).await.unwrap();
    }

    fn status(healthy: bool, readers: usize, live: bool) -> RoomEvent {
        RoomEvent::Status(Status { healthy, readers, live })
    }

    /// Everything that is there now, in words.
    fn story(events: &mut RoomEvents) -> Vec<String> {
        let mut story = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            story.push(match event {
                RoomEvent::Message(message) => message.text,
                RoomEvent::Gap(gap) => gap.to_string(),
                RoomEvent::Status(_) => "status".into(),
                RoomEvent::Bye => "bye".into(),
            });
        }
        story
    }

    /// How often a reader that waits asks to be polled again.
    fn wakes_while_waiting(events: &mut RoomEvents) -> usize {
        #[derive(Default)]
        struct Wakes(AtomicUsize);
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let wakes = Arc::new(Wakes::default());
        let waker = Arc::clone(&wakes).into();
        let mut next = pin!(events.next());
        assert!(matches!(next.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
        wakes.0.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_told_how_many_it_missed() {
        let [here, there] = two();
        let mut events = RoomEvents::open(&here, room()).await.unwrap();
        for n in 1..=7 {
            post(&there, &format!("there {n}")).await;
        }
        assert_eq!(
            story(&mut events),
            [
                "status",
                "3 messages were missed (the reader lagged)",
                "there 4",
                "there 5",
                "there 6",
                "there 7"
            ]
        );

        for n in 1..=5 {
            post(&here, &format!("here {n}")).await;
        }
        assert_eq!(
            story(&mut events),
            ["1 message was missed (the reader lagged)", "here 2", "here 3", "here 4", "here 5"]
        );
    }

    #[tokio::test]
    async fn after_a_cut_there_is_a_gap_between_what_came_before_and_after() {
        let [here, there] = two();
        let mut events = RoomEvents::open(&here, room()).await.unwrap();
        post(&there, "before").await;
        assert_eq!(story(&mut events), ["status", "before"]);

        here.partition().unwrap();
        assert_eq!(story(&mut events), ["status"]);
        post(&there, "lost").await;
        post(&here, "mine").await;
        assert_eq!(story(&mut events), ["mine"]);

        here.heal().unwrap();
        post(&there, "after").await;
        let mut rest = story(&mut events);
        rest.retain(|event| event != "status");
        assert_eq!(rest, ["messages may have been missed (the connection was lost)", "after"]);
    }

    #[tokio::test]
    async fn who_comes_during_an_outage_waits_idly_and_is_live_after_it() {
        let [here, there] = two();
        here.partition().unwrap();
        let mut events = RoomEvents::open(&here, room()).await.unwrap();
        assert_eq!(events.next().await, Some(status(false, 1, false)));
        assert_eq!(wakes_while_waiting(&mut events), 0);

        // A second outage before it could subscribe changes nothing.
        here.heal().unwrap();
        here.partition().unwrap();
        assert_eq!(story(&mut events), Vec::<String>::new());
        assert_eq!(wakes_while_waiting(&mut events), 0);

        here.heal().unwrap();
        assert_eq!(events.next().await, Some(status(true, 1, false)));
        assert_eq!(events.next().await, Some(status(true, 1, true)));
        post(&there, "hello").await;
        assert_eq!(story(&mut events), ["hello"]);
    }

    #[tokio::test]
    async fn closing_ends_the_stream_after_what_had_been_posted() {
        let [here, there] = two();
        let mut events = RoomEvents::open(&here, room()).await.unwrap();
        post(&there, "one").await;
        post(&here, "two").await;
        here.close().await.unwrap();

        let mut story = story(&mut events);
        story[1..3].sort();
        assert_eq!(story, ["status", "one", "two", "bye"]);
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn closing_ends_a_stream_that_waits_for_the_end_of_an_outage() {
        let [here, _there] = two();
        here.partition().unwrap();
        let mut events = RoomEvents::open(&here, room()).await.unwrap();
        assert_eq!(story(&mut events), ["status"]);

        let both = async { tokio::join!(events.next(), here.close()) };
        let (next, closed) =
            tokio::time::timeout(Duration::from_secs(20), both).await.expect("it is woken");
        closed.unwrap();
        assert_eq!(next, Some(RoomEvent::Bye));
        assert_eq!(events.next().await, None);
        assert!(RoomEvents::open(&here, room()).await.unwrap_err().is_closed());
    }

    #[tokio::test]
    async fn the_status_tells_how_many_read_along_here() {
        let [here, there] = two();
        let mut first = RoomEvents::open(&here, room()).await.unwrap();
        assert_eq!(first.next().await, Some(status(true, 1, true)));

        let second = RoomEvents::open(&here, room()).await.unwrap();
        assert_eq!(first.next().await, Some(status(true, 2, true)));
        let _elsewhere = RoomEvents::open(&there, room()).await.unwrap();
        drop(second);
        assert_eq!(first.next().await, Some(status(true, 1, true)));
    }

    #[tokio::test]
    async fn what_is_no_chat_message_is_left_out() {
        let bus = MemoryBackend::new();
        let here = Arc::new(Instance::new("alpha", bus.fork(), CAPACITY));
        let mut events = RoomEvents::open(&here, room()).await.unwrap();
        bus.publish(MessageEnvelope::new("lobby", &b"\xff"[..])).await.unwrap();
        post(&here, "hello").await;
        assert_eq!(story(&mut events), ["status", "hello"]);
    }
}
