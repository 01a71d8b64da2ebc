//! Payloads that are JSON: a value into the data of an envelope, and out of it again.
//!
//! This is about what travels *in* an envelope. The JSON form of an envelope itself comes with the
//! feature `serde`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, MessageEnvelope, Result};

impl MessageEnvelope {
    /// An envelope for `topic` whose data is `value` as JSON.
    ///
    /// The JSON is written without white space. The other end reads it with [`json`](Self::json),
    /// or with any JSON parser in any language. Needs the feature `json`.
    ///
    /// ```
    /// use backend_core::MessageEnvelope;
    /// use serde_json::json;
    ///
    /// # fn main() -> backend_core::Result<()> {
    /// let envelope = MessageEnvelope::from_json("orders", &json!({ "table": 7 }))?
    ///     .with_scope("user:42");
    /// assert_eq!(envelope.data(), r#"{"table":7}"#);
    ///
    /// // Every `Serialize` will do: structs, collections, plain strings.
    /// assert_eq!(MessageEnvelope::from_json("orders", "coffee")?.data(), r#""coffee""#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Codec`] where JSON has no form for the value (a map whose keys are not strings or
    /// numbers, say), or where its own `Serialize` fails.
    pub fn from_json<T: Serialize + ?Sized>(topic: impl Into<String>, value: &T) -> Result<Self> {
        let data = serde_json::to_vec(value).map_err(Error::codec)?;
        Ok(Self::new(topic, data))
    }

    /// The data, read as JSON into a value of its own.
    ///
    /// The value borrows nothing from the envelope, so it may outlive it. White space around the
    /// JSON is fine; anything else after it is an error. Needs the feature `json`.
    ///
    /// ```
    /// use backend_core::{Error, MessageEnvelope};
    ///
    /// # fn main() -> backend_core::Result<()> {
    /// let envelope = MessageEnvelope::new("scores", "[3, 1, 2]");
    /// let scores: Vec<u32> = envelope.json()?;
    /// assert_eq!(scores, [3, 1, 2]);
    ///
    /// // What others publish need not be what you expect.
    /// let stranger = MessageEnvelope::new("scores", "three, one, two");
    /// assert!(matches!(stranger.json::<Vec<u32>>(), Err(Error::Codec(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Codec`] where the data is not JSON, not UTF-8, or not a `T`. It is no reason to
    /// end the subscription: the next envelope may be fine.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.data()).map_err(Error::codec)
    }
}
