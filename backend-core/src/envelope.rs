//! The envelope: what travels.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// One message on its way: topic, data, and optionally a scope, a time to live and an id.
///
/// An envelope is a handle, one pointer wide: cloning it is as cheap as cloning [`Bytes`], so
/// publishing it again after a retryable error, and handing it to a thousand readers, cost one
/// counter each. The `with_*` methods copy the fields first if there are other handles, so a clone
/// is never changed behind somebody's back.
///
/// **Clause D8.** Every field arrives exactly as it was published; an empty string is not an
/// absent one, and a ttl of zero is not an absent ttl.
///
/// ```
/// use std::time::Duration;
/// use backend_core::MessageEnvelope;
///
/// let envelope = MessageEnvelope::new("orders", r#"{"table":7}"#)
///     .with_scope("user:42")
///     .with_ttl(Duration::from_secs(30))
///     .with_id("order-1001");
///
/// assert_eq!(envelope.topic(), "orders");
/// assert_eq!(envelope.data(), r#"{"table":7}"#);
/// assert_eq!(envelope.scope(), Some("user:42"));
/// assert_eq!(envelope.ttl(), Some(Duration::from_secs(30)));
/// assert_eq!(envelope.id(), Some("order-1001"));
/// ```
///
/// With the feature `serde`, an envelope has the JSON form that Go services of this field speak:
/// `{"topic","data","scope"?,"ttl"?,"id"?}`, the ttl in whole milliseconds, rounded up (rounded
/// down, a microsecond would become 0, which means for ever). Data that is not UTF-8 travels in
/// base64 as `"data_base64"` in place of `"data"`. Binary serde formats carry the bytes and the
/// exact ttl.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageEnvelope(Arc<Fields>);

#[derive(Clone, PartialEq, Eq)]
struct Fields {
    topic: Topic,
    data: Bytes,
    scope: Option<Box<str>>,
    ttl: Option<Duration>,
    id: Option<Box<str>>,
}

/// The text of a topic, this envelope's own or that of many.
#[derive(Clone)]
enum Topic {
    Own(Box<str>),
    Shared(Arc<str>),
}

impl Topic {
    #[inline]
    fn as_str(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// Whose text it is makes no difference.
impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Topic {}

impl MessageEnvelope {
    /// An envelope for `topic` that carries `data`.
    ///
    /// Any string is a topic, the empty one too, and any bytes are data.
    #[inline]
    pub fn new(topic: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self::with_topic(Topic::Own(topic.into().into_boxed_str()), data.into())
    }

    /// The same, for those who make many envelopes of one topic, as backends do of what arrives:
    /// they share its text.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use backend_core::MessageEnvelope;
    ///
    /// let orders: Arc<str> = "orders".into();
    /// let one = MessageEnvelope::of_shared(Arc::clone(&orders), "one coffee");
    /// assert_eq!(one, MessageEnvelope::new("orders", "one coffee"));
    /// assert!(std::ptr::eq(one.topic(), &*orders));
    /// ```
    #[inline]
    pub fn of_shared(topic: Arc<str>, data: impl Into<Bytes>) -> Self {
        Self::with_topic(Topic::Shared(topic), data.into())
    }

    #[inline]
    fn with_topic(topic: Topic, data: Bytes) -> Self {
        Self(Arc::new(Fields { topic, data, scope: None, ttl: None, id: None }))
    }

    /// The same envelope, meant for a part of the topic's audience, such as `user:42`.
    ///
    /// **Clause D7.** No backend filters by scope: it is carried to the application, whose job it
    /// is to compare.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.fields_mut().scope = Some(scope.into().into_boxed_str());
        self
    }

    /// The same envelope, not to be handed out later than `ttl` after it arrived.
    ///
    /// **Clause T1.** The ttl is relative: it is counted on a monotonic clock, from the moment the
    /// receiving process got the envelope, so clocks of different machines do not matter.
    /// **Clause T2.** An expired envelope is not handed out; it is counted (see
    /// [`BackendStats::expired`](crate::BackendStats::expired)), and it is no gap. A ttl of zero
    /// means what no ttl means: it never expires.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.fields_mut().ttl = Some(ttl);
        self
    }

    /// The same envelope with an id, for applications that replay or deduplicate.
    ///
    /// Backends carry it and do not look at it.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.fields_mut().id = Some(id.into().into_boxed_str());
        self
    }

    /// The topic that it is published to.
    #[inline]
    #[must_use]
    pub fn topic(&self) -> &str {
        self.0.topic.as_str()
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.0.data
    }

    /// The part of the audience that it is meant for, if any.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.scope.as_deref()
    }

    /// How long after its arrival it may be handed out; `None` and zero both mean for ever.
    #[inline]
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.0.ttl
    }

    /// The application's own id, if any.
    #[inline]
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    fn fields_mut(&mut self) -> &mut Fields {
        Arc::make_mut(&mut self.0)
    }
}

/// Shows the length of the data and its first bytes, never a megabyte.
impl fmt::Debug for MessageEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageEnvelope")
            .field("topic", &self.topic())
            .field("data", &Preview(self.data()))
            .field("scope", &self.scope())
            .field("ttl", &self.ttl())
            .field("id", &self.id())
            .finish()
    }
}

struct Preview<'a>(&'a [u8]);

impl fmt::Debug for Preview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let shown = &self.0[..self.0.len().min(SHOWN)];
        let more = if shown.len() < self.0.len() { "…" } else { "" };
        write!(f, "b\"{}{more}\" ({} bytes)", shown.escape_ascii(), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_one_pointer_and_a_clone_shares_it() {
        assert_eq!(size_of::<MessageEnvelope>(), size_of::<usize>());
        assert_eq!(size_of::<Option<MessageEnvelope>>(), size_of::<usize>());

        let envelope = MessageEnvelope::new("t", vec![7_u8; 1 << 20]);
        let clone = envelope.clone();
        assert_eq!(clone.data().as_ptr(), envelope.data().as_ptr());
    }

    #[test]
    fn changing_a_clone_leaves_the_original_alone() {
        let plain = MessageEnvelope::new("t", "x");
        let scoped = plain.clone().with_scope("s").with_id("i").with_ttl(Duration::ZERO);
        assert_eq!((plain.scope(), plain.id(), plain.ttl()), (None, None, None));
        assert_eq!(scoped.scope(), Some("s"));
        assert_eq!(scoped.id(), Some("i"));
        assert_eq!(scoped.ttl(), Some(Duration::ZERO));
    }

    #[test]
    fn an_empty_field_is_not_an_absent_one() {
        let plain = MessageEnvelope::new("", "");
        assert_ne!(plain, plain.clone().with_scope(""));
        assert_ne!(plain, plain.clone().with_id(""));
        assert_ne!(plain, plain.clone().with_ttl(Duration::ZERO));
    }

    #[test]
    fn debug_shows_the_length_and_the_first_bytes_only() {
        let text = format!("{:?}", MessageEnvelope::new("t", vec![b'a'; 1 << 20]));
        assert!(text.contains("(1048576 bytes)"), "{text}");
        assert!(text.contains("aaaa…"), "{text}");
        assert!(text.len() < 200, "{text}");

        let binary = format!("{:?}", MessageEnvelope::new("t", vec![0_u8, 0xff, b'"']));
        assert!(binary.contains(r#"b"\x00\xff\"" (3 bytes)"#), "{binary}");
    }
}
