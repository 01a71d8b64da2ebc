//! The topics that the engine sends to this instance: by name, with what is known of their
//! publishers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend_core::MessageEnvelope;
use hashbrown::HashMap;

use crate::Ledger;
use crate::name::EngineName;

/// How many envelopes a topic that has fallen quiet keeps room for.
const ROOM_KEPT: usize = 64;

/// A topic that was asked for.
pub(crate) struct Listened {
    pub(crate) topic: Arc<str>,
    arrivals: Mutex<Arrivals>,
}

/// What is known of what has arrived. Held while a frame is read, and not while it is handed out.
#[derive(Default)]
pub(crate) struct Arrivals {
    pub(crate) ledger: Ledger,
    /// Room for envelopes on their way from the frames to the fan-out; there are none in it.
    pub(crate) room: Vec<MessageEnvelope>,
}

impl Listened {
    /// For the next time. A crowd's room is given back.
    pub(crate) fn give_back(&self, room: Vec<MessageEnvelope>) {
        if room.capacity() <= ROOM_KEPT {
            self.lock().room = room;
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<EngineName, Arc<Listened>>>);

impl Topics {
    /// From here on, what arrives under this name is of this topic.
    pub(crate) fn listen(&self, name: &EngineName, topic: &str) {
        self.lock().entry(name.clone()).or_insert_with(|| {
            Arc::new(Listened { topic: topic.into(), arrivals: Mutex::default() })
        });
    }

    pub(crate) fn forget(&self, name: &EngineName) {
        self.lock().remove(name);
    }

    /// Forgets all but these.
    pub(crate) fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        self.lock().retain(|_, listened| is_kept(&listened.topic));
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Listened>> {
        self.lock().get(name).map(Arc::clone)
    }

    /// This name is subscribed to from here on. In a cluster, some of what was published before has
    /// arrived, and some has not: nothing of it is missing.
    pub(crate) fn begin(&self, name: &EngineName) {
        if let Some(listened) = self.get(name.as_str()) {
            listened.lock().ledger.interrupt();
        }
    }

    /// In an outage of this instance nobody knows what goes by; one gap in each topic will say so.
    pub(crate) fn interrupt(&self) {
        for listened in self.lock().values() {
            listened.lock().ledger.interrupt();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EngineName, Arc<Listened>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
