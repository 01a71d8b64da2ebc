//! One participant of a bus: what it publishes, all the others get.
//!
//! The front door. Lock order: an endpoint's `topics`, then a shard of the directory, then a
//! topic's state. Readers are woken after all of them are released.

use std::fmt;
use std::mem;
use std::sync::Arc;

use backend_core::{BackendStats, Error, Gap, MessageEnvelope, Result, Subscription};
use hashbrown::HashSet;

use crate::batch::Noted;
use crate::bus::Bus;
use crate::counters::Counters;
use crate::directory::{ByName, Directory, give_back_room};
use crate::member::EndpointId;
use crate::reader::Reader;
use crate::sync::{AtomicU8, Mutex, Ordering, lock};
use crate::topic::{SUSPENDED, Topic};
use crate::wakers::Wakers;

/// One participant of a [`Bus`], made by [`Bus::attach`].
///
/// What one endpoint publishes reaches the subscriptions of all the others, and never its own. All
/// calls return at once: nothing here waits for anybody, and no runtime is needed.
///
/// A backend of its own process (`backend-memory`) has one endpoint per instance. A backend over
/// an engine has one bus per instance with two endpoints: its users subscribe at the first, and
/// the task that reads from the engine publishes at the second.
///
/// Dropping an endpoint closes it.
///
/// ```
/// use backend_core::{Event, Gap, GapCause, MessageEnvelope};
/// use backend_fanout::Bus;
///
/// let bus = Bus::with_capacity(2);
/// let (engine, users) = (bus.attach(), bus.attach());
/// let mut prices = users.subscribe("prices")?;
///
/// for price in ["101", "102", "103"] {
///     engine.publish(MessageEnvelope::new("prices", price))?;
/// }
/// assert_eq!(prices.try_recv(), Ok(Event::Gap(Gap::new(GapCause::Lagged, Some(1)))));
/// assert_eq!(prices.try_recv(), Ok(Event::Message(MessageEnvelope::new("prices", "102"))));
/// # Ok::<(), backend_core::Error>(())
/// ```
pub struct Endpoint {
    bus: Bus,
    local: Arc<Local>,
}

/// What an endpoint shares with its readers, who must not keep it from closing.
pub(crate) struct Local {
    id: EndpointId,
    pub(crate) directory: Arc<Directory>,
    /// [`UP`], [`SUSPENDED_LINK`] or [`CLOSED`]. Written under `topics`; a publish reads it alone,
    /// so its acquire pairs with the release there.
    link: AtomicU8,
    /// The topics with an open subscription of this endpoint.
    topics: Mutex<HashSet<ByName>>,
    pub(crate) counters: Counters,
    /// Called with no lock held, after a topic has left `topics`.
    on_release: Option<OnRelease>,
}

/// See [`Bus::attach_with_release`].
pub(crate) type OnRelease = Box<dyn Fn(&str) + Send + Sync>;

const UP: u8 = 0;
const SUSPENDED_LINK: u8 = 1;
const CLOSED: u8 = 2;

impl Endpoint {
    pub(crate) fn new(bus: Bus, id: EndpointId, on_release: Option<OnRelease>) -> Self {
        let local = Local {
            id,
            directory: Arc::clone(&bus.directory),
            link: AtomicU8::new(UP),
            topics: Mutex::new(HashSet::new()),
            counters: Counters::default(),
            on_release,
        };
        Self { bus, local: Arc::new(local) }
    }

