//! What a subscription hands out: messages, and the places where messages are missing.

use std::fmt;

use crate::MessageEnvelope;

/// One item of a [`Subscription`](crate::Subscription).
///
/// A gap is a variant here, and not an `Err`, on purpose: with a `Result`, a `?`, a
/// `while let Ok(..)` or an `.ok()` turns a loss that a reader can live with into the end of the
/// stream, or into silence. The enum keeps the place of the loss and asks the reader to decide.
/// [`Subscription::messages`](crate::Subscription::messages) is the named way not to care.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An envelope that another linked instance published.
    Message(MessageEnvelope),
    /// Envelopes are missing here.
    Gap(Gap),
}

impl Event {
    /// The envelope, if this is a message.
    #[inline]
    #[must_use]
    pub fn message(self) -> Option<MessageEnvelope> {
        match self {
            Self::Message(envelope) => Some(envelope),
            Self::Gap(_) => None,
        }
    }

    /// The gap, if this is one.
    #[inline]
    #[must_use]
    pub fn gap(self) -> Option<Gap> {
        match self {
            Self::Gap(gap) => Some(gap),
            Self::Message(_) => None,
        }
    }
}

/// A place in a stream where envelopes are missing.
///
/// **Clause L2.** Loss is never silent: the subscription gets a gap, in band, at the place where
/// the envelopes are missing, with their exact number where the backend can know it, and one gap
/// per episode. What a reader does with it is its own decision: load the current state again,
/// show "messages may be missing here", or go on.
///
/// Own envelopes, which a subscription never sees (D2), are not counted, nor are those that had
/// expired when it was their turn (T2). What an overflow has dropped is, whatever its ttl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Gap {
    /// Why they are missing.
    pub cause: GapCause,
    /// How many are missing, exactly; `None` where the backend cannot know.
    pub missed: Option<u64>,
}

impl Gap {
    /// A gap of a known or an unknown size, for authors of backends.
    #[must_use]
    pub const fn new(cause: GapCause, missed: Option<u64>) -> Self {
        Self { cause, missed }
    }

    /// `missed` envelopes were dropped because the reader was too slow.
    #[must_use]
    pub const fn lagged(missed: u64) -> Self {
        Self::new(GapCause::Lagged, Some(missed))
    }

    /// The connection was lost in between; nobody knows how many envelopes went by.
    #[must_use]
    pub const fn reconnected() -> Self {
        Self::new(GapCause::Reconnected, None)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.missed {
            Some(1) => f.write_str("1 message was missed")?,
            Some(missed) => write!(f, "{missed} messages were missed")?,
            None => f.write_str("messages may have been missed")?,
        }
        match self.cause {
            GapCause::Lagged => f.write_str(" (the reader lagged)"),
            GapCause::Reconnected => f.write_str(" (the connection was lost)"),
        }
    }
}

/// Why envelopes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// A buffer overflowed because envelopes came faster than they were read.
    ///
    /// **Clause L3.** The oldest go first: after the gap comes the newest that the buffer kept. A
    /// stalled subscription recovers; memory stays bounded.
    ///
    /// **Clause O3.** What arrives after an overflow is still in order.
    Lagged,
    /// The backend was cut off from its bus or engine for a while.
    ///
    /// **Clause H5.** Subscriptions survive an outage: the same stream goes on, with a gap once
    /// its topic is live again. Its size is unknown unless the engine's own bookkeeping tells.
    Reconnected,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_reads_as_a_sentence() {
        assert_eq!(Gap::lagged(1).to_string(), "1 message was missed (the reader lagged)");
        assert_eq!(Gap::lagged(3).to_string(), "3 messages were missed (the reader lagged)");
        assert_eq!(
            Gap::reconnected().to_string(),
            "messages may have been missed (the connection was lost)"
        );
    }
}
