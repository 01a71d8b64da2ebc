//! Instances of the backend and the model of them, side by side.

use backend_core::{Error, Event, MessageEnvelope};

use super::Menu;
use super::expected::Expected;
use super::script::{INSTANCES, Step, TOPICS};
use crate::bench::Bench;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::reader::Reader;
use crate::{Clause, show};

pub(super) struct World {
    bench: Bench,
    menu: Menu,
    seats: Vec<Seat>,
    readers: Vec<Watched>,
    /// Who has published what to which topic: the data is the place, counted from 1.
    published: Vec<(usize, usize)>,
    steps: Vec<String>,
}

struct Seat {
    instance: Instance,
    link: Link,
    /// Something that it published was taken. Long ago, perhaps: nobody here knows what is confirmed.
    has_sent: bool,
    /// It has had an outage, with which something that it published may be lost.
    has_been_cut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Cut,
    Closed,
}

/// A subscription and what it has to get.
struct Watched {
    /// Gone when it was dropped.
    reader: Option<Reader>,
    at: usize,
    topic: usize,
    /// Unsubscribed or closed: it hands out what it had, and ends.
    ended: bool,
    expected: Expected,
    /// Envelopes of its own instance that may take room in its buffer.
    own: usize,
    /// How many had been published before it was made.
    older: usize,
}

impl Watched {
    /// Compares what was received with what was to come, and says why something must not.
    fn receive(&mut self, event: &Event, published: &[(usize, usize)]) -> Verified {
        if let Event::Message(envelope) = event {
            let data = String::from_utf8_lossy(envelope.data());
            if !self.expected.allows(&data) {
                let number = data.parse::<usize>().ok().filter(|number| *number > 0);
                let of = number.and_then(|number| Some((number, *published.get(number - 1)?)));
                let (expected, clause) = match of {
                    None => ("nothing but what was published", Clause::D8),
                    Some((_, (from, _))) if from == self.at => {
                        ("nothing that its own instance has published", Clause::D2)
                    }
                    Some((_, (_, topic))) if topic != self.topic => {
                        ("nothing of another topic", Clause::D7)
                    }
                    Some((number, _)) if number <= self.older => {
                        ("nothing that is older than the subscription", Clause::D3)
                    }
                    Some(_) if self.ended => ("nothing published after its end", Clause::U1),
                    Some(_) => ("nothing that was refused", Clause::H6),
                };
                return Err(Failure::new(expected, show::quoted(&data)).of(clause));
            }
        }
        self.expected.receive(event)
    }
}

impl World {
    pub(super) async fn new(bench: &Bench, menu: Menu) -> Verified<Self> {
        let instances = bench.instances(INSTANCES).await?;
        let seat =
            |instance| Seat { instance, link: Link::Up, has_sent: false, has_been_cut: false };
        Ok(Self {
            bench: bench.clone(),
            menu,
            seats: instances.into_iter().map(seat).collect(),
            readers: Vec::new(),
            published: Vec::new(),
            steps: Vec::new(),
        })
    }

    pub(super) fn into_steps(self) -> Vec<String> {
        self.steps
    }

    /// Does what the script says, then brings everything back and compares to the last.
    pub(super) async fn run(&mut self, script: &[Step]) -> Verified {
        for step in script {
            match *step {
                Step::Subscribe { at, topic } => self.subscribe(at, topic).await?,
                Step::Publish { from, topic, count } => {
                    for _ in 0..count {
                        self.publish(from, topic).await?;
                    }
                }
                Step::Read { reader, count } => self.read(reader, count).await?,
                Step::Unsubscribe { at, topic } => self.unsubscribe(at, topic).await?,
                Step::Drop { reader } => self.drop_reader(reader),
                Step::Close { at } => self.close(at).await?,
                Step::Cut { at } => self.cut(at).await?,
                Step::Restore { at } => self.restore(at).await?,
            }
        }
        self.settle().await
    }

    fn tell(&mut self, step: String) {
        self.steps.push(step);
    }

    fn name(&self, at: usize) -> &str {
        self.seats[at].instance.name()
    }

    async fn subscribe(&mut self, at: usize, topic: usize) -> Verified {
        // What comes of it during an outage is a matter of other checks.
        if self.seats[at].link == Link::Cut {
            return Ok(());
        }
        let step = format!("{} subscribes to {:?}", self.name(at), TOPICS[topic]);
        let subscribed = self.seats[at].instance.try_subscribe(TOPICS[topic]).await?;
        if self.seats[at].link == Link::Closed {
            self.tell(step);
            return closed("subscribe", subscribed);
        }
        let number = self.readers.len() + 1;
        self.tell(format!("{step}: reader {number}"));
        let reader = subscribed.map_err(|error| {
            Failure::new("subscribe: Ok", format!("the error {error:?}")).of(Clause::D4)
        })?;
        let mut expected = Expected::new(self.bench.claims().order());
        let mut of_the_topic = self.readers.iter().filter(|one| (one.at, one.topic) == (at, topic));
        let may_be_missing = |one: &Watched| {
            // What has ended may not have been given up at the engine yet, and is gone on with.
            if one.ended { self.may_be_lost(at, topic) } else { one.expected.may_have_lost() }
        };
        if of_the_topic.any(may_be_missing) {
            expected.inherit();
        }
        self.readers.push(Watched {
            reader: Some(reader.named(&format!("reader {number}"))),
            at,
            topic,
            ended: false,
            expected,
            own: 0,
            older: self.published.len(),
        });
        Ok(())
    }

