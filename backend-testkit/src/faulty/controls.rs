//! The test's end: what goes wrong, and what has passed.

use std::fmt;
use std::sync::Arc;

use super::recording::{Record, Recording};
use super::rule::Rule;
use super::shared::Shared;

/// A test's hold on a [`Faulty`](super::Faulty) backend, wherever the application has put that.
///
/// From [`Faulty::controls`](super::Faulty::controls). A clone is another handle to the same. It
/// does not keep the instance from closing when the application drops it (C4).
#[derive(Clone)]
pub struct Controls(Arc<Shared>);

impl Controls {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Adds a rule, behind those that are there.
    pub fn add_rule(&self, rule: Rule) {
        self.0.script.add(rule);
    }

    /// Removes every rule. What was struck already stays so: what is delayed or held goes on to
    /// wait, and what is lost is still told.
    pub fn clear_rules(&self) {
        self.0.script.clear();
    }

    /// The seed that chance comes from, for the message of a test that fails.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.script.seed()
    }

    /// Begins an outage, as when a cable is pulled. It is an honest one, within the contract:
    ///
    /// * `publish` and `subscribe` give [`Error::Unavailable`](backend_core::Error::Unavailable);
    ///   `unsubscribe` and `close` work. Rules see nothing of what is refused.
    /// * The health is false.
    /// * Nothing is received. What had arrived before is still handed out.
    ///
    /// During an outage it does nothing.
    pub fn outage(&self) {
        self.0.outage();
    }

    /// Ends an outage. Every open stream goes on, with one gap (`Reconnected`, of unknown size) in
    /// the place of what went by. Then the health is true again, and the callbacks of
    /// `on_reconnect` run, before this returns. (An outage of the backend's own that lasts on
    /// keeps the health false, and the callbacks wait for its end.)
    ///
    /// Without an outage it does nothing.
    pub fn recover(&self) {
        self.0.recover();
    }

    /// Whether there is a scripted outage now.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.0.is_cut()
    }

    /// How many subscriptions the application holds now: those that it has neither dropped nor read
    /// to their end.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.0.subscriptions()
    }

    /// What has passed so far. Printed, it is one line for each step.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.0.recorder.recording()
    }

    /// Waits for the first step that `wanted` picks, so that a test needs no sleeps.
    ///
    /// It is asked about every step once, in order, beginning with the oldest that is kept: what
    /// has passed already counts, and it may count for itself. There is no limit of time here; put
    /// one around it.
    ///
    /// ```
    /// use backend_core::{Backend, MessageEnvelope};
    /// use backend_memory::MemoryBackend;
    /// use backend_testkit::Faulty;
    /// use backend_testkit::faulty::{Fate, Operation};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let faulty = Faulty::new(MemoryBackend::new());
    /// let controls = faulty.controls();
    /// tokio::spawn(async move { faulty.publish(MessageEnvelope::new("orders", "tea")).await });
    ///
    /// let sent = controls.until(|step| step.operation == Operation::Publish).await;
    /// assert_eq!((sent.data(), &sent.fate), (&b"tea"[..], &Fate::Passed));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn until(&self, wanted: impl FnMut(&Record) -> bool) -> Record {
        self.0.recorder.until(wanted).await
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls")
            .field("seed", &self.seed())
            .field("rules", &self.0.script.rules())
            .field("cut_off", &self.is_cut_off())
            .field("subscriptions", &self.subscriptions())
            .finish_non_exhaustive()
    }
}