    /// The bus that this endpoint belongs to.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Hands an envelope to every subscription to its topic at every *other* endpoint.
    ///
    /// What one endpoint publishes to one topic arrives in order, and all subscriptions to a topic
    /// see the same order (clauses O1, O2). It never waits: a reader that is too slow loses the
    /// oldest, and is told how many (L1, L2, L3). If nobody else subscribes, nothing is stored.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close); [`Error::Unavailable`] while suspended.
    pub fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.local.check_link()?;
        if let Some(topic) = self.bus.directory.find(envelope.topic()) {
            Topic::publish(topic, self.local.id, envelope)?;
        }
        self.local.counters.sent(1);
        Ok(())
    }

    /// The same with several envelopes of one topic at once, in this order: they become visible
    /// together, and each reader is woken once. `envelopes` is empty afterwards, with its room kept.
    ///
    /// For the task that reads from an engine. A reader can take none of them before all are there: a
    /// burst of more than the topic's capacity is cut down to the newest, so hand over few at a time.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); then none was handed over.
    ///
    /// # Panics
    /// In debug builds, if one is of another topic.
    pub fn publish_all(&self, topic: &str, envelopes: &mut Vec<MessageEnvelope>) -> Result<()> {
        debug_assert!(envelopes.iter().all(|envelope| envelope.topic() == topic));
        self.local.check_link()?;
        let count = envelopes.len();
        match self.bus.directory.find(topic) {
            Some(topic) => Topic::publish_all(topic, self.local.id, envelopes)?,
            None => envelopes.clear(),
        }
        self.local.counters.sent(count);
        Ok(())
    }

    /// Starts receiving what the other endpoints publish to `topic`, from now on.
    ///
    /// Several subscriptions to one topic are independent, and each sees everything (U3). Dropping
    /// one releases it at once, without a runtime (U4).
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close); [`Error::Unavailable`] while suspended.
    pub fn subscribe(&self, topic: &str) -> Result<Subscription> {
        let local = &self.local;
        let reader = {
            let mut topics = lock(&local.topics);
            local.check_link()?;
            let (topic, seat) = self.bus.directory.join(topic, local.id);
            // In place of an older one of the name, which a reader that has just left may not have
            // been able to forget yet.
            topics.replace(ByName(Arc::clone(&topic)));
            // Counted before a close can end it.
            local.counters.opened();
            Reader { local: Arc::clone(local), topic, seat, noted: Noted::default() }
        };
        Ok(Subscription::from_source(Arc::clone(&reader.topic.name), reader))
    }

    /// Ends every subscription of this endpoint to `topic`: each hands out what it had accepted
    /// before, then `None` (U1). An unknown topic is `Ok`. Works while suspended, too.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close).
    pub fn unsubscribe(&self, topic: &str) -> Result<()> {
        let wakers = {
            let mut topics = lock(&self.local.topics);
            if self.is_closed() {
                return Err(Error::Closed);
            }
            match topics.take(topic) {
                Some(ByName(topic)) => {
                    give_back_room(&mut topics);
                    self.end(&topic)
                }
                None => return Ok(()),
            }
        };
        // First of all: a waker may panic.
        self.local.released(topic);
        wakers.wake();
        Ok(())
    }

    /// Ends every subscription of this endpoint, drained first, and every further operation.
    ///
    /// Wakes blocked readers, may be called again, and races with anything (C1). The other
    /// endpoints go on (C3).
    pub fn close(&self) {
        let wakers = {
            // Held to the end: whoever closes second returns when everything has ended, too.
            let mut topics = lock(&self.local.topics);
            self.local.link.store(CLOSED, Ordering::Release);
            let mut wakers = Wakers::default();
            for ByName(topic) in mem::take(&mut *topics) {
                wakers.extend(self.end(&topic));
            }
            wakers
        };
        wakers.wake();
    }

    /// Whether it has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.local.link.load(Ordering::Acquire) == CLOSED
    }

    /// Cuts this endpoint off its bus, until [`resume`](Self::resume).
    ///
    /// Its subscriptions stay open: they hand out what they had accepted before, and then wait.
    /// Publish and subscribe fail with [`Error::Unavailable`]; unsubscribe and close work.
    pub fn suspend(&self) {
        let topics = lock(&self.local.topics);
        if self.local.link.load(Ordering::Acquire) == UP {
            self.local.link.store(SUSPENDED_LINK, Ordering::Release);
            for ByName(topic) in topics.iter() {
                topic.suspend(self.local.id);
            }
        }
    }

    /// Whether it is cut off, by [`suspend`](Self::suspend).
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.local.link.load(Ordering::Acquire) == SUSPENDED_LINK
    }

    /// Puts this endpoint back on its bus, with a [`Gap`] of unknown size in every subscription
    /// (H5). When it returns, every topic is live again.
    pub fn resume(&self) {
        let mut wakers = Wakers::default();
        {
            let topics = lock(&self.local.topics);
            if self.local.link.load(Ordering::Acquire) == SUSPENDED_LINK {
                for ByName(topic) in topics.iter() {
                    wakers.extend(topic.resume(self.local.id));
                }
                self.local.link.store(UP, Ordering::Release);
                self.local.counters.reconnected();
            }
        }
        wakers.wake();
    }

    /// Tells every subscription of this endpoint to `topic` that envelopes are missing here,
    /// behind everything that it has accepted so far.
    ///
    /// For losses that the engine below has caused. Gaps of one cause with nothing in between are
    /// told as one, with their numbers added up.
    pub fn gap(&self, topic: &str, gap: Gap) {
        let found = lock(&self.local.topics).get(topic).map(|found| Arc::clone(&found.0));
        if let Some(topic) = found {
            topic.gap(self.local.id, gap).wake();
        }
    }

    /// The topics that this endpoint has open subscriptions to, in no particular order.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        lock(&self.local.topics).iter().map(|topic| Arc::clone(&topic.0.name)).collect()
    }

    /// Whether this endpoint has an open subscription to `topic`.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        lock(&self.local.topics).contains(topic)
    }

    /// What this endpoint has counted. `connected` is true while it is neither suspended nor
    /// closed.
    #[must_use]
    pub fn stats(&self) -> BackendStats {
        let mut stats = self.local.counters.snapshot();
        stats.connected = self.local.link.load(Ordering::Acquire) == UP;
        stats.topics = lock(&self.local.topics).len() as u64;
        stats
    }

    /// Ends this endpoint's subscriptions to one topic; called with `topics` locked.
    fn end(&self, topic: &Arc<Topic>) -> Wakers {
        let (ended, wakers) = topic.end(self.local.id);
        self.local.counters.ended(ended);
        self.bus.directory.retire(topic);
        wakers
    }
}

/// Shows what it counts, and no lock is held while somebody formats.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Endpoint")
            .field("id", &self.local.id)
            .field("closed", &self.is_closed())
            .field("stats", &stats)
            .finish_non_exhaustive()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close();
    }
}

impl Local {
    #[inline]
    fn check_link(&self) -> Result<()> {
        match self.link.load(Ordering::Acquire) {
            UP => Ok(()),
            SUSPENDED_LINK => Err(Error::unavailable(SUSPENDED)),
            _ => Err(Error::Closed),
        }
    }

    /// The endpoint's last subscription to `topic` has gone, unless a new one came meanwhile: says
    /// whether it has.
    pub(crate) fn forget(&self, topic: &Arc<Topic>) -> bool {
        let mut topics = lock(&self.topics);
        let is_this = topics.get(&*topic.name).is_some_and(|known| Arc::ptr_eq(&known.0, topic));
        let gone = is_this && !topic.has(self.id);
        if gone {
            topics.remove(&*topic.name);
            give_back_room(&mut topics);
        }
        gone
    }

    /// Tells that a topic has left `topics`; called with no lock held.
    pub(crate) fn released(&self, topic: &str) {
        if let Some(on_release) = &self.on_release {
            on_release(topic);
        }
    }
}
