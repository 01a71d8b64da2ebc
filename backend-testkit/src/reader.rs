//! A subscription as checks read it: every read has the deadline and goes into the story.

use std::task::{Context, Poll, Waker};

use backend_core::{Event, Gap, GapCause, MessageEnvelope, Subscription, TryRecvError};
use futures_core::Stream;

use crate::bench::Bench;
use crate::failure::{Failure, Verified, ensure};
use crate::poll::{Flag, tell_when_parked};
use crate::show::{self, quoted};

/// More events than any check sends.
const ENDLESS: usize = 500_000;

pub(crate) struct Reader {
    name: String,
    /// What was asked for, whatever the subscription says.
    topic: String,
    subscription: Subscription,
    /// What has come while another envelope was waited for, where no order is claimed. Each has to
    /// be asked for in the end.
    early: Vec<MessageEnvelope>,
    bench: Bench,
}

impl Reader {
    pub(crate) fn new(
        name: String,
        topic: String,
        subscription: Subscription,
        bench: Bench,
    ) -> Self {
        Self { name, topic, subscription, early: Vec::new(), bench }
    }

    /// Tells this subscription from others to the same topic.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = format!("{} ({name})", self.name);
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn subscription(&mut self) -> &mut Subscription {
        &mut self.subscription
    }

    /// The topic that was asked for.
    pub(crate) fn topic(&self) -> String {
        self.topic.clone()
    }

    /// The next event, or the end; `wanted` says what is being waited for.
    pub(crate) async fn next(&mut self, wanted: &str) -> Verified<Option<Event>> {
        if !self.early.is_empty() {
            return Ok(Some(Event::Message(self.early.remove(0))));
        }
        self.read(wanted).await
    }

    async fn read(&mut self, wanted: &str) -> Verified<Option<Event>> {
        let Self { name, subscription, bench, early, .. } = self;
        let what = format!("{name} gets {wanted}");
        let read = bench.within(what.clone(), subscription.recv()).await;
        let event = read.map_err(|_| {
            let mut seen = format!("nothing within {:?}", bench.deadline());
            if let Ok(event) = subscription.try_recv() {
                let there = show::event(Some(&event));
                seen = format!("{there} is there to be read, but the reader was not woken for it");
            }
            if !early.is_empty() {
                seen += &format!(" besides {}", show::all(early));
            }
            Failure::new(what, seen)
        })?;
        bench.observe();
        bench.story().tell(format!("{name} gets {}", show::event(event.as_ref())));
        Ok(event)
    }

    /// The next message, which has to be the one that is asked for: next in line where order is
    /// claimed, and wherever it stands where none is.
    async fn find(
        &mut self,
        wanted: &str,
        gaps_may_come: bool,
        is_it: impl Fn(&MessageEnvelope) -> bool,
    ) -> Verified {
        if let Some(index) = self.early.iter().position(&is_it) {
            self.early.remove(index);
            return Ok(());
        }
        loop {
            match self.read(wanted).await? {
                Some(Event::Message(envelope)) if is_it(&envelope) => return Ok(()),
                Some(Event::Message(envelope)) if self.bench.is_unordered() => {
                    self.early.push(envelope);
                }
                Some(Event::Gap(_)) if gaps_may_come => {}
                other => return self.unexpected(wanted, other.as_ref()),
            }
        }
    }

    /// The next event is the message with this data.
    pub(crate) async fn expect(&mut self, data: &str) -> Verified {
        let topic = self.topic();
        let is_it = |seen: &MessageEnvelope| seen.data() == data && seen.topic() == topic;
        self.find(&quoted(data), false, is_it).await
    }

    /// The next events are the messages with these data, in this order.
    pub(crate) async fn expect_all<T: AsRef<str>>(
        &mut self,
        data: impl IntoIterator<Item = T>,
    ) -> Verified {
        for data in data {
            self.expect(data.as_ref()).await?;
        }
        Ok(())
    }