    /// Whether something that others published may be lost by an outage of theirs.
    fn may_be_lost(&self, at: usize, topic: usize) -> bool {
        let by_others = |&&(from, of): &&(usize, usize)| from != at && of == topic;
        self.published.iter().filter(by_others).any(|&(from, _)| self.seats[from].has_been_cut)
    }

    async fn publish(&mut self, from: usize, topic: usize) -> Verified {
        if !self.menu.overflows {
            self.make_room(topic).await?;
        }
        self.published.push((from, topic));
        let data = self.published.len().to_string();
        self.tell(format!("{} publishes {data:?} to {:?}", self.name(from), TOPICS[topic]));
        let envelope = MessageEnvelope::new(TOPICS[topic], data.clone());
        let sent = self.seats[from].instance.try_send(envelope).await?;
        let link = self.seats[from].link;
        match (&sent, link) {
            (_, Link::Closed) => return closed("publish", sent),
            (Ok(()), _) => self.seats[from].has_sent = true,
            (Err(Error::Unavailable { .. }), Link::Cut) => return Ok(()),
            (Err(error), _) => {
                let clause = if link == Link::Cut { Clause::H6 } else { Clause::D6 };
                let expected = if link == Link::Cut { "Ok or Unavailable" } else { "Ok" };
                return Err(Failure::new(
                    format!("publish: {expected}"),
                    format!("the error {error:?}"),
                )
                .of(clause));
            }
        }
        let room = self.room();
        for watched in self.readers.iter_mut().filter(|one| one.topic == topic && !one.ended) {
            if watched.at == from {
                watched.own += 1;
            } else {
                let certain = link == Link::Up && self.seats[watched.at].link == Link::Up;
                watched.expected.publish(from, &data, certain);
            }
            if watched.expected.unread() + watched.own > room {
                watched.expected.overflow(watched.at == from);
            }
        }
        Ok(())
    }

    /// What a subscription is sure to keep.
    fn room(&self) -> usize {
        self.bench.burst(usize::MAX)
    }

