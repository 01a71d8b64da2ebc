//! Random sequences of operations, against a model that knows what every subscription must see.
//!
//! The model keeps, for each subscription, the envelopes that it has to be handed or told to have
//! missed, with the gaps in their places. Every event is checked against the front of that list,
//! and in the end all of it must be accounted for. Whoever waits must be woken as soon as there is
//! something for it.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use backend_core::{Event, Gap, GapCause, MessageEnvelope, Subscription, TryRecvError};
use backend_fanout::{Bus, Endpoint};
use proptest::prelude::*;

/// More than a topic looks through, to find one of them.
const ENDPOINTS: usize = 6;
const TOPICS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    Publish { endpoint: usize, topic: usize, times: usize },
    Subscribe { endpoint: usize, topic: usize },
    Receive { reader: usize, times: usize },
    Drop { reader: usize },
    Unsubscribe { endpoint: usize, topic: usize },
    Suspend { endpoint: usize },
    Resume { endpoint: usize },
    Gap { endpoint: usize, topic: usize, missed: u64 },
    Close { endpoint: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let endpoint = 0..ENDPOINTS;
    let topic = 0..TOPICS.len();
    prop_oneof![
        8 => (endpoint.clone(), topic.clone(), 1_usize..6)
            .prop_map(|(endpoint, topic, times)| Step::Publish { endpoint, topic, times }),
        4 => (endpoint.clone(), topic.clone())
            .prop_map(|(endpoint, topic)| Step::Subscribe { endpoint, topic }),
        6 => (any::<usize>(), 1_usize..40)
            .prop_map(|(reader, times)| Step::Receive { reader, times }),
        2 => any::<usize>().prop_map(|reader| Step::Drop { reader }),
        1 => (endpoint.clone(), topic.clone())
            .prop_map(|(endpoint, topic)| Step::Unsubscribe { endpoint, topic }),
        2 => endpoint.clone().prop_map(|endpoint| Step::Suspend { endpoint }),
        3 => endpoint.clone().prop_map(|endpoint| Step::Resume { endpoint }),
        1 => (endpoint.clone(), topic, 1_u64..5)
            .prop_map(|(endpoint, topic, missed)| Step::Gap { endpoint, topic, missed }),
        1 => prop_oneof![20 => Just(None), 1 => endpoint.prop_map(Some)].prop_map(|endpoint| {
            endpoint.map_or(Step::Receive { reader: 0, times: 1 }, |endpoint| Step::Close { endpoint })
        }),
    ]
}

/// What a subscription has to see next.
#[derive(Debug, PartialEq)]
enum Due {
    Message {
        number: usize,
        at: usize,
    },
    Gap(Gap),
    /// An outage that may have been told together with the one before.
    ToldWithTheLast,
}

struct Reader {
    subscription: Subscription,
    endpoint: usize,
    topic: usize,
    due: VecDeque<Due>,
    /// If it has ended: how many envelopes of its topic had gone into the ring by then.
    ended: Option<usize>,
    /// The task that waits for it, and was the last to ask.
    waits: Option<Arc<Task>>,
}

#[derive(Default)]
struct Task {
    woken: AtomicBool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
    }
}

impl Reader {
    /// Waits with a task, each time another one.
    fn wait(&mut self) {
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let polled = pin!(self.subscription.recv()).poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending, "nothing was there a moment ago");
        self.waits = Some(task);
    }

    fn check_woken(&mut self) {
        let has_any =
            self.ended.is_some() || self.due.iter().any(|due| *due != Due::ToldWithTheLast);
        if has_any && let Some(task) = self.waits.take() {
            assert!(task.woken.load(SeqCst), "nobody woke who waits for {:?}", self.due);
        }
    }

    fn end(&mut self, stored: &HashMap<usize, usize>) {
        self.ended = Some(stored.get(&self.topic).copied().unwrap_or(0));
    }
}

/// Those with a ttl take another way to their readers, and keep their place.
fn envelope(number: usize, topic: usize) -> MessageEnvelope {
    let envelope = MessageEnvelope::new(TOPICS[topic], number.to_string());
    if number.is_multiple_of(3) { envelope.with_ttl(Duration::from_secs(3_600)) } else { envelope }
}

