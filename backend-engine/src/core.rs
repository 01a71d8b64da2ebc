//! What the handle of an instance, its supervisor and its connection share.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend_core::{Error, MessageEnvelope, Result};
use backend_fanout::{Bus, Endpoint, Health};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::driver::Link;
use crate::name::Names;
use crate::options::Options;
use crate::outbox::{Offered, Outbox};
use crate::press::{Account, Press};
use crate::registry::Registry;
use crate::released::Released;
use crate::topics::Topics;
use crate::{Origin, wire};

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
    pub(crate) press: Mutex<Press>,
    pub(crate) released: Arc<Released>,
    /// The number of the connection whose messages are taken; those of an older one come too late.
    era: AtomicU64,
    /// `None` during an outage.
    pub(crate) live: watch::Sender<Option<Live<L>>>,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Counters,
    /// What there is to say of the end, for whoever closes first.
    farewell: Mutex<Result<()>>,
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
            press: Press::new(origin),
            era: AtomicU64::new(0),
            users: bus.attach_with_release(move |topic| releases.add(topic)),
            engine: bus.attach(),
            health: Health::new(),
            registry: Registry::default(),
            released,
            live: watch::Sender::new(None),
            stop: CancellationToken::new(),
            counters: Counters::of(origin),
            farewell: Mutex::new(Ok(())),
            options,
        }
    }

    /// The number of the next connection. From here on, nothing is taken from the last one.
    pub(crate) fn next_era(&self) -> u64 {
        self.era.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(crate) fn is_current(&self, era: u64) -> bool {
        era == self.era.load(Ordering::Acquire)
    }

    /// Whether an envelope fits into what the engine takes.
    fn check_size(&self, envelope: &MessageEnvelope, most: Option<usize>) -> Result<()> {
        most.map_or(Ok(()), |most| wire::check_size(self.options.format, envelope, most))
    }

    /// The connection, if there is one that works.
    pub(crate) fn live(&self) -> Result<Live<L>> {
        if self.users.is_closed() {
            return Err(Error::Closed);
        }
        self.live.borrow().clone().ok_or_else(|| self.outage())
    }

    /// Whether this is the connection still.
    pub(crate) fn check_still(&self, live: &Live<L>) -> Result<()> {
        if self.live()?.era == live.era { Ok(()) } else { Err(self.outage()) }
    }

    /// Hands an envelope over, if that needs no waiting. The envelope is dropped after the locks are
    /// released: its data may belong to somebody who does anything then.
    pub(crate) fn offer(&self, envelope: MessageEnvelope) -> Offered {
        let live = self.live.borrow();
        let Some(live) = live.as_ref().filter(|_| !self.users.is_closed()) else {
            return Offered::Done(Err(self.outage()));
        };
        match self.check_size(&envelope, live.link.max_message()) {
            Ok(()) => live.outbox.offer(self, &live.link, &envelope),
            Err(error) => Offered::Done(Err(error)),
        }
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
        // What came while the topics came back, one after the other, was in the outage, too.
        self.topics.interrupt();
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
        self.topics.interrupt();
        self.health.set(false);
    }

    /// The end of the last connection, and whether all that was handed over has gone through it.
    pub(crate) fn leave(&self, all_sent: Result<()>) {
        let Account { taken, lost } = self.press().unsettled();
        let refused = || Err(Error::unavailable("the engine's client has not taken it"));
        let all_sent = if lost == 0 { all_sent } else { all_sent.and_then(|()| refused()) };
        if let (Err(why), true, 1..) = (all_sent, L::IS_UNANSWERED, taken) {
            tracing::warn!(instance = %self.origin, envelopes = taken, %why, "closed, and what was published last may be lost");
            let cause =
                format!("what was published last, {taken} envelopes at most, may be lost: {why}");
            *self.farewell() = Err(Error::unconfirmed(cause));
        }
    }

    /// What is to be said of the end, once.
    pub(crate) fn take_leave(&self) -> Result<()> {
        mem::replace(&mut *self.farewell(), Ok(()))
    }

    fn farewell(&self) -> MutexGuard<'_, Result<()>> {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything for the user; the supervisor ends by itself.
    pub(crate) fn end(&self) {
        // Also if a user's waker panics.
        let _stop = self.stop.clone().drop_guard();
        self.health.close();
        self.users.close();
    }
}
