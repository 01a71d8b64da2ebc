//! Topics that nobody here subscribes to any more, on their way to the engine.
//!
//! A subscription may be dropped anywhere: inside a runtime or outside, while a connection is there
//! or not. So dropping it does no more than to leave its topic here and wake the supervisor.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Never more of them than topics.
#[derive(Debug, Default)]
pub(crate) struct Released {
    topics: Mutex<HashSet<String>>,
    added: Notify,
}

impl Released {
    pub(crate) fn add(&self, topic: &str) {
        self.lock().insert(topic.to_owned());
        self.added.notify_one();
    }

    /// Waits until there may be some. A topic that came in before is not overlooked.
    pub(crate) async fn some(&self) {
        self.added.notified().await;
    }

    pub(crate) fn take(&self) -> HashSet<String> {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