struct World {
    capacity: usize,
    bus: Bus,
    endpoints: Vec<Endpoint>,
    suspended: [bool; ENDPOINTS],
    closed: [bool; ENDPOINTS],
    readers: Vec<Reader>,
    published: usize,
    /// How many envelopes of each topic went into its ring.
    stored: HashMap<usize, usize>,
}

impl World {
    fn new(capacity: usize) -> Self {
        let bus = Bus::with_capacity(capacity);
        let endpoints = (0..ENDPOINTS).map(|_| bus.attach()).collect();
        Self {
            capacity,
            bus,
            endpoints,
            suspended: [false; ENDPOINTS],
            closed: [false; ENDPOINTS],
            readers: Vec::new(),
            published: 0,
            stored: HashMap::new(),
        }
    }

    fn is_up(&self, endpoint: usize) -> bool {
        !self.suspended[endpoint] && !self.closed[endpoint]
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Publish { endpoint, topic, times } => {
                self.publish(endpoint, topic, times);
            }
            Step::Subscribe { endpoint, topic } => {
                let result = self.endpoints[endpoint].subscribe(TOPICS[topic]);
                assert_eq!(result.is_ok(), self.is_up(endpoint));
                if let Ok(subscription) = result {
                    let due = VecDeque::new();
                    let (ended, waits) = (None, None);
                    let reader = Reader { subscription, endpoint, topic, due, ended, waits };
                    self.readers.push(reader);
                }
            }
            Step::Receive { reader, times } => {
                if !self.readers.is_empty() {
                    let index = reader % self.readers.len();
                    for _ in 0..times {
                        self.receive(index);
                    }
                }
            }
            Step::Drop { reader } => {
                if !self.readers.is_empty() {
                    let index = reader % self.readers.len();
                    self.readers.swap_remove(index);
                }
            }
            Step::Unsubscribe { endpoint, topic } => {
                let result = self.endpoints[endpoint].unsubscribe(TOPICS[topic]);
                assert_eq!(result.is_ok(), !self.closed[endpoint]);
                let stored = self.stored.clone();
                for reader in self.open_readers(endpoint) {
                    if reader.topic == topic {
                        reader.end(&stored);
                    }
                }
            }
            Step::Suspend { endpoint } => {
                self.endpoints[endpoint].suspend();
                self.suspended[endpoint] |= !self.closed[endpoint];
            }
            Step::Resume { endpoint } => {
                self.endpoints[endpoint].resume();
                if self.suspended[endpoint] && !self.closed[endpoint] {
                    self.suspended[endpoint] = false;
                    for reader in self.open_readers(endpoint) {
                        reader.due.push_back(Due::Gap(Gap::reconnected()));
                    }
                }
            }
            Step::Gap { endpoint, topic, missed } => {
                self.endpoints[endpoint].gap(TOPICS[topic], Gap::lagged(missed));
                for reader in self.open_readers(endpoint) {
                    if reader.topic == topic {
                        reader.due.push_back(Due::Gap(Gap::lagged(missed)));
                    }
                }
            }
            Step::Close { endpoint } => {
                self.endpoints[endpoint].close();
                self.closed[endpoint] = true;
                let stored = self.stored.clone();
                for reader in self.open_readers(endpoint) {
                    reader.end(&stored);
                }
            }
        }
        self.readers.iter_mut().for_each(Reader::check_woken);
        self.check_counts();
    }

    fn open_readers(&mut self, endpoint: usize) -> impl Iterator<Item = &mut Reader> {
        self.readers
            .iter_mut()
            .filter(move |reader| reader.endpoint == endpoint && reader.ended.is_none())
    }

    /// One after the other, or an even number of them all at once.
    fn publish(&mut self, endpoint: usize, topic: usize, times: usize) {
        let first = self.published;
        let mut envelopes: Vec<_> =
            (first..first + times).map(|number| envelope(number, topic)).collect();
        let by = &self.endpoints[endpoint];
        let result = if times.is_multiple_of(2) {
            by.publish_all(TOPICS[topic], &mut envelopes)
        } else {
            envelopes.into_iter().try_for_each(|envelope| by.publish(envelope))
        };
        assert_eq!(result.is_ok(), self.is_up(endpoint));
        if result.is_ok() {
            (0..times).for_each(|_| self.expect_published(endpoint, topic));
        }
    }

    fn expect_published(&mut self, endpoint: usize, topic: usize) {
        let number = self.published;
        self.published += 1;
        let at = *self.stored.entry(topic).or_default();
        let mut wanted = false;
        let suspended = self.suspended;
        for reader in &mut self.readers {
            let hears =
                reader.topic == topic && reader.endpoint != endpoint && reader.ended.is_none();
            if hears && !suspended[reader.endpoint] {
                reader.due.push_back(Due::Message { number, at });
                wanted = true;
            }
        }
        if wanted {
            *self.stored.entry(topic).or_default() += 1;
        }
    }

    fn receive(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        // What goes into the ring after its end costs a subscription nothing.
        let stored = self.stored.get(&reader.topic).copied().unwrap_or(0);
        let stored = reader.ended.unwrap_or(stored);
        let event = reader.subscription.try_recv();
        if !matches!(event, Ok(Event::Gap(_))) {
            reader.due.retain(|due| *due != Due::ToldWithTheLast);
        }
        match event {
            Ok(Event::Message(envelope)) => {
                let number: usize =
                    String::from_utf8_lossy(envelope.data()).parse().expect("a number");
                match reader.due.pop_front() {
                    Some(Due::Message { number: due, .. }) => assert_eq!(number, due),
                    due => panic!("got {number}, but due was {due:?}"),
                }
            }
            Ok(Event::Gap(gap)) => account_for(gap, &mut reader.due, stored, self.capacity),
            Ok(event) => panic!("unknown event {event:?}"),
            Err(TryRecvError::Empty) => {
                assert!(reader.ended.is_none(), "an ended subscription that is not Closed");
                assert!(reader.due.is_empty(), "never handed out: {:?}", reader.due);
                reader.wait();
            }
            Err(TryRecvError::Closed) => {
                assert!(reader.ended.is_some(), "closed without being ended");
                assert!(reader.due.is_empty(), "never handed out: {:?}", reader.due);
            }
        }
    }

    fn check_counts(&self) {
        let mut topics = 0;
        for topic in 0..TOPICS.len() {
            topics +=
                usize::from(self.readers.iter().any(|r| r.topic == topic && r.ended.is_none()));
        }
        assert_eq!(self.bus.topics(), topics);
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let open =
                self.readers.iter().filter(|r| r.endpoint == index && r.ended.is_none()).count();
            assert_eq!(endpoint.stats().subscriptions, open as u64);
        }
    }
}

