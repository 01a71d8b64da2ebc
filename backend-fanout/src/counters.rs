//! What one endpoint counts.
//!
//! Plain std atomics, relaxed: they order nothing, and loom need not try their interleavings.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use backend_core::BackendStats;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    missed: AtomicU64,
    reconnects: AtomicU64,
    gaps: AtomicU64,
    expired: AtomicU64,
    subscriptions: AtomicU64,
}

impl Counters {
    pub(crate) fn sent(&self, envelopes: usize) {
        self.sent.fetch_add(envelopes as u64, Relaxed);
    }

    pub(crate) fn received(&self, envelopes: usize) {
        self.received.fetch_add(envelopes as u64, Relaxed);
    }

    pub(crate) fn gap(&self, missed: Option<u64>) {
        self.gaps.fetch_add(1, Relaxed);
        self.missed.fetch_add(missed.unwrap_or(0), Relaxed);
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.subscriptions.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, subscriptions: usize) {
        self.subscriptions.fetch_sub(subscriptions as u64, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> BackendStats {
        let mut stats = BackendStats::default();
        stats.sent = self.sent.load(Relaxed);
        stats.received = self.received.load(Relaxed);
        stats.missed = self.missed.load(Relaxed);
        stats.reconnects = self.reconnects.load(Relaxed);
        stats.gaps = self.gaps.load(Relaxed);
        stats.expired = self.expired.load(Relaxed);
        stats.subscriptions = self.subscriptions.load(Relaxed);
        stats
    }
}