    /// The next message is the one with this data; gaps before it are passed over.
    pub(crate) async fn expect_past_gaps(&mut self, data: &str) -> Verified {
        self.find(&quoted(data), true, |seen| seen.data() == data).await
    }

    /// The next event is this envelope in every field.
    pub(crate) async fn expect_envelope(&mut self, expected: &MessageEnvelope) -> Verified {
        let wanted = show::shown(expected);
        if self.bench.is_unordered() {
            let is_it = |seen: &MessageEnvelope| show::difference(expected, seen).is_empty();
            return self.find(&wanted, false, is_it).await;
        }
        let seen = self.message(&wanted).await?;
        let difference = show::difference(expected, &seen);
        ensure(
            difference.is_empty(),
            format!("{} gets exactly what was published", self.name),
            difference.join(", "),
        )
    }

    /// The next event is a message.
    pub(crate) async fn message(&mut self, wanted: &str) -> Verified<MessageEnvelope> {
        match self.next(wanted).await? {
            Some(Event::Message(envelope)) => Ok(envelope),
            other => self.unexpected(wanted, other.as_ref()),
        }
    }

    /// The next event is a gap of this cause.
    pub(crate) async fn expect_gap(&mut self, cause: GapCause) -> Verified<Gap> {
        let wanted = format!("a gap of the cause {cause:?}");
        match self.next(&wanted).await? {
            Some(Event::Gap(gap)) if gap.cause == cause => Ok(gap),
            other => self.unexpected(&wanted, other.as_ref()),
        }
    }

    /// The stream has ended, and stays so.
    pub(crate) async fn expect_end(&mut self) -> Verified {
        for wanted in ["the end (None)", "None again", "None again and again"] {
            let event = self.next(wanted).await?;
            if event.is_some() {
                return self.unexpected(wanted, event.as_ref());
            }
        }
        let name = &self.name;
        ensure(
            self.subscription.try_recv() == Err(TryRecvError::Closed),
            format!("{name}: try_recv says Closed after the end"),
            "something else",
        )
    }

    /// Nothing but what was accepted so far is handed out any more, and it is these.
    pub(crate) async fn expect_rest<T: AsRef<str>>(
        &mut self,
        data: impl IntoIterator<Item = T>,
    ) -> Verified {
        self.expect_all(data).await?;
        self.expect_end().await
    }

    /// A first part of these is handed out, then the end: at least as many as are known to have
    /// arrived. How much else had arrived when the stream was ended, nobody can know.
    pub(crate) async fn expect_drained(&mut self, data: &[String], arrived: usize) -> Verified {
        let mut left: Vec<&str> = data.iter().map(String::as_str).collect();
        while let Some(event) = self.next("what it had accepted, or the end").await? {
            let place = match &event {
                Event::Message(seen) => left.iter().position(|data| seen.data() == *data),
                _ => None,
            };
            match place {
                Some(place) if place == 0 || self.bench.is_unordered() => drop(left.remove(place)),
                _ => return self.unexpected(&format!("{left:?} or the end"), Some(&event)),
            }
        }
        ensure(
            data.len() - left.len() >= arrived,
            format!("{} hands out at least the {arrived} that had arrived", self.name),
            format!("the end after {} of them", data.len() - left.len()),
        )?;
        self.expect_end().await
    }

