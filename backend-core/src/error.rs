//! What can go wrong, told in terms of what the caller can do about it.

use std::time::Duration;

/// An error of any type, as it came from an engine's client or a codec.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of every operation of a backend.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of a backend failed.
///
/// Loss of messages is *not* an error: it arrives in band, as [`Event::Gap`](crate::Event::Gap),
/// at the place where the messages are missing.
///
/// | ask | with |
/// |---|---|
/// | is this instance finished? | [`is_closed`](Self::is_closed) |
/// | may the same call succeed later? | [`is_retryable`](Self::is_retryable) |
/// | may it have taken effect all the same? | [`may_have_taken_effect`](Self::may_have_taken_effect) |
///
/// The text of an error never contains credentials, and of a topic or a payload no more than a
/// short piece.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This instance was closed; every further operation fails the same way (clause C2).
    #[error("the backend is closed")]
    Closed,

    /// The backend is cut off from its bus or engine and did not take the operation.
    ///
    /// **Clause H6.** During an outage operations fail quickly, with this error, or they succeed;
    /// they never hang, and never queue without bound. Nothing was queued here: an envelope
    /// refused this way has reached nobody, and will not appear later.
    #[error("the backend is unavailable: {0}")]
    Unavailable(#[source] BoxError),

    /// The backend cannot carry this topic, ever.
    ///
    /// Clause D7 leaves a backend little room here: every topic up to 1 KiB has to be accepted.
    #[error("invalid topic {}: {reason}", Shortened(topic))]
    #[non_exhaustive]
    InvalidTopic {
        /// The topic as it was given.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The data is larger than this backend can carry.
    #[error("payload of {actual} bytes is too large: the limit is {limit} bytes")]
    PayloadTooLarge {
        /// Length of the refused data, in bytes.
        actual: usize,
        /// The most that the backend takes for this envelope, in bytes.
        limit: usize,
    },

    /// No answer within the time given. Whether the operation took effect is unknown.
    #[error("no answer within {0:?}")]
    Timeout(Duration),

    /// The operation was handed over, and no answer came, or none that says what became of it. Whether
    /// it took effect is unknown.
    ///
    /// It is what an outage, or a close, makes of a publish that it meets half way; one that begins
    /// during the outage is [`Unavailable`](Self::Unavailable), one that begins after the close is
    /// [`Closed`](Self::Closed).
    #[error("unconfirmed, it may have taken effect: {0}")]
    Unconfirmed(#[source] BoxError),

    /// An envelope or a payload could not be encoded or decoded.
    #[error("cannot encode or decode: {}", Excerpt(.0))]
    Codec(#[source] BoxError),

    /// This backend does not offer what was asked for.
    #[error("unsupported: {0}")]
    Unsupported(String),

    /// The engine refused or failed in a way that has no variant of its own.
    #[error("backend error: {0}")]
    Backend(#[source] BoxError),
}

impl Error {
    /// An [`Error::Unavailable`] from an engine's error, or from a text that says what happened.
    pub fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// An [`Error::Unconfirmed`] from an engine's error, or from a text that says what happened.
    pub fn unconfirmed(cause: impl Into<BoxError>) -> Self {
        Self::Unconfirmed(cause.into())
    }

    /// An [`Error::InvalidTopic`].
    pub fn invalid_topic(topic: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidTopic { topic: topic.into(), reason: reason.into() }
    }

    /// An [`Error::Codec`] from a codec's error, or from a text that says what is wrong.
    pub fn codec(cause: impl Into<BoxError>) -> Self {
        Self::Codec(cause.into())
    }

    /// An [`Error::Backend`] from an engine's error.
    pub fn backend(cause: impl Into<BoxError>) -> Self {
        Self::Backend(cause.into())
    }

    /// Whether the instance is closed, so that no operation on it will ever succeed again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the same call, made again later, may succeed.
    ///
    /// True for [`Unavailable`](Self::Unavailable), and for what
    /// [may have taken effect](Self::may_have_taken_effect): there, publishing again can deliver
    /// twice.
    ///
    /// ```
    /// use backend_core::Error;
    ///
    /// assert!(Error::unavailable("connection refused").is_retryable());
    /// assert!(!Error::Closed.is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_)) || self.may_have_taken_effect()
    }

    /// Whether nobody knows if the operation took effect: a publish that failed so may have reached
    /// all subscriptions, some, or none. All other errors mean that it reached nobody.
    ///
    /// True for [`Timeout`](Self::Timeout) and [`Unconfirmed`](Self::Unconfirmed). Who publishes again
    /// gives the envelope an [id](crate::MessageEnvelope::with_id) by which readers know it, or does
    /// so only where twice does no harm.
    ///
    /// ```
    /// use backend_core::Error;
    ///
    /// assert!(Error::unconfirmed("connection reset").may_have_taken_effect());
    /// assert!(!Error::unavailable("connection refused").may_have_taken_effect());
    /// ```
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unconfirmed(_))
    }
}

/// Shows the start of a topic, escaped: a topic may be long and may hold control characters.
struct Shortened<'a>(&'a str);

impl std::fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 64;
        match self.0.char_indices().nth(SHOWN) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}… ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}

/// Shows the start of a codec's error: such an error likes to quote what it could not read.
struct Excerpt<'a>(&'a BoxError);

impl std::fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 240;
        let text = self.0.to_string();
        match text.char_indices().nth(SHOWN) {
            None => f.write_str(&text),
            Some((end, _)) => write!(f, "{}… ({} bytes)", &text[..end], text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_topic_is_shown_by_its_start() {
        let error = Error::invalid_topic("ä".repeat(2_000), "longer than 1 KiB");
        let text = error.to_string();
        assert!(text.ends_with("… (4000 bytes): longer than 1 KiB"), "{text}");
        assert!(text.len() < 250, "{text}");
    }

    #[test]
    fn control_characters_of_a_topic_are_escaped() {
        let error = Error::invalid_topic("a\r\nPUB b", "x");
        assert_eq!(error.to_string(), r#"invalid topic "a\r\nPUB b": x"#);
    }

    #[test]
    fn a_long_error_of_a_codec_is_shown_by_its_start() {
        assert_eq!(Error::codec("bad digit").to_string(), "cannot encode or decode: bad digit");

        let text = Error::codec("ü".repeat(1_000)).to_string();
        assert_eq!(text, format!("cannot encode or decode: {}… (2000 bytes)", "ü".repeat(240)));
    }

    #[test]
    fn only_an_outage_and_a_missing_answer_are_worth_a_retry() {
        let unanswered = [Error::unconfirmed("reset"), Error::Timeout(Duration::from_secs(1))];
        let refused = Error::unavailable("down");
        let final_ones = [
            Error::Closed,
            Error::invalid_topic("", ""),
            Error::PayloadTooLarge { actual: 2, limit: 1 },
            Error::codec("x"),
            Error::Unsupported("x".into()),
            Error::backend("x"),
        ];
        assert!(refused.is_retryable() && unanswered.iter().all(Error::is_retryable));
        assert!(!final_ones.iter().any(Error::is_retryable));
        assert!(unanswered.iter().all(Error::may_have_taken_effect));
        assert!(!refused.may_have_taken_effect());
        assert!(!final_ones.iter().any(Error::may_have_taken_effect));
        assert!(final_ones.iter().filter(|e| e.is_closed()).count() == 1);
    }
}
