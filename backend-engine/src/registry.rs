//! What the engine has been asked for: at most one subscription a topic, however many there are
//! here.
//!
//! Every topic has a slot with a lock, which is held while the engine is asked: two that subscribe
//! to one topic at the same time do so one after the other, and so do one that subscribes and the
//! release of the last one before. Where the engine holds a subscription already, any number may
//! share the slot. Slots of different topics know nothing of each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// What the engine holds for a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing.
    #[default]
    No,
    /// It has been asked for, and its answer is not known: the one who asked has gone.
    Perhaps,
    /// A subscription.
    Yes,
}

type Slot = Arc<RwLock<Held>>;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: Mutex<HashMap<String, Slot>>,
}

impl Registry {
    /// The topic's slot, when it is this task's turn.
    pub(crate) async fn enter(&self, topic: &str) -> OwnedRwLockWriteGuard<Held> {
        loop {
            let slot = self.slot(topic);
            let held = Arc::clone(&slot).write_owned().await;
            if self.is_current(topic, &slot) {
                return held;
            }
        }
    }

    /// The topic's slot, to look at, together with others; nobody changes it meanwhile.
    pub(crate) async fn share(&self, topic: &str) -> OwnedRwLockReadGuard<Held> {
        loop {
            let slot = self.slot(topic);
            let held = Arc::clone(&slot).read_owned().await;
            if self.is_current(topic, &slot) {
                return held;
            }
        }
    }

    /// Forgets a topic that the engine holds nothing for; whoever waits for its slot makes another.
    pub(crate) fn forget(&self, topic: &str, held: OwnedRwLockWriteGuard<Held>) {
        if *held == Held::No {
            self.lock().remove(topic);
        }
    }

    /// A new connection, for which the engine holds nothing yet. Who holds a slot of the last one
    /// holds it in vain.
    pub(crate) fn start_again(&self) {
        self.lock().clear();
    }

    fn slot(&self, topic: &str) -> Slot {
        Arc::clone(self.lock().entry(topic.to_owned()).or_default())
    }

    /// A slot may be forgotten while a task waits for it; then another one has its place.
    fn is_current(&self, topic: &str, slot: &Slot) -> bool {
        self.lock().get(topic).is_some_and(|current| Arc::ptr_eq(current, slot))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
