//! The binary format, version 1, as the page *The wire* lays it out.
//!
//! 1. All numbers are big-endian and of fixed width: the place of each field is known before any
//!    is read, nothing branches on a length, and the whole length is checked once, at the head.
//! 2. Lengths are added up as `u64`, where five `u32` cannot overflow; nothing is allocated before
//!    the sum is known to be there.
//! 3. The data comes last and is a slice of the message.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use backend_core::{Error, MessageEnvelope, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Frame, Refused};
use crate::{Origin, Stamp};

/// The first byte. No UTF-8 text contains it, so no JSON begins with it.
pub(super) const MAGIC: u8 = 0xF7;
/// The second byte.
pub(super) const VERSION: u8 = 1;
/// What every frame has: magic, version, origin, epoch, sequence, flags, two lengths.
pub(super) const HEAD: usize = 1 + 1 + 16 + 8 + 8 + 1 + 4 + 4;

/// Where the flags stand.
const FLAGS: usize = 1 + 1 + 16 + 8 + 8;

const SCOPE: u8 = 0b001;
const TTL: u8 = 0b010;
const ID: u8 = 0b100;
/// Not an envelope: how far the numbers have come. No other flag stands beside it.
const TALLY: u8 = 0b1000;

/// All that is not data: the head, the optional part of it, and the texts.
pub(super) fn overhead(envelope: &MessageEnvelope) -> usize {
    let text = |text: Option<&str>| text.map_or(0, |text| 4 + text.len());
    let ttl = if envelope.ttl().is_some() { 12 } else { 0 };
    HEAD + ttl + envelope.topic().len() + text(envelope.scope()) + text(envelope.id())
}

pub(super) fn encode(stamp: &Stamp, envelope: &MessageEnvelope, into: &mut BytesMut) -> Result<()> {
    let (topic, data) = (envelope.topic(), envelope.data());
    let (scope, ttl, id) = (envelope.scope(), envelope.ttl(), envelope.id());
    let topic_length = length("topic", topic.len())?;
    let data_length = length("data", data.len())?;
    let scope_length = scope.map(|scope| length("scope", scope.len())).transpose()?;
    let id_length = id.map(|id| length("id", id.len())).transpose()?;

    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    let flags = flag(scope.is_some(), SCOPE) | flag(ttl.is_some(), TTL) | flag(id.is_some(), ID);

    into.reserve(overhead(envelope) + data.len());
    into.put_u8(MAGIC);
    into.put_u8(VERSION);
    into.put_slice(stamp.origin.as_bytes());
    into.put_u64(stamp.epoch);
    into.put_u64(stamp.sequence);
    into.put_u8(flags);
    into.put_u32(topic_length);
    into.put_u32(data_length);
    if let Some(length) = scope_length {
        into.put_u32(length);
    }
    if let Some(ttl) = ttl {
        into.put_u64(ttl.as_secs());
        into.put_u32(ttl.subsec_nanos());
    }
    if let Some(length) = id_length {
        into.put_u32(length);
    }
    into.put_slice(topic.as_bytes());
    into.put_slice(scope.unwrap_or_default().as_bytes());
    into.put_slice(id.unwrap_or_default().as_bytes());
    into.put_slice(data);
    Ok(())
}

pub(super) fn encode_tally(stamp: &Stamp, topic: &str, into: &mut BytesMut) -> Result<()> {
    let start = into.len();
    encode(stamp, &MessageEnvelope::new(topic, Bytes::new()), into)?;
    into[start + FLAGS] = TALLY;
    Ok(())
}

fn length(field: &str, length: usize) -> Result<u32> {
    u32::try_from(length)
        .map_err(|_| Error::codec(format!("{field} of {length} bytes: the wire takes up to 4 GiB")))
}

