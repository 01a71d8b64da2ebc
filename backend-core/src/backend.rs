//! The contract's trait.

use crate::{HealthAwareBackend, MessageEnvelope, ObservableBackend, Result, Subscription};

/// Carries envelopes between the instances of a service.
///
/// One value is one *instance*; instances are *linked* when they share a bus or an engine. What
/// one instance publishes reaches the subscriptions of all the others, and not its own. The crate
/// page has the whole [contract](crate#the-contract), clause by clause.
///
/// The trait is object-safe: an application holds an `Arc<dyn Backend>` and is started with any
/// backend. `Arc<B>`, `Box<B>` and `&B` are backends themselves and forward every method.
///
/// # Implementers
/// Start from `backend-fanout`, which has the buffering, the gaps, the ttl and the release of
/// subscriptions, and prove the result with `backend-testkit`. A wrapper around another backend
/// forwards [`as_health_aware`](Self::as_health_aware) and [`as_observable`](Self::as_observable)
/// as well, or it hides what the inner one knows.
///
/// An instance is not `Clone`: share it with an `Arc`. So "the last handle" has one meaning (C4),
/// and nobody makes a second instance, which hears the first, by accident.
#[async_trait::async_trait]
pub trait Backend: Send + Sync {
    /// Sends an envelope to every subscription to its topic on every *other* linked instance.
    ///
    /// `Ok` means that the bus or engine has taken the envelope; it does not mean that somebody
    /// was there to get it, nor that they have it already.
    ///
    /// * **D1.** It reaches every live subscription to exactly that topic on every other linked
    ///   instance. **D2.** It is never echoed to a subscription of this instance. **D5.** It
    ///   arrives at most once; two equal envelopes are still two.
    /// * **D6.** With nobody subscribed, publishing is `Ok`.
    /// * **O1.** What one instance publishes to one topic arrives in the order in which the calls
    ///   were made. **O2.** A backend that claims a total order shows all publishers' envelopes in
    ///   the same order to everybody.
    /// * **L1.** It never waits for a subscriber, and a slow subscriber harms nobody else.
    ///
    /// # Cancel safety
    /// **X2.** When the future is dropped before it is ready, the envelope was delivered to all or
    /// to none.
    ///
    /// # Errors
    /// * [`Error::Closed`](crate::Error::Closed) after `close` (C2).
    /// * [`Error::Unavailable`](crate::Error::Unavailable) during an outage (H6): nothing was
    ///   queued, nobody will get it. Publish again later if it still matters; a clone of an
    ///   envelope costs one counter.
    /// * [`Error::PayloadTooLarge`](crate::Error::PayloadTooLarge),
    ///   [`Error::InvalidTopic`](crate::Error::InvalidTopic) where the engine has such limits.
    /// * [`Error::Timeout`](crate::Error::Timeout) when the engine did not answer in time, and
    ///   [`Error::Unconfirmed`](crate::Error::Unconfirmed) when the connection broke, or the instance was
    ///   closed, before it did: the envelope
    ///   [may have been delivered](crate::Error::may_have_taken_effect), so that publishing it again can
    ///   deliver it twice. With every other error it was not.
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()>;

    /// Starts receiving what other linked instances publish to `topic`.
    ///
    /// * **D3.** The subscription sees nothing that was published before this call. **D4.** Once
    ///   this call has returned, every publish that starts later, on any linked instance, is
    ///   delivered: no warm-up, no sleep.
    /// * **D7.** Topics match byte for byte: prefixes, case, a trailing space, NFC against NFD,
    ///   `*` `>` `#` `?` `[a]`, dots and control characters are ordinary; the empty string is a
    ///   topic; a topic of 1 KiB is accepted. Nothing is filtered by scope.
    /// * **U3.** Several subscriptions to one topic on one instance are independent, and each sees
    ///   everything.
    ///
    /// # Cancel safety
    /// **X1.** Dropping the future at any point leaves nothing behind.
    ///
    /// # Errors
    /// * [`Error::Closed`](crate::Error::Closed) after `close` (C2).
    /// * [`Error::Unavailable`](crate::Error::Unavailable) during an outage (H6), since D4 could
    ///   not be promised.
    /// * [`Error::InvalidTopic`](crate::Error::InvalidTopic) where the engine cannot carry it.
    /// * [`Error::Timeout`](crate::Error::Timeout) when the engine did not confirm. Try again: what may
    ///   be left of it at the engine is used again, or given up.
    ///
    /// # Implementers
    /// Return only when the engine has *confirmed* the subscription: a socket that was flushed is
    /// no confirmation.
    async fn subscribe(&self, topic: &str) -> Result<Subscription>;

    /// Ends every subscription of this instance to `topic`.
    ///
    /// To end just one, drop it.
    ///
    /// **U1.** What was accepted before is still handed out, then each stream gives `None`. An
    /// unknown topic is `Ok`. **U2.** Subscribing again starts afresh. During an outage it takes
    /// effect at once, and stays so after the recovery (H7).
    ///
    /// # Cancel safety
    /// When the future is dropped before it is ready, the streams have ended or they have not;
    /// call again to be sure.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) after `close` (C2).
    async fn unsubscribe(&self, topic: &str) -> Result<()>;

    /// Ends this instance and every one of its subscriptions.
    ///
    /// **C1.** Streams end after handing out what was accepted before; blocked readers wake up;
    /// closing twice is `Ok`, and safe to race with anything. **C2.** Afterwards publish,
    /// subscribe and unsubscribe give [`Error::Closed`](crate::Error::Closed), every time.
    /// **C3.** Other instances go on. **C4.** Dropping the last handle of an instance closes it
    /// as well; call `close` where you want to see its error.
    ///
    /// # Cancel safety
    /// When the future is dropped before it is ready, the instance may be closed in part; call
    /// again, or drop the last handle.
    ///
    /// # Errors
    /// Whatever it is, the instance is closed. Who closes first is told, and only once.
    ///
    /// * [`Error::Unconfirmed`](crate::Error::Unconfirmed) where what was published last, and was `Ok`,
    ///   may be lost.
    /// * [`Error::Backend`](crate::Error::Backend): an engine's error on the way out.
    async fn close(&self) -> Result<()>;

    /// This backend as one that knows its health, if it does.
    ///
    /// # Implementers
    /// Return `Some(self)` where you implement [`HealthAwareBackend`]; a wrapper forwards.
    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        None
    }

    /// This backend as one that keeps counters, if it does.
    ///
    /// # Implementers
    /// Return `Some(self)` where you implement [`ObservableBackend`]; a wrapper forwards.
    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        None
    }
}
