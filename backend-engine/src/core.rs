//! What the handle of an instance, its supervisor and its connection share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use backend_core::{Error, Gap, GapCause, MessageEnvelope, Result};
use backend_fanout::{Bus, Endpoint, Health};
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::driver::Link;
use crate::inbox::Deliver;
use crate::name::Names;
use crate::options::Options;
use crate::outbox::{Numbers, Outbox};
use crate::registry::Registry;
use crate::released::Released;
use crate::topics::Topics;
use crate::{Origin, Sequencer, Verdict, wire};

/// A connection on which everything works, both ways.
pub(crate) struct Live<L> {
    pub(crate) link: Arc<L>,
    /// The number of the connection; the first one is 1.
    pub(crate) era: u64,
    pub(crate) outbox: Outbox,
}

impl<L> Clone for Live<L> {
    fn clone(&self) -> Self {
        Self { link: Arc::clone(&self.link), era: self.era, outbox: self.outbox.clone() }
    }
}

/// See the module.
pub(crate) struct Core<L> {
    pub(crate) origin: Origin,
    pub(crate) names: Names,
    pub(crate) options: Options,
    /// Where the instance's users subscribe.
    pub(crate) users: Endpoint,
    /// Where what the engine sends is published, on the same bus.
    pub(crate) engine: Endpoint,
    pub(crate) health: Health,
    pub(crate) registry: Registry,
    pub(crate) topics: Topics,
    pub(crate) sequencer: Numbers,
    pub(crate) released: Arc<Released>,
    /// The number of the connection whose messages are taken; those of an older one come too late.
    era: AtomicU64,
    /// `None` during an outage.
    pub(crate) live: watch::Sender<Option<Live<L>>>,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Counters,
}

/// What no part of the fan-out counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) lost: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        // Relaxed: a number, with nothing behind it.
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

impl<L: Link> Core<L> {
    pub(crate) fn new(options: Options, names: Names) -> Self {
        let bus = Bus::with_capacity(options.capacity);
        let released = Arc::new(Released::default());
        let releases = Arc::clone(&released);
        let origin = Origin::random();
        Self {
            origin,
            names,
            topics: Topics::default(),
            sequencer: Mutex::new(Sequencer::new(origin)),
            era: AtomicU64::new(0),
            users: bus.attach_with_release(move |topic| releases.add(topic)),
            engine: bus.attach(),
            health: Health::new(),
            registry: Registry::default(),
            released,
            live: watch::Sender::new(None),
            stop: CancellationToken::new(),
            counters: Counters::default(),
            options,
        }
    }

    /// The number of the next connection. From here on, nothing is taken from the last one.
    pub(crate) fn next_era(&self) -> u64 {
        self.era.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn is_current(&self, era: u64) -> bool {
        era == self.era.load(Ordering::Acquire)
    }

    /// Whether an envelope fits into what the engine takes.
    pub(crate) fn check_size(&self, envelope: &MessageEnvelope, most: Option<usize>) -> Result<()> {
        most.map_or(Ok(()), |most| wire::check_size(self.options.format, envelope, most))
    }

    /// The connection, if there is one that works.
    pub(crate) fn live(&self) -> Result<Live<L>> {
        if self.users.is_closed() {
            return Err(Error::Closed);
        }
        self.live.borrow().clone().ok_or_else(|| self.outage())
    }

    /// Why an operation could not be carried out, if it is not the operation's own fault.
    pub(crate) fn outage(&self) -> Error {
        if self.users.is_closed() {
            return Error::Closed;
        }
        Error::unavailable("the connection to the engine is lost")
    }

    /// Everything works, both ways: every topic is live. The order matters: a gap is told when its
    /// topic is live (H5), and the callbacks run last and may use the instance (H3, H4).
    pub(crate) fn go_live(&self, live: Live<L>) {
        self.users.resume();
        self.live.send_replace(Some(live));
        self.health.set(true);
    }

    /// Nothing works. Operations say so from here on (H6).
    pub(crate) fn lose(&self) {
        // A connection that was given up may still be there, and bring something: what it would
        // enter into the ledgers would be told as missing twice, by number and by the gap.
        self.next_era();
        self.live.send_replace(None);
        self.users.suspend();
        self.topics.start_again();
        self.health.set(false);
    }

    /// Ends everything for the user; the supervisor ends by itself.
    pub(crate) fn end(&self) {
        self.health.close();
        self.users.close();
        self.stop.cancel();
    }
}

impl<L: Link> Deliver for Core<L> {
    fn deliver(&self, era: u64, name: &str, frame: Bytes) {
        // An own echo (D2), before anything else is spent on it.
        if wire::peek_origin(&frame) == Some(self.origin) {
            return;
        }
        let Some(listened) = self.topics.get(name) else { return };
        if !self.is_current(era) {
            return;
        }
        let frame = match wire::decode(frame) {
            Ok(frame) => frame,
            Err(refused) => return self.refuse(name, &refused),
        };
        if let Err(refused) = frame.expect_topic(&listened.topic) {
            return self.refuse(name, &refused);
        }
        if let Some(stamp) = &frame.stamp {
            if stamp.origin == self.origin {
                return;
            }
            let mut ledger = listened.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            // Lost just now: the ledger may have been cleared already.
            if !self.is_current(era) {
                return;
            }
            match ledger.observe(stamp) {
                Verdict::Next => {}
                Verdict::Missed(missed) => self.tell(&listened.topic, Some(missed)),
                Verdict::Old => return,
            }
        }
        // Refused only when the instance has closed, and nobody is there to miss it.
        let _ = self.engine.publish(frame.envelope);
    }

    fn lost(&self, era: u64, name: &str, missed: Option<u64>) {
        if !self.is_current(era) {
            return;
        }
        if let Some(listened) = self.topics.get(name) {
            self.tell(&listened.topic, missed);
        }
    }
}

impl<L: Link> Core<L> {
    fn tell(&self, topic: &str, missed: Option<u64>) {
        Counters::add(&self.counters.lost, missed.unwrap_or(0));
        tracing::debug!(topic, ?missed, "messages were lost on their way");
        self.users.gap(topic, Gap::new(GapCause::Lagged, missed));
    }

    fn refuse(&self, name: &str, refused: &wire::Refused) {
        Counters::add(&self.counters.refused, 1);
        tracing::warn!(name, %refused, "something that is no envelope was dropped");
    }
}
