//! One instance of the service: its hub, its health, and its own readers.
//!
//! This is the file to copy from. A realtime service does five things with a backend:
//!
//! 1. It wraps it in a [`Hub`], so that what is posted here also reaches the readers here. A
//!    backend alone delivers to the *other* instances only (clause D2).
//! 2. It publishes through the hub, and decides what an outage means to its users. Here a message
//!    still reaches this instance's own readers, and its sender is told that nobody else has it.
//! 3. It subscribes through the hub, once for every reader. Subscriptions survive an outage by
//!    themselves (clause H5), so there is no code for reconnecting.
//! 4. It watches the backend's health: for the health check of a load balancer, and so that what
//!    could not subscribe during an outage does so after it. The end of an outage calls back; for
//!    its beginning the backend is asked, again and again.
//! 5. It closes the hub on shutdown, which ends every subscription.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backend_core::{Backend, BackendStats, Error, MessageEnvelope, Result, Subscription};
use backend_hub::Hub;
use backend_memory::MemoryBackend;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::message::{Draft, Message};
use crate::readers::{Reader, Readers};
use crate::room::Room;

/// How often the backend is asked whether it is well. People who look at a page take a quarter of a
/// second for "at once", and asking costs next to nothing.
const ASKED: Duration = Duration::from_millis(250);

/// One instance of the service.
pub struct Instance {
    name: Box<str>,
    /// Drawn at each start. With it, ids are unique among all instances of all times, also where
    /// two have one name.
    tag: u64,
    /// The same backend that the hub has, for its health and its counters.
    backend: Arc<dyn Backend>,
    /// And once more by its own type, for the two buttons of the page: no other has them.
    memory: Option<Arc<MemoryBackend>>,
    hub: Hub,
    /// Whether the backend is healthy, for everybody who wants to know when that changes.
    health: Arc<watch::Sender<bool>>,
    readers: Readers,
    /// How many messages were signed here.
    signed: AtomicU64,
    /// How many of them went to everybody, and how many to this instance's readers only.
    sent_out: AtomicU64,
    kept_here: AtomicU64,
}

