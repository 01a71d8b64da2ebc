//! The JSON format: the object that Go services of this field speak, and the stamp as one more
//! field of it.
//!
//! The envelope's own fields are those of its `Serialize`; `numbering` comes first, so that the
//! origin stands at a fixed place and can be had without a parser. Whoever does not know the field
//! skips it, as Go does.

use std::fmt;
use std::io;

use backend_core::{Error, MessageEnvelope, Result};
use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Frame, Refused};
use crate::{Origin, Stamp};

/// What a frame in JSON begins with; the digits of the origin follow.
const PREFIX: &[u8] = br#"{"numbering":{"origin":""#;

#[derive(Serialize)]
struct Written<'a> {
    numbering: Numbering,
    #[serde(flatten)]
    envelope: &'a MessageEnvelope,
}

/// What is read besides the envelope. Other fields are skipped.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    numbering: Option<Numbering>,
}

#[derive(Serialize, Deserialize)]
struct Numbering {
    origin: Hex,
    epoch: u64,
    sequence: u64,
}

impl From<Stamp> for Numbering {
    fn from(stamp: Stamp) -> Self {
        Self { origin: Hex(stamp.origin), epoch: stamp.epoch, sequence: stamp.sequence }
    }
}

impl From<Numbering> for Stamp {
    fn from(numbering: Numbering) -> Self {
        let Numbering { origin: Hex(origin), epoch, sequence } = numbering;
        Self { origin, epoch, sequence }
    }
}

/// An origin as a string.
struct Hex(Origin);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Hex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 hexadecimal digits as `origin`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex, E> {
                text.parse().map(Hex).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

pub(super) fn encode(stamp: &Stamp, envelope: &MessageEnvelope, into: &mut BytesMut) -> Result<()> {
    let start = into.len();
    let written = Written { numbering: (*stamp).into(), envelope };
    serde_json::to_writer((&mut *into).writer(), &written).map_err(|error| {
        // Nothing half-way stays in a buffer that others are appended to.
        into.truncate(start);
        Error::codec(error)
    })
}

/// The most that a frame of this envelope has besides its data: the two numbers of the stamp are
/// written in decimal, and counted as the longest.
pub(super) fn overhead(envelope: &MessageEnvelope) -> Result<usize> {
    let longest =
        Stamp { origin: Origin::from_bytes([0; 16]), epoch: u64::MAX, sequence: u64::MAX };
    let mut counter = Counter(0);
    let written = Written { numbering: longest.into(), envelope };
    serde_json::to_writer(&mut counter, &written).map_err(Error::codec)?;
    Ok(counter.0 - envelope.data().len())
}

/// More than a frame of this envelope can be long, without writing it: a byte takes six characters
/// at most (`\u0000`), and all that is not text fewer than 256.
pub(super) fn longest(envelope: &MessageEnvelope) -> usize {
    let texts = [Some(envelope.topic()), envelope.scope(), envelope.id()];
    let texts: usize = texts.into_iter().flatten().map(str::len).sum();
    (texts + envelope.data().len()).saturating_mul(6).saturating_add(256)
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the object twice, once for the envelope and once for the stamp: each reader skips what is
/// the other's, and neither keeps anything for later, as a flattened one would.
pub(super) fn decode(frame: &Bytes) -> Result<Frame, Refused> {
    let envelope: MessageEnvelope =
        serde_json::from_slice(frame).map_err(|error| Refused::json(&error))?;
    let Read { numbering } =
        serde_json::from_slice(frame).map_err(|error| Refused::json(&error))?;
    let stamp = numbering.map(Stamp::from);
    if stamp.is_some_and(|stamp| stamp.sequence == 0) {
        return Err(Refused::Sequence);
    }
    Ok(Frame { stamp, envelope, is_tally: false })
}

/// The origin where it stands first, as it does in what this crate writes.
pub(super) fn peek_origin(frame: &[u8]) -> Option<Origin> {
    let (digits, rest) = frame.strip_prefix(PREFIX)?.split_first_chunk::<32>()?;
    let closed = rest.first() == Some(&b'"');
    std::str::from_utf8(digits).ok().filter(|_| closed)?.parse().ok()
}
