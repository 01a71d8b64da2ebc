//! What the fan-out does not count, and the log lines that go with it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use backend_core::BackendStats;

use crate::Origin;
use crate::seldom::Seldom;

/// Relaxed, all of them: numbers, with nothing behind them.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Whose they are, for the log.
    instance: Origin,
    sent: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
    tell_losses: Seldom,
    tell_refusals: Seldom,
}

impl Counters {
    pub(crate) fn of(instance: Origin) -> Self {
        Self {
            instance,
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            tell_losses: Seldom::default(),
            tell_refusals: Seldom::default(),
        }
    }

    /// A publish was `Ok`.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// Envelopes have not arrived; so many, if that is known.
    pub(crate) fn lost(&self, topic: &str, missed: Option<u64>) {
        self.lost.fetch_add(missed.unwrap_or(0), Relaxed);
        if let Some(gaps) = self.tell_losses.happened(1, Instant::now()) {
            let instance = self.instance;
            tracing::warn!(%instance, topic, missed, gaps, "envelopes were lost on their way here");
        }
    }

    /// Something that arrived under this name was dropped.
    pub(crate) fn refused(&self, name: &str, why: &dyn fmt::Display) {
        self.refused.fetch_add(1, Relaxed);
        if let Some(messages) = self.tell_refusals.happened(1, Instant::now()) {
            let instance = self.instance;
            tracing::warn!(%instance, name, %why, messages, "a message of the engine was dropped");
        }
    }

    pub(crate) fn enter_into(&self, stats: &mut BackendStats) {
        stats.sent = self.sent.load(Relaxed);
        stats.lost = self.lost.load(Relaxed);
        stats.refused = self.refused.load(Relaxed);
    }
}