    /// All events up to the end.
    pub(crate) async fn read_to_end(&mut self) -> Verified<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.next("the next event or the end").await? {
            events.push(event);
            ensure(
                events.len() < ENDLESS,
                format!("{} comes to its end", self.name),
                format!("{ENDLESS} events, and no end"),
            )?;
        }
        Ok(events)
    }

    /// Polls once with this waker: an event, the end, or nothing yet.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Option<Event>> {
        let mut cx = Context::from_waker(waker);
        let polled = std::pin::Pin::new(&mut self.subscription).poll_next(&mut cx);
        if let Poll::Ready(event) = &polled {
            self.bench.story().tell(format!("{} gets {}", self.name, show::event(event.as_ref())));
        }
        polled
    }

    /// Nothing is there to read at this moment.
    pub(crate) fn expect_pending(&mut self, when: &str) -> Verified {
        self.expect_pending_with(when, Waker::noop())
    }

    /// The same; this waker is then woken by what comes next.
    pub(crate) fn expect_pending_with(&mut self, when: &str, waker: &Waker) -> Verified {
        match self.poll(waker) {
            Poll::Pending => Ok(()),
            Poll::Ready(event) => self.unexpected(&format!("nothing {when}"), event.as_ref()),
        }
    }

    /// Whoever polled last with this flag's waker is woken; `by` says what for.
    pub(crate) async fn is_woken(&mut self, flag: &Flag, by: &str) -> Verified {
        let what = format!("who waits for {} is woken by {by}", self.name);
        self.bench.within(what.clone(), flag.woken()).await.map_err(|_| {
            let there = match self.subscription.try_recv() {
                Ok(event) => format!("{} is there to be read", show::event(Some(&event))),
                Err(error) => format!("nothing is there to be read: {error}"),
            };
            let after = self.bench.deadline();
            Failure::new(what, format!("its waker was not called within {after:?}; {there}"))
        })
    }

    /// Reads in a task of its own; returns when that task is blocked.
    pub(crate) async fn block(mut self) -> Verified<Blocked> {
        let (parked, told) = tokio::sync::oneshot::channel();
        let bench = self.bench.clone();
        let name = self.name.clone();
        bench.story().tell(format!("{name} is read in a task of its own"));
        let task = tokio::spawn(async move {
            let event = tell_when_parked(self.subscription.recv(), || {
                let _ = parked.send(());
            })
            .await;
            (self, event)
        });
        // If the task has ended already, its event tells why.
        let _ = bench.within(format!("{name} is blocked in recv"), told).await?;
        Ok(Blocked { name, task, bench })
    }

    pub(crate) fn unexpected<T>(&self, wanted: &str, seen: Option<&Event>) -> Verified<T> {
        Err(Failure::new(format!("{} gets {wanted}", self.name), show::event(seen)))
    }
}

/// What has come and was never asked for must not have come.
impl Drop for Reader {
    fn drop(&mut self) {
        if !self.early.is_empty() {
            self.bench.leave_over(format!("{} got {}, too", self.name, show::all(&self.early)));
        }
    }
}

/// A reader that is blocked in `recv` in a task of its own.
pub(crate) struct Blocked {
    name: String,
    task: tokio::task::JoinHandle<(Reader, Option<Event>)>,
    bench: Bench,
}

impl Blocked {
    /// It wakes up with an event or the end.
    pub(crate) async fn wakes(self, wanted: &str) -> Verified<(Reader, Option<Event>)> {
        let what = format!("the blocked reader of {} wakes up with {wanted}", self.name);
        let bench = self.bench;
        let joined = bench.within(what.clone(), self.task).await.map_err(|_| {
            let after = bench.deadline();
            Failure::new(what, format!("it was still blocked after {after:?}: it was not woken"))
        })?;
        let (reader, event) = match joined {
            Ok(read) => read,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => {
                    return Err(Failure::new("the reader's task ends", error.to_string()));
                }
            },
        };
        bench.story().tell(format!(
            "{} wakes up with {}",
            reader.name,
            show::event(event.as_ref())
        ));
        Ok((reader, event))
    }

    /// It wakes up with the end.
    pub(crate) async fn wakes_with_end(self) -> Verified {
        let (mut reader, event) = self.wakes("the end (None)").await?;
        match event {
            None => reader.expect_end().await,
            other => reader.unexpected("the end (None)", other.as_ref()),
        }
    }

    /// It wakes up with this message.
    pub(crate) async fn wakes_with(self, data: &str) -> Verified<Reader> {
        let wanted = quoted(data);
        let (reader, event) = self.wakes(&wanted).await?;
        match &event {
            Some(Event::Message(envelope)) if envelope.data() == data.as_bytes() => Ok(reader),
            other => reader.unexpected(&wanted, other.as_ref()),
        }
    }
}
