//! Health that tells the truth, for backends that know it.

use crate::Backend;

/// What [`HealthAwareBackend::on_reconnect`] takes.
pub type ReconnectCallback = Box<dyn Fn() + Send + Sync>;

/// A backend that knows whether it works, and says when it works again.
///
/// Obtained from any backend through [`Backend::as_health_aware`].
///
/// **Clause H5.** Nobody needs the callbacks to subscribe again: subscriptions survive an outage.
/// The same stream goes on, with a [`Gap`](crate::Gap) of unknown size once its topic is live
/// again. **Clause H7.** What was unsubscribed during the outage stays so, and a second outage
/// during recovery is survived.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use backend_core::{Backend, HealthAwareBackend};
/// use backend_memory::MemoryBackend;
///
/// let memory = MemoryBackend::new();
/// let recoveries = Arc::new(AtomicU32::new(0));
/// let counter = Arc::clone(&recoveries);
///
/// let health = memory.as_health_aware().expect("the memory backend knows its health");
/// health.on_reconnect(Box::new(move || {
///     counter.fetch_add(1, Ordering::Relaxed);
/// }));
///
/// memory.partition();
/// assert!(!health.is_healthy());
/// memory.heal();
/// assert!(health.is_healthy());
/// assert_eq!(recoveries.load(Ordering::Relaxed), 1);
/// ```
pub trait HealthAwareBackend: Backend {
    /// Whether a publish would be delivered now.
    ///
    /// **Clause H1.** An instance is healthy when fresh, and not after `close`. **Clause H2.**
    /// Healthy means that a publish would be delivered, and that this instance would receive what
    /// others publish: both directions work. A connection that is merely open is not enough.
    ///
    /// # Implementers
    /// Answer from memory, at once; never ask the engine here.
    fn is_healthy(&self) -> bool;

    /// Registers a callback for every later return from unhealthy to healthy.
    ///
    /// Every callback registered is kept until the instance closes; registering another does not
    /// replace the first.
    ///
    /// **Clause H3.** Each fires once per unhealthy-to-healthy edge, in order of registration,
    /// after every topic is live again; never on first connect, from healthy to healthy, or after
    /// `close`. **Clause H4.** A callback may call back into the backend, a panicking one harms
    /// neither the others nor the backend, and no lock is held while they run.
    ///
    /// The callbacks run one after the other on the thread that noticed the recovery, so a long
    /// one delays the others: hand longer work to a task. A callback that owns an `Arc` of its own
    /// backend keeps that backend from closing by itself; give it a `Weak`.
    ///
    /// # Implementers
    /// Release the callbacks on `close`, and outside your locks. `backend_fanout::Health` does
    /// all of this.
    fn on_reconnect(&self, callback: ReconnectCallback);
}
