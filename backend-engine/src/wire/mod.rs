//! Envelopes as bytes, and back: what goes through the engine.
//!
//! An envelope is a *frame*. A *message* of the engine has one frame, or several binary ones of one
//! topic and one instance, one right behind the other.
//!
//! There are two formats, and every instance reads both, so they may be mixed on one bus.
//!
//! | | [`Format::Binary`] | [`Format::Json`] |
//! |---|---|---|
//! | first byte | `0xF7` | `{` |
//! | carries | everything, exactly | data that is not UTF-8 as base64, ttl in milliseconds, rounded up |
//! | is for | speed | eyes, and services in Go that read Tavern's JSON |
//! | adds to the data | [`overhead`], known before | up to that much |
//!
//! The page `docs/wire.md` of the repository says what each byte means, for those who speak the
//! format in another language.
//!
//! Nobody need be trusted: whatever the bytes, [`decode`] gives a frame or a [`Refused`], never
//! panics, and allocates in proportion to the frame's own length, whatever lengths it claims.
//!
//! ```
//! use backend_core::MessageEnvelope;
//! use backend_engine::wire::{self, Format};
//! use backend_engine::{Origin, Stamp};
//! use bytes::BytesMut;
//!
//! let here = Stamp { origin: Origin::random(), epoch: 0, sequence: 1 };
//! let order = MessageEnvelope::new("orders", "one coffee");
//!
//! // One buffer for many frames: each is split off, and what is left over serves the next.
//! let mut buffer = BytesMut::with_capacity(64 * 1024);
//! wire::encode(Format::Binary, &here, &order, &mut buffer)?;
//! let frame = buffer.split().freeze();
//! assert_eq!(frame.len(), wire::overhead(Format::Binary, &order)? + order.data().len());
//!
//! // There: is it our own echo? If not, decode it; the data is a slice of the frame.
//! assert_eq!(wire::peek_origin(&frame), Some(here.origin));
//! let decoded = wire::decode(frame)?;
//! decoded.expect_topic("orders")?;
//! assert_eq!((decoded.stamp, decoded.envelope), (Some(here), order));
//!
//! // What Go services publish has no numbers, and is read just the same.
//! let tavern = wire::decode(r#"{"topic":"orders","data":"one tea","ttl":500}"#.into())?;
//! assert_eq!(tavern.stamp, None);
//! assert_eq!(tavern.envelope.data(), "one tea");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binary;
mod json;
mod refused;

use std::iter::FusedIterator;
use std::mem;
use std::sync::Arc;

use backend_core::{Error, MessageEnvelope, Result};
use bytes::{Bytes, BytesMut};

pub use self::refused::Refused;
use crate::{Origin, Stamp};

/// How an instance writes its envelopes. It reads both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Version 1 of the binary format.
    #[default]
    Binary,
    /// Tavern's JSON, with the stamp as the field `numbering`.
    ///
    /// A ttl is rounded up to whole milliseconds, and one of more than `i64::MAX` milliseconds
    /// cannot be written.
    Json,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The envelope's number; `None` in JSON without `numbering`. How many such envelopes were
    /// lost, and whether one is an own echo, nobody can tell.
    pub stamp: Option<Stamp>,
    /// What was published.
    pub envelope: MessageEnvelope,
    /// Nothing was: it is a [tally](encode_tally), and of the envelope there is the topic only.
    pub is_tally: bool,
}

impl Frame {
    /// Whether it is an envelope of `topic`, as what arrives under that topic's name should be.
    ///
    /// Long topics have a digest for a [name](crate::name), and anybody may publish anything under
    /// any name: the topic in the frame decides (clause D7).
    ///
    /// # Errors
    /// [`Refused::Topic`] if it is not.
    pub fn expect_topic(&self, topic: &str) -> Result<(), Refused> {
        if self.envelope.topic() == topic { Ok(()) } else { Err(Refused::Topic) }
    }
}

/// Appends the frame of `envelope` to `into`, whose capacity is grown where it does not suffice.
///
/// `into` may hold other frames already: of the same message, or split yours off and freeze it. All
/// that was split off one buffer shares its memory, which is freed with the last of them.
///
/// # Errors
/// [`Error::Codec`]: the format has no form for the envelope (JSON: a ttl of more than `i64::MAX`
/// milliseconds; binary: a field of more than 4 GiB). `into` is then as it was.
pub fn encode(
    format: Format,
    stamp: &Stamp,
    envelope: &MessageEnvelope,
    into: &mut BytesMut,
) -> Result<()> {
    match format {
        Format::Binary => binary::encode(stamp, envelope, into),
        Format::Json => json::encode(stamp, envelope, into),
    }
}

/// Appends a tally: a frame without an envelope, which says that the numbers of this topic have come
/// as far as this stamp.
///
/// What is lost is told when something later arrives; and when nothing later was published, a tally
/// is that. It goes the same way, behind what was published, and uses up no number: see
/// [`Ledger::observe_tally`](crate::Ledger::observe_tally). In binary only, for whoever reads JSON may
/// take it for an envelope.
///
/// # Errors
/// [`Error::Codec`]: a topic of more than 4 GiB.
pub fn encode_tally(stamp: &Stamp, topic: &str, into: &mut BytesMut) -> Result<()> {
    binary::encode_tally(stamp, topic, into)
}

