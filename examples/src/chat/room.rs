//! Which room names are valid.
//!
//! A backend takes any string as a topic (clause D7). The limits here are the chat's own: a name
//! that can be read out, typed into an address, and put into a page as it is.

use std::fmt;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::refusal::Refusal;

/// The name of a room, which is also the topic that its messages are published to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Room(Box<str>);

impl Room {
    /// The most characters that a name has.
    const LONGEST: usize = 64;

    /// Checks a name.
    pub(crate) fn new(name: &str) -> Result<Self, Refusal> {
        let of_allowed = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if name.is_empty() || name.len() > Self::LONGEST || !of_allowed {
            return Err(Refusal::bad_request(format!(
                "not a room name: it has 1 to {} characters, out of a-z, A-Z, 0-9, '-' and '_'",
                Self::LONGEST
            )));
        }
        Ok(Self(name.into()))
    }

    /// The topic of this room.
    pub(crate) fn topic(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes the room from the path of a request, `/rooms/{room}/…`.
impl<S: Send + Sync> FromRequestParts<S> for Room {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        // A path that is not UTF-8 cannot be a room name either, and is told the same.
        let name = Path::<String>::from_request_parts(parts, state).await;
        Self::new(name.as_deref().map_or("", |name| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_hyphens_and_underscores_make_a_name() {
        for name in ["lobby", "a", "Room-2_b", "0", &"x".repeat(64)] {
            assert_eq!(Room::new(name).unwrap().topic(), name);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = "x".repeat(65);
        for name in ["", &long, "a b", "a/b", "küche", "<b>", "a.b", "*", "a\n", "..", "\u{0}"] {
            let refusal = Room::new(name).unwrap_err();
            assert_eq!(refusal.status().as_u16(), 400, "{name:?}");
            assert!(refusal.text().contains("1 to 64 characters"), "{refusal:?}");
        }
    }
}