/// Takes the first frame off what begins with one; nothing, if that is refused. The envelope shares the
/// text of its topic if that is `known`.
pub(super) fn decode(from: &mut Bytes, known: Option<&Arc<str>>) -> Result<Frame, Refused> {
    let mut rest = Reader { all: from.len(), rest: from };
    let [_magic, version] = rest.array()?;
    if version != VERSION {
        return Err(Refused::Version { version });
    }
    let origin = Origin::from_bytes(rest.array()?);
    let (epoch, sequence) = (rest.u64()?, rest.u64()?);
    let [flags] = rest.array()?;
    let is_tally = flags == TALLY;
    if flags & !(SCOPE | TTL | ID) != 0 && !is_tally {
        return Err(Refused::Flags { flags });
    }
    let (topic, data) = (rest.u32()?, rest.u32()?);
    if is_tally && data != 0 {
        return Err(Refused::Trailing { extra: data.into() });
    }
    let scope = if flags & SCOPE != 0 { Some(rest.u32()?) } else { None };
    let ttl = if flags & TTL != 0 { Some((rest.u64()?, rest.u32()?)) } else { None };
    let id = if flags & ID != 0 { Some(rest.u32()?) } else { None };
    rest.holds([topic, scope.unwrap_or(0), id.unwrap_or(0), data])?;

    if sequence == 0 {
        return Err(Refused::Sequence);
    }
    let topic = rest.bytes(topic)?;
    let known = known.filter(|known| known.as_bytes() == topic);
    // What is known is a text.
    let topic = if known.is_some() { String::new() } else { text(topic, "topic")?.to_owned() };
    let mut owned = |length: Option<u32>, field| {
        length.map(|length| text(rest.bytes(length)?, field).map(str::to_owned)).transpose()
    };
    let (scope, id) = (owned(scope, "scope")?, owned(id, "id")?);
    let ttl = ttl.map(|(seconds, nanoseconds)| lifetime(seconds, nanoseconds)).transpose()?;
    let before = from.len() - rest.rest.len();
    from.advance(before);
    // That they are there has been checked by `holds`. The last ones need no second handle.
    let data = data as usize;
    let data = if data == from.len() { mem::take(from) } else { from.split_to(data) };
    let mut envelope = match known {
        Some(known) => MessageEnvelope::of_shared(Arc::clone(known), data),
        None => MessageEnvelope::new(topic, data),
    };
    if let Some(scope) = scope {
        envelope = envelope.with_scope(scope);
    }
    if let Some(id) = id {
        envelope = envelope.with_id(id);
    }
    if let Some(ttl) = ttl {
        envelope = envelope.with_ttl(ttl);
    }
    Ok(Frame { stamp: Some(Stamp { origin, epoch, sequence }), envelope, is_tally })
}

fn lifetime(seconds: u64, nanoseconds: u32) -> Result<Duration, Refused> {
    match nanoseconds {
        // More would be carried over into the seconds, which may have no room for it.
        0..1_000_000_000 => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(Refused::Ttl { nanoseconds }),
    }
}

/// The origin of a frame of this version, without a look at anything else.
pub(super) fn peek_origin(frame: &[u8]) -> Option<Origin> {
    let rest = frame.strip_prefix(&[MAGIC, VERSION])?;
    rest.first_chunk().map(|bytes| Origin::from_bytes(*bytes))
}

/// What has not been read of a frame of `all` bytes.
struct Reader<'a> {
    all: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (array, rest) =
            self.rest.split_first_chunk().ok_or_else(|| self.truncated(N as u64))?;
        self.rest = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, Refused> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_be_bytes)
    }

    /// Whether the rest is as long as these together, at least.
    fn holds(&self, lengths: [u32; 4]) -> Result<(), Refused> {
        let needed = lengths.into_iter().map(u64::from).sum();
        if needed > self.rest.len() as u64 { Err(self.truncated(needed)) } else { Ok(()) }
    }

    fn bytes(&mut self, length: u32) -> Result<&'a [u8], Refused> {
        // That they are there has been checked by `holds`; asked again, it costs nothing.
        let (bytes, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length))
            .ok_or_else(|| self.truncated(length.into()))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn truncated(&self, wanted: u64) -> Refused {
        let read = self.all - self.rest.len();
        Refused::Truncated { needed: read as u64 + wanted, actual: self.all as u64 }
    }
}

fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, Refused> {
    std::str::from_utf8(bytes).map_err(|_| Refused::Text { field })
}
