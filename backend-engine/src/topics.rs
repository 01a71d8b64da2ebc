//! The topics that the engine sends to this instance: by name, with what is known of their
//! publishers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Ledger;
use crate::name::EngineName;

/// A topic that was asked for.
pub(crate) struct Listened {
    pub(crate) topic: String,
    pub(crate) ledger: Mutex<Ledger>,
}

#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<EngineName, Arc<Listened>>>);

impl Topics {
    /// From here on, what arrives under this name is of this topic.
    pub(crate) fn listen(&self, name: &EngineName, topic: &str) {
        self.lock().entry(name.clone()).or_insert_with(|| {
            Arc::new(Listened { topic: topic.to_owned(), ledger: Mutex::default() })
        });
    }

    pub(crate) fn forget(&self, name: &EngineName) {
        self.lock().remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Listened>> {
        self.lock().get(name).map(Arc::clone)
    }

    /// In an outage of this instance nobody knows what goes by; one gap in each topic will say so.
    pub(crate) fn interrupt(&self) {
        for listened in self.lock().values() {
            listened.ledger.lock().unwrap_or_else(PoisonError::into_inner).interrupt();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EngineName, Arc<Listened>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
