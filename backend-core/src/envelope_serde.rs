//! The envelope in serde formats: the JSON object that Go services speak, and exact binary forms.
//!
//! # Formats that people read (JSON, RON, YAML, …)
//! One object, its fields in this order:
//!
//! | field | present | value |
//! |---|---|---|
//! | `topic` | always | a string |
//! | `data` | where the data is UTF-8 | a string |
//! | `data_base64` | in place of `data`, where it is not | a string in standard base64, padded |
//! | `scope` | where there is one | a string, `""` for an empty one |
//! | `ttl` | where there is one | whole milliseconds, rounded up; 0 for a ttl of zero |
//! | `id` | where there is one | a string, `""` for an empty one |
//!
//! The shape is what Go's `encoding/json` makes of Tavern's struct, whose tags are
//! `json:"topic"`, `json:"data"`, `json:"scope,omitempty"`, `json:"ttl,omitempty"` and
//! `json:"id,omitempty"`. The source of each rule:
//!
//! 1. An absent field is left out, as `omitempty` does. An empty one is written (clause D8: an
//!    empty string is not an absent one); Go reads both alike.
//! 2. Go's `TTL` is an `int64`, so that a ttl of more than `i64::MAX` milliseconds cannot be
//!    written, and a number outside of `0..=i64::MAX`, or with a fraction or an exponent, cannot be
//!    read. Rounded down, a microsecond would become 0, which means for ever (clause T2).
//! 3. `null` for `scope`, `ttl` or `id` means absent: Go leaves the field as it was. `null` for
//!    `topic` or `data` is an error, for it would make an empty one out of nothing.
//! 4. Unknown fields are skipped, as Go does. Go takes the last of two equal fields and ignores
//!    case; here a field given twice is an error and `Topic` is not `topic`, so that no envelope
//!    means one thing to one reader and another thing to the next.
//! 5. Go's `Data` is text. Data that is not UTF-8 has a field of its own, so that nothing is lost
//!    and a Go service sees an empty `Data`, not one with characters replaced. Exactly one of the
//!    two fields is there; base64 of data that is UTF-8 after all is read, but never written.
//!
//! # Binary formats
//! Always five fields (`topic`, `data`, `scope`, `ttl`, `id`), the data as bytes, and the ttl as
//! an exact `Option<Duration>`.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::ser::{self, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::MessageEnvelope;

const NAME: &str = "MessageEnvelope";
const FIELDS: &[&str] = &["topic", "data", "data_base64", "scope", "ttl", "id"];

impl Serialize for MessageEnvelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serialize_readable(self, serializer)
        } else {
            Binary {
                topic: self.topic(),
                data: self.data().clone(),
                scope: self.scope(),
                ttl: self.ttl(),
                id: self.id(),
            }
            .serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for MessageEnvelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_struct(NAME, FIELDS, Readable)
        } else {
            let Binary { topic, data, scope, ttl, id } =
                Binary::<String>::deserialize(deserializer)?;
            Ok(assemble(topic, data, scope, ttl, id))
        }
    }
}

/// The five fields of a binary format; `&str` to write, `String` to read.
#[derive(Serialize, Deserialize)]
#[serde(rename = "MessageEnvelope")]
struct Binary<S> {
    topic: S,
    data: Bytes,
    scope: Option<S>,
    ttl: Option<Duration>,
    id: Option<S>,
}

fn assemble(
    topic: String,
    data: Bytes,
    scope: Option<String>,
    ttl: Option<Duration>,
    id: Option<String>,
) -> MessageEnvelope {
    let mut envelope = MessageEnvelope::new(topic, data);
    if let Some(scope) = scope {
        envelope = envelope.with_scope(scope);
    }
    if let Some(ttl) = ttl {
        envelope = envelope.with_ttl(ttl);
    }
    if let Some(id) = id {
        envelope = envelope.with_id(id);
    }
    envelope
}

fn serialize_readable<S: Serializer>(
    envelope: &MessageEnvelope,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (scope, id) = (envelope.scope(), envelope.id());
    let ttl = envelope.ttl().map(whole_milliseconds).transpose()?;
    let present = [scope.is_some(), ttl.is_some(), id.is_some()].into_iter().filter(|&p| p).count();

    let mut object = serializer.serialize_struct(NAME, 2 + present)?;
    object.serialize_field("topic", envelope.topic())?;
    match std::str::from_utf8(envelope.data()) {
        Ok(text) => object.serialize_field("data", text)?,
        Err(_) => object.serialize_field("data_base64", &Base64(envelope.data()))?,
    }
    optional_field(&mut object, "scope", &scope)?;
    optional_field(&mut object, "ttl", &ttl)?;
    optional_field(&mut object, "id", &id)?;
    object.end()
}

