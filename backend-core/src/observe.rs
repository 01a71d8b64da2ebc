//! Counters, for backends that keep them.

use crate::Backend;

/// A backend that counts what it does.
///
/// Obtained from any backend through [`Backend::as_observable`].
pub trait ObservableBackend: Backend {
    /// The counters of this instance at this moment.
    ///
    /// Cheap enough to call on every scrape of a metrics endpoint. Each counter is exact; a
    /// snapshot taken while traffic flows need not be of one single moment. Counters go on being
    /// readable after `close`.
    fn stats(&self) -> BackendStats;
}

/// What one instance has done since it was made, and what it holds now.
///
/// Fields may be added; authors of backends start from `Default` and set what they count:
///
/// ```
/// use backend_core::BackendStats;
///
/// let mut stats = BackendStats::default();
/// stats.sent = 3;
/// assert_eq!(stats.received, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStats {
    /// Whether the instance is connected to its bus or engine, and not closed.
    pub connected: bool,
    /// Publishes that returned `Ok`.
    pub sent: u64,
    /// Envelopes that this instance's subscriptions have taken from its buffers, counted once per
    /// subscription. They take some at a time: what is then dropped unread is in here, and what
    /// expires before it is handed out is in [`expired`](Self::expired) as well.
    pub received: u64,
    /// Envelopes that gaps have told this instance's subscriptions to be missing, where the number
    /// was known; counted once per subscription.
    pub missed: u64,
    /// Envelopes to this instance's topics that are known never to have reached it: the engine lost
    /// them, or the connection of the instance that published them did. Counted once, however many
    /// subscriptions are told; what a slow reader has missed besides is in [`missed`](Self::missed)
    /// alone. Always 0 without an engine.
    pub lost: u64,
    /// Gaps told to this instance's subscriptions, of known and of unknown size.
    pub gaps: u64,
    /// Envelopes that were not handed out because their ttl had run out (clause T2).
    pub expired: u64,
    /// Messages of the engine that were dropped: they were no envelopes of their topic (a stranger's,
    /// a broken one, one of an unknown version), or had come before, or so late that they had been
    /// told as missing. Always 0 without an engine.
    pub refused: u64,
    /// How often the connection to the bus or engine was lost and has come back, with every topic.
    pub reconnects: u64,
    /// Topics with at least one live subscription of this instance, now.
    pub topics: u64,
    /// Live subscriptions of this instance, now.
    pub subscriptions: u64,
}