    /// Reads the subscriptions to a topic until each has room for one more.
    async fn make_room(&mut self, topic: usize) -> Verified {
        for number in 0..self.readers.len() {
            let watched = &self.readers[number];
            let full = watched.expected.unread() + watched.own + 1 >= self.room();
            if watched.topic == topic && !watched.ended && full {
                self.read_all(number).await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, number: usize, count: usize) -> Verified {
        if self.readers.is_empty() {
            return Ok(());
        }
        let number = number % self.readers.len();
        for _ in 0..count {
            if !self.read_one(number).await? {
                break;
            }
        }
        Ok(())
    }

    async fn read_all(&mut self, number: usize) -> Verified {
        while self.read_one(number).await? {}
        Ok(())
    }

    /// Reads an event if one has to come; whether one did.
    async fn read_one(&mut self, number: usize) -> Verified<bool> {
        let watched = &mut self.readers[number];
        let (Some(due), true) = (watched.expected.has_to_come(), watched.reader.is_some()) else {
            // Own envelopes, too, make room when a reader has caught up.
            watched.own = 0;
            return Ok(false);
        };
        self.read_due(number, due).await?;
        Ok(true)
    }

    /// Reads the event that is due.
    async fn read_due(&mut self, number: usize, due: String) -> Verified {
        let Some(reader) = &mut self.readers[number].reader else { return Ok(()) };
        let event = match reader.next(&due).await {
            Ok(event) => event,
            Err(failure) => {
                self.tell(format!("reader {} waits for {due}", number + 1));
                return Err(failure.of(Clause::D1));
            }
        };
        self.steps.push(format!("reader {} gets {}", number + 1, show::event(event.as_ref())));
        let watched = &mut self.readers[number];
        match event {
            Some(event) => watched.receive(&event, &self.published)?,
            None => return Err(Failure::new(due, "the end (None)").of(Clause::U1)),
        }
        Ok(())
    }

    /// Ends what matches: it hands out what it had, and then ends.
    async fn expect_ends(&mut self, which: impl Fn((usize, usize)) -> bool) -> Verified {
        for number in 0..self.readers.len() {
            let watched = &mut self.readers[number];
            if watched.ended || !which((watched.at, watched.topic)) {
                continue;
            }
            let Some(mut reader) = watched.reader.take() else { continue };
            watched.ended = true;
            watched.expected.excuse_all();
            loop {
                let event = reader.next("what it had accepted, or the end").await;
                let Some(event) = event.of(Clause::U1)? else { break };
                self.steps.push(format!(
                    "reader {} gets {}",
                    number + 1,
                    show::event(Some(&event))
                ));
                // Nobody can know which gaps are still due.
                if matches!(event, Event::Message(_)) {
                    watched.receive(&event, &self.published)?;
                }
            }
            self.steps.push(format!("reader {} gets the end (None)", number + 1));
            watched.reader = Some(reader);
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, at: usize, topic: usize) -> Verified {
        self.tell(format!("{} unsubscribes from {:?}", self.name(at), TOPICS[topic]));
        let result = self.seats[at].instance.try_unsubscribe(TOPICS[topic]).await?;
        if self.seats[at].link == Link::Closed {
            return closed("unsubscribe", result);
        }
        ensure(result.is_ok(), "unsubscribe: Ok", format!("{result:?}")).of(Clause::U1)?;
        self.expect_ends(|of| of == (at, topic)).await
    }

    fn drop_reader(&mut self, number: usize) {
        if self.readers.is_empty() {
            return;
        }
        let number = number % self.readers.len();
        // One that has ended may be dropped too, long after a newer one was subscribed.
        if self.readers[number].reader.is_some() {
            self.tell(format!("reader {} is dropped", number + 1));
            // Its place stays, so that the others keep their numbers.
            let watched = &mut self.readers[number];
            watched.ended = true;
            watched.expected.excuse_all();
            watched.reader = None;
        }
    }

    async fn close(&mut self, at: usize) -> Verified {
        self.tell(format!("{} closes", self.name(at)));
        let result = self.seats[at].instance.try_close().await?;
        // What it published last may be lost with its connection. It is told once.
        let may_have_lost = self.seats[at].link == Link::Cut && self.seats[at].has_sent;
        match result {
            Err(Error::Unconfirmed(_)) if may_have_lost => {
                self.seats[at].instance.close().await.because("it has been told")?;
            }
            result => ensure(result.is_ok(), "close: Ok", format!("{result:?}")).of(Clause::C1)?,
        }
        self.seats[at].link = Link::Closed;
        self.expect_ends(|(reader_at, _)| reader_at == at).await.of(Clause::C1)
    }

    async fn cut(&mut self, at: usize) -> Verified {
        if self.seats[at].link != Link::Up {
            return Ok(());
        }
        self.tell(format!("{} is cut off", self.name(at)));
        self.seats[at].instance.cut().await?;
        self.seats[at].link = Link::Cut;
        self.seats[at].has_been_cut = true;
        // What was on its way, to it or from it, may be lost.
        for watched in &mut self.readers {
            if watched.at == at {
                watched.expected.excuse_all();
            } else {
                watched.expected.excuse_publisher(at);
            }
        }
        Ok(())
    }

    async fn restore(&mut self, at: usize) -> Verified {
        if self.seats[at].link != Link::Cut {
            return Ok(());
        }
        self.tell(format!("{} is let back, and healthy again", self.name(at)));
        self.seats[at].instance.restore().await?;
        self.seats[at].link = Link::Up;
        for watched in self.readers.iter_mut().filter(|one| one.at == at && !one.ended) {
            watched.expected.outage();
        }
        Ok(())
    }

    /// Everybody comes back and publishes once more; then every subscription is read up to there.
    async fn settle(&mut self) -> Verified {
        for at in 0..self.seats.len() {
            self.restore(at).await?;
        }
        for round in 0..self.bench.sentinels(1) {
            if round > 0 || !self.menu.overflows {
                for number in 0..self.readers.len() {
                    self.read_all(number).await?;
                }
            }
            for from in 0..self.seats.len() {
                for topic in 0..TOPICS.len() {
                    if self.seats[from].link == Link::Up {
                        self.publish(from, topic).await?;
                    }
                }
            }
        }
        for number in 0..self.readers.len() {
            self.read_all(number).await?;
            let exact = self.bench.claims().exact_gaps();
            while let Some(due) = self.readers[number].expected.uncounted(exact) {
                self.read_due(number, due).await?;
            }
            let watched = &mut self.readers[number];
            watched.expected.settle(exact)?;
            watched.reader = None;
        }
        for seat in self.seats.iter().filter(|seat| seat.link == Link::Up) {
            seat.instance
                .until_held(0, 0)
                .await
                .because("all was dropped or ended")
                .of(Clause::U4)?;
        }
        Ok(())
    }
}

/// Fails unless the operation was refused as closed.
fn closed<T>(what: &str, result: Result<T, Error>) -> Verified {
    let seen = match result {
        Err(error) if error.is_closed() => return Ok(()),
        Err(error) => format!("the error {error:?}"),
        Ok(_) => "Ok".to_owned(),
    };
    Err(Failure::new(format!("{what} after close: Error::Closed"), seen).of(Clause::C2))
}