/// Written as an `Option`, which JSON does not show, since RON and its like ask for a `Some`.
fn optional_field<O: SerializeStruct, T: Serialize>(
    object: &mut O,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), O::Error> {
    match value {
        Some(_) => object.serialize_field(name, value),
        None => object.skip_field(name),
    }
}

fn whole_milliseconds<E: ser::Error>(ttl: Duration) -> Result<i64, E> {
    i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).map_err(|_| {
        E::custom(format_args!("`ttl` of {ttl:?} is longer than {} milliseconds", i64::MAX))
    })
}

/// Bytes that are written as base64, without the whole text in memory.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Topic,
    Data,
    DataBase64,
    Scope,
    Ttl,
    Id,
    #[serde(other)]
    Unknown,
}

/// Reads the object of a human-readable format.
struct Readable;

impl<'de> Visitor<'de> for Readable {
    type Value = MessageEnvelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message envelope: an object with `topic` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MessageEnvelope, A::Error> {
        let mut topic = None;
        let mut data = None;
        let mut data_base64 = None;
        let mut scope = None;
        let mut ttl = None;
        let mut id = None;

        while let Some(field) = map.next_key()? {
            match field {
                Field::Topic => read_once(&mut map, &mut topic, "topic", Text("topic"))?,
                Field::Data => read_once(&mut map, &mut data, "data", Text("data"))?,
                Field::DataBase64 => {
                    read_once(&mut map, &mut data_base64, "data_base64", Base64Text)?;
                }
                Field::Scope => read_once(&mut map, &mut scope, "scope", OrNull(Text("scope")))?,
                Field::Ttl => read_once(&mut map, &mut ttl, "ttl", OrNull(Milliseconds))?,
                Field::Id => read_once(&mut map, &mut id, "id", OrNull(Text("id")))?,
                Field::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }

        let topic = topic.ok_or_else(|| de::Error::missing_field("topic"))?;
        let data = match (data, data_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(bytes)) => Bytes::from(bytes),
            (Some(_), Some(_)) => {
                return Err(de::Error::custom("both `data` and `data_base64`: one is allowed"));
            }
            (None, None) => {
                return Err(de::Error::custom("missing field `data` (or `data_base64`)"));
            }
        };
        Ok(assemble(topic, data, scope.flatten(), ttl.flatten(), id.flatten()))
    }
}

fn read_once<'de, A: MapAccess<'de>, F: DeserializeSeed<'de>>(
    map: &mut A,
    slot: &mut Option<F::Value>,
    name: &'static str,
    field: F,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *slot = Some(map.next_value_seed(field)?);
    Ok(())
}

// The readers below exist for their `expecting`: it puts the name of the field into the error, which
// a plain `String` or `i64` cannot do.

/// A string; holds the name of its field.
#[derive(Clone, Copy)]
struct Text(&'static str);

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_string(self)
    }
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string as `{}`", self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
}

/// Bytes from the string in `data_base64`.
struct Base64Text;

impl<'de> DeserializeSeed<'de> for Base64Text {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Base64Text {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string in padded base64 as `data_base64`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        STANDARD
            .decode(text)
            .map_err(|error| E::custom(format_args!("invalid base64 in `data_base64`: {error}")))
    }
}

/// A ttl from the number in `ttl`.
#[derive(Clone, Copy)]
struct Milliseconds;

impl<'de> DeserializeSeed<'de> for Milliseconds {
    type Value = Duration;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

impl Visitor<'_> for Milliseconds {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "whole milliseconds from 0 to {} as `ttl`", i64::MAX)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
        u64::try_from(number)
            .map(Duration::from_millis)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

/// Another reader, or `null` for nothing.
struct OrNull<F>(F);

impl<'de, F> DeserializeSeed<'de> for OrNull<F>
where
    F: DeserializeSeed<'de> + Visitor<'de>,
{
    type Value = Option<<F as DeserializeSeed<'de>>::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, F> Visitor<'de> for OrNull<F>
where
    F: DeserializeSeed<'de> + Visitor<'de>,
{
    type Value = Option<<F as DeserializeSeed<'de>>::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)?;
        f.write_str(", or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}
