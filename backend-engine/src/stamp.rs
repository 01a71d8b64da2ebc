//! Who published an envelope, and as the how-many-eth: what every frame carries besides it.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Which instance published: 16 random bytes that it makes when it is made, and keeps.
///
/// It stays the same over reconnects, so that an instance knows its own envelopes wherever they
/// come back to it (clause D2), and others can go on counting. It is no secret and proves nothing.
///
/// ```
/// use backend_engine::Origin;
///
/// let origin = Origin::from_bytes([0xab; 16]);
/// assert_eq!(origin.to_string(), "abababababababababababababababab");
/// assert_eq!("abababababababababababababababab".parse(), Ok(origin));
/// assert_ne!(Origin::random(), Origin::random());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin([u8; 16]);

impl Origin {
    /// The origin of a new instance.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// The origin with these bytes; any 16 bytes are one.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as they are on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// As 32 hexadecimal digits in lower case.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(Uuid::from_bytes(self.0).as_simple(), f)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

/// Reads 32 hexadecimal digits, in lower or upper case, and nothing else.
impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        // The parser of UUIDs takes hyphens and braces, too, but then there are more characters.
        if text.len() != 32 {
            return Err(NotAnOrigin);
        }
        let parsed = Uuid::try_parse(text).map_err(|_| NotAnOrigin)?;
        Ok(Self(parsed.into_bytes()))
    }
}

/// A text that is not the hexadecimal form of an [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is 32 hexadecimal digits")]
pub struct NotAnOrigin;

/// The number of an envelope: the `sequence`-th that `origin` published to its topic in the
/// numbering `epoch`.
///
/// A [`Sequencer`](crate::Sequencer) gives them out, the [wire](crate::wire) carries them, and a
/// [`Ledger`](crate::Ledger) tells from them what is missing. How numbers run is said at
/// [`ledger`](crate::ledger).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The publishing instance.
    pub origin: Origin,
    /// Which numbering of the topic by this origin; a later one has a greater epoch.
    pub epoch: u64,
    /// The place in that numbering: 1, 2, 3, …
    pub sequence: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_hexadecimal_digits_are_an_origin() {
        let origin = Origin::random();
        let text = origin.to_string();
        assert_eq!(text.parse(), Ok(origin));
        assert_eq!(text.to_uppercase().parse(), Ok(origin));

        let uuid = Uuid::from_bytes(*origin.as_bytes());
        let refused = [
            String::new(),
            text[1..].to_owned(),
            format!("{text}0"),
            uuid.hyphenated().to_string(),
            uuid.braced().to_string(),
            format!("{}g", &text[1..]),
            "ä".repeat(16),
            format!("{{{}}}", &text[2..]),
        ];
        for text in refused {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin), "{text}");
        }
    }
}