/// Takes what a gap stands for off the list, and checks that it may be missing.
///
/// What is missing in one place, with no message handed out in between, is told as one gap per
/// cause; if the reader came by in between, as several.
fn account_for(gap: Gap, due: &mut VecDeque<Due>, stored: usize, capacity: usize) {
    let in_place = due.iter().take_while(|due| !matches!(due, Due::Message { .. })).count();
    if gap.cause == GapCause::Reconnected {
        assert_eq!(gap.missed, None);
        let told = due
            .iter()
            .take(in_place)
            .position(|due| [Due::Gap(Gap::reconnected()), Due::ToldWithTheLast].contains(due));
        assert!(told.is_some(), "an outage that nobody knows of: due was {due:?}");
        told.and_then(|told| due.remove(told));
        for other in due.iter_mut().take(in_place - 1) {
            if *other == Due::Gap(Gap::reconnected()) {
                *other = Due::ToldWithTheLast;
            }
        }
        return;
    }
    let mut left = gap.missed.expect("known here");
    let mut kept = Vec::new();
    while left > 0 {
        match due.pop_front().expect("a gap larger than what is due") {
            Due::Gap(Gap { cause: GapCause::Lagged, missed: Some(missed), .. }) => {
                left = left.checked_sub(missed).expect("a part of a gap");
            }
            Due::Message { at, .. } => {
                assert!(
                    stored - at > capacity,
                    "dropped although there was room: {at} of {stored}"
                );
                left -= 1;
            }
            other => kept.push(other),
        }
    }
    for other in kept.into_iter().rev() {
        due.push_front(other);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    #[test]
    fn every_subscription_sees_what_the_model_says(
        capacity in 1_usize..8,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(capacity);
        for step in &steps {
            world.apply(step);
        }
        for index in 0..world.readers.len() {
            while !world.readers[index].due.is_empty() {
                world.receive(index);
            }
            // Now it has to be Empty, or Closed if it was ended.
            world.receive(index);
        }
        world.readers.clear();
        assert_eq!(world.bus.topics(), 0);
    }
}