/// Reads a message that is one frame, of either format.
///
/// The data of a binary frame is a slice of `frame`, and keeps its memory.
///
/// # Errors
/// [`Refused`], if it is not exactly one well-formed frame of a known version.
pub fn decode(mut frame: Bytes) -> Result<Frame, Refused> {
    let decoded = read(&mut frame, None)?;
    match frame.len() {
        0 => Ok(decoded),
        extra => Err(Refused::Trailing { extra: extra as u64 }),
    }
}

/// Reads a message, which has one frame or more, of this topic: each as [`decode`] and
/// [`Frame::expect_topic`] would, one after the other.
///
/// Ends with the message, or with what is refused of it: where the next frame would begin, nobody
/// knows then. An empty message is refused. Envelopes of binary frames share the text of the topic,
/// and their data the memory of the message, which is freed with the last of them.
///
/// ```
/// use std::sync::Arc;
///
/// use backend_core::MessageEnvelope;
/// use backend_engine::wire::{self, Format, Refused};
/// use backend_engine::{Origin, Stamp};
/// use bytes::BytesMut;
///
/// let (origin, mut message) = (Origin::random(), BytesMut::new());
/// for (sequence, what) in [(1, "one coffee"), (2, "one tea")] {
///     let stamp = Stamp { origin, epoch: 0, sequence };
///     wire::encode(Format::Binary, &stamp, &MessageEnvelope::new("orders", what), &mut message)?;
/// }
/// message.extend_from_slice(b"and more");
///
/// let topic = Arc::from("orders");
/// let mut frames = wire::frames(&topic, message.freeze());
/// assert_eq!(frames.next().unwrap()?.envelope.data(), "one coffee");
/// assert_eq!(frames.next().unwrap()?.envelope.data(), "one tea");
/// assert_eq!(frames.next(), Some(Err(Refused::Foreign { first: b'a' })));
/// assert_eq!(frames.next(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn frames(topic: &Arc<str>, message: Bytes) -> Frames<'_> {
    Frames { topic, rest: message, is_first: true }
}

/// What [`frames`] gives.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    topic: &'a Arc<str>,
    rest: Bytes,
    is_first: bool,
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_first = mem::replace(&mut self.is_first, false);
        let frame = match self.rest.first() {
            None if !is_first => return None,
            // Not behind another one: JSON is a message of its own.
            Some(&first) if !is_first && first != binary::MAGIC => Err(Refused::Foreign { first }),
            _ => read(&mut self.rest, Some(self.topic)),
        };
        let frame = frame.and_then(|frame| frame.expect_topic(self.topic).map(|()| frame));
        if frame.is_err() {
            self.rest = Bytes::new();
        }
        Some(frame)
    }
}

impl FusedIterator for Frames<'_> {}

/// Takes a frame off what begins with one.
fn read(from: &mut Bytes, known: Option<&Arc<str>>) -> Result<Frame, Refused> {
    match from.first() {
        None => Err(Refused::Empty),
        Some(&binary::MAGIC) => binary::decode(from, known),
        Some(b'{') => json::decode(&mem::take(from)),
        Some(&first) => Err(Refused::Foreign { first }),
    }
}

/// Who published this message, if that stands at its place: a few nanoseconds, to drop an own echo
/// before it is decoded.
///
/// `None` says nothing: it may be in JSON of another order, of an unknown version, or no message of
/// this project's at all. If its first frame decodes, what was peeked is its stamp's origin.
#[must_use]
pub fn peek_origin(message: &[u8]) -> Option<Origin> {
    match message.first() {
        Some(&binary::MAGIC) => binary::peek_origin(message),
        _ => json::peek_origin(message),
    }
}

/// How many bytes the frame has besides the data.
///
/// [`Format::Binary`]: exactly that many. [`Format::Json`]: at most that many, and at most 38 less,
/// for how long the stamp's two numbers are in decimal; what escapes and base64 add to the data is
/// counted, so it depends on the data, too.
///
/// # Errors
/// [`Error::Codec`], where JSON has no form for the envelope.
pub fn overhead(format: Format, envelope: &MessageEnvelope) -> Result<usize> {
    match format {
        Format::Binary => Ok(binary::overhead(envelope)),
        Format::Json => json::overhead(envelope),
    }
}

/// Whether the frame fits into the `largest` payload that the engine takes, in bytes.
///
/// ```
/// use backend_core::{Error, MessageEnvelope};
/// use backend_engine::wire::{self, Format};
///
/// let envelope = MessageEnvelope::new("orders", vec![0; 1_000]);
/// match wire::check_size(Format::Binary, &envelope, 1_024) {
///     // 24 bytes are left for topic and head, which need 49.
///     Err(Error::PayloadTooLarge { actual, limit }) => assert_eq!((actual, limit), (1_000, 975)),
///     other => panic!("{other:?}"),
/// }
/// ```
///
/// # Errors
/// [`Error::PayloadTooLarge`] with the length of the data, and how much of it there may be with
/// this topic, scope, ttl and id: exactly, in binary. In JSON the limit is that of data that grows
/// by as many bytes as this one. It is 0 where the rest is too large even without data.
/// [`Error::Codec`] as [`overhead`].
pub fn check_size(format: Format, envelope: &MessageEnvelope, largest: usize) -> Result<()> {
    let actual = envelope.data().len();
    if format == Format::Json && json::longest(envelope) <= largest {
        return Ok(());
    }
    let overhead = overhead(format, envelope)?;
    if overhead.saturating_add(actual) <= largest {
        return Ok(());
    }
    Err(Error::PayloadTooLarge { actual, limit: largest.saturating_sub(overhead) })
}