impl Instance {
    /// An instance over the memory backend, with the two buttons that cut it off and heal it.
    ///
    /// Needs a tokio runtime, as [`over`](Self::over).
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, backend: MemoryBackend, capacity: usize) -> Self {
        let memory = Arc::new(backend);
        Self { memory: Some(Arc::clone(&memory)), ..Self::over(name, memory, capacity) }
    }

    /// An instance over any backend, whose hub keeps `capacity` of its own messages per room for
    /// readers that are slow to take them.
    ///
    /// Needs a tokio runtime, in which a task watches the backend's health for as long as the
    /// instance lives.
    #[must_use]
    pub fn over(name: impl Into<Box<str>>, backend: Arc<dyn Backend>, capacity: usize) -> Self {
        let hub = Hub::with_capacity(Arc::clone(&backend), capacity);
        let health = Arc::new(watch::Sender::new(is_healthy(&*backend)));

        if let Some(aware) = backend.as_health_aware() {
            // A callback is kept until its backend closes. If it held the backend itself, the
            // backend would never close by being dropped.
            let weak = Arc::downgrade(&backend);
            let watched = Arc::clone(&health);
            aware.on_reconnect(Box::new(move || refresh(&watched, &weak)));
            tokio::spawn(watch_health(Arc::clone(&health), Arc::downgrade(&backend)));
        }

        Self {
            name: name.into(),
            tag: fastrand::u64(..),
            backend,
            memory: None,
            hub,
            health,
            readers: Readers::default(),
            signed: AtomicU64::new(0),
            sent_out: AtomicU64::new(0),
            kept_here: AtomicU64::new(0),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a message to everybody who reads `room`, on every instance.
    ///
    /// During an outage it reaches this instance's own readers, and the receipt says so. Nothing
    /// is queued: the others will see a gap, not a late message.
    pub(crate) async fn post(&self, room: &Room, draft: Draft) -> Result<Receipt> {
        let message = self.sign(draft);
        let envelope =
            MessageEnvelope::from_json(room.topic(), &message)?.with_id(message.id.as_str());
        let delivered = match self.hub.publish(envelope).await {
            Ok(()) => {
                self.sent_out.fetch_add(1, Ordering::Relaxed);
                Delivered::Everywhere
            }
            // An outage may show here first.
            Err(error) if error.is_retryable() => {
                self.kept_here.fetch_add(1, Ordering::Relaxed);
                self.refresh_health();
                Delivered::ThisInstanceOnly
            }
            Err(error) => return Err(error),
        };
        Ok(Receipt { delivered, message })
    }

    /// Starts to receive what is posted to `room`, here and on the other instances.
    pub(crate) async fn subscribe(&self, room: &Room) -> Result<Subscription> {
        self.hub.subscribe(room.topic()).await
    }

    /// Counts one more reader of `room` on this instance.
    pub(crate) fn join(&self, room: &Room) -> Reader {
        self.readers.join(room)
    }

    /// The health, now and whenever it changes; also marked as changed on shutdown.
    pub(crate) fn health(&self) -> watch::Receiver<bool> {
        self.health.subscribe()
    }

    /// Whether a message posted now would reach the other instances.
    pub(crate) fn is_healthy(&self) -> bool {
        is_healthy(&*self.backend)
    }

    /// What there is to say about this instance, for people and for monitoring.
    pub(crate) fn report(&self) -> Value {
        let stats = self.stats();
        let count = |of: fn(BackendStats) -> u64| stats.map(of);
        json!({
            "instance": &*self.name,
            "healthy": self.is_healthy(),
            "readers": self.readers.counts(),
            "sent": count(|stats| stats.sent),
            "received": count(|stats| stats.received),
            "gaps": count(|stats| stats.gaps),
            "missed": count(|stats| stats.missed),
        })
    }

    /// The backend's counters, if it keeps any.
    pub(crate) fn stats(&self) -> Option<BackendStats> {
        self.backend.as_observable().map(|observable| observable.stats())
    }

    /// How many messages were posted here and accepted, by whom they were handed to.
    pub(crate) fn posts(&self) -> [(Delivered, u64); 2] {
        [(Delivered::Everywhere, &self.sent_out), (Delivered::ThisInstanceOnly, &self.kept_here)]
            .map(|(delivered, count)| (delivered, count.load(Ordering::Relaxed)))
    }

    /// How many people read along on this instance, in all rooms.
    pub(crate) fn readers(&self) -> usize {
        self.readers.counts().values().sum()
    }

    /// Whether it has the two buttons.
    pub(crate) fn can_be_cut_off(&self) -> bool {
        self.memory.is_some()
    }

    /// Cuts this instance off the bus, as when a cable is pulled.
    pub(crate) fn partition(&self) -> Result<()> {
        self.memory()?.partition();
        self.refresh_health();
        Ok(())
    }

    /// Puts it back on the bus: every open subscription gets a gap, and the callbacks run.
    pub(crate) fn heal(&self) -> Result<()> {
        self.memory()?.heal();
        self.refresh_health();
        Ok(())
    }

    fn memory(&self) -> Result<&MemoryBackend> {
        let only = || Error::Unsupported("the memory backend alone can be cut off here".into());
        self.memory.as_deref().ok_or_else(only)
    }

    /// Ends every subscription, and with them every event stream on this instance.
    ///
    /// # Errors
    /// An engine's error on the way out; it is closed all the same.
    pub async fn close(&self) -> Result<()> {
        let closed = self.hub.close().await;
        // A stream that waits for the end of an outage has no subscription that could end.
        self.health.send_modify(|_| {});
        closed
    }

    fn refresh_health(&self) {
        refresh(&self.health, &Arc::downgrade(&self.backend));
    }

    fn sign(&self, draft: Draft) -> Message {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let number = self.signed.fetch_add(1, Ordering::Relaxed);
        Message {
            id: format!("{}-{:016x}-{number}", self.name, self.tag),
            name: draft.name,
            text: draft.text,
            instance: self.name.to_string(),
            time,
        }
    }
}

/// Makes the watched health the true one.
///
/// It is asked for inside `send_modify`, under the lock of the watch: of two threads that come
/// here at once, the later one also writes the later answer.
///
/// It counts as a change even if the answer is the same, so that whoever failed to subscribe
/// between an outage and its end is sure to be woken, and tries again.
fn refresh(health: &watch::Sender<bool>, backend: &Weak<dyn Backend>) {
    if let Some(backend) = backend.upgrade() {
        health.send_modify(|healthy| *healthy = is_healthy(&*backend));
    }
}

/// Sees the beginning of an outage, of which nobody is called. Ends with the backend.
async fn watch_health(health: Arc<watch::Sender<bool>>, backend: Weak<dyn Backend>) {
    let mut asked = interval(ASKED);
    asked.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        asked.tick().await;
        let Some(backend) = backend.upgrade() else { return };
        health.send_if_modified(|known| {
            let now = is_healthy(&*backend);
            std::mem::replace(known, now) != now
        });
    }
}

/// A backend that does not know its health is taken to be well.
fn is_healthy(backend: &dyn Backend) -> bool {
    backend.as_health_aware().is_none_or(|health| health.is_healthy())
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the sender of a message is told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Receipt {
    pub(crate) delivered: Delivered,
    pub(crate) message: Message,
}

/// Whom a message was handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Delivered {
    #[serde(rename = "everywhere")]
    Everywhere,
    #[serde(rename = "this instance only")]
    ThisInstanceOnly,
}

/// Whether it is worth trying again later: an outage, or the beginning of one that has not been
/// noticed, rather than a backend that is closed or unable.
pub(crate) fn is_outage(error: &Error) -> bool {
    error.is_retryable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropping_an_instance_lets_go_of_its_backend_in_spite_of_the_callback() {
        let instance = Instance::new("alpha", MemoryBackend::new(), 8);
        let backend = Arc::downgrade(&instance.backend);
        drop(instance);
        assert!(backend.upgrade().is_none());
    }

    #[tokio::test]
    async fn everybody_who_watches_the_health_sees_the_cut_and_the_return() {
        let instance = Instance::new("alpha", MemoryBackend::new(), 8);
        let mut health = instance.health();
        assert!(*health.borrow_and_update());

        instance.partition().unwrap();
        assert!(health.has_changed().unwrap());
        assert!(!*health.borrow_and_update());

        instance.heal().unwrap();
        assert!(health.has_changed().unwrap());
        assert!(*health.borrow_and_update());
    }

    #[tokio::test]
    async fn a_return_that_the_backend_finds_by_itself_is_seen_through_the_callback() {
        let instance = Instance::new("alpha", MemoryBackend::new(), 8);
        instance.partition().unwrap();
        let mut health = instance.health();
        assert!(!*health.borrow_and_update());

        instance.memory().unwrap().heal();
        assert!(*health.borrow_and_update());
    }

    #[tokio::test]
    async fn an_outage_that_nobody_says_anything_of_is_seen() {
        let instance = Instance::new("alpha", MemoryBackend::new(), 8);
        let mut health = instance.health();
        assert!(*health.borrow_and_update());
        instance.memory().unwrap().partition();
        let seen = tokio::time::timeout(Duration::from_secs(20), health.changed()).await;
        seen.expect("it is seen").unwrap();
        assert!(!*health.borrow_and_update());
    }

    #[tokio::test]
    async fn ids_are_unique_also_where_two_instances_have_one_name() {
        let [here, there] = [(), ()].map(|()| Instance::new("tea", MemoryBackend::new(), 8));
        let draft = Draft { name: "Ada".into(), text: "hello".into() };
        let ids: std::collections::HashSet<_> =
            [&here, &here, &there].map(|instance| instance.sign(draft.clone()).id).into();
        assert_eq!(ids.len(), 3, "{ids:?}");
        assert!(ids.iter().all(|id| id.starts_with("tea-")), "{ids:?}");
    }
}
